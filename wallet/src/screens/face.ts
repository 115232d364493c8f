/**
 * The face check, from the phone's side: what it is about, the camera in a circle, blinking when asked, and what the issuer decided.
 * Promises: nothing is taken before the holder agreed; the camera is off as soon as the pictures are taken, the check is left or the
 * page is hidden; whoever cannot or does not want to goes on without it. Trusts: the issuer, which alone decides. Keeps: no picture.
 */
import { html, nothing, type TemplateResult } from "lit";
import { Camera } from "../face/camera.ts";
import type { Frame } from "../face/burst.ts";
import type { Hint } from "../face/measures.ts";
import { asProblem, Problem } from "../problem.ts";
import type { Challenge, FaceResult, FaceStanding } from "../proofing.ts";
import { has, t } from "../words.ts";
import { eye, ring } from "../parts/face_parts.ts";
import "../words/checks.ts";
import { heading, icon, Screen } from "./screen.ts";

export interface FaceWith {
  readonly subject: string;
  readonly standing: FaceStanding;
  /** The issuance that waits for it; none: an IC card's session does. */
  readonly pending?: string;
  readonly card?: string;
}
type Stage = "consent" | "declining" | "opening" | "framing" | "countdown" | "capture" | "deciding" | "result";
const FILMING: readonly Stage[] = ["opening", "framing", "countdown", "capture"];

const LOOK_MS = 250;
const GOOD_LOOKS = 4;
const COUNT_FROM = 3;
const COUNT_MS = 900;
const SHOW_RESULT_MS = 2200;
const pause = (ms: number): Promise<void> => new Promise((resume) => setTimeout(resume, ms));

class Face extends Screen {
  private stage: Stage = "consent";
  private camera: Camera | null = null;
  private leaving: AbortController | null = null;
  private hint: Hint = "good";
  private startNow = false;
  private count = 0;
  private challenge: Challenge | null = null;
  private prompt = 0;
  private result: FaceResult | null = null;
  private left = 0;
  private spoken = "";

  private get about(): FaceWith {
    return this.with as FaceWith;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    const { triesLeft, route } = this.about.standing;
    this.left = triesLeft;
    if (route !== "face") this.stage = "declining";
    document.addEventListener("visibilitychange", this.unseen);
    this.wallet.addEventListener("change", this.settledElsewhere);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    document.removeEventListener("visibilitychange", this.unseen);
    this.wallet.removeEventListener("change", this.settledElsewhere);
    this.off();
  }

  private off(): void {
    this.leaving?.abort();
    this.camera?.stop();
    this.camera = null;
  }

  /** A camera nobody looks at is switched off. */
  private readonly unseen = (): void => {
    if (document.visibilityState !== "hidden" || !FILMING.includes(this.stage)) return;
    this.off();
    this.problem = new Problem("face_interrupted");
    this.turn("consent");
  };

  /** The officers were faster: there is nothing to check any more. */
  private readonly settledElsewhere = (): void => {
    const { pending } = this.about;
    const gone = pending !== undefined && this.wallet.vault.open && !this.wallet.pending.some(({ id, failed }) => id === pending && !failed);
    if (gone && this.stage !== "deciding" && this.isConnected) this.goOn();
  };

  private turn(stage: Stage): void {
    this.stage = stage;
    this.requestUpdate();
    if (FILMING.includes(stage) && stage !== "opening") return; // the live region speaks; the focus stays
    void this.updateComplete.then(() => this.querySelector<HTMLElement>("#heading")?.focus());
  }

  private say(words: string): void {
    if (words === this.spoken) return;
    this.spoken = words;
    this.requestUpdate();
  }

  private goOn(): void {
    this.off();
    const { pending, card } = this.about;
    if (pending === undefined) this.host.go({ name: "tap", with: { faced: true } }, true);
    else this.host.go({ name: "progress", with: { pending, card, waiting: true } }, true);
  }

  private readonly stop = (): void => {
    this.off();
    this.problem = null;
    this.turn("consent");
  };

  private readonly begin = (): Promise<void> => this.attempt(() => this.check());

  private async check(): Promise<void> {
    const leaving = new AbortController();
    this.leaving = leaving;
    this.result = null;
    this.challenge = null;
    this.startNow = false;
    this.turn("opening");
    let frames: Frame[] = [];
    try {
      await this.updateComplete;
      const video = this.querySelector("video");
      if (!video) return;
      const camera = new Camera(video);
      this.camera = camera;
      await camera.start();
      await this.framing(camera, leaving.signal);
      const challenge = await this.countdown(leaving.signal);
      frames = await this.capture(camera, challenge);
      camera.stop();
      this.turn("deciding");
      this.say(t("face.deciding"));
      this.result = await this.wallet.proofing.answer(challenge, frames, leaving.signal);
      this.decided(this.result);
    } catch (thrown) {
      if (leaving.signal.aborted) return;
      const problem = asProblem(thrown);
      if (problem.code === "face_spent") this.left = 0;
      this.turn("result");
      throw problem;
    } finally {
      frames.length = 0; // the pictures were for the issuer, once
      if (this.leaving === leaving) this.off();
    }
  }

