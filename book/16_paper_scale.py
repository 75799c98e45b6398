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
# # 16. Paper scale: Colab, several GPUs
#
# The nets of this book's other chapters have 4.6 million weights and look at 96x64 pixels. The paper's have 276<!-- =step-counts.counts.768x512.stage2b.parameters * 1e-6 --> million
# and look at 768x512. The code is the same. This chapter walks the road from one to the other: the real data,
# the published weights, the commands. Then it asks what the walk costs. There is no GPU here to time it on. So
# we count, and say what we assume.
#
# **You will be able to**
#
# - type every command from two downloads to a trained net and a rendered photograph;
# - say how many bytes a training needs before a single picture enters, and how many the pictures add;
# - tell from a GPU's data sheet whether a training fits and roughly how long it takes, and how far to trust that;
# - choose between precision, checkpointing, accumulation and more GPUs, and say what each costs;
# - train on Colab so that a lost machine costs minutes, not days.
#
# **Before this**: chapter 11 (two-stage training).
#
# **Time and memory**: about 10 s on one laptop-class core, 1.2 GB of memory. No download, no GPU.

# %% [markdown]
# ## Setup

# %% tags=["hide-input", "setup"] mystnb={"code_prompt_show": "Show the set-up", "code_prompt_hide": "Hide the set-up"}
# On Colab this fetches the book's package; elsewhere it is there already.
from importlib.util import find_spec

if find_spec("bradcn_nb") is None:
    raise ModuleNotFoundError("no bradcn_nb: the page On Colab says how")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Show the imports", "code_prompt_hide": "Hide the imports"}
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib import pyplot as plt
from torch import nn

from bradcn_nb.figures.plots import COLOURS, show, use_style
from bradcn_nb.files import data_root
from bradcn_nb.presets import preset

torch.set_num_threads(1)
torch.manual_seed(0)
use_style()
work = Path(tempfile.mkdtemp())
paper = preset("paper")

# %% [markdown]
# ## What the paper says
#
# Section IV-F is short (Liu et al. 2023):
#
# > "The implementation of our model is conducted on the 32 GB NVIDIA Tesla V100 GPUs. To ensure a stable training
# > process, we set the batch size to 1. During the training stage, the input resolution of the images is set to
# > 768×512."
#
# It does not say how many GPUs, or how long. Section IV-B has the epochs and Section IV-A the pictures, so the number of
# steps follows. A step is one picture here, since the batch is 1.

# %%
from bradcn_nb.experiments.costs.estimate import steps

for name, number in steps(paper).items():
    print(f"{name:8} {number:8,} steps")
print(f"{'in all':8} {sum(steps(paper).values()):8,}")

# %% [markdown]
# (`labels` are forward passes of the depth net only, one for each frame of SUN RGB-D: Eq. 2, once.)
#
# More than half a million steps. Before you start them, try three.

