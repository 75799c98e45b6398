"""Resized copies of EBB! and SUN RGB-D at the training size: `python -m bradcn_nb data prepare`.

The copy has the layout and the encodings of the originals, so the same readers read it, and give
what they would give from the originals at that size: depths and cameras exactly, pictures but for
their compression. Pictures become JPEGs of quality 98 without colour subsampling. On six real EBB!
pictures at 768x512 that is 48.2 to 50.8 dB beside the exact resize, at 228 kB; a PNG is exact at
589 kB, but takes nearly three times as long to decode, and `bench loading` asks for speed. The best
nets end near 25 dB, where an error of 48 dB moves the PSNR by 0.02 dB (ledger: prepared-jpeg).
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bradcn_nb.data.ebb import EBB_FOLDERS, EBB_SPLITS, numbered
from bradcn_nb.data.files import (
    Size,
    check_same_size,
    encoded,
    read_picture,
    read_raw_depth,
    resize_nearest,
    resize_picture,
)
from bradcn_nb.data.parallel import each
from bradcn_nb.data.prepared import (
    FORMAT,
    MANIFEST,
    Prepared,
    append,
    changed_files,
    read_prepared,
)
from bradcn_nb.data.sunrgbd import INTRINSICS, frame_folders, only_file, read_intrinsics, scaled
from bradcn_nb.errors import DataError
from bradcn_nb.files import is_unused, write_atomically

JPEG = {"format": "JPEG", "quality": 98, "subsampling": 0}
SAMPLES = 24  # items whose copies are made, and not kept, to tell how large all will be
MARGIN = 1.05  # of room on the disk beyond the estimate
BLOCK = 4096  # bytes that a disk gives out at once

Record = dict[str, Any]  # of an item in a manifest, see `Prepared`


@dataclass
class Outcome:
    """What `prepare` did: items made, kept from an earlier run, and bad ones with their errors."""

    made: int = 0
    kept: int = 0
    bytes: int = 0  # of all items that are there now
    bad: dict[str, str] = field(default_factory=dict)


def prepare(
    name: str,
    root: Path,
    out: Path,
    size: Size,
    *,
    kind: str = "depth_bfx",
    jobs: int | None = None,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> Outcome:
    """Write a resized copy of a data set; started again, keep what is unchanged and finish it.

    * `name`: "ebb" or "sunrgbd"; it lies below `root`, its copy below `out`.
    * `size`: (height, width) of the copy; `kind`: the depth of SUN RGB-D that is copied.
    * `jobs`, `progress`: as in `each`.
    * `say`: is told how large the copy will be, by a sample.

    Only whole files are written, and an item enters the manifest when all of its files are there.
    It is unchanged if its source has the same sizes and times, and its copy the same sha256. Bad
    items are left out and named in the outcome. Raises DataError if the source holds nothing, `out`
    belongs to something else, or the disk is too small or fails.
    """
    if root.resolve() == out.resolve():
        raise DataError(f"{out}: is the data set itself; name another folder")
    if read_prepared(root) is not None:
        raise DataError(f"{root}: was prepared itself; name the folder of the originals")
    originals = _Pairs(root, size) if name == "ebb" else _Frames(root, size, kind)
    sources = originals.sources()
    depth = None if name == "ebb" else kind
    head = {"format": FORMAT, "set": name, "size": [*size], "kind": depth, "encoding": JPEG}
    records = _earlier(out, head).records
    _announce(originals, out, [s for item, s in sources.items() if item not in records], jobs, say)
    outcome = Outcome()
    tasks = [(item, source, records.get(item)) for item, source in sources.items()]
    try:
        for leftover in out.rglob(".*.tmp"):  # of a run that was killed
            leftover.unlink()
        if not (out / MANIFEST).exists():
            write_atomically(out / MANIFEST, json.dumps(head).encode() + b"\n")
        append(out, {"begun": len(tasks)})  # until it is done again, nobody reads it
        renew = partial(_renew, originals, out)
        work = each(renew, tasks, jobs, title="prepare", unit="item", progress=progress)
        with closing(work) as results:
            for (item, _, old), (record, error, made) in zip(tasks, results, strict=True):
                if record != old:
                    append(out, record or {"id": item, "files": {}})
                if record is None:
                    outcome.bad[item] = error
                    continue
                outcome.made += made
                outcome.kept += not made
                outcome.bytes += sum(length for length, _ in record["files"].values())
        append(out, {"done": outcome.kept + outcome.made})
    except OSError as error:
        raise DataError(
            f"{out}: cannot be written ({error.strerror}); free the disk or its rights, and "
            "run the same command again: it goes on"
        ) from error
    return outcome


@dataclass(frozen=True)
class _Pairs:
    """The originals of EBB!; a pair's source is its files by folder, normally one in each."""

    root: Path
    size: Size

    def sources(self) -> dict[str, list[list[Path]]]:
        """Id -> source of every pair; raises DataError if there is none."""
        folders = [numbered(self.root / folder) for folder in EBB_FOLDERS]
        known = {number for ids in EBB_SPLITS.values() for number in ids}
        numbers = sorted({*folders[0], *folders[1]} & known)
        if not numbers:
            raise DataError(f"{self.root}: no pair; EBB! is original/N.jpg and bokeh/N.jpg")
        return {str(number): [files.get(number, []) for files in folders] for number in numbers}

    def paths(self, source: list[list[Path]]) -> list[Path]:
        """The two files; raises DataError unless there are two."""
        paths = [path for files in source for path in files]
        if [len(files) for files in source] != [1, 1]:
            raise DataError(f"{paths[0]}: has no partner, or a double; restore the pair")
        return paths

    def copies(self, paths: list[Path]) -> dict[str, bytes]:
        """What is written for a pair, path below the copy -> contents; DataError if it is bad."""
        pictures = [read_picture(path) for path in paths]
        check_same_size(paths[0], pictures[0], paths[1], pictures[1])
        return {
            f"{path.parent.name}/{int(path.stem)}.jpg": encoded(
                resize_picture(picture, self.size), **JPEG
            )
            for path, picture in zip(paths, pictures, strict=True)
        }


