"""The probe: maps beside their picture, and their values where the reader clicks; no kernel, no network."""

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from string import Template

import numpy as np
from IPython.display import HTML
from matplotlib import pyplot as plt
from PIL import Image

NONE = 65535  # no value here
GREY = 0.62


@dataclass(frozen=True)
class Frame:
    """A picture (H, W, 3) in [0, 1] and maps (H, W) in metres by name, NaN where there is no value."""

    name: str
    picture: np.ndarray
    maps: Mapping[str, np.ndarray]


def probe_viewer(frames: Sequence[Frame], limits: Mapping[str, float], *, description: str) -> HTML:
    """Show frames whose maps can be read pixel by pixel, with the mouse or the arrow keys.

    `limits`: for each map, in the order of the panels, the value in metres that is drawn yellow; 0 is
    dark, no value is grey. Values are read out to a millimetre. `description` says what the pictures
    show, for readers who do not see them. Raises ValueError unless all frames have these maps and one
    size.
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
    content = json.dumps(data)
    ident = "probe-" + hashlib.sha256(content.encode()).hexdigest()[:12]
    panels = ["picture", *(f"{name}: dark 0, yellow {limit:g} m" for name, limit in limits.items())]
    text = _PAGE.substitute(
        id=ident,
        data=content.replace("</", "<\\/"),
        description=html.escape(description, quote=True),
        choices="".join(
            f'<label><input type="radio" name="{ident}" value="{i}"{" checked" * (i == 0)}>'
            f"{html.escape(frame.name)}</label>"
            for i, frame in enumerate(frames)
        ),
        panels="".join(
            f'<figure><figcaption>{html.escape(panel)}</figcaption><div class="panel">'
            f'<img src="{source}" width="{width}" height="{height}" alt="{html.escape(panel)}">'
            '<span class="spot" aria-hidden="true"></span></div></figure>'
            for panel, source in zip(panels, data["frames"][0]["images"], strict=True)
        ),
    )
    return HTML(text)


def _coded(frame: Frame, limits: Mapping[str, float]) -> dict:
    """A frame as text: data URIs of the panels, and the maps' values as base64 of uint16 millimetres."""
    images = [_uri(np.asarray(frame.picture, float), "JPEG")]
    values = []
    for name, limit in limits.items():
        metres = np.asarray(frame.maps[name], float)
        known = np.isfinite(metres)
        metres = np.where(known, metres, 0)
        colours = plt.get_cmap("viridis")(metres / limit)[..., :3]
        images.append(_uri(np.where(known[..., None], colours, GREY), "PNG"))
        mm = np.rint(metres * 1000).clip(0, NONE - 1)
        coded = np.where(known, mm, NONE).astype("<u2").tobytes()
        values.append(base64.b64encode(coded).decode())
    return {"name": frame.name, "images": images, "values": values}


def _uri(picture: np.ndarray, kind: str) -> str:
    data = BytesIO()
    pixels = np.rint(picture.clip(0, 1) * 255).astype(np.uint8)
    Image.fromarray(pixels).save(data, kind, quality=92)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(data.getvalue()).decode()}"


_PAGE = Template("""
<style>
#$id { max-width: 760px; font: inherit; line-height: 1.4; color: var(--pst-color-text-base, inherit);
  background: var(--pst-color-background, transparent); padding: .3em; }
#$id fieldset { border: 0; padding: 0; margin: 0 0 .4em; }
#$id legend { font-weight: bold; font-size: 1em; padding: 0; margin: 0; float: left; margin-right: 1em; }
#$id label { display: inline-block; margin: 0 1em 0 0; cursor: pointer; }
#$id input { accent-color: #0072b2; margin-right: .35em; }
#$id .panels { display: grid; grid-template-columns: 1fr 1fr; gap: .6em; cursor: crosshair;
  touch-action: manipulation; }
#$id .panels:focus-visible { outline: 3px solid #d55e00; outline-offset: 2px; }
#$id figure { margin: 0; }
#$id figcaption { font-size: .9em; margin: 0 0 .2em; text-align: left; }
#$id .panel { position: relative; }
#$id img { display: block; width: 100%; height: auto; margin: 0; padding: 0; border-radius: 0;
  image-rendering: pixelated; filter: none; }
#$id .spot { position: absolute; width: 12px; height: 12px; margin: -6px 0 0 -6px; pointer-events: none;
  box-sizing: border-box; background: none;
  border: 2px solid #fff; border-radius: 50%; box-shadow: 0 0 0 2px #000; }
#$id output { display: block; min-height: 3em; border-left: 4px solid #0072b2; padding: .2em 1em;
  margin: 0 0 .6em; }
</style>
<div class="interactive" id="$id" role="group" aria-label="Probe">
  <fieldset><legend>Frame</legend>$choices</fieldset>
  <output aria-live="polite"></output>
  <div class="panels" tabindex="0" role="application" aria-label="$description"
    aria-describedby="$id-help">$panels</div>
  <div id="$id-help"><small>Click a pixel in any panel. Or by keyboard: Tab to the panels, then the
    arrow keys; with Shift, eight pixels at a time.</small></div>
</div>
<script>
(function () {
  "use strict";
  const data = $data;
  const root = document.getElementById("$id");
  const panels = root.querySelector(".panels"), output = root.querySelector("output");
  const decoded = data.frames.map(function (frame) {
    return frame.values.map(function (text) {
      const bytes = atob(text), values = new Uint16Array(bytes.length / 2);
      for (let i = 0; i < values.length; i++)
        values[i] = bytes.charCodeAt(2 * i) + 256 * bytes.charCodeAt(2 * i + 1);
      return values;
    });
  });
  let shown = 0, row = Math.floor(data.height / 2), column = Math.floor(data.width / 2);
  function update() {
    const said = data.maps.map(function (name, k) {
      const value = decoded[shown][k][row * data.width + column];
      return name + " " + (value === data.none ? "unknown" : (value / 1000).toFixed(3) + " m");
    });
    output.textContent = "Row " + row + ", column " + column + ": " + said.join(", ");
    root.querySelectorAll(".spot").forEach(function (mark) {
      mark.style.left = 100 * (column + 0.5) / data.width + "%";
      mark.style.top = 100 * (row + 0.5) / data.height + "%";
    });
  }
  function move(down, right) {
    row = Math.min(Math.max(row + down, 0), data.height - 1);
    column = Math.min(Math.max(column + right, 0), data.width - 1);
    update();
  }
  root.querySelectorAll("input").forEach(function (input) {
    input.addEventListener("change", function () {
      shown = Number(input.value);
      root.querySelectorAll("img").forEach(function (image, k) {
        image.src = data.frames[shown].images[k];
      });
      update();
    });
  });
  root.querySelectorAll("img").forEach(function (image) {
    image.addEventListener("click", function (event) {
      const box = image.getBoundingClientRect();
      row = Math.floor((event.clientY - box.top) / box.height * data.height);
      column = Math.floor((event.clientX - box.left) / box.width * data.width);
      move(0, 0);
    });
  });
  panels.addEventListener("keydown", function (event) {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1],
      ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const far = event.shiftKey ? 8 : 1;
    move(far * step[0], far * step[1]);
  });
  update();
})();
</script>
""")
