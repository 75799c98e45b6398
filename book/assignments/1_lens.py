# %% [markdown]
# # Assignment 1: A lens of your own
#
# **Why.** A phone's lens is so small that nearly everything in its pictures is sharp. The soft background of a
# portrait is therefore *computed*, and a net that learns to compute it has to imitate something. In this assignment
# you write that something: a lens, as a program. Whoever has written one knows later what a net's picture gets wrong,
# because the lens says what would have been right.
#
# **What you will build.** Seven functions: how large a disc a point becomes, what such a disc says about depth, which
# lens settings keep a group of people sharp, how light is averaged, a blur with the shape of a lens opening, the
# operation that lays one picture over another, and the cut of a scene into layers. A short loop that is given to you joins
# them into a renderer, and with it you photograph a motorcycle, or a picture of your own.
#
# **Before this.** [Bokeh and the thin lens](../01_bokeh_and_the_thin_lens.ipynb), NumPy with broadcasting, and similar
# triangles. No machine learning.
#
# **Time.** About three and a half hours for the questions, and half an hour for the text and the pictures between them. The
# solved notebook runs in about fifteen seconds on one core of a laptop.
# Stars say how difficult a question is, from one to three. 25 points are graded by tests that you see in part, 5 by a
# person.

# %% tags=["hide-input", "setup"] mystnb={"code_prompt_show": "Show the set-up", "code_prompt_hide": "Hide the set-up"}
# On Colab this fetches the book's package; elsewhere it is there already.
from importlib.util import find_spec

if find_spec("bradcn_nb") is None:
    raise ModuleNotFoundError("no bradcn_nb: the page On Colab says how")

# %% tags=["given"]
import math

import cv2
import numpy as np

from bradcn_nb.lens.thin_lens import linear_to_srgb, srgb_to_linear

cv2.setNumThreads(1)
CAMERA = {"focal_mm": 50.0, "f_number": 1.8, "sensor_height_mm": 14.9}

# %% [markdown]
# Two more helpers, for pictures only. No answer needs them.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the helpers", "code_prompt_hide": "Hide the helpers"}
from matplotlib import pyplot as plt

from bradcn_nb.figures.plots import COLOURS, use_style

use_style()


def pictures(arrays, titles, height=2.6):
    """A figure with pictures (H, W, 3) in [0, 1] or maps (H, W) in a row."""
    size = (7.5, height)  # inches
    figure, axes = plt.subplots(1, len(arrays), figsize=size, squeeze=False)
    for axis, array, title in zip(axes[0], arrays, titles, strict=True):
        axis.imshow(array)
        axis.set_title(title)
        axis.axis("off")
    return figure


# %% [markdown]
# ## 1. How large is the disc?
#
# A lens is focused on one distance. Light from a point at any *other* distance meets too early or too late, and the
# sensor cuts the cone of light before or behind its tip. The cut is a disc, the **circle of confusion**.

# %% mystnb={"image": {"alt": "Side view: light from a far point passes a lens, meets before the sensor and spreads again. Where the sensor stands, the cone is a short segment c."}} tags=["hide-input"]
figure, axis = plt.subplots(figsize=(7.5, 2.1))
for side in (1, -1):
    axis.plot(
        [-7, 0, 1.75, 3.4],
        [0, side, 0, -side * (3.4 / 1.75 - 1)],
        color=COLOURS[1],
    )
axis.plot([0, 0], [-1, 1], color=COLOURS[0], lw=6, alpha=0.5)
axis.plot([2.3, 2.3], [-1.2, 1.2], color="black")
axis.plot([2.3, 2.3], [-0.31, 0.31], color=COLOURS[2], lw=6)
axis.text(-7, 0.35, "a point at depth $z$")
axis.text(-0.15, 1.1, "lens, width $A = f/N$", ha="right", color=COLOURS[0])
axis.text(2.4, 0.95, "sensor", va="center")
axis.text(2.45, 0, "$c$", color=COLOURS[2], va="center")
axis.set(xlim=(-7.1, 3.5), ylim=(-1.3, 1.3))
axis.axis("off")
plt.show()

# %% [markdown]
# With the focal length $f$, the f-number $N$, the focus distance $z_f$ and the depth $z$, all in one unit, similar
# triangles behind the lens give the diameter on the sensor:
#
# $$c = \frac{A\,f}{z_f - f}\cdot\frac{|z - z_f|}{z}, \qquad A = \frac fN.$$
#
# An example you can do in your head: $f = 50$ mm at $N = 2$ has an opening of 25 mm. Focused at 2 m, a point at 4 m becomes
# a disc of $25 \cdot 50 / 1950 \cdot 2000/4000 = 0.32$ mm. On a sensor that is 25 mm high, this is 0.0128 of the
# picture's height. We measure in **image heights** because this number stays true at any resolution.
#
# **Question 1** (★, 25 min, 4 points). Write `circle_of_confusion`. Depth and focus come in metres and the lens in
# millimetres; most wrong answers mix them, so convert first. Depth may be a number or an array, and it may be
# `np.inf`, because stars exist: the fraction above is then $\infty/\infty$, which is not a number, although the disc
# is perfectly finite. Dividing both halves of the fraction by $z$ first helps.


