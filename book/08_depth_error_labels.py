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
# # 8. Depth error labels: Eq. 2
#
# A depth net guesses. Sometimes it guesses wrong, and blur that follows a wrong guess falls on the wrong
# things. The paper wants a net that knows in advance where the guess will be wrong. To train it, somebody has
# to write down where the guess *was* wrong. That is Eq. 2. This chapter makes its labels and takes a long look
# at them.
#
# **You will be able to**
#
# - write Eq. 2 with a mask, and say what each letter is, in which shape and unit;
# - say what a depth net gets wrong, at which distance and on which surfaces;
# - say what the absolute value throws away, and what that costs;
# - say why labels must not be made from pictures that the depth net has memorised;
# - kill a label run, start it again, and prove that nothing was lost or changed.
#
# **Before this**: chapter 6 (the Depth Prediction Net). A depth map is a tensor `(N, 1, H, W)` in metres.
#
# **Time and memory**: about half a minute on one laptop-class core, about 1.3 GB. No download, no GPU.

# %% [markdown]
# ## Setup

# %% tags=["hide-input", "setup"] mystnb={"code_prompt_show": "Show the set-up", "code_prompt_hide": "Hide the set-up"}
# On Colab this fetches the book's package; elsewhere it is there already.
from importlib.util import find_spec

if find_spec("bradcn_nb") is None:
    raise ModuleNotFoundError("no bradcn_nb: the page On Colab says how")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the imports", "code_prompt_hide": "Hide the imports"}
import copy
import json
import re
import tempfile
import textwrap
from pathlib import Path

import cv2
import numpy as np
import torch
from matplotlib import pyplot as plt
from torch.testing import assert_close

from bradcn_nb.data import SUNRGBD, resize_nearest
from bradcn_nb.figures.plots import COLOURS, grid, show, use_style
from bradcn_nb.files import data_root
from bradcn_nb.models import load_bradcn, load_depth_net
from bradcn_nb.models.depth_error import depth_error
from bradcn_nb.models.weights import weights_hash
from bradcn_nb.presets import preset
from bradcn_nb.training.labels import LabelSet, make_labels

torch.set_num_threads(1)  # sums in a fixed order give the same digits each time
use_style()
mini = preset("mini")
SIZE = mini.data.train_size  # (64, 96)

# %% [markdown]
# ## What the paper says
#
# Section III-C ([Liu et al. 2023](bibliography.md)):
#
# > "First, we feed the images from the dataset to the depth prediction network to predict the depth with the same
# > weight as mentioned in Section 3.2. Then, we calculate the absolute error map between the predicted depth and
# > the ground-truth depth in the SUNRGBD dataset. The absolute error map is used as the supervising data for the
# > ADCN. It is described as:"
#
# $$De = |Do - D_{gt}| \tag{2}$$
#
# > "where Do is the output of depth prediction, D_gt is the ground truth of depth. Thus, we obtain the supervising
# > data of ADCN, namely the label."
#
# In words: *guess the depth; measure it; write down how far apart the two are, pixel by pixel.*
#
# | Letter | What it is | Where it comes from | Shape | Unit |
# |---|---|---|---|---|
# | Do | predicted depth | the depth net of stage 0 | (N, 1, H, W) | metres |
# | $D_{gt}$ | measured depth | a depth camera | (N, 1, H, W) | metres |
# | De | the label | Eq. 2 | (N, 1, H, W) | metres, never negative |
#
# A depth camera has holes, where it measured nothing. Eq. 2 does not mention them. We shall have to.

# %% [markdown]
# ## The picture before the formula
#
# Sixty rooms of mini-SUN that no net of this book was trained on. For each: the picture, the depth that the net
# predicts, the depth that the sensor measured. This is the paper's Fig. 3, with our rooms.

# %%
frames = SUNRGBD(data_root() / "mini-sun", "test", mini.data.sun_counts, size=SIZE)
items = [frames[i] for i in range(len(frames))]
image, truth, known = (
    torch.stack([item[key] for item in items]) for key in ("image", "depth", "mask")
)
depth_net = load_depth_net()


