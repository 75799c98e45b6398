# %% [markdown]
# # Assignment 2: Attention, Reassemble, fusion
#
# Two patches of a picture can belong together although they lie far apart: the two ends of a partly hidden bar, two lamps of one pair, a thing and its mirror image. A
# convolution, whose window is three pixels wide, learns of such a pair only after many layers. **Attention** learns of it in one step, because in it every patch may ask every
# other patch. That is why the encoder of the Render Net and of the Depth Prediction Net ends in a transformer, and it is why you now write its core yourself.
#
# **What you will build.** First attention: for one query by hand, then for a whole batch with several heads. You train it on small pictures until it finds the *twin* of a patch,
# and you keep a picture in which one head points to it. Then the way back: **Reassemble**, which makes a map of tokens, and the **fusion block**, which merges that map with a
# finer one. At the end your three functions run inside the book's trained depth net and draw the depth of a room.
#
# **Before this**: [The hybrid encoder](../04_hybrid_encoder.ipynb) from "From a map to tokens" on, and [Render Net](../05_render_net.ipynb) up to and including "Why the order may be swapped".
# From PyTorch you need `linear`, `conv2d`, `gelu`, `interpolate`, `softmax` and reshaping. Questions 2, 8 and 9 ask for code that these chapters show almost line by line, because you need
# right parts for what comes after them: read first, close the chapters, and write it from the shapes. The other questions ask for more than the chapters show.
#
# **Time**: about three and a half hours of yours, without the reading, which takes about an hour more, and about 20 seconds of one laptop core. No download, no GPU. **Points**: 30, of which a person gives 5.
#
# Stars say how hard a question is. Replace `# YOUR CODE HERE` and the `raise` line below it, run the test that follows, and go on when the test is silent: it checks a part of what the
# grading checks.

# %% tags=["hide-input", "setup"] mystnb={"code_prompt_show": "Show the set-up", "code_prompt_hide": "Hide the set-up"}
# On Colab this fetches the book's package; elsewhere it is there already.
from importlib.util import find_spec

if find_spec("bradcn_nb") is None:
    raise ModuleNotFoundError("no bradcn_nb: the page On Colab says how")

# %% tags=["given"]
import copy
import random
from functools import lru_cache, partial

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib import pyplot as plt
from torch import Tensor, nn

from bradcn_nb.data import SUNRGBD
from bradcn_nb.figures.plots import COLOURS, STYLE
from bradcn_nb.files import data_root
from bradcn_nb.models import load_depth_net
from bradcn_nb.presets import preset

torch.set_num_threads(1)  # sums in a fixed order give the same digits

# %% [markdown]
# ## One token asks
#
# A token asks with a **query**, and every token offers a **key**. How well a key fits is the dot product of the two, because it is large where two vectors point the same way. Divide
# these **scores** by $\sqrt d$, where $d$ is the vectors' length, and take the **softmax**: the exponential makes the scores positive, and the division by their sum makes them shares.
# Here is one query, $q = (2, 0, 1, 0)$, before three keys:
#
# | key | score $q \cdot k$ | score $/ \sqrt 4$ | $e^{\text{score} / \sqrt 4}$ | **attention weight** |
# |---|---|---|---|---|
# | (2, 1, 0, 3) | 4 | 2 | 7.39 | 0.67 |
# | (1, 0, 0, 1) | 2 | 1 | 2.72 | 0.24 |
# | (0, 2, 0, 1) | 0 | 0 | 1.00 | 0.09 |
#
# **Guess first.** The last number of each key (3, 1, 1) is multiplied by 100. Which weights change?
# <details><summary>Answer</summary>None of them. The query has a zero there, so it does not ask for this number. A long key does not win by its length: what counts is how long it is in the query's direction.</details>
#
# **Question 1** (★, 10 min, 3 points). Write `attention_weights`: the shares that one query gives to $T$ keys. Scores of a thousand must not become `nan`, and a naive exponential
# of a thousand is infinite. Either use a softmax that knows this, or remember that nothing changes when the same number is subtracted from all scores.


# %% answer="attention_weights"
def attention_weights(query: Tensor, keys: Tensor) -> Tensor:
    """The attention weights (T,) of one query (d,) on the keys (T, d)."""
    ### BEGIN SOLUTION
    scores = keys @ query / query.shape[0] ** 0.5
    return torch.softmax(scores, dim=0)
    ### END SOLUTION


# %% test="attention_weights" points=3
query = torch.tensor([2.0, 0.0, 1.0, 0.0])
rows = [[2.0, 1.0, 0.0, 3.0], [1.0, 0.0, 0.0, 1.0], [0.0, 2.0, 0.0, 1.0]]
found = attention_weights(query, torch.tensor(rows))
assert found is not None, "it returned nothing: is there a `return`?"
message = "each key gets one weight: three keys, so the shape is (3,)"
assert tuple(np.shape(found)) == (3,), f"{message}, not {np.shape(found)}"
found = [float(weight) for weight in found]
assert abs(sum(found) - 1) < 1e-5, "the weights are shares: they sum to 1"
for weight, wanted in zip(found, (0.665, 0.245, 0.090), strict=True):
    message = f"the table above wants {wanted} where you have {weight:.3f}"
    assert abs(weight - wanted) < 2e-3, message + ": is sqrt(d) there?"
found = attention_weights(1000 * query, torch.tensor(rows))
found = [float(weight) for weight in found]
message = f"scores of 2000, 1000 and 0 give the shares 1, 0, 0, not {found}"
assert abs(found[0] - 1) < 1e-5 and abs(found[1]) < 1e-5, message

# %% [markdown]
# ## All tokens ask, in several heads
#
# In a transformer's block each token $x$ makes its query, key and value by linear functions. timm, from which the book's encoder takes its blocks, keeps all three in one weight:
# `qkv_weight` has $3D$ rows, of which the first $D$ make $q$, the next $D$ make $k$ and the last $D$ make $v$. Like the weight of every `Linear`, it is used as $x W^\top + b$.
#
# Each of these vectors of $D$ numbers is then cut into `heads` neighbouring parts of $d = D / \text{heads}$ numbers: the first $d$ numbers of $q$, $k$ and $v$ belong to the first head. A head has its own
# table of weights ($T \times T$, a row for each token that asks) and mixes its own part of the values. At the end the heads are laid side by side again, and `proj_weight` and
# `proj_bias` mix them.
#
# The likely mistakes make no error message. A reshape that puts the tokens where the heads should be still returns $(N, T, D)$, and a softmax over the wrong axis still gives numbers
# between 0 and 1. So write down the shape behind every line: $(N, T, 3D)$, then $(N, \text{heads}, T, d)$, then $(N, \text{heads}, T, T)$, and back.
#
# **Question 2** (★★, 25 min, 5 points). Write `attention`, multi-head self-attention as in timm's ViT block. Gradients must flow through it, because you will train it in a minute.


