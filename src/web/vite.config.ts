// One page of its own per folder, self-contained, so that the program can serve each under any path: addresses are
// relative to the page. `APP` names the folder; build.mjs builds them all.
import { resolve } from "node:path";
import { defineConfig } from "vite";
import own from "./package.json" with { type: "json" };
import { catalogue } from "./lib/catalogue.plugin.ts";
import { serviceWorker } from "./lib/precache.plugin.ts";

const app = process.env["APP"] ?? "checkpoint";
const here = import.meta.dirname;

export default defineConfig({
  root: resolve(here, app),
  base: "./",
  publicDir: "public",
  define: { __APP_VERSION__: JSON.stringify(own.version) },
  plugins: [catalogue(), serviceWorker(resolve(here, app))],
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  worker: { format: "es" },
  build: {
    outDir: resolve(here, "dist", app),
    emptyOutDir: true,
    target: "es2022",
    // Nothing inline: the pages' content security policy allows no data addresses for scripts and fonts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
  },
});
