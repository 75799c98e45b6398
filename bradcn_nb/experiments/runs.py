"""Trainings of a table: arms times seeds, in processes, each kept as soon as it is done."""

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from bradcn_nb.data import EBB, MapStack
from bradcn_nb.data.parallel import each
from bradcn_nb.errors import DataError
from bradcn_nb.evaluation.metrics import Protocol
from bradcn_nb.evaluation.predict import predict
from bradcn_nb.experiments import variants
from bradcn_nb.experiments.maps import ROOMS_MADE_OF, defocus_record, defocus_weights
from bradcn_nb.experiments.record import weights_path
from bradcn_nb.files import write_atomically
from bradcn_nb.models import baselines, load_bradcn, load_weights, save_weights
from bradcn_nb.models.weights import weights_hash
from bradcn_nb.presets import Preset, Stage, preset
from bradcn_nb.training import train
from bradcn_nb.training.run import commit
from bradcn_nb.training.stages import make_net

DIGITS = 5  # of a picture's PSNR in dB, SSIM and LPIPS


@dataclasses.dataclass(frozen=True)
class Task:
    """One training: which arm, which seed, what is trained, and on what."""

    arm: str
    seed: int
    preset: Preset
    ebb: Path
    maps: Path
    folder: Path  # of the run

    @property
    def digest(self) -> str:
        """What the training depends on, as 16 hexadecimal digits; another one is another
        training."""
        about = [settings_changed(self.preset), weights_hash(weights_path("depth"))]
        about += [weights_hash(weights_path()), len(EBB(self.ebb, "train"))]
        given = {name for stage in self.preset.stages for name in stage.given if name}
        if any(name.startswith("rooms") for name in given):
            about.append(json.loads((self.maps / ROOMS_MADE_OF).read_text()))
        if any(name.endswith(f"-{self.seed}") for name in given):  # of a net of its own
            about.append(json.loads((self.maps / defocus_record(self.seed)).read_text()))
        net = self.preset.stages[-1].net if self.preset.stages else self.arm
        if net in baselines.NAMES:  # whose widths are not the preset's
            about.append(settings_changed(getattr(baselines.build(net), "cfg", None)))
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]


