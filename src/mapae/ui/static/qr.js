// A QR code drawn in the browser, for what no server may see: bytes, error level M, versions 1 to 10 (ISO/IEC 18004).
"use strict";

const mapaeQr = (() => {
  // By version from 1: error correction bytes of a block, number of blocks, all bytes (tables 1 and 9), alignment (annex E).
  const VERSIONS = [
    [10, 1, 26, []], [16, 1, 44, [6, 18]], [26, 1, 70, [6, 22]], [18, 2, 100, [6, 26]], [24, 2, 134, [6, 30]],
    [16, 4, 172, [6, 34]], [18, 4, 196, [6, 22, 38]], [22, 4, 242, [6, 24, 42]], [22, 5, 292, [6, 26, 46]], [26, 5, 346, [6, 28, 50]],
  ];
  const EXP = [], LOG = [];
  for (let i = 0, x = 1; i < 255; i++) {
    EXP[i] = x;
    LOG[x] = i;
    x = (x << 1) ^ (x & 0x80 ? 0x11d : 0);
  }
  const times = (a, b) => (a && b ? EXP[(LOG[a] + LOG[b]) % 255] : 0);

  function remainder(data, degree) {
    let generator = [1];
    for (let i = 0; i < degree; i++) {
      const next = [...generator, 0];
      generator.forEach((c, at) => (next[at + 1] ^= times(c, EXP[i])));
      generator = next;
    }
    const rest = [...data, ...Array(degree).fill(0)];
    for (let i = 0; i < data.length; i++) {
      const lead = rest[i];
      if (lead) generator.forEach((c, at) => (rest[i + at] ^= times(c, lead)));
    }
    return rest.slice(data.length);
  }

  /** 7.4: mode, length, bytes, padding; then 7.5 and 7.6: blocks, and their bytes in turn. */
  function codewords(bytes, version) {
    const [ecc, blocks, total] = VERSIONS[version - 1];
    const room = total - ecc * blocks;
    const bits = [];
    const put = (value, width) => {
      for (let i = width - 1; i >= 0; i--) bits.push((value >> i) & 1);
    };
    put(4, 4);
    put(bytes.length, version < 10 ? 8 : 16);
    bytes.forEach((byte) => put(byte, 8));
    put(0, Math.min(4, room * 8 - bits.length));
    while (bits.length % 8) bits.push(0);
    const data = [];
    for (let i = 0; i < bits.length; i += 8) data.push(parseInt(bits.slice(i, i + 8).join(""), 2));
    for (let i = 0; data.length < room; i++) data.push(i % 2 ? 0x11 : 0xec);
    const short = Math.floor(room / blocks), longer = room % blocks, parts = [];
    for (let i = 0, at = 0; i < blocks; i++) {
      const size = short + (i >= blocks - longer ? 1 : 0);
      parts.push(data.slice(at, at + size));
      at += size;
    }
    const checks = parts.map((part) => remainder(part, ecc));
    const out = [];
    for (let i = 0; i <= short; i++) parts.forEach((part) => i < part.length && out.push(part[i]));
    for (let i = 0; i < ecc; i++) checks.forEach((check) => out.push(check[i]));
    return out;
  }

  const MASKS = [
    (r, c) => (r + c) % 2, (r) => r % 2, (r, c) => c % 3, (r, c) => (r + c) % 3,
    (r, c) => (Math.floor(r / 2) + Math.floor(c / 3)) % 2, (r, c) => ((r * c) % 2) + ((r * c) % 3),
    (r, c) => (((r * c) % 2) + ((r * c) % 3)) % 2, (r, c) => (((r + c) % 2) + ((r * c) % 3)) % 2,
  ];

  function bch(value, generator, width) {
    let rest = value << width;
    for (let top = 31 - Math.clz32(rest); rest && top >= width; top = 31 - Math.clz32(rest)) rest ^= generator << (top - width);
    return (value << width) | rest;
  }

  /** The patterns that are the same for every text of a version; null where data goes. */
  function frame(version) {
    const size = version * 4 + 17;
    const grid = Array.from({ length: size }, () => Array(size).fill(null));
    const set = (r, c, on) => r >= 0 && c >= 0 && r < size && c < size && (grid[r][c] = on ? 1 : 0);
    for (const [top, left] of [[0, 0], [0, size - 7], [size - 7, 0]])
      for (let r = -1; r < 8; r++)
        for (let c = -1; c < 8; c++) {
          const ring = Math.max(Math.abs(r - 3), Math.abs(c - 3));
          set(top + r, left + c, ring !== 2 && ring !== 4);
        }
    const centres = VERSIONS[version - 1][3], last = centres.at(-1);
    for (const y of centres)
      for (const x of centres) {
        if ((y === 6 && (x === 6 || x === last)) || (x === 6 && y === last)) continue;
        for (let r = -2; r < 3; r++) for (let c = -2; c < 3; c++) set(y + r, x + c, Math.max(Math.abs(r), Math.abs(c)) !== 1);
      }
    for (let i = 8; i < size - 8; i++) grid[6][i] = grid[i][6] = i % 2 ? 0 : 1;
    if (version >= 7) {
      const info = bch(version, 0x1f25, 12);
      for (let i = 0; i < 18; i++) {
        const a = Math.floor(i / 3), b = size - 11 + (i % 3);
        grid[a][b] = grid[b][a] = (info >> i) & 1;
      }
    }
    return grid;
  }

  /** 7.9: level M is 00. */
  function format(grid, mask) {
    const size = grid.length, info = bch(mask, 0x537, 10) ^ 0x5412, bit = (i) => (info >> i) & 1;
    for (let i = 0; i < 15; i++) {
      const upright = i < 6 ? i : i < 8 ? i + 1 : size - 15 + i;
      const level = i < 8 ? size - 1 - i : i === 8 ? 7 : 14 - i;
      grid[upright][8] = bit(i);
      grid[8][level] = bit(i);
    }
    grid[size - 8][8] = 1;
  }

  function filled(version, words, mask) {
    const grid = frame(version), size = grid.length, taken = frame(version);
    format(taken, 0);
    let at = 0, up = true;
    for (let right = size - 1; right > 0; right -= 2, up = !up) {
      if (right === 6) right = 5;
      for (let i = 0; i < size; i++) {
        const r = up ? size - 1 - i : i;
        for (const c of [right, right - 1]) {
          if (taken[r][c] !== null) continue;
          const bit = at < words.length * 8 ? (words[at >> 3] >> (7 - (at & 7))) & 1 : 0;
          grid[r][c] = MASKS[mask](r, c) === 0 ? bit ^ 1 : bit;
          at++;
        }
      }
    }
    format(grid, mask);
    return grid;
  }

  /** 7.8.3: what a reader would stumble over. */
  function penalty(grid) {
    const size = grid.length, lines = [...grid, ...grid.map((_, c) => grid.map((row) => row[c]))];
    let score = 0;
    for (const one of lines) {
      const text = one.join("");
      for (const run of text.match(/0{5,}|1{5,}/g) ?? []) score += run.length - 2;
      for (const finder of ["10111010000", "00001011101"])
        for (let at = text.indexOf(finder); at >= 0; at = text.indexOf(finder, at + 1)) score += 40;
    }
    let dark = 0;
    for (let r = 0; r < size; r++)
      for (let c = 0; c < size; c++) {
        dark += grid[r][c];
        if (r && c && grid[r][c] === grid[r - 1][c] && grid[r][c] === grid[r][c - 1] && grid[r][c] === grid[r - 1][c - 1]) score += 3;
      }
    return score + 10 * Math.floor(Math.abs((dark * 20) / (size * size) - 10));
  }

  function grid(text) {
    const bytes = [...new TextEncoder().encode(text)];
    const version = 1 + VERSIONS.findIndex(([ecc, blocks, total], at) => total - ecc * blocks >= bytes.length + (at < 9 ? 2 : 3));
    if (!version) throw new Error("too long for this code");
    const words = codewords(bytes, version);
    return MASKS.map((_, mask) => filled(version, words, mask)).reduce((a, b) => (penalty(b) < penalty(a) ? b : a));
  }

  const draw = (text, alt) => {
    const cells = grid(text), size = cells.length + 8, ns = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(ns, "svg");
    svg.setAttribute("viewBox", `0 0 ${size} ${size}`);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", alt);
    const put = (name, given) => {
      const part = document.createElementNS(ns, name);
      for (const [key, value] of Object.entries(given)) part.setAttribute(key, value);
      svg.append(part);
    };
    put("rect", { width: size, height: size, fill: "#fff" });
    const path = cells.flatMap((row, r) => row.map((on, c) => (on ? `M${c + 4} ${r + 4}h1v1h-1z` : ""))).join("");
    put("path", { d: path, fill: "#0b1f4b" });
    return svg;
  };
  draw.grid = grid;
  return draw;
})();
if (typeof module !== "undefined") module.exports = mapaeQr;
