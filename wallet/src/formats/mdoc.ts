/**
 * ISO mdoc: check one that arrived, show parts of one.
 * Promises: a checked mdoc is signed by a trusted issuer (or, asked for, by a stranger whose chain holds together), of the type asked
 * for, bound to our key and in date; a presentation repeats the issuer's bytes exactly and holds the asked elements and no others. Trusts: @owf/mdoc for the format.
 * Keeps nothing. Refuses: other types, other keys, untrusted chains.
 */
import {
  CoseKey,
  cborDecode,
  cborEncode,
  DataItem,
  DateOnly,
  Holder,
  IssuerSigned,
  type MdocContext,
  SessionTranscript,
} from "@owf/mdoc";
import { b64u, type Bytes, join, random, sha256, unb64u } from "../bytes.ts";
import { encode } from "../cbor.ts";
import { signBytes, thumbprint } from "../keys.ts";
import { Problem } from "../problem.ts";
import type { KeyRow, PublicJwk } from "../store.ts";
import { checkChain, checkStrangersChain, nameField, parseCertificate, publicKey, readable, signerOf } from "../x509.ts";
import type { Held } from "./held.ts";
import { statusOf } from "./sd_jwt.ts";

const none = (): never => {
  throw new Problem("unsupported", "mdoc MAC");
};

/** The cryptography @owf/mdoc asks its host for. */
export const mdocContext: MdocContext = {
  crypto: {
    random,
    digest: ({ digestAlgorithm, bytes }) => {
      if (digestAlgorithm !== "SHA-256") throw new Problem("unsupported", "digest algorithm");
      return sha256(bytes);
    },
    calculateEphemeralMacKey: none,
  },
  cose: {
    sign1: {
      sign: none,
      verify: async ({ key, sign1 }) => {
        const { x, y } = key.jwk as { x: string; y: string };
        const jwk: JsonWebKey = { kty: "EC", crv: "P-256", x, y };
        const spec = { name: "ECDSA", namedCurve: "P-256" };
        const imported = await crypto.subtle.importKey("jwk", jwk, spec, false, ["verify"]);
        const hash = { name: "ECDSA", hash: "SHA-256" };
        return crypto.subtle.verify(hash, imported, sign1.signature as Bytes, sign1.toBeSigned as Bytes);
      },
    },
    mac0: { sign: none, verify: none },
  },
  x509: {
    getIssuerNameField: ({ certificate, field }) => nameField(parseCertificate(certificate as Bytes).issuer, field),
    getPublicKey: async ({ certificate }) => {
      const jwk = await crypto.subtle.exportKey("jwk", await publicKey(parseCertificate(certificate as Bytes)));
      return CoseKey.fromJwk({ kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y, alg: "ES256" });
    },
    verifyCertificateChain: async ({ trustedCertificates, x5chain, now }) => {
      await checkChain(x5chain as Bytes[], trustedCertificates as Bytes[], "document", now ?? new Date());
    },
    getCertificateData: ({ certificate }) => {
      const { notBefore, notAfter, issuer, subject } = parseCertificate(certificate as Bytes);
      return { issuerName: readable(issuer), subjectName: readable(subject), serialNumber: "", thumbprint: "", notBefore, notAfter, pem: "" };
    },
  },
};

/** The same where the issuer is on no list: the chain holds together, and no more. */
const amongStrangers: MdocContext = {
  ...mdocContext,
  x509: {
    ...mdocContext.x509,
    verifyCertificateChain: async ({ x5chain, now }) => {
      await checkStrangersChain(x5chain as Bytes[], now ?? new Date());
    },
  },
};

type Parts = Map<string, unknown>;

/** 1 issuer's chain, signature and digests  2 type  3 our key  4 in date. `trusted` null: the issuer is a stranger. */
export async function checkMdoc(
  raw: string,
  doctype: string,
  key: PublicJwk,
  trusted: readonly Bytes[] | null,
  now: number,
): Promise<Held> {
  let signed: IssuerSigned;
  try {
    mustBePlainEs256(raw);
    signed = IssuerSigned.decode(unb64u(raw));
    const trustedCertificates = trusted ? [...trusted] : [signed.issuerAuth.certificate]; // the library wants one; a stranger's is not looked at
    await Holder.verifyIssuerSigned(
      { issuerSigned: signed, trustedCertificates, now: new Date(now), skewSeconds: 60 },
      trusted ? mdocContext : amongStrangers,
    );
  } catch (cause) {
    if (cause instanceof Problem) throw cause;
    throw new Problem("bad_signature", cause instanceof Error ? cause.message : "");
  }
  const mso = signed.issuerAuth.mobileSecurityObject;
  if (mso.docType !== doctype) throw new Problem("not_what_was_asked", "another doctype");
  const { x, y } = mso.deviceKeyInfo.deviceKey;
  const bound: PublicJwk = { kty: "EC", crv: "P-256", x: b64u(x ?? new Uint8Array()), y: b64u(y ?? new Uint8Array()) };
  if ((await thumbprint(bound)) !== (await thumbprint(key))) throw new Problem("bad_holder_proof", "bound to another key");
  for (const items of signed.issuerNamespaces.issuerNamespaces.values()) {
    if (new Set(items.map((item) => item.elementIdentifier)).size !== items.length) {
      throw new Problem("malformed", "an element appears twice"); // the last would win, and hide the first
    }
  }
  const spaces = Object.fromEntries(
    [...signed.issuerNamespaces.issuerNamespaces].map(([space, items]) => [
      space,
      Object.fromEntries(items.map((item) => [item.elementIdentifier, plain(item.elementValue)])),
    ]),
  );
  return {
    claims: Object.assign({}, ...Object.values(spaces).toReversed()) as Record<string, unknown>, // of two alike, the first namespace's
    spaces,
    signer: signerOf(signed.issuerAuth.certificateChain as Bytes[]),
    leaf: signed.issuerAuth.certificate as Bytes,
    signed: Math.floor(mso.validityInfo.signed.getTime() / 1000),
    validUntil: Math.floor(mso.validityInfo.validUntil.getTime() / 1000),
    ...statusOf(plain(rawMso(raw).get("status"))),
  };
}

