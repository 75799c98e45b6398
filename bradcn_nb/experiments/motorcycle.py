"""A real photograph as a test that nobody trains on: each method beside a render from measured
depth.

Everything that is small goes through the protocol val294: 96x64 pixels in, bilinear to the
photograph's size. From 96 to 741 pixels that costs more than methods differ by. So the reference
itself goes that way, too, as the best that is possible, and all is judged a second time at
mini-EBB's 192x128.

The nets choose their aperture as well as their focus, and have learned them from subjects that are
nearer than the motorcycle. So references with wider apertures tell how far a low number is the
amount of blur alone.

The photograph, scikit-image's `stereo_motorcycle`, comes with measured depth, and none of its
pixels hangs in a generated scene. Without a camera that took both pictures, the lens renderer's
bokeh from measured depth is as near to a truth as one gets. It is one photograph: it can show that
something fails, and cannot rank methods. Source: Scharstein et al. (2014), Middlebury stereo
benchmark, "Motorcycle".
"""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import skimage.data
import torch
from matplotlib.figure import Figure
from torch import Tensor
from tqdm import tqdm

from bradcn_nb.data import resize_nearest, resize_picture
from bradcn_nb.data.bundle import EBB_SIZE
from bradcn_nb.data.depth_maps import fill_unknown
from bradcn_nb.errors import DataError, SizeError
from bradcn_nb.evaluation.lpips import lpips_net
from bradcn_nb.evaluation.metrics import Protocol, eight_bit, psnr, val294
from bradcn_nb.evaluation.predict import shrunk
from bradcn_nb.experiments.record import write_figure
from bradcn_nb.experiments.runs import DIGITS
from bradcn_nb.experiments.table1 import TABLE1
from bradcn_nb.experiments.table2 import TABLE2
from bradcn_nb.experiments.trained import Training, at_hand, finished
from bradcn_nb.figures.plots import grid
from bradcn_nb.lens.by_depth import default_focus, render_lens
from bradcn_nb.models import BRADCN, baselines, load_depth_net
from bradcn_nb.photograph import depth_of
from bradcn_nb.presets import preset

# From scikit-image's docstring; valid for its pictures, which are a quarter of the benchmark's.
FOCAL_PX = 994.978


BASELINE_M = 0.193001


OFFSET_PX = 31.086  # between the two cameras' principal points


FARTHEST_M = 100.0  # an aligned inverse depth below 1/100 m counts as this far


class MeasuredPhoto(NamedTuple):
    """A photograph, its depth, and where that is known."""

    image: np.ndarray  # (H, W, 3) float32 sRGB in [0, 1]
    depth: np.ndarray  # (H, W) float32 metres, 0 where unknown
    known: np.ndarray  # (H, W) bool


class DepthErrors(NamedTuple):
    """How far predicted depth is off, in metres, as means over the pixels whose depth is known."""

    mae: float  # of the prediction as it is
    mae_aligned: float  # after the best scale and shift of its inverse
    mae_constant: float  # of the best constant, the median: what knowing nothing costs
    scale: float  # truth's inverse ~ scale * predicted inverse + shift
    shift: float  # 1/m


def motorcycle() -> MeasuredPhoto:
    """Return the left picture of `stereo_motorcycle`, (500, 741), with its measured depth.

    depth = focal length * baseline / (disparity + offset): 2.11 to 5.02 m; unknown disparity is
    +inf there, 7.35 % of the pixels.
    """
    left, _, disparity = skimage.data.stereo_motorcycle()
    known = np.isfinite(disparity)
    depth = FOCAL_PX * BASELINE_M / (np.where(known, disparity, 0) + OFFSET_PX)
    depth = np.where(known, depth, 0).astype(np.float32)
    return MeasuredPhoto(left.astype(np.float32) / 255, depth, known)


def reference_render(
    photo: MeasuredPhoto, focus: tuple[float, float] | None = None, aperture: float = 1.8
) -> np.ndarray:
    """Return the lens renderer's bokeh (H, W, 3) from the measured depth.

    `focus` (x, y) in pixels and `aperture` as in `render_lens`. Unknown pixels are as far as the
    nearest known one.
    """
    return render_lens(photo.image, fill_unknown(photo.depth, ~photo.known), focus, aperture)


def depth_errors(predicted: np.ndarray, truth: np.ndarray, known: np.ndarray) -> DepthErrors:
    """Compare predicted with true depth, (H, W) in metres, where `known` (bool) says so.

    The alignment is the least-squares fit of inverse depths: of a single picture, scale and shift
    are what a net can least know. Source: Ranftl et al. (2022), MiDaS. Raises SizeError when shapes
    differ, DataError when fewer than two pixels are known or a depth there is not positive and
    finite.
    """
    if not predicted.shape == truth.shape == known.shape:
        raise SizeError(
            f"depths of {predicted.shape} and {truth.shape} with a mask of {known.shape}; "
            "resize them to one size"
        )
    guess, depth = (d[known].astype(np.float64) for d in (predicted, truth))
    if guess.size < 2:
        raise DataError(f"only {guess.size} depths are known; two are the least to compare")
    if not all(np.isfinite(d).all() and (d > 0).all() for d in (guess, depth)):
        raise DataError("depths must be positive and finite in metres; mask out what is unknown")
    inverse = np.stack((1 / guess, np.ones_like(guess)), 1)
    (scale, shift), *_ = np.linalg.lstsq(inverse, 1 / depth, rcond=None)
    aligned = 1 / np.maximum(inverse @ (scale, shift), 1 / FARTHEST_M)
    return DepthErrors(
        mae=float(np.abs(guess - depth).mean()),
        mae_aligned=float(np.abs(aligned - depth).mean()),
        mae_constant=float(np.abs(np.median(depth) - depth).mean()),
        scale=float(scale),
        shift=float(shift),
    )


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
    """One method's picture, uint8 at the photograph's size; `seed` of its training, None if
    untrained.
    """

    method: str
    title: str
    picture: np.ndarray
    seed: int | None = None


