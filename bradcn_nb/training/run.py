"""A run directory: whose configuration it is, and where its weights come from."""

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import bradcn_nb
from bradcn_nb.errors import RunError
from bradcn_nb.presets import Preset, Stage
from bradcn_nb.training.checkpoint import read_json, write_json, writing

RESUME = ("auto", "require", "fresh")


def weights_file(run_dir: Path, stage: Stage) -> Path:
    """Return where a finished stage leaves its net."""
    return run_dir / stage.name / f"{stage.net}.safetensors"


def earlier_weights(preset: Preset, stage: Stage, run_dir: Path) -> dict[str, Path]:
    """Return the nets that the stages before `stage` left in `run_dir`, the latest of each kind."""
    before = preset.stages[: preset.stages.index(stage)]
    files = {other.net: weights_file(run_dir, other) for other in before}
    return {net: file for net, file in files.items() if file.is_file()}


def run_labels(run_dir: Path, depth_digest: str) -> Path:
    """Return the folder of a run's labels; each depth net has its own, so none is ever mixed up."""
    return run_dir / "labels" / depth_digest[:12]


def trained_net(stage: Stage) -> str:
    """Return which net a stage trains, by the name that `train` gives weights files."""
    return "adcn" if stage.calibrates else stage.net


def open_run(folder: Path, config: dict, resume: str, net: str) -> None:
    """Make `folder` ready for a run of `config`; `resume` is "auto", "require" or "fresh".

    A run that began from a given `net`, the one that it trains, goes on without being given it
    again. A trial (see `train`) that began from other weights, since the stage before it has gone
    on, is moved aside. Raises RunError when the folder holds a run of another configuration, when
    it cannot be written, or, with "require", when it holds no checkpoint.
    """
    if resume not in RESUME:
        raise RunError(f"unknown resume {resume!r}: choose one of {', '.join(RESUME)}")
    path = folder / "config.json"
    unlike = []
    if path.is_file():
        unlike = list(differences(read_json(path), json.loads(json.dumps(config))))
        if net not in config["init"]:
            unlike = [name for name in unlike if name != f"init.{net}"]
    begun_anew = all(name.startswith("init.") for name in unlike) and is_trial(folder)
    if resume == "fresh" or (unlike and begun_anew):
        move_aside(folder)
    elif unlike:
        raise RunError(
            f"{folder}: holds a run with other settings ({', '.join(unlike)}); use another run"
            " directory, or --resume fresh to move that run aside"
        )
    if resume == "require" and not (folder / "checkpoint.safetensors").is_file():
        raise RunError(f"{folder}: no checkpoint to resume from; start with --resume auto")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".*.tmp"):  # of a run that was killed while it wrote
            leftover.unlink()
    if not path.is_file():
        write_json(path, config)


def is_trial(folder: Path) -> bool:
    """Whether a stage was ended early, by `max_steps`."""
    done = folder / "done.json"
    return done.is_file() and read_json(done)["steps"] < read_json(folder / "config.json")["steps"]


def move_aside(folder: Path) -> None:
    """Rename an earlier run's folder, if there is one, to `NAME-old-N`: nothing is ever deleted."""
    if folder.exists():
        number = 1
        while (aside := folder.with_name(f"{folder.name}-old-{number}")).exists():
            number += 1
        with writing(folder):
            folder.rename(aside)


def differences(there: Any, here: Any, name: str = "") -> Iterator[str]:
    """Yield the dotted names at which two values read from JSON differ."""
    if isinstance(there, dict) and isinstance(here, dict):
        pairs = [(key, there.get(key), here.get(key)) for key in sorted({*there, *here})]
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        pairs = [(str(i), *pair) for i, pair in enumerate(zip(there, here, strict=True))]
    else:
        if there != here:
            yield name
        return
    for key, a, b in pairs:
        yield from differences(a, b, f"{name}.{key}".lstrip("."))


def commit() -> str:
    """Return the commit of the package's own repository, or "unknown" where there is none.

    Where the tree differs from it, "-dirty-" follows, and 8 digits of the sha256 of the difference
    and of the package's new files. `data/results`, which runs write, makes no tree dirty.
    """
    home = Path(bradcn_nb.__file__).resolve().parent.parent
    if not (home / ".git").exists():
        return "unknown"

    def git(*words: str) -> bytes:
        command = ["git", "-C", str(home), *words]
        return subprocess.run(command, capture_output=True, timeout=20, check=True).stdout

    try:
        head = git("rev-parse", "HEAD").decode().strip()
        change = git("diff", "--full-index", "HEAD", "--", ".", ":!data/results")
        new = git("ls-files", "-z", "--others", "--exclude-standard", "--", "bradcn_nb")
        for name in new.split(b"\0")[:-1]:
            change += name + (home / os.fsdecode(name)).read_bytes()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return f"{head}-dirty-{hashlib.sha256(change).hexdigest()[:8]}" if change else head


def versions() -> dict[str, str]:
    """Return the versions of this package, Python, torch and numpy that run now."""
    return {
        "bradcn_nb": bradcn_nb.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def provenance(preset: Preset, stage: Stage, steps: int, config: dict, log_digest: str) -> dict:
    """Return a weights file's metadata, as strings: what made it, from what, with what."""
    return {
        "stage": stage.name,
        "steps": str(steps),
        "seed": str(preset.seed),
        "config": json.dumps(config),
        "commit": commit(),
        "versions": json.dumps(versions()),
        "log_sha256": log_digest,
    }
