"""From weights to a folder of pictures: every kind of net, the protocol, going on, devices."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from bradcn_nb.__main__ import main
from bradcn_nb.data import EBB
from bradcn_nb.errors import BradcnError
from bradcn_nb.evaluation.folder_files import ScoreCache
from bradcn_nb.evaluation.folders import score
from bradcn_nb.evaluation.metrics import Protocol
from bradcn_nb.evaluation.predict import predict, shrunk
from bradcn_nb.evaluation.test_set import evaluate
from bradcn_nb.experiments.record import weights_path
from bradcn_nb.files import data_root
from bradcn_nb.models import RenderNet, baselines, inference, load_bradcn, save_weights
from bradcn_nb.presets import preset

SIZE = preset("mini").data.train_size


@pytest.fixture
def ebb(tmp_path):
    """Three test pairs of mini-EBB in a folder of their own."""
    for folder in ("original", "bokeh"):
        (tmp_path / "ebb" / folder).mkdir(parents=True)
        for number in (4480, 4481, 4482):
            name = f"{folder}/{number}.jpg"
            (tmp_path / "ebb" / name).write_bytes((data_root() / "mini-ebb" / name).read_bytes())
    return tmp_path / "ebb"


def run(ebb, out, *words):
    return main(["predict", "--ebb", str(ebb), "--out", str(out), "--quiet", *map(str, words)])


def test_what_is_predicted_scores_as_evaluate_says(ebb, tmp_path):
    assert run(ebb, tmp_path / "out", "--device", "cpu") == 0
    plain = Protocol(backbone=None)
    scores = score(tmp_path / "out", ebb, plain, ScoreCache(tmp_path / "c"), progress=False)
    model = inference.for_inference(load_bradcn())
    result = evaluate(
        model, EBB(ebb, "test"), SIZE, preset="mini", weights_hash="", images=True, progress=False
    )
    for metric in ("psnr", "ssim"):
        judged = [scores.images[name][metric] for name in result["images"]["id"]]
        assert judged == result["images"][metric]


def test_a_folder_belongs_to_its_net_and_a_stopped_call_goes_on(ebb, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / ".made-by.json.1.tmp").write_text("{")  # of a call that was killed at once
    assert run(ebb, out) == 0
    assert json.loads((out / "made-by.json").read_text())["method"] == "BRADCN"
    (out / "4481.png").unlink()
    kept = (out / "4480.png").stat().st_mtime_ns
    assert run(ebb, out) == 0 and (out / "4481.png").is_file()
    assert (out / "4480.png").stat().st_mtime_ns == kept
    assert run(ebb, out, "--shrink", "lanczos") == 2
    assert "pictures of another shrink" in capsys.readouterr().err
    shutil.copy(ebb / "original" / "4481.jpg", ebb / "original" / "4480.jpg")  # other pictures
    assert run(ebb, out) == 2
    assert "pictures of another data" in capsys.readouterr().err
    (out / "made-by.json").write_text("[1")
    assert run(ebb, out) == 2
    assert "made-by.json: is damaged" in capsys.readouterr().err
    assert run(ebb, ebb) == 2
    assert "was not made by `predict`" in capsys.readouterr().err


def test_every_kind_of_weights_draws(ebb, tmp_path, capsys):
    torch.manual_seed(0)
    files = {"render": tmp_path / "render.safetensors", "dmshn": tmp_path / "dmshn.safetensors"}
    save_weights(RenderNet(preset("mini").model), files["render"], "mini")
    save_weights(baselines.build("dmshn-skip"), files["dmshn"], "mini")
    for name, words, method in (
        ("brvit", ["--weights", files["render"]], "RenderNet"),
        ("named", ["--method", "brvit", "--weights", files["render"]], "brvit"),
        ("lens", ["--weights", weights_path("depth")], "Classical"),
        ("dmshn", ["--method", "dmshn-skip", "--weights", files["dmshn"]], "dmshn-skip"),
        ("blur", ["--method", "blur"], "blur"),
    ):
        assert run(ebb, tmp_path / name, *words) == 0
        assert json.loads((tmp_path / name / "made-by.json").read_text())["method"] == method
        with Image.open(tmp_path / name / "4480.png") as picture:
            assert picture.size == (192, 128)
    assert run(ebb, tmp_path / "none", "--method", "dmshn") == 2
    assert "needs trained weights" in capsys.readouterr().err
    assert run(ebb, tmp_path / "none", "--method", "pynet") == 2
    assert "choose one of identity" in capsys.readouterr().err
    assert run(ebb, tmp_path / "none", "--method", "skn", "--weights", files["dmshn"]) == 2
    assert "holds a DMSHN" in capsys.readouterr().err


def test_shrinking_is_by_area_or_as_pillow_does():
    picture = np.random.default_rng(0).integers(0, 256, (128, 192, 3), np.uint8)
    area, lanczos = (shrunk(picture, (64, 96), how) for how in ("area", "lanczos"))
    mean = picture.reshape(64, 2, 96, 2, 3).mean((1, 3)) / 255
    assert np.abs(area[0].permute(1, 2, 0).numpy() - mean).max() < 1 / 255
    wanted = np.asarray(Image.fromarray(picture).resize((96, 64), Image.Resampling.LANCZOS))
    assert np.array_equal((lanczos[0] * 255).round().byte().permute(1, 2, 0).numpy(), wanted)


def test_devices_are_named_or_refused(monkeypatch, ebb, tmp_path, capsys):
    assert inference.pick_device("cpu").type == "cpu"
    assert run(ebb, tmp_path / "out", "--device", "tpu") == 2
    assert "no device 'tpu' here" in capsys.readouterr().err
    for cuda, mps, best in ((True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: mps)
        assert inference.pick_device("auto").type == best
    with pytest.raises(BradcnError, match="choose auto or cpu"):
        inference.pick_device("cuda")


def test_the_picture_goes_to_the_nets_device():
    seen = []

    class Spy(nn.Module):
        def forward(self, image):
            seen.append(image.device.type)
            return torch.rand(image.shape)

    predict(Spy(), np.zeros((128, 192, 3), np.uint8), SIZE, device="meta")
    assert seen == ["meta"]
