// The app itself: kept by the service worker, asked to stay, updated when the person says so.
import { Cell } from "../../lib/cell.ts";

/** How the app stands: whether it works without network, whether a newer one waits, whether it can be installed. */
export interface Application {
  version: string;
  keptOffline: boolean;
  update?: () => void;
  install?: () => void;
}

declare const __APP_VERSION__: string;

/** Browsers look for a newer build when a page is opened; a checkpoint may stay open for weeks. */
const LOOK_EVERY_MILLISECONDS = 3_600_000;

/** Chrome's offer to install (not a standard). */
interface InstallOffer extends Event {
  prompt(): Promise<void>;
}

export const application = new Cell<Application>({ version: __APP_VERSION__, keptOffline: false });

function change(part: Partial<Application>): void {
  application.set({ ...application.value, ...part });
}

function watch(registration: ServiceWorkerRegistration): void {
  const look = () => {
    const { active, waiting } = registration;
    const keptOffline = active !== null && active.state === "activated";
    if (waiting === null || active === null) return change({ keptOffline });
    change({ keptOffline, update: () => waiting.postMessage("take-over") });
  };
  const follow = (worker: ServiceWorker | null) => worker?.addEventListener("statechange", look);
  registration.addEventListener("updatefound", () => follow(registration.installing));
  follow(registration.installing);
  follow(registration.waiting);
  follow(registration.active);
  look();
  setInterval(() => void registration.update().catch(() => undefined), LOOK_EVERY_MILLISECONDS);
}

/** Registers the service worker and asks the browser to keep what is stored. */
export async function keepApplication(): Promise<void> {
  addEventListener("beforeinstallprompt", (event) => {
    event.preventDefault();
    change({ install: () => void (event as InstallOffer).prompt() });
  });
  addEventListener("appinstalled", () => {
    const { install: _, ...rest } = application.value;
    application.set(rest);
  });
  void navigator.storage?.persist?.();
  if (!("serviceWorker" in navigator)) return;
  // After an update that the person asked for, everything is of the new build.
  const controlled = navigator.serviceWorker.controller !== null;
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (controlled) location.reload();
  });
  try {
    watch(await navigator.serviceWorker.register("./sw.js", { updateViaCache: "none" }));
  } catch {
    // It goes on without; the readiness says that it needs the network.
  }
}
