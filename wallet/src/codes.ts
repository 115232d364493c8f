/**
 * Showing by code with no network: one's own code (unasked), and the answer to a shop's.
 * Promises: whoever is not registered gets a yes or no of a purpose that lets anyone ask, and nothing else; a registered party gets what
 * it is registered for, and not an item more; what is refused is in the history. Trusts: the kept trust list and purposes, each for what
 * its own file says. Keeps: nothing. Refuses: a code nobody can be told apart by, purposes it does not know, parties it cannot find.
 */
import { random } from "./bytes.ts";
import { type Choices, firstChoice, parseQuery, type Pick, picksOf } from "./dcql.ts";
import { type Claims, openByKey, SKEW_S } from "./jws.ts";
import { type AskCode, ASK_LIFE, mustBeInTime, OPEN, parseAsk, type Seal } from "./offline_qr.ts";
import type { CodeFor, Presenter } from "./present.ts";
import { asProblem, Problem } from "./problem.ts";
import type { Listed, Purposes } from "./purposes.ts";
import type { Order, Shown } from "./records.ts";
import { choicesFor, LOGIN_ID, type Question } from "./request.ts";
import type { PublicJwk } from "./store.ts";
import { anchors, partyOf, type Registered, type RelyingParty, type Trust, type TrustList, type Words, wordsOf } from "./trust.ts";
import { offlineEn, offlineKo } from "./words/offline.ts";
import { checkChain, publicKey } from "./x509.ts";

export interface Coded extends Question {
  readonly what: CodeFor;
}
/** What the screens ask the holder; the same shape as a request's. */
export interface CodePresentation {
  readonly asked: Coded;
  readonly choices: Choices;
  readonly picks: readonly Pick[];
}
export interface Code {
  readonly entry: Shown;
  readonly texts: readonly string[];
  /** Milliseconds. */
  readonly made: number;
}
interface Asker {
  readonly party: Question["party"];
  readonly knownAt: number | null;
  readonly anyone: boolean;
  readonly own: boolean;
}

const NOBODY: Words = { ko: offlineKo["show.nobody"], en: offlineEn["show.nobody"] };

export class Codes {
  constructor(
    private readonly presenter: Presenter,
    private readonly trust: Trust,
    private readonly purposes: Purposes,
    private readonly orders: () => readonly Order[],
    private readonly now: () => number,
  ) {}

  /** What a holder may show unasked, of the cards in this wallet. */
  async toShow(): Promise<Listed[]> {
    const { purposes } = await this.purposes.list();
    const fitting = purposes.filter((purpose) => purpose.by_holder && this.usable().some((order) => holds(order, purpose)));
    return fitting.toSorted((one, other) => one.items.length - other.items.length); // what tells least comes first
  }

  /** How many codes of it can be shown before fresh copies are needed. */
  async left(purpose: Listed): Promise<number> {
    const counts = await Promise.all(this.usable().filter((order) => holds(order, purpose)).map((order) => this.presenter.copiesLeft(order)));
    return counts.flatMap((left) => [...left.values()]).reduce((sum, count) => sum + count, 0);
  }

  /** Nobody asked: the holder chose the purpose. Bound to a nonce of its own, which a checker takes once. */
  async unasked(purpose: Listed): Promise<CodePresentation> {
    if (!purpose.by_holder) throw new Problem("over_asking", "not to be shown unasked");
    const what: CodeFor = { audience: OPEN, nonce: random(16), purpose: purpose.id, how: "unasked" };
    const asked: Coded = { party: { id: "", name: NOBODY }, purpose, stranger: null, knownAt: null, expires: null, transactions: [], what };
    return this.choose(asked, purpose, purpose.items);
  }

  /** A fresh code of the same: the old nonce is spent where the old code was seen. */
  again({ asked, ...rest }: CodePresentation): CodePresentation {
    return asked.what.how === "answer" ? { asked, ...rest } : { ...rest, asked: { ...asked, what: { ...asked.what, nonce: random(16) } } };
  }

