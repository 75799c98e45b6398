"""Chapter 2's graded exercises: plausible wrong answers fail, other right styles pass."""

from pathlib import Path

import jupytext
import numpy as np
import pytest

from bradcn_nb.lens.thin_lens import Camera, blur_scale, coc_diameter

CHAPTER = Path(__file__).resolve().parents[1] / "book" / "02_blur_from_depth.py"


@pytest.fixture(scope="module")
def names() -> dict:
    """The chapter's checks and solutions."""
    found = {"np": np, "Camera": Camera, "blur_scale": blur_scale}
    for cell in (cell for cell in jupytext.read(CHAPTER).cells if cell.cell_type == "code"):
        if {"graded", "solution"} & set(cell.metadata.get("tags", [])):
            exec(cell.source.partition("\n\ntry:")[0], found)
    return found


def radius(z, focus_m, camera, rows):
    return coc_diameter(z, focus_m, camera, signed=True) * rows / 2


def in_metres(told, true, focus_m, camera, rows):
    return np.nanmean(np.abs(told - true)) * blur_scale(focus_m, camera) * rows


def without_side(told, true, focus_m, camera, rows):
    told, true = (np.abs(radius(z, focus_m, camera, rows)) for z in (told, true))
    return np.nanmean(np.abs(told - true))


def of_diameters(told, true, focus_m, camera, rows):
    told, true = (2 * radius(z, focus_m, camera, rows) for z in (told, true))
    return np.nanmean(np.abs(told - true))


def in_heights(told, true, focus_m, camera, rows):
    return np.nanmean(np.abs(1 / told - 1 / true)) * blur_scale(focus_m, camera)


def cancelling(told, true, focus_m, camera, rows):
    return abs(np.nanmean(1 / told - 1 / true)) * blur_scale(focus_m, camera) * rows


def holes_spoil_it(told, true, focus_m, camera, rows):
    return np.abs(1 / told - 1 / true).mean() * blur_scale(focus_m, camera) * rows


def holes_count_as_right(told, true, focus_m, camera, rows):
    off = np.nan_to_num(np.abs(1 / told - 1 / true))
    return off.mean() * blur_scale(focus_m, camera) * rows


def squared(told, true, focus_m, camera, rows):
    off = (1 / told - 1 / true) * blur_scale(focus_m, camera) * rows
    return np.sqrt(np.nanmean(off**2))


def a_map(told, true, focus_m, camera, rows):
    return np.abs(1 / told - 1 / true) * blur_scale(focus_m, camera) * rows


@pytest.mark.parametrize(
    "wrong",
    (in_metres, without_side, of_diameters, in_heights, cancelling, holes_spoil_it,
     holes_count_as_right, squared, a_map, lambda *given: None),
)  # fmt: skip
def test_a_wrong_error_of_blur_is_told(names, wrong):
    with pytest.raises(AssertionError):
        names["check_blur_error"](wrong)


def test_a_right_error_of_blur_in_another_style_passes(names):
    def by_loop(told, true, focus_m, camera, rows):
        off = []
        for a, b in zip(np.ravel(told), np.ravel(true), strict=True):
            if a == a:
                two = [radius(float(z), focus_m, camera, rows) for z in (a, b)]
                off.append(abs(two[0] - two[1]))
        return sum(off) / len(off)

    def by_mask(told, true, focus_m, camera, rows):
        known = ~np.isnan(told)
        signed = [radius(z[known], focus_m, camera, rows) for z in (told, true)]
        return np.abs(signed[0] - signed[1]).mean()

    for right in (by_loop, by_mask, names["solution_blur_error"]):
        names["check_blur_error"](right)


def spread(light, radius, share=lambda r: 1 / (2 * r + 1)):
    """Light and weight that arrive."""
    arrived, weight = np.zeros(len(light)), np.zeros(len(light))
    for x, r in enumerate(radius):
        for y in range(max(x - r, 0), min(x + r + 1, len(light))):
            arrived[y] += light[x] * share(r)
            weight[y] += share(r)
    return arrived, weight


def not_normalised(light, radius):
    return spread(light, radius)[0]


def gathers(light, radius):
    return [light[max(x - r, 0) : x + r + 1].mean() for x, r in enumerate(radius)]


def full_light_to_all(light, radius):
    arrived, weight = spread(light, radius, share=lambda r: 1)
    return arrived / weight


def counts_the_senders(light, radius):
    arrived, count = spread(light, radius)[0], spread(light, radius, share=lambda r: 1)[1]
    return arrived / count


def comes_in_again(light, radius):
    arrived, weight = np.zeros(len(light)), np.zeros(len(light))
    for x, r in enumerate(radius):
        for y in range(x - r, x + r + 1):
            arrived[y % len(light)] += light[x] / (2 * r + 1)
            weight[y % len(light)] += 1 / (2 * r + 1)
    return arrived / weight


def half_open(light, radius):
    arrived, weight = np.zeros(len(light)), np.zeros(len(light))
    for x, r in enumerate(radius):
        arrived[max(x - r, 0) : x + r] += light[x] / max(2 * r, 1)
        weight[max(x - r, 0) : x + r] += 1 / max(2 * r, 1)
    return arrived / np.maximum(weight, 1e-9)


def in_place(light, radius):
    light[:], weight = spread(light, radius)
    light /= weight
    return light


def to_the_whole(light, radius):
    arrived = spread(light, radius)[0]
    return arrived * light.sum() / arrived.sum()


@pytest.mark.parametrize(
    "wrong",
    (not_normalised, gathers, full_light_to_all, counts_the_senders, comes_in_again, half_open,
     in_place, to_the_whole, lambda light, radius: None),
)  # fmt: skip
def test_a_wrong_scatter_is_told(names, wrong):
    with pytest.raises(AssertionError):
        names["check_normalised_scatter"](wrong)


def test_a_right_scatter_in_another_style_passes(names):
    def by_list(light, radius):
        arrived, weight = spread(light, radius)
        return [a / w for a, w in zip(arrived, weight, strict=True)]

    def by_matrix(light, radius):
        places = np.arange(len(light))
        reached = np.abs(places[:, None] - places) <= np.asarray(radius)  # (to, from)
        discs = reached / (2 * np.asarray(radius) + 1)
        return discs @ light / discs.sum(axis=1)

    for right in (by_list, by_matrix, names["solution_normalised_scatter"]):
        names["check_normalised_scatter"](right)
