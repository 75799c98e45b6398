"""L1 with and without a mask, MS-SSIM against pytorch-msssim and its behaviour on small
pictures."""

from types import SimpleNamespace

import pytest
import torch
from pytorch_msssim import ms_ssim

from bradcn_nb.errors import SizeError
from bradcn_nb.training.losses import MS_SSIM_WEIGHTS, l1, ms_ssim_loss, scales, stage_loss


def pair(height, width, noise=0.2, n=2):
    generator = torch.Generator().manual_seed(height * 1000 + width)
    a = torch.rand(n, 3, height, width, generator=generator)
    return a, (a + noise * torch.randn(a.shape, generator=generator)).clamp(0, 1)


def test_l1_is_the_mean_absolute_difference():
    a, b = pair(8, 12)
    assert float(l1(a, b)) == pytest.approx(float((a - b).double().abs().mean()))


def test_masked_l1_ignores_what_is_masked_even_nan():
    prediction = torch.tensor([[[[1.0, 2.0, 3.0]]]], requires_grad=True)
    target = torch.tensor([[[[0.0, float("nan"), 5.0]]]])
    loss = l1(prediction, target, torch.tensor([[[[True, False, True]]]]))
    loss.backward()
    assert loss.item() == 1.5
    assert prediction.grad.flatten().tolist() == [0.5, 0.0, -0.5]


def test_masked_l1_of_nothing_is_zero_with_gradient():
    prediction = torch.ones(1, 1, 2, 2, requires_grad=True)
    loss = l1(prediction, torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0 and prediction.grad.abs().sum() == 0


def test_shapes_must_agree():
    a = torch.zeros(2, 1, 4, 4)
    with pytest.raises(SizeError):
        l1(a, a[:, :, :2])
    with pytest.raises(SizeError):
        l1(a, a, torch.ones(4, 4, dtype=torch.bool))
    with pytest.raises(SizeError):
        ms_ssim_loss(a, a[:1])


@pytest.mark.parametrize("size", [(192, 192), (161, 200), (177, 163)])
def test_ms_ssim_equals_pytorch_msssim(size):
    a, b = pair(*size)
    want = 1 - float(ms_ssim(a.double(), b.double(), data_range=1))
    assert float(ms_ssim_loss(a.double(), b.double())) == pytest.approx(want, abs=1e-6)
    assert float(ms_ssim_loss(a, b)) == pytest.approx(want, abs=1e-5)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((161, 161), 5), ((160, 300), 4), ((64, 96), 3), ((21, 21), 2), ((20, 20), 1), ((1, 1), 1)],
)
def test_scales_that_fit(size, expected):
    assert scales(*size) == expected


def test_small_pictures_use_the_first_weights_renormalised():
    a, b = pair(64, 96, n=1)
    # pytorch-msssim refuses 64 pixels only for its window of 11 at five scales: go scale by scale.
    from pytorch_msssim import ssim
    from pytorch_msssim.ssim import _fspecial_gauss_1d, _ssim

    window = _fspecial_gauss_1d(11, 1.5).repeat(3, 1, 1, 1)
    terms, x, y = [], a, b
    for level in range(3):
        s, cs = _ssim(x, y, data_range=1.0, win=window, size_average=False)
        terms.append(s if level == 2 else cs)
        x, y = (torch.nn.functional.avg_pool2d(t, 2) for t in (x, y))
    weights = torch.tensor(MS_SSIM_WEIGHTS[:3]) / sum(MS_SSIM_WEIGHTS[:3])
    want = torch.stack(terms).pow(weights.view(3, 1, 1)).prod(0).mean()
    assert float(ms_ssim_loss(a, b)) == pytest.approx(1 - float(want), abs=1e-5)
    tiny_a, tiny_b = pair(20, 20)
    assert float(ms_ssim_loss(tiny_a, tiny_b)) == pytest.approx(
        1 - float(ssim(tiny_a, tiny_b, data_range=1)), abs=1e-5
    )


@pytest.mark.parametrize("size", [(1, 1), (2, 7), (10, 12), (64, 96), (200, 170)])
def test_ms_ssim_is_zero_for_equals_and_grows_with_noise(size):
    a, _ = pair(*size)
    assert float(ms_ssim_loss(a, a)) == pytest.approx(0, abs=1e-5)
    if min(size) > 9:
        low, high = (float(ms_ssim_loss(a, pair(*size, noise=s)[1])) for s in (0.05, 0.4))
        assert 0 < low < high <= 1


def test_ms_ssim_has_a_finite_gradient_where_structure_is_inverted():
    a, _ = pair(64, 96)
    inverted = (1 - a).requires_grad_()
    loss = ms_ssim_loss(inverted, a)
    loss.backward()
    assert torch.isfinite(inverted.grad).all() and 0.9 < float(loss.detach()) <= 1


def test_ms_ssim_keeps_float32_under_autocast():
    a, b = pair(64, 96)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert float(ms_ssim_loss(a, b)) == float(ms_ssim_loss(a, b).float())
        inside = float(ms_ssim_loss(a, b))
    assert inside == pytest.approx(float(ms_ssim_loss(a, b)), abs=1e-6)


def test_stage_loss_adds_what_the_stage_weighs():
    a, b = pair(64, 96)
    both = stage_loss(SimpleNamespace(name="b", l1=2.0, ms_ssim=0.5))
    assert float(both(a, b)) == pytest.approx(2 * float(l1(a, b)) + 0.5 * float(ms_ssim_loss(a, b)))
    mask = a > 0.5
    only = stage_loss(SimpleNamespace(name="a", l1=1.0, ms_ssim=0.0))
    assert float(only(a, b, mask)) == float(l1(a, b, mask))
