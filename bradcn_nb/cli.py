"""The command line's options and help texts; nothing heavy is imported for `--help`."""

import argparse
from pathlib import Path
from typing import NoReturn

from bradcn_nb import __version__, commands
from bradcn_nb.presets import PRESETS

BENCHMARKS = {  # name: what `bench` measures under it
    "peak": "the rate of large matrix products, of which the nets reach a share",
    "render-net": "the Render Net beside BRViT as its authors wrote it, 768x512",
    "depth-net": "the Depth Prediction Net beside DPT-Hybrid as its authors wrote it, 768x512",
    "depth-net-384": "the same beside the DPT-hybrid of transformers, 384x384",
    "checkpointing": "peak memory of one training step, with and without checkpointing",
}


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like those of the commands."""

    def error(self, message: str) -> NoReturn:
        """Print the error in one line and exit with status 2."""
        self.exit(2, f"error: {message}; see `{self.prog} --help`\n")


def point(text: str) -> tuple[float, float]:
    """Read "X,Y"; raises argparse's error for anything else."""
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y, for example 320,240") from None
    return x, y


def natural(text: str) -> int:
    """Read a whole number from 1 on; raises argparse's error for anything else."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def picture_size(text: str) -> tuple[int, int]:
    """Read "W,H" in pixels as (height, width); raises argparse's error for anything else."""
    try:
        width, height = (natural(part) for part in text.split(","))
    except (ValueError, argparse.ArgumentTypeError):
        raise argparse.ArgumentTypeError(f"{text!r} is not W,H, for example 768,512") from None
    return height, width


def benchmark(text: str) -> str:
    """Read the name of a benchmark; raises argparse's error for an unknown one."""
    if text not in BENCHMARKS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(BENCHMARKS)}")
    return text


def build_parser() -> Parser:
    """Return the parser of all commands; each sets `handler`."""
    parser = Parser(
        prog="python -m bradcn_nb",
        description="BRADCN: make its data, train it, judge it and render photographs with it.",
        epilog="example: python -m bradcn_nb render photo.jpg -o bokeh.jpg",
    )
    parser.add_argument("--version", action="version", version=__version__)
    chosen = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    adders = (_add_data, _add_labels, _add_train, _add_evaluate, _add_render)
    for add in (*adders, _add_summary, _add_bench):
        add(chosen)
    return parser


