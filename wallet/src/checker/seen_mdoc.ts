/**
 * An ISO mdoc shown to a till: one document of a DeviceResponse (ISO/IEC 18013-5 8.3.2.1.2.2, 9.1.2, 9.1.3, 9.3.1).
 * Promises: what `open` gives has digests that the signer's key signed; `holder` passes only for the transcript of this code. Trusts: the
 * caller for the chain. Keeps: nothing. Refuses: members the standard does not list, several documents, a MAC, what the device says by itself.
 */
import { b64u, type Bytes, join, same, sha256 } from "../bytes.ts";
import { type Cbor, encode, type Key, Tagged } from "../cbor.ts";
import { type CurveKey, CURVES, fits, keyOfJwk, lifted } from "../curves.ts";
import { Problem } from "../problem.ts";
import { bytesOf, decodeMdoc, embed, embedded, mapOf } from "./cbor.ts";
import type { Opened, Seen } from "./check.ts";
import { transcript } from "./codes.ts";
import { placeOf } from "./seen_sd_jwt.ts";

/** RFC 9053 6.3: of keys that agree. */
const AGREEMENTS = [-25, -27];
const SALT = 16;
type Parts = Map<Key, Cbor>;

const bad = (detail: string): never => {
  throw new Problem("malformed", detail);
};

/** COSE_Sign1 by an algorithm of ours and nothing critical (RFC 9052 4.2). */
interface Sealed {
  readonly label: number;
  readonly protected: Bytes;
  readonly unprotected: Parts;
  readonly payload: Bytes | null;
  readonly signature: Bytes;
}

function sealed(value: Cbor): Sealed {
  if (!Array.isArray(value) || value.length !== 4) return bad("a signature has four parts");
  const [header, unprotected, payload, signature] = value;
  const outside = mapOf(unprotected, "the unprotected header");
  const raw = bytesOf(header, "the protected header");
  const inside = mapOf(decodeMdoc(raw), "the protected header");
  if (outside.has(1) || outside.has(2)) bad("the algorithm is outside the protected header");
  const label = inside.get(1) as number;
  if (!CURVES.some(({ labels }) => labels.includes(label)) || inside.has(2)) throw new Problem("unsupported", "only ES256, ES384 and ES512 without extensions");
  return { label, protected: raw, unprotected: outside, payload: payload === null ? null : bytesOf(payload, "the payload"), signature: bytesOf(signature, "the signature") };
}

/** RFC 9052 4.4. */
const toBeSigned = (one: Sealed, payload: Bytes): Bytes => encode(["Signature1", one.protected, new Uint8Array(), payload]);

interface Item {
  readonly number: number;
  readonly name: string;
  readonly value: Cbor;
  readonly digest: () => Promise<Bytes>;
}

function itemOf(value: Cbor): Item {
  const inner = embedded(value);
  const parts = mapOf(decodeMdoc(inner), "an element", ["digestID", "random", "elementIdentifier", "elementValue"]);
  const [number, name, random] = ["digestID", "elementIdentifier", "random"].map((member) => parts.get(member));
  if (parts.size !== 4 || typeof number !== "number" || number < 0 || typeof name !== "string") return bad("an element is not one");
  if (bytesOf(random, "the salt").length < SALT) bad("a salt too short");
  return { number, name, value: parts.get("elementValue"), digest: () => sha256(embed(inner)) };
}

