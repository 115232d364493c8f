/**
 * A shop's code: who asks, for what, which items; the holder's yes or no; and the answer as a code that the shop films.
 * The screen of an unasked code (show.ts) is made of the same parts.
 */
import { html, type TemplateResult } from "lit";
import type { Code, CodePresentation } from "../codes.ts";
import "../parts/big_code.ts";
import type { Shown } from "../records.ts";
import { t } from "../words.ts";
import { Ask } from "./ask.ts";
import { heading, icon } from "./screen.ts";

export abstract class CodeScreen extends Ask {
  protected code: Code | null = null;
  private gone = false;

  protected abstract get question(): CodePresentation;
  /** Asks anew: the holder wants another code of the same. */
  protected abstract renew(): void;

  protected override get presentation(): CodePresentation {
    return this.question;
  }

  protected override async send(pin: string | null): Promise<{ entry: Shown; next: null }> {
    this.code = await this.wallet.presentCode({ ...this.question, picks: this.picks }, pin);
    this.gone = false;
    return { entry: this.code.entry, next: null };
  }

  protected override turnDown(): Promise<void> {
    return this.wallet.codes.decline({ ...this.question, picks: this.picks });
  }

  protected override get phrases(): Ask["phrases"] {
    // A name that nobody checked is not put into a sentence of ours, which it could bend.
    return { allow: "answer.allow", deny: "ask.deny", confirm: this.question.asked.anyone ? "answer.confirm.anyone" : "answer.confirm.lead", sending: "show.making", sent: "show.on.title" };
  }

  private readonly anew = (): void => {
    this.renew();
    this.sent = this.code = null;
    this.confirming = true;
    this.problem = null;
    this.requestUpdate();
    void this.updateComplete.then(() => this.querySelector<HTMLElement>("#heading")?.focus());
  };

  private readonly ended = (): void => {
    this.gone = true;
    this.done(t("show.spoken.over"));
  };

  protected override sentView(): TemplateResult {
    const { code } = this;
    if (!code || this.gone) return this.overView();
    return html`${heading(t("show.on.title"))}
      <m-big-code .now=${() => this.wallet.now()} .made=${code.made} .texts=${code.texts} @say=${(event: CustomEvent<string>) => this.host.announce(event.detail)} @over=${this.ended}></m-big-code>
      <div class="actions"><button class="button secondary" id="hide-code" data-testid="hide-code" @click=${this.ended}>${t("show.hide")}</button></div>`;
  }

  private overView(): TemplateResult {
    return html`<div class="centred result" data-testid="result" data-outcome="sent">
      <span class="big-mark">${icon("code")}</span>
      ${heading(t("show.over.title"))}
      <p class="lead">${t("show.over.lead")}</p>
      <div class="actions">
        <button class="button" id="done" data-testid="done" @click=${() => this.host.go({ name: "home" }, true)}>${t("do.done")}</button>
        <button class="button secondary" id="code-again" data-testid="code-again" aria-describedby="again-lead" @click=${this.anew}>${icon("code")}${t("show.again")}</button>
        ${this.sent ? html`<button class="button quiet" data-testid="see-record" @click=${() => this.host.go({ name: "record", id: this.sent?.id ?? "" }, true)}>${t("sent.record")}</button>` : ""}
      </div>
      <p class="fine" id="again-lead">${t("show.again.lead")}</p>
      <p class="fine">${t("show.failed")}</p>
    </div>`;
  }
}

class Answer extends CodeScreen {
  protected override get question(): CodePresentation {
    return this.with as CodePresentation;
  }

  protected override renew(): void {} // bound to the same ask, for as long as that lives

  protected override head(): TemplateResult {
    const { anyone = false } = this.question.asked;
    return html`${heading(anyone ? t("answer.anyone.title") : t("ask.title", { party: this.party }))} ${this.asker(html`${t("answer.anyone.calls")}: <bdi>${this.party}</bdi>`)} ${this.late() ?? ""}`;
  }
}
customElements.define("s-answer", Answer);
