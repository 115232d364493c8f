/**
 * OpenID4VCI 1.0 messages, spoken by the OWF libraries with our keys.
 * Promises: each token request carries a wallet attestation and a DPoP proof by the client key of that authorization server.
 * Trusts: @openid4vc for the messages, the wallet provider for attestations. Keeps nothing. Refuses nothing of its own: the libraries'
 * errors become Problems with the issuer's own code.
 */
import {
  type CallbackContext,
  clientAuthenticationClientAttestationJwt,
  HashAlgorithm,
  InvalidFetchResponseError,
  type JwtSigner,
  Oauth2Client,
  Oauth2ClientErrorResponseError,
  setGlobalConfig,
} from "@openid4vc/oauth2";
import {
  type CredentialOfferObject,
  type IssuerMetadataResult,
  Openid4vciClient,
  Openid4vciRetrieveCredentialsError,
  Openid4vciSendNotificationError,
} from "@openid4vc/openid4vci";
import { config as zodConfig } from "zod";
import { random, sha256 } from "./bytes.ts";
import type { Phone } from "./device.ts";
import { keepKey, signJwt, thumbprint } from "./keys.ts";
import { type Net, refusal } from "./net.ts";
import { Problem } from "./problem.ts";
import type { KeyRow, PublicJwk, Store } from "./store.ts";

zodConfig({ jitless: true }); // the page's policy forbids compiling code from text
const PRE_AUTHORIZED = "urn:ietf:params:oauth:grant-type:pre-authorized_code";

export interface Tokens {
  readonly access: string;
  readonly refresh: string | null;
}
export interface Answered {
  readonly credentials: readonly string[];
  readonly notification: string | null;
}

/** Everything the wallet says to one issuer. */
export class IssuerLine {
  private dpopNonce: string | undefined;

  private constructor(
    private readonly vci: Openid4vciClient,
    private readonly oauth: Oauth2Client,
    readonly metadata: IssuerMetadataResult,
    private readonly client: KeyRow,
    private readonly phone: Phone,
    private readonly signers: Map<string, KeyRow>,
    private readonly authenticate: CallbackContext["clientAuthentication"],
  ) {}

  static async open(issuer: string, store: Store, net: Net, phone: Phone, base: string): Promise<IssuerLine> {
    setGlobalConfig({ allowInsecureUrls: base.startsWith("http:") });
    const signers = new Map<string, KeyRow>();
    const reader = new Openid4vciClient({ callbacks: callbacks(net, signers, () => undefined) });
    const metadata = await reader.resolveIssuerMetadata(issuer).catch(toProblem);
    const server = metadata.authorizationServers[0];
    if (!server) throw new Problem("bad_issuer", "no authorization server");
    const client = await keepKey(store, `client:${server.issuer}`, `client:${server.issuer}`);
    signers.set(await thumbprint(client.jwk), client);
    const authenticate: CallbackContext["clientAuthentication"] = async (options) => {
      const clientAttestationJwt = await phone.attestation(server.issuer, client.jwk);
      await clientAuthenticationClientAttestationJwt({ clientAttestationJwt, callbacks: plain })(options);
    };
    const plain = callbacks(net, signers, authenticate);
    const vci = new Openid4vciClient({ callbacks: plain });
    const oauth = new Oauth2Client({ callbacks: plain });
    return new IssuerLine(vci, oauth, metadata, client, phone, signers, authenticate);
  }

  static offer(text: string, net: Net, base: string): Promise<CredentialOfferObject> {
    setGlobalConfig({ allowInsecureUrls: base.startsWith("http:") });
    return new Openid4vciClient({ callbacks: callbacks(net, new Map(), () => undefined) })
      .resolveCredentialOffer(text)
      .catch(toProblem);
  }

  get batchSize(): number {
    return Math.min(this.metadata.credentialIssuer.batch_credential_issuance?.batch_size ?? 1, 20);
  }

  get server(): string {
    return this.metadata.authorizationServers[0]?.issuer ?? "";
  }

  async tokenByCode(offer: CredentialOfferObject): Promise<Tokens> {
    if (!offer.grants?.[PRE_AUTHORIZED]) throw new Problem("unsupported", "the offer has no pre-authorized code");
    const answer = await this.vci
      .retrievePreAuthorizedCodeAccessTokenFromOffer({ credentialOffer: offer, issuerMetadata: this.metadata, dpop: this.dpop() })
      .catch(toProblem);
    this.dpopNonce = answer.dpop?.nonce;
    return tokens(answer.accessTokenResponse);
  }

  async tokenByRefresh(refreshToken: string): Promise<Tokens> {
    const server = this.metadata.authorizationServers[0];
    if (!server) throw new Problem("bad_issuer");
    const answer = await this.oauth
      .retrieveRefreshTokenAccessToken({ authorizationServerMetadata: server, refreshToken, dpop: this.dpop() })
      .catch(toProblem);
    this.dpopNonce = answer.dpop?.nonce;
    const fresh = tokens(answer.accessTokenResponse);
    return { ...fresh, refresh: fresh.refresh ?? refreshToken };
  }

