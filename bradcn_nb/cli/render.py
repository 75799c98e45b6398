"""`render`: one photograph, or many."""

import argparse
import sys
from pathlib import Path
from typing import Any

from bradcn_nb.cli.common import (
    add_common,
    add_device,
    command,
    f_number,
    focal_length,
    focus,
    strength,
    use_threads,
)
from bradcn_nb.cli.lens_options import OWN_DEPTH, add_depth, add_look, check_depth, look_of
from bradcn_nb.cli.many_photographs import expanded, render_many
from bradcn_nb.errors import BradcnError

WIDE_OPEN = 1.8  # the f-number of EBB!'s photographs with bokeh


def add(group) -> None:
    """Add the command to `group`."""
    parser = command(
        group,
        "render",
        render,
        "Render photographs of any size.\n"
        "Two renderers: `bradcn` is the paper's net, which decides by itself what stays sharp;\n"
        "`lens` blurs by a depth map and obeys --focus and --aperture.\n"
        "--focus, --aperture, --lens, --strength and all about depth, lamps, discs and grain,\n"
        "without --renderer, choose `lens`. One line says what it took for sharp, and which lens.\n"
        "Several photographs, or a folder of them, go into the folder OUT; what is there already\n"
        "is kept, so a stopped command goes on.",
        "  python -m bradcn_nb render photo.jpg -o bokeh.jpg\n"
        "  python -m bradcn_nb render photo.jpg -o bokeh.jpg --focus 640,420 --aperture f/2.8\n"
        "  python -m bradcn_nb render group.jpg -o out.jpg --focus 640,420 --focus 900,400\n"
        "  python -m bradcn_nb render photo.jpg -o small.jpg --focus 1.2m-2.5m --preview\n"
        "  python -m bradcn_nb render holiday/ -o bokeh/ --focus 50%,60%\n"
        "  python -m bradcn_nb render photo.png -o bokeh.png --depth depth.npy\n"
        "  python -m bradcn_nb render photo.png -o bokeh.png --depth d.npy --depth-kind disparity\n"
        "  python -m bradcn_nb render portrait.jpg -o bokeh.jpg --depth own",
    )
    parser.add_argument(
        "photos",
        type=Path,
        nargs="+",
        metavar="PHOTO",
        help="JPEG, PNG, WebP, TIFF, AVIF or HEIC, or folders or patterns of them",
    )
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="OUT", help="file to write, or folder"
    )
    parser.add_argument("--renderer", choices=("bradcn", "lens"), help="default: bradcn")
    parser.add_argument(
        "--focus",
        type=focus,
        action="append",
        metavar="WHERE",
        help="what is to be sharp. X,Y: a pixel of the picture as one sees it, or 50%%,40%%; given"
        " again, all between the nearest and the farthest place. 1.2m-2.5m: all between these"
        " distances; 2m: one; 2m-inf. subject: a near, large region about the middle, by depth."
        " face: all faces that are found. Default: the nearer part of the middle",
    )
    blur = parser.add_mutually_exclusive_group()
    blur.add_argument(
        "--aperture",
        type=f_number,
        metavar="N",
        help="f-number, 2.8 or f/2.8, of the lens of --lens; else of the lens that the photograph"
        " was taken with (EXIF: FocalLengthIn35mmFilm); else of EBB!'s, 50 mm before a sensor"
        " 14.9 mm high, which draws as 80 mm on 35 mm film do at f-numbers 1.6 times as high."
        f" Default: f/{WIDE_OPEN} of --lens or of EBB!'s",
    )
    blur.add_argument(
        "--strength",
        type=strength,
        metavar="S",
        help="for whom f-numbers say nothing: discs S times as wide as by default, whatever lens"
        " took the photograph",
    )
    parser.add_argument(
        "--lens",
        type=focal_length,
        metavar="MM",
        help="focal length that the f-number belongs to, as on 35 mm film",
    )
    parser.add_argument(
        "--preview",
        action="store_true",
        help="a small result, 1000 pixels long and soon there, for finding the focus; --focus X,Y"
        " stays in pixels of the whole photograph",
    )
    add_look(parser)
    add_depth(parser)
    parser.add_argument(
        "--save-depth", type=Path, metavar="FILE", help="write the depth: .npy metres, .png mm"
    )
    parser.add_argument("--weights", type=Path, metavar="FILE", help="default: the bundled ones")
    add_device(parser)
    add_common(parser)


