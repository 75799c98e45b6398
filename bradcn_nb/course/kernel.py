"""What Linux offers to shut a process in, called directly: namespaces, mounts, seccomp, Landlock.

Numbers are those of the kernel's headers, for x86_64 and aarch64; elsewhere `seccomp` says that it
cannot. Everything here raises OSError where the machine does not allow it.
"""

import ctypes
import os
import platform
import struct

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 1, 4, 38, 22
PR_SET_CHILD_SUBREAPER = 36
NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = (
    0x20000,
    0x4000000,
    0x8000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
MOUNT_SETATTR, LANDLOCK = 442, (444, 445, 446)  # the same on every machine
ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
PIVOT_ROOT = (155, 41)
# What no assignment needs, and what would lead out of the sandbox or around its limits.
FORBIDDEN = {
    "socket": (41, 198),
    "ptrace": (101, 117),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": PIVOT_ROOT,
    "chroot": (161, 51),
    "memfd_create": (319, 279),  # memory that belongs to no process
    "shmget": (29, 194),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "fsopen": (430, 430),
    "open_tree": (428, 428),
    "kexec_load": (246, 104),
}
SIGNALS = {"kill": (62, 129), "pidfd_send_signal": (424, 424), "tkill": (200, 130)}
CLONE, CLONE3, ENOSYS, EPERM = (56, 220), 435, 38, 1

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def prctl(option: int, value: int) -> None:
    """Set a property of this process."""
    zero = ctypes.c_ulong(0)
    _checked(_libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero), f"prctl {option}")


def unshare(flags: int) -> None:
    """Give this process namespaces of its own."""
    _checked(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount `source` on `target`."""
    texts = [text.encode() if text else None for text in (source, target, kind)]
    done = _libc.mount(*texts, ctypes.c_ulong(flags), data.encode() or None)
    _checked(done, f"mount {target}")


def read_only(path: str) -> None:
    """Make `path` and all mounts below it read-only, without set-user-id (Linux 5.12)."""
    attributes = struct.pack("<QQQQ", 1 | 2, 0, 0, 0)
    at, recursive = -100, 0x8000
    call = ctypes.c_long(MOUNT_SETATTR)
    size = ctypes.c_size_t(len(attributes))
    done = _libc.syscall(call, at, path.encode(), recursive, attributes, size)
    _checked(done, f"read-only {path}")


def change_root(path: str) -> None:
    """Make the mount `path`, which has a folder `old`, the root, and forget the old one."""
    call = ctypes.c_long(PIVOT_ROOT[ARCHITECTURES[platform.machine()][1]])
    _checked(_libc.syscall(call, path.encode(), f"{path}/old".encode()), "pivot_root")
    os.chdir("/")
    _checked(_libc.umount2(b"/old", 2), "umount")


def drop_capabilities() -> None:
    """Give up every capability of this process, for good."""
    header, none = struct.pack("<Ii", 0x20080522, 0), bytes(24)
    _checked(_libc.capset(header, none), "capset")


def seccomp(signals: bool) -> None:
    """Forbid sockets, new namespaces, mounts and the like; with `signals` also to send any.

    Needs PR_SET_NO_NEW_PRIVS. Raises OSError where the machine is neither x86_64 nor aarch64.
    """
    if platform.machine() not in ARCHITECTURES:
        raise OSError(ENOSYS, f"no seccomp filter for {platform.machine()}")
    audit, column = ARCHITECTURES[platform.machine()]
    numbers = [one[column] for one in (FORBIDDEN | (SIGNALS if signals else {})).values()]
    load, equal, bits, give = 0x20, 0x15, 0x45, 0x06
    allow, refuse = 0x7FFF0000, 0x50000
    code = [(load, 0, 0, 4), (equal, 1, 0, audit), (give, 0, 0, refuse | EPERM), (load, 0, 0, 0)]
    if column == 0:  # x86_64 has a second table of the same calls, from 1 << 30 on
        code += [(0x35, 0, 1, 1 << 30), (give, 0, 0, refuse | ENOSYS)]
    for number in numbers:
        code += [(equal, 0, 1, number), (give, 0, 0, refuse | EPERM)]
    # clone3 hides its flags from a filter; the C library then takes clone.
    code += [(equal, 0, 1, CLONE3), (give, 0, 0, refuse | ENOSYS)]
    code += [(equal, 0, 3, CLONE[column]), (load, 0, 0, 16)]
    code += [(bits, 0, 1, NEWUSER | NEWNS | NEWPID | NEWNET), (give, 0, 0, refuse | EPERM)]
    code += [(give, 0, 0, allow)]
    program = b"".join(struct.pack("<HBBI", *one) for one in code)
    held = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("@HP", len(code), ctypes.addressof(held))
    pointer = ctypes.create_string_buffer(described, len(described))
    done = _libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(2), pointer, ctypes.c_ulong(0), 0)
    _checked(done, "seccomp")


def landlock(readable: list[str], writable: list[str]) -> None:
    """Let this process and its children read and run `readable`, and write `writable`, alone.

    Needs PR_SET_NO_NEW_PRIVS and Linux 5.13; later versions also keep it from signalling others.
    """
    create, add, restrict = (ctypes.c_long(number) for number in LANDLOCK)
    version = _checked(_libc.syscall(create, None, ctypes.c_size_t(0), 1), "landlock")
    handled = (1 << (13 + (version >= 2) + (version >= 3))) - 1
    network, scoped = (3 if version >= 4 else 0), (3 if version >= 6 else 0)
    attributes = struct.pack("<QQQ", handled, network, scoped)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = _checked(_libc.syscall(create, attributes, ctypes.c_size_t(size), 0), "landlock")
    reading, file_only = 0b1101, 0b111 | (1 << 14 if version >= 3 else 0)
    for paths, wanted in ((readable, reading), (writable, handled)):
        for path in paths:
            try:
                handle = os.open(path, 0x200000 | os.O_CLOEXEC)  # O_PATH
            except OSError:
                continue
            access = wanted if os.path.isdir(path) else wanted & file_only
            rule = struct.pack("<Qi", access & handled, handle)
            _checked(_libc.syscall(add, ruleset, 1, rule, 0), f"landlock {path}")
            os.close(handle)
    _checked(_libc.syscall(restrict, ruleset, 0), "landlock")
    os.close(ruleset)
