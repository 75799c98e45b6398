# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# [![Open in Colab](_static/colab-badge.svg)](colab.md)
#
# # 14. Table II and its oracles
#
# A paper adds a part to its net, and a number gets better. Did it get better *because of what the part does*? This
# chapter asks that of ADCN. It does so with twenty kinds of training, five seeds each, and one question that was
# written down before the first of them ran.
#
# **You will be able to**
#
# - name three reasons why an added part can raise a number;
# - build a control that keeps a map's numbers and removes its meaning;
# - build an oracle, which says how much could be gained at best;
# - give an interval that knows of other pictures *and* of other seeds;
# - say why an error without a sign is of little use in a sum;
# - say what a net can foresee of another net's errors, and what it cannot;
# - report a result that you did not hope for.
#
# **Before this**: chapters 7 to 10 (the two branches, Eq. 1 to Eq. 3), chapter 12 (paired differences).
#
# **Time and memory**: about 25 s on one laptop-class core, about 1 GB of memory. No download, no GPU. The trainings
# behind the tables took hours; they are read from the book's files.

# %% [markdown]
# ## Setup

# %% tags=["hide-input", "setup"] mystnb={"code_prompt_show": "Show the set-up", "code_prompt_hide": "Hide the set-up"}
# On Colab this fetches the book's package; elsewhere it is there already.
from importlib.util import find_spec

if find_spec("bradcn_nb") is None:
    raise ModuleNotFoundError("no bradcn_nb: the page On Colab says how")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the imports", "code_prompt_hide": "Hide the imports"}
import dataclasses

import cv2
import numpy as np
import torch
from IPython.display import HTML, Image
from matplotlib import pyplot as plt
from scipy import stats

from bradcn_nb.data import EBB, resize_nearest
from bradcn_nb.evaluation.intervals import crossed_interval, mean_and_error
from bradcn_nb.experiments import metrics as study
from bradcn_nb.experiments import table2
from bradcn_nb.experiments.maps import true_depth
from bradcn_nb.experiments.record import result
from bradcn_nb.figures.comparison import comparison_viewer
from bradcn_nb.figures.plots import COLOURS, INK, grid, show, use_style
from bradcn_nb.files import data_root
from bradcn_nb.models import BRADCN, load_bradcn, load_depth_net
from bradcn_nb.presets import preset

torch.set_num_threads(1)
cv2.setNumThreads(1)
use_style()
mini = preset("mini")

# %% [markdown]
# ## What the paper says
#
# Section IV-E takes the model apart (Liu et al. 2023). These are the **paper's** numbers, on its 294 photographs. Nothing that this book
# measures belongs into this table.
#
# | The paper's Table II | PSNR, dB | SSIM | LPIPS |
# |---|---|---|---|
# | Render Net only | 24.29 | 0.8671 | 0.1530 |
# | Render Net with depth | 23.43 | 0.8688 | 0.1529 |
# | BRADCN | 24.83 | 0.8737 | 0.1448 |
#
# The text beside it says two things.
#
# > "the inclusion of depth information in the rendering process leads to a slight improvement in the rendering quality, which is reflected in
# > the increased values of PSNR and SSIM metrics"
#
# > "These results demonstrate the effectiveness of ADCN in adjusting the errors in depth prediction"
#
# Read the first column again.

# %%
print(f"PSNR, with depth minus without: {23.43 - 24.29:+.2f} dB")
print(f"PSNR, BRADCN minus Render Net:  {24.83 - 24.29:+.2f} dB")

# %% [markdown]
# The first sentence does not fit its table: with depth, PSNR *falls* by most of a decibel. A misprint, perhaps (24.43 would fit the text).
# Or one unlucky training: the table has one number a row, no seeds, no intervals.
#
# The second sentence is the one that this chapter is about. The last row is best in all three columns. Does that *demonstrate* that ADCN
# adjusts depth errors?

# %% [markdown]
# ## Three reasons for a better number
#
# ADCN's row differs from the row above it in more than one way.
#
# 1. **Content.** The map De says where depth is wrong. The Render Net uses it. That is what the paper means.
# 2. **Capacity.** Eq. 3 brings new weights: one more small convolution, four more patch projections. More weights can lower a loss
#    whatever they are fed.
# 3. **Luck.** Another training, another seed. Weights start elsewhere, pictures come in another order.
#
# Only the first is a discovery about bokeh. One row cannot tell them apart. Controls can.

# %% [markdown]
# ## The maps, on one picture
#
# Our scenes are generated, so we know what no photograph tells: the true depth, and so the true error.

# %%
pairs = EBB(data_root() / "mini-ebb", "test", mini.data.train_size)
PICTURE, OTHER = 21, 31
images = torch.stack([pairs.load(i)["image"] for i in (PICTURE, OTHER)])
depth_net, adcn = load_depth_net(), load_bradcn().adcn
with torch.inference_mode():
    Do = depth_net(images)
    De = adcn(images)
reach = 1 / depth_net.shift
number = pairs.pairs[PICTURE][0]
truth = torch.from_numpy(resize_nearest(true_depth(number, reach), mini.data.train_size))
error = (Do[0, 0] - truth).abs()

