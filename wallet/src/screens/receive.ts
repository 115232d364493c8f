/** Somebody offers a card: who, what, whether we know them; the code they told; the sign-in; and the card's arrival. */
import { html, nothing, type TemplateResult } from "lit";
import { apart } from "../claims.ts";
import type { Step } from "../issue.ts";
import { deferredUntil, type Offered, txCodeOf, waitsFor } from "../offer.ts";
import "../parts/card_face.ts";
import "../parts/tx_code.ts";
import { officer } from "../parts/face_parts.ts";
import { asProblem, Problem } from "../problem.ts";
import type { FaceStanding } from "../proofing.ts";
import type { Order, Pending } from "../records.ts";
import { moment, pickWords, t } from "../words.ts";
import { heading, icon, Screen } from "./screen.ts";

class Offer extends Screen {
  /** The holder read that nobody vouches for the issuer, and went on. */
  private warned = false;
  private typing = false;

  private get offered(): Offered {
    return this.with as Offered;
  }

  private readonly refuse = (): void => this.host.go({ name: "home" }, true);

  private go(txCode: string | null): void {
    this.host.go({ name: "progress", with: { offered: this.offered, txCode } }, true);
  }

  private turn(page: () => void): void {
    page();
    this.requestUpdate();
    void this.updateComplete.then(() => this.querySelector<HTMLElement>("#heading")?.focus());
  }

  protected view(): TemplateResult {
    if (this.offered.stranger && !this.warned) return this.warning();
    return this.typing ? this.codeView() : this.offerView();
  }

  private warning(): TemplateResult {
    const { host, issuer, stranger } = this.offered;
    const signer = stranger?.signer ?? null;
    const said = pickWords(issuer);
    return html`<p class="asker-mark unknown">${icon("warn")}</p>
      ${heading(t("stranger.issuer.title"))}
      <div class="panel warn" id="warning" data-testid="unknown-issuer">
        <p>${t("stranger.issuer.lead")}</p>
        <dl class="facts">
          <div><dt>${t("stranger.host")}</dt><dd data-testid="offer-host"><b>${host}</b></dd></div>
          <div><dt>${t("stranger.certificate")}</dt><dd data-testid="offer-certificate">${signer ? t("stranger.certificate.by", { subject: signer.subject, ca: signer.certifiedBy }) : t("stranger.certificate.later")}</dd></div>
          ${said === host ? nothing : html`<div><dt>${t("stranger.says")}</dt><dd>${said}</dd></div>`}
        </dl>
      </div>
      <p class="fine">${t("stranger.issuer.means")}</p>
      <div class="actions">
        <button class="button" id="decline" data-testid="decline" data-first aria-describedby="heading warning" @click=${this.refuse}>${t("stranger.refuse")}</button>
        <button class="button secondary" id="go-on" data-testid="go-on" @click=${() => this.turn(() => { this.warned = true; })}>${t("stranger.issuer.go")}</button>
      </div>`;
  }

  private offerView(): TemplateResult {
    const { issuer, host, stranger, look, labels, copies, txCode, signInHost } = this.offered;
    return html`${heading(t("offer.title"))}
      <section class="panel offer-card">
        <div class="offer-head">
          ${look.logo ? html`<img class="logo" src=${look.logo.uri} alt=${look.logo.alt} referrerpolicy="no-referrer" data-testid="logo" />` : nothing}
          <p class="offer-name" data-testid="offer-name">${pickWords(look.name)}</p>
        </div>
        <dl class="facts">
          <div><dt>${t("offer.from")}</dt><dd><b data-testid="offer-issuer">${pickWords(issuer)}</b>
            ${stranger
              ? html`<span class="unverified" data-testid="unverified">${icon("warn")}${t("stranger.issuer.short", { host })}</span>`
              : html`<span class="verified" data-testid="verified">${icon("shield")}${t("offer.verified")}</span>`}</dd></div>
          ${labels.length > 0 ? html`<div><dt>${t("offer.holds")}</dt><dd class="chips">${labels.map((label) => html`<span class="chip">${pickWords(label)}</span>`)}</dd></div>` : nothing}
          ${signInHost === null ? nothing : html`<div><dt>${t("offer.next")}</dt><dd data-testid="offer-sign-in">${t("offer.sign_in", { host: signInHost })}</dd></div>`}
          ${txCode ? html`<div><dt>${t("offer.next")}</dt><dd>${t("offer.tx")}</dd></div>` : nothing}
        </dl>
      </section>
      <p class="promise">${icon("lock")}<span>${copies > 1 ? t("offer.kept", { n: copies }) : t("offer.kept.one")}</span></p>
      <div class="actions">
        <button class="button" id="accept" data-testid="accept" @click=${() => (txCode ? this.turn(() => { this.typing = true; }) : this.go(null))}>${t(signInHost === null ? "offer.accept" : "offer.accept.sign_in")}</button>
        <button class="button secondary" id="decline" data-testid="decline" @click=${this.refuse}>${t("offer.decline")}</button>
      </div>`;
  }

