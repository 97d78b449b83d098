// A promotion's story, from evidence to release. What is shown here was read and hashed again for it.

/** A moment that stands in a body. */
const when = (text) => (moment(text) === null ? said(text) : time(moment(text)));

function terms(t) {
  return facts(
    ["Image", digest(t.digest)],
    ["To", said(t.repository)],
    ["As", said(texts(t.tags).join(", "))],
    ["Before", digest(t.previous)],
    ["Level", said(t.level)],
    ["Decided", when(t.decided)],
    ["Holds until", when(t.expires)],
    ["Branch last looked at", when(t.branchChecked)],
    ["Rules", digest(t.rules)],
    ["Rests on facts", digest(t.facts)],
    ["and comparisons", texts(t.comparisons).map((d) => digest(d))],
  );
}

function differences(caption, list, total, sides) {
  if (!Array.isArray(list) || list.length === 0) return null;
  const rows = list.map((d) => [said(d.path), said(d.kind), said(d.rebuild), said(d.candidate)]);
  const more =
    total > list.length
      ? el("p.quiet", {}, `${count(total)} in all; the log lists the first ${count(list.length)}.`)
      : null;
  return [table(`${caption}: ${count(total)}`, ["Path", "What differs", ...sides], rows), more];
}

/** The differences that a comparison or a refusal lists; null when it lists none. */
function differing(says) {
  const both = [
    differences("How CI's image differs from the rebuild", says.differences, says.differencesTotal, [
      "Rebuild",
      "CI's",
    ]),
    differences("How two runs of the recipe differ", says.runDifferences, says.runDifferencesTotal, [
      "First run",
      "Second run",
    ]),
  ].filter(Boolean);
  return both.length > 0 ? both : null;
}

function reasons(list) {
  return el(
    "ul.why",
    {},
    texts(list).map((reason) => el("li", {}, el("h3", {}, said(reason.code)), saidLines(reason.message))),
  );
}

function evidence(says) {
  const p = statementIn(says.envelope)?.predicate;
  if (!p) return null;
  const rows = texts(p.results).map((r) => [
    said(r.run),
    said(r.result),
    said(texts(r.passed).join(", ")),
    said(texts(r.failed).join(", ") || "none"),
    when(r.finished),
  ]);
  return section(
    "Evidence",
    facts(
      ["Source", said(p.source)],
      ["Branch", said(p.branch), " (", said(p.position), ")"],
      ["Branch was rewritten", p.rewritten ? "yes" : "no"],
      ["Commit signed by", p.commitSignature ? said(p.commitSignature.principal) : "nobody that is listed"],
      ["Candidate", digest(p.candidate)],
      ["Recipe", digest(p.recipe)],
      ["Dossier", digest(p.dossier)],
      ["Bases", texts(p.bases).map((base) => tree(base))],
      texts(p.unusable).length > 0 && ["Not usable", saidLines(p.unusable.join("\n"))],
    ),
    rows.length > 0 && table("Test results", ["Run", "Result", "Passed", "Failed", "Finished"], rows),
  );
}

function provenance(says, told) {
  const c = statementIn(says.comparison)?.predicate;
  const p = statementIn(says.provenance)?.predicate;
  const list = (items) => said(texts(items).join(", ") || "nothing");
  return section(
    "Rebuild, provenance and differences",
    facts(
      ["Level", said(says.level)],
      ["Rebuild", digest(says.rebuild)],
      c && ["CI's image", digest(c.candidate)],
      c && ["Two runs", c.runs?.equal ? "the same tree came out" : "different trees came out"],
      c && ["What varied", list(c.runs?.varied)],
      c && ["What could not vary", list(c.runs?.notVaried)],
      c && ["Sandbox", said(`${c.sandbox?.runtime} ${c.sandbox?.version} (${c.sandbox?.verdict})`)],
      c && ["Not enforced", list(c.sandbox?.notEnforced)],
      c && ["Builder host", said(c.builder)],
      p && ["Built by", said(p.runDetails?.builder?.id)],
      p && ["Built", when(p.runDetails?.metadata?.startedOn), " to ", when(p.runDetails?.metadata?.finishedOn)],
      p && ["Recipe", said(p.buildDefinition?.externalParameters?.recipe)],
      p && [
        "Made from",
        el(
          "ul.plain",
          {},
          texts(p.buildDefinition?.resolvedDependencies).map((d) =>
            el("li", {}, said(d.name), " ", digest(Object.values(d.digest ?? {})[0])),
          ),
        ),
      ],
    ),
    told ? null : (differing(c ?? {}) ?? el("p.quiet", {}, "No differences are listed.")),
  );
}

