import { expect, test } from "vitest";
import { hashOf, placeOf } from "./router.ts";

test("a place is read as it was written", () => {
  const written = hashOf(["reviews", "a/b ậ"], { state: "open", unit: undefined, sort: "" });
  expect(written).toBe("#/reviews/a%2Fb%20%E1%BA%AD?state=open");
  expect(placeOf(written).path).toEqual(["reviews", "a/b ậ"]);
  expect(placeOf(written).query.get("state")).toBe("open");
});

test("no address is too broken to stand somewhere", () => {
  expect(placeOf("").path).toEqual([]);
  expect(placeOf("#/").path).toEqual([]);
  expect(placeOf("#cards/%E0%A4%A").path).toEqual(["cards", "%E0%A4%A"]);
});