# %% answer="circle_of_confusion"
def circle_of_confusion(
    depth_m: float | np.ndarray,
    focus_m: float,
    focal_mm: float,
    f_number: float,
    sensor_height_mm: float,
) -> float | np.ndarray:
    """Diameter of the disc that a point becomes, in image heights, >= 0.

    `depth_m`: a number or an array; the result has the same shape.
    """
    ### BEGIN SOLUTION
    depth_mm = 1000 * np.asarray(depth_m, dtype=float)
    focus_mm = 1000 * focus_m
    aperture_mm = focal_mm / f_number
    magnified = focal_mm * focus_mm / (focus_mm - focal_mm)
    c_mm = aperture_mm * magnified * np.abs(1 / depth_mm - 1 / focus_mm)
    return c_mm / sensor_height_mm
    ### END SOLUTION


# %% test="circle_of_confusion" points=4
known = circle_of_confusion(4.0, 2.0, 50.0, 2.0, 25.0)
assert known is not None, "your function returned nothing: is there a return?"
assert abs(known - 0.012821) < 1e-5, (
    "50 mm at f/2, focused at 2 m, a point at 4 m, a sensor of 25 mm: the "
    f"text works out 0.0128 by hand, yours is {known}. 0.0064: a radius; "
    "0.0125: zf - f became zf; 0.0256: divided by zf instead of z; 0.32: "
    "millimetres, not image heights; 0.52: metres subtracted from "
    "millimetres; a thousand times off: one length is in the wrong unit"
)
assert abs(circle_of_confusion(2.0, 2.0, 50.0, 2.0, 25.0)) < 1e-9, (
    "what lies at the focus distance is a point, not a disc"
)
before = circle_of_confusion(1.5, 2.0, 50.0, 2.0, 25.0)
assert before > 0, "a diameter is not negative, also before the focus"
several = circle_of_confusion(np.array([1.5, 4.0]), 2.0, 50.0, 2.0, 25.0)
assert np.allclose(several, [before, known]), (
    "an array of depths gives an array of diameters, each as if it were alone"
)
star = circle_of_confusion(np.inf, 2.0, 50.0, 2.0, 25.0)
assert abs(star - 0.025641) < 1e-5, (
    "infinitely far away the fraction |z - zf| / z is 1, and not nan"
)

# %% [markdown]
# > **Guess first.** We plot your diameter over *disparity*, $1/z$, instead of over depth. What shape does the curve have?
# > <details><summary>Answer</summary>A V of two straight lines, because |z - zf| / z = zf |1/zf - 1/z|. All cameras of
# > one focus have their tip at the same place, and the f-number only changes the slope. Infinity is the left end.</details>

# %% mystnb={"image": {"alt": "Diameter of the disc over disparity for f/1.8, f/4 and f/16: three Vs with a common tip at the focus of 1.5 metres, the steepest for f/1.8."}}
figure, axis = plt.subplots(figsize=(6, 2.8))
disparity = np.linspace(1e-6, 2, 201)
for n in (1.8, 4, 16):
    camera = CAMERA | {"f_number": n}
    percent = 100 * circle_of_confusion(1 / disparity, 1.5, **camera)
    axis.plot(disparity, percent, label=f"f/{n:g}")
axis.set(xlabel="disparity, 1/m", ylabel="diameter, % of height")
axis.set_title("focused at 1.5 m, that is 0.67 per metre")
axis.legend()
plt.show()

# %% [markdown]
# ## 2. What a disc says about depth
#
# A lamp in a photograph has become a disc. The camera's settings are stored in the file, so the formula can be read
# backwards: the disc gives the depth. This is called **depth from defocus**. The numbers below come from
# a seed. Your instructor sets it (in the book it is 0), so leave it as it is: the tests compute their answer from the same seed.

# %% tags=["given", "seed"]
SEED = 0

# %% tags=["given"]
rng = np.random.default_rng(SEED)
LAMP_LENS = {
    "focal_mm": float(rng.choice([35, 50, 85])),
    "f_number": float(rng.choice([1.4, 1.8, 2.0, 2.8])),
    "sensor_height_mm": 14.9,
}
LAMP_FOCUS_M = round(float(rng.uniform(1.2, 2.5)), 2)
PICTURE_PX = 400  # height of the photograph
# Lamps beyond the focus can have discs of this width, in px at f/1.
possible_px = {35.0: 13.3, 50.0: 27.3, 85.0: 80.2}[LAMP_LENS["focal_mm"]]
possible_px /= LAMP_LENS["f_number"]
DISC_PX = round(float(rng.uniform(0.4, 0.85)) * possible_px, 1)
print(LAMP_LENS, "focused at", LAMP_FOCUS_M, "m")
print(f"the lamp is {DISC_PX} px wide in a picture of {PICTURE_PX} px")

# %% [markdown]
# **Question 2** (★★, 20 min, 3 points). How far away is the lamp? There are *two* depths that make a disc of
# `DISC_PX` pixels diameter, one before the focus and one beyond it. Return both, the nearer one first. They do not lie equally far from the focus:
# ask yourself in which quantity they do.


# %% answer="lamp_depths"
def lamp_depths() -> tuple[float, float]:
    """The two depths in metres at which the lamp may be, nearer first."""
    ### BEGIN SOLUTION
    focal, n = LAMP_LENS["focal_mm"], LAMP_LENS["f_number"]
    focus_mm = 1000 * LAMP_FOCUS_M
    c_mm = DISC_PX / PICTURE_PX * LAMP_LENS["sensor_height_mm"]
    slope = (focal / n) * focal * focus_mm / (focus_mm - focal)  # mm^2
    reach = c_mm / slope  # difference of disparities, 1/mm
    nearer = 1 / (1 / focus_mm + reach)
    farther = 1 / (1 / focus_mm - reach)
    return nearer / 1000, farther / 1000
    ### END SOLUTION


