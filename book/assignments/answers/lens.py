"""Assignment 1: wrong answers with the misunderstanding behind each, and other right styles."""

import math

import cv2
import numpy as np
from hidden_tests import SEED
from hidden_tests.lens import lamp_numbers
from scipy import ndimage

from bradcn_nb.lens.thin_lens import linear_to_srgb, srgb_to_linear

LAMP = lamp_numbers(SEED)
FOCUS = LAMP.focus_m
STAR_MM = (LAMP.focal_mm / LAMP.f_number) * LAMP.focal_mm / (1000 * FOCUS - LAMP.focal_mm)
REACH = LAMP.disc_px / LAMP.picture_px * LAMP.sensor_height_mm / STAR_MM


def coc(z, zf, f, n, h):
    """The right diameter, from which wrong ones are made."""
    z, zf = 1000 * np.asarray(z, float), 1000 * zf
    return (f / n) * f * zf / (zf - f) * np.abs(1 / z - 1 / zf) / h


def coc_radius(depth_m, focus_m, focal_mm, f_number, sensor_height_mm):
    """The radius of the disc was returned and not its diameter."""
    return coc(depth_m, focus_m, focal_mm, f_number, sensor_height_mm) / 2


def coc_in_millimetres(depth_m, focus_m, focal_mm, f_number, sensor_height_mm):
    """The diameter on the sensor was not divided by the sensor's height."""
    return coc(depth_m, focus_m, focal_mm, f_number, 1.0)


def coc_signed(depth_m, focus_m, focal_mm, f_number, sensor_height_mm):
    """The absolute value was forgotten, so discs before the focus are negative."""
    diameter = coc(depth_m, focus_m, focal_mm, f_number, sensor_height_mm)
    return np.where(np.asarray(depth_m) < focus_m, -diameter, diameter)[()]


def coc_mixed_units(depth_m, focus_m, focal_mm, f_number, sensor_height_mm):
    """Metres were subtracted from millimetres in zf - f."""
    z, zf = np.asarray(depth_m, float), focus_m
    aperture = focal_mm / f_number
    return abs(aperture * focal_mm / (zf - focal_mm)) * np.abs(1 - zf / z) / sensor_height_mm


def coc_focus_in_denominator(depth_m, focus_m, focal_mm, f_number, sensor_height_mm):
    """The distance from the focus was divided by the focus distance instead of the depth."""
    z, zf = np.asarray(depth_m, float), focus_m
    scale = focal_mm**2 / f_number / (1000 * zf - focal_mm)
    return scale * np.abs(z - zf) / zf / sensor_height_mm


def coc_focal_length_neglected(depth_m, focus_m, focal_mm, f_number, sensor_height_mm):
    """The focal length was neglected beside the focus distance: some per cent too small."""
    zf = 1000 * focus_m
    right = coc(depth_m, focus_m, focal_mm, f_number, sensor_height_mm)
    return right * (zf - focal_mm) / zf


def coc_f_number_as_opening(depth_m, focus_m, focal_mm, f_number, sensor_height_mm):
    """The f-number was taken for the width of the opening, so larger numbers blur more."""
    return coc(depth_m, focus_m, focal_mm, focal_mm / f_number, sensor_height_mm)


def coc_nan_for_stars(depth_m, focus_m, focal_mm, f_number, sensor_height_mm):
    """The formula was used as it is printed, so infinity over infinity is not a number."""
    z, zf = 1000 * np.asarray(depth_m, float), 1000 * focus_m
    scale = focal_mm**2 / f_number / (zf - focal_mm)
    return scale * np.abs(z - zf) / z / sensor_height_mm


def coc_numbers_only(depth_m, focus_m, focal_mm, f_number, sensor_height_mm):
    """Python's float() was used, so an array of depths is an error."""
    return float(coc(float(depth_m), focus_m, focal_mm, f_number, sensor_height_mm))


def lamps_linear_in_depth():
    """The two depths were taken to lie equally far from the focus in metres."""
    step = FOCUS / (1 - REACH) - FOCUS
    return FOCUS - min(step, 0.9 * FOCUS), FOCUS + step


def lamps_diameter_as_radius():
    """The diameter of the disc was taken for its radius."""
    return FOCUS / (1 + 2 * REACH), FOCUS / abs(1 - 2 * REACH)


def lamps_radius_as_diameter():
    """The radius of the disc was put in where the formula wants the diameter."""
    return FOCUS / (1 + REACH / 2), FOCUS / (1 - REACH / 2)


