import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { deployFiles, deployText, repository } from '../test/deploy-file.ts';
import { variablesOf } from '../test/variables.ts';

const page = async (): Promise<string> => readFile(`${repository}docs/operations.md`, 'utf8');

it('docs/operations.md names variables, alerts, metrics, roles and files that there are', async () => {
  const text = await page();
  const configs = ['api/src/config.ts', 'worker/src/config.ts', 'runtime/src/telemetry.ts'].map(async (file) =>
    variablesOf(`packages/${file}`),
  );
  // The last is the SDK's own.
  const read = new Set([...(await Promise.all(configs)).flat(), 'OTEL_TRACES_SAMPLER']);
  const variables = [...text.matchAll(/`([A-Z][A-Z\d]*_[A-Z\d_]+)/gu)].map(([, name = '']) => name);
  expect(variables.length).toBeGreaterThan(5);
  expect(variables.filter((name) => !read.has(name))).toEqual([]);

  const rules = await Promise.all((await deployFiles('prometheus/rules', '.yml')).map(deployText));
  for (const [alert] of text.matchAll(/Spillway[A-Z]\w+/gu)) expect(rules.join('\n')).toContain(`alert: ${alert}\n`);
  for (const [metric] of text.matchAll(/spillway_worker_\w+[a-z]/gu)) expect(rules.join('\n')).toContain(metric);

  const privileges = await readFile(`${repository}packages/db/src/roles/privileges.ts`, 'utf8');
  for (const [, role = ''] of text.matchAll(/`(spillway_(?:writer|maintenance|reader|api))`/gu))
    expect(privileges).toContain(`'${role}'`);

  const links = [...text.matchAll(/\]\((\.\.\/[^)#]+|[\w/.-]+\.md)/gu)].map(([, link = '']) => link);
  const paths = [...text.matchAll(/`((?:packages|deploy)\/[\w/.-]+)`/gu)].map(([, found = '']) => `../${found}`);
  for (const path of [...links, ...paths]) expect(existsSync(`${repository}docs/${path}`), path).toBe(true);
});

it('docs/operations.md tells of every variable that API and worker read', async () => {
  const text = await page();
  const [, section = ''] = /## Variables\n(.*?)\n## /su.exec(text) ?? [];
  const told = new Set([...section.matchAll(/`([A-Z][A-Z\d_]+)`/gu)].map(([, name]) => name));
  const read = (
    await Promise.all(['api', 'worker'].map(async (name) => variablesOf(`packages/${name}/src/config.ts`)))
  ).flat();
  expect(read.filter((name) => !told.has(name))).toEqual([]);
});

it('has room in the Redis of compose.yaml for outboxes that are full, as docs/operations.md reckons it', async () => {
  const [, bytes = ''] = /(\d+) bytes an event/u.exec(await page()) ?? [];
  const [, megabytes = ''] = /full, 16 shards × 100,000 events: (\d+) MiB/u.exec(await page()) ?? [];
  const full = Number(bytes) * 16 * 100_000;
  // To the nearest ten.
  expect(Math.round(full / 2 ** 20 / 10) * 10).toBe(Number(megabytes));
  const [, gigabytes = ''] = /--maxmemory\s+- (\d+)gb/u.exec(await deployText('compose.yaml')) ?? [];
  expect(Number(gigabytes) * 1e9).toBeGreaterThan(full);
});
