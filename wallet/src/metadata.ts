/**
 * What an issuer and its authorization servers publish about themselves (OpenID4VCI 1.0 section 12.2, RFC 8414).
 * Promises: the document is about the very address it was asked for; a signed one was signed by the listed issuer's own authority, or,
 * from a stranger, by a chain that holds together (whose name is then shown). Trusts: TLS for who answers. Keeps nothing.
 * Refuses: a document about somebody else, a listed issuer's metadata signed by another, members of the wrong kind.
 */
import type { AuthorizationServerMetadata } from "@openid4vc/oauth2";
import type { Bytes } from "./bytes.ts";
import { strictJson } from "./json.ts";
import { openByChain, openByStranger } from "./jws.ts";
import { type Net, refusal } from "./net.ts";
import { Problem } from "./problem.ts";
import { type Entered, standing } from "./signers.ts";
import { type Signer, signerOf } from "./x509.ts";

interface ProofType {
  readonly proof_signing_alg_values_supported?: readonly unknown[];
  readonly key_attestations_required?: unknown;
}
export interface ConfigurationMetadata {
  readonly format?: unknown;
  readonly vct?: unknown;
  readonly doctype?: unknown;
  readonly scope?: unknown;
  readonly proof_types_supported?: Readonly<Record<string, ProofType>>;
  readonly credential_metadata?: unknown;
}
export interface IssuerMetadata {
  readonly credential_issuer: string;
  readonly authorization_servers?: readonly string[];
  readonly credential_endpoint: string;
  readonly nonce_endpoint?: string;
  readonly deferred_credential_endpoint?: string;
  readonly notification_endpoint?: string;
  readonly batch_credential_issuance?: { readonly batch_size?: unknown };
  readonly credential_configurations_supported: Readonly<Record<string, ConfigurationMetadata>>;
  readonly display?: unknown;
  readonly [other: string]: unknown;
}

const SIGNED = "openidvci-issuer-metadata+jwt";
const bad = (detail: string): never => {
  throw new Problem("bad_issuer", detail);
};

/** The name goes between the host and the path (section 12.2.2, RFC 8414 section 3.1). */
function wellKnown(name: string, identifier: string): string {
  const { origin, pathname } = new URL(identifier);
  return `${origin}/.well-known/${name}${pathname === "/" ? "" : pathname}`;
}

/** `trusted` null: the issuer is on no list. */
export async function issuerMetadata(
  issuer: string,
  net: Net,
  trusted: readonly Bytes[] | null,
  signers: Entered,
  now: number,
): Promise<{ metadata: IssuerMetadata; signer: Signer | null }> {
  const response = await net.fetch(wellKnown("openid-credential-issuer", issuer), { headers: { Accept: "application/jwt, application/json;q=0.9" } });
  if (!response.ok) throw await refusal(response);
  const type = (response.headers.get("content-type") ?? "").split(";")[0]?.trim();
  const raw = await response.text();
  if (type !== "application/jwt") return { metadata: checked(strictJson(raw), issuer), signer: null };
  const opened = await (trusted ? openByChain(raw, SIGNED, trusted, "document", now) : openByStranger(raw, SIGNED, now));
  if (signers) await standing(signers, opened.leaf.der, "document_signer", now);
  if (opened.claims["sub"] !== issuer) bad("signed metadata of another issuer");
  if (typeof opened.claims["iat"] !== "number") bad("signed metadata without iat");
  return { metadata: checked(opened.claims, issuer), signer: signerOf(opened.chain) };
}

function checked(said: Record<string, unknown>, issuer: string): IssuerMetadata {
  if (said["credential_issuer"] !== issuer) bad("metadata of another issuer"); // section 12.2.4: compared as they are
  const endpoints = ["nonce_endpoint", "deferred_credential_endpoint", "notification_endpoint"].map((name) => said[name]);
  if (typeof said["credential_endpoint"] !== "string" || !endpoints.every((one) => one === undefined || typeof one === "string")) bad("endpoints");
  const servers = said["authorization_servers"];
  if (servers !== undefined && !(Array.isArray(servers) && servers.length > 0 && servers.every((one) => typeof one === "string"))) bad("authorization_servers");
  const all = said["credential_configurations_supported"];
  const object = (value: unknown): boolean => typeof value === "object" && value !== null && !Array.isArray(value);
  if (!object(all) || !Object.values(all as object).every(object)) bad("credential_configurations_supported");
  return said as unknown as IssuerMetadata;
}

/** Where the issuer names none, it is its own (section 12.2.4). `wanted`: the one an offer names, which has to be one of them. */
export async function serverMetadata(metadata: IssuerMetadata, net: Net, wanted?: string): Promise<AuthorizationServerMetadata> {
  const { credential_issuer: issuer, authorization_servers: named } = metadata;
  const servers = named ?? [issuer];
  const server = wanted === undefined ? servers[0] : servers.find((one) => one === wanted);
  if (server === undefined || !URL.canParse(server)) return bad("no such authorization server");
  for (const name of ["oauth-authorization-server", "openid-configuration"]) {
    const response = await net.fetch(wellKnown(name, server), { headers: { Accept: "application/json" } });
    if (response.status === 404) continue;
    if (!response.ok) throw await refusal(response);
    const said = strictJson(await response.text());
    if (said["issuer"] !== server) bad("metadata of another server"); // RFC 8414 section 3.3
    const endpoints = ["authorization_endpoint", "pushed_authorization_request_endpoint"].map((one) => said[one]);
    if (typeof said["token_endpoint"] !== "string" || !endpoints.every((one) => one === undefined || typeof one === "string")) bad("endpoints");
    return said as unknown as AuthorizationServerMetadata;
  }
  return bad("no authorization server metadata");
}
