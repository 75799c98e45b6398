"""`export`: a net for onnxruntime."""

import argparse
from pathlib import Path

from bradcn_nb.cli.common import command, natural, use_threads
from bradcn_nb.errors import BradcnError, WeightsError
from bradcn_nb.presets import PRESETS, preset

NETS = {  # name: what it is
    "bradcn": "the whole model: bokeh, depth and depth error",
    "render-net": "the Render Net alone",
    "depth-net": "the Depth Prediction Net alone; mini: as stage 0 left it, in metres",
    "adcn": "the Adaptive Depth Calibration Net alone",
}


def add(group) -> None:
    """Add the command to `group`."""
    parser = command(
        group,
        "export",
        export,
        "Write a net as an ONNX file; no torch is needed to run it.\n"
        + "\n".join(f"  {name:11}{what}" for name, what in NETS.items())
        + "\nInput: `image`, (1, 3, H, W) in [0, 1], H and W multiples of the stride that the\n"
        "file names (mini 16, paper 32). Before it is kept it is compared with torch on five\n"
        'sizes. Needs onnx and onnxruntime: pip install "bradcn_nb[export]".',
        "  python -m bradcn_nb export bradcn -o bradcn.onnx\n"
        "  python -m bradcn_nb export bradcn -o bradcn.onnx --half\n"
        "  python -m bradcn_nb export depth-net -o depth.onnx --preset paper --weights depth.saf"
        "etensors",
    )
    parser.add_argument("net", choices=NETS, metavar="NET", help=", ".join(NETS))
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="OUT", help="the .onnx file to write"
    )
    parser.add_argument("--preset", choices=PRESETS, default="mini", help="default: mini")
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="of the net, or of a whole BRADCN that has it; default for mini: the bundled ones",
    )
    parser.add_argument(
        "--half", action="store_true", help="store weights as 16-bit floats: half the size"
    )
    parser.add_argument("--threads", type=natural, metavar="N", help="threads of the CPU to use")


def export(options: argparse.Namespace) -> None:
    """Handle `export`; raises WeightsError for weights that do not fit, and writes nothing then."""
    if options.out.suffix != ".onnx":
        raise BradcnError(f"{options.out}: OUT must end in .onnx; name another file")
    if options.weights is None and options.preset != "mini":
        raise WeightsError(
            f"preset {options.preset} has no bundled weights; name a file: --weights"
        )
    use_threads(options.threads)
    from bradcn_nb.models.onnx_export import export_onnx

    net = _net(options)
    differences = export_onnx(net, options.out, options.half)
    said = ", ".join(f"{name} {value:.0e}" for name, value in differences.items())
    size = options.out.stat().st_size / 1e6
    print(f"{options.out}: {type(net).__name__}, {size:.1f} MB; differs from torch by {said}")


def _net(options: argparse.Namespace):
    """The net that is named, with its weights."""
    from bradcn_nb.models import ADCN, DepthNet, RenderNet, load_bradcn, load_depth_net
    from bradcn_nb.models.weights import load_weights, read_metadata

    kinds = {"render-net": RenderNet, "depth-net": DepthNet, "adcn": ADCN}
    kind = kinds.get(options.net)
    if options.weights is None and kind is DepthNet:
        return load_depth_net()
    if kind is None or options.weights is None:
        whole = load_bradcn(options.preset, options.weights)
        return whole if kind is None else getattr(whole, options.net.replace("-", "_"))
    if read_metadata(options.weights)["net"] == "BRADCN":
        return getattr(load_bradcn(options.preset, options.weights), options.net.replace("-", "_"))
    net = kind(preset(options.preset).model)
    load_weights(options.weights, net, options.preset)
    return net.eval()
