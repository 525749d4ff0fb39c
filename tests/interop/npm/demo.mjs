// The demo as its settings file tells of it, and what its other users do meanwhile.

import assert from "node:assert/strict";
import {readFileSync} from "node:fs";

export const demo = JSON.parse(readFileSync(process.env.OFFICIALS_CARD_DEMO, "utf-8"));

export const read = path => readFileSync(path, "utf-8");

/** A request of the VNeID backend. */
export async function backend(path, body) {
  const headers = {Authorization: `Bearer ${demo.backend_token}`, "Content-Type": "application/json"};
  const answer = await fetch(`${demo.url}/api/v1/${path}`, {method: "POST", headers, body: JSON.stringify(body)});
  assert.ok(answer.ok, `${path}: ${answer.status} ${await answer.clone().text()}`);
  return answer.json();
}

/** An offer for a person's card. */
export function offer(person, configurations, ...grants) {
  return backend("offers", {personal_id_number: person, assurance_level: 2, configurations, grants});
}

/** How a presentation stands. */
export async function presentation(id) {
  const headers = {Authorization: `Bearer ${demo.backend_token}`};
  return (await fetch(`${demo.url}/api/v1/presentations/${id}`, {headers})).json();
}
