"""What the stages differ in: their net, their data, and what their loss compares."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.data import Dataset

from bradcn_nb.data import EBB, SUNRGBD, DefocusPairs, FileDataset, MappedEBB, Part, Scenes
from bradcn_nb.errors import DataError, RunError
from bradcn_nb.files import data_root
from bradcn_nb.models import ADCN, BRADCN, DepthNet, baselines, load_weights
from bradcn_nb.presets import ModelConfig, Preset, Stage
from bradcn_nb.training.devices import net_of
from bradcn_nb.training.label_files import read_manifest
from bradcn_nb.training.labels import LabelSet

# Far from the seeds of the bundled sets, whose pictures stage 0 never sees.
STAGE0_FIRST_SEED = 10_000_000
STAGE0_CHECK_SEED = 9_000_000
CACHE_BYTES = 1 << 30  # a data set that fits is kept in memory after its first reading


@dataclass(frozen=True)
class Sources:
    """Where a stage's data comes from; None means the preset's bundled set."""

    ebb: Path | None = None
    sun: Path | None = None
    labels: Path | None = None
    maps: Path | None = None


def bundled(name: str | None, option: str, preset: Preset) -> Path:
    """Return the folder of the bundled set `name`; DataError when the preset bundles none."""
    if name is None:
        raise DataError(
            f"preset {preset.name!r} bundles no such data: name its folder with {option}"
        )
    return data_root() / name


def ebb_set(
    preset: Preset,
    split: str,
    root: Path | None,
    maps: Path | None = None,
    given: tuple[str | None, ...] = (),
    flip: bool = False,
    defocus: bool = False,
) -> EBB:
    """Return EBB! at the preset's training size; raises DataError as `EBB` does.

    * `split`: "train", "test", or "check" for the preset's own pairs of neither;
    * `root`: the folder of the first two, or None for the bundled set;
    * `maps`, `given`: a folder, and the names of its maps that items hold beside the pictures;
    * `flip`: whether half of the pairs are mirrored, other ones in each epoch;
    * `defocus`: whether items hold the pair's defocus instead of its bokeh.
    """
    if split == "check":
        root, split = data_root() / preset.data.check, "train"
    root = root or bundled(preset.data.ebb, "--ebb", preset)
    size, scale = preset.data.train_size, preset.data.truth_scale
    cache = 4400 * size[0] * size[1] * 3 * (1 + scale**2) < CACHE_BYTES
    options = {"truth_scale": scale, "flip": flip, "seed": preset.seed, "cache": cache}
    if any(given) and maps is None:
        raise DataError(f"maps {given} are asked for: name their folder")
    if defocus:
        return DefocusPairs(root, split, size, maps, given, **options)
    if not any(given):
        return EBB(root, split, size, **options)
    return MappedEBB(root, split, size, maps, given, **options)


def sun_set(preset: Preset, split: str, root: Path | None, flip: bool = False) -> SUNRGBD:
    """Return SUN RGB-D at the preset's training size; raises DataError as `SUNRGBD` does.

    `split` and `root` are as in `ebb_set`; the preset's seed draws the split. `flip` mirrors half
    of the frames; labels, whose files follow the frames, forbid it.
    """
    data = preset.data
    counts = data.sun_counts
    if split == "check":
        root, split, counts = data_root() / data.check, "train", (data.check_items, 0)
    root = root or bundled(data.sun, "--sun", preset)
    height, width = data.train_size
    cache = max(counts) * height * width * 8 < CACHE_BYTES
    return SUNRGBD(
        root,
        split,
        counts,
        preset.seed,
        size=data.train_size,
        clip_m=data.clip_m,
        scheme=data.sun_split,
        flip=flip,
        cache=cache,
    )


def label_splits(preset: Preset) -> list[str]:
    """Return which sets of SUN RGB-D get labels: "check" where the preset has a set for that."""
    return ["train", "test"] + ["check"] * bool(preset.data.check and preset.data.check_items)


def check_data(preset: Preset, stages: Iterable[Stage], data: Mapping[str, Path]) -> None:
    """Raise the DataError that `stages` would raise for a missing or too small set; reads no file.

    `data`: folders by name ("ebb", "sun", "labels"); without one, the preset's bundled set.
    """
    for kind in sorted({stage.data for stage in stages}):
        if kind in ("ebb", "pairs"):
            ebb_set(preset, "train", data.get("ebb"))
        elif kind != "scenes":
            sun_set(preset, "train", data.get("sun"))
        if kind == "labels" and "labels" in data:
            read_manifest(data["labels"] / "train")


def datasets(
    preset: Preset, stage: Stage, sources: Sources, depth_digest: str | None
) -> tuple[Dataset, Dataset]:
    """Return the stage's training set, and the items that it is scored on after each epoch.

    The training set has `set_epoch`, since its mirroring, or all of it in stage 0, changes with the
    epoch (ledger id "augmentation"). The others are neither trained nor tested on (ledger id
    "check-items"): the preset's own set of such items, else the last ones of the training set, at
    most a tenth, which it then lacks; none where items hold maps, which no others have. Labels must
    be those of the depth net with `depth_digest`. Raises DataError when a folder is missing or not
    in its layout.
    """
    data = preset.data
    wanted = 0 if any(stage.given) else data.check_items
    if stage.data == "scenes":
        scenes = Scenes(stage.samples_per_epoch, STAGE0_FIRST_SEED, data.train_size)
        return scenes, Scenes(wanted, STAGE0_CHECK_SEED, data.train_size)

    def items(split: str, flip: bool = False) -> FileDataset:
        if stage.data in ("ebb", "pairs"):
            pairs = stage.data == "pairs"
            return ebb_set(preset, split, sources.ebb, sources.maps, stage.given, flip, pairs)
        if stage.data == "sun":
            return sun_set(preset, split, sources.sun, flip)
        frames, folder = sun_set(preset, split, sources.sun), sources.labels / split
        return LabelSet(frames, folder, depth_digest, flip=flip, seed=preset.seed)

    train = items("train", flip=True)
    if data.check and wanted:
        check = items("check")
        return train, Part(check, range(min(wanted, len(check))))
    kept = len(train) - min(wanted, len(train) // 10)
    held_out = Part(items("train"), range(kept, len(train)))
    return Part(train, range(kept)), held_out


def make_net(
    preset: Preset,
    stage: Stage,
    init: dict[str, Path],
    build: Callable[[ModelConfig], BRADCN] = BRADCN,
) -> torch.nn.Module:
    """Build the stage's net and load the weights that `init` names.

    A whole BRADCN starts from `bradcn` if given (stage 2b), else from `depth` and `adcn` (stage
    2a), and from `render` if that is given, too (ledger id "render-start"). A baseline of Table I
    starts from its own name if given, else DBSI's depth net from `depth`. Raises WeightsError for a
    foreign file and RunError when a net is missing or has nothing to learn.
    """
    if stage.net in baselines.NAMES:
        return _make_baseline(preset, stage, init)
    if stage.net != "bradcn":
        net = DepthNet(preset.model) if stage.net == "depth" else ADCN(preset.model)
        if stage.net in init:
            load_weights(init[stage.net], net, preset.name)
        return net
    net = build(preset.model)
    if "bradcn" in init:
        load_weights(init["bradcn"], net, preset.name)
        return net
    for part, module in (("depth", net.depth_net), ("adcn", net.adcn)):
        if part in init:
            load_weights(init[part], module, preset.name)
        elif part == "depth" or not stage.calibrates:  # else ADCN is about to be trained
            raise RunError(f"{stage.name} needs a trained {part} net: train its stage first")
    if "render" in init:
        load_weights(init["render"], net.render_net, preset.name)
    return net


def _make_baseline(preset: Preset, stage: Stage, init: dict[str, Path]) -> torch.nn.Module:
    if stage.net not in baselines.TRAINED:
        raise RunError(f"{stage.net} has nothing to learn: judge it as it is")
    net = baselines.build(stage.net, "mini" if preset.name == "mini" else "full")
    if stage.net in init:
        load_weights(init[stage.net], net, preset.name)
    elif stage.net in baselines.WITH_DEPTH_NET:
        if "depth" not in init:
            raise RunError(f"{stage.name} needs a trained depth net: train its stage first")
        load_weights(init["depth"], net.depth_net, preset.name)
    return net


Comparison = tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]


def compare(stage: Stage, net: torch.nn.Module, batch: dict) -> Comparison:
    """What the loss compares on a batch: (prediction, target, mask or None).

    Stage 0: inverse depth in 1/m. The blur's diameter is linear in it, and so
    is DPT's own output; what is farther than the net reaches, or sky, counts
    as its reach (ledger id "stage0"). Stage 1: metres (Eq. 2). Stage 2:
    pictures in [0, 1], enlarged to the truth's size as the protocol val294
    does it (ledger id "mini-truth"). Where the ADCN of a whole model alone
    learns, its label is made in the step: from the depth of the batch, or
    from its pair.
    """
    if stage.net == "depth":
        known, reach = batch["mask"], 1 / net_of(net).shift
        depth = torch.where(known, batch["depth"], reach).clamp(max=reach)
        mask = None if stage.data == "scenes" else known
        return 1 / net(batch["image"]), 1 / depth, mask
    if stage.net == "adcn":
        return net(batch["image"]), batch["error"], batch["mask"]
    if stage.calibrates:
        given = given_maps(batch) if stage.data == "pairs" else {}
        output = net(batch["image"], **given, render=False)
        label = net_of(net).error_label(output.depth, batch)
        return output.depth_error, label, batch.get("mask")
    output = net(batch["image"], **given_maps(batch))
    return enlarge(output.bokeh, batch["bokeh"]), batch["bokeh"], None


def given_maps(batch: dict) -> dict[str, torch.Tensor]:
    """Return the maps that a batch of pairs brings along, as BRADCN takes them."""
    return {key: batch[key] for key in ("depth", "depth_error") if key in batch}


def enlarge(picture: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return `picture` (N, C, h, w) at the height and width of `like`, bilinear."""
    if picture.shape[-2:] == like.shape[-2:]:
        return picture
    return F.interpolate(picture, size=like.shape[-2:], mode="bilinear", align_corners=False)


