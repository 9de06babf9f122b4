import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const packages = ['db', 'worker', 'api', 'cli'];

/** Tests, and what only they use. */
const isForTests = (file: string): boolean => /\.test(?:-d)?\.ts$|\/(?:testing|chaos)(?:\/|$)/u.test(file);

const renamed = [
  ['rate-limits.ts', 'blockedUntilMs'],
  ['rate-limits.ts', 'deniedCount'],
  ['circuit-breaker-events.ts', 'breakerEpoch'],
  ['system-metrics.ts', 'metricValue'],
  ['audit-dead-letters.ts', 'replayedAtMs'],
  ['audit-gaps.ts', 'resolvedAtMs'],
  ['alerts.ts', 'openedAtMs'],
  ['api-keys.ts', 'lastUsedAtMs'],
  ['changes.ts', 'objectKind'],
] as const;

describe('a column that is renamed in the schema', () => {
  let copy = '';

  /** The four packages that use tables, with this package's own sources in place of the installed ones. */
  beforeAll(async () => {
    copy = await mkdtemp(path.join(tmpdir(), 'spillway-columns-'));
    await cp(path.join(root, 'tsconfig.base.json'), path.join(copy, 'tsconfig.base.json'));
    await symlink(path.join(root, 'node_modules'), path.join(copy, 'node_modules'));
    for (const name of packages) {
      const from = path.join(root, 'packages', name);
      const to = path.join(copy, 'packages', name);
      await mkdir(to, { recursive: true });
      await cp(path.join(from, 'src'), path.join(to, 'src'), { recursive: true, filter: (file) => !isForTests(file) });
      await cp(path.join(from, 'package.json'), path.join(to, 'package.json'));
      await symlink(path.join(from, 'node_modules'), path.join(to, 'node_modules'));
    }
    const paths = Object.fromEntries(
      packages.map((name) => [`@spillway/${name}`, [`./packages/${name}/src/index.ts`]]),
    );
    const compilerOptions = {
      composite: false,
      incremental: true,
      tsBuildInfoFile: './.tsbuildinfo',
      declaration: false,
      declarationMap: false,
      isolatedDeclarations: false,
      noEmit: true,
      paths: {
        ...paths,
        '@spillway/db/schema': ['./packages/db/src/schema/index.ts'],
      },
    };
    const config = { extends: './tsconfig.base.json', compilerOptions, include: ['packages/*/src'] };
    await writeFile(path.join(copy, 'tsconfig.json'), JSON.stringify(config));
  });

  afterAll(async () => rm(copy, { recursive: true, force: true }));

  /** The compiler's errors, a line each. */
  const compile = async (): Promise<string[]> =>
    new Promise((resolve) => {
      const compiler = path.join(root, 'node_modules/.bin/tsc');
      execFile(compiler, ['-p', '.', '--pretty', 'false'], { cwd: copy, maxBuffer: 1e8 }, (_error, stdout) => {
        resolve(stdout.split('\n').filter((line) => line !== ''));
      });
    });

  test('compiles as it is, and once it is renamed nowhere that it is used', { timeout: 300_000 }, async () => {
    expect(await compile()).toEqual([]);
    for (const [file, key] of renamed) {
      const name = path.join(copy, 'packages/db/src/schema', file);
      const text = await readFile(name, 'utf8');
      await writeFile(name, text.replace(new RegExp(`^ {4}${key}:`, 'mu'), `    ${key}Renamed:`));
    }
    const errors = await compile();
    const files = (key: string): string[] => {
      const lines = errors.filter((line) => line.startsWith('packages/') && line.includes(`'${key}'`));
      return [...new Set(lines.map((line) => line.replace(/\(.*$/u, '').replace('packages/', '')))].toSorted();
    };
    expect(Object.fromEntries(renamed.map(([, key]) => [key, files(key)]))).toMatchInlineSnapshot(`
      {
        "blockedUntilMs": [
          "api/src/audit/block-routes.ts",
          "db/src/cleanup/cleanup-rule.ts",
          "db/src/dashboard/blocked-subjects.ts",
          "db/src/schema/rate-limits.ts",
          "db/src/trail/blocks.ts",
          "db/src/trail/recent-events.ts",
          "worker/src/sink/block-table.ts",
        ],
        "breakerEpoch": [
          "db/src/dashboard/breaker-overview.ts",
          "db/src/schema/circuit-breaker-events.ts",
          "worker/src/sink/breaker-table.ts",
        ],
        "deniedCount": [
          "db/src/dashboard/blocked-subjects.ts",
          "worker/src/sink/block-table.ts",
        ],
        "lastUsedAtMs": [
          "cli/src/commands/key/list.ts",
          "db/src/api-keys/api-keys.ts",
        ],
        "metricValue": [
          "db/src/dashboard/metric-latest.ts",
          "db/src/dashboard/metric-series.ts",
          "db/src/schema/system-metrics.ts",
          "worker/src/sink/near-limit-table.ts",
        ],
        "objectKind": [
          "db/src/schema/changes.ts",
          "db/src/trail/changes.ts",
        ],
        "openedAtMs": [
          "api/src/dashboard/snapshot.ts",
          "db/src/alerts/alerts.ts",
          "db/src/schema/alerts.ts",
          "worker/src/alerts/webhook.ts",
        ],
        "replayedAtMs": [
          "db/src/roles/privileges.ts",
          "db/src/schema/audit-dead-letters.ts",
          "db/src/trail/dead-letters.ts",
        ],
        "resolvedAtMs": [
          "db/src/schema/audit-gaps.ts",
          "db/src/trail/gaps.ts",
        ],
      }
    `);
  });
});
