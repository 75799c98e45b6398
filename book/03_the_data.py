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
# # 3. The data
#
# A net learns what its data shows, and is judged by what its data holds back. The paper uses two data sets. One
# has pairs of photographs: sharp and soft. The other has photographs with measured depth. This chapter opens
# both, looks for what is wrong with them, and shows how a careless split makes a net look better than it is.
#
# **You will be able to**
#
# - say what a pair of EBB! is, and in what its two pictures differ besides the blur;
# - measure how well a pair is aligned, and what a bad pair costs;
# - decode a depth map of SUN RGB-D, down to its bits;
# - explain holes, noise and clipping, and what each does to the labels of Eq. 2, the depth error $De = |Do - D_{gt}|$ (predicted minus measured depth);
# - show that a random split leaks, and draw one that does not;
# - say how this book's own small data sets were made.
#
# **Before this**: chapter 1 (circle of confusion, f-number). NumPy; PyTorch's `Dataset`.
#
# **Time and memory**: about 20 s on one laptop-class core, about 1 GB. No download, no GPU.

# %% [markdown]
# ## Setup

# %% tags=["hide-input", "setup"] mystnb={"code_prompt_show": "Show the set-up", "code_prompt_hide": "Hide the set-up"}
# On Colab this fetches the book's package; elsewhere it is there already.
from importlib.util import find_spec

if find_spec("bradcn_nb") is None:
    raise ModuleNotFoundError("no bradcn_nb: the page On Colab says how")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the imports", "code_prompt_hide": "Hide the imports"}
import json
from dataclasses import replace

import cv2
import numpy as np
import torch
from IPython.display import HTML
from matplotlib import pyplot as plt
from PIL import Image

from bradcn_nb.data import EBB, EBB_SPLITS, SUN_SENSORS, SUNRGBD, decode_depth, leaks, split_frames
from bradcn_nb.data.bundle import EBB_SEED, SUN_SEED, SUN_SIZE, ebb_files, grey_levels_apart
from bradcn_nb.figures.page import data_uri
from bradcn_nb.figures.plots import COLOURS, grid, show, use_style
from bradcn_nb.files import data_root
from bradcn_nb.lens.reference import composite, lens_view
from bradcn_nb.lens.thin_lens import linear_to_srgb
from bradcn_nb.presets import preset
from bradcn_nb.scenes import outdoor_scene, room_scene

use_style()
cv2.setNumThreads(1)
torch.set_num_threads(1)
mini = preset("mini").data

# %% [markdown]
# ## What the paper says
#
# Section IV-A ([Liu et al. 2023](bibliography.md)) names both data sets. First the pairs:
#
# > "The EBB! dataset, short for "Everything is Better with Bokeh!", is a collection of over 5,000 image pairs that
# > were captured in an outdoor scene using a Canon 7D DSLR camera. The image pairs in EBB! consist of an
# > all-in-focus image captured using an aperture of f/16 and a bokeh-effect image captured using a wide aperture of
# > f/1.8. Each image pair has a resolution of 1024 x 1536. For this study, 4400 image pairs were selected for
# > training and 294 pairs were used for testing, following the same protocol as in [4]."
#
# Then the depth:
#
# > "The SUNRGBD dataset was published by the Vision Robotics Group of Princeton University and contains more than
# > 10,000 images with corresponding depth information. For training the Adaptive Depth Calibration Network (ADCN),
# > 6545 image pairs were choosed randomly, and 700 pairs were used for testing"
#
# And what opening the files says:
#
# | | The paper | The files |
# |---|---|---|
# | EBB!, pairs | over 5,000 | 4,694 whose soft picture was published: 4,400 + 294 |
# | EBB!, size | 1024 x 1536 | all are 1024 high; the 294 are 1,466 to 1,725 wide ([`val294-size`](ledger.md#val294-size)) |
# | EBB!, all in focus | at f/16 | nearly: f/16 blurs, too. See below |
# | SUN RGB-D, frames | more than 10,000 | 10,335, of four kinds of sensor |
# | SUN RGB-D, split | "completely random" | leaks in two ways. See below ([`sun-leak`](ledger.md#sun-leak)) |
#
# The words in code type are entries of the [ledger](ledger.md).
#
# Neither set may be copied into a book, and EBB! is handed out on request only. So the book brings two small
# sets of its own, **mini-EBB** and **mini-SUN**. They are generated, but lie on the disk in just the layout and the
# encodings of the real ones. The same readers read both. What you learn here about *files* is true for the real
# sets. What you see about *pictures* is true for the generated ones, and the text says so where it matters.

# %% [markdown]
# ## A pair

# %%
train = EBB(data_root() / "mini-ebb", "train")
test = EBB(data_root() / "mini-ebb", "test")
print(f"{len(train)} pairs to train on, {len(test)} to test on")
for key, value in train[0].items():
    print(f"  {key:6}", value if key == "id" else f"{tuple(value.shape)} from 0 to 1")

# %% mystnb={"image": {"alt": "Three pairs in rows. Left the sharp picture, in the middle the same scene with a soft background, right a map of their difference: near zero on the subject, largest on busy parts of the background."}}
chosen = [train[i] for i in (110, 174, 97)]
rows = []
for pair in chosen:
    difference = (pair["image"] - pair["bokeh"]).abs().mean(0)
    rows += [pair["image"], pair["bokeh"], difference]
titles = ["original", "bokeh", "difference"] + [""] * 6
grid(rows, titles, columns=3, unit=["", "", "of white"] * 3, limits=[None, None, (0, 0.4)] * 3)

