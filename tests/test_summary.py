"""What the nets are said to cost, against counts made by hand and against real tensors."""

import json
from itertools import pairwise

import pytest
import torch
from torch import nn

from bradcn_nb.__main__ import main
from bradcn_nb.experiments.costs.published_dpt import OriginalDPT
from bradcn_nb.experiments.costs.summary import count_macs, fake, kept_bytes, peak_bytes, summarise
from bradcn_nb.models import BRADCN
from bradcn_nb.presets import preset

MINI, PAPER = preset("mini"), preset("paper")
HEIGHT, WIDTH = 512, 768
FLOAT = 4  # bytes


@pytest.fixture(scope="module")
def paper():
    return summarise(PAPER)


def places(stride: int) -> int:
    return (HEIGHT // stride) * (WIDTH // stride)


def dpt_hybrid_macs(out_channels: int, enlarge_before_1x1: bool) -> int:
    """Count DPT-Hybrid's MACs from its description: kernel area x channels in x out x places."""
    total = 49 * 3 * 64 * places(2)  # the stem's 7x7
    before, stride_before = 64, 4  # after the stem's pooling
    for width, stride, blocks in ((256, 4, 3), (512, 8, 4), (1024, 16, 9)):
        inner = width // 4
        for block in range(blocks):
            # 1x1 to the inner width where the block starts, 3x3 with the stride, 1x1 to the width.
            start = places(stride_before if block == 0 else stride)
            total += before * inner * start + (9 * inner**2 + inner * width) * places(stride)
            if block == 0:  # the shortcut changes the width, too
                total += before * width * places(stride)
            before = width
        stride_before = stride

    dim, tokens = 768, 1 + places(16)
    total += 1024 * dim * places(16)
    # Query, key and value, projection, and a hidden layer of four times the width: 12 dim^2 for
    # each token. Attention: every token with every token, once for the weights and once to apply
    # them.
    total += 12 * (12 * dim**2 * tokens + 2 * tokens**2 * dim)

    features = 256
    total += 2 * (2 * dim * dim + dim * dim) * places(16)  # readout and 1x1 of taps 3 and 4
    total += 9 * dim * dim * places(32)
    for stride, width in ((4, 256), (8, 512), (16, dim), (32, dim)):
        total += 9 * width * features * places(stride)
        units = 1 if stride == 32 else 2  # the coarsest block has nothing to merge
        total += units * 2 * 9 * features**2 * places(stride)
        total += features**2 * places(stride // 2 if enlarge_before_1x1 else stride)
    return total + 9 * features * 128 * places(2) + (9 * 128 * 32 + 32 * out_channels) * places(1)


def test_macs_of_paper_are_those_counted_by_hand(paper):
    assert paper["RenderNet"].macs == dpt_hybrid_macs(3, enlarge_before_1x1=False)
    assert paper["DepthNet"].macs == dpt_hybrid_macs(1, enlarge_before_1x1=False)


def test_the_original_needs_367_gmacs_and_ours_less_by_the_1x1s():
    with fake(lambda: OriginalDPT(out_channels=3)) as original:
        counted = count_macs(original, torch.empty(1, 3, HEIGHT, WIDTH))
    assert counted == dpt_hybrid_macs(3, enlarge_before_1x1=True)
    assert round(counted / 1e9) == 367  # as the authors of such nets state it
    saved = counted - dpt_hybrid_macs(3, enlarge_before_1x1=False)
    assert saved == 3 * 256**2 * sum(places(stride) for stride in (4, 8, 16, 32))


def test_unet_of_ronneberger(paper):
    """Its parameters and MACs, level by level: two 3x3 down, a 2x2 and two 3x3 up, at last a
    1x1."""
    widths = (64, 128, 256, 512, 1024)
    parameters, macs = 64 + 1, 64 * places(1)
    for level, (before, width) in enumerate(pairwise((3, *widths))):
        parameters += 9 * before * width + width + 9 * width**2 + width
        macs += 9 * (before * width + width**2) * places(2**level)
    for level, (fine, coarse) in enumerate(pairwise(widths)):
        parameters += 4 * coarse * fine + fine + 9 * 2 * fine * fine + fine + 9 * fine**2 + fine
        macs += (coarse * fine + 9 * 2 * fine * fine + 9 * fine**2) * places(2**level)
    assert (paper["ADCN"].parameters, paper["ADCN"].macs) == (parameters, macs)


def test_parameters_and_what_stage_2_trains(paper):
    never_trained = 1_950_696  # of the official nets; ours has none of them
    assert paper["RenderNet"].parameters == 123_147_051 - never_trained
    assert paper["DepthNet"].parameters == 123_146_985 - never_trained
    assert paper["ADCN"].trainable == 0
    for name in ("RenderNet", "DepthNet"):
        assert paper[name].trainable == paper[name].parameters
    whole = paper["BRADCN"]
    assert whole.trainable == whole.parameters - paper["ADCN"].parameters


def test_fake_tensors_cost_what_real_ones_cost():
    size = (32, 80)  # the position embedding is resized
    found = summarise(MINI, size)
    model = BRADCN(MINI.model)
    image = torch.rand(1, 3, *size)
    nets = {"RenderNet": model.render_net, "DepthNet": model.depth_net, "ADCN": model.adcn}
    for name, net in nets.items():
        assert found[name].macs == count_macs(net, image)
        assert found[name].kept_bytes == kept_bytes(net, image)
    model.adcn.requires_grad_(False)
    assert found["BRADCN"].kept_bytes == kept_bytes(model, image)
    model.requires_grad_(False)
    for name, net in (nets | {"BRADCN": model}).items():
        assert found[name].peak_bytes == peak_bytes(net, image)


def test_activation_memory_of_a_net_that_fits_in_the_head():
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 1))
    image = torch.rand(1, 3, 16, 16)
    map_bytes = FLOAT * 8 * 16 * 16
    # ReLU keeps its result, the last convolution its input: the same storage, counted once.
    assert kept_bytes(net, image) == map_bytes
    with torch.no_grad():
        assert peak_bytes(net, image) == 2 * map_bytes  # ReLU's input and result


