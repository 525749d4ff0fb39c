// The camera: rear lens, enough pixels, torch and zoom where the device has them. What a device lacks or refuses never
// ends the session.

/** What is wrong with the camera, as a key of the texts. */
export type CameraTrouble = "cameraDenied" | "cameraMissing" | "cameraBusy" | "cameraUnsupported";

/** The properties that browsers know beyond the standard's types. */
interface Extended {
  torch?: boolean;
  zoom?: { min: number; max: number; step?: number };
  focusMode?: string[];
}

type ExtendedConstraints = MediaTrackConstraintSet & { torch?: boolean; zoom?: number; focusMode?: string };

/** Sharp enough for a dense code at arm's length, before the lens's own close limit. */
const FIRST_ZOOM = 1.5;
/** Below this short side, in pixels, dense codes cannot be read. */
export const FEWEST_PIXELS = 720;

export interface Lens {
  id: string;
  label: string;
}

export interface Zoom {
  min: number;
  max: number;
  step: number;
  value: number;
}

/** An open camera. */
export class Camera {
  readonly stream: MediaStream;
  readonly #track: MediaStreamTrack;
  #zoom: number | undefined;

  private constructor(stream: MediaStream, track: MediaStreamTrack) {
    this.stream = stream;
    this.#track = track;
  }

  /** Opens the lens that was chosen before, or the rear one. */
  static async open(lens: string): Promise<Camera> {
    if (navigator.mediaDevices?.getUserMedia === undefined) throw new CameraError("cameraUnsupported");
    const chosen: MediaTrackConstraints = lens === "" ? { facingMode: { ideal: "environment" } } : { deviceId: { ideal: lens } };
    let stream: MediaStream | undefined;
    for (const [width, height] of [[1920, 1080], [1280, 720]] as const) {
      try {
        const video = { ...chosen, width: { ideal: width }, height: { ideal: height } };
        stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
        break;
      } catch (error) {
        const trouble = troubleOf(error);
        // Some drivers fail instead of giving less.
        if (trouble === "cameraBusy" && width === 1920) continue;
        throw new CameraError(trouble);
      }
    }
    const track = stream?.getVideoTracks()[0];
    if (stream === undefined || track === undefined) throw new CameraError("cameraMissing");
    const camera = new Camera(stream, track);
    await camera.#prepare();
    return camera;
  }

  /** Whether it gives too few pixels for dense codes. */
  get coarse(): boolean {
    const { width = 0, height = 0 } = this.#track.getSettings();
    return width > 0 && Math.min(width, height) < FEWEST_PIXELS;
  }

  /** Which lens this is. */
  get lens(): string {
    return this.#track.getSettings().deviceId ?? "";
  }

  get hasTorch(): boolean {
    return this.#capabilities.torch === true;
  }

  get zoom(): Zoom | undefined {
    const range = this.#capabilities.zoom;
    if (range === undefined || range.max <= range.min) return undefined;
    return { min: range.min, max: Math.min(range.max, 5), step: range.step ?? 0.1, value: this.#zoom ?? range.min };
  }

  /** Calls back when the system takes the camera away. */
  onEnded(callback: () => void): void {
    this.#track.onended = callback;
  }

  /** Switches the torch; false if it would not. */
  setTorch(on: boolean): Promise<boolean> {
    return this.#apply({ torch: on });
  }

  async setZoom(value: number): Promise<boolean> {
    const done = await this.#apply({ zoom: value });
    if (done) this.#zoom = value;
    return done;
  }

  close(): void {
    this.#track.onended = null;
    for (const track of this.stream.getTracks()) track.stop();
  }

  get #capabilities(): Extended {
    return (this.#track.getCapabilities?.() ?? {}) as Extended;
  }

  async #prepare(): Promise<void> {
    const { focusMode, zoom } = this.#capabilities;
    if (focusMode?.includes("continuous") === true) await this.#apply({ focusMode: "continuous" });
    if (zoom !== undefined && zoom.max >= FIRST_ZOOM) await this.setZoom(Math.max(zoom.min, FIRST_ZOOM));
  }

  async #apply(constraint: ExtendedConstraints): Promise<boolean> {
    try {
      await this.#track.applyConstraints({ advanced: [constraint] });
      return true;
    } catch {
      return false;
    }
  }
}

/** Why there is no camera. */
export class CameraError extends Error {
  readonly trouble: CameraTrouble;

  constructor(trouble: CameraTrouble) {
    super(trouble);
    this.trouble = trouble;
  }
}

function troubleOf(error: unknown): CameraTrouble {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") return "cameraDenied";
  if (name === "NotFoundError") return "cameraMissing";
  return "cameraBusy";
}

/** The lenses of the device; their names are known once one of them was allowed. */
export async function lenses(): Promise<Lens[]> {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  return devices
    .filter((device) => device.kind === "videoinput" && device.deviceId !== "")
    .map((device, place) => ({ id: device.deviceId, label: device.label === "" ? `${place + 1}` : device.label }));
}
