/** Scan a code, or paste what is in it. */
import { html, nothing, type TemplateResult } from "lit";
import "../parts/scanner.ts";
import { wordsOf } from "../trust.ts";
import { claimLabel, pickWords, t } from "../words.ts";
import { heading, Screen } from "./screen.ts";

class Scan extends Screen {
  private denied = false;
  private ready = false;
  private reading = false;
  private pasted = "";

  private readonly code = (event: CustomEvent<string>): void => void this.open(event.detail);

  private async open(text: string): Promise<void> {
    this.reading = true;
    await this.attempt(() => this.host.open(text));
    this.reading = false;
    this.requestUpdate();
  }

  /** What was asked for that nobody gets. */
  private tooMuch(): TemplateResult | typeof nothing {
    const { items, party } = this.problem?.facts ?? {};
    if (!Array.isArray(items) || items.length === 0) return nothing;
    const name = pickWords(wordsOf(party));
    return html`<dl class="facts panel" data-testid="too-much">
      ${name ? html`<div><dt>${t("refused.who")}</dt><dd>${name}</dd></div>` : nothing}
      <div><dt>${t("refused.items")}</dt><dd>${items.map((item) => claimLabel(String(item))).join(", ")}</dd></div>
    </dl>`;
  }

  /** To the record of what was stopped, where it can be reported. */
  private readonly toRecord = (): Promise<void> =>
    this.attempt(async () => {
      const entry = (await this.wallet.presenter.history())[0];
      this.host.go(entry ? { name: "record", id: entry.id } : { name: "history" });
    });

  protected view(): TemplateResult {
    const reportable = typeof this.problem?.facts["evidence"] === "string";
    const halted = this.reading || this.problem !== null;
    return html`${heading(t("scan.title"))}
      ${this.problem
        ? nothing
        : html`<p class="lead" role="status" data-testid="scan-state">
        ${t(this.reading ? "scan.reading" : this.denied ? "scan.denied" : this.ready ? "scan.lead" : "scan.starting")}
      </p>`}
      ${this.trouble()}
      ${this.tooMuch()}
      ${reportable ? html`<div class="actions"><button class="button secondary" data-testid="to-report" @click=${this.toRecord}>${t("report.button")}</button></div>` : nothing}
      ${this.problem
        ? html`<div class="actions"><button class="button" id="scan-again" data-testid="scan-again" @click=${() => { this.problem = null; this.requestUpdate(); }}>${t("scan.again")}</button></div>`
        : nothing}
      ${halted || this.denied
        ? nothing
        : html`<m-scanner @code=${this.code} @ready=${() => { this.ready = true; this.requestUpdate(); }}
            @denied=${() => { this.denied = true; this.requestUpdate(); }}></m-scanner>`}
      <details class="paste" ?open=${this.denied}>
        <summary id="paste" data-testid="paste">${t("scan.paste")}</summary>
        <form class="form" @submit=${(event: Event) => { event.preventDefault(); void this.open(this.pasted); }}>
          <div class="field">
            <label for="link">${t("scan.paste.label")}</label>
            <textarea id="link" data-testid="link" rows="3" spellcheck="false" autocapitalize="off" .value=${this.pasted}
              @input=${(event: InputEvent) => { this.pasted = (event.target as HTMLTextAreaElement).value; }}></textarea>
          </div>
          <button class="button secondary" id="open-link" data-testid="open-link" type="submit" ?disabled=${this.busy}>${t("scan.paste.go")}</button>
        </form>
      </details>`;
  }
}
customElements.define("s-scan", Scan);
