"""A calibration net that learns from pairs: how strongly the lens blurs each place."""

import torch
import torch.nn.functional as F
from torch import Tensor

from bradcn_nb.models.adcn import ADCN
from bradcn_nb.models.blocks import centre, check_image
from bradcn_nb.presets import ModelConfig


class DefocusNet(ADCN):
    """Predict each place's circle of confusion from the picture and Do.

    `forward(image, depth)`: (N, 3, H, W) in [0, 1] and (N, 1, H, W) in
    metres, above 0, give radii in % of the picture's height, above 0,
    (N, 1, H, W). Unlike an error in metres, a radius is what decides about
    blur, and it contains the focus. ADCN's U-Net; its labels need no measured
    depth, `lens.defocus.defocus_map` reads them off pairs. Raises SizeError
    as ADCN does. Source: ours (ledger id "pairs-defocus").
    """

    def __init__(self, cfg: ModelConfig):
        super().__init__(cfg, in_channels=4)

    def forward(self, image: Tensor, depth: Tensor) -> Tensor:
        check_image(image, self.cfg.stride)
        # In 1/m, which is at most a few; and blur is linear in it.
        seen = torch.cat((centre(image), 1 / depth), dim=1)  # (N, 4, H, W)
        return F.softplus(self.unet(seen))
