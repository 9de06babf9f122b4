import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startApi } from '@spillway/api';
import { createPool, migrate } from '@spillway/db';
import { missingPackages } from '@spillway/local-servers';
import { usePostgres, useRedis } from '@spillway/local-servers/testing';
import { startMaintenance, startWorker, workerRegistry } from '@spillway/worker';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import {
  deployPath,
  deployText,
  defaultsOf,
  deployYaml,
  readDashboards,
  repository,
  variablesOf,
  withoutMacros,
} from '../test/deploy-files.ts';

/** Why there is no promtool; undefined when there is. */
const promtoolMissing: string | undefined =
  spawnSync('promtool', ['--version']).status === 0
    ? undefined
    : await missingPackages([{ name: 'prometheus', file: '/usr/bin/promtool' }]);

/** Runs it in deploy/prometheus; what it said, and whether it was content. */
function promtool(...args: readonly string[]): { readonly ok: boolean; readonly output: string } {
  const { status, stdout, stderr } = spawnSync('promtool', args, { cwd: deployPath('prometheus'), encoding: 'utf8' });
  return { ok: status === 0, output: `${stdout}${stderr}` };
}

interface RuleFile {
  readonly groups: readonly {
    readonly rules: readonly {
      readonly alert?: string;
      readonly record?: string;
      readonly expr: string;
      readonly labels?: { readonly severity?: string };
      readonly annotations?: { readonly summary?: string; readonly description?: string };
    }[];
  }[];
}

async function readRules(): Promise<RuleFile['groups'][number]['rules']> {
  const documents = await deployYaml<RuleFile>('prometheus/rules.yml');
  return documents.flatMap(({ groups }) => groups.flatMap(({ rules }) => rules));
}

async function readQueries(): Promise<{ readonly where: string; readonly expr: string }[]> {
  const panels = (await readDashboards()).flatMap((dashboard) => dashboard.panels);
  return panels.flatMap(({ title, targets }) =>
    targets.flatMap(({ expr }) => (expr === undefined ? [] : [{ where: title, expr: withoutMacros(expr) }])),
  );
}

const metricsOf = async (url: string | undefined): Promise<string> => (await fetch(`${url}/metrics`)).text();

const absent = promtoolMissing === undefined ? '' : ` (skipped: ${promtoolMissing})`;

