"""What Table I's nets draw: three test pictures that a rule chose, not we.

The rule: sort the test pictures by BRADCN minus BRViT in PSNR, the mean over the table's seeds, and
take the first, the middle one and the last.
"""

import argparse
from itertools import combinations
from typing import Any

import numpy as np
import torch

from bradcn_nb.data import EBB
from bradcn_nb.errors import DataError
from bradcn_nb.evaluation.metrics import psnr, val294
from bradcn_nb.evaluation.predict import shrunk
from bradcn_nb.experiments.record import write_figure
from bradcn_nb.experiments.table1 import BRADCN as OURS
from bradcn_nb.experiments.table1 import TABLE1
from bradcn_nb.experiments.trained import at_hand, finished
from bradcn_nb.figures.plots import grid
from bradcn_nb.files import data_root
from bradcn_nb.models import BRADCN
from bradcn_nb.presets import preset

RIVAL = "brvit-skip"  # the same Render Net, wider, without depth
SHOWN = (OURS, RIVAL, "dmshn-skip", "stacked-dmshn-skip", "skn-skip", "dbsi")
SEED = 0


def chosen_pairs(records: dict[str, Any]) -> list[int]:
    """Return three of the test pairs' numbers: BRADCN's best against BRViT, the middle, its worst.

    Raises DataError unless the table's records have a seed of both.
    """
    both = [
        np.array([record["psnr"] for record in records.values() if record["arm"] == arm])
        for arm in (OURS, RIVAL)
    ]
    if not all(map(len, both)):
        raise DataError(
            f"table1 has no training of {OURS} or {RIVAL} yet: "
            f"run `python -m bradcn_nb experiments table1 --arms {OURS} {RIVAL}`"
        )
    order = np.argsort(both[1].mean(0) - both[0].mean(0), kind="stable")
    ids = next(iter(records.values()))["id"]  # the same for all
    return [ids[order[place]] for place in (0, len(order) // 2, -1)]


@torch.inference_mode()
def table1_pictures(model: BRADCN, options: argparse.Namespace) -> dict[str, Any]:
    """Draw the chosen pairs with the nets of seed 0 below `options.runs`; write
    table1-pictures.jpg.

    Returns the pairs' numbers, each method's PSNR (dB) on them by val294, and the mean PSNR of one
    net's picture against another's (None with fewer than two). Raises DataError where the table has
    no records, or `options.runs` no nets.
    """
    numbers, test = chosen_pairs(TABLE1.kept()), EBB(data_root() / "mini-ebb", "test")
    items = [test.read(index) for index, pair in enumerate(test.pairs) if pair[0] in numbers]
    items.sort(key=lambda item: numbers.index(int(item["id"])))
    size = preset("mini").data.train_size
    small = torch.cat([shrunk(item["image"], size) for item in items])
    maps = {"adcn": model.adcn(small)}
    first = (one for one in finished(TABLE1, options.runs, SHOWN) if one.seed == SEED)
    nets = at_hand(first, options.runs, "table1-pictures")
    drawn = {one.arm: one.draw(small, maps) for one in nets}
    panels, titles, scores, alike = [], [], {arm: [] for arm in drawn}, []
    for row, item in enumerate(items):
        panels += [item["image"], item["bokeh"]]
        titles += ["input", "truth"]
        for arm, pictures in drawn.items():
            panels.append(val294(pictures[row : row + 1], *item["bokeh"].shape[:2]))
            scores[arm].append(round(psnr(item["bokeh"], panels[-1]), 2))
            title = TABLE1.titles[arm].removesuffix(", input mixed in")
            titles.append(f"{title}, {scores[arm][-1]:.1f} dB")
        alike += [psnr(a, b) for a, b in combinations(panels[-len(drawn) :], 2)]
    write_figure("table1-pictures", grid(panels, titles, columns=4))
    between = float(np.mean(alike)) if alike else None
    return {"pairs": numbers, "seed": SEED, "psnr": scores, "psnr_between_nets": between}
