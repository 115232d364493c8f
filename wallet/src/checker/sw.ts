/**
 * The service worker of the checker that works offline: its own files and nothing else.
 * Promises: after the first load the page starts without a network; a version is used whole, each file by its digest, or not at all; a new
 * version waits until the clerk uses it or every page of the old one is closed. Trusts: the list of files its server put before this
 * text. Keeps: the files of one version. Refuses: to touch anything else; packs, questions and receipts go to the network untouched.
 */
interface Listed {
  /** Fingerprint of `files`, address by address the digest of what is there. */
  readonly version: string;
  readonly scope: string;
  readonly files: Readonly<Record<string, string>>;
}
const worker = self as unknown as ServiceWorkerGlobalScope & { readonly MAPAE: Listed };
const { version, scope, files } = worker.MAPAE;
const PREFIX = "mapae-checker-";
const CACHE = PREFIX + version;

worker.addEventListener("install", (event) => {
  event.waitUntil(
    (async () => {
      const cache = await caches.open(CACHE);
      await cache.addAll(Object.entries(files).map(([file, integrity]) => new Request(file, { cache: "reload", integrity })));
    })(),
  );
});

worker.addEventListener("message", (event) => {
  if (event.data === "use-now") event.waitUntil(worker.skipWaiting());
});

worker.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) if (name.startsWith(PREFIX) && name !== CACHE) await caches.delete(name);
      await worker.clients.claim();
    })(),
  );
});

worker.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== worker.location.origin) return;
  // A page is found whatever stands behind the question mark; a file is its whole address, version and all.
  const wanted = event.request.mode === "navigate" && url.pathname.startsWith(scope) ? url.pathname : url.pathname + url.search;
  // The address without a language, as people remember it: the server leads on from there, and where there is none we do.
  if (event.request.mode === "navigate" && url.pathname === scope) {
    const language = worker.navigator.language.startsWith("ko") ? "ko" : "en";
    return event.respondWith(fetch(event.request).catch(() => Response.redirect(`${scope}${language}/`)));
  }
  if (!Object.hasOwn(files, wanted)) return;
  event.respondWith(
    (async () => {
      const cache = await caches.open(CACHE);
      return (await cache.match(wanted)) ?? fetch(event.request);
    })(),
  );
});
