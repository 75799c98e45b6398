"""Grading: plain values through the pipe, odd files and folders, a sandbox, results that stay."""

import csv
import json
import math
import socket
import struct
import sys
import time
from pathlib import Path

import course_check
import numpy as np
import pytest
import torch
from course_attacks import ALL, ATTACKS, NONE, SECRET, as_bytes, master

from bradcn_nb.__main__ import main
from bradcn_nb.course import grading, protection, report, tables, wire
from bradcn_nb.course.grade import grade, hidden_tests
from bradcn_nb.course.masters import read_master
from bradcn_nb.course.notes import beyond_the_master, from_package
from bradcn_nb.course.remote import _failure
from bradcn_nb.course.results import Answer, Grade
from bradcn_nb.course.sandbox import Limits, _scratch
from bradcn_nb.course.submissions import (
    FILES,
    beside,
    essays,
    find,
    read_assignments,
    read_cells,
    runnable,
    without_notebook,
)
from bradcn_nb.errors import DataError

LIMITS = Limits(cell=5, question=2, whole=60, memory=2 << 30)
SOON = 5.0


@pytest.fixture(scope="module")
def masters(tmp_path_factory) -> Path:
    return master(tmp_path_factory.mktemp("masters") / "toy")


@pytest.fixture(scope="module")
def safe() -> protection.Protection:
    try:
        return protection.choose("auto", LIMITS)
    except DataError as error:
        pytest.skip(f"no sandbox on this machine: {error}")


