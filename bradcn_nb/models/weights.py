"""Weights on disk: safetensors files that say which net and preset they belong to."""

import hashlib
import json
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from bradcn_nb.errors import WeightsError
from bradcn_nb.files import file_digest, replacing
from bradcn_nb.presets import ModelConfig

FORMAT = "bradcn-weights-2"
# What earlier versions kept in every configuration; today only variants have it.
PAPERS_SETTINGS = {"branches": ["depth", "error"], "error_use": "add", "error_kind": "absolute"}
Config = TypeVar("Config")  # a frozen dataclass: a net's `cfg`


def save_weights(
    module: nn.Module, path: str | Path, preset_name: str, half: bool = False, **metadata: str
) -> None:
    """Write a net's weights and what they are to `path`, at once or not at all.

    `metadata` (strings: seed, commit, ...) is stored beside the format, the net's class, its
    configuration `module.cfg` and the preset. `half` stores 16-bit floats, which halves the file;
    they are read back as the net's own type.
    """
    tensors = {
        name: tensor.detach().cpu().to(torch.float16 if half else tensor.dtype).contiguous()
        for name, tensor in module.state_dict().items()
    }
    about = {**metadata, "format": FORMAT, "net": type(module).__name__, "preset": preset_name}
    settings = asdict(module.cfg)
    if isinstance(module.cfg, ModelConfig):
        own = {field.name for field in fields(ModelConfig)}
        variant = {key: settings.pop(key) for key in list(settings) if key not in own}
        about |= {"variant": json.dumps(variant)} if variant else {}
    about["model"] = json.dumps(settings)
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata=about)


def read_metadata(path: str | Path) -> dict[str, str]:
    """Return what a file of `save_weights` says of itself; raises WeightsError for any other."""
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such weights file; train one, or name another") from None
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path}: not a readable safetensors file ({_one_line(error)}); fetch or train it "
            "again, or, "
            "if others published it, `python -m bradcn_nb convert` it"
        ) from None
    if about.get("format") != FORMAT:
        written = about.get("format", "none")
        raise WeightsError(
            f"{path}: format is {written!r}, not {FORMAT!r}; use weights of this project, or "
            "`python -m bradcn_nb convert` published ones"
        )
    return about


def model_config(
    about: dict[str, str], path: str | Path, kind: type[Config] = ModelConfig
) -> Config:
    """Return the configuration in a file's metadata, of a net whose `cfg` is a `kind`.

    Raises WeightsError if it is another version's.
    """
    if kind is ModelConfig and (settings := variant_settings(about, path)):
        raise WeightsError(
            f"{path}: holds a variant of the paper's net ({settings}); read it by "
            "`experiments.variants.load`"
        )
    try:
        values = json.loads(about["model"]) | json.loads(about.get("variant", "{}"))
        return _rebuilt(kind, values)
    except (KeyError, ValueError, TypeError, AttributeError):
        raise _foreign(path) from None


def variant_settings(about: dict[str, str], path: str | Path) -> dict[str, Any]:
    """Return how a file's net differs from the paper's, by its metadata; {} if it is the paper's.

    Raises WeightsError if its configuration cannot be read.
    """
    try:
        values = json.loads(about["model"]) | json.loads(about.get("variant", "{}"))
        return {k: values[k] for k, v in PAPERS_SETTINGS.items() if values.get(k, v) != v}
    except (KeyError, ValueError, TypeError, AttributeError):
        raise _foreign(path) from None


def _foreign(path: str | Path) -> WeightsError:
    return WeightsError(
        f"{path}: its configuration is not one of this version; use the version that made it"
    )


def _rebuilt(kind: type[Config], values: dict[str, Any]) -> Config:
    """Undo `asdict` and JSON: lists were tuples, and objects may have been dataclasses."""
    types = {field.name: field.type for field in fields(kind)}
    if kind is ModelConfig:  # checked: they are the paper's
        values = {key: value for key, value in values.items() if key not in PAPERS_SETTINGS}

    def restored(name: str, value: Any) -> Any:
        if is_dataclass(types[name]):
            return _rebuilt(types[name], value)
        return tuple(value) if isinstance(value, list) else value

    return kind(**{name: restored(name, value) for name, value in values.items()})


def load_weights(path: str | Path, module: nn.Module, preset_name: str) -> dict[str, str]:
    """Read weights into `module` and return the file's metadata.

    Raises WeightsError as `check_weights` does, and leaves `module` as it was then.
    """
    about = check_weights(path, module, preset_name)
    with safe_open(path, framework="pt") as file:
        module.load_state_dict({name: file.get_tensor(name) for name in file.keys()})
    return about


def check_weights(path: str | Path, module: nn.Module, preset_name: str) -> dict[str, str]:
    """Return a file's metadata if its weights fit `module`, which may be on the device "meta".

    Only its header is read. Raises WeightsError when the file is missing or damaged, or holds
    another net, one of a preset with another model, or other shapes. (`colab` and `paper` have one
    model.)
    """
    about = read_metadata(path)
    net = type(module).__name__
    # A file of a variant may call it by the paper's net: its settings are compared below.
    if about.get("net") not in [kind.__name__ for kind in type(module).__mro__]:
        raise WeightsError(
            f"{path}: holds a {about.get('net')}, not a {net}; name a {net}'s weights"
        )
    theirs = model_config(about, path, type(module.cfg))
    if theirs != module.cfg:
        if about.get("preset") != preset_name:
            raise WeightsError(
                f"{path}: made with preset {about.get('preset')!r}, not {preset_name!r}; "
                f"use that preset or other weights"
            )
        wanted = asdict(module.cfg)
        changes = ", ".join(
            f"{field} {value!r}, not {wanted[field]!r}"
            for field, value in asdict(theirs).items()
            if value != wanted[field]
        )
        raise WeightsError(
            f"{path}: made with another configuration ({changes}); use weights of this"
        )
    own = {name: list(tensor.shape) for name, tensor in module.state_dict().items()}
    with safe_open(path, framework="pt") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}
    if shapes != own:
        raise WeightsError(
            f"{path}: names or shapes differ from {net} of preset {preset_name!r}; "
            f"it was made by another version, train it again"
        )
    return about


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def weights_hash(source: str | Path | nn.Module) -> str:
    """sha256 that names weights: of a safetensors file's bytes, or of a net's state dict.

    A file and the net read from it have different hashes; compare like with like.
    Raises WeightsError if the file is missing.
    """
    if isinstance(source, nn.Module):
        digest = hashlib.sha256()
        for name, tensor in sorted(source.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()
    try:
        return file_digest(source)
    except OSError as error:
        raise WeightsError(f"{source}: cannot be read ({error.strerror}); name a file") from None
