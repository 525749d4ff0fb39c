// The checkpoint app as the person at the checkpoint uses it.
import assert from "node:assert/strict";
import type { Page } from "playwright-core";

export type Outcome = "valid-live" | "valid-copy" | "check-further" | "not-valid" | "other-code";

/** Opens the app and waits until it is ready and kept for offline. */
export async function open(page: Page, url: string, hash = ""): Promise<void> {
  await page.goto(`${url}/checkpoint/${hash}`);
  await page.getByRole("button", { name: "Bắt đầu kiểm tra" }).waitFor();
  await page.getByText("dùng được khi mất mạng").waitFor();
}

export async function start(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Bắt đầu kiểm tra" }).click();
  await page.locator(".view video").waitFor();
}

/** Waits for a verdict and checks its outcome and the reason that decided. */
export async function verdict(page: Page, outcome: Outcome, reason?: string): Promise<void> {
  const shown = page.locator(".verdict");
  await shown.waitFor();
  assert.equal(await shown.getAttribute("class"), `verdict ${outcome}`, await shown.innerText());
  if (reason === undefined) return;
  await page.getByRole("button", { name: "Xem đầy đủ" }).click();
  assert.equal((await page.locator(".full code").innerText()).split(",")[0], reason);
}

/** A hand-held scanner types a code. */
export async function type(page: Page, text: string): Promise<void> {
  const ways = page.locator(".other-ways");
  if ((await ways.getAttribute("open")) === null) await page.getByText("Cách khác").click();
  await page.getByRole("textbox").fill(text);
  await page.getByRole("textbox").press("Enter");
}

/** A picture is chosen. */
export async function choose(page: Page, picture: Buffer): Promise<void> {
  const ways = page.locator(".other-ways");
  if ((await ways.getAttribute("open")) === null) await page.getByText("Cách khác").click();
  await page.locator("input[type=file]").setInputFiles({ name: "code.png", mimeType: "image/png", buffer: picture });
}

export async function next(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Người tiếp theo" }).click();
  await page.locator(".verdict").waitFor({ state: "detached" });
}

/** Presses the button and waits for what came of it. */
export async function sync(page: Page, result: string): Promise<void> {
  await page.getByRole("button", { name: "Đồng bộ", exact: true }).click();
  await page.getByRole("status").filter({ hasText: result }).waitFor();
}

/** Everything that the page's origin keeps on this device, as one text. */
export function kept(page: Page): Promise<string> {
  return page.evaluate(async () => {
    const found: string[] = [JSON.stringify(localStorage), JSON.stringify(sessionStorage), document.cookie];
    for (const { name } of await indexedDB.databases()) {
      const database = await new Promise<IDBDatabase>((resolve, reject) => {
        const request = indexedDB.open(name ?? "");
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
      for (const store of database.objectStoreNames) {
        const values = await new Promise<unknown[]>((resolve, reject) => {
          const request = database.transaction(store).objectStore(store).getAll();
          request.onsuccess = () => resolve(request.result);
          request.onerror = () => reject(request.error);
        });
        const text = (value: unknown) => (value instanceof Uint8Array ? new TextDecoder().decode(value) : JSON.stringify(value));
        found.push(name ?? "", store, ...values.map(text));
      }
      database.close();
    }
    return found.join("\n");
  });
}