# %% [markdown]
# ## The road, in commands
#
# ```text
# 1  SUN RGB-D   data verify, data prepare
# 2  EBB!        data verify, data prepare
# 3  DPT, BRViT  convert
# 4  train       labels of Eq. 2         from 1 and DPT
# 5              stage 1, the ADCN       from 4
# 6              stage 2a, BRADCN        from 2, DPT, BRViT and the ADCN
# 7              stage 2b, other loss    from 6
# 8  report, evaluate, render
# ```
#
# ### The data
#
# **EBB!** comes after a registration with its authors; its links have moved more than once. You need two folders
# with equal names: `original/N.jpg` (sharp) and `bokeh/N.jpg`. N = 0 to 4399 trains, 4400 to 4693 tests ("Val294").
#
# **SUN RGB-D** is one archive. It has a folder for each of four sensors, and in it, some levels down, a folder for each frame:
#
# ```text
# EBB/original/0.jpg    SUNRGBD/kv1/NYUdata/NYU0001/image/NYU0001.jpg
# EBB/bokeh/0.jpg                                   depth/NYU0001.png
# EBB/original/1.jpg                                depth_bfx/NYU0001.png
# EBB/bokeh/1.jpg       SUNRGBD/kv1/NYUdata/NYU0002/image/NYU0002.jpg
# ...                   ...
# ```
#
# A download of ten thousand files is rarely whole. So look before you train: `verify` names what is missing and
# what is broken, and ends with status 2 if a training could not start. `prepare` then writes a copy at the
# training's size. EBB!'s originals have four times the pixels; decoding them in every epoch would keep the GPU waiting.
#
# ```text
# python -m bradcn_nb data verify ebb /data/EBB
# python -m bradcn_nb data verify sunrgbd /data/SUNRGBD
# python -m bradcn_nb data prepare ebb /data/EBB --out /data/ebb-768
# python -m bradcn_nb data prepare sunrgbd /data/SUNRGBD --out /data/sun-768
# ```
#
# ### The published weights
#
# The paper starts from DPT as its authors fine-tuned it on NYUv2: `dpt_hybrid_nyu-2ce69ec7.pt`. `convert` reads it,
# renames its tensors, checks every shape, and writes a file that says what it holds.
#
# ```text
# python -m bradcn_nb convert dpt dpt_hybrid_nyu-2ce69ec7.pt depth.safetensors
# ```
#
# What does the Render Net start from? The paper builds on BRViT and does not say. You may start from BRViT's weights, from
# an ImageNet encoder (timm's `vit_base_r50_s16_384`), or from random numbers, by leaving `--render` out:
#
# ```text
# python -m bradcn_nb convert brvit brvit.pth render.safetensors
# python -m bradcn_nb convert timm model.safetensors render.safetensors
# ```
#
# ### The training
#
# ```text
# python -m bradcn_nb train --preset paper --run runs/paper \
#     --ebb /data/ebb-768 --sun /data/sun-768 --workers 4 \
#     --depth depth.safetensors --render render.safetensors
# ```
#
# That is all of it: the labels, stage 1, stage 2a, stage 2b. Give the same command again after any interruption: what is
# finished is skipped, what is not goes on from its last checkpoint (chapter 11 kills a run to prove it).
#
# The labels can also be made by themselves, for instance on another machine. A manifest ties them to the exact depth net:
#
# ```text
# python -m bradcn_nb labels --preset paper --depth depth.safetensors \
#     --sun /data/sun-768 --out labels
# ```
#
# Watch it while it runs, judge it when it is done. Judging wants the original files, not the prepared ones: the
# protocol compares at their size.
#
# ```text
# python -m bradcn_nb report runs/paper
# python -m bradcn_nb evaluate --preset paper --ebb /data/EBB \
#     --weights runs/paper/bradcn.safetensors
# python -m bradcn_nb render photo.jpg -o bokeh.jpg --preset paper \
#     --weights runs/paper/bradcn.safetensors
# ```

# %% [markdown]
# ## Three steps of everything
#
# Here is the road once, live, and small. What stays as the paper has it: the schedule (rates, losses, order, what is frozen,
# batch 1), the strides, Adam, the formats of the files. What shrinks: the channels, the pictures, the number of steps.
# Data are the bundled sets, which lie in the layouts of EBB! and SUN RGB-D.

# %%
narrow = replace(
    paper.model, image_size=(64, 96), stem_width=8, stage_layers=(1, 1, 1),
    stage_widths=(8, 16, 32), norm_groups=4, embed_dim=16, vit_depth=2, vit_heads=2,
    vit_taps=(0, 1), features=8, head_widths=(8, 8), adcn_widths=(4, 8, 16),
)  # fmt: skip
tiny = replace(
    paper,
    model=narrow,
    data=replace(paper.data, train_size=(64, 96), sun_counts=(8, 4)),
)
for stage in tiny.stages:
    loss = "L1" + " + (1 - MS-SSIM)" * bool(stage.ms_ssim)
    print(f"{stage.name:8} {stage.net:7} rate {stage.lr:g}, batch {stage.batch}, {loss}")

# %% [markdown]
# The two files that `convert` would write are random here. Then one call does what `train --max-steps 3` does: a trial,
# of which no stage is finished. The same call without `max_steps` would go on.

