// Light, dark, or as the device has it.
import { preference } from "./preferences.ts";

export const THEMES = ["auto", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

export const theme = preference<Theme>("theme", "auto", THEMES);

function apply(): void {
  const root = document.documentElement;
  if (theme.value === "auto") root.removeAttribute("data-theme");
  else root.setAttribute("data-theme", theme.value);
}

/** Applies the theme, now and after every change. */
export function followTheme(): void {
  apply();
  theme.watch(apply);
}
