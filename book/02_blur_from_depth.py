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
# # 2. Blur from depth
#
# A lens needs no depth map, but a program that starts from one sharp photograph does. How does it draw blur from depth, and what does it
# cost when the depth is wrong? The whole paper rests on the second question, because its third net exists only to foresee such mistakes.

# %% tags=["hide-input", "setup"] mystnb={"code_prompt_show": "Show the set-up", "code_prompt_hide": "Hide the set-up"}
# On Colab this fetches the book's package; elsewhere it is there already.
from importlib.util import find_spec

if find_spec("bradcn_nb") is None:
    raise ModuleNotFoundError("no bradcn_nb: the page On Colab says how")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the imports and how a scene is photographed", "code_prompt_hide": "Hide the imports"}
import cv2
import numpy as np
import torch
from matplotlib import pyplot as plt
from scipy.stats import spearmanr

from bradcn_nb.data import EBB
from bradcn_nb.data.bundle import EBB_SEED
from bradcn_nb.experiments.motorcycle import motorcycle
from bradcn_nb.figures.plots import COLOURS, grid, use_style
from bradcn_nb.figures.wrong_depth import Drawn, WrongDepth, wrong_depth_viewer
from bradcn_nb.files import data_root
from bradcn_nb.lens.by_depth import blur_layer, gather_blur, render_layered
from bradcn_nb.lens.layers import layer_radii
from bradcn_nb.lens.reference import composite, lens_view, pinhole_depth
from bradcn_nb.lens.thin_lens import Camera, blur_scale, linear_to_srgb, srgb_to_linear
from bradcn_nb.models import load_depth_net
from bradcn_nb.scenes import outdoor_scene

torch.set_num_threads(1)
cv2.setNumThreads(1)
use_style()
ROWS, COLUMNS = 160, 240
NET_SIZE = 64, 96  # what our nets see


def photographed(seed, focus_m=None):
    """A scene, exposed so that nothing is clipped: sharp, through the lens, depth, focus."""
    scene = outdoor_scene(seed)
    focus_m = focus_m or scene.focus_m
    layers = scene.layers(ROWS, COLUMNS, margin=0.14)
    light = composite(layers, ROWS, COLUMNS, np.zeros(2), 0.0)
    seen = lens_view(layers, ROWS, COLUMNS, focus_m, scene.camera)
    white = np.percentile(light, 99.5)
    sharp, lens = (linear_to_srgb(np.clip(x / white, 0, 1)) for x in (light, seen))
    return sharp, lens, pinhole_depth(layers, ROWS, COLUMNS), focus_m


# %% tags=["hide-input"] mystnb={"image": {"alt": "Two white flowers before a hedge, eight times. First row, focus on the flowers: the sharp input; drawn by gather the flowers have a bright halo; drawn by layers and by a lens they stand clean before a soft hedge. Second row, focus on the hedge: drawn by gather the blurred flowers keep a hard outline; drawn by layers and by a lens their rims fade softly into the hedge."}, "code_prompt_show": "Show how the pictures are made", "code_prompt_hide": "Hide the code"}
ZOOM = np.s_[18:122, 58:198]
panels = []
for metres in (None, 1.8):
    sharp, lens, depth, focus_m = photographed(7058, metres)
    scale = blur_scale(focus_m, Camera()) * ROWS  # the radius, px for each 1/m off the focus
    radius = np.abs(1 / depth - 1 / focus_m) * scale
    by_layers = render_layered(sharp, 1 / depth, 1 / focus_m, scale)
    panels += [x[ZOOM] for x in (sharp, gather_blur(sharp, radius), by_layers, lens)]
grid(panels, 2 * ["sharp", "gather", "layers", "a lens"], columns=4)

# %% [markdown]
# *Figure 2.1. Two programs draw from one sharp picture and its true depth; a lens draws from the scene itself. Above, the flowers are in focus, and **gather** gives them a halo. Below, the hedge is in focus, and gather
# keeps a hard outline around soft flowers. **Layers** come close to the lens in both. This chapter builds them, and then gives them wrong depth.*
#
# **You will be able to**
#
# - draw blur from depth in three ways (gather, scatter, layers), and foresee each one's fault on a row of nine pixels;
# - build the layered renderer step by step, and compare yours with the package's;
# - say which part of a blurred picture has to be invented, and what a bad invention costs;
# - tell scale, shift, smear and holes apart by what they do to a picture;
# - convert an error of depth into an error of blur, and say where which error is dear.
#
# **Before this**: [chapter 1](01_bokeh_and_the_thin_lens.ipynb) (circle of confusion, disparity, light and sRGB). Some NumPy. No machine learning yet; one trained net is used as a black box.
#
# **Time and memory**: 35 minutes to read, about 80 for the exercises, about 25 s to run on one laptop-class core, about 1.3 GB of memory. No download, no GPU.

# %% [markdown]
# ## What the paper says
#
# Section II-A sorts classical rendering into two families, ray tracing and "depth map construction", and says of the second:
#
# > "However, this method has not shown satisfactory results, primarily due to the challenge of accurately estimating depth information. [...] If the
# > depth information is not accurate enough, the effectiveness of the bokeh rendering effect will be reduced." (Liu et al. 2023)
#
# Two things are mixed in this sentence. A renderer may be bad although its depth is right, as gather is in Figure 2.1. Or its depth may be wrong, which no renderer can mend.
# So we take them one at a time: first the renderer with true depth, and then the same renderer with depth that we spoil on purpose.
#
# ## Nine pixels
#
# The smallest scene that has the whole problem in it is a row of nine pixels. A near bright bar, three pixels wide, stands before a dark wall. The bar sends 9 units of light, the wall 3:
#
# $$3\quad 3\quad 3\quad \mathbf{9}\quad \mathbf{9}\quad \mathbf{9}\quad 3\quad 3\quad 3$$
#
# A disc of radius 1 covers three pixels of a row, so blurring means thirds. What should a lens see? If it is focused on the bar, then the wall is blurred; but the wall is equally bright everywhere, so its blur shows nothing and the row stays
# as it is. If it is focused on the wall, the bar spreads by one pixel to each side. The rim of the bar is then partly transparent, as in chapter 1: from one third of the aperture we see bar where there was wall.
#
# We let three points of the aperture look, left, middle and right, and average what they see. That is the lens renderer of chapter 1 in one dimension.

# %%
PAD = 2  # pixels beyond each end of the nine that we look at
row = np.array([3, 3, 3, 3, 3, 9, 9, 9, 3, 3, 3, 3, 3], float)
bar = row == 9


def lens_row(bar_radius):
    """Three points of the aperture: each sees a shifted bar before the wall."""
    views = []
    for step in (-1, 0, 1):
        shifted = np.roll(bar, step * bar_radius)
        views.append(np.where(shifted, 9.0, 3.0))
    return np.mean(views, axis=0)


def tell(name, values):
    print(f"{name:24}", *(f"{value:3.0f}" for value in values[PAD:-PAD]))


tell("focus on the bar", lens_row(0))
tell("focus on the wall", lens_row(1))

# %% [markdown]
# ### Gather
#
# Now the same from the row and its depth alone. The first idea that everybody has: *each pixel averages what lies in its own disc*. This is **gathering**, because a pixel collects
# from its neighbours.


