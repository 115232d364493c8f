/**
 * CBOR (RFC 8949) for what others show as a code, small enough for the first screen. checker/cbor.ts reads mdocs with it.
 * Promises: what comes out was the whole input, in the deterministic encoding of section 4.2.1; `encode` writes no other. Trusts nothing.
 * Keeps nothing. Refuses, as `malformed`: long heads, indefinite lengths, keys out of order or twice, floats, half of UTF-8, depth over 8,
 * lists longer than their bytes.
 */
import { type Bytes, join, text, utf8 } from "./bytes.ts";
import { Problem } from "./problem.ts";

export class Tagged {
  constructor(
    readonly tag: number,
    readonly value: Cbor,
  ) {}
}
export type Key = number | string;
export type Cbor = number | string | boolean | null | undefined | Bytes | Tagged | Cbor[] | Map<Key, Cbor>;

const SIMPLE = [false, true, null, undefined]; // from 0xf4 on

const bad = (detail: string): never => {
  throw new Problem("malformed", detail);
};

/** The shortest head that says it (section 4.2.1). */
function head(major: number, value: number): Bytes {
  const first = major << 5;
  if (value < 24) return Uint8Array.of(first | value);
  const size = value < 0x100 ? 1 : value < 0x1_0000 ? 2 : value < 0x1_0000_0000 ? 4 : 8;
  const bytes = new Uint8Array(1 + size);
  bytes[0] = first | (24 + Math.log2(size));
  for (let at = size, rest = value; at > 0; at--, rest = Math.floor(rest / 256)) bytes[at] = rest % 256;
  return bytes;
}

export function encode(value: Cbor): Bytes {
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value)) return bad("not a whole number");
    return value < 0 ? head(1, -1 - value) : head(0, value);
  }
  if (typeof value === "string") {
    const bytes = utf8(value);
    return join(head(3, bytes.length), bytes);
  }
  if (value instanceof Uint8Array) return join(head(2, value.length), value);
  if (value instanceof Tagged) return join(head(6, value.tag), encode(value.value));
  if (value instanceof Map) {
    const members = [...value].map(([key, inner]) => ({ key: encode(key), inner: encode(inner) }));
    members.sort((one, other) => order(one.key, other.key));
    return join(head(5, members.length), ...members.flatMap(({ key, inner }) => [key, inner]));
  }
  if (Array.isArray(value)) return join(head(4, value.length), ...value.map(encode));
  return Uint8Array.of(0xf4 + SIMPLE.indexOf(value));
}

function order(one: Uint8Array, other: Uint8Array): number {
  for (let at = 0; at < Math.min(one.length, other.length); at++) {
    const apart = (one[at] ?? 0) - (other[at] ?? 0);
    if (apart !== 0) return apart;
  }
  return one.length - other.length;
}

export const decode = (raw: Bytes): Cbor => new Reader(raw, 8).whole();

/** Section 4.2.1, but for what a subclass puts up with. */
export class Reader {
  private at = 0;

  constructor(
    private readonly raw: Bytes,
    private readonly most: number, // levels
  ) {}

  whole(): Cbor {
    const value = this.item(0);
    return this.at === this.raw.length ? value : bad("bytes left over");
  }

  protected simple(first: number): Cbor {
    return first < 0xf4 || first > 0xf6 ? bad("unknown value") : SIMPLE[first - 0xf4];
  }

  /** A longer head than it needs, or keys out of order. */
  protected unusual(): void {
    bad("another spelling");
  }

  private item(depth: number): Cbor {
    if (depth > this.most) return bad("too deep");
    const first = this.raw[this.at++];
    if (first === undefined) return bad("cut short");
    const major = first >> 5;
    if (major === 7) return this.simple(first);
    const count = this.count(first & 0x1f);
    switch (major) {
      case 0:
        return count;
      case 1:
        return -1 - count;
      case 2:
        return this.bytes(count).slice();
      case 3:
        return this.words(count);
      case 4:
        return this.list(count, depth);
      case 5:
        return this.map(count, depth);
      default:
        return new Tagged(count, this.item(depth + 1));
    }
  }

  private count(short: number): number {
    if (short < 24) return short;
    if (short > 27) return bad("no definite length");
    const size = 1 << (short - 24);
    const value = this.bytes(size).reduce((sum, byte) => sum * 256 + byte, 0);
    if (!Number.isSafeInteger(value)) return bad("too large");
    if (value < (size === 1 ? 24 : 2 ** (4 * size))) this.unusual();
    return value;
  }

  protected bytes(count: number): Bytes {
    const end = this.at + count;
    if (end > this.raw.length) return bad("cut short");
    const found = this.raw.subarray(this.at, end);
    this.at = end;
    return found;
  }

  private words(count: number): string {
    try {
      return text(this.bytes(count));
    } catch {
      return bad("not UTF-8");
    }
  }

  private list(count: number, depth: number): Cbor[] {
    if (count > this.raw.length - this.at) return bad("cut short"); // each takes a byte at least
    return Array.from({ length: count }, () => this.item(depth + 1));
  }

  private map(count: number, depth: number): Map<Key, Cbor> {
    const found = new Map<Key, Cbor>();
    let before: Bytes | null = null;
    for (let member = 0; member < count; member++) {
      const start = this.at;
      const key = this.item(depth + 1);
      if (typeof key !== "number" && typeof key !== "string") return bad("a key of another kind");
      const spelled = this.raw.subarray(start, this.at);
      if (found.has(key)) return bad("a key twice");
      if (before && order(before, spelled) > 0) this.unusual();
      before = spelled;
      found.set(key, this.item(depth + 1));
    }
    return found;
  }
}
