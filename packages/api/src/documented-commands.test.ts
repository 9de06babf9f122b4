import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createApiKey, createPool } from '@spillway/db';
import { missingPackages } from '@spillway/local-servers';
import { useRedis } from '@spillway/local-servers/testing';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { useMigratedDatabase } from '../test/use-api.ts';
import { startApi } from './start-api.ts';

const page = readFileSync(new URL('../../../docs/api.md', import.meta.url), 'utf8');
const blocks = [...page.matchAll(/^```sh\n(?<script>.*?)^```$/gmsu)].map(({ groups }) => groups?.['script'] ?? '');

/** curl fails on every status from 400 on, and the shell at the first command that fails. */
const STRICT = 'set -euo pipefail\ncurl() { command curl --silent --show-error --fail-with-body "$@"; echo; }\n';

const missing = await missingPackages([{ name: 'curl', file: '/usr/bin/curl' }]);

describe.skipIf(missing !== undefined)(`docs/api.md${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  const redis = useRedis();
  const postgres = useMigratedDatabase();

  // A copied `If-Match` once named a tag that no API gives, and the change was refused.
  it('has commands that the API carries out as they stand there, with the key alone', async () => {
    expect(blocks.length).toBeGreaterThan(5);
    const pool = createPool({ connectionString: postgres.url, onError: () => undefined });
    const logger = pino({ level: 'silent' });
    const api = await startApi({ redisUrl: redis.url, pool, host: '127.0.0.1', port: 0, logger });
    try {
      const { key } = await createApiKey(pool, { name: 'reader', scopes: ['admin'] });
      for (const block of blocks) {
        const script = STRICT + block.replaceAll('localhost:8787', new URL(api.url).host);
        expect(await bash(script, key)).toEqual({ ok: true, output: expect.any(String) });
      }
    } finally {
      await api.close(0);
      await pool.end();
    }
  });
});

/** Whether a script succeeded, and what it said. */
async function bash(script: string, key: string): Promise<{ readonly ok: boolean; readonly output: string }> {
  const options = { env: { ...process.env, SPILLWAY_KEY: key } };
  return new Promise((resolve) => {
    execFile('bash', ['-c', script], options, (error, stdout, stderr) =>
      resolve({ ok: error === null, output: error === null ? stdout : `${script}${stdout}${stderr}` }),
    );
  });
}