# %% mystnb={"image": {"alt": "Six maps of one garden scene: the picture, the depth that the net predicts, the true depth, the true error of the prediction, the error that ADCN predicts, and the error that ADCN predicts for another picture."}}
titles = ["picture", "Do, predicted depth", "true depth", "true error |Do - Dgt|"]
grid(
    [images[0], Do[0], truth, error, De[0], De[1]],
    [*titles, "De, what ADCN says", "De of another picture"],
    columns=3,
    limits=[None, (0, reach), (0, reach), (0, 3), (0, 3), (0, 3)],
    colourbar=False,
)

# %% [markdown]
# The scale of the depths is 0 to 7.3 m, that of the errors 0 to 3 m. Compare the lower three. The first is what De should be. The second is
# what ADCN says. The third has nothing to do with this picture at all.
#
# ## Controls and oracles
#
# BRADCN takes the maps as arguments. If none are given, its nets predict them. So any map can stand for Do or De:

# %%
torch.manual_seed(0)
net = BRADCN(mini.model).eval()
with torch.inference_mode():
    own = net(images)
    given = net(images, depth=own.depth, depth_error=own.depth_error)
    torch.testing.assert_close(given.bokeh, own.bokeh)
print("maps that are given stand for those that would be predicted")

# %% [markdown]
# Now take something away, one thing at a time.
#
# | arm | what Do is | what De is | what it keeps, what it removes |
# |---|---|---|---|
# | `render` | - | - | no branch |
# | `depth` | predicted | - | Eq. 1 alone |
# | `full` | predicted | ADCN's | the paper's model, its depth net frozen |
# | `shuffled` | predicted | ADCN's, *of another picture* | all of ADCN's numbers and shapes; not their meaning here |
# | `constant` | predicted | ADCN's mean, everywhere | the weights of Eq. 3; no map at all |
# | `capacity` | predicted | predicted *depth* again | the weights of Eq. 3, fed with what is known already |
# | `true-error` | predicted | the true error | an **oracle**: an ADCN without fault |
# | `true-depth` | true | - | an **oracle**: a depth net without fault |
#
# The shuffled arm is the sharpest control. Each picture gets the De of another picture, always the same one. The
# map looks right: it is smooth, it has the right mean, it shows some scene's sky and some scene's lamp. Only it is not *this* scene. And the
# weights are the same in number. Whatever `full` has over `shuffled` is content: what the map says of *this* picture. (What all scenes share, sky
# above and ground below, is in both. `constant` does not even have that.)

# %%
full, shuffled = (table2.arm_preset(name, 0) for name in ("full", "shuffled"))
stages = [
    [dataclasses.replace(stage, given=()) for stage in one.stages] for one in (full, shuffled)
]
assert stages[0] == stages[1] and full.model == shuffled.model and full.seed == shuffled.seed
print("full:    ", full.stages[0].given)
print("shuffled:", shuffled.stages[0].given)

# %% [markdown]
# ## A test that was chosen beforehand
#
# With twenty arms and three metrics, something always looks good. So the question, the metric and the verdict were written into the package
# before the first training ran:

# %%
print(table2.__doc__)

# %% [markdown]
# All trainings have the same budget: a first phase with L1 and a second with L1 + MS-SSIM, 825 steps each, on 3300 pairs. The nets that
# predict the maps are frozen, so each map is computed once and read from a file. In the arms called `tuned` the depth net learns along, as in
# the paper.

# %% [markdown]
# ## Two kinds of luck
#
# Chapter 12 drew *pictures* again and again to get an interval, and ended with a warning: another training would give other weights. Look at
# what that does.

# %% mystnb={"image": {"alt": "A table of coloured cells, seeds by pictures: the difference in PSNR between the arm with true depth and the arm with predicted depth. Columns differ a lot, rows a little."}}
records = result("table2-images")


def psnr_of(arm):
    """PSNR in dB of an arm's trainings, (seeds, pictures)."""
    seeds = sorted(record["seed"] for record in records.values() if record["arm"] == arm)
    return np.array([records[f"{arm}/{seed}"]["psnr"] for seed in seeds])


oracle, plain = psnr_of("true-depth"), psnr_of("depth")
difference = oracle - plain
fig, ax = plt.subplots(figsize=(7.5, 1.9))
drawn = ax.imshow(difference, cmap="coolwarm", vmin=-3, vmax=3, aspect="auto")
ax.set(xlabel="picture", ylabel="seed", yticks=range(len(difference)))
ax.grid(False)
fig.colorbar(drawn, label="dB", pad=0.01)
plt.show()

# %% [markdown]
# Each cell is one picture, rendered by two nets that started from the same seed: one was given the true depth, one the predicted depth. Red is
# where the true depth wins. Columns differ: some pictures gain much, some lose. Rows differ, too.
#
# So an interval has to know of both. Chapter 13 has the way: what rows, columns and the rest spread gives the standard error of the mean, and Student's t
# with Satterthwaite's degrees of freedom knows how few five seeds are.

# %%
show(crossed_interval)

# %% [markdown]
# Does it matter? Suppose that two arms are equal, but each training shifts all its pictures by some hundredths of a dB. An interval over pictures
# alone takes such a shift for a discovery. And one over seeds alone, whose pictures are the same for all, forgets that other pictures would have shifted all seeds alike.

