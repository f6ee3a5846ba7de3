"""Whatever is sent, the answer names the fault, is no 5xx, and the server goes on."""

import gzip
import io
import json
import os
import socket
import stat
import struct
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from tests.service.deployment import EXAMPLES, Deployment, example, png, wait_for, zipped


def problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status and body["detail"]
    return body


def test_a_wrong_spec_gets_every_problem_at_once(service: Deployment, digits: str) -> None:
    spec = example("digits-cnn", digits, epochs=0, optimizer={"type": "Adma", "lr": 0.1}, nmae="x")
    spec["model"][0]["kernel_size"] = "three"
    spec["model"][4]["inplce"] = True
    spec["data"]["validation"] = 1.5
    body = problem(service.http.post("/v1/jobs", json=spec), 422)
    found = {e["pointer"]: e for e in body["errors"]}
    assert set(found) == {"/epochs", "/optimizer/type", "/nmae", "/model/0/kernel_size", "/model/4/inplce", "/data/validation"}
    assert "did you mean 'Adam'" in found["/optimizer/type"]["detail"] and "did you mean 'name'" in found["/nmae"]["detail"]
    assert found["/model/0/kernel_size"]["got"] == "three" and "integer" in found["/model/0/kernel_size"]["expected"]


def test_layers_that_do_not_fit_are_named(service: Deployment, digits: str) -> None:
    spec = example("digits-mlp", digits)
    spec["model"][1]["in_features"] = 100
    spec["model"][3]["out_features"] = 9
    body = problem(service.http.post("/v1/jobs/validate", json=spec), 422)
    assert body["errors"][0] == {
        "pointer": "/model/1/in_features", "code": "mismatch", "detail": "expected 64 (the layer above yields 64), got 100", "expected": 64, "got": 100,
    }  # fmt: skip
    spec["model"][1].pop("in_features")
    spec["optimizer"]["lr"] = -1
    pointers = [e["pointer"] for e in problem(service.http.post("/v1/jobs/validate", json=spec), 422)["errors"]]
    assert pointers == ["/optimizer/lr"]
    spec["optimizer"]["lr"] = 0.1
    assert problem(service.http.post("/v1/jobs/validate", json=spec), 422)["errors"][0]["expected"] == 10


def test_validate_gives_the_table(service: Deployment, digits: str) -> None:
    table = service.http.post("/v1/jobs/validate", json=example("digits-mlp", digits)).json()
    assert [(r["type"], r["output"], r["parameters"]) for r in table["layers"]] == [
        ("Flatten", [64], 0), ("Linear", [100], 6500), ("ReLU", [100], 0), ("Linear", [10], 1010),
    ]  # fmt: skip
    assert table["parameters"] == 7510 and table["spec"]["model"][1]["in_features"] == 64 and table["largest_batch"] > 1000
    alone = service.http.post("/v1/jobs/validate", params={"input": "1x28x28"}, json=example("digits-mlp", ""))
    assert alone.json()["parameters"] == 79_510  # the seed's network


HOPELESS = [
    b"", b"{", b"[]", b"3", b'"x"', b"null", b"\xff\xfe", b'{"model": NaN}', b"[" * 100_000, b'{"model": []}', b'{"model": {"a": 1}, "loss": 3, "optimizer": [], "data": 7}',
    b'{"model": [[[]]], "loss": {"type": ["x"]}, "optimizer": {"type": {}}, "compare": {"a": 1}, "init": 5}', b'{"epochs": 1e400}', b'{"seed": -1, "device": "gpu"}',
    b'{"model": [{"type": "Sequential", "layers": 3}, {"type": "Parallel", "branches": [3], "merge": 1}, {"type": 5}], "compare": [3, {"name": ""}]}',
]  # fmt: skip


@pytest.mark.parametrize("body", HOPELESS, ids=range(len(HOPELESS)))
def test_hopeless_specs_are_refused(service: Deployment, body: bytes) -> None:
    for path in ("/v1/jobs", "/v1/jobs/validate"):
        answer = service.http.post(path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422), answer.text
        problem(answer, answer.status_code)


