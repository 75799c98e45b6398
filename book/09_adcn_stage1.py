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
# # 9. ADCN, stage 1
#
# Chapter 8 wrote down where the depth net was wrong. Now a second net has to say so *in advance*, from the picture
# alone. It is the ADCN, the net that gives the paper its name, and it is a plain U-Net. This chapter builds it, trains
# it for some seconds, and then asks the harder question: when it says "half a metre wrong here", should anyone believe it?
#
# **You will be able to**
#
# - build a U-Net from five kinds of parts, and prove it equal to the package's;
# - work out every shape and every parameter of the U on paper;
# - say why a net that is trained with L1 should be compared with a *median*;
# - judge a predicted error by four measures, and say what each of them cannot see;
# - say what our ADCN has learned, and what it has not.
#
# **Before this**: chapter 8 (the labels), and PyTorch's `Conv2d`.
#
# **Time and memory**: about half a minute on one laptop-class core, about 1.5 GB. No download, no GPU.

# %% [markdown]
# ## Setup

# %% tags=["hide-input", "setup"] mystnb={"code_prompt_show": "Show the set-up", "code_prompt_hide": "Hide the set-up"}
# On Colab this fetches the book's package; elsewhere it is there already.
from importlib.util import find_spec

if find_spec("bradcn_nb") is None:
    raise ModuleNotFoundError("no bradcn_nb: the page On Colab says how")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the imports", "code_prompt_hide": "Hide the imports"}
import base64
import gzip
import json

import numpy as np
import torch
import torch.nn.functional as F
from IPython.display import HTML
from matplotlib import pyplot as plt
from torch import nn
from torch.testing import assert_close

from bradcn_nb.data import SUNRGBD
from bradcn_nb.figures.page import data_uri
from bradcn_nb.figures.plots import COLOURS, grid, show, use_style
from bradcn_nb.files import data_root
from bradcn_nb.models import ADCN, load_bradcn, load_depth_net
from bradcn_nb.models.blocks import centre
from bradcn_nb.models.depth_error import depth_error
from bradcn_nb.presets import preset

torch.set_num_threads(1)  # sums in a fixed order give the same digits each time
use_style()
mini, paper = preset("mini"), preset("paper")
SIZE = mini.data.train_size  # (64, 96)

# %% [markdown]
# ## What the paper says
#
# Section III-C ([Liu et al. 2023](bibliography.md)):
#
# > "The architecture of ADCN is based on U-Net [13], which has outstanding matching ability and fast convergence speed.
# > We show the architecture of ADCN in Fig. 4."
#
# And below Fig. 4:
#
# > "The left side is an encoder which contains feature extraction and downsampling and the right side is a decoder for
# > upsampling. Skip-connections are utilized between the encoder and decoder to capture multi-scale features."
#
# And Section IV-B:
#
# > "The first stage involves the pre-training of ADCN, and we use the L1 loss function for 50 epochs with a learning rate
# > of 1e-4."
#
# In words: *shrink the picture in steps and keep what you see at each step; then grow it again, and at each step look at
# what you kept.*
#
# Widths, normalisation and the last layer are not given. We take those of the U-Net of
# [Ronneberger et al. 2015](bibliography.md): 64 to 1024 channels, no normalisation ([`adcn-norm`](ledger.md#adcn-norm) in the
# [ledger](ledger.md)). A softplus at the end keeps De positive ([`adcn-positive`](ledger.md#adcn-positive)). The input is the picture and nothing
# else ([`adcn-input`](ledger.md#adcn-input)): our ADCN never sees the depth that it is to judge.

# %% [markdown]
# ## The U in one picture
#
# The next cells ask the net for its shapes, and draw them. They do so on PyTorch's `meta` device, where a tensor has a
# shape but no numbers, so that the paper's size costs nothing.


# %%
def census(cfg, height: int, width: int) -> list[tuple]:
    """(shape on the way down, shape on the way up) of each level, fine to coarse."""
    shapes = {}
    with torch.device("meta"):
        net = ADCN(cfg)
        named = {f"down{k}": part for k, part in enumerate(net.down)}
        named |= {f"up{k}": part for k, part in enumerate(net.merge)}
        for name, part in named.items():
            part.register_forward_hook(
                lambda module, args, out, name=name: shapes.update({name: tuple(out.shape)})
            )
        net(torch.empty(1, 3, height, width))
    return [(shapes[f"down{k}"], shapes.get(f"up{k}")) for k in range(len(net.down))]


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code", "code_prompt_hide": "Hide the code"}
def draw(axis, levels: list[tuple], title: str) -> None:
    """The U: boxes as wide as they have channels (square root) and as high as their pixels."""
    bottom, last = len(levels) - 1, {}
    for k, sides in enumerate(levels):
        for side, shape in zip((-1, 1), sides, strict=True):
            if shape is None:
                continue
            x, y = (0 if k == bottom else side * (bottom - k) * 0.9), -1.25 * k
            wide, high = 0.14 + 0.5 * (shape[1] / levels[-1][0][1]) ** 0.5, 0.25 + 0.6 / 2**k
            colour = COLOURS[0] if side < 0 else COLOURS[1]
            corner = (x - wide / 2, y - high / 2)
            axis.add_patch(plt.Rectangle(corner, wide, high, color=colour, alpha=0.75))
            says = f"{shape[1]}\n{shape[2]}x{shape[3]}"
            at = (x, y - high / 2 - 0.06) if k == bottom else (x + side * (wide / 2 + 0.07), y)
            ha, va = ("center", "top") if k == bottom else (("right", "left")[side > 0], "center")
            axis.text(*at, says, ha=ha, va=va, fontsize=8, linespacing=1.1)
            last[k, side] = (x, y, wide, high)
    last[bottom, 1] = last[bottom, -1]
    arrow = {"arrowstyle": "->", "color": "#555555", "linewidth": 1.2}
    for k in range(bottom):
        (left, right), (below, above) = ([last[j, side] for side in (-1, 1)] for j in (k, k + 1))
        down = (left[:2] - np.array((0, left[3] / 2)), below[:2] + np.array((0, below[3] / 2)))
        up = (above[:2] + np.array((0, above[3] / 2)), right[:2] - np.array((0, right[3] / 2)))
        across = (left[:2] + np.array((left[2] / 2, 0)), right[:2] - np.array((right[2] / 2, 0)))
        for start, end in (down, up, across):
            dashes = {"linestyle": (0, (4, 3))} if end is across[1] else {}
            axis.annotate("", end, start, arrowprops=arrow | dashes)
    axis.set(xlim=(-4.8, 4.8), ylim=(-1.25 * bottom - 1.1, 0.6), title=title)
    axis.axis("off")


