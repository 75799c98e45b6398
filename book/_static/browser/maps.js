// Planes and maps, as they are in Python (lens/thin_lens.py, lens/upsample.py, photograph.py): a
// test compares. A plane is a Float32Array of height x width numbers, row by row. All is in one
// function, because a worker is made from its text: a page that was opened from disk may not load
// a worker from a file.
globalThis.makeBradcnMaps = function () {
  "use strict";
  const NEAREST_M = 0.35;
  const clip = (x, low, high) => Math.min(Math.max(x, low), high);

  // Weights of an enlargement or reduction along one side: for each new place, [first, weights].
  function taps(from, to, bilinear) {
    const scale = from / to,
      all = [];
    for (let i = 0; i < to; i++) {
      if (to < from && !bilinear) {
        // area averages, as cv2.INTER_AREA
        const low = i * scale,
          high = (i + 1) * scale,
          first = Math.floor(low + 1e-6),
          weights = [];
        for (let j = first; j < Math.min(Math.ceil(high - 1e-6), from); j++)
          weights.push((Math.min(high, j + 1) - Math.max(low, j)) / scale);
        all.push([first, weights]);
      } else {
        // bilinear, as cv2.INTER_LINEAR
        const at = clip((i + 0.5) * scale - 0.5, 0, from - 1),
          first = Math.min(Math.floor(at), Math.max(from - 2, 0));
        all.push([first, from > 1 ? [1 - (at - first), at - first] : [1]]);
      }
    }
    return all;
  }

  function resize(plane, height, width, rows, columns, bilinear = false) {
    if (rows === height && columns === width) return plane;
    const across = taps(width, columns, bilinear),
      down = taps(height, rows, bilinear);
    const half = new Float32Array(height * columns),
      result = new Float32Array(rows * columns);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < columns; x++) {
        const first = across[x][0],
          weights = across[x][1];
        let sum = 0;
        for (let k = 0; k < weights.length; k++) sum += weights[k] * plane[y * width + first + k];
        half[y * columns + x] = sum;
      }
    for (let y = 0; y < rows; y++) {
      const first = down[y][0],
        weights = down[y][1];
      for (let k = 0; k < weights.length; k++)
        for (let x = 0; x < columns; x++)
          result[y * columns + x] += weights[k] * half[(first + k) * columns + x];
    }
    return result;
  }

  function mirrored(i, side, edgeTwice) {
    // BORDER_REFLECT with the edge twice, else _101
    const period = edgeTwice ? 2 * side : Math.max(2 * side - 2, 1);
    i = ((i % period) + period) % period;
    return i < side ? i : edgeTwice ? period - 1 - i : period - i;
  }

  // Means over squares of 2 radius + 1 pixels, the edge mirrored (cv2.blur, BORDER_REFLECT).
  function boxMean(plane, height, width, radius) {
    const result = new Float32Array(plane.length),
      side = 2 * radius + 1;
    for (const vertical of [false, true]) {
      const source = vertical ? result.slice() : plane,
        lines = vertical ? width : height;
      const length = vertical ? height : width,
        step = vertical ? width : 1,
        jump = vertical ? 1 : width;
      for (let line = 0; line < lines; line++) {
        let sum = 0;
        for (let k = -radius; k <= radius; k++)
          sum += source[line * jump + step * mirrored(k, length, true)];
        for (let i = 0; i < length; i++) {
          result[line * jump + step * i] = sum / side;
          sum +=
            source[line * jump + step * mirrored(i + radius + 1, length, true)] -
            source[line * jump + step * mirrored(i - radius, length, true)];
        }
      }
    }
    return result;
  }

  // lens.upsample.guided_upsample: the fast guided filter with a colour guide (He and Sun, 2015).
  function guidedUpsample(values, rows, columns, photo, height, width) {
    const most = Math.trunc(Math.sqrt(524288 / (rows * columns)));
    const factor = Math.max(1, Math.min(Math.round(256 / rows), most)),
      h = rows * factor,
      w = columns * factor;
    const guide = photo.map((plane) => resize(plane, height, width, h, w)),
      target = resize(values, rows, columns, h, w);
    const mean = (plane) => boxMean(plane, h, w, 6),
      times = (a, b) => a.map((value, i) => value * b[i]);
    const centre = guide.map(mean),
      level = mean(target);
    const cross = guide.map((plane) => mean(times(plane, target)));
    const squares = [
      [0, 0],
      [0, 1],
      [0, 2],
      [1, 1],
      [1, 2],
      [2, 2],
    ].map((p) => mean(times(guide[p[0]], guide[p[1]])));
    const slope = [0, 1, 2].map(() => new Float32Array(h * w)),
      offset = new Float32Array(h * w);
    for (let i = 0; i < h * w; i++) {
      const m = [centre[0][i], centre[1][i], centre[2][i]];
      const a = squares[0][i] - m[0] * m[0] + 1e-4,
        b = squares[1][i] - m[0] * m[1],
        c = squares[2][i] - m[0] * m[2];
      const d = squares[3][i] - m[1] * m[1] + 1e-4,
        e = squares[4][i] - m[1] * m[2],
        f = squares[5][i] - m[2] * m[2] + 1e-4;
      const r = [0, 1, 2].map((k) => cross[k][i] - m[k] * level[i]);
      const A = d * f - e * e,
        B = c * e - b * f,
        C = b * e - c * d,
        D = a * f - c * c,
        E = b * c - a * e,
        F = a * d - b * b;
      const det = a * A + b * B + c * C;
      const s = [
        A * r[0] + B * r[1] + C * r[2],
        B * r[0] + D * r[1] + E * r[2],
        C * r[0] + E * r[1] + F * r[2],
      ];
      offset[i] = level[i];
      for (let k = 0; k < 3; k++) {
        slope[k][i] = s[k] / det;
        offset[i] -= slope[k][i] * m[k];
      }
    }
    const result = resize(mean(offset), h, w, height, width, true).slice();
    for (let k = 0; k < 3; k++) {
      const fine = resize(mean(slope[k]), h, w, height, width, true);
      for (let i = 0; i < result.length; i++) result[i] += fine[i] * photo[k][i];
    }
    return result;
  }

  // photograph.depth_of, from the net's metres on: disparity is what is enlarged.
  function depthToEdges(metres, rows, columns, photo, height, width) {
    const disparity = metres.map((m) => 1 / Math.max(m, 1e-3));
    let low = Infinity,
      high = 0;
    for (const d of disparity) {
      low = Math.min(low, d);
      high = Math.max(high, d);
    }
    return guidedUpsample(disparity, rows, columns, photo, height, width).map((d) =>
      Math.max(1 / clip(d, low, high), NEAREST_M),
    );
  }

  return { clip, resize, mirrored, depthToEdges };
};
