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
# # 1. Bokeh and the thin lens
#
# A large lens makes one distance sharp and everything else soft. Photographers call the quality of that
# softness *bokeh*. Before a net can learn to imitate it, we should know what it imitates. One formula
# and a few pictures are enough.
#
# **You will be able to**
#
# - say which light meets on one pixel of a photograph, and why that makes blur;
# - derive the size of the blur from similar triangles, and test the derivation;
# - show that blur is linear in disparity, the inverse of depth;
# - predict what aperture, focus and focal length change, in per cent of the picture;
# - explain three things that a blur filter gets wrong: discs, edges and highlights;
# - click on a picture and see what a lens would have done.
#
# **Before this**: Python and NumPy; similar triangles from school. No machine learning yet.
#
# **Time and memory**: about 30 s on one laptop-class core, about 0.4 GB of memory. No download, no GPU.

# %% [markdown]
# ## Setup

# %% tags=["hide-input", "setup"] mystnb={"code_prompt_show": "Show the set-up", "code_prompt_hide": "Hide the set-up"}
# On Colab this fetches the book's package; elsewhere it is there already.
from importlib.util import find_spec

if find_spec("bradcn_nb") is None:
    raise ModuleNotFoundError("no bradcn_nb: the page On Colab says how")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the imports", "code_prompt_hide": "Hide the imports"}
from dataclasses import replace

import cv2
import numpy as np
from matplotlib import pyplot as plt

from bradcn_nb.figures.plots import COLOURS, grid, show, use_style
from bradcn_nb.figures.refocus import refocus_viewer
from bradcn_nb.lens.by_depth import disc_kernel
from bradcn_nb.lens.reference import Layer, composite, lens_view
from bradcn_nb.lens.thin_lens import (
    Camera,
    blur_scale,
    coc_diameter,
    linear_to_srgb,
    srgb_to_linear,
)
from bradcn_nb.scenes import outdoor_scene

use_style()
cv2.setNumThreads(1)

# %% [markdown]
# ## What bokeh is
#
# The paper begins with the effect itself. A large aperture
#
# > "allows the camera to capture images with shallow depth-of-field, in which only a small area of the
# > image is in sharp focus, while the rest of the image is blurred."
# > (Liu et al. 2023, abstract)
#
# Here is one scene, twice. On the left everything is sharp, as through a pinhole. On the right the same
# scene went through a lens, focused on the lamp. Both were computed. We know the distance of every
# pixel, so we can ask how the two pictures differ.

# %% mystnb={"image": {"alt": "Two pictures of a globe lamp before white flowers, a hedge and the sky. Left, all sharp. Right, only the lamp is sharp, flowers and hedge are soft, and bright leaves have become round discs."}}
scene = outdoor_scene(7014)
sharp, bokeh, depth = scene.pair(192, 288)
print("pictures", sharp.shape, bokeh.shape, "  depth", depth.shape)
grid([sharp, bokeh], ["everything sharp", f"a lens, focused at {scene.focus_m:.3g} m"])

# %% [markdown]
# Look at three places.
#
# 1. **The hedge** is soft. The lamp is not. Blur depends on distance.
# 2. **Tiny glints** in the hedge became round discs of even brightness.
# 3. **The outline of the lamp** stays crisp, although soft things lie right behind it.
#
# The rest of this chapter explains these three, in this order.

# %% [markdown]
# ## Words
#
# | word | meaning here | letter, unit |
# |---|---|---|
# | depth | distance of a thing, measured along the viewing direction | $z$, metres |
# | disparity | one over the depth; 0 is infinitely far | $1/z$, 1/m |
# | focal length | where a lens gathers light from infinitely far away | $f$, mm |
# | aperture | width of the opening in the lens | $A$, mm |
# | f-number | focal length over aperture; f/1.8 is a *wide* opening | $N = f/A$ |
# | focus distance | the depth that comes out sharp | $z_f$, metres |
# | circle of confusion | the disc that a single point becomes on the sensor | diameter $c$ |
# | image height | our unit of length on the picture: 0.1 is a tenth of its height | $h$ |
#
# We measure blur in image heights, not in pixels. Then a number stays true at any resolution.

# %% [markdown]
# ## The thin lens
#
# A point sends light in all directions. A lens catches a cone of it, as wide as the aperture, and bends it
# so that all of it meets again in one point behind the lens. Where? At a distance $v$ with
#
# $$\frac{1}{f} = \frac{1}{z} + \frac{1}{v} \qquad\text{so}\qquad v = \frac{f z}{z - f}.$$
#
# Near things meet further behind the lens than far things. But the sensor stands at one place only.


# %%
def image_distance(z, f):
    """Where light from depth z meets again behind a lens of focal length f (same unit)."""
    return f * z / (z - f)


