"""The baselines of Table I: sizes, data flow, gradients, weights on disk, training and judging."""

import dataclasses
import math

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_resume import SIZE, write_ebb
from timm.layers import SelectiveKernel as TimmSelectiveKernel

from bradcn_nb.data import EBB, resize_picture, to_tensor
from bradcn_nb.errors import BradcnError, RunError, SizeError, WeightsError
from bradcn_nb.evaluation.metrics import psnr, val294
from bradcn_nb.evaluation.test_set import evaluate
from bradcn_nb.experiments.costs.summary import count_macs
from bradcn_nb.experiments.tables import RATE
from bradcn_nb.files import data_root
from bradcn_nb.lens.by_depth import NEAREST_M, default_focus, render_lens
from bradcn_nb.lens.thin_lens import Camera, coc_diameter
from bradcn_nb.models import (
    BRADCN,
    BRADCNOutput,
    DepthNet,
    RenderNet,
    baselines,
    load_depth_net,
    load_weights,
    save_weights,
)
from bradcn_nb.models.baselines import blur
from bradcn_nb.models.baselines.classical import F_NUMBER
from bradcn_nb.models.baselines.dbsi import KERNELS, gaussian_blur, gaussian_kernel
from bradcn_nb.models.baselines.dmshn import DMSHN, DMSHNConfig
from bradcn_nb.models.baselines.skn import SelectiveKernel
from bradcn_nb.presets import Stage, preset
from bradcn_nb.training import train

MINI = preset("mini")
# One of the forms with a skip stands for all of them where a net's own layers do not matter.
SOME = [name for name in baselines.TRAINED if not name.endswith("-skip")] + ["dmshn-skip"]


def count(net):
    return sum(weight.numel() for weight in net.parameters())


@pytest.fixture(scope="module")
def image():
    return torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    "name, published",
    [("dmshn", 5_424_393), ("stacked-dmshn", 10_848_786), ("brvit", 123_147_051 - 1_950_696)],
)
def test_full_sizes_are_the_published_ones(name, published):
    with torch.device("meta"):
        assert count(baselines.build(name, "full")) == published


def test_what_learns_at_mini_size_is_as_large_as_mini_bradcn():
    with torch.device("meta"):
        bradcn = BRADCN(MINI.model)
        bradcn.adcn.requires_grad_(False)  # frozen in stage 2
        trained = sum(w.numel() for w in bradcn.parameters() if w.requires_grad)
        assert trained == 3_030_833
        for name in baselines.TRAINED:
            net = baselines.build(name, "mini")
            assert all(weight.requires_grad for weight in net.parameters()), name
            assert 0.8 < count(net) / trained < 1.2, name
        assert not any(w.requires_grad for w in baselines.build("classical").parameters())
        for name in ("identity", "blur"):
            assert not list(baselines.build(name).parameters())


def test_mini_nets_cost_between_half_and_twice_the_macs_of_mini_bradcn():
    picture = torch.zeros(1, 3, *MINI.data.train_size)
    with torch.no_grad():
        bradcn = count_macs(BRADCN(MINI.model), picture)
        for name in SOME:
            assert 0.5 < count_macs(baselines.build(name), picture) / bradcn < 2, name


@pytest.mark.parametrize("name", baselines.NAMES)
def test_every_baseline_draws_a_picture_of_the_inputs_size(name, image):
    torch.manual_seed(0)
    net = baselines.build(name).eval()
    with torch.no_grad():
        output = net(image)
    assert isinstance(output, BRADCNOutput) and output.depth_error is None
    assert output.bokeh.shape == image.shape and torch.isfinite(output.bokeh).all()
    assert (output.depth is not None) == (name in ("classical", "dbsi"))
    if name.endswith("-skip"):  # such a net starts near its input
        assert (output.bokeh - image).abs().mean() < 0.15
    if name not in ("identity", "blur"):
        for wrong in (image[..., :-1], image[:, :1], image[..., :0]):
            with pytest.raises(SizeError):
                net(wrong)