def through(value):
    """What comes out of the pipe for a value."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire.send(ours, value, time.monotonic() + SOON)
        return wire.receive(theirs, time.monotonic() + SOON)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -3,
        2**80,
        1.5,
        "ß",
        1 + 2j,
        [1, (2, "a"), {"k": [None], 3: 4.5}],
        np.arange(6.0).reshape(2, 3)[:, ::2],
        np.float32(2.5),
        np.array(7, np.int16),
        np.zeros((0, 3)),
        torch.arange(6).reshape(3, 2),
        torch.tensor(2.5, requires_grad=True),
        torch.ones(3, dtype=torch.bfloat16),
        torch.tensor([True, False]),
    ],
)
def test_a_plain_value_arrives_as_it_was(value):
    got = through(value)
    assert type(got) is type(value)
    if isinstance(value, np.ndarray):
        assert got.dtype == value.dtype
        np.testing.assert_array_equal(got, value)
        if got.size:
            got[...] = 0  # a check may write to what it was given
    elif isinstance(value, torch.Tensor):
        assert got.dtype == value.dtype and torch.equal(got, value.detach())
    else:
        assert got == value


def test_other_values_arrive_as_no_more_than_their_kind():
    assert through({1, 2}).name == "set"
    assert through(np.array([object()])).name == ""
    assert through([type("Secret12345", (), {})()])[0].name == ""
    assert math.isnan(through(float("nan")))


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"nonsense",
        b"\xff\xfe",
        b"[" * 50_000,
        b"[1]",
        b'[{"t": "array", "d": "d", "s": [9], "i": 0}, []]',
        b'[{"t": "array", "d": "O", "s": [0], "i": 0}, [0]]',
        b'[{"t": "array", "d": "d", "s": [-1, -1], "i": 0}, [0]]',
        b'[{"t": "tensor", "d": "Tensor", "s": [0], "i": 0}, [0]]',
        b'[{"t": "dict", "v": [[{"t": "list", "v": []}, 1]]}, []]',
        b'[{"t": "pickle", "v": "x"}, []]',
        b'[{"t": "int", "v": 5}, []]',
        b'[{"t": "dict", "v": [[{"t": "int", "v": "0x1fffffffffffffff"}, 1]]}, []]',
        b'[{"t": "dict", "v": [[{"t": "complex", "v": [1, 2]}, 1]]}, []]',
        b'[{"t": "array", "d": "d", "s": [0, 12345678901], "i": 0}, [0]]',
        b'[{"t": "tensor", "d": "float32", "s": [0, 9, 9, 9, 9, 9, 9, 9, 9], "i": 0}, [0]]',
        b'[{"t": "tensor", "d": "qint8", "s": [0], "i": 0}, [0]]',
        b"[1, [5]]",
        b"[" + b"9" * 5000 + b", []]",
    ],
)
def test_a_damaged_message_is_refused(header):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(struct.pack("<QQ", len(header), 0) + header)
        with pytest.raises(wire.WireError):
            wire.receive(theirs, time.monotonic() + SOON)


def test_a_message_too_large_is_not_read():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(struct.pack("<QQ", 10, 1 << 40))
        with pytest.raises(wire.WireError):
            wire.receive(theirs, time.monotonic() + SOON)
        with pytest.raises(TimeoutError):
            wire.receive(theirs, time.monotonic() + 0.05)
    with pytest.raises(wire.WireError):
        through(np.zeros(wire.LIMIT // 8 + 1))
    endless: list = []
    endless.append(endless)
    with pytest.raises(wire.WireError):
        through(endless)


def test_an_error_is_one_of_pythons_own():
    error = _failure({"error": "ValueError", "kinds": ["ValueError"], "text": "x" * 9999})
    assert type(error) is ValueError and len(str(error)) == 600
    made_up = _failure({"error": "Mine", "kinds": ["Mine", "KeyError", "Exception"]})
    assert type(made_up) is KeyError
    for odd in ({}, {"kinds": 3}, {"kinds": ["SystemExit"]}, {"kinds": ["UnicodeDecodeError"]}):
        assert isinstance(_failure(odd), (RuntimeError, ValueError))


def solved(masters: Path) -> dict:
    return json.loads(json.dumps(read_master(masters / "1_toy.py")))


def write(path: Path, notebook: dict | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(notebook if isinstance(notebook, bytes) else json.dumps(notebook).encode())
    return path


@pytest.mark.parametrize(
    "name",
    ["jo/1_toy/1_toy.ipynb", "jo_1_toy.ipynb", "jo/work.ipynb", "jo.ipynb"]
    + ["jo_1234_assignsubmission_file_/1_toy.ipynb", "jo_77_assignsubmission_file_1_toy.ipynb"]
    + ["jo_LATE_123_456_1_toy-2.ipynb", "1_toy/jo.ipynb"],
)
def test_student_and_assignment_are_found_in_folders_and_names(tmp_path, masters, name):
    write(tmp_path / name, solved(masters))
    (one,) = find(tmp_path, read_assignments(masters))
    assert (one.student, one.assignment, one.problem) == ("jo", "1_toy", "")


def test_of_two_notebooks_the_one_with_the_assignments_name_counts(tmp_path, masters):
    write(tmp_path / "jo/1_toy/1_toy.ipynb", solved(masters))
    write(tmp_path / "jo/1_toy/1_toy-Copy1.ipynb", solved(masters))
    write(tmp_path / "jo/1_toy/.ipynb_checkpoints/1_toy.ipynb", b"")
    write(tmp_path / "jo/1_toy/old.ipynb", solved(masters))
    (one,) = find(tmp_path, read_assignments(masters))
    assert one.path.name == "1_toy.ipynb" and one.notes == [
        "3 notebooks were handed in; not graded: 1_toy-Copy1.ipynb, old.ipynb"
    ]
    write(tmp_path / "ann/1_toy.zip", b"")
    assert without_notebook(tmp_path) == ["ann"]


def test_no_submissions_and_no_masters_are_errors(tmp_path, masters):
    for call in (
        lambda: find(tmp_path, read_assignments(masters)),
        lambda: find(tmp_path / "no", read_assignments(masters)),
        lambda: read_assignments(tmp_path),
    ):
        with pytest.raises(DataError):
            call()


@pytest.mark.parametrize("attack", [a for a in ATTACKS if a.points == NONE], ids=lambda a: a.name)
def test_what_cannot_be_read_has_a_problem(tmp_path, masters, attack):
    made = attack.make(solved(masters))
    path = tmp_path / "x.ipynb"
    if made == "link":
        path.symlink_to(masters / "1_toy.py")
    elif made != "fifo":
        path.write_bytes(made)
    with pytest.raises(DataError):
        read_cells(path)


def test_only_cells_that_answers_may_need_are_run(masters, tmp_path):
    by_name = {attack.name: attack for attack in ATTACKS}
    toy = read_assignments(masters)["1_toy"]
    for name in ("nothing: an honest notebook", "metadata lost, as Colab loses it"):
        made = by_name[name].make(solved(masters))
        cells = read_cells(write(tmp_path / "x.ipynb", made))
        run = [cells[n].source for n in runnable(cells, toy)]
        assert len(run) == 4 and "import numpy as np" in run[0]
        assert not any("Test of" in source for source in run)
        assert essays(cells, {"why": 2}) == {"why": "Because."}
    made = by_name["copied cells, an untouched copy last"].make(solved(masters))
    cells = read_cells(write(tmp_path / "x.ipynb", made))
    assert not any("NotImplementedError" in cells[n].source for n in runnable(cells, toy))


def graded(name: str, masters: Path, safe, root: Path) -> Grade:
    (attack,) = [attack for attack in ATTACKS if attack.name == name]
    made = as_bytes(attack.make(solved(masters)), [str(masters), str(root)])
    write(root / "jo/1_toy/1_toy.ipynb", made)
    known = read_assignments(masters)
    (one,) = find(root, known)
    tests = hidden_tests(masters, "1_toy")
    result = grade(one, known["1_toy"], tests, safe, LIMITS, root, (root, masters))
    assert tuple(a.points for a in result.answers.values()) == attack.points
    return result


@pytest.fixture
def own_hidden_tests(monkeypatch):
    """Other tests of this run have hidden tests of their own under the same name."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    others = {n: m for n, m in sys.modules.items() if n.partition(".")[0] == "hidden_tests"}
    for name in others:
        del sys.modules[name]
    yield
    for name in [n for n in sys.modules if n.partition(".")[0] == "hidden_tests"]:
        del sys.modules[name]
    sys.modules.update(others)


