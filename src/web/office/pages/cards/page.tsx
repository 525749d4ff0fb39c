// Cards: find them, see one, lock, unlock, withdraw, and print badges.
import { useCell } from "../../../lib/cell.ts";
import { useTexts } from "../../../lib/language.ts";
import { place } from "../../data/router.ts";
import { Tabs } from "../../parts/tabs.tsx";
import { Ending } from "./ending.tsx";
import { CardList } from "./list.tsx";
import { OneCard } from "./one.tsx";
import { TEXTS } from "./texts.ts";

export default function Cards() {
  const texts = useTexts(TEXTS);
  const [, part, card] = useCell(place).path;
  if (part === "card" && card !== undefined) return <OneCard key={card} handle={card} />;
  return (
    <>
      <Tabs page="cards" tabs={[{ path: [], title: texts.tabs.list }, { path: ["ending"], title: texts.tabs.ending }]} />
      {part === "ending" ? <Ending /> : <CardList />}
    </>
  );
}
