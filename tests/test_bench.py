"""The benchmarks' arithmetic, on clocks and times that are made up, and one quick run of it all."""

import json

import pytest
import torch

from bradcn_nb import cli
from bradcn_nb.__main__ import main
from bradcn_nb.errors import BradcnError
from bradcn_nb.experiments.costs import bench, bench_nets
from bradcn_nb.experiments.costs.turns import ratio, take_turns

MACHINE = {"cpu": "a CPU", "threads": 2, "torch": "2.0", "mode": "full"}


def record(macs=None, facts=None, single=False, pictures=1, **seconds):
    cpu = {name: [2 * run for run in runs] for name, runs in seconds.items()}
    return {"single": single, "facts": facts or {}, "macs": macs or {}, "pictures": pictures,
            "seconds": seconds, "cpu_seconds": cpu}  # fmt: skip


@pytest.fixture
def results():
    """A net that is faster in each of three rounds, beside products of 2 GFLOP."""
    gmacs = {"ours": 90 * 10**9, "original": 100 * 10**9, "product": 10**9}
    net = record(gmacs, {"outputs differ by": 2e-7}, ours=[160.0, 100.0, 90.0],
                 original=[200.0, 125.0, 100.0], product=[1.6, 1.0, 0.8])  # fmt: skip
    return {"machine": MACHINE, "render-net": net}


class Clock:
    """Time passes only while a program runs."""

    def __init__(self):
        self.now = 0.0

    def program(self, *durations):
        left = list(durations)

        def run():
            self.now += left.pop(0)

        return run


def test_programs_take_turns_on_one_clock():
    clock, order, seconds = Clock(), [], {"ours": [], "theirs": []}
    ours, theirs = clock.program(1, 2, 3), clock.program(4, 5, 6)
    programs = {
        "ours": lambda: (order.append("A"), ours()),
        "theirs": lambda: (order.append("B"), theirs()),
    }
    take_turns(programs, 3, seconds, clock=lambda: clock.now)
    assert "".join(order) == "ABABAB"
    assert seconds == {"ours": [1, 2, 3], "theirs": [4, 5, 6]}


def test_an_interruption_keeps_the_rounds_before():
    def stop():
        raise KeyboardInterrupt

    clock, seconds = Clock(), {"ours": [], "theirs": []}
    runs = iter([clock.program(2), stop])
    programs = {"ours": clock.program(1, 1), "theirs": lambda: next(runs)()}
    with pytest.raises(KeyboardInterrupt):
        take_turns(programs, 5, seconds, clock=lambda: clock.now)
    assert seconds == {"ours": [1, 1], "theirs": [2]}
    assert ratio(seconds["ours"], seconds["theirs"]) == {
        "median": 0.5, "quartiles": [0.5, 0.5], "rounds": 1,
    }  # fmt: skip


def test_ratio_is_that_of_the_rounds_not_of_the_medians():
    """In the second round something else kept the machine busy, and both took ten times as long."""
    compared = ratio([1.0, 9.0, 1.1, 0.8, 1.0], [2.0, 20.0, 2.0, 2.0, 2.0])
    assert compared["median"] == pytest.approx(0.5)
    assert compared["quartiles"] == pytest.approx([0.45, 0.5])
    assert compared["rounds"] == 5


def test_rates_and_shares_of_the_peak(results):
    net = bench.finished(results)["render-net"]["derived"]
    assert net["original"]["ours_over"]["median"] == pytest.approx(0.8)
    assert net["original"]["s"] == 125.0 and net["original"]["cpu_s"] == 250.0
    # 2 FLOPs per MAC: 200 GFLOP as long as 125 products of 2 GFLOP; 180 GFLOP as long as 100.
    shares = [net[program]["share_of_peak"] for program in ("original", "ours")]
    assert shares == pytest.approx([0.8, 0.9])
    assert net["ours"]["gflops"] == pytest.approx(1.8)
    text = bench.as_text(bench.finished(results))
    assert text.startswith("a CPU, 2 threads, torch 2.0, fp32")
    for words in ("3 rounds in turns", "ours / original: 0.800 (quartiles 0.800 to 0.850)",
                  "= 90.0% of the peak", "outputs differ by: 2e-07"):  # fmt: skip
        assert words in text


def test_only_whole_rounds_are_reported(results):
    results["depth-net"] = record(ours=[100.0], original=[])
    whole = bench.finished(results)
    assert list(whole) == ["machine", "render-net"]
    assert "depth-net" not in bench.as_text(whole)


