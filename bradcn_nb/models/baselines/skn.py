"""SKN: an encoder-decoder of selective kernel blocks (Li et al. 2019).

Known: the block. Table I names "SKN [18]", and [18] is Li et al.'s classifier. How it was made to
draw bokeh, its sizes and its code were never published. Our reading (ledger id "skn-variant"): two
branches, 3x3 and 3x3 dilated by 2 (as wide as 5x5), softmax attention between them per channel, in
residual blocks of an encoder-decoder with additive skip connections. No norm, since the paper
trains with batch 1.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bradcn_nb.models.baselines.dmshn import SKIP_SIDE
from bradcn_nb.models.blocks import check_image, mix_input, start_near_input
from bradcn_nb.models.bradcn import BRADCNOutput

DILATIONS = (1, 2)  # of the two branches
REDUCTION, LEAST = 16, 32  # Li et al., Section 3.1: d = max(C / r, L)


@dataclass(frozen=True)
class SKNConfig:
    """Channels of the encoder-decoder's sizes, fine to coarse."""

    widths: tuple[int, ...] = (32, 64, 128, 256)  # our own; in all, about as many as DMSHN
    skip: bool = False  # the net mixes its input into the result, ledger id "baseline-skip"


class SelectiveKernel(nn.Module):
    """Split, fuse, select (Li et al. 2019, Section 3.1); keeps the shape (N,
    C, H, W).

    Each branch sees another neighbourhood. What all of them found, averaged
    over the picture, decides channel by channel how much of each branch
    passes.
    """

    def __init__(self, width: int):
        super().__init__()
        squeezed = max(width // REDUCTION, LEAST)
        self.branches = nn.ModuleList(
            nn.Conv2d(width, width, 3, 1, d, dilation=d) for d in DILATIONS
        )
        self.squeeze = nn.Linear(width, squeezed)
        self.expand = nn.Linear(squeezed, len(DILATIONS) * width)

    def attention(self, seen: Tensor) -> Tensor:
        """Return each branch's share of each channel: (N, M, C, H, W) -> (N,
        M, C), sum over M is 1.
        """
        summary = seen.sum(1).mean((2, 3))  # (N, C)
        scores = self.expand(F.relu(self.squeeze(summary)))  # (N, M * C)
        return scores.unflatten(1, (len(DILATIONS), -1)).softmax(1)

    def forward(self, x: Tensor) -> Tensor:
        seen = [F.relu(branch(x)) for branch in self.branches]
        seen = torch.stack(seen, 1)  # (N, M, C, H, W)
        return (seen * self.attention(seen)[..., None, None]).sum(1)


class SKBlock(nn.Module):
    """x + 1x1(selective kernel(x)); keeps the shape (N, C, H, W)."""

    def __init__(self, width: int):
        super().__init__()
        self.select = SelectiveKernel(width)
        self.mix = nn.Conv2d(width, width, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mix(self.select(x))


class SKN(nn.Module):
    """Redraw a picture through an encoder-decoder of SK blocks.

    `forward(image)`: (N, 3, H, W) in [0, 1] gives a picture of the same shape, not clamped. Raises
    SizeError unless H and W are multiples of 8 (with four widths).
    """

    def __init__(self, cfg: SKNConfig):
        super().__init__()
        widths = cfg.widths
        self.cfg = cfg
        self.stride = 2 ** (len(widths) - 1)
        self.stem = nn.Conv2d(3, widths[0], kernel_size=3, padding=1)
        self.encode = nn.ModuleList(SKBlock(width) for width in widths)
        self.down = nn.ModuleList(
            nn.Conv2d(fine, coarse, kernel_size=3, stride=2, padding=1)
            for fine, coarse in pairwise(widths)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(coarse, fine, kernel_size=4, stride=2, padding=1)
            for fine, coarse in pairwise(widths)
        )
        self.decode = nn.ModuleList(SKBlock(width) for width in widths)
        self.head = nn.Conv2d(widths[0], 4 if cfg.skip else 3, kernel_size=3, padding=1)
        if cfg.skip:
            start_near_input(self.head)

    def forward(self, image: Tensor) -> BRADCNOutput:
        check_image(image, self.stride)
        x = self.encode[0](self.stem(image))
        skips = []
        for down, block in zip(self.down, self.encode[1:], strict=True):
            skips.append(x)
            x = block(down(x))  # (N, C, H, W) -> (N, C', H/2, W/2)
        x = self.decode[-1](x)
        for level in reversed(range(len(skips))):
            x = self.decode[level](self.up[level](x) + skips[level])  # back to (N, C, H, W)
        drawn = self.head(x)
        if self.cfg.skip:
            drawn = mix_input(drawn, image, SKIP_SIDE)
        return BRADCNOutput(drawn, None, None)
