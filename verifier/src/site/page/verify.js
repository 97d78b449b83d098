// Verifying a whole log, as `countersign-verify log` does: everything is hashed, or nothing is shown.

const KINDS = [
  null,
  "opened",
  "facts",
  "rebuild",
  "permit",
  "refusal",
  "failed",
  "attempt",
  "signature",
  "bundle",
  "release",
  "posture",
  "halted",
  "order",
  "configuration",
  "forgotten",
  "collected",
  "revocation",
  "rotation",
  "resigning",
];
const DOMAIN = utf8("countersign-entry@v1\n");

// A page holds a row for each entry. For more there is the program.
const PAGE_LIMIT = 4e6;

let breath = 0;

/** Lets the browser paint and answer, when this slice has taken its time. */
async function breathe() {
  if (performance.now() - breath < 12) return;
  await new Promise((resolve) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = resolve;
    channel.port2.postMessage(null);
  });
  breath = performance.now();
}

/** JSON with one spelling (RFC 8785), whose rules are those of JavaScript. */
function canonical(value) {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  const fields = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`);
  return `{${fields.join(",")}}`;
}

/** What a leaf is: one of ours with the digest of its body, or one shaped as Rekor's. */
function parseLeaf(index, leaf) {
  const where = `entry ${index}`;
  if (leaf[0] === 0x7b) {
    let value = null;
    try {
      value = JSON.parse(textOf(leaf));
    } catch {
      // Said below.
    }
    const shaped = typeof value?.kind === "string" && typeof value.apiVersion === "string" && value.spec !== null;
    if (!shaped || typeof value.spec !== "object" || Array.isArray(value.spec)) {
      throw new Broken(where, "a leaf that is shaped neither as ours nor as Rekor's");
    }
    return { kind: "rekor", value };
  }
  const kind = KINDS[leaf[0]];
  if (!kind || leaf[1] !== 1) {
    throw new Broken(
      where,
      `a leaf of kind ${leaf[0]}, version ${leaf[1]}, which this page does not know: make it with a newer program`,
    );
  }
  if (leaf.length !== 34) throw new Broken(where, `a leaf of ${leaf.length} bytes: ours have 34`);
  return { kind, digest: leaf.slice(2), hex: toHex(leaf.subarray(2)) };
}

/** What is hashed for a body. */
const committed = (salt, body) => concat(DOMAIN, eightBytes(32), salt, eightBytes(body.length), body);

/** The body that an entry says, once its bytes are those that were committed to. */
function parseBody(index, kind, bytes) {
  const text = textOf(bytes);
  let value = null;
  let spelled = false;
  try {
    value = JSON.parse(text);
    spelled = canonical(value) === text;
  } catch {
    // Said below.
  }
  if (!spelled || value === null || typeof value !== "object" || value.kind !== kind) {
    throw new Broken(`entry ${index}`, `its body is not canonical JSON of the kind ${kind}`);
  }
  return value;
}

async function readPack(read, n) {
  const bytes = await read(packPath(n), WIDTH * (4 + 32 + PACKED_LIMIT));
  const slots = bytes && splitPack(bytes);
  if (bytes && !slots) throw new Broken(packPath(n), "not a pack of 256 bodies: it was cut or changed");
  return slots;
}

/** Salt and body of each of our leaves of a bundle, hashed: {salt, body}, or null when they are gone. */
async function readBodies(read, n, leaves, full) {
  const packed = full ? await readPack(read, n) : null;
  if (full && !packed) throw new Broken(packPath(n), "missing");
  const found = await Promise.all(
    leaves.map(async (leaf, at) => {
      const index = n * WIDTH + at;
      if (leaf.kind === "rekor") {
        if (packed?.[at]) throw new Broken(packPath(n), `a body for entry ${index}, which has none`);
        return null;
      }
      const path = `body/${leaf.hex}`;
      const apart = packed?.[at] ? null : await read(path, 32 + BODY_LIMIT);
      if (apart && apart.length < 32)
        throw new Broken(path, `shorter than a salt: it was cut (the body of entry ${index})`);
      if (apart && full && apart.length <= 32 + PACKED_LIMIT)
        throw new Broken(path, `lies apart, and must be in ${packPath(n)} (entry ${index})`);
      // A keeper may have filled the bundle since.
      const bytes = packed?.[at] ?? apart ?? (full ? null : (await readPack(read, n))?.[at]) ?? null;
      return (
        bytes && {
          index,
          path: bytes === apart ? path : packPath(n),
          salt: bytes.subarray(0, 32),
          body: bytes.subarray(32),
        }
      );
    }),
  );
  const there = found.filter(Boolean);
  const hashes = await sha256All(there.map(({ salt, body }) => committed(salt, body)));
  there.forEach(({ index, path }, at) => {
    if (!same(hashes[at], leaves[index - n * WIDTH].digest)) {
      throw new Broken(
        `entry ${index}`,
        `the body or its salt is not the one that the log commits to: ${path} was changed`,
      );
    }
  });
  return found;
}

/** The entries of a bundle with what they say, each hash compared with the tile's. */
async function readPart(read, n, size) {
  const width = widthOf(0, n, size);
  const [bundle, entries] = await readBundle(read, n, width);
  const [tile, hashes] = await readTile(read, 0, n, width);
  const own = entries.slice(0, width).map(leafHash);
  own.forEach((hash, at) => {
    if (!same(hash, hashes.subarray(32 * at, 32 * at + 32))) {
      throw new Broken(bundle, `entry ${n * WIDTH + at} is not the one that ${tile} has: one of the two was changed`);
    }
  });
  const leaves = entries.slice(0, width).map((leaf, at) => parseLeaf(n * WIDTH + at, leaf));
  const bodies = await readBodies(read, n, leaves, width === WIDTH);
  return leaves.map((leaf, at) => {
    const index = n * WIDTH + at;
    const says = bodies[at] ? parseBody(index, leaf.kind, bodies[at].body) : (leaf.value ?? null);
    return { index, kind: leaf.kind, leaf: entries[at], hash: own[at], hex: leaf.hex, says, ...bodies[at] };
  });
}

/** Verifies all of a log. `step` gets each entry, in order; what it has seen counts only when this has returned. */
async function verifyLog(source, key, since, step, progress) {
  if (!(await selfCheck())) throw new Broken("the page", "its SHA-256 is not the browser's");
  const head = await source.open("log");
  const note = await head("checkpoint", NOTE_LIMIT);
  if (!note) throw new Broken("checkpoint", "missing");
  const checkpoint = await openCheckpoint("checkpoint", note, key);
  const { size } = checkpoint;
  if (size > PAGE_LIMIT)
    throw new Broken("checkpoint", `${size} entries are more than a page holds: use countersign-verify log`);
  const tree = new Tree(size);
  const compare = async (level, n) => {
    const expected = tree.tile(level, n);
    const [path, hashes] = await readTile(head, level, n, expected.length / 32);
    if (!same(hashes, expected)) throw new Broken(path, "not the hashes of the entries: it was changed");
  };
  const seen = { bodies: new Set(), gone: new Map(), ordered: new Map(), forgotten: [], newest: -Infinity };
  for (let n = 0; n * WIDTH < size; n++) {
    for (const entry of await readPart(await source.open(n), n, size)) {
      for (const [level, number] of tree.push(entry.hash)) if (level > 0) await compare(level, number);
      if (entry.says && entry.hex) seen.bodies.add(entry.hex);
      forgetting(seen, entry);
      ticking(seen, entry);
      step(entry);
      await breathe();
    }
    progress(Math.min(size, (n + 1) * WIDTH), size);
  }
  for (let level = 1; level < tree.levels.length; level++) {
    const { filled } = tree.levels[level];
    if (filled % WIDTH > 0) await compare(level, Math.floor(filled / WIDTH));
  }
  if (!same(tree.root(), checkpoint.root)) {
    throw new Broken(
      "checkpoint",
      "its root is not the one over the entries that lie here: entries were changed, or it was",
    );
  }
  for (const { index, hex } of seen.gone.values()) {
    throw new Broken(
      `body/${hex}`,
      `missing (the body of entry ${index}), and no later entry says that it was forgotten by an order`,
    );
  }
  const strays = await sweep(source, tree, seen.bodies);
  const kept = since.map((older) => ({ older, ...begins(tree, checkpoint, older) }));
  return { checkpoint, tree, strays, kept, forgotten: seen.forgotten, bodies: seen.bodies.size };
}

// Rooms say when they began, and clocks are put right by a little; as `audit/src/clock.rs` has it, in milliseconds.
const SLACK = 600e3;

/** Takes the next entry: it may not be dated back. */
function ticking(seen, { index, kind, says }) {
  const at = kind === "rekor" ? null : atOf(says);
  if (at === null) return;
  if (at + SLACK < seen.newest) {
    const what = `it is dated ${stamp(at)}, and an entry before it ${stamp(seen.newest)}`;
    throw new Broken(`entry ${index}`, `time goes backwards: ${what}: it was dated back, or a clock was turned back`);
  }
  seen.newest = Math.max(seen.newest, at);
}

// What was decided, signed and released never goes, whatever an entry says.
const MAY_BE_FORGOTTEN = ["facts", "failed", "halted", "configuration"];

/**
 * Takes the next entry: a body that is gone must be named by a later entry that says it was forgotten, and that by an order of
 * the very same entries. Whose signatures the order carries is not looked at here.
 */
function forgetting(seen, entry) {
  if (entry.kind !== "rekor" && !entry.says) seen.gone.set(entry.index, entry);
  if (entry.kind === "order") seen.ordered.set(entry.index, toForget(entry.says));
  if (entry.kind !== "forgotten" || !Array.isArray(entry.says?.indexes)) return;
  const ordered = seen.ordered.get(entry.says.order);
  seen.ordered.delete(entry.says.order);
  if (!ordered || JSON.stringify(ordered) !== JSON.stringify(entry.says.indexes)) return;
  for (const index of entry.says.indexes) {
    if (!MAY_BE_FORGOTTEN.includes(seen.gone.get(index)?.kind)) continue;
    seen.gone.delete(index);
    seen.forgotten.push(index);
  }
}

/** The entries that an order says are to be forgotten; null, when it says something else. */
function toForget(says) {
  try {
    const indexes = JSON.parse(textOf(fromBase64(says.statement))).action.forget.indexes;
    return Array.isArray(indexes) ? indexes : null;
  } catch {
    return null;
  }
}

/** Shows that the log begins with what an older checkpoint of it says. */
function begins(tree, checkpoint, older) {
  if (older.size > tree.size) {
    throw new Broken(
      "checkpoint",
      `the log has ${tree.size} entries, and the checkpoint that was kept has ${older.size}: it was rolled back`,
    );
  }
  const proof = tree.proveConsistency(older.size);
  if (!provesConsistency([older.size, older.root], [tree.size, checkpoint.root], proof)) {
    throw new Broken(
      "checkpoint",
      `the log does not begin with the ${older.size} entries of the checkpoint that was kept: ` +
        "it was rewritten, or there are two",
    );
  }
  return { proof };
}

/** What else a picked folder holds. Older partial files must say what the present ones begin with; the rest is named. */
async function sweep(source, tree, bodies) {
  const strays = [];
  const read = await source.open("log");
  for (const name of source.names ?? []) {
    if (name === "checkpoint") continue;
    const [, level, number, width] =
      /^tile\/(entries|[0-9]+)\/((?:x[0-9]{3}\/)*[0-9]{3})(?:\.p\/([0-9]+))?$/.exec(name) ?? [];
    const n = Number((number ?? "").replace(/[x/]/g, ""));
    const own = Number(width ?? WIDTH);
    const spelled = level === "entries" ? bundlePath(n, own) : tilePath(level, n, own);
    const present = widthOf(level === "entries" ? 0 : Number(level ?? 0), n, tree.size);
    const pack = /^body\/((?:x[0-9]{3}\/)*[0-9]{3})$/.exec(name);
    if (level !== undefined && spelled === name && own > 0 && own < present) {
      await older(read, name, level, n, own, present);
    } else if (!(level !== undefined && spelled === name && own === present)) {
      const packed = pack && Number(pack[1].replace(/[x/]/g, "")) < Math.floor(tree.size / WIDTH);
      if (!packed && !(name.startsWith("body/") && bodies.has(name.slice(5)))) strays.push(name);
    }
    await breathe();
  }
  return strays;
}

async function older(read, name, level, n, width, present) {
  const whole =
    level === "entries" ? await readBundle(read, n, present) : await readTile(read, Number(level), n, present);
  const bytes = await read(name, WIDTH * (2 + ENTRY_LIMIT));
  const begins =
    level === "entries"
      ? splitBundle(bytes, width)?.every((entry, at) => same(entry, whole[1][at]))
      : bytes.length === 32 * width && same(bytes, whole[1].subarray(0, bytes.length));
  if (!begins) throw new Broken(name, `not what ${whole[0]} begins with: one of the two was changed`);
}
