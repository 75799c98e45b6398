"""The measured numbers that the book prints: written by commands, looked up by name, never typed."""

import json
from typing import Any

from bradcn_nb.errors import DataError
from bradcn_nb.presets import data_root


def result(key: str) -> Any:
    """Return one measured value, as `result("mini.psnr")` from `data/results/mini.json`.

    `key`: the file's name, then the keys inside of it, joined by dots; in a list, a place from 0. Units
    are those that the file's producer documents (`evaluation.evaluate`: dB for PSNR). Raises DataError
    for an unknown key.
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
