"""What a training is told: numbers of the preset, nets that are given, trials, devices; and its
records.
"""

import json
import subprocess
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from test_resume import tiny_preset, write_ebb, write_nets
from test_training import FakeScenes, write_sun
from torch.utils._python_dispatch import TorchDispatchMode

from bradcn_nb import files
from bradcn_nb.__main__ import main
from bradcn_nb.data import Part
from bradcn_nb.errors import BradcnError, DataError, WeightsError
from bradcn_nb.models import ADCN, DepthNet, save_weights
from bradcn_nb.presets import PRESETS, preset
from bradcn_nb.training import devices, run, stages, train, train_all
from bradcn_nb.training.settings import apply, names_of

STILL = {"threads": 1, "progress": False}


@pytest.fixture
def folders(tmp_path):
    return {"ebb": write_ebb(tmp_path / "ebb", 6, 2), "sun": write_sun(tmp_path / "sun")}


def test_numbers_of_a_preset_are_read_as_their_own_type():
    paper = preset("paper")
    words = (
        "stage2a.lr=1e-5 data.sun_counts=250,50 seed=3 recipe.clip=1 stage1.samples_per_epoch=none"
    )
    changed = apply(paper, [*words.split(), "data.train_size=256,384", "stage2b.schedule=cosine"])
    assert changed.stage("stage2a").lr == 1e-5 and changed.stage("stage2b").lr == 5e-5
    assert changed.data.sun_counts == (250, 50) and changed.data.train_size == (256, 384)
    assert changed.seed == 3 and changed.recipe.clip == 1.0
    assert changed.stage("stage2b").schedule == "cosine"
    assert apply(paper, []) == paper
    for known in PRESETS.values():
        assert {"seed", "data.sun_counts", "stage2b.ms_ssim", "model.skip"} <= set(names_of(known))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stage2a.rate=1", "no such number; choose from seed, recipe.precision, .*stage2a.lr"),
        ("stage9.lr=1", "no such number"),
        ("stage2a.net=depth", "no such number"),
        ("lr", "is not NAME=VALUE"),
        ("stage2a.epochs=1.5", "'1.5' is not a whole number"),
        ("stage2a.lr=fast", "'fast' is not a number"),
        ("stage2a.lr=nan", "'nan' is not a number"),
        ("stage2a.lr=-1", "must be above 0"),
        ("stage2a.batch=0", "must be above 0"),
        ("data.sun_counts=300", "'300' is not 2 of a whole number, joined by commas"),
        ("data.sun_split=place", "choose one of random, scene"),
        ("data.train_size=250,384", "must be multiples of 32"),
        ("recipe.precision=int8", "unknown precision 'int8'"),
        ("model.skip=maybe", "'maybe' is not true or false"),
    ],
)
def test_a_wrong_number_is_refused_by_name(text, message):
    with pytest.raises(BradcnError, match=message) as error:
        apply(preset("paper"), [text])
    assert "\n" not in str(error.value)


def test_a_run_keeps_to_the_numbers_it_was_given(tmp_path, capsys):
    words = ["train", "stage2a", "--run", str(tmp_path / "run"), "--quiet", "--max-steps", "1"]
    nets = write_nets(tmp_path, preset("mini"))
    words += ["--depth", str(nets["depth"]), "--adcn", str(nets["adcn"])]
    assert main([*words, "--set", "stage2a.lr=1e-5", "data.check_items=2"]) == 0
    config = json.loads((tmp_path / "run" / "stage2a" / "config.json").read_text())
    assert config["preset"]["stages"][2]["lr"] == 1e-5
    assert main(words) == 2
    assert "preset.stages.2.lr" in capsys.readouterr().err


def test_the_nets_that_are_given_take_their_stages_place(tmp_path, folders, monkeypatch, capsys):
    monkeypatch.setattr(stages, "Scenes", FakeScenes)
    tiny, options = tiny_preset(epochs=1), {"data": folders, "max_steps": 1, **STILL}
    nets = write_nets(tmp_path, tiny)
    final = train_all(tiny, tmp_path / "run", init=nets, **options | {"progress": True})
    assert "stage1: left out, since its net is given" in capsys.readouterr().out
    assert not (tmp_path / "run" / "stage0").exists() and not (tmp_path / "run" / "stage1").exists()
    given = load_file(nets["adcn"])
    assert all(torch.equal(load_file(final)[f"adcn.{name}"], given[name]) for name in given)
    # Named alone, a stage starts from the net, and its result goes into the later ones.
    own = train_all(tiny, tmp_path / "own", **options)
    train(tiny, "stage1", tmp_path / "own", init={"adcn": nets["adcn"]}, resume="fresh", **options)
    trained = load_file(tmp_path / "own" / "stage1" / "adcn.safetensors")
    train_all(tiny, tmp_path / "own", **options)
    assert any(not torch.equal(trained[name], given[name]) for name in given)
    assert all(torch.equal(load_file(own)[f"adcn.{name}"], trained[name]) for name in given)


def test_a_trial_can_be_gone_on_from_and_ends_with_the_same_bits(tmp_path, folders, monkeypatch):
    monkeypatch.setattr(stages, "Scenes", FakeScenes)
    tiny, options = tiny_preset(epochs=1), {"data": folders, **STILL}
    train_all(tiny, tmp_path / "trial", max_steps=1, **options)
    gone_on = load_file(train_all(tiny, tmp_path / "trial", **options))
    whole = load_file(train_all(tiny, tmp_path / "whole", **options))
    assert all(torch.equal(gone_on[name], whole[name]) for name in whole)
    assert (tmp_path / "trial" / "stage2a-old-1").is_dir()  # it began from the trial's ADCN


