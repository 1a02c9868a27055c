
'use strict';
(() => {
  // The document as the server says it is the only source: this asks for it again and takes over what has changed.
  const STATES = ['contested', 'stale', 'failing', 'partial', 'pending', 'fresh', 'suspended'];
  const ROW = '<tr id="e:';
  const LIVE = ['who', 'headline', 'notices', 'bar'];
  const HEARD_AFTER = 700;
  const LATEST = 20000;
  const $ = (id) => document.getElementById(id);
  const body = $('rows');
  const search = $('q');
  const by = $('by');
  const rows = new Map();
  const chosen = new Set();
  const heads = new Map();
  let words = [];
  let sort = { by: 's', down: false };
  let ahead = 0;
  let timer = 0;
  let speaker = 0;
  let paused = false;
  let busy = false;
  let away = null;

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

  // A link to what is looked at; it stays with the browser.
  const remember = () => {
    const place = new URLSearchParams();
    if (search.value.trim()) place.set('q', search.value.trim());
    if (chosen.size) place.set('state', STATES.filter((state) => chosen.has(state)).join(','));
    if (sort.by !== 's' || sort.down) place.set('sort', (sort.down ? '-' : '') + sort.by);
    const text = place.toString();
    history.replaceState(null, '', text ? `#${text}` : location.pathname);
  };

  const recall = () => {
    const place = new URLSearchParams(location.hash.slice(1));
    search.value = place.get('q') || '';
    for (const state of (place.get('state') || '').split(',')) if (STATES.includes(state)) chosen.add(state);
    const key = place.get('sort') || 's';
    const name = key.replace('-', '');
    if (heads.has(name)) sort = { by: name, down: key.startsWith('-') };
  };

  const looked = (narrower) => {
    filter(narrower);
    say($('none').hidden ? $('shown').textContent : 'No entry is like that');
    remember();
  };

  const searched = () => {
    const before = words.join(' ');
    words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    looked(before !== '' && words.join(' ').startsWith(before));
  };

  const press = () => {
    for (const li of $('counts').children) {
      const is = chosen.has(li.className);
      const button = li.firstElementChild;
      button.setAttribute('aria-pressed', String(is));
      li.hidden = !is && button.lastElementChild.textContent === '0';
    }
  };

  const order = (key, down) => {
    sort = { by: key, down };
    for (const [name, th] of heads) {
      if (name === key) th.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      else th.removeAttribute('aria-sort');
    }
    by.value = key;
    arrange();
  };

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
      take(await answer.text());
      found();
    } catch {
      lost();
    }
    busy = false;
    showTime();
    tellAll();
    timer = setTimeout(refresh, pace());
  };

  const buttons = () => {
    for (const li of $('counts').children) {
      const button = document.createElement('button');
      button.type = 'button';
      button.append(...li.childNodes);
      li.append(button);
      button.addEventListener('click', () => {
        const state = li.className;
        if (!chosen.delete(state)) chosen.add(state);
        press();
        looked();
      });
    }
    for (const key of ['n', 's', 'v', 'l', 'x']) {
      const th = document.querySelector(`thead .${key}`);
      const button = document.createElement('button');
      button.type = 'button';
      button.append(...th.childNodes);
      th.append(button);
      heads.set(key, th);
      button.addEventListener('click', () => {
        order(key, sort.by === key && !sort.down);
        remember();
      });
    }
  };

  const listen = () => {
    search.addEventListener('input', searched);
    by.addEventListener('change', () => {
      order(by.value, false);
      remember();
    });
    $('clear').addEventListener('click', () => {
      search.value = '';
      chosen.clear();
      press();
      searched();
      search.focus();
    });
    $('pause').addEventListener('click', () => {
      paused = !paused;
      $('pause').textContent = paused ? 'Resume' : 'Pause';
      showTime();
      refresh();
    });
    document.addEventListener('visibilitychange', refresh);
    // The exact time, for whoever points at one.
    document.addEventListener('pointerover', ({ target }) => {
      if (target instanceof HTMLTimeElement) target.title = new Date(target.dateTime).toLocaleString();
    });
  };

  for (const tr of body.rows) rows.set(tr.id.slice(2), read(tr, still(tr.outerHTML)));
  hear($('at').dateTime);
  buttons();
  recall();
  listen();
  press();
  words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  order(sort.by, sort.down);
  filter();
  showTime();
  $('tools').hidden = false;
  $('pause').hidden = false;
  timer = setTimeout(refresh, pace());
})();
