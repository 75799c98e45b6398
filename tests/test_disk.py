"""A disk that is full or read-only: one line, nothing lost, the same bits once there is room."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import SafetensorError, safe_open
from test_resume import run_stage, tensors, tiny_preset, write_ebb, write_nets

from bradcn_nb import files
from bradcn_nb.errors import RunError
from bradcn_nb.training import checkpoint, log, loop

STAGE = "stage2a"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A folder with the data, and in `whole` the run that never lacked room."""
    root = tmp_path_factory.mktemp("disk")
    write_ebb(root / "ebb")
    write_nets(root, tiny_preset())
    run_stage(root, root / "whole")
    return root


def reached(stage: Path) -> int:
    """The step of a stage's checkpoint, which must be whole."""
    tensors(stage / "checkpoint.safetensors")
    with safe_open(stage / "checkpoint.safetensors", "pt") as file:
        return json.loads(file.metadata()["progress"])["step"]


def assert_same_end(one: Path, other: Path) -> None:
    assert tensors(one / "bradcn.safetensors") == tensors(other / "bradcn.safetensors")
    assert (one / "log.csv").read_bytes() == (other / "log.csv").read_bytes()
    strips = sorted(path.name for path in other.glob("samples/*"))
    assert strips == ["epoch-001.png", "epoch-002.png"]
    for name in strips:
        assert (one / "samples" / name).read_bytes() == (other / "samples" / name).read_bytes()


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def full_after_a_part(_tensors, path, **_):
    """What safetensors does on a full disk: half a file, and an error of its own."""
    path.write_bytes(b"half a file")
    raise SafetensorError("I/O error: No space left on device (os error 28)")


# What fails, from which of its calls on, and how; the file that the error names; the step kept.
# A run has 6 steps, a checkpoint every 2, rows of the log every 2 and at the epochs' ends (3, 6).
FAILURES = {
    "checkpoint": (checkpoint, "save_file", 2, full_after_a_part, "checkpoint.safetensors", 2),
    "checkpoint's name": (files, "sync_replace", 4, full, "checkpoint.safetensors", 2),
    "log": (log.Log, "_write", 4, full, "log.csv", 2),
    "strip": (log, "write_atomically", 2, full, "epoch-002.png", 4),
    "weights": (loop, "save_weights", 1, full, "bradcn.safetensors", 6),
    "the end's record": (files, "sync_replace", 8, full, "done.json", 6),
}


@pytest.mark.parametrize("what", FAILURES)
def test_a_full_disk_loses_nothing(whole, tmp_path, monkeypatch, what):
    owner, name, first, failure, file, step = FAILURES[what]
    works, calls = getattr(owner, name), []

    def failing(*given, **named):
        calls.append(1)
        return (works if len(calls) < first else failure)(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, failing)
        with pytest.raises(RunError, match="No space left on device") as error:
            run_stage(whole, tmp_path)
    message = str(error.value)
    assert file in message and "make room" in message and "\n" not in message
    stage = tmp_path / STAGE
    assert reached(stage) == step
    assert not list(tmp_path.rglob("*.tmp"))
    run_stage(whole, tmp_path)
    assert_same_end(stage, whole / "whole" / STAGE)


@pytest.fixture
def small_disk(tmp_path):
    """A function that mounts or resizes a file system in memory; skips where it may not."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(*options: str) -> Path:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)],
            capture_output=True,
            check=False,
        )
        if done.returncode:
            pytest.skip("mounting a small disk needs root on Linux")
        return folder

    if sys.platform != "linux":
        pytest.skip("needs Linux's tmpfs")
    yield mount
    subprocess.run(["umount", str(folder)], capture_output=True, check=False)


def test_a_really_full_disk(whole, small_disk):
    size = (whole / "whole" / STAGE / "checkpoint.safetensors").stat().st_size
    run = small_disk(f"size={int(1.5 * size) // 4096 * 4}k")  # room for one checkpoint, not for two
    with pytest.raises(RunError, match="checkpoint.safetensors: .*(space|os error 28)") as error:
        run_stage(whole, run)
    assert "\n" not in str(error.value)
    assert reached(run / STAGE) == 2
    small_disk("remount", "size=1g")
    run_stage(whole, run)
    assert_same_end(run / STAGE, whole / "whole" / STAGE)


def test_a_read_only_disk(whole, small_disk):
    run = small_disk("size=64m")
    small_disk("remount", "ro")
    with pytest.raises(RunError, match=f"{STAGE}: cannot be written .Read-only file system.;"):
        run_stage(whole, run)
    small_disk("remount", "rw")
    run_stage(whole, run)
    small_disk("remount", "ro")
    assert run_stage(whole, run).is_file()  # finished: nothing to write


def test_a_file_where_the_run_should_be(whole, tmp_path):
    (tmp_path / "run").write_text("not a folder")
    with pytest.raises(RunError, match="stage2a: cannot be written"):
        run_stage(whole, tmp_path / "run")
    assert (tmp_path / "run").read_text() == "not a folder"
