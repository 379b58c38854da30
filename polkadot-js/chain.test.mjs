// Tests of Epione's chain through Polkadot.js, with a real network of four hospitals.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';

import { ApiPromise, Keyring, WsProvider } from '@polkadot/api';
import { blake2AsHex, cryptoWaitReady } from '@polkadot/util-crypto';
import { u8aToHex } from '@polkadot/util';

import {
  NO_SEGMENTS, considered, consent, find, namedAccount, readBody, rpc, signRequest, subject, submit, userId,
} from './chain.mjs';
import { LARGEST, asRoot, close, decide, propose, threshold } from './council.mjs';
import { startWithoutWorkers } from './devnet.mjs';

let network;
let api;
let keys;

let patient;
let doctor;
const sealingKeyHash = u8aToHex(randomBytes(32));
const record = u8aToHex(randomBytes(16));
const body = u8aToHex(randomBytes(2_000));

before(async () => {
  network = await startWithoutWorkers(4);
  await cryptoWaitReady();
  const keyring = new Keyring({ type: 'sr25519' });
  keys = (uri) => keyring.addFromUri(uri);
  patient = userId(keys('//Patient'), sealingKeyHash);
  doctor = userId(keys('//Doctor'), sealingKeyHash);
  api = await ApiPromise.create({ provider: new WsProvider(network.hospitals[0].nodeUrl), rpc, noInitWarn: true });
}, { timeout: 900_000 });

after(async () => {
  await api?.disconnect();
  await network?.down();
});

const agent = (hospital) => keys(network.hospitals[hospital].agent);

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
    const call = api.tx.profiles.register(user, role, account.address, sealingKeyHash, signed, u8aToHex(sealed));
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
  const account = keys('//Owner');
  const user = userId(account, sealingKeyHash);
  const forged = consent(api, keys('//Thief'), 0, user);
  const call = api.tx.profiles.register(user, 'Doctor', account.address, sealingKeyHash, forged, '0x00');
  await assert.rejects(submit(api, call, agent(0)), /^Error: profiles\.InvalidConsent$/);
});

test('nobody can register under the id of another user', async () => {
  const thief = keys('//Thief');
  const user = userId(keys('//Owner'), sealingKeyHash);
  const signed = consent(api, thief, 0, user);
  const call = api.tx.profiles.register(user, 'Doctor', thief.address, sealingKeyHash, signed, '0x00');
  await assert.rejects(submit(api, call, agent(0)), /^Error: profiles\.AnotherUser$/);
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
  const entry = {
    record,
    hash: blake2AsHex(body),
    patient,
    text: { offset: 0, length: 2_000 },
    media: { offset: 0, length: 0 },
  };
  const announce = api.tx.liteBlocks.announce({ announcer: 0, segments: NO_SEGMENTS }, [entry], body);
  const { id, bodyHash } = find(await submit(api, announce, agent(0)), 'liteBlocks', 'Announced');
  assert.equal(bodyHash.toHex(), blake2AsHex(body));

  const verified = subject(announce);
  const approve = () => api.tx.approvals.approve(id, verified);
  const another = api.tx.approvals.approve(id, blake2AsHex(body));
  await assert.rejects(submit(api, another, agent(1)), /approvals\.AnotherSubject/);
  find(await submit(api, approve(), agent(1)), 'approvals', 'Approved');
  await assert.rejects(submit(api, approve(), agent(1)), /approvals\.AlreadyVoted/);
  await assert.rejects(submit(api, approve(), agent(0)), /approvals\.OwnBallot/);
  const committed = find(await submit(api, approve(), agent(2)), 'liteBlocks', 'Committed');
  const height = committed.height.toNumber();

  const ballot = (await api.query.approvals.ballots(id)).unwrap();
  assert.equal(ballot.outcome.unwrap().type, 'Approved');
  assert.equal(ballot.subject.toHex(), verified);
  assert.deepEqual(ballot.approvals.map(({ hospital }) => hospital.toNumber()), [1, 2]);
  const header = (await api.query.liteBlocks.headers(height)).unwrap();
  assert.equal(header.bodyHash.toHex(), bodyHash.toHex());
  assert.equal(u8aToHex(await readBody(api, bodyHash.toHex())), body);

  const latest = (await api.query.indexLinks.latest(patient)).unwrap();
  assert.deepEqual([latest.height.toNumber(), latest.index.toNumber()], [height, 0]);
  const reply = (await api.rpc.liteBlocks.record({ height, index: 0 })).toJSON();
  assert.equal(reply.text, body);
  assert.equal(reply.entry.hash, blake2AsHex(body));
  const { hashes } = (await api.rpc.liteBlocks.header(height)).toJSON();
  assert.equal(hashes.lite, committed.liteHash.toHex());
  const history = await api.rpc.liteBlocks.history(patient, null, 10);
  assert.deepEqual(history.map((item) => item.toJSON().pointer), [{ height, index: 0 }]);
});