  /** One batch: a nonce, a key attestation over all keys, one request. The k-th answer is bound to the k-th key. */
  async credentials(configuration: string, access: string, keys: readonly KeyRow[]): Promise<Answered> {
    const { c_nonce } = await this.vci.requestNonce({ issuerMetadata: this.metadata }).catch(toProblem);
    const attestation = await this.phone.keyAttestation(keys.map((key) => key.jwk), c_nonce);
    const answer = await this.vci
      .retrieveCredentials({
        issuerMetadata: this.metadata,
        credentialConfigurationId: configuration,
        accessToken: access,
        proofs: await this.proofs(configuration, keys, c_nonce, attestation),
        dpop: this.dpop(),
      })
      .catch(toProblem);
    this.dpopNonce = answer.dpop?.nonce ?? this.dpopNonce;
    const { credentials, notification_id } = answer.credentialResponse as {
      credentials?: ({ credential?: unknown } | string)[];
      notification_id?: string;
    };
    if (!credentials) throw new Problem("unsupported", "deferred issuance");
    const raw = credentials.map((item) => (typeof item === "string" ? item : item.credential));
    if (!raw.every((item): item is string => typeof item === "string")) throw new Problem("malformed", "credential");
    return { credentials: raw, notification: notification_id ?? null };
  }

  async notify(access: string, id: string, event: "credential_accepted" | "credential_failure"): Promise<void> {
    await this.vci
      .sendNotification({ issuerMetadata: this.metadata, accessToken: access, notification: { notificationId: id, event }, dpop: this.dpop() })
      .catch(toProblem);
  }

  /** The attestation headers alone, for doors that know a wallet but need no token. */
  async attestationHeaders(): Promise<Record<string, string>> {
    const headers = new Headers();
    const authorizationServerMetadata = this.metadata.authorizationServers[0];
    if (!authorizationServerMetadata) throw new Problem("bad_issuer");
    type Options = Parameters<CallbackContext["clientAuthentication"]>[0];
    await this.authenticate({ headers, authorizationServerMetadata, url: "", method: "GET", body: {} } as unknown as Options);
    return Object.fromEntries(headers);
  }

  private async proofs(configuration: string, keys: readonly KeyRow[], nonce: string, attestation: string) {
    const types = this.metadata.credentialIssuer.credential_configurations_supported[configuration]?.proof_types_supported;
    const first = keys[0];
    if (types && "attestation" in types) return { attestation: [attestation] as [string] };
    if (!first) throw new Problem("wallet_fault", "no keys");
    this.signers.set(await thumbprint(first.jwk), first);
    const proof = await this.vci.createCredentialRequestJwtProof({
      issuerMetadata: this.metadata,
      credentialConfigurationId: configuration,
      signer: { method: "jwk", alg: "ES256", publicJwk: { ...first.jwk } },
      nonce,
      keyAttestationJwt: attestation,
    });
    return { jwt: [proof.jwt] as [string] };
  }

  private dpop() {
    const signer = { method: "jwk" as const, alg: "ES256", publicJwk: { ...this.client.jwk } };
    return this.dpopNonce === undefined ? { signer } : { signer, nonce: this.dpopNonce };
  }
}

function tokens(answer: { access_token: string; token_type: string; refresh_token?: string | undefined }): Tokens {
  if (answer.token_type.toLowerCase() !== "dpop") throw new Problem("unsupported", "token is not bound to our key");
  return { access: answer.access_token, refresh: answer.refresh_token ?? null };
}

const refuse = (): never => {
  throw new Problem("unsupported", "not used by this wallet");
};

function callbacks(net: Net, signers: Map<string, KeyRow>, authenticate: CallbackContext["clientAuthentication"]): CallbackContext {
  return {
    fetch: net.fetch as NonNullable<CallbackContext["fetch"]>,
    hash: (data, alg) => (alg === HashAlgorithm.Sha256 ? sha256(data) : refuse()),
    generateRandom: random,
    clientAuthentication: authenticate,
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

/** The libraries' errors, as ours. The code is the issuer's whenever it gave one. */
async function toProblem(thrown: unknown): Promise<never> {
  for (let cause: unknown = thrown, depth = 0; cause && depth < 5; cause = (cause as Error).cause, depth++) {
    if (cause instanceof Problem) throw cause;
  }
  if (thrown instanceof Oauth2ClientErrorResponseError) {
    const { error, error_description } = thrown.errorResponse;
    throw new Problem(error, error_description ?? "");
  }
  if (thrown instanceof Openid4vciRetrieveCredentialsError || thrown instanceof Openid4vciSendNotificationError) {
    const response = thrown.response.response as unknown as Response;
    const scheme = response.headers.get("WWW-Authenticate") ?? "";
    const named = /error="([a-z_]+)"/.exec(scheme)?.[1];
    const problem = await refusal(response);
    throw named ? new Problem(named, problem.detail, problem.facts) : problem;
  }
  if (thrown instanceof InvalidFetchResponseError) throw await refusal(thrown.response as unknown as Response);
  throw new Problem("bad_issuer", thrown instanceof Error ? thrown.message : String(thrown));
}
