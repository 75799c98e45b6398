"""The two renderers on whole photographs, with a stand-in for the net."""

from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor, nn

from bradcn_nb.__main__ import main
from bradcn_nb.data.photos import Photo, read_photo, write_photo
from bradcn_nb.errors import BradcnError, DataError, PhotoError
from bradcn_nb.lens.by_depth import default_focus, render_layered, render_lens
from bradcn_nb.lens.upsample import guided_upsample, upsample_bilinear, upsample_stack
from bradcn_nb.models import inference
from bradcn_nb.models.bradcn import BRADCN
from bradcn_nb.models.inference import for_inference
from bradcn_nb.photograph import depth_of, net_bokeh, render_bradcn, render_photo
from bradcn_nb.presets import preset

CFG = preset("mini").model


class Output(NamedTuple):
    bokeh: Tensor
    depth: Tensor | None
    depth_error: Tensor | None


class StandIn(nn.Module):
    """Blurs all but the middle of the picture; its depth is 1 m in the middle and 4 m around it."""

    cfg = CFG

    def __init__(self) -> None:
        super().__init__()
        self.depth_net = StandInDepth()

    def forward(self, image: Tensor) -> Output:
        assert image.shape[2] % CFG.stride == 0 and image.shape[3] % CFG.stride == 0
        blurred = nn.functional.avg_pool2d(image, 5, 1, 2, count_include_pad=False)
        near = middle(image)
        return Output(near * image + (1 - near) * blurred, None, None)


class StandInDepth(nn.Module):
    """1 m in the middle and 4 m around it."""

    def forward(self, image: Tensor) -> Tensor:
        return 4 - 3 * middle(image)


