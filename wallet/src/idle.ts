/**
 * When an open wallet that nobody touches locks itself.
 * Promises: locks two minutes after it was hidden, even if nobody comes back, and five minutes after the last touch while shown.
 * Trusts: the clock, not only the timer: a phone that slept through its timers locks as it wakes. A clock that was put back says nothing:
 * the wallet locks, unless it was corrected by a few seconds, as networks do. Keeps: when it was last touched.
 */
export const AWAY_MS = 120_000;
export const IDLE_MS = 300_000;
const BACK_MS = 5_000;

export class Idle {
  private touched: number;
  private hiddenAt: number | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly lock: () => void,
    private readonly now: () => number = Date.now,
  ) {
    this.touched = now();
    this.wait();
  }

  touch(): void {
    if (this.over()) this.fire();
    this.touched = this.now();
  }

  hidden(): void {
    this.hiddenAt = this.now();
    this.wait();
  }

  shown(): void {
    if (this.over()) this.fire();
    this.hiddenAt = null;
    this.touched = this.now();
    this.wait();
  }

  private ends(): number {
    return this.hiddenAt === null ? this.touched + IDLE_MS : Math.min(this.hiddenAt + AWAY_MS, this.touched + IDLE_MS);
  }

  private over(): boolean {
    const now = this.now();
    return now >= this.ends() || now < this.touched - BACK_MS || (this.hiddenAt !== null && now < this.hiddenAt - BACK_MS);
  }

  private fire(): void {
    this.touched = this.now();
    if (this.hiddenAt !== null) this.hiddenAt = this.now();
    this.lock();
  }

  private wait(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (this.over()) this.fire();
      this.wait();
    }, Math.max(250, this.ends() - this.now()));
  }
}
