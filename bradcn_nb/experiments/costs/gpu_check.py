"""What only a GPU can tell, in one run of at most eight minutes: `make gpu-check`.

The full nets at 768x512: a forward pass, a training step of each stage in three precisions, order
of memory, checkpointing, exact resume, a chapter, `torch.compile`; seconds and peak memory of each.
`data/results/gpu-step.json` is written after every part, most important first. A part that fails is
written down with its reason, and the next one runs; what a part needs and lacks is named. It runs
with any Python that has torch and timm, and installs nothing.
"""

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bradcn_nb.files import data_root, write_atomically
from bradcn_nb.models import ADCN, BRADCN, DepthNet, RenderNet
from bradcn_nb.models.checkpointing import set_checkpointing
from bradcn_nb.models.inference import for_inference, pick_device
from bradcn_nb.presets import Preset, preset

REPEATS = 3
ROOT = Path(__file__).resolve().parents[3]
HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
CHAPTER = "08_depth_error_labels"


@dataclass(frozen=True)
class Setting:
    """Where and how large: `quick` is mini's nets, to see whether the check itself works."""

    device: torch.device
    quick: bool

    @property
    def preset(self) -> Preset:
        """The preset whose nets and schedule are measured."""
        return preset("mini" if self.quick else "paper")

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the pictures."""
        return (32, 48) if self.quick else self.preset.data.train_size


class Skipped(Exception):
    """A part cannot run here; the message says what is missing."""


def timed(setting: Setting, step: Callable[[], object]) -> dict[str, float]:
    """Return the best of `REPEATS` times in s after one that warms up, and the peak memory in
    bytes.
    """
    cuda = setting.device.type == "cuda"
    wait = torch.cuda.synchronize if cuda else lambda: None
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        step()
        wait()
        times.append(time.perf_counter() - start)
    peak = {"peak_bytes": torch.cuda.max_memory_allocated()} if cuda else {}
    return {"seconds": min(times[1:]), **peak}


def forward(setting: Setting, kind: type[nn.Module], half: str | None, last: bool) -> dict:
    """Time one picture through a net made for inference, without gradients."""
    net = for_inference(kind(setting.preset.model)).to(setting.device)
    net = net.to(memory_format=torch.channels_last if last else torch.contiguous_format)
    image = torch.rand(1, 3, *setting.size, device=setting.device)
    with torch.inference_mode(), _autocast(setting, half):
        return timed(setting, lambda: net(image))


def training(
    setting: Setting, stage_name: str, half: str | None, last: bool, checkpointing: bool
) -> dict:
    """Time a step of a stage: forward, loss, backward and Adam, with a scaler in fp16."""
    from bradcn_nb.training.losses import stage_loss
    from bradcn_nb.training.stages import compare

    if half == "fp16" and setting.device.type == "cpu":
        raise Skipped("fp16 is for GPUs")
    chosen, stage = setting.preset, setting.preset.stage(stage_name)
    net = {"adcn": ADCN, "bradcn": BRADCN}[stage.net](chosen.model).to(setting.device)
    net = net.to(memory_format=torch.channels_last if last else torch.contiguous_format)
    set_checkpointing(net, checkpointing)
    for name in stage.frozen:
        getattr(net, name).requires_grad_(False)
    trained = [weight for weight in net.parameters() if weight.requires_grad]
    adam = torch.optim.Adam(trained, lr=stage.lr, fused=setting.device.type != "mps")
    scaler = torch.amp.GradScaler(setting.device.type, enabled=half == "fp16")
    batch, loss_of = _batch(setting), stage_loss(stage)

    def step() -> None:
        adam.zero_grad()
        with _autocast(setting, half):
            compared = compare(stage, net, batch)
        loss = loss_of(
            *(x.float() if x is not None and x.is_floating_point() else x for x in compared)
        )
        scaler.scale(loss).backward()
        scaler.step(adam)
        scaler.update()

    return timed(setting, step)


def resume(setting: Setting) -> dict:
    """Train mini's stage 2a with and without a stop; say whether both end with the same weights."""
    for package in ("accelerate", "safetensors", "cv2", "tqdm", "psutil"):
        if find_spec(package) is None:
            raise Skipped(f"needs {package}")
    from safetensors.torch import load_file

    from bradcn_nb.models import save_weights
    from bradcn_nb.training import train

    mini = preset("mini")
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        init = {name: Path(folder) / f"{name}.safetensors" for name in ("depth", "adcn")}
        save_weights(DepthNet(mini.model), init["depth"], "mini")
        save_weights(ADCN(mini.model), init["adcn"], "mini")
        go = partial(train, mini, "stage2a", init=init, progress=False, checkpoint_every=2)
        whole = load_file(go(Path(folder) / "whole", max_steps=6))
        go(Path(folder) / "stopped", max_steps=4)
        resumed = load_file(go(Path(folder) / "stopped", max_steps=6))
    same = all(torch.equal(whole[name], resumed[name]) for name in whole)
    largest = max(float((whole[name] - resumed[name]).abs().max()) for name in whole)
    return {"same_bits": same, "largest_difference": largest}


