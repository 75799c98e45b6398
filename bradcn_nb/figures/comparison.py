"""Every method beside one that the reader chooses: differences with intervals; no kernel, no network."""

import hashlib
import html
import json
from collections.abc import Mapping
from itertools import combinations
from string import Template
from typing import Any

from IPython.display import HTML

from bradcn_nb.evaluation.intervals import comparisons

# Metric -> its name, its digits on the page, and whether higher is better.
METRICS = {"psnr": ("PSNR, dB", 3, True), "ssim": ("SSIM", 4, True), "lpips": ("LPIPS", 4, False)}


def comparison_viewer(
    records: Mapping[str, Mapping[str, Any]], titles: Mapping[str, str], reference: str
) -> HTML:
    """Show each arm's paired difference to a chosen arm, in a chosen metric, with its 95 % interval.

    `records`: those of a table's NAME-images.json, by "ARM/SEED". `titles`: an arm's name -> its row's
    title, in the order of the rows; arms without records have no row. `reference`: the arm that is
    chosen first, if it has records. The intervals are those of `statistics.crossed_interval`, over
    seeds and pictures. Two arms with fewer than two seeds in common have none, and the row says so.
    Raises ValueError for fewer than two arms, and unless all records are of the same pictures.
    """
    trained = {record["arm"] for record in records.values()}
    arms = [arm for arm in titles if arm in trained]
    if len(arms) < 2:
        raise ValueError(f"a comparison needs two arms with records, not {arms}")
    compared = comparisons(records, combinations(arms, 2), tuple(METRICS))
    data = {
        "titles": [titles[arm] for arm in arms],
        "metrics": [list(about) for about in METRICS.values()],
        "pictures": len(next(iter(records.values()))["id"]),
        # "i-j": how many seeds, then (mean, low, high) of i - j for each metric
        "pairs": {
            f"{arms.index(a)}-{arms.index(b)}": [
                len(seeds),
                *([round(end, 6) for end in intervals[metric]] for metric in METRICS),
            ]
            for (a, b), (seeds, intervals) in compared.items()
        },
    }
    content = json.dumps(data, separators=(",", ":"))
    chosen = arms.index(reference) if reference in arms else 0
    text = _PAGE.substitute(
        # From the content: the same records give the same page.
        id="compare-" + hashlib.sha256(content.encode()).hexdigest()[:12],
        data=content.replace("</", "<\\/"),
        references="".join(
            f'<option value="{n}"{" selected" * (n == chosen)}>{html.escape(titles[arm])}</option>'
            for n, arm in enumerate(arms)
        ),
        metrics="".join(
            f'<option value="{n}">{html.escape(name)}</option>'
            for n, (name, *_) in enumerate(METRICS.values())
        ),
    )
    return HTML(text)