export async function openMdoc(raw: Bytes): Promise<Seen> {
  const response = mapOf(decodeMdoc(raw), "the response", ["version", "documents", "documentErrors", "status"]);
  if (response.get("version") !== "1.0") throw new Problem("unsupported", "a response of another version");
  const documents = response.get("documents");
  if (response.get("status") !== 0 || !Array.isArray(documents) || documents.length !== 1) return bad("one document was asked for");
  const document = mapOf(documents[0], "a document", ["docType", "issuerSigned", "deviceSigned", "errors"]);
  const issuerSigned = mapOf(document.get("issuerSigned"), "issuerSigned", ["nameSpaces", "issuerAuth"]);
  const auth = sealed(issuerSigned.get("issuerAuth"));
  const spaces = new Map([...mapOf(issuerSigned.get("nameSpaces") ?? new Map(), "nameSpaces")].map(([space, some]) => {
    if (typeof space !== "string" || !Array.isArray(some) || some.length === 0) return bad("a namespace is not a list of elements");
    return [space, some.map(itemOf)] as const;
  }));
  const payload = auth.payload ?? bad("the security object is missing");
  const mso = mapOf(decodeMdoc(embedded(decodeMdoc(payload))), "the security object");
  if (mso.get("version") !== "1.0" || mso.get("digestAlgorithm") !== "SHA-256") throw new Problem("unsupported", "another version or hash");
  const doctype = mso.get("docType");
  if (typeof doctype !== "string" || document.get("docType") !== doctype) return bad("the docType is not the one the issuer signed");
  const validity = mapOf(mso.get("validityInfo"), "validityInfo");
  const [signed, starts, ends] = ["signed", "validFrom", "validUntil"].map((name) => moment(validity.get(name))) as [number, number, number];
  if (starts < signed || ends <= starts) bad("the validity period is upside down"); // ISO/IEC 18013-5 9.1.2.4
  const status = mapOf(mso.get("status") ?? new Map(), "status");
  const place = status.has("status_list") ? placeOf(plain(status)) : null;
  const [device, key] = [deviceOf(document.get("deviceSigned")), await deviceKey(mapOf(mso.get("deviceKeyInfo"), "deviceKeyInfo"))];
  return {
    format: "mdoc",
    chain: chainOf(auth.unprotected.get(33)),
    open: async (signer: CurveKey): Promise<Opened> => {
      if (!(await fits(signer, auth.label, auth.signature, toBeSigned(auth, payload)))) throw new Problem("bad_signature");
      return {
        type: doctype,
        claims: await covered(spaces, mapOf(mso.get("valueDigests"), "valueDigests")),
        signed,
        holder: (audience, nonce, made) => mustHaveSigned(device, doctype, key, audience, nonce, made),
        dates: () => ({ starts, ends }),
        status: () => place ?? placeOf(null),
      };
    },
  };
}

/** RFC 9360 2: one certificate as bytes, several as an array. */
function chainOf(value: Cbor): Bytes[] {
  if (value instanceof Uint8Array) return [value];
  if (!Array.isArray(value) || value.length < 2 || value.length > 4) return bad("x5chain");
  return value.map((der) => bytesOf(der, "x5chain"));
}

async function covered(spaces: ReadonlyMap<string, readonly Item[]>, digests: Parts): Promise<Map<string, Map<string, unknown>>> {
  const found = new Map<string, Map<string, unknown>>();
  for (const [space, items] of spaces) {
    const signed = digests.get(space);
    if (!(signed instanceof Map)) throw new Problem("bad_digest", "a namespace nobody signed");
    for (const item of items) {
      const digest = signed.get(item.number);
      if (!(digest instanceof Uint8Array) || !same(digest, await item.digest())) throw new Problem("bad_digest", "an element nobody signed");
    }
    found.set(space, new Map(items.map(({ name, value }) => [name, plain(value)])));
    if (found.get(space)?.size !== items.length) bad("an element twice");
  }
  return found;
}

interface Device {
  readonly says: Bytes;
  /** Null: a MAC, for which we have no key. */
  readonly seal: Sealed | null;
}

/** ISO/IEC 18013-5 8.3.2.1.2.2: a signature or a MAC, one of the two. */
function deviceOf(value: Cbor): Device {
  const device = mapOf(value, "deviceSigned", ["nameSpaces", "deviceAuth"]);
  const says = embedded(device.get("nameSpaces"));
  for (const some of mapOf(decodeMdoc(says), "what the device says").values()) if (mapOf(some, "what the device says").size === 0) bad("a namespace without elements");
  const how = mapOf(device.get("deviceAuth"), "deviceAuth");
  if (how.size !== 1) bad("a signature or a MAC");
  if (how.has("deviceMac")) return { says, seal: null };
  if (!how.has("deviceSignature")) throw new Problem("unsupported", "neither a signature nor a MAC");
  return { says, seal: sealed(how.get("deviceSignature")) };
}