# %% [markdown]
# That is all that a net gets: the left column, and the middle one to compare with. Nobody tells it which thing
# the photographer focused on. Nobody tells it the distance of anything. It has to find out that the map on the
# right is dark where the subject is, and why.
#
# **The split goes by number.** Every pair has one: the name of its two files. Numbers below 4400 train, the rest
# test. The 294 test pairs are what the field calls *Val294*. Mini-EBB uses the same numbers, so that the same line
# of code splits it.

# %%
for split, numbers in EBB_SPLITS.items():
    print(f"{split:5} {numbers.start:4} to {numbers.stop - 1}: {len(numbers)} pairs")
assert [len(numbers) for numbers in EBB_SPLITS.values()] == [4400, 294]
assert not {pair[0] for pair in train.pairs} & {pair[0] for pair in test.pairs}
show(EBB.read)

# %% [markdown]
# ## What else differs in a pair
#
# The two photographs of a pair were taken one after the other, with the same camera. Between them one setting
# was changed: the aperture. Three things change besides the background.
#
# **1. The sharp one is not quite sharp.** Chapter 1 computed it: f/16 blurs by a disc that is
# $16/1.8 \approx 9$ times smaller than that of f/1.8. Smaller, not zero. Here is one generated scene through a
# pinhole and at both apertures. Look at the leaves.

# %%
scene = outdoor_scene(7011)
height, width = 240, 360
layers = scene.layers(height, width, margin=0.14)
pinhole = composite(layers, height, width, np.zeros(2), 0.0)
exposure = scene.brightness / np.exp(np.log(pinhole.mean(2) + 1e-3).mean())


def developed(light: np.ndarray) -> np.ndarray:
    """Linear light (H, W, 3) as a picture in [0, 1]."""
    return linear_to_srgb(np.clip(light * exposure, 0, 1))


def at(f_number: float) -> np.ndarray:
    """The scene's light through a lens of this f-number."""
    camera = replace(scene.camera, f_number=f_number)
    return lens_view(layers, height, width, scene.focus_m, camera)


three = [developed(light) for light in (pinhole, at(16.0), at(1.8))]

# %% mystnb={"image": {"alt": "The same part of a generated garden scene three times: through a pinhole with crisp leaves, at f/16 with leaves a little softer, and at f/1.8 with leaves dissolved into discs, while the flower stays sharp."}}
crop = np.s_[45:165, 160:340]
grid([picture[crop] for picture in three], ["pinhole", "f/16, EBB!'s input", "f/1.8, its truth"])

# %%
change = [np.abs(picture - three[0])[crop].mean() for picture in three]
print(f"mean change against the pinhole: f/16 {change[1]:.2g}, f/1.8 {change[2]:.2g}")
assert 0 < change[1] < change[2]

# %% [markdown]
# Mini-EBB takes the pinhole as its sharp picture. EBB! takes f/16. The difference is small, but a net that was
# trained on the one has never seen the other's slight softness.
#
# **2. The light changes.** The area of the opening falls with the square of the f-number. So f/16 lets through

# %%
ratio = (16 / 1.8) ** 2
print(f"1/{ratio:.0f} of the light of f/1.8: {np.log2(ratio):.1f} stops less")

# %% [markdown]
# The camera makes up for it with time, or with gain. Time: leaves move, and blur by moving. Gain: more noise. And
# its meter may judge the two pictures differently, so that one is brighter. A net cannot know by how much.
#
# **3. The camera moves.** Opening a lens shifts nothing, but a hand on the camera does. EBB!'s authors aligned each pair
# by matching points, and cropped both to what they have in common ([Ignatov et al. 2020](bibliography.md)). That is
# why the widths differ from pair to pair.
#
# How much do the last two matter? Ask what they cost a *perfect* net. It draws the true picture, but the truth that
# it is compared with is shifted, or brighter. No net can score above that.


# %%
def moved(picture: np.ndarray, x: float, y: float) -> np.ndarray:
    """A picture shifted by x, y pixels (fractions too), float32."""
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float32)
    size = picture.shape[1::-1]
    return cv2.warpAffine(
        picture.astype(np.float32),
        matrix,
        size,
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )


def decibels(error: np.ndarray) -> float:
    """PSNR of an error in grey levels of 255, without the border that a shift leaves empty."""
    inside = error[4:-4, 4:-4]
    return float(-10 * np.log10((inside**2).mean() / 255**2))


truths = [test.read(i)["bokeh"] for i in range(0, 80, 2)]
per_cent = np.array([0.1, 0.2, 0.4, 0.8, 1.6])  # of the height
pixels = per_cent / 100 * truths[0].shape[0]
shifted = [np.mean([decibels(moved(t, d, 0) - t) for t in truths]) for d in pixels]
levels = np.array([1, 2, 4, 8, 16, 32])
brighter = 20 * np.log10(255 / levels)  # an error that is the same everywhere
assert np.isclose(brighter[2], decibels(np.full((20, 20), 4.0)))

# %% mystnb={"image": {"alt": "Two plots of the highest PSNR that a perfect net could reach. Left against a shift of the truth in per cent of the height: it falls from about 48 to about 26 decibel. Right against a difference in brightness in grey levels: it falls from 48 to 18 decibel. A dashed line marks 24.8 decibel, the best of Table I."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
figure, axes = plt.subplots(1, 2, figsize=(7.5, 2.9), sharey=True)
axes[0].plot(per_cent, shifted, "o-")
axes[0].set(xlabel="shift, % of the height", ylabel="best PSNR, dB", xscale="log")
axes[0].set_xticks(per_cent, [f"{p:g}\n({10.24 * p:.0f} px)" for p in per_cent], minor=[])
axes[0].minorticks_off()
axes[1].plot(levels, brighter, "o-", color=COLOURS[1])
axes[1].set(xlabel="brightness, levels of 255", xscale="log")
axes[1].set_xticks(levels, levels)
axes[1].minorticks_off()
for axis in axes:
    axis.axhline(24.83, color="#555555", linestyle="--", zorder=1)
