/**
 * The wallet: everything the screens may do, in one place.
 * Promises: screens never touch keys, storage or the network themselves; what the phone was told (lost, ended) is obeyed before
 * anything else. Trusts: its parts, each for what its own file says. Keeps: the unlocked session, in memory only.
 * Refuses: every deed on a locked wallet.
 */
import { same } from "./bytes.ts";
import { Citizen } from "./citizen.ts";
import { type Code, type CodePresentation, Codes } from "./codes.ts";
import { type Choices, firstChoice, type Pick, picksOf } from "./dcql.ts";
import { type Device, Phone } from "./device.ts";
import { Issuance, type Step } from "./issue.ts";
import { deferredUntil, type Offered, waitsFor } from "./offer.ts";
import { parseLink } from "./links.ts";
import type { Heard } from "./meet.ts";
import { Net, type Fetch } from "./net.ts";
import { type Notice, noticesOf, type Watch } from "./notices.ts";
import { enrolPasskey, passkeySecret } from "./passkey.ts";
import { LOW, Presenter } from "./present.ts";
import { asProblem, Problem } from "./problem.ts";
import { Proofing } from "./proofing.ts";
import { Purposes } from "./purposes.ts";
import { Pushes } from "./push.ts";
import { type DocumentOffer, type Order, type Pending, readAll, type Shown, writeOne } from "./records.ts";
import { type Asked, choicesFor, openFamily, openRelayed, openRequest, sendError } from "./request.ts";
import { type Signers, standingOf } from "./status.ts";
import { dropOrder, Store } from "./store.ts";
import { anchors, Trust } from "./trust.ts";
import { openUnsigned } from "./unsigned.ts";
import { type Cost, Vault } from "./vault.ts";

export interface Presentation {
  readonly asked: Asked;
  readonly choices: Choices;
  /** What would be shown: the verifier's first wish, until the holder chooses otherwise. */
  readonly picks: readonly Pick[];
}
export type Phase = "welcome" | "identity" | "pin" | "ready";
export interface Erased {
  readonly why: "lost" | "ended" | "moved" | "unknown" | "forgot_pin";
  readonly at: number;
}

export interface World {
  readonly base: string;
  readonly fetch: Fetch;
  readonly now: () => number;
  readonly cost?: Cost;
  readonly database?: string;
}

/** The sealed record that holds the list of documents. */
const DOCUMENTS = "documents";

const documentOf = (order: Order, list: readonly DocumentOffer[]): DocumentOffer | undefined =>
  list.find((item) => order.parts.some((part) => item.configurations?.includes(part.configuration)));

export class Wallet extends EventTarget {
  readonly vault: Vault;
  readonly phone: Phone;
  readonly trust: Trust;
  readonly issuance: Issuance;
  readonly presenter: Presenter;
  readonly citizen: Citizen;
  readonly proofing: Proofing;
  readonly purposes: Purposes;
  readonly pushes: Pushes;
  readonly codes: Codes;
  readonly net: Net;
  orders: readonly Order[] = [];
  pending: readonly Pending[] = [];
  device: Device | undefined;
  /** What is true now and worth saying on the first screen. */
  notices: readonly Notice[] = [];

  private constructor(
    readonly store: Store,
    private readonly world: World,
  ) {
    super();
    const { base, now } = world;
    this.net = new Net(world.fetch, world.base);
    this.vault = new Vault(store, world.cost);
    this.phone = new Phone(store, this.net, base, now);
    this.trust = new Trust(store, this.net, base, now);
    this.issuance = new Issuance(store, this.vault, this.net, this.phone, this.trust, base, now);
    this.proofing = new Proofing(store, this.vault, this.net, this.issuance, base, now);
    this.presenter = new Presenter(store, this.vault, this.net, this.issuance, now);
    this.citizen = new Citizen(store, this.vault, this.net, this.issuance, this.trust, base, now);
    this.purposes = new Purposes(store, this.net, this.trust, base, now);
    this.pushes = new Pushes(store, this.vault, this.phone, this.trust, now);
    this.codes = new Codes(this.presenter, this.trust, this.purposes, () => this.orders, now);
  }

  static async open(world: World): Promise<Wallet> {
    const wallet = new Wallet(await Store.open(world.database), world);
    wallet.device = await wallet.phone.device();
    return wallet;
  }

