"""Measurements of the bundled weights that the book and the README quote; none trains anything."""

import argparse
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from bradcn_nb.data import EBB, resize_picture
from bradcn_nb.data.bundle import EBB_SIZE
from bradcn_nb.errors import DataError
from bradcn_nb.evaluation.intervals import paired_interval
from bradcn_nb.evaluation.lpips import lpips_net
from bradcn_nb.evaluation.matching import matched
from bradcn_nb.evaluation.metrics import eight_bit, psnr
from bradcn_nb.evaluation.test_set import evaluate
from bradcn_nb.experiments.record import weights_path
from bradcn_nb.experiments.remedy import REMEDY
from bradcn_nb.experiments.trained import finished
from bradcn_nb.files import data_root
from bradcn_nb.lens.by_depth import render_lens
from bradcn_nb.lens.defocus import draw_defocus
from bradcn_nb.lens.thin_lens import coc_diameter
from bradcn_nb.lens.upsample import upsample_bilinear, upsample_stack
from bradcn_nb.models import BRADCN, load_depth_net
from bradcn_nb.models.bundled import load_defocus_net
from bradcn_nb.models.weights import weights_hash
from bradcn_nb.photograph import defocus_of, depth_of, net_bokeh
from bradcn_nb.presets import preset
from bradcn_nb.scenes import outdoor_scene

FULL_SIZE_SEED, FULL_SIZE_SCENES = 3_000_000, 4  # scenes that no training and no tuning has seen
FULL_SIZE = (8 * EBB_SIZE[0], 8 * EBB_SIZE[1])
FULL_SIZE_SAMPLES = 128
BLURS = (2, 4, 5, 8, 16)  # a Gaussian's standard deviation, in 1/1000 of the width
SHARP_PX = 1.0  # a circle of confusion below this many pixels counts as in focus

UPSAMPLERS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "input": lambda photo, net: photo,
    "bilinear": lambda photo, net: upsample_bilinear(net, photo.shape[:2]),
    "stack": upsample_stack,
}


def mini(model: BRADCN, options: argparse.Namespace) -> dict[str, Any]:
    """Judge the model on mini-EBB's test pairs by the protocol val294 (Section IV-F).

    Raises WeightsError without LPIPS's weights: the file that is there has its numbers.
    """
    lpips_net("alex")
    chosen = preset("mini")
    test = EBB(data_root() / "mini-ebb", "test")
    size, digest = chosen.data.train_size, weights_hash(weights_path())
    return evaluate(model, test, size, preset="mini", weights_hash=digest, images=True, lpips=True)


def _sharpness(picture: np.ndarray, where: np.ndarray) -> float:
    """Return the mean squared Laplacian of the grey (h, w, 3) picture inside a mask (h, w)."""
    laplacian = cv2.Laplacian(picture.mean(2).astype(np.float32), cv2.CV_32F)
    return float((laplacian[where] ** 2).mean())


