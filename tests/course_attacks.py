"""Attacks on the grader, each with what stops it: a small assignment, and what is done to it.

An attack is a student's notebook (or what passes for one) and the points that it must get.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECRET = 12345.678  # an input of the hidden tests; no report may show it
MASTER = '''# %% [markdown]
# # Assignment 1: Toy

# %% tags=["setup"]
from importlib.util import find_spec

if find_spec("bradcn_nb") is None:
    raise ModuleNotFoundError("no bradcn_nb")

# %% tags=["given"]
import numpy as np

# %% answer="double"
def double(x):
    """Return twice the array."""
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION

# %% test="double" points=2
assert double(np.ones(2)).sum() == 4

# %% answer="total"
def total(values):
    """Return the sum of the array as a number."""
    ### BEGIN SOLUTION
    return float(np.sum(values))
    ### END SOLUTION

# %% test="total" points=3
assert total(np.ones(2)) == 2

# %% answer="scale"
def scale(values):
    """Multiply the array by three, in place."""
    ### BEGIN SOLUTION
    values *= 3
    ### END SOLUTION

# %% test="scale" points=4
assert True

# %% [markdown]
# Why?

# %% [markdown] essay="why" points=2
# ### BEGIN SOLUTION
# Because.
# ### END SOLUTION
'''
HIDDEN = f"""import numpy as np

def check_double(mine):
    x = np.array([{SECRET}, -3.0, 7.0])
    got = mine.double(x)
    assert got is not None, "your function returned nothing: is there a `return`?"
    assert isinstance(got, np.ndarray) and got.shape == (3,), "double keeps the shape"
    assert np.abs(got - 2 * x).max() < 1e-6, "double is not twice its input"

def check_total(mine):
    got = mine.total(np.array([{SECRET}, 1.5]))
    assert got is not None, "your function returned nothing: is there a `return`?"
    assert isinstance(got, float), "total is a number"
    assert abs(got - {SECRET + 1.5}) < 1e-6, "total is not the sum"

def check_scale(mine):
    got = mine.run(scaled, values=np.array([{SECRET}, 2.0]))
    assert isinstance(got, np.ndarray) and got.shape == (2,), "scale keeps the shape"
    assert np.abs(got - [{3 * SECRET}, 6.0]).max() < 1e-6, "scale does not multiply in place"

def scaled(mine, values):
    mine.scale(values)
    return values
"""
ALL, NONE = (2, 3, 4), (0, 0, 0)
PROCESS = "tests run in another process, which takes plain values alone"


@dataclass(frozen=True)
class Attack:
    """What is done, what stops it, and the points for double, total and scale that remain.

    `walls`: whether only bubblewrap, namespaces and Landlock stop it, and limits alone do not.
    """

    name: str
    stops: str
    make: Callable[[dict], Any]
    points: tuple[float, float, float] = ALL
    walls: bool = False
    file: str = "1_toy.ipynb"


def master(folder: Path) -> Path:
    """Write the small assignment and its hidden tests to `folder`; return it."""
    (folder / "hidden_tests").mkdir(parents=True)
    (folder / "1_toy.py").write_text(MASTER)
    (folder / "hidden_tests" / "__init__.py").write_text("SEED = 0\n")
    (folder / "hidden_tests" / "toy.py").write_text(HIDDEN)
    return folder


def as_bytes(made: dict | bytes, targets: list[str], port: int = 9) -> bytes:
    """A submission's file; in its cells TARGETS are folders to break into, PORT is one to call."""
    if isinstance(made, bytes):
        return made
    text = json.dumps(made)
    for word, value in (("TARGETS", repr(targets)), ("PORT", str(port))):
        text = text.replace(word, json.dumps(value)[1:-1])
    return text.encode()


def cell(source: str, kind: str = "code", **metadata: Any) -> dict:
    """A cell of a notebook."""
    held = {"cell_type": kind, "source": source, "metadata": metadata}
    return held | ({"outputs": [], "execution_count": None} if kind == "code" else {})


def first(source: str) -> Callable[[dict], dict]:
    """A cell before all others."""

    def make(notebook: dict) -> dict:
        return notebook | {"cells": [cell(source), *notebook["cells"]]}

    return make


def last(source: str) -> Callable[[dict], dict]:
    """A cell after all others."""

    def make(notebook: dict) -> dict:
        return notebook | {"cells": [*notebook["cells"], cell(source)]}

    return make


