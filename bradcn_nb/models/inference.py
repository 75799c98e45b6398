"""The same net, made ready for use alone: faster, and of no use for training."""

from copy import deepcopy
from typing import TypeVar

import torch
from timm.layers import StdConv2dSame, pad_same
from torch import Tensor, nn

from bradcn_nb.errors import BradcnError

Net = TypeVar("Net", bound=nn.Module)


class FoldedConv(nn.Conv2d):
    """A StdConv2dSame whose weight is standardised once, not in each call; same values."""

    def __init__(self, conv: StdConv2dSame):
        nn.Module.__init__(self)
        self.__dict__.update(conv.__dict__)
        flat = conv.weight.flatten(1)
        variance, mean = torch.var_mean(flat, dim=1, keepdim=True, correction=0)
        folded = (flat - mean) / (variance + conv.eps).sqrt()
        self.weight = nn.Parameter(folded.view_as(conv.weight), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.same_pad:
            x = pad_same(x, self.kernel_size, self.stride, self.dilation)
        return super().forward(x)


def pick_device(name: str) -> torch.device:
    """Return the device that `name` means: "auto" is cuda, else mps, else cpu.

    Raises BradcnError, naming what there is, for a device that is unknown or absent.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    present = [device for device, available in there.items() if available]
    if name not in ("auto", *present):
        raise BradcnError(f"no device {name!r} here; choose auto or {', '.join(present)}")
    return torch.device(present[0] if name == "auto" else name)


def for_inference(net: Net) -> Net:
    """Return a copy of a net of this package that gives the same outputs sooner.

    In eval mode, channels last, without gradients, and the ResNet's weights standardised once (the
    encoder of Section III-A standardises them in each call). Outputs differ by rounding alone. The
    copy cannot be trained or saved.
    """
    ready = deepcopy(net).eval().requires_grad_(False)
    for parent in list(ready.modules()):
        for name, child in parent.named_children():
            if isinstance(child, StdConv2dSame):
                setattr(parent, name, FoldedConv(child))
    return ready.to(memory_format=torch.channels_last)


def about_device() -> str:
    """Say in one line which GPU this machine has, and what of the book uses it."""
    device = pick_device("auto")
    if device.type == "cpu":
        return "No GPU here: every chapter runs without; training at full size wants one."
    name = torch.cuda.get_device_name() if device.type == "cuda" else "an Apple GPU"
    return f"{name}: train, evaluate and render use it; the chapters' small nets stay on the CPU."
