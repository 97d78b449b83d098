// Bytes and texts. Whatever came from outside the page is shown by `visible`, and nowhere else made into text.

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const utf8 = (text) => ENCODER.encode(text);

/** Bytes as text; null when they are no UTF-8. */
function textOf(bytes) {
  try {
    return DECODER.decode(bytes);
  } catch {
    return null;
  }
}

/** Reads base64 that has one spelling; null for anything else. */
function fromBase64(text) {
  try {
    const bytes = Uint8Array.fromBase64
      ? Uint8Array.fromBase64(text, { lastChunkHandling: "strict" })
      : Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    // Decoders skip spaces; a spelling with them is another spelling.
    return text.length === 4 * Math.ceil(bytes.length / 3) ? bytes : null;
  } catch {
    return null;
  }
}

function toBase64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}

function toHex(bytes) {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}

function same(left, right) {
  if (left.length !== right.length) return false;
  for (let at = 0; at < left.length; at++) if (left[at] !== right[at]) return false;
  return true;
}

function concat(...parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** A number in eight bytes, big-endian. */
function eightBytes(number) {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(number));
  return bytes;
}

// Characters that move the cursor, reorder what stands beside them or can't be seen: a text from outside that holds
// one is shown with its number instead.
const HIDDEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Cs}\u115f\u1160\u3164\uffa0\u034f\ufe00-\ufe0f\u180b-\u180f]/gu;

function visible(text) {
  return String(text).replace(HIDDEN, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
}

/** A number with thin gaps between thousands. */
const count = (number) => number.toLocaleString("en").replaceAll(",", "\u2009");

const plural = (number, one, more = `${one}s`) => `${count(number)} ${number === 1 ? one : more}`;
