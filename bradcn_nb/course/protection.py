"""Which protection this machine gives: each level is tried by a process that tries to get out."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bradcn_nb.course import wire
from bradcn_nb.course.sandbox import LEVELS, Limits, Protection, Sandbox
from bradcn_nb.errors import DataError

MEANS = {
    "bubblewrap": "bubblewrap: a view of its own, in which nothing exists but Python, bradcn_nb "
    "and its data; own processes, no network",
    "namespaces": "Linux namespaces, made by hand: the same view and walls as bubblewrap's",
    "landlock": "Landlock and seccomp: reads Python, bradcn_nb and its data alone, writes its own "
    "folder alone, no sockets; processes are not walled off but for signals",
    "limits": "limits and seccomp alone: no sockets, but the student's code can READ WHATEVER ITS "
    "USER CAN READ and write where that user can write",
}


def choose(
    wanted: str, limits: Limits, hidden: Sequence[Path] = (), unprotected: bool = False
) -> Protection:
    """Return the strongest protection that works here, or the level `wanted` ("auto" for any).

    A level counts only when a probe inside of it could not read a file or write to a folder of the
    grader's, could not open a socket and is not root. Raises DataError when none does, unless
    `unprotected` accepts limits alone.
    """
    if not sys.platform.startswith("linux"):
        raise DataError(
            "course grade needs Linux to shut a student's code in; on Windows run it in WSL, on a "
            "Mac in a container"
        )
    refused = []
    for level in LEVELS if wanted == "auto" else (wanted,):
        if level == "limits" and not unprotected:
            continue
        if level == "bubblewrap" and not shutil.which("bwrap"):
            refused.append("bubblewrap: not installed (Debian, Ubuntu: apt-get install bubblewrap)")
            continue
        found = Protection(level)
        reached, why = _probe(found, limits, hidden)
        tolerated = {"files", "writing", "processes"} if level == "limits" else {"processes"}
        if level in LEVELS[:2]:
            tolerated = set()
        if why or set(reached) - tolerated:
            refused.append(f"{level}: {why or 'reached ' + ', '.join(reached)}")
            continue
        scoped = replace(found, cgroup=True)
        if shutil.which("systemd-run") and not _probe(scoped, limits, hidden)[1]:
            found = scoped
        return replace(found, lines=_lines(found, limits, refused))
    reasons = "; ".join(refused)
    raise DataError(
        f"nothing here can shut a student's code in ({reasons}); install bubblewrap, or say "
        "--unprotected to grade with limits alone, in a container that holds nothing else"
    )


def _probe(protection: Protection, limits: Limits, hidden: Sequence[Path]) -> tuple[list[str], str]:
    """What a process in the sandbox could reach, and why it did not start."""
    with tempfile.TemporaryDirectory(prefix="bradcn-probe-") as folder:
        os.chmod(folder, 0o777)  # what is not walled off is open
        secret = Path(folder, "secret")
        secret.write_text("x")
        secret.chmod(0o644)
        try:
            box = Sandbox(protection, limits, hidden, main="probe")
        except (OSError, DataError) as error:
            return [], str(error)
        try:
            deadline = time.monotonic() + 20
            asked = {"secret": str(secret), "folder": folder, "grader": os.getpid()}
            wire.send(box.channel, asked, deadline)
            return wire.receive(box.channel, deadline)["reached"], ""
        except (OSError, EOFError, wire.WireError):
            lines = box.errors().splitlines() or ["it did not start"]
            return [], lines[-1][:200]
        finally:
            box.close()


def _lines(protection: Protection, limits: Limits, refused: Sequence[str]) -> tuple[str, ...]:
    root = os.getuid() == 0
    user = "an unprivileged user of its own" if root else "your own user, without any privilege"
    memory = f"{limits.memory / (1 << 30):g} GB"
    kept = "by the kernel (cgroup)" if protection.cgroup else "for a process by the kernel, for all"
    how = kept if protection.cgroup else f"{kept} of them looked at five times a second"
    return (
        f"protection: {MEANS[protection.level]}",
        f"  runs as {user}; seccomp forbids sockets, mounts, tracing and new namespaces",
        f"  memory {memory}, kept {how}",
        f"  {limits.processes} processes and threads, {limits.disk >> 20} MB of disk, "
        f"{limits.output >> 20} MB of output a cell, {limits.cell:g} s a cell, "
        f"{limits.question:g} s a question, {limits.whole:g} s in all",
        *(f"  not used: {one}" for one in refused),
    )
