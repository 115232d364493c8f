/**
 * The service worker: the wallet's own files, from this phone, and a daily look at the dates.
 * Promises: after the first load the wallet starts without a network; a version is used whole, its files those that were built (by
 * digest), or not at all; a new version waits until the holder uses it or every page of the old one is closed. Keeps: the built files
 * of one version. Refuses: to touch anything but those files; every protocol request goes to the network untouched; to ask the network
 * anything about the holder's cards.
 */
import { remind, SYNC_TAG } from "./notices.ts";
import { Store } from "./store.ts";

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
