// The overview, and the log's health: what was checked, what was not, and what an auditor looks for first.

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted.length === 0 ? null : sorted[Math.floor((sorted.length - 1) / 2)];
}

function overviewPage(log) {
  const { stories } = log.fold;
  const of = (stage) => stories.filter((story) => story.stage === stage);
  const released = of("released");
  const took = median(
    released.filter((story) => story.ended !== null).map((story) => (story.ended - story.first) / 1000),
  );
  const tile = (route, number, words) => el("li", {}, link(route, el("b", {}, number), el("span", {}, words)));
  const open = stories.filter((story) => outcomeOf(story) === "open").length;
  const latest = stories.slice(-8).reverse();
  return el(
    "div",
    {},
    el("h1", {}, "Overview"),
    el(
      "ul.tiles",
      {},
      tile("promotions", count(stories.length), stories.length === 1 ? "promotion" : "promotions"),
      tile("promotions?decision=released", count(released.length), "released"),
      tile("promotions?decision=refused", count(of("refused").length), "refused"),
      tile("promotions?decision=open", count(open), "not ended"),
      tile("entries", count(log.tree.size), "entries"),
      took === null ? null : tile("promotions?decision=released", lasted(took), "median, start to release"),
    ),
    section("Promotions over time", timeChart(stories)),
    section("Why promotions were refused", reasonChart(stories)),
    section(
      "The latest",
      latest.length === 0
        ? el("p.quiet", {}, "None.")
        : table("The latest promotions", LISTS.promotions.heads, latest.map(storyCells)),
    ),
  );
}

/** What was shown, a line each. */
function checkedLines(log) {
  const { checkpoint, tree, kept } = log;
  return [
    checkpoint.signed && `the checkpoint's signature, by the key ${MADE.key.split("+").slice(0, 2).join("+")}`,
    `the hash of each of ${plural(tree.size, "entry", "entries")}, every tile over them, and the checkpoint's root`,
    `${plural(log.bodies, "body", "bodies")}, each with its salt, against what its entry commits to`,
    ...kept.map(({ older, from }) => `it begins with the ${plural(older.size, "entry", "entries")} of ${from}`),
    "no entry is dated more than ten minutes before an earlier one",
  ].filter(Boolean);
}

/** What was not checked, a line each. */
function uncheckedLines(log) {
  const { checkpoint, strays, kept } = log;
  const told = kept.some(({ older }) => older.size > 0);
  return [
    !checkpoint.signed &&
      "SIGNATURES: this page was not opened from a file or over https, so the browser lends it no cryptography. " +
        "Whoever can answer for its address can show any log",
    "who made this page: if it was not you, with your own countersign-verify, then nothing that it says is proved",
    "whether there is a newer checkpoint than the one that lies here",
    !told && "whether it was rewritten since you last saw it: give a checkpoint that you kept, below",
    checkpoint.others.length === 0
      ? "whether others were shown another log: no witness cosigned the checkpoint"
      : "the cosignatures of witnesses: they are listed below, and not verified here",
    "the signatures in the bodies, but for those of a story or an entry that you open",
    "whether an entry was written by this house's coordinator: a story says whose signatures it carries",
    "whether each body has the fields of its kind and no others: countersign-verify log does that",
    "Sigstore bundles and leaves that are shaped as Rekor's: countersign-verify image checks a release's",
    log.source.names === null &&
      "what else lies in the log's folder: the program looked at that when it made this page",
    ...strays.slice(0, 10).map((name) => `${visible(name)}: no part of the log at this size`),
    strays.length > 10 && `${count(strays.length - 10)} more files that are no part of the log at this size`,
    log.forgotten.length > 0 && `what ${plural(log.forgotten.length, "forgotten entry", "forgotten entries")} said`,
    log.forgotten.length > 0 && "whether those who ordered that signed it: countersign-verify log looks at their signatures",
  ].filter(Boolean);
}

