"""LPIPS v0.1, the distance of two pictures in the features of an image classifier (Section IV-C)."""

from functools import cache

import numpy as np
import torch
from torch import nn

from bradcn_nb.errors import SizeError
from bradcn_nb.evaluation.lpips_weights import load_backbone, load_heads

# Where torchvision's `features` are cut: five slices, each ending in the ReLU that is compared.
SLICES = {"alex": (2, 5, 8, 10, 12), "vgg": (4, 9, 16, 23, 30)}
SMALLEST = 32  # pixels a side: below, nothing is left after the nets' poolings
EPSILON = 1e-10


class LPIPS(nn.Module):
    """Learned perceptual image patch similarity, version 0.1, with its AlexNet or VGG16.

    A picture runs through five slices of the classifier. After each, the vector of channels at
    every place is scaled to length 1; the squared differences of the two pictures' vectors are
    weighed per channel, summed, and averaged over places. The five averages add up. Source: Zhang
    et al. 2018, Eq. 1; equal to the package `lpips`, whose per-channel weights it uses. Ledger:
    lpips. Raises WeightsError where there are no weights: `lpips_weights.load_backbone`.
    """

    def __init__(self, backbone: str = "alex") -> None:
        super().__init__()
        import torchvision  # here, since it is slow and PSNR and SSIM do without it

        weights, self.digest = load_backbone(backbone)
        self.backbone = backbone
        build = {"alex": torchvision.models.alexnet, "vgg": torchvision.models.vgg16}[backbone]
        with torch.device("meta"):  # without values: no random number can stay in unnoticed
            layers = build(weights=None).features[: SLICES[backbone][-1]]
        layers.load_state_dict(weights, assign=True)
        starts = (0, *SLICES[backbone][:-1])
        self.slices = nn.ModuleList(
            layers[start:end] for start, end in zip(starts, SLICES[backbone], strict=True)
        )
        for number, head in enumerate(load_heads(backbone)):
            self.register_buffer(f"head{number}", head)
        # ImageNet's mean and spread, for colours in [-1, 1].
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1))
        self.eval().requires_grad_(False)

    def maps(self, a: torch.Tensor, b: torch.Tensor) -> list[torch.Tensor]:
        """The five maps (N, 1, h, w), from fine to coarse, whose means add up to the distance.

        `a` and `b` are (N, 3, H, W) in [-1, 1]. Both nets advance slice by slice, so that only one
        slice's features are in memory. Raises SizeError below 32 pixels a side.
        """
        if min(a.shape[-2:]) < SMALLEST or a.shape != b.shape:
            raise SizeError(f"LPIPS needs two pictures of one size from {SMALLEST} pixels a side")
        a, b = ((x - self.shift) / self.scale for x in (a, b))
        found = []
        for number, part in enumerate(self.slices):
            a, b = part(a), part(b)
            difference = _unit(a).sub_(_unit(b)).square_()
            found.append(nn.functional.conv2d(difference, getattr(self, f"head{number}")))
        return found

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """The distance (N,) of the pictures (N, 3, H, W) in [-1, 1]; 0 if they are equal."""
        return torch.stack([part.mean((1, 2, 3)) for part in self.maps(a, b)]).sum(0)


def _unit(features: torch.Tensor) -> torch.Tensor:
    """Features (N, C, h, w) with the vector of channels at each place scaled to length 1."""
    return features / (features.square().sum(1, keepdim=True).sqrt_().add_(EPSILON))


def to_lpips(picture: np.ndarray) -> torch.Tensor:
    """A uint8 (H, W, 3) picture as LPIPS takes it: float32 (1, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(picture.transpose(2, 0, 1)[None].astype(np.float32)) / 127.5 - 1


@cache
def lpips_net(backbone: str = "alex") -> LPIPS:
    """The LPIPS of a backbone, made once; raises WeightsError where there are no weights."""
    return LPIPS(backbone)
