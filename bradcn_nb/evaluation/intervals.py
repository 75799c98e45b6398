"""How sure a mean is: 95 % intervals over pictures, and over seeds and pictures."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

DRAWS, DRAWS_AT_ONCE = 10_000, 500


class Interval(NamedTuple):
    """A mean and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


def times_drawn(count: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Return how often each of `count` things is drawn in `draws` samples of `count`, with
    replacement: (draws, count)."""
    return rng.multinomial(count, np.full(count, 1 / count), draws)


def ends(drawn: np.ndarray) -> np.ndarray:
    """Return the low and the high end of the 95 % percentile interval of `drawn`, along axis 0."""
    return np.percentile(drawn, (2.5, 97.5), axis=0)


def mean_interval(values: np.ndarray | list[float], seed: int = 0) -> Interval:
    """The mean of one finite value per picture, and its 95 % percentile bootstrap interval.

    Pictures are drawn with replacement 10,000 times by the generator of `seed`. Source: Efron and
    Tibshirani 1993, chapter 13. Raises ValueError for no values, or some that are not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"need a list of numbers, not an array of shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("values must be finite; cap the PSNR of identical pictures first")
    rng, means = np.random.default_rng(seed), np.empty(DRAWS)
    for first in range(0, DRAWS, DRAWS_AT_ONCE):  # the whole matrix would take 715 MB for EBB!
        drawn = rng.integers(0, values.size, size=(DRAWS_AT_ONCE, values.size))
        means[first : first + DRAWS_AT_ONCE] = values[drawn].mean(1)
    low, high = ends(means)
    return Interval(float(values.mean()), float(low), float(high))


def paired_interval(
    a: np.ndarray | list[float], b: np.ndarray | list[float], seed: int = 0
) -> Interval:
    """Mean of the paired differences a - b and its 95 % interval, as `mean_interval` draws it.

    `a` and `b` hold one finite value per picture, in the same order. Paired, because pictures
    differ far more (3.9 dB) than methods do. Raises ValueError for unequal lengths, no pictures, or
    values that are not finite.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"need two lists of one length, not {a.shape} and {b.shape}")
    return mean_interval(a - b, seed)


class Comparison(NamedTuple):
    """The seeds that two arms have in common, and per metric the interval of their difference."""

    seeds: list[int]
    intervals: dict[str, Interval]


def drawn_means(values: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return means of `values` (..., seeds, pictures) over DRAWS samples of
    both: (DRAWS, ...).

    Seeds and pictures are drawn independently, with replacement, and alike for
    all series: the drawn means of a - b are those of a minus those of b.
    Source: Owen 2007, "The pigeonhole bootstrap".
    """
    rng = np.random.default_rng(seed)
    seeds, pictures = values.shape[-2:]
    # How often each seed and each picture is drawn; the weighted mean is then
    # one product.
    rows = times_drawn(seeds, DRAWS, rng)
    columns = times_drawn(pictures, DRAWS, rng)
    sums = np.einsum("ds,...sp,dp->d...", rows, values, columns, optimize=True)
    return sums / (seeds * pictures)


def crossed_interval(a: np.ndarray, b: np.ndarray, seed: int = 0) -> Interval:
    """Mean of a - b and its 95 % interval, where seeds and pictures are both
    drawn with replacement.

    `a` and `b` are (seeds, pictures), in the same order: the trainings with
    seed s of two arms start from the same weights and see the same order of
    pictures, and all are judged on the same pictures. An interval over the
    pictures of one training would forget that another seed gives another net.
    With few seeds such an interval is somewhat too narrow. Source:
    `drawn_means`. Raises ValueError unless both have one shape (seeds,
    pictures) and finite values.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim != 2 or a.shape != b.shape or a.size == 0:
        raise ValueError(f"not of one shape: {a.shape} and {b.shape}")
    difference = a - b
    if not np.isfinite(difference).all():
        raise ValueError("values must be finite; cap infinite PSNR first")
    low, high = ends(drawn_means(difference, seed))
    return Interval(float(difference.mean()), float(low), float(high))


def comparisons(
    records: Mapping[str, Mapping[str, Any]],
    pairs: Iterable[tuple[str, str]],
    metrics: Sequence[str],
) -> dict[tuple[str, str], Comparison]:
    """Return what `crossed_interval` says of a - b, for each of the `pairs` (a, b) of arms.

    `records`: those of a table's NAME-images.json, by "ARM/SEED". A pair is compared over the seeds
    that both have; with fewer than two it is left out. Raises ValueError unless all records are of
    the same pictures.
    """
    if len({tuple(record["id"]) for record in records.values()}) > 1:
        raise ValueError("the records are of different pictures")
    values: dict[str, dict[int, list]] = {}
    for record in records.values():
        own = [record[metric] for metric in metrics]
        values.setdefault(record["arm"], {})[record["seed"]] = own
    shared: dict[tuple[str, str], tuple[int, ...]] = {}
    for a, b in pairs:
        seeds = tuple(sorted(set(values.get(a, ())) & set(values.get(b, ()))))
        if len(seeds) > 1:
            shared[a, b] = seeds
    found: dict[tuple[str, str], Comparison] = {}
    for seeds in dict.fromkeys(shared.values()):
        alike = [pair for pair in shared if shared[pair] == seeds]
        # Every arm's means are drawn once; then a pair costs one subtraction.
        needed = {arm: n for n, arm in enumerate(dict.fromkeys(arm for p in alike for arm in p))}
        stack = np.array([[values[arm][seed] for seed in seeds] for arm in needed])
        stack = stack.swapaxes(1, 2)  # (arms, metrics, seeds, pictures)
        means, drawn = stack.mean((2, 3)), drawn_means(stack)
        for a, b in alike:
            low_high = ends(drawn[:, needed[a]] - drawn[:, needed[b]])
            middle = means[needed[a]] - means[needed[b]]
            rows = zip(metrics, middle, *low_high, strict=True)
            found[a, b] = Comparison(
                list(seeds), {metric: Interval(*map(float, row)) for metric, *row in rows}
            )
    return {pair: found[pair] for pair in shared}