# %%
def gather_row(light, radius):
    """Each pixel is the mean over its own disc."""
    seen = []
    for x, r in enumerate(radius):
        disc = np.arange(x - r, x + r + 1).clip(0, len(light) - 1)
        seen.append(light[disc].mean())
    return np.array(seen)


on_bar = np.where(bar, 0, 1)  # radii of the discs: the wall is blurred
on_wall = np.where(bar, 1, 0)  # the bar is blurred
tell("focus on the bar", gather_row(row, on_bar))
tell("focus on the wall", gather_row(row, on_wall))

# %% [markdown]
# Compare the first line with the lens. The pixel beside the bar has (3 + 3 + 9) / 3 = 5 where 3 is right. The sharp bar has leaked into the wall: its light was collected by a neighbour that had no right to it, since the bar's own disc is a single pixel. The name for this is
# **bleeding**, and it is the halo of Figure 2.1. In the second line the opposite goes wrong. Wall pixels have a radius of 0 and collect nothing, so the bar's blur stops dead at its outline, and 3 jumps to 7.
#
# ### Scatter
#
# The mistake seems to be that the receiver decides. So let the sender decide: *each pixel spreads its light evenly over its own disc*. This is **scattering** or **splatting**, and it is what light does.


# %%
def scatter_row(light, radius):
    """Each pixel spreads its light evenly over its own disc."""
    seen = np.zeros(len(light))
    for x, (value, r) in enumerate(zip(light, radius, strict=True)):
        seen[max(x - r, 0) : x + r + 1] += value / (2 * r + 1)
    return seen


tell("focus on the bar", scatter_row(row, on_bar))
tell("focus on the wall", scatter_row(row, on_wall))
assert scatter_row(row, on_bar)[PAD:-PAD].sum() == row[PAD:-PAD].sum() == 45

# %% [markdown]
# No light is lost: each row still adds up to 45. And still it is wrong. Beside the bar stands a 2, because that pixel lost a third of its light and the bar, which is sharp, sent nothing back: scatter **darkens** the wall along the outline. The missing unit landed *on* the bar and made its rim 10,
# although no light from behind can pass through a bar. With the focus on the wall it is the same in reverse: 6 outside, where 5 is right, because the wall there is not covered by what is before it; and 6 inside, where 7 is right, because the wall behind the bar is missing.
#
# Games do what they can afford in a sixtieth of a second. Abadie's talk in the course that the paper cites ([Abadie et al. 2018](bibliography.md)) is on depth of field in a game engine: most pixels gather, and only the few brightest scatter, since only they make a disc that one sees.
# One of the first programs of this kind ([Potmesil and Chakravarty 1981](bibliography.md)) scattered.
#
# ### Layers
#
# Both renderers fail at one place, the outline, and for one reason: they have a single row, in which bar and wall lie side by side. In the world they lie *behind one another*. So we give each its own row. A **layer** holds light and, beside it, how much of each pixel it covers (its **coverage**, or alpha).
# Light is stored multiplied by coverage, which is called **premultiplied**, so that both can be blurred alike.


# %%
def layers_row(light, near, near_radius, far_radius):
    """Each layer through its own disc, then the near one over the far one."""
    places = np.arange(len(light))
    wall = np.interp(places, places[~near], light[~near])  # continued behind
    cover = near.astype(float)
    back = gather_row(wall, np.full(len(light), far_radius))
    front = gather_row(light * cover, np.full(len(light), near_radius))
    share = gather_row(cover, np.full(len(light), near_radius))
    return front + (1 - share) * back


for name, bar_radius, wall_radius in (("bar", 0, 1), ("wall", 1, 0)):
    seen = layers_row(row, bar, bar_radius, wall_radius)
    tell(f"focus on the {name}", seen)
    np.testing.assert_allclose(seen, lens_row(bar_radius))

# %% [markdown]
# Both rows are the lens's, to the last digit. Three things were needed, and a good renderer in two dimensions needs no more:
#
# 1. **cut** the picture into layers by depth;
# 2. **continue** each layer behind whatever hides it, because a blurred rim lets it shine through;
# 3. **blur** each layer by its own disc, and **lay** it **over** those behind it, from far to near.
#
# In step 2 the program invents something. Here the invention was easy, since the wall is plain.

# %% tags=["claim", "hide-cell"]
inside = slice(PAD, -PAD)
assert gather_row(row, on_bar)[inside].tolist() == [3, 3, 5, 9, 9, 9, 5, 3, 3]
assert gather_row(row, on_wall)[inside].tolist() == [3, 3, 3, 7, 9, 7, 3, 3, 3]
assert scatter_row(row, on_bar)[inside].tolist() == [3, 3, 2, 10, 9, 10, 2, 3, 3]
assert scatter_row(row, on_wall)[inside].tolist() == [3, 3, 6, 6, 9, 6, 6, 3, 3]
assert lens_row(1)[inside].tolist() == [3, 3, 5, 7, 9, 7, 5, 3, 3]

# %% [markdown]
# ## The same in two dimensions
#
# Shapes come first. The picture is $(H, W, 3)$, undone from sRGB to light before anything is averaged (chapter 1 says [why](01_bokeh_and_the_thin_lens.ipynb)), and the depth is $(H, W)$. What a renderer needs of depth is the radius of each pixel's disc, with a sign: plus before the focus, minus behind it. By chapter 1 it is a
# difference of disparities times a constant,
#
# $$r = R\left(\frac1z - \frac1{z_f}\right),$$
#
# again $(H, W)$. All radii in this chapter are in pixels of a picture with 160 rows. EBB! has 1,024, so multiply by 6.4 for its pixels.


# %%
def signed_radius(disparity, focus, scale):
    """Radius of each pixel's disc (H, W) in px, positive before the focus."""
    signed = (disparity - focus) * scale
    size = np.abs(signed)  # a disc within a pixel counts as in focus
    small = signed * np.clip(2 * size - 1, 0, 1)
    return np.where(size < 1, small, signed).astype(np.float32)


def disc_steps(radius):
    """Each step (dy, dx) of the largest disc, and its part of every disc."""
    reach = int(np.ceil(radius.max()))
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            yield dy, dx, np.clip(radius + 0.5 - np.hypot(dy, dx), 0, 1)


def gather(light, radius):
    """Each pixel averages its own disc. light (H, W, 3), radius (H, W)."""
    height, width = radius.shape
    reach = int(np.ceil(radius.max()))
    margin = ((reach, reach), (reach, reach), (0, 0))
    padded = np.pad(light, margin, mode="edge")
    total, weight = np.zeros_like(light), np.zeros((height, width, 1))
    for dy, dx, inside in disc_steps(radius):
        y, x = reach + dy, reach + dx
        total += inside[..., None] * padded[y : y + height, x : x + width]
        weight += inside[..., None]
    return total / weight


# %%
def scatter(light, radius):
    """Each pixel spreads its light over its own disc. light (H, W, 3)."""
    height, width = radius.shape
    reach = int(np.ceil(radius.max()))
    margin = ((reach, reach), (reach, reach))
    radius = np.pad(radius, margin, mode="edge")
    light = np.pad(light, (*margin, (0, 0)), mode="edge")
    area = sum(inside for _, _, inside in disc_steps(radius))
    share = light / area[..., None]  # what each pixel of the disc gets
    total = np.zeros((height, width, 3))
    for dy, dx, inside in disc_steps(radius):
        sent = inside[..., None] * share
        y, x = reach - dy, reach - dx
        total += sent[y : y + height, x : x + width]
    return total


