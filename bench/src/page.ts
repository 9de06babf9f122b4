/** The tables of a run, and the machine that it ran on. */
export interface Run {
  readonly machine: string;
  readonly throughput: string;
  readonly latency: string;
  readonly memory: string;
}

/** The text of bench/README.md. */
export function page({ machine, throughput, latency, memory }: Run): string {
  return `# Benchmarks

\`npx pnpm@12 bench\` writes this page. All lines come from one run: one Node process, one Redis, contenders taking
turns, medians of five rounds. Machines differ and are noisy: the ratios say more than the figures.

${machine}

## Limiter

256 decisions in flight over 10,000 subjects, limit 100 a minute, 200,000 decisions a round.

${throughput}

CPU is per decision: the client's by \`process.cpuUsage()\`, Redis' by its own \`INFO cpu\`. Every peer runs with ioredis'
auto-pipelining, its fastest setting here. \`@upstash/ratelimit\` talks to Redis over a socket instead of HTTP, keeps its
cache of refused subjects and does without its timeout; its scripts lose their first line, which stock Redis refuses.
Of express-rate-limit and hono-rate-limiter only the store's \`increment\` is measured, no middleware. \`EVALSHA of return
1\` is what one script call a decision costs at least; Spillway's batches share one call between many decisions.

## One decision at a time

5,000 decisions a round, each asked for when the one before is there: nothing to batch, nothing to hide behind.
The bare script call runs without auto-pipelining, which would only delay it here.

${latency}

## Memory

1,000 subjects (100 at limit 10,000) filled to their limit one unit at a time; the median of \`MEMORY USAGE\`.

${memory}

An exact log keeps 4 bytes for each unit, and Redis gives a string that grows up to twice the room it needs. Counters
keep one number whatever the limit. \`@upstash/ratelimit\` has a second key for a subject that was there in the window
before.
`;
}
