"""Which submissions share code that is not the assignment's own, renamed variables or not.

Fingerprints of token sequences (winnowing, Schleimer et al. 2003, by `copydetect`): names of
variables and functions, text and comments do not count. It finds what a person should look at.
"""

import re
from collections.abc import Iterable, Mapping
from io import StringIO
from itertools import combinations
from typing import NamedTuple

from copydetect import CodeFingerprint, compare_files
from copydetect.utils import get_token_coverage

TOKENS = 25  # characters of filtered code; shorter likenesses are chance
WINDOW = 6  # a likeness of TOKENS + WINDOW - 1 is found for sure
LEAST = 100  # characters of filtered code that two must share: some three lines
SEAM = "0" * TOKENS  # between cells: what is known stays so, whichever cell comes next
YEAR = re.compile(r"^SEED = \d+$", re.MULTILINE)


class Likeness(NamedTuple):
    """Two submissions and how much of the shorter one's own code is in the other."""

    first: str
    second: str
    share: float  # 0 to 1
    excerpt: str  # the longest run of it, as the first has it


def joined(cells: Iterable[str]) -> str:
    """Return the code of a notebook's cells as `likenesses` wants it."""
    cells = [YEAR.sub("SEED = 0", cell.rstrip()) for cell in cells]
    return "\n".join(["", *(f"{cell}\n{SEAM}" for cell in cells)])


def likenesses(code: Mapping[str, str], known: str, at_least: float = 0.5) -> list[Likeness]:
    """Return the pairs of submissions whose code is alike, the most alike first.

    * `code`: a submission's name -> its code;
    * `known`: code that all may have, such as the master with its solutions: does not count;
    * `at_least`: the least share that is returned.
    """
    given = _fingerprint("known", known, window=1).hashes  # all of it, wherever windows begin
    prints = {name: _fingerprint(name, text) for name, text in code.items()}
    for one in prints.values():
        # Not by copydetect's `boilerplate`: it overlooks what occurs twice (0.5.0).
        one.hashes = one.hashes - given
        one.hash_idx = {key: at for key, at in one.hash_idx.items() if key in one.hashes}
        one.token_coverage = get_token_coverage(one.hash_idx, TOKENS, len(one.filtered_code))
    own = {name: one for name, one in prints.items() if one.token_coverage}
    found = []
    for first, second in combinations(sorted(own), 2):
        a, b = own[first], own[second]
        tokens, shares, (slices, _) = compare_files(a, b)
        if tokens >= LEAST and max(shares) >= at_least:
            start, end = (int(x) for x in max(slices.T, key=lambda ends: ends[1] - ends[0]))
            start = a.raw_code.rfind("\n", 0, start) + 1  # whole lines
            excerpt = a.raw_code[start:end] + a.raw_code[end:].partition("\n")[0]
            excerpt = excerpt.replace(SEAM, "").strip("\n")
            found.append(Likeness(first, second, min(1.0, float(max(shares))), excerpt))
    return sorted(found, key=lambda pair: -pair.share)


def _fingerprint(name: str, code: str, window: int = WINDOW) -> CodeFingerprint:
    return CodeFingerprint(name, TOKENS, window, language="python", fp=StringIO(code))
