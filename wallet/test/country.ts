/**
 * A country for the wallet's tests: certificate authorities, a wallet provider, an issuer and a relying party, all behind one `fetch`.
 * Its credentials are made by the OWF libraries' issuing sides; what it answers can be lost on the way (`cut`).
 */
import "reflect-metadata";
import { CoseKey, DeviceKey, type DigestAlgorithm, Issuer as MdocIssuer, SignatureAlgorithm } from "@owf/mdoc";
import * as x509 from "@peculiar/x509";
import { SDJwtVcInstance } from "@sd-jwt/sd-jwt-vc";
import { deflateSync } from "node:zlib";
import { CompactEncrypt, compactDecrypt, decodeJwt, importJWK } from "jose";
import { b64u, type Bytes, random, sha256, token, utf8 } from "../src/bytes.ts";
import { mdocContext } from "../src/formats/mdoc.ts";
import { signBytes, signJwt } from "../src/keys.ts";
import type { PublicJwk } from "../src/store.ts";

export const BASE = "http://wallet.test";
export const VCT = "urn:mapae:kr:resident-card:1";
export const DOCTYPE = "kr.mapae.resident.1";
export const NOW = Date.UTC(2026, 10, 21, 12);
x509.cryptoProvider.set(crypto);

const EC = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
export interface Pair {
  readonly key: CryptoKey;
  readonly keys: CryptoKeyPair;
  readonly jwk: PublicJwk;
}
export async function pair(): Promise<Pair> {
  const keys = await crypto.subtle.generateKey(EC, true, ["sign", "verify"]);
  const { x = "", y = "" } = await crypto.subtle.exportKey("jwk", keys.publicKey);
  return { keys, key: keys.privateKey, jwk: { kty: "EC", crv: "P-256", x, y } };
}

const days = (count: number): Date => new Date(NOW + count * 86_400_000);

export interface Authority extends Pair {
  readonly name: string;
  readonly der: Bytes;
}
export async function authority(name: string): Promise<Authority> {
  const made = await pair();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name, keys: made.keys, signingAlgorithm: EC, notBefore: days(-10), notAfter: days(3000), serialNumber: "01",
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(made.keys.publicKey),
    ],
  });
  return { ...made, name, der: new Uint8Array(certificate.rawData) };
}
/** One below another: not the anchor, so a chain may hold it. */
export async function below(ca: Authority, name: string): Promise<Authority> {
  const made = await pair();
  const certificate = await x509.X509CertificateGenerator.create({
    subject: name, issuer: ca.name, publicKey: made.keys.publicKey, signingKey: ca.key, signingAlgorithm: EC, notBefore: days(-10), notAfter: days(3000), serialNumber: "03",
    extensions: [new x509.BasicConstraintsExtension(true, 0, true), new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true)],
  });
  return { ...made, name, der: new Uint8Array(certificate.rawData) };
}
export async function certify(ca: Authority, subject: string, holder: Pair, until = 300, purpose: keyof typeof PURPOSE | null = "document", dns: readonly string[] = []): Promise<Bytes> {
  const certificate = await x509.X509CertificateGenerator.create({
    subject, issuer: ca.name, publicKey: holder.keys.publicKey, signingKey: ca.key, signingAlgorithm: EC,
    notBefore: days(-5), notAfter: days(until), serialNumber: "02",
    extensions: [
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      await x509.AuthorityKeyIdentifierExtension.create(ca.keys.publicKey),
      ...(purpose ? [new x509.ExtendedKeyUsageExtension([PURPOSE[purpose]], true)] : []),
      ...(dns.length > 0 ? [new x509.SubjectAlternativeNameExtension(dns.map((value) => ({ type: "dns" as const, value })))] : []),
    ],
  });
  return new Uint8Array(certificate.rawData);
}

const PURPOSE = { document: "1.0.18013.5.1.2", access: "1.0.18013.5.1.6", status: "2.25.121034632688233021906781599036449318154" };

export const b64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
export const CLAIMS = {
  name: "한지수", birth_date: "2001-03-09", resident_number: "010309-4683191", age_over_19: true, adult_by_year: true, expiry_date: "2029-11-21",
};

export interface Cut {
  /** Which request, counted from one, and whether the server still saw it. */
  readonly at: number;
  readonly seen: boolean;
}

