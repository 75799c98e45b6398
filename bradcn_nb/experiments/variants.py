"""Nets that are not the paper's: BRADCN with parts left out, with a gate, with a signed error.

Table II leaves branches out. The gate (ledger id "error-gate") lets De close the branch of the
depth instead of being added. The signed ADCN (ledger id "signed-error") says which way the depth is
wrong.
"""

from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bradcn_nb.errors import BradcnError
from bradcn_nb.models import ADCN, BRADCN, BRADCNOutput, DepthNet, RenderNet, load_bradcn
from bradcn_nb.models.blocks import add_maps, centre, check_image
from bradcn_nb.models.bradcn import DenseBranch
from bradcn_nb.models.hub import HubNet
from bradcn_nb.models.weights import load_weights, read_metadata, variant_settings
from bradcn_nb.presets import ALL_BUT_ADCN, ModelConfig, Preset, preset

BRANCHES = ("depth", "error")


@dataclass(frozen=True)
class VariantConfig(ModelConfig):
    """A model's configuration, and how it differs from the paper's."""

    branches: tuple[str, ...] = BRANCHES  # the sums that are made: Eq. 1, Eq. 3
    error_use: str = "add"  # Eq. 3; "gate": De closes the depth's branch
    error_kind: str = "absolute"  # Eq. 2; "signed": Dgt - Do


def vary(cfg: ModelConfig, **settings: object) -> VariantConfig:
    """Return `cfg` with settings of VariantConfig, or of ModelConfig, changed."""
    values = {field.name: getattr(cfg, field.name) for field in fields(cfg)}
    return VariantConfig(**values | settings)


def plain(cfg: ModelConfig) -> ModelConfig:
    """Return what a variant's configuration shares with the paper's model."""
    return ModelConfig(**{field.name: getattr(cfg, field.name) for field in fields(ModelConfig)})


