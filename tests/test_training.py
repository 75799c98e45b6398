"""The training loop: schedules, order, what a run leaves behind, and how it refuses to go on."""

import csv
import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image
from test_resume import SIZE, tensors, tiny_preset, write_ebb, write_nets

from bradcn_nb.data import encode_depth
from bradcn_nb.errors import DataError, RunError
from bradcn_nb.evaluation.metrics import to_uint8, val294
from bradcn_nb.models import BRADCN, DepthNet, load_weights, read_metadata
from bradcn_nb.presets import preset
from bradcn_nb.training import fit, loop, stages, train, train_all


class FakeScenes(torch.utils.data.Dataset):
    """Random pictures and depths in the shape of `Scenes`, since real ones take longer to draw."""

    def __init__(self, n, first_seed, size):
        self.n, self.first_seed, self.size, self.epoch = n, first_seed, size, 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def fill(self, threads):
        pass

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        seed = self.first_seed + self.epoch * self.n + index
        draw = torch.Generator().manual_seed(seed)
        depth = 1 + 20 * torch.rand(1, *self.size, generator=draw)
        image = torch.rand(3, *self.size, generator=draw)
        return {"image": image, "depth": depth, "mask": depth < 19, "id": str(seed)}


def write_sun(root, frames=9, holes=False):
    """Write random frames in SUN RGB-D's layout and encoding; with `holes`, each lacks more
    depth."""
    rng = np.random.default_rng(1)
    for number in range(frames):
        for name in ("image", "depth_bfx"):
            folder = root / "kv1" / f"frame{number}" / name
            folder.mkdir(parents=True)
            if name == "image":
                Image.fromarray(rng.integers(0, 256, (*SIZE, 3), np.uint8)).save(folder / "0.png")
            else:
                depth = rng.uniform(0.5, 7, SIZE).astype(np.float32)
                depth[: number * holes] = 0  # missing
                Image.fromarray(encode_depth(depth)).save(folder / "0.png")
    return root


@pytest.fixture
def folders(tmp_path):
    return {"ebb": write_ebb(tmp_path / "ebb", 6, 2), "sun": write_sun(tmp_path / "sun")}


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_learning_rate():
    cosine, constant = preset("mini").stage("stage0"), preset("paper").stage("stage1")
    assert loop.learning_rate(cosine, 0, 100) == pytest.approx(5e-4)
    assert loop.learning_rate(cosine, 50, 100) == pytest.approx(5e-4 * 0.505)
    assert loop.learning_rate(cosine, 99, 100) < 5e-4 * 0.011
    assert {loop.learning_rate(constant, step, 9) for step in range(9)} == {1e-4}
    with pytest.raises(RunError, match="unknown schedule 'linear'; choose one of constant, cosine"):
        loop.learning_rate(dataclasses.replace(constant, schedule="linear"), 0, 9)


def test_order_depends_on_seed_and_epoch_only():
    whole = list(loop.EpochBatches(10, 10, 4, seed=3, epoch=1))
    assert sorted(item for batch in whole for item in batch) == list(range(10))
    assert [len(batch) for batch in whole] == [4, 4, 2]
    assert list(loop.EpochBatches(10, 10, 4, seed=3, epoch=1, start=1)) == whole[1:]
    assert list(loop.EpochBatches(10, 10, 4, seed=3, epoch=2)) != whole
    assert list(loop.EpochBatches(10, 10, 4, seed=4, epoch=1)) != whole


def test_all_stages_in_order(tmp_path, folders, monkeypatch):
    monkeypatch.setattr(stages, "Scenes", FakeScenes)
    tiny, run = tiny_preset(epochs=1), tmp_path / "run"
    options = {"data": folders, "threads": 1, "progress": False}
    final = train_all(tiny, run, **options)
    assert final == run / "bradcn.safetensors"
    about = read_metadata(final)
    assert about["preset"] == "mini" and about["stage"] == "stage2b" and about["seed"] == "0"
    config = json.loads(about["config"])
    assert config["preset"]["stages"][0]["name"] == "stage0" and config["items"] == 6
    assert len(about["log_sha256"]) == 64 and json.loads(about["versions"])["torch"]
    assert about["commit"]

    model = BRADCN(tiny.model)
    load_weights(final, model, "mini")
    adcn = dict(model.adcn.state_dict())
    load_weights(run / "stage1" / "adcn.safetensors", model.adcn, "mini")
    for name, tensor in model.adcn.state_dict().items():  # frozen in both halves of stage 2
        assert torch.equal(tensor, adcn[name]), name
    fine_tuned = model.depth_net.decoder.head[-1].weight.clone()
    load_weights(run / "stage0" / "depth.safetensors", model.depth_net, "mini")
    assert not torch.equal(fine_tuned, model.depth_net.decoder.head[-1].weight)

    for stage in tiny.stages:
        log = rows(run / stage.name / "log.csv")
        assert np.isfinite([float(row["loss"]) for row in log]).all()
        assert float(log[-1]["check"]) > 0
        width = SIZE[1] * (tiny.data.truth_scale if stage.net == "bradcn" else 1)
        with Image.open(run / stage.name / "samples" / "epoch-001.png") as strip:
            assert strip.size[0] % (width + 2) == width
    times = {file: file.stat().st_mtime_ns for file in run.glob("stage*/*.safetensors")}
    assert train_all(tiny, run, **options) == final  # finished stages are skipped
    assert {file: file.stat().st_mtime_ns for file in run.glob("stage*/*.safetensors")} == times


