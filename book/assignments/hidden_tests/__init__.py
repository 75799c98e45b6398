"""The hidden halves of the assignments' tests. Students never get this folder.

`check(assignment, question, names)` runs `check_QUESTION` of the assignment's module on the names
of a student's notebook. `SEED` decides the data of the questions whose answer is a number;
`course build --seed` writes another one here and into the notebooks.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from bradcn_nb.course.answers import Answers

SEED = 0


def check(assignment: str, question: str, names: Mapping[str, Any]) -> None:
    """Raise AssertionError, with a sentence that helps, unless the answer is right."""
    module = import_module(f"hidden_tests.{assignment.partition('_')[2]}")
    getattr(module, f"check_{question}")(Answers(names))
