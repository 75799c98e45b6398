"""What a prepared folder says of itself: one line of JSON for the whole, one for every frame.

`data prepare` writes `prepared.jsonl` line by line as frames are done, so a run that is killed
knows what it has. A line that was cut in the midst is left out; the last line of an item counts,
and one without files takes the item back. {"begun": ...} opens every run, {"done": ...} as the last
line of all says that all is there. Readers refuse a folder that is not done, and any other size
than the prepared.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bradcn_nb.errors import DataError
from bradcn_nb.files import file_digest

MANIFEST = "prepared.jsonl"
FORMAT = 1  # raise it when folders prepared before can no longer be used


@dataclass
class Prepared:
    """A manifest: its head, the record of every frame by id, and whether the work was finished.

    head: format, set, size [h, w], kind (of SUN RGB-D's depth) and encoding. A record: "source",
    for every file read its name, bytes and time of change in ns; "files", for every file written
    its path relative to the folder, bytes and sha256.
    """

    head: dict[str, Any]
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    done: bool = False


def read_prepared(root: Path) -> Prepared | None:
    """The manifest of a prepared folder, None for another; DataError if it is damaged."""
    path = root / MANIFEST
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        lines = []
    head, *entries = map(_object, lines or [""])
    if head.get("format") != FORMAT:
        raise DataError(
            f"{path}: is no manifest of this version; delete {root} and prepare it again"
        )
    prepared = Prepared(head)
    for entry in entries:
        prepared.done = "done" in entry
        if "id" in entry:
            prepared.records[entry["id"]] = entry
    prepared.records = {key: entry for key, entry in prepared.records.items() if entry["files"]}
    return prepared


def _object(line: str) -> dict[str, Any]:
    """The JSON object of a line, empty for a line that was cut."""
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def append(root: Path, entry: dict[str, Any]) -> None:
    """Add one line to the manifest, on a line of its own even after one that was cut."""
    with open(root / MANIFEST, "ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(json.dumps(entry).encode() + b"\n")


def check_prepared(
    root: Path, name: str, size: tuple[int, int] | None, kind: str | None = None
) -> None:
    """Raise DataError if `root` is a prepared folder that a reader of `name` must not take.

    That is one that is not finished, of another data set, or prepared for another `size` (h, w) or
    `kind` of depth. Any folder that is not prepared passes.
    """
    prepared = read_prepared(root)
    if prepared is None:
        return
    head = prepared.head
    if head["set"] != name:
        problem = f"was prepared from {head['set']}, not {name}; name another folder"
    elif not prepared.done:
        problem = "its preparation was not finished; run the same `data prepare` again"
    elif size is None or [*size] != head["size"]:
        asked = "their own size" if size is None else f"{size[1]}x{size[0]}"
        problem = (
            f"was prepared at {head['size'][1]}x{head['size'][0]}, but the pictures are wanted at "
            f"{asked}; name the folder of the originals"
        )
    elif kind != head["kind"]:
        problem = f"was prepared with {head['kind']}, not {kind}; prepare it again"
    else:
        return
    raise DataError(f"{root}: {problem}")


def changed_files(root: Path, record: Mapping[str, Any]) -> list[str]:
    """The files of a record that are missing below `root`, or not as they were written."""

    def digest(path: str) -> str | None:
        try:
            return file_digest(root / path)
        except OSError:
            return None

    return [path for path, (_, kept) in record["files"].items() if digest(path) != kept]
