// A page's heading: it takes the focus when the page opens, so that keyboards and readers of screens begin there, and it
// is the window's title. Names of people are in neither.
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { useTexts } from "../../lib/language.ts";
import { TEXTS } from "../texts.ts";

/** Takes the focus back to the page's heading, where what had it is gone. */
export function focusHeading(): void {
  document.querySelector<HTMLElement>("main h1")?.focus({ preventScroll: true });
}

export function PageHeading({ title, back, canPrint, reload, children }: {
  title: string;
  /** Where the page came from. */
  back?: string;
  canPrint?: boolean;
  reload?: () => void;
  /** What else can be done on this page. */
  children?: ComponentChildren;
}) {
  const texts = useTexts(TEXTS);
  const heading = useRef<HTMLHeadingElement>(null);
  // Before anybody can press a key: a focus that comes later would take it from where they are by then.
  useLayoutEffect(() => heading.current?.focus({ preventScroll: true }), []);
  useEffect(() => {
    document.title = `${title} – ${texts.title}`;
  }, [title, texts]);
  return (
    <div class="page-heading">
      <h1 ref={heading} tabIndex={-1}>
        {title}
      </h1>
      <div class="actions">
        {back !== undefined && (
          <a class="button" href={back}>
            {texts.back}
          </a>
        )}
        {children}
        {canPrint === true && (
          <button type="button" onClick={() => print()}>
            {texts.print}
          </button>
        )}
        {reload !== undefined && (
          <button type="button" onClick={reload}>
            {texts.reload}
          </button>
        )}
      </div>
    </div>
  );
}
