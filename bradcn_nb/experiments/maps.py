"""Depth and error maps of every pair of mini-EBB, predicted and true, for trainings that are given
them.

Real EBB! has no true depth; the generated scenes do. With the nets frozen their maps never change,
so they are computed once, which also makes a training step of the Render Net alone three times
faster.
"""

import json
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from tqdm import tqdm

from bradcn_nb.data import EBB, resize_nearest
from bradcn_nb.data.bundle import EBB_SEED, EBB_SIZE
from bradcn_nb.data.maps import IDS
from bradcn_nb.data.parallel import each
from bradcn_nb.errors import DataError
from bradcn_nb.experiments.record import weights_path
from bradcn_nb.files import write_atomically
from bradcn_nb.lens.reference import pinhole_depth
from bradcn_nb.models import load_bradcn, load_depth_net
from bradcn_nb.models.weights import weights_hash
from bradcn_nb.presets import preset
from bradcn_nb.scenes import outdoor_scene

MADE_OF, ROOMS_MADE_OF = "made-of.json", "rooms-made-of.json"
PAIRS_MADE_OF = "pairs-made-of.json"
BATCH = 16
SHUFFLE_SEED = 0


def defocus_record(seed: int) -> str:
    """Return the name of the file that says what the defocus maps of a seed were made of."""
    return f"defocus-{seed}-made-of.json"


def defocus_weights(folder: Path, seed: int) -> Path:
    """Return the file of the DefocusNet that made the test pairs' defocus maps of a seed."""
    return folder / f"defocus-{seed}.safetensors"


def true_depth(number: int, reach: float) -> np.ndarray:
    """Return the depth of pair `number`'s picture, (h, w) of mini-EBB in metres, at most
    `reach`."""
    cv2.setNumThreads(1)
    layers = outdoor_scene(EBB_SEED + number).layers(*EBB_SIZE, margin=0.14)  # as `Scene.pair`
    return np.minimum(pinhole_depth(layers, *EBB_SIZE), reach).astype(np.float32)


def make_maps(ebb: Path, out: Path, jobs: int = 2, progress: bool = True) -> Path:
    """Write the maps of all pairs of a mini-EBB below `ebb` to `out`/NAME.npy; return `out`.

    * `predicted`: Do of stage 0's depth net; `adcn`: De as ADCN predicts it;
    * `true`: the scene's depth, as far as the depth net can reach;
    * `error`: |predicted - true| (Eq. 2); `signed`: true - predicted;
    * `dioptre`: |1 / predicted - 1 / true| in 1/m, in which blur is linear;
    * `shuffled`: the `adcn` of another picture of the same split;
    * `constant`: the mean of `adcn` over the training pairs, everywhere.

    All (pairs, h, w), float16, metres but for `dioptre`, at mini's training size. Finished maps of
    the same weights and pairs are kept. Raises DataError for a folder without pairs.
    """
    size = preset("mini").data.train_size
    splits = splits_of(ebb)
    numbers = [number for split in splits for number, _, _ in split.pairs]
    made_of = {
        "depth": weights_hash(weights_path("depth")),
        "adcn": weights_hash(weights_path()),
        "pairs": len(numbers),
    }
    if (out / MADE_OF).is_file() and json.loads((out / MADE_OF).read_text()) == made_of:
        return out
    depth_net, adcn = load_depth_net(), load_bradcn().adcn
    predicted, error = [], []
    with torch.inference_mode():
        for images in pictures(splits, progress):
            predicted.append(depth_net(images)[:, 0].numpy())
            error.append(adcn(images)[:, 0].numpy())
    maps = {"predicted": np.concatenate(predicted), "adcn": np.concatenate(error)}
    depth_of = partial(true_depth, reach=1 / depth_net.shift)
    depths = each(depth_of, numbers, jobs, title="scenes", unit="scene", progress=progress)
    maps["true"] = np.stack([resize_nearest(depth, size) for depth in depths])
    maps["signed"] = maps["true"] - maps["predicted"]
    maps["error"] = np.abs(maps["signed"])
    maps["dioptre"] = np.abs(1 / maps["predicted"] - 1 / maps["true"])
    train = len(splits[0])
    maps["shuffled"] = maps["adcn"][derangement(train, len(numbers))]
    maps["constant"] = np.full_like(maps["adcn"], maps["adcn"][:train].mean())
    write_atomically(out / IDS, json.dumps(numbers).encode())
    write_maps(out, maps, MADE_OF, made_of)
    return out


def splits_of(ebb: Path) -> list[EBB]:
    """Return the training and the test pairs below `ebb` at mini's training size."""
    return [EBB(ebb, split, preset("mini").data.train_size) for split in ("train", "test")]


def pictures(splits: list[EBB], progress: bool) -> Iterator[torch.Tensor]:
    """Yield the pictures of all pairs in order, (n, 3, h, w) in [0, 1], n at most `BATCH`."""
    items = [(split, index) for split in splits for index in range(len(split))]
    starts = range(0, len(items), BATCH)
    for first in tqdm(starts, desc="nets", unit="batch", disable=not progress):
        chosen = items[first : first + BATCH]
        yield torch.stack([split.load(index)["image"] for split, index in chosen])


def write_maps(
    folder: Path, maps: dict[str, np.ndarray], record: str, made_of: dict[str, Any]
) -> None:
    """Write `folder`/NAME.npy of each map (pairs, h, w), and at last what they were made of.

    Raises DataError for a map that is not finite.
    """
    for name, values in maps.items():
        if not np.isfinite(values).all():
            raise DataError(f"{folder / name}.npy: not finite; check the weights that made it")
        data = BytesIO()
        np.save(data, values.astype(np.float16))
        write_atomically(folder / f"{name}.npy", data.getvalue())
    write_atomically(folder / record, json.dumps(made_of).encode())


def derangement(train: int, pairs: int) -> np.ndarray:
    """Return for each pair another one of its split: rows 0..train-1 and train..pairs-1,
    (pairs,)."""
    rng, rows = np.random.default_rng(SHUFFLE_SEED), np.empty(pairs, int)
    for part in (np.arange(train), np.arange(train, pairs)):
        order = rng.permutation(part)
        rows[order] = np.roll(order, 1)
    return rows
