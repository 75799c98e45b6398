"""The benchmarks' arithmetic, on clocks and times that are made up, and one quick run of it all."""

import json

import numpy as np
import pytest
import torch

from bradcn_nb import cli
from bradcn_nb.__main__ import main
from bradcn_nb.errors import BradcnError
from bradcn_nb.experiments.costs import bench, bench_labels
from bradcn_nb.experiments.costs.bench_report import as_text, finished, ratio
from bradcn_nb.presets import preset

MACHINE = {"cpu": "a CPU", "threads": 2, "torch": "2.0", "mode": "full"}


def net_record(**seconds):
    return {
        "size": [512, 768],
        "yardstick": "original",
        "macs": {"ours": 90_000_000_000, "original": 100_000_000_000},
        "difference": 2e-7,
        "product_size": 1000,
        "seconds": seconds,
    }


@pytest.fixture
def results():
    """Products of 1000 x 1000 at 2 GFLOP/s, and a net that is faster in each of three rounds."""
    return {
        "machine": MACHINE,
        "peak": {"seconds": {"1000": [1.5, 1.0, 2.0], "500": [1.0, 0.25, 0.5]}},
        "render-net": net_record(
            ours=[160.0, 100.0, 90.0], original=[200.0, 125.0, 100.0], product=[1.6, 1.0, 0.8]
        ),
    }


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
    bench.take_turns(programs, 3, seconds, clock=lambda: clock.now)
    assert "".join(order) == "ABABAB"
    assert seconds == {"ours": [1, 2, 3], "theirs": [4, 5, 6]}


def test_an_interruption_keeps_the_rounds_before():
    def stop():
        raise KeyboardInterrupt

    clock, seconds = Clock(), {"ours": [], "theirs": []}
    runs = iter([clock.program(2), stop])
    programs = {"ours": clock.program(1, 1), "theirs": lambda: next(runs)()}
    with pytest.raises(KeyboardInterrupt):
        bench.take_turns(programs, 5, seconds, clock=lambda: clock.now)
    assert seconds == {"ours": [1, 1], "theirs": [2]}
    assert ratio(seconds["ours"], seconds["theirs"]) == {
        "median": 0.5,
        "quartiles": [0.5, 0.5],
        "rounds": 1,
    }


def test_ratio_is_that_of_the_rounds_not_of_the_medians():
    """In the second round something else kept the machine busy, and both took ten times as long."""
    found = ratio([1.0, 9.0, 1.1, 0.8, 1.0], [2.0, 20.0, 2.0, 2.0, 2.0])
    assert found["median"] == pytest.approx(0.5)
    assert found["quartiles"] == pytest.approx([0.45, 0.5])
    assert found["rounds"] == 5


def test_rates_and_shares_of_the_peak(results):
    whole = finished(results)
    assert whole["peak"]["gflops"] == pytest.approx(2.0)  # 2 * 1000^3 FLOP in the best second
    assert whole["peak"]["gflops_by_size"]["500"] == pytest.approx(1.0)
    net = whole["render-net"]
    assert net["ratio"]["median"] == pytest.approx(0.8)
    assert net["median_s"] == {"ours": 100.0, "original": 125.0, "product": 1.0}
    # 2 FLOPs per MAC: 200 GFLOP as long as 125 products of 2 GFLOP, and as 100; 180 GFLOP as 100.
    told = [(rate["net"], rate["work_of"], rate["share_of_peak"]) for rate in net["rates"]]
    assert [line[:2] for line in told] == [
        ("original", "original"),
        ("ours", "original"),
        ("ours", "ours"),
    ]
    assert [line[2] for line in told] == pytest.approx([0.8, 1.0, 0.9])
    text = as_text(whole)
    assert text.startswith("a CPU, 2 threads, torch 2.0, fp32")
    for words in ("3 rounds in turns", "ours / original: 0.800 (quartiles 0.800 to 0.850)"):
        assert words in text
    assert "90.0% of the peak, counting its own 90.0 GMACs" in text


def test_a_share_is_of_the_same_round(results):
    """A machine that was twice as fast for one product only, in between, has no higher peak."""
    before = finished(results)["render-net"]
    results["peak"]["seconds"]["1000"].append(0.5)
    after = finished(results)
    assert after["peak"]["gflops"] == pytest.approx(4.0)
    assert after["render-net"] == before


def test_only_whole_rounds_are_reported(results):
    results["depth-net"] = net_record(ours=[100.0], original=[100.0], product=[])
    results["checkpointing"] = {"preset": "paper", "steps": {}}
    whole = finished(results)
    assert list(whole) == ["machine", "peak", "render-net"]
    assert "depth-net" not in as_text(whole)


def test_peak_memory_of_steps(results):
    off = {"peak_bytes": 10_000_000_000, "seconds": 60.0, "loss": 0.5}
    results["checkpointing"] = {"preset": "paper", "steps": {"off": off}}
    assert "10.00 GB peak    60.0 s" in as_text(finished(results))
    results["checkpointing"]["steps"]["on"] = off | {"peak_bytes": 5_500_000_000}
    whole = finished(results)
    assert whole["checkpointing"]["ratio"] == pytest.approx(0.55)
    assert "on / off: 0.55" in as_text(whole)