test('the newest final block comes with the votes for it', async () => {
  const { header, justification } = (await api.rpc.finality.newest()).toJSON();
  const finalized = await api.rpc.chain.getHeader(await api.rpc.chain.getFinalizedHead());
  assert.ok(Number(header.number) > 0);
  assert.ok(Number(header.number) <= finalized.number.toNumber());
  // A justification begins with a round (u64), then the hash of the block for which it is.
  const hash = await api.rpc.chain.getBlockHash(Number(header.number));
  assert.equal(`0x${justification.slice(2 + 16, 2 + 16 + 64)}`, hash.toHex());
});

test('a record is committed once', async () => {
  const bytes = u8aToHex(randomBytes(100));
  const entry = {
    record,
    hash: blake2AsHex(bytes),
    patient,
    text: { offset: 0, length: 100 },
    media: { offset: 0, length: 0 },
  };
  const again = api.tx.liteBlocks.announce({ announcer: 0, segments: NO_SEGMENTS }, [entry], bytes);
  await assert.rejects(submit(api, again, agent(0)), /liteBlocks\.RepeatedRecord/);
});

test('a patient gives a consent, places sections, and ends both', async () => {
  const pointer = { height: 1, index: 0 };
  const sections = (bits) => [{ pointer, sections: bits }];
  const consent = {
    audience: [{ User: doctor }],
    purposes: ['Research'],
    kinds: 0,
    recorded: { from: null, to: null },
    until: (await api.query.timestamp.now()).toNumber() + 86_400_000,
    standing: false,
  };
  const give = api.tx.sharing.give(3, consent, 0);
  const given = find(await submit(api, give, keys('//Patient')), 'sharing', 'Changed');
  assert.equal((await api.query.sharing.slotHeights(patient, 3)).toNumber(), given.height.toNumber());
  assert.equal(given.change.asGiven.version.toNumber(), 1);
  await submit(api, api.tx.sharing.place(3, sections(5)), keys('//Patient'));
  await assert.rejects(submit(api, api.tx.sharing.place(3, sections(1)), keys('//Doctor')), /sharing\.NotPatient/);
  await submit(api, api.tx.sharing.remove(3, sections(1)), keys('//Patient'));
  const [placement] = await api.query.sharing.placed(pointer);
  assert.equal(placement.sections.toNumber(), 4);
  await submit(api, api.tx.sharing.withdraw(3), keys('//Patient'));
  assert.ok((await api.query.sharing.consents(patient, 3)).unwrap().ended.isSome);
});

test('a hospital confirms an attribute of a user, and revokes that', async () => {
  assert.equal((await api.query.credentials.attributes.entries()).length, 6);
  assert.equal((await api.query.credentials.attributes(0)).unwrap().toUtf8(), 'cardiology');
  const governance = keys(network.hospitals[1].governance);
  const until = (await api.query.timestamp.now()).toNumber() + 86_400_000;
  const issue = (attribute) => submit(api, api.tx.credentials.issue(doctor, attribute, until), governance);
  const issued = find(await issue(0), 'credentials', 'Issued');
  assert.deepEqual([issued.user.toHex(), issued.issuer.toNumber()], [doctor, 1]);
  const credential = (await api.query.credentials.credentials(doctor, 0, 1)).unwrap();
  assert.equal(credential.until.toNumber(), until);
  await assert.rejects(issue(6), /credentials\.UnknownAttribute/);
  const revoke = () => submit(api, api.tx.credentials.revoke(doctor, 0), governance);
  find(await revoke(), 'credentials', 'Revoked');
  await assert.rejects(revoke(), /credentials\.NotInForce/);
});

