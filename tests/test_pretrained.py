"""Published weights: official files in and out, and outputs equal to two independent nets'
outputs."""

import copy
import itertools
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from bradcn_nb.errors import BradcnError, WeightsError
from bradcn_nb.experiments.costs.published_dpt import OriginalDPT
from bradcn_nb.models import DepthNet, RenderNet
from bradcn_nb.models.official import (
    load_brvit,
    load_dpt,
    load_timm_encoder,
    official_name,
    to_official,
)
from bradcn_nb.presets import preset

PAPER = preset("paper").model
NEVER_TRAINED = 1_950_696
LAST = "scratch.output_conv.4."
UNIT = "scratch.refinenet4.resConfUnit1."


def expand(pattern: str) -> list[str]:
    """a{0..2}b{c,d} is a0bc, a0bd, a1bc, ..."""
    parts = re.split(r"\{(.*?)\}", pattern)
    choices = [[part] for part in parts]
    for i in range(1, len(parts), 2):
        first, _, last = parts[i].partition("..")
        numbers = [str(n) for n in range(int(first), int(last) + 1)] if last else None
        choices[i] = numbers or parts[i].split(",")
    return ["".join(choice) for choice in itertools.product(*choices)]


def official_shapes(out_channels: int) -> dict[str, list[int]]:
    lines = (Path(__file__).parent / "data" / "official_tensors.txt").read_text().splitlines()
    rows = [line.split() for line in lines if not line.startswith("#")]
    shapes = {name: [int(n) for n in row[1:]] for row in rows for name in expand(row[0])}
    shapes[LAST + "weight"][0] = shapes[LAST + "bias"][0] = out_channels
    return shapes


def shapes_of(state: dict[str, Tensor]) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in state.items()}


def is_unused(name: str) -> bool:
    return name.startswith(("pretrained.model.norm.", "pretrained.model.head.", UNIT))


def random_state() -> dict[str, Tensor]:
    """Random weights of sizes that neither swell nor fade on their way through DPT."""
    seed, state = torch.Generator().manual_seed(1), {}
    for name, shape in official_shapes(1).items():
        if "norm" in name and name.endswith("weight"):
            state[name] = torch.empty(shape).normal_(1, 0.2, generator=seed)
        elif len(shape) in (2, 4):  # linear, convolution
            fan_in, gain = torch.Size(shape[1:]).numel(), 2 if len(shape) == 4 else 1
            state[name] = torch.empty(shape).normal_(0, (gain / fan_in) ** 0.5, generator=seed)
        else:
            state[name] = torch.empty(shape).normal_(0, 0.2, generator=seed)
    # The scale to 1/m is made for thousands, and most of them should pass the last ReLU.
    state[LAST + "weight"] *= -10
    state[LAST + "bias"] -= 1000
    return state


def one_number_each() -> dict[str, Tensor]:
    """A state dict of official shapes that is a small file: every tensor repeats one number."""
    shapes = official_shapes(1)
    numbers = torch.rand(len(shapes), 1, generator=torch.manual_seed(5))
    return {
        name: number.clone().expand(shapes[name])
        for name, number in zip(shapes, numbers, strict=True)
    }


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


def used(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if not is_unused(name)}


@pytest.fixture(scope="module")
def dpt() -> dict[str, Tensor]:
    return random_state()


@pytest.fixture(scope="module")
def brvit(dpt) -> dict[str, Tensor]:
    last = {LAST + "weight": torch.randn(3, 32, 1, 1) / 4, LAST + "bias": torch.randn(3)}
    return {**dpt, **last}


@pytest.fixture(scope="module")
def big_file(tmp_path_factory):
    """Save a whole state dict; the last one is removed, since pytest keeps its folders for long."""
    path = tmp_path_factory.mktemp("official") / "weights.pt"

    def save(state: dict[str, Tensor], suffix: str = ".pt") -> Path:
        path.unlink(missing_ok=True)
        file = path.with_suffix(suffix)
        (torch.save if suffix == ".pt" else save_file)(state, file)
        return file

    yield save
    for file in path.parent.iterdir():
        file.unlink()