@dataclass(frozen=True)
class _Frames:
    """The originals of SUN RGB-D; a frame's source is its folder. The methods as in `_Pairs`."""

    root: Path
    size: Size
    kind: str

    def sources(self) -> dict[str, Path]:
        return frame_folders(self.root)

    def paths(self, folder: Path) -> list[Path]:
        paths = [only_file(folder / "image"), only_file(folder / self.kind)]
        try:
            read_intrinsics(folder / INTRINSICS)
        except DataError:  # training does not need it; `data verify` tells
            return paths
        return [*paths, folder / INTRINSICS]

    def copies(self, paths: list[Path]) -> dict[str, bytes]:
        picture, depth = read_picture(paths[0], upright=False), read_raw_depth(paths[1])
        check_same_size(paths[0], picture, paths[1], depth)
        image = encoded(resize_picture(picture, self.size), **JPEG)
        files = {paths[0].with_suffix(".jpg"): image}
        files[paths[1].with_suffix(".png")] = encoded(resize_nearest(depth, self.size), "PNG")
        for path in paths[2:]:
            camera = scaled(read_intrinsics(path), picture.shape[:2], self.size)
            text = "\n".join(" ".join(map(repr, row)) for row in camera.tolist())  # all digits
            files[path] = f"{text}\n".encode()
        return {path.relative_to(self.root).as_posix(): data for path, data in files.items()}


def _renew(
    originals: _Pairs | _Frames, out: Path, task: tuple[str, Any, Record | None]
) -> tuple[Record | None, str, bool]:
    """Make one item unless its old record holds; return its record or None, why not, if made."""
    item, source, old = task
    try:
        paths = originals.paths(source)
        states = [(path.name, path.stat()) for path in paths]
        now = [[name, state.st_size, state.st_mtime_ns] for name, state in states]
        if old and old["source"] == now and not changed_files(out, old):
            return old, "", False
        files, error = originals.copies(paths), ""
    except DataError as broken:
        files, error = {}, str(broken)
    for path, data in files.items():
        write_atomically(out / path, data)
    for path in (old or {"files": {}})["files"].keys() - files.keys():
        (out / path).unlink(missing_ok=True)
    if error:
        return None, error, False
    digests = {path: [len(data), hashlib.sha256(data).hexdigest()] for path, data in files.items()}
    return {"id": item, "source": now, "files": digests}, "", True


def _earlier(out: Path, head: Record) -> Prepared:
    """What an earlier run left in `out`; DataError if that is not the same preparation."""
    before = read_prepared(out)
    if before is None:
        if not is_unused(out):
            raise DataError(f"{out}: is not an empty folder; choose another one")
        return Prepared(head)
    for key, value in head.items():
        if before.head.get(key) != value:
            raise DataError(
                f"{out}: was prepared with {key} = {before.head.get(key)}, not {value}; choose "
                "another folder, or delete this one"
            )
    return before


def _announce(
    originals: _Pairs | _Frames,
    out: Path,
    planned: Sequence[Any],
    jobs: int | None,
    say: Callable[[str], None],
) -> None:
    """Say how large the copies of `planned` sources will be; DataError if the disk is smaller."""
    height, width = originals.size
    if not planned:
        say(f"{out}: nothing new to make at {width}x{height}; what is there is checked")
        return
    sample = planned[:: max(1, len(planned) // SAMPLES)]
    sizes = [*filter(None, each(partial(_disk_bytes, originals), sample, jobs))]
    needed = sum(sizes) / max(len(sizes), 1) * len(planned)
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    say(
        f"{out}: {len(planned)} items to make at {width}x{height}, about {amount(needed)} "
        f"on the disk by a sample of {len(sizes)}; {amount(free)} are free"
    )
    if needed * MARGIN > free:
        raise DataError(f"{out}: the disk has too little room; free it, or choose another --out")


def _disk_bytes(originals: _Pairs | _Frames, source: Any) -> int:
    """How much of the disk the copy of one source takes, in whole blocks; 0 for a bad source."""
    try:
        copies = originals.copies(originals.paths(source))
    except DataError:
        return 0
    return sum(-(-len(data) // BLOCK) * BLOCK for data in copies.values())


def amount(count: float) -> str:
    """A number of bytes for people: "1.4 MB", "2.31 GB"."""
    return f"{count / 1e6:.3g} MB" if count < 1e9 else f"{count / 1e9:.3g} GB"
