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
    focal_length,
    focus,
    strength,
    use_threads,
)
from bradcn_nb.errors import BradcnError, PhotoError

MANIFEST = "rendered-with.json"
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
        "--focus, --aperture, --lens, --strength and all about depth, without --renderer, choose\n"
        "`lens`. What it took for sharp, and which lens, is printed in one line.\n"
        "Several photographs, or a folder of them, go into the folder OUT; what is there already\n"
        "is kept, so a stopped command goes on.",
        "  python -m bradcn_nb render photo.jpg -o bokeh.jpg\n"
        "  python -m bradcn_nb render photo.jpg -o bokeh.jpg --focus 640,420 --aperture f/2.8\n"
        "  python -m bradcn_nb render group.jpg -o out.jpg --focus 640,420 --focus 900,400\n"
        "  python -m bradcn_nb render photo.jpg -o small.jpg --focus 1.2m-2.5m --preview\n"
        "  python -m bradcn_nb render holiday/ -o bokeh/ --focus 50%,60%\n"
        "  python -m bradcn_nb render photo.png -o bokeh.png --depth depth.npy\n"
        "  python -m bradcn_nb render photo.png -o bokeh.png --depth d.npy --depth-kind disparity",
    )
    parser.add_argument(
        "photos",
        type=Path,
        nargs="+",
        metavar="PHOTO",
        help="JPEG, PNG, WebP or TIFF, or folders or patterns of them",
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
    add_depth(parser)
    parser.add_argument(
        "--save-depth", type=Path, metavar="FILE", help="write the depth: .npy metres, .png mm"
    )
    parser.add_argument("--weights", type=Path, metavar="FILE", help="default: the bundled ones")
    add_device(parser)
    add_common(parser)


def add_depth(parser: Parser) -> None:
    """Add the options that say where depth comes from."""
    parser.add_argument(
        "--depth", type=Path, metavar="MAP", help="a depth map: .npy .npz .png .tif .pfm .jpg"
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
    if options.depth_scale is not None and not options.depth_scale > 0:
        raise BradcnError(f"{name}: --depth-scale {options.depth_scale:g}: give a number above 0")


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
    }
    check_depth(options)
    asked = [name for name, value in lens.items() if value is not None]
    renderer = options.renderer or ("lens" if asked else "bradcn")
    if renderer == "bradcn" and asked:
        raise BradcnError(f"render: bradcn has no {', '.join(asked)}; use --renderer lens")
    photos = expanded(options.photos)
    into_folder = photos != options.photos or len(photos) > 1 or options.out.is_dir()
    if into_folder and (options.depth or options.save_depth):
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
            **settings,
        )
        for note in notes:
            print(f"note: {photo}: {note}" if into_folder else f"note: {note}", file=sys.stderr)

    if into_folder:
        from bradcn_nb.models.weights import weights_hash

        made_with = {**settings, "focus": options.focus, "preset": options.preset}
        made_with["weights"] = options.weights and weights_hash(options.weights)
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


def expanded(photos: list[Path]) -> list[Path]:
    """Return the photographs, those of a folder or a pattern in place of it, in order.

    A pattern such as holiday/*.jpg comes here where the shell has not expanded it (Windows does
    not). Raises PhotoError for a folder or a pattern without any.
    """
    from bradcn_nb.data.photos import FORMATS

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
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in FORMATS)
        if not inside:
            raise PhotoError(f"{path}: no photograph in this folder ({', '.join(FORMATS)})")
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

    from bradcn_nb.files import write_atomically

    if out.is_file():
        raise PhotoError(f"{out}: is a file; name a folder for {len(photos)} photographs")
    files = {photo: out / photo.name for photo in photos}
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
