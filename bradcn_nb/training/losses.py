"""The losses of Section IV-B: L1, and 1 - MS-SSIM for the last phase of stage 2."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from bradcn_nb.errors import SizeError
from bradcn_nb.presets import Stage

MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, fine to coarse
WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2  # for values in [0, 1]
FLOOR = 1e-8

Loss = Callable[..., Tensor]


def _check_shapes(prediction: Tensor, target: Tensor) -> None:
    if prediction.shape != target.shape:
        raise SizeError(
            f"prediction is {tuple(prediction.shape)} but its target {tuple(target.shape)}; "
            "resize one to the other"
        )


def l1(prediction: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean absolute difference of two tensors (N, C, H, W), in their unit; a scalar.

    `mask` (bool, same shape) keeps only its True values, each of the batch counting alike; what the
    others hold, NaN included, touches neither value nor gradient, and an empty mask gives 0.
    Source: Section IV-B; missing depth, Section III-C. Raises SizeError if the shapes differ.
    """
    _check_shapes(prediction, target)
    if mask is None:
        return (prediction - target).abs().mean()
    _check_shapes(prediction, mask)
    # Replacing before subtracting: 0 * NaN would still be NaN in the gradient.
    difference = prediction - torch.where(mask, target, prediction.detach())
    return torch.where(mask, difference.abs(), 0).sum() / mask.sum().clamp_min(1)


def _window_matrix(side: int, size: int, like: Tensor) -> Tensor:
    """The Gaussian of `size` values, sum 1, at each place where it fits into `side`: a band matrix.

    (side - size + 1, side), of the type and on the device of `like`.
    """
    steps = torch.arange(side, device=like.device)
    window = torch.exp(-((steps[:size].to(like.dtype) - size // 2) ** 2) / (2 * SIGMA**2))
    rows = (window / window.sum()).expand(side - size + 1, -1)
    places = steps[:size] + steps[: len(rows), None]
    return like.new_zeros(len(rows), side).scatter(1, places, rows)


def _ssim_terms(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Mean SSIM and mean contrast-structure term of each (H, W) plane: two tensors (N, C).

    The windows are two products with band matrices: through a convolution with one channel, the
    backward pass takes ten times as long on a CPU.
    """
    height, width = a.shape[-2:]
    side = min(height, width)
    size = min(WINDOW, side if side % 2 else side - 1)
    down, across = _window_matrix(height, size, a), _window_matrix(width, size, a).T
    mean_a, mean_b, square_a, square_b, product = (
        down @ (x @ across) for x in (a, b, a * a, b * b, a * b)
    )
    var_a, var_b = square_a - mean_a**2, square_b - mean_b**2
    covariance = product - mean_a * mean_b
    structure = (2 * covariance + C2) / (var_a + var_b + C2)
    ssim = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1) * structure
    return ssim.mean((-2, -1)), structure.mean((-2, -1))


def scales(height: int, width: int) -> int:
    """How many of MS-SSIM's five scales a picture of this size in pixels has room for (1 to 5).

    The window of 11 must fit into the coarsest scale; five scales need 161 pixels.
    """
    side = min(height, width)
    return sum(side > (WINDOW - 1) * 2**level or level == 0 for level in range(5))


def ms_ssim_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """1 - MS-SSIM of pictures (N, C, H, W) in [0, 1], averaged over the batch; a scalar.

    From 161 pixels on equal to `1 - pytorch_msssim.ms_ssim(..., data_range=1)`. Smaller pictures
    use fewer scales, whose weights are scaled to sum to 1, and below 11 pixels a smaller window
    (ledger: ms-ssim-small). Computed in float32 also under mixed precision, which would cancel the
    variances away. Source: Wang et al. 2003; Section IV-B. Raises SizeError if the shapes differ.
    """
    _check_shapes(prediction, target)
    levels = scales(*prediction.shape[-2:])
    weights = MS_SSIM_WEIGHTS
    if levels < len(weights):
        weights = tuple(w / sum(weights[:levels]) for w in weights[:levels])
    with torch.autocast(prediction.device.type, enabled=False):
        a, b = (x if x.dtype == torch.float64 else x.float() for x in (prediction, target))
        product = torch.ones(a.shape[:2], device=a.device, dtype=a.dtype)
        for level, weight in enumerate(weights):
            ssim, structure = _ssim_terms(a, b)
            last = level == levels - 1
            # Negative terms count as 0; a floor above 0, since x**w has no gradient at 0.
            product = product * (ssim if last else structure).clamp_min(FLOOR) ** weight
            if not last:
                padding = [side % 2 for side in a.shape[-2:]]
                a, b = (F.avg_pool2d(x, 2, padding=padding) for x in (a, b))
        return 1 - product.mean()


def stage_loss(stage: Stage) -> Loss:
    """The loss of a stage: `stage.l1` * L1 + `stage.ms_ssim` * (1 - MS-SSIM).

    The result takes (prediction, target, mask=None), all (N, C, H, W), and gives a scalar; MS-SSIM,
    whose windows would mix what a mask separates, takes none. Source: Section IV-B; ledger:
    loss-weights.
    """

    def loss(prediction: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        total = stage.l1 * l1(prediction, target, mask)
        if stage.ms_ssim > 0:
            total = total + stage.ms_ssim * ms_ssim_loss(prediction, target)
        return total

    return loss
