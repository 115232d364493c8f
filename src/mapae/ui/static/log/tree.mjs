// The Merkle tree of RFC 9162 2.1, computed in the browser from the log's tiles (C2SP tlog-tiles).
//
// Promises: every root and path comes out of hashes that were fetched, by SHA-256 of this browser. Trusts: nobody; what
// the tiles say counts only once it amounts to a root that was signed. Keeps: the tiles of one check. Refuses: a tile or
// bundle of another length.

const WIDTH = 256; // C2SP tlog-tiles: hashes in a full tile
const HASH = 32;

export class Refused extends Error {}

export async function sha256(...parts) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", joined(parts)));
}

export const leafHash = (entry) => sha256([0], entry);
export const nodeHash = (left, right) => sha256([1], left, right);

export function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function same(a, b) {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

export function hex(bytes) {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** `<N>[.p/<W>]`: index 1234067 is x001/x234/067. */
function numbered(index, width) {
  const digits = String(index).padStart(Math.ceil(String(index).length / 3) * 3, "0");
  const groups = digits.match(/.{3}/g);
  const path = groups.map((group, at) => (at < groups.length - 1 ? `x${group}` : group)).join("/");
  return width === WIDTH ? path : `${path}.p/${width}`;
}

/** How many of a level's hashes its tile `index` holds in a tree of `count` hashes at that level. */
function widthOf(count, index) {
  const width = Math.min(WIDTH, count - index * WIDTH);
  if (width < 1) throw new Refused("the tree has no such tile");
  return width;
}

/** One log at one size. `get(path)` fetches below the log's prefix. */
export class Tiles {
  constructor(get, size) {
    this.get = get;
    this.size = size;
    this.kept = new Map();
  }

  async row(level, index) {
    const width = widthOf(Math.floor(this.size / WIDTH ** level), index);
    const path = `tile/${level}/${numbered(index, width)}`;
    if (!this.kept.has(path)) this.kept.set(path, this.get(path));
    const bytes = await this.kept.get(path);
    if (bytes.length !== width * HASH) throw new Refused(`${path} has another length`);
    return bytes;
  }

  async entry(index) {
    const bundle = Math.floor(index / WIDTH);
    const width = widthOf(this.size, bundle);
    const path = `tile/entries/${numbered(bundle, width)}`;
    const bytes = await this.get(path);
    const entries = [];
    for (let at = 0; at < bytes.length; ) {
      const length = bytes[at] * 256 + bytes[at + 1];
      if (!(at + 2 + length <= bytes.length)) throw new Refused(`${path} is cut off`);
      entries.push(bytes.subarray(at + 2, at + 2 + length));
      at += 2 + length;
    }
    if (entries.length !== width) throw new Refused(`${path} holds another number of entries`);
    return entries[index % WIDTH];
  }

  /** The hash of the full subtree number `index` over 2**height leaves. */
  async full(height, index) {
    const level = Math.floor(height / 8);
    const count = 2 ** (height % 8);
    const first = index * count;
    const row = await this.row(level, Math.floor(first / WIDTH));
    const at = (first % WIDTH) * HASH;
    let hashes = [];
    for (let one = 0; one < count; one++) hashes.push(row.subarray(at + one * HASH, at + (one + 1) * HASH));
    while (hashes.length > 1) {
      const above = [];
      for (let one = 0; one < hashes.length; one += 2) above.push(await nodeHash(hashes[one], hashes[one + 1]));
      hashes = above;
    }
    return hashes[0];
  }

  /** MTH(D[start:end]), for the ranges RFC 9162 2.1.1 divides a tree into. */
  async range(start, end) {
    const count = end - start;
    if (count < 1) throw new Refused("an empty part has no hash here");
    const half = below(count);
    if (half * 2 === count || count === 1) return this.full(Math.round(Math.log2(count)), start / count);
    return nodeHash(await this.range(start, start + half), await this.range(start + half, end));
  }

  root(size = this.size) {
    return size === 0 ? sha256() : this.range(0, size);
  }

  /** RFC 9162 2.1.3.1, from the leaf upwards: each sibling, and on which side it stands. */
  async path(index, start = 0, end = this.size) {
    if (end - start === 1) return [];
    const half = start + below(end - start);
    return index < half
      ? [...(await this.path(index, start, half)), { left: false, hash: await this.range(half, end) }]
      : [...(await this.path(index, half, end)), { left: true, hash: await this.range(start, half) }];
  }
}

/** The largest power of two smaller than `count`; 1 for 1. */
function below(count) {
  let power = 1;
  while (power * 2 < count) power *= 2;
  return power;
}

/** RFC 9162 2.1.3.2: each node on the way from the leaf to the root. */
export async function climb(leaf, path) {
  const way = [leaf];
  for (const { left, hash } of path) {
    const last = way[way.length - 1];
    way.push(left ? await nodeHash(hash, last) : await nodeHash(last, hash));
  }
  return way;
}