  get base(): string {
    return this.world.base;
  }

  now(): number {
    return this.world.now();
  }

  async phase(): Promise<Phase> {
    if (!this.device) return (await this.store.meta("welcomed")) ? "identity" : "welcome";
    return (await this.vault.hasPin()) ? "ready" : "pin";
  }

  erased(): Promise<Erased | undefined> {
    return this.store.meta<Erased>("erased");
  }

  /** Asks how this phone stands and obeys. Without a network the last answer holds. */
  async obey(): Promise<Device | undefined> {
    if (!this.device) return undefined;
    try {
      this.device = await this.phone.standing();
    } catch (thrown) {
      const problem = asProblem(thrown);
      if (problem.code === "unknown_device" || problem.code === "device_ended") {
        await this.eraseAll(problem.code === "device_ended" ? "ended" : "unknown");
      }
      if (problem.code === "conflict") this.device = await this.phone.device();
      return this.device;
    }
    if (this.device.state === "ended") await this.eraseAll(this.device.reason === "moved" ? "moved" : "ended");
    else if (this.device.state === "suspended" && this.device.reason === "lost") await this.eraseCards("lost");
    else if (this.device.state === "active" && (await this.erased())?.why === "lost") await this.store.dropMeta("erased");
    this.changed();
    return this.device;
  }

  /** The first PIN. Throws `conflict` where another tab has set one, or has forgotten this phone. */
  async setPin(pin: string, avoid: readonly string[]): Promise<void> {
    this.device = await this.phone.device();
    if (!this.device) throw new Problem("conflict", "the phone was forgotten");
    await this.vault.create(pin, avoid);
  }

  async unlock(pin: string): Promise<void> {
    await this.vault.unlock(pin);
    await this.read();
  }

  async unlockByPasskey(): Promise<void> {
    await this.vault.unlockByPasskey(await passkeySecret(this.vault));
    await this.read();
  }

  async addPasskey(pin: string, label: string): Promise<void> {
    await enrolPasskey(this.vault, pin, label);
  }

  /** `tell`: the other tabs lock as well. */
  lock(tell = true): void {
    this.vault.lock();
    this.proofing.forget();
    this.pushes.forget();
    if (tell) this.dispatchEvent(new Event("locked"));
    this.orders = [];
    this.pending = [];
    this.notices = [];
    this.changed();
  }

  async read(): Promise<void> {
    const orders = (await readAll<Order>(this.store, this.vault, "order")).toSorted((a, b) => a.received - b.received);
    this.orders = await Promise.all(orders.map((order) => this.presenter.completed(order)));
    this.pending = await this.issuance.pending();
    this.changed();
  }

  /** What needs doing after an unlock: finish what was begun, hear how the cards stand, fetch fresh copies. */
  async tend(): Promise<void> {
    await this.obey();
    if (!this.vault.open) return;
    for (const pending of this.pending.filter((item) => !item.failed && waitsFor(item, this.now()) === null)) {
      await this.issuance.run(pending.id).catch(asProblem);
    }
    await this.read();
    for (const order of this.orders) await this.tendCard(order).catch(asProblem);
    if (this.vault.open) await this.read();
    await this.purposes.keep().catch(asProblem); // before a basement is entered
    await this.learnRenewal();
    await this.keepWatch();
  }

  /** Looks into this phone's mailbox at the wallet provider; whether something new waits there. */
  async lookForPushes(): Promise<boolean> {
    if (!this.vault.open || this.device?.state !== "active") return false;
    const news = await this.pushes.look();
    this.changed();
    return news;
  }

  /** Asks for what was put off and is due, and for nothing else: an officer is confirming it, so it is asked for every few seconds. */
  async collect(): Promise<void> {
    const due = this.pending.filter((item) => !item.failed && item.deferred && waitsFor(item, this.now()) === null);
    for (const { id } of due) await this.issuance.run(id).catch(asProblem);
    if (!this.vault.open || due.length === 0) return;
    await this.read();
    if (due.some(({ id }) => !this.pending.some((item) => item.id === id))) await this.keepWatch();
  }

