"""A run's copies: made in the background, in place, and whole when a machine is taken away."""

import os
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bradcn_nb.__main__ import main
from bradcn_nb.errors import RunError
from bradcn_nb.training import backup as module
from bradcn_nb.training.backup import HEADER, Backup

FILE = "checkpoint.safetensors"


def write(run: Path, step: int) -> None:
    (run / "stage0" / "samples").mkdir(parents=True, exist_ok=True)
    (run / "stage0" / "checkpoint.safetensors").write_text(f"weights {step}" * 1000)
    (run / "stage0" / "log.csv").write_text(f"log {step}")
    (run / "stage0" / "samples" / "epoch-001.png").write_text("large")
    (run / "stage0" / ".checkpoint.safetensors.7.tmp").write_text("half")


def restored(folder: Path, to: Path) -> dict[str, str]:
    with Backup(to, folder):
        return {str(p.relative_to(to)): p.read_text() for p in to.rglob("*") if p.is_file()}


def copies(run: Path, folder: Path, steps: range) -> None:
    for step in steps:
        with Backup(run, folder):
            write(run, step)
            os.utime(run / "stage0" / "log.csv", ns=(step + 1, 2**62 + step))


def test_the_newest_copy_comes_back_without_pictures_and_halves(tmp_path):
    copies(tmp_path / "run", tmp_path / "kept", range(3))
    there = restored(tmp_path / "kept", tmp_path / "other")
    assert there == {
        "stage0/checkpoint.safetensors": "weights 2" * 1000,
        "stage0/log.csv": "log 2",
    }


def test_files_are_overwritten_in_place_in_turn(tmp_path):
    run, folder = tmp_path / "run", tmp_path / "kept"
    copies(run, folder, range(2))
    inodes = {path: path.stat().st_ino for path in folder.iterdir()}
    first = (folder / "run-0.tar").read_bytes()
    copies(run, folder, range(2, 3))
    assert {path: path.stat().st_ino for path in folder.iterdir()} == inodes
    assert len(inodes) == 2 and (folder / "run-0.tar").read_bytes() != first


@pytest.mark.parametrize("damage", ["header", "cut", "flipped"])
def test_a_copy_that_was_cut_off_leaves_the_one_before(tmp_path, damage):
    run, folder = tmp_path / "run", tmp_path / "kept"
    copies(run, folder, range(2))
    newest = folder / "run-1.tar"
    whole = bytearray(newest.read_bytes())
    if damage == "header":
        whole[:HEADER] = b" " * HEADER
    elif damage == "flipped":
        whole[HEADER + 700] ^= 1
    newest.write_bytes(whole[:-600] if damage == "cut" else whole)
    there = restored(folder, tmp_path / "other")
    assert there["stage0/log.csv"] == "log 0"
    copies(run, folder, range(5, 6))  # and the next one takes the damaged one's place
    assert restored(folder, tmp_path / "third")["stage0/log.csv"] == "log 5"


def test_a_run_that_is_there_is_left_alone(tmp_path):
    copies(tmp_path / "run", tmp_path / "kept", range(1))
    write(tmp_path / "run", 9)
    assert restored(tmp_path / "kept", tmp_path / "run")["stage0/log.csv"] == "log 9"


def test_copies_are_made_while_the_run_goes_on(tmp_path):
    run, folder = tmp_path / "run", tmp_path / "kept"
    with Backup(run, folder, seconds=0.01):
        write(run, 1)
        limit = time.monotonic() + 20
        while not any(map(module._number, Backup(run, folder).slots)):
            assert time.monotonic() < limit
            time.sleep(0.01)


def test_a_full_drive_does_not_stop_the_run(tmp_path, monkeypatch):
    def full(self):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Backup, "_copy", full)
    with Backup(tmp_path / "run", tmp_path / "kept") as backup:
        write(tmp_path / "run", 1)
    assert backup.error.strerror == "No space left on device"
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot keep a run"), Backup(tmp_path, tmp_path / "file"):
        pass


def test_a_machine_that_is_taken_away_loses_nothing(tmp_path, capsys):
    """The same command, on a new disk, goes on and ends as if nothing had happened."""
    kept, words = tmp_path / "kept", ["--set", "stage0.epochs=1", "stage0.samples_per_epoch=16"]
    words = ["train", "stage0", *words, "--threads", "1", "--quiet", "--backup", str(kept)]
    assert main([*words, "--run", str(tmp_path / "first"), "--max-steps", "3"]) == 0
    assert main([*words, "--run", str(tmp_path / "second")]) == 0
    assert main([*words[:-2], "--run", str(tmp_path / "calm")]) == 0
    ends = [load_file(tmp_path / name / "stage0" / FILE) for name in ("second", "calm")]
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    log = (tmp_path / "second" / "stage0" / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in log[1:]] == [str(n) for n in range(1, len(log))]
