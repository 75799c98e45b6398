export default function (root, data) {
  "use strict";
  const picture = root.querySelector(".picture"), image = picture.querySelector("img");
  const mark = root.querySelector(".mark"), output = root.querySelector("output");
  const save = root.querySelector(".save");
  save.href = image.src;
  const focus = root.querySelector(".focus"), aperture = root.querySelector(".aperture");
  function update() {
    const i = Number(focus.value), j = Number(aperture.value);
    image.src = save.href = data.pictures[i][j];
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
}
