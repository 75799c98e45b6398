"""mini-EBB, mini-SUN, mini-check: generated scenes in the layouts and encodings of real sets."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from bradcn_nb.data.files import encode_depth, encoded
from bradcn_nb.data.parallel import each
from bradcn_nb.data.sunrgbd import SUN_SENSORS
from bradcn_nb.errors import DataError
from bradcn_nb.files import write_atomically
from bradcn_nb.scenes import outdoor_scene, room_scene

EBB_SEED = 1_000_000  # scene of pair N has the seed EBB_SEED + N
SUN_SEED = 2_000_000
EBB_TRAIN, EBB_TEST = range(540), range(4480, 4560)  # ids as in EBB!, so its split applies
SUN_FRAMES = range(360)
# In neither: what a training is scored on while it goes on (ledger: check-items).
EBB_CHECK, SUN_CHECK = range(4384, 4400), range(360, 376)
EBB_SIZE, SUN_SIZE = (128, 192), (96, 128)  # (height, width)
JPEG_QUALITY = 87


def _jpeg(picture: np.ndarray) -> bytes:
    eight_bit = np.rint(picture * 255).astype(np.uint8)
    return encoded(eight_bit, "JPEG", quality=JPEG_QUALITY, optimize=True)


def _png(metres: np.ndarray) -> bytes:
    return encoded(encode_depth(metres), "PNG", optimize=True)


def grey_levels_apart(a: bytes, b: bytes) -> float:
    """Return how far two picture files are apart, the mean over their values; 0 for equal bytes.

    With the versions of requirements.lock a scene gives the same bytes again. Another OpenCV or
    Pillow rounds some pixels otherwise: then it is below 2 of 255 (1.3 was seen).
    """
    if a == b:
        return 0.0
    first, second = (
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED).astype(float)
        for data in (a, b)
    )
    return float(np.abs(first - second).mean())


def ebb_files(n: int) -> dict[str, bytes]:
    """Return the files of pair `n` of mini-EBB, path below it -> bytes."""
    cv2.setNumThreads(1)
    sharp, bokeh, _ = outdoor_scene(EBB_SEED + n).pair(*EBB_SIZE)
    return {f"original/{n}.jpg": _jpeg(sharp), f"bokeh/{n}.jpg": _jpeg(bokeh)}


def sun_files(n: int) -> dict[str, bytes]:
    """Return the files of frame `n` of mini-SUN, path below it -> bytes."""
    cv2.setNumThreads(1)
    image, raw, filled = room_scene(SUN_SEED + n).sensed(*SUN_SIZE)
    frame = f"{SUN_SENSORS[n % len(SUN_SENSORS)]}/rooms/{n:04d}"
    return {
        f"{frame}/image/{n:04d}.jpg": _jpeg(image),
        f"{frame}/depth/{n:04d}.png": _png(raw),
        f"{frame}/depth_bfx/{n:04d}.png": _png(filled),
    }


def _write(root: Path, render: Callable[[int], dict[str, bytes]], n: int) -> None:
    for name, data in render(n).items():
        write_atomically(root / name, data)


def make(
    root: str | Path, pairs: int = len(EBB_TRAIN), jobs: int = 2, progress: bool = True
) -> None:
    """Write the mini sets below `root` with `jobs` processes; whatever is there is replaced.

    `pairs` is how many training pairs mini-EBB gets; the first ones are always the same. About
    0.5 s a pair and 0.2 s a frame on one core. Raises DataError if `root` cannot be written, or for
    more pairs than EBB!'s training split has numbers beside those of mini-check.
    """
    if not 1 <= pairs <= EBB_CHECK.start:
        raise DataError(f"{pairs} pairs: there are numbers for {EBB_CHECK.start}; ask for fewer")
    root = Path(root)
    sets = [
        ("mini-ebb", ebb_files, [*range(pairs), *EBB_TEST]),
        ("mini-sun", sun_files, list(SUN_FRAMES)),
        ("mini-check", ebb_files, list(EBB_CHECK)),
        ("mini-check", sun_files, list(SUN_CHECK)),
    ]
    try:
        for name, render, ids in sets:
            write = partial(_write, root / name, render)
            for _ in each(write, ids, jobs, title=name, progress=progress):
                pass
    except OSError as error:
        raise DataError(
            f"{root}: cannot be written ({error.strerror}); name another folder"
        ) from error
