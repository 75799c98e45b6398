"""Hidden tests of assignment 5: intervals, false alarms, controls, claims."""

from functools import cache
from typing import Any

import numpy as np
from scipy import stats

from bradcn_nb.course.answers import Answers
from bradcn_nb.evaluation import intervals
from bradcn_nb.evaluation.metrics import PSNR_CAP, psnr
from bradcn_nb.experiments.record import result
from hidden_tests import SEED

NOTHING = "your function returned nothing: is there a return?"
TUNED = "tuned-depth", "tuned-full"
FROZEN = "render", "depth", "full", "capacity", "full-l1", "rooms"


def numbers(got: Any, count: int, what: str) -> list[float]:
    """`count` numbers as floats; raises AssertionError, with `what` was wanted, for others."""
    assert got is not None, NOTHING
    assert len(got) == count, f"return {what}, in this order"
    return [float(value) for value in got]


def unchanged(mine: Answers, question: str, inputs: list) -> Any:
    """What the student's `question` returns, and whether its input arrays are as they were."""
    got, same = mine.run(call_and_compare, question=question, inputs=inputs)
    assert same, "your function changed its input arrays in place: work on copies"
    return got


def call_and_compare(mine: Answers, question: str, inputs: list) -> tuple[Any, bool]:
    """Call the student's function; return what came out, and whether its inputs are the same."""
    import pickle

    before = pickle.dumps(inputs)
    got = getattr(mine, question)(*inputs)
    return got, pickle.dumps(inputs) == before


def refuses(mine: Answers, question: str, inputs: list) -> bool:
    """Whether the student's `question` raises ValueError."""
    try:
        getattr(mine, question)(*inputs)
    except ValueError:
        return True
    return False


def check_table_psnr(mine: Answers) -> None:
    """The mean of capped PSNRs, of pictures of several sizes."""
    rng = np.random.default_rng(11)
    truths = [rng.integers(0, 200, size, np.uint8) for size in ((8, 12, 3), (20, 6, 3), (5, 5, 3))]
    pictures = [
        np.clip(truth + rng.normal(0, spread, truth.shape), 0, 255).astype(np.uint8)
        for truth, spread in zip(truths, (2, 12, 40), strict=True)
    ]
    got = unchanged(mine, "table_psnr", [truths, pictures])
    assert got is not None, NOTHING
    values = [psnr(truth, picture) for truth, picture in zip(truths, pictures, strict=True)]
    for one, other in ((truths, pictures), (pictures, truths)):
        assert abs(float(mine.table_psnr(one[:1], other[:1])) - values[0]) < 1e-4, (
            "one pair: the peak is 255 whatever the pictures hold, and uint8 must not wrap around"
        )
    assert abs(float(got) - np.mean(values)) < 1e-4, (
        "several pairs: the mean of their PSNRs, each counting alike whatever its size"
    )
    same = float(mine.table_psnr([truths[0], truths[1]], [truths[0], pictures[1]]))
    assert abs(same - (PSNR_CAP + values[1]) / 2) < 1e-4, (
        "identical pictures count with 100 dB, and the others as they are"
    )
    near = truths[0].repeat(10, 0).repeat(10, 1)
    nearly = near.copy()
    nearly[0, 0, 0] += 1
    assert abs(float(mine.table_psnr([near], [nearly])) - psnr(near, nearly)) < 1e-3, (
        "a PSNR below 100 dB is not capped"
    )


