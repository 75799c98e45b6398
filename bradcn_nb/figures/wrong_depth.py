"""A picture drawn by wrong depth: the kind of error, its size, and how the focus was found."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import numpy as np
from IPython.display import HTML

from bradcn_nb.figures.page import Markup, data_uri, page

CAPTIONS = {
    "depth": "told: bright is near",
    "drawn": "drawn by it",
    "truth": "drawn by true depth",
    "error": "error: dark is right",
}


class Drawn(NamedTuple):
    """What one way to focus makes of one wrong depth."""

    picture: np.ndarray  # (H, W, 3) in [0, 1]
    error: np.ndarray  # its error as a picture (H, W, 3)
    says: str  # the numbers, in words


class WrongDepth(NamedTuple):
    """One size of one kind of error."""

    size: str  # in words
    depth: np.ndarray  # what is told, as a picture (H, W, 3)
    drawn: Sequence[Drawn]  # one for each way to focus


def wrong_depth_viewer(
    truth: np.ndarray,
    kinds: Mapping[str, Sequence[WrongDepth]],
    focus: Sequence[str],
    *,
    description: str,
    start: int = 0,
    quality: int = 80,
) -> HTML:
    """Show what is drawn by a depth that is wrong in a chosen way and size, beside the truth.

    - `truth`: (H, W, 3) in [0, 1], drawn by true depth;
    - `kinds`: a kind of error -> its sizes, smallest first;
    - `focus`: the ways to focus, by name;
    - `description`: what the picture shows, for readers who do not see it;
    - `start`: the size that it opens at;
    - `quality`: of the JPEGs.

    All can be done by keyboard. Raises ValueError for pictures of another size, for kinds with
    unequally many sizes, and unless each has one picture for each way to focus.
    """
    counts = {len(sizes) for sizes in kinds.values()}
    if len(counts) != 1 or not start < min(counts):
        raise ValueError(f"every kind needs equally many sizes, more than {start}")
    for kind, sizes in kinds.items():
        for one in sizes:
            pictures = [one.depth, *(p for d in one.drawn for p in (d.picture, d.error))]
            if len(one.drawn) != len(focus) or any(p.shape != truth.shape for p in pictures):
                raise ValueError(
                    f"{kind}, {one.size}: needs {len(focus)} pictures of {truth.shape}"
                )

    def coded(picture: np.ndarray) -> str:
        return data_uri(picture, quality=quality)

    data = {
        "kinds": {
            kind: [
                {
                    "size": one.size,
                    "depth": coded(one.depth),
                    "drawn": [coded(d.picture) for d in one.drawn],
                    "error": [coded(d.error) for d in one.drawn],
                    "says": [d.says for d in one.drawn],
                }
                for one in sizes
            ]
            for kind, sizes in kinds.items()
        }
    }
    first = next(iter(data["kinds"].values()))[start]
    shown = {
        "depth": first["depth"],
        "drawn": first["drawn"][0],
        "truth": coded(truth),
        "error": first["error"][0],
    }
    height, width = truth.shape[:2]
    figures = (
        f"<figure><figcaption>{caption}</figcaption>"
        f'<img data-show="{name}" src="{shown[name]}" width="{width}" height="{height}" '
        f'alt="{escape(description)}: {caption}"></figure>'
        for name, caption in CAPTIONS.items()
    )
    group = hashlib.sha256(json.dumps(data).encode()).hexdigest()[:12]  # of the radio buttons
    choices = (
        f'<label><input type="radio" name="{group}" value="{n}"{" checked" * (n == 0)}>'
        f"{escape(name)}</label>"
        for n, name in enumerate(focus)
    )
    return page(
        "wrong_depth",
        data,
        options=Markup("".join(f"<option>{escape(kind)}</option>" for kind in kinds)),
        choices=Markup("".join(choices)),
        panels=Markup("".join(figures)),
        size=first["size"],
        says=first["says"][0],
        start=start,
        last=counts.pop() - 1,
    )
