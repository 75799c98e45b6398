"""Every stage in order, with Eq. 2's labels between the first two."""

import shutil
from pathlib import Path

from bradcn_nb.errors import RunError
from bradcn_nb.files import file_digest
from bradcn_nb.models import DepthNet, load_weights
from bradcn_nb.models.inference import for_inference
from bradcn_nb.presets import Preset
from bradcn_nb.training.checkpoint import replacing_run_file
from bradcn_nb.training.devices import make_accelerator, processes
from bradcn_nb.training.labels import make_labels
from bradcn_nb.training.loop import in_main, train
from bradcn_nb.training.run import move_aside
from bradcn_nb.training.stages import earlier_weights, run_labels, sun_set


def make_run_labels(
    preset: Preset,
    depth_weights: Path,
    run_dir: Path | None = None,
    out_dir: Path | None = None,
    sun: Path | None = None,
    progress: bool = True,
    batch: int = 8,
) -> Path:
    """Write Eq. 2's labels of both SUN RGB-D splits to train/ and test/ of a folder; return it.

    The folder is `out_dir`, or the one in `run_dir` that belongs to this depth net. Goes on where an
    interrupted call stopped. Processes that `accelerate launch` started share the work; `batch` is
    of frames. Raises WeightsError and DataError for what it reads.
    """
    net = DepthNet(preset.model)
    load_weights(depth_weights, net, preset.name)
    net = for_inference(net).to(processes().device)
    digest = file_digest(depth_weights)
    folder = out_dir or run_labels(run_dir, digest)
    for split in ("train", "test"):
        frames = sun_set(preset, split, sun)
        make_labels(
            net, frames, folder / split, digest, batch, progress, weights_name=depth_weights.name
        )
    return folder


def train_all(preset: Preset, run_dir: Path | str, **options) -> Path:
    """Run every stage of `preset` in order, with the labels between them; return the final weights.

    Takes the options of `train`. Finished stages are skipped, an interrupted one goes on; "require"
    insists that one was begun, "fresh" moves all of them aside. The result is `run_dir`/bradcn.safetensors. A preset without stage 0
    needs `init={"depth": ...}`. Raises what `train` and `make_run_labels` raise.
    """
    run_dir = Path(run_dir)
    init, data = dict(options.pop("init", None) or {}), dict(options.pop("data", None) or {})
    accelerator = make_accelerator(preset.recipe.precision)
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
    for stage in preset.stages:
        if stage.data == "labels" and not data.get("labels"):
            depth = {**earlier_weights(preset, stage, run_dir), **init}.get("depth")
            if depth is None:
                raise RunError(
                    f"preset {preset.name!r} has no stage 0: name a depth net by --depth"
                )
            sun, shown = data.get("sun"), options.get("progress", True)
            make_run_labels(preset, Path(depth), run_dir, None, sun and Path(sun), shown)
        file = train(preset, stage.name, run_dir, init=init, data=data, **options)
    final = run_dir / "bradcn.safetensors"

    def copy() -> None:
        with replacing_run_file(final) as temporary:
            shutil.copyfile(file, temporary)

    in_main(accelerator, copy)
    return final
