/**
 * What the phone can tell the holder before the pictures are taken, from a small copy of the camera's picture. Cheap, and never a
 * verdict: the issuer decides everything. Pure. Keeps: nothing. Refuses: nothing.
 */
export type Hint = "dark" | "bright" | "still" | "blurred" | "nobody" | "several" | "closer" | "farther" | "middle" | "good";

/** A small grey picture, and the one before it. */
export interface Look {
  readonly brightness: number;
  readonly sharpness: number;
  readonly motion: number;
}
/** A face as the browser's own detector sees it (where there is one), in parts of the picture's width and height. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const DARK = 60;
const BRIGHT = 215;
const MOVING = 14;
const BLURRED = 3;
const SMALL = 0.2;
const LARGE = 0.75;
const ASIDE = 0.22;

export function grey(rgba: Uint8ClampedArray): Uint8ClampedArray {
  const out = new Uint8ClampedArray(rgba.length / 4);
  for (let at = 0; at < out.length; at++) {
    out[at] = 0.299 * (rgba[4 * at] ?? 0) + 0.587 * (rgba[4 * at + 1] ?? 0) + 0.114 * (rgba[4 * at + 2] ?? 0);
  }
  return out;
}

/** Over the middle of the picture, where the circle is. */
export function look(now: Uint8ClampedArray, before: Uint8ClampedArray | null, width: number): Look {
  const height = now.length / width;
  let [sum, edges, moved, count] = [0, 0, 0, 0];
  for (let y = Math.ceil(height * 0.15); y < height * 0.85 - 1; y++) {
    for (let x = Math.ceil(width * 0.25); x < width * 0.75 - 1; x++) {
      const at = y * width + x;
      const value = now[at] ?? 0;
      sum += value;
      edges += Math.abs(value - (now[at + 1] ?? 0)) + Math.abs(value - (now[at + width] ?? 0));
      moved += before ? Math.abs(value - (before[at] ?? 0)) : 0;
      count += 1;
    }
  }
  return { brightness: sum / count, sharpness: edges / (2 * count), motion: moved / count };
}

/** `faces` null: the browser has no detector. One thing at a time, the worst first. */
export function hint({ brightness, sharpness, motion }: Look, faces: readonly Box[] | null): Hint {
  if (brightness < DARK) return "dark";
  if (brightness > BRIGHT) return "bright";
  if (faces?.length === 0) return "nobody";
  if (faces && faces.length > 1) return "several";
  const [face] = faces ?? [];
  if (face) {
    if (face.height < SMALL) return "closer";
    if (face.height > LARGE) return "farther";
    if (Math.abs(face.x + face.width / 2 - 0.5) > ASIDE || Math.abs(face.y + face.height / 2 - 0.5) > ASIDE) return "middle";
  }
  if (motion > MOVING) return "still";
  if (sharpness < BLURRED) return "blurred";
  return "good";
}
