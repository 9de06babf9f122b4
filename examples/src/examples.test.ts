import { useRedis } from '@spillway/local-servers/testing';
import { createLimiter, hotPathOptions, tiers } from '@spillway/limiter';
import { configureRateLimit } from '@spillway/limiter/fetch';
import { byApiKey } from '@spillway/limiter/http';
import { describe, expect, it, vi } from 'vitest';
import { generateContent } from './generate-content.ts';
import { runBuilt } from '../test/run-example.ts';
import { examplesWork } from '../test/examples-work.ts';

const redis = useRedis();

const ask = (): Promise<Response> =>
  generateContent(new Request('http://api.test/', { method: 'POST', headers: { 'X-API-Key': 'demo' } }));

describe('generate-content', () => {
  it('answers twenty requests of a key and refuses the twenty-first', async () => {
    const client = redis.connect(hotPathOptions);
    await vi.waitUntil(() => client.status === 'ready');
    const limiter = createLimiter({ redis: client, policies: tiers, deadlineMs: 5_000 });
    configureRateLimit({ limiter, identify: byApiKey({ verify: (key) => key === 'demo' }) });
    const statuses: number[] = [];
    for (let request = 0; request < 20; request += 1) statuses.push((await ask()).status);
    expect(statuses).toEqual(Array.from({ length: 20 }, () => 200));
    const refusal = await ask();
    expect(refusal.status).toBe(429);
    expect(refusal.headers.get('Retry-After')).toBe('120');
    await limiter.close();
  });
});

describe('in the workspace', () => {
  examplesWork({ redis, run: runBuilt });
});
