"""Files that are whole or absent, the sha256 of a file, and the folders of data and caches."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bradcn_nb.errors import DataError

_UMASK = os.umask(0o022)  # there is no way to read it without setting it
os.umask(_UMASK)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a name beside `path` to write to; at the end it becomes `path`, or after an error goes.

    So `path` is the old file or the new one at every moment, never half of one, and other users may
    read it as they may read what is written plainly. Folders are made as needed. Raises OSError
    where the disk is full or the folder cannot be written; the old file then stays.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        sync_replace(temporary, path)
    finally:  # half a file would keep the room that is needed
        temporary.unlink(missing_ok=True)


def sync_replace(temporary: Path, path: Path) -> None:
    """Flush `temporary` to the disk, open it to whom the umask allows, and rename it to `path`."""
    with open(temporary, "rb+") as file:
        os.fsync(file.fileno())
    temporary.chmod(0o666 & ~_UMASK)  # safetensors writes for the owner alone
    os.replace(temporary, path)


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all; raises OSError as `replacing` does."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def is_unused(folder: Path) -> bool:
    """Whether a folder is absent, or holds no more than what a killed `replacing` had begun."""
    if not folder.is_dir():
        return not folder.exists()
    return all(path.match(".*.*.tmp") for path in folder.iterdir())


def file_digest(path: str | Path) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits; raises OSError if it cannot be read."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def data_root() -> Path:
    """Return the folder of bundled data, weights and results.

    That is $BRADCN_DATA; else `data` of the repository that this package lies in; else the copy of
    it that an installed package carries. Raises DataError when there is none.
    """
    package = Path(__file__).resolve().parent
    if named := os.environ.get("BRADCN_DATA"):
        root = Path(named)
    elif (package.parent / "pyproject.toml").is_file():
        root = package.parent / "data"
    else:  # never a folder `data` beside the package, which would be another package's
        root = package / "data" / "bundled"
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; set BRADCN_DATA to the repository's data folder")
    return root


def cache_folder() -> Path:
    """Return where this user's own copies lie: $BRADCN_CACHE, else `bradcn_nb` in the user's cache.

    That is $XDG_CACHE_HOME or ~/.cache. The folder need not exist yet.
    """
    named = os.environ.get("BRADCN_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "bradcn_nb"
