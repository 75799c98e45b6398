"""Figures: shapes in, panels out; scales that can be compared; source shown as it stands."""

import inspect

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt

from bradcn_nb.figures import plots
from bradcn_nb.lens.by_depth import disc_kernel
from bradcn_nb.lens.thin_lens import Camera


def drawn(figure) -> list:
    return [axis.images[0] for axis in figure.axes if axis.images]


def test_pictures_come_in_either_layout_and_as_a_batch():
    rng = np.random.default_rng(0)
    hwc = rng.random((4, 6, 3)).astype(np.float32)
    chw = torch.from_numpy(hwc.transpose(2, 0, 1).copy()).requires_grad_()
    figure = plots.grid([hwc, chw], ["array", "tensor"])
    first, second = drawn(figure)
    np.testing.assert_array_equal(first.get_array(), hwc)
    np.testing.assert_array_equal(second.get_array(), hwc)
    assert [axis.get_title() for axis in figure.axes] == ["array", "tensor"]
    batch = plots.grid(torch.rand(5, 3, 4, 6), columns=3)
    assert len(drawn(batch)) == 5 and len(batch.axes) == 6
    assert not any(axis.axison for axis in batch.axes)


def test_out_of_range_pictures_are_clipped_and_bytes_stay():
    figure = plots.grid([np.full((4, 6, 3), 1.5), np.full((4, 6, 3), 200, np.uint8)])
    clipped, bytes_ = (image.get_array() for image in drawn(figure))
    assert clipped.max() == 1 and bytes_.dtype == np.uint8 and bytes_.max() == 200


def test_maps_of_one_unit_share_a_scale_and_others_do_not():
    near, far = np.full((1, 4, 6), 1.0), torch.full((4, 6), 5.0)
    error = np.linspace(0, 0.5, 24).reshape(4, 6)
    figure = plots.grid([near, far, error], unit=["m", "m", "error in m"])
    assert [image.get_clim() for image in drawn(figure)[:3]] == [(1, 5), (1, 5), (0, 0.5)]
    labels = [axis.get_ylabel() for axis in figure.axes[3:]]
    assert labels == ["m", "m", "error in m"]
    fixed = plots.grid([near, far], limits=(0, 8), colourbar=False)
    assert [image.get_clim() for image in drawn(fixed)] == [(0, 8), (0, 8)]
    assert len(fixed.axes) == 2  # no colour bars
    one = plots.grid([near, far], limits=[(0, 2), None])
    assert [image.get_clim() for image in drawn(one)[:2]] == [(0, 2), (1, 5)]


def test_missing_depth_is_masked_and_does_not_set_the_scale():
    depth = np.array([[np.nan, 1.0], [np.inf, 3.0]])
    image = drawn(plots.grid([depth], unit="m"))[0]
    assert image.get_array().mask.tolist() == [[True, False], [True, False]]
    assert image.get_clim() == (1, 3)


def test_small_pictures_are_enlarged_pixel_by_pixel():
    small, large = np.zeros((8, 12, 3)), np.zeros((900, 1350, 3))
    figure = plots.grid([small, large])
    assert [i.get_interpolation() for i in drawn(figure)] == ["nearest", "antialiased"]


@pytest.mark.parametrize("images", [[], [np.zeros(5)], [np.zeros((2, 4, 6))], [np.zeros((0, 6))]])
def test_what_is_no_image_is_refused(images):
    with pytest.raises(ValueError):
        plots.grid(images)


def test_lists_must_fit():
    with pytest.raises(ValueError, match="1 titles for 2 images"):
        plots.grid([np.zeros((4, 6))] * 2, titles=["one"])
    with pytest.raises(ValueError, match="3 limits for 2 images"):
        plots.grid([np.zeros((4, 6))] * 2, limits=[None] * 3)


def test_the_figure_is_closed_and_the_style_stays_inside():
    before = plt.rcParams["font.size"], plt.get_fignums()
    figure = plots.grid([np.zeros((4, 6))])
    assert (plt.rcParams["font.size"], plt.get_fignums()) == before
    assert figure.get_size_inches()[0] == plots.WIDTH


@pytest.mark.parametrize("obj", [disc_kernel, Camera])
def test_show_displays_the_source(obj, monkeypatch):
    shown = []
    monkeypatch.setattr(plots, "display", shown.append)
    plots.show(obj)
    text = shown[0].data
    assert inspect.getsource(obj).rstrip() in text
    assert text.startswith(f"`{obj.__module__}.{obj.__name__}`\n\n````python\n")
    assert text.endswith("\n````")
