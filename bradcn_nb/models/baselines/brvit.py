"""BRViT (Nagasubramaniam and Younes 2022): DPT-Hybrid that draws three channels, no depth at all.

Known: code and weights are public, and the paper's Render Net is this net (Section III-A). So
the baseline is the package's RenderNet alone, and `full` has BRViT's 121,196,355 weights that ever
learn. Our reading: `mini` is widened until it has as many trained weights as mini BRADCN.
"""

from torch import Tensor, nn

from bradcn_nb.models.bradcn import BRADCNOutput
from bradcn_nb.models.render_net import RenderNet
from bradcn_nb.presets import ModelConfig


class BRViT(nn.Module):
    """The Render Net by itself.

    `forward(image)`: (N, 3, H, W) in [0, 1] gives a picture of the same shape,
    not clamped. Raises SizeError unless H and W are multiples of `cfg.stride`.
    With `cfg.skip` the net mixes its input in (ledger id "baseline-skip"). The
    published weights: `net.render_net, _ = models.official.load_brvit(path)`.
    """

    def __init__(self, cfg: ModelConfig):
        super().__init__()
        self.cfg = cfg
        self.render_net = RenderNet(cfg)

    def forward(self, image: Tensor) -> BRADCNOutput:
        return BRADCNOutput(self.render_net(image), None, None)
