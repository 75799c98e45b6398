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
# # 4. The hybrid encoder
#
# Two of the book's three nets begin with the same half. A ResNet looks closely, a transformer looks
# everywhere, and four taps carry away what they saw. This chapter builds that half by hand, from single
# convolutions up, and proves that it computes what the package computes. Then you may click a patch of a
# picture and see where it looks.
#
# **You will be able to**
#
# - write a convolution with standardised weights, and say what group norm has to do with a batch of 1;
# - say where "same" padding puts its zeros, and what the wrong padding does to trained weights;
# - turn a map into tokens, and stretch position embeddings to another size of picture;
# - write self-attention in six lines, and prove it equal to timm's;
# - name the four taps and their shapes, for any size of picture;
# - read an attention map, and doubt it.
#
# **Before this**: PyTorch's `Conv2d` and `Linear`. [Chapter 1](01_bokeh_and_the_thin_lens.ipynb) says what
# all this is for.
#
# **Time and memory**: about a quarter of a minute on one laptop-class core, about 1 GB. No download, no GPU.

# %% [markdown]
# ## Setup

# %% tags=["hide-input", "setup"] mystnb={"code_prompt_show": "Show the set-up", "code_prompt_hide": "Hide the set-up"}
# On Colab this fetches the book's package; elsewhere it is there already.
from importlib.util import find_spec

if find_spec("bradcn_nb") is None:
    raise ModuleNotFoundError("no bradcn_nb: the page On Colab says how")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the imports", "code_prompt_hide": "Hide the imports"}
import base64
import copy
import json

import timm
import torch
import torch.nn.functional as F
from IPython.display import HTML
from matplotlib import pyplot as plt
from timm.layers import StdConv2dSame, resample_abs_pos_embed
from torch import Tensor, nn
from torch.testing import assert_close

from bradcn_nb.data import EBB, SUNRGBD
from bradcn_nb.figures.page import data_uri
from bradcn_nb.figures.plots import COLOURS, STYLE, grid, show
from bradcn_nb.files import data_root
from bradcn_nb.models import encoder as encoder_parts
from bradcn_nb.models import load_bradcn, load_depth_net
from bradcn_nb.models.blocks import centre
from bradcn_nb.models.encoder import HybridEncoder
from bradcn_nb.presets import preset

torch.set_num_threads(1)  # sums in a fixed order give the same digits each time
mini, paper = preset("mini").model, preset("paper").model

# %% [markdown]
# ## What the paper says
#
# Section III-A has a few sentences about this half ([Liu et al. 2023](bibliography.md)):
#
# > "First, we use a ResNet-50 as the backbone to extract features from the input images, as it is a widely
# > used and effective approach in image processing."
#
# > "Next, the feature maps extracted from the ResNet-50 are divided into non-overlapping patches and
# > flattened into tokens."
#
# > "These tokens, along with position embeddings and class tokens, are fed into the transformer blocks,
# > which are the key components of the BRVIT architecture. The transformer blocks use self-attention
# > mechanisms to model the relationships between different tokens and capture the global context of the
# > image."
#
# Which ResNet-50? Which norm, which padding, which patches, which taps? The paper is silent. It builds on
# BRViT, BRViT builds on DPT-Hybrid, and DPT-Hybrid takes its encoder from timm, a library of picture nets,
# where it is called `vit_base_r50_s16_384`. So every answer in this chapter is that model's, and we shall
# check it against that model.
#
# In words: *a ResNet makes a small map with many channels; each place of it becomes a token; the tokens talk
# to each other twelve times; and we listen at four points on the way.*
#
# This is the whole encoder in the package. At the end of this chapter you will have written each step of its
# `forward`, except `Reassemble`, which has its place in chapter 5.

# %%
show(HybridEncoder)

# %% [markdown]
# ## Two pictures and three encoders
#
# A generated room and a generated garden, both of test sets. The Depth Prediction Net was trained for depth,
# the Render Net for bokeh. Both have a `HybridEncoder`, with the same code and other weights. A third is the
# paper's, without any numbers: on PyTorch's `meta` device a tensor has a shape and nothing else, so a large
# net costs nothing.
#
# We work in double precision. Then "equal" means equal to a dozen digits, and rounding cannot hide a
# mistake.

# %% mystnb={"image": {"alt": "Two generated pictures side by side: a room with a bookcase, a table and a window, and a garden with a plant and a round lamp in front of a hedge."}}
rooms = SUNRGBD(data_root() / "mini-sun", "test", preset("mini").data.sun_counts, size=(64, 96))
gardens = EBB(data_root() / "mini-ebb", "test", size=(64, 96))
room, garden = rooms[4]["image"][None].double(), gardens[0]["image"][None].double()

encoder = load_depth_net().encoder.double()
encoder.requires_grad_(False)  # nothing is learned in this chapter
render_encoder = load_bradcn().render_net.encoder.double().requires_grad_(False)
with torch.device("meta"):
    paper_encoder = HybridEncoder(paper)

image = centre(room)  # the depth net wants values in [-1, 1], chapter 6
print("a picture", tuple(image.shape))
grid([room[0], garden[0]], ["a room", "a garden"], width=5)

# %% [markdown]
# ## Convolutions with standardised weights
#
# Most ResNets use batch norm: each channel is shifted and scaled by its mean and spread over the *batch*.
# The paper trains with batches of one picture. Then there is no batch to speak of.
#
# BiT, the ResNet in this encoder ([Kolesnikov et al. 2020](bibliography.md)), does without. It has two other
# tools, and the first one works on the weights. Take the kernel of one output channel, all of it: every
# input channel, every place. Subtract its mean, divide by its spread:
#
# $$\hat w_o = \frac{w_o - \mu_o}{\sqrt{\sigma_o^2 + \varepsilon}}, \qquad \varepsilon = 10^{-8}.$$
#
# The sums run over one output channel $o$. This happens in *every* forward pass; what is stored, and
# learned, is $w$.


# %%
def standardise(weight: Tensor, eps: float = 1e-8) -> Tensor:
    """Give each output channel's kernel mean 0 and variance 1; keeps the shape (O, I, k, k)."""
    flat = weight.flatten(1)  # (O, I*k*k)
    variance, mean = torch.var_mean(flat, dim=1, correction=0, keepdim=True)
    return ((flat - mean) / (variance + eps).sqrt()).view_as(weight)


kernel = encoder.backbone.stem.conv.weight
print("the first convolution's weights", tuple(kernel.shape))
flat = standardise(kernel).flatten(1)
almost = {"rtol": 0, "atol": 1e-4}  # not exactly, because of the epsilon
assert_close(flat.mean(1), torch.zeros(len(flat)).double(), **almost)
assert_close(flat.square().mean(1), torch.ones(len(flat)).double(), **almost)

# %% [markdown]
# What is it good for? Multiply the weights by 3, add 0.7 to each: nothing changes. So training cannot waste
# its effort on making weights larger, or on shifting them all at once. Only their pattern counts.

# %%
assert_close(standardise(3 * kernel + 0.7), standardise(kernel), **almost)

# %% [markdown]
# ## "Same" padding
#
# A convolution with stride 2 shall halve an even size. A kernel of 7 then needs 5 zeros around each row.
# Five is odd. Where does the odd one go?
#
# PyTorch pads alike on both sides: `padding=3` adds six. The "same" of TensorFlow and JAX, with which the
# official weights were trained, adds exactly five: **two before, three after**. The rule: as many zeros as
# are needed for $\lceil \text{size}/\text{stride} \rceil$ places, half of them in front, rounded down.


