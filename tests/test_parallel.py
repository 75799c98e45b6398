"""Work shared out among processes: order, errors, a killed process, an early end."""

import os
import time
from contextlib import closing

import cv2
import pytest

from bradcn_nb.data.parallel import each
from bradcn_nb.errors import BradcnError, DataError


def square(number):
    return number * number, os.getpid()


def fail_at_three(number):
    if number == 3:
        raise DataError("three; take another", kind="size")
    return number


def die(number):
    os._exit(9)


def leave_a_mark(path):
    time.sleep(0.05)
    path.touch()


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_order(jobs, capsys):
    threads = cv2.getNumThreads()
    results = [*each(square, range(20), jobs, title="squares", progress=True)]
    assert [value for value, _ in results] == [n * n for n in range(20)]
    assert (os.getpid() in {pid for _, pid in results}) == (jobs == 1)
    assert cv2.getNumThreads() == threads
    assert "squares" in capsys.readouterr().err
    assert [*each(square, [], jobs)] == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_the_work_is_raised_as_it_is(jobs):
    with pytest.raises(DataError, match="three; take another") as error:
        list(each(fail_at_three, range(8), jobs))
    assert error.value.kind == "size"


def test_a_killed_process_is_one_line():
    with pytest.raises(BradcnError, match="one of 2 processes was killed") as error:
        list(each(die, range(4), 2, title="work"))
    assert "\n" not in str(error.value)


def test_nothing_new_is_begun_after_an_early_end(tmp_path):
    paths = [tmp_path / str(n) for n in range(200)]
    with closing(each(leave_a_mark, paths, 2)) as results:
        next(results)
    assert 0 < len([*tmp_path.iterdir()]) < 60
