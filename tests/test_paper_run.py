"""The presets `paper` and `colab` from official files to a rendered photograph, typed as commands.

Data in the layouts of EBB! and SUN RGB-D is written here, a handful of files; three steps a phase.
The normal suite narrows the nets and shrinks the pictures and changes nothing else; the test that
is marked slow runs the nets and the size that the paper has.
"""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from bradcn_nb.__main__ import main
from bradcn_nb.data import encode_depth
from bradcn_nb.errors import WeightsError
from bradcn_nb.models import BRADCN, DepthNet, RenderNet, load_weights, read_metadata
from bradcn_nb.models.official import load_dpt, to_official
from bradcn_nb.presets import PRESETS, Preset, preset

STATUS = Path("/proc/self/status")
STEPS = 3
FRAMES = (  # one of each sensor, where and how SUN RGB-D files them
    ("kv1/NYUdata/NYU0001", "NYU0001.jpg", (427, 561)),
    ("kv1/b3dodata/img_0063", "img_0063.jpg", (427, 561)),
    ("kv2/kinect2data/000002_2014-05-26_14-23-37_rgbf000103-resize", "0000103.jpg", (530, 730)),
    ("realsense/lg/2014_10_21-18_04_36-1311000073", "0000014.jpg", (480, 640)),
    ("xtion/sun3ddata/brown_bm_1/0000108_000007187", "0000108-000007187.jpg", (480, 640)),
    ("xtion/xtion_align_data/2014-12-16 18-10-02", "0000173.jpg", (531, 681)),
)
COUNTS = (4, 2)  # of them for training and for testing


def narrow(name: str, size: tuple[int, int] = (64, 96)) -> Preset:
    """A preset with its own schedule, data settings, strides and switches, but few channels."""
    chosen = preset(name)
    model = replace(
        chosen.model,
        image_size=size,
        stem_width=8,
        stage_layers=(1, 1, 1),
        stage_widths=(8, 16, 32),
        norm_groups=4,
        embed_dim=16,
        vit_depth=2,
        vit_heads=2,
        vit_taps=(0, 1),
        features=8,
        head_widths=(8, 8),
        adcn_widths=(4, 8, 16),
    )
    data = replace(chosen.data, train_size=size, sun_counts=COUNTS)
    return replace(chosen, model=model, data=data)


