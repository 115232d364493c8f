/**
 * The code somebody told the holder besides the QR code (OpenID4VCI 1.0 section 4.1.1, tx_code).
 * Promises: digits bring the number keys; the issuer's own guidance stands beside the field; event `code` with what was typed.
 * Keeps: what is typed, until it is handed on. Refuses: another length than the issuer gave.
 */
import { html, LitElement, nothing, type TemplateResult } from "lit";
import type { TxCode } from "../offer.ts";
import { t } from "../words.ts";

export class TxCodeForm extends LitElement {
  static override properties = { asked: { attribute: false }, locked: { attribute: false } };
  declare asked: TxCode | null;
  declare locked: boolean;
  private typed = "";
  private wrong = false;

  constructor() {
    super();
    this.asked = null;
    this.locked = false;
  }

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  private fits(): boolean {
    const { numeric = true, length = null } = this.asked ?? {};
    return this.typed !== "" && (!numeric || /^\d+$/.test(this.typed)) && (length === null || this.typed.length === length);
  }

  private readonly submit = (event: Event): void => {
    event.preventDefault();
    this.wrong = !this.fits();
    this.requestUpdate();
    if (this.wrong) void this.updateComplete.then(() => this.querySelector<HTMLElement>("#tx-code")?.focus());
    else this.dispatchEvent(new CustomEvent("code", { detail: this.typed }));
  };

  private words(): string {
    const { numeric, length } = this.asked ?? { numeric: true, length: null };
    if (length === null) return t(numeric ? "tx.shape.digits" : "tx.shape.text");
    return t(numeric ? "tx.shape.n_digits" : "tx.shape.n_text", { n: length });
  }

  protected override render(): TemplateResult {
    const { numeric = true, length = null, description = "" } = this.asked ?? {};
    const described = ["tx-shape", ...(description ? ["tx-description"] : []), ...(this.wrong ? ["tx-wrong"] : [])].join(" ");
    return html`<form class="form" @submit=${this.submit} novalidate>
      ${description ? html`<blockquote class="note" id="tx-description" data-testid="tx-description"><span class="fine">${t("tx.says")}</span>${description}</blockquote>` : nothing}
      <div class="field">
        <label for="tx-code">${t("tx.label")}</label>
        <input id="tx-code" data-testid="tx-code" class="tx-code" type="text" inputmode=${numeric ? "numeric" : "text"} autocomplete="one-time-code" autocapitalize="off"
          spellcheck="false" maxlength=${length ?? 64} aria-describedby=${described} aria-invalid=${this.wrong} ?disabled=${this.locked} .value=${this.typed}
          @input=${(event: InputEvent) => { this.typed = (event.target as HTMLInputElement).value.trim(); }} />
        <span class="hint" id="tx-shape">${this.words()}</span>
        ${this.wrong ? html`<span class="field-error" id="tx-wrong" role="alert">${t("tx.wrong")}</span>` : nothing}
      </div>
      <button class="button" id="tx-send" data-testid="tx-send" type="submit" ?disabled=${this.locked}>${t("do.next")}</button>
    </form>`;
  }
}
customElements.define("m-tx-code", TxCodeForm);
