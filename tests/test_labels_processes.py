"""Labels made by two real processes: shared work, one of them killed, and what is left behind."""

import os
import subprocess
import sys
from pathlib import Path

import label_worker
import pytest
from label_worker import frames, make
from test_labels import contents, sun  # noqa: F401 (a fixture)

from bradcn_nb.files import data_root
from bradcn_nb.training import labels

ROOT = Path(__file__).resolve().parents[1]


def launch(*arguments, timeout=120):
    """Run a program in two processes (gloo) as `accelerate launch` does it; nothing outlives it."""
    flags = ["--multi_gpu", "--num_processes=2", "--num_machines=1", "--mixed_precision=no"]
    flags += ["--dynamo_backend=no", "--main_process_port=0"]
    return subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", *flags, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def test_two_processes_share_the_work_and_a_killed_one_loses_nothing(sun, tmp_path):  # noqa: F811
    alone = contents(make(sun, tmp_path / "alone"))
    done = launch(label_worker.__file__, sun, tmp_path)
    assert done.returncode != 0, "a killed process must end the run with an error"
    # Every frame once, by one of the two; the bytes are those of one process.
    shares = [int((tmp_path / f"batches-{rank}").read_text()) for rank in (0, 1)]
    assert sorted(shares) == [2, 3], done.stderr
    assert contents(tmp_path / "whole") == alone

    left = [path for path in (tmp_path / "killed").rglob("*.png") if path.name[0] != "."]
    assert 1 <= len(left) < 5
    times = [path.stat().st_mtime_ns for path in left]
    assert contents(make(sun, tmp_path / "killed")) == alone
    assert [path.stat().st_mtime_ns for path in left] == times
    assert len(labels.LabelSet(frames(sun), tmp_path / "killed", "w" * 64)) == 5


@pytest.mark.slow
def test_the_command_in_two_processes(tmp_path):
    depth = data_root() / "weights" / "depth-mini.safetensors"
    command = ["-m", "bradcn_nb", "labels", "--quiet", "--depth", depth, "--out"]
    done = launch(*command, tmp_path / "two")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"labels: {tmp_path / 'two'}\n"
    one = subprocess.run([sys.executable, *command, tmp_path / "one"], cwd=ROOT, check=True)
    assert one.returncode == 0
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
