"""What a download of SUN RGB-D holds, lacks and has damaged: `data verify sunrgbd`."""

from functools import partial
from pathlib import Path

import numpy as np

from bradcn_nb.data.files import decode_depth, read_picture, read_raw_depth
from bradcn_nb.data.inventory import Facts, Inventory, as_ranges
from bradcn_nb.data.splits import NYU, is_nyu, leaks, scene_of, split_frames
from bradcn_nb.data.sunrgbd import (
    INTRINSICS,
    SUN_KINDS,
    SUN_SENSORS,
    frame_folders,
    only_file,
    read_intrinsics,
)
from bradcn_nb.data.verify import check_all, manifest_of, note_vanished, size_range
from bradcn_nb.errors import DataError

# Song et al. 2015: 1449 frames of NYUv2 and 554 of B3DO, then those of the other three sensors.
SUN_FRAMES = {"kv1": 2003, "kv2": 3784, "realsense": 1159, "xtion": 3389}
NYU_FRAMES = [f"{NYU}/NYU{number:04}" for number in range(1, 1450)]
EDGES_M = np.arange(0, 8.2, 0.1)  # of the depths' histogram; beyond the last one counts as 8 m


def verify_sun(
    root: Path,
    inventory: Inventory,
    counts: tuple[int, int],
    seed: int = 0,
    *,
    jobs: int | None = None,
    progress: bool = True,
) -> None:
    """Check every frame of SUN RGB-D below `root` and fill `inventory`, as `verify_ebb` does.

    `counts` = (train, test) frames that the training wants to draw by `seed`. Raw depth and cameras
    are looked at, too, but training reads only the pictures and one kind of depth. Source: Section
    IV-A; Song et al. 2015 for the number of frames. Raises DataError if there is no frame.
    """
    folders = frame_folders(root)
    prepared = manifest_of(root, "sunrgbd", inventory)
    kinds = (prepared.head["kind"],) if prepared else SUN_KINDS
    note_vanished(prepared, folders, inventory)
    seen: dict[str, list[Facts]] = {sensor: [] for sensor in SUN_SENSORS}

    def note(name: str, facts: Facts) -> None:
        seen[name.partition("/")[0]].append(facts)

    try:
        check = partial(_check_frame, kinds)
        check_all(inventory, root, prepared, folders, check, note, "frame", jobs, progress)
    finally:
        for sensor, frames in seen.items():
            extent = size_range([facts.size for facts in frames if facts.size])
            count = sum(name.startswith(f"{sensor}/") for name in folders)
            inventory.present.append(f"{sensor}: {count} of {SUN_FRAMES[sensor]} frames{extent}")
            inventory.present += _depth_lines(frames, kinds)
            if count < SUN_FRAMES[sensor]:
                inventory.missing[sensor] = f"{SUN_FRAMES[sensor] - count} frames"
        if absent := [name for name in NYU_FRAMES if name not in folders]:
            inventory.missing["of them NYUv2's"] = as_ranges(absent)
        _note_splits(inventory, list(folders), counts, seed)


def _depth_lines(frames: list[Facts], kinds: tuple[str, ...]) -> list[str]:
    """How far each kind of depth goes, and how much of it is missing."""
    lines = []
    for kind in kinds:
        depths = [facts.depths[kind] for facts in frames if kind in facts.depths]
        histogram = sum(histogram for histogram, _ in depths)
        if not np.any(histogram):
            continue
        share = histogram.cumsum() / histogram.sum()
        low, middle, high = (EDGES_M[np.searchsorted(share, q)] for q in (0.05, 0.5, 0.95))
        holes = 100 * np.mean([holes for _, holes in depths])
        lines.append(
            f"  {kind}: 5 % below {low:.1f} m, half below {middle:.1f} m, 95 % below {high:.1f} m; "
            f"{holes:.1f} % holes"
        )
    return lines


def _note_splits(
    inventory: Inventory, names: list[str], counts: tuple[int, int], seed: int
) -> None:
    """Say what both splits would draw, and what the random one leaks."""
    asked = f"{counts[0]} + {counts[1]}, seed {seed}"
    inventory.nyu["all"] = [name for name in names if is_nyu(name)]
    try:
        drawn = split_frames(names, counts, seed, "random")
    except DataError as error:
        inventory.obstacles.append(str(error))
        return
    for split, ids in drawn.items():
        inventory.nyu[f"random {split}"] = sorted(name for name in ids if is_nyu(name))
    inventory.present.append(
        f"random split ({asked}): {len(leaks(**drawn))} test frames share their scene with "
        f"training, {len(inventory.nyu['random test'])} are NYUv2's"
    )
    try:
        drawn = split_frames(names, counts, seed, "scene")
    except DataError as error:
        inventory.present.append(f"no split by scene: {error}")
        return
    train, test = (len({*map(scene_of, drawn[split])}) for split in ("train", "test"))
    inventory.present.append(f"split by scene ({asked}): {train} scenes train, {test} others test")


def _check_frame(kinds: tuple[str, ...], facts: Facts, folder: Path) -> None:
    read_upright = partial(read_picture, upright=False)
    for part, read in (("image", read_upright), *((kind, read_raw_depth) for kind in kinds)):
        fatal = part in ("image", kinds[0])  # training reads no other kind of depth
        path = facts.read(only_file, folder / part, fatal)
        content = path and facts.read(read, path, fatal)
        if content is None:
            continue
        if part == "image":
            facts.size = content.shape[:2]
            continue
        if facts.size and content.shape != facts.size:
            (height, width), (h, w) = content.shape, facts.size
            facts.add("size", folder / part, f"{width}x{height}, its picture {w}x{h}", fatal)
        known = np.minimum(decode_depth(content[content > 0]), EDGES_M[-2])
        facts.depths[part] = np.histogram(known, EDGES_M)[0], 1 - known.size / content.size
    facts.read(read_intrinsics, folder / INTRINSICS, False)
