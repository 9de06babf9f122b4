import { BreakerInputError, checkObject, oneOf, shown, wholeNumberWithin } from '../errors.ts';
import { Engine } from '../engine/engine.ts';
import { Poller } from '../engine/poller.ts';
import { type EngineEvents, realRuntime, type Runtime } from '../engine/types.ts';
import type { BreakerMetrics } from '../metrics.ts';
import { MAX_TIME_MS, type Preset } from '../presets/preset.ts';
import type { BreakerStore } from '../store/store.ts';
import { type Callable, isTimeUp } from '../timeout/call.ts';
import { breakerHandle, type Breakers, type Fallback, type FallbackOptions, type RunOptions } from './breaker.ts';
import { Registry } from './registry.ts';
import { Looks, snapshotOf } from './snapshots.ts';

/** Counts calls that were decided without the store. */
export interface OutageCounter {
  count(answer: string, howMany: number): void;
  close(): Promise<void>;
}

/** For a store that has no trail of outages. */
export const noOutage = (): OutageCounter => ({ count: () => undefined, close: async () => undefined });

/** What breakers are made of. */
export interface BreakersParts {
  readonly presets: readonly Preset[];
  readonly store: BreakerStore;
  readonly metrics: BreakerMetrics | undefined;
  readonly maxBreakers: number;
  readonly idleMs: number;
  /** Actor of changes that name none. */
  readonly actor: string;
  /** The trail's gap, written once the store is back. */
  readonly outageOf: (instance: string) => OutageCounter;
  /** @default the process' own */
  readonly runtime?: Runtime;
}

const SWEEP_MS = 30_000;

/** Breakers over a store. */
export function breakersFrom(parts: BreakersParts): Breakers {
  const { store, runtime = realRuntime } = parts;
  const instance = crypto.randomUUID();
  const outage = parts.outageOf(instance);
  let isClosed = false;
  const registry = registryOf({ ...parts, runtime, isClosed: () => isClosed }, instance, outage, () =>
    poller.pollSoon(),
  );
  const poller = new Poller({ store, runtime, members: () => registry.all().map(({ member }) => member) });
  const looks = new Looks({ registry, store, instance, hears: () => listening.isLive });
  const listening = store.listen(
    (announcement) => {
      const { preset, name, view } = announcement;
      const engine = registry.find(name, preset);
      if (engine === undefined) looks.applyAnnouncement(announcement);
      else engine.member.applyView(view);
    },
    // Announcements in the meantime were missed.
    () => {
      for (const engine of registry.all()) void engine.member.read();
      looks.again();
    },
  );
  const stopSweeping = every(runtime, SWEEP_MS, () => registry.sweep());
  return {
    run: runnerOf(registry),
    get(name, preset) {
      looks.find(name, preset);
      return breakerHandle({ name, preset, engine: () => registry.of(name, preset), looks, actor: parts.actor });
    },
    snapshot: () => registry.all().map(snapshotOf),
    async close() {
      stopSweeping();
      poller.stop();
      listening.close();
      looks.close();
      await Promise.all(
        registry.all().map(async ({ member }) => {
          // Calls that wait for the first answer are decided by it.
          await member.admission.whenKnown;
          await member.drain();
        }),
      );
      isClosed = true;
      for (const engine of registry.all()) engine.member.stop();
      await outage.close();
      await store.close();
    },
  };
}

interface RegistryParts extends BreakersParts {
  readonly runtime: Runtime;
  readonly isClosed: () => boolean;
}

function registryOf(parts: RegistryParts, instance: string, outage: OutageCounter, pollSoon: () => void): Registry {
  const { presets, store, runtime, metrics, maxBreakers, idleMs, isClosed } = parts;
  let staleCount = 0;

  function onStale(stale: boolean): void {
    staleCount += stale ? 1 : -1;
    if (stale) pollSoon();
    if (stale && staleCount === 1) metrics?.outage({ kind: 'begin' });
    if (!stale && staleCount === 0) metrics?.outage({ kind: 'end' });
  }

  return new Registry({
    presets,
    maxBreakers,
    idleMs,
    make: (name, preset) =>
      new Engine({
        id: { preset: preset.name, name },
        preset,
        store,
        runtime,
        instance,
        isClosed: isClosed(),
        events: {
          ...metricsOf(name, preset.name, metrics),
          stale: onStale,
          decidedLocally: (answer, calls) => outage.count(answer, calls),
        },
      }),
    onEvicted({ id, member }) {
      if (member.isStale) onStale(false);
      void member.drain();
      member.stop();
      metrics?.forget?.(id.name, id.preset);
    },
  });
}

