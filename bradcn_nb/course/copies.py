"""Which submissions share code that is not the assignment's own, renamed variables or not.

Fingerprints of token sequences (winnowing, Schleimer et al. 2003, by `copydetect`): names of
variables and functions, text and comments do not count. It finds what a person should look at.
"""

from collections.abc import Mapping
from io import StringIO
from itertools import combinations
from typing import NamedTuple

import numpy as np
from copydetect import CodeFingerprint, compare_files

TOKENS = 25  # characters of filtered code; shorter likenesses are chance
WINDOW = 6  # a likeness of TOKENS + WINDOW - 1 is found for sure


class Likeness(NamedTuple):
    """Two submissions and how much of the shorter one's own code is in the other."""

    first: str
    second: str
    share: float  # 0 to 1
    excerpt: str  # the longest run of it, as the first has it


def likenesses(code: Mapping[str, str], known: str, at_least: float = 0.5) -> list[Likeness]:
    """Return the pairs of submissions whose code is alike, the most alike first.

    * `code`: a submission's name -> its code;
    * `known`: code that all may have, such as the master with its solutions: does not count;
    * `at_least`: the least share that is returned.
    """
    boilerplate = np.array(list(_fingerprint("known", known, np.array([])).hashes))
    prints = {name: _fingerprint(name, text, boilerplate) for name, text in code.items()}
    own = {name: one for name, one in prints.items() if one.token_coverage}
    found = []
    for first, second in combinations(sorted(own), 2):
        a, b = own[first], own[second]
        tokens, shares, (slices, _) = compare_files(a, b)
        if tokens and max(shares) >= at_least:
            start, end = max(slices.T, key=lambda ends: ends[1] - ends[0])
            excerpt = a.raw_code[int(start) : int(end)].strip()
            found.append(Likeness(first, second, min(1.0, float(max(shares))), excerpt))
    return sorted(found, key=lambda pair: -pair.share)


def _fingerprint(name: str, code: str, boilerplate: np.ndarray) -> CodeFingerprint:
    return CodeFingerprint(
        name, TOKENS, WINDOW, boilerplate=boilerplate, language="python", fp=StringIO(code)
    )