/** What the doctor asks hospital 0 for. */
async function request() {
  return {
    requester: doctor,
    patient,
    hospital: 0,
    records: [{ pointer: { height: 1, index: 0 }, sections: 3 }],
    purpose: 'Treatment',
    emergency: null,
    at: await api.query.timestamp.now(),
    nonce: u8aToHex(randomBytes(16)),
  };
}

test('a release is recorded in a receipt, with the policy that allowed it', async () => {
  const release = {
    ...signRequest(api, keys('//Doctor'), await request()),
    records: [{ pointer: { height: 1, index: 0 }, sections: 1 }],
    rights: [{ action: 'ReadText', class: 'Private' }],
    grant: u8aToHex(randomBytes(32)),
  };
  const forged = { ...release, ...signRequest(api, keys('//Alice//agent'), release.request) };
  await assert.rejects(submit(api, api.tx.releases.record(forged), agent(0)), /releases\.InvalidRequest/);
  await assert.rejects(submit(api, api.tx.releases.record(release), agent(1)), /releases\.RequestToAnotherHospital/);
  const event = find(await submit(api, api.tx.releases.record(release), agent(0)), 'releases', 'Released');
  const receipt = (await api.query.releases.receipts(patient, event.receipt)).unwrap();
  assert.equal(receipt.release.grant.toHex(), release.grant);
  assert.equal(receipt.policies[0].toUtf8(), 'related professional');
  assert.equal(receipt.version.toNumber(), 0);
  const again = { ...release, grant: u8aToHex(randomBytes(32)) };
  await assert.rejects(submit(api, api.tx.releases.record(again), agent(0)), /releases\.AlreadyAnswered/);
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
  const asked = signRequest(api, keys('//Doctor'), await request());
  const refuse = api.tx.releases.refuse(asked.request, asked.signature);
  find(await submit(api, refuse, agent(0)), 'releases', 'Refused');
});

test('a patient accepts a query, and the mailbox records once that it hands out the grant', async () => {
  const pointer = { height: 1, index: 0 };
  const terms = u8aToHex(randomBytes(1_200));
  const expires = (await api.query.system.number()).toNumber() + 1_000;
  const records = [{ pointer, sections: 3 }];
  const ask = api.tx.queries.ask(0, patient, sealingKeyHash, records, 'Research', expires, terms);
  const { query } = find(await submit(api, ask, keys('//Doctor')), 'queries', 'Asked');
  assert.equal((await api.query.queries.terms(query)).unwrap().toHex(), terms);

  const grant = u8aToHex(randomBytes(32));
  const until = (await api.query.timestamp.now()).toNumber() + 3_600_000;
  const asked = (await api.query.queries.queries(query)).unwrap();
  assert.equal(asked.hospital.toNumber(), 0);
  const meant = considered(query, asked, keys('//Doctor'), sealingKeyHash);
  const other = considered(query, asked, keys('//Patient'), sealingKeyHash);
  const accept = (hash = meant) =>
    api.tx.queries.accept(query, hash, [{ pointer, sections: 1 }], grant, until, 0);
  await assert.rejects(submit(api, accept(other), keys('//Patient')), /queries\.RequesterChanged/);
  await assert.rejects(submit(api, accept(), keys('//Doctor')), /queries\.NotPatient/);
  find(await submit(api, accept(), keys('//Patient')), 'queries', 'Accepted');
  const stored = (await api.query.queries.queries(query)).unwrap();
  assert.equal(stored.terms.toHex(), blake2AsHex(terms));
  const accepted = stored.answer.unwrap().asAccepted;
  assert.equal(accepted.audience.toString(), keys('//Doctor').address);
  assert.equal(accepted.sealingKey.toHex(), sealingKeyHash);
  assert.ok((await api.query.queries.terms(query)).isNone);

  await assert.rejects(submit(api, api.tx.queries.transfer(query), agent(1)), /queries\.NotMailbox/);
  find(await submit(api, api.tx.queries.transfer(query), agent(0)), 'queries', 'Transferred');
  assert.equal((await api.query.queries.transfers(query)).unwrap().grant.toHex(), grant);
  await assert.rejects(submit(api, api.tx.queries.transfer(query), agent(0)), /queries\.AlreadyTransferred/);
});

