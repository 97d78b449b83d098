// The page: reads the log, says what came of that, and shows what the address asks for. Nothing of a log is shown before
// all of it was verified, and nothing any more once a byte was found to be another.

const byId = (id) => document.getElementById(id);
const log = { key: parseKey(MADE.key) };
let state = "waiting";
let fault = null;

/** Says where things stand, above everything. */
function announce(next, title, ...lines) {
  state = next;
  document.documentElement.dataset.state = next;
  const box = byId("state");
  box.className = next;
  box.setAttribute("role", next === "broken" ? "alert" : "status");
  box.replaceChildren(
    el("p.verdict", {}, title),
    ...lines.filter(Boolean).map((line) => (typeof line === "string" ? el("p", {}, line) : line)),
  );
}

const KEY_WORDS = `the key ${log.key.name}+${log.key.id}`;
const provenanceLine = () =>
  el(
    "p.proviso",
    {},
    el("strong", {}, "A page proves nothing by itself. "),
    `This one was made by ${MADE.program} at ${stamp(moment(MADE.made))}, with ${KEY_WORDS}. `,
    "If you did not make it yourself, with your own countersign-verify, then whoever did could have it say anything.",
  );

function announceVerified() {
  const { size } = log.checkpoint;
  const rest = el("p", {}, link("health", "What was checked, and what was not"));
  if (!log.checkpoint.signed) {
    return announce(
      "hashed",
      "Signatures were NOT checked",
      `All ${plural(size, "entry", "entries")} lead to the root that lies here; whether the log's key signed it, ` +
        "this browser did not say: the page was not opened from a file or over https.",
      rest,
      provenanceLine(),
    );
  }
  const empty = size === 0 ? "The log is empty: nothing but its checkpoint's signature was there to check." : null;
  announce(
    "verified",
    "Verified by this page",
    empty ??
      `${plural(size, "entry", "entries")}, every hash and every body, lead to the root that ${KEY_WORDS} signed.`,
    rest,
    provenanceLine(),
  );
}

/** Something is not as recorded: from here on nothing of the log is shown. */
function broke(error) {
  fault = error instanceof Broken ? error : new Broken("the page", `it failed: ${error?.message ?? error}`);
  announce(
    "broken",
    "Does NOT verify",
    el("p", {}, el("strong.where", {}, visible(fault.where)), ": ", el("span.fault", {}, visible(fault.what))),
    "Nothing else of this log is shown: what it says is not what was recorded.",
    provenanceLine(),
  );
  byId("nav").hidden = true;
  byId("main").replaceChildren(
    el("h1", {}, "This log is not what was recorded"),
    el(
      "p",
      {},
      "Keep a copy of the folder as it is, and of its checkpoint. Ask whoever gave it to you for another, and compare ",
      "the two: ",
      el("code", {}, "countersign-verify log"),
      " names the same fault.",
    ),
    MADE.picked ? picker("Pick another folder") : "",
  );
  document.title = "Does NOT verify – countersign log";
}

async function read(source) {
  const bar = el("progress", { "aria-label": "Read and hashed", max: 1, value: 0 });
  announce("reading", "Reading and hashing the log…", bar);
  fault = null;
  const fold = new Fold();
  const began = performance.now();
  try {
    const since = MADE.since ? [await openCheckpoint("the page", utf8(MADE.since), log.key)] : [];
    const found = await verifyLog(
      source,
      log.key,
      since,
      (entry) => fold.apply(entry),
      (done, all) => (bar.value = all ? done / all : 1),
    );
    found.kept.forEach((kept) => (kept.from = "the checkpoint that the page was made at"));
    await fold.settle(Date.now());
    Object.assign(log, found, { source, fold, part: null, milliseconds: performance.now() - began });
  } catch (error) {
    return broke(error);
  }
  byId("nav").hidden = false;
  byId("origin").textContent = visible(log.checkpoint.origin);
  announceVerified();
  show();
}

let shown = 0;

/** Shows what the address asks for. */
async function show() {
  if (fault || !log.fold) return;
  const mine = ++shown;
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, argument = ""] = path.split("/").map((part) => decode(part));
  let made = null;
  try {
    made = await pageFor(name, argument, new URLSearchParams(query));
  } catch (error) {
    return broke(error);
  }
  // Somebody may have gone on meanwhile.
  if (mine !== shown || fault) return;
  const { page, ready } = made instanceof Node ? { page: made } : made;
  const main = byId("main");
  const first = main.dataset.shown !== "yes";
  main.dataset.shown = "yes";
  main.replaceChildren(page);
  ready?.();
  const title = page.querySelector("h1");
  document.title = `${title.textContent} – ${visible(log.checkpoint.origin)}`;
  for (const item of byId("nav").querySelectorAll("a")) {
    const here =
      item.getAttribute("href") === `#/${name === "promotion" ? "promotions" : name === "entry" ? "entries" : name}`;
    if (here) item.setAttribute("aria-current", "page");
    else item.removeAttribute("aria-current");
  }
  if (!first) {
    scrollTo(0, 0);
    title.tabIndex = -1;
    title.focus({ preventScroll: true });
  }
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

function pageFor(name, argument, query) {
  switch (name) {
    case "promotions":
    case "entries":
      return listPage(log.fold, name, query);
    case "promotion":
      return storyPage(log, argument);
    case "entry":
      return entryPage(log, /^[0-9]{1,15}$/.test(argument) ? Number(argument) : -1);
    case "health":
      return healthPage(log, broke);
    default:
      return overviewPage(log);
  }
}

function picker(words) {
  const pick = el("input", {
    type: "file",
    id: "folder",
    webkitdirectory: true,
    multiple: true,
    onchange: () => pick.files.length > 0 && read(new Picked(pick.files)),
  });
  return el("div.picker.controls", {}, el("label", { for: "folder" }, words), pick);
}

function start() {
  addEventListener("hashchange", show);
  byId("skip").addEventListener("click", (event) => {
    // A link to #main would be taken for an address of this page.
    event.preventDefault();
    byId("main").focus();
  });
  if (!MADE.picked) return read(new Written(MADE.parts));
  announce("waiting", "No log was read yet", provenanceLine());
  byId("main").replaceChildren(
    el("h1", {}, "Read a log from a folder"),
    el(
      "p",
      {},
      "Pick the folder that has “checkpoint” and “tile” in it. Its files are read as bytes and hashed, here; nothing is ",
      `sent anywhere, and nothing in them is run. The log must be the one of ${KEY_WORDS}`,
      MADE.since ? ", and must begin with what it was when this page was made." : ".",
    ),
    picker("The log's folder"),
  );
}

start();
