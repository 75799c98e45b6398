"""The outside of the sandbox: which protection this machine gives, tried before it is trusted.

From strong to weak: bubblewrap; namespaces made by hand; Landlock; limits alone. Each is started
once with a probe that tries to get out (`protection`), and counts only if the probe fails at it.
"""

import contextlib
import json
import os
import shutil
import site
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

import bradcn_nb
from bradcn_nb.course import processes
from bradcn_nb.errors import DataError
from bradcn_nb.files import data_root

LEVELS = ("bubblewrap", "namespaces", "landlock", "limits")
FIRST_USER = 61_100  # as root: one unprivileged user for each job
SYSTEM = ("/usr", "/nix/store", "/gnu/store", "/sys/devices/system/cpu")
SCRATCH = ("/dev/shm", "/tmp")
TOP = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
ETC = ("ld.so.cache", "passwd", "group", "localtime", "alternatives", "fonts", "nsswitch.conf")
BOOT = (
    "import sys, site; places = {places!r}; [site.addsitedir(p) for p in places[:-1]]; "
    "sys.path.append(places[-1]); from bradcn_nb.course.worker import {main}; {main}()"
)


@dataclass(frozen=True)
class Limits:
    """What a submission may use: seconds, bytes, processes (threads count, too)."""

    cell: float = 60.0
    whole: float = 600.0
    question: float = 20.0
    memory: int = 3 << 30
    processes: int = 64
    disk: int = 200 << 20
    output: int = 16 << 20


@dataclass(frozen=True)
class Protection:
    """A level, and the lines that say to people what holds here."""

    level: str
    cgroup: bool = False
    lines: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """One word for the table of grades."""
        return self.level + ("+cgroup" if self.cgroup else "")


def _parts() -> tuple[str, list[str], list[str]]:
    """The real Python program, where its packages lie, and all paths that it needs to read."""
    program = os.path.realpath(sys.executable)
    package = os.path.dirname(os.path.realpath(bradcn_nb.__path__[0]))
    packages = [os.path.realpath(p) for p in sys.path if p.rstrip("/").endswith("-packages")]
    packages += [os.path.realpath(p) for p in site.getsitepackages()]
    places = [*dict.fromkeys(p for p in packages if os.path.isdir(p)), package]
    wanted = [
        *SYSTEM,
        *(top for top in TOP if not os.path.islink(top)),
        *(f"/etc/{name}" for name in ETC),
        os.path.realpath(sys.base_prefix),
        os.path.dirname(program),
        *places[:-1],
        os.path.realpath(bradcn_nb.__path__[0]),
        os.path.realpath(data_root()),
        *filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":")),
    ]
    visible: list[str] = []
    for path in sorted({p for p in wanted if os.path.exists(p)}, key=len):
        if not any(Path(path).is_relative_to(other) for other in visible):
            visible.append(path)
    return program, places, visible


def _scratch(visible: Sequence[str]) -> list[str]:
    """The folders for anybody's files, but for those that would cover a Python that lies below."""
    return [p for p in SCRATCH if not any(Path(v).is_relative_to(p) for v in visible)]


def _environment(work: str) -> dict[str, str]:
    kept = ("LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ} | {
        "PATH": "/usr/bin:/bin",
        "HOME": work,
        "TMPDIR": work,
        "IPYTHONDIR": f"{work}/.ipython",
        "MPLCONFIGDIR": f"{work}/.matplotlib",
        "MPLBACKEND": "Agg",
        "BRADCN_DATA": os.path.realpath(data_root()),
        "BRADCN_CACHE": f"{work}/.cache",
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
        "PIP_NO_INDEX": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR")},
        "OMP_WAIT_POLICY": "PASSIVE",
    }


