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
# # 12. Metrics and the protocol
#
# A net has drawn a picture. Beside it lies the photograph that it should have drawn. How good is it? The paper
# answers with three numbers. This chapter builds all three, finds out what each of them sees and does not see, and
# shows how many small decisions hide behind one printed digit.
#
# **You will be able to**
#
# - compute PSNR by hand, and say what a tenth of a dB is;
# - compute SSIM on one window by hand, and say what the window changes;
# - say what LPIPS compares, and look at it layer by layer;
# - show pictures that one metric cannot tell apart and another can;
# - say what belongs to a protocol, and measure what each part of it is worth;
# - compare two methods by paired differences with an interval, and say when a gain is one;
# - name three ways in which a bad bokeh picture gets a good number.
#
# **Before this**: chapter 1 (what bokeh is). Means, variances, logarithms. The trained net of chapter 11 is used, not
# needed.
#
# **Time and memory**: about 20 s on one laptop-class core, about 1 GB of memory. No download, no GPU.

# %% [markdown]
# ## Setup

# %% tags=["hide-input", "setup"] mystnb={"code_prompt_show": "Show the set-up", "code_prompt_hide": "Hide the set-up"}
# On Colab this fetches the book's package; elsewhere it is there already.
from importlib.util import find_spec

if find_spec("bradcn_nb") is None:
    raise ModuleNotFoundError("no bradcn_nb: the page On Colab says how")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the imports", "code_prompt_hide": "Hide the imports"}
import cv2
import numpy as np
import torch
import torch.nn.functional as F
from IPython.display import HTML
from matplotlib import pyplot as plt
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from bradcn_nb.data import EBB, resize_picture, to_tensor
from bradcn_nb.errors import WeightsError
from bradcn_nb.evaluation.distortions import to_psnr
from bradcn_nb.evaluation.intervals import Interval, paired_interval
from bradcn_nb.evaluation.lpips import LPIPS, lpips_net
from bradcn_nb.evaluation.metrics import lpips, psnr, ssim, to_uint8, val294
from bradcn_nb.experiments import metrics as study
from bradcn_nb.experiments.record import result
from bradcn_nb.figures.plots import COLOURS, grid, show, use_style
from bradcn_nb.files import data_root
from bradcn_nb.models import load_bradcn
from bradcn_nb.presets import preset

torch.set_num_threads(1)
cv2.setNumThreads(1)
use_style()

# %% [markdown]
# One of the three metrics, LPIPS, needs a net of its own, trained on a million photographs. It may not be on your
# machine (`make lpips` fetches it, 64 MB). So its numbers in this chapter come from a file that comes with the book,
# made by `python -m bradcn_nb experiments metrics`. Where the net is there, the chapter measures again and compares.

# %%
try:
    lpips_net()
    has_lpips = True
    note = "LPIPS was at hand: the file's numbers were measured again, and agreed."
except WeightsError:
    has_lpips = False
    note = "LPIPS was not at hand: its numbers were read from the book's file."


def checked(value, truth, picture):
    """A number from the book's file; where LPIPS is at hand, it must come out again."""
    if has_lpips:
        assert abs(lpips(truth, picture) - value) < 0.002
    return value


HTML(f"<p><em>{note}</em></p>")

# %% [markdown]
# ## What the paper says
#
# Section IV-C lists the metrics (Liu et al. 2023), shortened:
#
# > - "Peak Signal to Noise Ratio (PSNR) measures the difference between two images by comparing their peak signal
# >   power to the mean squared error (MSE) between them."
# > - "Structural Similarity Index (SSIM) measures the similarity of two images by comparing their luminance, contrast,
# >   and structural information."
# > - "Learned Perceptual Image Patch Similarity (LPIPS) measures the similarity between two images by comparing
# >   their perceptual features learned from a pre-trained deep neural network. A lower LPIPS value indicates a
# >   higher similarity".
#
# Section IV-F adds the size: "After the training is completed, we use bilinear interpolation to double the output
# resolution for testing." And Table I has the numbers. They are the **paper's**, on 294 photographs with 1024 rows
# (Val294). Nothing that this book measures belongs into this table.
#
# | The paper's Table I | PSNR, dB | SSIM | LPIPS |
# |---|---|---|---|
# | SKN | 24.66 | 0.8521 | 0.3323 |
# | DBSI | 23.45 | 0.8675 | 0.24633 |
# | DMSHN | 24.72 | 0.8793 | 0.2271 |
# | BRViT | 24.76 | 0.8904 | 0.1924 |
# | BRADCN | 24.83 | 0.8737 | 0.1448 |
#
# Two claims rest on it: "24.74% improvement on LPIPS", and a "higher PSNR".

# %%
print(f"LPIPS, BRADCN against BRViT: {100 * (1 - 0.1448 / 0.1924):.2f} % lower")
print(f"PSNR,  BRADCN against BRViT: {24.83 - 24.76:+.2f} dB")
print(f"SSIM,  BRADCN against BRViT: {0.8737 - 0.8904:+.4f}")

# %% [markdown]
# The first claim is exact. The second is seven hundredths of a dB. Of the third the text does not speak. Is 0.07<!-- paper --> dB
# much? Would it be there again with other photographs? By the end of the chapter you can say.
#
# What the paper does *not* say: the window of SSIM, the net inside of LPIPS, the size of the pictures that LPIPS sees,
# and any interval. The [ledger](ledger.md) has our choices ([`lpips`](ledger.md#lpips), [`ssim-window`](ledger.md#ssim-window), [`val294-size`](ledger.md#val294-size)).

