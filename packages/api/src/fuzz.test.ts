import { createBreakers, memoryStore } from '@spillway/breaker';
import { expect, it } from 'vitest';
import { useRedis } from '@spillway/local-servers/testing';
import { useApi, bearer, queuesOf } from '../test/use-api.ts';
import fc from 'fast-check';

const redis = useRedis();
const api = useApi((_, tools) => ({
  maintenance: queuesOf({ ...tools, redisUrl: redis.url }).maintenance,
  breakers: createBreakers({ store: memoryStore() }),
}));

/** Text of every kind: any bytes, long, half a surrogate pair, what a database or a prototype might trip over. */
const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('', '\0', '\ud800', '__proto__', 'constructor', "' OR 1=1 --", '../..', '%', 'x'.repeat(5_000)),
  fc.constantFrom(
    'ten',
    'auth',
    'user-1',
    'ai_provider',
    'forced_open',
    '1',
    '-1',
    '1e999',
    'true',
    '00000000-0000-4000-8000-000000000000',
  ),
);
const anyValue = fc.oneof(anyText, fc.double(), fc.constantFrom(1, 10, 1e300, -1, 0.5, null, true), fc.jsonValue());

/** Members that routes know, with anything in them, and some that none knows. */
const known = [
  'subject',
  'action',
  'cost',
  'requests',
  'slot',
  'durationMs',
  'name',
  'scopes',
  'expiresInMs',
  'graceMs',
];
const more = [
  'value',
  'unit',
  'tags',
  'dryRun',
  'limit',
  'windowMs',
  'blockMs',
  'algorithm',
  'mode',
  'state',
  'preset',
  'why',
  'forMs',
];
const nearMiss = fc.dictionary(fc.oneof(fc.constantFrom(...known, ...more), anyText), anyValue, { maxKeys: 5 });
const plausible = fc.record(
  { subject: anyText, name: anyText, value: fc.double(), requests: fc.array(nearMiss, { maxLength: 3 }) },
  { requiredKeys: [] },
);

const bodyText = fc.oneof(
  { weight: 3, arbitrary: nearMiss.map((value) => JSON.stringify(value)) },
  { weight: 3, arbitrary: plausible.map((value) => JSON.stringify(value)) },
  fc.json(),
  anyText,
  // Well-formed, then cut.
  fc.tuple(nearMiss, fc.nat(60)).map(([value, length]) => JSON.stringify(value).slice(0, length)),
  // Deep.
  fc.integer({ min: 1, max: 50_000 }).map((depth) => '['.repeat(depth) + ']'.repeat(depth)),
  fc.integer({ min: 1, max: 5_000 }).map((depth) => `${'{"subject":'.repeat(depth)}1${'}'.repeat(depth)}`),
  fc
    .integer({ min: 1, max: 5_000 })
    .map((depth) => `{"name":"a","value":1,"tags":${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}}`),
  fc.constantFrom('{"__proto__":{"subject":"a"}}', '{"subject":"a","constructor":1}', '{"subject":"a","subject":1}'),
  // Huge.
  fc.constantFrom(300_000, 5_000_000).map((length) => `{"subject":"${'x'.repeat(length)}"}`),
);
const body = fc.oneof(
  { weight: 6, arbitrary: bodyText.map((text) => new TextEncoder().encode(text)) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 2_000 }).map((bytes) => Uint8Array.from(bytes)) },
);
const json = { weight: 5, arbitrary: fc.constant('application/json') };
const type = fc.oneof(json, fc.constantFrom('text/plain', 'application/json;charset=latin1', 'application/x+json', ''));
const admin = { weight: 6, arbitrary: fc.constant(bearer('admin').Authorization) };
const authorization = fc.oneof(
  admin,
  fc.constantFrom(
    undefined,
    'Bearer',
    'Bearer x',
    'Basic YTpi',
    `Bearer ${'x'.repeat(9_000)}`,
    bearer('read').Authorization,
  ),
);
const query = fc.array(
  fc.tuple(
    fc.constantFrom('limit', 'after', 'sinceMs', 'untilMs', 'tier', 'active', 'hours', 'runId', 'preset', 'x'),
    anyText,
  ),
  { maxLength: 3 },
);

interface Case {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly contentType: string;
  readonly Authorization: string | undefined;
  readonly names: readonly string[];
  readonly search: readonly (readonly [string, string])[];
}
const anyCase: fc.Arbitrary<Case> = fc.record({
  bytes: body,
  contentType: type,
  Authorization: authorization,
  names: fc.array(fc.oneof(anyText, fc.constantFrom('ten', 'slots', 'runware')), { minLength: 3, maxLength: 3 }),
  search: query,
});

async function routes(): Promise<readonly (readonly [string, string])[]> {
  const document = (await (await api.app.request('/openapi.json')).json()) as { paths: Record<string, object> };
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => [method.toUpperCase(), path] as const),
  );
}

async function send(method: string, path: string, { bytes, contentType, ...rest }: Case): Promise<Response> {
  let parameter = 0;
  const filled = path.replaceAll(/\{\w+\}/g, () => encodeURIComponent(rest.names[parameter++]?.toWellFormed() ?? 'x'));
  const search = rest.search.map(([name, value]) => `${name}=${encodeURIComponent(value.toWellFormed())}`).join('&');
  const headers = {
    ...(contentType === '' ? {} : { 'Content-Type': contentType }),
    ...(rest.Authorization === undefined ? {} : { Authorization: rest.Authorization }),
  };
  const withBody = method === 'GET' ? {} : { body: bytes };
  return api.app.request(`${filled}?${search}`, { method, headers, ...withBody });
}

it('every route answers malformed, huge, deep, wrong-typed and unauthenticated requests with a 4xx problem', async () => {
  const seen = new Set<number>();
  const all = await routes();
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...all), anyCase, async ([method, path], one) => {
      const response = await send(method, path, one);
      seen.add(response.status);
      if (response.status < 300) return;
      const text = await response.text();
      expect([method, path, response.status, text]).toEqual([method, path, expect.toSatisfy(is4xx), text]);
      expect(response.headers.get('Content-Type')).toBe('application/problem+json');
      expect(JSON.parse(text)).toMatchObject({ status: response.status, title: expect.any(String) as string });
    }),
    { numRuns: 60 * all.length },
  );
  expect([...seen]).toEqual(expect.arrayContaining([200, 400, 401, 403, 404, 413, 415]));
  expect(api.log.lines().filter(({ level }) => level === 50)).toEqual([]);
}, 120_000);

const is4xx = (status: number): boolean => status >= 400 && status < 500;

it('answers a method or a path that it does not serve with 404 or 405', async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom('PUT', 'PATCH', 'DELETE', 'QUERY'), fc.webPath(), async (method, path) => {
      const response = await api.app.request(path, { method, headers: bearer('admin') });
      expect([404, 405]).toContain(response.status);
      expect(response.headers.get('Content-Type')).toBe('application/problem+json');
    }),
  );
});