sharp, lens, depth, focus_m = photographed(7058)
scale = blur_scale(focus_m, Camera()) * ROWS
signed = signed_radius(1 / depth, 1 / focus_m, scale)
light = srgb_to_linear(sharp)
mine = linear_to_srgb(gather(light, np.abs(signed)))
np.testing.assert_allclose(mine, gather_blur(sharp, np.abs(signed)), atol=1e-4)
print(f"discs of up to {np.abs(signed).max():.1f} px; gather is the package's")

# %% [markdown]
# ### Step 1: cut
#
# A layer is a radius, its *node*; the nodes lie between the largest disc behind the focus and the largest before it. A pixel seldom lies on a node. If it went to the nearest layer with all its weight, a lawn that runs into the distance would show seams where one layer ends. So coverage rises from the layer behind to this one and stays
# at 1 up to the next, where the next layer takes over.


# %%
def cut(signed, before, node, after):
    """How much of each pixel a layer covers (H, W), and where it is hidden."""
    cover = np.ones_like(signed)
    if np.isfinite(before):
        cover = np.clip((signed - before) / (node - before), 0, 1)
    hidden = signed >= after  # something nearer is in the way
    return np.where(hidden, 0, cover), hidden


# %% [markdown]
# ### Step 2: continue
#
# What is hidden takes the average of what is known around it, and from as near as possible. **Push and pull** does that without a search: halve the picture until a coarse pixel knows something (push), then go back up and
# keep whatever the finer level knows (pull).


# %%
def continued(values, known):
    """values (H, W, C) filled where known (H, W) in [0, 1] is 0."""
    mean = values / np.maximum(known, 1e-6)[..., None]
    height, width = known.shape
    if max(height, width) == 1:
        return mean
    half = (width + 1) // 2, (height + 1) // 2  # as OpenCV wants it
    small = cv2.resize(values, half, interpolation=cv2.INTER_AREA)
    small = small.reshape(*half[::-1], -1)
    small_known = cv2.resize(known, half, interpolation=cv2.INTER_AREA)
    small_known = small_known.reshape(half[::-1])
    coarse = cv2.resize(continued(small, small_known), (width, height))
    share = np.clip(16 * known, 0, 1)[..., None]  # a sixteenth is enough
    return share * mean + (1 - share) * coarse.reshape(values.shape)


# %% [markdown]
# ### Step 3: blur and lay over
#
# Light and coverage go through one disc together. Then the layer covers what is behind it to the degree of its blurred coverage.


# %%
def layered(light, signed, nodes, fill=True):
    """Far to near: cut, continue, blur, lay over. light (H, W, 3)."""
    total = np.zeros((*signed.shape, 4), np.float32)  # light and coverage
    ends = [-np.inf, *nodes], nodes, [*nodes[1:], np.inf]
    for before, node, after in zip(*ends, strict=False):
        cover, hidden = cut(signed, before, node, after)
        shown = np.dstack([light, np.ones_like(signed)]) * cover[..., None]
        if fill and hidden.any():
            guess = continued(shown, (~hidden).astype(np.float32))
            shown = np.where(hidden[..., None], guess, shown)
        shown = blur_layer(shown, abs(float(node)))
        total = shown + (1 - shown[..., 3:]) * total
    return total[..., :3] / np.maximum(total[..., 3:], 1e-6)


nodes = layer_radii(signed, light.transpose(2, 0, 1), 16)
mine = linear_to_srgb(layered(light, signed, nodes))
theirs = render_layered(sharp, 1 / depth, 1 / focus_m, scale)
apart = np.abs(mine - theirs)
assert apart.mean() < 0.001 and np.percentile(apart, 99) < 0.02
print(f"{len(nodes)} layers; off by {255 * apart.mean():.2f} of 255 levels")

# %% [markdown]
# Less than a tenth of a grey level lies between these forty lines and the package's renderer, which takes its layers from one function and is otherwise written for photographs of twelve megapixels. That is the renderer of `render --focus`, of the page [Your photograph](own_photograph.md), and of the "classical" rows of chapters 13 and 15.
# Here are its three steps on the layer that lies farthest back.

# %% tags=["claim", "hide-cell"]
assert 255 * apart.mean() < 0.1

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four steps of the farthest layer. Cut: the hedge with grey holes where the flowers were. Continued: the holes are filled with smooth green. Blurred. With all nearer layers laid over it: the finished picture with sharp flowers."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"}
far = int(np.argmax([(np.abs(signed - node) < 0.3).sum() for node in nodes]))
_, hidden = cut(signed, -np.inf, nodes[far], nodes[far + 1])
known = np.dstack([light, np.ones_like(signed)]) * ~hidden[..., None]
whole = continued(known, (~hidden).astype(np.float32))
whole = np.where(hidden[..., None], whole, known)[..., :3]
steps = [
    np.where(hidden[..., None], 0.6, sharp),
    linear_to_srgb(whole),
    linear_to_srgb(blur_layer(whole, abs(float(nodes[far])))),
    mine,
]
grid([x[ZOOM] for x in steps], ["1 cut", "2 continued", "3 blurred", "all laid over"])

# %% [markdown]
# *Figure 2.2. One layer's way through the renderer. Grey is what the photograph does not show; its continuation is a smooth guess, and only a rim of it, as wide as the largest disc, is ever seen.*
#
# ## Bleeding, measured
#
# Figure 2.1 has shown the faults; now we measure them. Around the flowers we draw a band as wide as the discs, outside and inside of the outline, and ask how many grey levels (of 255) each picture is off what the lens saw there. The last row is the layered renderer without step 2.
#
# Guess before you unfold: with the focus on the *flowers*, how much does step 2 matter?
#
# <details><summary>Answer</summary>Next to nothing. The flowers are sharp and opaque, so nothing behind them shines through. The continuation matters where the <em>foreground</em> is blurred.</details>


# %%
def bands(depth, reach):
    """Two masks (H, W): the band outside of the outline, and inside."""
    flowers = (depth < 1.2).astype(np.uint8)
    brush = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    outside = (cv2.dilate(flowers, brush) > 0) & (flowers == 0)
    inside = (cv2.erode(flowers, brush) == 0) & (flowers > 0)
    return outside, inside


off, pictures = {}, {}
print(f"{'grey levels off the lens':28}{'outside':>9}{'inside':>9}")
for place, metres in (("flowers", None), ("hedge", 1.8)):
    sharp, lens, depth, focus_m = photographed(7058, metres)
    scale = blur_scale(focus_m, Camera()) * ROWS
    signed = signed_radius(1 / depth, 1 / focus_m, scale)
    light = srgb_to_linear(sharp)
    nodes = layer_radii(signed, light.transpose(2, 0, 1), 16)
    drawn = {
        "gather": gather(light, np.abs(signed)),
        "scatter": scatter(light, np.abs(signed)),
        "layers": layered(light, signed, nodes),
        "layers, not continued": layered(light, signed, nodes, fill=False),
    }
    print("focus on the", place)
    for name, seen in drawn.items():
        pictures[place, name] = linear_to_srgb(seen.clip(0, 1))
        wrong = 255 * np.abs(pictures[place, name] - lens).mean(2)
        outside, inside = (wrong[at].mean() for at in bands(depth, 4))
        off[place, name] = outside, inside
        print(f"  {name:26}{outside:9.1f}{inside:9.1f}")

