"""PSNR, SSIM, the protocol's resizing and rounding, and the bootstrap interval."""

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from bradcn_nb.errors import BradcnError, SizeError, WeightsError
from bradcn_nb.evaluation.intervals import mean_interval, paired_interval
from bradcn_nb.evaluation.lpips import lpips_net
from bradcn_nb.evaluation.matching import matched
from bradcn_nb.evaluation.metrics import (
    Protocol,
    eight_bit,
    lpips,
    psnr,
    ssim,
    to_uint8,
    val294,
)
from bradcn_nb.lens.thin_lens import linear_to_srgb, srgb_to_linear


def pictures(height=20, width=30):
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
    noise = generator.integers(-20, 21, truth.shape)
    return truth, (truth + noise).clip(0, 255).astype(np.uint8)


def test_to_uint8_clamps_and_rounds():
    values = torch.tensor([-0.5, 0.0, 0.49 / 255, 0.5 / 255, 254.51 / 255, 1.7]).view(1, 1, 6)
    assert to_uint8(values.expand(3, 1, 6))[0, :, 1].tolist() == [0, 0, 0, 1, 255, 255]
    every = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    tensor = torch.from_numpy(every.transpose(2, 0, 1).copy()).float() / 255
    np.testing.assert_array_equal(to_uint8(tensor[None]), every)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_to_uint8_refuses_nan(bad):
    with pytest.raises(BradcnError, match="NaN"):
        to_uint8(torch.full((3, 2, 2), bad))


def test_to_uint8_refuses_other_shapes():
    for shape in ((2, 3, 4, 4), (1, 4, 4), (4, 4)):
        with pytest.raises(SizeError):
            to_uint8(torch.zeros(shape))


def test_psnr_and_ssim_by_hand_and_by_scikit_image():
    truth, picture = pictures()
    mse = ((truth.astype(float) - picture) ** 2).mean()
    assert psnr(truth, picture) == pytest.approx(10 * np.log10(255**2 / mse))
    assert psnr(truth, picture) == peak_signal_noise_ratio(truth, picture)
    assert ssim(truth, picture) == structural_similarity(truth, picture, channel_axis=-1)
    assert ssim(truth, truth) == 1 and psnr(truth, truth) == float("inf")


