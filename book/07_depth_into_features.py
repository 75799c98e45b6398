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
# # 7. Eq. 1: depth enters the Render Net
#
# The Render Net sees a flat picture. Blur depends on distance. So a second net guesses the distance of every
# pixel, and Eq. 1 adds that guess to what the first net knows. It is one line of the paper. This chapter
# builds the line, proves it, and then asks what a trained net really does with it.
#
# **You will be able to**
#
# - read Eq. 1 and give each letter its shape and its unit;
# - build Adap and the Reassemble of a depth map by hand, and prove both equal to the package's;
# - say where the paper's words are unclear, and what the other readings would do;
# - say why the branch starts small, but not at zero;
# - show that the whole branch is one straight line, without any bend;
# - swap the depth of a trained net for another one, and say what such a test proves and what not.
#
# **Before this**: chapter 5 (the Render Net and its four maps). That a net can guess depth from one picture is
# chapter 6; here we take it as given.
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
import copy
import json

import numpy as np
import torch
import torch.nn.functional as F
from IPython.display import HTML
from matplotlib import pyplot as plt
from torch.testing import assert_close

from bradcn_nb.data import EBB
from bradcn_nb.evaluation.intervals import paired_interval
from bradcn_nb.figures.page import data_uri
from bradcn_nb.figures.plots import COLOURS, grid, show, use_style
from bradcn_nb.files import data_root
from bradcn_nb.models import BRADCN, load_bradcn, load_depth_net
from bradcn_nb.models.blocks import AdaptiveNet, DenseReassemble, add_maps
from bradcn_nb.models.bradcn import DenseBranch
from bradcn_nb.presets import preset

torch.set_num_threads(1)  # sums in a fixed order give the same digits each time
use_style()
mini, paper = preset("mini").model, preset("paper").model

# %% [markdown]
# ## What the paper says
#
# Section III-B ([Liu et al. 2023](bibliography.md)):
#
# > "After generating the depth map using DPT, we apply an adaptive net to match the depth information with the
# > multi-channel RGB information in the images. This adaptive net includes a convolutional layer with an output
# > channel of 3, kernel size of 3, stride of 1, and padding of 1. The output of the adaptive net is reassembled into
# > different resolutions as mentioned in Section 3.1. To combine the information from the encoder of the Render Net
# > and the Depth Prediction Net, we use the decoder input defined as:"
#
# $$Di = Eo + \mathbf{Reassemble}(\mathbf{Adap}(Do)) \tag{1}$$
#
# > "where Eo is the output of the encoder of the Render Net and Do is the output of the Depth Prediction Net after
# > being processed by the adaptive net and reassembled into different resolutions."
#
# In words: *make the depth look like a picture, cut it up like a picture, and add it to the picture's maps.*
#
# Letter by letter, for $N$ pictures of $H \times W$ pixels and the four strides $s_1 \ldots s_4$ of chapter 5:
#
# | Letter | What it is | Shape | Unit |
# |---|---|---|---|
# | Do | predicted depth | (N, 1, H, W) | metres |
# | Adap(Do) | the same, with three channels | (N, 3, H, W) | none |
# | Reassemble(...) | four maps | (N, C, H/s, W/s) for each s | none |
# | Eo | the encoder's four maps | the same four shapes | none |
# | Di | their sum, scale by scale: the decoder's input | the same four shapes | none |
#
# The shapes decide almost everything. What is added to Eo must have Eo's four shapes. So Reassemble has to turn
# one map into four, of four sizes.

# %% [markdown]
# ## Two unclear words
#
# **"Do".** The equation applies Adap and Reassemble to Do. The sentence below it says that Do has *already* been
# through both. Take both at their word, and the depth is adapted twice. Does that even fit?

# %%
model = load_bradcn()  # eval mode; weights come with the book
reassembled = torch.zeros(1, mini.features, 32, 48)  # what a "Do after being ..." would look like
try:
    model.depth_branch.adapt(reassembled)
except RuntimeError:
    print("Adap reads 1 channel; a reassembled map has", reassembled.shape[1])

# %% [markdown]
# It does not. So we adapt and reassemble once, and Do is what the depth net says. Eq. 2 agrees: there Do is
# compared with a measured depth in metres. The [ledger](ledger.md) keeps this as [`eq1-adapted`](ledger.md#eq1-adapted), and the unit as
# [`do-units`](ledger.md#do-units).
#
# **"Reassembled ... as mentioned in Section 3.1".** Section III-A, which must be meant, reassembles *tokens*:
# it reads out the class token, lays the rest back into a grid, resizes. A depth map has no tokens, no class
# token, and is a grid already. So what is left of the word? Three readings:
#
# 1. **Patches.** Cut the map into squares of s x s pixels. Turn each square into C numbers by one matrix. That
#    is the move that makes tokens out of a picture ([Dosovitskiy et al. 2021](bibliography.md)), done once for
#    each scale.
# 2. **Average.** Take the mean of each square, then mix channels with a 1x1 convolution.
# 3. **Tokens, literally.** Make 16x16 patches once, and enlarge that map for the finer scales. Then the finest
#    scale knows the depth only in squares of 16 pixels.
#
# We take the first ([`dense-reassemble`](ledger.md#dense-reassemble)). Here is why not the second. Two squares of 4x4 pixels: in one the near
# half is on the left, in the other on the right. A blur that stops at the right place has to know which.

