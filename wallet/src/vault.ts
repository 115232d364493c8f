/**
 * The PIN, the passkey and the data key.
 * Promises: records are sealed with AES-256-GCM under a data key that exists in the clear only while unlocked; a wrong PIN is
 * counted on disk before it is tried, so killing the app wins no extra try; the fifth wrong PIN locks for good.
 * Trusts: WebCrypto, Argon2id (hash-wasm), and a device key the browser will not export: the stored files alone, without
 * this browser, are not enough to guess the PIN. Keeps: salts, parameters, the wrapped data key, the failure count.
 * Refuses: weak PINs, a first PIN where there is one, a sixth try, a record whose id, kind or owner was changed.
 */
import { alone } from "./alone.ts";
import { type Bytes, random, utf8 } from "./bytes.ts";
import { Problem } from "./problem.ts";
import type { SealedKind, SealedRow, Store, Write } from "./store.ts";

export const TRIES = 5;

/** What Argon2id costs. Stored beside the salt, so a later version may raise it. */
export interface Cost {
  readonly memoryKiB: number;
  readonly passes: number;
  readonly lanes: number;
}
export const COST: Cost = { memoryKiB: 65536, passes: 3, lanes: 1 };

interface Wrapped {
  readonly iv: Bytes;
  readonly data: Bytes;
}
interface PinRecord extends Wrapped {
  readonly salt: Bytes;
  readonly cost: Cost;
}
export interface PasskeyRecord extends Wrapped {
  readonly credential: Bytes;
  readonly salt: Bytes;
}

/** Digits a stranger would try first: one digit, a run up or down, two or three digits repeated, a half mirrored. */
export function weakPin(pin: string, avoid: readonly string[] = []): boolean {
  const digits = [...pin].map(Number);
  const steps = digits.slice(1).map((digit, at) => (digit - (digits[at] ?? 0) + 10) % 10);
  const steady = steps.every((step) => step === steps[0]) && [0, 1, 9].includes(steps[0] ?? -1);
  const repeats = pin.slice(0, 2).repeat(3) === pin || pin.slice(0, 3).repeat(2) === pin;
  const pairs = new Set(pin).size <= 2;
  return steady || repeats || pairs || avoid.some((word) => word.includes(pin));
}

export class Vault {
  #data: CryptoKey | null = null;

  constructor(
    private readonly store: Store,
    private readonly cost: Cost = COST,
  ) {}

  get open(): boolean {
    return this.#data !== null;
  }

  lock(): void {
    this.#data = null;
  }

  async hasPin(): Promise<boolean> {
    return (await this.store.meta("pin")) !== undefined;
  }

  async triesLeft(): Promise<number> {
    return Math.max(0, TRIES - ((await this.store.meta<number>("pin-failures")) ?? 0));
  }

  /** First PIN: makes the data key. Throws `conflict` where there is one: what it opens would be lost. */
  async create(pin: string, avoid: readonly string[] = []): Promise<void> {
    if (!/^\d{6}$/.test(pin)) throw new Problem("malformed", "a PIN is six digits");
    if (weakPin(pin, avoid)) throw new Problem("weak_pin");
    const raw = random(32);
    const record = await this.wrapUnderPin(pin, raw);
    await this.store.write(async (tx) => {
      if ((await tx.objectStore("meta").get("pin")) !== undefined) throw new Problem("conflict", "there is a PIN");
      await tx.objectStore("meta").put(record, "pin");
      await tx.objectStore("meta").put(0, "pin-failures");
      await tx.objectStore("meta").delete("passkey");
    });
    this.#data = await importData(raw);
    raw.fill(0);
  }

  async unlock(pin: string): Promise<void> {
    const raw = await this.rawByPin(pin);
    this.#data = await importData(raw);
    raw.fill(0);
  }

  /** The PIN is right, or this throws: asked before anything leaves the phone. */
  async confirm(pin: string): Promise<void> {
    (await this.rawByPin(pin)).fill(0);
  }

  async changePin(old: string, fresh: string): Promise<void> {
    if (!/^\d{6}$/.test(fresh) || weakPin(fresh) || old === fresh) throw new Problem("weak_pin");
    const raw = await this.rawByPin(old);
    const record = await this.wrapUnderPin(fresh, raw);
    raw.fill(0);
    await this.store.setMeta("pin", record);
  }

  passkey(): Promise<PasskeyRecord | undefined> {
    return this.store.meta<PasskeyRecord>("passkey");
  }

  /** Wrap the data key under a secret only this passkey can produce (WebAuthn PRF). */
  async addPasskey(pin: string, credential: Bytes, salt: Bytes, secret: Bytes): Promise<void> {
    const raw = await this.rawByPin(pin);
    const kek = await passkeyKek(secret);
    const record: PasskeyRecord = { credential, salt, ...(await wrap(kek, raw, "passkey")) };
    raw.fill(0);
    await this.store.setMeta("passkey", record);
  }

  async removePasskey(): Promise<void> {
    await this.store.dropMeta("passkey");
  }

