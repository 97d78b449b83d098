// The lists of promotions and of entries: 10⁵ rows, of which only those in view are in the document. Filters stand in the
// address, so that a view can be kept, sent and gone back to.

/** A table of which only what is in view is laid out. Rows have one height each, which the style sheet gives. */
class VirtualTable {
  constructor(label, heads, render) {
    this.render = render;
    this.items = [];
    this.rows = new Map();
    this.head = el(
      "div.vrow.vhead",
      { role: "row", "aria-rowindex": 1 },
      heads.map((text) => el("div", { role: "columnheader" }, text)),
    );
    this.body = el("div.vbody", { role: "rowgroup" });
    this.scroller = el("div.vscroll", {
      tabindex: 0,
      role: "table",
      "aria-label": label,
      onkeydown: (event) => this.#key(event),
    });
    this.scroller.append(el("div", { role: "rowgroup" }, this.head), this.body);
    this.scroller.addEventListener("scroll", () => this.#draw(), { passive: true });
    this.watch = new ResizeObserver(() => this.#draw());
    this.watch.observe(this.scroller);
  }

  show(items) {
    this.items = items;
    for (const row of this.rows.values()) row.remove();
    this.rows.clear();
    this.scroller.setAttribute("aria-rowcount", items.length + 1);
    this.#draw();
  }

  #height() {
    // The style sheet gives it in rem, so that it grows with the reader's own size of text.
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    return parseFloat(getComputedStyle(this.scroller).getPropertyValue("--row")) * rem || 44;
  }

  #draw() {
    if (!this.scroller.isConnected) return;
    const height = this.#height();
    this.body.style.height = `${height * this.items.length}px`;
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / height) - 8);
    const last = Math.min(
      this.items.length,
      Math.ceil((this.scroller.scrollTop + this.scroller.clientHeight) / height) + 8,
    );
    for (const [n, row] of this.rows) {
      // The row that has the focus stays, or the focus would be lost by scrolling.
      if ((n < first || n >= last) && !row.contains(document.activeElement)) {
        row.remove();
        this.rows.delete(n);
      }
    }
    for (let n = first; n < last; n++) {
      let row = this.rows.get(n);
      if (!row) {
        row = el(
          "div.vrow",
          { role: "row", "aria-rowindex": n + 2 },
          this.render(this.items[n]).map((cell) => el("div", { role: "cell" }, cell)),
        );
        this.rows.set(n, row);
        const after = this.rows.get(n + 1);
        this.body.insertBefore(row, after ?? null);
      }
      row.style.top = `${n * height}px`;
    }
  }

  /** Arrows move from row to row, as in a list; Tab goes on working as everywhere. */
  #key(event) {
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / this.#height()) - 1);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (!(event.key in moves) || event.altKey || event.ctrlKey || event.metaKey || this.items.length === 0) return;
    event.preventDefault();
    const row = document.activeElement.closest?.(".vrow");
    const at = row ? Number(row.getAttribute("aria-rowindex")) - 2 : -1;
    const to = Math.min(this.items.length - 1, Math.max(0, at + moves[event.key]));
    const height = this.#height();
    const view = this.scroller.clientHeight - this.head.offsetHeight;
    if (to * height < this.scroller.scrollTop) this.scroller.scrollTop = to * height;
    if ((to + 1) * height > this.scroller.scrollTop + view) this.scroller.scrollTop = (to + 1) * height - view;
    this.#draw();
    this.rows.get(to)?.querySelector("a")?.focus({ preventScroll: true });
  }
}

const FILTERS = ["q", "project", "decision", "kind", "lane", "person", "from", "to"];

/** What to show, by the address. */
function wanted(query) {
  const want = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""]));
  want.words = want.q
    .toLowerCase()
    .replace(/sha256:/g, "")
    .split(/\s+/)
    .filter(Boolean);
  const day = (text) => (/^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : NaN);
  want.since = day(want.from);
  want.until = day(want.to) + DAY;
  return want;
}

/** Whether a promotion, or an entry of one, is wanted. */
function fits(want, story, at) {
  if (want.project && story?.project !== want.project) return false;
  if (want.lane && story?.lane !== want.lane) return false;
  if (
    want.decision === "open" ? !story || outcomeOf(story) !== "open" : want.decision && story?.stage !== want.decision
  )
    return false;
  if (want.since && !(at >= want.since)) return false;
  return !(want.until && !(at < want.until));
}

function filterStories(fold, want) {
  return fold.stories
    .filter(
      (story) =>
        fits(want, story, story.first) &&
        (!want.person || story.persons.has(want.person)) &&
        want.words.every((word) => story.hay.includes(word)),
    )
    .reverse();
}

