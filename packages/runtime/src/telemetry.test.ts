import { expect, it } from 'vitest';
import { startTelemetry, hasExporter, noteTrace, readTraces, forgetTraces } from './telemetry.ts';
import { TraceFlags } from '@opentelemetry/api';
import { useRedis } from '@spillway/local-servers/testing';

it.each([
  [{}, false],
  [{ OTEL_SERVICE_NAME: 'x' }, false],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' }, true],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: '' }, false],
  [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://collector:4318/v1/traces' }, true],
  [{ OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'http://collector:4318/v1/metrics' }, true],
  [{ OTEL_TRACES_EXPORTER: 'console' }, true],
  [{ OTEL_TRACES_EXPORTER: 'none' }, false],
  [{ OTEL_TRACES_EXPORTER: 'none', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' }, true],
  [{ OTEL_TRACES_EXPORTER: 'none', OTEL_METRICS_EXPORTER: 'none', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c' }, false],
  [{ OTEL_SDK_DISABLED: 'true', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' }, false],
])('%j configures an exporter: %s', (env, expected) => {
  expect(hasExporter(env)).toBe(expected);
});

it('starts nothing and ends at once when nothing is configured', async () => {
  const telemetry = await startTelemetry({ serviceName: 'x', env: {}, onError: () => {} });
  expect(telemetry.active).toBe(false);
  await telemetry.shutdown();
});

const redis = useRedis();
const ada = { policy: 'auth', subject: 'ada' };
const span = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: TraceFlags.SAMPLED };

it('gives the first span of a block until it is forgotten', async () => {
  await noteTrace(redis.client, ada, span);
  await noteTrace(redis.client, ada, { ...span, spanId: 'c'.repeat(16) });
  const blocks = [ada, ada, { policy: 'auth', subject: 'bob' }];
  expect(await readTraces(redis.client, blocks)).toEqual([{ ...span, isRemote: true }]);
  expect(await readTraces(redis.client, blocks)).toEqual([{ ...span, isRemote: true }]);
  await forgetTraces(redis.client, blocks);
  expect(await readTraces(redis.client, blocks)).toEqual([]);
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