@pytest.fixture(scope="module")
def depth_net(dpt, big_file) -> DepthNet:
    return load_dpt(big_file(dpt), "metric")[0]


@pytest.fixture(scope="module")
def render_net(brvit, big_file) -> RenderNet:
    return load_brvit(big_file(brvit))[0]


@pytest.fixture(scope="module")
def small_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("small") / "small.pt"
    torch.save(one_number_each(), path)
    return path


# --- names ---


@pytest.mark.parametrize("net, channels", [(DepthNet, 1), (RenderNet, 3)])
def test_official_names_and_shapes(net, channels):
    shapes = official_shapes(channels)
    assert len(shapes) == 368
    assert sum(torch.Size(s).numel() for n, s in shapes.items() if is_unused(n)) == NEVER_TRAINED
    with torch.device("meta"):
        assert shapes_of(to_official(net(PAPER))) == shapes
        assert shapes_of(OriginalDPT(channels).state_dict()) == shapes


def test_names_that_are_not_of_these_nets_are_refused():
    assert official_name("decoder.fusion.0.unit2.conv1.bias") == (
        "scratch.refinenet1.resConfUnit2.conv1.bias"
    )
    with pytest.raises(KeyError):
        official_name("down.0.0.weight")


# --- reading ---


def wrap(state: dict[str, Tensor], wrapping: str) -> dict:
    several_gpus = {f"module.{name}": tensor for name, tensor in state.items()}
    return {
        "plain": state,
        "model": {"model": state, "optimizer": {"lr": 1e-4}, "epoch": 7},
        "state_dict": {"state_dict": several_gpus, "epoch": 7},
        "module": several_gpus,
        "old format": state,
    }[wrapping]


@pytest.mark.parametrize("wrapping", ["plain", "model", "state_dict", "module", "old format"])
def test_wrappings(wrapping, tmp_path):
    state, path = one_number_each(), tmp_path / "w.pt"
    new = wrapping != "old format"
    torch.save(wrap(state, wrapping), path, _use_new_zipfile_serialization=new)
    net, report = load_dpt(path, "metric")
    assert not net.training and all(p.requires_grad for p in net.parameters())
    assert_same(used(to_official(net)), used(state))
    assert (len(report.found), report.missing, report.unexpected) == (360, (), ())


def test_safetensors_and_half_precision(brvit, big_file):
    half = {name: tensor.half() for name, tensor in brvit.items()}
    net, _ = load_brvit(big_file(half, ".safetensors"))
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert_same(used(to_official(net)), {n: t.float() for n, t in used(half).items()})


def test_report_names_what_is_ignored(small_file):
    _, report = load_dpt(small_file, "metric")
    shapes = official_shapes(1)
    assert sum(torch.Size(shapes[name]).numel() for name in report.ignored) == NEVER_TRAINED
    assert set(report.ignored) == {name for name in shapes if is_unused(name)}
    said = str(report)
    assert said.startswith("360 tensors found, 0 missing, 0 unexpected, 8 ignored (pretrained.")
    assert said.endswith(", ...)") and "\n" not in said


def test_files_without_the_unused_tensors_load(tmp_path):
    torch.save(used(one_number_each()), tmp_path / "w.pt")
    _, report = load_dpt(tmp_path / "w.pt", "metric")
    assert len(report.found) == 360 and report.missing == report.ignored == ()


def test_the_caller_says_which_kind_of_depth(small_file):
    assert load_dpt(small_file, "metric")[0].cfg == PAPER
    net, _ = load_dpt(small_file, "relative")
    assert net.cfg == replace(PAPER, depth_kind="relative")
    with pytest.raises(BradcnError, match="'kitti'.*metric.*relative"):
        load_dpt(small_file, "kitti")


