/**
 * Which pictures are taken and when the holder is asked to blink. Pure: the camera's clock comes in with each frame.
 * Promises: pictures close enough to see a blink and no more than a burst may have, whatever the camera's rate; never two of one moment;
 * every prompt stands for its time and no longer. Trusts: the camera that its times rise; one that does not is passed over. Keeps: the times of one burst.
 */
import { MOST_FRAMES } from "./burst.ts";

/** A blink lasts 100 ms and more: two pictures of it at the least. A camera of 30 a second has a frame each 33 ms, so this means every other. */
const CLOSEST_MS = 60;
/** A blink counts within 1.3 s of its prompt (issuer/face/blink.py); the words stand for the first part of it. */
export const SHOWN_MS = 1000;
/** The issuer refuses a burst with a hole over 400 ms; we see it first and need not send it. */
export const HOLE_MS = 400;

export interface Plan {
  readonly blinks: number;
  readonly promptsMs: readonly number[];
  readonly lengthMs: number;
}

export class Pace {
  private first: number | null = null;
  private last = Number.NEGATIVE_INFINITY;
  private longest = 0;

  private readonly closest: number;

  constructor(private readonly plan: Plan) {
    this.closest = Math.max(CLOSEST_MS, plan.lengthMs / (MOST_FRAMES - 10));
  }

  /** A frame the camera shows, by its own clock: its time in the burst when it is to be taken, else null. */
  take(mediaMs: number): number | null {
    this.first ??= mediaMs;
    const at = Math.round(mediaMs - this.first);
    if (at - this.last < this.closest || at > this.plan.lengthMs) return null;
    if (Number.isFinite(this.last)) this.longest = Math.max(this.longest, at - this.last);
    this.last = at;
    return at;
  }

  /** Which blink is asked for at this moment, from 1; 0 for none. */
  prompt(mediaMs: number): number {
    const at = this.at(mediaMs);
    return this.plan.promptsMs.findIndex((asked) => at >= asked && at < asked + SHOWN_MS) + 1;
  }

  /** From 0 to 1. */
  progress(mediaMs: number): number {
    return Math.min(1, Math.max(0, this.at(mediaMs) / this.plan.lengthMs));
  }

  over(mediaMs: number): boolean {
    return this.at(mediaMs) >= this.plan.lengthMs;
  }

  /** The camera stood still in between: the issuer would refuse it. */
  get holed(): boolean {
    return this.longest > HOLE_MS;
  }

  private at(mediaMs: number): number {
    return mediaMs - (this.first ?? mediaMs);
  }
}
