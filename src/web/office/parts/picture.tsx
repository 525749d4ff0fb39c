// A picture that only who is signed in may see: fetched like everything else, shown from this page's memory, and forgotten
// with the page.
import { useEffect, useState } from "preact/hooks";
import { useTexts } from "../../lib/language.ts";
import { TEXTS } from "../texts.ts";
import { ProblemNote } from "./problem.tsx";
import { useLoad } from "./work.ts";

export function Picture(props: {
  alt: string;
  /** What names the picture: another is loaded when it changes. */
  of: readonly string[];
  load: (signal: AbortSignal) => Promise<Blob>;
  /** What follows when it cannot be seen. */
  trouble: string;
}) {
  const texts = useTexts(TEXTS);
  const loaded = useLoad(props.load, props.of);
  const [source, setSource] = useState<string>();
  const [isBroken, setBroken] = useState(false);
  const file = loaded.value;
  useEffect(() => {
    if (file === undefined) return undefined;
    const made = URL.createObjectURL(file);
    setBroken(false);
    setSource(made);
    return () => URL.revokeObjectURL(made);
  }, [file]);
  if (loaded.error !== undefined || isBroken) {
    return (
      <>
        <ProblemNote error={loaded.error} retry={loaded.reload} />
        <p class="error">{props.trouble}</p>
      </>
    );
  }
  if (source === undefined) return <p class="loading">{texts.loading}</p>;
  return <img src={source} alt={props.alt} onError={() => setBroken(true)} />;
}
