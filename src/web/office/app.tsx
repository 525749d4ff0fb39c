// What every page has: who is signed in, the way to the other pages, the voice for screen readers. What a role cannot do is
// not shown; the server refuses it all the same.
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { useCell } from "../lib/cell.ts";
import { useTexts } from "../lib/language.ts";
import { place } from "./data/router.ts";
import { may, returnToPlace, SessionProvider, standing } from "./data/session.ts";
import type { Session } from "./api/session.ts";
import { PAGES, type PageEntry } from "./pages/pages.ts";
import { PageHeading } from "./parts/heading.tsx";
import { ProblemNote } from "./parts/problem.tsx";
import { Voice } from "./parts/voice.tsx";
import { Ending } from "./shell/ending.tsx";
import { Head } from "./shell/head.tsx";
import { Navigation } from "./shell/navigation.tsx";
import { SignedOut } from "./shell/signed_out.tsx";
import { TEXTS } from "./texts.ts";

export function App() {
  const now = useCell(standing);
  const texts = useTexts(TEXTS);
  const skip = (event: Event) => {
    event.preventDefault();
    document.querySelector<HTMLElement>("main h1")?.focus();
  };
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        {texts.skip}
      </a>
      {now.kind === "in" ? (
        <SessionProvider value={now.session}>
          <Office session={now.session} />
        </SessionProvider>
      ) : (
        <SignedOut standing={now} />
      )}
      <Voice />
    </>
  );
}

function Office({ session }: { session: Session }) {
  useEffect(returnToPlace, []);
  const { path } = useCell(place);
  const open = PAGES.filter((page) => page.scopes.length === 0 || may(session, ...page.scopes));
  const page = open.find((known) => known.name === (path[0] ?? "overview"));
  return (
    <>
      <Head session={session} />
      <div class="office">
        <Navigation pages={open} current={page?.name} />
        <main id="main">
          <Ending session={session} />
          {page === undefined ? <NotHere /> : <PageOf key={page.name} entry={page} />}
        </main>
      </div>
    </>
  );
}

function PageOf({ entry }: { entry: PageEntry }) {
  const texts = useTexts(TEXTS);
  const [loaded, setLoaded] = useState<{ Page?: ComponentType; error?: unknown }>({});
  useEffect(() => {
    entry.load().then(
      (module) => setLoaded({ Page: module.default }),
      (error: unknown) => setLoaded({ error }),
    );
  }, [entry]);
  const { Page } = loaded;
  if (Page !== undefined) return <Page />;
  if (loaded.error !== undefined) return <ProblemNote error={loaded.error} retry={() => location.reload()} />;
  return <p class="loading">{texts.loading}</p>;
}

function NotHere() {
  const texts = useTexts(TEXTS);
  return (
    <>
      <PageHeading title={texts.notHere} />
      <p>{texts.notHereHint}</p>
      <p>
        <a href="#/overview">{texts.toOverview}</a>
      </p>
    </>
  );
}
