import { expect, test } from "vitest";

import { NOW, certify, world } from "../testing/pki.ts";
import { Anchors } from "./trust.ts";

test("a chain leads to the pinned root, directly or through an authority", async () => {
  const { root, leaf } = await world("cards", { dnsNames: ["issuer.example"] });
  const anchors = new Anchors([root.der]);
  expect(await anchors.check([leaf.der], "cards", NOW)).toMatchObject({ name: "Test leaf", dnsNames: ["issuer.example"] });
  const middle = await certify("Middle", { issuer: root, isAuthority: true });
  const below = await certify("Below", { issuer: middle, uris: ["urn:vn:officials-card:use:cards"] });
  expect((await anchors.check([below.der, middle.der], "cards", NOW)).name).toBe("Below");
  const pem = `-----BEGIN CERTIFICATE-----\n${Buffer.from(root.der).toString("base64")}\n-----END CERTIFICATE-----\n`;
  await Anchors.fromPem(pem).check([leaf.der], "cards", NOW);
  expect(() => Anchors.fromPem("")).toThrow("no certificate");
});

test("what does not lead there is refused", async () => {
  const { root, leaf } = await world("cards");
  const uris = ["urn:vn:officials-card:use:cards"];
  const anchors = new Anchors([root.der]);
  const impostor = await certify("Test root", { isAuthority: true });
  const notAuthority = await certify("Not an authority", { issuer: root, uris });
  const refused: [string, Promise<Uint8Array<ArrayBuffer>[]>, string?][] = [
    ["empty", Promise.resolve([])],
    ["another root of the same name", certify("Leaf", { issuer: impostor, uris }).then(({ der }) => [der])],
    ["carries its root", Promise.resolve([leaf.der, root.der])],
    ["signed by itself", certify("Self", { uris }).then(({ der }) => [der])],
    ["over", certify("Old", { issuer: root, uris, until: NOW - 1 }).then(({ der }) => [der])],
    ["not yet", certify("New", { issuer: root, uris, from: NOW + 1 }).then(({ der }) => [der])],
    ["an authority that is none", certify("Leaf", { issuer: notAuthority, uris }).then(({ der }) => [der, notAuthority.der])],
    ["an authority as a leaf", certify("CA", { issuer: root, uris, isAuthority: true }).then(({ der }) => [der])],
    ["another use", certify("Leaf", { issuer: root, uris: ["urn:vn:officials-card:use:events"] }).then(({ der }) => [der])],
    ["changed", Promise.resolve([leaf.der.map((byte, at) => (at === leaf.der.length - 1 ? byte ^ 1 : byte))])],
    ["no certificate", Promise.resolve([Uint8Array.of(1, 2, 3)])],
  ];
  for (const [name, chain] of refused) {
    await expect(chain.then((chain) => anchors.check(chain, "cards", NOW)), name).rejects.toThrow("certificate chain");
  }
});
