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
# # 6. The Depth Prediction Net
#
# How far away is each pixel? A photograph does not say. A net that has seen many rooms can guess. This
# chapter looks at the guess: which net makes it, in which unit, how far it can reach, and how wrong it is
# where.
#
# **You will be able to**
#
# - say why one picture cannot give metres, and where a net gets them from all the same;
# - turn the net's output into metres by hand, and say why no answer exceeds 7.26 m;
# - tell metric depth from relative depth, and what MiDaS weights do not know;
# - measure a depth map: abs-rel, delta, RMSE, with the holes masked out;
# - say where it is wrong: far away, at edges, in scale or in shape;
# - fit scale and shift by least squares, and say why that is not a fair test.
#
# **Before this**: chapter 4, [The hybrid encoder](04_hybrid_encoder.ipynb), and chapter 5,
# [Render Net](05_render_net.ipynb), for the parts of the net. [Chapter 1](01_bokeh_and_the_thin_lens.ipynb)
# for why blur wants inverse depth.
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
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from IPython.display import HTML
from matplotlib import pyplot as plt
from torch import Tensor
from torch.testing import assert_close

from bradcn_nb.data import SUNRGBD
from bradcn_nb.errors import BradcnError, WeightsError
from bradcn_nb.figures.page import data_uri
from bradcn_nb.figures.plots import COLOURS, STYLE, grid, show
from bradcn_nb.files import data_root
from bradcn_nb.models import DepthNet, RenderNet, load_bradcn, load_depth_net
from bradcn_nb.presets import preset

torch.set_num_threads(1)  # sums in a fixed order give the same digits each time
mini, paper = preset("mini").model, preset("paper").model

# %% [markdown]
# ## What the paper says
#
# Section III-B begins ([Liu et al. 2023](bibliography.md)):
#
# > "In our framework, we use the Depth Prediction Net to estimate the depth maps of the scene. Specifically,
# > we apply the Dense Prediction Transformer (DPT) [7], which is based on the Vision Transformer, to
# > generate depth maps during both the training and inference stages."
#
# > "We utilize the pre-trained model which is finetuned on the NYUv2 dataset. To ensure that our model is
# > able to handle the complexities of real-world scenes, we also account for differences in the semantic
# > distribution of different datasets and fine-tune the weights during the training stages."
#
# Section II-A says how much to expect:
#
# > "The accuracy of monocular depth estimation is difficult to achieve in both academia and industry, and
# > this poses a significant challenge for bokeh rendering."
#
# In words: *take DPT as it is, in the version that was fine-tuned on a Kinect's measurements of rooms, and
# go on training it with the rest.* The second half of III-B, Eq. 1, belongs to chapter 7.
#
# The paper does not say which DPT. "Finetuned on the NYUv2 dataset" fits only one of the files that DPT's
# authors published, `dpt_hybrid_nyu`. So the Depth Prediction Net is DPT-Hybrid, and its numbers are that
# file's.

# %% [markdown]
# ## Why one picture cannot know
#
# A camera keeps directions and throws distances away. A thing of twice the size at twice the distance fills
# the same pixels. A photograph of a doll's house and one of a house can be the same photograph.