function keptForm(log, found) {
  const text = el("textarea", { id: "kept", rows: 5, spellcheck: "false", autocomplete: "off" });
  const file = el("input", {
    id: "keptfile",
    type: "file",
    onchange: async () =>
      (text.value = file.files[0]
        ? (textOf(new Uint8Array(await file.files[0].slice(0, NOTE_LIMIT + 1).arrayBuffer())) ?? "")
        : text.value),
  });
  const answer = el("div", { role: "status" });
  const submit = async (event) => {
    event.preventDefault();
    answer.replaceChildren();
    try {
      const note = text.value.endsWith("\n") ? text.value : `${text.value}\n`;
      const older = await openCheckpoint("the checkpoint that you gave", utf8(note), log.key);
      const { proof } = begins(log.tree, log.checkpoint, older);
      const unsigned = older.signed ? "" : " Its signature was not checked.";
      answer.append(
        el(
          "p.check.ok",
          {},
          `The log begins with its ${plural(older.size, "entry", "entries")}: ` +
            `shown with ${plural(proof.length, "hash", "hashes")}.${unsigned}`,
        ),
      );
      log.kept.push({ older, proof, from: "the checkpoint that you gave" });
    } catch (error) {
      // A checkpoint that is none says nothing of the log; one that the log does not begin with says that there are two.
      if (error instanceof Broken && error.where === "checkpoint") found(error);
      else answer.append(el("p.check.bad", { role: "alert" }, visible(error.message)));
    }
  };
  return el(
    "form.kept.controls",
    { onsubmit: submit },
    el("label", { for: "kept" }, "A checkpoint that you kept, pasted"),
    text,
    el("label", { for: "keptfile" }, "or its file"),
    file,
    el("button", { type: "submit" }, "Compare"),
    answer,
  );
}

function cosigners(others) {
  if (others.length === 0) return el("p.quiet", {}, "No witness cosigned the checkpoint.");
  return el(
    "ul.plain",
    {},
    others.map(({ name, id }) => el("li", {}, said(name), " ", digest(id), " (not verified here)")),
  );
}

function healthPage(log, found) {
  const { checkpoint, fold } = log;
  const timed = fold.rows.filter((row) => row.at !== null);
  const gaps = fold.gaps.map((gap) => [
    lasted(gap.seconds),
    entryLink(gap.from),
    entryLink(gap.to),
    time(fold.rows[gap.to].at),
  ]);
  const backwards = fold.backwards
    .slice(0, 100)
    .map((b) => [entryLink(b.index), time(b.at), entryLink(b.before.index), time(b.before.at)]);
  const kinds = [...fold.kinds]
    .sort((a, b) => (a[0] < b[0] ? -1 : 1))
    .map(([kind, number]) => [link(`entries?kind=${encodeURIComponent(kind)}`, kind), count(number)]);
  return el(
    "article",
    {},
    el("h1", {}, "The log's health"),
    facts(
      ["Log", said(checkpoint.origin)],
      ["Entries", count(checkpoint.size)],
      ["Root", digest(toBase64(checkpoint.root))],
      ["Signature", checkpoint.signed ? "verified" : "NOT CHECKED"],
      ["Key", digest(MADE.key)],
      timed.length > 0 && ["From", time(timed[0].at)],
      timed.length > 0 && ["To", time(timed.at(-1).at)],
      ["Read and hashed in", `${(log.milliseconds / 1000).toFixed(1)} s`],
      ["Page made by", `${MADE.program}, ${stamp(moment(MADE.made))}`],
    ),
    section(
      "What was checked",
      el(
        "ul.checks.done",
        {},
        checkedLines(log).map((line) => el("li", {}, line)),
      ),
    ),
    section(
      "What was not checked",
      el(
        "ul.checks.undone",
        {},
        uncheckedLines(log).map((line) => el("li", {}, line)),
      ),
    ),
    section(
      "Since you last saw it",
      el(
        "p",
        {},
        "Keep the checkpoint below, elsewhere. Next time it shows whether the log was rewritten or rolled back.",
      ),
      keptForm(log, found),
    ),
    section(
      "Checkpoint",
      el(
        "pre",
        { tabindex: 0, role: "region", "aria-label": "Checkpoint" },
        el(
          "code",
          {},
          checkpoint.note.split("\n").map((line) => [visible(line), "\n"]),
        ),
      ),
    ),
    section("Witnesses", cosigners(checkpoint.others)),
    section("Kinds of entries", table("Entries of each kind", ["Kind", "Entries"], kinds)),
    section(
      "Time",
      backwards.length > 0
        ? table("Entries that are dated before the one they follow", ["Entry", "Dated", "Follows", "Dated"], backwards)
        : el("p", {}, "Time never goes backwards."),
      gaps.length > 0 && table("The longest silences", ["How long", "From", "To", "Ended"], gaps),
    ),
    section(
      "Forgotten",
      log.forgotten.length === 0
        ? el("p.quiet", {}, "No entry's body was forgotten.")
        : el(
            "ul.plain",
            {},
            log.forgotten.slice(0, 200).map((index) => el("li", {}, entryLink(index))),
          ),
    ),
  );
}
