"""Variants of BRADCN (ledger "signed-error", "error-gate"): what they see and learn, and their
files.
"""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from bradcn_nb.errors import BradcnError, WeightsError
from bradcn_nb.experiments.record import weights_path
from bradcn_nb.experiments.variants import (
    SignedADCN,
    build,
    load,
    vary,
    with_signed_error,
)
from bradcn_nb.models import (
    ADCN,
    BRADCN,
    DepthNet,
    load_bradcn,
    load_weights,
    read_metadata,
    save_weights,
)
from bradcn_nb.presets import preset
from bradcn_nb.training import train
from bradcn_nb.training.stages import compare, make_net, terms

SIGNED = with_signed_error(preset("mini"))
SIZE = (64, 96)


@pytest.fixture
def image():
    return torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def test_it_sees_the_depth_and_may_be_negative(image):
    torch.manual_seed(0)
    net = SignedADCN(SIGNED.model).eval()
    depth = torch.rand(2, 1, *SIZE) + 1
    with torch.no_grad():
        error = net(image, depth)
        assert error.shape == depth.shape and (error < 0).any()
        assert not torch.allclose(error, net(image, depth + 1))
        assert (ADCN(preset("mini").model).eval()(image) > 0).all()


@pytest.mark.parametrize("model", [SIGNED.model, vary(preset("mini").model)])
def test_maps_can_be_had_without_a_picture(model, image):
    torch.manual_seed(0)
    net = build(model).eval()
    with torch.no_grad():
        whole, maps = net(image), net(image, render=False)
        assert maps.bokeh is None
        assert torch.equal(maps.depth, whole.depth)
        assert torch.equal(maps.depth_error, whole.depth_error)
        if model == SIGNED.model:  # also where the depth itself enters no sum
            alone = net(image, branches=("error",))
            assert torch.equal(alone.depth_error, whole.depth_error)


@pytest.mark.parametrize("kind", ["signed", "absolute"])
def test_its_label_is_the_error_of_the_depth_net_beside_it(kind, image):
    torch.manual_seed(0)
    stage = SIGNED.stage("stage1")
    net = build(vary(SIGNED.model, error_kind=kind)).eval()
    truth, mask = torch.rand(2, 1, *SIZE) + 1, torch.rand(2, 1, *SIZE) > 0.3
    batch = {"image": image, "depth": truth, "mask": mask}
    with torch.no_grad():
        prediction, target, used = compare(stage, net, batch)
        error = truth - net.depth_net(image)
    assert torch.equal(target, error if kind == "signed" else error.abs())
    assert prediction.shape == target.shape and used is mask
    assert terms(stage, batch) == int(mask.sum())


def test_stage_1_trains_it_alone_and_its_weights_can_be_used(tmp_path, image):
    assert SIGNED.stage("stage1").calibrates and not SIGNED.stage("stage2a").calibrates
    init = {"depth": weights_path("depth")}
    file = train(
        SIGNED, "stage1", tmp_path, init=init, max_steps=3, threads=1, progress=False, build=build
    )
    torch.manual_seed(0)
    trained = build(SIGNED.model)
    load_weights(file, trained, "mini")
    bundled = DepthNet(preset("mini").model)
    load_weights(init["depth"], bundled, "mini")
    for name, weight in trained.depth_net.state_dict().items():
        assert torch.equal(weight, bundled.state_dict()[name]), name
    second = make_net(SIGNED, SIGNED.stage("stage2a"), {"bradcn": file}, build)
    assert torch.equal(second.adcn.out.weight, trained.adcn.out.weight)
    used = load("mini", file)
    assert used.cfg.error_kind == "signed"
    with torch.no_grad():
        assert torch.isfinite(used(image).bokeh).all()


def test_stage_1_starts_from_a_given_one(tmp_path):
    torch.manual_seed(0)
    files = {kind: tmp_path / f"{kind}.safetensors" for kind in ("signed", "absolute")}
    adcn = SignedADCN(SIGNED.model)
    save_weights(adcn, files["signed"], "mini")
    save_weights(ADCN(preset("mini").model), files["absolute"], "mini")
    init = {"depth": weights_path("depth")}
    net = make_net(SIGNED, SIGNED.stage("stage1"), {**init, "adcn": files["signed"]}, build)
    assert torch.equal(net.adcn.out.weight, adcn.out.weight)
    with pytest.raises(WeightsError, match="absolute.safetensors"):
        make_net(SIGNED, SIGNED.stage("stage1"), {**init, "adcn": files["absolute"]}, build)


def test_holes_in_a_given_depth_are_refused(image):
    net, depth = build(SIGNED.model).eval(), torch.ones(2, 1, *SIZE)
    depth[0, 0, 3, 5] = 0
    with pytest.raises(BradcnError, match="fill its holes"):
        net(image, depth=depth)
    assert net(image, depth=depth, depth_error=depth).bokeh.isfinite().all()


def test_a_gate_without_the_depth_that_it_closes_is_refused(image):
    mini = preset("mini").model
    with pytest.raises(BradcnError, match="gate closes the depth's branch"):
        build(vary(mini, error_use="gate", branches=("error",)))
    with pytest.raises(BradcnError, match="gate closes the depth's branch"):
        build(vary(mini, error_use="gate"))(image, branches=("error",))
    with pytest.raises(BradcnError, match="unknown branches"):
        build(vary(mini))(image, branches=("focus",))
    with pytest.raises(BradcnError, match="no net for an error that is signed and used as 'gate'"):
        build(vary(mini, error_use="gate", error_kind="signed"))


def test_a_file_keeps_how_its_net_differs_and_is_never_taken_for_the_papers(tmp_path):
    file, old = tmp_path / "gate.safetensors", tmp_path / "old.safetensors"
    gated = build(vary(preset("mini").model, error_use="gate"))
    save_weights(gated, file, "mini")
    about = read_metadata(file)
    assert json.loads(about["variant"])["error_use"] == "gate"
    assert "error_use" not in json.loads(about["model"])
    with pytest.raises(WeightsError, match="holds a GatedBRADCN, not a BRADCN"):
        load_bradcn("mini", file)
    assert type(load("mini", file)) is type(gated)
    assert type(type(gated).from_pretrained(_saved(gated, tmp_path / "hub"))) is type(gated)
    # What earlier versions wrote: one configuration for all, one name for all.
    model = json.loads(about["model"]) | json.loads(about.pop("variant"))
    about |= {"model": json.dumps(model), "net": "BRADCN"}
    save_file(load_file(file), old, metadata=about)
    assert type(load("mini", old)) is type(gated)
    with pytest.raises(WeightsError, match="variant of the paper's net"):
        load_bradcn("mini", old)
    assert type(load("mini", weights_path())) is BRADCN


def _saved(net, folder):
    net.save_pretrained(folder)
    return folder
