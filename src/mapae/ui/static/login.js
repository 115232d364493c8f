// A page that waits for a phone looks for news; a page that only carries an answer to a site sends it on. Both work
// without this: by hand.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const onward = document.getElementById("onward");
  if (onward) onward.submit();
  const state = document.querySelector("[data-poll]");
  if (!state) return;
  const look = async () => {
    try {
      const { phase } = await (await fetch(state.dataset.poll)).json();
      // Whoever is typing is not interrupted: the code's own answer says what has ended meanwhile.
      if (phase && phase !== state.dataset.phase && !document.getElementById("code")?.value) return location.reload();
    } catch {
      // the network is away for a moment
    }
    setTimeout(look, 1500);
  };
  setTimeout(look, 1500);
});
