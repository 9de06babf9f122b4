import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { listChanges } from '@spillway/db';
import { createLimiter, type Limiter, livePolicies, type LivePolicies } from '@spillway/limiter';
import { hotPathOptions } from '@spillway/redis';
import { drain, startWorker } from '@spillway/worker';
import { expect, it, onTestFinished } from 'vitest';
import { type Ended, spillway, startSpillway, useServers } from '../../test/spillway.ts';

const servers = useServers();

const FILE = `# Who may do what.
policies:
  uploads: { limit: 10, windowMs: 60000, blockMs: 60000 }
  bills: { algorithm: quota, limit: 1000, period: month }
overrides:
  - { policy: uploads, subject: 'org-7:*', limit: 200 }
lists:
  allow: [10.0.0.0/8]
  deny: ['bot-*']
plans:
  pro: [uploads, bills]
breakers:
  search: { trip: { strategy: consecutive, failures: 3 }, openMs: 1000, timeoutMs: false }
`;

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'spillway-file-'));
  onTestFinished(() => rm(path, { recursive: true }));
  return path;
}

async function fileOf(text: string): Promise<string> {
  const path = join(await folder(), 'spillway.yaml');
  await writeFile(path, text);
  return path;
}

const run = async (...args: string[]): Promise<Ended> => spillway(args, servers.env);

async function openLive(): Promise<LivePolicies> {
  const client = servers.redis.connect(hotPathOptions);
  await expect.poll(() => client.status, { timeout: 15_000 }).toBe('ready');
  const live = livePolicies({ redis: client, deadlineMs: 5_000 });
  onTestFinished(() => live.close());
  return live;
}

const version = async (): Promise<string | null> => servers.redis.client.hget('{sw:00}:live-entries', 'version');

it('applies a file, writes down who applied which, and changes nothing the second time', async () => {
  const path = await fileOf(FILE);
  const diff = await run('apply', path, '--diff');
  expect(diff).toMatchObject({ code: 0, stderr: '' });
  expect(diff.stdout).toContain('7 would change; nothing was.');
  expect(await version()).toBeNull();
  const first = await run('apply', path);
  expect(first).toMatchObject({ code: 0, stderr: '' });
  expect(first.stdout).toContain('+ policy uploads: ');
  expect(first.stdout).toContain('Set 7, removed 0.');
  expect(first.stdout).toContain('Breaker presets hold from the next start of each program that reads them.');

  const live = await openLive();
  expect(await live.list()).toMatchObject({
    policies: expect.arrayContaining([expect.objectContaining({ name: 'uploads', limit: 10 })]),
    overrides: [{ policy: 'uploads', subject: 'org-7:*', limit: 200 }],
    allowed: ['10.0.0.0/8'],
    denied: ['bot-*'],
    plans: [{ name: 'pro', policies: ['uploads', 'bills'] }],
    presets: [{ name: 'search', openMs: 1000, timeoutMs: false }],
    file: { name: 'spillway.yaml', sha256: createHash('sha256').update(FILE).digest('hex'), changes: 7 },
  });
  const at = await version();
  const again = await run('apply', path);
  expect(again).toMatchObject({ code: 0, stdout: 'Nothing to change.\n' });
  expect(await version()).toBe(at);

  await drain({ redis: servers.redis.url, pool: servers.postgres.pool });
  const { rows } = await listChanges(servers.postgres.pool);
  expect(rows).toHaveLength(8);
  expect(rows.filter(({ action }) => action === 'apply_file')).toMatchObject([
    {
      actor: expect.stringMatching(new RegExp(`^cli:.+@${hostname()}$`, 'u')),
      objectKind: 'file',
      object: 'spillway.yaml',
      after: { sha256: createHash('sha256').update(FILE).digest('hex') },
    },
  ]);
  for (const row of rows) expect(row.note).toMatch(/^spillway\.yaml [\da-f]{16}$/u);
}, 120_000);

it('exports what is set, in any order that it was set in, and to apply that changes nothing', async () => {
  const live = await openLive();
  await live.setPolicy({ name: 'tokens', algorithm: 'token-bucket', limit: 5, windowMs: 1_000, burst: 20 });
  await live.setPolicy({ name: 'leased', limit: 5_000, windowMs: 60_000, lease: { size: 5, ttlMs: 100 } });
  await live.setPolicy({ name: 'near', limit: 50, windowMs: 60_000, nearLimit: 0.8, onUnavailable: 'closed' });
  await live.setOverride({ policy: 'near', subject: '12345', mode: 'shadow' });
  await live.deny('yes');
  await live.deny('2001:db8::/48');
  await live.allow('a: "b" # c\n');
  await live.blockEverywhere('mallory');
  await run('apply', await fileOf(FILE));
  const at = await version();
  const exported = await run('export');
  expect(exported).toMatchObject({ code: 0, stderr: '' });
  expect(exported.stdout).not.toContain('mallory');
  const path = await fileOf(exported.stdout);
  expect((await run('apply', path, '--diff', '--prune')).stdout).toBe('Nothing would change.\n');
  expect(await run('apply', path, '--prune')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('Nothing to change.'),
  });
  expect((await live.list()).blocked).toMatchObject([{ subject: 'mallory' }]);
  expect((await run('export')).stdout).toBe(exported.stdout);
  expect(Number(await version())).toBeGreaterThanOrEqual(Number(at));
}, 120_000);

