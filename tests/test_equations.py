"""Eq. 1 and Eq. 3 against oracles in plain numpy, float64, that share no code with the package."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bradcn_nb.models import BRADCN
from bradcn_nb.presets import preset

STRIDES = (2, 4, 8, 16)


def conv3x3(x, weight, bias):
    """(C, H, W) to (K, H, W): zero padding of 1, stride 1, as cross-correlation."""
    _, height, width = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    out = np.tile(bias[:, None, None], (1, height, width))
    for row in range(height):
        for column in range(width):
            window = padded[:, row : row + 3, column : column + 3]
            out[:, row, column] += (weight * window).sum(axis=(1, 2, 3))
    return out


def patch_projection(x, weight, bias):
    """(C, H, W) to (K, H / s, W / s): every s x s patch becomes one vector of K numbers."""
    features, _, size, _ = weight.shape
    _, height, width = x.shape
    out = np.empty((features, height // size, width // size))
    for row in range(height // size):
        for column in range(width // size):
            patch = x[:, row * size : (row + 1) * size, column * size : (column + 1) * size]
            out[:, row, column] = weight.reshape(features, -1) @ patch.reshape(-1) + bias
    return out


def branch_oracle(weights, branch, dense):
    """Reassemble(Adap(dense)) for one map (1, H, W), from the names in the state dict."""
    adapted = conv3x3(dense, weights[f"{branch}.adapt.weight"], weights[f"{branch}.adapt.bias"])
    prefix = f"{branch}.reassemble.patches"
    return [
        patch_projection(adapted, weights[f"{prefix}.{i}.weight"], weights[f"{prefix}.{i}.bias"])
        for i in range(4)
    ]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    model = BRADCN(replace(preset("mini").model, strides=STRIDES)).double().eval()
    for branch in (model.depth_branch, model.error_branch):
        for (
            patches
        ) in branch.reassemble.patches:  # far from their small start, or nothing is tested
            torch.nn.init.normal_(patches.weight, std=0.1)
            torch.nn.init.normal_(patches.bias, std=0.1)
    return model


@pytest.fixture(scope="module")
def image():
    return torch.rand(2, 3, 32, 48, dtype=torch.float64, generator=torch.manual_seed(2))


def decoder_input(net, image):
    """Run BRADCN or its Render Net; return the output and the four maps that entered the
    decoder."""
    seen = []
    decoder = (net.render_net if isinstance(net, BRADCN) else net).decoder
    hook = decoder.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.no_grad():
        output = net(image)
    hook.remove()
    return output, [m.numpy() for m in seen[0]]


def test_eq1_and_eq3_add_the_reassembled_adapted_depth_and_error(model, image):
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    _, encoder_maps = decoder_input(model.render_net, image)
    output, decoder_maps = decoder_input(model, image)
    for n in range(len(image)):
        depth = branch_oracle(weights, "depth_branch", output.depth[n].numpy())
        error = branch_oracle(weights, "error_branch", output.depth_error[n].numpy())
        for eo, di, de, both in zip(encoder_maps, depth, error, decoder_maps, strict=True):
            assert min(np.abs(di).max(), np.abs(de).max()) > 0.1
            np.testing.assert_allclose(both[n], eo[n] + di + de, rtol=0, atol=1e-10)


def test_the_two_branches_share_no_weights(model):
    ours = {p.data_ptr() for p in model.depth_branch.parameters()}
    assert ours.isdisjoint(p.data_ptr() for p in model.error_branch.parameters())
