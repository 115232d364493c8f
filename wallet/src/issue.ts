/**
 * Receiving a card. The steps are those of docs/issuing.md, from the phone's side.
 * Promises: killed at any line, the next start finishes the work; no batch is stored twice, none is lost. Trusts: the trust list for
 * who may issue what. Keeps: the pending issuance until the issuer has our receipt. Refuses: untrusted issuers, copies that do not
 * check (the issuer is told), deferred issuance.
 *
 * Why it is safe: what the issuer can notice is repeated with the same code or token, which it answers again while the last batch
 * is not acknowledged; what only we notice happens in one transaction (keys, copies, card, receipt to send).
 */
import type { CredentialOfferObject } from "@openid4vc/openid4vci";
import { alone } from "./alone.ts";
import { b64u, token } from "./bytes.ts";
import type { Phone } from "./device.ts";
import type { Format, Held } from "./formats/held.ts";
import { makeKey } from "./keys.ts";
import { allowedUrl } from "./links.ts";
import type { Net } from "./net.ts";
import { asProblem, Problem } from "./problem.ts";
import { type Copy, type Order, type Part, type Pending, readAll } from "./records.ts";
import { dropOwned, type KeyRow, type Store, type Write } from "./store.ts";
import { anchors, issuerOf, type Trust, type TrustedIssuer, type Words } from "./trust.ts";
import type { Vault } from "./vault.ts";
import type { IssuerLine } from "./vci.ts";
import { parseCertificate } from "./x509.ts";

export type Step = "token" | "keys" | "credential" | "check" | "store" | "receipt";

export interface Offered {
  readonly offer: CredentialOfferObject;
  readonly issuer: TrustedIssuer;
  readonly name: Words;
  readonly formats: readonly Format[];
  readonly labels: readonly Words[];
  readonly copies: number;
}

/** Refusals after which trying again by itself cannot help. Everything else is tried again at the next start. */
const FINAL = new Set([
  "invalid_grant",
  "credential_request_denied",
  "unknown_credential_configuration",
  "untrusted_issuer",
  "bad_signature",
  "bad_certificate",
  "bad_digest",
  "bad_holder_proof",
  "not_what_was_asked",
  "unsupported",
  "bad_issuer",
  "invalid_client",
  "unauthorized_client",
  "device_ended",
  "phone_already_active",
  "already_holds",
]);

interface Configuration {
  readonly id: string;
  readonly format: Format;
  readonly type: string;
}

export class Issuance {
  private running = new Map<string, Promise<string>>();

  constructor(
    private readonly store: Store,
    private readonly vault: Vault,
    private readonly net: Net,
    private readonly phone: Phone,
    private readonly trust: Trust,
    private readonly base: string,
    private readonly now: () => number,
  ) {}

  async line(issuer: string): Promise<IssuerLine> {
    const { IssuerLine } = await import("./vci.ts");
    return IssuerLine.open(issuer, this.store, this.net, this.phone, this.base);
  }

  /** What an offer would bring, before anything is asked for. */
  async read(text: string): Promise<Offered> {
    const { IssuerLine } = await import("./vci.ts");
    const offer = await IssuerLine.offer(text, this.net, this.base);
    allowedUrl(offer.credential_issuer, this.base);
    const line = await this.line(offer.credential_issuer);
    const list = await this.trust.list();
    const configurations = offer.credential_configuration_ids.map((id) => configurationOf(line, id));
    const [first] = configurations;
    if (!first) throw new Problem("bad_link", "the offer is empty");
    const issuer = issuerOf(list, first.format, first.type);
    if (!belongs(issuer, offer.credential_issuer)) throw new Problem("untrusted_issuer");
    const look = lookOf(line, first.id);
    return {
      offer,
      issuer,
      name: look.name,
      formats: configurations.map((item) => item.format),
      labels: Object.values(look.labels),
      copies: line.batchSize,
    };
  }

  /**
   * The holder said yes: from here on the issuance survives anything. Returns its id. The same offer accepted twice is one issuance,
   * and a card of a type we hold takes the place of the one we hold.
   */
  async accept(offered: Offered): Promise<string> {
    const code = codeOf(offered.offer);
    const under = (await this.pending()).find((item) => !item.failed && item.offer && codeOf(item.offer) === code);
    if (under) return under.id;
    const orders = await readAll<Order>(this.store, this.vault, "order");
    const { credential_issuer: issuer, credential_configuration_ids: configurations } = offered.offer;
    const held = orders.find(
      (order) => order.issuer === issuer && order.parts.some((part) => configurations.includes(part.configuration)),
    );
    return this.begin({
      id: token(),
      order: held?.id ?? token(), // never the issuance's own id: both are keys of one table
      renewal: false,
      issuer,
      offer: offered.offer as unknown as Record<string, unknown>,
      configurations,
      refresh: null,
    });
  }