def test_peak_of_the_render_net_is_in_its_head(paper):
    maps = sum(places(stride) for stride in (4, 8, 16, 32)) * 256
    head = 256 * places(2) + 128 * places(2) + 128 * places(1)  # input, first 3x3, enlarged
    assert paper["RenderNet"].peak_bytes == FLOAT * (maps + head)


def test_a_frozen_net_keeps_nothing(paper):
    kept = {name: net.kept_bytes for name, net in paper.items()}
    both = kept["RenderNet"] + kept["DepthNet"]
    picture = FLOAT * 3 * HEIGHT * WIDTH
    assert both <= kept["BRADCN"] < both + 4 * picture < both + kept["ADCN"]


def test_shapes_of_paper(paper):
    for name, channels in (("RenderNet", 3), ("DepthNet", 1)):
        shapes = paper[name].shapes
        assert shapes["tap 1, ResNet stage 1"] == [1, 256, 128, 192]
        assert shapes["tap 2, ResNet stage 2"] == [1, 512, 64, 96]
        assert shapes["tap 3, tokens of ViT block 9"] == [1, 1 + 32 * 48, 768]
        assert shapes["tap 4, tokens of ViT block 12"] == [1, 1 + 32 * 48, 768]
        for scale, stride in enumerate((4, 8, 16, 32), 1):
            assert shapes[f"reassembled {scale}"] == [1, 256, HEIGHT // stride, WIDTH // stride]
            finer = stride // 2
            assert shapes[f"fusion {scale}"] == [1, 256, HEIGHT // finer, WIDTH // finer]
        assert shapes["output"] == [1, channels, HEIGHT, WIDTH]
        assert list(shapes)[-5:-1] == [f"fusion {scale}" for scale in (4, 3, 2, 1)]  # as they run
    levels = paper["ADCN"].shapes
    assert levels["U-Net down 5"] == [1, 1024, 32, 48]
    for level, width in enumerate((64, 128, 256, 512), 1):
        side = 2 ** (level - 1)
        for way in ("down", "up"):
            assert levels[f"U-Net {way} {level}"] == [1, width, HEIGHT // side, WIDTH // side]
    whole = paper["BRADCN"].shapes
    assert whole["Reassemble(Adap(De)) 4"] == [1, 256, 16, 24]
    assert [whole[name][1] for name in ("bokeh", "depth", "depth_error")] == [3, 1, 1]


def test_command_prints_a_table_or_one_json_object(capsys):
    arguments = ["summary", "--preset", "mini", "--size", "48,32"]
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["preset"], told["size"], told["batch"]) == ("mini", [32, 48], 1)
    assert list(told["nets"]) == ["RenderNet", "DepthNet", "ADCN", "BRADCN"]
    assert told["nets"]["ADCN"]["shapes"]["output"] == [1, 1, 32, 48]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "48x32" in text
    for title, net in (("Depth Prediction Net", "DepthNet"), ("BRADCN", "BRADCN")):
        assert f"{title:22}{told['nets'][net]['parameters']:13,}" in text


@pytest.mark.parametrize("size", ["768x512", "0,32", "48"])
def test_a_wrong_size_is_one_line(size, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["summary", "--size", size])
    assert stop.value.code == 2
    assert "768,512" in capsys.readouterr().err


def test_a_size_between_the_strides_is_one_line(capsys):
    assert main(["summary", "--preset", "mini", "--size", "50,32"]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1 and "multiples of 16" in error
