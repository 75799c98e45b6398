"""The experiments' machinery: statistics, maps, arms, and trainings that are kept."""

import argparse
import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from scipy import stats
from test_resume import write_ebb

from bradcn_nb.__main__ import main
from bradcn_nb.data import MappedEBB, MapStack
from bradcn_nb.errors import BradcnError, DataError, WeightsError
from bradcn_nb.evaluation.intervals import crossed_interval, mean_and_error, paired_interval
from bradcn_nb.evaluation.lpips import lpips_net
from bradcn_nb.experiments import cost, maps, rooms, runs, table1, table2, variants
from bradcn_nb.experiments.costs.summary import count_macs
from bradcn_nb.experiments.record import weights_path
from bradcn_nb.models import BRADCN, baselines, load_weights
from bradcn_nb.models.blocks import add_maps
from bradcn_nb.presets import preset
from bradcn_nb.training.stages import make_net

MINI = preset("mini").model
SIZE = (64, 96)
NAMES = ("predicted", "true", "adcn", "shuffled", "error", "signed", "dioptre", "constant")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Pairs of noise in EBB!'s layout, and maps of noise, 1 to 3 m."""
    root = tmp_path_factory.mktemp("data")
    write_ebb(root / "mini-ebb", train=8, test=3)
    numbers = [*range(8), 4400, 4401, 4402]
    (root / "maps").mkdir()
    (root / "maps" / "ids.json").write_text(json.dumps(numbers))
    rng = np.random.default_rng(0)
    for name in NAMES:
        values = rng.uniform(1, 3, (len(numbers), *SIZE)).astype(np.float16)
        np.save(root / "maps" / f"{name}.npy", values)
    return root


@pytest.fixture
def lpips_weights():
    try:
        lpips_net("alex")
    except WeightsError as error:
        pytest.skip(str(error))


def test_interval_with_one_seed_is_students_over_the_pictures():
    rng = np.random.default_rng(1)
    a, b = rng.normal(28, 4, (1, 200)), rng.normal(28, 4, (1, 200))
    ours, known = crossed_interval(a, b), stats.ttest_1samp((a - b)[0], 0).confidence_interval()
    assert ours.mean == pytest.approx((a - b).mean())
    assert (ours.low, ours.high) == pytest.approx((known.low, known.high))


def test_interval_where_pictures_do_not_differ_is_students_over_the_seeds():
    seeds = np.random.default_rng(4).normal(0, 1, (4, 1))
    ours = crossed_interval(np.broadcast_to(seeds, (4, 50)), np.zeros((4, 50)))
    known = stats.ttest_1samp(seeds[:, 0], 0).confidence_interval()
    assert (ours.low, ours.high) == pytest.approx((known.low, known.high), rel=1e-6)


def test_interval_of_the_same_difference_everywhere_has_no_width():
    assert crossed_interval(np.full((3, 9), 0.3), np.zeros((3, 9))) == pytest.approx((0.3,) * 3)


def test_interval_knows_that_seeds_differ():
    """Each seed shifts all of its pictures: the pictures alone would be far too sure."""
    rng = np.random.default_rng(2)
    shifts = rng.normal(0, 1, (5, 1))
    a = np.broadcast_to(shifts, (5, 400)) + rng.normal(0, 0.1, (5, 400))
    interval = crossed_interval(a, np.zeros_like(a))
    alone = paired_interval(a.mean(0), np.zeros(400))
    assert interval.high - interval.low > 20 * (alone.high - alone.low)
    with pytest.raises(ValueError, match="one shape"):
        crossed_interval(a, a[:2])
    with pytest.raises(ValueError, match="finite"):
        crossed_interval(a * np.nan, a)


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize(("luck", "taste"), [(0, 0.3), (0.05, 0.2), (0.1, 0.3), (0.05, 0.8)])
def test_interval_errs_as_often_as_it_says(seeds, luck, taste):
    """Once in twenty, whether seeds, pictures or both are most of the luck."""
    rng, sheets = np.random.default_rng(3), 2000
    values = rng.normal(0, luck, (sheets, seeds, 1)) + rng.normal(0, taste, (sheets, 1, 80))
    mean, error, freedom = mean_and_error(values + rng.normal(0, 0.2, (sheets, seeds, 80)))
    alarms = np.mean(np.abs(mean) > error * stats.t.ppf(0.975, freedom))
    assert 0.035 <= alarms <= 0.09


def test_derangement_stays_inside_the_splits():
    rows = maps.derangement(8, 11)
    assert sorted(rows[:8]) == [*range(8)] and sorted(rows[8:]) == [8, 9, 10]
    assert (rows != np.arange(11)).all()


def test_true_depth_is_that_of_the_pair():
    from bradcn_nb.data.bundle import EBB_SEED, EBB_SIZE
    from bradcn_nb.scenes import outdoor_scene

    _, _, depth = outdoor_scene(EBB_SEED + 3).pair(*EBB_SIZE, samples=4)
    np.testing.assert_allclose(maps.true_depth(3, 7.0), np.minimum(depth, 7.0), rtol=1e-6)