# %%
rng = np.random.default_rng(0)
hits = {"pictures alone": 0, "seeds alone": 0, "seeds and pictures": 0}
TRIALS, SEEDS, PICTURES = 500, 5, 80
for _ in range(TRIALS):
    shift = rng.normal(0, 0.06, (SEEDS, 1)) + rng.normal(0, 0.3, (1, PICTURES))
    cells = shift + rng.normal(0, 0.15, (SEEDS, PICTURES))  # the true difference is 0
    pictures = stats.ttest_1samp(cells.mean(0), 0).confidence_interval()
    seeds = stats.ttest_1samp(cells.mean(1), 0).confidence_interval()
    both = crossed_interval(cells, np.zeros_like(cells))
    for name, interval in zip(hits, (pictures, seeds, both), strict=True):
        hits[name] += not interval.low < 0 < interval.high
for name, count in hits.items():
    print(f"{name:20}: finds a difference in {100 * count / TRIALS:2.0f} % of the trials")
assert hits["seeds and pictures"] / TRIALS < 0.08 < 0.1 < hits["seeds alone"] / TRIALS

# %% [markdown]
# All should err in 5 % of the trials. Each of the first two knows one kind of luck and errs far more often. The third keeps near its 5 %; all intervals below are of that kind.
#
# ## The table
#
# Mean over all seeds and the 80 test pictures of mini-EBB. These are **our** numbers: a small net, generated scenes, a short training. They
# cannot be compared with the paper's table.

# %%
arms = result("table2.arms")
assert all(arm["seeds"] == [0, 1, 2, 3, 4] for arm in arms.values())


def table(names):
    """The arms' rows as an HTML table."""
    head = (
        "<tr><th>arm</th><th></th><th>PSNR, dB</th><th>SSIM</th><th>LPIPS</th><th>seeds</th></tr>"
    )
    rows = [
        f"<tr><td><code>{name}</code></td><td style='text-align:left'>{arm['title']}</td>"
        f"<td>{arm['psnr']:.3f}</td><td>{arm['ssim']:.4f}</td><td>{arm['lpips']:.4f}</td>"
        f"<td>{len(arm['seeds'])}</td></tr>"
        for name, arm in arms.items()
        if name in names
    ]
    style = "<style>.arms td, .arms th {padding: .25em .8em; white-space: nowrap}</style>"
    body = f"<table class='arms'>{head}{''.join(rows)}</table>"
    return HTML(f"{style}<div style='overflow-x:auto'>{body}</div>")


MAIN = ("render", "depth", "full", "shuffled", "constant", "capacity", "true-error", "true-depth")
table(MAIN)

# %% [markdown]
# Each arm has five seeds. Differences say more than means, each with its 95 % interval:


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"}
differences = result("table2.differences")


def forest(named):
    """Dots and intervals of differences in PSNR; filled where the interval leaves out 0."""
    found = [(name, differences[name]["psnr"]) for name in named if name in differences]
    fig, ax = plt.subplots(figsize=(7.5, 0.5 + 0.34 * len(found)))
    for row, (_, d) in enumerate(reversed(found)):
        sure = not d["low"] < 0 < d["high"]
        colour = COLOURS[0] if sure else "#767676"
        ax.plot([d["low"], d["high"]], [row, row], color=colour)
        ax.plot(d["mean"], row, "o", color=colour, mfc=colour if sure else "white")
        text = f"{d['mean']:+.3f}  ({d['low']:+.3f} to {d['high']:+.3f})"
        ax.text(1.02, row, text, va="center", transform=ax.get_yaxis_transform(), fontsize=9)
    ax.axvline(0, color=INK, lw=1)
    ax.set(yticks=range(len(found)), yticklabels=[name for name, _ in reversed(found)])
    ax.set(xlabel="difference in PSNR, dB", ylim=(-0.6, len(found) - 0.4))
    plt.show()


# %% mystnb={"image": {"alt": "Dots with intervals: differences in PSNR between arms of the table, with their numbers at the right. The full model minus the shuffled one lies at zero; true depth minus predicted depth lies far to the right."}}
main = ["full - shuffled", "depth - render", "full - depth", "full - render", "full - capacity"]
forest([*main, "full - constant", "true-error - shuffled", "true-depth - depth"])


# %%
def could_have_seen(a, b):
    """Print the smallest true difference that four such experiments of five would have found."""
    _, error, freedom = mean_and_error(psnr_of(a) - psnr_of(b))
    effect = error * (stats.t.ppf(0.975, freedom) + stats.t.ppf(0.8, freedom))
    print(f"{a} - {b}: a true difference of {effect:.3f} dB would most likely have been seen")
    return effect


assert could_have_seen("full", "shuffled") < 0.03

