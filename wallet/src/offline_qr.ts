/**
 * Offline codes: what a shop's screen asks (`MAPAE-ASK:`) and what this phone's screen shows (`MAPAE-SHOW:`).
 * Promises: the same bytes as mapae.formats.qr, held to the same vectors; one spelling each way. Pure. Trusts nobody: who asks is for
 * codes.ts to find out. Keeps nothing. Refuses: other members, names that are not one plain line, what does not fit a code.
 */
import { b45, b64u, type Bytes, join, sha256, unb45, unb64u } from "./bytes.ts";
import { type Cbor, decode, encode, type Key, Tagged } from "./cbor.ts";
import type { Format } from "./formats/held.ts";
import { Problem } from "./problem.ts";

export const ASK = "MAPAE-ASK:";
export const SHOW = "MAPAE-SHOW:";
/** The audience of a code nobody asked for. */
export const OPEN = "mapae-qr:open";

/** In seconds: a shown code from the moment it names; how far two clocks may differ; an ask at the checker that made it; the furthest that anybody signs one ahead. */
export const LIFE = 30;
export const SKEW = 5;
export const ASK_LIFE = 120;
export const ASK_LONGEST = 3 * 86_400;

const FRAME = 600; // bytes of `folded` in one code; measured, see docs/checking.md
const MOST_FRAMES = 32;
const LARGEST = 65_536;
const LONGEST = 4296; // characters: what a QR code of version 40 holds of this alphabet
const LONGEST_NAME = 60;
const MOST_ITEMS = 64;
const LATEST = 253_402_300_800; // where Python's calendar ends

const ES256 = -7;
const X5CHAIN = 33;
const PROTECTED = encode(new Map<Key, Cbor>([[1, ES256], [16, "application/mapae-ask+cbor"]]));

/** One question of one checker, as it was read: nobody has looked yet at who asks. */
export interface AskCode {
  readonly nonce: Bytes;
  readonly purpose: string;
  readonly items: readonly string[];
  /** Whom an answer is for: these very bytes. */
  readonly audience: string;
  /** What somebody unknown calls itself; null: a registered party, which has a seal. */
  readonly name: string | null;
  readonly seal: Seal | null;
}
export interface Seal {
  readonly certificate: Bytes;
  readonly registration: string | null;
  /** Seconds: after it a photograph of the code is worth nothing. */
  readonly until: number;
  readonly signature: Bytes;
  readonly signed: Bytes;
}

const bad = (detail: string): never => {
  throw new Problem("malformed", detail);
};

/** What a camera read. */
export async function parseAsk(text: string): Promise<AskCode> {
  if (text.length > LONGEST) throw new Problem("too_large", "longer than a QR code can be");
  if (!text.startsWith(ASK)) return bad("a code of another kind");
  const raw = unb45(text.slice(ASK.length));
  const value = decode(raw);
  const audience = `mapae-qr:${b64u(await sha256(raw))}`;
  if (!(value instanceof Tagged)) {
    const said = members(value, [1, 2, 3, 4, 5]);
    return { ...asked(said), audience, name: line(said.get(5), LONGEST_NAME), seal: null };
  }
  const [head, unprotected, payload, signature, ...rest] = value.tag === 18 && Array.isArray(value.value) ? value.value : bad("sealed in another way"); // RFC 9052 section 2
  const certificate = unprotected instanceof Map && unprotected.size === 1 ? unprotected.get(X5CHAIN) : null;
  if (rest.length > 0 || !bytes(head) || b64u(head) !== b64u(PROTECTED) || !bytes(payload) || !bytes(certificate) || !bytes(signature) || signature.length !== 64) {
    return bad("a seal of another kind");
  }
  const said = members(decode(payload), [1, 2, 3, 4, 7], [6]);
  const registration = said.get(6) ?? null;
  if (registration !== null && !(typeof registration === "string" && /^[\x20-\x7e]+$/.test(registration))) return bad("the registration is no token");
  const until = said.get(7);
  if (typeof until !== "number" || !Number.isSafeInteger(until) || until < 0 || until >= LATEST) return bad("no end");
  const signed = encode(["Signature1", PROTECTED, new Uint8Array(), payload]); // RFC 9052 section 4.4
  return { ...asked(said), audience, name: null, seal: { certificate, registration, until, signature, signed } };
}