# %% answer="attention"
def attention(
    x: Tensor,
    qkv_weight: Tensor,
    qkv_bias: Tensor,
    proj_weight: Tensor,
    proj_bias: Tensor,
    heads: int,
) -> Tensor:
    """Tokens (N, T, D) after they have looked at each other, (N, T, D)."""
    ### BEGIN SOLUTION
    qkv = F.linear(x, qkv_weight, qkv_bias)  # (N, T, 3D)
    qkv = qkv.unflatten(2, (3, heads, -1))  # (N, T, 3, heads, d)
    q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (N, heads, T, d)
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    mixed = scores.softmax(-1) @ v  # (N, heads, T, d)
    mixed = mixed.transpose(1, 2).flatten(2)  # (N, T, D)
    return F.linear(mixed, proj_weight, proj_bias)
    ### END SOLUTION


# %% test="attention" points=5
hints = {
    1: "with one head: look at the scale, the axis of the softmax, the order "
    "of q, k and v, and the last projection",
    2: "with two heads, though one head is right: how are q, k and v cut, is "
    "the scale sqrt(d) or sqrt(D), and do the heads go back behind the "
    "tokens before they are laid side by side?",
}
for heads, hint in hints.items():
    torch.manual_seed(1)
    block = nn.MultiheadAttention(8, heads, batch_first=True)
    nn.init.normal_(block.requires_grad_(False).in_proj_bias)
    tokens = torch.randn(3, 5, 8)
    weights = (block.in_proj_weight, block.in_proj_bias)
    weights += (block.out_proj.weight, block.out_proj.bias)
    found = attention(tokens, *weights, heads)
    assert found is not None, "it returned nothing: is there a `return`?"
    message = "attention keeps the shape (N, T, D)"
    assert found.shape == tokens.shape, f"{message}, also {hint}"
    wanted = block(tokens, tokens, tokens)[0]
    message = "PyTorch's MultiheadAttention, with the same weights, disagrees "
    assert torch.allclose(found, wanted, atol=1e-5), message + hint
with_gradient = tokens.clone().requires_grad_()
attention(with_gradient, *weights, 2).sum().backward()
assert with_gradient.grad is not None, "no gradient flows back to the tokens"
learned = weights[0].clone().requires_grad_()
attention(tokens, learned, *weights[1:], 2).square().sum().backward()
message = "no gradient reaches the rows that make q: is the look detached?"
assert learned.grad[:8].abs().max() > 1e-6, message

# %% [markdown]
# ## Two tokens change places
#
# Suppose that somebody exchanges two tokens before attention sees them. Which numbers of the table of weights move? Nothing is computed anew: each weight belongs to a pair of one
# asker and one answerer, and both may now stand at another index. A common mistake is to think that only the two tokens' own rows move, because "they ask from elsewhere now".
#
# **Question 3** (★★, 15 min, 2 points). Write `swapped_weights`: given one head's table $(T, T)$, return the table after tokens `i` and `j` have changed places, without computing
# any attention. Leave the table that you were given as it is. (Beware of `a[i], a[j] = a[j], a[i]`: the right side of it holds windows into `a`, not copies.)


# %% answer="swapped_weights"
def swapped_weights(weights: Tensor, i: int, j: int) -> Tensor:
    """The table of weights (T, T) after tokens i and j changed places."""
    ### BEGIN SOLUTION
    order = list(range(len(weights)))
    order[i], order[j] = j, i
    return weights[order][:, order]
    ### END SOLUTION


# %% test="swapped_weights" points=2
table = torch.tensor([[0.5, 0.2, 0.3], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])
handed = table.clone()
found = swapped_weights(handed, 0, 2)
assert found is not None, "it returned nothing: is there a `return`?"
found = torch.as_tensor(found)
assert found.shape == (3, 3), "the table keeps its shape"
message = "the weight of token 1 on itself has nothing to do with the swap"
assert abs(float(found[1, 1]) - 0.8) < 1e-6, message
message = "token 0 gave itself 0.5; it is token 2 now, and still does"
assert abs(float(found[2, 2]) - 0.5) < 1e-6, message
message = "token 0 gave token 1 0.2; it is token 2 now: row 2, column 1"
assert abs(float(found[2, 1]) - 0.2) < 1e-6, message
message = "the table that your function was given has changed: work on a copy"
assert torch.equal(handed, table), message

# %% [markdown]
# ## Find the twin: what will it be able to do?
#
# Here is the task for your attention. A small picture has 6 x 6 patches. Each patch has a random texture and one of six colours, with two exceptions: one patch, the **asker**, is
# white, and somewhere else lies its **twin**, a patch with exactly the asker's texture. The net must tell, *from the asker's token alone*, the colour of the twin. Nothing in the
# asker says which colour that is, and the textures are new in every picture, so that there is nothing to know by heart. The only way is to find the identical patch elsewhere and to
# fetch its colour.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show how the pictures are made", "code_prompt_hide": "Hide how the pictures are made"}
SIDE, PATCH = 6, 4  # patches a side, pixels a side of a patch
NAMES = ("red", "green", "blue", "yellow", "magenta", "cyan")
TINTS = torch.tensor(
    [
        [1, -0.5, -0.5],
        [-0.5, 1, -0.5],
        [-0.5, -0.5, 1],
        [0.5, 0.5, -1],
        [0.5, -1, 0.5],
        [-1, 0.5, 0.5],
    ]
)


