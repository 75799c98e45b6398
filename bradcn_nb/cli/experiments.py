"""`experiments`: measure what the book and the README quote."""

import argparse
from pathlib import Path

from bradcn_nb.cli.common import command, natural

NAMES = {  # name: what is measured under it; each writes one file of data/results
    "mini": "the bundled weights on mini-EBB's test pairs",
    "full-size": "scenes at 8 times the size of mini-EBB's",
    "skip": "what each kind of skip could reach at best",
    "real": "any folder of real EBB! pairs (--ebb)",
    "metrics": "what PSNR, SSIM and LPIPS see and overlook (--ebb: on real pairs, too)",
    "cost": "weights, multiply-accumulates and time of Table I's methods",
    "maps": "depth and error maps of RUNS/data, which table2 trains on (minutes)",
    "errors": "how good ADCN's error map is, in domain and out of it (after maps; minutes)",
    "rooms": "maps of one pair, from a depth net that knows rooms only (after maps)",
    "table1": "BRADCN beside the other methods (hours; goes on where it stopped)",
    "table2": "the ablation and its oracles (likewise)",
    "remedy": "a calibration that learns from pairs, its controls and oracles (hours; likewise)",
    "defocus": "how well its maps foretell blur, and its pictures (after remedy; minutes)",
    "summaries": "the tables' means and intervals again, from their records",
    "table1-pictures": "what the nets of table1 draw on three pictures, as far as they are trained",
    "motorcycle": "a real photograph with measured depth; also the nets of both tables, if trained",
    "readme-pictures": "the README's two pictures, from the bundled weights",
    "bundled-weights": "data/weights: the weights, logs and samples of the training RUNS/mini",
    "cards": "what the bundled weights and data are, and are not for: cards for those who publish",
    "defocus-weights": "data/weights: the net that foretells blur, the remedy's seed 0",
}


def name(text: str) -> str:
    """Read the name of an experiment; raises argparse's error for an unknown one."""
    if text not in NAMES:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(NAMES)}")
    return text


def add(group) -> None:
    """Add the command to `group`."""
    parser = command(
        group,
        "experiments",
        run_experiments,
        "Measure what the book and the README quote; each name writes one file of data/results.\n"
        + "\n".join(f"  {key:17}{what}" for key, what in NAMES.items()),
        "  python -m bradcn_nb experiments mini full-size skip\n"
        "  python -m bradcn_nb experiments real --ebb /data/EBB\n"
        "  python -m bradcn_nb experiments maps table2 --jobs 2 --seeds 5\n"
        "  python -m bradcn_nb experiments table1 --arms brvit bradcn --seeds 3",
    )
    parser.add_argument("names", nargs="+", type=name, metavar="NAME", help="of the above")
    parser.add_argument("--ebb", type=Path, metavar="DIR", help="folder of real EBB! pairs")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="DIR", help="trainings; default: runs"
    )
    parser.add_argument(
        "--arms",
        nargs="+",
        metavar="ARM",
        help="rows of a table; default: all; a wrong name lists them",
    )
    parser.add_argument("--seeds", type=natural, default=5, metavar="N", help="default: 5")
    parser.add_argument(
        "--jobs", type=natural, default=2, metavar="N", help="processes; default: 2"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run_experiments(options: argparse.Namespace) -> None:
    """Handle `experiments`: run them in the order given and print each file that is written."""
    import signal

    from bradcn_nb.experiments.catalogue import run

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no process is left behind
    try:
        for chosen in options.names:
            print(run(chosen, options))
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped; the same command goes on") from None
