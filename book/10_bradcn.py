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
# # 10. BRADCN: Eq. 3 and the whole model
#
# All parts are on the table: a net that draws, a net that guesses depth, a net that guesses how wrong the depth
# is. Eq. 3 puts them together. This chapter builds the whole model, proves it, and then looks hard at its last
# and most original part: what can a map of errors do for a picture, and what does it do here?
#
# **You will be able to**
#
# - read Eq. 3 and draw the whole model on one page, with every shape;
# - build BRADCN from its three nets, and prove your copy equal to the package's;
# - switch branches off, and say what that measures and what not;
# - say what a sum can do with an error that has no sign, and what it cannot;
# - test whether a trained net uses its error map at all;
# - save a model, load it again, and render a picture of any size.
#
# **Before this**: chapter 5 (the Render Net) and [chapter 7](07_depth_into_features.ipynb) (Eq. 1, Adap and
# Reassemble of a map).
#
# **Time and memory**: about half a minute on one laptop-class core, about 1.2 GB. No download, no GPU.

# %% [markdown]
# ## Setup

# %% tags=["hide-input", "setup"] mystnb={"code_prompt_show": "Show the set-up", "code_prompt_hide": "Hide the set-up"}
# On Colab this fetches the book's package; elsewhere it is there already.
from importlib.util import find_spec

if find_spec("bradcn_nb") is None:
    raise ModuleNotFoundError("no bradcn_nb: the page On Colab says how")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the imports", "code_prompt_hide": "Hide the imports"}
import html
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from IPython.display import HTML
from matplotlib import pyplot as plt
from torch import nn
from torch.testing import assert_close

from bradcn_nb.data import EBB, SUNRGBD
from bradcn_nb.errors import BradcnError, SizeError, WeightsError
from bradcn_nb.evaluation.intervals import paired_interval
from bradcn_nb.figures.plots import COLOURS, grid, show, use_style
from bradcn_nb.files import data_root
from bradcn_nb.models import (
    ADCN,
    BRADCN,
    BRADCNOutput,
    DepthNet,
    RenderNet,
    load_bradcn,
    load_depth_net,
    read_metadata,
)
from bradcn_nb.models.blocks import add_maps
from bradcn_nb.presets import preset

torch.set_num_threads(1)  # sums in a fixed order give the same digits each time
use_style()
mini, paper = preset("mini").model, preset("paper").model

# %% [markdown]
# ## What the paper says
#
# Section III-C ([Liu et al. 2023](bibliography.md)):
#
# > "The outputs of ADCN are fed into an adaptive net to match depth error information with multi-channel RGB
# > information. The adaptive depth error is reassembled into different resolutions as mentioned in Section 3.1. The
# > reassembled adapted error information and the *Di* in Eq. (1) are added together as decoder input, which is
# > defined as:"
#
# $$DI = Di + \mathbf{Reassemble}(\mathbf{Adap}(De)) \tag{3}$$
#
# > "where DI is the input of the decoder of render net, Di is mentioned in Eq. (1)."
#
# In words: *do with the error what Eq. 1 did with the depth, and add that, too.*
#
# Two sentences from chapters 8 and 9 are needed. In Eq. 2, De = |Do - Dgt| is a **label**: it exists only where
# a depth camera has measured Dgt, and the ADCN, a U-Net that sees nothing but the picture, was trained on such
# labels in stage 1. In Eq. 3, De is what that **ADCN predicts**: a map of metres, never negative, for pictures
# that no depth camera has seen.
#
# Put Eq. 1 into Eq. 3, and the model is a sum of three:
#
# $$DI = Eo + \mathrm{Reassemble}_1(\mathrm{Adap}_1(Do)) + \mathrm{Reassemble}_2(\mathrm{Adap}_2(De))$$
#
# The little numbers are ours. The paper writes the same name twice. We give each branch its own weights: metres
# of depth and metres of error are different things to say.

# %% [markdown]
# ## The model in one picture
#
# The picture goes three ways. In the middle the Render Net encodes it; left and right its two advisers look at
# it. Their advice is added before the decoder draws.
#
# **Click a block**, or go to the diagram with the Tab key and walk with the arrow keys. Below it you read the
# block's output shape, its parameters, whether it learns in stage 2, and its words in the paper. The two
# buttons switch between the `mini` and the `paper` net.
#
# The shapes are not typed in. The next cell runs Eq. 1 and Eq. 3 on PyTorch's `meta` device, where a tensor has a
# shape but no numbers, and so the paper's model of hundreds of millions of parameters costs nothing.


# %%
def count(part: nn.Module | None) -> int:
    """How many numbers a part can learn."""
    return 0 if part is None else sum(p.numel() for p in part.parameters())