# %% [markdown]
# **The test**: `full - shuffled` is -0.001<!-- =table2.differences.full - shuffled.psnr.mean --> dB, with an interval from
# -0.015<!-- =table2.differences.full - shuffled.psnr.low --> to +0.013<!-- =table2.differences.full - shuffled.psnr.high --> dB. It holds 0. What
# ADCN's map says about the picture does not help this net. And the interval is narrow: a gain of three hundredths of a decibel would not have
# hidden. (The test was written down with a bootstrap of seeds and pictures. Both kinds of interval answer it alike; of all comparisons below, one
# changed its verdict: MS-SSIM's gain in PSNR is undecided now.)
#
# Now read the other lines as a story.
#
# - `depth - render`: a predicted depth helps, by +0.26<!-- =table2.differences.depth - render.psnr.mean --> dB. Here our table and the paper's
#   text agree. (In LPIPS, the two cannot be told apart: -0.0015<!-- =table2.differences.depth - render.lpips.mean -->,
#   from -0.0065<!-- =table2.differences.depth - render.lpips.low --> to +0.0034<!-- =table2.differences.depth - render.lpips.high -->.)
# - `full - render`: the whole model beats the Render Net, by +0.26<!-- =table2.differences.full - render.psnr.mean --> dB. The last row of the
#   paper's table stands above its first here, too. A table of these two, one number each, would end here, with a discovery.
# - `full - depth`: all of it was depth. ADCN changes that by -0.003<!-- =table2.differences.full - depth.psnr.mean --> dB, which is nothing. A map of another
#   picture, a constant, the depth a second time: all the same.
# - `true-depth - depth`: there is much to gain, +0.58<!-- =table2.differences.true-depth - depth.psnr.mean --> dB. The depth net's errors do cost
#   something, as the paper says.
# - `true-error - shuffled`: a perfect De would gain
#   +0.16<!-- =table2.differences.true-error - shuffled.psnr.mean --> dB. So Eq. 3 can use a map that is right.
#
# The branch works, the room for improvement is there, and ADCN's map fills none of it. Why?

# %% [markdown]
# ## Why a sum is a poor place for an error
#
# Eq. 3 *adds* De's features to the others. De has no sign: it says that depth is two metres wrong, and not whether the lamp is two metres nearer
# or two metres farther than Do says. Here is that as a toy of one number. The truth is t. A net guesses d = t + e. Sometimes the guess is good,
# sometimes bad, and somebody tells us how bad: |e|.

# %%
rng = np.random.default_rng(1)
t = rng.normal(0, 1, 20_000)
e = rng.normal(0, 1, t.size) * rng.choice([0.2, 2.0], t.size)
d = t + e


def explained(*columns):
    """Share of t's variance that the best weighted sum of the columns explains."""
    inputs = np.stack([*columns, np.ones_like(t)], 1)
    rest = t - inputs @ np.linalg.lstsq(inputs, t, rcond=None)[0]
    return 1 - rest.var() / t.var()


trust = np.exp(-np.abs(e))
print(f"from d alone:              {explained(d):.2f}")
print(f"a sum of d and |e|:        {explained(d, np.abs(e)):.2f}")
print(f"d, and d times a gate:     {explained(d, trust * d):.2f}   gate = exp(-|e|)")
print(f"a sum of d and signed -e:  {explained(d, -e):.2f}")

# %% [markdown]
# The sum with |e| gains nothing. A *product* does: it can turn d down where d is bad. A sum with the sign gains all there is: d - e is the truth.
#
# The Render Net is not a sum. Behind Eq. 3 come fusion blocks with ReLUs, and they can build something like the product. They did: `true-error`
# gained. But compare it with `true-depth`: most of what could be gained is lost. (Near the end of this chapter
# the true error comes back with its sign, and in another unit.)

# %% [markdown]
# ## What a net can foresee
#
# There is a second reason, and it is not about sums. ADCN sees the same picture as the depth net. Suppose it could tell that the depth net is
# usually half a metre too near on red walls. Then the depth net could have learned that, too, and would not make that error any more. From
# one picture, a net can foresee the **direction** of another net's error only where the other *had no chance to unlearn* it.
#
# The **size** is another matter. Some pixels are harder than others: thin leaves, distant hedges. A net can know that, and yet not know on which
# side the truth lies. So much an unsigned map can say in any place. It is what a sum can use least.
#
# Where would errors with a direction come from? From another place. A depth net that learned in rooms and works in gardens makes errors by the dozen, and a net
# that has seen gardens foresees them. The paper's depth net comes from another place (indoor scenes, NYUv2). But so does the paper's ADCN: it
# learns its labels on SUN RGB-D, indoors, and is used outdoors, on EBB!.
#
# So we measured ADCN itself, at home and abroad. The measures are those of chapter 9: sort the pixels by what ADCN says, take the worst away, and
# look at how wrong the rest is.

# %% mystnb={"image": {"alt": "Three panels of curves: the error that remains when the pixels are removed that are called worst. In rooms ADCN's curve falls between chance and the oracle. Outdoors it lies on the line of chance. For an ADCN taught outdoors, on a depth net that knows rooms only, it falls well below chance."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
sets = {
    "rooms": "at home: rooms",
    "outdoor": "abroad: outdoors",
    "outdoor-taught": "taught outdoors",
}
fig, axes = plt.subplots(1, 3, figsize=(7.5, 2.6), sharey=True)
for ax, (name, title) in zip(axes, sets.items(), strict=True):
    curves = result(f"errors.sets.{name}.sparsification")
    ax.plot(curves["removed"], np.ones(len(curves["removed"])), "--", color="#767676", lw=1)
    ax.plot(curves["removed"], curves["oracle"], color=COLOURS[2], label="oracle")
    ax.plot(curves["removed"], curves["adcn"], color=COLOURS[0], label="ADCN")
    rho = result(f"errors.sets.{name}.measures.adcn.spearman")
    ax.set(title=f"{title}\nrank correlation {rho['value']:.2f}", xlabel="share of pixels removed")
axes[0].set_ylabel("error that remains / error")
axes[0].legend(loc="lower left")
axes[0].set_ylim(0, 1.3)
plt.show()

