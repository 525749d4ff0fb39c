// A page's heading: it takes the focus when the page opens, so that keyboards and readers of screens begin there, and it
// is the window's title. Names of people are in neither.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { useTexts } from "../../lib/language.ts";
import { TEXTS } from "../texts.ts";

/** Takes the focus back to the page's heading, where what had it is gone. */
export function focusHeading(): void {
  document.querySelector<HTMLElement>("main h1")?.focus({ preventScroll: true });
}

export function PageHeading({ title, children }: { title: string; children?: ComponentChildren }) {
  const texts = useTexts(TEXTS);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  useEffect(() => {
    document.title = `${title} – ${texts.title}`;
  }, [title, texts]);
  return (
    <div class="page-heading">
      <h1 ref={heading} tabIndex={-1}>
        {title}
      </h1>
      {children !== undefined && <div class="actions">{children}</div>}
    </div>
  );
}
