"""The probe: maps beside their picture, and their values where the reader clicks."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from IPython.display import HTML
from matplotlib import pyplot as plt

from bradcn_nb.figures.page import Markup, data_uri, page

NONE = 65535  # no value here
GREY = 0.62


@dataclass(frozen=True)
class Frame:
    """A picture (H, W, 3) in [0, 1] and maps (H, W) in metres, NaN where there is no value."""

    name: str
    picture: np.ndarray
    maps: Mapping[str, np.ndarray]


def pixel_viewer(frames: Sequence[Frame], limits: Mapping[str, float], *, description: str) -> HTML:
    """Show frames whose maps can be read pixel by pixel, with the mouse or the arrow keys.

    `limits`: for each map, in the order of the panels, the value in metres that is drawn yellow; 0
    is dark, no value is grey. Values are read out to a millimetre. `description` says what the
    pictures show, for readers who do not see them. Raises ValueError unless all frames have these
    maps and one size.
    """
    if not frames or len({frame.name for frame in frames}) != len(frames):
        raise ValueError("a probe needs frames, each with a name of its own")
    height, width = frames[0].picture.shape[:2]
    for frame in frames:
        shapes = [frame.picture.shape[:2], *(np.shape(m) for m in frame.maps.values())]
        if list(frame.maps) != list(limits) or set(shapes) != {(height, width)}:
            raise ValueError(f"{frame.name}: needs the maps {list(limits)}, all {(height, width)}")
    data = {
        "width": width,
        "height": height,
        "maps": list(limits),
        "none": NONE,
        "frames": [_coded(frame, limits) for frame in frames],
    }
    group = hashlib.sha256(json.dumps(data).encode()).hexdigest()[:12]  # of the radio buttons
    panels = ["picture", *(f"{name}: dark 0, yellow {limit:g} m" for name, limit in limits.items())]
    choices = (
        f'<label><input type="radio" name="{group}" value="{i}"{" checked" * (i == 0)}>'
        f"{escape(frame.name)}</label>"
        for i, frame in enumerate(frames)
    )
    figures = (
        f'<figure><figcaption>{escape(panel)}</figcaption><div class="panel">'
        f'<img src="{source}" width="{width}" height="{height}" alt="{escape(panel)}">'
        '<span class="mark" aria-hidden="true"></span></div></figure>'
        for panel, source in zip(panels, data["frames"][0]["images"], strict=True)
    )
    return page(
        "pixel_values",
        data,
        description=description,
        choices=Markup("".join(choices)),
        panels=Markup("".join(figures)),
    )


def _coded(frame: Frame, limits: Mapping[str, float]) -> dict:
    """A frame as text: data URIs of the panels, the maps' millimetres as base64 of uint16."""
    images = [data_uri(np.asarray(frame.picture, float), quality=92)]
    values = []
    for name, limit in limits.items():
        metres = np.asarray(frame.maps[name], float)
        known = np.isfinite(metres)
        metres = np.where(known, metres, 0)
        colours = plt.get_cmap("viridis")(metres / limit)[..., :3]
        images.append(data_uri(np.where(known[..., None], colours, GREY), "png"))
        mm = np.rint(metres * 1000).clip(0, NONE - 1)
        coded = np.where(known, mm, NONE).astype("<u2").tobytes()
        values.append(base64.b64encode(coded).decode())
    return {"name": frame.name, "images": images, "values": values}
