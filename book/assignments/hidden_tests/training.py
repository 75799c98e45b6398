"""Hidden tests of assignment 4: the U-Net, the losses, the step, freezing, exact resume."""

import inspect

import torch
import torch.nn.functional as F

from bradcn_nb.course.answers import Answers
from bradcn_nb.training.losses import ms_ssim_loss
from hidden_tests.training_drivers import (
    freeze_run,
    l1_run,
    level_run,
    ms_ssim_run,
    resume_run,
    step_run,
)
from hidden_tests.training_reference import (
    freeze,
    masked_l1,
    restore_state,
    resume_numbers,
    save_state,
    train_step,
    u_net,
    u_net_weights,
)

NOTHING = "your function returned nothing: is there a `return`?"


def _close(value, wanted, rtol: float = 1e-4, atol: float = 1e-5) -> bool:
    """Whether a number, an array or a tensor of any precision has the wanted shape and values."""
    value, wanted = (torch.as_tensor(x).detach().double() for x in (value, wanted))
    return value.shape == wanted.shape and torch.allclose(value, wanted, rtol=rtol, atol=atol)


# The U-Net


def check_u_net(mine: Answers) -> None:
    """Two, three and four levels; values, gradients, and inputs left alone."""
    generator = torch.Generator().manual_seed(41)
    for channels, widths, size in ((3, (4, 6), (8, 12)), (2, (3, 5, 7), (12, 4))):
        weights = u_net_weights(channels, widths, 7 + channels)
        x = torch.rand(2, channels, *size, generator=generator) * 2 - 1
        result = mine.u_net(x.clone(), dict(weights))
        assert result is not None, NOTHING
        wanted = u_net(x, weights)
        assert torch.is_tensor(result), "u_net must return a tensor"
        assert result.shape == wanted.shape, (
            "for two pictures on input the map that comes out has not the right shape: as many"
            " channels as the finest level, and the height and width of the input"
        )
        assert _close(result, wanted), (
            f"with {len(widths)} levels the values differ: compare pooling (the largest of four),"
            " the order of the concatenation (skip first), both ReLUs, all biases, and from which"
            " level each weight comes"
        )
    weights = u_net_weights(3, (3, 4, 5, 6), 9)
    x = torch.rand(1, 3, 16, 8, generator=generator)
    push = torch.rand(1, 3, 16, 8, generator=generator)
    found = mine.run(level_run, x=x, weights=weights, push=push)
    wanted = Answers({"u_net": u_net}).run(level_run, x=x, weights=weights, push=push)
    assert found["unchanged"], "u_net changed its input or a weight in place: a caller's tensors"
    assert found["gradients"], "no gradient gets back to the weights: is something detached?"
    for name, gradient in wanted["gradients"].items():
        assert _close(found["gradients"].get(name, 0.0), gradient, 1e-3, 1e-4), (
            f"the values may be right, but the gradient of {name} is not"
        )


# The losses


def check_masked_l1(mine: Answers) -> None:
    """Values with and without mask, holes of NaN and of rubbish, none known, gradients."""
    generator = torch.Generator().manual_seed(42)
    a, b = (torch.rand(3, 1, 5, 4, generator=generator) * 3 for _ in range(2))
    mask = torch.rand(a.shape, generator=generator) < 0.6
    mask[1] = torch.rand(mask[1].shape, generator=generator) < 0.2  # a picture full of holes
    plain = mine.masked_l1(a, b)
    assert plain is not None, NOTHING
    assert torch.as_tensor(plain).shape == (), "the loss must be one number, a tensor of shape ()"
    assert _close(plain, masked_l1(a, b)), "without a mask every value counts"
    assert _close(mine.masked_l1(a, b.clone(), mask), masked_l1(a, b, mask)), (
        "with a mask the sum is divided by the number of True values in the whole batch, and False"
        " ones add nothing"
    )
    spoiled = torch.where(mask, b, 1e4)
    assert _close(mine.masked_l1(a, spoiled.clone(), mask), masked_l1(a, b, mask)), (
        "a finite number behind the mask counts: only the mask may say what is known"
    )
    spoiled[~mask] = torch.nan
    assert _close(mine.masked_l1(a, spoiled.clone(), mask), masked_l1(a, b, mask)), (
        "NaN behind the mask reaches the loss; 0 times NaN is NaN"
    )
    empty = mine.masked_l1(a, spoiled.clone(), torch.zeros_like(mask))
    assert _close(empty, 0.0), "where no value is known at all, the loss is 0, not 0 / 0"
    values = {"prediction": a, "target": spoiled, "mask": mask}
    found = mine.run(l1_run, **values)
    assert found["unchanged"], "the loss changed a tensor of its caller in place"
    assert found["gradient"] is not None, "no gradient gets back to the prediction"
    wanted = Answers({"masked_l1": masked_l1}).run(l1_run, **values)["gradient"]
    assert torch.isfinite(found["gradient"]).all(), "NaN behind the mask reaches the gradient"
    assert _close(found["gradient"], wanted), (
        "the value is right but its gradient is not: masked values get 0, the others one part each"
    )


