"""The Depth Prediction Net (Section III-B): DPT-Hybrid for metric depth."""

import torch.nn.functional as F
from torch import Tensor, nn

from bradcn_nb.errors import BradcnError
from bradcn_nb.models.blocks import Decoder, centre, check_image, full_precision
from bradcn_nb.models.encoder import HybridEncoder
from bradcn_nb.models.hub import HubNet
from bradcn_nb.presets import ModelConfig

# 1/m. An untrained net predicts 2.3 m everywhere: inside a room, and away from x = 0, where the
# head's ReLU has no slope and a net could never come back.
_FIRST_GUESS = 0.3


class DepthNet(HubNet):
    """Predict the depth Do of Eq. 1 and Eq. 2 from one picture.

    `forward(image)`: (N, 3, H, W) in [0, 1] gives depth in metres (N, 1, H, W). The head's output
    x >= 0 is scaled inverse depth, depth = 1 / max(cfg.depth_scale * x + cfg.depth_shift, 1e-8),
    so the farthest answer is 1 / depth_shift, 7.26 m (ledger id "depth-floor"). Raises SizeError
    unless H and W are multiples of `cfg.stride`.

    With `cfg.depth_kind` "relative" the net holds MiDaS weights (ledger id "depth-kind"). Their
    inverse depth has an unknown scale and shift: `forward` raises BradcnError, only `inverse`
    answers.
    """

    def __init__(self, cfg: ModelConfig):
        super().__init__(cfg)
        self.stride = cfg.stride
        self.scale = cfg.depth_scale
        self.shift = cfg.depth_shift
        self.encoder = HybridEncoder(cfg)
        self.decoder = Decoder(cfg, out_channels=1)
        nn.init.constant_(self.decoder.head[-1].bias, _FIRST_GUESS / cfg.depth_scale)

    def forward(self, image: Tensor) -> Tensor:
        if self.cfg.depth_kind != "metric":
            raise BradcnError(
                "this depth net is relative (MiDaS): it knows no metres; "
                "call `inverse`, or use metric weights"
            )
        return 1 / self.inverse(image).clamp(min=1e-8)

    def inverse(self, image: Tensor) -> Tensor:
        """Inverse depth (N, 1, H, W): 1/m, or without a unit if relative."""
        check_image(image, self.cfg.stride)
        x = F.relu(self.decoder(self.encoder(centre(image))))
        x = full_precision(x)
        if self.cfg.depth_kind == "relative":
            return x
        return self.scale * x + self.shift