# %%
from bradcn_nb.models import BRADCN, DepthNet, RenderNet, load_weights, save_weights
from bradcn_nb.training import train_all

init = {name: work / f"{name}.safetensors" for name in ("depth", "render")}
save_weights(DepthNet(narrow), init["depth"], "paper")
save_weights(RenderNet(narrow), init["render"], "paper")
folders = {"ebb": data_root() / "mini-ebb", "sun": data_root() / "mini-sun"}

final = train_all(
    tiny, work / "run", init=init, data=folders, max_steps=3, threads=1, progress=False
)
about = load_weights(final, BRADCN(narrow), "paper")
print(final.name, "after", about["stage"])

# %% [markdown]
# `report` reads a run directory, also while the run goes on, and draws its curves: each step's loss, the check after an
# epoch, the rate. Three steps make poor curves. (The real ones of mini are in chapter 11.)

# %% mystnb={"image": {"alt": "Three rows, one a stage: the loss of three steps, an empty panel for the check or a single point, and the learning rate as a flat line, higher in stage 1 than in stages 2a and 2b."}}
from IPython.display import Image

from bradcn_nb.figures.curves import read_run, write_report

text, picture = write_report(work / "run")
logs = read_run(work / "run")
for log in logs:
    print(f"{log.name:8} {log.rows} steps, finished: {log.finished}, rate {log.columns['lr'][0]:g}")
Image(picture.read_bytes(), width=730)

# %% [markdown]
# The project's tests type the whole road as commands, from official tensor names to a rendered photograph, for the presets
# `paper` and `colab`, with nets as narrow as these. A slow test runs the full nets at 768x512.

# %% [markdown]
# ## What a step costs: count it
#
# A training step has a cost in four currencies. All four can be *counted* without running it:
#
# 1. **Multiplications** (MACs) of convolutions and matrix products.
# 2. **Bytes moved** between the GPU's memory and its cores: what each operation reads and writes.
# 3. **Operations**: each is at least one launch, which the CPU has to order.
# 4. **Bytes alive** at the worst moment: does it fit?
#
# How does one count without running? PyTorch has *fake tensors*: they have shape and type, but no memory. The package runs the
# real training step on them and listens to every operation.

# %%
from bradcn_nb.experiments.costs.step_counts import count_step

show(count_step)

# %% [markdown]
# The paper's nets take seconds to minutes this way, so the counts are kept in a file of the book, which
# `python -m bradcn_nb estimate --recount` makes again. Is the file honest? Count one entry here: the depth net's
# forward pass for one label at 384x256. Every number must agree.

# %%
from bradcn_nb.experiments.costs.step_counts import count_label, stored_counts

stored = stored_counts()
assert count_label(paper, (256, 384), half=False) == stored["384x256"]["labels"]
counts = stored["768x512"]
print(
    f"{'one step at 768x512, fp32':28}{'GMACs':>8}{'GB moved':>10}{'operations':>12}{'GB alive':>10}"
)
for name, count in counts.items():
    print(
        f"{name:28}{count.macs / 1e9:8.0f}{count.moved_bytes / 1e9:10.1f}{count.operations:12,}"
        f"{count.step_bytes / 1e9:10.2f}"
    )

# %% [markdown]
# ### Backward is twice forward
#
# You will read this rule everywhere. Why? For a layer $y = Wx$, the forward pass is one product. The backward pass needs two:
# $\partial L/\partial W$ to learn, and $\partial L/\partial x$ to pass on. So a step is three forwards. A frozen net needs the
# first product only. And the very first layer has no one to pass a gradient on to. Test the rule with counts:

# %%
from bradcn_nb.experiments.costs.summary import count_macs, fake
from bradcn_nb.models import ADCN

forward = {}
for kind in (ADCN, BRADCN):
    with fake(lambda kind=kind: kind(paper.model)) as net:
        forward[kind.__name__] = count_macs(net, torch.empty(1, 3, 512, 768))

