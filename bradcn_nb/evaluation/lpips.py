"""LPIPS v0.1, the distance of two pictures in the features of an image classifier (Section IV-C).

The net is the package `lpips`; here it gets a classifier whose values are known, without a
download.
"""

import warnings
from functools import cache

import lpips
import numpy as np
import torch

from bradcn_nb.errors import SizeError
from bradcn_nb.evaluation.lpips_weights import heads_file, load_backbone

SMALLEST = 32  # pixels a side: below, nothing is left after the nets' poolings


class LPIPS(lpips.LPIPS):
    """Learned perceptual image patch similarity, version 0.1, with its AlexNet or VGG16.

    `forward(a, b)`: pictures (N, 3, H, W) in [-1, 1] give distances (N, 1, 1, 1), 0 if they are
    equal. Source: Zhang et al. 2018, Eq. 1. Ledger: lpips. Raises SizeError below 32 pixels a side,
    WeightsError where there are no weights: `lpips_weights.load_backbone`.
    """

    def __init__(self, backbone: str = "alex") -> None:
        weights, self.digest = load_backbone(backbone)
        with warnings.catch_warnings():  # torchvision's, about how `lpips` asks for no weights
            warnings.simplefilter("ignore")
            heads = str(heads_file(backbone))  # which `lpips` would look for beside this class
            super().__init__(net=backbone, pnet_rand=True, model_path=heads, verbose=False)
        slices = self.net.state_dict()  # "slice1.0.weight": the slice, and the place in `features`
        self.net.load_state_dict({name: weights[name.partition(".")[2]] for name in slices})
        self.backbone = backbone
        self.eval().requires_grad_(False)

    def forward(self, a: torch.Tensor, b: torch.Tensor, **options: bool) -> torch.Tensor:
        if min(a.shape[-2:]) < SMALLEST or a.shape != b.shape:
            raise SizeError(f"LPIPS needs two pictures of one size from {SMALLEST} pixels a side")
        return super().forward(a, b, **options)

    def maps(self, a: torch.Tensor, b: torch.Tensor) -> list[torch.Tensor]:
        """Return the five maps (N, 1, h, w), fine to coarse, whose means add
        up.

        `a` and `b` are (N, 3, H, W) in [-1, 1]. At every place of a slice's
        features, the vectors of channels are scaled to length 1, and their
        squared differences weighed per channel and summed.
        """
        a, b = (self.net(self.scaling_layer(x)) for x in (a, b))
        pairs = zip(a, b, self.lins, strict=True)
        return [
            head((lpips.normalize_tensor(x) - lpips.normalize_tensor(y)) ** 2)
            for x, y, head in pairs
        ]


def to_lpips(picture: np.ndarray) -> torch.Tensor:
    """Return a uint8 (H, W, 3) picture as LPIPS takes it: float32 (1, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(picture.transpose(2, 0, 1)[None].astype(np.float32)) / 127.5 - 1


@cache
def lpips_net(backbone: str = "alex") -> LPIPS:
    """Return the LPIPS of a backbone, made once; raises WeightsError where there are no weights."""
    return LPIPS(backbone)
