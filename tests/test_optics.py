"""The thin lens by hand, the sRGB curve, the disc, and what the renderers must and must not do."""

import numpy as np
import pytest

from bradcn_nb.lens.by_depth import disc_kernel, gather_blur, render_layered
from bradcn_nb.lens.thin_lens import (
    Camera,
    blur_scale,
    coc_diameter,
    linear_to_srgb,
    srgb_to_linear,
)


def test_circle_of_confusion_by_hand():
    # f = 50 mm at f/2: the aperture is 25 mm wide. Focus at 2 m: image at 1/(1/50 - 1/2000) =
    # 51.28205 mm. A point at 4 m: image at 1/(1/50 - 1/4000) = 50.63291 mm. Similar triangles on the
    # far side: 25 * (51.28205 - 50.63291) / 50.63291 = 0.320513 mm; over 15 mm of sensor 0.0213675.
    camera = Camera(focal_mm=50, f_number=2, sensor_height_mm=15)
    assert coc_diameter(4.0, 2.0, camera) == pytest.approx(0.0213675, rel=1e-5)
    # A point at 1 m: image at 1/(1/50 - 1/1000) = 52.63158 mm; 25 * (52.63158 - 51.28205) / 52.63158
    # = 0.641026 mm, that is 0.0427350 heights: as far away in 1/z, on the other side, but |.| twice.
    assert coc_diameter(1.0, 2.0, camera) == pytest.approx(0.0427350, rel=1e-5)
    assert coc_diameter(2.0, 2.0, camera) == 0
    assert coc_diameter(4.0, 2.0, camera, signed=True) < 0 < coc_diameter(1.0, 2.0, camera, True)
    # EBB!'s lens, subject at 1 m, background at infinity: 27.7778 * 50 / 950 = 1.461988 mm,
    # 0.0981200 heights of 14.9 mm.
    assert coc_diameter(np.inf, 1.0, Camera()) == pytest.approx(0.0981200, rel=1e-5)


def test_blur_scale_is_linear_in_disparity():
    camera = Camera()
    depth = np.array([0.5, 1.0, 3.0, 20.0])
    radius = blur_scale(1.5, camera) * np.abs(1 / depth - 1 / 1.5)
    np.testing.assert_allclose(2 * radius, coc_diameter(depth, 1.5, camera), rtol=1e-12)
    # Focus at infinity: the radius at 1 m is A f / (2 sensor) = 27.7778 * 50 / (2 * 14.9 * 1000).
    assert blur_scale(np.inf, camera) == pytest.approx(0.0466070, rel=1e-5)
    with pytest.raises(ValueError, match="focal length"):
        blur_scale(0.05, camera)


def test_srgb_curve():
    # Values of the standard: 0.5 is 0.2140411 linear, 0.04 is on the straight part, 0.04 / 12.92.
    assert srgb_to_linear(np.array(0.5)) == pytest.approx(0.2140411, abs=1e-6)
    assert srgb_to_linear(np.array(0.04)) == pytest.approx(0.04 / 12.92)
    values = np.linspace(0, 1, 1001, dtype=np.float32)
    back = linear_to_srgb(srgb_to_linear(values))
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, values, atol=2e-6)


@pytest.mark.parametrize("radius", [0.0, 0.4, 1.0, 2.5, 9.0])
def test_disc_kernel(radius):
    kernel = disc_kernel(radius)
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1].T)
    if radius <= 0.5:
        assert kernel.shape == (1, 1)
    if radius >= 2:  # a flat disc: its height is one over its area
        assert kernel.max() == pytest.approx(1 / (np.pi * radius**2), rel=0.03)


def scene(size=96):
    """A dark noisy background with a bright, flat square before it, and where the square is."""
    rng = np.random.default_rng(0)
    image = np.tile(rng.uniform(0.1, 0.3, (size, size, 1)), 3).astype(np.float32)
    inside = np.zeros((size, size), bool)
    inside[32:64, 32:64] = True
    image[inside] = [1.0, 0.2, 0.1]
    return image, inside


