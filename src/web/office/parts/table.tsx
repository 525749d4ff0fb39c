// A table of records: caption, column heads with their scope, sorting where the whole list is here, selection where several
// can be dealt with at once. Where it is wider than the window it scrolls by itself, also by keyboard.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useTexts } from "../../lib/language.ts";
import { TEXTS } from "../texts.ts";

export interface Column<T> {
  readonly key: string;
  readonly head: string;
  readonly cell: (row: T) => ComponentChildren;
  /** What the column is sorted by. Give it only to lists that are here as a whole. */
  readonly sort?: (row: T) => string | number;
  readonly isNumber?: boolean;
  /** Names the row: its cell is a row head. */
  readonly isHead?: boolean;
}

export interface Selection<T> {
  readonly of: ReadonlySet<string>;
  readonly set: (chosen: ReadonlySet<string>) => void;
  readonly key: (row: T) => string;
  readonly label: (row: T) => string;
  /** Rows that cannot be chosen. */
  readonly isOpen?: (row: T) => boolean;
}

export interface TableProps<T> {
  caption: string;
  /** The caption says what a heading above the table says already. */
  isCaptionHidden?: boolean;
  columns: readonly Column<T>[];
  rows: readonly T[];
  rowKey: (row: T) => string;
  selection?: Selection<T> | undefined;
  isBusy?: boolean;
  empty?: string;
}

export function Table<T>(props: TableProps<T>) {
  const texts = useTexts(TEXTS);
  const [order, setOrder] = useState<{ key: string; isDown: boolean }>();
  const { columns, selection } = props;
  const rows = sorted(props.rows, columns, order);
  const press = (key: string) => setOrder(order?.key === key ? { key, isDown: !order.isDown } : { key, isDown: false });
  return (
    <ScrollBox label={texts.scroll(props.caption)}>
      <table aria-busy={props.isBusy === true}>
        <caption class={props.isCaptionHidden === true ? "visually-hidden" : ""}>{props.caption}</caption>
        <thead>
          <tr>
            {selection !== undefined && (
              <th scope="col" class="choice">
                <SelectAll rows={rows} selection={selection} />
              </th>
            )}
            {columns.map((column) => (
              <th key={column.key} scope="col" class={column.isNumber === true ? "number" : ""} {...sortOf(column, order)}>
                {column.sort === undefined ? (
                  column.head
                ) : (
                  <button type="button" class="sort" title={texts.sortBy(column.head)} onClick={() => press(column.key)}>
                    {column.head}
                    <span aria-hidden="true">{order?.key === column.key ? (order.isDown ? " ▼" : " ▲") : " ↕"}</span>
                  </button>
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <Row key={props.rowKey(row)} row={row} columns={columns} selection={selection} />
          ))}
          {rows.length === 0 && (
            <tr>
              <td colSpan={columns.length + (selection === undefined ? 0 : 1)} class="empty">
                {props.isBusy === true ? texts.loading : (props.empty ?? texts.empty)}
              </td>
            </tr>
          )}
        </tbody>
      </table>
    </ScrollBox>
  );
}

function Row<T>({ row, columns, selection }: { row: T; columns: readonly Column<T>[]; selection: Selection<T> | undefined }) {
  const cells = columns.map((column) => {
    const className = column.isNumber === true ? "number" : "";
    return column.isHead === true ? (
      <th key={column.key} scope="row" class={className}>
        {column.cell(row)}
      </th>
    ) : (
      <td key={column.key} class={className}>
        {column.cell(row)}
      </td>
    );
  });
  if (selection === undefined) return <tr>{cells}</tr>;
  const key = selection.key(row);
  const isChosen = selection.of.has(key);
  const toggle = () => {
    const chosen = new Set(selection.of);
    if (!chosen.delete(key)) chosen.add(key);
    selection.set(chosen);
  };
  return (
    <tr class={isChosen ? "chosen" : ""}>
      <td class="choice">
        {selection.isOpen?.(row) !== false && <input type="checkbox" checked={isChosen} aria-label={selection.label(row)} onChange={toggle} />}
      </td>
      {cells}
    </tr>
  );
}

function SelectAll<T>({ rows, selection }: { rows: readonly T[]; selection: Selection<T> }) {
  const texts = useTexts(TEXTS);
  const box = useRef<HTMLInputElement>(null);
  const keys = rows.filter((row) => selection.isOpen?.(row) !== false).map(selection.key);
  const count = keys.filter((key) => selection.of.has(key)).length;
  useEffect(() => {
    if (box.current !== null) box.current.indeterminate = count > 0 && count < keys.length;
  });
  return (
    <input
      ref={box}
      type="checkbox"
      aria-label={texts.selectAll}
      disabled={keys.length === 0}
      checked={keys.length > 0 && count === keys.length}
      onChange={() => selection.set(new Set(count === keys.length ? [] : keys))}
    />
  );
}

function sortOf<T>(column: Column<T>, order: { key: string; isDown: boolean } | undefined): { "aria-sort"?: "ascending" | "descending" | "none" } {
  if (column.sort === undefined) return {};
  if (order?.key !== column.key) return { "aria-sort": "none" };
  return { "aria-sort": order.isDown ? "descending" : "ascending" };
}

/** The rows in the order that was asked for; as they came without one. */
export function sorted<T>(rows: readonly T[], columns: readonly Column<T>[], order: { key: string; isDown: boolean } | undefined): readonly T[] {
  const by = columns.find((column) => column.key === order?.key)?.sort;
  if (by === undefined) return rows;
  const compare = (a: string | number, b: string | number) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "vi", { numeric: true });
  const up = [...rows].sort((a, b) => compare(by(a), by(b)));
  return order?.isDown === true ? up.reverse() : up;
}

/** A box that scrolls sideways; a stop for the keyboard only while there is something to scroll. */
export function ScrollBox({ label, children }: { label: string; children: ComponentChildren }) {
  const box = useRef<HTMLDivElement>(null);
  const [isWide, setWide] = useState(false);
  useEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const look = () => setWide(element.scrollWidth > element.clientWidth + 1);
    const observer = new ResizeObserver(look);
    observer.observe(element);
    if (element.firstElementChild !== null) observer.observe(element.firstElementChild);
    return () => observer.disconnect();
  }, []);
  return (
    <div ref={box} class="scroll" {...(isWide ? { tabIndex: 0, role: "region", "aria-label": label } : {})}>
      {children}
    </div>
  );
}
