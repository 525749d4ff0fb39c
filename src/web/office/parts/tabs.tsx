// The parts of a page that each have an address of their own.
import { useTexts } from "../../lib/language.ts";
import { useCell } from "../../lib/cell.ts";
import { hashOf, place } from "../data/router.ts";
import { TEXTS } from "../texts.ts";

export interface Tab {
  /** Behind the page's own; none for the first. */
  readonly path: readonly string[];
  readonly title: string;
}

export function Tabs({ page, tabs }: { page: keyof (typeof TEXTS)["vi"]["pages"]; tabs: readonly Tab[] }) {
  const texts = useTexts(TEXTS);
  const { path } = useCell(place);
  const here = path.slice(1).join("/");
  return (
    <nav class="tabs" aria-label={texts.pages[page]}>
      {tabs.map((tab) => (
        <a key={tab.title} href={hashOf([page, ...tab.path])} {...(tab.path.join("/") === here ? { "aria-current": "page" as const } : {})}>
          {tab.title}
        </a>
      ))}
    </nav>
  );
}
