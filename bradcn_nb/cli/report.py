"""`report`: the curves of a run."""

import argparse
from pathlib import Path

from bradcn_nb.cli.common import command


def add(group) -> None:
    """Add the command to `group`."""
    parser = command(
        group,
        "report",
        report,
        "Draw a run's curves to a PNG and say how far it is; the run may still be going on.\n"
        "Loss (each step faint, their mean strong), check score and learning rate, a row a stage.",
        "  python -m bradcn_nb report runs/mini\n"
        "  python -m bradcn_nb report data/weights/logs --out /tmp/report",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory, or folder of logs")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: RUN/report")


def report(options: argparse.Namespace) -> None:
    """Handle `report`."""
    from bradcn_nb.figures.curves import write_report

    text, path = write_report(options.run, options.out)
    print(f"{text}\n\ncurves: {path}")
