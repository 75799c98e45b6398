"""`labels`: Eq. 2's labels of a run or of a folder."""

import argparse
from pathlib import Path

from bradcn_nb.cli.common import add_common, add_set, add_sun_split, command, natural, use_threads
from bradcn_nb.errors import BradcnError
from bradcn_nb.presets import preset


def add(group) -> None:
    """Add the command to `group`."""
    parser = command(
        group,
        "labels",
        make_labels,
        "Make the ADCN's labels, |predicted - true depth| of Eq. 2; goes on where it was stopped.",
        "  python -m bradcn_nb labels --run runs/mini\n"
        "  python -m bradcn_nb labels --depth depth.safetensors --sun /data/SUNRGBD --out labels\n"
        "  python -m bradcn_nb labels --preset paper --set data.sun_counts=250,50 \\\n"
        "      --depth depth.safetensors --sun /data/SUNRGBD --out labels\n"
        "  accelerate launch --multi_gpu -m bradcn_nb labels --preset paper ...",
    )
    parser.add_argument("--run", type=Path, metavar="DIR", help="run whose stage 0 is finished")
    parser.add_argument("--depth", type=Path, metavar="FILE", help="weights of the depth net")
    parser.add_argument("--sun", type=Path, metavar="DIR", help="SUN RGB-D; default: bundled")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: inside the run")
    parser.add_argument(
        "--batch",
        type=natural,
        default=8,
        metavar="N",
        help="frames a batch; default: 8, fewer need less memory",
    )
    add_sun_split(parser)
    add_set(parser)
    add_common(parser)


def make_labels(options: argparse.Namespace) -> None:
    """Handle `labels`."""
    if not options.run and not (options.depth and options.out):
        raise BradcnError("labels: name a run with --run, or both --depth and --out")
    from bradcn_nb.training import make_run_labels
    from bradcn_nb.training.devices import processes
    from bradcn_nb.training.settings import with_settings

    use_threads(options.threads)
    settings = [f"data.sun_split={options.sun_split}", *options.set]
    chosen = with_settings(preset(options.preset), settings)
    depth = options.depth or options.run / "stage0" / "depth.safetensors"
    state = processes()
    folder = make_run_labels(
        chosen, depth, options.run, options.out, options.sun, not options.quiet, options.batch
    )
    if state.is_main_process:
        print(f"labels: {folder}")
    state.destroy_process_group()
