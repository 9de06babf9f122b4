import {
  call,
  channelOf,
  deadlines,
  defineScript,
  type FaultReporter,
  type HotPathClient,
  type LuaScript,
  type RedisFault,
  type RedisScript,
  shardOf,
  shardTag,
  subscribe,
  watchShards,
} from '@spillway/redis';
import type { Command } from '../machine/record.ts';
import { breaker } from '../scripts.generated.ts';
import { ChangeLog } from './change-log.ts';
import { parseAnnouncement, readReply, UnexpectedReplyError } from './reply.ts';
import {
  type BreakerId,
  breakerKey,
  type BreakerStore,
  type Known,
  type PollAnswer,
  StoreUnavailableError,
} from './store.ts';

/** What {@link redisStore} needs. */
export interface RedisStoreOptions {
  readonly client: HotPathClient;
  /** A command is given up after this many ms. */
  readonly deadlineMs: number;
  readonly shards: number;
  /** Most events that may wait in a shard's outbox. */
  readonly outboxCap: number;
  /** @default none */
  readonly namespace?: string;
  /** Called when Redis doesn't answer, and when it does again. @default none */
  readonly faults?: FaultReporter;
  /** Another script than the shipped one: tests bring their own clock. */
  readonly script?: RedisScript<string>;
}

/** Where all breakers of a database are announced; see `channelOf`. */
export const CHANNEL = 'breakers';

const UNHEARD =
  'What other processes do is known by polling only, up to two seconds later: allow the channels &spillway:*';

const DISAGREED = 'One breaker has two states, each for a part of the fleet';

const SILENT: FaultReporter = { failed: () => undefined, answered: () => undefined, note: () => undefined };

/** The keys of a breaker, all in its shard. */
export function breakerKeys(
  id: BreakerId,
  shards: number,
  namespace = '',
): [record: string, instances: string, leases: string, changeLog: string] {
  const key = breakerKey(id);
  const shard = shardOf(key, shards);
  const tag = shardTag(shard, namespace);
  return [`${tag}:cb:${key}`, `${tag}:cbi:${key}`, `${tag}:cbl:${key}`, `${tag}:cbp`];
}

function textOf(reply: unknown): string {
  return Buffer.isBuffer(reply) ? reply.toString('utf8') : '';
}

/** Breakers in Redis. */
export interface RedisStore extends BreakerStore {
  /**
   * {@link BreakerStore.poll} for somebody who keeps what was seen: for each shard the first line of its change log. It is brought
   * up to date here.
   */
  pollSince<K extends Known>(known: readonly K[], seen: Map<number, string>): Promise<PollAnswer<K>>;
}

/** Breakers in Redis, moved by breaker.lua a command at a time. */
export function redisStore(options: RedisStoreOptions): RedisStore {
  const { client, deadlineMs, shards, outboxCap, script = breakerScript() } = options;
  const { faults = SILENT, namespace = '' } = options;
  const within = deadlines(client, deadlineMs);
  const channel = channelOf(client, CHANNEL, namespace);
  const pulseKey = (shard: number): string => `${shardTag(shard, namespace)}:cbp`;
  const onDisagreement = (fault: RedisFault): void => faults.note(fault, DISAGREED);
  const endWatch = watchShards({ client, shards, namespace, onDisagreement });
  const changeLogs = new ChangeLog(shards, readChangeLogs);
  const seen = new Map<number, string>();

  /** @throws {StoreUnavailableError} */
  function bounded<T>(key: string, work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      within(key).run(
        work,
        (reply) => {
          faults.answered();
          resolve(reply);
        },
        (fault, wasSent) => {
          faults.failed(fault);
          reject(new StoreUnavailableError(fault.message, wasSent, fault));
        },
      );
    });
  }

  // In Cluster one command for each, since their slots differ.
  async function readChangeLogs(wanted: readonly number[]): Promise<ReadonlyMap<number, string>> {
    const read = new Map<number, string>();
    const groups = client.isCluster === true ? wanted.map((shard) => [shard]) : [wanted];
    const readGroup = async (group: readonly number[]): Promise<void> => {
      const keys = group.map(pulseKey);
      const texts = await bounded(keys[0] ?? '', () => call(client, 'MGET', keys, keys[0]));
      if (Array.isArray(texts)) for (const [index, shard] of group.entries()) read.set(shard, textOf(texts[index]));
    };
    await Promise.allSettled(groups.map(readGroup));
    return read;
  }

  return {
    poll: (known) => changeLogs.poll(known, seen),
    pollSince: (known, since) => changeLogs.poll(known, since),
    async execute(id: BreakerId, command: Command) {
      const keys = breakerKeys(id, shards, namespace);
      const args = [JSON.stringify(command), outboxCap, channel, id.preset, id.name];
      return readReply(JSON.parse(await bounded(keys[0], () => script.run(client, keys, args))), command.config);
    },
    listen(onAnnouncement, onListening) {
      return subscribe({
        client,
        channels: [channel],
        onMessage(message) {
          const announcement = parseAnnouncement(message);
          if (announcement !== undefined) onAnnouncement(announcement);
        },
        onSubscribed: onListening,
        onRefused: (error) => faults.note(error, UNHEARD),
      });
    },
    close: async () => endWatch(),
  };
}

/** The script of a store. Tests pass one whose clock they turn by hand. */
export function breakerScript(lua: LuaScript = breaker): RedisScript<string> {
  return defineScript(lua, (reply) => {
    if (Buffer.isBuffer(reply)) return reply.toString('utf8');
    throw new UnexpectedReplyError(`expected a string, got ${typeof reply}`);
  });
}
