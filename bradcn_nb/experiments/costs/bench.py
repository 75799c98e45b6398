"""How fast the nets are, and how much memory training takes: `python -m bradcn_nb bench`.

Two programs are timed in turns, A B A B, so that whatever slows the machine meets both, and are
compared round by round: the ratio is the median over the rounds of ours / theirs, its spread the
quartiles. Weights are random, since no kernel's time depends on them; what is compared must give
the same outputs, or do the same work, before it is timed. fp32 on the CPU, without gradients.

A share of the peak is a net's rate over that of this machine's own large matrix product with the
same threads, which takes its turn in every round, too. Work is 2 FLOPs per MAC of `summary`, which
counts convolutions as direct sums: what saves multiplications (Winograd's method) may exceed 100 %.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from bradcn_nb.errors import BradcnError
from bradcn_nb.experiments.costs.bench_loading import loading_programs
from bradcn_nb.experiments.costs.published_dpt import OriginalDPT
from bradcn_nb.experiments.costs.summary import count_macs, fake
from bradcn_nb.experiments.costs.turns import cpu_name, take_turns
from bradcn_nb.models import BRADCN, DepthNet, RenderNet
from bradcn_nb.models.blocks import centre
from bradcn_nb.models.checkpointing import set_checkpointing
from bradcn_nb.models.inference import for_inference
from bradcn_nb.models.official import to_official
from bradcn_nb.presets import preset
from bradcn_nb.training.devices import return_freed_blocks
from bradcn_nb.training.loop import BETAS
from bradcn_nb.training.losses import stage_loss
from bradcn_nb.training.stages import compare

CLOSE = 1e-4  # of the outputs' spread; fp32's rounding stays far below
NETS = {  # net, (height, width), yardstick
    "render-net": (RenderNet, (512, 768), "original"),
    "depth-net": (DepthNet, (512, 768), "original"),
    "depth-net-384": (DepthNet, (384, 384), "transformers"),
}
BENCHMARKS = ("peak", *NETS, "checkpointing", "loading", "labels")
QUICK_SIZE = (64, 96)
STATUS = Path("/proc/self/status")


def run(
    names: Sequence[str],
    results: dict[str, Any],
    *,
    repeats: int = 7,
    quick: bool = False,
    progress: bool = True,
) -> None:
    """Run the benchmarks `names`, all of them if empty, and fill `results` as they go.

    An interruption leaves in `results` what was measured; `finished` derives the rest. `quick`: one
    round of small pictures and the training step of `mini`, which says whether all of it works and
    nothing about speed. Raises BradcnError for an unknown name, for outputs that differ, and for a
    training step that fails.
    """
    if unknown := set(names) - set(BENCHMARKS):
        raise BradcnError(
            f"unknown benchmark {', '.join(sorted(unknown))}: choose from {', '.join(BENCHMARKS)}"
        )
    chosen = [name for name in BENCHMARKS if not names or name in names]
    repeats = 1 if quick else repeats
    results["machine"] = {
        "cpu": cpu_name(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "mode": "quick" if quick else "full",
    }
    if {"peak", *NETS} & set(chosen):
        product = _peak(results, repeats, (1024,) if quick else (2048, 3072, 4096), progress)
    for name in chosen:
        if name in NETS:
            _contest(name, product, results, repeats, quick, progress)
        elif name == "checkpointing":
            _checkpointing(results, "mini" if quick else "paper", progress)
        elif name == "loading":
            record = results["loading"] = {}
            with loading_programs(record, quick) as programs:
                take_turns(programs, repeats, record["seconds"], title=name, progress=progress)
        elif name == "labels":
            from bradcn_nb.experiments.costs.bench_labels import measure

            measure(results, repeats, quick, progress)


def _peak(
    results: dict[str, Any], repeats: int, sizes: Sequence[int], progress: bool
) -> tuple[int, Callable[[], object]]:
    """Time square matrix products; return the size of the best rate, and its program."""
    square = {str(size): torch.rand(3, size, size) for size in sizes}
    programs = {
        size: partial(torch.mm, left, right, out=product)
        for size, (left, right, product) in square.items()
    }
    for program in programs.values():
        program()
    seconds = {size: [] for size in programs}
    results["peak"] = {"seconds": seconds}
    take_turns(programs, repeats, seconds, title="peak", progress=progress)
    best = max(programs, key=lambda size: int(size) ** 3 / min(seconds[size]))
    return int(best), programs[best]


def _contest(
    name: str,
    product: tuple[int, Callable[[], object]],
    results: dict[str, Any],
    repeats: int,
    quick: bool,
    progress: bool,
) -> None:
    kind, size, yardstick = NETS[name]
    if yardstick == "transformers" and find_spec("transformers") is None:
        results[name] = {"skipped": "transformers is not installed (pip install transformers)"}
        return
    if quick and yardstick == "original":
        size = QUICK_SIZE  # the other one knows a single size
    macs = {
        "ours": _macs(partial(kind, preset("paper").model), size),
        "original": _macs(partial(_original, kind), size),
    }
    net = _random(kind)
    if yardstick == "transformers":
        if _macs(_transformers, size) != macs["original"]:
            raise BradcnError(
                f"{name}: this version of transformers has another DPT-hybrid; skip it"
            )
        other = _transformers().eval()
    else:
        other = _original(kind).eval()
        other.load_state_dict(to_official(net))
    ready = for_inference(net)
    del net
    image = torch.rand(1, 3, *size)
    with torch.inference_mode():
        got, wanted = ready(image), _answer(other, image)  # which also warms both up
        record = {
            "size": list(size),
            "yardstick": yardstick,
            "macs": macs,
            "product_size": product[0],
            "seconds": {"ours": [], yardstick: [], "product": []},
        }
        if yardstick == "original":  # weights in transformers' naming are left to the tests
            record["difference"] = difference(name, got, wanted)
        results[name] = record
        programs = {
            "ours": partial(ready, image),
            yardstick: partial(_answer, other, image),
            "product": product[1],
        }
        take_turns(programs, repeats, record["seconds"], title=name, progress=progress)


def difference(name: str, got: Tensor, wanted: Tensor) -> float:
    """Return the greatest difference over the spread of `wanted`; raises BradcnError above
    CLOSE."""
    greatest = ((got - wanted).abs().max() / (wanted.max() - wanted.min())).item()
    if not greatest <= CLOSE:
        raise BradcnError(
            f"{name}: the two nets' outputs differ by {greatest:.1e} of their spread, more than "
            f"{CLOSE:.0e}; their times cannot be compared until `make unit` passes"
        )
    return greatest


def _macs(build: Callable[[], nn.Module], size: tuple[int, int]) -> int:
    with fake(build) as net:
        return count_macs(net, torch.empty(1, 3, *size))


def _random(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    net = kind(preset("paper").model).eval()
    if kind is DepthNet:  # or it would see the same depth everywhere, in all digits that fp32 has
        with torch.no_grad():
            net.decoder.head[-1].weight /= net.cfg.depth_scale
    return net


def _original(kind: type[nn.Module]) -> nn.Module:
    return OriginalDPT(out_channels=1 if kind is DepthNet else 3)


def _transformers() -> nn.Module:
    from transformers import DPTConfig, DPTForDepthEstimation

    return DPTForDepthEstimation(
        DPTConfig(
            is_hybrid=True,
            reassemble_factors=(1, 1, 1, 0.5),
            neck_hidden_sizes=(256, 512, 768, 768),
        )
    )


def _answer(net: nn.Module, image: Tensor) -> Tensor:
    """Run a yardstick on a picture in [0, 1]; return what our net returns, (N, C, H, W)."""
    if not isinstance(net, OriginalDPT):
        return net(centre(image)).predicted_depth.unsqueeze(1)
    return net(centre(image)).unsqueeze(1) if net.metric else net(image)


def training_step(preset_name: str, checkpointing: bool) -> dict[str, float]:
    """Run one step of stage 2 on random pictures; return its loss, seconds and peak bytes.

    `cpu_seconds` is the time that this process had the CPU, all threads together.

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
    height, width = chosen.data.train_size
    scale = chosen.data.truth_scale
    batch = {
        "image": torch.rand(stage.batch, 3, height, width),
        "bokeh": torch.rand(stage.batch, 3, scale * height, scale * width),
    }
    start, cpu_start = time.perf_counter(), time.process_time()
    loss = stage_loss(stage)(*compare(stage, net, batch))
    loss.backward()
    optimizer.step()
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    # Not getrusage: its ru_maxrss starts from the memory of the process that started this one.
    status = STATUS.read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return {
        "loss": loss.item(),
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_bytes": 1024 * int(peak.split()[1]),
    }


def _checkpointing(results: dict[str, Any], preset_name: str, progress: bool) -> None:
    if not STATUS.is_file():
        results["checkpointing"] = {
            "skipped": f"peak memory is read from {STATUS}, as Linux has it"
        }
        return
    record = results["checkpointing"] = {"preset": preset_name, "steps": {}}
    modes = tqdm((False, True), desc="checkpointing", unit="step", disable=not progress)
    for on in modes:
        code = (
            "import json, torch; from bradcn_nb.experiments.costs.bench import training_step; "
            f"torch.set_num_threads({torch.get_num_threads()}); "
            f"print(json.dumps(training_step({preset_name!r}, {on})))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["no message; was it out of memory?"])[-1]
            raise BradcnError(
                f"checkpointing: a training step of {preset_name} ended with status "
                f"{done.returncode}: {said}"
            )
        record["steps"]["on" if on else "off"] = json.loads(done.stdout.splitlines()[-1])
