/**
 * The pictures of one face check as one body: MFB1, read by mapae/issuer/face/wire.py.
 * Promises: what comes out is what the issuer's reader takes; times rise. Trusts nothing of the camera. Keeps nothing.
 * Refuses: more than the reader would take, by `burst_too_large`, so that nothing of it is sent in vain.
 */
import { type Bytes, utf8 } from "../bytes.ts";
import { Problem } from "../problem.ts";

export interface Frame {
  /** From the first frame, by the camera's clock. */
  readonly atMs: number;
  readonly jpeg: Bytes;
}

export const MOST_FRAMES = 150;
export const MOST_BYTES = 8 * 1024 * 1024;
export const MOST_FRAME_BYTES = 256 * 1024;
const MAGIC = utf8("MFB1");
const HEAD = 8; // at_ms and length of one frame

export function writeBurst(challenge: string, frames: readonly Frame[]): Bytes {
  const id = utf8(challenge);
  const size = MAGIC.length + 1 + id.length + 2 + frames.reduce((sum, { jpeg }) => sum + HEAD + jpeg.length, 0);
  if (id.length === 0 || id.length > 255) throw new Problem("malformed", "challenge id");
  if (frames.length > MOST_FRAMES || size > MOST_BYTES) throw new Problem("burst_too_large");
  const whole = new Uint8Array(size);
  const view = new DataView(whole.buffer);
  whole.set(MAGIC);
  whole[MAGIC.length] = id.length;
  whole.set(id, MAGIC.length + 1);
  let at = MAGIC.length + 1 + id.length;
  view.setUint16(at, frames.length);
  at += 2;
  let before = -1;
  for (const { atMs, jpeg } of frames) {
    const when = Math.round(atMs);
    if (when <= before || when > 0xffff_ffff) throw new Problem("wallet_fault", "frames out of order");
    if (jpeg.length > MOST_FRAME_BYTES) throw new Problem("burst_too_large");
    view.setUint32(at, when);
    view.setUint32(at + 4, jpeg.length);
    whole.set(jpeg, at + HEAD);
    at += HEAD + jpeg.length;
    before = when;
  }
  return whole;
}
