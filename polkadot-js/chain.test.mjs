// Tests of Epione's chain through Polkadot.js, with a real network of four hospitals.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';

import { ApiPromise, Keyring, WsProvider } from '@polkadot/api';
import { blake2AsHex, cryptoWaitReady } from '@polkadot/util-crypto';
import { u8aToHex } from '@polkadot/util';

import { NO_SEGMENTS, consent, readBody, rpc, submit } from './chain.mjs';
import { startWithoutWorkers } from './devnet.mjs';

let network;
let api;
let keys;

const patient = u8aToHex(randomBytes(32));
const doctor = u8aToHex(randomBytes(32));
const body = u8aToHex(randomBytes(2_000));

before(async () => {
  network = await startWithoutWorkers(4);
  await cryptoWaitReady();
  const keyring = new Keyring({ type: 'sr25519' });
  keys = (uri) => keyring.addFromUri(uri);
  api = await ApiPromise.create({ provider: new WsProvider(network.hospitals[0].nodeUrl), rpc, noInitWarn: true });
}, { timeout: 900_000 });

after(async () => {
  await api?.disconnect();
  await network?.down();
});

const agent = (hospital) => keys(network.hospitals[hospital].agent);

function find(events, pallet, name) {
  const event = events.find(({ section, method }) => section === pallet && method === name);
  assert.ok(event, `no ${pallet}.${name} among ${events.map((e) => `${e.section}.${e.method}`)}`);
  return event.data;
}

test('the hospitals in storage can be decoded', async () => {
  const hospitals = await api.query.hospitals.hospitals.entries();
  assert.equal(hospitals.length, 4);
  const names = hospitals.map(([, hospital]) => hospital.unwrap().name.toUtf8());
  assert.ok(names.every((name) => name.length > 0));
  assert.deepEqual(hospitals.map(([, hospital]) => hospital.unwrap().status.type), Array(4).fill('Active'));
  assert.ok(hospitals.every(([, hospital]) => hospital.unwrap().storageOrigin.isNone));
  assert.equal((await api.query.hospitals.benched()).length, 0);
  assert.equal((await api.query.session.validators()).length, 4);
});

test('a hospital registers a patient and a doctor', async () => {
  for (const [user, role] of [[patient, 'Patient'], [doctor, 'Doctor']]) {
    const account = keys(`//${role}`);
    const sealed = randomBytes(100);
    const signed = consent(api, account, 0, user);
    const call = api.tx.profiles.register(user, role, account.address, randomBytes(32), signed, u8aToHex(sealed));
    const event = find(await submit(api, call, agent(0)), 'profiles', 'Registered');
    assert.equal(event.user.toHex(), user);
    const profile = (await api.query.profiles.profiles(user)).unwrap();
    assert.equal(profile.role.type, role);
    assert.equal(profile.account.toString(), account.address);
    const registration = (await api.query.profiles.registrations(user, 0)).unwrap();
    assert.equal(registration.status.type, 'Active');
    assert.equal(registration.bodyHash.toHex(), blake2AsHex(sealed));
    assert.deepEqual(Buffer.from(await readBody(api, registration.bodyHash.toHex())), sealed);
  }
});

test('an error is decoded to its name', async () => {
  const account = keys('//Patient');
  const call = api.tx.profiles.register(
    patient, 'Patient', account.address, randomBytes(32), consent(api, account, 0, patient), '0x00');
  await assert.rejects(submit(api, call, agent(0)), /^Error: profiles\.ProfileMismatch$/);
});

test('an account cannot be registered without the consent of its key', async () => {
  const user = u8aToHex(randomBytes(32));
  const account = keys('//Owner');
  const forged = consent(api, keys('//Thief'), 0, user);
  const call = api.tx.profiles.register(user, 'Doctor', account.address, randomBytes(32), forged, '0x00');
  await assert.rejects(submit(api, call, agent(0)), /^Error: profiles\.InvalidConsent$/);
});

test('a transaction of an unknown account is rejected', async () => {
  const call = api.tx.rolePolicies.unrelate(patient, doctor, 0, 'Treating');
  await assert.rejects(submit(api, call, keys('//Nobody')), /Custom error: 1/);
});

