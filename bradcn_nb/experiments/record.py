"""Files of `data/results`: values, and how they came about."""

import json
import platform
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from bradcn_nb.errors import DataError
from bradcn_nb.files import data_root, write_atomically
from bradcn_nb.models.weights import weights_hash
from bradcn_nb.training.run import commit, versions


def weights_path(net: str = "bradcn") -> Path:
    """Return the file of the bundled mini weights of "bradcn", or of "depth", stage 0's net."""
    return data_root() / "weights" / f"{net}-mini.safetensors"


def provenance(start: float) -> dict[str, Any]:
    """Return what made a result: commit, versions, device, seconds since `start` (monotonic)."""
    return {
        "weights_sha256": weights_hash(weights_path()),
        "commit": commit(),
        "versions": versions(),
        "device": f"CPU {platform.machine()}, {torch.get_num_threads()} threads",
        "seconds": round(time.monotonic() - start, 1),
    }


def write_result(name: str, values: dict[str, Any], indent: int | None = 1) -> Path:
    """Write `values` as data/results/`name`.json, at once or not at all; return the file."""
    path = data_root() / "results" / f"{name}.json"
    write_atomically(path, f"{json.dumps(values, indent=indent)}\n".encode())
    return path


def write_figure(name: str, figure: Figure) -> Path:
    """Write `figure` as data/results/`name`.jpg, at once or not at all; return the file."""
    path, data = data_root() / "results" / f"{name}.jpg", BytesIO()
    figure.savefig(data, format="jpeg", dpi=150, pil_kwargs={"quality": 80, "optimize": True})
    write_atomically(path, data.getvalue())
    return path


def result(key: str) -> Any:
    """Return one measured value, as `result("mini.psnr")` from `data/results/mini.json`.

    `key`: the file's name, then the keys inside of it, joined by dots; in a list, a place from 0.
    Units are those that the file's producer documents (`evaluation.evaluate`: dB for PSNR). Raises
    DataError for an unknown key.
    """
    name, *inside = key.split(".")
    path = data_root() / "results" / f"{name}.json"
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        for part in inside:
            value = value[int(part) if isinstance(value, list) else part]
    except OSError:
        raise DataError(f"{path}: no such results; make them with `make results`") from None
    except (LookupError, TypeError, ValueError) as error:
        raise DataError(f"{path}: holds no {'.'.join(inside)!r} ({error})") from None
    return value
