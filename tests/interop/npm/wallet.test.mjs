// What people do, by a wallet and a browser of other people. `test_npm_wallet.py` calls these stories by their names.

import assert from "node:assert/strict";
import {after, before, test} from "node:test";

import {Browser, Home} from "./browser.mjs";
import {backend, demo, offer, presentation} from "./demo.mjs";
import {answer, mdocFor, resolve, sdJwtFor} from "./online.mjs";
import {headerOf, mdoc, sdJwt} from "./verify.mjs";
import {Wallet} from "./wallet.mjs";

const SD_JWT = "official-card-sdjwt";
const MDOC = "official-card-mdoc";
const {people} = demo;

let browser, home;
before(async () => {
  home = await Home.open(demo.wallet.redirect_uri);
  browser = await Browser.open();
});
after(async () => {
  await browser.close();
  home.close();
});

const credentials = answer => answer.credentials.map(one => one.credential);

/** A wallet whose person has signed in and agreed. */
async function signedIn(product, link, scope, person) {
  const wallet = await Wallet.open(product);
  await wallet.meet(link);
  await browser.signIn(await wallet.begin(scope), person);
  await browser.decide("approve");
  await wallet.finish(home.back);
  return wallet;
}

test("an offer is taken by its code", async () => {
  const made = await offer(demo.person, [SD_JWT, MDOC]);
  const wallet = await Wallet.open();
  await wallet.meet(made.credential_offer);
  await wallet.redeem(made.tx_code);
  const keys = [await wallet.newKey(), await wallet.newKey()];
  const answer = await wallet.request(SD_JWT, keys);
  const cards = await Promise.all(credentials(answer).map((card, place) => sdJwt(card, keys[place])));
  assert.deepEqual(cards.map(card => card.personal_id_number), [demo.person, demo.person]);
  await wallet.notify(answer.notification_id, "credential_accepted");
  // The wallet comes back without the person; it is known by its DPoP key.
  await wallet.refresh();
  const [card] = credentials(await wallet.request(MDOC, keys.slice(0, 1)));
  assert.equal((await mdoc(card, keys[0])).personal_id_number, demo.person);
});

test("a wrong transaction code is refused", async () => {
  const made = await offer(demo.person, [SD_JWT]);
  const wallet = await Wallet.open();
  await wallet.meet(made.credential_offer);
  const wrong = made.tx_code === "000000" ? "000001" : "000000";
  await assert.rejects(wallet.redeem(wrong), ({errorResponse}) => errorResponse.error === "invalid_grant");
});

test("an offer is taken by signing in with an attested wallet", async () => {
  const made = await offer(people.verified, [SD_JWT, MDOC], "authorization_code");
  const wallet = await signedIn(demo.wallet, made.credential_offer, `${SD_JWT} ${MDOC}`, people.verified);
  assert.equal(wallet.token.scope, `${SD_JWT} ${MDOC}`);
  const keys = [await wallet.newKey(), await wallet.newKey()];
  const [first, second] = credentials(await wallet.request(SD_JWT, keys, true));
  assert.equal((await sdJwt(first, keys[0])).full_name, (await sdJwt(second, keys[1])).full_name);
  const [card] = credentials(await wallet.request(MDOC, keys.slice(0, 1), true));
  assert.equal((await mdoc(card, keys[0])).personal_id_number, people.verified);
  // The refresh token is bound to the attested instance, not to the DPoP key.
  wallet.dpop = {signer: (await wallet.newKey()).signer};
  await wallet.refresh();
  assert.equal(headerOf(credentials(await wallet.request(SD_JWT, keys.slice(1)))[0]).typ, "dc+sd-jwt");
});

test("a wallet begins by itself with a key of its product", async () => {
  const wallet = await signedIn(demo.wallet_b, demo.url, SD_JWT, people.verified);
  const key = await wallet.newKey();
  const [card] = credentials(await wallet.request(SD_JWT, [key]));
  assert.equal((await sdJwt(card, key)).personal_id_number, people.verified);
});

