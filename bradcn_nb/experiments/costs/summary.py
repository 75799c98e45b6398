"""What the nets cost before anyone runs them: `python -m bradcn_nb summary`.

Nothing here is looked up: the nets run on fake tensors, which have shapes, types and storages but
no memory, so that `paper` at 768x512 takes seconds. They stand for tensors of a CPU; a GPU's
kernels keep the same activations up to a few small statistics.

* A MAC is one multiplication with its addition: those of convolutions, linear layers and attention
  (its two matrix products). Not counted: biases, norms, activation functions, softmax, weight
  standardisation, bilinear enlargement, pooling.
* Activation memory is counted by storage, each once, without the parameters. `kept_bytes` is what
  autograd holds for the backward pass when the forward pass ends; `peak_bytes` is the most that is
  alive at one time in a forward pass without gradients. The picture that goes in and what a kernel
  needs for itself while it runs are in neither.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from bradcn_nb.models import ADCN, BRADCN
from bradcn_nb.presets import Preset

TITLES = {
    "RenderNet": "Render Net",
    "DepthNet": "Depth Prediction Net",
    "ADCN": "ADCN",
    "BRADCN": "BRADCN",
}


@dataclass(frozen=True)
class NetSummary:
    """One net at one size, batch 1, fp32; see this module's docstring for what is counted."""

    parameters: int
    trainable: int  # of them, in the last stage of the preset's schedule
    macs: int
    kept_bytes: int
    peak_bytes: int
    shapes: dict[str, list[int]]  # of what leaves each named part, in the order of the run


class Alive(TorchDispatchMode):
    """While it is entered, remember the most bytes that tensors made since then held at one time.

    `ignored`: a net whose parameters do not count. `peak` is the result, in bytes. `collect`: look
    for cyclic garbage before each new peak, slowly; under checkpointing the watching itself makes
    some.
    """

    def __init__(self, ignored: nn.Module, collect: bool = False):
        super().__init__()
        self.collect = collect
        self.ignored = _storages(ignored)
        self.alive: dict[StorageWeakRef, int] = {}
        self.held = 0  # what `alive` sums up to, the dead since the last look included
        self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                ref = StorageWeakRef(storage)
                if ref not in self.ignored:
                    self.held += storage.nbytes() - self.alive.get(ref, 0)
                    self.alive[ref] = storage.nbytes()
        if self.held > self.peak:  # else no new peak, whoever has died: the slow look is not needed
            self._look()
            if self.collect and self.held > self.peak:
                gc.collect()
                self._look()
            self.peak = max(self.peak, self.held)
        return result

    def _look(self) -> None:
        """Drop the dead from `alive`."""
        self.alive = {ref: size for ref, size in self.alive.items() if not ref.expired()}
        self.held = sum(self.alive.values())


def _storages(net: nn.Module) -> set[StorageWeakRef]:
    return {StorageWeakRef(weight.untyped_storage()) for weight in net.parameters()}


@contextmanager
def fake(build: Callable[[], nn.Module]) -> Iterator[nn.Module]:
    """Yield the net that `build` makes, without memory; what runs inside the context is fake,
    too."""
    with torch.device("meta"):
        net = build()
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield net.to_empty(device="cpu")


def _attention_flops(query, key, value, *_, **__) -> int:
    """Shapes (N, heads, tokens, width): one product for the weights, one to apply them."""
    batch, heads, tokens, width = query
    return 2 * batch * heads * tokens * key[2] * (width + value[3])


def _attention_backward_flops(gradient, query, key, value, *_, **__) -> int:
    """Four products: for the gradients of query, key, value and the weights; the recomputed one
    not.
    """
    return 2 * _attention_flops(query, key, value)


# The attention that a CPU chooses; torch's own list of counted operations lacks it.
UNLISTED = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward_flops,
}


def count_macs(net: nn.Module, image: Tensor) -> int:
    """Return the MACs of one forward pass over `image`, (N, 3, H, W)."""
    with FlopCounterMode(display=False, custom_mapping=UNLISTED) as counter:
        net(image)
    return counter.get_total_flops() // 2


