import { createLimiter } from '@spillway/limiter';
import { hotPathOptions } from '@spillway/redis';
import { beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { useStartedApi } from '../../test/use-started-api.ts';

const api = useStartedApi();
const soon = { timeout: 15_000 };
let key: Awaited<ReturnType<typeof api.newKey>>;
beforeEach(async () => {
  key = await api.newKey('admin');
  await vi.waitUntil(async () => (await fetch(`${api.url}/readyz`)).ok, soon);
});

async function ask(method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
  const response = await fetch(`${api.url}${path}`, {
    method,
    headers: { Authorization: `Bearer ${key.key}`, 'Content-Type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const answer: unknown = response.status === 204 ? {} : await response.json();
  return { status: response.status, ...(answer as object) };
}

async function application() {
  const client = api.redis.connect(hotPathOptions);
  await vi.waitUntil(() => client.status === 'ready', soon);
  const policies = [{ name: 'standard', limit: 100, windowMs: 60_000 }] as const;
  const limiter = createLimiter({ redis: client, policies, live: true, deadlineMs: 5_000 });
  onTestFinished(() => limiter.close());
  return limiter;
}

interface Row {
  readonly actor: string;
  readonly action: string;
  readonly object: string;
  readonly before: unknown;
  readonly after: unknown;
  readonly note: string | null;
}

async function changes(query = ''): Promise<readonly Row[]> {
  const { status, rows } = await ask('GET', `/v1/audit/changes${query}`);
  expect(status).toBe(200);
  return (rows as readonly Row[]).toReversed();
}

const limit = (units: number): unknown => expect.objectContaining({ limit: units });
const others = async (): Promise<unknown> =>
  (await ask('PUT', '/v1/lists/entry', { entry: 'u', verdict: 'deny' }))['otherLimiters'];

it('tells of each policy, override and list entry, and each block of everything, who changed it from what to what', async () => {
  const rules = { algorithm: 'fixed-window', limit: 20, windowMs: 60_000 };
  const standard = '/v1/policies/standard';
  expect(await ask('PUT', standard, rules)).toMatchObject({ status: 200 });
  await ask('PUT', `${standard}/override`, { subject: 'u', limit: 3 });
  await ask('PUT', `${standard}/override`, { subject: 'u', limit: 4 });
  await ask('PUT', '/v1/lists/entry', { entry: 'u', verdict: 'deny', why: 'spam' });
  await ask('PUT', '/v1/lists/entry', { entry: 'u', verdict: 'allow' });
  await ask('DELETE', '/v1/lists/entry?entry=u');
  await ask('DELETE', `${standard}/override?subject=u`);
  expect(await ask('DELETE', standard)).toMatchObject({ status: 200 });
  await ask('POST', '/v1/subjects/block', { subject: 'u', durationMs: 60_000, why: 'spam' });
  await ask('POST', '/v1/subjects/unblock', { subject: 'u' });
  api.startWorker();
  const blocked = { blockedUntilMs: expect.any(Number) as unknown };
  const told = async (): Promise<unknown[]> =>
    (await changes()).map(({ action, object, before, after, note }) => [action, object, before, after, note]);
  await expect.poll(told, soon).toEqual([
    ['set_policy', 'standard', limit(100), limit(20), null],
    ['set_override', 'standard/u', null, { limit: 3 }, null],
    ['set_override', 'standard/u', { limit: 3 }, { limit: 4 }, null],
    ['deny', 'u', null, 'deny', 'spam'],
    ['allow', 'u', 'deny', 'allow', null],
    ['unlist', 'u', 'allow', null, null],
    ['remove_override', 'standard/u', { limit: 4 }, null, null],
    ['remove_policy', 'standard', limit(20), null, null],
    ['block_everywhere', 'u', null, blocked, 'spam'],
    ['unblock_everywhere', 'u', blocked, null, null],
  ]);
  expect(new Set((await changes()).map(({ actor }) => actor))).toEqual(new Set([`api-key:${key.id}`]));
  expect(await changes('?objectKind=list&action=deny')).toHaveLength(1);
  expect(await changes('?object=standard%2Fu')).toHaveLength(3);
  expect(await changes('?actor=somebody')).toEqual([]);
});

it('tells of blocks, resets, breakers, keys and jobs once each, and holds no secret', async () => {
  const standard = '/v1/limits/standard';
  expect(await ask('POST', `${standard}/block`, { subject: 'u', durationMs: 60_000, why: 'spam' })).toMatchObject({
    blockedUntilMs: expect.any(Number),
  });
  expect(await ask('POST', `${standard}/unblock`, { subject: 'u' })).toMatchObject({ wasBlocked: true });
  await ask('POST', `${standard}/consume`, { subject: 'u', action: 'sign-in', cost: 2 });
  expect(await ask('POST', `${standard}/reset`, { subject: 'u', action: 'sign-in' })).toEqual({ status: 204 });
  await ask('PUT', '/v1/breakers/s3?preset=storage', { mode: 'isolated', why: 'their status page' });
  const made = await ask('POST', '/v1/keys', { name: 'x', scopes: ['read'] });
  const successor = await ask('POST', `/v1/keys/${String(made['id'])}/rotate`);
  expect(await ask('DELETE', `/v1/keys/${String(made['id'])}`)).toEqual({ status: 204 });
  expect(await ask('POST', '/functions/v1/cron-cleanup-rate-limits')).toMatchObject({ status: 'queued' });
  api.startWorker();
  const actor = `api-key:${key.id}`;
  const told = async (): Promise<unknown[]> => (await changes()).map((row) => [row.actor, row.action, row.object]);
  await expect
    .poll(async () => new Set(await told()), soon)
    .toEqual(
      new Set([
        [actor, 'block', 'standard/default/u'],
        [actor, 'unblock', 'standard/default/u'],
        [actor, 'reset', 'standard/sign-in/u'],
        [actor, 'force_open', 'storage/s3'],
        [actor, 'create_key', made['id']],
        [actor, 'rotate_key', successor['id']],
        [actor, 'revoke_key', made['id']],
        [actor, 'run_job', 'cron-cleanup-rate-limits'],
      ]),
    );
  expect(await told()).toHaveLength(8);
  expect(await changes('?action=reset')).toMatchObject([{ before: { blockedUntilMs: null, units: 2 }, after: null }]);
  expect(await changes('?action=block')).toMatchObject([{ note: 'spam' }]);
  const text = JSON.stringify(await changes());
  for (const secret of [made['key'], successor['key']]) expect(text).not.toContain(String(secret).slice(-43));
});

it('has no row of what was refused or was not there', async () => {
  expect(await ask('DELETE', '/v1/lists/entry?entry=nobody')).toMatchObject({ status: 404 });
  expect(await ask('DELETE', '/v1/policies/standard')).toMatchObject({ status: 404 });
  expect(await ask('DELETE', '/v1/keys/00000000-0000-4000-8000-000000000000')).toMatchObject({ status: 404 });
  expect(await ask('PUT', '/v1/policies/standard', { limit: -1 })).toMatchObject({ status: 400 });
  expect(await ask('POST', '/v1/subjects/block', { subject: 'u', why: 'x'.repeat(501) })).toMatchObject({
    status: 400,
    errors: [{ field: 'why' }],
  });
  expect(await ask('POST', '/v1/subjects/unblock', { subject: 'u' })).toMatchObject({ wasBlocked: false });
  await ask('PUT', '/v1/lists/entry', { entry: 'last', verdict: 'deny' });
  api.startWorker();
  await expect.poll(async () => (await changes()).map(({ object }) => object), soon).toEqual(['last']);
});

it('changes what Redis holds while Postgres takes no rows, and makes no key that cannot be written down', async () => {
  await api.pool.query('ALTER TABLE spillway.changes RENAME TO away');
  expect(await ask('PUT', '/v1/lists/entry', { entry: 'u', verdict: 'deny' })).toMatchObject({ status: 200 });
  expect((await ask('POST', '/v1/keys', { name: 'x', scopes: ['read'] }))['status']).toBeGreaterThanOrEqual(500);
  expect((await api.pool.query('SELECT FROM spillway.api_keys')).rowCount).toBe(1);
  await api.pool.query('ALTER TABLE spillway.away RENAME TO changes');
  api.startWorker();
  await expect.poll(async () => (await changes()).map(({ object }) => object), soon).toEqual(['u']);
});

const reachable = [
  ['PUT', '/v1/policies/standard', { limit: 5, windowMs: 60_000 }],
  ['PUT', '/v1/policies/standard/override', { subject: 'a', limit: 5 }],
  ['PUT', '/v1/policies/standard/override', { subject: 'b', limit: 5 }],
  ['PUT', '/v1/lists/entry', { entry: 'c', verdict: 'deny' }],
  ['PUT', '/v1/lists/entry', { entry: 'd', verdict: 'allow' }],
  ['POST', '/v1/subjects/block', { subject: 'e' }],
  ['POST', '/v1/subjects/unblock', { subject: 'e' }],
  ['DELETE', '/v1/lists/entry?entry=c', undefined],
  ['DELETE', '/v1/lists/entry?entry=d', undefined],
  ['DELETE', '/v1/policies/standard/override?subject=a', undefined],
  ['DELETE', '/v1/policies/standard/override?subject=b', undefined],
  ['DELETE', '/v1/policies/standard', undefined],
] as const;

it('each answer to a change says how many other limiters take it over, and warns when there are none', async () => {
  for (const [method, path, body] of reachable) {
    const warning: unknown = expect.stringContaining('live: true');
    expect([path, await ask(method, path, body)]).toMatchObject([path, { status: 200, otherLimiters: 0, warning }]);
  }
  const limiter = await application();
  await expect.poll(others, soon).toBe(1);
  for (const [method, path, body] of reachable) {
    const answer = await ask(method, path, body);
    expect([path, answer]).toMatchObject([path, { status: 200, otherLimiters: 1 }]);
    expect(answer).not.toHaveProperty('warning');
  }
  await limiter.close();
  expect(await others()).toBe(0);
});

it('a subject that is blocked everywhere by HTTP is refused by the application and by the API until it is unblocked', async () => {
  const limiter = await application();
  const { blockedUntilMs } = await ask('POST', '/v1/subjects/block', {
    subject: 'ip:203.0.113.7',
    durationMs: 3_600_000,
  });
  const refused = { allowed: false, reason: 'blocked', blockedUntilMs };
  await expect.poll(() => limiter.consume('standard', 'ip:203.0.113.7'), soon).toMatchObject(refused);
  const body = { subject: 'ip:203.0.113.7', action: 'upload' };
  expect(await ask('POST', '/v1/limits/strict/consume', body)).toMatchObject(refused);
  expect(await ask('GET', '/v1/subjects/blocked')).toMatchObject({
    rows: [{ subject: 'ip:203.0.113.7', blockedUntilMs }],
    next: null,
  });
  expect(await ask('POST', '/v1/subjects/unblock', { subject: 'ip:203.0.113.7' })).toMatchObject({ wasBlocked: true });
  await expect.poll(async () => (await limiter.consume('standard', 'ip:203.0.113.7')).allowed, soon).toBe(true);
  expect(await ask('POST', '/v1/subjects/block', { subject: 'u' })).toMatchObject({ blockedUntilMs: null });
});
