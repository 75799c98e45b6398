"""What a pair tells about blur (ledger "pairs-defocus"): labels, net, lens, the remedy's run."""

import dataclasses
import json
import shutil

import cv2
import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from test_resume import write_ebb

from bradcn_nb.__main__ import main
from bradcn_nb.data import EBB, DefocusPairs, MapStack
from bradcn_nb.data.bundle import EBB_SEED, EBB_SIZE
from bradcn_nb.data.maps import UNKNOWN
from bradcn_nb.errors import BradcnError, SizeError, WeightsError
from bradcn_nb.evaluation.lpips import lpips_net
from bradcn_nb.experiments import (
    catalogue,
    defocus,
    defocus_quality,
    lens_picture,
    maps,
    remedy,
    table1,
    table2,
    variants,
)
from bradcn_nb.experiments.record import result, weights_path
from bradcn_nb.files import data_root
from bradcn_nb.lens.by_depth import disc_kernel
from bradcn_nb.lens.defocus import defocus_map, draw_defocus, matching_radius
from bradcn_nb.lens.thin_lens import linear_to_srgb, resize, srgb_to_linear
from bradcn_nb.models import BRADCN, save_weights
from bradcn_nb.models.blocks import smoothed
from bradcn_nb.models.defocus_net import DefocusNet
from bradcn_nb.presets import preset
from bradcn_nb.scenes import outdoor_scene
from bradcn_nb.training.stages import Sources, check_data, compare, datasets, terms

MINI, SIZE = preset("mini"), (64, 96)
PAIRS = variants.with_pairs(MINI)
RADIUS = 5.0  # pixels of 128 rows, 3.9 % of the height


@pytest.fixture(scope="module")
def pair():
    """Noise of 128x192, and the same with its right half blurred by discs of RADIUS."""
    rng = np.random.default_rng(0)
    sharp = cv2.GaussianBlur(rng.random((128, 192, 3), np.float32), (0, 0), 0.7)
    sharp[:32] = 0.5  # a plain wall at the top: no disc changes it
    blurred = linear_to_srgb(cv2.filter2D(srgb_to_linear(sharp), -1, disc_kernel(RADIUS)))
    return sharp, np.where(np.arange(192)[None, :, None] < 96, sharp, blurred)


@pytest.mark.parametrize("gain", [0.8, 1.0])
def test_a_pair_tells_the_radius_of_its_discs_however_it_is_exposed(pair, gain):
    sharp, blurred = pair
    blurred = linear_to_srgb(gain * srgb_to_linear(blurred)).astype(np.float32)
    radius, known = defocus_map(sharp, blurred)
    assert radius.shape == known.shape == (64, 96)
    left, right = np.s_[24:60, 4:40], np.s_[24:60, 56:92]
    assert np.median(radius[left]) == 0
    np.testing.assert_allclose(np.median(radius[right]), 100 * RADIUS / 128, rtol=0.08)
    assert known[left].mean() > 0.9 and known[right].mean() > 0.9


def test_where_every_disc_fits_nothing_is_told(pair):
    _, known = defocus_map(*pair)
    assert not known[:10].any()


def test_a_pair_of_two_sizes_is_refused(pair):
    with pytest.raises(SizeError, match="one size"):
        defocus_map(pair[0], pair[1][:64])


def test_what_is_drawn_by_a_map_is_read_off_again(pair):
    sharp, _ = pair
    radius = np.where(np.arange(192) < 96, 0, 3).astype(np.float32) * np.ones((128, 1), np.float32)
    drawn = draw_defocus(sharp, radius)
    np.testing.assert_array_equal(drawn[:, :80], sharp[:, :80])
    again = matching_radius(sharp, cv2.resize(drawn, (96, 64), interpolation=cv2.INTER_AREA))
    np.testing.assert_allclose(np.median(again[24:60, 56:92]) / 0.64, 3, rtol=0.15)


def test_labels_of_generated_pairs_are_near_the_scenes_own():
    """What the chapter says of them: half a % of the height, in the same order."""
    pairs = DefocusPairs(data_root() / "mini-ebb", "test", SIZE, truth_scale=2)
    chosen = range(0, 80, 10)
    labels = np.stack([pairs.read(index)["defocus"][0] for index in chosen])
    scenes = (defocus.true_defocus(pairs.pairs[index][0]) for index in chosen)
    truth = np.stack([resize(scene, SIZE) for scene in scenes])
    told = labels != UNKNOWN
    assert 0.6 < told.mean() < 0.9
    assert np.abs(labels - truth)[told].mean() < 0.5
    assert spearmanr(labels[told], truth[told])[0] > 0.85