@dataclass
class Sandbox:
    """One confined process, started at once; `channel` leads to it, `why` says why it was ended."""

    protection: Protection
    limits: Limits
    hidden: Sequence[Path] = ()
    slot: int = 0
    main: str = "main"
    why: str = ""
    channel: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        root, level = os.getuid() == 0, self.protection.level
        self._scratch = tempfile.mkdtemp(prefix="bradcn-grade-")
        inside = level in LEVELS[:2]
        work = "/student" if inside else self._scratch
        program, places, visible = _parts()
        masked = [str(p) for p in self.hidden if any(p.is_relative_to(v) for v in visible)]
        if masked and level == "landlock":
            raise DataError(f"{masked[0]}: cannot be hidden; move it out of Python's folders")
        user = FIRST_USER + self.slot if root else None
        if not inside and root:
            os.chown(self._scratch, user, user)
        used = 0 if root or inside else sum(processes.threads(os.getuid()))
        plan = {
            "level": level,
            "user": user,
            "visible": visible,
            "masked": [path for path in masked if os.path.isdir(path)],
            "links": {top: os.readlink(top) for top in TOP if os.path.islink(top)},
            "root": self._scratch,
            "scratch": _scratch(visible),
            "work": work,
            "disk": self.limits.disk,
            "file": self.limits.disk,
            "memory": self.limits.memory,
            "processes": self.limits.processes + used,
            "seconds": self.limits.whole,
            "output": self.limits.output,
            "alone": inside or root,
        }
        self._alone, self._kept = inside or root, set()
        self.channel, theirs = socket.socketpair()
        plan["channel"] = theirs.fileno()
        boot = BOOT.format(places=places, main=self.main)
        # Neither the environment nor the folder of the grader may choose what is imported.
        command = [program, "-I", "-S", "-c", boot, json.dumps(plan)]
        if level == "bubblewrap":
            command = [*_bubblewrap(plan, root), *command]
        if self.protection.cgroup:
            command = [*_scope(self.limits), *command]
        self._errors = tempfile.TemporaryFile()
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._errors,
                stderr=self._errors,
                pass_fds=[theirs.fileno()],
                env=_environment(work),
                cwd="/",
                start_new_session=True,
            )
        finally:
            theirs.close()
        self._stop = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        """End the process when it and its children use too much memory, disk or processes."""
        while not self._stop.wait(0.2):
            tree = processes.tree(self.process.pid)
            memory = processes.memory(tree, self.limits.memory)
            if memory > self.limits.memory:
                self._end("more memory than is allowed")
            elif len(tree) > self.limits.processes + 8:
                self._end("more processes than are allowed")
            elif (
                self.protection.level in LEVELS[2:]
                and processes.size(self._scratch) > self.limits.disk
            ):
                self._end("more disk than is allowed")

    def _end(self, why: str) -> None:
        self.why = self.why or why
        own = self.process.pid
        for _ in range(100):  # the first process last: orphans come to it, and are found there
            rest = [one for one in processes.tree(own) if one.pid != own]
            if not rest:
                break
            for one in rest:
                with contextlib.suppress(psutil.Error):
                    one.kill()
            time.sleep(0.01)
        with contextlib.suppress(OSError):
            self.process.kill()

    def sweep(self) -> None:
        """End what the student's code has started, where the process cannot do so itself.

        The first call only notes who is there.
        """
        if self._alone:
            return
        if not self._kept:
            self._kept = {one.pid for one in processes.tree(self.process.pid)}
        for _ in range(100):
            rest = [one for one in processes.tree(self.process.pid) if one.pid not in self._kept]
            if not rest:
                break
            for one in rest:
                with contextlib.suppress(psutil.Error):
                    one.kill()
            time.sleep(0.005)

    def errors(self) -> str:
        """Return the end of what the process said before it was ready."""
        with contextlib.suppress(OSError, ValueError):
            self._errors.seek(0)
            return self._errors.read(20_000).decode(errors="replace").strip()[-600:]
        return ""

    def close(self) -> None:
        """End the process and all its children, remove its folder."""
        self._stop.set()
        self._end("closed")
        self.process.wait()
        self.channel.close()
        self._errors.close()
        shutil.rmtree(self._scratch, ignore_errors=True)


def _bubblewrap(plan: dict, root: bool) -> list[str]:
    words = ["bwrap", "--die-with-parent", "--new-session", "--unshare-pid", "--unshare-net"]
    words += ["--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    if root:  # the process gives up both when it becomes the unprivileged user
        words += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        words += ["--unshare-user", "--disable-userns"]
    above = {str(above) for path in plan["visible"] for above in Path(path).parents} - {"/"}
    for path in sorted(above):  # those that bubblewrap makes itself are the owner's alone
        words += ["--perms", "0755", "--dir", path]
    for path in plan["visible"]:
        words += ["--ro-bind", path, path]
    for name, target in plan["links"].items():
        words += ["--symlink", target, name]
    words += ["--proc", "/proc", "--dev", "/dev"]
    small = str(64 << 20)
    sizes = {**dict.fromkeys(plan["scratch"], small), plan["work"]: str(plan["disk"])}
    for path, size in sizes.items():
        words += ["--perms", "1777", "--size", size, "--tmpfs", path]
    for path in plan["masked"]:
        words += ["--size", "4096", "--tmpfs", path, "--remount-ro", path]
    return [*words, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/"]


def _scope(limits: Limits) -> list[str]:
    who = [] if os.getuid() == 0 else ["--user"]
    memory, tasks = f"MemoryMax={limits.memory}", f"TasksMax={limits.processes + 8}"
    words = ["systemd-run", *who, "--scope", "--quiet", "--collect"]
    return [*words, "-p", memory, "-p", "MemorySwapMax=0", "-p", tasks, "--"]