def test_rates_of_loading(results):
    results["loading"] = {
        "size": [512, 768],
        "pictures": 8,
        "kilobytes": {"originals": 400.0, "prepared": 200.0},
        "psnr": [48.0, 51.0],
        "seconds": {"prepared": [0.1, 0.2], "originals": [0.4, 0.4], "lanczos": [0.4, 1.0]},
    }
    found = finished(results)["loading"]
    assert found["per_second"]["originals"] == pytest.approx(20.0)
    assert found["ratio"]["median"] == pytest.approx(4.5)  # of 4 and 5, round by round
    text = as_text(finished(results))
    assert "4.50 times the pictures/s" in text and "PSNR 48.0 to 51.0 dB" in text
    results["loading"]["seconds"]["prepared"] = []
    assert "loading" not in finished(results)


def test_quick_loading_reads_the_same_pictures_three_ways(capsys):
    results = {}
    threads = torch.get_num_threads()
    bench.run(["loading"], results, quick=True, progress=False)
    record = finished(results)["loading"]
    assert torch.get_num_threads() == threads and "peak" not in results
    assert record["pictures"] == 4 and record["size"] == [64, 96]
    assert 42 < record["psnr"][0] <= record["psnr"][1] < 60
    assert all(len(runs) == 1 and runs[0] > 0 for runs in record["seconds"].values())
    assert "loading: 96x64 pixels, 1 round in turns" in as_text(finished(results))


def test_different_outputs_are_not_timed():
    wanted = torch.tensor([0.0, 2.0, 4.0])
    assert bench.difference("net", wanted + 2e-4, wanted) == pytest.approx(5e-5, rel=1e-2)
    for wrong in (wanted + 5e-4, wanted * torch.nan):
        with pytest.raises(BradcnError, match="render-net: .* cannot be compared"):
            bench.difference("render-net", wrong, wanted)


def test_transformers_is_optional(monkeypatch):
    monkeypatch.setattr(bench, "find_spec", lambda name: None)
    results = {}
    bench.run(["depth-net-384"], results, quick=True, progress=False)
    whole = finished(results)
    assert "not installed" in whole["depth-net-384"]["skipped"]
    assert "depth-net-384: skipped, transformers is not installed" in as_text(whole)


def test_transformers_net_does_the_same_work():
    """Equal outputs for equal weights are the pretrained weights' tests."""
    pytest.importorskip("transformers")
    size = (384, 384)
    original = bench._macs(lambda: bench._original(bench.DepthNet), size)
    assert bench._macs(bench._transformers, size) == original


def test_a_step_that_fails_is_one_line(monkeypatch):
    monkeypatch.setattr(bench.sys, "executable", "/bin/false")
    with pytest.raises(BradcnError) as failure:
        bench.run(["checkpointing"], {}, quick=True, progress=False)
    assert "status 1" in str(failure.value) and "\n" not in str(failure.value)


def test_labels_beside_the_bare_net(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(bench_labels, "SUN_SIZES", ((48, 64), (53, 73), (53, 68), (48, 64)))
    monkeypatch.setattr(bench_labels, "preset", lambda name: preset("mini"))  # a small "paper"
    threads, results = torch.get_num_threads(), {}
    bench_labels.measure(results, 2, False, False)
    text = as_text(finished({"machine": MACHINE, **results}))
    for name, frames, batch in (("mini", 64, 8), ("paper", 3, 1)):
        size = results["labels"]["sizes"][name]
        assert (size["frames"], size["batch"], size["size"]) == (frames, batch, [64, 96])
        for clock in ("seconds", "cpu_seconds"):
            runs = size[clock]
            assert {key: len(times) for key, times in runs.items()} == {
                "labels": 2, "forward": 2, "files": 2,
            }  # fmt: skip
            by_hand = np.median(np.divide(runs["labels"], runs["forward"]))
            assert size[f"{clock}_ratio"]["median"] == pytest.approx(by_hand)
            assert f"forward pass {by_hand - 1:+.1%}" in text
    assert torch.get_num_threads() == threads
    out = tmp_path / "bench.json"
    options = ["--quick", "--quiet", "--threads", str(threads), "--json", str(out)]
    assert main(["bench", "labels", *options]) == 0
    assert "overhead of labels" in capsys.readouterr().out
    told = json.loads(out.read_text())
    assert list(told) == ["machine", "labels"] and list(told["labels"]["sizes"]) == ["mini"]


def test_unknown_names(capsys):
    assert tuple(cli.bench.BENCHMARKS) == bench.BENCHMARKS
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
    assert json.loads(out.read_text())["render-net"]["ratio"]["rounds"] == 3


def test_quick_run_from_the_command_line(tmp_path, capsys):
    threads = torch.get_num_threads()
    out = tmp_path / "bench.json"
    names = ["depth-net", "checkpointing"]
    options = ["--quick", "--threads", str(threads), "--json", str(out)]
    assert main(["bench", *names, *options]) == 0
    text, bar = capsys.readouterr()
    assert "depth-net: 96x64" in text and "these times say nothing" in text
    assert "3/3" in bar
    told = json.loads(out.read_text())
    assert list(told) == ["machine", "peak", "depth-net", "checkpointing"]
    assert told["machine"]["threads"] == threads
    net = told["depth-net"]
    assert net["difference"] < 1e-4
    assert net["macs"]["ours"] < net["macs"]["original"]
    assert list(net["seconds"]) == ["ours", "original", "product"]
    assert all(len(runs) == 1 for runs in net["seconds"].values())
    assert all(rate["share_of_peak"] > 0 for rate in net["rates"])
    steps = told["checkpointing"]["steps"]
    assert steps["off"]["loss"] == pytest.approx(steps["on"]["loss"], rel=1e-5)
    assert told["checkpointing"]["ratio"] < 1.1
