import { createLimiter, memoryStore, tiers } from '@spillway/limiter';
import { Hono } from 'hono';
import { expect, it } from 'vitest';
import { useApi } from '../test/use-api.ts';
import { apiMetrics } from './telemetry.ts';

it('counts decisions by policy and outcome and requests by route, and names no subject', async () => {
  const { limiter: metrics, countRequests, scrape } = apiMetrics();
  const limiter = createLimiter({ store: memoryStore(), policies: tiers, metrics });
  const app = new Hono();
  app.use(countRequests);
  app.get('/metrics', scrape);
  app.post('/v1/limits/:policy/consume', async (context) => context.json(await limiter.consume('auth', '192.0.2.77')));
  for (let request = 0; request < 6; request += 1) {
    await app.request('/v1/limits/auth/consume', { method: 'POST' });
  }
  await app.request('/no/such/route/192.0.2.77');

  const response = await app.request('/metrics');
  expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/u);
  const body = await response.text();
  expect(body.split('\n')).toEqual(
    expect.arrayContaining([
      'spillway_limiter_decisions_total{policy="auth",outcome="allowed"} 5',
      'spillway_limiter_decisions_total{policy="auth",outcome="blocked"} 1',
      'spillway_api_http_requests_total{method="POST",route="/v1/limits/:policy/consume",status="200",ok="true"} 6',
      expect.stringMatching(/^process_cpu_seconds_total \d/u),
    ]),
  );
  expect(body).not.toContain('192.0.2.77');
});

const api = useApi();

it('says nothing of probes and of decisions that went well, and a line of every other request', async () => {
  const consume = async (policy: string, body: object): Promise<Response> =>
    api.ask('POST', `/v1/limits/${policy}/consume`, { body });
  for (let request = 0; request < 3; request += 1) {
    await api.app.request('/healthz');
    await api.app.request('/readyz');
    await consume('ten', { subject: 'a', cost: 6 });
    await api.ask('POST', '/v1/limits/ten/peek', { body: { subject: 'a' } });
  }
  await consume('ten', { subject: '' });
  await consume('none', { subject: 'a' });
  await api.ask('POST', '/v1/limits/ten/reset', { body: { subject: 'a' } });
  await api.ask('GET', '/v1/policies');
  await api.app.request('/v1/policies');
  const lines = api.log.lines().filter(({ msg }) => msg === 'api: request');
  const told = lines.filter(({ level }) => Number(level) >= 30);
  expect(told.map(({ route, status }) => [route, status])).toEqual([
    ['/v1/limits/:policy/consume', 400],
    ['/v1/limits/:policy/consume', 404],
    ['/v1/limits/:policy/reset', 204],
    ['/v1/policies', 200],
    ['/v1/policies', 401],
  ]);
  expect(lines).toHaveLength(17);
});
