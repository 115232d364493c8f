/** What waits in the mailbox, above whatever screen is open. Nothing opens by itself: whoever is tired must not say yes by accident. */
import { html, LitElement, nothing, type TemplateResult } from "lit";
import type { Asker, Waiting } from "../push.ts";
import { asProblem, type Problem } from "../problem.ts";
import { type Host, icon, trouble } from "../screens/screen.ts";
import { moment, pickWords, t } from "../words.ts";
import "../words/push.ts";

class Pushed extends LitElement {
  static override properties = { stamp: { attribute: false } };
  host!: Host;
  declare stamp: readonly Waiting[];
  private askers = new Map<string, Asker | null>();
  private problem: Problem | null = null;
  private busy = false;

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  private async named(one: Waiting): Promise<void> {
    this.askers.set(one.id, null);
    this.askers.set(one.id, await this.host.wallet.pushes.asker(one));
    this.requestUpdate();
  }

  private async attempt(work: () => Promise<void>): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    this.problem = null;
    try {
      await work();
    } catch (thrown) {
      this.problem = asProblem(thrown);
    } finally {
      this.busy = false;
      this.requestUpdate();
    }
  }

  private open(one: Waiting): Promise<void> {
    return this.attempt(async () => {
      await this.host.wallet.pushes.putAside(one.id);
      await this.host.open(one.text);
    });
  }

  private never(one: Waiting): Promise<void> {
    const { pushes } = this.host.wallet;
    return this.attempt(async () => {
      await pushes.notNow(one);
      await pushes.mute([...pushes.muted, one.party].filter((party, at, all) => all.indexOf(party) === at));
    });
  }

  protected override render(): TemplateResult | typeof nothing {
    const { wallet } = this.host;
    const waiting = wallet.pushes.waiting.filter(({ expires }) => expires * 1000 > wallet.now());
    if (waiting.length === 0 && !this.problem) return nothing;
    return html`${this.problem ? trouble(this.problem) : nothing}${waiting.map((one) => {
      if (!this.askers.has(one.id)) void this.named(one);
      const asker = this.askers.get(one.id);
      const party = asker ? pickWords(asker.name) : t("push.unknown");
      return html`<section class="panel warn" data-testid="pushed" aria-labelledby="pushed-${one.id}">
        <h2 id="pushed-${one.id}">${icon("bell")} ${t("push.title", { party })}</h2>
        <p>${t("push.lead", { purpose: asker ? pickWords(asker.purpose) : one.purpose })}</p>
        <p class="fine">${t("push.until", { time: moment(one.expires * 1000) })}</p>
        <div class="actions">
          <button class="button small secondary" data-testid="pushed-not-now" @click=${() => this.attempt(() => wallet.pushes.notNow(one))}>${t("push.not_now")}</button>
          <button class="button small" data-testid="pushed-open" @click=${() => this.open(one)}>${t("push.open")}</button>
        </div>
        <button class="button quiet small" data-testid="pushed-never" @click=${() => this.never(one)}>${t("push.never")}</button>
      </section>`;
    })}`;
  }
}
customElements.define("m-pushed", Pushed);
