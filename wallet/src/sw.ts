/**
 * The service worker: the wallet's own files, from this phone, and a daily look at the dates.
 * Promises: after the first load the wallet starts without a network; a version is used whole, its files those that were built (by
 * digest), or not at all; a new version waits until the holder uses it or every page of the old one is closed. Keeps: the built files
 * of one version. Refuses: to touch anything but those files; every protocol request goes to the network untouched; to ask the network
 * anything about the holder's cards, also when it is woken by a push.
 */
import { remind, SYNC_TAG } from "./notices.ts";
import { Store } from "./store.ts";
import { pushNotice } from "./words/push_notice.ts";

const worker = self as unknown as ServiceWorkerGlobalScope;
declare const __PRECACHE__: Readonly<Record<string, string>>;
declare const __VERSION__: string;

const SCOPE = "/wallet/";
const CACHE = `mapae-wallet-${__VERSION__}`;
const FILES = __PRECACHE__;

worker.addEventListener("install", (event) => {
  event.waitUntil(
    (async () => {
      const cache = await caches.open(CACHE);
      await cache.addAll(Object.entries(FILES).map(([file, integrity]) => new Request(SCOPE + file, { cache: "reload", integrity })));
    })(),
  );
});

worker.addEventListener("message", (event) => {
  if (event.data === "use-now") event.waitUntil(worker.skipWaiting());
});

worker.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) {
        if (name.startsWith("mapae-wallet-") && name !== CACHE) await caches.delete(name);
      }
      await worker.clients.claim();
    })(),
  );
});

worker.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== worker.location.origin || !url.pathname.startsWith(SCOPE)) return;
  const file = url.pathname.slice(SCOPE.length);
  const wanted = event.request.mode === "navigate" ? "index.html" : Object.hasOwn(FILES, file) ? file : null;
  if (!wanted) return;
  event.respondWith(
    (async () => {
      const cache = await caches.open(CACHE);
      return (await cache.match(SCOPE + wanted)) ?? fetch(event.request);
    })(),
  );
});

worker.addEventListener("periodicsync", (event) => {
  const sync = event as ExtendableEvent & { readonly tag: string };
  if (sync.tag !== SYNC_TAG) return;
  sync.waitUntil(
    (async () => {
      const store = await Store.open();
      try {
        await remind(store, Date.now(), (title, options) => worker.registration.showNotification(title, options));
      } finally {
        store.close();
      }
    })(),
  );
});

/** Woken: somebody waits in the mailbox at the wallet provider. Who and what is for the unlocked wallet to say, not for a locked screen. */
worker.addEventListener("push", (event) => {
  event.waitUntil(
    (async () => {
      const store = await Store.open();
      const language = await store.meta("language").finally(() => store.close());
      const lang = language === "en" ? "en" : "ko";
      const words = pushNotice[lang];
      const options = { body: words["push.notice.lead"], tag: "mapae-push", lang, icon: "/wallet/icon-192.png" };
      await worker.registration.showNotification(words["push.notice"], options).catch(() => undefined);
      for (const page of await worker.clients.matchAll({ type: "window" })) page.postMessage("pushed");
    })(),
  );
});

worker.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(
    (async () => {
      const pages = await worker.clients.matchAll({ type: "window", includeUncontrolled: true });
      const open = pages.find((page) => new URL(page.url).pathname.startsWith(SCOPE));
      await (open ? open.focus() : worker.clients.openWindow(SCOPE));
    })(),
  );
});
