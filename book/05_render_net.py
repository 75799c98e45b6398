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
# # 5. Render Net
#
# One net draws the bokeh. The other two only advise it. This chapter takes the Render Net apart, builds
# each part again by hand, and proves that the copy computes the same.
#
# **You will be able to**
#
# - follow a picture through the net: to tokens, to four maps, and back to a picture;
# - work out every shape on paper, for any size of picture;
# - write Reassemble and the fusion block yourself, and prove them equal to the package's;
# - say why a 1x1 convolution may trade places with bilinear upsampling, and a 3x3 may not;
# - say what each of the four maps sees;
# - explain two changes that the small preset needs, and measure why.
#
# **Before this**: chapter 1 (bokeh), and PyTorch's `Conv2d` and `Linear`. A picture here is a tensor
# `(N, C, H, W)`: number of pictures, channels, height, width.
#
# **Time and memory**: about half a minute on one laptop-class core, about 0.9 GB. No download, no GPU.

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
from dataclasses import replace

import torch
import torch.nn.functional as F
from IPython.display import HTML
from matplotlib import pyplot as plt
from torch.testing import assert_close

from bradcn_nb.data import EBB
from bradcn_nb.figures.plots import COLOURS, STYLE, grid, show
from bradcn_nb.files import data_root
from bradcn_nb.models import RenderNet
from bradcn_nb.models.blocks import Decoder, FusionBlock, Reassemble, ResidualConvUnit, mix_input
from bradcn_nb.presets import preset

torch.set_num_threads(1)  # sums in a fixed order give the same digits each time
mini, paper = preset("mini").model, preset("paper").model

# %% [markdown]
# ## What it draws
#
# Before we build the net, here is what a trained one does. This is the Render Net of the book's small BRADCN, alone, without any depth: it has seen the
# sharp picture on the left and nothing else.

# %% mystnb={"image": {"alt": "Two scenes in rows: the photograph, what the Render Net draws from it, and the truth. The net softens both pictures: in the upper one the background more than the post, in the lower one all alike."}}
from bradcn_nb.evaluation.predict import predict
from bradcn_nb.models import load_bradcn

pairs, trained = EBB(data_root() / "mini-ebb", "test"), load_bradcn("mini").render_net
panels = []
for index in (2, 31):
    pair = pairs.read(index)
    panels += [pair["image"], predict(trained, pair["image"], (64, 96)), pair["bokeh"]]
grid(panels, ["photograph", "drawn by the Render Net", "truth", "", "", ""], columns=3)

# %% [markdown]
# Does it know what is the subject and what is behind it? The scenes know, so we can measure: how much of the photograph's detail (the mean step from pixel to pixel) is left, where the truth is in focus and where it
# is not? Beside the drawing stands the photograph after the way through 96x64 pixels alone, without any net.

# %%
from bradcn_nb.data.bundle import EBB_SEED, EBB_SIZE
from bradcn_nb.lens.thin_lens import coc_diameter
from bradcn_nb.models import baselines
from bradcn_nb.scenes import outdoor_scene


def detail_left(picture, photo, where):
    """The mean step to the pixel at the left, as a share of the photograph's."""
    grey = (p.astype(float).mean(2) for p in (picture, photo))
    steps = [abs(g[:, 1:] - g[:, :-1]) for g in grey]
    return steps[0][where[:, 1:]].mean() / steps[1][where[:, 1:]].mean()


print("detail left, %      resized only  drawn  truth")
left = {}
for index in (2, 31):
    pair = pairs.read(index)
    photo, scene = pair["image"], outdoor_scene(EBB_SEED + int(pair["id"]))
    depth = scene.pair(*EBB_SIZE, samples=4)[2]
    sharp = coc_diameter(depth, scene.focus_m, scene.camera) * EBB_SIZE[0] < 1
    nets = (baselines.build("identity"), trained)
    pictures = [*(predict(net, photo, (64, 96)) for net in nets), pair["bokeh"]]
    for place, where in (("in focus", sharp), ("behind", ~sharp)):
        left[index, place] = [100 * detail_left(p, photo, where) for p in pictures]
        print(f"scene {index:2}, {place:9}", "".join(f"{x:9.0f}" for x in left[index, place]))

# %% tags=["hide-input", "claim"] mystnb={"code_prompt_show": "Show the check of what is said below", "code_prompt_hide": "Hide the check"}
for index in (2, 31):
    resized, drawn, truth = left[index, "in focus"]
    assert truth > 90 and drawn < 70 and abs(drawn - resized) < 10
assert left[2, "behind"][1] < 0.8 * left[2, "in focus"][1]
assert abs(left[31, "behind"][1] - left[31, "in focus"][1]) < 5

# %% [markdown]
# In the first scene it does: behind the post more detail is gone than on it. In the second it does not: subject and background lose nearly the same share. And in both the subject loses about as much as resizing
# alone would cost it, because the net sees only 96x64 pixels. So this net has learned to soften, and has a first idea of where. What it lacks is what chapters 6 and 7 bring: depth. The rest of this chapter is
# how a net can draw at all.

