# %% [markdown]
# # Assignment 3: Depth, and the right unit of an error
#
# **Why.** Blur follows depth, so a wrong depth paints a wrong blur. But how wrong is half a metre? At arm's length it
# ruins a portrait; at the far wall nobody sees it. The depth net, the labels of Eq. 2 and the two sums of Eq. 1 and
# Eq. 3 all speak in metres, and the lens does not. In this assignment you build the depth net's last formula, which is
# DPT's, and the paper's three equations; you make your own code read the file format in which the paper's depth net was
# published; and then you find out in which unit an error ought to be counted.
#
# **What you build**
#
# 1. the formula that turns a net's output into metres;
# 2. a reader of official names, so that your net loads published weights: **milestone 3**, a depth map drawn by it;
# 3. the alignment that relative depth needs before anybody may speak of metres;
# 4. Eq. 1, Eq. 2 with its mask, and Eq. 3;
# 5. the price of a depth error in blur, and which pixels pay it.
#
# **Before this**: the chapters [The Depth Prediction Net](../06_depth_net.ipynb),
# [Eq. 1](../07_depth_into_features.ipynb), [Depth-error labels](../08_depth_error_labels.ipynb) and
# [BRADCN](../10_bradcn.ipynb). The circle of confusion is in
# [Bokeh and the thin lens](../01_bokeh_and_the_thin_lens.ipynb).
#
# **Time**: about four hours of yours, the reading of this notebook included, and about 20 seconds of one processor core.
# 30 points. Nothing is downloaded.
#
# The cells that say `raise NotImplementedError` are yours. Below each stands a part of its test, which you may run as
# often as you like; the rest of the test, on other data, is run when the notebook is graded.

# %% tags=["hide-input", "setup"] mystnb={"code_prompt_show": "Show the set-up", "code_prompt_hide": "Hide the set-up"}
# On Colab this fetches the book's package; elsewhere it is there already.
from importlib.util import find_spec

if find_spec("bradcn_nb") is None:
    raise ModuleNotFoundError("no bradcn_nb: the page On Colab says how")

# %% tags=["given"]
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib import pyplot as plt
from torch import Tensor

from bradcn_nb.data import SUNRGBD
from bradcn_nb.figures.plots import COLOURS, grid, use_style
from bradcn_nb.files import data_root
from bradcn_nb.lens.by_depth import render_focused
from bradcn_nb.lens.thin_lens import Camera, coc_diameter
from bradcn_nb.models import DepthNet, load_depth_net
from bradcn_nb.models.official import official_name
from bradcn_nb.presets import preset

torch.set_num_threads(1)
use_style()
mini = preset("mini")

# %% tags=["given", "seed"]
SEED = 0

# %% tags=["given", "hide-input"] mystnb={"code_prompt_show": "Show the helper", "code_prompt_hide": "Hide the helper"}


def four_panels(
    images: list, titles: list[str], unit: str, limits: tuple[float, float]
) -> plt.Figure:
    """Two rows of two pictures and maps; the maps share one scale."""
    figure, axes = plt.subplots(2, 2, figsize=(7.5, 5.0))
    for axis, image, title in zip(axes.flat, images, titles, strict=True):
        array = np.asarray(image)
        if array.shape[0] in (1, 3):  # (C, H, W)
            array = array.transpose(1, 2, 0)
        shown = axis.imshow(array, vmin=limits[0], vmax=limits[1])
        axis.set(title=title)
        axis.axis("off")
    bar = figure.colorbar(shown, ax=axes, shrink=0.45, anchor=(0, 0))
    bar.set_label(unit)
    bar.outline.set_visible(False)
    return figure


# %% [markdown]
# ## The data, and three ways to be wrong
#
# Sixty rooms of mini-SUN, which the bundled depth net has never seen. `truth` is what a depth camera measured, in
# metres, and `known` is `False` in its **holes**, where it got no answer.

# %%
rooms = SUNRGBD(
    data_root() / "mini-sun",
    "test",
    mini.data.sun_counts,
    size=mini.model.image_size,
    kind="depth",
)
items = [rooms[i] for i in range(len(rooms))]
parts = ("image", "depth", "mask")
picture, truth, known = (torch.stack([i[k] for i in items]) for k in parts)
net = load_depth_net()
with torch.no_grad():
    predicted = torch.cat([net(some) for some in picture.split(10)])
print("pictures", tuple(picture.shape), " depth", tuple(truth.shape))
print(f"holes: {(~known).float().mean():.1%} of the pixels")

# %% [markdown]
# Here is one of them with its error in metres and, beside it, the same error in 1/m. The net, the pixels and the
# mistakes are the same in both maps. Only the unit differs.

# %% mystnb={"image": {"alt": "One room three times: the picture; the absolute error in metres, brightest under the far table, less bright on the near table and in parts of the right wall; the absolute error in inverse metres, very bright on the near table, faint under the far table and dark on the right wall."}}
ROOM = 14
off_m = (predicted - truth).abs()
off_inverse = (1 / predicted - 1 / truth).abs()
regions = {  # rows and columns
    "right wall": np.s_[4:36, 68:92],
    "near table": np.s_[56:64, 26:60],
    "under the far table": np.s_[42:52, 76:88],
}
for name, place in regions.items():
    seen = known[ROOM, 0][place]
    in_m = off_m[ROOM, 0][place][seen].mean()
    in_inverse = off_inverse[ROOM, 0][place][seen].mean()
    print(f"{name:20} {in_m:.2f} m   {in_inverse:.3f} 1/m")
grid(
    [
        picture[ROOM],
        torch.where(known, off_m, torch.nan)[ROOM],
        torch.where(known, off_inverse, torch.nan)[ROOM],
    ],
    ["picture", "error in metres", "error in 1/m"],
    unit=["", "m", "1/m"],
    limits=[None, (0, 2), (0, 0.3)],
)

# %% [markdown]
# In metres the place under the far table is the worst, by 1.4 m; the near table is wrong by 0.95 m, the wall on the right by
# half a metre. In 1/m the order is another: the near table is three times as wrong as the place under the far one, and
# twelve times as wrong as the wall. Two people who look at one map each would disagree about where this net has to improve
# first. Which of them should a photographer believe? You will say it in Part 3.