ratio = counts["stage1"].macs / forward["ADCN"]
print(f"stage 1, the ADCN alone:          a step is {ratio:.2f} forwards")
trained = forward["BRADCN"] - forward["ADCN"]  # the ADCN is frozen in stage 2
ratio2 = (counts["stage2a"].macs - forward["ADCN"]) / trained
print(f"stage 2, all but the frozen ADCN: a step is {ratio2:.2f} forwards")
assert abs(ratio - 3) < 0.02 and abs(ratio2 - 3) < 0.02

# %% [markdown]
# ## Does it fit? Bytes
#
# Three things live as long as the training does. Each weight takes 4 bytes as a 32-bit float. If it is trained, its gradient
# takes 4 more, and Adam's two moments take 8. Nothing of this depends on the picture:
#
# $$\text{bytes} = 4\,P + (4 + 8)\,P_\text{trained}$$
#
# (It is the graded exercise.) Then come the **activations**: what the forward pass must keep until the backward pass has used
# it. They grow with the number of pixels. Three switches shrink them:
#
# - **Half precision** (`--precision fp16` or `bf16`): most activations take 2 bytes, not 4. Weights, gradients and moments stay at 32 bits.
# - **Checkpointing** (`--checkpointing`): keep few activations, compute the others again when the backward pass asks for them
#   (Chen et al. 2016). Same gradients, one forward pass more.
# - **Smaller pictures** (`--preset colab`: 384x256).
#
# Accumulation (`--accumulate 4`) is *not* in the list. It makes the batch larger without more memory. The paper's batch
# is 1 already.

# %% mystnb={"image": {"alt": "Stacked bars of the bytes of a stage 2b step at 768x512, for fp32 and half precision, each without and with checkpointing. Weights take 1.1 GB and Adam's moments 2 GB in every bar; activations and gradients shrink from the first bar to the last. A dashed line marks the 16 GB of a T4, above every bar."}}
from bradcn_nb.experiments.costs.estimate import device, memory_bytes, verdict

ways = {
    "fp32": "768x512",
    "fp32,\ncheckpointing": "768x512 checkpointing",
    "half": "768x512 half",
    "half,\ncheckpointing": "768x512 half checkpointing",
}
last = [stored[way]["stage2b"] for way in ways.values()]
layers = {
    "weights": [4 * c.parameters for c in last],
    "Adam's moments": [8 * c.trained for c in last],
    "activations and gradients, at their most": [c.peak_bytes for c in last],
}
figure, axis = plt.subplots(figsize=(7.5, 3.4))
bottom = np.zeros(len(last))
for colour, (name, values) in zip(COLOURS, layers.items(), strict=False):
    axis.bar(list(ways), np.array(values) / 1e9, bottom=bottom, color=colour, label=name, width=0.6)
    bottom += np.array(values) / 1e9
ends = np.array([memory_bytes(c) for c in last]) / 1e9
middle = ends.mean(axis=1)
spread = np.abs(ends.T - middle)
axis.errorbar(
    range(4), middle, spread, fmt="none", color="#1b1b1b", capsize=6, label="with overheads"
)
axis.axhline(16, color="#555555", linestyle="--", linewidth=1)
axis.text(3.45, 15.7, "T4: 16 GB", ha="right", va="top")
axis.set(ylabel="GB (10⁹ bytes)", title="One step of stage 2b at 768x512, counted", ylim=(0, 17))
axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
plt.show()

# %% [markdown]
# The black brackets add what tensors do not show: CUDA and its libraries, workspaces, gaps between blocks. That part is assumed, not
# counted. So: does the paper's training fit on the T4 that Colab lends?

# %%
t4 = device("T4")
switches = {"fp32": "", "+ checkpointing": " checkpointing", "half": " half"}
print("stage 2b, GB", *(f"{name:22}" for name in switches))
for size in ("384x256", "768x512", "1152x768", "1536x1024"):
    row = []
    for suffix in switches.values():
        low, high = memory_bytes(stored[size + suffix]["stage2b"])
        row.append(f"{low / 1e9:.1f}-{high / 1e9:.1f} {verdict((low, high), t4)}")
    print(f"{size:12}", *(f"{cell:22}" for cell in row))
assert verdict(memory_bytes(counts["stage2b"]), t4) == "fits"

