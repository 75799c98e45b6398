"""`predict`: a folder of pictures by any net, ready to be judged."""

import argparse
from pathlib import Path

from bradcn_nb.cli.common import add_common, add_device, command, use_threads
from bradcn_nb.errors import BradcnError
from bradcn_nb.presets import preset


def add(group) -> None:
    """Add the command to `group`."""
    parser = command(
        group,
        "predict",
        run_prediction,
        "Draw EBB!'s test pictures by the paper's protocol: shrunk to the training size, "
        "through the\n"
        "net, bilinear to the picture's own size, 8 bits. `score` judges them. A stopped call "
        "goes on.",
        "  python -m bradcn_nb predict --out out/bradcn\n"
        "  python -m bradcn_nb predict --preset paper --weights runs/paper/bradcn.safetensors \\\n"
        "      --ebb /data/EBB --out out/paper\n"
        "  python -m bradcn_nb predict --preset paper --weights render.safetensors ...   (a "
        "BRViT)\n"
        "  python -m bradcn_nb predict --method classical --weights depth.safetensors ...\n"
        "  python -m bradcn_nb score --pred out/paper --truth /data/EBB",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--ebb", type=Path, metavar="DIR", help="folder of EBB!; default: bundled")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="default: the bundled ones")
    parser.add_argument(
        "--method",
        metavar="NAME",
        help="a baseline, such as dmshn-skip; default: what the weights are of. A wrong name lists"
        " them all",
    )
    parser.add_argument(
        "--shrink",
        choices=("area", "lanczos"),
        default="area",
        help="default: area; lanczos: as BRViT and DMSHN prepared their pictures",
    )
    add_device(parser)
    add_common(parser)


def run_prediction(options: argparse.Namespace) -> None:
    """Handle `predict`."""
    from bradcn_nb.data import EBB
    from bradcn_nb.evaluation.predict import predict_folder
    from bradcn_nb.files import data_root
    from bradcn_nb.models.inference import for_inference, pick_device
    from bradcn_nb.models.weights import weights_hash
    from bradcn_nb.training.stages import bundled

    use_threads(options.threads)
    chosen, device = preset(options.preset), pick_device(options.device)
    weights = options.weights
    if weights is None and options.method is None:
        weights = data_root() / "weights" / f"bradcn-{chosen.name}.safetensors"
    pairs = EBB(options.ebb or bundled(chosen.data.ebb, "--ebb", chosen), "test")
    net = load_method(options.method, weights, chosen.name)
    made_by = {
        "method": options.method or type(net).__name__,
        "preset": chosen.name,
        "weights_sha256": weights and weights_hash(weights),
    }
    folder = predict_folder(
        for_inference(net).to(device),
        pairs,
        chosen.data.train_size,
        options.out,
        made_by,
        shrink=options.shrink,
        device=device,
        progress=not options.quiet,
    )
    print(f"{folder}: {len(pairs)} pictures; judge them with `score --pred {folder}`")


def load_method(method: str | None, weights: Path | None, preset_name: str):
    """Return a method's net with its weights, in eval mode.

    `method`: a baseline's name, or None for what `weights` are of: a BRADCN or a variant of it, a
    Render Net, or a depth net, which the lens renderer then draws by. Raises BradcnError for a
    method that lacks its weights, WeightsError for weights of something else.
    """
    from bradcn_nb.experiments import variants
    from bradcn_nb.models import RenderNet, baselines, load_weights, read_metadata

    kind = read_metadata(weights).get("net") if weights else None
    if method in (None, "brvit") and kind == "RenderNet":  # as `convert brvit` writes BRViT's
        net = RenderNet(preset(preset_name).model)
    elif method is None and kind != "DepthNet":
        return variants.load(preset_name, weights)
    else:
        method = method or "classical"
        net = baselines.build(method, "mini" if preset_name == "mini" else "full")
        if weights is None and (method in baselines.TRAINED or method == "classical"):
            raise BradcnError(f"predict: {method} needs trained weights: name them by --weights")
    if weights:
        own = net.depth_net if kind == "DepthNet" and method == "classical" else net
        load_weights(weights, own, preset_name)
    return net.eval()
