// The link's secret moves from behind # into the form, and out of the address bar.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const secret = location.hash.slice(1);
  const field = document.getElementById("secret");
  if (!field || !/^[A-Za-z0-9_-]{16,128}$/.test(secret)) return;
  field.value = secret;
  history.replaceState(null, "", location.pathname);
});
