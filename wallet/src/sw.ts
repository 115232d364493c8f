/**
 * The service worker: the wallet's own files, from this phone.
 * Promises: after the first load the wallet starts without a network; a version is used whole or not at all. Keeps: the built files of
 * one version. Refuses: to touch anything but those files; every protocol request goes to the network untouched.
 */
const worker = self as unknown as ServiceWorkerGlobalScope;
declare const __PRECACHE__: readonly string[];
declare const __VERSION__: string;

const SCOPE = "/wallet/";
const CACHE = `mapae-wallet-${__VERSION__}`;
const FILES: readonly string[] = __PRECACHE__;

worker.addEventListener("install", (event) => {
  event.waitUntil(
    (async () => {
      const cache = await caches.open(CACHE);
      await cache.addAll(FILES.map((file) => new Request(SCOPE + file, { cache: "reload" })));
      await worker.skipWaiting();
    })(),
  );
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
  const wanted = event.request.mode === "navigate" ? "index.html" : FILES.includes(file) ? file : null;
  if (!wanted) return;
  event.respondWith(
    (async () => {
      const cache = await caches.open(CACHE);
      return (await cache.match(SCOPE + wanted)) ?? fetch(event.request);
    })(),
  );
});
