"""Hidden tests of assignment 3: depth, Eq. 1, Eq. 2, Eq. 3, and the right unit of an error."""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bradcn_nb.course.answers import Answers
from bradcn_nb.models import load_depth_net
from bradcn_nb.models.official import official_name
from hidden_tests import SEED

NOTHING = "your function returned nothing: is there a `return`?"
MINI, PAPER = (2, 4, 8, 16), (4, 8, 16, 32)


def dice(number: int) -> torch.Generator:
    """A generator of its own for each check."""
    return torch.Generator().manual_seed(300 + number)


def numbers(found: Any, shape: tuple[int, ...], what: str) -> Tensor:
    """What a student returned as float64 of `shape`, or an AssertionError that says why not."""
    assert found is not None, NOTHING
    try:
        found = [float(value) for value in found] if isinstance(found, (list, tuple)) else found
        tensor = torch.as_tensor(found).detach().double()
    except (TypeError, ValueError, RuntimeError):
        raise AssertionError(f"{what}: expected numbers, got a {type(found).__name__}") from None
    shape, got = tuple(shape), tuple(tensor.shape)
    assert got == shape, f"{what}: the shape should be {shape}, not {got}"
    return tensor


def agree(found: Tensor, wanted: Tensor, hint: str) -> None:
    """Raise AssertionError with the hint unless both agree; NaN agrees with nothing."""
    assert torch.allclose(found, wanted.double(), rtol=1e-3, atol=1e-3), hint


def parts(found: Any, count: int, what: str) -> Any:
    """The list or tuple that a student returned, if it has `count` parts."""
    assert found is not None, NOTHING
    assert isinstance(found, (list, tuple)) and len(found) == count, f"return {what}"
    return found


def drive(mine, question, arguments) -> tuple[str, bool]:
    """What a call raises, if anything, and whether its arguments are as they were."""
    flat = [p for a in arguments for p in (a if isinstance(a, list) else [a])]
    tensors = [p for p in flat if hasattr(p, "clone")]
    before, raised = [p.clone() for p in tensors], ""
    try:
        getattr(mine, question)(*arguments)
    except (KeyError, ValueError) as error:
        raised = type(error).__name__
    return raised, all(bool((a == b).all()) for a, b in zip(before, tensors, strict=True))


def keeps(mine: Answers, question: str, *arguments: Any) -> None:
    """Raise AssertionError if the student's function changes what it is given (NaN is not)."""
    _, kept = mine.run(drive, question=question, arguments=list(arguments))
    assert kept, "an input was changed: work on a copy, and without `+=`"


def check_depth_from_output(mine: Answers) -> None:
    """The formula, its ReLU, its clamp, and that x stays as it was."""
    x = torch.randn(2, 1, 5, 7, generator=dice(1))
    wanted = 1 / (0.7 * x.clamp(min=0) + 0.21)
    found = numbers(mine.depth_from_output(x, 0.7, 0.21), x.shape, "depth")
    agree(found[x > 0], wanted[x > 0], "for positive x it is one over scale times x plus shift")
    agree(found, wanted, "a negative x counts as 0, so that it is as far as the shift allows")
    found = mine.depth_from_output(torch.tensor([0.0, 0.25, 0.75, 1.0]), 2.0, -1.0)
    wanted = torch.tensor([1e8, 1e8, 2.0, 1.0])
    hint = "the clamp acts on the inverse depth, before the division"
    agree(numbers(found, (4,), "depth"), wanted, hint)
    keeps(mine, "depth_from_output", torch.tensor([-1.0, 0.5]), 1.0, 0.1)


@lru_cache(1)
def files() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A deeper net's state dict under official names and under ours, six numbers a tensor."""
    ours = {}
    for name, tensor in load_depth_net().state_dict().items():
        names = [name]
        if ".blocks.3." in name:
            names += [name.replace(".blocks.3.", f".blocks.{k}.") for k in range(4, 12)]
        shape = (2, 3, 1, 1)[: tensor.ndim]  # not square, so that a transposed matrix shows
        ours |= {one: tensor.new_zeros(shape) for one in names}
    for number, tensor in enumerate(ours.values()):
        tensor += number + torch.arange(tensor.numel()).reshape(tensor.shape) / 2
    theirs = {official_name(name): tensor.clone() for name, tensor in ours.items()}
    model, unit = "pretrained.model", "scratch.refinenet4.resConfUnit1"
    for unused in (f"{model}.norm", f"{model}.head", f"{unit}.conv1", f"{unit}.conv2"):
        theirs |= {f"{unused}.{kind}": torch.full((1,), -1.0) for kind in ("weight", "bias")}
    return theirs, ours


