/**
 * Receiving a card. The steps are those of docs/issuing.md, from the phone's side.
 * Promises: killed at any line, the next start finishes the work; no batch is stored twice, none is lost. Trusts: the trust list for
 * who may issue what; an issuer on no list only as far as the holder, told so, said yes. Keeps: the pending issuance until the issuer
 * has our receipt. Refuses: a type that is somebody else's, copies that do not check (the issuer is told), a sign-in that came back
 * from another server or to another start.
 *
 * Why it is safe: what the issuer can notice is repeated with the same code or token, which it answers again while the last batch
 * is not acknowledged; what only we notice happens in one transaction (keys, copies, card, receipt to send). An authorization code that
 * was lost on the way is gone: the holder signs in again.
 */
import { alone } from "./alone.ts";
import { cardOf, cardWith, checkAll, replacedBy } from "./arrived.ts";
import { token } from "./bytes.ts";
import type { Phone } from "./device.ts";
import type { Held } from "./formats/held.ts";
import { makeKey } from "./keys.ts";
import { allowedUrl } from "./links.ts";
import { type Configuration, issuerLogo, issuerName, lookOf, tellsApart } from "./look.ts";
import type { Net } from "./net.ts";
import { deferredUntil, type CredentialOffer, type Offered, readOffer, sameOffer, serverOf, subjectOf, txCodeOf } from "./offer.ts";
import { asProblem, Problem } from "./problem.ts";
import { type Copy, type Order, type Pending, readAll } from "./records.ts";
import { dropOrder, dropOwned, type KeyRow, type SealedRow, type Store, type Write } from "./store.ts";
import { anchors, issuerOf, type Trust, type TrustedIssuer } from "./trust.ts";
import type { Vault } from "./vault.ts";
import type { Answered, IssuerLine, Tokens } from "./vci.ts";
import { sameSigner } from "./x509.ts";

export type Step = "token" | "keys" | "credential" | "check" | "store" | "receipt";

