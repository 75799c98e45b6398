"""What a training is told: numbers, nets that are given, trials, devices; and its records."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_resume import tensors, tiny_preset, write_ebb, write_nets
from test_training import FakeScenes, write_sun
from torch.utils._python_dispatch import TorchDispatchMode

from bradcn_nb import files
from bradcn_nb.__main__ import main
from bradcn_nb.errors import BradcnError, DataError, WeightsError
from bradcn_nb.presets import PRESETS, Recipe, preset
from bradcn_nb.training import devices, make_run_labels, run, stages, train, train_all
from bradcn_nb.training.settings import setting_types, with_settings

STILL = {"threads": 1, "progress": False}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("settings")
    write_ebb(root / "ebb", 6, 2)
    write_sun(root / "sun")
    write_nets(root, tiny_preset())
    return root


@pytest.fixture
def given(root, monkeypatch):
    """The options of a training of one epoch of the tiny preset, which is `mini` meanwhile."""
    monkeypatch.setattr(stages, "Scenes", FakeScenes)
    monkeypatch.setitem(PRESETS, "mini", tiny_preset(epochs=1))
    return {"data": {"ebb": root / "ebb", "sun": root / "sun"}, **STILL}


def nets(root: Path, *names: str) -> dict[str, Path]:
    return {name: root / f"{name}.safetensors" for name in names}


def adcn_of(file: Path) -> dict[str, bytes]:
    """The weights of the ADCN in a file of BRADCN."""
    parts = tensors(file).items()
    return {name.removeprefix("adcn."): value for name, value in parts if name[:5] == "adcn."}


def test_numbers_of_a_preset_are_read_as_their_own_type():
    paper = preset("paper")
    words = "stage2a.lr=1e-5 data.sun_counts=250,50 seed=3 recipe.clip=1 data.train_size=256,384"
    words += " stage1.samples_per_epoch=none stage2b.schedule=cosine stage2a.l1=0 stage2a.ms_ssim=1"
    changed = with_settings(paper, words.split())
    assert changed.stage("stage2a").lr == 1e-5 and changed.stage("stage2b").lr == 5e-5
    assert (changed.stage("stage2a").l1, changed.stage("stage2a").ms_ssim) == (0, 1)
    assert changed.data.sun_counts == (250, 50) and changed.data.train_size == (256, 384)
    assert changed.seed == 3 and changed.recipe.clip == 1.0
    assert changed.stage("stage2b").schedule == "cosine"
    assert with_settings(paper, []) == paper
    for known in PRESETS.values():
        assert {"seed", "data.sun_counts", "stage2b.ms_ssim", "recipe.ema"} <= {
            *setting_types(known)
        }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stage2a.rate=1", "no such setting; choose from seed, recipe.precision, .*stage2a.lr"),
        ("stage2a.net=depth", "no such setting"),
        ("lr", "is not NAME=VALUE"),
        ("stage2a.epochs=1.5", "'1.5' is not a whole number"),
        ("stage2a.lr=fast", "'fast' is not a number"),
        ("stage2a.lr=nan", "'nan' is not a number"),
        ("recipe.ema=off", "'off' is not a number or none"),
        ("stage2a.lr=-1", "stage2a.lr is -1.0: it must be above 0"),
        ("stage2a.batch=0", "must be above 0"),
        ("stage1.l1=0", "stage1: l1, ms_ssim is .0.0, 0.0.: it must be a loss"),
        ("stage1.ms_ssim=1", "stage1.ms_ssim is 1.0: it compares pictures only"),
        ("data.sun_counts=300", "'300' is not 2 values joined by commas, each a whole number"),
        ("data.sun_split=place", "choose one of random, scene"),
        ("data.train_size=250,384", "it must be multiples of 32"),
        ("recipe.precision=int8", "choose one of fp32, bf16, fp16"),
    ],
)
def test_a_wrong_number_is_refused_by_name(text, message):
    with pytest.raises(BradcnError, match=message) as error:
        with_settings(preset("paper"), [text])
    assert "\n" not in str(error.value)


def test_a_run_keeps_to_the_numbers_it_was_given(root, given, tmp_path, capsys):
    words = ["train", "stage2a", "--run", tmp_path, "--quiet", "--max-steps", 1]
    words += ["--ebb", root / "ebb", "--depth", root / "depth.safetensors"]
    words = [str(word) for word in (*words, "--adcn", root / "adcn.safetensors")]
    assert main([*words, "--set", "stage2a.lr=1e-5", "seed=5000", "data.check_items=0"]) == 0
    config = json.loads((tmp_path / "stage2a" / "config.json").read_text())["preset"]
    assert (config["stages"][2]["lr"], config["seed"]) == (1e-5, 5000)
    assert (tmp_path / "stage2a" / "log.csv").read_text().splitlines()[1].split(",")[4] == ""
    assert main(words) == 2
    assert "preset.seed, preset.stages.2.lr" in capsys.readouterr().err


def test_300_frames_are_enough_where_the_counts_say_so(root, given, tmp_path, capsys):
    words = ["labels", "--sun", root / "sun", "--depth", root / "depth.safetensors", "--quiet"]
    words = [str(word) for word in (*words, "--out", tmp_path / "labels", "--set")]
    assert main([*words, "data.sun_counts=7,3"]) == 2
    assert "9 frames, but 7 + 3 are asked for" in capsys.readouterr().err
    assert main([*words, "data.sun_counts=7,2"]) == 0
    made = {part: len([*(tmp_path / "labels" / part).rglob("*.png")]) for part in ("train", "test")}
    assert made == {"train": 7, "test": 2}


def test_a_net_that_is_given_takes_its_stages_place(root, given, tmp_path, capsys):
    tiny, both = preset("mini"), nets(root, "depth", "adcn")
    final = train_all(tiny, tmp_path / "run", init=both, max_steps=1, **given | {"progress": True})
    shown = capsys.readouterr().err
    assert "stage0: left out, since its net is given" in shown and "stage1: left out" in shown
    assert not [*(tmp_path / "run").glob("stage[01]")]
    assert adcn_of(final) == tensors(both["adcn"])
    train_all(tiny, tmp_path / "depth", init=nets(root, "depth"), max_steps=1, **given)
    assert [p.name for p in (tmp_path / "depth").glob("stage[01]")] == ["stage1"]


def test_a_stage_that_is_named_starts_from_the_net_and_its_result_wins(root, given, tmp_path):
    tiny, adcn = preset("mini"), nets(root, "adcn")
    depth = nets(root, "depth")
    train_all(tiny, tmp_path, init=depth, max_steps=1, **given)
    alone = train(tiny, "stage1", tmp_path, init=depth | adcn, resume="fresh", **given)
    assert "adcn" in json.loads((alone.parent / "config.json").read_text())["init"]
    trained = tensors(alone)
    assert trained != tensors(adcn["adcn"])
    for init in (depth, depth | adcn):  # whether the file is named once more or not
        assert adcn_of(train_all(tiny, tmp_path, init=init, **given)) == trained
    assert adcn_of(train_all(tiny, tmp_path, init=depth | adcn, resume="fresh", **given)) != trained


def test_a_trial_is_gone_on_from_and_ends_with_the_same_bits(root, given, tmp_path):
    tiny, depth = tiny_preset(), nets(root, "depth")
    train_all(tiny, tmp_path / "trial", init=depth, max_steps=1, **given)
    assert run.is_trial(tmp_path / "trial" / "stage1")
    gone_on, whole = (
        train_all(tiny, tmp_path / n, init=depth, **given) for n in ("trial", "whole")
    )
    assert tensors(gone_on) == tensors(whole)
    assert (tmp_path / "trial" / "stage2a-old-1").is_dir()  # it began from the trial's ADCN
    logs = [
        (tmp_path / n / "stage1" / "log.csv").read_text().splitlines() for n in ("trial", "whole")
    ]
    assert [row.split(",")[:4] for row in logs[0]] == [row.split(",")[:4] for row in logs[1]]
    assert not run.is_trial(tmp_path / "trial" / "stage1")
    stage1 = tmp_path / "whole" / "stage1" / "adcn.safetensors"  # fewer steps than it has: it stays
    time = stage1.stat().st_mtime_ns
    train(tiny, "stage1", tmp_path / "whole", init=depth, max_steps=1, **given)
    assert stage1.stat().st_mtime_ns == time


class NoDoubles(TorchDispatchMode):
    """An Apple GPU's view of the world: no tensor of float64."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor) and tensor.dtype == torch.float64:
                raise TypeError(f"{function}: float64 is not supported")
        return result