@torch.no_grad()
def predict(net: torch.nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    """Depth in metres (N, 1, H, W), twenty pictures at a time."""
    return torch.cat([net(some) for some in pictures.split(20)])


Do = predict(depth_net, image)
print("pictures", tuple(image.shape), "  Do", tuple(Do.shape), "  Dgt", tuple(truth.shape))

# %% mystnb={"image": {"alt": "Three rows, one a room. Columns: the picture, the predicted depth with soft outlines, the measured depth with sharp outlines, and their absolute difference, which is bright on far walls and around furniture."}}
SHOWN = (53, 31, 48)
panels, titles = [], []
for i in SHOWN:
    panels += [image[i], Do[i], truth[i], (Do[i] - truth[i]).abs()]
titles = ["picture", "Do", "Dgt", "De"] + [""] * 8
units, limits = ["", "m", "m", "m wrong"] * 3, [None, (0, 8), (0, 8), (0, 3)] * 3
grid(panels, titles, columns=4, unit=units, limits=limits)

# %% [markdown]
# Look at the last column. Errors come in *patches*: a whole wall, a whole cupboard. They are not noise. That is
# the paper's hope. What comes in patches has causes that one may learn to see.

# %% [markdown]
# ## Eq. 2 in code
#
# The equation is one line. The mask makes it two. Where the sensor measured nothing, $D_{gt}$ does not exist, and
# neither does De. We write 0 there, and hand on the mask that says "do not count this".


# %%
def eq2(predicted, truth, mask):
    """De = |Do - Dgt| in metres, 0 where the mask is False."""
    error = (predicted - truth).abs()
    return torch.where(mask, error, 0)


De = eq2(Do, truth, known)
package, _ = depth_error(Do, truth, known)
assert torch.equal(De, package)
show(depth_error)

# %% [markdown]
# ### Test of the equation
#
# The oracle is a loop over pixels in plain Python numbers. Nothing in it can share a mistake with the tensors.

# %%
for n, row, column in np.ndindex(3, *SIZE):
    do, dgt = float(Do[n, 0, row, column]), float(truth[n, 0, row, column])
    by_hand = (do - dgt if do > dgt else dgt - do) if known[n, 0, row, column] else 0.0
    assert abs(float(De[n, 0, row, column]) - by_hand) < 1e-6
print(f"{3 * SIZE[0] * SIZE[1]:,} pixels agree with the loop")

# %% [markdown]
# ## Where is the depth net wrong?
#
# Three looks: by distance, by surface, and by sign. First by distance. Sort all pixels by their measured depth,
# half a metre at a time.

# %%
d, s = truth[known].numpy(), (Do - truth)[known].numpy()  # distance and signed error, metres
e = np.abs(s)
edges = np.arange(0.5, 8.51, 0.5)
bins = np.digitize(d, edges)
rows = [k for k in range(1, len(edges)) if (bins == k).sum() >= 500]
middle = np.array([d[bins == k].mean() for k in rows])
mean_do = np.array([(d + s)[bins == k].mean() for k in rows])
low_high = np.array([np.quantile((d + s)[bins == k], (0.1, 0.9)) for k in rows]).T
mean_e = np.array([e[bins == k].mean() for k in rows])
relative = np.array([(e / d)[bins == k].mean() for k in rows])
REACH = 1 / mini.model.depth_shift  # what the depth net can say at most
assert mean_do[0] > middle[0] and (mean_do < middle)[middle > 5].all()  # as the text says
print(f"the net's reach {REACH:.2f} m; beyond it: {(d > REACH).mean():.1%} of the pixels")

# %% mystnb={"image": {"alt": "Three plots against the measured distance. Left: the mean predicted depth lies above the diagonal for near pixels and below it for far ones, and stays under a dashed line at 7.26 metres. Middle: the mean error grows with distance, above a floor that rises from 7.26 metres on. Right: the relative error is highest for near pixels, lowest around 2.5 metres, and grows again."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
figure, axes = plt.subplots(1, 3, figsize=(7.5, 2.7))
axes[0].fill_between(middle, *low_high, color=COLOURS[0], alpha=0.2, linewidth=0)
axes[0].plot(middle, mean_do, color=COLOURS[0])
axes[0].plot((0, 8), (0, 8), color="#555555", linewidth=1)
axes[0].axhline(REACH, color=COLOURS[1], linestyle="--", linewidth=1)
axes[0].set(title="Do, mean and middle 80 %", xlabel="Dgt, m", ylabel="Do, m", ylim=(0, 8))
axes[1].plot(middle, mean_e, color=COLOURS[0])
far = np.linspace(REACH, 8, 20)
axes[1].plot(far, far - REACH, color=COLOURS[1], linestyle="--")
axes[1].set(title="mean De and its floor", xlabel="Dgt, m", ylabel="m", ylim=(0, None))
axes[2].plot(middle, 100 * relative, color=COLOURS[0])
axes[2].set(title="mean De / Dgt", xlabel="Dgt, m", ylabel="%", ylim=(0, None))
plt.show()

# %% [markdown]
# - **Left.** The line is flatter than the diagonal. What is near is guessed too far, what is far too near. A net
#   that is not sure bets on the middle. Statisticians call it regression to the mean.
# - **Middle.** The error grows with distance. The dashed line is the *floor*: the net's formula,
#   depth = 1 / (x + 0.1378) with x >= 0, cannot say more than 7.26 m, and the sensor's depth is clipped at 8 m. So
#   a pixel at 8 m has a label of at least 0.74 m, whatever anybody learns ([`depth-floor`](ledger.md#depth-floor) in the
#   [ledger](ledger.md)).
# - **Right.** In per cent the near pixels are the worst. Blur depends on *inverse* depth (chapter 1), and there
#   half a metre up close weighs far more than half a metre at the wall. Eq. 2 counts metres.

# %% [markdown]
# ### By surface
#
# Our rooms are generated. The generator knows what each pixel shows: floor, ceiling, wall or furniture. From the
# measured depth we add one more class, which cuts across the others: *edges*, where the depth jumps by a quarter or
# more within two pixels.

# %%
from bradcn_nb.data.bundle import SUN_SEED, SUN_SIZE
from bradcn_nb.scenes import room_scene
from bradcn_nb.scenes.rooms import SURFACES

seeds = [SUN_SEED + int(frame.split("/")[-1]) for frame in frames.ids]
kinds = np.stack([resize_nearest(room_scene(n).surfaces(*SUN_SIZE), SIZE) for n in seeds])
window = np.ones((5, 5), np.uint8)
jumps = np.stack([cv2.dilate(m, window) / cv2.erode(m, window) for m in truth[:, 0].numpy()]) > 1.25

assert bool(known.all())  # filled depth: mini-SUN has no hole left in it
distance, signed = truth[:, 0].numpy(), (Do - truth)[:, 0].numpy()
classes = {name: kinds == k for k, name in enumerate(SURFACES)}
classes |= {"all": np.ones_like(jumps), "edges": jumps, "no edge": ~jumps}
print(f"{'':10}{'pixels':>8}{'Dgt':>8}{'De':>8}{'De/Dgt':>8}{'too near':>10}")
for name, here in classes.items():
    error, at = np.abs(signed[here]), distance[here]
    cells = f"{here.mean():8.0%}{at.mean():6.1f} m{error.mean():6.2f} m{(error / at).mean():8.0%}"
    print(f"{name:10}{cells}{(signed[here] < 0).mean():10.0%}")

# What the text below says of these weights. New ones may need another text.
metres = {name: np.abs(signed[here]).mean() for name, here in classes.items()}
share = {name: np.abs(signed[here] / distance[here]).mean() for name, here in classes.items()}
assert max(SURFACES, key=metres.get) == "wall" and max(SURFACES, key=share.get) == "furniture"
assert signed[classes["furniture"]].mean() > 0 > signed[classes["wall"]].mean()
assert 1 < metres["edges"] / metres["no edge"] < 2

# %% mystnb={"image": {"alt": "Left, one room with its surfaces in four colours, edges in black. Right, stacked bars of the mean error for floor, ceiling, wall, furniture, edges and the rest. Each bar is split into pixels guessed too near and pixels guessed too far: furniture is mostly too far, walls and floors more often too near."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
figure, axes = plt.subplots(1, 2, figsize=(7.5, 2.9), width_ratios=(1.1, 1.6))
palette = np.array([plt.matplotlib.colors.to_rgb(c) for c in COLOURS[:4]])
map_ = palette[kinds[SHOWN[0]]]
map_[jumps[SHOWN[0]]] = 0
axes[0].imshow(0.6 * map_ + 0.4 * image[SHOWN[0]].mean(0).numpy()[..., None])
axes[0].set_title("surfaces of the first room")
axes[0].axis("off")
for k, name in enumerate(SURFACES):
    axes[0].plot([], [], "s", color=COLOURS[k], label=name)
axes[0].legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=2)
names = [name for name in classes if name != "all"]
near = [np.where(signed[classes[n]] < 0, -signed[classes[n]], 0).mean() for n in names]
beyond = [np.where(signed[classes[n]] > 0, signed[classes[n]], 0).mean() for n in names]
axes[1].bar(names, near, color=COLOURS[5], label="too near")
axes[1].bar(names, beyond, bottom=near, color=COLOURS[1], label="too far")
axes[1].set(title="mean De, by what it is made of", ylabel="m")
axes[1].tick_params(axis="x", labelrotation=30)
axes[1].legend()
plt.show()

