"""Wrong and other right answers to assignment 5, for its tests and for the guide."""

import itertools
import math
import random

import numpy as np
import torch
from hidden_tests import SEED
from hidden_tests.evidence import arm_values, drawn_arms, psnr
from scipy import stats
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching


def psnr_of_error(mse, peak=255.0):
    """Not an answer: PSNR in dB of a mean squared error, capped."""
    return 100.0 if mse == 0 else min(100.0, 10 * math.log10(peak**2 / mse))


def psnr_wraps_around(truths, pictures):
    """Subtracts in uint8, where 3 - 5 is 254."""
    pairs = zip(truths, pictures, strict=True)
    return float(np.mean([psnr_of_error(((a - b).astype(float) ** 2).mean()) for a, b in pairs]))


def psnr_of_pooled_error(truths, pictures):
    """Takes the PSNR of the mean error where a table prints the mean of PSNRs."""
    pairs = zip(truths, pictures, strict=True)
    errors = [((a.astype(float) - b) ** 2).mean() for a, b in pairs]
    return psnr_of_error(np.mean(errors))


def psnr_peak_of_the_picture(truths, pictures):
    """Takes the truth's brightest value as the peak, so that dark pictures are punished."""
    pairs = list(zip(truths, pictures, strict=True))
    errors = [((a.astype(float) - b) ** 2).mean() for a, b in pairs]
    peaks = [max(float(a.max()), 1.0) for a, _ in pairs]
    return float(np.mean([psnr_of_error(*one) for one in zip(errors, peaks, strict=True)]))


def psnr_peak_of_one(truths, pictures):
    """Uses a peak of 1, as if pictures of 8 bits were floats in [0, 1]."""
    pairs = zip(truths, pictures, strict=True)
    errors = [((a.astype(float) - b) ** 2).mean() for a, b in pairs]
    return float(np.mean([psnr_of_error(mse, 1.0) for mse in errors]))


def psnr_leaves_out_identical(truths, pictures):
    """Leaves identical pictures out of the mean, in place of counting them with 100 dB."""
    pairs = zip(truths, pictures, strict=True)
    values = [psnr(a, b) for a, b in pairs]
    finite = [value for value in values if math.isfinite(value)]
    return float(np.mean(finite)) if finite else 100.0


def psnr_by_pixels(truths, pictures):
    """Weighs pictures by their pixels, so that large ones count more."""
    values = [min(psnr(a, b), 100.0) for a, b in zip(truths, pictures, strict=True)]
    return float(np.average(values, weights=[truth.size for truth in truths]))


def psnr_by_scikit_image(truths, pictures):
    """By scikit-image."""
    return np.mean([min(psnr(a, b), 100) for a, b in zip(truths, pictures, strict=True)])


def psnr_by_torch(truths, pictures):
    """By torch, in float64, as a tensor of one number."""
    values = []
    for truth, picture in zip(truths, pictures, strict=True):
        a, b = (torch.from_numpy(one).double() for one in (truth, picture))
        values.append((10 * torch.log10(255**2 / ((a - b) ** 2).mean())).clamp(max=100))
    return torch.stack(values).mean()


def bootstrap(a, b, seed, ends=(2.5, 97.5), times=8000):
    """Not an answer: mean and ends of the bootstrap."""
    difference = np.asarray(a) - np.asarray(b)
    drawn = np.random.default_rng(seed).integers(0, len(difference), (times, len(difference)))
    return (difference.mean(), *np.percentile(difference[drawn].mean(1), ends))


def paired_unpaired(a, b, seed=0):
    """Draws the pictures of a and of b apart, so that what they share does not cancel."""
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(a), (2, 8000, len(a)))
    means = a[draws[0]].mean(1) - b[draws[1]].mean(1)
    return (float((a - b).mean()), *map(float, np.percentile(means, (2.5, 97.5))))


def paired_spread_of_pictures(a, b, seed=0):
    """Takes percentiles of the differences themselves: where pictures lie, not their mean."""
    return (float((a - b).mean()), *map(float, np.percentile(a - b, (2.5, 97.5))))


def paired_reversed(a, b, seed=0):
    """Computes b - a, so that gains become losses."""
    return tuple(map(float, bootstrap(b, a, seed)))


