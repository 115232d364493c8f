// Builds the checker that works offline into the static files of the server-rendered pages: one script, one service worker.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, defineConfig, type Plugin } from "vite";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const OUT = here("../src/mapae/ui/static/vendor/checker");

/** The worker is one file of its own; the server writes the list of files before it. */
function worker(): Plugin {
  return {
    name: "mapae-checker-worker",
    apply: "build",
    async closeBundle() {
      const written = await build({
        configFile: false,
        logLevel: "warn",
        build: { write: false, target: "es2022", rolldownOptions: { input: here("./src/checker/sw.ts"), output: { format: "iife" } } },
      });
      const [built] = [written].flat();
      const [chunk, more] = built && "output" in built ? built.output : [];
      if (chunk?.type !== "chunk" || more) throw new Error("the checker's service worker was not built as one file");
      await writeFile(join(OUT, "sw.js"), chunk.code);
    },
  };
}

export default defineConfig({
  plugins: [worker()],
  publicDir: false,
  build: {
    outDir: OUT,
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    sourcemap: false,
    chunkSizeWarningLimit: 600,
    rolldownOptions: { input: here("./src/checker/app.ts"), output: { format: "iife", entryFileNames: "app.js" } },
  },
});