# %% [markdown]
# ## What the paper says
#
# Section III-A describes the whole net in one paragraph ([Liu et al. 2023](bibliography.md)). Here it is
# in pieces, each beside the code that it became. `E` is `bradcn_nb/models/encoder.py`, `B` is
# `bradcn_nb/models/blocks.py`.
#
# | The paper, Section III-A | In the code |
# |---|---|
# | "we use a ResNet-50 as the backbone to extract features from the input images" | `E`: `backbone`, a stem and three stages |
# | "the feature maps extracted from the ResNet-50 are divided into non-overlapping patches and flattened into tokens" | `E`: `proj`, then `flatten`. The patches are 1x1: one place of the last map is one token |
# | "These tokens, along with position embeddings and class tokens, are fed into the transformer blocks" | `E`: `pos_embed`, `cls_token`, `blocks` |
# | "The outputs of the transformer blocks are reassembled into different resolutions" | `B`: `Reassemble`, and two plain convolutions for the ResNet's maps |
# | "fusion blocks use skip connections to progressively upsample low-resolution features and combine them with high-resolution features" | `B`: `FusionBlock`, four of them in `Decoder` |
# | "Finally, we apply a convolutional layer to fuse the outputs of the fusion blocks to the same resolution as the input images" | `B`: `Decoder.head`. Three convolutions, as in BRViT and DPT, not one |
#
# Three remarks before we build.
#
# The "ResNet-50" has no fourth stage. Its blocks moved to the third, so that the stages hold 3, 4 and 9.
# This is the hybrid of [Dosovitskiy et al. 2021](bibliography.md).
#
# The paragraph tells us no width, no tap and no kernel. They come from BRViT
# ([Nagasubramaniam and Younes 2022](bibliography.md)), which the paper builds on, and from DPT
# ([Ranftl et al. 2021](bibliography.md)), which BRViT builds on.
#
# The paper counts the fusion blocks as its own improvement on BRViT. BRViT's published code has them
# already. So our Render Net simply is BRViT's net.

# %% [markdown]
# ## The net in one picture
#
# Down the left side the picture shrinks and the channels grow. Four taps lead to the middle. Up the right
# side the maps grow back to a picture.
#
# **Click a block**, or go to the diagram with the Tab key and walk with the arrow keys. Below it you
# read the block's output shape, its parameters and its sentence in the paper. The two buttons switch
# between the book's `mini` net and the `paper` net.
#
# The shapes are not typed in. The next two cells ask the net for them: they hang a hook on each part and send
# a picture through. They do so on PyTorch's `meta` device, where a tensor has a shape but no numbers.
# So the paper's net of over 100 million parameters costs nothing here.


# %%
def count(part: torch.nn.Module | torch.Tensor) -> int:
    """How many numbers a part can learn."""
    if isinstance(part, torch.Tensor):
        return part.numel()
    return sum(p.numel() for p in part.parameters())


def parts(net: RenderNet) -> dict[str, list]:
    """The net cut into the blocks of the diagram; the last of each list gives its output."""
    e, d = net.encoder, net.decoder
    first = e.cfg.vit_taps[0] + 1  # blocks up to and with the first tap
    named = {"stem": [e.backbone.stem]}
    named |= {f"stage{i + 1}": [stage] for i, stage in enumerate(e.backbone.stages)}
    named["tokens"] = [e.pos_embed, e.cls_token, e.proj]
    named["vit1"], named["vit2"] = list(e.blocks[:first]), list(e.blocks[first:])
    named |= {f"reassemble{i}": [getattr(e, f"reassemble{i}")] for i in (1, 2, 3, 4)}
    named |= {f"fusion{i + 1}": [d.fusion[i]] for i in (0, 1, 2, 3)}
    return named | {"head": [d.head]}


# %%
def census(cfg) -> dict[str, dict]:
    """For each block: the shape that comes out of it, and its number of parameters."""
    found = {}
    with torch.device("meta"):
        net = RenderNet(cfg)
        for name, modules in parts(net).items():
            found[name] = {"parameters": sum(count(module) for module in modules)}

            def note(module, args, out, name=name):
                found[name]["shape"] = tuple(out.shape)

            modules[-1].register_forward_hook(note)
        picture = torch.empty(1, 3, *cfg.image_size)
        bokeh = net(picture)
    n, dim, h, w = found["tokens"]["shape"]
    found["tokens"]["shape"] = (n, 1 + h * w, dim)  # flattened; class token first
    assert sum(block["parameters"] for block in found.values()) == count(net)
    found["image"] = {"parameters": 0, "shape": tuple(picture.shape)}
    return found | {"bokeh": {"parameters": 0, "shape": tuple(bokeh.shape)}}