def check_ms_ssim_loss(mine: Answers) -> None:
    """From one scale to five, odd sides, opposite patterns, gradients."""
    generator = torch.Generator().manual_seed(43)

    def pair(channels: int, height: int, width: int, noise: float) -> tuple[torch.Tensor, ...]:
        coarse = torch.rand(2, channels, height // 4 + 2, width // 4 + 2, generator=generator)
        size = {"size": (height, width), "mode": "bilinear", "align_corners": False}
        target = F.interpolate(coarse, **size)
        moved = torch.rand(target.shape, generator=generator) - 0.5
        return (target * 0.8 + 0.1 + noise * moved).clamp(0, 1), target

    first = pair(3, 64, 48, 0.3)
    value = mine.ms_ssim_loss(*first)
    assert value is not None, NOTHING
    assert torch.as_tensor(value).shape == (), "the loss must be one number, a tensor of shape ()"
    same = mine.ms_ssim_loss(first[1], first[1])
    assert _close(same, 0.0, atol=1e-4), "two equal pictures have MS-SSIM 1, so a loss of 0"
    for size, advice in (
        ((12, 17), "one scale: its only weight must become 1, and SSIM with its luminance counts"),
        ((64, 48), "compare the weights (rescaled to sum to 1) and where the luminance counts"),
        ((40, 44), "a side of exactly 10 * 2**k pixels has no room for scale k"),
        ((83, 121), "odd sides: halve with the given `halved`"),
        ((161, 165), "five scales, with weights as they stand in the table"),
    ):
        a, b = pair(1 if size[0] > 100 else 3, *size, noise=0.4)
        assert _close(mine.ms_ssim_loss(a, b), ms_ssim_loss(a, b), 2e-4, 2e-5), (
            f"wrong for pictures of {size[0]}x{size[1]} pixels; {advice}"
        )
    a, b = pair(1, 24, 24, 0.1)
    negative = mine.ms_ssim_loss(1 - b, b)
    assert _close(negative, ms_ssim_loss(1 - b, b), 1e-3, 1e-3), (
        "opposite patterns make a term negative; raised to a fraction it is NaN: raise it to the"
        " floor of 1e-8 before"
    )
    values = {"prediction": first[0][:1], "target": first[1][:1]}
    found = mine.run(ms_ssim_run, **values)
    assert found["gradient"] is not None, "no gradient gets back to the prediction"
    wanted = Answers({"ms_ssim_loss": ms_ssim_loss}).run(ms_ssim_run, **values)["gradient"]
    assert _close(found["gradient"], wanted, 1e-2, 1e-2 * float(wanted.abs().max())), (
        "the value is right but its gradient is not: is a part of it detached?"
    )


# The step


def check_train_step(mine: Answers) -> None:
    """Four steps: losses, weights, what the mask hides, old gradients, Adam's memory."""
    found = mine.run(step_run, seed=44)
    assert found is not None, NOTHING
    wanted = Answers({"train_step": train_step}).run(step_run, seed=44)
    assert not found["graph"], (
        "the loss still holds its graph, and with it all maps of the step: return a plain number"
    )
    assert found["masked"], "the mask of the batch never reaches the loss"
    assert _close(found["losses"][0], wanted["losses"][0]), (
        "the first loss is not the loss of the batch before the step"
    )
    assert _close(found["first"], wanted["first"], 1e-7, 1e-8), (
        "after the first step the weights are wrong: gradients that lay there before the call must"
        " not count, and each step needs zero_grad, backward and step in an order that works"
    )
    assert _close(found["last"], wanted["last"], 1e-7, 1e-8), (
        "the first step is right, the later ones are not: do old gradients add up, or does Adam"
        " forget its moments?"
    )
    assert _close(found["losses"], wanted["losses"]), "a later loss is not the one before its step"


def check_freeze(mine: Answers) -> None:
    """A series of stages on one net: gradients, modes, and what Adam gets."""
    stages = [["depth", "render"], ["adcn"], [], ["adcn", "depth", "adcn_branch", "render"]]
    found = mine.run(freeze_run, stages=stages)
    assert found is not None, NOTHING
    wanted = Answers({"freeze": freeze}).run(freeze_run, stages=stages)
    for stage, ours, theirs in zip(stages, wanted, found, strict=True):
        what = f"with frozen={stage}"
        assert theirs["gradients"] == ours["gradients"], (
            f"{what}, after other stages before it, the wrong weights ask for a gradient: what an"
            " earlier stage froze must learn again, a name must fit as a whole, and a part has"
            " layers within layers"
        )
        assert theirs["returned"] == ours["returned"], (
            f"{what} the list for Adam is not that of the weights that learn, each once"
        )
        assert theirs["modes"] == ours["modes"], (
            f"{what} the wrong modules are in training mode: batch norm in a frozen part would go"
            " on moving its running statistics, and in a trained part it must"
        )


# Exact resume


HINTS = {
    "undisturbed": "saving changed the run itself: it may look, but must draw no random number",
    "weights": "the net's tensors are wrong: running statistics count, too, and a state must be a"
    " copy, since training changes tensors in place",
    "moments": "Adam's moments or its step count are wrong",
    "rate": "the learning rate is wrong: it lies in Adam's param_groups",
    "shuffler": "the generator of the orders is not where it was: its state counts, not its seed",
    "random": "torch's global generator is not where it was: its state counts, not its seed",
    "order": "the order of the current epoch is wrong, or no copy",
    "place": "the place in the order is wrong: it counts the pictures of it that are done",
    "end": "each piece looks right, but some steps later the resumed run is elsewhere: does Adam"
    " move the tensors of the net that the run holds?",
    "survives": "training after the restore changes the caller's state: something was taken over"
    " where a copy was needed",
}


def _check_resume(mine: Answers, part: str) -> None:
    both = {"save_state": save_state, "restore_state": restore_state}
    reference = both.pop(part)
    (other,) = map(inspect.getsource, both.values())
    found = mine.run(resume_run, part=part, other=other)
    assert found is not None, NOTHING
    wanted = Answers({part: reference}).run(resume_run, part=part, other=other)
    six = ("net", "adam", "shuffler", "torch", "order", "place")
    missing = [key for key in six if key in found.get("missing", ())]
    assert not missing, f"the state is no dict with all six keys; missing: {', '.join(missing)}"
    for key, hint in HINTS.items():
        ours, theirs = wanted[key], found[key]
        right = len(ours) == len(theirs)
        right = right and all(_close(x, y, 1e-9, 1e-12) for x, y in zip(theirs, ours, strict=True))
        assert right, hint


def check_save_state(mine: Answers) -> None:
    """What is saved, restored by the reference into a new run."""
    _check_resume(mine, "save_state")


def check_restore_state(mine: Answers) -> None:
    """What the reference saved, restored into a new run."""
    _check_resume(mine, "restore_state")


def check_resume_point(mine: Answers) -> None:
    """Step, epoch and place, each with its hint."""
    found = mine.resume_point()
    assert found is not None, NOTHING
    found = [float(value) for value in found]
    assert len(found) == 3, "three numbers are asked for: step, epoch, place"
    pictures, batch, every, killed = resume_numbers()
    step = killed // every * every
    epoch, steps = divmod(step, -(-pictures // batch))
    assert found[0] == step, "the step is not that of the last checkpoint before the kill"
    assert found[1] == epoch, (
        "the epoch is wrong: its last batch is small, and the first epoch is 0"
    )
    assert found[2] == steps * batch, "the place is wrong: it counts pictures of this epoch's order"
