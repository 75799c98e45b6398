"""BRADCN (Fig. 2): the Render Net, told the depth (Eq. 1) and how far to trust it (Eq. 3)."""

from collections.abc import Collection
from typing import NamedTuple

from torch import Tensor, nn

from bradcn_nb.errors import BradcnError
from bradcn_nb.models.adcn import ADCN
from bradcn_nb.models.blocks import AdaptiveNet, DenseReassemble, add_maps
from bradcn_nb.models.depth_net import DepthNet
from bradcn_nb.models.hub import HubNet
from bradcn_nb.models.render_net import RenderNet
from bradcn_nb.presets import ModelConfig

BRANCHES = ("depth", "error")


class BRADCNOutput(NamedTuple):
    """What BRADCN returns; a branch that is off leaves None."""

    bokeh: Tensor  # (N, 3, H, W), not clamped
    depth: Tensor | None  # Do, (N, 1, H, W), metres
    depth_error: Tensor | None  # De, (N, 1, H, W), metres


class DenseBranch(nn.Module):
    """Reassemble(Adap(x)) of Eq. 1 and Eq. 3.

    `forward(dense)`: a depth or depth-error map (N, 1, H, W) in metres gives four maps
    (N, features, H / s, W / s), s = cfg.strides.
    """

    def __init__(self, cfg: ModelConfig):
        super().__init__()
        self.adapt = AdaptiveNet()
        self.reassemble = DenseReassemble(cfg.features, cfg.strides)

    def forward(self, dense: Tensor) -> list[Tensor]:
        return self.reassemble(self.adapt(dense))


class BRADCN(HubNet):
    """The whole model: picture in; bokeh, depth and depth error out.

    `forward(image, branches=("depth", "error"))`: image (N, 3, H, W) in [0, 1] gives a
    BRADCNOutput. A branch that is not named is left out of the sums, so `branches=()` is the
    Render Net alone with the same weights. Raises SizeError unless H and W are multiples of
    `cfg.stride`, BradcnError for an unknown branch.
    """

    def __init__(self, cfg: ModelConfig):
        super().__init__(cfg)
        self.render_net = RenderNet(cfg)
        self.depth_net = DepthNet(cfg)
        self.adcn = ADCN(cfg)
        self.depth_branch = DenseBranch(cfg)
        self.error_branch = DenseBranch(cfg)

    def forward(self, image: Tensor, branches: Collection[str] = BRANCHES) -> BRADCNOutput:
        if unknown := set(branches) - set(BRANCHES):
            raise BradcnError(f"unknown branches {sorted(unknown)}: choose from {BRANCHES}")
        maps = self.render_net.encode(image)  # Eo
        depth = depth_error = None
        if "depth" in branches:
            depth = self.depth_net(image)  # Do
            # Eq. 1: Di = Eo + Reassemble(Adap(Do))
            maps = add_maps(maps, self.depth_branch(depth))
        if "error" in branches:
            depth_error = self.adcn(image)  # De
            # Eq. 3: DI = Di + Reassemble(Adap(De))
            maps = add_maps(maps, self.error_branch(depth_error))
        return BRADCNOutput(self.render_net.decode(maps, image), depth, depth_error)
