// Unit tests stand beside what they test; what needs a browser is in tests/web.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { root: import.meta.dirname, include: ["{checkpoint,wallet,lib}/**/*.test.ts"] },
});
