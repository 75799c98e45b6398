"""The files of Eq. 2's labels: 16-bit PNGs, and the manifest that says what they were made from.

What a label depends on is compared, and anything else is refused: file format, weights, size, kind
of depth, clipping, data. What can only move a label by rounding is recorded and never compared:
the package's version, torch's, the device, the batch.
"""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bradcn_nb.data import SUNRGBD
from bradcn_nb.errors import DataError
from bradcn_nb.files import write_atomically

# Raise it when the same frame and weights would give another label or file: a test pins both.
FORMAT = 1
QUANTUM_M = 0.001  # one grey level is 1 mm, so a label is exact to 0.5 mm
INVALID = 65535  # no ground truth here
MANIFEST = "manifest.json"
WEIGHTS = "depth_net_sha256"
MADE_BY = "made_by"


def encode_label(error: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Metres (H, W) to the uint16 of a label file: millimetres, 65535 where `mask` is False."""
    mm = np.rint(error.astype(np.float64) / QUANTUM_M).clip(0, INVALID - 1)
    return np.where(mask, mm, INVALID).astype(np.uint16)


def decode_label(raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inverse of `encode_label` to 0.5 mm: metres (H, W), float32, 0 if invalid; and the mask."""
    mask = raw != INVALID
    return np.where(mask, raw.astype(np.float32) * np.float32(QUANTUM_M), np.float32(0)), mask


def label_path(folder: Path, frame: str) -> Path:
    """The file of frame `frame` (its folder in SUN RGB-D) in a folder of labels."""
    return folder / f"{frame}.png"


def write_label(path: Path, error: np.ndarray, mask: np.ndarray) -> None:
    """Write a label from metres (H, W) and its mask, whole or not at all; raises DataError."""
    png = BytesIO()
    # A fast level: a third larger than zlib's default, in a quarter of the time.
    Image.fromarray(encode_label(error, mask)).save(png, format="PNG", compress_level=1)
    _write(path, png.getvalue())


def read_label(path: Path, size: tuple[int, int] | None) -> np.ndarray:
    """The uint16 (H, W) of a label file; DataError unless it is sound and of `size` (h, w)."""
    try:
        with Image.open(path) as picture:
            raw = np.array(picture)
            mode = picture.mode
    except (OSError, ValueError, SyntaxError) as error:
        what = "missing" if isinstance(error, FileNotFoundError) else "damaged"
        raise DataError(
            f"{path}: label is {what}; run `python -m bradcn_nb labels` again to make it"
        ) from None
    if mode not in ("I;16", "I;16B", "I") or (size and raw.shape != tuple(size)):
        wanted = f" of {size[1]}x{size[0]}" if size else ""
        raise DataError(f"{path}: not a 16-bit label{wanted}; delete it and make it again")
    return raw.astype(np.uint16)


def is_made(path: Path, size: tuple[int, int] | None) -> bool:
    """Whether a label of an earlier run can stay; a damaged one is made again."""
    try:
        read_label(path, size)
    except DataError:
        return False
    return True


def manifest(dataset: SUNRGBD, weights: str) -> dict[str, Any]:
    """What labels depend on; two folders that agree in it hold interchangeable labels."""
    return {
        "format": FORMAT,
        "equation": "De = |Do - Dgt|",
        "unit_m": QUANTUM_M,
        "invalid": INVALID,
        WEIGHTS: weights,
        "size": list(dataset.size) if dataset.size else "native",
        "depth_kind": dataset.kind,
        "clip_m": dataset.clip_m,
        "data_sha256": dataset.fingerprint(),
    }


def read_manifest(folder: Path) -> dict[str, Any]:
    """What `folder` says of its labels; raises DataError if there is no manifest."""
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise DataError(
            f"{path}: missing; make the labels with `python -m bradcn_nb labels`"
        ) from None
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict):
        raise DataError(f"{path}: not a manifest; delete {folder} and make the labels again")
    return content


def compare(folder: Path, made_from: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise DataError, naming the first difference, unless the labels are those `wanted`."""
    for key, value in wanted.items():
        theirs = made_from.get(key)
        if theirs == value:
            continue
        what = f"made with {key} = {theirs!r}, not {value!r}"
        if key == WEIGHTS:
            made_by = made_from.get(MADE_BY)
            name = made_by.get("depth_net") if isinstance(made_by, dict) else None
            net = name or "of another file"
            what = f"made with the depth net {net} ({key} {theirs}), not {value}"
        raise DataError(
            f"{folder / MANIFEST}: labels were {what}; make them again in another folder or delete "
            "this one"
        )


def open_folder(folder: Path, wanted: dict[str, Any], made_by: dict[str, Any]) -> None:
    """Make `folder` ready for labels of the manifest `wanted`; `made_by` is only recorded.

    Temporary files of a killed run go. Raises DataError if the folder holds labels of something
    else, or anything but labels, or cannot be written.
    """
    for pattern in (f".{MANIFEST}.*.tmp", ".*.png.*.tmp"):
        for leftover in folder.rglob(pattern):
            leftover.unlink(missing_ok=True)
    if (folder / MANIFEST).exists():
        compare(folder, read_manifest(folder), wanted)
    elif folder.is_dir() and any(folder.iterdir()):
        raise DataError(f"{folder}: not empty and without {MANIFEST}; choose an empty folder")
    else:
        text = json.dumps({**wanted, MADE_BY: made_by}, indent=2) + "\n"
        _write(folder / MANIFEST, text.encode())


def _write(path: Path, data: bytes) -> None:
    try:
        write_atomically(path, data)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror}); free space or name another folder. "
            "Labels made so far are kept, and the same command goes on"
        ) from None