  private async framing(camera: Camera, leaving: AbortSignal): Promise<void> {
    this.turn("framing");
    for (let good = 0; good < GOOD_LOOKS && !this.startNow; ) {
      await pause(LOOK_MS);
      leaving.throwIfAborted();
      this.hint = await camera.hint();
      good = this.hint === "good" ? good + 1 : 0;
      this.say(t(`face.hint.${this.hint}`));
      this.requestUpdate();
    }
  }

  /** The challenge is asked for when the picture is right: it does not live long. */
  private async countdown(leaving: AbortSignal): Promise<Challenge> {
    this.count = 0;
    this.turn("countdown");
    const challenge = await this.wallet.proofing.challenge(this.about.subject);
    leaving.throwIfAborted();
    this.challenge = challenge;
    this.left = challenge.triesLeft;
    this.say(this.blinkWords());
    for (this.count = COUNT_FROM; this.count > 0; this.count--) {
      this.requestUpdate();
      await pause(COUNT_MS);
      leaving.throwIfAborted();
    }
    return challenge;
  }

  private capture(camera: Camera, challenge: Challenge): Promise<Frame[]> {
    this.turn("capture");
    this.say(t("face.look"));
    return camera.burst(challenge, (prompt, progress) => {
      this.querySelector(".face-ring-now")?.setAttribute("stroke-dashoffset", String(1 - progress));
      if (prompt === this.prompt) return;
      this.prompt = prompt;
      if (prompt > 0) navigator.vibrate?.(120);
      this.say(prompt > 0 ? t("face.now") : t("face.look"));
      this.requestUpdate();
    });
  }

  private decided(result: FaceResult): void {
    this.left = result.triesLeft;
    this.turn("result");
    if (!result.ok) return;
    this.say(t("face.ok.title"));
    setTimeout(() => {
      if (this.isConnected && this.result === result) this.goOn();
    }, SHOW_RESULT_MS);
  }

  private blinkWords(): string {
    const n = this.challenge?.blinks ?? 1;
    return n === 1 ? t("face.blinks.once") : t("face.blinks", { n });
  }

  // --- what is shown ---

  protected view(): TemplateResult {
    return html`<div class="face" data-testid="face" data-stage=${this.stage}>
      ${this.page()}
      <p class="visually-hidden" aria-live="assertive" data-testid="face-spoken">${this.spoken}</p>
    </div>`;
  }

  private page(): TemplateResult {
    switch (this.stage) {
      case "consent":
        return this.consentView();
      case "declining":
        return this.decliningView();
      case "deciding":
        return this.decidingView();
      case "result":
        return this.resultView();
      default:
        return this.cameraView();
    }
  }

  private get atHome(): boolean {
    return this.about.pending === undefined;
  }

  private consentView(): TemplateResult {
    const { model } = this.about.standing;
    return html`${heading(t("face.title"))}
      <p class="lead">${t(this.atHome ? "face.lead.home" : "face.lead")}</p>
      ${this.trouble()}
      <ul class="panel ask-list">
        ${(["taken", "decides", "kept"] as const).map((what) => html`<li class="ask-item">
          <span class="ask-mark">${icon({ taken: "camera", decides: "shield", kept: "lock" }[what] as "camera")}</span>
          <div><h2>${t(`face.${what}`)}</h2><p>${t(what === "decides" && this.atHome ? "face.decides.home" : `face.${what}.lead`)}</p></div></li>`)}
      </ul>
      ${model && !model.accredited
        ? html`<p class="note" data-testid="not-accredited">${t("face.reference", { name: model.name, version: model.version })}</p>`
        : nothing}
      <p class="fine">${t("face.tries", { n: this.left })}</p>
      <div class="actions">
        <button class="button" id="face-start" data-testid="face-start" ?disabled=${this.busy} @click=${this.begin}>${icon("camera")}${t("face.start")}</button>
        <button class="button secondary" id="face-decline" data-testid="face-decline" @click=${() => this.turn("declining")}>${t("face.decline")}</button>
      </div>`;
  }

  private decliningView(): TemplateResult {
    return html`<div class="centred">
      <span class="big-mark">${icon("people")}</span>
      ${heading(t("face.declined.title"))}
      <p class="lead">${t(this.atHome ? "face.declined.home" : "face.declined.lead")}</p>
      ${this.trouble()}
      <div class="actions">
        ${this.atHome
          ? html`<button class="button" data-testid="face-end-tap" ?disabled=${this.busy} @click=${this.endTap}>${t("face.declined.end")}</button>`
          : html`<button class="button" id="face-officers" data-testid="face-officers" @click=${() => this.goOn()}>${t("face.officers")}</button>`}
        <button class="button secondary" data-testid="face-back" @click=${() => this.turn("consent")}>${t("do.back")}</button>
      </div></div>`;
  }

