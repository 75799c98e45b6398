"""A run that is really killed and started again ends with the bits of one that was left alone."""

import dataclasses
import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from bradcn_nb import files
from bradcn_nb.models import ADCN, DepthNet, save_weights
from bradcn_nb.presets import Preset, preset
from bradcn_nb.training import fit, loop

SIZE = (32, 48)


def tiny_preset(epochs: int = 2) -> Preset:
    """The mini preset with narrow nets and 32x48 pictures: a step takes some 30 ms."""
    mini = preset("mini")
    model = dataclasses.replace(
        mini.model,
        image_size=SIZE,
        pos_grid=(2, 3),
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
        adcn_widths=(4, 8),
    )
    stages = tuple(
        dataclasses.replace(s, epochs=epochs, samples_per_epoch=8 if s.data == "scenes" else None)
        for s in mini.stages
    )
    data = dataclasses.replace(mini.data, train_size=SIZE, sun_counts=(6, 3), check_items=3)
    return dataclasses.replace(mini, model=model, stages=stages, data=data)


def write_ebb(root: Path, train: int = 10, test: int = 3) -> Path:
    """Write random pairs in EBB!'s layout: `train` from 0 on, `test` from 4400 on."""
    rng = np.random.default_rng(0)
    for folder in ("original", "bokeh"):
        (root / folder).mkdir(parents=True)
        for number in [*range(train), *range(4400, 4400 + test)]:
            coarse = rng.integers(0, 256, (4, 6, 3), np.uint8)
            Image.fromarray(coarse).resize(SIZE[::-1]).save(root / folder / f"{number}.png")
    return root


def write_nets(root: Path, tiny: Preset) -> dict[str, Path]:
    """Write untrained weights of the two nets that stage 2 starts from."""
    torch.manual_seed(1)
    files = {"depth": root / "depth.safetensors", "adcn": root / "adcn.safetensors"}
    save_weights(DepthNet(tiny.model), files["depth"], tiny.name)
    save_weights(ADCN(tiny.model), files["adcn"], tiny.name)
    return files


def run_stage(root: Path, run_dir: Path, stage: str = "stage2a") -> Path:
    """Run a stage with the data and nets below `root`; 2 epochs of 3 steps, checkpoint every 2."""
    tiny = tiny_preset()
    files = {"depth": root / "depth.safetensors", "adcn": root / "adcn.safetensors"}
    return loop.train(
        tiny,
        stage,
        run_dir,
        init=files,
        data={"ebb": root / "ebb"},
        checkpoint_every=2,
        threads=1,
        progress=False,
    )


def die_at_step(step: int, how: signal.Signals) -> None:
    """Make this process signal itself inside its `step`-th step, after the forward pass."""
    compare, calls = fit.compare, []

    def deadly(stage, net, batch):
        result = compare(stage, net, batch)
        if net.training:
            calls.append(1)
            if len(calls) == step:
                os.kill(os.getpid(), how)
        return result

    fit.compare = deadly


def die_in_write(number: int) -> None:
    """Make this process kill itself in its `number`-th checkpoint, before the file has its name."""
    replace, calls = files.sync_replace, []

    def deadly(temporary, target):
        if target.name == "checkpoint.safetensors":
            calls.append(1)
            if len(calls) == number:
                os.kill(os.getpid(), signal.SIGKILL)
        replace(temporary, target)

    files.sync_replace = deadly


def run_and_die(root: Path, run_dir: Path, death: str) -> None:
    """Run the stage in this process, which kills itself as told: "step:N" or "write:N"."""
    kind, _, count = death.partition(":")
    die_in_write(int(count)) if kind == "write" else die_at_step(int(count), signal.SIGKILL)
    run_stage(root, run_dir)


def start(root: Path, run_dir: Path, death: str) -> int:
    """Call `run_and_die` in a process of its own; return its exit status."""
    server = multiprocessing.get_context("forkserver")  # its children need not import torch again
    server.set_forkserver_preload(["test_resume"])
    child = server.Process(target=run_and_die, args=(root, run_dir, death))
    child.start()
    child.join(120)
    return child.exitcode


def tensors(path: Path) -> dict[str, bytes]:
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name).numpy().tobytes() for name in file.keys()}  # noqa: SIM118


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, Path, Path]:
    """The data, and the weights and log of the run that nothing interrupts."""
    root = tmp_path_factory.mktemp("resume")
    write_ebb(root / "ebb")
    write_nets(root, tiny_preset())
    final = run_stage(root, root / "whole")
    return root, final, root / "whole" / "stage2a" / "log.csv"


def test_log_of_the_whole_run(whole):
    rows = whole[2].read_text().splitlines()
    assert rows[0] == "step,epoch,loss,lr,check,norm"
    assert [row.split(",")[0] for row in rows[1:]] == [str(n) for n in range(1, 7)]
    assert [bool(row.split(",")[4]) for row in rows[1:]] == [False, False, True] * 2


def test_killed_run_ends_with_the_same_bits(whole, tmp_path):
    root, final, log = whole
    assert start(root, tmp_path, "step:4") == -signal.SIGKILL  # checkpoint of step 2
    assert len((tmp_path / "stage2a" / "log.csv").read_text().splitlines()) >= 4
    assert start(root, tmp_path, "write:2") == -signal.SIGKILL  # step 6; keeps that of step 4
    assert not (tmp_path / "stage2a" / "done.json").exists()
    with safe_open(tmp_path / "stage2a" / "checkpoint.safetensors", "pt") as file:
        assert '"step": 4' in file.metadata()["progress"]
    again = run_stage(root, tmp_path)
    assert tensors(again) == tensors(final)
    assert (tmp_path / "stage2a" / "log.csv").read_bytes() == log.read_bytes()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_writes_a_checkpoint(whole, tmp_path, monkeypatch, how):
    root, final, log = whole
    with monkeypatch.context() as patch:
        patch.setattr(fit, "compare", fit.compare)  # so that the change below is undone
        die_at_step(2, how)
        with pytest.raises(KeyboardInterrupt if how == signal.SIGINT else SystemExit) as stopped:
            run_stage(root, tmp_path)
    assert "step 2 of 6" in str(stopped.value) or stopped.value.code == 143
    with safe_open(tmp_path / "stage2a" / "checkpoint.safetensors", "pt") as file:
        assert '"step": 2' in file.metadata()["progress"]
    again = run_stage(root, tmp_path)
    assert tensors(again) == tensors(final)
    assert (tmp_path / "stage2a" / "log.csv").read_bytes() == log.read_bytes()
