"""Classical rendering (Section II-A): predicted depth, then optics; nothing learns to draw.

Known: the paper names the family, depth maps and a blur that follows them, and no single method.
Our reading: the package's own depth net before `rendering.render_lens`, a 50 mm lens at f/1.8 as in
EBB!, focused on `rendering.default_focus` because nobody says where (ledger id "classical-focus").
"""

import numpy as np
import torch
from torch import Tensor, nn

from bradcn_nb.lens.by_depth import NEAREST_M, render_lens
from bradcn_nb.models.bradcn import BRADCNOutput
from bradcn_nb.models.depth_net import DepthNet
from bradcn_nb.presets import ModelConfig

F_NUMBER = 1.8  # of EBB!'s bokeh pictures (Section IV-A)


class Classical(nn.Module):
    """Blur by the depth net's depth, as a thin lens would.

    `forward(image)`: (N, 3, H, W) in [0, 1] gives the picture of the same shape and the depth
    (N, 1, H, W) in metres. There is nothing to train: the renderer has no weights and hands no
    gradients on, and a depth net has its own stage. Raises SizeError unless H and W are multiples
    of `cfg.stride`.
    """

    def __init__(self, cfg: ModelConfig):
        super().__init__()
        self.cfg = cfg
        self.depth_net = DepthNet(cfg).requires_grad_(False)

    @torch.no_grad()
    def forward(self, image: Tensor) -> BRADCNOutput:
        depth = self.depth_net(image)
        pictures = image.permute(0, 2, 3, 1).float().cpu().numpy()  # (N, H, W, 3)
        metres = np.maximum(depth[:, 0].float().cpu().numpy(), NEAREST_M)  # (N, H, W)
        drawn = [
            render_lens(*pair, aperture=F_NUMBER) for pair in zip(pictures, metres, strict=True)
        ]
        bokeh = torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2)  # (N, 3, H, W)
        return BRADCNOutput(bokeh.to(image), depth, None)