# %% mystnb={"image": {"alt": "A camera on the left with two lines of sight that open to the right. Between them stand a small tree at 2 metres and a tree of twice the height at 4 metres; both touch both lines."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
with plt.rc_context(STYLE):
    figure, axis = plt.subplots(figsize=(7.5, 2.2))
    for slope in (-0.18, 0.32):
        axis.plot([0, 5.4], [0, 5.4 * slope], color="#555555", linewidth=1, linestyle="--")
    for z, colour in ((2, COLOURS[2]), (4, COLOURS[0])):
        foot, top = -0.18 * z, 0.32 * z
        axis.plot(
            [z, z], [foot, foot + 0.2 * z], color="#8a5a2b", linewidth=2 * z, solid_capstyle="butt"
        )
        crown = plt.Polygon(
            [(z - 0.14 * z, foot + 0.14 * z), (z + 0.14 * z, foot + 0.14 * z), (z, top)]
        )
        crown.set(color=colour, zorder=3)
        axis.add_patch(crown)
        axis.text(z + 0.35, foot, f"{top - foot:g} m high, {z} m away", va="bottom", fontsize=9)
    axis.plot(0, 0, "s", color="#1b1b1b", ms=12)
    axis.set(xlim=(-0.2, 6.6), ylim=(-1.05, 1.85), xticks=[], yticks=[])
    axis.grid(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_visible(False)
    plt.close(figure)
figure

# %% [markdown]
# A net can still guess metres, from what it has learned about things. Doors are two metres high. Floors
# begin below the camera and run away from it. So **metric** depth works on the kind of scene that the net
# was trained on, and fails without a warning on a doll's house.
#
# The other way out is to claim less. **Relative** depth says which of two things is nearer, and nothing in
# metres. MiDaS ([Ranftl et al. 2022](bibliography.md)) is trained like that, on many kinds of pictures whose
# true scale nobody knows. DPT was published both ways: trained as MiDaS is, and then fine-tuned on NYUv2,
# where a Kinect had measured metres ([Silberman et al. 2012](bibliography.md)). The paper uses the latter.

# %% [markdown]
# ## Same trunk, another head
#
# The whole net is the Render Net's: `HybridEncoder`, four fusion blocks, a head of three convolutions. How
# different are the two? Ask them, without their numbers: on PyTorch's `meta` device.

# %%
with torch.device("meta"):
    depth_parts = DepthNet(paper).state_dict()
    render_parts = RenderNet(paper).state_dict()
assert depth_parts.keys() == render_parts.keys()
for name, tensor in depth_parts.items():
    if tensor.shape != render_parts[name].shape:
        print(f"{name:22} {tuple(tensor.shape)} here, {tuple(render_parts[name].shape)} there")
counts = [sum(t.numel() for t in parts.values()) for parts in (depth_parts, render_parts)]
print(f"{counts[0]:,} numbers here, {counts[1]:,} there")
assert counts[1] - counts[0] == 2 * (32 + 1)

# %% [markdown]
# One channel in place of three, in the last 1x1 convolution: two outputs fewer, each with 32 weights and a
# bias. That is all.
#
# What differs besides has no weights. The picture goes in as values from -1 to 1. And what comes out passes
# a ReLU and a formula.

# %%
show(DepthNet.inverse)
show(DepthNet.forward)

# %% [markdown]
# ## From the output to metres
#
# The head's output, after the ReLU, is a number $x \ge 0$. It is a *scaled inverse depth*:
#
# $$\frac{1}{z} = s\,x + t, \qquad z = \frac{1}{\max(s\,x + t,\; 10^{-8})},$$
#
# with $s = 0.000305$ and $t = 0.1378$ for the NYUv2 file. The two numbers belong to that file, as its
# weights do. In `mini` the scale is 1, since its net is trained from nothing, and the shift is the same.


# %%
def depth_by_hand(net: DepthNet, image: Tensor) -> tuple[Tensor, Tensor]:
    """Depth in metres and inverse depth in 1/m, both (N, 1, H, W), from the package's parts."""
    maps = net.encoder((image - 0.5) / 0.5)  # chapter 4
    x = F.relu(net.decoder(maps))  # chapter 5
    inverse = net.cfg.depth_scale * x + net.cfg.depth_shift
    return 1 / inverse.clamp(min=1e-8), inverse


net = load_depth_net().requires_grad_(False)
some = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
metres, per_metre = depth_by_hand(net, some)
assert_close(metres, net(some))
assert_close(per_metre, net.inverse(some))
print("picture", tuple(some.shape), "-> depth", tuple(metres.shape), "of kind", net.cfg.depth_kind)

# %% [markdown]
# What does the formula do at its ends? A large $x$ is near. The smallest is 0. So the farthest answer is
# $1/t$, and every wall behind it is put there.


# %%
def metres_of(x: Tensor) -> Tensor:
    """The NYUv2 file's formula."""
    return 1 / (paper.depth_scale * x + paper.depth_shift).clamp(min=1e-8)


reach = metres_of(torch.tensor(0.0)).item()
print(f"x = 0 means {reach:.3f} m")
assert abs(reach - 7.257) < 5e-4
assert (
    paper.depth_shift > 1e-8
)  # so the clamp never acts; it is kept because it is in DPT's formula
for z in (0.5, 1, 2, 4, 6):
    x = torch.tensor((1 / z - paper.depth_shift) / paper.depth_scale)
    assert_close(metres_of(x).item(), float(z), rtol=1e-4, atol=0)
    far = metres_of(x - 50) - z
    print(f"{z:3} m is x = {x:5.0f}; 50 less in x puts it {100 * far:4.1f} cm farther away")

# %% mystnb={"image": {"alt": "Two plots over the head's output x from 0 to 6000. Left, inverse depth is a straight line from 0.14 to nearly 2 per metre. Right, depth falls from 7.26 metres at x = 0, steeply at first, then ever flatter, to about half a metre; a dashed line marks 7.26 metres."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
x = torch.linspace(0, 6000, 601)
with plt.rc_context(STYLE):
    figure, axes = plt.subplots(1, 2, figsize=(7.5, 2.6))
    axes[0].plot(x, 1 / metres_of(x), color=COLOURS[0])
    axes[0].set(xlabel="x", ylabel="inverse depth, 1/m", ylim=(0, None))
    axes[1].plot(x, metres_of(x), color=COLOURS[1])
    axes[1].axhline(reach, color="#555555", linestyle="--", linewidth=1)
    axes[1].set(xlabel="x", ylabel="depth, m", ylim=(0, 8))
    plt.close(figure)
figure

# %% [markdown]
# Two lessons are in the right plot.
#
# **Far is hard.** The same slip in $x$ costs centimetres near the camera and decimetres or more at the far
# wall: $\delta z \approx z^2\, \delta(1/z)$. Is that a bad design? Not for us. The diameter of a blur disc
# is linear in *inverse* depth (chapter 1). What looks alike to the lens costs alike in $x$.
#
# **There is a wall.** NYUv2 was measured indoors, where 7.26 m is plenty. SUN RGB-D has measurements up to 8
# m and beyond. The net cannot say them. A pixel at 8 m has an error of at least 0.74 m that no training
# removes; see [`depth-floor`](ledger.md#depth-floor) in the [ledger](ledger.md). Outdoors, in EBB!, everything from the hedge to the
# sky is "7.26 m".

# %% [markdown]
# ## Three rooms
#
# Now the trained net. It is the bundled `mini` one, as *stage 0* left it: a small net trained on generated
# views, where the paper takes the published file ([`stage0`](ledger.md#stage0) in the [ledger](ledger.md)). It has never seen
# the rooms of mini-SUN.
#
# A depth camera measured them, a simulated one, with its noise and its **holes**: places where it got no
# answer. They come as 0 in the file. The reader turns them into a mask. Here they are grey.


# %%
def frames(split: str, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures (N, 3, H, W), measured depths in metres and masks (N, 1, H, W) of mini-SUN."""
    root, counts = data_root() / "mini-sun", preset("mini").data.sun_counts
    found = SUNRGBD(root, split, counts, size=mini.image_size, kind="depth")  # raw, with holes
    items = [found[i] for i in range(count)]
    return tuple(torch.stack([item[key] for item in items]) for key in ("image", "depth", "mask"))


@torch.no_grad()
def predict(net: DepthNet, pictures: Tensor) -> Tensor:
    """Depth in metres (N, 1, H, W), a few pictures at a time."""
    return torch.cat([net(part) for part in pictures.split(5)])


pictures, truth, mask = frames("test", 60)
predicted = predict(net, pictures)
print(
    len(pictures), "test rooms;", f"{100 * (~mask).float().mean():.1f} % of their pixels are holes"
)
assert predicted.shape == truth.shape and predicted.max() <= reach + 1e-3

# %% mystnb={"image": {"alt": "Three rooms in rows: the picture, the measured depth with grey holes, the predicted depth and the absolute error. The predicted maps are smoother than the measured ones; errors show at far walls, at windows and along the outlines of furniture."}}
chosen = [4, 5, 23]
measured = torch.where(mask, truth, torch.nan)
error = (predicted - measured).abs()
panels = [part[i] for i in chosen for part in (pictures, measured, predicted, error)]
grid(
    panels,
    ["picture", "measured", "predicted", "error"] * 3,
    columns=4,
    unit=["", "m", "m", "m"] * 3,
    limits=[None, (0, 8), (0, 8), (0, 3)] * 3,
)

# %% [markdown]
# Look at three things. Does the net get the *layout* right: floor near, walls far, furniture in between?
# Does it get the *level* right, or is a whole room too near or too far? And where does it see a window? A
# window shows the bright outside, but the measured depth is that of the wall.
#
# ## Probe it yourself
#
# Move over a room with the mouse, or go to it with the Tab key and walk with the arrow keys (with Shift:
# eight pixels at a time). You read both depths in metres. Below, both are drawn along the row on which you
# stand. The buttons change the room and what is shown.


# %%
def millimetres(depth: Tensor) -> str:
    """A depth map (1, H, W) as base64 of two bytes a pixel; 0 is a hole."""
    whole = (1000 * depth).nan_to_num(0).round().to(torch.int16).numpy()
    return base64.b64encode(whole.astype("<i2").tobytes()).decode()


views = [
    {
        "name": f"Room {k}",
        "picture": data_uri(pictures[i].permute(1, 2, 0).numpy()),
        "measured": millimetres(measured[i]),
        "predicted": millimetres(predicted[i]),
    }
    for k, i in enumerate(chosen, start=1)
]

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of this element", "code_prompt_hide": "Hide the code of this element"}
PAGE = """<div class="interactive" id="probe"><style>
#probe {padding:.5em; max-width:620px}
#probe .bar button {font:inherit; padding:.3em .8em; margin:0 .4em .5em 0; border:1px solid; border-radius:6px; background:none; color:inherit; cursor:pointer}
#probe .bar button[aria-pressed=true] {outline:2px solid #d55e00; font-weight:bold}
#probe .scene {position:relative; cursor:crosshair; touch-action:none; line-height:0}
#probe .scene img, #probe .scene canvas {width:100%; height:auto; aspect-ratio:3/2; display:block; margin:0; padding:0; border-radius:0; filter:none; image-rendering:pixelated}
#probe .mark {position:absolute; width:17px; height:17px; margin:-8.5px 0 0 -8.5px; border:2px solid #fff; border-radius:50%; box-shadow:0 0 0 2px #000; box-sizing:border-box; pointer-events:none}
#probe .row {position:absolute; left:0; right:0; border-top:1px dashed #fff; mix-blend-mode:difference; pointer-events:none}
#probe .scene:focus-visible, #probe button:focus-visible {outline:3px solid #d55e00; outline-offset:2px}
#probe svg {display:block; width:100%; height:auto; margin-top:4px} #probe text {fill:currentColor; font:11px sans-serif}
#probe svg .grid {stroke:currentColor; stroke-opacity:.18} #probe svg .now {stroke:currentColor; stroke-dasharray:3 3}
#probe svg .line {fill:none; stroke-width:2}
#probe output {display:block; min-height:3.2em; border-left:4px solid #0072b2; padding:.1em 1em; margin:.5em 0}
#probe .scale {height:.7em; background:linear-gradient(90deg, rgb(68,1,84), rgb(65,68,135), rgb(42,120,142), rgb(34,168,132), rgb(122,209,81), rgb(253,231,37))}
#probe .ends {display:flex; justify-content:space-between; font-size:.8em; min-height:1.4em}</style>
<div class="bar rooms" role="group" aria-label="Room"></div><div class="bar shows" role="group" aria-label="What is shown"></div>
<div class="scene" tabindex="0" role="application" aria-label="The room, 64 rows of 96 pixels" aria-describedby="probe-help"><img
 alt="The room" width="96" height="64"><canvas aria-label="The chosen map of the room, in colours"></canvas><span
 class="row" aria-hidden="true"></span><span class="mark" aria-hidden="true"></span></div>
<div class="legend" aria-hidden="true"><div class="scale"></div><div class="ends"><span></span><span></span></div></div>
<output aria-live="polite"></output>
<svg viewBox="0 0 600 170" role="img" aria-label="Both depths along the row: blue predicted, orange measured"></svg>
<div id="probe-help"><small>Arrow keys move the probe by one pixel, with Shift by eight. Blue: predicted. Orange: measured.</small></div>
<script>SCRIPT</script></div>"""

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of this element", "code_prompt_hide": "Hide the code of this element"}
SCRIPT = """(() => {
const views = DATA, W = 96, H = 64, root = document.getElementById('probe'), $ = s => root.querySelector(s);
const decode = s => new Int16Array(Uint8Array.from(atob(s), c => c.charCodeAt(0)).buffer);
for (const v of views) { v.measured = decode(v.measured); v.predicted = decode(v.predicted);
  v.error = v.measured.map((m, i) => m ? Math.abs(v.predicted[i] - m) : 0); }
const ramp = [[68,1,84],[65,68,135],[42,120,142],[34,168,132],[122,209,81],[253,231,37]];
const shows = {picture: ['Picture', 0], predicted: ['Predicted', 8000], measured: ['Measured', 8000], error: ['Error', 3000]};
let room = 0, show = 'picture', x = 48, y = 32;
function colour(v) { const t = Math.min(v, 1) * (ramp.length - 1), i = Math.min(Math.floor(t), ramp.length - 2);
  return [0, 1, 2].map(c => ramp[i][c] + (t - i) * (ramp[i + 1][c] - ramp[i][c])).concat(255); }
function drawMap() {
  const v = views[room], top = shows[show][1], canvas = $('canvas'), plain = show === 'picture';
  $('img').src = v.picture; $('img').style.display = plain ? '' : 'none'; canvas.style.display = plain ? 'none' : '';
  $('.scale').style.visibility = plain ? 'hidden' : ''; const ends = $('.ends').children;
  ends[0].textContent = plain ? '' : '0 m'; ends[1].textContent = plain ? '' : top / 1000 + ' m';
  for (const b of root.querySelectorAll('button')) b.setAttribute('aria-pressed', b.dataset.show ? b.dataset.show === show : +b.dataset.room === room);
  if (plain) return;
  canvas.width = W; canvas.height = H; const pixels = new ImageData(W, H);
  v[show].forEach((mm, i) => pixels.data.set(v.measured[i] || show === 'predicted' ? colour(mm / top) : [158, 158, 158, 255], 4 * i));
  canvas.getContext('2d').putImageData(pixels, 0, 0);
}
const place = (mm, i) => [34 + 566 * (i + .5) / W, 150 - 140 * mm / 8000].map(n => n.toFixed(1)).join(' ');
function line(values, colour) {
  let path = '', pen = false;
  values.forEach((mm, i) => { path += mm ? (pen ? 'L' : 'M') + place(mm, i) : ''; pen = mm > 0; });
  return `<path class="line" stroke="${colour}" d="${path}"/>`;
}
"""

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of this element", "code_prompt_hide": "Hide the code of this element"}
SCRIPT += """
function drawProbe() {
  const v = views[room], i = y * W + x, p = v.predicted[i] / 1000, m = v.measured[i] / 1000, row = a => a.subarray(y * W, y * W + W);
  $('.mark').style.left = 100 * (x + .5) / W + '%'; $('.mark').style.top = 100 * (y + .5) / H + '%';
  $('.row').style.top = 100 * (y + .5) / H + '%';
  let said = `Row ${y + 1}, column ${x + 1}: predicted ${p.toFixed(2)} m, `;
  said += m ? `measured ${m.toFixed(2)} m. That is ${Math.abs(p - m).toFixed(2)} m too ${p > m ? 'far' : 'near'}, ` +
    `or ${(100 * Math.abs(p - m) / m).toFixed(0)} %.` : 'measured nothing: a hole.';
  $('output').textContent = said;
  let svg = [0, 2, 4, 6, 8].map(z => { const h = 150 - 140 * z / 8;
    return `<line class="grid" x1="34" x2="600" y1="${h}" y2="${h}"/><text x="28" y="${h + 4}" text-anchor="end">${z} m</text>`; }).join('');
  const at = 34 + 566 * (x + .5) / W;
  svg += `<line class="now" x1="${at}" x2="${at}" y1="6" y2="150"/>` + line(row(v.measured), '#d55e00') + line(row(v.predicted), '#0072b2');
  $('svg').innerHTML = svg + `<text x="317" y="166" text-anchor="middle">along row ${y + 1}</text>`;
}
function button(bar, text, data, press) { const b = document.createElement('button'); b.type = 'button'; b.textContent = text;
  Object.assign(b.dataset, data); b.onclick = () => { press(); drawMap(); drawProbe(); }; $(bar).append(b); }
views.forEach((v, i) => button('.rooms', v.name, {room: i}, () => { room = i; }));
for (const s in shows) button('.shows', shows[s][0], {show: s}, () => { show = s; });
const limit = (n, size) => Math.min(Math.max(n, 0), size - 1), scene = $('.scene');
scene.onpointermove = scene.onpointerdown = e => { const r = scene.getBoundingClientRect();
  x = limit(Math.floor(W * (e.clientX - r.left) / r.width), W);
  y = limit(Math.floor(H * (e.clientY - r.top) / r.height), H); drawProbe(); };
scene.onkeydown = e => { const d = {ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0]}[e.key];
  if (!d || e.altKey || e.ctrlKey || e.metaKey) return; e.preventDefault(); const step = e.shiftKey ? 8 : 1;
  x = limit(x + step * d[0], W); y = limit(y + step * d[1], H); drawProbe(); };
drawMap(); drawProbe(); })();"""
HTML(PAGE.replace("SCRIPT", SCRIPT).replace("DATA", json.dumps(views)))

# %% [markdown]
# Cross the outline of a piece of furniture. The measured line jumps from one pixel to the next. Does the
# predicted one jump too, or does it slope, or not notice? For bokeh that is the worst place to be wrong: it
# is where sharp meets soft.
#
# ## Three numbers
#
# Depth papers report the same numbers since [Eigen et al. 2014](bibliography.md). Over all known pixels,
# with the predicted depth $\hat z$ and the measured $z$:
#
# $$\text{abs-rel} = \mathrm{mean}\,\frac{|\hat z - z|}{z}, \qquad
# \delta_{1.25} = \mathrm{share}\Big[\max\Big(\frac{\hat z}{z}, \frac{z}{\hat z}\Big) < 1.25\Big], \qquad
# \text{RMSE} = \sqrt{\mathrm{mean}\,(\hat z - z)^2}.$$
#
# The first two are ratios: 20 cm at 1 m weigh like 80 cm at 4 m. RMSE is in metres, and the far wall rules
# it.


# %%
def metrics(predicted: Tensor, truth: Tensor, mask: Tensor) -> dict[str, float]:
    """abs-rel, share within a factor of 1.25, and RMSE in metres, over the pixels of `mask`."""
    z, guess = truth[mask], predicted[mask]
    ratio = torch.maximum(guess / z, z / guess)
    return {
        "abs-rel": ((guess - z).abs() / z).mean().item(),
        "delta": (ratio < 1.25).float().mean().item(),
        "RMSE": (guess - z).square().mean().sqrt().item(),
    }


# Two pixels by hand: 1 m said to be 1.2 m, 4 m said to be 2 m; the third is a hole.
known = torch.tensor([True, True, False])
got = metrics(torch.tensor([1.2, 2.0, 3.0]), torch.tensor([1.0, 4.0, 0.0]), known)
assert_close(got["abs-rel"], (0.2 + 0.5) / 2, rtol=1e-6, atol=0)
assert got["delta"] == 0.5
assert_close(got["RMSE"], ((0.2**2 + 2**2) / 2) ** 0.5, rtol=1e-6, atol=0)

# %% [markdown]
# A number alone says little. So we ask two rivals that never look at the picture. **Constant** says the
# median depth of the training rooms, everywhere. **Average room** says, at each pixel, the average over the
# training rooms (of inverse depth; it knows that floors are below).

# %%
_, train_truth, train_mask = frames("train", 300)
constant = torch.full_like(truth, train_truth[train_mask].median())
per_metre = torch.where(train_mask, 1 / train_truth, 0).sum(0) / train_mask.sum(0)  # (1, H, W)
average = (1 / per_metre).expand_as(truth)

print(f"{'':14} abs-rel   delta    RMSE")
scores = {}
for name, guess in (("constant", constant), ("average room", average), ("the net", predicted)):
    scores[name] = metrics(guess, truth, mask)
    a, d, r = scores[name].values()
    print(f"{name:14} {a:7.3f} {100 * d:5.0f} % {r:6.2f} m")
for rival in ("constant", "average room"):
    assert scores["the net"]["abs-rel"] < scores[rival]["abs-rel"]
    assert scores["the net"]["delta"] > scores[rival]["delta"]
# What is said below: a third, two thirds, two fifths.
assert scores["the net"]["abs-rel"] < 0.72 * scores["average room"]["abs-rel"]
assert scores["the net"]["delta"] > 0.62 and scores["average room"]["delta"] < 0.45

# %% [markdown]
# The net beats both: its relative error is a third lower than the average room's, and nearly two thirds of its pixels are within a quarter of the truth, where the average room has two fifths. It is a small net, at 96 x 64 pixels, and far from what
# DPT-Hybrid reports for NYUv2. Do not compare the two: other pictures, another size, another net. (And at
# the paper's size beware of the test set: SUN RGB-D contains NYUv2, on which the published net was trained.
# See [`sun-leak`](ledger.md#sun-leak) in the [ledger](ledger.md).)
#
# **The mask is part of the metric.** Forget it, and each hole counts as a wall at 0 m.

# %%
everything = torch.ones_like(mask)
unmasked = metrics(predicted, truth, everything)
print(f"RMSE with the mask {scores['the net']['RMSE']:.2f} m, without {unmasked['RMSE']:.2f} m")
print("abs-rel without the mask:", unmasked["abs-rel"])
assert unmasked["abs-rel"] == float("inf")

# %% [markdown]
# abs-rel divides by zero there, and at least says so. RMSE just goes wrong.
#
# ## Where is it wrong?
#
# **Far away.** Sort the pixels by their measured depth. For each range: the mean error, and the mean
# *signed* error, where plus means "said too far".

# %% mystnb={"image": {"alt": "Grouped bars over six ranges of measured depth from under 1.5 metres to over 6. The mean absolute error is smallest in the middle ranges and largest in the farthest; the signed error is positive for near pixels and strongly negative for far ones."}}
edges_m = [0, 1.5, 2.25, 3, 4.5, 6, 8.01]
names = [f"{low:g} to {high:g}" for low, high in zip(edges_m, edges_m[1:], strict=False)]
names[-1] = "6 to 8"
absolute, signed = [], []
for low, high in zip(edges_m, edges_m[1:], strict=False):
    inside = mask & (truth >= low) & (truth < high)
    difference = (predicted - truth)[inside]
    absolute.append(difference.abs().mean().item())
    signed.append(difference.mean().item())
with plt.rc_context(STYLE):
    figure, axis = plt.subplots(figsize=(7.5, 2.8))
    at = torch.arange(len(names))
    axis.bar(at - 0.2, absolute, 0.38, color=COLOURS[0], label="mean absolute error")
    axis.bar(at + 0.2, signed, 0.38, color=COLOURS[1], label="mean signed error")
    axis.axhline(0, color="#1b1b1b", linewidth=1)
    axis.set(xticks=at, xticklabels=names, xlabel="measured depth, m", ylabel="m")
    axis.legend()
    plt.close(figure)
assert absolute[-1] > absolute[2] and signed[-1] < 0 < signed[0]
figure

# %% [markdown]
# Read the signs. A net in doubt moves towards the middle: near things are said to be too far, and far things
# too near. For the last range there is a second reason, the reach of 7.26 m.
#
# **In which unit?** Here is the third room again, in 1/m: bright is near. In this unit the far wall hardly
# varies, and an error there counts little. What is near stands out.

# %% mystnb={"image": {"alt": "Three maps of the third room in inverse metres: measured, predicted, and the absolute error. Near floor is bright, the far wall is dark."}}
i = chosen[2]
nearness = [1 / measured[i], 1 / predicted[i]]
grid(
    [*nearness, (nearness[0] - nearness[1]).abs()],
    ["measured", "predicted", "error"],
    unit="1/m",
    limits=[(0, 1), (0, 1), (0, 0.4)],
)

# %% [markdown]
# Now all rooms: predicted against measured, once in metres, once in 1/m. A perfect net would stay on the
# line. The net was trained on the right-hand plot: stage 0 compares inverse depths.

# %% mystnb={"image": {"alt": "Two density plots of predicted against measured values with a dashed diagonal. In metres the cloud widens with distance and ends at a ceiling just above 7 metres; in inverse metres most pixels crowd in the lower left, and nothing lies below 0.14."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
z, guess = truth[mask][::5], predicted[mask][::5]  # every fifth pixel is enough to draw
with plt.rc_context(STYLE):
    figure, axes = plt.subplots(1, 2, figsize=(7.0, 3.3))
    for axis, a, b, top, unit in (
        (axes[0], z, guess, 8, "m"),
        (axes[1], 1 / z, 1 / guess, 1.3, "1/m"),
    ):
        axis.hexbin(a, b, gridsize=48, extent=(0, top, 0, top), bins="log", cmap="viridis", lw=0.2)
        axis.plot([0, top], [0, top], color="#d55e00", linestyle="--", linewidth=1.5)
        axis.set(xlabel=f"measured, {unit}", ylabel=f"predicted, {unit}", aspect="equal")
        axis.set(xlim=(0, top), ylim=(0, top))
        axis.grid(False)
    plt.close(figure)
figure

# %% [markdown]
# **At edges.** An edge is where neighbouring measurements differ by more than 15 %. Grow the edges step by
# step, and take the relative error of each ring of pixels.


# %%
def depth_edges(truth: Tensor, mask: Tensor) -> Tensor:
    """True where the largest of 3x3 known depths exceeds the smallest by 15 %; (N, 1, H, W)."""
    largest = F.max_pool2d(torch.where(mask, truth, 0), 3, stride=1, padding=1)
    smallest = -F.max_pool2d(-torch.where(mask, truth, 99), 3, stride=1, padding=1)
    return largest > 1.15 * smallest


def grow(where: Tensor, by: int) -> Tensor:
    """Everything within `by` pixels of `where`, in a square; keeps the shape."""
    return F.max_pool2d(where.float(), 2 * by + 1, stride=1, padding=by) > 0


step = torch.tensor([[1.0, 1, 1, 2, 2, 2]])[None, None]
found = depth_edges(step, step > 0)[0, 0, 0]
assert found.tolist() == [False, False, True, True, False, False]

edge = depth_edges(truth, mask)
relative = (predicted - truth).abs() / truth.clamp(min=0.1)
print("distance to the edge   share of pixels   abs-rel")
for low, high in ((0, 0), (1, 1), (2, 2), (3, 5), (6, 11), (12, None)):
    ring = mask.clone()
    if high is not None:
        ring &= grow(edge, high)
    if low > 0:
        ring &= ~grow(edge, low - 1)
    name = f"{low} and more" if high is None else f"{low}" if low == high else f"{low} to {high}"
    print(f"{name:>11} pixels {100 * ring.float().mean():18.0f} % {relative[ring].mean():9.3f}")

# %% mystnb={"image": {"alt": "One room twice: the picture with its depth edges in orange, which follow the outlines of the furniture, and the relative error of the prediction."}}
i = chosen[0]
orange = torch.tensor([0.835, 0.369, 0.0])[:, None, None]
grid(
    [torch.where(edge[i], orange, pictures[i]), torch.where(mask, relative, torch.nan)[i]],
    ["depth edges", "relative error"],
    limits=(0, 0.8),
)

# %% [markdown]
# The error falls by about a third from the outlines to the middle of surfaces, so outlines are hard. But look at the last row: far from any edge, where half of all pixels lie, a fifth of
# the depth is still missing. Outlines alone do not explain that. It could be the net's *level*: whole rooms too near or too far. One experiment can tell.
#
# ## Scale and shift
#
# A relative net, like MiDaS, cannot be judged in metres: its inverse depth is right only up to an unknown
# scale and shift. So one grants it both, for each picture, before the judging. Find $a$ and $b$ that bring
# its output $x$ as close as possible to the measured inverse depth $y = 1/z$:
#
# $$\min_{a, b} \sum_i (a\,x_i + b - y_i)^2 \quad\Rightarrow\quad
# a = \frac{\mathrm{cov}(x, y)}{\mathrm{var}(x)}, \qquad b = \bar y - a\,\bar x.$$


# %%
def align(x: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Fit a * x + b to 1 / truth in each picture; returns inverse depth in 1/m, (N, 1, H, W)."""
    aligned = torch.empty_like(x)
    for n in range(len(x)):
        a, y = x[n][mask[n]].double(), 1 / truth[n][mask[n]].double()
        scale = ((a - a.mean()) * (y - y.mean())).mean() / a.var(correction=0)
        aligned[n] = scale * x[n] + (y.mean() - scale * a.mean())
    return aligned


# Whatever scale and shift an exact answer was given, it comes back.
garbled = 250 * (1 / truth.clamp(min=0.1)) - 40
back = align(garbled, truth, mask)
assert_close(1 / back[mask], truth[mask], rtol=1e-4, atol=0)

# And it is the least-squares solution, says the library.
x, y = 1 / predicted[0][mask[0]], 1 / truth[0][mask[0]]
design = torch.stack((x, torch.ones_like(x)), dim=1).double()
fit = torch.linalg.lstsq(design, y.double()[:, None]).solution
mine = align(1 / predicted[:1], truth[:1], mask[:1])[0][mask[0]]
assert_close(mine.double(), (design @ fit)[:, 0], rtol=1e-4, atol=1e-5)
print("exact answers come back; same as torch.linalg.lstsq")

# %% [markdown]
# Our net is metric. Nothing forbids granting it a scale and a shift all the same, and asking what is left.
# Then we know which part of its error was the level, and which is shape. (An aligned inverse depth may fall
# below that of 8 m, or below zero. We cut it at 1/8.)

# %% mystnb={"image": {"alt": "Two groups of bars: abs-rel and RMSE of the average room, of the net as it is, and of the net after scale and shift are fitted to each picture."}}
aligned = 1 / align(1 / predicted, truth, mask).clamp(min=1 / 8)
scores["the net, aligned"] = metrics(aligned, truth, mask)
for i in range(len(truth)):  # what least squares promises, picture by picture, in its own unit
    y = 1 / truth[i][mask[i]]
    before = (1 / predicted[i][mask[i]] - y).square().mean()
    after = (
        align(1 / predicted[i : i + 1], truth[i : i + 1], mask[i : i + 1])[0][mask[i]] - y
    ).square()
    assert after.mean() <= before + 1e-6
with plt.rc_context(STYLE):
    figure, axes = plt.subplots(1, 2, figsize=(7.5, 2.6))
    for axis, key, unit in ((axes[0], "abs-rel", ""), (axes[1], "RMSE", "m")):
        rows = ["average room", "the net", "the net, aligned"]
        axis.barh(rows, [scores[row][key] for row in rows], color=[COLOURS[k] for k in (5, 0, 2)])
        axis.set(title=key, xlabel=unit)
        axis.invert_yaxis()
        axis.grid(False, axis="y")
    axes[1].set_yticklabels([])
    plt.close(figure)
figure

# %%
a, b, c = (scores[name]["abs-rel"] for name in ("average room", "the net", "the net, aligned"))
print(f"abs-rel: average room {a:.3f}, the net {b:.3f}, aligned {c:.3f}")
print(f"level: {100 * (b - c) / b:.0f} % of the net's abs-rel. Shape: the rest.")
assert 0.33 < (b - c) / b < 0.42  # "a good third"

# %% [markdown]
# With scale and shift given, a good third of the net's error is gone: that was level. The rest is shape.
#
# Two warnings. Aligned numbers must not be *ranked* with metric ones, as in a table of methods: the fit has looked at the truth of every
# picture that it is judged on. (We put them side by side to see where the error comes from.) And least squares in 1/m is ruled by the near pixels. It promises nothing
# about RMSE in metres.
#
# ## Never mistake one for the other
#
# MiDaS weights have the same names and shapes as the NYUv2 ones. If a program treats their output as metres,
# it gets a picture that looks like depth. Nothing fails. So in this package the *kind* is part of the net's
# configuration. A relative net has no metres to give, and says so.

# %%
relative_net = DepthNet(replace(mini, depth_kind="relative"))
relative_net.load_state_dict(net.state_dict())  # the same numbers; only what they mean is another
try:
    relative_net(some)
    raise AssertionError("a relative net gave metres")
except BradcnError as complaint:
    print(f"BradcnError: {complaint}")

# %% [markdown]
# `inverse` still answers: the head's $x$ itself, without the formula. Aligned, it is as good as the metric
# net aligned, since the formula was nothing but a scale and a shift.

# %%
with torch.no_grad():
    x = torch.cat([relative_net.inverse(part) for part in pictures.split(5)])
assert_close(mini.depth_scale * x + mini.depth_shift, 1 / predicted)
again = 1 / align(x, truth, mask).clamp(min=1 / 8)
assert_close(again, aligned, rtol=1e-3, atol=1e-3)
print("relative, then aligned = metric, then aligned")

# %% [markdown]
# ## The official files
#
# With the file `dpt_hybrid_nyu-2ce69ec7.pt` on your disk, the paper's net is one call:
#
# ```python
# net, matched = load_dpt("dpt_hybrid_nyu-2ce69ec7.pt", kind="metric")
# metres = net(image)  # sides: multiples of 32
#
# midas, matched = load_dpt("dpt_hybrid-midas-501f0c75.pt", kind="relative")
# nearness = midas.inverse(image)
# ```
#
# **This was not run here.** The file is half a gigabyte and does not come with the book. You name the kind,
# because the file does not: inside, the two look the same.
#
# What can be shown without the file is how its names map to ours, and that the count is right. The official
# net has 123,146,985 parameters. Ours has fewer. The difference is eight tensors on which no output depends
# (chapter 5 has the same sum for BRViT); they are passed over.

# %%
from bradcn_nb.models.official import load_dpt, official_name

for name in list(depth_parts)[:2] + list(depth_parts)[-2:]:
    print(f"{official_name(name):52} -> {name}")
unused = 2 * 768 + (768 * 1000 + 1000) + 2 * (256 * 256 * 9 + 256)
assert len({official_name(name) for name in depth_parts}) == len(depth_parts) == 360
assert counts[0] + unused == 123_146_985
print(f"... {len(depth_parts)} in all. {counts[0]:,} + {unused:,} = {counts[0] + unused:,} numbers")

# %% [markdown]
# A file that is something else is refused, and nothing is loaded halfway. Here is one with our own names,
# written to a folder for the moment:

# %%
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "not-official.pt"
    torch.save({"model": {"decoder.head.0.weight": torch.zeros(3)}}, path)
    try:
        load_dpt(path, kind="metric")
        raise AssertionError("a foreign file was loaded")
    except WeightsError as complaint:
        print("WeightsError:", str(complaint).replace(str(path), path.name)[:96], "...")

# %% [markdown]
# ## What fine-tuning does to depth
#
# The paper says: "fine-tune the weights during the training stages". In stage 2 the whole model is trained
# on pairs of pictures, sharp and blurred. No depth is given there. Nobody asks the Depth Prediction Net to
# go on saying metres; it is asked for whatever makes the picture better. Does it still measure?

# %% mystnb={"image": {"alt": "A room and three depth maps of it: measured, as stage 0 left the net, and after the fine-tuning of stage 2, which differs from the other two."}}
tuned_net = load_bradcn().depth_net.requires_grad_(False)
tuned = predict(tuned_net, pictures)
for name, guess in (("after stage 0", predicted), ("after stage 2", tuned)):
    a, d, r = metrics(guess, truth, mask).values()
    print(f"{name}: abs-rel {a:.3f}, delta {100 * d:.0f} %, RMSE {r:.2f} m")
(before, _, _), (after, share, _) = (metrics(g, truth, mask).values() for g in (predicted, tuned))
assert 2.5 < after / before < 3 and share < 1 / 6  # "nearly three times", "six of seven"
i = chosen[0]
grid(
    [pictures[i], measured[i], predicted[i], tuned[i]],
    ["picture", "measured", "after stage 0", "after stage 2"],
    columns=2,
    unit="m",
    limits=(0, 8),
)

# %% [markdown]
# The output is still a map, and still called depth. But after stage 2 its relative error is nearly three times what it was, and six pixels of seven are off by more than a quarter: fine-tuning for pictures let
# it drift. This is why the
# book's lens renderer takes the net of stage 0, and why the labels of Eq. 2 are made before stage 2 begins
# ([`freezing`](ledger.md#freezing) in the [ledger](ledger.md)).
#
# ## Your numbers may differ
#
# The formula, the shapes and the counts are exact. Everything measured in metres comes from the bundled
# weights and 60 generated rooms: another training gives other numbers, and another processor other last
# digits. None of these numbers says how well DPT-Hybrid works on photographs.

# %% [markdown]
# ## Summary
#
# - One picture has no scale. A metric net has learned sizes; a relative net does not claim any.
# - The Depth Prediction Net is the Render Net with one output channel, a ReLU and a formula.
# - Inverse depth is linear in what the head says: $1/z = s x + t$. With $t = 0.1378$ nothing is farther than
#   7.26 m.
# - abs-rel, delta, RMSE: over known pixels only, and beside a rival that never looks.
# - Errors grow with distance and have signs: in doubt, the middle. Outlines are smoothed.
# - Scale and shift by least squares separate level from shape. They use the truth, so they are no fair test.
# - What a net's output means must be written down. Names and shapes do not tell, and fine-tuning may change
#   it.

# %% [markdown]
# ## Exercises
#
# **1 (graded). Median scaling.** Nets that learn depth from video know everything but one scale. One judges
# them after multiplying each prediction by a number, such that its median equals the median of the truth.
# Write `median_scaled(predicted, truth, mask)`: all are `(N, 1, H, W)`, `mask` is boolean, and `truth` may
# hold anything, even NaN, where `mask` is False. Each picture gets a factor of its own. Medians are taken
# over the known pixels; for an even count use `torch.median`, which takes the lower of the two in the
# middle.


# %% tags=["exercise"]
def median_scaled(predicted: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Predicted depth, scaled picture by picture to the median of the known truth."""
    raise NotImplementedError  # your code in place of this line


# %% tags=["hide-input", "solution"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
def solution(predicted: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """A solution; open it after you have tried."""
    factors = [
        t[m].median() / p[m].median() for p, t, m in zip(predicted, truth, mask, strict=True)
    ]
    return predicted * torch.stack(factors)[:, None, None, None]


# %% tags=["graded"]
def check(answer) -> None:
    """Raise AssertionError unless `answer` scales by medians."""
    exact = torch.tensor([[1.0, 2.0, 4.0], [2.0, 3.0, 9.0]])[:, None, None]  # (2, 1, 1, 3)
    factors = torch.tensor([0.1, 7.0])[:, None, None, None]
    all_known = torch.ones_like(exact, dtype=torch.bool)
    assert_close(answer(factors * exact, exact, all_known), exact)
    holes = all_known.clone()
    holes[0, 0, 0, 2] = False
    holed = torch.where(holes, exact, torch.nan)
    scaled = answer(2 * exact, holed, holes)
    assert torch.isfinite(scaled).all(), "a NaN behind the mask got out"
    assert_close(scaled, exact)
    mine = answer(predicted, truth, mask)
    for n in range(len(mine)):
        assert_close(mine[n][mask[n]].median(), truth[n][mask[n]].median())
    assert_close(answer(5 * predicted, truth, mask), mine)  # the scale that came in does not matter


check(solution)
try:
    check(median_scaled)
    print("Your median_scaled passes.")
except NotImplementedError:
    print("Not written yet. (The book's solution passes.)")

# %% [markdown]
# **2.** With your function: is the net better or worse off than with scale *and* shift? Which of the three
# metrics can get worse when a second number is granted, and why?
#
# **3.** In which range of depth is one grey level of an 8-bit picture of $x$ finer than 1 cm, if $x$ runs
# from 0 to 5000?
#
# **4.** Mask out what is farther than 7.26 m and compute the three metrics again. Is that fairer? What would
# ADCN never learn if its labels were masked like that?
#
# **5.** Weigh the least squares of `align` by $z^2$. Which pixels rule now? Compare RMSE.

# %% [markdown]
# ## Next
#
# Chapter 7, [Eq. 1](07_depth_into_features.ipynb), gives this depth to the Render Net. Chapter 8,
# [Depth-error labels](08_depth_error_labels.ipynb), turns its errors into labels.

# %% [markdown]
# ## References
#
# All are in the [bibliography](bibliography.md).
#
# - Liu, Zhou and Dong 2023, *Bokeh Rendering Based on Adaptive Depth Calibration Network*. The paper;
#   Sections II-A and III-B.
# - Ranftl, Bochkovskiy and Koltun 2021, *Vision Transformers for Dense Prediction*. DPT-Hybrid and its NYUv2
#   file.
# - Ranftl and others 2022, *Towards Robust Monocular Depth Estimation*. MiDaS: inverse depth up to scale and
#   shift.
# - Eigen, Puhrsch and Fergus 2014, *Depth Map Prediction from a Single Image using a Multi-Scale Deep
#   Network*. The metrics.
# - Silberman and others 2012, *Indoor Segmentation and Support Inference from RGBD Images*. NYUv2.
# - Song, Lichtenberg and Xiao 2015, *SUN RGB-D*. The set whose layout mini-SUN has.
