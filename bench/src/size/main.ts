import { readFile, writeFile } from 'node:fs/promises';
import { withBlocks } from '../compared.ts';
import { entriesOf, problemsOf, type Size, sizeOf, type Sizes, type Subject, tableOf } from './measure.ts';

/*
 * What an import costs: bytes of a bundle and packages of an installation, of each entry and beside the peers. Compares with
 * bench/sizes.json and fails where an entry has grown or is new, or where the table in docs/compare.md says something else
 * than the file; with --write it writes both.
 */
const file = new URL('../../sizes.json', import.meta.url);
const page = new URL('../../../docs/compare.md', import.meta.url);

const ours: readonly Subject[] = ['@spillway/limiter', '@spillway/breaker'].flatMap((name) =>
  entriesOf(name).map((entry) => ({
    name: entry,
    modules: [entry],
    // Over HTTP no Redis is asked.
    beside: entry.endsWith('http-store') ? [] : ['ioredis'],
  })),
);

const peers: readonly Subject[] = [
  { name: 'rate-limiter-flexible', modules: ['rate-limiter-flexible'], beside: ['ioredis'] },
  { name: 'hono-rate-limiter', modules: ['hono-rate-limiter'], beside: ['ioredis'] },
  {
    name: 'express-rate-limit + rate-limit-redis',
    modules: ['express-rate-limit', 'rate-limit-redis'],
    beside: ['ioredis'],
  },
  { name: '@fastify/rate-limit', modules: ['@fastify/rate-limit'], beside: ['ioredis'] },
  { name: '@upstash/ratelimit', modules: ['@upstash/ratelimit'] },
  { name: 'opossum', modules: ['opossum'] },
  { name: 'cockatiel', modules: ['cockatiel'] },
];

const measured: Record<string, Size> = {};
for (const subject of [...ours, ...peers]) measured[subject.name] = await sizeOf(subject);

if (process.argv.includes('--write')) {
  await writeFile(file, `${JSON.stringify(measured, undefined, 2)}\n`);
  await writeFile(page, withSizes(await readFile(page, 'utf8'), measured));
} else {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it is written above
  const kept = JSON.parse(await readFile(file, 'utf8')) as Sizes;
  const entries = ours.map(({ name }) => name);
  const problems = problemsOf(kept, measured, entries);
  const text = await readFile(page, 'utf8');
  if (withSizes(text, kept) !== text) problems.push('docs/compare.md has other figures than bench/sizes.json');
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) {
    console.error('`pnpm check:size --write` keeps what is measured now, so that the commit shows it.');
    process.exitCode = 1;
  }
}

function withSizes(text: string, sizes: Sizes): string {
  return withBlocks(text, 'sizes', new Map([['all', tableOf(sizes)]]));
}