def census(cfg) -> dict[str, dict]:
    """For each block of the diagram: the shapes that come out of it, and its parameters."""
    with torch.device("meta"):
        net = BRADCN(cfg)
        image = torch.empty(1, 3, *cfg.image_size)
        render, d, e = net.render_net, net.depth_branch, net.error_branch
        Eo, Do, De = render.encode(image), net.depth_net(image), net.adcn(image)
        adapted = d.adapt(Do), e.adapt(De)
        extra = d.reassemble(adapted[0]), e.reassemble(adapted[1])
        Di = add_maps(Eo, extra[0])
        DI = add_maps(Di, extra[1])
        bokeh = render.decode(DI, image)
    blocks = {"image": (None, image), "encoder": (render.encoder, Eo), "Eo": (None, Eo)}
    blocks |= {"depth_net": (net.depth_net, Do), "Do": (None, Do), "adcn": (net.adcn, De)}
    blocks |= {"De": (None, De), "adapt1": (d.adapt, adapted[0]), "adapt2": (e.adapt, adapted[1])}
    blocks |= {"reassemble1": (d.reassemble, extra[0]), "reassemble2": (e.reassemble, extra[1])}
    blocks |= {"Di": (None, Di), "DI": (None, DI)}
    blocks |= {"decoder": (render.decoder, bokeh), "bokeh": (None, bokeh)}
    assert sum(count(part) for part, _ in blocks.values()) == count(net)
    shapes = {k: v if isinstance(v, list) else [v] for k, (_, v) in blocks.items()}
    return {
        k: {"parameters": count(part), "shapes": [tuple(m.shape) for m in shapes[k]]}
        for k, (part, _) in blocks.items()
    }


sizes = {"mini": census(mini), "paper": census(paper)}

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code", "code_prompt_hide": "Hide the code"}
SAYS = {  # column, row, colour, label, the paper's words, our words
    "image": (1, 0, 0, "Picture", "the input images", "Values in [0, 1]. All three nets see it, and nothing else."),
    "depth_net": (0, 1, 1, "Depth Prediction Net", "we apply the Dense Prediction Transformer (DPT)", "Chapter 6. Fine-tuned in stage 2."),
    "encoder": (1, 1, 0, "Render Net: encoder", "the first sub-model of our proposed framework", "Chapter 5: ResNet, transformer, four taps."),
    "adcn": (2, 1, 2, "ADCN", "The architecture of ADCN is based on U-Net", "Chapter 9. Trained in stage 1, frozen in stage 2."),
    "Do": (0, 2, 1, "Do: depth", "the output of the Depth Prediction Net", "One channel, by name in metres. The model returns it as `depth`."),
    "Eo": (1, 2, 0, "Eo: four maps", "Eo is the output of the encoder of the Render Net", "Fine to coarse, with equal numbers of channels."),
    "De": (2, 2, 2, "De: depth error", "The outputs of ADCN", "One channel, metres, never negative. The model returns it as `depth_error`."),
    "adapt1": (0, 3, 1, "Adap", "a convolutional layer with an output channel of 3, kernel size of 3, stride of 1, and padding of 1", "Makes the depth look like a picture: three channels."),
    "adapt2": (2, 3, 2, "Adap", "an adaptive net to match depth error information with multi-channel RGB information", "The same for the error, with weights of its own."),
    "reassemble1": (0, 4, 1, "Reassemble", "reassembled into different resolutions", "One strided patch projection per scale (chapter 7)."),
    "reassemble2": (2, 5, 2, "Reassemble", "The adaptive depth error is reassembled into different resolutions", "One strided patch projection per scale."),
    "Di": (1, 4, 3, "Eq. 1: Di", "To combine the information from the encoder of the Render Net and the Depth Prediction Net", "A sum, scale by scale."),
    "DI": (1, 5, 3, "Eq. 3: DI", "The reassembled adapted error information and the Di in Eq. (1) are added together", "One more sum. This is what the decoder gets."),
    "decoder": (1, 6, 0, "Render Net: decoder", "use skip connections to progressively upsample low-resolution features", "Chapter 5: four fusion blocks and a head. In mini it is also given the picture, to blend in what is sharp."),
    "bokeh": (1, 7, 0, "Bokeh", "generate high-quality synthetic images", "The model returns it as `bokeh`."),
}  # fmt: skip
EDGES = (
    "image-depth_net image-encoder image-adcn depth_net-Do encoder-Eo adcn-De Do-adapt1 De-adapt2 "
)
EDGES += "adapt1-reassemble1 adapt2-reassemble2 reassemble1-Di Eo-Di Di-DI reassemble2-DI DI-decoder decoder-bokeh"


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code", "code_prompt_hide": "Hide the code"}
def diagram() -> str:
    """The model as SVG: one group per block, reachable with the keyboard, and the lines between."""
    wide, high, across, down = 176, 34, 226, 54

    def corner(name: str) -> tuple[int, int]:
        return 8 + SAYS[name][0] * across, 8 + SAYS[name][1] * down

    drawn = []
    for a, b in (edge.split("-") for edge in EDGES.split()):
        (x1, y1), (x2, y2) = corner(a), corner(b)
        side = wide if x2 > x1 else 0  # the side of a that faces b
        if x1 == x2:
            line = f"M{x1 + wide / 2} {y1 + high}V{y2}"
        elif y1 == y2:
            line = f"M{x1 + side} {y1 + high / 2}H{x2 + wide - side}"
        else:
            line = f"M{x1 + side} {y1 + high / 2}H{x2 + wide / 2}V{y2}"
        drawn.append(f'<path d="{line}" marker-end="url(#br-tip)"/>')
    for name, (_, _, colour, label, *_) in SAYS.items():
        x, y = corner(name)
        drawn.append(
            f'<g id="br-{name}" role="button" tabindex="0" aria-label="{html.escape(label)}">'
            f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" rx="6" '
            f'fill="{COLOURS[colour]}" fill-opacity=".18" stroke="{COLOURS[colour]}"/>'
            f'<text x="{x + wide / 2}" y="{y + high / 2 + 4.5}" text-anchor="middle">{label}</text></g>'
        )
    tip = '<marker id="br-tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    tip += '<path d="M0 0L8 4L0 8z" fill="currentColor" stroke="none"/></marker>'
    size = f"{2 * across + wide + 16} {7 * down + high + 16}"
    return (
        f'<svg viewBox="0 0 {size}" role="group" aria-label="The blocks of BRADCN">'
        f"<defs>{tip}</defs>{''.join(drawn)}</svg>"
    )  # fmt: skip


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of this element", "code_prompt_hide": "Hide the code of this element"}
PAGE = """<div class="interactive" id="br"><style>
#br {background:var(--pst-color-background, transparent); padding:.5em}
#br .scroll {overflow-x:auto} #br svg {width:100%; min-width:560px; max-width:680px; display:block}
#br svg > path {stroke:currentColor; fill:none; stroke-opacity:.6} #br text {fill:currentColor; font:14px sans-serif}
#br g[role=button] {cursor:pointer; outline:none} #br g:hover rect {fill-opacity:.32}
#br g:focus rect {stroke-width:3} #br g.on rect {fill-opacity:.5; stroke-width:3}
#br button {font:inherit; padding:.3em .9em; margin:0 .4em .6em 0; border:1px solid; border-radius:6px; background:none; color:inherit; cursor:pointer}
#br button[aria-pressed=true] {outline:2px solid #d55e00; font-weight:bold}
#br .facts {min-height:11em; border-left:4px solid #0072b2; padding:.2em 1em; margin-top:.6em} #br .facts p {margin:.3em 0}</style>
<div role="group" aria-label="Preset"><button type="button" data-preset="mini">mini, 64 x 96</button><button
 type="button" data-preset="paper">paper, 512 x 768</button></div>
<div class="scroll">SVG</div><div class="facts" aria-live="polite"></div>
<script>(() => {
const root = document.getElementById('br'), facts = DATA, order = Object.keys(facts.says);
let preset = 'mini', name = 'DI';
const at = id => facts.says[id];
const near = {ArrowUp: [0,-1], ArrowDown: [0,1], ArrowLeft: [-1,0], ArrowRight: [1,0]};
function draw() {
  const s = at(name), b = facts.sizes[preset][name], box = root.querySelector('.facts');
  const line = (mark, text) => { const p = document.createElement('p'), m = document.createElement('strong');
    m.textContent = mark; p.append(m, text); box.append(p); };
  const learns = !b.parameters ? 'nothing to learn' : name === 'adcn' ? 'frozen' : 'learns';
  box.textContent = ''; line(s[3], ''); line('Output: ', b.shapes.map(x => '(' + x.join(', ') + ')').join('  '));
  line('Parameters: ', b.parameters.toLocaleString('en') + '; in stage 2: ' + learns);
  line('Paper: ', '\\u201c' + s[4] + '\\u201d'); line('In short: ', s[5]);
  for (const id of order) root.querySelector('#br-' + id).classList.toggle('on', id === name);
  for (const b of root.querySelectorAll('button')) b.setAttribute('aria-pressed', b.dataset.preset === preset);
}
for (const b of root.querySelectorAll('button')) b.onclick = () => { preset = b.dataset.preset; draw(); };
for (const id of order) { const g = root.querySelector('#br-' + id);
  g.onclick = g.onfocus = () => { name = id; draw(); };
  g.onkeydown = e => { const d = near[e.key]; if (!d) return; e.preventDefault();
    const [c, r] = at(id), far = o => d[0] ? (at(o)[0]-c)*d[0] + 9*Math.abs(at(o)[1]-r) : (at(o)[1]-r)*d[1];
    const ahead = order.filter(o => d[0] ? (at(o)[0]-c)*d[0] > 0 : at(o)[0] === c && (at(o)[1]-r)*d[1] > 0);
    ahead.sort((a, b) => far(a) - far(b)); if (ahead.length) root.querySelector('#br-' + ahead[0]).focus(); }; }
draw(); })();</script></div>"""
HTML(PAGE.replace("SVG", diagram()).replace("DATA", json.dumps({"says": SAYS, "sizes": sizes})))

