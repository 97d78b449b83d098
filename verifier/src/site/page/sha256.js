// SHA-256 (FIPS 180-4). The browser has its own, but only in a secure context, and each call of it is a promise: a tree
// of 10⁵ entries is some 3·10⁵ small hashes. So the tree is hashed here, bodies by the browser where it can, and
// `selfCheck` compares the two before anything is believed.

const ROUND = new Uint32Array(64);
const START = new Uint32Array(8);
{
  // The constants are the first 32 bits of the fractions of cube roots and square roots of the first primes.
  const fraction = (x) => Math.floor((x - Math.floor(x)) * 2 ** 32);
  for (let n = 2, found = 0; found < 64; n++) {
    let prime = true;
    for (let d = 2; d * d <= n; d++) prime = prime && n % d !== 0;
    if (!prime) continue;
    if (found < 8) START[found] = fraction(Math.sqrt(n));
    ROUND[found++] = fraction(Math.cbrt(n));
  }
}

const SCHEDULE = new Int32Array(64);

function block(state, bytes, at) {
  const w = SCHEDULE;
  for (let t = 0; t < 16; t++, at += 4) {
    w[t] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
  }
  for (let t = 16; t < 64; t++) {
    const x = w[t - 15];
    const y = w[t - 2];
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    w[t] = (w[t - 16] + s0 + w[t - 7] + s1) | 0;
  }
  let a = state[0];
  let b = state[1];
  let c = state[2];
  let d = state[3];
  let e = state[4];
  let f = state[5];
  let g = state[6];
  let h = state[7];
  for (let t = 0; t < 64; t++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const one = (h + s1 + ((e & f) ^ (~e & g)) + ROUND[t] + w[t]) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const two = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + one) | 0;
    d = c;
    c = b;
    b = a;
    a = (one + two) | 0;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
  state[5] += f;
  state[6] += g;
  state[7] += h;
}

/** The SHA-256 of these bytes. */
function sha256(bytes) {
  const state = new Int32Array(START);
  const whole = bytes.length - (bytes.length % 64);
  for (let at = 0; at < whole; at += 64) block(state, bytes, at);
  const rest = bytes.length - whole;
  const end = new Uint8Array(rest < 56 ? 64 : 128);
  end.set(bytes.subarray(whole));
  end[rest] = 0x80;
  // The length in bits. No input here has 2⁵³ of them.
  const view = new DataView(end.buffer);
  view.setUint32(end.length - 8, Math.floor(bytes.length / 2 ** 29));
  view.setUint32(end.length - 4, (bytes.length << 3) >>> 0);
  for (let at = 0; at < end.length; at += 64) block(state, end, at);
  const hash = new Uint8Array(32);
  const out = new DataView(hash.buffer);
  for (let n = 0; n < 8; n++) out.setInt32(4 * n, state[n]);
  return hash;
}

/** The browser's own cryptography; null on plain http, where there is none. */
const SUBTLE = globalThis.isSecureContext && globalThis.crypto?.subtle ? globalThis.crypto.subtle : null;

/** The SHA-256 of each: by the browser where it can. */
async function sha256All(list) {
  if (!SUBTLE) return list.map(sha256);
  const hashes = await Promise.all(list.map((bytes) => SUBTLE.digest("SHA-256", bytes)));
  return hashes.map((hash) => new Uint8Array(hash));
}

/** Whether our SHA-256 gives what FIPS 180-4 gives for "abc", and what the browser gives, around every block's edge. */
async function selfCheck() {
  const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  if (toHex(sha256(utf8("abc"))) !== abc) return false;
  const inputs = Array.from({ length: 200 }, (_, length) =>
    new Uint8Array(length).map((_, n) => (7 * n + length) & 255),
  );
  const theirs = await sha256All(inputs);
  return inputs.every((input, n) => same(sha256(input), theirs[n]));
}
