"""Time and memory of training on GPUs that nobody here has: derived from counts, not measured.

A step's arithmetic, traffic and operations are counted (`step_counts`), a GPU's rates are those of
its data sheet, and what lies between is assumed (`ASSUMED`). So every result is a range: at its
fast end arithmetic, traffic and launches run side by side, each near its limit, and the exchange of
gradients hides behind them; at its slow end one follows the other, each far from its limit. Not
counted: reading and augmenting pictures, the check after an epoch, checkpoints on disk.
"""

import json
import math
from dataclasses import dataclass

from bradcn_nb.errors import BradcnError
from bradcn_nb.experiments.costs.step_counts import LABELS, Counts, StepCount
from bradcn_nb.files import data_root
from bradcn_nb.presets import Preset

GPUS = (1, 2, 4, 8)
EBB_PICTURES = 4400  # Section IV-A

Range = tuple[float, float]  # fast and slow end, or low and high


@dataclass(frozen=True)
class Device:
    """A GPU as its data sheet has it; dense rates, no sparsity."""

    name: str
    memory: float  # bytes
    bandwidth: float  # of its memory, bytes/s
    link: float  # to the other GPUs, each way, bytes/s
    fp32: Range  # FLOP/s of convolutions, of matrix products: PyTorch's defaults differ
    half: float  # FLOP/s of tensor cores: fp16 on T4 and V100, bf16 on A100 and H100
    tensor_fp32: bool  # whether fp32's convolutions run on tensor cores, as TF32
    source: str


DEVICES = (
    Device("T4 16 GB", 16e9, 300e9, 16e9, (8.1e12, 8.1e12), 65e12, False,
           "NVIDIA T4 data sheet; the link is PCIe 3.0 x16"),
    Device("V100 32 GB", 32e9, 900e9, 150e9, (15.7e12, 15.7e12), 125e12, False,
           "NVIDIA V100 data sheet, SXM2"),
    Device("A100 40 GB", 40e9, 1555e9, 300e9, (156e12, 19.5e12), 312e12, True,
           "NVIDIA A100 data sheet, SXM4"),
    Device("H100 80 GB", 80e9, 3350e9, 450e9, (494e12, 67e12), 989e12, True,
           "NVIDIA H100 data sheet, SXM5, its rates with sparsity halved"),
)  # fmt: skip

# (fast, slow), memory: (low, high). Shares are of the data sheet's figure. For tensor cores,
# compare the 21 % to 46 % that large language models reached (Chowdhery et al. 2022, Table 3).
ASSUMED: dict[str, Range] = {
    "share of the peak, plain fp32": (0.75, 0.35),
    "share of the peak, tensor cores": (0.50, 0.15),
    "share of the memory bandwidth": (0.85, 0.50),
    "share of the link between GPUs": (1.00, 0.50),
    "seconds to launch an operation": (3e-6, 10e-6),
    "memory over the tensors' own, factor": (1.00, 1.15),
    "memory of CUDA and its libraries, bytes": (0.3e9, 1.5e9),  # a CPU's process: 1.5e9 to 1.9e9
}


def device(name: str) -> Device:
    """Return the device whose name begins so ("T4"); raises BradcnError naming those that exist."""
    for known in DEVICES:
        if name and known.name.lower().startswith(name.lower()):
            return known
    names = ", ".join(known.name.split()[0] for known in DEVICES)
    raise BradcnError(f"unknown device {name!r}: choose one of {names}")


def step_seconds(
    count: StepCount,
    on: Device,
    precision: str,
    gpus: int = 1,
) -> Range:
    """Return the fast and slow end of a step's time in s.

    Each of `gpus` does one picture. Raises BradcnError for a `precision`
    that is neither "fp32" nor "half".
    """
    if precision not in ("fp32", "half"):
        raise BradcnError(f"unknown precision {precision!r}: use fp32, half")
    half = precision == "half"
    conv, product = (on.half, on.half) if half else on.fp32
    # Adam reads weight, gradient and two moments, and writes three back.
    moved = count.moved_bytes + 7 * 4 * count.trained
    # A ring's sum of all gradients: what each GPU sends of it.
    sent = 2 * (gpus - 1) / gpus * 4 * count.trained
    ends = []
    for end in (0, 1):
        plain = ASSUMED["share of the peak, plain fp32"][end]
        tensor = ASSUMED["share of the peak, tensor cores"][end]
        of_conv = tensor if half or on.tensor_fp32 else plain
        of_product = tensor if half else plain
        arithmetic = 2 * count.conv_macs / (of_conv * conv)
        arithmetic += 2 * count.product_macs / (of_product * product)
        share = ASSUMED["share of the memory bandwidth"][end]
        traffic = moved / (share * on.bandwidth)
        launch = ASSUMED["seconds to launch an operation"][end]
        launches = count.operations * launch
        link = ASSUMED["share of the link between GPUs"][end] * on.link
        ends.append((arithmetic, traffic, launches, sent / link))
    fast, (arithmetic, traffic, launches, exchange) = max(ends[0]), ends[1]
    # The CPU launches while the GPU computes: neither waits for the other.
    return fast, max(arithmetic + traffic, launches) + exchange


