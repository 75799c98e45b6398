"""The parts that the nets are put together from: Reassemble, FusionBlock, Decoder, AdaptiveNet.

Shapes are written (N, C, H, W); a "map" is such a tensor, and a list of maps always runs fine to
coarse.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bradcn_nb.errors import SizeError
from bradcn_nb.presets import ModelConfig


def check_image(image: Tensor, stride: int) -> None:
    """Raise SizeError unless `image` is (N, 3, H, W), H and W positive multiples of `stride`."""
    if image.ndim != 4 or image.shape[1] != 3:
        raise SizeError(f"expected images of shape (N, 3, H, W), got {tuple(image.shape)}")
    height, width = image.shape[-2:]
    if height == 0 or width == 0 or height % stride or width % stride:
        remedy = f"{_round_up(height, stride)}x{_round_up(width, stride)}"
        raise SizeError(
            f"image of {height}x{width} pixels (height x width), but both must be multiples of "
            f"{stride}: resize it, or pad it to {remedy}"
        )


def _round_up(size: int, stride: int) -> int:
    return max(1, -(-size // stride)) * stride


def centre(image: Tensor) -> Tensor:
    """Map values from [0, 1] to [-1, 1], the range that DPT was trained with; keeps the shape."""
    return (image - 0.5) / 0.5


def run_segment(part: Callable[..., Tensor], *inputs: Tensor, forget: bool) -> Tensor:
    """Return `part(*inputs)`; with `forget`, its inner activations are computed again for backward.

    This trades about a third more time for memory ("activation checkpointing"; Chen et al. 2016).
    """
    if forget and torch.is_grad_enabled():
        return checkpoint(part, *inputs, use_reentrant=False)
    return part(*inputs)


def smoothed(image: Tensor, side: int) -> Tensor:
    """Return the mean over squares of `side` pixels (odd); keeps the shape (N, C, H, W)."""
    padded = F.pad(image, (side // 2,) * 4, mode="replicate")
    return F.avg_pool2d(padded, side, stride=1)


def mix_input(drawn: Tensor, image: Tensor, side: int) -> Tensor:
    """Mix a picture (N, 3, H, W) into what a net drew, (N, 4, H, W); returns (N, 3, H, W).

    The fourth channel says, pixel by pixel, how much of the sharp picture stays; the rest is the
    picture smoothed over `side` pixels plus what was drawn (ledger id "mini-skip").
    """
    keep = torch.sigmoid(drawn[:, 3:])  # (N, 1, H, W)
    return keep * image + (1 - keep) * (smoothed(image, side) + drawn[:, :3])


def start_near_input(last: nn.Conv2d) -> None:
    """Set the last convolution before `mix_input` so that the net starts near its input.

    Not from zero, or nothing below it would learn.
    """
    nn.init.normal_(last.weight, std=0.02)
    nn.init.zeros_(last.bias)
    nn.init.ones_(last.bias[3:])


def add_maps(maps: list[Tensor], others: list[Tensor]) -> list[Tensor]:
    """Add two lists of maps scale by scale; raises ValueError when their lengths differ."""
    return [ours + theirs for ours, theirs in zip(maps, others, strict=True)]


class Reassemble(nn.Module):
    """Turn ViT tokens back into a map (DPT, Section 3; `Reassemble` of the paper's Section III-A).

    `forward(tokens, grid)`: tokens (N, 1 + h*w, D), the class token first, and grid = (h, w) give
    a map (N, features, h / downsample, w / downsample).
    """

    def __init__(self, embed_dim: int, features: int, downsample: int):
        super().__init__()
        self.project = nn.Sequential(nn.Linear(2 * embed_dim, embed_dim), nn.GELU())
        self.mix = nn.Conv2d(embed_dim, embed_dim, kernel_size=1)
        self.resize = (
            nn.Conv2d(embed_dim, embed_dim, kernel_size=3, stride=downsample, padding=1)
            if downsample > 1
            else nn.Identity()
        )
        self.narrow = nn.Conv2d(embed_dim, features, kernel_size=3, padding=1, bias=False)

    def forward(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        # The class token has seen the whole picture: hand it to every place ("readout project").
        cls, patches = tokens[:, :1], tokens[:, 1:]
        x = torch.cat((patches, cls.expand_as(patches)), dim=-1)  # (N, h*w, 2D)
        x = self.project(x)  # (N, h*w, D)
        x = x.transpose(1, 2).unflatten(2, grid)  # (N, D, h, w)
        return self.narrow(self.resize(self.mix(x)))


class ResidualConvUnit(nn.Module):
    """x + conv(relu(conv(relu(x)))) with 3x3 convolutions, no norm, as in DPT; keeps the shape."""

    def __init__(self, features: int):
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(features, features, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


class FusionBlock(nn.Module):
    """Merge the coarser result with this scale's map and double the size (Section III-A; DPT).

    `forward(x, skip)`: both (N, features, H, W) give (N, features, 2H, 2W). The coarsest block has
    no coarser result to merge; it is built with `has_skip=False` and called with x alone.
    """

    def __init__(self, features: int, has_skip: bool = True):
        super().__init__()
        self.unit1 = ResidualConvUnit(features) if has_skip else None
        self.unit2 = ResidualConvUnit(features)
        self.out_conv = nn.Conv2d(features, features, kernel_size=1)

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        if skip is not None:
            x = x + self.unit1(skip)
        x = self.unit2(x)
        # DPT enlarges first. A 1x1 convolution commutes with bilinear interpolation, whose weights
        # sum to 1, so this order gives the same values for a quarter of the work.
        x = self.out_conv(x)
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


class Decoder(nn.Module):
    """Fuse four maps from coarse to fine and draw the result (Section III-A; as in DPT).

    `forward(maps)`: four maps (N, features, H / s, W / s), s = cfg.strides, give (N, out_channels,
    H, W).
    """

    def __init__(self, cfg: ModelConfig, out_channels: int):
        super().__init__()
        self.checkpointing = False
        self.fusion = nn.ModuleList(
            FusionBlock(cfg.features, has_skip=scale < 3) for scale in range(4)
        )
        first, second = cfg.head_widths
        upsample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.head = nn.Sequential(
            nn.Conv2d(cfg.features, first, kernel_size=3, padding=1),
            upsample if cfg.head_upsample else nn.Identity(),
            nn.Conv2d(first, second, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(second, out_channels, kernel_size=1),
        )

    def forward(self, maps: list[Tensor]) -> Tensor:
        forget = self.checkpointing
        x = run_segment(self.fusion[3], maps[3], forget=forget)
        for scale in (2, 1, 0):
            x = run_segment(self.fusion[scale], x, maps[scale], forget=forget)
        return run_segment(self.head, x, forget=forget)


class AdaptiveNet(nn.Conv2d):
    """Adap of Eq. 1 and Eq. 3: (N, 1, H, W) in metres to (N, 3, H, W), like a picture.

    Section III-B: "a convolutional layer with an output channel of 3, kernel size of 3, stride of
    1, and padding of 1".
    """

    def __init__(self):
        super().__init__(1, 3, kernel_size=3, stride=1, padding=1)


class DenseReassemble(nn.Module):
    """Reassemble of Eq. 1 and Eq. 3: cut a 3-channel map into patches, once per scale.

    `forward(dense)`: (N, 3, H, W) gives four maps (N, features, H / s, W / s). Each is one
    convolution whose kernel equals its stride, the move that turns a picture into tokens (ledger
    id "dense-reassemble").

    The projections start small: then BRADCN starts as its Render Net, and the branches grow as far
    as they help. At the usual size, depths of several metres would drown the encoder's maps at
    first.
    """

    def __init__(self, features: int, strides: tuple[int, ...]):
        super().__init__()
        self.patches = nn.ModuleList(
            nn.Conv2d(3, features, kernel_size=stride, stride=stride) for stride in strides
        )
        for conv in self.patches:
            fan_in = conv.weight[0].numel()
            nn.init.normal_(conv.weight, std=0.002 / fan_in**0.5)
            nn.init.zeros_(conv.bias)

    def forward(self, dense: Tensor) -> list[Tensor]:
        return [conv(dense) for conv in self.patches]