function filterRows(fold, want) {
  return fold.rows.filter(
    (row) =>
      fits(want, row.story, row.at) &&
      (!want.kind || row.kind === want.kind) &&
      (!want.person || row.persons?.includes(want.person) || row.story?.persons.has(want.person)) &&
      want.words.every((word) => row.hay.includes(word) || row.story?.hay.includes(word)),
  );
}

const storyCells = (story) => [
  link(`promotion/${short(story.id)}`, said(story.project), " ", brief(story.commit)),
  badge(story.stage),
  time(story.first),
  story.ended === null ? el("span.quiet", {}, "–") : lasted((story.ended - story.first) / 1000),
  story.stage === "refused"
    ? said(story.reasons.join(", "))
    : story.digest
      ? brief(story.digest)
      : el("span.quiet", {}, "–"),
];

const rowCells = (row) => [
  entryLink(row.index, count(row.index)),
  el("span.kind", {}, row.kind),
  row.at === null ? el("span.quiet", {}, "–") : time(row.at),
  row.story ? link(`promotion/${short(row.story.id)}`, said(row.story.project)) : el("span.quiet", {}, "–"),
  said(row.words.slice(0, 200)),
];

const LISTS = {
  promotions: {
    title: "Promotions",
    one: "promotion",
    heads: ["Project and commit", "State", "Began", "Took", "Image, or why not"],
    cells: storyCells,
    filter: filterStories,
  },
  entries: {
    title: "Entries",
    one: "entry",
    more: "entries",
    heads: ["Entry", "Kind", "When", "Project", "What it says"],
    cells: rowCells,
    filter: filterRows,
  },
};

function select(name, label, value, options) {
  const choice = el("select", { name, id: `f-${name}` }, el("option", { value: "" }, "all"));
  if (value && !options.some(([own]) => own === value)) options = [[value, value], ...options];
  for (const [own, words] of options)
    choice.append(el("option", { value: own, selected: own === value }, visible(words)));
  return el("div", {}, el("label", { for: `f-${name}` }, label), choice);
}

function input(type, name, label, value) {
  return el(
    `div.${name}`,
    {},
    el("label", { for: `f-${name}` }, label),
    el("input", { type, name, id: `f-${name}`, value, autocomplete: "off", spellcheck: "false" }),
  );
}

function filterForm(fold, which, want, changed) {
  const twice = (list) => list.map((text) => [text, text]);
  const form = el(
    "form.filters",
    {
      role: "search",
      "aria-label": `Filter ${LISTS[which].title.toLowerCase()}`,
      onsubmit: (event) => event.preventDefault(),
    },
    input("search", "q", "Search: commit, digest, person, reason", want.q),
    select("project", "Project", want.project, twice(fold.projects)),
    select("decision", "Decision", want.decision, [["open", "not ended"], ...STAGES.map((stage) => [stage, stage])]),
    which === "entries" && select("kind", "Kind", want.kind, twice([...fold.kinds.keys()].sort())),
    select("lane", "Lane", want.lane, twice(fold.lanes)),
    select("person", "Person", want.person, twice([...fold.persons].sort())),
    el(
      "div.span",
      {},
      input("date", "from", "From", want.from),
      input("date", "to", "To", want.to),
      el("button", { type: "reset", onclick: () => setTimeout(clear) }, "Clear"),
    ),
  );
  const clear = () => {
    for (const field of form.elements) if (field.name) field.value = "";
    changed(form);
  };
  form.addEventListener("input", () => changed(form));
  return form;
}

/** The page of one of the two lists. */
function listPage(fold, which, query) {
  const { title, one, more, heads, cells, filter } = LISTS[which];
  const list = new VirtualTable(title, heads, cells);
  const found = el("p.found", { role: "status" });
  const total = which === "entries" ? fold.rows.length : fold.stories.length;
  let settling = 0;
  const show = (want) => {
    const items = filter(fold, want);
    list.show(items);
    found.textContent = `${plural(items.length, one, more)} of ${count(total)}`;
  };
  const changed = (form) => {
    clearTimeout(settling);
    settling = setTimeout(() => {
      const filled = [...new FormData(form)].filter(([, value]) => value !== "");
      const text = new URLSearchParams(filled).toString();
      // Typing is one step in the history, not one a letter.
      history.replaceState(null, "", `#/${which}${text ? `?${text}` : ""}`);
      list.scroller.scrollTop = 0;
      show(wanted(new URLSearchParams(filled)));
    }, 80);
  };
  const form = filterForm(fold, which, wanted(query), changed);
  const page = el(
    `div.listpage.${which}`,
    {},
    el("h1", {}, title),
    form,
    found,
    list.scroller,
    el("p.printnote", {}, "A list is not printed. Print a promotion's story, or the log's health."),
  );
  return { page, ready: () => show(wanted(query)) };
}
