"""A command for one photograph, given many: folders and patterns, resumed where it was stopped."""

import json
import sys
from collections.abc import Callable
from glob import glob, has_magic
from pathlib import Path
from typing import Any

from bradcn_nb.errors import BradcnError, PhotoError

MANIFEST = "rendered-with.json"


def expanded(photos: list[Path]) -> list[Path]:
    """Return the photographs, those of a folder or a pattern in place of it, in order.

    A pattern such as holiday/*.jpg comes here where the shell has not expanded it (Windows does
    not). Raises PhotoError for a folder or a pattern without any.
    """
    from bradcn_nb.data.photos import READABLE

    found = []
    for path in photos:
        if not path.exists() and has_magic(str(path)):
            matching = [Path(name) for name in sorted(glob(str(path)))]
            if not matching:
                raise PhotoError(f"{path}: no photograph has such a name")
            found += matching
            continue
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in READABLE)
        if not inside:
            raise PhotoError(f"{path}: no photograph in this folder ({', '.join(READABLE)})")
        found += inside
    return found


def render_many(
    photos: list[Path],
    out: Path,
    made_with: dict[str, Any],
    one: Callable[[Path, Path], None],
    progress: bool,
) -> None:
    """Call `one(photo, file)` for each photograph whose file below `out` is missing or older.

    `made_with` ties the folder to one way of rendering. A photograph that fails is named, and the
    others go on. Raises PhotoError for a folder that was made otherwise, for two photographs of one
    name, and at the end if any failed.
    """
    from tqdm import tqdm

    from bradcn_nb.data.photos import FORMATS
    from bradcn_nb.files import write_atomically

    if out.is_file():
        raise PhotoError(f"{out}: is a file; name a folder for {len(photos)} photographs")
    files = {
        photo: out / photo.name
        if photo.suffix.lower() in FORMATS
        else out / f"{photo.stem}.jpg"  # AVIF and HEIC are read, not written
        for photo in photos
    }
    if len({*files.values()}) < len(photos):
        raise PhotoError(f"{out}: two photographs have one name; render their folders apart")
    if out.is_dir() and any(photo.exists() and photo.parent.samefile(out) for photo in photos):
        raise PhotoError(f"{out}: holds the photographs themselves; name another folder")
    manifest, content = out / MANIFEST, f"{json.dumps(made_with, indent=1)}\n".encode()
    if manifest.is_file() and manifest.read_bytes() != content:
        raise PhotoError(f"{out}: was rendered with other settings, see {MANIFEST}; name another")
    write_atomically(manifest, content)
    failed = 0
    for photo, file in tqdm(files.items(), desc="render", unit="photo", disable=not progress):
        if file.is_file() and photo.is_file() and file.stat().st_mtime >= photo.stat().st_mtime:
            continue
        try:
            one(photo, file)
        except BradcnError as error:
            failed += 1
            tqdm.write(f"error: {error}", file=sys.stderr)
    if failed:
        raise PhotoError(f"{out}: {failed} of {len(photos)} photographs could not be rendered")