@pytest.mark.parametrize(
    "name",
    [
        "nothing: an honest notebook",
        "infinite loop in a function",
        "os._exit",
        "segfault in a function",
        "reordered cells",
        "monkey-patches numpy",
        "reads hidden tests and solutions",
        "tells the hidden inputs by an error",
    ],
)
def test_an_attack_costs_its_own_points(name, masters, safe, tmp_path, own_hidden_tests):
    result = graded(name, masters, safe, tmp_path)
    text = report.as_text(result) + report.as_html(result)
    assert str(SECRET)[:5] not in text
    if result.points < sum(ALL):
        assert report.what(result.answers["double"]) in text


def test_the_same_command_goes_on_and_marks_stay(masters, safe, tmp_path, capsys):
    root, out = tmp_path / "submitted", tmp_path / "grades.csv"
    write(root / "jo_1_toy.ipynb", solved(masters))
    write(root / "=ann_1_toy.ipynb", b"cut off")
    words = ["course", "grade", str(root), "--out", str(out), "--masters", str(masters), "--quiet"]
    assert main([*words, "--jobs", "2"]) == 0
    assert "protection:" in capsys.readouterr().out
    ann, jo = csv.DictReader(out.open())
    assert (jo["student"], jo["points"], jo["of"], jo["total"]) == ("jo", "9", "9", "3")
    assert (ann["student"], ann["points"]) == ("'=ann", "0") and "cut off" in ann["notes"]
    assert (
        "download it as .ipynb"
        in next((tmp_path / "grades.reports").glob("*ann*/*.txt")).read_text()
    )

    marks = tmp_path / "grades.essays.csv"
    marks.write_text(marks.read_text().replace("Because.,2,,", "Because.,2,1.5,good"))
    states = {path: path.stat().st_mtime_ns for path in tmp_path.glob("grades.state/*")}
    write(root / "=ann_1_toy.ipynb", b"cut off again")
    began = time.monotonic()
    assert main(words) == 0
    assert time.monotonic() - began < 30
    assert "1.5,good" in marks.read_text()
    kept = [path.name for path, at in states.items() if path.stat().st_mtime_ns == at]
    assert len(states) == 2 and kept == ["jo 1_toy.json"]


