"""Eq. 2: how far predicted depth is from the truth, De = |Do - Dgt|."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def depth_error(predicted: Tensor, truth: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Eq. 2: De = |Do - Dgt| in metres, (N, 1, H, W), and its mask; De is 0 where `mask` is False.

    Source: Section III-C, Eq. 2; ledger: label-holes. Raises ValueError if the shapes differ.
    """
    if not predicted.shape == truth.shape == mask.shape:
        raise ValueError(f"shapes {predicted.shape}, {truth.shape}, {mask.shape} differ")
    return torch.where(mask, (predicted - truth).abs(), 0), mask


def predict_depth(depth_net: nn.Module, image: Tensor) -> Tensor:
    """Do of pictures (N, 3, H, W) of any size: padded to the net's stride, metres (N, 1, H, W).

    The last row and column are repeated to the right and below, and what they give is cut off.
    """
    stride, (height, width) = getattr(depth_net, "stride", 1), image.shape[-2:]
    padded = F.pad(image, (0, -width % stride, 0, -height % stride), mode="replicate")
    return depth_net(padded).float()[..., :height, :width]
