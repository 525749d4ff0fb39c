import { expect, test } from "vitest";
import { base64url, fromBase64url } from "./bytes.ts";

test("bytes survive their text", () => {
  const bytes = Uint8Array.from([0, 251, 255, 62, 63, 1]);
  expect(base64url(bytes)).toBe("APv_Pj8B");
  expect(fromBase64url("APv_Pj8B")).toEqual(bytes);
});

test("other text is no base64url", () => {
  for (const text of ["A+v/", "AA==", "A", "ă"]) expect(fromBase64url(text)).toBeUndefined();
});
