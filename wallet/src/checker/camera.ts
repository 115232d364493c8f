/**
 * The till's eyes: the rear camera, a picture from a file.
 * Promises: hands every code it sees to `seen` until it is stopped, and the camera is off then. Trusts: zxing, whose WebAssembly our own
 * server gave. Keeps: no picture. Refuses: nothing; without a camera `start` says so.
 */
import { prepareZXingModule, type ReaderOptions, readBarcodes } from "zxing-wasm/reader";

const PAUSE_MS = 60; // an animated code changes five times a second
const WIDEST = 1280;
const OPTIONS: ReaderOptions = { formats: ["QRCode"], maxNumberOfSymbols: 2, tryHarder: true };

export function useReader(wasm: string): void {
  prepareZXingModule({ overrides: { locateFile: (path: string, prefix: string) => (path.endsWith(".wasm") ? wasm : prefix + path) } });
}

type Torch = MediaTrackCapabilities & { readonly torch?: boolean };

export class Eyes {
  private stream: MediaStream | null = null;
  private live = false;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly seen: (text: string) => void,
  ) {}

  /** Whether there is a camera, and we may use it. */
  async start(): Promise<boolean> {
    this.stop();
    this.live = true;
    try {
      const video = { facingMode: { ideal: "environment" }, width: { ideal: 1280 }, height: { ideal: 960 } };
      const stream = await navigator.mediaDevices.getUserMedia({ audio: false, video });
      if (!this.live) {
        for (const track of stream.getTracks()) track.stop();
        return true;
      }
      this.stream = stream;
    } catch {
      this.live = false;
      return false;
    }
    this.video.srcObject = this.stream;
    await this.video.play().catch(() => undefined);
    void this.watch(this.stream);
    return true;
  }

  stop(): void {
    this.live = false;
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.video.srcObject = null;
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
    while (this.live && this.stream === stream && pen) {
      const { video } = this;
      if (video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && video.videoWidth > 0) {
        const scale = Math.min(1, WIDEST / video.videoWidth);
        canvas.width = Math.round(video.videoWidth * scale);
        canvas.height = Math.round(video.videoHeight * scale);
        pen.drawImage(video, 0, 0, canvas.width, canvas.height);
        const found = await readBarcodes(pen.getImageData(0, 0, canvas.width, canvas.height), OPTIONS).catch(() => []);
        for (const one of found) if (one.isValid && this.live && this.stream === stream) this.seen(one.text);
      }
      await new Promise((resume) => setTimeout(resume, PAUSE_MS));
    }
  }
}

/** The codes in a picture. */
export async function codesIn(picture: Blob): Promise<string[]> {
  const found = await readBarcodes(picture, { ...OPTIONS, maxNumberOfSymbols: 32 }).catch(() => []);
  return found.filter(({ isValid }) => isValid).map(({ text }) => text);
}
