"""The doctor: the solutions take their places in the package, and wrong ones are told why not."""

import pytest
from test_course import WRITTEN, names

from bradcn_nb.course.doctor import Finding, examine, functions_in, net_on
from bradcn_nb.course.masters import masters_folder, read_master
from bradcn_nb.course.plug import PARTS
from bradcn_nb.errors import DataError


@pytest.fixture(scope="module")
def mine() -> dict:
    """The twelve, as the assignments' solutions have them."""
    found: dict = {}
    for assignment in WRITTEN:
        found |= names(assignment)
    return {name: found[name] for name in PARTS}


def test_all_twelve_solutions_are_accepted_and_the_net_draws_as_before(mine):
    found = examine(mine)
    assert [name for name, one in found.items() if not one.accepted] == []
    psnr, difference = net_on(mine, pictures=3, progress=False)
    assert 20 < psnr < 40
    assert abs(difference.mean) < 0.01


def test_a_net_on_a_wrong_function_draws_otherwise(mine):
    def diminished(x, *weights):
        return 0.5 * mine["attention"](x, *weights)

    _, difference = net_on(mine | {"attention": diminished}, pictures=2, progress=False)
    assert difference.mean != 0


def unwritten(*_, **__):
    raise NotImplementedError


@pytest.mark.parametrize("name", PARTS)
def test_what_is_wrong_is_said(mine, name):
    def twice(*arguments, **more):
        value = mine[name](*arguments, **more)
        return [2 * one for one in value] if isinstance(value, tuple | list) else 2 * value

    for answer, said in (
        (unwritten, "not written yet"),
        (lambda *_, **__: 1 / 0, "ZeroDivisionError"),
        (twice, "changes what comes out"),
        (lambda *_, **__: None, ""),
    ):
        found = examine({name: answer})
        assert not found[name].accepted
        assert said in found[name].said
        assert {one for part, one in found.items() if part != name} == {Finding(False, "not found")}


def test_functions_are_read_from_notebooks_and_files(tmp_path):
    import nbformat

    nbformat.write(read_master(masters_folder() / f"{WRITTEN[0]}.py"), tmp_path / "mine.ipynb")
    (tmp_path / "more.py").write_text("import nothing_of_the_kind\ndef fusion(x): return x\n")
    (tmp_path / "half.py").write_text("def attention(x:\n")
    found = functions_in(tmp_path)
    assert "fusion" in found and "attention" not in found
    assert {name for name, part in PARTS.items() if part.assignment == WRITTEN[0]} <= found.keys()


def test_a_folder_without_notebooks_is_refused(tmp_path):
    with pytest.raises(DataError, match="neither a notebook"):
        functions_in(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        functions_in(tmp_path / "none")
    (tmp_path / "cut.ipynb").write_text('{"cells": [')
    with pytest.raises(DataError, match="cut.ipynb"):
        functions_in(tmp_path)