  /** Leaves the bare dates for the time when the wallet is locked (notices.ts). */
  async keepWatch(): Promise<void> {
    const known = await this.knownDocuments();
    const cards = await Promise.all(
      // A stranger's card is not the counter's business; its own face says how it stands.
      this.orders.filter((order) => !order.stranger).map(async (order) => {
        const ends = order.parts.map((part) => part.claims["expiry_date"]).find((value) => typeof value === "string") as string | undefined;
        return { id: order.id, standing: order.standing, ends: ends ?? null, copiesUntil: await this.presenter.copiesUntil(order), renewalDays: documentOf(order, known)?.renewal_days ?? null };
      }),
    );
    if (!this.vault.open) return;
    const watch: Watch = { cards };
    await this.store.setMeta("watch", watch);
    this.notices = noticesOf(watch, undefined, this.now());
    this.changed();
  }

  /** Asked once for a card whose renewal window we have not heard; the list is kept, and every later look at it renews it. */
  private async learnRenewal(): Promise<void> {
    if (!this.vault.open) return;
    const known = await this.knownDocuments();
    const ours = this.orders.filter((order) => order.issuer === `${this.base}/issuer`);
    if (ours.some((order) => !documentOf(order, known))) await this.documents().catch(asProblem);
  }

  /** The list as we heard it last; empty if never. */
  private async knownDocuments(): Promise<readonly DocumentOffer[]> {
    const row = await this.store.row(DOCUMENTS);
    if (!row || !this.vault.open) return [];
    const kept = await this.vault.unseal<{ list: readonly DocumentOffer[] }>(row).catch(() => null); // a damaged list is asked for again
    return kept?.list ?? [];
  }

  private async tendCard(order: Order): Promise<void> {
    const heard = await this.hearStanding(order);
    const left = await this.presenter.copiesLeft(heard);
    // A batch may itself be small: fresh ones are fetched when it is half gone, at the latest when the last is.
    const low = heard.parts.some(({ configuration, copies = 2 * LOW + 1 }) => (left.get(configuration) ?? 0) <= Math.min(LOW, Math.floor((copies - 1) / 2)));
    const mayRenew = heard.standing === "valid" || heard.standing === "renew";
    if (mayRenew && (low || heard.standing === "renew")) await this.issuance.run(await this.issuance.renew(heard));
  }

  private async hearStanding(order: Order): Promise<Order> {
    const status = await this.presenter.statusOf(order);
    if (!status) return order;
    const by = await this.statusSigners(order, status.uri);
    if (!by) return order;
    const heard = await standingOf(status, by, this.net, this.now()).catch(asProblem);
    if (heard instanceof Problem) return heard.code === "offline" ? order : this.noteStanding(order.id, { unheard: true });
    const { standing, signer } = heard;
    return this.noteStanding(order.id, { standing, standingHeard: this.now(), unheard: false, ...(order.stranger ? { statusSigner: signer } : {}) });
  }

  private async statusSigners(order: Order, uri: string): Promise<Signers | null> {
    if (order.stranger) return { card: order.parts.flatMap(({ signer }) => signer ?? []), before: order.statusSigner ?? null };
    const issuer = (await this.trust.list()).issuers.find((item) => uri.startsWith(item.status_prefix));
    return issuer ? { prefix: issuer.status_prefix, anchors: anchors(issuer.ca), entered: issuer.signers } : null;
  }

  /** On the newest record, whoever wrote it: a renewal in another tab must not lose its refresh token to us. */
  private async noteStanding(id: string, said: Partial<Order>): Promise<Order> {
    for (;;) {
      const row = await this.store.row(id);
      if (!row) throw new Problem("conflict", "the card is gone");
      const heard: Order = { ...(await this.vault.unseal<Order>(row)), ...said };
      const fresh = await this.vault.seal("order", id, "", heard);
      const written = await this.store.write(async (tx) => {
        const current = await tx.objectStore("sealed").get(id);
        if (!current || !same(current.iv, row.iv)) return false;
        await tx.objectStore("sealed").put(fresh);
        return true;
      });
      if (written) return heard;
    }
  }

