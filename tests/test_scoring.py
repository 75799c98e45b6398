"""Scoring folders: exact, resumable, every problem named."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from test_cli import fails

from bradcn_nb.__main__ import main
from bradcn_nb.errors import DataError, RunError, WeightsError
from bradcn_nb.evaluation import folder_files as score_files
from bradcn_nb.evaluation.folder_files import ScoreCache
from bradcn_nb.evaluation.folders import compare, score, summarise
from bradcn_nb.evaluation.lpips import lpips_net
from bradcn_nb.evaluation.metrics import Protocol, lpips

PLAIN = Protocol(backbone=None)


def picture(seed, height=48, width=64):
    values = gaussian_filter(np.random.default_rng(seed).random((height, width, 3)), (1, 1, 0))
    return ((values - values.min()) / np.ptp(values) * 255).round().astype(np.uint8)


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def folders(tmp_path):
    """Six pairs: truths of two sizes, predictions as PNG; 3 is half the size of its truth."""
    for n in range(6):
        truth = picture(n, 48, 64 + n % 2)
        noise = np.random.default_rng(100 + n).integers(-30, 31, truth.shape)
        guess = (truth + noise).clip(0, 255).astype(np.uint8)
        write(tmp_path / "truth" / f"{n}.png", truth)
        write(tmp_path / "pred" / f"{n}.png", guess[::2, ::2] if n == 3 else guess)
    return tmp_path


@pytest.fixture
def cache(tmp_path):
    return ScoreCache(tmp_path / "cache" / "scores.jsonl")


def read(path):
    return np.array(Image.open(path))


def run(folders, cache, **options):
    options = {"progress": False, "workers": 1, **options}
    return score(folders / "pred", folders / "truth", PLAIN, cache, **options)


def test_values_are_scikit_images(folders, cache):
    scores = run(folders, cache)
    assert list(scores.images) == [str(n) for n in range(6)]
    for n, values in scores.images.items():
        truth, guess = read(folders / "truth" / f"{n}.png"), read(folders / "pred" / f"{n}.png")
        if n == "3":  # through the protocol: bilinear, corners not aligned, rounded
            tensor = torch.from_numpy(guess.transpose(2, 0, 1)[None] / 255)
            tensor = F.interpolate(tensor, size=truth.shape[:2], mode="bilinear")
            guess = (tensor[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
            want = pytest.approx(peak_signal_noise_ratio(truth, guess), abs=1e-2)
        else:
            want = peak_signal_noise_ratio(truth, guess)
            assert values["ssim"] == structural_similarity(truth, guess, channel_axis=-1)
        assert values["psnr"] == want
    assert scores.resized == ["3"] and not scores.missing + scores.extra + scores.unreadable
    assert scores.images["3"]["pred_width"] == 33 and scores.images["3"]["width"] == 65


def test_several_processes_find_the_same(folders, cache, tmp_path):
    assert run(folders, cache) == run(folders, ScoreCache(tmp_path / "other"), workers=2)


def test_lpips_of_files_is_lpips_of_arrays(folders, cache):
    try:
        lpips_net("alex")
    except WeightsError as error:
        pytest.skip(str(error))
    found = score(folders / "pred", folders / "truth", Protocol(), cache, workers=1, progress=False)
    truth, guess = (read(folders / name / "2.png") for name in ("truth", "pred"))
    assert found.images["2"]["lpips"] == pytest.approx(lpips(truth, guess), abs=1e-6)


def count_measured(monkeypatch, stop_after=None):
    """Let the measuring be watched; Ctrl-C after `stop_after` pairs."""
    seen, real = [], score_files.measure_files

    def watched(truth, prediction, *how):
        if len(seen) == stop_after:
            raise KeyboardInterrupt
        seen.append(truth.stem)
        return real(truth, prediction, *how)

    monkeypatch.setattr(score_files, "measure_files", watched)
    return seen


def test_ctrl_c_loses_nothing(folders, cache, monkeypatch, tmp_path):
    whole = run(folders, ScoreCache(tmp_path / "whole"))
    with monkeypatch.context() as patch:
        count_measured(patch, stop_after=4)
        with pytest.raises(KeyboardInterrupt, match="4 of 6"):
            run(folders, cache)
    # A power cut in the middle of a line, too.
    with open(cache.path, "a") as file:
        file.write('{"key": "abc", "val')
    seen = count_measured(monkeypatch)
    assert run(folders, ScoreCache(cache.path)) == whole
    assert seen == ["4", "5"]
    seen.clear()
    assert run(folders, ScoreCache(cache.path)) == whole and not seen


def test_the_cache_knows_contents_and_definitions(folders, cache, monkeypatch):
    run(folders, cache)
    seen = count_measured(monkeypatch)
    (folders / "pred" / "1.png").rename(folders / "pred" / "1.PNG")  # the same content
    run(folders, cache)
    assert seen == []
    write(folders / "pred" / "2.png", picture(77))
    changed = run(folders, cache)
    assert seen == ["2"] and changed.images["2"]["psnr"] < 20
    seen.clear()
    window = Protocol("gaussian", None)
    varied = score(folders / "pred", folders / "truth", window, cache, workers=1, progress=False)
    assert len(seen) == 6
    assert varied.images["0"]["ssim"] != changed.images["0"]["ssim"]


def test_every_problem_is_named(folders, cache):
    pred, truth = folders / "pred", folders / "truth"
    (truth / "6.png").write_bytes((truth / "0.png").read_bytes())  # no prediction
    (pred / "9.png").write_bytes((pred / "0.png").read_bytes())  # no truth
    (pred / "0.png").write_bytes((pred / "0.png").read_bytes()[:500])
    Image.new("RGB", (1, 1)).save(pred / "1.png")
    Image.fromarray(np.full((48, 64), 0.5, np.float32)).save(pred / "2.tif")
    (pred / "2.png").unlink()
    clear = np.dstack([picture(4), np.full((48, 64), 128, np.uint8)])
    write(pred / "4.png", clear)
    (pred / "notes.txt").write_text("mine")
    (pred / ".hidden.png").write_text("")
    scores = run(folders, cache)
    assert list(scores.images) == ["3", "5"]
    assert scores.missing == ["6"] and scores.extra == ["9"] and scores.resized == ["3"]
    assert scores.ignored == ["notes.txt"]
    lines = "\n".join(scores.unreadable)
    assert len(scores.unreadable) == 4
    for name, reason in (("0.png", "damaged"), ("1.png", "few"), ("2.tif", "F pixels")):
        assert any(name in line and reason in line for line in scores.unreadable), lines
    assert "4.png: is transparent" in lines
    assert run(folders, cache) == scores  # also the second time, when values come from the cache


def test_a_prediction_of_16_bits_is_used_whole(folders, cache):
    import cv2

    deep = (picture(0).astype(np.uint16) * 257)[..., ::-1]
    cv2.imwrite(str(folders / "pred" / "0.png"), deep)
    assert run(folders, cache).images["0"]["psnr"] == 100


def test_strict(folders, cache, monkeypatch):
    with pytest.raises(DataError, match="not of their truth's size.*: 3 .*--strict"):
        run(folders, cache, strict=True)
    write(folders / "pred" / "3.png", picture(3, 48, 65))
    assert len(run(folders, cache, strict=True).images) == 6
    (folders / "pred" / "3.png").unlink()
    seen = count_measured(monkeypatch)
    with pytest.raises(DataError, match="1 without a prediction: 3"):
        run(folders, cache, strict=True)
    assert not seen  # known beforehand: no minute is spent


def test_folders_that_cannot_be_scored(folders, cache, tmp_path):
    (tmp_path / "empty").mkdir()
    for pred, truth, text in (
        ("none", "truth", "no such folder"),
        ("empty", "truth", "no picture"),
        ("pred", "none", "no such folder"),
    ):
        with pytest.raises(DataError, match=text):
            score(tmp_path / pred, tmp_path / truth, PLAIN, cache, progress=False)
    write(tmp_path / "others" / "a.png", picture(0))
    with pytest.raises(DataError, match="fits"):
        score(tmp_path / "others", tmp_path / "truth", PLAIN, cache, progress=False)
    write(folders / "pred" / "1.jpg", picture(1))
    with pytest.raises(DataError, match="same stem"):
        run(folders, cache)


def test_a_cache_that_cannot_be_written(folders, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="--cache"):
        run(folders, ScoreCache(tmp_path / "file" / "scores.jsonl"))


def test_a_folder_of_ebb_gives_its_test_pairs(tmp_path, cache):
    for n in (0, 4399, 4400, 4693):
        write(tmp_path / "ebb" / "bokeh" / f"{n}.png", picture(n))
        write(tmp_path / "pred" / f"{n}.png", picture(n))
    scores = score(tmp_path / "pred", tmp_path / "ebb", PLAIN, cache, workers=1, progress=False)
    assert list(scores.images) == ["4400", "4693"] and scores.extra == ["0", "4399"]
    for n in (4400, 4693):
        (tmp_path / "ebb" / "bokeh" / f"{n}.png").unlink()
    with pytest.raises(DataError, match="4400..4693"):
        score(tmp_path / "pred", tmp_path / "ebb", PLAIN, cache, progress=False)


def test_a_comparison_is_paired(folders, cache, tmp_path):
    for n in range(1, 6):
        guess = read(folders / "truth" / f"{n}.png").astype(int) + 20
        write(tmp_path / "other" / f"{n}.png", guess.clip(0, 255).astype(np.uint8))
    a = run(folders, cache)
    b = score(tmp_path / "other", folders / "truth", PLAIN, cache, workers=1, progress=False)
    found = compare(a, b, PLAIN)
    gains = [a.images[str(n)]["psnr"] - b.images[str(n)]["psnr"] for n in range(1, 6)]
    assert found["n"] == 5 and found["psnr"]["mean"] == pytest.approx(np.mean(gains))
    assert found["psnr"]["low"] < found["psnr"]["mean"] < found["psnr"]["high"]
    assert found["psnr"]["better"] == sum(gain > 0 for gain in gains)
    summary = summarise(a, PLAIN)
    assert summary["psnr"]["mean"] == pytest.approx(
        np.mean([values["psnr"] for values in a.images.values()])
    )
    b.images = {"x": b.images["1"]}
    with pytest.raises(DataError, match="share no picture"):
        compare(a, b, PLAIN)


def test_the_command(folders, capsys, monkeypatch):
    monkeypatch.chdir(folders)
    monkeypatch.setenv("BRADCN_CACHE", str(folders / "cache"))
    common = ["score", "--pred", "pred", "--truth", "truth", "--quiet", "--workers", "1"]
    assert main([*common, "--lpips", "none", "--ssim-window", "gaussian"]) == 0
    out, err = capsys.readouterr()
    assert err == "" and "6 pictures" in out and "gaussian 11x11" in out and "LPIPS" not in out
    result = json.loads(Path("scores-pred.json").read_text())
    assert result["protocol"] == "val294" and result["metrics"]["ssim"] == "gaussian 11x11"
    rows = list(csv.DictReader(Path("scores-pred.csv").open()))
    assert [row["id"] for row in rows] == [str(n) for n in range(6)]
    assert float(rows[2]["psnr"]) == result["images"]["2"]["psnr"]
    assert f"{result['psnr']['mean']:.2f}" in out and f"{result['psnr']['low']:.2f}" in out

    # No weights anywhere: said, and everything else is there.
    def none_here(name):
        raise WeightsError("LPIPS has no weights here; run `make lpips`")

    monkeypatch.setattr("bradcn_nb.evaluation.lpips.lpips_net", none_here)
    assert main([*common, "--against", "truth", "--out", "results/both"]) == 0
    out, err = capsys.readouterr()
    assert err == "" and "LPIPS is not measured" in out and "make lpips" in out
    assert "paired difference" in out and "better in 0" in out
    both = json.loads(Path("results/both.json").read_text())
    assert both["difference"]["psnr"]["mean"] < 0 and both["against"]["psnr"]["mean"] == 100
    before = Path("results/both.json").read_bytes()
    assert "--strict" in fails(capsys, *common, "--strict", "--out", "results/both")
    assert Path("results/both.json").read_bytes() == before
    assert "no such folder" in fails(capsys, *common[:3], "--truth", "none")