def test_the_true_radius_is_that_of_the_scenes_lens():
    scene = outdoor_scene(EBB_SEED + 3)
    _, _, depth = scene.pair(*EBB_SIZE, samples=4)
    focus, focal = scene.focus_m, scene.camera.focal_mm / 1000
    diameter = (
        focal / scene.camera.f_number * focal * abs(depth - focus) / (depth * (focus - focal))
    )
    percent = 50 * diameter / (scene.camera.sensor_height_mm / 1000)
    np.testing.assert_allclose(defocus.true_defocus(3), percent, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Six training and two test pairs of noise in EBB!'s layout."""
    root = tmp_path_factory.mktemp("data")
    write_ebb(root / "mini-ebb", train=6, test=2)
    return root


def test_items_hold_the_pairs_defocus_at_the_pictures_size(data, tmp_path):
    plain = DefocusPairs(data / "mini-ebb", "train", SIZE, truth_scale=2)
    item = plain.read(1)
    own = EBB(data / "mini-ebb", "train", SIZE).read(1)
    assert set(item) == {"image", "defocus", "mask", "id"}
    assert item["image"].shape == (*SIZE, 3) and item["defocus"].shape == (1, *SIZE)
    assert np.abs(item["image"].astype(int) - own["image"]).max() <= 1
    np.testing.assert_array_equal(item["mask"], item["defocus"] != UNKNOWN)
    (tmp_path / "ids.json").write_text(json.dumps([*range(6)]))
    given = np.random.default_rng(0).uniform(0, 4, (6, *SIZE)).astype(np.float16)
    given[:, :9] = UNKNOWN
    np.save(tmp_path / "own.npy", given)
    told = DefocusPairs(
        data / "mini-ebb", "train", SIZE, tmp_path, (None, None, "own"), flip=True, seed=1
    )
    for index in range(6):
        item, row = told[index], torch.from_numpy(given[index].astype(np.float32))
        assert any(torch.equal(item["defocus"][0], x) for x in (row, row.flip(-1)))
        assert not item["mask"][0, :9].any() and item["mask"][0, 9:].all()


def test_it_predicts_radii_from_picture_and_depth():
    torch.manual_seed(0)
    net = DefocusNet(MINI.model).eval()
    image, depth = torch.rand(2, 3, *SIZE), torch.rand(2, 1, *SIZE) + 1
    with torch.no_grad():
        radius = net(image, depth)
        assert radius.shape == depth.shape and (radius > 0).all()
        assert not torch.allclose(radius, net(image, depth + 1))
    with pytest.raises(SizeError):
        net(image[..., :50], depth[..., :50])


def test_stage_1_learns_from_pairs_alone_and_only_where_they_tell(data):
    stage = PAIRS.stage("stage1")
    assert stage.calibrates and stage.data == "pairs"
    train, check = datasets(PAIRS, stage, Sources(ebb=data / "mini-ebb"), None)
    assert len(train) == 6 and len(check) == 16
    batch = torch.utils.data.default_collate([train[0], train[1]])
    torch.manual_seed(0)
    net = variants.build(PAIRS.model).eval()
    prediction, label, mask = compare(stage, net, batch)
    assert torch.equal(label, batch["defocus"]) and mask is batch["mask"]
    assert terms(stage, batch) == int(batch["mask"].sum())
    assert torch.equal(prediction, net.adcn(batch["image"], net.depth_net(batch["image"])))
    check_data(PAIRS, [stage], {})


def test_the_lens_picture_takes_the_inputs_place_and_gradients_reach_the_rest():
    torch.manual_seed(0)
    image, radius = torch.rand(2, 3, *SIZE), torch.full((2, 1, *SIZE), 3.0)
    nets = {
        use: variants.build(variants.vary(PAIRS.model, error_use=use)) for use in ("add", "lens")
    }
    nets["lens"].load_state_dict(nets["add"].state_dict())
    drawn = {use: net(image, depth_error=radius).bokeh for use, net in nets.items()}
    lens = lens_picture.lens_pictures(image, radius)
    by_hand = draw_defocus(image[1].permute(1, 2, 0).numpy(), radius[1, 0].numpy())
    np.testing.assert_array_equal(lens[1].permute(1, 2, 0).numpy(), by_hand)
    # The nets start near what they mix in.
    off = {use: float((drawn[use] - lens).abs().mean().detach()) for use in nets}
    assert off["lens"] < 0.5 * off["add"]
    drawn["lens"].mean().backward()
    assert all(weight.grad is not None for weight in nets["lens"].error_branch.parameters())
    no_lens = nets["lens"].mixed_in(image, None)
    assert no_lens is image


@pytest.mark.parametrize(("use", "kind"), [("lens", "absolute"), ("gate", "defocus")])
def test_what_nobody_has_thought_through_is_refused(use, kind):
    with pytest.raises(BradcnError, match=f"no net for an error that is {kind}"):
        variants.build(variants.vary(MINI.model, error_use=use, error_kind=kind))


def test_a_command_trains_it_and_its_weights_render(tmp_path, capsys):
    run = tmp_path / "run"
    depth = ["--depth", str(weights_path("depth"))]
    trial = ["--max-steps", "2", "--quiet", "--threads", "1"]
    assert main(["train", "--calibration", "pairs", "--run", str(run), *depth, *trial]) == 0
    file = run / "bradcn.safetensors"
    net = variants.load("mini", file)
    assert isinstance(net, variants.ResidualBRADCN)
    photo = next((data_root() / "mini-ebb" / "original").iterdir())
    out = tmp_path / "out.png"
    assert main(["render", str(photo), "-o", str(out), "--weights", str(file)]) == 0
    assert out.is_file()
    both = ["train", "--calibration", "pairs", "--signed-error", "--run", str(tmp_path / "x")]
    assert main([*both, *depth]) == 2 and "not both" in capsys.readouterr().err
    with pytest.raises(WeightsError):  # a Render Net that mixes nothing in
        bare = BRADCN(dataclasses.replace(MINI.model, skip=False)).render_net
        save_weights(bare, tmp_path / "bare.safetensors", "mini")
        from bradcn_nb.training import train_all

        init = {"depth": weights_path("depth"), "render": tmp_path / "bare.safetensors"}
        train_all(PAIRS, tmp_path / "y", init=init, build=variants.build, progress=False)


@pytest.mark.parametrize("name", ["mini", "paper"])
def test_every_preset_can_be_calibrated_by_pairs(name):
    chosen = variants.with_pairs(preset(name))
    assert chosen.model.skip and chosen.model.error_kind == "defocus"
    assert {stage.data for stage in chosen.stages} <= {"scenes", "pairs", "ebb"}
    for stage in chosen.stages:
        if stage.data == "ebb":
            assert stage.frozen == ("adcn", "depth_net")


def test_arms_and_tests_are_those_that_were_written_down():
    named = {name for pair in remedy.COMPARISONS for name in pair}
    own = {*remedy.LENS, *remedy.ARMS}
    others = {arm for arms in remedy.BESIDE.values() for arm in arms}
    assert {*remedy.ARMS} <= named <= own | others
    known = {*table1.TITLES, *table2.ARMS}
    assert others <= known
    for goal in remedy.COMPARISONS[:5]:
        assert " - ".join(f"`{arm}`" for arm in goal) in remedy.__doc__
    for arm in remedy.ARMS:
        chosen = remedy.arm_preset(arm, 1)
        same = {"frozen": (), "given": ()}
        theirs = table2.arm_preset("full", 1)
        for ours, stage in zip(chosen.stages, theirs.stages, strict=True):
            assert dataclasses.replace(ours, **same) == dataclasses.replace(stage, **same)
        assert variants.build(chosen.model)


def test_pictures_are_chosen_by_a_rule_and_files_say_what_came_out():
    gains = {0: [3.0, -2.0, 0.5, 0.0], 1: [1.0, -1.0, 0.5, 0.2]}
    records = {
        f"{arm}/{seed}": {"arm": arm, "seed": seed, "psnr": values}
        for seed, own in gains.items()
        for arm, values in (("corrected", own), (defocus_quality.RIVAL, [0.0] * 4))
    }
    assert defocus_quality.chosen_pairs(records) == [0, 2, 1]
    # What README and ledger say in words.
    ranks = {name: result(f"defocus.maps.{name}.spearman") for name in ("defocus", "adcn")}
    assert ranks["defocus"]["low"] > ranks["adcn"]["high"]
    assert set(result("remedy.differences.corrected - lens.psnr").values()) == {0}
    assert result("remedy.differences.corrected - dmshn-skip.psnr.high") < 0
    real = result("real")
    assert real["psnr_calibrated"] <= real["psnr"] < real["psnr_blur_4"]


def test_training_pairs_get_maps_of_nets_that_have_not_seen_them(data, tmp_path, monkeypatch):
    """The whole of `remedy` on eight pairs of noise: maps, lens, arms, and nothing twice."""
    try:
        lpips_net("alex")
    except WeightsError as error:
        pytest.skip(str(error))
    parameters = result("table2.arms.full.parameters")
    shutil.copytree(data, tmp_path / "data")
    shutil.copytree(data_root() / "weights", tmp_path / "root" / "weights")
    (tmp_path / "root" / "results").mkdir()
    monkeypatch.setenv("BRADCN_DATA", str(tmp_path / "root"))
    monkeypatch.setattr(defocus, "true_defocus", lambda number: np.full(EBB_SIZE, 2.0, np.float32))
    monkeypatch.setattr(
        maps, "true_depth", lambda number, reach: np.full(EBB_SIZE, 2.0, np.float32)
    )
    seen: dict[str, set[int]] = {}
    real_train = defocus.train

    def train(*args, **options):
        pairs = EBB(options["data"]["ebb"], "train").pairs
        seen[args[2].name] = {number for number, _, _ in pairs}
        return real_train(*args, **options)

    monkeypatch.setattr(defocus, "train", train)
    run = (tmp_path / "data", tmp_path / "runs", ["corrected", "corrected-dmshn"], 1, 1, False)
    path = remedy.remedy(*run)
    assert seen == {"fold-0": {1, 3, 5}, "fold-1": {0, 2, 4}, "fold-whole": {*range(6)}}
    found = json.loads(path.read_text())
    assert set(found["arms"]) == {*remedy.LENS, "corrected", "corrected-dmshn"}
    assert found["arms"]["corrected"]["parameters"] == parameters
    assert list(found["differences"]) == []  # with one seed there are none
    own, shuffled = (
        MapStack(tmp_path / "data" / "maps", f"{n}-0") for n in ("defocus", "shuffled")
    )
    assert np.array_equal(shuffled[4400], own[4401]) and not np.array_equal(own[4400], own[4401])
    records = path.with_name("remedy-images.json")
    before = records.read_bytes()
    remedy.remedy(*run)
    assert records.read_bytes() == before
    assert catalogue.TABLES["remedy"] is remedy.REMEDY


@pytest.mark.parametrize("use", ["residual", "residual-dmshn"])
def test_a_net_that_adds_starts_at_the_lens_picture_and_no_channel_of_it_saturates(use):
    torch.manual_seed(0)
    net = variants.build(variants.vary(PAIRS.model, error_use=use, error_kind="defocus"))
    image, depth = torch.rand(2, 3, 32, 48), torch.full((2, 1, 32, 48), 2.0)
    radius = torch.full((2, 1, 32, 48), 3.0)
    bokeh = net(image, depth, radius).bokeh
    lens = lens_picture.lens_pictures(image, radius)
    assert (bokeh - lens).abs().mean() < 0.1 * (image - lens).abs().mean()
    bokeh.sum().backward()
    last = net.dmshn.decoders[0][-1] if use.endswith("dmshn") else net.render_net.decoder.head[-1]
    assert (last.bias.grad.abs() > 0).all() and len(last.bias) == lens_picture.ADDED


def test_adding_reaches_the_photograph_and_the_smoothed_picture():
    image, lens = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16)
    drawn = torch.zeros(1, lens_picture.ADDED, 16, 16)
    drawn[:, 3] = 1
    assert torch.allclose(lens_picture.add_to_lens(lens, image, drawn, 5), image)
    drawn[:, 3:] = torch.tensor([0.0, 1.0])[:, None, None]
    assert torch.allclose(lens_picture.add_to_lens(lens, image, drawn, 5), smoothed(lens, 5))
    drawn[:, 4], drawn[:, 0] = 0, 0.25
    added = lens_picture.add_to_lens(lens, image, drawn, 5) - lens
    assert torch.allclose(added[:, 0], torch.tensor(0.25)) and not added[:, 1:].any()
