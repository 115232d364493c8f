/**
 * X.509 certificates, as much as a wallet needs.
 * Promises: a chain is accepted only when each signature verifies up to a pinned anchor, each certificate is in date, every issuer
 * is a CA, and the anchor itself is not in the chain (HAIP 1.0). Trusts: the anchors handed in. Keeps: nothing.
 * Refuses: authorities off P-256, P-384 and P-521, leaves off P-256 unless the caller names their curves, hashes but SHA-2, BER, unknown
 * critical extensions, self-signed leaves.
 */
import { b64u, type Bytes, hex, same } from "./bytes.ts";
import { type Curve, CURVES, type CurveKey, USUAL } from "./curves.ts";
import { Problem } from "./problem.ts";

interface Node {
  readonly tag: number;
  readonly body: Bytes;
  readonly whole: Bytes;
}

/** What a leaf may sign: the extended key usage that says so (mapae.formats.x509 has the same). */
export const PURPOSES = {
  document: "28818c5d050102", // ISO/IEC 18013-5 B.1.4, mdlDS
  access: "28818c5d050106", // ISO/IEC 18013-5 B.1.7, mdlReaderAuth
  status: "6981b68eb687cfd0fab0f39aa9dbac978385ca0a", // our own: Token Status List draft-21 10 still says "id-kp TBD"
} as const;
export type Purpose = keyof typeof PURPOSES;

export interface Certificate {
  readonly der: Bytes;
  readonly tbs: Bytes;
  /** r and s, without leading zeros: how long they must be is for the issuer's key to say. */
  readonly signature: readonly [Bytes, Bytes];
  /** What the issuer says it hashed with, on whichever curve (RFC 5758 3.2). */
  readonly hash: Curve["hash"];
  readonly issuer: Bytes;
  readonly subject: Bytes;
  readonly serial: Bytes;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly spki: Bytes;
  /** Null: a key we do not verify by. */
  readonly curve: Curve | null;
  readonly isCa: boolean;
  readonly pathLength: number | null;
  readonly mayCertify: boolean;
  readonly maySign: boolean;
  /** Whether it says at all what its key is for. */
  readonly statesUse: boolean;
  /** Extended key usages, as hexadecimal object identifiers. */
  readonly purposes: readonly string[];
  /** Subject key identifier, or null. */
  readonly ski: Bytes | null;
  /** The key identifier of whoever certified it, or null. */
  readonly aki: Bytes | null;
  /** DNS names of the subject. */
  readonly dnsNames: readonly string[];
}

/** `better`: the code by which the checker, whose words are finer, names the same. */
const bad = (detail: string, better?: "untrusted_issuer" | "not_yet_valid" | "expired" | "unsupported"): never => {
  throw new Problem("bad_certificate", detail, better ? { better } : {});
};

function read(bytes: Bytes, at: number): Node {
  const tag = bytes[at];
  const first = bytes[at + 1];
  if (tag === undefined || first === undefined) return bad("cut short");
  let length = first;
  let start = at + 2;
  if (first >= 0x80) {
    const count = first & 0x7f;
    if (count === 0 || count > 3) return bad("length not DER");
    length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + (bytes[start + i] ?? 0);
    start += count;
    if (length < 0x80 || length < 256 ** (count - 1)) return bad("length not minimal");
  }
  const end = start + length;
  if (end > bytes.length) return bad("cut short");
  return { tag, body: bytes.subarray(start, end), whole: bytes.subarray(at, end) };
}

function children(node: Node): Node[] {
  const found: Node[] = [];
  for (let at = 0; at < node.body.length; ) {
    const child = read(node.body, at);
    found.push(child);
    at += child.whole.length;
  }
  return found;
}

function need(nodes: Node[], at: number, tag: number): Node {
  const node = nodes[at];
  return node && node.tag === tag ? node : bad(`unexpected structure at ${at}`);
}

const ECDSA_WITH: Readonly<Record<string, Curve["hash"]>> = { "2a8648ce3d040302": "SHA-256", "2a8648ce3d040303": "SHA-384", "2a8648ce3d040304": "SHA-512" };
const EC_KEY = "2a8648ce3d0201";
const BASIC_CONSTRAINTS = "551d13";
const KEY_USAGE = "551d0f";
const EXTENDED_KEY_USAGE = "551d25";
const SUBJECT_KEY_ID = "551d0e";
const AUTHORITY_KEY_ID = "551d23";
const ALTERNATIVE_NAME = "551d11";
const READ_OR_HARMLESS = new Set([BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE, ALTERNATIVE_NAME, "551d20"]);