def lamps_farther_first():
    """The two depths are right but in the wrong order."""
    return FOCUS / (1 - REACH), FOCUS / (1 + REACH)


def lamps_only_beyond():
    """Only the lamp beyond the focus was found, since the absolute value was dropped."""
    return FOCUS / (1 - REACH)


def lamps_in_millimetres():
    """The depths came out in millimetres."""
    return 1000 * FOCUS / (1 + REACH), 1000 * FOCUS / (1 - REACH)


def lamps_sensor_forgotten():
    """Image heights were taken for millimetres: the sensor's height was forgotten."""
    reach = REACH / LAMP.sensor_height_mm
    return FOCUS / (1 + reach), FOCUS / (1 - reach)


def group(focus, near, focal, h, limit):
    """The f-number with which the nearest person is at the limit for some focus."""
    return focus, float(coc(near, focus, focal, 1.0, h)) / limit


def group_middle_of_depths(near_m, far_m, focal_mm, sensor_height_mm, limit):
    """The focus was set to the middle of the depths."""
    focus = (near_m + far_m) / 2 if np.isfinite(far_m) else 2 * near_m
    return group(focus, near_m, focal_mm, sensor_height_mm, limit)


def group_a_third_in(near_m, far_m, focal_mm, sensor_height_mm, limit):
    """A photographer's rule was used: focus a third into the scene."""
    focus = near_m + (far_m - near_m) / 3 if np.isfinite(far_m) else 2 * near_m
    return group(focus, near_m, focal_mm, sensor_height_mm, limit)


def group_geometric_mean(near_m, far_m, focal_mm, sensor_height_mm, limit):
    """The middle was taken on a logarithmic scale."""
    focus = math.sqrt(near_m * far_m) if np.isfinite(far_m) else 2 * near_m
    return group(focus, near_m, focal_mm, sensor_height_mm, limit)


def group_on_the_first_row(near_m, far_m, focal_mm, sensor_height_mm, limit):
    """The focus was set on the nearest person, so the whole depth lies on one side."""
    near_by = near_m * 1.0001
    return near_by, float(coc(far_m, near_by, focal_mm, 1.0, sensor_height_mm)) / limit


def group_limit_as_radius(near_m, far_m, focal_mm, sensor_height_mm, limit):
    """The limit was taken for a radius, so the opening is twice too wide."""
    focus = 2 / (1 / near_m + 1 / far_m)
    return group(focus, near_m, focal_mm, sensor_height_mm, 2 * limit)


def group_whole_range_at_one_end(near_m, far_m, focal_mm, sensor_height_mm, limit):
    """The whole range of disparities was used, where each end is only half of it away."""
    focus = 2 / (1 / near_m + 1 / far_m)
    return group(focus, near_m, focal_mm, sensor_height_mm, limit / 2)


def group_far_end_forgotten(near_m, far_m, focal_mm, sensor_height_mm, limit):
    """For infinity the f-number was computed as if the focus were the far end."""
    focus = 2 / (1 / near_m + 1 / far_m)
    whole = limit if np.isfinite(far_m) else limit / 2
    return group(focus, near_m, focal_mm, sensor_height_mm, whole)


def group_not_for_infinity(near_m, far_m, focal_mm, sensor_height_mm, limit):
    """The harmonic mean was written as 2ab / (a + b), which is not a number for infinity."""
    focus = np.float64(2 * near_m * far_m) / (near_m + far_m)
    return group(focus, near_m, focal_mm, sensor_height_mm, limit)


def light_values_averaged(patch, weights):
    """The sRGB values were averaged instead of light."""
    return (patch * weights[..., None]).sum((0, 1)) / weights.sum()


def light_power_of_two_point_two(patch, weights):
    """A plain power of 2.2 was used for the curve, which is wrong in the dark."""
    light = (patch**2.2 * weights[..., None]).sum((0, 1)) / weights.sum()
    return light ** (1 / 2.2)


def light_curve_not_undone(patch, weights):
    """Values were averaged as if they were light, and the curve was applied at the end only."""
    return linear_to_srgb((patch * weights[..., None]).sum((0, 1)) / weights.sum())


def light_not_back(patch, weights):
    """The average was returned as light and not brought back to sRGB."""
    return (srgb_to_linear(patch) * weights[..., None]).sum((0, 1)) / weights.sum()


def light_curves_swapped(patch, weights):
    """The curve and its inverse were swapped."""
    light = (linear_to_srgb(patch) * weights[..., None]).sum((0, 1)) / weights.sum()
    return srgb_to_linear(light)


