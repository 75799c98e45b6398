"""Writing files so that an interruption leaves the old file or the new one, never half of one."""

import os
from pathlib import Path

from bradcn_nb.errors import DataError


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` through a temporary file beside it; folders are made as needed.

    Raises OSError where the disk is full or the folder cannot be written; the old file then stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def cache_folder() -> Path:
    """Return where this user's own copies lie: $BRADCN_CACHE, else `bradcn_nb` in the user's cache.

    That is $XDG_CACHE_HOME or ~/.cache. The folder need not exist yet.
    """
    named = os.environ.get("BRADCN_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "bradcn_nb"


def data_root() -> Path:
    """Return the folder of bundled data and weights: $BRADCN_DATA, or `data` beside the package.

    Raises DataError when there is no such folder (an installation without the repository).
    """
    named = os.environ.get("BRADCN_DATA")
    root = Path(named) if named else Path(__file__).resolve().parent.parent / "data"
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; set BRADCN_DATA to the repository's data folder")
    return root