describe.skipIf(promtoolMissing !== undefined)(`promtool${absent}`, () => {
  it('finds the configuration and every rule correct', () => {
    expect(promtool('check', 'config', 'prometheus.yml')).toMatchObject({ ok: true });
  });

  it('sees the rules ring when they should, and only then', () => {
    expect(promtool('test', 'rules', 'rules.test.yml')).toEqual({
      ok: true,
      output: expect.stringContaining('SUCCESS'),
    });
  });

  it('can read every query of the dashboards', async () => {
    const queries = await readQueries();
    expect(queries.length).toBeGreaterThan(20);
    const rules = queries.map(({ expr }, index) => ({ record: `panel:query${index}`, expr }));
    const folder = await mkdtemp(path.join(tmpdir(), 'spillway-promql-'));
    try {
      const file = path.join(folder, 'panels.yml');
      // JSON is YAML.
      await writeFile(file, JSON.stringify({ groups: [{ name: 'panels', rules }] }));
      expect(promtool('check', 'rules', file)).toMatchObject({ ok: true });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

it('has a test of promtool for every alert, firing and where it can be, quiet', async () => {
  const alerts = (await readRules()).flatMap(({ alert }) => (alert === undefined ? [] : [alert]));
  expect(alerts.length).toBeGreaterThan(15);
  const text = JSON.stringify(await deployYaml('prometheus/rules.test.yml'));
  expect(
    alerts.filter((alert) => !text.includes(`ALERTS{alertname=\\"${alert}\\", alertstate=\\"firing\\", `)),
  ).toEqual([]);
});

it('says of every alert how bad it is, what is the matter and what to do', async () => {
  for (const { alert, labels, annotations } of await readRules()) {
    if (alert === undefined) continue;
    expect(labels?.severity, alert).toMatch(/^(critical|warning|info)$/u);
    expect(annotations?.summary, alert).toMatch(/\w/u);
    expect(annotations?.description, alert).toMatch(/\w/u);
  }
});

describe('the metrics of the rules and the dashboards', () => {
  const redis = useRedis();
  const postgres = usePostgres({
    migrate: async (url) => {
      await migrate({ connectionString: url });
    },
    template: 'deploy',
  });
  const logger = pino({ level: 'silent' });

  /** What a running API and a running worker answer. */
  async function scrapeBoth(): Promise<string> {
    const pool = createPool({ connectionString: postgres.url, onError: () => {} });
    const api = await startApi({ redisUrl: redis.url, pool, host: '127.0.0.1', port: 0, logger });
    const { registry, metrics } = workerRegistry();
    const shared = { redis: redis.url, pool, shards: 16, logger };
    const http = { host: '127.0.0.1', port: 0 };
    const maintenance = await startMaintenance({ ...shared, http, registry, observeIntervalMs: 50 });
    const worker = startWorker({ ...shared, metrics });
    try {
      await api.limiter.consume('auth', 'ada');
      await expect
        .poll(() => metricsOf(maintenance.url), { timeout: 10_000 })
        .toMatch(/^spillway_worker_oldest_event_age_seconds \d/mu);
      return `${await metricsOf(api.url)}\n${await metricsOf(maintenance.url)}`;
    } finally {
      await Promise.all([api.close(0), worker.close(), maintenance.close()]);
      await pool.end();
    }
  }

  it('are all in what a running API and worker answer', async () => {
    const answer = await scrapeBoth();
    const kinds = new Map(
      [...answer.matchAll(/^# TYPE (\S+) (\w+)$/gmu)].map(([, name = '', kind = '']) => [name, kind]),
    );
    const rules = await readRules();
    const known = new Set(['up', ...rules.flatMap(({ record }) => (record === undefined ? [] : [record]))]);
    for (const [name, kind] of kinds) {
      const names = kind === 'histogram' ? ['_bucket', '_sum', '_count'].map((part) => `${name}${part}`) : [name];
      for (const each of names) known.add(each);
    }
    const queries = [...(await readQueries()).map(({ expr }) => expr), ...rules.map(({ expr }) => expr)];
    const used = queries.flatMap((expr) => expr.match(/\b(?:spillway|process|nodejs)[\w:]*\b(?!")/gu) ?? []);
    expect(used.length).toBeGreaterThan(40);
    expect([...new Set(used)].filter((name) => !known.has(name) && name !== 'spillway')).toEqual([]);
  });
});

const page = async (): Promise<string> => readFile(`${repository}docs/operations.md`, 'utf8');

it('docs/operations.md names variables, alerts, metrics, roles and files that there are', async () => {
  const text = await page();
  const configs = ['api', 'worker', 'telemetry'].map(async (part) => variablesOf(part));
  // The last is the SDK's own.
  const read = new Set([...(await Promise.all(configs)).flat(), 'OTEL_TRACES_SAMPLER']);
  const variables = [...text.matchAll(/`([A-Z][A-Z\d]*_[A-Z\d_]+)/gu)].map(([, name = '']) => name);
  expect(variables.length).toBeGreaterThan(5);
  expect(variables.filter((name) => !read.has(name))).toEqual([]);

  const rules = await deployText('prometheus/rules.yml');
  for (const [alert] of text.matchAll(/Spillway[A-Z]\w+/gu)) expect(rules).toContain(`alert: ${alert}\n`);
  for (const [metric] of text.matchAll(/spillway_worker_\w+[a-z]/gu)) expect(rules).toContain(metric);

  const privileges = await readFile(`${repository}packages/db/src/roles/privileges.ts`, 'utf8');
  for (const [, role = ''] of text.matchAll(/`(spillway_(?:writer|maintenance|reader|api))`/gu))
    expect(privileges).toContain(`'${role}'`);

  const links = [...text.matchAll(/\]\((\.\.\/[^)#]+|[\w/.-]+\.md)/gu)].map(([, link = '']) => link);
  const paths = [...text.matchAll(/`((?:packages|deploy)\/[\w/.-]+)`/gu)].map(([, found = '']) => `../${found}`);
  for (const link of [...links, ...paths]) expect(existsSync(`${repository}docs/${link}`), link).toBe(true);
});

it('docs/operations.md tells of every variable that API and worker read', async () => {
  const text = await page();
  const [, section = ''] = /## Variables\n(.*?)\n## /su.exec(text) ?? [];
  const told = new Set([...section.matchAll(/`([A-Z][A-Z\d_]+)`/gu)].map(([, name]) => name));
  const read = (await Promise.all(['api', 'worker'].map(async (name) => variablesOf(name)))).flat();
  expect(read.filter((name) => !told.has(name))).toEqual([]);
});

it('docs/operations.md tells the number that each variable has where it is not set', async () => {
  const inCode = new Map([...(await defaultsOf('api')), ...(await defaultsOf('worker'))]);
  expect(inCode.size).toBeGreaterThan(12);
  const told = new Map<string, number>();
  for (const [, variables = '', value = ''] of (await page()).matchAll(/^\| (`[A-Z].*?) \|.* \| ([^|]*) \|$/gmu)) {
    const numbers = [...value.matchAll(/\b\d+\b/gu)].map(Number);
    const names = [...variables.matchAll(/`([A-Z\d_]+)`/gu)].map(([, name = '']) => name);
    for (const [index, name] of names.entries()) told.set(name, numbers[index] ?? Number.NaN);
  }
  expect([...inCode].filter(([name, value]) => told.get(name) !== value)).toEqual([]);
});

it('has room in the Redis of compose.yaml for outboxes that are full, as docs/operations.md reckons it', async () => {
  const [, bytes = ''] = /(\d+) bytes per event/u.exec(await page()) ?? [];
  const [, megabytes = ''] = /full, 16 shards × 100,000 events: (\d+) MiB/u.exec(await page()) ?? [];
  const full = Number(bytes) * 16 * 100_000;
  expect(Math.round(full / 2 ** 20)).toBe(Number(megabytes));
  const [, gigabytes = ''] = /--maxmemory\s+- (\d+)gb/u.exec(await deployText('compose.yaml')) ?? [];
  expect(Number(gigabytes) * 1e9).toBeGreaterThan(full);
});