# %% mystnb={"image": {"alt": "Two drawings of the U-Net side by side, mini and paper. On the left arm of each U boxes get lower and wider downwards, on the right arm the reverse. Each box is labelled with its channels and its size; dashed arrows lead across from left to right at each level. mini goes from 8 channels at 64x96 to 288 at 4x6, paper from 64 channels at 512x768 to 1024 at 32x48."}}
figure, axes = plt.subplots(1, 2, figsize=(7.5, 4.2))
for axis, chosen in zip(axes, (mini, paper), strict=True):
    draw(axis, census(chosen.model, *chosen.data.train_size), chosen.name)
plt.show()

# %% [markdown]
# Each box is one *double convolution*. The number on top is its channels, the other its height and width. Solid arrows
# down halve the size, solid arrows up double it, dashed arrows are the skips. At the left end of the top comes the
# picture in, with 3 channels; at the right end a 1x1 convolution makes one channel of De.
#
# The two differ in widths and in size, and in nothing else. Note what the paper's U does to its shape: 1024 channels of
# 32x48. A pixel down there stands for 16x16 pixels of the picture.

# %% [markdown]
# ## The parts, by hand
#
# **Down.** A double convolution: twice a 3x3 convolution and a ReLU. Padding keeps the size. Then the largest of each
# 2x2 square.
#
# **Up.** A transposed convolution whose kernel is as large as its step, 2. In words: each coarse pixel becomes a 2x2
# square, by one matrix for each of the four places. Nothing overlaps.
#
# **Skip.** What the left arm has kept is laid beside what comes up, channel after channel. Then a double convolution
# mixes the two.

# %%
net = load_bradcn("mini").adcn  # the trained one; its weights come with the book


def double_conv(x, first, second):
    """(N, C, H, W) -> (N, C', H, W)."""
    for conv in (first, second):
        x = F.conv2d(x, conv.weight, conv.bias, padding=1).clamp(min=0)
    return x


def half(x):
    """The largest of each 2x2 square: (N, C, H, W) -> (N, C, H/2, W/2)."""
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).amax((3, 5))


def double(x, conv):
    """Each pixel becomes a 2x2 square: (N, C, H, W) -> (N, C', 2H, 2W)."""
    n, _, h, w = x.shape
    squares = torch.einsum("ncyx,cdij->ndyixj", x, conv.weight)  # (N, C', H, 2, W, 2)
    return squares.reshape(n, -1, 2 * h, 2 * w) + conv.bias[:, None, None]


torch.manual_seed(0)
x = torch.rand(2, 8, 16, 24)
with torch.no_grad():
    assert_close(double_conv(x[:, :3], net.down[0][0], net.down[0][2]), net.down[0](x[:, :3]))
    assert_close(half(x), F.max_pool2d(x, 2))
    coarse = torch.rand(2, mini.model.adcn_widths[1], 8, 12)
    assert_close(double(coarse, net.up[0]), net.up[0](coarse))
print("double convolution, half and double: equal to PyTorch's")

# %% [markdown]
# ## The net
#
# With these parts the whole net is a walk down and a walk up. `keep` is the list of skips. It is a stack: what was laid
# down last is picked up first.


# %%
def u_net(image, net, skips=True, deep=True):
    """De (N, 1, H, W) in metres of pictures (N, 3, H, W); for the experiment: without skips or depth."""
    x, keep = centre(image), []  # centre: from [0, 1] to [-1, 1]
    for level, part in enumerate(net.down):
        if level:
            keep.append(x)
            x = half(x)
        x = double_conv(x, part[0], part[2])
    x = x * deep
    for level in reversed(range(len(keep))):
        x = torch.cat((keep.pop() * skips, double(x, net.up[level])), dim=1)  # skip first
        x = double_conv(x, net.merge[level][0], net.merge[level][2])
    return F.softplus(F.conv2d(x, net.out.weight, net.out.bias))


image = torch.rand(2, 3, *SIZE)
with torch.no_grad():
    assert_close(u_net(image, net), net(image), rtol=1e-4, atol=1e-5)
    random = ADCN(mini.model)  # and for weights that nobody has trained
    assert_close(u_net(image, random), random(image), rtol=1e-4, atol=1e-5)
print("the same weights give the same De:", tuple(net(image).shape))
show(ADCN)

# %% [markdown]
# (What is said there of `signed` is a variant of ours, which also sees the depth. Chapter 14 comes to it.)
#
# ### Shape arithmetic
#
# Let the widths be $c_0 \ldots c_4$. Level $k$ sees the picture at $1/2^k$ of its size, so height and width must be
# multiples of $2^4 = 16$. A 3x3 convolution from $a$ to $b$ channels has $9ab + b$ numbers to learn. A double one has two
# of them. A doubling from $a$ to $b$ has $4ab + b$. That is all there is to count.