def test_no_stage_label_check_or_checkpoint_needs_float64(given, tmp_path):
    with NoDoubles():
        with pytest.raises(TypeError, match="float64"):
            torch.ones(1).double()
        tiny = replace(preset("mini"), recipe=Recipe(clip=0.1, ema=0.9))
        assert train_all(tiny, tmp_path, max_steps=1, checkpoint_every=1, **given).is_file()


def test_what_is_written_can_be_read_by_whom_the_umask_allows(root, given, tmp_path):
    code = (
        "import os, sys; from bradcn_nb.files import replacing\n"
        "with replacing(sys.argv[1]) as path:\n"
        "    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))  # as safetensors does"
    )
    for mask, mode in ((0o022, 0o644), (0o027, 0o640)):
        file = tmp_path / f"{mask}"
        subprocess.run([sys.executable, "-c", code, str(file)], check=True, umask=mask)
        assert file.stat().st_mode & 0o777 == mode
    init = nets(root, "depth", "adcn")
    final = train(preset("mini"), "stage2a", tmp_path / "run", init=init, max_steps=1, **given)
    for file in (final, final.with_name("checkpoint.safetensors")):
        assert file.stat().st_mode & 0o777 == 0o666 & ~files._UMASK


def test_what_is_scored_while_training_is_neither_trained_nor_tested_on(tmp_path):
    mini = preset("mini")
    stage, sources = mini.stage("stage2a"), stages.Sources(ebb=write_ebb(tmp_path, 21, 1))
    _, check = stages.datasets(mini, stage, sources, None)
    assert len(check) == 16
    for read in (stages.ebb_set, stages.sun_set):
        sets = [read(mini, split, None) for split in ("train", "test", "check")]
        names = [
            set(getattr(items, "ids", 0) or [pair[0] for pair in items.pairs]) for items in sets
        ]
        assert len(set.union(*names)) == sum(map(len, names)) and len(names[2]) == 16
    own = replace(mini, data=replace(mini.data, check=None))
    train_set, check = stages.datasets(own, stage, sources, None)
    assert [item["id"] for item in check] == ["19", "20"]  # a tenth
    assert [item["id"] for item in train_set] == [str(n) for n in range(19)]
    for epoch in range(3):
        train_set.set_epoch(epoch)
        assert torch.equal(check[0]["image"], check.dataset.load(19)["image"])  # never mirrored
    train_set, check = stages.datasets(
        with_settings(own, ["data.check_items=0"]), stage, sources, None
    )
    assert (len(train_set), len(check)) == (21, 0)


