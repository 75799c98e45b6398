"""The command line: instant help, one line and exit status 2 for every bad input."""

import json
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from test_commands import commands_of
from test_resume import write_ebb, write_nets

from bradcn_nb.__main__ import main
from bradcn_nb.cli import build_parser
from bradcn_nb.models import BRADCN, save_weights
from bradcn_nb.presets import preset


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Untrained weights of mini, and of another preset with another model."""
    folder = tmp_path_factory.mktemp("weights")
    model = BRADCN(preset("mini").model)
    save_weights(model, folder / "mini.safetensors", "mini")
    other = BRADCN(replace(preset("mini").model, skip=False))
    save_weights(other, folder / "paper.safetensors", "paper")
    return folder


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)).save(path)
    return path


def fails(capsys, *arguments) -> str:
    """Run a command that must end with status 2 and one line; return that line."""
    assert main([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    lines = [line for line in err.splitlines() if line.strip()]
    assert len(lines) == 1 and lines[0].startswith("error: "), err
    return lines[0]


def test_help_needs_no_heavy_import():
    code = (
        "import sys; from bradcn_nb.__main__ import main\n"
        "try: main(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'PIL', 'accelerate')))"
    )
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0
    assert b"examples:" in done.stdout
    assert time.monotonic() - start < 3  # 0.2 s on an idle machine


@pytest.mark.parametrize("command", commands_of(build_parser()))
def test_every_command_has_examples(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert f"python -m bradcn_nb {command}" in text.split("examples:")[1]


@pytest.mark.parametrize(
    "arguments",
    [["render"], ["nonsense"], ["train", "--max-steps", "0"], ["evaluate", "--preset", "x"]],
)
def test_wrong_usage_is_one_line(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_unknown_stage_and_missing_nets(tmp_path, capsys):
    assert "stage0" in fails(capsys, "train", "stage9", "--run", tmp_path)
    line = fails(capsys, "train", "stage2a", "--run", tmp_path / "run", "--quiet")
    assert "needs a trained depth net" in line
    assert "--run" in fails(capsys, "labels")


def test_evaluate_prints_one_json_object(tmp_path, weights, capsys):
    root = write_ebb(tmp_path / "ebb", 1, 2)
    common = ["evaluate", "--weights", str(weights / "mini.safetensors"), "--ebb", str(root)]
    assert main([*common, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["n"] == 2
    for key in ("psnr", "ssim", "psnr_input", "psnr_input_half", "psnr_render_only"):
        assert np.isfinite(result[key])
    assert main([*common, "--quiet"]) == 0
    assert "BRADCN" in capsys.readouterr().out
    assert "no such" in fails(capsys, "evaluate", "--weights", tmp_path / "none.safetensors")


def test_weights_of_another_preset(photo, weights, tmp_path, capsys):
    out = tmp_path / "out.jpg"
    other = weights / "paper.safetensors"
    assert "paper" in fails(capsys, "render", photo, "-o", out, "--weights", other)
    assert "paper" in fails(capsys, "evaluate", "--weights", other)
    nets = write_nets(tmp_path, preset("mini"))
    wrong = ("train", "stage2a", "--run", tmp_path / "run", "--adcn", nets["depth"])
    assert "DepthNet" in fails(capsys, *wrong, "--depth", nets["depth"])
    assert not out.exists()


@pytest.mark.parametrize("kind", ["missing", "truncated", "text", "one pixel", "folder"])
def test_bad_photographs(kind, photo, weights, tmp_path, capsys):
    bad, out = tmp_path / "bad.jpg", tmp_path / "out.jpg"
    if kind == "truncated":
        bad.write_bytes(photo.read_bytes()[:700])
    elif kind == "text":
        bad.write_text("this is no picture")
    elif kind == "one pixel":
        Image.new("RGB", (1, 1)).save(bad)
    elif kind == "folder":
        bad.mkdir()
    line = fails(capsys, "render", bad, "-o", out, "--weights", weights / "mini.safetensors")
    assert "bad.jpg" in line
    assert not out.exists()


def test_bad_depth_map_and_focus(photo, weights, tmp_path, capsys):
    depth, out = tmp_path / "depth.npy", tmp_path / "out.jpg"
    np.save(depth, np.full((48, 64), np.nan, np.float32))
    assert "depth.npy" in fails(capsys, "render", photo, "-o", out, "--depth", depth)
    net = ("--renderer", "bradcn", "--weights", weights / "mini.safetensors")
    line = fails(capsys, "render", photo, "-o", out, *net, "--focus", "3,4")
    assert "--renderer lens" in line
    assert not out.exists()


def test_focus_selects_the_lens(photo, weights, tmp_path):
    np.save(tmp_path / "depth.npy", np.full((48, 64), 2.0, np.float32))
    out = tmp_path / "out.png"
    lens = ["--focus", "10,10", "--depth", str(tmp_path / "depth.npy")]
    assert main(["render", str(photo), "-o", str(out), *lens]) == 0
    with Image.open(out) as picture, Image.open(photo) as source:
        difference = np.abs(np.asarray(picture, int)[..., :3] - np.asarray(source, int))
    assert difference.max() <= 1  # all of it lies in the plane of focus
