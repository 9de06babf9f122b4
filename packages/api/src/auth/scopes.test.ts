import { expect, it } from 'vitest';
import { useApi } from '../testing/use-api.ts';
import type { Scope } from './principal.ts';

const api = useApi();

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

it('refuses a key what its scope does not say, and an admin key nothing', async () => {
  const decide = [
    'POST /v1/limits/ten/consume',
    'POST /v1/limits/ten/peek',
    'POST /v1/limits/ten/release',
    'POST /v1/metrics',
  ];
  expect(await refusedTo('admin')).toEqual([]);
  expect((await refusedTo('read')).filter((route) => decide.includes(route))).toEqual(decide);
  const [toDecide, toRead] = [await refusedTo('decide'), await refusedTo('read')];
  expect(toDecide.filter((route) => decide.includes(route))).toEqual([]);
  expect(toRead.filter((route) => route.startsWith('GET') && route !== 'GET /v1/keys')).toEqual([]);
  // Whatever changes something for others is for administrators alone, `/v1/keys` included.
  const admin = toDecide.filter((route) => toRead.includes(route));
  expect(admin).toEqual(toRead.filter((route) => !decide.includes(route)));
  expect(admin).toContain('GET /v1/keys');
  expect(admin).toContain('POST /v1/limits/ten/unblock');
});