test('a patient adds a relationship with a doctor', async () => {
  const call = api.tx.rolePolicies.relate(patient, doctor, 0, 'FamilyDoctor', null);
  find(await submit(api, call, keys('//Patient')), 'rolePolicies', 'Related');
  const [relationship] = await api.query.rolePolicies.relationships(patient, doctor, 0);
  assert.equal(relationship.kind.type, 'FamilyDoctor');
  assert.ok(relationship.closed.isNone);
});

test('hospitals approve an announcement, and its body can be read by hash', async () => {
  const entry = { patient, text: { offset: 0, length: 2_000 }, media: { offset: 0, length: 0 } };
  const announce = api.tx.liteBlocks.announce({ announcer: 0, segments: NO_SEGMENTS }, [entry], body);
  const { id, bodyHash } = find(await submit(api, announce, agent(0)), 'liteBlocks', 'Announced');
  assert.equal(bodyHash.toHex(), blake2AsHex(body));

  find(await submit(api, api.tx.approvals.approve(id), agent(1)), 'approvals', 'Approved');
  await assert.rejects(submit(api, api.tx.approvals.approve(id), agent(1)), /approvals\.AlreadyVoted/);
  await assert.rejects(submit(api, api.tx.approvals.approve(id), agent(0)), /approvals\.OwnBallot/);
  const committed = find(await submit(api, api.tx.approvals.approve(id), agent(2)), 'liteBlocks', 'Committed');
  const height = committed.height.toNumber();

  const ballot = (await api.query.approvals.ballots(id)).unwrap();
  assert.equal(ballot.outcome.unwrap().type, 'Approved');
  const header = (await api.query.liteBlocks.headers(height)).unwrap();
  assert.equal(header.bodyHash.toHex(), bodyHash.toHex());
  assert.equal(u8aToHex(await readBody(api, bodyHash.toHex())), body);

  const latest = (await api.query.indexLinks.latest(patient)).unwrap();
  assert.deepEqual([latest.height.toNumber(), latest.index.toNumber()], [height, 0]);
  const record = await api.rpc.liteBlocks.record({ height, index: 0 });
  assert.equal(record.toJSON().text, body);
  const reply = (await api.rpc.liteBlocks.header(height)).toJSON();
  assert.equal(reply.hashes.lite, committed.liteHash.toHex());
  const history = await api.rpc.liteBlocks.history(patient, null, 10);
  assert.deepEqual(history.map((item) => item.toJSON().pointer), [{ height, index: 0 }]);
});

test('a release is recorded in a receipt, with the policy that allowed it', async () => {
  const release = {
    requester: doctor,
    patient,
    records: [{ pointer: { height: 1, index: 0 }, sections: 1 }],
    rights: [{ action: 'ReadText', class: 'Private' }],
    purpose: 'Treatment',
    emergency: null,
    grant: u8aToHex(randomBytes(32)),
  };
  await assert.rejects(submit(api, api.tx.releases.record(release), agent(1)), /releases\.RecordOfAnotherHospital/);
  const event = find(await submit(api, api.tx.releases.record(release), agent(0)), 'releases', 'Released');
  const receipt = (await api.query.releases.receipts(patient, event.receipt)).unwrap();
  assert.equal(receipt.release.grant.toHex(), release.grant);
  assert.equal(receipt.policies[0].toUtf8(), 'related professional');
  assert.equal(receipt.version.toNumber(), 0);
});

test('the policies that a hospital sets decide from then on', async () => {
  const policy = {
    name: 'nobody but patients',
    summary: 'Patients read their own records.',
    hospitals: [],
    roles: ['Patient'],
    conditions: ['RequesterIsPatient', { RequesterRegistered: 'Here' }],
    conclusion: { Allows: ['ReadText', 'ReadMedia'] },
    expires: null,
  };
  const governance = keys(network.hospitals[0].governance);
  const set = find(await submit(api, api.tx.rolePolicies.setPolicies([policy]), governance), 'rolePolicies', 'PoliciesSet');
  assert.equal(set.version.toNumber(), 1);
  const stored = (await api.query.rolePolicies.policySets(0, 1)).unwrap();
  assert.equal(stored.policies[0].name.toUtf8(), policy.name);
  assert.deepEqual(stored.policies[0].conclusion.asAllows.map((action) => action.type), ['ReadText', 'ReadMedia']);
  const refuse = api.tx.releases.refuse(doctor, patient, 'Treatment', false);
  find(await submit(api, refuse, agent(0)), 'releases', 'Refused');
});
