"""The inside of the sandbox: what a fresh process does to itself before it sees a student's code.

`enter(plan)` returns in the confined process alone. The plan says:

    level      bubblewrap, namespaces, landlock or limits
    user       the number of the unprivileged user to become, or None for staying who one is
    visible    paths that may be read; with namespaces nothing else exists
    links      symbolic links of the new root, {name: target}
    masked     folders below them that are shown empty
    root       an empty folder, where the new root is built
    work       the folder to write in, of `disk` bytes
    memory, processes, seconds, file    limits
"""

import contextlib
import os
import resource
import signal
import time
from pathlib import Path

from bradcn_nb.course import kernel

DEVICES = ("null", "zero", "full", "random", "urandom")


def enter(plan: dict) -> None:
    """Confine this process; raises OSError if a part of the plan cannot be had."""
    os.umask(0o022)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if plan["level"] == "namespaces":
        _namespaces(plan)
    elif plan["level"] != "bubblewrap":
        _watched_child()
    _limits(plan)
    if plan["user"] is not None:
        os.setgroups([])
        os.setresgid(plan["user"], plan["user"], plan["user"])
        os.setresuid(plan["user"], plan["user"], plan["user"])
    kernel.drop_capabilities()
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # lost with the user, and with it /proc/self
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)  # likewise
    os.chdir(plan["work"])
    if plan["level"] == "landlock":
        devices = [f"/dev/{name}" for name in DEVICES]
        kernel.landlock([*plan["visible"], "/proc"], [plan["work"], *devices])
    # Without a pid namespace or a user of its own, a signal could reach the grader.
    alone = plan["level"] in ("bubblewrap", "namespaces") or plan["user"] is not None
    kernel.seccomp(signals=not alone)


def _limits(plan: dict) -> None:
    with contextlib.suppress(OSError):  # the first to go when the machine runs out of memory
        Path("/proc/self/oom_score_adj").write_text("1000")
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, int(plan["seconds"]) + 5),
        (resource.RLIMIT_DATA, plan["memory"]),
        (resource.RLIMIT_FSIZE, plan["file"]),
        (resource.RLIMIT_NOFILE, 512),
        (resource.RLIMIT_NPROC, plan["processes"]),
    ):
        hard = resource.getrlimit(kind)[1]
        wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (wanted, wanted))


def _namespaces(plan: dict) -> None:
    """Own files, network, processes: the child of a child goes on, the other two wait for it."""
    user, group = os.getuid(), os.getgid()
    flags = kernel.NEWNS | kernel.NEWPID | kernel.NEWNET | kernel.NEWIPC | kernel.NEWUTS
    kernel.unshare(flags | (kernel.NEWUSER if plan["user"] is None else 0))
    if plan["user"] is None:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    _wait_for_child(kill_rest=False)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    _new_root(plan)
    _wait_for_child(kill_rest=False)  # the first process of a namespace collects the dead


def _watched_child() -> None:
    """Without namespaces: a parent to whom all orphans come, and who ends them."""
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    _wait_for_child(kill_rest=True)


def _wait_for_child(kill_rest: bool) -> None:
    """Fork; the child returns, the parent waits for it and ends as it did."""
    child = os.fork()
    if not child:
        return
    with contextlib.suppress(OSError):
        os.closerange(3, 512)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    status, ended = 1 << 8, 0
    while ended != child:
        try:
            ended, status = os.wait()
        except ChildProcessError:
            break
    for _ in range(500 if kill_rest else 0):
        if not _kill_children():
            break
        time.sleep(0.01)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _kill_children() -> bool:
    """Kill this process's children, collect the dead ones; whether there were any."""
    found = False
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(entry.read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid():
                found = True
                os.kill(int(entry.parent.name), signal.SIGKILL)
        except (OSError, ValueError):
            continue
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return found


def _new_root(plan: dict) -> None:
    """Build a root that holds the visible paths, read-only, and the folder of work; go there."""
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    root = plan["root"]
    kernel.mount("tmpfs", root, "tmpfs", kernel.MS_NOSUID, "size=4m,mode=755")
    for path in plan["visible"]:
        _bind(path, root + path)
    for device in DEVICES:
        _bind(f"/dev/{device}", f"{root}/dev/{device}")
    for name, target in plan["links"].items():
        os.symlink(target, root + name)
    os.symlink("/proc/self/fd", f"{root}/dev/fd")
    for name in ("proc", "old", "tmp", "dev/shm", plan["work"].lstrip("/")):
        os.makedirs(f"{root}/{name}", exist_ok=True)
    kernel.read_only(root)
    # These after the rest is read-only.
    kernel.mount("proc", f"{root}/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV)
    flags = kernel.MS_NOSUID | kernel.MS_NODEV
    sizes = {**dict.fromkeys(plan["scratch"], 64 << 20), plan["work"]: plan["disk"]}
    for name, size in sizes.items():
        kernel.mount("tmpfs", root + name, "tmpfs", flags, f"size={size},mode=1777")
    for path in plan["masked"]:
        kernel.mount("tmpfs", root + path, "tmpfs", flags | 1, "size=4k,mode=755")
    kernel.change_root(root)


def _bind(source: str, target: str) -> None:
    if os.path.isdir(source):
        os.makedirs(target, 0o755, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), 0o755, exist_ok=True)
        Path(target).touch()
    kernel.mount(source, target, flags=kernel.MS_BIND | kernel.MS_REC)
