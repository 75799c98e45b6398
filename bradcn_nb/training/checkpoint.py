"""Checkpoints: everything that a step changes, in one safetensors file that is replaced atomically.

Nothing is ever unpickled: tensors are safetensors, everything else is JSON in the file's metadata.
No random state is stored, because none is carried from step to step: order, flips and the seeds of
every step are functions of (seed, stage, epoch, step) alone.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch.optim.swa_utils import AveragedModel

from bradcn_nb.errors import RunError
from bradcn_nb.files import replacing


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what fails while `path` is written, such as a full disk, into one line: a RunError."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise RunError(
            f"{path}: cannot be written ({reason}); what was there before is kept: make room, or"
            " make the folder writable, then give the same command again"
        ) from error


@contextmanager
def replacing_run_file(target: Path) -> Iterator[Path]:
    """`files.replacing` of a run's file, whose errors are RunErrors; what was there then stays."""
    with writing(target), replacing(target) as temporary:
        yield temporary


def write_json(path: Path, value: dict) -> None:
    """Write `value` as JSON to `path`, atomically; RunError if that fails."""
    with replacing_run_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict:
    """Read a JSON object; raises RunError naming the file when it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path}: cannot be read ({type(error).__name__}); use another run directory or"
            " --resume fresh"
        ) from error


@dataclass
class TrainingState:
    """What a run carries from step to step besides their count."""

    net: torch.nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler | None = None  # of fp16
    ema: AveragedModel | None = None

    def is_finite(self) -> bool:
        """Whether every trained weight is finite: a NaN in a gradient spoils them a step early."""
        finite = [weight.detach().isfinite().all() for weight in self.trained]
        return bool(torch.stack(finite).all())

    @property
    def trained(self) -> list[torch.Tensor]:
        """The weights that the optimiser moves, in its order."""
        return [weight for group in self.optimizer.param_groups for weight in group["params"]]


def write_checkpoint(path: Path, state: TrainingState, progress: dict) -> None:
    """Write the tensors and numbers of `state` and `progress` (JSON-able) to `path`, atomically.

    Raises RunError when the disk is full or cannot be written; the earlier checkpoint then stays.
    """
    tensors = {f"model/{name}": tensor for name, tensor in state.net.state_dict().items()}
    for index, entry in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{key}": value for key, value in entry.items()}
    about = {"progress": json.dumps(progress)}
    if state.ema is not None:
        tensors |= {f"ema/{name}": tensor for name, tensor in state.ema.state_dict().items()}
    if state.scaler is not None:
        about["scaler"] = json.dumps(state.scaler.state_dict())
    with replacing_run_file(path) as temporary:
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
            temporary,
            metadata=about,
        )


def read_checkpoint(path: Path, state: TrainingState) -> dict:
    """Load a checkpoint into `state`; return its `progress`.

    Raises RunError naming the file when it is damaged or belongs to another net.
    """
    parts: dict[str, dict[str, torch.Tensor]] = {"model": {}, "optimizer": {}, "ema": {}}
    moments: dict[int, dict[str, torch.Tensor]] = {}
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata()
            progress = json.loads(about["progress"])
            for name in file.keys():  # noqa: SIM118 (not a dict)
                part, _, rest = name.partition("/")
                parts[part][rest] = file.get_tensor(name)
        state.net.load_state_dict(parts["model"])
        trained = state.trained
        for name, value in parts["optimizer"].items():
            number, _, key = name.partition("/")
            if value.dim():  # in the weight's own memory layout, which fused Adam relies on
                value = torch.empty_like(trained[int(number)]).copy_(value)
            moments.setdefault(int(number), {})[key] = value
        groups = state.optimizer.state_dict()["param_groups"]
        state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        if state.ema is not None:
            state.ema.load_state_dict(parts["ema"])
        if state.scaler is not None:
            state.scaler.load_state_dict(json.loads(about["scaler"]))
    except (OSError, SafetensorError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise RunError(
            f"{path}: not a checkpoint of this run ({type(error).__name__}); start over with"
            " --resume fresh"
        ) from error
    return progress
