/**
 * A world outside the country for the wallet's tests: an issuer that knows neither wallet attestations nor DPoP nor batches, and a verifier
 * that is on nobody's list. Their certificates come from an authority the trust list does not name.
 */
import { CoseKey, DateOnly, DeviceKey, type DigestAlgorithm, Issuer as MdocIssuer, SignatureAlgorithm } from "@owf/mdoc";
import { SDJwtVcInstance } from "@sd-jwt/sd-jwt-vc";
import { compactDecrypt, decodeJwt, decodeProtectedHeader } from "jose";
import { deflateSync } from "node:zlib";
import { b64u, type Bytes, random, sha256, token, utf8 } from "../src/bytes.ts";
import { mdocContext } from "../src/formats/mdoc.ts";
import { signBytes, signJwt } from "../src/keys.ts";
import type { PublicJwk } from "../src/store.ts";
import { type Authority, authority, b64, certify, type Country, NOW, offering, type Pair, pair } from "./country.ts";

export const HOST = "https://id.abroad.test";
export const SHOP = "https://shop.abroad.test";
export const PID = "urn:eudi:pid:1";
const PICTURE = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'%3E%3Ccircle cx='4' cy='4' r='3.500' fill='%23012169'/%3E%3Cpath d='M4 1v6M1 4h6' stroke='%23fff'/%3E%3C/svg%3E";
const PERSON = {
  given_name: "Ada", family_name: "Lovelace", birthdate: "1995-12-10", nationalities: ["GB", "FR"],
  address: { street_address: "12 St James's Square", locality: "London", country: "GB" },
};

export const MDL = "org.iso.18013.5.1.mDL";
const MDL_SPACES: Record<string, Record<string, unknown>> = {
  "org.iso.18013.5.1": {
    family_name: "Lovelace", given_name: "Ada", expiry_date: new DateOnly("2031-01-01"), issuing_country: "GB", portrait: new Uint8Array([255, 216, 255]),
    driving_privileges: [new Map<string, unknown>([["vehicle_category_code", "B"], ["issue_date", new DateOnly("2015-06-01")]])],
  },
  "org.iso.18013.5.1.aamva": { family_name: "LOVELACE", organ_donor: 1 },
};

export class Abroad {
  vct = PID;
  claims: Record<string, unknown> = PERSON;
  /** Claims it does not hide. */
  leftOpen: readonly string[] = [];
  /** What its chain holds beside the signer. */
  above: readonly Bytes[] = [];
  /** Who signs its status list; null: who signs its cards. */
  statusBy: { readonly key: CryptoKey; readonly chain: readonly Bytes[] } | null = null;
  signedMetadata = false;
  refreshes = false;
  standing = 0;
  readonly calls: string[] = [];
  readonly bodies: Record<string, unknown>[] = [];
  readonly answers: Record<string, unknown>[] = [];
  requestClaims: Record<string, unknown> = {};
  requestHeader: Record<string, unknown> = {};
  clientId = "";
  redirect: string | null = null;
  form: URLSearchParams | null = null;

  private constructor(
    readonly ca: Authority, public ds: Pair, public dsDer: Bytes, readonly shop: Pair, readonly shopDer: Bytes,
    readonly answerKey: CryptoKeyPair, readonly answerJwk: Record<string, unknown>,
  ) {}

