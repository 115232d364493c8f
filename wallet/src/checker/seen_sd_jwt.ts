/**
 * An SD-JWT VC with key binding, shown to a till (RFC 9901 7.3).
 * Promises: what `open` gives was signed by the signer's key and chosen by the holder; `holder` passes only for this audience, nonce and moment.
 * Trusts: the caller for the chain. Keeps: nothing. Refuses: other algorithms, critical headers, a binding over other disclosures.
 */
import { b64u, type Bytes, sha256, text as read, unb64, unb64u, utf8 } from "../bytes.ts";
import { disclosed, read as readDisclosure } from "../formats/disclosures.ts";
import { type CurveKey, CURVES, fits, keyOfJwk } from "../curves.ts";
import { strictJson } from "../json.ts";
import type { Claims } from "../jws.ts";
import { Problem } from "../problem.ts";
import type { Opened, Seen } from "./check.ts";

const ABOUT_ITSELF = new Set(["iss", "iat", "nbf", "exp", "cnf", "vct", "vct#integrity", "aka_vcts", "status"]);
const MAX_CHAIN = 4;
const MAX_DISCLOSURES = 512;
const LATEST = 253_402_300_800;

interface Token {
  readonly header: Claims;
  readonly payload: Bytes;
  readonly signed: Bytes;
  readonly signature: Bytes;
}

const bad = (detail: string): never => {
  throw new Problem("malformed", detail);
};

function words(raw: Bytes): string {
  try {
    return read(raw);
  } catch {
    return bad("not UTF-8");
  }
}

function tokenOf(jws: string, typ: string): Token {
  const parts = jws.split(".");
  const [header, payload, signature] = parts.map(unb64u);
  if (parts.length !== 3 || !header || !payload || !signature) return bad("a token has three parts");
  const head = strictJson(words(header));
  // RFC 7515 4.1.11 and RFC 7797: we know no extension.
  if (!CURVES.some(({ alg }) => alg === head["alg"]) || "crit" in head || "b64" in head) throw new Problem("unsupported", "algorithm or extension");
  if (head["typ"] !== typ) bad("a token of another type");
  return { header: head, payload, signed: utf8(parts.slice(0, 2).join(".")), signature };
}

export function openSdJwt(shown: string): Seen {
  const [jws = "", ...rest] = shown.split("~");
  if (rest.length === 0) return bad("no tilde");
  if (rest.length > MAX_DISCLOSURES + 1) throw new Problem("too_large", "too many disclosures");
  const token = tokenOf(jws, "dc+sd-jwt");
  for (const one of rest.slice(0, -1)) readDisclosure(one);
  const x5c = token.header["x5c"];
  if (!Array.isArray(x5c) || x5c.length === 0 || x5c.length > MAX_CHAIN || !x5c.every((one) => typeof one === "string")) return bad("x5c");
  const binding = rest.at(-1) ?? "";
  return {
    format: "sd_jwt",
    chain: x5c.map(unb64),
    open: async (signer: CurveKey): Promise<Opened> => {
      if (!(await fits(signer, token.header["alg"], token.signature, token.signed))) throw new Problem("bad_signature");
      const claims = await disclosed(shown, strictJson(words(token.payload)));
      const [starts, ends, signed] = ["nbf", "exp", "iat"].map((name) => claims[name]);
      return {
        type: String(claims["vct"]),
        claims: new Map([["", new Map(Object.entries(claims).filter(([name]) => !ABOUT_ITSELF.has(name)))]]),
        signed: typeof signed === "number" ? signed : null,
        holder: (audience, nonce, made) => mustHaveBound(claims["cnf"], binding, shown.slice(0, shown.length - binding.length), audience, nonce, made),
        dates: () => {
          seconds(signed);
          return { starts: seconds(starts), ends: seconds(ends) };
        },
        status: () => placeOf(claims["status"]),
      };
    },
  };
}

function seconds(value: unknown): number | null {
  if (value === undefined || value === null) return null;
  return typeof value === "number" && value >= 0 && value < LATEST ? value : bad("not a date");
}

/** Token Status List draft-21 6.2 and, in an MSO, 6.3. */
export function placeOf(status: unknown): { uri: string; index: number } {
  if (status === undefined || status === null) throw new Problem("status_unknown", "no status list is named");
  const { uri, idx } = ((status as { status_list?: unknown }).status_list ?? {}) as { uri?: unknown; idx?: unknown };
  if (typeof uri !== "string" || uri === "" || typeof idx !== "number" || !Number.isInteger(idx) || idx < 0 || idx >= 2 ** 32) return bad("the status is not a place in a list");
  return { uri, index: idx };
}

/** RFC 9901 4.3, its members of their types; null: it is none. */
function bindingOf(binding: string): (Token & { readonly claims: Claims }) | null {
  try {
    const token = tokenOf(binding, "kb+jwt");
    const claims = strictJson(words(token.payload));
    const texts = ["nonce", "aud", "sd_hash"].every((name) => typeof claims[name] === "string");
    const times = ["iat", "nbf", "exp"].every((name) => typeof claims[name] === "number" || (name !== "iat" && !(name in claims)));
    return texts && times ? { ...token, claims } : null;
  } catch {
    return null;
  }
}

/** RFC 9901 7.3 step 5; `iat` is the moment the code names (formats/qr.py). */
async function mustHaveBound(cnf: unknown, binding: string, before: string, audience: string, nonce: Bytes, made: number): Promise<void> {
  const key = await keyOfJwk((cnf as { jwk?: unknown } | undefined)?.jwk);
  const forged = (detail: string): never => {
    throw new Problem("bad_holder_proof", detail);
  };
  const { header, claims, signature, signed } = bindingOf(binding) ?? forged("not a key binding");
  if (!(await fits(key, header["alg"], signature, signed))) forged("another key signed");
  // RFC 7519 in all other respects (RFC 9901 7.3 step 5.8).
  const { nbf, exp } = claims;
  if (claims["nonce"] !== b64u(nonce)) throw new Problem("wrong_nonce");
  if (claims["aud"] !== audience) throw new Problem("wrong_audience");
  if (claims["iat"] !== made || Number(nbf ?? made) > made || Number(exp ?? made + 1) <= made) forged("signed at another moment than the code names");
  if (claims["sd_hash"] !== b64u(await sha256(utf8(before)))) forged("signed over other disclosures");
  if ("transaction_data_hashes" in claims || "transaction_data_hashes_alg" in claims) forged("authorizes what was not asked");
}
