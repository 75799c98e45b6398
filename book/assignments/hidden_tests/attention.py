"""Hidden tests of assignment 2: attention, Reassemble and fusion on other data, value by value."""

import random
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bradcn_nb.course.answers import Answers
from bradcn_nb.data import SUNRGBD
from bradcn_nb.files import data_root
from bradcn_nb.models import load_depth_net
from bradcn_nb.models.blocks import FusionBlock, Reassemble
from bradcn_nb.presets import preset
from hidden_tests import SEED

GRID = (8, 12)  # patches of a room, rows and columns
# A head's rooms, as in the notebook: no listed wrong `strongest_patch` passes, whoever asks.
CLEAR = {
    2: (0, 8, 9, 14, 16, 18, 22, 23, 27, 33, 34, 37, 42, 44, 48, 50, 54),
    3: (1, 11, 15, 19, 21, 24, 25, 27, 30, 33, 37, 41, 44, 45, 47, 53, 54),
}


def check_attention_weights(mine: Answers) -> None:
    """Other lengths, large scores, and both floating-point types."""
    chance = torch.Generator().manual_seed(11)
    for length, count in ((4, 3), (3, 7), (16, 5), (5, 1)):
        for dtype in (torch.float32, torch.float64):
            query = torch.randn(length, generator=chance, dtype=dtype)
            keys = torch.randn(count, length, generator=chance, dtype=dtype)
            found = _tensor(mine.attention_weights(query, keys), (count,), "one weight for a key")
            wanted = (keys.double() @ query.double() / length**0.5).softmax(0)
            message = (
                "the weights differ from the definition: dot products, divided by the root of the "
                "vectors' length, and a softmax over the keys"
            )
            _close(found, wanted, message)
    query, keys = torch.tensor([1000.0, 0.0]), torch.tensor([[3.0, 1.0], [2.999, 1.0], [-3.0, 0.0]])
    found = _tensor(mine.attention_weights(query, keys), (3,), "one weight for a key", finite=False)
    assert torch.isfinite(found).all(), (
        "scores of thousands give nan: take the largest score away from all before the exponential"
    )
    wanted = (keys.double() @ query.double() / 2**0.5).softmax(0)
    _close(found, wanted, "large scores do not give the right shares", 1e-3)


def check_attention(mine: Answers) -> None:
    """Equal to PyTorch's own class for several sizes and numbers of heads, and differentiable."""
    sizes = ((1, 7, 8, 1), (2, 5, 12, 3), (3, 4, 8, 4), (2, 1, 6, 2))
    for seed, (n, t, d, heads) in enumerate(sizes):
        for dtype in (torch.float32, torch.float64):
            block = _block(d, heads, seed).to(dtype)
            x = torch.randn(n, t, d, generator=torch.Generator().manual_seed(seed)).to(dtype)
            found = mine.attention(x.clone(), *_weights(block), heads)
            found = _tensor(found, (n, t, d), "attention keeps the shape (N, T, D)")
            hint = "how are q, k, v cut into heads, how are heads laid side by side, which scale?"
            if heads == 1:
                hint = "look at scale, softmax and projections first"
            _close(found, block(x, x, x)[0], f"wrong values with {heads} head(s): {hint}")
    block = _block(8, 2, 9)
    x = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(9))
    weights = [weight.clone() for weight in _weights(block)]
    gradients = mine.run(_gradients_of_attention, x=x, weights=weights, heads=2)
    block.requires_grad_(True)
    block(x, x, x)[0].square().sum().backward()
    for found, theirs in zip(gradients, block.parameters(), strict=True):
        assert found is not None, "no gradient reaches the weights: is there a detach or no_grad?"
        message = "the gradient of the weights is not right: is something detached?"
        _close(found, theirs.grad, message, 1e-3)


def check_swapped_weights(mine: Answers) -> None:
    """Against the weights of swapped tokens; the table that went in stays."""
    chance = torch.Generator().manual_seed(12)
    for size, i, j in ((3, 0, 2), (6, 1, 4), (6, 5, 0), (4, 2, 2)):
        tokens = torch.randn(size, 4, generator=chance, dtype=torch.float64)
        table = _table(tokens)
        found, kept = mine.run(_swap, table=table.clone(), i=i, j=j)
        found = _tensor(found, (size, size), "the table keeps its shape")
        order = list(range(size))
        order[i], order[j] = j, i
        message = (
            "compute the table for two swapped tokens and compare: who asks, who answers, and what "
            "becomes of the weights between the two?"
        )
        _close(found, _table(tokens[order]), message)
        _unchanged(kept, table, "table")


