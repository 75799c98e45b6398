"""The training loop: every stage of every preset, with exact resume (Sections IV-B and IV-F).

A run directory holds one folder a stage: `config.json`, `checkpoint.safetensors`, `log.csv`,
`samples/` and, once finished, the weights and `done.json`.
"""

import dataclasses
import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device, set_seed
from torch.utils.data import BatchSampler, DataLoader, Dataset
from tqdm import tqdm

from bradcn_nb import losses
from bradcn_nb.errors import RunError
from bradcn_nb.models import save_weights
from bradcn_nb.presets import Preset, Stage
from bradcn_nb.training import checkpoint as ckpt
from bradcn_nb.training.run import (
    Log,
    StopSignal,
    open_run,
    provenance,
    quiet_worker,
    save_strip,
)
from bradcn_nb.training.stages import (
    Sources,
    compare,
    datasets,
    earlier_weights,
    make_net,
    net_of,
    panels,
    run_labels,
    score,
    weights_file,
)

BETAS = (0.9, 0.999)  # of Adam, as BRViT (ledger id "optimiser")
FLUSH_STEPS = 10  # losses are read back in groups, so that a GPU need not wait for each
CHECKPOINT_SECONDS = 60.0
STRIP_ROWS = 4
LARGE = 1_000_003  # a prime that keeps the seeds of stages, epochs and steps apart


@dataclasses.dataclass(frozen=True)
class Job:
    """One stage of one run, counted out: what `fit` needs to know besides model and optimiser."""

    preset: Preset
    stage: Stage
    folder: Path
    train_set: Dataset
    check_set: Dataset
    items: int  # in the training set
    used: int  # of them in each epoch
    per_epoch: int  # steps
    steps: int  # in all
    checkpoint_every: int | None
    num_workers: int


class EpochBatches(BatchSampler):
    """The batches of one epoch from batch `start` on; their order is a function of (seed, epoch)."""

    def __init__(self, items: int, used: int, batch: int, seed: int, epoch: int, start: int = 0):
        generator = torch.Generator().manual_seed(seed * LARGE + epoch)
        order = torch.randperm(items, generator=generator)[:used].tolist()
        self.batches = [order[i : i + batch] for i in range(0, used, batch)][start:]
        self.batch_size, self.drop_last = batch, False

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def learning_rate(stage: Stage, step: int, steps: int) -> float:
    """Return the rate of step 0..steps-1: constant (the paper's) or half a cosine down to 1 %."""
    if stage.schedule == "constant":
        return stage.lr
    return stage.lr * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / steps)))


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
    num_workers: int = 0,
    threads: int | None = None,
    progress: bool = True,
) -> Path:
    """Run one stage of `preset` in `run_dir`/`stage_name` and return the file of its final weights.

    `resume`: "auto" goes on from a checkpoint if there is one, "require" insists on it, "fresh" moves
    an earlier run aside. `init` names weights files by net ("depth", "adcn", "bradcn", "render"), otherwise the
    run's earlier stages give them; `data` names folders ("ebb", "sun", "labels"), otherwise the bundled
    sets and the run's own labels. `checkpoint_every` is in steps; without it, about once a minute.
    A killed and resumed run ends with the bits of an uninterrupted one (CPU, same thread count).
    Ctrl-C and SIGTERM write a checkpoint, then leave as KeyboardInterrupt and SystemExit(143).
    Raises RunError for a directory of another configuration and for a loss that is not finite,
    DataError and WeightsError for what it reads. Source: Sections IV-B and IV-F; ledger ids
    "optimiser", "stage0", "stage2-optimiser" (every stage starts a new Adam).
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

    accelerator = Accelerator()
    set_seed(preset.seed * LARGE + preset.stages.index(stage))
    net = make_net(preset, stage, nets)
    digests = {name: ckpt.file_digest(path) for name, path in sorted(nets.items())}
    labels = run_labels(run_dir, digests["depth"]) if "depth" in digests else run_dir / "labels"
    folders = {"labels": labels} | {name: path for name, path in (data or {}).items() if path}
    sources = Sources(**{name: Path(path) for name, path in folders.items()})
    train_set, check_set = datasets(preset, stage, sources, digests.get("depth"))
    items = len(train_set)
    used = min(stage.samples_per_epoch or items, items)
    per_epoch = math.ceil(math.ceil(used / stage.batch) / accelerator.num_processes)
    steps = max_steps or stage.epochs * per_epoch
    config = {
        "preset": dataclasses.asdict(preset),
        "stage": stage_name,
        "items": items,
        "steps": steps,
        "processes": accelerator.num_processes,
        "init": digests,
    }
    final = weights_file(run_dir, stage)
    if accelerator.is_main_process:
        open_run(folder, config, resume)
    accelerator.wait_for_everyone()
    if (folder / "done.json").is_file() and final.is_file():
        return final

    net = net.to(memory_format=torch.channels_last)  # a step of `mini` on a CPU is a quarter faster
    for name in stage.frozen:
        getattr(net, name).requires_grad_(False)
    trained = [weight for weight in net.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=stage.lr, betas=BETAS, fused=True)
    model, optimizer = accelerator.prepare(net, optimizer)
    job = Job(
        preset, stage, folder, train_set, check_set, items, used, per_epoch, steps,
        checkpoint_every, num_workers,
    )  # fmt: skip
    fit(job, accelerator, model, optimizer, progress and accelerator.is_main_process)
    if accelerator.is_main_process:
        log_digest = ckpt.file_digest(folder / "log.csv")
        extra = provenance(preset, stage, steps, config, log_digest)
        save_weights(net_of(model), final, preset.name, **extra)
        ckpt.write_json(folder / "done.json", {"steps": steps, "weights": ckpt.file_digest(final)})
    accelerator.wait_for_everyone()
    return final


def fit(
    job: Job,
    accelerator: Accelerator,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: bool,
) -> None:
    """Train `model` to the job's last step, from its checkpoint if there is one."""
    path = job.folder / "checkpoint.safetensors"
    state = ckpt.read_checkpoint(path, net_of(model), optimizer) if path.is_file() else None
    step = state["step"] if state else 0
    main = accelerator.is_main_process
    log = Log(job.folder / "log.csv", state["log_bytes"] if state else None) if main else None
    checks = list(DataLoader(job.check_set, batch_size=job.stage.batch))
    loss_of = losses.stage_loss(job.stage)
    every = min(FLUSH_STEPS, job.checkpoint_every or FLUSH_STEPS)
    pending: list[tuple[int, float, torch.Tensor]] = []  # step, rate, loss
    saved_step, saved_at, cost = step, time.monotonic(), 0.0
    bar = tqdm(total=job.steps, initial=step, desc=job.stage.name, disable=not progress)

    with StopSignal() as stop, bar:
        while step < job.steps:
            epoch, done = divmod(step, job.per_epoch)
            _training_mode(model, job.stage)
            for batch in _loader(job, accelerator, epoch, done):
                rate = learning_rate(job.stage, step, job.steps)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                # Whatever a step draws at random depends on the step alone: nothing to store.
                set_seed((job.preset.seed * LARGE + step) % 2**31, device_specific=True)
                loss = loss_of(*compare(job.stage, model, batch))
                optimizer.zero_grad()
                accelerator.backward(loss)
                optimizer.step()
                step += 1
                pending.append((step, rate, loss.detach()))
                ends = step % job.per_epoch == 0 or step == job.steps
                alone = accelerator.num_processes == 1
                if not (ends or step % every == 0 or (alone and stop.number)):
                    continue

                values, stopped = _gather(accelerator, pending, stop)
                for (at, _, _), value in zip(pending, values, strict=True):
                    if not math.isfinite(value):
                        raise RunError(
                            f"{job.folder}: the loss is {value} at step {at}; the checkpoint of step"
                            f" {saved_step} is kept; start again with a smaller learning rate"
                        )
                if main:
                    check = _check(job, accelerator, model, checks, epoch) if ends else None
                    for (at, used_rate, _), value in zip(pending, values, strict=True):
                        log.row(at, epoch + 1, value, used_rate, check if at == step else None)
                    bar.update(len(pending))
                    bar.set_postfix(loss=f"{sum(values) / len(values):.4f}", refresh=False)
                pending.clear()
                now = time.monotonic()
                if job.checkpoint_every:
                    due = step - saved_step >= job.checkpoint_every
                else:  # never more than a twentieth of the time, however large the nets
                    due = now - saved_at > max(CHECKPOINT_SECONDS, 20 * cost)
                if main and (due or stopped or step == job.steps):
                    record = {"step": step, "log_bytes": log.sync()}
                    ckpt.write_checkpoint(path, net_of(model), optimizer, record)
                    saved_step, saved_at = step, time.monotonic()
                    cost = saved_at - now
                if stopped:
                    stop.leave(f"stopped at step {step} of {job.steps}; the same command goes on")
                if step == job.steps:
                    break
    if main:
        log.close()


