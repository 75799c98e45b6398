"""Any chapter as an assignment: its exercises become nbgrader's cells, its solutions regions.

A chapter marks three code cells with tags: `exercise` (functions that raise NotImplementedError),
`solution` (the same functions under other names) and `graded` (a check, then a `try` that runs it
on the reader's functions). From these come an answer cell with the solution inside, and a test
that needs no solution. Markdown under "Exercises" that folds an answer becomes a question that a
person marks.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import dedent

import nbformat
from nbformat import NotebookNode

from bradcn_nb.course.masters import METADATA, marked
from bradcn_nb.errors import DataError

POINTS = {"test": 5, "essay": 2}
FOLDED = re.compile(r"\s*(<details>.*?</details>)\s*", re.DOTALL)
PLACEHOLDER = "your code in place of this line"
SHORTEST = 25  # characters of a line that is looked for: shorter ones anybody may have written


def chapter_paths() -> list[Path]:
    """Return the notebooks of all chapters, in order; raises DataError outside of a checkout."""
    book = Path(__file__).resolve().parents[2] / "book"
    if not book.is_dir():
        raise DataError(f"{book}: the chapters are not in the wheel; clone the repository")
    return sorted(book.glob("[0-9]*.ipynb"))


def read_chapter(path: Path) -> NotebookNode:
    """Read a chapter's notebook, outputs and all, as a master; raises DataError for odd cells.

    The badge goes: it leads to a notebook that has the solutions.
    """
    notebook = nbformat.read(path, as_version=4)
    made: list[NotebookNode] = []
    pending: list[NotebookNode] = []  # exercises whose solution has not come yet
    stand_ins: dict[str, str] = {}  # a solution's function: the reader's
    exercises = False
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", ())
        if cell.cell_type == "markdown":
            exercises = exercises or bool(re.search("^## Exercises", cell.source, re.MULTILINE))
            if "solution" not in tags:
                made += _with_questions(cell, path) if exercises else [cell]
        elif "exercise" in tags:
            pending.append(cell)
            made.append(cell)
        elif "solution" in tags:
            if not pending:
                raise DataError(f"{path}: a solution without an exercise before it")
            stand_ins = _answer(pending.pop(), cell, path)
        elif "graded" in tags:
            made.append(_test(cell, stand_ins, path))
        else:
            made.append(cell)
    if pending:
        raise DataError(f"{path}: an exercise without a solution")
    first = made[0]
    if first.source.startswith("[![Open in Colab]"):
        first.source = first.source.partition("\n")[2].lstrip("\n")
    for number, cell in enumerate(made, start=1):
        cell["id"] = f"{path.stem[:40]}-{number:03d}"
    notebook.cells, notebook.metadata = made, nbformat.from_dict(METADATA)
    return notebook


def distinctive_lines(masters: Mapping[str, NotebookNode]) -> dict[str, list[str]]:
    """Return, by "name: question", the lines of solutions that stand nowhere else in the masters.

    What a chapter shows elsewhere, such as the package's source, gives nothing away.
    """
    hidden: dict[str, list[str]] = {}
    shown: list[str] = []
    for name, master in masters.items():
        for cell in master.cells:
            before, region, rest = cell.source.partition("### BEGIN SOLUTION")
            while region:
                secret, _, rest = rest.partition("### END SOLUTION")
                question = f"{name}: {cell.metadata['nbgrader']['grade_id']}"
                hidden.setdefault(question, []).extend(_pieces(secret, cell.cell_type))
                shown.append(before)
                before, region, rest = rest.partition("### BEGIN SOLUTION")
            shown += [before, *map(str, cell.get("outputs", ()))]
    seen = plain("\n".join(shown))
    return {
        question: [text for text in texts if len(text) >= SHORTEST and text not in seen]
        for question, texts in hidden.items()
    }


def plain(text: str) -> str:
    """Return text on one line, without tags, emphasis and curly quotes: how a page is searched."""
    text = re.sub(r"</?[a-zA-Z][^<>]*>|[*`]", "", text)
    return " ".join(text.translate(str.maketrans("“”‘’", "\"\"''")).split())


def _pieces(secret: str, kind: str) -> Iterator[str]:
    """A solution's lines, comments apart from what they comment; of a text, its sentences."""
    if kind == "markdown":
        secret = re.sub("<summary>.*?</summary>", "", secret)
        yield from map(plain, re.split(r"(?<=[.?!:])\s+", secret))
    else:
        for line in secret.splitlines():
            yield from map(plain, re.split(r"\s{2,}(?=#)", line.strip()))


