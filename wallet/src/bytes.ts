/**
 * Bytes, text and digests.
 * Promises: one spelling each way (base64url without padding, base45 in capitals). Trusts: WebCrypto. Keeps nothing.
 * Refuses: base64 that is not base64 and base45 that is not base45, by a `Problem`.
 */
import { base64url } from "jose";
import { Problem } from "./problem.ts";

export type Bytes = Uint8Array<ArrayBuffer>;

export const utf8 = (text: string): Bytes => new TextEncoder().encode(text) as Bytes;
export const text = (bytes: Uint8Array): string => new TextDecoder("utf-8", { fatal: true }).decode(bytes);
export const b64u = (bytes: Uint8Array): string => base64url.encode(bytes);

export function unb64u(raw: string): Bytes {
  if (!/^[A-Za-z0-9_-]*$/.test(raw)) throw new Problem("malformed", "not base64url");
  return decode(raw);
}

/** One spelling: whole bytes, spare bits zero (RFC 4648 section 3.5). */
function decode(raw: string): Bytes {
  if (raw.length % 4 === 1) throw new Problem("malformed", "a character left over");
  const bytes = base64url.decode(raw) as Bytes;
  if (raw.length % 4 !== 0 && !raw.endsWith(b64u(bytes.subarray(bytes.length - (bytes.length % 3))))) throw new Problem("malformed", "spare bits");
  return bytes;
}

/** Standard base64, as in `x5c` and in a portrait claim. */
export function unb64(raw: string): Bytes {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(raw)) throw new Problem("malformed", "not base64");
  return decode(raw.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, ""));
}

/** RFC 9285, section 4: the 45 characters that a QR code packs tightest. */
const BASE45 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";

export function b45(bytes: Uint8Array): string {
  let out = "";
  for (let at = 0; at < bytes.length; at += 2) {
    const pair = at + 1 < bytes.length;
    let value = pair ? (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0) : (bytes[at] ?? 0);
    for (let digit = 0; digit < (pair ? 3 : 2); digit++, value = Math.floor(value / 45)) out += BASE45[value % 45];
  }
  return out;
}

export function unb45(raw: string): Bytes {
  if (raw.length % 3 === 1) throw new Problem("malformed", "a character left over");
  const bytes = new Uint8Array(Math.floor(raw.length / 3) * 2 + (raw.length % 3 === 2 ? 1 : 0));
  for (let from = 0, to = 0; from < raw.length; from += 3) {
    const digits = [...raw.slice(from, from + 3)].map((character) => BASE45.indexOf(character));
    const value = digits.reduceRight((sum, digit) => (digit < 0 ? Number.NaN : sum * 45 + digit), 0);
    // Section 6: what stands for more than its bytes can hold is refused.
    if (!(value < (digits.length === 3 ? 0x1_0000 : 0x100))) throw new Problem("malformed", "not base45");
    if (digits.length === 3) bytes[to++] = value >> 8;
    bytes[to++] = value & 0xff;
  }
  return bytes;
}

export const hex = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

export const random = (length: number): Bytes => crypto.getRandomValues(new Uint8Array(length));
export const token = (): string => b64u(random(16));

export async function sha256(bytes: Uint8Array): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as Bytes));
}

export function same(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, at) => byte === right[at]);
}

export function join(...parts: Uint8Array[]): Bytes {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
