"""What a prepared folder says of itself: one line of JSON for the whole, one for every frame.

`data prepare` writes `prepared.jsonl` line by line as frames are done, so a run that is killed
knows what it has. A line that was cut in the midst is left out; the last line of an item counts,
and one without files takes the item back. {"begun": ...} opens every run, {"done": ...} as the last
line of all says that all is there. Readers refuse a folder that is not done, and any other size
than the prepared.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bradcn_nb.errors import DataError

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
    """The manifest of a prepared folder, or None if `root` is not one; DataError if it is
    damaged."""
    path = root / MANIFEST
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        lines = []
    found = [_object(line) for line in lines]
    if not found or not found[0] or found[0].get("format") != FORMAT:
        raise DataError(
            f"{path}: is no manifest of this version; delete {root} and prepare it again"
        )
    prepared = Prepared(found[0])
    for entry in found[1:]:
        prepared.done = bool(entry and "done" in entry)
        if entry and "id" in entry:
            prepared.records[entry["id"]] = entry
    prepared.records = {key: entry for key, entry in prepared.records.items() if entry["files"]}
    return prepared


def _object(line: str) -> dict[str, Any] | None:
    """The JSON object of a line, or None for a line that was cut."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


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
        raise DataError(f"{root}: was prepared from {head['set']}, not {name}; name another folder")
    if not prepared.done:
        raise DataError(
            f"{root}: its preparation was not finished; run the same `data prepare` again"
        )
    if size is None or [*size] != head["size"]:
        height, width = head["size"]
        asked = "their own size" if size is None else f"{size[1]}x{size[0]}"
        raise DataError(
            f"{root}: was prepared at {width}x{height}, but the pictures are wanted at {asked}; "
            "name the folder of the originals"
        )
    if kind != head["kind"]:
        raise DataError(f"{root}: was prepared with {head['kind']}, not {kind}; prepare it again")


def sha256(data: bytes) -> str:
    """The sha256 of a file's contents, in hex."""
    return hashlib.sha256(data).hexdigest()


def changed_files(root: Path, record: Mapping[str, Any]) -> list[str]:
    """The files of a record that are missing below `root`, or not as they were written."""
    changed = []
    for path, (_, digest) in record["files"].items():
        try:
            same = sha256((root / path).read_bytes()) == digest
        except OSError:
            same = False
        if not same:
            changed.append(path)
    return changed
