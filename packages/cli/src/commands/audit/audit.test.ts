import type { ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createLimiter, definePolicy } from '@spillway/limiter';
import { outboxKeys } from '@spillway/redis';
import { afterEach, expect, it } from 'vitest';
import { ended, spillway, startSpillway, useServers } from '../../../test/spillway.ts';
import { parseSelection } from './replay.ts';

const servers = useServers();

async function addBlock(identifier: string, ageSeconds: number): Promise<void> {
  await servers.postgres.pool.query(
    `INSERT INTO rate_limits_v2 (id, key, tier, action, identifier, limit_count, window_ms, request_count, denied_count,
       window_start, last_request_at, blocked_until, mode, outbox_shard, outbox_epoch, outbox_seq, created_at, updated_at)
     SELECT $1, 'k', 'generation', 'upload', $2, 20, 60000, 20, 1, t, t, t + interval '2 minutes', 'enforce', 0, 1, $3, t, t
     FROM (SELECT now() - $3 * interval '1 second' AS t) AS at`,
    [randomUUID(), identifier, ageSeconds],
  );
}

async function addBreakerEvent(): Promise<void> {
  await servers.postgres.pool.query(
    `INSERT INTO circuit_breaker_events (id, outbox_shard, outbox_epoch, outbox_seq, breaker_name, preset, event_type, failure_count, error_message, breaker_epoch)
     VALUES (gen_random_uuid(), 0, 1, 1, 'runware', 'ai_provider', 'opened', 5, 'timeout', 1)`,
  );
}

it('shows what arrives, each event once, also one that comes late, until SIGINT', async () => {
  await addBlock('before', 100);
  await addBlock('recent', 5);
  const child = startSpillway(['audit', 'tail', '--since', '60', '--interval', '20', '--json'], servers.env);
  let seen = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (seen += chunk));
  const subjects = (): string[] =>
    seen
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line).subject);
  await expect.poll(subjects, { timeout: 20_000 }).toEqual(['recent']);
  await addBlock('late', 120);
  await expect.poll(subjects, { timeout: 20_000 }).toEqual(['recent', 'late']);
  await addBreakerEvent();
  await expect.poll(subjects, { timeout: 20_000 }).toEqual(['recent', 'late', 'runware']);
  child.kill('SIGINT');
  expect(await ended(child)).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(seen.split('\n')[2] ?? '')).toMatchObject({
    kind: 'breaker',
    what: 'opened',
    detail: 'ai_provider timeout',
  });
});

it('speaks lines to people', async () => {
  await addBlock('user-1', 1);
  const child = startSpillway(['audit', 'tail', '--since', '60', '--interval', '20'], servers.env);
  let seen = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (seen += chunk));
  await expect
    .poll(() => seen, { timeout: 20_000 })
    .toMatch(/^\S+Z {2}block {2}user-1 {2}generation\/upload {2}enforce until .*\n$/u);
  child.kill('SIGTERM');
  expect(await ended(child)).toMatchObject({ code: 0, stderr: '' });
});

const SHARDS = 2;
let worker: ChildProcess | undefined;

afterEach(() => worker?.kill('SIGKILL'));

const env = (): Record<string, string> => ({ ...servers.env, SPILLWAY_SHARDS: String(SHARDS) });

/** Blocks these subjects for an hour, through a limiter. */
async function block(subjects: readonly string[]): Promise<void> {
  const policy = definePolicy({ name: 'upload', limit: 1, windowMs: 60_000, blockMs: 3_600_000 });
  const limiter = createLimiter({ redis: servers.redis.client, policies: [policy], shards: SHARDS });
  for (const subject of subjects) {
    await limiter.consume('upload', subject);
    await limiter.consume('upload', subject);
  }
  await limiter.close();
}

async function outboxes(): Promise<{ stream: string; id: string; seq: number; shard: number }[]> {
  const found = [];
  for (let shard = 0; shard < SHARDS; shard += 1) {
    const { stream } = outboxKeys(shard);
    for (const [index, [id]] of (await servers.redis.client.xrange(stream, '-', '+')).entries()) {
      found.push({ stream, id, shard, seq: index + 1 });
    }
  }
  return found;
}

