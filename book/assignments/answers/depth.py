"""Assignment 3: wrong answers that students give, and other right ones."""

import re
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from hidden_tests.depth import diameter, scene, summed
from torch import Tensor

# depth_from_output


def forgets_the_relu(x: Tensor, scale: float, shift: float) -> Tensor:
    """Leaves the ReLU out, so that a negative x is farther than the shift allows."""
    return 1 / (scale * x + shift).clamp(min=1e-8)


def clamps_the_depth(x: Tensor, scale: float, shift: float) -> Tensor:
    """Clamps the depth and not the inverse depth, which below 0 is a negative distance."""
    return (1 / (scale * F.relu(x) + shift)).clamp(min=1e-8)


def returns_inverse_depth(x: Tensor, scale: float, shift: float) -> Tensor:
    """Stops at the inverse depth: 1/m and not metres."""
    return (scale * F.relu(x) + shift).clamp(min=1e-8)


def scales_the_shift(x: Tensor, scale: float, shift: float) -> Tensor:
    """Multiplies the shift by the scale as well."""
    return 1 / (scale * (F.relu(x) + shift)).clamp(min=1e-8)


def inverts_x_first(x: Tensor, scale: float, shift: float) -> Tensor:
    """Takes x for a depth: inverts it first, scales and shifts afterwards."""
    return scale / F.relu(x).clamp(min=1e-8) + shift


def clamps_at_the_shift(x: Tensor, scale: float, shift: float) -> Tensor:
    """Takes the shift for a floor of the inverse depth, and not for something that is added."""
    return 1 / (scale * F.relu(x)).clamp(min=max(shift, 1e-8))


def works_in_place(x: Tensor, scale: float, shift: float) -> Tensor:
    """Computes in place and so overwrites the net's output."""
    return 1 / x.clamp_(min=0).mul_(scale).add_(shift).clamp(min=1e-8)


def depth_by_where(x: Tensor, scale: float, shift: float) -> Tensor:
    """Right: the ReLU written with `where`, the clamp with `maximum`."""
    inverse = torch.where(x > 0, scale * x, torch.zeros_like(x)) + shift
    return torch.maximum(inverse, torch.tensor(1e-8)).reciprocal()


def depth_by_numpy(x: Tensor, scale: float, shift: float) -> np.ndarray:
    """Right: in numpy."""
    return 1 / np.maximum(scale * np.maximum(np.asarray(x), 0) + shift, 1e-8)


# official_to_ours


def renamed(
    state: dict[str, Tensor],
    finest: int = 1,
    units: tuple[str, str] = ("unit1", "unit2"),
    taps: tuple[str, str] = ("mix", "resize"),
    strip: bool = True,
    skip: bool = True,
    strict: bool = True,
    to: Callable[[Tensor], Tensor] = Tensor.float,
) -> dict[str, Tensor]:
    """The reader by regular expressions, with every knob that a mistake turns."""
    rules = (
        (r"pretrained\.model\.patch_embed\.(.*)", r"encoder.\1"),
        (r"pretrained\.model\.((blocks|cls_token|pos_embed).*)", r"encoder.\1"),
        (r"pretrained\.act_postprocess(\d)\.0\.(.*)", r"encoder.reassemble\1.\2"),
        (r"pretrained\.act_postprocess(\d)\.3\.(.*)", rf"encoder.reassemble\1.{taps[0]}.\2"),
        (r"pretrained\.act_postprocess4\.4\.(.*)", rf"encoder.reassemble4.{taps[1]}.\1"),
        (r"scratch\.layer([12])_rn\.(.*)", r"encoder.reassemble\1.\2"),
        (r"scratch\.layer([34])_rn\.(.*)", r"encoder.reassemble\1.narrow.\2"),
        (r"scratch\.output_conv\.(.*)", r"decoder.head.\1"),
        (r"scratch\.refinenet(\d)\.(.*)", r"decoder.fusion.#\1.\2"),
    )
    unused = r"pretrained\.model\.(norm|head)\.|scratch\.refinenet4\.resConfUnit1\."
    ours = {}
    for full, tensor in state.items():
        name = full.removeprefix("module.") if strip else full
        if skip and re.match(unused, name):
            continue
        for pattern, replacement in rules:
            if re.fullmatch(pattern, name):
                name = re.sub(pattern, replacement, name)
                break
        else:
            if strict:
                raise KeyError(full)
            continue
        name = re.sub(r"#(\d)", lambda m: str(abs(int(m[1]) - finest)), name)
        name = name.replace("resConfUnit1", units[0]).replace("resConfUnit2", units[1])
        ours[name] = to(tensor)
    return ours


