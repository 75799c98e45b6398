"""Depth maps of any usual kind and size: taken right, or refused by name."""

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from bradcn_nb.__main__ import main
from bradcn_nb.data.depth_maps import fitted, hard_edges, read_depth_map, write_depth_map
from bradcn_nb.data.depth_models import estimate_depth
from bradcn_nb.data.exif import upright
from bradcn_nb.errors import BradcnError, DataError

METRES = np.linspace(9, 0.5, 24 * 40).reshape(24, 40).astype(np.float32)


def save(path, values) -> None:
    """Write an array as the ending says."""
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".npz":
        np.savez(path, depth=values)
    elif path.suffix == ".pfm":
        rows, columns = values.shape
        head = f"Pf\n{columns} {rows}\n-1.0\n".encode()
        path.write_bytes(head + values[::-1].astype("<f4").tobytes())
    else:
        Image.fromarray(values).save(path)


@pytest.mark.parametrize("name", ["d.npy", "d.npz", "d.tif", "d.pfm"])
def test_floats_are_metres(tmp_path, name):
    save(tmp_path / name, METRES)
    depth = read_depth_map(tmp_path / name)
    np.testing.assert_allclose(depth.metres, METRES, rtol=1e-6)
    assert not depth.notes and depth.metres.dtype == np.float32


@pytest.mark.parametrize("shape", [(1, 24, 40), (24, 40, 1), (24, 40, 3)])
def test_one_number_a_pixel_in_any_wrapping(tmp_path, shape):
    values = np.broadcast_to(METRES[..., None], shape) if shape[2] == 3 else METRES.reshape(shape)
    np.save(tmp_path / "d.npy", values)
    np.testing.assert_array_equal(read_depth_map(tmp_path / "d.npy").metres, METRES)


@pytest.mark.parametrize("name", ["d.png", "d.tif"])
def test_sixteen_bits_are_millimetres_and_zero_is_unknown(tmp_path, name):
    millimetres = np.round(METRES * 1000).astype(np.uint16)
    millimetres[5:8, 5:8] = 0
    save(tmp_path / name, millimetres)
    depth, known = read_depth_map(tmp_path / name).metres, millimetres > 0
    np.testing.assert_allclose(depth[known], millimetres[known] / 1000, rtol=1e-6)
    assert depth[6, 5] in (depth[6, 4], depth[4, 5]) and depth.min() > 0


def test_units_and_scales(tmp_path):
    for name, values, kind, scale in (
        ("mm.npy", METRES * 1000, "millimetres", None),
        ("kitti.png", np.round(METRES * 256).astype(np.uint16), "metres", 1 / 256),
        ("inverse.npy", 1 / METRES, "disparity", 1.0),
        ("counts.npy", (METRES * 1000).astype(np.int32), "millimetres", None),
    ):
        save(tmp_path / name, values)
        found = read_depth_map(tmp_path / name, kind, scale).metres
        np.testing.assert_allclose(found, METRES, rtol=0.01, err_msg=name)


def test_eight_bits_and_bare_disparity_are_relative_and_the_note_says_so(tmp_path):
    grey = np.linspace(0, 255, 24 * 40).round().astype(np.uint8).reshape(24, 40)
    save(tmp_path / "d.png", grey)
    depth = read_depth_map(tmp_path / "d.png")
    assert depth.metres[-1, -1] == pytest.approx(1) and depth.metres[0, 0] == pytest.approx(10)
    assert len(depth.notes) == 1 and "relative disparity" in depth.notes[0]
    np.save(tmp_path / "midas.npy", grey * np.float32(7.3))
    again = read_depth_map(tmp_path / "midas.npy", "disparity")
    np.testing.assert_allclose(again.metres, depth.metres, rtol=1e-5)
    assert not again.notes


def test_near_and_far_exchanged_is_called_out(tmp_path):
    room = np.full((60, 90), 2.0, np.float32)
    room[20:50, 30:60] = 9.0  # the subject, in inverse depth
    save(tmp_path / "d.npy", room)
    assert "--depth-kind disparity" in read_depth_map(tmp_path / "d.npy").notes[0]
    save(tmp_path / "right.npy", 1 / room)
    assert not read_depth_map(tmp_path / "right.npy").notes


def test_the_sky_may_be_infinite_and_nan_is_unknown(tmp_path):
    sky = METRES.copy()
    sky[:4], sky[20, 3] = np.inf, np.nan
    save(tmp_path / "d.npy", sky)
    depth = read_depth_map(tmp_path / "d.npy").metres
    assert (depth[:4] == 1000).all() and depth[20, 3] in sky[19:22, 2:5]


def test_bad_maps_are_refused_by_name(tmp_path):
    good = np.ones((24, 40), np.float32)
    negative, text = good.copy(), b"no picture"
    negative[3, 4] = -1
    arrays = {
        "negative": negative, "zero": good * 0, "whole": good.astype(np.int32),
        "far": good * 2000, "tiny": good * 0.001, "line": good[0], "words": np.array(["a", "b"]),
        "nan": good * np.nan,
    }  # fmt: skip
    for name, values in arrays.items():
        np.save(tmp_path / f"{name}.npy", values)
    np.save(tmp_path / "pickle.npy", np.array([{"a": 1}]), allow_pickle=True)
    np.savez(tmp_path / "two.npz", left=good, right=good)
    colours = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    Image.fromarray(colours).save(tmp_path / "colours.png")
    for name in ("text.npy", "text.png", "text.pfm", "d.exr"):
        (tmp_path / name).write_bytes(text)
    names = sorted(file.name for file in tmp_path.iterdir()) + ["missing.npy"]
    assert len(names) == 16
    for name in names:
        with pytest.raises(DataError) as error:
            read_depth_map(tmp_path / name)
        assert name in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(DataError, match="choose one of auto"):
        read_depth_map(tmp_path / "zero.npy", "feet")
    with pytest.raises(DataError, match="every disparity is zero"):
        read_depth_map(tmp_path / "zero.npy", "disparity")


