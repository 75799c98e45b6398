# %% [markdown]
# # Assignment 5: Evidence
#
# A paper prints a table. One row is bold, its number is 0.07<!-- paper --> dB higher than the next, and the text says "outperforms". Is that a discovery, or would the order have been different with other pictures, or if somebody had trained the same nets once more? In this
# assignment you learn to answer that. You build the interval that this book puts beside each of its differences, you find out how often simpler intervals cry wolf, you make the control that separates what a map *says* from the weights that read it, and you decide which sentences a table can carry. At the end there is
# a picture to keep: your table, with intervals that your own function computed.
#
# You do not train anything. A hundred trainings have been done for you: twenty arms of an ablation with five seeds each, and for each training the PSNR of 80 test pictures. What is left is the part that most papers skip.
#
# **Before this**: [chapter 12](../12_metrics_and_protocol.ipynb) (PSNR, the bootstrap), [chapter 13](../13_table1.ipynb) (two kinds of luck), [chapter 14](../14_table2.ipynb) (the ablation whose results you use, its arms and its controls). Means, variances, Student's t.
#
# **Time**: about four hours for you: the minutes that stand at the questions, and half an hour to read the rest. Under 15 seconds for one core of a laptop, or half a minute with plain loops. 30 points, 23 of them marked by tests. No download, no GPU.
#
# **How it is marked.** Write each function in place of the line that raises an error. The cell below it tests the most common mistakes; when the work is marked, more tests run on other data. Each question is tested by itself, so a mistake in one costs nothing in another.

# %% [markdown]
# ## Set-up

# %% tags=["hide-input", "setup"] mystnb={"code_prompt_show": "Show the set-up", "code_prompt_hide": "Hide the set-up"}
# On Colab this fetches the book's package; elsewhere it is there already.
from importlib.util import find_spec

if find_spec("bradcn_nb") is None:
    raise ModuleNotFoundError("no bradcn_nb: the page On Colab says how")

# %% tags=["given"]
import numpy as np
from matplotlib import pyplot as plt
from scipy import stats

from bradcn_nb.experiments.record import result
from bradcn_nb.figures.plots import COLOURS, INK, use_style

use_style()

# %% [markdown]
# One question below draws its data with a number. If your course has given you one, put it in place of 0; without a course, leave the 0.

# %% tags=["given", "seed"]
SEED = 0

# %% [markdown]
# Everything that was measured is in one file. An **arm** is one row of the ablation: `render` has no depth, `depth` has predicted depth (Eq. 1), `full` has the error map of ADCN, too (Eq. 3), `shuffled` has ADCN's map *of another picture*, and so on. Two trainings of different arms with the same seed
# saw the same pictures in the same order; all were judged on the same 80 pictures.

# %% tags=["given"]
RECORDS = result("table2-images")
SEEDS = range(5)


def sheet(arm, metric="psnr"):
    """One value a training and picture, (5 seeds, 80 pictures)."""
    return np.array([RECORDS[f"{arm}/{seed}"][metric] for seed in SEEDS])


# %%
print("arms:", *dict.fromkeys(r["arm"] for r in RECORDS.values()))
print("PSNR of 'full':", sheet("full").shape, "in dB")

# %% [markdown]
# ## 1. The number in the table
#
# Before you can doubt a number you have to be able to make it. A table's PSNR is the **mean of the pictures' PSNRs**, and each of these compares two pictures of 8 bits, whose largest value is 255:
#
# $$\text{PSNR} = 10 \log_{10} \frac{255^2}{\text{MSE}}\ \text{dB}, \qquad \text{MSE} = \text{mean of } (a - b)^2 \text{ over pixels and colours.}$$
#
# Here is the smallest example. Two pictures have a mean squared error of 1 and of 100. Their PSNRs are 48.13 and 28.13 dB, so the table prints 38.13 dB.
#
# > **Guess first.** Suppose you first pool the squared errors, and then take the logarithm once. Is the number that comes out larger or smaller?
# > <details><summary>Answer</summary>Smaller: the pooled error is 50.5, which gives 31.10 dB. The bad picture has nearly all of the error, so it decides alone. A difference of this kind between two papers has nothing to do with their methods.</details>
#
# **Question 1** (★, 15 min, 2 points). Write `table_psnr`. Two pictures that are the same have an infinite PSNR, which no mean survives; so the PSNR of a single picture is capped at 100 dB. Pictures may have different sizes, and each counts as much as any other.


# %% answer="table_psnr"
def table_psnr(
    truths: list[np.ndarray],
    pictures: list[np.ndarray],
) -> float:
    """Mean PSNR in dB of uint8 pictures (H, W, 3), each capped at 100 dB.

    `truths` and `pictures` are lists in the same order; a truth and its
    picture have one size, another pair may have another.
    """
    ### BEGIN SOLUTION
    values = []
    for truth, picture in zip(truths, pictures, strict=True):
        mse = np.mean((truth.astype(float) - picture) ** 2)
        exact = np.inf if mse == 0 else 10 * np.log10(255**2 / mse)
        values.append(min(exact, 100.0))
    return float(np.mean(values))
    ### END SOLUTION


# %% test="table_psnr" points=2
zero = np.zeros((2, 3, 3), np.uint8)
got = table_psnr([zero], [zero + np.uint8(255)])
assert got is not None, "your function returned nothing: is there a return?"
assert abs(got) < 1e-9, "black against white is 0 dB: the peak is 255"
got = table_psnr([zero + np.uint8(3)], [zero + np.uint8(5)])
assert abs(got - 42.1102) < 1e-3, "in uint8, 3 - 5 is 254: make floats first"
large = np.zeros((4, 3, 3), np.uint8)
got = table_psnr([zero, large], [zero + np.uint8(1), large + np.uint8(10)])
assert abs(got - 38.1308) < 1e-3, (
    "a mean of PSNRs, not one PSNR of all; a large picture counts like a small"
)
got = table_psnr([zero, zero], [zero, zero + np.uint8(1)])
assert abs(got - 74.0654) < 1e-3, "identical pictures count with 100 dB"

