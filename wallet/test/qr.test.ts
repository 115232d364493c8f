/** Our QR codes, read by zxing: another's eyes. */
import { readFileSync } from "node:fs";
import { prepareZXingModule, readBarcodes } from "zxing-wasm/reader";
import { beforeAll, expect, test } from "vitest";
import { qr } from "../src/qr.ts";

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

test.each([1, 14, 15, 26, 42, 62, 84, 106, 122, 152, 180, 213])("a text of %i bytes is read back (ISO/IEC 18004, versions 1 to 10)", async (length) => {
  const text = Array.from({ length }, (_one, at) => String.fromCharCode(33 + ((at * 7) % 90))).join("");
  expect((await read(qr(text))).text).toBe(text);
});

test("a text that does not fit is refused", () => {
  expect(() => qr("x".repeat(214))).toThrow(expect.objectContaining({ code: "too_large" }));
});
