// The document as the server says it is the only source: this asks for it again and takes over what has changed.

const ROW = '<tr id="e:';
const LIVE = ['who', 'headline', 'notices', 'bar'];
const LATEST = 20000;
let timer = 0;
let paused = false;
let busy = false;
let away = null;

const replace = (old, made) => {
  const [was, is] = [old, made].map((tr) => tr.querySelector('details'));
  if (was && is) is.open = was.open;
  const inside = old.contains(document.activeElement);
  old.replaceWith(made);
  if (inside && is) is.firstElementChild.focus({ preventScroll: true });
};

const takeRows = (lines) => {
  const changed = [];
  for (const [key, line] of lines) {
    const row = rows.get(key);
    const bare = still(line);
    if (!row || row.line !== bare) changed.push([key, line, bare]);
  }
  for (const [key, row] of rows) {
    if (lines.has(key)) continue;
    row.tr.remove();
    rows.delete(key);
  }
  const made = document.createElement('template');
  made.innerHTML = changed.map(([, line]) => line).join('');
  const fresh = [...made.content.children];
  changed.forEach(([key, , bare], index) => {
    const tr = fresh[index];
    const row = rows.get(key);
    if (row) replace(row.tr, tr);
    else body.append(tr);
    rows.set(key, read(tr, bare));
  });
};

const takeCounts = (page) => {
  const now = page.getElementById('counts').children;
  [...$('counts').children].forEach((li, index) => {
    li.firstElementChild.lastElementChild.textContent = now[index].lastElementChild.textContent;
  });
  press();
};

const take = (text) => {
  const lines = new Map();
  const rest = [];
  for (const line of text.split('\n')) {
    if (line.startsWith(ROW)) lines.set(line.slice(ROW.length, line.indexOf('"', ROW.length)), line);
    else rest.push(line);
  }
  const page = new DOMParser().parseFromString(rest.join('\n'), 'text/html');
  if (!page.getElementById('rows')) throw new Error('another page');
  const release = (of) => of.getElementById('who').dataset.release;
  if (release(page) !== release(document)) {
    location.reload();
    return;
  }
  hear(page.getElementById('at').dateTime);
  $('at').dateTime = page.getElementById('at').dateTime;
  const before = $('headline').textContent;
  for (const id of LIVE) {
    const [old, made] = [$(id), page.getElementById(id)];
    if (still(old.outerHTML) !== still(made.outerHTML)) old.replaceWith(made);
  }
  if (document.title !== page.title) document.title = page.title;
  if ($('icon').href !== page.getElementById('icon').href) $('icon').replaceWith(page.getElementById('icon'));
  takeCounts(page);
  takeRows(lines);
  arrange();
  filter();
  if ($('headline').textContent !== before) say($('headline').textContent);
};

// Who copies an error keeps it: nothing is replaced meanwhile.
const isReading = () => {
  const chosen = getSelection();
  return !chosen.isCollapsed && document.activeElement !== search && $('list').parentElement.contains(chosen.anchorNode);
};

const showTime = () => {
  const time = new Date($('at').dateTime).toLocaleTimeString([], { hour12: false });
  $('at').textContent = `As of ${time}`;
  $('beat').textContent = paused ? 'paused' : isReading() ? 'waits while text is selected' : '';
};

const found = () => {
  if (away) say('The daemon answers again', 0);
  away = null;
  $('lost').hidden = true;
  document.documentElement.classList.remove('away');
};

const lost = () => {
  if (!away) {
    away = new Date($('at').dateTime).toLocaleTimeString([], { hour12: false });
    say('The daemon does not answer', 0);
  }
  $('lost').textContent = `The daemon does not answer. What you see is as of ${away}; it is asked again every few seconds.`;
  $('lost').hidden = false;
  document.documentElement.classList.add('away');
};

// What is long is asked for less often.
const pace = () => (away ? 5000 : rows.size > 2000 ? 30000 : rows.size > 500 ? 15000 : 5000);

const refresh = async () => {
  clearTimeout(timer);
  if (busy || paused || document.hidden) return;
  if (isReading()) {
    showTime();
    timer = setTimeout(refresh, pace());
    return;
  }
  busy = true;
  try {
    const answer = await fetch(location.pathname, { cache: 'no-store', signal: AbortSignal.timeout(LATEST) });
    if (!answer.ok) throw new Error('no answer');
    const text = await answer.text();
    // Either may have begun since it was asked for.
    if (!paused && !isReading()) take(text);
    found();
  } catch {
    lost();
  }
  busy = false;
  showTime();
  tellAll();
  timer = setTimeout(refresh, pace());
};
