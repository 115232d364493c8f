/**
 * Credential requests and answers encrypted on top of TLS (OpenID4VCI 1.0 sections 8.2, 8.3 and 10).
 * Promises: encrypted both ways wherever the issuer can, with a key of this one request; an answer that was to be encrypted and is not
 * is refused. Trusts: jose. Keeps: the request's own key, in memory. Refuses: an issuer that requires what this wallet cannot do.
 */
import { CompactEncrypt, compactDecrypt, type CryptoKey, exportJWK, generateKeyPair, importJWK } from "jose";
import { text, token, utf8 } from "./bytes.ts";
import { strictJson } from "./json.ts";
import { Problem } from "./problem.ts";

const ENC = ["A256GCM", "A128GCM"]; // in the order of our liking

interface Offered {
  readonly jwks?: { readonly keys?: readonly Record<string, unknown>[] };
  readonly alg_values_supported?: readonly string[];
  readonly enc_values_supported?: readonly string[];
  readonly encryption_required?: boolean;
}

export interface Sealed {
  readonly type: string;
  readonly body: string;
}

export class Envelope {
  private constructor(
    private readonly to: { readonly jwk: Record<string, unknown>; readonly key: CryptoKey; readonly enc: string } | null,
    private readonly back: { readonly jwk: Record<string, unknown>; readonly key: CryptoKey; readonly enc: string } | null,
  ) {}

  /** `metadata`: the credential issuer's (section 12.2.4). */
  static async for(metadata: Readonly<Record<string, unknown>>): Promise<Envelope> {
    const request = (metadata["credential_request_encryption"] ?? null) as Offered | null;
    const response = (metadata["credential_response_encryption"] ?? null) as Offered | null;
    const to = request && (await theirKey(request));
    if (!to && request?.encryption_required === true) throw new Problem("unsupported", "request encryption");
    const enc = response?.alg_values_supported?.includes("ECDH-ES") ? chosen(response) : null;
    // Section 8.2: an answer's key is sent in an encrypted request only, or somebody could put another in its place.
    if (!(enc && to) && response?.encryption_required === true) throw new Problem("unsupported", "response encryption");
    return new Envelope(to, enc && to ? await ourKey(enc) : null);
  }

  async seal(body: Readonly<Record<string, unknown>>): Promise<Sealed> {
    const { to, back } = this;
    const whole = JSON.stringify(back ? { ...body, credential_response_encryption: { jwk: back.jwk, enc: back.enc } } : body);
    if (!to) return { type: "application/json", body: whole };
    const kid = typeof to.jwk["kid"] === "string" ? { kid: to.jwk["kid"] } : {};
    const jwe = new CompactEncrypt(utf8(whole)).setProtectedHeader({ alg: "ECDH-ES", enc: to.enc, ...kid });
    return { type: "application/jwt", body: await jwe.encrypt(to.key) };
  }

  /** What is in a 200 or 202. Errors are never encrypted (section 8.3.1.2). */
  async open(response: Response): Promise<Record<string, unknown>> {
    const type = (response.headers.get("content-type") ?? "").split(";")[0]?.trim();
    const raw = await response.text();
    if (!this.back) {
      if (type !== "application/json") throw new Problem("malformed", "the answer is not JSON");
      return strictJson(raw);
    }
    if (type !== "application/jwt") throw new Problem("not_encrypted", "the answer came in the clear");
    const options = { keyManagementAlgorithms: ["ECDH-ES"], contentEncryptionAlgorithms: [this.back.enc] };
    const opened = await compactDecrypt(raw, this.back.key, options).catch(() => {
      throw new Problem("not_encrypted", "not encrypted to us");
    });
    return strictJson(text(opened.plaintext));
  }
}

const chosen = (from: Offered): string | null => ENC.find((enc) => from.enc_values_supported?.includes(enc)) ?? null;

async function theirKey(from: Offered): Promise<{ jwk: Record<string, unknown>; key: CryptoKey; enc: string } | null> {
  const enc = chosen(from);
  if (!enc) return null;
  for (const jwk of from.jwks?.keys ?? []) {
    if (jwk["kty"] !== "EC" || jwk["crv"] !== "P-256" || jwk["alg"] !== "ECDH-ES" || jwk["use"] === "sig") continue;
    const key = await importJWK({ kty: "EC", crv: "P-256", x: jwk["x"], y: jwk["y"] } as never, "ECDH-ES").catch(() => null);
    if (key) return { jwk, key: key as CryptoKey, enc };
  }
  return null;
}

async function ourKey(enc: string): Promise<{ jwk: Record<string, unknown>; key: CryptoKey; enc: string }> {
  const pair = await generateKeyPair("ECDH-ES", { crv: "P-256", extractable: false });
  const { kty, crv, x, y } = await exportJWK(pair.publicKey);
  return { jwk: { kty, crv, x, y, alg: "ECDH-ES", use: "enc", kid: token() }, key: pair.privateKey, enc };
}
