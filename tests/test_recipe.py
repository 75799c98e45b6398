"""What a recipe does to a step: accumulation, precision, scaling, clipping, running mean."""

import csv
import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from test_resume import tensors, tiny_preset, write_ebb, write_nets

from bradcn_nb.errors import BradcnError, RunError
from bradcn_nb.models import BRADCN, load_weights
from bradcn_nb.presets import Recipe
from bradcn_nb.training import devices, fit, stages, train
from bradcn_nb.training.steps import EpochBatches


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("recipe")
    write_ebb(root / "ebb", 7, 2)
    write_nets(root, tiny_preset())
    return root


@pytest.fixture(scope="module")
def plain(root) -> Path:
    """The stage's folder of a run of 4 steps without anything special."""
    return run(root, root / "plain")


def run(root: Path, run_dir: Path, batch: int = 4, recipe: Recipe | None = None, **options) -> Path:
    """Train stage 2a on 7 pairs; the stage's folder."""
    tiny = tiny_preset()
    several = tuple(dataclasses.replace(stage, batch=batch) for stage in tiny.stages)
    tiny = dataclasses.replace(tiny, stages=several, recipe=recipe or Recipe())
    init = {net: root / f"{net}.safetensors" for net in ("depth", "adcn")}
    options = {"threads": 1, "progress": False} | options
    return train(tiny, "stage2a", run_dir, init=init, data={"ebb": root / "ebb"}, **options).parent


def gradients(stage: Path) -> dict[str, torch.Tensor]:
    """The gradients of a run's only step: Adam's first moment is (1 - 0.9) times them."""
    kept = load_file(stage / "checkpoint.safetensors")
    return {key: value / 0.1 for key, value in kept.items() if key.endswith("/exp_avg")}


def norm_of(gradients: dict[str, torch.Tensor]) -> float:
    return float(torch.cat([g.flatten() for g in gradients.values()]).double().norm())


