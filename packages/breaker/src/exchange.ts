import { DEFAULT_SHARDS, type RedisClientOrUrl, readRedisOption } from '@spillway/redis';
import { BreakerInputError } from './errors.ts';
import {
  type CommandAnswer,
  MOST_BREAKERS,
  MOST_COMMANDS,
  type News,
  type SentCommand,
  type SentView,
} from './http-store/protocol.ts';
import { type Action, unknownView } from './machine/record.ts';
import { maskSecrets } from './outcome/error-text.ts';
import { redisStore, type RedisStore } from './store/redis-store.ts';
import { StoreUnavailableError } from './store/store.ts';

/** Options of {@link breakerExchange}; the same as those of `createBreakers` on that Redis. */
export interface ExchangeOptions {
  readonly redis: RedisClientOrUrl;
  /** A command is given up after this many ms. @default 100 */
  readonly deadlineMs?: number;
  /** @default 16 */
  readonly shards?: number;
  /** @default none */
  readonly namespace?: string;
  /** Most events that may wait in a shard's outbox; 0: none are written. @default 100_000 */
  readonly outboxCap?: number;
}

/** The sender of commands. */
export interface Sender {
  /** Id of the process, new at each start. */
  readonly instance: string;
  /** The actor in the trail, if the sender may force and reset breakers; undefined: it may not. */
  readonly actor: string | undefined;
}

/** Carries out commands of breakers in other processes, for an API in front of Redis. It keeps no state of them. */
export interface BreakerExchange {
  /** Carries out commands of one process in their order. Never rejects: what Redis did not do is in the answers. */
  carryOut(sender: Sender, commands: readonly SentCommand[]): Promise<readonly CommandAnswer[]>;
  /** Which breakers changed since the last question. Never rejects. */
  news(breakers: readonly SentView[], seen: News['seen']): Promise<News>;
  /** Closes a connection that was made of a URL. */
  close(): Promise<void>;
}

/**
 * Makes a {@link BreakerExchange}. What is sent must have been checked: numbers within bounds, names as `createBreakers` takes them.
 * @throws {BreakerInputError}
 */
export function breakerExchange(options: ExchangeOptions): BreakerExchange {
  const { redis, deadlineMs = 100, shards = DEFAULT_SHARDS, namespace = '', outboxCap = 100_000 } = options;
  const option = readRedisOption(redis);
  if (typeof option === 'string') throw new BreakerInputError('redis', option);
  const store = redisStore({ client: option.client, deadlineMs, shards, namespace, outboxCap });
  return exchangeOver(store, () => option.release());
}

/** A {@link BreakerExchange} over a store. @param random the chance of each command, from 0 to below 1 */
export function exchangeOver(
  store: RedisStore,
  release: () => void,
  random: () => number = Math.random,
): BreakerExchange {
  async function carryOutOne(sender: Sender, sent: SentCommand): Promise<CommandAnswer> {
    const { preset, name, config } = sent;
    const { known, action } = believed(sender, sent);
    try {
      const command = { instance: sender.instance, config, known, random: random(), action };
      const { config: held, ...reply } = await store.execute({ preset, name }, command);
      return held === config ? reply : { ...reply, config: held };
    } catch (error) {
      return { unavailable: error instanceof StoreUnavailableError && !error.sent ? 'unsent' : 'unanswered' };
    }
  }

  return {
    carryOut: (sender, commands) => Promise.all(commands.map((sent) => carryOutOne(sender, sent))),
    async news(breakers, since) {
      const seen = new Map(Object.entries(since).map(([shard, line]) => [Number(shard), line]));
      const known = breakers.map(({ preset, name, ...view }, place) => ({ id: { preset, name }, view, place }));
      const { changed, unreachable } = await store.pollSince(known, seen);
      const placesOf = (list: typeof changed): number[] => list.map(({ place }) => place);
      return { changed: placesOf(changed), unreachable: placesOf(unreachable), seen: Object.fromEntries(seen) };
    },
    close: () => store.close().finally(release),
  };
}

/**
 * A command as it may be carried out for its sender. What a process believes is put back where Redis lost it, so of one that
 * may not move breakers by hand a belief in a forced state counts for nothing, and its report, which then has no epoch, is
 * recorded and not counted. The actor of a manual change is the sender, and messages are masked, whatever sent them.
 */
function believed(sender: Sender, { known, action }: SentCommand): Pick<SentCommand, 'known' | 'action'> {
  const own = mastered(sender, action);
  const isForced = known.kind === 'forced_open' || known.kind === 'forced_closed';
  if (!isForced || sender.actor !== undefined) return { known, action: own };
  return { known: unknownView, action: own.type === 'report' ? { lateMs: 0, ...own } : own };
}

function mastered({ actor = 'unknown' }: Sender, action: Action): Action {
  switch (action.type) {
    case 'report':
      return { ...action, batch: { ...action.batch, samples: action.batch.samples.map(maskSecrets) } };
    case 'settle':
      return { ...action, outcome: { ...action.outcome, message: maskSecrets(action.outcome.message) } };
    case 'force':
    case 'reset':
      return { ...action, who: actor };
    default:
      return action;
  }
}

export { MOST_BREAKERS, MOST_COMMANDS };
export type { Action, CommandAnswer, News, SentCommand, SentView };
