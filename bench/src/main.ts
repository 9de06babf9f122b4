import { writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { startRedis } from '@spillway/embedded';
import { throughput } from './limiter/throughput.ts';
import { toTable } from './table.ts';

/** Runs the benches against an embedded Redis, prints the table and writes it to bench/README.md. */
const redis = await startRedis();
try {
  const results = await throughput(redis.url);
  const table = toTable(results);
  const machine = `${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown CPU'}`;
  console.log(`\n${machine}\n\n${table}\n`);
  const page = `# Benchmarks

\`npx pnpm@12 bench\` writes this page. All lines come from one run: one Node process, one Redis, 256 decisions in flight
over 10,000 subjects, limit 100 a minute, contenders taking turns, the median of five rounds of 200,000 decisions each.
Machines differ and are noisy: the ratios say more than the figures.

## Limiter

${machine}

${table}

CPU is per decision: the client's by \`process.cpuUsage()\`, Redis' by its own \`INFO cpu\`. \`rate-limiter-flexible\` runs
with ioredis' auto-pipelining, which is its fastest setting here. \`EVALSHA of return 1\` is what one script call a
decision costs at least; Spillway is faster than that because a batch of decisions shares one call.
`;
  await writeFile(new URL('../README.md', import.meta.url), page);
} finally {
  await redis.stop();
}
