"""Hidden tests of assignment 1: the lens, light, blur, alpha over and layers."""

from typing import Any, NamedTuple

import cv2
import numpy as np

from bradcn_nb.course.answers import Answers
from bradcn_nb.lens.by_depth import disc_kernel
from bradcn_nb.lens.thin_lens import Camera, coc_diameter, linear_to_srgb, srgb_to_linear
from hidden_tests import SEED

NOTHING = "your function returned nothing: is there a `return`?"
CAMERAS = ((50.0, 1.8, 14.9), (85.0, 4.0, 24.0), (5.0, 2.2, 1.5), (135.0, 2.0, 15.6))


class Lamp(NamedTuple):
    """What the photograph of the lamp says; lengths in the units of their names."""

    focal_mm: float
    f_number: float
    sensor_height_mm: float
    focus_m: float
    picture_px: int
    disc_px: float


def lamp_numbers(seed: int) -> Lamp:
    """Return the numbers that the notebook draws from the same seed."""
    rng = np.random.default_rng(seed)
    focal_mm = float(rng.choice([35, 50, 85]))
    f_number = float(rng.choice([1.4, 1.8, 2.0, 2.8]))
    focus_m = round(float(rng.uniform(1.2, 2.5)), 2)
    # Stars have at least these discs, in px at f/1, at every focus up to 2.5 m.
    possible_px = {35.0: 13.3, 50.0: 27.3, 85.0: 80.2}[focal_mm] / f_number
    disc_px = round(float(rng.uniform(0.4, 0.85)) * possible_px, 1)
    return Lamp(focal_mm, f_number, 14.9, focus_m, 400, disc_px)


def numbers(result: Any, what: str) -> np.ndarray:
    """Return a student's numbers as float64; raises AssertionError for what is none."""
    assert result is not None, NOTHING
    try:
        return np.asarray(result, dtype=np.float64)
    except (TypeError, ValueError):
        raise AssertionError(f"{what} must be numbers, not {type(result).__name__}") from None


def keeps_inputs(mine, question, first, second):
    """Whether the arrays that a function is called with are the same afterwards.

    This is a driver of `Answers.run`, so it uses no name from around it, in type hints neither.
    """
    import numpy as np

    values = [first.copy(), second.copy() if isinstance(second, np.ndarray) else second]
    getattr(mine, question)(*values)
    return bool(np.array_equal(values[0], first) and np.array_equal(values[1], second))


def check_circle_of_confusion(mine: Answers) -> None:
    """Check numbers, arrays of any shape, both sides of the focus, and infinity."""
    example = numbers(mine.circle_of_confusion(4.0, 2.0, 50.0, 2.0, 25.0), "the diameter")
    assert example.shape == (), "a single depth has a single diameter"
    assert abs(example - 0.012821) < 1e-5, "the example of the text comes out wrong"
    depths = np.array([[0.6, 1.0, 1.7], [3.0, 8.0, 250.0]])
    for focal, n, sensor in CAMERAS:
        for focus_m in (0.7, 1.7, 6.0):
            found = numbers(
                mine.circle_of_confusion(depths, focus_m, focal, n, sensor), "diameters"
            )
            assert found.shape == depths.shape, "the diameters have the shape of the depths"
            assert (found >= 0).all(), (
                "a diameter is negative; before the focus it is positive, too"
            )
            expected = coc_diameter(depths, focus_m, Camera(focal, n, sensor))
            assert np.allclose(found, expected, rtol=1e-4, atol=1e-9), (
                "for another lens, focus or sensor the diameter is wrong: check zf - f, z in the "
                "denominator, millimetres against metres, and diameter against radius"
            )
    star = numbers(mine.circle_of_confusion(np.inf, 1.7, 85.0, 4.0, 24.0), "the diameter")
    assert np.isfinite(star), "an infinitely distant point has a finite disc"
    expected = coc_diameter(np.inf, 1.7, Camera(85.0, 4.0, 24.0))
    assert abs(star / expected - 1) < 1e-4, "the disc of an infinitely distant point is wrong"


def check_lamp_depths(mine: Answers) -> None:
    """Check both depths against the seed's numbers."""
    found = numbers(mine.lamp_depths(), "the two depths")
    assert found.size == 2, "return two depths: one before the focus and one beyond it"
    nearer, farther = found.ravel()
    lamp = lamp_numbers(SEED)
    assert 0 < nearer < lamp.focus_m < farther, (
        "the nearer depth comes first and lies before the focus, the other beyond it"
    )
    camera = Camera(lamp.focal_mm, lamp.f_number, lamp.sensor_height_mm)
    reach = lamp.disc_px / lamp.picture_px / coc_diameter(np.inf, lamp.focus_m, camera)
    for depth, sign, name in ((nearer, 1, "nearer"), (farther, -1, "farther")):
        assert abs(depth * (1 + sign * reach) / lamp.focus_m - 1) < 2e-3, (
            f"the {name} lamp's disc would not have the diameter that was measured: is it a "
            "diameter, in image heights, and equally far from the focus in disparity?"
        )


