"""Weights that others published: DPT-Hybrid's, BRViT's, and timm's ViT trained on ImageNet.

DPT and BRViT share their tensors' names, 368 of them. Ours are 360: the final norm, the classifier
and the coarsest fusion block's first unit are missing, because no output depends on them.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from bradcn_nb.errors import BradcnError, WeightsError
from bradcn_nb.models.depth_net import DepthNet
from bradcn_nb.models.render_net import RenderNet
from bradcn_nb.presets import preset

KINDS = ("metric", "relative")

# Our names begin so, theirs so; the first that fits counts.
_PREFIXES = (
    ("encoder.backbone.", "pretrained.model.patch_embed.backbone."),
    ("encoder.proj.", "pretrained.model.patch_embed.proj."),
    ("encoder.reassemble1.", "scratch.layer1_rn."),
    ("encoder.reassemble2.", "scratch.layer2_rn."),
    ("encoder.reassemble3.project.", "pretrained.act_postprocess3.0.project."),
    ("encoder.reassemble3.mix.", "pretrained.act_postprocess3.3."),
    ("encoder.reassemble3.narrow.", "scratch.layer3_rn."),
    ("encoder.reassemble4.project.", "pretrained.act_postprocess4.0.project."),
    ("encoder.reassemble4.mix.", "pretrained.act_postprocess4.3."),
    ("encoder.reassemble4.resize.", "pretrained.act_postprocess4.4."),
    ("encoder.reassemble4.narrow.", "scratch.layer4_rn."),
    ("encoder.", "pretrained.model."),
    ("decoder.fusion.0.", "scratch.refinenet1."),
    ("decoder.fusion.1.", "scratch.refinenet2."),
    ("decoder.fusion.2.", "scratch.refinenet3."),
    ("decoder.fusion.3.", "scratch.refinenet4."),
    ("decoder.head.", "scratch.output_conv."),
)

_TIMM = "pretrained.model."  # before timm's own names, in the official ones

# What the official nets hold and never use, 1,950,696 numbers.
_UNUSED = {
    "pretrained.model.norm.weight": (768,),
    "pretrained.model.norm.bias": (768,),
    "pretrained.model.head.weight": (1000, 768),
    "pretrained.model.head.bias": (1000,),
    "scratch.refinenet4.resConfUnit1.conv1.weight": (256, 256, 3, 3),
    "scratch.refinenet4.resConfUnit1.conv1.bias": (256,),
    "scratch.refinenet4.resConfUnit1.conv2.weight": (256, 256, 3, 3),
    "scratch.refinenet4.resConfUnit1.conv2.bias": (256,),
}


@dataclass(frozen=True)
class Report:
    """Which names of a file fitted a net and which did not, each in the file's own naming."""

    loaded: tuple[str, ...]
    missing: tuple[str, ...]  # the net has them, the file does not
    unexpected: tuple[str, ...]  # the file has them, the net has no place for them
    ignored: tuple[str, ...]  # the file has them, and no output depends on them

    def __str__(self) -> str:
        parts = [f"{len(self.loaded)} tensors loaded"]
        for what in ("missing", "unexpected", "ignored"):
            names = getattr(self, what)
            some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            parts.append(f"{len(names)} {what}" + (f" ({some})" if names else ""))
        return ", ".join(parts)


def load_dpt(path: str | Path, kind: str) -> tuple[DepthNet, Report]:
    """Return a full-size DepthNet (eval mode, CPU) with the weights of an official DPT-Hybrid file.

    `kind` is "metric" for the NYUv2 checkpoint, whose depth is in metres, or "relative" for MiDaS's;
    the files cannot be told apart. A plain state dict is read, or one under "model" or
    "state_dict", from torch.save or safetensors. Raises WeightsError when the file is missing or
    damaged, needs code to be run, or holds another net's names or shapes; BradcnError for another
    `kind`.
    """
    if kind not in KINDS:
        raise BradcnError(f"unknown kind of depth {kind!r}: choose from {KINDS}")
    net = DepthNet(replace(preset("paper").model, depth_kind=kind))
    return net.eval(), _load_official(net, path)


def load_brvit(path: str | Path) -> tuple[RenderNet, Report]:
    """Return a full-size RenderNet (eval mode, CPU) with the weights of a BRViT file.

    Reads and refuses what `load_dpt` does.
    """
    net = RenderNet(preset("paper").model)
    return net.eval(), _load_official(net, path)