def light_channels_mixed(patch, weights):
    """All channels were averaged together, so the colour became a grey."""
    light = (srgb_to_linear(patch) * weights[..., None]).sum() / weights.sum() / 3
    return np.full(3, linear_to_srgb(np.float64(light)))


def light_weights_ignored(patch, weights):
    """The weights were ignored: a plain mean over the patch."""
    return linear_to_srgb(srgb_to_linear(patch).mean((0, 1)))


def light_weights_not_normalised(patch, weights):
    """The sum was divided by the number of pixels instead of the sum of the weights."""
    return linear_to_srgb((srgb_to_linear(patch) * weights[..., None]).mean((0, 1)))


def light_weights_bent(patch, weights):
    """The pixels were weighted before the curve was undone, so the weights were bent, too."""
    share = (weights / weights.sum())[..., None]
    return linear_to_srgb(srgb_to_linear(patch * share).sum((0, 1)))


def with_kernel(layer, kernel, border=cv2.BORDER_REFLECT_101):
    """Filter a layer with a kernel."""
    return cv2.filter2D(layer, -1, kernel, borderType=border).reshape(layer.shape)


def disc(radius, rim=0.5):
    """The right kernel, or one with another rim."""
    reach = math.ceil(radius + 0.5)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.clip(radius + rim - np.hypot(y, x), 0, 1)
    return kernel / kernel.sum()


def blur_hard_rim(layer, radius_px):
    """The disc was drawn with a hard rim, so it jumps from one size to the next."""
    reach = math.ceil(radius_px)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = (np.hypot(y, x) <= radius_px).astype(float)
    return with_kernel(layer, kernel / kernel.sum())


def blur_not_normalised(layer, radius_px):
    """The weights were not divided by their sum, so a soft lamp is brighter than a sharp one."""
    return with_kernel(layer, disc(radius_px) / disc(radius_px).max())


def blur_divided_by_ideal_area(layer, radius_px):
    """The weights were divided by pi r^2 and not by their sum on the grid of pixels."""
    kernel = disc(radius_px) / disc(radius_px).max()
    return with_kernel(layer, kernel / max(math.pi * radius_px**2, 1))


def blur_radius_as_diameter(layer, radius_px):
    """The radius was taken for a diameter."""
    return with_kernel(layer, disc(radius_px / 2))


def blur_gaussian(layer, radius_px):
    """A Gaussian was used, which has no rim at all."""
    sigma = (radius_px / 2, radius_px / 2, 0)[: layer.ndim]
    return ndimage.gaussian_filter(layer, sigma, mode="mirror")


def blur_square(layer, radius_px):
    """The distance was taken as the larger of both offsets: a square and no disc."""
    reach = math.ceil(radius_px + 0.5)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.clip(radius_px + 0.5 - np.maximum(abs(y), abs(x)), 0, 1)
    return with_kernel(layer, kernel / kernel.sum())


def blur_rim_forgotten_half(layer, radius_px):
    """The half pixel in the rim was forgotten, so discs are too small and a radius of 0 fails."""
    return with_kernel(layer, disc(max(radius_px, 0.01), rim=0.0))


def blur_edge_repeated(layer, radius_px):
    """The mirror repeats the last pixel (SciPy's "reflect", OpenCV's default is another one)."""
    return with_kernel(layer, disc(radius_px), cv2.BORDER_REFLECT)


def blur_dark_border(layer, radius_px):
    """The picture was continued with black, so its borders get dark."""
    return with_kernel(layer, disc(radius_px), cv2.BORDER_CONSTANT)


def blur_whole_radii(layer, radius_px):
    """The radius was rounded to whole pixels."""
    return with_kernel(layer, disc(round(radius_px)))


def blur_radius_cut_off(layer, radius_px):
    """The kernel reaches only int(radius) pixels, so the rim of fractional radii is cut off."""
    kernel = disc(radius_px)
    middle, reach = len(kernel) // 2, int(radius_px)
    inner = slice(middle - reach, middle + reach + 1)
    return with_kernel(layer, kernel[inner, inner] / kernel[inner, inner].sum())


def blur_single_channel_dropped(layer, radius_px):
    """OpenCV's result was returned as it is, without the axis of a single channel."""
    return cv2.filter2D(layer, -1, disc(radius_px), borderType=cv2.BORDER_REFLECT_101)


