// How far something is: a bar with a number beside it. What has been reached is said at rest, not at every step.
import { useId } from "preact/hooks";

export function Progress({ label, part, children }: { label: string; part: number | undefined; children?: string | undefined }) {
  const id = useId();
  return (
    <div class="progress">
      <span id={id}>{label}</span>
      <progress aria-labelledby={id} max={1} {...(part === undefined ? {} : { value: part })} />
      {children !== undefined && <span class="hint">{children}</span>}
    </div>
  );
}
