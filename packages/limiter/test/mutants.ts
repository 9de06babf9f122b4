import { execFileSync, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startRedis } from '@spillway/local-servers';
import { memoryUnderTest, redisUnderTest } from './hand-clock.ts';
import { firstDifference, histories } from './histories.ts';

/*
 * `pnpm mutants [TEXT…]` breaks the rules of the Lua in mutants.txt one by one, and fails unless a test notices each. With TEXT
 * only those whose file or rule contains one of them. Each mutant is tried by histories.ts in this process, which takes
 * less than a second; what survives that is tried by the tests named beside its file. Prints a table in Markdown.
 *
 * For the second step it changes the Lua on the disk, and puts it back: run it in a working tree of its own.
 */
interface Mutant {
  readonly file: string;
  readonly rule: string;
  readonly from: string;
  readonly to: string;
  readonly tests: readonly string[];
}

const root = path.resolve(import.meta.dirname, '../../..');
const limiter = path.join(root, 'packages/limiter');
const PLAYED = [
  ...[1, 2, 3, 4, 5, 6].map((seed) => ['mixed', seed] as const),
  ...[1, 2].flatMap((seed) => (['resized', 'calendars'] as const).map((name) => [name, seed] as const)),
];
const ROUNDS = 800;
/** Also detects a mutant that loops forever. */
const HANGS_MS = 60_000;
const TESTS_MS = 400_000;

function mutantsOf(list: string): readonly Mutant[] {
  let file = '';
  let tests: readonly string[] = [];
  return list.split('\n').flatMap((line) => {
    if (line.startsWith('@')) [, file = '', ...tests] = line.split(' ');
    if (line === '' || line.startsWith('#') || line.startsWith('@')) return [];
    const [rule = '', from = '', to = ''] = line.split(' | ').map((part) => part.replaceAll('⏎', '\n'));
    return [{ file, rule, from, to, tests: tests.map((name) => `packages/limiter/src/${name}.test.ts`) }];
  });
}

/**
 * What changes the text of a script as the mutant says. A script is put together from what stands between the lines
 * `--- @…` of the files, with an algorithm's number in the place of NUMBER.
 */
function mutation({ file, rule, from, to }: Mutant): (source: string) => string {
  const text = readFileSync(path.join(limiter, file), 'utf8');
  const chunks = text.split(/^ *--- @.*\n/mu).filter((one) => one.includes(from));
  const [chunk] = chunks;
  if (chunk === undefined || chunks.length > 1 || chunk.split(from).length !== 2) {
    throw new Error(`${file}: "${rule}": what it replaces must stand there once`);
  }
  const own = /^--- @number (?<number>\d+)$/mu.exec(text)?.groups?.['number'];
  const numbers = own === undefined ? ['NUMBER', '0', '1', '2', '3', '4', '5'] : [own];
  const changed = chunk.replace(from, () => to);
  const pairs = numbers.map((number) =>
    [chunk, changed].map((part) => part.replace(/\n$/u, '').replaceAll(/\bNUMBER\b/gu, number)),
  );
  return (source) => {
    const pair = pairs.find(([old = '']) => source.includes(old));
    return pair === undefined ? source : source.replaceAll(pair[0] ?? '', () => pair[1] ?? '');
  };
}

/** @returns what noticed the mutant, if anything did */
async function triedInProcess(mutant: Mutant): Promise<string | undefined> {
  // A clock that is turned by hand stands in for it.
  if (mutant.file.endsWith('/now.lua')) return undefined;
  // A server of its own: one in which a script loops for ever answers nobody.
  const server = await startRedis();
  try {
    return await playedTo(server.url, mutant);
  } finally {
    await server.stop();
  }
}

async function playedTo(url: string, mutant: Mutant): Promise<string | undefined> {
  for (const [name, seed] of PLAYED) {
    const redis = await redisUnderTest(url, undefined, mutation(mutant));
    await redis.clear();
    const late = new Promise<'hangs'>((resolve) => setTimeout(resolve, HANGS_MS, 'hangs').unref());
    const found = await Promise.race([
      firstDifference([redis, memoryUnderTest()], seed, ROUNDS, histories[name]),
      late,
    ]);
    if (found !== 'hangs') await redis.dispose();
    if (found !== undefined) return `histories, ${name} ${seed}`;
  }
  return undefined;
}

function build(): void {
  execFileSync('node', ['--import', 'tsx', '.ci/build-lua.ts'], { cwd: root, stdio: 'ignore' });
}

/** @returns the test that failed, if any did */
async function triedOnDisk(mutant: Mutant): Promise<string | undefined> {
  const file = path.join(limiter, mutant.file);
  const text = readFileSync(file, 'utf8');
  try {
    writeFileSync(
      file,
      text.replace(mutant.from, () => mutant.to),
    );
    build();
    return await firstFailure(mutant.tests);
  } finally {
    writeFileSync(file, text);
    build();
  }
}

async function firstFailure(tests: readonly string[]): Promise<string | undefined> {
  const report = path.join(tmpdir(), `mutants-${process.pid}.json`);
  writeFileSync(report, '{"testResults":[]}');
  const options = ['--typecheck.enabled=false', '--bail=1', '--reporter=json', `--outputFile=${report}`];
  const vitest = spawn(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...options, ...tests], {
    cwd: root,
    stdio: 'ignore',
    timeout: TESTS_MS,
  });
  const code = await new Promise<number | null>((resolve) => vitest.once('exit', resolve));
  if (code === 0) return undefined;
  const { testResults }: { testResults: { name: string; assertionResults: { status: string; fullName: string }[] }[] } =
    JSON.parse(readFileSync(report, 'utf8'));
  for (const { name, assertionResults } of testResults) {
    const failed = assertionResults.find(({ status }) => status === 'failed');
    if (failed) return `${path.basename(name, '.test.ts')}: ${failed.fullName}`;
  }
  return code === null ? 'no end' : 'a file that does not load';
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const wanted = process.argv.slice(2);
const mutants = mutantsOf(readFileSync(path.join(import.meta.dirname, 'mutants.txt'), 'utf8')).filter(
  ({ file, rule }) => wanted.length === 0 || wanted.some((text) => `${file} ${rule}`.includes(text)),
);
if (execFileSync('git', ['status', '--porcelain', '--', '*.lua'], { cwd: root, encoding: 'utf8' }) !== '') {
  throw new Error('the Lua has changes that are not committed');
}
say('| file | rule | noticed by |\n| --- | --- | --- |');
let survivors = 0;
for (const mutant of mutants) {
  const killer = (await triedInProcess(mutant)) ?? (await triedOnDisk(mutant));
  if (killer === undefined) survivors += 1;
  say(`| ${mutant.file} | ${mutant.rule} | ${killer ?? '**nothing**'} |`);
}
say(`${mutants.length} mutants, ${survivors} survived`);
process.exit(survivors === 0 ? 0 : 1);
