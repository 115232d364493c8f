/**
 * OpenID4VCI 1.0 messages; their OAuth by the OWF library, with our keys.
 * Promises: each PAR and token request carries a wallet attestation and a DPoP proof by the client key of that authorization server,
 * where the server knows them; PKCE is always S256. Trusts: @openid4vc/oauth2 for DPoP, PAR and token requests, the wallet provider for attestations.
 * Keeps nothing. Refuses: tokens not bound to our key where they should be. The library's errors become Problems with the issuer's own
 * code.
 */
import {
  type AuthorizationServerMetadata,
  type CallbackContext,
  HashAlgorithm,
  InvalidFetchResponseError,
  type JwtSigner,
  Oauth2Client,
  Oauth2ClientErrorResponseError,
  setGlobalConfig,
} from "@openid4vc/oauth2";
import { decodeJwt } from "jose";
import { config as zodConfig } from "zod";
import { b64u, type Bytes, random, sha256, token } from "./bytes.ts";
import type { Phone } from "./device.ts";
import { Envelope } from "./envelope.ts";
import { keepKey, signJwt, thumbprint } from "./keys.ts";
import { type Configuration, configurationOf } from "./look.ts";
import { type IssuerMetadata, issuerMetadata, serverMetadata } from "./metadata.ts";
import { type Net, refusal } from "./net.ts";
import { type CredentialOffer, PRE_AUTHORIZED } from "./offer.ts";
import { Problem } from "./problem.ts";
import type { Entered } from "./signers.ts";
import type { KeyRow, PublicJwk, Store } from "./store.ts";
import type { Signer } from "./x509.ts";

zodConfig({ jitless: true }); // the page's policy forbids compiling code from text

export interface Tokens {
  readonly access: string;
  readonly refresh: string | null;
  /** credential_identifiers by configuration (section 6.2); empty where the issuer gave none. */
  readonly identifiers: Readonly<Record<string, readonly string[]>>;
}
export type Answered =
  | { readonly credentials: readonly string[]; readonly notification: string | null }
  | { readonly transaction: string; readonly interval: number };

/** A sign-in under way: what has to be the same when the browser comes back. */
export interface SignIn {
  readonly state: string;
  readonly verifier: string;
  readonly redirectUri: string;
  readonly server: string;
  readonly url: string;
}
export type Grant = "code" | "pre";

/** What speaking to an issuer needs of the wallet. `trusted` null: the issuer is on no list. */
export interface LineOptions {
  readonly store: Store;
  readonly net: Net;
  readonly phone: Phone;
  readonly base: string;
  readonly now: () => number;
  readonly trusted: readonly Bytes[] | null;
  /** The signers it entered in the trust log; null: it enters none. */
  readonly entered: Entered;
}

/** The newest DPoP nonce of each server (RFC 9449 section 8.2): the next line to it need not be refused once to learn it. */
const nonces = new Map<string, string>();

/** Everything the wallet says to one issuer, through one of its authorization servers. */
export class IssuerLine {
  private constructor(
    private readonly options: LineOptions,
    readonly issuer: IssuerMetadata,
    private readonly as: AuthorizationServerMetadata,
    /** Whose certificate signed the metadata, where it is signed. */
    readonly signer: Signer | null,
    private readonly client: KeyRow,
    private readonly signers: Map<string, KeyRow>,
  ) {}

  /** `server`: the authorization server a grant names (section 4.1.1). */
  static async open(issuer: string, options: LineOptions, server?: string): Promise<IssuerLine> {
    const { store, net, base } = options;
    setGlobalConfig({ allowInsecureUrls: base.startsWith("http:") });
    const signers = new Map<string, KeyRow>();
    const { metadata, signer } = await issuerMetadata(issuer, net, options.trusted, options.entered, options.now());
    const as = await serverMetadata(metadata, net, server);
    const methods = as.code_challenge_methods_supported;
    if (methods && !methods.includes("S256")) throw new Problem("unsupported", "PKCE without S256");
    const client = await keepKey(store, `client:${as.issuer}`, `client:${as.issuer}`);
    signers.set(await thumbprint(client.jwk), client);
    return new IssuerLine(options, metadata, { ...as, code_challenge_methods_supported: ["S256"] }, signer, client, signers);
  }

