"""Work shared out among processes: order, errors, a killed process, an early end."""

import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

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


def test_processes_end_with_their_parent(tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); "
        "from test_parallel import each, linger; "
        f"list(each(linger, [{str(tmp_path)!r}] * 2, 2))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    try:
        until = time.monotonic() + 30
        while len([*tmp_path.iterdir()]) < 2 and time.monotonic() < until:
            time.sleep(0.02)
        workers = [int(path.name) for path in tmp_path.iterdir()]
    finally:
        parent.kill()
        parent.wait()
    assert len(workers) == 2
    until = time.monotonic() + 5
    while any(map(is_alive, workers)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(map(is_alive, workers))


def linger(folder):
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(60)


def is_alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(") ")[1][:1]
    except OSError:
        return False


def test_results_can_come_as_they_are_done():
    assert sorted(n for n, _ in each(square, range(5), 2, ordered=False)) == [0, 1, 4, 9, 16]
