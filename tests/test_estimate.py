"""Counts of a step against hand counts and real tensors; the arithmetic of `estimate` against
numbers.
"""

from contextlib import contextmanager
from dataclasses import replace
from itertools import product

import pytest
import torch
from test_paper_run import narrow
from torch import nn

from bradcn_nb.__main__ import main
from bradcn_nb.errors import BradcnError, DataError
from bradcn_nb.experiments.costs import step_counts
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
    assert (half.parameters, half.trained) == (
        full.parameters,
        full.trained,
    )  # master weights and Adam stay 32 bits


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


def assert_near(told, wanted, tolerance: float) -> None:
    assert [float(value) for value in told] == pytest.approx(list(wanted), abs=tolerance)


def test_command(capsys):
    assert main(["estimate", "--precision", "half", "--checkpointing"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("DERIVED FROM COUNTS, NOT MEASURED: preset paper, half")
    assert [line.split()[0] for line in lines[2:]] == ["T4", "V100", "A100", "H100"]


def test_norms_are_counted_in_full_precision_as_cuda_computes_them():
    """At 768x512 a step of stage 2b needs 7.05 GB and moves 39.8 in half precision (see
    DEVICES)."""
    count = stored_counts()["768x512 half"]["stage2b"]
    assert count.step_bytes / 1e9 == pytest.approx(7.05, rel=0.02)
    assert count.moved_bytes / 1e9 == pytest.approx(39.8, rel=0.03)