def test_another_style_than_the_masters_has_its_points(masters, safe, tmp_path, own_hidden_tests):
    folder = tmp_path / "jo/1_toy"
    sources = [
        "%matplotlib inline\n!pip install nothing\nfrom tools import total\nimport numpy as np",
        "%%time\nclass Twice:\n    def __call__(self, x):\n        return 2 * x\ndouble = Twice()",
        # two cells merged: the test's line does not hide the answer
        "%matplotlib inline\ndef scale(values):\n    helper(values)\n\n# Test of scale: 4 points\n",
        "def scale(values):\n    raise NotImplementedError",
        "%%writefile later.py\ndef helper(values):\n    values *= 3",
        "import asyncio\nfrom later import helper\nawait asyncio.sleep(0)",
    ]
    cells = [{"cell_type": "code", "source": source, "metadata": {}} for source in sources]
    write(folder / "1_toy.ipynb", {"nbformat": 4, "cells": cells})
    write(folder / "tools.py", b"def total(values):\n    return float(sum(values))\n")
    known = read_assignments(masters)
    (one,) = find(tmp_path, known)
    tests = hidden_tests(masters, "1_toy")
    result = grade(one, known["1_toy"], tests, safe, LIMITS, tmp_path, (tmp_path, masters))
    assert tuple(answer.points for answer in result.answers.values()) == ALL, result


def test_marks_are_never_lost(tmp_path, masters):
    known, path = read_assignments(masters), tmp_path / "grades.essays.csv"

    def hand_in(text: str) -> list:
        made = solved(masters)
        made["cells"][-1]["source"] = f"**Your answer (why, 2 points)**\n\n{text}"
        write(tmp_path / "submitted/jo_1_toy.ipynb", made)
        return find(tmp_path / "submitted", known)

    assert not tables.write_essays(path, hand_in("So;\nit is."), known)
    (row,) = csv.DictReader(path.open(newline=""))
    row |= {"points": "1.5", "comment": "good", "text": "So;\r\nit is. "}
    with path.open("w", encoding="utf-8-sig", newline="") as file:  # as a spreadsheet saves it
        writer = csv.DictWriter(file, row, delimiter=";")
        writer.writeheader()
        writer.writerow(row)
    marked = path.read_bytes()
    assert not tables.write_essays(path, hand_in("So;\nit is."), known)
    (kept,) = csv.DictReader(path.open(newline=""))
    assert (kept["points"], kept["comment"], kept["text"]) == ("1.5", "good", "So;\nit is.")
    path.write_bytes(marked)
    said = tables.write_essays(path, hand_in("x" * 200_000), known)
    assert "1 marks" in said and path.with_name("grades.essays.old1.csv").read_bytes() == marked
    (new,) = csv.DictReader(path.open(newline=""))
    assert new["points"] == "" and len(new["text"]) < 32_768
    for spoiled in (b"", b"student;points\njo;1\n", marked.decode("utf-8-sig").encode("utf-16")):
        path.write_bytes(spoiled)
        with pytest.raises(DataError, match="lost"):
            tables.write_essays(path, hand_in("So."), known)
        assert path.read_bytes() == spoiled


