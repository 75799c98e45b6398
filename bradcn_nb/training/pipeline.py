"""Every stage in order, with Eq. 2's labels between the first two."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from bradcn_nb.errors import RunError
from bradcn_nb.files import file_digest
from bradcn_nb.models import BRADCN, DepthNet, load_weights
from bradcn_nb.models.inference import for_inference
from bradcn_nb.models.weights import check_weights
from bradcn_nb.presets import ModelConfig, Preset
from bradcn_nb.training.checkpoint import read_json, replacing_run_file
from bradcn_nb.training.devices import make_accelerator, processes
from bradcn_nb.training.labels import make_labels
from bradcn_nb.training.loop import in_main, train
from bradcn_nb.training.run import earlier_weights, move_aside, run_labels, trained_net
from bradcn_nb.training.stages import check_data, label_splits, sun_set


def make_run_labels(
    preset: Preset,
    depth_weights: Path,
    run_dir: Path | None = None,
    out_dir: Path | None = None,
    sun: Path | None = None,
    progress: bool = True,
    batch: int = 8,
) -> Path:
    """Write Eq. 2's labels of each `label_splits` of SUN RGB-D to a folder of that name; return it.

    * `depth_weights`: the depth net's file;
    * `out_dir`: where they go; else into the folder in `run_dir` that belongs to this depth net;
    * `sun`: SUN RGB-D; None for the bundled set;
    * `progress`: whether to show a bar;
    * `batch`: frames that the net sees at once.

    Goes on where an interrupted call stopped. Processes that `accelerate launch` started share the
    work. Raises DataError, before the weights are read, and WeightsError for what it reads.
    """
    sets = {split: sun_set(preset, split, sun) for split in label_splits(preset)}
    net = DepthNet(preset.model)
    load_weights(depth_weights, net, preset.name)
    net = for_inference(net).to(processes().device)
    digest, name = file_digest(depth_weights), depth_weights.name
    folder = out_dir or run_labels(run_dir, digest)
    for split, frames in sets.items():
        make_labels(net, frames, folder / split, digest, batch, progress, weights_name=name)
    return folder


def train_all(
    preset: Preset,
    run_dir: Path | str,
    *,
    resume: str = "auto",
    init: dict[str, Path | str] | None = None,
    data: dict[str, Path | str | None] | None = None,
    progress: bool = True,
    build: Callable[[ModelConfig], BRADCN] = BRADCN,
    **options,
) -> Path:
    """Run every stage of `preset` in order, with the labels between; return bradcn.safetensors.

    Takes the options of `train`. A stage whose net is in `init` ("depth", "adcn") is left out,
    unless it was trained by its name from that very file before: then its result is used. All
    inputs are checked before the first stage begins. Finished stages are skipped, an interrupted
    one goes on; "require" insists that one was begun, "fresh" moves all of them aside. Raises what
    `train` and `make_run_labels` raise, and RunError where there is no depth net.
    """
    run_dir, init = Path(run_dir), {net: Path(path) for net, path in (init or {}).items()}
    folders = {name: Path(path) for name, path in (data or {}).items() if path}
    accelerator = make_accelerator(preset.recipe.precision)
    left_out = [
        stage
        for stage in preset.stages
        if (net := trained_net(stage)) in init
        and net in ("depth", "adcn")
        and (resume == "fresh" or not _began_from(run_dir / stage.name, net, init[net]))
    ]
    stages = [stage for stage in preset.stages if stage not in left_out]
    if "depth" not in init and all(stage.net != "depth" for stage in stages):
        raise RunError(f"preset {preset.name!r} has no stage 0: name a depth net by --depth")
    _check_nets(preset, init, build)
    check_data(preset, stages, folders)

    begun = [run_dir / stage.name for stage in preset.stages]
    if resume == "require" and not any((folder / "config.json").is_file() for folder in begun):
        raise RunError(f"{run_dir}: no run to resume; start one with --resume auto")
    if resume == "fresh":  # all at once: an old stage must not follow a new one
        in_main(accelerator, lambda: [move_aside(folder) for folder in begun])
    resume = "auto" if resume in ("require", "fresh") else resume
    if progress and accelerator.is_main_process:
        for stage in left_out:
            print(f"{stage.name}: left out, since its net is given", file=sys.stderr)
    options |= {"resume": resume, "progress": progress, "build": build}
    for stage in stages:
        if stage.data == "labels" and "labels" not in folders:
            depth = {**earlier_weights(preset, stage, run_dir), **init}["depth"]
            make_run_labels(preset, depth, run_dir, None, folders.get("sun"), progress)
        file = train(preset, stage.name, run_dir, init=init, data=folders, **options)
        init.pop(trained_net(stage), None)  # from now on it is what this stage has made of it
    final = run_dir / "bradcn.safetensors"

    def copy() -> None:
        with replacing_run_file(final) as temporary:
            shutil.copyfile(file, temporary)

    in_main(accelerator, copy)
    return final


def _began_from(folder: Path, net: str, file: Path) -> bool:
    """Whether a stage was begun, by its own name, from the weights in `file`."""
    config = folder / "config.json"
    return config.is_file() and read_json(config)["init"].get(net) == file_digest(file)


def _check_nets(
    preset: Preset, init: dict[str, Path], build: Callable[[ModelConfig], BRADCN]
) -> None:
    """Raise WeightsError for a file in `init` that some stage will not be able to read."""
    with torch.device("meta"):  # without values: nothing large is made or read
        model = build(preset.model)
    parts = {"depth": model.depth_net, "adcn": model.adcn, "render": model.render_net}
    for net, path in init.items():
        check_weights(path, parts.get(net, model), preset.name)
