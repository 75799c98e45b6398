"""How good is ADCN's error map, where it was taught and elsewhere? The paper shows no number.

Three sets, each with the label of Eq. 2 for every pixel:

    rooms            mini-SUN's test frames: home of both nets
    outdoor          mini-EBB's test pairs: home of the depth net, not of the ADCN, as in stage 2
    outdoor-taught   the same pairs: unknown to the depth net of `rooms`, home of its ADCN

Outdoors three pixels of ten are farther than any depth net of ours can say, and their truth is cut
to that reach. Nets that say "far" are right there by rule. So both outdoor sets, and the
corrections, come a second time without these pixels, as `...-within-reach`.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from bradcn_nb.data import EBB_SPLITS, MapStack
from bradcn_nb.evaluation.error_maps import calibration_curve, sparsification
from bradcn_nb.evaluation.intervals import mean_interval, paired_interval
from bradcn_nb.experiments.pooled import DIGITS, DRAWS, judged
from bradcn_nb.experiments.rooms import CLOSEST_M
from bradcn_nb.experiments.runs import check_data
from bradcn_nb.models import BRADCN, load_depth_net
from bradcn_nb.presets import preset
from bradcn_nb.training.stages import sun_set

BATCH = 20
EVERY = 5  # of a sparsification curve's hundred points one is written
REACH_M = 1 / preset("mini").model.depth_shift
MARGIN_M = 0.01  # below the reach, because maps have 16 bits


@dataclass(frozen=True)
class Labelled:
    """Predicted depth, predicted error and true error of pictures, all (n, h, w) in metres.

    `taught`: the mean and the median of the true errors that ADCN has learned from. An L1 loss
    learns medians, and mean errors are what calibration asks for, so either is a rival.
    """

    depth: np.ndarray
    adcn: np.ndarray
    true: np.ndarray
    mask: np.ndarray
    taught: tuple[float, float]

    def predictors(self) -> dict[str, np.ndarray]:
        """Return what predicts the error: ADCN, two constants, and the depth ("far is wrong")."""
        mean, median = (np.full_like(self.true, constant) for constant in self.taught)
        return {"adcn": self.adcn, "mean": mean, "median": median, "depth": self.depth}


@torch.inference_mode()
def in_rooms(model: BRADCN, progress: bool) -> Labelled:
    """Return mini-SUN's test frames, judged by the bundled depth net and the ADCN of `model`."""
    chosen, depth_net = preset("mini"), load_depth_net()
    gathered: dict[str, list[list[np.ndarray]]] = {"train": [], "test": []}
    for split, parts in gathered.items():
        frames = sun_set(chosen, split, None)
        for first in tqdm(range(0, len(frames), BATCH), f"rooms, {split}", disable=not progress):
            items = [frames[k] for k in range(first, min(first + BATCH, len(frames)))]
            image, depth, mask = (
                torch.stack([item[key] for item in items]) for key in ("image", "depth", "mask")
            )
            predicted = depth_net(image)
            error = model.adcn(image) if split == "test" else predicted
            maps = (predicted, error, (predicted - depth).abs(), mask)
            parts.append([map_[:, 0].numpy() for map_ in maps])
    _, _, error, known = map(np.concatenate, zip(*gathered["train"], strict=True))
    test = map(np.concatenate, zip(*gathered["test"], strict=True))
    return Labelled(*test, constants(error[known]))


def outdoors(maps: Path, names: tuple[str, str], taught: tuple[float, float] | None) -> Labelled:
    """Return mini-EBB's test pairs from stacks below `maps`; `names` are those of Do and De.

    Without `taught` ADCN has learned from the errors of the training pairs.
    """
    depth, adcn = (stack(maps, name) for name in names)
    true = np.abs(depth - stack(maps, "true"))
    taught = taught or constants(
        np.abs(stack(maps, names[0], "train") - stack(maps, "true", "train"))
    )
    return Labelled(depth, adcn, true, np.ones_like(true, bool), taught)


def stack(maps: Path, name: str, split: str = "test") -> np.ndarray:
    """Return the maps of a split's pairs, (n, h, w) float32; raises DataError as `MapStack`."""
    stack = MapStack(maps, name)
    rows = [row for number, row in stack.rows.items() if number in EBB_SPLITS[split]]
    return stack.maps[rows].astype(np.float32)


def within_reach(maps: Path) -> np.ndarray:
    """Return where the test pairs' true depth is one that a depth net can say, (n, h, w) bool."""
    return stack(maps, "true") < REACH_M - MARGIN_M