# Colours come from the page around it, so that it reads in light and dark themes alike.
_PAGE = Template("""
<style>
#$id { max-width: 760px; font: inherit; line-height: 1.3; color: var(--pst-color-text-base, inherit);
  background: var(--pst-color-background, transparent); padding: .3em;
  --better: #0072b2; --worse: #d55e00; --open: #7a7a7a; }
html[data-theme="dark"] #$id { --better: #56b4e9; --worse: #e69f00; --open: #a0a0a0; }
#$id .controls { display: flex; flex-wrap: wrap; gap: 6px 20px; align-items: end; margin-bottom: 8px; }
#$id label { flex: 1 1 120px; }
#$id label:first-child { flex: 2 1 220px; }
#$id select { font: inherit; color: inherit; background: transparent;
  border: 1px solid currentColor; border-radius: 4px; padding: 3px 8px; }
#$id select option { color: #1b1b1b; background: #fff; }
#$id select, #$id input { display: block; width: 100%; }
#$id :focus-visible { outline: 3px solid #d55e00; outline-offset: 2px; }
#$id output { display: block; border-left: 4px solid #0072b2; padding: .2em 1em; margin: 0 0 .6em; }
#$id table { width: 100%; border-collapse: collapse; table-layout: fixed; margin: 0; font-size: .9em;
  color: inherit; background: transparent; }
#$id tr, #$id th, #$id td { background: transparent; color: inherit; border: 0; }
#$id th, #$id td { padding: 0 .4em; text-align: left; font-weight: normal; height: 2.6em;
  vertical-align: middle; white-space: normal; }
#$id thead th { font-weight: bold; }
#$id tbody tr { border-top: 1px solid rgba(128, 128, 128, .3); }
#$id .wide { width: 32%; }
#$id .number { font-variant-numeric: tabular-nums; }
#$id .plot { position: relative; padding: 0; overflow: hidden; }
#$id .plot i { position: absolute; display: block; }
#$id .zero { top: 0; bottom: 0; width: 0; border-left: 1px dashed currentColor; opacity: .7; }
#$id .bar { top: calc(50% - 2px); height: 4px; border-radius: 2px; background: var(--open); }
#$id .dot { top: calc(50% - 6px); width: 12px; height: 12px; margin-left: -6px; border-radius: 50%;
  box-sizing: border-box; border: 3px solid var(--open); background: var(--pst-color-background, #fff); }
#$id .off { top: calc(50% - .65em); font-style: normal; color: var(--open); }
#$id .better .bar, #$id .better .dot { background: var(--better); border-color: var(--better); }
#$id .worse .bar, #$id .worse .dot { background: var(--worse); border-color: var(--worse); }
#$id .better b, #$id .better .off { color: var(--better); }
#$id .worse b, #$id .worse .off { color: var(--worse); }
#$id tfoot .plot { height: 1.6em; border-top: 1px solid currentColor; }
#$id tfoot .plot i { font-style: normal; transform: translateX(-50%); top: .1em; font-size: .9em; }
</style>
<div class="interactive" id="$id" role="group" aria-label="Differences between methods">
  <div class="controls">
    <label>Compared with <select class="reference">$references</select></label>
    <label>Metric <select class="metric">$metrics</select></label>
    <label>Zoom <input type="range" min="0" max="6" step="1" value="0" aria-valuetext="1 times"></label>
  </div>
  <output aria-live="polite"></output>
  <table>
    <thead><tr><th scope="col">Method</th><th scope="col">Difference, 95 % interval</th>
      <th class="wide" aria-hidden="true"></th></tr></thead>
    <tbody></tbody>
    <tfoot aria-hidden="true"><tr><td></td><td></td><td class="plot"></td></tr></tfoot>
  </table>
</div>
<script>
(function () {
  "use strict";
  const data = $data;
  const root = document.getElementById("$id"), body = root.querySelector("tbody");
  const reference = root.querySelector(".reference"), metric = root.querySelector(".metric");
  const zoom = root.querySelector("input"), output = root.querySelector("output");
  const header = root.querySelector("thead .wide"), axis = root.querySelector("tfoot .plot");
  function add(parent, tag, kind, text) {
    const node = parent.appendChild(document.createElement(tag));
    if (kind) node.className = kind;
    if (text !== undefined) node.textContent = text;
    return node;
  }
  function signed(value, digits) {
    const text = Math.abs(value).toFixed(digits);
    return (Number(text) === 0 ? "" : value < 0 ? "\\u2212" : "+") + text;
  }
  // Method i minus method j in metric m: how many seeds, and mean, low, high.
  function difference(i, j, m) {
    const pair = data.pairs[i + "-" + j];
    if (pair) return { seeds: pair[0], ends: pair[m + 1] };
    const turned = data.pairs[j + "-" + i];
    if (!turned) return null;
    const [mean, low, high] = turned[m + 1];
    return { seeds: turned[0], ends: [-mean, -high, -low] };
  }
  function step(span) {  // a round number, about a quarter of the axis
    const rough = span / 4, power = Math.pow(10, Math.floor(Math.log10(rough)));
    return power * [1, 2, 5, 10].find(function (n) { return n * power >= rough; });
  }
  function drawn(cell, ends, place) {
    add(cell, "i", "zero").style.left = place(0) + "%";
    if (!ends) return;
    const [mean, low, high] = ends.map(place);
    const bar = add(cell, "i", "bar");
    bar.style.left = low + "%";
    bar.style.width = high - low + "%";
    if (mean > 100) add(cell, "i", "off", "\\u25b8").style.right = 0;
    else if (mean < 0) add(cell, "i", "off", "\\u25c2").style.left = 0;
    else add(cell, "i", "dot").style.left = mean + "%";
  }
  function update() {
    const j = Number(reference.value), m = Number(metric.value), times = Math.pow(2, zoom.value);
    const [name, digits, higher] = data.metrics[m];
    const rows = data.titles.map(function (_, i) { return i === j ? null : difference(i, j, m); });
    const known = rows.filter(Boolean), most = Math.max(0, ...known.map(function (r) { return r.seeds; }));
    let first = Math.min(0, ...known.map(function (r) { return r.ends[1]; }));
    let last = Math.max(0, ...known.map(function (r) { return r.ends[2]; }));
    const margin = 0.08 * (last - first) || 1;
    first = (first - margin) / times;
    last = (last + margin) / times;
    function place(value) { return 100 * (value - first) / (last - first); }
    const count = { better: 0, worse: 0, undecided: 0 };
    body.textContent = "";
    rows.forEach(function (row, i) {
      if (i === j) return;
      const line = add(body, "tr"), number = (add(line, "th", "", data.titles[i]).scope = "row",
        add(line, "td", "number")), plot = add(line, "td", "plot");
      plot.setAttribute("aria-hidden", "true");
      drawn(plot, row && row.ends, place);
      if (!row) { number.textContent = "no interval: fewer than two seeds in common"; return; }
      const [mean, low, high] = row.ends;
      const verdict = low <= 0 && high >= 0 ? "undecided" : mean > 0 === higher ? "better" : "worse";
      count[verdict] += 1;
      line.className = verdict;
      add(number, "b", "", signed(mean, digits));
      number.append(" (" + signed(low, digits) + " to " + signed(high, digits) + ") " + verdict +
        (row.seeds < most ? ", " + row.seeds + " seeds" : ""));
    });
    output.textContent = name + ", against \u201c" + data.titles[j] + "\u201d: " + count.better + " better, " +
      count.worse + " worse, " + count.undecided + " undecided. " +
      (most ? most + " seeds, " + data.pictures + " pictures." : "No two seeds in common.");
    header.textContent = higher ? "better \\u25b8" : "\\u25c2 better";
    header.style.textAlign = higher ? "right" : "left";
    zoom.setAttribute("aria-valuetext", times + " times");
    axis.textContent = "";
    const by = step(last - first), places = Math.max(0, -Math.floor(Math.log10(by) + 1e-9));
    const edge = 1800 / axis.clientWidth;  // a label at the very end would be cut off
    for (let n = Math.ceil(first / by); n * by <= last; n++)
      if (place(n * by) > edge && place(n * by) < 100 - edge)
        add(axis, "i", "", signed(n * by, places)).style.left = place(n * by) + "%";
  }
  reference.addEventListener("change", update);
  metric.addEventListener("change", update);
  zoom.addEventListener("input", update);
  update();
})();
</script>
""")
