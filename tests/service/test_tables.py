"""Tables from the upload to the trained job, in the service and in the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from client import Client
from client.cli import main
from tests.data.tables import made, number
from tests.data.test_arrays import npz
from tests.service.deployment import Deployment, example

HOUSES = made(lambda i: f"{i + 1};{number(i)};{['red', 'blue', ''][i % 3]};{100 + number(i, 3)};{i % 2}", "id;area;colour;price;sold", n=40)


def linear(dataset: str, outputs: int, loss: str, **changes: Any) -> dict[str, Any]:
    model = [{"type": "Flatten"}, {"type": "Linear", "out_features": outputs}]
    return example("digits-mlp", dataset, model=model, loss={"type": loss}, epochs=2, metrics=[], **changes)


def test_the_owner_names_the_target(service: Deployment, tmp_path: Path) -> None:
    (tmp_path / "houses.tsv").write_text(HOUSES)
    with Client(str(service.http.base_url)) as client:
        sold = client.datasets.wait_ready(client.datasets.upload(tmp_path / "houses.tsv").id)
        price = client.datasets.wait_ready(client.datasets.upload(tmp_path / "houses.tsv", target="price").id)
    assert sold.report and sold.report.target and price.report and price.report.target and sold.id != price.id
    assert [r.target["name"] for r in (sold.report, price.report) if r.target] == ["sold", "price"]
    assert sold.report.shape == [5]  # area, three for the colour, price
    for dataset, outputs, loss in (
        (sold.id, 2, "CrossEntropyLoss"),
        (sold.id, 1, "BCEWithLogitsLoss"),
        (sold.id, 1, "MSELoss"),
        (price.id, 1, "L1Loss"),
    ):
        job = service.submit(linear(dataset, outputs, loss))["id"]
        assert service.wait_state(job, "succeeded", "failed")["state"] == "succeeded", loss


def test_the_check_tells_what_was_done_with_the_data(service: Deployment) -> None:
    pixels = (np.arange(24 * 8 * 6 * 3) % 256).astype(np.uint8).reshape(24, 8, 6, 3)
    record = service.upload(npz(x=pixels, y=np.arange(24) % 3 + 1), "pixels.npz")
    answer = service.http.post("/v1/jobs/validate", json=linear(record["id"], 3, "CrossEntropyLoss")).json()
    assert answer["input"] == [3, 8, 6] and len(answer["dataset_notes"]) == 3
    assert "channels last" in answer["dataset_notes"][0] and "labels 1, 2, 3" in answer["dataset_notes"][2]


@pytest.mark.parametrize(
    ("target", "fits", "words"), [("price", True, "the delimiter is a semicolon"), ("prices", False, "no column named 'prices'")]
)
def test_the_command_takes_a_target(target: str, fits: bool, words: str, tmp_path: Path) -> None:
    (tmp_path / "houses.csv").write_text(HOUSES)
    (tmp_path / "spec.json").write_text(json.dumps({**linear("houses.csv", 1, "MSELoss"), "optimizer": {"type": "SGD", "lr": 1e-4}}))
    done = CliRunner().invoke(main, ["check", str(tmp_path / "spec.json"), "--target", target])
    assert words in done.output and (done.exit_code == 0) is fits, done.output
