"""What a download of EBB! holds, lacks and has damaged: `python -m bradcn_nb data verify ebb`.

Every file is decoded, by several processes. A defect that would stop a training, at its start or in
its midst, is told from one that it would not notice.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from bradcn_nb.data.ebb import EBB_FOLDERS, EBB_SPLITS, numbered
from bradcn_nb.data.files import Size, read_picture
from bradcn_nb.data.inventory import Defect, Facts, Inventory, as_ranges
from bradcn_nb.data.parallel import each
from bradcn_nb.data.prepared import Prepared, changed_files, read_prepared
from bradcn_nb.errors import DataError

Item, Record = TypeVar("Item"), Mapping[str, Any] | None


def verify_ebb(
    root: Path, inventory: Inventory, *, jobs: int | None = None, progress: bool = True
) -> None:
    """Check every pair of EBB! below `root` and fill `inventory`, also where it is interrupted.

    `jobs` processes, None for one a core. Source: Section IV-A (4400 / 294). Raises DataError if
    the folder or its two subfolders are missing.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    prepared = manifest_of(root, "ebb", inventory)
    folders = [numbered(root / name) for name in EBB_FOLDERS]
    whole = Facts(root, inventory.defects)
    for files in (files for folder in folders for files in folder.values()):
        for path in files[1:]:
            whole.add("duplicate", path, f"beside {files[0].name}")
    splits = {number: split for split, ids in EBB_SPLITS.items() for number in ids}
    numbers = {*folders[0], *folders[1]}
    pairs = {}
    for number in sorted(numbers & splits.keys()):
        files = [folder[number][0] for folder in folders if number in folder]
        if len(files) == 2:
            pairs[str(number)] = files
        else:
            whole.add("partner", files[0], "")
            inventory.defects += _changes(root, str(number), _record(prepared, str(number)))
    note_vanished(prepared, map(str, numbers), inventory)
    sizes: dict[str, list[Size]] = {split: [] for split in EBB_SPLITS}

    def note(name: str, facts: Facts) -> None:
        sizes[splits[int(name)]] += [facts.size] * bool(facts.size)

    try:
        check_all(inventory, root, prepared, pairs, _check_pair, note, "pair", jobs, progress)
    finally:
        for split, ids in EBB_SPLITS.items():
            count = sum(int(name) in ids for name in pairs)
            title = "Val294" if split == "test" else split
            extent = size_range(sizes[split])
            inventory.present.append(f"{title}: {count} of {len(ids)} pairs{extent}")
            if absent := [number for number in ids if number not in numbers]:
                inventory.missing[title] = f"{len(absent)} pairs: {as_ranges(absent)}"
            if not count:
                inventory.obstacles.append(f"no {split} pair ({ids.start} to {ids.stop - 1})")
        if others := sorted(numbers - splits.keys()):
            inventory.present.append(f"of no split, not read: {as_ranges(others)}")


def _check_pair(facts: Facts, paths: list[Path]) -> None:
    pictures = [facts.read(read_picture, path) for path in paths]
    shapes = [picture.shape[:2] for picture in pictures if picture is not None]
    if len(shapes) == 2:
        facts.size = shapes[0]
        if shapes[0] != shapes[1]:
            (h, w), (height, width) = shapes
            facts.add("size", paths[1], f"{width}x{height}, its original {w}x{h}")


def check_all(
    inventory: Inventory,
    root: Path,
    prepared: Prepared | None,
    items: Mapping[str, Item],
    check: Callable[[Facts, Item], None],
    note: Callable[[str, Facts], None],
    unit: str,
    jobs: int | None,
    progress: bool,
) -> None:
    """Check the items below `root` that are there, and enter their defects in the inventory.

    * `prepared`: the folder's manifest, against which all files are held; None for originals.
    * `items`: the name of each -> what `check` needs to complete its facts, in another process.
    * `note`: takes name and facts in this process.
    * `unit`: what the bar calls an item; `jobs`, `progress`: as in `each`.
    """
    inventory.items = len(items)
    tasks = [(name, item, _record(prepared, name)) for name, item in items.items()]
    work = partial(_facts, root, check)
    checks = each(work, tasks, jobs, title="verify", unit=unit, progress=progress)
    with closing(checks) as results:
        for name, facts in zip(items, results, strict=True):
            inventory.checked += 1
            inventory.defects += facts.defects
            note(name, facts)


def _facts(
    root: Path, check: Callable[[Facts, Item], None], task: tuple[str, Item, Record]
) -> Facts:
    name, item, record = task
    facts = Facts(root, _changes(root, name, record))
    check(facts, item)
    return facts


def _record(prepared: Prepared | None, name: str) -> Record:
    """What a manifest says of an item: {} if nothing; None for originals, which have none."""
    return prepared and prepared.records.get(name, {})


def _changes(root: Path, name: str, record: Record) -> list[Defect]:
    """The files of an item that are not as its record says."""
    if record is None:
        return []
    if not record:
        return [Defect("changed", name, "is not on the manifest", True)]
    return [Defect("changed", path, "", True) for path in changed_files(root, record)]


def size_range(sizes: Sequence[Size]) -> str:
    """How large pictures are, e.g. ", 1466 to 1725 wide, 1024 high"; empty for none."""
    text = ""
    for word, side in (("wide", 1), ("high", 0)) if sizes else ():
        low, high = (limit(size[side] for size in sizes) for limit in (min, max))
        text += f", {low} to {high} {word}" if low < high else f", {low} {word}"
    return text


def manifest_of(root: Path, name: str, inventory: Inventory) -> Prepared | None:
    """The manifest of a prepared folder, noted in the inventory; None for originals.

    Raises DataError if another data set than `name` was prepared, or the manifest is damaged.
    """
    prepared = read_prepared(root)
    if prepared is None:
        return None
    if prepared.head["set"] != name:
        raise DataError(f"{root}: was prepared from {prepared.head['set']}; verify it as that")
    (height, width), count = prepared.head["size"], len(prepared.records)
    inventory.present.append(f"prepared at {width}x{height}, {count} items on its manifest")
    if not prepared.done:
        obstacle = "its preparation was not finished; run the same `data prepare` again"
        inventory.obstacles.append(obstacle)
    return prepared


def note_vanished(prepared: Prepared | None, names: Iterable[str], inventory: Inventory) -> None:
    """Enter the items of a manifest that are no longer among `names`."""
    for name in sorted(prepared.records.keys() - {*names}) if prepared else ():
        inventory.defects.append(Defect("changed", name, "all of it is gone", True))
