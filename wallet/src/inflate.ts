/**
 * Unfolding what was compressed, with an end to it.
 * Promises: at most `most` bytes come out; of a bomb no more than one slice too many is ever unfolded, for a browser unfolds all it was
 * given at once, before anybody can say stop. Trusts nothing. Keeps: nothing. Refuses: more than `most` (too_large); damage, as the
 * browser throws it.
 */
import { type Bytes, join } from "./bytes.ts";
import { Problem } from "./problem.ts";

const SLICE = 512; // DEFLATE makes at most 1,032 times as much of it

export async function inflated(packed: Bytes, how: "deflate" | "deflate-raw", most: number): Promise<Bytes> {
  let at = 0;
  const slices = new ReadableStream<Bytes>(
    {
      pull(to) {
        if (at >= packed.length) return to.close();
        to.enqueue(packed.slice(at, (at += SLICE)));
      },
    },
    { highWaterMark: 0 },
  );
  const parts: Uint8Array[] = [];
  let size = 0;
  const reader = slices.pipeThrough(new DecompressionStream(how)).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return join(...parts);
    parts.push(value);
    size += value.length;
    if (size <= most) continue;
    void reader.cancel().catch(() => undefined);
    throw new Problem("too_large", "it unfolds too far");
  }
}