def check_needs_positions(mine: Answers) -> None:
    """Which answers change when all patches of a picture are shuffled."""
    found = mine.needs_positions()
    _wants_value(found)
    wanted = {"twin colour": 0, "twin place": 1, "right colour": 1, "common colour": 0}
    assert isinstance(found, dict) and set(found) == set(wanted), (
        "return a dictionary with exactly the four names"
    )
    assert all(bool(found[name]) == bool(wanted[name]) for name in wanted), (
        "not all of the four are right: shuffle all patches of a picture in your mind, and ask for "
        "each of the four whether the right answer stays"
    )


def check_attention_cost(mine: Answers) -> None:
    """Other sizes, the paper's among them."""
    _wants_value(mine.attention_cost(4, 4, 4, 1))
    sizes = ((4, 4, 4, 1), (64, 96, 8, 128), (512, 768, 16, 768), (32, 16, 8, 6), (24, 24, 8, 5))
    for height, width, stride, dim in sizes:
        count = 1 + height * width // stride**2
        wanted = count * dim * (4 * dim + 2 * count)
        found = float(mine.attention_cost(height, width, stride, dim))
        assert abs(found - wanted) < 0.5, (
            "the count is not right for another size: check the number of tokens first, then write "
            "down the shapes of both factors of each of the four products"
        )


def check_strongest_patch(mine: Answers) -> None:
    """This year's patch; one that is as good to within a thousandth is right, too."""
    found = mine.strongest_patch()
    _wants_value(found)
    assert len(found) == 3, "return the row, the column and the weight"
    row, column, weight = (float(value) for value in found)
    weights = year_weights(SEED)
    patches = weights[1:].reshape(GRID)
    assert row == int(row) and column == int(column), "row and column are whole numbers"
    assert 0 <= row < GRID[0] and 0 <= column < GRID[1], "8 rows and 12 columns, counted from 0"
    assert patches[int(row), int(column)] > 0.999 * patches.max(), (
        "another patch gets more: mind the class token in front, the rows of the head in qkv, and "
        "that patches run along the rows of the picture"
    )
    assert abs(weight / float(patches.max()) - 1) < 2e-3, (
        "the patch is right, but not its weight: a share of all 97 tokens, after the division by "
        "the root of the head's length"
    )


def check_reassemble(mine: Answers) -> None:
    """Equal to the package's Reassemble up to and with `mix`, on grids that are not square."""
    for seed, (n, dim, grid) in enumerate(((2, 6, (2, 5)), (1, 8, (4, 3)), (3, 4, (1, 6)))):
        for dtype in (torch.float32, torch.float64):
            part = Reassemble(dim, 4, downsample=1).requires_grad_(False).to(dtype)
            chance = torch.Generator().manual_seed(20 + seed)
            for value in part.parameters():
                value.copy_(torch.randn(value.shape, generator=chance))
            tokens = torch.randn(n, 1 + grid[0] * grid[1], dim, generator=chance).to(dtype)
            weights = [value.data for value in part.parameters()][:4]
            part.narrow = nn.Identity()
            found, kept = mine.run(_reassemble, tokens=tokens.clone(), grid=grid, weights=weights)
            found = _tensor(found, (n, dim, *grid), "the map has the shape (N, D, h, w)")
            message = (
                "the map differs from the package's: which of the two halves is the class token, "
                "which GELU, and what stands in front when the tokens are folded?"
            )
            _close(found, part(tokens, grid), message, 5e-5)
            _unchanged(kept, tokens, "tensor of tokens")


def check_fusion(mine: Answers) -> None:
    """Equal to the package's FusionBlock, with and without a skip; what goes in stays."""
    for seed, (n, channels, size) in enumerate(((2, 3, (3, 5)), (1, 4, (4, 2)), (1, 1, (2, 2)))):
        for has_skip in (True, False):
            block = FusionBlock(channels, has_skip).requires_grad_(False)
            chance = torch.Generator().manual_seed(30 + seed)
            for value in block.parameters():
                value.copy_(torch.randn(value.shape, generator=chance) / 2)
            x, skip = torch.randn(2, n, channels, *size, generator=chance)
            skip = skip if has_skip else None
            weights = {name: value.clone() for name, value in block.state_dict().items()}
            found, kept = mine.run(
                _fuse, x=x.clone(), skip=None if skip is None else skip.clone(), weights=weights
            )
            twice = (n, channels, 2 * size[0], 2 * size[1])
            found = _tensor(found, twice, "a fusion block doubles height and width")
            message = "with a skip" if has_skip else "without a skip"
            _close(
                found,
                block(x, skip),
                f"the map differs from the package's block {message}: where do the ReLUs stand, "
                "what does each unit refine, and what happens to the corners?",
            )
            kept_x, kept_skip, same = kept
            _unchanged(kept_x, x, "x")
            assert same, "the weights that your function was given have changed: work on copies"
            if has_skip:
                _unchanged(kept_skip, skip, "skip")


