"""BRADCN (Fig. 2): the Render Net, told the depth (Eq. 1) and how far to trust it (Eq. 3)."""

from typing import NamedTuple

from torch import Tensor, nn

from bradcn_nb.models.adcn import ADCN
from bradcn_nb.models.blocks import AdaptiveNet, DenseReassemble, add_maps
from bradcn_nb.models.depth_net import DepthNet
from bradcn_nb.models.hub import HubNet
from bradcn_nb.models.render_net import RenderNet
from bradcn_nb.presets import ModelConfig


class BRADCNOutput(NamedTuple):
    """What BRADCN returns; methods that predict no map leave it None."""

    bokeh: Tensor | None  # (N, 3, H, W), not clamped; None if nothing was to be rendered
    depth: Tensor | None  # Do, (N, 1, H, W), metres
    depth_error: Tensor | None  # De, (N, 1, H, W), metres


class DenseBranch(nn.Module):
    """Reassemble(Adap(x)) of Eq. 1 and Eq. 3.

    `forward(dense)`: a map of depths or of their errors, (N, 1, H, W) in
    metres, gives four maps (N, features, H / s, W / s), s = cfg.strides.
    """

    def __init__(self, cfg: ModelConfig):
        super().__init__()
        self.adapt = AdaptiveNet()
        self.reassemble = DenseReassemble(cfg.features, cfg.strides)

    def forward(self, dense: Tensor) -> list[Tensor]:
        return self.reassemble(self.adapt(dense))


class BRADCN(HubNet):
    """The whole model: picture in; bokeh, depth and depth error out.

    `forward(image)`: (N, 3, H, W) in [0, 1] gives a BRADCNOutput. A Do or De
    that is given, (N, 1, H, W) in metres, is used instead of the predicted
    one. Raises SizeError unless H and W are multiples of `cfg.stride`.
    """

    def __init__(self, cfg: ModelConfig):
        super().__init__(cfg)
        self.render_net = RenderNet(cfg)
        self.depth_net = DepthNet(cfg)
        self.adcn = ADCN(cfg)
        self.depth_branch = DenseBranch(cfg)
        self.error_branch = DenseBranch(cfg)

    def forward(
        self,
        image: Tensor,
        depth: Tensor | None = None,
        depth_error: Tensor | None = None,
    ) -> BRADCNOutput:
        De = self.adcn(image) if depth_error is None else depth_error
        Eo = self.render_net.encode(image)
        Do = self.depth_net(image) if depth is None else depth
        Di = add_maps(Eo, self.depth_branch(Do))  # Eq. 1
        DI = add_maps(Di, self.error_branch(De))  # Eq. 3
        return BRADCNOutput(self.render_net.decode(DI, image), Do, De)
