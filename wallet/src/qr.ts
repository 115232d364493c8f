/**
 * A QR code of a short text (ISO/IEC 18004), so that the card helper can read an address off this screen.
 * Promises: byte mode, error correction M, the smallest of versions 1 to 10, the mask with the least penalty.
 * Trusts nothing. Keeps nothing. Refuses: texts that do not fit, by `too_large`.
 */
import { utf8 } from "./bytes.ts";
import { Problem } from "./problem.ts";

/** Table 9, level M: error correction codewords of a block, then the data codewords of each block. */
const BLOCKS: readonly { readonly ec: number; readonly data: readonly number[] }[] = [
  { ec: 10, data: [16] }, { ec: 16, data: [28] }, { ec: 26, data: [44] }, { ec: 18, data: [32, 32] }, { ec: 24, data: [43, 43] },
  { ec: 16, data: [27, 27, 27, 27] }, { ec: 18, data: [31, 31, 31, 31] }, { ec: 22, data: [38, 38, 39, 39] },
  { ec: 22, data: [36, 36, 36, 37, 37] }, { ec: 26, data: [43, 43, 43, 43, 44] },
];
/** Annex E: where the alignment patterns stand. */
const ALIGNED: readonly (readonly number[])[] = [
  [], [6, 18], [6, 22], [6, 26], [6, 30], [6, 34], [6, 22, 38], [6, 24, 42], [6, 26, 46], [6, 28, 50],
];
const MASKS: readonly ((row: number, column: number) => boolean)[] = [
  (i, j) => (i + j) % 2 === 0, (i) => i % 2 === 0, (_i, j) => j % 3 === 0, (i, j) => (i + j) % 3 === 0,
  (i, j) => (Math.floor(i / 2) + Math.floor(j / 3)) % 2 === 0, (i, j) => ((i * j) % 2) + ((i * j) % 3) === 0,
  (i, j) => (((i * j) % 2) + ((i * j) % 3)) % 2 === 0, (i, j) => (((i + j) % 2) + ((i * j) % 3)) % 2 === 0,
];

/** Rows of modules, dark ones true, without the quiet zone. */
export function qr(text: string): boolean[][] {
  const bytes = utf8(text);
  const version = BLOCKS.findIndex(({ data }, at) => bytes.length + (at + 1 < 10 ? 2 : 3) <= data.reduce((sum, one) => sum + one, 0)) + 1;
  if (version === 0) throw new Problem("too_large", "text for a QR code");
  const bits = interleaved(codewords(bytes, version), version);
  const drawn = MASKS.map((_mask, number) => draw(version, bits, number));
  return drawn.reduce((best, one) => (penalty(one) < penalty(best) ? one : best));
}

/** Section 7.4: mode, length, data, terminator, padding. */
function codewords(bytes: Uint8Array, version: number): number[] {
  const whole = (BLOCKS[version - 1] as { data: readonly number[] }).data.reduce((sum, one) => sum + one, 0);
  const bits: number[] = [];
  const put = (value: number, length: number): void => {
    for (let at = length - 1; at >= 0; at--) bits.push((value >> at) & 1);
  };
  put(0b0100, 4);
  put(bytes.length, version < 10 ? 8 : 16);
  for (const byte of bytes) put(byte, 8);
  put(0, Math.min(4, whole * 8 - bits.length));
  while (bits.length % 8 > 0) bits.push(0);
  const words = Array.from({ length: bits.length / 8 }, (_one, at) => bits.slice(at * 8, at * 8 + 8).reduce((sum, bit) => sum * 2 + bit, 0));
  for (let pad = 0xec; words.length < whole; pad ^= 0xec ^ 0x11) words.push(pad);
  return words;
}

/** Section 7.6: the blocks' data column by column, then their error correction. */
function interleaved(words: readonly number[], version: number): number[] {
  const { ec, data } = BLOCKS[version - 1] as { ec: number; data: readonly number[] };
  let from = 0;
  const blocks = data.map((length) => words.slice(from, (from += length)));
  const checks = blocks.map((block) => remainder(block, ec));
  const columns = (rows: readonly (readonly number[])[], length: number): number[] =>
    Array.from({ length }, (_one, at) => rows.flatMap((row) => row[at] ?? [])).flat();
  return [...columns(blocks, Math.max(...data)), ...columns(checks, ec)].flatMap((word) => Array.from({ length: 8 }, (_one, at) => (word >> (7 - at)) & 1));
}

/** In GF(256) modulo x^8 + x^4 + x^3 + x^2 + 1. */
function times(left: number, right: number): number {
  let product = 0;
  for (let at = 7; at >= 0; at--) {
    product = (product << 1) ^ ((product >> 7) * 0x11d);
    product ^= ((right >> at) & 1) * left;
  }
  return product & 0xff;
}