def test_odd_names_have_files_of_their_own(tmp_path, masters):
    names = [
        "漢" * 85,
        "漢" * 84 + "x",
        "x" * 90 + "1",
        "x" * 90 + "2",
        "a/b",
        " ",
        "a\nb",
        "\udcff",
    ]
    files = [grading._name(Grade(name, "1_toy", "")) for name in names]
    assert len(set(files)) == len(names)
    assert all(len(file.encode()) < 160 and "/" not in file and "\n" not in file for file in files)
    assert tables.safe("\udcff") == "?" and tables.safe("＝1").startswith("'")  # noqa: RUF001
    assert tables.printable("a\x1b]0;b\nc\udcff") == "a?]0;b?c?"


def test_plain_files_beside_a_notebook_come_along_up_to_a_number(tmp_path):
    for number in range(FILES):
        write(tmp_path / f"jo/{number}.txt", b"x")
    write(tmp_path / "jo/.ipynb_checkpoints/x", b"x")
    write(tmp_path / "jo/0/x", b"x")  # a folder, as there is one beside nearly every notebook
    (tmp_path / "jo/1").symlink_to(tmp_path / "jo/9.txt")
    found = beside(tmp_path / "jo/1_toy.ipynb", tmp_path)
    assert len(found) == FILES and "9.txt" in found and not {"0", "1"} & set(found)


def test_without_protection_it_refuses(monkeypatch, tmp_path, masters, capsys):
    monkeypatch.setattr(protection, "_probe", lambda *_: (["files", "writing", "processes"], ""))
    with pytest.raises(DataError, match="--unprotected"):
        protection.choose("auto", LIMITS)
    found = protection.choose("auto", LIMITS, unprotected=True)
    assert found.level == "limits" and "CAN READ" in found.lines[0]
    words = ["course", "grade", str(tmp_path), "--out", str(tmp_path / "g.csv")]
    assert main([*words, "--masters", str(masters)]) == 2
    assert "--unprotected" in capsys.readouterr().err


def test_the_book_lists_the_attacks_of_today():
    page = course_check.PAGE.read_text("utf-8")
    assert course_check.with_table(page) == page, "python tests/course_check.py --page"
    assert len(ATTACKS) > 40 and len({attack.name for attack in ATTACKS}) == len(ATTACKS)


def test_a_report_escapes_and_says_what_to_think_about():
    answers = {
        "f": Answer(0, 2, "wrong", "your function returned nothing: is there a `return`?"),
        "g": Answer(0, 2, "error", "ValueError, in the line `<b>`"),
        "h": Answer(1, 1, "right"),
    }
    held = Grade("<i>", "1_toy", "x", answers, {"why": ""}, {"why": 2.0}, ["cell 1 <script>"])
    page, text = report.as_html(held), report.as_text(held)
    assert "<script>" not in page and "<b>" not in page and "<i>" not in page
    assert "1 of 5" in text and report.ADVICE["nothing"] in text and "Unanswered" in text
    assert Grade.from_json(json.loads(json.dumps(held.as_json()))) == held
    assert set(report.ADVICE) >= {a.status for a in answers.values()}
    assert tables.safe("=1+1") == "'=1+1"


def test_what_is_taken_from_the_package_beyond_the_master_is_noted():
    given = from_package(["from bradcn_nb.files import data_root\n", "import bradcn_nb.lens"])
    assert not beyond_the_master(["from bradcn_nb.files import data_root", "x = ("], given)
    for source, said in (
        ("from bradcn_nb.lens.thin_lens import coc_diameter as mine", "coc_diameter"),
        ("import bradcn_nb.training.losses", "bradcn_nb.training.losses"),
        ("def f():\n    return __import__('bradcn_nb.models')", "bradcn_nb.models"),
    ):
        assert said in beyond_the_master([source], given)


def test_a_python_below_tmp_is_not_covered():
    assert _scratch(["/usr", "/tmp/course/.venv/lib"]) == ["/dev/shm"]
    assert _scratch(["/usr", "/tmpfiles"]) == ["/dev/shm", "/tmp"]