@lru_cache
def year_weights(seed: int) -> Tensor:
    """The weights (97,) of this year's head and patch, by the package's own parts."""
    tokens, attn, head, row, column = year(seed)
    q, k, _ = attn.qkv(tokens).double().chunk(3, dim=-1)
    part = slice(32 * head, 32 * (head + 1))
    return (k[:, part] @ q[1 + row * GRID[1] + column, part] / 32**0.5).softmax(0)


@lru_cache
def year(seed: int) -> tuple[Tensor, nn.Module, int, int, int]:
    """Tokens (97, 128), the attention, and the head, row and column of this year's seed."""
    chance = random.Random(seed)
    head = chance.choice((2, 3))
    room = chance.choice(CLEAR[head])
    row, column = chance.randrange(8), chance.randrange(12)
    counts = preset("mini").data.sun_counts
    rooms = SUNRGBD(data_root() / "mini-sun", "test", counts, size=(64, 96))
    net = load_depth_net().requires_grad_(False)
    block, inputs = net.encoder.blocks[0], []
    block.attn.register_forward_pre_hook(lambda _, x: inputs.append(x[0][0]))
    net(rooms[room]["image"][None])
    return inputs[0], block.attn, head, row, column


def _gradients_of_attention(mine: Answers, x: Tensor, weights: list[Tensor], heads: int) -> list:
    """The gradients of the four weights for the sum of the squared result."""
    import torch

    weights = [weight.clone().requires_grad_() for weight in weights]
    result = mine.attention(x, *weights, heads)
    if not (isinstance(result, torch.Tensor) and result.requires_grad):
        return [None] * len(weights)
    result.square().sum().backward()
    return [weight.grad for weight in weights]


def _swap(mine: Answers, table: Tensor, i: int, j: int) -> tuple:
    """The swapped table, and what became of the one that went in."""
    found = mine.swapped_weights(table, i, j)
    return found.clone() if hasattr(found, "clone") else found, table


def _reassemble(mine: Answers, tokens: Tensor, grid: tuple, weights: list) -> tuple:
    """The map, and what became of the tokens."""
    found = mine.reassemble(tokens, grid, *weights)
    return found.detach() if hasattr(found, "detach") else found, tokens


def _fuse(mine: Answers, x: Tensor, skip: Tensor | None, weights: dict) -> tuple:
    """The map, and what became of x and skip, and whether the weights are the same."""
    import torch

    before = {name: value.clone() for name, value in weights.items()}
    found = mine.fusion(x, skip, weights)
    same = weights.keys() == before.keys()
    same = same and all(torch.equal(weights[name], before[name]) for name in before)
    return found.detach() if hasattr(found, "detach") else found, (x, skip, same)


def _wants_value(value: Any) -> None:
    assert value is not None, "your function returned nothing: is there a `return`?"


def _tensor(value: Any, shape: tuple, says: str, finite: bool = True) -> Tensor:
    """A student's tensor, array or list as float64; AssertionError for None or another shape."""
    _wants_value(value)
    if isinstance(value, (list, tuple)):
        value = np.array([np.asarray(v) for v in value], dtype=float)
    found = torch.as_tensor(value).detach().double()
    assert tuple(found.shape) == tuple(shape), (
        f"{says}: wanted {tuple(shape)}, got {tuple(found.shape)}"
    )
    assert not finite or torch.isfinite(found).all(), (
        "there are nan or infinite values in the result"
    )
    return found


def _unchanged(kept: Any, given: Tensor, what: str) -> None:
    message = f"the {what} that your function was given has changed: work on a copy"
    assert torch.equal(torch.as_tensor(kept), given), message


def _close(found: Tensor, wanted: Tensor, message: str, tolerance: float = 2e-5) -> None:
    wanted = wanted.detach().double()
    bound = tolerance * max(1.0, float(wanted.abs().max()))
    assert (torch.as_tensor(found).double() - wanted).abs().max() < bound, message


def _block(dim: int, heads: int, seed: int) -> nn.MultiheadAttention:
    """PyTorch's attention with weights that leave no bias at zero."""
    block = nn.MultiheadAttention(dim, heads, batch_first=True).requires_grad_(False)
    chance = torch.Generator().manual_seed(100 + seed)
    for value in block.parameters():
        value.copy_(torch.randn(value.shape, generator=chance) / dim**0.25)
    return block


def _weights(block: nn.MultiheadAttention) -> tuple[Tensor, ...]:
    out = block.out_proj
    return block.in_proj_weight.data, block.in_proj_bias.data, out.weight.data, out.bias.data


def _table(tokens: Tensor) -> Tensor:
    """Weights (T, T) of tokens with queries that differ from their keys."""
    return F.softmax(tokens @ tokens.roll(1, dims=-1).T / 2, dim=-1)
