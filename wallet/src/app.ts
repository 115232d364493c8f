/**
 * The frame around the screens: which one is shown, what may not be shown, links from outside, offline, language.
 * Promises: a phone that may not be used shows why and nothing else; a locked wallet shows nothing of its holder; after each change of
 * screen the heading has the focus. Keeps: the route, and a link opened before the unlock.
 */
import { html, LitElement, nothing, type TemplateResult } from "lit";
import { keyed } from "lit/directives/keyed.js";
import { Idle } from "./idle.ts";
import { fromHash } from "./links.ts";
import { notifying, remindHere } from "./notify.ts";
import "./parts/pushed.ts";
import { asProblem, Problem } from "./problem.ts";
import { POLL_MS } from "./push.ts";
import "./screens/ask.ts";
import "./screens/history.ts";
import "./screens/home.ts";
import type { Blocked } from "./screens/locks.ts";
import "./screens/locks.ts";
import "./screens/onboarding.ts";
import "./screens/receive.ts";
import "./screens/scan.ts";
import { type Host, icon, type Route, trouble } from "./screens/screen.ts";
import "./screens/settings.ts";
import type { Wallet } from "./wallet.ts";
import { firstLanguage, type Key, speak, spoken, t } from "./words.ts";

const OPEN_ROUTES = new Set(["welcome", "identity", "pin", "unlock", "blocked"]);
/** One question at a time: no way past it but its own buttons. */
const ALONE = new Set(["offer", "ask", "show", "answer", "progress", "face", "tap", "change-pin", "add-passkey", "passkey"]);
/** Not everybody comes here, and nobody at once. */
const LATER: Readonly<Record<string, () => Promise<unknown>>> = {
  face: () => import("./screens/face.ts"), meet: () => import("./screens/meet.ts"), tap: () => import("./screens/tap.ts"),
  rights: () => import("./screens/rights.ts"), show: () => import("./screens/show.ts"), answer: () => import("./screens/answer.ts"),
};
const CALLBACK = "/wallet/callback";
const TABS = ["home", "scan", "history", "settings"] as const;

export class App extends LitElement implements Host {
  wallet!: Wallet;
  avoid: string[] = [];
  private route: Route = { name: "unlock" };
  private visit = 0;
  private spokenWords = "";
  private waitingLink: string | null = null;
  private linkProblem: Problem | null = null;
  private waitingVersion: (() => void) | null = null;
  private others: BroadcastChannel | null = null;
  private issuerTimer: ReturnType<typeof setTimeout> | undefined;
  private misses = 0;

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  async start(wallet: Wallet): Promise<void> {
    this.wallet = wallet;
    speak(firstLanguage(await wallet.store.meta("language"), navigator.languages));
    document.documentElement.lang = spoken();
    this.waitingLink = fromHash(location.hash);
    if (location.pathname === CALLBACK) {
      // Back from an issuer's sign-in. Nothing of it stays in the address or the history.
      await wallet.keepReturn(location.search);
      history.replaceState(null, "", "/wallet/");
    }
    window.addEventListener("popstate", (event) => this.popped(event.state as Route | null));
    window.addEventListener("hashchange", () => this.hashed());
    window.addEventListener("online", () => this.online());
    window.addEventListener("offline", () => this.requestUpdate());
    this.watchOver();
    if (wallet.device) await Promise.race([wallet.obey(), new Promise((resume) => setTimeout(resume, 4000))]);
    this.wallet.addEventListener("change", () => void this.guard());
    if (!(await this.retire())) this.go(await this.firstRoute(), true);
    void this.remind();
  }

  private async firstRoute(): Promise<Route> {
    const phase = await this.wallet.phase();
    return phase === "ready" ? { name: "unlock" } : { name: phase };
  }

  /** When the phone or the PIN may not be used, shows that and returns true. */
  async retire(): Promise<boolean> {
    const { device } = this.wallet;
    const erased = await this.wallet.erased();
    const why: Blocked | null =
      erased && (!device || device.state === "suspended") && (erased.why === "lost" || erased.why === "ended" || erased.why === "moved" || erased.why === "unknown")
        ? erased.why
        : device?.state === "suspended"
          ? "suspended"
          : (await this.wallet.vault.hasPin()) && (await this.wallet.vault.triesLeft()) === 0
            ? "pin"
            : null;
    if (!why) return false;
    if (this.route.name !== "blocked" || this.route.with !== why) this.go({ name: "blocked", with: why }, true);
    return true;
  }

