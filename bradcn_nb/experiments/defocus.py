"""Defocus maps of every pair of mini-EBB: true, read off the pair, and predicted from a picture.

What a net has learned by heart of a pair it cannot know of a new picture, and whoever is trained on
its map would trust it too much. So the training pairs' maps come from nets that have not seen the
pair: one learns from the even half, one from the odd half, and each predicts the other's. The test
pairs' come from a third, which has learned from all training pairs.
"""

import json
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from bradcn_nb.data import EBB, DefocusPairs, MapStack
from bradcn_nb.data.bundle import EBB_SEED, EBB_SIZE
from bradcn_nb.data.ebb import EBB_FOLDERS
from bradcn_nb.data.parallel import each
from bradcn_nb.experiments.maps import (
    MADE_OF,
    PAIRS_MADE_OF,
    defocus_record,
    defocus_weights,
    derangement,
    make_maps,
    pictures,
    splits_of,
    write_maps,
)
from bradcn_nb.experiments.record import weights_path
from bradcn_nb.experiments.runs import mini_arm
from bradcn_nb.experiments.variants import build
from bradcn_nb.lens.by_depth import default_focus
from bradcn_nb.lens.reference import pinhole_depth
from bradcn_nb.lens.thin_lens import Camera, coc_diameter, resize
from bradcn_nb.models import load_weights, save_weights
from bradcn_nb.models.weights import weights_hash
from bradcn_nb.presets import ALL_BUT_ADCN, Preset, Stage, preset
from bradcn_nb.scenes import outdoor_scene
from bradcn_nb.training import train

FOLDS = 2  # that the training pairs are cut into
WHOLE = "whole"


def calibration_preset(seed: int) -> Preset:
    """Return what trains a DefocusNet: as long as Table II's ADCNs that were taught outdoors."""
    stage = Stage(
        "stage1", "bradcn", "pairs", 3, 1e-3, 8, schedule="cosine",
        frozen=ALL_BUT_ADCN, given=("predicted", None, "matched"),
    )  # fmt: skip
    return mini_arm((stage,), seed, error_kind="defocus")


def make_defocus_maps(data: Path, runs: Path, seeds: int, jobs: int, progress: bool) -> Path:
    """Write the maps to `data`/maps, in % of the picture's height; return it.

    Without a training (see `pair_maps`): `true-defocus`, `matched`, `classical-defocus`. For each
    seed, of nets trained in `runs` (about 5 minutes of one core):

    * `defocus-SEED`: as predicted from the picture and its predicted depth;
    * `shuffled-SEED`: that of another picture of the same split;
    * `other-depth-SEED`, `constant-depth-SEED`: as predicted when the net is told another picture's
      depth, or the same 2 m everywhere.

    Finished trainings and maps are kept. Raises DataError for a folder without pairs.
    """
    ebb, folder = data / "mini-ebb", data / "maps"
    pair_maps(ebb, folder, jobs, progress)
    for fold in range(FOLDS):
        link_fold(ebb, runs / f"fold-{fold}", fold)
    parts = [(seed, part) for seed in range(seeds) for part in (*range(FOLDS), WHOLE)]
    trained = partial(_trained, ebb=ebb, maps=folder, runs=runs)
    files = list(
        each(trained, parts, jobs, title="calibrations", unit="run", progress=progress, spawn=True)
    )
    for seed in range(seeds):
        own = {part: file for (s, part), file in zip(parts, files, strict=True) if s == seed}
        _write_predicted(ebb, folder, seed, own, progress)
    return folder


def pair_maps(ebb: Path, folder: Path, jobs: int, progress: bool) -> None:
    """Write the maps that no training needs, beside those of `make_maps`.

    * `true-defocus`: the scene's own circle of confusion, which mini-EBB's lens has drawn;
    * `matched`: what `defocus_map` reads off the pair, UNKNOWN where it tells nothing;
    * `classical-defocus`: by the predicted depth through EBB!'s lens, focused as the classical
      baseline is: what the lens draws when nobody calibrates.
    """
    make_maps(ebb, folder, jobs, progress)
    record, made_of = folder / PAIRS_MADE_OF, json.loads((folder / MADE_OF).read_text())
    if record.is_file() and json.loads(record.read_text()) == made_of:
        return
    splits = splits_of(ebb)
    numbers = [number for split in splits for number, _, _ in split.pairs]
    items = [(split.split, index) for split in splits for index in range(len(split))]
    size, depths = preset("mini").data.train_size, MapStack(folder, "predicted")
    run = partial(each, jobs=jobs, unit="pair", progress=progress)
    maps = {
        "true-defocus": run(true_defocus, numbers, title="scenes"),
        "matched": run(partial(_matched, ebb=ebb), items, title="discs"),
        "classical-defocus": (_classical(depths[number][0]) for number in numbers),
    }
    write_maps(
        folder,
        {name: np.stack([resize(m, size) for m in values]) for name, values in maps.items()},
        PAIRS_MADE_OF,
        made_of,
    )