  private codeView(): TemplateResult {
    const { txCode, issuer } = this.offered;
    return html`${heading(t("tx.title"))}
      <p class="lead">${t("tx.lead", { issuer: pickWords(issuer) })}</p>
      <m-tx-code .asked=${txCode} @code=${(event: CustomEvent<string>) => this.go(event.detail)}></m-tx-code>
      <button class="button quiet" data-testid="decline" @click=${this.refuse}>${t("do.cancel")}</button>`;
  }
}

/** How often the wallet asks what is still missing: the officers may have chosen another way meanwhile. */
const NEEDS_MS = 9000;
const NEEDS_UNKNOWN_MS = 4000;

const STEPS: readonly Step[] = ["token", "keys", "credential", "check", "store", "receipt"];

interface Receiving {
  readonly offered?: Offered;
  readonly txCode?: string | null;
  readonly pending?: string;
  /** The card it becomes, when it may have arrived meanwhile. */
  readonly card?: string;
  /** The holder was at the face check, or did without: only the officers are waited for. */
  readonly waiting?: boolean;
}

class Progress extends Screen {
  private step: Step = "token";
  private order: string | null = null;
  private card: string | null = null;
  private issuance: string | null = null;
  private started = false;
  private leaving = false;
  private told = false;
  /** What still stands between the order and its card. */
  private standing: FaceStanding | null = null;
  private askedNeeds = 0;

  override connectedCallback(): void {
    super.connectedCallback();
    if (this.started) return;
    this.started = true;
    void this.begin();
  }

  private begin(): Promise<void> {
    return this.attempt(async () => {
      const { offered, txCode = null, pending, card = null } = this.with as Receiving;
      this.issuance = pending ?? null;
      this.card = card;
      if (card && !this.pending) return;
      if (offered) {
        this.issuance = await this.wallet.issuance.accept(offered, txCode);
        await this.wallet.read();
        if (offered.signInHost !== null) return this.leave();
      }
      await this.run();
    });
  }

  private async run(): Promise<void> {
    if (!this.issuance || (this.waits && this.waits !== "issuer")) return;
    if (this.waits === "issuer") return this.hearNeeds();
    this.step = "token";
    this.order = await this.wallet.finish(this.issuance, (step) => {
      this.step = step;
      this.requestUpdate();
    }).catch((thrown: unknown) => {
      // Not failures: it is the holder's turn, or the issuer's; the view says which.
      if (["sign_in_needed", "tx_code_needed", "deferred"].includes(asProblem(thrown).code)) return null;
      throw thrown;
    });
    if (this.order) return;
    this.focusHeading();
    await this.hearNeeds();
  }

  /** The issuer put it off: perhaps for somebody to prove who they are. */
  private async hearNeeds(): Promise<void> {
    const { pending } = this;
    if (!pending?.subject || deferredUntil(pending) === 0) return;
    this.askedNeeds = this.wallet.now();
    this.standing = await this.wallet.proofing.standing(pending.subject);
    const { waiting = false } = this.with as Receiving;
    if (!this.isConnected) return;
    if (!waiting && this.standing?.route === "face" && this.standing.needs.includes("face")) this.toFace();
    this.requestUpdate();
  }