def picture(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Something with edges and texture, uint8 (H, W, 3)."""
    coarse = cv2.resize(rng.integers(0, 256, (6, 9, 3), np.uint8), size[::-1])
    noise = rng.integers(-20, 21, (*size, 3))
    return (coarse + noise).clip(0, 255).astype(np.uint8)


def write_data(root: Path, pair: tuple[int, int], shrink: int = 4) -> dict[str, Path]:
    """Write EBB! (3 training and 2 test pairs, about `pair` pixels) and SUN RGB-D below `root`."""
    rng, ebb, sun = np.random.default_rng(0), root / "EBB", root / "SUNRGBD"
    for number in (0, 1, 4399, 4400, 4693):
        sharp = picture(rng, (pair[0], pair[1] - 7 * (number % 3)))  # widths differ, as in Val294
        for folder, pixels in (("original", sharp), ("bokeh", cv2.GaussianBlur(sharp, (0, 0), 4))):
            (ebb / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(ebb / folder / f"{number}.jpg", quality=95)
    for where, name, native in FRAMES:
        frame, size = sun / where, (native[0] // shrink, native[1] // shrink)
        for folder in ("image", "depth", "depth_bfx"):
            (frame / folder).mkdir(parents=True)
        Image.fromarray(picture(rng, size)).save(frame / "image" / name, quality=95)
        slope = np.linspace(0.6, 9.5, size[1])[None] * np.linspace(1, 0.8, size[0])[:, None]
        holes = np.where(rng.random(size) < 0.1, 0, slope)
        for folder, metres in (("depth", holes), ("depth_bfx", slope)):
            raw = Image.fromarray(encode_depth(metres))
            raw.save(frame / folder / Path(name).with_suffix(".png").name)
        (frame / "intrinsics.txt").write_text("529.5 0 365 0 529.5 265 0 0 1\n")
    return {"ebb": ebb, "sun": sun}


def write_official(root: Path) -> dict[str, Path]:
    """Write random weights under the official names, as DPT's and BRViT's authors publish
    theirs."""
    torch.manual_seed(0)
    files = {"dpt": root / "dpt_hybrid_nyu-2ce69ec7.pt", "brvit": root / "brvit.pth"}
    torch.save(to_official(DepthNet(preset("paper").model)), files["dpt"])
    torch.save({"model": to_official(RenderNet(preset("paper").model)), "epoch": 1}, files["brvit"])
    return files


def command(*words: object) -> None:
    assert main([str(word) for word in words]) == 0, words


def whole_way(root: Path, name: str, data: dict[str, Path], labels_apart: bool) -> Path:
    """Type what a researcher types, from official files to a rendered photograph; return the
    run."""
    official, run = write_official(root), root / "runs" / name
    depth, render = root / "depth.safetensors", root / "render.safetensors"
    command("convert", "dpt", official["dpt"], depth)
    command("convert", "brvit", official["brvit"], render)
    for file in official.values():
        file.unlink()
    small = dict(data)
    for key, kind in (("ebb", "ebb"), ("sun", "sunrgbd")):
        small[key] = root / f"{kind}-small"
        command("data", "verify", kind, data[key], "--preset", name, "--jobs", 1, "--quiet")
        where = (data[key], "--out", small[key], "--preset", name)
        command("data", "prepare", kind, *where, "--jobs", 1, "--quiet")
    common = ("--preset", name, "--sun", small["sun"], "--depth", depth, "--threads", 1, "--quiet")
    given = ("--ebb", small["ebb"], "--render", render, "--max-steps", STEPS)
    if labels_apart:
        command("labels", *common, "--out", root / "labels")
        given += ("--labels", root / "labels")
    command("train", "--run", run, *common, *given)
    if labels_apart:
        command("report", run)
    weights = ("--preset", name, "--weights", run / "bradcn.safetensors", "--threads", 1)
    command("evaluate", *weights, "--ebb", data["ebb"], "--json", "--quiet")
    command("render", data["ebb"] / "original" / "4400.jpg", "-o", root / "out.jpg", *weights)
    return run


def rows(log: Path) -> list[dict[str, str]]:
    with open(log, newline="") as file:
        return list(csv.DictReader(file))


def assert_trained(root: Path, run: Path, name: str, data: dict[str, Path]) -> None:
    """The schedule is Section IV-B's, and the weights began as the files that were converted."""
    logs = {stage.name: rows(run / stage.name / "log.csv") for stage in preset(name).stages}
    assert list(logs) == ["stage1", "stage2a", "stage2b"]
    for stage, log in logs.items():
        assert [row["step"] for row in log] == [str(n + 1) for n in range(STEPS)]
        assert {float(row["lr"]) for row in log} == {1e-4 if stage == "stage1" else 5e-5}
        assert np.isfinite([float(row["loss"]) for row in log]).all()
        assert {row["check"] for row in log} == {""}  # a tenth of so few items is none
    # 1 - MS-SSIM joins L1 in stage 2b.
    assert float(logs["stage2b"][0]["loss"]) > float(logs["stage2a"][-1]["loss"])

    model = BRADCN(preset(name).model)
    about = load_weights(run / "bradcn.safetensors", model, name)
    assert (about["stage"], about["steps"]) == ("stage2b", str(STEPS))
    reach = 2 * STEPS * 5e-5 * 3.2  # Adam's longest step is (1 - 0.9) / sqrt(1 - 0.999) rates
    for net, file in ((model.render_net, "render"), (model.depth_net, "depth")):
        before = type(net)(net.cfg)
        load_weights(root / f"{file}.safetensors", before, name)
        moved = [
            float((after - start).detach().abs().max())
            for after, start in zip(net.parameters(), before.parameters(), strict=True)
        ]
        assert 0 < max(moved) < reach, file
    before = dict(model.adcn.state_dict())
    load_weights(run / "stage1" / "adcn.safetensors", model.adcn, name)
    assert all(torch.equal(before[key], value) for key, value in model.adcn.state_dict().items())
    with (
        Image.open(root / "out.jpg") as out,
        Image.open(data["ebb"] / "original/4400.jpg") as photo,
    ):
        assert out.size == photo.size


@pytest.mark.parametrize("name", ["paper", "colab"])
def test_from_official_files_to_a_photograph(name, tmp_path, monkeypatch, capsys):
    # The official naming is that of `paper`'s net, so that one is narrowed for both presets.
    for known in ("paper", "colab"):
        monkeypatch.setitem(PRESETS, known, narrow(known))
    data = write_data(tmp_path, (130, 200))
    run = whole_way(tmp_path, name, data, labels_apart=name == "paper")
    out = capsys.readouterr().out
    (judged,) = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert judged["n"] == 2 and judged["preset"] == name and 5 < judged["psnr"] < 60
    if name == "paper":
        assert "3 stages begun, 0 finished" in out  # a trial
        assert (run / "report" / "curves.png").is_file()
    assert_trained(tmp_path, run, name, data)
    assert "dpt: dpt_hybrid_nyu" in read_metadata(tmp_path / "depth.safetensors")["converted_from"]


def test_convert_refuses_what_it_cannot_use(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(PRESETS, "paper", narrow("paper"))
    official = write_official(tmp_path)
    out = tmp_path / "out.safetensors"
    for words, said in (
        (("dpt", official["brvit"], out), "this is BRViT's"),
        (("dpt", tmp_path / "none.pt", out), "no such weights file"),
        (("brvit", official["brvit"], tmp_path / "out.pt"), "must end in .safetensors"),
        (("timm", official["dpt"], out), "not the weights of this RenderNet"),
    ):
        assert main(["convert", *map(str, words)]) == 2
        said_here = capsys.readouterr().err
        assert said in said_here and len(said_here.splitlines()) == 1
    assert not out.exists()
    same = official["dpt"].rename(tmp_path / "dpt.safetensors")
    before = same.read_bytes()
    assert main(["convert", "dpt", str(same), str(same)]) == 2
    assert same.read_bytes() == before
    # Typed without converting it first: the message says how.
    (tmp_path / "run").mkdir()
    words = ("train", "--preset", "paper", "--run", tmp_path / "run", "--depth", official["brvit"])
    capsys.readouterr()
    assert main([*map(str, words), "--sun", str(tmp_path), "--quiet"]) == 2
    assert "bradcn_nb convert" in capsys.readouterr().err


def test_convert_timm_fills_the_encoder_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(PRESETS, "paper", narrow("paper"))
    torch.manual_seed(3)
    source = RenderNet(preset("paper").model)
    own = "pretrained.model."
    state = {k.removeprefix(own): v for k, v in to_official(source).items() if k.startswith(own)}
    torch.save(state, tmp_path / "timm.pt")
    outs = [tmp_path / f"{name}.safetensors" for name in "abc"]
    for out, seed in zip(outs, (0, 0, 1), strict=True):
        command("convert", "timm", tmp_path / "timm.pt", out, "--seed", seed)
    nets = [RenderNet(preset("paper").model) for _ in outs]
    for net, out in zip(nets, outs, strict=True):
        load_weights(out, net, "paper")
        for part in ("backbone", "blocks", "proj"):
            given = getattr(source.encoder, part).state_dict()
            for key, value in getattr(net.encoder, part).state_dict().items():
                assert torch.equal(value, given[key]), (part, key)
    first, again, other = (net.decoder.head[0].weight for net in nets)
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_render_net_can_be_named_after_stage1(tmp_path, monkeypatch):
    """Stage 1 does not depend on it, so a run that began without it goes on."""
    monkeypatch.setitem(PRESETS, "paper", narrow("paper"))
    data, official = write_data(tmp_path, (96, 160)), write_official(tmp_path)
    depth, render = tmp_path / "depth.safetensors", tmp_path / "render.safetensors"
    command("convert", "dpt", official["dpt"], depth)
    command("convert", "brvit", official["brvit"], render)
    words = ("--preset", "paper", "--run", tmp_path / "run", "--ebb", data["ebb"], "--quiet")
    words += ("--sun", data["sun"], "--depth", depth, "--max-steps", 1)
    command("labels", *words[:4], "--depth", depth, "--sun", data["sun"], "--quiet")
    command("train", "stage1", *words)
    command("train", *words, "--render", render)
    with pytest.raises(WeightsError):
        load_dpt(render, "metric")  # a converted file is no official one any more


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.is_file(), reason="peak memory: Linux only")
def test_full_nets_at_the_papers_size(tmp_path):
    """Nets, size and schedule of the paper; 10 GB of memory, 12 GB of disk, ten minutes and
    more."""
    try:
        done = subprocess.run(
            [sys.executable, __file__, str(tmp_path)], capture_output=True, text=True, check=False
        )
        print(done.stdout)
        assert done.returncode == 0, done.stderr
        assert "peak of the whole way" in done.stdout
    finally:  # pytest keeps its folders for long
        for file in [*tmp_path.rglob("*.safetensors"), *tmp_path.rglob("*.pt*")]:
            file.unlink()


if __name__ == "__main__":
    full = preset("paper")
    PRESETS["paper"] = replace(full, data=replace(full.data, sun_counts=COUNTS))
    folder = Path(sys.argv[1])
    sets = write_data(folder, (1024, 1536), shrink=1)
    trained = whole_way(folder, "paper", sets, labels_apart=True)
    assert_trained(folder, trained, "paper", sets)
    peak = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    print(f"peak of the whole way: {1024 * int(peak.split()[1]) / 1e9:.2f} GB")
