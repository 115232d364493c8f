// Small comforts of the log's pages, which work without them: copying a digest; and the check on an entry's page.

import { Check } from "./check.mjs";

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    const before = button.textContent;
    button.textContent = button.dataset.copied;
    setTimeout(() => (button.textContent = before), 2000);
  });
}

for (const section of document.querySelectorAll("[data-log-check]")) new Check(section);
