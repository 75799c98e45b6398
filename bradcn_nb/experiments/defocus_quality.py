"""How well blur can be foreseen: defocus maps against the scenes' own, and what they draw."""

import argparse
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from bradcn_nb.data import EBB, MapStack
from bradcn_nb.data.maps import UNKNOWN
from bradcn_nb.experiments.maps import PAIRS_MADE_OF
from bradcn_nb.experiments.pooled import judged
from bradcn_nb.experiments.record import write_figure
from bradcn_nb.experiments.remedy import REMEDY, SEEDS
from bradcn_nb.experiments.runs import check_data
from bradcn_nb.experiments.trained import at_hand, finished
from bradcn_nb.figures.plots import grid
from bradcn_nb.models import BRADCN
from bradcn_nb.presets import preset

KEPT = ("mae", "spearman")  # of `Quality`: in % of the height; between -1 and 1
RIVAL = "corrected-classical"  # the same net, corrected without a calibration
SHOWN = ("corrected", RIVAL)


def defocus_quality(model: BRADCN, options: argparse.Namespace) -> dict[str, Any]:
    """Judge the remedy's maps on the test pairs, pixels pooled, intervals over pictures.

    * `labels`: what pairs tell, where they tell it, and how much of the pictures that is;
    * `maps`: the DefocusNet of seed 0, told its depth, another picture's or none; predicted depth
      through the lens; ADCN's error in metres, of which only the rank can be judged;
    * `differences`: the first minus each;
    * `by_seed`: the first line of `maps` for every seed.

    Writes remedy.jpg beside the result. Raises DataError without maps or trained nets.
    """
    ebb, folder = check_data(options.runs / "data", PAIRS_MADE_OF)
    numbers = [number for number, _, _ in EBB(ebb, "test").pairs]

    def stack(name: str) -> np.ndarray:
        maps = MapStack(folder, name)
        return np.stack([maps[number][0] for number in numbers])

    true, labels = stack("true-defocus"), stack("matched")
    told, everywhere = labels != UNKNOWN, np.ones(true.shape, bool)
    names = {"defocus": "defocus-0", "other-depth": "other-depth-0"}
    names |= {"constant-depth": "constant-depth-0", "classical": "classical-defocus"}
    predicted = {key: stack(name) for key, name in (names | {"adcn": "adcn"}).items()}
    shown = not options.quiet
    own, _ = judged({"labels": labels}, true, told, "labels", shown)
    maps, differences = judged(predicted, true, everywhere, "defocus", shown)
    by_seed = [
        judged({"defocus": stack(f"defocus-{seed}")}, true, everywhere, "defocus", False)[0]
        for seed in range(SEEDS)
    ]

    def kept(measures: dict[str, Any]) -> dict[str, Any]:
        return {key: measures[key] for key in KEPT}

    write_figure("remedy", pictures(options))
    return {
        "unit": "% of the picture's height",
        "labels": {**kept(own["labels"]), "share": float(told.mean())},
        "maps": {name: kept(measures) for name, measures in maps.items()},
        "differences": {name: kept(measures) for name, measures in differences.items()},
        "by_seed": [kept(one["defocus"]) for one in by_seed],
        "true_mean": float(true.mean()),
    }


def chosen_pairs(records: dict[str, Any]) -> list[int]:
    """Return three test pairs' places: sorted by `corrected` - RIVAL in PSNR, the mean over the
    seeds, the first, the middle one and the last.
    """
    gains = [
        np.subtract(record["psnr"], records[f"{RIVAL}/{record['seed']}"]["psnr"])
        for record in records.values()
        if record["arm"] == "corrected"
    ]
    order = np.argsort(np.mean(gains, 0))
    return [int(order[-1]), int(order[len(order) // 2]), int(order[0])]


def pictures(options: argparse.Namespace) -> Figure:
    """Return a row for each of the `chosen_pairs`: input, maps, lens, corrected, truth; seed 0."""
    ebb, folder = check_data(options.runs / "data", PAIRS_MADE_OF)
    trainings = finished(REMEDY, options.runs, SHOWN)
    nets = {one.arm: one for one in at_hand(trainings, options.runs, "remedy") if one.seed == 0}
    size = preset("mini").data.train_size
    pairs, panels, titles = EBB(ebb, "test", size), [], []
    named = ("predicted", "defocus-0", "classical-defocus", "true-defocus")
    for place in chosen_pairs(REMEDY.kept()):
        item, number = pairs.load(place), pairs.pairs[place][0]
        image = item["image"][None]
        maps = {n: torch.from_numpy(MapStack(folder, n)[number])[None] for n in named}
        drawn = {arm: nets[arm].draw(image, maps)[0] for arm in SHOWN}
        panels += [image[0], maps["defocus-0"][0], maps["true-defocus"][0]]
        panels += [drawn[RIVAL], drawn["corrected"], item["bokeh"]]
        titles += ["input", "predicted radius", "true radius"]
        titles += ["without calibration", "with it", "truth"]
    largest = max(float(panel.max()) for panel in panels if panel.shape[0] == 1)
    limits = [(0, largest) if panel.shape[0] == 1 else None for panel in panels]
    return grid(panels, titles, columns=3, limits=limits, colourbar=False)