def twins(count: int, seed: int) -> tuple[Tensor, ...]:
    """Patches (N, 36, 16, 3) in [0, 1], askers, twins, twins' colours."""
    chance = torch.Generator().manual_seed(seed)
    shape, each = (count, SIDE**2), torch.arange(count)
    texture = torch.randint(0, 2, (*shape, PATCH**2), generator=chance)
    order = torch.rand(shape, generator=chance).argsort(1)
    asker, twin = order[:, 0], order[:, 1]
    texture[each, asker] = texture[each, twin]
    colour = torch.randint(0, len(NAMES), shape, generator=chance)
    tint = TINTS[colour]
    tint[each, asker] = 1.0  # white
    grey = 0.25 + 0.5 * texture[..., None]
    patches = grey + 0.2 * tint[:, :, None]  # within [0.05, 0.95]
    return patches, asker, twin, colour[each, twin]


def picture(patches: Tensor) -> Tensor:
    """The picture (24, 24, 3) of the patches (36, 16, 3)."""
    cut = patches.reshape(SIDE, SIDE, PATCH, PATCH, 3)
    return cut.permute(0, 2, 1, 3, 4).reshape(SIDE * PATCH, -1, 3)


def frame(axis, place: int, colour: str) -> None:
    """Draw a frame around a patch."""
    row, column = divmod(int(place), SIDE)
    corner = (PATCH * column - 0.5, PATCH * row - 0.5)
    box = plt.Rectangle(corner, PATCH, PATCH, fill=False, ec=colour, lw=3)
    axis.add_patch(box)


# %% tags=["hide-input"] mystnb={"image": {"alt": "Three pictures of six by six patches, each patch a random texture of four by four pixels in one of six colours. The white asker has a black frame, its twin, with the same texture in some colour, an orange frame."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"}
with plt.rc_context(STYLE):
    figure, axes = plt.subplots(1, 3, figsize=(7.5, 2.8))
    pictures = zip(axes, *twins(3, 16), strict=True)
    for axis, patches, asker, twin, colour in pictures:
        axis.imshow(picture(patches))
        frame(axis, asker, "black")
        frame(axis, twin, COLOURS[4])
        axis.set_title(f"the twin is {NAMES[colour]}")
        axis.axis("off")
plt.show()

# %% [markdown]
# The black frame marks the white asker, and the orange frame its twin: the same sixteen bright and dark pixels in another colour. (The net gets no frames.)
#
# Now think of four things that one might ask of such a net, where each patch is a token, no convolution comes before, and one layer of attention is all there is. For two of the
# four the tokens need **position embeddings**, which tell each token where it lies. For the other two they do not, because to attention without positions the tokens are a *set*:
# if all patches of the picture are shuffled, the asker's result stays the same.
#
# **Question 4** (★, 10 min, 2 points). Predict *before* you train: which of the four cannot be learned without position embeddings? Return a dictionary that gives `True` (positions are
# needed) or `False` to each of these names:
#
# - `"twin colour"`: the colour of the twin;
# - `"twin place"`: the place of the twin, as a number from 0 to 35;
# - `"right colour"`: the colour of the patch on the asker's right-hand side, if there is one;
# - `"common colour"`: the colour that most of the picture's patches have.


# %% answer="needs_positions"
def needs_positions() -> dict[str, bool]:
    """For each of the four tasks: does it need position embeddings?"""
    ### BEGIN SOLUTION
    # A shuffle of the patches changes the answers to these two only.
    place, colour = {"twin place": True}, {"twin colour": False}
    return {**place, **colour, "right colour": True, "common colour": False}
    ### END SOLUTION


# %% test="needs_positions" points=2
found = needs_positions()
assert found is not None, "it returned nothing: is there a `return`?"
wanted = {"twin colour", "twin place", "right colour", "common colour"}
assert set(found) == wanted, "the dictionary wants exactly the four names"
values = [bool(value) for value in found.values()]
assert sum(values) == 2, "two of the four need positions, two do not"

# %% [markdown]
# ## Milestone: your attention finds the twin
#
# The net is as small as it can be: a linear function of the 48 numbers of a patch makes its token, *your* `attention` follows with four heads, and a linear read-out of the asker's
# token alone gives two answers at once, the twin's colour (one of 6) and the twin's place (one of 36). There is no residual connection, so that everything that the read-out hears
# has come through attention. We train it twice, with position embeddings and without them, and judge it on a thousand pictures that it has not seen.


