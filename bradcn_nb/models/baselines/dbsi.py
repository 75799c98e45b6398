"""DBSI (Dutta 2021): depth-aware blending of smoothed images.

Known: the picture is smoothed by three Gaussian kernels, 25, 45 and 75 pixels wide on pictures of
about 1536x1024. A depth net that was trained before (MegaDepth) gives, per pixel, four weights that
sum to 1, and the result is the weighted mean of the picture and its three smoothed versions.
Nothing can be drawn that is not between them. The inner sizes, and how depth becomes weights, were
never published as code.

Our reading (ledger id "dbsi-sizes"): the package's DepthNet gives the depth. Its inverse, in which
blur is linear, goes beside the picture into an encoder-decoder of DMSHN's kind (by the same
author), which gives the weights, its last features normalised (a softmax that is saturated learns
no more); both nets are trained. A kernel's width gives its standard deviation by OpenCV's rule, and
kernels shrink with the picture.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bradcn_nb.models.baselines.dmshn import decoder, encoder
from bradcn_nb.models.blocks import centre, check_image
from bradcn_nb.models.bradcn import BRADCNOutput
from bradcn_nb.models.depth_net import DepthNet
from bradcn_nb.presets import ModelConfig

KERNELS = (25, 45, 75)  # pixels, on pictures of KERNEL_HEIGHT rows
KERNEL_HEIGHT = 1024


@dataclass(frozen=True)
class DBSIConfig:
    """The depth net's configuration, and the blending net's channels, fine to coarse."""

    model: ModelConfig
    widths: tuple[int, ...] = (32, 64, 128)


def gaussian_kernel(side: int, height: int) -> Tensor:
    """Return a 1-D kernel that sums to 1: `side` pixels at 1024 rows, brought to `height` rows.

    The standard deviation follows OpenCV's rule for `side`. Each weight is the Gaussian's integral
    over its pixel, because a deviation below half a pixel would vanish between the samples.
    """
    scale = height / KERNEL_HEIGHT
    sigma = scale * (0.3 * ((side - 1) / 2 - 1) + 0.8)
    reach = max(1, round((side * scale - 1) / 2))
    edges = (torch.arange(2 * reach + 2, dtype=torch.float64) - reach - 0.5) / sigma
    kernel = torch.special.ndtr(edges).diff()
    return (kernel / kernel.sum()).float()


def gaussian_blur(image: Tensor, kernel: Tensor) -> Tensor:
    """Blur (N, C, H, W) by a 1-D kernel, along rows and columns; the border is repeated."""
    reach = len(kernel) // 2
    planes = F.pad(image, (reach,) * 4, mode="replicate").flatten(0, 1)[:, None]  # (N*C, 1, H', W')
    kernel = kernel.to(image)
    blurred = F.conv2d(F.conv2d(planes, kernel[None, None, :, None]), kernel[None, None, None])
    return blurred.view_as(image)


class DBSI(nn.Module):
    """Blend a picture with smoothed versions of itself, by weights that depend on depth.

    `forward(image)`: (N, 3, H, W) in [0, 1] gives a picture of the same shape, between the smallest
    and the largest value nearby, and the depth (N, 1, H, W) in metres. Raises SizeError unless H
    and W are multiples of the depth net's stride.
    """

    def __init__(self, cfg: DBSIConfig):
        super().__init__()
        self.cfg = cfg
        self.stride = max(cfg.model.stride, 2 ** (len(cfg.widths) - 1))
        self.depth_net = DepthNet(cfg.model)
        pictures = 1 + len(KERNELS)
        fine = cfg.widths[0]
        self.blend = nn.Sequential(
            encoder(4, cfg.widths),
            decoder(cfg.widths, fine),
            nn.GroupNorm(1, fine),  # or the softmax is saturated, for good, within ten steps
            nn.Conv2d(fine, pictures, kernel_size=1),
        )

    def weights(self, image: Tensor, depth: Tensor) -> Tensor:
        """Return the share of the picture and of each smoothed one: (N, 4, H, W), sum 1 per
        pixel."""
        return self.blend(torch.cat((centre(image), 1 / depth), 1)).softmax(1)

    def pictures(self, image: Tensor) -> Tensor:
        """Return the picture and its smoothed versions, (N, 4, 3, H, W)."""
        kernels = (gaussian_kernel(side, image.shape[-2]) for side in KERNELS)
        return torch.stack([image, *(gaussian_blur(image, kernel) for kernel in kernels)], 1)

    def forward(self, image: Tensor) -> BRADCNOutput:
        check_image(image, self.stride)
        depth = self.depth_net(image)
        shares = self.weights(image, depth)[:, :, None]  # (N, 4, 1, H, W)
        bokeh = (shares * self.pictures(image)).sum(1)
        return BRADCNOutput(bokeh, depth, None)
