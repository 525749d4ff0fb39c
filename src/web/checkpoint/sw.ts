// The service worker: keeps every file of one build, whole, and answers from it with or without network. It holds no
// data about cards: those are signed, versioned and kept by the page.
export {};
declare const self: ServiceWorkerGlobalScope;
declare const __PRECACHE_VERSION__: string;
declare const __PRECACHE_FILES__: readonly string[];

const PREFIX = "officials-card-checkpoint-";
const CACHE = PREFIX + __PRECACHE_VERSION__;
const PAGE = "index.html";

async function keepAll(): Promise<void> {
  const cache = await caches.open(CACHE);
  // The names of the others change with their content; past the browser's cache, so that a build is never mixed.
  await cache.addAll(__PRECACHE_FILES__.map((file) => new Request(file === PAGE ? "./" : file, { cache: "no-cache" })));
}

async function dropOthers(): Promise<void> {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function answer(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  const kept = request.mode === "navigate" ? await cache.match("./") : await cache.match(request, { ignoreSearch: true });
  return kept ?? fetch(request);
}

self.addEventListener("install", (event) => event.waitUntil(keepAll()));
self.addEventListener("activate", (event) => event.waitUntil(dropOthers()));

// A new build waits until the person at the checkpoint says so: never in the middle of a shift.
self.addEventListener("message", (event) => {
  if (event.data === "take-over") void self.skipWaiting();
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const scope = self.registration.scope;
  const own = request.method === "GET" && request.url.startsWith(scope);
  if (own && !request.url.startsWith(`${scope}data/`)) event.respondWith(answer(request));
});
