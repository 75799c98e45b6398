"""The click-to-refocus viewer: precomputed pictures in plain HTML and script, no kernel, no network.

It needs nothing but a browser: the pictures are JPEGs inside the page, one for each focus and
aperture, so it works in the built book, on Colab and in a notebook that nobody has run.
"""

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from string import Template

import cv2
import numpy as np
from IPython.display import HTML

from bradcn_nb.lens.by_depth import render_layered
from bradcn_nb.lens.thin_lens import Camera, blur_scale

CELLS = 64  # the click map is this many cells wide
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"  # one a focus, in the click map


def refocus_stack(
    image: np.ndarray,
    disparity: np.ndarray,
    focus_m: Sequence[float],
    f_numbers: Sequence[float],
    camera: Camera | None = None,
) -> list[list[np.ndarray]]:
    """Render one picture for each focus and aperture with the classical renderer.

    Takes a sharp picture (H,W,3) sRGB in [0,1] and its disparity (H,W) in 1/m; returns a list over
    `focus_m` (metres) of lists over `f_numbers` of (H,W,3) sRGB. `camera` (default EBB!'s) gives focal
    length and sensor. Raises ValueError for a focus that is not beyond the focal length.
    """
    camera = camera or Camera()
    stack = []
    for focus in focus_m:
        row = []
        for f_number in f_numbers:
            lens = Camera(camera.focal_mm, f_number, camera.sensor_height_mm)
            radius = blur_scale(focus, lens) * image.shape[0]
            row.append(render_layered(image, disparity, 1 / focus, radius))
        stack.append(row)
    return stack


def refocus_viewer(
    stack: Sequence[Sequence[np.ndarray]],
    disparity: np.ndarray,
    focus_m: Sequence[float],
    f_numbers: Sequence[float],
    *,
    description: str,
    start: int = 0,
    quality: int = 85,
) -> HTML:
    """Show a picture that refocuses where the reader clicks; a slider sets the aperture.

    `stack[i][j]`: (H,W,3) sRGB in [0,1], focused at `focus_m[i]` metres at f-number `f_numbers[j]`,
    from `refocus_stack` or a lens renderer. `disparity` (H,W) in 1/m finds the focus nearest to what
    is clicked. `description` says what the picture shows, for readers who do not see it. All can be
    done by keyboard: arrow keys on the picture, and two sliders. It opens at the
    focus with index `start` and the first aperture. Raises ValueError when the sizes do not fit together or `focus_m` exceeds 36 entries.
    """
    if not 1 <= len(focus_m) <= len(DIGITS) or len(stack) != len(focus_m):
        raise ValueError(f"{len(stack)} rows of pictures for {len(focus_m)} focus distances")
    if not f_numbers or any(len(row) != len(f_numbers) for row in stack):
        raise ValueError(f"every focus needs one picture for each of {len(f_numbers)} apertures")
    height, width = disparity.shape
    if any(picture.shape != (height, width, 3) for row in stack for picture in row):
        raise ValueError(f"every picture must be {(height, width, 3)}, as the disparity is")
    data = {
        "focus": [_distance(metres) for metres in focus_m],
        "aperture": [f"f/{number:g}" for number in f_numbers],
        "pictures": [[_jpeg(picture, quality) for picture in row] for row in stack],
        "map": _click_map(disparity, focus_m),
    }
    content = json.dumps(data)
    text = _PAGE.substitute(
        # From the content: the same pictures give the same page, and two viewers never share a name.
        id="refocus-" + hashlib.sha256(content.encode()).hexdigest()[:12],
        data=content.replace("</", "<\\/"),
        first=data["pictures"][start][0],
        description=html.escape(description, quote=True),
        width=width,
        height=height,
        last_focus=len(focus_m) - 1,
        last_aperture=len(f_numbers) - 1,
        start=start,
        focus=data["focus"][start],
        aperture=data["aperture"][0],
    )
    return HTML(text)


def _distance(metres: float) -> str:
    return (
        "infinity" if np.isinf(metres) else f"{metres:.2g} m" if metres < 10 else f"{metres:.0f} m"
    )


def _jpeg(picture: np.ndarray, quality: int) -> str:
    """A data URI of one picture."""
    pixels = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
    coded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return "data:image/jpeg;base64," + base64.b64encode(coded.tobytes()).decode()