  private readonly endTap = (): Promise<void> =>
    this.attempt(async () => {
      const session = await this.wallet.proofing.tapUnderWay();
      if (session) await this.wallet.proofing.cancelTap(session);
      this.host.go({ name: "documents" }, true);
    });

  private cameraView(): TemplateResult {
    const { stage, prompt } = this;
    const words =
      stage === "opening" ? t("face.opening")
      : stage === "framing" ? t(`face.hint.${this.hint}`)
      : stage === "countdown" ? (this.count > 0 ? t("face.in", { n: this.count }) : t("app.busy"))
      : prompt > 0 ? t("face.now")
      : t("face.look");
    return html`<div class="face-camera" data-testid="face-camera" data-prompt=${prompt} data-asked=${prompt > 0 ? "blink" : "look"}>
      ${heading(t(stage === "capture" || stage === "countdown" ? "face.capture.title" : "face.frame.title"))}
      <div class="face-circle ${prompt > 0 ? "asked" : ""} ${this.hint === "good" || stage !== "framing" ? "good" : ""}">
        <video playsinline muted aria-label=${t("face.video")}></video>
        ${ring(stage)}
        ${prompt > 0 ? html`<span class="face-flash" aria-hidden="true"></span><span class="face-eye" aria-hidden="true">${eye()}</span>` : nothing}
        ${stage === "countdown" && this.count > 0 ? html`<span class="face-count" aria-hidden="true">${this.count}</span>` : nothing}
      </div>
      <p class="face-words ${prompt > 0 ? "asked" : ""}" data-testid="face-words" data-hint=${stage === "framing" ? this.hint : stage}>${words}</p>
      <p class="fine centre">${this.challenge ? this.blinkWords() : t("face.blinks.about")}</p>
      <div class="actions">
        ${stage === "framing" ? html`<button class="button" id="face-now" data-testid="face-now" @click=${() => { this.startNow = true; }}>${t("face.start.now")}</button>` : nothing}
        <button class="button secondary" id="face-cancel" data-testid="face-cancel" @click=${this.stop}>${t("do.cancel")}</button>
      </div></div>`;
  }

  private decidingView(): TemplateResult {
    return html`<div class="centred">
      <span class="waiting-ring" aria-hidden="true"></span>
      ${heading(t("face.deciding"))}
      <p class="lead" role="status">${t("face.deciding.lead")}</p>
      <div class="actions"><button class="button secondary" data-testid="face-cancel" @click=${this.stop}>${t("do.cancel")}</button></div>
    </div>`;
  }

  private resultView(): TemplateResult {
    const { result } = this;
    if (result?.ok) {
      return html`<div class="centred" data-testid="face-result" data-ok="true" data-reason=${result.reason}>
        <span class="big-mark good">${icon("ok")}</span>
        ${heading(t("face.ok.title"))}
        <p class="lead" role="status">${t(this.atHome ? "face.ok.home" : "face.ok.lead")}</p>
        <div class="actions"><button class="button" data-testid="face-go-on" @click=${() => this.goOn()}>${t("do.next")}</button></div>
      </div>`;
    }
    const reason = result?.reason ?? "";
    const again = this.left > 0 && !FOR_OFFICERS.has(reason) && !FOR_OFFICERS.has(this.problem?.code ?? "");
    return html`<div class="centred" data-testid="face-result" data-ok="false" data-reason=${reason || (this.problem?.code ?? "")}>
      <span class="big-mark stop">${icon("no")}</span>
      ${heading(t(again ? "face.failed.title" : "face.failed.last"))}
      ${result ? html`<p class="lead" data-testid="face-reason">${reasonWords(reason)}</p>
          ${again || FOR_OFFICERS.has(reason) ? html`<p class="note">${adviceWords(reason)}</p>` : nothing}` : this.trouble()}
      <p class="fine" data-testid="face-tries">${this.left > 0 ? t("face.tries", { n: this.left }) : t("face.tries.none")}</p>
      <div class="actions">
        ${again ? html`<button class="button" id="face-again" data-testid="face-again" ?disabled=${this.busy} @click=${this.begin}>${t("face.again")}</button>` : nothing}
        ${this.atHome
          ? html`<button class="button ${again ? "secondary" : ""}" data-testid="face-end-tap" ?disabled=${this.busy} @click=${this.endTap}>${t("face.declined.end")}</button>`
          : html`<button class="button ${again ? "secondary" : ""}" id="face-officers" data-testid="face-officers" @click=${() => this.goOn()}>${t("face.officers")}</button>`}
      </div></div>`;
  }
}

/** Trying again would not help: it is not about the pictures just taken. */
const FOR_OFFICERS = new Set([
  "record-no-face", "record-several-faces", "record-too-small", "record-unreadable", "verifier-unavailable", "face_unavailable", "face_spent",
  "record_photo_too_old",
]);

export function reasonWords(reason: string): string {
  const key = `face.reason.${reason}`;
  return has(key) ? t(key) : t("face.reason.other");
}

export function adviceWords(reason: string): string {
  const key = `face.do.${reason}`;
  return has(key) ? t(key) : t("face.do.other");
}
customElements.define("s-face", Face);
