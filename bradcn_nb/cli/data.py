"""`data`: make the mini sets, verify a download, prepare it for training."""

import argparse
import json
from functools import partial
from pathlib import Path

from bradcn_nb.cli.common import Parser, command, natural, picture_size
from bradcn_nb.errors import DataError
from bradcn_nb.presets import PRESETS, preset

SETS = {"ebb": "EBB!", "sunrgbd": "SUN RGB-D"}


def add(group) -> None:
    """Add the command to `group`."""
    parser = command(
        group,
        "data",
        None,
        "Make the bundled mini data sets; verify a download of EBB! or SUN RGB-D; prepare it.",
        "  python -m bradcn_nb data make --out data\n"
        "  python -m bradcn_nb data verify ebb /data/EBB\n"
        "  python -m bradcn_nb data prepare sunrgbd /data/SUNRGBD --out /data/sun-768",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    make = command(
        actions,
        "make",
        make_data,
        "Render mini-EBB and mini-SUN; the same seeds and versions give the same bytes.",
        "  python -m bradcn_nb data make --out data\n"
        "  python -m bradcn_nb data make --out runs/data --pairs 3300",
    )
    pairs = "mini-EBB's training pairs; default: 540, the bundled ones"
    make.add_argument("--pairs", type=natural, default=540, metavar="N", help=pairs)
    make.add_argument("--out", type=Path, default=Path("data"), help="folder; default: data")
    make.add_argument("--quiet", action="store_true", help="no progress bars")
    verify = command(
        actions,
        "verify",
        verify_data,
        "Say what a download holds, lacks and has damaged.\n"
        "Decodes every file. Exit status 2 if a\n"
        "training could not start or would fail on a file; 0 otherwise, with warnings.",
        "  python -m bradcn_nb data verify ebb /data/EBB\n"
        "  python -m bradcn_nb data verify sunrgbd /data/SUNRGBD --json found.json\n"
        "  python -m bradcn_nb data verify sunrgbd /data/SUNRGBD --nyu\n"
        "  python -m bradcn_nb data verify sunrgbd data/mini-sun --preset mini",
    )
    _add_source(verify)
    verify.add_argument("--nyu", action="store_true", help="list SUN RGB-D's frames from NYUv2")
    verify.add_argument("--json", type=Path, metavar="OUT", help="file for all of it as well")
    prepare = command(
        actions,
        "prepare",
        prepare_data,
        "Write a resized copy at the training size; goes on where it was stopped.\n"
        "Training then reads\n"
        "small files: name the copy with --ebb or --sun. "
        "Judging (`evaluate`) needs the originals.\n"
        "Bad items are left out and named; exit status 2 if there were any.",
        "  python -m bradcn_nb data prepare ebb /data/EBB --out /data/ebb-768\n"
        "  python -m bradcn_nb data prepare sunrgbd /data/SUNRGBD "
        "--out /data/sun-384 --preset colab\n"
        "  python -m bradcn_nb data prepare ebb /data/EBB --out /data/ebb-480 --size 480,320",
    )
    _add_source(prepare)
    prepare.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    size = "pixels; default: the preset's in training"
    prepare.add_argument("--size", type=picture_size, metavar="W,H", help=size)
    kinds = ("depth_bfx", "depth")
    prepare.add_argument("--kind", default=kinds[0], choices=kinds, help="SUN RGB-D's depth")


def _add_source(parser: Parser) -> None:
    parser.add_argument("set", choices=SETS, help=" or ".join(f"{k}: {v}" for k, v in SETS.items()))
    parser.add_argument("path", type=Path, metavar="PATH", help="folder of the data set")
    parser.add_argument("--preset", choices=PRESETS, default="paper", help="default: paper")
    parser.add_argument("--jobs", type=natural, metavar="N", help="processes; default: one a core")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def make_data(options: argparse.Namespace) -> None:
    """Handle `data make`."""
    from bradcn_nb.data import bundle

    bundle.make(options.out, options.pairs, progress=not options.quiet)
    print(f"{options.out}: mini-ebb, mini-sun and mini-check are made")


def verify_data(options: argparse.Namespace) -> None:
    """Handle `data verify`; an interruption prints what is known by then.

    Raises DataError if training cannot start.
    """
    from bradcn_nb.data.inventory import Inventory, as_ranges
    from bradcn_nb.data.verify import verify_ebb
    from bradcn_nb.data.verify_sun import verify_sun
    from bradcn_nb.files import write_atomically

    chosen, path = preset(options.preset), options.path
    inventory = Inventory(SETS[options.set], str(path))
    settings = {"jobs": options.jobs, "progress": not options.quiet}
    try:
        if options.set == "ebb":
            verify_ebb(path, inventory, **settings)
        else:
            verify_sun(path, inventory, chosen.data.sun_counts, chosen.seed, **settings)
    finally:
        if inventory.items:
            print(inventory.as_text())
            for part, names in inventory.nyu.items() if options.nyu else ():
                print(f"NYUv2's, {part} ({len(names)}): {as_ranges(names)}")
            if options.json:
                text = json.dumps(inventory.as_json(), indent=2, ensure_ascii=False)
                write_atomically(options.json, text.encode() + b"\n")
    if not inventory.can_train:
        raise DataError(
            f"{path}: training with preset {chosen.name} cannot start, or would fail on a file; "
            "mend what is listed above"
        )
    print("training can start")


def prepare_data(options: argparse.Namespace) -> None:
    """Handle `data prepare`; raises DataError at the end if there were bad items."""
    from bradcn_nb.data.prepare import amount, prepare

    path, out, data = options.path, options.out, preset(options.preset).data
    scale = data.truth_scale if options.set == "ebb" else 1
    size = options.size or (data.train_size[0] * scale, data.train_size[1] * scale)
    settings = {"kind": options.kind, "jobs": options.jobs, "progress": not options.quiet}
    say = partial(print, flush=True)
    try:
        outcome = prepare(options.set, path, out, size, say=say, **settings)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{out}: stopped; the same command goes on") from None
    print(
        f"{out}: {outcome.made} made, {outcome.kept} kept from before, {len(outcome.bad)} bad; "
        f"{amount(outcome.bytes)} in all"
    )
    for error in outcome.bad.values():
        print(f"  left out: {error}")
    if outcome.bad:
        raise DataError(
            f"{path}: {len(outcome.bad)} bad items were left out; mend the files above and run "
            "it again, or train without them"
        )
