// The page of a presentation: it is shown anew when the transaction moves, and offers the browser's Digital Credentials
// API (OpenID4VP 1.0 appendix A) where there is one. Without this script the page refreshes itself.
"use strict";

(() => {
  const begin = document.getElementById("begin");
  if (begin) {
    begin.requestSubmit();
    return;
  }

  const REFRESH_MILLISECONDS = 5000;
  const place = document.getElementById("present");
  const base = location.pathname.replace(/\/$/, "");

  // Who follows the link to a wallet with an address must not be called back by the answer that this very way brings: a
  // reload would break it off. A link that opens a program leaves the page where it is, to be shown anew a little later.
  const LEAVING_MILLISECONDS = 30000;
  let leftAt = -LEAVING_MILLISECONDS;
  addEventListener("beforeunload", () => {
    leftAt = performance.now();
  });

  // The stream ends with the transaction; a page that is over has no script.
  const events = new EventSource(`${base}/events`);
  events.addEventListener("state", (event) => {
    if (event.data !== place.dataset.state) {
      events.close();
      setTimeout(() => location.reload(), Math.max(0, leftAt + LEAVING_MILLISECONDS - performance.now()));
    }
  });
  // Refused for good, because too many pages wait: looked at again later.
  events.addEventListener("error", () => {
    if (events.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), REFRESH_MILLISECONDS);
  });

  const button = document.getElementById("dc-api");
  const PROTOCOL = "openid4vp-v1-signed";
  const isOffered = () => {
    if (typeof DigitalCredential === "undefined") return false;
    const allows = DigitalCredential.userAgentAllowsProtocol;
    return typeof allows !== "function" || allows.call(DigitalCredential, PROTOCOL);
  };
  if (!button || !isOffered()) return;

  // Fetched before the click: the call consumes the click, and must not come after a wait.
  const fetched = fetch(`${base}/dc-request`, { credentials: "same-origin", cache: "no-store" })
    .then((answer) => (answer.ok ? answer.json() : null))
    .catch(() => null);
  fetched.then((request) => {
    if (!request) return;
    button.hidden = false;
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        const requests = [{ protocol: PROTOCOL, data: { request: request.request } }];
        const credential = await navigator.credentials.get({ mediation: "required", digital: { requests } });
        const data = typeof credential.data === "string" ? JSON.parse(credential.data) : credential.data;
        await fetch(`${base}/dc-response`, {
          method: "POST",
          credentials: "same-origin",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify({ protocol: credential.protocol, data }),
        });
        location.reload();
      } catch {
        // Cancelled, or not possible after all: the code and the link are still there.
        document.getElementById("dc-failed").hidden = false;
        button.disabled = false;
      }
    });
  });
})();