# %% [markdown]
# ## Part 1: from a net's output to metres
#
# **Question 1** (★, 10 min, 2 points). The head of the depth net ends in a number $x$ for every pixel. DPT's formula
# makes metres of it:
#
# $$z = \frac{1}{\max(s \cdot \max(x, 0) + t,\; 10^{-8})}$$
#
# The inner maximum is the ReLU at the end of the head. (Chapter 6 calls $x$ what comes *after* the ReLU; here it is what
# goes in, and so it may be negative.) A small example: with $s = 1$ and $t = 0.25$, an $x$ of 0.25
# is 2 m, an $x$ of 0 is 4 m, and so is an $x$ of $-3$. Read the formula from the inside out. It is a common mistake to
# clamp the *result*. It is another to leave the ReLU out "because the clamp is there already": in the example, an $x$ of
# $-0.05$ would then be 5 m, farther than the 4 m that the net can say, and the $10^{-8}$ would never act.
#
# <details><summary>Guess first: with the published $t = 0.1378$, what is the farthest depth that this net can
# say?</summary>1/0.1378 m = 7.26 m, at every x of 0 or less. No training of the weights moves that wall.</details>


# %% answer="depth_from_output"
def depth_from_output(x: Tensor, scale: float, shift: float) -> Tensor:
    """Depth in metres from the head's output, any shape; x may be negative."""
    ### BEGIN SOLUTION
    inverse = scale * F.relu(x) + shift  # 1/m
    return 1 / inverse.clamp(min=1e-8)
    ### END SOLUTION


# %% test="depth_from_output" points=2
metres = depth_from_output(torch.tensor([0.25, 0.0, -0.05, 1.75]), 1.0, 0.25)
assert metres is not None, "your function returned nothing: no `return`?"
metres = torch.as_tensor(metres)
assert torch.isclose(metres[0], torch.tensor(2.0)), (
    "x = 0.25 with scale 1 and shift 0.25 is an inverse depth of 0.5, so 2 m"
)
assert torch.isclose(metres[1], metres[2]), (
    "a negative x counts as 0: the ReLU is part of the formula"
)
assert metres[3] < metres[0], "a larger x is an inverse depth: nearer"
one, beyond = depth_from_output(torch.tensor([0.75, 0.0]), 2.0, -0.5)
assert abs(float(one) - 1) < 1e-5, "the scale is for x alone: 2 * 0.75 - 0.5"
assert float(beyond) > 1e7, (
    "the clamp acts on the inverse depth, before the division: "
    "an inverse depth below 0 is as far as can be, and not on the lens"
)

# %% [markdown]
# ### Official names
#
# A published file of weights is a **state dict**: a table from names to tensors. The names are those of the authors'
# code. Ours are others, because our parts are called otherwise. Loading such a file means renaming, and renaming is
# dangerous, because many tensors share a shape: a net into which two blocks were loaded in each other's place runs
# without complaint and draws nonsense.
#
# No file of half a gigabyte comes with this book, so here is a **stand-in**: the bundled depth net's own tensors under
# the names of DPT's files, together with the eight tensors that those files hold and that no output depends on. (The
# package's `official_name` makes it. It goes from our names to theirs; you write the way back from the two lists,
# since a test by a table that is itself under test would prove nothing.)

# %% tags=["given"]
UNUSED = {  # in every official file; no output depends on them
    "pretrained.model.norm.weight": (128,),
    "pretrained.model.norm.bias": (128,),
    "pretrained.model.head.weight": (10, 128),
    "pretrained.model.head.bias": (10,),
    "scratch.refinenet4.resConfUnit1.conv1.weight": (32, 32, 3, 3),
    "scratch.refinenet4.resConfUnit1.conv1.bias": (32,),
    "scratch.refinenet4.resConfUnit1.conv2.weight": (32, 32, 3, 3),
    "scratch.refinenet4.resConfUnit1.conv2.bias": (32,),
}
depth_net = load_depth_net().requires_grad_(False)
own = depth_net.state_dict()
official = {official_name(n): tensor.clone() for n, tensor in own.items()}
official |= {name: torch.zeros(shape) for name, shape in UNUSED.items()}

# %% [markdown]
# The two lists, sorted and shortened. Of the ResNet and of the ViT's blocks they show a few tensors only, since the rest of
# such a name is the same on both sides. Everywhere else they leave out the biases, which follow their weights.


# %%
def worth_reading(name: str) -> bool:
    """False for the repeated inside of the ResNet and of the ViT."""
    inside = "backbone." in name or ".blocks." in name
    shown = "stem.conv.weight", "blocks.0.norm1.bias", "cls_token", "pos_embed"
    return name.endswith(shown) or (not inside and name.endswith("weight"))


for title, names in (("theirs", official), ("ours", depth_net.state_dict())):
    print(f"{title}: {len(names)} tensors")
    for name in sorted(filter(worth_reading, names)):
        print("   ", name)

# %% [markdown]
# **Question 2** (★★★, 45 min, 5 points). Write `official_to_ours(state)`. It returns a new dict with our names.
#
# - **Names.** What you need to know beyond the lists: `scratch.layerK_rn` is the 3x3 convolution that narrows tap K to
#   the decoder's width. For taps 1 and 2 that is all of `reassembleK`; for taps 3 and 4 it is its last part, `narrow`.
#   `pretrained.act_postprocessK` is the rest of taps 3 and 4: item 0 reads the class token out, item 3 is the 1x1
#   convolution `mix`, item 4 (tap 4 only) halves the size. `refinenet1` is the **finest** fusion block, and our
#   `fusion.0` is the finest, too. `resConfUnit1` is the unit of the skip.
# - **Unused.** The tensors of the final norm, of the classifier and of `refinenet4`'s first unit are left out.
# - **Training on several GPUs** puts `module.` before every name. Such a file is read in the same way.
# - **Tensors** come out as `float32`, whatever they came in as, and otherwise unchanged.
# - **Anything else** raises `KeyError` with the name as the file has it. A renaming that passes over what it does not know
#   turns a wrong file into a quiet failure. No test asks about a name that is one of the list's but for its end or a
#   number, such as `scratch.refinenet1.resConfUnit3` or `act_postprocess3.4`, since `load_state_dict` would refuse what
#   you make of it.
#
# Rename by how a name *begins*, and do not write 156 lines: the hidden test has a deeper net, whose ViT has more blocks.
# There is a trap. A general rule, `pretrained.model.` becomes `encoder.`, seems to save three others. But
# `pretrained.model.` also begins what belongs to `patch_embed`, so that the order of your rules matters; and it lets
# strangers through, such as `pretrained.model.dist_token` of another transformer.


