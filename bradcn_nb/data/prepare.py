"""Resized copies of EBB! and SUN RGB-D at the training size: `python -m bradcn_nb data prepare`.

The copy has the layout and the encodings of the originals, so the same readers read it, and give
what they would give from the originals at that size: depths and cameras exactly, pictures but for
their compression. Pictures become JPEGs of quality 98 without colour subsampling. On six real EBB!
pictures at 768x512 that is 48.2 to 50.8 dB beside the exact resize, at 228 kB; a PNG is exact at
589 kB, but takes nearly three times as long to decode, and `bench loading` asks for speed. The best
nets end near 25 dB, where an error of 48 dB moves the PSNR by 0.02 dB (ledger: prepared-jpeg).
"""

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bradcn_nb.data.ebb import EBB_FOLDERS, EBB_SPLITS, numbered
from bradcn_nb.data.files import (
    Size,
    check_same_size,
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
    sha256,
)
from bradcn_nb.data.sunrgbd import (
    INTRINSICS,
    frame_folders,
    only_file,
    read_intrinsics,
    scaled,
)
from bradcn_nb.errors import DataError
from bradcn_nb.files import write_atomically

JPEG = {"format": "JPEG", "quality": 98, "subsampling": 0}
SAMPLES = 24  # items whose copies are made, and not kept, to tell how large all will be
MARGIN = 1.05  # of room on the disk beyond the estimate
BLOCK = 4096  # bytes that a disk gives out at once

Files = dict[str, bytes]  # path, relative to the prepared folder -> contents


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
    """Write a copy of data set `name` ("ebb" or "sunrgbd") below `root` to `out` at `size` (h, w).

    `kind`: the depth of SUN RGB-D that is copied. Only whole files are written, and an item enters
    the manifest when all of its files are there; started again, items whose source and copy are
    unchanged (size and time of the one, sha256 of the other) are kept. Before that `say` tells how
    large the copy will be, by a sample. Bad items are left out and named in the outcome. Raises
    DataError if the source holds nothing, `out` belongs to something else, or the disk is too small
    or fails.
    """
    if root.resolve() == out.resolve():
        raise DataError(f"{out}: is the data set itself; name another folder")
    if read_prepared(root) is not None:
        raise DataError(f"{root}: was prepared itself; name the folder of the originals")
    sources = _ebb_sources(root) if name == "ebb" else _sun_sources(root)
    make = partial(_ebb_item, size) if name == "ebb" else partial(_sun_item, size, kind)
    head = {
        "format": FORMAT,
        "set": name,
        "size": [*size],
        "kind": kind if name == "sunrgbd" else None,
        "encoding": JPEG,
    }
    before = _earlier(out, head)
    planned = [source for item, source in sources.items() if item not in before.records]
    _announce(out, make, planned, size, jobs, say)
    outcome = Outcome()
    tasks = [(item, source, before.records.get(item)) for item, source in sources.items()]
    renew = partial(_renew, make, out)
    try:
        for leftover in out.rglob(".*.tmp"):  # of a run that was killed
            leftover.unlink()
        if not (out / MANIFEST).exists():
            write_atomically(out / MANIFEST, json.dumps(head).encode() + b"\n")
        append(out, {"begun": len(tasks)})  # until it is done again, nobody reads it
        work = each(renew, tasks, jobs, title="prepare", unit="item", progress=progress)
        with closing(work) as results:
            for (item, _, old), (record, error, made) in zip(tasks, results, strict=True):
                if record != old:
                    append(out, record or {"id": item, "files": {}})
                if error:
                    outcome.bad[item] = error
                    continue
                outcome.made += made
                outcome.kept += not made
                outcome.bytes += sum(length for length, _ in record["files"].values())
        append(out, {"done": outcome.kept + outcome.made})
    except OSError as error:
        raise DataError(
            f"{out}: cannot be written ({error.strerror}); free the disk or its rights, and "
            "run the "
            "same command again: it goes on"
        ) from error
    return outcome


def _ebb_sources(root: Path) -> dict[str, tuple[list[Path], ...]]:
    """Id -> the files of one pair, normally one in each folder; raises DataError if there is
    none."""
    folders = [numbered(root / folder) for folder in EBB_FOLDERS]
    known = {number for ids in EBB_SPLITS.values() for number in ids}
    numbers = sorted((folders[0].keys() | folders[1].keys()) & known)
    if not numbers:
        raise DataError(f"{root}: no pair; EBB! is original/N.jpg and bokeh/N.jpg")
    return {str(n): tuple(found.get(n, []) for found in folders) for n in numbers}


def _sun_sources(root: Path) -> dict[str, tuple[str, Path]]:
    """Id -> id and folder of one frame; raises DataError if there is none."""
    return {name: (name, folder) for name, folder in frame_folders(root).items()}