# %% [markdown]
# The dashed line is what removing pixels at random would leave. At home, ADCN's curve lies between chance and the oracle. Abroad it cannot be told
# from chance: its map says next to nothing about where this depth net is wrong outdoors. (Three pixels of ten lie farther than the depth net can say.
# Without those a weak order is left, a rank correlation of 0.16<!-- =errors.sets.outdoor-within-reach.measures.adcn.spearman.value -->.) That is
# the very map which `full` was given above. An ADCN of the paper's kind that learned outdoors, for this depth net, was not trained; `true-error` says
# what it could bring at best.
#
# The same in numbers, the difference with its 95 % interval over pictures. The constant says everywhere the median of the errors that ADCN was taught.

# %%
print(f"{'mean absolute error of De, m':32}{'ADCN':>6}{'constant':>10}{'difference':>27}")
for name in (*sets, "outdoor-within-reach", "outdoor-taught-within-reach"):
    found = result(f"errors.sets.{name}")
    own, constant = (found["measures"][key]["mae"]["value"] for key in ("adcn", "median"))
    d = found["differences"]["adcn - median"]["mae"]
    place = sets.get(name.removesuffix("-within-reach"))
    title = place + ("" if name in sets else ", in reach")
    said = f"{d['value']:+.2f} ({d['low']:+.2f} to {d['high']:+.2f})"
    print(f"{title:32}{own:6.2f}{constant:10.2f}{said:>27}")

# %% [markdown]
# At home ADCN beats the constant. Abroad it loses to one number for all pixels, by little. The third row is another pair of nets: a depth net that knows
# rooms only, and an ADCN that learned *its* errors outdoors. It is well below the constant. The last two rows leave out what lies beyond the depth
# net's reach: there ADCN and the constant are level. So what the taught one knows is above all *which pixels are far*.

# %% [markdown]
# ## A depth net that needs it
#
# So give ADCN a fair chance. Three changes, each of which removes one of the reasons:
#
# - **A depth net from elsewhere.** `rooms`: stage 0 on mini-SUN's 300 rooms only. Outdoors it says nearly the same everywhere.
# - **Labels from where the net is used.** ADCN learns on the training pairs' true depth, outdoors. (A camera with a depth sensor would give
#   such labels. Real EBB! has none.)
# - **A sign, and eyes for the depth.** The variant `SignedBRADCN`: De = Dgt - Do, from the picture *and* Do. Then Do + De is a better
#   depth, and a sum is just the right place for it.
#
# For comparison, the paper's kind of ADCN (absolute, from the picture alone) gets the same labels.

# %% mystnb={"image": {"alt": "Five maps of the garden scene: the depth of the net that knows rooms, nearly the same everywhere; the signed error that its ADCN predicts; their sum, in which the subject and the ground can be seen; the true depth; and the depth of the bundled net."}}
assert result("rooms.pair") == number
rooms, corrected = (study.unpack(result(f"rooms.maps.{name}")) for name in ("rooms", "corrected"))
grid(
    [images[0], rooms, corrected - rooms, corrected, truth, Do[0]],
    ["picture", "Do of the rooms' net", "signed De", "Do + De", "true depth", "bundled net's Do"],
    columns=3,
    limits=[None, (0, reach), (-reach, reach), (0, reach), (0, reach), (0, reach)],
    colourbar=False,
)

# %%
depths = result("errors.correction.depths")
names = {
    "rooms": "rooms' net",
    "corrected": "rooms' net + signed De",
    "shuffled": "rooms' net + De of another",
    "shifted": "rooms' net + one number for all",
    "predicted": "bundled net, knows outdoors",
}
print(f"{'mean absolute error of depth':34}{'m':>6}{'1/m':>8}")
for name, title in names.items():
    print(f"{title:34}{depths[name]['m']['mean']:6.2f}{depths[name]['dioptre']['mean']:8.3f}")

# %% [markdown]
# As a map, this calibration works. Does the Render Net gain by it? This is the second test, `rooms-signed - rooms-shuffled`. It was written down when
# the first seed of `depth`, `full` and `shuffled` was known, and before any arm of its own ran.

# %%
ROOMS = ("render", "rooms", "rooms-absolute", "rooms-signed", "rooms-shuffled", "depth")
table(ROOMS)

# %% mystnb={"image": {"alt": "Dots with intervals: differences in PSNR between the arms with the depth net that knows rooms only."}}
forest(
    [
        "rooms-signed - rooms-shuffled",
        "rooms-signed - rooms",
        "rooms-signed - rooms-absolute",
        "rooms-absolute - rooms-shuffled",
        "rooms-absolute - rooms",
        "rooms - render",
        "depth - rooms",
    ]
)
assert could_have_seen("rooms-signed", "rooms-shuffled") < 0.2

