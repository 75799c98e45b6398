"""What `estimate` derives, as one object and as text."""

from dataclasses import asdict
from typing import Any

from bradcn_nb.experiments.costs.estimate import (
    ASSUMED,
    DEVICES,
    GPUS,
    step_seconds,
    steps,
    training_seconds,
    verdict,
    worst,
)
from bradcn_nb.experiments.costs.step_counts import Counts
from bradcn_nb.presets import Preset


def as_json(
    preset: Preset, size: tuple[int, int], precision: str, checkpointing: bool, counts: Counts
) -> dict[str, Any]:
    """Return the whole estimate as one object; `size` is [height, width], times in s, memory in bytes."""
    return {
        "status": "derived from counts, not measured",
        "preset": preset.name,
        "size": list(size),
        "precision": precision,
        "checkpointing": checkpointing,
        "counts": {name: asdict(count) for name, count in counts.items()},
        "assumed": {name: list(ends) for name, ends in ASSUMED.items()},
        "devices": [
            {
                **asdict(on),
                "by_gpus": {
                    str(gpus): {
                        "memory": list(worst(counts, gpus)),
                        "verdict": verdict(worst(counts, gpus), on),
                        "seconds": training_seconds(preset, counts, on, precision, gpus),
                    }
                    for gpus in GPUS
                },
            }
            for on in DEVICES
        ],
    }


def as_text(
    preset: Preset, size: tuple[int, int], precision: str, checkpointing: bool, counts: Counts
) -> str:
    """Return the whole estimate for people, with everything that it assumes; GB are 10^9 bytes."""
    on_off = "with checkpointing" if checkpointing else "without checkpointing"
    lines = [
        f"DERIVED FROM COUNTS, NOT MEASURED: preset {preset.name}, pictures of {size[1]}x{size[0]}"
        f" pixels (width x height), {precision}, {on_off}, one picture a step and GPU",
        "",
        f"{'counted for one step':22}{'steps':>9}{'GMACs':>10}{'GB moved':>10}{'operations':>12}"
        f"{'GB of tensors':>15}",
    ]
    for name, number in steps(preset).items():
        count = counts[name]
        lines.append(
            f"  {name:20}{number:9,}{count.macs / 1e9:10.1f}{count.moved_bytes / 1e9:10.1f}"
            f"{count.operations:12,}{count.step_bytes / 1e9:15.2f}"
        )
    lines += ["", f"{'assumed':42}{'fast or low':>14}{'slow or high':>14}"]
    lines += [f"  {name:40}{low:14.3g}{high:14.3g}" for name, (low, high) in ASSUMED.items()]
    several = max(count.trained for count in counts.values())
    lines += [
        f"  weights, gradients, Adam: 4 + 4 + 8 bytes for each trained weight; several GPUs hold"
        f" gradients twice (+{4 * several / 1e9:.2f} GB)",
        "",
        f"{'from the data sheets':22}{'GB':>4}{'GB/s':>8}{'link GB/s':>11}{'TFLOP/s: conv.':>16}"
        f"{'products':>10}{'half':>7}",
    ]
    for on in DEVICES:
        lines.append(
            f"  {on.name:20}{on.memory / 1e9:4.0f}{on.bandwidth / 1e9:8.0f}{on.link / 1e9:11.0f}"
            f"{on.fp32[0] / 1e12:16.1f}{on.fp32[1] / 1e12:10.1f}{on.half / 1e12:7.0f}  {on.source}"
        )
    lines += [
        "  fp32 convolutions of A100 and H100 run as TF32 (PyTorch's default), matrix products do not",
        "",
        f"{'derived, one GPU':22}{'memory, GB':>14}{'':16}{'s for a step of ' + _last(counts):>26}",
    ]
    for on in DEVICES:
        (low, high), (fast, slow) = (
            worst(counts),
            step_seconds(counts[_last(counts)], on, precision),
        )
        lines.append(
            f"  {on.name:20}{low / 1e9:6.1f} to {high / 1e9:4.1f}  {verdict(worst(counts), on):14}"
            f"{fast:14.3f} to {slow:.3f}"
        )
    lines += ["", f"{'derived, hours in all':22}" + "".join(f"{f'{n} GPU':>16}" for n in GPUS)]
    for on in DEVICES:
        cells = []
        for gpus in GPUS:
            fast, slow = training_seconds(preset, counts, on, precision, gpus)["total"]
            cells.append(f"{f'{fast / 3600:.1f} to {slow / 3600:.1f}':>16}")
        lines.append(f"  {on.name:20}" + "".join(cells))
    return "\n".join(lines)


def _last(counts: Counts) -> str:
    return list(counts)[-1]
