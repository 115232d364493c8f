/** The face check on the phone: which pictures, when to blink, what is said before, and the body that goes out. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Bytes, utf8 } from "../src/bytes.ts";
import { type Frame, MOST_FRAMES, writeBurst } from "../src/face/burst.ts";
import { type Box, grey, hint, type Hint, look, type Look } from "../src/face/measures.ts";
import { HOLE_MS, Pace, type Plan } from "../src/face/pace.ts";

const PLAN: Plan = { blinks: 2, promptsMs: [900, 2600], lengthMs: 4200 };

/** A camera of this rate, each frame a little early or late. */
function filmed(plan: Plan, rate: number, start = 17_000, jitter = 0): { times: number[]; prompts: Map<number, number[]>; pace: Pace } {
  const pace = new Pace(plan);
  const times: number[] = [];
  const prompts = new Map<number, number[]>();
  for (let frame = 0; ; frame++) {
    const ms = start + (frame * 1000) / rate + (frame % 2) * jitter;
    const at = pace.take(ms);
    if (at !== null) times.push(at);
    const prompt = pace.prompt(ms);
    prompts.set(prompt, [...(prompts.get(prompt) ?? []), ms - start]);
    if (pace.over(ms)) return { times, prompts, pace };
  }
}

describe("which pictures are taken", () => {
  test.each([[30, 0], [25, 0], [60, 0], [24, 5], [30, 9], [15, 0]])("about fifty in 4.2 s from a camera of %i a second, %i ms unsteady", (rate, jitter) => {
    const { times, pace } = filmed(PLAN, rate, 17_000, jitter);
    expect(times[0]).toBe(0);
    expect(times.length).toBeGreaterThanOrEqual(40);
    expect(times.length).toBeLessThanOrEqual(70);
    expect(times.every((at, index) => index === 0 || at > (times[index - 1] ?? 0))).toBe(true);
    expect(times.at(-1)).toBeLessThanOrEqual(PLAN.lengthMs);
    expect(pace.holed).toBe(false);
  });

  test("a camera whose time stands still or runs back gives no picture twice", () => {
    const pace = new Pace(PLAN);
    expect([5000, 5000, 4900, 5010, 5080, 5080, 5160].map((ms) => pace.take(ms))).toEqual([0, null, null, null, 80, null, 160]);
  });

  test("a camera that stood still is seen before anything is sent", () => {
    const pace = new Pace(PLAN);
    for (const ms of [0, 80, 160, 160 + HOLE_MS]) pace.take(ms);
    expect(pace.holed).toBe(false);
    pace.take(160 + 2 * HOLE_MS + 1);
    expect(pace.holed).toBe(true);
  });

  test("the longest challenge still fits the reader's limit", () => {
    const { times } = filmed({ blinks: 2, promptsMs: [900], lengthMs: 10_000 }, 60);
    expect(times.length).toBeLessThanOrEqual(MOST_FRAMES);
  });
});

test("each blink is asked for at its moment, for one second, counted from the first picture", () => {
  const { prompts } = filmed(PLAN, 30);
  expect([...prompts.keys()]).toEqual([0, 1, 2]);
  for (const [index, asked] of PLAN.promptsMs.entries()) {
    const shown = prompts.get(index + 1) ?? [];
    expect(shown[0]).toBeGreaterThanOrEqual(asked);
    expect(shown[0]).toBeLessThan(asked + 40);
    expect((shown.at(-1) ?? 0) - asked).toBeLessThan(1000);
  }
});