def test_the_gaussian_window_is_that_of_wang_2004():
    """On one window's middle: means, variances and covariance under the Gaussian weights, by
    hand."""
    truth, picture = pictures()
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    want, whole = structural_similarity(truth, picture, channel_axis=-1, full=True, **options)
    assert ssim(truth, picture, "gaussian") == want != ssim(truth, picture)
    x = np.arange(-5, 6)
    weights = np.exp(-(x[:, None] ** 2 + x**2) / (2 * 1.5**2))
    weights /= weights.sum()
    a, b = (p[4:15, 6:17, 1].astype(float) for p in (truth, picture))
    ma, mb = (weights * a).sum(), (weights * b).sum()
    va, vb = (weights * a**2).sum() - ma**2, (weights * b**2).sum() - mb**2
    cov = (weights * a * b).sum() - ma * mb
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    by_hand = (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    assert whole[9, 11, 1] == pytest.approx(by_hand, rel=1e-9)


def test_protocol_measures_and_names_its_variants():
    truth, picture = pictures(64, 96)
    plain = Protocol(backbone=None)
    assert plain.metrics == ("psnr", "ssim") and "lpips" not in plain.describe()
    got = plain.measure(truth, picture)
    assert got == {"psnr": psnr(truth, picture), "ssim": ssim(truth, picture)}
    assert plain.measure(truth, truth) == {"psnr": 100.0, "ssim": 1.0}
    varied = Protocol("gaussian", "vgg", (32, 48))
    assert varied.describe() == {
        "psnr": "uint8, dB",
        "ssim": "gaussian 11x11",
        "lpips": "v0.1 vgg, 48x32",
    }
    assert Protocol().describe()["lpips"] == "v0.1 alex, native size"


def test_protocol_measures_lpips_at_its_own_size():
    try:
        lpips_net("alex")
    except WeightsError as error:
        pytest.skip(str(error))
    truth, picture = pictures(128, 192)
    got = Protocol(lpips_size=(64, 96)).measure(truth, picture)
    half = [p.reshape(64, 2, 96, 2, 3).astype(float).mean((1, 3)) for p in (truth, picture)]
    want = lpips(*(np.rint(p).astype(np.uint8) for p in half))
    assert got["lpips"] == pytest.approx(want, abs=1e-4)
    assert got["psnr"] == psnr(truth, picture)  # the others keep the native size
    assert got["lpips"] != pytest.approx(lpips(truth, picture), abs=1e-3)


def test_metrics_refuse_what_they_cannot_compare():
    truth, picture = pictures()
    with pytest.raises(SizeError):
        psnr(truth, picture[:-1])
    with pytest.raises(TypeError):
        ssim(truth.astype(np.float32), picture.astype(np.float32))
    with pytest.raises(SizeError, match="7 pixels"):
        ssim(truth[:6], picture[:6])
    with pytest.raises(SizeError, match="11 pixels"):
        ssim(truth[:10], picture[:10], "gaussian")


def test_val294_doubles_as_bilinear_without_aligned_corners():
    row = torch.tensor([0.0, 1.0]).view(1, 1, 2).expand(3, 2, 2)
    got = val294(row, 4, 4)
    assert got.shape == (4, 4, 3)
    assert got[1, :, 0].tolist() == [0, 64, 191, 255]  # 0, 1/4, 3/4, 1
    assert val294(torch.rand(1, 3, 8, 12), 17, 23).shape == (17, 23, 3)
    same = torch.from_numpy(pictures()[0].transpose(2, 0, 1).copy()).float() / 255
    np.testing.assert_array_equal(val294(same, 20, 30), pictures()[0])


def test_interval_of_paired_differences():
    generator = np.random.default_rng(1)
    base = generator.normal(25, 3.9, 200)
    better = base + generator.normal(0.5, 0.5, 200)
    mean, low, high = paired_interval(better, base)
    assert mean == pytest.approx((better - base).mean())
    assert low < mean < high
    half = 1.96 * (better - base).std(ddof=1) / np.sqrt(200)
    assert high - low == pytest.approx(2 * half, rel=0.08)
    assert paired_interval(better, base) == (mean, low, high)  # the same seed
    assert paired_interval(better, base, seed=1)[1:] != (low, high)
    assert paired_interval([2.0], [1.5]) == (0.5, 0.5, 0.5)


def test_interval_of_a_mean():
    values = np.random.default_rng(3).normal(25, 3.9, 100)
    assert mean_interval(values) == paired_interval(values, np.zeros(100))
    assert mean_interval(list(values + 10), 7).mean == pytest.approx(values.mean() + 10)
    for bad in ([], [np.nan], [[1.0]]):
        with pytest.raises(ValueError):
            mean_interval(bad)


def test_interval_covers_as_often_as_it_says():
    generator = np.random.default_rng(2)
    hits = 0
    for _ in range(60):
        _, low, high = paired_interval(generator.normal(1, 1, 60), np.zeros(60))
        hits += low <= 1 <= high
    assert 51 <= hits <= 60


@pytest.mark.parametrize(
    ("a", "b"), [([1.0], [1.0, 2.0]), ([], []), ([float("inf")], [1.0]), ([float("nan")], [0.0])]
)
def test_interval_refuses(a, b):
    with pytest.raises(ValueError):
        paired_interval(a, b)


# --- exposure and place taken out ---


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    return skimage.data.astronaut()[:256, 100:420]


def test_a_gain_is_found_and_taken_out(photograph):
    linear = srgb_to_linear(photograph.astype(np.float32) / 255)
    darker = eight_bit(linear_to_srgb(linear / 1.5))
    plain, exposed = Protocol(backbone=None), Protocol(backbone=None, match="exposure")
    assert plain.measure(photograph, darker)["psnr"] < 20
    assert exposed.measure(photograph, darker)["psnr"] > 40  # what 8 bits of the darker one keep
    assert exposed.measure(photograph, photograph)["psnr"] == 100


def test_a_scale_and_a_shift_are_found_and_taken_out(photograph):
    warp = np.float32([[0.994, 0.001, 3.0], [-0.001, 0.994, -2.0]])
    moved = cv2.warpAffine(photograph, warp, photograph.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
    inside = (slice(8, -8),) * 2
    found = matched(photograph, moved, "affine")
    before, after = (psnr(photograph[inside], x[inside]) for x in (moved, found))
    assert before < 24 and after > before + 8  # what two resamplings leave


def test_a_match_is_named_and_an_impossible_one_refused(photograph):
    assert Protocol(backbone=None).describe() == {"psnr": "uint8, dB", "ssim": "uniform 7x7"}
    named = Protocol(backbone=None, match="affine").describe()
    assert named == {"psnr": "uint8, dB, affine matched", "ssim": "uniform 7x7, affine matched"}
    with pytest.raises(BradcnError, match="does not look like its truth"):
        matched(photograph, np.zeros_like(photograph), "affine")
    assert matched(photograph, np.zeros_like(photograph), "exposure").max() == 0
    with pytest.raises(BradcnError, match="exposure or affine"):
        matched(photograph, photograph, "rotation")
