"""What all commands share: the parser, the readers of values, the common options."""

import argparse
import re
from typing import NoReturn

from bradcn_nb.presets import PRESETS


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like those of the commands."""

    def error(self, message: str) -> NoReturn:
        """Print the error in one line and exit with status 2."""
        self.exit(2, f"error: {message}; see `{self.prog} --help`\n")


def point(text: str) -> tuple[float, float, bool]:
    """Read "X,Y" in pixels or "X%,Y%" of the picture, as (x, y, whether it is %).

    Raises argparse's error for anything else; for 0.5,0.5, too, which means the middle elsewhere
    and would be a corner here.
    """
    percent = text.count("%") == 2
    try:
        x, y = (float(part.removesuffix("%" * percent)) for part in text.split(","))
    except ValueError:
        wanted = "X,Y in pixels or in %, for example 320,240 or 50%,40%"
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}") from None
    if percent and not (0 <= x <= 100 and 0 <= y <= 100):
        raise argparse.ArgumentTypeError(f"{text!r}: % of the picture go from 0 to 100")
    if not percent and (0 < x < 1 or 0 < y < 1):
        share = f"{100 * x:g}%,{100 * y:g}%"
        raise argparse.ArgumentTypeError(f"{text!r} is no pixel; for a share say {share}")
    return x, y, percent


SPAN = re.compile(r"(\d*\.?\d+)(?:m?-(\d*\.?\d+|inf))?m|(\d*\.?\d+)m?-inf")


def focus(text: str) -> tuple[float, float, bool] | tuple[float, float] | str:
    """Read what is to be sharp: a `point`; "NEARm-FARm" or "2m", as (near, far) in metres; or a
    name.

    FAR may be "inf". Raises argparse's error for anything else, such as 2.5m-1.2m.
    """
    name = text.strip().lower()
    if name in ("subject", "face"):
        return name
    if "," in name:
        return point(text)
    found = SPAN.fullmatch(name)
    if not found:
        wanted = "X,Y (320,240 or 50%,40%), 1.2m-2.5m, 2m, subject or face"
        raise argparse.ArgumentTypeError(f"{text!r} is none of {wanted}")
    near = float(found[1] or found[3])
    far = float("inf") if found[3] else float(found[2] or near)
    if not 0 < near <= far:
        raise argparse.ArgumentTypeError(f"{text!r}: give metres above 0, the nearer first")
    return near, far


def f_number(text: str) -> float:
    """Read "2.8" or "f/2.8"; raises argparse's error for anything else."""
    try:
        return float(text.lower().removeprefix("f/"))
    except ValueError:
        message = f"{text!r} is no f-number, for example 2.8 or f/2.8"
        raise argparse.ArgumentTypeError(message) from None


def focal_length(text: str) -> float:
    """Read "85" or "85mm", from 5 to 1000; raises argparse's error for anything else."""
    try:
        value = float(text.lower().removesuffix("mm"))
    except ValueError:
        value = 0.0
    if not 5 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no focal length from 5 to 1000 mm")
    return value


def strength(text: str) -> float:
    """Read a number above 0 and at most 10; raises argparse's error for anything else."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 10:
        raise argparse.ArgumentTypeError(f"{text!r} is not a strength above 0 and at most 10")
    return value


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


def command(group, name: str, handler, text: str, examples: str) -> Parser:
    """Add the command `name` to `group`, with help, description and examples; return its parser."""
    parser = group.add_parser(
        name,
        help=text.partition(";")[0].partition("\n")[0].rstrip(".:"),
        description=text,
        epilog="examples:\n" + examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(handler=handler)
    return parser


def add_common(parser: Parser) -> None:
    """Add --preset, --threads and --quiet."""
    parser.add_argument("--preset", choices=PRESETS, default="mini", help="default: mini")
    parser.add_argument("--threads", type=natural, metavar="N", help="threads of the CPU to use")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def add_device(parser: Parser) -> None:
    """Add --device."""
    parser.add_argument(
        "--device",
        default="auto",
        metavar="NAME",
        help="where nets run: auto (default, a GPU where there is one), cpu, cuda or mps",
    )


def add_sun_split(parser: Parser) -> None:
    """Add --sun-split."""
    parser.add_argument(
        "--sun-split",
        choices=("random", "scene"),
        default="random",
        help="of SUN RGB-D's frames; default: random, as the paper; scene: no place in both sets",
    )


def add_set(parser: Parser) -> None:
    """Add --set."""
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="change numbers of the preset, such as stage2a.lr=1e-5 data.sun_counts=250,50 seed=1;"
        " a wrong name lists them all",
    )


def use_threads(count: int | None) -> None:
    """Let torch use `count` threads of the CPU; None leaves its own choice."""
    if count:
        import torch

        torch.set_num_threads(count)