/** Runs the worker until the outboxes are empty and so many blocks are stored. */
async function drain(blocks: number): Promise<void> {
  const child = startSpillway(['worker'], env());
  worker = child;
  const end = ended(child);
  await expect.poll(outboxes, { timeout: 20_000 }).toEqual([]);
  await expect.poll(storedBlocks, { timeout: 20_000 }).toBe(blocks);
  child.kill('SIGTERM');
  expect(await end).toMatchObject({ code: 0 });
}

const subjects = (count: number): string[] => Array.from({ length: count }, (_, index) => `user-${index}`);

async function storedBlocks(): Promise<number> {
  return (await servers.postgres.pool.query('SELECT FROM rate_limits_v2')).rowCount ?? 0;
}

it('reconcile names exactly the event that was deleted by hand, and once', async () => {
  await block(subjects(10));
  const [victim] = (await outboxes()).slice(3, 4);
  if (victim === undefined) throw new Error('no event');
  await servers.redis.client.xdel(victim.stream, victim.id);
  await drain(9);

  const missing = [expect.objectContaining({ shard: victim.shard, fromSeq: victim.seq, toSeq: victim.seq })];
  const dry = await spillway(['audit', 'reconcile', '--dry-run', '--json'], env());
  expect(dry).toMatchObject({ code: 4, stderr: '' });
  expect(JSON.parse(dry.stdout)).toMatchObject({ missing, missingEvents: 1, dryRun: true });

  const run = await spillway(['audit', 'reconcile'], env());
  expect(run).toMatchObject({ code: 4, stderr: '' });
  expect(run.stdout).toContain('1 missing.');
  const { rows } = await servers.postgres.pool.query(
    'SELECT kind, shard, from_seq::int AS seq FROM spillway.audit_gaps',
  );
  expect(rows).toEqual([{ kind: 'missing', shard: victim.shard, seq: victim.seq }]);

  expect(await spillway(['audit', 'reconcile'], env())).toMatchObject({
    code: 0,
    stdout: 'Nothing new is missing. Looked at 2 outboxes.\n',
  });
  const runs = await servers.postgres.pool.query(
    "SELECT trigger, status, dry_run FROM spillway.job_runs WHERE trigger = 'cli' ORDER BY started_at",
  );
  expect(runs.rows).toEqual(
    [true, false, false].map((looked) => ({ trigger: 'cli', status: 'completed', dry_run: looked })),
  );
});

it('gaps shows what is open, and resolve closes it with who and why, once', async () => {
  const id = '6f1b0a52-7c0e-4f3a-9d2b-0123456789ab';
  await servers.postgres.pool.query('DELETE FROM spillway.audit_gaps');
  expect((await spillway(['audit', 'gaps', '--all'], env())).stdout).toBe('No gap is known.\n');
  await servers.postgres.pool.query(
    `INSERT INTO spillway.audit_gaps (id, kind, shard, epoch, from_seq, to_seq) VALUES ($1, 'missing', 1, 7, 3, 4)`,
    [id],
  );
  expect((await spillway(['audit', 'gaps'], env())).stdout).toContain(id);
  const resolve = ['audit', 'resolve', id, '--note'];
  expect(await spillway([...resolve, ' '], env())).toMatchObject({ code: 2 });
  expect(await spillway(['audit', 'resolve', id], env())).toMatchObject({ code: 2 });
  expect(await spillway(['audit', 'resolve', 'x', '--note', 'y'], env())).toMatchObject({ code: 2 });
  expect(await spillway([...resolve, 'deleted by hand'], env())).toMatchObject({ code: 0, stderr: '' });
  expect((await spillway([...resolve, 'again'], env())).stdout).toMatch(/^It was resolved before, at 20/u);
  expect(await spillway(['audit', 'gaps'], env())).toMatchObject({ code: 0, stdout: 'No gap is open.\n' });
  expect(JSON.parse((await spillway(['audit', 'gaps', '--all', '--json'], env())).stdout)).toMatchObject([{ id }]);
  const nobody = await spillway(['audit', 'resolve', id.replace('6', '7'), '--note', 'y'], env());
  expect(nobody).toMatchObject({ code: 1, stderr: expect.stringContaining('There is no gap') as string });
  const { rows } = await servers.postgres.pool.query('SELECT actor, action, object, note FROM spillway.changes');
  expect(rows).toEqual([
    { actor: expect.stringMatching(/^cli:/u), action: 'resolve_gap', object: id, note: 'deleted by hand' },
  ]);
}, 120_000);