# %% tags=["claim", "hide-cell"]
f = {name: off["flowers", name] for name in drawn}
h = {name: off["hedge", name] for name in drawn}
assert f["gather"][0] > 1.6 * f["layers"][0] and f["scatter"][0] > 1.3 * f["layers"][0]
assert f["scatter"][1] > 4 * f["layers"][1]
assert h["gather"][0] > 3 * h["layers"][0] and h["scatter"][1] > 2 * h["layers"][1]
assert abs(f["layers, not continued"][0] - f["layers"][0]) < 0.3
assert h["layers, not continued"][1] > 2.3 * h["layers"][1]
assert abs(h["gather"][1] - h["layers"][1]) < 0.5
for name in ("gather", "scatter"):
    assert sum(f[name]) > 1.3 * sum(f["layers"]) and sum(h[name]) > 1.3 * sum(h["layers"])
small, seen, true, at_m = photographed(7058)
grown = cv2.erode(true, np.ones((3, 3)))  # the flowers, a pixel larger
ring = bands(true, 4)[0] & ~bands(true, 1)[0]
per_m = blur_scale(at_m, Camera()) * ROWS
too_bright = [
    255 * (render_layered(small, 1 / z, 1 / at_m, per_m) - seen)[ring].mean() for z in (true, grown)
]
assert too_bright[0] > 2.5 and abs(too_bright[1]) < 1, too_bright

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four pictures of the white flowers. By scatter with the focus on the flowers they have a jagged, dark rim. By scatter with the focus on the hedge they are torn by bright and dark lines. By layers that are not continued they are soft outside and hard inside. By a lens they are soft."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"}
grid(
    [
        pictures["flowers", "scatter"][ZOOM],
        pictures["hedge", "scatter"][ZOOM],
        pictures["hedge", "layers, not continued"][ZOOM],
        lens[ZOOM],
    ],
    ["scatter, flowers", "scatter, hedge", "not continued, hedge", "a lens, hedge"],
)

# %% [markdown]
# *Figure 2.3. What the numbers mean. Scatter leaves a dark rim around sharp flowers and tears soft ones; layers without step 2 are soft outside of the outline and hard inside of it.*
#
# **What came out.** With the focus on the flowers, gather is off by nearly twice as much as layers outside of the outline, which is the halo. Scatter is off there because it darkens, and inside, too, because light from the hedge lands on the petals. With the focus on the hedge, gather
# is more than three times as far off as layers outside, since it draws no soft rim at all, and inside the two are alike. There the continuation earns its place: without it the error inside of the outline more than doubles.
#
# Layers are not perfect. Some halo is left, because a pixel at the rim of a petal is a mixture of petal and hedge already in the sharp picture, and where its depth says hedge, its petal part is blurred along. (Make the flowers one pixel larger in the depth map, and this halo is gone.) Exercise 6 finds another fault.
#
# Nets have entered exactly here. [DeepLens](bibliography.md) (Wang et al. 2018) learns all three steps, with one net for depth, one for the blur, and one that brings the result to full size. [BokehMe](bibliography.md) (Peng et al. 2022) keeps a classical renderer, which scatters, and lets a net redraw what it gets wrong:
# the neighbourhood of the outlines. [Luo et al. 2020](bibliography.md), whom the paper cites for rendering from depth, estimate how strongly each place is *blurred* rather than how far it is. Keep that one in mind until the end of the chapter.

# %% [markdown]
# ## Now the depth is wrong
#
# From here on the renderer stays as it is, and we spoil its depth. A depth map can be wrong in many ways, and four of them have names because each has its own cause:
#
# | error | what it is | where it comes from |
# |---|---|---|
# | **scale** | everything 1.25 times too far | a picture does not say whether it shows a doll's house |
# | **shift** | everything 25 cm too far | an offset of the sensor, or of a net's last layer |
# | **smear** | outlines are ramps | a net that works on a small picture and is enlarged |
# | **holes** | no value at all, read as "very far" | glass, black cloth, and what one of the sensor's two eyes does not see |
#
# One more thing has to be settled, namely where the focus comes from. A photographer may set it in **metres**, as on the ring of a lens. Or she may **tap** on the thing that should be sharp, and then the program reads its distance off the same wrong map.
#
# Guess before you unfold: the map is 1.25 times too far everywhere, and you *tap* on the sign in the scene below. What is wrong in the picture?
#
# <details><summary>Answer</summary>The sign is sharp, because it lies where the map says the focus is. All discs are too small, as through a smaller aperture: a difference of disparities shrinks with the scale. With the focus set in metres, in contrast, the sign itself is blurred.</details>

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show how depth is spoiled", "code_prompt_hide": "Hide the code"}
sharp, lens, depth, focus_m = photographed(7044)
sign = np.abs(1 / depth - 1 / focus_m) < 0.02
noise = np.random.default_rng(0).standard_normal(depth.shape).astype(np.float32)
noise = cv2.GaussianBlur(noise, (0, 0), 4)
FARTHEST = 60.0  # metres, the sky
KINDS = {
    "scale": ((1.1, 1.25, 1.5, 2), "{:g} times too far", lambda s: depth * s),
    "shift": ((0.1, 0.25, 0.5, 1), "{:g} m too far", lambda d: depth + d),
    "smear": (
        (1, 2, 4, 8),
        "outlines smeared by {:g} px",
        lambda s: 1 / cv2.GaussianBlur(1 / depth, (0, 0), s),
    ),
    "holes": (
        (2, 5, 10, 20),
        "{:g} % are holes",
        lambda p: np.where(noise > np.percentile(noise, 100 - p), FARTHEST, depth),
    ),
}
FOCUS = ("set in metres", "tapped on the sign")


def drawn_by(told, tapped):
    """The picture (H, W, 3) that a depth map makes, and its radii (H, W) in px."""
    focus = float(np.median(1 / told[sign])) if tapped else 1 / focus_m
    scale = blur_scale(1 / focus, Camera()) * ROWS
    return render_layered(sharp, 1 / told, focus, scale), (1 / told - focus) * scale


by_truth, true_radius = drawn_by(depth, tapped=False)


def judged(told, tapped):
    """The picture, how wrong it is (H, W) in grey levels, radii off in px, PSNR in dB."""
    picture, radius = drawn_by(told, tapped)
    wrong = 255 * np.abs(picture - by_truth).mean(2)
    decibels = -10 * np.log10(((picture - by_truth) ** 2).mean())
    return picture, wrong, np.abs(radius - true_radius), decibels


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of this element", "code_prompt_hide": "Hide the code of this element"}
def coloured(values, low, high, name="viridis"):
    """A map (H, W) as a picture (H, W, 3)."""
    return plt.get_cmap(name)((values - low) / (high - low))[..., :3]


