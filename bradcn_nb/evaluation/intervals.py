"""How sure a mean is: 95 % intervals over pictures, and over seeds and pictures.

Over pictures alone, by the bootstrap; over both, as crossed random effects: a bootstrap of three or
five seeds draws too few of them, and is too sure.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

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


def crossed_interval(a: np.ndarray, b: np.ndarray) -> Interval:
    """Mean of a - b and its 95 % interval, where other seeds *and* other
    pictures would have given other values.

    `a` and `b` are (seeds, pictures), in the same order: the trainings with
    seed s of two arms start from the same weights and see the same order of
    pictures, and all are judged on the same pictures. Source: crossed random
    effects, see `mean_and_error`. Raises ValueError unless both have one shape
    (seeds, pictures), two pictures or more, and finite values.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim != 2 or a.shape != b.shape or a.shape[1] < 2:
        raise ValueError(f"not of one shape: {a.shape} and {b.shape}")
    if not np.isfinite(a - b).all():
        raise ValueError("values must be finite; cap infinite PSNR first")
    mean, error, freedom = mean_and_error(a - b)
    reach = error * stats.t.ppf(0.975, freedom)
    return Interval(float(mean), float(mean - reach), float(mean + reach))


def mean_and_error(sheet: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the mean of a sheet (..., seeds, pictures), its standard
    error and the degrees of freedom of that, each (...).

    A value is mean + seed + picture + rest, each drawn at random and apart.
    How far rows lie apart (`rows`), columns (`columns`) and what is left
    (`rest`), as mean squares, gives the variance of the mean; Satterthwaite's
    formula says how well it is known: with few seeds, badly. Source: Searle,
    Casella and McCulloch 1992, chapter 4; Satterthwaite 1946.
    """
    seeds, pictures = sheet.shape[-2:]
    mean = sheet.mean((-2, -1), keepdims=True)
    row, column = sheet.mean(-1, keepdims=True), sheet.mean(-2, keepdims=True)

    def mean_square(deviation: np.ndarray, freedom: int) -> np.ndarray:
        return (deviation**2).sum((-2, -1)) / max(freedom, 1)

    freedoms = (seeds - 1, pictures - 1, (seeds - 1) * (pictures - 1))
    rows = mean_square(pictures**0.5 * (row - mean), freedoms[0])
    columns = mean_square(seeds**0.5 * (column - mean), freedoms[1])
    rest = mean_square(sheet - row - column + mean, freedoms[2])
    total = rows + columns - rest
    total = np.where(total > 0, total, np.maximum(rows, columns))
    parts = zip((rows, columns, rest), freedoms, strict=True)
    spread = sum(part**2 / freedom for part, freedom in parts if freedom)
    with np.errstate(invalid="ignore"):  # 0 / 0 where all values are the same
        known = np.nan_to_num(total**2 / spread, nan=pictures - 1)
    error = np.sqrt(total / (seeds * pictures))
    return mean[..., 0, 0], error, np.maximum(known, 1)


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
    compared: dict[tuple[str, str], Comparison] = {}
    for (a, b), seeds in shared.items():
        sheets = np.array([np.subtract(values[a][s], values[b][s]) for s in seeds])
        mean, error, freedom = mean_and_error(sheets.swapaxes(0, 1))  # metric by metric
        reach = error * stats.t.ppf(0.975, freedom)
        rows = zip(metrics, mean, mean - reach, mean + reach, strict=True)
        intervals = {metric: Interval(*map(float, row)) for metric, *row in rows}
        compared[a, b] = Comparison(list(seeds), intervals)
    return compared
