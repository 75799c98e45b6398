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
# # 11. Two-stage training
#
# Three nets, one schedule. First the ADCN learns how wrong a depth net is. Then the whole BRADCN learns
# to blur. This chapter trains a little of everything, kills a training on purpose, and reads the logs of
# the long training whose weights come with the book.
#
# **You will be able to**
#
# - read the paper's schedule as data, and say what a preset changes in it;
# - make the labels of Eq. 2 and check them against a few lines of NumPy;
# - write stage 1 as a loop of ten lines, and prove that the package does the same;
# - say what MS-SSIM sees that L1 does not;
# - prove that a frozen net stays frozen, and that a killed run resumes to the same bits;
# - show in pictures what each phase of stage 2 changed, and how little the second one did;
# - fit a step to a machine: fewer pictures at once, 16 bits, several processes;
# - read a training log without fooling yourself.
#
# **Before this**: chapter 5 (the Render Net), and a first acquaintance with PyTorch: tensors, `backward`,
# an optimiser.
#
# **Time and memory**: about 40 s on one laptop-class core. About 1.4 GB of memory; for a moment, when a
# second program trains beside the notebook, 2.5 GB. No download, no GPU.

# %% [markdown]
# ## Setup

# %% tags=["hide-input", "setup"] mystnb={"code_prompt_show": "Show the set-up", "code_prompt_hide": "Hide the set-up"}
# On Colab this fetches the book's package; elsewhere it is there already.
from importlib.util import find_spec

if find_spec("bradcn_nb") is None:
    raise ModuleNotFoundError("no bradcn_nb: the page On Colab says how")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the imports", "code_prompt_hide": "Hide the imports"}
import base64
import dataclasses
import html
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from IPython.display import HTML
from matplotlib import pyplot as plt
from safetensors import safe_open
from torch.utils.data import DataLoader

from bradcn_nb.figures.plots import COLOURS, grid, show, use_style
from bradcn_nb.files import data_root
from bradcn_nb.presets import preset

torch.set_num_threads(1)  # the last digits of a sum depend on how many threads add it up
torch.manual_seed(0)
use_style()
work = Path(tempfile.mkdtemp())  # everything that this chapter trains goes here
mini, paper = preset("mini"), preset("paper")

# %% [markdown]
# ## What the paper says
#
# Section IV-B is the whole schedule, in one paragraph (Liu et al. 2023):
#
# > "The first stage involves the pre-training of ADCN, and we use the L1 loss function for 50 epochs with a
# > learning rate of 1e-4. For the second stage of training, which involves training the whole architecture, we
# > initially train the hybrid model with the L1 loss function for 30 epochs until the loss function decreases
# > smoothly. Then, we combine the L1 loss function with the MS-SSIM loss function for an additional 30 epochs.
# > The learning rate during this stage is set to 5e-5."
#
# Section IV-F adds: "we set the batch size to 1", and 768x512 pixels.
#
# Then comes a slip. It is easy to read past:
#
# > "The L1 loss function computes the mean absolute difference between the predicted and ground truth **depth
# > maps**, whereas the MS-SSIM loss function measures the structural similarity between the predicted and ground
# > truth **depth maps** at multiple scales." (our bold)
#
# For stage 1 that is nearly right: the ADCN predicts a map of depth *errors*. For stage 2 it cannot be right.
# EBB! has no depth, so there is no true depth map to compare with. What EBB! has is a second photograph,
# taken at f/1.8. So in stage 2 this book compares **pictures**: the rendered bokeh with the photographed one.
# The [ledger](ledger.md) keeps that choice.
#
# In words: *first learn how far to trust the depth, then learn to render; first match pixels, then match
# structure too.*
#
# ```text
# stage 0   generated scenes  ->  Depth Prediction Net        (mini only)
#                                        |
# labels    mini-SUN  ->  De = |Do - Dgt|, Eq. 2
#                                        |
# stage 1   mini-SUN + labels  ->  ADCN                       L1, masked
#                                        |  frozen from here on
# stage 2a  mini-EBB  ->  BRADCN (Render Net, depth, error)   L1
# stage 2b  mini-EBB  ->  the same, continued                 L1 + (1 - MS-SSIM)
# ```

# %% [markdown]
# ## The schedule as data
#
# A stage is a frozen dataclass. Nothing else in the package knows an epoch count or a rate.

# %%
from bradcn_nb.presets import Stage

show(Stage)

# %% [markdown]
# The table below is computed from the presets, so it cannot disagree with them. A step is one batch. The
# paper's counts of pictures are those of Section IV-A. Those of mini's stage 2 are written in the bundled weights: it
# was trained on more pairs than fit into the repository. The bundled ones are the first of them.

# %%
from bradcn_nb.data import EBB
from bradcn_nb.models import read_metadata

about = read_metadata(data_root() / "weights" / "bradcn-mini.safetensors")
pairs = json.loads(about["config"])["items"]
print(f"mini: trained on {pairs} pairs, {len(EBB(data_root() / 'mini-ebb'))} of them bundled")
PICTURES = {
    "mini": {"labels": mini.data.sun_counts[0], "ebb": pairs},
    "paper": {"labels": paper.data.sun_counts[0], "ebb": 4400},
}