  private get dpopNonce(): string | undefined {
    return nonces.get(this.as.issuer);
  }

  private set dpopNonce(nonce: string | undefined) {
    if (nonce !== undefined) nonces.set(this.as.issuer, nonce);
  }

  get batchSize(): number {
    const size = this.issuer.batch_credential_issuance?.batch_size;
    return typeof size === "number" && size >= 1 ? Math.min(Math.floor(size), 20) : 1;
  }

  get server(): string {
    return this.as.issuer;
  }

  get signInHost(): string {
    return this.as.authorization_endpoint && URL.canParse(this.as.authorization_endpoint) ? new URL(this.as.authorization_endpoint).host : "";
  }

  /** The grant an offer is taken up by: the one that needs nothing more of the holder, if there is a choice (section 4.1.1). */
  grantOf(offer: CredentialOffer): Grant {
    if (offer.grants[PRE_AUTHORIZED]) return "pre";
    if (offer.grants.authorization_code || this.as.authorization_endpoint) return "code";
    throw new Problem("unsupported", "no grant of ours");
  }

  /** Pushes the authorization request (RFC 9126); the browser goes to the address in the answer. */
  async signIn(offer: CredentialOffer, what: readonly Configuration[], redirectUri: string): Promise<SignIn> {
    const { authorization_servers: servers, credential_issuer: issuer } = this.issuer;
    const located = servers ? { locations: [issuer] } : {};
    const unscoped = what.filter(({ scope }) => scope === null).map(({ id }) => ({ type: "openid_credential", credential_configuration_id: id, ...located }));
    const scope = [...new Set(what.flatMap((one) => one.scope ?? []))].join(" ");
    const state = b64u(random(32));
    const verifier = b64u(random(32));
    const issuerState = offer.grants.authorization_code?.issuer_state;
    const answer = await this.oauth()
      .createAuthorizationRequestUrl({
        authorizationServerMetadata: this.as,
        clientId: await this.clientId(),
        redirectUri,
        state,
        pkceCodeVerifier: verifier,
        ...(scope ? { scope } : {}),
        ...(servers ? { resource: issuer } : {}), // section 5.1.2
        additionalRequestPayload: {
          ...(issuerState === undefined ? {} : { issuer_state: issuerState }),
          ...(unscoped.length > 0 ? { authorization_details: JSON.stringify(unscoped) } : {}),
        },
        ...this.bound(),
      })
      .catch(toProblem);
    this.dpopNonce = answer.dpop?.nonce ?? this.dpopNonce;
    if (!this.options.net.may(answer.authorizationRequestUrl)) throw new Problem("insecure_address", "authorization endpoint");
    return { state, verifier, redirectUri, server: this.server, url: answer.authorizationRequestUrl };
  }

  async tokenByOffer(offer: CredentialOffer, txCode: string | null): Promise<Tokens> {
    const code = offer.grants[PRE_AUTHORIZED]?.["pre-authorized_code"];
    if (!code) throw new Problem("unsupported", "the offer has no pre-authorized code");
    const answer = await this.oauth()
      .retrievePreAuthorizedCodeAccessToken({
        authorizationServerMetadata: this.as,
        preAuthorizedCode: code,
        ...(txCode === null ? {} : { txCode }),
        ...this.bound(),
      })
      .catch(toProblem);
    return this.tokens(answer);
  }

  async tokenBySignIn({ verifier, redirectUri }: SignIn, code: string): Promise<Tokens> {
    const answer = await this.oauth()
      .retrieveAuthorizationCodeAccessToken({
        authorizationServerMetadata: this.as,
        authorizationCode: code,
        pkceCodeVerifier: verifier,
        redirectUri,
        ...this.bound(),
      })
      .catch(toProblem);
    return this.tokens(answer);
  }

