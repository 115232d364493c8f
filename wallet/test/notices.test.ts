import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Idle } from "../src/idle.ts";
import { noticesOf, noticeWords, remind, takeDue, type Watched } from "../src/notices.ts";
import { Store } from "../src/store.ts";
import { noticesEn, noticesKo } from "../src/words/notices.ts";

const DAY = 86_400_000;
const NOW = Date.parse("2026-11-21T12:00:00");
const card: Watched = { id: "c1", standing: "valid", ends: "2029-11-21", copiesUntil: NOW / 1000 + 400 * 86_400, renewalDays: 90 };
const kinds = (...cards: Partial<Watched>[]): string[] => noticesOf({ cards: cards.map((some) => ({ ...card, ...some })) }, undefined, NOW).map(({ kind }) => kind);

let names = 0;
async function store(...cards: Partial<Watched>[]): Promise<Store> {
  const made = await Store.open(`notices-${++names}`);
  await made.setMeta("notify", true);
  await made.setMeta("watch", { cards: cards.map((some) => ({ ...card, ...some })) });
  return made;
}

test("only what is true is said", () => {
  expect(kinds({})).toEqual([]);
  expect(kinds({ ends: "2027-02-20" })).toEqual([]); // 91 days
  expect(kinds({ ends: "2027-02-19" })).toEqual(["ends"]); // 90 days: the counter opens that morning
  expect(kinds({ ends: "2026-11-21" })).toEqual(["ends"]); // good until the end of its last day
  expect(kinds({ ends: "2026-11-20" })).toEqual(["ended"]);
  expect(kinds({ ends: null })).toEqual([]);
  expect(kinds({ copiesUntil: 0 })).toEqual(["no_copies"]);
  expect(kinds({ copiesUntil: NOW / 1000 })).toEqual(["no_copies"]);
  expect(kinds({ standing: "suspended", copiesUntil: 0 })).toEqual(["locked"]); // fresh copies would not help
  expect(kinds({ standing: "revoked", ends: "2026-01-01" })).toEqual(["revoked"]);
  expect(kinds({ standing: "renew" })).toEqual([]); // refreshed quietly
  expect(noticesOf(undefined, { why: "lost", at: 5 }, NOW).map(({ kind }) => kind)).toEqual(["erased"]);
  expect(noticesOf(undefined, { why: "forgot_pin", at: 5 }, NOW)).toEqual([]);
});

test("how early an end is said is the issuer's to say; not heard, only the end itself is said", () => {
  expect(kinds({ renewalDays: 30, ends: "2026-12-22" })).toEqual([]);
  expect(kinds({ renewalDays: 30, ends: "2026-12-21" })).toEqual(["ends"]);
  expect(kinds({ renewalDays: 0, ends: "2026-11-22" })).toEqual([]);
  expect(kinds({ renewalDays: null, ends: "2026-11-22" })).toEqual([]);
  expect(kinds({ renewalDays: null, ends: "2026-11-20" })).toEqual(["ended"]);
  const { renewalDays: _, ...older } = card; // left behind by an older wallet
  expect(noticesOf({ cards: [{ ...older, ends: "2026-11-22" } as Watched] }, undefined, NOW)).toEqual([]);
});

test("an end that comes near is told once a week, not more", async () => {
  const kept = await store({ ends: "2027-01-15" });
  expect(await takeDue(kept, NOW)).toHaveLength(1);
  expect(await takeDue(kept, NOW + 6 * DAY)).toHaveLength(0);
  expect(await takeDue(kept, NOW + 7 * DAY)).toHaveLength(1);
  expect(await takeDue(kept, NOW)).toHaveLength(1); // the clock was set back: silence must not last
});

test("copies that come and go are still told once a week", async () => {
  const kept = await store({ copiesUntil: 0 });
  expect(await takeDue(kept, NOW)).toHaveLength(1);
  await kept.setMeta("watch", { cards: [{ ...card, copiesUntil: (NOW + 30 * DAY) / 1000 }] });
  expect(await takeDue(kept, NOW + DAY)).toHaveLength(0);
  await kept.setMeta("watch", { cards: [{ ...card, copiesUntil: 0 }] });
  expect(await takeDue(kept, NOW + 2 * DAY)).toHaveLength(0);
  expect(await takeDue(kept, NOW + 8 * DAY)).toHaveLength(1);
});