  static async open(land: Country): Promise<Abroad> {
    const ca = await authority("C=GB, O=Abroad Trust, CN=Abroad CA");
    const [ds, shop] = [await pair(), await pair()];
    const answer = await crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, true, ["deriveBits"]);
    const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", answer.publicKey);
    const made = new Abroad(
      ca, ds, await certify(ca, "C=GB, O=Home Office, CN=PID signer", ds, 300, null), shop,
      await certify(ca, "C=GB, O=Corner Shop Ltd, CN=Corner Shop", shop, 300, null, ["shop.abroad.test"]), answer, { kty, crv, x, y, alg: "ECDH-ES", kid: "k9" },
    );
    made.clientId = `x509_hash:${b64u(await sha256(made.shopDer))}`;
    land.abroad.set(HOST, made.issuer);
    land.abroad.set(SHOP, made.verifier);
    return made;
  }

  get offer(): string {
    return this.offerOf("pid");
  }

  offerOf(...ids: string[]): string {
    return offering({ credential_issuer: HOST, credential_configuration_ids: ids, grants: { "urn:ietf:params:oauth:grant-type:pre-authorized_code": { "pre-authorized_code": "p1" } } });
  }

  get metadata(): Record<string, unknown> {
    return {
      credential_issuer: HOST, credential_endpoint: `${HOST}/credential`, nonce_endpoint: `${HOST}/nonce`, display: [{ name: "Home Office", logo: { uri: PICTURE } }],
      credential_configurations_supported: {
        mdl: {
          format: "mso_mdoc", doctype: MDL, scope: "mdl", cryptographic_binding_methods_supported: ["cose_key"], credential_signing_alg_values_supported: [-7],
          proof_types_supported: { jwt: { proof_signing_alg_values_supported: ["ES256"] } },
        },
        passport: { format: "dc+sd-jwt", vct: "https://id.abroad.test/types/passport", proof_types_supported: { jwt: { proof_signing_alg_values_supported: ["ES256"] } } },
        pid: {
          format: "dc+sd-jwt", vct: this.vct, scope: "pid", cryptographic_binding_methods_supported: ["jwk"], credential_signing_alg_values_supported: ["ES256"],
          proof_types_supported: { jwt: { proof_signing_alg_values_supported: ["ES256"] } },
          credential_metadata: {
            display: [{ name: "Person identification", locale: "en-GB", background_color: "#ffffee", text_color: "#ffffff" }],
            claims: [{ path: ["given_name"], display: [{ name: "Given names" }] }, { path: ["address", "locality"], display: [{ name: "Town" }] }],
          },
        },
      },
    };
  }

  private readonly issuer = async ({ pathname }: URL, init: RequestInit): Promise<Response> => {
    this.calls.push(`${init.method ?? "GET"} ${pathname}`);
    const headers = new Headers(init.headers);
    if (pathname === "/.well-known/openid-credential-issuer") {
      if (!this.signedMetadata || !(headers.get("Accept") ?? "").includes("application/jwt")) return json(this.metadata);
      const header = { typ: "openidvci-issuer-metadata+jwt", x5c: [b64(this.dsDer)] };
      return typed("application/jwt", await signJwt(this.ds.key, header, { sub: HOST, iat: NOW / 1000, ...this.metadata }));
    }
    if (pathname === "/.well-known/oauth-authorization-server") return json({ issuer: HOST, token_endpoint: `${HOST}/token`, token_endpoint_auth_methods_supported: ["none"] });
    if (pathname === "/token") return json({ access_token: token(), token_type: "Bearer", ...(this.refreshes ? { refresh_token: token() } : {}) });
    if (pathname === "/nonce") return json({ c_nonce: token() });
    if (pathname === "/credential") return this.credential(JSON.parse(String(init.body)) as Record<string, unknown>);
    if (pathname === "/status") return this.status();
    return json({ error: "not_found" }, 404);
  };

  private async credential(body: Record<string, unknown>): Promise<Response> {
    this.bodies.push(body);
    const proofs = (body["proofs"] as { jwt: string[] }).jwt;
    const id = String(body["credential_configuration_id"]);
    const make = (jwk: PublicJwk): Promise<string> => (id === "mdl" ? this.mdl(jwk) : this.sdJwt(jwk, id === "passport" ? "https://id.abroad.test/types/passport" : this.vct));
    const keys = proofs.map((proof) => decodeProtectedHeader(proof).jwk as PublicJwk);
    if (proofs.some((proof) => decodeJwt(proof).aud !== HOST)) return json({ error: "invalid_proof" }, 400);
    return json({ credentials: await Promise.all(keys.map(async (jwk) => ({ credential: await make(jwk) }))) });
  }

  private async mdl(jwk: PublicJwk): Promise<string> {
    const sign = ({ toBeSigned }: { toBeSigned: Uint8Array }) => signBytes(this.ds.key, toBeSigned);
    const context = { ...mdocContext, cose: { ...mdocContext.cose, sign1: { ...mdocContext.cose.sign1, sign } } };
    const issuer = new MdocIssuer(MDL, context);
    for (const [space, elements] of Object.entries(MDL_SPACES)) issuer.addIssuerNamespace(space, elements);
    const signed = await issuer.sign({
      signingKey: CoseKey.fromJwk({ ...this.ds.jwk, d: "AA", alg: "ES256" }), algorithm: SignatureAlgorithm.ES256, digestAlgorithm: "SHA-256" as DigestAlgorithm,
      validityInfo: { signed: new Date(NOW), validFrom: new Date(NOW), validUntil: new Date(NOW + 86_400_000 * 20) },
      deviceKeyInfo: { deviceKey: DeviceKey.fromJwk({ ...jwk }) as DeviceKey }, certificates: [this.dsDer],
    });
    return signed.encodedForOid4Vci;
  }

  private async sdJwt(jwk: PublicJwk, vct: string): Promise<string> {
    const vc = new SDJwtVcInstance({
      hasher: (data) => sha256(typeof data === "string" ? utf8(data) : new Uint8Array(data as ArrayBuffer)), hashAlg: "sha-256",
      saltGenerator: (length) => b64u(random(length)), signAlg: "ES256", signer: async (data) => b64u(await signBytes(this.ds.key, utf8(data))),
    });
    const envelope = { vct, iss: HOST, iat: NOW / 1000, exp: NOW / 1000 + 86_400 * 30, cnf: { jwk: { ...jwk } }, status: { status_list: { uri: `${HOST}/status`, idx: 1 } } };
    const frame = { _sd: Object.keys(this.claims).filter((name) => !this.leftOpen.includes(name)), address: { _sd: ["street_address", "locality"] }, nationalities: { _sd: [0, 1] } };
    return vc.issue({ ...envelope, ...this.claims } as never, frame as never, { header: { x5c: [this.dsDer, ...this.above].map(b64) } });
  }

  private async status(): Promise<Response> {
    const list = { bits: 1, lst: deflateSync(Buffer.alloc(8, this.standing ? 255 : 0)).toString("base64url") };
    const { key, chain } = this.statusBy ?? { key: this.ds.key, chain: [this.dsDer, ...this.above] };
    const raw = await signJwt(key, { typ: "statuslist+jwt", x5c: chain.map(b64) }, { sub: `${HOST}/status`, iat: NOW / 1000, status_list: list });
    return typed("application/statuslist+jwt", raw);
  }

  link(method = "get"): string {
    return `openid4vp://?${new URLSearchParams({ client_id: this.clientId, request_uri: `${SHOP}/request`, ...(method === "post" ? { request_uri_method: "post" } : {}) }).toString()}`;
  }

  private readonly verifier = async ({ pathname }: URL, init: RequestInit): Promise<Response> => {
    this.calls.push(`${init.method ?? "GET"} ${pathname}`);
    const form = new URLSearchParams(String(init.body ?? ""));
    if (pathname === "/request") {
      this.form = init.method === "POST" ? form : null;
      const claims = {
        client_id: this.clientId, aud: "https://self-issued.me/v2", response_type: "vp_token", response_mode: "direct_post.jwt", response_uri: `${SHOP}/answer`,
        nonce: b64u(random(16)), state: "s-9", dcql_query: pidQuery([["given_name"], ["address", "locality"]]),
        client_metadata: { jwks: { keys: [this.answerJwk] } }, ...(form.has("wallet_nonce") ? { wallet_nonce: form.get("wallet_nonce") } : {}), ...this.requestClaims,
      };
      return typed("application/oauth-authz-req+jwt", await signJwt(this.shop.key, { typ: "oauth-authz-req+jwt", x5c: [b64(this.shopDer)], ...this.requestHeader }, claims));
    }
    if (pathname !== "/answer") return json({ error: "not_found" }, 404);
    if (form.has("error")) this.answers.push(Object.fromEntries(form));
    else {
      const opened = await compactDecrypt(form.get("response") ?? "", this.answerKey.privateKey);
      this.answers.push({ ...JSON.parse(new TextDecoder().decode(opened.plaintext)), header: opened.protectedHeader });
    }
    return json(this.redirect === null ? {} : { redirect_uri: this.redirect });
  };
}

export const pidQuery = (paths: readonly (readonly unknown[])[], more: Record<string, unknown> = {}) => ({
  credentials: [{ id: "pid", format: "dc+sd-jwt", meta: { vct_values: [PID] }, claims: paths.map((path) => ({ path })), ...more }],
});

const json = (value: unknown, status = 200): Response => new Response(JSON.stringify(value), { status, headers: { "Content-Type": "application/json" } });
const typed = (type: string, value: string): Response => new Response(value, { headers: { "Content-Type": type } });