# %% answer="official_to_ours"
def official_to_ours(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A DPT state dict under our names, float32; KeyError for strangers."""
    ### BEGIN SOLUTION
    unused = (
        "pretrained.model.norm.",
        "pretrained.model.head.",
        "scratch.refinenet4.resConfUnit1.",
    )
    # Theirs, ours; the first that fits counts.
    prefixes = (
        ("pretrained.model.patch_embed.", "encoder."),
        ("pretrained.model.blocks.", "encoder.blocks."),
        ("pretrained.model.cls_token", "encoder.cls_token"),
        ("pretrained.model.pos_embed", "encoder.pos_embed"),
        ("pretrained.act_postprocess3.0.", "encoder.reassemble3."),
        ("pretrained.act_postprocess3.3.", "encoder.reassemble3.mix."),
        ("pretrained.act_postprocess4.0.", "encoder.reassemble4."),
        ("pretrained.act_postprocess4.3.", "encoder.reassemble4.mix."),
        ("pretrained.act_postprocess4.4.", "encoder.reassemble4.resize."),
        ("scratch.layer1_rn.", "encoder.reassemble1."),
        ("scratch.layer2_rn.", "encoder.reassemble2."),
        ("scratch.layer3_rn.", "encoder.reassemble3.narrow."),
        ("scratch.layer4_rn.", "encoder.reassemble4.narrow."),
        ("scratch.refinenet1.", "decoder.fusion.0."),
        ("scratch.refinenet2.", "decoder.fusion.1."),
        ("scratch.refinenet3.", "decoder.fusion.2."),
        ("scratch.refinenet4.", "decoder.fusion.3."),
        ("scratch.output_conv.", "decoder.head."),
    )
    renamed = {}
    for full_name, tensor in state.items():
        name = full_name.removeprefix("module.")
        if name.startswith(unused):
            continue
        for theirs, own in prefixes:
            if name.startswith(theirs):
                new = own + name.removeprefix(theirs)
                break
        else:
            raise KeyError(full_name)
        renamed[new.replace(".resConfUnit", ".unit")] = tensor.float()
    return renamed
    ### END SOLUTION


# %% test="official_to_ours" points=5
renamed = official_to_ours(official)
assert renamed is not None, "your function returned nothing: no `return`?"
wanted = depth_net.state_dict()
missing = sorted(wanted.keys() - renamed.keys())
assert not missing, f"{len(missing)} of our names are missing, as {missing[0]}"
strange = sorted(renamed.keys() - wanted.keys())
assert not strange, f"our net knows no {strange[0]} ({len(strange)} in all)"
wrong = [n for n in wanted if not torch.equal(renamed[n], wanted[n])]
assert not wrong, f"{wrong[0]} holds another part's tensor, though it fits"
several = {f"module.{n}": tensor.half() for n, tensor in official.items()}
renamed = official_to_ours(several)
assert renamed.keys() == wanted.keys(), "several GPUs: `module.` comes first"
assert {tensor.dtype for tensor in renamed.values()} == {torch.float32}, (
    "a file in half precision comes out as float32, too"
)
try:
    official_to_ours({"pretrained.model.dist_token": torch.zeros(1)})
except KeyError as error:
    assert "dist_token" in str(error), "the KeyError says which name it was"
else:
    raise AssertionError("a stranger, pretrained.model.dist_token, came in")

# %% [markdown]
# ### Milestone 3: your net loads official names
#
# An empty net, with random weights, is filled by your function from the official names alone. If every tensor has
# found its place, the new net draws the depth map that the bundled one draws, to the last bit. A third net gets two
# fusion blocks in each other's place: the names are right, the shapes are right, and `load_state_dict` says nothing. The
# picture is saved: keep it.


# %% mystnb={"image": {"alt": "Four panels: a room, the depth map of the bundled net, the depth map of the net that was loaded from official names, and the map of a net with two blocks swapped. The first two maps are the same, with a far wall at the right. In the last one the room is gone: it is flat, with dark smears and a bright stripe along the top edge."}}
def map_of(state: dict[str, Tensor]) -> Tensor:
    """The depth map of the room by a new net with these tensors."""
    new = DepthNet(mini.model)
    new.load_state_dict(state)
    with torch.no_grad():
        return new.eval()(room)[0]


room = picture[ROOM : ROOM + 1]
with torch.no_grad():
    bundled_map = depth_net(room)[0]
loaded = official_to_ours(official)
swapped = loaded.copy()
for name in (name for name in loaded if "fusion.1." in name):
    other = name.replace("fusion.1.", "fusion.2.")
    swapped[name], swapped[other] = loaded[other], loaded[name]
maps = [bundled_map, map_of(loaded), map_of(swapped)]
print("equal to the last bit:", torch.equal(maps[0], maps[1]))
for title, one in zip(("bundled", "loaded", "swapped"), maps, strict=True):
    print(f"{title:8} right wall at {one[0, 4:36, 68:92].mean():.1f} m")
titles = ["the room", "the bundled net", "loaded by official names"]
titles.append("two blocks swapped")
figure = four_panels([room[0], *maps], titles, "m", (1.4, 4.5))
figure.savefig("milestone-3-official.png")
plt.show()

# %% [markdown]
# The last map is the nonsense that was announced. Nothing but the picture betrays it, which is why your reader is tested
# tensor by tensor.
#
# The same function, at the paper's sizes, reads `dpt_hybrid_nyu-2ce69ec7.pt`: its 368 names begin in the same ways.
#
# ### When a net knows no metres
#
# MiDaS's files have the same names and shapes, but their output is **relative**: inverse depth up to a scale $a$ and a
# shift $b$ that nobody knows. Before one may compare it with a measurement, one fits both to the known pixels of each
# picture,
#
# $$\min_{a,\, b} \; \sum_{\text{known}} w \left(a\,x + b - \frac1z\right)^2,
# \qquad w = z^{\,p}.$$
#
# The weights $w$ are the first place in this assignment where a unit is chosen. With $p = 0$ an error of 0.1 1/m costs
# the same near and far. Because a small error in depth is $\delta z \approx z^2\, \delta(1/z)$, the power $p = 4$ comes
# close to counting squared *metres*, and $p = 2$ to counting the squared relative error.
#
# The solution is that of any straight line, with weighted means. If $\langle\cdot\rangle$ is the mean with weights $w$,
#
# $$a = \frac{\langle (x - \langle x \rangle)(y - \langle y \rangle)\rangle}{\langle (x - \langle x\rangle)^2\rangle},
# \qquad b = \langle y\rangle - a \langle x \rangle, \qquad y = \frac1z.$$
#
# **Question 3** (★★, 30 min, 4 points). Write `aligned_depth(x, truth, known, power)`. All three maps are (N, 1, H, W),
# `known` is boolean, and `truth` may hold anything in the holes: 0, infinity, NaN. Each picture gets an $a$ and a $b$
# of its own. Return metres, $1/\max(a x + b,\ 1/8)$, for **all** pixels, holes included, because the net has an opinion
# there as well. (The floor of 1/8 keeps an inverse depth that falls below 0 from becoming a negative distance.) Any floating-point type may
# come out. You may count on it that each picture has known pixels, and that $x$ is not the same in all of them.


# %% answer="aligned_depth"
def aligned_depth(
    x: Tensor,
    truth: Tensor,
    known: Tensor,
    power: float,
) -> Tensor:
    """Relative inverse depth fitted to 1 / truth by picture, in metres."""
    ### BEGIN SOLUTION
    aligned = torch.empty_like(truth)
    for n in range(len(x)):
        z = truth[n][known[n]].double()
        seen, y = x[n][known[n]].double(), 1 / z
        w = z**power / (z**power).sum()
        seen_mean, y_mean = (w * seen).sum(), (w * y).sum()
        both = (w * (seen - seen_mean) * (y - y_mean)).sum()
        a = both / (w * (seen - seen_mean) ** 2).sum()
        b = y_mean - a * seen_mean
        aligned[n] = 1 / (a * x[n] + b).clamp(min=1 / 8)
    return aligned
    ### END SOLUTION


# %% test="aligned_depth" points=4
steps = torch.tensor([1.0, 2.0, 4.0, 5.0]).expand(2, 1, 1, 4)  # metres
relative = torch.cat([30 / steps[:1] - 7, 2 / steps[1:] + 5])  # exact
everywhere = torch.ones_like(steps, dtype=torch.bool)
one = aligned_depth(relative[:1], steps[:1], everywhere[:1], 0)
assert one is not None, "your function returned nothing: no `return`?"
assert torch.allclose(torch.as_tensor(one).float(), steps[:1], rtol=1e-3), (
    "an exact answer must come back, whatever scale and offset it was given"
)
back = torch.as_tensor(aligned_depth(relative, steps, everywhere, 0)).float()
assert torch.allclose(back, steps, rtol=1e-3), (
    "one picture comes back and two do not: each has a scale of its own"
)
holed, some = steps.clone(), everywhere.clone()
holed[..., 1], some[..., 1] = torch.nan, False
back = torch.as_tensor(aligned_depth(relative, holed, some, 0)).float()
assert torch.allclose(back, steps, rtol=1e-3), (
    "a hole must not take part in the fit, and gets a depth all the same"
)
noisy = torch.tensor([1.0, 0.5, 0.25, 0.3])[None, None, None]  # last: not 0.2
fits = [aligned_depth(noisy, steps[:1], everywhere[:1], p) for p in (0, 4)]
even, far = (abs(float(fit[0, 0, 0, -1]) - 5) for fit in fits)
assert far < even - 0.1, (
    "with p = 4 the pixel at 5 m weighs by far the most, "
    "so the line must come nearer to it than with p = 0"
)

# %% [markdown]
# <details><summary>Guess first: we align the net three times, with p = 0, 2 and 4. Which has the smallest error in
# 1/m, and which the smallest in metres?</summary>In 1/m it is p = 0, because that is what least squares promises. In
# metres one would expect p = 4, which was made for it. Run the cell: it is the worst of the three. The rule
# δz ≈ z² δ(1/z) holds for small errors, and the errors of this net are not small: the weight z⁴ makes a handful of far
# pixels rule the whole line, and the near ones pay for it.</details>

# %%
print("root mean square error over the known pixels of 60 rooms")
for power in (0, 2, 4):
    metres = aligned_depth(1 / predicted, truth, known, power)
    in_m = (metres - truth)[known].square().mean().sqrt()
    in_inverse = (1 / metres - 1 / truth)[known].square().mean().sqrt()
    print(f"  p = {power}:  {in_m:.2f} m   {in_inverse:.3f} 1/m")
in_m = (predicted - truth)[known].square().mean().sqrt()
in_inverse = (1 / predicted - 1 / truth)[known].square().mean().sqrt()
print(f"the net:  {in_m:.2f} m   {in_inverse:.3f} 1/m")

# %% [markdown]
# All three beat the net's own depth (with p = 4 and in 1/m only just), because all three have looked at the truth; so none
# of them may stand beside it in a table of methods. And the power that was derived for metres is the worst in both units. A formula for small errors had been
# asked about large ones.

# %% [markdown]
# ## Part 2: Eq. 1, Eq. 2, Eq. 3
#
# The Render Net's encoder gives four maps, Eo. The depth Do has one channel and the picture's full size. Eq. 1 adds the
# one to the other,
#
# $$D_i = E_o + \mathrm{Reassemble}(\mathrm{Adap}(D_o)),$$
#
# where **Adap** is a convolution of 3x3 pixels from one channel to three, with a padding of one pixel of zeros, and
# **Reassemble** cuts the three-channel map into squares, once for each scale, and turns every square into C numbers by
# one matrix: a convolution whose stride is as long as its kernel.
#
# <details><summary>Guess first: a map of 64 x 96, patches of 16 x 16 pixels. How large is the map that comes out, and how
# many numbers does each of its places see?</summary>4 x 6 places, and each sees 3 · 16 · 16 = 768 numbers of Adap's
# output, its own square and no other.</details>
#
# **Question 4** (★★, 20 min, 4 points). Write `equation_1`. `Eo` is a list of four maps (N, C, H/s, W/s), `Do` is
# (N, 1, H, W) in metres, `adapt_weight` is (3, 1, 3, 3), and `patch_weights` are four tensors (C, 3, s, s). Take the
# stride from each weight's own shape: the hidden test uses the paper's strides besides mini's. There is no ReLU
# anywhere in this line, and the gradient of a loss must reach Do, because in stage 2 the depth net learns through
# this very sum. If PyTorch says "The size of tensor a (24) must match the size of tensor b (23)", Adap has no padding:
# its map has lost a rim of one pixel, and so each scale one row and one column of squares.


# %% answer="equation_1"
def equation_1(
    Eo: list[Tensor],
    Do: Tensor,
    adapt_weight: Tensor,
    adapt_bias: Tensor,
    patch_weights: list[Tensor],
    patch_biases: list[Tensor],
) -> list[Tensor]:
    """Di = Eo + Reassemble(Adap(Do)), four maps, fine to coarse."""
    ### BEGIN SOLUTION
    adapted = F.conv2d(Do, adapt_weight, adapt_bias, padding=1)
    Di = []
    for eo, weight, bias in zip(Eo, patch_weights, patch_biases, strict=True):
        s = weight.shape[-1]  # kernel and stride
        Di.append(eo + F.conv2d(adapted, weight, bias, stride=s))
    return Di
    ### END SOLUTION


# %% test="equation_1" points=4
middle = torch.zeros(3, 1, 3, 3)
middle[:, :, 1, 1] = -2.0  # Adap makes 1 - 2 z of the depth z, three times
whole = [torch.ones(1, 3, s, s) for s in (2, 4, 8, 16)]  # a square's sum
half = [torch.full((1,), 0.5)] * 4
ten = [torch.full((1, 1, 32 // s, 48 // s), 10.0) for s in (2, 4, 8, 16)]
near = torch.ones(1, 1, 32, 48)  # 1 m everywhere
Di = equation_1(ten, near, middle, torch.ones(3), whole, half)
assert Di is not None, "your function returned nothing: no `return`?"
assert len(Di) == 4, "there are four scales, so four maps"
for s, di in zip((2, 4, 8, 16), Di, strict=True):
    assert di.shape == (1, 1, 32 // s, 48 // s), (
        "kernel and stride are equal: s x s pixels become one place"
    )
    assert torch.allclose(di, torch.tensor(10.5 - 3 * s * s)), (
        "Eo's 10, the bias of 0.5, and a square's sum: -1 in three channels "
        "of s x s pixels (no ReLU, and Adap has a bias, too)"
    )

# %% [markdown]
# ### Eq. 2: the label
#
# $$D_e = |D_o - D_{gt}|$$
#
# One subtraction; and three ways to get it wrong that no shape betrays. A depth camera has holes, which a file stores
# as 0 or NaN. Without the mask, the ADCN learns that the net is wrong by five metres wherever the *camera* was blind. If
# you *multiply* by the mask, a NaN stays, since NaN times 0 is NaN. And a prediction of shape
# (N, H, W) beside a truth of shape (N, 1, H, W) does not fail: it is broadcast, every picture against every other.
#
# **Question 5** (★★, 10 min, 3 points). Write `equation_2`. It returns two things: De in metres, exactly 0 where `known` is
# `False`, and `known` itself. It raises `ValueError` unless the three shapes are equal, and changes none of its inputs.


# %% answer="equation_2"
def equation_2(
    predicted: Tensor,
    truth: Tensor,
    known: Tensor,
) -> tuple[Tensor, Tensor]:
    """De = |Do - Dgt| in metres, and where it is known."""
    ### BEGIN SOLUTION
    if not predicted.shape == truth.shape == known.shape:
        raise ValueError("Eq. 2 needs three maps of one shape")
    return torch.where(known, (predicted - truth).abs(), 0.0), known
    ### END SOLUTION


# %% test="equation_2" points=3
answer = equation_2(
    torch.tensor([[[[1.5, 3.0, 7.0]]]]),
    torch.tensor([[[[2.0, torch.nan, 4.0]]]]),
    torch.tensor([[[[True, False, True]]]]),
)
assert answer is not None, "your function returned nothing: no `return`?"
assert isinstance(answer, (tuple, list)) and len(answer) == 2, (
    "return two things: De, and where it is known"
)
error, mask = answer
assert mask.flatten().tolist() == [True, False, True], (
    "the mask comes back as it was: True where something was measured"
)
assert error.flatten().tolist() == [0.5, 0.0, 3.0], (
    "De is the distance from Do to Dgt, without a sign, and 0 in a hole"
)
flat, maps = torch.ones(2, 3, 4), torch.ones(2, 1, 3, 4)
try:
    equation_2(flat, maps, maps > 0)
except ValueError:
    pass
else:
    raise AssertionError("(2, 3, 4) beside (2, 1, 3, 4) must be refused")

# %% [markdown]
# ### Eq. 3: how far to trust the depth
#
# $$D_I = D_i + \mathrm{Reassemble}(\mathrm{Adap}(D_e))$$
#
# It is Eq. 1's form with other weights, and De in the place of Do. A likely wrong idea is that an error has to be
# *subtracted*, "because it corrects the depth". De has lost its sign, so it cannot correct anything; it is one more
# hint, and the hint is added. A second wrong idea is that De = 0 is the same as no branch. Look for the biases.
#
# **Question 6** (★, 5 min, 1 point). Write `equation_3`, with the same shapes as in Eq. 1. The maps of `Di` are still
# needed by the caller, so they must not be changed: `+=` on a tensor writes into the tensor that you were given.


# %% answer="equation_3"
def equation_3(
    Di: list[Tensor],
    De: Tensor,
    adapt_weight: Tensor,
    adapt_bias: Tensor,
    patch_weights: list[Tensor],
    patch_biases: list[Tensor],
) -> list[Tensor]:
    """DI = Di + Reassemble(Adap(De)), four maps, fine to coarse."""
    ### BEGIN SOLUTION
    adapted = F.conv2d(De, adapt_weight, adapt_bias, padding=1)
    added = [
        F.conv2d(adapted, weight, bias, stride=weight.shape[-1])
        for weight, bias in zip(patch_weights, patch_biases, strict=True)
    ]
    return [di + more for di, more in zip(Di, added, strict=True)]
    ### END SOLUTION


# %% test="equation_3" points=1
copies = torch.zeros(3, 1, 3, 3)
copies[:, :, 1, 1] = 1.0
sums = [torch.ones(1, 3, s, s) for s in (2, 4, 8, 16)]
biases = [torch.full((1,), 0.5)] * 4
before = [torch.full((1, 1, 32 // s, 48 // s), 10.0) for s in (2, 4, 8, 16)]
perfect = torch.zeros(1, 1, 32, 48)
DI = equation_3(before, perfect, copies, torch.zeros(3), sums, biases)
assert DI is not None, "your function returned nothing: no `return`?"
assert all(torch.allclose(after, torch.tensor(10.5)) for after in DI), (
    "with De = 0 the biases are still added: a perfect depth is a hint, too"
)
assert all((di == 10.0).all() for di in before), "you have changed Di"

# %% [markdown]
# ## Part 3: the right unit of an error
#
# A lens of focal length $f$ and f-number $N$, focused at $z_f$, draws a point at the distance $z$ as a disc of the
# diameter
#
# $$c(z) = \frac{f}{N} \cdot \frac{f}{z_f - f} \cdot \frac{|z - z_f|}{z} \cdot \frac{1}{h} \cdot \text{rows}$$
#
# pixels, if the sensor is $h$ high and the picture has that many rows ($f$, $z_f$, $z$ and $h$ in one unit). Here is
# your lens for this part, and four points of a scene. A depth net has put every one of them exactly **half a metre too
# far**. Eq. 2 gives all four the same label, 0.5 m.

# %% tags=["given"]
dice = np.random.default_rng(SEED)
FOCUS_M = round(float(dice.uniform(1.8, 2.4)), 2)
FOCAL_MM, F_NUMBER, SENSOR_HEIGHT_MM, ROWS = 50.0, 1.8, 14.9, 1080
TRUE_M = [
    round(FOCUS_M - float(dice.uniform(0.8, 0.9)), 2),  # a hand before you
    round(FOCUS_M - float(dice.uniform(0.2, 0.25)), 2),  # the near shoulder
    round(FOCUS_M + float(dice.uniform(0.8, 1.2)), 2),  # a chair behind
    round(FOCUS_M + float(dice.uniform(4.0, 5.0)), 2),  # the far wall
]
SAID_M = [round(z + 0.5, 2) for z in TRUE_M]
print(f"focus {FOCUS_M} m, true {TRUE_M} m, said {SAID_M} m")

# %% [markdown]
# **Question 7** (★★, 20 min, 3 points). Write `blur_errors()`: for each of the four points, by how many pixels of
# **diameter** does the disc that is drawn from `SAID_M` differ from the true one, *said minus true*? Keep the sign: plus
# is too much blur, minus too little. Use the constants above and not their values, since they change from year to year
# with `SEED`. Write the formula yourself, and mind the units of what you put in; the package's `coc_diameter` may check
# you, but it is not the answer. It is tempting to put the error itself, 0.5 m, into the formula. But an error has no
# place in front of the lens; only depths do.


# %% answer="blur_errors"
def blur_errors() -> list[float]:
    """Drawn minus true disc diameter of the four points, in pixels."""

    ### BEGIN SOLUTION
    def diameter(z_m: float) -> float:
        focal_m = FOCAL_MM / 1000
        aperture_m = focal_m / F_NUMBER
        on_sensor = aperture_m * focal_m / (FOCUS_M - focal_m)
        on_sensor *= abs(z_m - FOCUS_M) / z_m
        return on_sensor / (SENSOR_HEIGHT_MM / 1000) * ROWS

    pairs = zip(SAID_M, TRUE_M, strict=True)
    return [diameter(said) - diameter(true) for said, true in pairs]
    ### END SOLUTION


# %% test="blur_errors" points=3
errors = blur_errors()
assert errors is not None, "your function returned nothing: no `return`?"
assert len(errors) == 4, "there are four points, so four numbers"
assert 1 < max(abs(error) for error in errors) < 100, (
    "the largest error of this lens is between 1 and 100 pixels: "
    "are all lengths in one unit, and did you multiply by the rows?"
)
assert errors[0] < 0, (
    "the hand is before the focus and is said to be nearer to it: "
    "its disc is drawn too small, so said minus true is negative"
)
assert errors[3] > 0, "the wall is said to be farther from the focus"

# %% mystnb={"image": {"alt": "Left, four bars of the same length, the error of half a metre of hand, shoulder, chair and wall. Right, four bars of very different length, the error in pixels of blur: long and negative for the hand, a quarter as long and positive for the chair, and about one pixel each for the shoulder and the wall."}}
errors = blur_errors()
names = ["hand", "shoulder", "chair", "wall"]
figure, axes = plt.subplots(1, 2, figsize=(7.5, 2.2), sharey=True)
axes[0].barh(names, np.subtract(SAID_M, TRUE_M), color=COLOURS[0])
axes[0].set(title="error in depth", xlabel="m")
axes[1].barh(names, errors, color=COLOURS[1])
axes[1].axvline(0, color="#1b1b1b", linewidth=1)
axes[1].set(title="error in the disc's diameter", xlabel="pixels")
axes[0].invert_yaxis()
for name, error in zip(names, errors, strict=True):
    print(f"{name:10} {error:+6.1f} pixels")
plt.show()

# %% [markdown]
# The labels of Eq. 2, on the left, are four times the same. The picture, on the right, is not. With `SEED = 0` the hand
# pays some twenty pixels, the chair five, and the wall and the shoulder about one each, for two different reasons. (Other
# years' numbers differ, and the shoulder's may be negative; the order of hand, chair and the other two stays.) The wall
# is so far away that half a metre hardly changes 1/z. The shoulder is wrong in metres *and* in 1/m, but it has moved from
# just before the focus to just behind it, and the disc does not know the side.
#
# ### Who carries the error?
#
# So much for four points. In sixty rooms: which pixels make up the sum of all errors? Sort the known pixels by their
# **true** depth into ranges, and give each range its share of the whole.
#
# **Question 8** (★★, 20 min, 3 points). Write `error_shares(predicted, truth, known, edges_m)`. A range goes from one
# edge to the next, the lower edge included, the upper one not, the last range's no more than any other's. Return two lists with one number for each range: its
# share of the summed $|z' - z|$, in metres, and its share of the summed $|1/z' - 1/z|$. Known pixels outside of all ranges do
# not count, and so each list sums to 1. As before, `truth` may hold anything in the holes.


# %% answer="error_shares"
def error_shares(
    predicted: Tensor, truth: Tensor, known: Tensor, edges_m: list[float]
) -> tuple[list[float], list[float]]:
    """Each range's share of the error in metres, and of that in 1/m."""
    ### BEGIN SOLUTION
    said, true = predicted[known].double(), truth[known].double()
    shares = []
    for error in ((said - true).abs(), (1 / said - 1 / true).abs()):
        sums = [
            error[(true >= low) & (true < high)].sum().item()
            for low, high in zip(edges_m[:-1], edges_m[1:], strict=True)
        ]
        shares.append([part / sum(sums) for part in sums])
    return shares[0], shares[1]
    ### END SOLUTION


# %% test="error_shares" points=3
answer = error_shares(
    torch.tensor([1.25, 2.5, 4.0, 6.0, 3.0, 9.0]),
    torch.tensor([1.0, 2.0, 2.0, 5.0, 0.0, 8.0]),
    torch.tensor([True, True, True, True, False, True]),
    [0.0, 2.0, 4.0, 8.0],
)
assert answer is not None, "your function returned nothing: no `return`?"
metre_shares, inverse_shares = answer
assert abs(sum(metre_shares) - 1) < 1e-6, "the shares sum to 1"
assert np.allclose(metre_shares, [1 / 15, 10 / 15, 4 / 15]), (
    "0.25, 0.5 + 2 and 1 m of 3.75 m in all; a true depth of 2 m belongs to "
    "the range from 2 to 4, and one of 8 m, the last edge, to none"
)
assert np.allclose(inverse_shares, [12 / 35, 21 / 35, 2 / 35]), (
    "0.2, 0.1 + 0.25 and 0.0333 per metre, of 0.5833 in all"
)

# %% [markdown]
# <details><summary>Guess first: the pixels nearer than 1.5 m are a twelfth of all. What is their share of the error in
# metres, and in 1/m?</summary>About a tenth of the metres, and about a third of the 1/m.</details>

# %% mystnb={"image": {"alt": "Grouped bars over six ranges of true depth: the share of pixels, of the error in metres, in inverse metres and in disc diameter. From left to right the share of the error in metres grows above that of the pixels while that in inverse metres falls below it; the disc's bars follow those of inverse metres, except around the focus, where they are lower."}}
edges_m = [0, 1.5, 2.25, 3, 4.5, 6, 8.01]
in_m, in_inverse = error_shares(predicted, truth, known, edges_m)
portrait = Camera()  # 50 mm, f/1.8, the sensor above
said_m, true_m = predicted[known].numpy(), truth[known].numpy()
discs = [coc_diameter(z, 2.0, portrait) for z in (said_m, true_m)]
off_disc = np.abs(discs[0] - discs[1])
place = np.digitize(true_m, edges_m) - 1
count = len(edges_m) - 1
pixels = np.bincount(place, minlength=count) / len(place)
in_disc = np.bincount(place, off_disc, minlength=count) / off_disc.sum()
ranges = [f"{edges_m[k]:g} to {edges_m[k + 1]:g}" for k in range(count)]
ranges[-1] = "6 to 8"
print(f"{'true depth, m':30}" + "".join(f"{one:>12}" for one in ranges))
figure, axis = plt.subplots(figsize=(7.5, 2.8))
for k, (label, shares, colour) in enumerate(
    (
        ("pixels", pixels, "#9e9e9e"),
        ("error in m", in_m, COLOURS[0]),
        ("error in 1/m", in_inverse, COLOURS[1]),
        ("error of the disc, focus 2 m", in_disc, COLOURS[2]),
    )
):
    where = np.arange(count) + 0.2 * (k - 1.5)
    axis.bar(where, 100 * np.array(shares), 0.19, color=colour, label=label)
    print(f"{label:30}" + "".join(f"{share:12.1%}" for share in shares))
axis.set(xticks=range(count), xticklabels=ranges)
axis.set(xlabel="true depth, m", ylabel="share, %")
axis.legend()
plt.show()

# %% [markdown]
# A net that is trained, or chosen, by metres is trained for the right-hand side of this figure: a sixth of the pixels, those
# beyond 4.5 m, carry a third of the metres. In 1/m the near pixels rule, and the lens is on their side: the green bars
# follow the orange ones, except in the range of the focus itself, where discs are small on either side. The lens's own unit is therefore inverse depth,
# until one knows the focus; and when one knows it, the disc itself.
#
# These are shares of the *absolute* error. A root mean square adds squares, in which large errors weigh more than their
# share, and so the far pixels still more: those beyond 4.5 m have 33 % of the sum of |error|, and 46 % of that of its square.
#
# **Question 9** (★★, 20 min, 2 points). A colleague has a better depth net: on these sixty rooms its root mean square
# error falls from 0.97 m to 0.80 m. The portraits that are drawn with it, focused at about 2 m, look no better than before.
# Nobody has cheated. Explain how both can be true, with a number from each of the last *two* figures (the four points and
# the shares; both are printed above their bars), and name the number that should have been asked for.

# %% [markdown] essay="better_number" points=2
# ### BEGIN SOLUTION
# Root mean square error in metres is ruled by what is far away. In the figure of shares, the sixth of the pixels beyond
# 4.5 m carries a third of the error in metres, but only about a tenth (11 %) of that in 1/m, and squaring makes the far
# pixels weigh still more. So the gain can come from the far wall alone. The four points show what a picture gets out of that: half a metre at the
# wall moves the disc by about a pixel, while half a metre at the hand moves it by 21 (with `SEED = 0`). A portrait is made by what is near and
# by outlines, and there the new net may be no better. One should have asked for the mean error of the disc's diameter in
# pixels, for the lens and the focus in use, or for the error in 1/m, if the focus is not known beforehand.
# ### END SOLUTION

# %% [markdown]
# ### Two sensors: a question without a known answer
#
# So far the depth was a net's guess. A phone may measure it, and the two common sensors are wrong in different units.
#
# - A **stereo** pair measures by how many pixels a point is shifted between two cameras, which is proportional to
#   $1/z$. Suppose that it is wrong by 0.004 1/m, at every distance.
# - A **time-of-flight** sensor measures how long light travels. Suppose that it is wrong by 1.5 cm, at every distance.
#   Its resolution is low: one measurement for 8 x 8 pixels of the photograph.
#
# **Question 10** (★★★, 40 min, 3 points). You may build *one* of them into a phone that draws bokeh as Part 3's lens would,
# focused at 2 m. Which one do you take, for which photographs, and what do you lose?
#
# - Say at which distances each of the two draws the better blur, and how large the two errors of the disc are at two or
#   three of them, by a short calculation. An error below half a pixel counts in it like any other; whether anybody
#   would see it is part of your argument.
# - Say one thing about your choice that the two numbers above, 0.004 1/m and 1.5 cm, do *not* contain and that might
#   overturn it. The coarse grid of 8 x 8 pixels may be that thing.
# - Describe one experiment, small enough for a week, whose outcome would change your mind.
#
# There is no right sensor here. What is marked is the argument.

# %% [markdown] essay="which_sensor" points=3
# ### BEGIN SOLUTION
# On either side of the focus the disc is linear in 1/z, so I bring both errors into 1/m. Stereo: 0.004 everywhere, hence the
# same error of blur everywhere. Time of flight: 0.015 m / z². The two are equal at z² = 0.015 / 0.004, z = 1.9 m. Nearer
# than that stereo draws the better blur, beyond it time of flight does. With Part 3's lens at 2 m, one 1/m is 103 pixels of
# diameter. So stereo is off by 0.4 pixels everywhere; time of flight by 3.2 at 0.7 m, by 1.5 at 1 m, and by 0.1 at 4 m.
# Portraits by phone are taken from 0.7 to 2 m, so I take stereo. I lose accuracy in the background of a room, but there I
# exchange 0.1 for 0.4 pixels, both of which are too small to be seen.
#
# What the two numbers do not contain: stereo finds nothing on a white wall or in the dark, and its holes and outlines are
# not counted by an error "at every distance". In dim rooms it may fail altogether where a time-of-flight sensor, which
# brings its own light, goes on; its coarse grid, on the other hand, puts wrong depths along every outline, which is where
# bokeh is judged.
#
# Experiment: forty people at 1 m, 1.5 m and 2.5 m, by day and by lamplight, with both sensors and a carefully drawn mask
# of the person as the truth. I draw the bokeh from both, measure the error of the disc inside of a band of ten pixels along the
# outline, and let ten people choose between the pairs of pictures without knowing which is which. If time of flight wins by
# lamplight with an interval above one half, and loses by day by less, I change my mind.
# ### END SOLUTION

# %% [markdown]
# ## To end with: the same room, twice
#
# This is what all the units were about. The first room again, drawn by the classical lens of the first assignment:
# once from the true depth, once from the net's, which passes through your `depth_from_output`. The lens is wide open, so that at this small
# size the discs can be seen at all. The near table is in focus. Where does it go?

# %% mystnb={"image": {"alt": "Four panels of one room: the sharp picture, the bokeh from the true depth, the bokeh from the predicted depth, and the absolute error of the disc's diameter in pixels, which is largest on the near table and small on the far wall. The near table is sharp from the true depth and blurred from the predicted one."}}
view = picture[ROOM : ROOM + 1]
with torch.no_grad():
    x = depth_net.decoder(depth_net.encoder(2 * view - 1))
    cfg = mini.model
    guessed = depth_from_output(x, cfg.depth_scale, cfg.depth_shift)[0, 0]
filled = SUNRGBD(  # the same room with its holes filled: a lens needs all
    data_root() / "mini-sun",
    "test",
    mini.data.sun_counts,
    size=mini.model.image_size,
)
true = filled[ROOM]["depth"][0]
focus_m = float(true[32:, 24:72].quantile(0.1))
wide = Camera(f_number=0.7)
sharp = view[0].permute(1, 2, 0).numpy()
drawn, discs = [], []
for depth in (true.numpy(), guessed.numpy()):
    drawn.append(render_focused(sharp, depth, focus_m, wide.f_number))
    discs.append(64 * coc_diameter(depth, focus_m, wide))  # 64 rows
print(f"focus at {focus_m:.2f} m")
four_panels(
    [view[0], drawn[0], drawn[1], np.abs(discs[1] - discs[0])],
    ["sharp", "from the true depth", "from the net's depth", "disc's error"],
    "pixels",
    (0, 4),
)
plt.show()

# %% [markdown]
# From the true depth the near table is sharp and the room behind it is soft, which is the picture that was wanted. From the net's
# depth nothing is sharp at all: the table was said to be a metre behind the focus, and its disc is wrong by more than
# four of the picture's 64 rows. The wall on the right is wrong by half a metre and looks the same in both pictures.
#
# ## What you have now
#
# - A net's output is an inverse depth in disguise; its formula sets how far the net can see, and in which unit it is
#   sure.
# - Shapes do not check names. Your reader does, and refuses what it does not know.
# - Eq. 1 and Eq. 3 are one line with two sets of weights; Eq. 2 is one subtraction and a mask.
# - Eq. 2 counts metres, and the lens counts differences of 1/m. The same half metre costs (with `SEED = 0`) some twenty
#   pixels at the hand and about one at the wall.
#
# `bradcn course doctor --mine FOLDER`, where `FOLDER` is the folder with your notebooks, plugs your `depth_from_output`,
# `equation_1`, `equation_2` and `equation_3` into the package and tells you whether the bundled BRADCN still draws what it
# drew before.
