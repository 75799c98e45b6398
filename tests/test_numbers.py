"""The texts quote data/results as it is, and `make check-numbers` finds every way not to."""

import json
import re
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
sys.path.insert(0, str(BOOK))

import check_numbers  # noqa: E402

RESULTS = {
    "psnr": 28.501,
    "share": 0.1389,
    "pictures": 3030833,
    "layers": [0.5, 0.4],
    "title": "BRADCN",
    "differences": {"full - shuffled": {"mean": -0.0249, "low": -0.001}},
}


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty book whose data/results/mini.json is RESULTS."""
    (tmp_path / "data" / "results").mkdir(parents=True)
    (tmp_path / "data" / "results" / "mini.json").write_text(json.dumps(RESULTS))
    (tmp_path / "book").mkdir()
    (tmp_path / "README.md").write_text("# Nothing quoted\n")
    monkeypatch.setenv("BRADCN_DATA", str(tmp_path / "data"))
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        "28.50<!-- =mini.psnr --> dB",
        "**28.5 <!-- =mini.psnr --> dB**, **28.5<!--=mini.psnr-->** dB",
        "| a | +29<!-- =mini.psnr --> |",
        "14<!-- =mini.share * 100 --> %",
        "3,030,833<!-- =mini.pictures -->, 3030833<!-- =mini.pictures -->",
        "3.0<!-- =mini.pictures / 1e6 --> million",
        "0.80<!-- =mini.layers.1 / mini.layers.0 -->, 80<!-- =mini.layers.1 / mini.layers.0 * "
        "100 -->",
        "−0.02<!-- =mini.differences.full - shuffled.mean --> dB",
        "-0.025<!-- =mini.differences.full - shuffled.mean\n--> dB",
        "0.00<!-- =mini.differences.full - shuffled.low --> dB",
    ],
)
def test_a_right_number_passes(book: Path, text: str) -> None:
    (book / "README.md").write_text(text, encoding="utf-8")
    assert check_numbers.check(book) == ([], {"README.md": text.count("<!--")})


def test_marks_without_a_file_and_other_comments_pass(book: Path) -> None:
    text = "24.83<!-- paper --> dB, 48<!-- bench --> dB, 1<!-- example --> dB. <!-- A remark. -->"
    (book / "README.md").write_text(text + "\nA tenth of a dB. 12 pictures.\n")
    assert check_numbers.check(book) == ([], {})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("28.51<!-- =mini.psnr --> dB", "says 28.51, data/results/mini.json mini.psnr is 28.50"),
        ("28.502<!-- =mini.psnr -->", "says 28.502, data/results/mini.json mini.psnr is 28.501"),
        ("−28.50<!-- =mini.psnr -->", "says −28.50, data/results/mini.json mini.psnr is 28.50"),
        ("+0.02<!-- =mini.differences.full - shuffled.mean -->", "shuffled.mean is -0.02"),
        ("3,030,832<!-- =mini.pictures -->", "mini.pictures is 3,030,833"),
        ("30,30,833<!-- =mini.pictures -->", "mini.pictures is 3,030,833"),
        ("13<!-- =mini.share * 100 --> %", "mini.json mini.share * 100 is 14"),
        ("1.25<!-- =mini.layers.1 / mini.layers.0 -->", "mini.layers.1 / mini.layers.0 is 0.80"),
        ("28.50<!-- =mini.pnsr --> dB", "mini.json: holds no 'pnsr'"),
        ("28.50<!-- =mini.layers.2 -->", "mini.json: holds no 'layers.2'"),
        ("28.50<!-- =maxi.psnr --> dB", "maxi.json: no such results"),
        ("28.50<!-- =mini.title --> dB", "mini.title is no number"),
        ("28.50<!-- =28.50 --> dB", "no such results"),
        ("28.50<!-- mini.psnr --> dB", "behind 28.50 stands the unknown mark <!-- mini.psnr -->"),
        ("the 28.50 of<!-- =mini.psnr -->", "no number right before <!-- =mini.psnr -->"),
        ("good<!-- =mini.psnr -->", "no number right before <!-- =mini.psnr -->"),
        ("v28.50<!-- paper -->", "no number right before <!-- paper -->"),
        ("gains 28.50 dB", "28.50 dB has no mark"),
        ("gains 28.50 dB<!-- a remark -->", "28.50 dB has no mark"),
        ("gains **28.50** dB", "28.50 dB has no mark"),
        ("3<!-- paper --> and 28.50\ndB", "28.50 dB has no mark"),
        ("27.1-28.50dB", "28.50 dB has no mark"),
    ],
)
def test_each_fault_is_found_with_file_and_line(book: Path, text: str, fault: str) -> None:
    (book / "README.md").write_text(f"# Title\n\n1<!-- example --> dB\nis {text}.\n", "utf-8")
    (found,), agreed = check_numbers.check(book)
    assert found.startswith("README.md:4: ") and fault in found
    assert not agreed


def test_chapters_are_read_in_their_markdown_cells_with_the_lines_of_the_file(book: Path) -> None:
    (book / "book" / "01_x.py").write_text(
        "# ---\n# 1 dB\n# ---\n\n# %% [markdown]\n# # Title\n#\n# 3 dB\n\n"
        '# %%\nprint("2 dB")  # 2 dB\n\n# %% [markdown]\n# 28.49<!-- =mini.psnr --> or 28.50\n# dB\n'  # noqa: E501
    )
    (book / "book" / "page.md").write_text("7 dB\n")
    (book / "book" / "helper.py").write_text("# %% [markdown]\n# 2 dB\n")
    where = [fault.split(": ")[0] for fault in check_numbers.check(book)[0]]
    assert where == ["book/page.md:1", "book/01_x.py:8", "book/01_x.py:14", "book/01_x.py:14"]


def test_the_command_prints_faults_and_fails(
    book: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(check_numbers, "ROOT", book)
    (book / "README.md").write_text("28.50<!-- =mini.psnr --> dB\n")
    assert check_numbers.main() == 0
    assert capsys.readouterr().out == "1 numbers in 1 files agree with data/results\n"
    (book / "README.md").write_text("28.51<!-- =mini.psnr --> dB\n3 dB\n")
    assert check_numbers.main() == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first == "README.md:1: says 28.51, data/results/mini.json mini.psnr is 28.50"
    assert second.startswith("README.md:2: 3 dB has no mark")


@pytest.mark.parametrize("path", sorted(BOOK.glob("[0-9]*.ipynb")), ids=lambda path: path.stem)
def test_no_markdown_cell_is_missed(path: Path) -> None:
    cells = [c.source for c in nbformat.read(path, 4).cells if c.cell_type == "markdown"]
    read = check_numbers.markdown(path.with_suffix(".py"))
    assert read.split() == "\n".join(cells).split()


def test_the_repository_agrees_with_its_results() -> None:
    wrong, agreed = check_numbers.check(ROOT)
    assert not wrong, "\n".join(wrong)
    assert agreed["README.md"] > 20 and "book/12_metrics_and_protocol.py" in agreed


def test_in_the_readme_no_measured_decimal_lacks_a_mark() -> None:
    section = (ROOT / "README.md").read_text("utf-8").split("## What is measured\n")[1]
    unmarked = check_numbers.COMMENT.sub("", section.split("\n## ")[0])
    assert not re.findall(r"\d\.\d+", unmarked)