interface DeviceKey extends CurveKey {
  /** Whether the device may say this by itself (9.1.2.4 KeyAuthorizations). */
  readonly may: (space: Key, name: Key) => boolean;
}

async function deviceKey(info: Parts): Promise<DeviceKey> {
  const key = mapOf(info.get("deviceKey"), "the device key");
  const curve = CURVES.find(({ number }) => number === key.get(-1));
  if (key.get(1) !== 2 || !curve) throw new Problem("unsupported", "the device key is on no curve we know");
  if (key.has(-4)) bad("the device key with its private part");
  if (key.has(3) && ![...curve.labels, ...AGREEMENTS].includes(key.get(3) as number)) throw new Problem("unsupported", "the device key is for another algorithm");
  const [x, sign] = [bytesOf(key.get(-2), "a coordinate"), key.get(-3)];
  if (x.length !== curve.size) bad("a coordinate of another length");
  const y = typeof sign === "boolean" ? lifted(curve, x, sign) : bytesOf(sign, "a coordinate");
  const given = mapOf(info.get("keyAuthorizations") ?? new Map(), "keyAuthorizations", ["nameSpaces", "dataElements"]);
  const [spaces, elements] = [given.get("nameSpaces") ?? [], mapOf(given.get("dataElements") ?? new Map(), "dataElements")];
  if (!Array.isArray(spaces) || [...elements.values()].some((names) => !Array.isArray(names)) || spaces.some((space) => elements.has(String(space)))) return bad("keyAuthorizations");
  return { ...(await keyOfJwk({ kty: "EC", crv: curve.crv, x: b64u(x), y: b64u(y) })), may: (space, name) => spaces.includes(space) || ((elements.get(space) ?? []) as Cbor[]).includes(name) };
}

/** ISO/IEC 18013-5 9.1.3: the key the issuer bound has signed for this code. */
async function mustHaveSigned({ says, seal }: Device, doctype: string, key: DeviceKey, audience: string, nonce: Bytes, made: number): Promise<void> {
  // Audience, nonce and moment are in one hash: any of them being wrong is no more than a proof that does not hold.
  const forged = (detail: string): never => {
    throw new Problem("bad_holder_proof", detail);
  };
  if (!seal) return forged("a MAC can only be checked by a reader with a key in the session");
  if (seal.payload !== null) forged("the payload is there twice");
  const script = await transcript(audience, nonce, made);
  const authentication = embed(join(Uint8Array.of(0x84), encode("DeviceAuthentication"), script, encode(doctype), embed(says)));
  if (!(await fits(key, seal.label, seal.signature, toBeSigned(seal, authentication)))) forged("another key, or another session");
  const said = mapOf(decodeMdoc(says), "what the device says");
  for (const [space, some] of said) for (const name of mapOf(some, "what the device says").keys()) if (!key.may(space, name)) forged("the device may not say this by itself");
  if (said.size > 0) throw new Problem("unsupported", "elements signed by the device alone");
}

/** ISO/IEC 18013-5 9.1.2.4: tdate in UTC, no fractions of a second. Seconds. */
function moment(value: Cbor): number {
  const text = value instanceof Tagged && value.tag === 0 ? value.value : null;
  if (typeof text !== "string" || !/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/.test(text)) return bad("not a date and time in UTC");
  const seconds = Date.parse(text) / 1000;
  return Number.isNaN(seconds) ? bad("not a date and time in UTC") : seconds;
}

/** An element's value: full-dates as their text, maps as objects. */
function plain(value: Cbor): unknown {
  if (value instanceof Tagged) {
    if (![0, 1004].includes(value.tag) || typeof value.value !== "string") throw new Problem("unsupported", "a value of a type we do not read");
    return value.value;
  }
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map) return Object.fromEntries([...value].map(([name, inner]) => [String(name), plain(inner)]));
  return value;
}