# %% [markdown]
# ## A pair to judge
#
# We take one scene of the test set and photograph it at twice its usual size. Its bokeh is the *truth*. Its sharp
# version is the input. We pretend that the input is what some method has returned.

# %% mystnb={"image": {"alt": "Three panels. The sharp input: a signboard with a cat's face before a temple, a flower and wooden ground. The truth: the same with only the signboard and its post in focus. A map of what is in focus: the signboard and its post."}}
sharp, truth, focus = study.chapter_pair()
print("pictures", truth.shape, truth.dtype, "  in focus", focus.shape)
titles = ["input", "truth", "in focus"]
grid([sharp, truth, focus.astype(float)], titles, colourbar=False)

# %% [markdown]
# ## PSNR
#
# Subtract, square, take the mean over all pixels and colours. That is the mean squared error. Then compare it with the
# largest square that there could be, $255^2$, on a logarithmic scale:
#
# $$\text{MSE} = \frac{1}{3HW}\sum (a - b)^2, \qquad \text{PSNR} = 10 \log_{10}\frac{255^2}{\text{MSE}}\ \text{dB}.$$
#
# The picture before the formula: here is where the squared error lives.

# %% mystnb={"image": {"alt": "Map of the squared error of the sharp input on a logarithmic scale: bright where the temple, the flower and the ground are, dark on the signboard and in the white sky."}}
squared = (sharp.astype(float) - truth) ** 2  # (256, 384, 3)
error = np.log10(squared.mean(2) + 1)
grid([error], ["squared error of the input"], unit="log10", width=4.5)


# %%
def psnr_by_hand(truth, picture):
    """PSNR in dB of two uint8 (H, W, 3) pictures."""
    mse = np.mean((picture.astype(np.float64) - truth) ** 2)
    return 10 * np.log10(255**2 / mse)


assert np.isclose(psnr_by_hand(truth, sharp), peak_signal_noise_ratio(truth, sharp), rtol=1e-12)
assert psnr(truth, sharp) == peak_signal_noise_ratio(truth, sharp)
print(f"PSNR of the input: {psnr_by_hand(truth, sharp):.1f} dB")

# %% [markdown]
# Mind the `astype`. Subtract two uint8 arrays and 3 - 5 is 254.
#
# **What a dB is.** A logarithm turns factors into steps. So a step in dB is a factor of the squared error, wherever
# you stand:

# %%
for step in (0.07, 0.3, 1, 3, 10):
    print(f"{step:5.2f} dB more: {100 * (1 - 10 ** (-step / 10)):4.1f} % less squared error")

# %% [markdown]
# BRADCN's lead of 0.07<!-- paper --> dB over BRViT is 1.6 % of the squared error.
#
# **A mean of logarithms.** PSNR is computed for each picture; the table prints the mean. That is not the PSNR of the mean
# error. A few bad pictures pull the second down much more. Here for the book's own net on its 80<!-- =mini.n --> test pictures:

# %%
each = np.array(result("mini.images.psnr"))
mean_mse = np.mean(255**2 / 10 ** (each / 10))
print(f"mean of {len(each)} PSNRs:        {each.mean():.2f} dB")
print(f"PSNR of the mean error:   {10 * np.log10(255**2 / mean_mse):.2f} dB")

# %% [markdown]
# Both are in use. A difference of this size between two papers may be nothing but this.

# %% [markdown]
# ## SSIM
#
# Squared error treats a picture as a bag of pixels. SSIM (Wang et al. 2004) slides a small window over both pictures and
# compares, in each place, three things: mean $\mu$, spread $\sigma$, and how the two patterns go together (their covariance
# $\sigma_{ab}$):
#
# $$\text{SSIM} = \underbrace{\frac{2\mu_a\mu_b + c_1}{\mu_a^2 + \mu_b^2 + c_1}}_{\text{luminance}} \cdot
#   \underbrace{\frac{2\sigma_{ab} + c_2}{\sigma_a^2 + \sigma_b^2 + c_2}}_{\text{contrast and structure}},
#   \qquad c_1 = (0.01 \cdot 255)^2,\ c_2 = (0.03 \cdot 255)^2.$$
#
# Each fraction is 1 where the two agree. The constants keep flat places from dividing zero by zero. Then the mean over
# places and colours. Here is one window of 7x7 pixels, by hand.


