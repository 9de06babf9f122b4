import {
  channelOf,
  type Deadline,
  deadlines,
  defaultActor,
  faultOf,
  type FaultReporter,
  type RedisClient,
  redisFault,
} from '@spillway/redis';
import { type Algorithm, specOf } from '../algorithms/registry.ts';
import { readByHand } from '../checks.ts';
import { LimiterUnavailableError } from '../errors.ts';
import { deniedCounter, nearLimitReporter } from '../events/reports.ts';
import type { LimiterMetrics } from '../metrics.ts';
import {
  type BlockedListener,
  KEYS_CHANNEL,
  type LimiterStore,
  type Operation,
  type StoreRequest,
  type StoreWindow,
} from '../store/store.ts';
import type { ByHand, Decision } from '../types.ts';
import { acrossShards, batcher } from './4-batch.ts';
import {
  type GroupItem,
  groupProtocol,
  type SingleItem,
  singleProtocol,
  type SingleProtocolOptions,
} from './5-protocol.ts';
import { type Fallback, fallback } from './fallback.ts';
import { type LimiterScripts, limiterScripts } from './scripts.ts';

/** What {@link redisStore} needs. */
export interface RedisStoreOptions {
  readonly client: RedisClient;
  readonly deadlineMs: number;
  /** Most events that may wait in a shard's outbox. */
  readonly outboxCap: number;
  /** @default none */
  readonly namespace?: string | undefined;
  readonly onRefusedWhileBlocked?: BlockedListener | undefined;
  /** The refusal of a request whose block is known while Redis is away. */
  readonly knownBlock?: ((request: StoreRequest) => Decision | undefined) | undefined;
  /** Other scripts than the shipped ones: tests bring their own clock. */
  readonly scripts?: LimiterScripts;
  readonly metrics?: LimiterMetrics | undefined;
  /** Called when Redis doesn't answer, and when it does again. @default none */
  readonly faults?: Pick<FaultReporter, 'failed' | 'answered'> | undefined;
  /** When the requests that travel now began, by `performance.now()`: their deadline counts from there. @default now */
  readonly startedAt?: (() => number) | undefined;
  /** Local windows kept at most for policies that decide here while Redis is away. @default 100_000 */
  readonly maxLocalWindows?: number;
}

/** Sent as blocked-until in place of `Infinity`: the largest number that 6 bytes hold. */
const BLOCK_FOREVER = 2 ** 48 - 1;

const REPORT_MS = 1_000;

const SILENT: Pick<FaultReporter, 'failed' | 'answered'> = { failed: () => undefined, answered: () => undefined };

/** Windows in Redis, decided by lone.lua, batch.lua and group.lua. */
export function redisStore(options: RedisStoreOptions): LimiterStore {
  const { client, deadlineMs, outboxCap, scripts = limiterScripts, metrics } = options;
  const { maxLocalWindows = 100_000, faults = SILENT, namespace = '' } = options;
  const within = deadlines(client, deadlineMs);
  const inPlace = fallback({ ...options, namespace, faults, maxWindows: maxLocalWindows });
  const reporting = { client, outboxCap, intervalMs: REPORT_MS };
  const onDropped = (count: number): void => metrics?.dropped?.(count);
  const denied = deniedCounter({ ...reporting, script: scripts.countDenied });
  const nearLimit = nearLimitReporter({ ...reporting, script: scripts.nearLimit, onDropped });
  const { decide, decideTogether, change } = decisions({
    ...options,
    scripts,
    within,
    fallback: inPlace,
    onAnswer: faults.answered,
    onRefusedWhileBlocked: (request, decision, askedAtMs) => {
      denied.add(request.key);
      options.onRefusedWhileBlocked?.(request, decision, askedAtMs);
    },
  });

  const bounded: Bounded = (operation, key, work) =>
    new Promise((resolve, reject) => {
      within(key).run(work, resolve, (cause) => reject(new LimiterUnavailableError(operation, deadlineMs, cause)));
    });

  const changeSlot = async (request: StoreRequest, operation: 'reward' | 'renew'): Promise<Decision> =>
    (await inPlace.changeSlot(request, operation)) ?? change(request, operation);
  const reward = (request: StoreRequest): Promise<Decision> =>
    request.slot === undefined ? change(request, 'reward') : changeSlot(request, 'reward');

  return {
    consume: (request) => decide(request, 'consume'),
    consumeAll: client.isCluster === true ? acrossShards({ consumeTogether: decideTogether, reward }) : decideTogether,
    peek: (request) => decide(request, 'peek'),
    charge: (request) => change(request, 'charge'),
    reward,
    renew: (request) => changeSlot(request, 'renew'),
    ...changesByHand({
      client,
      outboxCap,
      scripts,
      bounded,
      channel: channelOf(client, KEYS_CHANNEL, namespace),
      inPlace,
    }),
    async giveBack({ policy, key, cost }, at) {
      await bounded('giveBack', key, () =>
        scripts.giveBack.run(client, [key], [at, cost, specOf(policy).grainMs?.(policy) ?? 0]),
      );
    },
    decideAway: (request, cause) => inPlace.decide(request, false, faultOf(cause)),
    nearLimit: ({ key }, limit, remaining) => nearLimit.add(key, limit, remaining),
    countDenied: denied.add,
    close: async () => void (await Promise.all([denied.close(), nearLimit.close(), inPlace.close()])),
  };
}

/** Runs work on a key within the deadline. @throws {LimiterUnavailableError} */
type Bounded = <Reply>(operation: string, key: string, work: () => Promise<Reply>) => Promise<Reply>;

