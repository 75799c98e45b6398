"""The photograph with measured depth: its calibration, its reference, and errors against it."""

from pathlib import Path

import numpy as np
import pytest

from bradcn_nb import scenes
from bradcn_nb.errors import DataError, SizeError
from bradcn_nb.experiments.motorcycle import depth_errors, motorcycle, reference_render
from bradcn_nb.lens.by_depth import default_focus
from bradcn_nb.lens.thin_lens import Camera, coc_diameter
from bradcn_nb.models import load_depth_net
from bradcn_nb.photograph import depth_of
from bradcn_nb.presets import preset


@pytest.fixture(scope="module")
def photo():
    return motorcycle()


def test_no_scene_shows_a_piece_of_it():
    sources = sorted(Path(scenes.__file__).parent.glob("*.py"))
    assert len(sources) > 5
    assert not any("motorcycle" in source.read_text(encoding="utf-8") for source in sources)


def test_depth_follows_the_calibration(photo):
    assert photo.image.shape == (500, 741, 3) and photo.image.dtype == np.float32
    assert 0 <= photo.image.min() and photo.image.max() <= 1
    assert photo.depth.shape == photo.known.shape == (500, 741)
    assert 1 - photo.known.mean() == pytest.approx(0.0735, abs=1e-4)
    assert (photo.depth[~photo.known] == 0).all()
    depth = photo.depth[photo.known]
    assert depth.min() == pytest.approx(2.110, abs=1e-3)
    assert depth.max() == pytest.approx(5.017, abs=1e-3)


def test_depth_puts_the_same_surface_into_the_right_picture(photo):
    """An oracle for calibration and masking: shifted by its disparity, left looks like right."""
    data = pytest.importorskip("skimage.data")
    _, right, _ = data.stereo_motorcycle()
    disparity = 994.978 * 0.193001 / np.where(photo.known, photo.depth, 1) - 31.086
    rows, columns = np.nonzero(photo.known)
    target = np.rint(columns - disparity[photo.known]).astype(int)
    inside = target >= 0
    rows, columns, target = rows[inside], columns[inside], target[inside]
    matched = np.abs(photo.image[rows, columns] - right[rows, target] / 255).mean()
    unmatched = np.abs(photo.image[rows, columns] - right[rows, columns] / 255).mean()
    assert matched < 0.4 * unmatched


def test_reference_keeps_what_is_in_focus_and_blurs_the_rest(photo):
    drawn = reference_render(photo, focus=(330, 300), aperture=1.8)
    assert drawn.shape == photo.image.shape and np.isfinite(drawn).all()
    focus = float(np.median(photo.depth[295:306, 325:336]))
    radius = 250 * coc_diameter(photo.depth[photo.known], focus, Camera())
    changed = np.abs(drawn - photo.image).mean(2)[photo.known]
    assert np.median(changed[radius < 0.4]) == 0  # nearer things may still cover some of it
    assert np.median(changed[radius > 4]) > 0.02
    wider = reference_render(photo, focus=(330, 300), aperture=1.2)
    assert np.abs(wider - photo.image).mean() > np.abs(drawn - photo.image).mean()
    middle = default_focus(photo.depth)
    assert 2.1 < middle < 5.1


def test_errors_of_known_predictions():
    rng = np.random.default_rng(0)
    truth = rng.uniform(1, 6, (40, 50)).astype(np.float32)
    known = rng.random((40, 50)) < 0.9
    exact = depth_errors(truth, truth, known)
    assert exact.mae == 0 and exact.mae_aligned == pytest.approx(0, abs=1e-6)
    assert exact.scale == pytest.approx(1) and exact.shift == pytest.approx(0, abs=1e-6)
    # Another scale and shift of the inverse: wrong in metres, right after the alignment.
    other = 1 / (0.5 / truth + 0.1)
    errors = depth_errors(other, truth, known)
    assert errors.mae == pytest.approx(np.abs(other - truth)[known].mean(), rel=1e-6)
    assert errors.mae > 0.5 and errors.mae_aligned < 1e-4
    assert (errors.scale, errors.shift) == pytest.approx((2, -0.2), abs=1e-4)
    flat = depth_errors(np.full_like(truth, np.median(truth[known])), truth, known)
    assert flat.mae == pytest.approx(flat.mae_constant)
    # Pixels that are not known do not count, whatever they hold.
    spoilt = np.where(known, other, np.nan)
    assert depth_errors(spoilt, truth, known) == errors


def test_bad_depths_are_refused():
    depth, known = np.ones((4, 5), np.float32), np.ones((4, 5), bool)
    with pytest.raises(SizeError, match=r"\(4, 5\) and \(5, 4\)"):
        depth_errors(depth, depth.T, known)
    with pytest.raises(DataError, match="only 0 depths"):
        depth_errors(depth, depth, ~known)
    for wrong in (np.nan, np.inf, 0.0, -1.0):
        with pytest.raises(DataError, match="positive and finite"):
            depth_errors(np.full_like(depth, wrong), depth, known)


def test_the_bundled_depth_net_can_be_measured(photo):
    predicted = depth_of(photo.image, load_depth_net(), preset("mini").model)
    errors = depth_errors(predicted, photo.depth, photo.known)
    assert 0 < errors.mae_aligned <= errors.mae
    assert errors.mae_constant == pytest.approx(0.81, abs=0.2)
