export default function (root, data) {
  "use strict";
  const kind = root.querySelector("select"), size = root.querySelector("input[type=range]");
  const radios = [...root.querySelectorAll("input[type=radio]")];
  const output = root.querySelector("output");
  function update() {
    const entry = data.kinds[kind.value][Number(size.value)];
    const focus = Math.max(radios.findIndex(function (radio) { return radio.checked; }), 0);
    root.querySelector("[data-show=depth]").src = entry.depth;
    root.querySelector("[data-show=drawn]").src = entry.drawn[focus];
    root.querySelector("[data-show=error]").src = entry.error[focus];
    size.setAttribute("aria-valuetext", entry.size);
    output.textContent = entry.size + ". " + entry.says[focus];
  }
  kind.addEventListener("change", update);
  size.addEventListener("input", update);
  radios.forEach(function (radio) { radio.addEventListener("change", update); });
}
