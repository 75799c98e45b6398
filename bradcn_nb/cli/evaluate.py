"""`evaluate`: judge a BRADCN."""

import argparse
from pathlib import Path

from bradcn_nb.cli.common import add_common, add_device, command, use_threads
from bradcn_nb.files import data_root
from bradcn_nb.presets import preset


def add(group) -> None:
    """Add the command to `group`."""
    parser = command(
        group,
        "evaluate",
        run_evaluation,
        "Judge BRADCN on the test pairs of EBB! as the paper does:\n"
        "half-size in, bilinear x2 out, PSNR, SSIM and LPIPS; beside it the input itself, the "
        "input\n"
        "through the same resizing, and the Render Net without its depth and error branches.",
        "  python -m bradcn_nb evaluate\n"
        "  python -m bradcn_nb evaluate --json --weights runs/mini/bradcn.safetensors > "
        "result.json",
    )
    parser.add_argument("--weights", type=Path, metavar="FILE", help="default: the bundled ones")
    parser.add_argument("--ebb", type=Path, metavar="DIR", help="folder of EBB!; default: bundled")
    parser.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    parser.add_argument("--images", action="store_true", help="with --json: every picture's values")
    parser.add_argument(
        "--shrink", choices=("area", "lanczos"), default="area", help="as in `predict`"
    )
    add_device(parser)
    add_common(parser)


def run_evaluation(options: argparse.Namespace) -> None:
    """Handle `evaluate`."""
    import json

    from bradcn_nb.data import EBB
    from bradcn_nb.evaluation.test_set import evaluate
    from bradcn_nb.experiments import variants
    from bradcn_nb.models.inference import for_inference, pick_device
    from bradcn_nb.models.weights import weights_hash
    from bradcn_nb.training.stages import bundled

    use_threads(options.threads)
    chosen = preset(options.preset)
    weights = options.weights or data_root() / "weights" / f"bradcn-{chosen.name}.safetensors"
    model = variants.load(chosen.name, weights)
    root = options.ebb or bundled(chosen.data.ebb, "--ebb", chosen)
    result = evaluate(
        for_inference(model).to(pick_device(options.device)),
        EBB(root, "test"),
        chosen.data.train_size,
        preset=chosen.name,
        weights_hash=weights_hash(weights),
        images=options.images,
        lpips=True,
        shrink=options.shrink,
        progress=not options.quiet,
    )
    if options.json:
        print(json.dumps(result))
        return
    has_lpips = "lpips" in result
    print(f"{result['n']} pictures{'':14}PSNR dB   SSIM" + "    LPIPS" * has_lpips)
    for suffix, name in (
        ("", "BRADCN"),
        ("_render_only", "without its branches"),
        ("_input_half", "input, half size"),
        ("_input", "input"),
    ):
        row = f"{name:24}{result['psnr' + suffix]:7.2f}  {result['ssim' + suffix]:.4f}"
        print(row + (f"   {result['lpips' + suffix]:.4f}" if has_lpips else ""))
    if not has_lpips:
        print(f"LPIPS is not measured: {result['lpips_missing']}")