@pytest.mark.parametrize("name", baselines.TRAINED)
def test_gradients_reach_every_weight(name, image):
    torch.manual_seed(0)
    net = baselines.build(name)
    net(image).bokeh.square().mean().backward()
    for weight_name, weight in net.named_parameters():
        assert weight.grad is not None and weight.grad.abs().max() > 0, weight_name


def test_the_blind_blur_is_the_best_of_its_kind(monkeypatch):
    """On mini-EBB's training pairs: neither less nor more of it comes closer to the lens."""
    pairs = EBB(data_root() / "mini-ebb", "train", MINI.data.train_size)
    found = []
    for share in (blur.SHARE / 1.5, blur.SHARE, blur.SHARE * 1.5):
        monkeypatch.setattr(blur, "SHARE", share)
        net, values = baselines.build("blur"), []
        for index in range(0, len(pairs), 10):
            item = pairs.read(index)
            small = to_tensor(resize_picture(item["image"], MINI.data.train_size))[None]
            values.append(psnr(item["bokeh"], val294(net(small).bokeh, *item["bokeh"].shape[:2])))
        found.append(np.mean(values))
    assert found[1] > max(found[0], found[2])


def test_unknown_names_and_sizes_are_refused():
    with pytest.raises(BradcnError, match="unknown baseline 'pynet': choose one of identity"):
        baselines.build("pynet")
    with pytest.raises(BradcnError, match="unknown size 'tiny' of skn"):
        baselines.build("skn", "tiny")


def naive_dmshn(weights, image, widths):
    """DMSHN's equations, written out with plain functions on a state dict."""

    def conv(name, x, stride=1):
        return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], stride, 1)

    def block(name, x):
        return x + conv(f"{name}.conv2", conv(f"{name}.conv1", x).clamp(min=0))

    def encode(level, x):
        name, at = f"encoders.{level - 1}", 0
        for index in range(len(widths)):
            x = conv(f"{name}.{at}", x, stride=1 if index == 0 else 2)
            x = block(f"{name}.{at + 2}", block(f"{name}.{at + 1}", x))
            at += 3
        return x

    def decode(level, x):
        name, at = f"decoders.{level - 1}", 0
        for index in range(len(widths)):
            if index:
                up = f"{name}.{at}"
                x = F.conv_transpose2d(x, weights[f"{up}.weight"], weights[f"{up}.bias"], 2, 1)
                at += 1
            x = block(f"{name}.{at + 1}", block(f"{name}.{at}", x))
            at += 2
        return conv(f"{name}.{at}", x)

    def up(x):  # weights 3/4 and 1/4 of the two nearest, edges repeated
        for axis in (2, 3):
            index = torch.arange(x.shape[axis])
            before = x.index_select(axis, (index - 1).clamp(min=0))
            after = x.index_select(axis, (index + 1).clamp(max=x.shape[axis] - 1))
            pairs = torch.stack((0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after), axis + 1)
            x = pairs.flatten(axis, axis + 1)
        return x

    half = F.avg_pool2d(image, 2)  # what bilinear interpolation by 0.5 amounts to
    quarter = F.avg_pool2d(half, 2)
    f3 = encode(3, quarter)
    r3 = decode(3, f3)
    f2 = encode(2, half + up(r3))
    r2 = decode(2, f2 + up(f3))
    return decode(1, encode(1, image + up(r2)) + up(f2))


@pytest.mark.parametrize("widths", [(4, 6), (4, 6, 8)])
def test_dmshn_is_its_equations(widths):
    torch.manual_seed(1)
    net = DMSHN(DMSHNConfig(widths)).double().eval()
    image = torch.rand(2, 3, 32, 48, dtype=torch.float64)
    with torch.no_grad():
        naive = naive_dmshn(net.state_dict(), image, widths)
        torch.testing.assert_close(net(image).bokeh, naive)