def kept_bytes(net: nn.Module, image: Tensor) -> int:
    """Return the bytes that autograd keeps after one forward pass over `image`, (N, 3, H, W)."""
    ignored = _storages(net) | {StorageWeakRef(image.untyped_storage())}
    kept: dict[StorageWeakRef, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[StorageWeakRef(storage)] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = net(image)  # held till the sum is made: it owns the graph, and so what was kept
    total = sum(size for ref, size in kept.items() if ref not in ignored)
    del result
    return total


def peak_bytes(net: nn.Module, image: Tensor) -> int:
    """Return the most bytes alive at once in a forward pass over `image`, (N, 3, H, W).

    The caller switches gradients off; otherwise everything that the graph keeps counts.
    """
    with Alive(ignored=net) as alive:
        net(image)
    return alive.peak


def shapes(net: nn.Module, image: Tensor) -> dict[str, list[int]]:
    """Return the shape of what leaves every part that `_parts` names, and the net itself."""
    seen: dict[str, list[int]] = {}

    def watch(name: str) -> Callable:
        return lambda module, inputs, output: seen.update({name: list(output.shape)})

    hooks = [part.register_forward_hook(watch(name)) for name, part in _parts(net).items()]
    output = net(image)
    for hook in hooks:
        hook.remove()
    outputs = output._asdict() if isinstance(output, tuple) else {"output": output}
    return seen | {name: list(tensor.shape) for name, tensor in outputs.items()}


def _parts(net: nn.Module) -> dict[str, nn.Module]:
    if isinstance(net, BRADCN):
        return {
            f"Reassemble(Adap({symbol})) {scale}": patch
            for symbol, branch in (("Do", net.depth_branch), ("De", net.error_branch))
            for scale, patch in enumerate(branch.reassemble.patches, 1)
        }
    if isinstance(net, ADCN):
        levels = len(net.down)
        down = {f"U-Net down {level}": part for level, part in enumerate(net.down, 1)}
        return down | {f"U-Net up {level}": net.merge[level - 1] for level in range(1, levels)}
    encoder, (third, fourth) = net.encoder, net.encoder.cfg.vit_taps
    return {
        "tap 1, ResNet stage 1": encoder.backbone.stages[0],
        "tap 2, ResNet stage 2": encoder.backbone.stages[1],
        "ResNet stage 3": encoder.backbone.stages[2],
        f"tap 3, tokens of ViT block {third + 1}": encoder.blocks[third],
        f"tap 4, tokens of ViT block {fourth + 1}": encoder.blocks[fourth],
        **{f"reassembled {i}": getattr(encoder, f"reassemble{i}") for i in range(1, 5)},
        **{f"fusion {i}": net.decoder.fusion[i - 1] for i in range(1, 5)},
    }


def summarise(preset: Preset, size: tuple[int, int] | None = None) -> dict[str, NetSummary]:
    """Return a NetSummary of every net by its class's name.

    `size` is (height, width) in pixels; without it, the size that `preset` trains at. Each net is
    counted as if it were trained by itself, BRADCN as in the last stage, where some of it is
    frozen. Raises SizeError unless both are multiples of the model's stride.
    """
    height, width = size or preset.data.train_size
    with fake(lambda: BRADCN(preset.model)) as model:
        image = torch.empty(1, 3, height, width)
        nets = {"RenderNet": model.render_net, "DepthNet": model.depth_net, "ADCN": model.adcn}
        nets["BRADCN"] = model
        macs = {name: count_macs(net, image) for name, net in nets.items()}
        outlines = {name: shapes(net, image) for name, net in nets.items()}
        kept = {name: kept_bytes(net, image) for name, net in nets.items() if net is not model}
        for part in preset.stages[-1].frozen:
            getattr(model, part).requires_grad_(False)
        kept["BRADCN"] = kept_bytes(model, image)
        trainable = {name: _count(net, trainable=True) for name, net in nets.items()}
        model.requires_grad_(False)
        return {
            name: NetSummary(
                _count(net),
                trainable[name],
                macs[name],
                kept[name],
                peak_bytes(net, image),
                outlines[name],
            )
            for name, net in nets.items()
        }


def _count(net: nn.Module, trainable: bool = False) -> int:
    return sum(p.numel() for p in net.parameters() if p.requires_grad or not trainable)


def as_text(preset: Preset, size: tuple[int, int], nets: dict[str, NetSummary]) -> str:
    """Return what `summarise` found as an aligned table, then every shape; MB are 10^6 bytes."""
    height, width = size
    stage = preset.stages[-1].name
    lines = [
        f"preset {preset.name}, pictures of {width}x{height} pixels (width x height), batch 1, "
        "fp32",
        "",
        f"{'':22}{'parameters':>13}{'trained in':>13}{'GMACs':>10}{'kept for':>13}{'forward,':>12}",
        f"{'':22}{'':13}{stage:>13}{'':10}{'backward MB':>13}{'peak MB':>12}",
    ]
    lines += [
        f"{TITLES[name]:22}{net.parameters:13,}{net.trainable:13,}{net.macs / 1e9:10.3f}"
        f"{net.kept_bytes / 1e6:13.1f}{net.peak_bytes / 1e6:12.1f}"
        for name, net in nets.items()
    ]
    for name, net in nets.items():
        lines += ["", f"shapes in the {TITLES[name]}"]
        lines += [
            f"  {part:32}{' x '.join(f'{side:4}' for side in shape)}"
            for part, shape in net.shapes.items()
        ]
    return "\n".join(lines)


def as_json(preset: Preset, size: tuple[int, int], nets: dict[str, NetSummary]) -> dict[str, Any]:
    """Return what `summarise` found as one object; `size` is [height, width] in pixels."""
    described = {name: asdict(net) for name, net in nets.items()}
    return {"preset": preset.name, "size": list(size), "batch": 1, "nets": described}