def check_paired_interval(mine: Answers) -> None:
    """Against a bootstrap of 20,000 draws, within 0.2 standard errors."""
    rng = np.random.default_rng(12)
    for count, gain, spread in ((80, 0.3, 1.0), (25, -2.0, 0.4), (7, 0.1, 0.5)):
        taste = rng.normal(28, 4, count)
        a = taste + rng.gamma(2, spread, count) + gain
        b = taste + rng.normal(0, spread / 2, count)
        got = unchanged(mine, "paired_interval", [a, b, 3])
        mean, low, high = numbers(got, 3, "mean, low and high")
        difference = a - b
        draws = rng.integers(0, count, (20_000, count))
        wanted = np.percentile(difference[draws].mean(1), (2.5, 97.5))
        error = difference.std(ddof=1) / count**0.5
        assert abs(mean - difference.mean()) < 1e-6, "the mean of a - b, not of what was drawn"
        width, full = high - low, wanted[1] - wanted[0]
        assert width < 1.25 * full, "too wide: subtract first; points of the draws, not Student's t"
        assert width > 0.9 * full, "too narrow: n of n, with replacement, and the middle 95 %"
        assert abs(low - wanted[0]) < 0.2 * error, "the low end is the 2.5 % point of the means"
        assert abs(high - wanted[1]) < 0.2 * error, "the high end is the 97.5 % point"
        again = numbers(mine.paired_interval(a, b, 3), 3, "mean, low and high")
        assert again == [mean, low, high], "the same seed should give the same interval"
        other = numbers(mine.paired_interval(a, b, 4), 3, "mean, low and high")
        assert other != again, "another seed should draw others: does it reach the generator?"
    got = numbers(mine.paired_interval(a + 0.25, a), 3, "mean, low and high")
    assert np.allclose(got, 0.25, atol=1e-5), "the same gain on all pictures is sure"


def made_up(seeds: int, pictures: int, luck: float, taste: float, seed: int) -> np.ndarray:
    """Two sheets whose difference has the luck and taste given, (2, seeds, pictures), in dB."""
    rng = np.random.default_rng(seed)
    b = rng.normal(28, 4, (1, pictures)) + rng.normal(0, 0.2, (seeds, pictures))
    gain = 0.1 + rng.normal(0, luck, (seeds, 1)) + rng.normal(0, taste, (1, pictures))
    return np.stack([b + gain + rng.normal(0, 0.1, (seeds, pictures)), b])


def check_crossed_interval(mine: Answers) -> None:
    """Against the package, on sheets of all kinds."""
    kinds = {
        "luck dominates": made_up(3, 40, 0.5, 0.05, 1),
        "taste dominates": made_up(5, 30, 0.01, 1.0, 2),
        "both matter": made_up(4, 12, 0.3, 0.6, 3),
        "more seeds than pictures": made_up(9, 4, 0.2, 0.2, 4),
        "two seeds": made_up(2, 25, 0.1, 0.3, 5),
        "one seed": made_up(1, 20, 0.1, 0.3, 6),
    }
    for kind, (a, b) in kinds.items():
        compare_crossed(unchanged(mine, "crossed_interval", [a, b]), a, b, kind)
    a, b = kinds["both matter"]
    chess = np.indices((5, 6)).sum(0) % 2 * 4.0 + np.array([0.3, -0.2, 1.5, -1.0, 0.1, 0.6])
    by_hand = {
        "T is not above 0": chess,
        "T is not above 0, and R above C": chess.T[:, :4],
        "f is below 1": np.array([[12.0, 5.0], [3.0, 5.0]]),
    }
    for kind, sheet in by_hand.items():
        compare_crossed(mine.crossed_interval(sheet, 0 * sheet), sheet, 0 * sheet, kind)
    got = numbers(mine.crossed_interval(b + 0.5, b), 3, "mean, low and high")
    assert np.allclose(got, 0.5, atol=1e-6), "all differences the same: three times the mean"
    for why, bad in {
        "sheets of two shapes": (a, b[:, 1:]),
        "a list of pictures, without seeds": (a[0], b[0]),
        "a single picture": (a[:, :1], b[:, :1]),
        "an infinite value": (a + np.where(a > a.min(), 0, np.inf), b),
        "a seed that only one arm has": (a, b[:1]),
    }.items():
        refused = mine.run(refuses, question="crossed_interval", inputs=list(bad))
        assert refused, f"{why} should raise ValueError"


