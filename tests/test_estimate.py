"""Counts of a step against hand counts and real tensors; the arithmetic of `estimate` against numbers."""

import json
import time
from contextlib import contextmanager
from dataclasses import replace
from itertools import product

import pytest
import torch
from chromium import FLAGS, find_chromium
from test_cli import fails
from test_paper_run import narrow
from torch import nn

from bradcn_nb.__main__ import main
from bradcn_nb.errors import BradcnError, DataError
from bradcn_nb.experiments.costs import cpu_check, step_counts
from bradcn_nb.experiments.costs.calculator import calculator
from bradcn_nb.experiments.costs.estimate import (
    ASSUMED,
    DEVICES,
    GPUS,
    device,
    memory_bytes,
    step_seconds,
    steps,
    training_seconds,
    verdict,
    worst,
)
from bradcn_nb.experiments.costs.step_counts import (
    LABELS,
    SIZES,
    StepCount,
    count_label,
    count_step,
    key,
    stored_counts,
)
from bradcn_nb.experiments.costs.summary import count_macs, fake
from bradcn_nb.experiments.record import result
from bradcn_nb.models import ADCN, BRADCN
from bradcn_nb.presets import preset

PAPER = preset("paper")
TINY = narrow("paper")  # few channels and blocks, so that a count takes a second
SMALL = (32, 64)


# --- counts ---


def forward_macs(kind, size=SMALL) -> int:
    with fake(lambda: kind(TINY.model)) as net:
        return count_macs(net, torch.empty(1, 3, *size))


def test_backward_takes_two_forwards_less_the_gradient_of_the_picture():
    count = count_step(TINY, TINY.stage("stage1"), SMALL, half=False, checkpointing=False)
    first = 9 * 3 * TINY.model.adcn_widths[0] * SMALL[0] * SMALL[1]
    assert count.macs == 3 * forward_macs(ADCN) - first
    assert count.product_macs == 0
    assert (
        count.trained == count.parameters == sum(w.numel() for w in ADCN(TINY.model).parameters())
    )


def test_a_frozen_net_runs_forward_only_and_checkpointing_adds_less_than_a_forward():
    plain, again = (
        count_step(TINY, TINY.stage("stage2a"), (96, 160), half=False, checkpointing=on)
        for on in (False, True)
    )
    whole, frozen = (forward_macs(kind, (96, 160)) for kind in (BRADCN, ADCN))
    # The stems, which look at the picture itself, owe it no gradient.
    assert 0.9 * (3 * whole - 2 * frozen) < plain.macs < 3 * whole - 2 * frozen
    assert 0.6 * (whole - frozen) < again.macs - plain.macs < whole - frozen
    assert again.peak_bytes < plain.peak_bytes and again.operations > plain.operations
    assert plain.parameters - plain.trained == sum(w.numel() for w in ADCN(TINY.model).parameters())


def test_half_precision_moves_fewer_bytes_and_the_same_macs():
    full, half = (
        count_step(TINY, TINY.stage("stage2b"), (64, 96), half=on, checkpointing=False)
        for on in (False, True)
    )
    assert half.macs == full.macs
    assert half.moved_bytes < full.moved_bytes and half.peak_bytes < full.peak_bytes
    assert half.fixed_bytes == full.fixed_bytes  # master weights and Adam stay 32 bits


@pytest.mark.parametrize("checkpointing", [False, True])
def test_fake_tensors_are_counted_like_real_ones(monkeypatch, checkpointing):
    @contextmanager
    def real(build):
        yield build()

    how = (TINY, TINY.stage("stage2b"), (64, 96), False, checkpointing)
    counted = count_step(*how)
    monkeypatch.setattr(step_counts, "fake", real)
    true = count_step(*how)
    assert (counted.macs, counted.conv_macs) == (true.macs, true.conv_macs)
    # Autograd copies a few gradients of fake tensors that it takes over from real ones.
    assert true.operations <= counted.operations <= 1.04 * true.operations
    assert true.moved_bytes <= counted.moved_bytes <= 1.04 * true.moved_bytes
    assert counted.peak_bytes == pytest.approx(true.peak_bytes, rel=0.02)


def test_traffic_of_operations_that_fit_in_the_head():
    traffic, x = step_counts._Traffic(), torch.zeros(4, 8)
    layer = nn.Linear(8, 2, bias=False)
    with traffic, torch.no_grad():
        y = x.t().t().reshape(8, 4).view(4, 8)  # views move nothing
        z = layer(y)  # reads 32 and 16 numbers, writes 8
        z += 1  # reads 8 and writes 8
        torch.empty(1000)
    assert traffic.moved == 4 * ((32 + 16 + 8) + (8 + 8))
    assert traffic.operations == 2


