"""Copies with other names are found, given code is not; gradebooks and reports are filled."""

import json

import pytest

from bradcn_nb.course.copies import joined, likenesses
from bradcn_nb.course.gradebook import fill, read_table, with_essays, write_table
from bradcn_nb.course.report import ADVICE, as_html, as_text, with_marks
from bradcn_nb.course.results import Answer, Grade
from bradcn_nb.errors import DataError

GIVEN = """
def read_pictures(folder):
    pictures = sorted(folder.glob("*.png"))
    return [np.asarray(Image.open(path).convert("RGB")) / 255 for path in pictures]
"""
ANNA = """
def blur_layer(layer, radius_px):
    reach = int(np.ceil(radius_px + 0.5))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius_px + 0.5 - np.hypot(y, x), 0, 1)
    return np.stack([convolve(c, disc / disc.sum()) for c in layer.transpose(2, 0, 1)], -1)
"""
BERT = """
# my own idea
def blur_layer(plane, r):
    '''Blur.'''
    n = int(np.ceil(r + 0.5))
    rows, columns = np.mgrid[-n : n + 1, -n : n + 1]
    kernel = np.clip(r + 0.5 - np.hypot(rows, columns), 0, 1)
    return np.stack([convolve(p, kernel / kernel.sum()) for p in plane.transpose(2, 0, 1)], -1)
"""
CLEO = """
def blur_layer(layer, radius_px):
    total, weight = 0 * layer, 0
    for dy in range(-9, 10):
        for dx in range(-9, 10):
            w = max(0, min(1, radius_px + 0.5 - (dy * dy + dx * dx) ** 0.5))
            total, weight = total + w * shift(layer, dy, dx), weight + w
    return total / weight
"""


def test_a_copy_with_other_names_is_found_and_given_code_is_not():
    code = {"anna": GIVEN + ANNA, "bert": BERT + GIVEN, "cleo": GIVEN + CLEO}
    (found,) = likenesses(code, known=GIVEN)
    assert (found.first, found.second) == ("anna", "bert")
    assert found.share > 0.7
    assert "np.mgrid" in found.excerpt


def test_what_the_master_has_does_not_count():
    assert not likenesses({"anna": ANNA, "bert": BERT}, known=ANNA)
    assert not likenesses({"anna": "", "bert": "x ="}, known="")


MOODLE = [
    {"First name": "Anna", "ID number": "a1", "Email address": "Anna@uni.edu", "1_lens": ""},
    {"First name": "Bert", "ID number": "b2", "Email address": "bert@uni.edu", "1_lens": "7"},
]
GRADES = [
    {"student": "anna@uni.edu", "assignment": "1_lens", "points": "21.5"},
    {"student": "b2", "assignment": "2_attention", "points": "30"},
    {"student": "zoe", "assignment": "1_lens", "points": "3"},
]


def test_points_go_to_their_student_and_column():
    filled, strangers = fill(MOODLE, GRADES)
    assert [row["1_lens"] for row in filled] == ["21.5", "7"]
    assert [row["2_attention"] for row in filled] == ["", "30"]
    assert strangers == ["zoe"]
    assert "2_attention" not in MOODLE[0], "the table that was read stays"


def test_canvas_names_its_columns_with_a_number():
    canvas = [{"Student": "Anna", "ID": "", "SIS Login ID": "anna", "1_lens (4711)": ""}]
    filled, _ = fill(canvas, [{"student": "anna", "assignment": "1_lens", "points": "9"}], None)
    assert filled == [{**canvas[0], "1_lens (4711)": "9"}]


def test_two_who_fit_are_refused_until_a_column_is_named():
    twins = [{"name": "anna", "id": "1"}, {"name": "1", "id": "2"}]
    grade = [{"student": "1", "assignment": "1_lens", "points": "9"}]
    with pytest.raises(DataError, match="2 rows"):
        fill(twins, grade)
    filled, _ = fill(twins, grade, key="id")
    assert [row["1_lens"] for row in filled] == ["9", ""]
    with pytest.raises(DataError, match="no column 'mail'"):
        fill(twins, grade, key="mail")


def test_tables_are_read_as_spreadsheets_write_them(tmp_path):
    path = tmp_path / "book.csv"
    write_table(path, MOODLE)
    assert read_table(path) == MOODLE
    text = path.read_text().replace(",", ";")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_table(path) == MOODLE
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not a table"):
        read_table(path)
    path.write_text("student,points\n")
    with pytest.raises(DataError, match="no rows"):
        read_table(path)
    with pytest.raises(DataError, match="no such file"):
        read_table(tmp_path / "none.csv")


ESSAY = {"student": "zoe", "assignment": "1_lens", "question": "why", "of": "2", "text": "so"}


