import { createBreakers, memoryStore } from '@spillway/breaker';
import { breakerExchange } from '@spillway/breaker/exchange';
import { expect, it } from 'vitest';
import { useRedis } from '@spillway/local-servers/testing';
import { useApi, queuesOf } from '../../test/use-api.ts';
import type { Scope } from '../openapi/api-app.ts';

const redis = useRedis();
const api = useApi((_, tools) => ({
  attempts: { failuresPerMinute: 1_000 },
  breakers: createBreakers({ store: memoryStore() }),
  exchange: breakerExchange({ redis: redis.client }),
  maintenance: queuesOf({ ...tools, redisUrl: redis.url }).maintenance,
}));

interface Operation {
  readonly method: string;
  readonly path: string;
}

/** Every route that the API says it has. */
async function operations(): Promise<readonly Operation[]> {
  const document = (await (await api.app.request('/openapi.json')).json()) as { paths: Record<string, object> };
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => ({ method: method.toUpperCase(), path: path.replaceAll(/\{\w+\}/g, 'ten') })),
  );
}

/** Without a key, and open to anybody. */
const open = new Set(['GET /healthz', 'GET /readyz']);

it('asks everybody for a key on every route but those of a load balancer', async () => {
  const asked = (await operations()).filter(({ method, path }) => !open.has(`${method} ${path}`));
  expect(asked.length).toBeGreaterThan(15);
  for (const { method, path } of asked) {
    for (const Authorization of [undefined, 'Bearer made-up', 'Basic YTpi', 'admin', 'Bearer', 'Bearer a b']) {
      const response = await api.app.request(path, { method, headers: Authorization ? { Authorization } : {} });
      expect([method, path, response.status]).toEqual([method, path, 401]);
      expect(response.headers.get('WWW-Authenticate')).toMatch(/^Bearer realm="spillway"/);
      expect(response.headers.get('Content-Type')).toBe('application/problem+json');
    }
  }
});

/** What a scope is refused, as `METHOD path`. */
async function refusedTo(as: Scope): Promise<readonly string[]> {
  const refused: string[] = [];
  for (const { method, path } of await operations()) {
    const body = method === 'POST' || method === 'PUT' ? { body: {} } : {};
    if ((await api.ask(method, path, { as, ...body })).status === 403) refused.push(`${method} ${path}`);
  }
  return refused.toSorted();
}

/** What a key of each scope alone may do besides what it is open to everybody. */
const rights: Readonly<Record<Exclude<Scope, 'admin' | 'read'>, readonly string[]>> = {
  decide: [
    'POST /v1/limits/consume-all',
    'POST /v1/limits/ten/batch',
    'POST /v1/limits/ten/consume',
    'POST /v1/limits/ten/peek',
    'POST /v1/limits/ten/penalize',
    'POST /v1/limits/ten/release',
    'POST /v1/limits/ten/renew',
    'POST /v1/limits/ten/reward',
  ],
  report: ['POST /v1/breakers/commands', 'POST /v1/breakers/news'],
  metrics: ['POST /v1/metrics'],
  operate: [
    'DELETE /v1/lists/entry',
    'DELETE /v1/policies/ten/override',
    'GET /v1/maintenance/runs',
    'GET /v1/maintenance/runs/ten',
    'POST /v1/audit/dead-letters/replay',
    'POST /v1/audit/gaps/ten/resolve',
    'POST /v1/limits/ten/block',
    'POST /v1/limits/ten/reset',
    'POST /v1/limits/ten/unblock',
    'POST /v1/subjects/block',
    'POST /v1/subjects/unblock',
    'PUT /v1/breakers/ten',
    'PUT /v1/lists/entry',
    'PUT /v1/policies/ten/override',
  ],
  maintain: [
    'GET /v1/audit/archival-runs',
    'GET /v1/maintenance/runs',
    'GET /v1/maintenance/runs/ten',
    'POST /functions/v1/cron-archive-data',
    'POST /functions/v1/cron-cleanup-rate-limits',
    'POST /functions/v1/cron-create-partitions',
    'POST /v1/audit/dead-letters/replay',
    'POST /v1/audit/gaps/ten/resolve',
    'POST /v1/maintenance/ten',
  ],
};

