// Signed notes, checkpoints, cosignatures and policies of C2SP, read and verified in the browser.
//
// Promises: "good" only for a signature this browser verified itself; "cannot" where it lacks the algorithm, never a
// guess. Trusts: the verifier keys of the policy it is handed. Keeps: nothing. Refuses: other spellings.

import { Refused, joined, sha256 } from "./tree.mjs";

const LOG_KEY = 1; // C2SP signed-note, "Signature types"
const COSIGNER = 4;
const COSIGNER_ML_DSA_44 = 6;
const utf8 = (text) => new TextEncoder().encode(text);

export function unbase64(text) {
  let binary;
  try {
    binary = atob(text);
  } catch {
    throw new Refused("not base64");
  }
  if (btoa(binary) !== text) throw new Refused("not the one spelling of base64");
  return Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
}

/** `<name>+<id>+<base64 of type and public key>` */
export async function parseKey(text) {
  const match = /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/u.exec(text);
  if (!match) throw new Refused("not a verifier key");
  const material = unbase64(match[3]);
  const id = (await sha256(utf8(`${match[1]}\n`), material)).subarray(0, 4);
  const shown = [...id].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  if (shown !== match[2]) throw new Refused("a verifier key's id is not its own");
  return { name: match[1], id: match[2], kind: material[0], public: material.subarray(1), text };
}

