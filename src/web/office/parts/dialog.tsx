// A question that must be answered before anything else: the browser keeps the focus inside and gives it back.
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { useTexts } from "../../lib/language.ts";
import { TEXTS } from "../texts.ts";
import { focusHeading } from "./heading.tsx";
import { ProblemNote } from "./problem.tsx";
import type { Work } from "./work.ts";

export function Dialog(props: {
  title: string;
  /** What its main button says: the deed itself, not "OK". */
  deed: string;
  isGrave?: boolean;
  work: Work;
  act: () => void;
  close: () => void;
  /** What went wrong, where that is to be said otherwise. */
  trouble?: ComponentChildren;
  children: ComponentChildren;
}) {
  const texts = useTexts(TEXTS);
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const title = useId();
  useEffect(() => {
    const from = document.activeElement;
    dialog.current?.showModal();
    // The question is read first; neither deed nor cancel is one careless key away.
    heading.current?.focus();
    // Taken out of the page an open dialog would leave the focus nowhere.
    return () => {
      // What opened it may go with what was done: told only after the page is drawn anew.
      setTimeout(() => {
        if (from instanceof HTMLElement && from.isConnected) from.focus();
        else focusHeading();
      });
    };
  }, []);
  const submit = (event: Event) => {
    event.preventDefault();
    props.act();
  };
  const cancel = (event: Event) => {
    event.preventDefault();
    if (!props.work.isBusy) props.close();
  };
  return (
    <dialog ref={dialog} aria-labelledby={title} onCancel={cancel}>
      <form onSubmit={submit}>
        <h2 id={title} ref={heading} tabIndex={-1}>{props.title}</h2>
        {props.children}
        {props.trouble ?? <ProblemNote error={props.work.error} />}
        <div class="buttons">
          <button type="submit" class={props.isGrave === true ? "grave" : "primary"} aria-disabled={props.work.isBusy}>
            {props.work.isBusy ? texts.working : props.deed}
          </button>
          <button type="button" onClick={props.close} aria-disabled={props.work.isBusy}>
            {texts.cancel}
          </button>
        </div>
      </form>
    </dialog>
  );
}
