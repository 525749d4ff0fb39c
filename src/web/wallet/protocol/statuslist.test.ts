import { expect, test } from "vitest";

import { NOW, signed, world } from "../testing/pki.ts";
import { toBase64Url } from "./bytes.ts";
import { readStatus } from "./statuslist.ts";
import { Anchors } from "./trust.ts";
import { deflate } from "./zlib.ts";

const URI = "https://issuer.example/s/1";

test("the example of the draft is read", async () => {
  const { root, leaf } = await world("status-lists");
  const anchors = new Anchors([root.der]);
  // Section 4.1 and 4.2: one bit and two bits for each.
  const one = [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1];
  const two = [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3];
  for (const [bits, bytes, expected] of [[1, [0xb9, 0xa3], one], [2, [0xc9, 0x44, 0xf9], two]] as const) {
    const lst = toBase64Url(await deflate(Uint8Array.from(bytes)));
    const token = await signed(leaf, "statuslist+jwt", { sub: URI, iat: NOW, exp: NOW + 60, status_list: { bits, lst } });
    for (const [index, status] of expected.entries()) {
      expect(await readStatus(token, { index, uri: URI }, anchors, NOW)).toBe(status);
    }
    for (const [index, uri, now] of [[expected.length, URI, NOW], [0, `${URI}0`, NOW], [0, URI, NOW + 60]] as const) {
      await expect(readStatus(token, { index, uri }, anchors, now)).rejects.toThrow("status list");
    }
  }
});

test("a list by another key, or too large, is refused", async () => {
  const { root, leaf } = await world("cards");
  const claims = { sub: URI, status_list: { bits: 2, lst: toBase64Url(await deflate(new Uint8Array((1 << 20) + 1))) } };
  const read = (token: string, anchor: Uint8Array<ArrayBuffer>) => readStatus(token, { index: 0, uri: URI }, new Anchors([anchor]), NOW);
  await expect(read(await signed(leaf, "statuslist+jwt", claims), root.der)).rejects.toThrow("another use");
  const own = await world("status-lists");
  await expect(read(await signed(own.leaf, "statuslist+jwt", claims), own.root.der)).rejects.toThrow("bound");
});