# %% [markdown]
# ## What comes out
#
# One call gives three things. A named tuple has names for its fields, and is still a tuple.

# %%
model = load_bradcn()  # eval mode; weights come with the book
test = EBB(data_root() / "mini-ebb", "test", size=mini.image_size)
image, target = test[8]["image"][None], test[8]["bokeh"][None]
with torch.no_grad():
    out = model(image)
for name, value in out._asdict().items():
    print(f"{name:12}{tuple(value.shape)}")

bokeh, depth, depth_error = out  # it unpacks like any tuple
assert bokeh is out.bokeh and depth_error is out[2]
assert (out.depth > 0).all() and (out.depth_error > 0).all()

# %% mystnb={"image": {"alt": "Six panels: a generated scene with a white lamp before leaves, its true bokeh, the model's bokeh, the depth, the predicted depth error, and how far the model's bokeh is from the truth."}}
wrong = (out.bokeh - target)[0].abs().mean(0)
titles = ["picture", "truth", "bokeh", "depth, 0 to 7.3 m", "depth_error, 0 to 3 m"]
grid(
    [image[0], target[0], out.bokeh[0], out.depth[0], out.depth_error[0], wrong],
    [*titles, "|bokeh - truth|, 0 to 0.2"],
    columns=3,
    limits=[None, None, None, (0, 1 / mini.depth_shift), (0, 3), (0, 0.2)],
    colourbar=False,
)

