// The committed vectors, and what tests do with them. `make test-proofs-wasm` compiles the modules and runs the tests.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Refused } from './verifier.mjs';

/** The bytes of a compiled module. */
export function moduleFile(name) {
  const folder = process.env.EPIONE_WASM_DIR;
  if (!folder) throw new Error('EPIONE_WASM_DIR is not set: run `make test-proofs-wasm`');
  return readFileSync(join(folder, `${name}.wasm`));
}

const file = fileURLToPath(new URL('../vectors/chain.json', import.meta.url));
/** The vectors, with bytes in place of hexadecimal digits. */
const vectors = JSON.parse(readFileSync(file, 'utf8'), (name, value) => {
  const isText = ['name', 'pallet', 'item', 'hasher'].includes(name) || typeof value !== 'string';
  return isText ? value : Uint8Array.from(Buffer.from(value, 'hex'));
});

export const { genesis, hand_overs: handOvers, authorities, head, justifications, proof, values } = vectors;
export const keys = values.map(({ pallet, item, map_keys: mapKeys }) => ({ pallet, item, mapKeys }));
/** What the proof shows of the keys. */
export const expected = values.map(({ value }) => value);
/** A justification that has votes for three blocks, and headers. */
export const { justification: good } = justifications.find(({ name }) => name === 'votes for descendants');

/** The result of a function, or undefined if it refuses. Other errors, such as traps, are failures. */
export function accepted(run) {
  try {
    return run();
  } catch (error) {
    if (error instanceof Refused) return undefined;
    throw error;
  }
}

/** A list with another element at an index. */
export const replaced = (elements, index, element) => elements.map((old, at) => (at === index ? element : old));

/** Each variant of the bytes with one byte changed: its lowest or its highest bit. */
export function* changedBytes(original) {
  for (let at = 0; at < original.length; at += 1) {
    for (const mask of [0x01, 0x80]) {
      const changed = original.slice();
      changed[at] ^= mask;
      yield [changed, `byte ${at}, bits ${mask}`];
    }
  }
}

/** Each proof with one byte of one node changed. */
export function* changedProofs(nodes) {
  for (const [index, node] of nodes.entries()) {
    for (const [changed, where] of changedBytes(node)) {
      yield [replaced(nodes, index, changed), `node ${index}, ${where}`];
    }
  }
}
