"""Several processes: one's gradients with a larger batch, exact resume, no hang when one dies."""

import dataclasses
import json
import multiprocessing
import os
import signal
import socket
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from test_resume import tensors, tiny_preset, write_ebb, write_nets
from test_training import write_sun

from bradcn_nb.errors import RunError
from bradcn_nb.presets import Preset, Recipe
from bradcn_nb.training import fit, make_run_labels, train

PATIENCE_S = 120


@dataclasses.dataclass(frozen=True)
class Case:
    """One step of `stage` on `items` items: `batch` in each of two processes, or all in one."""

    stage: str
    items: int
    batch: int
    accumulate: int = 1

    def preset(self, processes: int) -> Preset:
        tiny = tiny_preset()
        together = 2 * self.batch * self.accumulate  # in one process, as one batch
        stages = tuple(
            dataclasses.replace(s, batch=self.batch if processes == 2 else together)
            for s in tiny.stages
        )
        recipe = Recipe(accumulate=self.accumulate if processes == 2 else 1)
        data = dataclasses.replace(tiny.data, sun_counts=(self.items, 3))
        return dataclasses.replace(tiny, stages=stages, recipe=recipe, data=data)

    def folder(self, root: Path, processes: int) -> Path:
        name = f"{self.stage}-{self.items}-{self.batch}-{self.accumulate}"
        return root / f"{processes}-processes" / name

    def run(self, root: Path, processes: int) -> None:
        """Take the step."""
        data = {name: root / f"{name}{self.items}" for name in ("ebb", "labels")}
        options = {"threads": 1, "progress": False, "max_steps": 1}
        data["sun"] = root / "sun"
        run_dir = self.folder(root, processes)
        train(self.preset(processes), self.stage, run_dir, init=nets(root), data=data, **options)


CASES = {
    "even": Case("stage2a", items=4, batch=2),
    "masked and uneven": Case("stage1", items=5, batch=4),
    "fewer items than processes": Case("stage2a", items=1, batch=2),
    "accumulated and uneven": Case("stage2a", items=7, batch=2, accumulate=2),
}


def nets(root: Path) -> dict[str, Path]:
    return {name: root / f"{name}.safetensors" for name in ("depth", "adcn")}


def long_run(root: Path, run_dir: Path, stop_at: int | None, epochs: int = 2, **options) -> int:
    """Train epochs of 3 steps, the last ones uneven; process 1 is asked to stop at a step."""
    update, process = fit.Fit._update, int(os.environ.get("RANK", "0"))

    def noted(self, *given):
        update(self, *given)
        if self.step == stop_at and process == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    fit.Fit._update = noted
    tiny = dataclasses.replace(tiny_preset(epochs), recipe=Recipe(ema=0.9, clip=1.0))
    data, shown = {"ebb": root / "ebb21"}, {"threads": 1, "progress": False}
    try:
        train(tiny, "stage2a", run_dir, init=nets(root), data=data, **shown, **options)
        return 0
    except SystemExit as stopped:
        return stopped.code
    finally:
        fit.Fit._update = update


def work(root: Path, process: int, port: int) -> None:
    """What each of two processes does; the last run ends only when one of them is killed."""
    own = {"RANK": process, "LOCAL_RANK": process, "WORLD_SIZE": 2, "MASTER_PORT": port}
    os.environ |= {"MASTER_ADDR": "127.0.0.1"} | {name: str(value) for name, value in own.items()}
    for case in CASES.values():
        case.run(root, 2)
    long_run(root, root / "whole", None)
    stopped = {"code": long_run(root, root / "stopped", 2)}
    stopped["log"] = (root / "stopped" / "stage2a" / "log.csv").read_text()
    long_run(root, root / "stopped", None)
    if process == 0:
        (root / "stopped.json").write_text(json.dumps(stopped))
    try:
        long_run(root, root / "endless", None, epochs=10**6, checkpoint_every=2)
    except RunError as error:
        (root / f"error{process}").write_text(str(error))
        raise


def wait_for(path: Path, workers: list[multiprocessing.Process]) -> None:
    """Wait until `path` is there; fail when the processes end or hang instead."""
    until = time.monotonic() + PATIENCE_S
    while not path.exists():
        assert all(worker.is_alive() for worker in workers), f"ended before {path.name}"
        assert time.monotonic() < until, f"no {path.name} in {PATIENCE_S} s"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The folder of the data and of all runs, and the two processes, in their last run."""
    root = tmp_path_factory.mktemp("processes")
    for items in (1, 4, 7, 21):
        write_ebb(root / f"ebb{items}", items, 2)
    write_sun(root / "sun", holes=True)
    write_nets(root, tiny_preset())
    masked = CASES["masked and uneven"].preset(1)
    labels, depth = root / "labels5", nets(root)["depth"]
    make_run_labels(masked, depth, out_dir=labels, sun=root / "sun", progress=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = multiprocessing.get_context("forkserver")  # its children need not import torch again
    server.set_forkserver_preload(["test_processes"])
    workers = [server.Process(target=work, args=(root, n, port), daemon=True) for n in (0, 1)]
    for worker in workers:
        worker.start()
    try:
        for case in CASES.values():
            case.run(root, 1)
        wait_for(root / "stopped.json", workers)
        yield root, workers
    finally:
        for worker in workers:
            worker.kill()
            worker.join(PATIENCE_S)


def gradients(stage: Path) -> dict[str, torch.Tensor]:
    """The gradients of a run's only step: Adam's first moment is (1 - 0.9) times them."""
    kept = load_file(stage / "checkpoint.safetensors")
    return {key: value / 0.1 for key, value in kept.items() if key.endswith("/exp_avg")}


@pytest.mark.parametrize("name", CASES)
def test_two_processes_have_the_gradients_of_one_with_twice_the_batch(both, name):
    case = CASES[name]
    ours, theirs = (case.folder(both[0], n) / case.stage for n in (2, 1))
    two, one = gradients(ours), gradients(theirs)
    assert two.keys() == one.keys()
    assert max(gradient.abs().max() for gradient in one.values()) > 1e-3
    for key, gradient in one.items():
        torch.testing.assert_close(two[key], gradient, rtol=1e-5, atol=1e-7)
    losses = [(stage / "log.csv").read_text().split(",")[7] for stage in (ours, theirs)]
    assert float(losses[0]) == pytest.approx(float(losses[1]), rel=1e-6)


def test_a_stop_is_agreed_on_and_the_run_goes_on_to_the_same_bits(both):
    root, _ = both
    stop = json.loads((root / "stopped.json").read_text())
    assert stop["code"] == 128 + signal.SIGTERM  # though the main process got no signal itself
    assert len(stop["log"].splitlines()) == 1 + 3  # asked at step 2, agreed at the epoch's end
    stopped, whole = root / "stopped" / "stage2a", root / "whole" / "stage2a"
    for name in ("bradcn.safetensors", "bradcn-ema.safetensors"):
        assert tensors(stopped / name) == tensors(whole / name)
    assert (stopped / "log.csv").read_bytes() == (whole / "log.csv").read_bytes()


def test_a_killed_process_ends_the_run_with_an_error(both):
    root, workers = both
    wait_for(root / "endless" / "stage2a" / "checkpoint.safetensors", workers)
    workers[1].kill()
    workers[0].join(60)
    assert workers[0].exitcode not in (0, None)
    message = (root / "error0").read_text()
    assert "another process of this run has ended" in message and "\n" not in message
