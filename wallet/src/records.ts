/**
 * The sealed records of the wallet, as values, and reading them back.
 * Promises: one type a kind. Keeps nothing. Refuses nothing.
 */
import type { Open } from "./dcql.ts";
import type { Format } from "./formats/held.ts";
import type { Logo } from "./look.ts";
import type { CredentialOffer } from "./offer.ts";
import type { Standing } from "./status.ts";
import type { SealedKind, Store } from "./store.ts";
import type { Payment } from "./transaction.ts";
import type { Words } from "./trust.ts";
import type { Vault } from "./vault.ts";
import type { Grant, SignIn } from "./vci.ts";
import type { Signer } from "./x509.ts";

/** One configuration of a card (one format) and what its newest copies say. */
export interface Part {
  readonly configuration: string;
  readonly format: Format;
  readonly type: string;
  readonly namespace: string;
  readonly claims: Readonly<Record<string, unknown>>;
  /** Of an mdoc: what is in which namespace. */
  readonly spaces?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly authorities: readonly string[];
  /** Of an SD-JWT: what everybody who is shown it is told. Missing: kept before it was written down. */
  readonly open?: readonly Open[];
  /** Whose certificate signed it. */
  readonly signer?: Signer;
  /** How many copies the newest batch had. */
  readonly copies?: number;
  /** When the newest copies end, in seconds. */
  readonly copiesUntil: number;
}

export interface Order {
  readonly id: string;
  readonly issuer: string;
  readonly authorizationServer: string;
  readonly issuerName: Words;
  /** By an issuer on no list: its host. */
  readonly stranger?: string | null;
  readonly logo?: Logo | null;
  readonly name: Words;
  readonly colors: { readonly background: string; readonly text: string };
  readonly labels: Readonly<Record<string, Words>>;
  readonly refreshToken: string | null;
  readonly parts: readonly Part[];
  readonly received: number;
  readonly standing: Standing;
  readonly standingHeard: number;
  /** Of a stranger's card: who signed the list that said so. */
  readonly statusSigner?: Signer;
  /** Since `standingHeard` there was an answer, and none to believe. */
  readonly unheard?: boolean;
}

export interface Copy {
  readonly id: string;
  readonly order: string;
  readonly configuration: string;
  readonly raw: string;
  readonly key: string;
  readonly until: number;
  readonly status: { readonly uri: string; readonly idx: number } | null;
}

export interface Shown {
  readonly id: string;
  readonly at: number;
  readonly party: Words;
  readonly purpose: Words;
  readonly why: Words;
  readonly legalBasis: Words;
  readonly retention: Words;
  readonly card: Words;
  readonly format: Format | null;
  readonly items: readonly { readonly name: string; readonly value: unknown }[];
  /** To somebody on no list. */
  readonly stranger?: boolean;
  /** As a code on this phone's screen, unasked or as the answer to a shop's. Whoever filmed it was shown it. */
  readonly code_shown?: "unasked" | "answer";
  /** Authorised with it. */
  readonly payments?: readonly Pick<Payment, "payee" | "amount" | "currency" | "reference">[];
  /** sending: on its way when the app stopped, so it may or may not have arrived. */
  readonly result: "sending" | "sent" | "declined" | "refused" | "failed";
  readonly code: string | null;
  /** Of a party on the list, as the list had it then. `contact` may be empty: none was registered. */
  readonly who?: { readonly id: string; readonly contact: string };
  readonly purposeId?: string;
  /** What was asked of the party because of it. */
  readonly request?: Request;
  /** Asked before that, and answered. */
  readonly earlier?: readonly Request[];
  /** Of a request that was stopped: as the party signed it. */
  readonly evidence?: string;
  /** When it was reported. */
  readonly reported?: number;
}

/** To erase what was kept, or to explain. Whoever has the token sees how it stands; `standing` null: it may not have arrived. */
export interface Request {
  readonly kind: "erasure" | "complaint";
  readonly contact: string;
  readonly token: string;
  readonly words: string;
  readonly sent: number;
  readonly standing: {
    readonly number: string;
    readonly state: string;
    readonly outcome: string;
    readonly reply: string;
    readonly due: number;
    readonly overdue: boolean;
  } | null;
}

/** What the issuer put off, and the keys it will be bound to. */
export interface Deferred {
  readonly transaction: string;
  /** Not to be asked for before (milliseconds). */
  readonly next: number;
  readonly keys: readonly string[];
}

/** An issuance under way. Written before every step that the other side can notice. Members with ? are younger than the first wallets. */
export interface Pending {
  readonly id: string;
  readonly order: string;
  readonly renewal: boolean;
  readonly issuer: string;
  readonly offer: CredentialOffer | null;
  readonly started: number;
  readonly configurations: readonly string[];
  readonly stored: readonly string[];
  readonly access: string | null;
  readonly refresh: string | null;
  readonly notify: readonly { readonly id: string; readonly event: "credential_accepted" | "credential_failure" }[];
  readonly failed: string | null;
  /** What is to come, for the list of cards. */
  readonly name?: Words;
  readonly host?: string;
  /** What our own issuer's doors for identity proofing call the offer. */
  readonly subject?: string | null;
  /** The holder accepted it although the issuer is on no list. */
  readonly stranger?: boolean;
  readonly grant?: Grant;
  /** The authorization server the offer named. */
  readonly server?: string | null;
  readonly txCode?: string | null;
  readonly signIn?: SignIn | null;
  readonly code?: string | null;
  readonly identifiers?: Readonly<Record<string, readonly string[]>>;
  readonly deferred?: Readonly<Record<string, Deferred>>;
  /** The configurations asked for anew because the issuer knew their transaction no longer. */
  readonly askedAgain?: readonly string[];
  /** The card of each configuration, where an offer brings several. */
  readonly cards?: Readonly<Record<string, string>>;
}

export async function readAll<T>(store: Store, vault: Vault, kind: SealedKind): Promise<T[]> {
  const rows = await store.rows(kind);
  return Promise.all(rows.map((row) => vault.unseal<T>(row)));
}

export async function writeOne(store: Store, vault: Vault, kind: SealedKind, parent: string, value: { id: string }): Promise<void> {
  const row = await vault.seal(kind, value.id, parent, value);
  await store.write(async (tx) => {
    await tx.objectStore("sealed").put(row);
  });
}

/** One line of the list of documents this person could be issued, as the issuer says it. */
export interface DocumentOffer {
  readonly id: string;
  readonly name: Words;
  readonly where: Words;
  readonly bring: readonly Words[];
  readonly fee: unknown;
  /** The credential configurations it is issued under. */
  readonly configurations?: readonly string[];
  /** How many days before its end a new one may be asked for. */
  readonly renewal_days?: number | null;
  /** The ways to it that are open to this person; not said: the counter. */
  readonly paths?: readonly string[];
  readonly state: "available" | "held" | "not_eligible" | "elsewhere";
  readonly reason?: string | null;
  readonly detail?: Words | string | null;
}
