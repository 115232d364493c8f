/**
 * Whether the page itself is here for the basement: its service worker, and a newer version of it that waits.
 * Promises: `ready` only once a worker has every file of this page. Trusts: the browser. Keeps: nothing; asks it not to throw our data away.
 * Refuses: to change the version in the middle of a check: the clerk says when.
 */
export type ShelfState = "getting" | "ready" | "newer" | "cannot";

export class Shelf {
  state: ShelfState = "getting";
  waiting: ServiceWorker | null = null;

  constructor(private readonly base: string) {}

  async open(changed: () => void): Promise<void> {
    if (!("serviceWorker" in navigator)) {
      this.state = "cannot";
      return changed();
    }
    let mine = false; // a first worker takes over without being asked; that is no reason to load again
    navigator.serviceWorker.addEventListener("controllerchange", () => {
      if (mine) location.reload();
    });
    try {
      const registration = await navigator.serviceWorker.register(`${this.base}sw.js`, { scope: this.base, updateViaCache: "none" });
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

  useNow(): void {
    this.waiting?.postMessage("use-now");
  }
}
