"""Assignment 4: answers to `save_state` and `restore_state`."""

import copy
import io

import torch


def _state(run, *without, **instead):
    state = {"net": run.net.state_dict(), "adam": run.adam.state_dict()}
    state = copy.deepcopy(state) | {"shuffler": run.shuffler.get_state(), "place": run.place}
    state |= {"torch": torch.get_rng_state(), "order": list(run.order)}
    return {key: value for key, value in (state | instead).items() if key not in without}


def save_forgets_adam(run):
    """Saves the weights and forgets Adam, whose moments start at 0 again."""
    return _state(run, "adam")


def save_forgets_random(run):
    """Forgets torch's global generator, so that other pictures are mirrored."""
    return _state(run, "torch")


def save_forgets_shuffler(run):
    """Forgets the generator of the orders: the next epoch comes in another order."""
    return _state(run, "shuffler")


def save_forgets_place(run):
    """Forgets the place in the data, so that a resumed epoch begins anew."""
    return _state(run, "order", "place")


def save_without_copies(run):
    """Saves references to the net's tensors, which go on changing in the saved state."""
    return _state(run, net=run.net.state_dict())


def save_shallow_copies(run):
    """Copies the dictionaries but not the tensors in them."""
    return _state(run, net=dict(run.net.state_dict()), adam=dict(run.adam.state_dict()))


def save_adam_by_reference(run):
    """Copies the net, but saves references to Adam's moments."""
    return _state(run, adam=run.adam.state_dict())


def save_order_by_reference(run):
    """Saves the run's own list of the order, which whoever holds the run can change."""
    return _state(run, order=run.order)


def save_parameters_only(run):
    """Saves the parameters and sets the running statistics of batch norm back."""
    fresh = {name: torch.zeros_like(x) for name, x in run.net.state_dict().items()}
    return _state(run, net=fresh | {n: w.detach().clone() for n, w in run.net.named_parameters()})


def save_seed_only(run):
    """Saves the seed of the global generator, not how far it has come."""
    seed = torch.initial_seed()
    return _state(run, torch=torch.Generator().manual_seed(seed).get_state())


def save_shuffler_seed(run):
    """Saves the seed of the orders, not how far their generator has come."""
    seed = run.shuffler.initial_seed()
    return _state(run, shuffler=torch.Generator().manual_seed(seed).get_state())


def save_draws_an_order(run):
    """Draws the next order to save it, and so moves the run that it only ought to look at."""
    order = torch.randperm(10, generator=run.shuffler).tolist()
    return _state(run, order=order)


def right_save_through_a_file(run):
    """Writes everything to a file in memory and reads it back."""
    file = io.BytesIO()
    torch.save({**vars(run), "net": run.net.state_dict(), "adam": run.adam.state_dict()}, file)
    file.seek(0)
    state = torch.load(file, weights_only=False)
    state["shuffler"] = run.shuffler.get_state()
    return state | {"torch": torch.random.get_rng_state(), "extra": None}


def right_save_by_clones(run):
    """Clones tensor by tensor; the order as a tuple."""
    moments = run.adam.state_dict()
    state = {
        i: {key: value.clone() for key, value in entry.items()}
        for i, entry in moments["state"].items()
    }
    moments = {"state": state, "param_groups": [dict(group) for group in moments["param_groups"]]}
    net = {name: tensor.detach().clone() for name, tensor in run.net.state_dict().items()}
    return _state(run, net=net, adam=moments, order=tuple(run.order))


def _restore(run, state, *without):
    for key, load in (("net", run.net.load_state_dict), ("adam", run.adam.load_state_dict)):
        if key not in without:
            load(copy.deepcopy(state[key]))
    if "shuffler" not in without:
        run.shuffler.set_state(state["shuffler"])
    if "torch" not in without:
        torch.set_rng_state(state["torch"])
    if "order" not in without:
        run.order = list(state["order"])
    if "place" not in without:
        run.place = state["place"]
    return run


def restore_forgets_adam(run, state):
    """Restores the weights, and leaves Adam as it was."""
    return _restore(run, state, "adam")


def restore_forgets_random(run, state):
    """Restores no state of torch's global generator."""
    return _restore(run, state, "torch")


def restore_forgets_shuffler(run, state):
    """Restores no state of the generator of the orders."""
    return _restore(run, state, "shuffler")


def restore_forgets_place(run, state):
    """Restores the order, but begins it anew."""
    run = _restore(run, state, "place")
    run.place = 0
    return run


def restore_new_order(run, state):
    """Draws the order of the epoch anew instead of taking the saved one."""
    run = _restore(run, state, "order")
    run.order = torch.randperm(len(state["order"]), generator=run.shuffler).tolist()
    return run


def restore_other_generator(run, state):
    """Sets the state of a generator that nobody uses."""
    torch.Generator().set_state(state["shuffler"])
    return _restore(run, state, "shuffler")


def restore_moves_only_moments(run, state):
    """Takes Adam's moments, and leaves the learning rate as the new run has it."""
    groups = copy.deepcopy(run.adam.state_dict()["param_groups"])
    return _restore(run, {**state, "adam": {**state["adam"], "param_groups": groups}})


def restore_takes_over_moments(run, state):
    """Gives the state's own tensors to Adam, which changes them: a second restore starts wrong."""
    run = _restore(run, state, "adam")
    run.adam.load_state_dict(state["adam"])
    return run


def restore_a_copied_net(run, state):
    """Puts a new net into the run, while Adam goes on moving the tensors of the old one."""
    run.net = copy.deepcopy(run.net)
    return _restore(run, state)


def restore_random_too_early(run, state):
    """Restores the random state, and then draws something before training goes on."""
    run = _restore(run, state)
    torch.rand(1)
    return run


def right_restore_in_place(run, state):
    """Copies tensor by tensor into the net; everything else in another order."""
    torch.random.set_rng_state(state["torch"])
    run.place, run.order = int(state["place"]), [int(i) for i in state["order"]]
    run.shuffler.set_state(state["shuffler"].clone())
    run.adam.load_state_dict(copy.deepcopy(state["adam"]))
    with torch.no_grad():
        for name, tensor in run.net.state_dict().items():
            tensor.copy_(state["net"][name])
    return run


def right_restore_new_parts(run, state):
    """Makes a new Adam and a new generator, and gives them to the run."""
    run.net.load_state_dict(state["net"])
    run.adam = torch.optim.Adam(run.net.parameters())
    state = copy.deepcopy(state)
    run.adam.load_state_dict(state["adam"])
    run.shuffler = torch.Generator()
    run.shuffler.set_state(state["shuffler"])
    torch.set_rng_state(state["torch"])
    run.order, run.place = tuple(state["order"]), state["place"]
    return run


WRONG = {
    "save_state": [
        save_forgets_adam,
        save_forgets_random,
        save_forgets_shuffler,
        save_forgets_place,
        save_without_copies,
        save_shallow_copies,
        save_adam_by_reference,
        save_order_by_reference,
        save_parameters_only,
        save_seed_only,
        save_shuffler_seed,
        save_draws_an_order,
    ],
    "restore_state": [
        restore_forgets_adam,
        restore_forgets_random,
        restore_forgets_shuffler,
        restore_forgets_place,
        restore_new_order,
        restore_other_generator,
        restore_moves_only_moments,
        restore_takes_over_moments,
        restore_a_copied_net,
        restore_random_too_early,
    ],
}
RIGHT = {
    "save_state": [
        right_save_through_a_file,
        right_save_by_clones,
    ],
    "restore_state": [
        right_restore_in_place,
        right_restore_new_parts,
    ],
}
