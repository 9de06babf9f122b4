import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { createBreakers, memoryStore } from '@spillway/breaker';
import { insertDeadLetters } from '@spillway/db';
import { generateApi } from 'swagger-typescript-api';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { useRedis } from '@spillway/local-servers/testing';
import { useApi, bearer, workersOf } from '../../test/use-api.ts';
import path from 'node:path';

const redis = useRedis();
const api = useApi((_, tools) => ({
  maintenance: workersOf({ ...tools, redisUrl: redis.url }).maintenance,
  breakers: createBreakers({ store: memoryStore() }),
}));

/** What the generator makes of a tag: a method for each `operationId`. */
type Methods = Record<string, (...args: unknown[]) => Promise<{ readonly status: number; readonly data: unknown }>>;

/** What it makes of the document. */
interface GeneratedModule {
  readonly Api: new (options: object) => Record<string, Methods>;
}

interface Operation {
  readonly operationId: string;
  readonly tags: string[];
  readonly responses: Record<string, unknown>;
}

let output: string;
beforeEach(() => {
  output = mkdtempSync(path.join(tmpdir(), 'spillway-client-'));
});
afterEach(() => rmSync(output, { recursive: true }));

async function readDocument(): Promise<{ readonly paths: Record<string, Record<string, Operation>> }> {
  const document: unknown = await (await api.app.request('/openapi.json')).json();
  return document as { readonly paths: Record<string, Record<string, Operation>> };
}

/** What somebody writes against the generated types: compiled, and never run. */
const byHand = `
import { Api } from './client';
const api = new Api({ baseUrl: 'http://127.0.0.1:8787', securityWorker: () => ({ headers: { Authorization: 'Bearer sw_1' } }) });
export async function ask(): Promise<string> {
  const { data: decision } = await api.limits.consume('strict', { subject: 'user-1', cost: 2 });
  const retryAfterMs: number | null = decision.retryAfterMs;
  if (!decision.allowed) return \`\${decision.reason}: \${retryAfterMs ?? 'never'}\`;
  const { data: many } = await api.limits.consumeBatch('strict', { requests: [{ subject: 'a' }, { subject: 'b', action: 'x' }] });
  const each: boolean[] = many.decisions.map(({ allowed }) => allowed);
  const { data: policy } = await api.policies.getPolicy('strict');
  await api.policies.setPolicy('strict', { limit: policy.limit + each.length, windowMs: 60_000 });
  await api.policies.setOverride('strict', { subject: 'org-7:*', limit: 5 });
  const { data: page } = await api.audit.listAlerts({ open: true, limit: 10 });
  const next: string | null = page.next;
  const { data: run } = await api.audit.replayDeadLetters({ sinceMs: 0, limit: 100 });
  const stored: number | undefined = run.details.replayed;
  const refused: string[] = (run.details.refusals ?? []).map(({ id, reason }) => \`\${id}: \${reason}, \${stored}\`);
  const { data: preset } = await api.breakers.getPreset('search');
  await api.breakers.setPreset('search', { ...preset, openMs: preset.openMs + 1 });
  const opened: number[] = page.rows.map(({ openedAtMs }) => openedAtMs);
  // @ts-expect-error a misspelt member
  await api.limits.consume('strict', { subjekt: 'user-1' });
  // @ts-expect-error a verdict that does not exist
  await api.policies.setListEntry({ entry: '10.0.0.0/8', verdict: 'perhaps' });
  return \`\${next} \${opened.length} \${refused.join()}\`;
}
`;