# %% [markdown]
# ## 2. Other pictures
#
# The test set is a sample. With 80 other pictures the mean would be another, and the question is by how much. One arm's mean is uncertain by nearly a decibel, because pictures differ a lot: a plain wall is easy, a hedge is hard. But it is hard *for both arms*. Therefore we subtract picture by picture, and only then ask how uncertain the mean is.
#
# The **bootstrap** asks the sample itself. Draw as many pictures as there are, with replacement; take the mean of the differences that were drawn; do this ten thousand times. The middle 95 % of the means are the interval.
#
# **Question 2** (★★, 20 min, 3 points). Write `paired_interval` in this way, with at least 5,000 draws. The mean that it returns is that of the pictures themselves, not of the draws.


# %% answer="paired_interval"
def paired_interval(
    a: np.ndarray,
    b: np.ndarray,
    seed: int = 0,
) -> tuple[float, float, float]:
    """(mean, low, high) of a - b: its 95 % bootstrap interval over pictures.

    `a` and `b` have one value a picture, in the same order. All random
    numbers come from a generator of `seed`: the same seed gives the same
    interval, another seed draws others.
    """
    ### BEGIN SOLUTION
    difference = np.asarray(a, float) - np.asarray(b, float)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, difference.size, (10_000, difference.size))
    low, high = np.percentile(difference[drawn].mean(1), (2.5, 97.5))
    return float(difference.mean()), float(low), float(high)
    ### END SOLUTION


# %% test="paired_interval" points=3
a = np.array([20.0, 25.0, 30.0, 35.0, 40.0, 22.0, 28.0, 33.0])
gains = 0.1337, 0.5219, 0.3071, 0.2683, 0.1829, 0.4391, 0.0467, 0.5003
b = a - np.array(gains)
got = paired_interval(a, b, 0)
assert got is not None, "your function returned nothing: is there a return?"
mean, low, high = map(float, got)
assert abs(mean - 0.3) < 1e-6, "the mean of a - b comes first"
assert low < mean < high, "the mean lies inside its interval"
assert high - low < 1, "far too wide: draw differences, not a and b apart"
assert high - low > 0.1, "too narrow: draw with replacement, n of n pictures"
assert abs(high - low - 0.226) < 0.015, (
    "eight pictures: the ends hold 95 % of the means, not 90 %, and they are "
    "points of the draws, not Student's t"
)
again = tuple(map(float, paired_interval(a, b, 0)))
assert again == (mean, low, high), "the same seed, the same interval"
other = tuple(map(float, paired_interval(a, b, 1)))
assert other != again, "another seed, other draws: does rng get `seed`?"

# %% [markdown]
# What pairing is worth can be seen at once. We take one training of `depth` and one of `render`.

# %% mystnb={"image": {"alt": "Two panels with intervals on scales that both span 3 decibels. Left: the mean PSNR of the two arms, each with an interval more than one and a half decibels wide; they overlap almost completely. Right: their difference, with an interval a few tenths wide that lies above zero."}}
one, other = sheet("depth")[0], sheet("render")[0]
rows = {
    "depth": paired_interval(one, np.zeros(80)),
    "render": paired_interval(other, np.zeros(80)),
    "depth - render": paired_interval(one, other),
}
figure, axes = plt.subplots(1, 2, figsize=(7.5, 1.8))
for row, (mean, low, high) in enumerate(rows.values()):
    axis = axes[0] if row < 2 else axes[1]
    height = 1 - row if row < 2 else 0.5
    axis.plot([low, high], [height, height], color=COLOURS[0])
    axis.plot(mean, height, "o", color=COLOURS[0])
axes[0].set(yticks=[0, 1], yticklabels=["render", "depth"])
axes[0].set(xlabel="PSNR, dB", xlim=(26.3, 29.3), title="each by itself")
axes[1].set(yticks=[0.5], yticklabels=["depth - render"], xlim=(-1.5, 1.5))
axes[1].set(xlabel="difference, dB", title="picture by picture")
axes[1].axvline(0, color=INK, lw=1)
for axis in axes:
    axis.set_ylim(-0.6, 1.6)
plt.show()

# %% [markdown]
# By themselves the two arms cannot be told apart, since their intervals overlap almost completely. Picture by picture they can: `depth` is better by 0.23 dB, and the interval lies above 0. (So "the intervals overlap" is no argument that two rows are the same, if both were measured on the same pictures.)

# %% tags=["claim", "hide-cell"]
# checks the numbers in the text above
assert abs((one - other).mean() - 0.23) < 0.006

# %% [markdown]
# ## 3. Other pictures and other seeds
#
# So far one training stood for its arm. Train it again with another seed, and the weights are others. Look at *all* differences of two arms at once, as a sheet with one row a seed and one column a picture.

# %% mystnb={"image": {"alt": "A sheet of coloured cells, five seeds by eighty pictures, with a scale from -1 to 1 dB at the far right: blue where the fine-tuned arm is worse and red where it is better. Above it the mean of each column as bars up and down; right of it the mean of each row: two of five are clearly negative, the others near zero."}}
difference = sheet("tuned-full") - sheet("full")
ratios = {"width_ratios": (5, 1), "height_ratios": (1, 1.3)}
figure, axes = plt.subplots(2, 2, figsize=(7.5, 2.9), **ratios)
axes[0, 1].axis("off")
axes[0, 0].bar(range(80), difference.mean(0), color=COLOURS[0], width=0.8)
axes[0, 0].set(xlim=(-0.5, 79.5), ylabel="dB", title="mean of each picture")
shown = {"cmap": "coolwarm", "vmin": -1, "vmax": 1, "aspect": "auto"}
cells = axes[1, 0].imshow(difference, **shown)
scale = figure.colorbar(cells, ax=axes[1], extend="both", ticks=(-1, 0, 1))
scale.set_label("difference, dB")
axes[1, 0].set(xlabel="picture", ylabel="seed", yticks=SEEDS)
axes[1, 0].grid(False)
axes[1, 1].barh(SEEDS, difference.mean(1), color=COLOURS[1])
axes[1, 1].set(ylim=(4.5, -0.5), yticks=SEEDS, xlabel="dB")
axes[1, 1].set_title("mean of each seed")
plt.show()