  /** News while the wallet is open: lost, ended, locked. */
  private async guard(): Promise<void> {
    if (OPEN_ROUTES.has(this.route.name)) return;
    if (await this.retire()) return;
    const first = await this.firstRoute();
    const closed = !this.wallet.vault.open && this.route.name !== "passkey" && !OPEN_ROUTES.has(this.route.name);
    if (closed) this.go(first, true);
    else {
      this.waitForIssuers();
      this.requestUpdate();
    }
  }

  go(route: Route, replace = false): void {
    const load = LATER[route.name];
    if (load && !customElements.get(`s-${route.name}`)) {
      const { visit } = this;
      void load()
        .then(() => { if (this.visit === visit) this.go(route, replace); })
        .catch(() => { this.linkProblem = new Problem("offline"); this.requestUpdate(); });
      return;
    }
    this.route = route;
    this.visit += 1;
    this.linkProblem = null;
    // What a route carries (a request, an offer) is not put into the browser's history.
    const kept = "with" in route ? { name: "home" } : route;
    history[replace ? "replaceState" : "pushState"](kept, "", `#/${route.name}`);
    this.waitForIssuers();
    this.requestUpdate();
    void this.updateComplete.then(() => this.settle());
  }

  private async settle(): Promise<void> {
    await new Promise(requestAnimationFrame);
    window.scrollTo(0, 0);
    const heading = this.querySelector<HTMLElement>("#heading");
    document.title = `${heading?.textContent?.trim() ?? ""} – ${t("app.name")}`;
    // Where the safe answer is no, that is where the keyboard starts.
    const first = this.querySelector<HTMLElement>("[data-first]") ?? heading;
    if (!this.querySelector("#pin:focus")) first?.focus({ preventScroll: true });
  }

  /** While the wallet is open, what an issuer put off is asked for when its time has come. */
  private waitForIssuers(): void {
    clearTimeout(this.issuerTimer);
    const next = this.wallet.nextDeferred;
    if (next === 0 || !this.wallet.vault.open) return;
    // One that does not answer is asked less and less often.
    const wait = Math.min(Math.max(1000, next - this.wallet.now()) * 2 ** this.misses, 3_600_000);
    this.issuerTimer = setTimeout(() => void this.wallet.collect().catch(asProblem).then(() => {
      this.misses = this.wallet.nextDeferred === next ? Math.min(this.misses + 1, 6) : 0;
      this.waitForIssuers();
    }), wait);
  }

  private popped(state: Route | null): void {
    if (fromHash(location.hash)) return;
    if (OPEN_ROUTES.has(this.route.name) && !this.wallet.vault.open) {
      if (this.route.name === "blocked" && this.route.with === "forgot") this.go({ name: "unlock" }, true);
      else history.pushState(state, "", `#/${this.route.name}`); // no way round the lock by going back
      return;
    }
    const route = state && !OPEN_ROUTES.has(state.name) ? state : ({ name: "home" } as const);
    this.go(route, true);
  }

  private hashed(): void {
    const text = fromHash(location.hash);
    if (!text) return;
    history.replaceState({ name: "home" }, "", "#/home");
    if (this.wallet.vault.open && ALONE.has(this.route.name)) return; // nothing may change the question under the holder's finger
    if (!this.wallet.vault.open) {
      this.waitingLink = text;
      return;
    }
    void this.openLink(text);
  }

  private async openLink(text: string): Promise<void> {
    this.waitingLink = null;
    const { visit } = this;
    try {
      await this.open(text);
    } catch (thrown) {
      if (this.overtaken(visit)) return;
      this.go({ name: "home" }, true);
      this.linkProblem = asProblem(thrown);
      this.requestUpdate();
    }
  }

  /** Locked since, or a question came up since: nothing may change it under the holder's finger. */
  private overtaken(visit: number): boolean {
    return !this.wallet.vault.open || (this.visit !== visit && ALONE.has(this.route.name));
  }

  /** Reads a code and shows what it asks, unless it took so long that something else is asked now. Throws what the wallet refuses. */
  async open(text: string): Promise<void> {
    const { visit } = this;
    const meant = await this.wallet.understand(text);
    if (!this.wallet.vault.open) this.waitingLink = text; // for after the unlock
    if (this.overtaken(visit)) return;
    if ("offered" in meant) {
      if (this.wallet.device?.state === "waiting") throw new Problem("phone_already_active");
      this.go({ name: "offer", with: meant.offered });
    } else if ("code" in meant) this.go({ name: "answer", with: meant.code });
    else this.go({ name: "ask", with: meant.presentation });
  }

