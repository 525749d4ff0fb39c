// Unit tests stand beside what they test; what needs a browser is in tests/web.
import { defineConfig } from "vitest/config";
import { catalogue } from "./lib/catalogue.plugin.ts";

export default defineConfig({
  plugins: [catalogue()],
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  test: { root: import.meta.dirname, include: ["{checkpoint,wallet,office,lib}/**/*.test.ts"] },
});
