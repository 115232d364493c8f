/**
 * A request to erase, or a complaint, to whom something was shown.
 * Promises: all that is sent stands on the screen, and the words are the person's to change. Trusts: citizen.ts. Keeps: nothing.
 * Refuses: empty or overlong words.
 */
import { html, nothing, type TemplateResult } from "lit";
import { MOST_WORDS, pageOf, type RequestKind, takesRequests } from "../citizen.ts";
import type { Shown } from "../records.ts";
import { claimLabel, moment, pickWords, t } from "../words.ts";
import { back } from "./home.ts";
import { heading, icon, Screen } from "./screen.ts";

class Rights extends Screen {
  private entry: Shown | null = null;
  private who: Shown["who"];
  private words = "";
  private lacking = false;

  private get kind(): RequestKind {
    return (this.with as { kind: RequestKind }).kind;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    void this.attempt(async () => {
      const { id } = this.with as { id: string };
      const entry = (await this.wallet.presenter.history()).find((one) => one.id === id) ?? null;
      if (!entry) return;
      this.who = await this.wallet.citizen.contact(entry);
      this.words = t(`rights.${this.kind}.draft`, { when: moment(entry.at), purpose: pickWords(entry.purpose), items: this.items(entry) });
      this.entry = entry;
    });
  }

  private items(entry: Shown): string {
    const labels = this.wallet.orders.find((order) => order.name.ko === entry.card.ko)?.labels ?? {};
    return entry.items.map(({ name }) => claimLabel(name, labels)).join(", ");
  }

  private readonly send = (event: Event): void => {
    event.preventDefault();
    const { entry } = this;
    this.lacking = this.words.trim() === "" || this.words.trim().length > MOST_WORDS;
    if (!entry || this.lacking) {
      this.requestUpdate();
      void this.updateComplete.then(() => this.querySelector<HTMLElement>("#words")?.focus());
      return;
    }
    void this.attempt(async () => {
      await this.wallet.citizen.send(entry, this.kind, this.words);
      this.host.announce(t("rights.done"));
      this.host.go({ name: "record", id: entry.id }, true);
    });
  };

  private readonly copy = (): Promise<void> =>
    this.attempt(async () => {
      await navigator.clipboard.writeText(this.words);
      this.host.announce(t("rights.copied"));
    });

  protected view(): TemplateResult {
    const { entry, who } = this;
    const title = heading(t(`rights.${this.kind}.title`));
    if (!entry) return html`${back(this)} ${title} ${this.trouble()}`;
    const direct = takesRequests(who);
    const page = pageOf(who);
    const host = page?.host ?? "";
    return html`${back(this)} ${title} ${this.trouble()}
      <form class="stack" @submit=${this.send} novalidate>
        <section class="panel" aria-labelledby="sent"><h2 id="sent">${t("rights.sent")}</h2>
          <p class="fine">${t("rights.sent.lead")}</p>
          <dl class="facts" data-testid="rights-facts">
            <div><dt>${t("rights.to")}</dt><dd>${pickWords(entry.party)}${direct && host ? html`<br /><span class="fine">${host}</span>` : nothing}</dd></div>
            <div><dt>${t("rights.when")}</dt><dd>${moment(entry.at)}</dd></div>
            <div><dt>${t("rights.purpose")}</dt><dd>${pickWords(entry.purpose)}</dd></div>
            <div><dt>${t("rights.items")}</dt><dd>${this.items(entry)}</dd></div>
          </dl>
          <div class="field"><label for="words">${t("rights.words")}</label>
            <textarea id="words" data-testid="words" rows="6" maxlength=${MOST_WORDS} aria-describedby="hint" aria-invalid=${this.lacking}
              .value=${this.words} @input=${(event: Event) => { this.words = (event.target as HTMLTextAreaElement).value; }}></textarea>
            <p class="fine" id="hint" role=${this.lacking ? "alert" : "note"}>${t(this.lacking ? "rights.words.bad" : "rights.words.hint", { most: MOST_WORDS })}</p></div>
        </section>
        ${direct
          ? html`<p class="fine">${t("rights.proof")}</p>
              <button class="button" type="submit" data-testid="send" ?disabled=${this.busy}>${t("rights.send")}</button>`
          : html`<section class="panel warn" data-testid="elsewhere"><p>${icon("warn")} ${t(host ? "rights.elsewhere" : "rights.nowhere")}</p>
              <button class="button" type="button" data-testid="copy" ?disabled=${this.busy} @click=${this.copy}>${t("rights.copy")}</button>
              ${page ? html`<a class="button secondary" data-testid="open" href=${page.href} target="_blank" rel="noopener noreferrer">${t("rights.open", { host })}</a>` : nothing}
            </section>`}
      </form>`;
  }
}
customElements.define("s-rights", Rights);
