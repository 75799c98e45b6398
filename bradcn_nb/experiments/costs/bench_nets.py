"""The nets for `bench`: beside the same nets in others' form, and a training step's memory."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bradcn_nb.errors import BradcnError
from bradcn_nb.experiments.costs.published_dpt import OriginalDPT
from bradcn_nb.experiments.costs.summary import count_macs, fake
from bradcn_nb.experiments.costs.turns import Contest
from bradcn_nb.models import BRADCN, DepthNet, RenderNet
from bradcn_nb.models.blocks import centre
from bradcn_nb.models.checkpointing import set_checkpointing
from bradcn_nb.models.inference import for_inference
from bradcn_nb.models.official import to_official
from bradcn_nb.models.onnx_export import export_onnx, open_session
from bradcn_nb.presets import preset
from bradcn_nb.training.devices import return_freed_blocks
from bradcn_nb.training.loop import BETAS
from bradcn_nb.training.losses import stage_loss
from bradcn_nb.training.stages import compare

CLOSE = 1e-4  # of the outputs' spread; fp32's rounding stays far below
QUICK_SIZE = (64, 96)
STATUS = Path("/proc/self/status")


def product(size: int) -> Callable[[], object]:
    """Return a program that multiplies two square matrices of `size` rows."""
    left, right, result = torch.rand(3, size, size)
    return partial(torch.mm, left, right, out=result)


@contextmanager
def net_contest(
    kind: type[RenderNet | DepthNet], size: tuple[int, int], form: str, quick: bool
) -> Iterator[Contest]:
    """Our net of `kind` and the same net in others' form, with the same random weights.

    `form`: "original" (as its authors wrote it) or "transformers". `size`: (height, width) in
    pixels. Raises BradcnError where the two do not compute the same.
    """
    if form == "transformers" and find_spec("transformers") is None:
        yield Contest({}, {"skipped": "transformers is not installed (pip install transformers)"})
        return
    if quick and form == "original":
        size = QUICK_SIZE  # the other one knows a single size
    macs = {
        "ours": macs_of(partial(kind, preset("paper").model), size),
        form: macs_of(partial(original, kind), size),
    }
    net = _random(kind)
    if form == "transformers":
        if macs_of(from_transformers, size) != macs[form]:
            raise BradcnError("this version of transformers has another DPT-hybrid; skip it")
        other = from_transformers().eval()
    else:
        with torch.device("meta"):  # its own random weights would be thrown away
            other = original(kind).eval()
        other.to_empty(device="cpu").load_state_dict(to_official(net))
    ready, image = for_inference(net), torch.rand(1, 3, *size)
    facts: dict[str, Any] = {
        "pixels": f"{size[1]}x{size[0]}",
        "GMACs": {name: count / 1e9 for name, count in macs.items()},
    }
    side = 1024 if quick else 3072
    with torch.inference_mode():
        if form == "original":  # weights in transformers' naming are left to the tests
            greatest = difference(ready(image), _answer(other, image))
            facts["outputs differ by, of their spread"] = greatest
        yield Contest(
            {"ours": partial(ready, image), form: partial(_answer, other, image),
             "product": product(side)},
            facts, {**macs, "product": side**3},
        )  # fmt: skip


def difference(got: Tensor, wanted: Tensor) -> float:
    """Return the greatest difference over the spread of `wanted`; raises BradcnError above
    CLOSE."""
    greatest = ((got - wanted).abs().max() / (wanted.max() - wanted.min())).item()
    if not greatest <= CLOSE:
        raise BradcnError(
            f"the two nets' outputs differ by {greatest:.1e} of their spread, more than "
            f"{CLOSE:.0e}; their times cannot be compared until `make unit` passes"
        )
    return greatest


def macs_of(build: Callable[[], nn.Module], size: tuple[int, int]) -> int:
    """Return the MACs of the net that `build` makes, for a picture of `size`; without memory."""
    with fake(build) as net:
        return count_macs(net, torch.empty(1, 3, *size))


def original(kind: type[nn.Module]) -> nn.Module:
    """Return the net of `kind` as its authors wrote it."""
    return OriginalDPT(out_channels=1 if kind is DepthNet else 3)


def from_transformers() -> nn.Module:
    """Return DPT-hybrid as Hugging Face has it, with random weights."""
    from transformers import DPTConfig, DPTForDepthEstimation

    return DPTForDepthEstimation(
        DPTConfig(
            is_hybrid=True,
            reassemble_factors=(1, 1, 1, 0.5),
            neck_hidden_sizes=(256, 512, 768, 768),
        )
    )


def _random(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    net = kind(preset("paper").model).eval()
    if kind is DepthNet:  # or it would see the same depth everywhere, in all digits that fp32 has
        with torch.no_grad():
            net.decoder.head[-1].weight /= net.cfg.depth_scale
    return net


def _answer(net: nn.Module, image: Tensor) -> Tensor:
    """Run another form on a picture in [0, 1]; return what our net returns, (N, C, H, W)."""
    if not isinstance(net, OriginalDPT):
        return net(centre(image)).predicted_depth.unsqueeze(1)
    return net(centre(image)).unsqueeze(1) if net.metric else net(image)


@contextmanager
def onnx_contest(quick: bool) -> Iterator[Contest]:
    """Our Render Net in torch beside the same net in onnxruntime, as `export` writes it."""
    if find_spec("onnxruntime") is None or find_spec("onnx") is None:
        yield Contest(
            {}, {"skipped": "onnxruntime is not installed (pip install onnx onnxruntime)"}
        )
        return
    size = QUICK_SIZE if quick else (512, 768)
    net, image = _random(RenderNet), torch.rand(1, 3, *size)
    macs = macs_of(partial(RenderNet, net.cfg), size)
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        file = Path(folder) / "net.onnx"
        export_onnx(net, file)
        session = open_session(file.read_bytes(), torch.get_num_threads())
        ready, given = for_inference(net), {"image": image.numpy()}
        there = partial(session.run, None, given)
        facts: dict[str, Any] = {
            "pixels": f"{size[1]}x{size[0]}",
            "the file, MB": file.stat().st_size / 1e6,
            "outputs differ by, of their spread": difference(
                torch.from_numpy(there()[0]), ready(image)
            ),
        }
        side = 1024 if quick else 3072
        yield Contest(
            {"torch": partial(ready, image), "onnxruntime": there, "product": product(side)},
            facts, {"torch": macs, "onnxruntime": macs, "product": side**3},
        )  # fmt: skip


@contextmanager
def checkpointing(quick: bool) -> Iterator[Contest]:
    """A training step without and with checkpointing, each in a process of its own: its memory."""
    if not STATUS.is_file():
        yield Contest({}, {"skipped": f"peak memory is read from {STATUS}, as Linux has it"})
        return
    name = "mini" if quick else "paper"
    facts: dict[str, Any] = {"preset": name, "loss": {}, "step, s": {}, "peak, GB": {}}

    def step(on: bool) -> None:
        code = (
            "import json, torch; "
            "from bradcn_nb.experiments.costs.bench_nets import training_step; "
            f"torch.set_num_threads({torch.get_num_threads()}); "
            f"print(json.dumps(training_step({name!r}, {on})))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message; was it out of memory?"])[-1]
            raise BradcnError(
                f"checkpointing: a training step of {name} ended with status "
                f"{done.returncode}: {last}"
            )
        mode = "with" if on else "without"
        for fact, value in json.loads(done.stdout.splitlines()[-1]).items():
            facts[fact][mode] = value
        if on:
            facts["peak, with / without"] = facts["peak, GB"]["with"] / facts["peak, GB"]["without"]

    yield Contest({"without": partial(step, False), "with": partial(step, True)}, facts,
                  single=True)  # fmt: skip


def training_step(preset_name: str, checkpointing: bool) -> dict[str, float]:
    """Run one step of stage 2 on random pictures; return its loss, seconds and peak memory in GB.

    It is a step in the midst of training, when Adam's state is there already: two more numbers for
    each weight, which a first step does not hold beside the activations. The peak is that of the
    whole process so far, from /proc, so it wants a process of its own. As in `train`, the switch
    also makes glibc return freed blocks; without it glibc keeps its default, and so some of the
    difference is the allocator's.
    """
    chosen = preset(preset_name)
    stage = chosen.stage("stage2a")
    torch.manual_seed(chosen.seed)
    net = BRADCN(chosen.model).to(memory_format=torch.channels_last)
    if checkpointing:
        set_checkpointing(net)
        return_freed_blocks()
    for part in stage.frozen:
        getattr(net, part).requires_grad_(False)
    trained = [weight for weight in net.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=stage.lr, betas=BETAS, fused=True)
    for weight in trained:
        weight.grad = torch.zeros_like(weight)
    optimizer.step()  # by nothing
    optimizer.zero_grad()
    (height, width), scale = chosen.data.train_size, chosen.data.truth_scale
    batch = {
        "image": torch.rand(stage.batch, 3, height, width),
        "bokeh": torch.rand(stage.batch, 3, scale * height, scale * width),
    }
    start = time.perf_counter()
    loss = stage_loss(stage)(*compare(stage, net, batch))
    loss.backward()
    optimizer.step()
    seconds = time.perf_counter() - start
    # Not getrusage: its ru_maxrss starts from the memory of the process that started this one.
    peak = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    return {
        "loss": loss.item(),
        "step, s": seconds,
        "peak, GB": 1024 * int(peak.split()[1]) / 1e9,
    }