def compare_crossed(got: Any, a: np.ndarray, b: np.ndarray, kind: str) -> None:
    """Raise AssertionError, with the `kind` of sheet, unless `got` is the package's interval."""
    mean, low, high = numbers(got, 3, "mean, low and high")
    wanted = intervals.crossed_interval(a, b)
    assert abs(mean - wanted.mean) < 1e-6, f"{kind}: the mean of all differences a - b"
    assert np.isfinite((low, high)).all(), f"{kind}: the ends are not finite"
    assert abs((low + high) / 2 - mean) < 1e-5, f"{kind}: the mean is in the middle"
    width, full = high - low, wanted.high - wanted.low
    assert width > 0.9999 * full - 1e-6, f"{kind}: too narrow; does it know of seeds and pictures?"
    assert width < 1.0001 * full + 1e-6, f"{kind}: too wide; is the rest counted only once, in f?"


def check_false_alarms(mine: Answers) -> None:
    """Against 5 % where that is exact, and the known share where an interval misses a part."""

    def shares(*inputs: float) -> list[float]:
        return numbers(mine.false_alarms(*inputs), 2, "two shares, of pictures alone and of seeds")

    both = shares(0.0, 0.0, 0.3, 3, 4, 5000, 5)
    assert max(both) <= 1, "shares, from 0 to 1, not percent"
    assert max(abs(share - 0.05) for share in both) < 0.0135, (
        "with neither luck nor taste, both have 5 % false alarms: Student's t, n - 1, both sides?"
    )
    assert shares(0.0, 0.3, 0.0001, 3, 8, 100, 5)[1] > 0.9, (
        "a taste is the same for all seeds: draw it once a sheet"
    )
    assert shares(0.3, 0.0, 0.0001, 3, 8, 100, 6)[0] > 0.9, (
        "a luck is the same for all pictures: draw it once a training"
    )
    by_pictures, by_seeds = shares(0.1, 0.2, 0.3, 4, 15, 1500, 7)
    means = 0.1**2 / 4 + 0.2**2 / 15 + 0.3**2 / 60  # variance of the mean
    for share, seen, count in (
        (by_pictures, 0.2**2 / 15 + 0.3**2 / 60, 15),
        (by_seeds, 0.1**2 / 4 + 0.3**2 / 60, 4),
    ):
        # The mean spreads more than what the interval sees, by a factor that is known.
        quantile = stats.t.ppf(0.975, count - 1) * (seen / means) ** 0.5
        assert abs(share - 2 * stats.t.sf(quantile, count - 1)) < 0.03, (
            "with luck, taste and rest together the shares are off: are all three in the sheet, "
            "and are they standard deviations?"
        )


def check_smallest_effect(mine: Answers) -> None:
    """Within 2 % of both the sum of quantiles and the exact noncentral t."""
    for low, high, freedom, power in (
        (-0.015, 0.013, 6.0, 0.8),
        (-0.3, 0.08, 4.7, 0.8),
        (0.1, 0.5, 30.0, 0.9),
        (-1.2, -0.2, 79.0, 0.5),
    ):
        got = mine.smallest_effect(low, high, freedom, power)
        assert got is not None, NOTHING
        quantile = stats.t.ppf(0.975, freedom)
        wanted = (high - low) / 2 * (1 + stats.t.ppf(power, freedom) / quantile)
        assert abs(float(got) - wanted) < 0.02 * wanted, (
            "half the width is error times quantile; divide, then add the quantile of the power, "
            "both of Student's t with these degrees of freedom"
        )
    without = float(mine.smallest_effect(-0.3, 0.08, 9.0))
    assert abs(without - mine.smallest_effect(-0.3, 0.08, 9.0, 0.8)) < 1e-9, (
        "without power, take 0.8"
    )


@cache
def arm_values(arm: str) -> np.ndarray:
    """PSNR in dB of an arm of the ablation, (5 seeds, 80 pictures)."""
    records = result("table2-images")
    return np.array([records[f"{arm}/{seed}"]["psnr"] for seed in range(5)])