  /** 1 read  2 who asks  3 for a purpose we know  4 no item more  5 a card that has them. Refusals of 2 to 4 are remembered. */
  async understand(text: string): Promise<CodePresentation> {
    const code = await parseAsk(text);
    try {
      const { purposes } = await this.purposes.list();
      const { asker, purpose } = await whoAsks(code, { purposes, list: () => this.trust.atTill(), key: () => this.trust.key() }, this.now());
      const what: CodeFor = { audience: code.audience, nonce: code.nonce, purpose: code.purpose, how: "answer" };
      const expires = Math.floor(this.now() / 1000) + ASK_LIFE; // it says not when it was shown: as long as it can live
      return await this.choose({ ...asker, purpose, stranger: null, expires, transactions: [], what }, purpose, code.items);
    } catch (thrown) {
      throw await this.presenter.recordRefusal(asProblem(thrown));
    }
  }

  private async choose(asked: Coded, purpose: Listed, items: readonly string[]): Promise<CodePresentation> {
    const usable = this.usable();
    if (usable.length === 0 && this.orders().length > 0) throw new Problem("card_not_valid");
    const { vct, doctype, namespace } = purpose.document;
    const forms = [
      ...(vct ? [{ id: "sd_jwt", format: "dc+sd-jwt", meta: { vct_values: [vct] }, claims: items.map((item) => ({ path: [item] })) }] : []),
      ...(doctype ? [{ id: "mdoc", format: "mso_mdoc", meta: { doctype_value: doctype }, claims: items.map((item) => ({ path: [namespace, item] })) }] : []),
    ];
    const query = parseQuery({ credentials: forms, credential_sets: [{ options: forms.map(({ id }) => [id]) }] });
    // The form that has copies left, where one has none: there may be no network to fetch more.
    const stocked = await Promise.all(
      usable.filter(({ stranger }) => !stranger).map(async (order) => {
        const left = await this.presenter.copiesLeft(order);
        const parts = order.parts.filter(({ configuration }) => (left.get(configuration) ?? 0) > 0);
        return { ...order, parts: parts.length > 0 ? parts : order.parts };
      }),
    );
    const choices = choicesFor({ ...asked, query, transactions: [] }, this.presenter.holdings(stocked));
    return { asked, choices, picks: picksOf(choices, firstChoice(choices)) };
  }

  /** Once the holder confirmed. */
  async make({ asked, picks }: CodePresentation): Promise<Code> {
    // Every checker would refuse it, and the copy would be gone.
    if (this.now() + SKEW_S * 1000 < (await this.trust.signedAt())) throw new Problem("phone_clock");
    const { entry, texts, made } = await this.presenter.code(asked, asked.what, picks, this.orders());
    return { entry, texts, made: made * 1000 };
  }

  async decline({ asked, picks }: CodePresentation): Promise<void> {
    await this.presenter.record({ ...this.presenter.entry(asked, picks, this.orders(), "declined"), code_shown: asked.what.how });
  }

  private usable(): readonly Order[] {
    return this.orders().filter(({ standing }) => standing === "valid" || standing === "renew");
  }
}

// --- who asks ----------------------------------------------------------------------------------------------------------

/** What is known without a network. */
export interface Known {
  readonly purposes: readonly Listed[];
  readonly list: () => Promise<TrustList>;
  readonly key: () => Promise<PublicJwk>;
}

/** 1 who asks  2 its seal, which is not over  3 a purpose of the country, for anyone or registered, and no item more. `now` in milliseconds. */
export async function whoAsks(code: AskCode, known: Known, now: number): Promise<{ asker: Asker; purpose: Listed }> {
  const purpose = known.purposes.find(({ id }) => id === code.purpose);
  if (code.name !== null || code.seal === null) return anybody(code, code.name ?? "", purpose);
  const list = await known.list();
  const party = await partyBehind(code.seal, list, known, now);
  const registered = party.purposes.find(({ id }) => id === code.purpose);
  if (!registered) throw new Problem("over_asking", "a purpose it is not registered for", { party: party.name });
  const beyond = code.items.filter((item) => !registered.items.includes(item) || item === LOGIN_ID); // which goes to the bridge alone
  if (beyond.length > 0) throw new Problem("over_asking", "", { party: party.name, purpose: registered.name, items: beyond });
  const asker: Asker = { party, knownAt: list.exp * 1000 <= now ? list.iat : null, anyone: false, own: purpose === undefined };
  return { asker, purpose: asRegistered(code, registered, purpose, known.purposes) };
}