type MetricEvents = Omit<EngineEvents, 'stale' | 'decidedLocally'>;

const nothing = (): void => undefined;
const unmeasured: MetricEvents = {
  call: undefined,
  state: nothing,
  transition: nothing,
  lease: nothing,
  flush: nothing,
};

/** The metrics of one breaker. */
function metricsOf(name: string, preset: string, metrics: BreakerMetrics | undefined): MetricEvents {
  if (metrics === undefined) return unmeasured;
  return {
    call: (outcome, durationMs) => metrics.call(name, preset, outcome, durationMs),
    state: (state) => metrics.state(name, preset, state),
    transition: (from, to, reason) => metrics.transition(name, preset, from, to, reason),
    lease: (event) => metrics.lease(name, preset, event),
    flush: (flush) => metrics.flush(flush),
  };
}

function runnerOf(registry: Registry): Breakers['run'] {
  function run<T>(name: string, preset: string, fn: Callable<T>, settings?: RunOptions): Promise<T>;
  function run<T, F>(name: string, preset: string, fn: Callable<T>, settings: FallbackOptions<F>): Promise<T | F>;
  function run<T, F>(
    name: string,
    preset: string,
    fn: Callable<T>,
    settings?: RunOptions | FallbackOptions<F>,
  ): Promise<T | F> {
    let engine: Engine;
    try {
      if (typeof fn !== 'function') throw new BreakerInputError('fn', `must be a function, not ${shown(fn)}`);
      engine = registry.of(name, preset);
      if (settings !== undefined) checkSettings(settings, engine.preset);
    } catch (error) {
      return Promise.reject(error);
    }
    const result = engine.run(fn, settings);
    if (settings === undefined || !('fallback' in settings)) return result;
    return withFallback<T | F>(result, settings.fallback, settings.signal);
  }
  return run;
}

const SETTINGS = ['signal', 'timeoutScope', 'timeoutMs', 'fallback'] as const;

function checkSettings(settings: RunOptions, preset: Preset): void {
  checkObject('options', settings, SETTINGS);
  const { signal, timeoutScope, timeoutMs } = settings;
  if (timeoutMs !== undefined) {
    wholeNumberWithin('timeoutMs', timeoutMs, 1, Math.min(preset.timeoutMs, MAX_TIME_MS));
  }
  if (timeoutScope !== undefined) oneOf('timeoutScope', timeoutScope, ['headers', 'body']);
  if (signal !== undefined && (typeof signal !== 'object' || typeof signal?.addEventListener !== 'function')) {
    throw new BreakerInputError('signal', `must be an AbortSignal, not ${shown(signal)}`);
  }
}

/** Calls repeatedly until it is stopped. */
function every(runtime: Runtime, ms: number, work: () => void): () => void {
  let cancel = runtime.after(ms, tick);
  function tick(): void {
    work();
    cancel = runtime.after(ms, tick);
  }
  return () => cancel();
}

/**
 * Puts a fallback behind a run: for a refusal, a timeout and whatever the function throws. The caller's own abort stays an
 * abort, since no caller waits for a value then; a signal whose time was up is a timeout. The breaker counts the call as it went, not as it was saved.
 */
export async function withFallback<T>(run: Promise<T>, fallback: Fallback<T>, signal?: AbortSignal): Promise<T> {
  try {
    return await run;
  } catch (error) {
    if (signal?.aborted === true && !isTimeUp(signal.reason)) throw error;
    return isFunction(fallback) ? fallback(error) : fallback;
  }
}

function isFunction<T>(fallback: Fallback<T>): fallback is (error: unknown) => T | PromiseLike<T> {
  return typeof fallback === 'function';
}
