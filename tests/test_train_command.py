"""`train` at the command line, and what it shows and writes while it trains."""

import csv
import errno
import fcntl
import io
import json
import os
import pty
import struct
import sys
import termios
import threading
from pathlib import Path

import pytest
import torch
from PIL import Image
from test_resume import SIZE, tensors, tiny_preset, write_ebb, write_nets

from bradcn_nb.__main__ import main
from bradcn_nb.errors import RunError
from bradcn_nb.presets import PRESETS
from bradcn_nb.training import fit, log, screen
from bradcn_nb.training.devices import memory_bytes
from bradcn_nb.training.log import Board, Row


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("command")
    write_ebb(root / "ebb", 7, 5)
    write_nets(root, tiny_preset())
    return root


@pytest.fixture
def command(root, tmp_path, monkeypatch):
    """Run `train stage2a` of a tiny preset in `tmp_path`/run, with more options; the exit
    status."""
    monkeypatch.setitem(PRESETS, "mini", tiny_preset())
    fixed = ["train", "stage2a", "--run", tmp_path / "run", "--ebb", root / "ebb", "--threads", 1]
    fixed += ["--depth", root / "depth.safetensors", "--adcn", root / "adcn.safetensors"]
    return lambda *more: main([str(word) for word in (*fixed, *more)])


def events(stage):
    """TensorBoard's own reading of a stage's events."""
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = reader.EventAccumulator(str(stage / "tensorboard"), size_guidance={"scalars": 0})
    found.Reload()
    return found


def test_options_that_change_the_weights_belong_to_the_run(command, tmp_path, capsys):
    given = ("--accumulate", 2, "--clip", 0.5, "--ema", 0.9, "--precision", "fp32")
    assert command(*given, "--max-steps", 2, "--quiet") == 0
    config = json.loads((tmp_path / "run" / "stage2a" / "config.json").read_text())
    wanted = {"precision": "fp32", "accumulate": 2, "clip": 0.5, "ema": 0.9}
    assert config["preset"]["recipe"] == wanted
    capsys.readouterr()
    assert command("--accumulate", 2, "--max-steps", 2, "--quiet") == 2
    line = capsys.readouterr().err
    assert "other settings (preset.recipe.clip, preset.recipe.ema)" in line
    assert line.startswith("error: ") and line.count("\n") == 1


def test_resume_auto_is_the_default(command, tmp_path, capsys):
    assert command("--resume", "require", "--quiet") == 2
    assert "no checkpoint to resume from; start with --resume auto" in capsys.readouterr().err
    assert command("--max-steps", 2, "--quiet") == 0
    made = (tmp_path / "run" / "stage2a" / "bradcn.safetensors").stat().st_mtime_ns
    for again in ((), ("--resume", "auto"), ("--resume", "require")):
        assert command("--max-steps", 2, "--quiet", *again) == 0
        assert (tmp_path / "run" / "stage2a" / "bradcn.safetensors").stat().st_mtime_ns == made
    assert command("--max-steps", 2, "--quiet", "--resume", "fresh") == 0
    assert (tmp_path / "run" / "stage2a-old-1" / "bradcn.safetensors").stat().st_mtime_ns == made


def test_a_finished_file_that_was_spoiled_is_made_again(command, tmp_path):
    assert command("--max-steps", 2, "--quiet") == 0
    final = tmp_path / "run" / "stage2a" / "bradcn.safetensors"
    before = tensors(final)
    final.write_bytes(b"spoiled")
    assert command("--max-steps", 2, "--quiet") == 0
    assert tensors(final) == before


def test_a_damaged_picture_is_one_line_from_a_worker_too(command, root, tmp_path, capsys):
    write_ebb(tmp_path / "ebb", 4, 1)
    damaged = tmp_path / "ebb" / "bokeh" / "2.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    assert command("--ebb", tmp_path / "ebb", "--workers", 1, "--quiet") == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ") and "2.png" in line and "Traceback" not in line


def test_strips_every_n_steps(command, tmp_path):
    five = ("--set", "data.check_items=5", "--quiet")
    assert command("--strip-every", 2, "--max-steps", 3, *five) == 0
    strips = sorted((tmp_path / "run" / "stage2a" / "samples").iterdir())
    assert [path.name for path in strips] == ["step-0000002.png", "step-0000003.png"]
    with Image.open(strips[0]) as strip:  # 4 rows of input, depth, error, output, truth
        height, width = 2 * SIZE[0], 2 * SIZE[1]
        assert strip.size == (5 * width + 4 * 2, 4 * height + 3 * 2)


