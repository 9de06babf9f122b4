import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { type Cost, withTables } from './measure.ts';
import { queries, type Query, snapshots } from './queries.ts';

// What each query of the dashboard costs over tables of any size: pnpm bench:explain --blocks 10000000 --samples 100000000
const { values } = parseArgs({
  options: {
    blocks: { type: 'string', default: '10000000' },
    samples: { type: 'string', default: '100000000' },
    out: { type: 'string', default: 'bench/results/explain.json' },
  },
});
const ROUNDS = 5;

const amounts = { blocks: Number(values.blocks), samples: Number(values.samples), breakerEvents: 100_000 };
const all: readonly (readonly [string, Query])[] = [
  ...Object.entries(queries),
  ...snapshots.map(({ range, read }) => [`a snapshot, ${range}`, read] as const),
  ...snapshots.map(({ range, kept }) => [`what it keeps, ${range}`, kept] as const),
];
await withTables(amounts, async ({ database, measure }) => {
  process.stdout.write(`${JSON.stringify(database)}\n`);
  const results: Record<string, Cost> = {};
  for (const [name, query] of all) {
    const cost = await measure(query, ROUNDS);
    results[name] = cost;
    process.stdout.write(`| ${name} | ${cost.ms.toFixed(1)} | ${cost.planMs.toFixed(1)} | ${cost.buffers} |\n`);
  }
  await writeFile(values.out, `${JSON.stringify({ ...database, ...values, results }, null, 2)}\n`);
});
