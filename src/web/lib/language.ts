// The language of the page: Vietnamese first. A third language is another member here and another table of texts.
import { useCell } from "./cell.ts";
import { preference } from "./preferences.ts";

export const LANGUAGES = ["vi", "en"] as const;
export type Language = (typeof LANGUAGES)[number];

/** The same in every language. */
export type Sentence = Record<Language, string>;

export const language = preference<Language>("language", "vi", LANGUAGES);

function tell(): void {
  document.documentElement.lang = language.value;
}

/** Lets the page say which language it is in, now and after every change. */
export function followLanguage(): void {
  tell();
  language.watch(tell);
}

/** The texts of a table in the language of now. */
export function useTexts<T>(table: Record<Language, T>): T {
  return table[useCell(language)];
}
