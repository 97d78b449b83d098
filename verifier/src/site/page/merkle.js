// Merkle trees as RFC 6962 hashes them. Proofs are made by its recursion and verified by the loops of RFC 9162, so that
// one does not repeat the other's mistake. Sizes are below 2⁴⁸: arithmetic, not 32-bit shifts.

const WIDTH = 256;
const SIZE_LIMIT = 2 ** 48;
const EMPTY_ROOT = sha256(new Uint8Array(0));

function leafHash(entry) {
  const bytes = new Uint8Array(entry.length + 1);
  bytes.set(entry, 1);
  return sha256(bytes);
}

const NODE = new Uint8Array(65);
function nodeHash(left, right) {
  NODE[0] = 1;
  NODE.set(left, 1);
  NODE.set(right, 33);
  return sha256(NODE);
}

/** The hash over a power of two of neighbours, which lie one after the other in `hashes`. */
function over(hashes, from, length) {
  if (length === 1) return hashes.subarray(32 * from, 32 * from + 32);
  const half = length / 2;
  return nodeHash(over(hashes, from, half), over(hashes, from + half, half));
}

/** The hashes of a tree, level by level of its tiles: all that roots, tiles and proofs are made from. */
class Tree {
  constructor(size) {
    this.size = size;
    this.levels = [];
    for (let hashes = size; hashes > 0; hashes = Math.floor(hashes / WIDTH)) {
      this.levels.push({ hashes: new Uint8Array(32 * hashes), filled: 0 });
    }
  }

  /** Appends the hash of the next leaf, and gives the tiles that it completes: [level, n]. */
  push(leaf) {
    const completed = [];
    let hash = leaf;
    for (let level = 0; level < this.levels.length; level++) {
      const at = this.levels[level];
      at.hashes.set(hash, 32 * at.filled++);
      if (at.filled % WIDTH !== 0) break;
      completed.push([level, at.filled / WIDTH - 1]);
      hash = over(at.hashes, at.filled - WIDTH, WIDTH);
    }
    return completed;
  }

  /** The hashes of a tile, as far as they are there. */
  tile(level, n) {
    const { hashes, filled } = this.levels[level];
    return hashes.subarray(32 * WIDTH * n, 32 * Math.min(WIDTH * (n + 1), filled));
  }

  leaf(index) {
    return over(this.levels[0].hashes, index, 1);
  }

  /** The hash over the entries n·2^height up to (n+1)·2^height. */
  node(height, n) {
    const within = height % 8;
    const length = 2 ** within;
    return over(this.levels[(height - within) / 8].hashes, n * length, length);
  }

  /** The hash over a range that RFC 6962's splits lead to. */
  range(from, to) {
    const n = to - from;
    const height = Math.log2(n);
    if (Number.isInteger(height)) return this.node(height, from / n);
    const middle = from + split(n);
    return nodeHash(this.range(from, middle), this.range(middle, to));
  }

  root(size = this.size) {
    return size === 0 ? EMPTY_ROOT : this.range(0, size);
  }

  /** Proves that an entry is in the tree; the leaf's sibling comes first. Each step says what it covers. */
  proveInclusion(index) {
    let [from, to] = [0, this.size];
    const proof = [];
    while (to - from > 1) {
      const middle = from + split(to - from);
      const left = index >= middle;
      const [a, b] = left ? [from, middle] : [middle, to];
      proof.push({ hash: this.range(a, b), left, from: a, to: b });
      [from, to] = left ? [middle, to] : [from, middle];
    }
    return proof.reverse();
  }

  /** Proves that the tree begins with the one of an older size. */
  proveConsistency(old) {
    if (old === 0 || old === this.size) return [];
    let [from, to, whole] = [0, this.size, true];
    const proof = [];
    while (to !== old) {
      const middle = from + split(to - from);
      if (old <= middle) {
        proof.push(this.range(middle, to));
        to = middle;
      } else {
        proof.push(this.range(from, middle));
        from = middle;
        whole = false;
      }
    }
    // The older tree as a whole is known to whoever asks; what is left of it otherwise is not.
    if (!whole) proof.push(this.range(from, to));
    return proof.reverse();
  }
}

/** The largest power of two below n, which is at least 2. */
function split(n) {
  let k = 1;
  while (2 * k < n) k *= 2;
  return k;
}

const half = (n) => Math.floor(n / 2);

/** Whether a proof leads from a leaf to the root (RFC 9162, section 2.1.3.2). */
function provesInclusion(leaf, index, size, proof, root) {
  if (!(index >= 0 && index < size && size <= SIZE_LIMIT)) return false;
  let [at, last, hash] = [index, size - 1, leaf];
  for (const sibling of proof) {
    if (last === 0) return false;
    if (at % 2 === 1 || at === last) {
      hash = nodeHash(sibling, hash);
      while (at % 2 === 0 && at !== 0) [at, last] = [half(at), half(last)];
    } else {
      hash = nodeHash(hash, sibling);
    }
    [at, last] = [half(at), half(last)];
  }
  return last === 0 && same(hash, root);
}

/** Whether a proof shows that a tree begins with all of an older one (RFC 9162, section 2.1.4.2). */
function provesConsistency([first, firstRoot], [second, secondRoot], proof) {
  if (!(first >= 0 && first <= second && second <= SIZE_LIMIT)) return false;
  if (first === 0) return proof.length === 0 && same(firstRoot, EMPTY_ROOT);
  if (first === second) return proof.length === 0 && same(firstRoot, secondRoot);
  // A complete older tree is a node of the newer one, and its hash is known: it is not in the proof.
  const hashes = Number.isInteger(Math.log2(first)) ? [firstRoot, ...proof] : [...proof];
  if (hashes.length === 0) return false;
  let [at, last] = [first - 1, second - 1];
  while (at % 2 === 1) [at, last] = [half(at), half(last)];
  let [before, after] = [hashes[0], hashes[0]];
  for (const hash of hashes.slice(1)) {
    if (last === 0) return false;
    if (at % 2 === 1 || at === last) {
      before = nodeHash(hash, before);
      after = nodeHash(hash, after);
      while (at % 2 === 0 && at !== 0) [at, last] = [half(at), half(last)];
    } else {
      after = nodeHash(after, hash);
    }
    [at, last] = [half(at), half(last)];
  }
  return last === 0 && same(before, firstRoot) && same(after, secondRoot);
}