def test_tensorboard_has_what_the_csv_has_and_forgets_what_was_not_kept(
    command, tmp_path, monkeypatch
):
    update = fit.Fit._update

    def interrupted(self, *given):
        if self.step == 3:
            raise KeyboardInterrupt
        update(self, *given)

    options = ("--tensorboard", "--quiet", "--clip", 1, "--max-steps", 4)
    with monkeypatch.context() as patch:  # steps 1 to 3 are logged, no checkpoint is written
        patch.setattr(fit, "FLUSH_BATCHES", 1)
        patch.setattr(fit.Fit, "_update", interrupted)
        assert command(*options) == 130
    stage = tmp_path / "run" / "stage2a"
    assert [event.step for event in events(stage).Scalars("loss")] == [1, 2, 3]
    assert command(*options) == 0
    found = events(stage)
    with open(stage / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for name in ("loss", "lr", "norm", "check"):
        wanted = {int(row["step"]): float(row[name]) for row in rows if row[name]}
        assert wanted and {e.step: e.value for e in found.Scalars(name)} == pytest.approx(wanted)
        assert len(found.Scalars(name)) == len(wanted)  # none twice
    assert found.Scalars("items_per_second")[-1].value > 0
    assert 0.05 < found.Scalars("memory_gb")[-1].value < 64
    assert [event.step for event in found.Images("samples")] == [2, 4]


def test_tensorboard_that_is_not_installed(command, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert command("--tensorboard", "--quiet") == 2
    assert "pip install tensorboard" in capsys.readouterr().err


def test_tensorboard_on_a_full_disk_is_one_line(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    board = Board(tmp_path / "tensorboard", 0)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(board.writer, "flush", full)
    with pytest.raises(RunError, match="tensorboard: cannot be written .No space"):
        board.rows([Row(1, 1, 0.5, 0.1)])


def test_memory_is_that_of_this_process():

    status = Path("/proc/self/status")
    if not status.is_file():
        pytest.skip("what to compare with is Linux's")
    held = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
    told = memory_bytes(torch.device("cpu"))
    assert told == pytest.approx(1024 * int(held.split()[1]), rel=0.05)


def shown(width: int | None, act) -> str:
    """What `act` writes to stderr: to a terminal of `width` columns, or to a file."""
    if width is None:
        stream = io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stderr", stream)
            act()
        return stream.getvalue()
    parent, child = pty.openpty()
    text: list[bytes] = []

    def read() -> None:
        try:
            while data := os.read(parent, 65536):
                text.append(data)
        except OSError:  # how Linux says that the other side was closed
            pass

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(child, "w") as stream, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        patch.setenv("COLUMNS", str(width))
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        act()
    reader.join(10)
    os.close(parent)
    return b"".join(text).decode()


def reports() -> None:
    """Three reports of a stage, each after 2000 s, at their most verbose."""
    with screen.Screen("stage2a", 30, 132_000, 4400, True) as seen:
        for epoch in (12, 13, 14):
            seen.phase("checks")
            for clock in ("last_print_t", "start_t"):
                setattr(seen.bar, clock, getattr(seen.bar, clock) - 2000)
            seen.since -= 2000
            seen.update(epoch, 4400, [0.25, 0.75], 4.9e-05, 12_345_678_901)


def test_the_bar_fits_a_terminal_and_says_it_all():
    drawn = [line for line in shown(80, reports).replace("\n", "\r").split("\r") if line.strip()]
    assert all(len(line) <= 80 for line in drawn)
    assert any("stage2a checks" in line for line in drawn)
    last = drawn[-1]
    for part in ("stage2a 14/30  13%|", "|14:26:", " left, 2.2 img/s, loss 0.50", ", lr 4.9e-05, "):
        assert part in last, last
    assert last.rstrip().endswith("12.3 GB")


def test_a_log_file_gets_whole_lines():
    lines = shown(None, reports).splitlines(keepends=True)
    assert len(lines) >= 4 and all(line.endswith("\n") for line in lines)
    assert not any(odd in line for line in lines for odd in ("\r", "\x1b", "|", "checks"))
    assert lines[-1].startswith("stage2a 14/30  13% 14:26:") and "loss 0.50" in lines[-1]


def test_a_log_file_gets_them_now_and_then():
    def quick() -> None:
        with screen.Screen("stage2a", 2, 1000, 0, True) as seen:
            for _ in range(1000):
                seen.update(1, 1, [0.5], 0.1, 0)

    assert len(shown(None, quick).splitlines()) <= 3  # its first and its last


def test_the_shown_loss_is_a_running_mean():
    with screen.Screen("stage", 1, 10, 0, False) as seen:
        seen.update(1, 1, [3.0], 0.1, 0)
        assert seen.mean / seen.weight == pytest.approx(3.0)
        seen.update(1, 1, [1.0] * 500, 0.1, 0)
        assert seen.mean / seen.weight == pytest.approx(1.0, abs=1e-3)


def test_a_log_that_takes_only_a_part_writes_the_rest(tmp_path):
    kept = log.Log(tmp_path / "log.csv", None)
    kept.file.close()

    class Slow(io.BytesIO):
        def write(self, data):
            return super().write(data[:5])

    kept.file = Slow()
    kept.rows([Row(1, 1, 0.5, 0.125, check=30.0), Row(2, 1, 0.25, 0.125, norm=2.0)])
    assert kept.file.getvalue() == b"1,1,0.5,0.125,30,\n2,1,0.25,0.125,,2\n"
