import { execFileSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { CountReporter, SlowestFirst } from './.ci/vitest-run.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Seed of every property test of the run. */
    readonly propertySeed: number;
  }
}

/** Tests and the code they import run from source: the export condition comes first in every package. */
const conditions = ['@spillway/source'];

const tests = [
  '{packages,examples,bench,deploy,start}/**/{src,test}/**/*.test.ts',
  'packages/api/page/**/*.test.ts',
  'examples/*.test.ts',
  '.ci/*.test.ts',
];

/** `pnpm fuzz` runs only the property tests, with a new seed, which SPILLWAY_SEED repeats. Other runs pin the seed. */
const fuzz = process.env['SPILLWAY_FUZZ'] === '1';
const PINNED_SEED = 20_261_128;
const propertySeed = Number(process.env['SPILLWAY_SEED'] ?? (fuzz ? randomInt(2 ** 31) : PINNED_SEED));
if (fuzz)
  process.stdout.write(`property tests with seed ${propertySeed}; SPILLWAY_SEED=${propertySeed} repeats them\n`);
const propertyTests = (): string[] =>
  execFileSync('git', ['grep', '-l', "from 'fast-check'", '--', '*.test.ts'], { encoding: 'utf8' }).trim().split('\n');

/** All other files may share a process: they leave nothing behind that the next one would notice. */
const isolated = [
  'packages/worker/**/*.test.ts',
  // It sees which files run during a decision, those that other tests run too.
  'packages/limiter/src/decide/road.test.ts',
];
const exclude = ['**/node_modules/**', '**/dist/**'];

const common = {
  setupFiles: ['./test/setup.ts'],
  // Polls that name no time of their own; vi.waitFor and vi.waitUntil have the same in test/setup.ts.
  expect: { poll: { timeout: 15_000 } },
  testTimeout: 60_000,
  hookTimeout: 180_000,
};

export default defineConfig({
  test: {
    reporters: ['default', new CountReporter()],
    globalSetup: ['./packages/local-servers/src/testing/global-setup.ts'],
    provide: { propertySeed },
    // Half of a run is waiting for servers: on two cores, vitest's default of one worker leaves one idle.
    sequence: { sequencer: SlowestFirst },
    maxWorkers: Math.max(2, availableParallelism() - 1),
    projects: [
      {
        resolve: { conditions },
        ssr: { resolve: { conditions } },
        test: {
          ...common,
          name: 'isolated',
          include: fuzz ? propertyTests().filter((file) => file.startsWith('packages/worker/')) : isolated,
          exclude,
          typecheck: {
            ignoreSourceErrors: true,
            enabled: !fuzz,
            checker: 'tsc',
            include: ['packages/*/src/**/*.test-d.ts'],
            tsconfig: './tsconfig.types.json',
          },
        },
      },
      {
        resolve: { conditions },
        ssr: { resolve: { conditions } },
        // A process keeps the modules that it has loaded for the next file: loading them again took a fifth of a run.
        test: {
          ...common,
          name: 'sharing',
          include: fuzz ? propertyTests() : tests,
          exclude: [...exclude, ...isolated],
          isolate: false,
        },
      },
    ],
  },
});