  /** Fresh copies for a card we hold. */
  renew(held: Order): Promise<string> {
    return alone("mapae-issuance", () => this.beginRenewal(held));
  }

  /** With the refresh token on disk: another tab may have used the one in memory. */
  private async beginRenewal(held: Order): Promise<string> {
    const order = await this.order(held.id);
    if (!order) throw new Problem("cannot_renew");
    const under = (await this.pending()).find((item) => item.order === order.id && !item.failed);
    if (under) return under.id;
    if (!order.refreshToken) throw new Problem("cannot_renew");
    return this.begin({
      id: token(),
      order: order.id,
      renewal: true,
      issuer: order.issuer,
      offer: null,
      configurations: order.parts.map((part) => part.configuration),
      refresh: order.refreshToken,
    });
  }

  pending(): Promise<Pending[]> {
    return readAll<Pending>(this.store, this.vault, "pending");
  }

  async forget(id: string): Promise<void> {
    await this.store.write(async (tx) => {
      await tx.objectStore("sealed").delete(id);
    });
  }

  /** Runs or resumes. Twice at once is once, in two tabs as well. Resolves to the order's id. */
  run(id: string, onStep: (step: Step) => void = () => undefined): Promise<string> {
    const under = this.running.get(id);
    if (under) return under;
    const work = this.inTurn(id, onStep).finally(() => this.running.delete(id));
    this.running.set(id, work);
    return work;
  }

  private async inTurn(id: string, onStep: (step: Step) => void): Promise<string> {
    const { order } = await this.load(id);
    return alone("mapae-issuance", async () => {
      if (!(await this.store.row(id)) && (await this.order(order))) return order; // another tab finished it
      return this.work(id, onStep);
    });
  }

  private async begin(values: Omit<Pending, "started" | "stored" | "access" | "notify" | "failed">): Promise<string> {
    await this.save({ ...values, started: this.now(), stored: [], access: null, notify: [], failed: null });
    return values.id;
  }

  private async work(id: string, onStep: (step: Step) => void): Promise<string> {
    try {
      let pending = await this.load(id);
      const line = await this.line(pending.issuer);
      for (const configuration of pending.configurations) {
        if (!pending.stored.includes(configuration)) pending = await this.obtain(pending, line, configuration, onStep);
      }
      onStep("receipt");
      await this.sendReceipts(pending, line);
      await this.forget(id);
      return pending.order;
    } catch (thrown) {
      const problem = asProblem(thrown);
      if (FINAL.has(problem.code)) await this.giveUp(id, problem.code);
      throw problem;
    }
  }

  private async obtain(pending: Pending, line: IssuerLine, configuration: string, onStep: (step: Step) => void): Promise<Pending> {
    let current = pending;
    for (let attempt = 1; ; attempt++) {
      try {
        onStep("token");
        current = await this.withToken(current, line);
        return await this.batch(current, line, configurationOf(line, configuration), onStep);
      } catch (thrown) {
        const problem = asProblem(thrown);
        if (attempt > 1 || !["invalid_token", "invalid_nonce"].includes(problem.code)) throw problem;
        if (problem.code === "invalid_token") current = await this.save({ ...current, access: null });
      }
    }
  }

  private async withToken(pending: Pending, line: IssuerLine): Promise<Pending> {
    if (pending.access) return pending;
    const tokens = pending.refresh
      ? await line.tokenByRefresh(pending.refresh)
      : await line.tokenByCode(pending.offer as unknown as CredentialOfferObject);
    const next: Pending = { ...pending, access: tokens.access, refresh: tokens.refresh };
    const rows = [await this.vault.seal("pending", next.id, "", next)];
    const order = await this.order(pending.order);
    if (order) rows.push(await this.vault.seal("order", order.id, "", { ...order, refreshToken: tokens.refresh }));
    await this.store.write(async (tx) => {
      await mustGoOn(tx, next.id);
      for (const row of rows) await tx.objectStore("sealed").put(row);
    });
    return next;
  }

