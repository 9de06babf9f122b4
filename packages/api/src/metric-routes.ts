import { createRoute, z } from '@hono/zod-openapi';
import { isReservedMetric, listMetrics, metricStats, type Queryable, recordMetric } from '@spillway/db';
import { systemMetrics } from '@spillway/db/schema';
import type { Guard } from './auth/require-scope.ts';
import type { ApiApp } from './openapi/api-app.ts';
import { strictObject, mustBe, boundedText, queryWholeNumber, omitUndefined } from './openapi/fields.ts';
import { json, jsonBody } from './openapi/responses.ts';
import { outboxColumns, rowSchema, timeQuery, listRoute } from './openapi/rows.ts';

/** The largest magnitude of a value: beyond it, sums over a window would overflow what JSON can say. */
const MAX_VALUE = 1e100;

const metricName = boundedText(128).openapi({ example: 'flush_lag' });

/** Most tags of a sample. */
const MOST_TAGS = 16;

const body = strictObject({
  name: metricName.refine((name) => !isReservedMetric(name), 'is one of the metrics that the worker records'),
  value: z
    .number({ error: mustBe('a number') })
    .refine((value) => Math.abs(value) <= MAX_VALUE, `must be from -${MAX_VALUE} to ${MAX_VALUE}`),
  unit: boundedText(32).optional(),
  tags: z
    .record(
      boundedText(64),
      z.union([boundedText(256), z.number(), z.boolean()], { error: mustBe('text, a number or a truth value') }),
      {
        error: mustBe('an object of text, numbers and truth values'),
      },
    )
    .refine((tags) => Object.keys(tags).length <= MOST_TAGS, `must hold at most ${MOST_TAGS}`)
    .optional(),
}).openapi('MetricRequest');

const sample = rowSchema(systemMetrics, outboxColumns, {}).openapi('Metric');

const some = z.number().nullable();
const stats = z
  .object({
    minValue: some,
    maxValue: some,
    avgValue: some,
    count: z.number(),
    lastValue: some,
    lastRecordedAtMs: some,
    p50: some,
    p95: some,
    p99: some,
  })
  .openapi('MetricStats');

/** `/v1/metrics`: samples by `record_metric()`, statistics by `get_metric_stats()`. */
export function metricRoutes(app: ApiApp, db: Queryable, guard: Guard): void {
  const record = createRoute({
    method: 'post',
    path: '/v1/metrics',
    tags: ['metrics'],
    operationId: 'recordMetric',
    summary: 'Record one sample',
    ...guard('metrics'),
    request: { body: jsonBody(body) },
    responses: { 201: json(z.object({ id: z.string() }), 'Recorded.') },
  });
  app.openapi(record, async (context) => {
    const { name, value, ...rest } = context.req.valid('json');
    return context.json({ id: await recordMetric(db, { name, value, ...omitUndefined(rest) }) }, 201);
  });

  listRoute(app, {
    path: '/v1/metrics',
    tags: ['metrics'],
    operationId: 'listMetrics',
    summary: 'Samples, newest first',
    ...guard('read'),
    filters: { ...timeQuery, metricName: metricName.optional() },
    row: sample,
    find: async (query) => listMetrics(db, query),
  });

  const one = createRoute({
    method: 'get',
    path: '/v1/metrics/{name}/stats',
    tags: ['metrics'],
    operationId: 'getMetricStats',
    summary: 'Statistics of one metric',
    ...guard('read'),
    request: {
      params: z.object({ name: metricName }),
      query: strictObject({ hours: queryWholeNumber(1, 8_784).optional().openapi({ default: 24 }) }),
    },
    responses: { 200: json(stats, 'Over the last hours; all but count are null without samples.') },
  });
  app.openapi(one, async (context) =>
    context.json(await metricStats(db, context.req.valid('param').name, context.req.valid('query').hours), 200),
  );
}
