"""What a download holds, lacks and has damaged: `python -m bradcn_nb data verify`.

Every file is decoded, by several processes. What is found goes into a `Report`; a defect that would
stop a training, at its start or in its midst, is told from one that it would not notice.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from bradcn_nb.data.ebb import EBB_FOLDERS, EBB_SPLITS, numbered
from bradcn_nb.data.files import read_picture
from bradcn_nb.data.findings import Defect, Report, compact
from bradcn_nb.data.parallel import each
from bradcn_nb.data.prepared import Prepared, changed_files, read_prepared
from bradcn_nb.errors import DataError

Record = Mapping[str, Any]  # of a prepared folder's manifest; see `prepared`


def verify_ebb(
    root: Path, report: Report, *, jobs: int | None = None, progress: bool = True
) -> None:
    """Check every pair of EBB! below `root` and fill `report`, which keeps what an interruption
    left.

    Source: Section IV-A (4400 / 294). Raises DataError if the folder or its two subfolders are
    missing.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    prepared = manifest_of(root, "ebb", report)
    folders = [numbered(root / name) for name in EBB_FOLDERS]
    for files in (paths for found in folders for paths in found.values()):
        report.defects += [
            Defect("duplicate", short(path, root), f"beside {files[0].name}", True)
            for path in files[1:]
        ]
    splits = {number: split for split, ids in EBB_SPLITS.items() for number in ids}
    numbers = sorted(folders[0].keys() | folders[1].keys())
    others = [number for number in numbers if number not in splits]
    pairs = []
    for number in sorted({*numbers} - {*others}):
        both = [found.get(number) for found in folders]
        record = record_of(prepared, str(number))
        if all(both):
            pairs.append((number, both[0][0], both[1][0], record))
        else:
            path = next(files for files in both if files)[0]
            report.defects.append(Defect("partner", short(path, root), "", True))
            report.defects += changed(root, str(number), record)
    report.items = len(pairs)
    sizes: dict[str, Counter] = {split: Counter() for split in EBB_SPLITS}
    vanished(prepared, map(str, numbers), report)
    try:
        work = each(
            partial(_check_pair, root),
            pairs,
            jobs,
            title="verify",
            unit="pair",
            progress=progress,
        )
        with closing(work) as results:
            for (number, *_), (size, defects) in zip(pairs, results, strict=True):
                report.checked += 1
                report.defects += defects
                if size:
                    sizes[splits[number]][size] += 1
    finally:
        for split, ids in EBB_SPLITS.items():
            have = [number for number, *_ in pairs if number in ids]
            title = "Val294" if split == "test" else split
            report.present.append(
                f"{title}: {len(have)} of {len(ids)} pairs{size_range(sizes[split])}"
            )
            absent = [n for n in ids if not any(n in found for found in folders)]
            if absent:
                report.missing[title] = f"{len(absent)} pairs: {compact(absent)}"
            if not have:
                report.obstacles.append(f"no {split} pair ({ids.start} to {ids.stop - 1})")
        if others:
            report.present.append(f"of no split, not read: {compact(others)}")


def size_range(sizes: Counter) -> str:
    """How large pictures are, e.g. ", 1466 to 1725 wide, 1024 high"; empty for none."""
    text = ""
    for word, side in (("wide", 1), ("high", 0)) if sizes else ():
        low, high = (limit(size[side] for size in sizes) for limit in (min, max))
        text += f", {low} to {high} {word}" if low < high else f", {low} {word}"
    return text


def short(path: Path, root: Path) -> str:
    """A path as the report names it: relative to the root, with slashes."""
    return path.relative_to(root).as_posix()


def defect_of(error: DataError, path: Path, root: Path, fatal: bool = True) -> Defect:
    """A file's error as a defect: its kind, and of its message what lies between name and
    remedy."""
    reason = str(error).removeprefix(f"{path}: ").rpartition(";")[0]
    return Defect(error.kind, short(path, root), reason, fatal)


def _check_pair(
    root: Path, pair: tuple[int, Path, Path, Record | None]
) -> tuple[tuple[int, int] | None, list[Defect]]:
    """The (height, width) of one pair, None if it has none, and its defects."""
    number, *paths, record = pair
    defects, shapes = changed(root, str(number), record), []
    for path in paths:
        try:
            shapes.append(read_picture(path).shape[:2])
        except DataError as error:
            defects.append(defect_of(error, path, root))
    if len({*shapes}) == 2:
        (h, w), (height, width) = shapes
        detail = f"{width}x{height}, its original {w}x{h}"
        defects.append(Defect("size", short(paths[1], root), detail, True))
    return (shapes[0] if len(shapes) == 2 else None), defects


def manifest_of(root: Path, name: str, report: Report) -> Prepared | None:
    """The manifest of a prepared folder, noted in the report; None for originals."""
    prepared = read_prepared(root)
    if prepared is None:
        return None
    if prepared.head["set"] != name:
        raise DataError(f"{root}: was prepared from {prepared.head['set']}; verify it as that")
    height, width = prepared.head["size"]
    report.present.append(
        f"prepared at {width}x{height}, {len(prepared.records)} items on its manifest"
    )
    if not prepared.done:
        report.obstacles.append(
            "its preparation was not finished; run the same `data prepare` again"
        )
    return prepared


def vanished(prepared: Prepared | None, names: Iterable[str], report: Report) -> None:
    """Note the items of a manifest that are no longer among `names`."""
    gone = prepared.records.keys() - {*names} if prepared else ()
    report.defects += [Defect("changed", name, "all of it is gone", True) for name in sorted(gone)]


def record_of(prepared: Prepared | None, name: str) -> Record | None:
    """What the manifest says of an item, {} if nothing; None for originals, which have no
    manifest."""
    return None if prepared is None else prepared.records.get(name, {})


def changed(root: Path, name: str, record: Record | None) -> list[Defect]:
    """The files of an item that are not as its record says; none for originals."""
    if record is None:
        return []
    if not record:
        return [Defect("changed", name, "is not on the manifest", True)]
    return [Defect("changed", path, "", True) for path in changed_files(root, record)]
