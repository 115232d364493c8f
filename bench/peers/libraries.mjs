/** The peers' packages: they live in the node project of the interop suite, tests/conformance. */
import { createRequire } from "node:module";

export const load = createRequire(new URL("../../tests/conformance/package.json", import.meta.url));

export const b64u = (bytes) => Buffer.from(bytes).toString("base64url");
export const unb64u = (text) => new Uint8Array(Buffer.from(text, "base64url"));

/** Whatever `make` says about a key, said once: reading a key again for every call would be the host's fault, not the library's. */
export function once(make) {
  const known = new Map();
  return (key, name = typeof key === "string" ? key : JSON.stringify(key)) => {
    if (!known.has(name)) known.set(name, make(key));
    return known.get(name);
  };
}
