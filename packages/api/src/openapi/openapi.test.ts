import { z } from '@hono/zod-openapi';
import { Validator } from '@seriousme/openapi-schema-validator';
import * as tables from '@spillway/db/schema';
import { useRedis } from '@spillway/local-servers/testing';
import { getTableColumns, is } from 'drizzle-orm';
import { PgTable } from 'drizzle-orm/pg-core';
import { Hono } from 'hono';
import { describe, expect, it } from 'vitest';
import { queuesOf, useApi } from '../../test/use-api.ts';
import { pageSecurityHeaders } from './document.ts';
import { outboxColumns, rowSchema } from './rows.ts';

async function policyOf(...needs: Parameters<typeof pageSecurityHeaders>): Promise<string | null> {
  const app = new Hono().get('/', pageSecurityHeaders(...needs), (context) => context.text(''));
  return (await app.request('/')).headers.get('Content-Security-Policy');
}

describe('the document', () => {
  const api = useApi();

  const documentOf = async (): Promise<Record<string, unknown>> =>
    (await (await api.app.request('/openapi.json')).json()) as Record<string, unknown>;

  interface Described {
    readonly operationId: string;
    readonly security: readonly unknown[];
    readonly requestBody?: object;
    readonly responses: Readonly<Record<string, { readonly headers?: object }>>;
  }

  interface Listing {
    readonly operationId: string;
    readonly parameters?: readonly { readonly name: string }[];
    readonly responses: Readonly<
      Record<
        string,
        {
          readonly content?: Record<
            string,
            { readonly schema: { readonly $ref?: string; readonly properties?: object } }
          >;
        }
      >
    >;
  }

  interface Schema {
    readonly type?: string | readonly string[];
    readonly anyOf?: readonly Schema[];
    readonly format?: string;
    readonly description?: string;
  }

  it('/openapi.json is a valid OpenAPI 3.1 document', async () => {
    const document = await documentOf();
    expect(document['openapi']).toBe('3.1.0');
    expect(await new Validator().validate(document)).toEqual({ valid: true });
  });

  it('describes every route that is served, and none that is not', async () => {
    const { paths } = (await documentOf()) as { paths: Record<string, Record<string, unknown>> };
    const described = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`),
    );
    const served = api.app.routes
      .filter(({ method }) => method !== 'ALL')
      .map(({ method, path }) => `${method} ${path}`);
    const routes = new Set(served.filter((route) => !/ \/(?:docs|openapi\.json|dashboard)/.test(route)));
    expect([...routes].toSorted()).toEqual(described.toSorted());
  });

  it('says of every refusal that it is a problem document', async () => {
    const text = JSON.stringify(await documentOf());
    expect(text).toContain('"application/problem+json"');
    const refusals = [...text.matchAll(/"(4\d\d|5\d\d)":\{"description":"[^"]*","content":\{"([^"]+)"/g)];
    expect(refusals.length).toBeGreaterThan(50);
    expect(new Set(refusals.map(([, , type]) => type))).toEqual(new Set(['application/problem+json']));
  });

  it('says of every route that needs a key that it may be 429, and when to ask again', async () => {
    const { paths } = (await documentOf()) as { paths: Record<string, Record<string, Described>> };
    const guarded = Object.values(paths)
      .flatMap((methods) => Object.values(methods))
      .filter(({ security }) => security.length > 0);
    expect(guarded.length).toBeGreaterThan(40);
    for (const { operationId, responses } of guarded) {
      const { headers } = responses['429'] ?? {};
      expect([operationId, Object.keys(headers ?? {})]).toEqual([operationId, expect.arrayContaining(['Retry-After'])]);
    }
  });

  it('says of every route how its guard, its body and its condition refuse', async () => {
    const { paths } = (await documentOf()) as { paths: Record<string, Record<string, Described & Listing>> };
    const kinds = { guarded: 0, bodies: 0, conditional: 0 };
    for (const { operationId, security, requestBody, parameters = [], responses } of Object.values(paths).flatMap(
      (methods) => Object.values(methods),
    )) {
      const isGuarded = security.length > 0;
      const isConditional = parameters.some(({ name }) => name === 'If-Match');
      const expected = [
        ...(isGuarded ? ['400', '401', '403', '429', '503'] : []),
        ...(requestBody === undefined ? [] : ['413', '415']),
        ...(isConditional ? ['412'] : []),
      ];
      expect([operationId, Object.keys(responses)]).toEqual([operationId, expect.arrayContaining(expected)]);
      kinds.guarded += Number(isGuarded);
      kinds.bodies += Number(requestBody !== undefined);
      kinds.conditional += Number(isConditional);
    }
    expect(Object.values(kinds).every((count) => count >= 8)).toBe(true);
  });

  it('an answer has the headers that the document names', async () => {
    const { paths } = (await documentOf()) as { paths: Record<string, Record<string, Described>> };
    const headersOf = (path: string, method: string, status: number): readonly string[] =>
      Object.keys(paths[path]?.[method]?.responses[String(status)]?.headers ?? {});
    const asked = [
      ['get', '/v1/policies/{policy}', await api.ask('GET', '/v1/policies/ten')],
      ['get', '/v1/policies/{policy}', await api.app.request('/v1/policies/ten')],
      ['get', '/v1/keys', await api.ask('GET', '/v1/keys', { as: 'read' })],
      ['put', '/v1/lists/entry', await api.ask('PUT', '/v1/lists/entry', { body: { entry: 'u', verdict: 'deny' } })],
      ['get', '/healthz', await api.app.request('/healthz')],
    ] as const;
    const rare = new Set(['Retry-After', 'Idempotency-Result']);
    for (const [method, path, response] of asked) {
      const named = headersOf(path, method, response.status);
      expect([path, named]).toEqual([path, expect.arrayContaining(['X-Request-Id'])]);
      const missing = named.filter((name) => !rare.has(name) && !response.headers.has(name));
      expect([path, response.status, missing]).toEqual([path, response.status, []]);
    }
  });

  /** All members and parameters of the document, by name. */
  function membersOf(node: unknown): [string, Schema][] {
    if (typeof node !== 'object' || node === null) return [];
    const { properties, in: place, name, schema } = node as Record<string, unknown>;
    const own = Object.entries((properties ?? {}) as Record<string, Schema>);
    const parameter: [string, Schema][] = place === undefined ? [] : [[String(name), schema as Schema]];
    return [...own, ...parameter, ...Object.values(node).flatMap(membersOf)];
  }

  it('no answer that is an object may be null in its stead', async () => {
    const { components } = JSON.parse(JSON.stringify(await documentOf()));
    const named = Object.entries<Schema>(components.schemas);
    expect(named.filter(([, { type }]) => [type].flat().includes('null')).map(([name]) => name)).toEqual([]);
  });

  it('every list is paged in the same way', async () => {
    const { paths, components } = JSON.parse(JSON.stringify(await documentOf()));
    let lists = 0;
    for (const [path, { get }] of Object.entries<{ get?: Listing }>(paths)) {
      const { schema } = get?.responses['200']?.content?.['application/json'] ?? {};
      const { properties = {} } =
        schema?.$ref === undefined ? (schema ?? {}) : components.schemas[schema.$ref.split('/').at(-1) ?? ''];
      // The lists of a GET of one thing, such as a run's tables, are parts of it.
      if (get === undefined || !get.operationId.startsWith('list')) continue;
      lists += 1;
      expect([path, Object.keys(properties)]).toEqual([path, ['rows', 'next']]);
      const names = (get.parameters ?? []).map(({ name }) => name);
      expect([path, names]).toEqual([path, expect.arrayContaining(['limit', 'after'])]);
    }
    expect(lists).toBeGreaterThan(10);
  });

  it('a time is a number of milliseconds, and its name says so', async () => {
    const members = membersOf(await documentOf());
    const times = members.filter(([name]) =>
      /(?:At|Until|Since|Date|Timestamp|Duration|Timeout|Expiry|Deadline|After|Ms)$/u.test(name),
    );
    expect(times.length).toBeGreaterThan(40);
    for (const [name, { type, anyOf = [], format, description }] of times) {
      if (description === 'Ignored.') continue;
      // One that may be any time is `false` in the form in which presets are written.
      const all = [type, ...anyOf.map((each) => each.type)].flat();
      const types = [...new Set(all.filter((each) => each !== undefined && each !== 'null' && each !== 'boolean'))];
      expect([name, types, format]).toEqual([
        expect.stringMatching(/Ms$/u),
        [expect.stringMatching(/^(?:number|integer)$/u)],
        undefined,
      ]);
    }
    expect(members.filter(([, { format }]) => /date|time/u.test(format ?? ''))).toEqual([]);
  });

  it('/docs loads nothing from elsewhere', async () => {
    const page = await api.app.request('/docs');
    const html = await page.text();
    const policy = page.headers.get('Content-Security-Policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/https?:/);
    const links = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link]) => link ?? '');
    expect(links.length).toBeGreaterThan(3);
    for (const link of links) {
      const asset = await api.app.request(link);
      expect([link, asset.status]).toEqual([link, 200]);
      expect((await asset.arrayBuffer()).byteLength).toBeGreaterThan(50);
    }
  });

  it('lets a page load from this host alone, and be framed by nobody', async () => {
    expect(await policyOf()).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self'; connect-src 'self'; " +
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
  });

  it('allows what a page needs beyond that, and no more', async () => {
    expect(await policyOf({ dataImages: true, fonts: true, base: true })).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; " +
        "connect-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'",
    );
  });
});

describe('an object of a row', () => {
  const redis = useRedis();
  const api = useApi((_, tools) => queuesOf({ ...tools, redisUrl: redis.url }));

  it('an object has every column of its table but those left out, and null where the table allows it', () => {
    const schema = rowSchema(tables.auditGaps, ['seqs', ...outboxColumns], {});
    const shown = Object.keys(getTableColumns(tables.auditGaps)).filter(
      (key) => key !== 'seqs' && !key.startsWith('outbox'),
    );
    expect(Object.keys(schema.shape)).toEqual(shown);
    const gap = { id: 'x', kind: 'missing', detail: { any: 1 }, detectedAtMs: 1.5 };
    const nothing = { shard: null, epoch: null, fromSeq: null, toSeq: null, resolvedAtMs: null };
    expect(schema.parse({ ...gap, ...nothing, outboxShard: 7 })).toEqual({ ...gap, ...nothing });
    expect(schema.safeParse({ ...gap, ...nothing, detectedAtMs: null }).success).toBe(false);
    expect(schema.safeParse({ ...gap, ...nothing, detectedAtMs: '2025-06-01' }).success).toBe(false);
  });

  it('a column of a type that JSON has no word for must be left out or said otherwise', () => {
    expect(() => rowSchema(tables.auditGaps, [], {})).toThrow('seqs');
    expect(() => rowSchema(tables.apiKeys, [], {})).toThrow('secret_hash');
  });

  it('what a route says otherwise wins over the column', () => {
    const schema = rowSchema(tables.rateLimitsV2, [], { blockedUntilMs: z.number().nullable() });
    expect(schema.shape.blockedUntilMs.safeParse(null).success).toBe(true);
    expect(schema.shape.createdAtMs.safeParse(null).success).toBe(false);
  });

  it.each([
    ['Block', tables.rateLimitsV2, ['key', ...outboxColumns]],
    ['BreakerEvent', tables.circuitBreakerEvents, outboxColumns],
    ['Gap', tables.auditGaps, ['seqs', ...outboxColumns]],
    ['DeadLetter', tables.auditDeadLetters, outboxColumns],
    ['Change', tables.changes, outboxColumns],
    ['ArchivalRun', tables.archivalRuns, []],
    ['MaintenanceRunRow', tables.jobRuns, []],
    ['Metric', tables.systemMetrics, outboxColumns],
    ['Key', tables.apiKeys, ['secretHash']],
  ])('the document describes %s with the columns of its table', async (name, table, hidden) => {
    expect(is(table, PgTable)).toBe(true);
    const document = JSON.parse(await (await api.app.request('/openapi.json')).text());
    const { properties } = document.components.schemas[name];
    const columns = Object.keys(getTableColumns(table)).filter((key) => !new Set<string>(hidden).has(key));
    expect(Object.keys(properties).toSorted()).toEqual(columns.toSorted());
  });
});