  async tokenByRefresh(refreshToken: string): Promise<Tokens> {
    const answer = await this.oauth()
      .retrieveRefreshTokenAccessToken({ authorizationServerMetadata: this.as, refreshToken, ...this.bound() })
      .catch(toProblem);
    const fresh = this.tokens(answer);
    return { ...fresh, refresh: fresh.refresh ?? refreshToken };
  }

  /** One batch: a nonce, proof of all keys, one request. The k-th answer is bound to the k-th key. */
  async credentials(configuration: string, identifier: string | null, access: string, keys: readonly KeyRow[]): Promise<Answered> {
    // Section 8.2: by identifier if and only if the token response gave one.
    const what = identifier === null ? { credential_configuration_id: configuration } : { credential_identifier: identifier };
    const proofs = await this.proofs(configuration, keys, await this.nonce());
    return this.exchange(this.issuer.credential_endpoint, { ...what, proofs }, access);
  }

  /** Asks for what the issuer put off (section 9). */
  async deferred(transaction: string, access: string): Promise<Answered> {
    const url = this.issuer.deferred_credential_endpoint;
    if (!url) throw new Problem("bad_issuer", "no deferred credential endpoint");
    const answer = await this.exchange(url, { transaction_id: transaction }, access);
    if ("transaction" in answer && answer.transaction !== transaction) throw new Problem("bad_issuer", "another transaction");
    return answer;
  }

  async notify(access: string, id: string, event: "credential_accepted" | "credential_failure" | "credential_deleted"): Promise<void> {
    const url = this.issuer.notification_endpoint;
    if (!url) return;
    await this.ask(url, { type: "application/json", body: JSON.stringify({ notification_id: id, event }) }, access);
  }

  /** The attestation headers alone, for doors that know a wallet but need no token. */
  async attestationHeaders(): Promise<Record<string, string>> {
    const headers = new Headers();
    await this.attest(headers);
    return Object.fromEntries(headers);
  }

  /** What our tokens here are bound to (RFC 9449 section 6). */
  clientThumbprint(): Promise<string> {
    return thumbprint(this.client.jwk);
  }

  private async exchange(url: string, body: Readonly<Record<string, unknown>>, access: string): Promise<Answered> {
    const envelope = await Envelope.for(this.issuer);
    const response = await this.ask(url, await envelope.seal(body), access);
    const { credentials, notification_id: notification, transaction_id: transaction, interval } = await envelope.open(response);
    if (response.status === 202) {
      if (typeof transaction !== "string" || transaction === "") throw new Problem("malformed", "no transaction_id");
      return { transaction, interval: typeof interval === "number" && interval > 0 ? interval : 60 };
    }
    if (!Array.isArray(credentials)) throw new Problem("malformed", "credentials");
    const raw = credentials.map((item) => (item as { credential?: unknown } | null)?.credential);
    if (!raw.every((item): item is string => typeof item === "string")) throw new Problem("malformed", "credential");
    return { credentials: raw, notification: typeof notification === "string" ? notification : null };
  }

  /** A request with the access token, tried again once with the nonce the server asks for (RFC 9449 section 8). */
  private async ask(url: string, { type, body }: { type: string; body: string }, access: string): Promise<Response> {
    const requestOptions = { method: "POST" as const, headers: { "Content-Type": type }, body };
    const answer = await this.oauth()
      .resourceRequest({ url, requestOptions, accessToken: access, callbacks: callbacks(this.options.net, this.signers), ...this.bound() })
      .catch(toProblem);
    this.dpopNonce = answer.dpop?.nonce ?? this.dpopNonce;
    const response = answer.response as unknown as Response;
    if (answer.ok) return response;
    const named = /error="([a-z_]+)"/.exec(response.headers.get("WWW-Authenticate") ?? "")?.[1];
    const problem = await refusal(response);
    throw named ? new Problem(named, problem.detail, problem.facts) : problem;
  }

