"""`convert`: published weights into a file that `train`, `labels` and the nets read."""

import argparse
from pathlib import Path

from bradcn_nb.cli.common import command
from bradcn_nb.errors import BradcnError

KINDS = {  # what a file is: what becomes of it
    "dpt": "DPT-Hybrid fine-tuned on NYUv2, a depth net in metres: for --depth",
    "brvit": "BRViT, a Render Net: for --render",
    "timm": "timm's vit_base_r50_s16_384 (ImageNet): the encoder of a Render Net, for --render",
}


def add(group) -> None:
    """Add the command to `group`."""
    parser = command(
        group,
        "convert",
        convert,
        "Make published weights ready for training.\n"
        + "\n".join(f"  {name:7}{what}" for name, what in KINDS.items())
        + "\nA DPT file must be the NYUv2 one: MiDaS's looks the same, but its depth has no unit.",
        "  python -m bradcn_nb convert dpt dpt_hybrid_nyu-2ce69ec7.pt depth.safetensors\n"
        "  python -m bradcn_nb convert brvit brvit.pth render.safetensors\n"
        "  python -m bradcn_nb convert timm model.safetensors render.safetensors --seed 0",
    )
    parser.add_argument("kind", choices=KINDS, metavar="KIND", help="dpt, brvit or timm")
    parser.add_argument("file", type=Path, metavar="FILE", help="the published weights")
    parser.add_argument("out", type=Path, metavar="OUT", help="the .safetensors file to write")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of what timm's file lacks; default: 0"
    )


def convert(options: argparse.Namespace) -> None:
    """Handle `convert`; raises WeightsError for any other file, and then writes nothing."""
    if options.out.resolve() == options.file.resolve():
        raise BradcnError(f"{options.out}: would replace the file that is read; name another OUT")
    if options.out.suffix != ".safetensors":
        raise BradcnError(f"{options.out}: OUT must end in .safetensors; name another file")
    from bradcn_nb.models import save_weights
    from bradcn_nb.models.official import load_brvit, load_dpt, render_net_from_timm

    if options.kind == "dpt":
        net, report = load_dpt(options.file, "metric")
    elif options.kind == "brvit":
        net, report = load_brvit(options.file)
    else:
        net, report = render_net_from_timm(options.file, options.seed)
    save_weights(net, options.out, "paper", converted_from=f"{options.kind}: {options.file.name}")
    print(f"{options.out}: {type(net).__name__}, {report}")