# %% [markdown]
# These are `tuned-full` minus `full`: what it brings to fine-tune the depth net along with the rest; red is better, and beyond 1 dB the colour stays the same. Columns differ, because some pictures suit the first arm and some the second. And rows differ: seeds 1 and 3 lose 0.2 to 0.3 dB, the other three lose or gain almost nothing.
# Anyone who trained seed 3 alone would have reported a loss, and anyone who trained seed 2 alone, nothing.

# %% tags=["claim", "hide-cell"]
# checks the numbers in the text above
by_seed = difference.mean(1)
assert (by_seed[[1, 3]] < -0.2).all() and (by_seed[[1, 3]] > -0.35).all()
assert (abs(by_seed[[0, 2, 4]]) < 0.03).all()

# %% [markdown]
# So how uncertain is the mean of the whole sheet? Think of each cell as a sum of four parts, of which the last three are drawn at random and independently:
#
# $$d_{sp} = \text{true difference} + \text{luck of the seed } s + \text{taste of the picture } p + \text{rest}_{sp}.$$
#
# The **luck of a seed** is how far this training favours the first arm, on all pictures alike. The **taste of a picture** is how far this picture favours the first arm, in all trainings alike. The **rest** is what neither explains. Call their variances $\sigma_s^2$, $\sigma_p^2$ and $\sigma_r^2$. The mean of the sheet averages the luck of
# $S$ seeds, the taste of $P$ pictures and the rest of $SP$ cells, and therefore its variance is
#
# $$V = \frac{\sigma_s^2}{S} + \frac{\sigma_p^2}{P} + \frac{\sigma_r^2}{SP}.$$
#
# We do not know the three variances, but the sheet does. Take three **mean squares**: of the rows' means $\bar d_s$, of the columns' means $\bar d_p$, and of what is left when both are taken away.
#
# | mean square | how it is computed | its expected value |
# |---|---|---|
# | $R$, rows | $P \sum_s (\bar d_s - \bar d)^2 / (S - 1)$ | $P \sigma_s^2 + \sigma_r^2$ |
# | $C$, columns | $S \sum_p (\bar d_p - \bar d)^2 / (P - 1)$ | $S \sigma_p^2 + \sigma_r^2$ |
# | $E$, the rest | $\sum_{sp} (d_{sp} - \bar d_s - \bar d_p + \bar d)^2 / ((S-1)(P-1))$ | $\sigma_r^2$ |
#
# You met what to do with them in [chapter 13](../13_table1.ipynb), exercise 1: the combination $T = R + C - E$ estimates $SP \cdot V$. The last column says why. $SP \cdot V = P\sigma_s^2 + S\sigma_p^2 + \sigma_r^2$ has the rest once, whereas $R + C$ has it twice. (It is easy to add all three, but the rest is in each of them.)
#
# The root of $T / (SP)$ is the **standard error**. An interval reaches from the mean by the standard error times the 97.5 % quantile of Student's t, because few seeds know little about how seeds spread. With how many degrees of freedom? Satterthwaite's answer, for a sum $T$ of mean squares (with any signs):
#
# $$f = \frac{T^2}{\dfrac{R^2}{S-1} + \dfrac{C^2}{P-1} + \dfrac{E^2}{(S-1)(P-1)}}.$$
#
# Try it by hand on the smallest sheet, two seeds and two pictures with the differences $\begin{pmatrix}0 & 2\\ 2 & 8\end{pmatrix}$: the mean is 3, $R = C = 16$ and $E = 4$, the standard error is $\sqrt 7$, and $f$ is 1.48.
#
# So far this is the exercise of chapter 13, and you may begin with your solution of it. It serves the sheets that one expects. A function on which a table rests must serve all of them, and four cases need care.
#
# - **One seed** has neither $R$ nor $E$. Leave both out, in $f$, too: what remains is Student's t over the pictures.
# - **$T$ is not above 0**, which happens when $E$ is large by chance. Then take the larger of $R$ and $C$ as $T$, in the standard error and in $f$. Below the line of $f$ all three terms stay.
# - **$f$ below 1** counts as 1.
# - **All differences are the same.** Then all three mean squares are 0, $f$ is 0/0, and the interval is the mean itself, three times.
#
# **Question 3** (★★★, 35 min, 5 points). Write `crossed_interval`. Raise ValueError unless `a` and `b` have the same shape (seeds, pictures), with two pictures or more, and all of their values are finite.