def terms(stage: Stage, batch: dict) -> int:
    """Return how many terms a batch adds to the loss's mean: pixels with a label, or else items.

    Batches of unequal size, of one step or of several processes, are weighted by it.
    """
    masked = stage.data in ("sun", "labels", "pairs")
    return int(batch["mask"].sum()) if masked else len(batch["image"])


def score(stage: Stage, prediction: torch.Tensor, target: torch.Tensor, mask) -> float:
    """Return PSNR in dB of pictures, or the mean absolute error of maps, inside of a mask."""
    if stage.data == "ebb" and not stage.calibrates:
        squared = (prediction.clamp(0, 1) - target).square().flatten(1).mean(1)
        return float((-10 * squared.clamp_min(1e-10).log10()).mean())
    error = (prediction - target).abs()
    return float(error[mask].mean() if mask is not None else error.mean())


def is_better(stage: Stage, score: float, than: float) -> bool:
    """Whether one `score` of a stage beats another: PSNR is to rise, an error is to fall."""
    rises = stage.data == "ebb" and not stage.calibrates
    return score > than if rises else score < than


def panels(stage: Stage, net: torch.nn.Module, batch: dict) -> list[list[torch.Tensor]]:
    """Return rows of pictures (3, H, W) in [0, 1]: input, maps, output, truth; near is bright."""
    image = batch["image"]
    if stage.net == "depth":
        prediction, target, _ = compare(stage, net, batch)
        columns = [image, prediction, target]
    elif stage.net == "adcn" or stage.calibrates:
        prediction, target, mask = compare(stage, net, batch)
        target = target if mask is None else torch.where(mask, target, 0)
        columns = [image, prediction.abs() / 2, target.abs() / 2]  # white: 2 m, or 2 %
    else:
        output = net(image, **given_maps(batch))
        maps = [] if output.depth is None else [1 / output.depth]
        maps += [] if output.depth_error is None else [output.depth_error / 2]
        columns = [image, *maps, output.bokeh, batch["bokeh"]]
        columns = [enlarge(column, batch["bokeh"]) for column in columns]
    rows = zip(*columns, strict=True)
    return [[panel.expand(3, -1, -1).clamp(0, 1) for panel in row] for row in rows]