function time(node: Node): Date {
  const raw = new TextDecoder().decode(node.body);
  const year = node.tag === 0x17 ? (Number(raw.slice(0, 2)) < 50 ? "20" : "19") + raw.slice(0, 2) : raw.slice(0, 4);
  const rest = node.tag === 0x17 ? raw.slice(2) : raw.slice(4);
  if (!/^\d{4}$/.test(year) || !/^\d{10}Z$/.test(rest)) return bad("time not DER");
  const [month, day, hour, minute, second] = rest.match(/\d{2}/g) ?? [];
  return new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

export function parseCertificate(der: Bytes): Certificate {
  const outer = read(der, 0);
  if (outer.tag !== 0x30 || outer.whole.length !== der.length) return bad("not one certificate");
  const top = children(outer);
  const tbs = need(top, 0, 0x30);
  const hash = algorithm(need(top, 1, 0x30));
  const bits = need(top, 2, 0x03).body;
  if (bits[0] !== 0) return bad("signature bits");
  const fields = children(tbs);
  if (fields[0]?.tag !== 0xa0 || hex(fields[0].body) !== "020102") return bad("not version 3");
  algorithm(need(fields, 2, 0x30));
  if (top.length !== 3 || !same(need(top, 1, 0x30).whole, need(fields, 2, 0x30).whole)) return bad("two signature algorithms");
  const dates = children(need(fields, 4, 0x30));
  const [begin, end] = dates;
  if (!begin || !end) return bad("validity");
  const spki = need(fields, 6, 0x30);
  const extensions = fields.slice(7).find((field) => field.tag === 0xa3);
  return {
    der,
    tbs: tbs.whole,
    signature: halves(bits.subarray(1)),
    hash,
    serial: need(fields, 1, 0x02).body,
    issuer: need(fields, 3, 0x30).whole,
    subject: need(fields, 5, 0x30).whole,
    notBefore: time(begin),
    notAfter: time(end),
    spki: spki.whole,
    curve: curveOf(spki),
    ...uses(extensions),
  };
}

function algorithm(node: Node): Curve["hash"] {
  return ECDSA_WITH[hex(need(children(node), 0, 0x06).body)] ?? bad("not ECDSA with SHA-2");
}

function curveOf(spki: Node): Curve | null {
  const [kind, point] = children(spki);
  const [of, named] = children(need(kind ? [kind] : [], 0, 0x30)).map((oid) => hex(oid.body));
  const curve = of === EC_KEY ? CURVES.find(({ oid }) => oid === named) : undefined;
  // SEC 1 2.3.4: an uncompressed point is as long as its curve says.
  if (curve && point?.body[1] === 4 && point.body.length !== 2 + 2 * curve.size) return bad("a key of another length than its curve's");
  return curve ?? null;
}

type Uses = Pick<Certificate, "isCa" | "pathLength" | "mayCertify" | "maySign" | "statesUse" | "purposes" | "ski" | "aki" | "dnsNames">;

function uses(extensions: Node | undefined): Uses {
  let isCa = false;
  let pathLength: number | null = null;
  let usage: number | null = null;
  let ski: Bytes | null = null;
  let aki: Bytes | null = null;
  let dnsNames: readonly string[] = [];
  let purposes: readonly string[] = [];
  const list = extensions ? children(need(children(extensions), 0, 0x30)) : [];
  for (const extension of list) {
    const parts = children(extension);
    const oid = hex(need(parts, 0, 0x06).body);
    const critical = parts[1]?.tag === 0x01 && parts[1].body[0] === 0xff;
    const value = parts.at(-1);
    if (!value || value.tag !== 0x04) return bad("extension");
    if (critical && !READ_OR_HARMLESS.has(oid)) return bad("unknown critical extension");
    if (oid === BASIC_CONSTRAINTS) {
      const constraints = children(read(value.body, 0));
      isCa = constraints[0]?.tag === 0x01 && constraints[0].body[0] === 0xff;
      const length = constraints.find((part) => part.tag === 0x02);
      pathLength = length ? (length.body[0] ?? 0) : null;
    }
    if (oid === SUBJECT_KEY_ID) ski = read(value.body, 0).body;
    // RFC 5280 4.2.1.1 and 4.2.1.6: [0] keyIdentifier; [2] dNSName.
    if (oid === AUTHORITY_KEY_ID) aki = children(read(value.body, 0)).find((part) => part.tag === 0x80)?.body ?? null;
    if (oid === ALTERNATIVE_NAME) dnsNames = children(read(value.body, 0)).filter((name) => name.tag === 0x82).map((name) => new TextDecoder().decode(name.body).toLowerCase());
    if (oid === EXTENDED_KEY_USAGE) purposes = children(read(value.body, 0)).map((purpose) => hex(purpose.body));
    if (oid === KEY_USAGE) usage = read(value.body, 0).body[1] ?? 0;
  }
  const has = (bit: number): boolean => usage === null || (usage & bit) !== 0;
  return { isCa, pathLength, mayCertify: has(0x04), maySign: has(0x80), statesUse: usage !== null, purposes, ski, aki, dnsNames };
}

/** ECDSA-Sig-Value (DER), its two numbers. */
function halves(der: Bytes): [Bytes, Bytes] {
  const whole = read(der, 0);
  const parts = children(need([whole], 0, 0x30));
  if (whole.whole.length !== der.length || parts.length !== 2) bad("signature structure");
  return [half(need(parts, 0, 0x02).body), half(need(parts, 1, 0x02).body)];
}

function half(number: Bytes): Bytes {
  if (number.length === 0 || (number[0] === 0 && (number[1] ?? 0) < 0x80) || (number[0] ?? 0) >= 0x80) bad("signature number");
  return number[0] === 0 ? number.subarray(1) : number;
}

/** The r||s that WebCrypto reads; null: longer than any of this curve. */
function rawSignature(numbers: readonly [Bytes, Bytes], size: number): Bytes | null {
  const raw = new Uint8Array(2 * size);
  for (const [which, number] of numbers.entries()) {
    if (number.length > size) return null;
    raw.set(number, (which + 1) * size - number.length);
  }
  return raw;
}

const NAME_FIELDS: Readonly<Record<string, string>> = { C: "550406", ST: "550408", O: "55040a", CN: "550403" };

/** The values of one field of a distinguished name. */
export function nameField(name: Bytes, field: string): string[] {
  return children(read(name, 0)).flatMap((set) =>
    children(set)
      .map((pair) => children(pair))
      .filter(([oid]) => oid && hex(oid.body) === NAME_FIELDS[field])
      .map(([, value]) => new TextDecoder().decode(value?.body)),
  );
}

/** A distinguished name as a person reads it: common name, organisation, country. Nothing in it can bend the line it stands in. */
export function readable(name: Bytes): string {
  const parts = ["CN", "O", "C"].flatMap((field) => nameField(name, field));
  return parts.join(", ").replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "").slice(0, 120);
}