def test_every_epoch_trains_on_its_own_items(tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "Scenes", FakeScenes)
    seen, compare = [], fit.compare

    def noted(stage, net, batch):
        if net.training:
            seen.extend(int(name) for name in batch["id"])
        return compare(stage, net, batch)

    monkeypatch.setattr(fit, "compare", noted)
    train(tiny_preset(epochs=2), "stage0", tmp_path / "run", threads=1, progress=False)
    first = stages.STAGE0_FIRST_SEED
    assert sorted(seen) == list(range(first, first + 2 * 8))  # two epochs of 8 new scenes each


def test_worker_processes_change_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "Scenes", FakeScenes)
    tiny = tiny_preset()
    options = {"threads": 1, "progress": False, "max_steps": 2}
    alone = train(tiny, "stage0", tmp_path / "alone", **options)
    helped = train(tiny, "stage0", tmp_path / "helped", num_workers=1, **options)
    assert tensors(alone) == tensors(helped)


def test_inverse_depth_of_stage0():
    stage = preset("mini").stage("stage0")
    depth = torch.tensor([[[[2.0, 100.0, 0.0]]]])  # the last one is sky
    batch = {"image": depth, "depth": depth, "mask": torch.tensor([[[[True, True, False]]]])}

    class Net(torch.nn.Module):
        shift = 0.1378

        def forward(self, image):
            return torch.full_like(image, 4.0)

    prediction, target, mask = stages.compare(stage, Net(), batch)
    assert mask is None
    assert prediction.flatten().tolist() == [0.25] * 3
    assert target.flatten().tolist() == pytest.approx([0.5, 0.1378, 0.1378])


def stage2(tmp_path, folders, tiny=None, **options):
    tiny = tiny or tiny_preset()
    nets = tmp_path / "nets"
    if not nets.exists():
        nets.mkdir()
        write_nets(nets, tiny)
    init = {net: nets / f"{net}.safetensors" for net in ("depth", "adcn")}
    settings = {"data": folders, "init": init, "threads": 1, "progress": False} | options
    return train(tiny, "stage2a", tmp_path / "run", **settings)


def test_the_split_of_sun_rgbd_is_the_presets(tmp_path):
    from test_data import make_sun

    make_sun(tmp_path, 12)  # those of kv1 are NYUv2's
    mini = preset("mini")
    drawn = {}
    for split, counts in (("random", (8, 4)), ("scene", (6, 3))):
        chosen = dataclasses.replace(mini.data, sun_split=split, sun_counts=counts)
        sets = (
            stages.sun_set(dataclasses.replace(mini, data=chosen), part, tmp_path)
            for part in ("train", "test")
        )
        drawn[split] = [frame for part in sets for frame in part.ids]
    assert any(frame.startswith("kv1/NYUdata") for frame in drawn["random"])
    assert not any(frame.startswith("kv1/NYUdata") for frame in drawn["scene"])


def test_stage2_compares_after_the_protocols_enlargement(folders):
    mini = preset("mini")
    train_set = stages.ebb_set(mini, "train", folders["ebb"])
    batch = {key: torch.stack([train_set[i][key] for i in range(2)]) for key in ("image", "bokeh")}
    assert batch["image"].shape[-2:] == (64, 96) and batch["bokeh"].shape[-2:] == (128, 192)
    net = BRADCN(mini.model).eval()
    with torch.no_grad():
        prediction, target, mask = stages.compare(mini.stage("stage2a"), net, batch)
        drawn = net(batch["image"]).bokeh
    assert target is batch["bokeh"] and mask is None
    for picture, one in zip(prediction, drawn, strict=True):
        np.testing.assert_array_equal(to_uint8(picture[None]), val294(one, 128, 192))
    paper = preset("paper")
    assert paper.data.truth_scale == preset("colab").data.truth_scale == 1


