// A person in front of Debian's Chromium, driven by Playwright: no request leaves this machine.

import assert from "node:assert/strict";
import {once} from "node:events";
import {createServer} from "node:http";

import {chromium} from "playwright-core";

import {demo} from "./demo.mjs";

/** The wallet's address, where browsers come back to. */
export class Home {
  static async open(redirectUri) {
    const {hostname, port, origin} = new URL(redirectUri);
    const home = new Home();
    home.server = createServer((request, response) => {
      if (request.url.startsWith("/callback")) home.back = origin + request.url;
      response.setHeader("Content-Type", "text/html").end("<!doctype html><title>wallet</title>");
    });
    home.server.listen(port, hostname);
    await once(home.server, "listening");
    return home;
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

const CALLBACK = "http://127.0.0.1:*/callback*";
const ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"];

export class Browser {
  static async open(options = {}) {
    const browser = new Browser();
    browser.process = await chromium.launch({executablePath: "/usr/bin/chromium", args: ARGUMENTS});
    const context = await browser.process.newContext({locale: "vi-VN", ...options});
    browser.page = await context.newPage();
    return browser;
  }

  async close() {
    await this.process.close();
  }

  /** Draws the page, where somebody wants to look at it. */
  async draw(name) {
    const folder = process.env.OFFICIALS_CARD_SCREENSHOTS;
    if (folder) await this.page.screenshot({path: `${folder}/${name}.png`, fullPage: true});
  }

  /** Signs in at the simulated VNeID, or denies. */
  async signIn(url, person, {deny = false, level = "2"} = {}) {
    await this.page.goto(url);
    assert.ok(this.page.url().startsWith(demo.sign_in.issuer), this.page.url());
    await this.draw("sign-in");
    if (deny) return this.page.click("#cancel");
    await this.page.getByLabel("Số định danh cá nhân").fill(person);
    await this.page.getByLabel("Mật khẩu").fill(demo.sign_in.password);
    await this.page.getByLabel("Mức độ định danh").selectOption(level);
    await this.page.click("#submit");
  }

  /** Answers the question of the issuer by keyboard alone. */
  async decide(answer) {
    await this.page.locator(`#${answer}`).focus();
    await this.page.keyboard.press("Enter");
    await this.isBack();
  }

  async isBack() {
    await this.page.waitForURL(CALLBACK);
  }

  text() {
    return this.page.locator("main").innerText();
  }
}
