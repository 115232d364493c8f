/**
 * The numbered steps of docs/checking.md in the browser, for a presentation that came as a code.
 * Promises: 1 issuer 2 seal 3 holder (with freshness and single use) 4 dates 5 standing 6 request, in this order, none skipped; the first that
 * fails is named with the code that the Python checker has. Trusts: `Known`. Keeps: nothing; `spend` keeps the nonce. Refuses: anything
 * those steps refuse. Time is an argument.
 */
import { type Bytes, same } from "../bytes.ts";
import { type CurveKey, CURVES } from "../curves.ts";
import { asProblem, Problem } from "../problem.ts";
import { entered, type ListedSigner, mustBeSignedBeforeItsEnd } from "../signers.ts";
import { type Checked, checkedChain, nameField } from "../x509.ts";
import { ASK_LIFE, LIFE, OPEN, type Show, SKEW } from "./codes.ts";
import { type Grounds, type Issuer, type Known, mustBeYoung, ROUNDING, type TillPurpose } from "./pack.ts";
import { openMdoc } from "./seen_mdoc.ts";
import { openSdJwt } from "./seen_sd_jwt.ts";

export const STEPS = ["issuer", "seal", "holder", "dates", "standing", "request"] as const;
export type Step = (typeof STEPS)[number];

/** What is wanted, and the question it is held to, put at `at` (seconds). Null: a code shown unasked, held to `OPEN` and its own nonce. */
export interface Asked {
  readonly purpose: TillPurpose;
  readonly ask: { readonly nonce: Bytes; readonly audience: string; readonly at: number } | null;
}
/** Whether this nonce was not there before; it is from now on, until that moment (seconds). Throws presentation_spent. */
export type Spend = (nonce: Bytes, until: number) => Promise<void>;

/** What one presentation says, its parts read but believed by nobody yet. */
export interface Seen {
  readonly format: "sd_jwt" | "mdoc";
  readonly chain: readonly Bytes[];
  /** Step 2. Throws bad_signature, bad_digest, malformed. */
  open(signer: CurveKey): Promise<Opened>;
}
export interface Opened {
  readonly type: string;
  /** By namespace; of an SD-JWT there is one, "". */
  readonly claims: ReadonlyMap<string, ReadonlyMap<string, unknown>>;
  readonly signed: number | null;
  /** Step 3: the holder's key has signed this. */
  holder(audience: string, nonce: Bytes, made: number): Promise<void>;
  /** Step 4, read when it is its turn. */
  dates(): { readonly starts: number | null; readonly ends: number | null };
  /** Step 5. */
  status(): { readonly uri: string; readonly index: number };
}

export interface Verdict {
  readonly outcome: "accepted" | "no" | "refused";
  readonly step: Step | null;
  readonly code: string | null;
  readonly format: "sd_jwt" | "mdoc" | null;
  readonly claims: ReadonlyMap<string, unknown>;
  readonly renew: boolean;
  readonly grounds: Grounds | null;
}

const TOLERANCE = 60;
const LICENCE_SPACE = "org.iso.18013.5.1";
const LIST_NAME = /^[A-Za-z0-9_-]+$/;

/** A refusal with its step. */
class Stopped extends Error {
  constructor(
    readonly step: Step,
    readonly problem: Problem,
  ) {
    super(`${step}: ${problem.code}`);
  }
}

async function at<T>(step: Step, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (thrown instanceof Stopped) throw thrown;
    throw new Stopped(step, asProblem(thrown));
  }
}

export async function check(show: Show, asked: Asked, known: Known, now: number, spend: Spend): Promise<Verdict> {
  const nothing = { format: show.format, claims: new Map<string, unknown>(), renew: false, grounds: null };
  try {
    return { ...(await steps(show, asked, known, now, spend)), step: null, code: null, format: show.format };
  } catch (thrown) {
    if (!(thrown instanceof Stopped)) throw thrown;
    const { code, facts } = thrown.problem;
    return { ...nothing, outcome: "refused", step: thrown.step, code: typeof facts["better"] === "string" ? facts["better"] : code };
  }
}

