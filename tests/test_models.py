"""The nets: sizes, shapes, gradients, errors, and their weights on disk."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from timm import create_model

from bradcn_nb.errors import SizeError, WeightsError
from bradcn_nb.models import (
    ADCN,
    BRADCN,
    DepthNet,
    RenderNet,
    load_bradcn,
    load_weights,
    read_metadata,
    save_weights,
)
from bradcn_nb.models.blocks import FusionBlock, Reassemble
from bradcn_nb.models.encoder import HybridEncoder, position
from bradcn_nb.presets import preset

MINI = preset("mini").model
PAPER = preset("paper").model
NEVER_TRAINED = 1_950_696  # in the official nets: final norm, classifier, refinenet4.resConfUnit1


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.fixture(scope="module")
def bradcn():
    torch.manual_seed(0)
    return BRADCN(MINI).eval()


@pytest.fixture(scope="module")
def image():
    return torch.rand(2, 3, 32, 48, generator=torch.manual_seed(3))


@pytest.mark.parametrize("net, official", [(RenderNet, 123_147_051), (DepthNet, 123_146_985)])
def test_paper_nets_have_the_official_parameter_counts(net, official):
    with torch.device("meta"):
        assert count(net(PAPER)) == official - NEVER_TRAINED


@pytest.mark.parametrize("net", [RenderNet, DepthNet, ADCN])
def test_mini_nets_have_1_4_to_3_million_parameters(net):
    assert 1.4e6 <= count(net(MINI)) <= 3e6


def test_paper_encoder_has_timms_names_and_shapes():
    with torch.device("meta"):
        ours = HybridEncoder(PAPER).state_dict()
    timms = create_model("vit_base_r50_s16_384", pretrained=False).state_dict()
    ours = {k: v.shape for k, v in ours.items() if not k.startswith("reassemble")}
    timms = {k.removeprefix("patch_embed."): v.shape for k, v in timms.items()}
    assert len(ours) == 304
    assert ours == {k: v for k, v in timms.items() if not k.startswith(("norm.", "head."))}


def test_encoder_computes_what_timm_computes():
    """Same weights in, same tokens out."""
    torch.manual_seed(0)
    timms = create_model("vit_base_r50_s16_384", pretrained=False, img_size=64).eval()
    ours = HybridEncoder(replace(PAPER, pos_grid=(4, 4))).eval()
    weights = {k.removeprefix("patch_embed."): v for k, v in timms.state_dict().items()}
    names = ours.state_dict().keys()
    ours.load_state_dict({k: v for k, v in weights.items() if k in names}, strict=False)
    seen = []
    ours.blocks[11].register_forward_hook(lambda *args: seen.append(args[2]))
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        ours(image)
        torch.testing.assert_close(timms.norm(seen[0]), timms.forward_features(image))


@pytest.mark.parametrize("cfg", [MINI, PAPER], ids=["mini", "paper"])
def test_shapes_of_every_output(cfg):
    with torch.device("meta"):
        model = BRADCN(cfg)
        image = torch.empty(2, 3, 3 * cfg.stride, 4 * cfg.stride)
        maps = model.render_net.encode(image)
        out = model(image)
    height, width = image.shape[-2:]
    assert [tuple(m.shape) for m in maps] == [
        (2, cfg.features, height // s, width // s) for s in cfg.strides
    ]
    assert out.bokeh.shape == (2, 3, height, width)
    assert out.depth.shape == out.depth_error.shape == (2, 1, height, width)


def test_every_parameter_gets_a_gradient(image):
    torch.manual_seed(0)
    model = BRADCN(MINI)
    model(image).bokeh.square().mean().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_depth_is_metric_and_starts_inside_a_room(bradcn, image):
    with torch.no_grad():
        depth = bradcn.depth_net(image)
    assert 1.5 < depth.mean() < 3.5
    assert (depth > 0).all() and (depth <= 1 / MINI.depth_shift + 1e-4).all()


def test_depth_formula_against_the_head(bradcn, image):
    seen = []
    hook = bradcn.depth_net.decoder.register_forward_hook(lambda *args: seen.append(args[2]))
    with torch.no_grad():
        depth = bradcn.depth_net(image)
    hook.remove()
    x = np.maximum(seen[0].double().numpy(), 0)
    np.testing.assert_allclose(
        depth.numpy(), 1 / (MINI.depth_scale * x + MINI.depth_shift), rtol=1e-5
    )


def test_error_is_positive(bradcn, image):
    with torch.no_grad():
        assert (bradcn.adcn(image * 100) >= 0).all()


def test_mini_render_net_starts_near_its_input(bradcn, image):
    net = bradcn.render_net
    keep = torch.sigmoid(torch.tensor(1.0))  # the fourth channel starts at about 1
    with torch.no_grad():
        mixed = keep * image + (1 - keep) * net.smoothed(image)
        assert (net(image) - mixed).abs().max() < 0.05


def test_the_skip_can_keep_the_input_and_leave_it(image):
    torch.manual_seed(0)
    net = RenderNet(MINI)
    with torch.no_grad():
        net.decoder.head[-1].bias[3] = 100.0
        assert torch.equal(net(image), image)
        net.decoder.head[-1].bias[3] = -100.0
        drawn = net.decoder(net.encode(image))[:, :3]
        torch.testing.assert_close(net(image), net.smoothed(image) + drawn)


def test_smoothed_is_the_mean_of_five_by_five_pixels(image):
    smooth = RenderNet(MINI).smoothed(image)
    assert smooth.shape == image.shape
    by_hand = image[..., 8:13, 20:25].mean((-2, -1))
    torch.testing.assert_close(smooth[..., 10, 22], by_hand)


def test_branches_start_small(bradcn, image):
    with torch.no_grad():
        eo = bradcn.render_net.encode(image)
        added = bradcn.depth_branch(bradcn.depth_net(image))
    assert all(0 < a.std() < 0.25 * e.std() for a, e in zip(added, eo, strict=True))


def test_extra_maps_are_the_branches_sums(bradcn, image):
    with torch.no_grad():
        out = bradcn(image)
        sums = zip(
            bradcn.depth_branch(out.depth), bradcn.error_branch(out.depth_error), strict=True
        )
        alone = bradcn.render_net(image, extra=[di + de for di, de in sums])
    torch.testing.assert_close(alone, out.bokeh)


def test_half_precision_leaves_depth_and_error_fine(bradcn, image):
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        depth, error = bradcn.depth_net(image), bradcn.adcn(image)
    for metres in (depth, error):
        assert metres.dtype == torch.float32
        assert not torch.equal(metres, metres.bfloat16().float())


@pytest.mark.parametrize("net", [RenderNet, DepthNet, ADCN, BRADCN])
@pytest.mark.parametrize("size", [(33, 48), (32, 40), (1, 1), (0, 16)])
def test_sizes_off_the_stride_are_refused_with_a_remedy(net, size, bradcn):
    module = next(m for m in bradcn.modules() if type(m) is net)
    with pytest.raises(SizeError, match="multiples of 16: .*pad it to"):
        module(torch.zeros(1, 3, *size))


def test_grey_images_are_refused(bradcn):
    with pytest.raises(SizeError, match="N, 3, H, W"):
        bradcn(torch.zeros(1, 1, 32, 32))


def test_smallest_picture_works(bradcn):
    with torch.no_grad():
        assert bradcn(torch.rand(1, 3, 16, 16)).bokeh.isfinite().all()


def test_position_embedding_resizes_bilinearly_without_antialiasing(bradcn):
    encoder = bradcn.render_net.encoder
    assert position(encoder.pos_embed, MINI.pos_grid, (8, 12)) is encoder.pos_embed
    # Exact halving: without antialiasing the mean of 2x2 neighbours.
    half = position(encoder.pos_embed, MINI.pos_grid, (4, 6))
    grid = encoder.pos_embed[0, 1:].reshape(8, 12, -1)
    expected = grid.reshape(4, 2, 6, 2, -1).mean(dim=(1, 3)).reshape(24, -1)
    torch.testing.assert_close(half[0, 1:], expected)
    torch.testing.assert_close(half[:, :1], encoder.pos_embed[:, :1])


def test_reassemble_keeps_rows_and_columns_apart():
    block = Reassemble(embed_dim=8, features=4, downsample=1).eval()
    tokens = torch.randn(1, 1 + 3 * 5, 8)
    changed = tokens.clone()
    changed[0, 1 + 1 * 5 + 4] += 1  # the token of row 1, column 4
    with torch.no_grad():
        difference = (block(changed, (3, 5)) - block(tokens, (3, 5))).abs().sum(dim=1)[0]
    expected = torch.zeros(3, 5, dtype=torch.bool)
    expected[0:3, 3:5] = True  # the last 3x3 convolution spreads it by one
    assert torch.equal(difference > 1e-6, expected)


def test_fusion_block_equals_dpts_order():
    torch.manual_seed(0)
    block = FusionBlock(4)
    x, skip = torch.randn(2, 1, 4, 5, 6)
    with torch.no_grad():
        y = block.unit2(x + block.unit1(skip))
        y = block.out_conv(F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=True))
        torch.testing.assert_close(block(x, skip), y)


# --- weights on disk ---


def test_weights_round_trip(bradcn, tmp_path, image):
    path = tmp_path / "a" / "bradcn.safetensors"
    save_weights(bradcn, path, "mini", seed="7")
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    loaded = load_bradcn("mini", path)
    assert not loaded.training
    assert read_metadata(path)["seed"] == "7"
    with torch.no_grad():
        assert torch.equal(loaded(image).bokeh, bradcn(image).bokeh)


def test_half_weights_are_half_as_large_and_nearly_as_good(bradcn, tmp_path, image):
    save_weights(bradcn.adcn, tmp_path / "full.safetensors", "mini")
    save_weights(bradcn.adcn, tmp_path / "half.safetensors", "mini", half=True)
    sizes = [(tmp_path / f"{n}.safetensors").stat().st_size for n in ("half", "full")]
    assert sizes[0] < 0.51 * sizes[1]
    net = ADCN(MINI)
    load_weights(tmp_path / "half.safetensors", net, "mini")
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    with torch.no_grad():
        torch.testing.assert_close(net(image), bradcn.adcn(image), rtol=0, atol=0.01)


def test_weights_of_another_net_or_preset_are_refused(bradcn, tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(bradcn.adcn, path, "mini")
    with pytest.raises(WeightsError, match="holds a ADCN, not a DepthNet"):
        load_weights(path, DepthNet(MINI), "mini")
    with pytest.raises(WeightsError, match="preset 'mini', not 'paper'"):
        load_weights(path, ADCN(preset("paper").model), "paper")


def test_weights_of_other_shapes_leave_the_net_alone(bradcn, tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(bradcn.adcn, path, "mini")
    state = {k: v for k, v in bradcn.adcn.state_dict().items() if k != "out.bias"}
    save_file(state, path, read_metadata(path))
    net = ADCN(MINI)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with pytest.raises(WeightsError, match="names or shapes differ"):
        load_weights(path, net, "mini")
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def _damage(kind: str, path: Path, net) -> None:
    save_weights(net, path, "mini")
    whole = path.read_bytes()
    if kind == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("these are not weights\n" * 99)
    elif kind == "foreign":
        save_file({"x": torch.zeros(1)}, path)
    elif kind == "missing":
        path.unlink()
    elif kind == "folder":
        path.unlink()
        path.mkdir()


@pytest.mark.parametrize("kind", ["truncated", "empty", "text", "foreign", "missing", "folder"])
def test_damaged_files_give_one_line_that_names_the_file(kind, bradcn, tmp_path):
    path = tmp_path / "w.safetensors"
    _damage(kind, path, bradcn.adcn)
    with pytest.raises(WeightsError) as caught:
        load_weights(path, ADCN(MINI), "mini")
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_failed_save_keeps_the_old_file(bradcn, tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    save_weights(bradcn.adcn, path, "mini")
    before = path.read_bytes()

    def full_disk(*args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr("bradcn_nb.files.os.replace", full_disk)
    with pytest.raises(OSError, match="no space"):
        save_weights(bradcn.adcn, path, "mini", seed="8")
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1
