/**
 * Showing items of a card.
 * Promises: each presentation spends one copy, marked as used before anything is sent; the history says what was shown to whom even
 * when the app dies on the way. Trusts: the checked request (request.ts). Keeps: the history entry. Refuses: to reuse a copy,
 * to show after the request's own end, to follow a redirect.
 */
import { b64u, type Bytes, token } from "./bytes.ts";
import { type Holding, itemsOf, type Pick } from "./dcql.ts";
import { giveVp } from "./family.ts";
import type { Issuance } from "./issue.ts";
import { type Net, refusal } from "./net.ts";
import { framesOf } from "./offline_qr.ts";
import { asProblem, Problem } from "./problem.ts";
import { type Copy, type Order, readAll, type Shown, writeOne } from "./records.ts";
import { type Asked, encrypted, encryptionThumbprint, type Question, sendError } from "./request.ts";
import type { KeyRow, SealedRow, Store } from "./store.ts";
import { type Payment, transactionHashes } from "./transaction.ts";
import { type Words, wordsOf } from "./trust.ts";
import type { Vault } from "./vault.ts";

export const LOW = 2;

/** A stranger's card that nobody renews: its copies are shown again rather than never. Whoever sees one twice can tell that it is the same. */
export const shownAgain = (order: Order): boolean => Boolean(order.stranger) && order.refreshToken === null;

interface Spendable {
  readonly row: SealedRow;
  readonly copy: Copy;
  readonly key: KeyRow;
}
interface Spending {
  readonly pick: Pick;
  readonly copy: Spendable;
}
/** What a code on the screen is an answer to. */
export interface CodeFor {
  readonly audience: string;
  readonly nonce: Bytes;
  readonly purpose: string;
  readonly how: NonNullable<Shown["code_shown"]>;
}

export class Presenter {
  constructor(
    private readonly store: Store,
    private readonly vault: Vault,
    private readonly net: Net,
    private readonly issuance: Issuance,
    private readonly now: () => number,
  ) {}

  holdings(orders: readonly Order[]): Holding[] {
    return orders.flatMap((order) =>
      order.parts.map(({ format, type, namespace, authorities, open = [], ...part }) => {
        const claims = format === "dc+sd-jwt" ? { vct: type, ...part.claims } : (part.spaces ?? { [namespace]: part.claims });
        return { order: order.id, format, type, authorities, claims, open };
      }),
    );
  }

  /** With what its copies leave open, and the value of each such claim, for cards kept before that was written down. */
  async completed(order: Order): Promise<Order> {
    const parts = order.parts.map(async (part) => {
      if (part.format !== "dc+sd-jwt" || part.open) return part;
      const row = (await this.store.rowsUnder(`${order.id}/${part.configuration}`)).find(({ kind }) => kind === "copy");
      if (!row) return part;
      const { claimsIn, openIn } = await import("./formats/sd_jwt.ts");
      const { raw } = await this.vault.unseal<Copy>(row);
      return { ...part, claims: { ...(await claimsIn(raw)), ...part.claims }, open: await openIn(raw) };
    });
    return { ...order, parts: await Promise.all(parts) };
  }

  /** How many unused, unexpired copies each part of a card has. */
  async copiesLeft(order: Order): Promise<Map<string, number>> {
    const left = new Map<string, number>();
    for (const part of order.parts) left.set(part.configuration, (await this.spendable(order, part.configuration)).length);
    return left;
  }

  /** When the first of its formats has no copy left to show, in seconds; 0 when one has none now. */
  async copiesUntil(order: Order): Promise<number> {
    const ends = await Promise.all(
      order.parts.map(async (part) => Math.max(0, ...(await this.spendable(order, part.configuration, shownAgain(order))).map(({ copy }) => copy.until))),
    );
    return Math.min(...ends);
  }

  async statusOf(order: Order): Promise<{ uri: string; idx: number } | null> {
    for (const part of order.parts) {
      const rows = await this.store.rowsUnder(`${order.id}/${part.configuration}`);
      for (const row of rows.filter((item) => item.kind === "copy")) {
        const copy = await this.vault.unseal<Copy>(row);
        if (copy.status) return copy.status;
      }
    }
    return null;
  }