def chapter(setting: Setting) -> dict:
    """Execute a chapter, as a reader on this machine would."""
    for package in ("jupytext", "nbclient", "ipykernel"):
        if find_spec(package) is None:
            raise Skipped(f"needs {package}")
    start = time.perf_counter()
    source = ROOT / "book" / f"{CHAPTER}.py"
    with tempfile.TemporaryDirectory() as folder:
        words = ["--to", "ipynb", "--execute", "--output", f"{folder}/chapter.ipynb", str(source)]
        done = subprocess.run(
            [sys.executable, "-m", "jupytext", *words],
            capture_output=True,
            text=True,
            cwd=ROOT / "book",
        )
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return {"chapter": CHAPTER, "seconds": time.perf_counter() - start}


def compiled(setting: Setting) -> dict:
    """Time the Render Net under torch.compile, beside the time that compiling takes."""
    net = for_inference(RenderNet(setting.preset.model)).to(setting.device)
    image = torch.rand(1, 3, *setting.size, device=setting.device)
    fast = torch.compile(net)
    with torch.inference_mode():
        start = time.perf_counter()
        fast(image)
        compiling = time.perf_counter() - start
        return {**timed(setting, lambda: fast(image)), "compiling_seconds": compiling}


def parts(setting: Setting) -> Iterator[tuple[str, Callable[[], dict]]]:
    """Yield (name, what runs it) of every part, most important first."""
    stages = ("stage1", "stage2a", "stage2b")
    for stage in reversed(stages):
        yield f"{stage} fp32", partial(training, setting, stage, None, False, False)
    yield "resume", partial(resume, setting)
    for half in HALF:
        for stage in stages[-1:] if setting.quick else reversed(stages):
            yield f"{stage} {half}", partial(training, setting, stage, half, True, False)
    yield "stage2b fp32 checkpointing", partial(training, setting, "stage2b", None, False, True)
    yield "stage2b fp32 channels_last", partial(training, setting, "stage2b", None, True, False)
    yield "stage2b fp16 contiguous", partial(training, setting, "stage2b", "fp16", False, False)
    yield "stage2b fp16 checkpointing", partial(training, setting, "stage2b", "fp16", True, True)
    for kind in (BRADCN,) if setting.quick else (BRADCN, RenderNet, DepthNet):
        for half, last in ((None, False), (None, True), ("fp16", True)):
            name = f"forward {kind.__name__} {half or 'fp32'}" + " channels_last" * last
            yield name, partial(forward, setting, kind, half, last)
    yield "chapter", partial(chapter, setting)
    if not setting.quick:  # minutes on a CPU
        yield "compile RenderNet", partial(compiled, setting)


def check(setting: Setting, out: Path, seconds: float) -> dict[str, Any]:
    """Run every part until `seconds` are over; write `out` after each, and return what it holds."""
    start = time.monotonic()
    cuda = setting.device.type == "cuda"
    result: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if cuda else str(setting.device),
        "torch": torch.__version__,
        "preset": setting.preset.name,
        "size": list(setting.size),
        "parts": {},
    }
    for name, run in parts(setting):
        if time.monotonic() - start > seconds:
            result["parts"][name] = {"skipped": f"{seconds:g} s were over"}
        else:
            try:
                result["parts"][name] = run()
            except Skipped as reason:
                result["parts"][name] = {"skipped": str(reason)}
            except Exception as error:  # a card may refuse anything; the next part may still run
                line = " ".join(str(error).split())[:300]
                result["parts"][name] = {"failed": f"{type(error).__name__}: {line}"}
            gc.collect()
            if cuda:
                torch.cuda.empty_cache()
        result["seconds"] = round(time.monotonic() - start, 1)
        write_atomically(out, f"{json.dumps(result, indent=1)}\n".encode())
        print(
            f"{result['seconds']:6.1f} s  {name}: {json.dumps(result['parts'][name])}", flush=True
        )
    return result


def _batch(setting: Setting) -> dict[str, torch.Tensor]:
    (height, width), scale = setting.size, setting.preset.data.truth_scale
    batch = {
        "image": torch.rand(1, 3, height, width),
        "bokeh": torch.rand(1, 3, scale * height, scale * width),
        "error": torch.rand(1, 1, height, width),
        "mask": torch.ones(1, 1, height, width, dtype=torch.bool),
    }
    return {name: tensor.to(setting.device) for name, tensor in batch.items()}


def _autocast(setting: Setting, half: str | None):
    return torch.autocast(setting.device.type, HALF[half]) if half else nullcontext()


def main() -> None:
    """Run the check as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--seconds", type=float, default=450, help="begin no part after these")
    parser.add_argument("--quick", action="store_true", help="mini's nets: does the check work?")
    parser.add_argument("--out", type=Path, help="default: data/results/gpu-step.json")
    options = parser.parse_args()
    device = pick_device(options.device)
    if device.type == "cpu" and not options.quick:
        sys.exit("no GPU here; --quick --device cpu tries the check itself")
    out = options.out or data_root() / "results" / "gpu-step.json"
    check(Setting(device, options.quick), out, options.seconds)
    print(out)


if __name__ == "__main__":
    main()
