"""`render`: one photograph."""

import argparse
import sys
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
        "--focus, --aperture and all about depth, without --renderer, choose `lens`.",
        "  python -m bradcn_nb render photo.jpg -o bokeh.jpg\n"
        "  python -m bradcn_nb render photo.jpg -o bokeh.jpg --focus 640,420 --aperture 2.8\n"
        "  python -m bradcn_nb render photo.png -o bokeh.png --depth depth.npy\n"
        "  python -m bradcn_nb render photo.png -o bokeh.png --depth d.npy --depth-kind disparity",
    )
    parser.add_argument("photo", type=Path, metavar="PHOTO", help="JPEG, PNG, WebP or TIFF")
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="OUT", help="file to write"
    )
    parser.add_argument("--renderer", choices=("bradcn", "lens"), help="default: bradcn")
    parser.add_argument("--focus", type=point, metavar="X,Y", help="pixel that is to be sharp")
    parser.add_argument("--aperture", type=float, metavar="N", help="f-number; default: 1.8")
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
        "--depth": options.depth,
        "--depth-model": options.depth_model,
        "--save-depth": options.save_depth,
    }
    if options.depth and options.depth_model:
        raise BradcnError("render: give --depth or --depth-model, not both")
    if options.depth_scale is not None and not options.depth_scale > 0:
        raise BradcnError(f"render: --depth-scale {options.depth_scale:g}: give a number above 0")
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
    notes = render_photo(
        options.photo,
        options.out,
        renderer=renderer,
        focus=options.focus,
        aperture=1.8 if options.aperture is None else options.aperture,
        depth=options.depth,
        depth_kind=options.depth_kind,
        depth_scale=options.depth_scale,
        depth_model=options.depth_model,
        save_depth=options.save_depth,
        model=model,
        device=device,
    )
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    print(options.out)