def state(told, size):
    """One wrong depth, drawn with both kinds of focus."""
    drawn = []
    for tapped in (False, True):
        picture, wrong, radii, decibels = judged(told, tapped)
        says = (
            f"Depth is off by {np.median(np.abs(told - depth)):.2f} m in the median, "
            f"radii by {radii.mean():.2f} px in the mean; "
            f"{decibels:.1f} dB against the picture by true depth."
        )
        drawn.append(Drawn(picture, coloured(wrong, 0, 40, "magma"), says))
    return WrongDepth(size, coloured(1 / told, 0, 1.6), drawn)


wrong_depth_viewer(
    by_truth,
    {
        kind: [state(spoil(size), says.format(size)) for size in sizes]
        for kind, (sizes, says, spoil) in KINDS.items()
    },
    FOCUS,
    description="A sign with a picture of a rocket, a tree trunk, a plant and a building",
    start=2,
    quality=55,
)

# %% [markdown]
# *Figure 2.4, to be operated. Choose an error, its size and the focus. By keyboard: Tab, then the arrow keys. The picture at the lower left is drawn by the same renderer from true depth, so what you see in the error map (yellow: 40 levels of 255 or more) is the depth's fault alone.*
#
# Try four things. Take *scale* at its largest and change between the two kinds of focus: where is the error now? Do the same with *shift*. Then go to *smear*, and watch the outline of the sign. At last go to *holes*: which hole is seen, and which is not?
#
# ## Which error costs how much, and where
#
# The scene has four distances: a plant at 0.64 m, the sign in focus at 0.85 m, a trunk at 1.5 m, and a building with sky from 7 m on. For one middle size of each error, here is how far depth is off at each of them in metres, and what that makes in pixels of radius. A fifth error is added that the viewer does not have, a shift of *disparity*, because
# it is what many depth nets leave open ([Ranftl et al. 2022](bibliography.md)).

# %%
PLACES = {
    "plant, 0.64 m": depth < 0.8,
    "sign, 0.85 m": sign,
    "trunk, 1.5 m": (depth > 0.9) & (depth < 3),
    "building, 7 m": depth > 3,
}
SPOILED = {
    "scale, 1.25": depth * 1.25,
    "shift, 0.25 m": depth + 0.25,
    "shift, 0.25 1/m": 1 / (1 / depth + 0.25),
    "smear, 4 px": KINDS["smear"][2](4),
    "holes, 5 %": KINDS["holes"][2](5),
}
metres, pixels, decibels = {}, {}, {}
for name, told in SPOILED.items():
    metres[name] = [np.abs(told - depth)[at].mean() for at in PLACES.values()]
    for focus, tapped in zip(FOCUS, (False, True), strict=True):
        _, _, radii, decibels[name, focus] = judged(told, tapped)
        pixels[name, focus] = [radii[at].mean() for at in PLACES.values()]

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three tables as coloured squares: five errors of depth in rows, four distances in columns. In metres the building has the largest errors. In pixels of radius with the focus set in metres, scale and shift cost most at the plant and least at the building. With the focus tapped the sign costs nothing, a shift of disparity costs nothing anywhere, and scale costs most at the building."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"}
tables = {
    "depth off, m": (metres, 6.0),
    "radius off, px: focus set in metres": (
        {name: pixels[name, FOCUS[0]] for name in SPOILED},
        3.5,
    ),
    "radius off, px: focus tapped": ({name: pixels[name, FOCUS[1]] for name in SPOILED}, 3.5),
}
figure, axes = plt.subplots(3, 1, figsize=(7.5, 5.8))
for axis, (title, (table, top)) in zip(axes, tables.items(), strict=True):
    values = np.array(list(table.values()))
    axis.imshow(values, cmap="Blues", vmin=0, vmax=1.4 * top, aspect="auto")
    axis.set_xticks(range(len(PLACES)), list(PLACES))
    axis.set_yticks(range(len(SPOILED)), list(SPOILED))
    axis.set_title(title)
    axis.grid(False)
    for (y, x), value in np.ndenumerate(values):
        dark = value > 0.8 * top
        axis.text(x, y, f"{value:.2f}", ha="center", va="center", color="w" if dark else "k")
plt.show()

# %% [markdown]
# *Figure 2.5. One size of each error: in metres, and in pixels of radius with both kinds of focus. The dear squares of the first table are not those of the second.*

# %%
print(f"{'dB against true depth':24}{'focus set':>12}{'tapped':>9}")
for name in SPOILED:
    by_set, by_tap = (decibels[name, focus] for focus in FOCUS)
    print(f"{name:24}{by_set:12.1f}{by_tap:9.1f}")

# %% tags=["claim", "hide-cell"]
for name in ("scale, 1.25", "shift, 0.25 m"):
    near_to_far = pixels[name, FOCUS[0]]
    assert near_to_far == sorted(near_to_far, reverse=True) and near_to_far[0] > 10 * near_to_far[3]
    tapped = pixels[name, FOCUS[1]]
    assert tapped[1] < 0.05 and max(tapped) == tapped[3]
assert metres["scale, 1.25"][3] > 20 * metres["scale, 1.25"][0]
even = pixels["shift, 0.25 1/m", FOCUS[0]]
assert max(even) - min(even) < 0.02 and max(pixels["shift, 0.25 1/m", FOCUS[1]]) < 0.15
assert 1.9 < even[0] < 2.1 and 3.3 < pixels["shift, 0.25 m", FOCUS[0]][0] < 3.7
assert 80 < pixels["shift, 0.25 m", FOCUS[0]][0] / pixels["shift, 0.25 m", FOCUS[0]][3] < 200
radii = judged(SPOILED["smear, 4 px"], False)[2]
edge = cv2.dilate(1 / depth, np.ones((17, 17))) - cv2.erode(1 / depth, np.ones((17, 17))) > 0.1
assert radii[edge].sum() > 0.95 * radii.sum() and edge.mean() < 0.5
assert decibels["shift, 0.25 1/m", FOCUS[1]] > decibels["shift, 0.25 1/m", FOCUS[0]] + 25
hole = SPOILED["holes, 5 %"] != depth
fog = judged(SPOILED["holes, 5 %"], False)[1]
assert fog[hole & sign].mean() > 5 * fog[hole & PLACES["building, 7 m"]].mean()
by_focus = [[decibels[name, focus] for name in SPOILED] for focus in FOCUS]
assert max(by_focus[0][:4]) - min(by_focus[0][:4]) < 1.5

# %% [markdown]
# **What came out**, error by error.
#
# - **Scale, focus set.** The map is off by 5 m at the building and by 16 cm at the plant, and in pixels it is the other way round: the plant's discs are off by ten times as much as the building's and more. It is the near things that pay.
# - **Shift in metres, focus set.** The same 25 cm everywhere cost 3.5 px at the plant and almost nothing at the building. This is the cleanest case: *one* error in metres, and near pixels pay for it a hundred times as much.
# - **Both, tapped.** The sign is spared, since the focus moves with the map. Now the building pays most, because the whole picture is drawn as if through another aperture.
# - **Shift of disparity.** With the focus set it costs 2 px everywhere alike, and the picture suffers as much as from the others. Tapped, it costs nothing worth speaking of: the shift cancels in the difference $1/z - 1/z_f$.
# - **Smear.** Nearly all of its error lies within eight pixels of an outline, that is, in less than half of this picture. It undoes what the layers were built for, because a pixel on the ramp belongs to no thing at all.
# - **Holes.** They are small in number and gross in size. A hole on the sign turns sharp paint into fog. A hole in the building does next to nothing, since the building is far anyway.
#
# ## The unit of blur
#
# Why do near pixels pay? Take the error of the radius when $z$ is read as $z + e$:
#
# $$|\Delta r| = R\left|\frac1{z+e} - \frac1z\right| = \frac{R\,|e|}{z\,(z+e)} \approx \frac{R\,|e|}{z^2}.$$
#
# The focus has dropped out, and what is left falls with the *square* of the distance: twice as far, a quarter of the blur. In disparity there is nothing to convert, since $|\Delta r| = R\,|\Delta(1/z)|$ wherever the pixel is. Disparity is the blur's own unit, up to the constant $R$.

