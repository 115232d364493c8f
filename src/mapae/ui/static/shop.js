// A browser with the Digital Credentials API can ask a wallet itself. The page works by link without it.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const button = document.getElementById("ask-browser");
  if (!button || typeof DigitalCredential === "undefined" || !navigator.credentials) return;
  const send = (path, body) =>
    fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": button.dataset.csrf },
      body: JSON.stringify(body),
    });
  const speaks = (request) =>
    typeof DigitalCredential.userAgentAllowsProtocol !== "function" || DigitalCredential.userAgentAllowsProtocol(request.protocol);
  button.hidden = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const { requests } = await (await send(button.dataset.request, {})).json();
      const credential = await navigator.credentials.get({ mediation: "required", digital: { requests: requests.filter(speaks) } });
      await send(button.dataset.answer, { protocol: credential.protocol, data: credential.data });
      location.reload();
    } catch {
      button.disabled = false; // nothing was shown; the link is still there
    }
  });
});
