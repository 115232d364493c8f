/**
 * Showing items of a card.
 * Promises: each presentation spends one copy, marked as used before anything is sent; the history says what was shown to whom even
 * when the app dies on the way. Trusts: the checked request (request.ts). Keeps: the history entry. Refuses: to reuse a copy,
 * to show after the request's own end, to follow a redirect.
 */
import { CompactEncrypt, importJWK } from "jose";
import { token, utf8 } from "./bytes.ts";
import type { Holding, Pick } from "./dcql.ts";
import type { Issuance } from "./issue.ts";
import { type Net, refusal } from "./net.ts";
import { asProblem, Problem } from "./problem.ts";
import { type Copy, type Order, readAll, type Shown, writeOne } from "./records.ts";
import { type Asked, encryptionThumbprint } from "./request.ts";
import type { KeyRow, SealedRow, Store } from "./store.ts";
import type { Vault } from "./vault.ts";

export const LOW = 2;

interface Spendable {
  readonly row: SealedRow;
  readonly copy: Copy;
  readonly key: KeyRow;
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
    return orders.flatMap((order) => order.parts.map((part) => ({ ...part, order: order.id })));
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
      order.parts.map(async (part) => Math.max(0, ...(await this.spendable(order, part.configuration)).map(({ copy }) => copy.until))),
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
    const body = new URLSearchParams({ error: "access_denied", ...(asked.state ? { state: asked.state } : {}) });
    // OpenID4VP 1.0 section 8.5: the refusal is told to the response_uri. Not reaching it changes nothing for the holder.
    await this.post(asked.responseUri, body).catch(() => undefined);
  }

  /** Shows. Resolves to the history entry; a Problem after the copy was spent leaves the entry saying so. */
  async show(asked: Asked, picks: readonly Pick[], orders: readonly Order[]): Promise<{ entry: Shown; next: string | null }> {
    this.mustBeInTime(asked);
    const spending: { pick: Pick; copy: Spendable }[] = [];
    for (const pick of picks) spending.push({ pick, copy: await this.take(pick, orders) });
    const entry = this.entry(asked, picks, orders, "sending");
    const rows = [await this.vault.seal("history", entry.id, "", entry)];
    await this.store.write(async (tx) => {
      for (const { copy } of spending) {
        const current = await tx.objectStore("sealed").get(copy.row.id);
        if (!current || current.used === 1) throw new Problem("conflict", "this copy was used a moment ago");
        await tx.objectStore("sealed").put({ ...current, used: 1 });
      }
      for (const row of rows) await tx.objectStore("sealed").put(row);
    });
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

  private async send(asked: Asked, spending: readonly { pick: Pick; copy: Spendable }[]): Promise<string | null> {
    const tokens: Record<string, string[]> = {};
    for (const { pick, copy } of spending) tokens[pick.query] = [await this.present(asked, pick, copy)];
    this.mustBeInTime(asked);
    // OpenID4VP 1.0 section 8.3: unsigned, encrypted; nothing but these members.
    const payload = { vp_token: tokens, ...(asked.state === null ? {} : { state: asked.state }) };
    const { jwk, enc } = asked.encryptTo;
    const jwe = await new CompactEncrypt(utf8(JSON.stringify(payload)))
      .setProtectedHeader({ alg: "ECDH-ES", enc, ...(typeof jwk["kid"] === "string" ? { kid: jwk["kid"] } : {}) })
      .encrypt(await importJWK(jwk as never, "ECDH-ES"));
    return this.post(asked.responseUri, new URLSearchParams({ response: jwe }));
  }

  private async present(asked: Asked, pick: Pick, { copy, key }: Spendable): Promise<string> {
    if (pick.holding.format === "dc+sd-jwt") {
      const { presentSdJwt } = await import("./formats/sd_jwt.ts");
      return presentSdJwt(copy.raw, pick.names, key, asked.clientId, asked.nonce, this.now());
    }
    const names = new Map(pick.names.length > 0 ? [[pick.holding.namespace, pick.names]] : []);
    const { presentMdoc } = await import("./formats/mdoc.ts");
    return presentMdoc(copy.raw, pick.holding.type, names, key, {
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
  private async take(pick: Pick, orders: readonly Order[]): Promise<Spendable> {
    const order = orders.find((item) => item.id === pick.holding.order);
    const part = order?.parts.find((item) => item.format === pick.holding.format && item.type === pick.holding.type);
    if (!order || !part) throw new Problem("not_held");
    const [first] = await this.spendable(order, part.configuration);
    if (first) return first;
    await this.issuance.run(await this.issuance.renew(order)).catch((thrown: unknown) => {
      const problem = asProblem(thrown);
      throw problem.code === "offline" ? new Problem("no_copies", "offline") : problem;
    });
    const [fresh] = await this.spendable(order, part.configuration);
    if (!fresh) throw new Problem("no_copies");
    return fresh;
  }

  private async spendable(order: Order, configuration: string): Promise<Spendable[]> {
    const owner = `${order.id}/${configuration}`;
    const keys = new Map((await this.store.keysOf(owner)).map((key) => [key.id, key]));
    const found: Spendable[] = [];
    for (const row of await this.store.rowsUnder(owner)) {
      if (row.kind !== "copy" || row.used === 1) continue;
      const copy = await this.vault.unseal<Copy>(row);
      const key = keys.get(copy.key);
      if (key && copy.until * 1000 > this.now()) found.push({ row, copy, key });
    }
    return found;
  }

  private entry(asked: Asked, picks: readonly Pick[], orders: readonly Order[], result: Shown["result"]): Shown {
    const { party, purpose } = asked;
    const order = orders.find((item) => item.id === picks[0]?.holding.order);
    const declined = result === "declined";
    return {
      id: token(),
      at: this.now(),
      party: party.name,
      purpose: purpose.name,
      why: purpose.why,
      legalBasis: purpose.legal_basis,
      retention: purpose.retention,
      card: order?.name ?? { ko: "", en: "" },
      format: picks[0]?.holding.format ?? null,
      items: picks.flatMap((pick) =>
        pick.names.map((name) => ({ name, value: declined || name === "portrait" ? null : (pick.holding.claims[name] ?? null) })),
      ),
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

  private mustBeInTime(asked: Asked): void {
    if (asked.expires !== null && asked.expires * 1000 < this.now()) throw new Problem("request_expired");
  }
}