# %% mystnb={"image": {"alt": "Two plots with logarithmic axes over the true depth from half a metre to 16 metres. Left: the radius error of four errors in metres, four lines that fall with slope minus two at large depth. Right: four errors in one over metres, four level lines."}}
z = np.geomspace(0.5, 16, 60)
scale = blur_scale(1.5, Camera()) * ROWS
figure, axes = plt.subplots(1, 2, figsize=(7.5, 3), sharey=True)
for error, colour in zip((0.1, 0.25, 0.5, 1), COLOURS, strict=False):
    by_metres = scale * np.abs(1 / (z + error) - 1 / z)
    by_disparity = scale * error / 4 * np.ones_like(z)
    axes[0].loglog(z, by_metres, color=colour, label=f"{error:g} m")
    axes[1].loglog(z, by_disparity, color=colour, label=f"{error / 4:g} 1/m")
for axis, title in zip(axes, ("in metres", "in 1/m"), strict=True):
    axis.set(xlabel="true depth, m", title=f"the same error {title}")
    axis.set_ylim(0.003, 12)
    axis.set_xticks([0.5, 1, 2, 4, 8, 16], ["0.5", "1", "2", "4", "8", "16"])
    axis.minorticks_off()
    axis.legend(loc="lower left")
axes[0].set_ylabel("radius off, px of 160 rows")
axes[0].set_yticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
plt.show()

# %% [markdown]
# *Figure 2.6. What an error costs, by the distance of the pixel that has it, for a focus at 1.5 m. An error in metres is dear near and cheap far; an error in 1/m costs the same everywhere.*
#
# So much for errors that we made up. Does it matter for the errors that a real net makes? We ask the book's own depth net, which [chapter 6](06_depth_net.ipynb) builds and which is a black box here, for the depth of forty test scenes that it has never seen. Their true depth is known.
#
# Guess before you unfold: pixels nearer than 1.5 m are about a fifth of all. Which share of the summed error *in metres* do they hold, and which of the summed error *of radius*?
#
# <details><summary>Answer</summary>A twentieth of the metres, and nearly half of the blur.</details>

# %%
pairs = EBB(data_root() / "mini-ebb", "test", NET_SIZE)
told, truth, scales = [], [], []
with torch.inference_mode():
    net = load_depth_net()
    for item in range(40):
        scene = outdoor_scene(EBB_SEED + pairs.pairs[item][0])
        layers = scene.layers(*NET_SIZE, margin=0.14)
        truth.append(pinhole_depth(layers, *NET_SIZE))
        told.append(net(pairs.load(item)["image"][None])[0, 0].numpy())
        scales.append(blur_scale(scene.focus_m, scene.camera) * ROWS)
told, truth = np.array(told), np.array(truth)  # (40, 64, 96) metres
scales = np.array(scales)[:, None, None]  # px for each 1/m
off_m = np.abs(told - truth)
off_px = scales * np.abs(1 / told - 1 / truth)

ENDS = (0, 1.5, 3, 6, 12, np.inf)
shares = []
print("true depth      pixels   of the metres   of the pixels of radius")
for low, high in zip(ENDS[:-1], ENDS[1:], strict=True):
    at = (truth >= low) & (truth < high)
    share = [at.mean()]
    share += [off_by[at].sum() / off_by.sum() for off_by in (off_m, off_px)]
    shares.append(share)
    print(f"{low:4g} to {high:4g} m {share[0]:9.0%}{share[1]:16.0%}{share[2]:20.0%}")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two clouds of pixels with logarithmic axes, coloured by true depth. Left: error of radius over error of depth in metres, a broad band; near pixels lie at its upper edge, far ones at its lower right. Right: error of radius over error of inverse depth, one narrow straight line."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"}
off_disparity = np.abs(1 / told - 1 / truth)
some = np.random.default_rng(0).permutation(truth.size)[:2000]
figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.6), sharey=True)
for axis, off_by, unit in zip(axes, (off_m, off_disparity), ("m", "1/m"), strict=True):
    cloud = axis.scatter(
        off_by.ravel()[some],
        off_px.ravel()[some],
        c=np.log2(truth.ravel()[some]),
        s=5,
        vmin=-0.3,
        vmax=5,
    )
    axis.set(xscale="log", yscale="log", ylim=(0.004, 20), xlabel=f"depth off, {unit}")
axes[0].set(xlim=(0.004, 80), ylabel="radius off, px of 160 rows")
axes[1].set(xlim=(0.0008, 2))
bar_of_depth = figure.colorbar(cloud, ax=axes, label="true depth, m", fraction=0.03)
bar_of_depth.set_ticks(range(6), labels=["1", "2", "4", "8", "16", "32"])
plt.show()

# %%
in_metres = spearmanr(off_m.ravel(), off_px.ravel()).statistic
in_disparity = spearmanr(off_disparity.ravel(), off_px.ravel()).statistic
print("rank correlation with the error of radius:")
print(f"error in metres {in_metres:.2f}, error in 1/m {in_disparity:.2f}")

# %% tags=["claim", "hide-cell"]
assert 0.15 < shares[0][0] < 0.22 and 0.03 < shares[0][1] < 0.07 and 0.43 < shares[0][2] < 0.5
assert 0.7 < shares[-1][1] < 0.8 and shares[-1][2] < 0.15
assert 0.35 < in_metres < 0.5 and in_disparity > 0.99

# %% [markdown]
# *Figure 2.7, the joint picture: each dot is a pixel of the forty scenes. On the left, one error in metres may cost a hundredth of a pixel or several, and colour (the distance) decides. On the right, no choice is left.*
#
# **What came out.** The nearest fifth of the pixels holds a twentieth of the error in metres and nearly half of the error in blur. Beyond 12 m it is the reverse: three quarters of the metres, a ninth of the blur. Over all pixels the rank correlation between the two errors is 0.4 in metres and 1.0 in 1/m.
#
# Three chapters lean on this picture.
#
# - **Eq. 2**, the paper's label, is $|D_o - D_{gt}|$ in *metres* ([chapter 8](08_depth_error_labels.ipynb)). A net that learns it is paid for the left cloud: it learns the far wall, where metres are many and blur does not change.
# - **The unit question.** The same label in 1/m would be the error of blur itself, up to $R$. Nobody has to change the net for that, only the label.
# - **The remedy.** [Chapter 15](15_learning_from_pairs.ipynb) goes one step further and, like Luo et al., lets a net foretell the radius itself, which contains the focus, too.
#
# It is easy to conclude that far depth does not matter at all. That is too much: with a tapped focus and a wrong scale the far things paid most (Figure 2.5), because an error *at the subject* moves the focus, and that is felt everywhere.

