/**
 * This phone, before the wallet provider and before the register.
 * Promises: the phone is the same phone through one instance key; every call is signed over its body and address. An answer counts only
 * for the registration it was asked for, and never over one that was asked for later.
 * Trusts: the wallet provider of our own base address. Keeps: the device id and the last state heard.
 * Refuses: an answer that came too late; other refusals come from the other side.
 */
import { b64u, sha256, token, utf8 } from "./bytes.ts";
import { type IdentityForm, parseForm } from "./identity_form.ts";
import { keepKey, signJwt, thumbprint } from "./keys.ts";
import type { Net } from "./net.ts";
import { Problem } from "./problem.ts";
import type { KeyRow, PublicJwk, Store } from "./store.ts";

export type DeviceState = "active" | "waiting" | "suspended" | "ended";
export interface Device {
  readonly id: string;
  readonly state: DeviceState;
  readonly reason?: string;
  readonly since?: number;
  /** When we last heard it. */
  readonly heard: number;
}
export interface Check {
  readonly check_id: string;
  readonly expires_in: number;
  readonly tries: number;
  readonly phone_hint: string;
}
export interface Identified {
  readonly assertion: string;
  readonly person_name: string;
}

export class Phone {
  private attested = new Map<string, { jwt: string; until: number }>();
  private asked: Promise<IdentityForm> | null = null;
  private asks = 0;
  /** The newest ask whose answer counts; one to an older ask is dropped. */
  private answered = 0;
  private kept: Device | undefined;

  constructor(
    private readonly store: Store,
    private readonly net: Net,
    private readonly base: string,
    private readonly now: () => number,
  ) {}

  /** What the country asks for at the identity check. Heard once; a failure is asked again. */
  form(): Promise<IdentityForm> {
    this.asked ??= this.net.json<unknown>("GET", `${this.base}/identity/form`).then(parseForm).catch((thrown: unknown) => {
      this.asked = null;
      throw thrown;
    });
    return this.asked;
  }

  startCheck(name: string, residentNumber: string, phone: string, language: string): Promise<Check> {
    const body = { name, resident_number: residentNumber, phone, audience: "wallet_provider", language };
    return this.net.json<Check>("POST", `${this.base}/identity/checks`, body);
  }

  answerCheck(id: string, code: string): Promise<Identified> {
    return this.net.json<Identified>("POST", `${this.base}/identity/checks/${encodeURIComponent(id)}/code`, { code });
  }

  instanceKey(): Promise<KeyRow> {
    return keepKey(this.store, "phone", "instance");
  }

  device(): Promise<Device | undefined> {
    return this.store.meta<Device>("device");
  }

  /** Binds this phone to the person the assertion names. */
  async register(identified: Identified): Promise<Device> {
    const key = await this.instanceKey();
    const proof = await signJwt(
      key.key,
      { typ: "mapae-device-proof+jwt", jwk: key.jwk },
      {
        aud: `${this.base}/wallet-provider`,
        iat: this.seconds(),
        jti: token(),
        ath: b64u(await sha256(utf8(identified.assertion))),
      },
    );
    const url = `${this.base}/wallet-provider/devices`;
    const answer = await this.net.json<{ device_id: string; state: DeviceState }>("POST", url, {
      assertion: identified.assertion,
      proof,
    });
    return this.keep({ id: answer.device_id, state: answer.state, heard: this.now() });
  }

  /**
   * Asks how this phone stands. Heard states are kept, so a suspended phone stays suspended offline. Throws `conflict` where the phone
   * was forgotten, registered anew or heard of since.
   */
  async standing(): Promise<Device> {
    const ask = ++this.asks;
    const known = await this.device();
    if (!known) throw tooLate();
    const { state, reason, since } = await this.call<{ state: DeviceState; reason?: string; since?: number }>("GET", "/devices/me").catch(async (thrown: unknown) => {
      throw this.counts(ask, known, await this.device()) ? thrown : tooLate();
    });
    const device: Device = { id: known.id, state, ...(reason ? { reason } : {}), ...(since ? { since } : {}), heard: this.now() };
    await this.store.write(async (tx) => {
      if (!this.counts(ask, known, (await tx.objectStore("meta").get("device")) as Device | undefined)) throw tooLate();
      await tx.objectStore("meta").put(device, "device");
      [this.answered, this.kept] = [ask, device];
    });
    return device;
  }

  /** Whether what is stored now is what there was before the ask, or what an older ask of ours has left. */
  private counts(ask: number, known: Device, stored: Device | undefined): boolean {
    return ask > this.answered && stored !== undefined && [known, this.kept].some((one) => one && JSON.stringify(one) === JSON.stringify(stored));
  }

  /** A wallet attestation for one authorization server's client key; kept in memory until shortly before it ends. */
  async attestation(authorizationServer: string, client: PublicJwk): Promise<string> {
    const about = `${await thumbprint(client)} ${authorizationServer}`; // the key of a wallet that was erased since is another
    const known = this.attested.get(about);
    if (known && known.until > this.now()) return known.jwt;
    const answer = await this.call<{ wallet_attestation: string; expires_in: number }>("POST", "/attestations", {
      client_jwk: client,
    });
    const until = this.now() + Math.max(0, answer.expires_in - 120) * 1000;
    this.attested.set(about, { jwt: answer.wallet_attestation, until });
    return answer.wallet_attestation;
  }

  /** `nonce` null: the issuer hands out none. */
  async keyAttestation(keys: readonly PublicJwk[], nonce: string | null): Promise<string> {
    const message = nonce === null ? { keys } : { keys, nonce };
    const answer = await this.call<{ key_attestation: string }>("POST", "/key-attestations", message);
    return answer.key_attestation;
  }

  /** The holder gives this phone up. */
  async end(): Promise<void> {
    await this.call<unknown>("POST", "/devices/me/end", {});
  }

  /** No answer that is on its way counts any more. */
  forget(): void {
    this.attested.clear();
    this.answered = this.asks;
    this.kept = undefined;
  }

  private async keep(device: Device): Promise<Device> {
    await this.store.setMeta("device", device);
    this.answered = this.asks;
    this.kept = undefined;
    return device;
  }

  /** Something else of this phone's with the wallet provider (push.ts). */
  ask<T = unknown>(method: "GET" | "POST", path: string, message?: unknown): Promise<T> {
    return this.call<T>(method, path, message);
  }

  private async call<T>(method: string, path: string, message?: unknown): Promise<T> {
    const url = `${this.base}/wallet-provider${path}`;
    const body = message === undefined ? "" : JSON.stringify(message);
    const key = await this.instanceKey();
    const signed = await signJwt(
      key.key,
      { typ: "mapae-device-request+jwt", jwk: key.jwk },
      {
        aud: `${this.base}/wallet-provider`,
        htm: method,
        htu: url,
        iat: this.seconds(),
        jti: token(),
        bod: b64u(await sha256(utf8(body))),
      },
    );
    return this.net.json<T>(method, url, message === undefined ? undefined : body, { "Mapae-Device": signed });
  }

  private seconds(): number {
    return Math.floor(this.now() / 1000);
  }
}

const tooLate = (): Problem => new Problem("conflict", "the phone stands otherwise by now");
