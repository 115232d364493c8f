/**
 * What both formats tell us about a checked credential, and its portrait as bytes.
 * Promises, trusts, keeps, refuses: nothing. It is what the first screen needs of the formats, without their libraries.
 */
import { type Bytes, unb64 } from "../bytes.ts";
import type { Open } from "../dcql.ts";
import type { Signer } from "../x509.ts";

/** What both formats tell us about a checked credential. */
export interface Held {
  readonly claims: Readonly<Record<string, unknown>>;
  /** Seconds since 1970. */
  readonly validUntil: number;
  readonly status?: { readonly uri: string; readonly idx: number };
  /** Of an mdoc: what is in which namespace. */
  readonly spaces?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Of an SD-JWT: what everybody who is shown it is told. */
  readonly open?: readonly Open[];
  readonly signer: Signer;
  /** The signer's certificate, and when it says it signed (seconds), if it says so. */
  readonly leaf: Bytes;
  readonly signed: number | null;
}

export type Format = "dc+sd-jwt" | "mso_mdoc";

/** A portrait: base64 of a JPEG, or a data: address. */
export function portraitBytes(value: unknown): Bytes | null {
  if (value instanceof Uint8Array) return value as Bytes;
  if (typeof value !== "string") return null;
  const plain = value.startsWith("data:") ? value.slice(value.indexOf(",") + 1) : value;
  try {
    return unb64(plain.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    return null;
  }
}
