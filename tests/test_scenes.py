"""The reference lens renderer against cases worked by hand, and the scenes' promises."""

import math
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from bradcn_nb.data import SUN_SENSORS, bundle
from bradcn_nb.files import data_root
from bradcn_nb.lens.reference import (
    Layer,
    aperture_samples,
    composite,
    default_samples,
    lens_view,
    pinhole_depth,
)
from bradcn_nb.lens.thin_lens import Camera, blur_scale, linear_to_srgb
from bradcn_nb.scenes import outdoor_scene, room_scene, view
from bradcn_nb.scenes.rooms import FOCAL, SURFACES

ROOT = Path(__file__).resolve().parents[1]

CAMERA = Camera()
H, W = 65, 97
FOCUS = 1.5


def flat(colour: np.ndarray, depth: float, shape=(H, W), origin=(0, 0)) -> Layer:
    """A fronto-parallel, opaque layer."""
    rgba = np.ones((*shape, 4), np.float32)
    rgba[..., :3] = colour
    return Layer(rgba, origin, np.array([0, 0, 1 / depth]))


def point(depth: float) -> Layer:
    """One bright pixel at the frame's centre, transparent around it."""
    rgba = np.zeros((H, W, 4), np.float32)
    rgba[H // 2, W // 2] = 1
    return Layer(rgba, (0, 0), np.array([0, 0, 1 / depth]))


def test_point_becomes_a_uniform_disc_of_the_thin_lens_radius() -> None:
    depth = 6.0
    radius = blur_scale(FOCUS, CAMERA) * abs(1 / depth - 1 / FOCUS) * H
    assert 1.5 < radius < 4
    disc = lens_view([point(depth)], H, W, FOCUS, CAMERA, samples=4096)[..., 0]
    y, x = np.mgrid[:H, :W]
    distance = np.hypot(y - H // 2, x - W // 2)
    assert disc[distance > radius + 1.5].max() == 0
    inside = disc[distance < radius - 1.5]
    assert inside.size > 0
    np.testing.assert_allclose(inside, 1 / (math.pi * radius**2), rtol=0.06)


def test_energy_is_kept() -> None:
    for depth in (0.9, 1.5, 6.0):
        disc = lens_view([point(depth)], H, W, FOCUS, CAMERA, samples=200)
        assert disc.sum() == pytest.approx(3.0, rel=1e-4)


def test_plane_in_focus_stays_untouched_and_others_do_not() -> None:
    texture = np.random.default_rng(0).random((H, W, 3)).astype(np.float32)
    sharp = lens_view([flat(texture, FOCUS)], H, W, FOCUS, CAMERA)
    assert np.abs(sharp - texture).max() < 1 / 255
    blurred = lens_view([flat(texture, 4.0)], H, W, FOCUS, CAMERA)
    assert blurred[10:-10, 10:-10].std() < 0.5 * texture.std()


def test_slanted_plane_is_sharp_where_it_crosses_the_focus() -> None:
    texture = np.random.default_rng(1).random((H, W, 3)).astype(np.float32)
    rgba = np.concatenate([texture, np.ones((H, W, 1), np.float32)], 2)
    layer = Layer(rgba, (0, 0), np.array([0.3, 0.0, 1 / FOCUS]))  # focus in the middle column
    result = lens_view([layer], H, W, FOCUS, CAMERA)
    error = np.abs(result - texture).mean((0, 2))
    assert error[W // 2] < 0.02 < error[10] and error[W // 2] < error[-10]
    depth = pinhole_depth([layer], H, W)
    x = (np.arange(W) - (W - 1) / 2) / H
    np.testing.assert_allclose(1 / depth[0], 1 / FOCUS + 0.3 * x, rtol=1e-5)


def test_a_sharp_occluder_does_not_bleed_but_a_blurred_one_spreads() -> None:
    behind = flat(np.ones(3), 6.0, (H + 40, W + 40), (-20, -20))
    half = flat(np.zeros(3), FOCUS, (H, W // 2), (0, 0))
    sharp = lens_view([behind, half], H, W, FOCUS, CAMERA)[H // 2, :, 0]
    assert sharp[: W // 2].max() < 1 / 255 and sharp[W // 2 + 1 :].min() > 0.99
    near = flat(np.zeros(3), 0.9, (H + 40, W // 2 + 20), (-20, -20))
    edge = lens_view([flat(np.ones(3), FOCUS), near], H, W, FOCUS, CAMERA)[H // 2, :, 0]
    around = edge[W // 2 - 1 : W // 2 + 1]
    assert (around > 0.2).all() and (around < 0.8).all()  # half of the aperture sees past the edge


def test_aperture_samples_fill_the_disc_evenly() -> None:
    points = aperture_samples(1000)
    radius = np.hypot(*points.T)
    assert radius.max() < 1
    assert (radius < 0.5).mean() == pytest.approx(0.25, abs=0.01)
    assert np.abs(points.mean(0)).max() < 0.01


def test_composite_at_the_pinhole_is_alpha_blending() -> None:
    glass = flat(0.5 * np.array([1.0, 0, 0]), 2.0)
    glass.rgba[..., 3] = 0.5
    frame = composite([flat(np.ones(3), 5.0), glass], H, W, np.zeros(2), 0.0)
    np.testing.assert_allclose(frame[3, 3], [1.0, 0.5, 0.5], atol=1e-6)


@pytest.mark.parametrize("seed", [bundle.EBB_SEED, bundle.EBB_SEED + 4401])
def test_no_banding_against_four_times_the_samples(seed: int) -> None:
    scene = outdoor_scene(seed)
    layers = scene.layers(H, W, margin=0.14)
    usual = lens_view(layers, H, W, scene.focus_m, CAMERA)
    count = default_samples(layers, H, W, scene.focus_m, CAMERA)
    fine = lens_view(layers, H, W, scene.focus_m, CAMERA, samples=4 * count)
    assert np.abs(linear_to_srgb(usual) - linear_to_srgb(fine)).mean() < 1 / 255


def test_scenes_are_the_same_at_every_size_and_every_time() -> None:
    scene = outdoor_scene(12)
    small, depth = scene.pinhole(64, 96)
    again, _ = outdoor_scene(12).pinhole(64, 96)
    np.testing.assert_array_equal(small, again)
    large, _ = scene.pinhole(192, 288)
    shrunk = large.reshape(64, 3, 96, 3, 3).mean((1, 3))
    assert np.abs(shrunk - small).mean() < 0.06
    assert np.isfinite(depth).all() and depth.min() > 0.1


def test_views_alternate_and_are_finite() -> None:
    for seed in (10_000_000, 10_000_001):
        image, depth = view(seed)
        assert image.shape == (64, 96, 3) and depth.shape == (64, 96)
        assert image.dtype == depth.dtype == np.float32
        assert 0 <= image.min() and image.max() <= 1 and image.std() > 0.03
        assert np.isfinite(depth).all() and depth.min() > 0


def test_the_depth_sensor_has_holes_and_noise_that_grows_with_depth() -> None:
    _, true = room_scene(5).pinhole(96, 128)
    _, raw, filled = room_scene(5).sensed(96, 128)
    assert 0.001 < (raw == 0).mean() < 0.25 and (filled > 0).all()
    known = (raw > 0) & (true < 8)
    error = np.abs(raw - true)[known]
    far = true[known] > np.median(true[known])
    assert error[far].mean() > error[~far].mean() > 0
    assert np.abs(filled - true)[known].mean() < error.mean()


def test_rooms_know_their_surfaces() -> None:
    """Floor and ceiling are one plane each, parallel; on a plane 1/z is linear in the pixel."""
    h, w = 48, 64
    y, x = np.mgrid[:h, :w]
    rays = np.stack(
        [(x - (w - 1) / 2) / h / FOCAL, (y - (h - 1) / 2) / h / FOCAL, np.ones((h, w))], -1
    )
    seen = set()
    for seed in (0, 1, 12, 16, 21):
        room = room_scene(seed)
        kinds, depth = room.surfaces(h, w), room.pinhole(h, w)[1]
        assert kinds.dtype == np.uint8 and depth.max() < 100  # no pixel without a surface
        planes = {}
        for kind in ("floor", "ceiling"):
            here = kinds == SURFACES.index(kind)
            if here.sum() < 40:
                continue
            # n . (depth * ray) = 1 with the plane's normal n over its distance.
            planes[kind] = np.linalg.lstsq(rays[here], 1 / depth[here], rcond=None)[0]
            np.testing.assert_allclose(rays[here] @ planes[kind], 1 / depth[here], rtol=1e-3)
            assert (planes[kind][1] > 0) == (kind == "floor")  # y points down
            other = kinds == SURFACES.index("furniture")
            if other.sum() > 40:
                off = np.abs(rays[other] @ planes[kind] * depth[other] - 1)
                assert np.median(off) > 0.02
        if len(planes) == 2:
            up, down = (n / np.linalg.norm(n) for n in planes.values())
            assert up @ down == pytest.approx(-1, abs=1e-4)
            seen.add("parallel")
        seen |= set(np.unique(kinds).tolist())
    assert seen == {0, 1, 2, 3, "parallel"}


def codecs_are_locked() -> bool:
    """Whether OpenCV and Pillow are those of the lock: others round some pixels otherwise."""
    locked = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
    return all(
        f"{name}=={version(name)}" in locked for name in ("opencv-python-headless", "pillow")
    )


def test_bundled_sets_are_what_the_seeds_give() -> None:
    tolerance = 0.0 if codecs_are_locked() else 2.0
    made = {
        "mini-ebb": bundle.ebb_files(0) | bundle.ebb_files(4559),
        "mini-sun": bundle.sun_files(7),
        "mini-check": bundle.ebb_files(4384) | bundle.sun_files(360),
    }
    for root, files in made.items():
        for name, data in files.items():
            there = (data_root() / root / name).read_bytes()
            limit = 0.0 if "depth" in name else tolerance  # metres are exact with every version
            assert bundle.grey_levels_apart(there, data) <= limit, name


def test_bundled_sets_are_complete_and_small() -> None:
    root = data_root()
    for folder in ("original", "bokeh"):
        ids = {int(path.stem) for path in (root / "mini-ebb" / folder).glob("*.jpg")}
        assert ids == {*bundle.EBB_TRAIN, *bundle.EBB_TEST}
    frames = [
        path for sensor in SUN_SENSORS for path in (root / "mini-sun" / sensor).rglob("image")
    ]
    assert len(frames) == len(bundle.SUN_FRAMES)
    files = [
        p for name in ("mini-ebb", "mini-sun") for p in (root / name).rglob("*") if p.is_file()
    ]
    assert sum(path.stat().st_size for path in files) < 15e6