type Passed = Pick<Verdict, "outcome" | "claims" | "renew" | "grounds">;

/** Before them, as in the Python checker: a code of another purpose, or that nobody may show unasked, is looked at no further. */
async function steps(show: Show, { purpose, ask }: Asked, known: Known, now: number, spend: Spend): Promise<Passed> {
  await at("issuer", () => known.issuers(purpose, now)); // the pack's age comes first
  await at("request", () => {
    if (show.purpose !== purpose.id) throw new Problem("not_what_was_asked", "shown for another purpose");
    if (!ask && !purpose.by_holder) throw new Problem("over_asking", "nobody shows this unasked");
    if (ask && now > ask.at + ASK_LIFE) throw new Problem("session_spent", "the question was put too long ago");
    if (typeAsked(purpose, show.format) === null) throw new Problem("not_what_was_asked", "a format that was not asked for");
  });
  const { seen, issuer, chain, listed } = await at("issuer", async () => {
    const issuers = known.issuers(purpose, now);
    const read = show.format === "sd_jwt" ? openSdJwt(show.presentation) : await openMdoc(show.presentation);
    return { seen: read, ...(await issuerBehind(read, issuers, purpose, now)) };
  });
  const opened = await at("seal", () => seen.open(chain.signer));
  await at("issuer", () => {
    // An mdoc's type is looked for among those asked for; that it is another is for the last step to say.
    if (seen.format === "sd_jwt" && !issuer.types.sd_jwt.includes(opened.type)) throw new Problem("untrusted_issuer", "not a type of this issuer");
    if (listed) mustBeSignedBeforeItsEnd(listed, opened.signed);
    mustBeOfItsSignersCountry(opened, chain);
  });
  await at("holder", async () => {
    mustBeFresh(show.made, now);
    if (ask && !same(ask.nonce, show.nonce)) throw new Problem("wrong_nonce", "an answer to another question");
    await opened.holder(ask?.audience ?? OPEN, show.nonce, show.made);
  });
  await at("dates", () => {
    const { starts, ends } = opened.dates();
    mustBeWithin(starts, ends, now);
    const { signed } = opened;
    if (signed !== null && (signed < chain.from - ROUNDING || signed > chain.until)) throw new Problem("bad_certificate", "signed outside the life of the signer's certificate");
    if (issuer.young) mustBeYoung(issuer.young, starts, ends, signed);
  });
  const { grounds, renew } = await at("standing", async () => {
    const { uri, index } = opened.status();
    if (!uri.startsWith(issuer.prefix) || !LIST_NAME.test(uri.slice(issuer.prefix.length))) throw new Problem("status_unknown", "not one of this issuer's lists");
    const stands = known.grounds(uri, purpose, now);
    return { grounds: stands, renew: mustStand(await known.standing(uri, index, purpose, now)) };
  });
  const claims = await at("request", () => fitting(purpose, seen.format, opened));
  // Last, so that whoever has no card fills no memory; and before anybody sees a yes.
  const over = show.made + LIFE + SKEW;
  await at("holder", () => spend(show.nonce, ask ? Math.max(over, ask.at + ASK_LIFE) : over));
  const no = purpose.items.every(({ kind }) => kind === "yes_no") && [...claims.values()].includes(false);
  return { outcome: !no ? "accepted" : "no", claims, renew, grounds };
}

const typeAsked = ({ vct, doctype }: TillPurpose, format: "sd_jwt" | "mdoc"): string | null => (format === "sd_jwt" ? vct : doctype);

interface Behind {
  readonly issuer: Issuer;
  readonly chain: Checked;
  readonly listed: ListedSigner | null;
}