def test_focus_is_untouched():
    image, _ = scene()
    flat = np.full(image.shape[:2], 0.7, np.float32)
    np.testing.assert_array_equal(render_layered(image, flat, 0.7, 50.0), image)
    image, inside = scene()
    out = render_layered(image, np.where(inside, 1.0, 0.4), 1.0, 10.0, highlights=2.0)
    np.testing.assert_array_equal(out[inside], image[inside])


def test_sharp_subject_does_not_leak_into_the_background():
    image, inside = scene()
    disparity = np.where(inside, 1.0, 0.4)  # the background's radius is 6 px
    layered = render_layered(image, disparity, 1.0, 10.0)
    naive = gather_blur(image, np.abs(disparity - 1.0) * 10)
    ring = np.zeros_like(inside)
    ring[28:68, 28:68] = True
    ring &= ~inside
    assert (naive[ring][:, 0] - naive[ring][:, 1]).mean() > 0.2  # red light has leaked
    assert (layered[ring][:, 0] - layered[ring][:, 1]).max() < 0.01
    assert layered[ring].std() < 0.5 * image[ring].std()  # and it is blurred all the same


def test_blurred_foreground_spreads_over_the_focus():
    image, inside = scene()
    disparity = np.where(inside, 2.0, 1.0)  # now the square is near, with a radius of 8 px
    out = render_layered(image, disparity, 1.0, 8.0)
    row = (out[48, :, 0] - out[48, :, 1])[:48]
    assert row[28] > 0.1  # outside the square
    assert row[32] < 0.75 * row[47]  # soft inside as well
    steps = np.abs(np.diff(out[40:56, 16:48].mean(axis=0)[:, 0]))
    assert steps.max() < 0.12  # no hard edge where the square ended (it was 0.8 high)
    np.testing.assert_array_equal(out[:20], image[:20])  # out of reach


def test_no_seams_between_layers():
    ramp = np.linspace(0.1, 2.0, 240, dtype=np.float32)[None].repeat(160, axis=0)
    grey = np.full((160, 240, 3), 0.5, np.float32)
    out = render_layered(grey, ramp, 1.0, 12.0, highlights=2.0)
    assert np.abs(out - grey).max() < 0.5 / 255
    y, x = np.mgrid[:160, :240]
    smooth = np.stack([0.5 + 0.3 * np.sin(x / 40), 0.2 + 0.6 * y / 160, 0.5 + 0 * x], axis=2)
    out = render_layered(smooth.astype(np.float32), ramp, 1.0, 12.0)
    second = np.diff(out, 2, axis=1)[8:-8, 8:-8]  # a seam would be a jump in the slope
    assert np.abs(second).max() < 2 / 255


def test_point_becomes_a_disc_and_keeps_its_energy():
    image = np.zeros((101, 101, 3), np.float32)
    image[50, 50] = 1.0
    for radius in (5.0, 20.0):  # the second one is blurred at a smaller size
        out = srgb_to_linear(render_layered(image, np.zeros((101, 101)), 1.0, radius))[..., 0]
        assert out.sum() == pytest.approx(1, rel=0.02)
        y, x = np.mgrid[-50:51, -50:51]
        distance = np.hypot(y, x)
        second_moment = (out * distance**2).sum() / out.sum()
        assert np.sqrt(2 * second_moment) == pytest.approx(radius, rel=0.06)  # r^2 / 2 for a disc
        assert out[distance > radius * 1.25 + 1].max() < 1e-6


def test_highlights_get_brighter_discs_only():
    image = np.full((80, 80, 3), 0.2, np.float32)
    image[39:42, 39:42] = 1.0
    plain = render_layered(image, np.zeros((80, 80)), 1.0, 8.0)
    lamps = render_layered(image, np.zeros((80, 80)), 1.0, 8.0, highlights=2.0)
    assert lamps[40, 40, 0] > plain[40, 40, 0] + 0.03
    np.testing.assert_allclose(lamps[:20], plain[:20], atol=1 / 255)
