"""`render`: one photograph, or many."""

import argparse
import json
import sys
from collections.abc import Callable
from glob import glob, has_magic
from pathlib import Path
from typing import Any

from bradcn_nb.cli.common import (
    Parser,
    add_common,
    add_device,
    command,
    f_number,
    point,
    strength,
    use_threads,
)
from bradcn_nb.errors import BradcnError, PhotoError

MANIFEST = "rendered-with.json"
OWN_DEPTH = Path("own")
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
        "--focus, --aperture, --strength, depth, lamps, discs and grain choose `lens`.\n"
        "Several photographs, or a folder of them, go into the folder OUT; what is there already\n"
        "is kept, so a stopped command goes on.",
        "  python -m bradcn_nb render photo.jpg -o bokeh.jpg\n"
        "  python -m bradcn_nb render photo.jpg -o bokeh.jpg --focus 640,420 --aperture f/2.8\n"
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
        "--focus", type=point, metavar="X,Y", help="what is to be sharp: pixel, or 50%%,40%%"
    )
    blur = parser.add_mutually_exclusive_group()
    blur.add_argument(
        "--aperture",
        type=f_number,
        metavar="N",
        help=f"f-number of a 50 mm lens before a sensor 14.9 mm high; default: {WIDE_OPEN}",
    )
    blur.add_argument(
        "--strength",
        type=strength,
        metavar="S",
        help=f"for whom f-numbers say nothing: discs S times as wide as at f/{WIDE_OPEN}",
    )
    add_look(parser)
    add_depth(parser)
    parser.add_argument(
        "--save-depth", type=Path, metavar="FILE", help="write the depth: .npy metres, .png mm"
    )
    parser.add_argument("--weights", type=Path, metavar="FILE", help="default: the bundled ones")
    add_device(parser)
    add_common(parser)


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


def render(options: argparse.Namespace) -> None:
    """Handle `render`; raises BradcnError when focus or aperture are asked of the net."""
    lens = {
        "--focus": options.focus,
        "--aperture": options.aperture,
        "--strength": options.strength,
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
    from bradcn_nb.experiments import variants
    from bradcn_nb.models import load_bradcn
    from bradcn_nb.models.inference import pick_device
    from bradcn_nb.photograph import Percent, render_photo

    use_threads(options.threads)
    device = pick_device(options.device)
    model = None
    if options.weights or renderer == "bradcn" or options.preset != "mini":
        load = variants.load if options.weights else load_bradcn
        model = load(options.preset, options.weights)
    x, y, percent = options.focus or (None, None, False)
    settings = {
        "renderer": renderer,
        "focus": options.focus and (Percent(x, y) if percent else (x, y)),
        "aperture": options.aperture or WIDE_OPEN / (options.strength or 1),
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


def expanded(photos: list[Path]) -> list[Path]:
    """Return the photographs, those of a folder or a pattern in place of it, in order.

    A pattern such as holiday/*.jpg comes here where the shell has not expanded it (Windows does
    not). Raises PhotoError for a folder or a pattern without any.
    """
    from bradcn_nb.data.photos import READABLE

    found = []
    for path in photos:
        if not path.exists() and has_magic(str(path)):
            matching = [Path(name) for name in sorted(glob(str(path)))]
            if not matching:
                raise PhotoError(f"{path}: no photograph has such a name")
            found += matching
            continue
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in READABLE)
        if not inside:
            raise PhotoError(f"{path}: no photograph in this folder ({', '.join(READABLE)})")
        found += inside
    return found


def render_many(
    photos: list[Path],
    out: Path,
    made_with: dict[str, Any],
    one: Callable[[Path, Path], None],
    progress: bool,
) -> None:
    """Call `one(photo, file)` for each photograph whose file below `out` is missing or older.

    `made_with` ties the folder to one way of rendering. A photograph that fails is named, and the
    others go on. Raises PhotoError for a folder that was made otherwise, for two photographs of one
    name, and at the end if any failed.
    """
    from tqdm import tqdm

    from bradcn_nb.data.photos import FORMATS
    from bradcn_nb.files import write_atomically

    if out.is_file():
        raise PhotoError(f"{out}: is a file; name a folder for {len(photos)} photographs")
    files = {
        photo: out / photo.name
        if photo.suffix.lower() in FORMATS
        else out / f"{photo.stem}.jpg"  # AVIF and HEIC are read, not written
        for photo in photos
    }
    if len({*files.values()}) < len(photos):
        raise PhotoError(f"{out}: two photographs have one name; render their folders apart")
    if out.is_dir() and any(photo.exists() and photo.parent.samefile(out) for photo in photos):
        raise PhotoError(f"{out}: holds the photographs themselves; name another folder")
    manifest, content = out / MANIFEST, f"{json.dumps(made_with, indent=1)}\n".encode()
    if manifest.is_file() and manifest.read_bytes() != content:
        raise PhotoError(f"{out}: was rendered with other settings, see {MANIFEST}; name another")
    write_atomically(manifest, content)
    failed = 0
    for photo, file in tqdm(files.items(), desc="render", unit="photo", disable=not progress):
        if file.is_file() and photo.is_file() and file.stat().st_mtime >= photo.stat().st_mtime:
            continue
        try:
            one(photo, file)
        except BradcnError as error:
            failed += 1
            tqdm.write(f"error: {error}", file=sys.stderr)
    if failed:
        raise PhotoError(f"{out}: {failed} of {len(photos)} photographs could not be rendered")