def full_size(model: BRADCN, options: argparse.Namespace) -> dict[str, Any]:
    """Bring the net's 96x64 result to 1536x1024 in two ways; compare with the lens renderer's
    truth.

    Per way, over the scenes: PSNR (dB) of the whole picture and of what is in focus, and the
    sharpness of what is in focus relative to the photograph's (1 is as sharp).
    """
    cfg = preset("mini").model
    rows: dict[str, dict[str, list[float]]] = {
        name: {"psnr": [], "psnr_focus": [], "sharpness": []} for name in UPSAMPLERS
    }
    for n in tqdm(range(FULL_SIZE_SCENES), desc="full-size", disable=options.quiet):
        scene = outdoor_scene(FULL_SIZE_SEED + n)
        photo, truth, depth = scene.pair(*FULL_SIZE, samples=FULL_SIZE_SAMPLES)
        net = net_bokeh(photo, model, cfg)
        focus = coc_diameter(depth, scene.focus_m, scene.camera) * FULL_SIZE[0] < SHARP_PX
        focus = cv2.erode(focus.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        for name, enlarge in UPSAMPLERS.items():
            result = np.clip(enlarge(photo, net), 0, 1)
            squared = (result - truth) ** 2
            rows[name]["psnr"].append(float(-10 * np.log10(squared.mean())))
            rows[name]["psnr_focus"].append(float(-10 * np.log10(squared[focus].mean())))
            ratio = _sharpness(result, focus) / _sharpness(photo, focus)
            rows[name]["sharpness"].append(ratio)
    means = {
        name: {key: float(np.mean(values)) for key, values in row.items()}
        for name, row in rows.items()
    }
    gain = paired_interval(rows["stack"]["psnr"], rows["bilinear"]["psnr"], 0)._asdict()
    return {**means, "stack_minus_bilinear": gain, "n": FULL_SIZE_SCENES, "scenes": rows}


def _nearest_map(target: torch.Tensor, stride: int) -> torch.Tensor:
    """Return what comes closest to a picture (1, 3, H, W) among bilinear enlargements by
    `stride`."""
    coarse = F.avg_pool2d(target, stride).requires_grad_(True)
    optimizer = torch.optim.Adam([coarse], lr=0.02)
    for _ in range(60):
        drawn = F.interpolate(coarse, scale_factor=stride, mode="bilinear", align_corners=True)
        optimizer.zero_grad()
        (drawn - target).square().mean().backward()
        optimizer.step()
    return drawn.detach()


def skip(model: BRADCN, options: argparse.Namespace) -> dict[str, Any]:
    """Best PSNR (dB) of a net whose finest map has half the size, per kind of input-to-output skip.

    An oracle draws the map at 96x64. `none`: the map alone; `add`: input + map; `blend`: per pixel
    the better of the input and its smooth copy + map, as `RenderNet` does it (ledger id
    "mini-skip").
    """
    chosen, net = preset("mini"), model.render_net
    test = EBB(data_root() / "mini-ebb", "test", chosen.data.train_size)
    stride = chosen.model.strides[0]
    psnr_of: dict[str, list[float]] = {"input": [], "none": [], "add": [], "blend": []}
    for index in tqdm(range(len(test)), desc="skip", disable=options.quiet):
        item = test.load(index)
        image, truth = item["image"][None], item["bokeh"][None]
        smooth = net.smoothed(image)
        added = image + _nearest_map(truth - image, stride)
        blurred = smooth + _nearest_map(truth - smooth, stride)
        keep = (image - truth).abs().mean(1, True) < (blurred - truth).abs().mean(1, True)
        pictures = {
            "input": image,
            "none": _nearest_map(truth, stride),
            "add": added,
            "blend": torch.where(keep, image, blurred),
        }
        for name, picture in pictures.items():
            psnr_of[name].append(float(-10 * (picture - truth).square().mean().log10()))
    return {**{name: float(np.mean(values)) for name, values in psnr_of.items()}, "n": len(test)}


def real(model: BRADCN, options: argparse.Namespace) -> dict[str, Any]:
    """Render every real pair of a folder; PSNR (dB) against its bokeh, beside what is simpler.

    `psnr` at the photographs' own size, `small_*` after both are brought to mini-EBB's 192x128; of
    the net, of the `lens` renderer with the depth net's depth, of the lens with the defocus of the
    net that learned from pairs (`calibrated`), of the `input` as it is, and of one Gaussian for the
    whole picture, by its standard deviation in 1/1000 of the width. `exposure_*`: at full size,
    with one gain for each picture taken out (`matching`). `added`: each seed of the remedy's best
    net below `options.runs`, where they are at hand.
    """
    if options.ebb is None:
        raise DataError("real: name a folder of EBB! pairs with --ebb")
    cfg, values, depth_net = preset("mini").model, {}, load_depth_net()
    defocus_net = load_defocus_net()
    added = [one.net() for one in finished(REMEDY, options.runs, ["added"])]
    pairs = EBB(options.ebb, "train")
    for index in tqdm(range(len(pairs)), desc="real", disable=options.quiet):
        item = pairs.read(index)
        photo, truth = item["image"], item["bokeh"]
        as_float = photo.astype(np.float32) / 255
        result = upsample_stack(as_float, net_bokeh(as_float, model, cfg))
        lens = render_lens(as_float, depth_of(as_float, depth_net, cfg))
        radius = defocus_of(as_float, depth_net, defocus_net, cfg)
        drawn = {
            "": eight_bit(result),
            "_input": photo,
            "_lens": eight_bit(lens),
            "_calibrated": eight_bit(draw_defocus(as_float, radius)),
        }
        for seed, net in enumerate(added):
            picture = upsample_stack(as_float, net_bokeh(as_float, net, cfg))
            drawn[f"_added_{seed}"] = eight_bit(picture)
        for share in BLURS:
            sigma = share * photo.shape[1] / 1000
            drawn[f"_blur_{share}"] = cv2.GaussianBlur(photo, (0, 0), sigma)
        small_truth = resize_picture(truth, EBB_SIZE)
        values[item["id"]] = {
            f"psnr{name}": psnr(truth, picture) for name, picture in drawn.items()
        } | {
            f"small_psnr{name}": psnr(small_truth, resize_picture(picture, EBB_SIZE))
            for name, picture in drawn.items()
        }
        values[item["id"]] |= {
            f"exposure_psnr{name}": psnr(truth, matched(truth, picture, "exposure"))
            for name, picture in drawn.items()
        }
    keys = next(iter(values.values()))
    means = {key: float(np.mean([pair[key] for pair in values.values()])) for key in keys}
    return {**means, "n": len(values), "images": values}


MEASURES = {"mini": mini, "full-size": full_size, "skip": skip, "real": real}
