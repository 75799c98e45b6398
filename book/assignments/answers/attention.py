"""Wrong and other right answers to assignment 2, each with the misunderstanding behind it."""

import numpy as np
import torch
import torch.nn.functional as F
from hidden_tests import SEED
from hidden_tests.attention import year, year_weights
from torch import Tensor, nn


def weights_without_scale(query: Tensor, keys: Tensor) -> Tensor:
    """The division by the root of d is forgotten, so that the shares are too extreme."""
    return (keys @ query).softmax(0)


def weights_divided_by_d(query: Tensor, keys: Tensor) -> Tensor:
    """The scores are divided by d instead of its root."""
    return (keys @ query / len(query)).softmax(0)


def weights_scaled_by_count(query: Tensor, keys: Tensor) -> Tensor:
    """The root is of the number of keys, not of the vectors' length."""
    return (keys @ query / len(keys) ** 0.5).softmax(0)


def weights_that_overflow(query: Tensor, keys: Tensor) -> Tensor:
    """A naive exponential, which is infinite for scores of thousands."""
    scores = (keys @ query / len(query) ** 0.5).exp()
    return scores / scores.sum()


def weights_without_exponential(query: Tensor, keys: Tensor) -> Tensor:
    """The scores are divided by their sum without the exponential: shares can be negative."""
    scores = keys @ query / len(query) ** 0.5
    return scores / scores.sum()


def weights_of_directions(query: Tensor, keys: Tensor) -> Tensor:
    """The cosine of the angle stands in for the dot product, so that long keys count no more."""
    return F.cosine_similarity(keys, query[None], dim=1).softmax(0)


def weights_in_numpy(query: Tensor, keys: Tensor) -> np.ndarray:
    """NumPy, with the largest score taken away by hand."""
    scores = np.asarray(keys) @ np.asarray(query) / np.sqrt(len(query))
    shares = np.exp(scores - scores.max())
    return shares / shares.sum()


def weights_in_a_loop(query: Tensor, keys: Tensor) -> list[float]:
    """A loop over the keys that returns a list."""
    scores = [sum(float(a) * float(b) for a, b in zip(query, key, strict=True)) for key in keys]
    scores = [score / len(query) ** 0.5 for score in scores]
    shares = [2.718281828459045 ** (score - max(scores)) for score in scores]
    return [share / sum(shares) for share in shares]


def _cut(x: Tensor, qkv_weight: Tensor, qkv_bias: Tensor, heads: int) -> Tensor:
    """Queries, keys and values (3, N, heads, T, d)."""
    qkv = F.linear(x, qkv_weight, qkv_bias).unflatten(2, (3, heads, -1))
    return qkv.permute(2, 0, 3, 1, 4)


def attention_without_scale(x, qkv_weight, qkv_bias, proj_weight, proj_bias, heads):
    """The scores are not divided by the root of the head's length."""
    q, k, v = _cut(x, qkv_weight, qkv_bias, heads)
    mixed = ((q @ k.mT).softmax(-1) @ v).transpose(1, 2).flatten(2)
    return F.linear(mixed, proj_weight, proj_bias)


def attention_scaled_by_the_whole_width(x, qkv_weight, qkv_bias, proj_weight, proj_bias, heads):
    """The scale takes the root of D, where a head has only D / heads numbers."""
    q, k, v = _cut(x, qkv_weight, qkv_bias, heads)
    mixed = ((q @ k.mT / x.shape[-1] ** 0.5).softmax(-1) @ v).transpose(1, 2).flatten(2)
    return F.linear(mixed, proj_weight, proj_bias)


def attention_softmax_over_askers(x, qkv_weight, qkv_bias, proj_weight, proj_bias, heads):
    """The softmax runs over the tokens that ask, so that what one token hears does not sum to 1."""
    q, k, v = _cut(x, qkv_weight, qkv_bias, heads)
    mixed = ((q @ k.mT / q.shape[-1] ** 0.5).softmax(-2) @ v).transpose(1, 2).flatten(2)
    return F.linear(mixed, proj_weight, proj_bias)