# %% [markdown]
# ## Build it by hand
#
# Now the model, from the three nets and what chapter 7 built. Nothing here is new; that is the point. The names
# of the parts are those of the package, so that its weights fit.


# %%
class Branch(nn.Module):
    """Reassemble(Adap(x)): one convolution, then one patch projection per scale."""

    def __init__(self, cfg):
        super().__init__()
        self.adapt = nn.Conv2d(1, 3, kernel_size=3, stride=1, padding=1)
        self.reassemble = nn.Module()
        self.reassemble.patches = nn.ModuleList(
            nn.Conv2d(3, cfg.features, kernel_size=s, stride=s) for s in cfg.strides
        )

    def forward(self, dense):  # (N, 1, H, W)
        adapted = self.adapt(dense)  # (N, 3, H, W)
        return [conv(adapted) for conv in self.reassemble.patches]  # (N, C, H / s, W / s)


class Mine(nn.Module):
    """Three nets, two branches, two sums."""

    def __init__(self, cfg):
        super().__init__()
        self.render_net, self.depth_net, self.adcn = RenderNet(cfg), DepthNet(cfg), ADCN(cfg)
        self.depth_branch, self.error_branch = Branch(cfg), Branch(cfg)

    def forward(self, image):
        Eo = self.render_net.encode(image)
        Do, De = self.depth_net(image), self.adcn(image)
        Di = [a + b for a, b in zip(Eo, self.depth_branch(Do), strict=True)]  # Eq. 1
        DI = [a + b for a, b in zip(Di, self.error_branch(De), strict=True)]  # Eq. 3
        return BRADCNOutput(self.render_net.decode(DI, image), Do, De)


# %%
mine = Mine(mini).eval()
mine.load_state_dict(model.state_dict())  # strict: every name and every shape must fit
several = torch.stack([test[i]["image"] for i in range(3)])
with torch.no_grad():
    for ours, theirs in zip(mine(several), model(several), strict=True):
        assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
print(f"equal, with {count(mine):,} parameters of the same names")

# %% [markdown]
# The package's class is the same; one may also bring maps along. The gate and the signed ADCN are variants of ours, in
# `experiments/variants.py`; chapter 14 comes to them.

# %%
show(BRADCN)

# %% [markdown]
# ## What each branch adds
#
# The simplest variant leaves branches out. With it, `branches` names what goes into the sum. What is left out is not
# computed, and comes back as `None`.

# %%
from bradcn_nb.experiments.variants import build, vary

parts = build(vary(mini)).eval()
parts.load_state_dict(model.state_dict())  # the same weights under the same names
with torch.no_grad():
    views = {names: parts(image, branches=names) for names in ((), ("depth",), ("error",))}
    views["depth", "error"] = model(image)
for names, view in views.items():
    has = [field for field, value in view._asdict().items() if value is not None]
    print(f"branches={names!r:20} gives", ", ".join(has))
try:
    parts(image, branches=("colour",))
except BradcnError as error:
    print("branches=('colour',):", error)

# %% mystnb={"image": {"alt": "Two rows of four panels. Upper row: the picture drawn with no branch, with depth, with error, and with both. Lower row: how far each is from the picture with both branches."}}
full = views["depth", "error"].bokeh[0]
pictures = [view.bokeh[0] for view in views.values()]
changes = [(picture - full).abs().mean(0) for picture in pictures]
titles = ["no branch", "depth", "error", "both"] + ["difference to both"] + [""] * 3
grid(pictures + changes, titles, columns=4, limits=(0, 0.2), colourbar=False)

# %% [markdown]
# It is tempting to call the lower row "what the branch knows". Chapter 7 found out why not. This decoder has
# never been without its branches. Take one away, and two things go: what the map says, and the level that the
# decoder is used to. We come back to that with numbers.

# %% [markdown]
# ## Where the error map is large
#
# Three scenes. Look at De first: where does the ADCN expect the depth to be wrong? Then at the last column: where
# does the picture change when De's branch is left out?

# %% mystnb={"image": {"alt": "Three rows of four panels, one a scene: the picture, the depth Do, the predicted error De, and the change of the output when the error branch is left out. The error maps are smoother than the pictures."}}
panels, limits = [], []
for i in (5, 7, 17):
    one = test[i]["image"][None]
    with torch.no_grad():
        whole, without = model(one), parts(one, branches=("depth",))
    change = (whole.bokeh - without.bokeh)[0].abs().mean(0)
    panels += [one[0], whole.depth[0], whole.depth_error[0], change]
    limits += [None, (0, 1 / mini.depth_shift), (0, 3), (0, 0.2)]
titles = ["picture", "Do, 0 to 7.3 m", "De, 0 to 3 m", "change, 0 to 0.2"] + [""] * 8
grid(panels, titles, columns=4, limits=limits, colourbar=False)

# %% [markdown]
# De is smooth, or at least smoother than a picture. An ADCN that sees one picture cannot know *which* pixel is
# off. It can only know what kind of place tends to be: far walls, skies, edges. And it learned that in the
# rooms of mini-SUN. Here it looks at gardens. The paper itself warns of that: "the model may not generalize
# well to other datasets that have different semantic distributions" (Section III-C).
#
# Compare the last two columns. If the picture changed where De is large, De would be at work there. If it
# changes elsewhere, or everywhere a little, something else is.

