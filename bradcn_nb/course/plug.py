"""The twelve functions of the assignments, each at the place in the package that it can take."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
from timm.layers.attention import Attention
from torch import Tensor

from bradcn_nb.data import EBB, to_tensor
from bradcn_nb.evaluation import intervals
from bradcn_nb.experiments.tables import records_of
from bradcn_nb.files import data_root
from bradcn_nb.lens import by_depth, thin_lens
from bradcn_nb.models import BRADCN, depth_error, load_bradcn
from bradcn_nb.models.blocks import FusionBlock, Reassemble, add_maps, centre
from bradcn_nb.models.bradcn import BRADCNOutput, DenseBranch
from bradcn_nb.models.depth_net import DepthNet
from bradcn_nb.training import losses

Function = Callable[..., Any]
Functions = Mapping[str, Function]


class Part(NamedTuple):
    """One of the twelve functions."""

    assignment: str
    place: str  # what it takes the place of
    trial: Callable[[], Any]  # what comes out there, on bundled data


def blur_scale(mine: Functions) -> Function:
    """`lens.thin_lens.blur_scale` by the student's circle of confusion."""

    def replaced(focus_m: float, camera: thin_lens.Camera) -> float:
        # At twice the focus distance the disc is R / zf wide.
        lens = camera.focal_mm, camera.f_number, camera.sensor_height_mm
        return float(mine["circle_of_confusion"](2 * focus_m, focus_m, *lens)) * focus_m

    return replaced


def blur_layer(mine: Functions) -> Function:
    """`lens.by_depth.blur_layer`."""

    def replaced(layer: np.ndarray, radius_px: float) -> np.ndarray:
        return np.asarray(mine["blur_layer"](layer, radius_px), dtype=np.float32)

    return replaced


def attention(mine: Functions) -> Function:
    """`forward` of the attention in a ViT's block."""

    def replaced(self: Attention, x: Tensor, *_: Any, **__: Any) -> Tensor:
        qkv, proj = self.qkv, self.proj
        weights = qkv.weight, qkv.bias, proj.weight, proj.bias
        return mine["attention"](x, *weights, self.num_heads)

    return replaced