export class Country {
  /** In seconds. */
  now = NOW / 1000;
  calls: string[] = [];
  /** Servers elsewhere, by origin. */
  readonly abroad = new Map<string, (url: URL, init: RequestInit) => Promise<Response>>();
  /** Doors of one test only, by method and path. */
  readonly doors = new Map<string, (init: RequestInit) => Response | Promise<Response>>();
  cut: Cut | null = null;
  asked = 0;
  /** What the register and the issuer say about this country. */
  form: unknown = { number: { layout: "dddddd-ddddddd", shown: 7 }, phone: { layout: "ddd-dddd-dddd" }, code_digits: 6 };
  renewalDays = 90;
  /** Where the guest house takes requests. */
  contact = "";
  readonly offers = new Map<string, { dpop: string | null; spent: boolean }>();
  readonly batches: { configuration: string; keys: PublicJwk[]; acknowledged: boolean; id: string; live: boolean }[] = [];
  responses: Record<string, unknown>[] = [];
  device: Record<string, unknown> = { state: "active" };
  access = new Set<string>();
  refresh = new Set<string>();
  copies = 3;
  /** How every copy stands: 0 valid, 1 invalid, 2 suspended, 3 renew. */
  standing = 0;
  /** Only served with this code besides the offer. */
  txCode: string | null = null;
  /** How often each credential request is put off, and for how long. */
  puttingOff = 0;
  /** What copies made from now on say. */
  claims: Record<string, unknown> = CLAIMS;
  interval = 30;
  /** Both ways encrypted; "clear": answers in the clear all the same. */
  encrypts: "both" | "clear" | null = null;
  /** Sign-ins begun (by request_uri), and codes given out. */
  readonly pushed = new Map<string, URLSearchParams>();
  readonly codes = new Map<string, URLSearchParams>();
  /** Names the data set to ask for, instead of the configuration. */
  identifies = false;
  metadata: Record<string, unknown> = {};
  server: Record<string, unknown> = {};
  readonly requests: Record<string, unknown>[] = [];
  readonly tokenForms: URLSearchParams[] = [];
  private readonly transactions = new Map<string, { left: number; answer: () => Promise<Record<string, unknown>> }>();
  private made = 0;
  private statusDer: Bytes | null = null;
  tamper: ((raw: string) => string) | null = null;
  requestClaims: Record<string, unknown> = {};
  /** What the shop has registered besides. */
  readonly more: Record<string, unknown>[] = [];
  /** Whether the trust list names the shop. */
  listed = true;
  trustAnswer: "list" | "nobody" | "rubbish" = "list";
  /** Whether its registration was taken back. */
  revoked = false;
  /** What the issuer entered in the trust log; null: it enters nothing. */
  entered: Record<string, unknown>[] | null = null;
  private nonces = new Set<string>();

  private constructor(
    readonly ca: Authority, readonly ds: Pair, readonly dsDer: Bytes, readonly accessCa: Authority, public shop: Pair, public shopDer: Bytes,
    readonly trustKey: Pair, readonly answerKey: CryptoKeyPair, readonly answerJwk: Record<string, unknown>,
    readonly providerCa: Authority, readonly provider: Pair, readonly providerDer: Bytes,
  ) {}

