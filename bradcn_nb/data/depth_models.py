"""Depth by any estimator of the Hugging Face hub: Depth Anything, DPT, ZoeDepth and their like."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from bradcn_nb.data.depth_maps import DepthMap, of_relative_disparity
from bradcn_nb.errors import BradcnError

METRIC = ("zoedepth", "depth_pro")  # kinds of model whose output is always metres


def estimate_depth(
    name: str | Path, photo: np.ndarray, device: torch.device | str = "cpu"
) -> DepthMap:
    """Return the depth that a model of `transformers` sees in a photograph.

    - `name`: of a depth estimator on the hub, or a folder that `save_pretrained` wrote
    - `photo`: (H, W, 3) sRGB in [0, 1]

    Metric models give metres. All others give relative inverse depth: its nearest is taken to be at
    1 m, its farthest at 10 m. Raises BradcnError where `transformers` is not installed, or has no
    such model.
    """
    estimator = _estimator(str(name), device)
    picture = Image.fromarray(np.rint(np.clip(photo, 0, 1) * 255).astype(np.uint8))
    values = estimator(picture)["predicted_depth"].squeeze().float().cpu().numpy()
    config = estimator.model.config
    if getattr(config, "depth_estimation_type", "") == "metric" or config.model_type in METRIC:
        if not (values > 0).any():
            raise BradcnError(f"{name}: sees no depth in this photograph")
        return DepthMap(np.maximum(values, values[values > 0].min()))
    low, high = float(values.min()), float(values.max())
    if not high > low:
        raise BradcnError(f"{name}: sees the same depth everywhere in this photograph")
    metres = of_relative_disparity((values - low) / (high - low)).astype(np.float32)
    return DepthMap(metres, relative=True)


@lru_cache(maxsize=1)  # a folder of photographs reads it once
def _estimator(name: str, device: torch.device | str) -> Any:
    try:
        from transformers import pipeline
    except ImportError:
        raise BradcnError("--depth-model needs transformers: pip install transformers") from None
    try:
        return pipeline("depth-estimation", model=name, device=device)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        message = f"{name}: no depth estimator that transformers reads ({reason})"
        raise BradcnError(message) from None
