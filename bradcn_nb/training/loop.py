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
from bradcn_nb.models import BRADCN, read_metadata, save_weights
from bradcn_nb.models.checkpointing import set_checkpointing
from bradcn_nb.presets import ModelConfig, Preset, Recipe, Stage
from bradcn_nb.training import checkpoint as ckpt
from bradcn_nb.training.devices import (
    faster_layout,
    loader_processes,
    make_accelerator,
    memory_layout,
    return_freed_blocks,
)
from bradcn_nb.training.fit import Fit
from bradcn_nb.training.losses import stage_loss
from bradcn_nb.training.run import open_run, provenance
from bradcn_nb.training.stages import (
    Sources,
    compare,
    datasets,
    earlier_weights,
    make_net,
    run_labels,
    weights_file,
)
from bradcn_nb.training.steps import LARGE, EpochBatches, Job, learning_rate

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
    num_workers: int | None = 0,
    threads: int | None = None,
    progress: bool = True,
    checkpointing: bool = False,
    strip_every: int | None = None,
    tensorboard: bool = False,
    build: Callable[[ModelConfig], BRADCN] = BRADCN,
) -> Path:
    """Run one stage of `preset` in `run_dir`/`stage_name` and return the file of its final weights.

    `resume`: "auto" goes on from a checkpoint if there is one, "require" insists on it, "fresh"
    moves an earlier run aside. `init` names weights files by net ("depth", "adcn", "bradcn",
    "render"), otherwise the run's earlier stages give them; `data` names folders ("ebb", "sun",
    "labels"), otherwise the bundled sets and the run's own labels. `checkpoint_every` is in steps;
    without it, about once a minute. What changes the weights is in the preset, also its `recipe`;
    the rest may change when a run goes on: `max_steps` ends the stage early, and without it the
    same call goes on to the whole stage's end; `num_workers` processes load data, None for as many
    as suit the device; `checkpointing` of activations trades time for memory; `strip_every` steps a
    strip of sample pictures is kept, without it one an epoch; `tensorboard` writes events beside
    the CSV. `build` makes BRADCN from its configuration: a variant's function, or the paper's
    class. With `Recipe.ema` the running mean of the weights is kept beside them,
    NET-ema.safetensors.

    A killed and resumed run ends with the bits of an uninterrupted one (CPU, same thread count).
    Ctrl-C and SIGTERM write a checkpoint, then leave as KeyboardInterrupt and SystemExit(143).
    Raises RunError for a directory of another configuration or one that cannot be written, and for
    a loss that is not finite; DataError and WeightsError for what it reads. Source: Sections IV-B
    and IV-F; ledger ids "optimiser", "stage0", "stage2-optimiser" (every stage starts a new Adam).
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
    accelerator = make_accelerator(recipe.precision)
    device = accelerator.device
    for (
        path
    ) in nets.values():  # small beside the weights, so a wrong file is named before they are read
        read_metadata(path)
    digests = {name: file_digest(path) for name, path in sorted(nets.items())}
    labels = run_labels(run_dir, digests["depth"]) if "depth" in digests else run_dir / "labels"
    folders = {"labels": labels} | {name: path for name, path in (data or {}).items() if path}
    sources = Sources(**{name: Path(path) for name, path in folders.items()})
    train_set, check_set = datasets(preset, stage, sources, digests.get("depth"))
    set_seed(preset.seed * LARGE + preset.stages.index(stage))
    net = make_net(preset, stage, nets, build)
    items = len(train_set)
    used = min(stage.samples_per_epoch or items, items)
    per_epoch = math.ceil(used / (stage.batch * recipe.accumulate * accelerator.num_processes))
    steps = stage.epochs * per_epoch
    last = min(max_steps or steps, steps)
    config = {
        "preset": asdict(preset),
        "stage": stage_name,
        "items": items,
        "steps": steps,
        "processes": accelerator.num_processes,
        "init": digests,
    }
    final = weights_file(run_dir, stage)
    in_main(accelerator, lambda: open_run(folder, config, resume, stage.net))
    if _is_done(folder / "done.json", final, last):
        return final

    net = net.to(device)
    if checkpointing:
        set_checkpointing(net)
        return_freed_blocks()
    for name in stage.frozen:
        getattr(net, name).requires_grad_(False)
    torch.backends.cudnn.benchmark = True  # all pictures of a stage have one size
    net = net.to(memory_format=_layout(accelerator, net, stage, recipe, train_set, folder))
    ema = None
    if recipe.ema and accelerator.is_main_process:
        ema = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema))
    trained = [weight for weight in net.parameters() if weight.requires_grad]
    adam = torch.optim.Adam(trained, lr=stage.lr, betas=BETAS, fused=True)
    model, optimizer = accelerator.prepare(net, adam)
    workers = loader_processes(device) if num_workers is None else num_workers
    job = Job(
        preset, stage, folder, train_set, check_set, items, used, per_epoch, steps, last,
        accelerator.num_processes, checkpoint_every, workers, progress, strip_every, tensorboard,
    )  # fmt: skip
    state = ckpt.State(net, optimizer, accelerator.scaler, ema)
    Fit(job, accelerator, model, state).run()

    def finish() -> None:
        extra = provenance(preset, stage, last, config, file_digest(folder / "log.csv"))
        with ckpt.writing(final):
            if ema is not None:
                mean = final.with_name(f"{stage.net}-ema.safetensors")
                save_weights(ema.module, mean, preset.name, **extra)
            save_weights(net, final, preset.name, **extra)
        ckpt.write_json(folder / "done.json", {"steps": last, "weights": file_digest(final)})

    in_main(accelerator, finish)
    return final


def _layout(
    accelerator: Accelerator,
    net: torch.nn.Module,
    stage: Stage,
    recipe: Recipe,
    train_set: Dataset,
    folder: Path,
) -> torch.memory_format:
    """The order of memory by device and precision, else by a trial, whose answer the run keeps."""
    layout, record = memory_layout(accelerator.device, recipe.precision), folder / "layout.json"
    if layout is None and record.is_file():
        layout = getattr(torch, ckpt.read_json(record)["layout"])
    if layout is None:
        batch = default_collate([train_set[i] for i in range(min(stage.batch, len(train_set)))])
        batch, loss_of = send_to_device(batch, accelerator.device), stage_loss(stage)

        def step() -> None:
            loss_of(*compare(stage, net, batch)).backward()
            net.zero_grad()
            torch.cuda.synchronize()

        layouts = [faster_layout(net, step)]
        broadcast_object_list(layouts)  # the main process's answer is everybody's
        layout = layouts[0]
        name = str(layout).removeprefix("torch.")
        in_main(accelerator, lambda: ckpt.write_json(record, {"layout": name}))
    return layout


def in_main(accelerator: Accelerator, action: Callable[[], None]) -> None:
    """Run `action` in the main process alone; all wait for it, and all raise the error it
    raises."""
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
    """Whether a stage has reached step `last`, and its weights are still those that it ended
    with."""
    if not (record.is_file() and final.is_file()):
        return False
    done = ckpt.read_json(record)
    return done.get("steps", 0) >= last and done.get("weights") == file_digest(final)
