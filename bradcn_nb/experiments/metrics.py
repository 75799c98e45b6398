"""What chapter 12 quotes about PSNR, SSIM and LPIPS, measured where LPIPS's weights are.

A reader without the weights sees these numbers; with them, the chapter measures some again and
compares.
"""

import argparse
import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from bradcn_nb.data import EBB, resize_picture, to_tensor
from bradcn_nb.data.bundle import EBB_SEED, EBB_SIZE
from bradcn_nb.evaluation.distortions import (
    Picture,
    blur,
    blur_where,
    contrast,
    jpeg,
    noise,
    shift,
    to_psnr,
)
from bradcn_nb.evaluation.lpips import lpips_net, to_lpips
from bradcn_nb.evaluation.metrics import Protocol, lpips, psnr, val294
from bradcn_nb.evaluation.predict import predict
from bradcn_nb.files import data_root
from bradcn_nb.lens.thin_lens import coc_diameter
from bradcn_nb.models import load_bradcn
from bradcn_nb.presets import preset
from bradcn_nb.scenes import outdoor_scene

PAIR = 4497  # the test pair whose scene the chapter photographs at twice mini-EBB's size
SIZE = (2 * EBB_SIZE[0], 2 * EBB_SIZE[1])
SHARP_PX = 1.0  # a circle of confusion below this many pixels counts as in focus
# The strengths that the chapter's slider offers; "subject" is a blur of what is in focus.
LEVELS = {
    "noise": (2, 5, 10, 20, 40),
    "blur": (0.7, 1, 2, 4, 8),
    "shift": (1, 2, 4, 8, 16),
    "contrast": (0.05, 0.1, 0.2, 0.4, 0.8),
    "jpeg": (20, 50, 80, 90, 97),
    "subject": (0.7, 1, 2, 4, 8),
}
MOST = {"noise": 200, "blur": 60, "contrast": 1, "jpeg": 99, "subject": 200}
BLIND = (0.5, 1.0, 1.5, 2.0, 3.0)  # pixels: blurs of a whole input, depth unseen
RUINED = 3.0  # pixels: the blur that ruins a subject of mini-EBB
MAP_SIZE = (31, 47)  # stored maps of LPIPS are no finer: the second layer's size
FULL_SEED, FULL_SCENES, FULL_SIZE = 3_000_000, 3, (8 * EBB_SIZE[0], 8 * EBB_SIZE[1])
SHRINKS = (1, 2, 4, 8)


def chapter_pair() -> tuple[Picture, Picture, np.ndarray]:
    """Return chapter 12's scene: sharp and bokeh, uint8 (H, W, 3), and what is in focus, bool (H,
    W).
    """
    scene = outdoor_scene(EBB_SEED + PAIR)
    sharp, bokeh, depth = scene.pair(*SIZE)
    focus = coc_diameter(depth, scene.focus_m, scene.camera) * SIZE[0] < SHARP_PX
    sharp, bokeh = ((x * 255 + 0.5).astype(np.uint8) for x in (sharp, bokeh))
    return sharp, bokeh, focus


def distortions(focus: np.ndarray) -> dict[str, Callable[[Picture, float], Picture]]:
    """Return name -> the distortions of the gallery; `focus` (H, W) says where the subject is."""
    named = {"noise": noise, "blur": blur, "shift": shift, "contrast": contrast, "jpeg": jpeg}
    return {**named, "subject": blur_where(focus)}


def equal_psnr(truth: Picture, focus: np.ndarray) -> dict[str, Picture]:
    """Return name -> distorted truth, each with the PSNR of a shift by one pixel."""
    shifted = shift(truth, 1)
    target = psnr(truth, shifted)
    damaged = {
        name: to_psnr(distort, truth, target, MOST[name])[0]
        for name, distort in distortions(focus).items()
        if name != "shift"
    }
    return {"shift": shifted, **damaged}


@torch.inference_mode()
def layer_maps(truth: Picture, picture: Picture) -> list[np.ndarray]:
    """Return LPIPS's five maps (h, w), fine to coarse, whose means add up to LPIPS."""
    return [m[0, 0].numpy() for m in lpips_net().maps(to_lpips(truth), to_lpips(picture))]


def small_map(values: np.ndarray) -> np.ndarray:
    """A map (h, w) averaged down to at most MAP_SIZE, as it is stored."""
    size = tuple(min(a, b) for a, b in zip(values.shape, MAP_SIZE, strict=True))
    return F.adaptive_avg_pool2d(torch.from_numpy(values)[None], size)[0].numpy()


def pack(values: np.ndarray) -> dict[str, Any]:
    """A map (h, w) of values from 0 on as plain JSON, 8 bits a value; `unpack` reads it."""
    top = float(values.max())
    coded = np.rint(values / top * 255).astype(np.uint8)
    return {"shape": list(values.shape), "max": top, "data": base64.b64encode(coded).decode()}


def unpack(packed: dict[str, Any]) -> np.ndarray:
    """The map (h, w) that `pack` wrote, exact to 1/510 of its largest value."""
    coded = np.frombuffer(base64.b64decode(packed["data"]), np.uint8)
    return coded.reshape(packed["shape"]) / 255 * packed["max"]


