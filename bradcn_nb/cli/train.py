"""`train`: one stage, or all."""

import argparse
from dataclasses import replace
from pathlib import Path

from bradcn_nb.cli.common import add_common, add_set, add_sun_split, command, natural
from bradcn_nb.presets import PRECISIONS, PRESETS, preset


def add(group) -> None:
    """Add the command to `group`."""
    parser = command(
        group,
        "train",
        run_training,
        "Train one stage, or all in order.\nStarted again, it goes on from its last checkpoint "
        "and ends\n"
        "with the same weights; finished stages are skipped. Ctrl-C writes a checkpoint first.\n"
        "Of all stages, the one whose net is given (--depth, --adcn) is left out. A stage that is\n"
        "named alone starts from the net given for it, and its result then goes into the later "
        "ones.",
        "  python -m bradcn_nb train --run runs/mini\n"
        "  python -m bradcn_nb train stage2b --run runs/mini --resume fresh\n"
        "  python -m bradcn_nb train --run runs/short --set stage0.epochs=4 stage1.lr=1e-4 seed=1\n"
        "  python -m bradcn_nb train --preset paper --set data.sun_counts=250,50 --max-steps "
        "20 ...\n"
        "  python -m bradcn_nb train --preset paper --run runs/paper --ebb /data/EBB \\\n"
        "      --sun /data/SUNRGBD --depth depth.safetensors --precision bf16 --tensorboard\n"
        "  accelerate launch --multi_gpu -m bradcn_nb train --preset paper ...\n"
        "  torchrun --nproc-per-node 2 -m -- bradcn_nb train ...   (several processes without "
        "a GPU)",
    )
    stages = sorted({stage.name for known in PRESETS.values() for stage in known.stages})
    parser.add_argument(
        "stage", nargs="?", default="all", help=f"all (default), {', '.join(stages)}"
    )
    parser.add_argument("--run", type=Path, metavar="DIR", help="default: runs/PRESET")
    parser.add_argument(
        "--resume",
        choices=("auto", "require", "fresh"),
        default="auto",
        help="auto (default): go on if there is a checkpoint; require: fail if there is none;"
        " fresh: move an earlier run aside and start anew",
    )
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
        "--max-steps",
        type=natural,
        metavar="N",
        help="a trial: end each stage after N steps; without it, the same command goes on",
    )
    parser.add_argument(
        "--checkpoint-every", type=natural, metavar="N", help="steps; default: once a minute"
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that load data; default: 0 on a CPU, up to 4 beside a GPU",
    )
    parser.add_argument(
        "--strip-every",
        type=natural,
        metavar="N",
        help="steps between sample strips; default: epoch",
    )
    parser.add_argument(
        "--tensorboard", action="store_true", help="write TensorBoard's events, too"
    )
    parser.add_argument(
        "--checkpointing", action="store_true", help="compute activations twice, to save memory"
    )
    recipe = parser.add_argument_group("what changes the weights; a run keeps to it")
    add_sun_split(recipe)
    add_set(recipe)
    recipe.add_argument(
        "--signed-error",
        action="store_true",
        help="not the paper's: an ADCN that sees the depth, too, and predicts which way it is "
        "wrong",
    )
    recipe.add_argument("--precision", choices=PRECISIONS, help="default: the preset's, fp32")
    recipe.add_argument(
        "--accumulate",
        type=natural,
        metavar="N",
        help="a step is the mean over N batches (of each process), as if they were one; default: 1",
    )
    recipe.add_argument(
        "--clip", type=float, metavar="NORM", help="cut the gradient's norm to this, and log it"
    )
    recipe.add_argument(
        "--ema", type=float, metavar="DECAY", help="keep a running mean of the weights, too"
    )
    add_common(parser)


def run_training(options: argparse.Namespace) -> None:
    """Handle `train`."""
    chosen = preset(options.preset)
    build = {}
    if options.signed_error:
        from bradcn_nb.experiments import variants

        chosen, build = variants.with_signed_error(chosen), {"build": variants.build}
    given = {name: getattr(options, name) for name in ("precision", "accumulate", "clip", "ema")}
    given = {name: value for name, value in given.items() if value is not None}
    chosen = replace(
        chosen,
        recipe=replace(chosen.recipe, **given),
        data=replace(chosen.data, sun_split=options.sun_split),
    )
    if options.set:
        from bradcn_nb.training.settings import apply

        chosen = apply(chosen, options.set)
    if options.stage != "all":
        chosen.stage(options.stage)  # an unknown name fails before the slow imports
    from bradcn_nb.training import train, train_all

    run_dir = options.run or Path("runs") / chosen.name
    nets = {"depth": options.depth, "adcn": options.adcn, "render": options.render}
    settings = {
        "resume": options.resume,
        "init": {net: file for net, file in nets.items() if file},
        "data": {name: getattr(options, name) for name in ("ebb", "sun", "labels")},
        "max_steps": options.max_steps,
        "checkpoint_every": options.checkpoint_every,
        "num_workers": options.workers,
        "threads": options.threads,
        "progress": not options.quiet,
        "checkpointing": options.checkpointing,
        "strip_every": options.strip_every,
        "tensorboard": options.tensorboard,
        **build,
    }
    if options.stage == "all":
        final = train_all(chosen, run_dir, **settings)
    else:
        final = train(chosen, options.stage, run_dir, **settings)
    print(f"trained: {final}")