def check_official_to_ours(mine: Answers) -> None:
    """A deeper net, another order, half precision, several GPUs, and strangers."""
    theirs, ours = files()
    states = {
        "a deeper net": dict(reversed(theirs.items())),
        "half precision, several GPUs": {f"module.{n}": t.half() for n, t in theirs.items()},
    }
    for where, state in states.items():
        found = mine.official_to_ours(state)
        assert found is not None, NOTHING
        assert isinstance(found, dict), "return a dict from names to tensors"
        extra, missing = found.keys() - ours.keys(), ours.keys() - found.keys()
        assert not missing, f"{where}: {len(missing)} names are missing; is a number written out?"
        assert not extra, f"{where}: {len(extra)} names too many; what does no output depend on?"
        for name, wanted in ours.items():
            tensor = torch.as_tensor(found[name])
            assert tensor.dtype == torch.float32, f"{where}: the tensors should be float32"
            assert tensor.shape == wanted.shape, f"{where}: a tensor has lost its shape"
            place = name.rsplit(".", 2)[0]
            assert torch.equal(tensor, wanted), f"{where}: {place} has another's tensor, or changed"
    for stranger in ("auxlayer.0.weight", "pretrained.model.dist_token"):
        state = {stranger: torch.zeros(1)} | theirs
        said, _ = mine.run(drive, question="official_to_ours", arguments=[state])
        assert said == "KeyError", "a name that belongs nowhere must raise KeyError, whatever it is"


def aligned(x: Tensor, truth: Tensor, known: Tensor, power: float) -> Tensor:
    """The reference: metres, float64. The weights of `polyfit` are squared in the sum."""
    result = torch.empty_like(truth, dtype=torch.float64)
    for n in range(len(x)):
        z, seen = (part[n][known[n]].double().numpy() for part in (truth, x))
        a, b = np.polyfit(seen, 1 / z, 1, w=z ** (power / 2))
        result[n] = 1 / (a * x[n] + b).clamp(min=1 / 8)
    return result


def check_aligned_depth(mine: Answers) -> None:
    """Noisy rooms with three kinds of holes, three powers, and answers below the floor."""
    truth = 0.7 + 5 * torch.rand(3, 1, 6, 8, generator=dice(2))
    noise = 0.05 * torch.randn(truth.shape, generator=dice(3))
    x = torch.tensor([4.0, 900.0, 0.3])[:, None, None, None] * (1 / truth + noise) + 2
    known = torch.rand(truth.shape, generator=dice(4)) > 0.2
    alone = "one picture: is its line fitted to 1 / truth, where known, with weights z ** power?"
    several = "each picture has a line of its own, and 1/8 is the least inverse depth"
    for hole in (0.0, torch.inf, torch.nan):
        holed = torch.where(known, truth, hole)
        for power in (0, 2, 4):
            found = numbers(mine.aligned_depth(x, holed, known, power), x.shape, "aligned depth")
            assert torch.isfinite(found).all(), "what stands in a hole of the truth got out"
            wanted = aligned(x, holed, known, power)
            one = mine.aligned_depth(x[:1], holed[:1], known[:1], power)
            agree(numbers(one, x[:1].shape, "one picture"), wanted[:1], alone)
            agree(found, wanted, several)
    keeps(mine, "aligned_depth", x, truth, known, 2)