# %% answer="crossed_interval"
def crossed_interval(
    a: np.ndarray,
    b: np.ndarray,
) -> tuple[float, float, float]:
    """(mean, low, high) of a - b, 95 %, over other seeds and other pictures.

    `a` and `b` are (seeds, pictures), in the same order.
    """
    ### BEGIN SOLUTION
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.ndim != 2 or a.shape != b.shape or a.shape[1] < 2:
        raise ValueError("need two sheets (seeds, pictures) of one shape")
    d = a - b
    if not np.isfinite(d).all():
        raise ValueError("values must be finite")
    (S, P), mean = d.shape, d.mean()
    row, column = d.mean(1, keepdims=True), d.mean(0, keepdims=True)
    C = S * ((column - mean) ** 2).sum() / (P - 1)
    R, E, spread = 0.0, 0.0, C**2 / (P - 1)
    if S > 1:
        R = P * ((row - mean) ** 2).sum() / (S - 1)
        rest = d - row - column + mean
        E = (rest**2).sum() / ((S - 1) * (P - 1))
        spread += R**2 / (S - 1) + E**2 / ((S - 1) * (P - 1))
    T = R + C - E
    if T <= 0:
        T = max(R, C)
    freedom = max(T**2 / spread, 1) if spread > 0 else P - 1
    reach = stats.t.ppf(0.975, freedom) * np.sqrt(T / (S * P))
    return float(mean), float(mean - reach), float(mean + reach)
    ### END SOLUTION


# %% test="crossed_interval" points=5
small = np.array([[0.0, 2.0], [2.0, 8.0]])
got = crossed_interval(small, np.zeros((2, 2)))
assert got is not None, "your function returned nothing: is there a return?"
mean, low, high = got
assert abs(mean - 3) < 1e-9, "the mean of all differences a - b comes first"
wanted = 7**0.5 * stats.t.ppf(0.975, 784 / 528)
assert abs((high - low) / 2 - wanted) < 1e-6, (
    "2x2 example: its standard error is the root of 7, and f is 784 / 528"
)
assert abs((high + low) / 2 - 3) < 1e-9, "the mean is in the middle"
mean, low, high = crossed_interval(small[:1], np.zeros((1, 2)))
wanted = stats.t.ppf(0.975, 1)
assert abs((high - low) / 2 - wanted) < 1e-6, "one seed: t over pictures"
got = crossed_interval(small + 1, small)
assert np.allclose(got, 1), "1 dB in each cell is 1 dB, without a doubt"
unsure = np.array([[10.0, 4.0], [2.0, 4.0]])
_, low, high = crossed_interval(unsure, np.zeros((2, 2)))
wanted = stats.t.ppf(0.975, 1)
assert abs((high - low) / 2 - wanted) < 1e-6, "f is 1/33 here: it counts as 1"
board = np.tile([[1.0, -3.0, 3.0, -1.0], [-3.0, 1.0, -1.0, 3.0]], (2, 1))
_, low, high = crossed_interval(board, np.zeros((4, 4)))
wanted = 3**-0.5 * stats.t.ppf(0.975, 81 / 43)
assert abs((high - low) / 2 - wanted) < 1e-6, (
    "R, C, E are 0, 16/3, 64/9 here: T is C, and f 81 / 43, E in it, too"
)
for what, bad in {
    "two shapes": np.zeros((2, 3)),
    "an infinite value": np.array([[0.0, np.inf], [1.0, 2.0]]),
}.items():
    try:
        crossed_interval(small, bad)
    except ValueError:
        pass
    else:
        raise AssertionError(f"{what} should raise ValueError")

# %% [markdown]
# Here is the sheet from above, judged in three ways.

# %%
a, b = sheet("tuned-full"), sheet("full")
ways = {
    "pictures alone": stats.ttest_1samp((a - b).mean(0), 0),
    "seeds alone": stats.ttest_1samp((a - b).mean(1), 0),
}
for name, test in ways.items():
    interval = test.confidence_interval()
    print(f"{name:20}{interval.low:+.3f} to {interval.high:+.3f} dB")
mean, low, high = crossed_interval(a, b)
print(f"{'seeds and pictures':20}{low:+.3f} to {high:+.3f} dB")

# %% [markdown]
# Pictures alone say that fine-tuning does harm. The interval that knows of seeds, too, holds 0: with the five seeds that there are we cannot tell. (Seeds alone say nearly the same here, because the luck of the trainings is most of the luck. They are wrong where it is not, as you will see.)
#
# ## 4. How often does an interval cry wolf?
#
# Which of the three should you believe? The bundled data cannot say, because there we do not know the truth. So we make data whose truth we know: sheets in which **nothing differs**. A 95 % interval that excludes 0 there is a **false alarm**, and 5 % of all sheets should raise one.
#
# > **Guess first.** Five seeds, 80 pictures; the luck of a seed has a standard deviation of 0.06 dB, the taste of a picture one of 0.3 dB, the rest one of 0.15 dB. How often does Student's t over the pictures, with the seeds averaged, raise a false alarm? And over the seeds, with the pictures averaged?
# > <details><summary>Answer</summary>On 12 % and on 15 % of the sheets, where both should be 5 %. "I averaged five seeds" is no protection: the mean of five strokes of luck is still luck, and an interval over pictures cannot see it, since it shifts all pictures alike.</details>
#
# **Question 4** (★★, 25 min, 3 points). Write `false_alarms`. Make `trials` sheets by the sum of section 3 with a true difference of 0, all parts normal with the standard deviations that are given. The luck of a seed is the same for all of its pictures, and the taste of a picture is the same for all seeds. For each sheet compute two 95 %
# intervals by Student's t: one from the pictures' means, one from the seeds' means. Return the two shares of the sheets whose interval excludes 0. (Plain loops are fine, if slow. One array of all sheets, trials × seeds × pictures, is a hundred times as fast. Mind that `std` of numpy divides by n unless you say `ddof=1`.)


# %% answer="false_alarms"
def false_alarms(
    luck: float,
    taste: float,
    rest: float,
    seeds: int,
    pictures: int,
    trials: int,
    seed: int = 0,
) -> tuple[float, float]:
    """Shares of false alarms (by pictures alone, by seeds alone), 0 to 1.

    `luck`, `taste`, `rest`: standard deviations in dB. All random numbers
    come from a generator of `seed`.
    """
    ### BEGIN SOLUTION
    rng = np.random.default_rng(seed)
    sheets = rng.normal(0, luck, (trials, seeds, 1))
    sheets = sheets + rng.normal(0, taste, (trials, 1, pictures))
    sheets = sheets + rng.normal(0, rest, (trials, seeds, pictures))
    by_pictures = stats.ttest_1samp(sheets.mean(1), 0, axis=1).pvalue
    by_seeds = stats.ttest_1samp(sheets.mean(2), 0, axis=1).pvalue
    return float((by_pictures < 0.05).mean()), float((by_seeds < 0.05).mean())
    ### END SOLUTION


