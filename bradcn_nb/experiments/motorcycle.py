"""A real photograph as a test that nobody trains on: each method beside a render from measured depth.

Everything that is small goes through the protocol val294: 96x64 pixels in, bilinear to the photograph's
size. From 96 to 741 pixels that costs more than methods differ by. So the reference itself goes that way, too,
as the best that is possible, and all is judged a second time at mini-EBB's 192x128.

The nets choose their aperture as well as their focus, and have learned them from subjects that are nearer than
the motorcycle. So references with wider apertures tell how far a low number is the amount of blur alone.
"""

import argparse
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from bradcn_nb import baselines
from bradcn_nb.data import EBB, resize_nearest, resize_picture, to_tensor
from bradcn_nb.data.bundle import EBB_SIZE
from bradcn_nb.experiments.runs import DIGITS
from bradcn_nb.experiments.table1 import TABLE1
from bradcn_nb.experiments.table2 import TABLE2
from bradcn_nb.files import write_atomically
from bradcn_nb.lpips_net import lpips_net
from bradcn_nb.measured import MeasuredPhoto, depth_errors, motorcycle, reference_render
from bradcn_nb.metrics import Protocol, psnr, to_uint8, val294
from bradcn_nb.models import BRADCN, load_depth_net
from bradcn_nb.photos import fill_unknown
from bradcn_nb.plots import grid
from bradcn_nb.presets import Preset, data_root, preset
from bradcn_nb.rendering import default_focus, depth_of, render_lens
from bradcn_nb.training.stages import make_net, weights_file

SIGMAS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)  # pixels of a picture with mini-EBB's 128 rows
APERTURES = (1.8, 1.2, 0.9, 0.6, 0.45)  # f-numbers of the references; the first is EBB!'s
TABLE2_ARMS = ("render", "depth", "true-depth")  # without depth, with the net's, with the measured
PICTURE = {
    "input": "input",
    "f/1.8": "measured depth + lens, f/1.8",
    "f/0.6": "measured depth + lens, f/0.6",
    "lens": "predicted depth + lens, f/1.8",
    "bundled": "BRADCN, bundled",
    "table2/true-depth": "Render Net + measured depth",
}


class Drawn(NamedTuple):
    """One method's picture, uint8 at the photograph's size; `seed` of its training, None if untrained."""

    method: str
    title: str
    picture: np.ndarray
    seed: int | None = None


def blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Return a uint8 (H, W, 3) picture behind a Gaussian; `sigma` in pixels of 128 rows."""
    return cv2.GaussianBlur(picture, None, sigma * picture.shape[0] / EBB_SIZE[0])


def best_blur(pairs: EBB, progress: bool) -> dict[str, Any]:
    """Return the mean PSNR (dB) of each Gaussian of `SIGMAS` on pairs of native size, and the best.

    The best of the training pairs, because a blur chosen on the photograph would have seen the answer.
    """
    found: dict[float, list[float]] = {sigma: [] for sigma in SIGMAS}
    for index in tqdm(range(len(pairs)), "blur", disable=not progress):
        item = pairs.read(index)
        for sigma, values in found.items():
            values.append(psnr(item["bokeh"], blurred(item["image"], sigma)))
    means = [float(np.mean(values)) for values in found.values()]
    return {"sigma": SIGMAS[int(np.argmax(means))], "sigmas": SIGMAS, "psnr": means}


def finished(runs: Path) -> Iterator[tuple[str, str, int, Preset, Path]]:
    """Yield (method, title, seed, preset, folder) of each training of both tables that has its record."""
    for table, arms in ((TABLE1, TABLE1.titles), (TABLE2, TABLE2_ARMS)):
        for arm in arms:
            folders = {int(path.parent.name[5:]): path.parent
                       for path in (runs / table.name / arm).glob("seed-*/record.json")}  # fmt: skip
            for seed in sorted(folders):
                chosen = table.preset_of(arm, seed)
                if chosen.stages:
                    method = f"{table.name}/{arm}"
                    yield method, table.titles[arm], seed, chosen, folders[seed]


@torch.inference_mode()
def drawn(
    model: BRADCN,
    photo: MeasuredPhoto,
    reference: np.ndarray,
    sigma: float,
    options: argparse.Namespace,
) -> Iterator[Drawn]:
    """Yield every method's picture of the photograph; `reference` is uint8, `sigma` the blur's.

    Raises WeightsError for a training that does not fit its arm any more.
    """
    cfg, depth_net = preset("mini").model, load_depth_net()
    image, size = eight_bit(photo.image), preset("mini").data.train_size
    small = to_tensor(resize_picture(image, size))[None]

    def judged(picture: Tensor) -> np.ndarray:
        return val294(picture, *image.shape[:2])

    yield Drawn("input", "input, unchanged", image)
    yield Drawn("input_half", "input through the protocol", judged(small))
    half = to_tensor(resize_picture(reference, size))
    yield Drawn("reference_half", "reference through the protocol", judged(half))
    yield Drawn("blur", "the same blur everywhere", blurred(image, sigma))
    lens = render_lens(photo.image, depth_of(photo.image, depth_net, cfg))
    yield Drawn("lens", "predicted depth + lens, full size", eight_bit(lens))
    classical = baselines.build("classical").eval()
    classical.depth_net = depth_net
    yield Drawn("classical", "predicted depth + lens, 96x64", judged(classical(small).bokeh))
    yield Drawn("bundled", "BRADCN, bundled", judged(model(small).bokeh))
    alone = model(small, branches=()).bokeh
    yield Drawn("bundled_render_only", "BRADCN, bundled, branches off", judged(alone))
    measured = resize_nearest(fill_unknown(photo.depth, ~photo.known), size)
    maps = {
        "predicted": depth_net(small),
        "adcn": model.adcn(small),
        "true": torch.from_numpy(measured)[None, None],
    }
    trained = list(finished(options.runs))
    for method, title, seed, chosen, folder in tqdm(trained, "nets", disable=options.quiet):
        stage = chosen.stages[-1]
        net = make_net(chosen, stage, {stage.net: weights_file(folder, stage)}).eval()
        named = zip(("depth", "depth_error"), stage.given, strict=True)
        given = {key: maps[source] for key, source in named if source}
        yield Drawn(method, title, judged(net(small, **given).bokeh), seed)


def eight_bit(picture: np.ndarray) -> np.ndarray:
    """Return a float (H, W, 3) picture in [0, 1] as uint8."""
    return to_uint8(torch.from_numpy(picture.transpose(2, 0, 1)))


def table(found: list[Drawn], references: list[np.ndarray]) -> dict[str, Any]:
    """Return per method its title, its seeds, the means over them, and the values of each seed.

    PSNR (dB), SSIM and LPIPS against the first reference at its own size, and as `small_*` after both
    were brought to 192x128; there also the mean PSNR against every reference.
    """
    protocol, rows = Protocol(), {}
    shrunk = [resize_picture(reference, EBB_SIZE) for reference in references]
    for one in found:
        row = rows.setdefault(one.method, {"title": one.title, "seeds": [], "by_seed": {}})
        if one.seed is not None:
            row["seeds"].append(one.seed)
        values: dict[str, Any] = protocol.measure(references[0], one.picture)
        small = resize_picture(one.picture, EBB_SIZE)
        little = protocol.measure(shrunk[0], small)
        values |= {f"small_{name}": value for name, value in little.items()}
        values["small_psnr_by_aperture"] = [psnr(truth, small) for truth in shrunk]
        for name, value in values.items():
            rounded = np.round(value, DIGITS).tolist()
            row["by_seed"].setdefault(name, []).append(rounded)
    for row in rows.values():
        row |= {name: np.mean(values, 0).tolist() for name, values in row["by_seed"].items()}
    return rows


def jpeg(found: list[Drawn], references: list[np.ndarray]) -> bytes:
    """Return the titled pictures of those methods of `PICTURE` that are there, each of its first seed."""
    first = {one.method: one.picture for one in reversed(found)}
    first |= {f"f/{a:g}": picture for a, picture in zip(APERTURES, references, strict=True)}
    names = [name for name in PICTURE if name in first]
    figure = grid([first[name] for name in names], [PICTURE[name] for name in names], columns=3)
    data = BytesIO()
    figure.savefig(data, format="jpeg", dpi=150, pil_kwargs={"quality": 80, "optimize": True})
    return data.getvalue()


def on_motorcycle(model: BRADCN, options: argparse.Namespace) -> dict[str, Any]:
    """Judge every method on the photograph; those that train, as far as `options.runs` has them.

    Focus (m) is what `default_focus` finds in the measured depth for the reference, and in the predicted
    one for the lens; the nets choose their own. Writes motorcycle.jpg beside the result. Raises
    WeightsError without LPIPS's weights.
    """
    lpips_net("alex")
    photo = motorcycle()
    references = [
        eight_bit(reference_render(photo, aperture=aperture))
        for aperture in tqdm(APERTURES, "references", disable=options.quiet)
    ]
    metres = depth_of(photo.image, load_depth_net(), preset("mini").model)
    blur = best_blur(EBB(data_root() / "mini-ebb", "train"), not options.quiet)
    found = list(drawn(model, photo, references[0], blur["sigma"], options))
    write_atomically(data_root() / "results" / "motorcycle.jpg", jpeg(found, references))
    return {
        "protocol": "val294",
        "preset": "mini",
        "size": list(references[0].shape[:2]),
        "focus_m": {
            "reference": default_focus(fill_unknown(photo.depth, ~photo.known)),
            "lens": default_focus(metres),
        },
        "apertures": APERTURES,
        "depth_errors": depth_errors(metres, photo.depth, photo.known)._asdict(),
        "blur": blur,
        "methods": table(found, references),
    }