class BRADCNVariant(BRADCN):
    """BRADCN whose branches can be left out, and which can be asked for its maps alone.

    `forward(image, depth=None, depth_error=None, branches=cfg.branches, render=True)`: as BRADCN's;
    a branch that is not named enters no sum, and what it alone needs is not computed and left None.
    Without `render` the maps alone are predicted. Raises BradcnError for an unknown branch.
    """

    config = VariantConfig

    def __init__(self, cfg: VariantConfig):
        HubNet.__init__(self, cfg)
        shared = plain(cfg)
        self.render_net = RenderNet(shared)
        self.depth_net = DepthNet(shared)
        self.adcn = self._adcn(cfg)
        self.depth_branch = DenseBranch(shared)
        self.error_branch = self._error_branch(cfg)

    def _adcn(self, cfg: VariantConfig) -> ADCN:
        return ADCN(plain(cfg))

    def _error_branch(self, cfg: VariantConfig) -> nn.Module:
        return DenseBranch(plain(cfg))

    def forward(
        self,
        image: Tensor,
        depth: Tensor | None = None,
        depth_error: Tensor | None = None,
        branches: Collection[str] | None = None,
        render: bool = True,
    ) -> BRADCNOutput:
        branches = self.cfg.branches if branches is None else branches
        if unknown := set(branches) - set(BRANCHES):
            raise BradcnError(f"unknown branches {sorted(unknown)}: choose from {BRANCHES}")
        depth, depth_error = self.maps(image, depth, depth_error, branches)
        if not render:
            return BRADCNOutput(None, depth, depth_error)
        maps = self.mix(self.render_net.encode(image), depth, depth_error, branches)
        return BRADCNOutput(self.render_net.decode(maps, image), depth, depth_error)

    def maps(
        self, image: Tensor, depth: Tensor | None, error: Tensor | None, branches: Collection[str]
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return Do and De, (N, 1, H, W) in metres, as given or else as predicted, where needed."""
        if error is None and "error" in branches:
            error = self.adcn(image)
        if depth is None and "depth" in branches:
            depth = self.depth_net(image)
        return depth, error

    def mix(
        self,
        maps: list[Tensor],
        depth: Tensor | None,
        error: Tensor | None,
        branches: Collection[str],
    ) -> list[Tensor]:
        """Return the decoder's maps: `maps` (Eo) and what the `branches` add to them."""
        if "depth" in branches:
            maps = add_maps(maps, self.depth_branch(depth))
        if "error" in branches:
            maps = add_maps(maps, self.error_branch(error))
        return maps

    def error_label(self, depth: Tensor, truth: Tensor) -> Tensor:
        """Return what its ADCN learns, (N, 1, H, W) in metres: |Do - Dgt| (Eq. 2)."""
        return (truth - depth).abs()


class ErrorGate(nn.Module):
    """How far each place's depth is to be trusted (ledger id "error-gate").

    `forward(error)`: De (N, 1, H, W) in metres gives, for each stride s, c = sigmoid(bias - slope *
    De averaged over s x s pixels), (N, 1, H / s, W / s). It starts at 1/2 where De is 1 m.
    """

    def __init__(self, strides: tuple[int, ...]):
        super().__init__()
        self.strides = strides
        self.bias = nn.Parameter(torch.ones(()))
        self.slope = nn.Parameter(torch.ones(()))

    def forward(self, error: Tensor) -> list[Tensor]:
        pooled = (F.avg_pool2d(error, stride) for stride in self.strides)
        return [torch.sigmoid(self.bias - self.slope * error) for error in pooled]


class GatedBRADCN(BRADCNVariant):
    """Di = Eo + c(De) * Reassemble(Adap(Do)): the error gates the depth, and is not added.

    Raises BradcnError for an error branch without the depth branch that it would close.
    """

    def __init__(self, cfg: VariantConfig):
        super().__init__(vary(cfg, error_use="gate"))
        if self.cfg.branches == ("error",):
            raise BradcnError("a gate closes the depth's branch: leave 'depth' in the branches")

    def _error_branch(self, cfg: VariantConfig) -> nn.Module:
        return ErrorGate(cfg.strides)

    def mix(
        self,
        maps: list[Tensor],
        depth: Tensor | None,
        error: Tensor | None,
        branches: Collection[str],
    ) -> list[Tensor]:
        if "depth" not in branches:
            if "error" in branches:
                raise BradcnError("a gate closes the depth's branch: name 'depth', too")
            return maps
        added = self.depth_branch(depth)
        if "error" in branches:
            added = [c * x for c, x in zip(self.error_branch(error), added, strict=True)]
        return add_maps(maps, added)


class SignedADCN(ADCN):
    """Predict Dgt - Do from the picture and Do (ledger id "signed-error").

    `forward(image, depth)`: (N, 3, H, W) in [0, 1] and (N, 1, H, W) in metres, above 0, give metres
    of either sign, (N, 1, H, W). Raises SizeError as ADCN does.
    """

    config = VariantConfig

    def __init__(self, cfg: VariantConfig):
        super().__init__(cfg, in_channels=4)

    def forward(self, image: Tensor, depth: Tensor) -> Tensor:
        check_image(image, self.cfg.stride)
        # In 1/m, which is at most a few; and blur is linear in it.
        return self.unet(torch.cat((centre(image), 1 / depth), dim=1))


class SignedBRADCN(BRADCNVariant):
    """BRADCN whose ADCN sees the depth, and says which way it is wrong.

    Raises BradcnError for a given depth with holes: 0 is no depth to correct.
    """

    def __init__(self, cfg: ModelConfig):
        super().__init__(vary(cfg, error_kind="signed"))

    def _adcn(self, cfg: VariantConfig) -> ADCN:
        return SignedADCN(VariantConfig(**vars(plain(cfg)), error_kind="signed"))

    def maps(
        self, image: Tensor, depth: Tensor | None, error: Tensor | None, branches: Collection[str]
    ) -> tuple[Tensor | None, Tensor | None]:
        if error is None and "error" in branches:
            if depth is None:
                depth = self.depth_net(image)
            elif not (depth > 0).all():
                raise BradcnError("the given depth is not above 0 m everywhere: fill its holes")
            error = self.adcn(image, depth)
        return super().maps(image, depth, error, branches)

    def error_label(self, depth: Tensor, truth: Tensor) -> Tensor:
        """Return what its ADCN learns, (N, 1, H, W) in metres: Dgt - Do."""
        return truth - depth


def build(cfg: ModelConfig) -> BRADCN:
    """Return the paper's BRADCN for a plain configuration, else the variant that it describes.

    Raises BradcnError for a gate with a signed error, which nobody has thought through.
    """
    if not isinstance(cfg, VariantConfig):
        return BRADCN(cfg)
    gated, signed = cfg.error_use == "gate", cfg.error_kind == "signed"
    if gated and signed:
        raise BradcnError("a gate wants the size of an error, a signed ADCN predicts its sign, too")
    return (GatedBRADCN if gated else SignedBRADCN if signed else BRADCNVariant)(cfg)


def load(preset_name: str, path: str | Path) -> BRADCN:
    """Return BRADCN, or the variant of it that the file `path` holds, ready for use (eval mode,
    CPU).

    Raises WeightsError when the file does not fit the preset.
    """
    settings = variant_settings(read_metadata(path), path)
    if not settings:
        return load_bradcn(preset_name, path)
    settings = {key: tuple(v) if isinstance(v, list) else v for key, v in settings.items()}
    net = build(vary(preset(preset_name).model, **settings))
    load_weights(path, net, preset_name)
    return net.eval()


def with_signed_error(chosen: Preset) -> Preset:
    """Return the preset with an ADCN that says which way depth is wrong; train it with `build`.

    Its stage 1 runs the frozen depth net beside it, on SUN RGB-D itself: no label files.
    """
    stages = tuple(
        replace(stage, net="bradcn", data="sun", frozen=ALL_BUT_ADCN)
        if stage.net == "adcn"
        else stage
        for stage in chosen.stages
    )
    return replace(chosen, model=vary(chosen.model, error_kind="signed"), stages=stages)