axes[0].text(0.1, 25.3, "the paper's BRADCN, Table I", fontsize=9)
plt.show()

# %% [markdown]
# In brackets: pixels at EBB!'s height of 1024. The dashed line is the paper's own result on Val294.
#
# Read it with care. The left curve was measured on mini-EBB, whose pictures hold no detail finer than 8 of those pixels.
# On a real, finer picture a small shift costs more than here. Still: a soft picture is patient, and a shift of a few
# pixels does not explain 25<!-- paper --> dB. Brightness is less patient. Sixteen levels too bright, everywhere, and a perfect net
# is down there with the others.
#
# On three real pairs that were at hand (2977 to 2979) the mean brightness of sharp and soft differs by 3, 6 and 21
# levels. The last of them no net can win. The shift, measured as below, is under one pixel in all three.

# %% [markdown]
# ## Measuring a shift
#
# How does one measure the shift of two pictures of which one is blurred? Only where *both* are sharp. There, a
# small shift $d$ changes the picture by its gradient: $b(x) = a(x - d)$, so
#
# $$a - b \approx d \cdot \nabla a.$$
#
# Every sharp pixel gives one such equation, and least squares finds the $d$ that fits best. It is the method of
# Lucas and Kanade, and a few repetitions bring it to the end.


# %%
def shift_between(sharp: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """How far (x, y), in pixels, `soft` is shifted against `sharp`; by the sharpest fifth of both."""

    def details(picture: np.ndarray) -> np.ndarray:
        """Without brightness, which differs, and without noise: only what lies between two blurs."""
        grey = picture.astype(np.float32).mean(2)
        return cv2.GaussianBlur(grey, (0, 0), 0.8) - cv2.GaussianBlur(grey, (0, 0), 2.5)

    a, b = details(sharp), details(soft)
    strength = cv2.GaussianBlur(b * b, (0, 0), 4)
    used = strength > np.quantile(strength, 0.8)
    used[:4] = used[-4:] = used[:, :4] = used[:, -4:] = False
    y, x = np.gradient(a)
    equations = np.stack([x[used], y[used]], axis=1)  # one row a pixel
    shift = np.zeros(2)
    for _ in range(8):
        rest = a - moved(b, *-shift)
        shift += np.linalg.lstsq(equations, rest[used], rcond=None)[0]
    return shift


# %%
rng = np.random.default_rng(0)
pairs = [test.read(i) for i in range(0, 80, 2)]
known = rng.uniform(-1, 1, (len(pairs), 2))
as_it_is = [shift_between(p["image"], p["bokeh"]) for p in pairs]
found = [
    shift_between(p["image"], moved(p["bokeh"], *d)) for p, d in zip(pairs, known, strict=True)
]
wrong = np.abs(np.array(found) - known)
print(f"mini-EBB as it is: {np.median(np.abs(as_it_is)):.1g} pixels (median)")
print(f"after a known shift of up to 1 pixel: wrong by {np.median(wrong):.1g} pixels (median)")
assert np.median(np.abs(as_it_is)) < 0.1 and np.median(wrong) < 0.2

# %% [markdown]
# So mini-EBB is aligned, which is no surprise: both pictures come from one scene. The method sees a tenth of a
# pixel. If you have EBB!, run `shift_between` on its pairs, and you know yours.

# %% [markdown]
# ## Blink
#
# Pluto was found so: two plates of one sky, shown in turn. What jumps has moved. The eye is good at it. Here are six pairs. Press the button, or the space bar on the picture, to change from sharp to soft. The
# arrow keys go to the next pair. It works without a kernel.


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of this element", "code_prompt_hide": "Hide the code of this element"}
blink = []
for index in (110, 97, 174, 108, 30, 14):
    item = train.read(index)
    d = np.abs(item["image"].astype(float) - item["bokeh"]).mean()
    blink.append({"id": item["id"], "original": data_uri(item["image"]), "bokeh": data_uri(item["bokeh"]), "mean": f"{d:.0f}"})  # fmt: skip

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of this element", "code_prompt_hide": "Hide the code of this element"}
PAGE = """<div class="interactive" id="blink-viewer"><style>
#blink-viewer {background:var(--pst-color-background, transparent); padding:.5em; max-width:640px}
#blink-viewer .view {position:relative; cursor:pointer} #blink-viewer .view:focus-visible {outline:3px solid #d55e00; outline-offset:2px}
#blink-viewer img {width:100%; height:auto; display:block; margin:0; image-rendering:auto}
#blink-viewer .tag {position:absolute; left:.5em; top:.5em; background:#000; color:#fff; padding:.1em .6em; border-radius:4px; font-size:.95em}
#blink-viewer .controls {display:flex; flex-wrap:wrap; gap:.4em .8em; align-items:center; margin-top:.6em}
#blink-viewer button {font:inherit; padding:.3em .9em; border:1px solid; border-radius:6px; background:none; color:inherit; cursor:pointer}
#blink-viewer label {cursor:pointer} #blink-viewer output {flex:1 1 100%; border-left:4px solid #0072b2; padding:.1em .8em}</style>
<div class="view" tabindex="0" role="button" aria-label="Pair of pictures: space changes between sharp and soft, arrow keys change the pair">
<img alt="one picture of a pair"><span class="tag" aria-hidden="true"></span></div>
<div class="controls"><button type="button" class="swap">Sharp or soft</button><button type="button" class="back">Previous pair</button>
<button type="button" class="next">Next pair</button><label><input type="checkbox" class="auto"> by itself, twice a second</label>
<output aria-live="polite"></output></div>
<script>(() => {
const root = document.getElementById('blink-viewer'), pairs = DATA, $ = c => root.querySelector(c);
let n = 0, soft = false, timer = null;
function draw(quiet) {
  const p = pairs[n], name = soft ? 'bokeh' : 'original';
  $('img').src = p[name]; $('img').alt = 'pair ' + p.id + ', ' + name; $('.tag').textContent = name;
  if (!quiet) $('output').textContent = 'Pair ' + p.id + ' (' + (n + 1) + ' of ' + pairs.length + '): ' +
    name + '. Mean difference ' + p.mean + ' of 255.'; }
function swap(quiet) { soft = !soft; draw(quiet); }
function go(step) { n = (n + step + pairs.length) % pairs.length; draw(); }
$('.swap').onclick = () => swap(); $('.back').onclick = () => go(-1); $('.next').onclick = () => go(1);
$('.view').onclick = () => swap();
$('.view').onkeydown = e => { const act = {' ': () => swap(), Enter: () => swap(), ArrowRight: () => go(1), ArrowLeft: () => go(-1)}[e.key];
  if (act) { e.preventDefault(); act(); } };
$('.auto').onchange = e => { clearInterval(timer); timer = e.target.checked ? setInterval(() => swap(true), 500) : null; };
draw();
})();</script></div>"""
HTML(PAGE.replace("DATA", json.dumps(blink)))

# %% [markdown]
# What to look for. Does the subject jump? (It must not.) Where do bright spots grow into discs? What happens at
# the subject's rim: does the soft background begin right beside it, or does the subject itself get a soft border?

# %% [markdown]
# ## How the mini sets were made
#
# Each picture of mini-EBB is a *scene*: a list of flat pieces, called layers, each with its plane in space. They are
# painted from the back to the front. A second painting for each point of the lens, with every layer shifted as that
# point sees it, and the average of them all: that is the soft picture. Chapter 1 explains why this is what a lens
# does.

# %% mystnb={"image": {"alt": "Four stages of painting one generated scene: sky and ground, then a roof and leaves, then more leaves, then the whole picture with a red flower as its subject."}}
count = len(layers)
stages = [max(1, round(count * part)) for part in (0.25, 0.5, 0.75, 1.0)]
partial = [developed(composite(layers[:k], height, width, np.zeros(2), 0.0)) for k in stages]
grid(partial, [f"{k} of {count} layers" for k in stages], columns=2)

# %% [markdown]
# A scene is a function of its number. Pair $N$ has the seed $1{,}000{,}000 + N$, and the same seed gives the same
# picture. So the set need not be believed; it can be made again. (With the versions that the book is locked to, the files
# are the same bit for bit. Another OpenCV or Pillow rounds some pixels otherwise, by about one of 255.)

# %%
number = 12
files = ebb_files(number)
for name, content in files.items():
    there = (data_root() / "mini-ebb" / name).read_bytes()
    assert grey_levels_apart(there, content) < 2
assert EBB_SEED == 1_000_000
print("made again, and the same:", ", ".join(files))

# %% [markdown]
# What generated scenes lack: everything that nobody programmed. No skin, no glass, no motion, no dirt on the lens, no
# second exposure. A net that is good on mini-EBB has shown that it can learn this kind of problem. It has not shown
# that it can draw your photograph.

# %% [markdown]
# ## A frame of SUN RGB-D
#
# Now the second set. A frame is a folder. It holds the colour picture, the depth as the sensor gave it (`depth`),
# the same with its holes filled by a program (`depth_bfx`), and the camera's numbers (`intrinsics.txt`). All
# frames of one kind of sensor lie below `kv1`, `kv2`, `realsense` or `xtion`.

# %%
counts = mini.sun_counts
root = data_root() / "mini-sun"
raw, filled = (SUNRGBD(root, "test", counts, kind=kind) for kind in ("depth", "depth_bfx"))
item, twin = raw[6], filled[6]
print("frame", item["id"])
for key in ("image", "depth", "mask"):
    print(f"  {key:6}", tuple(item[key].shape), str(item[key].dtype).removeprefix("torch."))
assert item["id"] == twin["id"] and torch.equal(item["image"], twin["image"])

# %% mystnb={"image": {"alt": "A generated room in colour, its raw depth with grey holes beside furniture and in dark places, and its filled depth without holes."}}
shown = torch.where(item["mask"], item["depth"], torch.nan)
grid(
    [item["image"], shown[0], twin["depth"][0]],
    ["picture", "depth (grey: holes)", "depth_bfx"],
    unit=["", "m", "m"],
)

# %% [markdown]
# **Holes.** A depth of 0 means *not measured*. This sensor projects a pattern from a point beside its camera. What
# the camera sees but the projector does not has no pattern, hence the gaps at one side of furniture. Dark and
# shiny surfaces give none back either. The mask says where there is depth, and Eq. 2 and its loss use the mask. To
# take a hole for a depth of 0 metres would make a label that is wrong by the whole distance.

# %%
holes = [1 - frame["mask"].float().mean().item() for frame in (raw[i] for i in range(len(raw)))]
print(
    f"holes: {100 * np.mean(holes):.1f} % of the pixels, {100 * max(holes):.1f} % in the worst frame"
)
assert all(filled[i]["mask"].all() for i in range(len(filled)))

# %% [markdown]
# The paper does not say which of the two depths it trained on. We train on the filled one, as most do. Real filled
# depth is partly invented, of course: where the program guessed, Eq. 2 measures the distance between two guesses.

# %% [markdown]
# ## Sixteen bits, rotated
#
# A depth file is a grey PNG with 16 bits a pixel. Open it as it is, and the numbers make no sense.

# %%
path = raw.frames[item["id"]][1]
stored = np.array(Image.open(path))
row, column = 60, 64
print("stored:", stored.dtype, stored.shape, "  one pixel:", stored[row, column])
print(f"the reader says {item['depth'][0, row, column]:.3f} m")

# %% [markdown]
# The file does not hold millimetres. It holds millimetres whose bits were moved three places to the left, and the
# three that fell out at the left came in again on the right. A *rotation*. To read it, rotate back:

# %%
bits = format(stored[row, column], "016b")
millimetres = int(bits[-3:] + bits[:-3], 2)
print("stored ", bits[:-3], bits[-3:], "=", int(bits, 2))
print("rotated", bits[-3:], bits[:-3], "=", millimetres, "mm")
assert np.isclose(millimetres / 1000, item["depth"][0, row, column].item(), atol=1e-6)

# %% [markdown]
# Why would anyone do that? The set's toolbox does not say. Kinect's software kept three bits beside the depth, for
# the number of the player whom it had recognised. That fits.
#
# It matters for one reason: **a wrong reader does not crash.** Forget the rotation, and all depths are eight times too
# large, up to 8.19 m. Beyond, where the upper three bits are in use, they jump. The picture even looks right.
#
# Turn the depth with the slider and watch the bits. Try 8191 and 8192.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of this element", "code_prompt_hide": "Hide the code of this element"}
BITS = """<div class="interactive" id="bit-slider"><style>
#bit-slider {background:var(--pst-color-background, transparent); padding:.5em; max-width:640px}
#bit-slider label {display:block} #bit-slider input {width:100%} #bit-slider table {border-collapse:collapse; margin:.5em 0; font-family:monospace; font-size:.9em}
#bit-slider td, #bit-slider th {border:0; padding:.1em .16em; text-align:center; background:none} @media (min-width:500px) {#bit-slider td {padding:.1em .35em}} #bit-slider th {text-align:left; font-weight:normal; padding-right:.6em}
#bit-slider td.top {background:#d55e00; color:#fff} #bit-slider td.low {background:#0072b2; color:#fff} #bit-slider .scroll {overflow-x:auto}
#bit-slider output {display:block; border-left:4px solid #0072b2; padding:.1em .8em}</style>
<label>True depth in millimetres <input type="range" min="0" max="12000" value="2345"></label>
<div class="scroll"><table><tr class="true"><th>true</th></tr><tr class="stored"><th>file</th></tr></table></div>
<output aria-live="polite"></output>
<script>(() => {
const root = document.getElementById('bit-slider'), slider = root.querySelector('input');
function row(name, bits, mark) { const tr = root.querySelector(name); while (tr.cells.length > 1) tr.deleteCell(1);
  [...bits].forEach((b, i) => { const td = tr.insertCell(); td.textContent = b; td.className = mark(i); }); }
function draw() {
  const mm = Number(slider.value), stored = ((mm << 3) & 65535) | (mm >> 13), two = v => v.toString(2).padStart(16, '0');
  slider.setAttribute('aria-valuetext', mm + ' mm');
  row('.true', two(mm), i => i < 3 ? 'top' : 'low'); row('.stored', two(stored), i => i < 13 ? 'low' : 'top');
  root.querySelector('output').textContent = mm + ' mm is stored as ' + stored + '. A reader that forgets the rotation says ' +
    (stored / 1000).toFixed(3) + ' m instead of ' + (mm / 1000).toFixed(3) + ' m.'; }
slider.oninput = draw; draw();
})();</script></div>"""
HTML(BITS)

# %% [markdown]
# ### A test of the equation
#
# The package rotates with shifts, on whole arrays. We rotated a string of digits. Both must agree for every one of the
# 65,536 values that a pixel can have.

# %%
every = np.arange(65536, dtype=np.uint16)
by_strings = [int(b[-3:] + b[:-3], 2) for b in (format(value, "016b") for value in every)]
np.testing.assert_allclose(decode_depth(every), np.array(by_strings) / 1000, rtol=1e-6)
assert len(set(by_strings)) == 65536  # nothing is lost
forgot = every[:65536:8] / 1000  # values whose last three bits are 0: depths up to 8.191 m
np.testing.assert_allclose(forgot, 8 * decode_depth(every[:65536:8]), rtol=1e-6)
print("65,536 values agree")

# %% [markdown]
# ## Noise that grows
#
# How exact is a measured depth? Mini-SUN's sensor imitates a Kinect. It measures not depth but disparity, $1/z$, in
# steps of a fixed size, with a little noise. One step is $\delta$ in $1/z$, so in depth it is $z^2 \delta$: the error
# grows with the *square* of the distance. The scene behind a generated frame knows the true depth, so we can compare.

# %% mystnb={"image": {"alt": "Two plots. Left, error of raw depth in centimetres against true depth for many pixels: a cloud that widens. Right, its spread per half metre as dots on a curve that grows with the square of the depth, up to about 4 centimetres at 6 metres."}}
depths, errors = [], []
for index in range(0, 60, 3):
    frame = raw[index]
    scene_number = int(frame["id"][-4:])
    true = room_scene(SUN_SEED + scene_number).pinhole(*SUN_SIZE)[1]
    known = frame["mask"][0].numpy()
    depths.append(true[known])
    errors.append(frame["depth"][0].numpy()[known] - true[known])
depths, errors = np.concatenate(depths), 100 * np.concatenate(errors)
edges = np.arange(1.5, 6.6, 0.5)
middle = (edges[1:] + edges[:-1]) / 2
within = [(depths >= a) & (depths < b) for a, b in zip(edges, edges[1:], strict=False)]
spread = np.array([errors[w].std() for w in within])
figure, axes = plt.subplots(1, 2, figsize=(7.5, 2.8))
axes[0].plot(depths[::40], errors[::40], ".", markersize=2, alpha=0.5)
axes[0].set(xlabel="true depth, m", ylabel="error, cm", xlim=(1, 7), ylim=(-15, 15))
axes[1].plot(middle, spread, "o", label="measured")
step = 100 * middle**2 / 351 * np.sqrt(0.2**2 + 1 / 12)  # noise, and rounding to whole steps
axes[1].plot(middle, step, color=COLOURS[1], label="$z^2$ times a constant")
axes[1].set(xlabel="true depth, m", ylabel="spread, cm")
axes[1].legend()
plt.show()

# %%
assert np.all(np.abs(spread / step - 1) < 0.1)
print(
    f"spread at {middle[0]:.3g} m: {spread[0]:.1g} cm, at {middle[-1]:.3g} m: {spread[-1]:.1g} cm"
)

# %% [markdown]
# So the "ground truth" of Eq. 2 errs itself, by centimetres. The depth net errs by decimetres. The label is mostly the
# net's error; but a label of two centimetres, six metres away, is the sensor's noise and nothing else.
#
# **Clipping.** SUN RGB-D's toolbox cuts depths at 8 m, and so do we. The depth net cannot say more than 7.26 m
# (chapter 6). A wall at 8 m therefore has a label of at least 0.74 m, whatever the net has learned. The ledger has it as
# [`depth-floor`](ledger.md#depth-floor).

# %% [markdown]
# ## How far do the sensors see?
#
# One histogram for each of the four folders.

# %%
bins = np.arange(0, 8.51, 0.25)
every_frame = SUNRGBD(root, "train", (sum(counts), 0), kind="depth")
seen = {sensor: np.zeros(len(bins) - 1) for sensor in SUN_SENSORS}
for index in range(0, len(every_frame), 2):
    frame = every_frame.read(index)
    sensor = frame["id"].partition("/")[0]
    seen[sensor] += np.histogram(frame["depth"][frame["mask"]], bins)[0]

# %% mystnb={"image": {"alt": "Four step histograms of depth, one for each sensor folder of mini-SUN. They lie nearly on top of each other, with a peak between 2 and 3 metres and a tail to 8 metres."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
figure, axis = plt.subplots(figsize=(7.5, 2.8))
for (sensor, histogram), colour in zip(seen.items(), COLOURS, strict=False):
    axis.stairs(100 * histogram / histogram.sum(), bins, label=sensor, color=colour, linewidth=1.5)
axis.axvline(7.26, color="#555555", linestyle="--")
axis.text(7.2, axis.get_ylim()[1] * 0.7, "the depth net\nends here", ha="right", fontsize=9)
axis.set(xlabel="depth, m", ylabel="% of the pixels")
axis.legend()
plt.show()

# %% [markdown]
# Four curves, one shape: mini-SUN has four folders but only one imitated sensor. In the real set the folders differ.
# A RealSense of that time saw little beyond some metres. A Kinect v2 measures the time of flight and goes further. To see
# the real curves' quantiles, one command goes through a download and prints them for each sensor, beside its holes:
#
#     python -m bradcn_nb data verify sunrgbd /data/SUNRGBD
#
# **What is a pixel in the room?** With the camera's numbers, a pixel $(u, v)$ of depth $z$ is the point
# $x = (u - c_x)\,z/f$ beside the axis. So every frame can be seen from above, here a slice of it. `SUNRGBD.intrinsics` reads $f$ and
# $c_x$ from a real frame and scales them with the picture. Mini-SUN has one camera, whose numbers we know.

# %% mystnb={"image": {"alt": "Left a generated room in colour. Right the same room from above: a slice of it at the height of the camera, drawn from the depth map; the walls form straight lines that meet in a corner."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
image, depth = filled[11]["image"], filled[11]["depth"][0].numpy()
height, width = depth.shape
f = 6.1 / 5.57 * height  # focal length over sensor height, in pixels
u, v = np.meshgrid(np.arange(width), np.arange(height))
x, y = (u - (width - 1) / 2) * depth / f, (v - (height - 1) / 2) * depth / f
standing = np.abs(y) < 0.25  # a slice at the height of the camera
figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.0))
axes[0].imshow(image.permute(1, 2, 0))
axes[0].axis("off")
colours = image.permute(1, 2, 0).numpy()[standing]
axes[1].scatter(x[standing], depth[standing], s=2, c=colours)
axes[1].plot(0, 0, "^", color=COLOURS[1])
axes[1].set(xlabel="metres to the right", ylabel="metres ahead", aspect="equal")
plt.show()