def test_the_net_does_not_hang_on_the_file(tmp_path):
    path, state = tmp_path / "w.pt", one_number_each()
    torch.save(state, path)
    net, _ = load_dpt(path, "metric")
    with open(path, "r+b") as file:
        file.write(b"\0" * path.stat().st_size)
    assert_same(used(to_official(net)), used(state))


# --- files that do not fit ---


def message(path: Path, load=lambda path: load_dpt(path, "metric")) -> str:
    """What loading a bad file says: always one line that names the file."""
    with pytest.raises(WeightsError) as caught:
        load(path)
    said = str(caught.value)
    assert str(path) in said and "\n" not in said and len(said) < 500
    return said


def test_missing_tensors_are_named_and_counted(tmp_path):
    path, state = tmp_path / "w.pt", one_number_each()
    for name in [name for name in state if name.startswith("scratch.layer")]:
        del state[name]
    torch.save(state, path)
    said = message(path)
    assert "4 missing (scratch.layer" in said and "0 unexpected" in said
    assert sum(f"scratch.layer{i}_rn.weight" in said for i in (1, 2, 3, 4)) == 3


def test_unexpected_tensors_are_named_and_counted(tmp_path):
    path, state = tmp_path / "w.pt", one_number_each()
    torch.save({**state, "auxlayer.0.weight": torch.zeros(1)}, path)
    assert "0 missing, 1 unexpected (auxlayer.0.weight)" in message(path)


def test_shapes_that_differ_are_named(small_file, tmp_path):
    assert "this is a depth net's, DPT's or MiDaS's" in message(small_file, load_brvit)
    path, state = tmp_path / "w.pt", one_number_each()
    state["pretrained.model.pos_embed"] = torch.zeros(1, 197, 768)
    torch.save(state, path)
    assert "pos_embed has the shape [1, 197, 768], but this DepthNet needs [1, 577" in message(path)


