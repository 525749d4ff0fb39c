// The demo wallet in Debian's Chromium: it takes a card, shows it so that a scanner and our verifier accept it, presents it,
// and follows what becomes of it.

import assert from "node:assert/strict";
import {spawn} from "node:child_process";
import {mkdirSync, mkdtempSync, readFileSync, rmSync} from "node:fs";
import {createRequire} from "node:module";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {createInterface} from "node:readline";
import {after, before, test} from "node:test";

import {chromium} from "playwright-core";
import {prepareZXingModule, readBarcodes} from "zxing-wasm/reader";

const BIN = process.env.OFFICIALS_CARD_BIN;
/** Where pictures are kept to be looked at. */
const ARTEFACTS = process.env.WEB_ARTEFACTS ?? "artefacts";
const installed = createRequire(import.meta.url);
const AXE = readFileSync(installed.resolve("axe-core/axe.min.js"), "utf8");
const AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
prepareZXingModule({overrides: {wasmBinary: readFileSync(installed.resolve("zxing-wasm/reader/zxing_reader.wasm")).buffer}});
const ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"];

let folder, server, demo, browser;

before(async () => {
  mkdirSync(ARTEFACTS, {recursive: true});
  folder = mkdtempSync(join(tmpdir(), "officials-card-web-"));
  const options = ["demo", "--json", "--listen", "127.0.0.1:0", "--dir", join(folder, "demo")];
  server = spawn(BIN, options, {stdio: ["ignore", "pipe", "inherit"]});
  const lines = createInterface({input: server.stdout});
  demo = await new Promise((resolve, reject) => {
    lines.once("line", line => resolve(JSON.parse(line)));
    server.once("exit", () => reject(new Error("the demo ended")));
  });
  browser = await chromium.launch({executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ARGUMENTS});
});

after(async () => {
  await browser?.close();
  server?.kill("SIGTERM");
  rmSync(folder, {recursive: true, force: true});
});

/** A request of the VNeID backend. */
async function backend(path, body, method = "POST") {
  const headers = {Authorization: `Bearer ${demo.backend_token}`, "Content-Type": "application/json"};
  const answer = await fetch(`${demo.url}/api/v1/${path}`, {method, headers, body: body && JSON.stringify(body)});
  assert.ok(answer.ok, `${path}: ${answer.status} ${await answer.clone().text()}`);
  return answer.status === 204 ? undefined : answer.json();
}

const verdict = (text, challenge) => backend("verify", {text, ...(challenge && {challenge})});

/** A person with this page in a browser of their own. Whatever the browser complains about fails the test. */
class Person {
  static async open(path = "/demo/wallet", {clock = false, ...options} = {}) {
    const person = new Person();
    const phone = {viewport: {width: 390, height: 844}, deviceScaleFactor: 2};
    person.context = await browser.newContext({locale: "vi-VN", ...phone, ...options});
    person.context.setDefaultTimeout(20_000);
    person.page = await person.context.newPage();
    person.complaints = [];
    person.page.on("pageerror", error => person.complaints.push(String(error)));
    person.page.on("console", message => {
      // A refusal of the server is the wallet's to tell, and policies name features that not every browser has.
      const isKnown = /status of 4|Permissions-Policy/.test(message.text());
      if (message.type() === "error" && !isKnown) person.complaints.push(message.text());
    });
    if (clock) await person.page.clock.install();
    await person.page.goto(demo.url + path);
    return person;
  }

  /** Takes a card by the demo's own button. */
  async takesCard() {
    await this.page.getByRole("button", {name: "Lời mời mẫu mới"}).click();
    await this.enters(/\d{6}/.exec(await this.page.getByTestId("message").innerText())[0]);
  }

  async enters(digits) {
    await this.page.getByLabel("Mã giao dịch").fill(digits);
    await this.page.getByRole("button", {name: "Nhận thẻ vào ví"}).click();
    await this.page.locator('[data-state="valid"]').waitFor();
  }

  async shows() {
    await this.page.getByRole("button", {name: "Đưa mã QR"}).click();
    return this.scanned();
  }