/** The registration's words and items. What document it is of, and what its items are, the country's purposes say where they know it. */
function asRegistered(code: AskCode, registered: Registered, purpose: Listed | undefined, every: readonly Listed[]): Listed {
  const of = registered.document && { vct: "", doctype: "", namespace: "", ...registered.document };
  const alike = ({ document }: Listed): boolean =>
    of !== undefined && document.vct === of.vct && document.doctype === of.doctype && document.namespace === of.namespace;
  if (purpose) {
    if (of && !alike(purpose)) throw new Problem("over_asking", "another document", { purpose: registered.name, items: code.items });
    return { ...purpose, ...registered, document: purpose.document, risk: purpose.risk };
  }
  if (!of) return unknown(code);
  const same = every.filter(alike);
  const known = (one: "kinds" | "labels"): [string, unknown][] => same.flatMap((other) => Object.entries(other[one]));
  return {
    ...registered,
    document: same[0]?.document ?? { id: "", name: registered.name, ...of },
    kinds: Object.fromEntries(known("kinds")) as Listed["kinds"],
    labels: Object.fromEntries(known("labels")) as Listed["labels"],
    anyone: false,
    by_holder: false,
    risk: registered.risk ?? "high",
  };
}

/** Whose seal it is: of the list, or of a registration that the registry signed since. */
async function partyBehind(seal: Seal, list: TrustList, { key }: Known, now: number): Promise<RelyingParty> {
  const leaf = await checkChain([seal.certificate], anchors(list.access_ca), "access", new Date(now));
  if (!(await crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, await publicKey(leaf), seal.signature, seal.signed))) throw new Problem("bad_signature", "the code");
  mustBeInTime(seal, now);
  try {
    return await partyOf(list, leaf.der);
  } catch (thrown) {
    const problem = asProblem(thrown);
    // One that was struck off stays struck off, whatever paper it has.
    if (problem.code !== "unknown_relying_party" || seal.registration === null) throw problem;
    const { party, iat } = parseRegistration((await openByKey(seal.registration, "mapae-registration+jwt", await key(), now)).claims);
    if (iat < list.iat) throw problem; // the list is newer and does not name it: it has ended
    return partyOf({ relying_parties: [party], revoked_readers: [] }, leaf.der);
  }
}

const LONGEST_PAPER_S = 30 * 86_400;

/** What the list says of one party, as a paper of its own. */
function parseRegistration({ sub, iat, exp, name, x509_hash, purposes }: Claims): { party: RelyingParty; iat: number } {
  const sound = typeof sub === "string" && typeof x509_hash === "string" && typeof iat === "number" && typeof exp === "number" && Array.isArray(purposes);
  if (!sound || exp - iat > LONGEST_PAPER_S) throw new Problem("malformed", "the registration");
  return { party: { id: sub, name: wordsOf(name), x509_hash, purposes: (purposes as RelyingParty["purposes"]).map(plainWords) }, iat };
}

const unknown = ({ purpose, name }: AskCode): never => {
  throw new Problem("unknown_purpose", purpose, name === null ? {} : { party: { ko: name, en: name }, anyone: true });
};

/** Whoever is not registered: exactly the items of a purpose that lets anyone ask, each a yes or no. */
function anybody(code: AskCode, name: string, purpose: Listed | undefined): { asker: Asker; purpose: Listed } {
  const said = { ko: name, en: name };
  if (!purpose) return unknown(code);
  const more = code.items.filter((item) => purpose.kinds[item] !== "yes_no");
  const whole = code.items.length === purpose.items.length && code.items.every((item) => purpose.items.includes(item));
  if (!purpose.anyone || !whole || more.length > 0) {
    throw new Problem("registration_required", "", { party: said, purpose: purpose.name, items: more.length > 0 ? more : code.items, anyone: true });
  }
  return { asker: { party: { id: "", name: said }, knownAt: null, anyone: true, own: false }, purpose };
}

const plainWords = (purpose: RelyingParty["purposes"][number]): RelyingParty["purposes"][number] => ({
  ...purpose, name: wordsOf(purpose.name), why: wordsOf(purpose.why), legal_basis: wordsOf(purpose.legal_basis), retention: wordsOf(purpose.retention),
});

function holds(order: Order, { document, items }: Listed): boolean {
  if (order.stranger) return false;
  return order.parts.some(({ format, type, namespace, claims, spaces }) => {
    if (format === "dc+sd-jwt") return type === document.vct && items.every((item) => Object.hasOwn(claims, item));
    const held = (spaces ?? { [namespace]: claims })[document.namespace] ?? {};
    return type === document.doctype && items.every((item) => Object.hasOwn(held, item));
  });
}