# %%
def ssim_of_window(a, b, weights, unbiased=1.0):
    """SSIM of two windows (h, w) under weights that sum to 1; two factors and their product."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
    var_a = unbiased * (weights * (a - mean_a) ** 2).sum()
    var_b = unbiased * (weights * (b - mean_b) ** 2).sum()
    cov = unbiased * (weights * (a - mean_a) * (b - mean_b)).sum()
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * cov + c2) / (var_a + var_b + c2)
    return luminance, structure, luminance * structure


row, column, green = 150, 60, 1  # a place on the wooden ground
a, b = (p[row - 3 : row + 4, column - 3 : column + 4, green].astype(float) for p in (truth, sharp))
uniform = np.full((7, 7), 1 / 49)
# scikit-image divides by 48, not 49, as one does for the variance of a sample
parts = ssim_of_window(a, b, uniform, unbiased=49 / 48)
_, whole = structural_similarity(truth, sharp, channel_axis=-1, full=True)  # (256, 384, 3)
assert np.isclose(parts[2], whole[row, column, green], rtol=1e-9)
print("luminance {:.3f} x structure {:.3f} = {:.3f}".format(*parts), "as in scikit-image")

# %% [markdown]
# The window has nearly the right mean and quite another pattern: the wood is sharp where it should be soft.
#
# **Two windows.** scikit-image's default is this one: 7x7, every pixel counts alike. The paper that invented SSIM used a
# Gaussian of 11x11 that fades towards its rim. Both are called "SSIM".

# %% mystnb={"image": {"alt": "Two maps of the SSIM of the input, one with the uniform and one with the Gaussian window. Both are bright, near 1, on the signboard and in the white sky and dark on temple, flower and ground. The Gaussian one is a little smoother."}}
x = np.arange(-5, 6)
gaussian = np.exp(-(x[:, None] ** 2 + x**2) / (2 * 1.5**2))
gaussian /= gaussian.sum()  # (11, 11)
a, b = (p[row - 5 : row + 6, column - 5 : column + 6, green].astype(float) for p in (truth, sharp))
options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
_, smooth = structural_similarity(truth, sharp, channel_axis=-1, full=True, **options)
assert np.isclose(ssim_of_window(a, b, gaussian)[2], smooth[row, column, green], rtol=1e-9)
names = ["uniform 7x7", "Gaussian 11x11"]
grid([whole.mean(2), smooth.mean(2)], names, limits=(0, 1), unit="SSIM")

# %% [markdown]
# How much does the choice change a mean? We need predictions for that: those of the book's net, on all of its test
# pictures, by the protocol of Section IV-F (half size in, bilinear times two out).

# %%
mini, model = preset("mini"), load_bradcn()
test = EBB(data_root() / "mini-ebb", "test")
items = [test.read(i) for i in range(len(test))]  # uint8 (128, 192, 3)
truths, inputs = ([item[key] for item in items] for key in ("bokeh", "image"))
halves = [to_tensor(resize_picture(image, mini.data.train_size)) for image in inputs]
with torch.inference_mode():
    drawn = [model(half[None]).bokeh for half in halves]  # (1, 3, 64, 96)
predictions = [val294(p, *t.shape[:2]) for p, t in zip(drawn, truths, strict=True)]

for name, pictures in (("BRADCN, mini", predictions), ("input", inputs)):
    mean = {
        window: np.mean([ssim(t, p, window) for t, p in zip(truths, pictures, strict=True)])
        for window in ("uniform", "gaussian")
    }
    print(f"{name:14} uniform {mean['uniform']:.3f}   Gaussian {mean['gaussian']:.3f}")

# %% [markdown]
# For the net's pictures hardly at all, for the sharp input by nearly two hundredths. So the window shifts good and bad
# pictures differently. In Table I, BRADCN and DMSHN lie 0.0056<!-- paper --> apart. SSIMs of two papers compare only if both name
# their window.

# %% [markdown]
# ## LPIPS
#
# Both metrics so far look at pixels. Do *you*? Move a picture by one pixel and every pixel is wrong, yet you see no
# difference. LPIPS (Zhang et al. 2018) asks a net instead. AlexNet was trained to name what is in a photograph. Along the
# way it had to learn what matters in a picture and what does not. LPIPS never asks for the name. It compares what the
# net *sees on the way*:
#
# ```text
#             layer 1   layer 2     layer 3     layer 4   layer 5
# picture a -> conv --> pool conv -> pool conv -> conv --> conv
#               |          |           |          |         |
#            compare    compare     compare    compare   compare   -> add
#               |          |           |          |         |
# picture b -> conv --> pool conv -> pool conv -> conv --> conv
# ```
#
# Each conv ends in a ReLU.
#
# At each of the five layers and each place of the map stands a vector of channels, $f$. It is scaled to length 1. The two
# vectors are subtracted, squared, weighed channel by channel, and added up. Then the mean over places:
#
# $$d(a, b) = \sum_{l=1}^{5} \frac{1}{H_l W_l} \sum_{\text{places}} \sum_{c} w_{lc}
#   \left(\frac{f^a_{lc}}{\|f^a_l\|} - \frac{f^b_{lc}}{\|f^b_l\|}\right)^2.$$
#
# The weights $w$ are the only thing that was learned for LPIPS: from half a million judgements of people, "which of these two
# is closer to the original?". 0 means equal; **lower is better**. The package says it in few lines:

# %%
show(LPIPS.maps)

# %% [markdown]
# ### Shape arithmetic
#
# A convolution or pooling of kernel $k$, step $s$ and padding $p$ turns $n$ pixels into $\lfloor (n + 2p - k)/s \rfloor + 1$.


# %%
def after(n, kernel, step, padding):
    """Length of a side after a convolution or pooling."""
    return (n + 2 * padding - kernel) // step + 1


def alexnet_sizes(height, width):
    """Sizes (h, w) of the five maps that LPIPS compares."""
    first = [after(n, 11, 4, 2) for n in (height, width)]  # conv 11x11, step 4
    second = [after(n, 3, 2, 0) for n in first]  # pool 3x3, step 2; the convs keep the size
    third = [after(n, 3, 2, 0) for n in second]
    return [tuple(size) for size in (first, second, third, third, third)]


for size in ((128, 192), (256, 384), (1024, 1536)):
    print(size, "->", *alexnet_sizes(*size))
stored = [study.unpack(packed) for packed in result("metrics.input.maps")]
assert [m.shape for m in stored[1:]] == alexnet_sizes(256, 384)[1:]

# %% [markdown]
# A window of AlexNet's is 11 pixels wide, whatever the picture's size. Keep that in mind for later.
#
# ### Layer by layer
#
# Here are the five maps for our pair, input against truth. Bright: the net sees a difference. Their means add up to
# LPIPS. (The first map is stored at the second one's size.)

# %% mystnb={"image": {"alt": "Six panels: the sharp input, and five maps from fine to coarse. All of them are dark on the signboard and bright on temple, flower and ground; the deeper the layer, the coarser the map."}}
layers = result("metrics.input.layers")
assert np.isclose(sum(layers), result("metrics.input.lpips"), rtol=1e-5)
if has_lpips:
    live = study.layer_maps(truth, sharp)
    np.testing.assert_allclose([m.mean() for m in live], layers, atol=5e-4)
    for mine, theirs in zip(live, stored, strict=True):
        np.testing.assert_allclose(study.small_map(mine), theirs, atol=0.02 * theirs.max())
titles = [f"layer {k}: {mean:.3f}" for k, mean in enumerate(layers, 1)]
grid([sharp, *stored], ["input", *titles], columns=3, unit="distance", limits=(0, 0.5))

# %%
value = checked(result("metrics.input.lpips"), truth, sharp)
print("LPIPS", " + ".join(f"{mean:.3f}" for mean in layers), f"= {value:.3f}")

# %% [markdown]
# The first layer, of edges and colours, hardly counts. Each of the others contributes about a tenth: textures, then
# parts of things.

# %% [markdown]
# ## A gallery of equals
#
# Now an experiment. Take the *truth* and spoil it in six ways. The first is a shift to the right by one pixel. The strength
# of the other five is set by halving an interval until their PSNR is the same.

# %%
show(to_psnr)

# %%
gallery = study.equal_psnr(truth, focus)
target = psnr(truth, gallery["shift"])
for name, picture in gallery.items():
    assert abs(psnr(truth, picture) - target) < 0.05, name
print(f"{len(gallery)} pictures, all with a PSNR of {target:.1f} dB")

# %% [markdown]
# Before you read the titles: put the six in *your* order, from least to most annoying. We show their middle, pixel by
# pixel. ("Subject" is a blur of what is in focus, and of nothing else.)

# %% mystnb={"image": {"alt": "Six versions of the truth with equal PSNR: shifted by one pixel, which looks unchanged; noisy; blurred; with less contrast, slightly grey; with JPEG blocks; and with only the cat's face blurred. Above each stand its SSIM and LPIPS."}}
numbers = {}
for name, picture in gallery.items():
    lpips_value = checked(result(f"metrics.equal.{name}.lpips"), truth, picture)
    numbers[name] = ssim(truth, picture), lpips_value
titles = [f"{name}\nSSIM {s:.3f}, LPIPS {p:.3f}" for name, (s, p) in numbers.items()]
middle = np.s_[40:200, 80:320]
grid([picture[middle] for picture in gallery.values()], titles, columns=3)

# %%
print("least to most annoying")
print("  by PSNR:  all equal")
print("  by SSIM: ", ", ".join(sorted(numbers, key=lambda name: -numbers[name][0])))
print("  by LPIPS:", ", ".join(sorted(numbers, key=lambda name: numbers[name][1])))
assert numbers["subject"][0] > 0.93 and numbers["subject"][1] > 5 * numbers["shift"][1]

# %% [markdown]
# Look at three of them.
#
# - **Shift.** Nobody sees it, and LPIPS says so. For PSNR it is as bad as the JPEG. The two photographs of a real pair were
#   taken one after the other. Where they are not aligned to the pixel, PSNR charges the net for it.
# - **Subject.** The face is soft, the one thing that should be sharp. For SSIM that is nearly the same as the shift.
# - **Noise.** You have to look twice, yet LPIPS finds it the worst of all. Why?
#
# The bars below split LPIPS by layers. And the maps show *where* the second layer finds the noise and the blur.

# %% mystnb={"image": {"alt": "Stacked bars of LPIPS by layer for the six distortions, from contrast, nearly zero, over shift, subject, JPEG and blur to noise. In the bars of noise, blur and subject the second layer is the largest part; in that of JPEG the fifth."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
order = sorted(numbers, key=lambda name: numbers[name][1])
parts = np.array([result(f"metrics.equal.{name}.layers") for name in order])  # (6, 5)
figure, axis = plt.subplots(figsize=(7.5, 2.8))
for layer, colour in zip(range(5), COLOURS, strict=False):
    start = parts[:, :layer].sum(1)
    axis.barh(order, parts[:, layer], left=start, color=colour, label=f"layer {layer + 1}")
axis.set(xlabel="LPIPS")
axis.legend()
plt.show()

# %% mystnb={"image": {"alt": "Three panels: the truth, and two maps of the second layer's distance. For noise the map is bright in the soft background and darker on the detailed face; for blur it is bright on the face and on outlines, dark in the background."}}
maps = [study.unpack(result(f"metrics.equal.{name}.map")) for name in ("noise", "blur")]
grid([truth, *maps], ["truth", "noise, layer 2", "blur, layer 2"], unit="distance")

# %% [markdown]
# The blur is found where there was detail to lose. The noise is found in the *soft* places. There the net's features are
# small, so a little noise turns the vector, and then every vector is stretched to length 1. A whisper in a quiet room is
# heard. Most of a bokeh picture is such a room: LPIPS is strict about its grain.
#
# The net inside matters, too. LPIPS comes with AlexNet or with VGG16, and a paper has to say which:

# %%
for name in order:
    row = result(f"metrics.equal.{name}")
    print(f"{name:9} AlexNet {row['lpips']:.3f}   VGG16 {row['vgg']:.3f}")

# %% [markdown]
# With VGG16 JPEG is worse than noise; with AlexNet it is the other way round.

# %% [markdown]
# ## Distort and read
#
# Choose a distortion and its strength; read the three numbers. The button shows the truth, so press it twice to blink.
# All by mouse or by keyboard (Tab, arrows, Space). It works without a kernel.

# %%
from bradcn_nb.figures.distortion import distortion_viewer

UNITS = {
    "noise": "noise of {} grey levels",
    "blur": "blur of {} pixels",
    "shift": "shift by {} pixels",
    "contrast": "{:.0%} of the contrast lost",
    "jpeg": "JPEG of quality {}",
    "subject": "subject blurred by {} pixels",
}
levels = {}
for name, distort in study.distortions(focus).items():
    levels[name] = []
    for number, strength in enumerate(study.LEVELS[name]):
        picture = distort(truth, strength)
        lpips_value = checked(result(f"metrics.levels.{name}")[number], truth, picture)
        values = {
            "PSNR": f"{psnr(truth, picture):.1f} dB",
            "SSIM": f"{ssim(truth, picture):.3f}",
            "LPIPS": f"{lpips_value:.3f}",
        }
        words = UNITS[name].format(100 - strength if name == "jpeg" else strength)
        levels[name].append((picture, words, values))
print(len(levels), "distortions with", len(levels["noise"]), "strengths each")

# %%
distortion_viewer(
    truth,
    levels,
    "A signboard with a cat's face, in focus, before a soft temple; distorted as chosen.",
)

# %% [markdown]
# Try this. Find the strengths at which noise and shift have the same LPIPS, about 0.2. Which of the two would you send
# to a friend? Then set "subject" to its strongest. How many dB does a face cost?

# %% [markdown]
# ## The size of the pictures
#
# AlexNet looks through windows of fixed size in pixels. Shrink a picture, and it sees another one: fine grain is gone, and
# a soft disc may have become an edge. What do the metrics say of the *same* pictures at several sizes?
#
# Measured on three scenes at 1536x1024, and on three real pairs of EBB! (their numbers only; the pictures are not part of
# the book). "Input" is the sharp picture as a prediction. "Through half size" is the truth itself, shrunk to half and
# enlarged again: the best that a net of half the size could draw.

# %% mystnb={"image": {"alt": "Line plot of LPIPS over the size at which it is measured, from 1536x1024 to 192x128. The input's LPIPS falls with the size, on scenes from about 0.76 to 0.48 and on real pairs from about 0.53 to 0.20. The truth through half size falls from about 0.08 to nearly zero at half size."}}
rows = {
    "input, scenes": result("metrics.resolution.input"),
    "through half size, scenes": result("metrics.resolution.half"),
    "input, real pairs": result("metrics.real.input"),
}
sizes = [f"{1536 // s}x{1024 // s}" for s in study.SHRINKS]
figure, axis = plt.subplots(figsize=(7.5, 2.8))
for name, values in rows.items():
    axis.plot(sizes, values["lpips"], "o-", label=name)
axis.set(xlabel="size at which LPIPS is measured", ylabel="LPIPS", ylim=(0, None))
axis.legend()
plt.show()

# %%
print("768x512 in place of 1536x1024:")
for name, values in rows.items():
    ratio = values["lpips"][1] / values["lpips"][0]
    gain = values["psnr"][1] - values["psnr"][0]
    print(f"  {name:26} LPIPS x {ratio:.2f}   PSNR {gain:+.2f} dB")

# %% [markdown]
# The pictures are the same, and yet LPIPS falls: by a twentieth, by a fifth, or by four fifths. On the real pairs it is a
# factor of 0.80<!-- =metrics.real.input.lpips.1 / metrics.real.input.lpips.0 -->. The paper's headline, 24.74<!-- paper --> % lower than BRViT, is a factor of 0.75<!-- paper -->. We do not say that the paper
# measured at half size. We say that its text does not exclude it, and that this alone could change a table.
#
# The lowest line is the sharpest lesson. At full size, LPIPS sees what half the resolution has cost. At half size the same
# loss is invisible.

# %% [markdown]
# ## The protocol, step by step
#
# A protocol is the list of all such decisions. Ours is called `val294`. It is that of BRViT and DMSHN, so that numbers
# compare:
#
# 1. The prediction, of any size, is enlarged bilinearly to the size of *its own* truth (`align_corners=False`).
# 2. It is clamped to [0, 1] and rounded to 8 bits, as a file would be.
# 3. PSNR and SSIM are scikit-image's, with their defaults, on 8 bits.
# 4. LPIPS is version 0.1 with AlexNet, at the truth's size, on [-1, 1].
# 5. Means over pictures; differences in pairs; intervals (next section).
#
# What is each step worth? We change one at a time, on all 80<!-- =mini.n --> test pictures.


# %%
def judged(mode="bilinear", align=False, eight_bits=True, half_size=False):
    """Mean PSNR of the net's pictures under a varied protocol, in dB."""
    values = []
    for small, native in zip(drawn, truths, strict=True):
        target, size = to_tensor(native)[None], native.shape[:2]
        if half_size:  # shrink the truth instead
            picture, target = small, F.interpolate(target, small.shape[-2:], mode="area")
        else:
            picture = F.interpolate(small, size, mode=mode, align_corners=align)
        if eight_bits:
            values.append(psnr(to_uint8(target), to_uint8(picture)))
        else:
            values.append(float(-10 * (picture - target).square().mean().log10()))
    return np.mean(values)


