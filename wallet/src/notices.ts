/**
 * What the holder should hear without having asked: a card that ends, copies that ran out, a card locked or erased.
 * Promises: says only what is true now; the same thing at most once a week, an event once; a wallet that is open in two places says it
 * once. Trusts: the dates the open wallet left behind. Keeps, in the clear, so that the service worker can read it while the wallet is
 * locked: random card ids, dates, how cards stand. Nothing about the person. Refuses: to speak when the holder turned it off.
 */
import type { Standing } from "./status.ts";
import type { Store } from "./store.ts";
import { noticesEn, noticesKo } from "./words/notices.ts";

export const SYNC_TAG = "mapae-watch";
export const DAY_MS = 86_400_000;
const WEEK_MS = 7 * DAY_MS;

export type NoticeKind = "ends" | "ended" | "no_copies" | "locked" | "revoked" | "erased";
export interface Notice {
  readonly kind: NoticeKind;
  /** The card it is about, or when it happened: the same key is the same event. */
  readonly about: string;
  /** YYYY-MM-DD, when the words name a day. */
  readonly date: string | null;
}

export interface Watched {
  readonly id: string;
  readonly standing: Standing;
  /** The card's own end, YYYY-MM-DD. */
  readonly ends: string | null;
  /** When the last usable copies end, in seconds; 0 when none is left. */
  readonly copiesUntil: number;
  /** How many days before its end a new card may be asked for, as the issuer says; null while we have not heard: no early word then. */
  readonly renewalDays: number | null;
}
export interface Watch {
  readonly cards: readonly Watched[];
}

/** Everything that is true now, worst first. */
export function noticesOf(watch: Watch | undefined, erased: { readonly why: string; readonly at: number } | undefined, now: number): Notice[] {
  const found: Notice[] = [];
  if (erased && erased.why !== "forgot_pin") found.push({ kind: "erased", about: String(erased.at), date: null });
  for (const card of watch?.cards ?? []) {
    const about = card.id;
    const last = card.ends === null ? Number.NaN : Date.parse(`${card.ends}T23:59:59`);
    if (card.standing === "revoked") found.push({ kind: "revoked", about, date: null });
    else if (last < now) found.push({ kind: "ended", about, date: card.ends });
    else if (card.standing === "suspended") found.push({ kind: "locked", about, date: null });
    else {
      if (card.copiesUntil * 1000 <= now) found.push({ kind: "no_copies", about, date: null });
      const opens = Date.parse(`${card.ends}T00:00:00`) - (card.renewalDays ?? Number.NaN) * DAY_MS;
      if (opens <= now) found.push({ kind: "ends", about, date: card.ends });
    }
  }
  return found;
}

const WEEKLY: readonly NoticeKind[] = ["ends", "no_copies"];
type Told = Readonly<Record<string, number>>;

/** Takes what is due and marks it as told, in one transaction. What is true no longer is forgotten, so that it may be news again. */
export function takeDue(store: Store, now: number): Promise<Notice[]> {
  return store.write(async (tx) => {
    const meta = tx.objectStore("meta");
    if ((await meta.get("notify")) !== true) return [];
    const erased = (await meta.get("erased")) as { why: string; at: number } | undefined;
    const current = noticesOf((await meta.get("watch")) as Watch | undefined, erased, now);
    const before = ((await meta.get("told")) as Told | undefined) ?? {};
    const told: Record<string, number> = {};
    const due: Notice[] = [];
    for (const notice of current) {
      const key = `${notice.kind}:${notice.about}`;
      const last = before[key];
      const again = last === undefined || (WEEKLY.includes(notice.kind) && (now - last >= WEEK_MS || last > now));
      if (again) due.push(notice);
      told[key] = again ? now : last;
    }
    // A weekly notice that comes and goes (copies) is still told once a week.
    for (const [key, at] of Object.entries(before)) {
      if (!(key in told) && WEEKLY.some((kind) => key.startsWith(`${kind}:`)) && now - at < WEEK_MS) {
        told[key] = at;
      }
    }
    await meta.put(told, "told");
    return due;
  });
}

export function noticeWords(notice: Notice, language: unknown): { title: string; lead: string } {
  const english = language === "en";
  const words: Record<string, string> = english ? noticesEn : noticesKo;
  const date = notice.date
    ? new Intl.DateTimeFormat(english ? "en-GB" : "ko-KR", { dateStyle: "long", timeZone: "UTC" }).format(new Date(`${notice.date}T00:00:00Z`))
    : "";
  return { title: words[`notice.${notice.kind}`] ?? "", lead: (words[`notice.${notice.kind}.lead`] ?? "").replace("{date}", date) };
}

/** Shows what is due. `show` is the service worker's, so that a tap opens the wallet. */
export async function remind(store: Store, now: number, show: (title: string, options: NotificationOptions) => Promise<void>): Promise<void> {
  const language = await store.meta("language");
  for (const notice of await takeDue(store, now)) {
    const { title, lead } = noticeWords(notice, language);
    const tag = `${notice.kind}:${notice.about}`; // the same notice takes the place of the one still lying there
    await show(title, { body: lead, tag, lang: language === "en" ? "en" : "ko", icon: "/wallet/icon-192.png" }).catch(() => undefined);
  }
}
