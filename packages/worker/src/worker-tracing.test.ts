import { setTimeout as delay } from 'node:timers/promises';
import { INVALID_SPAN_CONTEXT, type Span, type SpanOptions, trace, TraceFlags } from '@opentelemetry/api';
import { noteTrace, type NoteRedis } from '@spillway/runtime';
import { useRedis } from '@spillway/local-servers/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { blockEntry } from '../test/entries.ts';
import { workerTracing } from './worker-tracing.ts';

const redis = useRedis();
const decided = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: TraceFlags.SAMPLED };
const entries = ['ada', 'bob'].map((subject, index) => blockEntry({ seq: index + 1, subject }));
const [ofAda] = entries;

/** How many spans each flush links to. */
let links: (number | undefined)[];

beforeEach(async () => {
  links = [];
  // What an application's SDK would be, which is not ours.
  const startActiveSpan = (_: string, options: SpanOptions, work: (span: Span) => unknown): unknown => {
    links.push(options.links?.length);
    return work(trace.wrapSpanContext(INVALID_SPAN_CONTEXT));
  };
  const tracer = Object.assign(trace.getTracer('none'), { startActiveSpan });
  trace.setGlobalTracerProvider({ getTracer: () => tracer });
  for (const subject of ['ada', 'bob']) {
    await noteTrace(redis.client, { policy: 'generation', subject }, decided);
  }
});
afterEach(() => trace.disable());

const never = async (): Promise<never> => new Promise(() => {});

describe('a flush', () => {
  it('links to the decisions of its blocks again after it failed, and no more once they are stored', async () => {
    const { flush } = workerTracing();
    await expect(flush(redis.client, entries, async () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    await flush(redis.client, entries, async () => ({ entries }));
    await expect.poll(() => redis.client.keys('spillway:trace:*')).toEqual([]);
    await flush(redis.client, entries, async () => ({ entries }));
    expect(links).toEqual([2, 2, 0]);
  });

  it('keeps the links of events that wait', async () => {
    const { flush } = workerTracing();
    const stored = ofAda === undefined ? [] : [ofAda];
    await flush(redis.client, entries, async () => ({ entries: stored }));
    await expect.poll(async () => (await redis.client.keys('spillway:trace:*')).length).toBe(1);
    await flush(redis.client, entries, async () => ({ entries }));
    expect(links).toEqual([2, 1]);
  });

  it('does not wait long for a Redis that gives no answer', async () => {
    const silent: NoteRedis = { set: never, get: never, del: never };
    const { flush } = workerTracing();
    const outcome = await Promise.race([flush(silent, entries, async () => ({ entries })), delay(15_000, 'late')]);
    expect(outcome).toEqual({ entries });
    expect(links).toEqual([0]);
  });
});
