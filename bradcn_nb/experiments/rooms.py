"""A depth net that has only seen rooms, and two ADCNs that learned its errors outdoors, where it is
used.

The bundled depth net has learned from the very kind of scene that it is judged on; what it still
gets wrong there, no net can foresee from the same picture. The paper's depth net comes from
elsewhere. So does this one: stage 0 on mini-SUN's rooms. Both ADCNs learn from the training pairs'
true depth: the paper's (absolute error, from the picture alone) and the signed one (ledger id
"signed-error").
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bradcn_nb.data import MapStack
from bradcn_nb.experiments.maps import (
    MADE_OF,
    ROOMS_MADE_OF,
    derangement,
    pictures,
    splits_of,
    write_maps,
)
from bradcn_nb.experiments.metrics import pack
from bradcn_nb.experiments.runs import check_data, mini_arm
from bradcn_nb.experiments.variants import build
from bradcn_nb.models import BRADCN, load_weights
from bradcn_nb.models.weights import weights_hash
from bradcn_nb.presets import ALL_BUT_ADCN, Preset, Stage
from bradcn_nb.training import train

KINDS = ("absolute", "signed")
EXAMPLE = 4501  # the test pair whose maps chapter 14 shows
CLOSEST_M = 0.1  # a depth corrected to less, or to something negative, counts as this


def rooms_preset(kind: str) -> Preset:
    """Return what trains the depth net (stage 0) and an ADCN of a kind beside it (stage 1)."""
    stages = (
        Stage("stage0", "depth", "sun", 12, 5e-4, 8, schedule="cosine"),
        Stage(
            "stage1", "bradcn", "ebb", 3, 1e-3, 8, schedule="cosine",
            frozen=ALL_BUT_ADCN, given=("true", None),
        ),
    )  # fmt: skip
    return mini_arm(stages, 0, error_kind=kind)


def make_room_maps(data: Path, runs: Path, progress: bool = True) -> Path:
    """Train the nets in `runs` (about 8 minutes of one core), write their maps to `data`/maps;
    return it.

    `rooms`: Do of the depth net that knows rooms. `rooms-absolute`, `rooms-signed`: De as each ADCN
    predicts it. `rooms-shuffled`: the `rooms-signed` of another picture of the same split. As
    `make_maps` otherwise. Finished trainings and maps are kept.
    """
    ebb, folder = data / "mini-ebb", data / "maps"
    sources = {"ebb": ebb, "maps": folder}
    depth = train(rooms_preset("absolute"), "stage0", runs, threads=1, progress=progress)
    nets, files = {}, {}
    for kind in KINDS:
        chosen = rooms_preset(kind)
        files[kind] = train(
            chosen, "stage1", runs / kind, init={"depth": depth}, data=sources, threads=1,
            progress=progress, build=build,
        )  # fmt: skip
        nets[kind] = build(chosen.model)
        load_weights(files[kind], nets[kind], chosen.name)
        nets[kind].eval()
    made_of = {kind: weights_hash(file) for kind, file in files.items()}
    made_of |= json.loads((folder / MADE_OF).read_text())
    record = folder / ROOMS_MADE_OF
    if record.is_file() and json.loads(record.read_text()) == made_of:
        return folder
    splits = splits_of(ebb)
    parts: dict[str, list[np.ndarray]] = {"rooms": [], **{f"rooms-{kind}": [] for kind in KINDS}}
    with torch.inference_mode():
        for images in pictures(splits, progress):
            for kind, net in nets.items():
                output = net(images, render=False)
                parts[f"rooms-{kind}"].append(output.depth_error[:, 0].numpy())
            parts["rooms"].append(output.depth[:, 0].numpy())
    maps = {name: np.concatenate(values) for name, values in parts.items()}
    train_pairs, pairs = len(splits[0]), len(maps["rooms"])
    maps["rooms-shuffled"] = maps["rooms-signed"][derangement(train_pairs, pairs)]
    write_maps(folder, maps, ROOMS_MADE_OF, made_of)
    return folder


def rooms_example(model: BRADCN, options: argparse.Namespace) -> dict[str, Any]:
    """Return the maps of one test pair, packed: `rooms`, Do, and `corrected`, Do + the signed De.

    In metres, cut to what the depth net could say itself. Raises DataError where there are no maps.
    """
    _, folder = check_data(options.runs / "data")
    depth, error = (MapStack(folder, name)[EXAMPLE][0] for name in ("rooms", "rooms-signed"))
    corrected = np.clip(depth + error, CLOSEST_M, 1 / model.depth_net.shift)
    return {"pair": EXAMPLE, "maps": {"rooms": pack(depth), "corrected": pack(corrected)}}