test("a lock is told once; locked again after a release is news", async () => {
  const kept = await store({ standing: "suspended" });
  expect((await takeDue(kept, NOW)).map(({ kind }) => kind)).toEqual(["locked"]);
  expect(await takeDue(kept, NOW + 30 * DAY)).toHaveLength(0);
  await kept.setMeta("watch", { cards: [card] });
  expect(await takeDue(kept, NOW + 31 * DAY)).toEqual([]);
  await kept.setMeta("watch", { cards: [{ ...card, standing: "suspended" }] });
  expect(await takeDue(kept, NOW + 32 * DAY)).toHaveLength(1);
});

test("the page and the service worker at the same moment say it once", async () => {
  const kept = await store({ ends: "2027-01-15" }, { id: "c2", standing: "revoked" });
  const other = await Store.open(`notices-${names}`);
  const shown: string[] = [];
  const show = async (title: string): Promise<void> => void shown.push(title);
  await Promise.all([remind(kept, NOW, show), remind(other, NOW, show), remind(kept, NOW, show)]);
  expect(shown.toSorted()).toEqual([noticesKo["notice.ends"], noticesKo["notice.revoked"]].toSorted());
});

test("nothing is shown to a holder who did not ask for it, and nothing is used up meanwhile", async () => {
  const kept = await store({ ends: "2027-01-15" });
  await kept.setMeta("notify", false);
  expect(await takeDue(kept, NOW)).toEqual([]);
  await kept.setMeta("notify", true);
  expect(await takeDue(kept, NOW)).toHaveLength(1);
});

test("both languages, with the day in words", () => {
  const notice = { kind: "ends", about: "c1", date: "2027-01-15" } as const;
  expect(noticeWords(notice, "en")).toEqual({ title: noticesEn["notice.ends"], lead: "It ends on 15 January 2027. Before then you can get a new one at the counter." });
  expect(noticeWords(notice, "ko").lead).toContain("2027년 1월 15일");
});

beforeEach(() => vi.useFakeTimers({ toFake: ["Date", "setTimeout", "clearTimeout"] }));
afterEach(() => vi.useRealTimers());

test("an open wallet nobody touches locks itself; a touch puts it off", () => {
  const lock = vi.fn();
  const idle = new Idle(lock);
  vi.advanceTimersByTime(299_000);
  idle.touch();
  vi.advanceTimersByTime(299_000);
  expect(lock).not.toHaveBeenCalled();
  vi.advanceTimersByTime(2000);
  expect(lock).toHaveBeenCalledTimes(1);
});
test("a hidden wallet locks after two minutes although nobody comes back, and not when one does", () => {
  const lock = vi.fn();
  const idle = new Idle(lock);
  idle.hidden();
  vi.advanceTimersByTime(119_000);
  idle.shown();
  vi.advanceTimersByTime(119_000);
  expect(lock).not.toHaveBeenCalled();
  idle.hidden();
  vi.advanceTimersByTime(121_000);
  expect(lock).toHaveBeenCalledTimes(1);
});
test.each([["shown", false], ["hidden", true]])("a clock put back a day does not keep a wallet open that is %s", (_how, hidden) => {
  const lock = vi.fn();
  const idle = new Idle(lock);
  vi.advanceTimersByTime(1000);
  if (hidden) idle.hidden();
  else idle.touch();
  vi.setSystemTime(Date.now() - 86_400_000);
  vi.advanceTimersByTime(301_000);
  expect(lock).toHaveBeenCalled();
});
test("a wallet whose clock was put back while it was hidden is locked to whoever comes back", () => {
  const lock = vi.fn();
  const idle = new Idle(lock);
  idle.hidden();
  vi.setSystemTime(Date.now() - 6000); // no timer ran
  idle.shown();
  expect(lock).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(299_000); // the clock of now counts from here
  expect(lock).toHaveBeenCalledTimes(1);
});
test.each([["shown", false], ["hidden", true]])("a clock that is corrected by a twentieth of a second locks nothing of a wallet that is %s", (_how, hidden) => {
  const lock = vi.fn();
  const idle = new Idle(lock);
  vi.advanceTimersByTime(1000);
  if (hidden) idle.hidden();
  else idle.touch();
  vi.setSystemTime(Date.now() - 50);
  if (hidden) idle.shown();
  else idle.touch();
  expect(lock).not.toHaveBeenCalled();
});
test("a phone that slept through its timers locks as it wakes", () => {
  const lock = vi.fn();
  const idle = new Idle(lock);
  idle.hidden();
  vi.setSystemTime(Date.now() + 3_600_000); // no timer ran
  idle.shown();
  expect(lock).toHaveBeenCalledTimes(1);
});
