import { createPool } from '@spillway/db';
import { startScheduler } from '../src/schedule/scheduler.ts';
import { connect } from '../src/options.ts';
import { recordingLogger } from './helpers.ts';

/**
 * Runs a scheduler in a process of its own, with jobs that do nothing.
 * Usage: schedule.fixture.ts REDIS_URL DATABASE_URL NAME PATTERN [DAYS of shifted-clock.fixture.ts]
 */
const [redisUrl = '', connectionString = '', name = '', pattern = ''] = process.argv.slice(2);
const onError = (): void => {};
startScheduler({
  connection: connect(redisUrl, { option: 'redis', connectionName: 'schedule', onError }),
  pool: createPool({ connectionString, onError }),
  logger: recordingLogger(),
  jobs: [{ name, patterns: [pattern], run: async () => ({ status: 'completed' }) }],
  checkIntervalMs: 100,
});
process.stdout.write(`${new Date().toISOString()}\n`);