# %% [markdown]
# From the counts: **yes, at 768x512 in plain fp32, with batch 1**. The paper's 32 GB are not needed for that. At
# EBB!'s own size plain fp32 no longer fits. With checkpointing even that does.
#
# With several GPUs, each holds the gradients twice: once beside the weights, once in the buckets that travel. Add 1<!-- =step-counts.counts.768x512.stage2b.trained * 4e-9 --> GB.

# %% [markdown]
# ## How long? A roof and two walls
#
# A GPU's data sheet has two rates: how fast it multiplies (FLOP/s; one MAC is two FLOPs) and how fast it reads memory (bytes/s). A
# step cannot be faster than either allows. This is the *roofline* picture (Williams et al. 2009). For small operations
# there is a third limit: the CPU must launch each one.
#
# No program reaches those limits. Large language models, which are kinder to a GPU than ours, reached 21 % to 46 % of the
# peak (Chowdhery et al. 2022). So we take a range, and keep it wide:
#
# - **fast end**: arithmetic, memory and launches overlap perfectly, each near its limit;
# - **slow end**: they wait for each other, each far from its limit.

# %%
from bradcn_nb.experiments.costs.estimate import ASSUMED, step_seconds

for name, (fast, slow) in ASSUMED.items():
    print(f"{name:42}{fast:10.3g}{slow:10.3g}")

# %%
show(step_seconds)

# %% [markdown]
# ### Derived, and measured
#
# We cannot time a T4. Whoever has a GPU can: `make gpu-check` runs the full nets on it for at most eight minutes and writes
# `data/results/gpu-step.json`. Where that file is, the next cell puts measured beside derived numbers.

# %%
from bradcn_nb.experiments.costs.estimate import measured_lines

for line in measured_lines(counts):
    print(line)

# %% [markdown]
# ## Time on one to eight GPUs
#
# Several GPUs each take another picture and then average their gradients. A ring of n GPUs sends $2\,(n-1)/n$ times all gradients, nearly
# 2<!-- =step-counts.counts.768x512.stage2b.trained * 8e-9 --> GB a step. At best that hides behind the backward pass; at worst everybody waits.
#
# **Everything in this figure is derived, nothing is measured.** A bar runs from the fast end to the slow end. Where two bars
# overlap, the counts do not tell which GPU wins.

# %% mystnb={"image": {"alt": "Two plots, fp32 and half precision, of hours for the whole schedule on one, two, four and eight GPUs, on a logarithmic axis. For each number of GPUs four floating bars, from slow to fast: T4, V100, A100, H100. All fall nearly in proportion to the number of GPUs; in half precision the bars are longer and overlap more. The title says derived, not measured."}, "code_prompt_show": "Show the plotting code", "code_prompt_hide": "Hide the plotting code"} tags=["hide-input"]
from bradcn_nb.experiments.costs.estimate import DEVICES, GPUS, training_seconds

figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.9), sharey=True)
for axis, (precision, way) in zip(
    axes, (("fp32", "768x512"), ("half", "768x512 half")), strict=True
):
    for number, on in enumerate(DEVICES):
        total = [training_seconds(paper, stored[way], on, precision, n)["total"] for n in GPUS]
        fast, slow = np.array(total).T / 3600
        at = np.arange(len(GPUS)) + 0.19 * (number - 1.5)
        axis.bar(at, slow - fast, 0.17, bottom=fast, color=COLOURS[number], label=on.name)
    axis.set(yscale="log", xlabel="GPUs", title=precision)
    axis.set_xticks(range(len(GPUS)), [str(n) for n in GPUS])
    axis.minorticks_off()
    axis.set_ylim(0.1, 400)
    axis.set_yticks(
        [0.5, 1, 4, 12, 24, 72, 168], ["30 min", "1 h", "4 h", "12 h", "1 day", "3 days", "1 week"]
    )
figure.suptitle("The paper's whole schedule at 768x512: derived, not measured", fontsize=10)
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
plt.show()