/** Whose certificate signed something. */
export interface Signer {
  readonly subject: string;
  readonly certifiedBy: string;
  /** base64url key identifiers of the authorities in the chain (OpenID4VP 1.0 section 6.1.1.1). */
  readonly authorities: readonly string[];
  /** The public key at the top of the chain (SPKI, base64url). Missing: kept before it was written down. */
  readonly key?: string;
  /** The chain is the leaf alone: it names its authority and does not show the authority's key. */
  readonly alone?: boolean;
}

/** Whether it is who it was: by key. The name of who certified somebody, anybody can write. */
export const sameSigner = (known: Signer, now: Signer): boolean => (known.key === undefined ? known.certifiedBy === now.certifiedBy : known.key === now.key);

export function signerOf(chain: readonly Bytes[]): Signer {
  const certificates = chain.map((der) => parseCertificate(der));
  const [leaf] = certificates;
  const last = certificates.at(-1);
  return {
    subject: leaf ? readable(leaf.subject) : "",
    certifiedBy: last ? readable(last.issuer) : "",
    authorities: certificates.flatMap(({ aki }) => (aki ? b64u(aki) : [])),
    ...(last ? { key: b64u(last.spki), alone: certificates.length === 1 } : {}),
  };
}

/** Throws bad_certificate: on a curve that is not asked for (`unsupported` to a checker), or not on its curve. */
export async function keyOf({ curve, spki }: Certificate, curves: readonly Curve[]): Promise<CurveKey> {
  if (!curve || !curves.includes(curve)) return bad("a key on another curve", "unsupported");
  try {
    return { curve, key: await crypto.subtle.importKey("spki", spki, { name: "ECDSA", namedCurve: curve.crv }, true, ["verify"]) };
  } catch {
    return bad("not a point on its curve");
  }
}

export async function publicKey(certificate: Certificate): Promise<CryptoKey> {
  return (await keyOf(certificate, USUAL)).key;
}