# %% [markdown]
# It does: +0.195<!-- =table2.differences.rooms-signed - rooms-shuffled.psnr.mean --> dB over the shuffled control, from
# +0.098<!-- =table2.differences.rooms-signed - rooms-shuffled.psnr.low --> to +0.291<!-- =table2.differences.rooms-signed - rooms-shuffled.psnr.high --> dB. The
# interval lies above 0. The control has the same weights and the same kind of map. So here the gain is *content*: what the map says of
# this picture.
#
# It is not the paper's calibration, though. This ADCN sees the depth, knows the sign, and has learned outdoors. And as the rooms' net says nearly the same
# everywhere, Do + De is close to a second depth net.
#
# What did each change bring? The paper's kind of ADCN, taught outdoors as well, is
# +0.10<!-- =table2.differences.rooms-absolute - rooms.psnr.mean --> dB above no ADCN
# (+0.01<!-- =table2.differences.rooms-absolute - rooms.psnr.low --> to +0.19<!-- =table2.differences.rooms-absolute - rooms.psnr.high -->), and
# +0.12<!-- =table2.differences.rooms-absolute - rooms-shuffled.psnr.mean --> dB above the control
# (+0.03<!-- =table2.differences.rooms-absolute - rooms-shuffled.psnr.low --> to +0.21<!-- =table2.differences.rooms-absolute - rooms-shuffled.psnr.high -->; a shuffled *signed* map). The signed one is
# +0.07<!-- =table2.differences.rooms-signed - rooms-absolute.psnr.mean --> dB above that
# (-0.01<!-- =table2.differences.rooms-signed - rooms-absolute.psnr.low --> to +0.15<!-- =table2.differences.rooms-signed - rooms-absolute.psnr.high -->). So a map without a sign gains a little, too, where it was
# taught where it is used. The second step is two things at once, the sign and sight of Do. In PSNR it is undecided; in SSIM and LPIPS only the signed map gains.
#
# Two things take some of the shine off.
#
# **Where it helps.** Look at the error of depth without the pixels that lie beyond the depth net's reach:

# %%
near = result("errors.correction-within-reach.depths")
for name in ("rooms", "corrected", "predicted"):
    d = near[name]["m"]
    print(f"{names[name]:30}{d['mean']:.2f} m  ({d['low']:.2f} to {d['high']:.2f})")

# %% [markdown]
# Nothing is left. What the signed ADCN has learned is, again, *which pixels are far*: foliage, sky, hedges. Rooms have none of these. (In metres the bundled net is no
# better there, either.)
#
# **What it costs.** Labels from outdoors. Whoever has them can fine-tune the depth net itself, and needs no second net.

# %% [markdown]
# ## What else was tried
#
# Every other arm that was trained is in this table, also those that did nothing.

# %%
table([name for name in arms if name not in {*MAIN, *ROOMS}])

# %% mystnb={"image": {"alt": "Dots with intervals: differences in PSNR between the remaining arms, with their numbers at the right."}}
known = {*main, "full - constant", "true-error - shuffled", "true-depth - depth"}
forest([name for name in differences if name not in known and "rooms" not in name])

# %% [markdown]
# **A perfect map, told in four ways.** Four arms get the true error, and differ in how it is put.
#
# | what enters | how | over another picture's map, dB | 95 % interval |
# |---|---|---|---|
# | true error in metres | as a gate, over `depth` | +0.08<!-- =table2.differences.gate-true - depth.psnr.mean --> | +0.01<!-- =table2.differences.gate-true - depth.psnr.low --> to +0.16<!-- =table2.differences.gate-true - depth.psnr.high --> |
# | true error in metres | added | +0.16<!-- =table2.differences.true-error - shuffled.psnr.mean --> | +0.09<!-- =table2.differences.true-error - shuffled.psnr.low --> to +0.22<!-- =table2.differences.true-error - shuffled.psnr.high --> |
# | true error in 1/m | added | +0.35<!-- =table2.differences.dioptre-error - shuffled.psnr.mean --> | +0.15<!-- =table2.differences.dioptre-error - shuffled.psnr.low --> to +0.56<!-- =table2.differences.dioptre-error - shuffled.psnr.high --> |
# | true error in metres, with its sign | added | +0.51<!-- =table2.differences.signed-error - shuffled.psnr.mean --> | +0.38<!-- =table2.differences.signed-error - shuffled.psnr.low --> to +0.65<!-- =table2.differences.signed-error - shuffled.psnr.high --> |
# | (true depth in place of Do) | | +0.58<!-- =table2.differences.true-depth - depth.psnr.mean --> | +0.39<!-- =table2.differences.true-depth - depth.psnr.low --> to +0.77<!-- =table2.differences.true-depth - depth.psnr.high --> |
#
# (The other picture's map is ADCN's, and differs from these in its numbers, too. A shuffled *true* error was not trained.)
#
# - **The sign was missing.** With it, the sum of Eq. 3 gains about as much as true depth does. So the toy above was right about the sum.
# - **The unit counts as well.** Blur is linear in 1/m (chapter 1). Half a metre of error blurs a lot at 1 m, and next to nothing at 7 m. An error in 1/m says which. Even without a sign it brings a good part of
#   what true depth would (between a third and all of it, as seeds and pictures go), and by SSIM as much as the sign does.
# - **The toy was too kind to the gate.** It helps, but no more than adding the same map does. A gate can only turn the depth branch down. The layers behind the sum can do
#   that as well, and more.
#
# With ADCN's own map the gate gains nothing: `gate - gate-shuffled` is -0.028<!-- =table2.differences.gate - gate-shuffled.psnr.mean --> dB (-0.063<!-- =table2.differences.gate - gate-shuffled.psnr.low --> to
# +0.006<!-- =table2.differences.gate - gate-shuffled.psnr.high -->). Whatever the formula, it cannot know more than the map.
#
# **The depth net trained along**, as in the paper: -0.04<!-- =table2.differences.tuned-depth - depth.psnr.mean --> dB without ADCN (-0.14<!-- =table2.differences.tuned-depth - depth.psnr.low --> to
# +0.07<!-- =table2.differences.tuned-depth - depth.psnr.high -->), -0.11<!-- =table2.differences.tuned-full - full.psnr.mean --> dB with it (-0.29<!-- =table2.differences.tuned-full - full.psnr.low --> to
# +0.08<!-- =table2.differences.tuned-full - full.psnr.high -->). Undecided, because seeds differ more. With a step
# size that suits the Render Net, a depth net that was done learning can be led astray. And ADCN on such a depth net, which is the paper's own last step (`tuned-full - tuned-depth`):
# -0.07<!-- =table2.differences.tuned-full - tuned-depth.psnr.mean --> dB (-0.24<!-- =table2.differences.tuned-full - tuned-depth.psnr.low --> to
# +0.09<!-- =table2.differences.tuned-full - tuned-depth.psnr.high -->). No gain, either.
#
# **L1 alone to the end** (`full-l1`), instead of L1 + MS-SSIM in the second half: MS-SSIM brings +0.03<!-- =table2.differences.full - full-l1.psnr.mean --> dB, undecided
# (0.00<!-- =table2.differences.full - full-l1.psnr.low --> to +0.06<!-- =table2.differences.full - full-l1.psnr.high -->), and +0.0015<!-- =table2.differences.full - full-l1.ssim.mean --> SSIM
# (+0.0010<!-- =table2.differences.full - full-l1.ssim.low --> to +0.0020<!-- =table2.differences.full - full-l1.ssim.high -->). A loss improves what it measures.

