// Debian's Chromium as a checkpoint's phone, with a film for a camera.
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { type BrowserContext, chromium, type Page } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
export const ARTEFACTS = process.env["WEB_ARTEFACTS"] ?? "artefacts";
mkdirSync(ARTEFACTS, { recursive: true });

export interface Phone {
  context: BrowserContext;
  page: Page;
  close: () => Promise<void>;
}

/** A phone with its own memory (`profile`), before whose camera a film runs. */
export async function phone(profile: string, film: string): Promise<Phone> {
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    headless: true,
    chromiumSandbox: false,
    viewport: { width: 412, height: 892 },
    deviceScaleFactor: 1,
    hasTouch: true,
    permissions: ["camera"],
    locale: "vi-VN",
    colorScheme: "light",
    args: [
      "--use-fake-device-for-media-stream",
      "--use-fake-ui-for-media-stream",
      `--use-file-for-fake-video-capture=${film}`,
      "--autoplay-policy=no-user-gesture-required",
      "--disable-background-networking",
      "--disable-component-update",
    ],
  });
  context.setDefaultTimeout(20_000);
  const page = context.pages()[0] ?? (await context.newPage());
  return { context, page, close: () => context.close() };
}

/** What axe-core finds wrong with the page as it is, in one line each. */
export async function violations(page: Page): Promise<string[]> {
  // Evaluated by the debugger, which the page's content security policy does not bind.
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const axe = (globalThis as unknown as { axe: { run: (options: object) => Promise<{ violations: Violation[] }> } }).axe;
    type Violation = { id: string; nodes: { target: string[]; failureSummary: string }[] };
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    return (await axe.run({ runOnly: tags })).violations;
  });
  return found.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target.join(" ")} ${node.failureSummary}`));
}

/** Keeps a picture of the page in light and in dark, and gives what axe-core finds wrong in either. */
export async function portrait(page: Page, name: string): Promise<string[]> {
  const wrong: string[] = [];
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.screenshot({ path: join(ARTEFACTS, `${name}-${colorScheme}.png`), fullPage: true });
    wrong.push(...(await violations(page)).map((line) => `${name} ${colorScheme}: ${line}`));
  }
  await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
  return wrong;
}
