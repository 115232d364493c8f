/** The QR codes we draw, read by zxing. */
import { readFileSync } from "node:fs";
import { prepareZXingModule, readBarcodes } from "zxing-wasm/reader";
import { beforeAll, expect, test } from "vitest";
import { qr, sequence } from "../src/parts/qr_code.ts";

beforeAll(() => {
  const wasm = readFileSync(new URL("../node_modules/zxing-wasm/dist/reader/zxing_reader.wasm", import.meta.url));
  prepareZXingModule({ overrides: { wasmBinary: wasm.buffer.slice(wasm.byteOffset, wasm.byteOffset + wasm.length) as ArrayBuffer } });
});

async function read(modules: boolean[][]): Promise<{ text: string | undefined; version: string | undefined }> {
  const [scale, quiet] = [4, 4];
  const side = (modules.length + 2 * quiet) * scale;
  const data = new Uint8ClampedArray(side * side * 4).fill(255);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      if (modules[Math.floor(y / scale) - quiet]?.[Math.floor(x / scale) - quiet]) data.fill(0, 4 * (y * side + x), 4 * (y * side + x) + 3);
    }
  }
  const [found] = await readBarcodes({ data, width: side, height: side, colorSpace: "srgb" } as ImageData, { formats: ["QRCode"] });
  return { text: found?.text, version: found?.version };
}

test("the address of a tap is read back", async () => {
  const text = `https://mapae.example.go.kr/tap#${"aZ09-_".repeat(7)}`;
  expect(await read(qr(text))).toMatchObject({ text });
});

test("a text that does not fit is refused", () => {
  expect(() => qr("x".repeat(401))).toThrow(expect.objectContaining({ code: "too_large" }));
});

test("the codes of a sequence are read back, and all are of one size", async () => {
  const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
  const text = (length: number): string => `MAPAE-SHOW:${Array.from({ length }, (_one, at) => alphabet[(at * 7 + length) % 45]).join("")}`;
  const texts = [text(909), text(909), text(40)]; // 600 bytes of a frame, and its head
  const drawn = sequence(texts);
  expect(new Set(drawn.map(({ length }) => length)).size).toBe(1);
  const found = await Promise.all(drawn.map(read));
  expect(found.map((one) => one.text)).toEqual(texts);
  expect(found[0]?.version).toBe("17"); // docs/checking.md: what an ordinary camera reads off a phone
});