it('leaves what the file does not name and says so, and removes it with --prune', async () => {
  const live = await openLive();
  await live.setPolicy({ name: 'old', limit: 1, windowMs: 1_000 });
  await live.deny('198.51.100.0/24');
  await live.deny('10.0.0.0/8');
  await live.setPlan({ name: 'gone', policies: ['old'] });
  await live.blockEverywhere('mallory');
  const path = await fileOf(FILE);
  const kept = await run('apply', path);
  expect(kept.stdout).toContain(
    'Not in the file, and kept: policy old, plan gone, list 198.51.100.0/24. --prune removes',
  );
  expect(kept.stdout).toContain('~ list 10.0.0.0/8: "deny" → "allow"');
  expect((await live.list()).policies.map(({ name }) => name)).toContain('old');
  const pruned = await run('apply', path, '--prune');
  expect(pruned.stdout).toContain('- policy old\n');
  expect(pruned.stdout).toContain('Set 0, removed 3.');
  const { policies, denied, plans, blocked } = await live.list();
  expect(policies.map(({ name }) => name).toSorted()).toEqual(['bills', 'uploads']);
  expect({ denied, plans }).toEqual({ denied: ['bot-*'], plans: [{ name: 'pro', policies: ['uploads', 'bills'] }] });
  expect(blocked).toHaveLength(1);
}, 120_000);

it('shows which members of a policy change', async () => {
  await run('apply', await fileOf(FILE));
  const { stdout } = await run('apply', await fileOf(FILE.replace('limit: 10,', 'limit: 20,')), '--diff', '--json');
  expect(JSON.parse(stdout)).toMatchObject({
    sets: [{ kind: 'policy', name: 'uploads', before: { limit: 10 }, after: { limit: 20 } }],
    unnamed: [],
  });
  const people = await run('apply', await fileOf(FILE.replace('limit: 10,', 'limit: 20,')));
  expect(people.stdout).toContain('~ policy uploads: limit 10 → 20\n');
}, 60_000);

it('can be killed anywhere: the next apply does the rest', async () => {
  const policies = Array.from({ length: 400 }, (_, index) => `  p${index}: { limit: ${index + 1}, windowMs: 60000 }`);
  const path = await fileOf(`policies:\n${policies.join('\n')}\n`);
  const child = startSpillway(['apply', path], servers.env);
  const fields = async (): Promise<number> => servers.redis.client.hlen('{sw:00}:live-entries');
  await expect.poll(fields, { timeout: 30_000, interval: 1 }).toBeGreaterThan(10);
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('close', resolve));
  const live = await openLive();
  const half = await live.list();
  expect(half.policies.length).toBeLessThan(400);
  expect(half.file).toBeUndefined();
  expect(await run('apply', path)).toMatchObject({ code: 0, stdout: expect.stringContaining('Set ') });
  const done = await live.list();
  expect(done.policies).toHaveLength(400);
  expect(done.file).toMatchObject({ changes: 400 - half.policies.length });
}, 120_000);

it('two files applied at once leave entries of one or the other, each whole', async () => {
  const other = FILE.replace('limit: 10,', 'limit: 11,').replace('limit: 200', 'limit: 201');
  const paths = [await fileOf(FILE), await fileOf(other)];
  const ended = await Promise.all(paths.map((path) => run('apply', path)));
  for (const { code } of ended) expect([0, 3]).toContain(code);
  const { policies, overrides } = await (await openLive()).list();
  expect([10, 11]).toContain(policies.find(({ name }) => name === 'uploads')?.limit);
  expect([200, 201]).toContain(overrides[0]?.limit);
}, 60_000);

it('reaches limiters that run, and a plan of the file is what a guard asks for', async () => {
  const client = servers.redis.connect(hotPathOptions);
  await expect.poll(() => client.status, { timeout: 15_000 }).toBe('ready');
  const policies = [{ name: 'uploads', limit: 3, windowMs: 60_000 }] as const;
  const limiter = createLimiter<typeof policies>({ redis: client, policies, live: true, deadlineMs: 5_000 });
  onTestFinished(() => limiter.close());
  const { stdout } = await run('apply', await fileOf(FILE));
  expect(stdout).toContain('1 limiter applies it.');
  await expect.poll(async () => (await limiter.peek('uploads', 'ada')).limit, { timeout: 15_000 }).toBe(10);
  expect(limiter.live.plan('pro')).toEqual(['uploads', 'bills']);
  expect(await limiter.consume('uploads', 'bot-1')).toMatchObject({ allowed: false, reason: 'deny_listed' });
}, 60_000);