# %%
def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after, so that ceil(size / stride) places come out."""
    places = -(-size // stride)
    zeros = max((places - 1) * stride + kernel - size, 0)
    return zeros // 2, zeros - zeros // 2


for size, kernel_size, stride in ((96, 7, 2), (48, 3, 2), (48, 3, 1), (48, 1, 2)):
    before, after = same_padding(size, kernel_size, stride)
    print(f"size {size}, kernel {kernel_size}, stride {stride}: {before} before, {after} after")


# %% mystnb={"image": {"alt": "Two diagrams of the same row of twelve pixels, with windows of seven pixels and stride two above it. With same padding the dot in the middle of each window lies on an odd pixel, with symmetric padding one pixel further left, on an even pixel; two and three zeros flank the first row, three and two the second."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
def windows(axis, before: int, after: int, title: str) -> None:
    """Draw a row of 12 pixels, the zeros around it, and the windows of a 7-wide kernel, stride 2."""
    for x in range(-before, 12 + after):
        inside = 0 <= x < 12
        axis.add_patch(plt.Rectangle((x, 0), 1, 1, ec="#555555", fc="#cfe3f1" if inside else "w"))
        text, height = (x, -0.55) if inside else ("0", 0.46)
        axis.text(x + 0.5, height, text, ha="center", va="center", fontsize=8)
    for j in range(6):
        left = 2 * j - before
        axis.plot([left + 0.1, left + 6.9], [1.5 + 0.45 * j] * 2, color=COLOURS[j], lw=2.5)
        axis.plot(left + 3.5, 1.5 + 0.45 * j, "o", color=COLOURS[j], ms=6)
    axis.set(title=title, xlim=(-3.2, 15.2), ylim=(-1.0, 4.2), aspect="equal")
    axis.axis("off")


with plt.rc_context(STYLE):
    figure, axes = plt.subplots(1, 2, figsize=(7.5, 2.3))
    windows(axes[0], *same_padding(12, 7, 2), '"same": middles on 1, 3, 5, ...')
    windows(axes[1], 3, 2, "symmetric: middles on 0, 2, 4, ...")
    plt.close(figure)
figure

# %% [markdown]
# The two differ by one pixel. That sounds like nothing. But each layer with a stride adds its own shift, and
# deeper down a pixel is larger. Follow the middle of a token's view from the last map back to the picture:


# %%
def middle_seen_by(place: int, kernels: list[int], same: bool) -> float:
    """The picture's pixel on which place `place` is centred; `kernels` run from fine to coarse."""
    x = float(place)
    for k in reversed(kernels):  # each with stride 2
        before = same_padding(1024, k, 2)[0] if same else (k - 1) // 2
        x = 2 * x - before + (k - 1) / 2
    return x


for name, kernels in (("mini", [7, 3, 3]), ("paper", [7, 3, 3, 3])):
    same, symmetric = (middle_seen_by(10, kernels, flag) for flag in (True, False))
    patch = 2 ** len(kernels)
    print(
        f"{name}: a token stands for {patch} pixels. Between the two paddings: {same - symmetric:g}"
    )

# %% [markdown]
# The shift is the size of a token, less one pixel. Weights that were trained with one padding and run with
# the other see a picture that has slipped by almost one token against the ResNet's own fine maps. Nothing
# crashes; the result just gets worse. We shall watch it below.
#
# Now both ideas together are BiT's convolution. It has no bias: the norm that follows would remove it.


# %%
def std_conv(x: Tensor, weight: Tensor, stride: int = 1) -> Tensor:
    """A convolution with standardised weights and "same" padding."""
    top, bottom = same_padding(x.shape[-2], weight.shape[-2], stride)
    left, right = same_padding(x.shape[-1], weight.shape[-1], stride)
    return F.conv2d(F.pad(x, (left, right, top, bottom)), standardise(weight), stride=stride)


mine = std_conv(image, kernel, stride=2)
assert_close(mine, encoder.backbone.stem.conv(image))
print(tuple(image.shape), "->", tuple(mine.shape))

# %% [markdown]
# ## Group norm
#
# BiT's second tool works on the maps. Cut the channels into groups. Within one picture and one group,
# subtract the mean and divide by the spread; then each channel gets a learned scale and shift:
#
# $$y_c = \gamma_c\, \frac{x_c - \mu_g}{\sqrt{\sigma_g^2 + \varepsilon}} + \beta_c, \qquad c \in g.$$


# %%
def group_norm(x: Tensor, groups: int, scale: Tensor, shift: Tensor) -> Tensor:
    """Normalise each group of channels of each picture; keeps the shape (N, C, H, W)."""
    grouped = x.reshape(len(x), groups, -1)  # (N, G, C/G * H * W)
    variance, mean = torch.var_mean(grouped, dim=-1, correction=0, keepdim=True)
    normal = ((grouped - mean) / (variance + 1e-5).sqrt()).view_as(x)
    return normal * scale[:, None, None] + shift[:, None, None]


norm = encoder.backbone.stem.norm
after = F.relu(group_norm(mine, mini.norm_groups, norm.weight, norm.bias))
assert_close(after, norm(mine))  # timm's class has the ReLU built in

# %% [markdown]
# No sum crosses the border between two pictures. So a picture's result does not depend on its company. With
# batch norm it does:

# %%
pair = torch.cat((mine, encoder.backbone.stem.conv(centre(garden))))
assert_close(norm(pair)[:1], norm(mine))
batch_norm = nn.BatchNorm2d(pair.shape[1]).double()
difference = batch_norm(pair)[:1] - batch_norm(mine)
assert difference.abs().max() > 0.1
print("group norm: alone or in company, the same. Batch norm: not the same.")

# %% [markdown]
# ## The bottleneck
#
# Three convolutions and a shortcut. The first narrows to a quarter of the channels, the second looks around,
# the third widens again. Why the detour? Count the weights of the paper's last stage, which has 1,024
# channels:

# %%
wide, narrow = 1024, 1024 // 4
print(f"3x3 on all channels:   {9 * wide * wide:>10,} weights")
print(f"the bottleneck:        {wide * narrow + 9 * narrow * narrow + narrow * wide:>10,}")

# %% [markdown]
# The shortcut adds the input to the result. Where size or channels change, it gets a 1x1 convolution and a
# norm of its own. The stride sits in the middle convolution.


# %%
def conv_norm(x: Tensor, conv: nn.Module, norm: nn.Module, stride: int = 1) -> Tensor:
    """BiT's convolution and its group norm, with the weights of two modules of the package."""
    return group_norm(std_conv(x, conv.weight, stride), norm.num_groups, norm.weight, norm.bias)


def bottleneck(x: Tensor, block: nn.Module, stride: int = 1) -> Tensor:
    """1x1 to a quarter of the channels, 3x3, 1x1 back, plus the shortcut."""
    y = F.relu(conv_norm(x, block.conv1, block.norm1))
    y = F.relu(conv_norm(y, block.conv2, block.norm2, stride))
    y = conv_norm(y, block.conv3, block.norm3)
    if block.downsample is not None:
        x = conv_norm(x, block.downsample.conv, block.downsample.norm, stride)
    return F.relu(x + y)


fine = encoder.backbone.stages[0](after)
mine = bottleneck(fine, encoder.backbone.stages[1].blocks[0], stride=2)
assert_close(mine, encoder.backbone.stages[1].blocks[0](fine))
print(tuple(fine.shape), "->", tuple(mine.shape))

# %% [markdown]
# ## The ResNet
#
# A stem, then stages of bottlenecks. The first block of a stage halves the size, except in the first stage.
# In the paper's net the stem ends with a max-pool, also padded "same"; its padding is $-\infty$, so that it
# never wins. The `mini` net leaves it out: see [`mini-strides`](ledger.md#mini-strides) in the [ledger](ledger.md).


