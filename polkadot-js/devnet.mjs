// Starts a real network for a test, and stops it.

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The folder with epione, epione-node and epione-worker. */
const programs = process.env.EPIONE_BIN_DIR;

/** Resolves when a process has ended, even if its parent has not waited for it yet. */
async function hasEnded(pid) {
  for (;;) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    if (stat === '' || stat.slice(stat.lastIndexOf(')')).startsWith(') Z')) return;
    await setTimeout(100);
  }
}

/**
 * Starts a network, and stops its workers: the test uses the hospitals' agent keys itself, and two users of the same
 * key would race for its nonce.
 */
export async function startWithoutWorkers(hospitals) {
  if (!programs) throw new Error('EPIONE_BIN_DIR must name the folder with epione; `make test-polkadot-js` sets it');
  const directory = await mkdtemp(join(tmpdir(), 'epione-polkadot-js-'));
  const epione = join(programs, 'epione');
  const down = async () => {
    await run(epione, ['devnet', 'down', '--dir', directory]);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await run(epione, ['devnet', 'up', '--detach', '--hospitals', `${hospitals}`, '--dir', directory]);
    const state = JSON.parse(await readFile(join(directory, 'devnet.json'), 'utf8'));
    for (const { worker } of state.hospitals) process.kill(worker.pid, 'SIGTERM');
    for (const { worker } of state.hospitals) await hasEnded(worker.pid);
    return { hospitals: state.hospitals, down };
  } catch (error) {
    await down().catch(() => {});
    throw error;
  }
}