class Code:
    """Unpickling it creates the folder it is given."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def _damage(kind: str, path: Path, small_file: Path) -> None:
    whole = small_file.read_bytes()
    if kind == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "truncated old format":
        torch.save(one_number_each(), path, _use_new_zipfile_serialization=False)
        path.write_bytes(path.read_bytes()[:-2000])
    elif kind == "damaged inside":
        middle = len(whole) // 8
        path.write_bytes(whole[:middle] + b"\xff" * 2000 + whole[middle + 2000 :])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("these are not weights\n" * 99)
    elif kind == "folder":
        path.mkdir()
    elif kind == "code":
        torch.save({"model": one_number_each(), "args": Code(path.with_name("ran"))}, path)
    elif kind == "number":
        torch.save(3, path)
    elif kind == "not all tensors":
        torch.save({"model": {**one_number_each(), "pretrained.model.cls_token": 1}}, path)
    elif kind == "nothing in it":
        torch.save({}, path)


@pytest.mark.parametrize(
    "kind",
    "truncated|truncated old format|damaged inside|empty|text|folder|code|number|not all tensors|"
    "nothing in it|missing".split("|"),
)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_damaged_files_give_one_line_that_names_the_file(kind, suffix, small_file, tmp_path):
    path = tmp_path / f"w{suffix}"
    _damage(kind, path, small_file)
    message(path)
    assert not (tmp_path / "ran").exists()


# --- writing ---


def test_round_trip_of_the_depth_net(dpt, depth_net):
    official = to_official(depth_net)
    assert_same(used(official), used(dpt))
    for name in filter(is_unused, official):
        assert (official[name] == (1 if name.endswith("norm.weight") else 0)).all()


def test_round_trip_of_the_render_net(brvit, render_net, big_file):
    again, _ = load_brvit(big_file(to_official(render_net)))
    assert_same(again.state_dict(), render_net.state_dict())
    assert_same(used(to_official(again)), used(brvit))


def test_other_sizes_have_no_official_naming():
    with torch.device("meta"):
        net = RenderNet(preset("mini").model)
    with pytest.raises(WeightsError, match="RenderNet.*'paper'"):
        to_official(net)


# --- timm ---


@pytest.fixture(scope="module")
def timm_state() -> dict[str, Tensor]:
    prefix = "pretrained.model."
    state = {n.removeprefix(prefix): t for n, t in one_number_each().items() if prefix in n}
    with torch.device("meta"):
        assert shapes_of(state) == shapes_of(OriginalDPT(1).pretrained.model.state_dict())
    return state


def test_timms_weights_change_the_encoder_alone(timm_state, render_net, tmp_path):
    net = copy.deepcopy(render_net)
    torch.save(timm_state, tmp_path / "timm.pt")
    report = load_timm_encoder(net, tmp_path / "timm.pt")
    assert (len(report.found), report.missing, report.unexpected) == (304, (), ())
    assert report.ignored == ("norm.weight", "norm.bias", "head.weight", "head.bias")
    after = to_official(net)
    for ours, old in render_net.state_dict().items():
        timms = timm_state.get(official_name(ours).removeprefix("pretrained.model."))
        assert torch.equal(after[official_name(ours)], old if timms is None else timms), ours


def test_timms_weights_come_as_a_state_dict_too(timm_state):
    net = DepthNet(PAPER)
    other_classes = {**timm_state, "head.weight": torch.zeros(21843, 768)}
    load_timm_encoder(net, other_classes)
    assert torch.equal(net.encoder.cls_token, timm_state["cls_token"])


def test_timms_other_nets_are_refused_and_change_nothing(timm_state):
    net = DepthNet(preset("mini").model)
    before = {n: t.clone() for n, t in net.state_dict().items()}
    with pytest.raises(WeightsError, match="state dict: .*0 missing, .*unexpected"):
        load_timm_encoder(net, timm_state)
    assert_same(net.state_dict(), before)
    with torch.device("meta"):
        net = DepthNet(PAPER)
    smaller = {**timm_state, "pos_embed": torch.zeros(1, 197, 768)}
    with pytest.raises(WeightsError, match="pos_embed has the shape .1, 197"):
        load_timm_encoder(net, smaller)


# --- oracles: the same weights give the same output ---


def assert_close_for_its_spread(ours: Tensor, theirs: Tensor, at_least: float) -> None:
    """At most 1e-4 of the standard deviation apart, and the output does vary."""
    assert ours.shape == theirs.shape and theirs.std() > at_least
    assert (ours - theirs).abs().max() < 1e-4 * theirs.std()


def original(state: dict[str, Tensor], out_channels: int) -> OriginalDPT:
    with torch.device("meta"):
        net = OriginalDPT(out_channels)
    net.load_state_dict(state, strict=True, assign=True)
    return net.eval()


def picture(height: int, width: int) -> Tensor:
    """Noise of several sizes of grain, so that every scale of the net has something to see."""
    seed = torch.manual_seed(height)
    grains = [torch.rand(2, 3, -(-height // g), -(-width // g), generator=seed) for g in (1, 8, 32)]
    sizes = [torch.nn.functional.interpolate(x, size=(height, width)) for x in grains]
    return torch.stack(sizes).mean(dim=0)


def test_original_render_net_draws_the_same(brvit, render_net):
    image = picture(96, 128)
    with torch.inference_mode():
        assert_close_for_its_spread(render_net(image), original(brvit, 3)(image), at_least=1)


def test_original_depth_net_measures_the_same(dpt, depth_net):
    image = picture(96, 128)
    with torch.inference_mode():
        theirs = original(dpt, 1)((image - 0.5) / 0.5)
        assert_close_for_its_spread(depth_net(image)[:, 0], theirs, at_least=0.1)


@pytest.fixture(scope="module")
def at_384(depth_net) -> tuple[Tensor, Tensor, Tensor]:
    """A normalised picture of 384x384, our metres for it, and the head's output before those."""
    image, heads = picture(384, 384)[:1], []
    hook = depth_net.decoder.register_forward_hook(lambda *args: heads.append(args[2]))
    with torch.inference_mode():
        metres = depth_net(image)
    hook.remove()
    return (image - 0.5) / 0.5, metres[:, 0], heads[0][:, 0].relu()


