import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { type Ended, spillway } from '../test/spillway.ts';
import { createOutput, printable, table } from './cli-context.ts';
import { runCli } from './program.ts';

/** As `spillway`, in this process: most of what is told here needs no other. */
async function run(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const said = { stdout: '', stderr: '' };
  const code = await runCli(argv, {
    env,
    output: createOutput({
      stdout: { write: (text) => (said.stdout += text) },
      stderr: { write: (text) => (said.stderr += text) },
      json: argv.includes('--json'),
    }),
    signal: new AbortController().signal,
    runWorker: async () => {},
  });
  return { code, ...said };
}

it('tells of all commands and of the exit codes in its help', async () => {
  const { code, stdout, stderr } = await spillway(['--help']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout.split('\n')).toEqual([
    'Usage: spillway [options] [command]',
    '',
    'Spillway: rate limits, circuit breakers and their audit trail',
    '',
    'Options:',
    '  --version               print the version',
    '  --json                  print JSON instead of tables',
    '  -h, --help              display help for command',
    '',
    'Commands:',
    '  init [options] <start>  write a working program to start from; never',
    '                          overwrites a file',
    '  migrate [options]       migrate the database to this version, and create the',
    '                          partitions of this month and the next three',
    '  worker [options]        run the worker until SIGTERM or SIGINT: audit trail,',
    '                          schedules, monitor',
    '  maintenance             clean up, create partitions, archive',
    '  queries [options]       run the monitoring queries: blocks, breaker events,',
    '                          archival history',
    '  doctor [options]        check variables, Redis, Postgres and the clocks, and',
    '                          print what to change',
    '  audit                   inspect and repair the audit trail',
    '  key                     create, list and revoke API keys, the first one',
    '                          included',
    '  subject                 block a subject everywhere, and list blocked subjects',
    '  apply [options] <file>  apply a spillway.yaml: policies, overrides, lists,',
    '                          plans, breaker presets',
    '  export [options]        print the current entries as a spillway.yaml; applying',
    '                          that file changes nothing',
    '  help [command]          display help for command',
    '',
    'Exit codes:',
    '  0  done',
    '  1  failed',
    '  2  the command line or a variable is wrong; nothing was done',
    '  3  done in part, or another process is running it: run the command again',
    '  4  doctor found something to change, or reconcile something missing',
    '  5  Redis or Postgres cannot be reached',
    '',
  ]);
});

it('prints its version', async () => {
  expect(await run(['--version'])).toEqual({
    code: 0,
    stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/u) as string,
    stderr: '',
  });
});

it.each([
  [
    ['migrate', '--help'],
    ['Needs DATABASE_URL', '--json'],
  ],
  [
    ['worker', '--help'],
    ['Needs REDIS_URL and DATABASE_URL', 'SIGTERM'],
  ],
  [
    ['maintenance', 'run', '--help'],
    ['--dry-run', '--time-budget', '"cron-archive-data"', 'archive.archival_runs'],
  ],
  [
    ['queries', '--help'],
    ['Needs DATABASE_URL', '--json'],
  ],
  [
    ['doctor', '--help'],
    ['Ends with 4', '--json'],
  ],
  [
    ['audit', 'tail', '--help'],
    ['--since', '--interval'],
  ],
])('%j says what the command needs and takes', async (args, parts) => {
  const { code, stdout } = await run(args);
  expect(code).toBe(0);
  for (const part of parts) expect(stdout).toContain(part);
});

it.each([
  [['maintain'], "unknown command 'maintain'"],
  [['maintenance', 'run', 'cron-clean'], 'Allowed choices are cron-cleanup-rate-limits'],
  [['maintenance', 'run', 'cron-archive-data', '--time-budget', 'soon'], 'It must be a number of seconds.'],
  [['queries', '--dry-run'], "unknown option '--dry-run'"],
  [['queries'], 'DATABASE_URL must be a postgres:// URL, but is not set'],
  [['doctor'], 'DATABASE_URL must be a postgres:// URL, but is not set'],
  [['worker'], 'REDIS_URL must be a redis://, redis-cluster:// or redis-sentinel:// URL, but is not set'],
])('%j ends with 2 and says what is wrong, as JSON with --json', async (args, message) => {
  const people = await run(args);
  expect({ code: people.code, stdout: people.stdout }).toEqual({ code: 2, stdout: '' });
  expect(people.stderr).toContain(message);
  const program = await run([...args, '--json']);
  expect({ code: program.code, stdout: program.stdout }).toEqual({ code: 2, stdout: '' });
  expect(JSON.parse(program.stderr)).toEqual({ error: expect.stringContaining(message), exitCode: 2 });
});

it('ends with 2 and shows its help when no command is named', async () => {
  const { code, stderr } = await run([]);
  expect(code).toBe(2);
  expect(stderr).toContain('Usage: spillway');
});

it('refuses a wrong list of archives before it touches anything', async () => {
  const env = { DATABASE_URL: 'postgres://127.0.0.1:1/x', SPILLWAY_ARCHIVE_TABLES: '{}' };
  const { code, stderr } = await run(['maintenance', 'run', 'cron-archive-data'], env);
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('SPILLWAY_ARCHIVE_TABLES must be') });
});

