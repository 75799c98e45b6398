"""A picture to spoil by slider, and what the metrics say of it: plain HTML and script, no kernel, no network."""

import base64
import hashlib
import html
import json
from string import Template

import cv2
import numpy as np
from IPython.display import HTML


def distortion_viewer(
    truth: np.ndarray,
    levels: dict[str, list[tuple[np.ndarray, str, dict[str, str]]]],
    description: str,
    quality: int = 88,
) -> HTML:
    """Show `truth` under a chosen distortion of chosen strength, with its numbers; a button blinks back.

    `levels` maps a distortion's name to its strengths, weakest first: each a uint8 (H, W, 3) picture
    like `truth`, the strength in words, and metric -> value in words. `description` says what the
    picture shows, for readers who do not see it. Everything is reached by keyboard. Raises
    ValueError for pictures of another size, and unless all distortions have as many strengths.
    """
    counts = {len(row) for row in levels.values()}
    if len(counts) != 1 or 0 in counts:
        raise ValueError(f"every distortion needs equally many strengths, not {sorted(counts)}")
    if any(picture.shape != truth.shape for row in levels.values() for picture, _, _ in row):
        raise ValueError(f"every picture must be {truth.shape}, as the truth is")
    data = {
        "truth": _jpeg(truth, quality),
        "kinds": {
            kind: [
                {"picture": _jpeg(picture, quality), "strength": strength, "values": values}
                for picture, strength, values in row
            ]
            for kind, row in levels.items()
        },
    }
    content = json.dumps(data)
    kinds = list(levels)
    first = data["kinds"][kinds[0]][0]
    text = _PAGE.substitute(
        # From the content: the same pictures give the same page.
        id="distort-" + hashlib.sha256(content.encode()).hexdigest()[:12],
        data=content.replace("</", "<\\/"),
        first=first["picture"],
        options="".join(f"<option>{html.escape(kind)}</option>" for kind in kinds),
        cells="".join(
            f"<div><small>{html.escape(name)}</small><b>{html.escape(value)}</b></div>"
            for name, value in first["values"].items()
        ),
        strength=html.escape(first["strength"]),
        description=html.escape(description, quote=True),
        width=truth.shape[1],
        height=truth.shape[0],
        last=counts.pop() - 1,
    )
    return HTML(text)


def _jpeg(picture: np.ndarray, quality: int) -> str:
    coded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return "data:image/jpeg;base64," + base64.b64encode(coded.tobytes()).decode()


# Colours come from the page around it, so that it reads in light and dark themes alike.
_PAGE = Template("""
<style>
#$id { max-width: 620px; font: inherit; line-height: 1.4; color: var(--pst-color-text-base, inherit);
  background: var(--pst-color-background, transparent); }
#$id img { display: block; width: 100%; height: auto; margin: 0; padding: 0; border-radius: 0;
  filter: none; }
#$id .controls { display: flex; flex-wrap: wrap; gap: 6px 20px; align-items: end; margin-bottom: 8px; }
#$id label { flex: 1 1 150px; }
#$id select, #$id button { font: inherit; color: inherit; background: transparent;
  border: 1px solid currentColor; border-radius: 4px; padding: 3px 8px; }
#$id select option { color: #1b1b1b; background: #fff; }
#$id select, #$id input { display: block; width: 100%; }
#$id button[aria-pressed="true"] { background: #0072b2; color: #fff; }
#$id :focus-visible { outline: 3px solid #d55e00; outline-offset: 2px; }
#$id output { display: block; margin-top: 8px; }
#$id .values { display: flex; gap: 28px; margin-top: 2px; }
#$id .values div { min-width: 5em; }
#$id .values b { display: block; font-size: 1.25em; font-variant-numeric: tabular-nums; }
#$id .values.off { visibility: hidden; }
</style>
<div class="interactive" id="$id" role="group" aria-label="Distortions and their numbers">
  <div class="controls">
    <label>Distortion <select>$options</select></label>
    <label>Strength <input type="range" min="0" max="$last" step="1" value="0"
      aria-valuetext="$strength"></label>
    <button type="button" aria-pressed="false">Show the truth</button>
  </div>
  <img src="$first" width="$width" height="$height" alt="$description">
  <output aria-live="polite">$strength</output>
  <div class="values">$cells</div>
</div>
<script>
(function () {
  "use strict";
  const data = $data;
  const root = document.getElementById("$id"), image = root.querySelector("img");
  const kind = root.querySelector("select"), level = root.querySelector("input");
  const button = root.querySelector("button"), output = root.querySelector("output");
  const values = root.querySelector(".values");
  function update() {
    const truth = button.getAttribute("aria-pressed") === "true";
    const entry = data.kinds[kind.value][Number(level.value)];
    image.src = truth ? data.truth : entry.picture;
    level.setAttribute("aria-valuetext", entry.strength);
    output.textContent = truth ? "the truth" : entry.strength;
    values.classList.toggle("off", truth);
    Object.values(entry.values).forEach(function (value, number) {
      values.children[number].querySelector("b").textContent = value;
    });
  }
  function choose() { button.setAttribute("aria-pressed", "false"); update(); }
  kind.addEventListener("change", choose);
  level.addEventListener("input", choose);
  button.addEventListener("click", function () {
    button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
    update();
  });
})();
</script>
""")