def _click_map(disparity: np.ndarray, focus_m: Sequence[float]) -> list[str]:
    """Rows of digits: the focus whose disparity is nearest to that of each cell of the picture."""
    height, width = disparity.shape
    rows, columns = max(1, round(height * min(1, CELLS / width))), min(CELLS, width)
    y = (np.arange(rows) + 0.5) * height / rows
    x = (np.arange(columns) + 0.5) * width / columns
    cells = disparity[np.ix_(y.astype(int), x.astype(int))]
    nearest = np.abs(cells[..., None] - 1 / np.asarray(focus_m, float)).argmin(axis=-1)
    return ["".join(DIGITS[index] for index in row) for row in nearest]


# Colours come from the page around it, so that it reads in light and dark themes alike (in dark mode
# the book's theme puts a light ground under any HTML output, and dims pictures).
_PAGE = Template("""
<style>
#$id { max-width: 720px; font: inherit; line-height: 1.4; color: var(--pst-color-text-base, inherit);
  background: var(--pst-color-background, transparent); }
#$id .picture { position: relative; cursor: crosshair; touch-action: manipulation; }
#$id .picture img { display: block; width: 100%; height: auto; margin: 0; padding: 0;
  border-radius: 0; filter: none; }
#$id .picture:focus-visible, #$id input:focus-visible { outline: 3px solid #d55e00; outline-offset: 2px; }
#$id .mark { position: absolute; width: 22px; height: 22px; margin: -11px 0 0 -11px; display: none;
  border: 2px solid #fff; border-radius: 50%; box-shadow: 0 0 0 2px #000; pointer-events: none; }
#$id .controls { display: flex; flex-wrap: wrap; gap: 4px 24px; margin-top: 8px; }
#$id label { flex: 1 1 220px; }
#$id input { width: 100%; margin: 2px 0; }
</style>
<div class="interactive" id="$id" role="group" aria-label="Refocus viewer">
  <div class="picture" tabindex="0" role="application" aria-describedby="$id-help"
    aria-label="$description">
    <img src="$first" width="$width" height="$height" alt="$description">
    <span class="mark" aria-hidden="true"></span>
  </div>
  <div class="controls">
    <label>Focus distance <input type="range" class="focus" min="0" max="$last_focus" step="1"
      value="$start" aria-valuetext="$focus"></label>
    <label>Aperture <input type="range" class="aperture" min="0" max="$last_aperture" step="1"
      value="0" aria-valuetext="$aperture"></label>
  </div>
  <div><output aria-live="polite">Focus at $focus, $aperture</output></div>
  <div id="$id-help"><small>Click what should be sharp. Or by keyboard, on the picture: left and
    right arrows move the focus, up and down arrows change the aperture.</small></div>
</div>
<script>
(function () {
  "use strict";
  const data = $data;
  const root = document.getElementById("$id");
  const picture = root.querySelector(".picture"), image = picture.querySelector("img");
  const mark = root.querySelector(".mark"), output = root.querySelector("output");
  const focus = root.querySelector(".focus"), aperture = root.querySelector(".aperture");
  function update() {
    const i = Number(focus.value), j = Number(aperture.value);
    image.src = data.pictures[i][j];
    focus.setAttribute("aria-valuetext", data.focus[i]);
    aperture.setAttribute("aria-valuetext", data.aperture[j]);
    output.textContent = "Focus at " + data.focus[i] + ", " + data.aperture[j];
  }
  focus.addEventListener("input", function () { mark.style.display = "none"; update(); });
  aperture.addEventListener("input", update);
  picture.addEventListener("click", function (event) {
    const box = image.getBoundingClientRect();
    const x = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 0.9999);
    const y = Math.min(Math.max((event.clientY - box.top) / box.height, 0), 0.9999);
    const row = data.map[Math.floor(y * data.map.length)];
    focus.value = parseInt(row[Math.floor(x * row.length)], 36);
    mark.style.left = 100 * x + "%";
    mark.style.top = 100 * y + "%";
    mark.style.display = "block";
    update();
  });
  picture.addEventListener("keydown", function (event) {
    const step = { ArrowLeft: [focus, -1], ArrowRight: [focus, 1],
      ArrowDown: [aperture, 1], ArrowUp: [aperture, -1] }[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    step[0].value = Number(step[0].value) + step[1];
    mark.style.display = "none";
    update();
  });
})();
</script>
""")
