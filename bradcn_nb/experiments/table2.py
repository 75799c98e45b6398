"""Table II at mini's size, and the oracles that the paper lacks: what do depth and its error bring?

Every arm trains the same Render Net from the same start, for the same steps, on the same pictures; arms
differ in the maps that enter Eq. 1 and Eq. 3. The question, fixed before the first run: does what ADCN's
map *says* help? `full` differs from `shuffled` in nothing but whose map it is, so

    the test is full - shuffled, PSNR of val294, mean over 5 seeds and 80 pictures,
    and the answer is yes if its 95 % interval (seeds and pictures drawn anew) lies above 0.

All other comparisons describe; they are listed in COMPARISONS and reported whatever comes out.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bradcn_nb.errors import BradcnError
from bradcn_nb.experiments.record import provenance, write_result
from bradcn_nb.experiments.runs import Task, check_data, mini_arm, run_all
from bradcn_nb.experiments.statistics import crossed_interval
from bradcn_nb.presets import Preset, Stage, data_root

L1_EPOCHS, MS_SSIM_EPOCHS = 2, 1  # of 3300 pairs, batch 4: 1650 and 825 steps
RATE = 5e-4
METRICS = ("psnr", "ssim")


@dataclass(frozen=True)
class Arm:
    """One row of the table. `depth`, `error`: whose map is Do and De, None for no branch.

    "net" is the model's own depth net, trained along; other names are those of `maps.make_maps`.
    """

    title: str
    depth: str | None = "predicted"
    error: str | None = None
    use: str = "add"
    ms_ssim: bool = True


ARMS: dict[str, Arm] = {
    "render": Arm("Render Net only", depth=None),
    "depth": Arm("+ predicted depth"),
    "full": Arm("+ predicted depth + ADCN's error map", error="adcn"),
    "shuffled": Arm("+ predicted depth + ADCN's map of another picture", error="shuffled"),
    "constant": Arm("+ predicted depth + a constant error map", error="constant"),
    "capacity": Arm("+ predicted depth twice: the parameters alone", error="predicted"),
    "true-error": Arm("+ predicted depth + true error", error="error"),
    "true-depth": Arm("+ true depth", depth="true"),
    "dioptre-error": Arm("+ predicted depth + true error in 1/m", error="dioptre"),
    "signed-error": Arm("+ predicted depth + true error with its sign", error="signed"),
    "gate": Arm("predicted depth, gated by ADCN's map", error="adcn", use="gate"),
    "gate-shuffled": Arm("predicted depth, gated by another's", error="shuffled", use="gate"),
    "gate-true": Arm("predicted depth, gated by the true error", error="error", use="gate"),
    "tuned-depth": Arm("+ depth, fine-tuned", depth="net"),
    "tuned-full": Arm("+ depth, fine-tuned, + ADCN's error map", depth="net", error="adcn"),
    "full-l1": Arm("as full, L1 to the end", error="adcn", ms_ssim=False),
}

# a - b; the first is the test.
COMPARISONS = (
    ("full", "shuffled"),
    ("depth", "render"),
    ("full", "depth"),
    ("full", "render"),
    ("full", "capacity"),
    ("full", "constant"),
    ("true-error", "shuffled"),
    ("true-depth", "depth"),
    ("dioptre-error", "shuffled"),
    ("signed-error", "shuffled"),
    ("gate", "gate-shuffled"),
    ("gate", "depth"),
    ("gate-true", "depth"),
    ("tuned-depth", "depth"),
    ("tuned-full", "full"),
    ("tuned-full", "tuned-depth"),
    ("full", "full-l1"),
)


def arm_preset(arm: Arm, seed: int) -> Preset:
    """Return what trains an arm: the two phases of stage 2 (Section IV-B), shortened."""
    branches = tuple(
        name for name, source in (("depth", arm.depth), ("error", arm.error)) if source
    )
    frozen = ("adcn",) if arm.depth == "net" else ("adcn", "depth_net")
    given = (None if arm.depth == "net" else arm.depth, arm.error)
    common = {"batch": 4, "frozen": frozen, "schedule": "cosine", "given": given}
    stages = (
        Stage("stage2a", "bradcn", "ebb", L1_EPOCHS, RATE, **common),
        Stage(
            "stage2b",
            "bradcn",
            "ebb",
            MS_SSIM_EPOCHS,
            RATE / 2,
            ms_ssim=float(arm.ms_ssim),
            **common,
        ),
    )
    return mini_arm({"branches": branches, "error_use": arm.use}, stages, seed)


def run(
    data: Path, runs: Path, arms: Sequence[str] | None, seeds: int, jobs: int, progress: bool
) -> Path:
    """Train and judge the `arms` (None: all) with seeds 0..seeds-1; return the result's file.

    After every training `data/results/table2.json` (means and comparisons) and `table2-images.json`
    (each picture's values) are written; trainings that they hold already are not repeated. Raises
    BradcnError for an unknown arm and DataError where `data` lacks pairs or maps.
    """
    chosen = list(ARMS) if arms is None else list(arms)
    if unknown := set(chosen) - set(ARMS):
        raise BradcnError(f"unknown arms {sorted(unknown)}: choose from {', '.join(ARMS)}")
    ebb, maps = check_data(data)
    start = time.monotonic()
    kept = _kept()
    # Seed by seed: whenever it is stopped, the arms can be compared.
    tasks = [
        Task(name, seed, arm_preset(ARMS[name], seed), ebb, maps, runs / name / f"seed-{seed}")
        for seed in range(seeds)
        for name in chosen
    ]
    path = None
    for record in run_all(tasks, kept, jobs, progress):
        kept[f"{record['arm']}/{record['seed']}"] = record
        write_result("table2-images", kept, indent=None)
        path = write_result("table2", {**summary(kept), "made": provenance(start)})
    return path


def _kept() -> dict[str, Any]:
    path = data_root() / "results" / "table2-images.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def summary(records: dict[str, Any]) -> dict[str, Any]:
    """Return means per arm and the comparisons, from the records of `runs.run_all` by "ARM/SEED".

    A comparison takes the seeds that both arms have; with fewer than two there is none.
    """
    by_arm: dict[str, dict[int, dict]] = {}
    for record in records.values():
        by_arm.setdefault(record["arm"], {})[record["seed"]] = record
    arms = {}
    for name, arm in ARMS.items():
        if name not in by_arm:
            continue
        own = by_arm[name]
        arms[name] = {
            "title": arm.title,
            "seeds": sorted(own),
            "parameters": next(iter(own.values()))["parameters"],
            **{metric: float(np.mean([own[s][metric] for s in own])) for metric in METRICS},
            "seconds": sum(own[s]["seconds"] for s in own),
        }
    differences = {}
    for a, b in COMPARISONS:
        seeds = sorted(set(by_arm.get(a, ())) & set(by_arm.get(b, ())))
        if len(seeds) > 1:
            differences[f"{a} - {b}"] = {
                metric: crossed_interval(
                    np.array([by_arm[a][s][metric] for s in seeds]),
                    np.array([by_arm[b][s][metric] for s in seeds]),
                )._asdict()
                for metric in METRICS
            } | {"seeds": seeds}
    return {
        "protocol": "val294",
        "preset": "mini",
        "epochs": [L1_EPOCHS, MS_SSIM_EPOCHS],
        "arms": arms,
        "differences": differences,
    }
