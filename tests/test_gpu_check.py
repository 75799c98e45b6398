"""The GPU check, tried on a CPU: every part runs or says why not, and the file is whole after
each."""

import json
import subprocess
import sys

import pytest
import torch

from bradcn_nb.experiments.costs import estimate, gpu_check
from bradcn_nb.experiments.costs.gpu_check import Setting, check, parts
from bradcn_nb.experiments.costs.step_counts import stored_counts


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(gpu_check, "REPEATS", 1)
    monkeypatch.setattr(gpu_check, "chapter", lambda _: {"seconds": 1.0})  # the book's tests run it
    return Setting(torch.device("cpu"), quick=True)


def test_every_part_is_measured_or_named(quick, tmp_path, capsys):
    out = tmp_path / "gpu-step.json"
    result = check(quick, out, seconds=300)
    assert json.loads(out.read_text()) == result
    assert list(result["parts"]) == [name for name, _ in parts(quick)]
    for name, part in result["parts"].items():
        if "fp16" in name and "stage" in name:
            assert part == {"skipped": "fp16 is for GPUs"}
        elif name == "resume":
            assert part == {"same_bits": True, "largest_difference": 0.0}
        else:
            assert part.get("seconds", 0) > 0, (name, part)
    assert len(capsys.readouterr().out.splitlines()) == len(result["parts"])


def test_a_part_that_fails_is_written_down_and_the_next_one_runs(quick, tmp_path, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")

    some = [("first", full), ("second", lambda: {"seconds": 1.0})]
    monkeypatch.setattr(gpu_check, "parts", lambda _: iter(some))
    result = check(quick, tmp_path / "out.json", seconds=300)
    assert result["parts"]["first"]["failed"].endswith("CUDA out of memory. Tried to allocate")
    assert result["parts"]["second"] == {"seconds": 1.0}
    late = check(quick, tmp_path / "out.json", seconds=-1)
    assert set(late["parts"]["second"]) == {"skipped"}


def test_without_a_gpu_it_says_so():
    command = [sys.executable, "-m", "bradcn_nb.experiments.costs.gpu_check", "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("no GPU here")


def test_the_chapter_shows_measured_beside_counted_where_there_is_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(estimate, "data_root", lambda: tmp_path)
    counts = stored_counts()["768x512"]
    (line,) = estimate.measured_lines(counts)
    assert line.startswith("no GPU has been measured yet")
    (tmp_path / "results").mkdir()
    parts = {
        "stage1 fp32": {"seconds": 0.25, "peak_bytes": 4e9},
        "stage2a fp32": {"failed": "E: x"},
    }
    written = {"device": "A card", "torch": "2", "parts": parts}
    (tmp_path / "results" / "gpu-step.json").write_text(json.dumps(written))
    first, *stages = estimate.measured_lines(counts)
    assert first == "measured on A card, torch 2" and stages[0].startswith(
        "stage1: 0.250 s a step, 4.0 GB"
    )
    assert stages[1:] == ["stage2a: E: x", "stage2b: not reached"]