# %%
v100 = device("V100")
for n in GPUS:
    fast, slow = training_seconds(paper, counts, v100, "fp32", n)["total"]
    print(f"V100 x {n}: {fast / 3600:4.0f} to {slow / 3600:4.0f} hours in fp32, derived")

# %% [markdown]
# On a V100 the paper's training is a matter of days. That is a plausible plan, and an expensive mistake. So: three
# steps first, then an epoch, then look at `report`, then the rest.
#
# Not in these numbers: reading pictures, the check after each epoch, checkpoints on a slow disk. With prepared files and
# `--workers 4` they should be small. "Should be" is not a measurement either.

# %% [markdown]
# ## The switches
#
# | switch | what it does | what it costs |
# |---|---|---|
# | `--precision fp16` (T4, V100) | products and most activations in 16 bits; a scaler keeps small gradients from vanishing | small numbers; the run is no longer the paper's |
# | `--precision bf16` (A100, H100) | the same with the range of fp32, and no scaler | fewer digits |
# | `--checkpointing` | recomputes activations | a quarter more arithmetic; the gradients stay the same |
# | `--accumulate N` | one step from N batches | N times fewer steps |
# | `accelerate launch` | one process a GPU | N times fewer steps; gradients travel |
# | `--preset colab` | 384x256 pictures | detail: the test enlarges them more |
# | `--clip 1` | cuts long gradients | a change that the paper does not mention |
#
# For several GPUs of one machine, put the launcher before the same command:
#
# ```text
# accelerate launch --multi_gpu --num_processes 4 \
#     -m bradcn_nb train --preset paper --run runs/paper \
#     --ebb /data/ebb-768 --sun /data/sun-768 --workers 4 \
#     --depth depth.safetensors --render render.safetensors
# ```
#
# The labels are shared out in the same way. One thing changes in silence: four GPUs with batch 1 make a batch of 4, so an epoch has a
# quarter of the steps. The rate stays at the paper's 5e-5. Whether the paper trained so, it does not say. If
# you want its batch of 1 exactly, use one GPU.
#
# Several machines need a meeting point. As a Slurm job, of two machines with four GPUs each:
#
# ```text
# #SBATCH --nodes=2 --ntasks-per-node=1 --gpus-per-node=4 --cpus-per-task=16
# head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
# srun torchrun --nnodes "$SLURM_NNODES" --nproc-per-node 4 --rdzv-backend c10d \
#     --rdzv-endpoint "$head:29500" --rdzv-id "$SLURM_JOB_ID" \
#     -m -- bradcn_nb train --preset paper --run runs/paper \
#     --ebb /data/ebb-768 --sun /data/sun-768 --depth depth.safetensors
# ```
#
# The run directory must be on a disk that all of them see. Slurm says SIGTERM before it ends a job, which makes `train` write a
# checkpoint; submit the same script again, and it goes on. `bradcn_nb labels` in the place of `train` shares out the labels alone.
#
# Without a GPU, `torchrun --nproc-per-node 4 -m -- bradcn_nb train` starts four processes (`accelerate launch --cpu` starts a single
# one). So one can try it: mini's stage 0 with a batch of 8 in one process, of 4 in two, of 2 in four, and of 4 in two `torchrun`s that
# meet as two machines do. The losses of twelve steps agreed to 2<!-- bench --> parts in 100,000. Slurm and NCCL were not at hand.
#
# Curves in Weights & Biases: `wandb.init(project="bradcn", sync_tensorboard=True)` before `train(..., tensorboard=True)`.
#
# A run keeps to what changes its weights. Start it in fp32, come back with `--precision fp16`, and it refuses.
# `--checkpointing` may change from one start to the next: its gradients are the same.

# %% [markdown]
# ## Colab
#
# Colab lends a machine, often with a T4, and takes it back: after a while of idleness, after some hours in any case, sometimes
# without a reason. Its disk goes with it. Three rules make that harmless:
#
# 1. **The run lives on the machine's own disk, and a copy of it on Drive.** `--backup` makes the copy in the background, every
#    five minutes and at the end. It overwrites two files in turn, in place, so that one of them is whole at every moment and
#    Drive's bin does not fill up with old checkpoints of 3 GB.
# 2. **The pictures live on the machine's own disk, too.** Drive is slow for thousands of small files. Keep one archive of the
#    *prepared* folders on Drive, and unpack it at each start.
# 3. **The same cell starts and resumes.** Nothing to remember, nothing to edit.
#
# The next cell asks for your Drive only if you change its first line. As it stands, a folder of this machine plays the Drive.