# %% [markdown]
# ## An honest look at Eq. 3
#
# The paper says of the ADCN that it is "used to refine the predicted depth maps by calibrating the depth values"
# (Section III), and that it "acts as a confidence level to compensate for errors in monocular depth estimation"
# (abstract). Two jobs, then: correct the depth, and say how far to trust it. Can a sum do that?
#
# ### Correct the depth? The error has no sign
#
# De is an *absolute* error. Suppose it is perfect, and says: 1 m wrong here. Is the true depth Do + 1 or Do - 1?
# It does not say. Take the rooms of mini-SUN, where the true depth is known, and the depth net whose errors the
# ADCN learned (stage 0's). The De below is exact: it is Eq. 2 itself.

# %%
counts = preset("mini").data.sun_counts
rooms = SUNRGBD(data_root() / "mini-sun", "test", counts, size=mini.image_size, kind="depth_bfx")
frames = [rooms[i] for i in range(24)]
room, Dgt, known = (torch.stack([f[key] for f in frames]) for key in ("image", "depth", "mask"))
with torch.no_grad():
    Do0 = load_depth_net()(room)
De = (Do0 - Dgt).abs()  # Eq. 2, exact
too_near = Do0 < Dgt
for name, guess in (
    ("as it is", Do0),
    ("plus De", Do0 + De),
    ("minus De", Do0 - De),
    ("with the right sign", torch.where(too_near, Do0 + De, Do0 - De)),
):
    print(f"Do {name:20} mean error {(guess - Dgt).abs()[known].mean():.1f} m")

# %%
after = (Do0 + De - Dgt).abs()  # adding De repairs one part and doubles the rest
assert_close(after[known & too_near], torch.zeros_like(after[known & too_near]), rtol=0, atol=1e-4)
assert_close(after[known & ~too_near], 2 * De[known & ~too_near], rtol=1e-4, atol=1e-4)
print(f"too near: {100 * too_near[known].float().mean():.0f} % of the pixels")

# %% mystnb={"image": {"alt": "Three rows of three panels, one a room: the picture, the absolute depth error in shades of red, and the signed depth error in red and blue. What is one red region in the second column falls into red and blue regions in the third."}}
hole = torch.tensor(torch.nan)
signed = torch.where(known, Dgt - Do0, hole)
panels = []
for i in (1, 9, 17):
    panels += [room[i], torch.where(known[i], De[i], hole), signed[i]]
grid(
    panels,
    ["picture", "De = |Do - Dgt|, m", "Dgt - Do, m"] + [""] * 6,
    columns=3,
    limits=(-2, 2),
    cmap="coolwarm",
    colourbar=False,
)

# %% [markdown]
# The right column is what a correction would need: add here (red), take away there (blue). The middle column is
# what the ADCN is trained to predict. The sign is lost in Eq. 2, before any net is asked. So Eq. 3 cannot
# *correct* Do. It can at best say where Do should not be believed.
#
# ### Turn the depth down? A sum has no such knob
#
# To trust something less is to multiply it with something small. Eq. 3 adds. What a change of the depth does to
# DI is the same, however large De is:

# %%
with torch.no_grad():
    Eo, Do, De = model.render_net.encode(image), model.depth_net(image), model.adcn(image)

    def DI(depth: torch.Tensor, error: torch.Tensor) -> list[torch.Tensor]:
        """The decoder's input for any depth and any error."""
        return add_maps(add_maps(Eo, model.depth_branch(depth)), model.error_branch(error))

    trusted = zip(DI(1.1 * Do, De), DI(Do, De), strict=True)  # the depth 10 % farther
    doubted = zip(DI(1.1 * Do, 4 * De), DI(Do, 4 * De), strict=True)  # the same, much more doubt
    for (a, b), (c, d) in zip(trusted, doubted, strict=True):
        assert_close(a - b, c - d, rtol=1e-3, atol=1e-3)
print("the depth enters DI with the same weight, whatever De says")

# %% [markdown]
# So if there is a knob, it must be in the decoder. There *could* be one: each fusion block has ReLUs. An error
# map that pushes a channel below zero would cut off the depth that comes through the same channel. A net could
# learn that. Has ours?
#
# Ask it. Make the depth 10 % farther, and see how much the picture changes. Do so at several loudnesses of De.
# If De works as a doubt, then the more doubt, the less the picture should care about the depth: the curve
# should fall.

# %%
COUNT = 40
images = torch.stack([test[i]["image"] for i in range(COUNT)])
truths = torch.stack([test[i]["bokeh"] for i in range(COUNT)])
with torch.no_grad():
    Eo, Do, De = model.render_net.encode(images), model.depth_net(images), model.adcn(images)


def draw(depth: torch.Tensor | None, error: torch.Tensor | None) -> torch.Tensor:
    """The 40 pictures, with any depth and any error in the sums; None leaves the branch out."""
    maps = Eo
    with torch.no_grad():
        if depth is not None:
            maps = add_maps(maps, model.depth_branch(depth))
        if error is not None:
            maps = add_maps(maps, model.error_branch(error))
        return model.render_net.decode(maps, images).clamp(0, 1)


