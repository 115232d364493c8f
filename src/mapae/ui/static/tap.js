// The page behind a tap's link. The secret is behind # and never leaves this browser.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const secret = location.hash.slice(1);
  if (!/^[A-Za-z0-9_-]{16,128}$/.test(secret)) return;
  const link = `${location.origin}${location.pathname}#${secret}`;
  const shown = document.getElementById("with-secret");
  const command = document.getElementById("command");
  document.getElementById("no-secret").hidden = true;
  shown.hidden = false;
  command.textContent = `mapae card issue '${link}'`;
  const simulated = document.getElementById("simulated");
  if (simulated) simulated.href += `#${secret}`;
  document.getElementById("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(command.textContent);
      document.getElementById("copied").textContent = shown.dataset.copied;
    } catch {
      getSelection().selectAllChildren(command); // no clipboard here: at least it is selected
    }
  });
  document.getElementById("qr").append(mapaeQr(link, shown.dataset.qrAlt));
});
