"""`export`: ONNX files that run on every size, and what is refused."""

import onnx
import onnxruntime
import pytest
import torch
from test_cli import fails

from bradcn_nb.__main__ import main
from bradcn_nb.errors import BradcnError
from bradcn_nb.models import (
    ADCN,
    BRADCN,
    DepthNet,
    RenderNet,
    load_bradcn,
    load_depth_net,
    onnx_export,
    save_weights,
)
from bradcn_nb.models.baselines import build
from bradcn_nb.models.onnx_export import OUTPUTS, export_onnx
from bradcn_nb.presets import preset


def run(path, image):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": image.numpy()})


@pytest.mark.parametrize("half", (False, True))
def test_the_whole_model_draws_the_same_on_a_size_that_was_never_checked(tmp_path, half):
    net, path = load_bradcn(), tmp_path / "bradcn.onnx"
    differences = export_onnx(net, path, half)
    assert set(differences) == set(OUTPUTS[BRADCN])
    image = torch.rand(1, 3, 112, 16 * 3)
    with torch.inference_mode():
        wanted = net(image)
    got = run(path, image)
    assert torch.allclose(torch.from_numpy(got[0]), wanted.bokeh, atol=5e-3 if half else 1e-4)
    assert torch.allclose(torch.from_numpy(got[1]), wanted.depth, rtol=2e-2 if half else 1e-4)
    about = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert about == {"net": "BRADCN", "preset": "mini", "stride": "16"}


def test_half_is_half_the_size(tmp_path):
    net = load_depth_net()
    export_onnx(net, tmp_path / "whole.onnx")
    export_onnx(net, tmp_path / "half.onnx", half=True)
    whole, half = ((tmp_path / f"{name}.onnx").stat().st_size for name in ("whole", "half"))
    assert half < 0.55 * whole


@pytest.mark.slow
@pytest.mark.parametrize("kind", (RenderNet, DepthNet, ADCN))
def test_nets_of_the_papers_size(tmp_path, kind):
    torch.manual_seed(0)
    differences = export_onnx(kind(preset("paper").model).eval(), tmp_path / "net.onnx")
    assert max(differences.values()) <= onnx_export.CLOSE


def test_each_net_by_command_with_its_own_weights_and_with_those_of_a_whole_model(tmp_path, capsys):
    torch.manual_seed(0)
    net = ADCN(preset("mini").model).eval()
    save_weights(net, tmp_path / "adcn.safetensors", "mini")
    torch.manual_seed(1)
    whole = BRADCN(preset("mini").model).eval()
    save_weights(whole, tmp_path / "whole.safetensors", "mini")
    image = torch.rand(1, 3, 64, 96)
    for name, expected in (("adcn", net), ("whole", whole.adcn)):
        out = tmp_path / f"{name}.onnx"
        weights = str(tmp_path / f"{name}.safetensors")
        assert main(["export", "adcn", "-o", str(out), "--weights", weights]) == 0
        assert "differs from torch by depth_error" in capsys.readouterr().out
        with torch.inference_mode():
            assert torch.allclose(torch.from_numpy(run(out, image)[0]), expected(image), atol=1e-4)


def test_bad_input_is_one_line_and_leaves_the_old_file(tmp_path, capsys, monkeypatch):
    out = tmp_path / "net.onnx"
    out.write_bytes(b"old")
    assert "must end in .onnx" in fails(capsys, "export", "adcn", "-o", tmp_path / "net.pt")
    line = fails(capsys, "export", "bradcn", "-o", out, "--preset", "paper")
    assert "--weights" in line
    line = fails(capsys, "export", "adcn", "-o", out, "--weights", tmp_path / "none.safetensors")
    assert "none.safetensors" in line
    depth = tmp_path / "depth.safetensors"
    save_weights(load_depth_net(), depth, "mini")
    assert "DepthNet" in fails(capsys, "export", "adcn", "-o", out, "--weights", depth)
    with pytest.raises(BradcnError, match="no ONNX form"):
        export_onnx(build("skn"), out)
    monkeypatch.setattr(onnx_export, "CLOSE", 0.0)  # so any rounding is too much
    assert "nothing was written" in fails(capsys, "export", "adcn", "-o", out)
    assert out.read_bytes() == b"old"


def test_without_the_libraries_the_remedy_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    line = fails(capsys, "export", "adcn", "-o", tmp_path / "net.onnx")
    assert "pip install onnx onnxruntime" in line and not (tmp_path / "net.onnx").exists()