test('an opening needs a standing consent', async () => {
  const pointer = { height: 1, index: 0 };
  const records = [{ pointer, sections: 1 }];
  const consent = {
    audience: [{ User: doctor }],
    purposes: ['Research'],
    kinds: 0,
    recorded: { from: null, to: null },
    until: (await api.query.timestamp.now()).toNumber() + 86_400_000,
  };
  const give = async (standing) => {
    const seen = await api.query.sharing.slotHeights(patient, 5);
    await submit(api, api.tx.sharing.give(5, { ...consent, standing }, seen), keys('//Patient'));
  };
  // A user asks about once in half a minute: until then, the quota is used up (refusal 6).
  const ask = async (purpose, reason = null) => {
    const call = api.tx.openings.ask(0, patient, records, purpose, reason);
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await submit(api, call, keys('//Doctor'));
      } catch (error) {
        if (attempt === 20 || !/Custom error: 6/.test(error.message)) throw error;
        await new Promise((resolve) => setTimeout(resolve, 3_000));
      }
    }
  };
  await give(false);
  await assert.rejects(ask('Research'), /openings\.NotAdmitted/);
  await assert.rejects(ask('Emergency'), /openings\.ReasonMismatch/);
  await assert.rejects(ask('Emergency', 'LifeThreatening'), /openings\.NotAdmitted/);
  await give(true);
  assert.ok((await api.query.sharing.consents(patient, 5)).unwrap().consent.standing.isTrue);
  // It admits, but nothing is placed in the slot yet, or the hospitals have no key yet.
  await assert.rejects(ask('Research'), /openings\.(NotPlaced|NoKey)/);
  await assert.rejects(submit(api, api.tx.openings.handOut(0), agent(0)), /openings\.UnknownOpening/);
  await submit(api, api.tx.sharing.withdraw(5), keys('//Patient'));
  await assert.rejects(ask('Research'), /openings\.NotAdmitted/);
});

test('a patient appoints a representative, authorizes a hospital, and dismisses the representative', async () => {
  const until = (await api.query.timestamp.now()).toNumber() + 86_400_000;
  const appoint = (representative) => submit(api, api.tx.mandates.appoint(representative, until), keys('//Patient'));
  const appointed = find(await appoint(doctor), 'mandates', 'Appointed');
  assert.deepEqual([appointed.patient.toHex(), appointed.representative.toHex()], [patient, doctor]);
  const mandate = async () => (await api.query.mandates.representatives(patient, doctor)).unwrap();
  assert.equal((await mandate()).until.toNumber(), until);
  assert.ok((await mandate()).ended.isNone);

  const authorized = find(await submit(api, api.tx.mandates.authorize(0, until), keys('//Patient')), 'mandates', 'Authorized');
  assert.equal(authorized.hospital.toNumber(), 0);
  assert.equal((await api.query.mandates.authorizations(patient, 0)).unwrap().until.toNumber(), until);

  find(await submit(api, api.tx.mandates.dismiss(patient, doctor), keys('//Doctor')), 'mandates', 'Dismissed');
  assert.ok((await mandate()).ended.isSome);
});

