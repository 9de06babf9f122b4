import { createPool } from '@spillway/db';
import { startScheduler } from '../src/schedule/scheduler.ts';
import { connect } from '../src/options.ts';
import { archiveJob } from '../src/maintenance/maintenance-jobs.ts';
import { recordingLogger } from './helpers.ts';

/**
 * Runs a scheduler that archives in small batches, in a process of its own, to be killed.
 * Usage: maintenance.fixture.ts REDIS_URL DATABASE_URL
 */
const [redisUrl = '', connectionString = ''] = process.argv.slice(2);
const onError = (): void => {};
const pool = createPool({ connectionString, onError });
const logger = recordingLogger();
const table = { schema: 'public', name: 'api_call_logs' };
const job = archiveJob({
  pool,
  logger,
  tables: [{ source: table, target: { ...table, schema: 'archive' }, retentionDays: 30, batchSize: 10 }],
});
startScheduler({
  connection: connect(redisUrl, { option: 'redis', connectionName: 'schedule', onError }),
  pool,
  logger,
  jobs: [job],
});
