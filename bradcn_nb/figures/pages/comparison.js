export default function (root, data) {
  "use strict";
  const body = root.querySelector("tbody");
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
    return (Number(text) === 0 ? "" : value < 0 ? "\u2212" : "+") + text;
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
    return power * [1, 2, 5, 10].find(n => n * power >= rough);
  }
  function plot(cell, ends, place) {
    add(cell, "i", "zero").style.left = place(0) + "%";
    if (!ends) return;
    const [mean, low, high] = ends.map(place);
    const bar = add(cell, "i", "bar");
    bar.style.left = low + "%";
    bar.style.width = high - low + "%";
    if (mean > 100) add(cell, "i", "off", "\u25b8").style.right = 0;
    else if (mean < 0) add(cell, "i", "off", "\u25c2").style.left = 0;
    else add(cell, "i", "dot").style.left = mean + "%";
  }
  function update() {
    const j = Number(reference.value), m = Number(metric.value), times = Math.pow(2, zoom.value);
    const [name, digits, higher] = data.metrics[m];
    const rows = data.titles.map((_, i) => i === j ? null : difference(i, j, m));
    const known = rows.filter(Boolean), most = Math.max(0, ...known.map(row => row.seeds));
    let first = Math.min(0, ...known.map(row => row.ends[1]));
    let last = Math.max(0, ...known.map(row => row.ends[2]));
    const margin = 0.08 * (last - first) || 1;
    first = (first - margin) / times;
    last = (last + margin) / times;
    const place = value => 100 * (value - first) / (last - first);
    const count = { better: 0, worse: 0, undecided: 0 };
    body.textContent = "";
    rows.forEach(function (row, i) {
      if (i === j) return;
      const line = add(body, "tr");
      add(line, "th", "", data.titles[i]).scope = "row";
      const number = add(line, "td", "number"), cell = add(line, "td", "plot");
      cell.setAttribute("aria-hidden", "true");
      plot(cell, row && row.ends, place);
      if (!row) { number.textContent = "no interval: fewer than two seeds in common"; return; }
      const [mean, low, high] = row.ends;
      const sure = low > 0 || high < 0;
      const verdict = !sure ? "undecided" : mean > 0 === higher ? "better" : "worse";
      count[verdict] += 1;
      line.className = verdict;
      add(number, "b", "", signed(mean, digits));
      number.append(" (" + signed(low, digits) + " to " + signed(high, digits) + ") " + verdict +
        (row.seeds < most ? ", " + row.seeds + " seeds" : ""));
    });
    output.textContent = `${name}, against “${data.titles[j]}”: ${count.better} better, ` +
      `${count.worse} worse, ${count.undecided} undecided. ` +
      (most ? `${most} seeds, ${data.pictures} pictures.` : "No two seeds in common.");
    header.textContent = higher ? "better \u25b8" : "\u25c2 better";
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
}
