// Where a log's files come from. A page that was made for one log has them as scripts beside it: `file:` lets a page load
// scripts and nothing else. A script is code, so that is for files that the auditor's own program wrote. A folder from
// anybody else is picked, and its bytes are read as bytes.

const IN_FLIGHT = 4;

// Browsers that know trusted types let nothing else name a script.
const PARTS =
  globalThis.trustedTypes && !MADE.picked
    ? trustedTypes.createPolicy("countersign-parts", {
        createScriptURL: (path) => {
          if (!/^data\/(log|[0-9]+)\.js$/.test(path)) throw new TypeError("no part of a log");
          return path;
        },
      })
    : { createScriptURL: (path) => path };

/** Files that were written as scripts: `countersign(name, {path: base64})`. */
class Written {
  #waiting = new Map();
  #coming = new Map();

  constructor(parts) {
    this.parts = parts;
    this.names = null;
    globalThis.countersign = (name, files) => this.#waiting.get(name)?.(files);
  }

  /** A reader of the files that stand in one script. The next scripts are loaded meanwhile. */
  async open(part, ahead = IN_FLIGHT) {
    const wanted = part === "log" ? [part] : Array.from({ length: ahead }, (_, n) => part + n);
    for (const next of wanted) {
      if ((next === "log" || next < this.parts) && !this.#coming.has(next)) this.#coming.set(next, this.#load(next));
    }
    const coming = this.#coming.get(part) ?? this.#load(part);
    const [path, files] = await coming.finally(() => this.#coming.delete(part));
    return async (name, limit) => {
      if (!Object.hasOwn(files, name)) return null;
      const bytes = typeof files[name] === "string" ? fromBase64(files[name]) : null;
      if (!bytes || bytes.length > limit) throw new Broken(path, `what it has for ${name} is no base64, or too long`);
      return bytes;
    };
  }

  #load(part) {
    const path = `data/${part}.js`;
    const script = document.createElement("script");
    const loaded = new Promise((resolve, reject) => {
      let files = null;
      this.#waiting.set(String(part), (given) => (files = given));
      script.onload = () =>
        files && typeof files === "object"
          ? resolve([path, files])
          : reject(new Broken(path, "it does not give its files: it was changed"));
      script.onerror = () => reject(new Broken(path, "missing, or it can't be read"));
    });
    // It may fail long before somebody waits for it.
    loaded.catch(() => {});
    loaded
      .finally(() => {
        script.remove();
        this.#waiting.delete(String(part));
      })
      .catch(() => {});
    script.src = PARTS.createScriptURL(path);
    document.head.append(script);
    return loaded;
  }
}

/** Files of a folder that was picked: the log's own, wherever in the folder its checkpoint lies. */
class Picked {
  constructor(list) {
    const files = new Map();
    for (const file of list) files.set(file.webkitRelativePath || file.name, file);
    const tops = [...files.keys()].filter((path) => /(^|\/)checkpoint$/.test(path));
    tops.sort((a, b) => a.split("/").length - b.split("/").length || (a < b ? -1 : 1));
    const first = [...files.keys()][0] ?? "";
    const top = tops.length > 0 ? tops[0].slice(0, -"checkpoint".length) : first.slice(0, first.indexOf("/") + 1);
    this.folder = top.replace(/\/$/, "");
    this.files = new Map();
    for (const [path, file] of files) if (path.startsWith(top)) this.files.set(path.slice(top.length), file);
    this.names = [...this.files.keys()];
  }

  async open() {
    return async (name, limit) => {
      const file = this.files.get(name);
      if (!file) return null;
      if (file.size > limit) throw new Broken(name, `more than ${limit} bytes`);
      try {
        return new Uint8Array(await file.arrayBuffer());
      } catch (error) {
        throw new Broken(name, `it can't be read: ${error.message}`);
      }
    };
  }
}

// The log's own names and shapes (C2SP tlog-tiles, and bodies beside it).

const ENTRY_LIMIT = 65535;
const BODY_LIMIT = 2 << 20;
const PACKED_LIMIT = 64 << 10;

function tail(n, width) {
  let path = String(n % 1000).padStart(3, "0");
  for (let rest = Math.floor(n / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    path = `x${String(rest % 1000).padStart(3, "0")}/${path}`;
  }
  return width < WIDTH ? `${path}.p/${width}` : path;
}

const tilePath = (level, n, width) => `tile/${level}/${tail(n, width)}`;
const bundlePath = (n, width) => `tile/entries/${tail(n, width)}`;
const packPath = (n) => `body/${tail(n, WIDTH)}`;

/** How many of a tile's hashes a tree of this size fills. */
const widthOf = (level, n, size) => Math.max(0, Math.min(WIDTH, Math.floor(size / WIDTH ** level) - n * WIDTH));

/** The entries of a bundle of this width; null when there are more or fewer, or the last one is cut. */
function splitBundle(bytes, width) {
  const entries = [];
  let at = 0;
  for (let n = 0; n < width; n++) {
    if (at + 2 > bytes.length) return null;
    const end = at + 2 + ((bytes[at] << 8) | bytes[at + 1]);
    if (end > bytes.length) return null;
    entries.push(bytes.subarray(at + 2, end));
    at = end;
  }
  return at === bytes.length ? entries : null;
}

/** The slots of a pack of bodies: salt and body, or null; null as a whole when it is none. */
function splitPack(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const slots = [];
  let at = 0;
  for (let n = 0; n < WIDTH; n++) {
    if (at + 4 > bytes.length) return null;
    const end = at + 4 + view.getUint32(at);
    const slot = bytes.subarray(at + 4, end);
    if (end > bytes.length || (slot.length > 0 && slot.length <= 32) || slot.length > 32 + PACKED_LIMIT) return null;
    slots.push(slot.length > 0 ? slot : null);
    at = end;
  }
  return at === bytes.length ? slots : null;
}

/** A partial file, or the full one that has taken its place since; and where it lies. */
async function fetchPart(read, path, width, limit, cut, what) {
  for (const [name, found] of [
    [path(width), width],
    [path(WIDTH), WIDTH],
  ]) {
    const bytes = await read(name, limit);
    if (!bytes) continue;
    const parts = cut(bytes, found);
    if (!parts) throw new Broken(name, `not ${what} of ${found}: it was cut or changed`);
    return [name, parts];
  }
  throw new Broken(path(width), "missing");
}

const readBundle = (read, n, width) =>
  fetchPart(read, (w) => bundlePath(n, w), width, WIDTH * (2 + ENTRY_LIMIT), splitBundle, "a bundle");

async function readTile(read, level, n, width) {
  const cut = (bytes, found) => (bytes.length === 32 * found ? bytes : null);
  const [path, hashes] = await fetchPart(read, (w) => tilePath(level, n, w), width, 32 * WIDTH, cut, "a tile");
  return [path, hashes.subarray(0, 32 * width)];
}
