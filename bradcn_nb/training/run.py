"""What a run leaves in its directory, and how it stops: configuration, log, sample strips, signals."""

import json
import os
import platform
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Self

import numpy as np
import torch
from PIL import Image

import bradcn_nb
from bradcn_nb.errors import RunError
from bradcn_nb.presets import Preset, Stage
from bradcn_nb.training.checkpoint import read_json, write_json


def open_run(folder: Path, config: dict, resume: str) -> None:
    """Make `folder` ready for a run of `config`; `resume` is "auto", "require" or "fresh".

    Raises RunError when the folder holds a run of another configuration, or, with "require", no
    checkpoint. Nothing is ever deleted: "fresh" renames an earlier run to `NAME-old-N`.
    """
    if resume == "fresh" and folder.exists():
        number = 1
        while (aside := folder.with_name(f"{folder.name}-old-{number}")).exists():
            number += 1
        folder.rename(aside)
    if resume == "require" and not (folder / "checkpoint.safetensors").is_file():
        raise RunError(f"{folder}: no checkpoint to resume from; leave out --resume to start")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.json"
    if path.is_file():
        there, here = read_json(path), json.loads(json.dumps(config))
        if there != here:
            keys = [key for key in here if there.get(key) != here[key]]
            raise RunError(
                f"{folder}: holds a run with other settings ({', '.join(keys)});"
                " use another run directory, or --fresh to move that run aside"
            )
    else:
        write_json(path, config)


def commit() -> str:
    """Return the commit of the package's own repository, "-dirty" added if changed, or "unknown"."""
    home = Path(bradcn_nb.__file__).resolve().parent.parent
    if not (home / ".git").exists():
        return "unknown"
    command = [
        "git",
        "-C",
        str(home),
        "describe",
        "--always",
        "--dirty",
        "--exclude=*",
        "--abbrev=40",
    ]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return result.stdout.strip()


def versions() -> dict[str, str]:
    """Return the versions of this package, Python, torch and numpy that run now."""
    return {
        "bradcn_nb": bradcn_nb.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def provenance(preset: Preset, stage: Stage, steps: int, config: dict, log_digest: str) -> dict:
    """Return the metadata that a weights file carries, as strings: what made it, from what, with what."""
    return {
        "stage": stage.name,
        "steps": str(steps),
        "seed": str(preset.seed),
        "config": json.dumps(config),
        "commit": commit(),
        "versions": json.dumps(versions()),
        "log_sha256": log_digest,
    }


class Log:
    """A CSV file with one row a step, cut back to the checkpoint's step when a run goes on.

    Columns: step (from 1), epoch (from 1), loss, lr, check (the score after an epoch: PSNR in dB for
    pictures, else the mean absolute error; empty in other rows).
    """

    header = "step,epoch,loss,lr,check\n"

    def __init__(self, path: Path, size: int | None):
        """Start a new log, or keep the first `size` bytes of the old one; RunError if it is shorter."""
        if size is None:
            path.write_text(self.header, encoding="utf-8")
        elif not path.is_file() or path.stat().st_size < size:
            raise RunError(f"{path}: shorter than its checkpoint says; start over with --fresh")
        else:
            os.truncate(path, size)
        self.file = path.open("a", encoding="utf-8", newline="\n")

    def row(self, step: int, epoch: int, loss: float, lr: float, check: float | None) -> None:
        """Add a row; 9 digits tell any two float32 values apart."""
        shown = "" if check is None else f"{check:.9g}"
        self.file.write(f"{step},{epoch},{loss:.9g},{lr:.9g},{shown}\n")

    def sync(self) -> int:
        """Bring all rows to the disk and return the file's size in bytes."""
        self.file.flush()
        os.fsync(self.file.fileno())
        return os.fstat(self.file.fileno()).st_size

    def close(self) -> None:
        """Close the file."""
        self.file.close()


class StopSignal:
    """A context in which the first SIGINT or SIGTERM only sets `number`; a second one acts at once."""

    def __enter__(self) -> Self:
        self.number: int | None = None
        self.before = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_exception) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame) -> None:
        self.number = number
        self.__exit__()

    def leave(self, where: str) -> None:
        """Raise KeyboardInterrupt after a SIGINT, SystemExit(143) after a SIGTERM; both say `where`."""
        if self.number == signal.SIGTERM:
            print(where, file=sys.stderr)
            raise SystemExit(128 + signal.SIGTERM)
        raise KeyboardInterrupt(where)


def quiet_worker(_index: int) -> None:
    """Let a loader's process die with its parent's wish, not with the terminal's Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def save_strip(path: Path, rows: list[list[torch.Tensor]]) -> None:
    """Write rows of equally large (3,H,W) pictures in [0,1] as one PNG, with a thin gap between them."""
    height, width = rows[0][0].shape[-2:]
    gap = 2
    across, down = len(rows[0]), len(rows)
    sheet = np.full((down * (height + gap) - gap, across * (width + gap) - gap, 3), 255, np.uint8)
    for i, row in enumerate(rows):
        for j, panel in enumerate(row):
            y, x = i * (height + gap), j * (width + gap)
            picture = (panel.float().cpu() * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
            sheet[y : y + height, x : x + width] = picture
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(sheet).save(path)
