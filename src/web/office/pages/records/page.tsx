// Records: the list of a unit, and one with everything that is known about it.
import { useCell } from "../../../lib/cell.ts";
import { place } from "../../data/router.ts";
import { RecordList } from "./list.tsx";
import { OneRecord } from "./one.tsx";

export default function Records() {
  const [, handle] = useCell(place).path;
  return handle === undefined ? <RecordList key="list" /> : <OneRecord key={handle} handle={handle} />;
}
