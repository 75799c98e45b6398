"""The signed ADCN (ledger "signed-error"): what it sees, what it learns, and that its weights can be used."""

from dataclasses import replace

import pytest
import torch

from bradcn_nb.errors import BradcnError, WeightsError
from bradcn_nb.experiments.record import weights_path
from bradcn_nb.models import ADCN, BRADCN, DepthNet, load_bradcn, load_weights, save_weights
from bradcn_nb.presets import preset, with_signed_error
from bradcn_nb.training import train
from bradcn_nb.training.stages import compare, make_net, terms

SIGNED = with_signed_error(preset("mini"))
SIZE = (64, 96)


@pytest.fixture
def image():
    return torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def test_it_sees_the_depth_and_may_be_negative(image):
    torch.manual_seed(0)
    net = ADCN(SIGNED.model).eval()
    depth = torch.rand(2, 1, *SIZE) + 1
    with torch.no_grad():
        error = net(image, depth)
        assert error.shape == depth.shape and (error < 0).any()
        assert not torch.allclose(error, net(image, depth + 1))
        paper = ADCN(preset("mini").model).eval()
        assert (paper(image) > 0).all() and torch.equal(paper(image), paper(image, depth))
    with pytest.raises(BradcnError, match="call it with the picture and Do"):
        net(image)


@pytest.mark.parametrize("model", [SIGNED.model, preset("mini").model])
def test_maps_can_be_had_without_a_picture(model, image):
    torch.manual_seed(0)
    net = BRADCN(model).eval()
    with torch.no_grad():
        whole, maps = net(image), net(image, render=False)
        assert maps.bokeh is None
        assert torch.equal(maps.depth, whole.depth)
        assert torch.equal(maps.depth_error, whole.depth_error)
        if net.adcn.signed:  # also where the depth itself enters no sum
            alone = net(image, branches=("error",))
            assert torch.equal(alone.depth_error, whole.depth_error)


@pytest.mark.parametrize("kind", ["signed", "absolute"])
def test_its_label_is_the_error_of_the_depth_net_beside_it(kind, image):
    torch.manual_seed(0)
    stage = SIGNED.stage("stage1")
    net = BRADCN(replace(SIGNED.model, error_kind=kind)).eval()
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
    file = train(SIGNED, "stage1", tmp_path, init=init, max_steps=3, threads=1, progress=False)
    torch.manual_seed(0)
    trained = BRADCN(SIGNED.model)
    load_weights(file, trained, "mini")
    bundled = DepthNet(preset("mini").model)
    load_weights(init["depth"], bundled, "mini")
    for name, weight in trained.depth_net.state_dict().items():
        assert torch.equal(weight, bundled.state_dict()[name]), name
    second = make_net(SIGNED, SIGNED.stage("stage2a"), {"bradcn": file})
    assert torch.equal(second.adcn.out.weight, trained.adcn.out.weight)
    used = load_bradcn("mini", file)
    assert used.cfg.error_kind == "signed"
    with torch.no_grad():
        assert torch.isfinite(used(image).bokeh).all()


def test_stage_1_starts_from_a_given_one(tmp_path):
    torch.manual_seed(0)
    files = {kind: tmp_path / f"{kind}.safetensors" for kind in ("signed", "absolute")}
    adcn = ADCN(SIGNED.model)
    save_weights(adcn, files["signed"], "mini")
    save_weights(ADCN(preset("mini").model), files["absolute"], "mini")
    init = {"depth": weights_path("depth")}
    net = make_net(SIGNED, SIGNED.stage("stage1"), {**init, "adcn": files["signed"]})
    assert torch.equal(net.adcn.out.weight, adcn.out.weight)
    with pytest.raises(WeightsError, match="absolute.safetensors"):
        make_net(SIGNED, SIGNED.stage("stage1"), {**init, "adcn": files["absolute"]})
