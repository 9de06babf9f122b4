import { expect, it, vi } from 'vitest';
import { keyDirectory } from './auth/key-directory.ts';
import { useApi, memoryLog } from '../test/use-api.ts';

const onKeysChanged = vi.fn<() => Promise<void>>(async () => undefined);
const api = useApi(() => ({ onKeysChanged }));

interface Made {
  readonly id: string;
  readonly key: string;
  readonly scopes: string[];
}
const made = async (response: Response): Promise<Made> => {
  expect(response.status).toBe(201);
  expect(response.headers.get('Cache-Control')).toBe('no-store');
  return (await response.json()) as Made;
};
const create = async (body: object = {}): Promise<Made> =>
  made(await api.ask('POST', '/v1/keys', { body: { name: 'gateway', scopes: ['decide'], ...body } }));

it('a key is shown once, and neither its text nor the hash ever again', async () => {
  const { id, key, scopes } = await create({ scopes: ['decide', 'read', 'decide'] });
  expect(key).toMatch(/^sw_[0-9a-f]{32}_[\w-]{43}$/);
  expect(scopes).toEqual(['decide', 'read']);
  const list = await (await api.ask('GET', '/v1/keys')).text();
  expect(list).toContain(id);
  expect(list).not.toContain(key.slice(-43));
  expect(list.toLowerCase()).not.toContain('hash');
  expect(await (await api.ask('GET', `/v1/keys/${id}`)).json()).toEqual(JSON.parse(list).rows[0]);
  const { rows } = await api.pool.query('SELECT * FROM spillway.api_keys');
  expect(JSON.stringify(rows)).not.toContain(key.slice(-43));
  expect(api.log.text()).not.toContain(key);
  expect(onKeysChanged).toHaveBeenCalled();
});

it('a key can have any of the scopes, and no other', async () => {
  for (const scope of ['decide', 'report', 'read', 'metrics', 'operate', 'maintain', 'admin']) {
    expect((await create({ scopes: [scope] })).scopes).toEqual([scope]);
  }
  const wrong = { name: 'a', scopes: ['root'] };
  expect((await api.ask('POST', '/v1/keys', { body: wrong })).status).toBe(400);
});

it('a rotation makes a successor with the same name and scopes; both are valid until the grace is over', async () => {
  const old = await create();
  const next = await made(await api.ask('POST', `/v1/keys/${old.id}/rotate`, { body: { graceMs: 60_000 } }));
  const keys = keyDirectory({ db: api.pool, logger: memoryLog().logger });
  expect([await keys.verify(old.key), await keys.verify(next.key)]).toMatchObject([
    { kind: 'known', principal: { scopes: ['decide'] } },
    { kind: 'known', principal: { scopes: ['decide'] } },
  ]);
  await made(await api.ask('POST', `/v1/keys/${next.id}/rotate`, { body: { graceMs: 0 } }));
  await keys.refresh();
  expect(await keys.verify(next.key)).toEqual({ kind: 'unknown' });
  await keys.close();
});

it('a rotation without a body gives a day of grace', async () => {
  const { id } = await create();
  await made(await api.ask('POST', `/v1/keys/${id}/rotate`));
  const { rows } = await api.pool.query<{ hours: number }>(
    'SELECT round(extract(epoch FROM expires_at - now()) / 3600)::int AS hours FROM spillway.api_keys WHERE id = $1',
    [id],
  );
  expect(rows).toEqual([{ hours: 24 }]);
});

it('a revoked key stays in the list, with its end', async () => {
  const { id } = await create();
  expect((await api.ask('DELETE', `/v1/keys/${id}`)).status).toBe(204);
  expect((await api.ask('DELETE', `/v1/keys/${id}`)).status).toBe(204);
  expect(await (await api.ask('GET', '/v1/keys?active=false')).json()).toMatchObject({
    rows: [{ id, revokedAtMs: expect.any(Number) as number }],
  });
  expect(await (await api.ask('GET', `/v1/keys/${id}`)).json()).toMatchObject({ revokedAtMs: expect.any(Number) });
  expect(await (await api.ask('GET', '/v1/keys?active=true')).json()).toEqual({ rows: [], next: null });
  expect((await api.ask('POST', `/v1/keys/${id}/rotate`)).status).toBe(404);
});

it.each([
  [{ scopes: [] }, 'scopes'],
  [{ scopes: ['root'] }, 'scopes.0'],
  [{ name: '' }, 'name'],
  [{ expiresInMs: 0 }, 'expiresInMs'],
  [{ expires: 5 }, 'expires'],
])('refuses %j', async (body, field) => {
  const response = await api.ask('POST', '/v1/keys', { body: { name: 'a', scopes: ['read'], ...body } });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ errors: [{ field }] });
});

it('knows no key that is none', async () => {
  expect((await api.ask('DELETE', '/v1/keys/12')).status).toBe(400);
  const nobody = '/v1/keys/00000000-0000-4000-8000-000000000000';
  expect((await api.ask('DELETE', nobody)).status).toBe(404);
  expect((await api.ask('GET', nobody)).status).toBe(404);
  expect((await api.ask('POST', `${nobody}/rotate`)).status).toBe(404);
});