  /** Section 7; with it may come the nonce for the next DPoP proof. None where the issuer has no such endpoint. */
  private async nonce(): Promise<string | null> {
    const url = this.issuer.nonce_endpoint;
    if (!url) return null;
    const response = await this.options.net.fetch(url, { method: "POST", headers: { Accept: "application/json" } });
    if (!response.ok) throw await refusal(response);
    this.dpopNonce = response.headers.get("DPoP-Nonce") ?? this.dpopNonce;
    const { c_nonce: nonce } = (await response.json().catch(() => ({}))) as { c_nonce?: unknown };
    if (typeof nonce !== "string") throw new Problem("malformed", "no c_nonce");
    return nonce;
  }

  /** The proof type the issuer takes: one attestation over all keys, one key that brings the attestation, or each key for itself. */
  private async proofs(configuration: string, keys: readonly KeyRow[], nonce: string | null): Promise<Record<string, string[]>> {
    const types = this.issuer.credential_configurations_supported[configuration]?.proof_types_supported;
    const attested = (): Promise<string> => this.options.phone.keyAttestation(keys.map((key) => key.jwk), nonce);
    if (types?.["attestation"]) return { attestation: [await attested()] };
    const plain = types?.["jwt"];
    if (!plain?.proof_signing_alg_values_supported?.includes("ES256")) throw new Problem("unsupported", "no key proof of ours");
    const [first] = keys;
    if (!first) throw new Problem("wallet_fault", "no keys");
    if (plain.key_attestations_required) return { jwt: [await this.keyProof(first, nonce, await attested())] };
    return { jwt: await Promise.all(keys.map((key) => this.keyProof(key, nonce))) };
  }

  /** Appendix F.1. `iss` is left out: it must be where the token came without a client (and may be elsewhere). */
  private keyProof(key: KeyRow, nonce: string | null, attestation?: string): Promise<string> {
    const header = { typ: "openid4vci-proof+jwt", jwk: key.jwk, ...(attestation ? { key_attestation: attestation } : {}) };
    const claims = { aud: this.issuer.credential_issuer, iat: this.seconds(), ...(nonce === null ? {} : { nonce }) };
    return signJwt(key.key, header, claims);
  }

  private get attests(): boolean {
    return this.as.token_endpoint_auth_methods_supported?.includes("attest_jwt_client_auth") ?? false;
  }

  /** The `sub` of our attestations, which every wallet of this kind shares (HAIP 1.0 section 4.4.1). */
  private async clientId(): Promise<string> {
    if (!this.attests) return new URL("/wallet/", this.options.base).href;
    return subjectOf(await this.options.phone.attestation(this.server, this.client.jwk));
  }

  /** Attestation-based client authentication, draft 07 sections 5.2, 6.1 and 8. */
  private async attest(headers: Headers): Promise<void> {
    const { phone, net } = this.options;
    const attestation = await phone.attestation(this.server, this.client.jwk);
    const url = this.as["challenge_endpoint"];
    const asked = typeof url === "string" ? await net.json<{ attestation_challenge?: string }>("POST", url) : {};
    const challenge = asked.attestation_challenge ? { challenge: asked.attestation_challenge } : {};
    const claims = { iss: subjectOf(attestation), aud: this.server, jti: token(), iat: this.seconds(), ...challenge };
    headers.set("OAuth-Client-Attestation", attestation);
    headers.set("OAuth-Client-Attestation-PoP", await signJwt(this.client.key, { typ: "oauth-client-attestation-pop+jwt" }, claims));
  }

  private oauth(): Oauth2Client {
    const authenticate: CallbackContext["clientAuthentication"] = async ({ headers, body }) => {
      if (this.attests) return this.attest(headers);
      // A public client says who it is, except where it may stay nameless (section 6.1).
      if (!("pre-authorized_code" in body)) Object.assign(body, { client_id: await this.clientId() });
    };
    return new Oauth2Client({ callbacks: { ...callbacks(this.options.net, this.signers), clientAuthentication: authenticate } });
  }