def test_times_are_of_one_picture(results):
    results["loading"] = record(pictures=8, prepared=[0.1, 0.2], lanczos=[0.4, 1.0])
    ways = bench.finished(results)["loading"]["derived"]
    assert ways["prepared"]["s"] == pytest.approx(0.15 / 8)
    assert ways["lanczos"]["ours_over"]["median"] == pytest.approx((0.25 + 0.2) / 2)
    assert "prepared / lanczos: 0.225" in bench.as_text(bench.finished(results))


def test_different_outputs_are_not_timed():
    wanted = torch.tensor([0.0, 2.0, 4.0])
    assert bench_nets.difference(wanted + 2e-4, wanted) == pytest.approx(5e-5, rel=1e-2)
    for wrong in (wanted + 5e-4, wanted * torch.nan):
        with pytest.raises(BradcnError, match="cannot be compared"):
            bench_nets.difference(wrong, wanted)


def test_transformers_is_optional(monkeypatch):
    monkeypatch.setattr(bench_nets, "find_spec", lambda name: None)
    results = {}
    bench.run(["depth-net-384"], results, quick=True, progress=False)
    assert "skipped: transformers is not installed" in bench.as_text(bench.finished(results))


def test_transformers_net_does_the_same_work():
    """Equal outputs for equal weights are the pretrained weights' tests."""
    pytest.importorskip("transformers")
    size = (384, 384)
    original = bench_nets.macs_of(lambda: bench_nets.original(bench.DepthNet), size)
    assert bench_nets.macs_of(bench_nets.from_transformers, size) == original


def test_a_step_that_fails_is_one_line(monkeypatch):
    monkeypatch.setattr(bench_nets.sys, "executable", "/bin/false")
    with pytest.raises(BradcnError) as failure:
        bench.run(["checkpointing"], {}, quick=True, progress=False)
    assert "status 1" in str(failure.value) and "\n" not in str(failure.value)


def test_unknown_names(capsys):
    assert tuple(cli.bench.BENCHMARKS) == tuple(bench.BENCHMARKS)
    with pytest.raises(SystemExit) as stop:
        main(["bench", "render-net", "nonsense"])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "nonsense" in error and "depth-net-384" in error
    assert cli.build_parser().parse_args(["bench"]).names == []
    with pytest.raises(BradcnError, match="nonsense"):
        bench.run(["nonsense"], {})


def test_ctrl_c_prints_what_was_measured(monkeypatch, results, tmp_path, capsys):
    def interrupted(names, filled, **settings):
        filled.update(results)
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "run", interrupted)
    threads = torch.get_num_threads()
    out = tmp_path / "bench.json"
    assert main(["bench", "--threads", str(threads), "--json", str(out)]) == 130
    assert "ours / original: 0.800" in capsys.readouterr().out
    net = json.loads(out.read_text())["render-net"]
    assert net["derived"]["original"]["ours_over"]["rounds"] == 3


def test_quick_run_from_the_command_line(tmp_path, capsys):
    threads = torch.get_num_threads()
    out = tmp_path / "bench.json"
    names = ["depth-net", "checkpointing", "loading"]
    options = ["--quick", "--threads", str(threads), "--json", str(out)]
    assert main(["bench", *names, *options]) == 0
    text, bar = capsys.readouterr()
    assert "pixels: 96x64" in text and "these times say nothing" in text
    assert "3/3" in bar
    whole = json.loads(out.read_text())
    assert list(whole) == ["machine", *names]
    assert whole["machine"]["threads"] == threads == torch.get_num_threads()
    net = whole["depth-net"]
    assert net["facts"]["outputs differ by, of their spread"] < 1e-4
    assert net["macs"]["ours"] < net["macs"]["original"]
    assert list(net["seconds"]) == ["ours", "original", "product"]
    assert all(len(runs) == 1 for runs in net["seconds"].values())
    assert all(found["share_of_peak"] > 0 for found in net["derived"].values())
    facts = whole["checkpointing"]["facts"]
    assert facts["loss"]["without"] == pytest.approx(facts["loss"]["with"], rel=1e-5)
    assert facts["peak, with / without"] < 1.1
    low, high = whole["loading"]["facts"]["prepared beside the exact resize, dB"]
    assert 42 < low <= high < 60 and whole["loading"]["pictures"] == 4
