"""The book's sources hang together: contents, pairs, badges, metadata, alt text. Builds nothing."""

import ast
import base64
import importlib
import inspect
import re
import shutil
import sys
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path

import cv2
import jupytext
import nbformat
import numpy as np
import pytest
import yaml

import bradcn_nb

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
sys.path.insert(0, str(BOOK))

import refresh  # noqa: E402

NOTEBOOKS = sorted(BOOK.glob("[0-9]*.ipynb"))
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def contents() -> list[str]:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    chapters = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    return [toc["root"], *chapters]


@pytest.mark.parametrize("entry", contents())
def test_the_contents_name_pages_that_exist(entry: str) -> None:
    # One source a page: a same-stem .md beside an .ipynb would leave Sphinx to guess.
    found = [end for end in (".md", ".ipynb") if (ROOT / entry).with_suffix(end).exists()]
    assert len(found) == 1, f"{entry}: found {found}"


def test_every_chapter_is_in_the_contents_and_has_both_files() -> None:
    scripts = {path.stem for path in BOOK.glob("[0-9]*.py")}
    assert scripts, "no chapters"
    assert scripts == {path.stem for path in NOTEBOOKS}
    assert scripts <= {entry.removeprefix("book/") for entry in contents()}


@every_notebook
def test_the_notebook_has_the_cells_of_its_script(path: Path) -> None:
    assert refresh.is_current(path.with_suffix(".py")), f"make refresh NB={path.stem}"


def test_text_is_brought_over_without_running_anything(tmp_path: Path, monkeypatch) -> None:
    for end in (".py", ".ipynb"):
        shutil.copy(BOOK / f"01_bokeh_and_the_thin_lens{end}", tmp_path)
    script = tmp_path / "01_bokeh_and_the_thin_lens.py"
    notebook = script.with_suffix(".ipynb")
    monkeypatch.setattr(refresh, "NotebookClient", None)
    text, before = script.read_text("utf-8"), nbformat.read(notebook, 4)
    for cell, sourced in zip(before.cells, jupytext.read(script).cells, strict=True):
        cell.source = sourced.source  # whether the pair in the book is up to date is another test
    nbformat.write(before, notebook)
    script.write_text(text + "\n# %% [markdown]\n# One more sentence.\n", "utf-8")
    assert refresh.update_prose(script)
    after = nbformat.read(notebook, 4)
    assert after.cells[-1].source == "One more sentence."
    assert after.cells[:-1] == before.cells and refresh.is_current(script)
    script.write_text(text + "\n# %%\nprint(1)\n", "utf-8")
    kept = notebook.read_bytes()
    assert not refresh.update_prose(script) and notebook.read_bytes() == kept


def test_photographs_are_kept_as_jpeg_and_curves_to_the_pixel() -> None:
    rng = np.random.default_rng(0)
    soft = cv2.GaussianBlur(rng.random((200, 300, 3)), (0, 0), 3)
    pictures = {"photograph": soft / soft.max(), "curve": np.ones((200, 300, 3))}
    pictures["curve"][50:52] = 0
    kept = {}
    for name, picture in pictures.items():
        png = cv2.imencode(".png", (255 * picture).astype(np.uint8))[1].tobytes()
        data = {"image/png": base64.b64encode(png).decode()}
        output = nbformat.v4.new_output("display_data", data)
        refresh.smaller(output)
        ((kind, coded),) = output.data.items()
        assert len(coded) < len(data["image/png"])
        pixels = cv2.imdecode(np.frombuffer(base64.b64decode(coded), np.uint8), cv2.IMREAD_COLOR)
        kept[name] = kind, np.abs(pixels / 255 - picture).max()
    assert kept["photograph"][0] == "image/jpeg" and kept["photograph"][1] < 0.06
    assert kept["curve"] == ("image/png", 0)


@every_notebook
def test_the_notebook_was_run_from_top_to_bottom(path: Path) -> None:
    code = [c for c in nbformat.read(path, 4).cells if c.cell_type == "code" and c.source.strip()]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    for cell in code:
        # Only a cell that announces an exception may show one.
        if "raises-exception" not in cell.metadata.get("tags", []):
            assert all(output.output_type != "error" for output in cell.outputs), cell.source


@every_notebook
def test_the_first_cell_is_badge_and_title(path: Path) -> None:
    first = nbformat.read(path, 4).cells[0]
    assert first.cell_type == "markdown"
    lines = first.source.splitlines()
    assert lines[0] == refresh.repository.badge(path.stem)
    assert next(line for line in lines[1:] if line.strip()).startswith("# ")


