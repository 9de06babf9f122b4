import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files that take half a minute or more, the longest first. One that began last would run alone at the end. */
const slow = [
  'examples/src/packed.test.ts',
  'bench/scale/src/interrupts.test.ts',
  'start/src/main.test.ts',
  'packages/cli/src/commands/doctor.test.ts',
  'bench/scale/src/main.test.ts',
  'packages/limiter/src/store/redis-memory.test.ts',
  'packages/breaker/src/breakers/processes.test.ts',
  'bench/scale/src/tampered.test.ts',
];

function rank({ moduleId }: TestSpecification): number {
  const place = slow.findIndex((name) => moduleId.endsWith(`/${name}`));
  return place === -1 ? slow.length : place;
}

/** Runs the slowest files first and all others in vitest's own order. */
export class SlowestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- vitest's own method, which gives a promise
    const sorted = await super.sort(files);
    return sorted.toSorted((one, other) => rank(one) - rank(other));
  }
}
