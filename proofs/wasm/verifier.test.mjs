// The verifier's WebAssembly accepts the committed vectors, and refuses each changed byte.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import { join } from './scale.mjs';
import {
  accepted, authorities, changedBytes, changedProofs, expected, genesis, good, handOvers, head, justifications, keys,
  moduleFile, proof, values,
} from './vectors.mjs';
import { Module, Refused, Verifier, blockInput } from './verifier.mjs';

let module;
let verifier;

before(async () => {
  module = await Module.load(moduleFile('epione_proofs_wasm'));
  verifier = new Verifier(module);
});

test('the module imports nothing', () => {
  assert.deepEqual(WebAssembly.Module.imports(new WebAssembly.Module(moduleFile('epione_proofs_wasm'))), []);
});

test('the module is without the tables of secp256k1, which alone have 1 MiB', () => {
  assert(moduleFile('epione_proofs_wasm').length < 1024 * 1024);
});

test('a client verifies the chain from the genesis block to a value', () => {
  let followed = verifier.genesis(genesis);
  for (const handOver of handOvers) followed = verifier.follow(followed, handOver);
  assert.deepEqual(followed, authorities);
  const block = verifier.head(followed, { header: head.header, justification: good });
  assert.deepEqual(block, { hash: head.hash, number: head.number, stateRoot: head.state_root });
  assert.deepEqual(verifier.read(block.stateRoot, proof, keys), expected);
});

test('the keys of values are those of the chain', () => {
  for (const [index, { key }] of values.entries()) assert.deepEqual(verifier.storageKey(keys[index]), key);
});

test('the genesis block of another chain is refused', () => {
  const hash = new Uint8Array(32).fill(9);
  assert.throws(() => verifier.genesis({ ...genesis, hash }), (error) => {
    assert(error instanceof Refused);
    assert.match(error.message, /the node follows another chain/);
    return true;
  });
});

test('no byte of the genesis block or of its proof can be changed', () => {
  for (const [header, where] of changedBytes(genesis.header)) {
    assert.equal(accepted(() => verifier.genesis({ ...genesis, header })), undefined, where);
  }
  for (const [changed, where] of changedProofs(genesis.proof)) {
    assert.equal(accepted(() => verifier.genesis({ ...genesis, proof: changed })), undefined, where);
  }
});

test('a justification is accepted if the vectors say so', () => {
  for (const { name, justification, epione } of justifications) {
    const answer = accepted(() => verifier.head(authorities, { header: head.header, justification }));
    assert.equal(answer !== undefined, epione, name);
  }
});

test('no byte of a head or of its justification can be changed', () => {
  for (const [header, where] of changedBytes(head.header)) {
    assert.equal(accepted(() => verifier.head(authorities, { header, justification: good })), undefined, where);
  }
  for (const [justification, where] of changedBytes(good)) {
    const block = { header: head.header, justification };
    assert.equal(accepted(() => verifier.head(authorities, block)), undefined, where);
  }
});

test('no byte of a state root or of its proof can be changed', () => {
  for (const [root, where] of changedBytes(head.state_root)) {
    assert.equal(accepted(() => verifier.read(root, proof, keys)), undefined, where);
  }
  for (const [changed, where] of changedProofs(proof)) {
    assert.equal(accepted(() => verifier.read(head.state_root, changed, keys)), undefined, where);
  }
});

test('no byte of a hand-over can be changed, and none can be skipped', () => {
  const first = verifier.genesis(genesis);
  const [handOver, later] = handOvers;
  for (const [header, where] of changedBytes(handOver.header)) {
    assert.equal(accepted(() => verifier.follow(first, { ...handOver, header })), undefined, where);
  }
  for (const [justification, where] of changedBytes(handOver.justification)) {
    assert.equal(accepted(() => verifier.follow(first, { ...handOver, justification })), undefined, where);
  }
  assert.equal(accepted(() => verifier.follow(first, later)), undefined);
});

test('an input that is no input of the call is an error, not a trap', () => {
  const whole = blockInput(authorities, { header: head.header, justification: good });
  for (const name of ['verify_genesis', 'follow', 'verify_head', 'storage_key', 'read_state']) {
    for (const length of [0, 1, 33, whole.length - 1]) {
      assert.throws(() => module.call(name, whole.slice(0, length)), Refused, `${name}, ${length} bytes`);
    }
  }
  assert.throws(() => module.call('verify_head', join(whole, Uint8Array.of(0))), /the call's input is malformed/);
});

test('calls free their memory', () => {
  const calls = (count) => {
    for (let call = 0; call < count; call += 1) {
      verifier.read(head.state_root, proof, keys);
      accepted(() => verifier.read(head.state_root, proof.slice(1), keys));
    }
  };
  calls(100);
  const { memoryBytes } = module;
  calls(2_000);
  assert.equal(module.memoryBytes, memoryBytes);
});
