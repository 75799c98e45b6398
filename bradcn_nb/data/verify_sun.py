"""What a download of SUN RGB-D holds, lacks and has damaged: `data verify sunrgbd`."""

from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bradcn_nb.data.files import decode_depth, read_picture, read_raw_depth
from bradcn_nb.data.findings import Defect, Report, compact
from bradcn_nb.data.parallel import each
from bradcn_nb.data.splits import NYU, draw, is_nyu, leaks, scene_of
from bradcn_nb.data.sunrgbd import (
    INTRINSICS,
    SUN_KINDS,
    SUN_SENSORS,
    frame_folders,
    only_file,
    read_intrinsics,
)
from bradcn_nb.data.verify import (
    Record,
    changed,
    defect_of,
    manifest_of,
    record_of,
    size_range,
    vanished,
)
from bradcn_nb.errors import DataError

# Song et al. 2015: 1449 frames of NYUv2 and 554 of B3DO, then those of the other three sensors.
SUN_FRAMES = {"kv1": 2003, "kv2": 3784, "realsense": 1159, "xtion": 3389}
NYU_FRAMES = [f"{NYU}/NYU{number:04}" for number in range(1, 1450)]
EDGES_M = np.arange(0, 8.2, 0.1)  # of the depths' histogram; beyond the last one counts as 8 m


def verify_sun(
    root: Path,
    report: Report,
    counts: tuple[int, int],
    seed: int = 0,
    *,
    jobs: int | None = None,
    progress: bool = True,
) -> None:
    """Check every frame of SUN RGB-D below `root` and fill `report`, as `verify_ebb` does.

    `counts` = (train, test) frames that the training wants to draw by `seed`. Raw depth and cameras
    are looked at, too, but training reads only the pictures and one kind of depth. Source: Section
    IV-A; Song et al. 2015 for the number of frames. Raises DataError if there is no frame.
    """
    folders = frame_folders(root)
    prepared = manifest_of(root, "sunrgbd", report)
    needed = prepared.head["kind"] if prepared else "depth_bfx"
    kinds = (needed,) if prepared else SUN_KINDS
    vanished(prepared, folders, report)
    report.items = len(folders)
    sensors = {sensor: _Sensor() for sensor in SUN_SENSORS}
    items = [(name, record_of(prepared, name)) for name in folders]
    try:
        work = each(
            partial(_check_frame, root, kinds),
            items,
            jobs,
            title="verify",
            unit="frame",
            progress=progress,
        )
        with closing(work) as results:
            for name, facts in zip(folders, results, strict=True):
                report.checked += 1
                report.defects += facts.defects
                sensors[name.partition("/")[0]].add(facts)
    finally:
        for sensor, seen in sensors.items():
            names = [name for name in folders if name.startswith(f"{sensor}/")]
            report.present.append(
                f"{sensor}: {len(names)} of {SUN_FRAMES[sensor]} frames{size_range(seen.sizes)}"
            )
            report.present += seen.depth_lines(kinds)
            lacking = SUN_FRAMES[sensor] - len(names)
            if lacking > 0:
                report.missing[sensor] = f"{lacking} frames"
        absent = [name for name in NYU_FRAMES if name not in folders]
        if absent:
            report.missing["of them NYUv2's"] = compact(absent)
        _splits(report, list(folders), counts, seed)


def _splits(report: Report, names: list[str], counts: tuple[int, int], seed: int) -> None:
    """Say what both splits would draw, and what the random one leaks."""
    asked = f"{counts[0]} + {counts[1]}, seed {seed}"
    report.nyu["all"] = [name for name in names if is_nyu(name)]
    try:
        drawn = draw(names, counts, seed, "random")
        shared = len(leaks(drawn["train"], drawn["test"]))
        for split, ids in drawn.items():
            report.nyu[f"random {split}"] = sorted(name for name in ids if is_nyu(name))
        report.present.append(
            f"random split ({asked}): {shared} test frames share their scene with training, "
            f"{len(report.nyu['random test'])} are NYUv2's"
        )
    except DataError as error:
        report.obstacles.append(str(error))
        return
    try:
        scenes = {
            split: len({*map(scene_of, ids)})
            for split, ids in draw(names, counts, seed, "scene").items()
        }
        report.present.append(
            f"split by scene ({asked}): {scenes['train']} scenes train, {scenes['test']} "
            "others test"
        )
    except DataError as error:
        report.present.append(f"no split by scene: {error}")


@dataclass
class _Facts:
    """What one frame told: (height, width), defects, and by kind of depth a histogram and its
    holes.
    """

    size: tuple[int, int] | None = None
    defects: list[Defect] = field(default_factory=list)
    depths: dict[str, np.ndarray] = field(default_factory=dict)
    holes: dict[str, float] = field(default_factory=dict)


def _check_frame(root: Path, kinds: tuple[str, ...], item: tuple[str, Record | None]) -> _Facts:
    name, record = item
    folder, facts = root / name, _Facts(defects=changed(root, name, record))

    def attempt(part: str, read: Any, fatal: bool) -> np.ndarray | None:
        path = folder / part
        try:
            if part != INTRINSICS:
                path = only_file(path)
            return read(path)
        except DataError as error:
            facts.defects.append(defect_of(error, path, root, fatal))
            return None

    picture = attempt("image", partial(read_picture, upright=False), True)
    facts.size = None if picture is None else picture.shape[:2]
    for kind in kinds:
        raw = attempt(kind, read_raw_depth, kind == kinds[0])
        if raw is None:
            continue
        if picture is not None and raw.shape != facts.size:
            detail = f"{raw.shape[1]}x{raw.shape[0]}, its picture {facts.size[1]}x{facts.size[0]}"
            facts.defects.append(Defect("size", f"{name}/{kind}", detail, kind == kinds[0]))
        known = np.minimum(decode_depth(raw[raw > 0]), EDGES_M[-2])
        facts.depths[kind] = np.histogram(known, EDGES_M)[0]
        facts.holes[kind] = 1 - known.size / raw.size
    attempt(INTRINSICS, read_intrinsics, False)
    return facts


class _Sensor:
    """The frames of one sensor, summed up."""

    def __init__(self) -> None:
        self.sizes: Counter = Counter()
        self.depths: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(len(EDGES_M) - 1, int))
        self.holes: dict[str, list[float]] = defaultdict(list)

    def add(self, facts: _Facts) -> None:
        if facts.size:
            self.sizes[facts.size] += 1
        for kind, histogram in facts.depths.items():
            self.depths[kind] += histogram
            self.holes[kind].append(facts.holes[kind])

    def depth_lines(self, kinds: tuple[str, ...]) -> list[str]:
        """How far each kind of depth goes, and how much of it is missing."""
        lines = []
        for kind in kinds:
            if self.depths[kind].any():
                share = self.depths[kind].cumsum() / self.depths[kind].sum()
                low, middle, high = (EDGES_M[np.searchsorted(share, q)] for q in (0.05, 0.5, 0.95))
                lines.append(
                    f"  {kind}: 5 % below {low:.1f} m, half below {middle:.1f} m, 95 % below "
                    f"{high:.1f} m; {100 * np.mean(self.holes[kind]):.1f} % holes"
                )
        return lines
