/**
 * Reads QR codes from the camera.
 * Promises: fires `code` with the text of the first code seen; the camera is off as soon as the element leaves the page, and while nobody
 * looks at the page.
 * Trusts: zxing (its WebAssembly is served beside the wallet). Keeps: no picture. Fires `denied` when there is no camera.
 */
import { html, LitElement, type TemplateResult } from "lit";
import type { readBarcodes } from "zxing-wasm/reader";
import wasm from "zxing-wasm/reader/zxing_reader.wasm?url";
import { t } from "../words.ts";

const PAUSE_MS = 120;
const WIDEST = 960;

async function load(): Promise<typeof readBarcodes> {
  const reader = await import("zxing-wasm/reader");
  reader.prepareZXingModule({ overrides: { locateFile: (path: string, prefix: string) => (path.endsWith(".wasm") ? wasm : prefix + path) } });
  return reader.readBarcodes;
}

function off(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}

export class Scanner extends LitElement {
  private stream: MediaStream | null = null;
  private live = false;
  private turn = 0;
  private read: typeof readBarcodes | null = null;

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  private readonly seen = (): void => {
    this.stop();
    if (!document.hidden) void this.start();
  };

  override connectedCallback(): void {
    super.connectedCallback();
    this.live = true;
    document.addEventListener("visibilitychange", this.seen);
    void this.start();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    document.removeEventListener("visibilitychange", this.seen);
    this.live = false;
    this.stop();
  }

  private stop(): void {
    this.turn++;
    if (this.stream) off(this.stream);
    this.stream = null;
  }

  private async start(): Promise<void> {
    const turn = ++this.turn;
    let stream: MediaStream;
    try {
      const reader = load(); // while the holder is asked for the camera
      reader.catch(() => undefined);
      stream = await navigator.mediaDevices.getUserMedia({
        audio: false,
        video: { facingMode: { ideal: "environment" }, width: { ideal: 1280 }, height: { ideal: 720 } },
      });
      if (turn !== this.turn) return off(stream); // left, or begun anew, while the browser asked
      this.stream = stream;
      this.read = await reader;
    } catch {
      if (turn !== this.turn) return;
      this.stop();
      this.dispatchEvent(new CustomEvent("denied"));
      return;
    }
    await this.updateComplete;
    const video = this.querySelector("video");
    if (!video || this.stream !== stream) return;
    video.srcObject = stream;
    await video.play().catch(() => undefined);
    this.dispatchEvent(new CustomEvent("ready"));
    await this.watch(video, stream);
  }

  private async watch(video: HTMLVideoElement, stream: MediaStream): Promise<void> {
    const canvas = document.createElement("canvas");
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    while (this.live && this.stream === stream && pen && this.read) {
      if (video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && video.videoWidth > 0) {
        const scale = Math.min(1, WIDEST / video.videoWidth);
        canvas.width = Math.round(video.videoWidth * scale);
        canvas.height = Math.round(video.videoHeight * scale);
        pen.drawImage(video, 0, 0, canvas.width, canvas.height);
        const found = await this.read(pen.getImageData(0, 0, canvas.width, canvas.height), {
          formats: ["QRCode"],
          maxNumberOfSymbols: 1,
          tryHarder: true,
        }).catch(() => []);
        const [first] = found;
        if (first?.isValid && this.live && this.stream === stream) {
          this.dispatchEvent(new CustomEvent("code", { detail: first.text }));
          return;
        }
      }
      await new Promise((resume) => setTimeout(resume, PAUSE_MS));
    }
  }

  protected override render(): TemplateResult {
    return html`<div class="viewfinder">
      <video playsinline muted aria-label=${t("scan.video")}></video>
      <div class="viewfinder-frame" aria-hidden="true"><i></i><i></i><i></i><i></i></div>
    </div>`;
  }
}
customElements.define("m-scanner", Scanner);
