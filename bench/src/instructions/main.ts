import { readFile, writeFile } from 'node:fs/promises';
import { countCases, type Counts, growth, startCountedRedis, TOLERANCE } from './cases.ts';

/*
 * Counts the Redis server's instructions a decision: a measure that a busy machine leaves alone. Writes
 * bench/instructions.json, and beside it what was counted; with --check compares with it instead, and fails where a
 * decision has become dearer. Another version of Redis, or another processor, does other things for the same call: there
 * nothing is compared.
 */
const file = new URL('../../instructions.json', import.meta.url);
const serverFile = new URL('../../instructions-server.txt', import.meta.url);

const redis = await startCountedRedis();
const server = `redis ${await redis.version()} on ${process.arch}`;
if (process.argv.includes('--check')) {
  const keptServer = (await readFile(serverFile, 'utf8')).trim();
  if (keptServer === server) compare(JSON.parse(await readFile(file, 'utf8')), await countCases(redis));
  else console.log(`skipped: what is kept was counted with ${keptServer}, and here is ${server}`);
} else {
  const counts = await countCases(redis);
  await writeFile(file, `${JSON.stringify(counts, undefined, 2)}\n`);
  await writeFile(serverFile, `${server}\n`);
  for (const [name, count] of Object.entries(counts)) console.log(`${name}: ${count.toLocaleString('en')}`);
}
await redis.stop();

function compare(kept: Counts, counts: Counts): void {
  for (const name of Object.keys(counts)) {
    const share = growth(name, kept, counts);
    // A case that was never counted has nothing to be compared with: it fails until it is.
    const dearer = !(share <= TOLERANCE);
    console.log(`${dearer ? 'DEARER ' : ''}${name}: ${kept[name]} → ${counts[name]} (${(100 * share).toFixed(1)} %)`);
    if (dearer) process.exitCode = 1;
  }
}
