"""What an instructor may want to know of a submission; no point depends on it."""

import ast
import re
from collections.abc import Iterable, Iterator

PACKAGE = "bradcn_nb"


def other_seed(sources: Iterable[str], seed: int | None) -> str:
    """Return a note if a notebook's cells set another SEED than this year's tests, else ""."""
    found = re.findall(r"^SEED = (\d+)$", "\n".join(sources), re.MULTILINE)
    if seed is None or not found or found[-1] == str(seed):
        return ""
    return f"its SEED is {found[-1][:9]}, that of the tests is {seed}: from another year?"


def beyond_the_master(sources: Iterable[str], given: frozenset[str]) -> str:
    """Return a note that names what cells take from the package and the master does not, else "".

    `given` is what `from_package` finds in the master. The package has the answers, so a person may
    want to look.
    """
    taken = sorted(from_package(sources) - given)
    return f"takes from the package: {', '.join(taken[:5])[:200]}" if taken else ""


def from_package(sources: Iterable[str]) -> frozenset[str]:
    """Return the names that cells import from this package, or spell out as text."""
    return frozenset(name for source in sources for name in _names(source))


def _names(source: str) -> Iterator[str]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # it was not written for us
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith(PACKAGE))
        elif isinstance(node, ast.Constant) and str(node.value).startswith(PACKAGE):
            yield str(node.value)