base = judged()
np.testing.assert_allclose(base, result("mini.psnr"), atol=0.01)
variants = {
    "no rounding, no clamping": judged(eight_bits=False),
    "bicubic in place of bilinear": judged(mode="bicubic"),
    "align_corners=True": judged(align=True),
    "compared at half size": judged(half_size=True),
}
print(f"{'val294':29}{base:5.1f} dB")
for name, value in variants.items():
    print(f"{name:30} {round(value - base, 1) + 0.0:+.1f} dB")

# %% [markdown]
# Rounding is nothing. But one word in a call, `align_corners=True`, moves pixels by up to half a pixel, and costs many
# times the lead of 0.07<!-- paper --> dB. So does another enlargement (this net was trained to be enlarged bilinearly; another might
# prefer the other). Comparing at half size is worth several such leads. So a table is an honest comparison only if one program judged
# all of its rows. That is why this book has a command for other people's pictures, too:
#
# ```text
# python -m bradcn_nb score --pred theirs/ --truth EBB/ --out results/theirs
# python -m bradcn_nb score --pred ours/ --truth EBB/ --against theirs/
# ```
#
# It prints the means with their intervals, names each variant that was asked for, and writes every picture's values. It is
# checked on small folders; Val294 itself was not at hand.

# %% [markdown]
# ## Is it better, or was it luck?
#
# Our 80<!-- =mini.n --> pictures are a sample. With 80 others the mean would be another. How far off might it be? The **bootstrap** (Efron
# and Tibshirani 1993) asks the sample itself: draw 80 pictures *with replacement*, take their mean, and do it 10,000 times. The
# middle 95 % of these means are the interval.


