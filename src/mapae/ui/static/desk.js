// The desk's own script. Passkeys need it; everything else works without.
"use strict";
(() => {
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

  const readOptions = (options) => {
    const read = { ...options, challenge: bytes(options.challenge) };
    if (read.user) read.user = { ...read.user, id: bytes(read.user.id) };
    for (const list of ["allowCredentials", "excludeCredentials"]) {
      if (read[list]) read[list] = read[list].map((one) => ({ ...one, id: bytes(one.id) }));
    }
    return read;
  };

  const writeAnswer = (made) => {
    const response = { clientDataJSON: text(made.response.clientDataJSON) };
    for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (made.response[name]) response[name] = text(made.response[name]);
    }
    return JSON.stringify({
      id: made.id, rawId: text(made.rawId), type: made.type, response,
      authenticatorAttachment: made.authenticatorAttachment ?? undefined, clientExtensionResults: {},
    });
  };

  const ask = async (form) => {
    const publicKey = readOptions(JSON.parse(form.dataset.options));
    const made = form.dataset.passkey === "create"
      ? await navigator.credentials.create({ publicKey })
      : await navigator.credentials.get({ publicKey });
    form.elements.answer.value = writeAnswer(made);
    form.submit();
  };

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const trouble = document.getElementById("passkey-trouble");
      if (trouble) trouble.hidden = true;
      ask(form).catch(() => {
        // Cancelled, timed out, or no passkey here: the browser does not say which, so neither can we.
        if (trouble) trouble.hidden = false;
      });
    });
  }
})();
