"""What the book keeps of a training: its weights, the logs of its stages and a few sample strips.

`python -m bradcn_nb experiments bundled-weights` writes `bradcn-mini.safetensors`,
`depth-mini.safetensors` (stage 0's), `logs/STAGE.csv.gz` and `samples/STAGE-epoch-NNN.jpg` below
data/weights. The weights are kept as 16-bit floats: half the bytes, and a picture changes by less
than 1/255.
"""

import gzip
from io import BytesIO
from pathlib import Path

from PIL import Image

from bradcn_nb.errors import RunError
from bradcn_nb.experiments.defocus import calibration_preset
from bradcn_nb.experiments.variants import build
from bradcn_nb.files import write_atomically
from bradcn_nb.models import BRADCN, DepthNet, load_weights, save_weights
from bradcn_nb.presets import Preset, Stage, preset

TRAINED = "bradcn.safetensors"
JPEG_QUALITY = 75  # a strip of four pictures is then some 75 kB


def kept_epochs(epochs: int) -> list[int]:
    """Return the epochs (from 1) whose strips are kept: close together at first, then wider
    apart."""
    return sorted({1, 2, epochs // 3, epochs} & {*range(1, epochs + 1)})


def bundle(run_dir: Path, out_dir: Path, stages: tuple[Stage, ...]) -> list[Path]:
    """Copy every stage's log and stage 2's sample strips of a finished run; return the new files.

    Strips become JPEGs without colour subsampling. Raises RunError naming the first file that is
    missing.
    """
    made = {}
    for stage in stages:
        folder = run_dir / stage.name
        # Without the time of day: the same log gives the same bytes.
        log = gzip.compress(_read(folder / "log.csv"), mtime=0)
        made[out_dir / "logs" / f"{stage.name}.csv.gz"] = log
        if stage.net != "bradcn":
            continue
        for epoch in kept_epochs(stage.epochs):
            name = f"epoch-{epoch:03d}"
            strip, jpeg = _read(folder / "samples" / f"{name}.png"), BytesIO()
            with Image.open(BytesIO(strip)) as picture:
                picture.save(jpeg, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True)
            made[out_dir / "samples" / f"{stage.name}-{name}.jpg"] = jpeg.getvalue()
    for path, data in made.items():
        write_atomically(path, data)
    return list(made)


def keep_weights(preset: Preset, run_dir: Path, out_dir: Path) -> list[Path]:
    """Copy a run's BRADCN and stage 0's depth net, with their metadata, as 16-bit floats; return
    the files.

    Raises WeightsError when the run has no finished weights of this preset.
    """
    kept = []
    for name, net, file in (
        ("bradcn", BRADCN(preset.model), run_dir / "bradcn.safetensors"),
        ("depth", DepthNet(preset.model), run_dir / "stage0" / "depth.safetensors"),
    ):
        about = load_weights(file, net, preset.name)
        kept.append(out_dir / f"{name}-{preset.name}.safetensors")
        save_weights(net, kept[-1], preset.name, half=True, **made_by(about))
    return kept


def made_by(about: dict[str, str]) -> dict[str, str]:
    """Return what a weights file's metadata say of its making, and not of its net."""
    known = ("stage", "steps", "seed", "config", "commit", "versions", "log_sha256")
    return {key: value for key, value in about.items() if key in known}


def keep_defocus(run_dir: Path, out_dir: Path) -> Path:
    """Copy the DefocusNet of seed 0, which has learned from all training pairs; return the file.

    Raises WeightsError where the remedy has not been trained.
    """
    net = build(calibration_preset(0).model)
    about = load_weights(run_dir / "seed-0" / "fold-whole" / "stage1" / TRAINED, net, "mini")
    kept = out_dir / "defocus-mini.safetensors"
    save_weights(net.adcn, kept, "mini", half=True, **made_by(about))
    return kept


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}); finish the run first") from None


def bundle_run(run_dir: Path, out_dir: Path) -> Path:
    """Copy what the book keeps of a finished training of `mini` from `run_dir`; return `out_dir`.

    Raises RunError naming the first file that is missing, WeightsError for weights of another
    preset.
    """
    mini = preset("mini")
    keep_weights(mini, run_dir, out_dir)
    bundle(run_dir, out_dir, mini.stages)
    return out_dir
