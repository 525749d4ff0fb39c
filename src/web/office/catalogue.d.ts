// What `lib/catalogue.plugin.ts` makes.
declare module "virtual:catalogue" {
  /** A field of the personnel record. */
  export interface CatalogueField {
    readonly code: string;
    readonly label: { readonly vi: string; readonly en: string };
    /** The group of the dossier, for example `identity`. */
    readonly group: string;
    readonly type: string;
    /** The code list that its values come from; empty for none. */
    readonly codes: string;
    /** The repeating list that it is a column of; empty for none. */
    readonly list: string;
  }
  /** In the order of the dossier. */
  export const FIELDS: readonly CatalogueField[];
  /** Labels by code list and code. */
  export const CODES: Readonly<Record<string, Readonly<Record<string, { readonly vi: string; readonly en: string }>>>>;
}