def test_a_spec_nested_too_deep_or_too_large_is_refused(service: Deployment, digits: str) -> None:
    spec = example("digits-mlp", digits)
    layer: dict[str, Any] = {"type": "ReLU"}
    for _ in range(200):
        layer = {"type": "Residual", "layers": [layer]}
    problem(service.http.post("/v1/jobs", json={**spec, "model": [layer]}), 422)
    problem(service.http.post("/v1/jobs", json={**spec, "name": "x" * (2 << 20)}), 413)
    huge = {**spec, "model": [{"type": "Flatten"}, {"type": "Linear", "out_features": 10**12}, {"type": "Linear", "out_features": 10}]}
    assert problem(service.http.post("/v1/jobs", json=huge), 422)["errors"][0]["pointer"] == "/model/1"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/jobs/job_nope",
        "/v1/jobs/job_nope/events",
        "/v1/jobs/job_nope/metrics",
        "/v1/jobs/job_nope/checkpoints",
        "/v1/datasets/ds_nope",
        "/v1/nothing",
        "/v1/jobs/x%00y",
        "/v1/jobs/..%2f..%2fetc",
    ],
)
def test_an_unknown_id_gets_404(service: Deployment, path: str) -> None:
    problem(service.http.get(path), 404)


def test_other_unknown_things(service: Deployment, digits: str) -> None:
    problem(service.http.post("/v1/jobs/job_nope/cancel"), 404)
    problem(service.http.delete("/v1/datasets/ds_nope"), 404)
    problem(service.http.delete("/v1/datasets/..%2f..%2fetc"), 404)
    problem(service.http.get("/v1/jobs", params={"limit": 0}), 422)
    problem(service.http.get("/v1/jobs", params={"state": "lost"}), 422)
    problem(service.http.put("/v1/jobs"), 405)
    unknown = problem(service.http.post("/v1/jobs", json=example("digits-mlp", "ds_unknown")), 422)
    assert unknown["errors"][0]["pointer"] == "/data/dataset"
    assert service.get("/v1/jobs", after="job_nope")["data"] == []
    job = service.submit(example("digits-mlp", digits, epochs=1))["id"]
    service.wait_state(job, "succeeded")
    for step in ("0", "99999999", "-1", "best%20", "1e3"):
        problem(service.http.get(f"/v1/jobs/{job}/checkpoints/{step}"), 404)


# -- uploads