interface ByHandParts {
  readonly client: RedisClient;
  readonly outboxCap: number;
  readonly scripts: LimiterScripts;
  readonly bounded: Bounded;
  readonly channel: string;
  readonly inPlace: Fallback;
}

/** Manual changes of a window: each is part of the trail, and is published to all processes. */
function changesByHand(parts: ByHandParts): Pick<LimiterStore, 'reset' | 'block' | 'unblock'> {
  const { client, outboxCap, scripts, bounded, channel, inPlace } = parts;

  async function lift(window: StoreWindow, how: 'unblock' | 'reset', by: ByHand | undefined): Promise<boolean> {
    const { key } = window;
    const args = [outboxCap, how, channel, ...byHandArguments(window, by)];
    const ran = await bounded(how, key, () => scripts.unblock.run(client, [key], args));
    inPlace.forget(key);
    return ran;
  }

  return {
    // Not DEL: a block that ends early is part of the trail.
    reset: async (window, by) => void (await lift(window, 'reset', by)),
    async block(window, durationMs, by) {
      const { policy, key } = window;
      const numbers = [msOf(durationMs), policy.limit, policy.windowMs];
      const args = [outboxCap, 'block', channel, ...byHandArguments(window, by), ...numbers];
      const until = await bounded('block', key, () => scripts.block.run(client, [key], args));
      return until === BLOCK_FOREVER ? Infinity : until;
    },
    unblock: (window, by) => lift(window, 'unblock', by),
  };
}

/** What block.lua gets for the trail: actor, reason, and the window as `policy/action/subject`. */
function byHandArguments({ policy, action, subject }: StoreWindow, by: ByHand = {}): readonly string[] {
  const { actor, why } = readByHand(by, by.actor ?? defaultActor());
  return [actor, why, `${policy.name}/${action}/${subject}`];
}

/** A time as scripts take it: 0 = for ever. */
function msOf(durationMs: number): number {
  return durationMs === Infinity ? 0 : durationMs;
}

/** What {@link decisions} are made with. */
interface DecisionsOptions {
  readonly client: RedisClient;
  readonly deadlineMs: number;
  readonly outboxCap: number;
  readonly scripts: LimiterScripts;
  /** The time limit of work on a key. */
  readonly within: (key: string) => Deadline;
  /** Answers what Redis doesn't. */
  readonly fallback: Fallback;
  /** Redis decided a batch. */
  readonly onAnswer: () => void;
  readonly onRefusedWhileBlocked: BlockedListener;
  readonly metrics?: LimiterMetrics | undefined;
  readonly startedAt?: (() => number) | undefined;
}

/** What can be asked of Redis about requests. */
interface Decisions {
  decide(request: StoreRequest, operation: 'consume' | 'peek'): Promise<Decision>;
  /** Requests that one script call can decide. */
  decideTogether(requests: readonly StoreRequest[]): Promise<readonly Decision[]>;
  /** @throws LimiterUnavailableError */
  change(request: StoreRequest, operation: Operation): Promise<Decision>;
}

type TakesSingle = (item: SingleItem) => void;

/** What takes a single request, by its algorithm; those without scripts for it are decided as groups. */
function singles(options: DecisionsOptions & SingleProtocolOptions): ReadonlyMap<Algorithm, TakesSingle> {
  const takers = [...options.scripts.single].map(([algorithm, scripts]): [Algorithm, TakesSingle] => [
    algorithm,
    batcher({ ...options, protocol: singleProtocol(scripts, options) }),
  ]);
  return new Map(takers);
}

/** Sends single requests by the scripts of their algorithm, and all else by group.lua. */
function decisions(options: DecisionsOptions): Decisions {
  const { client, deadlineMs, scripts, within, fallback: inPlace, metrics, onAnswer, startedAt } = options;
  const onDropped = (count: number): void => metrics?.dropped?.(count);
  const { spareMs } = scripts;
  const takeSingle = singles({ ...options, spareMs, onDropped, decideGenerally });
  const takeGroup: (item: GroupItem) => void = batcher({
    client,
    within,
    metrics,
    onAnswer,
    startedAt,
    protocol: groupProtocol({
      ...options,
      spareMs,
      onDropped,
      script: scripts.group,
      resend: (item) => takeGroup(item),
    }),
  });

  /** @throws {RedisFault} */
  function decideGroup(requests: readonly StoreRequest[], operation: Operation): Promise<readonly Decision[]> {
    return new Promise((resolve, reject) => {
      takeGroup({ requests, operation, resolve, reject });
    });
  }

  async function decideGenerally(request: StoreRequest, operation: 'consume' | 'peek'): Promise<Decision> {
    try {
      return only(await decideGroup([request], operation));
    } catch (error) {
      return inPlace.decide(request, operation === 'peek', redisFault(error));
    }
  }

  return {
    decide(request, operation) {
      if (request.policy.onUnavailable === 'local') inPlace.countInstances();
      const take = takeSingle.get(request.policy.algorithm);
      if (take === undefined) return decideGenerally(request, operation);
      return new Promise((resolve) => {
        take({ request, operation, resolve });
      });
    },
    async decideTogether(requests) {
      if (requests.some(({ policy }) => policy.onUnavailable === 'local')) inPlace.countInstances();
      try {
        return await decideGroup(requests, 'consume');
      } catch (error) {
        return inPlace.decideTogether(requests, redisFault(error));
      }
    },
    async change(request, operation) {
      try {
        return only(await decideGroup([request], operation));
      } catch (error) {
        throw new LimiterUnavailableError(operation, deadlineMs, redisFault(error));
      }
    },
  };
}

function only([decision]: readonly Decision[]): Decision {
  if (decision === undefined) throw faultOf('client_error');
  return decision;
}