def blur_clipped(layer, radius_px):
    """Light was clipped to 1, as if it were a picture, so that lamps lose their brightness."""
    return with_kernel(np.clip(layer, 0, 1), disc(radius_px))


def blur_in_place(layer, radius_px):
    """The result was written into the layer that was passed in."""
    layer[:] = with_kernel(layer, disc(radius_px))
    return layer


def blur_channels_too(layer, radius_px):
    """The kernel reaches across the channels, so colours are mixed with one another."""
    if layer.ndim == 2 or layer.shape[2] == 1:
        return with_kernel(layer, disc(radius_px))
    return ndimage.uniform_filter(with_kernel(layer, disc(radius_px)), (1, 1, 3))


def over_straight(front, back):
    """The front's colour was multiplied by its alpha a second time."""
    alpha = front[..., 3:]
    colour = front[..., :3] * alpha + (1 - alpha) * back[..., :3]
    return np.concatenate([colour, alpha + (1 - alpha) * back[..., 3:]], axis=-1)


def over_swapped(front, back):
    """Front and back were swapped."""
    return back + (1 - back[..., 3:]) * front


def over_alpha_of_front(front, back):
    """The alpha of the front was kept, as if nothing lay behind it."""
    result = front + (1 - front[..., 3:]) * back
    result[..., 3] = front[..., 3]
    return result


def over_largest_alpha(front, back):
    """The larger alpha was taken: two half-covering layers would cover no more than one."""
    result = front + (1 - front[..., 3:]) * back
    result[..., 3] = np.maximum(front[..., 3], back[..., 3])
    return result


def over_plain_sum(front, back):
    """The layers were added, so that nothing hides anything."""
    return front + back


def over_clipped(front, back):
    """The result was clipped to 1, which takes their brightness from lamps."""
    return np.clip(front + (1 - front[..., 3:]) * back, 0, 1)


def over_unpremultiplied(front, back):
    """The result was divided by its alpha, so it is straight and not premultiplied."""
    result = front + (1 - front[..., 3:]) * back
    result[..., :3] /= np.maximum(result[..., 3:], 1e-6)
    return result


def over_back_multiplied_again(front, back):
    """The back's colour was multiplied by its alpha a second time."""
    rest = (1 - front[..., 3:]) * back
    rest[..., :3] *= back[..., 3:]
    return front + rest


def over_in_place(front, back):
    """The back layer was overwritten with the result."""
    back *= 1 - front[..., 3:]
    back += front
    return back


def steps_of(depth_m, nearest_m, farthest_m, count):
    """Where between the farthest (0) and the nearest (count) a pixel lies."""
    far, near = 1 / farthest_m, 1 / nearest_m
    return count * (1 / np.asarray(depth_m) - far) / (near - far)


def layers_in_depth(depth_m, nearest_m, farthest_m, count):
    """The layers are equal steps of depth, so nearly all of them are far away."""
    farthest_m = min(farthest_m, 1e6)
    steps = count * (farthest_m - np.minimum(depth_m, 1e6)) / (farthest_m - nearest_m)
    return np.clip(np.floor(steps), 0, count - 1).astype(int)


def layers_in_logarithm(depth_m, nearest_m, farthest_m, count):
    """The layers are equal steps of the logarithm of depth."""
    farthest_m = min(farthest_m, 1e6)
    depth_m = np.minimum(depth_m, 1e6)
    steps = count * np.log(farthest_m / depth_m) / np.log(farthest_m / nearest_m)
    return np.clip(np.floor(steps), 0, count - 1).astype(int)


def layers_nearest_first(depth_m, nearest_m, farthest_m, count):
    """The layers are counted from the nearest, so they would be painted from near to far."""
    steps = np.floor(steps_of(depth_m, nearest_m, farthest_m, count))
    return count - 1 - np.clip(steps, 0, count - 1).astype(int)


def layers_rounded(depth_m, nearest_m, farthest_m, count):
    """Steps were rounded, so the first layer is half as thick and all cuts are shifted."""
    steps = np.rint(steps_of(depth_m, nearest_m, farthest_m, count))
    return np.clip(steps, 0, count - 1).astype(int)


def layers_one_too_few(depth_m, nearest_m, farthest_m, count):
    """The range was cut into count - 1 steps, so the last layer holds one depth only."""
    steps = steps_of(depth_m, nearest_m, farthest_m, count - 1)
    return np.clip(np.floor(steps), 0, count - 1).astype(int)


