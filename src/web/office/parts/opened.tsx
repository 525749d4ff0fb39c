// What a press in a row of a table opens below it: it takes the focus, so that keyboards and readers of screens follow.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

/** The name of the part that is open; one on a page. */
const ID = "opened";

/** What the button says of the part that it opens. */
export const opens = (isOpen: boolean) => ({ "aria-expanded": isOpen, ...(isOpen ? { "aria-controls": ID } : {}) });

/** The part that is open; `of` names what it is about. */
export function Opened({ of, label, children }: { of: string; label: string; children: ComponentChildren }) {
  const part = useRef<HTMLElement>(null);
  useEffect(() => part.current?.focus(), [of]);
  return (
    <section ref={part} id={ID} class="panel" aria-label={label} tabIndex={-1}>
      {children}
    </section>
  );
}