def _command(group, name: str, handler, text: str, examples: str) -> Parser:
    parser = group.add_parser(
        name,
        help=text.partition(";")[0].partition("\n")[0].rstrip(".:"),
        description=text,
        epilog="examples:\n" + examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(handler=handler)
    return parser


def _add_common(parser: Parser) -> None:
    parser.add_argument("--preset", choices=PRESETS, default="mini", help="default: mini")
    parser.add_argument("--threads", type=natural, metavar="N", help="threads of the CPU to use")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def _add_data(group) -> None:
    text = "Make the bundled mini data sets again, or check a folder of EBB! or SUN RGB-D."
    examples = (
        "  python -m bradcn_nb data make --out data\n  python -m bradcn_nb data check /data/EBB"
    )
    parser = _command(group, "data", None, text, examples)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    make = _command(
        actions,
        "make",
        commands.make_data,
        "Render mini-EBB and mini-SUN; the same seeds give the same bytes.",
        "  python -m bradcn_nb data make --out data\n"
        "  python -m bradcn_nb data make --out runs/data --pairs 3300",
    )
    make.add_argument(
        "--pairs",
        type=natural,
        default=540,
        metavar="N",
        help="mini-EBB's training pairs; default: 540, the bundled ones",
    )
    make.add_argument("--out", type=Path, default=Path("data"), help="folder; default: data")
    make.add_argument("--quiet", action="store_true", help="no progress bars")
    check = _command(
        actions,
        "check",
        commands.check_data,
        "Tell what a folder holds and open every file in it; exit status 2 if any is damaged.",
        "  python -m bradcn_nb data check data/mini-ebb\n"
        "  python -m bradcn_nb data check /data/SUNRGBD",
    )
    check.add_argument("path", type=Path, help="folder in the layout of EBB! or of SUN RGB-D")
    check.add_argument("--quiet", action="store_true", help="no progress bars")


def _add_labels(group) -> None:
    parser = _command(
        group,
        "labels",
        commands.make_labels,
        "Make the ADCN's labels, |predicted - true depth| of Eq. 2; goes on where it was stopped.",
        "  python -m bradcn_nb labels --run runs/mini\n"
        "  python -m bradcn_nb labels --depth depth.safetensors --sun /data/SUNRGBD --out labels",
    )
    parser.add_argument("--run", type=Path, metavar="DIR", help="run whose stage 0 is finished")
    parser.add_argument("--depth", type=Path, metavar="FILE", help="weights of the depth net")
    parser.add_argument("--sun", type=Path, metavar="DIR", help="SUN RGB-D; default: bundled")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: inside the run")
    _add_common(parser)


def _add_train(group) -> None:
    parser = _command(
        group,
        "train",
        commands.run_training,
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
        "--max-steps", type=natural, metavar="N", help="end each stage after N steps"
    )
    parser.add_argument(
        "--checkpoint-every", type=natural, metavar="N", help="steps; default: once a minute"
    )
    parser.add_argument(
        "--workers", type=int, default=0, metavar="N", help="processes that load data; default: 0"
    )
    _add_common(parser)


def _add_evaluate(group) -> None:
    parser = _command(
        group,
        "evaluate",
        commands.run_evaluation,
        "Judge BRADCN on the test pairs of EBB! as the paper does:\n"
        "half-size in, bilinear x2 out, PSNR and SSIM; beside it the input itself, the input through the same resizing, and the Render Net\n"
        "without its depth and error branches.",
        "  python -m bradcn_nb evaluate\n"
        "  python -m bradcn_nb evaluate --json --weights runs/mini/bradcn.safetensors > result.json",
    )
    parser.add_argument("--weights", type=Path, metavar="FILE", help="default: the bundled ones")
    parser.add_argument("--ebb", type=Path, metavar="DIR", help="folder of EBB!; default: bundled")
    parser.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    parser.add_argument("--images", action="store_true", help="with --json: every picture's values")
    _add_common(parser)


def _add_render(group) -> None:
    parser = _command(
        group,
        "render",
        commands.render,
        "Render one photograph of any size.\nTwo renderers: `bradcn` is the paper's net, which decides\n"
        "by itself what stays sharp; `lens` blurs by a depth map and obeys --focus and --aperture.\n"
        "--focus, --aperture or --depth without --renderer choose `lens`.",
        "  python -m bradcn_nb render photo.jpg -o bokeh.jpg\n"
        "  python -m bradcn_nb render photo.jpg -o bokeh.jpg --focus 640,420 --aperture 2.8\n"
        "  python -m bradcn_nb render photo.png -o bokeh.png --renderer lens --depth depth.npy",
    )
    parser.add_argument("photo", type=Path, metavar="PHOTO", help="JPEG, PNG, WebP or TIFF")
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="OUT", help="file to write"
    )
    parser.add_argument("--renderer", choices=("bradcn", "lens"), help="default: bradcn")
    parser.add_argument("--focus", type=point, metavar="X,Y", help="pixel that is to be sharp")
    parser.add_argument("--aperture", type=float, metavar="N", help="f-number; default: 1.8")
    parser.add_argument("--depth", type=Path, metavar="MAP", help="depth: .npy metres, .png mm")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="default: the bundled ones")
    _add_common(parser)


def _add_summary(group) -> None:
    parser = _command(
        group,
        "summary",
        commands.summarise,
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


def _add_bench(group) -> None:
    parser = _command(
        group,
        "bench",
        commands.run_bench,
        "Measure speed and memory at full size, on this machine's CPU; Ctrl-C prints what is there.\n"
        + "\n".join(f"  {name:15}{what}" for name, what in BENCHMARKS.items()),
        "  python -m bradcn_nb bench\n"
        "  python -m bradcn_nb bench render-net depth-net --repeats 15 --json bench.json\n"
        "  python -m bradcn_nb bench checkpointing --threads 4",
    )
    # Not by `choices`, which before Python 3.12 refuses that no name is given.
    parser.add_argument(
        "names", nargs="*", type=benchmark, metavar="NAME", help="of the above; default: all"
    )
    parser.add_argument(
        "--threads", type=natural, default=2, metavar="N", help="threads of the CPU; default: 2"
    )
    parser.add_argument(
        "--repeats", type=natural, default=7, metavar="N", help="rounds of each; default: 7"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="file for all times as well")
    parser.add_argument(
        "--quick", action="store_true", help="small pictures, one round: does it work at all?"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