it('replay stores a dead letter after the fix, and not before', async () => {
  await servers.postgres.pool.query(
    "ALTER TABLE rate_limits_v2 ADD CONSTRAINT no_seven CHECK (identifier <> 'user-7')",
  );
  await block(subjects(10));
  await drain(9);
  const { rows } = await servers.postgres.pool.query<{ id: string }>('SELECT id FROM spillway.audit_dead_letters');
  expect(rows).toHaveLength(1);
  const id = rows[0]?.id ?? '';

  const early = await spillway(['audit', 'replay', id], env());
  expect(early.code).toBe(1);
  expect(early.stdout).toContain('"no_seven"');

  await servers.postgres.pool.query('ALTER TABLE rate_limits_v2 DROP CONSTRAINT no_seven');
  const dry = await spillway(['audit', 'replay', id, '--dry-run'], env());
  expect(dry).toMatchObject({ code: 0, stdout: 'Would store 1 of 1.\n', stderr: '' });
  expect(await storedBlocks()).toBe(9);

  const run = await spillway(['audit', 'replay', '..', '--json'], env());
  expect(JSON.parse(run.stdout)).toMatchObject({
    selected: 1,
    replayed: 1,
    replayedIds: [id],
    refused: 0,
    left: 0,
  });
  expect(await storedBlocks()).toBe(10);
  const again = await spillway(['audit', 'replay', '2026-01-01..'], env());
  expect(again).toMatchObject({ code: 0, stdout: 'There is no such dead letter.\n' });
  const runs = await servers.postgres.pool.query(
    "SELECT trigger, status, dry_run FROM spillway.job_runs WHERE job = 'replay-dead-letters' ORDER BY started_at",
  );
  expect(runs.rows.map(({ trigger, status, dry_run: looked }) => [trigger, status, looked])).toEqual([
    ['cli', 'partial', false],
    ['cli', 'completed', true],
    ['cli', 'completed', false],
    ['cli', 'completed', false],
  ]);
  const changes = await servers.postgres.pool.query(
    "SELECT actor, action, object, after FROM spillway.changes WHERE action = 'run_job' ORDER BY created_at",
  );
  expect(changes.rows).toHaveLength(4);
  expect(changes.rows[0]).toEqual({
    actor: expect.stringMatching(/^cli:/u),
    action: 'run_job',
    object: 'replay-dead-letters',
    after: { dryRun: false, selection: { ids: [id], limit: 100_000 } },
  });
});

it('reconcile ends with 5 when Redis is away', async () => {
  const { code, stderr } = await spillway(['audit', 'reconcile'], { ...env(), REDIS_URL: 'redis://127.0.0.1:1' });
  expect({ code, stderr }).toEqual({ code: 5, stderr: expect.stringMatching(/^REDIS_URL: .*ECONNREFUSED/u) });
});

const id = '6f1b0a52-7c0e-8f3a-9d2b-0123456789ab';

it.each([
  [id, { ids: [id] }],
  [id.toUpperCase(), { ids: [id] }],
  [
    '2026-01-31..2026-02-01',
    { sinceMs: Date.parse('2026-01-31T00:00:00Z'), untilMs: Date.parse('2026-02-01T00:00:00Z') },
  ],
  ['2026-01-31T10:00..', { sinceMs: Date.parse('2026-01-31T10:00:00Z') }],
  ['..2026-01-31T10:00:00.5+02:00', { untilMs: Date.parse('2026-01-31T08:00:00.500Z') }],
  ['..', {}],
])('reads %s', (text, selection) => {
  expect(parseSelection(text)).toEqual(selection);
});

it.each([
  '',
  'all',
  '2026-01-31',
  '2026-02-01..2026-01-31',
  '2026-01-31..2026-01-31',
  '2026-13-01..',
  'a..b',
  '1..2..3',
])('refuses %j', (text) => {
  expect(() => parseSelection(text)).toThrow('It must be a UUID, or two moments in order');
});
