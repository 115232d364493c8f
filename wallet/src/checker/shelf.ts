/**
 * Whether the page itself is here for the basement: its service worker, and a newer version of it that waits.
 * Promises: `ready` only once a worker has every file of this page; a page that stays open for days hears of a newer one. Trusts: the
 * browser. Keeps: nothing; asks it not to throw our data away.
 * Refuses: to change the version in the middle of a check: the clerk says when.
 */
import { Problem } from "../problem.ts";

export type ShelfState = "getting" | "ready" | "cannot";

/** A browser looks for a newer worker when a page is opened, and this one may stay open for weeks. */
const LOOK_MS = 3_600_000;

export class Shelf {
  state: ShelfState = "getting";
  waiting: ServiceWorker | null = null;
  private registration: ServiceWorkerRegistration | null = null;
  private looked = Date.now();

  constructor(private readonly base: string) {}

  /** `renewed`: a newer version is in force, and this page is of the old one. */
  async open(changed: () => void, renewed: () => void): Promise<void> {
    if (!("serviceWorker" in navigator)) {
      this.state = "cannot";
      return changed();
    }
    let mine = false; // a first worker takes over without being asked; that is no reason to load again
    navigator.serviceWorker.addEventListener("controllerchange", () => {
      if (mine) renewed();
    });
    try {
      const registration = await navigator.serviceWorker.register(`${this.base}sw.js`, { scope: this.base, updateViaCache: "none" });
      this.registration = registration;
      const look = (): void => {
        this.waiting = registration.active ? registration.waiting : null;
        if (this.waiting) mine = true;
        if (registration.active) this.state = "ready";
        changed();
      };
      registration.addEventListener("updatefound", () => registration.installing?.addEventListener("statechange", look));
      registration.installing?.addEventListener("statechange", look);
      await navigator.serviceWorker.ready;
      look();
      await navigator.storage?.persist?.();
    } catch {
      // Without a network at the first look: what is installed goes on.
      this.state = navigator.serviceWorker.controller ? "ready" : "cannot";
      changed();
    }
  }

  /** With a network: whether there is a newer version. At once where the server is ahead of this page; also an install that failed tries again. */
  async seek(atOnce: boolean, now = Date.now()): Promise<void> {
    if (!this.registration || (!atOnce && now - this.looked < LOOK_MS && this.state !== "getting")) return;
    this.looked = now;
    await this.registration.update().catch(() => undefined);
  }

  useNow(): void {
    this.waiting?.postMessage("use-now");
  }
}

/** What the arithmetic takes: a browser of the last years, over https (or this very machine). Without it, better no answer than a wrong red. */
export function mustBeAble(): void {
  if (!globalThis.isSecureContext || !("subtle" in crypto) || !("indexedDB" in globalThis)) throw new Problem("unsupported", "not a secure context");
  new DecompressionStream("deflate-raw");
}
