import { createBreakers, memoryStore } from '@spillway/breaker';
import { breakerExchange } from '@spillway/breaker/exchange';
import { useRedis } from '@spillway/local-servers/testing';
import { expect, it } from 'vitest';
import { bearer, queuesOf, useApi } from '../../test/use-api.ts';

const redis = useRedis();
const api = useApi((_, tools) => ({
  maintenance: queuesOf({ ...tools, redisUrl: redis.url }).maintenance,
  breakers: createBreakers({ store: memoryStore() }),
  exchange: breakerExchange({ redis: redis.client }),
}));

interface Operation {
  readonly method: string;
  readonly path: string;
  readonly hasBody: boolean;
  readonly headers: readonly string[];
  readonly statuses: readonly string[];
}

/** Every route that needs a key, from the document. */
async function operations(): Promise<readonly Operation[]> {
  const document = JSON.parse(await (await api.app.request('/openapi.json')).text());
  return Object.entries<Record<string, Record<string, never>>>(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, operation]) => {
      const parameters: { in: string; name: string }[] = operation['parameters'] ?? [];
      const headers = parameters.filter((one) => one.in === 'header').map(({ name }) => name);
      const one = {
        method: method.toUpperCase(),
        path: path.replace('{id}', '00000000-0000-4000-8000-000000000000').replaceAll(/\{\w+\}/gu, 'ten'),
        hasBody: 'requestBody' in operation,
        headers,
        statuses: Object.keys(operation['responses'] ?? {}),
      };
      // What a load balancer asks.
      return path.endsWith('z') ? [] : [one];
    }),
  );
}

interface Asked {
  readonly query?: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The status of an answer, and whether it names the expected field; otherwise the first that it names. */
async function refusal({ method, path, hasBody }: Operation, asked: Asked, expected?: string): Promise<unknown> {
  const { query = '', body = '{}', headers = {} } = asked;
  const sent = hasBody ? { body } : {};
  const type = hasBody ? { 'Content-Type': 'application/json' } : {};
  const response = await api.app.request(`${path}${query}`, {
    method,
    headers: { ...bearer('admin'), ...type, ...headers },
    ...sent,
  });
  const { errors = [] } = JSON.parse((await response.text()) || '{}');
  const fields: string[] = errors.map(({ field }: { readonly field: string }) => field);
  return [method, path, response.status, fields.find((field) => field === expected) ?? fields[0]];
}

it('no route ignores a parameter that it does not know', async () => {
  const all = await operations();
  expect(all.length).toBeGreaterThan(50);
  for (const one of all) {
    expect(await refusal(one, { query: '?dryrun=true' }, 'dryrun')).toEqual([one.method, one.path, 400, 'dryrun']);
  }
});

it('no route takes a URL that is not percent-encoded UTF-8', async () => {
  for (const one of (await operations()).filter(({ path }) => !path.startsWith('/v1/limits/'))) {
    for (const query of ['?subject=%FF', '?subject=%', '?subject=%zz', '?a=1&subject=%ED%A0%80']) {
      expect(await refusal(one, { query })).toEqual([one.method, one.path, 400, 'subject']);
    }
  }
  for (const path of ['/v1/policies/%FF', '/v1/breakers/a%2', '/v1/metrics/%E0%A4%A/stats']) {
    const response = await api.ask('GET', path);
    expect([path, response.status, await response.json()]).toMatchObject([path, 400, { errors: [{ field: 'path' }] }]);
  }
});

it('no route takes a body that names a member twice, wherever it does', async () => {
  const withBody = (await operations()).filter(({ hasBody }) => hasBody);
  expect(withBody.length).toBeGreaterThan(25);
  for (const one of withBody) {
    for (const [body, field] of [
      ['{"subject":"a","subject":"a"}', 'subject'],
      ['{"why":"x","\\u0077hy":"y"}', 'why'],
      ['{"requests":[{"subject":"a"},{"subject":"a","cost":1,"cost":2}]}', 'requests.1.cost'],
    ] as const) {
      expect(await refusal(one, { body })).toEqual([one.method, one.path, 400, field]);
    }
  }
});

it('no route takes JSON in another character set than UTF-8', async () => {
  for (const one of (await operations()).filter(({ hasBody }) => hasBody)) {
    for (const charset of ['utf-16', 'latin1', '"ISO-8859-1"', 'utf-7; x=y']) {
      const headers = { 'Content-Type': `application/json; charset=${charset}` };
      expect(await refusal(one, { headers })).toEqual([one.method, one.path, 415, 'Content-Type']);
    }
    for (const charset of ['utf-8', 'UTF-8', '"utf-8"', 'us-ascii', 'utf8 ; x=y']) {
      const headers = { 'Content-Type': `application/json; charset=${charset}` };
      expect(await refusal(one, { headers })).not.toContain(415);
    }
  }
});

it('no route takes a body that is compressed', async () => {
  for (const one of (await operations()).filter(({ hasBody }) => hasBody)) {
    for (const coding of ['gzip', 'br', 'identity, gzip', 'x']) {
      const headers = { 'Content-Encoding': coding };
      expect(await refusal(one, { headers })).toEqual([one.method, one.path, 415, 'Content-Encoding']);
    }
    expect(await refusal(one, { headers: { 'Content-Encoding': 'identity' } })).not.toContain(415);
  }
});

it('no route ignores a condition, or an Idempotency-Key where each request creates something', async () => {
  const changing = (await operations()).filter(
    ({ method, path }) => method !== 'GET' && !/limits\/(?:ten\/)?(?:[pc]|batch|re[nlw])/u.test(path),
  );
  const ignoring = (name: string): Operation[] => changing.filter(({ headers }) => !headers.includes(name));
  const creating = changing.filter(({ statuses }) => statuses.includes('201'));
  expect([ignoring('If-Match').length, creating.length]).toEqual([expect.toSatisfy((n: number) => n > 15), 3]);
  for (const [name, routes] of [
    ['If-Match', ignoring('If-Match')],
    ['If-None-Match', ignoring('If-None-Match')],
    ['Idempotency-Key', creating],
  ] as const) {
    for (const one of routes) {
      expect(await refusal(one, { headers: { [name]: '"a"' } })).toEqual([one.method, one.path, 400, name]);
    }
  }
});
