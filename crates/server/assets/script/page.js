// What begins: the log, if the page has one, keys, and the beat of what no event tells of.
const section = document.getElementById("log");
const viewer = section ? new Viewer(section) : null;

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const field = document.querySelector("[data-search]");
  if (field) { event.preventDefault(); field.focus(); field.select?.(); }
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-vertex]");
  if (link && viewer && Number(link.dataset.attempt) === viewer.attempt && viewer.showVertex(link.dataset.vertex)) event.preventDefault();
});
addEventListener("submit", (event) => { if (!event.defaultPrevented) leaving = true; });
addEventListener("pageshow", () => { leaving = false; });
// A browser has six connections to a server: pages that nobody looks at hold none.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) { viewer?.disconnect(); moves?.close(); moves = null; return; }
  viewer?.connect();
  hear();
  soon();
});

tellTimes();
hear();
setInterval(tellTimes, 1000);
// What no event tells of: workers, deliveries, the steps of a run.
let beats = 0;
setInterval(() => {
  beats += 1;
  const working = viewer && ["started", "publishing"].includes(viewer.status);
  if (viewer ? working && !viewer.isOver : beats % 5 === 0) refresh();
}, 3000);