def test_points_of_essays_are_added_once_somebody_has_marked_them():
    essays = [ESSAY | {"points": "1,5"}, ESSAY | {"points": "2"}, ESSAY | {"points": " "}]
    summed, unmarked = with_essays(GRADES, essays)
    assert [row["points"] for row in summed] == ["21.5", "30", "6.5"]
    assert unmarked == 1
    for points in ("3", "-1", "good", "nan"):
        with pytest.raises(DataError, match="zoe, 1_lens, why"):
            with_essays(GRADES, [ESSAY | {"points": points}])


def test_a_text_with_quotes_and_commas_comes_back_whole(tmp_path):
    path = tmp_path / "essays.csv"
    rows = [ESSAY | {"points": "2", "text": 'It "works", he\nsaid; "so", too'}, ESSAY]
    write_table(path, [row | {"points": row.get("points", "")} for row in rows])
    assert read_table(path)[0] == rows[0]
    path.write_text("a,b\n1\n1,2,3\n")
    with pytest.raises(DataError, match="longer"):
        read_table(path)
    path.write_text("a,b\n1\n")
    assert read_table(path) == [{"a": "1", "b": ""}]


def test_names_are_known_as_moodle_and_canvas_write_them_into_files():
    moodle = [
        {"First name": "Maria", "Last name": "Meier", "Assignment: 1_lens (Real)": "-"},
        {"First name": "Karl", "Last name": "Meier", "Assignment: 1_lens (Real)": "-"},
    ]
    points = {"assignment": "1_lens", "points": "9"}
    filled, strangers = fill(moodle, [{"student": "Maria Meier", **points}])
    assert not strangers and [row["Assignment: 1_lens (Real)"] for row in filled] == ["9", "-"]
    canvas = [{"Student": "Schmidt, Karl", "ID": "40123", "1_lens (4711)": ""}]
    filled, strangers = fill(canvas, [{"student": "schmidtkarl", **points}])
    assert not strangers and filled == [{**canvas[0], "1_lens (4711)": "9"}]
    assert fill(canvas, [{"student": "Karl Schmidt", **points}])[0] == filled
    assert fill(canvas, [{"student": "schmidtkarl", **points}], key="ID")[1] == ["schmidtkarl"]


def test_given_code_does_not_count_between_whatever_cells_it_stands():
    given = [
        "SEED = 0",
        GIVEN,
        CLEO.replace("blur_layer", "given"),
        "figure, axis = plt.subplots()",
    ]
    code = {
        "anna": joined([given[0], given[2], ANNA, given[1], given[3]]),
        "bert": joined(["SEED = 2027", given[1], given[3], given[2], "x = 3", given[2]]),
        "cleo": joined([*given, given[1]]),
    }
    assert not likenesses(code, known=joined(given), at_least=0.1)
    code["cleo"] += joined([BERT])
    (found,) = likenesses(code, known=joined(given))
    assert (found.first, found.second) == ("anna", "cleo")
    assert found.excerpt in ANNA, "whole lines of the first one's own code"


def test_marks_and_comments_come_into_the_report(tmp_path):
    held = Grade("=zoe", "1_lens", "x", {"f": Answer(2, 2, "right")}, {"why": "so"}, {"why": 2.0})
    state, reports = tmp_path / "grades.state", tmp_path / "grades.reports"
    page = reports / "_zoe_1" / "1_lens.html"
    for path in (state, page.parent):
        path.mkdir(parents=True)
    (state / "_zoe_1 1_lens.json").write_text(json.dumps({"grade": held.as_json()}))
    page.write_text(as_html(held))
    assert "not marked yet" in page.read_text()
    row = ESSAY | {"student": "'=zoe", "points": "1,5", "comment": "Which <b>?"}
    assert with_marks(state, reports, [row]) == 1
    assert "why: 1.5 of 2" in page.read_text() and "Which &lt;b&gt;?" in page.read_text()
    text = page.with_suffix(".txt").read_text()
    assert "2 of 2 points by tests" in text and "3.5 of 4 points in all" in text
    assert with_marks(state, reports, [row | {"points": " "}]) == 0


def test_an_advice_fits_the_error_and_is_given_once():
    answers = {name: Answer(0, 1, "error", "NameError, in the line `x`") for name in "fg"}
    text = as_text(
        Grade("zoe", "1_lens", "x", answers | {"h": Answer(0, 1, "error", "MemoryError")})
    )
    assert text.count(ADVICE["name"]) == 1 and ADVICE["memory"] in text
    assert ADVICE["error"] not in text
    assert "in the line <code>x</code>." in as_html(Grade("zoe", "1_lens", "x", answers))
