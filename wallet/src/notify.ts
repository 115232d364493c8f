/**
 * The permission to notify, and notifying from the page.
 * Promises: asks only out of a press of a button; shows through the service worker. Trusts: the browser for the permission.
 * Keeps: whether the holder wants notices. Refuses: to show without both the permission and that wish.
 */
import { DAY_MS, remind, SYNC_TAG } from "./notices.ts";
import type { Store } from "./store.ts";

export type Notifying = "on" | "off" | "denied" | "unsupported";

export async function notifying(store: Store): Promise<Notifying> {
  if (typeof Notification === "undefined" || !("serviceWorker" in navigator)) return "unsupported";
  if (Notification.permission === "denied") return "denied";
  return Notification.permission === "granted" && (await store.meta("notify")) === true ? "on" : "off";
}

/** Only out of a press of a button: browsers, and people, distrust anything else. */
export async function turnOn(store: Store): Promise<Notifying> {
  if ((await notifying(store)) === "unsupported") return "unsupported";
  const given = await Notification.requestPermission().catch(() => "denied" as const);
  await store.setMeta("notify", given === "granted");
  if (given === "granted") await watchInBackground();
  return notifying(store);
}

export async function turnOff(store: Store): Promise<void> {
  await store.setMeta("notify", false);
  const registration = (await ready()) as { periodicSync?: { unregister(tag: string): Promise<void> } } | null;
  await registration?.periodicSync?.unregister(SYNC_TAG).catch(() => undefined);
}

/** Through the service worker, and only with the holder's permission. */
export async function remindHere(store: Store, now: number): Promise<void> {
  if ((await notifying(store)) !== "on") return;
  const registration = await ready();
  if (registration) await remind(store, now, (title, options) => registration.showNotification(title, options));
}

/** A daily look at the dates while the wallet is closed, where the browser grants it. */
async function watchInBackground(): Promise<void> {
  const registration = (await ready()) as { periodicSync?: { register(tag: string, options: { minInterval: number }): Promise<void> } } | null;
  await registration?.periodicSync?.register(SYNC_TAG, { minInterval: DAY_MS }).catch(() => undefined);
}

/** `serviceWorker.ready` never settles where the worker cannot be installed. */
async function ready(): Promise<ServiceWorkerRegistration | null> {
  return (await navigator.serviceWorker.getRegistration("/wallet/").catch(() => undefined)) ?? null;
}