# %%
def max_pool(x: Tensor) -> Tensor:
    """The largest of 3x3 values, stride 2, padded "same"."""
    top, bottom = same_padding(x.shape[-2], 3, 2)
    left, right = same_padding(x.shape[-1], 3, 2)
    x = F.pad(x, (left, right, top, bottom), value=-torch.inf)
    return F.max_pool2d(x, kernel_size=3, stride=2)


def resnet(image: Tensor, backbone: nn.Module) -> list[Tensor]:
    """The maps after each of the three stages, fine to coarse."""
    x = F.relu(conv_norm(image, backbone.stem.conv, backbone.stem.norm, stride=2))
    if not isinstance(backbone.stem.pool, nn.Identity):
        x = max_pool(x)
    maps = []
    for number, stage in enumerate(backbone.stages):
        for index, block in enumerate(stage.blocks):
            x = bottleneck(x, block, stride=2 if number > 0 and index == 0 else 1)
        maps.append(x)
    return maps


maps = resnet(image, encoder.backbone)
x = encoder.backbone.stem(image)
for number, stage in enumerate(encoder.backbone.stages):
    x = stage(x)
    assert_close(maps[number], x)
    print(f"stage {number + 1}", tuple(x.shape))
assert_close(max_pool(after), paper_encoder.backbone.stem.pool(after))  # it has no weights

# %% [markdown]
# ## From a map to tokens
#
# "Divided into non-overlapping patches": the patches are 1x1. Each place of the last map already stands for
# a patch of the picture. A 1x1 convolution gives it the transformer's width, and then the map is read row by
# row, like text.
#
# One token more goes in front: the **class token**. It belongs to no place. It starts the same for every
# picture, and collects on its way whatever is true of the picture as a whole.

# %%
coarse = maps[-1]
x = F.conv2d(coarse, encoder.proj.weight, encoder.proj.bias)  # (N, D, h, w)
x = x.flatten(2).transpose(1, 2)  # (N, h*w, D), row by row
x = torch.cat((encoder.cls_token.expand(len(x), -1, -1), x), dim=1)  # (N, 1 + h*w, D)
print("map", tuple(coarse.shape), "-> tokens", tuple(x.shape))

# %% [markdown]
# ## Position embeddings
#
# What comes next treats its tokens as a *set*: it does not know that one token stood left of another. So
# each place adds a vector of its own, a **position embedding**. They are weights, learned like all others.
# We ask the trained depth net what it has learned: how alike are the embedding of one place, in orange, and
# those of all others?

# %% mystnb={"image": {"alt": "Four maps of 8 by 12 places. Each shows the similarity of one marked place's position embedding to all others: highest at the place itself, lower elsewhere, with patches of high and low."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
places = encoder.pos_embed[0, 1:]  # (h*w, D), without the class token's
apart = F.normalize(places - places.mean(0), dim=1)  # what they share says nothing about place
similarity = (apart @ apart.T).unflatten(1, mini.pos_grid)  # (h*w, h, w)
marked = [(0, 0), (1, 6), (5, 2), (7, 11)]
with plt.rc_context(STYLE):
    figure, axes = plt.subplots(1, 4, figsize=(7.5, 1.35))
    for axis, (row, column) in zip(axes, marked, strict=True):
        drawn = axis.imshow(similarity[12 * row + column], vmin=-1, vmax=1)
        axis.add_patch(
            plt.Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, ec="#e69f00", lw=2)
        )
        axis.set(title=f"row {row + 1}, column {column + 1}", xticks=[], yticks=[])
        axis.grid(False)
    figure.colorbar(drawn, ax=axes, fraction=0.02, shrink=0.9)
    plt.close(figure)
figure

# %% [markdown]
# Nobody told the net that the places form a grid. Do neighbours look alike? Does the left side look like the
# right? A mirrored room is a room too, so a net has little reason to treat its sides differently.
#
# **Another size of picture.** The `mini` net stores 8 x 12 embeddings, for 64 x 96 pixels. A larger picture
# has more tokens. DPT stretches the stored grid to the new one, **bilinearly**, as one stretches a picture.
# The class token's embedding stays.


# %%
def position(encoder: nn.Module, size: tuple[int, int]) -> Tensor:
    """The position embeddings for h x w places, (1, 1 + h*w, D)."""
    cls, places = encoder.pos_embed[:, :1], encoder.pos_embed[:, 1:]
    places = places.transpose(1, 2).unflatten(
        2, encoder.cfg.pos_grid
    )  # (1, D, h0, w0): a "picture"
    places = F.interpolate(places, size=size, mode="bilinear", align_corners=False)
    return torch.cat((cls, places.flatten(2).transpose(1, 2)), dim=1)


for size in ((8, 12), (12, 18), (4, 6), (5, 20)):
    theirs = encoder_parts.position(encoder.pos_embed, mini.pos_grid, size)
    assert_close(position(encoder, size), theirs)
    print(size, "places ->", tuple(position(encoder, size).shape))

# %% [markdown]
# Today's timm stretches otherwise: **bicubic**, and smoothed first when the grid shrinks. The curves differ
# most where the stored values jump. Here is one number of the embedding along one row.

# %% mystnb={"image": {"alt": "One number of the position embedding along a row of twelve stored places, as black dots. A stretched version with 36 places is drawn twice: the bilinear one runs straight from dot to dot, the bicubic one bends and overshoots at the peaks."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
rows = places.T.unflatten(1, mini.pos_grid)[:, 4]  # (D, 12): all numbers along the fifth row
channel = int(rows.diff(n=2).abs().sum(-1).argmax())  # the most jagged one
stored = rows[channel]
finer = [position(encoder, (8, 36)), resample_abs_pos_embed(encoder.pos_embed, [8, 36], [8, 12])]
with plt.rc_context(STYLE):
    figure, axis = plt.subplots(figsize=(7.5, 2.4))
    for name, stretched, colour in zip(("bilinear", "bicubic"), finer, COLOURS, strict=False):
        row = stretched[0, 1:, channel].unflatten(0, (8, 36))[4]
        axis.plot((torch.arange(36) + 0.5) / 3 - 0.5, row, ".-", color=colour, label=name, lw=1.5)
    axis.plot(stored, "o", color="#1b1b1b", label="stored", ms=6, zorder=3)
    axis.set(xlabel="stored column", ylabel="one number")
    axis.legend()
    plt.close(figure)
figure

# %% [markdown]
# The code of DPT and of BRViT stretches bilinearly. Their weights know nothing else: another way of
# stretching hands them embeddings that they have never met. How different are they?

# %%
for size in ((8, 12), (12, 18), (4, 6)):
    ours = position(encoder, size)
    theirs = resample_abs_pos_embed(encoder.pos_embed, list(size), list(mini.pos_grid))
    difference = (ours - theirs).norm() / ours[:, 1:].norm()
    print(
        f"{str(size):8} places: bicubic differs by {100 * difference:.0f} % of the embeddings' length"
    )
    assert (difference == 0) == (size == mini.pos_grid)

