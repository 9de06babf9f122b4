import { createPool } from '@spillway/db';
import { archiveData } from '../src/maintenance/maintenance-jobs.ts';
import { recordingLogger } from './helpers.ts';

/**
 * Runs the archival in a process of its own, to be killed. Writes a line for each batch and the report's status at last.
 * Usage: archive.fixture.ts DATABASE_URL BATCH_SIZE
 */
const [connectionString = '', batchSize = '5000'] = process.argv.slice(2);
const pool = createPool({ connectionString, onError: () => {} });
const table = {
  source: { schema: 'public', name: 'api_call_logs' },
  target: { schema: 'archive', name: 'api_call_logs' },
  retentionDays: 30,
  batchSize: Number(batchSize),
};
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
const deps = { pool, logger: recordingLogger(), tables: [table] };
try {
  const report = await archiveData(deps, { onProgress: ({ done }) => say({ done }) });
  say({ status: report.status, crashedBefore: report.crashedBefore });
} catch (error) {
  say({ status: 'no Postgres', error: String(error) });
}
await pool.end();