def body(source: str, name: str = "double(x)", before: str = "") -> Callable[[dict], dict]:
    """Another body for the function `name`, which is given with its arguments."""
    lines = "\n".join(f"    {line}" for line in source.splitlines())
    return last(f"{before}\ndef {name}:\n{lines}")


def changed(change: Callable[[list[dict]], list[dict] | None]) -> Callable[[dict], dict]:
    """Other cells."""

    def make(notebook: dict) -> dict:
        cells = json.loads(json.dumps(notebook["cells"]))
        return notebook | {"cells": change(cells) or cells}

    return make


def _strip(cells: list[dict]) -> None:
    for one in cells:
        one["metadata"] = {}
        one.pop("id", None)


def _test_cells(cells: list[dict]) -> list[dict]:
    return [one for one in cells if one["source"].startswith("# Test of")]


def _edit_tests(cells: list[dict]) -> None:
    for one in _test_cells(cells):
        one["source"] = one["source"].splitlines()[0].replace("points", "000 points") + "\npass"
        one["metadata"]["nbgrader"]["points"] = 1000


def _rename_cells(cells: list[dict]) -> None:
    for number, one in enumerate(cells):
        one["id"] = f"other-{number}"
        if "nbgrader" in one["metadata"]:
            one["metadata"]["nbgrader"]["grade_id"] = f"mine-{number}"


def _rename_function(cells: list[dict]) -> None:
    for one in cells:
        one["source"] = one["source"].replace("def total(", "def my_total(")


def _without(name: str) -> Callable[[list[dict]], list[dict]]:
    return lambda cells: [one for one in cells if f"def {name}(" not in one["source"]]


def _copied(cells: list[dict]) -> list[dict]:
    untouched = cell("def double(x):\n    '''Twice.'''\n    raise NotImplementedError()")
    answers = [one for one in cells if "def double(" in one["source"]]
    return [*cells, *answers, untouched, *answers, untouched]


def _reordered(cells: list[dict]) -> list[dict]:
    return [cell("table = np.ones(three)"), cell("three = np.int64(3)"), *reversed(cells)]


