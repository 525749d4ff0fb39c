// A table that comes in pieces, with what went wrong and the way on under it.
import { Pager } from "./pager.tsx";
import { ProblemNote } from "./problem.tsx";
import { Table, type TableProps } from "./table.tsx";
import type { Pieces } from "./work.ts";

export function PagedTable<T>({ pieces, ...table }: Omit<TableProps<T>, "rows" | "isBusy"> & { pieces: Pieces<T> }) {
  return (
    <>
      <Table {...table} rows={pieces.value?.items ?? []} isBusy={pieces.isLoading} />
      <ProblemNote error={pieces.error} retry={pieces.reload} />
      <Pager pieces={pieces} />
    </>
  );
}
