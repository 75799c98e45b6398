"""Chapter 15's graded exercises: plausible wrong answers fail, other right styles pass."""

from pathlib import Path

import jupytext
import numpy as np
import pytest

CHAPTER = Path(__file__).resolve().parents[1] / "book" / "15_learning_from_pairs.py"


@pytest.fixture(scope="module")
def names() -> dict:
    """The chapter's checks and solutions."""
    found = {"np": np}
    for cell in (cell for cell in jupytext.read(CHAPTER).cells if cell.cell_type == "code"):
        if {"graded", "solution"} & set(cell.metadata.get("tags", [])):
            exec(cell.source.partition("\n\ntry:")[0], found)
    return found


def all_pixels(a, b, known):
    return np.abs(a - b).mean()


def share_of_all(a, b, known):
    return (np.abs(a - b) * known).sum() / known.size


def signed(a, b, known):
    return (a - b)[known].mean()


def squared(a, b, known):
    return ((a - b)[known] ** 2).mean()


def unknown_ones(a, b, known):
    return np.abs(a - b)[~known].mean()


def zero_for_nothing(a, b, known):
    return np.abs(a - b)[known].mean() if known.any() else 0.0


@pytest.mark.parametrize(
    "wrong",
    (all_pixels, share_of_all, signed, squared, unknown_ones, zero_for_nothing,
     lambda a, b, known: None),
)  # fmt: skip
def test_a_wrong_error_is_told(names, wrong):
    with pytest.raises(AssertionError):
        names["check_error"](wrong)


def test_a_right_error_in_another_style_passes(names):
    def by_loop(a, b, known):
        found = [abs(a[at] - b[at]) for at in np.ndindex(a.shape) if known[at]]
        return sum(found) / len(found) if found else float("nan")

    names["check_error"](by_loop)
    names["check_error"](names["solution_radius_error"])


def own_pair_only(pairs, folds):
    if folds < 2:
        raise ValueError
    return [[j for j in range(pairs) if j != i] for i in range(pairs)]


def own_fold(pairs, folds):
    if folds < 2:
        raise ValueError
    return [[j for j in range(pairs) if j % folds == i % folds] for i in range(pairs)]


def blocks(pairs, folds):
    if folds < 2:
        raise ValueError
    size = -(-pairs // folds)
    return [[j for j in range(pairs) if j // size != i // size] for i in range(pairs)]


def by_fold(pairs, folds):
    if folds < 2:
        raise ValueError
    return [[j for j in range(pairs) if j % folds != fold] for fold in range(folds)]


def one_fold_allowed(pairs, folds):
    return [[j for j in range(pairs) if j % folds != i % folds] for i in range(pairs)]


@pytest.mark.parametrize(
    "wrong",
    (own_pair_only, own_fold, blocks, by_fold, one_fold_allowed, lambda pairs, folds: None),
)
def test_wrong_folds_are_told(names, wrong):
    with pytest.raises(AssertionError):
        names["check_folds"](wrong)


def test_right_folds_in_another_style_pass(names):
    def arrays(pairs, folds):
        if folds < 2:
            raise ValueError("one fold")
        every = np.arange(pairs)
        return tuple(every[every % folds != i % folds] for i in range(pairs))

    names["check_folds"](arrays)
    names["check_folds"](names["solution_folds"])