# %% [markdown]
# ## Choose two arms yourself

# %%
comparison_viewer(records, table2.TABLE2.titles, "depth")

# %% [markdown]
# ## One real photograph
#
# `stereo_motorcycle` comes with depth that was measured. No net has seen it, and none of our scenes has a motorcycle. The lens renderer draws
# the reference from the measured depth. It is one photograph: it can show that something fails, and cannot rank methods.

# %% mystnb={"image": {"alt": "A real photograph of a red motorcycle in a garage, as it is, with the bokeh that the measured depth gives, with the bokeh of the predicted depth, with a wider aperture, and as BRADCN renders it: far too much blur, also on the motorcycle's rear wheel."}}
Image(data_root() / "results" / "motorcycle.jpg")

# %%
methods = result("motorcycle.methods")
print(f"{'against the reference':44}{'PSNR, dB':>9}{'SSIM':>8}{'LPIPS':>8}")
for name, row in methods.items():
    title = row["title"] + (", 96x64" if "/" in name else "")  # the nets of Tables I and II
    print(f"{title:44}{row['psnr']:9.2f}{row['ssim']:8.3f}{row['lpips']:8.3f}")
wrong = result("motorcycle.depth_errors")
print(f"\ndepth net: {wrong['mae']:.2f} m off; a constant depth: {wrong['mae_constant']:.2f} m")

# %% [markdown]
# Four things to see.
#
# - The depth net is 0.94<!-- =motorcycle.depth_errors.mae --> m off; one depth for all, the true median, would be better. With the best scale and shift it would be
#   0.43<!-- =motorcycle.depth_errors.mae_aligned --> m. It has the shape of the scene and not its size: a garage is none of our rooms.
# - The lens with that depth still comes close, at full size: 27.5<!-- =motorcycle.methods.lens.psnr --> dB, the input 24.6<!-- =motorcycle.methods.input.psnr --> dB. Focus was set
#   on that same depth, so blur forgives a factor. Through 96x64 pixels nothing is left of the gain: 21.9<!-- =motorcycle.methods.table1/classical.psnr --> dB.
# - BRADCN blurs what it has learned to blur: a background as far away as our gardens, behind a subject at about a metre. It smears the
#   handlebars and the headlamp. At 96x64 pixels no picture could score much more than
#   22.2<!-- =motorcycle.methods.reference_half.psnr --> dB here. BRADCN's gets 20.4<!-- =motorcycle.methods.bundled.psnr --> dB, less than the
#   input through the same protocol, 21.9<!-- =motorcycle.methods.table1/identity.psnr --> dB. The Render Net that was given the *measured* depth keeps
#   the headlamp.
# - Much of that loss is the *amount* of blur. Against a reference with a lens three times as wide (f/0.6, in the figure), at 192x128, BRADCN gets
#   23.4<!-- =motorcycle.methods.bundled.small_psnr_by_aperture.3 --> dB, the input 21.8<!-- =motorcycle.methods.input.small_psnr_by_aperture.3 --> dB.
#
# Generated scenes are good for questions. They do not make a net for photographs.

# %% [markdown]
# ## What follows for the paper, and what does not
#
# Nothing here says that the paper's numbers are wrong. Its nets are some sixty times larger, its data are photographs, its ADCN saw 6545 frames
# and ours 300. What we can say:
#
# - BRADCN can end above its Render Net without any calibration.
# - One number a row cannot tell content from capacity from luck. Two controls and a few seeds can, and cost little.
# - An ADCN that learned indoors should be measured outdoors before its map is trusted there.
#
# If you reproduce the paper at full size, run `shuffled` first. It needs one more training for each seed.

# %% [markdown]
# ## Your numbers may differ
#
# All numbers of quality on this page are read from the book's files, made by `make experiments` on two cores. Training again on another
# processor gives other last digits, and from there other weights: differences of some hundredths of a dB are luck, as the intervals say. What the
# chapter computes itself is the same to the digits that are printed.

