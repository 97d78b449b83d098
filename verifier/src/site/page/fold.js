// What happened: a row for each entry and a story for each promotion, folded from the entries in their order. Rows keep a
// few words; whoever opens one has its bytes read and hashed again.

const STAGES = ["released", "refused", "permitted", "rebuilt", "prepared", "opened"];

/** A moment as the log spells it, in milliseconds; null when it is none. */
function moment(text) {
  return typeof text === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text) ? Date.parse(text) : null;
}

const atOf = (says) => moment(says?.at ?? says?.terms?.decided);

/** The JSON in base64; null when it is none. */
function jsonIn(base64) {
  try {
    return JSON.parse(textOf(fromBase64(base64)));
  } catch {
    return null;
  }
}

/** The statement in an envelope that stands in base64; null when there is none. */
const statementIn = (base64) => jsonIn(jsonIn(base64)?.payload);

const short = (digest) =>
  String(digest ?? "")
    .replace(/^sha256:/, "")
    .slice(0, 12);
const texts = (list) => (Array.isArray(list) ? list : []);

/** An entry in a few words. */
function wordsOf(kind, b) {
  switch (kind) {
    case "opened":
      return `${short(b.commit)} of ${b.project}, ${b.candidate ? `candidate ${short(b.candidate)}` : "no candidate"}`;
    case "facts":
      return `dossier ${short(b.dossier)}, ${plural(texts(b.results).length, "test result")}`;
    case "rebuild":
      return `${b.level}: ${short(b.rebuild)}`;
    case "permit":
      return `${short(b.terms?.digest)} to ${b.terms?.repository} as ${texts(b.terms?.tags).join(", ")}, until ${b.terms?.expires}`;
    case "refusal":
      return texts(b.reasons)
        .map((reason) => reason?.code)
        .join(", ");
    case "failed":
    case "halted":
      return `${b.failure?.code}: ${b.failure?.message}`;
    case "attempt":
      return `${short(b.id)} under the permit at ${b.permit}: ${plural(texts(b.statements).length, "statement")}`;
    case "signature":
      return `${b.payloadType} with key ${short(b.key)} (kept in: ${b.keyKept})`;
    case "bundle":
      return `${b.predicateType} over ${short(b.subject)}`;
    case "release":
      return `${b.repository}@${b.digest}`;
    case "posture":
      return plural(texts(b.hellos).length, "room");
    case "rekor":
      return "a signature as Rekor writes it";
    default:
      return Object.entries(b)
        .filter(([key, value]) => key !== "kind" && key !== "at" && typeof value !== "object")
        .map(([key, value]) => `${key} ${value}`)
        .join(", ");
  }
}

/** Every short text in a body, to search in; and the persons that it names. */
function gather(value, found, key = "", depth = 0) {
  if (typeof value === "string") {
    if (value.length <= 300) found.texts.push(value);
    if (/^(principal|principals|person|approver|author)$/.test(key)) found.persons.add(value);
  } else if (value !== null && typeof value === "object" && depth < 8) {
    for (const [name, inner] of Object.entries(value))
      gather(inner, found, Array.isArray(value) ? key : name, depth + 1);
  }
}

class Story {
  constructor(index, says, at) {
    Object.assign(this, {
      id: says.promotion,
      project: String(says.project),
      commit: String(says.commit),
      lane: String(says.lane),
    });
    Object.assign(this, {
      trial: says.trial === true,
      candidate: says.candidate ?? null,
      first: at,
      last: at,
      ended: null,
    });
    Object.assign(this, {
      entries: [],
      stage: "opened",
      digest: null,
      repository: null,
      tags: [],
      reasons: [],
      level: null,
    });
    Object.assign(this, { persons: new Set(), signed: false, expires: null, failures: 0, index });
  }