@every_notebook
def test_no_widget_state_and_nothing_of_one_machine(path: Path) -> None:
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    assert dict(notebook.metadata) == refresh.NOTEBOOK_METADATA
    text = path.read_text("utf-8")
    assert not re.search(r"/(home|root|work|tmp|Users)/", text), "a path of the machine that ran it"
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert "application/vnd.jupyter.widget-view+json" not in output.get("data", {})
            assert output.get("name") != "stderr"


@every_notebook
def test_every_picture_has_alt_text(path: Path) -> None:
    for number, cell in enumerate(nbformat.read(path, 4).cells):
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if any(kind.startswith("image/") for kind in data):
                alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
                assert len(alt) >= 15, f"cell {number} needs mystnb.image.alt: {cell.source[:80]}"
            for tag in re.findall(r"<(?:img|canvas)\b[^>]*>", data.get("text/html", "")):
                assert re.search(r"(alt|aria-label)\s*=\s*[\"'][^\"']{3,}", tag), tag[:200]
        if cell.cell_type == "markdown":
            for alt in re.findall(r"!\[([^\]]*)\]\(", cell.source):
                assert alt.strip(), f"cell {number}: a picture without alt text"


@every_notebook
def test_markdown_is_what_jupyter_colab_and_the_book_all_render(path: Path) -> None:
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "markdown":
            odd = re.search(r"^(```|:::)+\{|\{[a-z:-]+\}`", cell.source, re.MULTILINE)
            assert not odd, f"MyST role or directive: {odd[0]!r}"


def shown(script: Path) -> Iterator[tuple[str, object]]:
    """Every object whose source the chapter prints, as it names it."""
    tree = ast.parse(script.read_text("utf-8"))
    homes = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "show":
            first, _, rest = (name := ast.unparse(node.args[0])).partition(".")
            module, own = homes[first]
            path = f"{own}.{rest}" if rest else own
            yield name, attrgetter(path)(importlib.import_module(module))


@pytest.mark.parametrize("script", sorted(BOOK.glob("[0-9]*.py")), ids=lambda path: path.stem)
def test_the_source_that_a_chapter_shows_fits_the_page(script: Path) -> None:
    for name, obj in shown(script):
        lines = inspect.getsource(inspect.unwrap(obj)).splitlines()
        assert max(map(len, lines)) <= 79, name
        if name in ("BRADCN", "ADCN", "HybridEncoder"):  # what a student reads as a whole
            assert 25 <= len(lines) <= 40, f"{name}: {len(lines)} lines"


def test_the_map_in_the_package_leads_to_files_a_line_each() -> None:
    rows = dict(re.findall(r"^(\S.*?) {2,}(\S.*)$", bradcn_nb.__doc__, re.MULTILINE))
    assert {"Eq. 1, Eq. 3", "Eq. 2", "the lens", "the schedule", "the protocol"} <= set(rows)
    for what, where in rows.items():
        files = re.findall(r"[\w/]+\.py", where)
        assert files and all((ROOT / "bradcn_nb" / file).is_file() for file in files), what


@every_notebook
def test_code_cells_fit_on_a_screen(path: Path) -> None:
    for cell in jupytext.read(path.with_suffix(".py")).cells:
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= 40, cell.source[:80]


def test_the_pages_of_text_cite_entries_that_exist() -> None:
    bib = (BOOK / "references.bib").read_text("utf-8")
    keys = re.findall(r"^@\w+\{([^,]+),", bib, re.MULTILINE)
    assert len(keys) == len(set(keys))
    for page in BOOK.glob("*.md"):
        for cited in re.findall(r"\{cite:\w+\}`([^`]+)`", page.read_text("utf-8")):
            assert set(map(str.strip, cited.split(","))) <= set(keys), f"{page.name}: {cited}"


@every_notebook
def test_a_title_begins_with_the_number_that_the_text_calls_it_by(path: Path) -> None:
    """Text says "chapter 7": the page and the list beside it must have a 7."""
    title = re.search(r"^# (.+)$", nbformat.read(path, 4).cells[0].source, re.MULTILINE)[1]
    assert title.startswith(f"{int(path.name[:2])}. ")


@every_notebook
def test_an_exercise_that_is_not_written_says_so(path: Path) -> None:
    """The stub raises, and its check knows that from a wrong answer: nothing passes unwritten."""
    cells = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    tagged = {
        tag: [cell.source for cell in cells if tag in cell.metadata.get("tags", ())]
        for tag in ("exercise", "graded")
    }
    assert tagged["exercise"] and tagged["graded"]
    assert all("raise NotImplementedError" in source for source in tagged["exercise"])
    assert any("except NotImplementedError" in source for source in tagged["graded"])
