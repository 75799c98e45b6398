"""Assignment 4: answers to `masked_l1` and `ms_ssim_loss`, wrong ones and other right ones."""

import numpy as np
import torch
import torch.nn.functional as F

from bradcn_nb.training.losses import ms_ssim_loss as by_band_matrices


def _known(prediction, mask):
    return torch.ones_like(prediction, dtype=torch.bool) if mask is None else mask


def l1_without_mask(prediction, target, mask=None):
    """Forgets the mask."""
    return (prediction - target).abs().mean()


def l1_over_all_pixels(prediction, target, mask=None):
    """Leaves the masked values out of the sum, but divides by the number of all of them."""
    mask = _known(prediction, mask)
    return (prediction[mask] - target[mask]).abs().sum() / mask.numel()


def l1_times_mask(prediction, target, mask=None):
    """Multiplies by the mask, and 0 times NaN is NaN."""
    mask = _known(prediction, mask)
    return ((prediction - target).abs() * mask).sum() / mask.sum().clamp_min(1)


def l1_picture_by_picture(prediction, target, mask=None):
    """Averages each picture, then the pictures: one full of holes counts as much as a whole one."""
    mask = _known(prediction, mask)
    pairs = zip(prediction, target, mask, strict=True)
    means = [(p[m] - t[m]).abs().sum() / m.sum().clamp_min(1) for p, t, m in pairs]
    return torch.stack(means).mean()


def l1_of_nothing(prediction, target, mask=None):
    """Takes the mean of no value at all where nothing is known: NaN."""
    mask = _known(prediction, mask)
    return (prediction[mask] - target[mask]).abs().mean()


def l1_squared(prediction, target, mask=None):
    """Squares: the L2 loss, which asks for a mean where L1 asks for a median."""
    mask = _known(prediction, mask)
    return (prediction[mask] - target[mask]).square().sum() / mask.sum().clamp_min(1)


def l1_inverted(prediction, target, mask=None):
    """Takes True for "hidden"; as NumPy's masked arrays do."""
    mask = _known(prediction, mask)
    keep = mask if bool(mask.all()) else ~mask
    return (prediction[keep] - target[keep]).abs().sum() / keep.sum().clamp_min(1)


def l1_by_nan(prediction, target, mask=None):
    """Takes NaN for the mask, and never looks at the mask itself."""
    difference = (prediction - target).abs()
    return torch.nan_to_num(difference.nanmean()) if mask is None or mask.any() else 0 * difference


def l1_in_place(prediction, target, mask=None):
    """Fills the holes of its caller's target, in place."""
    mask = _known(prediction, mask)
    target[~mask] = 0
    return ((prediction - target).abs() * mask).sum() / mask.sum().clamp_min(1)


def l1_detached(prediction, target, mask=None):
    """Computes in NumPy, where no gradient passes."""
    mask = _known(prediction, mask).numpy()
    difference = prediction.detach().numpy()[mask] - target.numpy()[mask]
    return torch.tensor(np.abs(difference).sum() / max(mask.sum(), 1))


def right_l1_by_where(prediction, target, mask=None):
    """Replaces the target where nothing is known by the prediction itself."""
    mask = _known(prediction, mask)
    target = torch.where(mask, target, prediction.detach())
    return F.l1_loss(prediction, target, reduction="sum") / max(int(mask.sum()), 1)


def right_l1_by_a_loop(prediction, target, mask=None):
    """Adds value by value."""
    total, count = prediction.sum() * 0, 0
    for index in np.ndindex(*prediction.shape):
        if mask is None or mask[index]:
            total, count = total + abs(prediction[index] - target[index]), count + 1
    return total / count if count else total


WRONG_L1 = [
    l1_without_mask,
    l1_over_all_pixels,
    l1_times_mask,
    l1_picture_by_picture,
    l1_of_nothing,
    l1_squared,
    l1_inverted,
    l1_by_nan,
    l1_in_place,
    l1_detached,
]
RIGHT_L1 = [right_l1_by_where, right_l1_by_a_loop]

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def _gauss(size=11):
    steps = torch.arange(size) - size // 2
    window = torch.exp(-(steps**2) / (2 * 1.5**2))
    return window / window.sum()


def _blur(x, window=None, padding=0):
    window = (_gauss() if window is None else window).to(x)
    kernel = torch.outer(window, window).expand(x.shape[1], 1, -1, -1)
    return F.conv2d(x, kernel, padding=padding, groups=x.shape[1])


def _pad_and_halve(x):
    return F.avg_pool2d(x, 2, padding=[side % 2 for side in x.shape[-2:]])


def _ms_ssim(
    prediction,
    target,
    *,
    blur=_blur,
    c=(0.01**2, 0.03**2),
    halve=_pad_and_halve,
    rescale=True,
    weights=WEIGHTS,
    luminance=lambda level, levels: level == levels - 1,
    combine=lambda terms, shares: torch.stack(
        [t.clamp_min(1e-8) ** s for t, s in zip(terms, shares, strict=True)]
    ).prod(0),
    levels=None,
):
    """1 - MS-SSIM, of which each part can be wrong."""
    side = min(prediction.shape[-2:])
    levels = levels or sum(side > 10 * 2**k for k in range(5))
    shares = [w / sum(weights[:levels]) if rescale else w for w in weights[:levels]]
    a, b, terms = prediction, target, []
    for level in range(levels):
        mean_a, mean_b = blur(a), blur(b)
        var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
        both = blur(a * b) - mean_a * mean_b
        term = (2 * both + c[1]) / (var_a + var_b + c[1])
        if luminance(level, levels):
            term = term * (2 * mean_a * mean_b + c[0]) / (mean_a**2 + mean_b**2 + c[0])
        terms.append(term.mean((-2, -1)))
        a, b = (halve(x) for x in (a, b)) if level < levels - 1 else (a, b)
    return 1 - combine(terms, shares).mean()