def reassemble(mine: Functions) -> Function:
    """`Reassemble.forward`; its last two convolutions stay."""

    def replaced(self: Reassemble, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        project, mix = self.project[0], self.mix
        weights = project.weight, project.bias, mix.weight, mix.bias
        return self.narrow(self.resize(mine["reassemble"](tokens, tuple(grid), *weights)))

    return replaced


def fusion(mine: Functions) -> Function:
    """`FusionBlock.forward`."""

    def replaced(self: FusionBlock, x: Tensor, skip: Tensor | None = None) -> Tensor:
        return mine["fusion"](x, skip, dict(self.named_parameters()))

    return replaced


def depth(mine: Functions) -> Function:
    """`DepthNet.forward`."""

    def replaced(self: DepthNet, image: Tensor) -> Tensor:
        x = self.decoder(self.encoder(centre(image)))
        return mine["depth_from_output"](x, self.scale, self.shift)

    return replaced


def whole(mine: Functions) -> Function:
    """`BRADCN.forward` with the student's Eq. 1, Eq. 3, or both."""

    def told(name: str, maps: list[Tensor], dense: Tensor, branch: DenseBranch) -> list[Tensor]:
        if name not in mine:
            return add_maps(maps, branch(dense))
        patches = branch.reassemble.patches
        weights = [conv.weight for conv in patches], [conv.bias for conv in patches]
        return list(mine[name](maps, dense, branch.adapt.weight, branch.adapt.bias, *weights))

    def replaced(self: BRADCN, image: Tensor) -> BRADCNOutput:
        Do, De = self.depth_net(image), self.adcn(image)
        Di = told("equation_1", self.render_net.encode(image), Do, self.depth_branch)
        DI = told("equation_3", Di, De, self.error_branch)
        return BRADCNOutput(self.render_net.decode(DI, image), Do, De)

    return replaced


def interval(mine: Functions) -> Function:
    """`evaluation.intervals.crossed_interval`."""

    def replaced(a: np.ndarray, b: np.ndarray) -> intervals.Interval:
        return intervals.Interval(*map(float, mine["crossed_interval"](a, b)))

    return replaced


# What makes the replacement, of whose attribute, for which functions.
PLUGS: tuple[tuple[Callable[[Functions], Function], Any, str, tuple[str, ...]], ...] = (
    (blur_scale, by_depth, "blur_scale", ("circle_of_confusion",)),
    (blur_layer, by_depth, "blur_layer", ("blur_layer",)),
    (attention, Attention, "forward", ("attention",)),
    (reassemble, Reassemble, "forward", ("reassemble",)),
    (fusion, FusionBlock, "forward", ("fusion",)),
    (depth, DepthNet, "forward", ("depth_from_output",)),
    (whole, BRADCN, "forward", ("equation_1", "equation_3")),
    (lambda mine: mine["equation_2"], depth_error, "depth_error", ("equation_2",)),
    (lambda mine: mine["masked_l1"], losses, "l1", ("masked_l1",)),
    (lambda mine: mine["ms_ssim_loss"], losses, "ms_ssim_loss", ("ms_ssim_loss",)),
    (interval, intervals, "crossed_interval", ("crossed_interval",)),
)


@contextmanager
def plugged(mine: Functions) -> Iterator[None]:
    """Let the package run on these functions, by name, for as long as the context lasts."""
    with ExitStack() as stack:
        for make, owner, attribute, names in PLUGS:
            if any(name in mine for name in names):
                stack.enter_context(mock.patch.object(owner, attribute, make(mine)))
        yield


@cache
def _bundled() -> tuple[BRADCN, np.ndarray, Tensor]:
    """The bundled net, and a test picture of mini-EBB as it is and as the net takes it."""
    picture = EBB(data_root() / "mini-ebb", "test", size=(64, 96)).read(0)["image"]
    return load_bradcn(), picture, to_tensor(picture)[None]


def _in_net(module: Callable[[BRADCN], Any]) -> Callable[[], Any]:
    def trial() -> Any:
        net, _, image = _bundled()
        with torch.no_grad():
            return module(net)(image)

    return trial


def _lens() -> np.ndarray:
    _, picture, _ = _bundled()
    depth_m = np.linspace(1, 6, picture.shape[1], dtype=np.float32)
    depth_m = np.broadcast_to(depth_m, picture.shape[:2])
    return by_depth.render_focused(picture / np.float32(255), depth_m, 2.0, 1.4)


def _error() -> Any:
    truth = torch.linspace(1, 5, 96).reshape(1, 1, 8, 12)
    known = truth.frac() > 0.25
    return depth_error.depth_error(truth.flip(-1), torch.where(known, truth, torch.nan), known)


def _loss(name: str, masked: bool) -> Callable[[], Any]:
    def trial() -> Any:
        image = _bundled()[2]
        drawn = (0.9 * image + 0.05 * image.flip(-1)).requires_grad_()
        told = [image, image > 0.3] if masked else [image]
        value = getattr(losses, name)(drawn, *told)
        return value.detach(), torch.autograd.grad(value, drawn)[0]

    return trial


def _interval() -> Any:
    records = records_of("table1")
    a, b = (np.array([records[f"{arm}/{seed}"]["psnr"] for seed in range(3)])
            for arm in ("bradcn", "dmshn-skip"))  # fmt: skip
    return intervals.crossed_interval(a, b)


_depth_net = _in_net(lambda net: net.depth_net)
_bradcn = _in_net(lambda net: net)
PARTS = {
    "circle_of_confusion": Part("1_lens", "the lens renderer's radii", _lens),
    "blur_layer": Part("1_lens", "the lens renderer's discs", _lens),
    "attention": Part("2_attention", "attention in all blocks of both ViTs", _depth_net),
    "reassemble": Part("2_attention", "Reassemble of both ViTs", _depth_net),
    "fusion": Part("2_attention", "all fusion blocks", _depth_net),
    "depth_from_output": Part("3_depth", "the depth net's metres", _depth_net),
    "equation_1": Part("3_depth", "Eq. 1", _bradcn),
    "equation_2": Part("3_depth", "Eq. 2, the labels", _error),
    "equation_3": Part("3_depth", "Eq. 3", _bradcn),
    "masked_l1": Part("4_training", "the loss of stage 1", _loss("l1", masked=True)),
    "ms_ssim_loss": Part("4_training", "the loss of stage 2b", _loss("ms_ssim_loss", masked=False)),
    "crossed_interval": Part("5_evidence", "the tables' intervals", _interval),
}