assert_close(draw(Do, De)[:3], model(images[:3]).bokeh.detach().clamp(0, 1), rtol=1e-3, atol=1e-4)
loudness = (0, 0.5, 1, 2, 4)
cares = [float((draw(1.1 * Do, k * De) - draw(Do, k * De)).abs().mean()) for k in loudness]

# %% mystnb={"image": {"alt": "A line over the loudness of the error map, from 0 to 4 times. The vertical axis is how much the picture changes when the depth is made 10 percent farther, relative to the value at loudness 1, drawn from zero."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
figure, axis = plt.subplots(figsize=(7.5, 2.6))
relative = np.array(cares) / cares[2]
assert np.abs(relative[:4] - 1).max() < 0.06, relative  # "level, to a few per cent"
axis.plot(loudness, relative, "o-", color=COLOURS[0])
axis.axhline(1, color="#555555", linestyle="--", linewidth=1)
axis.set(xlabel="De, times", ylabel="how much the depth matters", ylim=(0, 1.15 * relative.max()))
plt.show()

# %% [markdown]
# The curve is nearly level: with no error map at all, with its own, and with one twice as loud, the picture cares about the depth alike, to a few per cent. A doubt would fall to the right. So in this net De
# does not turn the depth down. (Trust the middle more than the right end: nobody has ever shown this net an error map four times as loud.)
#
# ## Does the error map matter at all?
#
# The test of chapter 7, now for De. The depth stays the net's own. The error map is exchanged:
#
# - **removed**: no error branch at all;
# - **zero**: De = 0, "the depth is perfect". Not the same as removed! Adap and Reassemble have biases, and
#   these are still added;
# - **flat**: each map's own mean, everywhere;
# - **another's**: the map of another picture;
# - for comparison, **depth of another**: De its own, but the *depth* of another picture.

# %%
exchanged = {
    "removed": draw(Do, None),
    "zero": draw(Do, torch.zeros_like(De)),
    "flat": draw(Do, De.mean((2, 3), keepdim=True).expand_as(De)),
    "another's": draw(Do, De.roll(1, dims=0)),
    "depth of another": draw(Do.roll(1, dims=0), De),
}


def decibels(pictures: torch.Tensor) -> np.ndarray:
    """PSNR of each picture, at the net's own size."""
    return (-10 * (pictures - truths).square().mean((1, 2, 3)).log10()).numpy()


own = decibels(draw(Do, De))
effects = {name: paired_interval(decibels(p), own, seed=0) for name, p in exchanged.items()}
print("PSNR minus that with its own maps, dB (95 % bootstrap interval over 40 pictures)")
for name, effect in effects.items():
    print(f"  {name:18}{effect.mean:+6.2f}  ({effect.low:+.2f} to {effect.high:+.2f})")

# %% tags=["hide-input", "claim"] mystnb={"code_prompt_show": "Show the check of what is said below", "code_prompt_hide": "Hide the check"}
assert effects["another's"].low < 0 < effects["another's"].high
for better, least, most in (("zero", 0.02, 0.09), ("flat", 0.02, 0.09), ("removed", 0.07, 0.15)):
    assert effects[better].low > 0 and least < effects[better].mean < most
assert -2.2 < effects["depth of another"].mean < -1.5

# %% mystnb={"image": {"alt": "Dot plot with a horizontal interval for each exchange: error branch removed, error zero, error flat, error of another picture, and for comparison the depth of another picture. The axis is the change of PSNR in decibel, with a dashed line at zero."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
figure, axis = plt.subplots(figsize=(7.5, 2.6))
for k, effect in enumerate(effects.values()):
    axis.plot((effect.low, effect.high), (k, k), color=COLOURS[k], linewidth=3, alpha=0.5)
    axis.plot(effect.mean, k, "o", color=COLOURS[k], markersize=8)
axis.axvline(0, color="#555555", linestyle="--", zorder=1)
axis.set(yticks=range(len(effects)), yticklabels=effects, xlabel="change of PSNR, dB")
axis.invert_yaxis()
plt.show()

# %% [markdown]
# What came out:
#
# - **another's** is the fair question. The map is as real as its own, only it belongs elsewhere. Nothing happens: the interval holds zero. So this net does not use what its error map *says*.
# - **flat and zero** ask the same of the shapes and of the level, and both make the pictures a little *better*, by about a twentieth of a decibel, with intervals above zero.
# - **removed** is better still, by about a tenth. In this net the paper's own branch costs a little quality. It is a small effect, and one net; but it is not a gain.
# - The last row says how large such an effect is when a map *is* used: another picture's *depth* costs nearly two decibels.
#
# And a fair word on what this is: *one* trained net, one seed, generated scenes of 96x64 pixels. An ADCN that
# was trained on thousands of real frames may have more to say. Nothing here tells whether a net trained
# *without* the branch would be worse or better. For that, several nets must be trained each way; that is
# chapter 14. And these are differences at the net's own small size. How good the model is, by the protocol,
# stands in chapter 11.

# %% [markdown]
# ## Frozen and fine-tuned
#
# Who learns in stage 2? The paper says three things:
#
# - of the ADCN: "The weights of the trained ADCN were saved for subsequent rendering tasks" (Section IV-A);
# - of the depth net: "fine-tune the weights during the training stages" (Section III-B);
# - of stage 2: it "involves training the whole architecture" (Section IV-B).
#
# The first and the last do not quite agree. We freeze the ADCN and train the rest. If it learned along, nothing
# would keep its output an error in metres: stage 2 knows no depth. The [ledger](ledger.md) has it as
# [`freezing`](ledger.md#freezing).