def load_timm_encoder(net: DepthNet | RenderNet, path: str | Path) -> Report:
    """Read weights of timm's `vit_base_r50_s16_384` (ImageNet) into a full-size net's encoder.

    Only the ResNet and the ViT change; timm knows nothing of Reassemble and of the decoder. Raises
    WeightsError as `load_dpt` does, and then leaves `net` as it was.
    """
    names = {
        official.removeprefix(_TIMM): ours
        for official, ours in _names(net).items()
        if official.startswith(_TIMM)
    }
    unused = {name.removeprefix(_TIMM) for name in _UNUSED}
    return _load(net, _read(path), names, unused, path)


def to_official(net: DepthNet | RenderNet) -> dict[str, Tensor]:
    """Return the weights of a full-size net under the 368 names that the original code expects.

    The eight tensors that ours does not have are filled with ones (the final norm's weight) and
    zeros: the original code asks for them and no output depends on them. Raises WeightsError
    for a net of another size.
    """
    state = net.state_dict()
    with torch.device("meta"):
        full = type(net)(preset("paper").model).state_dict()
    if _shapes(state) != _shapes(full):
        raise WeightsError(
            f"this {type(net).__name__} is not of full size: the official naming knows only the "
            f"nets of preset 'paper'"
        )
    official = {official_name(name): tensor for name, tensor in state.items()}
    for name, shape in _UNUSED.items():
        fill = torch.ones if name.endswith("norm.weight") else torch.zeros
        official[name] = fill(shape)
    return official


def official_name(ours: str) -> str:
    """Return what DPT's code calls a tensor of our full-size nets; raises KeyError for none of ours."""
    for own, theirs in _PREFIXES:
        if ours.startswith(own):
            name = theirs + ours.removeprefix(own)
            return name.replace(".unit1.", ".resConfUnit1.").replace(".unit2.", ".resConfUnit2.")
    raise KeyError(ours)


def _names(net: nn.Module) -> dict[str, str]:
    """Return {official name: our name} for all of a net's tensors."""
    return {official_name(name): name for name in net.state_dict()}


def _shapes(state: Mapping[str, Tensor]) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in state.items()}


def _load_official(net: DepthNet | RenderNet, path: str | Path) -> Report:
    return _load(net, _read(path), _names(net), set(_UNUSED), path)


def _load(
    net: nn.Module,
    state: dict[str, Tensor],
    names: dict[str, str],
    unused: set[str],
    path: str | Path,
) -> Report:
    """Copy the tensors of `state` that `names` ({theirs: ours}) lists into `net`, all or none."""
    report = Report(
        loaded=tuple(name for name in names if name in state),
        missing=tuple(name for name in names if name not in state),
        unexpected=tuple(name for name in state if name not in names and name not in unused),
        ignored=tuple(name for name in state if name in unused),
    )
    if report.missing or report.unexpected:
        raise WeightsError(f"{path}: not this net's weights ({report}); name another file")
    own = net.state_dict()
    for theirs, ours in names.items():
        if state[theirs].shape != own[ours].shape:
            raise WeightsError(
                f"{path}: {theirs} has the shape {list(state[theirs].shape)}, but a "
                f"{type(net).__name__} needs {list(own[ours].shape)}; name another file"
            )
    net.load_state_dict({ours: state[theirs] for theirs, ours in names.items()}, strict=False)
    return report


def _read(path: str | Path) -> dict[str, Tensor]:
    """Return the state dict in a file, without the wrappings that training programs put around it."""
    path = Path(path)
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            # torch's older format is no zip file and cannot be mapped into memory.
            state = torch.load(
                path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
            )
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such weights file; download it, or name another") from None
    except Exception as error:  # a damaged pickle can raise almost anything
        said = str(error).strip().splitlines()[:1]
        raise WeightsError(
            f"{path}: not a readable file of plain tensors ({type(error).__name__}: "
            f"{' '.join(said)}); download it again"
        ) from None
    for wrapping in ("model", "state_dict"):
        if isinstance(state, dict) and isinstance(state.get(wrapping), dict):
            state = state[wrapping]
    if (
        not isinstance(state, dict)
        or not state
        or not all(isinstance(value, Tensor) for value in state.values())
    ):
        raise WeightsError(f"{path}: holds no state dict; name a file that maps names to tensors")
    if all(name.startswith("module.") for name in state):  # trained on several GPUs
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return state