def test_original_depth_net_measures_the_same_at_384(dpt, at_384):
    image, metres, _ = at_384
    with torch.inference_mode():
        assert_close_for_its_spread(metres, original(dpt, 1)(image), at_least=0.1)


def hugging_face_name(name: str) -> str:
    """What transformers calls an official tensor; it counts from 0, and fuses coarse to fine."""
    name = re.sub(r"(process|scratch\.layer)(\d)", lambda m: f"{m[1]}{int(m[2]) - 1}", name)
    name = re.sub(r"refinenet(\d)", lambda m: f"refinenet{4 - int(m[1])}", name)
    for pattern, theirs in (
        (r"pretrained\.model\.patch_embed\.backbone", "dpt.embeddings.backbone.bit"),
        (r"bit\.stem\.conv", "bit.embedder.convolution"),
        (r"bit\.stem\.norm", "bit.embedder.norm"),
        (r"bit\.stages\.(\d)\.blocks", r"bit.encoder.stages.\1.layers"),
        (r"pretrained\.model\.patch_embed\.proj", "dpt.embeddings.projection"),
        (r"pretrained\.model\.cls_token", "dpt.embeddings.cls_token"),
        (r"pretrained\.model\.pos_embed", "dpt.embeddings.position_embeddings"),
        (r"pretrained\.model\.norm", "dpt.layernorm"),
        (r"pretrained\.model\.blocks", "dpt.encoder.layer"),
        (r"layer\.(\d+)\.norm1", r"layer.\1.layernorm_before"),
        (r"layer\.(\d+)\.norm2", r"layer.\1.layernorm_after"),
        (r"attn\.proj", "attention.output.dense"),
        (r"mlp\.fc1", "intermediate.dense"),
        (r"mlp\.fc2", "output.dense"),
        (
            r"pretrained\.act_postprocess(\d)\.0\.project",
            r"neck.reassemble_stage.readout_projects.\1",
        ),
        (r"pretrained\.act_postprocess(\d)\.3", r"neck.reassemble_stage.layers.\1.projection"),
        (r"pretrained\.act_postprocess(\d)\.4", r"neck.reassemble_stage.layers.\1.resize"),
        (r"scratch\.layer(\d)_rn", r"neck.convs.\1"),
        (r"scratch\.refinenet(\d)", r"neck.fusion_stage.layers.\1"),
        (r"resConfUnit(\d)\.conv", r"residual_layer\1.convolution"),
        (r"out_conv", "projection"),
        (r"scratch\.output_conv", "head.head"),
    ):
        name = re.sub(pattern, theirs, name)
    return name


def hugging_face_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Official tensors under transformers' names; it keeps query, key and value apart."""
    theirs = {}
    for name, tensor in state.items():
        if ".attn.qkv." in name:
            for part, third in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                new = name.replace(".attn.qkv.", f".attention.attention.{part}.")
                theirs[hugging_face_name(new)] = third
        elif not name.startswith("pretrained.model.head."):
            theirs[hugging_face_name(name)] = tensor
    return theirs


def test_hugging_faces_dpt_hybrid_gives_the_same_at_384(dpt, at_384):
    transformers = pytest.importorskip("transformers")
    cfg = transformers.DPTConfig(
        is_hybrid=True,
        neck_hidden_sizes=(256, 512, 768, 768),
        reassemble_factors=(1, 1, 1, 0.5),
        layer_norm_eps=1e-6,  # timm's
    )
    with torch.device("meta"):
        net = transformers.DPTForDepthEstimation(cfg)
    net.load_state_dict(hugging_face_state(dpt), strict=True, assign=True)
    image, _, head = at_384
    with torch.inference_mode():
        assert_close_for_its_spread(head, net.eval()(image).predicted_depth, at_least=1)
