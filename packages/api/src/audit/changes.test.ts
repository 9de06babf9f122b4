import { expect, it } from 'vitest';
import { useApi } from '../testing/use-api.ts';
import { maintenanceControl } from '../maintenance/maintenance-control.ts';
import { memoryLog } from '../testing/memory-log.ts';

const api = useApi((pool) => ({
  maintenance: maintenanceControl({ pool, logger: memoryLog().logger, answerWithinMs: 20_000 }),
}));

interface Row {
  readonly actor: string;
  readonly action: string;
  readonly objectKind: string;
  readonly object: string;
  readonly before: unknown;
  readonly after: unknown;
}

async function changes(query = ''): Promise<readonly Row[]> {
  const answer = await api.ask('GET', `/v1/audit/changes${query}`, { as: 'read' });
  expect(answer.status).toBe(200);
  const { rows } = (await answer.json()) as { readonly rows: readonly Row[] };
  return rows;
}

const admin = async (method: string, path: string, body?: unknown): Promise<number> =>
  (await api.ask(method, path, { as: 'admin', ...(body === undefined ? {} : { body }) })).status;

it('tells of each policy, override and list entry who changed it, and from what to what', async () => {
  const policy = { algorithm: 'fixed-window', limit: 20, windowMs: 60_000 };
  expect(await admin('PUT', '/v1/policies/ten', policy)).toBe(200);
  expect(await admin('PUT', '/v1/policies/ten/overrides/u', { limit: 3 })).toBe(200);
  expect(await admin('PUT', '/v1/policies/ten/overrides/u', { limit: 4 })).toBe(200);
  expect(await admin('PUT', '/v1/lists/u', { verdict: 'deny' })).toBe(204);
  expect(await admin('PUT', '/v1/lists/u', { verdict: 'allow' })).toBe(204);
  expect(await admin('DELETE', '/v1/lists/u')).toBe(204);
  expect(await admin('DELETE', '/v1/policies/ten/overrides/u')).toBe(204);
  expect(await admin('DELETE', '/v1/policies/ten')).toBe(204);
  const rows = (await changes()).toReversed();
  expect(new Set(rows.map(({ actor }) => actor))).toEqual(new Set(['api-key:admin']));
  expect(rows.map(({ action, object, before, after }) => [action, object, before, after])).toEqual([
    [
      'set_policy',
      'ten',
      expect.objectContaining({ limit: 10 }),
      expect.objectContaining({ limit: 20, source: 'live' }),
    ],
    ['set_override', 'ten/u', null, expect.objectContaining({ limit: 3 })],
    ['set_override', 'ten/u', expect.objectContaining({ limit: 3 }), expect.objectContaining({ limit: 4 })],
    ['deny', 'u', null, 'deny'],
    ['allow', 'u', 'deny', 'allow'],
    ['unlist', 'u', 'allow', null],
    ['remove_override', 'ten/u', expect.objectContaining({ limit: 4 }), null],
    ['remove_policy', 'ten', expect.objectContaining({ limit: 20 }), null],
  ]);
  expect(await changes('?objectKind=list&action=deny')).toHaveLength(1);
  expect(await changes('?object=ten%2Fu')).toHaveLength(3);
  expect(await changes('?actor=somebody')).toEqual([]);
});

it('tells of blocks, resets, keys and jobs, and holds no secret', async () => {
  await api.ask('POST', '/v1/limits/ten/block', { as: 'operate', body: { subject: 'u', durationMs: 60_000 } });
  await api.ask('POST', '/v1/limits/ten/unblock', { as: 'operate', body: { subject: 'u' } });
  await api.ask('POST', '/v1/limits/ten/reset', { as: 'operate', body: { subject: 'u', action: 'sign-in' } });
  const made = await api.ask('POST', '/v1/keys', { as: 'admin', body: { name: 'x', scopes: ['read'] } });
  const { id, key } = (await made.json()) as { readonly id: string; readonly key: string };
  const rotated = await api.ask('POST', `/v1/keys/${id}/rotate`, { as: 'admin' });
  const successor = (await rotated.json()) as { readonly id: string; readonly key: string };
  expect(await admin('DELETE', `/v1/keys/${id}`)).toBe(204);
  await api.ask('POST', '/functions/v1/cron-cleanup-rate-limits', { as: 'maintain' });
  const rows = (await changes()).toReversed();
  expect(rows.map(({ actor, action, object }) => [actor, action, object])).toEqual([
    ['api-key:operate', 'block', 'ten/default/u'],
    ['api-key:operate', 'unblock', 'ten/default/u'],
    ['api-key:operate', 'reset', 'ten/sign-in/u'],
    ['api-key:admin', 'create_key', id],
    ['api-key:admin', 'rotate_key', successor.id],
    ['api-key:admin', 'revoke_key', id],
    ['api-key:maintain', 'run_job', 'cron-cleanup-rate-limits'],
  ]);
  expect(rows[1]?.before).toMatchObject({ reason: 'blocked' });
  const text = JSON.stringify(rows);
  for (const secret of [key, successor.key]) expect(text).not.toContain(secret.slice(-43));
});

it('has no row of what was refused or was not there', async () => {
  expect(await admin('DELETE', '/v1/lists/nobody')).toBe(404);
  expect(await admin('DELETE', '/v1/policies/ten')).toBe(404);
  expect(await admin('DELETE', '/v1/keys/00000000-0000-4000-8000-000000000000')).toBe(404);
  expect(await admin('PUT', '/v1/policies/ten', { limit: -1 })).toBe(400);
  expect((await api.ask('PUT', '/v1/lists/u', { as: 'read', body: { verdict: 'deny' } })).status).toBe(403);
  expect(await changes()).toEqual([]);
});

it('makes no change that can not be written down', async () => {
  await api.pool.query('ALTER TABLE spillway.changes ADD CONSTRAINT refuse CHECK (false) NOT VALID');
  expect(await admin('PUT', '/v1/lists/u', { verdict: 'deny' })).toBe(500);
  expect(await admin('POST', '/v1/keys', { name: 'x', scopes: ['read'] })).toBe(500);
  expect(await api.limiter.live?.list()).toMatchObject({ denied: [] });
  expect((await api.pool.query('SELECT FROM spillway.api_keys')).rowCount).toBe(0);
});
