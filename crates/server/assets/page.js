// The page's one script: times in the reader's zone, lists that stay current, and the log. Without it every page
// still works. Text of others only ever becomes text nodes; styles only classes.
"use strict";

const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

// Times. The server's clock counts: the reader's may be wrong by hours.
const served = Date.parse(document.documentElement.dataset.now) || Date.now();
const ahead = served - Date.now();
const now = () => Date.now() + ahead;

function ago(then) {
  const seconds = (now() - then) / 1000;
  const words = (count, unit) => (seconds < 0 ? `in ${count} ${unit}` : `${count} ${unit} ago`);
  const size = Math.abs(seconds);
  if (size < 45) return seconds < 0 ? "soon" : "just now";
  if (size < 3570) return words(Math.round(size / 60), "min");
  if (size < 84600) return words(Math.round(size / 3600), "h");
  if (size < 7 * 86400) return words(Math.round(size / 86400), "d");
  return new Date(then).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

// As html.rs writes it.
function duration(seconds) {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor(whole / 60) % 60} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor(whole / 3600) % 24} h`;
}

const setText = (element, text) => { if (element.textContent !== text) element.textContent = text; };

function tellTimes() {
  for (const time of all("time.moment")) {
    const then = Date.parse(time.dateTime);
    setText(time, ago(then));
    time.title = new Date(then).toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
  }
  for (const span of all(".ticks")) setText(span, duration(Math.max(0, now() - Date.parse(span.dataset.since)) / 1000));
}

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

// The log. Lines are kept as they came; only those in view, and a few around, are in the document.
const HEIGHT = 19, AROUND = 40, TALLEST = 12e6, LONGEST = 32768;
const ESCAPES = /\x1b(?:\[[\x20-\x3f]*[\x40-\x7e]?|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[^[\]]?)/g;

// What a carriage return overwrites is gone.
const overwritten = (line) => line.replace(/\r+$/, "").replace(/^.*\r/s, "").slice(0, LONGEST);
const bare = (line) => (/[\x00-\x1f]/.test(line) ? overwritten(line).replace(ESCAPES, "") : line.slice(0, LONGEST));

// 256 colours and true colours become the nearest of sixteen, which the stylesheet knows.
function nearest(red, green, blue) {
  const most = Math.max(red, green, blue), least = Math.min(red, green, blue);
  if (most - least < 40) return most < 60 ? 0 : most < 130 ? 8 : most < 215 ? 7 : 15;
  const middle = (most + least) / 2;
  return (red > middle ? 1 : 0) + (green > middle ? 2 : 0) + (blue > middle ? 4 : 0) + (most > 200 ? 8 : 0);
}
function indexed(number) {
  if (number < 16) return number;
  if (number > 231) { const grey = 8 + (number - 232) * 10; return nearest(grey, grey, grey); }
  const level = (part) => (part ? 55 + part * 40 : 0), cube = number - 16;
  return nearest(level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6));
}

// Changes `style` as an SGR sequence says.
function paint(style, numbers) {
  for (let at = 0; at < numbers.length; at++) {
    const number = numbers[at];
    if (number === 0) { style.on.clear(); style.fore = style.back = ""; }
    else if ([1, 2, 3, 4, 9].includes(number)) style.on.add(`a${number}`);
    else if (number === 22) { style.on.delete("a1"); style.on.delete("a2"); }
    else if ([23, 24, 29].includes(number)) style.on.delete(`a${number - 20}`);
    else if (number === 39) style.fore = "";
    else if (number === 49) style.back = "";
    else if (number === 38 || number === 48) {
      let colour = 7;
      if (numbers[at + 1] === 5) { colour = indexed(numbers[at + 2] || 0); at += 2; }
      else if (numbers[at + 1] === 2) { colour = nearest(...[2, 3, 4].map((n) => numbers[at + n] || 0)); at += 4; }
      if (number === 38) style.fore = `f${colour}`; else style.back = `b${colour}`;
    }
    else if (number >= 30 && number <= 37) style.fore = `f${number - 30}`;
    else if (number >= 40 && number <= 47) style.back = `b${number - 40}`;
    else if (number >= 90 && number <= 97) style.fore = `f${number - 82}`;
    else if (number >= 100 && number <= 107) style.back = `b${number - 92}`;
  }
}

// A line as pieces of one look each. A line begins plain: logs are read from anywhere.
function pieces(line) {
  if (!/[\x00-\x1f]/.test(line)) return [{ text: line.slice(0, LONGEST), look: "" }];
  const text = overwritten(line), style = { on: new Set(), fore: "", back: "" }, found = [];
  const look = () => [...style.on, style.fore, style.back].filter(Boolean).join(" ");
  const add = (part) => { if (part) found.push({ text: part, look: look() }); };
  let at = 0;
  for (const escape of text.matchAll(ESCAPES)) {
    add(text.slice(at, escape.index));
    at = escape.index + escape[0].length;
    const sgr = /^\x1b\[([\d;:]*)m$/.exec(escape[0]);
    if (sgr) paint(style, sgr[1].split(/[;:]/).map(Number));
  }
  add(text.slice(at));
  return found;
}

// Where `wanted` (in lower case) stands in a text.
function places(text, wanted) {
  if (!wanted) return [];
  const lower = text.toLowerCase(), found = [];
  // A few letters change their length: such a line is searched as it is written.
  const hay = lower.length === text.length ? lower : text;
  for (let at = hay.indexOf(wanted); at >= 0; at = hay.indexOf(wanted, at + wanted.length)) found.push(at);
  return found;
}

class Viewer {
  constructor(section) {
    this.section = section;
    this.attempt = Number(section.dataset.attempt);
    this.isLatest = section.dataset.attempt === section.dataset.latest;
    this.status = section.dataset.status;
    this.lines = [];
    this.open = "";
    this.position = null;
    this.hits = [];
    this.hit = -1;
    this.wanted = "";
    this.drawn = "";
    this.chosen = null;
    this.pending = null;
    const ended = !["queued", "started", "publishing"].includes(this.status);
    this.build();
    this.readHash();
    this.setFollow(!this.pending && (!ended || this.status === "failed"));
    this.connect();
  }

  build() {
    this.find = make("input", { type: "search", placeholder: "Search ( / )", spellcheck: false });
    this.find.dataset.search = "";
    this.count = make("output", { className: "count" });
    const button = (text, act) => make("button", { type: "button", textContent: text, onclick: act });
    this.goto = make("input", { className: "goto", placeholder: "12 or 12-20", inputMode: "numeric" });
    const form = make("form", {}, make("label", {}, "Line ", this.goto));
    this.following = button("Follow", () => this.setFollow(this.following.getAttribute("aria-pressed") !== "true"));
    this.state = make("span", { className: "state" });
    this.state.setAttribute("role", "status");
    this.rows = make("div", { className: "rows" });
    this.space = make("div", { className: "space" }, this.rows);
    this.box = make("div", { className: "lines", tabIndex: 0 }, this.space);
    this.box.setAttribute("role", "region");
    this.box.setAttribute("aria-label", "Log");
    const previous = button("Previous", () => this.step(-1)), next = button("Next", () => this.step(1));
    const tools = make("div", { className: "tools" }, make("label", {}, make("span", { className: "unseen", textContent: "Search the log" }), this.find), previous, next, this.count, form, this.following, this.state);
    const holder = document.getElementById("viewer");
    holder.className = "viewer";
    holder.replaceChildren(tools, this.box);
    holder.hidden = false;
    document.getElementById("plain-log").hidden = true;

    let typing = 0;
    this.find.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(() => this.search(), 120); });
    this.find.addEventListener("keydown", (event) => {
      if (event.key === "Enter") { event.preventDefault(); this.search(); this.step(event.shiftKey ? -1 : 1); }
      if (event.key === "Escape") { this.find.value = ""; this.search(); this.box.focus(); }
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const range = /^\s*(\d+)(?:\s*-\s*(\d+))?\s*$/.exec(this.goto.value);
      if (range) { this.choose(Number(range[1]), Number(range[2] || range[1])); this.reveal(this.chosen[0] - 1); this.box.focus(); }
    });
    let before = 0;
    this.box.addEventListener("scroll", () => {
      const top = this.box.scrollTop, bottom = this.box.scrollHeight - this.box.clientHeight;
      if (top < before) this.setFollow(false);
      else if (top >= bottom - HEIGHT) this.setFollow(true);
      before = top;
      this.later();
    });
    this.rows.addEventListener("click", (event) => {
      const link = event.target.closest("a");
      if (!link) return;
      event.preventDefault();
      const line = Number(link.textContent);
      if (event.shiftKey && this.chosen) this.choose(Math.min(line, this.chosen[0]), Math.max(line, this.chosen[0]));
      else this.choose(line, line);
    });
    addEventListener("hashchange", () => this.readHash());
    addEventListener("resize", () => this.later());
  }

  // The stream. The browser connects again by itself and says where it was; where it gives up, we do.
  connect() {
    if (this.source || this.isOver || document.hidden) return;
    const address = new URL(this.section.dataset.log, location.href);
    if (this.position) {
      address.searchParams.set("attempt", this.position[0]);
      address.searchParams.set("offset", this.position[1]);
    }
    this.tell("connecting");
    const source = this.source = new EventSource(address);
    source.addEventListener("open", () => { this.pause = 1000; this.tell("live"); });
    source.addEventListener("log", (event) => this.add(event));
    source.addEventListener("attempt", (event) => this.begin(JSON.parse(event.data).attempt));
    source.addEventListener("status", (event) => {
      const { status } = JSON.parse(event.data);
      if (status !== this.status) { this.status = status; soon(); }
    });
    source.addEventListener("end", () => this.finish());
    source.addEventListener("error", () => {
      this.tell("connection lost, trying again");
      if (source.readyState !== EventSource.CLOSED || this.source !== source) return;
      this.source = null;
      this.pause = Math.min(15000, (this.pause || 1000) * 2);
      setTimeout(() => this.connect(), this.pause);
    });
  }

  disconnect() {
    this.source?.close();
    this.source = null;
  }

  finish() {
    this.isOver = true;
    this.disconnect();
    if (!this.size) {
      document.getElementById("viewer").hidden = true;
      document.getElementById("plain-log").hidden = false;
    }
    this.tell("ended");
    soon();
  }

  add(event) {
    const { offset, text, base64 } = JSON.parse(event.data);
    if (this.position && offset < this.position[1]) return;
    this.position = event.lastEventId.split(":").map(Number);
    const bytes = base64 && Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const parts = (this.open + (bytes ? new TextDecoder().decode(bytes) : text)).split("\n");
    this.open = parts.pop();
    const from = this.lines.length;
    for (const part of parts) this.lines.push(part);
    if (this.wanted) this.look(from);
    this.later();
  }

  begin(attempt) {
    // An older attempt's log is all there; what follows is another's.
    if (!this.isLatest) { this.finish(); return; }
    this.attempt = attempt;
    this.position = [attempt, 0];
    Object.assign(this, { lines: [], open: "", hits: [], hit: -1, drawn: "" });
    this.later();
    soon();
  }

  get size() { return this.lines.length + (this.open ? 1 : 0); }
  line(index) { return index < this.lines.length ? this.lines[index] : this.open; }

  tell(word) {
    if (word) this.word = word;
    setText(this.state, `${this.size.toLocaleString()} ${this.size === 1 ? "line" : "lines"}, ${this.word}`);
  }

  // Drawing. Beyond what a browser can make tall, scrolling is scaled.
  scale() {
    const whole = this.size * HEIGHT, view = this.box.clientHeight;
    return whole > TALLEST ? (TALLEST - view) / (whole - view) : 1;
  }

  later() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => { this.frame = 0; this.draw(); });
  }

  draw() {
    this.tell();
    this.space.style.height = `${Math.min(this.size * HEIGHT, TALLEST)}px`;
    if (this.follow) this.box.scrollTop = this.box.scrollHeight;
    if (this.pending && this.pending < this.size) { const line = this.pending; this.pending = null; this.reveal(line); }
    if (this.vertex) this.showVertex(this.vertex);
    const scrolled = this.box.scrollTop, top = scrolled / this.scale();
    const first = Math.max(0, Math.floor(top / HEIGHT) - AROUND);
    const last = Math.min(this.size, Math.ceil((top + this.box.clientHeight) / HEIGHT) + AROUND);
    const drawn = JSON.stringify([first, last, this.chosen, this.wanted, this.hits[this.hit], last > this.lines.length && this.open]);
    this.rows.style.transform = `translateY(${Math.round(scrolled - (top - first * HEIGHT))}px)`;
    // Rows that stay keep the reader's selection.
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const rows = [];
    for (let index = first; index < last; index++) rows.push(this.row(index));
    this.rows.replaceChildren(...rows);
  }

  row(index) {
    const number = String(index + 1), text = make("span");
    const found = this.wanted ? places(bare(this.line(index)), this.wanted) : [];
    let at = 0;
    for (const piece of pieces(this.line(index))) {
      const span = make("span", { className: piece.look }), end = at + piece.text.length;
      let done = at;
      for (const place of found) {
        const from = Math.max(place, at), to = Math.min(place + this.wanted.length, end);
        if (from >= to) continue;
        span.append(piece.text.slice(done - at, from - at), make("mark", { textContent: piece.text.slice(from - at, to - at) }));
        done = to;
      }
      span.append(piece.text.slice(done - at));
      text.append(span);
      at = end;
    }
    const row = make("div", { className: "row" }, make("a", { href: `#L${number}`, textContent: number, tabIndex: -1 }), text);
    row.classList.toggle("chosen", Boolean(this.chosen) && index + 1 >= this.chosen[0] && index + 1 <= this.chosen[1]);
    row.classList.toggle("found", index === this.hits[this.hit]);
    return row;
  }

  reveal(index) {
    this.setFollow(false);
    const top = Math.max(0, index * HEIGHT - this.box.clientHeight / 2);
    this.space.style.height = `${Math.min(this.size * HEIGHT, TALLEST)}px`;
    this.box.scrollTop = top * this.scale();
    this.later();
  }

  setFollow(follow) {
    if (this.follow === follow) return;
    this.follow = follow;
    this.following.setAttribute("aria-pressed", String(follow));
    if (follow) this.later();
  }

  // Line links.
  choose(first, last) {
    this.chosen = [first, Math.max(first, last)];
    history.replaceState(null, "", last > first ? `#L${first}-L${last}` : `#L${first}`);
    this.later();
  }

  readHash() {
    const range = /^#L(\d+)(?:-L(\d+))?$/.exec(location.hash), vertex = /^#vertex-(\d+)$/.exec(location.hash);
    if (vertex) { this.vertex = vertex[1]; this.later(); }
    if (!range) return;
    this.chosen = [Number(range[1]), Number(range[2] || range[1])];
    this.section.scrollIntoView();
    if (this.chosen[0] <= this.size) this.reveal(this.chosen[0] - 1); else this.pending = this.chosen[0] - 1;
    this.later();
  }

  // The log marks each line of a vertex with its number.
  showVertex(number) {
    const index = this.lines.findIndex((line) => line.startsWith(`#${number} `));
    if (index < 0) return false;
    this.vertex = null;
    this.choose(index + 1, index + 1);
    this.reveal(index);
    this.section.scrollIntoView();
    this.box.focus({ preventScroll: true });
    return true;
  }

  // Search, over every line and not only those in view.
  search() {
    const wanted = this.find.value.toLowerCase();
    if (wanted === this.wanted) return;
    Object.assign(this, { wanted, hits: [], hit: -1 });
    if (wanted) this.look(0);
    else this.tellHits();
    this.later();
  }

  look(from) {
    for (let index = from; index < this.lines.length; index++) {
      if (places(bare(this.lines[index]), this.wanted).length) this.hits.push(index);
    }
    this.tellHits();
  }

  step(by) {
    if (!this.hits.length) return;
    this.hit = (this.hit + by + this.hits.length + (this.hit < 0 && by < 0 ? 1 : 0)) % this.hits.length;
    this.tellHits();
    this.reveal(this.hits[this.hit]);
  }

  tellHits() {
    const { hits, hit, wanted } = this;
    const found = `${hits.length} ${hits.length === 1 ? "line" : "lines"}`;
    setText(this.count, !wanted ? "" : hits.length && hit >= 0 ? `${hit + 1} of ${hits.length}` : found);
  }
}

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
