import { TraceFlags } from '@opentelemetry/api';
import { useRedis } from '@spillway/local-servers/testing';
import { expect, it } from 'vitest';
import { noteTrace, takeTraces } from './trace-notes.ts';

const redis = useRedis();
const ada = { policy: 'auth', subject: 'ada' };
const span = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: TraceFlags.SAMPLED };

it('gives the first span of a block to the first taker, once', async () => {
  await noteTrace(redis.client, ada, span);
  await noteTrace(redis.client, ada, { ...span, spanId: 'c'.repeat(16) });
  const blocks = [ada, ada, { policy: 'auth', subject: 'bob' }];
  expect(await takeTraces(redis.client, blocks)).toEqual([{ ...span, isRemote: true }]);
  expect(await takeTraces(redis.client, blocks)).toEqual([]);
});

it('notes nothing of spans that are not sampled or no spans', async () => {
  await noteTrace(redis.client, ada, { ...span, traceFlags: TraceFlags.NONE });
  await noteTrace(redis.client, ada, { ...span, traceId: '0'.repeat(32) });
  expect(await redis.client.keys('spillway:trace:*')).toEqual([]);
});

it('leaves neither a subject nor a note that never ends', async () => {
  await noteTrace(redis.client, { policy: 'auth', subject: '192.0.2.7' }, span);
  const [key = ''] = await redis.client.keys('spillway:trace:*');
  expect(key).not.toContain('192.0.2.7');
  expect(await redis.client.pttl(key)).toBeGreaterThan(0);
});
