"""How good a predicted error is: by how much it is off, whether it ranks, whether it can be
trusted.

An error map says where a depth is wrong. Three questions, three kinds of answer: is the number
right (mean absolute error, calibration curve); is at least the order right (rank correlation); and
what is it good for (sparsification: throw away what it calls worst; is the rest better?).

All functions take a predicted error, the true one, |Do - Dgt| of Eq. 2, both >= 0 in metres, and a
mask, arrays or tensors of one shape. Pixels outside of the mask do not count; what is inside is
pooled. They raise ValueError if the shapes differ, nothing is inside, or a value there is not
finite.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.stats import spearmanr

STEPS = 100  # parts of the pixels that sparsification removes one after the other


class Curve(NamedTuple):
    """Mean predicted and mean true error, metres, of bins with about equally many pixels,
    rising."""

    predicted: np.ndarray
    true: np.ndarray
    count: np.ndarray


class Sparsification(NamedTuple):
    """What is left of the mean true error when pixels go, over that of all pixels; starts at 1."""

    removed: np.ndarray  # part of the pixels, from 0 to below 1
    remaining: np.ndarray  # those gone that the prediction calls worst
    oracle: np.ndarray  # those gone that are worst
    ause: float  # area between `remaining` and `oracle`: 0 is perfect
    aurg: float  # area between 1, what random removal leaves, and `remaining`: 0 is no use


class Quality(NamedTuple):
    """All measures in numbers; see the functions of this module."""

    mae: float
    spearman: float
    miscalibration: float
    ause: float
    aurg: float


def mean_absolute_error(predicted: Any, true: Any, mask: Any) -> float:
    """Mean of |predicted - true| in metres: stage 1's loss (Section IV-B)."""
    predicted, true = _inside(predicted, true, mask)
    return float(np.abs(predicted - true).mean())


def rank_correlation(predicted: Any, true: Any, mask: Any) -> float:
    """Spearman's rank correlation in [-1, 1]: does more predicted error mean more error?

    Any rising function of the prediction has the same value. 0 where either of the two is constant,
    which ranks nothing. Source: Spearman 1904.
    """
    predicted, true = _inside(predicted, true, mask)
    if np.ptp(predicted) == 0 or np.ptp(true) == 0:
        return 0.0
    return float(spearmanr(predicted, true).statistic)


def calibration_curve(predicted: Any, true: Any, mask: Any, bins: int = 10) -> Curve:
    """Mean true error against mean predicted error, in bins of the prediction with equal counts.

    On the diagonal the prediction means what it says. Equal predictions stay in one bin, so there
    may be fewer bins than asked for. Source: reliability diagrams (Guo et al. 2017), for errors.
    """
    predicted, true = _inside(predicted, true, mask)
    edges = np.quantile(predicted, np.linspace(0, 1, bins + 1)[1:-1])
    number = np.searchsorted(np.unique(edges), predicted, side="right")
    count = np.bincount(number)
    filled = count > 0
    sums = (np.bincount(number, values)[filled] for values in (predicted, true))
    return Curve(*(total / count[filled] for total in sums), count[filled])


def miscalibration(curve: Curve) -> float:
    """Mean distance of a calibration curve from the diagonal in metres, weighted by the counts.

    Source: expected calibration error (Guo et al. 2017), for errors in metres.
    """
    return float(np.average(np.abs(curve.predicted - curve.true), weights=curve.count))


def sparsification(predicted: Any, true: Any, mask: Any) -> Sparsification:
    """Remove more and more of the pixels that are called worst; how wrong are
    those that remain?

    `ause` is the area under the sparsification error curve (Ilg et al. 2018),
    `aurg` the area of random gain (Poggi et al. 2020); both in parts of the
    mean error, so that data sets compare. Pixels with equal predictions share
    their mean error: a constant prediction equals random removal.
    """
    predicted, true = _inside(predicted, true, mask)
    if true.max() == 0:
        raise ValueError("the true error is 0 everywhere: nothing to remove")
    _, group = np.unique(predicted, return_inverse=True)
    # Pixels with one prediction share their mean.
    shared = (np.bincount(group, true) / np.bincount(group))[group]
    removed = np.arange(STEPS) / STEPS
    order = np.argsort(predicted, kind="stable")
    remaining = _means_of_rest(shared[order], removed)
    oracle = _means_of_rest(np.sort(true), removed)
    return Sparsification(
        removed,
        remaining,
        oracle,
        ause=float((remaining - oracle).mean()),
        aurg=float((1 - remaining).mean()),
    )


def quality(predicted: Any, true: Any, mask: Any) -> Quality:
    """All measures of this module at once."""
    curves = sparsification(predicted, true, mask)
    return Quality(
        mean_absolute_error(predicted, true, mask),
        rank_correlation(predicted, true, mask),
        miscalibration(calibration_curve(predicted, true, mask)),
        curves.ause,
        curves.aurg,
    )


def _inside(predicted: Any, true: Any, mask: Any) -> tuple[np.ndarray, np.ndarray]:
    """The values inside of the mask, as (n,) float64."""
    predicted, true, mask = (np.asarray(x) for x in (predicted, true, mask))
    if not predicted.shape == true.shape == mask.shape:
        raise ValueError(f"shapes {predicted.shape}, {true.shape}, {mask.shape} differ")
    inside = mask.astype(bool)
    predicted, true = (x[inside].astype(np.float64) for x in (predicted, true))
    if not predicted.size:
        raise ValueError("the mask is empty: there is nothing to judge")
    if not (np.isfinite(predicted).all() and np.isfinite(true).all()):
        raise ValueError("an error inside of the mask is NaN or infinite")
    return predicted, true


def _means_of_rest(rising: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """Means of the first 1 - `removed` of errors in the order of their call, over the mean of
    all."""
    kept = np.ceil((1 - removed) * rising.size).astype(int)
    return np.cumsum(rising)[kept - 1] / kept / rising.mean()
