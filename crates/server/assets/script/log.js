// The log. Lines are kept as they came; only those in view, and a few around, are in the document.
const HEIGHT = 19, AROUND = 40, TALLEST = 12e6;

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
      if (range) { this.choose(Number(range[1]), Number(range[2] || range[1])); this.seek(this.chosen[0] - 1); this.box.focus(); }
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
    const asked = this.pending !== null && this.pending >= this.size ? this.pending + 1 : 0;
    const missing = !asked ? "" : this.isOver ? `; there is no line ${asked}` : `; line ${asked} is not there yet`;
    setText(this.state, `${this.size.toLocaleString()} ${this.size === 1 ? "line" : "lines"}, ${this.word}${missing}`);
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

  // Shows a line; one that is not there as soon as it is, and says so until then.
  seek(index) {
    this.pending = null;
    if (index < this.size) this.reveal(index);
    else { this.pending = index; this.setFollow(false); }
    this.later();
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
    this.seek(this.chosen[0] - 1);
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