for z in (500, 1000, 2000, 1e9):
    print(f"a point at {z / 1000:>9g} m meets at {image_distance(z, f=50):.4g} mm")
assert np.isclose(image_distance(1e12, f=50), 50)  # from infinitely far: at the focal length
assert np.isclose(image_distance(100, f=50), 100)  # at 2 f: the same distance on both sides

# %% [markdown]
# ## The circle of confusion, by similar triangles
#
# Draw the cone from the side. Focus on $z_f$: the sensor stands at $v_f$. Light from another depth $z$
# meets at $v$, before or behind the sensor. On the sensor it is not a point but a small disc.


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"}
def draw_cone(axis, z, zf, f, aperture, title):
    """One point at depth z, seen from the side by a lens that is focused at zf."""
    v, vf = image_distance(z, f), image_distance(zf, f)
    half, left, right = aperture / 2, -6, 3.9
    axis.plot([-z, -zf], [0, 0], "o", color=COLOURS[1], ms=5, clip_on=True)
    for side in (half, -half):
        axis.plot([-z, 0, v, right], [0, side, 0, side * (1 - right / v)], color=COLOURS[1], lw=1.5)
    axis.plot([left, right], [0, 0], color="0.6", lw=0.8, ls="--")
    axis.plot([0, 0], [-half, half], color=COLOURS[0], lw=5, alpha=0.5)
    axis.plot([vf, vf], [-1.5, 1.5], color="black", lw=2)
    c = aperture * abs(v - vf) / v / 2
    axis.plot([vf, vf], [-c, c], color=COLOURS[2], lw=6)
    axis.text(-0.15, half + 0.1, "lens, width A", ha="right", color=COLOURS[0])
    axis.text(vf + 0.1, 1.3, "sensor", va="center")
    axis.annotate(
        "c", (vf, -c), (vf + 0.5, -0.95), color=COLOURS[2], arrowprops={"arrowstyle": "-"}
    )
    axis.annotate("v", (v, 0), (v, 0.42), ha="center", arrowprops={"arrowstyle": "-"})
    axis.set(xlim=(left, right), ylim=(-1.6, 1.6), title=title, yticks=[])
    axis.set_xticks([-zf, 0, vf], ["$z_f$", "0", "$v_f$"])
    axis.grid(False)
    axis.spines[["left", "bottom"]].set_visible(False)


# %% mystnb={"image": {"alt": "Two side views of a lens and a sensor. Left: light from a far point meets before the sensor and spreads again to a small segment c. Right: light from a near point would meet behind the sensor and is still a segment c wide when it arrives."}}
figure, axes = plt.subplots(2, 1, figsize=(7.5, 4.6))
draw_cone(
    axes[0], z=12, zf=5, f=1.5, aperture=2, title="beyond the focus: the light meets too early"
)
draw_cone(
    axes[1], z=3.1, zf=5, f=1.5, aperture=2, title="before the focus: the light meets too late"
)

# %% [markdown]
# The cone behind the lens is a triangle: $A$ wide at the lens, 0 wide at $v$. The green piece $c$ cuts it at
# $v_f$, that is $|v - v_f|$ before or behind the tip. Similar triangles:
#
# $$\frac{c}{A} = \frac{|v - v_f|}{v}.$$
#
# Now put in $v = f z/(z-f)$ and $v_f = f z_f/(z_f-f)$. Most of it cancels:
#
# $$c = \frac{A\,f}{z_f - f}\cdot\frac{|z - z_f|}{z}.$$
#
# Both as code. The first function is the drawing, the second is the formula.


# %%
def coc_from_triangles(z, zf, f, n):
    """Diameter of the disc on the sensor, straight from the drawing; all lengths in mm."""
    v, vf = image_distance(z, f), image_distance(zf, f)
    return (f / n) * abs(v - vf) / v


def coc_from_formula(z, zf, f, n):
    """The same after cancelling."""
    return (f / n) * f / (zf - f) * abs(z - zf) / z


print(
    f"{coc_from_triangles(4000, 2000, 50, 2):.3g} mm, {coc_from_formula(4000, 2000, 50, 2):.3g} mm"
)

# %% [markdown]
# The package has this formula once, in two functions. Nothing else in this book computes blur differently.

# %%
show(coc_diameter)
show(blur_scale)

# %% [markdown]
# ### A test of the equation
#
# Three ways to the same number must agree: our triangles, our formula, the package. We try a thousand random
# cameras and distances.