# %% test="false_alarms" points=3
got = false_alarms(0.0, 0.3, 0.1, 3, 20, 2000, 1)
assert got is not None, "your function returned nothing: is there a return?"
by_pictures, by_seeds = got
assert 0 <= by_pictures <= 1 and 0 <= by_seeds <= 1, "shares, from 0 to 1"
assert abs(by_pictures - 0.05) < 0.018, (
    "without luck, an interval over pictures is right: 5 % false alarms"
)
assert by_seeds > 0.3, "a picture has one taste for all seeds: draw it once"
by_pictures, by_seeds = false_alarms(0.3, 0.0, 0.1, 3, 20, 2000, 1)
assert abs(by_seeds - 0.05) < 0.018, (
    "with no taste, an interval over seeds is right: 5 % (Student's t?)"
)
assert by_pictures > 0.5, "luck is the same for all pictures of a seed"
by_pictures, by_seeds = false_alarms(0.1, 0.2, 1.0, 4, 10, 1500, 1)
assert by_pictures < 0.08 and by_seeds < 0.09, (
    "a large rest nearly hides luck and taste (about 6 % false alarms): is it "
    "in each cell, and are all three standard deviations, not variances?"
)

# %% [markdown]
# The third way is your `crossed_interval`. We let the luck of the trainings grow, from nothing to a little more than that of fine-tuning, above.

# %% mystnb={"image": {"alt": "Share of false alarms against the luck of a training from 0 to 0.2 decibels. The curve of pictures alone climbs from 5 percent to about a half. The curve of seeds alone starts above a half and falls towards 5 percent. The curve of seeds and pictures stays near the dashed line at 5 percent all along."}}
SPREADS, TRIALS = (0.0, 0.05, 0.1, 0.15, 0.2), 1000
curves = {"pictures alone": [], "seeds alone": [], "seeds and pictures": []}
rng = np.random.default_rng(7)
for luck in SPREADS:
    simple = false_alarms(luck, 0.3, 0.15, 5, 80, TRIALS, 7)
    alarms = 0
    for _ in range(TRIALS):
        cells = rng.normal(0, luck, (5, 1)) + rng.normal(0, 0.3, (1, 80))
        cells = cells + rng.normal(0, 0.15, (5, 80))
        _, low, high = crossed_interval(cells, np.zeros((5, 80)))
        alarms += low > 0 or high < 0
    for name, share in zip(curves, (*simple, alarms / TRIALS), strict=True):
        curves[name].append(100 * share)
figure, axis = plt.subplots(figsize=(7.5, 3))
for name, marker, colour in zip(curves, "s^o", COLOURS, strict=False):
    axis.plot(SPREADS, curves[name], marker=marker, color=colour, label=name)
axis.axhline(5, color=INK, lw=1, ls="--")
axis.set(xlabel="luck of a training, dB", ylabel="false alarms, %")
axis.set(ylim=(0, None), xticks=SPREADS)
axis.legend(title="interval over", loc="upper center")
plt.show()

# %% [markdown]
# Each of the simple ways is right at one end and wrong at the other. Pictures alone are right where trainings have no luck, and wrong on about half of the sheets at 0.2 dB. Seeds alone begin at a false alarm on more than half of them, because all five seeds share the same 80 pictures. The crossed interval stays near its 5 % all along, and it does
# not have to be told which case it is in.

# %% [markdown]
# ## 5. What would have been seen?
#
# An interval that holds 0 has two readings: nothing is there, or the experiment was too small. To tell which one you have, ask how large a true difference would have had to be for this experiment to find it most of the time. Finding means that the interval excludes 0.
#
# The likely wrong idea is that half the width of the interval is the answer. A true difference of just that size is found in only *half* of all experiments, because half the time the mean falls short of it. To be found in 80 % of them, it has to lie farther out: by the standard error times the 80 % quantile of Student's t. (For few degrees of freedom that is an approximation,
# a good one.)
#
# $$\text{effect} = \text{error} \cdot \bigl(t_{0.975} + t_{\text{power}}\bigr).$$
#
# Smallest example: an interval of ±1 dB that came from very many degrees of freedom. Its standard error is 1/1.96 = 0.51 dB, and the effect is 0.51 · (1.96 + 0.84) = 1.43 dB.
#
# **Question 5** (★, 10 min, 2 points). Write `smallest_effect` for an interval as a table prints it.


# %% answer="smallest_effect"
def smallest_effect(
    low: float,
    high: float,
    freedom: float,
    power: float = 0.8,
) -> float:
    """Smallest true difference, in dB, that is found with chance `power`.

    `low`, `high`: the ends of a 95 % interval by Student's t with `freedom`
    degrees of freedom.
    """
    ### BEGIN SOLUTION
    quantile = stats.t.ppf(0.975, freedom)
    error = (high - low) / 2 / quantile
    return float(error * (quantile + stats.t.ppf(power, freedom)))
    ### END SOLUTION


# %% test="smallest_effect" points=2
got = smallest_effect(-1.0, 1.0, 1e6)
assert got is not None, "your function returned nothing: is there a return?"
assert abs(got - 1.4294) < 0.005, "±1 dB, many degrees of freedom: 1.43 dB"
assert abs(smallest_effect(2.0, 4.0, 1e6) - got) < 1e-6, (
    "only the width matters, not where the interval lies"
)
assert smallest_effect(-1.0, 1.0, 1e6, 0.95) > 1.8, "more power, more effect"
few = smallest_effect(-1.0, 1.0, 4)
assert abs(few - 1.339) < 0.03, (
    "4 degrees of freedom: both quantiles are Student's t, not the normal's"
)

