import { expect, test } from "vitest";
import { type Column, sorted } from "./table.tsx";

interface Row {
  name: string;
  count: number;
}
const columns: Column<Row>[] = [
  { key: "name", head: "", cell: () => "", sort: (row) => row.name },
  { key: "count", head: "", cell: () => "", sort: (row) => row.count },
];
const rows = [
  { name: "Đồng", count: 10 },
  { name: "Dương", count: 9 },
  { name: "An 10", count: 100 },
  { name: "An 9", count: 0 },
];

test("names are sorted as Vietnamese sorts them, numbers as numbers", () => {
  expect(sorted(rows, columns, { key: "name", isDown: false }).map((row) => row.name)).toEqual(["An 9", "An 10", "Dương", "Đồng"]);
  expect(sorted(rows, columns, { key: "count", isDown: true }).map((row) => row.count)).toEqual([100, 10, 9, 0]);
  expect(sorted(rows, columns, undefined)).toBe(rows);
});