def test_all_inputs_are_seen_before_any_weights_are_read(root, given, tmp_path, monkeypatch):
    tiny, both = preset("mini"), nets(root, "depth", "adcn")
    few = with_settings(tiny, ["data.sun_counts=300,60"])
    for name in ("original", "bokeh"):
        (tmp_path / "empty" / name).mkdir(parents=True)
    empty = given | {"data": given["data"] | {"ebb": tmp_path / "empty"}}
    monkeypatch.setattr(torch.nn.Module, "load_state_dict", None)  # nothing gets that far
    for text, act in (
        ("9 frames, but 300", lambda: train_all(few, tmp_path, init=nets(root, "depth"), **given)),
        ("9 frames, but 300", lambda: train(few, "stage1", tmp_path, init=both, **given)),
        (
            "9 frames, but 300",
            lambda: make_run_labels(few, both["depth"], tmp_path, sun=root / "sun"),
        ),
        ("no train pair", lambda: train_all(tiny, tmp_path, **empty)),
    ):
        with pytest.raises(DataError, match=text):
            act()
    # A file that the last stage could not read fails before the first one, and moves nothing.
    (tmp_path / "stage0").mkdir()
    with pytest.raises(WeightsError, match="holds a ADCN, not a RenderNet"):
        train_all(tiny, tmp_path, init={"render": both["adcn"]}, resume="fresh", **given)
    assert {path.name for path in tmp_path.iterdir()} == {"stage0", "empty"}