  private async batch(pending: Pending, line: IssuerLine, what: Configuration, onStep: (step: Step) => void): Promise<Pending> {
    onStep("keys");
    const owner = `${pending.order}/${what.id}`;
    const keys: KeyRow[] = [];
    for (let count = 0; count < line.batchSize; count++) keys.push(await makeKey(owner));
    onStep("credential");
    const answer = await line.credentials(what.id, pending.access ?? "", keys);
    onStep("check");
    let held: Held[];
    const issuer = issuerOf(await this.trust.list(), what.format, what.type);
    try {
      held = await this.checkAll(answer.credentials, what, keys, issuer);
    } catch (thrown) {
      const { notification } = answer;
      // The issuer should know that its batch is of no use; not reaching it must not hide why.
      if (notification) await line.notify(pending.access ?? "", notification, "credential_failure").catch(() => undefined);
      throw thrown;
    }
    onStep("store");
    return this.storeBatch(pending, line, what, keys, answer, held, issuer);
  }

  private async checkAll(raw: readonly string[], what: Configuration, keys: readonly KeyRow[], issuer: TrustedIssuer): Promise<Held[]> {
    if (raw.length === 0 || raw.length > keys.length) throw new Problem("not_what_was_asked", "number of copies");
    const trusted = anchors(issuer.ca);
    const check = what.format === "dc+sd-jwt" ? (await import("./formats/sd_jwt.ts")).checkSdJwt : (await import("./formats/mdoc.ts")).checkMdoc;
    const held: Held[] = [];
    for (const [at, credential] of raw.entries()) {
      const key = keys[at];
      if (!key) throw new Problem("not_what_was_asked", "number of copies");
      const one = await check(credential, what.type, key.jwk, trusted, this.now());
      if (one.validUntil * 1000 <= this.now()) throw new Problem("expired", "a copy arrived expired");
      held.push(one);
    }
    return held;
  }

  private async storeBatch(
    pending: Pending,
    line: IssuerLine,
    what: Configuration,
    keys: readonly KeyRow[],
    answer: { credentials: readonly string[]; notification: string | null },
    held: readonly Held[],
    issuer: TrustedIssuer,
  ): Promise<Pending> {
    const owner = `${pending.order}/${what.id}`;
    const copies = answer.credentials.map((raw, at): Copy => {
      const one = held[at] as Held;
      return {
        id: token(),
        order: pending.order,
        configuration: what.id,
        raw,
        key: keys[at]?.id ?? "",
        until: one.validUntil,
        status: one.status ?? null,
      };
    });
    const next: Pending = {
      ...pending,
      stored: [...pending.stored, what.id],
      notify: answer.notification
        ? [...pending.notify, { id: answer.notification, event: "credential_accepted" }]
        : pending.notify,
    };
    const order = this.withPart(await this.order(pending.order), pending, line, what, held[0] as Held, issuer);
    const rows = await Promise.all(copies.map((copy) => this.vault.seal("copy", copy.id, owner, copy)));
    rows.push(await this.vault.seal("order", order.id, "", order), await this.vault.seal("pending", next.id, "", next));
    await this.store.write(async (tx) => {
      await mustGoOn(tx, next.id);
      await dropOwned(tx, owner); // the batch before this one, used or not
      for (const key of keys.slice(0, copies.length)) await tx.objectStore("keys").put(key);
      for (const row of rows) await tx.objectStore("sealed").put(row);
    });
    return next;
  }

  private withPart(
    known: Order | null,
    pending: Pending,
    line: IssuerLine,
    what: Configuration,
    held: Held,
    issuer: TrustedIssuer,
  ): Order {
    const metadata = line.metadata.credentialIssuer.credential_configurations_supported[what.id];
    const part: Part = {
      configuration: what.id,
      format: what.format,
      type: what.type,
      namespace: namespaceOf(metadata, what),
      claims: held.claims,
      authorities: anchors(issuer.ca).map((der) => {
        const { ski } = parseCertificate(der);
        return ski ? b64u(ski) : "";
      }),
      copiesUntil: held.validUntil,
    };
    const others = known?.parts.filter((item) => item.configuration !== what.id) ?? [];
    const fresh = lookOf(line, what.id);
    // A configuration that says nothing about its look wears what the other format says.
    const look = fresh.name.ko === what.id && known ? { name: known.name, colors: known.colors, labels: { ...fresh.labels, ...known.labels } } : fresh;
    return {
      id: pending.order,
      issuer: pending.issuer,
      authorizationServer: line.server,
      issuerName: issuer.name,
      ...look,
      refreshToken: pending.refresh,
      parts: [...others, part].toSorted((a, b) => a.configuration.localeCompare(b.configuration)),
      received: known?.received ?? this.now(),
      standing: "valid",
      standingHeard: this.now(),
    };
  }