# %% [markdown]
# Two intervals of the ablation hold 0, and they do not say the same. (A table prints no degrees of freedom. Where seeds are most of the luck, as here, S - 1 is a rough guess. From the sheets themselves f is 2.3 and 5.5, and the two effects change by less than a hundredth of a decibel.)

# %%
for a, b in (("full", "shuffled"), ("tuned-full", "full")):
    _, low, high = crossed_interval(sheet(a), sheet(b))
    effect = smallest_effect(low, high, 4)  # a table prints no f: S - 1
    print(f"{a} - {b}: {effect:.3f} dB would most likely have been found")

# %% [markdown]
# For ADCN's own map against another picture's, a gain of two hundredths of a decibel would have shown. That is an answer: if there is a gain, it is tiny. For fine-tuning, anything below a quarter of a decibel could have hidden. That is not an answer, it is a request for more seeds.
#
# > **Guess first.** To halve the interval of `tuned-full - full`: four times as many pictures, or four times as many seeds?
# > <details><summary>Answer</summary>The seeds. Put estimates of the three variances into the formula of V: the half width of 0.18 dB stays 0.18 with 320 pictures, and becomes 0.09 with 20 seeds. More pictures shrink only the second and the third part, and here the first one dominates: two unlucky seeds of five. For methods that differ a lot it is the other way round, and then no number of seeds helps, because the part of the pictures stays.</details>

# %% [markdown]
# ## 6. A table with one seed
#
# Most papers train once. What could such a table have said? Your number draws two arms, one of which has a fine-tuned depth net:

# %% tags=["given"]
drawn = np.random.default_rng(SEED)
TUNED = "tuned-depth", "tuned-full"
FROZEN = "render", "depth", "full", "capacity", "full-l1", "rooms"
FIRST = str(drawn.choice(TUNED))
SECOND = str(drawn.choice(FROZEN))

# %%
print(f"your arms: {FIRST} - {SECOND}")

# %% [markdown]
# **Question 6** (★★, 10 min, 2 points). Suppose that five groups repeat the ablation, each with one of the five seeds for both arms. Each group prints the mean difference in PSNR, `FIRST` minus `SECOND`, and calls it a discovery if the 95 % interval by Student's t over the 80 pictures excludes 0, on either side. Return the lowest and the highest
# difference that gets printed, in dB, and how many of the five groups announce a discovery.


# %% answer="one_seed_tables"
def one_seed_tables() -> tuple[float, float, int]:
    """(lowest, highest, discoveries) of five tables with one seed each."""
    ### BEGIN SOLUTION
    difference = sheet(FIRST) - sheet(SECOND)
    means = difference.mean(1)
    found = stats.ttest_1samp(difference, 0, axis=1).pvalue < 0.05
    return float(means.min()), float(means.max()), int(found.sum())
    ### END SOLUTION


# %% test="one_seed_tables" points=2
got = one_seed_tables()
assert got is not None, "your function returned nothing: is there a return?"
lowest, highest, discoveries = got
assert lowest < highest, "the lowest first, then the highest, in dB"
assert 0.15 < highest - lowest < 0.5, (
    "means of one seed, of both arms, lie 0.2 to 0.4 dB apart; pictures and "
    "ends of intervals lie farther apart"
)
assert discoveries in range(6), "five groups: from 0 to 5 discoveries"

# %% [markdown]
# Compare what the five groups print with the crossed interval of all five:

# %%
lowest, highest, discoveries = one_seed_tables()
mean, low, high = crossed_interval(sheet(FIRST), sheet(SECOND))
print(f"one seed each: {lowest:+.3f} to {highest:+.3f} dB, ", end="")
print(f"{discoveries} of 5 announce a discovery")
print(f"all together:  {mean:+.3f} dB ({low:+.3f} to {high:+.3f})")

# %% [markdown]
# Whichever arms you drew, notice two things. The groups do not agree: at least one of the five announces a discovery, and at least one does not. And the seed alone moves the number that gets printed by 0.2 to 0.4 dB, at least about three times the 0.07<!-- paper --> dB that this assignment began with.

# %% tags=["claim", "hide-cell"]
# checks the numbers in the text above, for all arms that can be drawn
for a in TUNED:
    for b in FROZEN:
        drawn_sheet = sheet(a) - sheet(b)
        moved = np.ptp(drawn_sheet.mean(1))
        assert 0.2 < moved < 0.45 and moved / 0.07 > 2.8
        found = stats.ttest_1samp(drawn_sheet, 0, axis=1).pvalue < 0.05
        assert 0 < found.sum() < 5

# %% [markdown]
# ## 7. The control
#
# Intervals deal with luck. They do not tell *why* an arm is better. An arm that gets one more map also gets the weights that read it, and more weights can help whatever they are fed. The **shuffled control** separates the two: it has the same weights and is trained on the same maps, but each picture gets the map of another picture. What the full
# arm has over this control comes from what the map says about its own picture.
#
# A random order is not good enough. Shuffle five pictures' maps: each picture gets its own map back with a chance of 1/5, so that on average one of the five does. With a thousand pictures it is a thousand times 1/1000, and again one. Nor is it enough that none keeps its own: photographers take bursts, and the map of the next picture of the same scene is nearly the right one. Then the control is given what it should lack, it comes out as good as the full arm, and you
# conclude that the map is useless, though it was your control that leaked.
#
# **Question 7** (★★★, 30 min, 4 points). Write `shuffled_control`: which picture's map each picture is given, so that no map comes from the picture's own scene and each map is given away exactly once. Chance must have a part in it: another seed gives another order. (Not every possible order has to be equally likely.) The exercise of chapter 14 is the case without scenes. Where a scene has more than half of all pictures there is no such order; raise ValueError.
#
# <details><summary>A hint</summary>Line the pictures up scene by scene. How far must you shift the line, so that everybody leaves their own scene? For the chance, put the scenes into a random order first, and the pictures within a scene, too.</details>


