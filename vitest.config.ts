import { defineConfig } from 'vitest/config';
import { CountReporter } from './.ci/count-reporter.ts';

/** Tests and the code they import run from source: the export condition comes first in every package. */
const conditions = ['@spillway/source'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    reporters: ['default', new CountReporter()],
    include: ['{packages,examples,bench,deploy,scale,start}/**/src/**/*.test.ts', 'examples/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    typecheck: {
      ignoreSourceErrors: true,
      enabled: true,
      checker: 'tsc',
      include: ['packages/*/src/**/*.test-d.ts'],
      tsconfig: './tsconfig.types.json',
    },
    globalSetup: ['./packages/embedded/src/testing/global-setup.ts'],
    testTimeout: 30_000,
    hookTimeout: 180_000,
  },
});