  private async sendReceipts(pending: Pending, line: IssuerLine): Promise<void> {
    for (const { id, event } of pending.notify) {
      try {
        await line.notify(pending.access ?? "", id, event);
      } catch (thrown) {
        const problem = asProblem(thrown);
        // The receipt arrived before (its answer was lost), or its token ended: the card is stored either way.
        if (!["invalid_notification_id", "invalid_token", "invalid_notification_request"].includes(problem.code)) throw problem;
      }
    }
  }

  private async giveUp(id: string, code: string): Promise<void> {
    const pending = await this.load(id).catch(() => null);
    if (!pending) return;
    if (pending.renewal) await this.forget(id);
    else await this.save({ ...pending, failed: code });
  }

  private async load(id: string): Promise<Pending> {
    const row = await this.store.row(id);
    if (!row) throw new Problem("not_found", "no such issuance");
    return this.vault.unseal<Pending>(row);
  }

  private async order(id: string): Promise<Order | null> {
    const rows = await readAll<Order>(this.store, this.vault, "order");
    return rows.find((order) => order.id === id) ?? null;
  }

  private async save(pending: Pending): Promise<Pending> {
    const row = await this.vault.seal("pending", pending.id, "", pending);
    await this.store.write(async (tx) => {
      await tx.objectStore("sealed").put(row);
    });
    return pending;
  }
}

/** Inside a write: the cards were not erased (a lost phone, another tab) while the issuer was answering. */
async function mustGoOn(tx: Write, id: string): Promise<void> {
  if (!(await tx.objectStore("sealed").get(id))) throw new Problem("conflict", "the wallet was erased meanwhile");
}

function codeOf(offer: unknown): unknown {
  const { grants } = offer as { grants?: Record<string, { "pre-authorized_code"?: unknown }> };
  return grants?.["urn:ietf:params:oauth:grant-type:pre-authorized_code"]?.["pre-authorized_code"];
}

/** The address an offer names must be the trusted issuer's: its id, or where its status lists live. */
function belongs(issuer: TrustedIssuer, credentialIssuer: string): boolean {
  return issuer.id === credentialIssuer || issuer.status_prefix.startsWith(`${credentialIssuer}/`);
}

function configurationOf(line: IssuerLine, id: string): Configuration {
  const metadata = line.metadata.credentialIssuer.credential_configurations_supported[id] as Record<string, unknown> | undefined;
  const format = metadata?.["format"];
  const type = format === "dc+sd-jwt" ? metadata?.["vct"] : metadata?.["doctype"];
  if ((format !== "dc+sd-jwt" && format !== "mso_mdoc") || typeof type !== "string") {
    throw new Problem("unknown_credential_configuration", id);
  }
  return { id, format, type };
}

interface Display {
  readonly name?: string;
  readonly locale?: string;
  readonly background_color?: string;
  readonly text_color?: string;
}

function byLocale(entries: readonly Display[] | undefined, fallback: string): Words {
  const of = (tag: string): string | undefined => entries?.find((entry) => entry.locale?.startsWith(tag))?.name;
  const any = entries?.[0]?.name ?? fallback;
  return { ko: of("ko") ?? any, en: of("en") ?? any };
}

/** How the issuer wants the card to look and its items to be called (credential_metadata, OpenID4VCI 1.0 section 12.2.4). */
function lookOf(line: IssuerLine, id: string): Pick<Order, "name" | "colors" | "labels"> {
  const metadata = line.metadata.credentialIssuer.credential_configurations_supported[id] as {
    credential_metadata?: { display?: Display[]; claims?: { path: unknown[]; display?: Display[] }[] };
  };
  const { display, claims } = metadata.credential_metadata ?? {};
  const color = (raw: string | undefined, otherwise: string): string => (raw && /^#[0-9a-f]{6}$/i.test(raw) ? raw : otherwise);
  return {
    name: byLocale(display, id),
    colors: { background: color(display?.[0]?.background_color, "#123a7a"), text: color(display?.[0]?.text_color, "#ffffff") },
    labels: Object.fromEntries(
      (claims ?? []).map((claim) => {
        const name = String(claim.path.at(-1));
        return [name, byLocale(claim.display, name)];
      }),
    ),
  };
}

function namespaceOf(metadata: unknown, what: Configuration): string {
  if (what.format !== "mso_mdoc") return "";
  const claims = (metadata as { credential_metadata?: { claims?: { path: unknown[] }[] } }).credential_metadata?.claims;
  const first = claims?.find((claim) => claim.path.length === 2)?.path[0];
  return typeof first === "string" ? first : what.type;
}