# %% answer="shuffled_control"
def shuffled_control(scenes: list[int], seed: int = 0) -> np.ndarray:
    """For each picture the index of the picture whose map it is given.

    `scenes`: the scene of each picture, in any order. Every picture gives
    its map away once, never within its scene. Another `seed`, another order.
    """
    ### BEGIN SOLUTION
    scenes = np.asarray(scenes)
    also = {"return_inverse": True, "return_counts": True}
    names, inverse, counts = np.unique(scenes, **also)
    if 2 * counts.max() > scenes.size:
        raise ValueError("one scene has more than half of the pictures")
    rng = np.random.default_rng(seed)
    place = rng.permutation(names.size)[inverse]  # scenes in a random order
    line = np.lexsort((rng.random(scenes.size), place))
    given = np.empty(scenes.size, int)
    given[line] = np.roll(line, counts.max())
    return given
    ### END SOLUTION


# %% test="shuffled_control" points=4
scenes = [4, 4, 7, 7, 7, 1, 2, 4, 1, 9]
got = shuffled_control(scenes, 0)
assert got is not None, "your function returned nothing: is there a return?"
orders = [tuple(map(int, shuffled_control(scenes, s))) for s in range(8)]
for got in orders:
    assert sorted(got) == list(range(10)), "give each map away exactly once"
    assert all(scenes[i] != scenes[j] for i, j in enumerate(got)), (
        "a map came from the picture's own scene: the control leaks"
    )
again = tuple(map(int, shuffled_control(scenes, 0)))
assert orders[0] == again, "the same seed, the same order"
assert len(set(orders)) > 3, "another seed, another order: is there chance?"
try:
    shuffled_control([3, 3, 3, 5, 6], 0)
except ValueError:
    pass
else:
    raise AssertionError("a scene with more than half should raise ValueError")

# %% [markdown]
# ## 8. What a table supports
#
# Here are some differences of the ablation. The `true-error` arm is told the true error of the depth, without its sign, and `signed-error` with it; both are oracles. The `rooms` arms use a depth net from elsewhere; `rooms-signed` and `rooms-absolute` add a learned error map, and `rooms-shuffled` the *signed* map of another picture, so that it is the control of both. PSNR is better when it is higher, LPIPS when it is lower.

# %%
SHOWN = (
    ("full - render", "psnr"),
    ("full - shuffled", "psnr"),
    ("depth - render", "psnr"),
    ("depth - render", "lpips"),
    ("tuned-full - full", "psnr"),
    ("true-error - shuffled", "psnr"),
    ("signed-error - shuffled", "psnr"),
    ("rooms-absolute - rooms-shuffled", "psnr"),
    ("rooms-signed - rooms-shuffled", "psnr"),
)
print(f"{'':41}mean      95 % interval, 5 seeds, 80 pictures")
for name, metric in SHOWN:
    d = result(f"table2.differences.{name}.{metric}")
    row = f"{d['mean']:+.4f}   {d['low']:+.4f} to {d['high']:+.4f}"
    print(f"{name:33}{metric:6}{row}")

# %% [markdown]
# And here are eight sentences that somebody wants to write beside it.
#
# - **A.** With these data and this budget, the whole model (`full`) has a higher PSNR than the Render Net alone.
# - **B.** The gain of `full` over `render` shows that ADCN's error map helps.
# - **C.** What ADCN's map says of its own picture brings less than 0.02 dB here.
# - **D.** Fine-tuning the depth net makes no difference to PSNR.
# - **E.** Predicted depth improves LPIPS.
# - **F.** For this net, the true error with its sign is worth more PSNR than the true error without it.
# - **G.** With the rooms' depth net, the signed map is better than the unsigned one.
# - **H.** On photographs, with the paper's full-size nets, predicted depth would raise PSNR, too.
#
# **Question 8** (★★, 15 min, 2 points). Which of them does this table support by itself, at its 95 %? Return their letters. Some of them compare two rows. How far apart can two rows lie by luck? The standard error of a difference is never more than the sum of the two standard errors. In the rows for which you need this, a half width is about two standard errors, so you may add half widths in the same way.


# %% answer="supported_claims"
def supported_claims() -> list[str]:
    """Letters of the claims that the table supports, such as ["B", "H"]."""
    ### BEGIN SOLUTION
    return ["A", "C", "F"]
    ### END SOLUTION


# %% test="supported_claims" points=2
got = supported_claims()
assert got is not None, "your function returned nothing: is there a return?"
letters = "".join(got).upper()
assert set(letters) <= set("ABCDEFGH"), "letters from A to H, nothing else"
assert len(set(letters)) == len(letters), "each letter once"
assert 0 < len(letters) < 8, "neither all nor none of them"

# %% [markdown]
# ## 9. Design one yourself
#
# Section IV-E of the paper draws this conclusion from its Table II (Liu et al. 2023; the numbers are the **paper's**, one training a row):
#
# > "the addition of ADCN to the model further enhances the accuracy of the depth information, thereby increasing the stability and realism of the bokeh rendering effect."
#
# | The paper's Table II | PSNR, dB | SSIM | LPIPS |
# |---|---|---|---|
# | Render Net only | 24.29 | 0.8671 | 0.1530 |
# | Render Net with depth | 23.43 | 0.8688 | 0.1529 |
# | BRADCN | 24.83 | 0.8737 | 0.1448 |
#
# No column of this table measures **stability**.
#
# **Question 9** (★★★, 35 min, 4 points, marked by a person). Plan an ablation that could support, or refute, that ADCN makes the rendering more *stable*. You may train at most 20 nets. Notes will do, no prose is asked for. In 120 to 200 words, say
#
# 1. what you mean by stable, as a number that can be computed from pictures;
# 2. which arms you train, so that content can be told from capacity;
# 3. how many seeds each arm gets, which pictures judge them, and what interval you report;
# 4. which outcome will count as yes and which as no, written down beforehand, and one thing that the plan cannot tell even if all goes well.

