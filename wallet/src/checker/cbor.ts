/**
 * CBOR (RFC 8949) as far as codes and mdocs need it, in one small file, because a checker reads strangers' bytes with it.
 * Promises: what was decoded was the whole input, of definite lengths, without a key twice; `decodeOnly` asks for the deterministic spelling as
 * well (4.2.1), byte for byte. Trusts: nothing. Keeps: nothing. Refuses: depth over 16, numbers beyond 53 bits, keys that are neither
 * number nor text, text that is not UTF-8.
 */
import { type Bytes, join, same, text as read, utf8 } from "../bytes.ts";
import { Problem } from "../problem.ts";

export class Tag {
  constructor(
    readonly tag: number,
    readonly value: Cbor,
  ) {}
}
export type Key = number | string;
export type Cbor = number | string | boolean | null | undefined | Bytes | Cbor[] | Map<Key, Cbor> | Tag;

const DEPTH = 16;
const bad = (detail: string): never => {
  throw new Problem("malformed", detail);
};

class Reader {
  at = 0;
  constructor(private readonly raw: Bytes) {}

  private byte(): number {
    return this.raw[this.at++] ?? bad("CBOR cut short");
  }

  private take(length: number): Bytes {
    const end = this.at + length;
    if (end > this.raw.length) bad("CBOR cut short");
    const found = this.raw.slice(this.at, end);
    this.at = end;
    return found;
  }

  private argument(low: number): number {
    if (low < 24) return low;
    if (low > 27) return bad("an indefinite length");
    let number = 0;
    for (const byte of this.take(2 ** (low - 24))) number = number * 256 + byte;
    return Number.isSafeInteger(number) ? number : bad("a number too large");
  }

  item(depth: number): Cbor {
    if (depth > DEPTH) bad("CBOR too deep");
    const first = this.byte();
    const [major, low] = [first >> 5, first & 31];
    if (major === 7) return this.simple(low);
    const number = this.argument(low);
    switch (major) {
      case 0:
        return number;
      case 1:
        return -1 - number;
      case 2:
        return this.take(number);
      case 3:
        return words(this.take(number));
      case 4:
        return this.many(number).map(() => this.item(depth + 1));
      case 5:
        return this.map(number, depth);
      default:
        return new Tag(number, this.item(depth + 1));
    }
  }

  /** Each element takes a byte at least, so no length makes us reserve more than came. */
  private many(count: number): number[] {
    if (count > this.raw.length - this.at) bad("CBOR cut short");
    return Array.from({ length: count }, (_one, at) => at);
  }

  private map(count: number, depth: number): Map<Key, Cbor> {
    const found = new Map<Key, Cbor>();
    for (const _ of this.many(count)) {
      const key = this.item(depth + 1);
      if (typeof key !== "number" && typeof key !== "string") return bad("a key of another kind");
      if (found.has(key)) bad("a key twice");
      found.set(key, this.item(depth + 1));
    }
    return found;
  }

  private simple(low: number): Cbor {
    if (low === 20 || low === 21) return low === 21;
    if (low === 22) return null;
    if (low === 23) return undefined;
    if (low < 25 || low > 27) return bad("a simple value we do not know");
    const raw = this.take(2 ** (low - 24));
    const view = new DataView(raw.buffer);
    if (low === 26) return view.getFloat32(0);
    return low === 27 ? view.getFloat64(0) : bad("a half float");
  }
}

function words(raw: Bytes): string {
  try {
    return read(raw);
  } catch {
    return bad("text that is not UTF-8");
  }
}

/** One item and nothing after it. */
export function decode(raw: Bytes): Cbor {
  const reader = new Reader(raw);
  const value = reader.item(0);
  if (reader.at !== raw.length) bad("something after the CBOR");
  return value;
}

/** The same in its one spelling. */
export function decodeOnly(raw: Bytes): Cbor {
  const value = decode(raw);
  if (!same(encode(value), raw)) bad("CBOR in another spelling");
  return value;
}

function head(major: number, number: number): Bytes {
  if (number < 24) return Uint8Array.of((major << 5) | number) as Bytes;
  const size = number < 2 ** 8 ? 1 : number < 2 ** 16 ? 2 : number < 2 ** 32 ? 4 : 8;
  const found = new Uint8Array(1 + size);
  found[0] = (major << 5) | (23 + [1, 2, 4, 8].indexOf(size) + 1);
  for (let at = size, rest = number; at > 0; at--, rest = Math.floor(rest / 256)) found[at] = rest % 256;
  return found;
}

export const bstr = (raw: Bytes): Bytes => join(head(2, raw.length), raw);
/** `#6.24(bstr)`: CBOR inside CBOR (RFC 8949 3.4.5.1). */
export const embed = (raw: Bytes): Bytes => join(head(6, 24), bstr(raw));
export const tstr = (word: string): Bytes => {
  const raw = utf8(word);
  return join(head(3, raw.length), raw);
};

export function encode(value: Cbor): Bytes {
  if (typeof value === "number") return Number.isSafeInteger(value) ? (value < 0 ? head(1, -1 - value) : head(0, value)) : bad("a fraction");
  if (typeof value === "string") return tstr(value);
  if (value instanceof Uint8Array) return bstr(value);
  if (Array.isArray(value)) return join(head(4, value.length), ...value.map(encode));
  if (value instanceof Tag) return join(head(6, value.tag), encode(value.value));
  if (value instanceof Map) {
    const rows = [...value].map(([key, inner]) => ({ key: encode(key), whole: join(encode(key), encode(inner)) }));
    rows.sort((left, right) => order(left.key, right.key));
    return join(head(5, rows.length), ...rows.map(({ whole }) => whole));
  }
  return Uint8Array.of(value === false ? 0xf4 : value === true ? 0xf5 : value === null ? 0xf6 : 0xf7) as Bytes;
}

/** RFC 8949 4.2.1: by the bytes of the encoded keys. */
function order(left: Bytes, right: Bytes): number {
  for (let at = 0; at < Math.min(left.length, right.length); at++) {
    const differs = (left[at] ?? 0) - (right[at] ?? 0);
    if (differs !== 0) return differs;
  }
  return left.length - right.length;
}

/** A map; where its members are listed, with those and no others. */
export function mapOf(value: Cbor, what: string, only?: readonly Key[]): Map<Key, Cbor> {
  if (!(value instanceof Map)) return bad(`${what} is not a map`);
  if (only && ![...value.keys()].every((key) => only.includes(key))) bad(`${what} has a member it should not have`);
  return value;
}

export function bytesOf(value: Cbor, what: string): Bytes {
  return value instanceof Uint8Array ? value : bad(`${what} is not bytes`);
}

/** What is inside `#6.24(bstr)`. */
export function embedded(value: Cbor): Bytes {
  return value instanceof Tag && value.tag === 24 ? bytesOf(value.value, "embedded CBOR") : bad("not embedded CBOR");
}
