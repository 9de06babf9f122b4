import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { ended, startSpillway } from '../../../test/spillway.ts';
import { useServers } from '../../../test/use-servers.ts';

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