/**
 * The library verifies with the key's own algorithm, whatever the header says, and looks at no `crit`. RFC 9052 3.1: the algorithm is
 * protected; an extension that must be understood is not.
 */
function mustBePlainEs256(raw: string): void {
  const [sealed, outside] = (cborDecode(unb64u(raw)) as Parts).get("issuerAuth") as [Bytes, Map<number, unknown>];
  const inside = cborDecode(sealed) as Map<number, unknown>;
  if (inside.get(1) !== -7 || inside.has(2) || outside.has(1) || outside.has(2)) throw new Problem("unsupported", "only ES256 without extensions");
}

/** The status map is not yet in the first edition's structure, so it is read from the signed bytes themselves. */
function rawMso(raw: string): Parts {
  const auth = (cborDecode(unb64u(raw)) as Parts).get("issuerAuth") as unknown[];
  const payload = cborDecode(auth[2] as Bytes) as DataItem<Parts> | Parts;
  return payload instanceof Map ? payload : payload.data;
}

/** Dates become YYYY-MM-DD; pictures become base64, as in the other format, so that records stay JSON. */
function plain(value: unknown): unknown {
  if (value instanceof DateOnly) return value.toISOString().slice(0, 10);
  if (value instanceof Date) return value.toISOString().slice(0, 10);
  if (value instanceof Uint8Array) return b64u(value).replaceAll("-", "+").replaceAll("_", "/");
  if (value instanceof DataItem) return plain(value.data);
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map) return Object.fromEntries([...value].map(([name, inner]) => [String(name), plain(inner)]));
  return value;
}

export interface Session {
  readonly clientId: string;
  readonly nonce: string;
  readonly responseUri: string;
  /** SHA-256 thumbprint of the key the response is encrypted to, or null when it is not. */
  readonly encryptionThumbprint: Bytes | null;
}

/** OpenID4VP 1.0 appendix B.2.6.1. */
export function transcript(session: Session): Promise<SessionTranscript> {
  const { clientId, nonce, responseUri, encryptionThumbprint } = session;
  const thumb = encryptionThumbprint ? { jwkThumbprint: encryptionThumbprint } : {};
  return SessionTranscript.forOid4Vp({ clientId, nonce, responseUri, ...thumb }, mdocContext);
}

/** What an answer by code is bound to. */
export interface CodeSession {
  readonly audience: string;
  readonly nonce: Bytes;
  /** When the code was made, in seconds. */
  readonly made: number;
}

/** The session of a code: no device engagement and no reader key, a handover of our own (docs/checking.md). */
async function codeTranscript({ audience, nonce, made }: CodeSession): Promise<unknown> {
  return [null, null, ["MapaeQrHandover", await sha256(encode([audience, nonce, made]))]];
}

/** A DeviceResponse with one document: the asked elements, byte for byte, and our signature over the session. */
export async function presentMdoc(
  raw: string,
  doctype: string,
  asked: ReadonlyMap<string, readonly string[]>,
  key: KeyRow,
  session: Session | CodeSession,
): Promise<string> {
  const signed = cborDecode(unb64u(raw)) as Parts;
  const spaces = signed.get("nameSpaces") as Map<string, DataItem<Parts>[]>;
  const shown = new Map<string, DataItem<Parts>[]>();
  for (const [space, names] of asked) {
    const items = (spaces.get(space) ?? []).filter((item) => names.includes(String(item.data.get("elementIdentifier"))));
    if (items.length !== names.length) throw new Problem("not_held", "an asked element is missing");
    shown.set(space, items);
  }
  const noDeviceItems = DataItem.fromData(new Map());
  const script = "made" in session ? await codeTranscript(session) : cborDecode((await transcript(session)).encode());
  const authentication = DataItem.fromData(["DeviceAuthentication", script, doctype, noDeviceItems]);
  const protectedHeader = cborEncode(new Map([[1, -7]]));
  const toSign = cborEncode(["Signature1", protectedHeader, new Uint8Array(), cborEncode(authentication)]);
  const signature = await signBytes(key.key, toSign);
  const document = new Map<string, unknown>([
    ["docType", doctype],
    ["issuerSigned", new Map<string, unknown>([["nameSpaces", shown], ["issuerAuth", signed.get("issuerAuth")]])],
    [
      "deviceSigned",
      new Map<string, unknown>([
        ["nameSpaces", noDeviceItems],
        ["deviceAuth", new Map([["deviceSignature", [protectedHeader, new Map(), null, signature]]])],
      ]),
    ],
  ]);
  return b64u(join(cborEncode(new Map<string, unknown>([["version", "1.0"], ["documents", [document]], ["status", 0]]))));
}
