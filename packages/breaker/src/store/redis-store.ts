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
import {
  type BreakerId,
  breakerKey,
  type BreakerStore,
  type Known,
  parseAnnouncement,
  type PollAnswer,
  readReply,
  StoreUnavailableError,
  UnexpectedReplyError,
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
const CHANNEL = 'breakers';

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
   * {@link BreakerStore.poll} for a caller that keeps what was seen: for each shard the first line of its change log. It is brought
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

/** What one line of a change log tells. */
interface News {
  readonly epoch: number;
  readonly alertUntilMs: number;
}

/**
 * The breakers of a shard for which its change log has news. breaker-record.lua describes its format (key `pulse`).
 * @param before the change log's first line at the last look; undefined: this is the first
 */
export function withNews<K extends Known>(
  known: readonly K[],
  changeLog: string,
  before: string | undefined,
): readonly K[] {
  // Pulses don't expire: without one the shard was emptied, perhaps more than once, or never used.
  if (changeLog === '') return known.filter(({ view }) => view.epoch > 0);
  const lines = changeLog.split('\n');
  const at = before === undefined || before === '' ? -1 : lines.indexOf(before);
  // The first look; or too much has happened since, or the shard was emptied or has gone back.
  if (at < 0) return known;
  const news = newsOf(lines.slice(0, at));
  return known.filter(({ id, view }) => {
    const of = news.get(breakerKey(id));
    return of !== undefined && (of.epoch !== view.epoch || of.alertUntilMs > view.alertUntilMs);
  });
}

function firstLineOf(changeLog: string): string {
  const end = changeLog.indexOf('\n');
  return end < 0 ? changeLog : changeLog.slice(0, end);
}

/** By breaker; of several lines about one the first, which is the newest. */
function newsOf(lines: readonly string[]): ReadonlyMap<string, News> {
  const news = new Map<string, News>();
  for (const line of lines) {
    const [, epoch, alertUntilMs, ...key] = line.split(' ');
    const id = key.join(' ');
    if (!news.has(id)) news.set(id, { epoch: Number(epoch), alertUntilMs: Number(alertUntilMs) });
  }
  return news;
}

/** Asks change logs about breakers. */
class ChangeLog {
  readonly #shards: number;
  readonly #read: (shards: readonly number[]) => Promise<ReadonlyMap<number, string>>;

  /** @param read gives change logs by shard; without those of shards that don't answer */
  constructor(shards: number, read: (shards: readonly number[]) => Promise<ReadonlyMap<number, string>>) {
    this.#shards = shards;
    this.#read = read;
  }

  /** @param seen the first lines of change logs at the last look, by shard; it is set to those of this one */
  async poll<K extends Known>(known: readonly K[], seen: Map<number, string>): Promise<PollAnswer<K>> {
    const answer: { changed: K[]; unreachable: K[] } = { changed: [], unreachable: [] };
    if (known.length === 0) return answer;
    const byShard = groupedByShard(known, this.#shards);
    const read = await this.#read([...byShard.keys()]);
    for (const [shard, members] of byShard) {
      const changeLog = read.get(shard);
      if (changeLog === undefined) {
        answer.unreachable.push(...members);
        continue;
      }
      answer.changed.push(...withNews(members, changeLog, seen.get(shard)));
      seen.set(shard, firstLineOf(changeLog));
    }
    return answer;
  }
}

function groupedByShard<K extends Known>(known: readonly K[], shards: number): ReadonlyMap<number, K[]> {
  const grouped = new Map<number, K[]>();
  for (const each of known) {
    const shard = shardOf(breakerKey(each.id), shards);
    const members = grouped.get(shard);
    if (members === undefined) grouped.set(shard, [each]);
    else members.push(each);
  }
  return grouped;
}