  /** What a scanner reads from the screen. */
  async scanned() {
    const code = this.page.locator(".code svg");
    await code.waitFor();
    const picture = await code.screenshot();
    const [found] = await readBarcodes(picture, {formats: ["QRCode"]});
    assert.ok(found?.isValid, "the code is read");
    assert.equal(found.ecLevel, "L");
    // The symbol with four empty modules on each side is all there is to it.
    assert.ok(Number(await code.getAttribute("data-version")) <= 17);
    return found.text;
  }

  /** No violation of axe's rules, and a picture to look at. */
  async looksGood(name) {
    // Evaluated by the debugger, which the page's content security policy does not bind.
    await this.page.evaluate(AXE);
    const violations = await this.page.evaluate(async tags => {
      const found = await axe.run({runOnly: tags});
      return found.violations.map(({id, nodes}) => [id, ...nodes.map(node => `${node.html} ${node.failureSummary}`)]);
    }, AXE_TAGS);
    assert.deepEqual(violations, [], name);
    await this.page.screenshot({path: join(ARTEFACTS, `wallet-${name}.png`)});
  }

  async leaves() {
    await this.context.close();
    assert.deepEqual(this.complaints, []);
  }
}

/** The card that a presented code is of. */
const cardOf = async text => (await verdict(text)).claims.card;

test("a card is taken, shown live, and another code follows", async () => {
  const person = await Person.open("/demo/wallet", {clock: true});
  await person.looksGood("empty");
  await person.page.getByRole("button", {name: "Lời mời mẫu mới"}).click();
  await person.page.getByLabel("Mã giao dịch").waitFor();
  await person.looksGood("offer");
  await person.enters(/\d{6}/.exec(await person.page.getByTestId("message").innerText())[0]);
  await person.looksGood("card");
  const {page} = person;
  // From here the time of the page goes on only when it is told to.
  await page.clock.pauseAt(Date.now() + 5_000);
  await page.getByRole("button", {name: "Đưa mã QR"}).click();
  await page.clock.runFor(500);
  const first = await person.scanned();
  const {claims} = await verdict(first).then(told => told.outcome === "valid-live" ? told : assert.fail(told.outcome));
  assert.ok(claims.full_name);
  assert.equal(await page.getByText("Mã mới, còn 20 giây").count(), 1, "readers of screens are told");
  await page.clock.runFor(18_500);
  assert.equal(await person.scanned(), first, "nineteen seconds later it is the same");
  assert.match(await page.getByRole("timer").innerText(), /sau [12] giây/);
  const drawn = await page.locator(".code path").getAttribute("d");
  await page.clock.runFor(2_000);
  for (let tries = 0; (await page.locator(".code path").getAttribute("d")) === drawn; tries++) {
    assert.ok(tries < 500, "another code is drawn");
    await page.clock.runFor(10);
  }
  const second = await person.scanned();
  assert.notEqual(second, first);
  assert.notEqual((await verdict(second)).proof_time, (await verdict(first)).proof_time);
  await page.clock.resume();
  await person.looksGood("code");

  await person.page.getByLabel(/Số mà người kiểm tra đưa/).fill("482913");
  await person.page.getByText("Mã này trả lời cho số 482913").waitFor();
  const challenged = await person.scanned();
  assert.equal((await verdict(challenged, "482913")).outcome, "valid-live");
  assert.equal((await verdict(challenged, "482914")).outcome, "not-valid");
  await person.leaves();
});