def paired_ninety_percent(a, b, seed=0):
    """Cuts 5 % off at each end, which leaves 90 %."""
    return tuple(map(float, bootstrap(a, b, seed, (5, 95))))


def paired_fractions_for_percent(a, b, seed=0):
    """Gives np.percentile the fractions 0.025 and 0.975, which are near its lowest end."""
    return tuple(map(float, bootstrap(a, b, seed, (0.025, 0.975))))


def paired_without_replacement(a, b, seed=0):
    """Draws each picture once, so that each mean is the same and the interval is a point."""
    rng = np.random.default_rng(seed)
    means = [(a - b)[rng.permutation(len(a))].mean() for _ in range(500)]
    return (float((a - b).mean()), *map(float, np.percentile(means, (2.5, 97.5))))


def paired_half_the_pictures(a, b, seed=0):
    """Draws half as many pictures as there are, which makes the interval too wide."""
    rng, n = np.random.default_rng(seed), len(a)
    means = (a - b)[rng.integers(0, n, (8000, n // 2))].mean(1)
    return (float((a - b).mean()), *map(float, np.percentile(means, (2.5, 97.5))))


def paired_student_t(a, b, seed=0):
    """Takes Student's t of the differences: a fair interval, but no bootstrap."""
    reach = stats.t.ppf(0.975, len(a) - 1) * stats.sem(a - b)
    return float((a - b).mean()), float((a - b).mean() - reach), float((a - b).mean() + reach)


def paired_ignores_seed(a, b, seed=0):
    """Draws from a generator of 0 whatever `seed` is."""
    return tuple(map(float, bootstrap(a, b, 0)))


def paired_by_counts(a, b, seed=0):
    """Draws how often each picture is taken, and sorts the means."""
    difference = np.asarray(a) - np.asarray(b)
    n = difference.size
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), 8000)
    means = np.sort(counts @ difference / n)
    return [float(difference.mean()), means[200], means[7800]]


def paired_by_scipy(a, b, seed=0):
    """By scipy's bootstrap."""
    difference = np.asarray(a, float) - np.asarray(b, float)
    if np.ptp(difference) < 1e-9:
        return np.full(3, difference.mean())
    ends = stats.bootstrap(
        (difference,), np.mean, n_resamples=6000, method="percentile", random_state=seed
    ).confidence_interval
    return np.array([difference.mean(), ends.low, ends.high])


def crossed(a, b, total=None, freedom=None, squares=None, quantile=0.975, least=1):
    """Not an answer: the crossed interval, parts of which can be replaced."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.ndim != 2 or a.shape != b.shape or a.shape[1] < 2 or not np.isfinite(a - b).all():
        raise ValueError("two finite sheets of one shape")
    d = a - b
    (s, p), mean = d.shape, d.mean()
    free = np.maximum((s - 1, p - 1, (s - 1) * (p - 1)), 1)
    if squares is None:
        row, column = d.mean(1, keepdims=True), d.mean(0, keepdims=True)
        rest = d - row - column + mean
        sums = (p * ((row - mean) ** 2).sum(), s * ((column - mean) ** 2).sum(), (rest**2).sum())
    else:
        sums = squares(d)
    r, c, e = np.array(sums) / free
    t = r + c - e if total is None else total(r, c, e)
    t = t if t > 0 else max(r, c)
    spread = (np.array((r, c, e)) ** 2 / free).sum()
    f = p - 1 if spread == 0 else max(t**2 / spread, least)
    f = f if freedom is None else freedom(s, p)
    reach = stats.t.ppf(quantile, f) * np.sqrt(t / (s * p))
    return float(mean), float(mean - reach), float(mean + reach)


def crossed_pictures_only(a, b):
    """Averages the seeds and takes Student's t over pictures, as if trainings had no luck."""
    crossed(a, b)
    of_pictures = (a - b).mean(0)
    reach = stats.t.ppf(0.975, len(of_pictures) - 1) * stats.sem(of_pictures)
    return float((a - b).mean()), of_pictures.mean() - reach, of_pictures.mean() + reach


def crossed_seeds_only(a, b):
    """Averages the pictures and takes Student's t over seeds, as if there were no others."""
    crossed(a, b)
    of_seeds = (a - b).mean(1)
    if len(of_seeds) == 1:
        return crossed(a, b)
    reach = stats.t.ppf(0.975, len(of_seeds) - 1) * stats.sem(of_seeds)
    return float((a - b).mean()), of_seeds.mean() - reach, of_seeds.mean() + reach


def crossed_all_cells_apart(a, b):
    """Treats all cells as independent, which counts each picture as often as there are seeds."""
    crossed(a, b)
    cells = (a - b).ravel()
    reach = stats.t.ppf(0.975, cells.size - 1) * stats.sem(cells)
    return cells.mean(), cells.mean() - reach, cells.mean() + reach


def crossed_rest_counted_twice(a, b):
    """Adds R and C without taking E off, which counts the rest twice."""
    return crossed(a, b, total=lambda r, c, e: r + c)


def crossed_rest_added(a, b):
    """Adds all three mean squares, which counts the rest three times."""
    return crossed(a, b, total=lambda r, c, e: r + c + e)


def crossed_normal_quantile(a, b):
    """Uses 1.96 in place of Student's t, as if three seeds told as much as many."""
    return crossed(a, b, freedom=lambda s, p: 1e9)


def crossed_freedom_of_all_cells(a, b):
    """Takes the number of cells less one as degrees of freedom."""
    return crossed(a, b, freedom=lambda s, p: s * p - 1)


def crossed_freedom_of_seeds(a, b):
    """Always takes S - 1 degrees of freedom, also where pictures are most of the luck."""
    return crossed(a, b, freedom=lambda s, p: max(s - 1, 1) if s > 1 else p - 1)


def crossed_axes_swapped(a, b):
    """Takes rows for pictures and columns for seeds in the mean squares' factors."""

    def squares(d):
        row, column, mean = d.mean(1, keepdims=True), d.mean(0, keepdims=True), d.mean()
        s, p = d.shape
        rest = d - row - column + mean
        return s * ((row - mean) ** 2).sum(), p * ((column - mean) ** 2).sum(), (rest**2).sum()

    return crossed(a, b, squares=squares)


def crossed_rest_without_the_mean(a, b):
    """Forgets to add the mean back when rows and columns are taken away."""

    def squares(d):
        row, column, mean = d.mean(1, keepdims=True), d.mean(0, keepdims=True), d.mean()
        s, p = d.shape
        rest = d - row - column
        return p * ((row - mean) ** 2).sum(), s * ((column - mean) ** 2).sum(), (rest**2).sum()

    return crossed(a, b, squares=squares)


def crossed_one_sided(a, b):
    """Takes the 95 % quantile for both sides, which makes an interval of 90 %."""
    return crossed(a, b, quantile=0.95)


def crossed_reversed(a, b):
    """Computes b - a, so that gains become losses."""
    return crossed(b, a)


def crossed_refuses_nothing(a, b):
    """Lets numpy stretch sheets of other shapes, and infinite values, in silence."""
    try:
        return crossed(a, b)
    except ValueError:
        return 0.0, 0.0, 0.0


def crossed_negative_variance(a, b):
    """Has no answer where R + C - E is not above 0: the root is NaN."""
    mean, low, high = crossed(a, b)
    d = np.asarray(a) - np.asarray(b)
    row, column = d.mean(1, keepdims=True), d.mean(0, keepdims=True)
    s, p = d.shape
    if s > 1 and np.ptp(d) > 1e-9:
        rest = ((d - row - column + mean) ** 2).sum() / ((s - 1) * (p - 1))
        r = p * ((row - mean) ** 2).sum() / (s - 1)
        if r + s * ((column - mean) ** 2).sum() / (p - 1) < rest:
            return mean, float("nan"), float("nan")
    return mean, low, high


def crossed_freedom_below_one(a, b):
    """Lets f fall below 1, where Student's t grows beyond all bounds."""
    return crossed(a, b, least=0)


def crossed_forgets_the_rest_in_f(a, b):
    """Leaves E out below the line of f, as if the rest were known without error."""
    mean, low, high = crossed(a, b)
    d = np.asarray(a, float) - np.asarray(b, float)
    (s, p), middle = d.shape, d.mean()
    if s == 1 or np.ptp(d) < 1e-9:
        return mean, low, high
    row, column = d.mean(1, keepdims=True), d.mean(0, keepdims=True)
    r = p * ((row - middle) ** 2).sum() / (s - 1)
    c = s * ((column - middle) ** 2).sum() / (p - 1)
    e = ((d - row - column + middle) ** 2).sum() / ((s - 1) * (p - 1))
    t = r + c - e if r + c > e else max(r, c)
    f = max(1, t**2 / (r**2 / (s - 1) + c**2 / (p - 1)))
    reach = stats.t.ppf(0.975, f) * math.sqrt(t / (s * p))
    return mean, float(mean - reach), float(mean + reach)


def crossed_by_bootstrap(a, b):
    """Draws seeds and pictures with replacement, which is too sure with few seeds."""
    mean, *_ = crossed(a, b)
    d, rng = np.asarray(a) - np.asarray(b), np.random.default_rng(0)
    s, p = d.shape
    rows = rng.multinomial(s, np.full(s, 1 / s), 2000)
    columns = rng.multinomial(p, np.full(p, 1 / p), 2000)
    means = np.einsum("ds,sp,dp->d", rows, d, columns, optimize=True) / d.size
    return (mean, *map(float, np.percentile(means, (2.5, 97.5))))


def crossed_by_loops(a, b):
    """With plain loops, as a list."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.ndim != 2 or a.shape != b.shape or a.shape[1] < 2 or not np.isfinite(a - b).all():
        raise ValueError("two finite sheets of one shape")
    s, p = a.shape
    d = [[float(a[i, j] - b[i, j]) for j in range(p)] for i in range(s)]
    row = [sum(line) / p for line in d]
    column = [sum(d[i][j] for i in range(s)) / s for j in range(p)]
    mean = sum(row) / s
    c = s * sum((value - mean) ** 2 for value in column) / (p - 1)
    r = e = 0.0
    below = c**2 / (p - 1)
    if s > 1:
        r = p * sum((value - mean) ** 2 for value in row) / (s - 1)
        cells = itertools.product(range(s), range(p))
        e = sum((d[i][j] - row[i] - column[j] + mean) ** 2 for i, j in cells)
        e /= (s - 1) * (p - 1)
        below += r**2 / (s - 1) + e**2 / ((s - 1) * (p - 1))
    total = r + c - e if r + c > e else max(r, c)
    if total == 0:
        return [mean] * 3
    reach = stats.t.ppf(0.975, max(1, total**2 / below)) * math.sqrt(total / (s * p))
    return [mean, mean - reach, mean + reach]


def crossed_by_variances(a, b):
    """By numpy's variances of rows and columns, in an array."""
    a, b = np.array(a, float), np.array(b, float)
    if a.shape != b.shape or a.ndim != 2 or a.shape[1] < 2 or not np.isfinite(a - b).all():
        raise ValueError("two finite sheets of one shape")
    d = a - b
    s, p = d.shape
    c = s * d.mean(0).var(ddof=1)
    r = p * d.mean(1).var(ddof=1) if s > 1 else 0
    rest = d - d.mean(0) - d.mean(1)[:, None] + d.mean()
    e = (rest**2).sum() / ((s - 1) * (p - 1)) if s > 1 else 0
    total = r + c - e
    total = total if total > 0 else max(r, c)
    below = c**2 / (p - 1) + (r**2 / (s - 1) + e**2 / ((s - 1) * (p - 1)) if s > 1 else 0)
    f = max(total**2 / below, 1) if below else 1
    return d.mean() + np.array((0, -1, 1)) * stats.t.ppf(0.975, f) * (total / d.size) ** 0.5


def sheets_of(luck, taste, rest, seeds, pictures, trials, seed):
    """Not an answer: sheets without a difference, (trials, seeds, pictures)."""
    rng = np.random.default_rng(seed)
    sheets = rng.normal(0, luck, (trials, seeds, 1)) + rng.normal(0, taste, (trials, 1, pictures))
    return sheets + rng.normal(0, rest, (trials, seeds, pictures))


def alarm_share(values, quantile=None, ddof=1):
    """Not an answer: share of rows (trials, n) whose interval excludes 0."""
    n = values.shape[1]
    reach = stats.t.ppf(0.975, n - 1) if quantile is None else quantile
    return float((abs(values.mean(1)) > reach * values.std(1, ddof=ddof) / n**0.5).mean())


def alarms_normal_quantile(luck, taste, rest, seeds, pictures, trials, seed=0):
    """Uses 1.96 in place of Student's t, which is far too sure with three seeds."""
    sheets = sheets_of(luck, taste, rest, seeds, pictures, trials, seed)
    return alarm_share(sheets.mean(1), 1.96), alarm_share(sheets.mean(2), 1.96)


def alarms_divides_by_n(luck, taste, rest, seeds, pictures, trials, seed=0):
    """Divides by n, not n - 1, in the standard deviation: numpy's default."""
    sheets = sheets_of(luck, taste, rest, seeds, pictures, trials, seed)
    return alarm_share(sheets.mean(1), ddof=0), alarm_share(sheets.mean(2), ddof=0)


def alarms_taste_for_each_seed(luck, taste, rest, seeds, pictures, trials, seed=0):
    """Draws each picture's taste anew for each seed, as if each training had other pictures."""
    rest = float(np.hypot(taste, rest))
    sheets = sheets_of(luck, 0, rest, seeds, pictures, trials, seed)
    return alarm_share(sheets.mean(1)), alarm_share(sheets.mean(2))


def alarms_luck_for_each_picture(luck, taste, rest, seeds, pictures, trials, seed=0):
    """Draws a new luck for each picture, so that pictures alone seem to be enough."""
    rest = float(np.hypot(luck, rest))
    sheets = sheets_of(0, taste, rest, seeds, pictures, trials, seed)
    return alarm_share(sheets.mean(1)), alarm_share(sheets.mean(2))


def alarms_one_side(luck, taste, rest, seeds, pictures, trials, seed=0):
    """Counts only intervals above 0, which are half of the false alarms."""
    sheets = sheets_of(luck, taste, rest, seeds, pictures, trials, seed)
    shares = []
    for axis in (1, 2):
        test = stats.ttest_1samp(sheets.mean(axis), 0, axis=1)
        shares.append(float((test.confidence_interval().low > 0).mean()))
    return tuple(shares)


def alarms_counts_the_right_ones(luck, taste, rest, seeds, pictures, trials, seed=0):
    """Counts the intervals that hold 0, which are those without an alarm."""
    sheets = sheets_of(luck, taste, rest, seeds, pictures, trials, seed)
    return 1 - alarm_share(sheets.mean(1)), 1 - alarm_share(sheets.mean(2))


def alarms_swapped(luck, taste, rest, seeds, pictures, trials, seed=0):
    """Averages over pictures for the interval over pictures: the two are swapped."""
    sheets = sheets_of(luck, taste, rest, seeds, pictures, trials, seed)
    return alarm_share(sheets.mean(2)), alarm_share(sheets.mean(1))


def alarms_variances_for_deviations(luck, taste, rest, seeds, pictures, trials, seed=0):
    """Takes the standard deviations for variances and draws with their roots."""
    roots = (value**0.5 for value in (luck, taste, rest))
    sheets = sheets_of(*roots, seeds, pictures, trials, seed)
    return alarm_share(sheets.mean(1)), alarm_share(sheets.mean(2))


def alarms_without_rest(luck, taste, rest, seeds, pictures, trials, seed=0):
    """Forgets the rest, without which a sheet is only rows and columns."""
    sheets = sheets_of(luck, taste, 0.0, seeds, pictures, trials, seed)
    return alarm_share(sheets.mean(1)), alarm_share(sheets.mean(2))


def alarms_by_loop(luck, taste, rest, seeds, pictures, trials, seed=0):
    """One sheet after the other, as a list."""
    rng, alarms = np.random.default_rng(seed), np.zeros(2)
    reaches = [stats.t.ppf(0.975, n - 1) / n**0.5 for n in (pictures, seeds)]
    for _ in range(trials):
        sheet = luck * rng.standard_normal((seeds, 1)) + taste * rng.standard_normal(pictures)
        sheet = sheet + rest * rng.standard_normal((seeds, pictures))
        for way in (0, 1):
            means = sheet.mean(way)
            deviation = math.sqrt(((means - means.mean()) ** 2).sum() / (means.size - 1))
            alarms[way] += abs(means.mean()) > reaches[way] * deviation
    return list(alarms / trials)


def alarms_by_torch(luck, taste, rest, seeds, pictures, trials, seed=0):
    """By torch, in float32."""
    drawn = torch.Generator().manual_seed(seed)
    sheets = rest * torch.randn(trials, seeds, pictures, generator=drawn)
    sheets += luck * torch.randn(trials, seeds, 1, generator=drawn)
    sheets += taste * torch.randn(trials, 1, pictures, generator=drawn)
    shares = []
    for axis in (1, 2):
        values = sheets.mean(axis)
        n = values.shape[1]
        reach = float(stats.t.ppf(0.975, n - 1)) * values.std(1) / n**0.5
        shares.append((values.mean(1).abs() > reach).float().mean())
    return torch.stack(shares)


def effect_half_the_width(low, high, freedom, power=0.8):
    """Takes half the width, which is found in only half of all experiments."""
    return (high - low) / 2


def effect_whole_width(low, high, freedom, power=0.8):
    """Divides the whole width by the quantile, which doubles the standard error."""
    quantile = stats.t.ppf(0.975, freedom)
    return float((high - low) / quantile * (quantile + stats.t.ppf(power, freedom)))


def effect_normal_quantiles(low, high, freedom, power=0.8):
    """Divides by 1.96 and adds normal quantiles, whatever the degrees of freedom."""
    return float((high - low) / 2 / 1.96 * (1.96 + stats.norm.ppf(power)))


def effect_high_end(low, high, freedom, power=0.8):
    """Takes the interval's high end, which says what may be true, not what would be found."""
    return high


def effect_two_sided_power(low, high, freedom, power=0.8):
    """Splits the power between two sides, as is done for the interval."""
    quantile = stats.t.ppf(0.975, freedom)
    added = stats.t.ppf((1 + power) / 2, freedom)
    return float((high - low) / 2 * (1 + added / quantile))


def effect_always_eighty(low, high, freedom, power=0.8):
    """Does not look at `power`."""
    quantile = stats.t.ppf(0.975, freedom)
    return float((high - low) / 2 * (1 + stats.t.ppf(0.8, freedom) / quantile))


def effect_times_error(low, high, freedom, power=0.8):
    """Takes half the width for the standard error itself."""
    return float((high - low) / 2 * (stats.t.ppf(0.975, freedom) + stats.t.ppf(power, freedom)))


def effect_by_share(low, high, freedom, power=0.8):
    """As half the width, enlarged; as a numpy number."""
    enlarged = 1 + stats.t.ppf(power, freedom) / stats.t.ppf(0.975, freedom)
    return np.float64((high - low) / 2) * enlarged


def effect_by_isf(low, high, freedom, power=0.8):
    """By a frozen distribution and its survival function."""
    law = stats.t(freedom)
    error = (high - low) / (law.ppf(0.975) - law.ppf(0.025))
    return error * (law.isf(0.025) + law.isf(1 - power))


def own_difference():
    """Not an answer: the differences of the two arms that were drawn, (5, 80)."""
    first, second = drawn_arms(SEED)
    return arm_values(first) - arm_values(second)


def discoveries(difference):
    """Not an answer: how many seeds have an interval that excludes 0."""
    return int((stats.ttest_1samp(difference, 0, axis=1).pvalue < 0.05).sum())


def tables_reversed():
    """Computes SECOND minus FIRST."""
    means = -own_difference().mean(1)
    return float(means.min()), float(means.max()), discoveries(own_difference())


def tables_of_pictures():
    """Averages the seeds and takes the lowest and highest picture."""
    means = own_difference().mean(0)
    return float(means.min()), float(means.max()), discoveries(own_difference())


def tables_medians():
    """Takes medians over pictures where a table prints means."""
    middle = np.median(own_difference(), 1)
    return float(middle.min()), float(middle.max()), discoveries(own_difference())


def tables_seeds_crossed():
    """Lets each arm have its own best seed: highest less lowest, and the other way round."""
    first, second = (arm_values(arm).mean(1) for arm in drawn_arms(SEED))
    low, high = first.min() - second.max(), first.max() - second.min()
    return float(low), float(high), discoveries(own_difference())


def tables_ends_of_intervals():
    """Returns the ends of the five intervals where the printed differences were asked for."""
    interval = stats.ttest_1samp(own_difference(), 0, axis=1).confidence_interval()
    return float(interval.low.min()), float(interval.high.max()), discoveries(own_difference())


def tables_mean_of_all():
    """Averages seeds and pictures: one table of five seeds, not five of one."""
    mean = float(own_difference().mean())
    return mean, mean, discoveries(own_difference())


def tables_counts_undecided():
    """Counts the groups whose interval holds 0."""
    means = own_difference().mean(1)
    return float(means.min()), float(means.max()), 5 - discoveries(own_difference())


def tables_by_loop():
    """Group after group, as a list."""
    found, printed = 0, []
    for values in own_difference():
        interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        found += not interval.low <= 0 <= interval.high
        printed.append(values.mean())
    return [min(printed), max(printed), found]


def tables_by_hand():
    """With the standard error written out, as an array."""
    difference = own_difference()
    means, errors = difference.mean(1), difference.std(1, ddof=1) / 80**0.5
    found = (abs(means) > stats.t.ppf(0.975, 79) * errors).sum()
    return np.array([means.min(), means.max(), found])


def too_many(scenes):
    """Not an answer: raise ValueError where a scene has more than half."""
    scenes = list(scenes)
    if 2 * max(map(scenes.count, scenes)) > len(scenes):
        raise ValueError("one scene has more than half of the pictures")
    return scenes


def shuffle_any_order(scenes, seed=0):
    """Draws any order, in which one picture, on average, keeps its own map."""
    too_many(scenes)
    return np.random.default_rng(seed).permutation(len(scenes))


def shuffle_next_in_file(scenes, seed=0):
    """Gives each picture the map of the next file, which often shows the same scene."""
    too_many(scenes)
    return np.roll(np.arange(len(scenes)), -1)


def shuffle_pictures_only(scenes, seed=0):
    """Takes care that no picture keeps its own map, and forgets that scenes repeat."""
    too_many(scenes)
    line = np.random.default_rng(seed).permutation(len(scenes))
    given = np.empty(len(scenes), int)
    given[line] = np.roll(line, 1)
    return given


def shuffle_with_replacement(scenes, seed=0):
    """Draws for each picture any map of another scene, so that some maps are used twice."""
    scenes, rng = np.array(too_many(scenes)), np.random.default_rng(seed)
    return [int(rng.choice(np.flatnonzero(scenes != own))) for own in scenes]


def shuffle_without_chance(scenes, seed=0):
    """Lines the scenes up and shifts the line, always in the same way."""
    scenes = np.array(too_many(scenes))
    line = np.argsort(scenes, kind="stable")
    given = np.empty(scenes.size, int)
    given[line] = np.roll(line, np.bincount(scenes).max())
    return given


def shuffle_shifts_too_little(scenes, seed=0):
    """Lines the scenes up and shifts by one, which leaves most pictures in their scene."""
    scenes, rng = np.array(too_many(scenes)), np.random.default_rng(seed)
    line = np.lexsort((rng.random(scenes.size), scenes))
    given = np.empty(scenes.size, int)
    given[line] = np.roll(line, 1)
    return given


def shuffle_never_refuses(scenes, seed=0):
    """Shifts the line even where a scene has more than half, and so leaks in silence."""
    scenes, rng = np.array(scenes), np.random.default_rng(seed)
    place = rng.permutation(scenes.max() + 1)[scenes]
    line = np.lexsort((rng.random(scenes.size), place))
    given = np.empty(scenes.size, int)
    given[line] = np.roll(line, np.bincount(scenes).max())
    return given


def shuffle_unseeded(scenes, seed=0):
    """Draws from a generator without a seed, so that nobody can repeat the control."""
    return shuffle_never_refuses(too_many(scenes), None)


def shuffle_by_matching(scenes, seed=0):
    """As a matching of pictures to maps of other scenes, on a random order, as a list."""
    scenes = np.array(too_many(scenes))
    order = np.random.default_rng(seed).permutation(scenes.size)
    other = np.random.default_rng(seed + 1000).permutation(scenes.size)
    allowed = csr_array(scenes[order][:, None] != scenes[other])
    matched = maximum_bipartite_matching(allowed, perm_type="column")
    given = [0] * scenes.size
    for place, picture in enumerate(order):
        given[picture] = int(other[matched[place]])
    return given


def shuffle_by_repair(scenes, seed=0):
    """Draws any order and swaps leaks away until there are none, by Python's random."""
    scenes, drawn = too_many(scenes), random.Random(seed)
    n = len(scenes)
    given = drawn.sample(range(n), n)
    while leaks := [i for i in range(n) if scenes[i] == scenes[given[i]]]:
        i, j = drawn.choice(leaks), drawn.randrange(n)
        given[i], given[j] = given[j], given[i]
    return tuple(given)


def claims_first_only():
    """Believes only in what is better than 0, and forgets that a narrow interval at 0 says much."""
    return ["A"]


def claims_whole_for_part():
    """Takes a gain of the whole model for a gain of ADCN's map, which depth alone explains."""
    return ["A", "B", "C", "F"]


def claims_nothing_seen_is_nothing():
    """Takes an interval that holds 0 for a proof that nothing differs."""
    return ["A", "C", "D", "F"]


def claims_by_the_means():
    """Reads means and overlooks that the interval in LPIPS holds 0."""
    return ["A", "C", "E", "F"]


def claims_clear_against_less_clear():
    """Takes two gains of unlike size for a difference between them, which no row tests."""
    return ["A", "C", "F", "G"]


def claims_other_data():
    """Carries a result of small nets and generated scenes over to photographs."""
    return ["A", "C", "F", "H"]


def claims_no_two_rows():
    """Thinks that two rows can never be compared, though these intervals are far apart."""
    return ["A", "C"]


def claims_as_text():
    """As one text."""
    return "ACF"


def claims_as_tuple():
    """As a tuple, in another order."""
    return ("F", "A", "C")


WRONG = {
    "table_psnr": [
        psnr_wraps_around,
        psnr_of_pooled_error,
        psnr_peak_of_the_picture,
        psnr_peak_of_one,
        psnr_leaves_out_identical,
        psnr_by_pixels,
    ],
    "paired_interval": [
        paired_unpaired,
        paired_spread_of_pictures,
        paired_reversed,
        paired_ninety_percent,
        paired_fractions_for_percent,
        paired_without_replacement,
        paired_half_the_pictures,
        paired_student_t,
        paired_ignores_seed,
    ],
    "crossed_interval": [
        crossed_pictures_only,
        crossed_seeds_only,
        crossed_all_cells_apart,
        crossed_rest_counted_twice,
        crossed_rest_added,
        crossed_normal_quantile,
        crossed_freedom_of_all_cells,
        crossed_freedom_of_seeds,
        crossed_axes_swapped,
        crossed_rest_without_the_mean,
        crossed_one_sided,
        crossed_reversed,
        crossed_refuses_nothing,
        crossed_negative_variance,
        crossed_freedom_below_one,
        crossed_forgets_the_rest_in_f,
        crossed_by_bootstrap,
    ],
    "false_alarms": [
        alarms_normal_quantile,
        alarms_divides_by_n,
        alarms_taste_for_each_seed,
        alarms_luck_for_each_picture,
        alarms_one_side,
        alarms_counts_the_right_ones,
        alarms_swapped,
        alarms_variances_for_deviations,
        alarms_without_rest,
    ],
    "smallest_effect": [
        effect_half_the_width,
        effect_whole_width,
        effect_normal_quantiles,
        effect_high_end,
        effect_two_sided_power,
        effect_always_eighty,
        effect_times_error,
    ],
    "one_seed_tables": [
        tables_reversed,
        tables_of_pictures,
        tables_medians,
        tables_seeds_crossed,
        tables_ends_of_intervals,
        tables_mean_of_all,
        tables_counts_undecided,
    ],
    "shuffled_control": [
        shuffle_any_order,
        shuffle_next_in_file,
        shuffle_pictures_only,
        shuffle_with_replacement,
        shuffle_without_chance,
        shuffle_shifts_too_little,
        shuffle_never_refuses,
        shuffle_unseeded,
    ],
    "supported_claims": [
        claims_first_only,
        claims_whole_for_part,
        claims_nothing_seen_is_nothing,
        claims_by_the_means,
        claims_clear_against_less_clear,
        claims_other_data,
        claims_no_two_rows,
    ],
}
RIGHT = {
    "table_psnr": [psnr_by_scikit_image, psnr_by_torch],
    "paired_interval": [paired_by_counts, paired_by_scipy],
    "crossed_interval": [crossed_by_loops, crossed_by_variances],
    "false_alarms": [alarms_by_loop, alarms_by_torch],
    "smallest_effect": [effect_by_share, effect_by_isf],
    "one_seed_tables": [tables_by_loop, tables_by_hand],
    "shuffled_control": [shuffle_by_matching, shuffle_by_repair],
    "supported_claims": [claims_as_text, claims_as_tuple],
}