  async afterUnlock(): Promise<void> {
    if (await this.retire()) return;
    const link = this.waitingLink;
    this.go({ name: "home" }, true);
    if (!(await this.goOn())) {
      if (link) await this.openLink(link);
      else if (await this.wallet.proofing.tapUnderWay()) this.go({ name: "tap", with: {} }, true);
    }
    await this.wallet.tend().catch(asProblem);
    this.waitForIssuers();
    await this.guard();
    await this.remind();
    await this.mail();
    // Also for a subscription that the browser or the push service has ended since.
    if (this.wallet.device?.state !== "active" || this.wallet.pushes.subscribed) return;
    if ((await notifying(this.wallet.store)) === "on") await this.wallet.pushes.subscribe();
  }

  /** For phones that no push service wakes: each look is signed, and tells the provider where the wallet is open. */
  private poll(): void {
    if (!this.wallet.pushes.subscribed) void this.mail();
  }

  /** What somebody sent to the holder's name. Said, shown above the screen, never opened by itself. */
  private async mail(): Promise<void> {
    if (document.visibilityState === "hidden" || !navigator.onLine) return;
    const news = await this.wallet.lookForPushes().catch(asProblem);
    if (news === true) this.announce(t("push.heard"));
    else this.requestUpdate();
  }

  /** Back from an issuer's sign-in: the issuance it belongs to goes on. */
  private async goOn(): Promise<boolean> {
    try {
      const pending = await this.wallet.takeReturn();
      if (pending) this.go({ name: "progress", with: { pending } }, true);
      return pending !== null;
    } catch (thrown) {
      this.linkProblem = asProblem(thrown);
      this.requestUpdate();
      return true;
    }
  }

  private async remind(): Promise<void> {
    await remindHere(this.wallet.store, this.wallet.now()).catch(asProblem);
  }

  announce(words: string): void {
    this.spokenWords = words;
    this.requestUpdate();
  }

  async speak(language: "ko" | "en"): Promise<void> {
    speak(language);
    document.documentElement.lang = language;
    await this.wallet.store.setMeta("language", language);
    this.wallet.dispatchEvent(new Event("change"));
    this.requestUpdate();
    void this.updateComplete.then(() => {
      document.title = `${this.querySelector("#heading")?.textContent?.trim() ?? ""} – ${t("app.name")}`;
    });
  }

  /** A new version waits. It is used when the holder says so, or after the wallet was closed everywhere. */
  updateReady(use: () => void): void {
    this.waitingVersion = use;
    this.requestUpdate();
  }

  private online(): void {
    this.requestUpdate();
    void this.wallet
      .tend()
      .catch(asProblem)
      .then(() => this.remind());
  }

