"""Assignment 4: answers to `u_net`, wrong ones and other right ones."""

import torch
import torch.nn.functional as F


def _conv(x, weights, name):
    return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1)


def _double(x, weights, name):
    return _conv(_conv(x, weights, f"{name}.0").relu(), weights, f"{name}.2").relu()


def _u(x, weights, *, double=_double, pool=None, join=None, rise=None, skip_of=lambda s: s):
    """A U whose parts can be wrong."""
    pool = pool or (lambda x: F.max_pool2d(x, 2))
    join = join or (lambda skip, risen: torch.cat((skip, risen), 1))
    rise = rise or (
        lambda x, w, k: F.conv_transpose2d(x, w[f"up.{k}.weight"], w[f"up.{k}.bias"], stride=2)
    )
    skips: list[torch.Tensor] = []
    while f"down.{len(skips)}.0.weight" in weights:
        x = double(pool(x) if skips else x, weights, f"down.{len(skips)}")
        skips.append(x)
    for level in reversed(range(len(skips) - 1)):
        x = join(skip_of(skips[level]), rise(x, weights, level))
        x = double(x, weights, f"merge.{level}")
    return x


def u_risen_first(x, weights):
    """Lays what rises before the skip: the right shape, but the weights are for skip first."""
    return _u(x, weights, join=lambda skip, risen: torch.cat((risen, skip), 1))


def u_skip_added(x, weights):
    """Adds the skip, as a residual net does, and then has half of the channels that merge wants."""
    return _u(x, weights, join=lambda skip, risen: (skip + risen).repeat(1, 2, 1, 1) / 2)


def u_mean_pooling(x, weights):
    """Halves by the mean of four pixels instead of their largest."""
    return _u(x, weights, pool=lambda x: F.avg_pool2d(x, 2))


def u_one_relu(x, weights):
    """Has a ReLU between the two convolutions but none behind the second."""

    def double(x, weights, name):
        return _conv(_conv(x, weights, f"{name}.0").relu(), weights, f"{name}.2")

    return _u(x, weights, double=double)


def u_no_up_bias(x, weights):
    """Forgets the bias of the transposed convolution."""
    return _u(x, weights, rise=lambda x, w, k: F.conv_transpose2d(x, w[f"up.{k}.weight"], stride=2))


def u_two_levels_only(x, weights):
    """Is written for two levels, and never goes deeper."""
    first = _double(x, weights, "down.0")
    below = _double(F.max_pool2d(first, 2), weights, "down.1")
    risen = F.conv_transpose2d(below, weights["up.0.weight"], weights["up.0.bias"], stride=2)
    return _double(torch.cat((first, risen), 1), weights, "merge.0")


def u_first_skip_always(x, weights):
    """Picks the skips up in the order in which they were laid down, so that sizes do not fit."""
    skips = [_double(x, weights, "down.0")]
    for level in range(1, sum(name.endswith("0.weight") for name in weights) // 3 + 1):
        if f"down.{level}.0.weight" in weights:
            skips.append(_double(F.max_pool2d(skips[-1], 2), weights, f"down.{level}"))
    x = skips.pop()
    for level in reversed(range(len(skips))):
        risen = F.conv_transpose2d(x, weights[f"up.{level}.weight"], stride=2)
        skip = F.interpolate(skips.pop(0), risen.shape[-2:])
        skip = skip.mean(1, keepdim=True).expand_as(risen)
        x = _double(torch.cat((skip, risen), 1), weights, f"merge.{level}")
    return x


def u_detached_skips(x, weights):
    """Detaches what it keeps, so that no gradient passes along the skips."""
    return _u(x, weights, skip_of=lambda skip: skip.detach())


def u_without_skips(x, weights):
    """Joins zeros in place of the skips: an hourglass, no U."""
    return _u(x, weights, skip_of=torch.zeros_like)


def right_u_by_modules(x, weights):
    """Builds PyTorch's modules and loads the weights into them, functionally."""
    convs = {}
    for name, weight in weights.items():
        if not name.endswith("weight"):
            continue
        kind = torch.nn.ConvTranspose2d if name.startswith("up") else torch.nn.Conv2d
        shape = weight.shape[:2] if name.startswith("up") else weight.shape[1::-1]
        extra = {"stride": 2} if name.startswith("up") else {"padding": 1}
        convs[name.removesuffix(".weight")] = kind(*shape, weight.shape[-1], **extra)

    def run(name, x):
        given = {"weight": weights[f"{name}.weight"], "bias": weights[f"{name}.bias"]}
        return torch.func.functional_call(convs[name], given, (x,))

    def double(x, _, name):
        return F.relu(run(f"{name}.2", F.relu(run(f"{name}.0", x))))

    return _u(x, weights, double=double, rise=lambda x, w, k: run(f"up.{k}", x))


def right_u_by_recursion(x, weights, level=0):
    """Calls itself for all that lies below a level; pools by reshaping."""
    skip = _double(x, weights, f"down.{level}")
    if f"down.{level + 1}.0.weight" not in weights:
        return skip
    n, c, h, w = skip.shape
    half = skip.reshape(n, c, h // 2, 2, w // 2, 2).amax((3, 5))
    below = right_u_by_recursion(half, weights, level + 1)
    squares = torch.einsum("ncyx,cdij->ndyixj", below, weights[f"up.{level}.weight"])
    risen = squares.reshape(n, -1, h, w) + weights[f"up.{level}.bias"][:, None, None]
    return _double(torch.cat((skip, risen), 1), weights, f"merge.{level}")


WRONG = [
    u_risen_first,
    u_skip_added,
    u_mean_pooling,
    u_one_relu,
    u_no_up_bias,
    u_two_levels_only,
    u_first_skip_always,
    u_detached_skips,
    u_without_skips,
]
RIGHT = [
    right_u_by_modules,
    right_u_by_recursion,
]
