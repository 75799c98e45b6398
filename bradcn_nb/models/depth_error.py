"""Eq. 2: how far predicted depth is from the truth, De = |Do - Dgt|."""

import torch
from torch import Tensor, nn

from bradcn_nb.models.blocks import pad_to_stride


def depth_error(
    predicted: Tensor,
    truth: Tensor,
    mask: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return De = |Do - Dgt| in metres, and where it is known.

    All are (N, 1, H, W); `mask` is False where the truth is missing, and De
    is 0 there (ledger: label-holes). Raises ValueError if the shapes differ.
    Source: Section III-C, Eq. 2.
    """
    if not predicted.shape == truth.shape == mask.shape:
        shapes = predicted.shape, truth.shape, mask.shape
        raise ValueError(f"shapes {shapes} differ")
    return torch.where(mask, (predicted - truth).abs(), 0), mask


def predict_depth(depth_net: nn.Module, image: Tensor) -> Tensor:
    """Return Do, metres (N, 1, H, W), of pictures (N, 3, H, W) of any size.

    They are mirrored to multiples of the net's `stride`, and cut back; a net
    without one takes any size.
    """
    height, width = image.shape[-2:]
    padded = pad_to_stride(image, getattr(depth_net, "stride", 1))
    return depth_net(padded).float()[..., :height, :width]
