"""The Adaptive Depth Calibration Net (Section III-C): a U-Net that predicts depth errors."""

from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bradcn_nb.errors import BradcnError
from bradcn_nb.models.blocks import centre, check_image, run_segment
from bradcn_nb.models.hub import HubNet
from bradcn_nb.presets import ModelConfig


def double_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return two 3x3 convolutions, each with a ReLU; padded, so the size stays."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),  # at full size a second copy of the map would be 100 MB
        nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
    )


class ADCN(HubNet):
    """Predict the absolute error De of the depth net's depth (Eq. 2) from the picture alone.

    `forward(image)`: (N, 3, H, W) in [0, 1] gives De in metres, positive, (N, 1, H, W). With
    `cfg.error_kind` "signed" it sees the depth, too: `forward(image, depth)` gives Dgt - Do, (N, 1, H,
    W) in metres (ledger id "signed-error"); otherwise `depth` is left alone. Raises SizeError unless
    H and W are multiples of `cfg.stride`, BradcnError for a signed net without a depth.

    The U-Net of Ronneberger et al. (2015): no norm layers (ledger id "adcn-norm": theirs had none,
    and with the paper's batch of 1 batch norm would differ between training and use), He's
    initialisation, as they prescribe. A softplus keeps De positive (ledger id "adcn-positive": a
    ReLU that once falls to zero everywhere stays there).
    """

    def __init__(self, cfg: ModelConfig):
        super().__init__(cfg)
        widths = cfg.adcn_widths
        self.stride = cfg.stride
        self.checkpointing = False
        self.signed = cfg.error_kind == "signed"
        self.down = nn.ModuleList(
            double_conv(before, width) for before, width in pairwise((3 + self.signed, *widths))
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

    def forward(self, image: Tensor, depth: Tensor | None = None) -> Tensor:
        check_image(image, self.stride)
        forget, x = self.checkpointing, centre(image)
        if self.signed:
            if depth is None:
                raise BradcnError("this ADCN corrects a depth: call it with the picture and Do")
            x = torch.cat((x, 1 / depth), dim=1)  # in 1/m: at most a few, and blur is linear in it
        x = run_segment(self.down[0], x, forget=forget)
        skips = []
        for level in range(1, len(self.down)):
            skips.append(x)
            x = run_segment(partial(self._sink, level), x, forget=forget)
        for level in reversed(range(len(skips))):
            x = run_segment(partial(self._rise, level), skips.pop(), x, forget=forget)
        return self.out(x) if self.signed else F.softplus(self.out(x))

    def _sink(self, level: int, x: Tensor) -> Tensor:
        return self.down[level](F.max_pool2d(x, kernel_size=2))  # (N, C, H, W) -> (N, C', H/2, W/2)

    def _rise(self, level: int, skip: Tensor, x: Tensor) -> Tensor:
        x = torch.cat((skip, self.up[level](x)), dim=1)  # (N, C', H/2, W/2) -> (N, 2C, H, W)
        return self.merge[level](x)  # (N, C, H, W)
