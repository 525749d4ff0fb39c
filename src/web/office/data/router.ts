// Where in the office the person is. It stands behind the `#`, so that the app works under any path; handles and codes may
// stand there, what belongs to a person never does.
import { Cell } from "../../lib/cell.ts";

/** A place: `#/cards/7Q2M…?tab=history` is `["cards", "7Q2M…"]` and `tab=history`. */
export interface Place {
  readonly path: readonly string[];
  readonly query: URLSearchParams;
}

/** Reads what stands behind the `#`. */
export function placeOf(hash: string): Place {
  const [path = "", query = ""] = hash.replace(/^#?\/?/, "").split("?", 2);
  return { path: path.split("/").filter((part) => part !== "").map(decoded), query: new URLSearchParams(query) };
}

/** Writes it. */
export function hashOf(path: readonly string[], query: Readonly<Record<string, string | undefined>> = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined && value !== "") parameters.set(name, value);
  const text = parameters.toString();
  return `#/${path.map(encodeURIComponent).join("/")}${text === "" ? "" : `?${text}`}`;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const place = new Cell<Place>(placeOf(typeof location === "undefined" ? "" : location.hash));

/** Follows the address, from now on. */
export function followAddress(): void {
  addEventListener("hashchange", () => place.set(placeOf(location.hash)));
}

/** Goes somewhere. */
export function go(...path: string[]): void {
  location.hash = hashOf(path);
}

/** Changes what a list is filtered by, without another step to go back over. */
export function filter(query: Readonly<Record<string, string | undefined>>): void {
  const { path } = place.value;
  const hash = hashOf(path, query);
  history.replaceState(null, "", hash);
  place.set(placeOf(hash));
}
