// Builds the wallet into the folder the wallet provider serves at /wallet/.
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Writes the list of built files and a fingerprint of their contents into the service worker. */
function precache(): Plugin {
  return {
    name: "mapae-precache",
    enforce: "post",
    generateBundle(_options, bundle) {
      const files = Object.keys(bundle).filter((name) => name !== "sw.js" && !name.endsWith(".map"));
      const print = createHash("sha256");
      for (const name of files.toSorted()) {
        const part = bundle[name];
        if (part) print.update(name).update(part.type === "chunk" ? part.code : part.source);
      }
      const worker = bundle["sw.js"];
      if (worker?.type !== "chunk") throw new Error("the service worker was not built");
      const fixed = ["manifest.webmanifest", "icon.svg", "icon-192.png", "icon-512.png"];
      const list = JSON.stringify([...files, ...fixed].toSorted());
      worker.code = worker.code
        .replace("__PRECACHE__", list)
        .replace("__VERSION__", JSON.stringify(print.digest("hex").slice(0, 16)));
    },
  };
}

export default defineConfig({
  base: "/wallet/",
  publicDir: "public",
  plugins: [precache()],
  resolve: {
    alias: {
      // The build of cbor-x that never tries `new Function`: the page's policy forbids it.
      "cbor-x": here("./node_modules/cbor-x/dist/index-no-eval.cjs"),
    },
  },
  build: {
    outDir: here("../src/mapae/wallet_provider/static"),
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    sourcemap: false,
    chunkSizeWarningLimit: 1500,
    rolldownOptions: {
      input: { index: here("./index.html"), sw: here("./src/sw.ts") },
      output: {
        entryFileNames: (chunk) => (chunk.name === "sw" ? "sw.js" : "assets/[name]-[hash].js"),
        chunkFileNames: "assets/[name]-[hash].js",
        assetFileNames: "assets/[name]-[hash][extname]",
      },
    },
  },
  test: { environment: "node", include: ["test/**/*.test.ts"], setupFiles: ["test/setup.ts"] },
} as Parameters<typeof defineConfig>[0]);
