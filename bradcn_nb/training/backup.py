"""A run kept twice: on this machine's disk, and in a slower folder such as a mounted Drive.

A copy is a tar of the run directory. Two files are overwritten in turn and in place, since a Drive
would keep every file that is deleted or replaced in its bin. So one whole copy is there whenever a
machine is taken away.
"""

import hashlib
import json
import os
import tarfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from bradcn_nb.errors import RunError

HEADER = 256  # bytes of JSON before the tar, blank until the tar behind it is whole
SECONDS = 300.0  # between two copies
BLOCK = 1 << 20


class Backup:
    """While it is entered, copies of `run_dir` are made in `folder`, in the background.

    On entering, an empty or absent `run_dir` is filled from the newest whole copy. A copy is made
    every `seconds` in which the run has changed, and at the end. Raises RunError for a `folder`
    that cannot be written; what fails later, such as a full Drive, is kept in `error`, and the run
    goes on.
    """

    def __init__(self, run_dir: Path, folder: Path, seconds: float = SECONDS) -> None:
        self.run_dir, self.seconds = run_dir, seconds
        self.slots = [folder / f"run-{number}.tar" for number in (0, 1)]
        self.error: OSError | None = None
        self._end, self._seen = threading.Event(), 0
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Backup":
        try:
            self.slots[0].parent.mkdir(parents=True, exist_ok=True)
            if not _files(self.run_dir):
                self.restore()
        except OSError as error:
            raise RunError(
                f"{self.slots[0].parent}: cannot keep a run ({error.strerror})"
            ) from error
        self._seen = _newest(self.run_dir)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()

    def restore(self) -> bool:
        """Unpack the newest whole copy into the run directory; return whether there is one."""
        for slot in sorted(self.slots, key=_number, reverse=True):
            if _number(slot) and _is_whole(slot):
                self.run_dir.mkdir(parents=True, exist_ok=True)
                with open(slot, "rb") as file:
                    file.seek(HEADER)
                    with tarfile.open(fileobj=file, mode="r|") as tar:
                        tar.extractall(self.run_dir, filter="data")
                return True
        return False

    def _watch(self) -> None:
        while not self._end.wait(self.seconds):
            self._copy_if_changed()
        self._copy_if_changed()

    def _copy_if_changed(self) -> None:
        newest = _newest(self.run_dir)
        if newest == self._seen:
            return
        try:
            self._copy()
            self._seen, self.error = newest, None
        except OSError as error:
            self.error = error

    def _copy(self) -> None:
        older, newer = sorted(self.slots, key=_number)
        with open(older, "r+b" if older.exists() else "w+b") as file:
            file.write(b" " * HEADER)
            _flush(file)
            written = _Hashed(file)
            with tarfile.open(fileobj=written, mode="w|") as tar:
                for path in _files(self.run_dir):  # each is whole: a run replaces its files
                    tar.add(path, path.relative_to(self.run_dir))
            file.truncate()
            about = {"number": _number(newer) + 1, "bytes": written.bytes,
                     "sha256": written.digest.hexdigest()}  # fmt: skip
            _flush(file)
            file.seek(0)
            file.write(json.dumps(about).encode().ljust(HEADER))
            _flush(file)


class _Hashed:
    """A file to write to that knows the sha256 and the number of what was written."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.digest, self.bytes = file, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.bytes += len(data)
        return self.file.write(data)


def _files(run_dir: Path) -> list[Path]:
    """A run's files, checkpoints before the logs that belong to them; pictures and halves not."""
    kinds = (".safetensors", ".json", ".png", ".csv")
    paths = [path for path in run_dir.rglob("*") if path.suffix in kinds and path.is_file()]
    own = [path for path in paths if path.parent.name != "samples"]
    return sorted(own, key=lambda path: (kinds.index(path.suffix), path))


def _newest(run_dir: Path) -> int:
    """When the run last changed, in ns; 0 for an empty one."""
    times = []
    for path in _files(run_dir):
        try:
            times.append(path.stat().st_mtime_ns)
        except FileNotFoundError:  # moved aside just now
            continue
    return max(times, default=0)


def _about(slot: Path) -> dict[str, Any]:
    try:
        with open(slot, "rb") as file:
            return dict(json.loads(file.read(HEADER)))
    except (OSError, ValueError, TypeError):
        return {}


def _number(slot: Path) -> int:
    """How many copies had been made with this one; 0 where there is no whole one."""
    return int(_about(slot).get("number", 0))


def _is_whole(slot: Path) -> bool:
    about, digest = _about(slot), hashlib.sha256()
    with open(slot, "rb") as file:
        file.seek(HEADER)
        left = int(about["bytes"])
        while left and (block := file.read(min(BLOCK, left))):
            digest.update(block)
            left -= len(block)
    return not left and digest.hexdigest() == about["sha256"]


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