/** The sections that an entry adds to its promotion's story. */
function chapter({ kind, says }, refusal) {
  if (!says) return null;
  if (kind === "facts") return evidence(says);
  if (kind === "rebuild") return provenance(says, refusal && differing(refusal.says));
  if (kind === "permit") return section("Permit", terms(says.terms ?? {}));
  if (kind === "failed")
    return section(
      "A room could not do its part",
      el("p", {}, el("b", {}, said(says.failure?.code))),
      saidLines(says.failure?.message ?? ""),
    );
  if (kind === "refusal") {
    return section("Why it was refused", reasons(says.reasons), differing(says));
  }
  if (kind === "release") {
    return section(
      "Release",
      facts(
        ["Image", digest(says.digest)],
        ["Where", said(says.repository)],
        ["Tags", said(texts(says.tags).join(", "))],
        ["Before", digest(says.previous)],
        ["Permit", entryLink(says.permit)],
        ["Attached", texts(says.referrers).map((d) => digest(d))],
      ),
    );
  }
  return null;
}

/** The latest of each kind tells; failures are all told. */
function chapters(entries) {
  const newest = new Map();
  entries.forEach((entry) => entry.kind !== "failed" && newest.set(entry.kind, entry));
  // Why it was refused comes first; the rest from evidence to release.
  const told = ["refusal", "facts", "rebuild", "permit", "release"]
    .map((kind) => newest.get(kind))
    .filter((entry) => entry?.says);
  return [...entries.filter((entry) => entry.kind === "failed"), ...told].map((entry) =>
    chapter(entry, newest.get("refusal")),
  );
}

/** Whether the image key signed that the image may be named as a release says; as `audit/src/released.rs` has it. */
function vouched(release, entries, checked) {
  const { digest, repository, tags, permit } = release.says;
  const claims = entries.map(({ kind, says }, n) => {
    const statement = kind === "signature" && says ? jsonIn(says.payload) : null;
    const [subject, ...more] = texts(statement?.subject);
    const a = subject?.annotations ?? {};
    const same =
      statement?.predicateType === "https://sigstore.dev/cosign/sign/v1" &&
      more.length === 0 &&
      `sha256:${subject?.digest?.sha256}` === digest &&
      a.repository === repository &&
      a.tags === texts(tags).join(",") &&
      a.permit === String(permit);
    return same && entries[n].index < release.index ? checked[n][0][2] : false;
  });
  if (claims.includes(true)) return el("p.check.ok", {}, "The image key signed that this image may be named so.");
  if (claims.includes(null))
    return el("p.check.not", {}, "Whether the image key vouches for it was not checked: this browser can't.");
  return el("p.check.bad", {}, "The image key does NOT vouch for this release. It counts for nothing.");
}

/** The statement that a signature is over, in a word. */
const signedWhat = ({ kind, says }) =>
  kind === "signature" && says ? said(jsonIn(says.payload)?.predicateType ?? says.payloadType, "p.said") : null;

async function storyPage(log, id) {
  const meant = log.fold.stories.filter(
    (story) => story.id.replace("sha256:", "").startsWith(id.replace("sha256:", "")) || story.commit.startsWith(id),
  );
  const story = id.length >= 4 ? meant.at(-1) : null;
  if (!story)
    return el("div", {}, el("h1", {}, "No such promotion"), el("p", {}, link("promotions", "All promotions")));
  const entries = [];
  for (const index of story.entries.slice(0, 500)) entries.push(await reread(log, index));
  const checked = await Promise.all(entries.map((entry) => (entry.says ? signatures(entry) : [])));
  let before = null;
  const steps = entries.map((entry, n) => {
    const row = log.fold.rows[entry.index];
    const after = before !== null && row.at !== null ? (row.at - before) / 1000 : null;
    before = row.at ?? before;
    return el(
      "li",
      {},
      el(
        "div.when",
        {},
        row.at === null ? "" : time(row.at),
        after === null ? null : el("span.after", {}, ` +${lasted(after)}`),
      ),
      el(
        "div.what",
        {},
        el("h3", {}, entryLink(entry.index, el("span.kind", {}, entry.kind))),
        said(row.words, "p.said"),
        signedWhat(entry),
        signedLines(checked[n]),
        entry.kind === "release" && entry.says && vouched(entry, entries, checked),
      ),
    );
  });
  const took = story.ended === null ? null : (story.ended - story.first) / 1000;
  return el(
    "article",
    {},
    el("p.crumb", {}, link("promotions", "Promotions")),
    el("h1", {}, said(story.project), " ", badge(story.stage)),
    facts(
      ["Commit", digest(story.commit)],
      ["Promotion", digest(story.id)],
      ["Lane", said(story.lane), story.trial ? " (trial: the perimeter was started by an ordinary user)" : ""],
      ["Began", time(story.first)],
      took !== null && ["Took", lasted(took)],
      story.persons.size > 0 && ["Persons", said([...story.persons].join(", "))],
      story.stage === "released" && ["Image", said(story.repository), " ", digest(story.digest)],
      story.tags.length > 0 && ["Tags", said(story.tags.join(", "))],
    ),
    story.entries.length > entries.length &&
      el("p.check.not", {}, `The first ${entries.length} of ${count(story.entries.length)} entries are shown.`),
    section("What happened", el("ol.timeline", {}, steps)),
    chapters(entries),
  );
}
