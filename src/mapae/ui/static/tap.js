// The page behind a tap's link. The secret is behind # and never leaves this browser.
"use strict";

// The code is drawn here, because no server may see the secret.
function drawn(text, alt) {
  const code = qrcode(0, "M"), ns = "http://www.w3.org/2000/svg", quiet = 4; // modules, ISO/IEC 18004 6.3.8
  code.addData(text, "Byte");
  code.make();
  const side = Array.from({ length: code.getModuleCount() }, (_, at) => at);
  const svg = document.createElementNS(ns, "svg"), path = document.createElementNS(ns, "path");
  svg.setAttribute("viewBox", `0 0 ${side.length + 2 * quiet} ${side.length + 2 * quiet}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", alt);
  const dark = side.flatMap((r) => side.filter((c) => code.isDark(r, c)).map((c) => `M${c + quiet} ${r + quiet}h1v1h-1z`));
  path.setAttribute("d", dark.join(""));
  svg.append(path);
  return svg;
}

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
  document.getElementById("qr").append(drawn(link, shown.dataset.qrAlt));
});