  apply(kind, says, at) {
    const ended = this.stage === "released" || this.stage === "refused";
    this.last = at ?? this.last;
    if (kind === "facts" && !ended) this.stage = "prepared";
    if (kind === "rebuild") {
      this.level = String(says.level);
      if (!ended) this.stage = "rebuilt";
    }
    if (kind === "permit") {
      Object.assign(this, { signed: false, expires: moment(says.terms?.expires), digest: says.terms?.digest ?? null });
      if (!ended) this.stage = "permitted";
    }
    if (kind === "signature") this.signed = true;
    if (kind === "failed") this.failures++;
    if (kind === "refusal") {
      Object.assign(this, {
        stage: "refused",
        ended: at,
        reasons: texts(says.reasons).map((reason) => String(reason?.code)),
      });
    }
    if (kind === "release") {
      Object.assign(this, { stage: "released", ended: at, digest: says.digest, repository: String(says.repository) });
      this.tags = texts(says.tags).map(String);
    }
  }

  /** A permit that ran out unsigned is decided anew: then the promotion is where it was before. */
  settle(now) {
    if (this.stage === "permitted" && !this.signed && !(now < this.expires)) this.stage = "rebuilt";
    this.hay = [
      this.project,
      this.commit,
      this.id,
      this.candidate,
      this.digest,
      this.repository,
      this.level,
      this.lane,
      this.stage,
      ...this.tags,
      ...this.reasons,
      ...this.persons,
    ]
      .filter(Boolean)
      .join("\n")
      .toLowerCase();
  }
}

/** The fold over a log. */
class Fold {
  constructor() {
    Object.assign(this, { rows: [], stories: [], byId: new Map(), kinds: new Map(), persons: new Set() });
    Object.assign(this, { backwards: [], gaps: [], last: null, lastAt: null });
  }

  apply({ index, kind, says }) {
    this.kinds.set(kind, (this.kinds.get(kind) ?? 0) + 1);
    const ours = kind !== "rekor" && says;
    const at = ours ? atOf(says) : null;
    this.#time(index, at);
    // A leaf follows the signature that it belongs to.
    const story = kind === "rekor" ? this.last : this.#story(index, kind, says, at);
    this.last = kind === "signature" || kind === "rekor" ? story : null;
    const row = {
      index,
      kind,
      at,
      story,
      words: ours || kind === "rekor" ? wordsOf(kind, says) : "forgotten: body and salt are gone",
    };
    const found = { texts: [], persons: new Set() };
    if (ours) {
      const seen = kind === "facts" ? statementIn(says.envelope)?.predicate : null;
      gather(says, found);
      gather(seen, found);
    }
    row.hay = found.texts.join("\n").toLowerCase();
    row.persons = found.persons.size > 0 ? [...found.persons] : null;
    for (const person of found.persons) {
      this.persons.add(person);
      story?.persons.add(person);
    }
    story?.entries.push(index);
    this.rows.push(row);
  }

  #story(index, kind, says, at) {
    const id = says?.promotion;
    if (typeof id !== "string") return null;
    let story = this.byId.get(id) ?? null;
    if (kind === "opened" && !story) {
      story = new Story(index, says, at);
      this.byId.set(id, story);
      this.stories.push(story);
    }
    story?.apply(kind, says, at);
    return story;
  }

  /** Time that goes backwards, and the longest silences. */
  #time(index, at) {
    if (at === null) return;
    if (this.lastAt !== null && at < this.lastAt.at) this.backwards.push({ index, at, before: this.lastAt });
    if (this.lastAt !== null) {
      this.gaps.push({ seconds: (at - this.lastAt.at) / 1000, from: this.lastAt.index, to: index });
      if (this.gaps.length > 64) this.#longest();
    }
    this.lastAt = { index, at };
  }

  #longest() {
    this.gaps.sort((a, b) => b.seconds - a.seconds);
    this.gaps.length = Math.min(5, this.gaps.length);
  }

  async settle(now) {
    this.#longest();
    for (const story of this.stories) {
      story.settle(now);
      await breathe();
    }
    this.projects = [...new Set(this.stories.map((story) => story.project))].sort();
    this.lanes = [...new Set(this.stories.map((story) => story.lane))].sort();
  }
}