def steps_of(chosen, stage):
    """Steps of a stage: batches per epoch, the last one may be small, times epochs."""
    pictures = stage.samples_per_epoch or PICTURES[chosen.name][stage.data]
    return stage.epochs * -(-pictures // stage.batch)


def row(chosen, stage):
    loss = "L1" + " + (1 - MS-SSIM)" * bool(stage.ms_ssim)
    cells = (chosen.name, stage.name, stage.net, stage.data, stage.epochs, stage.batch)
    cells += (f"{steps_of(chosen, stage):,}", f"{stage.lr:g}", stage.schedule, loss)
    return [str(cell) for cell in (*cells, ", ".join(stage.frozen) or "-")]


head = "preset stage net data epochs batch steps rate schedule loss frozen".split()
table = [row(chosen, stage) for chosen in (mini, paper) for stage in chosen.stages]
style = "style='padding:0.1em 0.4em;white-space:nowrap'"
lines = ["".join(f"<td {style}>{cell}</td>" for cell in cells) for cells in table]
header = "".join(f"<th {style}>{name}</th>" for name in head)
body = "".join(f"<tr>{line}</tr>" for line in lines)
table = f"<table style='width:auto;font-size:0.8em'><tr>{header}</tr>{body}</table>"
HTML(f"<div style='overflow-x:auto'>{table}</div>")

# %% [markdown]
# Read it row by row.
#
# - The **paper** has three rows. Its rate never changes within a stage: "set to 5e-5".
# - **mini** has one row more (stage 0), larger batches, and larger rates that shrink along half a cosine. Its
#   nets all start from random weights; the paper's depth net starts from pretrained ones. These rates are the
#   book's choice, not the paper's.
# - The ADCN is **frozen** in stage 2, in both. The paper says that its weights "were saved for subsequent
#   rendering tasks", that the *depth* net's are fine-tuned, and that stage 2 trains "the whole architecture".
#   Do the ADCN's move, then? It is not clear. Again a line in the [ledger](ledger.md).
#
# The rate of a step is a function of the step alone. That will matter when we kill a run.

# %%
from bradcn_nb.training.loop import learning_rate

show(learning_rate)

# %% mystnb={"image": {"alt": "Two plots of the learning rate over the steps of a whole schedule, on a logarithmic axis. Left, mini: four falling half cosines, one a stage, each from its own start down to one percent of it. Right, paper: two levels, a higher one for stage 1 and a lower one for stages 2a and 2b."}}
figure, axes = plt.subplots(1, 2, figsize=(7.5, 2.8), sharey=True)
for axis, chosen in zip(axes, (mini, paper), strict=True):
    first = 0
    for number, stage in enumerate(chosen.stages):
        count = steps_of(chosen, stage)
        at = np.linspace(0, count - 1, 200).astype(int)
        rates = [learning_rate(stage, int(step), count) for step in at]
        colour = COLOURS[number + len(mini.stages) - len(chosen.stages)]
        axis.plot((first + at) / 1000, rates, color=colour, label=stage.name)
        first += count
    axis.set(title=chosen.name, xlabel="thousand steps", yscale="log")
axes[0].set_ylabel("learning rate")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
plt.show()

# %% [markdown]
# ## Stage 0: a depth net for mini
#
# The paper starts from a pretrained DPT. No pretrained DPT exists at mini's size, so mini trains its own, on
# generated scenes. Each scene is a picture and its exact depth, drawn from a seed. No picture is
# ever seen twice: each epoch draws new seeds.
#
# It compares **inverse depth**, in 1/m. The blur's diameter is linear in it (chapter 1), and DPT's own head
# predicts it.

# %% mystnb={"image": {"alt": "Four generated scenes with their inverse depth below: two outdoor scenes with a subject in front of a background, and two rooms with furniture. Near things are bright in the maps."}}
from bradcn_nb.data import Scenes
from bradcn_nb.training.stages import STAGE0_CHECK_SEED, STAGE0_FIRST_SEED

stage0 = mini.stage("stage0")
scenes = Scenes(stage0.samples_per_epoch, STAGE0_FIRST_SEED, mini.data.train_size)
drawn = [scenes[i] for i in range(4)]
pictures = [item["image"] for item in drawn]
inverse = [1 / torch.where(item["mask"], item["depth"], torch.inf) for item in drawn]
grid(pictures + inverse, unit="1/m", columns=4)

# %% [markdown]
# ### What stage 0 must never see
#
# The labels of Eq. 2 say how wrong the depth net is. On a picture that it has memorised, it is hardly wrong at
# all. The ADCN would learn that depth is always right. So stage 0 must not see a frame of mini-SUN. It must not
# see a scene of mini-EBB either, or stage 2 would get better depth in training than in testing.
#
# The seeds prove it: the four ranges do not touch.

# %%
from bradcn_nb.data import bundle

seen = range(STAGE0_FIRST_SEED, STAGE0_FIRST_SEED + stage0.epochs * stage0.samples_per_epoch)
others = {
    "mini-EBB": {bundle.EBB_SEED + n for n in (*range(pairs), *bundle.EBB_TEST)},
    "mini-SUN": {bundle.SUN_SEED + n for n in bundle.SUN_FRAMES},
    "stage 0's check": {STAGE0_CHECK_SEED + n for n in range(16)},
}
for name, seeds in others.items():
    assert not any(seed in seen for seed in seeds)
    print(f"{name:16}{len(seeds):4} seeds, none among the {len(seen):,} of stage 0")

# %% [markdown]
# The paper's own setting is less clean. SUN RGB-D contains the frames of NYUv2, and the DPT was fine-tuned on
# NYUv2. A random split of SUN RGB-D cannot keep them apart.

# %% [markdown]
# ## Eq. 2: the labels
#
# > "we calculate the absolute error map between the predicted depth and the ground-truth depth in the
# > SUNRGBD dataset. The absolute error map is used as the supervising data for the ADCN."
#
# $$De = |Do - D_{gt}|$$
#
# Shapes: `Do` is (N, 1, H, W) in metres, so is `Dgt`, so is `De`. A depth camera has holes. There `Dgt` does
# not exist, and neither does `De`. A boolean mask of the same shape says where.
#
# The bundled BRADCN holds a depth net, too. But stage 2 has fine-tuned that one to make good pictures, not good
# depth. So we take the depth net that stage 0 left, which is bundled beside it. The labels of the real training are
# its errors.

# %%
from bradcn_nb.data import SUNRGBD
from bradcn_nb.models import load_bradcn, load_depth_net
from bradcn_nb.models.depth_error import depth_error

model, depth_net = load_bradcn("mini"), load_depth_net()
small = dataclasses.replace(mini, data=dataclasses.replace(mini.data, sun_counts=(32, 16)))
frames = {
    kind: SUNRGBD(data_root() / "mini-sun", "test", small.data.sun_counts, size=(64, 96), kind=kind)
    for kind in ("depth", "depth_bfx")
}
batch = [frames["depth"][i] for i in range(3)]
image, truth, known = (torch.stack([b[key] for b in batch]) for key in ("image", "depth", "mask"))
with torch.no_grad():
    predicted = depth_net(image)
error, _ = depth_error(predicted, truth, known)
print("Do ", tuple(predicted.shape), "  Dgt", tuple(truth.shape), "  De ", tuple(error.shape))

# %% mystnb={"image": {"alt": "Three rows, one a room: the picture, the predicted depth in metres, the measured depth in metres, and their absolute difference in metres. Grey pixels have no measured depth."}}
hole = torch.tensor(torch.nan)
panels, units, limits = [], [], []
for i in range(3):
    panels += [image[i], predicted[i], torch.where(known[i], truth[i], hole)]
    panels += [torch.where(known[i], error[i], hole)]
    units += ["", "m", "m", "m wrong"]
    limits += [None, (0, 8), (0, 8), (0, 3)]
titles = ["picture", "Do", "Dgt", "De"] + [""] * 8
grid(panels, titles, columns=4, unit=units, limits=limits)

# %% [markdown]
# ### Test of the equation
#
# The oracle is NumPy in double precision. It loops over pixels on purpose: nothing in it can share a mistake
# with the tensors.

# %%
oracle = np.zeros(error.shape)
for index in np.ndindex(*error.shape):
    if known[index]:
        oracle[index] = abs(float(predicted[index]) - float(truth[index]))

np.testing.assert_allclose(error.numpy(), oracle, rtol=1e-6, atol=1e-6)
print(f"{oracle.size:,} pixels agree, {int(known.sum()):,} of them with a measured depth")

# %% [markdown]
# SUN RGB-D has every depth map twice: raw (`depth`, above) and with its holes filled (`depth_bfx`). Training uses
# the filled ones. In mini-SUN they have no hole left; in the real set some do. The mask is there for those.
#
# Training does not compute labels in every epoch. They are made once, and kept as 16-bit PNGs in millimetres.
# 65535 means "no truth here". So a label on disk is exact to half a millimetre. The folder's name is the hash of
# the depth net that made it: labels of another depth net can never slip in.

# %%
from bradcn_nb.models import save_weights
from bradcn_nb.training import make_run_labels
from bradcn_nb.training.labels import LabelSet

nets = {"depth": work / "depth.safetensors", "adcn": work / "adcn.safetensors"}
save_weights(depth_net, nets["depth"], "mini")
save_weights(model.adcn, nets["adcn"], "mini")
labels = make_run_labels(small, nets["depth"], out_dir=work / "labels", progress=False)

kept, frame = LabelSet(frames["depth_bfx"], labels / "test")[0], frames["depth_bfx"][0]
wanted, _ = depth_error(predicted[0], frame["depth"], frame["mask"])
torch.testing.assert_close(kept["error"], wanted, rtol=0, atol=0.0006)
assert torch.equal(kept["mask"], frame["mask"])
print(f"{len(list(labels.rglob('*.png')))} labels on disk; the first one is Eq. 2, to 0.6 mm")

# %% [markdown]
# ## Stage 1: the ADCN learns the errors
#
# One step, in words: show the net four pictures; take the mean of |prediction - label| over the pixels that
# have a label; ask for the gradient; let Adam move the weights. Here it is in code. It uses the package's data
# and loss, and nothing of its loop.

# %%
from accelerate.utils import set_seed

from bradcn_nb.models import ADCN
from bradcn_nb.training.loop import BETAS, LARGE, EpochBatches
from bradcn_nb.training.losses import l1
from bradcn_nb.training.stages import Sources, datasets

stage1, STEPS = small.stage("stage1"), 16  # two epochs
whole = stage1.epochs * STEPS // 2  # the schedule is the whole stage's
train_set, _ = datasets(small, stage1, Sources(labels=labels), None)
n = len(train_set)

set_seed(small.seed * LARGE + small.stages.index(stage1))  # the package's seed for this stage
mine = ADCN(small.model).to(memory_format=torch.channels_last)
adam = torch.optim.Adam(mine.parameters(), lr=stage1.lr, betas=BETAS, fused=True)
history = []
for epoch in range(2):
    train_set.set_epoch(epoch)  # which pictures are mirrored depends on the epoch
    order = EpochBatches(n, n, stage1.batch, small.seed, epoch)
    for item in DataLoader(train_set, batch_sampler=order):
        adam.param_groups[0]["lr"] = learning_rate(stage1, len(history), whole)
        loss = l1(mine(item["image"]), item["error"], item["mask"])
        adam.zero_grad()
        loss.backward()
        adam.step()
        history.append(float(loss.detach()))
print(f"{len(history)} steps of {stage1.batch} pictures of {n}")

# %% [markdown]
# Now the package's own loop, on the same pictures, for as many steps. It does more: it writes a log, checks
# itself on pictures of neither set, saves checkpoints, and runs on GPUs. But its weights must be ours.

# %%
from bradcn_nb.models import load_weights
from bradcn_nb.training import train

where = {"labels": labels}
file = train(small, "stage1", work / "first", data=where, max_steps=STEPS, progress=False)
theirs = ADCN(small.model)
load_weights(file, theirs, "mini")
torch.testing.assert_close(mine.state_dict(), theirs.state_dict())


def read_log(path):
    """One row a step; `check` is NaN except at an epoch's end."""
    return np.genfromtxt(path, delimiter=",", names=True)


logged = read_log(work / "first" / "stage1" / "log.csv")
np.testing.assert_allclose(history, logged["loss"], rtol=1e-5)
print(f"same weights: {len(theirs.state_dict())} tensors; same {len(logged)} losses")

# %% [markdown]
# So the ten lines above are stage 1. What differs between the stages fits on a screen: which tensors the loss
# compares. (`calibrates` belongs to a variant that chapter 14 comes to.)

# %%
from bradcn_nb.training.stages import compare

show(compare)

# %% [markdown]
# ## Stage 2: two losses
#
# Stage 2a uses L1 on the picture: $L = \frac{1}{3HW}\sum |B - B_{true}|$. Stage 2b adds $1 - \text{MS-SSIM}$.
#
# SSIM (Wang et al. 2004) compares small windows of two pictures by three things: mean, contrast, and how their
# patterns go together. MS-SSIM (Wang et al. 2003) does it at several scales. Between scales both
# pictures are halved. The mean counts at the coarsest scale only; contrast and pattern count at all of them.
#
# Five scales with a window of 11 pixels need 161 pixels: $10 \cdot 2^4 < 161$. mini's 64 rows have room for
# fewer. The weights of those that remain are scaled to sum to 1.

# %%
from bradcn_nb.training.losses import MS_SSIM_WEIGHTS, ms_ssim_loss, scales, stage_loss

for size in ((64, 96), (128, 192), (512, 768)):
    used = np.array(MS_SSIM_WEIGHTS[: scales(*size)])
    shares = ", ".join(f"{share:.2f}" for share in used / used.sum())
    print(f"{size[1]}x{size[0]}: {len(used)} scales, weights {shares}")

# %% [markdown]
# **Test.** From 161 pixels on, ours must equal a known implementation. And stage 2b's loss must be the sum of
# its two parts, with weights 1 and 1 (the paper gives none).

# %%
from pytorch_msssim import ms_ssim

test_set = EBB(data_root() / "mini-ebb", "test", size=mini.data.train_size)
sharp, bokeh = (torch.stack([test_set[i][key] for i in range(16)]) for key in ("image", "bokeh"))
a, b = (torch.nn.functional.interpolate(x[:2], scale_factor=3) for x in (sharp, bokeh))
torch.testing.assert_close(ms_ssim_loss(a, b), 1 - ms_ssim(a, b, data_range=1.0))
torch.testing.assert_close(
    stage_loss(mini.stage("stage2b"))(sharp, bokeh), l1(sharp, bokeh) + ms_ssim_loss(sharp, bokeh)
)
print("MS-SSIM equals pytorch-msssim at", tuple(a.shape[-2:]), "and stage 2b is L1 + (1 - MS-SSIM)")

# %% [markdown]
# ### Experiment: three mistakes of the same L1
#
# Take a true bokeh picture and damage it in three ways: darken it, add noise, blur it. Scale each damage so
# that its L1 is exactly 0.03. For L1 the three are equally bad. Before you read on: which one would *you* call
# the worst?

# %% mystnb={"image": {"alt": "A bokeh picture and three damaged copies with the same L1 of 0.03: darker, noisy, and blurred. Above each stands its loss 1 - MS-SSIM."}}
from torchvision.transforms.functional import gaussian_blur

target = bokeh[:1]
noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
directions = {
    "darker": -torch.ones_like(target),
    "noisy": noise,
    "blurred": gaussian_blur(target, 21, 5.0) - target,
}
damaged = {name: target + 0.03 * d / d.abs().mean() for name, d in directions.items()}
structure = {name: float(ms_ssim_loss(x, target)) for name, x in damaged.items()}
for x in damaged.values():
    torch.testing.assert_close(l1(x, target), torch.tensor(0.03), rtol=1e-4, atol=0)

above = [f"{name}\n1 - MS-SSIM {value:.3f}" for name, value in structure.items()]
grid([target[0], *(x[0] for x in damaged.values())], ["truth\n", *above], columns=4)

# %%
worst = max(structure, key=structure.get)
mildest = min(structure, key=structure.get)
print(f"MS-SSIM finds {worst!r} the worst, {mildest!r} the mildest")
assert mildest == "darker"

# %% [markdown]
# A slightly darker picture keeps its structure, and MS-SSIM hardly minds. Noise and blur destroy structure.
# That is why the two losses go together: alone, MS-SSIM would let colours drift; alone, L1 does not care
# *where* its error sits.
#
# The gradients say the same. Here the prediction is the sharp input itself, and the target its bokeh.
# L1 pulls each channel of each pixel with the same force, however small its error. MS-SSIM pulls most where
# the structure differs, and hardly at the rim: a window must fit inside the picture.

# %% mystnb={"image": {"alt": "Four panels: the sharp input, the true bokeh, and two maps of the size of the gradient at each pixel. The map of L1 is one flat colour nearly everywhere. The map of 1 - MS-SSIM is bright on some parts of the picture and dark on others."}}
maps = []
for loss_of in (l1, ms_ssim_loss):
    guess = sharp[:1].clone().requires_grad_()
    loss_of(guess, target).backward()
    force = guess.grad[0].abs().sum(0)  # (3, H, W) -> (H, W)
    maps.append(force / force.mean())
above = ["input", "bokeh", "pull of L1", "pull of 1 - MS-SSIM"]
unit = "times the mean"
grid([sharp[0], bokeh[0], *maps], above, columns=4, unit=unit, limits=(0, 4))

# %% [markdown]
# ## Kill it
#
# Long trainings get interrupted: a laptop sleeps, Colab takes its machine back. A run that resumes *nearly* where
# it was is hard to trust. So here the rule is strict: a killed and resumed run ends with **the same bits** as a run
# that nobody touched.
#
# How? By carrying nothing random from step to step. The order of the pictures is a function of (seed, epoch). The
# mirroring is a function of (seed, epoch, picture). The rate is a function of the step. What remains to store is
# the weights, Adam's two moments, and a step number. The checkpoint is written under another name and then
# renamed: the file on disk is whole at every moment.

# %%
show(EpochBatches)

# %% [markdown]
# (What `accumulate` and `processes` are for comes near the end of the chapter. Both are 1 here.)
#
# Now do it. We start stage 2a of mini as a program of its own, for 6 steps, with a checkpoint every 2. Once the
# first checkpoint is there, we kill the program: no warning, no time to tidy up (`kill -9`).

# %%
settings = {"max_steps": 6, "checkpoint_every": 2}
command = [sys.executable, "-m", "bradcn_nb", "train", "stage2a", "--run", str(work / "killed")]
command += ["--depth", str(nets["depth"]), "--adcn", str(nets["adcn"])]
command += ["--max-steps", "6", "--checkpoint-every", "2", "--threads", "1", "--quiet"]

checkpoint = work / "killed" / "stage2a" / "checkpoint.safetensors"
program = subprocess.Popen(command, stdout=subprocess.DEVNULL)
while not checkpoint.exists() and program.poll() is None:
    time.sleep(0.01)
program.kill()
program.wait()

with safe_open(checkpoint, "pt") as file:
    reached = json.loads(file.metadata()["progress"])["step"]
assert 2 <= reached < 6
print("checkpoint:", checkpoint.exists())
print("final weights:", (work / "killed" / "stage2a" / "bradcn.safetensors").exists())

# %% [markdown]
# Resume it: the same call again, that is all. Beside it goes a second run that nobody interrupts. Then compare
# every bit of the weights and of the log.

# %%
options = dict(init=nets, progress=False, **settings)
resumed = train(mini, "stage2a", work / "killed", **options)
untouched = train(mini, "stage2a", work / "whole", **options)


def tensors(path):
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


left, right = tensors(resumed), tensors(untouched)
assert left.keys() == right.keys()
assert all(left[name].numpy().tobytes() == right[name].numpy().tobytes() for name in left)
logs = [run.parent.joinpath("log.csv").read_bytes() for run in (resumed, untouched)]
assert logs[0] == logs[1]
count = sum(tensor.numel() for tensor in left.values())
print(f"{len(left)} tensors, {count:,} numbers: every bit the same; the logs too")

# %% [markdown]
# One limit, plainly: this holds for 32-bit floats on a CPU with a fixed number of threads. GPUs add in an order
# that can change from run to run.

# %% [markdown]
# ## Frozen is frozen
#
# Stage 2 takes the ADCN from stage 1 and leaves it alone. It takes the depth net from stage 0 and fine-tunes it.
# The six steps above are enough to prove both. The rest of BRADCN starts from random weights.

# %%
before = {f"depth_net.{name}": tensor for name, tensor in tensors(nets["depth"]).items()}
before |= {f"adcn.{name}": tensor for name, tensor in tensors(nets["adcn"]).items()}
for net in ("adcn", "depth_net"):
    names = [name for name in before if name.startswith(f"{net}.")]
    moved = [name for name in names if not torch.equal(before[name], right[name])]
    print(f"{net:10}{len(moved):4} of {len(names):3} tensors changed")
    assert not moved if net == "adcn" else moved

# %% [markdown]
# A detail that is easy to get wrong: "frozen" must also mean that no gradient is computed *for the ADCN's
# weights*. Its output still enters Eq. 3, and the layers behind it (`Adap` and `Reassemble`) do learn.

# %% [markdown]
# ## The real training
#
# The weights that come with the book were made by the schedule of the first table: all of its steps, by the same loop.
# These are its logs. Thin: the loss of each step. Thick: the mean of each epoch.

# %% mystnb={"image": {"alt": "Four plots of training loss over steps, one a stage: stage 0 in 1/m, stage 1 in metres, stages 2a and 2b without a unit. Each shows a noisy thin line and the epochs' means as a thick one."}}
log = {
    stage.name: read_log(data_root() / "weights/logs" / f"{stage.name}.csv.gz")
    for stage in mini.stages
}
labels_of = {"stage0": "L1 in 1/m", "stage1": "L1 in m", "stage2a": "L1"}
figure, axes = plt.subplots(2, 2, figsize=(7.5, 4.4))
for number, (axis, stage) in enumerate(zip(axes.flat, mini.stages, strict=True)):
    rows = log[stage.name]
    assert len(rows) == steps_of(mini, stage)
    wanted = [learning_rate(stage, i, len(rows)) for i in range(len(rows))]
    np.testing.assert_allclose(rows["lr"], wanted, rtol=1e-6)
    ends = np.flatnonzero(~np.isnan(rows["check"]))
    means = [rows["loss"][rows["epoch"] == e].mean() for e in rows["epoch"][ends]]
    axis.plot(rows["step"], rows["loss"], color=COLOURS[number], alpha=0.3, linewidth=0.6)
    axis.plot(rows["step"][ends], means, color=COLOURS[number])
    axis.set(
        title=stage.name, ylabel=labels_of.get(stage.name, "L1 + (1 - MS-SSIM)"), xlabel="step"
    )
    axis.set_ylim(0, np.quantile(rows["loss"], 0.995) * 1.1)
plt.show()

# %% [markdown]
# The cell also checked two things. Every log has exactly the steps of the table. Every logged rate is what
# `learning_rate` says.
#
# Two warnings before you compare. Stage 2b's numbers are higher than 2a's because its loss has one
# more term; they are not comparable. And a falling training loss says nothing about pictures that the net has not
# seen. For that there is the *check*: after each epoch the net is scored on 16 pictures. (In the bundled logs they are of the test split; since then, of neither set.)
# The weights that ship are simply the last ones, whatever it says. The test pairs are fresh: the choices of this book
# (the kind of skip, the look of the scenes, the length of the training) were made on other pairs, which have been put away.
#
# In stage 2 the check is at the size of the test, 192x128. mini compares there in training, too: its output
# is enlarged as the test will enlarge it, and the truth keeps its pixels ([`mini-truth`](ledger.md#mini-truth) in the [ledger](ledger.md)).

# %% mystnb={"image": {"alt": "Two plots of the check score after each epoch. Left: the mean absolute errors of stage 0 in 1/m and of stage 1 in metres. Right: the PSNR in dB of stage 2a followed by stage 2b, with a dashed line for the PSNR of the sharp input through the same enlargement."}}
from bradcn_nb.training.stages import enlarge, score

checks = {name: rows["check"][~np.isnan(rows["check"])] for name, rows in log.items()}
figure, axes = plt.subplots(1, 2, figsize=(7.5, 2.9))
for number, (name, unit) in enumerate((("stage0", "1/m"), ("stage1", "m"))):
    epochs = np.arange(1, len(checks[name]) + 1)
    axes[0].plot(epochs, checks[name], color=COLOURS[number], label=f"{name}, {unit}")
axes[0].set(title="stages 0 and 1", xlabel="epoch", ylabel="mean absolute error", ylim=(0, None))
first = 0
for number, name in ((2, "stage2a"), (3, "stage2b")):
    epochs = first + np.arange(1, len(checks[name]) + 1)
    axes[1].plot(epochs, checks[name], color=COLOURS[number], label=name)
    first = epochs[-1]
at_test_size = EBB(
    data_root() / "mini-ebb", "test", mini.data.train_size, truth_scale=mini.data.truth_scale
)
truths = torch.stack([at_test_size[i]["bokeh"] for i in range(16)])  # (16, 3, 128, 192)
input_score = score(mini.stage("stage2a"), enlarge(sharp, truths), truths, None)
axes[1].axhline(input_score, color="#555555", linestyle="--", linewidth=1, label="the input itself")
axes[1].set(title="stage 2", xlabel="epoch of stage 2", ylabel="PSNR, dB, at 192x128")
for axis in axes:
    axis.legend()
plt.show()

# %%
for name, rows in checks.items():
    unit = {"stage0": "1/m", "stage1": "m"}.get(name, "dB")
    first, last = (f"{rows[at]:6.3g} {unit}" for at in (0, -1))
    print(f"{name:8} check after its first epoch {first}, after its last {last}")
gain = checks["stage2b"][-1] - checks["stage2a"][-1]
print(f"\nstage 2b changed the check by {gain:+.2f} dB; the input itself has {input_score:.3g} dB")

# %% [markdown]
# Look at the last line with care. PSNR is built on squared error, and stage 2b trades some of that
# for structure. A small change in dB, up or down, on 16 pictures is not a verdict on MS-SSIM. That needs the whole
# test set, SSIM beside PSNR, and a second training that skips 2b. The book has trained this schedule once, with one
# seed.

# %% [markdown]
# ## Watch it learn
#
# Four pictures of the test split, after chosen epochs of stage 2. From left to right: input, the depth net's inverse
# depth (near is bright), the ADCN's error (white: 2 m wrong), output, truth. Drag the slider, or focus it
# and use the arrow keys. It works without a kernel.


# %%
def slider(frames, alt):
    """HTML of a range input that flips through (caption, JPEG bytes); no library, no network."""
    sources = [base64.b64encode(data).decode() for _, data in frames]
    captions = json.dumps([caption for caption, _ in frames])
    pictures = json.dumps([f"data:image/jpeg;base64,{source}" for source in sources])
    return f"""
<div class="interactive" id="epoch-slider">
<label style="display:flex;gap:1em;max-width:732px">Epoch <input type="range" min="0"
 max="{len(frames) - 1}" value="0" step="1" style="flex:1"></label>
<output aria-live="polite" style="display:block;font-weight:600">
{html.escape(frames[0][0])}</output>
<img src="data:image/jpeg;base64,{sources[0]}" alt="{html.escape(alt)}"
 style="width:100%;max-width:732px;height:auto">
</div>
<script>(() => {{
  const root = document.getElementById("epoch-slider"), captions = {captions};
  const pictures = {pictures}, input = root.querySelector("input");
  const update = () => {{
    root.querySelector("img").src = pictures[input.value];
    root.querySelector("output").textContent = captions[input.value];
    input.setAttribute("aria-valuetext", captions[input.value]);
  }};
  input.addEventListener("input", update);
  update();
}})();</script>"""


# %%
strips = []
for path in sorted((data_root() / "weights" / "samples").glob("stage2?-epoch-*.jpg")):
    name, _, epoch = path.stem.split("-")
    decibel = checks[name][int(epoch) - 1]
    caption = f"stage {name[5:]}, after epoch {int(epoch)}: check PSNR {decibel:.1f} dB"
    strips.append((caption, path.read_bytes()))
alt = "Four test pictures in rows: input, inverse depth, depth error, output, truth. The epoch is above."
HTML(slider(strips, alt))

# %% [markdown]
# Things to look for:
#
# - The very first outputs are not noise. mini mixes its input into its output, so it *starts* sharp and has to learn
#   where to blur. The full-size net of the paper has no such path.
# - The middle column does not move: the ADCN is frozen. Does the depth column move? Nobody asks it to stay depth. Only the
#   picture is judged.
# - Does the subject stay sharp when the background goes soft? That is the whole task.

# %% [markdown]
# ## What each phase changed
#
# Stage 2a ended after twelve epochs with L1 alone. Stage 2b went on for four epochs with 1 - MS-SSIM added. The
# last strip of each shows the same four pictures. So we can lay them side by side, and ask what the second phase
# did.
#
# First the strips are cut into their panels. And a test: the last output must be what the bundled weights draw.
# Only the JPEG's own noise may lie between them. The test also tells how large that noise is.


# %%
def cut(name):
    """Return a strip's panels, (4 rows, 5 columns, 3, 128, 192) in [0, 1]."""
    sheet = plt.imread(data_root() / "weights" / "samples" / f"{name}.jpg")
    sheet = torch.tensor(sheet).permute(2, 0, 1) / 255
    tops, lefts = range(0, sheet.shape[1], 130), range(0, sheet.shape[2], 194)  # 2 pixels between
    rows = [[sheet[:, y : y + 128, x : x + 192] for x in lefts] for y in tops]
    return torch.stack([torch.stack(row) for row in rows])


OUTPUT, TRUTH = 3, 4  # columns
names = [path.stem for path in sorted((data_root() / "weights" / "samples").glob("*.jpg"))]
panel = {name: cut(name) for name in names}
truth4 = panel[names[-1]][:, TRUTH]
with torch.no_grad():
    drawn4 = enlarge(model(sharp[:4]).bokeh, truth4).clamp(0, 1)
noise = (panel[names[-1]][:, OUTPUT] - drawn4).abs().mean()
assert noise < 0.01, "the last strip is not of these weights"
change = (panel[names[-1]] - panel["stage2a-epoch-012"])[:, OUTPUT].abs().mean()
print(f"{len(names)} strips of {tuple(truth4.shape)}")
print(f"mean change of a pixel: by JPEG {noise:.3f}, by stage 2b {change:.3f}")

# %% mystnb={"image": {"alt": "Four rows, each a detail of a test picture. Columns: the truth, the output after stage 2a, the output after stage 2b, what stage 2b changed, five times enlarged around grey, and where the error became smaller (blue) or larger (red). The outputs look alike; the changes sit on outlines and bright spots."}}
after_a, after_b = panel["stage2a-epoch-012"][:, OUTPUT], panel["stage2b-epoch-004"][:, OUTPUT]
error_a, error_b = ((after - truth4).abs().mean(1) for after in (after_a, after_b))  # (4, 128, 192)
panels, limits = [], []
for i, (top, left) in enumerate([(64, 8), (44, 40), (50, 92), (28, 60)]):  # a detail of each
    detail = (..., slice(top, top + 64), slice(left, left + 96))
    panels += [picture[i][detail] for picture in (truth4, after_a, after_b)]
    panels += [(0.5 + 5 * (after_b - after_a)[i][detail]).clamp(0, 1)]
    panels += [(error_b - error_a)[i][detail]]
    limits += [None] * 4 + [(-0.1, 0.1)]
titles = ["truth", "after 2a", "after 2b", "2b - 2a, x5", "error: blue less"] + [""] * 15
grid(panels, titles, columns=5, limits=limits, colourbar=False, cmap="coolwarm")

# %% [markdown]
# At first sight nothing happened. The change is as small as JPEG's own noise. So do not trust the speckle in the
# fourth column; trust what has a shape. There are shapes: the second phase moved outlines and the rims of bright spots.
# The fifth column says whether it helped: blue and red lie side by side. The error moved more than it shrank.
#
# Three numbers for every strip. L1 and 1 - MS-SSIM you know. **Sharpness** is the mean step from pixel to pixel,
# as a share of the truth's: 1 is as sharp as the truth, less is softer. It asks nothing about *where*.


# %% mystnb={"image": {"alt": "Three small plots over the epochs of stage 2 with seven points each, the first four from stage 2a and the last three from stage 2b: L1, 1 - MS-SSIM, and sharpness as a share of the truth's. L1 and 1 - MS-SSIM fall during stage 2a; in stage 2b both stay nearly level. Sharpness varies between 0.7 and 0.9 throughout."}}
def steepness(picture):
    """Mean length of the brightness gradient of pictures (N, 3, H, W), a number."""
    grey = picture.mean(1)
    down, right = grey.diff(dim=1)[:, :, :-1], grey.diff(dim=2)[:, :-1]
    return float((down**2 + right**2).sqrt().mean())


def measures(output, truth):
    """L1, 1 - MS-SSIM, and the sharpness as a share of the truth's."""
    structure = float(ms_ssim_loss(output, truth))
    return float(l1(output, truth)), structure, steepness(output) / steepness(truth)


rows = np.array([measures(panel[name][:, OUTPUT], truth4) for name in names])
at = [int(name[-3:]) + 12 * name.startswith("stage2b") for name in names]
figure, axes = plt.subplots(1, 3, figsize=(7.5, 2.3))
for axis, values, title in zip(
    axes, rows.T, ("L1", "1 - MS-SSIM", "sharpness, truth = 1"), strict=True
):
    axis.plot(at, values, color="#999999", linewidth=1)
    for number, name in ((2, "stage2a"), (3, "stage2b")):
        here = [i for i, other in enumerate(names) if other.startswith(name)]
        axis.plot(np.array(at)[here], values[here], "o", color=COLOURS[number], label=name)
    axis.set(title=title, xlabel="epoch of stage 2", ylim=(0, 1.3 * values.max()))
axes[0].legend()
plt.show()

# %%
a, b = rows[names.index("stage2a-epoch-012")], rows[names.index("stage2b-epoch-004")]
for what, before, later in zip(("L1", "1 - MS-SSIM", "sharpness"), a, b, strict=True):
    print(f"{what:12} at the end of 2b: {later / before:.2f} of what it was at the end of 2a")
exact = measures(drawn4, torch.stack([at_test_size[i]["bokeh"] for i in range(4)]))
print(f"\n1 - MS-SSIM at the end: {exact[1]:.3f} exactly, {b[1]:.3f} from the strip")

# %% [markdown]
# So on these four pictures stage 2b left L1 where it was, lowered the loss of structure by a few per cent, and made
# the outputs a little sharper. That is the direction that the paper hopes for. It is small: from one strip of 2b to
# the next the curves move as much. JPEG makes every strip look worse than it was, as the last line shows, and
# blurs such differences.
#
# The strips cannot say *why*. Stage 2b differs from 2a in its loss, but also in its rate, and it simply trained
# longer.
#
# ### Experiment: one picture, three losses
#
# To see the loss alone, all else must be equal. We start three times from the same weights and train 12
# steps on the same test picture, the first one above. Only the loss differs. One picture is enough to see which way each loss pulls. It
# says nothing about new pictures: the net learns this one by heart.

# %%
from bradcn_nb.models import BRADCN

one = {"image": sharp[:1], "bokeh": at_test_size[0]["bokeh"][None]}
weighed = {"L1": (1.0, 0.0), "L1 + (1 - MS-SSIM)": (1.0, 1.0), "1 - MS-SSIM alone": (0.0, 1.0)}


def pulled(weights, steps=12):
    """The output for `one` after `steps` of Adam with (L1, MS-SSIM) weighted, from the bundled net."""
    stage = dataclasses.replace(mini.stage("stage2b"), l1=weights[0], ms_ssim=weights[1])
    net = BRADCN(mini.model).to(memory_format=torch.channels_last)
    net.load_state_dict(model.state_dict())
    net.adcn.requires_grad_(False)
    moved = [weight for weight in net.parameters() if weight.requires_grad]
    adam = torch.optim.Adam(moved, lr=5e-4, betas=BETAS, fused=True)
    for _ in range(steps):
        loss = stage_loss(stage)(*compare(stage, net, one))
        adam.zero_grad()
        loss.backward()
        adam.step()
    with torch.no_grad():
        return compare(stage, net, one)[0]


ends = {name: pulled(weights) for name, weights in weighed.items()}

# %% mystnb={"image": {"alt": "Two rows of four, all the same detail, a plant before a wall. Upper row: the true bokeh and the outputs after 12 steps with L1, with L1 plus 1 - MS-SSIM, and with 1 - MS-SSIM alone; the titles give L1 and 1 - MS-SSIM of each. Lower row: the output before the 12 steps, and the errors of the three outputs as maps. The three outputs and maps look alike."}}
with torch.no_grad():
    start = compare(mini.stage("stage2b"), model, one)[0]
ended = {name: measures(output, one["bokeh"]) for name, output in ends.items()}
above = ["truth\n\n"]
above += [f"{name}\nL1 {m[0]:.4f}\n1 - MS-SSIM {m[1]:.4f}" for name, m in ended.items()]
wrong = [(output - one["bokeh"])[0].abs().mean(0) for output in ends.values()]
pictures = [one["bokeh"][0], *(output[0] for output in ends.values()), start[0], *wrong]
pictures = [picture[..., 64:, 8:104] for picture in pictures]  # a detail: the plant
grid(
    pictures,
    above + ["before", "error", "error", "error"],
    columns=4,
    limits=[None] * 5 + [(0, 0.2)] * 3,
    colourbar=False,
)

# %%
by_l1 = sorted(ended, key=lambda name: ended[name][0])
by_structure = sorted(ended, key=lambda name: ended[name][1])
print("L1, best first:         ", "; ".join(by_l1))
print("1 - MS-SSIM, best first:", by_structure[0])
assert by_l1 == list(weighed), "the less L1 weighs, the larger it stays"
assert by_structure[0] != "L1"

# %% [markdown]
# The order is the one that the losses ask for. Who trains with L1 alone ends with the least L1. Who trains with
# MS-SSIM alone ends with the most: nothing holds the colours of large areas in place. The sum has nearly the best of both. And yet the
# differences are of the size of a few per cent. Both losses want the same picture; they quarrel over what to mend first.

# %% [markdown]
# ## What the trained model does
#
# The bundled weights on all test pictures: half size in, bilinear x2 out, PSNR on 8-bit pictures. We show the
# best, the middle and the worst of them, so that you see the range and not our taste. In the maps dark is near and
# right, yellow is far (8 m) and wrong (3 m).

# %%
from bradcn_nb.evaluation.metrics import psnr
from bradcn_nb.evaluation.predict import predict

native = EBB(data_root() / "mini-ebb", "test")
items = [native.read(i) for i in range(len(native))]  # uint8 (128, 192, 3)
size = mini.data.train_size
decibels = [psnr(item["bokeh"], predict(model, item["image"], size)) for item in items]
order = np.argsort(decibels)
chosen = [int(order[-1]), int(order[len(order) // 2]), int(order[0])]
print(len(decibels), "test pictures")

# %% mystnb={"image": {"alt": "Three rows of test pictures, the best, the middle and the worst by PSNR. Columns: input, depth in metres, predicted depth error in metres, the model's output, and the true bokeh."}}
panels, units, limits, titles = [], [], [], []
for i in chosen:
    item = test_set[i]
    with torch.no_grad():
        out = model(item["image"][None])
    panels += [item["image"], out.depth[0], out.depth_error[0], out.bokeh[0], item["bokeh"]]
    units += ["", "m", "m wrong", "", ""]
    limits += [None, (0, 8), (0, 3), None, None]
    titles += ["input", "depth", "depth error", f"output, {decibels[i]:.1f} dB", "truth"]
grid(panels, titles, columns=5, unit=units, limits=limits, colourbar=False)

# %% [markdown]
# ### Its numbers
#
# Numbers of quality come from the file that `make results` wrote. Where the text repeats one, `make check-numbers` compares.
# "Branches off" is the same trained net with Eq. 1 and Eq. 3 left out. Read that row with suspicion, whichever
# way it falls. If the net is worse without its branches, it has learnt to *lean* on them; a net trained without
# them might do as well. If it is hardly worse, depth and its error have told it little so far. Chapter 14 is about that.

# %%
from bradcn_nb.experiments.record import result

names = {"BRADCN": "", "branches off": "_render_only", "input, half size": "_input_half"}
print(f"{result('mini.n')} test pictures     PSNR, dB    SSIM")
for name, suffix in {**names, "input": "_input"}.items():
    print(f"{name:22}{result(f'mini.psnr{suffix}'):8.2f}{result(f'mini.ssim{suffix}'):10.4f}")

print("\nBRADCN minus ..., paired, with a 95 % interval:")
for name in ("render_only", "input_half", "input"):
    d = result(f"mini.differences.psnr.{name}")
    print(f"{name:14}{d['mean']:+6.2f} dB  ({d['low']:+.2f} to {d['high']:+.2f})")

assert len(decibels) == result("mini.n")
np.testing.assert_allclose(np.mean(decibels), result("mini.psnr"), atol=0.05)  # what we just saw

# %% [markdown]
# The last line compares the file with the loop above it: the number is what these weights do, here and now.
#
# These are numbers of mini, on generated scenes. They say nothing about Table I of the paper, which is about
# photographs of 1024 rows and another net size.

# %% [markdown]
# ## Fitting a step to a machine
#
# The paper's step is one photograph of 768x512 on a card of 32 GB. Other machines need other ways to compute the same, or
# nearly the same, step. All of them are options of `train`. The options that change the weights are part of the preset, its
# `recipe`: a run directory that was begun with one recipe refuses another.

# %%
from bradcn_nb.presets import Recipe

show(Recipe)

# %% [markdown]
# ### Accumulation: many small batches, one step
#
# When four pictures do not fit into memory, compute two, then two more, and add up their gradients before Adam moves.
# One trap: the mean of two means is the mean of all only if both count the same number of terms. With holes in the
# depth they do not. So each batch must be weighted by its share of the labelled pixels. The test splits the three rooms from above
# into one and two:


# %%
def gradient(loss):
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(mine.parameters()))])


whole = gradient(l1(mine(image), error, known))
parts = [slice(0, 1), slice(1, 3)]
shares = [known[part].sum() / known.sum() for part in parts]
pieces = [gradient(l1(mine(image[part]), error[part], known[part])) for part in parts]
weighted = sum(share * piece for share, piece in zip(shares, pieces, strict=True))
halved = sum(pieces) / 2
torch.testing.assert_close(weighted, whole, rtol=1e-4, atol=1e-6)
gap = float((halved - whole).norm() / whole.norm())
print(f"shares {shares[0]:.2f} and {shares[1]:.2f}: equal to the gradient of all three")
print(f"weighted by half each: {gap:.0%} of its length away")
assert gap > 0.05

# %% [markdown]
# `train --accumulate 2` does the weighted sum.
#
# ### Several processes: the same sum, shared out
#
# With several GPUs, each process computes a part of the step's pictures, and the gradients are added up over the wire. It is the same
# sum again. `EpochBatches` deals the pictures out evenly, also those of an epoch's last step: here 11 pictures,
# a batch of 2, two processes.

# %%
for process in range(2):
    dealt = EpochBatches(11, 11, 2, seed=0, epoch=0, processes=2, process=process)
    print(f"process {process}:", *(f"step {n}: {step[0]}" for n, step in enumerate(dealt.steps, 1)))

# %% [markdown]
# Start it with a launcher; the second line is for machines without a GPU. All processes must see the run directory, only the
# first one writes. When one of them dies, the others end with an error instead of waiting for ever.
#
# ```text
# accelerate launch --multi_gpu -m bradcn_nb train --preset paper --run runs/paper ...
# torchrun --nproc-per-node 2 -m -- bradcn_nb train --run runs/mini
# ```
#
# ### Precision: 16 bits where 32 are not needed
#
# A GPU multiplies 16-bit numbers several times faster, and they take half the memory. There are two kinds.

# %%
for kind in (torch.float32, torch.bfloat16, torch.float16):
    about_kind = torch.finfo(kind)
    steps_to_2 = round(1 / about_kind.eps)
    name = str(kind).removeprefix("torch.")
    print(f"{name:9} largest {about_kind.max:.0e}, steps from 1 to 2: {steps_to_2:>9,}")

small_gradient = torch.tensor(1e-8)
lost, kept16 = small_gradient.half(), (small_gradient * 2**16).half()
back = float(kept16) / 2**16
print(f"\na gradient of 1e-08 in float16: {lost:.0e}; scaled by 2**16, and back: {back:.0e}")
assert lost == 0 and kept16 > 0

# %% [markdown]
# bfloat16 has the range of 32 bits and few steps. float16 has more steps and little range: small gradients become 0. So
# with `--precision fp16` the loss is multiplied by a large number before the gradient is computed, and the gradient divided by
# it after. If something overflows, the step is left out and the number halved. It is stored in the checkpoint, like Adam's moments. Either way the
# weights themselves stay in 32 bits, and MS-SSIM is computed in 32: its variances are differences of nearly equal numbers.
#
# bfloat16 needs a card of 2020 or later; Colab's T4 has float16 only. On most CPUs, 16 bits are *slower*.
#
# ### Three more
#
# - `--checkpointing` throws the activations of each block away and computes them again when the gradient needs them. Same weights,
#   bit for bit; less memory, and about a third more time, as every block is computed twice forwards.
#   `python -m bradcn_nb bench checkpointing` measures both.
# - `--clip 1` cuts a gradient that is longer than 1, and logs its length in the column `norm`. One odd picture then cannot
#   throw the net off.
# - `--ema 0.999` keeps a second net beside the first, the running mean of its weights: $w_{mean} \leftarrow 0.999\,w_{mean} + 0.001\,w$. It often
#   scores a little better than the last weights, which still jump about. It is saved as `bradcn-ema.safetensors`; the training itself goes on
#   from the plain weights.
#
# The paper uses none of these, as far as it says. All are off by default.

# %% [markdown]
# ## On Colab, on a laptop
#
# The whole schedule is two commands. The first makes the pairs; the second trains, and resumes:
#
# ```text
# python -m bradcn_nb data make --out runs/data --pairs 3300
# python -m bradcn_nb train --run runs/mini --ebb runs/data/mini-ebb
# ```
#
# Without `--ebb` it trains on the bundled pairs alone. That takes a sixth of the time, and the net learns them by heart.
#
# Finished stages are skipped, an unfinished one goes on from its last checkpoint (about one a minute): `--resume auto` is
# the default. Ctrl-C writes a checkpoint first. `--tensorboard` lets you watch the curves and strips in a browser.
#
# On Colab the machine is lent. Its disk goes when it goes. So put the run on Drive, and nothing else changes:
#
# ```text
# from google.colab import drive
# drive.mount("/content/drive")
# !python -m bradcn_nb data make --out /content/data --pairs 3300
# !python -m bradcn_nb train --run /content/drive/MyDrive/bradcn/mini --ebb /content/data/mini-ebb
# ```
#
# After a disconnect: open the notebook again, mount Drive, run the same lines. For the `colab` preset add
# `--preset colab --ebb FOLDER --sun FOLDER --depth FILE`. Keep the pictures on the machine's own disk; Drive is slow
# for thousands of small files.
#
# **What was run and what was not.** The mini schedule was run to its end on a CPU, and the kill above is run whenever
# this notebook is. The tests run two processes on a CPU, bfloat16 on tiny nets, and the scaling of fp16 in 32 bits. *Not* run: anything on
# a GPU, so neither float16 itself nor several cards; the Colab and Drive lines, for want of a Colab; the training of the `paper`
# preset.

# %% [markdown]
# ## Your numbers may differ
#
# Another processor or another version of PyTorch adds in another order. Then the last digits of losses and
# scores change, and over thousands of steps so do the weights. Shapes, counts and every `assert` stay. So does
# the bitwise resume: it compares two runs on *your* machine.

# %% [markdown]
# ## Summary
#
# - A stage is data: net, pictures, epochs, rate, loss, what is frozen. One loop runs them all.
# - Stage 1 teaches the ADCN the labels of Eq. 2. Pixels without measured depth do not count.
# - A depth net must not be asked about pictures that it has memorised. Seeds keep mini's sets apart.
# - L1 weighs all errors alike; MS-SSIM asks where they sit. Stage 2b adds them.
# - Stage 2b moved outlines, a little: less structure is lost, L1 stays. From epoch to epoch the net changes as much.
# - Accumulation and several processes compute the same gradient, if each part is weighted by what it counts.
# - In stage 2 the ADCN is frozen, the depth net is fine-tuned, and both are proved by comparing tensors.
# - Nothing random is carried from step to step. So a killed run resumes to the same bits.

# %% [markdown]
# ## Exercises
#
# **1 (graded). The masked L1.** Write the loss of stage 1. `prediction`, `target` and `mask` have one shape; `mask` is
# boolean. Return the mean of |prediction - target| over the True pixels of the whole batch, as a scalar. Two
# traps: `target` may hold NaN where `mask` is False, and neither the value *nor the gradient* may become NaN; and
# with an empty mask the loss is 0.


# %% tags=["exercise"]
def masked_l1(prediction, target, mask):
    """Mean absolute difference over the pixels where mask is True; 0 if there are none."""
    raise NotImplementedError  # your code in place of this line


# %% [markdown] tags=["solution"]
# A solution, folded away in the book:


# %% tags=["hide-input", "solution"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
def solution(prediction, target, mask):
    """Select first, subtract then: what is never computed cannot spoil a gradient."""
    if not mask.any():
        return prediction.sum() * 0  # a zero that still has a gradient
    return (prediction[mask] - target[mask]).abs().mean()


# %% tags=["graded"]
def check(answer):
    """Raise AssertionError unless `answer` is the masked L1."""
    target = torch.tensor([[1.0, torch.nan], [3.0, 5.0]])
    mask = torch.tensor([[True, False], [True, True]])
    guess = torch.tensor([[1.5, 9.0], [3.0, 4.0]], requires_grad=True)
    value = answer(guess, target, mask)
    assert value.shape == ()
    torch.testing.assert_close(value.detach(), torch.tensor(0.5))  # (0.5 + 0 + 1) / 3
    value.backward()
    assert torch.isfinite(guess.grad).all(), "a NaN behind the mask reached the gradient"
    assert guess.grad[0, 1] == 0, "a pixel behind the mask is being trained"
    assert answer(guess, target, torch.zeros_like(mask)) == 0, "an empty mask must give 0"
    guess = mine(image).detach()  # the rooms from above, holes and all
    torch.testing.assert_close(answer(guess, error, known), l1(guess, error, known))


try:
    check(masked_l1)
    print("Your masked L1 passes.")
except NotImplementedError:
    check(solution)
    print("Not written yet. (The book's solution passes.)")

# %% [markdown]
# **2.** Kill the run *while it writes a checkpoint*. Which file is on disk then, and why is it whole? (Read
# `write_checkpoint`.)
#
# **3.** Make a preset in which stage 2a freezes nothing (`frozen=()`), and repeat the test of "Frozen is frozen".
# How many of the ADCN's tensors move in 6 steps?
#
# **4.** In the experiment with three mistakes, use the whole test set in place of one picture. Is the order always the
# same? Now halve the damage, to an L1 of 0.015. Does 1 - MS-SSIM halve?
#
# **5.** Stage 0 compares inverse depth. Write down what happens to a far wall if it compared metres instead. Which
# pixels would the net care about?

# %% [markdown]
# ## Next
#
# Chapter 12 turns "the output looks right" into numbers: PSNR, SSIM, LPIPS, and the protocol that makes them
# comparable.
#
# ## References
#
# Full entries are in the [bibliography](bibliography.md).
#
# - Kingma and Ba 2015: Adam, the optimiser of every stage.
# - Liu, Zhou and Dong 2023: the paper. Section III-C has Eq. 2, Section IV-B the losses and the schedule.
# - Ranftl et al. 2021: DPT, whose pretrained weights mini's stage 0 stands in for.
# - Ronneberger et al. 2015: the U-Net of the ADCN.
# - Song et al. 2015: SUN RGB-D.
# - Wang et al. 2003: MS-SSIM. Wang et al. 2004: SSIM.
# - Zhao et al. 2017: why L1 and MS-SSIM are good together.