# %% [markdown]
# ## A split that leaks
#
# Section III-C is plain about it: "For SUNRGBD, our selection of the training set, validation set, and test set is
# completely random."
#
# Random sounds fair. It would be, if the frames were independent. They are not. A third of SUN RGB-D comes from
# videos ([Song et al. 2015](bibliography.md)): someone walked through a room with a camera, and a dozen frames were kept.
# Draw frames at random, and the frames of one room fall on both sides. Then the test asks what the training has
# shown.
#
# In mini-SUN every frame is a room of its own, so nothing can leak. Let us film: 32 rooms, a pan of ten frames
# through each, in folders named as SUN RGB-D names them.

# %%
ROOMS, FRAMES, WIDE, NARROW = 32, 10, 160, 96
film = {}
for room in range(ROOMS):
    wide, _, far = room_scene(5_000_000 + room).sensed(64, WIDE)
    far = np.minimum(far, mini.clip_m)
    for frame in range(FRAMES):
        left = round(frame * (WIDE - NARROW) / (FRAMES - 1))
        name = f"xtion/sun3ddata/place{room:02}/video/{frame:07}"
        film[name] = wide[:, left : left + NARROW], far[:, left : left + NARROW]
names = list(film)
splits = {scheme: split_frames(names, (240, 48), 0, scheme) for scheme in ("random", "scene")}
for scheme, sides in splits.items():
    shared = leaks(**sides)
    print(f"{scheme}: {len(shared)} of {len(sides['test'])} test frames have a sister in training")
