"""DMSHN and stacked DMSHN (Dutta et al. 2021): a picture drawn at three sizes, coarse to fine.

Known, since code and weights are public: every size, and with them 5,424,393 weights, 10,848,786
when stacked. Three levels x, x/2 and x/4 have an encoder and a decoder each, with weights of their
own and no norm. Our reading: only the skip (ledger id "baseline-skip"), which the published net
lacks.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from bradcn_nb.models.blocks import check_image, mix_input, start_near_input
from bradcn_nb.models.bradcn import BRADCNOutput

BLOCKS = 2  # residual blocks per width
LEVELS = 3
SKIP_SIDE = 5  # pixels; what the mini Render Net smooths over (ledger id "mini-skip")


@dataclass(frozen=True)
class DMSHNConfig:
    """Channels of each encoder's and decoder's sizes, fine to coarse; published: 32, 64, 128."""

    widths: tuple[int, ...] = (32, 64, 128)
    skip: bool = False  # the net mixes its input into the result, ledger id "baseline-skip"


class ResidualBlock(nn.Module):
    """conv(relu(conv(x))) + x with 3x3 convolutions; keeps the shape (N, C, H, W)."""

    def __init__(self, width: int):
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(F.relu(self.conv1(x))) + x


def encoder(in_channels: int, widths: tuple[int, ...]) -> nn.Sequential:
    """Return (N, in_channels, H, W) -> (N, widths[-1], H / s, W / s), s = 2 ** (len(widths) -
    1)."""
    layers = [nn.Conv2d(in_channels, widths[0], kernel_size=3, padding=1)]
    layers += [ResidualBlock(widths[0]) for _ in range(BLOCKS)]
    for fine, coarse in pairwise(widths):
        layers += [nn.Conv2d(fine, coarse, kernel_size=3, stride=2, padding=1)]
        layers += [ResidualBlock(coarse) for _ in range(BLOCKS)]
    return nn.Sequential(*layers)


def decoder(widths: tuple[int, ...], out_channels: int) -> nn.Sequential:
    """Return the encoder's mirror image: (N, widths[-1], h, w) -> (N, out_channels, s h, s w)."""
    layers = [ResidualBlock(widths[-1]) for _ in range(BLOCKS)]
    for coarse, fine in pairwise(reversed(widths)):
        layers += [nn.ConvTranspose2d(coarse, fine, kernel_size=4, stride=2, padding=1)]
        layers += [ResidualBlock(fine) for _ in range(BLOCKS)]
    return nn.Sequential(*layers, nn.Conv2d(widths[0], out_channels, kernel_size=3, padding=1))


def _scaled(x: Tensor, factor: float) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


class DMSHN(nn.Module):
    """The deep multi-scale hierarchical network.

    `forward(image)`: (N, 3, H, W) in [0, 1] gives a picture of the same shape, not clamped. Each
    level draws what the next finer one adds to its input, and hands its features on. Raises
    SizeError unless H and W are multiples of 16 (with three widths).
    """

    def __init__(self, cfg: DMSHNConfig):
        super().__init__()
        self.cfg = cfg
        self.stride = 2 ** (LEVELS - 1 + len(cfg.widths) - 1)
        outputs = (4 if cfg.skip else 3, 3, 3)
        self.encoders = nn.ModuleList(encoder(3, cfg.widths) for _ in range(LEVELS))
        self.decoders = nn.ModuleList(decoder(cfg.widths, channels) for channels in outputs)
        if cfg.skip:
            start_near_input(self.decoders[0][-1])

    def forward(self, image: Tensor) -> BRADCNOutput:
        return BRADCNOutput(self.draw(image), None, None)

    def draw(self, image: Tensor) -> Tensor:
        """Return the picture (N, 3, H, W) alone."""
        check_image(image, self.stride)
        half = _scaled(image, 0.5)
        quarter = _scaled(half, 0.5)
        features3 = self.encoders[2](quarter)
        drawn3 = self.decoders[2](features3)
        features2 = self.encoders[1](half + _scaled(drawn3, 2))
        drawn2 = self.decoders[1](features2 + _scaled(features3, 2))
        features1 = self.encoders[0](image + _scaled(drawn2, 2))
        drawn1 = self.decoders[0](features1 + _scaled(features2, 2))
        return mix_input(drawn1, image, SKIP_SIDE) if self.cfg.skip else drawn1


class StackedDMSHN(nn.Module):
    """Two DMSHNs in a row: the second one redraws what the first one drew.

    `forward(image)` as DMSHN's; with `cfg.skip` each of the two mixes its own input in.
    """

    def __init__(self, cfg: DMSHNConfig):
        super().__init__()
        self.cfg = cfg
        self.first = DMSHN(cfg)
        self.second = DMSHN(cfg)

    def forward(self, image: Tensor) -> BRADCNOutput:
        return self.second(self.first.draw(image))