it('says what is wrong with line and column, ends with 2, and changes nothing', async () => {
  const path = await fileOf('policies:\n  uploads: { limit: 0, windowMs: 60000 }\n  downloads: { limt: 1 }\n');
  const { code, stderr } = await run('apply', path);
  expect(code).toBe(2);
  expect(stderr).toContain(`${path}:2:21: policies.uploads.limit must be a whole number from 1`);
  expect(stderr).toContain(`${path}:3:16: policies.downloads.limt is not an option here`);
  expect(await version()).toBeNull();
  expect(await run('apply', '/nowhere.yaml')).toMatchObject({ code: 2, stderr: expect.stringContaining('ENOENT') });
  expect(await spillway(['apply', await fileOf(FILE)], { REDIS_URL: 'redis://127.0.0.1:1' })).toMatchObject({
    code: 5,
  });
}, 60_000);

it('prints the schema for editors without a server', async () => {
  const { code, stdout } = await spillway(['export', '--schema'], {});
  const shipped: unknown = JSON.parse(await readFile(new URL('../../spillway.schema.json', import.meta.url), 'utf8'));
  expect({ code, schema: JSON.parse(stdout) as unknown }).toEqual({ code: 0, schema: shipped });
});

const soon = { timeout: 15_000 };
const subject = (...args: string[]) => spillway(['subject', ...args], servers.env);

async function application(): Promise<Limiter & { readonly live: LivePolicies }> {
  const client = servers.redis.connect(hotPathOptions);
  await expect.poll(() => client.status, soon).toBe('ready');
  const policies = [{ name: 'uploads', limit: 10, windowMs: 60_000 }] as const;
  const limiter = createLimiter<typeof policies>({ redis: client, policies, live: true, deadlineMs: 5_000 });
  onTestFinished(() => limiter.close());
  return limiter;
}

it('blocks a subject everywhere for a time, lists it and unblocks it, and the trail says who', async () => {
  const limiter = await application();
  const blocked = await subject('block', 'ip:203.0.113.7', '--for', '2h', '--why', 'spam');
  expect(blocked).toMatchObject({ code: 0, stderr: '' });
  expect(blocked.stdout).toMatch(/^Blocked ip:203\.0\.113\.7 until .*Z\. 1 limiter applies it\.\n$/);
  await expect.poll(() => limiter.consume('uploads', 'ip:203.0.113.7'), soon).toMatchObject({ reason: 'blocked' });
  const { stdout } = await subject('list', '--json');
  const until: unknown = expect.stringMatching(/Z$/);
  expect(JSON.parse(stdout)).toEqual({ blocked: [{ subject: 'ip:203.0.113.7', blockedUntil: until }] });
  expect(await subject('unblock', 'ip:203.0.113.7')).toMatchObject({ code: 0 });
  expect(await subject('unblock', 'ip:203.0.113.7')).toMatchObject({ code: 1 });
  await expect.poll(async () => (await limiter.consume('uploads', 'ip:203.0.113.7')).allowed, soon).toBe(true);

  const { pool } = servers.postgres;
  const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const worker = startWorker({ redis: servers.redis.url, pool, shards: 16, logger, pump: { lingerMs: 10 } });
  onTestFinished(() => worker.close());
  const actor = expect.stringMatching(new RegExp(`^cli:.+@${hostname()}$`, 'u')) as unknown;
  const rows = async (): Promise<unknown> => (await listChanges(pool)).rows.toReversed();
  await expect.poll(rows, soon).toMatchObject([
    { actor, action: 'block_everywhere', object: 'ip:203.0.113.7', note: 'spam', before: null },
    { actor, action: 'unblock_everywhere', object: 'ip:203.0.113.7', note: null, after: null },
  ]);
}, 60_000);

it('says plainly when no limiter applies it', async () => {
  const { code, stdout } = await subject('block', 'u');
  expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining('no limiter applies it now') });
  const json = await subject('block', 'u', '--json');
  expect(JSON.parse(json.stdout)).toEqual({ subject: 'u', existed: true, otherLimiters: 0, blockedUntil: null });
});

async function listed(env: Readonly<Record<string, string>>): Promise<unknown> {
  return JSON.parse((await spillway(['subject', 'list', '--json'], env)).stdout);
}

it('blocks in the namespace of the variables, and in no other', async () => {
  const env = { ...servers.env, SPILLWAY_NAMESPACE: 'staging' };
  expect(await spillway(['subject', 'block', 'ada'], env)).toMatchObject({ code: 0 });
  expect(await listed(env)).toEqual({ blocked: [{ subject: 'ada', blockedUntil: null }] });
  expect(await listed(servers.env)).toEqual({ blocked: [] });
}, 60_000);

it.each([
  [['block', 'u', '--for', '90s'], 2],
  [['block', 'u', '--for', '60d'], 2],
  [['block', ''], 2],
  [['block', 'u', '--why', 'x'.repeat(501)], 2],
])('refuses %j with the code of a wrong command line', async (args, code) => {
  expect((await subject(...args)).code).toBe(code);
});

it('ends with the code of a missing server when Redis cannot be reached', async () => {
  const ended = await spillway(['subject', 'block', 'u'], { REDIS_URL: 'redis://127.0.0.1:1' });
  expect(ended).toMatchObject({ code: 5 });
});