# %% [markdown]
# How to read it:
#
# - **Walls** have large errors in metres, furniture in per cent. A wall is far away and often has no texture: nothing
#   on it says how far it is.
# - **Furniture** is mostly guessed too *far*, walls and floors rather too *near*. It is the flat line of the first plot
#   again: furniture stands in front.
# - **Edges** are worse than the rest, but not by much, and there are few of them. Soft outlines catch the eye in the
#   maps. Most of the error is elsewhere: whole surfaces at a wrong distance.
#
# For bokeh the edges matter more than their share says. A wall at 5 m in place of 6 m is blurred either way. The
# outline of the subject is where a picture succeeds or fails. Eq. 2 does not know that. It weighs all pixels alike.

# %% [markdown]
# ## The sign that was lost
#
# Eq. 2 has two bars around its difference. They turn "too near" and "too far" into the same number. Here is the signed
# error, near and far pixels apart, and then what the bars make of it.

# %% mystnb={"image": {"alt": "Two histograms with three curves each: pixels nearer than 2 metres, from 2 to 4 metres, and beyond 4 metres. Left, signed errors: near pixels lie mostly on the right of zero, far pixels on the left. Right, absolute errors: all three curves fall from zero and overlap; near and far can no longer be told apart by direction."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
bands = {"below 2 m": d < 2, "2 to 4 m": (d >= 2) & (d < 4), "4 m and beyond": d >= 4}
figure, axes = plt.subplots(1, 2, figsize=(7.5, 2.6), sharey=True)
for k, (name, band) in enumerate(bands.items()):
    for axis, values, span in ((axes[0], s, (-4, 4)), (axes[1], e, (0, 4))):
        counts, at = np.histogram(values[band], bins=64, range=span, density=True)
        axis.stairs(counts, at, color=COLOURS[k], label=name, linewidth=2)
