"""One stage of a preset, from its data and nets to its final weights, with exact resume.

A run directory holds one folder a stage: `config.json`, `checkpoint.safetensors`, `log.csv`,
`samples/` and, once finished, the weights and `done.json`. The steps themselves: `fit`.
"""

import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, send_to_device, set_seed
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import Dataset, default_collate

from bradcn_nb.errors import BradcnError
from bradcn_nb.files import file_digest
from bradcn_nb.models import BRADCN, save_weights
from bradcn_nb.models.checkpointing import set_checkpointing
from bradcn_nb.presets import ModelConfig, Preset, Stage
from bradcn_nb.training import checkpoint as ckpt
from bradcn_nb.training import devices
from bradcn_nb.training.fit import Fit
from bradcn_nb.training.losses import stage_loss
from bradcn_nb.training.run import (
    earlier_weights,
    open_run,
    provenance,
    run_labels,
    trained_net,
    weights_file,
)
from bradcn_nb.training.stages import Sources, check_data, compare, datasets, make_net
from bradcn_nb.training.steps import LARGE, EpochBatches, Plan, learning_rate

__all__ = ["BETAS", "LARGE", "EpochBatches", "learning_rate", "train"]

BETAS = (0.9, 0.999)  # of Adam, as BRViT (ledger id "optimiser")


def train(
    preset: Preset,
    stage_name: str,
    run_dir: Path | str,
    *,
    resume: str = "auto",
    init: dict[str, Path | str] | None = None,
    data: dict[str, Path | str | None] | None = None,
    max_steps: int | None = None,
    checkpoint_every: int | None = None,
    num_workers: int | None = None,
    threads: int | None = None,
    progress: bool = True,
    checkpointing: bool = False,
    strip_every: int | None = None,
    tensorboard: bool = False,
    keep: str = "last",
    build: Callable[[ModelConfig], BRADCN] = BRADCN,
) -> Path:
    """Run one stage of `preset` in `run_dir`/`stage_name` and return the file of its final weights.

    What changes the weights, and a run therefore keeps to:

    * `preset`, with its `recipe`; with `Recipe.ema` NET-ema.safetensors is kept beside the weights;
    * `init`: weights files by net ("depth", "adcn", "bradcn", "render"); else earlier stages';
    * `data`: folders ("ebb", "sun", "labels", "maps"); else the bundled sets and the run's labels;
    * `build`: makes BRADCN from its configuration: a variant's function, or the paper's class.

    What may change when a run goes on:

    * `resume`: "auto" goes on from a checkpoint if there is one, "require" insists on it, "fresh"
      moves an earlier run aside;
    * `max_steps`: ends a trial early; without it the same call goes on to the end of the stage;
    * `checkpoint_every`: steps; without it, about once a minute;
    * `num_workers`: processes that load data; None: none on a CPU, up to 4 beside a GPU;
    * `threads` of the CPU, and whether to show `progress`;
    * `checkpointing`: activations are computed twice, which takes more time and less memory;
    * `strip_every`: steps between strips of sample pictures; without it, one an epoch;
    * `tensorboard`: whether events are written beside the CSV;
    * `keep`: "last" keeps the final weights alone, "best" also NET-best.safetensors, those of the
      epoch with the best check, "all" also NET-epoch-NNN.safetensors of every epoch.

    A killed and resumed run ends with the bits of an uninterrupted one (CPU, same thread count),
    and so does a trial that is gone on from; only its last row in the log has a check, too. Ctrl-C
    and SIGTERM write a checkpoint, then leave as KeyboardInterrupt and SystemExit(143). Raises
    RunError for a directory of another configuration or one that cannot be written, and for a loss
    that is not finite; DataError and WeightsError for what it reads. Source: Sections IV-B and
    IV-F; ledger ids "optimiser", "stage0", "stage2-optimiser" (every stage starts a new Adam).
    """
    stage, run_dir = preset.stage(stage_name), Path(run_dir)
    folder = run_dir / stage_name
    nets = earlier_weights(preset, stage, run_dir)
    nets |= {net: Path(path) for net, path in (init or {}).items()}
    if stage.net == "bradcn" and "bradcn" in nets:
        nets = {"bradcn": nets["bradcn"]}
    elif stage.net != "bradcn":
        nets.pop("render", None)  # not this stage's, so no part of what ties a run to its settings
    if threads:
        torch.set_num_threads(threads)

    recipe = preset.recipe
    accelerator = devices.make_accelerator(recipe.precision)
    device, processes = accelerator.device, accelerator.num_processes
    folders = {name: Path(path) for name, path in (data or {}).items() if path}
    check_data(preset, [stage], folders)  # before weights are read, which may be large
    digests = {name: file_digest(path) for name, path in sorted(nets.items())}
    labels = run_labels(run_dir, digests["depth"]) if "depth" in digests else run_dir / "labels"
    sources = Sources(**{"labels": labels} | folders)
    train_set, check_set = datasets(preset, stage, sources, digests.get("depth"))
    set_seed((preset.seed * LARGE + preset.stages.index(stage)) % 2**31)
    net = make_net(preset, stage, nets, build)
    items = len(train_set)
    used = min(stage.samples_per_epoch or items, items)
    per_epoch = math.ceil(used / (stage.batch * recipe.accumulate * processes))
    steps = stage.epochs * per_epoch
    last = min(max_steps or steps, steps)
    config = {
        "preset": asdict(preset),
        "stage": stage_name,
        "items": items,
        "steps": steps,
        "processes": processes,
        "init": digests,
    }
    final = weights_file(run_dir, stage)
    in_main(accelerator, lambda: open_run(folder, config, resume, trained_net(stage)))
    if _is_done(folder / "done.json", final, last):
        return final

    net = net.to(device)
    if checkpointing:
        set_checkpointing(net)
        devices.return_freed_blocks()
    for name in stage.frozen:
        getattr(net, name).requires_grad_(False)
    torch.backends.cudnn.benchmark = device.type == "cuda"  # a stage's pictures have one size
    layout = devices.memory_layout(device, recipe.precision)
    if layout is None:
        layout = _tried_layout(accelerator, net, stage, train_set, folder / "layout.json")
    net = net.to(memory_format=layout)
    ema = None
    if recipe.ema and accelerator.is_main_process:
        ema = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema))
    trained = [weight for weight in net.parameters() if weight.requires_grad]
    fused = device.type in ("cpu", "cuda")  # an Apple GPU's comes with newer versions of torch only
    adam = torch.optim.Adam(trained, lr=stage.lr, betas=BETAS, fused=fused)
    model, optimizer = accelerator.prepare(net, adam)
    if num_workers is None:
        num_workers = devices.loader_processes(device, processes)
    plan = Plan(
        preset, stage, folder, train_set, check_set, items, used, per_epoch, steps, last,
        processes, checkpoint_every, num_workers, progress, strip_every, tensorboard, keep,
    )  # fmt: skip
    state = ckpt.TrainingState(net, optimizer, accelerator.scaler, ema)
    fit = Fit(plan, accelerator, model, state)
    fit.run()

    def finish() -> None:
        extra = provenance(preset, stage, fit.step, config, file_digest(folder / "log.csv"))
        with ckpt.writing(final):
            if ema is not None:
                mean = final.with_name(f"{stage.net}-ema.safetensors")
                save_weights(ema.module, mean, preset.name, **extra)
            save_weights(net, final, preset.name, **extra)
        ckpt.write_json(folder / "done.json", {"steps": fit.step, "weights": file_digest(final)})

    in_main(accelerator, finish)
    return final


