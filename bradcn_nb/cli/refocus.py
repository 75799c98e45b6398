"""`refocus`: a web page in which one photograph refocuses where it is clicked."""

import argparse
import sys
from pathlib import Path

from bradcn_nb.cli.common import add_common, add_device, command, natural, use_threads
from bradcn_nb.cli.lens_options import add_depth, check_depth
from bradcn_nb.errors import PhotoError


def add(group) -> None:
    """Add the command to `group`."""
    parser = command(
        group,
        "refocus",
        refocus,
        "Make one web page in which a photograph refocuses where it is clicked.\n"
        "The page holds all that it needs and opens anywhere, without a server; a slider stops\n"
        "the lens down, and a link saves what is shown.",
        "  python -m bradcn_nb refocus photo.jpg -o photo.html\n"
        "  python -m bradcn_nb refocus photo.jpg -o photo.html --depth depth.png --width 1600",
    )
    parser.add_argument(
        "photo", type=Path, metavar="PHOTO", help="JPEG, PNG, WebP, TIFF, AVIF or HEIC"
    )
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="PAGE", help="file to write, .html"
    )
    parser.add_argument(
        "--width", type=natural, default=1200, metavar="N", help="pixels of its pictures; 1200"
    )
    add_depth(parser)
    add_device(parser)
    add_common(parser)


def refocus(options: argparse.Namespace) -> None:
    """Handle `refocus`; raises PhotoError for a page that is none, or has no folder."""
    out = options.out
    check_depth(options)
    if out.suffix.lower() not in (".html", ".htm"):
        raise PhotoError(f"{out}: the page's name must end in .html")
    if out.is_dir() or not out.parent.is_dir():
        raise PhotoError(f"{out}: there is no such folder; create it first, and name a file in it")
    from bradcn_nb.figures.refocus import refocus_page
    from bradcn_nb.files import write_atomically
    from bradcn_nb.models.inference import pick_device
    from bradcn_nb.photograph import read_with_depth

    use_threads(options.threads)
    seen, metres, notes = read_with_depth(
        options.photo,
        depth=options.depth,
        depth_kind=options.depth_kind,
        depth_scale=options.depth_scale,
        depth_model=options.depth_model,
        device=pick_device(options.device),
    )
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    page = refocus_page(
        seen, metres, options.photo.stem, width=options.width, progress=not options.quiet
    )
    write_atomically(out, page.encode())
    print(out)