axes[0].axvline(0, color="#555555", linewidth=1)
axes[0].set(title="Do - Dgt", xlabel="m: too near < 0 < too far", ylabel="density")
axes[1].set(title="De = |Do - Dgt|", xlabel="m")
axes[1].legend()
plt.show()

# %% [markdown]
# What does that cost? Suppose somebody told us De *exactly*, for every pixel. Could we repair the depth? The truth is
# either Do - De or Do + De. Without the sign there are two candidates, and we have to bet.

# %%
repairs = {"no repair": Do, "Do - De": Do - De, "Do + De": Do + De}
repairs["right sign"] = Do - De * torch.sign(Do - truth)
print("mean |repaired - Dgt|, m")
for name, repaired in repairs.items():
    print(f"  {name:12}{float((repaired - truth).abs().mean()):6.2f}")
print(f"pixels that are too near: {(s < 0).mean():.0%}")
unrepaired = De.mean()
assert all((repairs[bet] - truth).abs().mean() > 0.8 * unrepaired for bet in ("Do - De", "Do + De"))
assert torch.allclose(repairs["right sign"], truth, atol=1e-5)

# %% [markdown]
# With the sign the repair is perfect. Without it a perfect De is worth nothing: where the bet is right the error
# vanishes, where it is wrong it doubles, and the coin is close to fair. The paper speaks of *calibrating* the depth.
# With a label like this, nobody can. What De can do is say *how far to trust* the depth. That is what Eq. 3 has to make
# of it (chapter 10).
#
# It matters for blur. A lens focused at 2 m, and a wall at 3 m. Two depth nets are both half a metre wrong:

