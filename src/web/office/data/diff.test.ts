import { expect, test } from "vitest";
import { canonical, entries } from "./diff.ts";

const marks = (old: string[], new_: string[]) => entries(old, new_).map(({ mark, entry }) => `${{ removed: "-", kept: "=", added: "+" }[mark]}${String(entry)}`);

test("entries that went, stayed and came", () => {
  expect(marks(["a", "b", "c"], ["a", "c", "d"])).toEqual(["=a", "-b", "=c", "+d"]);
  expect(marks([], ["a"])).toEqual(["+a"]);
  expect(marks(["a"], [])).toEqual(["-a"]);
  expect(marks(["a", "a"], ["a"])).toEqual(["=a", "-a"]);
  expect(marks(["a", "b"], ["b", "a"]).sort()).toEqual(["+a", "-a", "=b"].sort());
});

test("an entry is the same whatever the order of its members", () => {
  expect(canonical({ b: 1, a: [true, null] })).toBe(canonical({ a: [true, null], b: 1, c: null }));
  expect(entries([{ from: "2020", to: null }], [{ from: "2020" }]).map(({ mark }) => mark)).toEqual(["kept"]);
  expect(canonical({ a: "1" })).not.toBe(canonical({ a: 1 }));
});
