import { createLimiter, memoryStore, tiers } from '@spillway/limiter';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createApp } from './app.ts';
import { createLogger } from './logger.ts';

const ok = async (): Promise<void> => undefined;
const app = createApp({
  limiter: createLimiter({ store: memoryStore(), policies: tiers }),
  checks: { redis: ok, postgres: ok },
  logger: createLogger({ name: 'fuzz', level: 'silent' }),
});

const anyText = fc.string({ unit: 'binary' });
const nearMiss = fc.record(
  {
    subject: fc.oneof(anyText, fc.jsonValue()),
    action: fc.oneof(anyText, fc.jsonValue()),
    cost: fc.oneof(fc.double(), fc.jsonValue()),
  },
  { requiredKeys: [] },
);
const bodyText = fc.oneof(
  anyText,
  fc.json(),
  nearMiss.map((value) => JSON.stringify(value)),
  // Well-formed, then cut.
  fc.tuple(nearMiss, fc.nat(60)).map(([value, length]) => JSON.stringify(value).slice(0, length)),
  fc.integer({ min: 1, max: 7_000 }).map((depth) => '['.repeat(depth) + ']'.repeat(depth)),
  fc.integer({ min: 1, max: 2_000 }).map((depth) => `${'{"subject":'.repeat(depth)}1${'}'.repeat(depth)}`),
  fc.constantFrom('{"__proto__":{"subject":"a"}}', '{"subject":"a","constructor":1}', '{"subject":"a","subject":1}'),
);
const body = fc.oneof(
  bodyText.map((text) => new TextEncoder().encode(text)),
  fc.uint8Array({ maxLength: 20_000 }).map((bytes) => Uint8Array.from(bytes)),
);
const type = fc.constantFrom(
  'application/json',
  'application/json',
  'text/plain',
  'application/json;charset=latin1',
  '',
);
const path = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('/v1/limits/strict/consume', '/v1/limits/auth/consume') },
  { weight: 1, arbitrary: fc.webPath() },
  { weight: 1, arbitrary: anyText.map((text) => `/v1/limits/${encodeURIComponent(text.toWellFormed())}/consume`) },
);
const method = fc.constantFrom('POST', 'POST', 'POST', 'PUT', 'PATCH', 'DELETE', 'QUERY');

const consume = '/v1/limits/strict/consume';
const valid = new TextEncoder().encode('{"subject":"a"}');
/** Tried first, so that every kind of answer is among those checked, whatever chance brings. */
const oneOfEach: [Uint8Array<ArrayBuffer>, string, string, string][] = [
  [valid, 'application/json', consume, 'POST'],
  [valid.slice(1), 'application/json', consume, 'POST'],
  [valid, 'application/json', '/v1/limits/none/consume', 'POST'],
  [valid, 'application/json', consume, 'PUT'],
  [new Uint8Array(17_000), 'application/json', consume, 'POST'],
  [valid, 'text/plain', consume, 'POST'],
];

it('answers every malformed request with a 4xx problem document, never a 5xx', async () => {
  const seen = new Set<number>();
  await fc.assert(
    fc.asyncProperty(body, type, path, method, async (bytes, contentType, where, verb) => {
      const headers = contentType === '' ? {} : { 'Content-Type': contentType };
      const response = await app.request(where, { method: verb, headers, body: bytes });
      seen.add(response.status);
      if (response.status === 200) {
        expect(await response.json()).toHaveProperty('allowed');
        return;
      }
      expect(response.status).toBeGreaterThanOrEqual(400);
      expect(response.status).toBeLessThan(500);
      expect(response.headers.get('Content-Type')).toBe('application/problem+json');
      expect(await response.json()).toMatchObject({ status: response.status });
    }),
    { numRuns: 1_500, examples: oneOfEach },
  );
  expect([...seen]).toEqual(expect.arrayContaining([200, 400, 404, 405, 413, 415]));
});
