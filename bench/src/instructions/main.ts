import { readFile, writeFile } from 'node:fs/promises';
import { type Counts, countCases } from './cases.ts';
import { startCountedRedis } from './counted-redis.ts';
import { growth, TOLERANCE } from './growth.ts';

/*
 * Counts the Redis server's instructions a decision: a measure that a busy machine leaves alone. Writes
 * bench/instructions.json; with --check compares with it instead, and fails where a decision has become dearer.
 */
const file = new URL('../../instructions.json', import.meta.url);

const redis = await startCountedRedis();
const counts = await countCases(redis);
await redis.stop();

if (!process.argv.includes('--check')) {
  await writeFile(file, `${JSON.stringify(counts, undefined, 2)}\n`);
  for (const [name, count] of Object.entries(counts)) console.log(`${name}: ${count.toLocaleString('en')}`);
} else {
  const kept: Counts = JSON.parse(await readFile(file, 'utf8'));
  const dearer = Object.keys(counts).filter((name) => growth(name, kept, counts) > TOLERANCE);
  for (const name of Object.keys(counts)) {
    const percent = (100 * growth(name, kept, counts)).toFixed(1);
    console.log(`${dearer.includes(name) ? 'DEARER ' : ''}${name}: ${kept[name]} → ${counts[name]} (${percent} %)`);
  }
  if (dearer.length > 0) process.exitCode = 1;
}
