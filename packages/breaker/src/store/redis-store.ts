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
import type { Command, MachineConfig, Reply } from '../machine/record.ts';
import { breaker } from '../scripts.generated.ts';
import { ChangeLog } from './change-log.ts';
import { type Announcement, type BreakerId, breakerKey, type BreakerStore, StoreUnavailableError } from './store.ts';

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
  /** Told when Redis doesn't answer, and when it does. @default nobody is */
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

/** Breakers in Redis, moved by breaker.lua a command at a time. */
export function redisStore(options: RedisStoreOptions): BreakerStore {
  const { client, deadlineMs, shards, outboxCap, script = breakerScript() } = options;
  const { faults = SILENT, namespace = '' } = options;
  const within = deadlines(client, deadlineMs);
  const channel = channelOf(client, CHANNEL, namespace);
  const pulseKey = (shard: number): string => `${shardTag(shard, namespace)}:cbp`;
  const onDisagreement = (fault: RedisFault): void => faults.note(fault, DISAGREED);
  const endWatch = watchShards({ client, shards, namespace, onDisagreement });
  const changeLogs = new ChangeLog(shards, readChangeLogs);

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
    poll: (known) => changeLogs.poll(known),
    async execute(id: BreakerId, command: Command) {
      const keys = breakerKeys(id, shards, namespace);
      const args = [JSON.stringify(command), outboxCap, channel, id.preset, id.name];
      return parseReply(await bounded(keys[0], () => script.run(client, keys, args)), command.config);
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

/** The script answered with something else than its header promises. */
export class UnexpectedReplyError extends Error {
  readonly code = 'unexpected_reply';
  override readonly name = 'UnexpectedReplyError';
}

type WireReply = Omit<Reply, 'config'> & { readonly config?: MachineConfig };

/** Reads the script's reply. A reply without a config means that the command's own holds. @throws {UnexpectedReplyError} */
export function parseReply(text: string, config: MachineConfig): Reply {
  const value: unknown = JSON.parse(text);
  if (!isReply(value)) throw new UnexpectedReplyError(`not a breaker's reply: ${text.slice(0, 100)}`);
  return { config, ...value };
}

/** Reads what was published; undefined when it is something else. */
export function parseAnnouncement(text: string): Announcement | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isAnnouncement(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isReply(value: unknown): value is WireReply {
  return isObject(value) && 'verdict' in value && 'view' in value && isView(value.view);
}

function isAnnouncement(value: unknown): value is Announcement {
  return isObject(value) && 'preset' in value && 'name' in value && 'view' in value && isView(value.view);
}

function isView(value: unknown): boolean {
  return isObject(value) && 'epoch' in value && typeof value.epoch === 'number' && 'kind' in value;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** The script of a store. Tests pass one whose clock they turn by hand. */
export function breakerScript(lua: LuaScript = breaker): RedisScript<string> {
  return defineScript(lua, (reply) => {
    if (Buffer.isBuffer(reply)) return reply.toString('utf8');
    throw new UnexpectedReplyError(`expected a string, got ${typeof reply}`);
  });
}