/** The one listed issuer this chain leads to, and what the trust log has of the signer. */
async function issuerBehind(seen: Seen, issuers: readonly Issuer[], purpose: TillPurpose, now: number): Promise<Behind> {
  const asked = typeAsked(purpose, seen.format) ?? "";
  let refusal: Problem | null = null;
  for (const issuer of issuers) {
    if (!issuer.types[seen.format].includes(asked)) continue;
    try {
      const chain = await checkedChain(seen.chain, issuer.anchors, "document", new Date(now * 1000), CURVES);
      const listed = issuer.signers ? await entered(issuer.signers, chain.leaf.der, "document_signer", now * 1000) : null;
      return { issuer, chain, listed };
    } catch (thrown) {
      const problem = asProblem(thrown);
      // Prefer "your certificate has expired" of the right issuer to "not my certificate" of its neighbour.
      if (!refusal || refusal.facts["better"] === "untrusted_issuer") refusal = problem;
    }
  }
  throw refusal ?? new Problem("untrusted_issuer", "nobody on the list may issue what was asked for");
}

/** ISO/IEC 18013-5 7.2.1, B.1.4: who signs licences of one country signs none of another. */
function mustBeOfItsSignersCountry({ claims }: Opened, { leaf }: Checked): void {
  const said = claims.get(LICENCE_SPACE);
  const [country = "", state = ""] = ["C", "ST"].map((part) => nameField(leaf.subject, part)[0]);
  const places = state ? [state, `${country}-${state}`] : null;
  if (said?.has("issuing_country") && said.get("issuing_country") !== country) throw new Problem("untrusted_issuer", "of another country than its signer");
  if (places && said?.has("issuing_jurisdiction") && !places.includes(said.get("issuing_jurisdiction") as string)) throw new Problem("untrusted_issuer", "of another jurisdiction than its signer");
}

function mustBeFresh(made: number, now: number): void {
  if (made - now > SKEW) throw new Problem("clock_off", "made after this till's present");
  if (now - made > LIFE + SKEW) throw new Problem("presentation_stale", "made too long ago");
}

function mustBeWithin(starts: number | null, ends: number | null, now: number): void {
  if (ends === null) throw new Problem("malformed", "nothing about its end");
  if (starts !== null && now + TOLERANCE < starts) throw new Problem("not_yet_valid");
  if (now >= ends) throw new Problem("expired");
}

/** Whether a renewal is asked for. */
function mustStand(value: number): boolean {
  if (value === 1) throw new Problem("revoked");
  if (value === 2) throw new Problem("suspended");
  if (value !== 0 && value !== 3) throw new Problem("status_unknown", "a status we do not know");
  return value === 3;
}

/** Step 6: the type and exactly the items that were asked, each of its kind. */
function fitting(purpose: TillPurpose, format: "sd_jwt" | "mdoc", opened: Opened): Map<string, unknown> {
  const wrong = (detail: string): never => {
    throw new Problem("not_what_was_asked", detail);
  };
  const [type, space] = format === "sd_jwt" ? [purpose.vct, ""] : [purpose.doctype, purpose.namespace];
  if (opened.type !== type || space === null) wrong("another type of document");
  const shown = opened.claims.get(space ?? "") ?? new Map<string, unknown>();
  const missing = purpose.items.filter(({ name }) => !shown.has(name));
  if (missing.length > 0) wrong("an item is missing");
  const others = [...opened.claims].some(([name, some]) => name !== space && some.size > 0);
  if (others || shown.size !== purpose.items.length) wrong("items that were not asked for");
  return new Map(purpose.items.map(({ name, kind }) => [name, typed(shown.get(name), kind) ?? wrong("an item of another kind")]));
}

/** `"false"` is no answer to a yes-or-no question, and a date has one spelling. Undefined: of another kind. */
function typed(value: unknown, kind: TillPurpose["items"][number]["kind"]): unknown {
  if (kind === "yes_no") return typeof value === "boolean" ? value : undefined;
  if (kind === "date") return typeof value === "string" && isDay(value) ? value : undefined;
  if (kind === "image" && value instanceof Uint8Array) return value;
  return typeof value === "string" ? value : undefined;
}

export function isDay(text: string): boolean {
  const day = new Date(`${text}T00:00:00Z`);
  return /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text);
}