def settings_changed(settings: Any) -> Any:
    """Return a dataclass as nested dicts, without the fields that are at their default.

    So a switch that a later version adds, and leaves off, does not make old trainings others.
    """
    if isinstance(settings, tuple):
        return [settings_changed(value) for value in settings]
    if not dataclasses.is_dataclass(settings):
        return settings
    values = {field: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    return {
        field.name: settings_changed(value)
        for field, value in values.items()
        if value != field.default
    }


def init_files(task: Task) -> dict[str, Path]:
    """Return the weights that an arm starts from: stage 0's depth net and stage 1's ADCN.

    ADCN is taken out of the bundled BRADCN, where stage 2 left it as it was, and written to the
    run's folder. A DefocusNet in its place is the one that made the maps of the same seed.
    """
    if getattr(task.preset.model, "error_kind", None) == "defocus":
        return {"depth": weights_path("depth"), "adcn": defocus_weights(task.maps, task.seed)}
    file = task.folder / "adcn.safetensors"
    if not file.is_file():
        save_weights(load_bradcn().adcn, file, "mini")
    return {"depth": weights_path("depth"), "adcn": file}


def run_task(task: Task) -> dict[str, Any]:
    """Train one arm with one seed, from its checkpoint if there is one, and judge it."""
    torch.set_num_threads(1)
    start = time.monotonic()
    init = init_files(task)
    for stage in task.preset.stages:
        final = train(
            task.preset,
            stage.name,
            task.folder,
            init=init,
            data={"ebb": task.ebb, "maps": task.maps},
            threads=1,
            progress=False,
            build=variants.build,
        )
    if task.preset.stages:
        net = make_net(task.preset, task.preset.stages[-1], init, variants.build)
        load_weights(final, net, task.preset.name)
    else:
        net = baselines.build(task.arm)
        if task.arm in baselines.WITH_DEPTH_NET:
            load_weights(init["depth"], net.depth_net, task.preset.name)
    return {
        "arm": task.arm,
        "seed": task.seed,
        "digest": task.digest,
        "commit": commit(),
        "seconds": round(time.monotonic() - start, 1),
        "parameters": trained_parameters(net, task.preset),
        **judge(net.eval(), task),
    }


def trained_parameters(net: torch.nn.Module, chosen: Preset) -> int:
    """Return how many numbers training changes: those with a gradient after one step's backward."""
    if not chosen.stages:
        return 0
    stage = chosen.stages[-1]
    for name in stage.frozen:
        getattr(net, name).requires_grad_(False)
    height, width = chosen.data.train_size
    given = {
        key: torch.ones(1, 1, height, width)
        for key, name in zip(("depth", "depth_error"), stage.given, strict=True)
        if name
    }
    net(torch.rand(1, 3, height, width), **given).bokeh.sum().backward()
    count = sum(weight.numel() for weight in net.parameters() if weight.grad is not None)
    net.zero_grad()
    return count


def judge(net: torch.nn.Module, task: Task) -> dict[str, list]:
    """Return what `judge_pairs` says of a task's net, given its arm's maps."""
    sources = task.preset.stages[-1].given if task.preset.stages else (None, None)
    named = zip(("depth", "depth_error"), sources, strict=True)
    stacks = {key: MapStack(task.maps, name) for key, name in named if name}
    return judge_pairs(net, task.ebb, task.preset.data.train_size, stacks)


@torch.inference_mode()
def judge_pairs(
    net: Callable[..., Any], ebb: Path, size: tuple[int, int], stacks: Mapping[str, MapStack]
) -> dict[str, list]:
    """Return each test pair's number and values by the protocol val294 (Section IV-F).

    `net` takes the picture, and the maps of `stacks` under their names. Raises WeightsError where
    LPIPS has no weights, naming the command that brings them.
    """
    test, protocol = EBB(ebb, "test"), Protocol()
    values: dict[str, list] = {"id": [], **{metric: [] for metric in protocol.metrics}}
    for index in range(len(test)):
        item = test.read(index)
        number = test.pairs[index][0]
        given = {key: torch.from_numpy(stack[number])[None] for key, stack in stacks.items()}
        picture = predict(net, item["image"], size, **given)
        values["id"].append(number)
        for metric, value in protocol.measure(item["bokeh"], picture).items():
            values[metric].append(round(value, DIGITS))
    return values


def run_all(
    tasks: Sequence[Task], kept: Mapping[str, Any], jobs: int, progress: bool
) -> Iterator[dict[str, Any]]:
    """Yield the record of every task that `kept` ("ARM/SEED": record) has not got, as they finish.

    `jobs` processes of one thread each. A finished run leaves its record in its folder, too, so
    that nothing is trained twice even if the caller is killed; an interrupted one goes on next
    time.
    """
    waiting = []
    for task in tasks:
        record = kept.get(f"{task.arm}/{task.seed}") or _own_record(task)
        if record and record["digest"] == task.digest:
            yield record
        else:
            waiting.append(task)
    if not waiting:
        return
    yield from each(
        _run_and_keep,
        waiting,
        jobs,
        title="trainings",
        unit="run",
        progress=progress,
        ordered=False,
        spawn=True,
        terminate=True,  # by SIGTERM, at which a training writes a checkpoint first
    )


def _run_and_keep(task: Task) -> dict[str, Any]:
    record = run_task(task)
    write_atomically(task.folder / "record.json", json.dumps(record).encode())
    return record


def _own_record(task: Task) -> dict[str, Any] | None:
    path = task.folder / "record.json"
    return json.loads(path.read_text()) if path.is_file() else None


def check_data(data: Path, record: str = ROOMS_MADE_OF) -> tuple[Path, Path]:
    """Return the pairs and the maps below `data`; raises DataError naming the command that makes
    them.

    `record`: the file that is written when the maps that are needed are done.
    """
    ebb, maps = data / "mini-ebb", data / "maps"
    made_by = "maps" if record == ROOMS_MADE_OF else "remedy"
    for path, command in (
        (ebb, "make runs/data/.made"),
        (maps / record, f"python -m bradcn_nb experiments {made_by}"),
    ):
        if not path.exists():
            raise DataError(f"{path}: is not there; make it with `{command}`")
    return ebb, maps


def mini_arm(stages: tuple[Stage, ...], seed: int, **settings: Any) -> Preset:
    """Return the mini preset with other stages, a seed, and a model varied by `settings`."""
    mini = preset("mini")
    model = variants.vary(mini.model, **settings) if settings else mini.model
    return dataclasses.replace(mini, model=model, stages=stages, seed=seed)
