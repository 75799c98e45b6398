"""Nets that are not the paper's: BRADCN with a gate, a signed error, or a defocus map.

The gate (ledger id "error-gate") lets De close the branch of the depth instead of being added. The
signed ADCN (ledger id "signed-error") says which way the depth is wrong. The DefocusNet (ledger id
"pairs-defocus") takes ADCN's place and predicts what blurs: the radius of each place's disc.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bradcn_nb.errors import BradcnError
from bradcn_nb.experiments.bradcn_variant import BRADCNVariant, VariantConfig, plain, vary
from bradcn_nb.experiments.lens_picture import (
    ADDED,
    add_to_lens,
    lens_pictures,
    start_at_lens,
)
from bradcn_nb.models import ADCN, BRADCN, baselines, load_bradcn
from bradcn_nb.models.blocks import (
    Decoder,
    add_maps,
    centre,
    check_image,
)
from bradcn_nb.models.defocus_net import DefocusNet
from bradcn_nb.models.weights import load_weights, read_metadata, variant_settings
from bradcn_nb.presets import ALL_BUT_ADCN, ModelConfig, Preset, preset


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


class DepthSeen(BRADCNVariant):
    """BRADCN whose calibration net sees the depth, too.

    Raises BradcnError for a given depth with holes: 0 is no depth to correct.
    """

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


class SignedBRADCN(DepthSeen):
    """BRADCN whose ADCN says which way the depth is wrong."""

    def __init__(self, cfg: VariantConfig):
        super().__init__(vary(cfg, error_kind="signed"))

    def _adcn(self, cfg: VariantConfig) -> ADCN:
        return SignedADCN(VariantConfig(**vars(plain(cfg)), error_kind="signed"))

    def error_label(self, depth: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Return what its ADCN learns of a batch, (N, 1, H, W) in metres: Dgt - Do."""
        return batch["depth"] - depth


class DefocusBRADCN(DepthSeen):
    """BRADCN with a DefocusNet in ADCN's place.

    Eq. 3 adds a defocus map, in % of the height. Unless `cfg.error_use` is
    "add", the map also draws: the Render Net corrects a picture that the
    classical renderer has blurred by it, and no longer the sharp one. No
    gradient goes through that renderer.
    """

    def _adcn(self, cfg: VariantConfig) -> ADCN:
        return DefocusNet(plain(cfg))

    def mixed_in(self, image: Tensor, error: Tensor | None) -> Tensor:
        if self.cfg.error_use == "add" or error is None:
            return image
        return lens_pictures(image, error)

    def error_label(
        self, depth: Tensor, batch: Mapping[str, Tensor]
    ) -> Tensor:  # fmt: skip
        """Return what its net learns of a batch: its defocus, in %."""
        return batch["defocus"]


class ResidualBRADCN(DefocusBRADCN):
    """The calibrated lens picture, and what the Render Net adds to it (`add_to_lens`).

    `DefocusBRADCN`'s net chooses by a sigmoid how much of the lens picture stays, and can close
    itself for good. Here nothing saturates: five channels add, and start near nothing.
    """

    def __init__(self, cfg: VariantConfig):
        super().__init__(cfg)
        self.render_net.skip = False
        self.render_net.decoder = Decoder(plain(cfg), ADDED)
        start_at_lens(self.render_net.decoder.head[-1])

    def draw(
        self, image: Tensor, depth: Tensor | None, error: Tensor | None, branches: Collection[str]
    ) -> Tensor:
        lens = self.mixed_in(image, error)
        drawn = self.render_net.decode(
            self.mix(self.render_net.encode(lens), depth, error, branches), lens
        )
        return add_to_lens(lens, image, drawn, self.render_net.smooth)


class DefocusDMSHN(DefocusBRADCN):
    """The calibrated lens picture, corrected by Table I's DMSHN and not by the Render Net.

    With `cfg.error_use` "dmshn" it mixes that picture in; with "residual-dmshn" it adds to it, as
    the Render Net of `ResidualBRADCN` does.
    """

    def __init__(self, cfg: VariantConfig):
        super().__init__(cfg)
        self.adds = cfg.error_use == "residual-dmshn"
        self.dmshn = baselines.build("dmshn" if self.adds else "dmshn-skip")
        if self.adds:
            width = self.dmshn.cfg.widths[0]
            self.dmshn.decoders[0][-1] = nn.Conv2d(width, ADDED, kernel_size=3, padding=1)
            start_at_lens(self.dmshn.decoders[0][-1])

    def draw(
        self, image: Tensor, depth: Tensor | None, error: Tensor | None, branches: Collection[str]
    ) -> Tensor:
        lens = self.mixed_in(image, error)
        drawn = self.dmshn.draw(lens)
        return add_to_lens(lens, image, drawn, self.render_net.smooth) if self.adds else drawn


def build(cfg: ModelConfig) -> BRADCN:
    """Return the paper's BRADCN for a plain configuration, else the variant that it describes.

    Raises BradcnError for a gate or a lens with another error than theirs, which nobody has thought
    through.
    """
    if not isinstance(cfg, VariantConfig):
        return BRADCN(cfg)
    nets = {
        ("add", "absolute"): BRADCNVariant,
        ("gate", "absolute"): GatedBRADCN,
        ("add", "signed"): SignedBRADCN,
        ("add", "defocus"): DefocusBRADCN,
        ("lens", "defocus"): DefocusBRADCN,
        ("dmshn", "defocus"): DefocusDMSHN,
        ("residual", "defocus"): ResidualBRADCN,
        ("residual-dmshn", "defocus"): DefocusDMSHN,
    }
    chosen = cfg.error_use, cfg.error_kind
    if chosen not in nets:
        raise BradcnError(f"no net for an error that is {chosen[1]} and used as {chosen[0]!r}")
    return nets[chosen](cfg)


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


def with_pairs(chosen: Preset) -> Preset:
    """Return the preset with a calibration that learns from pairs; train it with `build`.

    Its stage 1 teaches a DefocusNet beside the frozen depth net, on EBB! alone; in stage 2 both
    are frozen, and the Render Net adds to what the lens draws by the map (`add_to_lens`), at every
    size (ledger id "pairs-defocus"): its head has five channels, so it starts from fresh weights.
    """
    model = vary(chosen.model, error_kind="defocus", error_use="residual", skip=True)
    stages = tuple(
        replace(stage, net="bradcn", data="pairs", frozen=ALL_BUT_ADCN)
        if stage.net == "adcn"
        else replace(stage, frozen=("adcn", "depth_net") if stage.net == "bradcn" else stage.frozen)
        for stage in chosen.stages
    )
    return replace(chosen, model=model, stages=stages)