def _answer(exercise: NotebookNode, solution: NotebookNode, path: Path) -> dict[str, str]:
    """Put the solution's bodies into the exercise's functions; return who stands for whom.

    Raises DataError unless both cells hold as many functions, with the same arguments.
    """
    asked, solved = _functions(exercise, path), _functions(solution, path)
    if [ast.dump(f.args) for f in asked] != [ast.dump(f.args) for f in solved]:
        raise DataError(f"{path}: exercise and solution differ in functions or arguments")
    stand_ins = {theirs.name: ours.name for ours, theirs in zip(asked, solved, strict=True)}
    stubs, bodies = exercise.source.splitlines(), solution.source.splitlines()
    parts = []
    for ours, theirs in zip(asked, solved, strict=True):
        head = stubs[ours.lineno - 1 : ours.body[0].end_lineno]
        hint = stubs[ours.end_lineno - 1].partition("# ")[2]
        if hint and hint != PLACEHOLDER:
            head.append(f"    # {hint}")
        body = bodies[theirs.body[0].end_lineno : theirs.end_lineno]
        for name, own in stand_ins.items():
            body = [re.sub(rf"\b{name}\b(?=\()", own, line) for line in body]
        parts.append([*head, "    ### BEGIN SOLUTION", *body, "    ### END SOLUTION"])
    name = asked[0].name
    exercise.source = f"# Answer: {name}\n" + "\n\n\n".join(map("\n".join, parts))
    marked(exercise, "answer", name)
    return stand_ins


def _functions(cell: NotebookNode, path: Path) -> list[ast.FunctionDef]:
    """The functions of a cell, each of which begins with its docstring."""
    body = ast.parse(cell.source).body
    found = [one for one in body if isinstance(one, ast.FunctionDef) and ast.get_docstring(one)]
    if not body or len(found) != len(body):
        raise DataError(f"{path}: an exercise or solution is more than functions with docstrings")
    return found


def _test(cell: NotebookNode, stand_ins: dict[str, str], path: Path) -> NotebookNode:
    """Turn a graded cell into a test: the check, called on the reader's functions, and no `try`."""
    if not stand_ins:
        raise DataError(f"{path}: a graded cell without an exercise and a solution before it")
    lines, tree = cell.source.splitlines(), ast.parse(cell.source)
    kept: list[str] = []
    for one in tree.body:
        text = lines[one.lineno - 1 : one.end_lineno]
        if isinstance(one, ast.Try):
            text = dedent("\n".join(lines[one.body[0].lineno - 1 : one.body[-1].end_lineno])).split(
                "\n"
            )
        elif isinstance(one, ast.Expr) and _names(one) & stand_ins.keys():
            continue
        gap = ["", ""] if kept and isinstance(one, ast.FunctionDef | ast.Try) else []
        kept += gap + text
    cell.source = "\n".join(kept)
    if left := _names(ast.parse(cell.source)) & stand_ins.keys():
        raise DataError(f"{path}: the graded cell needs {left.pop()}, which a student has not")
    name, points = next(iter(stand_ins.values())), POINTS["test"]
    cell.source = f"# Test of {name}: {points} points\n{cell.source}"
    cell.outputs, cell.execution_count = [], None  # of another cell, which knew the solution
    return marked(cell, "test", name, points)


def _names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _with_questions(cell: NotebookNode, path: Path) -> list[NotebookNode]:
    """Split a Markdown cell at its folded answers, each of which becomes a cell to be marked."""
    pieces = FOLDED.split(cell.source)
    made = []
    for number, piece in enumerate(pieces):
        if not piece.strip():
            continue
        one = nbformat.v4.new_markdown_cell(piece.strip())
        if number % 2:
            asked = re.findall(r"^\*\*(\d+)\b", pieces[number - 1], re.MULTILINE)
            if not asked:
                raise DataError(f"{path}: a folded answer without a numbered question before it")
            name, points = f"exercise-{asked[-1]}", POINTS["essay"]
            one.source = (
                f"**Your answer ({name}, {points} points)**\n\n"
                f"### BEGIN SOLUTION\n{piece}\n### END SOLUTION"
            )
            marked(one, "essay", name, points)
        made.append(one)
    if len(made) == 1:
        made[0].metadata = cell.metadata
    return made