def middle(image: Tensor) -> Tensor:
    mask = torch.zeros_like(image[:, :1])
    height, width = image.shape[2:]
    mask[..., height // 4 : -height // 4, width // 4 : -width // 4] = 1
    return mask


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return data.astronaut().astype(np.float32) / 255


def detail(picture: np.ndarray, mask: np.ndarray) -> float:
    return np.abs(cv2.Laplacian(picture.mean(axis=2), cv2.CV_32F))[mask].mean()


@pytest.fixture(scope="module")
def example(photo):
    """Truth at full size by the classical renderer, and what a net would make of it at 64 x 64."""
    y, x = np.mgrid[:512, :512]
    inside = ((x - 230) / 150) ** 2 + ((y - 260) / 210) ** 2 < 1
    truth = render_layered(photo, np.where(inside, 0.0, -1.0), 0.0, 14.0)
    noise = np.random.default_rng(0).normal(0, 0.01, (64, 64, 3))
    net = cv2.resize(truth, (64, 64), interpolation=cv2.INTER_AREA) + noise.astype(np.float32)
    return truth, np.clip(net, 0, 1), inside


def test_stack_keeps_the_subject_and_beats_bilinear(photo, example):
    truth, net, inside = example
    core = cv2.erode(inside.astype(np.uint8), np.ones((25, 25))) > 0
    outer = cv2.dilate(inside.astype(np.uint8), np.ones((25, 25))) == 0
    result, plain = upsample_stack(photo, net), upsample_bilinear(net, (512, 512))

    def psnr(picture):
        return -10 * np.log10(((picture - truth) ** 2).mean())

    assert psnr(result) > psnr(plain) + 3
    assert detail(result, core) > 0.97 * detail(photo, core)
    assert detail(plain, core) < 0.3 * detail(photo, core)
    assert detail(result, outer) < 0.4 * detail(photo, outer)  # and the background is blurred
    assert np.abs(result.mean((0, 1)) - truth.mean((0, 1))).max() < 1 / 255  # no colour shift


def test_identity_net_returns_the_photograph(photo):
    net = cv2.resize(photo, (64, 64), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(upsample_stack(photo, net), photo)


def test_guided_upsample_follows_edges():
    photo = np.full((256, 256, 3), 0.2, np.float32)
    photo[:, 130:] = 0.8
    small = np.where(np.arange(32) < 16, 1.0, 3.0).astype(np.float32)[None].repeat(32, axis=0)
    large = guided_upsample(small, photo)
    assert large.shape == (256, 256)
    assert large[:, :120].max() < 1.5 and large[:, 138:].min() > 2.5
    steps = np.diff(large[128])
    assert steps.argmax() == 129 and steps[129] > 0.5  # where the photograph has its edge


@pytest.mark.parametrize("shape", [(70, 101), (200, 90), (16, 16), (40, 4000), (4000, 40)])
def test_any_size_and_shape(photo, shape):
    picture = np.resize(photo, (*shape, 3))
    assert render_bradcn(picture, StandIn(), CFG).shape == picture.shape
    rows, columns = net_bokeh(picture, StandIn(), CFG).shape[:2]
    assert columns / rows == pytest.approx(shape[1] / shape[0], rel=0.02)  # nothing is stretched
    metres = depth_of(picture, StandIn().depth_net, CFG)
    assert metres.shape == shape and metres.min() >= 0.99 and metres.max() <= 4.01
    for side in (1, 900):
        with pytest.raises(PhotoError, match=f"{side} x 1 pixels is too small"):
            render_bradcn(np.ones((1, side, 3), np.float32), StandIn(), CFG)


def test_the_real_net_fits(photo):
    torch.manual_seed(0)
    model = BRADCN(CFG).eval()
    out = render_bradcn(photo[:300, :500], model, CFG)
    assert out.shape == (300, 500, 3) and 0 <= out.min() and out.max() <= 1
    assert depth_of(photo[:300, :500], model.depth_net, CFG).min() > 0


def test_lens_focus_and_aperture(photo):
    depth = np.full((512, 512), 3.0, np.float32)
    depth[128:384, 128:384] = 1.0
    middle, corner = np.zeros((2, 512, 512), bool)
    middle[140:372, 140:372] = True
    corner[:100, :100] = True
    assert default_focus(depth) == 1.0
    wide = render_lens(photo, depth)
    np.testing.assert_array_equal(wide[middle], photo[middle])
    small = render_lens(photo, depth, aperture=8.0)
    assert detail(wide, corner) < detail(small, corner) < detail(photo, corner)
    away = render_lens(photo, depth, focus=(20, 20))
    np.testing.assert_array_equal(away[corner], photo[corner])
    assert detail(away, middle) < 0.5 * detail(photo, middle)
    with pytest.raises(DataError, match="too near"):
        render_lens(photo, depth / 1000)


def test_render_photo_from_file_to_file(tmp_path, photo):
    alpha = np.linspace(0, 1, 512, dtype=np.float32)[None].repeat(400, axis=0)
    source = tmp_path / "a.png"
    write_photo(source, Photo(photo[:400], alpha, bits=16))
    np.save(tmp_path / "d.npy", np.where(alpha > 0.5, 1.0, 2.0))
    for renderer, depth in (("bradcn", None), ("lens", None), ("lens", tmp_path / "d.npy")):
        render_photo(source, tmp_path / "b.png", renderer, depth=depth, model=StandIn())
        result, before = read_photo(tmp_path / "b.png"), read_photo(source)
        assert result.bits == 16 and result.rgb.shape == (400, 512, 3)
        sharp = (result.rgb == before.rgb).all(axis=2)
        assert 0.05 < sharp.mean() < 0.9  # some of it is sharp, to the bit, some is not
        assert (result.alpha == before.alpha)[sharp].mean() > 0.9
        assert np.abs(result.alpha - before.alpha).max() < 0.1  # blurred with the colours
    render_photo(source, tmp_path / "b.jpg", "lens", focus=(511, 399), model=StandIn())
    assert read_photo(tmp_path / "b.jpg").rgb.shape == (400, 512, 3)


def test_render_photo_refuses(tmp_path, photo):
    source, out = tmp_path / "a.png", tmp_path / "b.png"
    write_photo(source, Photo(photo[:64, :96]))
    np.save(tmp_path / "d.npy", np.ones((10, 10)))
    for error, word, arguments in [
        (PhotoError, "outside", {"renderer": "lens", "focus": (96, 0)}),
        (PhotoError, "outside", {"renderer": "lens", "focus": (0, -1)}),
        (PhotoError, "end the name", {"out": tmp_path / "b.xyz"}),
        (PhotoError, "overwrite", {"out": source}),
        (PhotoError, "no such file", {"path": tmp_path / "c.png"}),
        (BradcnError, "f-number", {"aperture": 0.0}),
        (BradcnError, "choose", {"renderer": "oil"}),
        (DataError, "same aspect", {"renderer": "lens", "depth": tmp_path / "d.npy"}),
    ]:
        with pytest.raises(error, match=word):
            render_photo(**({"path": source, "out": out, "model": StandIn()} | arguments))
    assert not out.exists()


@pytest.mark.parametrize("words", [[], ["--renderer", "lens"]])
def test_the_net_goes_to_the_device_that_is_named(photo, tmp_path, monkeypatch, words):
    """No GPU is needed to see where a net is sent."""
    sent = []

    class Sent:
        def __init__(self, net):
            self.net = for_inference(net)

        def to(self, device):
            sent.append(device)
            return self.net

    monkeypatch.setattr(inference, "pick_device", lambda name: torch.device("cuda", 3))
    monkeypatch.setattr(inference, "for_inference", Sent)
    source = tmp_path / "in.png"
    write_photo(source, Photo(photo))
    assert main(["render", str(source), "-o", str(tmp_path / "out.png"), *words]) == 0
    assert sent == [torch.device("cuda", 3)]
