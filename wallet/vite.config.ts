// Builds the wallet into the folder the wallet provider serves at /wallet/.
import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build, defineConfig, type Plugin } from "vite";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

const OUT = here("../src/mapae/wallet_provider/static");

/**
 * Writes the service worker after everything else: one file without imports, holding the digest of each file as it was written and a
 * fingerprint of them all.
 */
function serviceWorker(): Plugin {
  return {
    name: "mapae-service-worker",
    apply: "build",
    async closeBundle() {
      const files = (await readdir(OUT, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
      const names = files.map((entry) => relative(OUT, join(entry.parentPath, entry.name))).filter((name) => name !== "sw.js");
      const list: Record<string, string> = {};
      for (const name of names.toSorted()) {
        list[name] = `sha256-${createHash("sha256").update(await readFile(join(OUT, name))).digest("base64")}`;
      }
      const written = await build({
        configFile: false,
        logLevel: "warn",
        define: {
          __PRECACHE__: JSON.stringify(list),
          __VERSION__: JSON.stringify(createHash("sha256").update(JSON.stringify(list)).digest("hex").slice(0, 16)),
        },
        build: { write: false, target: "es2022", rolldownOptions: { input: here("./src/sw.ts"), output: { format: "iife" } } },
      });
      const [built] = [written].flat();
      const [chunk, more] = built && "output" in built ? built.output : [];
      if (chunk?.type !== "chunk" || more) throw new Error("the service worker was not built as one file");
      await writeFile(join(OUT, "sw.js"), chunk.code);
    },
  };
}

export default defineConfig({
  base: "/wallet/",
  publicDir: "public",
  plugins: [serviceWorker()],
  resolve: {
    alias: {
      // The build of cbor-x that never tries `new Function`: the page's policy forbids it.
      "cbor-x": here("./node_modules/cbor-x/dist/index-no-eval.cjs"),
    },
  },
  build: {
    outDir: OUT,
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    sourcemap: false,
    chunkSizeWarningLimit: 1500,
    rolldownOptions: {
      input: { index: here("./index.html") },
      output: {
        entryFileNames: "assets/[name]-[hash].js",
        chunkFileNames: "assets/[name]-[hash].js",
        assetFileNames: "assets/[name]-[hash][extname]",
      },
    },
  },
  test: { environment: "node", include: ["test/**/*.test.ts"], setupFiles: ["test/setup.ts"] },
} as Parameters<typeof defineConfig>[0]);