function remainder(block: readonly number[], ec: number): number[] {
  const divisor = new Array<number>(ec).fill(0);
  divisor[ec - 1] = 1;
  for (let step = 0, root = 1; step < ec; step++, root = times(root, 2)) {
    for (let at = 0; at < ec; at++) divisor[at] = times(divisor[at] ?? 0, root) ^ (divisor[at + 1] ?? 0);
  }
  let left = new Array<number>(ec).fill(0);
  for (const word of block) {
    const factor = word ^ (left[0] ?? 0);
    left = [...left.slice(1), 0].map((one, at) => one ^ times(divisor[at] ?? 0, factor));
  }
  return left;
}

function draw(version: number, bits: readonly number[], mask: number): boolean[][] {
  const size = 17 + 4 * version;
  const dark = Array.from({ length: size }, () => new Array<boolean>(size).fill(false));
  const fixed = Array.from({ length: size }, () => new Array<boolean>(size).fill(false));
  const set = (row: number, column: number, value: boolean): void => {
    if (row < 0 || column < 0 || row >= size || column >= size) return;
    (dark[row] as boolean[])[column] = value;
    (fixed[row] as boolean[])[column] = true;
  };
  for (let at = 0; at < size; at++) for (const [row, column] of [[6, at], [at, 6]] as const) set(row, column, at % 2 === 0);
  for (const [row, column] of [[3, 3], [3, size - 4], [size - 4, 3]] as const) square(set, row, column, 4, [0, 1, 3]);
  const aligned = ALIGNED[version - 1] ?? [];
  const last = aligned.at(-1) ?? 0;
  for (const row of aligned) {
    for (const column of aligned) {
      const corner = (row === 6 && (column === 6 || column === last)) || (row === last && column === 6);
      if (!corner) square(set, row, column, 2, [0, 2]);
    }
  }
  formatted(set, size, mask);
  if (version >= 7) versioned(set, size, version);
  filled(dark, fixed, bits, mask);
  return dark;
}

type Set = (row: number, column: number, value: boolean) => void;

/** Rings round a middle; `dark`: which of them, counted from the middle. */
function square(set: Set, row: number, column: number, reach: number, dark: readonly number[]): void {
  for (let y = -reach; y <= reach; y++) for (let x = -reach; x <= reach; x++) set(row + y, column + x, dark.includes(Math.max(Math.abs(x), Math.abs(y))));
}

function bch(value: number, generator: number, degree: number): number {
  let rest = value;
  for (let step = 0; step < degree; step++) rest = (rest << 1) ^ ((rest >> (degree - 1)) * generator);
  return (value << degree) | rest;
}

/** Section 7.9. Level M is 00. */
function formatted(set: Set, size: number, mask: number): void {
  const bits = bch(mask, 0x537, 10) ^ 0x5412;
  for (let at = 0; at < 15; at++) {
    const value = ((bits >> at) & 1) === 1;
    set(at < 6 ? at : at < 8 ? at + 1 : size - 15 + at, 8, value);
    set(8, at < 8 ? size - 1 - at : at === 8 ? 7 : 14 - at, value);
  }
  set(size - 8, 8, true);
}

/** Section 7.10. */
function versioned(set: Set, size: number, version: number): void {
  const bits = bch(version, 0x1f25, 12);
  for (let at = 0; at < 18; at++) {
    const value = ((bits >> at) & 1) === 1;
    const [far, near] = [size - 11 + (at % 3), Math.floor(at / 3)];
    set(far, near, value);
    set(near, far, value);
  }
}

/** Section 7.7.3: two columns at a time, up and down, from the right. */
function filled(dark: boolean[][], fixed: readonly (readonly boolean[])[], bits: readonly number[], mask: number): void {
  const size = dark.length;
  let at = 0;
  for (let right = size - 1; right >= 1; right -= 2) {
    if (right === 6) right = 5;
    for (let step = 0; step < size; step++) {
      const row = ((right + 1) & 2) === 0 ? size - 1 - step : step;
      for (const column of [right, right - 1]) {
        if (fixed[row]?.[column]) continue;
        (dark[row] as boolean[])[column] = (bits[at++] === 1) !== (MASKS[mask] as (typeof MASKS)[number])(row, column);
      }
    }
  }
}

/** Section 7.8.3, all four rules. */
function penalty(dark: readonly (readonly boolean[])[]): number {
  const size = dark.length;
  const turned = dark.map((_row, column) => dark.map((row) => row[column] ?? false));
  let points = 0;
  for (const line of [...dark, ...turned]) {
    const text = line.map((one) => (one ? "1" : "0")).join("");
    for (const run of text.match(/0{5,}|1{5,}/g) ?? []) points += run.length - 2;
    points += 40 * ((text.match(/(?=00001011101|10111010000)/g) ?? []).length);
  }
  for (let row = 1; row < size; row++) {
    for (let column = 1; column < size; column++) {
      const one = dark[row]?.[column];
      if (one === dark[row - 1]?.[column] && one === dark[row]?.[column - 1] && one === dark[row - 1]?.[column - 1]) points += 3;
    }
  }
  const share = dark.flat().filter(Boolean).length / (size * size);
  return points + 10 * Math.floor(Math.abs(share * 20 - 10));
}