it('ends the process with the code and writes to the right streams', async () => {
  const { code, stdout, stderr } = await spillway(['queries', '--json']);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(JSON.parse(stderr)).toEqual({ error: 'DATABASE_URL must be a postgres:// URL, but is not set', exitCode: 2 });
});

it('ends with 5 when Postgres is away', async () => {
  const { code, stderr } = await run(['queries', '--json'], { DATABASE_URL: 'postgres://127.0.0.1:1/x' });
  expect(code).toBe(5);
  expect(JSON.parse(stderr)).toEqual({ error: expect.stringContaining('ECONNREFUSED'), exitCode: 5 });
});

it.each([
  ['\u001b]52;c;aGk=\u0007', String.raw`\u{1b}]52;c;aGk=\u{7}`],
  ['\u001b[2K\rroot', String.raw`\u{1b}[2K\u{d}root`],
  ['bob\n2026-01-01  block  admin', String.raw`bob\u{a}2026-01-01  block  admin`],
  ['\u009b31m', String.raw`\u{9b}31m`],
  ['user\u202egpj.exe', String.raw`user\u{202e}gpj.exe`],
  ['a\u200bb\u2028c', String.raw`a\u{200b}b\u{2028}c`],
  ['Zoë 日本 🙂', 'Zoë 日本 🙂'],
])('shows what a terminal would obey in %j by its number', (text, shown) => {
  expect(printable(text)).toBe(shown);
  expect(table([{ subject: text }])).toContain(shown);
  let said = '';
  const stream = { write: (part: string) => (said += part) };
  createOutput({ stdout: stream, stderr: stream, json: false }).failure({ error: text, exitCode: 1 });
  expect(said.split('\n').join('')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}]/u);
});

it('wraps long text, so that a row fits on a screen', () => {
  const drawn = table([{ table: 'audit_logs', notes: 'one partition is missing '.repeat(30) }]);
  expect(Math.max(...drawn.split('\n').map((line) => line.length))).toBeLessThan(100);
  expect(drawn.replaceAll(/[\s│]+/gu, ' ')).toContain('missing one partition is missing');
});

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'spillway-init-'));
  onTestFinished(() => rm(path, { recursive: true }));
  return path;
}

/** Without any variable: no server is needed. */
const init = async (...args: string[]): Promise<Ended> => spillway(['init', ...args]);

const files: readonly (readonly [string, string])[] = [
  ['supabase', 'supabase/functions/_shared/rate-limit-middleware.ts'],
  ['supabase', 'supabase/functions/_shared/circuit-breaker-enhanced.ts'],
  ['supabase', 'supabase/spillway-cron.sql'],
  ['hono', 'server.mjs'],
  ['express', 'server.mjs'],
  ['fastify', 'server.mjs'],
];

it.each(files)('init %s writes %s with the version of this package, and says what to do next', async (start, file) => {
  const into = await folder();
  const { code, stdout, stderr } = await init(start, '--into', into);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain(`Wrote ${join(into, file)}\n`);
  expect(stdout).toMatch(/\nNext:\n {2}\S/u);
  expect(stdout).not.toContain('VERSION');
  expect(await readFile(join(into, file), 'utf8')).not.toContain('VERSION');
});

it.each(files)('init %s overwrites no %s, writes nothing beside it, and names it', async (start, file) => {
  const into = await folder();
  const path = join(into, file);
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, 'mine');
  const { code, stderr } = await init(start, '--into', into);
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(`${path} exists already`) });
  expect(await readFile(path, 'utf8')).toBe('mine');
  const found = (await readdir(into, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  expect(found).toHaveLength(1);
});

it('writes through no link that leads nowhere yet, and says which file cannot be written', async () => {
  const into = await folder();
  await symlink(join(into, 'elsewhere'), join(into, 'server.mjs'));
  expect(await init('hono', '--into', into)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('server.mjs exists'),
  });
  await writeFile(join(into, 'supabase'), 'a file');
  const { code, stderr } = await init('supabase', '--into', into, '--json');
  expect(JSON.parse(stderr)).toMatchObject({ error: expect.stringContaining('cannot be written'), exitCode: code });
  expect(await readdir(into)).toEqual(['server.mjs', 'supabase']);
});

it.each(['/proc/spillway', '/dev/null/spillway'])('says that nothing can be written into %s', async (into) => {
  const { code, stdout, stderr } = await init('supabase', '--into', into);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(/^\/(?:proc|dev)\/.* cannot be written: .*mkdir|stat/u);
});

it('shows all with --dry-run and writes nothing', async () => {
  const into = await folder();
  const { code, stdout } = await init('supabase', '--into', into, '--dry-run');
  expect(code).toBe(0);
  for (const [, file] of files.slice(0, 3)) expect(stdout).toContain(`--- ${join(into, file)}\n`);
  expect(stdout).toContain("SELECT cron.schedule('cleanup-rate-limits', '0 3 * * *'");
  expect(await readdir(into)).toEqual([]);
});

it('names the starts that there are when it is asked for another', async () => {
  expect(await init('rails')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('supabase, hono, express, fastify'),
  });
});