def test_stored_counts_are_those_that_are_counted_now():
    stored = stored_counts()
    ways = [key(*way) for way in product(SIZES, (False, True), (False, True))]
    assert list(stored) == ways
    for counts in stored.values():
        assert list(counts) == [LABELS, *(stage.name for stage in PAPER.stages)]
    size = SIZES[0]
    assert stored[key(size, False, False)][LABELS] == count_label(PAPER, size, half=False)
    again = count_step(PAPER, PAPER.stage("stage1"), size, half=True, checkpointing=True)
    kept = stored[key(size, True, True)]["stage1"]
    assert replace(again, peak_bytes=kept.peak_bytes) == kept
    # Which of the watcher's own cycles is collected when differs a little from run to run.
    assert again.peak_bytes == pytest.approx(kept.peak_bytes, rel=0.01)


def test_stored_counts_of_another_version(monkeypatch):
    monkeypatch.setattr(step_counts, "result", lambda _: {"768x512": {"stage1": {"macs": 1}}})
    with pytest.raises(DataError, match="--recount"):
        stored_counts()


# --- arithmetic ---

COUNT = StepCount(
    conv_macs=3 * 10**12,
    product_macs=10**12,
    moved_bytes=90 * 10**9,
    operations=2000,
    peak_bytes=5 * 10**9,
    parameters=300 * 10**6,
    trained=250 * 10**6,
)


def test_step_time_by_hand():
    v100 = device("V100")
    fast, slow = step_seconds(COUNT, v100, "fp32", gpus=4)
    arithmetic = 8e12 / 15.7e12
    assert fast == pytest.approx(arithmetic / 0.75)
    traffic = (90e9 + 28 * 250e6) / (0.5 * 900e9)
    exchange = 2 * 3 / 4 * 4 * 250e6 / (0.5 * 150e9)
    assert slow == pytest.approx(arithmetic / 0.35 + traffic + exchange)
    # An A100's convolutions run as TF32, its products do not.
    fast, _ = step_seconds(COUNT, device("a100"), "fp32")
    assert fast == pytest.approx(6e12 / (0.5 * 156e12) + 2e12 / (0.75 * 19.5e12))
    # An H100 in bf16 waits for its memory, or for the program that launches.
    fast, slow = step_seconds(COUNT, device("H100"), "half")
    assert fast == pytest.approx((90e9 + 28 * 250e6) / (0.85 * 3350e9))
    many = replace(COUNT, operations=20_000)
    assert step_seconds(many, device("H100"), "half")[0] == pytest.approx(20_000 * 3e-6)
    with pytest.raises(BradcnError, match="fp32, half"):
        step_seconds(COUNT, v100, "fp8")


def test_memory_by_hand():
    static = 4 * 300e6 + 8 * 250e6
    low, high = memory_bytes(COUNT)
    assert low == pytest.approx(static + 5e9 + 0.3e9)
    assert high == pytest.approx(1.15 * (static + 5e9) + 1.5e9)
    assert memory_bytes(COUNT, gpus=2)[0] == pytest.approx(low + 4 * 250e6)
    t4 = device("T4")
    found = [verdict(ends, t4) for ends in ((8e9, 15e9), (15e9, 17e9), (17e9, 19e9))]
    assert found == ["fits", "tight", "does not fit"]


def test_steps_of_the_papers_schedule():
    alone = {LABELS: 7245, "stage1": 50 * 6545, "stage2a": 30 * 4400, "stage2b": 30 * 4400}
    assert steps(PAPER) == alone
    assert steps(PAPER, 8)["stage1"] == 50 * 819  # the last step of an epoch is not full


def test_training_is_the_sum_of_its_parts_and_more_gpus_are_faster():
    stored = stored_counts()
    for way, on, precision in product(stored, DEVICES, ("fp32", "half")):
        before = (float("inf"), float("inf"))
        for gpus in GPUS:
            parts = training_seconds(PAPER, stored[way], on, precision, gpus)
            total = parts.pop("total")
            for end in (0, 1):
                assert total[end] == pytest.approx(sum(part[end] for part in parts.values()))
                assert total[end] < before[end]
            assert total[0] < total[1]
            before = total
    one = step_seconds(stored["768x512"]["stage2b"], device("T4"), "fp32")
    eight = step_seconds(stored["768x512"]["stage2b"], device("T4"), "fp32", 8)
    assert eight[0] >= one[0] and eight[1] > one[1]  # gradients have to be exchanged


def test_unknown_device_and_data_sheets_are_named():
    with pytest.raises(BradcnError, match="T4, V100, A100, H100"):
        device("P100")
    with pytest.raises(BradcnError):
        device("")
    assert all("data sheet" in on.source for on in DEVICES)
    for name, (first, second) in ASSUMED.items():
        assert (first > second) == name.startswith("share"), name


