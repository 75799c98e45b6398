"""`report`: curves and state of finished, running, broken and archived runs."""

import gzip
import json
import os

import numpy as np
import pytest
from PIL import Image
from test_cli import fails

from bradcn_nb.__main__ import main
from bradcn_nb.errors import RunError
from bradcn_nb.figures.curves import as_text, curves_of, read_log, read_run, smoothed, window_of
from bradcn_nb.files import data_root

HEADER = "step,epoch,loss,lr,check,grad_norm\n"  # a column that the report does not know


def row(step: int, per_epoch: int = 10) -> str:
    check = f"{20 + 5 * np.sin(step / 10):.6g}" if step % per_epoch == 0 else ""
    return f"{step},{(step - 1) // per_epoch + 1},{1 / step:.9g},5e-05,{check},{step % 7}\n"


def write_stage(folder, name: str, steps: int, planned: int, net: str, done: bool = False) -> None:
    stage = folder / name
    stage.mkdir(parents=True)
    config = {"preset": {"stages": [{"name": name, "net": net}]}, "steps": planned}
    (stage / "config.json").write_text(json.dumps(config))
    (stage / "log.csv").write_text(HEADER + "".join(row(step) for step in range(1, steps + 1)))
    os.utime(stage / "config.json", (1000, 1000))
    os.utime(stage / "log.csv", (1000 + 4000, 1000 + 4000))
    if done:
        (stage / "done.json").write_text(json.dumps({"steps": planned}))
        os.utime(stage / "done.json", (1000 + 7505, 1000 + 7505))


@pytest.fixture
def run(tmp_path):
    """A run whose first stage is finished and whose second one is on its way."""
    folder = tmp_path / "run"
    write_stage(folder, "stage1", 200, 200, "adcn", done=True)
    write_stage(folder, "stage2a", 125, 400, "bradcn")
    return folder