def _tried_layout(
    accelerator: Accelerator, net: torch.nn.Module, stage: Stage, items: Dataset, record: Path
) -> torch.memory_format:
    """The order of memory that a run keeps to in its file `record`, else the faster one."""
    if record.is_file():
        return getattr(torch, ckpt.read_json(record)["layout"])
    batch = default_collate([items[i] for i in range(min(stage.batch, len(items)))])
    batch, loss_of = send_to_device(batch, accelerator.device), stage_loss(stage)
    net.eval()  # so that a trial moves no statistics

    def step(layout: torch.memory_format) -> None:
        net.to(memory_format=layout)
        loss_of(*compare(stage, net, batch)).backward()
        net.zero_grad()
        torch.cuda.synchronize()

    try:
        names = [str(devices.faster_layout(step)).removeprefix("torch.")]
    except torch.cuda.OutOfMemoryError:  # the first step will say so
        names = ["contiguous_format"]
    broadcast_object_list(names)  # the main process's answer is everybody's
    in_main(accelerator, lambda: ckpt.write_json(record, {"layout": names[0]}))
    return getattr(torch, names[0])


def in_main(accelerator: Accelerator, action: Callable[[], None]) -> None:
    """Run `action` in the main process alone; all wait for it, and raise the error it raises."""
    failed: list[BradcnError | None] = [None]
    if accelerator.is_main_process:
        try:
            action()
        except BradcnError as error:
            failed = [error]
    broadcast_object_list(failed)
    if failed[0] is not None:
        raise failed[0]


def _is_done(record: Path, final: Path, last: int) -> bool:
    """Whether a stage got to step `last`, and its weights are still those that it ended with."""
    if not (record.is_file() and final.is_file()):
        return False
    done = ckpt.read_json(record)
    return done.get("steps", 0) >= last and done.get("weights") == file_digest(final)