  /** The documents this person could get, and where. The last answer is kept for when there is no network. */
  async documents(): Promise<{ list: readonly DocumentOffer[]; heard: number }> {
    const id = DOCUMENTS;
    try {
      const line = await this.issuance.line(`${this.base}/issuer`);
      const url = `${this.base}/issuer/documents`;
      const answer = await this.net.json<DocumentOffer[] | { documents: DocumentOffer[] }>("GET", url, undefined, await line.attestationHeaders());
      const list = Array.isArray(answer) ? answer : answer.documents;
      const kept = { id, list, heard: this.now() };
      if (this.vault.open) await writeOne(this.store, this.vault, "person", "", kept);
      return kept;
    } catch (thrown) {
      const row = await this.store.row(id);
      if (!row || !this.vault.open || asProblem(thrown).code !== "offline") throw thrown;
      return this.vault.unseal(row);
    }
  }

  /** Reads a scanned code or an opened link. */
  async understand(text: string): Promise<{ offered: Offered } | { presentation: Presentation } | { code: CodePresentation }> {
    const link = parseLink(text, this.base);
    if (link.kind === "code") return { code: await this.codes.understand(link.text) };
    if (link.kind === "offer") return { offered: await this.issuance.read(link.text) };
    if (link.kind === "unsigned") return { presentation: await this.asking(openUnsigned(link, this.purposes, this.base)) };
    if (link.kind === "family") return { presentation: await this.asking(openFamily(link.of, this.net, this.trust, this.base, this.now())) };
    return { presentation: await this.asking(openRequest(link, this.net, this.trust, this.base, this.now())) };
  }

  /** What a relay brought for a code this phone showed (meet.ts). */
  relayed({ request, nonce }: Heard): Promise<Presentation> {
    return this.asking(openRelayed(request, nonce, this.net, this.trust, this.base, this.now()));
  }

  private async asking(opening: Promise<Asked>): Promise<Presentation> {
    const asked = await opening.catch(async (thrown: unknown) => {
      throw await this.presenter.recordRefusal(asProblem(thrown));
    });
    const orders = this.orders.filter((order) => order.standing === "valid" || order.standing === "renew");
    if (orders.length === 0 && this.orders.length > 0) throw new Problem("card_not_valid");
    const { party, purpose, stranger, anyone = false } = asked;
    const own = purpose !== null && !stranger && !anyone && (await this.purposes.own(party.id, purpose.id));
    return this.choose({ ...asked, own }, orders);
  }

  private async choose(asked: Asked, orders: readonly Order[]): Promise<Presentation> {
    try {
      const choices = choicesFor(asked, this.presenter.holdings(orders));
      const picks = picksOf(choices, firstChoice(choices));
      if (picks.length === 0 && choices.sets.every((set) => set.options.length === 0)) throw new Problem("not_held");
      return { asked, choices, picks };
    } catch (thrown) {
      // Section 8.5. A stranger does not learn from a link alone what is not in this wallet.
      if (["not_held", "card_tells_more"].includes(asProblem(thrown).code) && !asked.stranger && !asked.anyone) {
        await sendError(this.net, asked, asked.transactions.length > 0 ? "invalid_transaction_data" : "access_denied");
      }
      throw thrown;
    }
  }

  async acceptOffer(offered: Offered, onStep: (step: Step) => void, txCode: string | null = null): Promise<string> {
    const id = await this.issuance.accept(offered, txCode);
    await this.read();
    return this.finish(id, onStep);
  }

  async finish(id: string, onStep: (step: Step) => void): Promise<string> {
    try {
      return await this.issuance.run(id, onStep);
    } finally {
      if (this.vault.open) await this.read();
    }
  }

  /** Where the browser goes so that the holder can sign in with the issuer. */
  async signIn(id: string): Promise<string> {
    const url = await this.issuance.signIn(id);
    await this.read();
    return url;
  }

  /** What the browser brought back from there; kept until the wallet is unlocked, so that a killed one still finds it. */
  async keepReturn(query: string): Promise<void> {
    await this.store.setMeta("returned", query.slice(0, 4096));
  }

  /** Takes up what came back, if anything did. Returns the issuance to go on with. */
  async takeReturn(): Promise<string | null> {
    const query = await this.store.meta<string>("returned");
    if (query === undefined) return null;
    await this.store.dropMeta("returned");
    try {
      return await this.issuance.returned(new URLSearchParams(query));
    } finally {
      await this.read();
    }
  }

  async giveTxCode(id: string, code: string): Promise<void> {
    await this.issuance.giveTxCode(id, code);
    await this.read();
  }

