"""`estimate`: what training would take on other machines."""

import argparse

from bradcn_nb.cli.common import command, natural, picture_size, use_threads
from bradcn_nb.presets import preset


def add(group) -> None:
    """Add the command to `group`."""
    parser = command(
        group,
        "estimate",
        run_estimate,
        "Estimate time and memory of the paper's training on T4, V100, A100 and H100, 1 to 8 of them.\n"
        "Derived from counted MACs and bytes, data sheets and stated assumptions; nothing of it is measured.\n"
        "--check holds the method against a step that it measures on this machine's CPU.",
        "  python -m bradcn_nb estimate\n"
        "  python -m bradcn_nb estimate --precision half --checkpointing\n"
        "  python -m bradcn_nb estimate --preset colab --json > estimate.json\n"
        "  python -m bradcn_nb estimate --check --threads 2",
    )
    parser.add_argument("--preset", choices=("paper", "colab"), default="paper")
    parser.add_argument(
        "--size", type=picture_size, metavar="W,H", help="pixels; default: the preset's in training"
    )
    parser.add_argument(
        "--precision", choices=("fp32", "half"), default="fp32", help="half: fp16 or bf16"
    )
    parser.add_argument("--checkpointing", action="store_true", help="recompute activations")
    parser.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    other = parser.add_mutually_exclusive_group()
    other.add_argument(
        "--check",
        action="store_true",
        help="time a step on this CPU and hold the method against it (minutes, 10 GB)",
    )
    other.add_argument(
        "--recount", action="store_true", help="count again what data/results keeps (minutes)"
    )
    parser.add_argument(
        "--threads", type=natural, metavar="N", help="threads of the CPU, for --check"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run_estimate(options: argparse.Namespace) -> None:
    """Handle `estimate`."""
    import json

    from bradcn_nb.experiments.costs import step_counts
    from bradcn_nb.experiments.costs.estimate_report import as_json, as_text

    chosen = preset(options.preset)
    size = options.size or chosen.data.train_size
    progress = not options.quiet
    if options.recount:
        print(step_counts.recount(progress))
        return
    if options.check:
        from bradcn_nb.experiments.costs import cpu_check

        use_threads(options.threads)
        measured = cpu_check.measure(progress)
        cpu_check.keep(measured)
        print(cpu_check.as_text(measured, cpu_check.compare(measured, step_counts.stored_counts())))
        return
    half = options.precision == "half"
    way = step_counts.key(size, half, options.checkpointing)
    counts = step_counts.stored_counts().get(way) or step_counts.count_all(
        chosen, size, half, options.checkpointing, progress
    )
    told = (chosen, size, options.precision, options.checkpointing, counts)
    print(json.dumps(as_json(*told)) if options.json else as_text(*told))
