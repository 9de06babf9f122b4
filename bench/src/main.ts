import { writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { startRedis } from '@spillway/embedded';
import { latency } from './limiter/latency.ts';
import { memory } from './limiter/memory.ts';
import { throughput } from './limiter/throughput.ts';
import { page } from './page.ts';
import { latencyTable, memoryTable, throughputTable } from './table.ts';

/** Runs the benches against an embedded Redis, prints the page and writes it to bench/README.md. */
const redis = await startRedis();
try {
  const text = page({
    machine: `${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown CPU'}`,
    throughput: throughputTable(await throughput(redis.url)),
    latency: latencyTable(await latency(redis.url)),
    memory: memoryTable(await memory(redis.url)),
  });
  console.log(text);
  await writeFile(new URL('../README.md', import.meta.url), text);
} finally {
  await redis.stop();
}