@torch.inference_mode()
def drawn(
    model: BRADCN,
    nets: Sequence[Training],
    photo: MeasuredPhoto,
    reference: np.ndarray,
    quiet: bool,
) -> Iterator[Drawn]:
    """Yield every method's picture of the photograph; `reference` is uint8.

    `nets` are given their arm's maps, `true` being the measured depth. Raises WeightsError for one
    that does not fit its arm any more.
    """
    image, size = eight_bit(photo.image), preset("mini").data.train_size
    small = shrunk(image, size)

    def judged(picture: Tensor) -> np.ndarray:
        return val294(picture, *image.shape[:2])

    yield Drawn("input", "input, unchanged", image)
    half = shrunk(reference, size)
    yield Drawn("reference_half", "reference through the protocol", judged(half))
    depth_net = load_depth_net()
    lens = render_lens(photo.image, depth_of(photo.image, depth_net, preset("mini").model))
    yield Drawn("lens", "predicted depth + lens, full size", eight_bit(lens))
    yield Drawn("bundled", "BRADCN, bundled", judged(model(small).bokeh))
    alone = model.render_net(small)
    yield Drawn("bundled_render_only", "BRADCN, bundled, branches off", judged(alone))
    for arm, title in TABLE1.titles.items():
        if not TABLE1.preset_of(arm, 0).stages:
            net = baselines.build(arm).eval()
            if arm in baselines.WITH_DEPTH_NET:
                net.depth_net = depth_net
            yield Drawn(f"table1/{arm}", title, judged(net(small).bokeh))
    measured = resize_nearest(fill_unknown(photo.depth, ~photo.known), size)
    maps = {
        "predicted": depth_net(small),
        "adcn": model.adcn(small),
        "true": torch.from_numpy(measured)[None, None],
    }
    for one in tqdm(nets, "nets", disable=quiet):
        title = one.table.titles[one.arm]
        yield Drawn(f"{one.table.name}/{one.arm}", title, judged(one.draw(small, maps)), one.seed)


def table(
    methods: list[Drawn], references: list[np.ndarray], progress: bool = True
) -> dict[str, Any]:
    """Return per method its title, its seeds, the means over them, and the values of each seed.

    PSNR (dB), SSIM and LPIPS against the first reference at its own size, and as `small_*` after
    both were brought to 192x128; there also the mean PSNR against every reference.
    """
    protocol, rows = Protocol(), {}
    small_truths = [resize_picture(reference, EBB_SIZE) for reference in references]
    for one in tqdm(methods, "judged", disable=not progress):
        row = rows.setdefault(one.method, {"title": one.title, "seeds": [], "by_seed": {}})
        if one.seed is not None:
            row["seeds"].append(one.seed)
        values: dict[str, Any] = protocol.measure(references[0], one.picture)
        small = resize_picture(one.picture, EBB_SIZE)
        little = protocol.measure(small_truths[0], small)
        values |= {f"small_{name}": value for name, value in little.items()}
        values["small_psnr_by_aperture"] = [psnr(truth, small) for truth in small_truths]
        for name, value in values.items():
            rounded = np.round(value, DIGITS).tolist()
            row["by_seed"].setdefault(name, []).append(rounded)
    for row in rows.values():
        row |= {name: np.mean(values, 0).tolist() for name, values in row["by_seed"].items()}
    return rows


def pictures(methods: list[Drawn], references: list[np.ndarray]) -> Figure:
    """Return the titled pictures of those methods of `PICTURE` that are there, each of its first
    seed.
    """
    first = {one.method: one.picture for one in reversed(methods)}
    first |= {f"f/{a:g}": picture for a, picture in zip(APERTURES, references, strict=True)}
    names = [name for name in PICTURE if name in first]
    return grid([first[name] for name in names], [PICTURE[name] for name in names], columns=3)


def on_motorcycle(model: BRADCN, options: argparse.Namespace) -> dict[str, Any]:
    """Judge every method on the photograph; those that train, with the nets below `options.runs`.

    Focus (m) is what `default_focus` finds in the measured depth for the reference, and in the
    predicted one for the lens; the nets choose their own. Writes motorcycle.jpg beside the result.
    Raises WeightsError without LPIPS's weights, DataError without trained nets.
    """
    lpips_net("alex")
    tables = ((TABLE1, TABLE1.titles), (TABLE2, TABLE2_ARMS))
    trainings = (one for table, arms in tables for one in finished(table, options.runs, arms))
    nets = at_hand(trainings, options.runs, "motorcycle")
    photo = motorcycle()
    references = [
        eight_bit(reference_render(photo, aperture=aperture))
        for aperture in tqdm(APERTURES, "references", disable=options.quiet)
    ]
    metres = depth_of(photo.image, load_depth_net(), preset("mini").model)
    every = list(drawn(model, nets, photo, references[0], options.quiet))
    write_figure("motorcycle", pictures(every, references))
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
        "methods": table(every, references, not options.quiet),
    }
