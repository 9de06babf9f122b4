import { expect, it } from 'vitest';
import { checkVariables } from './check-variables.ts';

// Nothing listens there: what a URL leads to is checked apart from what it says.
const urls = { REDIS_URL: 'redis://127.0.0.1:1', DATABASE_URL: 'postgres://127.0.0.1:1/spillway' };

async function failures(env: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const { checks } = await checkVariables({ ...urls, ...env });
  return checks.filter(({ status }) => status === 'fail').map(({ check, found }) => `${check}: ${found}`);
}

const away = 'DATABASE_URL connection: connect ECONNREFUSED 127.0.0.1:1';

it('finds nothing to change in variables that both programs take', async () => {
  expect(await failures({ PORT: '80', SPILLWAY_WORKER: 'inside', LOG_LEVEL: '', WORKER_HTTP_PORT: '9100' })).toEqual([
    away,
  ]);
});

it.each([
  ['worker', 'SPILLWAY_SINK_CONCURRENCY', '0'],
  ['worker', 'SPILLWAY_BLOCK_ROWS_PER_MINUTE', '-1'],
  ['worker', 'SPILLWAY_SHUTDOWN_TIMEOUT_MS', '4s'],
  ['worker', 'SPILLWAY_READY_MAX_LAG_MS', '0'],
  ['worker', 'SPILLWAY_ARCHIVE_TABLES', '{'],
  ['worker', 'WORKER_HTTP_PORT', '0'],
  ['worker', 'WORKER_HTTP_HOST', 'not a host'],
  ['worker', 'ALERT_WEBHOOK_URL', 'ftp://hooks.test'],
  ['worker', 'ALERT_WEBHOOK_SECRET', 'short'],
  ['worker', 'MAINTENANCE_DATABASE_URL', 'mysql://127.0.0.1'],
  ['API', 'PORT', 'http'],
  ['API', 'METRICS_PORT', '65536'],
  ['API', 'HOST', 'not a host'],
  ['API', 'SPILLWAY_SESSION_SECRET', 'short'],
  ['API', 'SPILLWAY_JWKS_URL', 'http://issuer.test/keys'],
  ['API', 'SPILLWAY_JWKS_URL', 'https://issuer.test/without-the-other-two'],
  ['API', 'SPILLWAY_TRUSTED_PROXIES', '10.0.0.0/33'],
  ['API', 'SPILLWAY_API_DEADLINE_MS', '0'],
  ['API', 'SPILLWAY_API_HEADERS_TIMEOUT_MS', '30001'],
  ['API', 'SPILLWAY_IDEMPOTENCY_MAX_BYTES', '1k'],
  ['API', 'SPILLWAY_WORKER', 'outside'],
  ['API', 'DATABASE_READ_URL', 'mysql://127.0.0.1'],
  ['API', 'WORKER_DATABASE_URL', 'mysql://127.0.0.1'],
  ['both', 'SPILLWAY_SHARDS', '4097'],
  ['both', 'SPILLWAY_NAMESPACE', 'a b'],
  ['both', 'DATABASE_SERVER', 'mysql'],
  ['both', 'LOG_LEVEL', 'loud'],
  ['both', 'QUEUE_REDIS_URL', 'http://127.0.0.1'],
])('%s: fails for %s of %j, which ends the program at its start', async (program, variable, value) => {
  const worker = variable === 'WORKER_DATABASE_URL' ? { SPILLWAY_WORKER: 'inside' } : {};
  const found = (await failures({ ...worker, [variable]: value })).filter((each) => each !== away);
  const programs = found.map((each) => /^variables of the (worker|API)/u.exec(each)?.[1]);
  expect(programs).toEqual(
    program === 'both' ? ['worker', 'API'] : [variable.startsWith('WORKER_D') ? 'worker' : program],
  );
  for (const each of found) expect(each).toMatch(/^variables of [^:]*: [A-Z_]+ must be /u);
  for (const each of found) expect(each).toContain(variable);
});

it('fails for a port that comes twice', async () => {
  expect(await failures({ PORT: '9000', METRICS_PORT: '9000' })).toContainEqual(
    expect.stringContaining('METRICS_PORT'),
  );
  const inside = { SPILLWAY_WORKER: 'inside', PORT: '9000', WORKER_HTTP_PORT: '9000' };
  expect(await failures(inside)).toContainEqual(expect.stringContaining('WORKER_HTTP_PORT must be another port'));
});

it('says all that is wrong with the variables of a program', async () => {
  const [first] = await failures({ PORT: 'http', HOST: 'not a host' });
  expect(first).toMatch(/PORT must be .*; HOST must be/u);
});

it('fails for a policy file that the programs refuse', async () => {
  expect(await failures({ SPILLWAY_FILE: '/absent/spillway.yaml' })).toContainEqual(
    expect.stringMatching(/^SPILLWAY_FILE: .*absent/u),
  );
});

it('connects to each Postgres that a variable names, once', async () => {
  const names = ['MAINTENANCE_DATABASE_URL', 'DATABASE_READ_URL', 'WORKER_DATABASE_URL'];
  const others = Object.fromEntries(names.map((name, index) => [name, `postgres://127.0.0.1:1/${index}`]));
  const found = await failures({ ...others, SPILLWAY_WORKER: 'inside' });
  expect(found.map((each) => each.split(' ')[0]).toSorted()).toEqual(['DATABASE_URL', ...names].toSorted());
  expect(await failures({ DATABASE_READ_URL: urls.DATABASE_URL })).toEqual([away]);
});
