export default function (root, data) {
  "use strict";
  const image = root.querySelector("img");
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
}
