import {
  apiCalls,
  ApiFault,
  apiOptionNames,
  type ApiOptions,
  faultOfFetch,
  faultReporter,
  readApiOptions,
  RefusedRequest,
} from '@spillway/redis/core';
import { breakersFrom, noOutage } from '../breakers/breaker-set.ts';
import type { Breakers } from '../breakers/breaker.ts';
import { type BreakerSetOptions, readSetOptions, setOptionNames } from '../breakers/set-options.ts';
import { BreakerInputError, checkObject } from '../errors.ts';
import type { BuiltInName, PresetOptions } from '../presets/preset.ts';
import {
  type BreakerStore,
  checkStore,
  type Known,
  type PollAnswer,
  readReply,
  StoreUnavailableError,
} from '../store/store.ts';
import { commandTrips, MOST_BREAKERS, type News, type SentView } from './protocol.ts';

/** What {@link createBreakers} of this subpath takes. */
export interface StoreBreakersOptions<Presets extends readonly PresetOptions[]> extends BreakerSetOptions<Presets> {
  /** `httpStore({ url, key })`, or `memoryStore()`. */
  readonly store: BreakerStore;
}

/**
 * Makes breakers without Redis: for edge runtimes. Its bundle contains neither a Redis client nor a module of Node's.
 * @example
 * ```ts
 * const breakers = createBreakers({ store: httpStore({ url, key: breakersKey }) });
 * ```
 * @throws {BreakerInputError} naming the option and its value.
 */
export function createBreakers<const Presets extends readonly PresetOptions[] = readonly []>(
  options: StoreBreakersOptions<Presets>,
): Breakers<BuiltInName | Presets[number]['name']> {
  checkObject('options', options, ['store', ...setOptionNames]);
  const { store } = options;
  checkStore(store);
  return breakersFrom({ ...readSetOptions(options), store, outageOf: noOutage });
}

/**
 * What {@link httpStore} needs. The key needs the scope `report`; with `operate` too for `forceOpen`, `forceClosed` and
 * `reset`.
 */
export type HttpStoreOptions = ApiOptions;

const WHO = 'Spillway breakers';
const MEANWHILE = 'Each process uses its local breakers until the API answers again';

/**
 * Breakers behind Spillway's API, for edge runtimes without TCP and programs that may not reach Redis. Commands of one turn
 * share a request. Nothing is announced over HTTP: changes by other processes are polled every 1.5 s, for all breakers at
 * once.
 * @example
 * ```ts
 * const breakers = createBreakers({ store: httpStore({ url: 'https://limits.example.com', key: breakersKey }) });
 * const answer = await breakers.run('runware', 'ai_provider', (signal) => fetch(url, { signal }));
 * ```
 * @throws {BreakerInputError} naming the option and its value; never the key.
 */
export function httpStore(options: HttpStoreOptions): BreakerStore {
  checkObject('options', options, apiOptionNames);
  const api = readApiOptions(options);
  if ('problem' in api) throw new BreakerInputError(api.field, api.problem);
  const { onError, onRecovered } = options;
  const faults = faultReporter({ who: WHO, decider: 'The API', meanwhile: MEANWHILE, onError, onRecovered });
  // An answer may say that the API's Redis is away, which is no end of an outage: answers are read first.
  const calls = apiCalls({ ...api, onAnswer: () => undefined });
  let seen: News['seen'] = {};

  function unavailable(error: unknown, sent: boolean): StoreUnavailableError {
    const fault = error instanceof RefusedRequest ? error.fault : faultOfFetch(error);
    faults.failed(fault);
    return new StoreUnavailableError(fault.message, sent && !(error instanceof RefusedRequest), fault);
  }

  const ask = commandTrips({ calls, gatherMs: api.gatherMs, unavailable });

  async function newsOf<K extends Known>(known: readonly K[]): Promise<PollAnswer<K> & Pick<News, 'seen'>> {
    const breakers = known.map(({ id: { preset, name }, view: { epoch, alertUntilMs } }): SentView => {
      return { preset, name, epoch, alertUntilMs };
    });
    try {
      const news = readNews(await calls.post('/v1/breakers/news', { breakers, seen }));
      const of = (places: readonly number[]): K[] => places.flatMap((place) => known[place] ?? []);
      const [changed, unreachable] = [of(news.changed), of(news.unreachable)];
      if (unreachable.length > 0) faults.failed(itsRedisIsAway());
      else faults.answered();
      return { changed, unreachable, seen: news.seen };
    } catch (error) {
      unavailable(error, true);
      return { changed: [], unreachable: known, seen: {} };
    }
  }

  return {
    async execute({ preset, name }, { instance, config, known, action }) {
      const answer = await ask(instance, { preset, name, config, known, action });
      const away = member(answer, 'unavailable');
      if (away !== undefined) throw unavailable(itsRedisIsAway(), away !== 'unsent');
      try {
        const reply = readReply(answer, config);
        faults.answered();
        return reply;
      } catch {
        throw unavailable(new ApiFault('client_error', 'reply'), true);
      }
    },
    async poll(known) {
      const parts: (PollAnswer<(typeof known)[number]> & Pick<News, 'seen'>)[] = [];
      for (let at = 0; at < known.length; at += MOST_BREAKERS) {
        parts.push(await newsOf(known.slice(at, at + MOST_BREAKERS)));
      }
      // Of a shard that several parts ask about the first look holds: a change between two of them would be missed.
      seen = Object.assign({ ...seen }, ...parts.toReversed().map((part) => part.seen));
      return {
        changed: parts.flatMap(({ changed }) => changed),
        unreachable: parts.flatMap(({ unreachable }) => unreachable),
      };
    },
    listen: () => ({ isLive: false, close: () => undefined }),
    close: async () => undefined,
  };
}

function itsRedisIsAway(): ApiFault {
  return new ApiFault('error_answer', 'its Redis is away');
}

/** @throws {ApiFault} */
function readNews(answer: unknown): News {
  const [changed, unreachable, seen] = ['changed', 'unreachable', 'seen'].map((name) => member(answer, name));
  if (!isPlaces(changed) || !isPlaces(unreachable) || !isTexts(seen)) throw new ApiFault('client_error', 'news');
  return { changed, unreachable, seen };
}

function isPlaces(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((place) => Number.isInteger(place));
}

function isTexts(value: unknown): value is Readonly<Record<string, string>> {
  return typeof value === 'object' && value !== null && Object.values(value).every((text) => typeof text === 'string');
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

export { ApiFault } from '@spillway/redis/core';
export type { ApiFaultCode } from '@spillway/redis/core';
export type {
  Breaker,
  Breakers,
  Fallback,
  FallbackOptions,
  ForcedChange,
  ManualChange,
  RunOptions,
} from '../breakers/breaker.ts';
export type { BreakerSnapshot } from '../breakers/snapshots.ts';
export { BreakerInputError, CallTimeoutError, CircuitOpenError } from '../errors.ts';
export { createClassifier, defaultClassifier } from '../outcome/classify.ts';
export { builtInPresets, definePreset } from '../presets/preset.ts';
export type { Preset, PresetOptions } from '../presets/preset.ts';
export { memoryStore } from '../store/memory-store.ts';
export { StoreUnavailableError } from '../store/store.ts';