test('a hospital begins a ceremony of the consortium key, and another one enrols', async () => {
  const key = randomBytes(1_217);
  const begin = api.tx.consortiumKey.begin(u8aToHex(key));
  const begun = find(await submit(api, begin, agent(0)), 'consortiumKey', 'Begun');
  assert.ok(begun.reshares.isNone);
  const ceremony = (await api.query.consortiumKey.ceremony()).unwrap();
  assert.equal(ceremony.phase.type, 'Enrol');
  assert.deepEqual(ceremony.seats.map((seat) => seat.toNumber()), [0, 1, 2, 3]);
  assert.equal(ceremony.threshold.toNumber(), 3);
  const hash = (await api.query.consortiumKey.enrolments(begun.ceremony, 0)).unwrap().toHex();
  assert.deepEqual(Buffer.from(await readBody(api, hash)), key);

  const enrol = (id) => api.tx.consortiumKey.enrol(id, u8aToHex(randomBytes(1_217)));
  const enrolled = find(await submit(api, enrol(begun.ceremony), agent(1)), 'consortiumKey', 'Enrolled');
  assert.equal(enrolled.hospital.toNumber(), 1);
  await assert.rejects(submit(api, enrol(99), agent(2)), /consortiumKey\.AnotherCeremony/);
  assert.equal((await api.query.consortiumKey.schedule()).phase.toNumber(), 10);
  assert.ok((await api.query.consortiumKey.current()).isNone);
});

/** The governance accounts of the founders, which are in the council. */
const members = () => network.hospitals.map(({ governance }) => keys(governance));
const root = (call) => asRoot(api, call);

test('nodes refuse a motion with another threshold, and close none before its votes', async () => {
  const remark = root(api.tx.system.remark('0x00'));
  assert.equal(await threshold(api, remark), 3);
  assert.equal(await threshold(api, api.tx.hospitals.suspend(1)), 3);
  const [first, second, third] = members();
  for (const wrong of [1, 2, 4]) {
    const call = api.tx.council.propose(wrong, remark, remark.method.encodedLength);
    await assert.rejects(submit(api, call, first), /Custom error: 14/);
  }
  const motion = await propose(api, remark, first);
  await assert.rejects(close(api, motion, first), /council\.TooEarly/);
  const { hash, index, length } = motion;
  const reject = (member) => submit(api, api.tx.council.vote(hash, index, false), member);
  await Promise.all([second, third].map(reject));
  await assert.rejects(reject(second), /council\.DuplicateVote/);
  await assert.rejects(submit(api, api.tx.council.vote(hash, index, true), agent(1)), /Custom error: 3/);
  const voting = (await api.query.council.voting(hash)).unwrap();
  assert.deepEqual([voting.threshold.toNumber(), voting.ayes.length, voting.nays.length], [3, 0, 2]);
  assert.equal((await api.query.council.proposalOf(hash)).unwrap().method, 'dispatch');
  // Too many are against it.
  find(await submit(api, api.tx.council.close(hash, index, LARGEST, length), first), 'council', 'Disapproved');
  find(await submit(api, api.tx.council.releaseProposalCost(hash), first), 'council', 'ProposalCostReleased');
});

test('the council decides about quotas, attributes, the consortium key and custodians', async () => {
  const limits = (await api.query.quotas.currentLimits()).toJSON();
  limits.records.account.bytes = 4_294_967_296;
  const outcomes = await decide(api, members(), [
    root(api.tx.credentials.nameAttribute('genetics')),
    root(api.tx.quotas.setLimits(limits)),
    root(api.tx.consortiumKey.seat([0, 1, 2, 3])),
    api.tx.consortiumKey.schedule(await api.query.consortiumKey.schedule()),
    root(api.tx.consortiumKey.renew()),
    root(api.tx.custody.appoint(2, 1)),
    root(api.tx.custody.dismiss(2)),
    root(api.tx.profiles.completeRecovery(doctor, null)),
  ]);
  assert.deepEqual(outcomes.slice(0, 4), Array(4).fill('executed'));
  assert.deepEqual(outcomes.slice(4), [
    'consortiumKey.NoKey', 'custody.NotRemoved', 'custody.NoCustodian', 'profiles.NoRecovery',
  ]);
  assert.equal((await api.query.credentials.attributes(6)).unwrap().toUtf8(), 'genetics');
  const { records } = await api.query.quotas.currentLimits();
  assert.equal(records.account.bytes.toNumber(), 4_294_967_296);
  assert.equal((await api.query.consortiumKey.committee()).unwrap().length, 4);
});

