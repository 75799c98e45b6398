"""Weights on disk: safetensors files that say which net and preset they belong to."""

import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from bradcn_nb.errors import WeightsError
from bradcn_nb.models.bradcn import BRADCN
from bradcn_nb.models.depth_net import DepthNet
from bradcn_nb.presets import data_root, preset

FORMAT = "bradcn-weights-1"


def save_weights(
    module: nn.Module, path: str | Path, preset_name: str, half: bool = False, **metadata: str
) -> None:
    """Write a net's weights and what they are to `path`, at once or not at all.

    `metadata` (strings: seed, commit, ...) is stored beside the format, the net's class and the
    preset. `half` stores 16-bit floats, which halves the file; they are read back as the net's own
    type.
    """
    path = Path(path)
    tensors = {
        name: tensor.detach().cpu().to(torch.float16 if half else tensor.dtype).contiguous()
        for name, tensor in module.state_dict().items()
    }
    about = {**metadata, "format": FORMAT, "net": type(module).__name__, "preset": preset_name}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        save_file(tensors, temporary, metadata=about)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_metadata(path: str | Path) -> dict[str, str]:
    """Return what a file of `save_weights` says of itself; raises WeightsError for any other."""
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such weights file; train one, or name another") from None
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path}: not a readable safetensors file ({_one_line(error)}); fetch or train it again"
        ) from None
    if about.get("format") != FORMAT:
        found = about.get("format", "none")
        raise WeightsError(
            f"{path}: format is {found!r}, not {FORMAT!r}; use weights of this project"
        )
    return about


def load_weights(path: str | Path, module: nn.Module, preset_name: str) -> dict[str, str]:
    """Read weights into `module` and return the file's metadata.

    Raises WeightsError, and leaves `module` as it was, when the file is missing or damaged, or
    holds another net, another preset or other shapes.
    """
    about = read_metadata(path)
    net = type(module).__name__
    if about.get("net") != net:
        raise WeightsError(
            f"{path}: holds a {about.get('net')}, not a {net}; name a {net}'s weights"
        )
    if about.get("preset") != preset_name:
        raise WeightsError(
            f"{path}: made with preset {about.get('preset')!r}, not {preset_name!r}; "
            f"use that preset or other weights"
        )
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    own = {name: tensor.shape for name, tensor in module.state_dict().items()}
    if {name: tensor.shape for name, tensor in tensors.items()} != own:
        raise WeightsError(
            f"{path}: names or shapes differ from {net} of preset {preset_name!r}; "
            f"it was made by another version, train it again"
        )
    module.load_state_dict(tensors)
    return about


def load_depth_net() -> DepthNet:
    """Return mini's depth net as stage 0 left it, ready for use (eval mode, CPU).

    BRADCN's own is fine-tuned for pictures in stage 2 and no longer says metres (ledger id
    "freezing"). Raises WeightsError when the bundled file is missing or damaged.
    """
    net = DepthNet(preset("mini").model)
    load_weights(data_root() / "weights" / "depth-mini.safetensors", net, "mini")
    return net.eval()


def load_bradcn(preset_name: str = "mini", path: str | Path | None = None) -> BRADCN:
    """Return BRADCN of a preset with trained weights, ready for use (eval mode, CPU).

    Without `path` the bundled weights are read (`data/weights/bradcn-mini.safetensors`). Raises
    WeightsError when the file does not fit, BradcnError for an unknown preset.
    """
    model = BRADCN(preset(preset_name).model)
    if path is None:
        path = data_root() / "weights" / f"bradcn-{preset_name}.safetensors"
    load_weights(path, model, preset_name)
    return model.eval()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
