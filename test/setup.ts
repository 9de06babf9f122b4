import { configureGlobal } from 'fast-check';
import { inject, vi } from 'vitest';

/** What a busy machine of two cores keeps: the default of a poll or wait that names no time of its own. */
const WAIT_MS = 15_000;

// Every property test of a run uses the run's seed, so that a failure does not depend on luck.
configureGlobal({ seed: inject('propertySeed') });

// Vitest's defaults of one second are not configurable. `expect.poll` has its own in vitest.config.ts.
const { waitFor, waitUntil } = vi;
const withDefault = (options?: number | { readonly timeout?: number; readonly interval?: number }) =>
  typeof options === 'number' ? options : { timeout: WAIT_MS, ...options };
vi.waitFor = (callback, options) => waitFor(callback, withDefault(options));
vi.waitUntil = (callback, options) => waitUntil(callback, withDefault(options));
