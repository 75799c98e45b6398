"""The Adaptive Depth Calibration Net (Section III-C): a U-Net that predicts depth errors."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bradcn_nb.models.blocks import centre, check_image
from bradcn_nb.presets import ModelConfig


def double_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return two 3x3 convolutions, each with a ReLU; padded, so the size stays."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1),
        nn.ReLU(),
    )


class ADCN(nn.Module):
    """Predict the absolute error De of the depth net's depth (Eq. 2) from the picture alone.

    `forward(image)`: (N, 3, H, W) in [0, 1] gives De in metres, positive, (N, 1, H, W). Raises
    SizeError unless H and W are multiples of `cfg.stride`.

    The U-Net of Ronneberger et al. (2015): no norm layers (ledger id "adcn-norm": theirs had none,
    and with the paper's batch of 1 batch norm would differ between training and use), He's
    initialisation, as they prescribe. A softplus keeps De positive (ledger id "adcn-positive": a
    ReLU that once falls to zero everywhere stays there).
    """

    def __init__(self, cfg: ModelConfig):
        super().__init__()
        widths = cfg.adcn_widths
        self.stride = cfg.stride
        self.down = nn.ModuleList(
            double_conv(before, width) for before, width in pairwise((3, *widths))
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(coarse, fine, kernel_size=2, stride=2)
            for fine, coarse in pairwise(widths)
        )
        self.merge = nn.ModuleList(double_conv(2 * width, width) for width in widths[:-1])
        self.out = nn.Conv2d(widths[0], 1, kernel_size=1)
        for module in (*self.down.modules(), *self.merge.modules()):
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)

    def forward(self, image: Tensor) -> Tensor:
        check_image(image, self.stride)
        x = self.down[0](centre(image))
        skips = []
        for level in self.down[1:]:
            skips.append(x)
            x = level(F.max_pool2d(x, kernel_size=2))  # (N, C, H, W) -> (N, C', H / 2, W / 2)
        for level in reversed(range(len(skips))):
            x = self.up[level](x)  # (N, C', H / 2, W / 2) -> (N, C, H, W)
            x = self.merge[level](
                torch.cat((skips[level], x), dim=1)
            )  # (N, 2C, H, W) -> (N, C, H, W)
        return F.softplus(self.out(x))
