"""What a student wrote, as a check sees it: the same whether the code runs here or elsewhere."""

from collections.abc import Callable, Mapping
from typing import Any


class Answers:
    """A submission's functions by name: `mine.attention(x, ...)` calls the student's.

    A check is a function of this alone, so that it can be run in the student's own kernel and, when
    graded, in a process that the student's code cannot reach (`course.remote`). Hence only plain
    values may go in and out: numbers, text, None, numpy arrays, torch tensors, and lists, tuples
    and dicts of these.
    """

    def __init__(self, names: Mapping[str, Any]) -> None:
        self._names = names

    def __getattr__(self, name: str) -> Any:
        """Return the student's `name`; raises AssertionError where there is none."""
        try:
            return self._names[name]
        except KeyError:
            raise AssertionError(f"there is no {name} in the notebook any more") from None

    def run(self, driver: Callable[..., Any], **values: Any) -> Any:
        """Return `driver(mine, **values)`, run where the student's code is.

        For what plain values cannot say, such as gradients. `driver` is a function of its own: its
        imports are inside it, and it uses no name from around it.
        """
        return driver(self, **values)
