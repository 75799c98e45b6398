"""`train`: one stage, or all."""

import argparse
from contextlib import nullcontext
from pathlib import Path

from bradcn_nb.cli.common import Parser, add_common, add_set, add_sun_split, command, natural
from bradcn_nb.errors import BradcnError, RunError
from bradcn_nb.presets import PRECISIONS, PRESETS, preset

RECIPE = ("precision", "accumulate", "clip", "ema")


def add(group) -> None:
    """Add the command to `group`."""
    parser = command(
        group,
        "train",
        run_training,
        "Train one stage, or all in order.\n"
        "Started again, it goes on from its last checkpoint and ends with the same weights;\n"
        "finished stages are skipped. Ctrl-C writes a checkpoint first. Among all stages, the one\n"
        "whose net is given (--depth, --adcn) is left out. A stage that is named starts from the\n"
        "net that is given for it, and the later ones then take its result.",
        "  python -m bradcn_nb train --run runs/mini\n"
        "  python -m bradcn_nb train stage2b --run runs/mini --resume fresh\n"
        "  python -m bradcn_nb train --run runs/short --set stage0.epochs=4 stage1.lr=1e-4 seed=1\n"
        "  python -m bradcn_nb train --preset paper --run runs/paper --ebb /data/EBB \\\n"
        "      --sun /data/SUNRGBD --depth depth.safetensors --precision bf16 --tensorboard\n"
        "  python -m bradcn_nb train --preset paper --set data.sun_counts=250,50 ...\n"
        "  python -m bradcn_nb train --preset paper --max-steps 20 ...   (a trial)\n"
        "  python -m bradcn_nb train --calibration pairs --run runs/pairs\n"
        "  accelerate launch --multi_gpu -m bradcn_nb train --preset paper ...\n"
        "  torchrun --nproc-per-node 2 -m -- bradcn_nb train ...   (several, without a GPU)",
    )
    stages = sorted({stage.name for known in PRESETS.values() for stage in known.stages})
    parser.add_argument(
        "stage", nargs="?", default="all", help=f"all (default), {', '.join(stages)}"
    )
    parser.add_argument("--run", type=Path, metavar="DIR", help="default: runs/PRESET")
    parser.add_argument(
        "--backup",
        type=Path,
        metavar="DIR",
        help="keep two copies of the run there, such as on a mounted Drive, written in the"
        " background; a machine without the run goes on from the newest",
    )
    parser.add_argument(
        "--resume",
        choices=("auto", "require", "fresh"),
        default="auto",
        help="auto (default): go on if there is a checkpoint; require: fail if there is none;"
        " fresh: move an earlier run aside and start anew",
    )
    for name, metavar, text in (
        ("ebb", "DIR", "folder of EBB!; default: bundled"),
        ("sun", "DIR", "folder of SUN RGB-D; default: bundled"),
        ("labels", "DIR", "labels made before; default: those of the run"),
        ("depth", "FILE", "weights of a trained depth net; leaves stage 0 out"),
        ("adcn", "FILE", "weights of a trained ADCN; leaves stage 1 out, unless that is named"),
        ("render", "FILE", "Render Net to start stage 2 from"),
    ):
        parser.add_argument(f"--{name}", type=Path, metavar=metavar, help=text)
    for name, text in (
        ("max-steps", "a trial: end each stage after N steps; the same command without it goes on"),
        ("checkpoint-every", "steps; default: once a minute"),
        ("strip-every", "steps between sample strips; default: epoch"),
    ):
        parser.add_argument(f"--{name}", type=natural, metavar="N", help=text)
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that load data; default: 0 on a CPU, else up to 4 a GPU, as cores allow",
    )
    parser.add_argument(
        "--keep",
        choices=("last", "best", "all"),
        default="last",
        help="weights: the last alone (default), the best by the check after each epoch, too, or"
        " those of every epoch",
    )
    parser.add_argument(
        "--tensorboard", action="store_true", help="write TensorBoard's events, too"
    )
    parser.add_argument(
        "--checkpointing", action="store_true", help="compute activations twice, to save memory"
    )
    _add_recipe(parser.add_argument_group("what changes the weights; a run keeps to it"))
    add_common(parser)


def _add_recipe(group: Parser) -> None:
    add_sun_split(group)
    add_set(group)
    group.add_argument(
        "--signed-error",
        action="store_true",
        help="not the paper's: an ADCN that sees the depth and predicts which way it is wrong",
    )
    group.add_argument(
        "--calibration",
        choices=("depth", "pairs"),
        default="depth",
        help="what stage 1 learns: the depth's error, from measured depth (default, the paper's);"
        " or how strongly each place is blurred, from the pairs themselves: then no SUN RGB-D is"
        " needed, a lens draws by it, and the Render Net learns to correct (on the small world it"
        " does not, see the README)",
    )
    group.add_argument("--precision", choices=PRECISIONS, help="default: the preset's, fp32")
    for name, kind, metavar, text in (
        (
            "accumulate",
            natural,
            "N",
            "a step is the mean over N batches (of each process); default: 1",
        ),
        ("clip", float, "NORM", "cut the gradient's norm to this, and log it"),
        ("ema", float, "DECAY", "keep a running mean of the weights, too"),
    ):
        group.add_argument(f"--{name}", type=kind, metavar=metavar, help=text)


def run_training(options: argparse.Namespace) -> None:
    """Handle `train`."""
    chosen, build = preset(options.preset), {}
    if options.stage != "all":
        chosen.stage(options.stage)  # an unknown name fails before the slow imports
    from bradcn_nb.training import train, train_all
    from bradcn_nb.training.backup import Backup
    from bradcn_nb.training.settings import with_settings

    if options.signed_error and options.calibration == "pairs":
        raise BradcnError("train: give --signed-error or --calibration pairs, not both")
    if options.signed_error or options.calibration == "pairs":
        from bradcn_nb.experiments import variants

        vary = variants.with_signed_error if options.signed_error else variants.with_pairs
        chosen, build = vary(chosen), {"build": variants.build}
    given = {name: getattr(options, name) for name in RECIPE}
    settings = [f"recipe.{name}={value}" for name, value in given.items() if value is not None]
    settings = [f"data.sun_split={options.sun_split}", *settings, *options.set]
    chosen = with_settings(chosen, settings)
    run_dir = options.run or Path("runs") / chosen.name
    nets = {"depth": options.depth, "adcn": options.adcn, "render": options.render}
    keywords = {
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
        "keep": options.keep,
        **build,
    }
    with Backup(run_dir, options.backup) if options.backup else nullcontext() as backup:
        if options.stage == "all":
            final = train_all(chosen, run_dir, **keywords)
        else:
            final = train(chosen, options.stage, run_dir, **keywords)
    print(f"trained: {final}")
    if backup and backup.error:
        raise RunError(f"{options.backup}: the last copy failed ({backup.error.strerror})")
