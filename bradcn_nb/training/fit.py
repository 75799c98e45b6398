"""The steps of a stage: what they compute, and when they are logged, checked and saved."""

import contextlib
import math
import time
from collections.abc import Iterator

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device, set_seed
from torch.utils.data import DataLoader

from bradcn_nb.errors import BradcnError, RunError
from bradcn_nb.models import read_metadata, save_weights
from bradcn_nb.training import checkpoint as ckpt
from bradcn_nb.training import losses
from bradcn_nb.training.devices import is_lost_peer, memory_bytes
from bradcn_nb.training.log import Board, Log, Row, save_strip, strip_of
from bradcn_nb.training.screen import Screen
from bradcn_nb.training.stages import compare, is_better, panels, score, terms
from bradcn_nb.training.steps import LARGE, EpochBatches, Plan, learning_rate
from bradcn_nb.training.stop import StopSignal, quiet_worker

FLUSH_BATCHES = 10  # losses are read back in groups, so that a GPU need not wait for each
CHECKPOINT_SECONDS = 60.0
STRIP_ROWS = 4


class Fit:
    """Trains `model` to its plan's last step, from its checkpoint if there is one.

    `model` is `state.net` as Accelerate prepared it. Every process runs one; the main one writes.
    """

    def __init__(
        self,
        plan: Plan,
        accelerator: Accelerator,
        model: torch.nn.Module,
        state: ckpt.TrainingState,
    ):
        self.plan, self.accelerator, self.model, self.state = plan, accelerator, model, state
        self.main, self.alone = accelerator.is_main_process, plan.processes == 1
        self.loss_of = losses.stage_loss(plan.stage)
        self.pending: list[tuple[int, float, torch.Tensor, torch.Tensor | None]] = []
        self.path = plan.folder / "checkpoint.safetensors"
        record = ckpt.read_checkpoint(self.path, state) if self.path.is_file() else {}
        self.step = self.saved_step = record.get("step", 0)
        self.log_bytes = record.get("log_bytes")
        self.saved_at, self.cost = time.monotonic(), 0.0

    def run(self) -> None:
        """Take the steps that are left; raises what `train` names."""
        plan = self.plan
        with StopSignal() as stop, contextlib.ExitStack() as outputs:
            if self.main:
                self._open(outputs)
            try:
                while self.step < plan.last:
                    self._train_epoch(stop)
            except torch.cuda.OutOfMemoryError:
                raise RunError(
                    f"{plan.folder}: the GPU's memory is full at step {self.step + 1};"
                    f" {self._kept()}; go on with --checkpointing, or anew with --precision bf16"
                ) from None
            except RuntimeError as error:
                if not is_lost_peer(error):
                    raise
                raise RunError(
                    f"{plan.folder}: another process of this run has ended; {self._kept()};"
                    " see what that process says, then give the same command again"
                ) from error

    def _train_epoch(self, stop: StopSignal) -> None:
        epoch, done = divmod(self.step, self.plan.per_epoch)
        self._training_mode()
        with contextlib.closing(self._batches(epoch, done)) as steps:
            for batches, own in steps:
                self._update(batches, own)
                if self._is_due() or (self.alone and stop.number):
                    self._flush(epoch, stop)
                if self.step == self.plan.last:
                    break

    def _open(self, outputs: contextlib.ExitStack) -> None:
        plan = self.plan
        self.log = Log(plan.folder / "log.csv", self.log_bytes)
        outputs.callback(self.log.close)
        self.board = None
        if plan.tensorboard:
            self.board = Board(plan.folder / "tensorboard", self.step)
            outputs.callback(self.board.close)
        total, done = (plan.items_before(step) for step in (plan.last, self.step))
        epochs = math.ceil(plan.steps / plan.per_epoch)
        self.screen = Screen(plan.stage.name, epochs, total, done, plan.progress)
        outputs.enter_context(self.screen)
        self.checks = list(DataLoader(plan.check_set, batch_size=plan.stage.batch))

    def _at(self, every: int | None) -> bool:
        return self.step == self.plan.last or bool(every and self.step % every == 0)

    def _is_due(self) -> bool:
        """Whether every process is to flush: a function of the step, so that all agree."""
        plan = self.plan
        flush = max(1, FLUSH_BATCHES // plan.preset.recipe.accumulate)
        intervals = (flush, plan.per_epoch, plan.strip_every, plan.checkpoint_every)
        return any(self._at(every) for every in intervals)

    def _training_mode(self) -> None:
        self.model.train()
        for name in self.plan.stage.frozen:  # its normalisation statistics must not change either
            getattr(self.state.net, name).eval()

    def _batches(self, epoch: int, done: int) -> Iterator[tuple[list[dict], bool]]:
        """Yield this process's batches of each step that an epoch has left, and if they count."""
        plan = self.plan
        order = EpochBatches(
            plan.items,
            plan.used,
            plan.stage.batch,
            plan.preset.seed,
            epoch,
            done,
            accumulate=plan.preset.recipe.accumulate,
            processes=plan.processes,
            process=self.accelerator.process_index,
        )
        plan.train_set.set_epoch(epoch)
        if plan.num_workers:  # whose processes share what is read before they are forked
            plan.train_set.fill(plan.num_workers)
        loader = DataLoader(
            plan.train_set,
            batch_sampler=order,
            num_workers=plan.num_workers,
            worker_init_fn=quiet_worker,
            pin_memory=self.accelerator.device.type == "cuda",
            generator=torch.Generator().manual_seed(0),  # leaves the global generator alone
        )
        batches = iter(loader)
        try:
            for step, own in zip(order.steps, order.own, strict=True):
                yield [next(batches) for _ in step], own
        except BradcnError as error:  # a loader's process adds its traceback: keep the message
            message = str(error).rpartition(f"{type(error).__name__}: ")[2].strip()
            raise type(error)(message) from None
        finally:
            if plan.num_workers:  # not left to the garbage collector, or an exit waits for them
                batches._shutdown_workers()

    def _update(self, batches: list[dict], own: bool) -> None:
        """Take one step: the gradient of the mean loss over all items of all processes.

        A batch's mean is weighted by its share of the terms. Gradients are averaged over processes,
        hence the factor.
        """
        plan, accelerator = self.plan, self.accelerator
        rate = learning_rate(plan.stage, self.step, plan.steps)
        for group in self.state.optimizer.param_groups:
            group["lr"] = rate
        # Whatever a step draws at random depends on the step alone: nothing to store.
        set_seed((plan.preset.seed * LARGE + self.step) % 2**31, device_specific=True)
        counts = [float(terms(plan.stage, batch) * own) for batch in batches]
        total = torch.tensor(sum(counts), device=accelerator.device)
        total = accelerator.reduce(total, "sum").clamp_min(1)

        self.state.optimizer.zero_grad()
        mean = torch.zeros((), device=accelerator.device)
        for number, (batch, count) in enumerate(zip(batches, counts, strict=True), start=1):
            batch = send_to_device(batch, accelerator.device, non_blocking=True)
            wait = number < len(batches)  # exchange gradients once a step
            with accelerator.no_sync(self.model) if wait else contextlib.nullcontext():
                loss = self.loss_of(*compare(plan.stage, self.model, batch))
                loss = loss * (count * plan.processes / total)
                accelerator.backward(loss)
            mean += loss.detach()
        norm, clip = None, plan.preset.recipe.clip
        if clip:
            norm = accelerator.clip_grad_norm_(self.model.parameters(), clip)
        self.state.optimizer.step()
        if self.state.ema is not None:
            self.state.ema.update_parameters(self.state.net)
        self.step += 1
        self.pending.append((self.step, rate, mean, norm))

    def _flush(self, epoch: int, stop: StopSignal) -> None:
        """Log the pending steps; check, draw and save what is due; stop if asked to."""
        plan = self.plan
        rows, stopped = self._gather(epoch, stop)
        if self.main:
            if self.checks and self._at(plan.per_epoch):
                self.screen.phase("checks")
                rows[-1] = rows[-1]._replace(check=self._check())
                self._keep(epoch, rows[-1].check)
            self.log.rows(rows)
            memory = memory_bytes(self.accelerator.device)
            items = plan.items_before(self.step) - plan.items_before(self.step - len(rows))
            speed = self.screen.update(
                epoch + 1, items, [r.loss for r in rows], rows[-1].lr, memory
            )
            if self.board:
                self.board.rows(rows, items_per_second=speed, memory_gb=memory / 1e9)
            if self.checks and self._at(plan.strip_every or plan.per_epoch):
                self._strip(epoch)
            self._save(stopped)
        if stopped:
            self.accelerator.wait_for_everyone()  # a launcher ends all when the first one leaves
            where = f"stopped at step {self.step} of {plan.steps}; the same command goes on"
            stop.leave(where, say=self.main)

    def _gather(self, epoch: int, stop: StopSignal) -> tuple[list[Row], bool]:
        """Return the pending rows, losses averaged over the processes, and if any is to stop."""
        flag = torch.tensor(float(bool(stop.number)), device=self.accelerator.device)
        stacked = torch.stack([loss.float() for _, _, loss, _ in self.pending] + [flag])
        *values, stopped = self.accelerator.reduce(stacked, "mean").tolist()
        rows = []
        for (step, rate, _, norm), value in zip(self.pending, values, strict=True):
            norm = None if norm is None else float(norm)
            rows.append(Row(step, epoch + 1, value, rate, norm=norm))
            if not math.isfinite(value):
                raise self._spoiled(f"the loss is {value} at step {step}")
            # A scaler leaves a step out whose gradient is too large for fp16, and scales less.
            if norm is not None and not math.isfinite(norm) and self.state.scaler is None:
                raise self._spoiled(f"the gradient's norm is {norm} at step {step}")
        self.pending.clear()
        return rows, stopped > 0

    def _spoiled(self, what: str) -> RunError:
        return RunError(
            f"{self.plan.folder}: {what}; {self._kept()}; train anew with --clip 1, or in fp32"
        )

    def _kept(self) -> str:
        if not self.saved_step:
            return "no checkpoint was written yet"
        return f"the checkpoint of step {self.saved_step} is kept"

    def _save(self, now: bool) -> None:
        plan, start = self.plan, time.monotonic()
        if plan.checkpoint_every:
            due = self._at(plan.checkpoint_every)
        else:  # never more than a twentieth of the time, however large the nets
            due = start - self.saved_at > max(CHECKPOINT_SECONDS, 20 * self.cost)
        if not (due or now or self.step == plan.last):
            return
        if not self.state.is_finite():
            raise self._spoiled(f"a weight is not finite after step {self.step}")
        self.screen.phase("saves")
        record = {"step": self.step, "log_bytes": self.log.sync()}
        ckpt.write_checkpoint(self.path, self.state, record)
        self.saved_step, self.saved_at = self.step, time.monotonic()
        self.cost = self.saved_at - start

    @torch.no_grad()
    def _check(self) -> float:
        """Score the net on the check items."""
        stage, net = self.plan.stage, self.state.net.eval()
        total = count = 0.0
        for batch in self.checks:
            weight = terms(stage, batch)
            batch = send_to_device(batch, self.accelerator.device)
            if weight:
                total += score(stage, *compare(stage, net, batch)) * weight
                count += weight
        self._training_mode()
        return total / count if count else math.nan

    def _keep(self, epoch: int, check: float) -> None:
        """Write the weights of an epoch that is through, as far as they are to be kept."""
        plan, net = self.plan, self.plan.stage.net
        path = plan.folder / f"{net}-epoch-{epoch + 1:03d}.safetensors"
        if plan.keep == "best":
            path = plan.folder / f"{net}-best.safetensors"
            if path.is_file() and not is_better(
                plan.stage, check, float(read_metadata(path)["check"])
            ):
                return
        if plan.keep != "last":
            about = {"epoch": str(epoch + 1), "check": repr(check)}
            with ckpt.writing(path):
                save_weights(self.state.net, path, plan.preset.name, **about)

    @torch.no_grad()
    def _strip(self, epoch: int) -> None:
        """Write a strip of the first check items: input, maps, output, truth."""
        stage, net = self.plan.stage, self.state.net.eval()
        rows: list[list[torch.Tensor]] = []
        for batch in self.checks:
            if len(rows) < STRIP_ROWS:
                rows += panels(stage, net, send_to_device(batch, self.accelerator.device))
        sheet = strip_of(rows[:STRIP_ROWS])
        name = f"step-{self.step:07d}" if self.plan.strip_every else f"epoch-{epoch + 1:03d}"
        save_strip(self.plan.folder / "samples" / f"{name}.png", sheet)
        if self.board:
            self.board.strip(sheet, self.step)
        self._training_mode()
