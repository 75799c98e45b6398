"""`render`: one photograph."""

import argparse
from pathlib import Path

from bradcn_nb.cli.common import add_common, add_device, command, point, use_threads
from bradcn_nb.errors import BradcnError


def add(group) -> None:
    """Add the command to `group`."""
    parser = command(
        group,
        "render",
        render,
        "Render one photograph of any size.\n"
        "Two renderers: `bradcn` is the paper's net, which decides by itself what stays sharp;\n"
        "`lens` blurs by a depth map and obeys --focus and --aperture.\n"
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
    add_device(parser)
    add_common(parser)


def render(options: argparse.Namespace) -> None:
    """Handle `render`; raises BradcnError when focus or aperture are asked of the net."""
    lens = {"--focus": options.focus, "--aperture": options.aperture, "--depth": options.depth}
    asked = [name for name, value in lens.items() if value is not None]
    renderer = options.renderer or ("lens" if asked else "bradcn")
    if renderer == "bradcn" and asked:
        raise BradcnError(f"render: bradcn has no {', '.join(asked)}; use --renderer lens")
    from bradcn_nb.experiments import variants
    from bradcn_nb.models import load_bradcn
    from bradcn_nb.models.inference import pick_device
    from bradcn_nb.photograph import render_photo

    use_threads(options.threads)
    device = pick_device(options.device)
    model = None
    if options.weights or renderer == "bradcn" or options.preset != "mini":
        load = variants.load if options.weights else load_bradcn
        model = load(options.preset, options.weights)
    render_photo(
        options.photo,
        options.out,
        renderer=renderer,
        focus=options.focus,
        aperture=1.8 if options.aperture is None else options.aperture,
        depth=options.depth,
        model=model,
        device=device,
    )
    print(options.out)