/** C2SP signed-note: text, an empty line, signature lines. */
export function parseNote(raw) {
  const cut = raw.lastIndexOf("\n\n");
  if (cut < 0 || !raw.endsWith("\n")) throw new Refused("not a signed note");
  const signatures = raw
    .slice(cut + 2, -1)
    .split("\n")
    .map((line) => {
      const match = /^— ([^+\s]+) ([A-Za-z0-9+/]+=*)$/u.exec(line);
      const bytes = match ? unbase64(match[2]) : new Uint8Array();
      if (bytes.length < 5) throw new Refused("not a signature line");
      const id = [...bytes.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
      return { name: match[1], id, blob: bytes.subarray(4) };
    });
  return { text: raw.slice(0, cut + 1), signatures };
}

/** C2SP tlog-checkpoint: origin, size, root. */
export function parseCheckpoint(text) {
  const [origin, size, root, ...more] = text.split("\n");
  if (!origin || !/^(0|[1-9]\d{0,14})$/.test(size ?? "") || more.pop() !== "") throw new Refused("not a checkpoint");
  const hash = unbase64(root);
  if (hash.length !== 32) throw new Refused("a checkpoint's root is not 32 bytes");
  return { origin, size: Number(size), root: hash };
}

/** C2SP tlog-policy. */
export async function parsePolicy(raw) {
  const policy = { logs: [], witnesses: new Map(), groups: new Map(), quorum: null };
  const known = (name) => policy.witnesses.has(name) || policy.groups.has(name);
  for (const line of raw.split("\n")) {
    const words = line.trim().split(/[ \t]+/);
    if (words[0] === "" || words[0].startsWith("#")) continue;
    if (words[0] === "log" && words.length >= 2) policy.logs.push(await keyOf(words[1], LOG_KEY));
    else if (words[0] === "witness" && words.length >= 3 && !known(words[1])) {
      policy.witnesses.set(words[1], await keyOf(words[2], COSIGNER));
    } else if (words[0] === "group" && words.length >= 4 && !known(words[1]) && words.slice(3).every(known)) {
      const members = words.slice(3);
      const needed = { all: members.length, any: 1 }[words[2]] ?? Number(words[2]);
      if (!(Number.isInteger(needed) && needed >= 1 && needed <= members.length)) throw new Refused("not a policy");
      policy.groups.set(words[1], { needed, members });
    } else if (words[0] === "quorum" && words.length === 2 && !policy.quorum && (known(words[1]) || words[1] === "none")) {
      policy.quorum = words[1];
    } else throw new Refused("not a policy");
  }
  if (!policy.quorum) throw new Refused("a policy without a quorum");
  const members = [...policy.groups.values()].flatMap((group) => group.members);
  const keys = [...policy.witnesses.values()].map((key) => String(key.public));
  // One who counts twice would be a quorum by himself.
  if (new Set(members).size < members.length || new Set(keys).size < keys.length) throw new Refused("not a policy");
  return policy;
}

/** C2SP tlog-policy: a log signs, a witness cosigns; either may do so with ML-DSA-44. */
async function keyOf(text, kind) {
  const key = await parseKey(text);
  if (key.kind !== kind && key.kind !== COSIGNER_ML_DSA_44) throw new Refused("a key of the wrong type in a policy");
  return key;
}

/** Does the quorum stand, given the names of those who cosigned? */
export function met(policy, cosigned, name = policy.quorum) {
  if (name === "none") return true;
  const group = policy.groups.get(name);
  if (!group) return cosigned.has(name);
  return group.members.filter((member) => met(policy, cosigned, member)).length >= group.needed;
}

/** "good", "bad" or "cannot"; of a cosignature also when it was made. */
export async function verify(note, key) {
  const lines = note.signatures.filter((one) => one.name === key.name && one.id === key.id);
  if (!lines.length) return { state: "missing" };
  // C2SP signed-note, "Signatures": one line of a known key that does not fit spoils the note.
  const each = await Promise.all(lines.map((line) => verifyLine(note, key, line)));
  const odd = each.find((one) => one.state !== "good");
  return odd ?? each.reduce((newest, one) => (one.at > newest.at ? one : newest));
}

async function verifyLine(note, key, found) {
  if (key.kind === LOG_KEY) return { state: await check("Ed25519", key.public, found.blob, utf8(note.text)) };
  if (key.kind !== COSIGNER && key.kind !== COSIGNER_ML_DSA_44) return { state: "cannot" };
  if (found.blob.length < 9) return { state: "bad" };
  const stamp = found.blob.subarray(0, 8);
  const at = Number(new DataView(stamp.slice().buffer).getBigUint64(0));
  const signature = found.blob.subarray(8);
  if (key.kind === COSIGNER) {
    const message = utf8(`cosignature/v1\ntime ${at}\n${note.text}`); // C2SP tlog-cosignature
    return { state: await check("Ed25519", key.public, signature, message), at };
  }
  const { origin, size, root } = parseCheckpoint(note.text);
  const named = (text) => joined([[utf8(text).length], utf8(text)]);
  const end = new Uint8Array(8);
  new DataView(end.buffer).setBigUint64(0, BigInt(size));
  const message = joined([utf8("subtree/v1\n\0"), named(key.name), stamp, named(origin), new Uint8Array(8), end, root]);
  return { state: await check("ML-DSA-44", key.public, signature, message), at };
}

async function check(algorithm, publicKey, signature, message) {
  let key;
  try {
    const form = algorithm === "Ed25519" ? "raw" : "raw-public";
    key = await crypto.subtle.importKey(form, publicKey, { name: algorithm }, false, ["verify"]);
  } catch {
    return "cannot"; // this browser does not know the algorithm
  }
  return (await crypto.subtle.verify({ name: algorithm }, key, signature, message)) ? "good" : "bad";
}

/** A compact JWS (ES256) whose header carries its key: its payload, its key's thumbprint, and whether it fits. */
export async function readStatement(text) {
  const parts = text.split(".");
  if (parts.length !== 3) throw new Refused("not a compact JWS");
  const [header, payload, signature] = parts.map((part) => {
    if (!/^[A-Za-z0-9_-]+$/.test(part)) throw new Refused("not base64url");
    const plain = part.replaceAll("-", "+").replaceAll("_", "/");
    return Uint8Array.from(atob(plain), (letter) => letter.charCodeAt(0));
  });
  const { alg, jwk } = JSON.parse(new TextDecoder().decode(header));
  if (alg !== "ES256" || jwk?.kty !== "EC" || jwk?.crv !== "P-256") throw new Refused("not signed with ES256");
  const method = { name: "ECDSA", namedCurve: "P-256" };
  const key = await crypto.subtle.importKey("jwk", { kty: "EC", crv: "P-256", x: jwk.x, y: jwk.y }, method, false, ["verify"]);
  const good = await crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, signature, utf8(`${parts[0]}.${parts[1]}`));
  // RFC 7638: the members in this order and without spaces
  const thumbprint = await sha256(utf8(`{"crv":"P-256","kty":"EC","x":"${jwk.x}","y":"${jwk.y}"}`));
  return { good, thumbprint, said: JSON.parse(new TextDecoder().decode(payload)) };
}
