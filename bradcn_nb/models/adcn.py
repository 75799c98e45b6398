"""The Adaptive Depth Calibration Net (Section III-C): a U-Net that predicts depth errors."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bradcn_nb.models.blocks import centre, check_image, full_precision
from bradcn_nb.models.hub import HubNet
from bradcn_nb.presets import ModelConfig


class ADCN(HubNet):
    """Predict the error De of the depth net's depth (Eq. 2) from the picture.

    `forward(image)`: (N, 3, H, W) in [0, 1] gives De in metres, above 0,
    (N, 1, H, W). Raises SizeError unless H and W suit `cfg.stride`. The U-Net
    of Ronneberger et al. (2015), without norm layers (ledger id "adcn-norm");
    a softplus keeps De above 0 (ledger id "adcn-positive").
    """

    def __init__(self, cfg: ModelConfig, in_channels: int = 3):
        super().__init__(cfg)
        widths = cfg.adcn_widths  # fine to coarse
        inward = pairwise((in_channels, *widths))
        self.down = nn.ModuleList(double_conv(a, b) for a, b in inward)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(coarse, fine, kernel_size=2, stride=2)
            for fine, coarse in pairwise(widths)
        )
        self.merge = nn.ModuleList(Merge(w) for w in widths[:-1])
        self.out = nn.Conv2d(widths[0], 1, kernel_size=1)
        init_as_he(self.down, self.merge)

    def forward(self, image: Tensor) -> Tensor:
        check_image(image, self.cfg.stride)
        return F.softplus(self.unet(centre(image)))

    def unet(self, x: Tensor) -> Tensor:
        skips = []
        for level, convs in enumerate(self.down):
            x = convs(F.max_pool2d(x, 2) if level else x)  # (N, C, H, W)
            skips.append(x)
        for level in reversed(range(len(self.up))):
            x = self.merge[level](skips[level], self.up[level](x))
        return full_precision(self.out(x))  # (N, 1, H, W)


def double_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return two 3x3 convolutions, each with a ReLU; padded, so the size stays."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),  # at full size a second copy of the map would be 100 MB
        nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
    )


class Merge(nn.Sequential):
    """`double_conv` of a skip and what rises from below, both (N, C, H, W); keeps the shape."""

    def __init__(self, channels: int):
        super().__init__(*double_conv(2 * channels, channels))

    def forward(self, skip: Tensor, risen: Tensor) -> Tensor:
        return super().forward(torch.cat((skip, risen), dim=1))


def init_as_he(*parts: nn.Module) -> None:
    """Initialise the convolutions of `parts` as Ronneberger et al. prescribe (He et al. 2015)."""
    for part in parts:
        for module in part.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
