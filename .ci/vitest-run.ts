import { BaseSequencer, type Reporter, type TestModule, type TestSpecification } from 'vitest/node';

/** Ends a run with one line that counts the tests: `N passed, N failed, N skipped`. */
export class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts = { passed: 0, failed: 0, skipped: 0 };
    for (const module of modules) {
      let tests = 0;
      for (const test of module.children.allTests()) {
        tests += 1;
        const { state } = test.result();
        if (state === 'passed' || state === 'failed') counts[state] += 1;
        else counts.skipped += 1;
      }
      // A file that could not be loaded has no tests, and has failed all the same.
      if (tests === 0 && module.state() === 'failed') counts.failed += 1;
    }
    process.stdout.write(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`);
  }
}

/** Files that take half a minute or more, the longest first. One that began last would run alone at the end. */
const slow = [
  'examples/src/packed.test.ts',
  'bench/scale/src/interrupts.test.ts',
  'start/src/main.test.ts',
  'packages/cli/src/doctor/doctor.test.ts',
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
