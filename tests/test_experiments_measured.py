"""How good ADCN's error map is, and the photograph with measured depth: the commands that measure
both.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from test_resume import write_ebb
from torch.utils.data import Dataset

from bradcn_nb.__main__ import main
from bradcn_nb.data import EBB, resize_nearest, resize_picture, to_tensor
from bradcn_nb.errors import WeightsError
from bradcn_nb.evaluation import error_maps as calibration
from bradcn_nb.evaluation.intervals import mean_interval
from bradcn_nb.evaluation.lpips import lpips_net
from bradcn_nb.evaluation.metrics import eight_bit
from bradcn_nb.experiments import errors, measure, motorcycle, pictures, pooled, table2, trained
from bradcn_nb.experiments.motorcycle import MeasuredPhoto
from bradcn_nb.experiments.record import write_result
from bradcn_nb.experiments.table1 import TABLE1
from bradcn_nb.experiments.table2 import TABLE2
from bradcn_nb.experiments.tables import Table
from bradcn_nb.experiments.trained import finished
from bradcn_nb.files import data_root
from bradcn_nb.models import BRADCN, load_bradcn, load_depth_net, save_weights
from bradcn_nb.models.bradcn import BRADCNOutput
from bradcn_nb.models.depth_error import depth_error
from bradcn_nb.presets import preset
from bradcn_nb.training.stages import sun_set

SIZE = (64, 96)
NUMBERS = (*range(6), 4400, 4401, 4402)  # six training pairs, three test pairs


@pytest.fixture
def runs(tmp_path):
    """A folder of runs with maps of noise; what ADCN says is right, up to 16 bits, where it is
    signed.
    """
    folder = tmp_path / "runs" / "data"
    write_ebb(folder / "mini-ebb", train=6, test=3)
    maps = folder / "maps"
    maps.mkdir()
    (maps / "ids.json").write_text(json.dumps(NUMBERS))
    (maps / "rooms-made-of.json").write_text("{}")
    rng = np.random.default_rng(0)
    shape = (len(NUMBERS), *SIZE)
    stacks = {name: rng.uniform(1, 3, shape) for name in ("true", "predicted", "rooms", "adcn")}
    stacks["true"][6:, :, 64:] = errors.REACH_M  # sky
    stacks["rooms"][:6] = stacks["true"][:6] + 0.5  # what the training pairs teach is 0.5 m
    stacks["rooms-signed"] = stacks["true"] - stacks["rooms"]
    stacks["rooms-absolute"] = np.abs(stacks["rooms-signed"])
    stacks["rooms-shuffled"] = np.roll(stacks["rooms-signed"], 1, 0)
    for name, values in stacks.items():
        np.save(maps / f"{name}.npy", values.astype(np.float16))
    return tmp_path / "runs"


@pytest.fixture
def own_data(tmp_path, monkeypatch):
    """Bundled weights and rooms, six pairs of noise, and a folder of results that is not the
    project's.
    """
    root = tmp_path / "data"
    write_ebb(root / "mini-ebb", train=6, test=3)
    for name in ("weights", "mini-sun"):
        (root / name).symlink_to(data_root() / name)
    monkeypatch.setenv("BRADCN_DATA", str(root))
    return root


@pytest.fixture
def noise():
    """Predicted and true errors of seven small pictures, with ties among them, and a mask."""
    rng = np.random.default_rng(1)
    predicted = rng.gamma(2, 0.5, (7, 5, 6))
    true = rng.gamma(1.0, predicted)
    return predicted, true, rng.random(predicted.shape) < 0.9


class FewRooms(Dataset):
    """The first four frames of a split, of whose left margin no depth is known."""

    def __init__(self, chosen, split, root):
        self.frames = sun_set(chosen, split, root)

    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index >= 4:
            raise IndexError
        item = self.frames[index]
        item["mask"][..., :9] = False
        return item


@pytest.mark.parametrize("digits", [1, 12])
def test_a_draw_equals_the_quality_of_repeated_pictures(noise, digits):
    """The oracle is `calibration.quality`, which sorts; with one digit there are many ties."""
    predicted, true, mask = (x.round(digits) if x.dtype != bool else x for x in noise)
    rng, ready = np.random.default_rng(2), pooled.Pooled(predicted, true, mask)
    for _ in range(50):
        times = rng.multinomial(7, np.full(7, 1 / 7))
        rows = np.repeat(np.arange(7), times)
        known = calibration.quality(predicted[rows], true[rows], mask[rows])
        np.testing.assert_allclose(ready.quality(times), known, atol=1e-12)
    flat = pooled.Pooled(np.full_like(true, 0.7), true, mask)
    known = calibration.quality(np.full_like(true, 0.7), true, mask)
    np.testing.assert_allclose(flat.quality(np.ones(7, int)), known, atol=1e-12)


def test_intervals_are_those_of_pictures_and_differences_are_paired():
    rng = np.random.default_rng(3)
    true = rng.gamma(2, 0.5, (40, 4, 5))
    own = true + rng.normal(0, 0.2, (40, 1, 1)) + rng.normal(0, 0.1, true.shape)
    other = own + np.where(own > true, 0.05, -0.05)  # always 0.05 m farther off
    everywhere = np.ones(true.shape, bool)
    found, differences = pooled.judged({"a": own, "b": other}, true, everywhere, "a", False)
    known = mean_interval(np.abs(own - true).mean((1, 2)))
    mae = found["a"]["mae"]
    assert mae["value"] == pytest.approx(known.mean, abs=1e-5)
    assert (mae["low"], mae["high"]) == pytest.approx((known.low, known.high), abs=0.01)
    apart = differences["a - b"]["mae"]
    assert list(apart.values()) == pytest.approx([-0.05] * 3, abs=2e-5)
    assert mae["high"] - mae["low"] > 0.02
    again, _ = pooled.judged({"a": own, "b": other}, true, everywhere, "a", False)
    assert again == found


def test_rooms_are_labelled_as_in_stage_1(monkeypatch):
    monkeypatch.setattr(errors, "sun_set", FewRooms)
    model, chosen = load_bradcn(), preset("mini")
    some = errors.in_rooms(model, progress=False)
    assert some.true.shape == some.mask.shape == (4, *SIZE)
    train, test = (FewRooms(chosen, split, None) for split in ("train", "test"))
    image, depth, mask = (
        torch.stack([item[key] for item in test]) for key in ("image", "depth", "mask")
    )
    with torch.no_grad():
        label, _ = depth_error(load_depth_net()(image), depth, mask)
        np.testing.assert_allclose(some.adcn, model.adcn(image)[:, 0], atol=1e-5)
        of_train = [
            depth_error(
                load_depth_net()(item["image"][None]), item["depth"][None], item["mask"][None]
            )
            for item in train
        ]
    assert np.array_equal(some.mask, mask[:, 0]) and not mask.all()
    np.testing.assert_allclose(some.true[some.mask], label[mask], atol=1e-4)
    taught = torch.cat([error[known] for error, known in of_train])
    assert some.taught == pytest.approx((float(taught.mean()), float(taught.median())), abs=1e-4)


def test_errors_command(runs, own_data, monkeypatch, capsys):
    monkeypatch.setattr(errors, "sun_set", FewRooms)
    monkeypatch.setattr(pooled, "DRAWS", 20)
    assert main(["experiments", "errors", "--runs", str(runs), "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    found = json.loads((own_data / "results" / "errors.json").read_text())
    assert [one["pictures"] for one in found["sets"].values()] == [4, 3, 3, 3, 3]
    outdoor, taught = found["sets"]["outdoor"], found["sets"]["outdoor-taught"]
    assert outdoor["constants"] == found["sets"]["rooms"]["constants"]
    assert taught["constants"] == pytest.approx({"mean": 0.5, "median": 0.5}, abs=1e-3)
    whole, near = outdoor, found["sets"]["outdoor-within-reach"]
    assert (whole["pixels"], near["pixels"]) == (3 * 64 * 96, 2 * 64 * 96)
    # Noise says nothing of noise; the other ADCN was given the answer.
    assert abs(outdoor["measures"]["adcn"]["spearman"]["value"]) < 0.05
    assert taught["measures"]["adcn"]["spearman"]["value"] > 0.99
    assert taught["differences"]["adcn - mean"]["mae"]["high"] < 0
    for some in found["sets"].values():
        assert some["measures"]["depth"].keys() == {"spearman", "ause", "aurg"}
        assert some["measures"]["mean"]["aurg"]["value"] == 0
        curve, lines = some["calibration"], some["sparsification"]
        assert sum(curve["count"]) == some["pixels"] and len(curve["true"]) == 10
        assert {len(line) for line in lines.values()} == {20}
        assert lines["removed"][1] == 0.05 and lines["adcn"][0] == lines["oracle"][0] == 1
    whole, correction = found["correction"], found["correction-within-reach"]
    assert whole["depths"]["rooms"]["m"]["mean"] > correction["depths"]["rooms"]["m"]["mean"] + 0.5
    off = {name: both["m"]["mean"] for name, both in correction["depths"].items()}
    assert off["corrected"] < 0.002 < 0.3 < min(off[k] for k in ("rooms", "shifted", "shuffled"))
    maps = runs / "data" / "maps"
    rooms, true = (
        np.load(maps / f"{name}.npy")[6:, :, :64].astype(float) for name in ("rooms", "true")
    )
    assert off["shifted"] == pytest.approx(np.abs(rooms - 0.5 - true).mean(), abs=1e-3)
    dioptres = correction["depths"]["rooms"]["dioptre"]["mean"]
    assert dioptres == pytest.approx(np.abs(1 / rooms - 1 / true).mean(), abs=1e-3)
    assert correction["differences"]["corrected - rooms"]["m"]["high"] < 0


def test_errors_without_maps_is_one_line(tmp_path, capsys):
    assert main(["experiments", "errors", "--runs", str(tmp_path)]) == 2
    assert "make it with `make" in capsys.readouterr().err
    write_ebb(tmp_path / "data" / "mini-ebb", train=1, test=1)
    assert main(["experiments", "errors", "--runs", str(tmp_path)]) == 2
    assert "make it with `python -m bradcn_nb experiments maps`" in capsys.readouterr().err


def leave(runs: Path, table: Table, arm: str, seed: int) -> None:
    """Write what a finished training leaves, with random weights."""
    chosen = table.preset_of(arm, seed)
    torch.manual_seed(seed)
    net = BRADCN(chosen.model)
    folder = runs / table.name / arm / f"seed-{seed}"
    save_weights(net, folder / "stage2b" / "bradcn.safetensors", "mini")
    (folder / "record.json").write_text("{}")


def test_only_finished_trainings_count(tmp_path):
    for seed in (10, 2):
        leave(tmp_path, TABLE1, "bradcn", seed)
    (tmp_path / "table1" / "bradcn" / "seed-3" / "stage2b").mkdir(parents=True)
    identity = tmp_path / "table1" / "identity" / "seed-0"
    identity.mkdir(parents=True)
    (identity / "record.json").write_text("{}")
    leave(tmp_path, TABLE2, "full", 0)  # none of the arms that are asked
    found = [(one.arm, one.seed) for one in finished(TABLE1, tmp_path, TABLE1.titles)]
    assert found == [("bradcn", 2), ("bradcn", 10)]
    assert not list(finished(TABLE2, tmp_path, motorcycle.TABLE2_ARMS))
    assert not list(finished(TABLE1, tmp_path / "nothing", TABLE1.titles))


@pytest.fixture
def photo():
    """A picture of noise behind a slanted plane, 1 to 5 m, with a hole in its depth."""
    rng = np.random.default_rng(5)
    image = np.repeat(np.repeat(rng.random((16, 24, 3), np.float32), 8, 0), 8, 1)
    depth = np.tile(np.linspace(1, 5, 192, dtype=np.float32), (128, 1))
    known = np.ones(depth.shape, bool)
    known[40:60, 50:80] = False
    return MeasuredPhoto(image, np.where(known, depth, 0), known)


def test_nets_are_given_the_maps_of_their_arm(tmp_path, photo, monkeypatch):
    for arm in ("render", "depth", "true-depth"):
        leave(tmp_path, TABLE2, arm, 0)
    leave(tmp_path, TABLE1, "bradcn", 0)
    given = []

    class Listener(torch.nn.Module):
        def forward(self, image, **maps):
            given.append((image, maps))
            return BRADCNOutput(image, None, None)

    monkeypatch.setattr(trained, "make_net", lambda *_: Listener())
    nets = [*finished(TABLE1, tmp_path, TABLE1.titles)]
    nets += finished(TABLE2, tmp_path, motorcycle.TABLE2_ARMS)
    image, model = eight_bit(photo.image), load_bradcn()
    found = {one.method: one for one in motorcycle.drawn(model, nets, photo, image, quiet=True)}
    small = to_tensor(resize_picture(image, SIZE))[None]
    assert len(given) == 4 and all(torch.equal(small, seen) for seen, _ in given)
    (_, bradcn), (_, render), (_, depth), (_, true_depth) = given
    assert not render
    with torch.no_grad():
        assert torch.equal(bradcn.pop("depth_error"), model.adcn(small)) and not bradcn
        assert torch.equal(depth.pop("depth"), load_depth_net()(small)) and not depth
    measured, known = (resize_nearest(x, SIZE) for x in (photo.depth, photo.known))
    told = true_depth.pop("depth")[0, 0].numpy()
    assert not known.all() and not true_depth
    assert np.array_equal(told[known], measured[known]) and (told[~known] > 1).all()
    assert found["table2/depth"].seed == 0 and found["input"].seed is None
    assert np.array_equal(found["input"].picture, image)
    assert np.array_equal(found["reference_half"].picture, found["table2/depth"].picture)


def test_motorcycle_command(tmp_path, own_data, photo, monkeypatch, capsys):
    try:
        lpips_net("alex")
    except WeightsError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(motorcycle, "motorcycle", lambda: photo)
    runs = tmp_path / "runs"
    assert main(["experiments", "motorcycle", "--runs", str(runs), "--quiet"]) == 2
    assert "no trained nets to draw with, so motorcycle stays" in capsys.readouterr().err
    assert not (own_data / "results" / "motorcycle.json").exists()
    for seed in (0, 1):
        leave(runs, TABLE2, "true-depth", seed)
    assert main(["experiments", "motorcycle", "--runs", str(runs), "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    found = json.loads((own_data / "results" / "motorcycle.json").read_text())
    oracle = found["methods"]["table2/true-depth"]
    assert oracle["seeds"] == [0, 1] and oracle["title"] == table2.ARMS["true-depth"].title
    assert oracle["psnr"] == pytest.approx(np.mean(oracle["by_seed"]["psnr"]))
    assert oracle["by_seed"]["psnr"][0] != oracle["by_seed"]["psnr"][1]
    assert {"table1/identity", "table1/blur", "table1/classical"} < found["methods"].keys()
    assert "table1/bradcn" not in found["methods"]
    # Already at mini-EBB's size, so both ways of judging agree.
    for row in found["methods"].values():
        assert row["small_psnr"] == row["psnr"] and row["small_lpips"] == row["lpips"]
        assert row["small_psnr_by_aperture"][0] == row["psnr"]
    unchanged = found["methods"]["input"]["small_psnr_by_aperture"]
    assert unchanged == sorted(unchanged, reverse=True)  # a wider aperture blurs more
    assert 1 < found["focus_m"]["reference"] < 3
    with Image.open(own_data / "results" / "motorcycle.jpg") as picture:
        assert picture.format == "JPEG" and picture.width > 1000


def test_pictures_show_the_best_the_middle_and_the_worst(tmp_path, own_data, capsys):
    assert main(["experiments", "table1-pictures", "--runs", str(tmp_path), "--quiet"]) == 2
    assert "run `python -m bradcn_nb experiments table1 --arms" in capsys.readouterr().err
    numbers = [pair[0] for pair in EBB(own_data / "mini-ebb", "test").pairs]
    records = {}
    for seed, luck in ((0, 0.0), (1, 5.0)):
        psnr = np.full(len(numbers), 25.0) + luck
        rival = psnr + np.array([2, 0, 1])
        for arm, values in ((pictures.OURS, psnr), (pictures.RIVAL, rival)):
            records[f"{arm}/{seed}"] = {"arm": arm, "id": numbers, "psnr": values.tolist()}
    write_result("table1-images", records)
    assert main(["experiments", "table1-pictures", "--runs", str(tmp_path), "--quiet"]) == 2
    assert "no trained nets" in capsys.readouterr().err
    assert not (own_data / "results" / "table1-pictures.jpg").exists()
    leave(tmp_path, TABLE1, "bradcn", 1)  # another seed's net is not shown
    assert main(["experiments", "table1-pictures", "--runs", str(tmp_path), "--quiet"]) == 2
    leave(tmp_path, TABLE1, "bradcn", 0)
    assert main(["experiments", "table1-pictures", "--runs", str(tmp_path), "--quiet"]) == 0
    found = json.loads((own_data / "results" / "table1-pictures.json").read_text())
    assert found["pairs"] == [numbers[1], numbers[2], numbers[0]]
    assert list(found["psnr"]) == ["bradcn"] and len(found["psnr"]["bradcn"]) == 3
    with Image.open(own_data / "results" / "table1-pictures.jpg") as picture:
        assert picture.format == "JPEG" and picture.width > 1000


def test_real_pairs_are_judged_beside_what_is_simpler(tmp_path):
    """A pair whose truth is its own blur: that Gaussian wins, and by far."""
    root, rng = tmp_path / "ebb", np.random.default_rng(0)
    for folder in ("original", "bokeh"):
        (root / folder).mkdir(parents=True)
    sharp = rng.integers(0, 256, (64, 96, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    Image.fromarray(sharp).save(root / "original" / "0.png")
    blurred = cv2.GaussianBlur(sharp, (0, 0), 8 * sharp.shape[1] / 1000)
    Image.fromarray(blurred).save(root / "bokeh" / "0.png")
    values = measure.real(load_bradcn(), SimpleNamespace(ebb=root, quiet=True, runs=tmp_path))
    whole = {key: value for key, value in values.items() if key.startswith("psnr")}
    assert max(whole, key=whole.get) == "psnr_blur_8" and values["n"] == 1
    assert len(whole) == 4 + len(measure.BLURS) == len(values["images"]["0"]) // 3
    assert whole["psnr_input"] < whole["psnr_blur_4"] < whole["psnr_blur_8"]
