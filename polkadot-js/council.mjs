// Motions of the council through @polkadot/api.

import { find, describe, submit } from './chain.mjs';

/** The most that a motion's call may weigh: a fifth of a block. What the call does not use is given back. */
export const LARGEST = { refTime: 400_000_000_000, proofSize: 8 * 1024 * 1024 };

/** A call that needs root. The council dispatches it with two thirds of the votes. */
export const asRoot = (api, call) => api.tx.councilRoot.dispatch(call);

/** The votes that a motion with this call needs. Nodes refuse any other threshold. */
export async function threshold(api, call) {
  const members = (await api.query.council.members()).length;
  return call.method.section === 'councilRoot' ? Math.ceil((2 * members) / 3) : Math.floor(members / 2) + 1;
}

/** Proposes a motion. A proposal is no vote. */
export async function propose(api, call, member) {
  const length = call.method.encodedLength;
  const events = await submit(api, api.tx.council.propose(await threshold(api, call), call, length), member);
  const { proposalHash, proposalIndex } = find(events, 'council', 'Proposed');
  return { hash: proposalHash, index: proposalIndex, length };
}

/** Votes for motions, in one transaction. */
export function approve(api, motions, member) {
  const votes = motions.map(({ hash, index }) => api.tx.council.vote(hash, index, true));
  return submit(api, api.tx.utility.batchAll(votes), member);
}

/**
 * Closes a motion that has enough votes. Resolves with `executed`, or with the name of the error with which its call
 * failed: what root dispatched may fail although the motion did not.
 */
export async function close(api, { hash, index, length }, member) {
  const events = await submit(api, api.tx.council.close(hash, index, LARGEST, length), member);
  const executed = find(events, 'council', 'Executed').result;
  if (executed.isErr) return describe(api, executed.asErr);
  const dispatched = events.find(({ section }) => section === 'councilRoot')?.data.result;
  return dispatched?.isErr ? describe(api, dispatched.asErr) : 'executed';
}

/** Passes motions with the votes of all members, up to two for each. Resolves with what each came to. */
export async function decide(api, members, calls) {
  const motions = await inTurn(members, calls, (call, member) => propose(api, call, member));
  await Promise.all(members.map((member) => approve(api, motions, member)));
  return inTurn(members, motions, (motion, member) => close(api, motion, member));
}

/** Each member does its part of the work, one after the other, while the other members do theirs. */
async function inTurn(members, work, act) {
  const done = [];
  await Promise.all(members.map(async (member, seat) => {
    for (let at = seat; at < work.length; at += members.length) done[at] = await act(work[at], member);
  }));
  return done;
}
