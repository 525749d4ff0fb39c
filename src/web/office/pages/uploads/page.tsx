// Uploads: the form, the file, what the check found, and what became of it.
import { useCell } from "../../../lib/cell.ts";
import { place } from "../../data/router.ts";
import { OneUpload } from "./one.tsx";
import { Start } from "./start.tsx";

export default function Uploads() {
  const [, id] = useCell(place).path;
  return id === undefined ? <Start key="start" /> : <OneUpload key={id} id={id} />;
}