# %%
ON_DRIVE = False

kept = work / "drive"
if ON_DRIVE:
    from google.colab import drive

    drive.mount("/content/drive")
    kept = Path("/content/drive/MyDrive/bradcn")

# %% [markdown]
# Here is the cell that starts and resumes. It trains a few steps of mini's stage 0, so that you can try it anywhere. Below it we take
# the machine away after three steps, in the middle of an epoch, and give the same command on an empty disk.

# %%
import csv
import io
import shutil
from contextlib import redirect_stdout

from bradcn_nb.__main__ import main

command = ["train", "stage0", "--run", str(work / "lent"), "--backup", str(kept)]
command += ["--set", "stage0.epochs=2", "stage0.samples_per_epoch=16"]
command += ["--checkpoint-every", "1", "--threads", "1", "--quiet"]


def start_or_resume(*more):
    """Give the command; return the steps that its log has then."""
    with redirect_stdout(io.StringIO()):  # which would print the folder
        assert main([*command, *more]) == 0
    with open(work / "lent" / "stage0" / "log.csv") as log:
        return [int(row["step"]) for row in csv.DictReader(log)]


# %%
before = start_or_resume("--max-steps", "3")
shutil.rmtree(work / "lent")  # the machine is gone
after = start_or_resume()

# %%
print("steps before the machine was taken away:", before)
print("steps in the log of the next machine:   ", after)
assert before == [1, 2, 3] and after == list(range(1, len(after) + 1)) and len(after) > 3

# %% [markdown]
# For the paper's nets, this is the cell:
#
# ```text
# !tar -xf /content/drive/MyDrive/prepared.tar -C /content
# !python -m bradcn_nb train --preset colab --run /content/run --backup /content/drive/MyDrive/bradcn \
#     --ebb /content/ebb-384 --sun /content/sun-384 --precision fp16 \
#     --depth /content/drive/MyDrive/depth.safetensors --render /content/drive/MyDrive/render.safetensors
# ```
#
# A checkpoint holds weights and Adam's moments: the fixed bytes of this chapter, less the gradients. Is there room on your Drive?

# %%
last = counts["stage2b"]
checkpoint, finished = 4 * last.parameters + 8 * last.trained, 4 * last.parameters
print(
    f"a checkpoint of stage 2: {checkpoint / 1e9:.1f} GB; finished weights: {finished / 1e9:.1f} GB"
)
colab = stored["384x256 half"]
fast, slow = training_seconds(preset("colab"), colab, t4, "half")["total"]
print(
    f"colab preset on one T4, half precision: {fast / 3600:.0f} to {slow / 3600:.0f} hours, derived"
)

# %% [markdown]
# Free Drive has 15 GB. Two copies of a run in its last stage, each with the finished stages before it and a checkpoint, are more
# than that. Give `--backup` a Drive that has room, or train `--preset colab` with a narrower net of your own.
#
# **What was run and what was not.** Run: the three steps above, every command of this chapter but the launcher's, on tiny files; three full-size steps a
# phase at 768x512 on a CPU (a quarter of an hour of one core, 11 GB). *Not* run: Colab, Drive, any GPU, half precision on a GPU, several GPUs. EBB! and SUN RGB-D were at hand in a
# few sample files only, and the official weights not at all (tests use random numbers under their names). The
# data sheets' figures were copied, not tested.

# %% [markdown]
# ## Your numbers may differ
#
# Counts depend on the version of PyTorch a little: another version may split an operation in two. MACs and weights stay. The
# estimates carry their ranges on their sleeves. If you train on a GPU, measure a hundred steps and throw our ranges away.