def render(options: argparse.Namespace) -> None:
    """Handle `render`; raises BradcnError when focus or aperture are asked of the net."""
    lens = {
        "--focus": options.focus,
        "--aperture": options.aperture,
        "--strength": options.strength,
        "--lens": options.lens,
        "--depth": options.depth,
        "--depth-model": options.depth_model,
        "--save-depth": options.save_depth,
        "--highlights": options.highlights,
        "--blades": options.blades,
        "--cat-eye": options.cat_eye,
        "--grain": options.grain,
    }
    check_depth(options)
    look = look_of(options)
    asked = [name for name, value in lens.items() if value is not None]
    renderer = options.renderer or ("lens" if asked else "bradcn")
    if renderer == "bradcn" and asked:
        raise BradcnError(f"render: bradcn has no {', '.join(asked)}; use --renderer lens")
    photos = expanded(options.photos)
    into_folder = photos != options.photos or len(photos) > 1 or options.out.is_dir()
    given = options.depth not in (None, OWN_DEPTH)
    if into_folder and (given or options.save_depth):
        raise BradcnError("render: --depth and --save-depth are of one photograph; render it alone")
    wanted = _focus(options.focus)
    from bradcn_nb.photograph import render_photo

    use_threads(options.threads)
    model, device = None, "cpu"
    if not options.depth or options.device != "auto":  # a given depth needs no net, nor torch
        from bradcn_nb.models.inference import pick_device

        device = pick_device(options.device)
    if options.weights or renderer == "bradcn" or options.preset != "mini":
        from bradcn_nb.experiments import variants
        from bradcn_nb.models import load_bradcn

        load = variants.load if options.weights else load_bradcn
        model = load(options.preset, options.weights)
    settings = {
        "renderer": renderer,
        "focus": wanted,
        "aperture": options.aperture,
        "strength": options.strength or 1.0,
        "lens_mm": options.lens,
        "preview": options.preview,
        "depth_model": options.depth_model,
    }

    def one(photo: Path, out: Path) -> None:
        notes = render_photo(
            photo,
            out,
            depth=options.depth,
            depth_kind=options.depth_kind,
            depth_scale=options.depth_scale,
            save_depth=options.save_depth,
            model=model,
            device=device,
            look=look,
            **settings,
        )
        for note in notes:
            print(f"note: {photo}: {note}" if into_folder else f"note: {note}", file=sys.stderr)

    if into_folder:
        from bradcn_nb.models.weights import weights_hash

        made_with = {**settings, "focus": options.focus, "preset": options.preset}
        if look != type(look)():  # a folder rendered before there were looks goes on
            made_with["look"] = look
        made_with["weights"] = options.weights and weights_hash(options.weights)
        made_with |= {"depth": "own"} if options.depth else {}
        render_many(photos, options.out, made_with, one, not options.quiet)
    else:
        one(photos[0], options.out)
    print(options.out)


def _focus(given: list | None) -> Any:
    """Return what --focus said, given once or several times, as `render_photo` takes it."""
    if not given:
        return None
    points = [value for value in given if len(value) == 3 and not isinstance(value, str)]
    if len(points) < len(given) > 1:
        raise BradcnError("render: only places, --focus X,Y, can be given several times")
    from bradcn_nb.data.focus import Percent
    from bradcn_nb.lens.focus import Span

    if points:
        return [Percent(x, y) if percent else (x, y) for x, y, percent in points]
    return given[0] if isinstance(given[0], str) else Span(*given[0])
