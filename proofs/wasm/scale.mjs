// The parts of SCALE, the chain's encoding, that the verifier's calls need.

/** Joins byte strings. */
export function join(...parts) {
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** A length: SCALE's compact form of a number below 2^30. */
function compact(number) {
  if (number < 1 << 6) return Uint8Array.of(number << 2);
  const width = number < 1 << 14 ? 2 : 4;
  if (number >= 1 << 30) throw new RangeError(`${number} bytes or elements are too many`);
  const value = number * 4 + (width === 2 ? 1 : 2);
  return Uint8Array.from({ length: width }, (_, at) => (value / 2 ** (8 * at)) & 0xff);
}

/** Bytes with their length: `Vec<u8>`. */
export const bytes = (value) => join(compact(value.length), value);

/** `String`. */
export const string = (value) => bytes(new TextEncoder().encode(value));

/** `Vec<T>` of elements that are encoded already. */
export const list = (elements) => join(compact(elements.length), ...elements);

/** Reads `Vec<Option<Vec<u8>>>`: an array of byte strings, with null for none. */
export function optionalValues(encoded) {
  const view = new DataView(encoded.buffer, encoded.byteOffset, encoded.length);
  let at = 0;
  const length = () => {
    const mode = view.getUint8(at) & 3;
    if (mode === 3) throw new RangeError('a length above 2^30');
    const width = 1 << mode;
    const value = [view.getUint8, view.getUint16, view.getUint32][mode].call(view, at, true) >>> 2;
    at += width;
    return value;
  };
  const values = Array.from({ length: length() }, () => {
    if (view.getUint8(at++) === 0) return null;
    const end = length() + at;
    const value = encoded.slice(at, end);
    at = end;
    return value;
  });
  if (at !== encoded.length) throw new RangeError('bytes after the last value');
  return values;
}
