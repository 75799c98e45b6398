// The lens renderer of bradcn_nb.lens, as it is in Python (lens/by_depth.py, lens/layers.py); a
// test compares. `maps` is what makeBradcnMaps returns; planes are as there.
globalThis.makeBradcnLens = function (maps) {
  "use strict";
  const { clip, resize, mirrored, depthToEdges } = maps;
  const [HIGHLIGHTS, FLAT, LARGEST_DISC, LAYERS] = [2, 0.5, 0.15, 16];
  const [FOCAL_MM, SENSOR_MM, FOCUS_WINDOW, LAMP, LAMP_RADIUS] = [50, 14.9, 0.01, 0.5, 8];
  const toLinear = (s) => (s <= 0.04045 ? s / 12.92 : Math.pow((s + 0.055) / 1.055, 2.4));
  const toSrgb = (l) => (l <= 0.0031308 ? l * 12.92 : 1.055 * Math.pow(l, 1 / 2.4) - 0.055);

  function expand(light) {
    // lens.layers._expand_highlights
    const peak = Math.max(light[0], light[1], light[2]),
      more = 1 + HIGHLIGHTS * Math.pow(Math.min(peak, 1), 4);
    return light.map((x) => x * more);
  }
  const TABLE = Array.from(
    { length: 1025 },
    (_, i) => (i / 1024) * (1 + HIGHLIGHTS * Math.pow(i / 1024, 4)),
  );
  function compress(peak) {
    // its inverse, by the same table as Python's
    if (peak >= TABLE[1024]) return 1;
    let low = 0,
      high = 1024;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (TABLE[middle] <= peak) low = middle;
      else high = middle;
    }
    return (low + (peak - TABLE[low]) / (TABLE[high] - TABLE[low])) / 1024;
  }

  // Rows of a disc with a soft rim: [dy, half width of what is whole, [dx, weight] of the rim].
  function discRows(radius) {
    const reach = Math.ceil(Math.max(radius - 0.5, 0)),
      rows = [];
    let total = 0;
    for (let dy = -reach; dy <= reach; dy++) {
      let whole = -1;
      const rim = [];
      for (let dx = 0; dx <= reach; dx++) {
        const weight = clip(radius + 0.5 - Math.hypot(dy, dx), 0, 1);
        if (weight >= 1) whole = dx;
        else if (weight > 0) rim.push([dx, weight]);
        total += weight * (dx ? 2 : 1);
      }
      rows.push([dy, whole, rim]);
    }
    return { reach, rows, total };
  }

  function discBlur(plane, height, width, radius) {
    const disc = discRows(radius),
      reach = disc.reach;
    if (!reach) return plane;
    const wide = width + 2 * reach,
      sums = new Float64Array((wide + 1) * height),
      padded = new Float32Array(wide * height);
    const column = Array.from({ length: wide }, (_, x) => mirrored(x - reach, width, false));
    for (let y = 0; y < height; y++)
      for (let x = 0; x < wide; x++) {
        const value = (padded[y * wide + x] = plane[y * width + column[x]]);
        sums[y * (wide + 1) + x + 1] = sums[y * (wide + 1) + x] + value;
      }
    const result = new Float32Array(height * width);
    for (let y = 0; y < height; y++)
      for (const row of disc.rows) {
        const source = mirrored(y + row[0], height, false),
          at = source * wide + reach,
          sum = source * (wide + 1) + reach;
        const whole = row[1],
          rim = row[2];
        for (let x = 0; x < width; x++) {
          let value = whole >= 0 ? sums[sum + x + whole + 1] - sums[sum + x - whole] : 0;
          for (let k = 0; k < rim.length; k++) {
            const dx = rim[k][0];
            value += rim[k][1] * (dx ? padded[at + x - dx] + padded[at + x + dx] : padded[at + x]);
          }
          result[y * width + x] += value;
        }
      }
    for (let i = 0; i < result.length; i++) result[i] /= disc.total;
    return result;
  }

  function layerRadii(signed, light) {
    // lens.layers.layer_radii
    let far = 0,
      near = 0;
    for (const value of signed) {
      far = Math.max(far, -value);
      near = Math.max(near, value);
    }
    const side = (largest) => {
      if (largest <= 0) return [];
      const count = clip(Math.ceil(2 + 2 * Math.sqrt(largest)), 1, LAYERS);
      return Array.from({ length: count }, (_, i) => largest * Math.pow((i + 1) / count, 1.5));
    };
    const radii = [
      ...side(far)
        .reverse()
        .map((r) => -r),
      0,
      ...side(near),
    ].map(Math.fround);
    const lamps = [];
    for (let i = 0; i < signed.length; i++) {
      const peak = Math.max(light[0][i], light[1][i], light[2][i]);
      if (peak > LAMP && Math.abs(signed[i]) > LAMP_RADIUS) lamps.push([signed[i], peak - LAMP]);
    }
    lamps.sort((a, b) => a[0] - b[0]);
    const cuts = radii.slice(1).map((r, i) => (r + radii[i]) / 2);
    let place = 0;
    const firsts = cuts.map((cut) => {
      while (place < lamps.length && lamps[place][0] < cut) place++;
      return place;
    });
    for (let i = 0; i + 1 < firsts.length; i++) {
      let flux = 0,
        half = 0,
        index = firsts[i];
      for (let k = firsts[i]; k < firsts[i + 1]; k++) flux += lamps[k][1];
      if (firsts[i] === firsts[i + 1]) continue;
      while (half + lamps[index][1] < flux / 2) half += lamps[index++][1];
      radii[i + 1] = lamps[index][0]; // the median of the light
    }
    return radii;
  }

  function continued(planes, alpha, hidden, height, width) {
    // lens.layers._continued
    let h = Math.max(1, Math.floor(height / 4)),
      w = Math.max(1, Math.floor(width / 4));
    const shown = planes.map((plane) =>
      resize(plane ? plane.map((v, i) => v * alpha[i]) : alpha, height, width, h, w),
    );
    for (let k = 1; k < 4; k++)
      shown[k] = shown[k].map((v, i) => Math.sqrt(Math.max(v * shown[0][i], 0)));
    const levels = [
      {
        h,
        w,
        planes: [
          ...shown,
          resize(
            Float32Array.from(hidden, (v) => 1 - v),
            height,
            width,
            h,
            w,
          ),
        ],
      },
    ];
    while (Math.max(h, w) > 1) {
      const last = levels[levels.length - 1];
      h = (h + 1) >> 1;
      w = (w + 1) >> 1;
      levels.push({
        h,
        w,
        planes: last.planes.map((plane) => resize(plane, last.h, last.w, h, w)),
      });
    }
    let filled = { h: 1, w: 1, planes: [0, 1, 2, 3].map(() => new Float32Array(1)) };
    for (const level of levels.reverse()) {
      const known = level.planes[4];
      filled = {
        h: level.h,
        w: level.w,
        planes: filled.planes.map((coarse, k) => {
          const up = resize(coarse, filled.h, filled.w, level.h, level.w);
          return known.map((n, i) => {
            const share = clip(16 * n, 0, 1);
            return (share * level.planes[k][i]) / Math.max(n, 1e-6) + (1 - share) * up[i];
          });
        }),
      };
    }
    for (let k = 1; k < 4; k++)
      filled.planes[k] = filled.planes[k].map(
        (v, i) => (v * v) / Math.max(filled.planes[0][i], 1e-6),
      );
    return filled.planes.map((plane) => resize(plane, filled.h, filled.w, height, width));
  }

  // lens.layers.bounding_box of the radii between two others, grown by a margin; null if none.
  function boundingBox(signed, before, after, margin, height, width) {
    let [top, bottom, left, right] = [height, -1, width, -1];
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        if (signed[y * width + x] > before && signed[y * width + x] < after) {
          top = Math.min(top, y);
          bottom = y;
          left = Math.min(left, x);
          right = Math.max(right, x);
        }
    if (bottom < 0) return null;
    top = Math.max(0, top - margin);
    left = Math.max(0, left - margin);
    const rows = Math.min(height, bottom + 1 + margin) - top,
      columns = Math.min(width, right + 1 + margin) - left;
    return { top, left, rows, columns };
  }

  function cropped(plane, box, width) {
    const result = new Float32Array(box.rows * box.columns);
    for (let y = 0; y < box.rows; y++) {
      const from = (box.top + y) * width + box.left;
      result.set(plane.subarray(from, from + box.columns), y * box.columns);
    }
    return result;
  }

  // lens.by_depth.render_layered. `photo`: three planes of sRGB in [0, 1]; returns the same.
  function renderLayered(photo, disparity, focus, scale, height, width) {
    const size = height * width,
      signed = new Float32Array(size);
    for (let i = 0; i < size; i++) {
      const r = (disparity[i] - focus) * scale,
        most = Math.abs(r);
      signed[i] = most < 1 ? r * clip((most - FLAT) / (1 - FLAT), 0, 1) : r;
    }
    const light = [0, 1, 2].map(() => new Float32Array(size));
    for (let i = 0; i < size; i++) {
      const bright = expand([toLinear(photo[0][i]), toLinear(photo[1][i]), toLinear(photo[2][i])]);
      for (let k = 0; k < 3; k++) light[k][i] = bright[k];
    }
    const radii = layerRadii(signed, light),
      total = [0, 1, 2].map(() => new Float32Array(size));
    const cover = new Float32Array(size),
      sharp = new Uint8Array(size);
    for (let n = 0; n < radii.length; n++) {
      const before = n ? radii[n - 1] : -Infinity,
        node = radii[n],
        after = n + 1 < radii.length ? radii[n + 1] : Infinity;
      // A hidden part is needed as far inwards as the most blurred foreground lets through.
      const margin = Math.ceil(Math.max(Math.abs(node), radii[radii.length - 1])) + 2;
      const box = boundingBox(signed, before, after, margin, height, width);
      if (!box) continue;
      const inBox = (plane) => cropped(plane, box, width);
      const own = inBox(signed),
        lights = light.map(inBox);
      const alpha = new Float32Array(own.length),
        hidden = new Uint8Array(own.length);
      for (let i = 0; i < own.length; i++) {
        if (own[i] >= after) hidden[i] = 1;
        else alpha[i] = before === -Infinity ? 1 : clip((own[i] - before) / (node - before), 0, 1);
      }
      const behind = hidden.includes(1);
      const fill = behind ? continued([null, ...lights], alpha, hidden, box.rows, box.columns) : [];
      const planes = [null, ...lights].map((plane, k) => {
        const shown = plane ? plane.map((v, i) => v * alpha[i]) : alpha.slice();
        if (behind) for (let i = 0; i < shown.length; i++) if (hidden[i]) shown[i] = fill[k][i];
        return discBlur(shown, box.rows, box.columns, Math.abs(node));
      });
      for (let i = 0; i < own.length; i++) {
        const at = (box.top + Math.floor(i / box.columns)) * width + box.left + (i % box.columns);
        const covers = clip(planes[0][i], 0, 1),
          through = 1 - covers;
        for (let k = 0; k < 3; k++) total[k][at] = total[k][at] * through + planes[k + 1][i];
        cover[at] = covers + through * cover[at];
        if (node === 0) sharp[at] = covers >= 1 ? 1 : 0;
        else if (node > 0 && covers >= 1 / 1024) sharp[at] = 0;
      }
    }
    const result = [0, 1, 2].map(() => new Float32Array(size));
    for (let i = 0; i < size; i++) {
      const lit = total.map((plane) => plane[i] / Math.max(cover[i], 1e-6)),
        peak = Math.max(...lit, 1e-6);
      const ratio = compress(peak) / peak;
      for (let k = 0; k < 3; k++)
        result[k][i] = sharp[i] ? photo[k][i] : toSrgb(clip(lit[k] * ratio, 0, 1));
    }
    return result;
  }

  // lens.by_depth.render_focused: EBB!'s 50 mm lens before a sensor as high as the short side.
  function renderFocused(photo, depth, focusM, aperture, height, width) {
    const side = Math.min(height, width),
      focal = FOCAL_MM / 1000;
    const scale =
      (side * (focal / aperture) * (focal / (1 - focal / focusM))) / ((2 * SENSOR_MM) / 1000);
    const reach = (LARGEST_DISC * side) / scale;
    const disparity = depth.map((z) => clip(1 / z, 1 / focusM - reach, 1 / focusM + reach));
    return renderLayered(photo, disparity, 1 / focusM, scale, height, width);
  }

  function percentile(values, share) {
    const sorted = Float32Array.from(values).sort(),
      at = share * (sorted.length - 1),
      low = Math.floor(at);
    return sorted[low] + (at - low) * (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]);
  }
  function inside(depth, width, top, bottom, left, right) {
    const values = [];
    for (let y = top; y < bottom; y++)
      for (let x = left; x < right; x++) values.push(depth[y * width + x]);
    return values;
  }
  function defaultFocus(depth, height, width) {
    const y = height >> 2,
      x = width >> 2;
    return percentile(inside(depth, width, y, height - y, x, width - x), 0.3);
  }
  function depthAt(depth, height, width, x, y) {
    // the median of a small square
    const half = Math.round(FOCUS_WINDOW * Math.min(height, width));
    return percentile(
      inside(
        depth,
        width,
        Math.max(0, y - half),
        Math.min(height, y + half + 1),
        Math.max(0, x - half),
        Math.min(width, x + half + 1),
      ),
      0.5,
    );
  }

  // What the worker does: keeps a photograph and its depth when a job brings them, and draws it
  // when the job says where the focus is.
  let photo = null;
  let depth = null;
  function answer(job) {
    const { asked, height, width } = job;
    if (job.metres) {
      photo = job.photo;
      depth = depthToEdges(job.metres, job.rows, job.columns, photo, height, width);
    }
    const planes = job.focus
      ? renderFocused(photo, depth, job.focus, job.aperture, height, width)
      : null;
    return { asked, planes, depth };
  }

  return { renderFocused, defaultFocus, depthAt, answer };
};