def attention_heads_first_in_memory(x, qkv_weight, qkv_bias, proj_weight, proj_bias, heads):
    """A reshape merges the heads without a transposition, which mixes tokens with heads."""
    q, k, v = _cut(x, qkv_weight, qkv_bias, heads)
    mixed = ((q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v).reshape(x.shape)
    return F.linear(mixed, proj_weight, proj_bias)


def attention_q_k_v_inside_each_head(x, qkv_weight, qkv_bias, proj_weight, proj_bias, heads):
    """The rows are read as head by head with q, k, v inside each, where timm has q, k, v first."""
    qkv = F.linear(x, qkv_weight, qkv_bias).unflatten(2, (heads, 3, -1))
    q, k, v = qkv.permute(3, 0, 2, 1, 4)
    mixed = ((q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v).transpose(1, 2).flatten(2)
    return F.linear(mixed, proj_weight, proj_bias)


def attention_interleaved_heads(x, qkv_weight, qkv_bias, proj_weight, proj_bias, heads):
    """A head gets every heads-th number, where its numbers are neighbours."""
    qkv = F.linear(x, qkv_weight, qkv_bias).unflatten(2, (3, -1, heads))
    q, k, v = qkv.permute(2, 0, 4, 1, 3)
    mixed = ((q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v).permute(0, 2, 3, 1).flatten(2)
    return F.linear(mixed, proj_weight, proj_bias)


def attention_keys_for_values(x, qkv_weight, qkv_bias, proj_weight, proj_bias, heads):
    """Keys and values are taken in the wrong order."""
    q, v, k = _cut(x, qkv_weight, qkv_bias, heads)
    mixed = ((q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v).transpose(1, 2).flatten(2)
    return F.linear(mixed, proj_weight, proj_bias)


def attention_without_projection(x, qkv_weight, qkv_bias, proj_weight, proj_bias, heads):
    """The last projection, which mixes the heads, is forgotten."""
    q, k, v = _cut(x, qkv_weight, qkv_bias, heads)
    return ((q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v).transpose(1, 2).flatten(2)


def attention_untransposed_projection(x, qkv_weight, qkv_bias, proj_weight, proj_bias, heads):
    """The last weight is used as x W instead of x W^T, which no shape betrays."""
    q, k, v = _cut(x, qkv_weight, qkv_bias, heads)
    mixed = ((q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v).transpose(1, 2).flatten(2)
    return mixed @ proj_weight + proj_bias


def attention_with_a_residual(x, qkv_weight, qkv_bias, proj_weight, proj_bias, heads):
    """The residual connection is added, which belongs to the block around attention."""
    return x + attention_fused(x, qkv_weight, qkv_bias, proj_weight, proj_bias, heads)


def attention_detached(x, qkv_weight, qkv_bias, proj_weight, proj_bias, heads):
    """The weights are detached, so that the net cannot learn where to look."""
    q, k, v = _cut(x, qkv_weight, qkv_bias, heads)
    look = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1).detach()
    return F.linear((look @ v).transpose(1, 2).flatten(2), proj_weight, proj_bias)


def attention_fused(x, qkv_weight, qkv_bias, proj_weight, proj_bias, heads):
    """PyTorch's fused function does the middle part."""
    q, k, v = _cut(x, qkv_weight, qkv_bias, heads)
    mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    return F.linear(mixed, proj_weight, proj_bias)


def attention_head_by_head(x, qkv_weight, qkv_bias, proj_weight, proj_bias, heads):
    """A loop over the heads, laid side by side at the end."""
    q, k, v = (x @ qkv_weight.T + qkv_bias).chunk(3, dim=-1)
    found, d = [], x.shape[-1] // heads
    for start in range(0, x.shape[-1], d):
        part = slice(start, start + d)
        scores = torch.einsum("nid,njd->nij", q[..., part], k[..., part]) / d**0.5
        found.append(scores.softmax(dim=2) @ v[..., part])
    return torch.cat(found, dim=2) @ proj_weight.T + proj_bias


def swap_rows_only(weights: Tensor, i: int, j: int) -> Tensor:
    """Only the rows change places, as if the others did not have to look elsewhere, too."""
    order = list(range(len(weights)))
    order[i], order[j] = j, i
    return weights[order]


def swap_columns_only(weights: Tensor, i: int, j: int) -> Tensor:
    """Only the columns change places, as if the two asked from where they were."""
    return swap_rows_only(weights.T, i, j).T


def swap_in_views(weights: Tensor, i: int, j: int) -> Tensor:
    """The right side of the swap holds views, so that one row and one column are lost."""
    found = weights.clone()
    found[i], found[j] = found[j], found[i]
    found[:, i], found[:, j] = found[:, j], found[:, i]
    return found


def swap_nothing(weights: Tensor, i: int, j: int) -> Tensor:
    """Permutation equivariance is taken for invariance: the table itself does move."""
    return weights.clone()


def swap_and_transpose(weights: Tensor, i: int, j: int) -> Tensor:
    """The table is transposed as well, so that askers become answerers."""
    return swap_by_matrix(weights, i, j).T


def swap_in_place(weights: Tensor, i: int, j: int) -> Tensor:
    """The right values, but the table that was given is overwritten."""
    weights.copy_(swap_by_matrix(weights, i, j))
    return weights


def swap_by_matrix(weights: Tensor, i: int, j: int) -> Tensor:
    """A permutation matrix from both sides."""
    change = torch.eye(len(weights), dtype=weights.dtype)
    change[[i, j]] = change[[j, i]]
    return change @ weights @ change.T


def swap_in_loops(weights: Tensor, i: int, j: int) -> list[list[float]]:
    """Two loops over pairs that return lists."""
    other = {i: j, j: i}
    each = range(len(weights))
    return [[float(weights[other.get(a, a), other.get(b, b)]) for b in each] for a in each]


def _needs(colour: bool, place: bool, right: bool, common: bool) -> dict[str, bool]:
    names = ("twin colour", "twin place", "right colour", "common colour")
    return dict(zip(names, (colour, place, right, common), strict=True))


def positions_for_everything() -> dict[str, bool]:
    """A transformer is thought to be helpless without positions."""
    return _needs(True, True, True, True)


def positions_for_nothing() -> dict[str, bool]:
    """The order of the tokens in memory is thought to tell them where they are."""
    return _needs(False, False, False, False)


def positions_because_it_looks_elsewhere() -> dict[str, bool]:
    """To find something elsewhere is thought to need positions, and the look to know its place."""
    return _needs(True, False, True, False)


def positions_known_by_the_look() -> dict[str, bool]:
    """The weights are thought to tell the place, but only values are passed on."""
    return _needs(False, False, True, True)


def positions_not_for_neighbours() -> dict[str, bool]:
    """Neighbours are thought to be known, as to a convolution."""
    return _needs(False, True, False, True)


def positions_the_other_way_round() -> dict[str, bool]:
    """True and False are exchanged: True means that positions are needed."""
    return _needs(True, False, False, True)


def positions_in_numpy() -> dict[str, np.bool_]:
    """Booleans of NumPy."""
    return {name: np.bool_(value) for name, value in _needs(False, True, True, False).items()}


def positions_as_numbers() -> dict[str, int]:
    """0 and 1, in another order."""
    return {"common colour": 0, "right colour": 1, "twin colour": 0, "twin place": 1}


def cost_without_class_token(height: int, width: int, stride: int, dim: int) -> int:
    """The class token is forgotten."""
    tokens = (height // stride) * (width // stride)
    return 4 * tokens * dim**2 + 2 * tokens**2 * dim


def cost_of_pairs_alone(height: int, width: int, stride: int, dim: int) -> int:
    """Only what is quadratic in the tokens is counted."""
    tokens = 1 + (height // stride) * (width // stride)
    return 2 * tokens**2 * dim


def cost_without_mixing(height: int, width: int, stride: int, dim: int) -> int:
    """The scores are counted, the mixing of the values is not."""
    tokens = 1 + (height // stride) * (width // stride)
    return 4 * tokens * dim**2 + tokens**2 * dim


def cost_without_last_projection(height: int, width: int, stride: int, dim: int) -> int:
    """The last projection is forgotten."""
    tokens = 1 + (height // stride) * (width // stride)
    return 3 * tokens * dim**2 + 2 * tokens**2 * dim


def cost_of_pixels(height: int, width: int, stride: int, dim: int) -> int:
    """Every pixel is taken for a token."""
    tokens = 1 + height * width
    return 4 * tokens * dim**2 + 2 * tokens**2 * dim


def cost_in_flops(height: int, width: int, stride: int, dim: int) -> int:
    """Multiplications and additions are counted apart, which doubles the number."""
    tokens = 1 + (height // stride) * (width // stride)
    return 8 * tokens * dim**2 + 4 * tokens**2 * dim


def cost_product_by_product(height: int, width: int, stride: int, dim: int) -> float:
    """One product after the other, as a float."""
    t = height / stride * width / stride + 1
    return float(t * dim * 3 * dim + t * dim * t + t * t * dim + t * dim * dim)


def cost_in_numpy(height: int, width: int, stride: int, dim: int) -> np.int64:
    """NumPy's integers."""
    t = np.int64(1 + (height * width) // stride**2)
    return 4 * t * np.int64(dim) ** 2 + 2 * t**2 * np.int64(dim)


def _strongest(weights: Tensor) -> tuple[int, int, float]:
    """The answer for 97 weights."""
    place = int(weights[1:].argmax())
    return place // 12, place % 12, float(weights[1 + place])


def _scores(head: int, asker: int) -> tuple[Tensor, Tensor]:
    """Query (32,) of a token and keys (97, 32) of a head in this year's room."""
    tokens, attn, *_ = year(SEED)
    q, k, _ = attn.qkv(tokens).chunk(3, dim=-1)
    part = slice(32 * head, 32 * (head + 1))
    return q[asker, part], k[:, part]


def strongest_with_class_token_counted() -> tuple[int, int, float]:
    """The place counts the class token, so that it is one too large."""
    place = 1 + int(year_weights(SEED)[1:].argmax())
    return place // 12, place % 12, float(year_weights(SEED)[place])


def strongest_of_the_patch_before() -> tuple[int, int, float]:
    """The asker's index leaves out the class token, so that the patch before it asks."""
    _, _, head, row, column = year(SEED)
    query, keys = _scores(head, 12 * row + column)
    return _strongest((keys @ query / 32**0.5).softmax(0))


def strongest_along_columns() -> tuple[int, int, float]:
    """The index is taken apart as if patches ran down the columns."""
    place = int(year_weights(SEED)[1:].argmax())
    return place % 8, place // 8, float(year_weights(SEED)[1 + place])


def strongest_without_scale() -> tuple[int, int, float]:
    """The patch is right, but without the root of 32 the weight is too large."""
    _, _, head, row, column = year(SEED)
    query, keys = _scores(head, 1 + 12 * row + column)
    return _strongest((keys @ query).softmax(0))


def strongest_scaled_by_the_whole_width() -> tuple[int, int, float]:
    """The root of 128 stands in for that of the head's 32."""
    _, _, head, row, column = year(SEED)
    query, keys = _scores(head, 1 + 12 * row + column)
    return _strongest((keys @ query / 128**0.5).softmax(0))


def strongest_of_patches_alone() -> tuple[int, int, float]:
    """The class token is left out of the softmax, so that the patches' weights are too large."""
    weights = year_weights(SEED)
    row, column, weight = _strongest(weights)
    return row, column, weight / float(weights[1:].sum())


def strongest_score() -> tuple[int, int, float]:
    """The score is returned in place of the weight."""
    _, _, head, row, column = year(SEED)
    query, keys = _scores(head, 1 + 12 * row + column)
    return _strongest(keys @ query / 32**0.5)


def strongest_of_another_head() -> tuple[int, int, float]:
    """Heads are counted from 1, so that the head before is asked."""
    _, _, head, row, column = year(SEED)
    query, keys = _scores((head - 1) % 4, 1 + 12 * row + column)
    return _strongest((keys @ query / 32**0.5).softmax(0))


def strongest_counted_from_one() -> tuple[int, int, float]:
    """Rows and columns are counted from 1."""
    row, column, weight = _strongest(year_weights(SEED))
    return row + 1, column + 1, weight


def strongest_in_numpy() -> list:
    """NumPy, and a list for the tuple."""
    weights = year_weights(SEED).numpy()
    row, column = np.unravel_index(weights[1:].argmax(), (8, 12))
    return [row, column, weights.max() if weights.argmax() else weights[1:].max()]


def strongest_in_tensors() -> tuple[Tensor, Tensor, Tensor]:
    """Tensors for the numbers."""
    best = year_weights(SEED)[1:].max(dim=0)
    return best.indices // 12, best.indices % 12, best.values


def _parts(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Patch tokens, and the class token beside each."""
    return tokens[:, 1:], tokens[:, :1].expand_as(tokens[:, 1:])


def _folded(x: Tensor, grid, mix_weight: Tensor, mix_bias: Tensor) -> Tensor:
    return F.conv2d(x.transpose(1, 2).unflatten(2, tuple(grid)), mix_weight, mix_bias)


def reassemble_reshaped(tokens, grid, project_weight, project_bias, mix_weight, mix_bias):
    """The tokens are reshaped to (N, D, h, w) without a transposition: channels become places."""
    x = F.gelu(F.linear(torch.cat(_parts(tokens), -1), project_weight, project_bias))
    return F.conv2d(x.reshape(len(x), x.shape[2], *grid), mix_weight, mix_bias)


def reassemble_down_the_columns(tokens, grid, project_weight, project_bias, mix_weight, mix_bias):
    """The tokens are laid down the columns, not along the rows."""
    x = F.gelu(F.linear(torch.cat(_parts(tokens), -1), project_weight, project_bias))
    x = x.transpose(1, 2).unflatten(2, (grid[1], grid[0])).transpose(2, 3)
    return F.conv2d(x, mix_weight, mix_bias)


def reassemble_class_token_first(tokens, grid, project_weight, project_bias, mix_weight, mix_bias):
    """The class token stands in the first half of the pair, where the patch belongs."""
    x = torch.cat(_parts(tokens)[::-1], -1)
    x = F.gelu(F.linear(x, project_weight, project_bias))
    return _folded(x, grid, mix_weight, mix_bias)


def reassemble_without_class_token(
    tokens, grid, project_weight, project_bias, mix_weight, mix_bias
):
    """The class token is thrown away, and zeros stand in its place."""
    patches = tokens[:, 1:]
    x = torch.cat((patches, torch.zeros_like(patches)), -1)
    x = F.gelu(F.linear(x, project_weight, project_bias))
    return _folded(x, grid, mix_weight, mix_bias)


def reassemble_last_token_as_class(
    tokens, grid, project_weight, project_bias, mix_weight, mix_bias
):
    """The class token is sought at the end of the list, where it stands in front."""
    patches, cls = tokens[:, :-1], tokens[:, -1:]
    x = torch.cat((patches, cls.expand_as(patches)), -1)
    x = F.gelu(F.linear(x, project_weight, project_bias))
    return _folded(x, grid, mix_weight, mix_bias)


def reassemble_with_tanh(tokens, grid, project_weight, project_bias, mix_weight, mix_bias):
    """GELU's tanh approximation, which differs in the fourth digit."""
    x = F.linear(torch.cat(_parts(tokens), -1), project_weight, project_bias)
    return _folded(F.gelu(x, approximate="tanh"), grid, mix_weight, mix_bias)


def reassemble_with_relu(tokens, grid, project_weight, project_bias, mix_weight, mix_bias):
    """A ReLU stands in for the GELU."""
    x = F.relu(F.linear(torch.cat(_parts(tokens), -1), project_weight, project_bias))
    return _folded(x, grid, mix_weight, mix_bias)


def reassemble_without_mix(tokens, grid, project_weight, project_bias, mix_weight, mix_bias):
    """The 1x1 convolution at the end is forgotten."""
    x = F.gelu(F.linear(torch.cat(_parts(tokens), -1), project_weight, project_bias))
    return x.transpose(1, 2).unflatten(2, tuple(grid))


def reassemble_by_einsum(tokens, grid, project_weight, project_bias, mix_weight, mix_bias):
    """The weight in two halves, and the 1x1 convolution as a sum over channels."""
    patches, cls = _parts(tokens)
    for_patch, for_cls = project_weight.chunk(2, dim=1)
    x = F.gelu(patches @ for_patch.T + cls @ for_cls.T + project_bias)
    x = torch.einsum("nti,oi->not", x, mix_weight[:, :, 0, 0]) + mix_bias[:, None]
    return x.reshape(len(x), -1, *grid)


def reassemble_in_loops(tokens, grid, project_weight, project_bias, mix_weight, mix_bias):
    """A loop over the places of the map."""
    found = tokens.new_empty(len(tokens), tokens.shape[2], *grid)
    for row in range(grid[0]):
        for column in range(grid[1]):
            patch = tokens[:, 1 + row * grid[1] + column]
            x = nn.functional.linear(torch.hstack((patch, tokens[:, 0])), project_weight)
            x = F.gelu(x + project_bias)
            found[:, :, row, column] = x @ mix_weight.flatten(1).T + mix_bias
    return found


def _conv(x: Tensor, weights: dict, name: str, padding: int = 1) -> Tensor:
    return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=padding)


def _unit(x: Tensor, weights: dict, name: str) -> Tensor:
    y = _conv(F.relu(x), weights, f"{name}.conv1")
    return x + _conv(F.relu(y), weights, f"{name}.conv2")


def _twice(x: Tensor, weights: dict) -> Tensor:
    x = _conv(x, weights, "out_conv", padding=0)
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


def fusion_without_corners(x, skip, weights):
    """align_corners is left at False, so that the map is enlarged about half pixels."""
    x = x if skip is None else x + _unit(skip, weights, "unit1")
    x = _conv(_unit(x, weights, "unit2"), weights, "out_conv", padding=0)
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def fusion_nearest(x, skip, weights):
    """The map is enlarged pixel by pixel, not bilinearly."""
    x = x if skip is None else x + _unit(skip, weights, "unit1")
    x = _conv(_unit(x, weights, "unit2"), weights, "out_conv", padding=0)
    return F.interpolate(x, scale_factor=2, mode="nearest")


def fusion_relu_in_place(x, skip, weights):
    """The first ReLU works in place and changes the x that is added at the end."""

    def unit(x: Tensor, name: str) -> Tensor:
        y = _conv(x.relu_(), weights, f"{name}.conv1")
        return x + _conv(F.relu(y), weights, f"{name}.conv2")

    x = x.clone() if skip is None else x + unit(skip.clone(), "unit1")
    return _twice(unit(x, "unit2"), weights)


def fusion_without_first_relu(x, skip, weights):
    """The residual unit begins with a convolution, where it begins with a ReLU."""

    def unit(x: Tensor, name: str) -> Tensor:
        return x + _conv(F.relu(_conv(x, weights, f"{name}.conv1")), weights, f"{name}.conv2")

    x = x if skip is None else x + unit(skip, "unit1")
    return _twice(unit(x, "unit2"), weights)


def fusion_units_without_shortcut(x, skip, weights):
    """The units return the correction alone and lose what came in."""
    x = x if skip is None else x + _unit(skip, weights, "unit1") - skip
    return _twice(_unit(x, weights, "unit2") - x, weights)


def fusion_refines_the_wrong_map(x, skip, weights):
    """unit1 refines the coarser result, and the skip is added as it came."""
    x = x if skip is None else _unit(x, weights, "unit1") + skip
    return _twice(_unit(x, weights, "unit2"), weights)


def fusion_skip_added_last(x, skip, weights):
    """The skip is added after unit2, so that nobody refines the sum."""
    x = _unit(x, weights, "unit2")
    return _twice(x if skip is None else x + _unit(skip, weights, "unit1"), weights)


def fusion_needs_a_skip(x, skip, weights):
    """A missing skip is replaced by zeros and sent through unit1, which is not there."""
    skip = torch.zeros_like(x) if skip is None else skip
    return _twice(_unit(x + _unit(skip, weights, "unit1"), weights, "unit2"), weights)


def fusion_adds_in_place(x, skip, weights):
    """The right map, but x += ... changes the map that the caller still holds."""
    if skip is not None:
        x += _unit(skip, weights, "unit1")
    return _twice(_unit(x, weights, "unit2"), weights)


def fusion_enlarges_first(x, skip, weights):
    """DPT's own order: enlarge, then mix, which is the same."""
    x = x if skip is None else x + _unit(skip, weights, "unit1")
    x = F.interpolate(
        _unit(x, weights, "unit2"), scale_factor=2, mode="bilinear", align_corners=True
    )
    return _conv(x, weights, "out_conv", padding=0)


def fusion_with_modules(x, skip, weights):
    """PyTorch's modules, filled with the weights; the output as an array."""
    channels = x.shape[1]

    def module(name: str, size: int) -> nn.Conv2d:
        conv = nn.Conv2d(channels, channels, size, padding=size // 2).to(x.dtype)
        conv.weight.data, conv.bias.data = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return conv

    def refined(x: Tensor, name: str) -> Tensor:
        first, second = module(f"{name}.conv1", 3), module(f"{name}.conv2", 3)
        return x + nn.Sequential(nn.ReLU(), first, nn.ReLU(), second)(x)

    x = x if skip is None else x + refined(skip, "unit1")
    up = nn.UpsamplingBilinear2d(scale_factor=2)
    return up(module("out_conv", 1)(refined(x, "unit2"))).detach().numpy()


WRONG = {
    "attention_weights": [
        weights_without_scale,
        weights_divided_by_d,
        weights_scaled_by_count,
        weights_that_overflow,
        weights_without_exponential,
        weights_of_directions,
    ],
    "attention": [
        attention_without_scale,
        attention_scaled_by_the_whole_width,
        attention_softmax_over_askers,
        attention_heads_first_in_memory,
        attention_q_k_v_inside_each_head,
        attention_interleaved_heads,
        attention_keys_for_values,
        attention_without_projection,
        attention_untransposed_projection,
        attention_with_a_residual,
        attention_detached,
    ],
    "swapped_weights": [
        swap_rows_only,
        swap_columns_only,
        swap_in_views,
        swap_nothing,
        swap_and_transpose,
        swap_in_place,
    ],
    "needs_positions": [
        positions_for_everything,
        positions_for_nothing,
        positions_because_it_looks_elsewhere,
        positions_known_by_the_look,
        positions_not_for_neighbours,
        positions_the_other_way_round,
    ],
    "attention_cost": [
        cost_without_class_token,
        cost_of_pairs_alone,
        cost_without_mixing,
        cost_without_last_projection,
        cost_of_pixels,
        cost_in_flops,
    ],
    "strongest_patch": [
        strongest_with_class_token_counted,
        strongest_of_the_patch_before,
        strongest_along_columns,
        strongest_without_scale,
        strongest_scaled_by_the_whole_width,
        strongest_of_patches_alone,
        strongest_score,
        strongest_of_another_head,
        strongest_counted_from_one,
    ],
    "reassemble": [
        reassemble_reshaped,
        reassemble_down_the_columns,
        reassemble_class_token_first,
        reassemble_without_class_token,
        reassemble_last_token_as_class,
        reassemble_with_tanh,
        reassemble_with_relu,
        reassemble_without_mix,
    ],
    "fusion": [
        fusion_without_corners,
        fusion_nearest,
        fusion_relu_in_place,
        fusion_without_first_relu,
        fusion_units_without_shortcut,
        fusion_refines_the_wrong_map,
        fusion_skip_added_last,
        fusion_needs_a_skip,
        fusion_adds_in_place,
    ],
}

RIGHT = {
    "attention_weights": [weights_in_numpy, weights_in_a_loop],
    "attention": [attention_fused, attention_head_by_head],
    "swapped_weights": [swap_by_matrix, swap_in_loops],
    "needs_positions": [positions_in_numpy, positions_as_numbers],
    "attention_cost": [cost_product_by_product, cost_in_numpy],
    "strongest_patch": [strongest_in_numpy, strongest_in_tensors],
    "reassemble": [reassemble_by_einsum, reassemble_in_loops],
    "fusion": [fusion_enlarges_first, fusion_with_modules],
}
