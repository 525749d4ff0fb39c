// Every page, who sees it, and where its code is: each is loaded when it is first opened.
import type { ComponentType } from "preact";
import type { Texts } from "../texts.ts";

export type PageName = keyof Texts["pages"];

export interface PageEntry {
  readonly name: PageName;
  /** One of these rights opens it; without any, every officer's. */
  readonly scopes: readonly string[];
  readonly load: () => Promise<{ readonly default: ComponentType }>;
}

export const PAGES: readonly PageEntry[] = [
  { name: "overview", scopes: [], load: () => import("./overview/page.tsx") },
  { name: "uploads", scopes: ["records:write"], load: () => import("./uploads/page.tsx") },
  { name: "reviews", scopes: ["updates:read", "records:confirm"], load: () => import("./reviews/page.tsx") },
  { name: "records", scopes: ["records:read"], load: () => import("./records/page.tsx") },
  { name: "changes", scopes: ["records:read"], load: () => import("./changes/page.tsx") },
  { name: "quality", scopes: ["quality:read"], load: () => import("./quality/page.tsx") },
  { name: "approvals", scopes: ["quality:read"], load: () => import("./approvals/page.tsx") },
  { name: "cards", scopes: ["cards:read"], load: () => import("./cards/page.tsx") },
  { name: "reorganisations", scopes: ["reorganisations:read"], load: () => import("./reorganisations/page.tsx") },
  { name: "calls", scopes: ["sync:read"], load: () => import("./calls/page.tsx") },
  { name: "audit", scopes: ["audit:read"], load: () => import("./audit/page.tsx") },
  { name: "population", scopes: ["population:read"], load: () => import("./population/page.tsx") },
  { name: "officers", scopes: ["officers:read"], load: () => import("./officers/page.tsx") },
];