# %% [markdown]
# ## Self-attention
#
# Suppose that you have to say how far away a lamp is, and that you may see one patch of it only, sixteen pixels of grey paint. You cannot: it could be a lamp
# one metre away, or a water tower at the horizon. So you would look around. Where does it touch the ground? What does it hide? A convolution cannot look that far in one
# step, because its window is three pixels wide. **Attention** can, because in it every token may ask every other token.
#
# Each token makes three short vectors of what it knows, by three linear functions: a **query** $q$ (what am I looking for?), a **key** $k$ (what have I got?), and a
# **value** $v$ (what do I tell whoever picks me?). Take three tokens a, b and c of two numbers, whose query, key and value are the token itself, and follow what a does.
# It compares its query $(2, 0)$ with each key by a dot product, which is large where two vectors point the same way. That is the **attention score**:
#
# | token | key | score $q \cdot k$ | $e^{\text{score} / \sqrt 2}$ | **attention weight** |
# |---|---|---|---|---|
# | a | (2, 0) | 4 | 16.9 | 0.49 |
# | b | (2, 0.5) | 4 | 16.9 | 0.49 |
# | c | (0, 2) | 0 | 1.0 | 0.03 |
#
# The exponential makes the scores positive, and dividing by their sum makes them shares that add up to 1; these two steps are the **softmax**. The last column is what the dot
# products are for: a takes half of a's value, half of b's, and next to nothing of c's. What it becomes is that mixture of *values*, and nothing else. The keys were for choosing.
#
# All tokens do this at once. With the queries as the rows of $Q$, the keys as those of $K$ and the values as those of $V$, it is one line:
#
# $$\mathrm{attention}(Q, K, V) = \mathrm{softmax}\!\left(\frac{Q K^\top}{\sqrt{d}}\right) V.$$
#
# The softmax is taken row by row. The table of weights has a row for each token that asks and a column for each that answers; this book also calls a row of it a *look*.

# %%
three = torch.tensor([[2.0, 0.0], [2.0, 0.5], [0.0, 2.0]])
look = (three @ three.T / 2**0.5).softmax(-1)
for name, row, result in zip("abc", look, look @ three, strict=True):
    shares = ", ".join(f"{share:.2f} of {other}" for share, other in zip(row, "abc", strict=True))
    print(f"{name} takes {shares}; it becomes ({result[0]:.2f}, {result[1]:.2f})")

# %% [markdown]
# The first line is the table above. The first two tokens are alike, so they look at each other and hardly at the third. The third looks at itself.
#
# It is tempting to read a weight as *importance*. It says how values are mixed, and a value may be next to nothing. We shall come back to that when we change a trained net.
#
# **Heads.** One look per token is little: a lamp's patch may want to know where the ground is, and also what else is grey. So the numbers are cut into parts, 4 in `mini` and 12 in
# `paper`, and each part, called a **head**, has its own queries, keys, values and table (*multi-head attention*). At the end the heads are laid side by side and mixed.
#
# **Why $\sqrt{d}$?** If the $d$ numbers of $q$ and $k$ are independent and of variance 1, the sum of their
# products has variance $d$. Divided by $\sqrt{d}$ it has 1, whatever the width. Otherwise wide heads would
# start with nearly all of their look on a single token, where the softmax hardly learns.


# %%
def attention(x: Tensor, attn: nn.Module) -> tuple[Tensor, Tensor]:
    """Tokens (N, T, D) after looking at each other, and the looks (N, heads, T, T)."""
    qkv = F.linear(x, attn.qkv.weight, attn.qkv.bias)  # (N, T, 3D)
    qkv = qkv.unflatten(2, (3, attn.num_heads, -1))  # (N, T, 3, heads, d)
    q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (N, heads, T, d)
    look = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1)  # (N, heads, T, T)
    mixed = (look @ v).transpose(1, 2).flatten(2)  # (N, T, D): the heads side by side
    return F.linear(mixed, attn.proj.weight, attn.proj.bias), look


tokens = x + position(encoder, mini.pos_grid)
mine, look = attention(tokens, encoder.blocks[0].attn)
assert_close(mine, encoder.blocks[0].attn(tokens))
assert_close(look.sum(-1), torch.ones(look.shape[:-1]).double())
print("tokens", tuple(tokens.shape), "looks", tuple(look.shape))

# %% [markdown]
# timm's class does not even make the table of looks. It calls one fused function, which is faster and gives
# the same.
#
# And here is the proof that attention sees a set. Shuffle the tokens: the results are shuffled alike, and
# nothing else happens.

# %%
shuffle = torch.randperm(tokens.shape[1], generator=torch.Generator().manual_seed(0))
assert_close(attention(tokens[:, shuffle], encoder.blocks[0].attn)[0], mine[:, shuffle])
print("shuffled in, shuffled out")

# %% [markdown]
# ## The transformer block
#
# Attention moves information between tokens. Then a small net of two layers, the **MLP** (multi-layer perceptron, or *feed-forward net*), works on each token by itself: first gather, then think.
# Both read a normalised copy of the tokens (**pre-norm**), and *add* what they found to the tokens themselves. Such a bypass is a **residual connection**: a block that has nothing to say
# adds nothing, and the gradient flows past it. **Layer norm** is group norm's relative: it normalises each token over its $D$ numbers. GELU is a ReLU with a rounded corner.


# %%
def layer_norm(x: Tensor, norm: nn.Module) -> Tensor:
    """Normalise each token over its numbers; keeps the shape (N, T, D)."""
    variance, mean = torch.var_mean(x, dim=-1, correction=0, keepdim=True)
    return (x - mean) / (variance + norm.eps).sqrt() * norm.weight + norm.bias


def transformer_block(x: Tensor, block: nn.Module) -> tuple[Tensor, Tensor]:
    """Tokens (N, T, D) after one block, and its looks (N, heads, T, T)."""
    found, look = attention(layer_norm(x, block.norm1), block.attn)
    x = x + found
    hidden = F.gelu(F.linear(layer_norm(x, block.norm2), block.mlp.fc1.weight, block.mlp.fc1.bias))
    return x + F.linear(hidden, block.mlp.fc2.weight, block.mlp.fc2.bias), look


mine, look = transformer_block(tokens, encoder.blocks[0])
assert_close(mine, encoder.blocks[0](tokens))
print("one block:", tuple(tokens.shape), "->", tuple(mine.shape))

# %% [markdown]
# ## The whole encoder
#
# Now put the parts in a row. Four taps listen: after the first and second ResNet stage, and after two of the
# transformer's blocks. Each tap's map or tokens is brought to the same number of channels. How tokens become
# a map again (`Reassemble`) is [chapter 5](05_render_net.ipynb)'s matter; here we borrow it.


# %%
def encode(image: Tensor, e: HybridEncoder) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """The four maps, what the taps heard, and the looks of every block."""
    fine, middle, coarse = resnet(image, e.backbone)
    size = coarse.shape[-2:]
    x = F.conv2d(coarse, e.proj.weight, e.proj.bias).flatten(2).transpose(1, 2)
    x = torch.cat((e.cls_token.expand(len(x), -1, -1), x), dim=1)
    x = x + position(e, size)
    heard, looks = [fine, middle], []
    for index, block in enumerate(e.blocks):
        x, look = transformer_block(x, block)
        looks.append(look)
        if index in e.cfg.vit_taps:
            heard.append(x)
    maps = [
        F.conv2d(heard[0], e.reassemble1.weight, padding=1),
        F.conv2d(heard[1], e.reassemble2.weight, padding=1),
        e.reassemble3(heard[2], tuple(size)),
        e.reassemble4(heard[3], tuple(size)),
    ]
    return maps, heard, looks


untrained = HybridEncoder(mini).double().requires_grad_(False)
for e in (encoder, render_encoder, untrained):
    for size in ((64, 96), (96, 80), (32, 128)):
        picture = torch.rand(2, 3, *size, dtype=torch.float64)
        assert_close(encode(picture, e)[0], e(picture))