# %%
near_left = torch.ones(1, 1, 4, 4)
near_left[..., 2:] = 5.0  # metres
near_right = near_left.flip(-1)

assert F.avg_pool2d(near_left, 4) == F.avg_pool2d(near_right, 4)
kernel = torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
patch = [F.conv2d(square, kernel, stride=4).item() for square in (near_left, near_right)]
assert abs(patch[0] - patch[1]) > 0.1
print("averages: equal, whatever follows them")
print("one patch projection: two different numbers")

# %% [markdown]
# ## The picture before the formula
#
# One pair of the bundled test set, and three depth maps of it:
#
# - **true**: mini-EBB has no depth, as EBB! has none. But its scenes are generated from seeds, and the generator
#   knows. It can be asked again.
# - **stage 0**: the depth net as it was trained on depth.
# - **Do**: the depth net inside of the trained BRADCN.

# %%
from bradcn_nb.data.bundle import EBB_SEED, EBB_SIZE
from bradcn_nb.scenes import outdoor_scene

test = EBB(data_root() / "mini-ebb", "test", size=mini.image_size)
native = EBB(data_root() / "mini-ebb", "test")
FARTHEST = 1 / mini.depth_shift  # metres; the depth net cannot say more


def true_depth(index: int) -> torch.Tensor:
    """The depth (1, H, W) in metres of test pair `index`, from the scene behind it."""
    item = native.read(index)  # the picture as it lies in the data set, uint8
    picture, depth = outdoor_scene(EBB_SEED + int(item["id"])).pinhole(*EBB_SIZE)
    difference = np.abs(picture - item["image"] / 255).mean()
    assert difference < 0.03, "this is another scene"
    return torch.from_numpy(depth[::2, ::2].astype(np.float32))[None]  # half the size


image, target = test[4]["image"][None], test[4]["bokeh"][None]
with torch.no_grad():
    Do = model.depth_net(image)
    first_guess = load_depth_net()(image)
print("picture", tuple(image.shape), "  Do", tuple(Do.shape))

# %% mystnb={"image": {"alt": "Four panels: a generated scene with a white ball in front of leaves, its true depth with sharp outlines, the depth that the net predicted after stage 0 with soft outlines, and the depth that the net inside of BRADCN predicts, in which the ball stands out."}}
grid(
    [image[0], true_depth(4), first_guess[0], Do[0]],
    ["picture", "true", "stage 0", "Do"],
    unit=["", "m", "m", "m"],
    limits=[None, *[(0, FARTHEST)] * 3],
    columns=2,
)

# %% [markdown]
# The dark specks in the true depth are gaps between the leaves; the ground shows through them.
#
# Compare the last two. It is the same net, before and after stage 2. The paper fine-tunes its depth net during
# training, and so do we. But stage 2 judges pictures only. Nobody asks Do to stay a depth. It may become
# whatever helps to draw: a map of what should be sharp, say. We go on calling it metres, but it is a name now,
# no longer a measurement. Keep that in mind for the experiment at the end.

# %% [markdown]
# ## Adap, by hand
#
# A 3x3 convolution from one channel to three. In words: take nine copies of the map, each shifted by one pixel or
# none; weigh them; add them up. Each of the three channels has its own nine weights and one bias.