def layers_nearest_outside(depth_m, nearest_m, farthest_m, count):
    """Nothing was clipped, so the nearest pixel gets a layer of its own."""
    return np.floor(steps_of(depth_m, nearest_m, farthest_m, count)).astype(int)


def layers_range_of_the_picture(depth_m, nearest_m, farthest_m, count):
    """The range was taken from the depth map and not from the arguments."""
    disparity = 1 / np.asarray(depth_m)
    low, high = disparity.min(), disparity.max()
    steps = count * (disparity - low) / (high - low)
    return np.clip(np.floor(steps), 0, count - 1).astype(int)


def layers_cut_to_the_farther(depth_m, nearest_m, farthest_m, count):
    """Steps were rounded up and lowered by one, so a cut belongs to the farther layer."""
    steps = np.ceil(steps_of(depth_m, nearest_m, farthest_m, count)) - 1
    return np.clip(steps, 0, count - 1).astype(int)


def layers_not_whole(depth_m, nearest_m, farthest_m, count):
    """The steps were not cut off to whole numbers."""
    return np.clip(steps_of(depth_m, nearest_m, farthest_m, count), 0, count - 1)


def coc_by_triangles(depth_m, focus_m, focal_mm, f_number, sensor_height_mm):
    """By the image distances behind the lens, one over each of them."""
    inverse = 1 / focal_mm - 1 / (1000 * np.asarray(depth_m, float))
    sensor_mm = 1 / (1 / focal_mm - 1 / (1000 * focus_m))
    return (focal_mm / f_number) * np.abs(1 - sensor_mm * inverse) / sensor_height_mm


def coc_by_loop(depth_m, focus_m, focal_mm, f_number, sensor_height_mm):
    """By recursion over lists, with a plain number for a plain number."""
    if np.ndim(depth_m):
        rest = (focus_m, focal_mm, f_number, sensor_height_mm)
        return [coc_by_loop(one, *rest) for one in depth_m]
    share = 1.0 if math.isinf(depth_m) else abs(depth_m - focus_m) / depth_m
    scale = focal_mm**2 / f_number / (1000 * focus_m - focal_mm)
    return float(scale * share / sensor_height_mm)


def lamps_as_list():
    """As a list, by the share of a star's disc."""
    return [FOCUS / (1 + REACH), FOCUS / (1 - REACH)]


def lamps_by_search():
    """By bisection on both sides of the focus."""
    target = LAMP.disc_px / LAMP.picture_px
    found = []
    for low, high in ((FOCUS, 0.1), (FOCUS, 1e4)):
        for _ in range(60):
            middle = 2 / (1 / low + 1 / high)
            disc_there = coc(middle, FOCUS, LAMP.focal_mm, LAMP.f_number, LAMP.sensor_height_mm)
            low, high = (middle, high) if disc_there < target else (low, middle)
        found.append(low)
    return np.array(found)


def group_as_array(near_m, far_m, focal_mm, sensor_height_mm, limit):
    """In metres throughout, as an array."""
    focus = 1 / np.mean([1 / near_m, 1 / far_m])
    f, h = focal_mm / 1000, sensor_height_mm / 1000
    n = f**2 * (focus - near_m) / (near_m * (focus - f) * limit * h)
    return np.array([focus, n])


def group_from_the_far_end(near_m, far_m, focal_mm, sensor_height_mm, limit):
    """By the farthest person, as a list."""
    focus = 2 / (1 / near_m + 1 / far_m)
    return [focus, coc(far_m, focus, focal_mm, 1.0, sensor_height_mm) / limit]


def light_by_loop(patch, weights):
    """Pixel by pixel, as a list."""
    total, whole = [0.0, 0.0, 0.0], 0.0
    for row, row_weights in zip(patch, weights, strict=True):
        for pixel, weight in zip(row, row_weights, strict=True):
            whole += weight
            for channel in range(3):
                value = pixel[channel]
                if value <= 0.04045:
                    light = value / 12.92
                else:
                    light = ((value + 0.055) / 1.055) ** 2.4
                total[channel] += weight * light
    return [float(linear_to_srgb(np.float64(light / whole))) for light in total]


def light_by_numpy(patch, weights):
    """By np.average, in float32."""
    light = srgb_to_linear(patch.astype(np.float32)).reshape(-1, 3)
    return linear_to_srgb(np.average(light, axis=0, weights=weights.ravel()))


def blur_by_scipy(layer, radius_px):
    """By SciPy's correlation with the border "mirror"."""
    kernel = disc(radius_px)
    if layer.ndim == 3:
        kernel = kernel[..., None]
    return ndimage.correlate(layer, kernel, mode="mirror")