class NoDoubles(TorchDispatchMode):
    """An Apple GPU's view of the world: no tensor of float64."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor) and tensor.dtype == torch.float64:
                raise TypeError(f"{function}: float64 is not supported")
        return result


def test_a_step_and_its_checkpoint_need_no_float64(tmp_path, folders):
    tiny = tiny_preset(epochs=1)
    nets = write_nets(tmp_path, tiny)
    with NoDoubles():
        with pytest.raises(TypeError, match="float64"):
            torch.ones(1).double()
        file = train(tiny, "stage2b", tmp_path / "run", init=nets, data=folders, **STILL)
    assert file.is_file()


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640)])
def test_weights_can_be_read_by_whom_the_umask_allows(tmp_path, monkeypatch, mask, mode):
    monkeypatch.setattr(files, "_UMASK", mask)  # as it is read when the package is imported
    save_weights(ADCN(preset("mini").model), tmp_path / "w.safetensors", "mini")
    assert (tmp_path / "w.safetensors").stat().st_mode & 0o777 == mode


def test_what_is_scored_while_training_is_neither_trained_nor_tested_on(folders):
    mini, sources = preset("mini"), stages.Sources(ebb=folders["ebb"])
    stage = mini.stage("stage2a")
    _, check = stages.datasets(mini, stage, sources, None)
    sets = {split: stages.ebb_set(mini, split, None) for split in ("train", "test", "check")}
    ids = {split: {number for number, *_ in pairs.pairs} for split, pairs in sets.items()}
    assert not ids["check"] & (ids["train"] | ids["test"]) and len(check) == 16
    own = replace(mini, data=replace(mini.data, check=None))
    train_set, check = stages.datasets(own, stage, sources, None)
    assert [len(train_set), len(check)] == [5, 1]
    assert check[0]["id"] == "5" and all(item["id"] != "5" for item in train_set)
    none = apply(own, ["data.check_items=0"])
    whole, check = stages.datasets(none, stage, sources, None)
    assert len(whole) == 6 and check is None and not isinstance(whole, Part)


def test_too_few_frames_are_seen_before_any_weights_are_read(tmp_path, folders, monkeypatch):
    nets = write_nets(tmp_path, preset("mini"))
    monkeypatch.setattr(torch.nn.Module, "load_state_dict", None)  # nothing gets that far
    with pytest.raises(DataError, match="9 frames, but 300"):
        train_all(
            preset("mini"), tmp_path / "run", init={"depth": nets["depth"]}, data=folders, **STILL
        )
    swapped = {"depth": nets["adcn"]}
    with pytest.raises(WeightsError, match="holds a ADCN, not a DepthNet"):
        train_all(preset("mini"), tmp_path / "run", init=swapped, **STILL)
    assert main(["labels", "--depth", str(nets["depth"]), "--out", str(tmp_path / "labels"),
                 "--sun", str(folders["sun"]), "--quiet"]) == 2  # fmt: skip


def test_device_and_precision_choose_workers_and_the_order_of_memory(monkeypatch):
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert devices.loader_processes(cpu) == 0 and 1 <= devices.loader_processes(gpu) <= 4
    assert devices.memory_layout(cpu, "fp32") == torch.channels_last
    assert devices.memory_layout(gpu, "fp16") == torch.channels_last
    assert devices.memory_layout(torch.device("mps"), "fp32") == torch.contiguous_format
    for capability, layout in (((7, 0), torch.contiguous_format), ((8, 0), None)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, c=capability: c)
        assert devices.memory_layout(gpu, "fp32") == layout
    times = iter(range(100))
    net, slow = ADCN(preset("mini").model), []

    def step() -> None:
        last = net.down[0][2].weight.is_contiguous(memory_format=torch.channels_last)
        slow.extend(next(times) for _ in range(1 if last else 3))

    assert devices.faster_layout(net, step, lambda: next(times)) == torch.channels_last


def test_what_runs_write_makes_no_tree_dirty(tmp_path, monkeypatch):
    package = tmp_path / "bradcn_nb"
    (tmp_path / "data" / "results").mkdir(parents=True)
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.setattr(run.bradcn_nb, "__file__", str(package / "__init__.py"))
    assert run.commit() == "unknown"
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        author = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", tmp_path, *author, *words], check=True)
    clean = run.commit()
    assert len(clean) == 40
    (tmp_path / "data" / "results" / "mini.json").write_text("{}")
    assert run.commit() == clean
    (package / "new.py").write_text("x = 1")
    first = run.commit()
    (package / "new.py").write_text("x = 2")
    assert first.startswith(f"{clean}-dirty-") and run.commit() != first


def test_the_depth_net_that_is_given_leaves_stage_0_out(tmp_path, folders):
    tiny, file = tiny_preset(epochs=1), tmp_path / "depth.safetensors"
    save_weights(DepthNet(tiny.model), file, "mini")
    train_all(tiny, tmp_path / "run", init={"depth": file}, data=folders, max_steps=1, **STILL)
    assert not (tmp_path / "run" / "stage0").exists()
    assert (tmp_path / "run" / "stage1" / "adcn.safetensors").is_file()
