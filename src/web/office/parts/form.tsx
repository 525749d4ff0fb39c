// What a form is made of: every field with its label, its hint and what is wrong with it, tied together for screen readers.
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import { useTexts } from "../../lib/language.ts";
import { TEXTS } from "../texts.ts";

interface About {
  readonly label: string;
  readonly hint?: string | undefined;
  readonly error?: string | undefined;
}

function Around({ id, label, hint, error, children }: About & { id: string; children: ComponentChildren }) {
  return (
    <div class={error === undefined ? "field" : "field wrong"}>
      <label for={id}>{label}</label>
      {hint !== undefined && (
        <p id={`${id}-hint`} class="hint">
          {hint}
        </p>
      )}
      {children}
      {error !== undefined && (
        <p id={`${id}-error`} class="error">
          {error}
        </p>
      )}
    </div>
  );
}

function described(id: string, { hint, error }: About) {
  const by = [hint === undefined ? "" : `${id}-hint`, error === undefined ? "" : `${id}-error`].filter((part) => part !== "").join(" ");
  return { ...(by === "" ? {} : { "aria-describedby": by }), ...(error === undefined ? {} : { "aria-invalid": "true" as const }) };
}

type Value = { readonly value: string; readonly set: (value: string) => void };

/** One line of text, a date, a month or a number. */
export function TextField(
  props: About &
    Value & {
      type?: "text" | "date" | "month" | "number";
      required?: boolean;
      min?: string | number;
      max?: string | number;
      maxLength?: number;
      pattern?: string;
      inputMode?: "numeric" | "text";
      onBlur?: () => void;
      onKeyDown?: (event: KeyboardEvent) => void;
    },
) {
  const { label, hint, error, value, set, type, ...rest } = props;
  const id = useId();
  return (
    <Around id={id} label={label} hint={hint} error={error}>
      {/* The types of inputs are apart in Preact's own; all of these take the same attributes. */}
      <input autocomplete="off" {...rest} type={type as "text"} id={id} value={value} onInput={(event) => set(event.currentTarget.value)} {...described(id, props)} />
    </Around>
  );
}

/** A file. */
export function FileField({ label, set, required, accept }: { label: string; set: (file: File | undefined) => void; required?: boolean; accept?: string }) {
  const id = useId();
  return (
    <Around id={id} label={label}>
      <input id={id} type="file" required={required === true} accept={accept} onChange={(event) => set(event.currentTarget.files?.[0])} />
    </Around>
  );
}

/** Several lines of text. */
export function TextArea(props: About & Value & { required?: boolean; maxLength?: number }) {
  const { label, hint, error, value, set, ...rest } = props;
  const id = useId();
  return (
    <Around id={id} label={label} hint={hint} error={error}>
      <textarea rows={3} {...rest} id={id} value={value} onInput={(event) => set(event.currentTarget.value)} {...described(id, props)} />
    </Around>
  );
}

/** One of a list. Without `otherwise` one has to be chosen. */
export function Choice(props: About & Value & { options: readonly (readonly [string, string])[]; otherwise?: string; required?: boolean }) {
  const texts = useTexts(TEXTS);
  const { label, hint, error, value, set, options, otherwise, required } = props;
  const id = useId();
  return (
    <Around id={id} label={label} hint={hint} error={error}>
      <select id={id} value={value} required={required === true} onChange={(event) => set(event.currentTarget.value)} {...described(id, props)}>
        <option value="">{otherwise ?? texts.choose}</option>
        {options.map(([code, text]) => (
          <option key={code} value={code}>
            {text}
          </option>
        ))}
      </select>
    </Around>
  );
}

/** Yes or no. */
export function Tick({ label, hint, value, set, required }: About & { value: boolean; set: (value: boolean) => void; required?: boolean }) {
  const id = useId();
  return (
    <div class="tick">
      <input
        id={id}
        type="checkbox"
        checked={value}
        required={required === true}
        onChange={(event) => set(event.currentTarget.checked)}
        {...(hint === undefined ? {} : { "aria-describedby": `${id}-hint` })}
      />
      <label for={id}>{label}</label>
      {hint !== undefined && (
        <p id={`${id}-hint`} class="hint">
          {hint}
        </p>
      )}
    </div>
  );
}

/** What a list is filtered by; applied at once, so without a button of its own. */
export function Filters({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <form class="filters" role="search" aria-label={label} onSubmit={(event) => event.preventDefault()}>
      {children}
    </form>
  );
}