def links() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a/1.png", png())
        link = zipfile.ZipInfo("b/2.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    return out.getvalue()


def encrypted() -> bytes:
    content = bytearray(zipped({"a/1.png": png(), "b/1.png": png()}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(signature)
        while at >= 0:
            flags = struct.unpack_from("<H", content, at + offset)[0]
            struct.pack_into("<H", content, at + offset, flags | 1)
            at = content.find(signature, at + 4)
    return bytes(content)


def duplicates() -> bytes:
    out = io.BytesIO()
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(out, "w") as archive:
        for i in range(2):
            archive.writestr("a/1.png", png(seed=i))
    return out.getvalue()


def bomb() -> bytes:
    return zipped({"a/1.png": bytes(50 << 20), "b/1.png": png()})


REFUSED: dict[str, tuple[Any, str, str]] = {
    "not a zip": (lambda: b"PK\x03\x04 but no more", "", "not a zip file"),
    "a bomb": (bomb, "a/1.png", "to 1"),
    "a path out of the folder": (lambda: zipped({"a/1.png": png(), "../../evil.png": png()}), "../../evil.png", "unsafe path"),
    "an absolute path": (lambda: zipped({"a/1.png": png(), "/etc/evil.png": png()}), "/etc/evil.png", "unsafe path"),
    "a backslash path": (lambda: zipped({"a/1.png": png(), "..\\evil.png": png()}), "..\\evil.png", "unsafe path"),
    "a symbolic link": (links, "b/2.png", "symbolic link"),
    "encrypted entries": (encrypted, "a/1.png", "encrypted"),
    "duplicate names": (duplicates, "a/1.png", "duplicate"),
    "no classes": (lambda: zipped({"1.png": png(), "2.png": png()}), "1.png", "not inside a class folder"),
    "no images": (lambda: zipped({"a/readme.txt": b"hello"}), "a/readme.txt", "not an image"),
    "only broken images": (lambda: zipped({"a/1.png": b"no image", "b/1.png": png()[:60]}), "b/1.png", "broken image"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_zip_is_rejected_with_a_report_that_names_the_file(service: Deployment, case: str) -> None:
    make, name, reason = REFUSED[case]
    record = service.upload(make(), f"{case}.zip")
    assert record["state"] == "rejected", record
    report = record["report"]
    if name:
        assert any(r["file"] == name and reason in r["reason"] for r in report["refused"]), report
    else:
        assert reason in report["reason"]
    refused = problem(service.http.post("/v1/jobs", json=example("digits-mlp", record["id"])), 422)
    assert "rejected" in refused["errors"][0]["detail"]
    assert not list(service.data.rglob("evil.png"))


def test_broken_images_among_good_ones_are_left_out_and_named(service: Deployment) -> None:
    files = {f"set/{c}/{i}.png": png(seed=i) for c in "ab" for i in range(5)}
    record = service.upload(
        zipped({**files, "set/a/bad.png": b"?", "set/b/cut.png": png()[:70], "set/notes.txt": b"x", "__MACOSX/set/a/._1.png": b"x"}),
        "mixed.zip",
    )
    assert record["state"] == "ready"
    report = record["report"]
    assert report["classes"] == ["a", "b"] and report["counts"] == {"a": 5, "b": 5} and report["shape"] == [1, 8, 8]
    assert {r["file"] for r in report["refused"]} == {"set/a/bad.png", "set/b/cut.png", "set/notes.txt"}


def test_the_layout_can_be_given(service: Deployment) -> None:
    content = zipped({f"{s}/{c}/1.png": png(seed=i) for i, (s, c) in enumerate((s, c) for s in ("train", "val") for c in "ab")})
    ids = set()
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({}, ["a", "b"]), ({"layout": "split_folders"}, ["a", "b"]), ({"layout": "class_folders"}, ["train", "val"])
    ]  # fmt: skip
    for options, classes in cases:
        record = service.upload(content, "s.zip", **options)
        ids.add(record["id"])
        report = record["report"]
        assert report["classes"] == classes and report["splits"] == ({"train": 2, "val": 2} if classes == ["a", "b"] else None)
    assert len(ids) == 3  # the same content read in another way is another dataset


def test_images_of_several_sizes_need_a_resize(service: Deployment) -> None:
    record = service.upload(zipped({f"{c}/{i}.png": png((8 + i, 8), "RGB", i) for c in "ab" for i in range(6)}), "sizes.zip")
    assert record["state"] == "ready" and record["report"]["shape"] is None
    spec = example("digits-mlp", record["id"], epochs=1)
    assert "add a Resize" in problem(service.http.post("/v1/jobs", json=spec), 422)["errors"][0]["detail"]
    spec["data"]["transform"] = [
        {"type": "Resize", "size": [8, 8]},
        {"type": "RandomHorizontalFlip"},
        {"type": "Normalize", "mean": [0.5], "std": [0.25]},
    ]
    job = service.submit(spec)["id"]
    assert service.wait_state(job, "succeeded", "failed")["state"] == "succeeded"


def csv(*rows: str) -> bytes:
    return "\n".join(rows).encode()


def npz(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


TABLES: dict[str, tuple[bytes, str, str]] = {
    "no y": (npz(x=np.zeros((3, 2))), "a.npz", "expected arrays named x and y"),
    "lengths": (npz(x=np.zeros((3, 2)), y=np.zeros(4)), "a.npz", "3 rows"),
    "pickles": (npz(x=np.array([{}], object), y=np.zeros(1)), "a.npz", "npz"),
    "nan": (npz(x=np.array([[1.0], [np.nan]]), y=np.zeros(2)), "a.npz", "NaN"),
    "not npz": (b"hello", "a.npz", "not an npz"),
    "ragged": (csv("a,b,y", "1,2,0", "1,2"), "a.csv", "1 line"),
    "words": (csv("a,y", "1,0", "one,1"), "a.csv", "1 line"),
    "no rows": (csv("a,y"), "a.csv", "at least 2"),
    "binary": (b"\xff\xfe\x00\x01" * 10, "a.csv", ""),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_bad_table_is_rejected_with_the_reason(service: Deployment, case: str) -> None:
    content, name, reason = TABLES[case]
    record = service.upload(content, name)
    assert record["state"] == "rejected" and reason in record["report"]["reason"], record


def test_tables_train(service: Deployment) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{a:.3f},{b:.3f},{'yes' if a > b else 'no'}" for a, b in rng.normal(size=(60, 2))]
    record = service.upload(csv("a,b,label", *rows), "points.csv")
    assert record["report"]["classes"] == ["no", "yes"], record
    spec = example("digits-mlp", record["id"], epochs=2, model=[{"type": "Linear", "out_features": 2}])
    assert service.wait_state(service.submit(spec)["id"], "succeeded", "failed")["state"] == "succeeded"


def test_an_upload_cut_off_in_the_middle_leaves_nothing(service: Deployment) -> None:
    before = service.get("/v1/datasets", limit=100)["data"]
    host, port = service.http.base_url.host, service.http.base_url.port
    with socket.create_connection((host, port or 80)) as connection:
        connection.sendall(
            b"POST /v1/datasets?name=cut.zip HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10000000\r\n\r\n" + os.urandom(3_000_000)
        )
        wait_for(lambda: list((service.data / "uploads").glob("*.part")), what="a part on disk")
    wait_for(lambda: not list((service.data / "uploads").glob("*")), what="its removal")
    time.sleep(0.1)
    assert service.get("/v1/datasets", limit=100)["data"] == before


def test_odd_uploads(service: Deployment) -> None:
    problem(service.http.post("/v1/datasets", params={"name": "x.zip"}, content=b""), 422)
    problem(service.http.post("/v1/datasets", params={"name": "x.rar"}, content=b"x"), 422)
    problem(service.http.post("/v1/datasets", params={"name": "x", "format": "rar"}, content=b"x"), 422)
    layout = problem(service.http.post("/v1/datasets", params={"name": "x.zip", "layout": "folders"}, content=b"x"), 422)
    assert layout["errors"][0]["pointer"] == "/query/layout" and "class_folders" in layout["detail"]
    table = problem(service.http.post("/v1/datasets", params={"name": "x.csv", "layout": "class_folders"}, content=b"x"), 422)
    assert "archives of images" in table["detail"]
    content = (EXAMPLES / "digits.zip").read_bytes()
    first = service.http.post("/v1/datasets", params={"name": "digits.zip"}, content=content)
    again = service.http.post("/v1/datasets", params={"name": "other.zip"}, content=content)
    assert again.status_code == 200 and again.json()["id"] == first.json()["id"]  # the same content is the same dataset


def test_pages_of_other_sites_are_refused(service: Deployment, digits: str) -> None:
    problem(service.http.post("/v1/jobs", json=example("digits-mlp", digits), headers={"Origin": "https://evil.example"}), 403)
    problem(service.http.get("/v1/jobs", headers={"Host": "evil.example"}), 403)
    own = str(service.http.base_url).rstrip("/")
    assert service.http.get("/v1/jobs", headers={"Origin": own}).status_code == 200


def test_the_server_is_well_after_all_this(service: Deployment) -> None:
    assert service.get("/readyz")["status"] == "ready"
    described = service.get("/openapi.json")
    assert {"/v1/jobs", "/v1/datasets", "/v1/jobs/{job_id}/events"} <= set(described["paths"])
    assert json.dumps(described["paths"]["/v1/jobs"]["post"]).count("digits-mlp")
    import jsonschema

    schema = service.get("/v1/schema")
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for name in ("digits-mlp", "digits-cnn", "optimizers"):
        validator.validate(example(name, "ds_x"))
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(example("digits-mlp", "ds_x", epochs="many"))


def test_a_form_or_a_compressed_body_is_refused_with_what_to_send(service: Deployment) -> None:
    table = b"a,b,y\n" + b"".join(b"%d,%d,%d\n" % (i, i + 1, i % 2) for i in range(12))
    form = service.http.post("/v1/datasets", params={"name": "form.csv"}, files={"file": ("form.csv", table, "text/csv")})
    packed = service.http.post(
        "/v1/datasets", params={"name": "packed.csv"}, content=gzip.compress(table), headers={"Content-Encoding": "gzip"}
    )
    assert form.status_code == packed.status_code == 415
    assert "--data-binary" in form.json()["detail"] and "Content-Encoding gzip" in packed.json()["detail"]
    assert not list((service.data / "uploads").glob("*"))


def test_uploads_and_deletions_of_the_same_content_at_once(service: Deployment) -> None:
    """Whoever comes last is right: no error, no record without files."""
    file = io.BytesIO()
    np.savez(file, x=np.arange(8000.0).reshape(400, 20), y=np.arange(400) % 2)
    content = file.getvalue()
    dataset = service.upload(content, "same.npz")["id"]

    def act(k: int) -> int:
        if k % 2:
            return service.http.delete(f"/v1/datasets/{dataset}").status_code
        return service.http.post("/v1/datasets", params={"name": "same.npz"}, content=content).status_code

    codes = set()
    for _ in range(15):
        with ThreadPoolExecutor(6) as pool:
            codes |= set(pool.map(act, range(6)))
    assert codes <= {200, 201, 204, 404}, codes
    assert service.upload(content, "same.npz")["state"] == "ready"
