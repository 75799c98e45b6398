"""`summary`: what the nets cost."""

import argparse

from bradcn_nb.cli.common import command, picture_size
from bradcn_nb.presets import PRESETS, preset


def add(group) -> None:
    """Add the command to `group`."""
    parser = command(
        group,
        "summary",
        summarise,
        "Tell what the nets cost: parameters, GMACs, memory for activations, shapes.\n"
        "Counted on tensors without memory, batch 1, fp32: seconds, and no weights are needed.",
        "  python -m bradcn_nb summary\n"
        "  python -m bradcn_nb summary --preset mini --size 480,320\n"
        "  python -m bradcn_nb summary --json > summary.json",
    )
    parser.add_argument("--preset", choices=PRESETS, default="paper", help="default: paper")
    parser.add_argument(
        "--size", type=picture_size, metavar="W,H", help="pixels; default: the preset's in training"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, nothing else")


def summarise(options: argparse.Namespace) -> None:
    """Handle `summary`."""
    import json

    from bradcn_nb.experiments.costs.summary import as_json, as_text, summarise

    chosen = preset(options.preset)
    size = options.size or chosen.data.train_size
    nets = summarise(chosen, size)
    if options.json:
        print(json.dumps(as_json(chosen, size, nets)))
    else:
        print(as_text(chosen, size, nets))
