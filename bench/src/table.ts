import type { Result } from './limiter/throughput.ts';

/** The results as a Markdown table; the ratio compares each line with the first. */
export function toTable(results: readonly Result[]): string {
  const [first] = results;
  const rows = results.map(
    ({ name, algorithm, decisionsPerSecond, clientMicros, redisMicros }) =>
      `| ${name} | ${algorithm} | ${Math.round(decisionsPerSecond / 1000)}k | ${clientMicros.toFixed(2)} | ${redisMicros.toFixed(2)} | ${times(first, decisionsPerSecond)} |`,
  );
  return [
    '| limiter | algorithm | decisions/s | client CPU µs | Redis CPU µs | Spillway is |',
    '| --- | --- | ---: | ---: | ---: | ---: |',
    ...rows,
  ].join('\n');
}

function times(first: Result | undefined, decisionsPerSecond: number): string {
  return first === undefined ? '' : `${(first.decisionsPerSecond / decisionsPerSecond).toFixed(1)}×`;
}
