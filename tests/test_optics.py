"""The thin lens by hand, the sRGB curve, the disc, and what the renderers must and must not do."""

import inspect
import subprocess
import sys

import cv2
import numpy as np
import pytest

from bradcn_nb.lens.by_depth import disc_kernel, gather_blur, render_layered, render_lens
from bradcn_nb.lens.reference import Layer
from bradcn_nb.lens.thin_lens import (
    Camera,
    blur_scale,
    coc_diameter,
    linear_to_srgb,
    srgb_to_linear,
)
from bradcn_nb.lens.upsample import guided_upsample, upsample_bilinear, upsample_stack


def test_the_lens_is_numpy_alone_and_fits_a_page():
    modules = "by_depth, layers, reference, thin_lens, upsample"
    code = f"import sys; from bradcn_nb.lens import {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    for shown in (blur_scale, coc_diameter):
        assert max(map(len, inspect.getsource(shown).splitlines())) <= 79


def test_circle_of_confusion_by_hand():
    # f = 50 mm at f/2: the aperture is 25 mm wide. Focus at 2 m: image at 1/(1/50 - 1/2000) =
    # 51.28205 mm. A point at 4 m: image at 1/(1/50 - 1/4000) = 50.63291 mm. Similar triangles on
    # the far side: 25 * (51.28205 - 50.63291) / 50.63291 = 0.320513 mm; of 15 mm that is 0.0213675.
    camera = Camera(focal_mm=50, f_number=2, sensor_height_mm=15)
    assert coc_diameter(4.0, 2.0, camera) == pytest.approx(0.0213675, rel=1e-5)
    # A point at 1 m: image at 1/(1/50 - 1/1000) = 52.63158 mm; 25 * (52.63158 - 51.28205) /
    # 52.63158 = 0.641026 mm: 0.0427350 heights, on the other side and twice as far away in 1/z.
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


@pytest.mark.parametrize(
    "draw",
    [
        srgb_to_linear,
        linear_to_srgb,
        lambda picture: gather_blur(picture, np.ones((8, 9))),
        lambda picture: render_layered(picture, np.ones((8, 9)), 0.0, 2.0),
        lambda picture: render_lens(picture, np.ones((8, 9))),
        lambda picture: upsample_bilinear(picture, (20, 20)),
        lambda picture: upsample_stack(picture, np.ones((4, 5, 3), np.float32)),
        lambda picture: guided_upsample(np.ones((4, 5), np.float32), picture),
        lambda picture: Layer(picture, (0, 0), np.zeros(3)),
    ],
)
def test_pictures_are_floats(draw):
    with pytest.raises(TypeError, match="floats, not uint8; divide"):
        draw(np.full((8, 9, 3), 128, np.uint8))
    broken = np.full((8, 9, 3), 0.5, np.float32)
    draw(broken)
    broken[3, 4, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        draw(broken)


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


@pytest.mark.parametrize("highlights", [0.0, 2.0])
@pytest.mark.parametrize("radius", [32, 64, 100])
def test_a_lamp_becomes_a_disc_whose_rim_is_as_narrow_as_the_lamp(radius, highlights):
    image = np.full((300, 300, 3), 20 / 255, np.float32)
    image[146:155, 146:155] = 1
    disparity = np.zeros((300, 300), np.float32)
    disparity[:2, :2] = 1  # the focus, far from the lamp
    base = srgb_to_linear(np.array(20 / 255))
    out = render_layered(image, disparity, 1.0, float(radius), highlights=highlights)
    light = srgb_to_linear(out[..., 1].astype(np.float64)) - base
    lamp = np.zeros((300, 300), np.float32)
    lamp[146:155, 146:155] = 1 + highlights - base  # expanded, and too dim as a disc to be undone
    truth = cv2.filter2D(lamp, -1, disc_kernel(radius))
    np.testing.assert_allclose(light[40:, 40:], truth[40:, 40:], atol=0.04 * truth.max())
    row = light[150, 150:]
    level = row[: radius // 2].mean()
    assert np.argmax(row < 0.1 * level) - np.argmax(row < 0.9 * level) <= 9


@pytest.mark.parametrize("radius", [3.0, 12.0])
def test_alpha_and_colour_are_blurred_together(radius):
    """A white disc on nothing stays white, and its edge softens, whatever colour is hidden."""
    y, x = np.mgrid[:80, :90]
    alpha = (np.hypot(y - 40, x - 45) < 20).astype(np.float32)
    results = []
    for hidden in ([0, 0, 0], [1, 0, 0]):
        colour = np.where(alpha[..., None] > 0, 1, hidden).astype(np.float32)
        photo = np.dstack([colour, alpha])
        np.testing.assert_array_equal(render_layered(photo, alpha * 0, 0.0, 1.0), photo)
        drawn = render_layered(photo, np.full((80, 90), radius), 0.0, 1.0, highlights=2.0)
        expected = cv2.filter2D(alpha, -1, disc_kernel(radius))
        np.testing.assert_allclose(drawn[..., 3], expected, atol=1e-4)
        assert drawn[expected > 0.01][:, :3].min() > 0.999
        white = cv2.resize(cv2.blur(colour * 0 + 1, (9, 9)), (45, 40))
        results.append(upsample_stack(photo, white))
    visible = results[0][..., 3] > 0.01
    np.testing.assert_allclose(results[0][visible], results[1][visible], atol=1e-3)
