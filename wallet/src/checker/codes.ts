/**
 * Offline codes: what a phone's screen shows (`MAPAE-SHOW:`) and what the shop's screen asks (`MAPAE-ASK:`); mapae.formats.qr is the same.
 * Promises: the rules of vectors/qr.json. Unfolding stops at 64 KiB, collecting at 32 frames of 3 sequences. Trusts: nothing a camera saw.
 * Keeps: the frames of the codes in the picture. Refuses: frames of two codes, a damaged whole, other members, what unfolds too far.
 */
import { b45, b64u, type Bytes, join, random, same, sha256, unb45 } from "../bytes.ts";
import { type Cbor, decode, encode, type Key, Tagged } from "../cbor.ts";
import { inflated } from "../inflate.ts";
import { Problem } from "../problem.ts";
import { bytesOf, mapOf } from "./cbor.ts";

export const ASK = "MAPAE-ASK:";
export const SHOW = "MAPAE-SHOW:";
export const OPEN = "mapae-qr:open";
/** Seconds: of a shown code; how far two clocks may differ; of an ask at the checker that made it. */
export const LIFE = 30;
export const SKEW = 5;
export const ASK_LIFE = 120;

const MAX_FRAMES = 32;
const LIMIT = 65_536;
export const MAX_TEXT = 4296; // characters: a QR code of version 40
const MAX_NAME = 60;
const MAX_SEQUENCES = 3;
const LATEST = 253_402_300_800;

const bad = (detail: string): never => {
  throw new Problem("malformed", detail);
};

function unwrapped(text: string, prefix: string): Bytes {
  if (text.length > MAX_TEXT) throw new Problem("too_large", "longer than a QR code can be");
  return text.startsWith(prefix) ? unb45(text.slice(prefix.length)) : bad("a code of another kind");
}

// --- asking --------------------------------------------------------------------------------------------------------------------------------

/** One question of this checker: the text of its code, and what ties the answer to it. */
export interface Ask {
  readonly text: string;
  readonly nonce: Bytes;
  readonly audience: string;
  readonly purpose: string;
}

const askOf = async (text: string, raw: Bytes, payload: Map<Key, Cbor>): Promise<Ask> => ({
  text,
  nonce: bytesOf(payload.get(2), "nonce"),
  audience: `mapae-qr:${b64u(await sha256(raw))}`,
  purpose: String(payload.get(3)),
});

/** What somebody typed or pasted as a name, as `lineOf` takes it; "" where nothing of it is left. */
export function plainName(typed: string): string {
  const line = typed.normalize("NFC").replace(/[\p{Z}\t\r\n]+/gu, " ").replace(/[\p{C}]/gu, "").trim();
  return [...line].slice(0, MAX_NAME).join("").trim();
}

/** Anybody's question: `name` is only what the shop calls itself. */
export function askAnonymously(purpose: string, items: readonly string[], name: string, nonce: Bytes = random(16)): Promise<Ask> {
  const payload = new Map<Key, Cbor>([[1, 1], [2, nonce], [3, purpose], [4, [...items]], [5, lineOf(name, MAX_NAME)]]);
  const raw = encode(payload);
  return askOf(ASK + b45(raw), raw, payload);
}

/** A question our server signed for us beforehand. The wallet judges the signature; we need what the answer has to name. */
export function askSigned(text: string): Promise<Ask> {
  const raw = unwrapped(text, ASK);
  const sealed = decode(raw);
  if (!(sealed instanceof Tagged) || sealed.tag !== 18 || !Array.isArray(sealed.value)) return bad("not a signed question");
  return askOf(text, raw, mapOf(decode(bytesOf(sealed.value[2], "payload")), "the question"));
}

// --- showing -------------------------------------------------------------------------------------------------------------------------------

/** One presentation in one code; `presentation` as OpenID4VP has it, of an mdoc the bytes. */
export type Show = {
  readonly made: number;
  readonly nonce: Bytes;
  readonly purpose: string;
} & ({ readonly format: "sd_jwt"; readonly presentation: string } | { readonly format: "mdoc"; readonly presentation: Bytes });

export function readShow(whole: Bytes): Show {
  if (whole.length > LIMIT) throw new Problem("too_large", "a code too large");
  const parts = mapOf(decode(whole), "the code", [1, 2, 3, 4, 5, 6]);
  const [version, format, made, nonce, purpose, shown] = [1, 2, 3, 4, 5, 6].map((label) => parts.get(label));
  if (typeof version !== "number") bad("no version");
  if (version !== 1) throw new Problem("unsupported", "a code of another version");
  if (parts.size !== 6) bad("a member is missing");
  if (format !== 0 && format !== 1) throw new Problem("unsupported", "a format we do not read");
  if (typeof made !== "number" || !Number.isInteger(made) || made < 0 || made >= LATEST) return bad("made at no time");
  if (!(nonce instanceof Uint8Array) || nonce.length !== 16) return bad("nonce");
  const common = { made, nonce, purpose: lineOf(purpose, 128) };
  if (format === 1) return { ...common, format: "mdoc", presentation: bytesOf(shown, "the presentation") };
  return { ...common, format: "sd_jwt", presentation: together(shown) };
}

