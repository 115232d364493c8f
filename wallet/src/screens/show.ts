/** One's own code: choose what it says, see it, confirm, hold it to the shop's camera. Works without a network. */
import { html, nothing, type TemplateResult } from "lit";
import type { CodePresentation } from "../codes.ts";
import type { Listed } from "../purposes.ts";
import { claimLabel, pickWords, t } from "../words.ts";
import { CodeScreen } from "./answer.ts";
import { back } from "./home.ts";
import { heading, icon } from "./screen.ts";

class Show extends CodeScreen {
  private list: readonly { purpose: Listed; left: number }[] | null = null;
  private picked: CodePresentation | null = null;

  override connectedCallback(): void {
    super.connectedCallback();
    void this.load();
  }

  private load(): Promise<void> {
    return this.attempt(async () => {
      const { codes } = this.wallet;
      this.list = await Promise.all((await codes.toShow()).map(async (purpose) => ({ purpose, left: await codes.left(purpose) })));
    });
  }

  protected override get question(): CodePresentation {
    if (!this.picked) throw new Error("nothing was chosen yet");
    return this.picked;
  }

  protected override renew(): void {
    this.picked = this.wallet.codes.again(this.question);
  }

  private readonly pick = (purpose: Listed): Promise<void> =>
    this.attempt(async () => {
      this.picked = await this.wallet.codes.unasked(purpose);
      this.chosen = null;
      this.attend();
    });

  private attend(): void {
    this.requestUpdate();
    void this.updateComplete.then(() => {
      window.scrollTo(0, 0);
      this.querySelector<HTMLElement>("#heading")?.focus();
    });
  }

  protected override get phrases(): CodeScreen["phrases"] {
    return { ...super.phrases, allow: "show.allow", deny: "show.other", confirm: "show.confirm.lead" };
  }

  protected override view(): TemplateResult {
    return this.picked ? super.view() : this.chooseView();
  }

  private chooseView(): TemplateResult {
    const { list } = this;
    const spent = list !== null && list.length > 0 && list.every(({ left }) => left === 0);
    return html`${back(this)} ${heading(t("show.title"))}
      <p class="lead">${t("show.lead")}</p>
      ${this.trouble()}
      ${this.problem && !list ? html`<button class="button secondary small" data-testid="retry" @click=${() => this.load()}>${t("do.retry")}</button>` : nothing}
      ${list?.length === 0 ? this.note("no-codes", t("show.none"), t("show.none.lead")) : nothing}
      ${spent ? this.note("codes-spent", t("show.empty"), t("show.empty.lead")) : nothing}
      <ul class="choices" data-testid="code-choices">${list?.map(({ purpose, left }) => html`<li>${this.card(purpose, left)}</li>`)}</ul>
      ${[...new Map((list ?? []).map(({ purpose, left }) => [purpose.document.id, { card: pickWords(purpose.document.name), n: left }])).values()].map((one) => html`<p class="fine centre" data-testid="left" data-count=${one.n}>${t("show.left", one)}</p>`)}`;
  }

  private note(testId: string, title: string, lead: string): TemplateResult {
    return html`<section class="panel warn" data-testid=${testId}><h2>${title}</h2><p>${lead}</p></section>`;
  }

  /** With a network fresh copies are fetched first, so that none left is no reason to stop. */
  private card(purpose: Listed, left: number): TemplateResult {
    const yesOrNo = purpose.items.every((item) => purpose.kinds[item] === "yes_no");
    const items = purpose.items.map((item) => claimLabel(item, purpose.labels)).join(", ");
    return html`<button class="choice-card" id="code-${purpose.id}" data-testid="code-${purpose.id}" ?disabled=${this.busy || (left === 0 && !navigator.onLine)} @click=${() => this.pick(purpose)}>
      <span class="row-mark">${icon(yesOrNo ? "ok" : "card")}</span>
      <span class="row-words"><b>${pickWords(purpose.name)}</b>
        <span>${yesOrNo ? t("show.pick.yes_no") : t("show.pick.items", { items })}</span>
        ${left === 0 ? html`<span class="soon">${t("show.left.none")}</span>` : nothing}</span>
      ${icon("next")}</button>`;
  }

  protected override head(): TemplateResult {
    return html`<p class="asker-mark">${icon("code")}</p>
      ${heading(t("show.unasked.title"))}
      <p class="lead centre">${t("show.unasked.lead")}</p>`;
  }

  /** Whoever films it promised nothing: of the purpose only its name is true. */
  protected override purposeView(): TemplateResult {
    const { purpose } = this.question.asked;
    return html`<dl class="facts panel"><div><dt>${t("ask.purpose")}</dt><dd data-testid="purpose"><b>${purpose ? pickWords(purpose.name) : ""}</b></dd></div></dl>`;
  }

  /** Nobody asked, so nobody is refused. */
  protected override async refuse(): Promise<void> {
    this.picked = null;
    this.problem = null;
    this.attend();
  }
}
customElements.define("s-show", Show);
