"""Assignment 4: answers to `resume_point`, wrong ones and other right ones."""

import torch
from hidden_tests.training_reference import resume_numbers


def _point(killed_instead=False, small_batch=True, per_picture=True, first=0, shift=0):
    pictures, batch, every, killed = resume_numbers()
    step = killed if killed_instead else (killed // every + shift) * every
    epoch, steps = divmod(step, -(-pictures // batch) if small_batch else pictures // batch)
    return step, epoch + first, steps * (batch if per_picture else 1)


def point_of_the_kill():
    """Goes on where the run was killed, though nothing was saved there."""
    return _point(killed_instead=True)


def point_without_small_batch():
    """Forgets the last, small batch of each epoch."""
    return _point(small_batch=False)


def point_in_steps():
    """Gives the place in steps instead of pictures."""
    return _point(per_picture=False)


def point_from_one():
    """Counts the epochs from 1."""
    return _point(first=1)


def point_of_the_next_checkpoint():
    """Rounds up, to a checkpoint that was never written."""
    return _point(shift=1)


def point_as_if_batches_were_full():
    """Multiplies steps by the batch size, as if every batch of an epoch were full."""
    pictures, batch, _, _ = resume_numbers()
    step = _point()[0]
    return step, step * batch // pictures, step * batch % pictures


def right_point_as_list():
    """A list of floats."""
    return [float(value) for value in _point()]


def right_point_by_walking():
    """Walks step by step, as the run does."""
    pictures, batch, every, killed = resume_numbers()
    epoch = place = 0
    saved = (0, 0, 0)
    for step in range(1, killed + 1):
        if place == pictures:
            epoch, place = epoch + 1, 0
        place = min(place + batch, pictures)
        if step % every == 0:
            saved = torch.tensor((step, epoch, place)).numpy()
    return saved


WRONG = [
    point_of_the_kill,
    point_without_small_batch,
    point_in_steps,
    point_from_one,
    point_of_the_next_checkpoint,
    point_as_if_batches_were_full,
]
RIGHT = [
    right_point_as_list,
    right_point_by_walking,
]
