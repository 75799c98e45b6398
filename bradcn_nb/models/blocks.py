"""The parts that the nets are put together from: Reassemble, FusionBlock, Decoder, AdaptiveNet.

Shapes are written (N, C, H, W); a "map" is such a tensor, and a list of maps always runs fine to
coarse.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bradcn_nb.errors import SizeError
from bradcn_nb.presets import ModelConfig

# How DPT enlarges: corners fall upon corners.
TWICE = {"scale_factor": 2, "mode": "bilinear", "align_corners": True}


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


def full_precision(x: Tensor) -> Tensor:
    """Return `x` in float32 or more: under autocast bf16, a depth of 5 m would be 3 cm coarse."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def pad_to_stride(image: Tensor, stride: int) -> Tensor:
    """Continue (N, C, H, W) below and to the right, mirrored, to multiples of `stride`.

    A side that is too short to be mirrored that far is mirrored again and again.
    """
    height, width = image.shape[-2:]
    rows, columns = (_mirrored(side, _round_up(side, stride)) for side in (height, width))
    return image[..., rows, :][..., columns]


def _mirrored(side: int, longer: int) -> Tensor:
    """The indices 0 .. side-1, side-2 .. 1, 0 and on, `longer` of them."""
    period = max(2 * (side - 1), 1)
    place = torch.arange(longer) % period
    return torch.minimum(place, period - place) if side > 1 else torch.zeros_like(place)


def conv3x3(in_channels: int, out_channels: int) -> nn.Conv2d:
    """Return a 3x3 convolution without bias that keeps the size."""
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)


def smoothed(image: Tensor, side: int) -> Tensor:
    """Return the mean over squares of `side` pixels (odd); keeps the shape (N, C, H, W)."""
    padded = F.pad(image, (side // 2,) * 4, mode="replicate")
    return F.avg_pool2d(padded, side, stride=1)


def mix_input(drawn: Tensor, image: Tensor, side: int) -> Tensor:
    """Mix a picture (N, 3, H, W) into what a net drew, (N, 4, H, W).

    The fourth channel says, pixel by pixel, how much of the sharp picture
    stays; the rest is the picture smoothed over `side` pixels plus what was
    drawn (ledger id "mini-skip"). Returns (N, 3, H, W).
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
    """Turn ViT tokens back into a map (DPT, Section 3; Section III-A).

    `forward(tokens, grid)`: tokens (N, 1 + h*w, D), the class token first,
    and grid = (h, w) give a map (N, features, h / downsample, w / downsample).
    """

    def __init__(self, embed_dim: int, features: int, downsample: int):
        super().__init__()
        dim = embed_dim
        self.project = nn.Sequential(nn.Linear(2 * dim, dim), nn.GELU())
        self.mix = nn.Conv2d(dim, dim, kernel_size=1)
        self.resize = nn.Identity()
        if downsample > 1:
            self.resize = nn.Conv2d(dim, dim, 3, stride=downsample, padding=1)
        self.narrow = conv3x3(dim, features)

    def forward(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        # The class token has seen the whole picture: hand it to every place
        # ("readout project").
        cls, patches = tokens[:, :1], tokens[:, 1:]
        x = torch.cat((patches, cls.expand_as(patches)), dim=-1)
        x = self.project(x)  # (N, h*w, 2D) -> (N, h*w, D)
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
    """Merge the coarser result with this scale's map and double the size.

    `forward(x, skip)`: both (N, features, H, W) give (N, features, 2H, 2W).
    The coarsest block has nothing to merge; it is built with
    `has_skip=False` and called with x alone. Source: Section III-A; DPT.
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
        # DPT enlarges first. A 1x1 convolution commutes with bilinear
        # interpolation, whose weights sum to 1, so this order gives the same
        # values for a quarter of the work.
        x = self.out_conv(x)
        return F.interpolate(x, **TWICE)


class Decoder(nn.Module):
    """Fuse four maps from coarse to fine and draw the result.

    `forward(maps)`: four maps (N, features, H / s, W / s), s = cfg.strides,
    give (N, out_channels, H, W). Source: Section III-A; as in DPT.
    """

    def __init__(self, cfg: ModelConfig, out_channels: int):
        super().__init__()
        self.fusion = nn.ModuleList(
            FusionBlock(cfg.features, has_skip=scale < 3) for scale in range(4)
        )
        first, second = cfg.head_widths
        self.head = nn.Sequential(
            nn.Conv2d(cfg.features, first, kernel_size=3, padding=1),
            nn.Upsample(**TWICE) if cfg.head_upsample else nn.Identity(),
            nn.Conv2d(first, second, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(second, out_channels, kernel_size=1),
        )

    def forward(self, maps: list[Tensor]) -> Tensor:
        x = self.fusion[3](maps[3])
        for scale in (2, 1, 0):
            x = self.fusion[scale](x, maps[scale])
        return self.head(x)


class AdaptiveNet(nn.Conv2d):
    """Adap of Eq. 1 and 3: (N, 1, H, W) in metres to (N, 3, H, W).

    Section III-B: "a convolutional layer with an output channel of 3, kernel
    size of 3, stride of 1, and padding of 1".
    """

    def __init__(self):
        super().__init__(1, 3, kernel_size=3, stride=1, padding=1)


class DenseReassemble(nn.Module):
    """Reassemble of Eq. 1 and 3: cut a map into patches, once per scale.

    `forward(dense)`: (N, 3, H, W) gives four maps (N, features, H / s,
    W / s). Each is one convolution whose kernel equals its stride, the move
    that turns a picture into tokens (ledger id "dense-reassemble").

    The projections start small: so BRADCN starts as its Render Net, and the
    branches grow as far as they help. At the usual size, depths of several
    metres would drown the encoder's maps at first.
    """

    def __init__(self, features: int, strides: tuple[int, ...]):
        super().__init__()
        self.patches = nn.ModuleList(
            nn.Conv2d(3, features, kernel_size=s, stride=s) for s in strides
        )
        for conv in self.patches:
            fan_in = conv.weight[0].numel()
            nn.init.normal_(conv.weight, std=0.002 / fan_in**0.5)
            nn.init.zeros_(conv.bias)

    def forward(self, dense: Tensor) -> list[Tensor]:
        return [conv(dense) for conv in self.patches]
