// A photograph of one's own, in the page: the nets by onnxruntime, the lens by lens.js. Nothing is
// uploaded. All that is loaded are classic scripts, so that the page works when opened from disk.
(function () {
  "use strict";
  const root = document.getElementById("own-photo");
  if (!root) return;
  const FOLDER = "../_static/browser/generated/",
    STRIDE = 16,
    NET_PIXELS = 64 * 96;
  const SHOWN = 480,
    SAVED = 960,
    SMALLEST = 16; // long sides in pixels
  const find = (name) => root.querySelector("." + name),
    maps = globalThis.makeBradcnMaps(),
    lens = globalThis.makeBradcnLens(maps);
  const status = find("status"),
    canvas = find("result"),
    focus = find("focus"),
    aperture = find("aperture");
  const state = { sessions: null, photo: null, asked: 0 };

  function say(text) {
    status.textContent = text;
  }
  const paint = () => new Promise((done) => setTimeout(done, 30)); // so that what was said is seen

  function script(name) {
    return new Promise((done, failed) => {
      const element = document.createElement("script");
      element.src = FOLDER + name + ".js";
      element.onload = done;
      element.onerror = () => failed(new Error(name + ".js is not there: `make book` makes it"));
      document.head.append(element);
    });
  }

  async function unpacked(name, split) {
    await script(name);
    const text = atob(globalThis.bradcnFiles[name]),
      packed = new Uint8Array(text.length);
    delete globalThis.bradcnFiles[name];
    for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
    if (!split) return bytes;
    const whole = new Uint8Array(bytes.length),
      half = Math.ceil(bytes.length / 2);
    for (let i = 0; i < bytes.length; i++)
      whole[i] = i % 2 ? bytes[half + (i >> 1)] : bytes[i >> 1];
    return whole;
  }

  async function sessions() {
    if (state.sessions) return state.sessions;
    if (typeof WebAssembly === "undefined" || typeof DecompressionStream === "undefined")
      throw new Error(
        "this browser cannot run the nets; a Chromium, Firefox or Safari of 2023 or later can",
      );
    const steps = 5;
    const step = async (number, what) => {
      say("Loading, once: " + what + " (" + number + " of " + steps + ")");
      await paint();
    };
    await step(1, "the runtime");
    await script("ort");
    await step(2, "its machine code");
    globalThis.ort.env.wasm.numThreads = 1;
    globalThis.ort.env.wasm.wasmBinary = (await unpacked("wasm", false)).buffer;
    await script("glue");
    const glue = new Blob([globalThis.bradcnFiles.glue], { type: "text/javascript" });
    globalThis.ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(glue) };
    const made = {};
    for (const [number, name, what] of [
      [3, "depth", "the depth net"],
      [4, "bradcn", "BRADCN"],
    ]) {
      await step(number, what);
      made[name] = await globalThis.ort.InferenceSession.create(await unpacked(name, true));
    }
    await step(5, "ready");
    return (state.sessions = made);
  }

  function pixels(source, height, width) {
    // three planes of sRGB in [0, 1], transparent laid on white
    const drawn = Object.assign(document.createElement("canvas"), { width, height });
    const context = drawn.getContext("2d", { willReadFrequently: true });
    context.fillStyle = "white";
    context.fillRect(0, 0, width, height);
    context.imageSmoothingQuality = "high";
    context.drawImage(source, 0, 0, width, height);
    const data = context.getImageData(0, 0, width, height).data;
    return [0, 1, 2].map((k) =>
      Float32Array.from({ length: height * width }, (_, i) => data[4 * i + k] / 255),
    );
  }

  function put(target, planes, height, width) {
    target.width = width;
    target.height = height;
    const context = target.getContext("2d"),
      image = context.createImageData(width, height);
    for (let i = 0; i < height * width; i++) {
      for (let k = 0; k < 3; k++)
        image.data[4 * i + k] = Math.round(255 * Math.min(Math.max(planes[k][i], 0), 1));
      image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }

  const COLOURS = [
    [68, 1, 84],
    [59, 82, 139],
    [33, 145, 140],
    [94, 201, 98],
    [253, 231, 37],
  ]; // viridis
  function coloured(plane, low, high) {
    return [0, 1, 2].map((k) =>
      plane.map((value) => {
        const at = Math.min(Math.max((value - low) / (high - low), 0), 1) * 4,
          i = Math.min(Math.floor(at), 3);
        return (COLOURS[i][k] + (at - i) * (COLOURS[i + 1][k] - COLOURS[i][k])) / 255;
      }),
    );
  }

  // photograph._net_input: the net's number of pixels, the photograph's aspect, then mirrored.
  function netInput(photo, height, width) {
    let scale = Math.sqrt(NET_PIXELS / (height * width));
    const short = Math.min(height, width);
    if (short * scale < STRIDE) scale = Math.max(1, Math.round(short * scale)) / short;
    const rows = Math.round(height * scale),
      columns = Math.round(width * scale);
    const up = (side) => Math.ceil(side / STRIDE) * STRIDE,
      h = up(rows),
      w = up(columns);
    const values = new Float32Array(3 * h * w);
    photo.forEach((plane, k) => {
      const small = maps.resize(plane, height, width, rows, columns);
      for (let y = 0; y < h; y++)
        for (let x = 0; x < w; x++)
          values[(k * h + y) * w + x] =
            small[maps.mirrored(y, rows, false) * columns + maps.mirrored(x, columns, false)];
    });
    return {
      tensor: new globalThis.ort.Tensor("float32", values, [1, 3, h, w]),
      rows,
      columns,
      w,
      h,
    };
  }

  function cropped(output, given) {
    // the planes of an output, without what was mirrored
    const planes = output.dims[1];
    return Array.from({ length: planes }, (_, k) =>
      Float32Array.from(
        { length: given.rows * given.columns },
        (_, i) =>
          output.data[
            (k * given.h + Math.floor(i / given.columns)) * given.w + (i % given.columns)
          ],
      ),
    );
  }

  let worker = null;
  function drawn(job) {
    // by the lens, in a worker, so that the page stays alive
    if (!worker) {
      const source = `const lens = (${globalThis.makeBradcnLens})((${globalThis.makeBradcnMaps})());
        onmessage = (event) => postMessage(lens.answer(event.data));`;
      worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    }
    return new Promise((done, failed) => {
      worker.onmessage = (event) => {
        if (event.data.asked === job.asked) done(event.data);
      };
      worker.onerror = (event) => failed(new Error(event.message));
      worker.postMessage(job);
    });
  }

  function size(source, most) {
    const scale = Math.min(1, most / Math.max(source.width, source.height));
    return [
      Math.max(1, Math.round(source.height * scale)),
      Math.max(1, Math.round(source.width * scale)),
    ];
  }

  async function prepare(most) {
    // the photograph at its size, with the depth brought to its edges
    const now = state.photo,
      [height, width] = size(now.source, most);
    const photo = pixels(now.source, height, width),
      asked = ++state.asked;
    const answer = await drawn({
      asked,
      photo,
      height,
      width,
      metres: now.metres,
      rows: now.rows,
      columns: now.columns,
    });
    return { height, width, depth: answer.depth };
  }

  async function refocus() {
    const now = state.photo;
    if (!now) return;
    const asked = ++state.asked,
      f = Number(aperture.value);
    const metres = now.at
      ? lens.depthAt(now.depth, now.height, now.width, ...now.at)
      : 1 / Number(focus.value);
    focus.value = 1 / metres;
    find("said").textContent = "Focus at " + metres.toFixed(1) + " m, f/" + f.toFixed(1);
    say("Drawing ...");
    const answer = await drawn({
      asked,
      height: now.height,
      width: now.width,
      focus: metres,
      aperture: f,
    });
    if (asked !== state.asked) return; // a later one is on its way
    put(canvas, answer.planes, now.height, now.width);
    now.metresInFocus = metres;
    say("Click what should be sharp.");
    root.dataset.drawn = Number(root.dataset.drawn || 0) + 1;
  }

  async function open(source, name) {
    if (Math.min(source.width, source.height) < SMALLEST)
      throw new Error(
        name +
          ": " +
          source.width +
          " x " +
          source.height +
          " pixels are too few; take a larger picture",
      );
    const nets = await sessions();
    say("The nets look at " + name + " ...");
    await paint();
    const [height, width] = size(source, 2 * SHOWN),
      photo = pixels(source, height, width);
    const given = netInput(photo, height, width),
      feed = { image: given.tensor };
    const seen = await nets.bradcn.run(feed),
      apart = await nets.depth.run(feed);
    const metres = cropped(apart.depth, given)[0];
    const bokeh = cropped(seen.bokeh, given),
      error = cropped(seen.depth_error, given)[0];
    put(find("net-depth"), coloured(metres, 0, 7.3), given.rows, given.columns);
    put(find("net-error"), coloured(error, 0, 3), given.rows, given.columns);
    put(find("net-bokeh"), bokeh, given.rows, given.columns);
    state.photo = { source, name, metres, rows: given.rows, columns: given.columns };
    Object.assign(state.photo, await prepare(SHOWN));
    const now = state.photo,
      inverse = now.depth.map((z) => 1 / z);
    focus.min = Math.max(
      inverse.reduce((a, b) => Math.min(a, b)),
      0.02,
    );
    focus.max = inverse.reduce((a, b) => Math.max(a, b));
    focus.step = (focus.max - focus.min) / 100;
    focus.value = 1 / lens.defaultFocus(now.depth, now.height, now.width);
    // For the tests.
    root.bradcn = { bokeh, metres, error, rows: given.rows, columns: given.columns };
    find("shown").hidden = false;
    await refocus();
  }

  async function guarded(work) {
    root.setAttribute("aria-busy", "true");
    try {
      await work();
    } catch (error) {
      say("This did not work: " + error.message);
      root.dataset.failed = "yes";
    }
    root.setAttribute("aria-busy", "false");
  }

  function take(file) {
    guarded(async () => {
      let source;
      try {
        source = await createImageBitmap(file, { imageOrientation: "from-image" });
      } catch {
        throw new Error(
          file.name + " is no picture that this browser reads; take a JPEG, PNG or WebP",
        );
      }
      await open(source, file.name);
    });
  }

  find("file").addEventListener("change", (event) => {
    if (event.target.files[0]) take(event.target.files[0]);
  });
  root.addEventListener("dragover", (event) => event.preventDefault());
  root.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
  });
  find("sample").addEventListener("click", () =>
    guarded(async () => {
      await script("sample");
      const image = new Image();
      image.src = "data:image/jpeg;base64," + globalThis.bradcnFiles.sample;
      await image.decode();
      await open(await createImageBitmap(image), "the sample");
    }),
  );
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect(),
      now = state.photo;
    const part = (value, side) => Math.min(side - 1, Math.max(0, Math.floor(value * side)));
    now.at = [
      part((event.clientX - box.left) / box.width, now.width),
      part((event.clientY - box.top) / box.height, now.height),
    ];
    guarded(refocus);
  });
  focus.addEventListener("change", () => {
    state.photo.at = null;
    guarded(refocus);
  });
  aperture.addEventListener("change", () => guarded(refocus));
  find("save").addEventListener("click", () =>
    guarded(async () => {
      const now = state.photo,
        f = Number(aperture.value);
      say("Drawing the picture to save ...");
      const large = await prepare(SAVED),
        asked = ++state.asked;
      const answer = await drawn({
        asked,
        height: large.height,
        width: large.width,
        focus: now.metresInFocus,
        aperture: f,
      });
      const target = document.createElement("canvas");
      put(target, answer.planes, large.height, large.width);
      const blob = await new Promise((done) => target.toBlob(done, "image/jpeg", 0.93));
      const link = Object.assign(document.createElement("a"), {
        href: URL.createObjectURL(blob),
        download: "bokeh.jpg",
      });
      link.click();
      Object.assign(now, await prepare(SHOWN)); // the worker goes back to the size that is shown
      say("Saved as bokeh.jpg, " + large.width + " x " + large.height + " pixels.");
    }),
  );
})();