# %%
class TwinNet(nn.Module):
    """One layer of your attention; patches and askers in, two answers out."""

    def __init__(self, positions: bool, seed: int, dim: int = 64):
        super().__init__()
        torch.manual_seed(seed)
        self.embed = nn.Linear(3 * PATCH**2, dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.read = nn.Linear(dim, len(NAMES) + SIDE**2)
        for layer in (self.embed, self.qkv, self.proj, self.read):
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
            nn.init.zeros_(layer.bias)
        place = 0.5 * torch.randn(SIDE**2, dim) if positions else None
        self.place = None if place is None else nn.Parameter(place)

    def tokens(self, patches: Tensor) -> Tensor:
        x = self.embed(3 * (patches.flatten(2) - 0.5))  # (N, 36, dim)
        return x if self.place is None else x + self.place

    def forward(self, patches: Tensor, asker: Tensor) -> tuple[Tensor, ...]:
        qkv, proj = self.qkv, self.proj
        weights = (qkv.weight, qkv.bias, proj.weight, proj.bias)
        x = attention(self.tokens(patches), *weights, 4)
        heard = self.read(x[torch.arange(len(x)), asker])
        return heard[:, : len(NAMES)], heard[:, len(NAMES) :]


# %%
@lru_cache
def trained(positions: bool, seed: int = 0, steps: int = 800) -> TwinNet:
    """A net after `steps` steps of Adam; trained once, then remembered."""
    net = TwinNet(positions, seed)
    adam = torch.optim.Adam(net.parameters(), lr=4e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(adam, 4e-3, total_steps=steps)
    for step in range(steps):
        patches, asker, twin, colour = twins(64, seed=1000 * seed + step)
        says_colour, says_place = net(patches, asker)
        loss = F.cross_entropy(says_colour, colour)
        loss = loss + F.cross_entropy(says_place, twin)
        adam.zero_grad()
        loss.backward()
        adam.step()
        rate.step()
    return net.requires_grad_(False)


def accuracy(net: TwinNet) -> tuple[float, float]:
    """How often colour and place are right, in 1,000 new pictures."""
    patches, asker, twin, colour = twins(1000, seed=10**9)
    answers, truth = net(patches, asker), (colour, twin)
    hits = (a.argmax(1) == t for a, t in zip(answers, truth, strict=True))
    return tuple(hit.float().mean().item() for hit in hits)


right = {with_: accuracy(trained(with_)) for with_ in (True, False)}
print("right, %             colour    place")
for name, (colours, places) in (
    ("with positions", right[True]),
    ("without positions", right[False]),
    ("by chance", (1 / 6, 1 / 36)),
):
    print(f"{name:20} {100 * colours:6.1f}   {100 * places:6.1f}")
message = "with a right attention this net learns: does your test pass?"
assert min(right[True]) > 0.9 and right[False][0] > 0.9, message
assert right[False][1] < 0.1

# %% [markdown]
# With positions the net names the colour and the place of nearly every twin. Without them the colour is as good as before, but the place is a guess, and longer training would not help:
# shuffle the patches, and the net's answer stays while the right answer moves. So attention finds the twin by *what it is*; *where it is* the net learns only when the token itself
# says so. (Whoever expected that attention "knows where it looks" has met the point of question 4: only values pass on, never the weights.)
#
# Now look at the heads. For the asker's token the next cell takes each head's query and keys and asks *your* `attention_weights` for the shares.


# %%
def looks(net: TwinNet, patches: Tensor, asker: int) -> Tensor:
    """The weights of the asker in each head, (4, 36), of one picture."""
    qkv = net.qkv(net.tokens(patches[None])[0])  # (36, 3 * dim)
    q, k, _ = qkv.unflatten(1, (3, 4, -1)).unbind(1)  # each (36, 4, d)
    found = [attention_weights(q[asker, h], k[:, h]) for h in range(4)]
    return torch.stack(found)


def shares(net: TwinNet) -> Tensor:
    """Each head's mean weight on the twin and on the asker itself, (4, 2)."""
    found = []
    for patches, asker, twin, _ in zip(*twins(100, seed=10**9), strict=True):
        look = looks(net, patches, int(asker))
        found.append(look[:, [int(twin), int(asker)]])
    return torch.stack(found).mean(0)


# %% tags=["hide-input"] mystnb={"image": {"alt": "Two bar charts, with and without positions, of the mean weight of each of four heads on the twin and on the asker itself. With positions at least one head gives nearly all of its weight to the twin. Without positions the best head splits its weight between the twin and the asker itself."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"}
share = {with_: shares(trained(with_)) for with_ in (True, False)}
best = {with_: int(share[with_][:, 0].argmax()) for with_ in share}
assert share[True][best[True], 0] > 0.7  # the claims below, checked
assert share[True][:, 0].min() < 0.1
twin_too, itself = share[False][best[False]]
assert twin_too + itself > 0.7 and itself > 0.2
with plt.rc_context(STYLE):
    figure, axes = plt.subplots(1, 2, figsize=(7.5, 2.4), sharey=True)
    for axis, positions in zip(axes, (True, False), strict=True):
        for column, name in enumerate(("on the twin", "on the asker itself")):
            x = np.arange(1, 5) + 0.4 * column - 0.2
            height, paint = share[positions][:, column], COLOURS[column]
            axis.bar(x, height, 0.38, label=name, color=paint)
        axis.axhline(1 / 36, color="#555555", ls="--", lw=1)
        title = "with positions" if positions else "without positions"
        axis.set(title=title, xlabel="head", xticks=range(1, 5))
        axis.set_ylim(0, 1.05)
    axes[0].set_ylabel("mean weight")
    axes[1].legend(loc="upper right")
plt.show()

# %% [markdown]
# With positions at least one head gives nearly its whole weight to the twin, far above the dashed line at 1/36, which is what a look at everything alike would give. Without positions the best
# head shares its weight between the twin and the asker itself. It does not have to do better: its own value is white, which is no colour that the read-out could mistake, so that half of the
# twin is enough for the answer. **A net learns the look that its loss asks for, not the look that we should find most sensible.** Some heads hardly look at the twin, and
# the answers are right all the same.
#
# Here is the picture to keep.

# %% mystnb={"image": {"alt": "Three unseen pictures above, the same three below, darkened where the chosen head does not look. In each lower picture only the white asker and its twin are bright, and an orange arrow leads from the one to the other. The titles give the colour that the net says and the true one, which agree."}}
patches, asker, twin, colour = twins(3, seed=2 * 10**9)
net = trained(True)
head = best[True]
says = net(patches, asker)[0].argmax(1)
with plt.rc_context(STYLE):
    figure, axes = plt.subplots(2, 3, figsize=(7.5, 5.5))
    for n, (above, below) in enumerate(axes.T):
        look = looks(net, patches[n], int(asker[n]))[head]
        light = 0.3 + 0.7 * look[:, None, None] / look.max()
        light[asker[n]] = 1.0  # or nobody would see who asks
        above.imshow(picture(patches[n]))
        below.imshow(picture(patches[n] * light))
        frame(above, asker[n], "black")
        frame(below, asker[n], "black")
        ends = [divmod(int(at), SIDE) for at in (asker[n], look.argmax())]
        start, end = ((PATCH * c + 1.5, PATCH * r + 1.5) for r, c in ends)
        arrow = {"arrowstyle": "-|>", "color": COLOURS[4], "lw": 3}
        arrow |= {"shrinkA": 16, "shrinkB": 16}  # points, off the patches
        below.annotate("", xy=end, xytext=start, arrowprops=arrow)
        above.set_title(f"it says {NAMES[says[n]]}, true: {NAMES[colour[n]]}")
        assert look.argmax() == twin[n] and says[n] == colour[n]
        percent = 100 * float(look[twin[n]])
        below.set_title(f"{percent:.0f} % of the look is on the twin")
        above.axis("off")
        below.axis("off")
    figure.suptitle("My attention finds the twin")
figure.savefig("milestone-2-twin.png")
plt.show()

# %% [markdown]
# (The lower row is the look: the brighter, the larger the weight; the asker alone is always bright, so that you see who asks.) The patch at the arrow's end is the twin in all three pictures, and the net was never given the place as an input: in training it was only compared with what the net said. The picture now
# lies in your folder as `milestone-2-twin.png`.
#
# **Question 5** (★★, 20 min, 2 points). *Identical twins.* Change the task: the asker is not white, but has its twin's colour too, and there are no position embeddings. Asker and twin are now equal in
# every number, and only the read-out is told which token asks. There is one layer of attention, as above, which makes the queries, keys and values of all tokens by the same linear functions. Prove, from the
# definition of the attention weights, that in no head and for no values of the net's parameters the asker gives its twin more than one half. Then
# name the one thing in the original picture that allowed more than one half without positions, and say by which step of your proof it does so.

# %% [markdown] essay="identical_twins" points=2
# ### BEGIN SOLUTION
# Equal tokens make equal keys, since a key is a function of its token alone. So the asker's query has the same score with both keys, and the softmax turns equal scores into equal weights. The two equal weights
# are shares of one sum, 1, so each is at most one half (exactly one half if every other token gets nothing). In the original picture the asker is white: its token differs from its twin's, so the keys
# may differ, and the first step of the proof fails. A head can then use a key that is small for white tokens, and look past itself.
# ### END SOLUTION

# %% [markdown]
# ## What does it cost?
#
# Attention compares everything with everything. It is often said that it is therefore "quadratic", as if nothing else counted. Count it: a product of an $(a \times b)$ matrix with a
# $(b \times c)$ matrix takes $a\,b\,c$ multiply-adds, and one layer of attention has four kinds of products: the one that makes $q$, $k$ and $v$, the scores, the mixing of the
# values, and the last projection.
#
# **Question 6** (★★, 15 min, 2 points). Write `attention_cost`: the multiply-adds of one layer of self-attention for one picture of `height` x `width` pixels (both multiples of `stride`), where
# each square of `stride` x `stride` pixels is a token of `dim` numbers and one class token, which belongs to no place, comes in addition. Count the four kinds of products, over all heads together, and leave biases and the softmax out.


# %% answer="attention_cost"
def attention_cost(height: int, width: int, stride: int, dim: int) -> int:
    """Multiply-adds of one layer of attention with a class token."""
    ### BEGIN SOLUTION
    tokens = 1 + (height // stride) * (width // stride)
    linear = 4 * tokens * dim**2  # q, k, v and the last projection
    pairs = 2 * tokens**2 * dim  # scores, and the mixing of values
    return linear + pairs
    ### END SOLUTION


# %% test="attention_cost" points=2
found = attention_cost(4, 4, 4, 1)
assert found is not None, "it returned nothing: is there a `return`?"
message = "one patch and a class token, of one number each: 2 tokens, so that "
message += "q, k, v need 6, the scores 4, the mixing 4 and the projection 2"
assert found == 16, message
message = "two patches and a class token, of two numbers each, need 84: write "
message += "down both factors of each product, (3 x 2)(2 x 6) for q, k and v"
assert attention_cost(4, 8, 4, 2) == 84, message
message = "a picture on its side has as many tokens, so it costs the same"
wide, tall = attention_cost(64, 96, 8, 128), attention_cost(96, 64, 8, 128)
assert wide == tall, message

# %% [markdown]
# **Guess first.** The paper's net has $D = 768$ and sees 512 x 768 pixels at stride 16. Which part costs more there, the pairs or the linear functions?
# <details><summary>Answer</summary>Neither. The linear functions take $4 T D^2$ and the pairs $2 T^2 D$, and their ratio $2D / T$ is $1536 / 1537$ there. Attention is more quadratic than linear only beyond
# $T = 2D$ tokens, and the paper's net sits just at that border. In `mini`, with $D = 128$ and 97 tokens, the linear functions cost more than twice as much.</details>
#
# ## Where does a trained head look?
#
# Back to real weights. The Depth Prediction Net that comes with the book cuts a room of 64 x 96 pixels into 8 x 12 patches of 8 x 8 pixels. `HEARD` is what the attention of its first block
# hears of one room: 97 tokens of 128 numbers, position embeddings and layer norm included, the class token first, then the patches row by row. The seed decides which room, which head and which patch is yours.

# %% tags=["given", "seed"]
SEED = 0

# %% tags=["given"]
counts = preset("mini").data.sun_counts
rooms = SUNRGBD(data_root() / "mini-sun", "test", counts, size=(64, 96))
depth_net = load_depth_net().requires_grad_(False)
ATTN = depth_net.encoder.blocks[0].attn  # ATTN.qkv.weight, ATTN.qkv.bias

# Rooms for heads 2 and 3 (counted from 0) in which the usual mistakes give
# another answer than the right one, whichever patch asks.
CLEAR = {
    2: (0, 8, 9, 14, 16, 18, 22, 23, 27, 33, 34, 37, 42, 44, 48, 50, 54),
    3: (1, 11, 15, 19, 21, 24, 25, 27, 30, 33, 37, 41, 44, 45, 47, 53, 54),
}
chance = random.Random(SEED)
HEAD = chance.choice((2, 3))
ROOM = chance.choice(CLEAR[HEAD])
ROW, COLUMN = chance.randrange(8), chance.randrange(12)  # counted from 0


def heard(image: Tensor) -> Tensor:
    """What the first attention hears of a picture (3, 64, 96): (97, 128)."""
    inputs = []
    hook = ATTN.register_forward_pre_hook(lambda _, x: inputs.append(x[0][0]))
    depth_net(image[None])
    hook.remove()
    return inputs[0]


HEARD = heard(rooms[ROOM]["image"])

# %%
print(f"Your room is number {ROOM}, your head {HEAD} (of 0 to 3),")
print(f"your patch lies in row {ROW}, column {COLUMN}.")
print(f"HEARD has the shape {tuple(HEARD.shape)}.")

# %% [markdown]
# **Question 7** (★★, 20 min, 3 points). Write `strongest_patch`. It returns `(row, column, weight)`: the patch (rows and columns counted from 0) to which head `HEAD` gives the largest weight when the
# patch in row `ROW`, column `COLUMN` asks, and this weight. The class token takes part in the softmax like everyone else, but it is no patch, so it cannot be the answer. Compute it from `HEARD` and
# `ATTN.qkv`; do not type the numbers in, since next year's room is another one, and the test asks your function for the patch of another room, too.


# %% answer="strongest_patch"
def strongest_patch() -> tuple[int, int, float]:
    """Row and column of what my patch looks at most, and the weight."""
    ### BEGIN SOLUTION
    qkv = F.linear(HEARD, ATTN.qkv.weight, ATTN.qkv.bias)  # (97, 384)
    q, k, _ = qkv.unflatten(1, (3, 4, 32))[:, :, HEAD].unbind(1)  # (97, 32)
    weights = (k @ q[1 + 12 * ROW + COLUMN] / 32**0.5).softmax(0)  # (97,)
    place = int(weights[1:].argmax())
    return place // 12, place % 12, float(weights[1 + place])
    ### END SOLUTION


# %% test="strongest_patch" points=3
found = strongest_patch()
assert found is not None, "it returned nothing: is there a `return`?"
assert len(found) == 3, "return the row, the column and the weight"
assert 0 <= found[0] < 8, "there are 8 rows, counted from 0"
assert 0 <= found[1] < 12, "there are 12 columns, counted from 0"
assert 1 / 97 <= found[2] < 1, "the largest of 97 shares is at least 1/97"
yours = HEARD, HEAD, ROOM, ROW, COLUMN
try:  # another room, whose answer is known
    HEARD, HEAD, ROOM = heard(rooms[16]["image"]), 2, 16
    ROW, COLUMN = 6, 10
    found = strongest_patch()
finally:
    HEARD, HEAD, ROOM, ROW, COLUMN = yours
message = "in room 16 head 2 sends the patch in row 6, column 10 to the one "
message += f"in row 4, column 7, not to {tuple(map(int, found[:2]))}: does "
message += "the class token, which stands first, shift an index, and does all "
message += "come from HEARD, HEAD, ROW and COLUMN?"
assert found[0] == 4 and found[1] == 7, message
message = "the patch of room 16 is right; its weight is 0.0574, not "
message += f"{found[2]}: sqrt(32) is the scale, and all 97 tokens share"
assert abs(found[2] - 0.0574) < 2e-4, message

# %% mystnb={"image": {"alt": "A generated room. A white frame marks the patch that asks, an orange frame the patch that it looks at most, and an arrow joins them."}}
row, column, weight = strongest_patch()
assert weight < 0.5  # most of the look goes elsewhere
with plt.rc_context(STYLE):
    figure, axis = plt.subplots(figsize=(5, 3.6))
    axis.imshow(rooms[ROOM]["image"].permute(1, 2, 0))
    for r, c, edge in ((ROW, COLUMN, "white"), (row, column, COLOURS[4])):
        corner = (8 * c - 0.5, 8 * r - 0.5)
        axis.add_patch(plt.Rectangle(corner, 8, 8, fill=False, ec=edge, lw=3))
    start = (8 * COLUMN + 3.5, 8 * ROW + 3.5)
    end = (8 * column + 3.5, 8 * row + 3.5)
    arrow = {"arrowstyle": "-|>", "color": COLOURS[4], "lw": 2}
    axis.annotate("", xy=end, xytext=start, arrowprops=arrow)
    axis.set_title(f"white asks; orange gets {97 * weight:.1f} average shares")
    axis.axis("off")
plt.show()

# %% [markdown]
# The twin net's head gave its patch about 36 average shares, which is nearly all that there is. Compared with that your head's look is modest: most of it goes to other patches than the strongest, and small trained nets are full of such looks.
# The last question will ask what such looks tell us about the answer.
#
# ## Reassemble: from tokens back to a map
#
# A decoder wants maps, and the transformer hands it a list of tokens. **Reassemble** turns the one into the other in four steps. First the class token, which belongs to no place but has heard of all of them,
# is laid *beside* each patch token (patch first, then class token), so that a token of $D$ numbers becomes one of $2D$. A linear function and a GELU (the exact one) make $D$ of them again. Then the
# tokens, which were made row by row, are laid out row by row on the grid, with the channels in front. Last, a 1x1 convolution mixes the channels.
#
# The folding has a trap. A tensor $(N, h \cdot w, D)$ can be reshaped to $(N, D, h, w)$ without any complaint, and the result is rubbish, because a reshape never moves a number: channels and places must change seats first.
#
# **Question 8** (★★, 20 min, 4 points). Write `reassemble`.


# %% answer="reassemble"
def reassemble(
    tokens: Tensor,
    grid: tuple[int, int],
    project_weight: Tensor,
    project_bias: Tensor,
    mix_weight: Tensor,
    mix_bias: Tensor,
) -> Tensor:
    """Tokens (N, 1 + h*w, D), class token first, as a map (N, D, h, w).

    grid = (h, w); project_weight is (D, 2D), mix_weight (D, D, 1, 1).
    """
    ### BEGIN SOLUTION
    cls, patches = tokens[:, :1], tokens[:, 1:]
    x = torch.cat((patches, cls.expand_as(patches)), dim=-1)  # (N, h*w, 2D)
    x = F.gelu(F.linear(x, project_weight, project_bias))  # (N, h*w, D)
    x = x.transpose(1, 2).unflatten(2, grid)  # (N, D, h, w)
    return F.conv2d(x, mix_weight, mix_bias)
    ### END SOLUTION


# %% test="reassemble" points=4
tokens = torch.zeros(1, 7, 2)  # the class token and 2 x 3 patches
tokens[0, 0] = 10.0
tokens[0, 1:, 0] = torch.arange(6.0) + 30
plain = (torch.eye(2, 4), torch.zeros(2))  # passes the first half on
plain += (torch.eye(2)[..., None, None], torch.zeros(2))
second_half = torch.eye(4)[2:].contiguous()
found = reassemble(tokens, (2, 3), second_half, *plain[1:])
assert found is not None, "it returned nothing: is there a `return`?"
assert found.shape == (1, 2, 2, 3), "a map is (N, D, h, w)"
message = "the class token, which is tokens[:, 0], belongs behind each patch "
message += "token: first the D numbers of the patch, then its D"
assert torch.allclose(found, torch.full((1, 2, 2, 3), 10.0)), message
found = reassemble(tokens, (2, 3), *plain)
wanted = torch.arange(6.0).reshape(2, 3) + 30
message = "six patches numbered row by row should lie row by row in channel 0"
assert torch.allclose(found[0, 0], wanted), message
found = reassemble(torch.ones(1, 7, 2), (2, 3), *plain)
message = "GELU makes 0.84134 of 1 (its tanh approximation 0.84119), not "
message += f"{float(found[0, 0, 0, 0]):.5f}"
assert (found - 0.84134).abs().max() < 5e-5, message
exchange = torch.eye(2).flip(0)[..., None, None]
found = reassemble(tokens, (2, 3), *plain[:2], exchange, torch.ones(2))
message = "the 1x1 convolution comes last; this one exchanges the channels "
message += "and adds 1"
assert torch.allclose(found[0, 1], wanted + 1), message

# %% [markdown]
# ## Fusion: merge and enlarge
#
# The decoder climbs from coarse to fine. At each scale a **fusion block** takes the coarser result `x` and this scale's own map `skip`, both of the same size, and returns a map of twice the size:
#
# 1. refine `skip` with the residual unit `unit1`, and add it to `x`;
# 2. refine the sum with `unit2`;
# 3. mix the channels with the 1x1 convolution `out_conv`;
# 4. double height and width, bilinearly, with `align_corners=True`.
#
# (The chapter doubles first and mixes then; both give the same.)
#
# A **residual unit** keeps what came in and adds a correction: $\;x + \mathrm{conv}_2(\mathrm{relu}(\mathrm{conv}_1(\mathrm{relu}(x))))$, where both convolutions are 3x3 and keep the size. A likely mistake is
# a ReLU *in place*: it saves memory and also changes the $x$ that is added at the end. The coarsest scale has nothing to merge; there `skip` is `None` and `unit1` is not used (its weights are not even in the dictionary).
#
# **Question 9** (★★, 20 min, 4 points). Write `fusion`. `weights` has the names of the package's block: `"unit1.conv1.weight"`, `"unit1.conv1.bias"`, `"unit1.conv2.weight"`, ..., `"unit2.conv2.bias"`,
# `"out_conv.weight"`, `"out_conv.bias"`. Leave `x`, `skip` and `weights` as they are.


# %% answer="fusion"
def fusion(
    x: Tensor,
    skip: Tensor | None,
    weights: dict[str, Tensor],
) -> Tensor:
    """Merge two maps (N, C, H, W) and double the size: (N, C, 2H, 2W)."""

    ### BEGIN SOLUTION
    def conv(x: Tensor, name: str, padding: int = 1) -> Tensor:
        kernel, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return F.conv2d(x, kernel, bias, padding=padding)

    def refine(x: Tensor, unit: str) -> Tensor:
        y = F.relu(conv(F.relu(x), f"{unit}.conv1"))
        return x + conv(y, f"{unit}.conv2")

    if skip is not None:
        x = x + refine(skip, "unit1")
    x = conv(refine(x, "unit2"), "out_conv", padding=0)
    twice = {"scale_factor": 2, "mode": "bilinear", "align_corners": True}
    return F.interpolate(x, **twice)
    ### END SOLUTION


# %% test="fusion" points=4
names = [f"unit{u}.conv{c}" for u in (1, 2) for c in (1, 2)]
weights = {f"{name}.weight": torch.zeros(1, 1, 3, 3) for name in names}
weights |= {f"{name}.bias": torch.zeros(1) for name in names}
weights["out_conv.weight"] = torch.ones(1, 1, 1, 1)
weights["out_conv.bias"] = torch.zeros(1)
x = torch.tensor([[[[-1.0, 2.0], [5.0, 8.0]]]])
skip = torch.full((1, 1, 2, 2), -2.0)
handed = x.clone(), skip.clone()
found = fusion(*handed, weights)
assert found is not None, "it returned nothing: is there a `return`?"
assert found.shape == (1, 1, 4, 4), "a fusion block doubles height and width"
message = "units without a correction keep x and skip, so a corner is -1 - 2 "
message += f"= -3, not {float(found[0, 0, 0, 0]):.2f}: did a ReLU in place "
message += "change what is added at the end, or is x or skip missing?"
assert abs(float(found[0, 0, 0, 0]) + 3) < 1e-5, message
wanted = torch.tensor([-3.0, -2.0, -1.0, 0.0])
message = "row 0 is -3, -2, -1, 0: is it bilinear, with align_corners=True?"
assert torch.allclose(found[0, 0, 0], wanted, atol=1e-5), message
message = "x or skip has changed: does += or a ReLU work in place?"
assert torch.equal(handed[0], x) and torch.equal(handed[1], skip), message
only_second = {k: v for k, v in weights.items() if not k.startswith("unit1")}
found = fusion(x.clone(), None, only_second)
message = "without a skip nothing is added: the corner stays -1"
assert abs(float(found[0, 0, 0, 0]) + 1) < 1e-5, message
for name in names:  # now each unit adds relu(relu(x)): it doubles what is > 0
    weights[f"{name}.weight"][0, 0, 1, 1] = 1.0
found = fusion(-torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2), weights)
message = "unit1 makes 2 of the skip 1, x = -1 makes the sum 1, and unit2 "
message += "makes 2 of it: which map does unit1 refine, and what does unit2?"
assert torch.allclose(found, torch.full((1, 1, 4, 4), 2.0), atol=1e-5), message

# %% [markdown]
# ## The end: your functions draw a depth map
#
# Now the trained depth net gets your parts: your `attention` in each of its four blocks, your `reassemble` at its two taps, your `fusion` at its four scales. The convolutions around them stay as they are. If your functions
# are right, the depth is the same to within rounding.


# %%
def plugged(net: nn.Module, *parts: str) -> nn.Module:
    """A copy of a depth net that computes with those of your functions."""
    net = copy.deepcopy(net)

    def attend(x, attn, **_):
        qkv, proj = attn.qkv, attn.proj
        weights = (qkv.weight, qkv.bias, proj.weight, proj.bias)
        return attention(x, *weights, attn.num_heads)

    def fold(tokens, grid, part):
        project, mix = part.project[0], part.mix
        weights = (project.weight, project.bias, mix.weight, mix.bias)
        x = reassemble(tokens, tuple(grid), *weights)
        return part.narrow(part.resize(x))

    def fuse(x, skip=None, *, block):
        return fusion(x, skip, block.state_dict())

    if "attention" in parts:
        for block in net.encoder.blocks:
            block.attn.forward = partial(attend, attn=block.attn)
    if "reassemble" in parts:
        for part in (net.encoder.reassemble3, net.encoder.reassemble4):
            part.forward = partial(fold, part=part)
    if "fusion" in parts:
        for block in net.decoder.fusion:
            block.forward = partial(fuse, block=block)
    return net


FUNCTIONS = ("attention", "reassemble", "fusion")
SHOWN = 2  # the room that the figure below shows
room = rooms[SHOWN]["image"][None]
theirs = depth_net(room)
for names in (*((name,) for name in FUNCTIONS), FUNCTIONS):
    mine = plugged(depth_net, *names)(room)
    difference = (mine - theirs).abs().max().item()
    message = f"with your {' and '.join(names)} the depth differs by up to "
    assert difference < 1e-3, f"{message}{difference:.3f} m from the net's"
print("Your functions draw the net's depth: no pixel differs by a millimetre.")

# %% [markdown]
# One more experiment, because it leads to the last question. Switch the *look* of all four blocks off in the trained net, in three ways that all sound reasonable:
#
# - **nothing**: attention returns zeros, so that the residual connection passes the tokens on as they were;
# - **itself**: each token gives all its weight to itself, and so hears its own value;
# - **everyone**: each token gives the same weight to every token, and so hears the average value.
#
# **Guess first.** Which of the three harms the depth most on average over the rooms, and which least?
# <details><summary>Answer</summary>On average "nothing" harms most and "everyone" least, as the cell below shows. Attention is more than a look: it also adds the average value and a bias, on which everything behind it has come to rely.</details>


# %%
def switched_off(way: str) -> nn.Module:
    """A copy of the depth net whose attention does not choose any more."""
    net = copy.deepcopy(depth_net)

    def forward(x: Tensor, attn: nn.Module, **_) -> Tensor:
        if way == "nothing":
            return torch.zeros_like(x)
        value = attn.qkv(x).chunk(3, dim=-1)[2]
        if way == "everyone":
            value = value.mean(1, keepdim=True).expand_as(x)
        return attn.proj(value)

    for block in net.encoder.blocks:
        block.attn.forward = partial(forward, attn=block.attn)
    return net


frames = [rooms[i] for i in range(len(rooms))]
images = torch.stack([one["image"] for one in frames])
depths = torch.stack([one["depth"] for one in frames])
known = torch.stack([one["mask"] for one in frames])
nets = {"as trained": depth_net}
nets |= {way: switched_off(way) for way in ("everyone", "itself", "nothing")}
drawn = {name: net(images) for name, net in nets.items()}
error = {}  # of each room, in metres
print(f"mean error over the {len(rooms)} rooms, and in room {SHOWN}")
for name, depth in drawn.items():
    apart = ((depth - depths).abs() * known).sum((1, 2, 3))
    error[name] = apart / known.sum((1, 2, 3))
    average, here = error[name].mean(), error[name][SHOWN]
    print(f"{name:11} {average:.2f} m, {here:.2f} m")
more = (error["nothing"] > error["itself"]).sum().item()
print(f'"nothing" is worse than "itself" in {more} of {len(rooms)} rooms')
assert 30 < more < 50  # most rooms, and far from all
table = torch.stack(list(error.values()))  # (4, rooms)
for column in (table.mean(1), table[:, SHOWN]):
    assert column.diff().min() > 0  # in the order in which they are printed
assert table[3].mean() > table[0].mean() + 0.1

# %% tags=["hide-input"] mystnb={"image": {"alt": "Six panels: a room; its depth drawn by the student's functions, equal to the trained net's; its measured depth; and below the depths with attention switched off in three ways, which differ from the trained one and from each other."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"}
panels = {"a room": room[0].permute(1, 2, 0)}
mine = plugged(depth_net, *FUNCTIONS)
panels["drawn by your functions"] = mine(room)[0, 0]
panels["measured"] = depths[SHOWN, 0].where(known[SHOWN, 0], torch.nan)
for way in ("everyone", "itself", "nothing"):
    panels[f"each hears {way}"] = drawn[way][SHOWN, 0]
with plt.rc_context(STYLE):
    figure, axes = plt.subplots(2, 3, figsize=(7.5, 3.6))
    for axis, (title, panel) in zip(axes.flat, panels.items(), strict=True):
        shown = axis.imshow(panel, vmin=1, vmax=6)
        axis.set_title(title)
        axis.axis("off")
    figure.colorbar(shown, ax=axes, label="depth, m", fraction=0.04)
plt.show()

# %% [markdown]
# Three ways of switching the same thing off give three different harms on average over the 60 rooms: least if each token hears everyone, more if it hears itself, most if it hears nothing. The room in the figure follows
# this order, but many rooms do not: in about a third of them "itself" is worse than "nothing". So which of them says how much the net *uses* its attention? Perhaps none does: a net that has relied on a part breaks when the part
# is torn out, and a net that never needed it may break too, because everything behind it has got used to its average.
#
# **Question 10** (★★★, 40 min, 3 points, open). A colleague points at a bright patch in a head's map and says: "The depth net *uses* this look." Design an experiment that could prove the colleague wrong. Say
#
# 1. what you change;
# 2. what you measure;
# 3. on which pictures;
# 4. which control rules out that *any* change of this size does the same;
# 5. which outcome, fixed beforehand, would make you call the look unused;
# 6. one way in which your own experiment could still mislead.
#
# (The book does not hold the answer, and there is more than one good design.)

# %% [markdown] essay="attention_is_used" points=3
# ### BEGIN SOLUTION
# I would change one head only, and only its choice: in rooms that were neither trained on nor used to pick the head, exchange its weight on the pointed-at patch with its weight on another patch, so that the weights still sum to 1
# and the values stay those that the net knows. I measure how much the depth *at the patch that asks* gets worse, as a difference within each picture, with an interval over some hundred rooms. The control exchanges the
# same amount of weight between two patches at which nobody pointed and whose values lie as far apart, so that the change of the token has the same length; a second control does it in heads that nobody pointed at. If the
# interval of (named patch minus control) lies within a margin around zero that I fixed before (say 1 cm), I call the look unused in this net for this measure.
#
# It can still mislead: another head may carry the same information, so that the loss of one look does no harm although it is used as long as it is there. I would therefore repeat it with pairs of heads; and a harmless result says nothing about
# pictures of another kind, such as rooms with mirrors.
# ### END SOLUTION

# %% [markdown]
# ## What you have built
#
# - Attention is dot products, a softmax and a mixture of values; its heads are parts of the same vectors, cut by a reshape that must be the right one.
# - To attention tokens are a set. What must depend on *where* needs position embeddings; what depends on *what* does not.
# - Reassemble lays the class token beside each patch token and folds the tokens back row by row. A fusion block adds the refined finer map, refines the sum and doubles it.
# - A look shows where a value was taken from. Whether the answer depended on it is another question, and needs a control.
#
# [Assignment 3](3_depth.ipynb) makes metres of what such a net puts out.