# %% [markdown] essay="ablation_plan" points=4
# ### BEGIN SOLUTION
# 1. **Number.** Eight versions of each test picture that a photographer would call the same (brightness ±5 %, a shift by 2 pixels, JPEG of quality 90). Render all, undo the shift, take the standard deviation over versions, in grey values, root mean square over pixels. Lower is more stable. A net that blurs everything is stable, too: an arm that loses more than 0.1 dB of PSNR does not count.
# 2. **Arms.** `depth`; `full`; `shuffled`, with the map of another scene, in the same version (same weights, no content); `capacity`, where the branch of Eq. 3 gets the depth again (weights without ADCN).
# 3. **Trainings.** 4 arms × 5 seeds = 20; a seed shares start and order between arms. 294 pictures that no net saw; crossed interval over seeds and pictures.
# 4. **Verdict.** `full - shuffled` in this number. Yes: the interval lies below 0. No: it holds 0, and 5 % of `depth`'s instability would have been found with 80 %. Otherwise undecided. The plan cannot tell whether better *depth* is the cause; for that, an oracle with true depth would have to be as stable.
# ### END SOLUTION

# %% [markdown]
# ## 10. Milestone: your table has an interval
#
# Now put it together. The picture below is a **forest plot**: a dot is a mean difference, a line its 95 % interval over other seeds and other pictures, by your `crossed_interval`. Filled blue dots have an interval that leaves 0 out; hollow grey ones hold it. Keep the file.

# %% mystnb={"image": {"alt": "Forest plot of ten differences in PSNR with 95 percent intervals and their numbers at the right. Filled and clearly above zero: depth minus render, full minus render, and the oracles true error, signed error and true depth, and rooms-signed minus its shuffled control. Hollow and at zero: full minus shuffled, full minus depth, full minus capacity with very short intervals, and fine-tuned full minus full with a long one that leans to the left."}}
PAIRS = (
    ("depth", "render"),
    ("full", "render"),
    ("full", "depth"),
    ("full", "capacity"),
    ("full", "shuffled"),
    ("tuned-full", "full"),
    ("rooms-signed", "rooms-shuffled"),
    ("true-error", "shuffled"),
    ("signed-error", "shuffled"),
    ("true-depth", "depth"),
)
figure, axis = plt.subplots(figsize=(7.5, 3.9))
for height, (a, b) in enumerate(reversed(PAIRS)):
    mean, low, high = crossed_interval(sheet(a), sheet(b))
    sure = low > 0 or high < 0
    colour = COLOURS[0] if sure else "#767676"
    axis.plot([low, high], [height, height], color=colour)
    face = colour if sure else "white"
    axis.plot(mean, height, "o", color=colour, markerfacecolor=face)
    text = f"{mean:+.3f}  ({low:+.3f} to {high:+.3f})"
    side = axis.get_yaxis_transform()
    axis.text(1.02, height, text, va="center", fontsize=9, transform=side)
axis.axvline(0, color=INK, lw=1)
names = [f"{a} - {b}" for a, b in reversed(PAIRS)]
axis.set(yticks=range(len(PAIRS)), yticklabels=names)
axis.set(xlabel="difference in PSNR, dB", title="mean and 95 % interval")
figure.savefig("milestone-5-table.png", dpi=150)
plt.show()

# %% [markdown]
# Read it from top to bottom. Depth helps, by a quarter of a decibel, and the whole model is as much better than the Render Net as depth alone. ADCN's map adds nothing to that, and it is a sure nothing, for a gain of five hundredths of a decibel could hardly have hidden in any of the three short lines at 0. The long hollow line is another kind: fine-tuning is undecided. The oracles at the bottom say that there is
# room for a better error map.
#
# One thing no interval tells. With enough seeds and pictures, *any* difference gets an interval that excludes 0, be it 0.001 dB. "Not luck" is one question, "worth having" is another. You have seen how to compute the smallest difference that an experiment *could* have found. This question asks for the smallest that it *should* look for.
#
# **Question 10** (★★★, 20 min, 3 points, marked by a person). Nobody knows how many hundredths of a decibel a bokeh picture must gain before it matters to anyone, and this book does not say. How would you find out? In 100 to 170 words, choose for whom it should matter, describe a measurement, give two reasons why its answer could be wrong, and say how the answer would change the reading of one line of the
# picture above. There is no model answer to match; what counts is whether your measurement could turn out against you.

# %% [markdown] essay="worth_having" points=3
# ### BEGIN SOLUTION
# For someone who looks at a phone for two seconds, a gain matters if she prefers the picture. I show thirty people 100 pairs of renderings each, in random order, without the truth (she has none either), and ask which they would keep. Pairs differ by 0 to 1 dB, and some are two *seeds* of one arm. A logistic model with people and photographs at random gives the chance of choosing the better one; the smallest difference worth having is where it reaches 60 %. If it never does, PSNR was the wrong scale.
#
# It may be wrong because 0.3 dB in the background may be invisible and 0.05 dB on an eyelash decisive, so that there is no single number; and because side by side one sees more than in life.
#
# Suppose that 60 % is reached at 0.2 dB. Then `depth - render`, +0.26 (0.14 to 0.39), is still surely not luck, and no longer surely worth having, because its interval begins below 0.2.
# ### END SOLUTION