# %%
focus, wall = 2.0, 3.0
for name, guess in (("truth", wall), ("too near", wall - 0.5), ("too far", wall + 0.5)):
    blur = abs(1 / guess - 1 / focus) / abs(1 / wall - 1 / focus)
    print(
        f"{name:9} Do {guess:.1f} m   De {abs(guess - wall):.1f} m   {blur:.0%} of the right blur"
    )

# %% [markdown]
# The labels of the last two are equal. The pictures are not.

# %% [markdown]
# ## Pictures that the depth net has seen
#
# A label is honest only if the depth net treats the picture as it will treat a new one. Stage 0 drew every scene of its
# training once, and never again. So it had little chance to learn a scene by heart. Is that so? Compare rooms that it
# was trained on with fresh ones, drawn in the same way.

# %%
from bradcn_nb.training.stages import STAGE0_FIRST_SEED

ROOMS = 40


def rooms(first: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures (N, 3, H, W) and true depths (N, 1, H, W) of the rooms with odd seeds from `first`."""
    views = [room_scene(first + 2 * n + 1).pinhole(*SIZE) for n in range(ROOMS)]
    pictures = np.stack([view[0] for view in views]).transpose(0, 3, 1, 2)
    depths = np.stack([view[1] for view in views])[:, None].clip(max=mini.data.clip_m)
    return torch.from_numpy(pictures).float(), torch.from_numpy(depths).float()


FRESH_SEED = 9_500_000  # no data set of the book has its scenes from there
each = {}
for name, first in (("seen in stage 0", STAGE0_FIRST_SEED), ("fresh", FRESH_SEED)):
    pictures, depths = rooms(first)
    each[name] = (predict(depth_net, pictures) - depths).abs().mean((1, 2, 3)).numpy()
    mean, doubt = each[name].mean(), 1.96 * each[name].std(ddof=1) / ROOMS**0.5
    print(f"{name:16} mean De {mean:.2f} m, give or take {doubt:.2f} m ({ROOMS} rooms)")

# %% [markdown]
# The two agree within their doubt. Now the opposite: let the net learn eight of our frames by heart, on purpose, and
# make labels of them and of the others.

# %%
KEPT, STEPS = 8, 48
torch.manual_seed(0)
swot = copy.deepcopy(depth_net).train()
adam = torch.optim.Adam(swot.parameters(), lr=1e-3)
for _ in range(STEPS):
    some = torch.randperm(KEPT)[:4]
    loss = (1 / swot(image[some]) - 1 / truth[some].clamp(max=REACH)).abs().mean()  # as stage 0
    adam.zero_grad()
    loss.backward()
    adam.step()
swot_error = (predict(swot.eval(), image) - truth).abs().mean((1, 2, 3)).numpy()
first_error = De.mean((1, 2, 3)).numpy()
assert swot_error[:KEPT].mean() < 0.7 * first_error[:KEPT].mean()
assert swot_error[KEPT:].mean() > first_error[KEPT:].mean()
print("learned by heart: labels shrink. All other frames: errors grow.")

# %% mystnb={"image": {"alt": "Two pairs of bars, the mean label before and after learning eight frames by heart. On those eight frames it falls to less than half, on the other 52 frames it rises."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
figure, axis = plt.subplots(figsize=(6, 2.4))
for k, (name, values) in enumerate((("before", first_error), ("after", swot_error))):
    heights = [values[:KEPT].mean(), values[KEPT:].mean()]
    axis.barh(np.arange(2) + 0.36 * k, heights, height=0.34, color=COLOURS[k], label=name)
axis.set(yticks=(0.18, 1.18), yticklabels=(f"the {KEPT} frames", "the others"), xlabel="mean De, m")
axis.invert_yaxis()
axis.legend(loc="upper right")
plt.show()

# %% [markdown]
# An ADCN that is trained on the upper pair learns that depth is nearly always right. In use it meets the lower pair.
# This is not a toy worry. SUN RGB-D *contains* NYUv2, and the paper's depth net was fine-tuned on NYUv2. Its labels for
# those frames are made of memory ([`sun-leak`](ledger.md#sun-leak) in the [ledger](ledger.md)).

# %% [markdown]
# ## Holes
#
# SUN RGB-D stores every depth map twice: `depth` as the sensor gave it, holes and all, and `depth_bfx` with the holes
# filled by a method that looks around them. The paper does not say which one it takes. We take the filled one, and a
# mask for what is still missing ([`label-holes`](ledger.md#label-holes) in the [ledger](ledger.md)).
#
# A hole is stored as 0. Forget the mask, and Eq. 2 takes it for a wall at 0 m, right on the lens:

# %%
raw_frames = SUNRGBD(
    data_root() / "mini-sun", "test", mini.data.sun_counts, size=SIZE, kind="depth"
)
raw_items = [raw_frames[i] for i in range(len(raw_frames))]
raw, measured = (torch.stack([item[key] for item in raw_items]) for key in ("depth", "mask"))
forgot = (Do - raw).abs()  # no mask
print(f"holes: {float((~measured).float().mean()):.1%} of the pixels")
print(f"mean 'De' in the holes without a mask {float(forgot[~measured].mean()):.2f} m")
print(f"mean De where there is a measurement  {float(forgot[measured].mean()):.2f} m")
assert_close(forgot[~measured], Do[~measured])  # it is nothing but the prediction

# %% mystnb={"image": {"alt": "Four panels of one room: the measured depth with grey holes along edges and in blotches; the label without a mask, where every hole glows as a large error; the label with a mask, holes grey; and the label from the filled depth, without holes."}}
i = SHOWN[0]
none = torch.tensor(torch.nan)
with_mask = torch.where(measured[i], forgot[i], none)
panels = [torch.where(measured[i], raw[i], none), forgot[i], with_mask, De[i]]
titles = ["Dgt, raw", "no mask", "with mask", "filled depth"]
grid(panels, titles, unit=["m", *["m wrong"] * 3], limits=[(0, 8), *[(0, 3)] * 3], columns=2)

# %% [markdown]
# Holes are not spread at random. They open along edges and on dark things, which is where a depth net errs as well. A
# mask is honest about that: it does not guess. But what is never labelled is never learned.

# %% [markdown]
# ## Labels on disk
#
# Stage 1 shows every frame many times, and the depth net never changes in between. So labels are made once and kept. A
# label is a PNG with 16 bits a pixel: one grey level is 1 mm, and 65535 means "no truth here". How much is lost by
# rounding to a millimetre?

# %%
from bradcn_nb.training.label_files import INVALID, QUANTUM_M, decode_label, encode_label

kept, mask = decode_label(encode_label(De[0, 0].numpy(), measured[0, 0].numpy()))
lost = np.abs(kept - De[0, 0].numpy())[mask].max()
assert np.array_equal(mask, measured[0, 0].numpy())
assert lost <= QUANTUM_M / 2 + 1e-6
step_at = {
    z: z * z / 351 for z in (1, 3, 5)
}  # a Kinect's own step, metres (the scenes have it, too)
print(f"the largest label that fits: {(INVALID - 1) * QUANTUM_M:.1f} m; rounding: at most 0.5 mm")
print(
    "the sensor's own step:", ", ".join(f"{1000 * v:.0f} mm at {z} m" for z, v in step_at.items())
)

# %% [markdown]
# The sensor is coarser than the file, at every distance that matters. With 8 bits a step would have to be some 30 mm.

# %% [markdown]
# ### A run, killed and resumed
#
# Making labels for the paper's 7245 frames takes hours without a GPU. So it must survive being stopped. Here is a run
# of 24 frames, four at a time. Somebody presses Ctrl-C while the net works on the fourth batch.

# %%
work = Path(tempfile.mkdtemp())
few = SUNRGBD(data_root() / "mini-sun", "train", (24, 12), size=SIZE)
weights = data_root() / "weights" / "depth-mini.safetensors"


class Watched(torch.nn.Module):
    """The depth net, counting its batches; stopped in batch number `stop`."""

    def __init__(self, stop=None):
        super().__init__()
        self.net, self.stop, self.batches = depth_net, stop, 0

    def forward(self, pictures):
        self.batches += 1
        if self.batches == self.stop:
            raise KeyboardInterrupt
        return self.net(pictures)


def run(folder, stop=None):
    """Make the labels in `folder`; return how many batches the net has seen."""
    net = Watched(stop)
    told = {"weights_hash": weights_hash(weights), "weights_name": weights.name}
    make_labels(net, few, folder, batch=4, progress=False, **told)
    return net.batches


def label_files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.png")}


try:
    run(work / "labels", stop=4)
except KeyboardInterrupt as stop:
    print(str(stop).partition(": ")[2])
print(len(label_files(work / "labels")), "labels of", len(few), "are there, every one whole")

# %% [markdown]
# The same call goes on. It looks at what is there, keeps what is sound, and asks the net for the rest only.

# %%
print("batches in the second run:", run(work / "labels"), "of", len(few) // 4)

run(work / "whole")  # a run that nobody stopped
assert label_files(work / "labels") == label_files(work / "whole")
print("all", len(few), "files have the bytes of that run")

# %% [markdown]
# Three things make that work.
#
# 1. **Whole or not at all.** A label is written under another name first, then renamed.
# 2. **The same batches.** The last bits of a net's output may depend on how many pictures it sees at once. So the
#    frames that meet in a batch are always the same ones, in the second run and also when several processes share the
#    work (`accelerate launch -m bradcn_nb labels ...`).
# 3. **A manifest.** It says what the labels were made from.

# %%
manifest = json.loads((work / "labels" / "manifest.json").read_text())
for key, value in manifest.items():
    if key != "made_by":  # versions and device: recorded, never compared
        print(f"{key:18}{str(value)[:24]}")

# %% [markdown]
# The two hashes are of the depth net's file and of the list of the data's files. Ask for labels of *another* depth net,
# here the one that stage 2 has fine-tuned, and you are told so, by name. Nothing is overwritten.

# %%
from bradcn_nb.errors import DataError

try:
    LabelSet(few, work / "labels", weights_hash(load_bradcn().depth_net))
except DataError as error:
    said = re.sub(
        r"([0-9a-f]{6})[0-9a-f]{58}", r"\1...", str(error).partition("manifest.json: ")[2]
    )
    print(textwrap.fill(said, 80))

# %% [markdown]
# ## Try it
#
# Three rooms. Click a pixel and read what the net said, what the sensor said, and the label. Find a pixel where De is
# zero although everything around it is wrong: there Do crosses the truth. Find the largest label on a piece of furniture.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code", "code_prompt_hide": "Hide the code"}
from bradcn_nb.figures.pixel_values import Frame, pixel_viewer

probed = []
for k, i in enumerate(SHOWN):
    maps = {"Do": Do[i], "Dgt": raw[i], "De": forgot[i]}
    maps |= {name: torch.where(measured[i], maps[name], none) for name in ("Dgt", "De")}
    picture = image[i].permute(1, 2, 0).numpy()
    probed.append(Frame(f"room {k + 1}", picture, {name: m[0].numpy() for name, m in maps.items()}))
pixel_viewer(
    probed,
    {"Do": 8.0, "Dgt": 8.0, "De": 3.0},
    description="A room as a picture, its predicted depth, its measured depth and the error label",
)

# %% [markdown]
# Here Dgt is the raw depth: grey pixels are holes, and have no label.

# %% [markdown]
# ## Your numbers may differ
#
# Another processor or another version of PyTorch rounds differently, so a last printed digit may move. Other weights
# move more: the bundled depth net is trained anew now and then. The asserts are about the equation and the files, and
# stay; those of the learning by heart leave room.
#
# And these are generated rooms. What a real DPT gets wrong on real SUN RGB-D frames is another question. This chapter
# can be run on them: give `SUNRGBD` the folder and the depth net its weights. The surfaces are then unknown.

# %% [markdown]
# ## Summary
#
# - Eq. 2 is one subtraction. Around it stand a mask, a clip at 8 m, and the depth net's own reach of 7.26 m.
# - The net bets on the middle: near things are guessed too far, far ones too near. Walls lead in metres, furniture in
#   per cent.
# - The absolute value drops the sign. A perfect De cannot repair depth. It can say how far to trust it.
# - Labels of memorised pictures are too small. Stage 0 saw no scene twice; the paper's depth net knows part of SUN
#   RGB-D.
# - A hole without a mask becomes the largest error of all.
# - Labels are made once, tied to the depth net by a hash, and a stopped run goes on to the same bytes.

# %% [markdown]
# ## Exercises
#
# **1 (graded). Eq. 2, from what the files give.** Write `label(predicted, stored)`. `predicted` is Do, float, metres.
# `stored` is the measured depth as it comes from the sensor: metres, 0 where nothing was measured, and possibly beyond
# 8 m. Return `(error, mask)` of the same shape: the depth is clipped at 8 m first; `mask` is True where there is a
# measurement; `error` is De there and exactly 0 elsewhere, also when `predicted` is NaN at such a place. Leave the
# inputs as they are.


# %% tags=["exercise"]
def label(predicted: torch.Tensor, stored: torch.Tensor):
    """De and its mask."""
    raise NotImplementedError  # your code in place of this line


# %% [markdown] tags=["solution"]
# A solution, folded away in the book:


# %% tags=["hide-input", "solution"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
def solution(predicted: torch.Tensor, stored: torch.Tensor):
    """`where` picks, it does not multiply: NaN times 0 would be NaN."""
    mask = stored > 0
    error = (predicted - stored.clamp(max=8.0)).abs()
    return torch.where(mask, error, 0.0), mask


# %% tags=["graded"]
def check(answer):
    """Raise AssertionError unless `answer` is Eq. 2 with its mask and clip."""
    guess = torch.tensor([[1.5, torch.nan, 7.0, 2.0]])
    stored = torch.tensor([[1.0, 0.0, 9.5, 2.0]])
    before = guess.clone(), stored.clone()
    error, mask = answer(guess, stored)
    assert mask.dtype == torch.bool and mask.tolist() == [[True, False, True, True]]
    assert torch.isfinite(error).all(), "a NaN came through the mask"
    assert_close(error, torch.tensor([[0.5, 0.0, 1.0, 0.0]]))
    assert_close(guess, before[0], rtol=0, atol=0, equal_nan=True)
    assert torch.equal(stored, before[1]), "the input was changed"
    error, mask = answer(Do, torch.where(measured, raw, 0.0))  # sixty rooms, holes and all
    assert torch.equal(mask, measured)
    assert_close(error, depth_error(Do, raw, measured)[0])


try:
    check(label)
    print("Your Eq. 2 passes.")
except NotImplementedError:
    check(solution)
    print("Not written yet. (The book's solution passes.)")

# %% [markdown]
# **2.** Make a label in inverse depth, |1/Do - 1/Dgt|. Draw it for the three rooms. Which surfaces lead now? Which label
# would you rather have for bokeh, and why?
#
# **3.** Fit one straight line for all sixty rooms, Dgt = a Do + b, by least squares. Before you look: the first plot says that Do rises too slowly with Dgt, so will a be above 1? It is below 1, and the fit removes
# hardly anything of De. Why? (The plot averages Do at each *true* depth; the fit averages the truth at each *predicted* depth. Draw both averages into one plot: both lines are flatter than the diagonal. This is regression to the mean.)
#
# **4.** Two depth nets that err independently: on which pixels do they disagree? Use `swot` and `depth_net`. Is their
# disagreement a good guess at De? (Chapter 9 has a measure for that.)
#
# **5.** Widen the window of the edge class from 5 to 9 and to 15 pixels. How do its share and its mean De change? What
# does that say about where errors live?

# %% [markdown]
# ## Next
#
# The labels are there. Chapter 9 trains the net that has to predict them from the picture alone:
# [ADCN, stage 1](09_adcn_stage1.ipynb).

# %% [markdown]
# ## References
#
# All are in the [bibliography](bibliography.md).
#
# - Liu, Zhou and Dong 2023, *Bokeh Rendering Based on Adaptive Depth Calibration Network*. Section III-C and Fig. 3.
# - Song, Lichtenberg and Xiao 2015, *SUN RGB-D*. The data set, its four sensors and its filled depth.
# - Silberman and others 2012, *Indoor Segmentation and Support Inference from RGBD Images*. NYUv2, which is part of it.
# - Ranftl, Bochkovskiy and Koltun 2021, *Vision Transformers for Dense Prediction*. The depth net and its formula.
# - Khoshelham and Elberink 2012, *Accuracy and Resolution of Kinect Depth Data*. The sensor's step.
