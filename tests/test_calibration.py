"""The measures of a predicted error, against hands, loops and the properties they must have."""

import numpy as np
import pytest
import torch

from bradcn_nb.evaluation import error_maps as c

ALL = np.ones(6, bool)


@pytest.fixture
def errors():
    """A predicted and a true error that have something to do with each other, and a mask."""
    rng = np.random.default_rng(0)
    true = rng.gamma(2, 0.3, (3, 1, 20, 30))
    predicted = 0.5 * true + rng.gamma(2, 0.1, true.shape)
    return predicted, true, rng.random(true.shape) > 0.2


def test_by_hand():
    predicted = np.array([1.0, 2.0, 3.0, 4.0])
    true = np.array([0.0, 4.0, 2.0, 6.0])
    mask = np.ones(4, bool)
    assert c.mean_absolute_error(predicted, true, mask) == pytest.approx((1 + 2 + 1 + 2) / 4)
    # Ranks 1 2 3 4 and 1 3 2 4: 1 - 6 * (0 + 1 + 1 + 0) / (4 * 15).
    assert c.rank_correlation(predicted, true, mask) == pytest.approx(0.8)
    curve = c.calibration_curve(predicted, true, mask, bins=2)
    assert curve.predicted.tolist() == [1.5, 3.5]
    assert curve.true.tolist() == [2, 4] and curve.count.tolist() == [2, 2]
    assert c.miscalibration(curve) == pytest.approx(0.5)
    curves = c.sparsification(predicted, true, mask)
    half = curves.removed.tolist().index(0.5)
    assert curves.remaining[[0, half]].tolist() == [1, 2 / 3]  # (0 + 4) / 2, over 3
    assert curves.oracle[[0, half]].tolist() == [1, 1 / 3]  # (0 + 2) / 2, over 3


def test_against_loops(errors):
    predicted, true, mask = errors
    p, t = predicted[mask], true[mask]
    assert c.mean_absolute_error(*errors) == pytest.approx(
        np.mean([abs(a - b) for a, b in zip(p, t, strict=True)])
    )
    ranks = [np.argsort(np.argsort(x)) for x in (p, t)]
    assert c.rank_correlation(*errors) == pytest.approx(np.corrcoef(ranks)[0, 1])
    curves = c.sparsification(*errors)
    for k, part in enumerate(curves.removed):
        kept = len(t) - int(part * len(t) + 1e-9)
        for order, curve in ((np.argsort(p), curves.remaining), (np.argsort(t), curves.oracle)):
            assert curve[k] == pytest.approx(t[order[:kept]].mean() / t.mean())
    assert curves.ause == pytest.approx((curves.remaining - curves.oracle).mean())
    assert curves.aurg == pytest.approx(1 - curves.remaining.mean())
    told = c.quality(*errors)
    assert told[:2] == (c.mean_absolute_error(*errors), c.rank_correlation(*errors))
    assert told[2:] == (c.miscalibration(c.calibration_curve(*errors)), curves.ause, curves.aurg)


def test_perfect_constant_and_reversed_predictions(errors):
    _, true, mask = errors
    perfect = c.quality(true, true, mask)
    assert perfect == pytest.approx((0, 1, 0, 0, perfect.aurg))
    constant = c.quality(np.full_like(true, true[mask].mean()), true, mask)
    assert constant.spearman == 0
    assert constant.aurg == pytest.approx(0) and constant.miscalibration == pytest.approx(0)
    assert constant.ause == pytest.approx(perfect.aurg)  # oracle to random, the whole way
    backwards = c.quality(true.max() - true, true, mask)
    assert backwards.spearman == pytest.approx(-1) and backwards.aurg < 0
    assert c.calibration_curve(np.full_like(true, 2.0), true, mask).count.tolist() == [mask.sum()]


def test_order_alone_counts_where_order_is_asked(errors):
    predicted, true, mask = errors
    plain, bent = c.quality(*errors), c.quality(predicted**3 + 5, true, mask)
    assert bent.spearman == pytest.approx(plain.spearman)
    assert (bent.ause, bent.aurg) == pytest.approx((plain.ause, plain.aurg))
    assert bent.mae > plain.mae and bent.miscalibration > plain.miscalibration


def test_scale_of_both_leaves_what_is_relative(errors):
    predicted, true, mask = errors
    plain, double = c.quality(*errors), c.quality(2 * predicted, 2 * true, mask)
    assert double == pytest.approx(
        (2 * plain.mae, plain.spearman, 2 * plain.miscalibration, plain.ause, plain.aurg)
    )


def test_bins_hold_equally_many_and_all(errors):
    curve = c.calibration_curve(*errors, bins=8)
    inside = int(errors[2].sum())
    assert curve.count.sum() == inside and np.ptp(curve.count) <= 1 and len(curve.count) == 8
    assert (np.diff(curve.predicted) > 0).all()
    assert np.average(curve.true, weights=curve.count) == pytest.approx(errors[1][errors[2]].mean())


def test_what_is_behind_the_mask_does_not_count(errors):
    predicted, true, mask = errors
    spoilt = [np.where(mask, x, np.nan) for x in (predicted, true)]
    assert c.quality(*spoilt, mask) == c.quality(*errors)
    tensors = [torch.from_numpy(x) for x in errors]
    assert c.quality(*tensors) == c.quality(*errors)


def test_bad_input_is_refused():
    values = np.arange(6.0)
    for bad in (
        (values, values[:5], ALL),
        (values, values, ~ALL),
        (np.where(values == 2, np.nan, values), values, ALL),
        (values, np.where(values == 2, np.inf, values), ALL),
    ):
        with pytest.raises(ValueError):
            c.quality(*bad)
    with pytest.raises(ValueError, match="nothing to remove"):
        c.sparsification(values, np.zeros(6), ALL)
