import { expect, test } from "vitest";

import { Tagged, array, byteString, decode, integer, map, tagged, textString } from "./cbor.ts";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const unhex = (digits: string) => Uint8Array.from(Buffer.from(digits, "hex"));

test("the examples of RFC 8949 appendix A are written and read", () => {
  const numbers: [number, string][] = [
    [0, "00"], [10, "0a"], [23, "17"], [24, "1818"], [100, "1864"], [1000, "1903e8"], [1000000, "1a000f4240"],
    [1000000000000, "1b000000e8d4a51000"], [-1, "20"], [-10, "29"], [-100, "3863"], [-1000, "3903e7"],
  ];
  for (const [number, written] of numbers) {
    expect(hex(integer(number))).toBe(written);
    expect(decode(unhex(written))).toBe(number);
  }
  expect(hex(byteString(unhex("01020304")))).toBe("4401020304");
  expect(hex(textString("水"))).toBe("63e6b0b4");
  expect(hex(array(integer(1), array(integer(2), integer(3))))).toBe("82018202" + "03");
  expect(hex(tagged(1, integer(1363896240)))).toBe("c11a514b67b0");
  expect(decode(unhex("c11a514b67b0"))).toEqual(new Tagged(1, 1363896240));
  expect(decode(unhex("83f4f5f6"))).toEqual([false, true, null]);
});

test("keys of a map are written in the order of their bytes", () => {
  expect(hex(map([textString("a"), integer(1)], [integer(-1), integer(2)], [integer(10), integer(3)]))).toBe("a30a0320026161" + "01");
});

test("what no card has is refused", () => {
  for (const wrong of [
    "", "18", "9f01ff", "5f4101ff", "a201000100", "a1810100", "0000", "fb3ff8000000000000", "f7", "1bffffffffffffffff",
    "62c328", "5affffffff", "81".repeat(20) + "00",
  ]) {
    expect(() => decode(unhex(wrong)), wrong).toThrow();
  }
});
