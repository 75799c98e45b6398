"""What grading found out: of a question, and of a submission."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Answer:
    """A question's outcome: `status` is a key of report.ADVICE, `private` for the instructor."""

    points: float
    of: float
    status: str
    message: str = ""
    private: str = ""


@dataclass
class Grade:
    """A submission's outcome, as it is kept and reported."""

    student: str
    assignment: str
    file: str
    answers: dict[str, Answer] = field(default_factory=dict)
    essays: dict[str, str] = field(default_factory=dict)
    essay_points: dict[str, float] = field(default_factory=dict)
    cells: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    protection: str = ""

    @property
    def points(self) -> float:
        """The sum of what the checks gave."""
        return sum(one.points for one in self.answers.values())

    @property
    def of(self) -> float:
        """The most that the checks can give."""
        return sum(one.of for one in self.answers.values())

    @property
    def readable(self) -> bool:
        """Whether the notebook could be read, and belongs to an assignment."""
        return any(one.status != "unread" for one in self.answers.values())

    def as_json(self) -> dict:
        """Return it as plain values; `from_json` reads them."""
        return asdict(self)

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> "Grade":
        """Return what `as_json` gave."""
        answers = {name: Answer(**one) for name, one in held["answers"].items()}
        return cls(**{**held, "answers": answers})
