// Copies the few files the server-rendered pages use out of node_modules, so that nothing comes from a CDN at run time.
import { copyFileSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const wallet = fileURLToPath(new URL("..", import.meta.url));
const vendor = join(wallet, "../src/mapae/ui/static/vendor");
const files = {
  "htmx.org/dist/htmx.min.js": "htmx.min.js",
  "htmx.org/LICENSE": "htmx.LICENSE",
  "qrcode-generator/dist/qrcode.js": "qrcode.js",
  "zxing-wasm/dist/iife/reader/index.js": "zxing/reader.js",
  "zxing-wasm/dist/reader/zxing_reader.wasm": "zxing/zxing_reader.wasm",
  "zxing-wasm/LICENSE": "zxing/LICENSE",
  "krds-uiux/resources/css/token/krds_tokens.css": "krds/krds_tokens.css",
};
for (const [from, to] of Object.entries(files)) {
  const target = join(vendor, to);
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(join(wallet, "node_modules", from), target);
  process.stdout.write(`vendor/${to}\n`);
}
