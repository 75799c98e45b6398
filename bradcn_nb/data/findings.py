"""What `data verify` says: defects by kind, each with its remedy, and the report of a whole
folder."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

DEFECTS = {  # kind: what it is, and the remedy
    "missing": ("files that are missing", "restore them from the download, or delete the rest "
    "of the item"),
    "partner": ("pictures without their partner", "restore the partner, or delete the picture "
    "that is left"),
    "duplicate": ("files too many", "delete all but one"),
    "unreadable": ("files that cannot be decoded", "copy or download them again; they may be "
    "truncated"),
    "refused": ("pictures of a kind that is not read", "restore the data set's own files, or "
    "convert them to 8-bit RGB"),
    "size": ("sizes that do not agree", "restore both files; a program has resized or turned "
    "one of them"),
    "bits": ("depth maps that are not 16-bit grey", "restore the data set's own PNGs; a "
    "program has rewritten them"),
    "empty": ("depth maps without any depth", "delete these frames' folders; they cannot teach "
    "anything"),
    "camera": ("frames without a sound intrinsics.txt", "restore the file, if you need the "
    "camera; training does not"),
    "changed": ("files that are not what `data prepare` wrote", "run `data prepare` again; it "
    "mends what has changed"),
}  # fmt: skip
MANY, FEW = 50, 5  # files of one kind that the text names


@dataclass(frozen=True)
class Defect:
    """One file that is not as it should be; `fatal` if a training would fail on it."""

    kind: str  # of DEFECTS
    path: str  # relative to the root
    detail: str
    fatal: bool


@dataclass
class Report:
    """What `verify` found below `root`: lines about what is there, missing ids, defects, obstacles.

    `missing` maps a part of the set to its ids that are wholly absent, as text like "12-40, 77".
    `obstacles` are reasons beyond single files why a training cannot start.
    """

    set: str
    root: str
    items: int = 0  # pairs or frames that are there
    checked: int = 0  # of them
    present: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    defects: list[Defect] = field(default_factory=list)
    obstacles: list[str] = field(default_factory=list)
    nyu: dict[str, list[str]] = field(default_factory=dict)

    @property
    def can_train(self) -> bool:
        """Whether nothing that was found would stop a training."""
        return not self.obstacles and not any(defect.fatal for defect in self.defects)

    def as_json(self) -> dict[str, Any]:
        """All of the report as plain data."""
        return asdict(self) | {"can_train": self.can_train}

    def as_text(self, limit: int = MANY) -> str:
        """The report for people; at most `limit` files of a kind that is fatal, few of the
        others."""
        lines = [f"{self.root}", *(f"  {line}" for line in self.present)]
        if self.checked < self.items:
            lines.append(
                f"  stopped after {self.checked} of {self.items}: the rest was not looked at"
            )
        if self.missing:
            lines += ["missing", *(f"  {part}: {ids}" for part, ids in self.missing.items())]
        for fatal in (True, False):
            for kind, (what, remedy) in DEFECTS.items():
                found = [d for d in self.defects if (d.kind, d.fatal) == (kind, fatal)]
                shown = found[: limit if fatal else FEW]
                if found:
                    mild = "" if fatal else " (training does not mind)"
                    lines.append(f"{len(found)} {what}{mild}: {remedy}")
                lines += [f"  {d.path}" + f": {d.detail}" * bool(d.detail) for d in shown]
                if len(found) > len(shown):
                    lines.append(f"  and {len(found) - len(shown)} more; --json names all")
        lines += [f"training cannot start: {reason}" for reason in self.obstacles]
        return "\n".join(lines)


def compact(names: Iterable[str | int]) -> str:
    """Names in order, with runs of consecutive numbers at their ends as ranges: "12-40, 77"."""
    runs: list[list[Any]] = []  # prefix, digits, first, last
    for name in map(str, names):
        prefix, digits = re.fullmatch(r"(.*?)(\d*)", name).groups()
        last = runs[-1] if runs else None
        # Leading zeros count: NYU0009 is followed by NYU0010, not by NYU10.
        wide = len(digits) if digits.startswith("0") or prefix else 0
        if last and digits and last[0] == prefix and last[3] + 1 == int(digits):
            if not wide or len(digits) == last[1]:
                last[3] = int(digits)
                continue
        runs.append([prefix, len(digits), int(digits or 0), int(digits or 0)])
    return ", ".join(_run(*run) for run in runs)


def _run(prefix: str, width: int, first: int, last: int) -> str:
    if not width:
        return prefix
    start = f"{prefix}{first:0{width}}"
    return start if first == last else f"{start}-{last:0{width}}"