test("nobody sees the code while the page is hidden, and whoever comes back gets a new one", async () => {
  const person = await Person.open();
  await person.takesCard();
  const before = await person.shows();
  const look = hidden =>
    person.page.evaluate(hidden => {
      Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
  await look(true);
  await person.page.getByText("Mã được ẩn khi màn hình không mở").waitFor();
  assert.equal(await person.page.locator(".code svg").count(), 0);
  await look(false);
  assert.notEqual(await person.scanned(), before);
  await person.leaves();
});

test("a link brings an offer, a wrong code is told, and the card outlives the page", async () => {
  const offer = await backend("offers", {personal_id_number: demo.person, assurance_level: 2});
  const wrong = String((Number(offer.tx_code) + 1) % 1_000_000).padStart(6, "0");
  const person = await Person.open(`/demo/wallet?credential_offer_uri=${encodeURIComponent(offer.credential_offer_uri)}`);
  await person.page.getByLabel("Mã giao dịch").fill(wrong);
  assert.ok(!person.page.url().includes("credential_offer"), "the secret is out of the address");
  await person.page.getByRole("button", {name: "Nhận thẻ vào ví"}).click();
  await person.page.getByRole("alert").getByText(/Mã giao dịch sai/).waitFor();
  await person.looksGood("wrong-code");
  await person.enters(offer.tx_code);
  await person.page.reload();
  await person.page.locator('[data-state="valid"]').waitFor();
  assert.equal(await cardOf(await person.shows()), offer.card);
  const keys = await person.page.evaluate(async () => {
    const open = indexedDB.open("officials-card.wallet");
    await new Promise(resolve => (open.onsuccess = resolve));
    const get = open.result.transaction("wallet").objectStore("wallet").get("holding");
    await new Promise(resolve => (get.onsuccess = resolve));
    const {qr, sdJwt, dpop} = get.result;
    return [qr.key, sdJwt.key, dpop].map(({privateKey}) => privateKey.extractable);
  });
  assert.deepEqual(keys, [false, false, false], "no private key can be read out");
  await person.leaves();
});

test("a locked card hides its code, an unlocked one shows it, a withdrawn one is over", async () => {
  const person = await Person.open();
  await person.takesCard();
  const card = await cardOf(await person.shows());
  const until = async (step, reason, state) => {
    await backend(`cards/${card}/${step}`, {reason});
    await person.page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
    await person.page.locator(`[data-state="${state}"]`).waitFor();
  };
  await until("lock", "lost", "locked");
  assert.equal(await person.page.locator(".code svg").count(), 0, "the code goes by itself");
  assert.equal(await person.page.getByRole("button", {name: "Đưa mã QR"}).count(), 0);
  await person.looksGood("locked");
  await backend(`cards/${card}/unlock`, {reason: "found"});
  await person.page.getByRole("button", {name: "Cập nhật"}).click();
  await person.page.locator(".code svg, [data-state=valid]").first().waitFor();
  await until("withdraw", "resigned", "withdrawn");
  assert.equal(await person.page.locator(".code svg").count(), 0);
  await person.page.getByText("Thẻ này không dùng được nữa").waitFor();
  await person.looksGood("withdrawn");
  await person.leaves();
});

for (const answer of ["agree", "refuse"]) {
  test(`somebody asks, and the person may ${answer}`, async () => {
    const person = await Person.open();
    await person.takesCard();
    const asked = await backend("presentations", {template: "demo-wallet", same_device: false});
    assert.ok(asked.link.startsWith(`${demo.url}/demo/wallet?client_id=`), asked.link);
    await person.page.goto(asked.link);
    await person.page.getByText("Chạy thử: xem họ tên, chức vụ và cơ quan").waitFor();
    const listed = await person.page.locator(".consent dt").allInnerTexts();
    // Not everybody has a position.
    assert.deepEqual(listed.filter(name => name !== "Chức vụ, chức danh"), ["Họ và tên", "Cơ quan sử dụng"]);
    await person.looksGood("consent");
    await person.page.getByRole("button", {name: answer === "agree" ? "Đồng ý gửi" : "Từ chối"}).click();
    await person.page.getByRole("heading", {name: answer === "agree" ? "Đã gửi" : "Đã từ chối"}).waitFor();
    await person.looksGood(answer === "agree" ? "sent" : "refused");
    const {state} = await backend(`presentations/${asked.id}`, undefined, "GET");
    assert.equal(state, answer === "agree" ? "verified" : "wallet_error");
    await person.leaves();
  });
}

test("every template that is shipped is understood", async () => {
  const person = await Person.open();
  await person.takesCard();
  for (const template of ["gate-identity", "position-agency", "full-card"]) {
    const asked = await backend("presentations", {template, same_device: false});
    await person.page.goto(`${demo.url}/demo/wallet#openid4vp=${encodeURIComponent(asked.link)}`);
    await person.page.locator(".consent dt").first().waitFor();
    assert.equal(await person.page.getByText("Bên yêu cầu không nêu mục đích.").count(), 0);
    if (template === "full-card") await person.looksGood("consent-full");
    await person.page.getByRole("button", {name: "Đồng ý gửi"}).click();
    await person.page.getByRole("heading", {name: "Đã gửi"}).waitFor();
    assert.equal((await backend(`presentations/${asked.id}`, undefined, "GET")).state, "verified", template);
    await person.page.getByRole("button", {name: "Xong"}).click();
  }
  await person.leaves();
});

test("the browser that began comes back with the answer", async () => {
  const person = await Person.open();
  await person.takesCard();
  const asked = await backend("presentations", {template: "demo-wallet", same_device: true});
  await person.page.goto(asked.page);
  await person.page.locator(`a[href^="${demo.url}/demo/wallet"]`).first().click();
  await person.page.getByRole("button", {name: "Đồng ý gửi"}).click();
  await person.page.waitForURL(/\/present\//);
  assert.equal((await backend(`presentations/${asked.id}`, undefined, "GET")).state, "verified");
  await person.leaves();
});

test("a request that is not signed by a trusted verifier is not shown", async () => {
  const person = await Person.open();
  await person.takesCard();
  const asked = await backend("presentations", {template: "demo-wallet", same_device: false});
  const other = new URL(asked.link);
  other.searchParams.set("client_id", "x509_hash:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
  await person.page.goto(other.href);
  await person.page.getByRole("alert").waitFor();
  assert.equal(await person.page.getByRole("button", {name: "Đồng ý gửi"}).count(), 0);
  await person.looksGood("not-in-order");
  await person.leaves();
});

test("the keyboard is enough", async () => {
  const person = await Person.open("/demo/wallet", {reducedMotion: "reduce"});
  const {keyboard} = person.page;
  const focus = async name => {
    for (let steps = 0; steps < 20; steps++) {
      await keyboard.press("Tab");
      if ((await person.page.evaluate(() => document.activeElement?.textContent)) === name) return;
    }
    assert.fail(`${name} is not reached`);
  };
  await focus("Lời mời mẫu mới");
  await keyboard.press("Enter");
  const message = person.page.getByTestId("message");
  await message.waitFor();
  await person.page.getByLabel("Mã giao dịch").waitFor();
  await keyboard.press("Tab");
  await keyboard.type(/\d{6}/.exec(await message.innerText())[0]);
  await keyboard.press("Enter");
  await person.page.locator('[data-state="valid"]').waitFor();
  await focus("Đưa mã QR");
  await keyboard.press("Enter");
  await person.scanned();
  await keyboard.press("Escape");
  await person.page.getByRole("button", {name: "Đưa mã QR"}).waitFor();
  await person.leaves();
});

for (const [name, options] of [
  ["wide-light", {viewport: {width: 1280, height: 900}}],
  ["wide-dark", {viewport: {width: 1280, height: 900}, colorScheme: "dark"}],
  ["phone-dark", {colorScheme: "dark"}],
  ["small-200-percent", {viewport: {width: 320, height: 568}}],
]) {
  test(`the card and the code look right: ${name}`, async () => {
    const person = await Person.open("/demo/wallet", options);
    await person.takesCard();
    await person.looksGood(`card-${name}`);
    assert.equal((await verdict(await person.shows())).outcome, "valid-live");
    await person.looksGood(`code-${name}`);
    const targets = await person.page.locator("button:visible, input:visible").evaluateAll(all => all.map(one => one.getBoundingClientRect().height));
    assert.ok(targets.every(height => height >= 44), `${targets}`);
    assert.ok(await person.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing is cut off");
    await person.page.getByRole("button", {name: "Đóng"}).click();
    await person.page.getByRole("button", {name: "English"}).click();
    await person.page.getByRole("button", {name: "Show the QR code"}).waitFor();
    await person.looksGood(`english-${name}`);
    await person.leaves();
  });
}
