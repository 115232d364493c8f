/** Starts the wallet: the service worker first, so that the next start needs no network. */
import { App } from "./app.ts";
import "./style.css";
import { Wallet } from "./wallet.ts";

async function begin(): Promise<void> {
  const app = document.querySelector<App>("mapae-wallet");
  if (!(app instanceof App)) return;
  if ("serviceWorker" in navigator) {
    void navigator.serviceWorker
      .register("/wallet/sw.js", { scope: "/wallet/" })
      .then((registration) => {
        const waits = (): void => {
          const { waiting } = registration;
          if (waiting && navigator.serviceWorker.controller) app.updateReady(() => use(waiting));
        };
        waits();
        registration.addEventListener("updatefound", () => {
          registration.installing?.addEventListener("statechange", waits);
        });
      })
      .catch((thrown: unknown) => console.warn("no service worker", thrown)); // works online all the same
  }
  const wallet = await Wallet.open({
    base: location.origin,
    fetch: (input, init) => fetch(input, init),
    now: () => Date.now(),
  });
  await app.start(wallet);
  const soon = globalThis.requestIdleCallback ?? ((work: () => void) => setTimeout(work, 300));
  soon(() => void import("./argon.ts")); // the first digit should not wait for it
}

/** The waiting version takes over, and the page starts again with it. */
function use(waiting: ServiceWorker): void {
  navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
  waiting.postMessage("use-now");
}

void begin();
