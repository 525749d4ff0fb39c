// The camera as a component uses it: opened while the page is seen, closed while it is hidden, the screen kept awake.
import type { RefObject } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { preference } from "../../lib/preferences.ts";
import { Camera, CameraError, type CameraTrouble, type Lens, lenses } from "./camera.ts";

const chosenLens = preference<string>("lens", "");

export interface CameraUse {
  camera: Camera | undefined;
  trouble: CameraTrouble | undefined;
  lenses: Lens[];
  choose: (lens: string) => void;
  reopen: () => void;
}

export function useCamera(video: RefObject<HTMLVideoElement | null>): CameraUse {
  const [camera, setCamera] = useState<Camera>();
  const [trouble, setTrouble] = useState<CameraTrouble>();
  const [known, setKnown] = useState<Lens[]>([]);
  const open = useRef<Camera | undefined>(undefined);
  // Only the newest of several openings counts: a lens may be changed while another is still being opened.
  const turn = useRef(0);

  const shut = useCallback(() => {
    turn.current += 1;
    open.current?.close();
    open.current = undefined;
    setCamera(undefined);
  }, []);

  const reopen = useCallback(async () => {
    shut();
    const mine = turn.current;
    try {
      const opened = await Camera.open(chosenLens.value);
      if (mine !== turn.current) return opened.close();
      open.current = opened;
      // The system took it away: what was is taken up again when the page is shown or the button is pressed.
      opened.onEnded(() => {
        shut();
        setTrouble("cameraBusy");
      });
      setTrouble(undefined);
      setCamera(opened);
      setKnown(await lenses());
    } catch (error) {
      if (mine === turn.current) setTrouble(error instanceof CameraError ? error.trouble : "cameraBusy");
    }
  }, [shut]);

  useEffect(() => {
    const follow = () => (document.hidden ? shut() : void reopen());
    follow();
    document.addEventListener("visibilitychange", follow);
    return () => {
      document.removeEventListener("visibilitychange", follow);
      shut();
    };
  }, [reopen, shut]);

  useEffect(() => {
    const element = video.current;
    if (element === null) return;
    element.srcObject = camera?.stream ?? null;
    if (camera !== undefined) void element.play().catch(() => undefined);
  }, [camera, video]);

  useWakeLock();

  const choose = (lens: string) => {
    chosenLens.set(lens);
    void reopen();
  };
  return { camera, trouble, lenses: known, choose, reopen: () => void reopen() };
}

/** Keeps the screen on for as long as the component is there; browsers drop the lock whenever the page is hidden. */
function useWakeLock(): void {
  useEffect(() => {
    let lock: WakeLockSentinel | undefined;
    let over = false;
    const take = async () => {
      if (document.hidden) return;
      try {
        const taken = await navigator.wakeLock?.request("screen");
        if (over) await taken?.release();
        else lock = taken;
      } catch {
        // A device low on battery may refuse.
      }
    };
    void take();
    document.addEventListener("visibilitychange", take);
    return () => {
      over = true;
      document.removeEventListener("visibilitychange", take);
      void lock?.release();
    };
  }, []);
}