def check_settings_for_group(mine: Answers) -> None:
    """Check that both ends are exactly at the limit, also when the far one is infinite."""
    cases = (
        (2.0, 6.0, 50.0, 14.9, 0.002),
        (0.8, 1.1, 85.0, 24.0, 0.001),
        (3.0, 40.0, 35.0, 15.6, 0.0015),
        (1.5, np.inf, 24.0, 14.9, 0.002),
    )
    for near_m, far_m, focal, sensor, limit in cases:
        result = mine.settings_for_group(near_m, far_m, focal, sensor, limit)
        found = numbers(result, "focus and f-number")
        assert found.size == 2, "return two numbers: the focus distance and the f-number"
        focus_m, n = found.ravel()
        assert np.isfinite(focus_m) and near_m < focus_m < far_m, (
            "the focus lies between the nearest and the farthest person, also when the latter "
            "is infinitely far away"
        )
        assert n > 0 and np.isfinite(n), "the f-number is positive and finite"
        ends = [coc_diameter(z, focus_m, Camera(focal, n, sensor)) for z in (near_m, far_m)]
        assert abs(ends[0] / ends[1] - 1) < 5e-3, (
            "one end is softer than the other, so another focus would allow a wider opening"
        )
        assert max(ends) < 1.003 * limit, "with these settings one end is softer than the limit"
        assert max(ends) > 0.997 * limit, "a smaller f-number would be large enough"


