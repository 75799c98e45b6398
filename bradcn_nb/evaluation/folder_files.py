"""The two ends of judging folders: which files belong together, and what one pair of them is
worth."""

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bradcn_nb.data import EBB_SPLITS
from bradcn_nb.data.parallel import cores, each
from bradcn_nb.data.photos import FORMATS, read_photo
from bradcn_nb.errors import BradcnError, DataError, PhotoError, RunError
from bradcn_nb.evaluation.metrics import Protocol, to_uint8, val294

PAIRS_PER_WORKER = 4  # below, a second process costs more than it saves


def find_pictures(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Stem -> file of the pictures directly in `folder`, and the names of its other files.

    Raises DataError for a missing folder, one without pictures, and two pictures of one stem.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; name one that holds pictures")
    pictures: dict[str, Path] = {}
    others = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.is_dir():
            continue
        if path.suffix.lower() not in FORMATS:
            others.append(path.name)
        elif path.stem in pictures:
            raise DataError(
                f"{path}: {pictures[path.stem].name} has the same stem; keep one of them"
            )
        else:
            pictures[path.stem] = path
    if not pictures:
        raise DataError(f"{folder}: holds no picture ({', '.join(FORMATS)})")
    return pictures, others


def find_truths(folder: Path) -> dict[str, Path]:
    """Stem -> true picture: all of a folder, or, of a folder of EBB!, the test pairs' `bokeh/N`.

    Raises DataError as `find_pictures` does, and for an EBB! without test pairs.
    """
    if not (folder / "bokeh").is_dir():
        return find_pictures(folder)[0]
    numbers = EBB_SPLITS["test"]
    every = find_pictures(folder / "bokeh")[0]
    chosen = {s: p for s, p in every.items() if s.isdecimal() and int(s) in numbers}
    if not chosen:
        raise DataError(
            f"{folder / 'bokeh'}: holds no test picture, N = {numbers.start}..{numbers.stop - 1}"
        )
    return chosen


class ScoreCache:
    """Measured values in a file of JSON lines, one a value, appended at once; damaged lines are
    skipped.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: dict[str, Any] = {}
        if path.is_file():
            for line in path.read_text("utf-8", errors="replace").splitlines():
                try:
                    entry = json.loads(line)
                    self.values[entry["key"]] = entry["value"]
                except (ValueError, KeyError, TypeError):
                    continue  # the end of a line that was being written when the power went

    def add(self, values: dict[str, Any]) -> None:
        """Keep key -> value; raises RunError if the file cannot be written."""
        self.values |= values
        lines = "".join(json.dumps({"key": k, "value": v}) + "\n" for k, v in values.items())
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "a+b") as file:
                whole = file.seek(0, os.SEEK_END) == 0 or _last_byte(file) == b"\n"
                file.write((lines if whole else "\n" + lines).encode())
        except OSError as error:
            raise RunError(
                f"{self.path}: cannot be written ({error.strerror}); name another with --cache"
            ) from None


def _last_byte(file) -> bytes:
    file.seek(-1, os.SEEK_END)
    return file.read(1)


def measure_files(
    truth: Path, prediction: Path, protocol: Protocol, device: str = "cpu"
) -> dict[str, Any] | str:
    """The metrics and sizes of one pair of files, or one line that says what is wrong with them."""
    pictures = []
    for path in (truth, prediction):
        try:
            photo = read_photo(path)
        except PhotoError as error:
            return str(error)
        if photo.alpha is not None and photo.alpha.min() < 1:
            return f"{path}: is transparent in places; save it without an alpha channel"
        pictures.append(torch.from_numpy(photo.rgb.transpose(2, 0, 1)))
    target = to_uint8(pictures[0])
    try:
        values = protocol.measure(target, val294(pictures[1], *target.shape[:2]), device)
    except BradcnError as error:
        return f"{prediction}: {error}"
    return {**values, "size": [*target.shape[:2], *pictures[1].shape[-2:]]}


def measure_all(
    jobs: dict[str, tuple[Path, Path]],
    protocol: Protocol,
    workers: int | None,
    device: str,
    progress: bool,
) -> Iterator[tuple[str, dict[str, Any] | str]]:
    """(stem, what `measure_files` returns) as it comes, from this process or from several."""
    # VGG16 wants 2.7 GB for a pair of 1566x1024, and a GPU serves one process best.
    alone = device != "cpu" or (protocol.backbone == "vgg" and not protocol.lpips_size)
    workers = min(workers or (1 if alone else cores()), -(-len(jobs) // PAIRS_PER_WORKER) or 1)
    return each(
        partial(_measure_pair, protocol, device),
        list(jobs.items()),
        workers,
        title="score",
        unit="pair",
        progress=progress,
        ordered=False,
        spawn=True,
        remedy="what is measured is kept: run it again with --workers 1",
    )


def _measure_pair(
    protocol: Protocol, device: str, job: tuple[str, tuple[Path, Path]]
) -> tuple[str, dict[str, Any] | str]:
    return job[0], measure_files(*job[1], protocol, device)