def _ebb_item(size: Size, source: tuple[list[Path], ...]) -> tuple[list[Path], Callable[[], Files]]:
    """The two files of a pair, and what makes their copies; DataError unless there are two."""
    paths = [path for files in source for path in files]
    if [len(files) for files in source] != [1, 1]:
        raise DataError(f"{paths[0]}: has no partner, or a double; restore the pair")

    def make() -> Files:
        pictures = [read_picture(path) for path in paths]
        check_same_size(paths[0], pictures[0], paths[1], pictures[1])
        return {
            f"{path.parent.name}/{int(path.stem)}.jpg": _jpeg(resize_picture(picture, size))
            for path, picture in zip(paths, pictures, strict=True)
        }

    return paths, make


def _sun_item(
    size: Size, kind: str, source: tuple[str, Path]
) -> tuple[list[Path], Callable[[], Files]]:
    """The files of a frame, and what makes their copies; DataError if picture or depth is
    missing."""
    name, folder = source
    picture_path, depth_path = only_file(folder / "image"), only_file(folder / kind)
    camera_path = folder / INTRINSICS
    try:
        camera = read_intrinsics(camera_path)
    except DataError:  # training does not need it; `data verify` tells
        camera = None

    def make() -> Files:
        picture = read_picture(picture_path, upright=False)
        depth = read_raw_depth(depth_path)
        check_same_size(picture_path, picture, depth_path, depth)
        files = {
            f"{name}/image/{picture_path.stem}.jpg": _jpeg(resize_picture(picture, size)),
            f"{name}/{kind}/{depth_path.stem}.png": _png(resize_nearest(depth, size)),
        }
        if camera is not None:
            rows = scaled(camera, picture.shape[:2], size).tolist()
            text = "\n".join(" ".join(map(repr, row)) for row in rows)  # all digits
            files[f"{name}/{INTRINSICS}"] = f"{text}\n".encode()
        return files

    return [picture_path, depth_path] + [camera_path] * (camera is not None), make


def _jpeg(picture: np.ndarray) -> bytes:
    data = BytesIO()
    Image.fromarray(picture).save(data, **JPEG)
    return data.getvalue()


def _png(raw: np.ndarray) -> bytes:
    data = BytesIO()
    Image.fromarray(raw).save(data, "PNG")
    return data.getvalue()


def _renew(
    plan: Callable[[Any], tuple[list[Path], Callable[[], Files]]],
    out: Path,
    task: tuple[str, Any, dict[str, Any] | None],
) -> tuple[dict[str, Any] | None, str, bool]:
    """Make one item unless its `old` record holds; return its record or None, why not, whether
    made.
    """
    item, source, old = task
    files_before = old["files"] if old else {}
    try:
        paths, make = plan(source)
        states = [path.stat() for path in paths]
        now = [[p.name, s.st_size, s.st_mtime_ns] for p, s in zip(paths, states, strict=True)]
        if old and old["source"] == now and not changed_files(out, old):
            return old, "", False
        files, error = make(), ""
    except DataError as broken:
        files, error = {}, str(broken)
    for path, data in files.items():
        write_atomically(out / path, data)
    for path in files_before.keys() - files.keys():
        (out / path).unlink(missing_ok=True)
    if error:
        return None, error, False
    digests = {path: [len(data), sha256(data)] for path, data in files.items()}
    return {"id": item, "source": now, "files": digests}, "", True


def _earlier(out: Path, head: dict[str, Any]) -> Prepared:
    """What an earlier run left in `out`; DataError if that is anything but the same preparation."""
    before = read_prepared(out)
    if before is None:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise DataError(f"{out}: is not an empty folder; choose another one")
        return Prepared(head)
    for key, value in head.items():
        if before.head.get(key) != value:
            raise DataError(
                f"{out}: was prepared with {key} = {before.head.get(key)}, not {value}; choose "
                "another "
                "folder, or delete this one"
            )
    return before


def _announce(
    out: Path,
    plan: Callable[[Any], tuple[list[Path], Callable[[], Files]]],
    planned: Sequence[Any],
    size: Size,
    jobs: int | None,
    say: Callable[[str], None],
) -> None:
    """Say how large the copies of `planned` sources will be; DataError if the disk has less
    room."""
    if not planned:
        say(f"{out}: nothing new to make at {size[1]}x{size[0]}; what is there is checked")
        return
    step = max(1, len(planned) // SAMPLES)
    sizes = [found for found in each(partial(_bytes, plan), planned[::step], jobs) if found]
    needed = sum(sizes) / max(len(sizes), 1) * len(planned)
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    say(
        f"{out}: {len(planned)} items to make at {size[1]}x{size[0]}, about {amount(needed)} "
        "on the disk "
        f"by a sample of {len(sizes)}; {amount(free)} are free"
    )
    if needed * MARGIN > free:
        raise DataError(f"{out}: the disk has too little room; free it, or choose another --out")


def amount(count: float) -> str:
    """A number of bytes for people: "1.4 MB", "2.31 GB"."""
    return f"{count / 1e6:.3g} MB" if count < 1e9 else f"{count / 1e9:.3g} GB"


def _bytes(plan: Callable[[Any], tuple[list[Path], Callable[[], Files]]], source: Any) -> int:
    """How much of the disk the copy of one source takes, in whole blocks; 0 for a bad source."""
    try:
        return sum(-(-len(data) // BLOCK) * BLOCK for data in plan(source)[1]().values())
    except DataError:
        return 0
