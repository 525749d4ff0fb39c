import { expect, test } from "vitest";
import { brightness, look } from "./look.ts";

const size = { width: 1000, height: 1000 };
const square = (side: number) => [
  { x: 0, y: 0 },
  { x: side, y: 0 },
  { x: side, y: side },
  { x: 0, y: side },
];

test("a picture without a code is dark or has nothing", () => {
  expect(look(10, undefined, size)).toBe("dark");
  expect(look(120, undefined, size)).toBe("nothing");
  expect(look(120, [], size)).toBe("nothing");
});

test("a code that was found but not read says by its size what to do", () => {
  expect(look(120, square(960), size)).toBe("near");
  expect(look(120, square(100), size)).toBe("far");
  expect(look(120, square(500), size)).toBe("blurred");
  expect(look(10, square(500), size)).toBe("dark");
});

test("brightness is that of the grey", () => {
  const grey = new Uint8ClampedArray(4 * 1000).fill(128);
  expect(brightness(grey)).toBeCloseTo(128, 0);
  expect(brightness(new Uint8ClampedArray(0))).toBe(0);
});