# %% [markdown]
# ## Summary
#
# - The paper's schedule is some 600,000 steps of one picture. Everything is one command that can be given again.
# - A step has four costs: arithmetic, traffic, launches, memory. All can be counted without running it.
# - A step is three forwards; with checkpointing nearly four. A frozen net costs one.
# - Weights, gradients and Adam take 16 bytes a trained weight, whatever the picture. Activations grow with pixels.
# - By the counts, 768x512 in fp32 fits on a 16 GB T4. On one V100 the whole takes days.
# - An estimate without its assumptions is a rumour. A range that is honest is wide.

# %% [markdown]
# ## Exercises
#
# **1 (graded). Bytes that no picture changes.** Write a function of a net: the bytes of its weights, of the gradients of those that are trained, and
# of Adam's two moments for them. All are 32-bit floats. A weight is trained if its `requires_grad` is True.


# %% tags=["exercise"]
def fixed_bytes(net):
    """Bytes of weights + gradients + Adam's moments of a net in training, fp32."""
    raise NotImplementedError  # your code in place of this line


# %% [markdown] tags=["solution"]
# A solution, folded away in the book:


# %% tags=["hide-input", "solution"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
def solution(net):
    """4 bytes a weight; 4 + 8 more if it is trained."""
    weights = list(net.parameters())
    trained = sum(weight.numel() for weight in weights if weight.requires_grad)
    return 4 * sum(weight.numel() for weight in weights) + 12 * trained


# %% tags=["graded"]
def check(answer):
    """Raise AssertionError unless `answer` counts the bytes that are really there."""
    net = nn.Sequential(nn.Linear(10, 20), nn.Linear(20, 3))
    for frozen in (False, True):
        net[0].requires_grad_(not frozen)
        adam = torch.optim.Adam([w for w in net.parameters() if w.requires_grad])
        adam.zero_grad()
        for weight in net.parameters():
            weight.grad = None
        net(torch.rand(5, 10)).sum().backward()
        adam.step()
        there = [weight for weight in net.parameters()]
        there += [weight.grad for weight in there if weight.grad is not None]
        moments = [entry for state in adam.state.values() for entry in state.values()]
        there += [entry for entry in moments if entry.dim()]  # not the step's number
        assert answer(net) == sum(tensor.nbytes for tensor in there), "count them again"
    with torch.device("meta"):  # no memory needed
        whole = BRADCN(paper.model)
    whole.adcn.requires_grad_(False)
    c = counts["stage2b"]
    assert answer(whole) == 4 * c.parameters + 12 * c.trained


try:
    check(fixed_bytes)
    print("Your bytes are right.")
except NotImplementedError:
    check(solution)
    print("Not written yet. (The book's solution passes.)")

# %% [markdown]
# **2.** Where does an A100 spend a step of stage 2b in half precision: in arithmetic, in memory, or in launches? Compute the three terms of
# `step_seconds` apart. Which switch of the table would you turn?
#
# **3.** Change one pair in `ASSUMED` at a time, to its fast value at both ends. Which assumption narrows the range of a T4 in fp32 most? Which one
# that of an H100?
#
# **4.** Stage 1 trains on 6545 frames for 50 epochs. What share of the whole time is it, on a V100? What would you
# give up by 10 epochs?
#
# **5.** With `--accumulate 8` on one GPU and with eight GPUs an optimiser step sees eight pictures. Are the two trainings equal? What differs in time, and
# what in memory?

# %% [markdown]
# ## Next
#
# Chapter 17, still to come, goes back to one photograph: yours.
#
# ## References
#
# Full entries are in the [bibliography](bibliography.md).
#
# - Chen et al. 2016: checkpointing of activations.
# - Chowdhery et al. 2022: shares of the peak that large trainings reached (their Table 3).
# - Liu, Zhou and Dong 2023: the paper. Section IV-F has the machine, Sections IV-A and IV-B the pictures and epochs.
# - Micikevicius et al. 2018: training in mixed precision, and why a scaler.
# - Nagasubramaniam and Younes 2022: BRViT. Ranftl et al. 2021: DPT.
# - Song et al. 2015: SUN RGB-D. Ignatov et al. 2020: EBB!.
# - Williams et al. 2009: the roofline.
