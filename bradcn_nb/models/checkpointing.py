"""Activation checkpointing: parts of a net whose inner activations are computed again for backward.

It stands beside the nets, not in them: a part keeps its weights and their names, only its class
changes. So a copy of the net, such as a running mean of its weights, is checkpointed likewise.
"""

from functools import cache
from itertools import chain

import torch
from timm.models.resnetv2 import ResNetV2
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bradcn_nb.models.adcn import ADCN
from bradcn_nb.models.blocks import Decoder
from bradcn_nb.models.encoder import HybridEncoder


def set_checkpointing(net: nn.Module, on: bool = True) -> None:
    """Compute activations again in backward instead of keeping them: less memory, more time.

    `net`: any net of this package. The gradients stay the same. Source: Chen et al. 2016, "Training
    deep nets with sublinear memory cost".
    """
    for module in list(net.modules()):
        if isinstance(module, ResNetV2):
            module.set_grad_checkpointing(on)
        for part in _parts(module):
            plain = type(part).plain if _is_checkpointed(part) else type(part)
            part.__class__ = _checkpointed(plain) if on else plain


def _parts(module: nn.Module) -> list[nn.Module]:
    """The parts of one of our modules that are run, and run again, as a whole."""
    if isinstance(module, HybridEncoder):
        return [module.backbone.stem, *module.blocks]
    if isinstance(module, Decoder):
        return [*module.fusion, module.head]
    if isinstance(module, ADCN):
        return list(chain(module.down, module.merge))
    return []


def _is_checkpointed(part: nn.Module) -> bool:
    return isinstance(part, _Marker)


class _Marker:
    """What all checkpointed classes have in common."""


@cache
def _checkpointed(kind: type[nn.Module]) -> type[nn.Module]:
    """The class `kind` with a forward that keeps its inputs alone."""

    class Checkpointed(_Marker, kind):
        plain = kind

        def forward(self, *inputs: Tensor) -> Tensor:
            if not torch.is_grad_enabled():
                return super().forward(*inputs)
            return checkpoint(super().forward, *inputs, use_reentrant=False)

    Checkpointed.__name__ = kind.__name__
    return Checkpointed
