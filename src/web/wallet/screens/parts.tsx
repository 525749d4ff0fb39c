// What several screens share.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { useCell } from "../../lib/cell.ts";
import { language, useTexts } from "../../lib/language.ts";
import { fromBase64 } from "../protocol/bytes.ts";
import type { Node } from "../protocol/sdjwt.ts";
import { CLAIMS, describe, texts } from "../texts.ts";

/** A screen's heading, which takes the focus when the screen opens, so that readers of screens begin there. */
export function Heading({ children }: { children: ComponentChildren }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  return (
    <h1 ref={heading} tabIndex={-1}>
      {children}
    </h1>
  );
}

/** What went wrong. */
export function Problem({ error }: { error: unknown }) {
  const words = useTexts(texts);
  const { sentence, detail } = describe(error, useCell(language));
  return (
    <div class="problem" role="alert">
      <strong>{words.problem}</strong>
      <p>{sentence}</p>
      <p class="detail">{detail}</p>
    </div>
  );
}

/** Something that takes a while: whether it is under way, and how it failed. */
export function useWork(): { isBusy: boolean; error: unknown; run: (work: () => Promise<void>) => void } {
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const run = (work: () => Promise<void>) => {
    setBusy(true);
    setError(undefined);
    work()
      .catch(setError)
      .finally(() => setBusy(false));
  };
  return { isBusy, error, run };
}

/** A claim's name in the language of now. */
export function useClaimName(): (claim: string) => string {
  const current = useCell(language);
  return (claim) => CLAIMS[claim]?.[current] ?? claim;
}

/** A claim's value: a picture, an agency with its code, a day, or a text. */
export function Value({ value }: { value: unknown }) {
  const picture = usePicture(value);
  const alternative = CLAIMS["portrait"]?.[useCell(language)] ?? "";
  return picture === undefined ? <>{plain(value)}</> : <img class="portrait" src={picture} alt={alternative} />;
}

/** The address of a picture that stands in the card itself; no other address is ever opened. */
export function usePicture(value: unknown): string | undefined {
  const [address, setAddress] = useState<string>();
  useEffect(() => {
    const [, type, data] = /^data:(image\/(?:jpeg|png|webp));base64,(.*)$/.exec(typeof value === "string" ? value : "") ?? [];
    if (type === undefined || data === undefined) return undefined;
    const made = URL.createObjectURL(new Blob([fromBase64(data, "portrait")], { type }));
    setAddress(made);
    return () => {
      URL.revokeObjectURL(made);
      setAddress(undefined);
    };
  }, [value]);
  return address;
}

/** A value as text. */
export function plain(value: unknown): string {
  if (typeof value === "string" && value.startsWith("data:")) return "";
  if (typeof value === "string") return /^\d{4}-\d{2}-\d{2}$/.test(value) ? value.split("-").reverse().join("/") : value;
  if (typeof value === "object" && value !== null && "name" in value) {
    return "code" in value ? `${String(value.name)} (${String(value.code)})` : String(value.name);
  }
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** A claim of a card as text, where there is one. */
export function claim(root: Node, name: string): string {
  const node = root.children.get(name);
  return node === undefined ? "" : plain(node.value);
}

/** A time of day. */
export function timeOf(seconds: number): string {
  return new Date(seconds * 1000).toLocaleTimeString("vi-VN", { hour: "2-digit", minute: "2-digit" });
}