function together(parts: Cbor): string {
  if (!Array.isArray(parts) || parts.length !== 7 || !Array.isArray(parts[3])) return bad("not the seven parts of a presentation");
  const texts = (some: readonly Cbor[]): string[] => some.map((part) => (part instanceof Uint8Array && part.length > 0 ? b64u(part) : bad("a part is not one")));
  const sealed = [parts[2], parts[6]].every((seal) => seal instanceof Uint8Array && seal.length === 64);
  if (!sealed) bad("a seal is not 64 bytes");
  return [texts(parts.slice(0, 3)).join("."), ...texts(parts[3]), texts(parts.slice(4)).join(".")].join("~");
}

/** One line that may be shown as it is: control and format characters can make a name read as another. */
function lineOf(value: Cbor, longest: number): string {
  if (typeof value !== "string" || [...value].length < 1 || [...value].length > longest) return bad("not a short text");
  if (/[\p{C}\p{Zl}\p{Zp}]/u.test(value) || /[\p{Zs}]/u.test(value.replaceAll(" ", "")) || value.trim() !== value) bad("not one line");
  return value;
}

// --- folding and frames --------------------------------------------------------------------------------------------------------------------

export async function unfold(folded: Bytes): Promise<Bytes> {
  try {
    return await inflated(folded, "deflate-raw", LIMIT);
  } catch (thrown) {
    throw thrown instanceof Problem ? thrown : new Problem("malformed", "a code that cannot be unfolded");
  }
}

interface Frame {
  readonly count: number;
  readonly number: number;
  readonly mark: Bytes;
  readonly chunk: Bytes;
}

function frameOf(text: string): Frame {
  const raw = unwrapped(text, SHOW);
  const [count = 0, number = 0] = raw;
  if (raw.length <= 6) bad("a code with nothing in it");
  if (count < 1 || count > MAX_FRAMES || number >= count) bad("a code that is not one of its sequence");
  return { count, number, mark: raw.slice(2, 6), chunk: raw.slice(6) };
}

async function whole(frames: readonly Frame[]): Promise<Show> {
  const [first] = frames;
  const size = first?.chunk.length ?? 0;
  if (frames.slice(0, -1).some(({ chunk }) => chunk.length !== size) || (frames.at(-1)?.chunk.length ?? 0) > size) bad("frames of different sizes");
  const folded = join(...frames.map(({ chunk }) => chunk));
  if (!same((await sha256(folded)).subarray(0, 4), first?.mark ?? folded)) bad("frames that do not belong together");
  return readShow(await unfold(folded));
}

/** What a camera sees of an animated code. Somebody else's code in the picture starts nothing over; the one least recently seen goes first. */
export class Collector {
  private readonly seen = new Map<string, Map<number, Frame>>();

  /** The code, once it is whole. A damaged sequence is a Problem, and forgotten. */
  async add(text: string): Promise<Show | null> {
    const frame = frameOf(text);
    const key = `${frame.count} ${b64u(frame.mark)}`;
    const frames = this.seen.get(key) ?? new Map<number, Frame>();
    this.seen.delete(key);
    this.seen.set(key, frames); // to the end
    const [oldest] = this.seen.keys();
    if (this.seen.size > MAX_SEQUENCES && oldest !== undefined) this.seen.delete(oldest);
    const known = frames.get(frame.number);
    if (known && !same(known.chunk, frame.chunk)) {
      this.seen.delete(key);
      bad("two frames with one number");
    }
    frames.set(frame.number, frame);
    if (frames.size < frame.count) return null;
    this.seen.delete(key);
    return whole(Array.from({ length: frame.count }, (_one, at) => frames.get(at) ?? bad("a frame is missing")));
  }

  /** Of the sequence seen last: how many there are, of how many. */
  get progress(): readonly [number, number] {
    const [key, frames] = [...this.seen].at(-1) ?? [];
    return key && frames ? [frames.size, Number(key.split(" ")[0])] : [0, 0];
  }
}

/** The mdoc's SessionTranscript (ISO/IEC 18013-5 9.1.5.1), with a handover of our own. */
export async function transcript(audience: string, nonce: Bytes, made: number): Promise<Bytes> {
  const said = await sha256(encode([audience, nonce, made]));
  return join(Uint8Array.of(0x83, 0xf6, 0xf6, 0x82), encode("MapaeQrHandover"), encode(said));
}