def constants(error: np.ndarray) -> tuple[float, float]:
    """Return mean and median of true errors in metres."""
    return float(error.mean(dtype=np.float64)), float(np.median(error))


def described(labelled: Labelled, progress: bool) -> dict[str, Any]:
    """Return a set's numbers with intervals, and its curves, for JSON.

    Of the depth as a predictor of its own error the order alone means anything: metres of distance
    are not metres of error.
    """
    predictors = labelled.predictors()
    measures, differences = judged(predictors, labelled.true, labelled.mask, "adcn", progress)
    for numbers in (measures["depth"], differences["adcn - depth"]):
        del numbers["mae"], numbers["miscalibration"]
    curve = calibration_curve(labelled.adcn, labelled.true, labelled.mask)
    curves = {
        k: sparsification(predictors[k], labelled.true, labelled.mask) for k in ("adcn", "depth")
    }
    lines = {"removed": curves["adcn"].removed, "oracle": curves["adcn"].oracle}
    lines |= {name: one.remaining for name, one in curves.items()}
    return {
        "pictures": len(labelled.mask),
        "pixels": int(labelled.mask.sum()),
        "mean_error": round(float(labelled.true[labelled.mask].mean(dtype=np.float64)), DIGITS),
        "constants": dict(zip(("mean", "median"), labelled.taught, strict=True)),
        "measures": measures,
        "differences": differences,
        "calibration": {k: v.round(DIGITS).tolist() for k, v in curve._asdict().items()},
        "sparsification": {k: v[::EVERY].round(DIGITS).tolist() for k, v in lines.items()},
    }


def corrections(maps: Path, mask: np.ndarray) -> dict[str, Any]:
    """Return the mean absolute error of depth in m and 1/m, before and after a signed De is added.

    `rooms`: Do of the depth net that knows rooms. `corrected`: + the signed ADCN's De. Its
    controls: `shifted`, + the mean of what it was taught; `shuffled`, + De of another picture.
    `predicted`: Do of the bundled depth net, which knows outdoor scenes. Means inside of `mask` per
    picture, then over the pictures, as the intervals.
    """
    true, rooms = stack(maps, "true"), stack(maps, "rooms")
    taught = stack(maps, "true", "train") - stack(maps, "rooms", "train")
    depths = {"predicted": stack(maps, "predicted"), "rooms": rooms}
    for name, error in (
        ("corrected", stack(maps, "rooms-signed")),
        ("shifted", taught.mean(dtype=np.float64)),
        ("shuffled", stack(maps, "rooms-shuffled")),
    ):
        depths[name] = np.clip(rooms + error, CLOSEST_M, REACH_M)
    off = {
        name: {
            "m": np.abs(depth - true).mean((1, 2), np.float64, where=mask),
            "dioptre": np.abs(1 / depth - 1 / true).mean((1, 2), np.float64, where=mask),
        }
        for name, depth in depths.items()
    }
    return {
        "pictures": len(true),
        "depths": {
            name: {unit: mean_interval(values)._asdict() for unit, values in both.items()}
            for name, both in off.items()
        },
        "differences": {
            f"corrected - {name}": {
                unit: paired_interval(values, off[name][unit])._asdict()
                for unit, values in off["corrected"].items()
            }
            for name in off
            if name != "corrected"
        },
    }


def errors(model: BRADCN, options: argparse.Namespace) -> dict[str, Any]:
    """Judge error maps on the three sets of this module, and what a signed one makes of the depth.

    Measures of `calibration.quality` in metres and parts, pixels pooled, 95 % intervals over
    pictures. Raises DataError, with the remedy, where `options.runs` holds no maps.
    """
    _, maps = check_data(options.runs / "data")
    progress = not options.quiet
    rooms = in_rooms(model, progress)
    sets = {
        "outdoor": outdoors(maps, ("predicted", "adcn"), rooms.taught),
        "outdoor-taught": outdoors(maps, ("rooms", "rooms-absolute"), None),
    }
    near = within_reach(maps)
    sets |= {
        f"{name}-within-reach": replace(labelled, mask=near) for name, labelled in sets.items()
    }
    return {
        "preset": "mini",
        "draws": DRAWS,
        "sets": {
            name: described(labelled, progress)
            for name, labelled in ({"rooms": rooms} | sets).items()
        },
        "correction": corrections(maps, np.ones_like(near)),
        "correction-within-reach": corrections(maps, near),
    }
