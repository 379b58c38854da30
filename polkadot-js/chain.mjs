// Functions for the tests and the guide, which use the chain through @polkadot/api.

import { blake2AsHex, blake2AsU8a } from '@polkadot/util-crypto';
import { bnToU8a, hexToU8a, stringToU8a, u8aConcat, u8aToU8a } from '@polkadot/util';
import { CID } from 'multiformats/cid';
import * as Digest from 'multiformats/hashes/digest';

// Codes of the multicodec table: raw bytes, and blake2b-256.
const RAW = 0x55;
const BLAKE2B_256 = 0xb220;

/** The content identifier under which a node serves a body. */
export function bodyCid(hash) {
  return CID.createV1(RAW, Digest.create(BLAKE2B_256, hexToU8a(hash))).toString();
}

/** Reads a body by its hash, and verifies that the node returned the right bytes. */
export async function readBody(api, hash) {
  const body = await api.rpc.bitswap.get(bodyCid(hash));
  if (blake2AsHex(body) !== hash) throw new Error(`the node returned bytes that do not have the hash ${hash}`);
  return body;
}

/** The methods that Epione's nodes have in addition to the standard ones. */
export const rpc = {
  liteBlocks: {
    header: { description: 'A committed lite block', params: [{ name: 'height', type: 'u32' }], type: 'Json' },
    record: { description: 'A committed record', params: [{ name: 'pointer', type: 'Json' }], type: 'Json' },
    history: {
      description: 'Records of a patient, newest first',
      params: [
        { name: 'user', type: '[u8; 32]' },
        { name: 'before', type: 'Option<Json>' },
        { name: 'limit', type: 'u32' },
      ],
      type: 'Vec<Json>',
    },
  },
  finality: {
    newest: { description: 'The newest final block and the votes for it', params: [], type: 'Json' },
  },
  bitswap: {
    get: {
      description: 'Bytes by their content identifier',
      endpoint: 'bitswap_v1_get',
      params: [{ name: 'cid', type: 'Text' }],
      type: 'Bytes',
    },
  },
};

/** The id of the user whose first account and first sealing key these are. The second one is named by its hash. */
export function userId(account, sealingKeyHash) {
  return blake2AsHex(u8aConcat(stringToU8a('epione/user'), account.publicKey, u8aToU8a(sealingKeyHash)));
}

/** What a patient considers before accepting: a pending query, and the requester's account and sealing key. */
export function considered(id, query, account, sealingKeyHash) {
  const asked = u8aConcat(id.toU8a(), query.toU8a(), account.publicKey, u8aToU8a(sealingKeyHash));
  return blake2AsHex(u8aConcat(stringToU8a('epione/query'), asked));
}

/** What the other hospitals verify and vote on: the hash of an announcement's header, entries and body's hash. */
export function subject(announce) {
  const [header, entries, body] = announce.method.args;
  return blake2AsHex(u8aConcat(header.toU8a(), entries.toU8a(), blake2AsU8a(body.toU8a(true))));
}

/** A request to a hospital, with the signature of the requester's sr25519 account, as `releases` takes them. */
export function signRequest(api, account, request) {
  const unsigned = api.tx.releases.refuse(request, { Sr25519: new Uint8Array(64) });
  const message = u8aConcat(
    stringToU8a('epione/request'),
    api.genesisHash.toU8a(),
    unsigned.method.args[0].toU8a(),
  );
  return { request, signature: { Sr25519: account.sign(message) } };
}

/**
 * The signature with which an sr25519 account consents to a registration: of a new user, or of a user whose previous
 * registration at this hospital has this version.
 */
export function consent(api, account, hospital, user, version = 0) {
  const REGISTRATION = 0;
  const message = u8aConcat(
    stringToU8a('epione/consent'),
    api.genesisHash.toU8a(),
    [REGISTRATION],
    bnToU8a(hospital, { bitLength: 16, isLe: true }),
    hexToU8a(user),
    bnToU8a(version, { bitLength: 32, isLe: true }),
  );
  return { Sr25519: account.sign(message) };
}

/**
 * A named account for a hospital: the account, and the signature with which it consents to have this duty there, valid
 * until this block.
 */
export function namedAccount(api, account, hospital, duty, until) {
  const HOSPITAL = 2;
  const message = u8aConcat(
    stringToU8a('epione/consent'),
    api.genesisHash.toU8a(),
    [HOSPITAL],
    bnToU8a(hospital, { bitLength: 16, isLe: true }),
    [['Governance', 'Agent'].indexOf(duty)],
    bnToU8a(until, { bitLength: 32, isLe: true }),
  );
  return { account: account.address, until, consent: { Sr25519: account.sign(message) } };
}

/** The fields of the first event with this name; fails if there is none. */
export function find(events, pallet, name) {
  const event = events.find(({ section, method }) => section === pallet && method === name);
  if (!event) throw new Error(`no ${pallet}.${name} among ${events.map((e) => `${e.section}.${e.method}`)}`);
  return event.data;
}

/** Sends a transaction. Resolves with its events after its block is finalized, or rejects with the error's name. */
export function submit(api, transaction, signer) {
  return new Promise((resolve, reject) => {
    transaction
      .signAndSend(signer, { nonce: -1 }, ({ dispatchError, events, status, isError }) => {
        if (status.isFinalized) {
          if (dispatchError) reject(new Error(describe(api, dispatchError)));
          else resolve(events.map(({ event }) => event));
        } else if (isError) {
          reject(new Error(`the transaction was ${status.type.toLowerCase()}`));
        }
      })
      .catch(reject);
  });
}

/** The name of an error, such as `hospitals.NotActive`. */
export function describe(api, error) {
  if (!error.isModule) return error.toString();
  const { section, name } = api.registry.findMetaError(error.asModule);
  return `${section}.${name}`;
}

/** Blake2-256 over the SCALE encoding of an empty list: the segments root of a block without media. */
export const NO_SEGMENTS = { root: blake2AsU8a(new Uint8Array([0])), count: 0, bytes: 0 };