  static async open(): Promise<Country> {
    const ca = await authority("C=KR, CN=Issuing CA");
    const ds = await pair();
    const access = await authority("C=KR, CN=Access CA");
    const shop = await pair();
    const providerCa = await authority("C=KR, CN=Wallet CA");
    const provider = await pair();
    const answer = await crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, true, ["deriveBits"]);
    const jwk = await crypto.subtle.exportKey("jwk", answer.publicKey);
    return new Country(
      ca, ds, await certify(ca, "C=KR, CN=Document signer", ds), access, shop, await certify(access, "C=KR, CN=Guest house", shop, 300, "access"),
      await pair(), answer, { kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y, alg: "ECDH-ES", use: "enc", kid: "k1" },
      providerCa, provider, await certify(providerCa, "C=KR, CN=Wallet provider", provider, 300, null),
    );
  }

  readonly fetch = async (url: string, init: RequestInit = {}): Promise<Response> => {
    const abroad = this.abroad.get(new URL(url).origin);
    if (abroad) return abroad(new URL(url), init);
    this.asked += 1;
    this.calls.push(`${init.method ?? "GET"} ${new URL(url).pathname}`);
    const cut = this.cut && this.cut.at === this.asked ? this.cut : null;
    if (cut && !cut.seen) throw new TypeError("the network is gone");
    if (this.trustAnswer === "nobody" && url.endsWith("/trust/list")) throw new TypeError("the network is gone");
    const answer = await this.answer(new URL(url), init).catch((fault: unknown) => {
      console.error("the test country failed", fault); // else it would look like a lost network
      throw fault;
    });
    if (cut) throw new TypeError("the answer is lost");
    return answer;
  };

  private async answer(url: URL, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    const body = typeof init.body === "string" ? init.body : String(init.body ?? "");
    const path = url.pathname;
    const door = this.doors.get(`${init.method ?? "GET"} ${path}`);
    if (door) return door(init);
    if (path === "/trust/key") return json(this.trustKey.jwk);
    if (path === "/trust/list" && this.trustAnswer === "rubbish") return typed("application/jwt", "rubbish");
    if (path === "/trust/list") return typed("application/jwt", await this.trustList());
    if (path === "/wallet-provider/devices/me") return json({ device_id: "d1", ...this.device });
    if (path === "/wallet-provider/attestations") return json({ wallet_attestation: await this.attestation(JSON.parse(body).client_jwk), expires_in: 3600 });
    if (path === "/wallet-provider/key-attestations") return json({ key_attestation: await this.keyAttestation(JSON.parse(body)), expires_in: 300 });
    if (path === "/.well-known/openid-credential-issuer/issuer") return json({ ...METADATA, ...(this.encrypts ? this.encryption() : {}), ...this.metadata });
    if (path === "/.well-known/oauth-authorization-server/issuer") return json({ ...SERVER, ...this.server });
    if (path.startsWith("/issuer/status/")) return typed("application/statuslist+jwt", await this.statusList(url.href));
    if (path.startsWith("/issuer/offers/")) return json(offerOf(path.split("/").at(-1) ?? ""));
    if (path === "/identity/form") return json(this.form);
    if (path === "/issuer/documents") return json({ documents: [{ id: "resident_card", configurations: ["resident_card_sd_jwt", "resident_card_mdoc"], renewal_days: this.renewalDays, state: "held" }] });
    if (path === "/issuer/nonce") return json({ c_nonce: this.nonce() });
    if (path === "/issuer/token") return this.token(headers, new URLSearchParams(body));
    if (path === "/issuer/par") return this.push(headers, new URLSearchParams(body));
    if (path === "/issuer/credential") return this.credential(headers, await this.opened(headers, body));
    if (path === "/issuer/deferred") return this.deferred(headers, await this.opened(headers, body));
    if (path === "/issuer/notification") return this.notified(JSON.parse(body));
    if (path.startsWith("/verifier/requests/")) return typed("application/oauth-authz-req+jwt", await this.request());
    if (path.startsWith("/verifier/responses/")) return this.response(new URLSearchParams(body));
    return json({ error: "not_found" }, 404);
  }

  /** Two bits a copy. */
  private async statusList(uri: string): Promise<string> {
    const bytes = Buffer.alloc(64, this.standing * 0b01010101);
    const list = { bits: 2, lst: deflateSync(bytes).toString("base64url") };
    const claims = { sub: uri, iat: NOW / 1000, exp: NOW / 1000 + 300, ttl: 5, status_list: list };
    this.statusDer ??= await certify(this.ca, "C=KR, CN=Status signer", this.ds, 300, "status");
    return signJwt(this.ds.key, { typ: "statuslist+jwt", x5c: [b64(this.statusDer)] }, claims);
  }

  /** The document signer as the issuer entered it in the trust log. */
  async logged(changes: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    const x5t = b64u(await sha256(this.dsDer));
    return { issuer: "issuer:kr", "x5t#S256": x5t, purpose: "document_signer", from: NOW / 1000 - 60, until: NOW / 1000 + 86_400 * 300, ...changes };
  }

  private nonce(): string {
    const fresh = token();
    this.nonces.add(fresh);
    return fresh;
  }

  private async trustList(): Promise<string> {
    const words = (ko: string) => ({ ko, en: `${ko} (en)` });
    const claims = {
      iat: this.now, exp: this.now + 3600,
      issuers: [{ id: "kr", name: words("대한민국"), ca: [b64(this.ca.der)], vcts: [VCT], doctypes: [DOCTYPE], status_prefix: `${BASE}/issuer/status/`, logged: this.entered !== null }],
      signers: this.entered ?? [],
      revoked_readers: this.revoked ? [{ reader: b64u(new Uint8Array(32)), x509_hash: b64u(await sha256(this.shopDer)), since: 1, reason: "withdrawn" }] : [],
      wallet_providers: [],
      access_ca: [b64(this.accessCa.der)],
      relying_parties: !this.listed ? [] : [{
        id: "guest_house", name: words("소나무"), contact: this.contact, x509_hash: b64u(await sha256(this.shopDer)),
        purposes: [{ id: "alcohol", name: words("주류"), why: words("확인"), legal_basis: words("법"), items: ["adult_by_year"], retention: words("없음") },
          { id: "name_birth_date", name: words("이름"), why: words("확인"), legal_basis: words("법"), items: ["name", "birth_date"], retention: words("하루") },
          { id: "log_in", name: words("로그인"), why: words("확인"), legal_basis: words("법"), items: ["login_id"], retention: words("없음") }, ...this.more],
      }],
    };
    return signJwt(this.trustKey.key, { typ: "mapae-trust-list+jwt" }, claims);
  }

  private attestation(jwk: PublicJwk): Promise<string> {
    const header = { typ: "oauth-client-attestation+jwt", x5c: [b64(this.providerDer)] };
    return signJwt(this.provider.key, header, { iss: "wp", sub: `${BASE}/wallet/`, cnf: { jwk }, iat: this.now, exp: this.now + 3600 });
  }

  private keyAttestation(message: { keys: PublicJwk[]; nonce: string }): Promise<string> {
    const header = { typ: "key-attestation+jwt", x5c: [b64(this.providerDer)] };
    return signJwt(this.provider.key, header, { attested_keys: message.keys, nonce: message.nonce, iat: this.now, exp: this.now + 300 });
  }

  private encryption(): Record<string, unknown> {
    const encs = { enc_values_supported: ["A128GCM", "A256GCM"], encryption_required: true };
    return {
      credential_request_encryption: { jwks: { keys: [{ ...this.answerJwk, alg: "RSA-OAEP" }, this.answerJwk] }, ...encs },
      credential_response_encryption: { alg_values_supported: ["ECDH-ES"], ...encs },
    };
  }

  private async opened(headers: Headers, body: string): Promise<Record<string, unknown>> {
    const message = this.encrypts ? new TextDecoder().decode((await compactDecrypt(body, this.answerKey.privateKey)).plaintext) : body;
    expectType(headers, this.encrypts ? "application/jwt" : "application/json");
    const said = JSON.parse(message) as Record<string, unknown>;
    this.requests.push(said);
    return said;
  }

  private async sealed(asked: Record<string, unknown>, value: Record<string, unknown>, status = 200): Promise<Response> {
    if (this.encrypts !== "both") return json(value, status);
    const { jwk, enc } = asked["credential_response_encryption"] as { jwk: Record<string, unknown>; enc: string };
    const jwe = new CompactEncrypt(utf8(JSON.stringify(value))).setProtectedHeader({ alg: "ECDH-ES", enc, kid: String(jwk["kid"]) });
    return new Response(await jwe.encrypt(await importJWK(jwk as never)), { status, headers: { "Content-Type": "application/jwt" } });
  }

  private push(headers: Headers, form: URLSearchParams): Response {
    if (!headers.get("OAuth-Client-Attestation-PoP")) return json({ error: "invalid_client" }, 401);
    if (decodeJwt(headers.get("DPoP") ?? "")["nonce"] !== "dpop-1") return json({ error: "use_dpop_nonce" }, 400, { "DPoP-Nonce": "dpop-1" });
    const uri = `urn:ietf:params:oauth:request_uri:${token()}`;
    this.pushed.set(uri, form);
    return json({ request_uri: uri, expires_in: 60 }, 201);
  }

  /** The holder signs in on the issuer's page: the query the browser comes back with. */
  approve(url: string, more: Record<string, string> = {}): string {
    const { pathname, searchParams } = new URL(url);
    const form = this.pushed.get(searchParams.get("request_uri") ?? "");
    if (pathname !== "/issuer/authorize" || !form || form.get("client_id") !== searchParams.get("client_id")) throw new Error("not pushed");
    const code = token();
    this.codes.set(code, form);
    return `?${new URLSearchParams({ code, state: form.get("state") ?? "", iss: `${BASE}/issuer`, ...more }).toString()}`;
  }

  private async deferred(headers: Headers, body: Record<string, unknown>): Promise<Response> {
    if (!this.access.has((headers.get("Authorization") ?? "").replace("DPoP ", ""))) return json({ error: "invalid_token" }, 401, { "WWW-Authenticate": 'DPoP error="invalid_token"' });
    const id = String(body["transaction_id"]);
    const put = this.transactions.get(id);
    if (!put) return json({ error: "invalid_transaction_id" }, 400);
    if (put.left-- > 0) return this.sealed(body, { transaction_id: id, interval: this.interval }, 202);
    this.transactions.delete(id);
    return this.sealed(body, await put.answer());
  }

  private async token(headers: Headers, form: URLSearchParams): Promise<Response> {
    this.tokenForms.push(form);
    const proof = decodeJwt(headers.get("DPoP") ?? "");
    if (!headers.get("OAuth-Client-Attestation-PoP")) return json({ error: "invalid_client" }, 401);
    if (proof["nonce"] !== "dpop-1") return json({ error: "use_dpop_nonce" }, 400, { "DPoP-Nonce": "dpop-1" });
    if (form.get("grant_type") === "authorization_code") {
      const asked = this.codes.get(form.get("code") ?? "");
      this.codes.delete(form.get("code") ?? "");
      const challenge = b64u(await sha256(utf8(form.get("code_verifier") ?? "")));
      if (!asked || challenge !== asked.get("code_challenge") || form.get("redirect_uri") !== asked.get("redirect_uri")) return json({ error: "invalid_grant" }, 400);
    } else if (form.get("grant_type") === "refresh_token") {
      if (!this.refresh.has(form.get("refresh_token") ?? "")) return json({ error: "invalid_grant" }, 400);
    } else {
      const offer = this.offers.get(form.get("pre-authorized_code") ?? "");
      if (!offer || offer.spent || (this.txCode !== null && form.get("tx_code") !== this.txCode)) return json({ error: "invalid_grant" }, 400);
    }
    this.access.clear(); // the same code again: the old token is dead
    const [access, refresh] = [token(), token()];
    this.access.add(access);
    this.refresh.add(refresh);
    const configurations = ["resident_card_sd_jwt", "resident_card_mdoc"];
    const details = configurations.map((id) => ({ type: "openid_credential", credential_configuration_id: id, credential_identifiers: [`${id}#2026`] }));
    return json({ access_token: access, token_type: "DPoP", expires_in: 300, refresh_token: refresh, ...(this.identifies ? { authorization_details: details } : {}) });
  }

  private async credential(headers: Headers, said: Record<string, unknown>): Promise<Response> {
    const body = said as { credential_configuration_id?: string; credential_identifier?: string; proofs: { attestation: [string] } };
    const access = (headers.get("Authorization") ?? "").replace("DPoP ", "");
    if (!this.access.has(access)) return json({ error: "invalid_token" }, 401, { "WWW-Authenticate": 'DPoP error="invalid_token"' });
    const attested = decodeJwt(body.proofs.attestation[0]) as { attested_keys: PublicJwk[]; nonce: string };
    if (!this.nonces.delete(attested.nonce)) return json({ error: "invalid_nonce" }, 400);
    if (this.identifies !== (body.credential_identifier !== undefined) || this.identifies === (body.credential_configuration_id !== undefined)) return json({ error: "invalid_credential_request" }, 400);
    const configuration = body.credential_configuration_id ?? (body.credential_identifier ?? "").replace("#2026", "");
    if (this.puttingOff > 0) {
      const transaction = token();
      this.transactions.set(transaction, { left: this.puttingOff - 1, answer: () => this.make(configuration, attested.attested_keys) });
      return this.sealed(said, { transaction_id: transaction, interval: this.interval }, 202);
    }
    return this.sealed(said, await this.make(configuration, attested.attested_keys));
  }

  private async make(configuration: string, keys: PublicJwk[]): Promise<Record<string, unknown>> {
    const open = this.batches.filter((batch) => batch.configuration === configuration && batch.live && !batch.acknowledged);
    for (const batch of open) batch.live = false; // a new batch retires an unacknowledged one
    const id = token();
    this.batches.push({ configuration, keys, acknowledged: false, id, live: true });
    const make = configuration.endsWith("mdoc") ? this.mdoc : this.sdJwt;
    const credentials = await Promise.all(keys.map(async (jwk) => ({ credential: await make.call(this, jwk) })));
    if (this.tamper) for (const item of credentials) item.credential = this.tamper(item.credential);
    return { credentials, notification_id: id };
  }

  private notified(body: { notification_id: string; event: string }): Response {
    const batch = this.batches.find((item) => item.id === body.notification_id);
    if (!batch) return json({ error: "invalid_notification_id" }, 400);
    if (body.event === "credential_accepted") {
      for (const other of this.batches) if (other !== batch && other.configuration === batch.configuration) other.live = false;
      batch.acknowledged = true;
    }
    return new Response(null, { status: 204 });
  }

  async sdJwt(jwk: PublicJwk, claims: Record<string, unknown> = this.claims, vct = VCT): Promise<string> {
    const vc = new SDJwtVcInstance({
      hasher: (data) => sha256(typeof data === "string" ? utf8(data) : new Uint8Array(data as ArrayBuffer)), hashAlg: "sha-256",
      saltGenerator: (length) => b64u(random(length)), signAlg: "ES256", signer: async (data) => b64u(await signBytes(this.ds.key, utf8(data))),
    });
    const status = { status_list: { uri: `${BASE}/issuer/status/1`, idx: this.made++ % 200 } };
    const envelope = { vct, iat: NOW / 1000, exp: NOW / 1000 + 86_400 * 20, cnf: { jwk: { ...jwk } }, status };
    return vc.issue({ ...envelope, ...claims } as never, { _sd: Object.keys(claims) } as never, { header: { x5c: [b64(this.dsDer)] } });
  }

  async mdoc(jwk: PublicJwk): Promise<string> {
    const context = { ...mdocContext, cose: { ...mdocContext.cose, sign1: { ...mdocContext.cose.sign1, sign: ({ toBeSigned }: { toBeSigned: Uint8Array }) => signBytes(this.ds.key, toBeSigned) } } };
    const issuer = new MdocIssuer(DOCTYPE, context).addIssuerNamespace(DOCTYPE, this.claims);
    const signed = await issuer.sign({
      signingKey: CoseKey.fromJwk({ ...this.ds.jwk, d: "AA", alg: "ES256" }), algorithm: SignatureAlgorithm.ES256, digestAlgorithm: "SHA-256" as DigestAlgorithm,
      validityInfo: { signed: new Date(NOW), validFrom: new Date(NOW), validUntil: new Date(NOW + 86_400_000 * 20) },
      deviceKeyInfo: { deviceKey: DeviceKey.fromJwk({ ...jwk }) as DeviceKey }, certificates: [this.dsDer],
    });
    return signed.encodedForOid4Vci;
  }

  async clientId(): Promise<string> {
    return `x509_hash:${b64u(await sha256(this.shopDer))}`;
  }

  async qr(): Promise<string> {
    return `openid4vp://?client_id=${encodeURIComponent(await this.clientId())}&request_uri=${encodeURIComponent(`${BASE}/verifier/requests/1`)}`;
  }

  async request(): Promise<string> {
    const claims = {
      client_id: await this.clientId(), aud: "https://self-issued.me/v2", response_type: "vp_token", response_mode: "direct_post.jwt",
      response_uri: `${BASE}/verifier/responses/1`, nonce: b64u(random(16)), state: "s1", iat: NOW / 1000, exp: NOW / 1000 + 120,
      mapae_purpose: "name_birth_date", dcql_query: query(["name", "birth_date"]),
      client_metadata: { jwks: { keys: [this.answerJwk] }, encrypted_response_enc_values_supported: ["A128GCM", "A256GCM"] }, ...this.requestClaims,
    };
    return signJwt(this.shop.key, { typ: "oauth-authz-req+jwt", x5c: [b64(this.shopDer)] }, claims);
  }

  private async response(form: URLSearchParams): Promise<Response> {
    if (form.get("error")) this.responses.push({ error: form.get("error") });
    else {
      const opened = await compactDecrypt(form.get("response") ?? "", this.answerKey.privateKey);
      this.responses.push({ ...JSON.parse(new TextDecoder().decode(opened.plaintext)), enc: opened.protectedHeader.enc });
    }
    return json({});
  }
}