# --- brought to the photograph ---


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, np.ndarray]:
    """A red square before a grey wall, and how far they are."""
    metres = np.full((120, 180), 6.0, np.float32)
    metres[40:90, 60:120] = 1.0
    photo = np.random.default_rng(0).uniform(0.35, 0.45, (120, 180, 3)).astype(np.float32)
    photo[metres == 1.0] = (0.8, 0.1, 0.1)
    return photo, metres


def off(found: np.ndarray, metres: np.ndarray) -> float:
    """The share of pixels whose disparity is more than a tenth of the step off."""
    return float((np.abs(1 / found - 1 / metres) > 0.1 * (1 - 1 / 6)).mean())


@pytest.mark.parametrize("factor", [0.25, 0.5, 1, 2])
def test_another_size_follows_the_photographs_edges(tmp_path, scene, factor):
    photo, metres = scene
    size = (round(180 * factor), round(120 * factor))
    save(tmp_path / "d.npy", cv2.resize(metres, size, interpolation=cv2.INTER_AREA))
    found = fitted(read_depth_map(tmp_path / "d.npy"), photo, 1, "d.npy")
    assert found.shape == metres.shape and off(found, metres) < 0.02


def test_a_soft_edge_becomes_hard_and_a_slope_stays(scene):
    _, metres = scene
    soft = cv2.GaussianBlur(1 / metres, (0, 0), 1.5)
    assert off(1 / soft, metres) > 0.03 and off(1 / hard_edges(soft), metres) < 0.02
    slope = np.broadcast_to(np.linspace(0.1, 1, 180, dtype=np.float32), (120, 180)).copy()
    np.testing.assert_array_equal(hard_edges(slope), slope)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_map_lies_on_its_side_as_the_photographs_file_does(tmp_path, scene, orientation):
    photo, metres = scene
    inverse = {5: 5, 6: 8, 7: 7, 8: 6}[orientation]
    save(tmp_path / "d.npy", np.ascontiguousarray(upright(metres, inverse)))
    found = fitted(read_depth_map(tmp_path / "d.npy"), photo, orientation, "d.npy")
    assert off(found, metres) < 0.02
    with pytest.raises(DataError, match="same aspect"):
        fitted(read_depth_map(tmp_path / "d.npy"), photo, 1, "d.npy")


# --- by a model of the hub ---


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory):
    """A DPT of transformers with few weights, as a folder."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.DPTConfig(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32,
        image_size=32, patch_size=8, backbone_out_indices=[0, 1, 2, 3], is_hybrid=False,
        neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("dpt")
    transformers.DPTForDepthEstimation(config).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    transformers.DPTImageProcessor(size=size).save_pretrained(folder)
    return folder


def test_an_estimator_of_transformers_draws_the_depth(tiny_model, tmp_path, capsys):
    photo = tmp_path / "photo.png"
    Image.fromarray(skimage.data.astronaut()[:96, :144]).save(photo)
    out, kept = tmp_path / "out.png", tmp_path / "depth.npy"
    words = ["render", str(photo), "-o", str(out), "--depth-model", str(tiny_model)]
    assert main([*words, "--save-depth", str(kept)]) == 0
    depth = np.load(kept)
    assert depth.shape == (96, 144) and 1 <= depth.min() < depth.max() <= 10.01
    assert main(["render", str(photo), "-o", str(tmp_path / "b.png"), "--depth", str(kept)]) == 0
    capsys.readouterr()
    assert main([*words[:-1], str(tmp_path / "nothing")]) == 2
    error = capsys.readouterr().err
    assert "no depth estimator" in error and len(error.splitlines()) == 1
    assert main([*words, "--depth", str(kept)]) == 2
    assert "not both" in capsys.readouterr().err


def test_a_metric_model_gives_metres(monkeypatch):
    transformers = pytest.importorskip("transformers")

    class Estimator:
        class model:
            class config:
                model_type, depth_estimation_type = "depth_anything", "metric"

        def __init__(self, values):
            self.values = values

        def __call__(self, picture):
            return {"predicted_depth": self.values}

    values = torch.tensor([[0.0, 2.0], [3.0, 4.0]])
    monkeypatch.setattr(transformers, "pipeline", lambda *_, **__: Estimator(values))
    photo = np.zeros((2, 2, 3), np.float32)
    assert estimate_depth("x", photo).metres.tolist() == [[2, 2], [3, 4]]
    monkeypatch.setattr(transformers, "pipeline", lambda *_, **__: Estimator(values * 0))
    with pytest.raises(BradcnError, match="sees no depth"):
        estimate_depth("y", photo)


def test_depth_is_written_as_it_is_read(tmp_path):
    for name in ("d.npy", "d.png"):
        write_depth_map(tmp_path / name, METRES)
        np.testing.assert_allclose(read_depth_map(tmp_path / name).metres, METRES, atol=6e-4)
    for name in ("d.jpg", "no/d.npy"):
        with pytest.raises(DataError):
            write_depth_map(tmp_path / name, METRES)
