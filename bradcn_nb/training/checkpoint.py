"""Checkpoints: model, optimiser and progress in one safetensors file that is replaced atomically.

Nothing is ever unpickled: tensors are safetensors, everything else is JSON in the file's metadata.
No random state is stored, because none is carried from step to step: order, flips and the seeds of
every step are functions of (seed, stage, epoch, step) alone, so a resumed run meets the same numbers.
"""

import hashlib
import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from bradcn_nb.errors import RunError


def sync_replace(temporary: Path, target: Path) -> None:
    """Flush `temporary` to the disk and rename it to `target`, which is whole at every moment."""
    with open(temporary, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(temporary, target)


def write_json(path: Path, value: dict) -> None:
    """Write `value` as JSON to `path`, atomically."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    sync_replace(temporary, path)


def read_json(path: Path) -> dict:
    """Read a JSON object; raises RunError naming the file when it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path}: cannot be read ({type(error).__name__}); use another run directory or --fresh"
        ) from error


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_checkpoint(
    path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, progress: dict
) -> None:
    """Write the model's and the optimiser's tensors and `progress` (JSON-able) to `path`, atomically."""
    tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
    for index, entry in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{key}": value for key, value in entry.items()}
    temporary = path.with_name(path.name + ".tmp")
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        temporary,
        metadata={"progress": json.dumps(progress)},
    )
    sync_replace(temporary, path)


def read_checkpoint(path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict:
    """Load a checkpoint into `model` and `optimizer`; return its `progress`.

    Raises RunError naming the file when it is damaged or belongs to another net.
    """
    weights: dict[str, torch.Tensor] = {}
    moments: dict[int, dict[str, torch.Tensor]] = {}
    try:
        with safe_open(path, "pt") as file:
            progress = json.loads(file.metadata()["progress"])
            for name in file.keys():  # noqa: SIM118 (not a dict)
                part, _, rest = name.partition("/")
                if part == "model":
                    weights[rest] = file.get_tensor(name)
                else:
                    index, _, key = rest.partition("/")
                    moments.setdefault(int(index), {})[key] = file.get_tensor(name)
        model.load_state_dict(weights)
        trained = [weight for group in optimizer.param_groups for weight in group["params"]]
        for index, entry in moments.items():
            for key, value in entry.items():
                if value.dim():  # in the weight's own memory layout, which fused Adam relies on
                    entry[key] = torch.empty_like(trained[index]).copy_(value)
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": moments, "param_groups": groups})
    except (OSError, SafetensorError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise RunError(
            f"{path}: not a checkpoint of this run ({type(error).__name__}); start over with --fresh"
        ) from error
    return progress
