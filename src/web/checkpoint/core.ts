// Opens the verifier: our own copy of its program, kept by the service worker like the page.
import { type Core, typed } from "../lib/core.ts";
import init, { Checkpoint } from "../core/core.js";
import wasm from "../core/core_bg.wasm?url";

let started: Promise<unknown> | undefined;

/** A verifier that trusts nothing but this root. */
export async function openCore(anchor: string): Promise<Core> {
  started ??= init({ module_or_path: wasm });
  await started;
  return typed(new Checkpoint(anchor));
}
