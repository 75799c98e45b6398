"""What the commands that draw by the lens share: options for depth, lamps, discs and grain."""

import argparse
from pathlib import Path
from typing import Any

from bradcn_nb.cli.common import Parser
from bradcn_nb.errors import BradcnError

OWN_DEPTH = Path("own")


def add_look(parser: Parser) -> None:
    """Add the options that say how the lens draws what is blurred."""
    parser.add_argument(
        "--highlights",
        type=float,
        metavar="X",
        help="how much brighter than white a clipped lamp may be: 0 is off, 100 suits lamps at"
        " night; above 2 each is judged by its size and its halo; default: 2",
    )
    parser.add_argument(
        "--blades",
        type=int,
        metavar="N",
        help="a polygon of N slightly curved blades for the aperture, 3 to 24; default: round",
    )
    parser.add_argument(
        "--cat-eye",
        type=float,
        metavar="X",
        help="0 to 1: how far the lens's tube cuts discs towards the corners; default: 0",
    )
    parser.add_argument(
        "--grain",
        action="store_true",
        default=None,
        help="give what is blurred the photograph's grain",
    )


def look_of(options: argparse.Namespace) -> Any:
    """Return the Look that `add_look`'s options ask of the lens; raises BradcnError as it does."""
    from bradcn_nb.lens.aperture import Aperture
    from bradcn_nb.lens.by_depth import HIGHLIGHTS, Look

    highlights = HIGHLIGHTS if options.highlights is None else options.highlights
    shape = Aperture(options.blades or 0, options.cat_eye or 0.0)
    look = Look(highlights, shape, bool(options.grain))
    look.check()
    return look


def add_depth(parser: Parser) -> None:
    """Add the options that say where depth comes from."""
    parser.add_argument(
        "--depth",
        type=Path,
        metavar="MAP",
        help="a depth map: .npy .npz .png .tif .pfm .jpg; or `own`: the one that a phone has put"
        " into the photograph (GDepth, Dynamic Depth, Apple's)",
    )
    parser.add_argument(
        "--depth-kind",
        choices=("auto", "metres", "millimetres", "disparity"),
        default="auto",
        help="what its numbers are; default auto: 16-bit pictures millimetres, 8-bit pictures"
        " relative disparity (near is bright), all else metres",
    )
    parser.add_argument(
        "--depth-scale",
        type=float,
        metavar="S",
        help="what its numbers are multiplied with to give metres (of disparity: 1/m)",
    )
    parser.add_argument(
        "--depth-model",
        metavar="NAME",
        help="a depth estimator of the Hugging Face hub, or its folder, such as"
        " depth-anything/Depth-Anything-V2-Small-hf",
    )


def check_depth(options: argparse.Namespace) -> None:
    """Raise BradcnError for options about depth that contradict each other."""
    name = options.command
    if options.depth and options.depth_model:
        raise BradcnError(f"{name}: give --depth or --depth-model, not both")
    if options.depth == OWN_DEPTH and options.depth_kind != "auto":
        raise BradcnError(f"{name}: --depth own says itself what it is; leave out --depth-kind")
    if options.depth_scale is not None and not options.depth_scale > 0:
        raise BradcnError(f"{name}: --depth-scale {options.depth_scale:g}: give a number above 0")
