"""Whole nets: saved to a folder and read back, their kind of depth, memory saved in training."""

import json
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from bradcn_nb.errors import BradcnError, WeightsError
from bradcn_nb.models import ADCN, BRADCN, DepthNet, RenderNet, load_weights, read_metadata
from bradcn_nb.models.checkpointing import set_checkpointing
from bradcn_nb.presets import preset, preset_of

MINI = preset("mini").model
IMAGE = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(3))


def rewrite(path, **metadata):
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        about = {**file.metadata(), **metadata}
    save_file(tensors, path, about)


@pytest.mark.parametrize("kind", [RenderNet, DepthNet, ADCN, BRADCN])
def test_a_saved_net_comes_back_whole(kind, tmp_path):
    net = kind(MINI).eval()
    net.save_pretrained(tmp_path)
    again = kind.from_pretrained(tmp_path)
    assert again.cfg == net.cfg == MINI and not again.training
    assert read_metadata(tmp_path / "model.safetensors")["preset"] == "mini"
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["net"] == kind.__name__ and config["model"]["embed_dim"] == MINI.embed_dim
    assert "BRADCN.from_pretrained" in (tmp_path / "README.md").read_text()
    own = net.state_dict()
    assert own.keys() == again.state_dict().keys()
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, own[name]), name


def test_push_to_hub_uploads_what_save_pretrained_writes(tmp_path, monkeypatch):
    sent = {}

    class Api:
        def __init__(self, token=None):
            pass

        def create_repo(self, repo_id, **options):
            return type("Url", (), {"repo_id": repo_id})

        def upload_folder(self, *, repo_id, folder_path, **options):
            sent[repo_id] = {file.name for file in folder_path.iterdir()}

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", Api)
    ADCN(MINI).push_to_hub("someone/adcn")
    assert sent == {"someone/adcn": {"model.safetensors", "config.json", "README.md"}}


def test_from_pretrained_refuses_by_name(tmp_path):
    with pytest.raises(WeightsError, match="no such weights file"):
        ADCN.from_pretrained(tmp_path)
    ADCN(MINI).save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    with pytest.raises(WeightsError, match="holds a ADCN, not a DepthNet"):
        DepthNet.from_pretrained(tmp_path)
    with pytest.raises(WeightsError, match="made with preset 'mini', not 'paper'"):
        load_weights(path, ADCN(preset("paper").model), "paper")
    wider = replace(MINI, adcn_widths=(8, 16, 32, 96, 320))
    with pytest.raises(WeightsError, match=r"adcn_widths \(8, 16, 32, 96, 288\), not \(8,"):
        load_weights(path, ADCN(wider), "mini")
    fields = json.loads(read_metadata(path)["model"])
    rewrite(path, model=json.dumps(fields | {"colour": "red"}))
    with pytest.raises(WeightsError, match="not one of this version"):
        ADCN.from_pretrained(tmp_path)
    rewrite(path, format="bradcn-weights-1")
    with pytest.raises(WeightsError, match="'bradcn-weights-1', not 'bradcn-weights-2'"):
        ADCN.from_pretrained(tmp_path)

    for name in ("someone/nothing", "/no/such/folder"):  # the tests run with the hub offline
        with pytest.raises(WeightsError, match=f"{name}: no such folder, and the hub gives no"):
            ADCN.from_pretrained(name, local_files_only=True)


def test_relative_depth_never_passes_for_metres(tmp_path):
    metric = DepthNet(MINI).eval()
    relative = DepthNet(replace(MINI, depth_kind="relative")).eval()
    relative.load_state_dict(metric.state_dict())
    with torch.no_grad():
        x, inverse, metres = relative.inverse(IMAGE), metric.inverse(IMAGE), metric(IMAGE)
    torch.testing.assert_close(inverse, MINI.depth_scale * x + MINI.depth_shift)
    torch.testing.assert_close(metres, 1 / inverse)
    with pytest.raises(BradcnError, match="knows no metres"):
        relative(IMAGE)
    relative.save_pretrained(tmp_path)
    assert DepthNet.from_pretrained(tmp_path).cfg.depth_kind == "relative"
    assert preset_of(relative.cfg) == "mini" and preset_of(preset("colab").model) == "paper"
    with pytest.raises(WeightsError, match="depth_kind 'relative', not 'metric'"):
        load_weights(tmp_path / "model.safetensors", DepthNet(MINI), "mini")


@pytest.mark.parametrize("kind", [RenderNet, DepthNet, ADCN, BRADCN])
def test_checkpointing_gives_the_same_gradients_for_less_memory(kind):
    net = kind(MINI).train()
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(4))

    def first(out):
        return out.bokeh if kind is BRADCN else out

    def step() -> tuple[int, dict[str, torch.Tensor]]:
        own = {weight.data_ptr() for weight in net.parameters()}
        kept = {}

        def note(tensor):
            if tensor.data_ptr() not in own:
                kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        net.zero_grad()
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            out = net(image)
        first(out).square().mean().backward()
        return sum(kept.values()), {name: p.grad.clone() for name, p in net.named_parameters()}

    whole, gradients = step()
    set_checkpointing(net)
    names = list(net.state_dict())
    less, again = step()
    assert less < 0.6 * whole
    for name, gradient in gradients.items():
        torch.testing.assert_close(again[name], gradient, rtol=1e-6, atol=1e-6, msg=name)
    copied = deepcopy(net)  # as a running mean of the weights is
    copied.load_state_dict({k: v + 0.01 for k, v in net.state_dict().items()})
    assert not torch.equal(first(copied(image)), first(net(image)))
    set_checkpointing(net, False)
    assert list(net.state_dict()) == names and type(net) is kind
    assert step()[0] == whole
