"""Assignment 4: wrong answers that must lose their points, and other right ones that keep them."""

import torch
from answers import training_losses as losses
from answers import training_point as point
from answers import training_resume as resume
from answers import training_u_net as u_net

# The step


def _step(net, adam, batch, loss_of):
    return loss_of(net(batch["image"]), batch["error"], batch["mask"])


def step_without_zero_grad(net, adam, batch, loss_of):
    """Never clears the gradients, so that those of all steps so far add up."""
    loss = _step(net, adam, batch, loss_of)
    loss.backward()
    adam.step()
    return loss.item()


def step_clears_after(net, adam, batch, loss_of):
    """Clears the gradients after its own step, and trusts that nobody left one before."""
    loss = step_without_zero_grad(net, adam, batch, loss_of)
    adam.zero_grad()
    return loss


def step_clears_too_late(net, adam, batch, loss_of):
    """Clears between backward and step: Adam sees no gradient at all, and nothing learns."""
    loss = _step(net, adam, batch, loss_of)
    loss.backward()
    adam.zero_grad()
    adam.step()
    return loss.item()


def step_before_backward(net, adam, batch, loss_of):
    """Moves before it asks for the gradient; PyTorch complains that the weights have changed."""
    loss = _step(net, adam, batch, loss_of)
    adam.step()
    adam.zero_grad()
    loss.backward()
    return loss.item()


def step_without_mask(net, adam, batch, loss_of):
    """Leaves the mask in the batch."""
    loss = loss_of(net(batch["image"]), batch["error"])
    adam.zero_grad()
    loss.backward()
    adam.step()
    return loss.item()


def step_returns_graph(net, adam, batch, loss_of):
    """Returns the loss with its graph; a list of such losses fills the memory."""
    loss = _step(net, adam, batch, loss_of)
    adam.zero_grad()
    loss.backward()
    adam.step()
    return loss


def step_loss_afterwards(net, adam, batch, loss_of):
    """Returns the loss of the batch after the step, which has seen it by then."""
    step_clears_after(net, adam, batch, loss_of)
    return float(_step(net, adam, batch, loss_of).detach())


def step_new_adam(net, adam, batch, loss_of):
    """Makes a new Adam in each step, which forgets the moments."""
    adam = torch.optim.Adam(net.parameters(), lr=adam.param_groups[0]["lr"])
    return right_step_set_to_none(net, adam, batch, loss_of)


def step_by_hand(net, adam, batch, loss_of):
    """Subtracts rate times gradient: gradient descent, and Adam is not asked."""
    loss = _step(net, adam, batch, loss_of)
    net.zero_grad()
    loss.backward()
    with torch.no_grad():
        for weight in net.parameters():
            weight -= adam.param_groups[0]["lr"] * weight.grad
    return loss.item()


def right_step_set_to_none(net, adam, batch, loss_of):
    """Throws the gradients away one by one."""
    for weight in net.parameters():
        weight.grad = None
    loss = _step(net, adam, batch, loss_of)
    loss.backward()
    adam.step()
    return float(loss)


def right_step_autograd(net, adam, batch, loss_of):
    """Asks autograd for the gradients and lays them into their places; returns a tensor."""
    weights = [weight for weight in net.parameters() if weight.requires_grad]
    loss = _step(net, adam, batch, loss_of)
    for weight, grad in zip(weights, torch.autograd.grad(loss, weights), strict=True):
        weight.grad = grad
    adam.step()
    return loss.detach()


# Freezing


def _belongs(name, frozen):
    return name.split(".")[0] in frozen


def freeze_never_thaws(net, frozen):
    """Freezes, but never thaws what an earlier stage has frozen."""
    net.train()
    for name in frozen:
        getattr(net, name, net[name] if hasattr(net, "keys") else None).requires_grad_(False).eval()
    return [weight for weight in net.parameters() if weight.requires_grad]


def freeze_by_prefix(net, frozen):
    """Compares the beginning of the name, so that "depth" freezes "depth_branch" as well."""
    for name, part in net.named_children():
        free = not name.startswith(tuple(frozen))
        part.train(free).requires_grad_(free)
    return [weight for weight in net.parameters() if weight.requires_grad]


