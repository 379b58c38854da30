// Calls the verifier's WebAssembly from JavaScript: `src/abi.rs` says how, and `src/calls.rs` what can be verified.

import { bytes, join, list, optionalValues, string } from './scale.mjs';

/** What a node said is not proven. The message is for the user. */
export class Refused extends Error {}

/** An instance of a WebAssembly module with the functions of `src/abi.rs`. */
export class Module {
  #exports;

  /** `source` is the module's bytes. */
  static async load(source) {
    const { instance } = await WebAssembly.instantiate(source, {});
    return new Module(instance.exports);
  }

  constructor(exports) {
    this.#exports = exports;
  }

  /** The bytes of the instance's memory, which grows and never shrinks. */
  get memoryBytes() {
    return this.#exports.memory.buffer.byteLength;
  }

  /** The answer of an exported function to an encoded input. Throws `Refused`. */
  call(name, input) {
    const { allocate, memory, release } = this.#exports;
    const address = allocate(input.length) >>> 0;
    if (address === 0) throw new RangeError(`there is no memory for ${input.length} bytes`);
    new Uint8Array(memory.buffer, address, input.length).set(input);
    const packed = BigInt.asUintN(64, this.#exports[name](address, input.length));
    const [at, length] = [Number(packed >> 32n), Number(packed & 0xffff_ffffn)];
    // `memory.buffer` is another one if the memory grew.
    const answer = new Uint8Array(memory.buffer, at, length).slice();
    release(at, length);
    if (answer[0] !== 0) throw new Refused(new TextDecoder().decode(answer.subarray(1)));
    return answer.subarray(1);
  }
}

/** The input of `verify_genesis`. */
export const genesisInput = ({ hash, header, proof }) => join(hash, bytes(header), list(proof.map(bytes)));

/** The input of `follow` and `verify_head`. `authorities` are bytes that an earlier call returned. */
export const blockInput = (authorities, { header, justification }) =>
  join(authorities, bytes(header), bytes(justification));

const HASHERS = ['twox_64_concat', 'blake2_128_concat'];

/** The input of `storage_key`: names of pallet and item, and a map's keys in SCALE with the names of their hashers. */
export function keyInput({ pallet, item, mapKeys }) {
  const keys = mapKeys.map(({ hasher, key }) => {
    const index = HASHERS.indexOf(hasher);
    if (index < 0) throw new RangeError(`unknown hasher ${hasher}: use one of ${HASHERS.join(', ')}`);
    return join(Uint8Array.of(index), bytes(key));
  });
  return join(string(pallet), string(item), list(keys));
}

/** The input of `read_state`: a root, a proof, and keys that `keyInput` made. */
export const readInput = (root, proof, keys) => join(root, list(proof.map(bytes)), list(keys));

/** What the verifier accepts, with the types of JavaScript. Each method throws `Refused`. */
export class Verifier {
  #module;

  constructor(module) {
    this.#module = module;
  }

  /** The first authorities, by the genesis block whose hash the client knows. */
  genesis(block) {
    return this.#module.call('verify_genesis', genesisInput(block));
  }

  /** The next authorities, by a block that changes them. */
  follow(authorities, block) {
    return this.#module.call('follow', blockInput(authorities, block));
  }

  /** Hash, number and state root of a block that the authorities made final. */
  head(authorities, block) {
    const answer = this.#module.call('verify_head', blockInput(authorities, block));
    return {
      hash: answer.slice(0, 32),
      number: new DataView(answer.buffer, answer.byteOffset).getUint32(32, true),
      stateRoot: answer.slice(36),
    };
  }

  /** The bytes of a key, for `state_getReadProof`. */
  storageKey(key) {
    return this.#module.call('storage_key', keyInput(key));
  }

  /** The values of keys in the state of a verified head: bytes, or null for a key that has no value. */
  read(root, proof, keys) {
    return optionalValues(this.#module.call('read_state', readInput(root, proof, keys.map(keyInput))));
  }
}
