"""Quality of a predicted error with a 95 % interval: pixels pooled, pictures drawn anew.

A picture's pixels share their light and their walls, so pictures are what a bootstrap has to draw.
The measures sort all pixels, and sorting them again for each draw would take minutes. Here they are
sorted once; a draw is only a weight per pixel, how often its picture was drawn.
"""

from collections.abc import Mapping

import numpy as np
from tqdm import tqdm

from bradcn_nb.evaluation.error_maps import STEPS, Quality, quality
from bradcn_nb.evaluation.intervals import ends, times_drawn

DRAWS, BINS = 500, 10
DIGITS = 5  # of every number
Measures = dict[str, dict[str, float]]  # measure -> value, low, high


class Pooled:
    """Pixels of pictures, to be judged with weights.

    `predicted` and `true` (n, h, w), errors in metres, count where `mask` (bool) says so.
    """

    def __init__(self, predicted: np.ndarray, true: np.ndarray, mask: np.ndarray) -> None:
        picture = np.nonzero(mask)[0]
        self.value = np.asarray(quality(predicted, true, mask))
        predicted, true = (x[mask].astype(np.float64) for x in (predicted, true))
        order = np.argsort(
            predicted, kind="stable"
        )  # all below is in this order, unless it says so
        self.picture, self.predicted, self.true = picture[order], predicted[order], true[order]
        self.groups = _starts(self.predicted)
        self.by_true = np.argsort(self.true, kind="stable")
        self.true_groups = _starts(self.true[self.by_true])
        pictures = len(mask)
        self.pixels = np.bincount(picture, minlength=pictures)
        self.off = np.bincount(picture, np.abs(predicted - true), pictures)

    def quality(self, times: np.ndarray) -> np.ndarray:
        """The five numbers of `Quality`, picture k's pixels counted `times[k]` times.

        They are those of `calibration.quality` on pixels that are repeated so often.
        """
        weight = times[self.picture].astype(np.float64)
        count = float(self.pixels @ times)
        rest, oracle = self._sparsified(weight, count)
        return np.array(
            (
                (self.off @ times) / count,
                self._spearman(weight, count),
                self._miscalibration(weight, count),
                (rest - oracle).mean(),
                (1 - rest).mean(),
            )
        )

    def _spearman(self, weight: np.ndarray, count: float) -> float:
        if len(self.groups) == 1:
            return 0.0  # a constant, as below, but at once
        first = _middle_ranks(weight, self.groups) - (count + 1) / 2
        ordered = weight[self.by_true]
        second = _middle_ranks(ordered, self.true_groups) - (count + 1) / 2
        spread = (weight @ first**2) * (ordered @ second**2)
        return (ordered * second) @ first[self.by_true] / np.sqrt(spread) if spread else 0.0

    def _miscalibration(self, weight: np.ndarray, count: float) -> float:
        total = np.cumsum(weight)
        place = np.linspace(0, 1, BINS + 1)[1:-1] * (count - 1)  # of the quantiles, as NumPy's
        low = np.floor(place)
        below, above = (self.predicted[np.searchsorted(total, low + k)] for k in (1, 2))
        edges = below + (above - below) * (place - low)
        cuts = np.searchsorted(self.predicted, edges)
        sums = np.cumsum(weight * (self.predicted - self.true))
        return np.abs(np.diff((0, *np.where(cuts, sums[cuts - 1], 0), sums[-1]))).sum() / count

    def _sparsified(self, weight: np.ndarray, count: float) -> tuple[np.ndarray, np.ndarray]:
        in_group = np.add.reduceat(weight, self.groups)
        shared = np.add.reduceat(weight * self.true, self.groups) / np.maximum(in_group, 1)
        oracle = weight[self.by_true], self.true[self.by_true]
        return _means_of_rest(in_group, shared, count), _means_of_rest(*oracle, count)


def judged(
    predictors: Mapping[str, np.ndarray],
    true: np.ndarray,
    mask: np.ndarray,
    against: str,
    progress: bool = True,
) -> tuple[dict[str, Measures], dict[str, Measures]]:
    """Return each predictor's measures, and those of `against` minus those of each other, paired.

    All arrays (n, h, w). Every number has its value on all pictures and the ends of the 95 %
    interval over `DRAWS` draws of pictures, which are the same for all predictors.
    """
    rng, pictures = np.random.default_rng(0), len(mask)
    draws = times_drawn(pictures, DRAWS, rng)
    values_of = {}
    for name, predicted in predictors.items():
        pooled = Pooled(predicted, true, mask)
        drawn = [pooled.quality(times) for times in tqdm(draws, name, disable=not progress)]
        values_of[name] = np.stack([pooled.value, *drawn])
    own = values_of[against]
    differences = {
        f"{against} - {name}": own - values for name, values in values_of.items() if name != against
    }
    return (
        {name: _with_interval(values) for name, values in values_of.items()},
        {name: _with_interval(values) for name, values in differences.items()},
    )


def _with_interval(values: np.ndarray) -> Measures:
    """Rows: all pictures, then the draws; columns: the fields of `Quality`."""
    low, high = ends(values[1:])
    table = np.stack((values[0], low, high), 1).round(DIGITS) + 0.0  # no -0.0
    return {
        field: dict(zip(("value", "low", "high"), row, strict=True))
        for field, row in zip(Quality._fields, table.tolist(), strict=True)
    }


def _starts(rising: np.ndarray) -> np.ndarray:
    """Where each run of equal values begins."""
    return np.flatnonzero(np.diff(rising, prepend=-np.inf))


def _middle_ranks(weight: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Rank of each pixel from 1 on; pixels of one group, repeated ones too, share the middle
    one."""
    in_group = np.add.reduceat(weight, groups)
    ranks = np.cumsum(in_group) - (in_group - 1) / 2
    return np.repeat(ranks, np.diff(groups, append=len(weight)))


def _means_of_rest(weight: np.ndarray, values: np.ndarray, count: float) -> np.ndarray:
    """As `calibration._means_of_rest`: `values` in the order of their call, each `weight` times."""
    kept = np.ceil((1 - np.arange(STEPS) / STEPS) * count)
    total, sums = np.cumsum(weight), np.cumsum(weight * values)
    last = np.searchsorted(total, kept)
    left = sums[last] - (total[last] - kept) * values[last]
    return left / kept / (sums[-1] / count)
