// What somebody chose to look at: by words, states and order. A link to it stays with the browser.

const search = $('q');
const by = $('by');
const chosen = new Set();
const heads = new Map();

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