  private readonly toFace = (): void => {
    const { pending, standing } = this;
    if (pending?.subject && standing) this.host.go({ name: "face", with: { subject: pending.subject, standing, pending: pending.id, card: pending.order } }, true);
  };

  private readonly retry = (): Promise<void> => this.attempt(() => this.run());
  private readonly signIn = (): Promise<void> => this.attempt(() => this.leave());

  /** To the issuer's own page. What must match when the browser comes back is on disk. */
  private async leave(): Promise<void> {
    const url = await this.wallet.signIn(this.issuance ?? "");
    this.leaving = true;
    this.requestUpdate();
    location.assign(url);
  }

  private readonly code = (event: CustomEvent<string>): Promise<void> =>
    this.attempt(async () => {
      await this.wallet.giveTxCode(this.issuance ?? "", event.detail);
      await this.run();
    });

  private focusHeading(): void {
    this.requestUpdate();
    void this.updateComplete.then(() => this.querySelector<HTMLElement>("#heading")?.focus());
  }

  private get pending(): Pending | undefined {
    return this.wallet.pending.find((item) => item.id === this.issuance);
  }

  private get waits(): ReturnType<typeof waitsFor> {
    return this.pending ? waitsFor(this.pending, this.wallet.now()) : null;
  }

  /** Put off: also at the moment in which the wallet asks again, so that the screen stands still. */
  private get putOff(): boolean {
    return !this.busy && this.pending !== undefined && !this.pending.failed && deferredUntil(this.pending) > 0;
  }

  protected override updated(): void {
    const stale = this.wallet.now() - this.askedNeeds > (this.standing ? NEEDS_MS : NEEDS_UNKNOWN_MS);
    if (stale && this.putOff && this.pending?.subject) void this.hearNeeds().catch(asProblem); // the next look asks again
    if (this.told || !this.querySelector('[data-testid="arrived"]')) return;
    this.told = true;
    this.host.announce(t("progress.arrived"));
    this.querySelector<HTMLElement>("#heading")?.focus();
  }

  protected view(): TemplateResult {
    const { pending } = this;
    if (pending) this.card = pending.order;
    // It may have arrived while this screen was waiting: the wallet asks the issuer by itself.
    const arrived = this.order ?? (pending || this.busy ? null : this.card);
    const order = this.wallet.orders.find((item) => item.id === arrived);
    if (order) return this.arrived(order);
    if (this.leaving) return html`${heading(t("sign_in.leaving"))}<p class="lead" role="status">${t("sign_in.leaving.lead", { host: this.signInHost })}</p>`;
    switch (this.waits ?? (this.putOff ? "issuer" : null)) {
      case "sign_in":
        return this.signInView();
      case "tx_code":
        return this.codeView();
      case "issuer":
        return this.standing && this.standing.needs.length > 0 ? this.officerView(this.standing) : this.waitView();
      default:
        return this.stepsView();
    }
  }

  private get signInHost(): string {
    const { signIn, host } = this.pending ?? {};
    return signIn ? new URL(signIn.url).host : ((this.with as Receiving).offered?.signInHost ?? host ?? "");
  }

  private signInView(): TemplateResult {
    return html`${heading(t("sign_in.title"))}
      <p class="lead">${t("sign_in.lead", { host: this.signInHost })}</p>
      ${this.trouble()}
      <div class="actions">
        <button class="button" id="sign-in" data-testid="sign-in" ?disabled=${this.busy} @click=${this.signIn}>${t("sign_in.go", { host: this.signInHost })}</button>
        ${this.later()}
      </div>`;
  }

  private codeView(): TemplateResult {
    return html`${heading(t("tx.title"))}
      ${this.trouble()}
      <m-tx-code .asked=${txCodeOf(this.pending?.offer)} .locked=${this.busy} @code=${this.code}></m-tx-code>
      ${this.later()}`;
  }