def test_the_check_compares_counts_with_a_measurement():
    count = stored_counts()["768x512"]["stage2a"]
    step = {"cpu_seconds": 80.0, "seconds": 300.0, "peak_bytes": 9.5e9}
    measured = {"cpu": "a CPU", "threads": 2, "product_flops": 1e11}
    measured["steps"] = {"off": step, "on": step}
    first, second = cpu_check.compare(measured, stored_counts())
    assert first["predicted_s"] == pytest.approx(2 * count.macs / 1e11)
    assert first["share_of_peak"] == pytest.approx(first["predicted_s"] / 80)
    assert second["gmacs"] > first["gmacs"] and second["counted_bytes"] < first["counted_bytes"]
    assert f"{80 / first['predicted_s']:7.2f}" in cpu_check.as_text(measured, [first, second])
    with pytest.raises(DataError, match="--check"):
        cpu_check.compare({"product_flops": 1e11}, stored_counts())


def test_the_kept_measurement_supports_the_method():
    """The process needs what is counted, and somewhat more: of time as well as of memory."""
    extra, factor = (
        ASSUMED[f"memory {what}"][1]
        for what in ("of CUDA and its libraries, bytes", "over the tensors' own, factor")
    )
    for row in cpu_check.compare(result("cpu-step"), stored_counts()):
        assert 1 < row["measured_s"] / row["predicted_s"] < 2
        tensors = row["counted_bytes"]
        assert tensors < row["measured_bytes"] < factor * tensors + extra


def test_products_are_timed_by_the_processor(monkeypatch):
    monkeypatch.setattr(cpu_check, "PRODUCTS", (256,))
    before = time.process_time()
    rate = cpu_check.product_rate()
    spent = time.process_time() - before
    assert 1e8 < rate < 1e13 and 2 * 256**3 / rate <= spent


# --- the command and the page ---


def test_command(capsys):
    assert main(["estimate"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("DERIVED FROM COUNTS, NOT MEASURED")
    for name in ASSUMED:
        assert name in text
    for on in DEVICES:
        assert on.source in text
    assert main(["estimate", "--precision", "half", "--checkpointing", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert "not measured" in told["status"] and told["size"] == [512, 768]
    t4 = told["devices"][0]["by_gpus"]["1"]
    low, high = worst(stored_counts()["768x512 half checkpointing"])
    assert (t4["memory"], t4["verdict"]) == ([low, high], "fits")


def test_other_sizes_are_counted_at_once(monkeypatch, capsys):
    monkeypatch.setitem(step_counts.count_all.__globals__, "count_step", lambda *_: COUNT)
    assert main(["estimate", "--size", "96,64", "--quiet"]) == 0
    assert "pictures of 96x64" in capsys.readouterr().out
    assert "multiples of" in fails(capsys, "estimate", "--size", "100,64", "--quiet")


def test_the_calculator_answers_as_python_does():
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium here: apt-get install chromium, or set CHROMIUM to its path")
    api = pytest.importorskip("playwright.sync_api")
    stored = stored_counts()
    page_of = calculator(PAPER, stored).data
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_page(viewport={"width": 390, "height": 800})
        asked, errors = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.set_content(f"<!doctype html><body>{page_of}</body>")
        answers = page.evaluate(
            """() => {
            const form = document.querySelector("form"), e = form.elements, found = [];
            const set = (name, value) => { e[name].value = value; };
            const all = (name) => [...e[name].options].map((o) => o.value);
            for (const device of all("device")) for (const gpus of all("gpus"))
            for (const size of all("size")) for (const precision of all("precision"))
            for (const on of [false, true]) {
              set("device", device); set("gpus", gpus); set("size", size);
              set("precision", precision); e.checkpointing.checked = on;
              form.dispatchEvent(new Event("input"));
              found.push([device, gpus, size, precision, on,
                document.querySelector(".memory").textContent,
                document.querySelector(".time").textContent,
                document.querySelectorAll("tbody tr").length]);
            }
            return found; }"""
        )
        width = page.evaluate("document.documentElement.scrollWidth")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.name") == "device"
        before = page.locator(".memory").inner_text()
        page.keyboard.press("Home")  # from the last GPU to the first
        assert page.locator(".memory").inner_text() != before
        browser.close()
    assert errors == [] and asked == [] and width <= 390
    assert len(answers) == len(DEVICES) * len(GPUS) * len(SIZES) * 2 * 2
    for name, gpus, size, precision, on, memory, told, rows in answers:
        counts = stored[f"{size}" + " half" * (precision == "half") + " checkpointing" * on]
        chosen, gpus = device(name), int(gpus)
        low, high = worst(counts, gpus)
        says = verdict((low, high), chosen)
        assert memory.endswith(f"of {chosen.memory / 1e9:.0f} GB: {says}")
        assert_near(memory.split()[1:4:2], (low / 1e9, high / 1e9), 0.051)
        fast, slow = training_seconds(PAPER, counts, chosen, precision, gpus)["total"]
        hours = told.removeprefix("Whole training: ").split(" hours")[0].split(" to ")
        assert_near(hours, (fast / 3600, slow / 3600), 0.51 if slow > 36000 else 0.051)
        assert rows == len(counts)


def assert_near(told, wanted, tolerance: float) -> None:
    assert [float(value) for value in told] == pytest.approx(list(wanted), abs=tolerance)
