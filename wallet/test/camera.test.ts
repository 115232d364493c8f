/** The camera of a face check, before a browser small enough to look through: it is off again whatever happens. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Camera } from "../src/face/camera.ts";
import type { Plan } from "../src/face/pace.ts";

const PLAN: Plan = { blinks: 1, promptsMs: [200], lengthMs: 800 };

class Track {
  readyState = "live";
  stop(): void {
    this.readyState = "ended";
  }
}
class Stream {
  readonly track = new Track();
  getTracks = (): Track[] => [this.track];
  getVideoTracks = this.getTracks;
}
/** Shows a frame each `every` of its own milliseconds, until `frames` are shown. */
class Video {
  srcObject: unknown = null;
  videoWidth = 1280;
  videoHeight = 720;
  private shown = 0;

  constructor(private readonly every = 40, private readonly frames = Number.POSITIVE_INFINITY) {}

  play(): Promise<void> {
    return Promise.resolve();
  }

  requestVideoFrameCallback(shown: (now: number, data: { mediaTime: number }) => void): number {
    if (this.shown < this.frames) queueMicrotask(() => shown(0, { mediaTime: 5 + (this.shown++ * this.every) / 1000 }));
    return 0;
  }
}
class Canvas {
  width = 0;
  height = 0;
  getContext(): object {
    return { drawImage: () => undefined, getImageData: (_x: number, _y: number, width: number, height: number) => ({ data: new Uint8ClampedArray(width * height * 4).fill(10) }) };
  }
  toBlob(done: (blob: Blob | null) => void): void {
    const size = `${this.width}x${this.height}`;
    queueMicrotask(() => done(new Blob([size])));
  }
}

let stream: Stream;
let asked: unknown[];
let answer: () => Promise<Stream>;

beforeEach(() => {
  stream = new Stream();
  asked = [];
  answer = () => Promise.resolve(stream);
  vi.stubGlobal("document", { createElement: () => new Canvas() });
  vi.stubGlobal("navigator", { mediaDevices: { getUserMedia: (wanted: unknown) => { asked.push(wanted); return answer(); } } });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});
const before = (video: Video): Camera => new Camera(video as unknown as HTMLVideoElement);

test("the front camera, without sound, in pictures of at most 640 pixels; the blink is asked for on the way", async () => {
  const camera = before(new Video());
  await camera.start();
  expect(asked).toMatchObject([{ audio: false, video: { facingMode: "user" } }]);
  const prompts: number[] = [];
  const frames = await camera.burst(PLAN, (prompt) => prompts.push(prompt));
  expect(frames.map(({ atMs }) => atMs)).toEqual([0, 80, 160, 240, 320, 400, 480, 560, 640, 720, 800]);
  expect(new TextDecoder().decode(frames[0]?.jpeg)).toBe("640x360");
  expect(new Set(prompts)).toEqual(new Set([0, 1]));
  camera.stop();
  expect(stream.track.readyState).toBe("ended");
});

test("a camera that was asked for and given up before it came is off at once", async () => {
  let give: (stream: Stream) => void = () => undefined;
  answer = () => new Promise((resolve) => { give = resolve; });
  const video = new Video();
  const camera = before(video);
  const started = camera.start();
  camera.stop();
  give(stream);
  await started;
  expect(stream.track.readyState).toBe("ended");
  expect(video.srcObject).toBeNull();
  expect(camera.running).toBe(false);
});

test.each([["NotAllowedError", "camera_denied"], ["NotFoundError", "no_camera"], ["NotReadableError", "no_camera"]])("%s is said as %s", async (name, code) => {
  answer = () => Promise.reject(Object.assign(new Error(name), { name }));
  await expect(before(new Video()).start()).rejects.toMatchObject({ code });
});

test("a page without any camera interface has no camera", async () => {
  vi.stubGlobal("navigator", {});
  await expect(before(new Video()).start()).rejects.toMatchObject({ code: "no_camera" });
});

test("a camera that stops showing frames ends the burst, and so does one that left a hole", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const stalled = before(new Video(40, 5));
  await stalled.start();
  const ended = expect(stalled.burst(PLAN, () => undefined)).rejects.toMatchObject({ code: "camera_stalled" });
  await vi.advanceTimersByTimeAsync(5000);
  await ended;
  const holed = before(new Video(450));
  await holed.start();
  await expect(holed.burst(PLAN, () => undefined)).rejects.toMatchObject({ code: "camera_stalled" });
});

test("leaving in the middle brings no pictures", async () => {
  const camera = before(new Video());
  await camera.start();
  await expect(camera.burst(PLAN, (_prompt, progress) => { if (progress > 0.5) camera.stop(); })).rejects.toMatchObject({ code: "cancelled" });
  expect(stream.track.readyState).toBe("ended");
});

test("a dark room is said, and a detector that fails is asked once only", async () => {
  let times = 0;
  vi.stubGlobal("FaceDetector", class {
    detect(): Promise<never> {
      times += 1;
      return Promise.reject(new Error("not on this machine"));
    }
  });
  const camera = before(new Video());
  await camera.start();
  expect([await camera.hint(), await camera.hint()]).toEqual(["dark", "dark"]);
  expect(times).toBe(1);
});
