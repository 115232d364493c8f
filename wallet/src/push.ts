/**
 * Requests to this phone by its holder's name: they wait at the wallet provider.
 * Promises: a look opens nothing; the holder opens one, and it goes the way of every link; who tried is in the history, once. Trusts: the
 * wallet provider for what waits; never for who asks, which the signed request says. Keeps: what waits, in memory.
 * Refuses: an answer of another shape, a link that is no request.
 */
import type { Phone } from "./device.ts";
import { Problem } from "./problem.ts";
import { type Shown, writeOne } from "./records.ts";
import type { Store } from "./store.ts";
import type { Trust, Words } from "./trust.ts";
import type { Vault } from "./vault.ts";

export const POLL_MS = 10_000;
export const EVERYBODY = "";
const MOST = 100;

export interface Waiting {
  readonly id: string;
  readonly party: string;
  readonly purpose: string;
  readonly text: string;
  readonly at: number;
  readonly expires: number;
}
interface Tried {
  readonly id: string;
  readonly party: string;
  readonly purpose: string;
  readonly at: number;
  readonly muted: boolean;
}
export interface Mailbox {
  readonly requests: readonly Waiting[];
  readonly tried: readonly Tried[];
  readonly muted: readonly string[];
  readonly subscribed: boolean;
}
export interface Asker {
  readonly name: Words;
  readonly purpose: Words;
}

export class Pushes {
  waiting: readonly Waiting[] = [];
  muted: readonly string[] = [];
  subscribed = false;
  private looking: Promise<boolean> | null = null;

  constructor(
    private readonly store: Store,
    private readonly vault: Vault,
    private readonly phone: Phone,
    private readonly trust: Trust,
    private readonly now: () => number,
  ) {}

  /** Whether something waits that did not wait before. One look at a time. */
  look(): Promise<boolean> {
    this.looking ??= this.lookOnce().finally(() => (this.looking = null));
    return this.looking;
  }

  private async lookOnce(): Promise<boolean> {
    const box = parseMailbox(await this.phone.ask<unknown>("GET", "/mailbox"));
    const known = new Set(this.waiting.map(({ id }) => id));
    this.waiting = box.requests.filter(({ expires }) => expires * 1000 > this.now());
    this.muted = box.muted;
    this.subscribed = box.subscribed;
    for (const one of box.tried) {
      if (!this.vault.open) break;
      await this.remember(one, one.muted ? "push_muted" : "push_missed");
      // Where this is not heard, the next look finds the same again: it takes the place of its own entry.
      await this.phone.ask("POST", `/mailbox/${one.id}/end`, {});
    }
    return this.waiting.some(({ id }) => !known.has(id));
  }

  /** Who the mailbox says it is, as our own list names them. The request itself is looked at when it is opened. */
  async asker({ party, purpose }: { readonly party: string; readonly purpose: string }): Promise<Asker | null> {
    const list = await this.trust.list().catch(() => null);
    const found = list?.relying_parties.find(({ id }) => id === party);
    if (!found) return null;
    return { name: found.name, purpose: found.purposes.find(({ id }) => id === purpose)?.name ?? { ko: "", en: "" } };
  }

  /** Dealt with: opened, or not now. */
  async putAside(id: string): Promise<void> {
    const one = this.waiting.find((item) => item.id === id);
    this.waiting = this.waiting.filter((item) => item !== one);
    await this.phone.ask("POST", `/mailbox/${id}/end`, {});
  }

  async notNow(one: Waiting): Promise<void> {
    await this.remember({ ...one, muted: false }, "push_missed");
    await this.putAside(one.id);
  }

  /** Exactly these from now on. */
  async mute(parties: readonly string[]): Promise<void> {
    await this.phone.ask("POST", "/mailbox/mute", { parties });
    this.muted = parties;
    this.waiting = this.waiting.filter(({ party }) => !parties.includes(EVERYBODY) && !parties.includes(party));
  }

  forget(): void {
    this.waiting = [];
  }

  private async remember(one: Tried, code: string): Promise<void> {
    const none: Words = { ko: "", en: "" };
    const asker = await this.asker(one);
    const entry: Shown = {
      id: `push-${one.id}`, at: one.at * 1000, party: asker?.name ?? none, purpose: asker?.purpose ?? none, why: none, legalBasis: none,
      retention: none, card: none, format: null, items: [], purposeId: one.purpose, result: "refused", code,
    };
    await writeOne(this.store, this.vault, "history", "", entry);
  }

  /** Where this browser is woken. False: it has no push service, or it does not answer. */
  async subscribe(): Promise<boolean> {
    try {
      const registration = await navigator.serviceWorker?.getRegistration("/wallet/");
      if (!registration?.pushManager) return false;
      const { key } = await this.phone.ask<{ key: string }>("GET", "/push/key");
      const known = await registration.pushManager.getSubscription();
      const made = known ?? (await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key }));
      const { endpoint, keys } = made.toJSON();
      await this.phone.ask("POST", "/push/subscription", { endpoint, p256dh: keys?.["p256dh"], auth: keys?.["auth"] });
      this.subscribed = true;
    } catch {
      this.subscribed = false; // no push service, or one that our side does not send to: the mailbox is looked into all the same
    }
    return this.subscribed;
  }

  async unsubscribe(): Promise<void> {
    const registration = await navigator.serviceWorker?.getRegistration("/wallet/").catch(() => undefined);
    const made = await registration?.pushManager?.getSubscription().catch(() => null);
    await made?.unsubscribe().catch(() => false);
    await this.phone.ask("POST", "/push/subscription/end", {});
    this.subscribed = false;
  }
}

export function parseMailbox(raw: unknown): Mailbox {
  const { requests, tried, muted, subscribed } = (raw ?? {}) as Record<string, unknown>;
  if (!Array.isArray(requests) || !Array.isArray(tried) || !Array.isArray(muted)) throw new Problem("malformed", "mailbox");
  return {
    requests: requests.slice(0, MOST).filter((one): one is Waiting => isOne(one) && typeof one["text"] === "string" && one["text"].startsWith("openid4vp://") && Number.isSafeInteger(one["expires"])),
    tried: tried.slice(0, MOST).filter((one): one is Tried => isOne(one) && typeof one["muted"] === "boolean"),
    muted: muted.filter((one) => typeof one === "string"),
    subscribed: subscribed === true,
  };
}

function isOne(one: unknown): one is Record<string, unknown> {
  if (typeof one !== "object" || one === null) return false;
  const { id, party, purpose, at } = one as Record<string, unknown>;
  return [id, party, purpose].every((word) => typeof word === "string" && /^\w[\w.-]{0,63}$/.test(word)) && Number.isSafeInteger(at);
}
