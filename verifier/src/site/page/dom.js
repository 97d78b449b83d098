// Making what is shown. Nodes are made by calls and texts are text: nothing here, and nothing anywhere in this page, reads
// markup out of a string.

/** A node: its name with classes (`p.quiet`), its attributes, and what is in it. */
function el(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const node = document.createElement(tag);
  if (classes.length > 0) node.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children.flat(Infinity));
  return node;
}

/** A text from outside: harmless, and apart from what stands beside it even when it is written from right to left. */
const said = (text, name = "bdi.said") => el(name, {}, visible(text));

/** A text from outside that has lines: each stays a line, behind a margin. */
const saidLines = (text) =>
  el(
    "div.lines",
    {},
    String(text)
      .split("\n")
      .map((line) => said(line, "div.said")),
  );

/** A digest: all of it for who copies it, in a shape that may be broken anywhere. */
const digest = (text) => el("code.digest", {}, visible(text ?? "none"));
const brief = (text) => el("code.digest", { title: visible(text ?? "") }, visible(short(text)));

const stamp = (at) => (at === null ? "no time" : new Date(at).toISOString().replace("T", " ").replace(".000Z", " UTC"));
const time = (at) => (at === null ? "no time" : el("time", { datetime: new Date(at).toISOString() }, stamp(at)));

/** A duration in words that fit a line. */
function lasted(seconds) {
  const s = Math.round(seconds);
  if (s < 0) return `−${lasted(-s)}`;
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

const link = (route, ...children) => el("a", { href: `#/${route}` }, ...children);
const entryLink = (index, text = `entry ${count(index)}`) => link(`entry/${index}`, text);

const STAGE_WORDS = {
  released: "Released",
  refused: "Refused",
  permitted: "Permitted",
  rebuilt: "Rebuilt",
  prepared: "Prepared",
  opened: "Opened",
};
const badge = (stage) => el(`span.badge.${stage}`, {}, STAGE_WORDS[stage]);

/** A list of names and what they are. */
const facts = (...pairs) =>
  el(
    "dl.facts",
    {},
    pairs.filter(Boolean).map(([name, ...value]) => [el("dt", {}, name), el("dd", {}, ...value)]),
  );

function section(title, ...children) {
  return el("section", {}, el("h2", {}, title), ...children);
}

function table(caption, heads, rows) {
  const head = el(
    "thead",
    {},
    el(
      "tr",
      {},
      heads.map((text) => el("th", { scope: "col" }, text)),
    ),
  );
  const body = rows.map((cells) =>
    el(
      "tr",
      {},
      cells.map((cell, n) => el(n === 0 ? "th" : "td", n === 0 ? { scope: "row" } : {}, cell)),
    ),
  );
  const inner = el("table", {}, el("caption", {}, caption), head, el("tbody", {}, body));
  return el("div.scroll", { tabindex: 0, role: "region", "aria-label": caption }, inner);
}

/** Any JSON, to read: names, values, and statements that stand in base64 opened. */
function tree(value, depth = 0) {
  if (value === null || typeof value !== "object") {
    if (typeof value !== "string") return el("code", {}, String(value));
    const inner = value.length > 60 ? jsonIn(value) : null;
    if (inner !== null && typeof inner === "object" && depth < 8) {
      return el("div.inside", {}, el("p.quiet", {}, "in base64:"), tree(inner, depth + 1));
    }
    return value.includes("\n") ? saidLines(value) : said(value);
  }
  if (depth > 12) return el("code", {}, visible(JSON.stringify(value)));
  if (Array.isArray(value)) {
    if (value.length === 0) return el("span.quiet", {}, "none");
    return el(
      "ol.tree",
      {},
      value.map((item) => el("li", {}, tree(item, depth + 1))),
    );
  }
  if (Object.keys(value).length === 0) return el("span.quiet", {}, "nothing");
  return el(
    "dl.tree",
    {},
    Object.entries(value).map(([key, item]) => [el("dt", {}, visible(key)), el("dd", {}, tree(item, depth + 1))]),
  );
}
