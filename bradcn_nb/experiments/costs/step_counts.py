"""What one training step costs, counted without a GPU and without memory: for `estimate`.

A whole step of a stage (forward, loss, backward; recomputation where checkpointing asks for it)
runs on fake tensors, as in `summary`, and four things are counted:

* MACs, those of convolutions apart from those of matrix products: a GPU's precision may differ;
* bytes that operations read and write if nothing stays in a cache; views move nothing;
* operations that are not views: each is at least one launch of a kernel;
* the most bytes alive at once besides weights and Adam's moments: activations, what the loss
  needs, gradients.

Half precision is counted under autocast to bfloat16, with norms in float32 as CUDA has them.
"""

import gc
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from bradcn_nb.errors import DataError
from bradcn_nb.experiments.costs.summary import UNLISTED, Alive, fake
from bradcn_nb.experiments.record import result
from bradcn_nb.files import data_root, write_atomically
from bradcn_nb.models import ADCN, BRADCN, DepthNet
from bradcn_nb.models.checkpointing import set_checkpointing
from bradcn_nb.presets import Preset, Stage, preset
from bradcn_nb.training.losses import stage_loss
from bradcn_nb.training.run import commit, versions
from bradcn_nb.training.stages import compare

SIZES = ((256, 384), (512, 768), (768, 1152), (1024, 1536))  # (height, width) that the book counts
LABELS = "labels"  # the forward passes of Eq. 2, counted beside the stages


@dataclass(frozen=True)
class StepCount:
    """One step on one picture; this module's docstring says what is counted."""

    conv_macs: int
    product_macs: int
    moved_bytes: int
    operations: int
    peak_bytes: int  # without weights and Adam's moments
    parameters: int
    trained: int  # of the parameters

    @property
    def macs(self) -> int:
        """All MACs."""
        return self.conv_macs + self.product_macs

    @property
    def step_bytes(self) -> int:
        """The most bytes alive at once, weights and Adam's two moments (all fp32) included."""
        return 4 * self.parameters + 8 * self.trained + self.peak_bytes


class _Traffic(TorchDispatchMode):
    """Add up what operations read and write, in bytes, and how many of them do."""

    def __init__(self) -> None:
        super().__init__()
        self.moved, self.operations = 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        outputs = func(*args, **(kwargs or {}))
        read = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        made = [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)]
        owned = {tensor.untyped_storage()._cdata for tensor in read}
        view = all(tensor.untyped_storage()._cdata in owned for tensor in made)
        if not made or "empty" in func.__name__ or (view and not func._schema.is_mutable):
            return outputs
        self.operations += 1
        self.moved += sum(map(_bytes, read)) + sum(map(_bytes, made))
        return outputs


