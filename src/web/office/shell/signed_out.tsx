// What is shown to who is not signed in, or not yet known to be.
import { useTexts } from "../../lib/language.ts";
import { refresh, signIn, type Standing } from "../data/session.ts";
import { PageHeading } from "../parts/heading.tsx";
import { ProblemNote } from "../parts/problem.tsx";
import { Sign } from "../parts/signs.tsx";
import { TEXTS as COMMON } from "../texts.ts";
import { Switches } from "./switches.tsx";
import { TEXTS } from "./texts.ts";

export function SignedOut({ standing }: { standing: Exclude<Standing, { kind: "in" }> }) {
  const texts = useTexts(TEXTS);
  const common = useTexts(COMMON);
  return (
    <>
      <header class="head">
        <p class="name">
          <strong>{common.title}</strong>
          <span>{common.of}</span>
        </p>
        <div class="who">
          <Switches />
        </div>
      </header>
      <main id="main" class="sign-in">
        {standing.kind === "loading" && <p role="status">{common.loading}</p>}
        {standing.kind === "failed" && (
          <>
            <PageHeading title={common.title} />
            <ProblemNote error={standing.error} retry={() => void refresh()} />
          </>
        )}
        {standing.kind === "out" && (
          <>
            <PageHeading title={texts.signInTitle} />
            {standing.hasEnded && (
              <div class="notice attention" role="alert">
                <Sign name="attention" />
                <p>{texts.ended}</p>
              </div>
            )}
            <p>{texts.signInHint}</p>
            <button type="button" class="primary" onClick={signIn}>
              {texts.signIn}
            </button>
          </>
        )}
      </main>
    </>
  );
}