/** Whether a registered party still asks this, at `now` in milliseconds. */
export function mustBeInTime({ until }: Seal, now: number): void {
  const at = Math.floor(now / 1000);
  if (at > until + SKEW) throw new Problem("ask_stale");
  if (until > at + ASK_LONGEST + SKEW) throw new Problem("malformed", "nobody asks that far ahead");
}

const bytes = (value: unknown): value is Bytes => value instanceof Uint8Array;

function members(value: Cbor, needed: readonly number[], optional: readonly number[] = []): Map<Key, Cbor> {
  if (!(value instanceof Map)) return bad("not a map");
  if (value.has(1) && value.get(1) !== 1) throw new Problem("unsupported", "another version");
  const known = [...value.keys()].every((key) => typeof key === "number" && [...needed, ...optional].includes(key));
  return known && needed.every((key) => value.has(key)) ? value : bad("other members");
}

function asked(said: Map<Key, Cbor>): Pick<AskCode, "nonce" | "purpose" | "items"> {
  const [nonce, items] = [said.get(2), said.get(4)];
  if (!bytes(nonce) || nonce.length !== 16) return bad("the nonce is not sixteen bytes");
  if (!Array.isArray(items) || items.length === 0 || items.length > MOST_ITEMS) return bad("no items");
  const names = items.map((item) => line(item));
  if (new Set(names).size !== names.length) return bad("an item twice");
  return { nonce, purpose: line(said.get(3)), items: names };
}

/** One line that may be shown as it is: control and format characters can make a name read as another. */
function line(value: Cbor | undefined, longest = 128): string {
  if (typeof value !== "string" || value === "" || [...value].length > longest) return bad("not a short text");
  return /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u.test(value) || value !== value.trim() ? bad("not one plain line") : value;
}

// --- showing -----------------------------------------------------------------------------------------------------------

/** One presentation, as OpenID4VP has it: the compact SD-JWT with its key binding, or a DeviceResponse in base64url. */
export interface Show {
  readonly format: Format;
  /** Seconds; the key binding's `iat`. */
  readonly made: number;
  readonly nonce: Bytes;
  readonly purpose: string;
  readonly presentation: string;
}

export function encodeShow({ format, made, nonce, purpose, presentation }: Show): Bytes {
  const [number, shown] = format === "dc+sd-jwt" ? [0, apart(presentation)] : [1, unb64u(presentation)];
  return encode(new Map<Key, Cbor>([[1, 1], [2, number], [3, made], [4, nonce], [5, purpose], [6, shown]]));
}

/** An SD-JWT's parts decoded: base64url costs a third, which DEFLATE does not win back. */
function apart(presentation: string): Cbor[] {
  const [token = "", ...rest] = presentation.split("~");
  const binding = rest.pop() ?? "";
  const [header, payload, seal] = token.split(".").map(unb64u);
  const [kbHeader, kbPayload, kbSeal] = binding.split(".").map(unb64u);
  if (!header || !payload || !seal || !kbHeader || !kbPayload || !kbSeal) return bad("not a bound credential");
  return [header, payload, seal, rest.map(unb64u), kbHeader, kbPayload, kbSeal];
}

/** The texts of its codes, to be shown in turn. */
export async function framesOf(show: Show): Promise<string[]> {
  const whole = encodeShow(show);
  if (whole.length > LARGEST) throw new Problem("too_large", "too much for a code");
  return split(await fold(whole));
}

async function fold(whole: Bytes): Promise<Bytes> {
  const stream = new Blob([whole]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** No more codes than needed, and no larger than needed: shared out evenly, each is easier to read. */
export async function split(folded: Bytes): Promise<string[]> {
  const count = Math.ceil(folded.length / FRAME);
  if (count < 1 || count > MOST_FRAMES) throw new Problem("too_large", "too much for a code");
  const size = Math.ceil(folded.length / count);
  const mark = (await sha256(folded)).subarray(0, 4);
  return Array.from({ length: count }, (_one, at) => SHOW + b45(join(Uint8Array.of(count, at), mark, folded.subarray(at * size, (at + 1) * size))));
}
