/**
 * The front camera, for as long as a face check needs it.
 * Promises: every picture is of one moment, with the camera's own time; `stop` stops the camera whatever it was doing.
 * Trusts: the browser. Keeps: no picture: what is taken is handed to the caller. Refuses: to start where there is no camera (`no_camera`).
 */
import type { Bytes } from "../bytes.ts";
import { Problem } from "../problem.ts";
import type { Frame } from "./burst.ts";
import { type Box, grey, hint, type Hint, look } from "./measures.ts";
import { Pace, type Plan } from "./pace.ts";

const LONGEST_SIDE = 640;
const QUALITY = 0.85;
const SMALL_WIDTH = 64;
const STALLED_MS = 2000;
const IN_FLIGHT = 8; // a phone that cannot keep up leaves pictures out rather than fill its memory

interface Detector {
  detect(source: HTMLVideoElement): Promise<readonly { readonly boundingBox: DOMRectReadOnly }[]>;
}

export class Camera {
  private stream: MediaStream | null = null;
  private before: Uint8ClampedArray | null = null;
  private detector: Detector | null = null;
  private stopped = false;
  private readonly canvas = document.createElement("canvas");
  private readonly small = document.createElement("canvas");

  constructor(private readonly video: HTMLVideoElement) {}

  async start(): Promise<void> {
    let stream: MediaStream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        audio: false,
        video: { facingMode: "user", width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } },
      });
    } catch (thrown) {
      throw new Problem((thrown as Error | null)?.name === "NotAllowedError" ? "camera_denied" : "no_camera");
    }
    this.stream = stream;
    if (this.stopped) return this.stop();
    this.video.srcObject = stream;
    await this.video.play().catch(() => undefined);
    const Native = (globalThis as { FaceDetector?: new (options: object) => Detector }).FaceDetector;
    this.detector = Native ? new Native({ fastMode: true, maxDetectedFaces: 3 }) : null;
  }

  stop(): void {
    this.stopped = true;
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.video.srcObject = null;
    this.before = null;
    for (const canvas of [this.canvas, this.small]) canvas.width = canvas.height = 0; // the last picture goes with it
  }

  get running(): boolean {
    return this.stream?.getVideoTracks().some((track) => track.readyState === "live") ?? false;
  }

  /** What would make the picture better. */
  async hint(): Promise<Hint> {
    const { videoWidth, videoHeight } = this.video;
    if (!this.running || videoWidth === 0) return "dark";
    this.small.width = SMALL_WIDTH;
    this.small.height = Math.round((SMALL_WIDTH * videoHeight) / videoWidth);
    const pen = this.small.getContext("2d", { willReadFrequently: true });
    if (!pen) return "good";
    pen.drawImage(this.video, 0, 0, this.small.width, this.small.height);
    const now = grey(pen.getImageData(0, 0, this.small.width, this.small.height).data);
    const seen = look(now, this.before, SMALL_WIDTH);
    this.before = now;
    return hint(seen, await this.faces());
  }

  /** Where the browser has its own detector; one that fails is not asked again. */
  private async faces(): Promise<readonly Box[] | null> {
    const { videoWidth, videoHeight } = this.video;
    const found = await this.detector?.detect(this.video).catch(() => null);
    if (!found) {
      this.detector = null;
      return null;
    }
    return found.map(({ boundingBox: box }) => ({
      x: box.x / videoWidth, y: box.y / videoHeight, width: box.width / videoWidth, height: box.height / videoHeight,
    }));
  }

  /** One burst. `onFrame` with each frame shown: which blink is asked for (0: none) and how far it is. */
  async burst(plan: Plan, onFrame: (prompt: number, progress: number) => void): Promise<Frame[]> {
    const { videoWidth, videoHeight } = this.video;
    const scale = Math.min(1, LONGEST_SIDE / Math.max(videoWidth, videoHeight));
    this.canvas.width = Math.round(videoWidth * scale);
    this.canvas.height = Math.round(videoHeight * scale);
    const pen = this.canvas.getContext("2d");
    if (!pen || videoWidth === 0) throw new Problem("no_camera");
    const pace = new Pace(plan);
    const taking: Promise<Frame | null>[] = [];
    let open = 0;
    for (;;) {
      const mediaMs = await this.next();
      if (this.stopped) throw new Problem("cancelled");
      if (mediaMs === null || !this.running) throw new Problem("camera_stalled");
      const at = open < IN_FLIGHT ? pace.take(mediaMs) : null;
      if (at !== null) {
        pen.drawImage(this.video, 0, 0, this.canvas.width, this.canvas.height);
        open += 1;
        taking.push(picture(this.canvas, at).finally(() => { open -= 1; }));
      }
      onFrame(pace.prompt(mediaMs), pace.progress(mediaMs));
      if (pace.over(mediaMs)) break;
    }
    const frames = (await Promise.all(taking)).filter((frame) => frame !== null);
    taking.length = 0;
    if (pace.holed) throw new Problem("camera_stalled");
    return frames;
  }

  /** When the next frame is shown, by the camera's clock; null when none comes. */
  private next(): Promise<number | null> {
    return new Promise((resume) => {
      const timer = setTimeout(() => resume(null), STALLED_MS);
      const done = (ms: number): void => {
        clearTimeout(timer);
        resume(ms);
      };
      if ("requestVideoFrameCallback" in this.video) this.video.requestVideoFrameCallback((_now, { mediaTime }) => done(mediaTime * 1000));
      else requestAnimationFrame(() => done((this.video as HTMLVideoElement).currentTime * 1000));
    });
  }
}

/** The canvas is copied when this is called, and may be drawn on at once. */
async function picture(canvas: HTMLCanvasElement, atMs: number): Promise<Frame | null> {
  const blob = await new Promise<Blob | null>((resume) => canvas.toBlob(resume, "image/jpeg", QUALITY));
  return blob && { atMs, jpeg: new Uint8Array(await blob.arrayBuffer()) as Bytes };
}