it('a client that is generated from /openapi.json compiles, and calls every route', { timeout: 120_000 }, async () => {
  const document = await readDocument();
  await generateApi({
    spec: structuredClone(document) as never,
    output,
    fileName: 'client.ts',
    moduleNameFirstTag: true,
    toJS: true,
    silent: true,
  });
  const tsc = path.join(path.dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');
  const options = ['--noEmit', '--strict', '--target', 'es2022', '--lib', 'es2023,dom'];
  writeFileSync(path.join(output, 'by-hand.ts'), byHand);
  const files = ['client.d.ts', 'by-hand.ts'].map((name) => path.join(output, name));
  const compiled = spawnSync(process.execPath, [tsc, ...options, ...files], { encoding: 'utf8' });
  expect(compiled.stdout).toBe('');
  expect(compiled.status).toBe(0);

  const { Api } = (await import(/* @vite-ignore */ path.join(output, 'client.js'))) as GeneratedModule;
  const client = new Api({
    baseUrl: 'http://spillway.test',
    securityWorker: () => ({ headers: bearer('admin') }),
    customFetch: async (url: string, init: RequestInit) => api.app.request(url, init),
  });

  const called: string[] = [];
  const statuses: Record<string, number> = {};
  const call = async (tag: string, operation: string, ...args: unknown[]): Promise<unknown> => {
    const { status, data } = (await client[tag]?.[operation]?.(...args)) ?? {};
    called.push(`${tag}.${operation}`);
    statuses[operation] = status ?? 0;
    return data;
  };
  await callAll(call);

  const described = Object.values(document.paths).flatMap((methods) => Object.values(methods));
  expect(called.toSorted()).toEqual(described.map(({ tags, operationId }) => `${tags[0]}.${operationId}`).toSorted());
  for (const { operationId, responses } of described) {
    expect([operationId, Object.keys(responses)]).toEqual([
      operationId,
      expect.arrayContaining([String(statuses[operationId])]),
    ]);
    expect([operationId, statuses[operationId]]).toEqual([operationId, expect.toBeOneOf([200, 201, 202, 204])]);
  }
});

/** One successful call of every operation. */
async function callAll(call: (tag: string, operation: string, ...args: unknown[]) => Promise<unknown>): Promise<void> {
  await call('health', 'isAlive');
  await call('health', 'isReady');

  const subject = { subject: 'ann' };
  expect(await call('limits', 'consume', 'ten', { ...subject, cost: 2 })).toMatchObject({ remaining: 8 });
  await call('limits', 'peek', 'ten', subject);
  expect(await call('limits', 'consumeBatch', 'ten', { requests: [subject] })).toMatchObject({
    decisions: [{ remaining: 7 }],
  });
  const together = { requests: [{ policy: 'ten', ...subject }] };
  expect(await call('limits', 'consumeAll', together)).toMatchObject({ allowed: true, decisions: [{ remaining: 6 }] });
  expect(await call('limits', 'reward', 'ten', subject)).toMatchObject({ remaining: 7 });
  expect(await call('limits', 'penalize', 'ten', subject)).toMatchObject({ remaining: 6 });
  expect(await call('limits', 'lookUpSubject', subject)).toMatchObject({ subject: 'ann', blocks: [] });
  await call('limits', 'block', 'ten', { ...subject, durationMs: 1_000 });
  expect(await call('limits', 'unblock', 'ten', subject)).toEqual({ wasBlocked: true });
  await call('limits', 'reset', 'ten', subject);
  await call('limits', 'blockEverywhere', { ...subject, durationMs: 1_000, why: 'spam' });
  expect(await call('limits', 'listBlockedSubjects')).toMatchObject({ rows: [{ subject: 'ann' }], next: null });
  expect(await call('limits', 'unblockEverywhere', subject)).toMatchObject({ wasBlocked: true, otherLimiters: 0 });
  const consumed = await api.app.request('/v1/limits/slots/consume', {
    method: 'POST',
    headers: { ...bearer('decide'), 'Content-Type': 'application/json' },
    body: JSON.stringify(subject),
  });
  const { slot } = (await consumed.json()) as { slot: string };
  await call('limits', 'renew', 'slots', { ...subject, slot });
  await call('limits', 'release', 'slots', { ...subject, slot });

  await call('policies', 'setPolicy', 'exports', { limit: 5, windowMs: 1_000 });
  expect(await call('policies', 'getPolicy', 'exports')).toMatchObject({ limit: 5, source: 'live' });
  await call('policies', 'listPolicies');
  await call('policies', 'setOverride', 'exports', { subject: 'ip:2001:db8::/56', limit: 50 });
  await call('policies', 'listOverrides', 'exports');
  await call('policies', 'getOverride', 'exports', { subject: 'ip:2001:db8::/56' });
  await call('policies', 'removeOverride', 'exports', { subject: 'ip:2001:db8::/56' });
  await call('policies', 'removePolicy', 'exports');
  await call('policies', 'setListEntry', { entry: '10.0.0.0/8', verdict: 'deny' });
  expect(await call('policies', 'listListEntries')).toEqual({
    rows: [{ entry: '10.0.0.0/8', verdict: 'deny' }],
    next: null,
  });
  expect(await call('policies', 'getListEntry', { entry: '10.0.0.0/8' })).toEqual({
    entry: '10.0.0.0/8',
    verdict: 'deny',
  });
  await call('policies', 'setPlan', 'pro', { policies: ['ten'] });
  expect(await call('policies', 'listPlans')).toEqual({ rows: [{ name: 'pro', policies: ['ten'] }], next: null });
  expect(await call('policies', 'getPlan', 'pro')).toMatchObject({ policies: ['ten'] });
  await call('policies', 'removePlan', 'pro');
  await call('policies', 'removeListEntry', { entry: '10.0.0.0/8' });

  const changed = await call('breakers', 'setBreaker', 'runware', { mode: 'forced_open' }, { preset: 'ai_provider' });
  expect(changed).toMatchObject({ fleetState: 'forced_open', who: 'api-key:admin' });
  await call('breakers', 'getBreaker', 'runware', { preset: 'ai_provider' });
  const trip = { strategy: 'consecutive', failures: 3 };
  await call('breakers', 'setPreset', 'search', { trip, openMs: 1_000 });
  await call('breakers', 'listPresets');
  expect(await call('breakers', 'getPreset', 'search')).toMatchObject({ trip, openMs: 1_000, maxOpenMs: 10_000 });
  await call('breakers', 'removePreset', 'search');
  expect(await call('breakers', 'listBreakers')).toEqual({ rows: [], next: null });

  await call('metrics', 'recordMetric', { name: 'lag', value: 1.5, tags: { shard: 1 } });
  expect(await call('metrics', 'listMetrics', { metricName: 'lag' })).toMatchObject({ rows: [{ metricValue: 1.5 }] });
  await call('metrics', 'getMetricStats', 'lag', { hours: 1 });

  await call('maintenance', 'createPartitions', {});
  await call('maintenance', 'cleanUpRateLimits', { dryRun: true });
  const run = await call('maintenance', 'archiveData', {});
  await call('maintenance', 'runJob', 'cron-archive-data', {});
  expect(await call('maintenance', 'listMaintenanceRuns', { job: 'cron-create-partitions' })).toMatchObject({
    rows: [{ status: 'completed', trigger: 'http' }],
  });
  await call('maintenance', 'getMaintenanceRun', (run as { readonly id: string }).id);

  for (const list of ['listAlerts', 'listBlocks', 'listBreakerEvents', 'listDeadLetters', 'listGaps', 'listChanges']) {
    const page = await call('audit', list, { limit: 5 });
    // The calls before have changed things.
    expect(page).toEqual(list === 'listChanges' ? expect.anything() : { rows: [], next: null });
  }
  const gap = '6f1b0a52-7c0e-4f3a-9d2b-0123456789ab';
  await api.pool.query(`INSERT INTO spillway.audit_gaps (id, kind) VALUES ($1, 'missing')`, [gap]);
  await call('audit', 'resolveGap', gap, { note: 'looked into' });
  await insertDeadLetters(api.pool, [{ id: gap, sourceJob: 'audit', reason: 'no such mode', payload: {} }]);
  expect(await call('audit', 'getDeadLetter', gap)).toMatchObject({ reason: 'no such mode' });
  expect(await call('audit', 'replayDeadLetters', { ids: [gap] })).toMatchObject({ details: { refused: 1 } });
  await call('audit', 'listArchivalRuns', { status: 'completed' });

  const { id } = (await call('keys', 'createKey', { name: 'a', scopes: ['read'] })) as { id: string };
  await call('keys', 'rotateKey', id, { graceMs: 0 });
  expect(await call('keys', 'getKey', id)).toMatchObject({ id, name: 'a', scopes: ['read'] });
  await call('keys', 'listKeys', { active: true });
  await call('keys', 'revokeKey', id);
}
