"""The calculator of chapter 16: time and memory for a choice of GPUs, in plain HTML and script.

The script repeats `estimate`'s arithmetic on the counts that are written into the page, so that it
works without a kernel and without a network; a test compares its answers with Python's.
"""

import hashlib
import json
from dataclasses import asdict, astuple
from string import Template

from IPython.display import HTML

from bradcn_nb.experiments.costs.estimate import ASSUMED, DEVICES, GPUS, steps
from bradcn_nb.experiments.costs.step_counts import SIZES, Counts
from bradcn_nb.presets import Preset


def calculator(preset: Preset, stored: dict[str, Counts]) -> HTML:
    """Show a form: GPU, how many, size, precision, checkpointing; below it memory, time and verdict.

    `stored` comes from `step_counts.stored_counts`. All of it can be used by keyboard.
    """
    data = {
        "devices": [asdict(on) for on in DEVICES],
        "gpus": list(GPUS),
        "sizes": [f"{width}x{height}" for height, width in SIZES],
        "assumed": list(ASSUMED.values()),
        "steps": {gpus: steps(preset, gpus) for gpus in GPUS},
        # In the order of StepCount's fields.
        "counts": {
            way: {name: astuple(count) for name, count in counts.items()}
            for way, counts in stored.items()
        },
    }
    content = json.dumps(data)
    return HTML(
        _PAGE.substitute(
            id="calculator-" + hashlib.sha256(content.encode()).hexdigest()[:12],
            data=content.replace("</", "<\\/"),
            start=f"{preset.data.train_size[1]}x{preset.data.train_size[0]}",
        )
    )