# %%
def bootstrap_means(values, seed=0, times=10_000):
    """Means of `times` samples drawn from `values` with replacement."""
    values = np.asarray(values)
    draws = np.random.default_rng(seed).integers(0, len(values), (times, len(values)))
    return values[draws].mean(1)


full = np.array(result("mini.images.psnr"))
without = np.array(result("mini.images.psnr_render_only"))  # branches off, chapters 7 and 10
print(f"one picture's PSNR spreads by {full.std(ddof=1):.1f} dB (standard deviation)")
for name, values in (("BRADCN", full), ("branches off", without)):
    low, high = np.percentile(bootstrap_means(values), (2.5, 97.5))
    print(f"{name:14}{values.mean():.2f} dB, 95 % interval {low:.2f} to {high:.2f}")

# %% [markdown]
# The two intervals overlap. Can we not tell the two apart, then? We can. Pictures differ: a flat wall is easy, a hedge is hard, *for
# both*. Look at them in pairs, picture by picture, and that part cancels.

# %% mystnb={"image": {"alt": "Two plots. Left: PSNR with branches off against PSNR of BRADCN, one dot a picture; the dots lie along the diagonal, most of them above it. Right: histograms of bootstrap means of the difference; the unpaired one is wide and begins at zero, the paired one is narrow and stays far above zero."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
paired = bootstrap_means(full - without)
unpaired = bootstrap_means(full) - bootstrap_means(without, seed=1)
figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.0), width_ratios=(1, 1.5))
axes[0].plot([18, 44], [18, 44], color="0.5", lw=1)
axes[0].plot(without, full, "o", ms=3)
axes[0].set(xlabel="branches off, dB", ylabel="BRADCN, dB", title="one dot a picture", aspect=1)
bins = np.linspace(-1, 4, 80)
for values, name, colour in ((unpaired, "unpaired", COLOURS[1]), (paired, "paired", COLOURS[0])):
    axes[1].hist(values, bins, density=True, alpha=0.7, label=name, color=colour)
