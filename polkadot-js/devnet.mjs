// Starts a real network for a test, and stops it.

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The folder with epione, epione-node and epione-worker. */
const programs = process.env.EPIONE_BIN_DIR;

/**
 * Starts a network without workers: the test uses the hospitals' agent keys itself. Two users of the same key would race
 * for its nonce, and workers begin a ceremony of the consortium key by themselves.
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
    const up = ['devnet', 'up', '--detach', '--without-workers', '--hospitals', `${hospitals}`, '--dir', directory];
    await run(epione, up);
    const state = JSON.parse(await readFile(join(directory, 'devnet.json'), 'utf8'));
    return { hospitals: state.hospitals, down };
  } catch (error) {
    await down().catch(() => {});
    throw error;
  }
}
