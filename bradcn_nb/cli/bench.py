"""`bench`: speed and memory."""

import argparse
from pathlib import Path

from bradcn_nb.cli.common import command, natural, use_threads

BENCHMARKS = {  # name: what `bench` measures under it
    "peak": "the rate of large matrix products, of which the nets reach a share",
    "render-net": "the Render Net beside BRViT as its authors wrote it, 768x512",
    "depth-net": "the Depth Prediction Net beside DPT-Hybrid as its authors wrote it, 768x512",
    "depth-net-384": "the same beside the DPT-hybrid of transformers, 384x384",
    "onnx": "the Render Net in torch beside the same in onnxruntime, 768x512",
    "checkpointing": "peak memory of one training step, with and without checkpointing",
    "loading": "reading prepared pictures beside opening and resizing the originals",
}


def benchmark(text: str) -> str:
    """Read the name of a benchmark; raises argparse's error for an unknown one."""
    if text not in BENCHMARKS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(BENCHMARKS)}")
    return text


def add(group) -> None:
    """Add the command to `group`."""
    parser = command(
        group,
        "bench",
        run_bench,
        "Measure speed and memory at full size, on this machine's CPU; Ctrl-C prints what is "
        "there.\n" + "\n".join(f"  {name:15}{what}" for name, what in BENCHMARKS.items()),
        "  python -m bradcn_nb bench\n"
        "  python -m bradcn_nb bench render-net depth-net --repeats 15 --json bench.json\n"
        "  python -m bradcn_nb bench checkpointing --threads 4\n"
        "  python -m bradcn_nb bench loading",
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


def run_bench(options: argparse.Namespace) -> None:
    """Handle `bench`; what was measured is printed and written after an interruption, too."""
    import json

    from bradcn_nb.experiments.costs import bench
    from bradcn_nb.files import write_atomically

    use_threads(options.threads)
    results = {}
    try:
        bench.run(
            options.names,
            results,
            repeats=options.repeats,
            quick=options.quick,
            progress=not options.quiet,
        )
    finally:
        if results:
            whole = bench.finished(results)
            print(bench.as_text(whole))
            if options.json:
                write_atomically(options.json, (json.dumps(whole, indent=2) + "\n").encode())
