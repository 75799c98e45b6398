"""A picture to spoil by slider, and what the metrics say of it."""

from html import escape

import numpy as np
from IPython.display import HTML

from bradcn_nb.figures.page import Markup, data_uri, page


def distortion_viewer(
    truth: np.ndarray,
    levels: dict[str, list[tuple[np.ndarray, str, dict[str, str]]]],
    description: str,
    quality: int = 88,
) -> HTML:
    """Show `truth` under a distortion of chosen strength, with its numbers; a button blinks back.

    - `truth`: (H, W, 3) uint8;
    - `levels`: a distortion's name -> its strengths, weakest first: each a picture like `truth`,
      the strength in words, and metric -> value in words;
    - `description`: what the picture shows, for readers who do not see it;
    - `quality`: of the JPEGs.

    Raises ValueError for pictures of another size, and unless all distortions have as many
    strengths.
    """
    counts = {len(row) for row in levels.values()}
    if len(counts) != 1 or 0 in counts:
        raise ValueError(f"every distortion needs equally many strengths, not {sorted(counts)}")
    if any(picture.shape != truth.shape for row in levels.values() for picture, _, _ in row):
        raise ValueError(f"every picture must be {truth.shape}, as the truth is")
    data = {
        "truth": data_uri(truth, quality=quality),
        "kinds": {
            kind: [
                {
                    "picture": data_uri(picture, quality=quality),
                    "strength": strength,
                    "values": values,
                }
                for picture, strength, values in row
            ]
            for kind, row in levels.items()
        },
    }
    kinds = list(levels)
    first = data["kinds"][kinds[0]][0]
    return page(
        "distortion",
        data,
        first=first["picture"],
        options=Markup("".join(f"<option>{escape(kind)}</option>" for kind in kinds)),
        cells=Markup(
            "".join(
                f"<div><small>{escape(name)}</small><b>{escape(value)}</b></div>"
                for name, value in first["values"].items()
            )
        ),
        strength=first["strength"],
        description=description,
        width=truth.shape[1],
        height=truth.shape[0],
        last=counts.pop() - 1,
    )
