"""Recordings: wave files of every kind, the report, spectrograms, and jobs on them."""

from __future__ import annotations

import io
import struct
import wave
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data import Options, Rejected, ingest, open_source
from engine.data.audio import wav
from engine.data.audio.source import SoundSource
from engine.data.audio.spectrogram import Settings, log_mel, resample
from engine.data.source import Source
from engine.data.views import as_read
from engine.spec import SpecError, check
from tests.inference.finished import finished
from tests.train.jobs import job, points

RNG = np.random.default_rng(0)
Array = np.ndarray[Any, Any]


def tone(hertz: float, seconds: float = 0.5, rate: int = 8000) -> Array:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def encoded(samples: Array, rate: int = 8000, bits: int = 16) -> bytes:
    """A wave file of ``samples (n,)`` or ``(n, channels)``, as the standard library writes it."""
    wide = np.round(samples * (2.0 ** (bits - 1) - 1)).astype(np.int64)
    data = (wide + 128).astype(np.uint8).tobytes() if bits == 8 else wide[..., None].view(np.uint8)[..., : bits // 8].tobytes()
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(bits // 8)
        file.setframerate(rate)
        file.writeframes(data)
    return out.getvalue()


def floats(samples: Array, rate: int = 8000, size: int = 4, extensible: bool = False) -> bytes:
    data = samples.astype(f"<f{size}").tobytes()
    form = struct.pack("<HHIIHH", 0xFFFE if extensible else 3, 1, rate, rate * size, size, 8 * size)
    if extensible:
        form += struct.pack("<HHIH", 22, 8 * size, 4, 3) + bytes(14)
    chunks = b"LIST\x03\0\0\0abc\0" + b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks


def read(files: dict[str, bytes], folder: Path, **options: Any) -> Source:
    with zipfile.ZipFile(folder / "upload", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    ingest(folder / "upload", folder / "dataset", "imagefolder", options=Options(**options))
    return open_source(folder / "dataset")


def pictured(source: Source, **audio: Any) -> SoundSource:
    found = as_read(source, check({
        "model": [{"type": "Flatten"}], "loss": {"type": "CrossEntropyLoss"}, "optimizer": {"type": "SGD", "lr": 0.1}, "data": {"dataset": "d", "audio": audio or None},
    }))  # fmt: skip
    assert isinstance(found, SoundSource)
    return found


def recordings(n: int = 16) -> dict[str, bytes]:
    """Low and high tones in noise."""
    return {
        f"{('low', 'high')[i % 2]}/{i}.wav": encoded(tone((300, 2000)[i % 2] + 20 * RNG.random()) + 0.2 * RNG.normal(size=4000).clip(-2, 2))
        for i in range(n)
    }


# -- wave files


@pytest.mark.parametrize(
    ("content", "exact"),
    [(encoded(tone(440), bits=b), 2.0 ** (1 - b)) for b in (8, 16, 24, 32)] + [(floats(tone(440), size=s, extensible=e), 1e-7) for s in (4, 8) for e in (False, True)],
)  # fmt: skip
def test_wave_files_of_every_kind(content: bytes, exact: float) -> None:
    found = wav.decode(content)
    assert found.rate == 8000 and found.channels == 1 and found.samples.dtype == np.float32
    np.testing.assert_allclose(found.samples, tone(440), atol=1.01 * exact + 1e-7)


def test_channels_become_their_mean_and_what_is_cut_off_is_read_as_far() -> None:
    both = np.stack([tone(440), tone(880)], 1)
    found = wav.decode(encoded(both))
    assert found.channels == 2
    np.testing.assert_allclose(found.samples, both.mean(1), atol=1e-4)
    assert len(wav.decode(encoded(both)[:-1001]).samples) == 4000 - 251


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"OggS" + bytes(60), "not a wave file"),
        (encoded(tone(440))[:30], "not a whole wave file"),
        (encoded(np.zeros(0)), "without a sample"),
        (floats(np.array([0.0, np.nan])), "NaN"),
        (encoded(tone(440)).replace(b"\x01\0\x01\0", b"\x02\0\x01\0", 1), "expected uncompressed PCM"),
    ],
)
def test_what_is_no_wave_file(content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        wav.decode(content)


# -- spectrograms


@pytest.mark.parametrize(("rate", "to"), [(44_100, 16_000), (8000, 16_000), (16_000, 11_025), (8000, 8000)])
def test_resampling_keeps_what_both_rates_can_hold(rate: int, to: int) -> None:
    x = (tone(500, 0.5, rate) + tone(1700, 0.5, rate)).astype(np.float32)
    y = resample(x, rate, to)
    assert len(y) == -(-len(x) * to // rate) and y.dtype == np.float32
    wanted = tone(500, 0.5, to) + tone(1700, 0.5, to)
    np.testing.assert_allclose(y[200:-200], wanted[200 : len(y) - 200], atol=0.01)


def test_resampling_leaves_out_what_the_lower_rate_cannot_hold() -> None:
    assert np.abs(resample(tone(5000, 0.5, 16_000).astype(np.float32), 16_000, 8000)[200:-200]).max() < 0.01


def test_a_picture_is_the_logarithm_of_the_power_in_each_band() -> None:
    settings = Settings(8000, 0.1, 64, 32, 10, 100.0, 4000.0)
    x = (tone(1000, 0.08) + 0.1 * RNG.normal(size=640)).astype(np.float32)
    found = log_mel(x, settings)
    assert found.shape == settings.shape == (1, 10, 26) and found.dtype == np.float32
    silent = np.concatenate([x, np.zeros(160)])
    around = np.concatenate([silent[32:0:-1], silent, silent[-2:-34:-1]])
    mel = lambda f: 2595 * np.log10(1 + f / 700)  # noqa: E731
    points = 700 * (10 ** (np.linspace(mel(100), mel(4000), 12) / 2595) - 1)
    for column in (0, 7, 25):
        frame = around[32 * column : 32 * column + 64] * np.hanning(65)[:64]
        waves = np.exp(-2j * np.pi * np.outer(np.arange(33), np.arange(64)) / 64)
        power = np.abs(waves @ frame) ** 2
        bands = [
            sum(p * max(0, min((f - a) / (b - a), (c - f) / (c - b))) for p, f in zip(power, np.arange(33) * 125, strict=True))
            for a, b, c in zip(points, points[1:], points[2:])
        ]
        np.testing.assert_allclose(found[0, :, column], np.log(np.array(bands) + 1e-6), rtol=1e-4, atol=1e-4)


# -- datasets


def test_the_report_of_recordings(tmp_path: Path) -> None:
    files = recordings(8) | {
        "low/r.wav": encoded(tone(300, 1.0, 16_000), 16_000), "high/s.wav": encoded(np.stack([tone(2000)] * 2, 1)), "high/b.wav": b"RIFF no",
        "low/notes.txt": b"x", "low/again.wav": encoded(tone(400)), "low/once.wav": encoded(tone(400)),
    }  # fmt: skip
    report = read(files, tmp_path).report
    assert {k: v for k, v in report.as_dict().items() if v not in (None, [], {}, 0)} == {
        "format": "audio", "layout": "class_folders", "samples": 12, "classes": ["high", "low"], "counts": {"high": 5, "low": 7},
        "target": {"name": "class", "chosen": "the name of the folder", "kinds": ["classes"]},
        "audio": {"sample_rate": 8000, "seconds": {"min": 0.5, "median": 0.5, "p95": 0.5, "max": 1.0, "total": 6.5}},
        "converted": ["1 recording(s) were resampled to 8000 Hz, from 16000", "1 recording(s) of several channels became their mean"],
        "refused": [
            {"file": "low/notes.txt", "reason": "not a recording by its extension (.wav)"},
            {"file": "high/b.wav", "reason": "broken recording: not a wave file: it does not begin with RIFF and WAVE"},
        ],
        "refused_count": 2, "duplicates": {"exact": 1, "groups": report.duplicates and report.duplicates["groups"]},
    }  # fmt: skip


def test_recordings_in_splits(tmp_path: Path) -> None:
    files = {f"{split}/{name}": content for split in ("train", "test") for name, content in recordings(6).items()}
    source = read(files, tmp_path)
    assert source.report.splits == {"train": 6, "test": 6} and {k: len(v) for k, v in source.splits.items()} == {"train": 6, "test": 6}
    with pytest.raises(Rejected, match="no classes: expected recordings at CLASS"):
        read({"1.wav": encoded(tone(300))}, tmp_path)


def test_pictures_have_one_size_and_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = recordings(4) | {"low/long.wav": encoded(tone(300, 2.0)), "low/short.wav": encoded(tone(300, 0.1))}
    source = read(files, tmp_path)
    found = pictured(source, seconds=1.0, n_mels=20, hop_length=100)
    assert found.arrays is not None and found.arrays.shape == (6, 1, 20, 81) and found.report.shape == [1, 20, 81]
    assert (found.arrays[5, 0, :, 20:] < -13).all() and (found.arrays[4, 0, :, 20:].max(0) > 0).all()
    monkeypatch.setattr("engine.data.audio.source.picture", lambda *_: pytest.fail("made again"))
    again = pictured(open_source(source.folder), seconds=1.0, n_mels=20, hop_length=100)
    assert again.arrays is not None
    np.testing.assert_array_equal(again.arrays, found.arrays)
    kept = next((source.folder / "cache").glob("*.audio.npy"))
    kept.write_bytes(kept.read_bytes()[:1000])
    monkeypatch.undo()
    repaired = pictured(open_source(source.folder), seconds=1.0, n_mels=20, hop_length=100)
    assert repaired.arrays is not None
    np.testing.assert_array_equal(repaired.arrays, found.arrays)


NET: list[dict[str, Any]] = [
    {"type": "Conv2d", "out_channels": 4, "kernel_size": 5, "stride": 3},
    {"type": "ReLU"},
    {"type": "Flatten"},
    {"type": "Linear", "out_features": 2},
]
AUDIO = {"audio": {"n_mels": 16, "hop_length": 400}}


def test_a_job_on_recordings_learns_and_its_model_reads_wave_files(tmp_path: Path) -> None:
    files = recordings(40)
    run, model = finished(
        read(files, tmp_path),
        tmp_path,
        "CrossEntropyLoss",
        NET,
        data=AUDIO,
        metrics=["accuracy"],
        epochs=6,
        optimizer={"type": "Adam", "lr": 0.01},
    )
    assert run.finals[-1]["val_accuracy"] == 1
    names = sorted(files)
    source = as_read(run.source, run.spec)
    assert source.arrays is not None
    for i in (0, 21, 39):
        sample = model.reader.sample(files[names[i]])
        np.testing.assert_array_equal(sample, source.arrays[i])
        assert model.predict(files[names[i]]).label == names[i].partition("/")[0]
    (tmp_path / "one.wav").write_bytes(files[names[0]])
    assert model.predict(tmp_path / "one.wav").label == "high"


@pytest.mark.parametrize(
    ("data", "at", "said"),
    [
        ({"audio": {"mels": 3}}, "/data/audio/mels", "unknown key"),
        ({"audio": {"f_max": 9000.0}}, "/data/audio/f_max", "f_max <= 4000"),
        ({"audio": {"f_min": 3000.0, "f_max": 2000.0}}, "/data/audio/f_max", "f_min < f_max"),
        ({"transform": [{"type": "RandomHorizontalFlip"}]}, "/data/transform", "transforms are for images"),
        ({"text": {"tokenizer": "byte"}}, "/data/text", "text is for datasets of texts"),
    ],
)
def test_what_does_not_fit_recordings(data: dict[str, Any], at: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as error:
        job(read(recordings(8), tmp_path), model=NET, data=data)
    assert [(p.pointer, said in p.detail) for p in error.value.problems] == [(at, True)], error.value.problems


def test_numbers_are_normalized_by_their_one_channel(tmp_path: Path) -> None:
    data = {**AUDIO, "transform": [{"type": "Normalize", "mean": [-5.0], "std": [4.0]}]}
    assert len(points(job(read(recordings(8), tmp_path), model=NET, data=data, epochs=1))) > 0


def test_audio_is_for_recordings(tmp_path: Path) -> None:
    (tmp_path / "upload").write_text("a,y\n" + "\n".join(f"{i}.5,{i % 2}" for i in range(20)))
    ingest(tmp_path / "upload", tmp_path / "dataset", "csv")
    with pytest.raises(SpecError, match="audio is for datasets of recordings, but the dataset is a csv"):
        job(open_source(tmp_path / "dataset"), data=AUDIO)
