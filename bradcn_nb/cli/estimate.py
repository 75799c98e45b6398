"""`estimate`: what training would take on GPUs."""

import argparse

from bradcn_nb.cli.common import command
from bradcn_nb.presets import preset


def add(group) -> None:
    """Add the command to `group`."""
    parser = command(
        group,
        "estimate",
        run_estimate,
        "Estimate time and memory of the paper's training on T4, V100, A100 and H100, 1 to 8 "
        "of them.\n"
        "Derived from counted MACs and bytes, data sheets and assumptions; nothing of it is "
        "measured.",
        "  python -m bradcn_nb estimate\n"
        "  python -m bradcn_nb estimate --precision half --checkpointing",
    )
    parser.add_argument("--preset", choices=("paper", "colab"), default="paper")
    parser.add_argument(
        "--precision", choices=("fp32", "half"), default="fp32", help="half: fp16 or bf16"
    )
    parser.add_argument("--checkpointing", action="store_true", help="recompute activations")
    parser.add_argument(
        "--recount", action="store_true", help="count again what data/results keeps (minutes)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run_estimate(options: argparse.Namespace) -> None:
    """Handle `estimate`."""
    from bradcn_nb.experiments.costs import estimate, step_counts

    if options.recount:
        print(step_counts.recount(not options.quiet))
        return
    chosen, half = preset(options.preset), options.precision == "half"
    way = step_counts.key(chosen.data.train_size, half, options.checkpointing)
    print(estimate.as_text(chosen, options.precision, step_counts.stored_counts()[way]))
