"""The assignments: the solution has every point, an untouched one none, a mistake loses its own."""

import importlib
import sys

import numpy as np
import pytest

from bradcn_nb.course.masters import ASSIGNMENTS, masters_folder, read_master

sys.path.insert(0, str(masters_folder()))
hidden_tests = importlib.import_module("hidden_tests")
WRITTEN = [name for name in ASSIGNMENTS if (masters_folder() / f"{name}.py").exists()]


def questions(assignment: str) -> dict[str, float]:
    """Autograded questions and their points."""
    cells = read_master(masters_folder() / f"{assignment}.py").cells
    found = (cell.metadata.get("nbgrader", {}) for cell in cells)
    return {
        one["grade_id"].removeprefix("test-"): one["points"]
        for one in found
        if one.get("grade") and not one["solution"]
    }


def names(assignment: str, untouched: bool = False) -> dict:
    """What a notebook defines: its answers, and what the cells with the tag "given" do."""
    found: dict = {"__name__": "student"}
    for cell in read_master(masters_folder() / f"{assignment}.py").cells:
        kind = cell.metadata.get("nbgrader", {})
        source = cell.source
        if kind.get("solution") and cell.cell_type == "code":
            if untouched:
                before, _, rest = source.partition("### BEGIN SOLUTION")
                source = f"{before}raise NotImplementedError{rest.partition('### END SOLUTION')[2]}"
            exec(source, found)
        elif "given" in cell.metadata.get("tags", ()):
            exec(source, found)
    return found


@pytest.fixture(scope="module")
def solved() -> dict[str, dict]:
    """The names of each assignment, solved."""
    return {assignment: names(assignment) for assignment in WRITTEN}


def answers(assignment: str):
    """The module of wrong and of other right answers."""
    return importlib.import_module(f"answers.{assignment.partition('_')[2]}")


def failed(assignment: str, found: dict) -> dict[str, BaseException]:
    """The questions whose check fails, and how."""
    errors: dict[str, BaseException] = {}
    for question in questions(assignment):
        try:
            with np.errstate(all="ignore"):
                hidden_tests.check(assignment, question, found)
        except Exception as error:  # a student's code may raise anything
            errors[question] = error
    return errors


@pytest.mark.parametrize("assignment", WRITTEN)
def test_the_solution_has_all_points(solved, assignment):
    assert not failed(assignment, solved[assignment])


@pytest.mark.parametrize("assignment", WRITTEN)
def test_an_untouched_assignment_has_none(assignment):
    errors = failed(assignment, names(assignment, untouched=True))
    assert errors.keys() == questions(assignment).keys()
    assert {type(error) for error in errors.values()} == {NotImplementedError}


@pytest.mark.parametrize("assignment", WRITTEN)
def test_a_function_that_returns_nothing_is_told_so(solved, assignment):
    for question in questions(assignment):
        with pytest.raises(AssertionError, match="returned nothing"):
            hidden_tests.check(
                assignment, question, solved[assignment] | {question: lambda *a, **k: None}
            )


def pairs(kind: str) -> list[tuple]:
    return [
        pytest.param(assignment, question, answer, id=f"{assignment}-{answer.__name__}")
        for assignment in WRITTEN
        for question, found in getattr(answers(assignment), kind).items()
        for answer in found
    ]


@pytest.mark.parametrize("assignment, question, answer", pairs("WRONG"))
def test_a_wrong_answer_loses_exactly_its_points(solved, assignment, question, answer):
    errors = failed(assignment, solved[assignment] | {question: answer})
    assert errors.keys() == {question}
    assert str(errors[question]).strip(), "the error says something"
    assert answer.__doc__, "the guide's list of common mistakes needs its sentence"


@pytest.mark.parametrize("assignment, question, answer", pairs("RIGHT"))
def test_another_right_style_keeps_them(solved, assignment, question, answer):
    assert not failed(assignment, solved[assignment] | {question: answer})


@pytest.mark.parametrize("assignment", WRITTEN)
def test_there_are_enough_of_both(assignment):
    found = answers(assignment)
    for question in questions(assignment):
        assert len(found.WRONG[question]) >= 5, question
        assert len(found.RIGHT[question]) >= 2, question
