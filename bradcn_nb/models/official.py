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

# The last convolution's channels tell a picture's net from a depth's.
_LAST = "scratch.output_conv.4.weight"
_OTHERS = {
    DepthNet: (3, "this is BRViT's, it draws 3 channels: `convert brvit`, or `load_brvit`"),
    RenderNet: (1, "this is a depth net's, DPT's or MiDaS's: `convert dpt`, or `load_dpt`"),
}

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
class MatchedTensors:
    """Which tensors of a net a file holds and which not; every name is the file's own."""

    found: tuple[str, ...]
    missing: tuple[str, ...]  # the net needs them, the file does not hold them
    unexpected: tuple[str, ...]  # the file holds them, the net has no place for them
    ignored: tuple[str, ...]  # the file holds them, and no output depends on them

    def __str__(self) -> str:
        counts = [f"{len(self.found)} tensors found"]
        for what in ("missing", "unexpected", "ignored"):
            names = getattr(self, what)
            first = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            counts.append(f"{len(names)} {what}" + (f" ({first})" if names else ""))
        return ", ".join(counts)


def load_dpt(path: str | Path, kind: str) -> tuple[DepthNet, MatchedTensors]:
    """Return a full-size DepthNet (eval mode, CPU) with the weights of an official DPT-Hybrid file.

    `kind` is "metric" for the NYUv2 checkpoint, whose depth is in metres, or "relative" for
    MiDaS's; the files cannot be told apart. A plain state dict is read, or one under "model" or
    "state_dict", from torch.save or safetensors. Raises WeightsError when the file is missing or
    damaged, needs code to be run, or holds other names or shapes; BradcnError for another `kind`.
    """
    if kind not in KINDS:
        raise BradcnError(f"unknown kind of depth {kind!r}: choose from {KINDS}")
    with torch.device("meta"):  # no time for random weights that are replaced at once
        net = DepthNet(replace(preset("paper").model, depth_kind=kind))
    return net.eval(), _load(net, path)


def load_brvit(path: str | Path) -> tuple[RenderNet, MatchedTensors]:
    """Return a full-size RenderNet (eval mode, CPU) with the weights of a BRViT file.

    Reads what `load_dpt` reads, and refuses what it refuses.
    """
    with torch.device("meta"):
        net = RenderNet(preset("paper").model)
    return net.eval(), _load(net, path)


def load_timm_encoder(
    net: DepthNet | RenderNet, source: str | Path | Mapping[str, Tensor]
) -> MatchedTensors:
    """Copy weights of timm's `vit_base_r50_s16_384` (ImageNet) into a full-size net's encoder.

    `source` is a file or a state dict. Only the ResNet and the ViT change; timm knows nothing of
    Reassemble and of the decoder. Raises WeightsError as `load_dpt` does, and then leaves `net` as
    it was.
    """
    state = source if isinstance(source, Mapping) else _read(source)
    where = "state dict" if isinstance(source, Mapping) else source
    names = {
        official.removeprefix(_TIMM): ours
        for official, ours in _names(net).items()
        if official.startswith(_TIMM)
    }
    report = _compare(net, state, names, {name.removeprefix(_TIMM) for name in _UNUSED}, where)
    net.load_state_dict({ours: state[theirs] for theirs, ours in names.items()}, strict=False)
    return report


def render_net_from_timm(path: str | Path, seed: int = 0) -> tuple[RenderNet, MatchedTensors]:
    """Return a full-size RenderNet (CPU) whose encoder holds timm's ImageNet weights.

    Everything else is random, drawn with `seed`. Reads and refuses what `load_timm_encoder` does.
    """
    torch.manual_seed(seed)
    net = RenderNet(preset("paper").model)
    return net, load_timm_encoder(net, path)


def to_official(net: DepthNet | RenderNet) -> dict[str, Tensor]:
    """Return the weights of a full-size net under the 368 names that the original code expects.

    The eight tensors that ours does not have are ones (the final norm's weight) and zeros: the
    original code asks for them and no output depends on them. As in any state dict, the tensors
    are the net's own memory. Raises WeightsError for a net of another size or made for inference.
    """
    state = net.state_dict()
    with torch.device("meta"):
        full = type(net)(preset("paper").model).state_dict()
    if {name: t.shape for name, t in state.items()} != {name: t.shape for name, t in full.items()}:
        raise WeightsError(
            f"this {type(net).__name__} has other tensors than that of preset 'paper', the only "
            f"one that the official naming can hold; take the net as it was built or trained"
        )
    official = {official_name(name): tensor for name, tensor in state.items()}
    like = official["pretrained.model.cls_token"]
    for name, shape in _UNUSED.items():
        fill = like.new_ones if name.endswith("norm.weight") else like.new_zeros
        official[name] = fill(shape)
    return official


def official_name(ours: str) -> str:
    """Return what DPT's code calls a tensor of our full-size nets; raises KeyError for none of
    ours.
    """
    for own, theirs in _PREFIXES:
        if ours.startswith(own):
            name = theirs + ours.removeprefix(own)
            return name.replace(".unit1.", ".resConfUnit1.").replace(".unit2.", ".resConfUnit2.")
    raise KeyError(ours)


def _names(net: nn.Module) -> dict[str, str]:
    """Return {official name: our name} for all of a net's tensors."""
    return {official_name(name): name for name in net.state_dict()}


def _load(net: DepthNet | RenderNet, path: str | Path) -> MatchedTensors:
    """Give `net`, which may be on the meta device, the weights of an official file."""
    state, names = _read(path), _names(net)
    report = _compare(net, state, names, set(_UNUSED), path)
    # Copies, since the file is only mapped into memory and may change.
    own = {
        ours: state[theirs].to(torch.float32, copy=True, memory_format=torch.contiguous_format)
        for theirs, ours in names.items()
    }
    net.load_state_dict(own, assign=True)
    return report


def _compare(
    net: nn.Module,
    state: Mapping[str, Tensor],
    names: dict[str, str],
    unused: set[str],
    where: str | Path,
) -> MatchedTensors:
    """Raise WeightsError unless `state` holds what `names` ({theirs: ours}) lists, in our
    shapes."""
    report = MatchedTensors(
        found=tuple(name for name in names if name in state),
        missing=tuple(name for name in names if name not in state),
        unexpected=tuple(name for name in state if name not in names and name not in unused),
        ignored=tuple(name for name in state if name in unused),
    )
    if report.missing or report.unexpected:
        raise WeightsError(
            f"{where}: not the weights of this {type(net).__name__} ({report}); name another file"
        )
    own = net.state_dict()
    channels = state[_LAST].shape[0] if _LAST in state else 0
    if _LAST in names and channels == _OTHERS.get(type(net), (0,))[0]:
        raise WeightsError(f"{where}: {_OTHERS[type(net)][1]}")
    for theirs, ours in names.items():
        if state[theirs].shape != own[ours].shape:
            raise WeightsError(
                f"{where}: {theirs} has the shape {list(state[theirs].shape)}, but this "
                f"{type(net).__name__} needs {list(own[ours].shape)}; name another file"
            )
    return report


def _read(path: str | Path) -> dict[str, Tensor]:
    """Return the state dict in a file, without the wrappings that training programs put around
    it."""
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
        raise WeightsError(
            f"{path}: damaged, or more than plain tensors ({type(error).__name__}); download it "
            f"again, or save the state dict alone"
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
