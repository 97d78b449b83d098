// The picture on the overview: promotions over time by what became of them, and how often each reason refused one. The
// same numbers stand in a table below it, for who does not see it.

const DAY = 86400e3;

/** The width of a column: the smallest that makes at most 60 of them. */
function columnWidth(span) {
  for (const width of [60e3, 600e3, 3600e3, 6 * 3600e3, DAY, 7 * DAY, 30 * DAY]) if (span / width <= 60) return width;
  return Math.ceil(span / DAY / 60) * DAY;
}

const OUTCOMES = [
  ["released", "released"],
  ["refused", "refused"],
  ["open", "not ended"],
];
const outcomeOf = (story) => (story.stage === "released" || story.stage === "refused" ? story.stage : "open");

/** How many promotions began in each column of time, by what became of them. */
function columns(stories) {
  const timed = stories.filter((story) => story.first !== null);
  if (timed.length === 0) return null;
  let [from, to] = [Infinity, -Infinity];
  for (const { first } of timed) [from, to] = [Math.min(from, first), Math.max(to, first)];
  const width = columnWidth(to - from + 1);
  const start = Math.floor(from / width) * width;
  const list = Array.from({ length: Math.floor((to - start) / width) + 1 }, (_, n) => ({
    at: start + n * width,
    released: 0,
    refused: 0,
    open: 0,
  }));
  for (const story of timed) list[Math.floor((story.first - start) / width)][outcomeOf(story)]++;
  return { width, list };
}

function timeChart(stories) {
  const data = columns(stories);
  if (!data) return el("p.quiet", {}, "Nothing was promoted so far.");
  const { width, list } = data;
  const [w, h, base] = [720, 180, 150];
  const most = Math.max(...list.map((column) => column.released + column.refused + column.open));
  const step = Math.min(48, (w - 48) / list.length);
  const bars = list.map((column, n) => {
    let top = base;
    return OUTCOMES.map(([outcome]) => {
      const height = (column[outcome] / most) * (base - 16);
      top -= height;
      const bar = { class: `bar ${outcome}`, x: 40 + n * step + step * 0.1, y: top, width: step * 0.8, height };
      return height > 0 ? svg("rect", bar) : [];
    });
  });
  const day = (at) => (width < DAY ? stamp(at).slice(0, 16) : stamp(at).slice(0, 10));
  const label = (x, y, text, anchor) => svg("text", { x, y, "text-anchor": anchor }, text);
  const right = 40 + list.length * step;
  const total = (outcome) => list.reduce((sum, column) => sum + column[outcome], 0);
  const spoken =
    `Promotions by the time they began, ${day(list[0].at)} to ${day(list.at(-1).at)}: ` +
    OUTCOMES.map(([outcome, words]) => `${total(outcome)} ${words}`).join(", ");
  const picture = svg(
    "svg",
    { viewBox: `0 0 ${w} ${h}`, role: "img", "aria-label": spoken, class: "chart" },
    svg("line", { class: "axis", x1: 36, y1: base + 0.5, x2: w, y2: base + 0.5 }),
    label(32, 20, count(most), "end"),
    label(32, base, "0", "end"),
    bars,
    label(40, h - 10, day(list[0].at), "start"),
    list.length > 8 ? label(right, h - 10, day(list.at(-1).at), "end") : [],
  );
  const legend = el(
    "ul.legend",
    {},
    OUTCOMES.map(([outcome, words]) =>
      el(
        "li",
        {},
        el(`span.key.${outcome}`, { "aria-hidden": "true" }),
        `${words} `,
        el("b", {}, count(total(outcome))),
      ),
    ),
  );
  const filled = list.filter((column) => column.released + column.refused + column.open > 0);
  const rows = filled
    .slice(-200)
    .map((column) => [stamp(column.at), count(column.released), count(column.refused), count(column.open)]);
  const more = filled.length > rows.length ? `The newest ${rows.length} of ${filled.length} columns.` : null;
  return el(
    "figure",
    {},
    picture,
    el("figcaption", {}, legend),
    el(
      "details",
      {},
      el("summary", {}, "The same in numbers"),
      more && el("p.quiet", {}, more),
      table("Promotions by the time they began", ["From", "Released", "Refused", "Not ended"], rows),
    ),
  );
}

/** How often each reason refused one, the most frequent first; each leads to those promotions. */
function reasonChart(stories) {
  const counts = new Map();
  for (const story of stories) for (const code of new Set(story.reasons)) counts.set(code, (counts.get(code) ?? 0) + 1);
  if (counts.size === 0) return el("p.quiet", {}, "Nothing was refused so far.");
  const list = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, 20);
  const most = list[0][1];
  return el(
    "ul.reasons",
    {},
    list.map(([code, number]) => {
      const bar = svg(
        "svg",
        { viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
        svg("rect", { class: "bar refused", x: 0, y: 0, width: (100 * number) / most, height: 6 }),
      );
      const route = `promotions?${new URLSearchParams({ decision: "refused", q: code })}`;
      return el("li", {}, link(route, said(code)), el("span.number", {}, count(number)), bar);
    }),
  );
}
