// The shell of the page is kept, so that it opens without the service, and says that it cannot be reached.

const CACHE = "stemsplit-shell";

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { pathname, origin } = new URL(event.request.url);
  const isShell = origin === location.origin && (pathname === "/" || pathname.startsWith("/page/"));
  if (event.request.method === "GET" && isShell) event.respondWith(fetchOrKeep(event.request));
});

// what the service has is always newer
async function fetchOrKeep(request) {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    if (response.ok && !response.redirected) cache.put(request, response.clone());
    return response;
  } catch (error) {
    const kept = await cache.match(request, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
}
