"""BRADCN (Fig. 2): the Render Net, told the depth (Eq. 1) and how far to trust it (Eq. 3)."""

from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
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

    bokeh: Tensor | None  # (N, 3, H, W), not clamped; None if nothing was to be rendered
    depth: Tensor | None  # Do, (N, 1, H, W), metres
    depth_error: (
        Tensor | None
    )  # De, (N, 1, H, W), metres; may be negative if cfg.error_kind is "signed"


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


class ErrorGate(nn.Module):
    """How far each place's depth is to be trusted (ledger id "error-gate"); no part of the paper.

    `forward(error)`: De (N, 1, H, W) in metres gives, for each stride s, c = sigmoid(bias - slope *
    De averaged over s x s pixels), (N, 1, H / s, W / s). It starts at 1/2 where De is 1 m.
    """

    def __init__(self, strides: tuple[int, ...]):
        super().__init__()
        self.strides = strides
        self.bias = nn.Parameter(torch.ones(()))
        self.slope = nn.Parameter(torch.ones(()))

    def forward(self, error: Tensor) -> list[Tensor]:
        return [
            torch.sigmoid(self.bias - self.slope * F.avg_pool2d(error, stride))
            for stride in self.strides
        ]


class BRADCN(HubNet):
    """The whole model: picture in; bokeh, depth and depth error out.

    `forward(image, branches=cfg.branches, depth=None, depth_error=None, render=True)`: image (N, 3,
    H, W) in [0, 1] gives a BRADCNOutput. A branch that is not named is left out of the sums, so
    `branches=()` is the Render Net alone with the same weights. Do and De that are given,
    (N, 1, H, W) in metres, are used instead of those that the nets would predict. Without `render`
    the maps alone are predicted. Raises SizeError
    unless H and W are multiples of `cfg.stride`, BradcnError for an unknown branch.
    """

    def __init__(self, cfg: ModelConfig):
        super().__init__(cfg)
        whole = replace(
            cfg, branches=BRANCHES, error_use="add"
        )  # how they are joined is not theirs
        part = replace(whole, error_kind="absolute")  # and this is ADCN's alone
        self.render_net = RenderNet(part)
        self.depth_net = DepthNet(part)
        self.adcn = ADCN(whole)
        self.depth_branch = DenseBranch(cfg)
        gated = cfg.error_use == "gate"
        self.error_branch = ErrorGate(cfg.strides) if gated else DenseBranch(cfg)

    def forward(
        self,
        image: Tensor,
        branches: Collection[str] | None = None,
        depth: Tensor | None = None,
        depth_error: Tensor | None = None,
        render: bool = True,
    ) -> BRADCNOutput:
        branches = self.cfg.branches if branches is None else branches
        if unknown := set(branches) - set(BRANCHES):
            raise BradcnError(f"unknown branches {sorted(unknown)}: choose from {BRANCHES}")
        predict_error = "error" in branches and depth_error is None
        if depth is None and predict_error and self.adcn.signed:
            depth = self.depth_net(image)
        # In the order that keeps the least at once: ADCN's wide maps come before anything is kept,
        # and backward meets the depth net's head before the encoder's gradients exist.
        if predict_error:
            depth_error = self.adcn(image, depth)  # De
        maps = self.render_net.encode(image) if render else None  # Eo
        if "depth" in branches and depth is None:
            depth = self.depth_net(image)  # Do
        if maps is None:
            return BRADCNOutput(None, depth, depth_error)
        told = self.depth_branch(depth) if "depth" in branches else None
        if told and "error" in branches and self.cfg.error_use == "gate":
            told = [c * map_ for c, map_ in zip(self.error_branch(depth_error), told, strict=True)]
        if told:
            maps = add_maps(maps, told)  # Eq. 1: Di = Eo + Reassemble(Adap(Do))
        if "error" in branches and self.cfg.error_use == "add":
            # Eq. 3: DI = Di + Reassemble(Adap(De))
            maps = add_maps(maps, self.error_branch(depth_error))
        return BRADCNOutput(self.render_net.decode(maps, image), depth, depth_error)
