// Builds `sw.ts`, where an app has one, as a service worker beside the page, and tells it every file of the build with
// one version for all of them: another byte anywhere is another service worker, which the browser then installs whole.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

const WORKER = "sw.js";

/** Lists the files of a folder, relative to it. */
function files(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}

/** The plugin for the app in `root`. */
export function serviceWorker(root: string): Plugin {
  const source = join(root, "sw.ts");
  return {
    name: "service-worker",
    enforce: "post",
    config: () =>
      existsSync(source)
        ? {
            build: {
              rolldownOptions: {
                input: { index: join(root, "index.html"), sw: source },
                output: {
                  entryFileNames: (chunk) => (chunk.name === "sw" ? WORKER : "assets/[name]-[hash].js"),
                },
              },
            },
          }
        : {},
    generateBundle(_options, bundle) {
      const worker = bundle[WORKER];
      if (worker?.type !== "chunk") return;
      const content = new Map<string, string | Uint8Array>();
      for (const [name, file] of Object.entries(bundle)) {
        if (name !== WORKER) content.set(name, file.type === "chunk" ? file.code : file.source);
      }
      for (const name of files(join(root, "public"))) content.set(name, readFileSync(join(root, "public", name)));
      const names = [...content.keys()].sort();
      const hash = createHash("sha256");
      for (const name of names) hash.update(name).update("\0").update(content.get(name) ?? "");
      const version = hash.digest("hex").slice(0, 12);
      worker.code = worker.code
        .replaceAll("__PRECACHE_VERSION__", JSON.stringify(version))
        .replaceAll("__PRECACHE_FILES__", JSON.stringify(names));
    },
  };
}