test("a person who says no is believed", async () => {
  for (const deny of ["at VNeID", "at the issuer"]) {
    const wallet = await Wallet.open(demo.wallet);
    await wallet.meet(demo.url);
    await browser.signIn(await wallet.begin(SD_JWT), people.verified, {deny: deny === "at VNeID"});
    if (deny === "at the issuer") await browser.decide("deny");
    await browser.isBack();
    assert.equal(wallet.answer(home.back).error, "access_denied", deny);
  }
});

test("a person without a card is told why and comes back to the wallet", async () => {
  for (const [person, level, vi, en] of [
    [people.none, "2", "Chưa có cơ quan nào gửi hồ sơ của bạn", "No agency has sent a record of you"],
    [people.verified, "1", "mức độ 2", "level 2"],
  ]) {
    const wallet = await Wallet.open(demo.wallet);
    await wallet.meet(demo.url);
    await browser.signIn(await wallet.begin(SD_JWT), person, {level});
    await browser.draw(`no-card-${level}`);
    assert.match(await browser.text(), new RegExp(`${vi}[^]*${en}`));
    await browser.decide("deny");
    assert.equal(wallet.answer(home.back).error, "access_denied");
  }
});

test("a card comes later when its record is under review", async () => {
  const wallet = await Wallet.open(demo.wallet);
  await wallet.meet(demo.url);
  await browser.signIn(await wallet.begin(SD_JWT), people.under_review);
  await browser.draw("under-review");
  assert.match(await browser.text(), /đang được xác minh/);
  await browser.decide("approve");
  await wallet.finish(home.back);
  const key = await wallet.newKey();
  const {transaction_id: transaction, interval} = await wallet.request(SD_JWT, [key]);
  assert.ok(interval > 0);
  const again = await wallet.askAgain(transaction);
  assert.deepEqual([again.transaction_id, again.credentials], [transaction, undefined]);
  const numbers = [people.under_review_number];
  await backend("records/confirm", {unit: people.under_review_unit, numbers});
  const answer = await wallet.askAgain(transaction);
  const [card] = credentials(answer);
  assert.equal((await sdJwt(card, key)).personal_id_number, people.under_review);
  await wallet.notify(wallet.deferredNotificationId, "credential_accepted");
});

/** A card of each format, with its key and with what makes it a presentation. */
async function presentable() {
  const made = await offer(demo.person, [SD_JWT, MDOC]);
  const wallet = await Wallet.open();
  await wallet.meet(made.credential_offer);
  await wallet.redeem(made.tx_code);
  const key = await wallet.newKey();
  const [card] = credentials(await wallet.request(SD_JWT, [key]));
  const [device] = credentials(await wallet.request(MDOC, [key]));
  return [
    ["dc+sd-jwt", (request, names, changes) => sdJwtFor(request, card, key, names, changes)],
    ["mso_mdoc", (request, names, changes) => mdocFor(request, device, key, names, changes)],
  ];
}

const ASKED = ["full_name", "employing_agency"];

test("a verifier asks and is answered", async () => {
  for (const [format, present] of await presentable()) {
    for (const enc of ["A128GCM", "A256GCM"]) {
      const made = await backend("presentations", {template: "position-agency"});
      const request = await resolve(made.link);
      assert.equal(request.client.prefix, "x509_hash");
      assert.equal(request.version, 100);
      const said = await answer(request, await present(request, [...ASKED, "date_of_birth"]), [enc]);
      assert.deepEqual([said.status, await said.json()], [200, {}]);
      const {state, result} = await presentation(made.id);
      assert.equal(state, "verified", format);
      const [credential] = result.credentials;
      assert.equal(credential.format, format);
      assert.deepEqual(Object.keys(credential.claims).sort(), [...ASKED].sort(), "no more than was asked for");
    }
  }
});

test("a verifier that is asked by POST is answered", async () => {
  const [[, present]] = await presentable();
  const made = await backend("presentations", {template: "demo-wallet", same_device: false});
  // The library's version 0.4.6 sends the members of the metadata instead of wallet_metadata, and no wallet_nonce.
  const request = await resolve(made.link);
  assert.equal((await answer(request, await present(request, ASKED))).status, 200);
  assert.equal((await presentation(made.id)).state, "verified");
});

