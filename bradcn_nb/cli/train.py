"""`train`: one stage, or all."""

import argparse
from pathlib import Path

from bradcn_nb.cli.common import add_common, command, natural
from bradcn_nb.presets import PRESETS, preset


def add(group) -> None:
    """Add the command to `group`."""
    parser = command(
        group,
        "train",
        run_training,
        "Train one stage, or all in order.\nStarted again, it goes on from its last checkpoint and ends\n"
        "with the same weights; finished stages are skipped. Ctrl-C writes a checkpoint first.",
        "  python -m bradcn_nb train --run runs/mini\n"
        "  python -m bradcn_nb train stage2b --run runs/mini --fresh\n"
        "  python -m bradcn_nb train --preset paper --run runs/paper --ebb /data/EBB \\\n"
        "      --sun /data/SUNRGBD --depth depth.safetensors\n"
        "  accelerate launch -m bradcn_nb train --preset paper ...   (several GPUs)",
    )
    stages = sorted({stage.name for known in PRESETS.values() for stage in known.stages})
    parser.add_argument(
        "stage", nargs="?", default="all", help=f"all (default), {', '.join(stages)}"
    )
    parser.add_argument("--run", type=Path, metavar="DIR", help="default: runs/PRESET")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="fail if there is nothing to resume")
    again.add_argument("--fresh", action="store_true", help="move an earlier run aside, start anew")
    for name, text in (
        ("ebb", "folder of EBB!; default: bundled"),
        ("sun", "folder of SUN RGB-D; default: bundled"),
        ("labels", "labels made before; default: those of the run"),
    ):
        parser.add_argument(f"--{name}", type=Path, metavar="DIR", help=text)
    parser.add_argument("--depth", type=Path, metavar="FILE", help="weights of a trained depth net")
    parser.add_argument("--adcn", type=Path, metavar="FILE", help="weights of a trained ADCN")
    parser.add_argument(
        "--render", type=Path, metavar="FILE", help="Render Net to start stage 2 from"
    )
    parser.add_argument(
        "--max-steps", type=natural, metavar="N", help="end each stage after N steps"
    )
    parser.add_argument(
        "--checkpoint-every", type=natural, metavar="N", help="steps; default: once a minute"
    )
    parser.add_argument(
        "--workers", type=int, default=0, metavar="N", help="processes that load data; default: 0"
    )
    add_common(parser)


def run_training(options: argparse.Namespace) -> None:
    """Handle `train`."""
    chosen = preset(options.preset)
    if options.stage != "all":
        chosen.stage(options.stage)  # an unknown name fails before the slow imports
    from bradcn_nb.training import train, train_all

    run_dir = options.run or Path("runs") / chosen.name
    nets = {"depth": options.depth, "adcn": options.adcn, "render": options.render}
    settings = {
        "resume": "require" if options.resume else "fresh" if options.fresh else "auto",
        "init": {net: file for net, file in nets.items() if file},
        "data": {name: getattr(options, name) for name in ("ebb", "sun", "labels")},
        "max_steps": options.max_steps,
        "checkpoint_every": options.checkpoint_every,
        "num_workers": options.workers,
        "threads": options.threads,
        "progress": not options.quiet,
    }
    if options.stage == "all":
        final = train_all(chosen, run_dir, **settings)
    else:
        final = train(chosen, options.stage, run_dir, **settings)
    print(f"trained: {final}")