# %%


def conv(a: int, b: int, k: int) -> int:
    return k * k * a * b + b


def count(c: tuple[int, ...]) -> int:
    """Parameters of a U with the widths c, by arithmetic."""
    down = sum(conv(a, b, 3) + conv(b, b, 3) for a, b in zip((3, *c), c, strict=False))
    up = sum(conv(b, a, 2) for a, b in zip(c, c[1:], strict=False))
    merge = sum(conv(2 * a, a, 3) + conv(a, a, 3) for a in c[:-1])
    return down + up + merge + conv(c[0], 1, 1)


for chosen in (mini, paper):
    with torch.device("meta"):
        made = sum(p.numel() for p in ADCN(chosen.model).parameters())
    assert made == count(chosen.model.adcn_widths)
    print(f"{chosen.name:6}{chosen.model.adcn_widths!s:28}{made:12,} parameters")

# %% [markdown]
# ### What one output pixel can see
#
# A 3x3 convolution looks one pixel around itself. Down at level $k$ that pixel is $2^k$ wide. So the deep levels look
# far. How far, is easily measured: ask which pixels of the picture have a gradient to *one* pixel of De. (All weights
# made positive and biases zero, so that no ReLU hides a path.)

# %%
SIDE = 384
probe = ADCN(mini.model)  # reach depends on the levels, not on their widths
with torch.no_grad():
    for name, weight in probe.named_parameters():
        weight.copy_(weight.abs() if name.endswith("weight") else torch.zeros_like(weight))