def _training_mode(model: torch.nn.Module, stage: Stage) -> None:
    model.train()
    for name in stage.frozen:  # a frozen net must not change its normalisation statistics either
        getattr(net_of(model), name).eval()


def _loader(job: Job, accelerator: Accelerator, epoch: int, done: int) -> DataLoader:
    """Return the rest of an epoch after `done` steps, shared out among the processes."""
    batches = EpochBatches(
        job.items,
        job.used,
        job.stage.batch,
        job.preset.seed,
        epoch,
        done * accelerator.num_processes,
    )
    job.train_set.set_epoch(epoch)
    loader = DataLoader(
        job.train_set,
        batch_sampler=batches,
        num_workers=job.num_workers,
        worker_init_fn=quiet_worker,
        pin_memory=accelerator.device.type == "cuda",
        generator=torch.Generator().manual_seed(0),  # leaves the global generator alone
    )
    loader = accelerator.prepare_data_loader(loader)
    # Accelerate's loader counts its own epochs, from 0 as it is new, and hands them to the data set.
    loader.set_epoch(epoch)
    return loader


def _gather(accelerator: Accelerator, pending: list, stop: StopSignal) -> tuple[list[float], bool]:
    """Return the pending losses, averaged over the processes, and whether any of them is to stop."""
    flag = torch.tensor(float(bool(stop.number)), device=accelerator.device)
    stacked = torch.stack([loss.float() for _, _, loss in pending] + [flag])
    *values, stopped = accelerator.reduce(stacked, "mean").tolist()
    return values, stopped > 0


@torch.no_grad()
def _check(job: Job, accelerator: Accelerator, model, checks: list[dict], epoch: int) -> float:
    """Score the net on the check pictures and write the epoch's sample strip."""
    net = net_of(model).eval()
    total, count, rows = 0.0, 0, []
    with accelerator.autocast():
        for batch in checks:
            batch = send_to_device(batch, accelerator.device)
            size = len(batch["image"])
            total += score(job.stage, *compare(job.stage, net, batch)) * size
            count += size
            if len(rows) < STRIP_ROWS:
                rows += panels(job.stage, net, batch)
    save_strip(job.folder / "samples" / f"epoch-{epoch + 1:03d}.png", rows[:STRIP_ROWS])
    _training_mode(model, job.stage)
    return total / count
