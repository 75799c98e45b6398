"""Every stage in order, with Eq. 2's labels between the first two."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from bradcn_nb.errors import RunError, WeightsError
from bradcn_nb.files import file_digest
from bradcn_nb.models import DepthNet, load_weights, read_metadata
from bradcn_nb.models.inference import for_inference
from bradcn_nb.presets import Preset, Stage
from bradcn_nb.training.checkpoint import replacing_run_file
from bradcn_nb.training.devices import make_accelerator, processes
from bradcn_nb.training.labels import make_labels
from bradcn_nb.training.loop import in_main, train
from bradcn_nb.training.run import move_aside
from bradcn_nb.training.stages import earlier_weights, ebb_set, run_labels, sun_set

NETS = {"depth": "DepthNet", "adcn": "ADCN", "render": "RenderNet"}  # what a given file holds


def make_run_labels(
    preset: Preset,
    depth_weights: Path,
    run_dir: Path | None = None,
    out_dir: Path | None = None,
    sun: Path | None = None,
    progress: bool = True,
    batch: int = 8,
) -> Path:
    """Write Eq. 2's labels of SUN RGB-D's splits to train/, test/ and check/ of a folder; return
    it.

    The folder is `out_dir`, or the one in `run_dir` that belongs to this depth net. Goes on where
    an interrupted call stopped. Processes that `accelerate launch` started share the work; `batch`
    is of frames. Raises WeightsError and DataError for what it reads.
    """
    splits = [
        "train",
        "test",
        *(["check"] if preset.data.check and preset.data.check_items else []),
    ]
    frames = {split: sun_set(preset, split, sun) for split in splits}  # fails before the weights
    net = DepthNet(preset.model)
    load_weights(depth_weights, net, preset.name)
    net = for_inference(net).to(processes().device)
    digest = file_digest(depth_weights)
    folder = out_dir or run_labels(run_dir, digest)
    for split in splits:
        make_labels(
            net, frames[split], folder / split, digest, batch, progress,
            weights_name=depth_weights.name,
        )  # fmt: skip
    return folder


def train_all(preset: Preset, run_dir: Path | str, **options) -> Path:
    """Run every stage of `preset` in order, with the labels between them; return the final weights.

    Takes the options of `train`. A stage whose net is in `init` is left out. What all stages read
    is checked before the first begins. Finished stages are skipped, an interrupted one goes on;
    "require" insists that one was begun, "fresh" moves all of them aside. The result is
    `run_dir`/bradcn.safetensors. A preset without stage 0 needs `init={"depth": ...}`. Raises what
    `train` and `make_run_labels` raise.
    """
    run_dir = Path(run_dir)
    init, data = dict(options.pop("init", None) or {}), dict(options.pop("data", None) or {})
    accelerator = make_accelerator(preset.recipe.precision)
    stages = [stage for stage in preset.stages if not is_given(stage, init)]
    check_inputs(preset, stages, init, data)
    folders = [run_dir / stage.name for stage in preset.stages]
    if options.get("resume") == "require":
        if not any((folder / "config.json").is_file() for folder in folders):
            raise RunError(f"{run_dir}: no run to resume; start one with --resume auto")
        options["resume"] = "auto"
    elif options.get("resume") == "fresh":  # all at once: an old stage must not follow a new one

        def move() -> None:
            for folder in folders:
                move_aside(folder)

        in_main(accelerator, move)
        options["resume"] = "auto"
    if options.get("progress", True) and accelerator.is_main_process:
        for stage in preset.stages:
            if stage not in stages:
                print(f"{stage.name}: left out, since its net is given")
    for stage in stages:
        if stage.data == "labels" and not data.get("labels"):
            depth = {**earlier_weights(preset, stage, run_dir), **init}["depth"]
            sun, shown = data.get("sun"), options.get("progress", True)
            make_run_labels(preset, Path(depth), run_dir, None, sun and Path(sun), shown)
        file = train(preset, stage.name, run_dir, init=init, data=data, **options)
    final = run_dir / "bradcn.safetensors"

    def copy() -> None:
        with replacing_run_file(final) as temporary:
            shutil.copyfile(file, temporary)

    in_main(accelerator, copy)
    return final


def is_given(stage: Stage, init: Mapping[str, Path | str]) -> bool:
    """Whether the net that a stage would train is among those that are given."""
    return ("adcn" if stage.calibrates else stage.net) in init


def check_inputs(
    preset: Preset,
    stages: Sequence[Stage],
    init: Mapping[str, Path | str],
    data: Mapping[str, Path | str | None],
) -> None:
    """Raise what `stages` would raise for a missing data set, too few frames or a foreign file.

    `init`: weights files by net; `data`: folders by name, None for the preset's bundled set.
    Nothing large is read.
    """
    if "depth" not in init and all(stage.net != "depth" for stage in stages):
        raise RunError(f"preset {preset.name!r} has no stage 0: name a depth net by --depth")
    for net, path in init.items():
        kind = read_metadata(path)["net"]
        if net in NETS and not kind.endswith(NETS[net]):
            raise WeightsError(
                f"{path}: holds a {kind}, not a {NETS[net]}; name a {net} net's file"
            )
    folder = {name: Path(path) for name, path in data.items() if path}
    kinds = {stage.data for stage in stages}
    if kinds & {"sun", "labels"}:
        sun_set(preset, "train", folder.get("sun"))
    if "ebb" in kinds:
        ebb_set(preset, "train", folder.get("ebb"))
