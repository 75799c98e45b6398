export default function (root, data) {
  "use strict";
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
    const readings = data.maps.map(function (name, k) {
      const value = decoded[shown][k][row * data.width + column];
      return name + " " + (value === data.none ? "unknown" : (value / 1000).toFixed(3) + " m");
    });
    output.textContent = "Row " + row + ", column " + column + ": " + readings.join(", ");
    root.querySelectorAll(".mark").forEach(function (mark) {
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
}