  /** When the next of the cards that an issuer put off may be asked for; 0 when none is. */
  get nextDeferred(): number {
    const times = this.pending.map((item) => (item.failed ? 0 : deferredUntil(item))).filter((time) => time > 0);
    return times.length > 0 ? Math.min(...times) : 0;
  }

  /** One that is `removable`: it goes with its copies and keys. */
  async removeCard(order: Order): Promise<void> {
    await this.store.write((tx) => dropOrder(tx, order));
    await this.read();
    await this.keepWatch();
  }

  async dismissPending(id: string): Promise<void> {
    await this.issuance.forget(id);
    await this.read();
  }

  /** `pin` null means the passkey is to confirm. */
  async present(presentation: Presentation, pin: string | null): Promise<{ entry: Shown; next: string | null }> {
    await this.confirmed(pin);
    return this.presenter.show(presentation.asked, presentation.picks, this.orders);
  }

  /** The same as a code on the screen. */
  async presentCode(presentation: CodePresentation, pin: string | null): Promise<Code> {
    await this.confirmed(pin);
    return this.codes.make(presentation);
  }

  private async confirmed(pin: string | null): Promise<void> {
    if (pin === null) await this.vault.unlockByPasskey(await passkeySecret(this.vault));
    else await this.vault.confirm(pin);
  }

  decline({ asked, picks }: Presentation): Promise<void> {
    return this.presenter.decline(asked, picks, this.orders);
  }

  async deleteShown(id: string): Promise<void> {
    await this.store.write(async (tx) => {
      await tx.objectStore("sealed").delete(id);
    });
  }

  async clearHistory(): Promise<void> {
    await this.store.write(async (tx) => {
      for (const id of await tx.objectStore("sealed").index("kind").getAllKeys("history")) await tx.objectStore("sealed").delete(id);
    });
  }

  /** Cards, copies, their keys and the history go; the phone stays registered, so that it can hear of a release. */
  async eraseCards(why: Erased["why"]): Promise<void> {
    if ((await this.erased())?.why === why) return;
    await this.store.write(async (tx) => {
      await tx.objectStore("sealed").clear();
      for (const key of await tx.objectStore("keys").getAll()) {
        if (key.owner !== "phone") await tx.objectStore("keys").delete(key.id);
      }
      for (const name of ["trust-list", "purposes", "watch", "told", "returned"]) await tx.objectStore("meta").delete(name);
      await tx.objectStore("meta").put({ why, at: this.now() } satisfies Erased, "erased");
    });
    this.phone.forget();
    this.lock();
  }

  /** Everything goes. Only the language and the reason stay. */
  async eraseAll(why: Erased["why"] | null): Promise<void> {
    const language = await this.store.meta("language");
    const notify = await this.store.meta("notify");
    await this.store.write(async (tx) => {
      await tx.objectStore("sealed").clear();
      await tx.objectStore("keys").clear();
      await tx.objectStore("meta").clear();
      if (language !== undefined) await tx.objectStore("meta").put(language, "language");
      if (notify !== undefined) await tx.objectStore("meta").put(notify, "notify");
      if (why) await tx.objectStore("meta").put({ why, at: this.now() } satisfies Erased, "erased");
    });
    this.device = undefined;
    this.phone.forget();
    this.lock();
  }

  /** After five wrong PINs: cards go (only the PIN could open them), the phone stays; an identity check sets a new PIN. */
  async forgetPin(): Promise<void> {
    await this.store.write(async (tx) => {
      await tx.objectStore("sealed").clear();
      for (const key of await tx.objectStore("keys").getAll()) {
        if (key.owner !== "phone") await tx.objectStore("keys").delete(key.id);
      }
      for (const name of ["pin", "pin-failures", "passkey", "device", "watch", "told", "returned"]) await tx.objectStore("meta").delete(name);
      await tx.objectStore("meta").put(true, "welcomed");
    });
    this.device = undefined;
    this.phone.forget();
    this.lock();
  }

  /** The holder gives this phone up: the wallet provider is told first, so that another phone can follow at once. */
  async giveUp(): Promise<void> {
    await this.phone.end().catch((thrown: unknown) => {
      const problem = asProblem(thrown);
      if (!["offline", "unknown_device", "device_ended", "device_suspended"].includes(problem.code)) throw problem;
    });
    await this.eraseAll(null);
  }

  private changed(): void {
    this.dispatchEvent(new Event("change"));
  }
}