def test_stacked_dmshn_redraws_its_first_half(image):
    torch.manual_seed(1)
    net = baselines.build("stacked-dmshn").eval()
    with torch.no_grad():
        once = net.first(image).bokeh
        torch.testing.assert_close(net(image).bokeh, net.second(once).bokeh)
        assert not torch.equal(net.first(image).bokeh, net.second(image).bokeh)


def test_selective_kernels_share_each_channel_between_their_branches():
    torch.manual_seed(0)
    unit = SelectiveKernel(16)
    seen = torch.rand(3, 2, 16, 8, 12)
    attention = unit.attention(seen)
    assert attention.shape == (3, 2, 16) and (attention > 0).all()
    torch.testing.assert_close(attention.sum(1), torch.ones(3, 16))
    with torch.no_grad():  # all of the attention on one branch: its output alone
        unit.expand.weight.zero_()
        unit.expand.bias[:16], unit.expand.bias[16:] = 50.0, -50.0
    x = torch.rand(3, 16, 8, 12)
    torch.testing.assert_close(unit(x), F.relu(unit.branches[0](x)))


def test_selective_kernel_computes_what_timms_computes():
    """timm's own unit with the same weights; fresh batch norms do next to nothing in eval mode."""
    torch.manual_seed(0)
    ours = SelectiveKernel(16).eval()
    theirs = TimmSelectiveKernel(16, 16, rd_channels=32, split_input=False).eval()
    with torch.no_grad():
        for ours_branch, path in zip(ours.branches, theirs.paths, strict=True):
            ours_branch.bias.zero_()  # timm's convolutions have none
            path.conv.weight.copy_(ours_branch.weight)
            assert path.conv.dilation == ours_branch.dilation
        ours.squeeze.bias.zero_()
        ours.expand.bias.zero_()
        theirs.attn.fc_reduce.weight.copy_(ours.squeeze.weight[..., None, None])
        theirs.attn.fc_select.weight.copy_(ours.expand.weight[..., None, None])
        x = torch.randn(2, 16, 10, 14)
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("side", KERNELS)
def test_gaussians_are_opencvs_at_the_published_size_and_shrink_with_the_picture(side):
    kernel = gaussian_kernel(side, 1024)
    assert len(kernel) == side
    np.testing.assert_allclose(kernel, cv2.getGaussianKernel(side, 0)[:, 0], atol=4e-4)
    offsets = torch.arange(-(side // 2), side // 2 + 1)
    sigma = (kernel * offsets**2).sum().sqrt()
    small = gaussian_kernel(side, 256)
    reach = len(small) // 2
    assert 2 * reach + 1 == len(small) and abs(len(small) - side / 4) < 2
    small_sigma = (small * torch.arange(-reach, reach + 1) ** 2).sum().sqrt()
    assert small_sigma == pytest.approx(float(sigma) / 4, rel=0.1)
    tiny = gaussian_kernel(side, 64)
    assert tiny.sum() == pytest.approx(1) and tiny[len(tiny) // 2] < 0.96  # still blurs


def test_gaussian_blur_is_scipys():
    ndimage = pytest.importorskip("scipy.ndimage")
    picture = torch.rand(2, 3, 20, 30, dtype=torch.float64)
    kernel = gaussian_kernel(45, 256)
    want = picture.numpy()
    for axis in (2, 3):
        want = ndimage.convolve1d(want, kernel.double().numpy(), axis=axis, mode="nearest")
    np.testing.assert_allclose(gaussian_blur(picture, kernel), want, rtol=1e-9)


def test_dbsi_blends_and_never_leaves_the_range_of_its_pictures(image):
    torch.manual_seed(0)
    net = baselines.build("dbsi").eval()
    with torch.no_grad():
        depth = net.depth_net(image)
        shares = net.weights(image, depth)
        assert shares.shape == (2, 4, *SIZE) and (shares > 0).all()
        torch.testing.assert_close(shares.sum(1), torch.ones(2, *SIZE))
        pictures = net.pictures(image)
        bokeh = net(image).bokeh
        assert (bokeh <= pictures.amax(1) + 1e-6).all() and (bokeh >= pictures.amin(1) - 1e-6).all()
        by_hand = sum(shares[:, i : i + 1] * pictures[:, i] for i in range(4))
        torch.testing.assert_close(bokeh, by_hand)
        flat = torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1, 1).expand(1, 3, *SIZE)
        torch.testing.assert_close(net(flat).bokeh, flat, atol=1e-5, rtol=0)
        # Depth does reach the weights.
        assert not torch.allclose(net.weights(image, depth), net.weights(image, 2 * depth))


def test_dbsi_goes_on_learning():
    """One blur for all is better than none, so its shares run off towards it; they must not stay
    there.
    """
    torch.manual_seed(0)
    net = baselines.build("dbsi")
    net.depth_net = load_depth_net().train()
    optimiser = torch.optim.Adam(net.parameters(), RATE)
    pairs = EBB(data_root() / "mini-ebb", "train", MINI.data.train_size)
    for step in range(12):
        items = [pairs.load(index) for index in range(4 * step, 4 * step + 4)]
        image, bokeh = (torch.stack([item[key] for item in items]) for key in ("image", "bokeh"))
        optimiser.zero_grad()
        output = net(image)
        F.l1_loss(output.bokeh, bokeh).backward()
        optimiser.step()
    shares = net.weights(image, output.depth)
    assert shares.amax(1).mean() < 0.95 and shares.std((0, 2, 3)).max() > 0.05


def test_classical_is_the_lens_renderer_behind_the_depth_net():
    pairs = EBB(data_root() / "mini-ebb", "test", (64, 96))
    image = torch.stack([pairs.load(i)["image"] for i in range(2)])
    net = baselines.build("classical").eval()
    net.depth_net = load_depth_net()
    output = net(image)
    with torch.no_grad():
        depth = load_depth_net()(image)
    torch.testing.assert_close(output.depth, depth)
    for n in range(2):
        photo, metres = image[n].permute(1, 2, 0).numpy(), depth[n, 0].numpy()
        assert metres.min() > NEAREST_M
        drawn = render_lens(photo, metres, aperture=F_NUMBER)
        np.testing.assert_allclose(output.bokeh[n].permute(1, 2, 0).numpy(), drawn, atol=1e-6)
        radius = 32 * coc_diameter(metres, default_focus(metres), Camera(f_number=F_NUMBER))
        changed = np.abs(drawn - photo).mean(2)
        assert changed[radius > 0.7].mean() > 3 * changed[radius < 0.4].mean()
    assert not output.bokeh.requires_grad


@pytest.mark.parametrize("name", ["classical", *SOME])
def test_weights_go_to_disk_and_back(name, tmp_path):
    torch.manual_seed(0)
    net = baselines.build(name)
    save_weights(net, tmp_path / "net.safetensors", "mini")
    again = baselines.build(name)
    assert load_weights(tmp_path / "net.safetensors", again, "mini")["net"] == type(net).__name__
    for key, tensor in again.state_dict().items():
        assert torch.equal(tensor, net.state_dict()[key]), key
    with pytest.raises(WeightsError):
        load_weights(tmp_path / "net.safetensors", RenderNet(MINI.model), "mini")


def test_weights_of_another_width_are_named(tmp_path):
    path = tmp_path / "net.safetensors"
    save_weights(DMSHN(DMSHNConfig((4, 6))), path, "mini")
    with pytest.raises(WeightsError, match=r"widths \(4, 6\), not \(24, 48, 96\)"):
        load_weights(path, baselines.build("dmshn"), "mini")
    dbsi = baselines.build("dbsi")
    save_weights(dbsi, path, "mini")
    dbsi.cfg = dataclasses.replace(dbsi.cfg, widths=(4, 6))
    with pytest.raises(WeightsError) as error:
        load_weights(path, dbsi, "mini")
    assert "widths (16, 32, 64, 120), not (4, 6)" in str(error.value)
    assert "embed_dim" not in str(error.value)  # the depth net's part is the same


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory):
    """Pairs of 32x48 pictures and untrained weights of a mini depth net."""
    root = tmp_path_factory.mktemp("baselines")
    write_ebb(root / "ebb", 6, 2)
    torch.manual_seed(1)
    save_weights(DepthNet(MINI.model), root / "depth.safetensors", "mini")
    return root


def preset_for(name):
    stage = Stage("table1", name, "ebb", epochs=1, lr=1e-3, batch=2, ms_ssim=1.0)
    data = dataclasses.replace(MINI.data, train_size=SIZE)
    return dataclasses.replace(MINI, data=data, stages=(stage,))


@pytest.mark.parametrize("name", SOME)
def test_trains_by_the_same_loop_and_is_judged_by_the_same_protocol(name, tiny_run, tmp_path):
    options = {"data": {"ebb": tiny_run / "ebb"}, "threads": 1, "progress": False}
    if name == "dbsi":
        options["init"] = {"depth": tiny_run / "depth.safetensors"}
    file = train(preset_for(name), "table1", tmp_path, max_steps=2, **options)
    assert file == tmp_path / "table1" / f"{name}.safetensors"
    with open(tmp_path / "table1" / "log.csv") as log:
        last = log.read().splitlines()[-1].split(",")
    assert last[0] == "2" and math.isfinite(float(last[2]))
    assert float(last[4]) > 1  # the check is a PSNR in dB
    assert (tmp_path / "table1" / "samples" / "epoch-001.png").is_file()

    net = baselines.build(name)
    torch.manual_seed(1)
    before = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    load_weights(file, net, "mini")
    assert any(not torch.equal(before[key], tensor) for key, tensor in net.state_dict().items())
    result = evaluate(
        net,
        EBB(tiny_run / "ebb", "test"),
        (16, 32),
        preset="mini",
        weights_hash="h",
        progress=False,
    )
    assert result["n"] == 2 and math.isfinite(result["psnr"])
    assert set(result["differences"]["psnr"]) == {"input", "input_half"}


def test_what_cannot_learn_is_not_trained(tiny_run, tmp_path):
    options = {"data": {"ebb": tiny_run / "ebb"}, "progress": False}
    for name in ("identity", "classical"):
        with pytest.raises(RunError, match=f"{name} has nothing to learn"):
            train(preset_for(name), "table1", tmp_path, **options)
    with pytest.raises(RunError, match="table1 needs a trained depth net"):
        train(preset_for("dbsi"), "table1", tmp_path, **options)


def test_a_second_stage_goes_on_where_the_first_one_ended(tiny_run, tmp_path):
    first = preset_for("skn")
    second = dataclasses.replace(first.stages[0], name="table1b", lr=1e-9)
    both = dataclasses.replace(first, stages=(first.stages[0], second))
    options = {"data": {"ebb": tiny_run / "ebb"}, "threads": 1, "progress": False, "max_steps": 1}
    nets = []
    for stage in both.stages:
        nets.append(baselines.build("skn"))
        load_weights(train(both, stage.name, tmp_path, **options), nets[-1], "mini")
    for ours, theirs in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-7, rtol=0)


def test_untrained_methods_are_judged_alike(tiny_run):
    pairs = EBB(tiny_run / "ebb", "test")
    options = {"preset": "mini", "weights_hash": "h", "progress": False}
    identity = evaluate(baselines.build("identity"), pairs, (16, 32), **options)
    assert identity["psnr"] == identity["psnr_input_half"]
    flat = evaluate(baselines.build("classical"), pairs, (16, 32), **options)
    assert flat["psnr"] == identity["psnr"]  # an untrained depth net sees a wall, and focuses on it