  /** Left alone: lock. Back: ask how the phone stands. Locked or erased in one tab: in all of them. */
  private watchOver(): void {
    const idle = new Idle(() => this.lockUp());
    for (const sign of ["pointerdown", "keydown", "wheel", "touchmove"]) {
      window.addEventListener(sign, () => idle.touch(), { passive: true, capture: true });
    }
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") return idle.hidden();
      idle.shown();
      void this.wallet
        .obey()
        .then(() => this.guard())
        .then(() => this.remind())
        .then(() => this.mail());
    });
    window.addEventListener("pageshow", (event) => {
      if (event.persisted) idle.shown(); // out of the browser's back-forward cache
    });
    setInterval(() => this.poll(), POLL_MS);
    navigator.serviceWorker?.addEventListener("message", (event) => {
      if (event.data === "pushed") void this.mail();
    });
    if (typeof BroadcastChannel === "undefined") return;
    this.others = new BroadcastChannel("mapae-wallet");
    this.others.addEventListener("message", () => void this.heardLock());
    this.wallet.addEventListener("locked", () => this.others?.postMessage("locked"));
  }

  private lockUp(): void {
    if (!this.wallet.vault.open || this.route.name === "pin") return;
    this.wallet.lock(false); // another tab may be in use
    this.go({ name: "unlock" }, true);
  }

  private async heardLock(): Promise<void> {
    this.wallet.phone.forget();
    this.wallet.device = await this.wallet.phone.device();
    if (this.wallet.vault.open) this.wallet.lock(false);
    await this.guard();
  }

  protected override render(): TemplateResult {
    if (!this.wallet) return html``;
    const name = this.route.name;
    const inside = this.wallet.vault.open && !OPEN_ROUTES.has(name) && !ALONE.has(name);
    return html`<a class="skip" href="#heading" @click=${(event: Event) => { event.preventDefault(); this.querySelector<HTMLElement>("#heading")?.focus(); }}>${t("app.skip")}</a>
      <header class="top">
        <p class="brand"><img src="/wallet/icon.svg" alt="" width="28" height="28" />${t("app.name")}</p>
        <button class="language" id="language" data-testid="language" lang=${spoken() === "ko" ? "en" : "ko"} @click=${() => this.speak(spoken() === "ko" ? "en" : "ko")}>
          ${spoken() === "ko" ? "English" : "한국어"}
        </button>
      </header>
      ${navigator.onLine ? nothing : html`<p class="offline" role="status" data-testid="offline">${t("app.offline")}</p>`}
      ${this.waitingVersion ? html`<div class="offline update" role="status" data-testid="update"><p>${t("app.update")}</p>
            <button class="button quiet small" data-testid="update-now" @click=${this.waitingVersion}>${t("app.update.now")}</button></div>` : nothing}
      <main id="main" class=${inside ? "inside" : ""}>
        ${this.linkProblem ? trouble(this.linkProblem) : nothing}
        ${inside ? html`<m-pushed .host=${this} .stamp=${this.wallet.pushes.waiting}></m-pushed>` : nothing}
        ${keyed(this.visit, this.screen())}
      </main>
      ${inside ? this.tabs() : nothing}
      <p class="visually-hidden" role="status" aria-live="polite" id="announce">${this.spokenWords}</p>`;
  }

  private tabs(): TemplateResult {
    const current = ["record", "rights"].includes(this.route.name) ? "history" : this.route.name;
    return html`<nav class="tabs" aria-label=${t("nav.label")}>
      ${TABS.map((tab) => html`<a href="#/${tab}" id="tab-${tab}" data-testid="tab-${tab}" aria-current=${current === tab ? "page" : "false"}
        @click=${(event: Event) => { event.preventDefault(); this.go({ name: tab }); }}>
        <span class="tab-mark">${icon(tab)}</span><span>${t(`nav.${tab}` as Key)}</span></a>`)}
    </nav>`;
  }

  private screen(): TemplateResult {
    const { route } = this;
    switch (route.name) {
      case "welcome":
        return html`<s-welcome .host=${this}></s-welcome>`;
      case "identity":
        return html`<s-identity .host=${this}></s-identity>`;
      case "pin":
        return html`<s-pin .host=${this}></s-pin>`;
      case "passkey":
        return html`<s-passkey .host=${this}></s-passkey>`;
      case "unlock":
        return html`<s-unlock .host=${this} .with=${this.waitingLink}></s-unlock>`;
      case "home":
        return html`<s-home .host=${this}></s-home>`;
      case "documents":
        return html`<s-documents .host=${this}></s-documents>`;
      case "scan":
        return html`<s-scan .host=${this}></s-scan>`;
      case "meet":
        return html`<s-meet .host=${this}></s-meet>`;
      case "offer":
        return html`<s-offer .host=${this} .with=${route.with}></s-offer>`;
      case "progress":
        return html`<s-progress .host=${this} .with=${route.with}></s-progress>`;
      case "face":
        return html`<s-face .host=${this} .with=${route.with}></s-face>`;
      case "tap":
        return html`<s-tap .host=${this} .with=${route.with}></s-tap>`;
      case "card":
        return html`<s-card .host=${this} .with=${{ order: route.order }}></s-card>`;
      case "ask":
        return html`<s-ask .host=${this} .with=${route.with}></s-ask>`;
      case "show":
        return html`<s-show .host=${this}></s-show>`;
      case "answer":
        return html`<s-answer .host=${this} .with=${route.with}></s-answer>`;
      case "history":
        return html`<s-history .host=${this}></s-history>`;
      case "record":
        return html`<s-record .host=${this} .with=${{ id: route.id }}></s-record>`;
      case "rights":
        return html`<s-rights .host=${this} .with=${{ id: route.id, kind: route.kind }}></s-rights>`;
      case "settings":
        return html`<s-settings .host=${this}></s-settings>`;
      case "change-pin":
        return html`<s-change-pin .host=${this}></s-change-pin>`;
      case "add-passkey":
        return html`<s-add-passkey .host=${this}></s-add-passkey>`;
      case "blocked":
        return html`<s-blocked .host=${this} .with=${route.with}></s-blocked>`;
      default:
        return route satisfies never;
    }
  }
}
customElements.define("mapae-wallet", App);