def freeze_the_others(net, frozen):
    """Mixes up the parts that learn with those that are frozen."""
    for name, part in net.named_children():
        part.train(name in frozen).requires_grad_(name in frozen)
    return [weight for weight in net.parameters() if weight.requires_grad]


def freeze_in_training_mode(net, frozen):
    """Leaves frozen parts in training mode: batch norm's running statistics go on moving."""
    net.train()
    for name, part in net.named_children():
        part.requires_grad_(name not in frozen)
    return [weight for weight in net.parameters() if weight.requires_grad]


def freeze_by_mode_alone(net, frozen):
    """Thinks that eval() stops the learning; it changes dropout and batch norm only."""
    for name, part in net.named_children():
        part.train(name not in frozen).requires_grad_(True)
    return [w for name, w in net.named_parameters() if not _belongs(name, frozen)]


def freeze_evaluates_all(net, frozen):
    """Puts the whole net into evaluation mode, the learning parts as well."""
    net.eval()
    for name, part in net.named_children():
        part.requires_grad_(name not in frozen)
    return [weight for weight in net.parameters() if weight.requires_grad]


def freeze_returns_all(net, frozen):
    """Hands the frozen weights to Adam as well."""
    right_freeze_by_names(net, frozen)
    return list(net.parameters())


def freeze_outermost_only(net, frozen):
    """Freezes a part's own layers, but not the layers within its layers."""
    for name, part in net.named_children():
        part.train(name not in frozen).requires_grad_(True)
        for layer in part.children():
            for weight in layer.parameters(recurse=False):
                weight.requires_grad_(name not in frozen)
    return [weight for weight in net.parameters() if weight.requires_grad]


def freeze_weights_only(net, frozen):
    """Freezes what is called weight, and forgets the biases."""
    right_freeze_by_names(net, frozen)
    for name, weight in net.named_parameters():
        if name.endswith("bias"):
            weight.requires_grad_(True)
    return [weight for weight in net.parameters() if weight.requires_grad]


def right_freeze_by_names(net, frozen):
    """Goes by the first word of each name; returns a tuple."""
    for name, module in net.named_modules():
        if name:
            module.train(not _belongs(name, frozen))
    trained = []
    for name, weight in net.named_parameters():
        weight.requires_grad = not _belongs(name, frozen)
        trained += [weight] * weight.requires_grad
    return tuple(trained)


def right_freeze_filter(net, frozen):
    """Thaws everything first, then freezes by name; returns a filter."""
    net.train().requires_grad_(True)
    children = dict(net.named_children())
    for name in frozen:
        children[name].eval().requires_grad_(False)
    return filter(lambda weight: weight.requires_grad, net.parameters())


WRONG = {
    "u_net": u_net.WRONG,
    "masked_l1": losses.WRONG_L1,
    "ms_ssim_loss": losses.WRONG_MS_SSIM,
    "train_step": [
        step_without_zero_grad,
        step_clears_after,
        step_clears_too_late,
        step_before_backward,
        step_without_mask,
        step_returns_graph,
        step_loss_afterwards,
        step_new_adam,
        step_by_hand,
    ],
    "freeze": [
        freeze_never_thaws,
        freeze_by_prefix,
        freeze_the_others,
        freeze_in_training_mode,
        freeze_by_mode_alone,
        freeze_evaluates_all,
        freeze_returns_all,
        freeze_outermost_only,
        freeze_weights_only,
    ],
    "resume_point": point.WRONG,
    **resume.WRONG,
}
RIGHT = {
    "u_net": u_net.RIGHT,
    "masked_l1": losses.RIGHT_L1,
    "ms_ssim_loss": losses.RIGHT_MS_SSIM,
    "train_step": [right_step_set_to_none, right_step_autograd],
    "freeze": [right_freeze_by_names, right_freeze_filter],
    "resume_point": point.RIGHT,
    **resume.RIGHT,
}