def rows(stage: Path) -> list[dict[str, str]]:
    with open(stage / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_values_out_of_range_are_refused():
    for wrong in ({"precision": "fp8"}, {"accumulate": 0}, {"clip": 0.0}, {"ema": 1.0}):
        (name,) = wrong
        with pytest.raises(BradcnError, match=name):
            Recipe(**wrong)


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_has_the_same_items_however_many_share_it(processes, accumulate):
    size, items = 2 * processes * accumulate, 23
    alone = EpochBatches(items, items, size, seed=1, epoch=2)
    shared = [
        EpochBatches(
            items, items, 2, 1, 2, accumulate=accumulate, processes=processes, process=process
        )
        for process in range(processes)
    ]
    assert all(len(one.steps) == len(alone.steps) for one in shared)
    for step, whole in enumerate(alone.steps):
        parts = [sum(one.steps[step], []) for one in shared if one.own[step]]
        assert sum(parts, []) == whole[0]
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
        for one in shared:  # all take part in each step, in batches that fit
            assert 1 <= len(one.steps[step]) <= accumulate
            assert all(1 <= len(batch) <= 2 for batch in one.steps[step])
    later = EpochBatches(items, items, 2, 1, 2, 3, accumulate=accumulate)
    assert later.steps == EpochBatches(items, items, 2, 1, 2, accumulate=accumulate).steps[3:]


def test_accumulated_batches_are_as_one(root, tmp_path):
    ways = (("once", 6, Recipe()), ("thrice", 2, Recipe(accumulate=3)))
    one, three = (
        gradients(run(root, tmp_path / name, batch, recipe, max_steps=1))
        for name, batch, recipe in ways
    )
    assert one.keys() == three.keys() and norm_of(one) > 1e-3
    for key, gradient in one.items():
        torch.testing.assert_close(three[key], gradient, rtol=1e-5, atol=1e-7)
    # Two steps an epoch: 6 items, then the one that is left. The losses are those of whole batches.
    losses = [
        [float(row["loss"]) for row in rows(run(root, tmp_path / name, batch, recipe, max_steps=2))]
        for name, batch, recipe in ways
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4) and len(losses[0]) == 2


def test_clipping_cuts_the_norm_and_logs_it(root, tmp_path):
    free = run(root, tmp_path / "free", max_steps=1)
    cut = run(root, tmp_path / "cut", recipe=Recipe(clip=0.001), max_steps=1)
    norm = norm_of(gradients(free))
    assert float(rows(cut)[0]["norm"]) == pytest.approx(norm, rel=1e-5) and norm > 0.001
    assert rows(free)[0]["norm"] == ""
    shorter = gradients(cut)
    for key, gradient in gradients(free).items():
        torch.testing.assert_close(shorter[key], gradient * 0.001 / norm, rtol=1e-3, atol=1e-9)


def test_the_running_mean_is_kept_beside_the_weights(root, plain, tmp_path, monkeypatch):
    seen, update = [], fit.Fit._update

    def noted(self, *given):
        update(self, *given)
        seen.append({k: v.double().clone() for k, v in self.state.net.state_dict().items()})

    monkeypatch.setattr(fit.Fit, "_update", noted)
    stage = run(root, tmp_path, recipe=Recipe(ema=0.75))
    mean = seen[0]
    for weights in seen[1:]:
        mean = {key: 0.75 * mean[key] + 0.25 * weights[key] for key in mean}
    net = BRADCN(tiny_preset().model)
    assert load_weights(stage / "bradcn-ema.safetensors", net, "mini")["stage"] == "stage2a"
    for key, value in net.state_dict().items():
        torch.testing.assert_close(value.double(), mean[key], rtol=1e-5, atol=1e-7)
    last = load_file(stage / "bradcn.safetensors")
    assert all(torch.equal(last[key].double(), seen[-1][key]) for key in last)
    assert tensors(plain / "bradcn.safetensors") == tensors(stage / "bradcn.safetensors")
    assert not (plain / "bradcn-ema.safetensors").exists()


def test_checkpointing_of_activations_changes_no_bit_and_may_change_in_a_run(root, plain, tmp_path):
    thrifty = run(root, tmp_path / "thrifty", checkpointing=True)
    assert tensors(plain / "bradcn.safetensors") == tensors(thrifty / "bradcn.safetensors")
    assert (plain / "config.json").read_text() == (thrifty / "config.json").read_text()


def test_bf16_computes_in_16_bits_and_keeps_32(root, plain, tmp_path, monkeypatch):
    kinds, head = set(), torch.nn.Conv2d.forward

    def noted(self, x):
        result = head(self, x)
        kinds.add(result.dtype)
        return result

    monkeypatch.setattr(torch.nn.Conv2d, "forward", noted)
    short = run(root, tmp_path / "short", recipe=Recipe(precision="bf16"), max_steps=2)
    assert torch.bfloat16 in kinds
    kinds.clear()
    run(root, tmp_path / "full", max_steps=1)  # after it, in the same process
    assert kinds == {torch.float32}
    assert {t.dtype for t in load_file(short / "checkpoint.safetensors").values()} == {
        torch.float32
    }
    losses = [[float(row["loss"]) for row in rows(stage)[:2]] for stage in (short, plain)]
    assert losses[0] == pytest.approx(losses[1], rel=0.03) and losses[0] != losses[1]


def test_precisions_that_cannot_be_had(root, tmp_path, monkeypatch):
    if not torch.cuda.is_available():
        with pytest.raises(RunError, match="fp16 needs a GPU"):
            run(root, tmp_path, recipe=Recipe(precision="fp16"))
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")  # as `accelerate launch` says it
    with pytest.raises(RunError, match="accelerate was told bf16, this run fp32: add --precision"):
        run(root, tmp_path)


def scaled(_precision: str, make=devices.make_accelerator):
    """`make_accelerator` with fp16's scaler: a CPU can, though Accelerate has none for it."""
    accelerator = make("fp32")
    accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)
    return accelerator


def scale_of(stage: Path) -> dict:
    with safe_open(stage / "checkpoint.safetensors", "pt") as file:
        return json.loads(file.metadata()["scaler"])