print("three encoders, three sizes: equal")

# %% [markdown]
# Three encoders (trained for depth, trained for bokeh, not trained), three sizes, all four maps. That is the
# package's `HybridEncoder`, rebuilt.
#
# ## The paper's size
#
# The same function takes the paper's encoder. On the `meta` device it returns shapes and no numbers.

# %%
picture = torch.empty(1, 3, *paper.image_size, device="meta")
paper_maps, paper_heard, paper_looks = encode(picture, paper_encoder)
mini_maps, mini_heard, mini_looks = encode(image, encoder)
names = ("stage 1", "stage 2", *(f"block {t + 1}" for t in paper.vit_taps))
print("paper", tuple(picture.shape))
for name, heard, out in zip(names, paper_heard, paper_maps, strict=True):
    print(f"  after {name:8} {str(tuple(heard.shape)):20} -> map {tuple(out.shape)}")
names = ("stage 1", "stage 2", *(f"block {t + 1}" for t in mini.vit_taps))
print("mini ", tuple(image.shape))
for name, heard, out in zip(names, mini_heard, mini_maps, strict=True):
    print(f"  after {name:8} {str(tuple(heard.shape)):20} -> map {tuple(out.shape)}")
assert [m.shape for m in paper_maps] == [m.shape for m in paper_encoder(picture)]
print("one block's looks, paper:", tuple(paper_looks[0].shape))


# %% mystnb={"image": {"alt": "Two rows of four boxes, for the paper's and the mini net. From left to right the boxes become lower and narrower and much deeper: large thin maps after the two ResNet stages, small deep ones after the two transformer blocks."}}
def box(axis, x: float, size: tuple[int, int, int], scale: float, colour: str) -> float:
    """Draw channels x height x width as a box with its corner at x; return its right end."""
    c, h, w = size
    w, h, d = w * scale, h * scale, c * scale * 0.12
    faces = [[(0, 0), (w, 0), (w, h), (0, h)], [(0, h), (w, h), (w + d, h + d), (d, h + d)]]
    faces.append([(w, 0), (w, h), (w + d, h + d), (w + d, d)])
    for face, shade in zip(faces, (0.35, 0.2, 0.55), strict=True):
        corners = [(x + dx, dy) for dx, dy in face]
        axis.add_patch(plt.Polygon(corners, fc=colour, alpha=shade))
        axis.add_patch(plt.Polygon(corners, fill=False, ec=colour, lw=1))
    axis.text(x, -8, f"{c} x {size[1]} x {size[2]}", va="top", fontsize=9)
    return x + w + d


