"""Kills at random moments, some inside a checkpoint's write: each run resumes to the same bits."""

import dataclasses
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
from safetensors import safe_open
from test_resume import tensors, tiny_preset, write_ebb, write_nets

from bradcn_nb.presets import Recipe
from bradcn_nb.training import fit, train

PATIENCE_S = 120
FILES = ("bradcn.safetensors", "bradcn-ema.safetensors", "checkpoint.safetensors")


def run(root: Path, run_dir: Path, **options) -> Path:
    """Train 2 epochs of 3 steps, the last ones uneven, a checkpoint after each step; the stage's
    folder.
    """
    recipe = Recipe(accumulate=2, clip=0.01, ema=0.9)
    tiny = dataclasses.replace(tiny_preset(epochs=2), recipe=recipe)
    init = {net: root / f"{net}.safetensors" for net in ("depth", "adcn")}
    shown = {"threads": 1, "progress": False, "checkpoint_every": 1} | options
    train(tiny, "stage2a", run_dir, init=init, data={"ebb": root / "ebb"}, **shown)
    return run_dir / "stage2a"


def run_as_group(root: Path, run_dir: Path) -> None:
    """Train, with a process that loads data, as a process group that gets SIGTERM at step 2."""
    os.setpgid(0, 0)
    multiprocessing.set_start_method("fork", force=True)
    update = fit.Fit._update

    def noted(self, *given):
        update(self, *given)
        if self.step == 2:
            os.killpg(0, signal.SIGTERM)

    fit.Fit._update = noted
    run(root, run_dir, num_workers=1, checkpoint_every=1000)


@pytest.fixture(scope="module")
def killer(tmp_path_factory):
    """A function that starts the run in a process of its own and kills it after some share of its
    time.

    With `aim` it waits for the next write of a checkpoint, which is short. It returns the folder of
    the stage, or None when the process was faster. `killer.whole` is the run that nobody killed.
    """
    root = tmp_path_factory.mktemp("kills")
    write_ebb(root / "ebb", 18)
    write_nets(root, tiny_preset())
    server = multiprocessing.get_context("forkserver")  # its children need not import torch again
    server.set_forkserver_preload(["test_kills"])

    def start(run_dir: Path) -> tuple[multiprocessing.Process, float]:
        child = server.Process(target=run, args=(root, run_dir))
        child.start()
        until = time.monotonic() + PATIENCE_S
        while not (run_dir / "stage2a" / "config.json").exists() and time.monotonic() < until:
            time.sleep(0.001)
        return child, time.monotonic()

    child, since = start(root / "whole")
    child.join(PATIENCE_S)
    assert child.exitcode == 0
    length = time.monotonic() - since

    def kill(number: int, share: float, aim: bool) -> Path | None:
        child, _ = start(root / f"killed{number}")
        stage = root / f"killed{number}" / "stage2a"
        time.sleep(share * length)
        while aim and child.is_alive() and not any(stage.glob(".checkpoint.*.tmp")):
            pass
        child.kill()
        child.join(PATIENCE_S)
        if child.exitcode == 0:
            return None
        assert child.exitcode == -signal.SIGKILL
        return stage

    kill.server, kill.root, kill.whole = server, root, root / "whole" / "stage2a"
    return kill


def kills(killer, count: int, seed: int) -> list[bool]:
    """Kill and resume `count` runs, and compare their ends; return which of them died in a
    write."""
    draw, in_write, number = random.Random(seed), [], 0
    while len(in_write) < count:
        number += 1
        assert number <= 3 * count, "most runs ended before they were killed"
        stage = killer(seed * 1000 + number, draw.random(), aim=number % 2 == 0)
        if stage is None:
            continue
        assert not (stage / "done.json").exists()
        in_write.append(any(stage.glob("*.tmp")))
        run(killer.root, stage.parent)
        for name in FILES:
            assert tensors(stage / name) == tensors(killer.whole / name), f"run {number}: {name}"
        assert (stage / "log.csv").read_bytes() == (killer.whole / "log.csv").read_bytes()
        assert not any(stage.glob("*.tmp"))
    return in_write


def test_the_run_that_is_to_be_killed_uses_all_state(killer):
    names = tensors(killer.whole / "checkpoint.safetensors")
    assert {name.partition("/")[0] for name in names} == {"model", "optimizer", "ema"}
    mean, last = (tensors(killer.whole / name) for name in FILES[1::-1])
    assert mean.keys() == last.keys() and mean != last
    rows = (killer.whole / "log.csv").read_text().splitlines()[1:]
    assert len(rows) == 6 and min(float(row.split(",")[5]) for row in rows) > 0.01  # all were cut


def test_two_kills_at_random_moments(killer):
    kills(killer, 2, seed=1)


def test_a_signal_to_the_whole_group_lets_the_step_end(killer):
    run_dir = killer.root / "group"
    child = killer.server.Process(target=run_as_group, args=(killer.root, run_dir))
    child.start()
    child.join(PATIENCE_S)
    assert child.exitcode == 128 + signal.SIGTERM
    with safe_open(run_dir / "stage2a" / "checkpoint.safetensors", "pt") as file:
        assert '"step": 2' in file.metadata()["progress"]
    stage = run(killer.root, run_dir)
    for name in FILES:
        assert tensors(stage / name) == tensors(killer.whole / name)


@pytest.mark.slow
def test_twenty_kills_at_random_moments(killer):
    in_write = kills(killer, 20, seed=2)
    print(f"{sum(in_write)} of 20 died inside a write")
    assert 3 <= sum(in_write) < 20
