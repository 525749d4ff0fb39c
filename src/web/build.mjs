// Builds every app, one after the other, and compresses what browsers load once.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import { build } from "vite";

const apps = ["checkpoint", "wallet", "office"];
const here = import.meta.dirname;
const compressed = /\.(js|css|html|wasm|svg|webmanifest|json)$/;

for (const app of apps.filter((app) => existsSync(join(here, app, "index.html")))) {
  process.env.APP = app;
  await build({ configFile: join(here, "vite.config.ts"), logLevel: "warn" });
  const dist = join(here, "dist", app);
  let total = 0;
  for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !compressed.test(entry.name)) continue;
    const path = join(entry.parentPath, entry.name);
    const bytes = readFileSync(path);
    const params = { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
    const small = brotliCompressSync(bytes, { params });
    if (small.length < bytes.length) writeFileSync(`${path}.br`, small);
    total += Math.min(small.length, bytes.length);
  }
  console.log(`${app}: ${Math.ceil(total / 1024)} KB over the network`);
}
