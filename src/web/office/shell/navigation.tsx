// The way to the pages: beside them, or behind a button where there is little room.
import { useEffect, useState } from "preact/hooks";
import { useTexts } from "../../lib/language.ts";
import type { PageEntry, PageName } from "../pages/pages.ts";
import { TEXTS } from "../texts.ts";

export function Navigation({ pages, current }: { pages: readonly PageEntry[]; current: PageName | undefined }) {
  const texts = useTexts(TEXTS);
  const [isOpen, setOpen] = useState(false);
  useEffect(() => setOpen(false), [current]);
  return (
    <nav class={isOpen ? "pages open" : "pages"} aria-label={texts.navigation}>
      <button type="button" class="menu" aria-expanded={isOpen} aria-controls="pages" onClick={() => setOpen(!isOpen)}>
        {texts.menu}
        {current !== undefined && `: ${texts.pages[current]}`}
      </button>
      <ul id="pages">
        {pages.map(({ name }) => (
          <li key={name}>
            <a href={`#/${name}`} {...(name === current ? { "aria-current": "page" as const } : {})}>
              {texts.pages[name]}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}
