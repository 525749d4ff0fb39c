import { expect, test } from "vitest";
import { DEEDS } from "./steps.tsx";

test("a step is offered where the server takes it", () => {
  expect(DEEDS.scheduled).toEqual(["undo"]);
  expect(DEEDS.paused).toEqual(["resume"]);
  expect(DEEDS.running).toEqual(["pause"]);
});
