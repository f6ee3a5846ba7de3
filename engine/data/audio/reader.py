"""Archives of recordings, laid out as archives of images are."""

from __future__ import annotations

import functools
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.audio import wav
from engine.data.audio.spectrogram import stored
from engine.data.images.archive import BadArchive, inspect, open_archive
from engine.data.images.described import some, warn_of_classes
from engine.data.images.labelling import label_samples, read_list, refusal
from engine.data.images.layouts import Layout, Medium, Sample, recognise
from engine.data.report import Options, Progress, Report
from engine.data.samples import describe_duplicates

RECORDINGS = Medium("recording", (".wav",), "NAME.wav")
_SOUNDS, _ENDS = "sounds.bin", "sounds.npy"


class Sounds:
    """The recordings of a prepared dataset by number, all of one rate."""

    def __init__(self, folder: Path) -> None:
        self._ends, self._values = np.load(folder / _ENDS), np.memmap(folder / _SOUNDS, np.int16, "r")

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, i: int) -> np.ndarray[Any, np.dtype[np.int16]]:
        return np.array(self._values[self._ends[i] : self._ends[i + 1]])


def read_recordings(upload: Path, work: Path, report: Report, options: Options, progress: Progress) -> None:
    """Reads an archive of wave files into the folder ``work``. Raises Rejected."""
    try:
        with open_archive(upload) as archive:
            contents = inspect(archive)
            report.converted += contents.notes
            layout = recognise(contents, options.layout, options.target, functools.partial(read_list, archive, report), RECORDINGS)
            _save(archive, layout, work, report, options, progress)
    except BadArchive as error:
        raise refusal(report, error) from None


def _save(archive: zipfile.ZipFile, layout: Layout, work: Path, report: Report, options: Options, progress: Progress) -> None:
    rate = _usual_rate(archive, layout.samples)
    samples, broken, hashes = list[Sample](), list[tuple[str, str]](), list[int]()
    rates, channels, ends = Counter[int](), Counter[int](), [0]
    with (work / _SOUNDS).open("wb") as file:
        for i, sample in enumerate(layout.samples):
            progress(i, len(layout.samples))
            found = _decoded(archive, sample)
            if isinstance(found, str):
                broken.append((sample.entry.name, f"broken recording: {found}"[:300]))
                continue
            kept = stored(found, rate)
            file.write(kept.tobytes())
            ends.append(ends[-1] + len(kept))
            hashes.append(hash(kept.tobytes()))
            samples.append(sample)
            rates[found.rate] += 1
            channels[found.channels] += 1
    np.save(work / _ENDS, np.array(ends, np.int64))
    splits = label_samples(work, report, layout, samples, broken, options, RECORDINGS)
    _describe(report, np.diff(ends) / rate, rate, rates, channels)
    describe_duplicates(report, np.array(hashes, np.int64), splits)
    warn_of_classes(report, samples, RECORDINGS.noun)


def _decoded(archive: zipfile.ZipFile, sample: Sample) -> wav.Recording | str:
    """A recording, or what is wrong with it."""
    try:
        return wav.decode(archive.read(sample.entry.info))
    except MemoryError:
        raise
    except Exception as error:  # damaged streams make zipfile and zlib raise anything
        return str(error) or type(error).__name__


def _usual_rate(archive: zipfile.ZipFile, samples: list[Sample]) -> int:
    """The rate that most recordings have; of equally frequent ones the highest."""
    found = [_decoded(archive, s) for s in samples]
    rates = Counter(r.rate for r in found if not isinstance(r, str))
    return max(rates, key=lambda rate: (rates[rate], rate), default=16_000)


def _describe(report: Report, seconds: np.ndarray[Any, Any], rate: int, rates: Counter[int], channels: Counter[int]) -> None:
    ordered = np.sort(seconds)
    at = {"min": 0, "median": (len(ordered) - 1) // 2, "p95": int(0.95 * (len(ordered) - 1)), "max": len(ordered) - 1}
    report.audio = {
        "sample_rate": rate,
        "seconds": {name: round(float(ordered[i]), 3) for name, i in at.items()} | {"total": round(float(ordered.sum()), 3)},
    }
    others = sorted(r for r in rates if r != rate)
    if others:
        n = sum(rates[r] for r in others)
        report.converted.append(f"{n} recording(s) were resampled to {rate} Hz, from {some([str(r) for r in others])}")
    if n := sum(count for c, count in channels.items() if c > 1):
        report.converted.append(f"{n} recording(s) of several channels became their mean")
