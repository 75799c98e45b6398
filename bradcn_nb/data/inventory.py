"""What `data verify` says of a folder: what is there, what is missing, and each file's defect."""

import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bradcn_nb.errors import DataError

DEFECTS = {  # kind: what it is, and the remedy
    "missing": ("files that are missing",
                "restore them from the download, or delete the rest of the item"),
    "partner": ("pictures without their partner",
                "restore the partner, or delete the picture that is left"),
    "duplicate": ("files too many", "delete all but one"),
    "unreadable": ("files that cannot be decoded",
                   "copy or download them again; they may be truncated"),
    "refused": ("pictures of a kind that is not read",
                "restore the data set's own files, or convert them to 8-bit RGB"),
    "size": ("sizes that do not agree",
             "restore both files; a program has resized or turned one of them"),
    "bits": ("depth maps that are not 16-bit grey",
             "restore the data set's own PNGs; a program has rewritten them"),
    "empty": ("depth maps without any depth",
              "delete these frames' folders; they cannot teach anything"),
    "camera": ("frames without a sound intrinsics.txt",
               "restore the file, if you need the camera; training does not"),
    "changed": ("files that are not what `data prepare` wrote",
                "run `data prepare` again; it mends what has changed"),
}  # fmt: skip
MANY, FEW = 50, 5  # files of one kind that the text names
Content = TypeVar("Content")


@dataclass(frozen=True)
class Defect:
    """One file that is not as it should be; `fatal` if a training would fail on it."""

    kind: str  # of DEFECTS
    path: str  # relative to the root, with slashes
    detail: str
    fatal: bool


@dataclass
class Inventory:
    """What stands below `root`: lines about what is there, missing ids, defects, obstacles.

    * `items`, `checked`: pairs or frames that are there, and how many of them were looked at.
    * `missing`: part of the set -> its ids that are wholly absent, as text like "12-40, 77".
    * `obstacles`: reasons beyond single files why a training cannot start.
    * `nyu`: part of the set -> its frames from NYUv2.
    """

    set: str
    root: str
    items: int = 0
    checked: int = 0
    present: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    defects: list[Defect] = field(default_factory=list)
    obstacles: list[str] = field(default_factory=list)
    nyu: dict[str, list[str]] = field(default_factory=dict)

    @property
    def can_train(self) -> bool:
        """Whether nothing here would stop a training."""
        return not self.obstacles and not any(defect.fatal for defect in self.defects)

    def as_json(self) -> dict[str, Any]:
        """All of it as plain data."""
        return asdict(self) | {"can_train": self.can_train}

    def as_text(self, limit: int = MANY) -> str:
        """All of it for people, with at most `limit` fatal files of a kind, and few others."""
        lines = [f"{self.root}", *(f"  {line}" for line in self.present)]
        if self.checked < self.items:
            lines.append(
                f"  stopped after {self.checked} of {self.items}: the rest was not looked at"
            )
        if self.missing:
            lines += ["missing", *(f"  {part}: {ids}" for part, ids in self.missing.items())]
        for fatal in (True, False):
            for kind, (what, remedy) in DEFECTS.items():
                defects = [d for d in self.defects if (d.kind, d.fatal) == (kind, fatal)]
                named = defects[: limit if fatal else FEW]
                if defects:
                    mild = "" if fatal else " (training does not mind)"
                    lines.append(f"{len(defects)} {what}{mild}: {remedy}")
                lines += [f"  {d.path}" + f": {d.detail}" * bool(d.detail) for d in named]
                if len(defects) > len(named):
                    lines.append(f"  and {len(defects) - len(named)} more; --json names all")
        lines += [f"training cannot start: {reason}" for reason in self.obstacles]
        return "\n".join(lines)


@dataclass
class Facts:
    """What was seen of one pair or frame below `root`.

    `size`: (height, width), None where a picture cannot be read. `depths`: kind of depth -> its
    histogram and the share of its holes.
    """

    root: Path
    defects: list[Defect]
    size: tuple[int, int] | None = None
    depths: dict[str, tuple[Any, float]] = field(default_factory=dict)

    def add(self, kind: str, path: Path, detail: str, fatal: bool = True) -> None:
        """Note a defect of a file."""
        relative = path.relative_to(self.root).as_posix()
        self.defects.append(Defect(kind, relative, detail, fatal))

    def read(
        self, read: Callable[[Path], Content], path: Path, fatal: bool = True
    ) -> Content | None:
        """What `read` makes of a file; its DataError becomes a defect, and None is returned."""
        try:
            return read(path)
        except DataError as error:  # the reason stands between the name and the remedy
            reason = str(error).removeprefix(f"{path}: ").rpartition(";")[0]
            self.add(error.kind, path, reason, fatal)
            return None


def as_ranges(names: Iterable[str | int]) -> str:
    """Names in order, with runs of consecutive numbers at their ends as ranges: "12-40, 77"."""
    runs: list[list[str]] = []
    for name in map(str, names):
        if runs and _follows(name, runs[-1][-1]):
            runs[-1].append(name)
        else:
            runs.append([name])
    ends = (f"-{_number(run[-1])[1]}" if len(run) > 1 else "" for run in runs)
    return ", ".join(run[0] + end for run, end in zip(runs, ends, strict=True))


def _number(name: str) -> tuple[str, str]:
    """A name's beginning, and the digits that it ends in."""
    return re.fullmatch(r"(.*?)(\d*)", name).groups()


def _follows(name: str, before: str) -> bool:
    prefix, digits = _number(before)
    # Leading zeros count: NYU0009 is followed by NYU0010, not by NYU10.
    same = not prefix or len(name) == len(before)
    return bool(digits) and same and name == f"{prefix}{int(digits) + 1:0{len(digits)}}"
