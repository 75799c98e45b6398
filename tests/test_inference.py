"""Nets made ready for use alone: the same answers, and the net they came from left as it was."""

import pytest
import torch
from timm.layers import StdConv2dSame

from bradcn_nb.models import ADCN, BRADCN, DepthNet, RenderNet
from bradcn_nb.models.inference import FoldedConv, for_inference
from bradcn_nb.presets import preset

MINI = preset("mini").model


@pytest.mark.parametrize("kernel, stride", [(1, 1), (1, 2), (3, 1), (3, 2), (7, 2)])
@pytest.mark.parametrize("size", [(16, 24), (15, 9)])
def test_folding_keeps_the_standardised_convolution(kernel, stride, size):
    torch.manual_seed(2)
    conv = StdConv2dSame(5, 8, kernel, stride=stride, eps=1e-8).requires_grad_(False)
    folded, x = FoldedConv(conv), torch.rand(2, 5, *size)
    torch.testing.assert_close(folded(x), conv(x), rtol=1e-5, atol=1e-4)
    variance, mean = torch.var_mean(folded.weight.flatten(1), dim=1, correction=0)
    torch.testing.assert_close(mean, torch.zeros(8), rtol=0, atol=1e-5)
    torch.testing.assert_close(variance, torch.ones(8), rtol=0, atol=1e-4)


@pytest.mark.parametrize("grad", [False, True])
def test_the_whole_model_compiles_without_a_graph_break(grad):
    net, image = BRADCN(MINI).eval(), torch.rand(1, 3, 32, 48)
    # "eager" runs the captured graph as it is; `fullgraph` fails at the first break.
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    with torch.set_grad_enabled(grad):
        torch.testing.assert_close(compiled(image).bokeh, net(image).bokeh)


@pytest.mark.parametrize("kind", [RenderNet, DepthNet, ADCN, BRADCN])
def test_a_net_made_ready_answers_the_same(kind):
    torch.manual_seed(3)
    net = kind(MINI)
    before = {name: weight.clone() for name, weight in net.state_dict().items()}
    ready, image = for_inference(net), torch.rand(2, 3, 32, 48)
    assert not any(isinstance(module, StdConv2dSame) for module in ready.modules())
    with torch.inference_mode():
        theirs, ours = net.eval()(image), ready(image)
    for one, other in zip(theirs, ours, strict=True) if kind is BRADCN else [(theirs, ours)]:
        assert (one - other).abs().max() < 1e-4 * one.std()
    assert all(weight.requires_grad for weight in net.parameters())
    assert not any(weight.requires_grad for weight in ready.parameters())
    for name, weight in net.state_dict().items():
        assert torch.equal(weight, before[name]), name