# %% test="lamp_depths" points=3
found = lamp_depths()
assert found is not None, "your function returned nothing: is there a return?"
assert np.size(found) == 2, "two depths make the same disc: return both"
assert 0 < found[0] < LAMP_FOCUS_M < found[1], (
    "one lamp stands before the focus and comes first, one beyond it"
)
assert abs((found[1] - LAMP_FOCUS_M) - (LAMP_FOCUS_M - found[0])) > 0.01, (
    "blur is not linear in depth, so the two are not equally far in metres"
)

# %% [markdown]
# That test is lenient, since it does not know how large your lamps' discs would be. The picture knows. It puts your lamps into your own formula of
# question 1, and both dots must lie on the curve. If the discs printed above it are half or twice what was measured, a
# diameter has been taken for a radius; if they are far off, some length is in the wrong unit.

# %% mystnb={"image": {"alt": "The disc's diameter over depth for the lamp's camera. A horizontal line, the measured disc, cuts the curve at two depths, one before the focus and one beyond it, which is farther from the focus."}}
figure, axis = plt.subplots(figsize=(6, 2.8))
z = np.geomspace(0.5, 3 * lamp_depths()[1], 400)
diameter = circle_of_confusion(z, LAMP_FOCUS_M, **LAMP_LENS)
for lamp in lamp_depths():
    c = PICTURE_PX * circle_of_confusion(lamp, LAMP_FOCUS_M, **LAMP_LENS)
    print(f"{lamp:.3g} m: a disc of {c:.1f} px; measured: {DISC_PX} px")
axis.plot(z, PICTURE_PX * diameter)
axis.axhline(DISC_PX, color="0.4", lw=1, ls="--")
for lamp in lamp_depths():
    axis.plot(lamp, DISC_PX, "o", color=COLOURS[1], ms=8)
axis.set(xlabel="depth, m", ylabel="diameter, px", ylim=(0, 3 * DISC_PX))
axis.set_title("one disc, two depths")
plt.show()

# %% [markdown]
# The picture alone does not say which of the two it is. Depth from defocus needs a second hint, for example a
# second photograph with another focus, or a net that has seen many lamps.

# %% [markdown]
# ## 3. Everybody sharp
#
# Now the opposite wish. A choir stands in rows, the nearest singer at 2 m and the farthest at 6 m, and nobody may be
# soft. A disc below some **limit** looks sharp, say 0.002 image heights. A small opening makes everything sharp but
# lets in little light, so a photographer wants the *smallest* f-number, which is the widest opening, that is just large enough. It depends on
# where one focuses.
#
# > **Guess first.** Where should the focus be: at 4 m, the middle; at 3 m; or at 2 m, on the first row?
# > <details><summary>Answer</summary>At 3 m. The diameter is a V over disparity, so the larger of the two ends is smallest
# > when the tip is in the middle of the *disparities* 1/2 and 1/6. That is 1/3.</details>
#
# **Question 3** (★★, 25 min, 4 points). Write `settings_for_group`, which returns the best focus distance in metres and the smallest f-number
# with which discs between `near_m` and `far_m` are at most `limit`. `far_m` may be `np.inf`, for a choir before mountains.


# %% answer="settings_for_group"
def settings_for_group(
    near_m: float,
    far_m: float,
    focal_mm: float,
    sensor_height_mm: float,
    limit: float,
) -> tuple[float, float]:
    """Focus in metres and the smallest f-number that keeps all sharp.

    `limit` is the largest diameter that looks sharp, in image heights.
    """
    ### BEGIN SOLUTION
    focus_m = 2 / (1 / near_m + 1 / far_m)
    focus_mm = 1000 * focus_m
    # The diameter at both ends is (f^2 / N) * magnified * reach.
    reach = (1 / near_m - 1 / far_m) / 2 / 1000  # 1/mm
    magnified = focus_mm / (focus_mm - focal_mm)
    f_number = focal_mm**2 * magnified * reach / (limit * sensor_height_mm)
    return focus_m, f_number
    ### END SOLUTION


# %% test="settings_for_group" points=4
group = settings_for_group(2.0, 6.0, 50.0, 14.9, 0.002)
assert group is not None, "your function returned nothing: is there a return?"
assert len(group) == 2, "return two numbers: the focus and the f-number"
assert abs(group[0] - 3) < 0.003, (
    "the focus lies in the middle of the disparities, not of the depths"
)
assert abs(group[1] / 14.219 - 1) < 2e-3, (
    f"the choir needs f/14.2, yours is f/{group[1]:.4g}. Twice that: each end "
    "is only half of the range away from the focus, in disparity. Half of "
    "it: `limit` is a diameter. Thousands of times off: mixed units"
)
twice = settings_for_group(2.0, 6.0, 50.0, 14.9, 0.004)
assert abs(twice[1] / group[1] - 0.5) < 1e-3, (
    "a limit twice as large allows an opening twice as wide, half the f-number"
)
mountains = settings_for_group(2.0, np.inf, 50.0, 14.9, 0.002)
assert abs(mountains[0] - 4) < 0.004, (
    "to be sharp from z to infinity, one focuses at 2 z: half the disparity"
)
assert abs(mountains[1] / 21.239 - 1) < 2e-3, (
    f"before mountains the choir needs f/21.2, yours is f/{mountains[1]:.4g}: "
    "one end is the first row, the other has a disparity of 0"
)

# %% mystnb={"image": {"alt": "Two curves of the diameter over depth between two and six metres. Focused at three metres, both ends are exactly at the limit. Focused at four metres with the same opening, the first row is far above the limit."}}
focus_m, n = settings_for_group(2.0, 6.0, 50.0, 14.9, 0.002)
figure, axis = plt.subplots(figsize=(6, 2.8))
z = np.linspace(2, 6, 200)
for f in (focus_m, 4.0):
    axis.plot(
        z,
        100 * circle_of_confusion(z, f, 50.0, n, 14.9),
        label=f"focused at {f:.3g} m",
    )