def test_smoothed_against_a_loop():
    rng = np.random.default_rng(0)
    values = rng.random(50)
    values[[0, 7, 8, 9, 49]] = np.nan
    for window in (1, 2, 3, 10):
        for i, mean in enumerate(smoothed(values, window)):
            near = values[max(0, i - (window - 1) // 2) : i + window // 2 + 1]
            near = near[np.isfinite(near)]
            np.testing.assert_allclose(mean, near.mean() if len(near) else np.nan, rtol=1e-9)


def test_a_run_that_goes_on(run, capsys):
    assert main(["report", str(run)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "2 stages begun, 1 finished" in out
    assert "stage1: finished, step 200 of 200, epoch 20" in out
    assert "stage2a: step 125 of 400, epoch 13" in out
    assert "2 h 5 min" in out and "1 h 6 min" in out  # config.json to done.json, or to log.csv
    checks = {step: 20 + 5 * np.sin(step / 10) for step in range(10, 201, 10)}
    lowest, highest = min(checks, key=checks.get), max(list(checks)[:12], key=checks.get)
    assert f"best {checks[lowest]:.4g}, step {lowest} (error, m)" in out
    assert f"best {checks[highest]:.4g}, step {highest} (PSNR, dB)" in out
    with Image.open(run / "report" / "curves.png") as picture:
        assert picture.format == "PNG" and min(picture.size) > 500
        shades = np.asarray(picture.convert("RGB")).reshape(-1, 3)
        assert len(np.unique(shades, axis=0)) > 50  # curves, not an empty sheet
    before = [log.rows for log in read_run(run)]
    assert main(["report", str(run)]) == 0  # its own folder is no stage
    assert [log.rows for log in read_run(run)] == before


def test_curves_show_the_log(run):
    logs = read_run(run)
    figure = curves_of(logs)
    assert len(figure.axes) == 6
    for number, log in enumerate(logs):
        raw, check, rate = figure.axes[3 * number : 3 * number + 3]
        np.testing.assert_array_equal(raw.lines[0].get_ydata(), log.columns["loss"])
        mean = smoothed(log.columns["loss"], window_of(log))
        np.testing.assert_array_equal(raw.lines[1].get_ydata(), mean)
        assert raw.lines[0].get_alpha() < 0.5 and raw.lines[1].get_alpha() is None
        np.testing.assert_array_equal(check.lines[0].get_xdata(), np.arange(10, log.rows + 1, 10))
        np.testing.assert_array_equal(rate.lines[0].get_ydata(), np.full(log.rows, 5e-5))


@pytest.mark.parametrize("tail", ["126,13,0.0", "126,13,0.00", "126,13,0.5,5e-05", "126,13,x\n"])
def test_half_written_last_row(run, tail):
    with open(run / "stage2a" / "log.csv", "a") as log:
        log.write(tail)
    whole = read_run(run)[1]
    assert whole.cut and whole.rows == 125
    assert "half-written" in as_text(run, [whole])


def test_a_row_that_ends_is_whole(run):
    with open(run / "stage2a" / "log.csv", "a") as log:
        log.write(row(126))
    columns, cut = read_log(run / "stage2a" / "log.csv")
    assert not cut and columns["step"][-1] == 126 and columns["grad_norm"][-1] == 0


def test_three_steps_no_check_and_nothing_at_all(tmp_path, capsys):
    write_stage(tmp_path / "few", "stage2b", 3, 3, "bradcn")
    write_stage(tmp_path / "none", "stage2b", 0, 3, "bradcn")
    for name, state in (("few", "step 3 of 3"), ("none", "no step logged yet")):
        assert main(["report", str(tmp_path / name)]) == 0
        assert state in capsys.readouterr().out
        assert (tmp_path / name / "report" / "curves.png").stat().st_size > 5000


def test_bundled_logs_and_a_single_stage(tmp_path, capsys):
    kept = data_root() / "weights" / "logs"
    assert main(["report", str(kept), "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    for stage in ("stage0", "stage1", "stage2a", "stage2b"):
        rows = gzip.decompress((kept / f"{stage}.csv.gz").read_bytes()).decode().splitlines()
        assert f"{stage}: step {len(rows) - 1:,}," in out
    assert (tmp_path / "curves.png").is_file() and not (kept / "report").exists()
    write_stage(tmp_path, "stage1", 20, 20, "adcn")
    (log,) = read_run(tmp_path / "stage1")
    assert (log.name, log.net, log.rows) == ("stage1", "adcn", 20)


def test_a_run_that_was_moved_aside_is_left_out(run):
    (run / "stage2a").rename(run / "stage2a-old-1")
    assert [log.name for log in read_run(run)] == ["stage1"]


def test_other_settings_files_do_not_stop_it(run):
    (run / "stage2a" / "config.json").write_text("{")
    log = read_run(run)[1]
    assert (log.planned, log.seconds, log.net) == (None, None, "bradcn")  # as the presets name it


def test_no_run_is_one_line(tmp_path, capsys):
    assert "no such folder" in fails(capsys, "report", tmp_path / "none")
    assert "no run" in fails(capsys, "report", tmp_path)
    log = tmp_path / "stage1" / "log.csv"
    log.parent.mkdir()
    log.write_text("")
    assert "log.csv: no column step, epoch, loss" in fails(capsys, "report", tmp_path)
    log.write_text("a,b\n1,2\n")
    assert "no log of a training" in fails(capsys, "report", tmp_path)
    log.write_text(HEADER + row(1) + "2,x\n" + row(3))
    assert "line 3 is damaged" in fails(capsys, "report", tmp_path)
    log.write_bytes(b"\xff\xfe")
    assert "cannot be read" in fails(capsys, "report", tmp_path)
    log.unlink()
    archive = bytearray(gzip.compress((HEADER + row(1) * 99).encode()))
    for damage in (b"no archive", bytes(archive[:-20]), bytes(archive[:12] + b"\xff" * 40)):
        (tmp_path / "stage1.csv.gz").write_bytes(damage)
        assert "stage1.csv.gz: cannot be read" in fails(capsys, "report", tmp_path)
    assert not (tmp_path / "report").exists()


def test_an_old_picture_survives_what_cannot_be_read(run):
    (run / "report").mkdir()
    (run / "report" / "curves.png").write_bytes(b"earlier")
    (run / "stage1" / "log.csv").write_text("nothing\n")
    with pytest.raises(RunError):
        read_run(run)
    assert main(["report", str(run)]) == 2
    assert (run / "report" / "curves.png").read_bytes() == b"earlier"