test('the council admits a hospital, authorizes an upgrade, and ends motions without their votes', async () => {
  const until = (await api.query.system.number()).toNumber() + 1_000;
  const governance = namedAccount(api, keys('//Eve'), 4, 'Governance', until);
  const worker = namedAccount(api, keys('//Eve//agent'), 4, 'Agent', until);
  const url = 'https://eve.example';
  const remark = (text, member) => propose(api, root(api.tx.system.remark(text)), member);
  const ended = await Promise.all([remark('0x01', members()[2]), remark('0x02', members()[3])]);
  const code = u8aToHex(randomBytes(32));
  const outcomes = await decide(api, members(), [
    root(api.tx.system.authorizeUpgrade(code)),
    root(api.tx.system.authorizeUpgradeWithoutChecks(code)),
    api.tx.council.disapproveProposal(ended[0].hash),
    root(api.tx.council.kill(ended[1].hash)),
    api.tx.hospitals.reinstate(1),
    api.tx.hospitals.admit('Eve', governance, worker, url, '0x0102', randomBytes(32)),
  ]);
  assert.deepEqual(outcomes, [...Array(4).fill('executed'), 'hospitals.NotSuspended', 'executed']);
  assert.equal((await api.query.system.authorizedUpgrade()).unwrap().codeHash.toHex(), code);
  const live = (await api.query.council.proposals()).map((hash) => hash.toHex());
  assert.ok(ended.every(({ hash }) => !live.includes(hash.toHex())));
  const hospital = (await api.query.hospitals.hospitals(4)).unwrap();
  assert.deepEqual([hospital.name.toUtf8(), hospital.status.type], ['Eve', 'Active']);
  assert.equal((await api.query.council.members()).length, 5);
  // The delay of the authorization has not passed, or the code is another one.
  const apply = api.tx.system.applyAuthorizedUpgrade('0x00');
  await assert.rejects(submit(api, apply, members()[0]), /Custom error: (16|19)/);
});

test('the council suspends a hospital, and replaces a governance account that was lost', async () => {
  const until = (await api.query.system.number()).toNumber() + 1_000;
  const next = namedAccount(api, keys('//Dave//next'), 3, 'Governance', until);
  const outcomes = await decide(api, members(), [
    api.tx.hospitals.suspend(4),
    root(api.tx.hospitals.replaceGovernance(3, next)),
  ]);
  assert.deepEqual(outcomes, ['executed', 'executed']);
  assert.equal((await api.query.hospitals.hospitals(4)).unwrap().status.type, 'Suspended');
  assert.equal((await api.query.hospitals.replacements(3)).unwrap().governance.toString(), next.account);
  assert.equal((await api.query.council.members()).length, 4);
  // The delay has not passed, and the present account objects.
  const complete = api.tx.hospitals.completeReplacement(3);
  await assert.rejects(submit(api, complete, members()[0]), /hospitals\.ReplacementTooEarly/);
  const objected = await submit(api, api.tx.hospitals.objectToReplacement(), members()[3]);
  assert.equal(find(objected, 'hospitals', 'ReplacementWithdrawn').hospital.toNumber(), 3);
});

// The last test: the next session begins with a set of authorities that is announced by force.
test('the council removes a hospital, and resumes finality', async () => {
  const head = await api.rpc.chain.getHeader(await api.rpc.chain.getFinalizedHead());
  const number = head.number.toNumber();
  const outcomes = await decide(api, members(), [
    api.tx.hospitals.remove(4),
    root(api.tx.grandpa.noteStalled(40, number)),
  ]);
  assert.deepEqual(outcomes, ['executed', 'executed']);
  assert.equal((await api.query.hospitals.hospitals(4)).unwrap().status.type, 'Removed');
  assert.deepEqual((await api.query.grandpa.stalled()).toJSON(), [40, number]);
});
