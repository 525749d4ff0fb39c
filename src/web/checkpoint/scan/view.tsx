// What the camera sees, and its knobs.
import { useEffect, useState } from "preact/hooks";
import type { RefObject } from "preact";
import { useTexts } from "../../lib/language.ts";
import { TEXTS } from "../texts.ts";
import type { Zoom } from "./camera.ts";
import type { Look } from "./look.ts";
import type { CameraUse } from "./use_camera.ts";

/** What the person is told about what the camera sees. */
export type Hint = Exclude<Look, "code"> | "other" | "none";

export function View({ video, use, hint }: { video: RefObject<HTMLVideoElement | null>; use: CameraUse; hint: Hint }) {
  const texts = useTexts(TEXTS);
  return (
    <div class="view">
      <video ref={video} muted playsInline autoplay aria-label={texts.scanHint} />
      <div class="frame" aria-hidden="true" />
      {use.trouble !== undefined ? (
        <div class="trouble" role="alert">
          <p>{texts[use.trouble]}</p>
          <button type="button" onClick={use.reopen}>
            {texts.restart}
          </button>
        </div>
      ) : (
        <p class="hint" role="status">
          {hint === "none" ? "" : texts.hint[hint]}
        </p>
      )}
    </div>
  );
}

export function Knobs({ use }: { use: CameraUse }) {
  const texts = useTexts(TEXTS);
  const { camera } = use;
  if (camera === undefined) return null;
  return (
    <div class="knobs">
      {camera.coarse && <p class="hint">{texts.coarse}</p>}
      {camera.hasTorch && <Torch key={camera.lens} use={use} />}
      {camera.zoom !== undefined && <ZoomKnob key={camera.lens} use={use} zoom={camera.zoom} />}
      {use.lenses.length > 1 && (
        <label>
          {texts.lens}
          <select value={camera.lens} onChange={(event) => use.choose(event.currentTarget.value)}>
            {use.lenses.map((lens) => (
              <option key={lens.id} value={lens.id}>
                {lens.label}
              </option>
            ))}
          </select>
        </label>
      )}
    </div>
  );
}

function Torch({ use }: { use: CameraUse }) {
  const texts = useTexts(TEXTS);
  const [on, setOn] = useState(false);
  const press = async () => {
    if ((await use.camera?.setTorch(!on)) === true) setOn(!on);
  };
  return (
    <button type="button" aria-pressed={on} onClick={() => void press()}>
      {on ? texts.torchOn : texts.torchOff}
    </button>
  );
}

function ZoomKnob({ use, zoom }: { use: CameraUse; zoom: Zoom }) {
  const texts = useTexts(TEXTS);
  const [value, setValue] = useState(zoom.value);
  useEffect(() => void use.camera?.setZoom(value), [value, use.camera]);
  return (
    <label>
      {texts.zoom}
      <input
        type="range"
        min={zoom.min}
        max={zoom.max}
        step={zoom.step}
        value={value}
        onInput={(event) => setValue(Number(event.currentTarget.value))}
      />
    </label>
  );
}
