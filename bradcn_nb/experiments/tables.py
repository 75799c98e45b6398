"""A table: its arms, how each is trained, which are compared, and the two files that hold its
results.
"""

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bradcn_nb.errors import BradcnError
from bradcn_nb.evaluation.intervals import comparisons
from bradcn_nb.evaluation.metrics import Protocol
from bradcn_nb.experiments.maps import ROOMS_MADE_OF
from bradcn_nb.experiments.record import provenance, result, write_result
from bradcn_nb.experiments.runs import Task, check_data, run_all
from bradcn_nb.files import data_root
from bradcn_nb.presets import Preset, Stage

L1_EPOCHS, MS_SSIM_EPOCHS = 1, 1  # of 3300 pairs, batch 4: 825 steps each, 5 minutes on one core
RATE, BATCH = 5e-4, 4
METRICS = Protocol().metrics


def two_phases(net: str, ms_ssim: bool = True, **common: Any) -> tuple[Stage, Stage]:
    """Return stage 2's two phases (Section IV-B), shortened: the budget of every arm of both
    tables.
    """
    common |= {"batch": BATCH, "schedule": "cosine"}
    return (
        Stage("stage2a", net, "ebb", L1_EPOCHS, RATE, **common),
        Stage("stage2b", net, "ebb", MS_SSIM_EPOCHS, RATE / 2, ms_ssim=float(ms_ssim), **common),
    )


def records_of(name: str) -> dict[str, Any]:
    """Return the records of table `name`, by "ARM/SEED"; an empty dict if there are none."""
    path = data_root() / "results" / f"{name}-images.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


@dataclass(frozen=True)
class Table:
    """The arms of a table and how they are compared.

    * `titles`: an arm's name -> its row's title;
    * `preset_of(arm, seed)`: what trains it; None where its records come from elsewhere;
    * `comparisons`: pairs (a, b) of arms whose difference a - b is reported;
    * `beside`: another table's name -> those of its arms that are shown and compared, too;
    * `maps`: the file that is written when the maps that the arms are given are done.
    """

    name: str
    titles: Mapping[str, str]
    preset_of: Callable[[str, int], Preset | None]
    comparisons: Sequence[tuple[str, str]]
    beside: Mapping[str, Collection[str]] = field(default_factory=dict)
    maps: str = ROOMS_MADE_OF

    def run(
        self,
        data: Path,
        runs: Path,
        arms: Sequence[str] | None,
        seeds: int,
        jobs: int,
        progress: bool,
    ) -> Path:
        """Train and judge the `arms` (None: all) with seeds 0..seeds-1; return the result's file.

        After every training `data/results/NAME.json` (means and comparisons) and `NAME-images.json`
        (each picture's values) are written; trainings that they hold already are not repeated.
        Raises BradcnError for an unknown arm and DataError where `data` lacks pairs or maps.
        """
        chosen = list(self.titles) if arms is None else list(arms)
        if unknown := set(chosen) - set(self.titles):
            known = ", ".join(self.titles)
            raise BradcnError(f"{self.name} has no arms {sorted(unknown)}: choose from {known}")
        ebb, maps = check_data(data, self.maps)
        start, kept = time.monotonic(), self.kept()
        # Seed by seed: whenever it is stopped, the arms can be compared.
        tasks = [
            Task(arm, seed, trains, ebb, maps, runs / arm / f"seed-{seed}")
            for seed in range(seeds)
            for arm in chosen
            if (trains := self.preset_of(arm, seed))
        ]
        for record in run_all(tasks, kept, jobs, progress):
            kept[f"{record['arm']}/{record['seed']}"] = record
            write_result(f"{self.name}-images", kept, indent=None)
            path = write_result(self.name, {**self.summary(kept), "made": provenance(start)})
        return path

    def summarise(self) -> Path:
        """Make `data/results/NAME.json` again from the records, without training; return it."""
        path = data_root() / "results" / f"{self.name}.json"
        made = json.loads(path.read_text("utf-8"))["made"] if path.is_file() else {}
        return write_result(self.name, {**self.summary(self.kept()), "made": made})

    def kept(self) -> dict[str, Any]:
        """Return the records of finished trainings, by "ARM/SEED"; an empty dict if there are
        none."""
        return records_of(self.name)

    def summary(self, records: Mapping[str, Any]) -> dict[str, Any]:
        """Return means per arm and the comparisons, from `records` by "ARM/SEED".

        A comparison takes the seeds that both arms have; with fewer than two there is none.
        """
        titles = dict(self.titles)
        for name, borrowed in self.beside.items():
            own = {key: r for key, r in records_of(name).items() if r["arm"] in borrowed}
            records = {**own, **records}
            there = {record["arm"] for record in own.values()}
            titles |= {arm: result(f"{name}.arms.{arm}.title") for arm in borrowed if arm in there}
        by_arm: dict[str, dict[int, dict]] = {}
        for record in records.values():
            by_arm.setdefault(record["arm"], {})[record["seed"]] = record
        arms = {}
        for name in filter(by_arm.__contains__, titles):
            own = by_arm[name]
            arms[name] = {
                "title": titles[name],
                "seeds": sorted(own),
                "parameters": next(iter(own.values()))["parameters"],
                **{metric: float(np.mean([own[s][metric] for s in own])) for metric in METRICS},
                "psnr_by_seed": [float(np.mean(own[s]["psnr"])) for s in sorted(own)],
                "seconds": sum(own[s]["seconds"] for s in own),
            }
        differences = {
            f"{a} - {b}": {
                **{metric: interval._asdict() for metric, interval in compared.intervals.items()},
                "seeds": compared.seeds,
            }
            for (a, b), compared in comparisons(records, self.comparisons, METRICS).items()
        }
        return {
            "protocol": "val294",
            "preset": "mini",
            "epochs": [L1_EPOCHS, MS_SSIM_EPOCHS],
            "arms": arms,
            "differences": differences,
        }
