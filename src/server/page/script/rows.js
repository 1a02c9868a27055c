// The entries: what is read from their rows, their order, and which show.

const STATES = ['contested', 'stale', 'failing', 'partial', 'pending', 'fresh', 'suspended'];
const HEARD_AFTER = 700;
const $ = (id) => document.getElementById(id);
const body = $('rows');
const rows = new Map();
let words = [];
let sort = { by: 's', down: false };
let ahead = 0;
let speaker = 0;

// Times are told from the daemon's clock, whatever this machine's says.
const now = () => Date.now() - ahead;
const hear = (at) => { ahead = Date.now() - Date.parse(at); };

const span = (seconds) => {
  const [minutes, hours, days] = [60, 3600, 86400].map((unit) => Math.floor(seconds / unit));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${minutes}m`;
  if (seconds < 86400) return `${hours}h ${minutes % 60}m`;
  return days < 10 ? `${days}d ${hours % 24}h` : `${days}d`;
};

const tell = (time, at) => {
  const due = time.className === 'due';
  const seconds = Math.floor((due ? Date.parse(time.dateTime) - at : at - Date.parse(time.dateTime)) / 1000);
  const text = seconds < 1 ? 'now' : due ? `in ${span(seconds)}` : `${span(seconds)} ago`;
  if (time.textContent !== text) time.textContent = text;
};

const tellAll = () => {
  const at = now();
  for (const time of $('notices').getElementsByTagName('time')) tell(time, at);
  for (const time of body.getElementsByTagName('time')) tell(time, at);
};

// A row is the same while its line is, but for the words of its times.
const still = (html) => html.trimEnd().replace(/>[^<]*<\/time>/g, '>');

const read = (tr, line) => {
  const [name, state, targets, version, success, next, trouble] = tr.cells;
  const at = (cell, none) => {
    const time = cell.firstElementChild;
    return time && time.tagName === 'TIME' ? Date.parse(time.dateTime) : none;
  };
  return {
    tr,
    line,
    state: state.textContent,
    text: `${name.firstChild.data}\n${name.lastChild.textContent}\n${targets.textContent}\n${trouble.textContent}`.toLowerCase(),
    n: name.firstChild.data,
    s: STATES.indexOf(state.textContent),
    v: -at(version, -Infinity),
    l: at(success, -Infinity),
    x: at(next, Infinity),
  };
};

const compare = (a, b) => {
  const key = sort.by;
  const less = a[key] < b[key] ? -1 : a[key] > b[key] ? 1 : 0;
  if (less) return sort.down ? -less : less;
  return a.n < b.n ? -1 : a.n > b.n ? 1 : 0;
};

// Whoever is in a row stays there when it moves.
const holding = (change) => {
  const focused = document.activeElement;
  change();
  if (focused && focused !== document.activeElement && body.contains(focused)) focused.focus({ preventScroll: true });
};

const arrange = () => holding(() => {
  let place = body.firstElementChild;
  for (const row of [...rows.values()].sort(compare)) {
    if (row.tr === place) place = place.nextElementSibling;
    else body.insertBefore(row.tr, place);
  }
});

const suits = (row) => (chosen.size === 0 || chosen.has(row.state)) && words.every((word) => row.text.includes(word));

const count = (number) => number.toLocaleString('en');

// `narrower`: what does not show now will not show either.
const filter = (narrower = false) => {
  let shown = 0;
  for (const row of rows.values()) {
    const hide = (narrower && row.tr.hidden) || !suits(row);
    if (row.tr.hidden !== hide) row.tr.hidden = hide;
    if (!hide) shown += 1;
  }
  const all = rows.size;
  $('shown').textContent = shown === all ? `${count(all)} ${all === 1 ? 'entry' : 'entries'}` : `${count(shown)} of ${count(all)} entries`;
  $('none').hidden = shown > 0 || all === 0;
};

const say = (text, after = HEARD_AFTER) => {
  clearTimeout(speaker);
  speaker = setTimeout(() => { $('say').textContent = text; }, after);
};