/** Refusals after which trying again by itself cannot help. Everything else is tried again at the next start. */
const FINAL = new Set([
  "cannot_renew",
  "invalid_grant",
  "access_denied",
  "credential_request_denied",
  "invalid_transaction_id",
  "unknown_credential_configuration",
  "unknown_credential_identifier",
  "untrusted_issuer",
  "signer_revoked",
  "bad_signature",
  "bad_certificate",
  "bad_digest",
  "bad_holder_proof",
  "not_what_was_asked",
  "not_encrypted",
  "unsupported",
  "bad_issuer",
  "insecure_address",
  "invalid_client",
  "unauthorized_client",
  "device_ended",
  "phone_already_active",
  "already_holds",
]);

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

  /** `server`: the authorization server an offer named. */
  async line(issuer: string, server: string | null = null): Promise<IssuerLine> {
    const { IssuerLine } = await import("./vci.ts");
    const { store, net, phone, base, now } = this;
    const listed = (await this.trust.list()).issuers.filter((one) => one.id === issuer || one.status_prefix.startsWith(`${issuer}/`));
    const trusted = listed.length > 0 ? listed.flatMap(({ ca }) => anchors(ca)) : null;
    const entered = listed.every(({ signers }) => signers) && trusted ? listed.flatMap(({ signers }) => signers ?? []) : null;
    return IssuerLine.open(issuer, { store, net, phone, base, now, trusted, entered }, server ?? undefined);
  }

  /** What an offer would bring, before anything is asked for. */
  async read(text: string): Promise<Offered> {
    const offer = await readOffer(text, this.net);
    const { host } = allowedUrl(offer.credential_issuer, this.base);
    const ids = offer.credential_configuration_ids;
    const line = await this.line(offer.credential_issuer, serverOf(offer));
    const what = ids.map((id) => line.configuration(id));
    const [first] = what as [Configuration];
    const listed = issuerOf(await this.trust.list(), offer.credential_issuer, what);
    const look = lookOf(line.issuer, first);
    const grant = line.grantOf(offer);
    return {
      offer,
      issuer: listed?.name ?? issuerName(line.issuer, host),
      host,
      stranger: listed ? null : { signer: line.signer },
      look: { ...look, logo: look.logo ?? issuerLogo(line.issuer) },
      formats: what.map((item) => item.format),
      labels: Object.values(look.labels),
      copies: line.batchSize,
      txCode: grant === "pre" ? txCodeOf(offer) : null,
      signInHost: grant === "code" ? line.signInHost : null,
      subject: subjectOf(text, this.base),
    };
  }

  /**
   * The holder said yes: from here on the issuance survives anything. Returns its id. The same offer accepted twice is one issuance,
   * and a card of a type we hold takes the place of the one we hold.
   */
  async accept(offered: Offered, txCode: string | null = null): Promise<string> {
    const { offer } = offered;
    const under = (await this.pending()).find((item) => !item.failed && item.offer && sameOffer(item.offer, offer));
    if (under) {
      if (txCode !== null) await this.save({ ...under, txCode });
      return under.id;
    }
    const { credential_issuer: issuer, credential_configuration_ids: configurations } = offer;
    const cards = await this.cardsFor(issuer, configurations, serverOf(offer));
    return this.begin({
      id: token(),
      order: cards[configurations[0] ?? ""] ?? token(),
      cards,
      renewal: false,
      issuer,
      offer,
      configurations,
      refresh: null,
      name: offered.look.name,
      host: offered.host,
      subject: offered.subject,
      stranger: offered.stranger !== null,
      grant: offered.signInHost === null ? "pre" : "code",
      server: serverOf(offer),
      txCode,
    });
  }

  /** One card a document: two forms of one share it, two documents in one form do not. Where one may hold several, what arrives says which. */
  private async cardsFor(issuer: string, ids: readonly string[], server: string | null): Promise<Record<string, string>> {
    const line = await this.line(issuer, server);
    const orders = await readAll<Order>(this.store, this.vault, "order");
    const what = ids.map((id) => line.configuration(id));
    const alike = new Set(what.map(({ format }) => format)).size === what.length;
    const cards: Record<string, string> = {};
    for (const { id } of what) {
      const kin = alike ? ids : [id];
      const several = tellsApart(line.issuer, line.configuration(id)).length > 0;
      const held = several ? undefined : orders.find((order) => order.issuer === issuer && order.parts.some((part) => kin.includes(part.configuration)));
      cards[id] = held?.id ?? (alike ? Object.values(cards)[0] : undefined) ?? token(); // never the issuance's own id: both are keys of one table
    }
    return cards;
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
      stranger: Boolean(order.stranger),
      server: order.authorizationServer || null,
    });
  }

  /** The address the browser goes to, so that the holder can sign in; what has to match afterwards is on disk before she leaves. */
  async signIn(id: string): Promise<string> {
    const pending = await this.load(id);
    const line = await this.line(pending.issuer, pending.server);
    const what = pending.configurations.map((one) => line.configuration(one));
    const signIn = await line.signIn(mustHave(pending.offer), what, new URL("/wallet/callback", this.base).href);
    await this.save({ ...pending, signIn, code: null });
    return signIn.url;
  }

  /** The browser came back (RFC 6749 section 4.1.2, RFC 9207). Returns the issuance it came back to. */
  async returned(answer: URLSearchParams): Promise<string> {
    if ([...answer.keys()].some((name) => answer.getAll(name).length > 1)) throw new Problem("unknown_return", "a parameter twice");
    const state = answer.get("state") ?? "";
    const pending = (await this.pending()).find((item) => item.signIn && item.signIn.state === state && state !== "");
    if (!pending?.signIn) throw new Problem("unknown_return", "no sign-in of ours");
    const over = { ...pending, signIn: { ...pending.signIn, state: "" } }; // a state answers once
    // HAIP 1.0 section 4 by FAPI 2.0: always there, and the very server we sent the browser to.
    if (answer.get("iss") !== pending.signIn.server) {
      await this.save({ ...over, signIn: null });
      throw new Problem("wrong_return", "another issuer");
    }
    const code = answer.get("code");
    if (answer.has("error") || !code) {
      const failed = answer.get("error") === "access_denied" ? "access_denied" : "sign_in_failed";
      await this.save({ ...over, signIn: null, failed });
      throw new Problem(failed);
    }
    await this.save({ ...over, code });
    return pending.id;
  }

  /** The code the holder was told, for an issuance that waits for it. */
  async giveTxCode(id: string, txCode: string): Promise<void> {
    await this.save({ ...(await this.load(id)), txCode });
  }

  pending(): Promise<Pending[]> {
    return readAll<Pending>(this.store, this.vault, "pending");
  }

  async forget(id: string): Promise<void> {
    await this.store.write(async (tx) => {
      await tx.objectStore("sealed").delete(id);
      await dropOwned(tx, waiting(id));
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
      const line = await this.line(pending.issuer, pending.server);
      for (const configuration of pending.configurations) {
        if (!pending.stored.includes(configuration)) pending = await this.obtain(pending, line, configuration, onStep);
      }
      onStep("receipt");
      await this.sendReceipts(pending, line);
      const until = deferredUntil(pending);
      if (until > 0) {
        await this.save({ ...pending, notify: [] });
        throw new Problem("deferred", "", { until });
      }
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
    if ((pending.deferred?.[configuration]?.next ?? 0) > this.now()) return pending; // not yet
    for (let attempt = 1; ; attempt++) {
      try {
        onStep("token");
        current = await this.withToken(current, line);
        return await this.batch(current, line, line.configuration(configuration), onStep);
      } catch (thrown) {
        const problem = asProblem(thrown);
        const forgotten = problem.code === "invalid_transaction_id" && !current.askedAgain?.includes(configuration);
        if (attempt > 1 || !(forgotten || ["invalid_token", "invalid_nonce"].includes(problem.code))) throw problem;
        if (problem.code === "invalid_token") current = await this.save({ ...current, access: null });
        // Section 9.3: fetched before, and that answer was lost; or never known. It is asked for anew, once.
        if (forgotten) {
          const askedAgain = [...(current.askedAgain ?? []), configuration];
          current = await this.save({ ...current, deferred: without(current.deferred, configuration), askedAgain });
        }
      }
    }
  }

  private async withToken(pending: Pending, line: IssuerLine): Promise<Pending> {
    if (pending.access) return pending;
    const { access, refresh, identifiers } = await this.tokens(pending, line);
    const next: Pending = { ...pending, access, refresh, identifiers: { ...pending.identifiers, ...identifiers }, code: null };
    const rows = [await this.vault.seal("pending", next.id, "", next)];
    // Cards that came by one offer share the token; a used one is of no use to any of them.
    const kin = new Set([pending.order, ...Object.values(pending.cards ?? {})]);
    for (const order of await readAll<Order>(this.store, this.vault, "order")) {
      const shares = kin.has(order.id) || (order.refreshToken !== null && order.refreshToken === pending.refresh);
      if (shares) rows.push(await this.vault.seal("order", order.id, "", { ...order, refreshToken: refresh }));
    }
    await this.store.write(async (tx) => {
      await mustGoOn(tx, next.id);
      for (const row of rows) await tx.objectStore("sealed").put(row);
    });
    return next;
  }

  private async tokens(pending: Pending, line: IssuerLine): Promise<Tokens> {
    if (pending.refresh) return line.tokenByRefresh(pending.refresh);
    if (pending.grant === "code") {
      const { code, signIn } = pending;
      if (!code || !signIn) throw new Problem("sign_in_needed");
      return line.tokenBySignIn(signIn, code).catch(async (thrown: unknown) => {
        if (asProblem(thrown).code !== "invalid_grant") throw thrown;
        await this.save({ ...pending, code: null, signIn: null }); // used or run out: a new one comes by signing in again
        throw new Problem("sign_in_needed", "the code was not taken");
      });
    }
    const asked = txCodeOf(pending.offer);
    const { txCode = null } = pending;
    if (asked && !txCode) throw new Problem("tx_code_needed");
    return line.tokenByOffer(mustHave(pending.offer), asked ? txCode : null).catch(async (thrown: unknown) => {
      // Section 6.3: a wrong code and a spent offer are answered alike; the holder may try another code.
      if (!asked || asProblem(thrown).code !== "invalid_grant") throw thrown;
      await this.save({ ...pending, txCode: null });
      throw new Problem("wrong_tx_code");
    });
  }

  private async batch(pending: Pending, line: IssuerLine, what: Configuration, onStep: (step: Step) => void): Promise<Pending> {
    const put = pending.deferred?.[what.id];
    onStep("keys");
    const keys: KeyRow[] = [];
    if (put) {
      const kept = new Map((await this.store.keysOf(waiting(pending.id))).map((key) => [key.id, key]));
      keys.push(...put.keys.flatMap((id) => kept.get(id) ?? []));
    } else for (let count = 0; count < line.batchSize; count++) keys.push(await makeKey(waiting(pending.id)));
    onStep("credential");
    const answer = put
      ? await line.deferred(put.transaction, pending.access ?? "")
      : await line.credentials(what.id, pending.identifiers?.[what.id]?.[0] ?? null, pending.access ?? "", keys);
    if ("transaction" in answer) return this.putOff(pending, what, answer, keys);
    onStep("check");
    let held: Held[];
    const issuer = await this.source(pending, what);
    try {
      held = await checkAll(answer.credentials, what, keys, issuer, this.now());
      await this.mustBeTheSame(pending, what, held);
    } catch (thrown) {
      const { notification } = answer;
      // The issuer should know that its batch is of no use; not reaching it must not hide why.
      if (notification) await line.notify(pending.access ?? "", notification, "credential_failure").catch(() => undefined);
      throw thrown;
    }
    onStep("store");
    return this.storeBatch(pending, line, what, keys, answer, held, issuer);
  }

  /** The issuer needs more time: the keys wait with the transaction, so that what comes is bound to them. */
  private async putOff(pending: Pending, what: Configuration, answer: { transaction: string; interval: number }, keys: readonly KeyRow[]): Promise<Pending> {
    const { transaction, interval } = answer;
    const put = { transaction, next: this.now() + Math.min(interval, 30 * 86_400) * 1000, keys: keys.map(({ id }) => id) };
    const next: Pending = { ...pending, deferred: { ...pending.deferred, [what.id]: put } };
    const row = await this.vault.seal("pending", next.id, "", next);
    await this.store.write(async (tx) => {
      await mustGoOn(tx, next.id);
      for (const key of keys) await tx.objectStore("keys").put(key);
      await tx.objectStore("sealed").put(row);
    });
    return next;
  }

  /** Who issues this, by the list of now. A stranger needs the holder's yes; one the list struck off is not a stranger. */
  private async source(pending: Pending, what: Configuration): Promise<TrustedIssuer | null> {
    const listed = issuerOf(await this.trust.list(), pending.issuer, [what]);
    if (!listed && !pending.stranger) throw new Problem("untrusted_issuer", "on the list no longer");
    return listed;
  }

  /**
   * What nobody vouches for has to stay the same: a stranger's fresh copies are by the key of the first, that of its authority where the
   * chain shows one. Another key needs another yes of the holder's: an offer.
   */
  private async mustBeTheSame(pending: Pending, what: Configuration, held: readonly Held[]): Promise<void> {
    const known = (await this.order(cardOf(pending, what.id)))?.parts.find((part) => part.configuration === what.id)?.signer;
    const first = (pending.renewal ? known : undefined) ?? held[0]?.signer;
    if (pending.stranger && !(first && held.every(({ signer }) => sameSigner(first, signer)))) throw new Problem("not_what_was_asked", "signed by somebody else than before");
  }

  private async storeBatch(
    pending: Pending,
    line: IssuerLine,
    what: Configuration,
    keys: readonly KeyRow[],
    answer: Extract<Answered, { credentials: readonly string[] }>,
    held: readonly Held[],
    issuer: TrustedIssuer | null,
  ): Promise<Pending> {
    const card = cardOf(pending, what.id);
    const owner = `${card}/${what.id}`;
    const copies = answer.credentials.map((raw, at): Copy => {
      const one = held[at] as Held;
      return {
        id: token(),
        order: card,
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
    const order = await cardWith(await this.order(card), pending, line, what, [held[0] as Held, held.length], issuer, this.net, this.now());
    const rows: SealedRow[] = await Promise.all(copies.map((copy) => this.vault.seal("copy", copy.id, owner, copy)));
    rows.push(await this.vault.seal("order", order.id, "", order), await this.vault.seal("pending", next.id, "", next));
    const replaced = replacedBy(order, await readAll<Order>(this.store, this.vault, "order"), tellsApart(line.issuer, what), what.id);
    await this.store.write(async (tx) => {
      await mustGoOn(tx, next.id);
      // Thrown away, or replaced by a newer one, while its fresh copies were on the way: it does not come back.
      if (pending.renewal && !(await tx.objectStore("sealed").get(card))) throw new Problem("cannot_renew", "the card is gone");
      await dropOwned(tx, owner); // the batch before this one, used or not
      for (const old of replaced) await dropOrder(tx, old);
      for (const key of keys.slice(copies.length)) await tx.objectStore("keys").delete(key.id);
      for (const key of keys.slice(0, copies.length)) await tx.objectStore("keys").put({ ...key, owner });
      for (const row of rows) await tx.objectStore("sealed").put(row);
    });
    return next;
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

/** Keys of an issuance under way belong to it, until what they are for is stored. */
const waiting = (id: string): string => `pending:${id}`;

function mustHave(offer: CredentialOffer | null): CredentialOffer {
  if (!offer) throw new Problem("wallet_fault", "an issuance without its offer");
  return offer;
}

function without(all: Pending["deferred"], id: string): NonNullable<Pending["deferred"]> {
  return Object.fromEntries(Object.entries(all ?? {}).filter(([key]) => key !== id));
}