@contextmanager
def _cuda_norms(half: bool) -> Iterator[None]:
    """Under autocast CUDA computes group and layer norms in float32; the CPU does not by itself."""
    kept = F.group_norm, F.layer_norm

    def in_full(norm: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda x, *given, **named: norm(x.float(), *given, **named)

    if half:
        F.group_norm, F.layer_norm = map(in_full, kept)
    try:
        yield
    finally:
        F.group_norm, F.layer_norm = kept


def _bytes(tensor: Tensor) -> int:
    """An expanded tensor is no larger than its storage."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def count_step(
    preset: Preset,
    stage: Stage,
    size: tuple[int, int],
    half: bool,
    checkpointing: bool,
) -> StepCount:
    """Count one step of `stage` on one picture of `size` (height, width).

    `half`: 16-bit autocast. `checkpointing`: activations are computed again
    in the backward pass. Source: the loop of Section IV-B's stages. Raises
    SizeError unless `size` suits the model.
    """
    kind = {"depth": DepthNet, "adcn": ADCN, "bradcn": BRADCN}[stage.net]
    with fake(lambda: kind(preset.model)) as net:
        set_checkpointing(net, checkpointing)
        for part in stage.frozen:
            getattr(net, part).requires_grad_(False)
        batch, loss_of = _batch(preset, stage, size), stage_loss(stage)
        alive, traffic, macs = _counters(net, collect=checkpointing)
        with ExitStack() as modes:
            modes.callback(gc.unfreeze)
            gc.freeze()  # what is there need not be searched again
            for mode in (alive, traffic, macs, _cuda_norms(half)):
                modes.enter_context(mode)
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                compared = compare(stage, net, batch)
            loss_of(*map(_full, compared)).backward()
        return _result(net, alive, traffic, macs)


def count_label(preset: Preset, size: tuple[int, int], half: bool) -> StepCount:
    """Count the depth net's forward pass for one label of Eq. 2, as `count_step` counts a step."""
    with fake(lambda: DepthNet(preset.model)) as net:
        net.requires_grad_(False)  # which keeps nothing, either
        image = torch.empty(1, 3, *size)
        alive, traffic, macs = _counters(net)
        autocast = torch.autocast("cpu", torch.bfloat16, enabled=half)
        with alive, traffic, macs, _cuda_norms(half), autocast:
            net(image)
        return _result(net, alive, traffic, macs)


def _batch(preset: Preset, stage: Stage, size: tuple[int, int]) -> dict[str, Tensor]:
    image = torch.empty(1, 3, *size)
    if stage.data == "ebb":
        scale = preset.data.truth_scale
        return {"image": image, "bokeh": torch.empty(1, 3, scale * size[0], scale * size[1])}
    maps, mask = torch.empty(1, 1, *size), torch.ones(1, 1, *size, dtype=torch.bool)
    return {"image": image, "depth": maps, "error": maps, "mask": mask}


def _full(part: Tensor | None) -> Tensor | None:
    """Accelerate hands the loss 32-bit outputs."""
    return part.float() if part is not None and part.is_floating_point() else part


def _counters(net: nn.Module, collect: bool = False) -> tuple[Alive, _Traffic, FlopCounterMode]:
    return Alive(net, collect), _Traffic(), FlopCounterMode(display=False, custom_mapping=UNLISTED)


def _result(net: nn.Module, alive: Alive, traffic: _Traffic, macs: FlopCounterMode) -> StepCount:
    flops = macs.get_flop_counts().get("Global", {})
    conv = sum(count for op, count in flops.items() if "convolution" in str(op)) // 2
    weights = list(net.parameters())
    return StepCount(
        conv_macs=conv,
        product_macs=sum(flops.values()) // 2 - conv,
        moved_bytes=traffic.moved,
        operations=traffic.operations,
        peak_bytes=alive.peak,
        parameters=sum(weight.numel() for weight in weights),
        trained=sum(weight.numel() for weight in weights if weight.requires_grad),
    )


Counts = dict[str, StepCount]  # by stage, LABELS first


def key(size: tuple[int, int], half: bool, checkpointing: bool) -> str:
    """Name one way to train in the file of counts: "768x512 half checkpointing"."""
    return f"{size[1]}x{size[0]}" + " half" * half + " checkpointing" * checkpointing


def count_table(preset: Preset, progress: bool = True) -> dict[str, dict[str, dict[str, int]]]:
    """Count labels and stages for SIZES, both precisions, with and without checkpointing; JSON."""
    table = {}
    ways = [(size, half, on) for size in SIZES for half in (False, True) for on in (False, True)]
    for size, half, on in tqdm(ways, desc="step counts", disable=not progress):
        counts = {LABELS: count_label(preset, size, half)} | {
            stage.name: count_step(preset, stage, size, half, on) for stage in preset.stages
        }
        table[key(size, half, on)] = {name: asdict(count) for name, count in counts.items()}
    return table


def stored_counts() -> dict[str, Counts]:
    """Read what `count_table` counted for the paper's nets, by `key`, from `data/results`.

    Raises DataError when the file is missing or another version's.
    """
    try:
        return {
            way: {name: StepCount(**count) for name, count in counts.items()}
            for way, counts in result("step-counts.counts").items()
        }
    except (AttributeError, TypeError) as error:
        raise DataError(
            f"data/results/step-counts.json: of another version ({error}); make it again with "
            "`python -m bradcn_nb estimate --recount`"
        ) from None


def recount(progress: bool = True) -> Path:
    """Count everything again and write it to `data/results/step-counts.json`; return the file."""
    path = data_root() / "results" / "step-counts.json"
    made = {"commit": commit(), "versions": versions()}
    table = {"counts": count_table(preset("paper"), progress), "made": made}
    write_atomically(path, (json.dumps(table, indent=1) + "\n").encode())
    return path