assert len(leaks(**splits["random"])) == 48 and not leaks(**splits["scene"])

# %% mystnb={"image": {"alt": "Three test frames in the upper row and, below each, the most similar training frame of the same generated room: nearly the same picture, shifted a little to the side."}}
sides = splits["random"]


def sister(name: str) -> str:
    """The training frame of the same room that is nearest in the film."""
    room, _, number = name.rpartition("/")
    same = [other for other in sides["train"] if other.startswith(room)]
    return min(same, key=lambda other: abs(int(other[-7:]) - int(number)))


three = sides["test"][:3]
pictures = [film[name][0] for name in three] + [film[sister(name)][0] for name in three]
titles = ["test"] * 3 + ["training"] * 3
grid(pictures, titles, columns=3)

# %% [markdown]
# Three test frames, and what stood in the training set.
#
# Does it matter? Take the laziest learner there is: it remembers all training frames, finds the one that looks most like
# the test picture, and hands out *its* depth. It has learned nothing about depth. And beside it one that does not even look:
# it always answers with the mean depth map of the training set.


# %%
def thumbnail(name: str) -> np.ndarray:
    return cv2.resize(film[name][0], (24, 16), interpolation=cv2.INTER_AREA).ravel()


def lazy(train: list[str], test: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Mean absolute depth error of each test frame, metres: by remembering, and by the mean map."""
    known = np.stack([thumbnail(name) for name in train])
    mean = np.mean([film[name][1] for name in train], axis=0)
    remembered, constant = [], []
    for name in test:
        nearest = train[((known - thumbnail(name)) ** 2).sum(1).argmin()]
        remembered.append(np.abs(film[nearest][1] - film[name][1]).mean())
        constant.append(np.abs(mean - film[name][1]).mean())
    return np.array(remembered), np.array(constant)


scores = {}
for scheme in splits:
    drawn = [lazy(**split_frames(names, (240, 48), seed, scheme)) for seed in range(8)]
    scores[scheme] = np.array([[part.mean() for part in both] for both in drawn])  # (8, 2)
    remembered, constant = scores[scheme].mean(0)
    print(f"{scheme}: remembering {remembered:.1f} m, mean map {constant:.1f} m")

# %% mystnb={"image": {"alt": "Dots of eight draws for each of two splits. With the random split, remembering has a far smaller error than the mean map. With the split by scene, remembering is worse than the mean map."}}
figure, axis = plt.subplots(figsize=(7.5, 2.6))
for k, scheme in enumerate(scores):
    for j, label in enumerate(("remembering", "mean map")):
        place = np.full(8, k + 0.18 * j - 0.09) + np.linspace(-0.03, 0.03, 8)
        axis.plot(
            scores[scheme][:, j],
            place,
            "o",
            color=COLOURS[j],
            alpha=0.7,
            label=label if k == 0 else None,
        )
axis.set(
    yticks=(0, 1),
    yticklabels=scores,
    ylim=(1.4, -0.4),
    xlabel="mean error of the depth, m",
    xlim=(0, None),
)
axis.legend()
plt.show()

# %%
random, by_scene = scores["random"], scores["scene"]
assert (random[:, 0] < 0.75 * random[:, 1]).all(), "remembering beats the mean map"
assert by_scene[:, 0].mean() > by_scene[:, 1].mean(), "and without sisters it does not"
print("eight draws out of eight: with a leak, remembering looks like knowledge")

# %% [markdown]
# With the random split the lazy learner shines. With the split by scene it is worse than not looking at all. The learner
# did not change. The question did.
#
# How much of this is in the paper's numbers, nobody can say from outside. The random split is part of its protocol, and
# we keep it, so that numbers compare. But it measures a net that may have seen the room.
#
# **The second leak is older.** The folder `kv1/NYUdata` of SUN RGB-D *is* NYUv2 ([Silberman et al.
# 2012](bibliography.md)), 1,449 frames of it. The paper's depth net was fine-tuned on NYUv2. Where a net is asked about
# pictures that it was trained on, its errors are small. Eq. 2 turns these small errors into labels, and the ADCN learns
# that the depth net is better than it is.
#
# **What to do.** `SUNRGBD(..., scheme="scene")` draws whole scenes and leaves NYUv2 out. What is a scene? The folders
# tell, more or less: a place of SUN3D with all its videos; a day of recording, for all sensors together, since on one day three
# of them stood in the same rooms; and a folder without names as one piece. What no name tells: whether a room was visited
# on two days.

# %%
show(split_frames)

# %% [markdown]
# ## Your own download
#
# Three commands stand between a download and a training.
#
#     python -m bradcn_nb data verify ebb /data/EBB
#     python -m bradcn_nb data prepare ebb /data/EBB --out /data/ebb-768
#     python -m bradcn_nb bench loading
#
# The first opens every file. It says what is there, which numbers are missing, and which files are broken, by name, with the
# remedy. Here is its report on mini-SUN, without the list of what mini-SUN lacks.

# %%
from pathlib import Path

from bradcn_nb.data.inventory import Inventory
from bradcn_nb.data.verify_sun import verify_sun

inventory = Inventory("SUN RGB-D", "mini-sun")
verify_sun(Path(root), inventory, counts, jobs=1, progress=False)
print("\n".join(inventory.present))
assert inventory.can_train

# %% [markdown]
# The second writes a copy at the training size. A real picture has 1.6 megapixels; the net sees a quarter of them. Opening and
# shrinking the large picture again in every epoch takes longer than reading a small one, several times. The third command
# measures how many. The copies are JPEGs of quality 98, since a PNG takes nearly three times as long to open; depth stays exact
# ([`prepared-jpeg`](ledger.md#prepared-jpeg)).

# %% [markdown]
# ## Your numbers may differ
#
# Counts, shapes and bits are exact everywhere. Generated pictures are the same bytes with the versions that the book is locked to;
# with Colab's of August 2026 they are the same to about one grey level.
# Errors in metres and in dB may move in their last digit.

# %% [markdown]
# ## Summary
#
# - A pair of EBB! is one scene at f/16 and at f/1.8. Besides the blur, brightness and position may differ. A difference
#   in brightness limits PSNR more than a shift of a few pixels.
# - The test pairs go by number: 4400 to 4693.
# - SUN RGB-D stores millimetres in 16 rotated bits. 0 is a hole, 8 m is the end.
# - Its noise grows with the square of the depth. Labels inherit holes, noise and clipping.
# - A random split of videos leaks, and SUN RGB-D contains NYUv2. A learner that only remembers shows how much a leak can be
#   worth.
# - The mini sets are generated from seeds. They have the files of the real sets, not their world.

# %% [markdown]
# ## Exercises
#
# **1 (graded). Read a depth map.** Write `read_bits(raw, clip_m)`. `raw` is a `uint16` array as the file holds it. Return two
# arrays: the depth in metres, `float32`, cut at `clip_m`; and the mask, `bool`, `True` where there is a measurement. Raise
# `TypeError` for an array that is not `uint16`: shifting bits of another type would give nonsense without a word. No loops; NumPy
# shifts whole arrays with `>>` and `<<`.


# %% tags=["exercise"]
def read_bits(raw: np.ndarray, clip_m: float):
    """Depth in metres and mask of a depth map with rotated bits."""
    raise NotImplementedError  # your code in place of this line


# %% tags=["hide-input", "solution"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
def solution(raw: np.ndarray, clip_m: float):
    """A solution; open it after you have tried."""
    if raw.dtype != np.uint16:
        raise TypeError(f"rotated depth must be uint16, not {raw.dtype}")
    # 16 bits: what is shifted out at the left is gone, so "or" joins the two parts.
    metres = ((raw >> 3) | (raw << 13)).astype(np.float32) / 1000
    return np.minimum(metres, np.float32(clip_m)), metres > 0


# %% tags=["graded"]
def check(answer):
    """Raise AssertionError unless `answer` is right."""
    assert answer(stored, 8.0) is not None, "your function returned nothing: is there a `return`?"
    metres, mask = answer(stored, 8.0)
    assert metres.dtype == np.float32 and mask.dtype == bool and metres.shape == stored.shape
    np.testing.assert_allclose(metres, item["depth"][0], atol=1e-6)
    np.testing.assert_array_equal(mask, item["mask"][0])
    metres, mask = answer(every, 70.0)  # every value that there is, nothing cut
    np.testing.assert_allclose(metres, np.array(by_strings) / 1000, rtol=1e-6)
    assert not mask[0] and mask[1:].all(), "0 is what the file says where nothing was measured"
    metres, mask = answer(every, 8.0)
    assert metres.max() == 8, "cut at clip_m"
    assert mask[1:].all(), "what is cut was measured all the same"
    assert answer(np.array([[1 << 3]], np.uint16), 8.0)[0].item() == np.float32(0.001)
    for wrong in (every.astype(np.int64), every.astype(np.float32)):
        try:
            answer(wrong, 8.0)
        except TypeError:
            continue
        raise AssertionError(f"{wrong.dtype} should raise TypeError")


try:
    check(read_bits)
    print("Your read_bits passes.")
except NotImplementedError:
    check(solution)
    print("Not written yet. (The book's solution passes.)")

# %% [markdown]
# **2.** Which split has the harder test frames, by the mean map's error? Why can they differ, although both were drawn by chance? And
# why does the plot above compare the two learners within a split, and not one learner between the splits?
#
# **3.** Give the lazy learner one frame a room instead of ten (`FRAMES = 1`, and smaller counts). What happens to the random split?
#
# **4.** A sensor with the noise of above looks at a wall 6 m away, straight on. How large is the mean label of Eq. 2 if the depth net is
# *perfect*? Compute it, then measure it with the arrays `depths` and `errors`.
#
# **5.** Make the truths brighter by 2 % instead of by a fixed number of levels. What does that cost in dB, on average over `truths`?
#
# **6.** `shift_between` uses the sharpest fifth. Use all pixels instead, and measure again. Which pairs get worse, and why?

# %% [markdown]
# ## Next
#
# The pairs train the net of chapter 5, [The Render Net](05_render_net.ipynb); first comes the encoder that it shares with the depth
# net: chapter 4, [Hybrid encoder](04_hybrid_encoder.ipynb). Depth comes back in chapter 6,
# [The Depth Prediction Net](06_depth_net.ipynb).

# %% [markdown]
# ## References
#
# All are in the [bibliography](bibliography.md).
#
# - Liu, Zhou and Dong 2023, *Bokeh Rendering Based on Adaptive Depth Calibration Network*. The paper; Sections III-C and IV-A.
# - Ignatov, Patel and Timofte 2020, *Rendering Natural Camera Bokeh Effect with Deep Learning*. EBB!.
# - Song, Lichtenberg and Xiao 2015, *SUN RGB-D: A RGB-D Scene Understanding Benchmark Suite*. The frames, their sensors and sources.
# - Silberman, Hoiem, Kohli and Fergus 2012, *Indoor Segmentation and Support Inference from RGBD Images*. NYUv2.
# - Khoshelham and Elberink 2012, *Accuracy and Resolution of Kinect Depth Data*. Noise that grows with the square of the depth.
# - Lucas and Kanade 1981, *An Iterative Image Registration Technique*. The shift by least squares.