# %%
def adapt(depth: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """A 3x3 convolution as nine shifted copies: (N, 1, H, W) -> (N, 3, H, W)."""
    height, width = depth.shape[-2:]
    framed = F.pad(depth, (1, 1, 1, 1))  # "padding of 1": a frame of zeros
    out = bias[:, None, None]  # (3, 1, 1)
    for row in range(3):
        for column in range(3):
            shifted = framed[..., row : row + height, column : column + width]
            out = out + weight[:, :, row, column, None] * shifted  # (3, 1, 1) * (N, 1, H, W)
    return out


package = model.depth_branch.adapt
with torch.no_grad():
    adapted = adapt(Do, package.weight, package.bias)
    assert_close(adapted, package(Do))
print("Adap(Do)", tuple(adapted.shape), "  learned numbers:", 3 * 9 + 3)
assert sum(p.numel() for p in package.parameters()) == 3 * 9 + 3
show(AdaptiveNet)

# %% [markdown]
# Three channels: so it *is* a picture, and we can look at it. Each channel is stretched to run from its darkest
# to its brightest value.

# %% mystnb={"image": {"alt": "Six panels: the picture, the depth map Do in grey, Adap of Do as a colour picture, and its red, green and blue channel in grey. The outlines of the scene are visible in all of them."}}
low, high = adapted.amin((2, 3), keepdim=True), adapted.amax((2, 3), keepdim=True)
as_picture = ((adapted - low) / (high - low))[0]  # (3, H, W) in [0, 1]
grid(
    [image[0], Do[0] / Do.max(), as_picture, *as_picture],
    ["picture", "Do", "Adap(Do)", "its red", "its green", "its blue"],
    columns=3,
    limits=(0, 1),
    colourbar=False,
    cmap="gray",
)

# %% [markdown]
# What can nine weights say? Their sum is the channel's answer to flat depth. What is left when the mean is taken
# off answers to edges and slopes. That is all: a little brightness, a little outline.
#
# There is a thin line around the picture. It comes from "padding of 1". Beyond the edge the convolution reads
# 0, and 0 metres is *very near*. So the net is told that the picture has a frame right before the lens. A flat
# depth shows it plainly:

# %%
with torch.no_grad():
    flat = package(torch.full((1, 1, 64, 96), 3.0))
inside = flat[..., 1:-1, 1:-1]
assert_close(inside, flat[..., 1:2, 1:2].expand_as(inside))
frame = torch.cat([flat[..., 0, 1:-1], flat[..., -1, 1:-1]], dim=-1)
assert (frame - flat[0, :, 1, 1, None]).abs().amax() > 1e-3
print("flat depth: one value inside, other values along the border")

# %% [markdown]
# The net can learn to live with it, since the frame is always there. The paper's numbers say padding of 1, and
# zeros are what a convolution pads with. We leave it.

# %% [markdown]
# ## Reassemble, by hand
#
# Now the three-channel map is cut into squares. One square of s x s pixels in three channels is a list of 3 s s
# numbers. A matrix turns the list into C numbers, the new map's channels at this place. Below, for the coarsest
# scale of mini, s = 16.

# %% mystnb={"image": {"alt": "Three panels. Left, the adapted depth as a colour picture with a grid of 16 pixel squares, one of them outlined. Middle, that square enlarged. Right, a bar chart of the 32 numbers that the matrix makes of it."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
s, row, column = mini.strides[3], 1, 3
square = adapted[0, :, row * s : (row + 1) * s, column * s : (column + 1) * s]  # (3, 16, 16)
conv = model.depth_branch.reassemble.patches[3]
with torch.no_grad():
    numbers = conv.weight.flatten(1) @ square.flatten() + conv.bias  # (32, 768) @ (768,)
figure, axes = plt.subplots(1, 3, figsize=(7.5, 2.1), width_ratios=(1.5, 1, 1.5))
axes[0].imshow(as_picture.permute(1, 2, 0), extent=(0, 96, 64, 0))
axes[0].set(xticks=range(0, 97, s), yticks=range(0, 65, s), title="Adap(Do), cut up")
axes[0].grid(color="white", linewidth=0.8)
box = plt.Rectangle((column * s, row * s), s, s, fill=False, edgecolor="#d55e00", linewidth=3)
axes[0].add_patch(box)
piece = as_picture[:, row * s : (row + 1) * s, column * s : (column + 1) * s]
axes[1].imshow(piece.permute(1, 2, 0))
axes[1].set(title=f"3 x {s} x {s} numbers")
axes[1].axis("off")
axes[2].bar(range(mini.features), numbers, color=COLOURS[0])
axes[2].set(title=f"become {mini.features}", xlabel="channel")
plt.show()

# %% [markdown]
# In code: `unfold` makes the lists, one column a square. One matrix product does them all.


# %%
def reassemble(dense: torch.Tensor, patches: torch.nn.ModuleList) -> list[torch.Tensor]:
    """Cut (N, 3, H, W) into squares, once per scale: four maps (N, C, H / s, W / s)."""
    height, width = dense.shape[-2:]
    maps = []
    for conv in patches:
        s = conv.stride[0]
        lists = F.unfold(dense, kernel_size=s, stride=s)  # (N, 3*s*s, places)
        vectors = conv.weight.flatten(1) @ lists + conv.bias[:, None]  # (N, C, places)
        maps.append(vectors.unflatten(2, (height // s, width // s)))  # (N, C, H/s, W/s)
    return maps


package = model.depth_branch.reassemble
with torch.no_grad():
    added = reassemble(adapted, package.patches)
    for s, mine, theirs in zip(mini.strides, added, package(adapted), strict=True):
        assert_close(mine, theirs, rtol=1e-4, atol=1e-4)
        print(f"s = {s:2}: {3 * s * s:3} numbers a square -> map {tuple(mine.shape)}")
assert_close(added[3][0, :, 1, 3], numbers, rtol=1e-4, atol=1e-4)  # the bars above

# %% [markdown]
# Same weights, same numbers. The package writes it as a convolution that steps as far as it is wide:

# %%
show(DenseReassemble)

# %% [markdown]
# ### Shape arithmetic
#
# A scale with stride s has $3 s^2 C$ weights and $C$ biases. The coarse scales have few places but long lists, so
# nearly all weights of the branch are there.

# %%
for name, cfg in (("mini", mini), ("paper", paper)):
    print(f"{name}: C = {cfg.features}")
    total = 3 * 9 + 3  # Adap
    for s in cfg.strides:
        count = 3 * s * s * cfg.features + cfg.features
        total += count
        print(f"  s = {s:2}: {3 * s * s:4} numbers into {cfg.features:3}, {count:9,} parameters")
    with torch.device("meta"):  # shapes without numbers
        branch = DenseBranch(cfg)
    assert total == sum(p.numel() for p in branch.parameters())
    print(f"  with Adap: {total:,}")

# %% [markdown]
# ## Eq. 1, whole
#
# Four lines. The package's Render Net takes such maps as `extra`; the error branch is chapter 10.

# %%
with torch.no_grad():
    Eo = model.render_net.encode(image)
    added = reassemble(adapt(Do, *model.depth_branch.adapt.parameters()), package.patches)
    Di = [eo + extra for eo, extra in zip(Eo, added, strict=True)]  # Eq. 1
    mine = model.render_net.decode(Di, image)

    depth = model.depth_net(image)
    theirs = model.render_net(image, extra=model.depth_branch(depth))
assert_close(depth, Do)
assert_close(mine, theirs, rtol=1e-3, atol=1e-4)
print("Eq. 1 by hand equals the package's:", *(tuple(m.shape) for m in Di))
show(DenseBranch)

# %% [markdown]
# ## How loud is the hint?
#
# Eq. 1 is a sum. A sum does not say which of its two terms matters. So measure them. The root mean square over
# the channels gives one number per place, as in chapter 5. Each pair below shares a scale: black is 0, white
# the larger of the two maxima.

# %% mystnb={"image": {"alt": "Two rows of four grey maps, from fine to coarse. The upper row is the energy of the encoder's maps Eo, the lower row the energy of what the depth branch adds to them. The pairs share their scale; the added maps show the outline of the subject, coarser from left to right."}}
energy = [[m[0].square().mean(0).sqrt() for m in maps] for maps in (Eo, added)]
tops = [float(max(a.max(), b.max())) for a, b in zip(*energy, strict=True)]
panels = [e / top for row in energy for e, top in zip(row, tops, strict=True)]
titles = [f"Eo, map {k}" for k in (1, 2, 3, 4)] + [f"added, map {k}" for k in (1, 2, 3, 4)]
grid(panels, titles, columns=4, limits=(0, 1), colourbar=False, cmap="gray")

# %% [markdown]
# But a loud hint can say nothing. If the same vector is added at every place, no place is told apart from
# another. So split what is added in two: its mean over the picture, and the rest, which differs from place to
# place. We do it for eight pictures.


# %%
def loudness(maps: list[torch.Tensor]) -> list[float]:
    """Root mean square of each map."""
    return [m.square().mean().sqrt().item() for m in maps]


eight = torch.stack([test[i]["image"] for i in range(8)])
with torch.no_grad():
    encoder_maps = model.render_net.encode(eight)
    branch_maps = model.depth_branch(model.depth_net(eight))
varying = [m - m.mean((2, 3), keepdim=True) for m in branch_maps]
rows = {
    "Eo": loudness(encoder_maps),
    "added": loudness(branch_maps),
    "of it, from place to place": loudness(varying),
}

# %% mystnb={"image": {"alt": "Bar chart with four groups, one for each map from fine to coarse, and three bars in each: the root mean square of the encoder's map, of what the depth branch adds, and of the part of it that differs from place to place."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
figure, axis = plt.subplots(figsize=(7.5, 2.8))
for k, (name, values) in enumerate(rows.items()):
    axis.bar(np.arange(4) + 0.27 * (k - 1), values, width=0.25, color=COLOURS[k], label=name)
axis.set(xticks=range(4), xticklabels=[f"map {k}, /{s}" for k, s in enumerate(mini.strides, 1)])
axis.set_ylabel("root mean square")
axis.legend()
plt.show()

# %% [markdown]
# Read two things from the bars. Where the second bar is as high as the first, the depth is no faint whisper.
# And where the third is far below the second, much of the hint is the same everywhere. The decoder has got used
# to that level. It will matter when we take the depth away.

# %% [markdown]
# ## One straight line
#
# Look again at what is between Do and Di: a convolution, then a convolution. There is no ReLU in between, none
# after. So the branch is *affine*: a constant, plus a part that doubles when the depth doubles.
#
# $$\mathrm{Reassemble}(\mathrm{Adap}(d)) = b + A\,d$$

# %%
with torch.no_grad():
    zero = model.depth_branch(torch.zeros_like(Do))  # b
    once, twice = model.depth_branch(Do), model.depth_branch(2 * Do)
for b, one, two in zip(zero, once, twice, strict=True):
    assert_close(two - b, 2 * (one - b), rtol=1e-3, atol=1e-3)
print("twice the depth adds twice as much: no bend anywhere")

# %% [markdown]
# Two things follow.
#
# **The three channels in the middle add nothing that one convolution could not do.** Two linear maps in a row
# are one linear map. At stride s, the two fold into a single convolution of (s+2) x (s+2) pixels, with the same
# stride. You will do it in the exercise. "To match the depth information with the multi-channel RGB
# information" is a reason of form, not of power.
#
# **All the thinking happens in the decoder.** A blur depends on |1/depth - 1/focus| (chapter 1). That is a
# bend, even two. The branch cannot compute it. It can only lay the depth beside what the encoder found, and
# leave the rest to the fusion blocks, which have ReLUs.

# %% [markdown]
# ## Why the branch starts small
#
# The projections are drawn with a deviation of 0.002 divided by the square root of the list's length, far less
# than is usual. Why? Take an untrained BRADCN, and compare with the same net whose projections are drawn as
# PyTorch does by default.

# %%
torch.manual_seed(0)
small = BRADCN(mini).eval()
usual = copy.deepcopy(small)
for conv in usual.depth_branch.reassemble.patches:
    conv.reset_parameters()  # PyTorch's default

shares = {}
for name, net in (("small", small), ("usual", usual)):
    with torch.no_grad():
        eo = loudness(net.render_net.encode(image))
        extra = loudness(net.depth_branch(net.depth_net(image)))
    shares[name] = [e / o for e, o in zip(extra, eo, strict=True)]
    print(f"{name}: added / Eo, fine to coarse:", *(f"{share:8.2g}" for share in shares[name]))
assert max(shares["small"]) < 0.3 < 0.5 < min(shares["usual"])

# %% [markdown]
# With the usual start the depth is as loud as the encoder at the fine scales, and many times louder at the
# coarse ones. Metres are large numbers, and they all have the same sign. The decoder would first have to learn
# to hear anything else. With the small start BRADCN begins as its Render Net. The branch grows as far as it
# helps, and the bars above show how far it came.
#
# Why not exactly zero, then? Try it, and look at the gradients of the first step.

# %%
zeroed = copy.deepcopy(small)
for conv in zeroed.depth_branch.reassemble.patches:
    torch.nn.init.zeros_(conv.weight)

for name, net in (("small", small), ("zero", zeroed)):
    told = net.depth_branch(net.depth_net(image))
    F.l1_loss(net.render_net(image, extra=told), target).backward()
    reached = {
        "projections": net.depth_branch.reassemble.patches[0].weight,
        "Adap": net.depth_branch.adapt.weight,
        "depth net": net.depth_net.decoder.head[0].weight,
    }
    for part, weight in reached.items():
        if name == "small" or part == "projections":
            assert weight.grad.abs().max() > 0
        else:
            assert weight.grad.abs().max() == 0
    heard = [part for part, weight in reached.items() if weight.grad.abs().max() > 0]
    print(f"{name}: the first gradient reaches", ", ".join(heard))

# %% [markdown]
# A gradient passes through a projection by being multiplied with its weights. Zeros let nothing through. They
# would move in the first step, and from the second on all would learn. So zero costs a step, no more; small
# costs nothing.

# %% [markdown]
# ## What does the trained net do with its depth?
#
# Time for the experiment. Take 40 test pairs and leave everything in the trained net as it is, but for Do. Seven
# depths in turn:
#
# | Depth | What is fed | What it takes away |
# |---|---|---|
# | own | Do, what the net predicts | nothing |
# | removed | no depth branch at all | the shapes, and the level that the decoder is used to |
# | flat | one value everywhere, Do's mean | the shapes |
# | mirrored | Do, left and right swapped | the right places |
# | another's | the Do of another picture | the right picture |
# | stage 0 | the depth net before stage 2 | the fine-tuning |
# | true | the scene's depth, up to what Do can say | all errors |
#
# The net was trained with the second branch on, the depth error of Eq. 3. So that branch stays on and gets the
# same error map each time. Only Do changes.

# %%
COUNT = 40
images = torch.stack([test[i]["image"] for i in range(COUNT)])
truths = torch.stack([test[i]["bokeh"] for i in range(COUNT)])
true = torch.stack([true_depth(i) for i in range(COUNT)]).clamp(max=FARTHEST)
with torch.no_grad():
    own = model.depth_net(images)
    depths = {"own": own, "removed": None}
    depths["flat"] = own.mean((2, 3), keepdim=True).expand_as(own)
    depths["mirrored"] = own.flip(-1)
    depths["another's"] = own.roll(1, dims=0)
    depths["stage 0"] = load_depth_net()(images)
    depths["true"] = true
    rest = add_maps(model.render_net.encode(images), model.error_branch(model.adcn(images)))

# %%
outputs, decibels = {}, {}
with torch.no_grad():
    for name, depth in depths.items():
        maps = rest if depth is None else add_maps(rest, model.depth_branch(depth))
        outputs[name] = model.render_net.decode(maps, images).clamp(0, 1)
        squared = (outputs[name] - truths).square().mean((1, 2, 3))
        decibels[name] = (-10 * squared.log10()).numpy()  # PSNR of each picture
    assert_close(outputs["own"], model(images).bokeh.clamp(0, 1), rtol=1e-3, atol=1e-4)

# Paired: the same pictures, so that hard and easy ones cancel out.
effects = {
    name: paired_interval(decibels[name], decibels["own"], seed=0)
    for name in depths
    if name != "own"
}
print("PSNR minus that with its own depth, dB (95 % interval over pictures)")
for name, effect in effects.items():
    print(f"  {name:10}{effect.mean:+6.1f}  ({effect.low:+.1f} to {effect.high:+.1f})")

# %% tags=["hide-input", "claim"] mystnb={"code_prompt_show": "Show the check of what is said below", "code_prompt_hide": "Hide the check"}
assert effects["removed"].mean < -2.5 and -0.5 < effects["flat"].mean < -0.25
assert effects["flat"].high < 0 and effects["mirrored"].high < effects["flat"].mean
assert effects["another's"].mean < 1.5 * effects["mirrored"].mean
for better in ("stage 0", "true"):
    assert effects[better].low < 0 < effects[better].mean

# %% mystnb={"image": {"alt": "Dot plot with a horizontal interval for each of the six exchanged depths: removed, flat, mirrored, another's, stage 0, true. The axis is the change of PSNR in decibel against the net's own depth, which is a dashed line at zero."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
figure, axis = plt.subplots(figsize=(7.5, 2.8))
for k, effect in enumerate(effects.values()):
    axis.plot((effect.low, effect.high), (k, k), color=COLOURS[k], linewidth=3, alpha=0.5)
    axis.plot(effect.mean, k, "o", color=COLOURS[k], markersize=8)
axis.axvline(0, color="#555555", linestyle="--", zorder=1)
axis.set(yticks=range(len(effects)), yticklabels=effects, xlabel="change of PSNR, dB")
axis.invert_yaxis()
plt.show()

# %% [markdown]
# What came out, line by line:
#
# - **removed against flat.** Both take all shapes away; flat keeps the level. Without the branch the net loses nearly three
#   decibels, with a flat map less than half of one. So most of what "removed" loses is *not* knowledge of depth. It is a decoder
#   that gets maps of a kind it has never seen. An ablation that only switches a branch off would count it as the worth of depth.
# - **flat.** This is the fairest estimate of what the shapes in Do are worth, to this net: about a third of a decibel.
# - **mirrored and another's.** Wrong shapes cost one decibel and nearly two, far more than no shapes. The net believes what it is told,
#   also when the picture says otherwise. Wrong depth is worse than none: that is the reason for the ADCN.
# - **stage 0 and true.** Depth from before stage 2, and the true depth in metres, are what the branch has never been fed. Had it learned a private
#   language with its depth net, they would cost it something. They do not: both lie above zero, by intervals that hold zero. So the branch reads
#   metres, and on these 40 pictures it cannot be shown to gain by better ones. (Nets that are *trained* on true depth do gain, by over half a decibel: chapter 14.)

# %% [markdown]
# ## Try it
#
# Choose a scene and a depth. You see the depth that is fed, what the net draws from it, how far that is from
# what it draws with its own depth, and the truth. Use the mouse, or the Tab and arrow keys. It works without a
# kernel.


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of this element", "code_prompt_hide": "Hide the code of this element"}
def coloured(values: torch.Tensor, top: float) -> np.ndarray:
    """A map (H, W) from 0 to `top` in the book's colours."""
    return plt.get_cmap("viridis")(values.numpy() / top)[..., :3]


def photo(picture: torch.Tensor) -> str:
    return data_uri(picture.permute(1, 2, 0).numpy())


SHOWN = {"ball": 4, "lamp": 8, "cup": 15}
exchange = {}
for scene, i in SHOWN.items():
    exchange[scene] = {"truth": photo(truths[i]), "of": {}}
    for name, depth in depths.items():
        fed = np.full((64, 96, 3), 0.6) if depth is None else coloured(depth[i, 0], FARTHEST)
        change = (outputs[name] - outputs["own"])[i].abs().mean(0)
        exchange[scene]["of"][name] = {
            "depth": data_uri(fed, "png"),
            "bokeh": photo(outputs[name][i]),
            "change": data_uri(coloured(change, 0.2), "png"),
            "says": f"{decibels[name][i]:.1f} dB against the truth, "
            f"{decibels[name][i] - decibels['own'][i]:+.1f} dB against its own depth",
        }

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of this element", "code_prompt_hide": "Hide the code of this element"}
PAGE = """<div class="interactive" id="eq1"><style>
#eq1 {background:var(--pst-color-background, transparent); padding:.5em; max-width:760px}
#eq1 fieldset {border:0; padding:0; margin:0 0 .5em} #eq1 legend {font-weight:bold; padding:0; font-size:1em}
#eq1 label {display:inline-block; margin:.1em 1em .1em 0; cursor:pointer}
#eq1 input {accent-color:#0072b2; margin-right:.35em}
#eq1 .panels {display:grid; grid-template-columns:1fr 1fr; gap:.6em}
#eq1 figure {margin:0} #eq1 figcaption {font-size:.9em; margin:0 0 .2em; text-align:left}
#eq1 img {width:100%; height:auto; display:block; image-rendering:pixelated; margin:0}
#eq1 output {display:block; min-height:3em; border-left:4px solid #0072b2; padding:.2em 1em; margin-bottom:.6em}</style>
<fieldset class="scene"><legend>Scene</legend></fieldset><fieldset class="depth"><legend>Depth that is fed</legend></fieldset>
<output aria-live="polite"></output><div class="panels">
<figure><figcaption>depth: dark is near, yellow 7.3 m</figcaption><img data-show="depth" alt="the depth map that is fed"></figure>
<figure><figcaption>what the net draws</figcaption><img data-show="bokeh" alt="the rendered picture"></figure>
<figure><figcaption>change: yellow is 0.2 of white</figcaption><img data-show="change" alt="difference to the picture from its own depth"></figure>
<figure><figcaption>truth</figcaption><img data-show="truth" alt="the true bokeh picture"></figure></div>
<script>(() => {
const root = document.getElementById('eq1'), all = DATA, now = {};
function draw() {
  const scene = all[now.scene], it = scene.of[now.depth];
  for (const img of root.querySelectorAll('img')) {
    const what = img.dataset.show; img.src = what === 'truth' ? scene.truth : it[what];
    img.alt = img.alt.split(':')[0] + ': ' + now.scene + ', depth ' + now.depth; }
  root.querySelector('output').textContent = now.scene + ', depth: ' + now.depth + '. ' + it.says + '.'; }
function choices(kind, names, first) {
  now[kind] = first;
  for (const name of names) {
    const label = document.createElement('label'), input = document.createElement('input');
    Object.assign(input, {type: 'radio', name: 'eq1-' + kind, value: name, checked: name === now[kind]});
    input.onchange = () => { now[kind] = name; draw(); };
    label.append(input, name); root.querySelector('.' + kind).append(label); } }
choices('scene', Object.keys(all), 'ball');
choices('depth', Object.keys(all.ball.of), 'mirrored'); draw();
})();</script></div>"""
HTML(PAGE.replace("DATA", json.dumps(exchange)))

# %% [markdown]
# Things to try. Compare *mirrored* with *own*: does something sharp appear where the mirrored subject is? Go
# from *flat* to *removed*: neither has shapes, so why does the picture change? Look at *true*: its outlines are
# perfect. Is the drawing?

# %% [markdown]
# ## What this does not show
#
# It shows what *one* trained net does when its depth is exchanged, in differences at the net's own small size.
# It does not show that depth helps. A net that was trained without the branch would have learned to guess the
# distance by itself, from the same picture, and might do as well. To know, one has to train both, several times
# with different seeds. Chapter 14 does.
#
# The paper did train both, and its two answers disagree. Section IV-E says that depth "leads to a slight
# improvement in the rendering quality, which is reflected in the increased values of PSNR and SSIM metrics".
# Its Table II says 24.29<!-- paper --> dB without depth and 23.43<!-- paper --> dB with it. PSNR *fell*. The [ledger](ledger.md) has it as
# [`table2-depth`](ledger.md#table2-depth).

# %% [markdown]
# ## Your numbers may differ
#
# Shapes and counts are exact everywhere. Another processor or another version of PyTorch rounds differently, so
# the last printed digit may move. Other weights, and the bundled ones are trained anew now and then, may move
# the dots of the experiment much further. Every `assert` is about the equation, not about the weights, and
# stays.

# %% [markdown]
# ## Summary
#
# - Eq. 1 adds four maps made of the depth to the encoder's four maps, before the decoder.
# - Adap is a 3x3 convolution to three channels. Reassemble of a dense map is, for us, one strided patch
#   projection per scale. The paper's word leaves it open.
# - There is no bend in the branch: it folds into one convolution per scale. The decoder does the thinking.
# - It starts small, so that BRADCN starts as its Render Net; not at zero, so that the first gradient gets
#   through.
# - Stage 2 lets Do drift, and still the branch reads metres: fed with the true depth, it draws no worse.
# - Wrong shapes cost more than no shapes. That is what a calibration would have to prevent.
# - Switching a branch off mixes up two things: what it knew, and what the decoder was used to. Feeding it
#   something flat keeps them apart.

# %% [markdown]
# ## Exercises
#
# **1 (graded). Fold the branch.** Write `fold(adapt, patch)`. `adapt` is the 3x3 convolution from 1 to 3
# channels with padding 1, `patch` the projection of one scale, with a kernel of s x s and stride s. Return the
# weight (C, 1, s+2, s+2) and the bias (C,) of *one* convolution, with stride s and padding 1, that does the
# same as both.
#
# A hint: what does a single pixel of the depth touch? Or: look up `conv_transpose2d`, and feed it the weights
# of `patch` as if they were pictures.


# %% tags=["exercise"]
def fold(adapt: torch.nn.Conv2d, patch: torch.nn.Conv2d):
    """Weight and bias of one convolution that equals patch(adapt(depth))."""
    raise NotImplementedError  # your code in place of this line


# %% tags=["hide-input", "solution"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
def solution(adapt: torch.nn.Conv2d, patch: torch.nn.Conv2d):
    """A solution; open it after you have tried."""
    # Weight u of a square meets depth pixel u + v - 1 through weight v of Adap: all pairs with
    # one sum belong together, which is what a transposed convolution adds up.
    weight = F.conv_transpose2d(patch.weight, adapt.weight)  # (C, 3, s, s) -> (C, 1, s+2, s+2)
    bias = patch.bias + patch.weight.sum((2, 3)) @ adapt.bias  # (C, 3) @ (3,)
    return weight, bias


# %% tags=["graded"]
def check(answer):
    """Raise AssertionError unless `answer` is right."""
    assert answer(model.depth_branch.adapt, package.patches[0]) is not None, (
        "your function returned nothing: is there a `return`?"
    )
    with torch.no_grad():
        for branch, dense in ((model.depth_branch, Do), (model.error_branch, model.adcn(image))):
            for conv, wanted in zip(branch.reassemble.patches, branch(dense), strict=True):
                weight, bias = answer(branch.adapt, conv)
                s = conv.stride[0]
                assert weight.shape == (mini.features, 1, s + 2, s + 2) and bias.shape == (32,)
                one = F.conv2d(dense, weight, bias, stride=s, padding=1)
                assert_close(one, wanted, rtol=1e-3, atol=1e-3)
        torch.manual_seed(1)  # and for weights that nobody has trained
        first, second = torch.nn.Conv2d(1, 3, 3, padding=1), torch.nn.Conv2d(3, 5, 4, stride=4)
        weight, bias = answer(first, second)
        depth = torch.rand(2, 1, 8, 12)
        one = F.conv2d(depth, weight, bias, stride=4, padding=1)
        assert_close(one, second(first(depth)), rtol=1e-4, atol=1e-5)


try:
    check(fold)
    print("Your fold passes.")
except NotImplementedError:
    check(solution)
    print("Not written yet. (The book's solution passes.)")

# %% [markdown]
# **2.** The branch is affine, so an average of two depths gives the average of two sums. Does the *picture*
# average, too? Test it with `depths["own"]` and `depths["true"]`.
#
# **3.** Feed inverse depth: `1 / Do` in place of Do, scaled so that mean and deviation stay those of Do. What
# happens? Is that a fair test of the ledger's question [`do-units`](ledger.md#do-units)?
#
# **4.** Replace Do at one scale only, and leave the other three their own. Which of the four maps carries most
# of the effect of "mirrored"?
#
# **5.** Write the second reading of Reassemble, averages and a 1x1 convolution, as a class with the same
# interface. How many parameters has it at `paper` size, beside ours?

# %% [markdown]
# ## Next
#
# Depth is often wrong, and a net that believes wrong depth draws wrong blur. Eq. 3 adds a second hint: how
# wrong the depth is likely to be. Chapter 8, [Depth-error labels](08_depth_error_labels.ipynb), measures that;
# chapter 9, [ADCN, stage 1](09_adcn_stage1.ipynb), learns to predict it.

# %% [markdown]
# ## References
#
# All are in the [bibliography](bibliography.md).
#
# - Liu, Zhou and Dong 2023, *Bokeh Rendering Based on Adaptive Depth Calibration Network*. The paper; Sections
#   III-B and IV-E.
# - Dosovitskiy and others 2021, *An Image is Worth 16x16 Words*. Patches and their projection.
# - Ranftl, Bochkovskiy and Koltun 2021, *Vision Transformers for Dense Prediction*. The depth net, and
#   Reassemble of tokens.
# - Nagasubramaniam and Younes 2022, *Bokeh Effect Rendering with Vision Transformers*. The encoder and the
#   decoder that Eq. 1 stands between.
