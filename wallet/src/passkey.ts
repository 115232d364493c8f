/**
 * Unlocking with a passkey (WebAuthn with the PRF extension).
 * Promises: the secret it yields comes from the phone's own authenticator after user verification, and only for this wallet.
 * Trusts: the browser and its authenticator. Keeps: nothing (the vault keeps the wrapped data key). Refuses: authenticators without PRF.
 */
import { type Bytes, random } from "./bytes.ts";
import { Problem } from "./problem.ts";
import type { Vault } from "./vault.ts";

export async function passkeySupported(): Promise<boolean> {
  if (typeof PublicKeyCredential === "undefined" || !window.isSecureContext) return false;
  return PublicKeyCredential.isUserVerifyingPlatformAuthenticatorAvailable().catch(() => false);
}

const timeout = 60_000;

async function ceremony<T>(work: () => Promise<T | null>): Promise<T> {
  let made: T | null;
  try {
    made = await work();
  } catch (cause) {
    throw new Problem("passkey_failed", cause instanceof Error ? cause.name : "");
  }
  if (!made) throw new Problem("passkey_failed");
  return made;
}

/** Makes a passkey and wraps the data key under its secret. The PIN is asked again: only its holder may open a second door. */
export async function enrolPasskey(vault: Vault, pin: string, label: string): Promise<void> {
  await vault.confirm(pin);
  const salt = random(32);
  const made = (await ceremony(() =>
    navigator.credentials.create({
      publicKey: {
        challenge: random(32),
        rp: { name: "mapae" },
        user: { id: random(32), name: label, displayName: label },
        pubKeyCredParams: [
          { type: "public-key", alg: -7 },
          { type: "public-key", alg: -257 },
        ],
        authenticatorSelection: {
          authenticatorAttachment: "platform",
          residentKey: "required",
          userVerification: "required",
        },
        attestation: "none",
        timeout,
        extensions: { prf: { eval: { first: salt } } },
      },
    }),
  )) as PublicKeyCredential;
  const results = made.getClientExtensionResults();
  if (!results.prf?.enabled) throw new Problem("passkey_unsupported");
  const credential = new Uint8Array(made.rawId);
  const first = results.prf.results?.first;
  const secret = first ? bytesOf(first) : await secretOf(credential, salt);
  await vault.addPasskey(pin, credential, salt, secret);
}

/** The passkey's secret, after the holder proved to be there. */
export async function passkeySecret(vault: Vault): Promise<Bytes> {
  const record = await vault.passkey();
  if (!record) throw new Problem("passkey_unsupported");
  return secretOf(record.credential, record.salt);
}

async function secretOf(credential: Bytes, salt: Bytes): Promise<Bytes> {
  const got = (await ceremony(() =>
    navigator.credentials.get({
      publicKey: {
        challenge: random(32),
        allowCredentials: [{ type: "public-key", id: credential }],
        userVerification: "required",
        timeout,
        extensions: { prf: { eval: { first: salt } } },
      },
    }),
  )) as PublicKeyCredential;
  const first = got.getClientExtensionResults().prf?.results?.first;
  if (!first) throw new Problem("passkey_unsupported");
  return bytesOf(first);
}

function bytesOf(source: BufferSource): Bytes {
  return ArrayBuffer.isView(source)
    ? new Uint8Array(source.buffer.slice(source.byteOffset, source.byteOffset + source.byteLength) as ArrayBuffer)
    : new Uint8Array(source);
}