sizes = {"mini": census(mini), "paper": census(paper)}

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code", "code_prompt_hide": "Hide the code"}
SAYS = {  # column, row, label, the paper's words (Section III-A), our words
    "image": (0, 0, "Picture", "the input images", "Values in [0, 1]."),
    "stem": (0, 1, "Stem", "we use a ResNet-50 as the backbone to extract features from the input images", "One 7x7 convolution with stride 2. The paper's size adds a max-pool, the mini net does not."),
    "stage1": (0, 2, "ResNet stage 1", "The ResNet-50 is a deep convolutional neural network that can extract high-level features", "Its output is tap 1, the finest map: edges and texture."),
    "stage2": (0, 3, "ResNet stage 2", "The ResNet-50 is a deep convolutional neural network that can extract high-level features", "Its output is tap 2."),
    "stage3": (0, 4, "ResNet stage 3", "The ResNet-50 is a deep convolutional neural network that can extract high-level features", "Each place of this map becomes one token."),
    "tokens": (0, 5, "Tokens", "divided into non-overlapping patches and flattened into tokens. These tokens, along with position embeddings and class tokens", "A 1x1 convolution, then flatten. One class token goes in front, a position embedding is added."),
    "vit1": (0, 6, "ViT blocks to tap 3", "The transformer blocks use self-attention mechanisms to model the relationships between different tokens", "Every token looks at every token."),
    "vit2": (0, 7, "ViT blocks to tap 4", "and capture the global context of the image", "The rest of the transformer."),
    "reassemble1": (1, 2, "Reassemble 1", "reassembled into different resolutions that contain information at multiple scales", "Already a map: one 3x3 convolution sets the channels."),
    "reassemble2": (1, 3, "Reassemble 2", "reassembled into different resolutions that contain information at multiple scales", "Already a map: one 3x3 convolution sets the channels."),
    "reassemble3": (1, 6, "Reassemble 3", "The outputs of the transformer blocks are reassembled into different resolutions", "Tokens back to a map of the same grid."),
    "reassemble4": (1, 7, "Reassemble 4", "The outputs of the transformer blocks are reassembled into different resolutions", "Tokens back to a map, then a stride of 2 halves it."),
    "fusion4": (2, 7, "Fusion 4", "progressively upsample low-resolution features", "The coarsest: nothing to merge yet, only to refine and enlarge."),
    "fusion3": (2, 6, "Fusion 3", "combine the features from different resolutions", "Adds map 3, refines, enlarges by 2."),
    "fusion2": (2, 3, "Fusion 2", "produce high-quality feature maps that contain multi-scale information", "Adds map 2, refines, enlarges by 2."),
    "fusion1": (2, 2, "Fusion 1", "use skip connections to progressively upsample low-resolution features and combine them with high-resolution features", "Adds map 1, refines, enlarges by 2."),
    "head": (2, 1, "Head", "Finally, we apply a convolutional layer to fuse the outputs of the fusion blocks to the same resolution as the input images", "Three convolutions. The paper's size doubles once more in between."),
    "bokeh": (2, 0, "Bokeh", "generate high-quality synthetic images that are visually similar to real images", "In the mini net: a blend of the picture (the dashed line) and what the head drew."),
}  # fmt: skip
PATHS = ["image stem stage1 stage2 stage3 tokens vit1 vit2", "stage1 reassemble1 fusion1"]
PATHS += ["stage2 reassemble2 fusion2", "vit1 reassemble3 fusion3", "vit2 reassemble4 fusion4"]
PATHS += ["fusion4 fusion3 fusion2 fusion1 head bokeh", "image bokeh"]


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code", "code_prompt_hide": "Hide the code"}
def diagram() -> str:
    """The net as SVG: one group per block, reachable with the keyboard, and the lines between."""
    wide, high, across, down = 168, 34, 236, 52

    def corner(name: str) -> tuple[int, int]:
        return 8 + SAYS[name][0] * across, 8 + SAYS[name][1] * down

    drawn = []
    for path in PATHS:
        names = path.split()
        for a, b in zip(names, names[1:], strict=False):
            (x1, y1), (x2, y2) = corner(a), corner(b)
            if x1 == x2:  # up or down
                start, end = (y1 + high, y2) if y2 > y1 else (y1, y2 + high)
                points = f"M{x1 + wide / 2} {start}V{end}"
            else:
                points = f"M{x1 + wide} {y1 + high / 2}H{x2}"
            dash = ' stroke-dasharray="5 4"' if path == "image bokeh" else ""
            drawn.append(f'<path d="{points}" marker-end="url(#rn-tip)"{dash}/>')
    for name, (column, _, label, *_) in SAYS.items():
        x, y = corner(name)
        drawn.append(
            f'<g id="rn-{name}" role="button" tabindex="0" aria-label="{html.escape(label)}">'
            f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" rx="6" '
            f'fill="{COLOURS[column]}" fill-opacity=".18" stroke="{COLOURS[column]}"/>'
            f'<text x="{x + wide / 2}" y="{y + high / 2 + 4.5}" text-anchor="middle">{label}</text></g>'
        )
    tip = '<marker id="rn-tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    tip += '<path d="M0 0L8 4L0 8z" fill="currentColor" stroke="none"/></marker>'
    size = f"{2 * across + wide + 16} {7 * down + high + 16}"
    return (
        f'<svg viewBox="0 0 {size}" role="group" aria-label="The blocks of the Render Net">'
        f"<defs>{tip}</defs>{''.join(drawn)}</svg>"
    )  # fmt: skip


# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the code of this element", "code_prompt_hide": "Hide the code of this element"}
PAGE = """<div class="interactive" id="rn"><style>
#rn {background:var(--pst-color-background, transparent); padding:.5em}
#rn .scroll {overflow-x:auto} #rn svg {width:100%; min-width:560px; max-width:680px; display:block}
#rn svg > path {stroke:currentColor; fill:none; stroke-opacity:.6} #rn text {fill:currentColor; font:14px sans-serif}
#rn g[role=button] {cursor:pointer; outline:none} #rn g:hover rect {fill-opacity:.32}
#rn g:focus rect {stroke-width:3} #rn g.on rect {fill-opacity:.5; stroke-width:3}
#rn button {font:inherit; padding:.3em .9em; margin:0 .4em .6em 0; border:1px solid; border-radius:6px; background:none; color:inherit; cursor:pointer}
#rn button[aria-pressed=true] {outline:2px solid #d55e00; font-weight:bold}
#rn .facts {min-height:9.5em; border-left:4px solid #0072b2; padding:.2em 1em; margin-top:.6em}
#rn .facts p {margin:.3em 0}</style>
<div role="group" aria-label="Preset"><button type="button" data-preset="mini">mini, 64 x 96</button><button
 type="button" data-preset="paper">paper, 512 x 768</button></div>
<div class="scroll">SVG</div><div class="facts" aria-live="polite"></div>
<script>(() => {
const root = document.getElementById('rn'), facts = DATA, order = Object.keys(facts.says);
let preset = 'mini', name = 'stage1';
const at = id => facts.says[id];
const near = {ArrowUp: [0,-1], ArrowDown: [0,1], ArrowLeft: [-1,0], ArrowRight: [1,0]};
function draw() {
  const s = at(name), b = facts.sizes[preset][name], box = root.querySelector('.facts');
  const line = (mark, text) => { const p = document.createElement('p'), m = document.createElement('strong');
    m.textContent = mark; p.append(m, text); box.append(p); };
  box.textContent = ''; line(s[2], ''); line('Output: ', '(' + b.shape.join(', ') + ')');
  line('Parameters: ', b.parameters.toLocaleString('en')); line('Paper: ', '\\u201c' + s[3] + '\\u201d');
  line('In short: ', s[4]);
  for (const id of order) root.querySelector('#rn-' + id).classList.toggle('on', id === name);
  for (const b of root.querySelectorAll('button')) b.setAttribute('aria-pressed', b.dataset.preset === preset);
  root.querySelector('path[stroke-dasharray]').style.display = preset === 'mini' ? '' : 'none';
}
for (const b of root.querySelectorAll('button')) b.onclick = () => { preset = b.dataset.preset; draw(); };
for (const id of order) { const g = root.querySelector('#rn-' + id);
  g.onclick = g.onfocus = () => { name = id; draw(); };
  g.onkeydown = e => { const d = near[e.key]; if (!d) return; e.preventDefault();
    const [c, r] = at(id), far = o => d[0] ? (at(o)[0]-c)*d[0] + 9*Math.abs(at(o)[1]-r)
      : (at(o)[1]-r)*d[1] + 9*Math.abs(at(o)[0]-c);
    const ahead = order.filter(o => d[0] ? (at(o)[0]-c)*d[0] > 0 : at(o)[0] === c && (at(o)[1]-r)*d[1] > 0);
    ahead.sort((a, b) => far(a) - far(b)); if (ahead.length) root.querySelector('#rn-' + ahead[0]).focus(); }; }
draw(); })();</script></div>"""
HTML(PAGE.replace("SVG", diagram()).replace("DATA", json.dumps({"says": SAYS, "sizes": sizes})))