# Colours come from the page around it, so that it reads in light and dark themes alike.
_PAGE = Template("""
<style>
#$id { max-width: 720px; font: inherit; line-height: 1.4; color: var(--pst-color-text-base, inherit);
  background: var(--pst-color-background, transparent); }
#$id form { display: flex; flex-wrap: wrap; gap: 8px 20px; margin: 0 0 12px; }
#$id label { display: flex; flex-direction: column; gap: 2px; }
#$id label.tick { flex-direction: row; align-items: end; gap: 6px; padding-bottom: 4px; }
#$id select { font: inherit; padding: 3px 6px; color: inherit; background: inherit;
  border: 1px solid currentColor; border-radius: 4px; }
#$id option { color: #1b1b1b; background: #fff; }
#$id select:focus-visible, #$id input:focus-visible { outline: 3px solid #d55e00; outline-offset: 2px; }
#$id .bar { position: relative; height: 20px; margin: 4px 0 2px; border: 1px solid currentColor; }
#$id .bar div { position: absolute; top: 0; bottom: 0; left: 0; }
#$id .low { background: #0072b2; }
#$id .high { background: #56b4e9; }
#$id table { width: auto; border-collapse: collapse; font-size: 0.9em; margin: 8px 0; }
#$id th, #$id td { padding: 2px 10px; text-align: right; }
#$id th:first-child, #$id td:first-child { text-align: left; }
#$id output { display: block; }
#$id .answer { font-weight: 600; }
</style>
<div class="interactive" id="$id" role="group" aria-label="Calculator of training time and memory">
  <form>
    <label>GPU <select name="device"></select></label>
    <label>How many <select name="gpus"></select></label>
    <label>Picture size <select name="size"></select></label>
    <label>Precision <select name="precision">
      <option value="fp32">fp32</option><option value="half">fp16 or bf16</option></select></label>
    <label class="tick"><input type="checkbox" name="checkpointing"> checkpointing</label>
  </form>
  <output aria-live="polite">
    <div class="answer memory"></div>
    <div class="bar" aria-hidden="true"><div class="high"></div><div class="low"></div></div>
    <div class="answer time"></div>
  </output>
  <div style="overflow-x:auto"><table><thead><tr><th>part</th><th>steps</th><th>s a step</th>
    <th>hours</th></tr></thead><tbody></tbody></table></div>
  <small>Derived from counts and data sheets, not measured. Ranges run from a fast or low end to a slow or
    high one.</small>
</div>
<script>
(function () {
  "use strict";
  const data = $data;
  const root = document.getElementById("$id"), form = root.querySelector("form");
  function fill(name, values, chosen) {
    form.elements[name].innerHTML = values.map(function (value) {
      return "<option" + (String(value) === chosen ? " selected" : "") + ">" + value + "</option>";
    }).join("");
  }
  fill("device", data.devices.map(function (d) { return d.name; }), "V100 32 GB");
  fill("gpus", data.gpus, "1");
  fill("size", data.sizes, "$start");
  // As bradcn_nb.experiments.costs.estimate.step_seconds has it; a count is conv, product, moved, operations, peak,
  // parameters, trained.
  function seconds(c, on, half, gpus, end) {
    const a = data.assumed.map(function (pair) { return pair[end]; });
    const conv = half ? on.half : on.fp32[0], product = half ? on.half : on.fp32[1];
    const arithmetic = 2 * c[0] / ((half || on.tensor_fp32 ? a[1] : a[0]) * conv)
      + 2 * c[1] / ((half ? a[1] : a[0]) * product);
    const traffic = (c[2] + 28 * c[6]) / (a[2] * on.bandwidth), launches = c[3] * a[4];
    const exchange = 8 * (gpus - 1) / gpus * c[6] / (a[3] * on.link);
    if (end === 0) return Math.max(arithmetic, traffic, launches, exchange);
    return Math.max(arithmetic + traffic, launches) + exchange;
  }
  function memory(c, gpus, end) {
    const tensors = 4 * c[5] + 8 * c[6] + c[4] + (gpus > 1 ? 4 * c[6] : 0);
    return tensors * data.assumed[5][end] + data.assumed[6][end];
  }
  function hours(value) { return value < 10 ? value.toFixed(1) : value.toFixed(0); }
  function update() {
    const on = data.devices.find(function (d) { return d.name === form.elements.device.value; });
    const gpus = Number(form.elements.gpus.value), half = form.elements.precision.value === "half";
    const way = form.elements.size.value + (half ? " half" : "")
      + (form.elements.checkpointing.checked ? " checkpointing" : "");
    const counts = data.counts[way], steps = data.steps[gpus], total = [0, 0];
    const names = Object.keys(steps), rows = names.map(function (name) {
      const step = [0, 1].map(function (end) {
        return seconds(counts[name], on, half, name === "labels" ? 1 : gpus, end);
      });
      step.forEach(function (value, end) { total[end] += value * steps[name] / 3600; });
      return "<tr><td>" + name + "</td><td>" + steps[name].toLocaleString("en") + "</td><td>"
        + step[0].toFixed(3) + " to " + step[1].toFixed(3) + "</td><td>"
        + hours(step[0] * steps[name] / 3600) + " to " + hours(step[1] * steps[name] / 3600)
        + "</td></tr>";
    });
    root.querySelector("tbody").innerHTML = rows.join("");
    const need = [0, 1].map(function (end) {
      return Math.max.apply(null, names.map(function (name) { return memory(counts[name], gpus, end); }));
    });
    const says = need[1] <= on.memory ? "fits" : need[0] <= on.memory ? "tight" : "does not fit";
    root.querySelector(".memory").textContent = "Memory: " + (need[0] / 1e9).toFixed(1) + " to "
      + (need[1] / 1e9).toFixed(1) + " GB of " + on.memory / 1e9 + " GB: " + says;
    ["low", "high"].forEach(function (name, end) {
      root.querySelector("." + name).style.width = Math.min(100, 100 * need[end] / on.memory) + "%";
    });
    root.querySelector(".time").textContent = "Whole training: " + hours(total[0]) + " to "
      + hours(total[1]) + " hours" + (total[1] < 48 ? "" : ", that is " + (total[0] / 24).toFixed(1)
      + " to " + (total[1] / 24).toFixed(1) + " days")
      + (says === "does not fit" ? ", if it fitted" : "");
  }
  form.addEventListener("input", update);
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  update();
})();
</script>
""")