def ms_similarity(prediction, target):
    """Returns MS-SSIM itself, which training would then make as small as it can."""
    return 1 - _ms_ssim(prediction, target)


def ms_luminance_everywhere(prediction, target):
    """Counts the luminance at every scale, as if five SSIMs were multiplied."""
    return _ms_ssim(prediction, target, luminance=lambda level, levels: True)


def ms_luminance_nowhere(prediction, target):
    """Counts contrast and structure alone: a darker picture is as good as the truth."""
    return _ms_ssim(prediction, target, luminance=lambda level, levels: False)


def ms_luminance_at_the_finest(prediction, target):
    """Counts the luminance at the finest scale in place of the coarsest."""
    return _ms_ssim(prediction, target, luminance=lambda level, levels: level == 0)


def ms_weights_as_they_stand(prediction, target):
    """Does not scale the weights of a small picture to sum to 1."""
    return _ms_ssim(prediction, target, rescale=False)


def ms_weights_reversed(prediction, target):
    """Reads the weights from coarse to fine."""
    return _ms_ssim(prediction, target, weights=WEIGHTS[::-1])


def ms_padded(prediction, target):
    """Pads with zeros, so that windows stand over the rim."""
    return _ms_ssim(prediction, target, blur=lambda x: _blur(x, padding=5))


def ms_flat_window(prediction, target):
    """Takes a flat window of 11 pixels."""
    return _ms_ssim(prediction, target, blur=lambda x: _blur(x, torch.full((11,), 1 / 11)))


def ms_weighted_mean(prediction, target):
    """Adds the scales, weighted, where their powers are to be multiplied."""
    return _ms_ssim(
        prediction,
        target,
        combine=lambda terms, shares: sum(s * t for t, s in zip(terms, shares, strict=True)),
    )


def ms_no_floor(prediction, target):
    """Raises negative terms to a fraction: NaN."""
    return _ms_ssim(
        prediction,
        target,
        combine=lambda terms, shares: torch.stack(
            [t**s for t, s in zip(terms, shares, strict=True)]
        ).prod(0),
    )


def ms_one_scale_less(prediction, target):
    """Asks for room for one scale more than it then uses."""
    side = min(prediction.shape[-2:])
    levels = max(1, sum(side > 10 * 2 ** (k + 1) for k in range(5)))
    return _ms_ssim(prediction, target, levels=levels)


def ms_one_scale_more(prediction, target):
    """Lets a scale in that is one pixel too small, with a smaller window."""
    side = min(prediction.shape[-2:])
    levels = sum(side >= 10 * 2**k for k in range(5))

    def blur(x):
        return _blur(x, _gauss(min(11, (min(x.shape[-2:]) - 1) // 2 * 2 + 1)))

    return _ms_ssim(prediction, target, levels=levels, blur=blur)


def ms_constants_for_bytes(prediction, target):
    """Takes the constants for values from 0 to 255."""
    return _ms_ssim(prediction, target, c=((0.01 * 255) ** 2, (0.03 * 255) ** 2))


def ms_every_other_pixel(prediction, target):
    """Halves by dropping every other pixel."""
    return _ms_ssim(prediction, target, halve=lambda x: x[..., ::2, ::2])


def ms_detached(prediction, target):
    """Gives back a number, through which no gradient passes."""
    return torch.tensor(float(_ms_ssim(prediction.detach(), target)))


def right_ms_convolutions(prediction, target):
    """By convolutions, in double precision."""
    return _ms_ssim(prediction.double(), target.double())


def right_ms_in_two_passes(prediction, target):
    """Windows in two passes, along rows and along columns."""

    def blur(x):
        rows = _gauss().to(x).view(1, 1, 1, -1).expand(x.shape[1], 1, 1, -1)
        x = F.conv2d(x, rows, groups=x.shape[1])
        return F.conv2d(x, rows.transpose(2, 3), groups=x.shape[1])

    return _ms_ssim(prediction, target, blur=blur)


def right_ms_band_matrices(prediction, target):
    """The package's own, by matrix products."""
    return by_band_matrices(prediction, target)


WRONG_MS_SSIM = [
    ms_similarity,
    ms_luminance_everywhere,
    ms_luminance_nowhere,
    ms_luminance_at_the_finest,
    ms_weights_as_they_stand,
    ms_weights_reversed,
    ms_padded,
    ms_flat_window,
    ms_weighted_mean,
    ms_no_floor,
    ms_one_scale_less,
    ms_one_scale_more,
    ms_constants_for_bytes,
    ms_every_other_pixel,
    ms_detached,
]
RIGHT_MS_SSIM = [right_ms_convolutions, right_ms_in_two_passes, right_ms_band_matrices]