# %% [markdown]
# ## Holes of a real sensor
#
# Our holes were scattered at random. Are real ones? scikit-image has one photograph whose depth was measured with great care, the motorcycle of the Middlebury benchmark ([Scharstein et al. 2014](bibliography.md)).

# %% mystnb={"image": {"alt": "Left, a photograph of a motorcycle in a workshop. Right, its measured depth, with grey holes along outlines, at spokes and cables, and behind the front wheel."}}
photo = motorcycle()
measured = np.where(photo.known, photo.depth, np.nan)
grid([photo.image, measured], ["photograph", "depth"], unit="m", width=6)

# %%
known, window = photo.known, np.ones((9, 9))  # four pixels to each side
disparity = (1 / np.where(known, photo.depth, 1)).astype(np.float32)
nearest = cv2.dilate(np.where(known, disparity, 0), window)
farthest = cv2.erode(np.where(known, disparity, 9), window)
jump = nearest - farthest > 0.03  # 1/m
holes = ~known
print(f"holes: {holes.mean():.1%} of the pixels")
print(f"jumps of depth: {jump.mean():.0%} of the pixels,")
print(f"                {jump[holes].mean():.0%} of the holes")

# %% tags=["claim", "hide-cell"]
assert 0.07 < holes.mean() < 0.08
assert 0.37 < jump[holes].mean() < 0.43 and 0.15 < jump.mean() < 0.18

# %% [markdown]
# **What came out.** They are not at random. Two in five of them lie within four pixels of a jump in depth, and such places are a sixth of the picture; so a hole is more than twice as likely there as its area suggests. Behind an outline one of the two cameras sees what the other does not, and there is nothing to triangulate. Holes gather at outlines, where the layers need the depth most.

# %% [markdown]
# ## Your numbers may differ
#
# Everything here is computed with fixed seeds, except for the depth net's weights, which come with the book. Digits beyond those printed may change with the version of OpenCV or PyTorch. What a new training of the depth net may change are the shares of Figure 2.7, and the claims beside them say by how much. The scenes are generated: sharp outlines, flat things, a lens without faults.
#
# ## Summary
#
# - **Gather** lets the receiver decide and bleeds: 5 where 3 is right. **Scatter** lets the sender decide, keeps all light, and darkens: 2 where 3 is right. **Layers** are right on our row, and in our scene they come nearest to the lens.
# - A layered renderer cuts, continues, blurs, and lays over, from far to near. What it continues is a guess, and it is seen where the foreground is blurred.
# - With the focus set in metres, near things pay for wrong depth. With a tapped focus the subject is spared and the rest pays; a shift of disparity then costs nothing.
# - Smear and holes cost at outlines, which is where layers were needed.
# - The same error in metres costs $1/z^2$: near pixels hold a twentieth of a net's error in metres and half of its error in blur. An error in 1/m is blur's own unit.

# %% [markdown]
# ## Exercises
#
# **1 (graded, one star, 10 minutes).** Write `blur_error(told, true, focus_m, camera, rows)`: by how many pixels the radius of the disc is off, in the mean, when depth `true` (metres, any shape) is told as `told` and the focus is set at `focus_m` metres. The picture has `rows` rows. A place that is told
# before the focus and lies behind it is wrong by *both* radii. Where `told` is NaN there is a hole, which does not count.


# %% tags=["exercise"]
def blur_error(told, true, focus_m, camera, rows):
    """The mean error of the signed radius in pixels, holes left out."""
    raise NotImplementedError  # your code in place of this line


# %% [markdown] tags=["solution"]
# A solution, folded away in the book:


# %% tags=["hide-input", "solution"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
def solution_blur_error(told, true, focus_m, camera, rows):
    """With signs the focus drops out: only the difference of disparities is left."""
    off_by = blur_scale(focus_m, camera) * rows * np.abs(1 / told - 1 / true)
    return float(np.nanmean(off_by))


# %% tags=["graded"]
def check_blur_error(mine):
    """Raise AssertionError, with a hint, unless the function is right."""
    camera = Camera()
    unit = blur_scale(1.0, camera) * 100  # px for each 1/m
    true = np.array([2.0, 4.0, 0.5])

    def got(told, true=true, focus_m=1.0, rows=100):
        value = mine(np.array(told), true, focus_m, camera, rows)
        assert value is not None, "your function returned nothing"
        assert np.ndim(value) == 0, "one number: the mean over the pixels"
        return float(value) / unit

    assert np.isclose(got(true), 0), "depth is right, and so is blur"
    one = got([4.0, 4.0, 0.5])  # 1/4 instead of 1/2
    assert not np.isclose(one, 2 / 3), "metres are not what blurs"
    assert not np.isclose(one, 0.25 / 3 * 2), "a radius, not a diameter"
    assert not np.isclose(one, 0.25 / 300), "pixels: image heights times rows"
    assert np.isclose(one, 0.25 / 3), f"{one:.3f} instead of {0.25 / 3:.3f} times R"
    both = got([4.0, 2.0, 0.5])
    assert not np.isclose(both, 0), "too large and too small must not cancel"
    assert np.isclose(both, 0.5 / 3), "a mean of absolute errors"
    side = got([2 / 3, 4.0, 0.5])  # 1/2 behind the focus, told as 1/2 before it
    assert not np.isclose(side, 0), "before the focus is not behind it: mind the sign"
    assert np.isclose(side, 1 / 3), "on the wrong side both radii count"
    hole = got([np.nan, 2.0, 0.5])
    assert not np.isnan(hole), "a hole does not count"
    assert np.isclose(hole, 0.25 / 2), "divide by the pixels that are not holes"
    assert np.isclose(got([4.0, 4.0, 0.5], rows=300), 0.25), "three times the rows"


try:
    check_blur_error(blur_error)
    print("Your function passes.")
except NotImplementedError:
    check_blur_error(solution_blur_error)
    print("Not written yet. (The book's solution passes.)")

# %% [markdown]
# **2 (graded, two stars, 15 minutes).** Scatter darkens because a pixel that lost light gets none back. A cheap cure is to **normalise**: note beside the light how much *weight* arrives at each pixel, where each sender's disc has a total weight of 1, and divide in the end. Write `normalised_scatter(light, radius)` for a row: numbers of light, whole radii. Discs
# are cut off at the row's ends, and what falls outside is lost. Leave the inputs as they are. What does the cure do to the two rows of this chapter, and what does it not mend?


# %% tags=["exercise"]
def normalised_scatter(light, radius):
    """Scatter a row, and divide by the weight that arrived."""
    raise NotImplementedError  # your code in place of this line


# %% [markdown] tags=["solution"]
# A solution, folded away in the book. With the focus on the bar the pixel beside it is right again: 2 units arrive with a weight of 2/3, so 3. The rim of the bar has 10 with a weight of 4/3, so 7.5: the wall still shines through the bar, since nothing knows that the bar is opaque. For that one needs layers.


# %% tags=["hide-input", "solution"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
def solution_normalised_scatter(light, radius):
    """Light and weight go through the same discs."""
    arrived, weighed = np.zeros(len(light)), np.zeros(len(light))
    for x, (value, r) in enumerate(zip(light, radius, strict=True)):
        reached = slice(max(x - r, 0), x + r + 1)
        arrived[reached] += value / (2 * r + 1)
        weighed[reached] += 1 / (2 * r + 1)
    return arrived / weighed


