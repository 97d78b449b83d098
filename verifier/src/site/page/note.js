// Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint), and the signatures of statements. What is spelled in
// another way than its format has it is refused, as the program refuses it.

/** Something that is not as recorded: the file or entry, and what is wrong with it. */
class Broken extends Error {
  constructor(where, what) {
    super(`${where}: ${what}`);
    this.where = where;
    this.what = what;
  }
}

const NOTE_LIMIT = 64 << 10;
const ED25519 = 1;

/** A verifier key, `name+keyid+base64(0x01 ‖ key)`. The page was made with it, so it is well-formed. */
function parseKey(text) {
  const [, name, id, base64] = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/.exec(text);
  const typed = fromBase64(base64);
  const own = toHex(sha256(concat(utf8(`${name}\n`), typed))).slice(0, 8);
  if (typed[0] !== ED25519 || typed.length !== 33 || own !== id) throw new Broken("the page", "its key is none");
  return { name, id, raw: typed.slice(1), text };
}

const goodName = (name) => /^[^\s+\p{Cc}]{1,255}$/u.test(name);

/** Reads a note: its text, and who is said to have signed it. */
function parseNote(where, bytes) {
  const refuse = (what) => new Broken(where, `not a signed note: ${what}`);
  const note = bytes.length <= NOTE_LIMIT ? textOf(bytes) : null;
  if (note === null) throw refuse("too long, or no text");
  if (/[\u0000-\u0009\u000b-\u001f]/.test(note)) throw refuse("a control character");
  const end = note.lastIndexOf("\n\n");
  if (end < 0 || !note.endsWith("\n"))
    throw refuse("no empty line before the signatures, or the last line does not end");
  const signatures = note
    .slice(end + 2, -1)
    .split("\n")
    .map((line) => {
      const [, name, base64] = /^— ([^ ]+) ([^ ]+)$/.exec(line) ?? [];
      const bytes = base64 && fromBase64(base64);
      if (!bytes || bytes.length < 4 || !goodName(name) || toBase64(bytes) !== base64) {
        throw refuse("a line after the text is no signature");
      }
      return { name, id: toHex(bytes.subarray(0, 4)), signature: bytes.slice(4) };
    });
  return { text: note.slice(0, end + 1), signatures, note };
}

/** Whether an Ed25519 key signed a message; null where the browser can't tell. */
async function signedEd25519(raw, signature, message) {
  if (!SUBTLE) return null;
  let key;
  try {
    key = await SUBTLE.importKey("raw", raw, { name: "Ed25519" }, false, ["verify"]);
  } catch {
    return null;
  }
  return SUBTLE.verify({ name: "Ed25519" }, key, signature, message);
}

/** Opens a checkpoint that this log has signed. `signed` is null where signatures can't be checked. */
async function openCheckpoint(where, bytes, key) {
  const note = parseNote(where, bytes);
  const lines = note.text.slice(0, -1).split("\n");
  const [origin, sizeText, rootText] = lines;
  const size = Number(sizeText);
  const root = rootText === undefined ? null : fromBase64(rootText);
  const sound =
    lines.length === 3 &&
    /^(0|[1-9][0-9]{0,15})$/.test(sizeText) &&
    size <= SIZE_LIMIT &&
    root?.length === 32 &&
    toBase64(root) === rootText &&
    (size === 0) === same(root, EMPTY_ROOT);
  const ours = note.signatures.filter((line) => line.name === key.name && line.id === key.id);
  if (ours.length !== 1) {
    const found =
      lines[0] === key.name ? "" : `, and its first line names ${JSON.stringify(visible(lines[0]).slice(0, 80))}`;
    const what = ours.length === 0 ? "carries no signature of" : "carries more than one signature of";
    throw new Broken(where, `the checkpoint ${what} ${key.name}+${key.id}${found}: another log's, or another key's`);
  }
  const signed = await signedEd25519(key.raw, ours[0].signature, utf8(note.text));
  if (signed === false) {
    throw new Broken(
      where,
      `the signature of ${key.name} does not verify: its text was changed, or another key signed it`,
    );
  }
  if (!sound)
    throw new Broken(where, "not a checkpoint: three lines, the log's name, its size and its root, are expected");
  if (origin !== key.name) {
    throw new Broken(
      where,
      `a checkpoint of ${JSON.stringify(visible(origin).slice(0, 80))}, and ${key.name} is expected`,
    );
  }
  const others = note.signatures.filter((line) => line !== ours[0]);
  return { origin, size, root, signed, note: note.note, others };
}

/** What a DSSE envelope's signature is over. */
function preAuthentication(type, payload) {
  return concat(utf8(`DSSEv1 ${utf8(type).length} ${type} ${payload.length} `), payload);
}

/** An ECDSA signature as r ‖ s, which browsers take, from DER, which everybody else writes; null when it is none. */
function rawSignature(der) {
  const raw = new Uint8Array(64);
  if (der[0] !== 0x30 || der[1] !== der.length - 2) return null;
  let at = 2;
  for (const end of [32, 64]) {
    const length = der[at + 1];
    let number = der.subarray(at + 2, at + 2 + length);
    if (der[at] !== 0x02 || number.length !== length || length === 0) return null;
    at += 2 + length;
    while (number.length > 1 && number[0] === 0) number = number.subarray(1);
    if (number.length > 32) return null;
    raw.set(number, end - number.length);
  }
  return at === der.length ? raw : null;
}

/** Whether one of these keys (SPKI, base64) signed a message; null where the browser can't tell or no key is known. */
async function signedByOne(keys, signature, message) {
  if (!SUBTLE || keys.length === 0) return null;
  for (const { kind, spki } of keys) {
    const ecdsa = kind === "P-256";
    const algorithm = ecdsa ? { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } : { name: "Ed25519" };
    const raw = ecdsa ? rawSignature(signature) : signature;
    let key;
    try {
      key = await SUBTLE.importKey("spki", fromBase64(spki), algorithm, false, ["verify"]);
    } catch {
      return null;
    }
    if (raw && (await SUBTLE.verify(algorithm, key, raw, message))) return true;
  }
  return false;
}