  async decline(asked: Asked, picks: readonly Pick[], orders: readonly Order[]): Promise<void> {
    await this.record(this.entry(asked, picks, orders, "declined"));
    await sendError(this.net, asked, "access_denied");
  }

  /** Shows. Resolves to the history entry; a Problem after the copy was spent leaves the entry saying so. */
  async show(asked: Asked, picks: readonly Pick[], orders: readonly Order[]): Promise<{ entry: Shown; next: string | null }> {
    this.mustBeInTime(asked);
    const spending = await this.copiesFor(picks, orders);
    if (!asked.transactions.every((payment) => carrierOf(payment, spending))) throw new Problem("invalid_transaction_data", "no credential carries it");
    const entry = this.entry(asked, picks, orders, "sending");
    await this.spend(spending, entry);
    let next: string | null;
    try {
      next = await this.send(asked, spending);
    } catch (thrown) {
      const problem = asProblem(thrown);
      // No answer is not a no: it may have arrived. The entry keeps saying so.
      const result = problem.code === "offline" ? "sending" : "failed";
      await this.record({ ...entry, result, code: problem.code });
      throw problem;
    }
    const sent: Shown = { ...entry, result: "sent" };
    await this.record(sent);
    return { entry: sent, next };
  }

  /**
   * A code for the screen. The copy is spent before there is anything to draw; killed in between, the entry says that it may have been
   * seen. One pick only: a code holds one presentation.
   */
  async code(asked: Question, what: CodeFor, picks: readonly Pick[], orders: readonly Order[]): Promise<{ entry: Shown; texts: string[]; made: number }> {
    this.mustBeInTime(asked);
    const [{ pick, copy } = none(), ...more] = await this.copiesFor(picks, orders);
    if (more.length > 0) throw new Problem("unsupported", "two cards in one code");
    const made = Math.floor(this.now() / 1000);
    const entry: Shown = { ...this.entry(asked, picks, orders, "sending"), code_shown: what.how };
    await this.spend([{ pick, copy }], entry);
    try {
      const presentation = await this.bound({ pick, copy }, { ...what, made });
      const texts = await framesOf({ format: pick.holding.format, made, nonce: what.nonce, purpose: what.purpose, presentation });
      const shown: Shown = { ...entry, result: "sent" };
      await this.record(shown);
      return { entry: shown, texts, made };
    } catch (thrown) {
      const problem = asProblem(thrown);
      await this.record({ ...entry, result: "failed", code: problem.code });
      throw problem;
    }
  }

  private async bound({ pick, copy: { copy, key } }: Spending, session: { audience: string; nonce: Bytes; made: number }): Promise<string> {
    if (pick.holding.format === "dc+sd-jwt") {
      const { presentSdJwt } = await import("./formats/sd_jwt.ts");
      return presentSdJwt(copy.raw, pick.paths, key, { audience: session.audience, nonce: b64u(session.nonce), more: {} }, session.made * 1000);
    }
    const { presentMdoc } = await import("./formats/mdoc.ts");
    return presentMdoc(copy.raw, pick.holding.type, elementsOf(pick), key, session);
  }

  /** One copy for each pick. */
  private async copiesFor(picks: readonly Pick[], orders: readonly Order[]): Promise<Spending[]> {
    if (picks.length === 0) throw new Problem("not_held");
    const spending: Spending[] = [];
    for (const pick of picks) {
      const taken = new Set(spending.map(({ copy }) => copy.row.id));
      const copy = await this.take(pick, orders, taken);
      await mustBeAsListed(pick, copy.copy);
      spending.push({ pick, copy });
    }
    return spending;
  }

  /** Marks the copies as used and writes the entry, in one transaction: of two tabs one spends a copy. */
  private async spend(spending: readonly Spending[], entry: Shown): Promise<void> {
    const row = await this.vault.seal("history", entry.id, "", entry);
    await this.store.write(async (tx) => {
      for (const copy of new Map(spending.map(({ copy }) => [copy.row.id, copy])).values()) {
        const current = await tx.objectStore("sealed").get(copy.row.id);
        if (!current || (current.used === 1 && copy.row.used !== 1)) throw new Problem("conflict", "this copy was used a moment ago");
        await tx.objectStore("sealed").put({ ...current, used: 1 });
      }
      await tx.objectStore("sealed").put(row);
    });
  }

