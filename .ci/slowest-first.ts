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

/** Files that may share a process come last and together, because a process can take only a file that follows its last one. */
function rank({ moduleId, project }: TestSpecification): number {
  const place = slow.findIndex((name) => moduleId.endsWith(`/${name}`));
  if (place !== -1) return place;
  return project.config.isolate ? slow.length : slow.length + 1;
}

/** Runs the slowest files first and all others, project by project, in vitest's own order. */
export class SlowestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- vitest's own method, which gives a promise
    const sorted = await super.sort(files);
    return sorted.toSorted((one, other) => rank(one) - rank(other));
  }
}
