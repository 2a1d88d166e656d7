// Live parts: the same page is asked for again, and what differs is put in place.
const live = new Map(all("[data-live]").map((part) => [part.id, part.innerHTML]));
let asking = false, askAgain = false, lastAsked = 0, leaving = false;

async function refresh() {
  if (!live.size || document.hidden) return;
  if (asking) { askAgain = true; return; }
  asking = true;
  try {
    const address = new URL(location.href);
    address.hash = "";
    if (viewer) address.searchParams.set("live", "true");
    const answer = await fetch(address, { headers: { accept: "text/html" } });
    if (answer.redirected) location.reload();
    // A form that is on its way must stay in the document until it is gone.
    if (answer.ok && !leaving) renew(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    // The server is away for a moment; the next look may find it.
  } finally {
    lastAsked = Date.now();
    asking = false;
    if (askAgain) { askAgain = false; soon(); }
  }
}

function renew(fresh) {
  for (const [id, before] of live) {
    const part = document.getElementById(id), next = fresh.getElementById(id);
    if (!part || !next || next.innerHTML === before) continue;
    live.set(id, next.innerHTML);
    // Where the reader is stays: an open detail, the focused link or button.
    const open = new Set(all("details[open]", part).map((details) => details.id));
    const focused = part.contains(document.activeElement) ? document.activeElement : null;
    part.replaceChildren(...next.childNodes);
    for (const details of all("details", part)) details.open = open.has(details.id);
    if (focused) {
      const same = (other) => other.id === focused.id && other.getAttribute("href") === focused.getAttribute("href");
      all(focused.localName, part).find(same)?.focus({ preventScroll: true });
    }
  }
  document.title = fresh.title;
  tellTimes();
}

let timer = 0;
function soon() {
  clearTimeout(timer);
  timer = setTimeout(refresh, Math.max(300, lastAsked + 1000 - Date.now()));
}

let moves = null;
function hear() {
  if (viewer || !live.size || document.hidden || moves) return;
  moves = new EventSource("/v1/runs");
  moves.addEventListener("run", soon);
  moves.addEventListener("missed", soon);
}
