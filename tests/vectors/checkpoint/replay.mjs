// Replays story.json against the WebAssembly module, and says how long a verdict takes: node replay.mjs, after `make wasm`.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Checkpoint, initSync } from "../../../src/web/core/core.js";

const here = (path) => new URL(path, import.meta.url);
initSync({ module: readFileSync(here("../../../src/web/core/core_bg.wasm")) });
const story = JSON.parse(readFileSync(here("story.json"), "utf8"));

/** What a step answers, or the code of what it throws. */
function answer(checkpoint, step) {
  try {
    if (step.load) return JSON.parse(checkpoint.load(step.load, Buffer.from(step.bytes, "base64"), step.now));
    if (step.verify) return JSON.parse(checkpoint.verify(step.verify, step.now, JSON.stringify(step.options)));
    return JSON.parse(checkpoint.readiness(step.now, step.offset ?? undefined));
  } catch (thrown) {
    return { thrown: JSON.parse(thrown).code };
  }
}

const checkpoint = new Checkpoint(story.anchor);
for (const step of story.steps) {
  assert.deepEqual(answer(checkpoint, step), step.answer, step.about);
}
checkpoint.free();
console.log(`${story.steps.length} steps as published`);

// The first verdict of the story, again and again on a fresh checkpoint.
const first = story.steps.findIndex((step) => step.verify);
const timed = new Checkpoint(story.anchor);
story.steps.slice(0, first).forEach((step) => answer(timed, step));
const options = JSON.stringify({ forget: true });
const rounds = 300;
const begun = performance.now();
for (let round = 0; round < rounds; round += 1) {
  timed.verify(story.steps[first].verify, story.steps[first].now, options);
}
console.log(`a verdict takes ${((performance.now() - begun) / rounds).toFixed(2)} ms`);
timed.free();
