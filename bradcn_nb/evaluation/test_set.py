"""Judging a model on a test set by the protocol `val294` (Sections IV-C and IV-F)."""

from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from bradcn_nb.data import EBB
from bradcn_nb.errors import DataError, WeightsError
from bradcn_nb.evaluation.intervals import mean_interval, paired_interval
from bradcn_nb.evaluation.lpips import lpips_net
from bradcn_nb.evaluation.metrics import PSNR_CAP, Protocol
from bradcn_nb.evaluation.predict import predict
from bradcn_nb.models import BRADCN

REFERENCES = ("input", "input_half", "render_only")


def _candidates(
    model: nn.Module, image: np.ndarray, size: tuple[int, int], shrink: str, device: torch.device
) -> dict[str, np.ndarray]:
    """Name ("" is the model) -> uint8 picture at the native size of `image`, uint8 (H, W, 3)."""
    nets = {"": model, "input_half": nn.Identity()}
    if isinstance(model, BRADCN):
        nets["render_only"] = model.render_net
    drawn = {name: predict(net, image, size, shrink, device) for name, net in nets.items()}
    return {"input": image, **drawn}


@torch.no_grad()
def evaluate(
    model: nn.Module,
    dataset: EBB,
    train_size: tuple[int, int],
    *,
    preset: str,
    weights_hash: str,
    seed: int = 0,
    images: bool = False,
    lpips: bool = False,
    shrink: str = "area",
    progress: bool = True,
) -> dict[str, Any]:
    """Judge a BRADCN or a baseline on pairs of native size; return plain JSON.

    * `train_size`: (h, w) of what the net sees; `shrink`: see `predict`;
    * `images`: whether the values of every picture are there, too;
    * `intervals`: whether the model's means are there again with their intervals, drawn by `seed`;
    * `lpips`: adds LPIPS v0.1 with AlexNet; without its weights `lpips_missing` says why instead.

    The result has, over `n` pictures:

    * `psnr` (dB; above 100 counts as 100) and `ssim`, scikit-image's on uint8;
    * the same as `psnr_*` of `input` (the picture itself), `input_half` (the picture through the
      same resizing) and, of a BRADCN, `render_only` (the same weights without its branches);
    * `differences`: model minus each of these, with the paired bootstrap 95 % interval.

    Source: Sections IV-C, IV-F; BRViT and DMSHN. Raises DataError for a data set that is not at its
    native size or a damaged picture, SizeError if `train_size` does not suit the model or a picture
    is below 7 pixels, BradcnError if the model gives NaN.
    """
    if dataset.size is not None:
        raise DataError(f"{dataset.root}: judge at the native size; open the data set without size")
    protocol, missing = _with_lpips() if lpips else (Protocol(backbone=None), {})
    references = [r for r in REFERENCES if r != "render_only" or isinstance(model, BRADCN)]
    metrics, names = protocol.metrics, ("", *references)
    values: dict[str, list[float]] = {_key(m, name): [] for m in metrics for name in names}
    ids = []
    device = next(model.parameters(), torch.empty(0)).device
    was_training = model.training
    model.eval()
    try:
        for index in tqdm(range(len(dataset)), desc="evaluate", disable=not progress):
            item = dataset.read(index)
            ids.append(item["id"])
            for name, picture in _candidates(
                model, item["image"], train_size, shrink, device
            ).items():
                for metric, value in protocol.measure(item["bokeh"], picture, device).items():
                    values[_key(metric, name)].append(value)
    finally:
        model.train(was_training)
    result: dict[str, Any] = {
        "protocol": "val294",
        "preset": preset,
        "weights_sha256": weights_hash,
        "train_size": list(train_size),
        "split": dataset.split,
        **({} if shrink == "area" else {"shrink": shrink}),  # a variant is named
        "n": len(ids),
        **{key: float(np.mean(list_)) for key, list_ in values.items()},
        **missing,
        "intervals": {metric: mean_interval(values[metric], seed)._asdict() for metric in metrics},
        "differences": {
            metric: {
                name: paired_interval(values[metric], values[_key(metric, name)], seed)._asdict()
                for name in references
            }
            for metric in metrics
        },
        "bootstrap_seed": seed,
        "psnr_cap_db": PSNR_CAP,
    }
    if images:
        result["images"] = {"id": ids, **values}
    return result


def _with_lpips() -> tuple[Protocol, dict[str, str]]:
    """The protocol with LPIPS, or without it and the reason, to be written down."""
    try:
        lpips_net("alex")
    except WeightsError as error:
        return Protocol(backbone=None), {"lpips_missing": str(error)}
    return Protocol(), {}


def _key(metric: str, name: str) -> str:
    return f"{metric}_{name}" if name else metric