def true_defocus(number: int) -> np.ndarray:
    """Return the radius of pair `number`'s circle of confusion, (h, w) of mini-EBB, in % of h."""
    cv2.setNumThreads(1)
    scene = outdoor_scene(EBB_SEED + number)
    depth = pinhole_depth(scene.layers(*EBB_SIZE, margin=0.14), *EBB_SIZE)  # as `Scene.pair`
    return (50 * coc_diameter(depth, scene.focus_m, scene.camera)).astype(np.float32)


def link_fold(ebb: Path, folder: Path, fold: int) -> None:
    """Make `folder` a mini-EBB of links to every `FOLDS`th training pair of `ebb`, from `fold`."""
    for name, place in zip(EBB_FOLDERS, (1, 2), strict=True):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for pair in EBB(ebb, "train").pairs[fold::FOLDS]:
            link = folder / name / pair[place].name
            if not link.is_symlink():
                link.symlink_to(pair[place].resolve())


def _matched(item: tuple[str, int], ebb: Path) -> np.ndarray:
    split, index = item
    return _pairs(ebb, split).read(index)["defocus"][0]


@cache
def _pairs(ebb: Path, split: str) -> DefocusPairs:
    chosen = preset("mini").data
    return DefocusPairs(ebb, split, chosen.train_size, truth_scale=chosen.truth_scale)


def _classical(depth: np.ndarray) -> np.ndarray:
    return 50 * coc_diameter(depth, default_focus(depth), Camera())


def _trained(part: tuple[int, int | str], ebb: Path, maps: Path, runs: Path) -> Path:
    """Train one DefocusNet, or find it trained; return its weights."""
    seed, fold = part
    chosen = calibration_preset(seed)
    root = ebb if fold == WHOLE else runs / f"fold-{1 - int(fold)}"  # predicts what it has not seen
    run = runs / f"seed-{seed}" / f"fold-{fold}"
    return train(
        chosen, "stage1", run, init={"depth": weights_path("depth")},
        data={"ebb": root, "maps": maps}, threads=1, progress=False, build=build,
    )  # fmt: skip


def _write_predicted(
    ebb: Path, folder: Path, seed: int, files: dict[int | str, Path], progress: bool
) -> None:
    record = folder / defocus_record(seed)
    made_of = {str(part): weights_hash(file) for part, file in files.items()}
    made_of |= json.loads((folder / PAIRS_MADE_OF).read_text())
    if record.is_file() and json.loads(record.read_text()) == made_of:
        return
    splits = splits_of(ebb)
    train_pairs, pairs = len(splits[0]), sum(map(len, splits))
    nets = {}
    for part, file in files.items():
        model = build(calibration_preset(seed).model)
        load_weights(file, model, "mini")
        nets[part] = model.adcn.eval()
    save_weights(nets[WHOLE], defocus_weights(folder, seed), "mini")
    own = [row % FOLDS if row < train_pairs else WHOLE for row in range(pairs)]
    depth = np.load(folder / "predicted.npy").astype(np.float32)[:, None]
    told = {
        "defocus": depth,
        "other-depth": depth[derangement(train_pairs, pairs)],
        "constant-depth": np.full_like(depth, 2.0),
    }
    maps = {f"{name}-{seed}": np.empty((pairs, *depth.shape[2:]), np.float32) for name in told}
    rows = 0
    with torch.inference_mode():
        for images in tqdm(list(pictures(splits, False)), f"seed {seed}", disable=not progress):
            for row, image in enumerate(images, start=rows):
                net = nets[own[row]]
                for name, depths in told.items():
                    drawn = net(image[None], torch.from_numpy(depths[row][None]))
                    maps[f"{name}-{seed}"][row] = drawn[0, 0].numpy()
            rows += len(images)
    maps[f"shuffled-{seed}"] = maps[f"defocus-{seed}"][derangement(train_pairs, pairs)]
    write_maps(folder, maps, defocus_record(seed), made_of)
