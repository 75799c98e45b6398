"""Pictures that the lens draws by a defocus map, and how a net corrects them."""

import numpy as np
import torch
from torch import Tensor, nn

from bradcn_nb.lens.defocus import draw_defocus
from bradcn_nb.models.blocks import smoothed

ADDED = 5  # channels of `add_to_lens`


@torch.no_grad()
def lens_pictures(image: Tensor, defocus: Tensor) -> Tensor:
    """Return `draw_defocus` of a batch: pictures (N, 3, H, W) in [0, 1] with
    radii (N, 1, H, W) in % of H."""
    pictures = image.permute(0, 2, 3, 1).float().cpu().numpy()
    radii = defocus[:, 0].float().cpu().numpy()
    drawn = [draw_defocus(*pair) for pair in zip(pictures, radii, strict=True)]
    return torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).to(image)


def add_to_lens(
    lens: Tensor, image: Tensor, drawn: Tensor, side: int
) -> Tensor:  # fmt: skip
    """Correct a lens picture (N, 3, H, W) of `image` by what a net drew.

    `drawn` is (N, 5, H, W). Three channels are added as they are. The others
    say, pixel by pixel, how far to go from the lens picture to the sharp
    photograph, and to the lens picture smoothed over `side` pixels: fine
    detail that a decoder of half the size could not draw itself.
    """
    sharper, softer = image - lens, smoothed(lens, side) - lens
    added = lens + drawn[:, :3] + drawn[:, 3:4] * sharper
    return added + drawn[:, 4:] * softer


def start_at_lens(last: nn.Conv2d) -> None:
    """Set the last convolution before `add_to_lens` so that the net starts near the lens picture.

    Not from zero, or nothing below it would learn.
    """
    nn.init.normal_(last.weight, std=0.02)
    nn.init.zeros_(last.bias)
