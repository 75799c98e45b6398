"""`estimate`: what training would take on other machines."""

import argparse
from pathlib import Path

from bradcn_nb.cli.common import command, picture_size
from bradcn_nb.errors import BradcnError
from bradcn_nb.presets import preset


def add(group) -> None:
    """Add the command to `group`."""
    parser = command(
        group,
        "estimate",
        run_estimate,
        "Estimate time and memory of the paper's training on T4, V100, A100 and H100, 1 to 8 of them.\n"
        "Derived from counted MACs and bytes, data sheets and stated assumptions; nothing of it is measured.\n"
        "--check holds the method against a step that `bench` measured on this machine's CPU.",
        "  python -m bradcn_nb estimate\n"
        "  python -m bradcn_nb estimate --precision half --checkpointing\n"
        "  python -m bradcn_nb estimate --preset colab --json > estimate.json\n"
        "  python -m bradcn_nb bench peak checkpointing --json bench.json\n"
        "  python -m bradcn_nb estimate --check bench.json",
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
        "--check", type=Path, metavar="JSON", help="what `bench peak checkpointing --json` wrote"
    )
    other.add_argument(
        "--recount", action="store_true", help="count again what data/results keeps (minutes)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run_estimate(options: argparse.Namespace) -> None:
    """Handle `estimate`."""
    import json

    from bradcn_nb import step_counts
    from bradcn_nb.estimate_report import as_json, as_text, checked, checked_as_text

    chosen = preset(options.preset)
    size = options.size or chosen.data.train_size
    progress = not options.quiet
    if options.recount:
        print(step_counts.recount(progress))
        return
    if options.check:
        measured = read_json(options.check)
        found = checked(measured, step_counts.stored_counts())
        print(checked_as_text(measured, found))
        return
    half = options.precision == "half"
    way = step_counts.key(size, half, options.checkpointing)
    counts = step_counts.stored_counts().get(way) or step_counts.count_all(
        chosen, size, half, options.checkpointing, progress
    )
    told = (chosen, size, options.precision, options.checkpointing, counts)
    print(json.dumps(as_json(*told)) if options.json else as_text(*told))


def read_json(path: Path) -> dict:
    """Return the JSON object in a file; raises BradcnError naming one that is none."""
    import json

    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BradcnError(f"{path}: cannot be read ({type(error).__name__}); see --help") from None
    return value if isinstance(value, dict) else {}