def test_the_loss_scaler_is_part_of_the_checkpoint(root, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "make_accelerator", scaled)
    recipe, options = Recipe(clip=0.01), {"checkpoint_every": 1}
    weights, update = {}, fit.Fit._update

    def noted(self, *given):
        update(self, *given)
        weights[self.step] = {k: v.clone() for k, v in self.state.net.state_dict().items()}

    with monkeypatch.context() as patch:  # 8 steps; the gradient of the sixth is too large
        patch.setattr(fit.Fit, "_update", noted)
        spoil(patch, 6, "inf")
        whole = run(root, tmp_path / "whole", 2, recipe)
    moved = [
        any(not w.equal(weights[n - 1][k]) for k, w in weights[n].items()) for n in range(2, 9)
    ]
    assert moved == [True] * 4 + [False] + [True] * 2  # it was left out
    assert scale_of(whole)["scale"] == 1024 * 2 * 2 / 2 * 2  # grows at 2, 4 and 8, shrinks at 6
    assert rows(whole)[5]["norm"] in ("inf", "nan")

    def interrupted(self, *given):
        if self.step == 5:
            raise KeyboardInterrupt
        update(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(fit.Fit, "_update", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(root, tmp_path / "parts", 2, recipe, **options)
    begun = scale_of(tmp_path / "parts" / "stage2a")
    assert begun["scale"] == 4096 and begun["_growth_tracker"] == 1
    with monkeypatch.context() as patch:
        spoil(patch, 1, "inf")
        parts = run(root, tmp_path / "parts", 2, recipe, **options)
    assert scale_of(parts) == scale_of(whole)
    assert tensors(parts / "bradcn.safetensors") == tensors(whole / "bradcn.safetensors")
    assert (parts / "log.csv").read_bytes() == (whole / "log.csv").read_bytes()


def test_a_scaled_loss_gives_the_same_weights(root, plain, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "make_accelerator", scaled)  # by powers of two: exact
    helped = run(root, tmp_path / "scaled")
    one, other = (load_file(stage / "bradcn.safetensors") for stage in (plain, helped))
    for key, value in one.items():
        torch.testing.assert_close(other[key], value)


def spoil(monkeypatch, step: int, how: str) -> None:
    """Let the loss ("loss") or only its gradient ("nan", "inf") be no number at a step."""
    compare, calls = stages.compare, []

    def spoiled(stage, net, batch):
        prediction, target, mask = compare(stage, net, batch)
        calls.extend([1] * net.training)
        if net.training and len(calls) == step:
            if how == "loss":
                prediction = prediction * float("nan")
            else:
                prediction.register_hook(lambda gradient: gradient + float(how))
        return prediction, target, mask

    monkeypatch.setattr(fit, "compare", spoiled)


@pytest.mark.parametrize(
    ("how", "recipe", "told"),
    [
        ("loss", Recipe(), "the loss is nan at step 3; the checkpoint of step 2 is kept"),
        ("nan", Recipe(), "a weight is not finite after step 3; the checkpoint of step 2 is"),
        ("nan", Recipe(clip=1.0), "the gradient's norm is nan at step 3; the checkpoint of step 2"),
    ],
)
def test_the_last_good_state_is_kept(root, tmp_path, monkeypatch, how, recipe, told):
    options = {"checkpoint_every": 1}
    with monkeypatch.context() as patch:
        spoil(patch, 3, how)
        with pytest.raises(RunError, match=told) as error:
            run(root, tmp_path / "run", recipe=recipe, **options)
    assert "\n" not in str(error.value)
    assert [row["step"] for row in rows(tmp_path / "run" / "stage2a")][:2] == ["1", "2"]
    kept = load_file(tmp_path / "run" / "stage2a" / "checkpoint.safetensors")
    assert all(tensor.isfinite().all() for tensor in kept.values())
    again = run(root, tmp_path / "run", recipe=recipe, **options)
    assert len(rows(again)) == 4


def test_nothing_good_yet(root, tmp_path, monkeypatch):
    spoil(monkeypatch, 1, "loss")
    with pytest.raises(RunError, match="nan at step 1; no checkpoint was written yet"):
        run(root, tmp_path)


def test_a_full_gpu_is_one_line(root, tmp_path, monkeypatch):
    def full(*_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB")

    monkeypatch.setattr(fit, "compare", full)
    with pytest.raises(RunError, match="memory is full at step 1; .*--checkpointing") as error:
        run(root, tmp_path)
    assert "\n" not in str(error.value)
