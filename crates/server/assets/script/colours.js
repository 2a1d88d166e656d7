// A line of a log as it looks: what overwrites itself, and colours, as terminals have them.
const LONGEST = 32768;
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