  async unlockByPasskey(secret: Bytes): Promise<void> {
    if ((await this.triesLeft()) === 0) throw new Problem("pin_locked");
    const record = await this.passkey();
    if (!record) throw new Problem("passkey_unsupported");
    const raw = await unwrap(await passkeyKek(secret), record, "passkey", "passkey_failed");
    this.#data = await importData(raw);
    raw.fill(0);
    await this.store.setMeta("pin-failures", 0);
  }

  async seal(kind: SealedKind, id: string, parent: string, value: unknown, used: 0 | 1 = 0): Promise<SealedRow> {
    const iv = random(12);
    const data = await crypto.subtle.encrypt(
      { name: "AES-GCM", iv, additionalData: utf8(`${kind}/${parent}/${id}`) },
      this.need(),
      utf8(JSON.stringify(value)),
    );
    return { id, kind, parent, used, iv, data: new Uint8Array(data) };
  }

  async unseal<T>(row: SealedRow): Promise<T> {
    const plain = await crypto.subtle
      .decrypt(
        { name: "AES-GCM", iv: row.iv, additionalData: utf8(`${row.kind}/${row.parent}/${row.id}`) },
        this.need(),
        row.data,
      )
      .catch(() => {
        throw new Problem("storage_damaged", `${row.kind} record does not open`);
      });
    return JSON.parse(new TextDecoder().decode(plain)) as T;
  }

  private need(): CryptoKey {
    if (!this.#data) throw new Problem("wallet_locked");
    return this.#data;
  }

  /** One try at a time, over all tabs: a try that fails for another reason must not forgive its neighbour's. */
  private rawByPin(pin: string): Promise<Bytes> {
    return alone("mapae-pin", () => this.tryPin(pin));
  }

  private async tryPin(pin: string): Promise<Bytes> {
    const record = await this.store.meta<PinRecord>("pin");
    if (!record) throw new Problem("no_pin");
    const before = await this.countTry();
    try {
      const kek = await this.pinKek(pin, record.salt, record.cost);
      const raw = await unwrap(kek, record, "pin", "wrong_pin");
      await this.store.setMeta("pin-failures", 0);
      return raw;
    } catch (thrown) {
      if (!(thrown instanceof Problem) || thrown.code !== "wrong_pin") {
        await this.store.setMeta("pin-failures", before); // it was not the PIN that failed
        throw thrown;
      }
      const left = TRIES - before - 1;
      throw new Problem(left > 0 ? "wrong_pin" : "pin_locked", "", { tries_left: left });
    }
  }

  /** The try is on disk before it is made. Returns the failures before it. */
  private countTry(): Promise<number> {
    return this.store.write(async (tx: Write) => {
      const failures = ((await tx.objectStore("meta").get("pin-failures")) as number | undefined) ?? 0;
      if (failures >= TRIES) throw new Problem("pin_locked", "", { tries_left: 0 });
      await tx.objectStore("meta").put(failures + 1, "pin-failures");
      return failures;
    });
  }

  private async wrapUnderPin(pin: string, raw: Bytes): Promise<PinRecord> {
    const salt = random(16);
    const kek = await this.pinKek(pin, salt, this.cost);
    return { salt, cost: this.cost, ...(await wrap(kek, raw, "pin")) };
  }

  private async pinKek(pin: string, salt: Bytes, cost: Cost): Promise<CryptoKey> {
    const { argon2id } = await import("./argon.ts"); // not needed before the first digit
    const stretched = await argon2id({
      password: pin,
      salt,
      memorySize: cost.memoryKiB,
      iterations: cost.passes,
      parallelism: cost.lanes,
      hashLength: 32,
      outputType: "binary",
    });
    const bound = await crypto.subtle.sign("HMAC", await this.deviceKey(), stretched as Bytes);
    return crypto.subtle.importKey("raw", bound, "AES-GCM", false, ["encrypt", "decrypt"]);
  }

  private async deviceKey(): Promise<CryptoKey> {
    const known = await this.store.meta<CryptoKey>("device-key");
    if (known) return known;
    const fresh = await crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    return this.store.write(async (tx) => {
      const first = (await tx.objectStore("meta").get("device-key")) as CryptoKey | undefined;
      if (!first) await tx.objectStore("meta").put(fresh, "device-key");
      return first ?? fresh;
    });
  }
}

function importData(raw: Bytes): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"]);
}

async function passkeyKek(secret: Bytes): Promise<CryptoKey> {
  const base = await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveKey"]);
  return crypto.subtle.deriveKey(
    { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info: utf8("mapae wallet passkey") },
    base,
    { name: "AES-GCM", length: 256 },
    false,
    ["encrypt", "decrypt"],
  );
}

async function wrap(kek: CryptoKey, raw: Bytes, context: string): Promise<Wrapped> {
  const iv = random(12);
  const data = await crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData: utf8(context) }, kek, raw);
  return { iv, data: new Uint8Array(data) };
}

async function unwrap(kek: CryptoKey, wrapped: Wrapped, context: string, code: string): Promise<Bytes> {
  try {
    const raw = await crypto.subtle.decrypt(
      { name: "AES-GCM", iv: wrapped.iv, additionalData: utf8(context) },
      kek,
      wrapped.data,
    );
    return new Uint8Array(raw);
  } catch {
    throw new Problem(code);
  }
}
