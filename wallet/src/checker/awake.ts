/**
 * The screen stays on while a customer looks at our code, or we at hers.
 * Promises: it may sleep again as soon as nobody wants it awake, however late the browser answered. Trusts: the browser, which takes it back
 * where the page is hidden; `again` asks anew. Keeps: nothing. Refuses: nothing; a browser that cannot lets it dim.
 */
export class Awake {
  private lock: WakeLockSentinel | null = null;
  private wanted = false;

  async want(wanted: boolean): Promise<void> {
    this.wanted = wanted;
    if (wanted) return this.again();
    const { lock } = this;
    this.lock = null;
    await lock?.release().catch(() => undefined);
  }

  async again(): Promise<void> {
    if (!this.wanted || (this.lock && !this.lock.released)) return;
    const lock = (await navigator.wakeLock?.request("screen").catch(() => null)) ?? null;
    if (this.wanted && (!this.lock || this.lock.released)) this.lock = lock;
    else await lock?.release().catch(() => undefined);
  }
}
