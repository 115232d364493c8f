// Small comforts for pages that work without them: countdowns, focus on what went wrong, no double sending.
"use strict";

function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function startCountdowns(root) {
  for (const face of root.querySelectorAll("[data-countdown]:not([data-running])")) {
    face.dataset.running = "yes";
    const end = performance.now() + Number(face.dataset.countdown) * 1000;
    const panel = face.closest("[data-qr]");
    const bar = panel ? panel.querySelector("[data-countdown-bar]") : null;
    const tick = () => {
      if (!face.isConnected) return;
      const left = Math.max(0, Math.ceil((end - performance.now()) / 1000));
      if (bar) bar.value = left;
      if (left === 0) {
        face.textContent = face.dataset.over;
        face.setAttribute("role", "status");
        if (panel) panel.classList.add("qr-over");
        return;
      }
      face.textContent = `${face.dataset.left} ${clock(left)}`;
      setTimeout(tick, 500);
    };
    tick();
  }
}

function holdDoubleClicks() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sending) {
      event.preventDefault();
      return;
    }
    if (form.method === "post") {
      form.dataset.sending = "yes";
      setTimeout(() => delete form.dataset.sending, 3000); // the answer may be a download or a refusal to swap in
    }
  });
}

document.addEventListener("DOMContentLoaded", () => {
  document.documentElement.classList.add("script");
  startCountdowns(document);
  holdDoubleClicks();
  const wrong = document.querySelector("[data-focus]");
  if (wrong) wrong.focus();
  // Parts swapped in later bring their own countdowns.
  new MutationObserver(() => startCountdowns(document)).observe(document.body, { childList: true, subtree: true });
});