def test_items_bring_their_own_maps_mirrored_along(data):
    given = ("predicted", "adcn")
    plain = MappedEBB(data / "mini-ebb", "train", SIZE, data / "maps", given)
    stack = MapStack(data / "maps", "adcn")
    np.testing.assert_array_equal(plain[5]["depth_error"], stack[5])
    flipped = MappedEBB(data / "mini-ebb", "train", SIZE, data / "maps", given, flip=True, seed=1)
    mirrored = [i for i in range(8) if torch.equal(flipped[i]["image"], plain[i]["image"].flip(-1))]
    assert 0 < len(mirrored) < 8
    for i in mirrored:
        assert torch.equal(flipped[i]["depth"], plain[i]["depth"].flip(-1))
    with pytest.raises(DataError, match="no-such.npy"):
        MapStack(data / "maps", "no-such")
    with pytest.raises(DataError, match="no map of pair 99"):
        stack[99]


def test_given_maps_replace_the_nets():
    torch.manual_seed(0)
    net = BRADCN(MINI).eval()
    for patches in (*net.depth_branch.reassemble.patches, *net.error_branch.reassemble.patches):
        torch.nn.init.normal_(patches.weight, std=0.1)
    image = torch.rand(1, 3, *SIZE)
    with torch.no_grad():
        own = net(image)
        again = net(image, depth=own.depth, depth_error=own.depth_error)
        other = net(image, depth=own.depth + 1)
    assert torch.equal(own.bokeh, again.bokeh)
    assert not torch.allclose(own.bokeh, other.bokeh)


def test_gate_closes_the_depth_branch_where_the_error_is_large():
    torch.manual_seed(0)
    net = variants.build(variants.vary(MINI, error_use="gate")).eval()
    for patches in net.depth_branch.reassemble.patches:
        torch.nn.init.normal_(patches.weight, std=0.1)
    image, depth = torch.rand(1, 3, *SIZE), torch.full((1, 1, *SIZE), 2.0)
    with torch.no_grad():
        closed = net(image, depth=depth, depth_error=torch.full_like(depth, 1e4)).bokeh
        assert torch.allclose(closed, net(image, branches=()).bokeh, atol=1e-5)
        half = net(image, depth=depth, depth_error=torch.ones_like(depth)).bokeh
        maps_ = add_maps(net.render_net.encode(image), [m / 2 for m in net.depth_branch(depth)])
        assert torch.allclose(half, net.render_net.decode(maps_, image), atol=1e-5)


def test_arms_differ_in_what_they_say():
    presets = {name: table2.arm_preset(name, 0) for name in table2.ARMS}
    digests = {json.dumps(dataclasses.asdict(one)) for one in presets.values()}
    assert len(digests) == len(presets)
    assert presets["render"].model.branches == ()
    assert presets["full"].stages[0].given == ("predicted", "adcn")
    assert presets["tuned-full"].stages[0].frozen == ("adcn",)
    assert presets["full-l1"].stages[1].ms_ssim == 0 and presets["full"].stages[1].ms_ssim == 1
    named = {name for pair in table2.COMPARISONS for name in pair}
    assert named == set(table2.ARMS)
    steps = {sum(stage.epochs for stage in one.stages) for one in presets.values()}
    assert len(steps) == 1


def test_table1_gives_every_net_the_same_budget(tmp_path):
    """Trained weights within 20 % of BRADCN's, and the same stages but for the net and what is
    frozen.
    """
    task = runs.Task("bradcn", 0, table1.arm_preset("bradcn", 0), *[tmp_path] * 3)
    counts, stages, init = {}, set(), runs.init_files(task)
    for name in table1.TITLES:
        chosen = table1.arm_preset(name, 0)
        if chosen.stages:
            net = make_net(chosen, chosen.stages[-1], init)
            counts[name] = runs.trained_parameters(net, chosen)
            same = {"net": "", "frozen": (), "given": ()}
            stages.add(tuple(dataclasses.replace(stage, **same) for stage in chosen.stages))
    assert len(stages) == 1
    assert set(counts) == {*baselines.TRAINED, "bradcn"}
    for name, count in counts.items():
        assert 0.8 < count / counts["bradcn"] < 1.2, name
    assert table1.arm_preset("identity", 0).stages == ()


def test_wider_baselines_are_other_trainings(data, tmp_path, monkeypatch):
    chosen = table1.arm_preset("dmshn", 0)
    task = runs.Task("dmshn", 0, chosen, data / "mini-ebb", data / "maps", tmp_path)
    before, wider = task.digest, baselines.build("dmshn", "full")
    monkeypatch.setattr(baselines, "build", lambda name: wider)
    assert task.digest != before


def test_what_learns_nothing_is_judged_as_it_is(data, tmp_path, lpips_weights):
    folder = tmp_path / "classical"
    chosen = table1.arm_preset("classical", 0)
    task = runs.Task("classical", 0, chosen, data / "mini-ebb", data / "maps", folder)
    record = runs.run_task(task)
    assert record["parameters"] == 0 and len(record["psnr"]) == 3
    net = baselines.build("classical")
    load_weights(weights_path("depth"), net.depth_net, "mini")
    assert runs.judge(net.eval(), task)["psnr"] == record["psnr"]