export function query(names: readonly string[], forms: readonly ("sd_jwt" | "mdoc")[] = ["sd_jwt", "mdoc"]) {
  const sd = { id: "sd_jwt", format: "dc+sd-jwt", meta: { vct_values: [VCT] }, claims: names.map((name) => ({ path: [name] })) };
  const mdoc = { id: "mdoc", format: "mso_mdoc", meta: { doctype_value: DOCTYPE }, claims: names.map((name) => ({ path: [DOCTYPE, name] })) };
  return { credentials: forms.map((form) => (form === "mdoc" ? mdoc : sd)), credential_sets: [{ options: forms.map((form) => [form]) }] };
}

function expectType(headers: Headers, type: string): void {
  if (headers.get("Content-Type") !== type) throw new Error(`expected ${type}`);
}
export const json = (value: unknown, status = 200, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(value), { status, headers: { "Content-Type": "application/json", ...headers } });
const typed = (type: string, value: string): Response => new Response(value, { headers: { "Content-Type": type } });

/** An offer by value. */
export const offering = (offer: Record<string, unknown>): string => `openid-credential-offer://?credential_offer=${encodeURIComponent(JSON.stringify(offer))}`;
export const SIGN_IN_OFFER = {
  credential_issuer: `${BASE}/issuer`, credential_configuration_ids: ["resident_card_sd_jwt", "resident_card_mdoc"], grants: { authorization_code: { issuer_state: "st-1" } },
};
export const OFFER = `openid-credential-offer://?credential_offer_uri=${encodeURIComponent(`${BASE}/issuer/offers/code-1`)}`;
const offerOf = (code: string) => ({
  credential_issuer: `${BASE}/issuer`, credential_configuration_ids: ["resident_card_sd_jwt", "resident_card_mdoc"],
  grants: { "urn:ietf:params:oauth:grant-type:pre-authorized_code": { "pre-authorized_code": code } },
});
const common = {
  cryptographic_binding_methods_supported: ["jwk"],
  proof_types_supported: { attestation: { proof_signing_alg_values_supported: ["ES256"], key_attestations_required: {} } },
};
export const METADATA = {
  credential_issuer: `${BASE}/issuer`, nonce_endpoint: `${BASE}/issuer/nonce`, credential_endpoint: `${BASE}/issuer/credential`,
  deferred_credential_endpoint: `${BASE}/issuer/deferred`, notification_endpoint: `${BASE}/issuer/notification`, batch_credential_issuance: { batch_size: 3 },
  credential_configurations_supported: {
    resident_card_sd_jwt: { ...common, format: "dc+sd-jwt", vct: VCT, scope: "a", credential_signing_alg_values_supported: ["ES256"],
      credential_metadata: { display: [{ name: "주민등록증", locale: "ko" }], claims: [{ path: ["name"], display: [{ name: "이름", locale: "ko" }] }] } },
    resident_card_mdoc: { ...common, format: "mso_mdoc", doctype: DOCTYPE, scope: "b", credential_signing_alg_values_supported: [-7],
      credential_metadata: { claims: [{ path: [DOCTYPE, "name"] }] } },
  },
};
const SERVER = {
  authorization_endpoint: `${BASE}/issuer/authorize`, pushed_authorization_request_endpoint: `${BASE}/issuer/par`, require_pushed_authorization_requests: true,
  issuer: `${BASE}/issuer`, token_endpoint: `${BASE}/issuer/token`, dpop_signing_alg_values_supported: ["ES256"],
  token_endpoint_auth_methods_supported: ["attest_jwt_client_auth"], "pre-authorized_grant_anonymous_access_supported": false,
};
