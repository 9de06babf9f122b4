import { z } from '@hono/zod-openapi';
import { getTableColumns, is } from 'drizzle-orm';
import { PgTable } from 'drizzle-orm/pg-core';
import { expect, it } from 'vitest';
import { useRedis } from '@spillway/local-servers/testing';
import { queuesOf, useApi } from '../../test/use-api.ts';
import { outboxColumns, rowSchema } from './rows.ts';
import * as tables from '@spillway/db/schema';

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
