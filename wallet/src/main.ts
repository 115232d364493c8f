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
        registration.addEventListener("updatefound", () => {
          if (navigator.serviceWorker.controller) app.updateReady();
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
}

void begin();
