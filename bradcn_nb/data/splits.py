"""Which frames of SUN RGB-D train and which test: at random as the paper does, or by scene.

A scene is what cannot stand on both sides without a leak. SUN RGB-D names no scenes, but its
folders tell enough:

* `xtion/sun3ddata/PLACE/VIDEO/FRAME`: a place, with all videos of it;
* a day of recording in the name (`2014-06-24_16-14-07`, `2014_10_23-15_09_06`), of all sensors
  together: on 2014-12-18 three of them stood in the same rooms;
* a folder of unnamed frames (`kv1/b3dodata`): all of it, for want of anything finer;
* `SENSOR/rooms/FRAME`, mini-SUN: every frame is a room of its own.

What the names cannot tell: whether one room was visited on two days.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Sequence

from bradcn_nb.errors import DataError

SCHEMES = ("random", "scene")
NYU = "kv1/NYUdata"  # the 1449 labelled frames of NYUv2
DAY = re.compile(r"(20\d\d)[-_](\d\d)[-_](\d\d)[-_]")


def is_nyu(name: str) -> bool:
    """Whether a frame of SUN RGB-D is one of NYUv2's, on which the depth net was trained."""
    return name.startswith(f"{NYU}/")


def scene_of(name: str) -> str:
    """The scene of the frame called `name` (its folder relative to the root; see above)."""
    sensor, *folders = name.split("/")
    if folders[:1] == ["sun3ddata"] and len(folders) > 2:
        return "/".join([sensor, *folders[:2]])
    if day := DAY.search(folders[-1] if folders else ""):
        return "-".join(day.groups())
    if folders[:1] == ["rooms"]:
        return name
    return name.rpartition("/")[0]


def draw(
    names: Sequence[str],
    counts: tuple[int, int],
    seed: int,
    scheme: str = "random",
) -> dict[str, list[str]]:
    """Draw `counts` = (train, test) frames out of `names`; the same names and
    seed give the same draw.

    "random" draws frame by frame, as Section IV-A does; a frame's place
    depends on its name and the seed only. "scene" leaves NYUv2's frames out,
    draws whole scenes for testing, as many as leave enough frames for
    training, and then the frames within each side: no scene is on both sides.
    Ledger: sun-leak. Raises DataError for an unknown scheme or too few frames.
    """
    if scheme not in SCHEMES:
        known = " or ".join(SCHEMES)
        raise DataError(f"SUN RGB-D has no split by {scheme!r}; use {known}")

    def place(item: str) -> bytes:
        return hashlib.sha256(f"{seed}/{item}".encode()).digest()

    def shuffled(items: Sequence[str]) -> list[str]:
        return sorted(items, key=place)

    frames = shuffled(names)
    if scheme == "random":
        _enough("frames", len(frames), sum(counts), counts)
        return {
            "train": frames[: counts[0]],
            "test": frames[counts[0] : sum(counts)],
        }
    frames = [name for name in frames if not is_nyu(name)]
    _enough("frames outside of NYUv2", len(frames), sum(counts), counts)
    testing = _scenes_to_test(frames, counts[0], shuffled)
    test = [name for name in frames if scene_of(name) in testing]
    train = [name for name in frames if scene_of(name) not in testing]
    _enough(
        "frames in scenes that training can spare",
        len(test),
        counts[1],
        counts,
    )
    return {"train": train[: counts[0]], "test": test[: counts[1]]}


def _scenes_to_test(
    frames: Sequence[str], train: int, shuffled: Callable[[Sequence[str]], list[str]]
) -> set[str]:
    """The scenes, drawn one by one, that leave `train` frames to the others."""
    size: dict[str, int] = defaultdict(int)
    for name in frames:
        size[scene_of(name)] += 1
    spare = len(frames) - train
    chosen = set()
    for scene in shuffled(list(size)):
        if size[scene] <= spare:
            chosen.add(scene)
            spare -= size[scene]
    return chosen


def _enough(what: str, have: int, need: int, counts: tuple[int, int]) -> None:
    if have < need:
        raise DataError(
            f"{have} {what}, but {counts[0]} + {counts[1]} are asked for; complete the data set or "
            "lower the counts"
        )


def leaks(train: Sequence[str], test: Sequence[str]) -> list[str]:
    """The frames of `test` whose scene is in `train` as well, in order."""
    known = {scene_of(name) for name in train}
    return [name for name in test if scene_of(name) in known]