def blur_by_offsets(layer, radius_px):
    """By a loop over the offsets of a padded layer."""
    kernel = disc(radius_px)
    reach = len(kernel) // 2
    height, width = layer.shape[:2]
    around = [(reach, reach), (reach, reach)] + [(0, 0)] * (layer.ndim - 2)
    padded = np.pad(layer, around, mode="reflect")
    total = np.zeros(layer.shape)
    for y, row in enumerate(kernel):
        for x, weight in enumerate(row):
            if weight:
                total += weight * padded[y : y + height, x : x + width]
    return total


def over_by_channels(front, back):
    """Channel by channel, stacked."""
    through = 1 - front[..., 3]
    return np.dstack([front[..., c] + through * back[..., c] for c in range(4)])


def over_by_loop(front, back):
    """Pixel by pixel, as nested lists."""
    rows = []
    for front_row, back_row in zip(front, back, strict=True):
        pixels = []
        for near, far in zip(front_row, back_row, strict=True):
            pixels.append([f + (1 - near[3]) * b for f, b in zip(near, far, strict=True)])
        rows.append(pixels)
    return rows


def layers_by_digitize(depth_m, nearest_m, farthest_m, count):
    """By np.digitize on the inner cuts."""
    cuts = np.linspace(1 / farthest_m, 1 / nearest_m, count + 1)[1:-1]
    return np.digitize(1 / depth_m, cuts)


def layers_by_counting(depth_m, nearest_m, farthest_m, count):
    """By counting the cuts that are passed, as floats."""
    far, near = 1 / farthest_m, 1 / nearest_m
    passed = np.zeros(np.shape(depth_m))
    for number in range(1, count):
        passed += 1 / np.asarray(depth_m) >= far + (near - far) * number / count
    return passed


WRONG = {
    "circle_of_confusion": [
        coc_radius,
        coc_in_millimetres,
        coc_signed,
        coc_mixed_units,
        coc_focus_in_denominator,
        coc_focal_length_neglected,
        coc_f_number_as_opening,
        coc_nan_for_stars,
        coc_numbers_only,
    ],
    "lamp_depths": [
        lamps_linear_in_depth,
        lamps_diameter_as_radius,
        lamps_radius_as_diameter,
        lamps_farther_first,
        lamps_only_beyond,
        lamps_in_millimetres,
        lamps_sensor_forgotten,
    ],
    "settings_for_group": [
        group_middle_of_depths,
        group_a_third_in,
        group_geometric_mean,
        group_on_the_first_row,
        group_limit_as_radius,
        group_whole_range_at_one_end,
        group_far_end_forgotten,
        group_not_for_infinity,
    ],
    "average_light": [
        light_values_averaged,
        light_power_of_two_point_two,
        light_curve_not_undone,
        light_not_back,
        light_curves_swapped,
        light_channels_mixed,
        light_weights_ignored,
        light_weights_not_normalised,
        light_weights_bent,
    ],
    "blur_layer": [
        blur_hard_rim,
        blur_not_normalised,
        blur_divided_by_ideal_area,
        blur_radius_as_diameter,
        blur_gaussian,
        blur_square,
        blur_rim_forgotten_half,
        blur_edge_repeated,
        blur_dark_border,
        blur_whole_radii,
        blur_radius_cut_off,
        blur_single_channel_dropped,
        blur_clipped,
        blur_in_place,
        blur_channels_too,
    ],
    "over": [
        over_straight,
        over_swapped,
        over_alpha_of_front,
        over_largest_alpha,
        over_plain_sum,
        over_clipped,
        over_unpremultiplied,
        over_back_multiplied_again,
        over_in_place,
    ],
    "disparity_layers": [
        layers_in_depth,
        layers_in_logarithm,
        layers_nearest_first,
        layers_rounded,
        layers_one_too_few,
        layers_nearest_outside,
        layers_range_of_the_picture,
        layers_cut_to_the_farther,
        layers_not_whole,
    ],
}
RIGHT = {
    "circle_of_confusion": [coc_by_triangles, coc_by_loop],
    "lamp_depths": [lamps_as_list, lamps_by_search],
    "settings_for_group": [group_as_array, group_from_the_far_end],
    "average_light": [light_by_loop, light_by_numpy],
    "blur_layer": [blur_by_scipy, blur_by_offsets],
    "over": [over_by_channels, over_by_loop],
    "disparity_layers": [layers_by_digitize, layers_by_counting],
}
