"""`data`: make the mini sets, check a folder."""

import argparse
from pathlib import Path

from bradcn_nb.cli.common import command, natural
from bradcn_nb.errors import DataError


def add(group) -> None:
    """Add the command to `group`."""
    text = "Make the bundled mini data sets again, or check a folder of EBB! or SUN RGB-D."
    examples = (
        "  python -m bradcn_nb data make --out data\n  python -m bradcn_nb data check /data/EBB"
    )
    parser = command(group, "data", None, text, examples)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    make = command(
        actions,
        "make",
        make_data,
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
    check = command(
        actions,
        "check",
        check_data,
        "Tell what a folder holds and open every file in it; exit status 2 if any is damaged.",
        "  python -m bradcn_nb data check data/mini-ebb\n"
        "  python -m bradcn_nb data check /data/SUNRGBD",
    )
    check.add_argument("path", type=Path, help="folder in the layout of EBB! or of SUN RGB-D")
    check.add_argument("--quiet", action="store_true", help="no progress bars")


def make_data(options: argparse.Namespace) -> None:
    """Handle `data make`."""
    from bradcn_nb.data import bundle

    bundle.make(options.out, options.pairs, progress=not options.quiet)
    print(f"{options.out}: mini-ebb and mini-sun are made")


def check_data(options: argparse.Namespace) -> None:
    """Handle `data check`; raises DataError if the folder is of no known layout or has damaged files."""
    from bradcn_nb.data import EBB, SUN_SENSORS, SUNRGBD, verify

    path, sets = options.path, []
    if not path.is_dir():
        raise DataError(f"{path}: no such folder")
    if (path / "original").is_dir() or (path / "bokeh").is_dir():
        sets = [(f"EBB! {split} pairs", EBB(path, split)) for split in ("train", "test")]
    elif any((path / sensor).is_dir() for sensor in SUN_SENSORS):
        count = len(SUNRGBD(path, "train", (1, 0)).frames)
        sets = [("SUN RGB-D frames", SUNRGBD(path, "train", (count, 0)))]
    else:
        raise DataError(
            f"{path}: neither EBB! (original/, bokeh/) nor SUN RGB-D ({'/, '.join(SUN_SENSORS)}/)"
        )
    damaged = 0
    for name, dataset in sets:
        problems = verify(dataset, progress=not options.quiet)
        damaged += len(problems)
        absent = len(getattr(dataset, "absent", []))
        print(
            f"{name}: {len(dataset)}" + (f" ({absent} of the real set are absent)" * bool(absent))
        )
        for problem in problems:
            print(f"  {problem}")
    if damaged:
        raise DataError(f"{path}: {damaged} damaged items; restore the files named above")
