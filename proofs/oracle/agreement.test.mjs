// The verifier's WebAssembly and smoldot's say the same about the committed vectors, and about changes of them.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import { bytes, join, optionalValues } from '../wasm/scale.mjs';
import {
  accepted, authorities, changedBytes, changedProofs, expected, good, head, justifications, keys, moduleFile, proof,
  replaced, values,
} from '../wasm/vectors.mjs';
import { Module, Verifier, blockInput, readInput } from '../wasm/verifier.mjs';

const rawKeys = values.map(({ key }) => bytes(key));

let module;
let verifier;
let smoldot;

before(async () => {
  module = await Module.load(moduleFile('epione_proofs_wasm'));
  verifier = new Verifier(module);
  smoldot = await Module.load(moduleFile('epione_proofs_oracle'));
});

/** What both verifiers say about a justification of a header: the encoded head, or undefined. */
const verdicts = (header, justification) =>
  [module, smoldot].map((verifying) =>
    accepted(() => verifying.call('verify_head', blockInput(authorities, { header, justification }))));

/** What both verifiers read from a proof: values, or undefined. */
const readings = (root, nodes) => [
  accepted(() => verifier.read(root, nodes, keys)),
  accepted(() => optionalValues(smoldot.call('read_state', readInput(root, nodes, rawKeys)))),
];

/** Numbers from 0 to below `limit` that are the same in each run: a linear congruential generator of 31 bits. */
function numbers(seed) {
  let state = seed;
  return (limit) => {
    state = Number((BigInt(state) * 1103515245n + 12345n) & 0x7fffffffn);
    return Math.floor((state / 0x80000000) * limit);
  };
}

test('each verifier accepts the justifications that the vectors say', () => {
  for (const { name, justification, epione, smoldot: other } of justifications) {
    const verdict = verdicts(head.header, justification).map((answer) => answer !== undefined);
    assert.deepEqual(verdict, [epione, other], name);
  }
});

test('both verifiers read the same from a final header', () => {
  const [ours, theirs] = verdicts(head.header, good);
  assert.deepEqual(theirs, ours);
});

test('both verifiers refuse each changed byte of a header and of its justification', () => {
  for (const [justification, where] of changedBytes(good)) {
    assert.deepEqual(verdicts(head.header, justification), [undefined, undefined], `justification, ${where}`);
  }
  for (const [header, where] of changedBytes(head.header)) {
    assert.deepEqual(verdicts(header, good), [undefined, undefined], `header, ${where}`);
  }
});

test('both verifiers agree on justifications that are cut, spliced and changed at random', () => {
  const agreed = justifications.filter(({ epione, smoldot: other }) => epione === other);
  // Without headers, which end with another byte: smoldot ignores a header that no vote needs.
  const ends = agreed.filter(({ justification }) => justification.at(-1) === 0);
  const below = numbers(1);
  const edits = [
    (text, at) => text.map((old, index) => (index === at ? below(256) : old)),
    (text, at) => join(text.slice(0, at), text.slice(at + 1 + below(40))),
    (text, at) => join(text.slice(0, at), Uint8Array.of(below(256)), text.slice(at)),
    (text, at) => join(text.slice(0, at), ends[below(ends.length)].justification.slice(at)),
  ];
  for (let round = 0; round < 500; round += 1) {
    let { justification } = agreed[below(agreed.length)];
    for (let edit = below(3); edit >= 0; edit -= 1) {
      if (justification.length === 0) break;
      justification = edits[below(edits.length)](justification, below(justification.length));
    }
    const [ours, theirs] = verdicts(head.header, justification);
    assert.deepEqual(theirs, ours, `round ${round}: ${Buffer.from(justification).toString('hex')}`);
  }
});

test('both verifiers read the same values from a proof, in any order of its nodes', () => {
  for (const nodes of [proof, [...proof].reverse()]) {
    assert.deepEqual(readings(head.state_root, nodes), [expected, expected]);
  }
});

test('both verifiers refuse each changed byte, each cut node and each missing node of a proof', () => {
  for (const [nodes, where] of changedProofs(proof)) {
    assert.deepEqual(readings(head.state_root, nodes), [undefined, undefined], where);
  }
  for (const [index, node] of proof.entries()) {
    const cut = replaced(proof, index, node.slice(0, -1));
    assert.deepEqual(readings(head.state_root, cut), [undefined, undefined], `node ${index} is cut`);
    const missing = proof.filter((_, at) => at !== index);
    assert.deepEqual(readings(head.state_root, missing), [undefined, undefined], `node ${index} is missing`);
  }
});

test('both verifiers refuse each changed byte of the state root', () => {
  for (const [root, where] of changedBytes(head.state_root)) {
    assert.deepEqual(readings(root, proof), [undefined, undefined], where);
  }
});

test('nodes that a proof does not need change nothing, and smoldot refuses them', () => {
  for (const unneeded of [proof[0], Uint8Array.of(1, 2, 3)]) {
    assert.deepEqual(readings(head.state_root, [...proof, unneeded]), [expected, undefined]);
  }
});