it('refuses a key what its scope does not say, and an admin key nothing', async () => {
  const asked = (await operations()).map(({ method, path }) => `${method} ${path}`).filter((route) => !open.has(route));
  const allowedTo = async (as: Scope): Promise<readonly string[]> => {
    const refused = await refusedTo(as);
    return asked.filter((route) => !refused.includes(route)).toSorted();
  };
  for (const scope of ['decide', 'report', 'metrics', 'operate', 'maintain'] as const) {
    expect([scope, await allowedTo(scope)]).toEqual([scope, rights[scope]]);
  }
  // By POST, so that no subject is in an address.
  const lookUp = 'POST /v1/subjects/look-up';
  const looks = asked
    .filter((route) => (route.startsWith('GET') && !route.startsWith('GET /v1/keys')) || route === lookUp)
    .toSorted();
  expect(await allowedTo('read')).toEqual(looks);
  expect(await refusedTo('admin')).toEqual([]);
  // Whatever no other scope may do: who may use the API, and what its rules are.
  const others = new Set([...looks, ...Object.values(rights).flat()]);
  expect(asked.filter((route) => !others.has(route)).toSorted()).toEqual([
    'DELETE /v1/keys/ten',
    'DELETE /v1/plans/ten',
    'DELETE /v1/policies/ten',
    'DELETE /v1/presets/ten',
    'GET /v1/keys',
    'GET /v1/keys/ten',
    'POST /v1/keys',
    'POST /v1/keys/ten/rotate',
    'PUT /v1/plans/ten',
    'PUT /v1/policies/ten',
    'PUT /v1/presets/ten',
  ]);
});

it('says of every route in the document which scope it needs', async () => {
  const document = (await (await api.app.request('/openapi.json')).json()) as {
    paths: Record<string, Record<string, { security: { key: string[] }[] }>>;
  };
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, { security }] of Object.entries(methods)) {
      const route = `${method.toUpperCase()} ${path.replaceAll(/\{\w+\}/g, 'ten')}`;
      if (open.has(route)) continue;
      const named = security.flatMap(({ key }) => key);
      const several = /archival-runs|resolve|replay/u.test(route) ? 2 : 1;
      expect([route, named.length]).toEqual([route, route.includes('maintenance/runs') ? 3 : several]);
      const [scope = ''] = named;
      if (scope in rights) expect(rights[scope as 'decide']).toContain(route);
    }
  }
});

const record = async (name: string, tags = {}): Promise<number> =>
  (await api.ask('POST', '/v1/metrics', { as: 'metrics', body: { name, value: 1, tags } })).status;

it('refuses samples under the names that the worker’s own metrics have', async () => {
  const ours = [
    'audit_oldest_event_age_ms',
    'audit_anything',
    'rate_limit.decisions',
    'clock_skew_ms',
    'job_duration_ms',
  ];
  for (const name of ours) expect([name, await record(name)]).toEqual([name, 400]);
  for (const name of ['flush_lag', 'my_audit_lag', 'job_length_ms'])
    expect([name, await record(name)]).toEqual([name, 201]);
  const tags = Object.fromEntries(Array.from({ length: 17 }, (_, index) => [`t${index}`, index]));
  expect(await record('flush_lag', tags)).toBe(400);
});

it('refuses lists and overrides of everybody, which only a policy may say', async () => {
  for (const [path, body] of [
    ['/v1/lists/entry', { entry: '*', verdict: 'allow' }],
    ['/v1/lists/entry', { entry: '**', verdict: 'deny' }],
    ['/v1/policies/ten/override', { subject: '***', limit: 5 }],
    ['/v1/policies/ten/override', { subject: '*', mode: 'shadow' }],
  ] as const) {
    expect([path, (await api.ask('PUT', path, { as: 'operate', body })).status]).toEqual([path, 400]);
  }
});