axes[1].axvline(0, color="black", lw=1)
axes[1].set(xlabel="BRADCN minus branches off, dB", title="10,000 means each", yticks=[])
axes[1].legend()
plt.show()

# %%
mine = Interval((full - without).mean(), *np.percentile(paired, (2.5, 97.5)))
np.testing.assert_allclose(mine, paired_interval(full, without))
low, high = np.percentile(unpaired, (2.5, 97.5))
print(f"unpaired: {mine.mean:+.2f} dB ({low:+.2f} to {high:+.2f})")
print(f"paired:   {mine.mean:+.2f} dB ({mine.low:+.2f} to {mine.high:+.2f})")

# %% [markdown]
# The same numbers, the same mean, and the paired interval is about a third as wide. The unpaired one nearly touches
# zero; a gain a little smaller would have drowned. Whenever two methods were run on the
# same pictures, pair them.
#
# **Now the 0.07<!-- paper --> dB.** The half width of an interval is about $1.96\, s/\sqrt{n}$, where $s$ is the spread of the differences. We
# do not know the paper's $s$. Suppose that it is like ours:

# %%
both = np.hypot(full.std(ddof=1), without.std(ddof=1))
for name, spread in (("paired", (full - without).std(ddof=1)), ("unpaired", both)):
    half_width = 1.96 * spread / np.sqrt(294)
    needed = (1.96 * spread / 0.07) ** 2
    print(f"{name:9} s = {spread:.1f} dB. With 294 pictures: +/- {half_width:.2f} dB.")
    print(f"{'':9} For +/- 0.07 dB it would take {needed:,.0f} pictures.")

