/**
 * The till's eyes: the rear camera or another, a picture from a file.
 * Promises: hands every code it sees to `seen` until it is stopped, and no camera is on then, however late the browser gave it. Trusts:
 * zxing, whose WebAssembly our own server gave. Keeps: no picture. Refuses: to look on for minutes where nothing is to be seen.
 */
import { prepareZXingModule, type ReaderOptions, readBarcodes } from "zxing-wasm/reader";

const PAUSE_MS = 60; // an animated code changes five times a second
const WIDEST = 1280;
/** A camera that nobody holds a phone to costs the tablet its battery. */
export const REST_MS = 3 * 60_000;
const OPTIONS: ReaderOptions = { formats: ["QRCode"], maxNumberOfSymbols: 2, tryHarder: true };

export function useReader(wasm: string): void {
  prepareZXingModule({ overrides: { locateFile: (path: string, prefix: string) => (path.endsWith(".wasm") ? wasm : prefix + path) } });
}

type Torch = MediaTrackCapabilities & { readonly torch?: boolean };
/** `left`: stopped before the browser gave a camera. */
export type Sight = "seeing" | "denied" | "none" | "left";
/** Why the camera is off although nobody stopped it: taken away, or nothing seen for long. */
export type Lost = "gone" | "rest";

export class Eyes {
  private stream: MediaStream | null = null;
  private turn = 0;
  /** Of the camera in use; "": whichever faces away from the clerk. */
  camera = "";

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly seen: (text: string) => void,
    private readonly lost: (why: Lost) => void = () => undefined,
  ) {}

  async start(): Promise<Sight> {
    this.stop();
    const { turn } = this;
    let stream: MediaStream;
    try {
      stream = await this.open();
    } catch (thrown) {
      if (turn !== this.turn) return "left";
      return thrown instanceof Error && ["NotAllowedError", "SecurityError"].includes(thrown.name) ? "denied" : "none";
    }
    if (turn !== this.turn) {
      for (const track of stream.getTracks()) track.stop();
      return "left";
    }
    this.stream = stream;
    for (const track of stream.getTracks()) track.addEventListener("ended", () => this.stream === stream && this.lose("gone"));
    this.video.srcObject = stream;
    await this.video.play().catch(() => undefined);
    void this.watch(stream);
    return "seeing";
  }

  private async open(): Promise<MediaStream> {
    const size = { width: { ideal: 1280 }, height: { ideal: 960 } };
    const away = { audio: false, video: { facingMode: { ideal: "environment" }, ...size } };
    if (!this.camera) return navigator.mediaDevices.getUserMedia(away);
    return navigator.mediaDevices.getUserMedia({ audio: false, video: { deviceId: { exact: this.camera }, ...size } }).catch((thrown: unknown) => {
      if (!(thrown instanceof Error) || thrown.name !== "OverconstrainedError") throw thrown;
      this.camera = ""; // it is not there any more
      return navigator.mediaDevices.getUserMedia(away);
    });
  }

  /** The cameras after this one, in turn: a tablet on a stand looks at its customers with the front one. */
  async others(): Promise<string[]> {
    const all = (await navigator.mediaDevices.enumerateDevices().catch(() => [])).filter(({ kind, deviceId }) => kind === "videoinput" && deviceId !== "");
    const ids = all.map(({ deviceId }) => deviceId);
    const at = ids.indexOf(this.stream?.getVideoTracks()[0]?.getSettings().deviceId ?? "");
    return [...ids.slice(at + 1), ...ids.slice(0, Math.max(0, at))];
  }

  stop(): void {
    this.turn++;
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.video.srcObject = null;
  }

  private lose(why: Lost): void {
    this.stop();
    this.lost(why);
  }

  get hasTorch(): boolean {
    const [track] = this.stream?.getVideoTracks() ?? [];
    return (track?.getCapabilities?.() as Torch | undefined)?.torch === true;
  }

  async light(on: boolean): Promise<void> {
    const [track] = this.stream?.getVideoTracks() ?? [];
    await track?.applyConstraints({ advanced: [{ torch: on } as MediaTrackConstraintSet] }).catch(() => undefined);
  }

  private async watch(stream: MediaStream): Promise<void> {
    const canvas = document.createElement("canvas");
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    let since = performance.now();
    while (this.stream === stream && pen) {
      const { video } = this;
      if (video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && video.videoWidth > 0) {
        const scale = Math.min(1, WIDEST / video.videoWidth);
        canvas.width = Math.round(video.videoWidth * scale);
        canvas.height = Math.round(video.videoHeight * scale);
        pen.drawImage(video, 0, 0, canvas.width, canvas.height);
        const found = await readBarcodes(pen.getImageData(0, 0, canvas.width, canvas.height), OPTIONS).catch(() => []);
        for (const one of found) if (one.isValid && this.stream === stream) this.seen(one.text);
        if (found.length > 0) since = performance.now();
      }
      if (this.stream === stream && performance.now() - since > REST_MS) return this.lose("rest");
      await new Promise((resume) => setTimeout(resume, PAUSE_MS));
    }
  }
}

/** The codes in a picture. */
export async function codesIn(picture: Blob): Promise<string[]> {
  const found = await readBarcodes(picture, { ...OPTIONS, maxNumberOfSymbols: 32 }).catch(() => []);
  return found.filter(({ isValid }) => isValid).map(({ text }) => text);
}
