import type { Latency } from './limiter/latency.ts';
import type { Footprint } from './limiter/memory.ts';
import type { Result } from './limiter/throughput.ts';
import { markdownTable } from './markdown.ts';

/** Decisions a second and CPU; the ratio compares each line with the first. */
export function throughputTable(results: readonly Result[]): string {
  const first = results[0]?.decisionsPerSecond ?? Number.NaN;
  return markdownTable(
    [
      ['limiter', 'left'],
      ['algorithm', 'left'],
      ['decisions/s', 'right'],
      ['client CPU µs', 'right'],
      ['Redis CPU µs', 'right'],
      ['Spillway is', 'right'],
    ],
    results.map(({ name, algorithm, decisionsPerSecond, clientMicros, redisMicros }) => [
      name,
      algorithm,
      `${Math.round(decisionsPerSecond / 1000)}k`,
      clientMicros.toFixed(2),
      redisMicros.toFixed(2),
      `${(first / decisionsPerSecond).toFixed(1)}×`,
    ]),
  );
}

/** Latencies; the ratios compare each line with the last, the bare round trip. */
export function latencyTable(latencies: readonly Latency[]): string {
  const last = latencies.at(-1);
  return markdownTable(
    [
      ['one in flight', 'left'],
      ['p50 µs', 'right'],
      ['p99 µs', 'right'],
      ['p50 ratio', 'right'],
      ['p99 ratio', 'right'],
    ],
    latencies.map(({ name, p50Micros, p99Micros }) => [
      name,
      p50Micros.toFixed(0),
      p99Micros.toFixed(0),
      `${(p50Micros / (last?.p50Micros ?? Number.NaN)).toFixed(2)}×`,
      `${(p99Micros / (last?.p99Micros ?? Number.NaN)).toFixed(2)}×`,
    ]),
  );
}

/** Bytes a key. */
export function memoryTable(footprints: readonly Footprint[]): string {
  return markdownTable(
    [
      ['limiter', 'left'],
      ['limit', 'right'],
      ['bytes/key', 'right'],
    ],
    footprints.map(({ name, limit, bytesPerKey }) => [
      name,
      limit.toLocaleString('en'),
      bytesPerKey.toLocaleString('en'),
    ]),
  );
}