def memory_bytes(count: StepCount, gpus: int = 1) -> Range:
    """Return the low and high end of the GPU memory that training needs, in bytes.

    Several GPUs each hold the gradients a second time, in the buckets that they exchange.
    """
    tensors = count.step_bytes + (4 * count.trained if gpus > 1 else 0)
    factors = ASSUMED["memory over the tensors' own, factor"]
    extras = ASSUMED["memory of CUDA and its libraries, bytes"]
    return tensors * factors[0] + extras[0], tensors * factors[1] + extras[1]


def verdict(memory: Range, on: Device) -> str:
    """Say whether it "fits", is "tight" (only the low end fits) or "does not fit"."""
    low, high = memory
    return "fits" if high <= on.memory else "tight" if low <= on.memory else "does not fit"


def steps(preset: Preset, gpus: int = 1) -> dict[str, int]:
    """Return how many steps each part of the schedule takes, the labels first (one picture a
    step)."""
    pictures = {"labels": preset.data.sun_counts[0], "ebb": EBB_PICTURES}
    return {LABELS: math.ceil(sum(preset.data.sun_counts) / gpus)} | {
        stage.name: stage.epochs * math.ceil(pictures[stage.data] / stage.batch / gpus)
        for stage in preset.stages
    }


def training_seconds(
    preset: Preset, counts: Counts, on: Device, precision: str, gpus: int = 1
) -> dict[str, Range]:
    """Return the fast and slow end of every part of the schedule in s, and of their "total"."""
    parts = {}
    for name, number in steps(preset, gpus).items():
        fast, slow = step_seconds(counts[name], on, precision, gpus if name != LABELS else 1)
        parts[name] = (number * fast, number * slow)
    fast, slow = (sum(part[end] for part in parts.values()) for end in (0, 1))
    return {**parts, "total": (fast, slow)}


def as_text(preset: Preset, precision: str, counts: Counts) -> str:
    """Return the memory, a step's time and the whole schedule's of every device, for people."""
    last = list(counts)[-1]
    lines = [
        f"DERIVED FROM COUNTS, NOT MEASURED: preset {preset.name}, {precision}, one picture a GPU",
        f"{'':12}{'memory, GB':>14}{'':14}{f's, {last}':>16}"
        + "".join(f"{f'hours, {n} GPU':>16}" for n in GPUS),
    ]
    low, high = max(map(memory_bytes, counts.values()))
    for on in DEVICES:
        fast, slow = step_seconds(counts[last], on, precision)
        line = f"{on.name:12}{low / 1e9:6.1f} to {high / 1e9:4.1f}  {verdict((low, high), on):12}"
        line += f"{fast:8.3f} to {slow:.3f}"
        for gpus in GPUS:
            fast, slow = training_seconds(preset, counts, on, precision, gpus)["total"]
            line += f"{f'{fast / 3600:.1f} to {slow / 3600:.1f}':>16}"
        lines.append(line)
    return "\n".join(lines)


def measured_lines(counts: Counts) -> list[str]:
    """Return what `make gpu-check` measured of each stage in fp32, beside what is counted.

    One line each; where there is no such file, one line that says so.
    """
    path = data_root() / "results" / "gpu-step.json"
    if not path.is_file():
        return ["no GPU has been measured yet: `make gpu-check` writes data/results/gpu-step.json"]
    measured = json.loads(path.read_text("utf-8"))
    lines = [f"measured on {measured['device']}, torch {measured['torch']}"]
    for name in counts.keys() & {"stage1", "stage2a", "stage2b"}:
        part = measured["parts"].get(f"{name} fp32", {"skipped": "not reached"})
        if "seconds" not in part:
            lines.append(f"{name}: {part.get('skipped') or part['failed']}")
            continue
        lines.append(
            f"{name}: {part['seconds']:.3f} s a step, {part.get('peak_bytes', 0) / 1e9:.1f} GB; "
            f"counted {counts[name].step_bytes / 1e9:.1f} GB"
        )
    return [lines[0], *sorted(lines[1:])]