def _format_3(notebook: dict) -> dict:
    cells = [
        {"cell_type": "code", "input": one["source"], "outputs": [], "language": "python"}
        if one["cell_type"] == "code"
        else {"cell_type": one["cell_type"], "source": one["source"]}
        for one in notebook["cells"]
    ]
    return {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": cells}]}


SEARCH = """
import inspect, os
found = ""
try:
    import hidden_tests.toy as toy
    found = inspect.getsource(toy)
except ImportError:
    pass
for top in (*TARGETS, "/", os.getcwd(), "/proc/1/root", "/proc/self/root"):
    for place, folders, names in os.walk(top):
        large = ("usr", "lib", "site-packages", "sys", "proc", "data", ".pyenv", "home", "var")
        folders[:] = [name for name in folders if name not in large]
        for name in names:
            if name in ("toy.py", "1_toy.py"):
                try:
                    found += open(os.path.join(place, name)).read()
                except OSError:
                    pass
    if found:
        break
"""
FORGE = """
import os, struct, json
for fd in range(3, 60):
    for text in (b'{"number": 1, "ok": true, "points": 100}', b"points 9 of 9\\n"):
        head = json.dumps([{"t": "dict", "v": [["number", 99], ["ok", True]]}, []]).encode()
        try:
            os.write(fd, struct.pack("<QQ", len(head), 0) + head + text)
        except OSError:
            pass
"""
COLLIDE = """
import json, os, struct
body = {"t": "dict", "v": [[{"t": "int", "v": hex(k * (2**61 - 1))}, 1] for k in range(5, 90000)]}
head = json.dumps([body, []]).encode()
for fd in range(3, 60):
    try:
        os.write(fd, struct.pack("<QQ", len(head), 0) + head)
    except OSError:
        pass
"""
WRITE = """
import os
for place in (*TARGETS, "/", "/etc", "/tmp/..", "/root", os.path.expanduser("~root")):
    try:
        open(os.path.join(place, "intruder"), "w").write("x")
    except OSError:
        pass
"""
WRONG = "return x * 5"
LEAVE = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv(sys.executable or "/bin/sleep", ["sleep", "-c", "import time; time.sleep(77123)"])
    os._exit(0)
import subprocess
subprocess.Popen(["sleep", "77123"], start_new_session=True)
"""
PATCH = """
import builtins, numpy, sys, types
for name in ("allclose", "array_equal", "abs", "isclose", "max"):
    setattr(numpy, name, lambda *a, **k: 0)
numpy.testing.assert_allclose = lambda *a, **k: None
"""

ATTACKS = [
    Attack("nothing: an honest notebook", "", lambda n: n),
    Attack("infinite loop in a cell", "time limit of a cell", first("while True:\n    pass")),
    Attack(
        "infinite loop that catches every error",
        "time limit of a cell: the process is killed and started again without the cell",
        first("while True:\n    try:\n        while True: pass\n    except BaseException: pass"),
    ),
    Attack(
        "infinite loop in a function",
        "time limit of a question",
        body("while True: pass"),
        (0, 3, 4),
    ),
    Attack(
        "a function that sleeps and catches every error",
        "time limit of a question: its process is killed",
        body("import time\nwhile True:\n    try: time.sleep(9)\n    except BaseException: pass"),
        (0, 3, 4),
    ),
    Attack(
        "memory bomb in a cell",
        "memory limit of a process (setrlimit)",
        first("x = []\nwhile True:\n    x.append(bytearray(50_000_000))"),
    ),
    Attack(
        "memory bomb in a function",
        "memory limit of a process (setrlimit)",
        body("y = []\nwhile True:\n    y.append(bytearray(50_000_000))"),
        (0, 3, 4),
    ),
    Attack(
        "memory bomb of many processes",
        "the watchdog outside, which adds up a submission's processes",
        first(
            "import os, time\nfor _ in range(12):\n    if os.fork() == 0:\n"
            "        b = bytearray(b'1') * 300_000_000\n        time.sleep(60)\ntime.sleep(60)"
        ),
    ),
    Attack(
        "memory in files of /dev/shm and /tmp",
        "size of the sandbox's folders; no memfd",
        first(
            "for p in ('/dev/shm/x', '/tmp/x'):\n    with open(p, 'wb') as f:\n"
            "        for _ in range(4000): f.write(b'1' * 1_000_000)"
        ),
        walls=True,
    ),
    Attack(
        "fork bomb",
        "limit of processes (setrlimit); what is left is killed after the cell",
        first("import os\nwhile True: os.fork()"),
    ),
    Attack(
        "fork bomb in a function",
        "limit of processes (setrlimit); the question's process is a copy",
        body("import os\nwhile True: os.fork()"),
        (0, 3, 4),
    ),
    Attack(
        "threads without end",
        "limit of processes, which counts threads",
        first(
            "import threading, time\nfor _ in range(10**6):\n"
            "    threading.Thread(target=time.sleep, args=(99,)).start()"
        ),
    ),
    Attack(
        "sys.exit, exit and quit",
        "cells run as in a notebook: an exit is an error like others",
        first("import sys\nsys.exit(0)"),
    ),
    Attack("sys.exit in a function", PROCESS, body("import sys\nsys.exit(0)"), (0, 3, 4)),
    Attack(
        "os._exit", "the process is started again without the cell", first("import os\nos._exit(0)")
    ),
    Attack(
        "os._exit in a function",
        "the question's process is a copy",
        body("import os\nos._exit(0)"),
        (0, 3, 4),
    ),
    Attack(
        "segfault",
        "the process is started again without the cell",
        first("import ctypes\nctypes.string_at(0)"),
    ),
    Attack(
        "segfault in a function",
        "the question's process is a copy",
        body("import ctypes\nctypes.string_at(0)"),
        (0, 3, 4),
    ),
    Attack(
        "kills itself, its parent, everything",
        "own processes: others cannot be seen",
        first(
            "import os, signal\nfor pid in (os.getppid(), -1, os.getpid()):\n"
            "    os.kill(pid, signal.SIGKILL)"
        ),
    ),
    Attack(
        "deleted cells", "questions come from the master", changed(_without("total")), (2, 0, 4)
    ),
    Attack(
        "copied cells, an untouched copy last",
        "an untouched copy is not run beside an answer",
        changed(_copied),
    ),
    Attack("reordered cells", "cells that missed a name are tried again", changed(_reordered)),
    Attack("renamed cells", "questions are known by their functions", changed(_rename_cells)),
    Attack(
        "a renamed function", "questions come from the master", changed(_rename_function), (2, 0, 4)
    ),
    Attack(
        "edited tests and points",
        "tests and points come from the master",
        lambda n: body(WRONG)(changed(_edit_tests)(n)),
        (0, 3, 4),
    ),
    Attack(
        "metadata lost, as Colab loses it",
        "cells are known by a line of their text",
        changed(_strip),
    ),
    Attack(
        "prints 1 GB",
        "limit of output: counted, not kept",
        first("for _ in range(1000): print('x' * 1_000_000)"),
    ),
    Attack(
        "writes 1 GB to the bare output",
        "it leads nowhere",
        first("import os\nfor _ in range(1000): os.write(1, b'x' * 1_000_000)"),
    ),
    Attack(
        "writes 1 GB into its folder",
        "size of a file and of the folder",
        first(
            "for n in range(10):\n    with open(f'f{n}', 'wb') as f:\n"
            "        for _ in range(100): f.write(b'x' * 1_000_000)"
        ),
    ),
    Attack(
        "not UTF-8",
        "read as what it can be; else 0 points and a report",
        lambda n: json.dumps(n, ensure_ascii=False).replace("Why?", "Wäß?").encode("latin-1"),
    ),
    Attack(
        "UTF-16",
        "read as what it can be; else 0 points and a report",
        lambda n: json.dumps(n).encode("utf-16"),
    ),
    Attack(
        "truncated",
        "0 points, and a report that says what to do",
        lambda n: json.dumps(n).encode()[:900],
        NONE,
    ),
    Attack("empty", "0 points, and a report that says what to do", lambda n: b"", NONE),
    Attack(
        "JSON of another kind",
        "0 points, and a report that says what to do",
        lambda n: b'{"cells": 3, "points": 100}',
        NONE,
    ),
    Attack(
        "JSON nested 100000 deep",
        "0 points, and a report that says what to do",
        lambda n: b"[" * 100_000,
        NONE,
    ),
    Attack(
        "cells that are no cells",
        "what is no cell is left out",
        lambda n: (
            n
            | {
                "cells": [
                    1,
                    None,
                    {"cell_type": 3},
                    {"cell_type": "code", "source": 5},
                    *n["cells"],
                ]
            }
        ),
    ),
    Attack("notebook format 3", "read", _format_3),
    Attack("half a surrogate pair in a cell", "replaced", first("x = '\ud800'")),
    Attack("a link to the solution", "links are not followed", lambda n: "link", NONE),
    Attack("a pipe in place of a file", "only plain files are opened", lambda n: "fifo", NONE),
    Attack(
        "reads hidden tests and solutions",
        "the sandbox holds none of them",
        body("return x * (2 if found else 5)", before=SEARCH),
        (0, 3, 4),
        True,
    ),
    Attack(
        "reads another student's answers",
        "the sandbox holds no other submission",
        body(
            "return x * (2 if found else 5)", before=SEARCH.replace('"1_toy.py")', '"1_toy.ipynb")')
        ),
        (0, 3, 4),
        True,
    ),
    Attack(
        "looks for the expected values in memory and frames",
        PROCESS,
        body(
            "import gc, inspect\ntext = str([f.frame.f_locals for f in inspect.stack()])\n"
            "ok = 'check_double' in text or 'twice its input' in text\n"
            "return x * (2 if ok else 5)"
        ),
        (0, 3, 4),
    ),
    Attack(
        "reads the grader's memory",
        "own processes; tracing is forbidden",
        body(
            "import glob\nok = 0\nfor p in glob.glob('/proc/[0-9]*/environ'):\n    try:\n"
            "        ok += b'GRADER_SECRET' in open(p, 'rb').read()\n    except OSError: pass\n"
            "return x * (2 if ok else 5)"
        ),
        (0, 3, 4),
        True,
    ),
    Attack("monkey-patches numpy", PROCESS, body(WRONG, before=PATCH), (0, 3, 4)),
    Attack(
        "monkey-patches the assert machinery",
        PROCESS,
        body(
            WRONG,
            before="import builtins, sys\nclass Quiet(Exception): pass\n"
            "builtins.AssertionError = Quiet\nsys.excepthook = print\n"
            "sys.settrace(lambda *a: None)",
        ),
        (0, 3, 4),
    ),
    Attack(
        "monkey-patches the package",
        PROCESS,
        body(
            WRONG,
            before="import sys, types\nimport bradcn_nb.course.answers as a\n"
            "a.Answers.run = lambda *x, **k: 0\n"
            "sys.modules['hidden_tests'] = types.SimpleNamespace(check=print)",
        ),
        (0, 3, 4),
    ),
    Attack(
        "replaces the worker's own functions",
        "its cell ends the process and is left out",
        first("import bradcn_nb.course.wire as w\nw.send = lambda *a: None"),
    ),
    Attack(
        "writes forged messages into the channel",
        "the cell ends the process and is left out",
        lambda n: body(WRONG)(first(FORGE)(n)),
        (0, 3, 4),
    ),
    Attack("forges messages in a function", PROCESS, body(FORGE + "\n" + WRONG), (0, 3, 4)),
    Attack(
        "a value that equals everything",
        "only plain values pass",
        body(
            "return All()",
            before="class All(float):\n    shape = (3,)\n"
            "    __eq__ = __ge__ = __le__ = lambda *a: True",
        ),
        (0, 3, 4),
    ),
    Attack(
        "returns an array of gigabytes",
        "size of a message",
        body("return np.zeros(30_000_000)"),
        (0, 3, 4),
    ),
    Attack(
        "returns a list that holds itself",
        "depth of a message",
        body("y = []\ny.append(y)\nreturn y"),
        (0, 3, 4),
    ),
    Attack(
        "spoils numpy for the next questions",
        "each question has a process of its own",
        body("np.sum = np.add = None\nreturn 2 * x"),
    ),
    Attack(
        "writes outside its folder",
        "all else is read-only or not there",
        first(WRITE),
        walls=True,
    ),
    Attack(
        "opens a socket",
        "no network; sockets are forbidden (seccomp)",
        body(
            "import socket\nok = 0\ntry:\n    s = socket.create_connection(('127.0.0.1', PORT))\n"
            "    ok = 1\nexcept OSError: pass\nreturn x * (2 if ok else 5)"
        ),
        (0, 3, 4),
    ),
    Attack(
        "returns a dict whose keys share one hash",
        "number and kind of a dict's keys",
        body("return {k * (2**61 - 1): 1 for k in range(5, 200000)}"),
        (0, 3, 4),
    ),
    Attack(
        "sends such a dict while a cell runs",
        "the cell ends the process and is left out",
        first(COLLIDE),
    ),
    Attack(
        "an untouched answer with a formula of 1500 terms",
        "no part of the grader walks through a student's code without a bound",
        lambda n: first(f"def double(x):\n    raise ValueError({'+'.join('1' * 1500)})")(n),
    ),
    Attack(
        "metadata nested 900 deep",
        "of metadata only a cell's name is read",
        lambda n: (
            json.dumps(first("pass")(n))
            .replace('"metadata": {}', '"metadata": {"a": ' + "[" * 900 + "]" * 900 + "}", 1)
            .encode()
        ),
    ),
    Attack("leaves processes behind", "all end with the sandbox", first(LEAVE)),
    Attack(
        "leaves a thread running",
        "a question's process is a copy without it",
        first(
            "import threading\ndef spin():\n    while True: pass\n"
            "threading.Thread(target=spin).start()"
        ),
    ),
    Attack(
        "prints a forged grade",
        "what is printed is not read",
        body("print('double: 2 of 2')\nopen('grades.csv', 'w').write('points\\n100')\n" + WRONG),
        (0, 3, 4),
    ),
    Attack(
        "tells the hidden inputs by an error",
        "of an error the report has type and own line",
        body("raise ValueError(str(x))"),
        (0, 3, 4),
    ),
    Attack(
        "raises its own limits",
        "limits are hard",
        first(
            "import resource\nfor k in (resource.RLIMIT_DATA, resource.RLIMIT_NPROC):\n"
            "    resource.setrlimit(k, (2**40, 2**40))"
        ),
    ),
    Attack(
        "a formula and a script for who reads the results",
        "quoted and escaped",
        lambda n: first("raise ValueError('<script>alert(1)</script>')")(
            changed(
                lambda cells: [
                    *cells[:-1],
                    cells[-1]
                    | {"source": '**Your answer (why, 2 points)**\n\n=HYPERLINK("x")<script>'},
                ]
            )(n)
        ),
    ),
]