def test_device_and_precision_choose_workers_and_the_order_of_memory(monkeypatch):
    cpu, gpu, apple = (torch.device(name) for name in ("cpu", "cuda", "mps"))
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert [devices.loader_processes(cpu), devices.loader_processes(gpu)] == [0, 4]
    assert [devices.loader_processes(gpu, n) for n in (2, 4, 8)] == [3, 1, 1]
    assert devices.memory_layout(cpu, "fp32") == devices.memory_layout(gpu, "fp16")
    assert devices.memory_layout(cpu, "bf16") == torch.channels_last
    assert devices.memory_layout(apple, "fp32") == torch.contiguous_format
    assert devices.memory_layout(gpu, "fp32") is None
    seconds, now = {}, [0]

    def step(layout: torch.memory_format) -> None:
        now[0] += seconds[layout] if layout in tried else 9  # the first one warms up
        tried.add(layout)

    layouts = (torch.contiguous_format, torch.channels_last)
    for faster, slower in (layouts, layouts[::-1]):
        seconds, tried = {faster: 2, slower: 3}, set()
        assert devices.faster_layout(step, lambda: now[0]) == faster


def test_a_run_keeps_to_the_order_of_memory_that_was_faster(root, given, tmp_path, monkeypatch):
    calls = []

    def faster(step):
        for layout in (torch.contiguous_format, torch.channels_last):
            step(layout)
        calls.append(1)
        return torch.contiguous_format

    monkeypatch.setattr(devices, "memory_layout", lambda *_: None)  # as on a GPU in fp32
    monkeypatch.setattr(devices, "faster_layout", faster)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    options = given | {"init": nets(root, "depth", "adcn")}
    train(preset("mini"), "stage2a", tmp_path, max_steps=1, **options)
    record = tmp_path / "stage2a" / "layout.json"
    assert json.loads(record.read_text()) == {"layout": "contiguous_format"} and calls == [1]
    monkeypatch.setattr(devices, "faster_layout", None)
    train(preset("mini"), "stage2a", tmp_path, **options)


def test_what_runs_write_makes_no_tree_dirty(tmp_path, monkeypatch):
    package, results = tmp_path / "bradcn_nb", tmp_path / "data" / "results"
    for folder in (package, results):
        folder.mkdir(parents=True)
    for file in (package / "__init__.py", tmp_path / "picture", results / "old.json"):
        file.write_bytes(b"\0one")
    monkeypatch.setattr(run.bradcn_nb, "__file__", str(package / "__init__.py"))
    assert run.commit() == "unknown"
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        author = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", tmp_path, *author, *words], check=True)
    clean = run.commit()
    (results / "old.json").write_text("{}")
    (results / "new.json").write_text("{}")
    assert run.commit() == clean and len(clean) == 40
    seen = {clean}
    for file, content in (
        ("bradcn_nb/new.py", "1"),
        ("bradcn_nb/new.py", "2"),
        ("picture", "\0two"),
    ):
        (tmp_path / file).write_text(content)
        assert re.fullmatch(f"{clean}-dirty-[0-9a-f]{{8}}", run.commit())
        seen.add(run.commit())
    assert len(seen) == 4
