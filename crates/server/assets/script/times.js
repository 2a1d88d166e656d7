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