axis.axhline(0.2, color="0.4", lw=1, ls="--")
axis.set(xlabel="depth, m", ylabel="diameter, % of height")
axis.set_title(f"50 mm at f/{n:.3g}; dashed: the limit")
axis.legend()
plt.show()

# %% [markdown]
# With the focus in the middle of the depths, the last row is sharper than it needs to be and the first row is soft.
#
# ## 4. Light adds up
#
# A soft pixel is an average of what the lens's opening sees. The average is one of *light*: photons from everywhere land in one
# place. A picture file holds no light. It holds sRGB values, which a curve has bent so that dark tones get more steps. If you
# average those, you average the bent numbers.
#
# The smallest example has two pixels, one black (0) and one white (1). Their average light is 0.5, and the sRGB
# value of that is 0.735. The average of the values is 0.5, which stands for a fifth of white's light: far too dark.
#
# **Question 4** (★, 15 min, 3 points). Write `average_light`: the colour of one soft pixel that sees the pixels of
# `patch` with the given `weights`. The weights say how much of the opening looks at each pixel, and they need not add up to one. The functions
# `srgb_to_linear` and `linear_to_srgb` are imported; the question is where they belong.


# %% answer="average_light"
def average_light(patch: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The sRGB colour (3,) of a pixel that sees a patch.

    `patch`: (H, W, 3) sRGB in [0, 1]; `weights`: (H, W), >= 0, of any sum.
    """
    ### BEGIN SOLUTION
    light = srgb_to_linear(patch)
    total = (light * weights[..., None]).sum(axis=(0, 1))
    return linear_to_srgb(total / weights.sum())
    ### END SOLUTION


# %% test="average_light" points=3
two = np.array([[[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]])
colour = average_light(two, np.array([[1.0, 1.0]]))
assert colour is not None, "your function returned nothing: is there a return?"
assert np.size(colour) == 3, "one number for each of red, green and blue"
assert np.allclose(np.ravel(colour), 0.7354, atol=1e-3), (
    f"half of the light is the value 0.735, yours is {np.ravel(colour)}. 0.5: "
    "the average is of values, or it is of light and has not been turned back "
    "into a value; 0.21: the two curves are swapped; 0.73: a plain power of "
    "2.2; 1: the sum has not been divided by the weights"
)
flat = np.full((2, 2, 3), 0.25)
colour = average_light(flat, np.ones((2, 2)))
assert np.allclose(np.ravel(colour), 0.25, atol=1e-3), (
    f"an even patch of 0.25 keeps its colour, yours is {np.ravel(colour)}. "
    "0.54: the values were averaged as if they were light already; black and "
    "white cannot show this, because 0 and 1 are the same as values and light"
)
colour = average_light(flat, np.full((2, 2), 3.0))
assert np.allclose(np.ravel(colour), 0.25, atol=1e-3), (
    "an even patch keeps its colour, also where the weights add up to 12"
)
two[0, 1, 1] = 0  # the white pixel is magenta now
colour = average_light(two, np.array([[3.0, 1.0]]))
assert np.allclose(np.ravel(colour), [0.5371, 0, 0.5371], atol=1e-3), (
    "three parts black and one part magenta: a quarter of the red light, none "
    "of the green, a quarter of the blue. The weights count light, and each "
    "channel is averaged by itself"
)

# %% mystnb={"image": {"alt": "A soft transition from red to green, twice. Averaged as values, the middle is a dark muddy brown. Averaged as light, the middle is a lighter golden yellow."}}
edge = np.zeros((1, 121, 3))
edge[:, :60, 0] = 1
edge[:, 60:, 1] = 0.9
soft = {"average of values": [], "average of light: yours": []}
for x in range(20, 101):
    patch = edge[:, x - 20 : x + 21]
    soft["average of values"].append(patch.mean(axis=(0, 1)))
    colour = average_light(patch, np.ones(patch.shape[:2]))
    soft["average of light: yours"].append(np.ravel(colour))
strips = [np.tile(np.array(row)[None], (24, 1, 1)) for row in soft.values()]
pictures(strips, list(soft), height=1.5)
plt.show()

# %% [markdown]
# Between red and green, values pass through mud, because half the value stands for much less than half of the light.
# Light passes through a golden yellow, and so does a lens. The jump where the right strip's transition begins and ends is no mistake of yours: the
# first green pixel in a red patch adds a fiftieth of white's light, and the curve is so steep near zero that the value of this is 0.15.
#
# ## 5. A blur with the shape of a lens
#
# A Gaussian filter turns a lamp into a soft spot. A lens turns it into an evenly lit **disc**, because the cone of light fills
# the round opening evenly. So the blur is an average over a disc. On a grid of pixels its rim needs care, or small discs
# would be crosses and squares: a pixel at distance $d$ from the centre has the weight
#
# $$w = \mathrm{clip}(r + \tfrac12 - d,\ 0,\ 1),$$
#
# divided by the sum of all weights. For $r = 1$, before the division, the kernel is small enough to write down:
#
# | | | |
# |---|---|---|
# | 0.086 | 0.5 | 0.086 |
# | 0.5 | 1 | 0.5 |
# | 0.086 | 0.5 | 0.086 |
#
# At the border of the picture the disc reaches outside. There the picture is continued as in a mirror that stands *on*
# the last pixel, so that this pixel is not repeated: `3 2 | 1 2 3 4 | 3 2`. Every library has this border under another
# name: `cv2.BORDER_REFLECT_101`, `mode="reflect"` of `np.pad`, `mode="mirror"` of SciPy. (SciPy's `"reflect"` repeats the
# last pixel.)
#
# **Question 5** (★★, 45 min, 5 points). Write `blur_layer`. The layer is light, with or without channels, and every
# channel is blurred alike. A radius may be a fraction, and 0 leaves the layer as it is. A loop over the kernel's
# offsets, `scipy.ndimage` or `cv2.filter2D` are all right; the kernel must be your own. They differ in speed: the three photographs
# of part 8 take two seconds with `cv2.filter2D`, about twenty with SciPy, and with a loop over half a minute. They also differ in what they return:
# `cv2.filter2D` drops the last axis of a layer (H, W, 1). Do not change the layer in place.


# %% answer="blur_layer"
def blur_layer(layer: np.ndarray, radius_px: float) -> np.ndarray:
    """Average a layer over a disc; the same shape.

    `layer`: (H, W) or (H, W, C) floats, light; `radius_px` >= 0.
    """
    ### BEGIN SOLUTION
    reach = math.ceil(max(radius_px - 0.5, 0))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.clip(radius_px + 0.5 - np.hypot(y, x), 0, 1)
    kernel /= kernel.sum()
    border = cv2.BORDER_REFLECT_101
    blurred = cv2.filter2D(layer, -1, kernel, borderType=border)
    return blurred.reshape(layer.shape)  # OpenCV drops a single channel
    ### END SOLUTION


# %% test="blur_layer" points=5
lamp = np.zeros((7, 9))
lamp[3, 4] = 1
disc = blur_layer(lamp, 1.0)
assert disc is not None, "your function returned nothing: is there a return?"
assert disc.shape == lamp.shape, "the picture keeps its shape"
assert lamp[3, 4] == 1, "the layer itself was changed; return a new one"
assert abs(disc.sum() - 1) < 1e-4, (
    "light is only spread, neither made nor lost: divide by the weights' sum"
)
assert abs(disc[3, 5] / disc[3, 4] - 0.5) < 1e-3, (
    "for a radius of 1 the pixel beside the middle has half its weight"
)
assert abs(disc[2, 3] / disc[3, 4] - 0.0858) < 1e-3, (
    "the diagonal is sqrt(2) away: distance is not counted in steps"
)
assert np.allclose(blur_layer(lamp, 0.0), lamp, atol=1e-6), (
    "a radius of 0 changes nothing: the kernel is then a single weight of 1"
)
corner = np.zeros((7, 9))
corner[0, 0] = 1
assert abs(blur_layer(corner, 1.0)[0, 0] / disc[3, 4] - 1) < 1e-3, (
    "the mirror stands on the last pixel: a lamp in the corner is not doubled"
)
second = np.zeros((7, 9))
second[3, 1] = 1
assert abs(blur_layer(second, 1.0)[3, 0] / disc[3, 5] - 2) < 1e-3, (
    "the first column sees a lamp in the second one twice, directly and in "
    "the mirror: beyond the border there is neither black nor the last pixel"
)
assert np.allclose(blur_layer(np.full((9, 8), 0.5), 2.5), 0.5, atol=1e-4), (
    "an even picture stays even, up to its border"
)
disc = blur_layer(lamp, 1.6)
assert abs(disc[3, 6] / disc[3, 4] - 0.1) < 1e-3, (
    "for a radius of 1.6 the pixel two steps away has a tenth of the middle's "
    "weight: a radius is not rounded, and the kernel has to reach the rim"
)
disc = blur_layer(lamp, 1.0)
colours = np.dstack([lamp, 2 * lamp, 0 * lamp, lamp])
assert np.allclose(blur_layer(colours, 1.0)[..., 1], 2 * disc, atol=1e-5), (
    "each channel is blurred by itself, and light may exceed 1"
)
assert blur_layer(lamp[..., None], 1.0).shape == (7, 9, 1), (
    "a single channel is a channel, too: cv2.filter2D drops its axis, and "
    "your function has to give it back"
)

# %% [markdown]
# ### Milestone 1: your lens draws bokeh
#
# A street at night, photographed with the focus on somebody 1 m away, who is not drawn. Each lamp is a single pixel with a lot of light, and each has
# its depth. Your formula says how large its disc is, your blur draws it, and light adds up. This picture is yours:
# it is saved as `milestone-1-disc.png`.

# %% mystnb={"image": {"alt": "A dark street at night in which lamps have become evenly lit, overlapping discs of warm and cold colours: large ones high up for far lamps, smaller ones for lamps nearer to the focus."}}
street = np.random.default_rng(7)
height, width = 360, 600
dusk = np.linspace(0.012, 0.002, height)[:, None, None]
light = dusk * np.array([0.35, 0.5, 1.0]) * np.ones((1, width, 1))
warm, white = [1, 0.55, 0.15], [1, 0.75, 0.4]
palette = np.array([warm, white, [1, 0.2, 0.1], [0.4, 0.7, 1]])
for depth in (1.25, 1.6, 2.5, 5.0, 15.0, 60.0):
    lamps = np.zeros((height, width, 3))
    share = (1 - 1 / depth) / (1 - 1 / 60)  # far lamps stand higher
    for _ in range(9):
        y = int(height * (0.9 - 0.65 * share))
        y = np.clip(y + street.integers(-39, 40), 0, height - 1)
        x = street.integers(0, width)
        colour = palette[street.integers(4)]
        lamps[y, x] = street.uniform(0.1, 0.45) * colour
    c = circle_of_confusion(depth, 1.0, 50.0, 1.4, 14.9) * height  # px
    area = math.pi * max(c / 2, 1) ** 2  # so that all discs are seen alike
    light = light + blur_layer(area * lamps, c / 2)
night = linear_to_srgb(np.clip(light, 0, 1))
figure = pictures([night], ["50 mm at f/1.4, focused at 1 m"], height=4.7)
figure.savefig("milestone-1-disc.png")
plt.show()

# %% [markdown]
# ## 6. One picture over another
#
# A scene is more than lamps. Near things hide far ones, and the soft rim of a near thing hides them in part. How
# much a pixel hides is its coverage, **alpha**. We store colour times alpha, the light that the layer really sends: **premultiplied** colour. A leaf
# (green light 0.8) that covers a quarter of a pixel is stored as $(0, 0.2, 0, 0.25)$.
#
# Lay it over a white wall, $(1, 1, 1, 1)$. The leaf adds its own light, and three quarters of the wall's light pass it:
# $(0.75,\ 0.95,\ 0.75,\ 1)$. This is **alpha over**, and it treats the fourth channel like the other three.
#
# **Question 6** (★, 15 min, 3 points). Write `over` for two premultiplied layers, whose light may exceed 1 because lamps do. If your formula multiplies
# the front's colour by its alpha, ask yourself how often that has now been done.


# %% answer="over"
def over(front: np.ndarray, back: np.ndarray) -> np.ndarray:
    """What is seen where `front` lies before `back`; (H, W, 4).

    Both are (H, W, 4): premultiplied red, green, blue, and alpha.
    """
    ### BEGIN SOLUTION
    return front + (1 - front[..., 3:]) * back
    ### END SOLUTION


# %% test="over" points=3
leaf = np.array([[[0.0, 0.2, 0.0, 0.25]]])
wall = np.ones((1, 1, 4))
seen = over(leaf, wall)
assert seen is not None, "your function returned nothing: is there a return?"
assert np.shape(seen) == (1, 1, 4), "the result is a layer, with its alpha"
assert leaf[0, 0, 3] == 0.25 and (wall == 1).all(), (
    "one of the two layers was changed; return a new one"
)
assert np.allclose(seen, [[[0.75, 0.95, 0.75, 1.0]]]), (
    "the leaf on the white wall: the text works it out by hand"
)
pair = np.asarray(over(leaf, leaf))
assert abs(pair[0, 0, 3] - 0.4375) < 1e-6, (
    "a second leaf covers a quarter of what the first lets through"
)
assert np.allclose(over(np.zeros((1, 1, 4)), leaf), leaf), (
    "an empty layer hides nothing, so the layer behind it comes out unchanged"
)
lamp = np.array([[[3.0, 2.0, 1.0, 0.5]]])
assert np.allclose(over(lamp, wall), [[[3.5, 2.5, 1.5, 1.0]]]), (
    "a lamp's light may exceed 1, so nothing is clipped here: the file's "
    "limit is for the finished picture"
)

# %% [markdown]
# Why premultiplied? Because a blur averages light, and a pixel that is not covered sends none. In *straight* storage such a pixel still has
# a colour, often black, that nobody sees, until a blur drags it in.

# %% mystnb={"image": {"alt": "A soft orange ball before a bright wall, twice. Blurred as straight colour it has a dark ring around it. Blurred as premultiplied colour its rim melts into the wall."}}
y, x = np.mgrid[-50:50, -70:70]
alpha = (np.hypot(y, x) < 30).astype(float)
straight = np.dstack([alpha, 0.4 * alpha, 0.05 * alpha, alpha])  # else black
wall = np.ones((100, 140, 4)) * np.array([0.7, 0.75, 0.8, 1.0])
dragged = blur_layer(straight, 14.0)
dragged[..., :3] *= dragged[..., 3:]  # multiplied after the blur: too late
right = blur_layer(straight, 14.0)  # with alpha 0 or 1 it is premultiplied
seen = [over(front, wall)[..., :3] for front in (dragged, right)]
pictures(
    [linear_to_srgb(np.clip(light, 0, 1)) for light in seen],
    ["multiplied after the blur", "premultiplied: right"],
)
plt.show()

# %% [markdown]
# ## 7. From a depth map to layers
#
# One blur has one radius, but a scene has as many radii as depths. So we cut it into layers, each of nearly one radius, and
# blur them one by one. Where should the cuts be? Blur is linear in disparity. Cuts at equal steps of *disparity* therefore
# give equal steps of radius, and no layer is worse than another. Equal steps of depth would spend nearly all layers on the far
# end, where blur hardly changes.
#
# For example, let a scene reach from 1 m to infinity, and cut it into four layers. The disparities go from 0 to 1, so the cuts are at 0.25,
# 0.5 and 0.75, that is at 4 m, 2 m and 1.33 m. Half of the layers are spent on the first metre behind the nearest thing.
#
# **Question 7** (★★, 25 min, 3 points). Write `disparity_layers`: the number of the layer in which each pixel lies. Layer 0 is the
# *farthest*, since one paints from far to near, and layer `count - 1` the nearest. What is beyond the range belongs to the first or
# last layer, and what lies exactly on a cut belongs to the nearer of its two layers. The nearest pixel itself is the usual
# trap: it must not get a layer of its own.


# %% answer="disparity_layers"
def disparity_layers(
    depth_m: np.ndarray, nearest_m: float, farthest_m: float, count: int
) -> np.ndarray:
    """Each pixel's layer, a whole number: 0 (farthest) to count - 1.

    `depth_m`: (H, W) in metres. Layers are equal steps of disparity from
    1 / farthest_m (which may be 0) to 1 / nearest_m.
    """
    ### BEGIN SOLUTION
    far, near = 1 / farthest_m, 1 / nearest_m
    steps = count * (1 / depth_m - far) / (near - far)
    return np.clip(np.floor(steps), 0, count - 1).astype(int)
    ### END SOLUTION


# %% test="disparity_layers" points=3
depths = np.array([[1.0, 1.2, 1.7], [2.5, 5.0, 100.0]])
layers = disparity_layers(depths, 1.0, np.inf, 4)
assert layers is not None, "your function returned nothing: is there a return?"
assert np.shape(layers) == (2, 3), "one number for each pixel"
layers = np.asarray(layers)
assert layers[1, 2] == 0, "the farthest layer is number 0"
assert layers[0, 0] == 3, "the nearest pixel lies in layer count - 1"
assert layers.tolist() == [[3, 3, 2], [1, 0, 0]], (
    "from 1 m to infinity the cuts are at 4 m, 2 m and 1.33 m: see the text"
)
beyond = np.array([[0.5, 9.0]])
layers = np.asarray(disparity_layers(beyond, 1.0, 2.0, 3))
assert layers.tolist() == [[2, 0]], (
    "what is beyond the range goes to the first and to the last layer"
)
cuts = np.array([[4.0, 2.0]])
layers = np.asarray(disparity_layers(cuts, 1.0, np.inf, 4))
assert layers.tolist() == [[1, 2]], (
    "4 m and 2 m are cuts of the range from 1 m to infinity, which the "
    "arguments say and not the picture; a cut belongs to the nearer layer"
)

# %% [markdown]
# ## 8. A photograph
#
# You now have all the parts. The loop below is given, because it is short and says what you have built: from far to near, take the
# pixels of a layer, blur them and their coverage with that layer's disc, and lay them over what is there already. Near the
# edges of things some coverage is missing, because the picture does not show what a near thing hides; dividing by the
# coverage at the end fills such gaps with what is visible beside them.


# %%
def photograph(picture, depth_m, focus_m, camera, count=24):
    """Your lens: (H, W, 3) sRGB and (H, W) metres to sRGB with bokeh."""
    nearest, farthest = depth_m.min(), depth_m.max()
    index = disparity_layers(depth_m, nearest, farthest, count)
    subject = np.array([[focus_m]])
    focused = disparity_layers(subject, nearest, farthest, count)
    step = (1 / nearest - 1 / farthest) / count
    light = srgb_to_linear(picture)
    seen = np.zeros((*depth_m.shape, 4))
    for number in range(count):  # far to near
        mask = (index == number).astype(float)
        middle = 1 / (1 / farthest + (number + 0.5) * step)
        diameter = circle_of_confusion(middle, focus_m, **camera)
        radius_px = len(picture) * diameter / 2
        if number == focused[0, 0]:
            radius_px = 0.0
        layer = np.dstack([light * mask[..., None], mask])
        seen = over(blur_layer(layer, radius_px), seen)
    colour = seen[..., :3] / np.maximum(seen[..., 3:], 1e-6)
    return linear_to_srgb(np.clip(colour, 0, 1))


# %% [markdown]
# Give the path of **a photograph of your own**; JPEG, PNG, WebP and TIFF are read, and the bundled depth net guesses its depth.
# A clear subject one to three metres away and something far behind it work best. With `None` you get a motorcycle in a
# garage (Scharstein et al. 2014), whose depth was measured.

# %%
PHOTO = None  # for example "me-and-my-bicycle.jpg"
FOCUS_M = None  # metres; None: what is in the middle of the picture

# %% mystnb={"image": {"alt": "A red motorcycle in a garage, all sharp, and a map of its 24 layers: the front wheel and the floor before it belong to the nearest layers, the shelves and the wall to the farthest."}}
from bradcn_nb.data.depth_maps import fill_unknown
from bradcn_nb.experiments.motorcycle import motorcycle
from bradcn_nb.lens.by_depth import default_focus
from bradcn_nb.lens.thin_lens import resize
from bradcn_nb.photograph import read_with_depth

if PHOTO is None:
    measured = motorcycle()
    picture = measured.image
    depth_m = fill_unknown(measured.depth, ~measured.known)
else:
    picture, depth_m, notes = read_with_depth(PHOTO)
    shrink = 640 / max(picture.shape)
    if shrink < 1:
        height, width = (round(n * shrink) for n in depth_m.shape)
        picture = np.clip(resize(picture, (height, width)), 0, 1)
        depth_m = 1 / resize(1 / depth_m, (height, width))
focus_m = FOCUS_M or default_focus(depth_m)
print(picture.shape, f"{depth_m.min():.3g} to {depth_m.max():.3g} m")
print(f"focused at {focus_m:.3g} m")
index = disparity_layers(depth_m, depth_m.min(), depth_m.max(), 24)
pictures([picture, index], ["all sharp", "layers, yellow is near"])
plt.show()

# %% [markdown]
# > **Guess first.** We focus once on the subject and once on the far wall. In which picture will your lens make visible
# > mistakes at the outline of the subject?
# > <details><summary>Answer</summary>In the second. A sharp thing before a soft wall hides what is missing. A
# > soft thing becomes transparent at its rim and shows a sharp wall there that the picture does not contain; the loop has nothing but the
# > smeared neighbourhood to put in.</details>

# %% mystnb={"image": {"alt": "The motorcycle twice through an 85 mm lens at f/1.4. Left, the motorcycle's engine and tank are sharp and shelves and bench behind it are soft. Right, the shelves are sharp and the motorcycle is soft, with smeared patches along its outline."}}
PORTRAIT_LENS = {"focal_mm": 85.0, "f_number": 1.4, "sensor_height_mm": 14.9}
far_m = float(np.percentile(depth_m, 90))
mine = photograph(picture, depth_m, focus_m, PORTRAIT_LENS)
wall = photograph(picture, depth_m, far_m, PORTRAIT_LENS)
pictures([mine, wall], [f"at {focus_m:.3g} m", f"at {far_m:.3g} m"], 2.8)
plt.show()

# %% [markdown]
# And large, the one to keep, with the lens opened as far as it goes. It is saved, pixel for pixel, as `milestone-1-portrait.png`: open
# the file and enlarge it before you answer the next question. At f/1.2 only a few centimetres of depth are sharp, so parts of a subject that
# reach out of them are soft, as they would be through a real lens.

# %% mystnb={"image": {"alt": "The motorcycle, large, through the student's own lens. Engine and tank are sharp, headlamp and rear lamp a little soft, shelves and bench behind it very soft."}}
wide_open = PORTRAIT_LENS | {"f_number": 1.2}
portrait = photograph(picture, depth_m, focus_m, wide_open)
pictures([portrait], ["85 mm at f/1.2, through a lens of your own"], 5.2)
plt.imsave("milestone-1-portrait.png", np.clip(portrait, 0, 1))
plt.show()

# %% [markdown]
# **Question 8** (★★, 15 min, 2 points, marked by a person). Look closely at your pictures. Name two places where they are *wrong*, that is, where a real
# lens would have drawn something else. For each, say which simplification of the program is the reason, and what the
# program would have to know or do to get it right.

# %% [markdown] essay="where_it_fails" points=2
# ### BEGIN SOLUTION
# First, the outline of the soft motorcycle in the picture that is focused on the wall. A real lens sees past the handlebar on
# both sides, so that sharp shelves show through its soft rim. The program has one photograph, in which those shelves are
# hidden, and divides by the coverage, which smears the neighbours into the gap. It would have to invent what is hidden
# (inpainting), or have a second photograph from the side.
#
# Second, the bright spots on the chrome and the headlamp. The file clips them at 1, so that their discs come out grey and are hardly
# seen, where a lens would draw bright discs. The program would need the light before clipping, for example from a raw file
# or several exposures.
# ### END SOLUTION

# %% [markdown]
# **Question 9** (★★★, 30 min, 3 points, marked by a person; open). A café window. You stand 0.5 m before the glass, and through it you see a person who
# sits 1 m behind it, 1.5 m from you. The same glass mirrors the street at your back, with lamps on your side of the glass and 20 m from it.
# A depth map has *one* number per pixel.
#
# What is sharp in a real photograph that is focused on the person, and at what depth would you have to focus to get the mirrored lamps sharp? What
# does your renderer draw, whichever number the depth map holds there? Propose a representation of the scene with which a
# renderer could be right, say how `over` has to change or why it need not, and how one could get this representation
# from a single photograph, or why one cannot. The book has no answer to this, so argue.

# %% [markdown] essay="two_depths" points=3
# ### BEGIN SOLUTION
# A mirror shows a virtual picture *behind* the glass: light from the lamps has travelled from lamp to glass and from glass to lens. I
# stand 0.5 m before it, so the lamps are sharp when I focus at 20 + 0.5 = 20.5 m, and neither at 20 m nor on the glass. Focused on the person,
# the lamps are discs, nearly as large as those of stars, and they lie over the person's sharp face.
#
# My renderer has one depth, so both are blurred alike. With the person's depth the lamps stay sharp points, with the lamps' depth the face is
# dissolved, and with the glass's depth neither is right.
#
# A pixel needs a list: transmitted light with depth 1.5 m and coverage 1, mirrored light with depth 20.5 m and coverage 0. Both
# are blurred with their own disc and added. `over` need not change: premultiplied light with alpha 0 adds without
# hiding anything. (The glass takes some of the person's light; that is a factor on the layer behind, which belongs into
# its colour.) The order far to near fails, however, since the mirrored light has to be added at the glass, after whatever lies behind it,
# although its depth is larger. So order and blur radius are two separate numbers.
#
# From one photograph the split is ambiguous: any share of the brightness may belong to either. Priors help, because both parts look
# like natural pictures, one of them is often soft or doubled by the two sides of the pane, and a moving camera or a polariser would separate them. I
# would train on sums of two photographs, whose parts are known, and test on real panes photographed with and without black cloth
# behind the camera.
# ### END SOLUTION

# %% [markdown]
# ## What you have now
#
# - The circle of confusion is a straight V over disparity. Everything else in this assignment leaned on that: two lamps for one
#   disc, the focus for a choir, the cuts between layers.
# - Light is averaged, values are not, and what is not covered sends no light.
# - Your lens fails where one sharp photograph lacks something: what is hidden, and what was clipped. A net can learn to guess both, and the rest
#   of the course builds one.
#
# `circle_of_confusion` and `blur_layer` are two of the twelve functions that you can plug into the bundled net and renderer.
#
# ## References
#
# - Potmesil and Chakravarty 1981. *A Lens and Aperture Camera Model for Synthetic Image Generation.*
# - Porter and Duff 1984. *Compositing Digital Images.* Alpha over.
# - Scharstein et al. 2014. *High-Resolution Stereo Datasets with Subpixel-Accurate Ground Truth.* The motorcycle.
