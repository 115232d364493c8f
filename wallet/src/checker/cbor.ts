/**
 * CBOR of mdocs, which may be spelled in more ways than one, and the shapes a checker looks for in it; ../cbor.ts does the reading.
 * Promises: what was decoded was the whole input, of definite lengths, without a key twice. Trusts: nothing. Keeps: nothing.
 * Refuses: depth over 16, half floats, and what ../cbor.ts refuses but for long heads and keys out of order.
 */
import type { Bytes } from "../bytes.ts";
import { type Cbor, encode, type Key, Reader, Tagged } from "../cbor.ts";
import { Problem } from "../problem.ts";

const bad = (detail: string): never => {
  throw new Problem("malformed", detail);
};

class MdocReader extends Reader {
  protected override unusual(): void {} // ISO/IEC 18013-5 asks for no deterministic encoding

  protected override simple(first: number): Cbor {
    if (first === 0xf7) return undefined;
    if (first !== 0xfa && first !== 0xfb) return super.simple(first);
    const view = new DataView(this.bytes(first === 0xfa ? 4 : 8).slice().buffer);
    return first === 0xfa ? view.getFloat32(0) : view.getFloat64(0);
  }
}

/** One item and nothing after it. */
export const decodeMdoc = (raw: Bytes): Cbor => new MdocReader(raw, 16).whole();

/** `#6.24(bstr)`: CBOR inside CBOR (RFC 8949 3.4.5.1). */
export const embed = (raw: Bytes): Bytes => encode(new Tagged(24, raw));

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
  return value instanceof Tagged && value.tag === 24 ? bytesOf(value.value, "embedded CBOR") : bad("not embedded CBOR");
}