picture = torch.full((1, 3, SIDE, SIDE), 0.75, requires_grad=True)
# Our `half` shares the gradient among equal pixels. PyTorch's max_pool2d would pick one of them.
u_net(picture, probe)[0, 0, SIDE // 2, SIDE // 2].backward()
seen = picture.grad[0].abs().amax(0) > 0
height, width = (int(seen.any(axis).sum()) for axis in (1, 0))
print(f"one pixel of De sees {height}x{width} pixels of the picture")
assert height < SIDE and width < SIDE  # and not just because the picture ended there

# %% [markdown]
# At mini's 96x64 that is everything. At the paper's 768x512 it is about a quarter of the width. The depth net sees the
# whole picture there, through its transformer. So at full size ADCN judges from nearby what the depth net decided with
# the whole room in view. Nobody has measured whether that hurts.

# %% [markdown]
# ## Data and labels
#
# The 300 training and 60 test rooms of mini-SUN, and their labels by Eq. 2 (chapter 8). We keep them in memory.

# %%
depth_net = load_depth_net()


@torch.no_grad()
def in_parts(net: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    return torch.cat([net(some) for some in pictures.split(20)])


def labelled(pictures, truth, mask) -> dict[str, torch.Tensor]:
    """Pictures with Do, De and mask."""
    Do = in_parts(depth_net, pictures)
    De, mask = depth_error(Do, truth, mask)
    return {"image": pictures, "Do": Do, "De": De, "mask": mask}


rooms = {}
for split in ("train", "test"):
    frames = SUNRGBD(data_root() / "mini-sun", split, mini.data.sun_counts, size=SIZE)
    items = [frames[i] for i in range(len(frames))]
    parts = (torch.stack([item[key] for item in items]) for key in ("image", "depth", "mask"))
    rooms[split] = labelled(*parts)
train, test = rooms["train"], rooms["test"]
print("train", tuple(train["De"].shape), "  test", tuple(test["De"].shape))

# %% [markdown]
# ### What L1 asks for
#
# Before training, the laziest net of all: one number for every pixel. Which number has the smallest mean
# |number - De|? Not the mean of De. The *median*. (Move the number a little: the pixels below it pull one way, those
# above the other, each with the same force. It rests where half are below.)

# %% mystnb={"image": {"alt": "Left, histogram of the training labels: most are small, with a long tail to the right; the median is marked left of the mean. Right, the mean absolute error of a constant against that constant: a valley whose lowest point is at the median."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
values = train["De"][train["mask"]].numpy()
median, mean = float(np.median(values)), float(values.mean())
constants = np.linspace(0, 1.5, 61)
cost = np.array([np.abs(values - constant).mean() for constant in constants])
assert abs(constants[cost.argmin()] - median) < 0.03
figure, axes = plt.subplots(1, 2, figsize=(7.5, 2.5))
axes[0].hist(values, bins=80, range=(0, 4), density=True, color=COLOURS[5])
axes[0].set(title="labels De of the training rooms", xlabel="m", ylabel="density")
axes[1].plot(constants, cost, color=COLOURS[0])
axes[1].set(title="L1 of one number for all", xlabel="the number, m", ylabel="m")
for axis in axes:
    axis.axvline(median, color=COLOURS[1], label=f"median {median:.2f} m")
    axis.axvline(mean, color=COLOURS[2], linestyle="--", label=f"mean {mean:.2f} m")
axes[0].legend()
plt.show()

# %% [markdown]
# So a net that is trained with L1 learns the median of what may be, for each kind of place. Errors have a long tail:
# many small ones, few large ones. Then the median lies below the mean. Expect ADCN to promise *less* error than there is.

# %% [markdown]
# ## Stage 1, for some seconds
#
# The paper's stage 1 is 50 epochs. Here are 120 steps of four pictures, less than two epochs. The loop is ordinary: pick four,
# mirror half of them, L1 inside the mask, Adam. (Chapter 11 proves such a loop equal to the package's.) Every 40 steps we
# look how it does on the test rooms.

# %%
from bradcn_nb.training.loop import BETAS, learning_rate
from bradcn_nb.training.losses import l1

stage1, STEPS = mini.stage("stage1"), 120
torch.manual_seed(0)
mine = ADCN(mini.model).to(memory_format=torch.channels_last)
adam = torch.optim.Adam(mine.parameters(), lr=stage1.lr, betas=BETAS, fused=True)
order = torch.cat([torch.randperm(len(train["De"])) for _ in range(2)])
curve, looks = [], {}


def on_test_rooms(answer: torch.Tensor) -> float:
    return float(l1(answer, test["De"], test["mask"]))


for step in range(STEPS):
    if step % 40 == 0:
        looks[step] = on_test_rooms(in_parts(mine, test["image"]))
    some = order[4 * step : 4 * step + 4]
    batch = [train[key][some] for key in ("image", "De", "mask")]
    if torch.rand(()) < 0.5:
        batch = [x.flip(-1) for x in batch]
    adam.param_groups[0]["lr"] = learning_rate(stage1, step, STEPS)
    loss = l1(mine(batch[0]), *batch[1:])
    adam.zero_grad()
    loss.backward()
    adam.step()
    curve.append(float(loss.detach()))

# %%
short = in_parts(mine.eval(), test["image"])
looks[STEPS] = on_test_rooms(short)
lazy = on_test_rooms(torch.full_like(short, median))
assert looks[STEPS] < 0.99 * lazy and looks[STEPS] < looks[0]
print(f"{STEPS} steps of {stage1.batch} pictures: better than the best constant, by some per cent")

# %% [markdown]
# And the long training, whose weights come with the book: 30 epochs. Its log comes along, too. After each epoch the net was
# also scored on 16 test rooms.

# %% mystnb={"image": {"alt": "Left, the short training: the loss of each step is noisy; points every 40 steps show the score on the test rooms, which falls quickly below the dashed line of the best constant. Right, the long training: the training loss falls steadily over 30 epochs, while the score on test rooms falls for about half of them and then stays."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
with gzip.open(data_root() / "weights" / "logs" / "stage1.csv.gz", "rt") as file:
    log = np.genfromtxt(file, delimiter=",", names=True)
epochs = np.unique(log["epoch"])
per_epoch = np.array([log["loss"][log["epoch"] == k].mean() for k in epochs])
checks = log["check"][~np.isnan(log["check"])]
figure, axes = plt.subplots(1, 2, figsize=(7.5, 2.8))
axes[0].plot(curve, color=COLOURS[5], linewidth=0.8, label="each step")
axes[0].plot(*zip(*looks.items(), strict=True), "o-", color=COLOURS[2], label="60 test rooms")
axes[0].axhline(lazy, color=COLOURS[1], linestyle="--", label="best constant there")
axes[0].set(title="here", xlabel="step", ylabel="L1, m")
axes[1].plot(epochs, per_epoch, color=COLOURS[0], label="training rooms")
axes[1].plot(epochs, checks, color=COLOURS[2], label="16 test rooms")
axes[1].set(title="the bundled weights", xlabel="epoch", ylabel="L1, m", ylim=(0.25, None))
for axis in axes:
    axis.legend()
plt.show()

# %% [markdown]
# The right plot is the shape of *overfitting*. On the rooms that it trains on the net gets better and better. On others it
# stops halfway. 300 rooms are few for a net of a million weights. It begins to learn rooms, not errors.

# %% [markdown]
# ## What it draws
#
# Three test rooms: the label, what the bundled ADCN says, and what ours of some seconds says.

# %% mystnb={"image": {"alt": "Three rows, one a test room. Columns: the picture, the label De, the bundled ADCN's prediction, which is smoother and paler than the label, and the prediction of the short training, which is smoother still."}}
sets = {"train": {key: maps[:60] for key, maps in train.items()}, "test": test}  # to judge on
for some in sets.values():
    some["ADCN"] = in_parts(net, some["image"])
SHOWN = (53, 31, 48)
panels = [x for i in SHOWN for x in (test["image"][i], test["De"][i], test["ADCN"][i], short[i])]
titles = ["picture", "De, the label", "ADCN, bundled", "ADCN, some seconds"] + [""] * 8
units, limits = ["", *["m"] * 3] * 3, [None, *[(0, 2)] * 3] * 3
grid(panels, titles, columns=4, unit=units, limits=limits)

# %% [markdown]
# The bundled ADCN knows where the far end of a room is. It draws furniture faintly or not at all.
#
# Now look at the last column once more. It is the same map three times! In its seconds our net has learned one thing: the
# lower part of a picture is mostly right, the upper part less so. It hardly looks at the room. But how does a convolution
# know up from down? From the border: padding puts zeros there, and the deep levels see it from everywhere.

# %%
place = train["De"].median(0).values  # (1, H, W): the median label at each place of the frame
between_rooms, between_places = short.std(0).mean(), short.mean(0).std()
assert between_rooms < 0.5 * between_places  # it says nearly the same of every room
with_place = np.corrcoef(short.mean(0).flatten(), place.flatten())[0, 1]
assert with_place > 0.8
print("the short training has learned the map of medians, and little else")

# %% [markdown]
# Keep that map of medians in mind. It needs no net, and it is better than a constant. What beats a constant may still not
# have looked at the picture.
#
# Which part of the U draws what? Take the skips away, and then the deepest level, without any new training:

# %% mystnb={"image": {"alt": "Four panels of one room: the picture, the full prediction, the prediction without skips, which is nearly the same but smoother, and the prediction with the deepest level set to zero, which is another map altogether."}}
some = test["image"][SHOWN[0] : SHOWN[0] + 6]  # six rooms, the first of them is shown
with torch.no_grad():
    maps = [u_net(some, net, *parts) for parts in ((True, True), (False, True), (True, False))]
titles = ["picture", "whole", "no skips", "no deepest level"]
panels = [some[0], *(m[0] for m in maps)]
grid(panels, titles, unit=["", *["m"] * 3], limits=[None, *[(0, 1.5)] * 3], columns=2)

# %%
changes = [float((m - maps[0]).abs().mean()) for m in maps[1:]]
print(f"mean change without skips {changes[0]:.2f} m, without the deepest level {changes[1]:.2f} m")
assert changes[1] > 1.5 * changes[0]

# %% [markdown]
# Without skips the map is much the same. Without the deepest level it is another one. So our ADCN lives by its depths more
# than by its skips, the one thing that makes a U out of a funnel: even the whole map has no outlines. (The net was trained
# with both. This shows who draws what, not what each is worth.) The fine chequered pattern is of the doublings' making:
# four matrices, one for each place in a 2x2 square, need not agree.

# %% [markdown]
# ## Is it any good?
#
# Four questions to a predicted error, from modest to practical. The measures are in `bradcn_nb/evaluation/error_maps.py`.
#
# 1. **How far off is it?** The mean absolute error of the predicted error, in metres. Against the best constant.
# 2. **Is the order right?** Spearman's rank correlation: sort the pixels by what ADCN says, sort them by what is true,
#    compare the two orders. 1 is the same order, 0 is chance ([Spearman 1904](bibliography.md)).
# 3. **Does it mean what it says?** Take all pixels for which it says about 0.5 m. Are they wrong by 0.5 m on average?
# 4. **What is it good for?** Throw away the pixels that it calls worst. Is the rest better?
#
# Against three rivals that need no training. The **best constant** we know. **Same place** is the map of medians: it knows
# where in the frame a pixel is, and nothing of the picture. **Far is wrong** returns Do: chapter 8 found that errors grow
# with distance.
#
# The 6144 pixels of a picture are not 6144 cases. They share their walls and their light. A *picture* is one case. So the
# first two measures are taken picture by picture, and their mean comes with a 95 % interval over pictures.

# %%
from bradcn_nb.evaluation.error_maps import mean_absolute_error, rank_correlation
from bradcn_nb.evaluation.intervals import paired_interval

rivals = {
    "best constant": lambda some: torch.full_like(some["De"], median),
    "same place": lambda some: place.expand_as(some["De"]),
    "far is wrong": lambda some: some["Do"],
    "ADCN": lambda some: some["ADCN"],
}
measures = {"MAE, m": mean_absolute_error, "Spearman": rank_correlation}
scores = {}  # set, rival, measure -> one value a picture


def judge(name: str) -> None:
    """Print the means over the pictures of a set."""
    some = sets[name]
    title = f"{name}, {len(some['De'])} pictures"
    print(f"{title:24}{'MAE, m':>12}{'Spearman':>11}")
    for rival, answer in rivals.items():
        for key, measure in measures.items():
            triples = zip(answer(some), some["De"], some["mask"], strict=True)
            scores[name, rival, key] = np.array([measure(*triple) for triple in triples])
        mae, order = (scores[name, rival, key].mean() for key in measures)
        shown = "-" if rival == "far is wrong" else f"{mae:.2f}"
        print(f"  {rival:16}{shown:>18}{order:11.2f}")


def versus(name: str, rival: str, key: str):
    """Mean and interval of ADCN minus a rival, paired by picture."""
    return paired_interval(scores[name, "ADCN", key], scores[name, rival, key])


judge("train")
judge("test")

# %% [markdown]
# ("far is wrong" has no MAE: Do is a distance, not an error. Only its order counts.)
#
# On rooms that it was trained on (sixty of them) ADCN is far ahead. On new rooms the table has smaller differences. Which of
# them would survive sixty other rooms?

# %%
pairs = [("best constant", "MAE, m"), ("same place", "MAE, m")]
pairs += [("same place", "Spearman"), ("far is wrong", "Spearman")]


def compare_all(name: str) -> dict:
    found = {(rival, key): versus(name, rival, key) for rival, key in pairs}
    print(f"{name}: ADCN minus ...")
    for (rival, key), d in found.items():
        print(f"  {rival:15}{key:9}{d.mean:+7.3f}  ({d.low:+.3f} to {d.high:+.3f})")
    return found


told = compare_all("test")
# What the text says of these weights. New ones may need another text.
assert told["best constant", "MAE, m"].high < 0 and told["same place", "Spearman"].low > 0
assert told["same place", "MAE, m"].mean < 0 < told["same place", "MAE, m"].high
assert told["far is wrong", "Spearman"].low < 0 < told["far is wrong", "Spearman"].high
assert versus("train", "same place", "MAE, m").high < 2 * told["same place", "MAE, m"].low

# %% [markdown]
# - **Metres.** ADCN is closer than the constant. Not by much: some per cent. That it is closer than the map of medians, these
#   rooms cannot tell.
# - **Order.** It orders the pixels better than the place alone. It does not order them better than "far is wrong".
#
# Does ADCN know *more* than the distance, then? Compare only pixels of about the same predicted depth, in five bands:


# %%
def within_bands(some: dict) -> np.ndarray:
    """Spearman among pixels of similar Do: five bands with equally many pixels, all pictures."""
    edges = np.quantile(some["Do"].numpy(), (0.2, 0.4, 0.6, 0.8))
    band = np.digitize(some["Do"].numpy(), edges)
    inside = some["mask"].numpy()
    return np.array(
        [rank_correlation(some["ADCN"], some["De"], inside & (band == k)) for k in range(5)]
    )


bands = within_bands(test)
assert bands.min() > 0.15
print("test, Spearman in five bands of Do:", " ".join(f"{r:.2f}" for r in bands))

# %% [markdown]
# All clearly above zero. So yes: among pixels that the depth net puts at the same distance, ADCN still tells better from
# worse. It has seen something else in the *picture*.

# %% [markdown]
# ### Out of its domain
#
# The paper is careful here: "the model may not generalize well to other datasets that have different semantic
# distributions". ADCN is trained on rooms. In stage 2 it is used on outdoor pictures, frozen. EBB! has no depth, so the
# paper cannot know how it does there. Our outdoor scenes are generated, so we can: the scenes of mini-EBB's test pairs
# with their true depth. (The *depth net* is at home there, by the way. Stage 0 saw outdoor scenes and rooms alike.)

# %%
from bradcn_nb.data.bundle import EBB_SEED, EBB_TEST
from bradcn_nb.scenes import outdoor_scene

views = [outdoor_scene(EBB_SEED + n).pinhole(*SIZE) for n in EBB_TEST]
pictures = torch.from_numpy(np.stack([view[0] for view in views]).transpose(0, 3, 1, 2)).float()
truth = torch.from_numpy(np.stack([view[1] for view in views])[:, None]).float()
known = torch.isfinite(truth) & (truth > 0)
sets["outdoor"] = labelled(pictures, truth.clamp(max=mini.data.clip_m), known)
sets["outdoor"]["ADCN"] = in_parts(net, pictures)
judge("outdoor")
told = compare_all("outdoor")

bands = within_bands(sets["outdoor"])
print("outdoor, Spearman in five bands of Do: all within 0.15 of zero")
assert np.abs(bands).max() < 0.15  # again: what the text says of these weights
assert told["best constant", "MAE, m"].low < 0 < told["best constant", "MAE, m"].high
assert told["same place", "Spearman"].low < 0 < told["same place", "Spearman"].high
assert told["far is wrong", "Spearman"].mean < 0

# %% [markdown]
# Outdoors little is left. The constant, a number from *rooms*, is as close as ADCN. The map of medians, made of rooms,
# orders the pixels as well. "Far is wrong" does it better. And among pixels of one distance ADCN's order is chance. What
# it saw in rooms was something about rooms.

# %% [markdown]
# ### Does it mean what it says?
#
# Ten bins of pixels, by what ADCN says. For each: what it says on average, and what is true on average. On the diagonal
# one could take its word.

# %% mystnb={"image": {"alt": "Calibration curves: mean true error against mean predicted error for training rooms, test rooms and outdoor scenes, with the diagonal. The training curve runs close above the diagonal, the test curve is farther above it and falls below it at the end, and the outdoor curve is nearly flat, between 1.1 and 1.5 metres."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
from bradcn_nb.evaluation.error_maps import calibration_curve

figure, axis = plt.subplots(figsize=(5.2, 3.4))
for k, (name, some) in enumerate(sets.items()):
    bins = calibration_curve(some["ADCN"], some["De"], some["mask"])
    axis.plot(bins.predicted, bins.true, "o-", color=COLOURS[k], label=name, markersize=4)
axis.plot((0, 2), (0, 2), color="#555555", linewidth=1, label="means what it says")
axis.set(xlabel="ADCN says, m", ylabel="true on average, m", xlim=(0, 2), ylim=(0, 2))
axis.legend()
plt.show()

# %% [markdown]
# - **Train**: a little above the diagonal all along. It promises too little. That is the median speaking, as foretold.
# - **Test**: farther above it, and below it at the top end. Where it says little there is more, where it says most there is
#   less. It is too sure of itself.
# - **Outdoor**: nearly flat. Whatever it says, the truth is about the same, and twice what most rooms have.

# %% [markdown]
# ### What is it good for?
#
# *Sparsification* is the practical test: remove more and more of the pixels that ADCN calls worst, and look at the mean
# error of the rest. Two lines frame it. An **oracle** removes those that are worst: no method does better. **Random**
# removal changes nothing: its line is flat. The area between the curve and the oracle's is called AUSE
# ([Ilg et al. 2018](bibliography.md)): 0 is perfect. The area between the flat line and the curve is AURG
# ([Poggi et al. 2020](bibliography.md)): 0 is no use at all.

# %%
from bradcn_nb.evaluation.error_maps import sparsification

show(sparsification)

# %% mystnb={"image": {"alt": "Three panels, training rooms, test rooms and outdoor scenes. Each shows the mean error of the remaining pixels against the part removed: ADCN's curve between the flat random line and the oracle's, with far-is-wrong beside it. In test rooms ADCN runs a little below far-is-wrong; outdoors it stays close to the random line."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
figure, axes = plt.subplots(1, 3, figsize=(7.5, 2.8), sharey=True)
for axis, (name, some) in zip(axes, sets.items(), strict=True):
    curves = {
        r: sparsification(rivals[r](some), some["De"], some["mask"])
        for r in ("far is wrong", "ADCN")
    }
    removed = 100 * curves["ADCN"].removed
    axis.plot(removed, np.ones_like(removed), color="#9e9e9e", linestyle=":", label="random")
    for rival, colour in (("far is wrong", COLOURS[2]), ("ADCN", COLOURS[0])):
        axis.plot(removed, curves[rival].remaining, color=colour, label=rival)
    axis.plot(removed, curves["ADCN"].oracle, color=COLOURS[1], linestyle="--", label="oracle")
    axis.set(title=name, xlabel="removed, %", ylim=(0, 1.3))
axes[0].set_ylabel("error of the rest / of all")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
plt.show()

# %%
print("            ADCN: AUSE   AURG   far is wrong: AUSE   AURG")
for name, some in sets.items():
    both = [
        sparsification(rivals[r](some), some["De"], some["mask"]) for r in ("ADCN", "far is wrong")
    ]
    print(f"{name:12}" + "".join(f"{c.ause:10.2f}{c.aurg:7.2f}     " for c in both).rstrip())

# %% [markdown]
# ## Try it
#
# Drag the slider, or focus it and use the arrow keys: the pixels that go turn grey. Choose who decides. In the rooms, does
# ADCN throw the right things out? In the outdoor scene? The line below says how wrong the rest is. It works without a
# kernel.


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of this element", "code_prompt_hide": "Hide the code of this element"}
def coded(array: np.ndarray, kind: str) -> str:
    return base64.b64encode(array.astype(kind).tobytes()).decode()


def goes_at(badness: np.ndarray) -> np.ndarray:
    """For each pixel the percentage at which it is removed, worst first."""
    place = np.argsort(np.argsort(-badness.ravel(), kind="stable"), kind="stable")
    return place * 100 // place.size


scenes = {}
chance = np.random.default_rng(0)
for title, name, i in (("chair", "test", 53), ("sideboard", "test", 48), ("outdoor", "outdoor", 4)):
    true = sets[name]["De"][i, 0].numpy()
    deciders = {
        "ADCN": sets[name]["ADCN"][i, 0].numpy(),
        "far is wrong": sets[name]["Do"][i, 0].numpy(),
    }
    deciders |= {"the oracle": true, "chance": chance.random(true.shape)}
    scenes[title] = {
        "picture": data_uri(sets[name]["image"][i].permute(1, 2, 0).numpy(), "png"),
        "map": data_uri(plt.get_cmap("viridis")(true / 2)[..., :3], "png"),
        "mm": coded(np.rint(1000 * true), "<u2"),
        "goes": {who: coded(goes_at(bad), "u1") for who, bad in deciders.items()},
    }

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of this element", "code_prompt_hide": "Hide the code of this element"}
PAGE = """<div class="interactive" id="sparse"><style>
#sparse {background:var(--pst-color-background, transparent); padding:.5em; max-width:760px}
#sparse fieldset {border:0; padding:0; margin:0 0 .3em} #sparse legend {font-weight:bold; font-size:1em; float:left; margin:0 1em 0 0; padding:0}
#sparse label {display:inline-block; margin:0 1em 0 0; cursor:pointer} #sparse .slide {display:flex; gap:1em; margin:.3em 0}
#sparse input {accent-color:#0072b2; margin-right:.35em} #sparse input[type=range] {flex:1}
#sparse .panels {display:grid; grid-template-columns:1fr 1fr; gap:.6em} #sparse figure {margin:0}
#sparse figcaption {font-size:.9em; margin:0 0 .2em; text-align:left} #sparse canvas {width:100%; display:block; image-rendering:pixelated}
#sparse output {display:block; border-left:4px solid #0072b2; padding:.2em 1em; margin:.3em 0 .6em; min-height:1.6em}</style>
<fieldset class="scene"><legend>Scene</legend></fieldset><fieldset class="who"><legend>Who decides</legend></fieldset>
<label class="slide">Removed <input type="range" min="0" max="90" step="5" value="30"></label>
<output aria-live="polite"></output><div class="panels">
<figure><figcaption>picture: what goes turns grey</figcaption><canvas width="96" height="64" aria-label="the picture without the removed pixels"></canvas></figure>
<figure><figcaption>true error De: yellow is 2 m</figcaption><canvas width="96" height="64" aria-label="the error map without the removed pixels"></canvas></figure></div>
<script>(() => {
const root = document.getElementById('sparse'), all = DATA, now = {}, images = {};
const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0)), range = root.querySelector('[type=range]');
function draw() {
  const scene = all[now.scene], goes = bytes(scene.goes[now.who]), raw = bytes(scene.mm), cut = Number(range.value);
  let kept = 0, sum = 0, every = 0;
  for (let i = 0; i < goes.length; i++) { const mm = raw[2 * i] + 256 * raw[2 * i + 1]; every += mm;
    if (goes[i] >= cut) { kept++; sum += mm; } }
  root.querySelectorAll('canvas').forEach((canvas, k) => {
    const context = canvas.getContext('2d'), image = images[now.scene][k];
    if (!image.complete) { image.onload = draw; return; }
    context.drawImage(image, 0, 0); const shown = context.getImageData(0, 0, 96, 64);
    for (let i = 0; i < goes.length; i++) if (goes[i] < cut) shown.data.fill(158, 4 * i, 4 * i + 3);
    context.putImageData(shown, 0, 0); });
  root.querySelector('output').textContent = cut + ' % removed by ' + now.who + ': the rest is wrong by ' +
    (sum / kept / 1000).toFixed(2) + ' m on average, all of it by ' + (every / goes.length / 1000).toFixed(2) + ' m.';
  range.setAttribute('aria-valuetext', cut + ' percent removed'); }
for (const [name, scene] of Object.entries(all)) images[name] = [scene.picture, scene.map].map(source => {
  const image = new Image(); image.src = source; return image; });
function choices(kind, names) { now[kind] = names[0];
  for (const name of names) {
    const label = document.createElement('label'), input = document.createElement('input');
    Object.assign(input, {type: 'radio', name: 'sparse-' + kind, value: name, checked: name === now[kind]});
    input.onchange = () => { now[kind] = name; draw(); }; label.append(input, name); root.querySelector('.' + kind).append(label); } }
choices('scene', Object.keys(all)); choices('who', Object.keys(all.chair.goes)); range.oninput = draw; draw();
})();</script></div>"""
HTML(PAGE.replace("DATA", json.dumps(scenes)))

# %% [markdown]
# ## An honest account
#
# What ADCN, as it comes with this book, **has** learned:
#
# - in rooms, an order of the pixels that is clearly better than chance and than the place in the frame alone. It is about as
#   good as "far is wrong", which is free;
# - something beyond the distance: it tells better from worse among pixels of one predicted depth.
#
# What it has **not** learned:
#
# - to be closer, by more than a hair, than a map that knows only the place in the frame. Most of De, on a new room, is a
#   surprise to it;
# - outlines. It paints regions, and makes little of its skips;
# - to mean what it says. Its numbers are too small on average, and too spread out for what it knows;
# - anything that carries over to the outdoor scenes it is later used on.
#
# Does that speak against the paper? It speaks about a net of a million weights, trained on 300 generated rooms. The paper
# trains thirty million weights on 6545 photographs, in which there is more to see, and more to overfit. It shows no number
# at all about ADCN's own output. So we do not know. But the list above is what one would have to measure, and the
# measures are all here.
#
# And how can the branch of Eq. 3 help at all, if De outdoors is nearly chance? Chapter 10 asks the whole model.

# %% [markdown]
# ## Your numbers may differ
#
# Shapes and counts are exact everywhere. Numbers of the bundled weights may move in their last digit. Those of the short
# training may move more, since 120 steps add up small differences of rounding: that is why they are drawn, not printed.
# Other weights may change the account itself; then the asserts before it fail, and the text has to be written anew.

# %% [markdown]
# ## Summary
#
# - A U-Net: down with double convolutions and halving, up with doubling, and across by laying maps beside each other.
# - One output pixel sees some 200 pixels around itself: all of a mini picture, a quarter of a full-size one.
# - L1 learns the median. Errors have a long tail, so a median promises too little.
# - Compare with what is free: a constant, the place in the frame, "far is wrong". A net that is no better than these has not
#   looked at the picture.
# - MAE, rank correlation, calibration and sparsification ask four different questions. One of them alone may flatter.
# - Ours ranks errors in rooms. Outdoors it is lost.

# %% [markdown]
# ## Exercises
#
# **1 (graded). Sparsify.** Write `rest(predicted, true, part)`: remove the `part` of the pixels (0 <= part < 1) with the
# *largest* predicted error, and return the mean true error of those that remain, as a float. Both maps are tensors of one
# shape. If the number of pixels to remove is not whole, round it down. No pixel may be counted twice, and neither input
# may change.


# %% tags=["exercise"]
def rest(predicted: torch.Tensor, true: torch.Tensor, part: float) -> float:
    """Mean true error of what remains."""
    raise NotImplementedError  # your code in place of this line


# %% [markdown] tags=["solution"]
# A solution, folded away in the book:


# %% tags=["hide-input", "solution"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
def solution(predicted: torch.Tensor, true: torch.Tensor, part: float) -> float:
    """Sort by what is predicted, keep the first ones, average what is true."""
    order = predicted.flatten().argsort()
    kept = order.numel() - int(part * order.numel() + 1e-9)  # 0.29 * 100 is 28.999999999999996
    return float(true.flatten()[order[:kept]].mean())


# %% tags=["graded"]
def check(answer):
    """Raise AssertionError unless `answer` sparsifies."""
    guess, true = torch.tensor([[3.0, 1.0], [4.0, 2.0]]), torch.tensor([[5.0, 1.0], [0.0, 3.0]])
    before = guess.clone(), true.clone()
    assert answer(guess, true, 0.0) == 2.25, "nothing removed: the mean of all"
    assert answer(guess, true, 0.25) == 3.0, "the pixel with prediction 4 goes, whatever its error"
    assert answer(guess, true, 0.49) == 3.0, "1.96 pixels: one goes"
    assert answer(guess, true, 0.75) == 1.0
    assert torch.equal(guess, before[0]) and torch.equal(true, before[1]), "an input was changed"
    De, guess = test["De"], test["ADCN"]  # sixty rooms
    curve = sparsification(guess, De, test["mask"])
    for k in (10, 29, 60, 90):
        wanted = curve.remaining[k] * float(De.mean())
        assert abs(answer(guess, De, k / 100) - wanted) < 1e-3 * wanted


try:
    check(rest)
    print("Your sparsification passes.")
except NotImplementedError:
    check(solution)
    print("Not written yet. (The book's solution passes.)")

# %% [markdown]
# **2.** Average the bundled ADCN's map and the map of medians, half and half. Judge the mixture on the test rooms. Which
# measures improve, and what does that say about overfitting?
#
# **3.** Train with a squared error in place of L1 (120 steps). Where does the calibration curve of the training rooms go,
# and why? What happens to the MAE?
#
# **4.** Give ADCN the depth as well: a U with 4 input channels, fed the picture and Do / 8. The
# [ledger](ledger.md) calls it the alternative to [`adcn-input`](ledger.md#adcn-input). Which of the four measures moves most on the test rooms?
#
# **5.** The widths of `mini` are (8, 16, 32, 96, 288). Where are most of its parameters? Find widths with a tenth of them
# and train both for 120 steps. Does the smaller one overfit less?
#
# **6.** A perfect ranking with wrong numbers: square ADCN's output. Which of the four measures stay exactly as they were?
# Try it before you look at the formulas.

# %% [markdown]
# ## Next
#
# Chapter 10 puts the three nets together: [BRADCN](10_bradcn.ipynb). There De enters the Render Net by Eq. 3.

# %% [markdown]
# ## References
#
# All are in the [bibliography](bibliography.md).
#
# - Liu, Zhou and Dong 2023, *Bokeh Rendering Based on Adaptive Depth Calibration Network*. Sections III-C and IV-B, Fig. 4.
# - Ronneberger, Fischer and Brox 2015, *U-Net*. The architecture, its widths and its initialisation.
# - Spearman 1904, *The Proof and Measurement of Association between Two Things*. Rank correlation.
# - Guo and others 2017, *On Calibration of Modern Neural Networks*. Reliability diagrams.
# - Ilg and others 2018, *Uncertainty Estimates and Multi-Hypotheses Networks for Optical Flow*. Sparsification, AUSE.
# - Poggi and others 2020, *On the Uncertainty of Self-Supervised Monocular Depth Estimation*. AURG.