describe("what is said before", () => {
  const width = 64;
  const picture = (of: (x: number, y: number) => number): Uint8ClampedArray => Uint8ClampedArray.from({ length: width * 48 }, (_one, at) => of(at % width, Math.floor(at / width)));
  const checks = picture((x, y) => ((x >> 1) + (y >> 1)) % 2 === 0 ? 90 : 160);

  test("light, stillness and sharpness are measured where the circle is", () => {
    expect(look(picture(() => 20), null, width)).toEqual({ brightness: 20, sharpness: 0, motion: 0 });
    expect(look(checks, checks, width).sharpness).toBeGreaterThan(10);
    expect(look(picture((x) => (x < 10 ? 255 : 100)), picture(() => 100), width).motion).toBe(0); // at the edge
    expect(look(checks, picture(() => 30), width).motion).toBeGreaterThan(50);
    expect([...grey(Uint8ClampedArray.of(255, 255, 255, 255, 0, 0, 0, 255))]).toEqual([255, 0]);
  });

  const fine: Look = { brightness: 120, sharpness: 9, motion: 2 };
  const face: Box = { x: 0.3, y: 0.25, width: 0.4, height: 0.5 };
  test.each<[string, Partial<Look>, readonly Box[] | null, Hint]>([
    ["a dark room", { brightness: 30 }, [face], "dark"],
    ["light from behind", { brightness: 240 }, [face], "bright"],
    ["a shaking hand", { motion: 40 }, [face], "still"],
    ["a smeared lens", { sharpness: 1 }, null, "blurred"],
    ["nobody", {}, [], "nobody"],
    ["two people", {}, [face, face], "several"],
    ["somebody far away", {}, [{ x: 0.45, y: 0.45, width: 0.1, height: 0.1 }], "closer"],
    ["somebody too near", {}, [{ x: 0.1, y: 0.1, width: 0.8, height: 0.85 }], "farther"],
    ["somebody at the edge", {}, [{ ...face, x: 0 }], "middle"],
    ["somebody well placed", {}, [face], "good"],
    ["a browser without a detector", {}, null, "good"],
  ])("%s", (_what, measured, faces, said) => {
    expect(hint({ ...fine, ...measured }, faces)).toBe(said);
  });
});

describe("the body that goes out (MFB1)", () => {
  const jpeg = (byte: number, length = 3): Bytes => new Uint8Array(length).fill(byte);
  const frames: Frame[] = [{ atMs: 0, jpeg: jpeg(1) }, { atMs: 80.4, jpeg: jpeg(2, 2) }];

  test("magic, challenge, count, then each picture with its time and length", () => {
    const hex = Buffer.from(writeBurst("c1", frames)).toString("hex");
    expect(hex).toBe("4d464231" + "02" + "6331" + "0002" + "00000000" + "00000003" + "010101" + "00000050" + "00000002" + "0202");
  });

  test.each<[string, string, Frame[], string]>([
    ["a picture over 256 KiB", "c1", [{ atMs: 0, jpeg: jpeg(0, 256 * 1024 + 1) }], "burst_too_large"],
    ["more than 8 MiB", "c1", Array.from({ length: 40 }, (_one, at) => ({ atMs: at * 80, jpeg: jpeg(0, 256 * 1024) })), "burst_too_large"],
    ["151 pictures", "c1", Array.from({ length: 151 }, (_one, at) => ({ atMs: at * 80, jpeg: jpeg(0) })), "burst_too_large"],
    ["times that do not rise", "c1", [frames[1]!, frames[0]!], "wallet_fault"],
    ["two of one moment", "c1", [frames[0]!, { atMs: 0.4, jpeg: jpeg(0) }], "wallet_fault"],
    ["no challenge", "", frames, "malformed"],
    ["a challenge too long to name", "x".repeat(256), frames, "malformed"],
  ])("%s is not sent", (_what, challenge, burst, code) => {
    expect(() => writeBurst(challenge, burst)).toThrow(expect.objectContaining({ code }));
  });

  /** The issuer's reader takes these bytes (tests/unit/issuer/face/test_challenge.py); what it refuses we never write. */
  interface Written {
    readonly name: string;
    readonly input: string;
    readonly expected?: { readonly challenge: string; readonly frames: readonly (readonly [number, string])[] };
  }
  const vectors = JSON.parse(readFileSync(new URL("../../vectors/face_burst.json", import.meta.url), "utf8")) as { cases: Written[] };
  const written = vectors.cases.filter(({ expected, name }) => expected && name !== "the same moment twice"); // which Pace never takes
  test.each(written.map((one) => [one.name, one] as const))("vectors/face_burst.json: %s", (_name, { input, expected }) => {
    const burst = (expected?.frames ?? []).map(([atMs, hex]) => ({ atMs, jpeg: Uint8Array.from(Buffer.from(hex, "hex")) }));
    expect(Buffer.from(writeBurst(expected?.challenge ?? "", burst)).toString("hex")).toBe(input);
  });

  test("a challenge's name is counted in bytes", () => {
    expect(writeBurst("é", [])[4]).toBe(utf8("é").length);
  });
});
