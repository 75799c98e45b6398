"""One blur for the whole picture: what a method gains that knows nothing of depth."""

import math

from torch import Tensor, nn
from torchvision.transforms.v2.functional import gaussian_blur

from bradcn_nb.models.bradcn import BRADCNOutput

SHARE = 1 / 128  # of the width; the best of seven on mini-EBB's training pairs


class BlindBlur(nn.Module):
    """`forward(image)`: (N, 3, H, W) gives the picture blurred by a Gaussian as a BRADCNOutput.

    Its standard deviation is `SHARE` * W pixels; nothing is learnt.
    """

    def forward(self, image: Tensor) -> BRADCNOutput:
        sigma = SHARE * image.shape[-1]
        size = 2 * math.ceil(4 * sigma) + 1
        return BRADCNOutput(gaussian_blur(image, [size, size], [sigma, sigma]), None, None)