def test_directory_of_another_configuration(tmp_path, folders):
    final = stage2(tmp_path, folders, max_steps=2)
    before = final.read_bytes()
    tiny = dataclasses.replace(tiny_preset(), seed=7)
    with pytest.raises(RunError, match="other settings .preset.seed.; .*--resume fresh"):
        stage2(tmp_path, folders, tiny, max_steps=2)
    assert final.read_bytes() == before
    stage2(tmp_path, folders, tiny, max_steps=2, resume="fresh")
    assert (tmp_path / "run" / "stage2a-old-1" / final.name).read_bytes() == before
    assert final.read_bytes() != before


def test_what_is_missing_is_named(tmp_path, folders):
    tiny = tiny_preset()
    with pytest.raises(RunError, match="no checkpoint to resume"):
        stage2(tmp_path, folders, resume="require")
    with pytest.raises(RunError, match="stage2a needs a trained depth net"):
        train(tiny, "stage2a", tmp_path / "empty", data=folders, progress=False)
    with pytest.raises(DataError, match="manifest.json: missing; make the labels"):
        train(tiny, "stage1", tmp_path / "empty", data=folders, progress=False)
    paper = preset("paper")
    with pytest.raises(RunError, match="no stage 0"):
        train_all(paper, tmp_path / "empty", data=folders, progress=False)


def test_fresh_moves_all_stages_aside_at_once(tmp_path, folders, monkeypatch):
    monkeypatch.setattr(stages, "Scenes", FakeScenes)
    tiny = tiny_preset()
    for stage in ("stage1", "stage2b"):
        (tmp_path / stage).mkdir()
        (tmp_path / stage / "kept").touch()
    with pytest.raises(RunError, match="no stage 0"):  # then everything stays where it is
        train_all(preset("paper"), tmp_path, resume="fresh", progress=False)
    assert (tmp_path / "stage1" / "kept").is_file()
    train_all(tiny, tmp_path, resume="fresh", data=folders, max_steps=1, progress=False)
    for stage in ("stage1", "stage2b"):
        assert (tmp_path / f"{stage}-old-1" / "kept").is_file()
        assert not (tmp_path / stage / "kept").exists()
    words = {"data": folders, "resume": "yes", "progress": False}
    for run in (
        lambda: train(tiny, "stage0", tmp_path, **words),
        lambda: train_all(tiny, tmp_path, **words),
    ):
        with pytest.raises(RunError, match="unknown resume 'yes': choose one of auto, require"):
            run()


def test_damaged_checkpoint_and_short_log(tmp_path, folders):
    stage2(tmp_path, folders, max_steps=2)
    stage = tmp_path / "run" / "stage2a"
    (stage / "done.json").unlink()
    log = (stage / "log.csv").read_text()
    (stage / "log.csv").write_text(log[:20])
    with pytest.raises(RunError, match="log.csv: shorter"):
        stage2(tmp_path, folders, max_steps=2)
    (stage / "checkpoint.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(RunError, match="checkpoint.safetensors: not a checkpoint"):
        stage2(tmp_path, folders, max_steps=2)


def test_weights_are_kept_by_epoch_or_by_the_best_check(tmp_path, monkeypatch):
    checks = iter([3.0, 2.0, 2.5])  # of stage 0: metres off, so that less is better
    monkeypatch.setattr(fit.Fit, "_check", lambda self: next(checks))
    options = {"threads": 1, "progress": False, "checkpoint_every": 100}
    train(tiny_preset(3), "stage0", tmp_path / "best", keep="best", **options)
    best = read_metadata(tmp_path / "best" / "stage0" / "depth-best.safetensors")
    assert (best["epoch"], best["check"]) == ("2", "2.0")
    checks = iter([3.0, 2.0, 2.5])
    train(tiny_preset(3), "stage0", tmp_path / "all", keep="all", **options)
    folder = tmp_path / "all" / "stage0"
    names = sorted(path.name for path in folder.glob("depth*.safetensors"))
    assert names == [*(f"depth-epoch-00{n}.safetensors" for n in (1, 2, 3)), "depth.safetensors"]
    last = DepthNet(tiny_preset().model)
    load_weights(folder / names[2], last, "mini")
    final = DepthNet(tiny_preset().model)
    load_weights(folder / names[3], final, "mini")
    for a, b in zip(last.parameters(), final.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(("name", "best"), [("stage0", 1.0), ("stage1", 1.0), ("stage2a", 3.0)])
def test_errors_are_to_fall_and_psnr_is_to_rise(name, best):
    stage = preset("mini").stage(name)
    assert stages.is_better(stage, best, 2.0) and not stages.is_better(stage, 2.0, best)