# %%
rng = np.random.default_rng(0)
for _ in range(1000):
    camera = Camera(
        focal_mm=rng.uniform(20, 135),
        f_number=rng.uniform(1.2, 22),
        sensor_height_mm=rng.uniform(5, 24),
    )
    z, zf = rng.uniform(0.3, 50, size=2)
    mine = coc_from_triangles(1000 * z, 1000 * zf, camera.focal_mm, camera.f_number)
    same = coc_from_formula(1000 * z, 1000 * zf, camera.focal_mm, camera.f_number)
    heights = coc_diameter(z, zf, camera)
    np.testing.assert_allclose(mine, same, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(mine / camera.sensor_height_mm, heights, rtol=1e-6, atol=1e-9)
print("1000 cameras agree")

# %% [markdown]
# ## Blur is linear in disparity
#
# Divide $|z - z_f|/z$ by $z_f$ and it becomes $|1/z_f - 1/z|$. So the formula has a second face:
#
# $$\frac{c}{2h} = R\,\left|\frac{1}{z} - \frac{1}{z_f}\right|, \qquad
#   R = \frac{A\,f\,z_f}{2\,(z_f - f)\,h}.$$
#
# The radius is a constant $R$ times a *difference of disparities*. In depth the curve bends. In disparity it
# is two straight lines. `blur_scale` is this $R$.

# %% mystnb={"image": {"alt": "Two plots of blur diameter for a lens focused at 1.5 metres. Over depth the curve falls steeply to zero at 1.5 metres and rises slowly to a plateau. Over disparity it is a V of two straight lines."}}
camera, focus_m = Camera(), 1.5
z = np.geomspace(0.6, 30, 400)
percent = 100 * coc_diameter(z, focus_m, camera)
figure, axes = plt.subplots(1, 2, figsize=(7.5, 2.8), sharey=True)
axes[0].plot(z, percent)
axes[0].set(
    xlabel="depth, m", ylabel="diameter, % of image height", title="over depth: bent", xlim=(0, 30)
)
axes[1].plot(1 / z, percent, color=COLOURS[1])
axes[1].set(xlabel="disparity, 1/m", title="over disparity: straight")
for axis, x in zip(axes, (focus_m, 1 / focus_m), strict=True):
    axis.axvline(x, color="0.4", lw=1, ls="--")
straight = 200 * blur_scale(focus_m, camera) * np.abs(1 / z - 1 / focus_m)
np.testing.assert_allclose(percent, straight, rtol=1e-9)
assert coc_diameter(np.inf, focus_m, camera) < 1.2 * coc_diameter(10.0, focus_m, camera)
assert coc_diameter(1.1, focus_m, camera) < 0.75 * coc_diameter(1.0, focus_m, camera)
plt.show()

# %% [markdown]
# Two things follow, and the whole book leans on them.
#
# - **Far is forgiving.** From 10 m to infinity the disc grows by less than a fifth. A depth net may be metres wrong
#   there. From 1 m to 1.1 m, only ten centimetres, the disc shrinks by more than a quarter.
# - **Disparity is the natural depth.** Renderers work in it. So does the depth net of the paper: its raw output is
#   an inverse depth.

# %% [markdown]
# ### Shape arithmetic
#
# A depth map $(H, W)$ becomes a disparity map $(H, W)$, and with one multiplication a map of blur radii in
# pixels, again $(H, W)$. The picture itself is $(H, W, 3)$.

# %% mystnb={"image": {"alt": "Three maps of the lamp scene. Disparity is highest on the lamp. The blur diameter is zero on the lamp and largest in the hedge and the sky."}}
height, width = depth.shape
disparity = 1 / depth
radius_px = height * blur_scale(scene.focus_m, scene.camera) * np.abs(disparity - 1 / scene.focus_m)
print("depth", depth.shape, "-> disparity", disparity.shape, "-> radius", radius_px.shape)
diameter_percent = 2 * radius_px / height * 100
grid(
    [sharp, disparity, diameter_percent],
    ["picture", "disparity", "diameter of the disc"],
    unit=["", "1/m", "% of image height"],
)

# %% [markdown]
# ## Aperture, focus, focal length
#
# How does one compute what a lens sees? By doing what it does. Each point of the aperture is a pinhole, and sees the whole scene sharp, from
# its own place: near things are shifted one way, far things the other, and what is in focus stays where it is. The sensor adds all of these
# pictures up. That is all of `lens_view`, the package's reference renderer; its idea is the loop at the end.

# %%
show(lens_view)

# %% [markdown]
# (`composite` paints the layers back to front as one point of the aperture sees them. A layer at depth z moves by the point's place times
# `1 / z - 1 / focus_m` times `blur` times the picture's height, in pixels: that is the circle of confusion from above, seen one point at a time.)
#
# A photographer has three dials. We turn one at a time. First a helper: it builds the scene once and then takes as
# many photographs of it as we like.


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the helper", "code_prompt_hide": "Hide the helper"}
def studio(scene, height, width):
    """A function that photographs the scene at any focus (metres) and f-number: (H, W, 3) sRGB."""
    layers = scene.layers(height, width, margin=0.14)
    pinhole = composite(layers, height, width, shift=np.zeros(2), focus=0.0)
    exposure = scene.brightness / np.exp(np.log(pinhole.mean(2) + 1e-3).mean())

    def photograph(focus_m, f_number, samples=None):
        camera = replace(scene.camera, f_number=f_number)
        light = lens_view(layers, height, width, focus_m, camera, samples)
        return linear_to_srgb(np.clip(light * exposure, 0, 1))

    return photograph


photograph = studio(scene, 160, 240)

# %% [markdown]
# **The aperture.** The diameter $c$ is proportional to $A = f/N$. Twice the f-number, half the disc.

# %% mystnb={"image": {"alt": "The lamp scene four times, at f/1.8, f/2.8, f/5.6 and f/16. The background gets sharper from picture to picture; at f/16 all is nearly sharp."}}
f_numbers = (1.8, 2.8, 5.6, 16)
grid([photograph(scene.focus_m, n) for n in f_numbers], [f"f/{n:g}" for n in f_numbers], columns=2)

# %% [markdown]
# **The focus.** Here the sensor moves and the sharp distance with it. Focus on the flowers behind the lamp,
# then on the hedge. Now the lamp is the soft thing, and it spreads over what is behind it.

# %% mystnb={"image": {"alt": "The lamp scene focused at three distances. First the lamp is sharp, then the flowers, then the hedge with a soft lamp before it."}}
distances = (scene.focus_m, 2.79, 5.85)
grid([photograph(z, 1.8) for z in distances], [f"focus at {z:.2g} m" for z in distances])

# %% [markdown]
# **The focal length**, or: why a telephone needs a program. The paper says that phone hardware is
# "typically much smaller and more limited than that found in DSLRs" (Liu et al. 2023, abstract). How much
# does smaller matter? Take a telephone-like camera with the same f-number and the same field of view, ten times
# smaller in every length. The diameter in image heights contains $A f/h$. The ratio $f/h$ is the field of view and
# stays. So only the aperture in millimetres counts, and it is ten times smaller.

# %%
dslr = Camera()
phone = Camera(focal_mm=5.0, f_number=1.8, sensor_height_mm=1.49)
for name, camera in (("50 mm lens", dslr), ("5 mm lens", phone)):
    c = coc_diameter(np.inf, 1.0, camera)
    opening = camera.focal_mm / camera.f_number
    print(f"{name:>10}: opening {opening:.3g} mm, disc of a distant point {100 * c:.3g} %")
ratio = coc_diameter(np.inf, 1.0, dslr) / coc_diameter(np.inf, 1.0, phone)
assert 10 < ratio < 11  # ten, and a little from z_f - f
print(f"ratio {ratio:.3g}")

# %% [markdown]
# ## A point becomes a uniform disc
#
# Now the second riddle: the glints. A blur filter, say a Gaussian, turns a point into a soft spot. A lens does not. The
# cone of light fills the round opening evenly, so the sensor cuts it in an *evenly* lit disc. We photograph a single
# bright pixel at 20 m, with the focus at 1 m.


# %%
def photograph_of_a_point(camera, depth_m=20.0, focus_m=1.0, size=161, samples=3000):
    """Light on the sensor, (size, size), from one bright pixel in the middle of the dark."""
    point = Layer(np.ones((1, 1, 4), np.float32), (size // 2,) * 2, np.array([0, 0, 1 / depth_m]))
    return lens_view([point], size, size, focus_m, camera, samples)[..., 0]


light = {n: photograph_of_a_point(Camera(f_number=n)) for n in (1.8, 2.8, 4.0)}

# %% mystnb={"image": {"alt": "Three evenly lit discs, smaller with larger f-number. Beside them their brightness along the middle row: flat tops with steep sides, each as wide as the formula says."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
size = 161
figure, axes = plt.subplots(1, 4, figsize=(7.5, 2.2), width_ratios=(1, 1, 1, 1.7))
for axis, (n, disc), colour in zip(axes, light.items(), COLOURS, strict=False):
    axis.imshow(disc[60:101, 60:101], cmap="gray")
    axis.set(title=f"f/{n:g}")
    axis.axis("off")
    axes[3].plot(
        np.arange(size) - size // 2, 1000 * disc[size // 2], color=colour, label=f"f/{n:g}"
    )
    edge = coc_diameter(20.0, 1.0, Camera(f_number=n)) * size / 2
    for x in (-edge, edge):
        axes[3].axvline(x, color=colour, lw=1, ls="--")
axes[3].set(xlim=(-12, 18), xlabel="pixels from the middle", title="middle row, ‰ of the light")
axes[3].legend(loc="upper right")
plt.show()

# %% [markdown]
# Flat tops, steep sides, and the dashed lines of the formula stand where the light ends. The disc of f/4 is small but
# bright: the same light falls on fewer pixels. No light is lost.
#
# ### A small experiment: measure the disc
#
# Do not trust a plot. Measure. The mean squared distance of a uniform disc's points from its centre is half its radius
# squared, so the diameter follows from a weighted mean over all pixels, without any threshold.

# %% mystnb={"image": {"alt": "A plot with logarithmic axes: measured disc diameters at eight f-numbers lie on the straight line of the formula, which falls with slope minus one."}}
offset = np.arange(size) - size // 2
squared = offset[:, None] ** 2 + offset[None] ** 2  # px^2 from the centre
f_numbers = np.array([1.4, 1.8, 2.0, 2.8, 4.0, 5.6, 8.0, 11.0])
raw, measured = [], []
for n in f_numbers:
    disc = photograph_of_a_point(Camera(f_number=n), samples=1500)
    assert np.isclose(disc.sum(), 1, atol=1e-3)  # all the light is still there
    mean = (disc * squared).sum() / disc.sum()
    raw.append(2 * np.sqrt(2 * mean) / size)
    # Ours is a pixel, not a point: between pixels it is drawn over four, which adds 1/3 px^2.
    measured.append(2 * np.sqrt(2 * (mean - 1 / 3)) / size)
expected = np.array([coc_diameter(20.0, 1.0, Camera(f_number=n)) for n in f_numbers])
np.testing.assert_allclose(measured, expected, rtol=0.03)
slope = np.polyfit(np.log(f_numbers), np.log(measured), 1)[0]
print(f"slope {slope:.2f}")
assert raw[-1] > 1.05 * expected[-1]

figure, axis = plt.subplots(figsize=(5.5, 3))
axis.loglog(f_numbers, 100 * expected, label="formula")
axis.loglog(f_numbers, 100 * np.array(measured), "o", color=COLOURS[1], label="measured")
axis.loglog(f_numbers, 100 * np.array(raw), "x", color=COLOURS[2], label="measured, pixels left in")
axis.set(xlabel="f-number", ylabel="diameter, % of image height")
axis.set_xticks(f_numbers, [f"{n:g}" for n in f_numbers], minor=False)
axis.set_yticks([1, 2, 5, 10], ["1", "2", "5", "10"])
axis.minorticks_off()
axis.legend()
plt.show()

# %% [markdown]
# The points sit on the line. The crosses are the same measurement without the correction for the pixel: fine for
# large discs, too large for small ones. A picture cannot show a disc smaller than its pixels. That is the reason for
# a rule of our renderers: a disc within one pixel counts as in focus.

# %% [markdown]
# ## Edges: partial occlusion
#
# The third riddle. Near an edge, one part of the aperture sees past the foreground and another part does not. We
# build the simplest case: an orange wall on the left, stripes behind it, and focus once on each.


# %%
def wall_and_stripes(size=160):
    """An orange wall, 0.5 m away, on the left half; stripes at 1 m everywhere. Back to front."""
    big = size + 120  # drawn around the frame as well, for what is blurred into it
    stripes = np.ones((big, big, 4), np.float32)
    stripes[..., :3] = np.where((np.arange(big) // 10 % 2)[:, None, None] == 0, 0.08, 0.7)
    wall = np.ones((big, 60 + size // 2, 4), np.float32)
    wall[..., :3] = (0.8, 0.25, 0.03)
    back = Layer(stripes, (-60, -60), np.array([0, 0, 1 / 1.0]))
    front = Layer(wall, (-60, -60), np.array([0, 0, 1 / 0.5]))
    return [back, front]


# %% mystnb={"image": {"alt": "Three pictures of an orange wall before stripes. All sharp; focus on the wall with a crisp edge and blurred stripes; focus on the stripes, where the wall's edge is transparent and the sharp stripes show through it."}}
size = 160
layers = wall_and_stripes(size)
pinhole = composite(layers, size, size, np.zeros(2), 0.0)
on_wall = lens_view(layers, size, size, 0.5, Camera(f_number=2.0), samples=600)
on_stripes = lens_view(layers, size, size, 1.0, Camera(f_number=2.0), samples=600)
grid(
    [linear_to_srgb(light) for light in (pinhole, on_wall, on_stripes)],
    ["pinhole", "focus on the wall", "focus on the stripes"],
)

# %% [markdown]
# - **Focus on the wall.** Its edge stays crisp. The soft stripes stop at it. No orange leaks outwards.
# - **Focus on the stripes.** The wall's edge dissolves. You can see stripes *through* the rim of a solid wall.
#
# The second case hides the difficulty of all bokeh rendering. Those stripes are **not in the pinhole picture**. The
# wall covers them there. A program that starts from one sharp picture has to invent them.
#
# How transparent is the wall, $x$ away from its edge? Exactly as much as the part of the round aperture that
# looks past it: a segment of a circle. With $t = x/r$ from $-1$ to $1$ and the disc's radius $r$, the wall covers
#
# $$\alpha(t) = \tfrac12 - \tfrac1\pi\left(t\sqrt{1-t^2} + \arcsin t\right).$$
#
# We can read the coverage off our rendered picture and compare.

# %% mystnb={"image": {"alt": "The wall's coverage across its edge falls smoothly from one to zero over the width of one disc. The measured points lie on the curve of the formula and pass one half at the edge."}}
black = [replace(layers[0], rgba=layers[0].rgba * np.float32([0, 0, 0, 1])), layers[1]]
red = lens_view(black, size, size, 1.0, Camera(f_number=2.0), samples=600)[size // 2, :, 0]
covered = red / 0.8
x = np.arange(size) + 0.5 - size / 2  # pixel centres, from the wall's edge
r = coc_diameter(0.5, 1.0, Camera(f_number=2.0)) * size / 2
t = np.clip(x / r, -1, 1)
alpha = 0.5 - (t * np.sqrt(1 - t**2) + np.arcsin(t)) / np.pi
np.testing.assert_allclose(covered, alpha, atol=0.02)

figure, axis = plt.subplots(figsize=(5.5, 2.8))
axis.plot(x, alpha, label="part of the aperture, formula")
axis.plot(x, covered, "o", ms=4, color=COLOURS[1], label="rendered")
axis.set(xlim=(-1.8 * r, 1.8 * r), xlabel="pixels from the wall's edge", ylabel="coverage")
axis.legend()
plt.show()

# %% [markdown]
# ## Light adds up, pixel values do not
#
# One thing is left to explain: why a glint of a few pixels turns into a *bright* disc, when its light is spread over
# hundreds of pixels. There are two answers, and a program needs both.
#
# **A picture file does not store light.** It stores sRGB values, bent by a curve that spends more steps on the
# dark. Averaging such values is not averaging light. Take one black and one white pixel. Half of the light is the
# sRGB value 0.735, not 0.5.

# %%
half_light = float(linear_to_srgb(np.float64(0.5)))
half_value = float(srgb_to_linear(np.float64(0.5)))
print(
    f"half the light is the value {half_light:.3f}; the value 0.5 is only {half_value:.3f} of the light"
)
assert abs(half_light - 0.735) < 1e-3 and abs(half_value - 0.214) < 1e-3

# %% [markdown]
# **A picture file clips.** A lamp may be thirty times brighter than white. The file says 1. The lens sees 30.
#
# The experiment: five lamps before a dim wall, each 3 by 3 pixels with light 30. We spread them with the same disc in
# three ways.

# %% mystnb={"image": {"alt": "Four pictures of five lamps before a dim wall. Sharp: small white dots. Real light blurred: five bright discs. The clipped picture blurred as light: faint discs. Its sRGB values blurred: almost nothing is left of the lamps."}}
rng = np.random.default_rng(1)
light = np.full((120, 180, 3), 0.04) * np.linspace(0.6, 1.4, 180)[None, :, None]
for y, x in ((30, 35), (75, 62), (40, 95), (85, 130), (28, 150)):
    light[y - 1 : y + 2, x - 1 : x + 2] = 30 * rng.uniform(0.7, 1, size=3)
file = linear_to_srgb(np.clip(light, 0, 1))  # what a camera would store


def spread(values):
    return cv2.filter2D(values, -1, disc_kernel(12.0).astype(float), borderType=cv2.BORDER_REFLECT)


lens = linear_to_srgb(np.clip(spread(light), 0, 1))
from_file = linear_to_srgb(spread(srgb_to_linear(file)))
naive = spread(file)
grid(
    [file, lens, from_file, naive],
    ["the file, sharp", "real light", "clipped light", "clipped sRGB values"],
    columns=2,
)

# %%
for name, picture in (("real light", lens), ("clipped light", from_file), ("sRGB values", naive)):
    print(
        f"{name:>14}: disc {picture[75, 62].mean():.2f}, wall beside it {picture[110, 62].mean():.2f}"
    )
assert lens[75, 62].mean() > 2 * from_file[75, 62].mean() > 2 * naive[110, 62].mean()

# %% [markdown]
# So a renderer undoes the sRGB curve, adds up light, and applies the curve last: all of `bradcn_nb` does. That mends
# the first problem. The second stays. The true brightness of a clipped lamp is not in the file, and a program must guess
# it. A net that saw thousands of pairs can learn such guesses. That is one good reason for a net.

# %% [markdown]
# ## The camera of EBB!
#
# The paper learns from pairs of photographs:
#
# > "The image pairs in EBB! consist of an all-in-focus image captured using an aperture of f/16 and a bokeh-effect
# > image captured using a wide aperture of f/1.8." (Liu et al. 2023, Section IV-A)
#
# They come from a Canon 7D, with a 50 mm lens (Ignatov et al. 2020). Its sensor is 14.9 mm high. `Camera()` has these
# three numbers as defaults. How large is the disc of a distant point, a lamp far away, for a subject at $z_f$?

# %%
print("focus at    f/1.8: % of height, px of 1024    f/16: % of height, px of 1024")
for focus_m in (0.75, 1.0, 1.5, 2.4, 5.0):
    c = [coc_diameter(np.inf, focus_m, Camera(f_number=n)) for n in (1.8, 16)]
    print(
        f"{focus_m:6.3g} m {100 * c[0]:14.3g} {1024 * c[0]:14.3g} {100 * c[1]:21.3g} {1024 * c[1]:14.3g}"
    )
    assert np.isclose(c[0] / c[1], 16 / 1.8)

# %% [markdown]
# Read the last two columns twice. **The "all-in-focus" picture is not all in focus.** With the subject at 1 m its
# distant background is blurred by a disc of 11 pixels at EBB!'s height of 1024. The net's input is already a little
# soft, and its target is about nine times softer. Nothing is wrong with that. But whoever computes sharp pictures and
# trains on them, as we do for our small sets, trains on something slightly different.
#
# The percentages hold for the whole sensor. EBB!'s pairs were aligned and cropped, so there a disc fills a little
# more of the picture.

# %% [markdown]
# ## Click what should be sharp
#
# Now all of it together. The scene has leaves, a flower, a lawn and a roof. Click on any of them. The slider opens
# and closes the aperture. Each picture was computed by the lens renderer before, so this works without Python.
#
# The eight focus distances are evenly spaced in *disparity*. That is the spacing in which every step changes the blur
# by the same amount.

# %%
garden = outdoor_scene(7011)
height, width = 180, 270
garden_depth = garden.pinhole(height, width)[1]
nearest, farthest = np.percentile(1 / garden_depth, (99, 1))
steps = np.linspace(nearest, farthest, 8)
at_subject = np.abs(steps - 1 / garden.focus_m).argmin()
steps[at_subject] = 1 / garden.focus_m  # one of them exactly on the flower
focus_m = 1 / steps
f_numbers = [1.8, 2.8, 5.6, 16]
take = studio(garden, height, width)
stack = [[take(z, n, samples=int(max(24, 600 / n**2))) for n in f_numbers] for z in focus_m]
print(len(stack), "focus distances x", len(stack[0]), "apertures, each", stack[0][0].shape)
refocus_viewer(
    stack,
    1 / garden_depth,
    list(focus_m),
    f_numbers,
    description="A red flower on a lawn, leaves around it, a roof and a bright sky far behind",
    start=int(at_subject),
)

# %% [markdown]
# Try this. Focus on the flower at f/1.8, then go to f/16: nearly everything is sharp. Focus on the roof: the
# flower dissolves. Follow the band of sharp lawn as you move the focus.

# %% [markdown]
# ## Your numbers may differ
#
# The cells above are deterministic: fixed seeds, fixed samples. Digits beyond the third may change with another version
# of NumPy or OpenCV, and the tests in this chapter leave room for it. What should not change: every `assert`, the
# slope of the measured discs, the shape of the curves.
#
# ## Summary
#
# - A lens focuses one depth. Light from any other depth falls on a disc, the circle of confusion.
# - Similar triangles give its diameter: $c = A f |z - z_f| / (z (z_f - f))$.
# - Its radius is $R\,|1/z - 1/z_f|$: linear in disparity. The same error of depth matters much less far
#   away than close by.
# - Blur grows with the aperture in millimetres. That is why telephones have little of it.
# - A point becomes an *even* disc. A foreground out of focus becomes transparent at its rim and shows what a sharp
#   picture does not contain.
# - Light adds up, sRGB values do not, and clipped lamps have lost their brightness for good.

# %% [markdown]
# ## Exercises
#
# **1. Depth of field (graded).** A disc below some limit looks sharp. With the limit $c_0$ in image heights, everything
# from a nearest to a farthest depth is sharp. Write the function that finds both. Use what you know: blur is linear in
# disparity. Beyond the *hyperfocal distance* the farthest depth is infinite.


# %% tags=["exercise"]
def depth_of_field(focus_m, camera, limit):
    """(nearest, farthest) depth in metres whose disc is at most `limit` image heights wide."""
    raise NotImplementedError("yours to write")


# %% [markdown] tags=["solution"]
# The next cell is the solution. Try first.


# %% tags=["hide-input", "solution"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
def depth_of_field_solution(focus_m, camera, limit):
    """(nearest, farthest) depth in metres whose disc is at most `limit` image heights wide."""
    # diameter = 2 R |1/z - 1/zf| <= limit: an interval in disparity, as wide on both sides.
    reach = limit / (2 * blur_scale(focus_m, camera))
    nearest = 1 / (1 / focus_m + reach)
    behind = 1 / focus_m - reach
    return nearest, (1 / behind if behind > 0 else np.inf)


# %% [markdown]
# The test is made of plain asserts. Run it as soon as yours is written.


# %% tags=["graded"]
def check(answer):
    for camera in (Camera(), Camera(f_number=16), Camera(focal_mm=85, f_number=4)):
        for focus_m in (0.8, 1.5, 4.0):
            near, far = answer(focus_m, camera, limit=0.004)
            assert near < focus_m < far
            assert np.isclose(coc_diameter(near, focus_m, camera), 0.004), "disc at the near limit"
            assert np.isinf(far) or np.isclose(coc_diameter(far, focus_m, camera), 0.004)
    strict, loose = (answer(1.5, Camera(), limit=c0) for c0 in (0.001, 0.004))
    assert loose[0] < strict[0] and strict[1] < loose[1], "a smaller limit leaves less depth sharp"
    assert np.isclose(coc_diameter(strict[0], 1.5, Camera()), 0.001), "limit is what is asked for"
    # The hyperfocal distance, f + A f / c0: focused a little beyond it, all is sharp to infinity.
    hyperfocal = 0.05 + (0.05 / 16) * 0.05 / (0.004 * 0.0149)
    assert np.isinf(answer(1.001 * hyperfocal, Camera(f_number=16), 0.004)[1])
    assert np.isfinite(answer(0.999 * hyperfocal, Camera(f_number=16), 0.004)[1])
    near = answer(1.001 * hyperfocal, Camera(f_number=16), 0.004)[0]
    assert abs(near / hyperfocal - 0.5) < 0.02, "then it begins at half of it"


check(depth_of_field_solution)
try:
    check(depth_of_field)
    print("depth_of_field passes")
except NotImplementedError:
    print("depth_of_field is not written yet")

# %% [markdown]
# **2.** Two cameras stand side by side: 50 mm at f/1.8 and 100 mm at f/3.6, the same sensor. Which gives the larger disc of
# a distant point, focused at 2 m? And if the second steps back until the subject is as large as before? Predict, then
# compute.
#
# **3.** Change `photograph_of_a_point` so that the aperture is a hexagon. (`lens_view` averages over
# `aperture_samples`; keep the points that lie in the hexagon and call `composite` yourself.) What do the glints look
# like?
#
# **4.** In the lamp experiment, raise the lamps from 30 to 300. Which of the three pictures changes, and why only that one?
#
# ## Next
#
# A lens needs no depth map. Light does the work. A *program* that starts from one sharp photograph needs two things that
# the photograph lacks: the **depth** of every pixel, and **what is hidden** behind its edges. The paper's answer is
# to learn both from data. The book builds it in this order:
#
# - first the classical way, and what it costs when the depth is wrong: [Blur from depth](02_blur_from_depth.ipynb);
# - the data: pairs of sharp and soft pictures, and rooms with measured depth: [The data](03_the_data.ipynb);
# - the Render Net, which turns the sharp picture into the soft one: [chapter on the Render Net](05_render_net.ipynb);
# - a Depth Prediction Net, which guesses the depth, and a third net, the ADCN, which guesses how wrong that
#   guess is;
# - the training of all three: [two-stage training](11_two_stage_training.ipynb).
#
# ## References
#
# All entries stand in the [bibliography](bibliography.md).
#
# - Liu, Zhou and Dong 2023. *Bokeh Rendering Based on Adaptive Depth Calibration Network.* The paper of this book.
# - Ignatov, Patel and Timofte 2020. *Rendering Natural Camera Bokeh Effect with Deep Learning.* The EBB! set and its
#   camera.
# - Potmesil and Chakravarty 1981. *A Lens and Aperture Camera Model for Synthetic Image Generation.* The thin lens in
#   graphics.
# - Cook, Porter and Carpenter 1984. *Distributed Ray Tracing.* Averaging over points of the aperture.