async function signedBy(child: Certificate, parent: Certificate): Promise<boolean> {
  if (!parent.curve) return false;
  const { key, curve } = await keyOf(parent, CURVES);
  const signature = rawSignature(child.signature, curve.size);
  return signature !== null && crypto.subtle.verify({ name: "ECDSA", hash: child.hash }, key, signature, child.tbs);
}

/**
 * 1 at least one certificate, at most four  2 the leaf may sign, for this purpose, is no CA and not self-signed  3 each is signed by the
 * next, which is a CA  4 the last is signed by an anchor, which is not itself in the chain  5 each in date.
 * Returns the leaf.
 */
export async function checkChain(chain: readonly Bytes[], anchors: readonly Bytes[], purpose: Purpose, now: Date): Promise<Certificate> {
  return (await checkedChain(chain, anchors, purpose, now)).leaf;
}

export interface Checked {
  readonly leaf: Certificate;
  readonly signer: CurveKey;
  /** In which every certificate of the chain is in date, its anchor's too. In seconds. */
  readonly from: number;
  readonly until: number;
}

/** The same, with the signer's key, which may be on these curves. */
export async function checkedChain(chain: readonly Bytes[], anchors: readonly Bytes[], purpose: Purpose, now: Date, curves: readonly Curve[] = USUAL): Promise<Checked> {
  const { leaf, signer, last, certificates } = await consistent(chain, purpose, curves);
  const roots = anchors.map((der) => parseCertificate(der));
  for (const root of roots) {
    if (certificates.some((certificate) => same(certificate.der, root.der))) bad("the anchor is in the chain");
  }
  for (const root of roots) {
    if (!same(root.subject, last.issuer) || !sameKey(root, last) || !(await signedBy(last, root))) continue;
    await mustHaveIssued(root, last, certificates.length - 1);
    const every = [...certificates, root];
    for (const certificate of every) inDate(certificate, now);
    return { leaf, signer, from: Math.max(...every.map(({ notBefore }) => notBefore.getTime())) / 1000, until: Math.min(...every.map(({ notAfter }) => notAfter.getTime())) / 1000 };
  }
  return bad("no anchor we trust signed it", "untrusted_issuer");
}

/**
 * The chain of somebody nobody vouches for to us: steps 1 to 3 and 5, and no certificate in it signed itself (HAIP 1.0: neither the leaf nor
 * an anchor in the chain). It says that whoever signed holds this key, not who that is. Returns the leaf.
 */
export async function checkStrangersChain(chain: readonly Bytes[], now: Date): Promise<Certificate> {
  const { leaf, last, certificates } = await consistent(chain, null, USUAL);
  if (same(last.issuer, last.subject)) bad("the anchor is in the chain");
  for (const certificate of certificates) inDate(certificate, now);
  return leaf;
}

async function consistent(chain: readonly Bytes[], purpose: Purpose | null, curves: readonly Curve[]): Promise<{ certificates: Certificate[]; leaf: Certificate; signer: CurveKey; last: Certificate }> {
  if (chain.length === 0 || chain.length > 4) bad("chain length");
  const certificates = chain.map((der) => parseCertificate(der));
  const leaf = certificates[0] ?? bad("no leaf");
  if (!leaf.maySign || leaf.isCa || (leaf.statesUse && leaf.mayCertify)) bad("leaf may not sign");
  if (same(leaf.issuer, leaf.subject)) bad("self-signed");
  if (purpose && (!leaf.purposes.includes(PURPOSES[purpose]) || !leaf.statesUse)) bad("made for another purpose");
  const signer = await keyOf(leaf, curves);
  for (const [at, child] of certificates.slice(0, -1).entries()) {
    await mustHaveIssued(certificates[at + 1] ?? bad("chain"), child, at);
  }
  return { certificates, leaf, signer, last: certificates.at(-1) ?? leaf };
}

function inDate(certificate: Certificate, now: Date): void {
  if (now < certificate.notBefore) bad("out of date", "not_yet_valid");
  if (now > certificate.notAfter) bad("out of date", "expired");
}

/** RFC 5280 4.2.1.1: where both say which key, they say the same. */
const sameKey = (parent: Certificate, child: Certificate): boolean => !child.aki || !parent.ski || same(child.aki, parent.ski);

async function mustHaveIssued(parent: Certificate, child: Certificate, below: number): Promise<void> {
  if (!same(child.issuer, parent.subject) || !sameKey(parent, child)) bad("issuer name");
  if (!parent.isCa || !parent.mayCertify) bad("issuer is no CA");
  if (parent.pathLength !== null && below > parent.pathLength) bad("path too long");
  if (!(await signedBy(child, parent))) bad("signature");
}
