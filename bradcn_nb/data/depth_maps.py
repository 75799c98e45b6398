"""Depth maps that come with a photograph: any usual file, kind and size, or refused by name."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np

from bradcn_nb.data.exif import upright
from bradcn_nb.data.photos import decode_all_bits
from bradcn_nb.errors import DataError
from bradcn_nb.files import write_atomically
from bradcn_nb.lens.thin_lens import resize
from bradcn_nb.lens.upsample import guided_upsample

KINDS = ("auto", "metres", "millimetres", "disparity")
ENDS = (".npy", ".npz", ".png", ".tif", ".tiff", ".pfm", ".jpg", ".jpeg", ".webp")
RELATIVE_M = (1.0, 10.0)  # where a map without a scale is taken to begin and to end
INFINITE_M = 1000.0  # as far as the sky need be: no lens here tells it from infinity
TOO_FAR_M, TOO_NEAR_M = 100.0, 0.1  # a whole picture beyond, or before: another unit, most likely
SAME_ASPECT = 0.02
EDGE = 7  # pixels: softer edges than this are made hard
STEP = 0.1  # 1/m within them: below, a slope and no edge


@dataclass(frozen=True)
class DepthMap:
    """Depth as it was given: `metres` (h, w) float32, all above 0, and what was assumed, in
    words; `relative` depth has no unit, so its metres are only a manner of speaking."""

    metres: np.ndarray
    notes: tuple[str, ...] = ()
    relative: bool = False


def read_depth_map(path: str | Path, kind: str = "auto", scale: float | None = None) -> DepthMap:
    """Read a depth map of any size.

    - `path`: .npy, .npz, 8- or 16-bit .png, .tif, .pfm, .jpg; one number a pixel
    - `kind`: what the numbers are; "auto": 16-bit pictures hold millimetres, 8-bit pictures
      relative disparity (near is bright), all else metres
    - `scale`: what a number is multiplied with to give metres, or 1/m for "disparity"; without it,
      disparity is relative: the nearest is taken to be at 1 m, zero at 10 m

    0 (of depth) and NaN mean unknown and take the nearest known depth; +inf is far away. Raises
    DataError for a file that is missing, damaged, of another kind or in colours, for negative
    depths, and for depths that are all beyond 100 m or before 10 cm.
    """
    path = Path(path)
    if kind not in KINDS:
        raise DataError(f"unknown kind of depth {kind!r}: choose one of {', '.join(KINDS)}")
    values, notes = _values(path), []
    if kind == "auto":
        kind, note = _kind_of(path, values)
        notes += [note] if note else []
        if kind == "metres" and scale is None and _looks_inverse(values.astype(np.float64)):
            notes.append(
                f"{path}: the top of the picture is nearer than its middle; if this is inverse "
                "depth, say --depth-kind disparity"
            )
    values = values.astype(np.float64)
    if np.nanmin(values, initial=0.0) < 0:
        raise DataError(f"{path}: has negative depths; mark what is unknown with 0")
    if kind == "disparity":
        unknown, metres = np.isnan(values), _of_disparity(path, values, scale)
    else:
        unknown = ~(values > 0)
        metres = values * (scale or (0.001 if kind == "millimetres" else 1.0))
    if unknown.all():
        raise DataError(f"{path}: every depth is zero or missing; give metres or millimetres")
    known = metres[~unknown]
    if known.min() > TOO_FAR_M:
        raise DataError(
            f"{path}: nothing is nearer than {known.min():g} m; if these are millimetres, say "
            "--depth-kind millimetres, and for another unit --depth-scale"
        )
    if known.max() < TOO_NEAR_M:
        raise DataError(f"{path}: nothing is farther than {known.max():g} m; give --depth-scale")
    metres = np.minimum(np.where(unknown, 0, metres), INFINITE_M).astype(np.float32)
    relative = kind == "disparity" and scale is None
    return DepthMap(fill_unknown(metres, unknown), tuple(notes), relative)


def fitted(depth: DepthMap, photo: np.ndarray, orientation: int, name: str | Path) -> np.ndarray:
    """Return the depth in metres at the size of a photograph (H, W, 3), with hard edges.

    A map of another size but the same aspect is brought to the photograph's own edges; one that
    lies on its side is turned with the photograph, whose file has that EXIF `orientation`. Raises
    DataError, naming the map by `name`, for another aspect.
    """
    disparity, size = 1 / depth.metres, photo.shape[:2]
    if orientation > 4 and not _same_aspect(disparity.shape, size):
        disparity = upright(disparity, orientation)
    if not _same_aspect(disparity.shape, size):
        raise DataError(
            f"{name}: depth map of height and width {depth.metres.shape} for a photograph of "
            f"{size}; give a map of the same aspect"
        )
    if disparity.shape[0] > size[0]:
        disparity = resize(disparity, size)
    elif disparity.shape != size:
        low, high = disparity.min(), disparity.max()
        disparity = np.clip(guided_upsample(disparity, photo), low, high)
    return 1 / hard_edges(disparity)


def hard_edges(disparity: np.ndarray) -> np.ndarray:
    """Give each pixel of a soft edge the nearer of the two disparities (1/m) beside it.

    A map that was resized or smoothed has, between subject and background, depths that nothing has;
    a lens renderer would blur the subject's rim by them. Slopes stay as they are.
    """
    window = np.ones((EDGE, EDGE), np.uint8)
    low, high = cv2.erode(disparity, window), cv2.dilate(disparity, window)
    nearer = np.where(disparity - low < high - disparity, low, high)
    return np.where(high - low > STEP, nearer, disparity)


def check_depth_output(path: str | Path) -> Path:
    """Return `path` if depth can be written there; raises DataError naming what is wrong."""
    path = Path(path)
    if path.suffix.lower() not in (".npy", ".png"):
        raise DataError(f"{path}: save the depth as .npy (metres) or .png (millimetres)")
    if not path.parent.is_dir():
        raise DataError(f"{path}: there is no folder {path.parent}; create it first")
    return path


def write_depth_map(path: str | Path, metres: np.ndarray) -> None:
    """Write depth (H, W) in metres, whole or not at all: .npy float32, .png 16-bit millimetres.

    Raises DataError as `check_depth_output` does, and where the file cannot be written.
    """
    path, content = check_depth_output(path), BytesIO()
    if path.suffix.lower() == ".npy":
        np.save(content, metres.astype(np.float32))
    else:
        millimetres = np.clip(np.rint(1000 * metres), 1, 65535).astype(np.uint16)
        content.write(cv2.imencode(".png", millimetres)[1].tobytes())
    try:
        write_atomically(path, content.getvalue())
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from None


def fill_unknown(depth: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Give every unknown pixel the depth of the nearest known one; (H,W) float32 and a bool mask.

    At least one pixel must be known.
    """
    if not unknown.any():
        return depth
    _, labels = cv2.distanceTransformWithLabels(
        unknown.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    by_label = np.zeros(labels.max() + 1, np.float32)
    by_label[labels[~unknown]] = depth[~unknown]
    return by_label[labels]


def _values(path: Path) -> np.ndarray:
    """The numbers of a file, (h, w), as they are stored."""
    if not path.is_file():
        raise DataError(f"{path}: there is no such depth map; check the name given to --depth")
    end = path.suffix.lower()
    if end not in ENDS:
        raise DataError(f"{path}: unknown kind of depth map; give one of {', '.join(ENDS)}")
    try:
        if end in (".npy", ".npz"):
            values = np.load(path, allow_pickle=False)
            if end == ".npz":
                values = values[_only_name(path, values.files)]
        else:
            values = decode_all_bits(path.read_bytes())
    except (OSError, ValueError, EOFError):
        values = None
    if values is None or values.dtype.kind not in "uif" or not values.size:
        raise DataError(f"{path}: is damaged, or holds no numbers; write it again")
    values = values.squeeze()
    if values.ndim == 3 and values.shape[2] in (2, 3, 4):
        first = values[..., 0]
        if not all((values[..., k] == first).all() for k in range(1, min(3, values.shape[2]))):
            raise DataError(f"{path}: is a picture in colours; save the depth's own numbers")
        values = first
    if values.ndim != 2:
        raise DataError(f"{path}: holds an array of shape {values.shape}; one number a pixel")
    return values


def _only_name(path: Path, names: list[str]) -> str:
    if "depth" in names or len(names) == 1:
        return "depth" if "depth" in names else names[0]
    raise DataError(f"{path}: holds {', '.join(names) or 'nothing'}; name the depth `depth`")


def _kind_of(path: Path, values: np.ndarray) -> tuple[str, str]:
    """What the numbers of a file are when nobody says, and what to tell people about it."""
    if values.dtype == np.uint16:
        return "millimetres", ""
    if values.dtype == np.uint8:
        near, far = RELATIVE_M
        words = f"8 bits, taken as relative disparity: white at {near:g} m, black at {far:g} m"
        return "disparity", f"{path}: {words}; --depth-kind and --depth-scale say otherwise"
    if values.dtype.kind != "f":
        raise DataError(f"{path}: holds {values.dtype}; say by --depth-kind what that is")
    return "metres", ""


def _looks_inverse(values: np.ndarray) -> bool:
    """Whether what should be sky or wall is nearer, by half, than what should be the subject."""
    height, width = values.shape
    top = values[: max(1, height // 6)]
    middle = values[2 * height // 5 : 3 * height // 5, 2 * width // 5 : 3 * width // 5]
    usual = [np.median(part[part > 0]) if (part > 0).any() else np.nan for part in (top, middle)]
    return bool(usual[0] < 0.5 * usual[1])


def _of_disparity(path: Path, values: np.ndarray, scale: float | None) -> np.ndarray:
    """Metres of (h, w) disparities: absolute with a scale, else from 1 m on to 10 m at zero."""
    if scale is not None:
        with np.errstate(divide="ignore"):
            return 1 / (values * scale)
    highest = np.nanmax(np.where(np.isinf(values), np.nan, values), initial=0.0)
    if not highest > 0:
        raise DataError(f"{path}: every disparity is zero; there is no depth in it")
    return of_relative_disparity(np.minimum(values, highest) / highest)


def of_relative_disparity(values: np.ndarray) -> np.ndarray:
    """Return metres of relative disparity in [0, 1]: 1 is at 1 m, 0 at 10 m."""
    near, far = (1 / metres for metres in RELATIVE_M)
    return 1 / (far + (near - far) * values)


def _same_aspect(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return abs(a[0] * b[1] / (a[1] * b[0]) - 1) <= SAME_ASPECT
