"""Which of a student's functions the package accepts, and what the bundled net draws with them."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import numpy as np
import torch
from tqdm import tqdm

from bradcn_nb.course.plug import PARTS, Functions, plugged
from bradcn_nb.data import EBB
from bradcn_nb.errors import DataError
from bradcn_nb.evaluation.intervals import Interval, paired_interval
from bradcn_nb.evaluation.metrics import psnr
from bradcn_nb.evaluation.predict import predict
from bradcn_nb.files import data_root
from bradcn_nb.models import load_bradcn
from bradcn_nb.presets import preset

TOLERANCE = 1e-4  # of the largest value that comes out


class Finding(NamedTuple):
    """What came out for one of the twelve functions."""

    accepted: bool
    said: str


def functions_in(folder: Path) -> dict[str, Callable[..., Any]]:
    """Return those of the twelve functions that the notebooks and .py files of `folder` define.

    Of each file only what these functions need is executed: imports, definitions, assignments. One
    that fails is left out. Raises DataError if there is no such folder or nothing to read.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; name the one with your notebooks")
    files = sorted(path for kind in ("*.py", "*.ipynb") for path in folder.rglob(kind))
    files = [path for path in files if path.is_file() and ".ipynb_checkpoints" not in path.parts]
    if not files:
        raise DataError(f"{folder}: neither a notebook nor a .py file in it")
    found: dict[str, Callable[..., Any]] = {}
    for path in files:
        names: dict[str, Any] = {"__name__": "student"}
        for statement in _needed(_statements(path)):
            try:
                exec(compile(ast.Module([statement], []), str(path), "exec"), names)
            except (Exception, SystemExit):  # a student's code; what needs it says so later
                continue
        found |= {name: names[name] for name in PARTS if callable(names.get(name))}
    return found


def _statements(path: Path) -> list[ast.stmt]:
    """The statements of a file, without those of cells that are no Python."""
    if path.suffix == ".ipynb":
        try:
            cells = nbformat.read(path, as_version=4).cells
        except Exception as error:
            raise DataError(f"{path}: cannot be read as a notebook ({error})") from None
        sources = [cell.source for cell in cells if cell.cell_type == "code"]
    else:
        sources = [path.read_text("utf-8", errors="replace")]
    statements: list[ast.stmt] = []
    for source in sources:
        try:
            statements += ast.parse(source).body
        except SyntaxError:  # a cell with a magic or a half-written line
            continue
    return statements


def _needed(statements: list[ast.stmt]) -> list[ast.stmt]:
    """Those that bind a name that one of the twelve uses, directly or through others."""
    bound = [set(_bound(statement)) for statement in statements]
    needed, before = set(PARTS), set[str]()
    while needed != before:
        before = set(needed)
        for statement, names in zip(statements, bound, strict=True):
            if names & needed:
                loaded = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
                needed |= {node.id for node in loaded}
    return [one for one, names in zip(statements, bound, strict=True) if names & needed]


def _bound(statement: ast.stmt) -> Iterator[str]:
    """The names that an import, a definition or an assignment binds."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        for alias in statement.names:
            yield (alias.asname or alias.name).partition(".")[0]
    elif isinstance(statement, ast.FunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            yield from (node.id for node in ast.walk(target) if isinstance(node, ast.Name))


def examine(mine: Functions) -> dict[str, Finding]:
    """Try each of the twelve at its place in the package, the others being the package's own."""
    return {name: _finding(name, mine) for name in PARTS}


def _finding(name: str, mine: Functions) -> Finding:
    if name not in mine:
        return Finding(False, "not found")
    wanted = list(_arrays(PARTS[name].trial()))
    try:
        with plugged({name: mine[name]}):
            got = list(_arrays(PARTS[name].trial()))
    except NotImplementedError:
        return Finding(False, "not written yet")
    except Exception as error:
        return Finding(False, f"raises {type(error).__name__}: {' '.join(str(error).split())[:99]}")
    if [array.shape for array in got] != [array.shape for array in wanted]:
        return Finding(False, "gives another shape than the book's")
    for ours, theirs in zip(wanted, got, strict=True):
        if not np.isfinite(theirs).all():
            return Finding(False, "gives values that are not finite")
        apart = float(np.abs(ours - theirs).max() / max(np.abs(ours).max(), 1e-6))
        if apart > TOLERANCE:
            return Finding(False, f"changes what comes out by {apart:.2%}")
    return Finding(True, "accepted")


def _arrays(values: Any) -> Iterator[np.ndarray]:
    """The arrays in what a trial gives."""
    if isinstance(values, tuple | list):
        for value in values:
            yield from _arrays(value)
    else:
        yield np.asarray(torch.as_tensor(values).detach(), dtype=np.float64)


def net_on(mine: Functions, pictures: int = 20, progress: bool = True) -> tuple[float, Interval]:
    """Return the bundled net's mean PSNR in dB on test pictures, with `mine` plugged in, and how
    much that is more than on the package's own code, with its interval over the pictures."""
    pairs, size = EBB(data_root() / "mini-ebb", "test"), preset("mini").data.train_size
    net, values = load_bradcn(), []
    for index in tqdm(range(min(pictures, len(pairs))), desc="pictures", disable=not progress):
        item, row = pairs.read(index), []
        for functions in (mine, {}):
            with plugged(functions):
                row.append(psnr(item["bokeh"], predict(net, item["image"], size)))
        values.append(row)
    theirs, ours = np.array(values).T
    return float(theirs.mean()), paired_interval(theirs, ours)