# %% tags=["graded"]
def check_normalised_scatter(mine):
    """Raise AssertionError, with a hint, unless the function is right."""

    def got(light, radius):
        given = np.array(light, float), np.array(radius)
        kept = [one.copy() for one in given]
        seen = mine(*given)
        assert seen is not None, "your function returned nothing"
        same = all(np.array_equal(a, b) for a, b in zip(given, kept, strict=True))
        assert same, "leave the inputs as they are"
        assert np.shape(seen) == np.shape(light), "one number for each pixel"
        return np.asarray(seen, float)

    sharp = got([1, 5, 2, 8], [0, 0, 0, 0])
    assert np.allclose(sharp, [1, 5, 2, 8]), "a radius of 0 is one pixel, not none"
    flat = got([4] * 7, [2, 0, 1, 3, 0, 1, 2])
    assert np.allclose(flat, 4), "an even row stays even, also at its ends: divide by the weight"
    bar = got([3, 3, 3, 9, 9, 9, 3, 3, 3], [1, 1, 1, 0, 0, 0, 1, 1, 1])
    assert not np.isclose(bar[2], 5), "that gathers: it is the sender's radius that counts"
    assert not np.isclose(bar[3], 6), "each disc weighs 1 in all, so a third for each of three"
    assert np.isclose(bar[2], 3), "beside the bar the wall is 3 again"
    assert np.isclose(bar[3], 7.5), "10 units with a weight of 4/3"
    ends = got([6, 0, 0, 0, 0], [1, 0, 0, 0, 0])
    assert np.isclose(ends[-1], 0), "a disc does not come in again at the other end"
    assert np.allclose(ends[:2], [6, 1.5]), "what falls outside is lost, with its weight"


try:
    check_normalised_scatter(normalised_scatter)
    print("Your function passes.")
except NotImplementedError:
    check_normalised_scatter(solution_normalised_scatter)
    print("Not written yet. (The book's solution passes.)")

# %% [markdown]
# **3 (one star, 5 minutes).** In your head: a *dark* bar (3) before a *bright* wall (9), nine pixels, focus on the bar, discs of radius 1 behind. What do gather, scatter and layers draw?
#
# <details><summary>Answer</summary>Gather: 9 9 7 3 3 3 7 9 9, so now darkness bleeds. Scatter: 9 9 6 6 3 6 6 9 9: the wall is darkened, and the bar's rim is lit. Layers: 9 9 9 3 3 3 9 9 9, as it should be.</details>
#
# **4 (two stars, 10 minutes).** A net's disparity is right up to a scale $a$ and a shift $b$: it tells $a/z + b$. You tap on the subject. Which of the two numbers can be seen in the picture, and which dial of a camera would undo it? What changes when the focus is set in metres?
#
# <details><summary>Answer</summary>Told differences are a (1/z - 1/z_f), so b drops out, and a makes all discs larger or smaller by one factor: the aperture undoes it. (The constant R holds the focus distance, too, through z_f/(z_f - f); for a subject a metre away that is a few per cent.) With the focus set, b adds the same radius to every pixel, with its sign: the subject is blurred, and some other distance is sharp.</details>
#
# **5 (two stars, 15 minutes).** The motorcycle is photographed with EBB!'s lens, focused at 2.3 m, with 500 rows. How many metres too far may a thing at 2.2 m, at 3 m and at 5 m be told, until its disc is half a pixel off in radius? What does that say about a sensor whose error grows with the square of the distance?
#
# <details><summary>Answer</summary>Half a pixel is 0.5/R in disparity; R is 23.8 px for each 1/m here, so 0.021 1/m. That is 11 cm at 2.2 m, 20 cm at 3 m and 59 cm at 5 m. What is allowed grows with the square of the distance, and so does the error of a sensor that triangulates: it measures disparity. Its error is the same everywhere in the blur's own unit.</details>
#
# **6 (three stars, 30 minutes).** A flat thing lies exactly between two layers and ends before a far background; all are blurred. The lens lets half of the background through at its outline. How much does `layered` let through? Compute it by hand from `cut` and from "lay over", then measure it with two flat planes.
#
# <details><summary>Answer</summary>In the layer behind, the thing has full coverage, which is a half at its outline after the blur. In the nearer layer it has a coverage of a half, blurred a quarter. Laid over one another they cover 1 - (1/2)(3/4) = 5/8, so only 3/8 comes through, where the lens has 1/2. Just before a node it is a quarter. The price of having no seams is that blurred things before a blurred background come out a little too wide.</details>

# %% tags=["claim", "hide-cell"]
dark = 12 - row
assert gather_row(dark, on_bar)[inside_row := slice(PAD, -PAD)].tolist() == [
    9,
    9,
    7,
    3,
    3,
    3,
    7,
    9,
    9,
]
assert scatter_row(dark, on_bar)[inside_row].tolist() == [9, 9, 6, 6, 3, 6, 6, 9, 9]
np.testing.assert_allclose(layers_row(dark, bar, 0, 1), dark)
per = blur_scale(2.3, Camera()) * 500
allowed = [1 / (1 / z - 0.5 / per) - z for z in (2.2, 3, 5)]
assert round(per, 1) == 23.8 and [round(100 * a) for a in allowed] == [11, 20, 59]
plane = np.where(np.arange(80) < 40, -6.0, -12.0).astype(np.float32) * np.ones((80, 1), np.float32)
through = layered(
    np.dstack([plane < -9] * 3).astype(np.float32), plane, np.float32([-12, -8, -4, 0])
)
assert abs(through[40, 39:41, 0].mean() - 3 / 8) < 0.02

# %% [markdown]
# ## Next
#
# The renderer is there, and it is as good as its depth. [Chapter 3](03_the_data.ipynb) looks at where depth and bokeh come from: pairs of photographs and rooms with a depth camera. How a net guesses depth from one picture is [chapter 6](06_depth_net.ipynb); where that guess is wrong is [chapter 8](08_depth_error_labels.ipynb); and [chapter 13](13_table1.ipynb)
# puts this chapter's renderer into a table beside nets that learned to draw.
#
# ## References
#
# Full entries are in the [bibliography](bibliography.md).
#
# - Abadie, McAuley, Golubev, Hill and Lagarde 2018. *Advances in Real-Time Rendering in Games.* The paper's reference for classical rendering.
# - Liu, Zhou and Dong 2023. *Bokeh Rendering Based on Adaptive Depth Calibration Network.* The paper; Sections II-A and III-C.
# - Luo, Peng, Xian, Wu and Cao 2020. *Bokeh Rendering from Defocus Estimation.*
# - Peng, Cao, Luo, Lu, Xian and Zhang 2022. *BokehMe: When Neural Rendering Meets Classical Rendering.*
# - Potmesil and Chakravarty 1981. *A Lens and Aperture Camera Model for Synthetic Image Generation.*
# - Ranftl, Lasinger, Hafner, Schindler and Koltun 2022. Depth up to a scale and a shift of its inverse (MiDaS).
# - Scharstein et al. 2014. *High-Resolution Stereo Datasets with Subpixel-Accurate Ground Truth.* The motorcycle.
# - Wang et al. 2018. *DeepLens: Shallow Depth of Field from a Single Image.*