# %% [markdown]
# ## Shape arithmetic
#
# Say the picture has $H \times W$ pixels and the four taps have strides $s_1 < s_2 < s_3 < s_4$. Each is
# twice the one before. Three facts are enough.
#
# - Map $k$ is $H/s_k$ high and $W/s_k$ wide, with the same number of channels for all four.
# - The transformer works at $s_3$. It has $1 + (H/s_3)(W/s_3)$ tokens. The 1 is the class token.
# - Fusion block $k$ doubles the size. So the last one ends at $2H/s_1 \times 2W/s_1$.
#
# All four must come out whole. So $H$ and $W$ must be multiples of $s_4$.
#
# For `paper`, $s = (4, 8, 16, 32)$: the decoder ends at half the picture's size, and the head doubles
# once more. For `mini`, $s = (2, 4, 8, 16)$: the decoder ends at full size.

# %%
for name, cfg in (("mini", mini), ("paper", paper)):
    height, width = cfg.image_size
    tokens = 1 + (height // cfg.strides[2]) * (width // cfg.strides[2])
    maps = [(1, cfg.features, height // s, width // s) for s in cfg.strides]
    print(f"{name}: {height} x {width} pixels, {tokens} tokens of {cfg.embed_dim} numbers")
    for k, shape in enumerate(maps, start=1):
        fused = sizes[name][f"fusion{k}"]["shape"]
        print(f"  map {k} {str(shape):22} fusion {k} -> {fused}")
        assert sizes[name][f"reassemble{k}"]["shape"] == shape
    assert sizes[name]["tokens"]["shape"] == (1, tokens, cfg.embed_dim)
    assert sizes[name]["bokeh"]["shape"] == (1, 3, height, width)

# %% [markdown]
# The asserts compare our arithmetic with what the hooks saw. They agree.
#
# Self-attention compares each token with each. The paper's net has 1,537 tokens, so each head of each
# block fills a table of 1,537 x 1,537. Had every pixel been a token, the table would have
# 393,217 rows. This is why a ResNet goes first.

# %% [markdown]
# ## Where the parameters are
#
# The same census, as a table.

# %%
groups = {
    "ResNet (stem, 3 stages)": ["stem", "stage1", "stage2", "stage3"],
    "tokens": ["tokens"],
    "ViT blocks": ["vit1", "vit2"],
    "Reassemble 1 to 4": [f"reassemble{k}" for k in (1, 2, 3, 4)],
    "fusion 1 to 4": [f"fusion{k}" for k in (1, 2, 3, 4)],
    "head": ["head"],
}
total = {name: sum(b["parameters"] for b in sizes[name].values()) for name in sizes}
print(f"{'':24} {'mini':>11} {'paper':>20}")
for label, members in groups.items():
    line = f"{label:24}"
    for name in ("mini", "paper"):
        n = sum(sizes[name][member]["parameters"] for member in members)
        line += f" {n:>11,} {100 * n / total[name]:>5.1f} %"
    print(line)
print(f"{'all':24} {total['mini']:>11,} {total['paper']:>20,}")

# %% [markdown]
# Most of the net is the transformer. The decoder, which draws the picture, is small.
#
# BRViT's own file has 123,147,051 parameters, somewhat more than ours. The difference never learns
# anything. It is the transformer's last norm and classifier, which come after the last tap, and one
# residual unit of the coarsest fusion block, which has nothing to merge. We leave them out.

# %%
never_trained = (2 * 768) + (768 * 1000 + 1000) + 2 * (256 * 256 * 9 + 256)
print(f"{total['paper'] + never_trained:,}")
assert total["paper"] + never_trained == 123_147_051

# %% [markdown]
# ## One picture goes in
#
# A pair of the bundled test set, and the mini net. Its weights are random: nothing has been learned yet.
# We look at structure first.

# %% mystnb={"image": {"alt": "Two pictures of the same generated outdoor scene side by side: left everything sharp, right the same scene with a blurred background."}}
pairs = EBB(data_root() / "mini-ebb", "test", size=mini.image_size)
image, target = pairs[0]["image"][None], pairs[0]["bokeh"][None]
torch.manual_seed(0)
net = RenderNet(mini).eval()
with torch.no_grad():
    maps = net.encode(image)
print("picture", tuple(image.shape))
print("maps   ", *(tuple(m.shape) for m in maps))
grid([image[0], target[0]], ["what goes in", "what should come out"])

# %% [markdown]
# A map has 32 channels, too many to look at. Take the root mean square over the channels: one number
# per place, the map's energy there. Bright means that the net says a lot about this place.

# %% mystnb={"image": {"alt": "Four energy maps from fine to coarse. The first, 32 by 48 places, still shows the shapes of the scene; the second is blockier; the third, 8 by 12, and fourth, 4 by 6, show a few large squares."}}
energy = [m[0].square().mean(0).sqrt() for m in maps]
grid(
    [e / e.max() for e in energy],
    [f"map {k}, {e.shape[0]} x {e.shape[1]}" for k, e in enumerate(energy, start=1)],
    colourbar=False,
)

# %% [markdown]
# Even before learning, map 1 shows where the ball ends and the plants begin. Maps 3 and 4 have left the
# shapes behind. They can only say something about regions.

# %% [markdown]
# ## Reassemble, step by step
#
# A transformer gives a list of tokens. The decoder wants a map. Reassemble turns one into the other.
#
# Here are tokens to work on: the size of the mini net's, with random values.

# %%
height, width = 64 // 8, 96 // 8  # the transformer's grid in mini: stride 8
dim = mini.embed_dim
tokens = torch.randn(2, 1 + height * width, dim, generator=torch.Generator().manual_seed(1))
package = net.encoder.reassemble4  # the one we want to equal
w = dict(package.named_parameters())
print("tokens", tuple(tokens.shape))
for name, value in w.items():
    print(f"  {name:18} {tuple(value.shape)}")

# %% [markdown]
# **Readout.** The class token stands in front. It belongs to no place, but it has seen the whole picture. DPT
# calls this choice "project": lay the class token beside every patch token, and let a linear layer
# make one token of the two.

# %%
cls, patches = tokens[:, :1], tokens[:, 1:]  # (2, 1, D) and (2, h*w, D)
both = torch.cat((patches, cls.expand(-1, height * width, -1)), dim=-1)
print("side by side", tuple(both.shape))
x = F.gelu(F.linear(both, w["project.0.weight"], w["project.0.bias"]))
print("projected   ", tuple(x.shape))

# %% [markdown]
# **Unflatten.** Tokens were made row by row, so they are put back row by row. Channels go first.

# %%
x = x.transpose(1, 2)  # (2, D, h*w)
x = x.unflatten(2, (height, width))  # (2, D, h, w)
print("a map again", tuple(x.shape))

# Is it really row by row? Mark one token and look where it lands.
marked = torch.zeros(1, height * width, 1)
marked[0, 2 * width + 5] = 1  # row 2, column 5
landed = marked.transpose(1, 2).unflatten(2, (height, width))[0, 0]
assert landed.nonzero().tolist() == [[2, 5]]

# %% [markdown]
# **Resize.** A 1x1 convolution mixes the channels. Tap 4 is wanted at half this size: a 3x3 convolution
# with stride 2. (Tap 3 skips that step.) A last 3x3 convolution sets the decoder's channels.

# %%
x = F.conv2d(x, w["mix.weight"], w["mix.bias"])
x = F.conv2d(x, w["resize.weight"], w["resize.bias"], stride=2, padding=1)
print("halved", tuple(x.shape))
mine = F.conv2d(x, w["narrow.weight"], padding=1)
print("narrow", tuple(mine.shape))

assert_close(mine, package(tokens, (height, width)))

# %% [markdown]
# Same weights, same numbers. Now the package's class reads like a summary of what you just did.

# %%
show(Reassemble)

# %% [markdown]
# One warning. In this section "Reassemble" means tokens to map. In Eq. 1 and Eq. 3 the paper uses the
# same word for a depth map, which has no tokens. What it does there is chapter 7's question.

# %% [markdown]
# ## The residual unit
#
# The fusion block is made of residual units. In words: keep what came in, and add a correction.
#
# $$\mathrm{RCU}(x) = x + \mathrm{conv}_2(\mathrm{relu}(\mathrm{conv}_1(\mathrm{relu}(x))))$$
#
# There is no normalisation in it. A map's absolute level survives.


# %%
def residual_unit(x: torch.Tensor, unit: ResidualConvUnit) -> torch.Tensor:
    """The formula, with the weights of the package's `unit`."""
    y = F.conv2d(F.relu(x), unit.conv1.weight, unit.conv1.bias, padding=1)
    y = F.conv2d(F.relu(y), unit.conv2.weight, unit.conv2.bias, padding=1)
    return x + y


block = net.decoder.fusion[1]
skip = maps[1].detach()
coarser = torch.randn(skip.shape, generator=torch.Generator().manual_seed(2))
assert_close(residual_unit(skip, block.unit1), block.unit1(skip))
print(tuple(skip.shape), "->", tuple(block.unit1(skip).shape))

# %% [markdown]
# ## The fusion block
#
# Two maps of the same size meet: the result from the coarser scale, and this scale's own map.
#
# 1. Refine this scale's map with one residual unit, and add it to the coarser result.
# 2. Refine the sum with a second unit.
# 3. Double the size, bilinearly.
# 4. Mix the channels with a 1x1 convolution.
#
# This is DPT's order, and the order of the official weights. (With `align_corners=True` the four corner values stay at the corners.)


# %%
def fusion_block(x: torch.Tensor, skip: torch.Tensor, block: FusionBlock) -> torch.Tensor:
    """DPT's order: enlarge, then mix."""
    x = x + residual_unit(skip, block.unit1)
    x = residual_unit(x, block.unit2)
    x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
    return F.conv2d(x, block.out_conv.weight, block.out_conv.bias)


assert_close(fusion_block(coarser, skip, block), block(coarser, skip))
print(tuple(coarser.shape), "and", tuple(skip.shape), "->", tuple(block(coarser, skip).shape))
show(FusionBlock)

# %% [markdown]
# Read the package's version again. It has steps 3 and 4 the other way round. And yet the assert holds.
#
# ## Why the order may be swapped
#
# Look at one output pixel. Bilinear upsampling $U$ makes it from four neighbours $x_i$, with weights
# $u_i$ that sum to 1, and the same weights in every channel. The 1x1 convolution multiplies the channels
# at one place by a matrix $M$ and adds a bias $b$:
#
# $$M \Big(\sum_i u_i x_i\Big) + b = \sum_i u_i\,(M x_i) + b = \sum_i u_i\,(M x_i + b).$$
#
# The first step is linearity. The second needs $\sum_i u_i = 1$. So "enlarge, then mix" equals "mix, then
# enlarge". But mixing the small map costs a quarter.
#
# In exact arithmetic the two are equal. In floating point the sums run in another order, so the last
# digits may differ. Double precision shows that this is rounding and no more.

# %%
double = torch.Generator().manual_seed(3)
x = torch.randn(1, 8, 5, 7, dtype=torch.float64, generator=double)
kernel = torch.randn(8, 8, 1, 1, dtype=torch.float64, generator=double)
bias = torch.randn(8, dtype=torch.float64, generator=double)


def enlarge(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


for dtype, tolerance in ((torch.float64, 1e-13), (torch.float32, 1e-4)):
    a, k, b = x.to(dtype), kernel.to(dtype), bias.to(dtype)
    difference = F.conv2d(enlarge(a), k, b) - enlarge(F.conv2d(a, k, b))
    assert difference.abs().max() < tolerance
multiplications = 256 * 256 * 128 * 192  # of the paper's finest fusion block, mixing first
print(f"mixing first:    {multiplications:>13,} multiplications")
print(f"enlarging first: {4 * multiplications:>13,}")

# %% [markdown]
# Now break each condition. A 3x3 convolution looks at neighbours, and the neighbours change when the map
# grows. Weights that do not sum to 1 count the bias wrongly: filling up with zeros is such a way to enlarge.

# %%
wide = torch.randn(8, 8, 3, 3, dtype=torch.float64, generator=double)
mixed_first = enlarge(F.conv2d(x, wide, bias, padding=1))
difference = F.conv2d(enlarge(x), wide, bias, padding=1) - mixed_first
assert difference.abs().max() > 1
print("3x3: not equal")


def with_zeros(x: torch.Tensor) -> torch.Tensor:
    """Double the size by putting zeros between the values."""
    out = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    out[..., ::2, ::2] = x
    return out


with_bias = F.conv2d(with_zeros(x), kernel, bias) - with_zeros(F.conv2d(x, kernel, bias))
without = F.conv2d(with_zeros(x), kernel) - with_zeros(F.conv2d(x, kernel))
assert with_bias.abs().max() > 0.1 and without.abs().max() < 1e-13
print("zeros between: equal without a bias, not equal with one")

# %% [markdown]
# ## The decoder
#
# Four fusion blocks from coarse to fine, then the head. The coarsest block has no coarser result to
# merge, so it has one residual unit instead of two.

# %%
show(Decoder)

# %%
fusion, head = net.decoder.fusion, net.decoder.head
with torch.no_grad():
    x = enlarge(fusion[3].out_conv(residual_unit(maps[3], fusion[3].unit2)))
    for k in (2, 1, 0):
        x = fusion_block(x, maps[k], fusion[k])
        print(f"after fusion {k + 1}", tuple(x.shape))
    x = F.relu(head[2](head[0](x)))  # head[1] enlarges, but only in the paper's net
    drawn = head[4](x)
    assert_close(drawn, net.decoder(maps))
print("drawn", tuple(drawn.shape))

# %% [markdown]
# In the `paper` preset the three channels that the head draws *are* the bokeh picture. There the Render Net ends.
# In `mini` the head draws four. We come to the fourth soon.

# %% [markdown]
# ## What each map sees
#
# Take one output pixel. Ask: which input pixels can change it, and how much? The gradient of the
# output pixel with respect to the picture says so.
#
# We ask four times. Each time three of the four maps are held fixed (`detach`), so that the gradient can
# only flow through one tap.


# %%
def influence(net: RenderNet, image: torch.Tensor, row: int, column: int) -> list[torch.Tensor]:
    """|d output(row, column) / d input| through each tap alone: four maps that sum to 1."""
    image = image.clone().requires_grad_()
    maps = net.encode(image)
    found = []
    for tap in range(4):
        one = [m if k == tap else m.detach() for k, m in enumerate(maps)]
        pixel = net.decoder(one)[0, :, row, column].sum()
        (gradient,) = torch.autograd.grad(pixel, image, retain_graph=True)
        strength = gradient.abs().sum(1)[0]
        found.append(strength / strength.sum())
    return found


def share(strength: torch.Tensor, part: float = 0.5) -> float:
    """The smallest share of all pixels that holds `part` of the influence."""
    ordered = strength.flatten().sort(descending=True).values.cumsum(0)
    return (int((ordered < part).sum()) + 1) / len(ordered)


seen = influence(net, image, 32, 48)

# %% mystnb={"image": {"alt": "Four maps of influence on the middle output pixel, on a logarithmic scale. Through tap 1 a small bright spot around the pixel; through tap 2 a larger spot; through taps 3 and 4 broad regions that fill much of the picture."}}
log = [(s / s.max()).clamp(min=1e-4).log10() for s in seen]
grid(
    log,
    [f"through tap {k}" for k in (1, 2, 3, 4)],
    limits=(-4, 0),
    unit="log10",
    columns=2,
)

# %%
shares = [share(s) for s in seen]
assert shares[0] < shares[1] < shares[2] < shares[3]
assert shares[0] < 0.05 and shares[3] > 0.15
print("half of the influence comes from")
print("  less than 5 % of the pixels through tap 1, more than 15 % through tap 4")

# %% [markdown]
# The fine taps look closely at a small spot. The coarse ones look at everything. A blur needs both: where
# the edge runs, and whether this whole region is background.
#
# Look also at the faint veil that tap 1 has everywhere. A convolution cannot see that far. The veil comes from
# group norm, which divides by the spread of the *whole* map. So every pixel touches every other a little.
#
# These are random weights. Learning changes how much each tap matters, and where in its reach it looks.

# %% [markdown]
# ## Two changes for a small net
#
# The `mini` preset differs from `paper` in more than widths. It has finer strides, and it blends its input into
# the output. Both are entries of the [ledger](ledger.md): [`mini-strides`](ledger.md#mini-strides) and [`mini-skip`](ledger.md#mini-skip).
#
# **Finer strides: count the room.** One place of map 1 stands for a patch of $s_1 \times s_1$ pixels with
# three colours each. Is there room for them in the map's channels?

# %%
for name, stride, channels in (
    ("paper, first tap at /4", 4, paper.features),
    ("mini with first tap at /4", 4, mini.features),
    ("mini as it is, first tap at /2", 2, mini.features),
):
    numbers = 3 * stride * stride
    room = channels / numbers
    print(f"{name:31} {numbers:2} numbers into {channels:3} channels: {room:.2f} each")

# %% [markdown]
# With 32 channels and a first tap at /4 the patch does not fit. Detail is lost before the decoder
# sees it. With the first tap at /2 it fits with room to spare, as in the paper's net.
#
# **The skip: keep what is already right.** Where a bokeh picture is in focus, it *is* the input. So the mini
# net's head draws a fourth channel. It says, pixel by pixel, how much of the input stays:
#
# $$\text{bokeh} = k \cdot \text{image} + (1 - k)\,(\text{smooth} + \text{drawn}), \qquad k = \sigma(\text{fourth channel}).$$
#
# Here smooth is the input averaged over 5x5 pixels. The net adds to it what it draws.
#
# Why not just add what is drawn to the input? To blur, the net would have to draw the fine detail with the
# opposite sign. Its finest map has half the picture's size and cannot hold such detail. Turning the detail
# down with $k$ needs no detail at all.
#
# The paper says that BRViT "introduced an input-to-input mapping to better retain the details of the
# foreground" (Section II-B). BRViT's published code has no such path. So the `paper` preset has none
# either, or the official weights would not fit.

# %%
show(RenderNet.decode)
show(mix_input)

# %% mystnb={"image": {"alt": "Three pictures: the sharp input, the same averaged over 5 by 5 pixels, and the output of the untrained mini net, which is nearly as sharp as the input."}}
keep = torch.sigmoid(drawn[:, 3:])
smooth = F.pad(image, (2, 2, 2, 2), mode="replicate").unfold(2, 5, 1).unfold(3, 5, 1)
smooth = smooth.mean((-2, -1))  # (1, 3, H, W, 5, 5) -> (1, 3, H, W)
mine = keep * image + (1 - keep) * (smooth + drawn[:, :3])
with torch.no_grad():
    assert_close(mine, net(image))
grid([image[0], smooth[0], mine[0]], ["input", "smooth", "untrained net"])

# %% [markdown]
# That was the last piece: the whole Render Net, rebuilt by hand and equal to the package's. The fourth
# channel starts near 1, so $k$ starts near $\sigma(1) = 0.73$. The untrained net already returns
# something close to its input.

# %% [markdown]
# ## A small experiment
#
# Does it matter? Take two training pairs and 40 steps of Adam. That is overfitting on purpose: the
# question is only how fast each net can learn to draw these two. Three nets:
#
# - **coarse**: strides 4, 8, 16, 32, no skip, as the paper's net;
# - **fine**: strides 2, 4, 8, 16, no skip;
# - **mini**: strides 2, 4, 8, 16, and the skip.
#
# And one line to beat: **copy**, which returns the input unchanged.


# %%
def overfit(cfg, image: torch.Tensor, target: torch.Tensor, steps: int = 40) -> list[float]:
    """The L1 loss before each of `steps` steps on the same pictures."""
    torch.manual_seed(0)
    net = RenderNet(cfg)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    losses = []
    for _ in range(steps):
        loss = F.l1_loss(net(image), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


train = EBB(data_root() / "mini-ebb", "train", size=mini.image_size)
two = [train[i] for i in (0, 1)]
x, y = (torch.stack([pair[key] for pair in two]) for key in ("image", "bokeh"))
fine = replace(mini, skip=False)
coarse = replace(fine, strides=(4, 8, 16, 32), pos_grid=(4, 6), head_upsample=True)
nets = {"coarse": coarse, "fine": fine, "mini": mini}
losses = {name: overfit(cfg, x, y) for name, cfg in nets.items()}
copy = F.l1_loss(x, y).item()

# %% mystnb={"image": {"alt": "Three loss curves over 40 steps on a logarithmic scale with a dashed line for copying the input. The coarse and the fine net without skip fall but stay above the line, the fine one lower; the mini net starts below the line and falls slowly."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
with plt.rc_context(STYLE):
    figure, axis = plt.subplots(figsize=(7.5, 3.4))
    for (name, values), colour in zip(losses.items(), COLOURS, strict=False):
        axis.plot(values, color=colour, label=f"{name}, ends at {values[-1]:.3f}")
    axis.axhline(copy, color="#555555", linestyle="--", label=f"copy: {copy:.3f}")
    axis.set(xlabel="step", ylabel="L1 loss", yscale="log")
    axis.legend()
    plt.close(figure)
figure

# %%
last = {name: values[-1] for name, values in losses.items()} | {"copy": copy}
print("best to worst:", ", ".join(sorted(last, key=last.get)))
assert last["mini"] < last["copy"] < last["fine"] < last["coarse"]

# %% [markdown]
# The finer net ends lower than the coarse one. But without the skip neither reaches even the picture that went
# in: their 40 steps are spent on learning to copy. With the skip, every step goes into the blur.
#
# Note where **mini** starts: already below the line, for a dull reason. A quarter of the smooth picture is mixed
# in before it has learned anything. From there it has moved only a little. Learning where to blur, and how
# much, takes the long training of chapter 11.
#
# What this does *not* show: that the skip is better after a long training, or at the paper's size. Two
# pictures and 40 steps say how a net starts. They say nothing about pictures it has not seen.

# %% [markdown]
# ## Your numbers may differ
#
# Shapes and counts are exact everywhere. The figures and the curves come from random weights with a fixed
# seed, on one thread. Another processor or another version of PyTorch rounds differently, and the
# third digit of a loss may move. The asserts leave room for that.

# %% [markdown]
# ## Summary
#
# - ResNet for detail, transformer for the whole picture, four taps between them and the decoder.
# - Reassemble: lay the class token beside each token, project, unflatten row by row, resize.
# - Fusion: add this scale's refined map, refine, double. The 1x1 convolution may go before the doubling,
#   because it is linear and the bilinear weights sum to 1.
# - Fine taps see where. Coarse taps see what.
# - The Render Net is BRViT's net. The `mini` preset needs finer strides and a skip; we measured
#   how each changes the first steps.

# %% [markdown]
# ## Exercises
#
# **1 (graded).** Write `plan(height, width, strides)`. It returns the number of tokens (with the class
# token) and the list of the four maps' sizes, fine to coarse: `(tokens, [(h1, w1), ..., (h4, w4)])`. A
# size that does not fit raises `ValueError`.


# %% tags=["exercise"]
def plan(height: int, width: int, strides: tuple[int, int, int, int]):
    """Tokens and map sizes of the Render Net for a picture of height x width pixels."""
    raise NotImplementedError  # your code: three facts of "Shape arithmetic" are enough


# %% tags=["hide-input", "solution"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
def solution(height: int, width: int, strides: tuple[int, int, int, int]):
    """A solution; open it after you have tried."""
    if height < 1 or width < 1 or height % strides[-1] or width % strides[-1]:
        raise ValueError(f"{height} x {width} is not a multiple of {strides[-1]}")
    sizes = [(height // s, width // s) for s in strides]
    rows, columns = sizes[2]
    return 1 + rows * columns, sizes


# %% tags=["graded"]
def check(answer):
    """Raise AssertionError unless `answer` is right."""
    assert answer(64, 96, mini.strides) is not None, (
        "your function returned nothing: is there a `return`?"
    )
    for size, strides, count, maps in (
        ((64, 96), mini.strides, 97, [(32, 48), (16, 24), (8, 12), (4, 6)]),
        ((512, 768), paper.strides, 1537, [(128, 192), (64, 96), (32, 48), (16, 24)]),
    ):
        tokens, sizes = answer(*size, strides)
        assert tokens == count, "one token a place of the third map, and the class token"
        assert [tuple(size) for size in sizes] == maps, "height and width, fine to coarse"
    assert answer(384, 384, paper.strides)[0] == 577
    for size in ((500, 768), (512, 760)):
        try:
            answer(*size, paper.strides)
        except ValueError:
            continue
        raise AssertionError(f"{size} should raise ValueError")
    with torch.device("meta"):  # the net itself has the last word
        maps_of_net = RenderNet(mini).encode(torch.empty(1, 3, 128, 80))
    sizes = [tuple(size) for size in answer(128, 80, mini.strides)[1]]
    assert [tuple(m.shape[-2:]) for m in maps_of_net] == sizes


try:
    check(plan)
    print("Your plan passes.")
except NotImplementedError:
    check(solution)
    print("Not written yet. (The book's solution passes.)")

# %% [markdown]
# **2.** Nearest-neighbour upsampling also has weights that sum to 1. Does the 1x1 convolution commute with it?
# Predict, then test.
#
# **3.** Why can the class token be left out of `unflatten`, and what would happen to the map if you forgot
# to cut it off?
#
# **4.** Move the output pixel of `influence` into a corner. Which tap's picture changes most?
#
# **5.** Give **coarse** the skip (`replace(coarse, skip=True)`) and overfit again. Which of the two changes
# matters more for the first 40 steps?

# %% [markdown]
# ## Next
#
# Chapter 6, [The Depth Prediction Net](06_depth_net.ipynb), is the same trunk with another head. Chapter 11,
# [Two-stage training](11_two_stage_training.ipynb), trains both together. [Chapter 1](01_bokeh_and_the_thin_lens.ipynb) has the optics that it imitates.

# %% [markdown]
# ## References
#
# All are in the [bibliography](bibliography.md).
#
# - Liu, Zhou and Dong 2023, *Bokeh Rendering Based on Adaptive Depth Calibration Network*. The paper; Sections II-B and III-A.
# - Nagasubramaniam and Younes 2022, *Bokeh Effect Rendering with Vision Transformers*. BRViT.
# - Ranftl, Bochkovskiy and Koltun 2021, *Vision Transformers for Dense Prediction*. DPT: readout, Reassemble, fusion.
# - Dosovitskiy and others 2021, *An Image is Worth 16x16 Words*. The hybrid of ResNet and transformer.
# - Lin and others 2017, *RefineNet*. The fusion block's ancestor.
# - Kolesnikov and others 2020, *Big Transfer (BiT)*. The ResNet with group norm and weight standardisation.
