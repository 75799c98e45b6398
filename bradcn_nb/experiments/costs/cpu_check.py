"""`estimate`'s method held against the one thing that can be measured without a GPU: a step on this CPU.

Predicted is how long a step's counted MACs would take at the rate of this CPU's best matrix product;
measured is the step. Both in seconds that the process had the CPU (all threads together), so that
other programs on the machine do not count. Products are timed before, between and after the steps.
"""

import json
import subprocess
import sys
import time
from statistics import median
from typing import Any

import torch
from tqdm import tqdm

from bradcn_nb.errors import BradcnError, DataError
from bradcn_nb.experiments.costs.bench import STATUS
from bradcn_nb.experiments.costs.step_counts import Counts, key
from bradcn_nb.experiments.costs.turns import cpu_name, take_turns
from bradcn_nb.files import data_root, write_atomically
from bradcn_nb.presets import preset
from bradcn_nb.training.run import commit, versions

PRESET, STAGE = "paper", "stage2a"  # what `bench.training_step` runs
PRODUCTS = (2048, 3072)  # rows and columns of the matrices
REPEATS = 3


def product_rate() -> float:
    """Return the FLOPs that a matrix product does in a second of CPU time, the best of some."""
    rates = []
    for size in PRODUCTS:
        left, right, out = torch.rand(3, size, size)
        torch.mm(left, right, out=out)
        seconds: dict[str, list[float]] = {"product": []}
        program = {"product": lambda a=left, b=right, c=out: torch.mm(a, b, out=c)}
        take_turns(program, REPEATS, seconds, clock=time.process_time)
        rates.append(2 * size**3 / min(seconds["product"]))
    return max(rates)


def measure(progress: bool = True) -> dict[str, Any]:
    """Time products and one training step at full size, without and with checkpointing; plain JSON.

    Takes minutes and 10 GB; each step runs in a process of its own, whose peak memory is its own, too.
    Raises BradcnError where memory cannot be read or a step fails.
    """
    if not STATUS.is_file():
        raise BradcnError(f"peak memory is read from {STATUS}, as Linux has it: run this on Linux")
    rates, steps = [product_rate()], {}
    for on in tqdm((False, True), desc="steps", unit="step", disable=not progress):
        code = (
            "import json, torch; from bradcn_nb.experiments.costs.bench import training_step; "
            f"torch.set_num_threads({torch.get_num_threads()}); "
            f"print(json.dumps(training_step({PRESET!r}, {on})))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["no message; was it out of memory?"])[-1]
            raise BradcnError(f"a step ended with status {done.returncode}: {said}")
        steps["on" if on else "off"] = json.loads(done.stdout.splitlines()[-1])
        rates.append(product_rate())
    return {
        "cpu": cpu_name(),
        "threads": torch.get_num_threads(),
        "product_flops": median(rates),
        "product_flops_range": [min(rates), max(rates)],
        "steps": steps,
        "made": {"commit": commit(), "versions": versions()},
    }


def keep(measured: dict[str, Any]) -> None:
    """Write what `measure` found to `data/results/cpu-step.json`, which chapter 16 reads."""
    path = data_root() / "results" / "cpu-step.json"
    write_atomically(path, (json.dumps(measured, indent=1) + "\n").encode())


def compare(measured: dict[str, Any], stored: dict[str, Counts]) -> list[dict[str, float]]:
    """Set what `measure` found beside the counts of `stored_counts`: a row without, one with checkpointing.

    Times in s of CPU, memory in bytes. Raises DataError for a record of another version.
    """
    rows = []
    try:
        for on, word in ((False, "off"), (True, "on")):
            count = stored[key(preset(PRESET).data.train_size, False, on)][STAGE]
            step = measured["steps"][word]
            predicted = 2 * count.macs / measured["product_flops"]
            rows.append(
                {
                    "checkpointing": on,
                    "gmacs": count.macs / 1e9,
                    "predicted_s": predicted,
                    "measured_s": step["cpu_seconds"],
                    "share_of_peak": predicted / step["cpu_seconds"],
                    "counted_bytes": count.step_bytes,
                    "measured_bytes": step["peak_bytes"],
                }
            )
    except (KeyError, TypeError) as error:
        raise DataError(
            f"cpu-step.json: of another version (no {error}); make it again with "
            "`python -m bradcn_nb estimate --check`"
        ) from None
    return rows


def as_text(measured: dict[str, Any], rows: list[dict[str, float]]) -> str:
    """Return what `compare` found, for people."""
    lines = [
        f"MEASURED: one step of {STAGE}, preset {PRESET}, on {measured['cpu']},"
        f" {measured['threads']} threads; a matrix product does"
        f" {measured['product_flops'] / 1e9:.1f} GFLOP in a second of CPU time",
        "",
        f"{'checkpointing':14}{'GMACs':>9}{'CPU s at that rate':>20}{'CPU s':>9}{'ratio':>7}"
        f"{'GB counted':>13}{'GB measured':>13}{'ratio':>7}",
    ]
    for row in rows:
        lines.append(
            f"{'with' if row['checkpointing'] else 'without':14}{row['gmacs']:9.1f}"
            f"{row['predicted_s']:20.1f}{row['measured_s']:9.1f}"
            f"{row['measured_s'] / row['predicted_s']:7.2f}{row['counted_bytes'] / 1e9:13.2f}"
            f"{row['measured_bytes'] / 1e9:13.2f}{row['measured_bytes'] / row['counted_bytes']:7.2f}"
        )
    return "\n".join(lines)