# %% [markdown]
# Methods that are more alike than our two have a smaller $s$. Still: a lead of 0.07<!-- paper --> dB on 294 pictures, without an interval, is not
# yet a lead.
#
# And one warning. This interval speaks of *other pictures*. It does not speak of *another training*: with another seed the weights
# would be others. That takes several trainings.

# %% [markdown]
# ## Our numbers
#
# The book's mini net on its own test set: 80<!-- =mini.n --> generated pictures of 192x128. These are not Val294, and cannot be compared with
# the paper's table above.

# %%
methods = {"BRADCN": "", "branches off": "_render_only"}
methods |= {"input, half size": "_input_half", "input": "_input"}
print(f"{result('mini.n')} pictures            PSNR, dB     SSIM    LPIPS")
for name, suffix in methods.items():
    p, s, d = (result(f"mini.{metric}{suffix}") for metric in ("psnr", "ssim", "lpips"))
    print(f"{name:22}{p:9.2f}{s:9.3f}{d:9.3f}")
print("\nBRADCN minus branches off, paired, with a 95 % interval")
for metric, digits in (("psnr", 2), ("ssim", 3), ("lpips", 3)):
    d = result(f"mini.differences.{metric}.render_only")
    span = f"{d['low']:+.{digits}f} to {d['high']:+.{digits}f}"
    print(f"{metric.upper():6}{d['mean']:+.{digits}f}  ({span})")

# %% [markdown]
# ## Three ways to a good number
#
# A metric is a stand-in for a question. Here the question is: *would a photographer take this for the lens?* Three answers that
# score better than they should.

# %% mystnb={"image": {"alt": "Four pictures with their PSNR, SSIM and LPIPS: the ruined subject, a perfect background with a blurred signboard; the blind blur, everything blurred alike; the input, everything sharp; and the truth."}}
candidates = {
    "ruined subject": study.distortions(focus)["subject"](truth, 2 * study.RUINED),
    "blind blur": study.blur(sharp, 4.0),
    "input": sharp,
}
titles = [
    f"{name}\n{psnr(truth, p):.1f} dB, SSIM {ssim(truth, p):.2f}" for name, p in candidates.items()
]
grid([*candidates.values(), truth], [*titles, "truth\n"], columns=2)

# %%
traps = result("metrics.traps")
names = {
    "bradcn": "BRADCN",
    "subject": "ruined subject",
    "blind-2": "blind blur, 2 pixels",
    "input": "input",
}
print(f"{traps['n']} test pictures{'':9}PSNR, dB    SSIM   LPIPS")
for key, name in names.items():
    row = traps[key]
    print(f"{name:24}{row['psnr']:9.2f}{row['ssim']:8.3f}{row['lpips']:8.3f}")
blind = [study.blur(image, 2.0) for image in inputs]
again = np.mean([psnr(t, p) for t, p in zip(truths, blind, strict=True)])
np.testing.assert_allclose(again, traps["blind-2"]["psnr"], atol=0.01)
print(
    f"\nwhat is in focus: {100 * traps['share_pixels']:.0f} % of the pixels, "
    f"{100 * traps['share_error']:.0f} % of BRADCN's squared error"
)

# %% [markdown]
# 1. **The background is most of the picture.** What is in focus has a seventh of the pixels, and so about a seventh of the say. A
#    perfect background with a *ruined subject* beats the trained net by all three metrics. No photographer would keep one of those
#    pictures. Remedy: report the region in focus apart, as the README does for `render`.
# 2. **Blur everything.** A blur of the whole input by two pixels, with no idea of depth, lifts the input's
#    21.54<!-- =metrics.traps.input.psnr --> dB to 25.73<!-- =metrics.traps.blind-2.psnr --> dB: more than half of what the trained net gains. Its SSIM is that of the net without its branches. So "better than the input" says little:
#    a baseline that does not know what depth is belongs into every table. LPIPS is the least fooled of the three.
# 3. **Do nothing.** On pictures where nearly all is in focus, the input is nearly perfect. On a few test pictures it beats the
#    net:

# %%
as_it_is = np.array(result("mini.images.psnr_input"))
print(
    f"the input beats BRADCN on {(as_it_is > full).sum()} of {len(full)} pictures, "
    f"with up to {as_it_is.max():.0f} dB"
)

# %% [markdown]
# ## Your numbers may differ
#
# PSNR and SSIM are the same on every machine to many digits. The net's own pictures, and LPIPS, are sums of many floats: another
# processor or another version of PyTorch may change their fifth digit. The asserts leave room for that. Bootstrap intervals
# come from a fixed seed; another seed moves their ends by a few hundredths of a dB.