def test_a_training_is_kept_and_not_repeated(data, tmp_path, lpips_weights):
    def task(seed):
        chosen = table2.arm_preset("full", seed)
        short = [dataclasses.replace(stage, epochs=1) for stage in chosen.stages[:1]]
        chosen = dataclasses.replace(chosen, stages=tuple(short))
        folder = tmp_path / f"seed-{seed}"
        return runs.Task("full", seed, chosen, data / "mini-ebb", data / "maps", folder)

    record = runs.run_task(task(0))
    assert record["id"] == [4400, 4401, 4402] and np.isfinite(record["psnr"]).all()
    net = BRADCN(MINI)
    trained = [net.render_net, net.depth_branch, net.error_branch]
    count = sum(weight.numel() for part in trained for weight in part.parameters())
    assert record["parameters"] == count
    kept = {"full/0": record}
    assert list(runs.run_all([task(0)], kept, 1, False)) == [record]
    assert task(1).digest != task(0).digest
    told = runs.settings_changed(task(0).preset)
    assert told["stages"][0]["given"] == ["predicted", "adcn"] and told["model"]["stem_width"] == 16
    assert "depth_kind" not in told["model"]  # at its default


def test_summary_compares_what_is_there():
    rng = np.random.default_rng(4)
    records = {}
    for name, gain in (("render", 0.0), ("depth", 0.5)):
        for seed in range(3):
            psnr = (25 + gain + rng.normal(0, 0.01, 6)).tolist()
            record = {
                "arm": name,
                "seed": seed,
                "parameters": 1,
                "ssim": psnr,
                "lpips": psnr,
                "id": [*range(6)],
            }
            records[f"{name}/{seed}"] = record | {"psnr": psnr, "seconds": 1}
    found = table2.TABLE2.summary(records)
    assert list(found["arms"]) == ["render", "depth"]
    assert list(found["differences"]) == ["depth - render"]
    difference = found["differences"]["depth - render"]
    assert difference["seeds"] == [0, 1, 2]
    assert 0.45 < difference["psnr"]["low"] < difference["psnr"]["high"] < 0.55


def test_cost_counts_and_times_every_method(monkeypatch):
    monkeypatch.setattr(cost, "ROUNDS", 1)
    net = BRADCN(MINI).eval()
    rows = cost.cost(net, argparse.Namespace(quiet=True))["methods"]
    assert list(rows) == list(table1.TITLES)
    assert rows["identity"]["gmacs"] == rows["identity"]["parameters"] == 0
    assert rows["bradcn"]["parameters"] == sum(weight.numel() for weight in net.parameters())
    assert rows["bradcn"]["gmacs"] == count_macs(net, torch.zeros(1, 3, *SIZE)) / 1e9
    assert rows["bradcn"]["ratio"] == 1 and all(row["ms"] > 0 for row in rows.values())


def test_nets_from_rooms_leave_maps_that_belong_to_them(data, tmp_path, monkeypatch):
    """Two short trainings: the maps are there, corrected ones differ, and another net makes them
    anew.
    """
    short = {
        kind: dataclasses.replace(
            chosen, stages=tuple(dataclasses.replace(s, epochs=1) for s in chosen.stages)
        )
        for kind in rooms.KINDS
        for chosen in (rooms.rooms_preset(kind),)
    }
    monkeypatch.setattr(rooms, "rooms_preset", short.__getitem__)
    folder = shutil.copytree(data / "maps", tmp_path / "data" / "maps")
    shutil.copytree(data / "mini-ebb", tmp_path / "data" / "mini-ebb")
    (folder / maps.MADE_OF).write_text('{"pairs": 11}')
    rooms.make_room_maps(tmp_path / "data", tmp_path / "rooms", progress=False)
    record = json.loads((folder / maps.ROOMS_MADE_OF).read_text())
    assert set(record) == {"absolute", "signed", "pairs"}
    signed, shuffled = (MapStack(folder, f"rooms-{name}") for name in ("signed", "shuffled"))
    assert not np.array_equal(signed[4400], shuffled[4400])
    assert any(np.array_equal(shuffled[4400], signed[number]) for number in (4401, 4402))
    assert (MapStack(folder, "rooms")[0] > 0).all() and (
        MapStack(folder, "rooms-absolute")[0] > 0
    ).all()
    chosen = table2.arm_preset("rooms-signed", 0)
    task = runs.Task("x", 0, chosen, tmp_path / "data" / "mini-ebb", folder, tmp_path)
    before = task.digest
    (folder / maps.ROOMS_MADE_OF).write_text("{}")
    assert task.digest != before


def test_what_is_wrong_is_said_in_one_line(tmp_path, capsys):
    assert main(["experiments", "table2", "--runs", str(tmp_path), "--arms", "full"]) == 2
    assert "mini-ebb: is not there; make it with" in capsys.readouterr().err
    with pytest.raises(BradcnError, match="has no arms"):
        table2.TABLE2.run(tmp_path, tmp_path, ["nonsense"], 1, 1, False)