with plt.rc_context(STYLE):
    figure, axes = plt.subplots(2, 1, figsize=(7.5, 4.0))
    for axis, cfg, heard, scale in zip(
        axes, (paper, mini), (paper_heard, mini_heard), (1, 4), strict=True
    ):
        x = 0
        for k, tap in enumerate(heard):
            rows, columns = (side // cfg.strides[min(k, 2)] for side in cfg.image_size)
            channels = tap.shape[1] if k < 2 else tap.shape[2]
            x = 40 + box(axis, x, (channels, rows, columns), scale, COLOURS[k])
        name = "paper" if cfg is paper else "mini (drawn four times as large)"
        axis.set_title(f"{name}: what the taps hear, channels x height x width", loc="left")
        axis.set(xlim=(-4, 850), ylim=(-30, 165), aspect="equal")
        axis.axis("off")
    plt.close(figure)
figure

# %% [markdown]
# Left: large, thin. Right: small, deep. The picture gives up places for channels.
#
# We said that the paper's encoder is timm's model. Names and shapes can be compared without any weights.
# timm's model has its ResNet inside of `patch_embed`, and ends in a norm and a classifier that no tap hears.

# %%
with torch.device("meta"):
    whole = timm.create_model("vit_base_r50_s16_384", pretrained=False)
theirs = {
    name.removeprefix("patch_embed."): tuple(tensor.shape)
    for name, tensor in whole.state_dict().items()
    if not name.startswith(("norm.", "head."))
}
ours = {
    name: tuple(tensor.shape)
    for name, tensor in paper_encoder.state_dict().items()
    if not name.startswith("reassemble")
}
assert ours == theirs
print(
    f"{len(ours)} tensors, {sum(torch.Size(s).numel() for s in ours.values()):,} numbers: the same"
)

# %% [markdown]
# ## What the taps hear
#
# A tap has 32 to 128 numbers at each place, too many to look at. So take the three directions in which the
# places differ most, their **principal components**, and show them as red, green and blue. Two places of
# like colour sound alike to the net. The colours as such mean nothing, and each panel has its own.


# %%
def three_colours(features: Tensor) -> Tensor:
    """The first three principal components of (C, h, w) as a picture (3, h, w)."""
    flat = features.flatten(1).T
    components = torch.linalg.svd(flat - flat.mean(0), full_matrices=False)[0][:, :3]
    components = components * components[0].sign()  # an SVD's signs are arbitrary
    low, high = (components.quantile(q, dim=0) for q in (0.02, 0.98))
    return ((components - low) / (high - low)).clamp(0, 1).T.unflatten(1, features.shape[1:])


def as_maps(heard: list[Tensor]) -> list[Tensor]:
    """What the four taps hear of the first picture, each as (C, h, w)."""
    tokens = [x[0, 1:].T.unflatten(1, mini.pos_grid) for x in heard[2:]]
    return [heard[0][0], heard[1][0], *tokens]


# %% mystnb={"image": {"alt": "Two rows of five panels: the room and the garden, each followed by the four taps in three colours. After stage 1 outlines and texture are visible, after stage 2 coarser ones; after the two tapped transformer blocks there are 8 by 12 squares whose colours follow walls, floor and furniture."}}
panels, titles = [], []
for name, picture, seen, e in (
    ("room", room, image, encoder),
    ("garden", garden, garden, render_encoder),
):
    panels += [picture[0], *(three_colours(m) for m in as_maps(encode(seen, e)[1]))]
    titles += [name, "stage 1", "stage 2", *(f"block {t + 1}" for t in mini.vit_taps)]
grid(panels, titles, columns=5)

# %% [markdown]
# The two ResNet stages still know outlines and texture. The transformer's tokens know regions: patches of
# one wall or of the floor often get like colours, however their pixels differ. In some panels the border has
# a colour of its own. Experiment 2 will explain it.
#
# ## Where does a patch look?
#
# Now the tables of looks. **Click a patch of the picture**, or go there with the Tab key and walk with the
# arrow keys. The picture stays bright where the chosen head looks, and goes dark where it does not. The
# small maps show all heads of all blocks for the same patch; click one, or walk there with the arrow keys
# too.
#
# Brightness is relative: the strongest look of each map is fully bright. The line below says how strong it
# really is, in multiples of the average. With 97 tokens, a head that looks at everything alike gives each of
# them 1/97.


# %%
def pack(looks: list[Tensor]) -> str:
    """Looks as base64, a byte each: 128 is the average share, 19 steps are a factor of 2."""
    table = torch.stack([look[0] for look in looks])  # (blocks, heads, T, T)
    levels = (128 + 19 * (table * table.shape[-1]).log2()).round().clamp(0, 255)
    return base64.b64encode(levels.to(torch.uint8).numpy().tobytes()).decode()


def spread(look: Tensor) -> Tensor:
    """Among how many patches each head shares its look, (heads,); look is (1, heads, T, T)."""
    patches = look[0, :, 1:, 1:]  # without the class token
    shares = patches / patches.sum(-1, keepdim=True)
    return (-(shares * shares.log()).sum(-1)).exp().mean(-1)


views = []
for name, picture, seen, e in (
    ("A room, Depth Prediction Net", room, image, encoder),
    ("A garden, Render Net", garden, garden, render_encoder),
):
    looks = encode(seen, e)[2]
    first = torch.cat([spread(look) for look in looks]).argmin()  # begin with the choosiest head
    start = divmod(int(first), mini.vit_heads)
    views.append(
        {
            "name": name,
            "picture": data_uri(picture[0].permute(1, 2, 0).numpy()),
            "looks": pack(looks),
            "start": start,
        }
    )
size = {"blocks": mini.vit_depth, "heads": mini.vit_heads, "rows": 8, "columns": 12}

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of this element", "code_prompt_hide": "Hide the code of this element"}
PAGE = """<div class="interactive" id="look"><style>
#look {padding:.5em; max-width:760px}
#look .board {display:flex; flex-wrap:wrap; gap:14px; align-items:flex-start}
#look .scene {position:relative; flex:1 1 330px; max-width:440px; cursor:crosshair; touch-action:manipulation; line-height:0}
#look .scene img {width:100%; height:auto; display:block; margin:0; padding:0; border-radius:0; filter:none}
#look .scene canvas {position:absolute; inset:0; width:100%; height:100%; image-rendering:pixelated}
#look .mark {position:absolute; border:3px solid #e69f00; box-shadow:0 0 0 1px #000; box-sizing:border-box; pointer-events:none}
#look .heads {display:grid; grid-template-columns:auto repeat(4, 62px); gap:5px; align-items:center; font-size:.8em}
#look .heads button {padding:0; border:2px solid transparent; border-radius:3px; background:none; cursor:pointer; line-height:0}
#look .heads button[aria-pressed=true] {border-color:#d55e00}
#look .heads canvas {width:100%; image-rendering:pixelated}
#look .bar button {font:inherit; padding:.3em .8em; margin:0 .4em .6em 0; border:1px solid; border-radius:6px; background:none; color:inherit; cursor:pointer}
#look .bar button[aria-pressed=true] {outline:2px solid #d55e00; font-weight:bold}
#look .scene:focus-visible, #look button:focus-visible {outline:3px solid #d55e00; outline-offset:2px}
#look output {display:block; min-height:4.6em; margin-top:.6em; border-left:4px solid #0072b2; padding:.2em 1em}</style>
<div class="bar" role="group" aria-label="Picture and net"></div>
<div class="board"><div class="scene" tabindex="0" role="application" aria-describedby="look-help"
 aria-label="The picture, 8 rows of 12 patches"><img alt="The picture that is looked at" width="96" height="64"><canvas
 aria-label="Bright where the chosen head looks"></canvas><span class="mark" aria-hidden="true"></span></div>
<div class="heads" role="group" aria-label="Blocks are rows, heads are columns"></div></div>
<output aria-live="polite"></output>
<div id="look-help"><small>On the picture, the arrow keys choose the patch that looks, and the key C chooses the class
 token. On the small maps, the arrow keys choose block and head.</small></div>
<script>SCRIPT</script></div>"""

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of this element", "code_prompt_hide": "Hide the code of this element"}
SCRIPT = """(() => {
const {views, blocks, heads, rows, columns} = DATA, T = 1 + rows * columns;
for (const v of views) v.table = Uint8Array.from(atob(v.looks), c => c.charCodeAt(0));
const root = document.getElementById('look'), scene = root.querySelector('.scene'), mark = root.querySelector('.mark');
const bar = root.querySelector('.bar'), board = root.querySelector('.heads'), make = t => document.createElement(t);
const ramp = [[68,1,84],[65,68,135],[42,120,142],[34,168,132],[122,209,81],[253,231,37]];
let view = 0, [block, head] = views[0].start, row = 3, column = 5, cls = false;
function shares(b, h) {
  const from = ((b * heads + h) * T + (cls ? 0 : 1 + row * columns + column)) * T;
  return Array.from({length: T}, (_, i) => 2 ** ((views[view].table[from + i] - 128) / 19) / T);
}
function paint(canvas, values, colour) {
  canvas.width = columns; canvas.height = rows;
  const pixels = new ImageData(columns, rows), top = Math.max(...values);
  values.forEach((v, i) => pixels.data.set(colour(v / top), 4 * i));
  canvas.getContext('2d').putImageData(pixels, 0, 0);
}
const spot = v => [0, 0, 0, 175 * (1 - v)];
function warm(v) { const x = v * (ramp.length - 1), i = Math.min(Math.floor(x), ramp.length - 2);
  return [0, 1, 2].map(c => ramp[i][c] + (x - i) * (ramp[i + 1][c] - ramp[i][c])).concat(255); }
function draw() {
  root.querySelector('img').src = views[view].picture;
  [...bar.children].forEach((b, i) => b.setAttribute('aria-pressed', i < views.length ? i === view : cls));
  for (const b of board.querySelectorAll('button')) {
    const on = +b.dataset.b === block && +b.dataset.h === head;
    b.setAttribute('aria-pressed', on); b.tabIndex = on ? 0 : -1;
    paint(b.firstChild, shares(+b.dataset.b, +b.dataset.h).slice(1), warm); }
  const all = shares(block, head), patches = all.slice(1), sorted = [...patches].sort((a, b) => b - a);
  paint(scene.querySelector('canvas'), patches, spot);
  mark.style.cssText = cls ? 'display:none' : `left:${100 * column / columns}%; top:${100 * row / rows}%; ` +
    `width:${100 / columns}%; height:${100 / rows}%`;
  const sum = patches.reduce((a, b) => a + b); let half = 0, n = 0;
  while (half < sum / 2) half += sorted[n++];
  root.querySelector('output').textContent = `Block ${block + 1}, head ${head + 1}, from ` +
    (cls ? 'the class token' : `row ${row + 1}, column ${column + 1}`) + `: its strongest look is ` +
    `${(sorted[0] * T).toPrecision(2)} times the average. Half of all it sees comes from ${n} of ${rows * columns} patches. ` +
    `${all[0] < .001 ? 'Less than 0.1' : (100 * all[0]).toPrecision(2)} % of its look goes to the class token.`;
}
"""

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of this element", "code_prompt_hide": "Hide the code of this element"}
SCRIPT += """
const limit = (x, n) => Math.min(Math.max(x, 0), n - 1);
const arrows = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]};
views.forEach((v, i) => { const b = make('button'); b.type = 'button'; b.textContent = v.name;
  b.onclick = () => { view = i; [block, head] = v.start; draw(); }; bar.append(b); });
const token = make('button'); token.type = 'button'; token.textContent = 'From the class token';
token.onclick = () => { cls = !cls; draw(); }; bar.append(token);
board.append(make('span'));
for (let h = 0; h < heads; h++) { const s = make('span'); s.textContent = 'head ' + (h + 1); board.append(s); }
for (let b = 0; b < blocks; b++) {
  const s = make('span'); s.textContent = 'block ' + (b + 1); board.append(s);
  for (let h = 0; h < heads; h++) {
    const button = make('button'), canvas = make('canvas');
    button.type = 'button'; button.dataset.b = b; button.dataset.h = h;
    button.setAttribute('aria-label', `Block ${b + 1}, head ${h + 1}`); canvas.setAttribute('aria-hidden', true);
    button.onclick = () => { block = b; head = h; draw(); };
    button.append(canvas); board.append(button); } }
board.onkeydown = e => { const d = arrows[e.key]; if (!d) return; e.preventDefault();
  block = limit(block + d[0], blocks); head = limit(head + d[1], heads); draw();
  board.querySelector(`[data-b="${block}"][data-h="${head}"]`).focus(); };
scene.onclick = e => { const r = scene.getBoundingClientRect(); cls = false;
  column = limit(Math.floor(columns * (e.clientX - r.left) / r.width), columns);
  row = limit(Math.floor(rows * (e.clientY - r.top) / r.height), rows); draw(); };
scene.onkeydown = e => { if (e.altKey || e.ctrlKey || e.metaKey) return;
  if (e.key === 'c' || e.key === 'C') { cls = !cls; draw(); return; }
  const d = arrows[e.key]; if (!d) return; e.preventDefault(); cls = false;
  row = limit(row + d[0], rows); column = limit(column + d[1], columns); draw(); };
draw(); })();"""
HTML(PAGE.replace("SCRIPT", SCRIPT).replace("DATA", json.dumps({"views": views} | size)))

# %% [markdown]
# Try this. Choose one head and walk across the picture. Does the map follow you? Then the head asks "what is
# like me?". Does it stay? Then it looks at the same things whoever asks. Compare the two nets, and compare
# early blocks with late ones.
#
# A single number per head helps: among how many patches does it spread its look? If $p_i$ are the shares,
# $\exp(-\sum_i p_i \ln p_i)$ counts them. It is 1 when one patch gets all, and 96 when all get alike. The
# picture above opened with the head where it is smallest.

# %% mystnb={"image": {"alt": "Two scatter plots, for the depth net and the Render Net. For each of the four blocks four dots, one a head, show among how many patches the look is spread, on a scale from 0 to 96 with a dashed line at 96."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
with plt.rc_context(STYLE):
    figure, axes = plt.subplots(1, 2, figsize=(7.5, 2.6), sharey=True)
    for axis, name, seen, e in (
        (axes[0], "Depth Prediction Net, room", image, encoder),
        (axes[1], "Render Net, garden", garden, render_encoder),
    ):
        for b, look in enumerate(encode(seen, e)[2]):
            patches = spread(look)
            assert ((patches > 1) & (patches < 96.001)).all()
            axis.plot([b + 1] * len(patches), patches, "o", color=COLOURS[b], ms=7, alpha=0.8)
        axis.axhline(96, color="#555555", linestyle="--", linewidth=1)
        axis.set(title=name, xlabel="block", ylim=(0, 102), xticks=[1, 2, 3, 4])
    axes[0].set_ylabel("patches that share the look")
    plt.close(figure)
figure

# %% [markdown]
# Dots on the dashed line are heads that look at everything alike. They take an average of the whole picture.
# That is "the global context" too, if a modest one, and small nets are full of such heads. It is not what
# the pictures in papers show. Those come from nets many times as large, trained on millions of photographs.
#
# And a warning about the pretty heads. A look says from where a value was *taken*. It does not say what the
# value held, how much of it survived the next layer, or whether the answer depended on it. To learn that,
# one has to change something and measure. So let us.
#
# ## Experiment 1: the wrong padding
#
# The depth net was trained with "same" padding. Give its strided convolutions PyTorch's symmetric padding
# instead and touch no weight. The judge is the depth of 20 test rooms, as a simulated depth camera measured
# it.


# %%
def frames(size: tuple[int, int], count: int = 20) -> tuple[Tensor, Tensor, Tensor]:
    """The first test rooms at a size: pictures, depths in metres, masks."""
    root, counts = data_root() / "mini-sun", preset("mini").data.sun_counts
    found = SUNRGBD(root, "test", counts, size=size)
    items = [found[i] for i in range(count)]
    return tuple(torch.stack([item[key] for item in items]) for key in ("image", "depth", "mask"))


@torch.no_grad()
def predict(net: nn.Module, pictures: Tensor) -> Tensor:
    """Depth in metres (N, 1, H, W), a few pictures at a time."""
    return torch.cat([net(part) for part in pictures.split(5)])


pictures, truth, mask = frames((64, 96))
net = load_depth_net()
shifted = copy.deepcopy(net)
for module in shifted.modules():
    if isinstance(module, StdConv2dSame) and module.same_pad:
        module.same_pad, module.padding = False, tuple((k - 1) // 2 for k in module.kernel_size)
right, wrong = predict(net, pictures), predict(shifted, pictures)
assert right.shape == wrong.shape and (right - wrong).abs().mean() > 0.01
for name, depth in (("same", right), ("symmetric", wrong)):
    print(f"{name:9} padding: mean error {(depth - truth)[mask].abs().mean():.2f} m")

# %% mystnb={"image": {"alt": "Three depth maps of one room: measured, predicted with the padding of training, and predicted with symmetric padding. The last two differ."}}
limits = (0, 7.3)
grid(
    [truth[4], right[4], wrong[4]],
    ["measured", "as trained", "symmetric padding"],
    unit="m",
    limits=limits,
)

# %% [markdown]
# No error, no warning, the right shape: only the answers changed. This is why the tests of this book compare
# numbers.
#
# ## Experiment 2: who knows where a token is?
#
# Take the position embeddings away. Or shuffle them, so that each place gets another's. Or mirror them. Or
# leave them alone and turn the *picture* upside down, and turn the depth back afterwards. What does each
# cost?


# %%
def with_positions(change) -> nn.Module:
    """A copy of the depth net whose stored grid (1, D, h, w) of embeddings went through `change`."""
    other = copy.deepcopy(net)
    stored = other.encoder.pos_embed.data
    places = stored[:, 1:].transpose(1, 2).unflatten(2, mini.pos_grid)
    stored[:, 1:] = change(places).flatten(2).transpose(1, 2)
    return other


order = torch.randperm(96, generator=torch.Generator().manual_seed(0))
answers = {
    "as it is": right,
    "embeddings removed": predict(with_positions(torch.zeros_like), pictures),
    "embeddings shuffled": predict(
        with_positions(lambda p: p.flatten(2)[..., order].unflatten(2, mini.pos_grid)), pictures
    ),
    "embeddings mirrored": predict(with_positions(lambda p: p.flip(-1)), pictures),
    "picture upside down": predict(net, pictures.flip(-2)).flip(-2),
}
print(f"{'':20} depth moves by   mean error")
moved = {}
for name, depth in answers.items():
    moved[name] = (depth - right).abs().mean().item()
    print(f"{name:20} {moved[name]:11.3f} m {(depth - truth)[mask].abs().mean():10.2f} m")
assert moved["embeddings removed"] > 0
assert moved["picture upside down"] > moved["embeddings removed"]

# %% [markdown]
# The net knows very well which way is up: turn the room over and it is lost. But look at the other rows. If
# the embeddings were its only way to know, removing them would hurt as much. It does not.
#
# There is another source. Send a plain grey picture through the ResNet. All its places are alike, so all
# places of the last map should be alike too.

# %% mystnb={"image": {"alt": "A map of 8 by 12 places. Inside it is uniformly dark: those places equal the middle one. Along the border, and most of all in the corners, it is brighter."}}
grey = resnet(torch.zeros_like(image), encoder.backbone)[-1][0]  # (C, h, w)
middle = grey[:, 4, 6]
strangeness = (grey - middle[:, None, None]).norm(dim=0) / middle.norm()
assert strangeness[3:5, 3:9].max() < 1e-9, "inside, every place sees grey only"
assert strangeness[0, 0] > 1e-3 and strangeness[7, 11] > 1e-3, "a corner sees the zeros outside"
grid([strangeness], unit="distance to the middle", width=4)

# %% [markdown]
# They are not. A place near the border sees the zeros of the padding. So the ResNet already tells the border
# from the inside, and the transformer's tokens carry it along ([Islam et al. 2020](bibliography.md) measured
# this in other nets). Besides, things in rooms tell where they are: floors are below, lamps above. A pure
# transformer without a ResNet in front would not get off so lightly.
#
# ## Experiment 3: another size of picture
#
# Every size whose sides are multiples of the last stride goes through. Does it also come out well?

# %%
sizes = ((32, 48), (48, 64), (64, 96), (96, 144), (128, 192))
depths, errors = {}, {}
print("picture    tokens   looks per head   mean error")
for size in sizes:
    resized, measured, known = frames(size)
    depths[size] = predict(net, resized)
    errors[size] = (depths[size] - measured)[known].abs().mean().item()
    count = 1 + (size[0] // mini.strides[2]) * (size[1] // mini.strides[2])
    print(f"{size[0]:3} x {size[1]:3} {count:8} {count**2:16,} {errors[size]:10.2f} m")
assert errors[64, 96] < errors[32, 48] and errors[64, 96] < errors[128, 192]

# %% mystnb={"image": {"alt": "The same room's predicted depth at three sizes of input and the measured depth. The small one is coarse, the large one shows more texture."}}
shown = [depths[32, 48][4], depths[64, 96][4], depths[128, 192][4], truth[4]]
grid(shown, ["32 x 48", "64 x 96", "128 x 192", "measured"], unit="m", limits=limits, columns=2)

# %% [markdown]
# It runs at every size, and it is best near the size that it was trained on. Convolutions have learned how
# many pixels wide a chair is; at twice the size it has twice as many. Note also the third column: twice the
# size is four times the tokens and almost sixteen times the looks.
#
# ## Your numbers may differ
#
# Shapes and counts are exact everywhere, and so are all the equalities: they hold to rounding in double
# precision. Errors in metres depend on the trained weights that come with the book, and their last digit on
# your processor. The attention maps too: another training, with another seed, gives other heads.

# %% [markdown]
# ## Summary
#
# - BiT's ResNet standardises its weights and normalises groups of channels: both work with a batch of 1.
# - "Same" padding puts the odd zero behind. The wrong padding shifts the coarse maps by almost a token and
#   says nothing.
# - A place of the last map is a token. Position embeddings are a small learned picture, stretched
#   bilinearly, as DPT does.
# - Self-attention: compare queries with keys, softmax, take values. To it, tokens are a set.
# - Four taps: two ResNet stages, two transformer blocks. We rebuilt all of it and found it equal.
# - Attention maps are easy to admire. Changing something and measuring says more.

# %% [markdown]
# ## Exercises
#
# **1 (graded). How far does a head look?** Write `attention_distance(look, size)`. `look` is `(heads, T, T)`
# with the class token first and `size` = (rows, columns). For each patch, take the distance to every patch,
# in patches, and average it with the look's shares as weights. Leave the class token out, as asker and as
# answer, and let the remaining shares sum to 1. Return the mean over all patches that ask, one number per
# head.


# %% tags=["exercise"]
def attention_distance(look: Tensor, size: tuple[int, int]) -> Tensor:
    """Mean distance, in patches, at which each head looks; (heads,)."""
    raise NotImplementedError  # your code in place of this line


# %% tags=["hide-input", "solution"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
def solution(look: Tensor, size: tuple[int, int]) -> Tensor:
    """A solution; open it after you have tried."""
    rows, columns = torch.meshgrid(*(torch.arange(n) for n in size), indexing="ij")
    where = torch.stack((rows.flatten(), columns.flatten()), dim=1).to(look)  # (h*w, 2)
    patches = look[:, 1:, 1:]
    shares = patches / patches.sum(-1, keepdim=True)
    return (shares * torch.cdist(where, where)).sum(-1).mean(-1)


# %% tags=["graded"]
def check(answer) -> None:
    """Raise AssertionError unless `answer` measures the distance."""
    itself = torch.eye(7).expand(2, 7, 7)
    assert_close(answer(itself, (2, 3)), torch.zeros(2))
    alike = torch.full((1, 3, 3), 1 / 3)
    assert_close(answer(alike, (1, 2)), torch.tensor([0.5]))  # half at home, half one patch off
    across = torch.zeros(1, 5, 5)
    across[0, [1, 2, 3, 4], [4, 3, 2, 1]] = 0.25  # the rest of the look went to the class token
    across[0, :, 0] = 0.75
    assert_close(answer(across, (2, 2)), torch.tensor([2**0.5]))
    all_to_first = torch.zeros(1, 4, 4)
    all_to_first[0, :, 1] = 1.0  # the asker is the row of the table: everyone looks at patch 1
    assert_close(answer(all_to_first, (1, 3)), torch.tensor([1.0]), msg="who asks, who answers?")
    one = torch.eye(7)[None].clone()
    one[0, 1] = torch.eye(7)[3]  # of 2 x 3 patches, the first looks at the third: 2 across
    far = answer(one, (2, 3))
    assert_close(far, torch.tensor([2 / 6]), msg="tokens run along the rows of the picture")
    weak = one.clone()
    weak[0, 1, 3], weak[0, 1, 0] = 0.01, 0.99  # nearly all of its look goes to the class token
    assert_close(answer(weak, (2, 3)), far, msg="each patch that asks counts alike")
    for look in mini_looks:
        far = answer(look[0], mini.pos_grid)
        assert far.shape == (mini.vit_heads,) and ((far > 0) & (far < 12)).all()


check(solution)
try:
    check(attention_distance)
    print("Your attention_distance passes.")
except NotImplementedError:
    print("Not written yet. (The book's solution passes.)")

# %% [markdown]
# **2.** With your function, compare the blocks of both nets. Which distance has a head that looks at
# everything alike? Is any head below it?
#
# **3.** `same_padding(97, 7, 2)`: predict the answer. What happens to the "middles" when the size is odd?
#
# **4.** Repeat experiment 2's first three changes with BRADCN's Render Net (`load_bradcn().render_net`) and
# pictures of the garden set. How much does the *picture* move?
#
# **5.** Multiply all queries by 10 (scale the first $D$ rows of `qkv.weight` and `qkv.bias`). Predict what
# happens to the spread of each head, then measure it.

# %% [markdown]
# ## Next
#
# Chapter 5, [Render Net](05_render_net.ipynb), turns the four maps back into a picture. Chapter 6,
# [The Depth Prediction Net](06_depth_net.ipynb), turns them into depth.

# %% [markdown]
# ## References
#
# All are in the [bibliography](bibliography.md).
#
# - Liu, Zhou and Dong 2023, *Bokeh Rendering Based on Adaptive Depth Calibration Network*. The paper;
#   Section III-A.
# - Nagasubramaniam and Younes 2022, *Bokeh Effect Rendering with Vision Transformers*. BRViT.
# - Ranftl, Bochkovskiy and Koltun 2021, *Vision Transformers for Dense Prediction*. DPT-Hybrid: the taps,
#   bilinear positions.
# - Dosovitskiy and others 2021, *An Image is Worth 16x16 Words*. The hybrid of ResNet and transformer;
#   position embeddings.
# - Vaswani and others 2017, *Attention Is All You Need*. Self-attention, heads, the transformer.
# - He and others 2016, *Deep Residual Learning for Image Recognition*. Shortcuts and bottlenecks.
# - Kolesnikov and others 2020, *Big Transfer (BiT)*. The ResNet with group norm and weight standardisation.
# - Qiao and others 2019, *Weight Standardization*. Wu and He 2018, *Group Normalization*.
# - Islam, Jia and Bruce 2020, *How Much Position Information Do Convolutional Neural Networks Encode?*
