import { expect, test } from "vitest";
import type { Session } from "../api/session.ts";
import { ending, may, needsSignIn } from "./session.ts";

const session: Session = {
  officer: { id: "0T4V7Q2M8K3D5N9R", name: "Hoa", role: "clerk" },
  unit: null,
  scopes: ["cards:read", "cards:withdraw"],
  csrf: "x",
  now: 0,
  signed_in_at: 0,
  idle_expires_at: 900,
  expires_at: 1000,
  step_up: { scopes: ["cards:withdraw"], until: 500 },
};

test("the end of a session is told in time, and whether work helps", () => {
  expect(ending(session, 700)).toBeUndefined();
  expect(ending(session, 720)).toEqual({ seconds: 180, canProlong: true });
  expect(ending({ ...session, idle_expires_at: 1000 }, 950)).toEqual({ seconds: 50, canProlong: false });
  expect(ending(session, 5000)?.seconds).toBe(0);
});

test("rights are those of the role, grave steps need a fresh sign-in", () => {
  expect(may(session, "records:read", "cards:read")).toBe(true);
  expect(may(session, "records:read")).toBe(false);
  expect([499, 500].map((now) => needsSignIn(session, "cards:withdraw", now))).toEqual([false, true]);
  expect(needsSignIn(session, "cards:read", 5000)).toBe(false);
});