def chapter_scene() -> dict[str, Any]:
    """Measure the chapter's scene: the distortions of equal PSNR, the slider's levels, the maps."""
    sharp, truth, focus = chapter_pair()
    measured: dict[str, Any] = {"input": {}, "equal": {}, "levels": {}}
    maps = layer_maps(truth, sharp)
    measured["input"] = {
        "lpips": lpips(truth, sharp),
        "layers": [float(m.mean()) for m in maps],
        "maps": [pack(small_map(m)) for m in maps],
    }
    for name, picture in equal_psnr(truth, focus).items():
        maps = layer_maps(truth, picture)
        measured["equal"][name] = {
            "lpips": lpips(truth, picture),
            "vgg": lpips(truth, picture, "vgg"),
            "layers": [float(m.mean()) for m in maps],
            "map": pack(small_map(maps[1])),  # where its second layer finds the difference
        }
    for name, distort in distortions(focus).items():
        levels = LEVELS[name]
        measured["levels"][name] = [lpips(truth, distort(truth, level)) for level in levels]
    return measured


def focus_of(number: int) -> np.ndarray:
    """Return what is in focus in pair `number` of mini-EBB, bool (H, W): its scene knows."""
    scene = outdoor_scene(EBB_SEED + number)
    depth = scene.pinhole(*EBB_SIZE)[1]
    return coc_diameter(depth, scene.focus_m, scene.camera) * EBB_SIZE[0] < SHARP_PX


@torch.inference_mode()
def traps(quiet: bool = False) -> dict[str, Any]:
    """Judge, on mini-EBB's test pairs, what looks wrong and scores well; and where the errors are.

    `pixels` and `error` are the shares of the pixels, and of BRADCN's squared error, that are in
    focus; pictures with nothing in focus are left out of all of it.
    """
    chosen, model, protocol = preset("mini"), load_bradcn(), Protocol()
    test = EBB(data_root() / "mini-ebb", "test")
    rows: dict[str, list[dict[str, float]]] = {}
    shares: dict[str, list[float]] = {"pixels": [], "error": []}
    for index in tqdm(range(len(test)), desc="traps", disable=quiet):
        item = test.read(index)
        image, truth, focus = item["image"], item["bokeh"], focus_of(int(item["id"]))
        if not focus.any():
            continue
        drawn = predict(model, image, chosen.data.train_size)
        squared = (drawn.astype(float) - truth) ** 2
        shares["pixels"].append(float(focus.mean()))
        shares["error"].append(float(squared[focus].sum() / squared.sum()))
        candidates = {"bradcn": drawn, "input": image}
        candidates["subject"] = blur_where(focus)(truth, RUINED)
        candidates |= {f"blind-{sigma:g}": blur(image, sigma) for sigma in BLIND}
        for name, picture in candidates.items():
            rows.setdefault(name, []).append(protocol.measure(truth, picture))
    means = {
        name: {metric: float(np.mean([v[metric] for v in values])) for metric in protocol.metrics}
        for name, values in rows.items()
    }
    share = {f"share_{name}": float(np.mean(values)) for name, values in shares.items()}
    return {**means, **share, "n": len(shares["pixels"])}


def _by_size(pairs: list[tuple[Picture, Picture]]) -> dict[str, list[float]]:
    """Metric -> mean over (truth, picture) pairs, after both are shrunk by each of SHRINKS."""
    means: dict[str, list[float]] = {metric: [] for metric in Protocol().metrics}
    for shrink in SHRINKS:
        values = []
        for pair in pairs:
            size = tuple(side // shrink for side in pair[0].shape[:2])
            values.append(Protocol().measure(*(resize_picture(p, size) for p in pair)))
        for metric in means:
            means[metric].append(float(np.mean([v[metric] for v in values])))
    return means


def resolution(quiet: bool = False) -> dict[str, Any]:
    """Judge the same pictures at 1536x1024 and at a half, a quarter and an eighth of it.

    `input`: the sharp picture as a prediction. `half`: the truth through half its size, which is
    the best that a net of half size could draw.
    """
    inputs, halves = [], []
    for n in tqdm(range(FULL_SCENES), desc="resolution", disable=quiet):
        sharp, bokeh, _ = outdoor_scene(FULL_SEED + n).pair(*FULL_SIZE, samples=64)
        sharp, truth = ((x * 255 + 0.5).astype(np.uint8) for x in (sharp, bokeh))
        half = resize_picture(truth, (FULL_SIZE[0] // 2, FULL_SIZE[1] // 2))
        inputs.append((truth, sharp))
        halves.append((truth, val294(to_tensor(half), *FULL_SIZE)))
    return {"input": _by_size(inputs), "half": _by_size(halves), "n": FULL_SCENES}


def real(folder: Path) -> dict[str, Any]:
    """Judge the sharp photographs of real EBB! pairs against their bokeh, at all sizes."""
    pairs = EBB(folder, "train")
    items = [pairs.read(index) for index in range(len(pairs))]
    return {"input": _by_size([(i["bokeh"], i["image"]) for i in items]), "n": len(items)}


def metrics(_model: nn.Module, options: argparse.Namespace) -> dict[str, Any]:
    """Return the gallery, the traps, the resolutions, and real pairs from `options.ebb`.

    Without a folder of pairs, those of the file that is there are kept. Raises WeightsError without
    LPIPS's weights, DataError for a folder that holds no pairs.
    """
    cv2.setNumThreads(1)
    result = {
        **chapter_scene(),
        "traps": traps(options.quiet),
        "resolution": resolution(options.quiet),
    }
    path = data_root() / "results" / "metrics.json"
    if options.ebb:
        result["real"] = real(options.ebb)
    elif path.is_file():
        result["real"] = json.loads(path.read_text("utf-8")).get("real")
    result["made"] = {
        "lpips": Protocol().describe()["lpips"],
        "weights": {name: lpips_net(name).digest for name in ("alex", "vgg")},
    }
    return result