# %%
for stage in preset("paper").stages:
    frozen = ", ".join(stage.frozen) or "nothing"
    print(f"{stage.name:8} trains {stage.net:7} on {stage.data:7} frozen: {frozen}")

# %% [markdown]
# There is a catch, and the paper does not mention it. The ADCN stays frozen, but the depth net moves on. De was
# learned as the error of *stage 0's* depth. How good, in metres, is the depth that is in the model now? And
# does De still fit it?

# %%
with torch.no_grad():
    Do2, De_room = model.depth_net(room), model.adcn(room)
predicted = De_room[known].numpy()
print("on 24 rooms:            mean error   correlation of De with the true error")
for name, depth in (("before stage 2", Do0), ("after stage 2", Do2)):
    error = (depth - Dgt).abs()[known]
    fit = np.corrcoef(predicted, error.numpy())[0, 1]
    print(f"  depth net {name:14}{error.mean():5.1f} m   {fit:10.1f}")

# %% [markdown]
# The second row is the depth that Eq. 1 adds. The error map beside it was made for the first row. One could
# freeze the depth net, too; or train the ADCN anew from time to time, on the errors of the moment. The paper
# does neither, and so neither do we. It would make a good experiment for a rainy day.

# %% [markdown]
# ## How large is it?
#
# Counted per part, and how much of it learns in stage 2.

# %%
PARTS = ("render_net", "depth_net", "adcn", "depth_branch", "error_branch")
counts = {}
for name, cfg in (("mini", mini), ("paper", paper)):
    with torch.device("meta"):
        net = BRADCN(cfg)
    counts[name] = {part: count(getattr(net, part)) for part in PARTS}
    assert sum(counts[name].values()) == count(net)
print(f"{'':22}{'mini':>12}{'paper':>14}")
for part in PARTS:
    print(f"{part:22}{counts['mini'][part]:12,}{counts['paper'][part]:14,}")
total = [sum(counts[name].values()) for name in counts]
learns = [sum(c.values()) - c["adcn"] for c in counts.values()]
print(f"{'all':22}{total[0]:12,}{total[1]:14,}")
print(f"{'learns in stage 2':22}{learns[0]:12,}{learns[1]:14,}")

# %% [markdown]
# Two transformers of the same kind, one U-Net, and two branches that weigh next to nothing. The command
#
# ```text
# python -m bradcn_nb summary --preset paper
# ```
#
# prints the same with multiplications, memory and the shape at every tap. It counts by itself. Do we agree?

# %%
from bradcn_nb.experiments.costs.summary import summarise

package = summarise(preset("mini"))["BRADCN"]
assert (package.parameters, package.trainable) == (total[0], learns[0])
print("summary and our table agree")

# %% [markdown]
# ## Save and load
#
# `save_pretrained` writes a folder; `from_pretrained` reads it. The weights are in a safetensors file: plain
# numbers and a few words of text, nothing that could run. The words say what the numbers are.

# %%
folder = Path(tempfile.mkdtemp()) / "my-bradcn"
model.save_pretrained(folder)
print(*sorted(path.name for path in folder.iterdir()))

about = read_metadata(folder / "model.safetensors")
print({key: about[key] for key in ("net", "preset")}, "and the configuration:")
print({key: json.loads(about["model"])[key] for key in ("strides", "features", "depth_kind")})

again = BRADCN.from_pretrained(folder)
assert again.cfg == mini and not again.training
with torch.no_grad():
    for before, after in zip(model(image), again(image), strict=True):
        assert torch.equal(before, after)
print("loaded: the same picture, to the last bit")

# %% [markdown]
# No preset was named when loading: the file knows. It also knows what it is not.

# %%
try:
    RenderNet.from_pretrained(folder)
except WeightsError as error:
    print("WeightsError:", str(error).replace(str(folder), "my-bradcn"))

# %% [markdown]
# `from_pretrained` also takes the name of a repository on the Hugging Face hub, and `push_to_hub` puts the folder
# there. Neither was run for this page: the book stays offline.

# %% [markdown]
# ## Any size
#
# The nets halve the picture again and again. So both sides must be multiples of the coarsest stride. Anything
# else is refused, with a remedy:

# %%
try:
    model(torch.rand(1, 3, 60, 100))
except SizeError as error:
    print("SizeError:", error)

# %% [markdown]
# The rendering functions do that for you. They bring a photograph to about the number of pixels that the net
# was trained on, continue it by reflection to the next multiple, run the net, and cut off what was added. Then
# they bring the blur back to the photograph's own size ([`full-size`](ledger.md#full-size) in the [ledger](ledger.md)).

# %% mystnb={"image": {"alt": "Two photographs of a cup of coffee on a wooden table: the original, sharp everywhere, and the result of the model at the same size, in which parts are blurred."}}
from skimage.data import coffee

from bradcn_nb.photograph import net_bokeh, render_bradcn

photo = coffee().astype(np.float32) / 255  # a real photograph, (400, 600, 3)
rendered = render_bradcn(photo, model, mini)
print("photograph", photo.shape, " the net's own", net_bokeh(photo, model, mini).shape)
assert rendered.shape == photo.shape
grid([photo, rendered], ["photograph", "rendered by mini"])

