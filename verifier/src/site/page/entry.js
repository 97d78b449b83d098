// One entry: its bytes read again, who signed what it carries, and the proof that it is in the log.

/** An entry's bytes, read again: they must be those that were verified. */
async function reread(log, index) {
  const part = Math.floor(index / WIDTH);
  // A story's entries are neighbours: one part is kept, and no more.
  if (log.part?.n !== part)
    log.part = { n: part, entries: await readPart(await log.source.open(part, 1), part, log.tree.size) };
  const entry = log.part.entries[index % WIDTH];
  if (!same(entry.hash, log.tree.leaf(index)))
    throw new Broken(`entry ${index}`, "it is not the one that was verified: it was changed");
  return entry;
}

/** Who signed what an entry carries, by the keys that the page was made with. */
async function signatures({ index, kind, says }) {
  const { image, intake, comparers } = MADE.keys;
  const envelope = async (name, base64, keys, whose) => {
    const dsse = jsonIn(base64);
    const [payload, signature] = [fromBase64(dsse?.payload ?? "?"), fromBase64(dsse?.signatures?.[0]?.sig ?? "?")];
    const one = payload && signature && dsse.signatures.length === 1;
    return [
      name,
      whose,
      one ? await signedByOne(keys, signature, preAuthentication(dsse.payloadType, payload)) : false,
    ];
  };
  if (kind === "facts") return [await envelope("The facts", says.envelope, intake, "intake's key")];
  if (kind === "rebuild") {
    return [
      await envelope("The comparison", says.comparison, comparers, "a comparer's key"),
      await envelope("The provenance", says.provenance, comparers, "a comparer's key"),
    ];
  }
  if (kind !== "signature") return [];
  const [payload, signature] = [fromBase64(says.payload), fromBase64(says.signature)];
  const message =
    says.payloadType === "application/vnd.in-toto+json" ? preAuthentication(says.payloadType, payload) : payload;
  // A key counts for the entries of its time: outside of it, whoever has it now is not known.
  const inForce = image.filter(({ from, until }) => from <= index && (until === null || index < until));
  const [{ from, until } = {}] = inForce;
  const time = until ? `entries ${count(from)} to ${count(until - 1)}` : `entries ${count(from ?? 0)} and later`;
  const whose = image.length > 1 && inForce.length > 0 ? `the image key that is in force for ${time}` : "the image key";
  const known = payload && signature && (inForce.length > 0 || image.length === 0);
  return [["What is signed here", whose, known ? await signedByOne(inForce, signature, message) : false]];
}

const signedLines = (list) =>
  list.map(([what, whose, ok]) =>
    ok === true
      ? el("p.check.ok", {}, `${what}: signed with ${whose}.`)
      : ok === false
        ? el("p.check.bad", {}, `${what}: NOT signed with ${whose}. This entry counts for nothing.`)
        : el("p.check.not", {}, `${what}: signature not checked: the page has no ${whose}, or this browser can't.`),
  );

async function entryPage(log, index) {
  const { size } = log.tree;
  if (!(Number.isSafeInteger(index) && index >= 0 && index < size)) {
    return el(
      "div",
      {},
      el("h1", {}, "No such entry"),
      el("p", {}, `The log has ${plural(size, "entry", "entries")}, from 0. `, link("entries", "All entries")),
    );
  }
  const entry = await reread(log, index);
  const row = log.fold.rows[index];
  const proof = log.tree.proveInclusion(index);
  if (
    !provesInclusion(
      entry.hash,
      index,
      size,
      proof.map((step) => step.hash),
      log.checkpoint.root,
    )
  ) {
    throw new Broken(`entry ${index}`, "no proof leads from it to the root");
  }
  const steps = proof.map((step, n) => [
    String(n + 1),
    step.left ? "left" : "right",
    `${count(step.from)} to ${count(step.to - 1)}`,
    digest(toBase64(step.hash)),
  ]);
  return el(
    "article",
    {},
    el(
      "p.crumb",
      {},
      link("entries", "Entries"),
      row.story && [" of ", link(`promotion/${short(row.story.id)}`, said(row.story.project))],
    ),
    el("h1", {}, `Entry ${count(index)} `, el("span.kind", {}, entry.kind)),
    el(
      "nav.pager",
      { "aria-label": "Neighbours" },
      index > 0 && entryLink(index - 1, `← ${count(index - 1)}`),
      index + 1 < size && entryLink(index + 1, `${count(index + 1)} →`),
    ),
    el(
      "p.check.ok",
      {},
      `In the log: ${plural(proof.length, "hash leads", "hashes lead")} from this entry to the root of the checkpoint.`,
    ),
    entry.body
      ? el("p.check.ok", {}, "Its body and salt are those that the entry commits to.")
      : entry.kind !== "rekor" &&
          el(
            "p.check.not",
            {},
            "Its body and salt were forgotten, as a later entry says: what it said can't be known, that it was here can.",
          ),
    signedLines(entry.says ? await signatures(entry) : []),
    entry.says && section("What it says", tree(entry.says)),
    section(
      "Proof",
      facts(
        ["Entry's bytes", digest(toHex(entry.leaf.subarray(0, 512)) + (entry.leaf.length > 512 ? "…" : ""))],
        ["Entry's hash", digest(toBase64(entry.hash))],
        entry.salt && ["Salt", digest(toHex(entry.salt))],
        ["Root", digest(toBase64(log.checkpoint.root))],
      ),
      steps.length > 0 && table("From the entry to the root", ["Step", "Side", "Covers entries", "Hash"], steps),
    ),
    entry.body &&
      section(
        "Raw body",
        el("p.quiet", {}, plural(entry.body.length, "byte")),
        el(
          "pre",
          { tabindex: 0, role: "region", "aria-label": "Raw body" },
          el("code", {}, visible(textOf(entry.body))),
        ),
      ),
  );
}
