"""Compare the measured numbers that the texts quote with the files of data/results.

    python book/check_numbers.py    # or: make check-numbers

It reads README.md, the pages book/*.md and the Markdown cells of the chapters' .py, to which
`refresh.py --check` holds the .ipynb. There an HTML comment, which no reader sees, says where a
number comes from. It stands right behind the number, on the same line, after one space at most,
before the unit:

    28.50<!-- =mini.psnr --> dB                       a key's value: experiments.record.result
    14<!-- =metrics.traps.share_pixels * 100 --> %    times (" * ") or over (" / ") a number,
    1.32<!-- =mini.psnr / mini.psnr_input -->         from left to right, or another key
    24.83<!-- paper --> dB                            the paper's own, or counted from the paper's
    48<!-- bench --> dB                               printed by a command that keeps no file
    1<!-- example --> dB                              made up, as in "1 dB is hardly visible"

A key may hold spaces and dashes: `table2.differences.full - shuffled.psnr.mean`. There is no minus
between keys: files of results hold differences, with their intervals.

Rounded to the decimals that the text shows, the value must be exactly what the text says; a plus, a
true minus and commas between thousands may be written. The rule: every number before "dB" carries
such a comment. Other numbers may; those that come from data/results should. What no comment can
stand in is not compared: alternative texts, and numbers written as words.
"""

import re
import sys
from pathlib import Path

from bradcn_nb.errors import DataError
from bradcn_nb.experiments.record import result

ROOT = Path(__file__).resolve().parents[1]
FROM_ASSIGNMENTS = ("mistakes", "rubrics")  # pages whose numbers are examples
UNCHECKED = {"paper", "bench", "example"}
NUMBER = r"(?<![\w.,])(?P<number>[+\-−]?\d[\d,]*(?:\.\d+)?)"
COMMENT = re.compile(rf"(?:{NUMBER} ?)?<!--(?P<mark>.*?)-->", re.DOTALL)
UNMARKED_DB = re.compile(rf"{NUMBER}[*_]*\s*dB\b")


def markdown(path: Path) -> str:
    """Return a page's text, or the Markdown of a chapter's .py: line n of the file is line n of
    it."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    lines, inside = [], False
    for line in text.splitlines():
        if line.startswith("# %%"):
            inside, line = line.startswith("# %% [markdown]"), ""
        lines.append(line.removeprefix("#").removeprefix(" ") if inside else "")
    return "\n".join(lines)


def measured(key: str) -> float:
    """Return the number under `key`. Raises DataError where there is none."""
    value = result(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"data/results: {key} is no number")
    return value


def evaluate(expression: str) -> float:
    """Return the value of a mark without its "=". Raises DataError for a key that is not there."""
    first, *rest = re.split(r" ([*/]) ", expression)
    value = measured(first)
    for sign, operand in zip(rest[::2], rest[1::2], strict=True):
        try:
            by = float(operand)
        except ValueError:
            by = measured(operand)
        value = value * by if sign == "*" else value / by
    return value


def compare(number: str, expression: str) -> str | None:
    """Return what is wrong with a quoted number, or None."""
    decimals = len(number.partition(".")[2])
    commas = "," if "," in number else ""
    try:
        wanted = f"{evaluate(expression):z{commas}.{decimals}f}"
    except DataError as error:
        return str(error)
    if number.replace("−", "-").removeprefix("+") == wanted:
        return None
    file = f"data/results/{expression.partition('.')[0]}.json"
    return f"says {number}, {file} {expression} is {wanted}"


def check_text(text: str) -> tuple[list[tuple[int, str]], int]:
    """Return the faults of a text, each with its line (from 1), and how many numbers agree."""
    found, agreed = {}, 0
    for comment in COMMENT.finditer(text):
        number, mark = comment["number"], " ".join(comment["mark"].split())
        known = mark.startswith("=") or mark in UNCHECKED
        fault = None
        if number is None:
            fault = f"no number right before <!-- {mark} -->" if known else None
        elif mark.startswith("="):
            fault = compare(number, mark[1:].strip())
            agreed += fault is None
        elif not known:
            fault = f"behind {number} stands the unknown mark <!-- {mark} -->"
        if fault:
            found[comment.start("mark")] = fault
    # Marked numbers are crossed out; whatever still stands before "dB" has no mark.
    left = COMMENT.sub(lambda comment: re.sub(r"[^\n]", "|", comment[0]), text)
    for bare in UNMARKED_DB.finditer(left):
        found[bare.start()] = f"{bare['number']} dB has no mark, such as <!-- =mini.psnr -->"
    return [(text.count("\n", 0, at) + 1, found[at]) for at in sorted(found)], agreed


def check(root: Path) -> tuple[list[str], dict[str, int]]:
    """Return the faults of the texts below `root`, and how many numbers agree in each file that
    has some."""
    faults, agreed = [], {}
    book = root / "book"
    pages = sorted(book.glob("*.md")) + sorted(book.glob("course/*.md"))
    pages = [path for path in pages if path.stem not in FROM_ASSIGNMENTS]
    for path in (root / "README.md", *pages, *sorted(book.glob("[0-9]*.py"))):
        name = path.relative_to(root).as_posix()
        found, number = check_text(markdown(path))
        faults += [f"{name}:{line}: {fault}" for line, fault in found]
        if number:
            agreed[name] = number
    return faults, agreed


def main() -> int:
    """Print the faults, or how many numbers agree; return the exit status."""
    faults, agreed = check(ROOT)
    print(*faults, sep="\n", end="\n" if faults else "")
    if not faults:
        print(f"{sum(agreed.values())} numbers in {len(agreed)} files agree with data/results")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