def swaps_two_fusion_blocks(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Exchanges two fusion blocks whose shapes are the same; the net loads and draws nonsense."""
    ours, (a, b) = renamed(state), ("fusion.1.", "fusion.2.")
    swap = {name: name.replace(a, "#").replace(b, a).replace("#", b) for name in ours}
    return {swap[name]: tensor for name, tensor in ours.items()}


def counts_from_the_coarse_end(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Takes refinenet1 for the coarsest block, because the decoder begins there."""
    return renamed(state, finest=4)


def swaps_the_residual_units(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Takes resConfUnit1 for the unit after the sum, where the coarsest block has none to spare."""
    return renamed(state, units=("unit2", "unit1"))


def keeps_the_classifier(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Does not leave out what no output depends on."""
    ours = renamed(state)
    extra = [name for name in state if "pretrained.model.head." in name]
    return ours | {f"encoder.{name.rpartition('model.')[2]}": state[name] for name in extra}


def passes_over_strangers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Is silent about names that it does not know, so that another net's file seems to fit."""
    return renamed(state, strict=False)


def keeps_half_precision(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Leaves tensors in the precision of the file."""
    return renamed(state, to=Tensor.clone)


def knows_one_gpu_only(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Forgets that training on several GPUs puts `module.` before each name."""
    return renamed(state, strip=False)


def knows_four_blocks_only(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Writes the numbers of mini's blocks out, so that the paper's net does not load."""
    ours = renamed(state)
    return {n: t for n, t in ours.items() if not re.match(r"encoder\.blocks\.([4-9]|1\d)\.", n)}


def transposes_linear_layers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Transposes the matrices, as for a framework that stores them as (in, out)."""
    return renamed(state, to=lambda t: t.float().T if t.ndim == 2 else t.float())


def forgets_the_prefix_order(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Lets `pretrained.model.` come first, so that `patch_embed` stays in our names."""
    ours = renamed(state)
    return {
        n.replace("encoder.backbone", "encoder.patch_embed.backbone"): t for n, t in ours.items()
    }


def renames_the_whole_model(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Makes one rule of `pretrained.model.`, so that another net's tensors come in as the ViT's."""
    head = "pretrained.model."
    known = ("blocks.", "cls_token", "pos_embed", "patch_embed.", "norm.", "head.")
    strange = {n for n in state if n.startswith(head) and not n[len(head) :].startswith(known)}
    ours = renamed({n: t for n, t in state.items() if n not in strange})
    return ours | {n.replace(head, "encoder."): state[n].float() for n in strange}


def renames_by_patterns(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Right: by regular expressions."""
    return renamed(state)


def renames_by_replacing(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Right: a chain of replacements, checked at the end."""
    ours = {}
    for full, tensor in state.items():
        name = full[7:] if full.startswith("module.") else full
        if "model.norm." in name or "model.head." in name or "net4.resConfUnit1" in name:
            continue
        for old, new in (
            ("pretrained.model.patch_embed.", "encoder."),
            *((f"pretrained.model.{own}", f"encoder.{own}") for own in ("blocks.", "cls_", "pos_")),
            ("pretrained.act_postprocess", "encoder.reassemble"),
            ("s3.0.", "s3."),
            ("reassemble3.0.", "reassemble3."),
            ("reassemble4.0.", "reassemble4."),
            ("reassemble3.3.", "reassemble3.mix."),
            ("reassemble4.3.", "reassemble4.mix."),
            ("reassemble4.4.", "reassemble4.resize."),
            ("scratch.layer1_rn", "encoder.reassemble1"),
            ("scratch.layer2_rn", "encoder.reassemble2"),
            ("scratch.layer3_rn", "encoder.reassemble3.narrow"),
            ("scratch.layer4_rn", "encoder.reassemble4.narrow"),
            ("scratch.output_conv", "decoder.head"),
            *((f"scratch.refinenet{k}", f"decoder.fusion.{k - 1}") for k in (1, 2, 3, 4)),
            ("resConfUnit", "unit"),
        ):
            if not (old == "s3.0." and "act" not in name):
                name = name.replace(old, new)
        if not name.startswith(("encoder.", "decoder.")):
            raise KeyError(full)
        ours[name] = tensor.to(torch.float32)
    return ours


# aligned_depth


def fitted(
    x: Tensor,
    truth: Tensor,
    known: Tensor,
    power: float,
    in_metres: bool = False,
    floor: float = 1 / 8,
    swapped: bool = False,
) -> Tensor:
    """The line by numpy's polyfit, with every knob that a mistake turns."""
    result = torch.empty_like(truth)
    for n in range(len(x)):
        z, seen = (part[n][known[n]].double().numpy() for part in (truth, x))
        y, weight = z if in_metres else 1 / z, z ** (power / 2)
        if swapped:
            slope, start = np.polyfit(y, seen, 1, w=weight)
            a, b = 1 / slope, -start / slope
        else:
            a, b = np.polyfit(seen, y, 1, w=weight)
        line = a * x[n] + b
        result[n] = line if in_metres else 1 / line.clamp(min=floor)
    return result


def ignores_the_weights(x: Tensor, truth: Tensor, known: Tensor, power: float) -> Tensor:
    """Fits without weights, whatever the power says."""
    return fitted(x, truth, known, 0)


def weighs_by_the_inverse(x: Tensor, truth: Tensor, known: Tensor, power: float) -> Tensor:
    """Weighs by inverse depth to the power, so that near pixels rule."""
    return fitted(x, truth, known, -power)


def squares_the_weights(x: Tensor, truth: Tensor, known: Tensor, power: float) -> Tensor:
    """Multiplies residuals by w before they are squared, and so weighs by w squared."""
    return fitted(x, truth, known, 2 * power)


def fits_metres(x: Tensor, truth: Tensor, known: Tensor, power: float) -> Tensor:
    """Fits x, an inverse depth, to the depth itself."""
    return fitted(x, truth, known, power, in_metres=True)


def fits_the_whole_batch(x: Tensor, truth: Tensor, known: Tensor, power: float) -> Tensor:
    """Grants one scale and shift to all pictures together."""
    flat = (part.reshape(1, 1, -1, part.shape[-1]) for part in (x, truth, known))
    return fitted(*flat, power).reshape(truth.shape)


def fits_the_holes_too(x: Tensor, truth: Tensor, known: Tensor, power: float) -> Tensor:
    """Takes 0 in a hole for a wall on the lens, kept from infinity by a small number."""
    filled = torch.where(known, truth, 0).clamp(min=1e-3)
    return fitted(x, filled, torch.ones_like(known), power)


def returns_the_line(x: Tensor, truth: Tensor, known: Tensor, power: float) -> Tensor:
    """Returns the aligned inverse depth and not metres."""
    return 1 / fitted(x, truth, known, power)


def forgets_the_floor(x: Tensor, truth: Tensor, known: Tensor, power: float) -> Tensor:
    """Divides by an inverse depth that may be below 0."""
    return fitted(x, truth, known, power, floor=-torch.inf)


def regresses_backwards(x: Tensor, truth: Tensor, known: Tensor, power: float) -> Tensor:
    """Fits x to the truth and turns the line around, which is steeper when there is noise."""
    return fitted(x, truth, known, power, swapped=True)


def scales_by_medians(x: Tensor, truth: Tensor, known: Tensor, power: float) -> Tensor:
    """Scales by the ratio of medians and leaves the shift out."""
    maps = zip(x, truth, known, strict=True)
    scaled = [p * (1 / t[k]).median() / p[k].median() for p, t, k in maps]
    return 1 / torch.stack(scaled).clamp(min=1 / 8)


def aligned_by_polyfit(x: Tensor, truth: Tensor, known: Tensor, power: float) -> Tensor:
    """Right: numpy's polyfit, whose weights are the roots of ours."""
    return fitted(x, truth, known, power)


def aligned_by_normal_equations(
    x: Tensor, truth: Tensor, known: Tensor, power: float
) -> np.ndarray:
    """Right: the normal equations, 2 x 2, in numpy."""
    result = np.empty(truth.shape)
    for n in range(len(x)):
        z, seen = (np.asarray(part[n])[np.asarray(known[n])].astype(float) for part in (truth, x))
        w = z**power
        left = [[(w * seen**2).sum(), (w * seen).sum()], [(w * seen).sum(), w.sum()]]
        a, b = np.linalg.solve(left, [(w * seen / z).sum(), (w / z).sum()])
        result[n] = 1 / np.maximum(a * np.asarray(x[n]) + b, 1 / 8)
    return result


# equation_1 and equation_3


def eq1_forgets_eo(Eo, Do, adapt_weight, adapt_bias, patch_weights, patch_biases):
    """Returns what the depth adds and leaves the encoder's own maps out."""
    weights = [adapt_weight, adapt_bias, patch_weights, patch_biases]
    return summed([torch.zeros_like(m) for m in Eo], Do, weights)


def eq1_bends(Eo, Do, adapt_weight, adapt_bias, patch_weights, patch_biases):
    """Puts a ReLU between the two convolutions, out of habit."""
    adapted = F.relu(F.conv2d(Do, adapt_weight, adapt_bias, padding=1))
    parts = zip(Eo, patch_weights, patch_biases, strict=True)
    return [e + F.conv2d(adapted, w, b, stride=w.shape[-1]) for e, w, b in parts]


def eq1_mirrors_the_border(Eo, Do, adapt_weight, adapt_bias, patch_weights, patch_biases):
    """Pads Adap by mirroring; the paper's padding is of zeros."""
    weights = [adapt_weight, adapt_bias, patch_weights, patch_biases]
    return summed(Eo, Do, weights, rim="reflect")


def eq1_averages(Eo, Do, adapt_weight, adapt_bias, patch_weights, patch_biases):
    """Averages each square before it is mixed, and so forgets on which side the near half is."""
    adapted = F.conv2d(Do, adapt_weight, adapt_bias, padding=1)
    maps = []
    for e, w, b in zip(Eo, patch_weights, patch_biases, strict=True):
        mixed = F.conv2d(F.avg_pool2d(adapted, w.shape[-1]), w.sum((2, 3), keepdim=True), b)
        maps.append(e + mixed)
    return maps


def eq1_detaches(Eo, Do, adapt_weight, adapt_bias, patch_weights, patch_biases):
    """Detaches the depth, so that stage 2 can never fine-tune the depth net."""
    return summed(Eo, Do.detach(), [adapt_weight, adapt_bias, patch_weights, patch_biases])


def eq1_adds_nearness(Eo, Do, adapt_weight, adapt_bias, patch_weights, patch_biases):
    """Hands Adap the inverse depth; Do is in metres."""
    return summed(Eo, 1 / Do, [adapt_weight, adapt_bias, patch_weights, patch_biases])


def eq1_knows_mini_only(Eo, Do, adapt_weight, adapt_bias, patch_weights, patch_biases):
    """Writes mini's strides out, so that the paper's patches overlap."""
    adapted = F.conv2d(Do, adapt_weight, adapt_bias, padding=1)
    parts = zip(Eo, patch_weights, patch_biases, (2, 4, 8, 16), strict=True)
    return [e + F.conv2d(adapted, w, b, stride=s) for e, w, b, s in parts]


def eq1_forgets_the_bias(Eo, Do, adapt_weight, adapt_bias, patch_weights, patch_biases):
    """Leaves the patches' biases out."""
    none = [torch.zeros_like(b) for b in patch_biases]
    return summed(Eo, Do, [adapt_weight, adapt_bias, patch_weights, none])


def eq1_by_unfold(Eo, Do, adapt_weight, adapt_bias, patch_weights, patch_biases):
    """Right: squares as columns, and one matrix product."""
    return tuple(summed(Eo, Do, [adapt_weight, adapt_bias, patch_weights, patch_biases]))


def eq1_by_einsum(Eo, Do, adapt_weight, adapt_bias, patch_weights, patch_biases):
    """Right: nine shifted copies, then squares by reshaping."""
    height, width = Do.shape[-2:]
    framed = F.pad(Do, (1, 1, 1, 1))
    adapted = adapt_bias[:, None, None]
    for row in range(3):
        for column in range(3):
            shifted = framed[..., row : row + height, column : column + width]
            adapted = adapted + adapt_weight[:, :, row, column, None] * shifted
    maps = []
    for k in range(4):
        s = patch_weights[k].shape[-1]
        squares = adapted.unflatten(3, (-1, s)).unflatten(2, (-1, s))  # (N, 3, h, s, w, s)
        mixed = torch.einsum("nchywx,dcyx->ndhw", squares, patch_weights[k])
        maps.append(Eo[k] + mixed + patch_biases[k][:, None, None])
    return maps


def eq3_subtracts(Di, De, adapt_weight, adapt_bias, patch_weights, patch_biases):
    """Subtracts the error's map, as if De could correct the depth."""
    weights = [adapt_weight, adapt_bias, patch_weights, patch_biases]
    added = summed([torch.zeros_like(m) for m in Di], De, weights)
    return [d - m for d, m in zip(Di, added, strict=True)]


def eq3_writes_into_di(Di, De, adapt_weight, adapt_bias, patch_weights, patch_biases):
    """Adds with `+=` and so changes the maps of Eq. 1 behind the caller's back."""
    weights = [adapt_weight, adapt_bias, patch_weights, patch_biases]
    for d, m in zip(Di, summed([torch.zeros_like(m) for m in Di], De, weights), strict=True):
        d += m
    return Di


def eq3_skips_perfect_depth(Di, De, adapt_weight, adapt_bias, patch_weights, patch_biases):
    """Takes De = 0 for no branch at all, and forgets the biases."""
    if not De.any():
        return list(Di)
    return summed(Di, De, [adapt_weight, adapt_bias, patch_weights, patch_biases])


def eq3_multiplies(Di, De, adapt_weight, adapt_bias, patch_weights, patch_biases):
    """Multiplies the maps by the hint; Eq. 3 is a sum."""
    weights = [adapt_weight, adapt_bias, patch_weights, patch_biases]
    added = summed([torch.zeros_like(m) for m in Di], De, weights)
    return [d * (1 + m) for d, m in zip(Di, added, strict=True)]


def eq3_tells_the_finest_only(Di, De, adapt_weight, adapt_bias, patch_weights, patch_biases):
    """Adds to the finest map only."""
    all_maps = summed(Di, De, [adapt_weight, adapt_bias, patch_weights, patch_biases])
    return [all_maps[0], *Di[1:]]


def eq3_repeats_the_border(Di, De, adapt_weight, adapt_bias, patch_weights, patch_biases):
    """Pads Adap by repeating the border; the paper's padding is of zeros."""
    weights = [adapt_weight, adapt_bias, patch_weights, patch_biases]
    return summed(Di, De, weights, rim="replicate")


def eq3_by_unfold(Di, De, adapt_weight, adapt_bias, patch_weights, patch_biases):
    """Right: squares as columns, and one matrix product, in a tuple."""
    return tuple(summed(Di, De, [adapt_weight, adapt_bias, patch_weights, patch_biases]))


def eq3_by_loop(Di, De, adapt_weight, adapt_bias, patch_weights, patch_biases):
    """Right: a loop over scales with `torch.nn` layers."""
    adapt = torch.nn.Conv2d(1, 3, 3, padding=1)
    adapt.load_state_dict({"weight": adapt_weight, "bias": adapt_bias})
    maps = []
    with torch.no_grad():
        for k, weight in enumerate(patch_weights):
            size = weight.shape[2]
            conv = torch.nn.Conv2d(3, len(weight), size, stride=size)
            conv.load_state_dict({"weight": weight, "bias": patch_biases[k]})
            maps.append(Di[k].clone().add_(conv(adapt(De))))
    return maps


# equation_2


def refuse(*maps: Tensor) -> None:
    """Raise ValueError for shapes that differ."""
    if len({m.shape for m in maps}) > 1:
        raise ValueError("shapes differ")


def eq2_keeps_the_sign(predicted, truth, known):
    """Forgets the two bars of Eq. 2."""
    refuse(predicted, truth, known)
    return torch.where(known, predicted - truth, 0.0), known


def eq2_forgets_the_mask(predicted, truth, known):
    """Counts every hole as an error as large as the prediction."""
    refuse(predicted, truth, known)
    return (predicted - truth.nan_to_num(0, 0, 0)).abs().nan_to_num(0), known


def eq2_multiplies_by_the_mask(predicted, truth, known):
    """Multiplies by the mask: NaN times 0 is NaN."""
    refuse(predicted, truth, known)
    return (predicted - truth).abs() * known, known


def eq2_turns_the_mask(predicted, truth, known):
    """Takes the mask for the holes."""
    refuse(predicted, truth, known)
    return torch.where(known, 0.0, (predicted - truth).abs()), ~known


def eq2_counts_inverse_metres(predicted, truth, known):
    """Compares inverse depths: a good idea, but not Eq. 2."""
    refuse(predicted, truth, known)
    return torch.where(known, (1 / predicted - 1 / truth).abs(), 0.0), known


def eq2_broadcasts(predicted, truth, known):
    """Does not refuse shapes that differ, and compares every picture with every other."""
    return torch.where(known, (predicted - truth).abs(), 0.0), known


def eq2_fills_the_truth(predicted, truth, known):
    """Puts the prediction into the holes of the caller's own truth."""
    refuse(predicted, truth, known)
    truth[~known] = predicted[~known].nan_to_num(0)
    return torch.where(known, (predicted - truth).abs(), 0.0), known


def eq2_guesses_the_mask(predicted, truth, known):
    """Makes a mask of its own, where the truth is above 0, and ignores the given one."""
    refuse(predicted, truth, known)
    own = truth > 0
    return torch.where(own, (predicted - truth).abs(), 0.0).nan_to_num(0), own


def eq2_by_masked_fill(predicted, truth, known):
    """Right: `masked_fill` of what is not known, in a list."""
    if predicted.shape != truth.shape or truth.shape != known.shape:
        raise ValueError(predicted.shape, truth.shape, known.shape)
    return [torch.abs(truth - predicted).masked_fill(~known, 0), known]


def eq2_by_numpy(predicted, truth, known):
    """Right: numpy, by index."""
    if len({tuple(m.shape) for m in (predicted, truth, known)}) != 1:
        raise ValueError
    error, mask = np.zeros(truth.shape, np.float32), np.asarray(known)
    error[mask] = np.abs(np.asarray(predicted)[mask] - np.asarray(truth)[mask])
    return error, mask


# blur_errors


def blurs(change: Callable[[float, float, float], float]) -> list[float]:
    """`change(focus, true, said)` for this year's four points."""
    focus, true, said = scene()
    return [change(focus, t, s) for t, s in zip(true, said, strict=True)]


def blur_of_the_error() -> list[float]:
    """Puts the error of half a metre into the lens as if it were a depth."""
    return blurs(lambda focus, t, s: diameter(s - t, focus))


def blur_without_sign() -> list[float]:
    """Drops the sign, so that too much and too little look alike."""
    return blurs(lambda focus, t, s: abs(diameter(s, focus) - diameter(t, focus)))


def blur_true_minus_said() -> list[float]:
    """Subtracts the other way round."""
    return blurs(lambda focus, t, s: diameter(t, focus) - diameter(s, focus))


def blur_as_radius() -> list[float]:
    """Gives radii for diameters."""
    return blurs(lambda focus, t, s: (diameter(s, focus) - diameter(t, focus)) / 2)


def blur_through_the_focus() -> list[float]:
    """Takes the difference of inverse depths, though a disc has no sign beyond the focus."""
    return blurs(lambda focus, t, s: (1 / t - 1 / s) * focus * diameter(2 * focus, focus) * 2)


def blur_over_the_focus() -> list[float]:
    """Divides by the focus distance and not by the point's own."""
    return blurs(lambda f, t, s: (diameter(s, f) * s - diameter(t, f) * t) / f)


def blur_of_mixed_units() -> list[float]:
    """Puts metres beside millimetres, so that the focal length is longer than the focus."""
    scale = 50 / 1.8 / 14.9 * 1080
    return blurs(lambda f, t, s: scale * 50 / (f - 50) * (abs(s - f) / s - abs(t - f) / t))


def blur_of_a_sensor_in_mm() -> list[float]:
    """Puts the focal length in metres, but leaves the sensor's height in millimetres."""
    return [error / 1000 for error in blurs(lambda f, t, s: diameter(s, f) - diameter(t, f))]


def blur_in_image_heights() -> list[float]:
    """Forgets the number of rows."""
    return blurs(lambda focus, t, s: (diameter(s, focus) - diameter(t, focus)) / 1080)


def blur_by_arrays() -> np.ndarray:
    """Right: arrays, in millimetres."""
    focus, true, said = scene()
    scale = 50**2 / 1.8 / (1000 * focus - 50) / 14.9 * 1080
    true_mm, said_mm = 1000 * np.array(true), 1000 * np.array(said)
    return scale * (np.abs(1 - 1000 * focus / said_mm) - np.abs(1 - 1000 * focus / true_mm))


def blur_by_disparity() -> tuple[float, ...]:
    """Right: by inverse depths, in a tuple."""
    focus, true, said = scene()
    scale = 0.05 * 0.05 / 1.8 / (1 - 0.05 / focus) / 0.0149 * 1080
    pairs = zip(said, true, strict=True)
    return tuple(scale * (abs(1 / s - 1 / focus) - abs(1 / t - 1 / focus)) for s, t in pairs)


# error_shares


def ranged(
    errors: list[Tensor], by: Tensor, edges: list[float], mean: bool = False, whole: bool = False
) -> tuple[list[float], list[float]]:
    """Shares of each error by range, with the knobs that mistakes turn."""
    result = []
    for error in errors:
        ranges = [(by >= a) & (by < b) for a, b in zip(edges[:-1], edges[1:], strict=True)]
        parts = [float(error[r].mean() if mean else error[r].sum()) for r in ranges]
        result.append([p / (float(error.sum()) if whole else sum(parts)) for p in parts])
    return result[0], result[1]


def both(said: Tensor, true: Tensor) -> list[Tensor]:
    """The error in metres and in 1/m."""
    return [(said - true).abs(), (1 / said - 1 / true).abs()]


def shares_of_means(predicted, truth, known, edges_m):
    """Compares mean errors, so that a range of few pixels counts like one of many."""
    said, true = predicted[known], truth[known]
    return ranged(both(said, true), true, edges_m, mean=True)


def shares_by_prediction(predicted, truth, known, edges_m):
    """Sorts the pixels by what the net said."""
    said, true = predicted[known], truth[known]
    return ranged(both(said, true), said, edges_m)


def shares_with_holes(predicted, truth, known, edges_m):
    """Counts the holes as walls that are as near as the ranges begin."""
    filled = torch.where(known, truth, edges_m[0]).clamp(min=0.1).flatten()
    return ranged(both(predicted.flatten(), filled), filled, [0.0, *edges_m[1:]])


def shares_upper_edge(predicted, truth, known, edges_m):
    """Puts a pixel on an edge into the lower range."""
    said, true = predicted[known], truth[known]
    turned = ranged(both(said, true), -true, [-edge for edge in reversed(edges_m)])
    return turned[0][::-1], turned[1][::-1]


def shares_last_edge(predicted, truth, known, edges_m):
    """Uses numpy's histogram, whose last range includes its upper edge."""
    said, true = (part[known].double().numpy() for part in (predicted, truth))
    found = []
    for error in (np.abs(said - true), np.abs(1 / said - 1 / true)):
        sums, _ = np.histogram(true, bins=edges_m, weights=error)
        found.append((sums / sums.sum()).tolist())
    return found


def shares_inverted_error(predicted, truth, known, edges_m):
    """Takes one over the error for the error in 1/m."""
    said, true = predicted[known], truth[known]
    return ranged([(said - true).abs(), 1 / (said - true).abs()], true, edges_m)


def shares_of_everything(predicted, truth, known, edges_m):
    """Divides by the error of all known pixels, those outside of the ranges included."""
    said, true = predicted[known], truth[known]
    return ranged(both(said, true), true, edges_m, whole=True)


def shares_of_squares(predicted, truth, known, edges_m):
    """Sums squared errors."""
    said, true = predicted[known], truth[known]
    return ranged([error**2 for error in both(said, true)], true, edges_m)


def shares_by_histogram(predicted, truth, known, edges_m):
    """Right: numpy's histogram with weights, after the last edge was made exclusive."""
    mask = np.asarray(known)
    said, true = (np.asarray(part)[mask].astype(float) for part in (predicted, truth))
    kept = true < edges_m[-1]
    found = []
    for error in (np.abs(said - true), np.abs(1 / said - 1 / true)):
        sums, _ = np.histogram(true[kept], bins=edges_m, weights=error[kept])
        found.append(sums / sums.sum())
    return found


def shares_by_loop(predicted, truth, known, edges_m):
    """Right: a loop over pixels."""
    sums = np.zeros((2, len(edges_m) - 1))
    for said, true in zip(predicted[known].tolist(), truth[known].tolist(), strict=True):
        for k in range(len(edges_m) - 1):
            if edges_m[k] <= true < edges_m[k + 1]:
                sums[:, k] += abs(said - true), abs(1 / said - 1 / true)
    return tuple((row / row.sum()).tolist() for row in sums)


WRONG = {
    "depth_from_output": [
        forgets_the_relu,
        clamps_the_depth,
        returns_inverse_depth,
        scales_the_shift,
        inverts_x_first,
        clamps_at_the_shift,
        works_in_place,
    ],
    "official_to_ours": [
        swaps_two_fusion_blocks,
        counts_from_the_coarse_end,
        swaps_the_residual_units,
        keeps_the_classifier,
        passes_over_strangers,
        keeps_half_precision,
        knows_one_gpu_only,
        knows_four_blocks_only,
        transposes_linear_layers,
        forgets_the_prefix_order,
        renames_the_whole_model,
    ],
    "aligned_depth": [
        ignores_the_weights,
        weighs_by_the_inverse,
        squares_the_weights,
        fits_metres,
        fits_the_whole_batch,
        fits_the_holes_too,
        returns_the_line,
        forgets_the_floor,
        regresses_backwards,
        scales_by_medians,
    ],
    "equation_1": [
        eq1_forgets_eo,
        eq1_bends,
        eq1_mirrors_the_border,
        eq1_averages,
        eq1_detaches,
        eq1_adds_nearness,
        eq1_knows_mini_only,
        eq1_forgets_the_bias,
    ],
    "equation_2": [
        eq2_keeps_the_sign,
        eq2_forgets_the_mask,
        eq2_multiplies_by_the_mask,
        eq2_turns_the_mask,
        eq2_counts_inverse_metres,
        eq2_broadcasts,
        eq2_fills_the_truth,
        eq2_guesses_the_mask,
    ],
    "equation_3": [
        eq3_subtracts,
        eq3_writes_into_di,
        eq3_skips_perfect_depth,
        eq3_multiplies,
        eq3_tells_the_finest_only,
        eq3_repeats_the_border,
    ],
    "blur_errors": [
        blur_of_the_error,
        blur_without_sign,
        blur_true_minus_said,
        blur_as_radius,
        blur_through_the_focus,
        blur_over_the_focus,
        blur_of_mixed_units,
        blur_of_a_sensor_in_mm,
        blur_in_image_heights,
    ],
    "error_shares": [
        shares_of_means,
        shares_by_prediction,
        shares_with_holes,
        shares_upper_edge,
        shares_last_edge,
        shares_inverted_error,
        shares_of_everything,
        shares_of_squares,
    ],
}

RIGHT = {
    "depth_from_output": [depth_by_where, depth_by_numpy],
    "official_to_ours": [renames_by_patterns, renames_by_replacing],
    "aligned_depth": [aligned_by_polyfit, aligned_by_normal_equations],
    "equation_1": [eq1_by_unfold, eq1_by_einsum],
    "equation_2": [eq2_by_masked_fill, eq2_by_numpy],
    "equation_3": [eq3_by_unfold, eq3_by_loop],
    "blur_errors": [blur_by_arrays, blur_by_disparity],
    "error_shares": [shares_by_histogram, shares_by_loop],
}