  private async send(asked: Asked, spending: readonly Spending[]): Promise<string | null> {
    const tokens: Record<string, string[]> = {};
    for (const { pick, copy } of spending) {
      const carried = asked.transactions.filter((payment) => carrierOf(payment, spending) === pick);
      (tokens[pick.query] ??= []).push(await this.present(asked, pick, copy, carried));
    }
    this.mustBeInTime(asked);
    // OpenID4VP 1.0 section 8.3: nothing but these members.
    const payload = { vp_token: tokens, ...(asked.state === null ? {} : { state: asked.state }) };
    const jwe = await encrypted(payload, asked.encryptTo);
    if (asked.family) return giveVp(this.net, asked.family, asked.nonce, jwe).then(() => null);
    return this.post(asked.responseUri, new URLSearchParams({ response: jwe }));
  }

  private async present(asked: Asked, pick: Pick, { copy, key }: Spendable, carried: readonly Payment[]): Promise<string> {
    if (pick.holding.format === "dc+sd-jwt") {
      const { presentSdJwt } = await import("./formats/sd_jwt.ts");
      const binding = { audience: asked.clientId, nonce: asked.nonce, more: await transactionHashes(carried) };
      return presentSdJwt(copy.raw, pick.paths, key, binding, this.now());
    }
    const { presentMdoc } = await import("./formats/mdoc.ts");
    return presentMdoc(copy.raw, pick.holding.type, elementsOf(pick), key, {
      clientId: asked.clientId,
      nonce: asked.nonce,
      responseUri: asked.responseUri,
      encryptionThumbprint: await encryptionThumbprint(asked.encryptTo),
    });
  }