test("an answer to another question is refused", async () => {
  const changes = {
    "dc+sd-jwt": [
      [{nonce: "another"}, "binding_nonce"],
      [{aud: "x509_hash:another"}, "binding_audience"],
      [{iat: 1}, "binding_time"],
    ],
    mso_mdoc: [
      [{nonce: "another"}, "binding_signature"],
      [{clientId: "x509_hash:another"}, "binding_signature"],
      [{responseUri: "https://another.example/"}, "binding_signature"],
      [{jwkThumbprint: undefined}, "binding_signature"],
    ],
  };
  for (const [format, present] of await presentable()) {
    for (const [change, reason] of changes[format]) {
      const made = await backend("presentations", {template: "position-agency"});
      const request = await resolve(made.link);
      const said = await answer(request, await present(request, ASKED, change));
      assert.deepEqual([said.status, (await said.json()).error], [400, "invalid_request"]);
      const end = await presentation(made.id);
      assert.deepEqual([end.state, end.reason, end.result], ["rejected", reason, undefined]);
    }
  }
});

test("the pages read well", async () => {
  for (const colorScheme of ["light", "dark"]) {
    const reader = await Browser.open({colorScheme, viewport: {width: 360, height: 740}});
    try {
      const wallet = await Wallet.open(demo.wallet);
      await wallet.meet(demo.url);
      await reader.signIn(await wallet.begin(`${SD_JWT} ${MDOC}`), people.verified);
      await reader.draw(`consent-${colorScheme}`);
      const faults = await reader.page.evaluate(faultsOfPage);
      assert.deepEqual(faults, [], colorScheme);
      await reader.page.keyboard.press("Tab");
      const outline = await reader.page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
      assert.notEqual(outline, "none", "focus is visible");
      await reader.draw(`consent-${colorScheme}-focus`);
    } finally {
      await reader.close();
    }
  }
});

/** Runs in the page: what WCAG 2.2 AA would not let pass and a program can see. */
function faultsOfPage() {
  const faults = [];
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const drawn = (...colours) => {
    for (const colour of colours) {
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
    }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  // The system's paper, which is dark in the dark.
  const probe = document.body.appendChild(document.createElement("div"));
  probe.style.backgroundColor = "Canvas";
  const canvasColour = getComputedStyle(probe).backgroundColor;
  probe.remove();
  const luminance = colour => {
    const [red, green, blue] = colour.map(part => part / 255).map(part => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (one, other) => {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };
  for (const element of document.querySelectorAll("h1, h2, p, li, span, strong, label, button, legend, summary, dt, dd")) {
    const behind = [];
    let opacity = 1;
    for (let at = element; at; at = at.parentElement) {
      behind.unshift(getComputedStyle(at).backgroundColor);
      opacity *= Number(getComputedStyle(at).opacity);
    }
    const paper = drawn(canvasColour, ...behind);
    const ink = drawn(getComputedStyle(element).color);
    const seen = ink.map((part, place) => part * opacity + paper[place] * (1 - opacity));
    if (contrast(seen, paper) < 4.5) faults.push(`contrast of ${element.tagName}: ${contrast(seen, paper).toFixed(2)}`);
  }
  for (const target of document.querySelectorAll("button, a, input:not([type=hidden]), summary")) {
    const {width, height} = target.getBoundingClientRect();
    if (width < 24 || height < 24) faults.push(`target size of ${target.tagName}: ${width} x ${height}`);
  }
  if (document.documentElement.lang !== "vi") faults.push("the page has no language");
  if (!document.querySelector("[lang=en]")) faults.push("English is not marked");
  if (document.querySelectorAll("h1").length !== 1 || !document.title) faults.push("one heading and a title");
  if (document.documentElement.scrollWidth > innerWidth) faults.push("it scrolls sideways");
  return faults;
}