def check_average_light(mine: Answers) -> None:
    """Check colours, weights of any sum, dark values, and that inputs stay."""
    two = np.array([[[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]])
    found = numbers(mine.average_light(two, np.array([[1.0, 1.0]])), "the colour")
    assert found.size == 3, "a colour is three numbers, one for each channel"
    rng = np.random.default_rng(101)
    dark = rng.uniform(0, 0.06, (4, 3, 3))
    bright = rng.uniform(0, 1, (5, 7, 3))
    for patch, words in ((two, "black and white"), (bright, "colours"), (dark, "dark colours")):
        weights = rng.uniform(0, 2, patch.shape[:2])
        weights[0, 0] = 0.5
        total = (srgb_to_linear(patch) * weights[..., None]).sum((0, 1)) / weights.sum()
        found = numbers(mine.average_light(patch, weights), "the colour").ravel()
        assert np.allclose(found, linear_to_srgb(total), atol=5e-4), (
            f"for {words} with uneven weights the average is wrong: values to light, weighted "
            "mean of each channel, light to values"
        )
    assert mine.run(keeps_inputs, question="average_light", first=bright, second=np.ones((5, 7))), (
        "the patch or the weights were changed in place"
    )


def check_blur_layer(mine: Answers) -> None:
    """Check kernels, borders, channels, light above 1, and that the layer stays."""
    lamp = np.zeros((7, 9))
    lamp[3, 4] = 1
    found = numbers(mine.blur_layer(lamp, 1.0), "the blurred layer")
    assert found.shape == lamp.shape, "the layer's shape has changed"
    wide = np.zeros((15, 17))
    wide[7, 8] = 40.0  # light may exceed 1
    for radius in (0.0, 0.3, 1.0, 1.4, 2.5, 4.75):
        found = numbers(mine.blur_layer(wide, radius), "the blurred layer")
        assert abs(found.sum() - 40) < 1e-2, f"radius {radius}: light was lost or made"
        expected = cv2.filter2D(wide, -1, disc_kernel(radius).astype(float))
        assert np.allclose(found, expected, atol=40 * 2e-4), (
            f"radius {radius}: the lamp's disc has another shape. Is it even inside, with a rim "
            "of clip(radius + 0.5 - distance, 0, 1), and is this number the radius?"
        )
    second = np.zeros((7, 9))
    second[3, 1] = 1
    found = numbers(mine.blur_layer(second, 1.0), "the blurred layer")
    assert abs(found[3, 0] - 2 * found[3, 2]) < 1e-4, (
        "beside the border a lamp is seen twice, directly and in the mirror"
    )
    rng = np.random.default_rng(102)
    for shape in ((14, 18), (13, 16, 4), (12, 15, 1)):
        layer = rng.uniform(0, 1, shape)
        found = numbers(mine.blur_layer(layer, 2.6), "the blurred layer")
        assert found.shape == shape, f"a layer of shape {shape} does not keep its shape"
        kernel = disc_kernel(2.6).astype(float)
        expected = cv2.filter2D(layer, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
        expected = expected.reshape(shape)
        inner = slice(4, -4)
        assert np.allclose(found[inner, inner], expected[inner, inner], atol=2e-4), (
            "in the middle of a layer with channels the average is wrong"
        )
        assert np.allclose(found, expected, atol=2e-4), (
            "near the border the average is wrong: the mirror stands on the last pixel"
        )
    single = numbers(mine.blur_layer(layer.astype(np.float32), 2.6), "the blurred layer")
    assert np.allclose(single, expected, atol=2e-4), "float32 layers come out differently"
    assert mine.run(keeps_inputs, question="blur_layer", first=layer, second=1.5), (
        "the layer itself was changed; return a new one"
    )


def check_over(mine: Answers) -> None:
    """Check colours and alpha, order, light without coverage, and that inputs stay."""
    leaf = np.array([[[0.0, 0.2, 0.0, 0.25]]])
    found = numbers(mine.over(leaf, np.ones((1, 1, 4))), "the layer")
    assert found.shape == (1, 1, 4), "the result is a layer with four channels"
    rng = np.random.default_rng(103)
    front, back = rng.uniform(0.05, 1, (2, 6, 5, 4))
    for layer in (front, back):
        layer[..., :3] *= layer[..., 3:]
    front[0, 0], front[1, 1, 3] = 0, 1
    front[2, 2] = (3.0, 2.0, 1.0, 0.5)  # a lamp
    front[3, 3] = (0.4, 0.3, 0.2, 0.0)  # a reflection: light that hides nothing
    expected = front + (1 - front[..., 3:]) * back
    found = numbers(mine.over(front, back), "the layer")
    assert found.shape == front.shape, "the layer's shape has changed"
    assert np.allclose(found[0, 0], back[0, 0], atol=1e-5), "an empty front hides something"
    assert np.allclose(found[1, 1], front[1, 1], atol=1e-5), "an opaque front lets light through"
    assert np.allclose(found[2, 2], expected[2, 2], atol=1e-5), "light above 1 was cut off"
    assert np.allclose(found[3, 3], expected[3, 3], atol=1e-5), (
        "light with alpha 0 is added and hides nothing"
    )
    assert np.allclose(found[..., 3], expected[..., 3], atol=1e-5), "alpha is wrong"
    assert np.allclose(found, expected, atol=1e-5), (
        "colours are wrong: they are multiplied by their own alpha already"
    )
    assert mine.run(keeps_inputs, question="over", first=front, second=back), (
        "one of the two layers was changed in place; return a new one"
    )


def check_disparity_layers(mine: Answers) -> None:
    """Check the cuts, both ends, what lies beyond them, and infinity."""
    depths = np.array([[1.0, 1.2, 1.7], [2.5, 5.0, 100.0]])
    found = numbers(mine.disparity_layers(depths, 1.0, np.inf, 4), "the layers")
    assert found.shape == depths.shape, "there is one number for each pixel"
    on_cuts = np.array([[4.0, 2.0]])
    found = numbers(mine.disparity_layers(on_cuts, 1.0, np.inf, 4), "the layers")
    assert found.ravel().tolist() == [1, 2], "a cut belongs to the nearer of its two layers"
    rng = np.random.default_rng(104)
    for nearest_m, farthest_m, count in ((0.8, 7.0, 5), (2.1, 5.0, 24), (1.0, np.inf, 3)):
        near, far = 1 / nearest_m, 1 / farthest_m
        cell = rng.integers(0, count, (8, 9))
        inside = rng.uniform(0.1, 0.9, cell.shape)  # away from the cuts
        depths = 1 / (far + (cell + inside) / count * (near - far))
        found = numbers(mine.disparity_layers(depths, nearest_m, farthest_m, count), "the layers")
        assert np.array_equal(found, np.rint(found)), "layers are whole numbers"
        assert found.min() >= 0 and found.max() <= count - 1, "layers are 0 to count - 1"
        assert np.array_equal(found, cell), (
            "some pixels are in a wrong layer: equal steps of disparity, 0 is the farthest"
        )
        ends = np.array([[nearest_m, farthest_m, nearest_m / 2, 2 * farthest_m, np.inf]])
        found = numbers(mine.disparity_layers(ends, nearest_m, farthest_m, count), "the layers")
        assert found.ravel().tolist() == [count - 1, 0, count - 1, 0, 0], (
            "the ends of the range and what lies beyond them belong to the first and last layer"
        )