# %% [markdown]
# ## Summary
#
# - A better number has three possible reasons: content, capacity, luck.
# - A shuffled map keeps the numbers and removes the meaning. An oracle says what could be gained.
# - An interval has to know of other pictures *and* of other seeds, or luck looks like a discovery.
# - An unsigned error in a sum cannot say in which direction depth is wrong. With its sign, the true error is worth about as much as true depth; in 1/m, without a sign, a good part of it.
# - The direction of another net's errors can be foreseen only where that net could not unlearn it; their size, in part, anywhere.
# - Here ADCN's gain was neither content nor capacity: there was none over depth. Its map, learned indoors, says little outdoors: a rank correlation of 0.16<!-- =errors.sets.outdoor-within-reach.measures.adcn.spearman.value --> with the true error, within the depth net's reach.
# - The simplest reason of all: there, Do itself orders the errors with 0.56<!-- =errors.sets.outdoor-within-reach.measures.depth.spearman.value -->, because far is wrong. What De could say, Do says better, and Do is in the sum already.
# - A signed map, learned where it is used, on a depth net from elsewhere, beats its shuffled control. It is not the paper's calibration, but a correction can work.

# %% [markdown]
# ## Exercises
#
# **1 (graded).** Write `another_of_its_split(train, pairs, rng)`, the control's heart. Rows 0 to train-1 are training pairs, rows train to pairs-1 test pairs. Return
# an integer array (pairs,): for each row another row *of the same split*. No row may get itself, and each row is given away exactly once. A split of one
# row has no other: raise ValueError. A split may be empty.


# %% tags=["exercise"]
def another_of_its_split(train, pairs, rng):
    """For each row another row of its split, each once; `rng` is a numpy Generator."""
    raise NotImplementedError  # your code in place of this line


# %% [markdown] tags=["solution"]
# A solution, folded away in the book:


# %% tags=["hide-input", "solution"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
def solution_another(train, pairs, rng):
    """Shuffle a split, then let everyone pass its map to the next in line."""
    rows = np.empty(pairs, int)
    for part in (np.arange(train), np.arange(train, pairs)):
        if len(part) == 1:
            raise ValueError("a split of one row has no other")
        order = rng.permutation(part)
        rows[order] = np.roll(order, 1)
    return rows


# %% tags=["graded"]
def check(another):
    """Raise AssertionError unless the function makes a right control."""
    for train, pairs in ((540, 620), (2, 5), (3, 3), (7, 9)):
        rows = another(train, pairs, np.random.default_rng(train))
        assert sorted(rows) == list(range(pairs)), "each row is given away once"
        assert (rows != np.arange(pairs)).all(), "a row got itself: that is no control"
        assert (rows[:train] < train).all() and (rows[train:] >= train).all(), "test maps leaked"
        for seed in range(20):
            assert (another(train, pairs, np.random.default_rng(seed)) != np.arange(pairs)).all()
    orders = {tuple(another(50, 60, np.random.default_rng(seed))) for seed in range(5)}
    assert len(orders) == 5, "another seed, another order"
    try:
        another(1, 5, np.random.default_rng(0))
    except ValueError:
        return
    raise AssertionError("a split of one row should raise ValueError")


try:
    check(another_of_its_split)
    print("Your function passes.")
except NotImplementedError:
    check(solution_another)
    print("Not written yet. (The book's solution passes.)")

# %% [markdown]
# **2.** The control shuffles among pictures. Invent one that stays inside the picture: which property of De would you destroy, which keep? What would each
# outcome mean?
#
# **3.** Why does `capacity` feed the *depth* into Eq. 3's branch, and not zeros?
#
# **4.** Someone runs all arms with one seed and finds `full - shuffled` = +0.04<!-- example --> dB, with an interval over pictures of +0.01 to +0.07. What do you answer?
#
# **5.** `true-error` knows |Do - Dgt| without its sign, and helps. The text says that layers behind the sum can build something like the product. Show it on the toy: give d and |e| to
# a net of two linear layers with a ReLU between them. How much of t's variance does it explain, beside the sum and the gate?
#
# **6.** The sign helps, and 1/m helps. What do you expect of a signed error in 1/m? Write it down. Then add the map (`experiments/maps.py`) and the arm (`table2.ARMS`), and train it, a few minutes a seed:
# `make runs/data/.made` makes the 3,300 pairs (ten minutes); delete `runs/data/maps`, if it is there; then `python -m bradcn_nb experiments maps table2 --arms NAME --seeds 2`. Say first which arm you will compare it with, and what the
# comparison cannot tell.

# %% [markdown]
# ## Next
#
# [Chapter 15](15_learning_from_pairs.ipynb) changes what the second net learns, and from what: the radius of each place's disc, from the pairs. The
# [ledger](ledger.md) has the entries "error-gate" and "signed-error".
#
# ## References
#
# Full entries are in the [bibliography](bibliography.md).
#
# - Satterthwaite 1946: how many degrees of freedom a variance has that is a sum of others. Searle, Casella and McCulloch 1992: rows and columns at random.
# - Ilg et al. 2018; Poggi et al. 2020: sparsification.
# - Liu, Zhou and Dong 2023: the paper; Sections III-C, IV-E, Table II.
# - Scharstein et al. 2014: the motorcycle and its depth.
# - Song et al. 2015: SUN RGB-D.
