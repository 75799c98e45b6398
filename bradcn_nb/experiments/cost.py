"""What each method of Table I costs: weights, multiply-accumulates, and time for one picture."""

import argparse
import statistics
from typing import Any

import torch

from bradcn_nb.experiments.costs.summary import count_macs
from bradcn_nb.experiments.costs.turns import cpu_name, take_turns
from bradcn_nb.experiments.table1 import BRADCN as OURS
from bradcn_nb.experiments.table1 import TITLES
from bradcn_nb.models import BRADCN, baselines
from bradcn_nb.models.inference import for_inference
from bradcn_nb.presets import preset

ROUNDS = 15


@torch.inference_mode()
def cost(model: BRADCN, options: argparse.Namespace) -> dict[str, Any]:
    """Per method: `parameters` (all, frozen ones included), `gmacs` and `ms` of one picture.

    At mini's training size, on one thread, all methods in turns; `ms` is the median, and `ratio`
    the median over the rounds of the time over BRADCN's in the same round. Weights do not matter
    here: the baselines' are random. The lens renderer's loops are no products, so `gmacs` of
    "classical" is its depth net's.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    height, width = preset("mini").data.train_size
    image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    nets = {name: baselines.build(name).eval() for name in TITLES if name != OURS} | {OURS: model}
    rows = {
        name: {
            "title": TITLES[name],
            "parameters": sum(weight.numel() for weight in net.parameters()),
            "gmacs": count_macs(net, image) / 1e9,
        }
        for name, net in nets.items()
    }
    fast = {name: for_inference(net) for name, net in nets.items()}
    programs = {name: (lambda net=net: net(image)) for name, net in fast.items()}
    take_turns(programs, 2, {name: [] for name in programs})  # the first calls set things up
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    take_turns(programs, ROUNDS, seconds, title="cost", progress=not options.quiet)
    torch.set_num_threads(threads)
    for name, row in rows.items():
        row["ms"] = 1000 * statistics.median(seconds[name])
        pairs = zip(seconds[name], seconds[OURS], strict=True)
        row["ratio"] = statistics.median(own / ours for own, ours in pairs)
    return {"methods": rows, "size": [height, width], "rounds": ROUNDS, "cpu": cpu_name()}