  /** Returns where the verifier wants the browser to go next, if anywhere (OpenID4VP 1.0 section 8.2). */
  private async post(url: string, form: URLSearchParams): Promise<string | null> {
    const response = await this.net.fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/x-www-form-urlencoded", Accept: "application/json" },
      body: form.toString(),
    });
    if (!response.ok) throw await refusal(response);
    const answer = (await response.json().catch(() => ({}))) as { redirect_uri?: unknown };
    const next = answer.redirect_uri;
    return typeof next === "string" && URL.canParse(next) && this.net.may(next) ? next : null;
  }

  /** A copy to spend; when none is left, fresh ones are fetched first. */
  private async take(pick: Pick, orders: readonly Order[], taken: ReadonlySet<string>): Promise<Spendable> {
    const free = ({ row }: Spendable): boolean => !taken.has(row.id);
    const order = orders.find((item) => item.id === pick.holding.order);
    const part = order?.parts.find((item) => item.format === pick.holding.format && item.type === pick.holding.type);
    if (!order || !part) throw new Problem("not_held");
    const first = (await this.spendable(order, part.configuration)).find(free);
    if (first) return first;
    const [again] = shownAgain(order) ? await this.spendable(order, part.configuration, true) : [];
    if (again) return again;
    // Fresh copies would take the place of those about to be shown.
    if (taken.size > 0) throw new Problem("no_copies");
    await this.issuance.run(await this.issuance.renew(order)).catch((thrown: unknown) => {
      const problem = asProblem(thrown);
      throw problem.code === "offline" ? new Problem("no_copies", "offline") : problem;
    });
    const [fresh] = await this.spendable(order, part.configuration);
    if (!fresh) throw new Problem("no_copies");
    return fresh;
  }

  private async spendable(order: Order, configuration: string, usedToo = false): Promise<Spendable[]> {
    const owner = `${order.id}/${configuration}`;
    const keys = new Map((await this.store.keysOf(owner)).map((key) => [key.id, key]));
    const found: Spendable[] = [];
    for (const row of await this.store.rowsUnder(owner)) {
      if (row.kind !== "copy" || (row.used === 1 && !usedToo)) continue;
      const copy = await this.vault.unseal<Copy>(row);
      const key = keys.get(copy.key);
      if (key && copy.until * 1000 > this.now()) found.push({ row, copy, key });
    }
    return found;
  }

  entry(asked: Question, picks: readonly Pick[], orders: readonly Order[], result: Shown["result"]): Shown {
    const { party, purpose, stranger, anyone = false } = asked;
    const none: Words = { ko: "", en: "" };
    const shown = [...new Set(picks.map((pick) => pick.holding.order))].flatMap((id) => orders.find((order) => order.id === id)?.name ?? []);
    const declined = result === "declined";
    return {
      id: token(),
      at: this.now(),
      party: party.name,
      purpose: purpose?.name ?? none,
      why: purpose?.why ?? none,
      legalBasis: purpose?.legal_basis ?? none,
      retention: purpose?.retention ?? none,
      card: { ko: shown.map(({ ko }) => ko).join(", "), en: shown.map(({ en }) => en).join(", ") },
      format: picks[0]?.holding.format ?? null,
      items: picks.flatMap(itemsOf).map(({ name, value }) => ({ name, value: declined || name === "portrait" ? null : value })),
      ...(stranger || anyone ? { stranger: true } : {}),
      ...(!stranger && !anyone && party.id ? { who: { id: party.id, contact: party.contact ?? "" } } : {}),
      ...(purpose ? { purposeId: purpose.id } : {}),
      ...(asked.transactions.length > 0
        ? { payments: asked.transactions.map(({ payee, amount, currency, reference }) => ({ payee, amount, currency, reference })) }
        : {}),
      result,
      code: null,
    };
  }

  history(): Promise<Shown[]> {
    return readAll<Shown>(this.store, this.vault, "history").then((all) => all.toSorted((a, b) => b.at - a.at));
  }

  /** Also used for requests the wallet itself turned down. */
  async record(entry: Shown): Promise<void> {
    await writeOne(this.store, this.vault, "history", "", entry);
  }

  /** The holder should find in the history what the wallet turned down for her. */
  async recordRefusal(problem: Problem): Promise<Problem> {
    if (!REFUSALS.has(problem.code)) return problem;
    const none: Words = { ko: "", en: "" };
    const { party, purpose, items, anyone, who, evidence } = problem.facts; // a server may have said them
    const { id, contact } = (who ?? {}) as { id?: unknown; contact?: unknown };
    const names = Array.isArray(items) ? items.filter((item) => typeof item === "string") : [];
    await this.record({
      id: token(),
      at: this.now(),
      party: wordsOf(party),
      purpose: wordsOf(purpose),
      why: none,
      legalBasis: none,
      retention: none,
      card: none,
      format: null,
      items: names.map((name) => ({ name, value: null })),
      ...(anyone === true ? { stranger: true } : {}),
      ...(typeof id === "string" && typeof contact === "string" ? { who: { id, contact } } : {}),
      ...(typeof evidence === "string" && evidence.length <= MOST_EVIDENCE ? { evidence } : {}),
      result: "refused",
      code: problem.code,
    });
    return problem;
  }

  private mustBeInTime(asked: Question): void {
    if (asked.expires !== null && asked.expires * 1000 < this.now()) throw new Problem("request_expired");
  }
}

/** What the supervisor takes (trust/complaints.py). */
const MOST_EVIDENCE = 65_536;
const REFUSALS = new Set(["over_asking", "unknown_relying_party", "registration_required", "unknown_purpose"]);

const none = (): never => {
  throw new Problem("not_held");
};

/** Fresh copies may have come since the holder was told what goes along. */
async function mustBeAsListed({ holding: { format, open = [] } }: Pick, { raw }: Copy): Promise<void> {
  if (format !== "dc+sd-jwt") return;
  const { openIn } = await import("./formats/sd_jwt.ts");
  if (JSON.stringify(await openIn(raw)) !== JSON.stringify(open)) throw new Problem("conflict", "the copies leave other things open than before");
}

/** What is shown of an mdoc: namespace -> elements. */
function elementsOf(pick: Pick): Map<string, string[]> {
  const names = new Map<string, string[]>();
  for (const [space, name] of pick.paths as [string, string][]) names.set(space, [...(names.get(space) ?? []), name]);
  return names;
}

/** OpenID4VP 1.0 section 5.1: a transaction that could ride on several credentials rides on one. */
function carrierOf(payment: Payment, spending: readonly { readonly pick: Pick }[]): Pick | undefined {
  return spending.find(({ pick }) => payment.credentialIds.includes(pick.query))?.pick;
}