def drawn_arms(seed: int) -> tuple[str, str]:
    """The two arms that the notebook draws with this number."""
    drawn = np.random.default_rng(seed)
    return str(drawn.choice(TUNED)), str(drawn.choice(FROZEN))


def check_one_seed_tables(mine: Answers) -> None:
    """The lowest and highest mean of a seed, and how many intervals exclude 0."""
    what = "the lowest and the highest difference and the number of discoveries"
    lowest, highest, discoveries = numbers(mine.one_seed_tables(), 3, what)
    first, second = (arm_values(arm) for arm in drawn_arms(SEED))
    means = (first - second).mean(1)
    for end, got, right in (("lowest", lowest, means.min()), ("highest", highest, means.max())):
        assert abs(got - right) < 1e-3, (
            f"your {end} difference is not the {end} that a group prints: FIRST minus SECOND, "
            "PSNR, the mean over the pictures of one seed, all five seeds"
        )
    wanted = (stats.ttest_1samp(first - second, 0, axis=1).pvalue < 0.05).sum()
    assert discoveries == wanted, (
        "another number of groups finds an interval that excludes 0: pair the pictures, and "
        "count both sides"
    )


def check_shuffled_control(mine: Answers) -> None:
    """No map from its own scene, each used once, drawn at random, refused where impossible."""
    rng = np.random.default_rng(13)
    bursts = [int(scene) for scene in rng.permutation(np.repeat(np.arange(30), 4))]
    cases = {
        "each picture a scene of its own": list(range(40)),
        "bursts in any order": bursts,
        "bursts one after the other": sorted(bursts),
        "a scene with exactly half": [5, 5, 5, 5, 2, 3, 1, 2],
        "two scenes": [1, 1, 1, 0, 0, 0],
        "two pictures": [8, 3],
    }
    for case, scenes in cases.items():
        for seed in range(3):
            given = plain(mine.shuffled_control(scenes, seed))
            assert sorted(given) == list(range(len(scenes))), (
                f"{case}: each map must be given away exactly once"
            )
            assert all(scenes[own] != scenes[index] for own, index in enumerate(given)), (
                f"{case}: a map came from the picture itself or from its own scene"
            )
    orders = {tuple(plain(mine.shuffled_control(list(range(12)), seed))) for seed in range(12)}
    assert len(orders) > 6, "another seed should give another order: where is the chance?"
    twice = (plain(mine.shuffled_control(bursts, 4)) for _ in range(2))
    assert next(twice) == next(twice), "the same seed should give the same order"
    for scenes in ([1, 1, 1, 2, 3], [6], [2, 2]):
        assert mine.run(refuses, question="shuffled_control", inputs=[scenes, 0]), (
            "a scene with more than half of the pictures should raise ValueError"
        )


def plain(given: Any) -> list[int]:
    """Indices as a list; raises AssertionError for nothing."""
    assert given is not None, NOTHING
    return [int(index) for index in given]


def check_supported_claims(mine: Answers) -> None:
    """What the table's intervals say of each claim."""
    got = mine.supported_claims()
    assert got is not None, NOTHING
    letters = set("".join(got).upper())
    assert letters <= set("ABCDEFGH"), "letters from A to H, nothing else"
    of = {name: one["psnr"] for name, one in result("table2.differences").items()}
    supported = {
        "A": of["full - render"]["low"] > 0,
        "C": of["full - shuffled"]["high"] < 0.02,
        "F": of["signed-error - shuffled"]["low"] > of["true-error - shuffled"]["high"],
    }
    wanted = {letter for letter, holds in supported.items() if holds}
    assert not letters - wanted, (
        "at least one of your claims says more than the table: holding 0 is not being 0, a gain "
        "of the whole is not a gain of the part, one clear row and one less clear row are not "
        "a clear difference, and other data are other data"
    )
    assert letters == wanted, (
        "the table supports at least one more: an interval's far end is a claim, too, and two "
        "intervals that do not touch lie farther apart than the sum of their errors allows"
    )
