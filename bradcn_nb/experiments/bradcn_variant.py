"""BRADCN with parts left out, and with places where other variants differ from it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields

from torch import Tensor, nn

from bradcn_nb.errors import BradcnError
from bradcn_nb.models import ADCN, BRADCN, BRADCNOutput, DepthNet, RenderNet
from bradcn_nb.models.blocks import add_maps
from bradcn_nb.models.bradcn import DenseBranch
from bradcn_nb.models.hub import HubNet
from bradcn_nb.presets import ModelConfig

BRANCHES = ("depth", "error")


@dataclass(frozen=True)
class VariantConfig(ModelConfig):
    """A model's configuration, and how it differs from the paper's."""

    branches: tuple[str, ...] = BRANCHES  # the sums that are made: Eq. 1, Eq. 3
    # Eq. 3; "gate": De closes the depth's branch; "lens", "dmshn", "residual", "residual-dmshn":
    # the lens draws by it first
    error_use: str = "add"
    # Eq. 2; "signed": Dgt - Do; "defocus": no error, but the radius of the circle of confusion
    error_kind: str = "absolute"


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
        bokeh = self.draw(image, depth, depth_error, branches)
        return BRADCNOutput(bokeh, depth, depth_error)

    def draw(
        self, image: Tensor, depth: Tensor | None, error: Tensor | None, branches: Collection[str]
    ) -> Tensor:
        """Return the bokeh (N, 3, H, W) of a picture, given its maps."""
        maps = self.mix(self.render_net.encode(image), depth, error, branches)
        return self.render_net.decode(maps, self.mixed_in(image, error))

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

    def mixed_in(self, image: Tensor, error: Tensor | None) -> Tensor:
        """Return the picture (N, 3, H, W) that the Render Net mixes into its result: the input."""
        return image

    def error_label(self, depth: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Return what its ADCN learns of a batch, (N, 1, H, W) in metres: |Do - Dgt| (Eq. 2)."""
        return (batch["depth"] - depth).abs()