# %% [markdown]
# The net has never seen a photograph, and 96x64 pixels is not much to judge by. Judge it kindly, and look where
# it has put the focus. The same from the command line, for any file:
#
# ```text
# python -m bradcn_nb render photo.jpg -o bokeh.jpg
# ```

# %% [markdown]
# ## Your numbers may differ
#
# Shapes and counts are exact everywhere. Another processor or another version of PyTorch rounds differently, so
# the last printed digit may move. Other weights may change the curves and the dots: the bundled ones are
# trained anew now and then, and the text says how to read a figure, not what it must show. The asserts are
# about the equations, and stay.

# %% [markdown]
# ## Summary
#
# - BRADCN is one sum of three: the encoder's maps, the reassembled depth, the reassembled depth error. Then the
#   decoder draws.
# - You have built it from its three nets, and it equals the package's on the trained weights.
# - De has no sign, so it cannot correct Do. It is added, so it cannot turn Do down. Only the decoder could make
#   it a doubt.
# - Whether it does is measured by *exchanging* the map: in this net another picture's error map does as well, and none at all a little better, while another picture's depth costs nearly two decibels.
# - In stage 2 the ADCN is frozen while the depth net moves on. De keeps describing a depth net that is no
#   longer there.
# - A saved model knows its net, its preset and its configuration; a wrong file is refused by name.

# %% [markdown]
# ## Exercises
#
# **1 (graded). Any size.** Write `render(model, image)`. `image` is (1, 3, H, W) in [0, 1], both sides at least
# 16 and otherwise arbitrary. Continue it by reflection at the right and at the bottom, just to the next
# multiples of the model's stride (`model.cfg.stride`), run the model, and cut the three results to H x W.
# Return them as a `BRADCNOutput`.


# %% tags=["exercise"]
def render(model: BRADCN, image: torch.Tensor) -> BRADCNOutput:
    """BRADCN on a picture of any size: pad, run, crop."""
    raise NotImplementedError  # your code: F.pad with mode="reflect" is enough


# %% tags=["hide-input", "solution"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
def solution(model: BRADCN, image: torch.Tensor) -> BRADCNOutput:
    """A solution; open it after you have tried."""
    height, width = image.shape[-2:]
    stride = model.cfg.stride
    padding = (0, -width % stride, 0, -height % stride)  # left, right, top, bottom
    padded = F.pad(image, padding, mode="reflect")
    return BRADCNOutput(*(x[..., :height, :width] for x in model(padded)))


# %% tags=["graded"]
def check(answer):
    """Raise AssertionError unless `answer` is right."""
    assert answer(model, image) is not None, "your function returned nothing: is there a `return`?"
    with torch.no_grad():
        for ours, theirs in zip(answer(model, image), model(image), strict=True):
            assert torch.equal(ours, theirs), "a picture that fits must not be padded"
        for height, width in ((50, 70), (16, 33), (97, 64)):
            picture = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
            kept = picture.clone()
            result = answer(model, picture)
            assert torch.equal(picture, kept), "the input was changed"
            assert [tuple(x.shape[1:]) for x in result] == [(c, height, width) for c in (3, 1, 1)]
        # The package's own way, with a photograph of about as many pixels as mini was trained on,
        # so that it is padded and not resized.
        small = photo[100:186, 200:272]  # 86 x 72
        tensor = torch.from_numpy(small.transpose(2, 0, 1).copy())[None]
        ours = answer(model, tensor).bokeh.clamp(0, 1)[0].permute(1, 2, 0).numpy()
        np.testing.assert_allclose(ours, net_bokeh(small, model, mini), atol=1e-5)


try:
    check(render)
    print("Your render passes.")
except NotImplementedError:
    check(solution)
    print("Not written yet. (The book's solution passes.)")

# %% [markdown]
# **2.** Eq. 3 first adds the depth, then the error. Does the order matter? Answer from the formula, then check
# with `DI`.
#
# **3.** Give the ADCN's place to a net that sees the future: feed De = |Do - D| with the true D of the scene
# (chapter 7 shows how to get it). Does the picture get better? What does the answer say about the branch, and
# what about the ADCN?
#
# **4.** Padding is not free. Take a picture that fits, pad it by another 16 rows by reflection, render, cut,
# and compare with the unpadded result. Which two parts of the net carry news from the padding to the other side
# of the picture?
#
# **5.** Build a knob. In `Mine`, replace the second sum: let one 3x3 convolution of De, through a sigmoid,
# *multiply* what the depth branch adds. Which test of this chapter must fail now, and which would you hope to
# see changed after training?

# %% [markdown]
# ## Next
#
# The model stands. Chapter 11, [Two-stage training](11_two_stage_training.ipynb), makes it learn: the ADCN
# first, then the whole.

# %% [markdown]
# ## References
#
# All are in the [bibliography](bibliography.md).
#
# - Liu, Zhou and Dong 2023, *Bokeh Rendering Based on Adaptive Depth Calibration Network*. The paper; abstract,
#   Sections III and IV.
# - Ronneberger, Fischer and Brox 2015, *U-Net*. The architecture of the ADCN.
# - Ranftl, Bochkovskiy and Koltun 2021, *Vision Transformers for Dense Prediction*. The depth net.
# - Song, Lichtenberg and Xiao 2015, *SUN RGB-D*. What the ADCN learns from; mini-SUN imitates its layout.