def branch(number: int, strides: tuple[int, ...]) -> tuple[list[Tensor], Tensor, list]:
    """Four maps, one dense map (2, 1, H, W), and a branch's weights."""
    some = dice(number)
    height, width, channels = 2 * strides[3], 3 * strides[3], 3
    maps = [torch.randn(2, channels, height // s, width // s, generator=some) for s in strides]
    dense = 0.5 + 3 * torch.rand(2, 1, height, width, generator=some)
    adapt = torch.randn(3, 1, 3, 3, generator=some), torch.randn(3, generator=some)
    patches = [torch.randn(channels, 3, s, s, generator=some) / s for s in strides]
    biases = [torch.randn(channels, generator=some) for _ in strides]
    return maps, dense, [*adapt, patches, biases]


def summed(maps: list[Tensor], dense: Tensor, weights: list, rim: str = "constant") -> list[Tensor]:
    """maps + Reassemble(Adap(dense)), by cutting the map into squares."""
    adapt_weight, adapt_bias, patches, biases = weights
    adapted = F.conv2d(F.pad(dense, (1, 1, 1, 1), mode=rim), adapt_weight, adapt_bias)
    result = []
    for start, weight, bias in zip(maps, patches, biases, strict=True):
        s = weight.shape[-1]
        vectors = weight.flatten(1) @ F.unfold(adapted, s, stride=s) + bias[:, None]
        result.append(start + vectors.unflatten(2, start.shape[-2:]))
    return result


def check_sum(mine: Answers, question: str, number: int) -> None:
    """One of the two sums, with two sets of strides, of zeros, and its inputs left alone."""
    for strides, size in ((PAPER, 1), (MINI, 1), (MINI, 0)):  # 0: a dense map of zeros
        maps, dense, weights = branch(number, strides)
        dense *= size
        wanted = summed(maps, dense, weights)  # before the maps could be changed
        found = parts(getattr(mine, question)(maps, dense, *weights), 4, "a list of four maps")
        for k, (got, want) in enumerate(zip(found, wanted, strict=True), start=1):
            got = numbers(got, want.shape, f"map {k}")
            hint = f"map {k} is wrong inside: two convolutions, their biases, no ReLU, and a sum"
            agree(got[..., 1:-1, 1:-1], want[..., 1:-1, 1:-1], hint)
            agree(got, want, f"map {k} is wrong at its border: Adap's padding is a pixel of zeros")
    keeps(mine, question, *branch(number, strides)[:2], *weights)


def check_equation_1(mine: Answers) -> None:
    """Eq. 1 at two sets of strides, its gradient, and Eo left alone."""
    check_sum(mine, "equation_1", 5)
    Eo, Do, weights = branch(6, MINI)
    slope = mine.run(drive_equation_1, Eo=Eo, Do=Do, weights=weights)
    assert slope is not None, "no gradient reaches Do: in stage 2 the depth net could not learn"
    Do.requires_grad_(True)
    sum((k + 1) * m.square().mean() for k, m in enumerate(summed(Eo, Do, weights))).backward()
    agree(slope.double(), Do.grad, "the gradient that reaches Do is wrong")


def drive_equation_1(mine, Eo, Do, weights):
    """The gradient of a loss at Do, or None."""
    leaf = Do.clone().requires_grad_(True)
    maps = mine.equation_1(Eo, leaf, *weights)
    loss = sum((k + 1) * m.square().mean() for k, m in enumerate(maps))
    if loss.requires_grad:
        loss.backward()
    return leaf.grad


def check_equation_2(mine: Answers) -> None:
    """Eq. 2 with three kinds of holes, on both sides, its mask, its refusal, its inputs."""
    truth = 8 * torch.rand(2, 1, 5, 6, generator=dice(7))
    predicted = 7 * torch.rand(2, 1, 5, 6, generator=dice(8))
    known = torch.rand(2, 1, 5, 6, generator=dice(9)) > 0.3
    wanted = torch.where(known, (predicted - truth).abs(), 0)
    for hole in (0.0, torch.inf, torch.nan):
        holed = torch.where(known, truth, hole)
        for said in (predicted, torch.where(known, predicted, torch.nan)):
            found = mine.equation_2(said, holed, known)
            error, mask = parts(found, 2, "two things: De and the mask")
            mask = torch.as_tensor(mask)
            assert mask.dtype == torch.bool, "the mask is boolean"
            assert torch.equal(mask, known), "the mask comes back as it came"
            error = numbers(error, truth.shape, "De")
            agree(error[known], wanted[known], "where it is known, De is |Do - Dgt| in metres")
            assert (error[~known] == 0).all(), "in a hole De is exactly 0, whatever stands there"
    for k, other in enumerate((predicted[:, 0], truth[:1], known[..., :1])):
        wrong = [predicted, truth, known]
        wrong[k] = other
        said, _ = mine.run(drive, question="equation_2", arguments=wrong)
        assert said == "ValueError", "shapes that differ must raise ValueError: they are broadcast"
    keeps(mine, "equation_2", predicted, truth, known)


def check_equation_3(mine: Answers) -> None:
    """Eq. 3 at two sets of strides, with De = 0, too, and Di left alone."""
    check_sum(mine, "equation_3", 10)


def scene() -> tuple[float, list[float], list[float]]:
    """Focus, true and said depths in metres of this year's four points."""
    some = np.random.default_rng(SEED)
    focus = round(float(some.uniform(1.8, 2.4)), 2)
    away = -some.uniform(0.8, 0.9), -some.uniform(0.2, 0.25)
    away += some.uniform(0.8, 1.2), some.uniform(4.0, 5.0)
    true = [round(focus + float(z), 2) for z in away]
    return focus, true, [round(z + 0.5, 2) for z in true]


def diameter(z_m: float, focus_m: float) -> float:
    """A 50 mm lens at f/1.8 before a sensor of 14.9 mm: the disc in pixels of 1080 rows."""
    return 50 / 1.8 * 50 / (1000 * focus_m - 50) * abs(z_m - focus_m) / z_m / 14.9 * 1080


def check_blur_errors(mine: Answers) -> None:
    """This year's four numbers, to a per cent or a hundredth of a pixel."""
    found = numbers(mine.blur_errors(), (4,), "blur errors")
    focus, true, said = scene()
    hints = (
        "the hand: draw its two discs, the true and the said, and take their difference",
        "the shoulder: said and true lie on two sides of the focus, and no disc is negative",
        "the chair: is it the diameter, in pixels, with all lengths in one unit?",
        "the wall: is the disc divided by the point's own distance?",
    )
    for value, t, s, hint in zip(found.tolist(), true, said, hints, strict=True):
        wanted = diameter(s, focus) - diameter(t, focus)
        assert abs(value - wanted) <= 0.01 + 0.01 * abs(wanted), hint


def shares(predicted: Tensor, truth: Tensor, known: Tensor, edges: list[float]) -> list[np.ndarray]:
    """The reference: shares of the error in metres and in 1/m."""
    said, true = (part[known].double().numpy() for part in (predicted, truth))
    errors = np.abs(said - true), np.abs(1 / said - 1 / true)
    kept = true < edges[-1]  # the last range of `histogram` has its upper edge
    sums = [np.histogram(true[kept], edges, weights=error[kept])[0] for error in errors]
    return [one / one.sum() for one in sums]


def check_error_shares(mine: Answers) -> None:
    """Maps with holes, pixels on all inner edges and on the last, and pixels outside of all."""
    truth = 0.6 + 7 * torch.rand(2, 1, 20, 24, generator=dice(12)) ** 2
    edges = [0.75, 2.0, 4.0, 6.5]
    truth[0, 0, :3, :8] = torch.tensor(edges[1:])[:, None]
    predicted = truth * (0.6 + 0.8 * torch.rand(truth.shape, generator=dice(13)))
    known = torch.rand(truth.shape, generator=dice(14)) > 0.25
    for hole in (0.0, torch.nan):
        holed = torch.where(known, truth, hole)
        found = mine.error_shares(predicted, holed, known, edges)
        wanted = shares(predicted, holed, known, edges)
        two = parts(found, 2, "two lists of shares")
        for got, want, unit in zip(two, wanted, ("metres", "1/m"), strict=True):
            got = numbers(got, (3,), f"shares in {unit}")
            assert abs(float(got.sum()) - 1) < 1e-4, f"the shares in {unit} do not sum to 1"
            hint = "sums over known pixels, sorted by true depth, no upper edge in its range"
            agree(got, torch.from_numpy(want), f"the shares in {unit} are wrong: {hint}")