  private waitView(): TemplateResult {
    const { name } = this.pending ?? {};
    return html`<div class="centred" data-testid="deferred">
      <span class="big-mark">${icon("history")}</span>
      ${heading(t("deferred.title"))}
      <p class="lead">${t("deferred.lead", { card: name ? pickWords(name) : "" })}</p>
      <p class="fine">${t("deferred.next", { time: moment(this.wallet.nextDeferred) })}</p>
      <div class="actions"><button class="button" id="later" data-testid="later" @click=${() => this.host.go({ name: "home" }, true)}>${t("do.done")}</button></div>
    </div>`;
  }

  private officerView({ needs, route }: FaceStanding): TemplateResult {
    const may = route === "face" && needs.includes("face");
    return html`<div class="centred" data-testid="await-officer" data-needs=${needs.join(",")}>
      ${officer()}
      ${heading(t(needs.includes("second_officer") ? "await.second" : "await.officer"))}
      <p class="lead" role="status">${t("await.officer.lead")}</p>
      ${this.trouble()}
      ${may ? html`<p class="fine">${t("await.face.lead")}</p>` : nothing}
      <div class="actions">
        ${may ? html`<button class="button secondary" data-testid="await-face" @click=${this.toFace}>${icon("camera")}${t("await.face")}</button>` : nothing}
        ${this.later()}
      </div>
    </div>`;
  }

  private later(): TemplateResult {
    return html`<button class="button quiet" data-testid="later" @click=${() => this.host.go({ name: "home" }, true)}>${t("do.later")}</button>`;
  }

  private arrived(order: Order): TemplateResult {
    const signer = order.parts[0]?.signer;
    return html`<div class="arrived" data-testid="arrived">
      ${heading(t("progress.arrived"))}
      <m-card-face class="drop-in" .order=${order} .apart=${apart(order, this.wallet.orders)} .now=${() => this.wallet.now()}></m-card-face>
      ${order.stranger && signer ? html`<p class="panel warn" data-testid="arrived-signer">${t("stranger.signed", { subject: signer.subject, ca: signer.certifiedBy })}</p>` : nothing}
      <div class="actions">
        <button class="button" id="open-arrived" data-testid="open-arrived" @click=${() => this.host.go({ name: "card", order: order.id }, true)}>${t("progress.open")}</button>
        ${order.stranger
          ? html`<button class="button secondary" data-testid="throw-away" @click=${() => this.attempt(async () => { await this.wallet.removeCard(order); this.host.go({ name: "home" }, true); })}>${t("card.remove")}</button>`
          : nothing}
      </div>
    </div>`;
  }

  private stepsView(): TemplateResult {
    const at = STEPS.indexOf(this.step);
    const failed = this.pending?.failed ?? null;
    const final = failed !== null; // trying again cannot help
    if (failed && !this.problem && !this.busy) this.problem = new Problem(failed);
    return html`${heading(t("progress.title"))}
      <ol class="progress" aria-live="polite">
        ${STEPS.map((step, index) => {
          const state = index < at ? "done" : index === at ? (this.problem ? "stopped" : "now") : "later";
          return html`<li class=${state} data-testid="step-${step}" data-state=${state} aria-current=${index === at ? "step" : "false"}>
            <span class="progress-mark">${state === "done" ? icon("ok") : nothing}</span>${t(`progress.${step}`)}
            ${state === "done" ? html`<span class="visually-hidden">${t("progress.done")}</span>` : nothing}
          </li>`;
        })}
      </ol>
      ${this.trouble()}
      ${this.problem
        ? html`<div class="actions">
            ${final
              ? nothing
              : html`<button class="button" id="retry" data-testid="retry" ?disabled=${this.busy} @click=${this.retry}>${t("do.retry")}</button>`}
            <button class="button ${final ? "" : "secondary"}" data-testid="later" @click=${() => this.host.go({ name: "home" }, true)}>${t(final ? "do.done" : "do.later")}</button>
          </div>`
        : html`<p class="fine centre">${t("progress.keep")}</p>`}`;
  }
}
customElements.define("s-offer", Offer);
customElements.define("s-progress", Progress);