# %% [markdown]
# ## Summary
#
# - PSNR is squared error on a logarithmic scale. 0.07<!-- paper --> dB is 1.6 % of it.
# - SSIM compares mean, spread and pattern in a window. Which window, is part of the number.
# - LPIPS compares what AlexNet sees. It forgives a shift and hears a whisper in soft places. Its net and the pictures' size are part of the number.
# - Equal PSNR can mean an unseen shift or a ruined face.
# - A protocol fixes size, enlargement, rounding, windows and nets. Single words of it are worth more than the gaps in Table I.
# - Compare methods picture by picture, and give the interval.
# - Background dominates every mean. Put a blind blur and the input into every table.

# %% [markdown]
# ## Exercises
#
# **1 (graded).** Write two functions. `my_psnr(truth, picture)`: PSNR in dB of two uint8 pictures (H, W, 3), infinite if they are
# equal. `my_interval(a, b, draws)`: the paired bootstrap. `a` and `b` have one value a picture; `draws` (times, n) holds the
# indices of the pictures that each repetition draws; return the mean of a - b and the ends of its 95 % interval.


# %% tags=["exercise"]
def my_psnr(truth, picture):
    """PSNR in dB of two uint8 pictures; infinite if they are equal."""
    raise NotImplementedError  # your code in place of this line


def my_interval(a, b, draws):
    """(mean, low, high) of the paired differences a - b."""
    raise NotImplementedError  # your code in place of this line


# %% [markdown] tags=["solution"]
# A solution, folded away in the book:


# %% tags=["hide-input", "solution"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
def solution_psnr(truth, picture):
    """Floats first, or the differences wrap around."""
    mse = ((truth.astype(float) - picture) ** 2).mean()
    return float("inf") if mse == 0 else 10 * np.log10(255**2 / mse)


def solution_interval(a, b, draws):
    """Subtract first: one draw takes the same pictures for both methods."""
    difference = np.asarray(a) - np.asarray(b)
    low, high = np.percentile(difference[draws].mean(1), (2.5, 97.5))
    return difference.mean(), low, high


# %% tags=["graded"]
def check(psnr_of, interval_of):
    """Raise AssertionError unless both functions are right."""
    black, white = np.zeros((4, 6, 3), np.uint8), np.full((4, 6, 3), 255, np.uint8)
    assert abs(psnr_of(black, white)) < 1e-9, "black against white is 0 dB"
    assert psnr_of(white, white) == float("inf")
    for picture in (*gallery.values(), sharp):
        assert abs(psnr_of(truth, picture) - psnr(truth, picture)) < 1e-9
        assert abs(psnr_of(picture, truth) - psnr(truth, picture)) < 1e-9, "uint8 wrapped around?"
    draws = np.random.default_rng(5).integers(0, len(full), (4000, len(full)))
    mean, low, high = interval_of(list(full), list(without), draws)
    assert abs(mean - (full - without).mean()) < 1e-9
    assert low < mean < high
    assert high - low < 1.2, "far too wide: was it paired?"
    assert abs(low - paired_interval(full, without).low) < 0.05
    same = interval_of(full + 0.3, full, draws)
    assert max(abs(value - 0.3) for value in same) < 1e-9, "0.3 dB everywhere is 0.3 dB, surely"


try:
    check(my_psnr, my_interval)
    print("Your functions pass.")
except NotImplementedError:
    check(solution_psnr, solution_interval)
    print("Not written yet. (The book's solutions pass.)")

# %% [markdown]
# **2.** Write `focus_psnr(truth, picture, focus)`, the PSNR of what is in focus. Rank "ruined subject", "blind blur" and "input" by it.
# Does it have a trap of its own?
#
# **3.** Give scikit-image's SSIM two *float* pictures in [0, 1], once with `data_range=1` and once with `data_range=2`. How much higher
# is the second? (Some programs get this wrong by default.)
#
# **4.** JPEG quality 90 on our truth: below which PSNR could a file format alone push you? Predict, then measure with
# `study.distortions`.
#
# **5.** Suppose that the 294 test photographs show only 60 places, about five photographs each. Is the bootstrap interval over pictures
# too narrow or too wide? What would you draw instead of pictures?
#
# **6.** Is there a picture that beats the truth's own bokeh by LPIPS against the truth? Why is this a stupid question for a distance, and
# a fair one for "which would a photographer prefer"?

# %% [markdown]
# ## Next
#
# [Chapter 13](13_table1.ipynb) puts this protocol to work on Table I, [chapter 14](14_table2.ipynb) on Table II. [Chapter 11](11_two_stage_training.ipynb) has the training that is
# judged here; the [ledger](ledger.md) the choices.
#
# ## References
#
# Full entries are in the [bibliography](bibliography.md).
#
# - Dutta et al. 2021: stacked DMSHN, whose protocol this is. Nagasubramaniam and Younes 2022: BRViT, likewise.
# - Efron and Tibshirani 1993: the bootstrap.
# - Krizhevsky, Sutskever and Hinton 2012: AlexNet.
# - Liu, Zhou and Dong 2023: the paper; Sections IV-C, IV-D and IV-F, Table I.
# - Wang et al. 2004: SSIM. Zhao et al. 2017: metrics as losses.
# - Zhang et al. 2018: LPIPS.
