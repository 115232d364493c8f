/**
 * A code to be asked by: the phone's side of a meeting over a relay (formats/meet.py).
 * Promises: a code is of a fresh key, a fresh mailbox and this moment, and works once; what comes out was sealed to this very code. Trusts:
 * WebCrypto and jose. Keeps: the key, not extractable, and the mailbox's secret, in memory. Refuses: what a relay swaps or makes up.
 */
import { compactDecrypt, type CryptoKey, exportJWK, generateKeyPair, type JWK } from "jose";
import { b45, b64u, type Bytes, join, random, sha256, text, unb64u, utf8 } from "./bytes.ts";
import { type Cbor, encode, type Key } from "./cbor.ts";
import { type Net, refusal } from "./net.ts";
import { Problem } from "./problem.ts";

export const LIFE_MS = 120_000;
const PREFIX = "MAPAE-MEET:";
export const codeText = (raw: Bytes): string => PREFIX + b45(raw);
const WAIT_S = 15; // shorter than the network's patience
const LARGEST = 65_536;

/** A signed request, and the code it must have been signed for. */
export interface Heard {
  readonly request: string;
  readonly nonce: string;
}

export class Meeting {
  private constructor(
    private readonly net: Net,
    readonly code: string,
    /** When the code is over, in milliseconds. */
    readonly ends: number,
    private readonly mailbox: string,
    private readonly proof: Readonly<Record<string, string>>,
    private readonly key: CryptoKey,
    private readonly nonce: string,
  ) {}

  static async begin(net: Net, base: string, now: number): Promise<Meeting> {
    const relay = `${base}/relay`;
    const secret = random(32);
    const channel = (await sha256(join(utf8("mapae relay mailbox"), secret))).slice(0, 16) as Bytes;
    const pair = await generateKeyPair("ECDH-ES", { crv: "P-256", extractable: false });
    const made = Math.floor(now / 1000);
    const raw = written(relay, channel, await exportJWK(pair.publicKey), made);
    const mailbox = `${relay}/${b64u(channel)}`;
    const proof = { Authorization: `Bearer ${b64u(secret)}` };
    const opened = await net.fetch(mailbox, { method: "PUT", headers: proof });
    if (!opened.ok) throw await refusal(opened);
    return new Meeting(net, codeText(raw), made * 1000 + LIFE_MS, mailbox, proof, pair.privateKey, b64u(await sha256(raw)));
  }

  /** Null: nobody has read the code yet. */
  async hear(signal: AbortSignal, wait = WAIT_S): Promise<Heard | null> {
    const answer = await this.net.fetch(`${this.mailbox}?wait=${wait}`, { headers: this.proof, signal });
    if (!answer.ok) throw await refusal(answer);
    if (answer.status === 204) return null;
    return { request: await unsealed(await answer.text(), this.key, this.nonce), nonce: this.nonce };
  }

  /** The code is not shown any more: whoever reads it now hears that it is used. */
  async stop(): Promise<void> {
    await this.net.fetch(this.mailbox, { method: "DELETE", headers: this.proof }).catch(() => undefined);
  }
}

/** RFC 7516, to the code's key; `nonce` is the SHA-256 of the whole code. */
export async function unsealed(sealed: string, key: CryptoKey, nonce: string): Promise<string> {
  if (sealed.length > LARGEST) throw new Problem("too_large", "request");
  const options = { keyManagementAlgorithms: ["ECDH-ES"], contentEncryptionAlgorithms: ["A256GCM"] };
  const { plaintext, protectedHeader } = await compactDecrypt(sealed, key, options).catch(() => {
    throw new Problem("not_encrypted", "not sealed to this code");
  });
  // RFC 7518 section 4.6.1.3: the whole code is in the key derivation; and it is this one.
  if (protectedHeader.apv !== nonce) throw new Problem("not_encrypted", "sealed for another code");
  return text(plaintext);
}

/** What the code holds; its key as RFC 9053 section 7.1.1 has it. */
export function written(relay: string, channel: Bytes, { x, y }: JWK, made: number): Bytes {
  if (!x || !y) throw new Problem("malformed", "key");
  const key = new Map<Key, Cbor>([[1, 2], [-1, 1], [-2, unb64u(x)], [-3, unb64u(y)]]);
  return encode(new Map<Key, Cbor>([[1, 1], [2, relay], [3, channel], [4, key], [5, made]]));
}