  private tokens(answer: { accessTokenResponse: unknown; dpop?: { nonce?: string | undefined } | undefined }): Tokens {
    this.dpopNonce = answer.dpop?.nonce ?? this.dpopNonce;
    const said = answer.accessTokenResponse as {
      access_token: string;
      token_type: string;
      refresh_token?: string;
      authorization_details?: { type?: unknown; credential_configuration_id?: unknown; credential_identifiers?: unknown }[];
    };
    const type = this.bindsTokens ? "dpop" : "bearer";
    if (said.token_type.toLowerCase() !== type) throw new Problem("unsupported", "token is not bound to our key");
    const details = (said.authorization_details ?? []).filter((one) => one.type === "openid_credential" && Array.isArray(one.credential_identifiers));
    const identifiers = Object.fromEntries(details.map((one) => [String(one.credential_configuration_id), one.credential_identifiers as string[]]));
    return { access: said.access_token, refresh: said.refresh_token ?? null, identifiers };
  }

  /** HAIP 1.0 section 4: DPoP. An issuer on no list that does not know it is asked without, as OpenID4VCI by itself allows. */
  private get bindsTokens(): boolean {
    return this.options.trusted !== null || (this.as.dpop_signing_alg_values_supported ?? []).length > 0;
  }

  private bound() {
    if (!this.bindsTokens) return {};
    const signer = { method: "jwk" as const, alg: "ES256", publicJwk: { ...this.client.jwk } };
    return { dpop: this.dpopNonce === undefined ? { signer } : { signer, nonce: this.dpopNonce } };
  }

  private seconds(): number {
    return Math.floor(this.options.now() / 1000);
  }

  configuration(id: string): Configuration {
    return configurationOf(this.issuer, id);
  }
}

/** The `sub` of our own attestation: we made the call that brought it, so it is read, not checked. */
function subjectOf(attestation: string): string {
  const { sub } = decodeJwt(attestation);
  if (typeof sub !== "string") throw new Problem("wallet_fault", "attestation without sub");
  return sub;
}

const refuse = (): never => {
  throw new Problem("unsupported", "not used by this wallet");
};

function callbacks(net: Net, signers: Map<string, KeyRow>): CallbackContext {
  return {
    fetch: net.fetch as NonNullable<CallbackContext["fetch"]>,
    hash: (data, alg) => (alg === HashAlgorithm.Sha256 ? sha256(data) : refuse()),
    generateRandom: random,
    clientAuthentication: () => undefined,
    signJwt: async (signer: JwtSigner, { header, payload }) => {
      if (signer.method !== "jwk") return refuse();
      const jwk = signer.publicJwk as unknown as PublicJwk;
      const key = signers.get(await thumbprint({ kty: "EC", crv: "P-256", x: jwk.x, y: jwk.y }));
      if (!key) return refuse();
      return { jwt: await signJwt(key.key, header, payload), signerJwk: { ...key.jwk } };
    },
    verifyJwt: refuse,
    decryptJwe: refuse,
    encryptJwe: refuse,
  };
}

/** The library's errors, as ours. The code is the issuer's whenever it gave one. */
async function toProblem(thrown: unknown): Promise<never> {
  for (let cause: unknown = thrown, depth = 0; cause && depth < 5; cause = (cause as Error).cause, depth++) {
    if (cause instanceof Problem) throw cause;
  }
  if (thrown instanceof Oauth2ClientErrorResponseError) {
    const { error, error_description } = thrown.errorResponse;
    throw new Problem(error, error_description ?? "");
  }
  if (thrown instanceof InvalidFetchResponseError) throw await refusal(thrown.response as unknown as Response);
  throw new Problem("bad_issuer", thrown instanceof Error ? thrown.message : String(thrown));
}
