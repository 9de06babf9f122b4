import {
  call,
  channelOf,
  type Connection,
  connectionOf,
  faultOf,
  type FaultReporter,
  type HotPathClient,
  type RedisClient,
  type RedisFault,
  redisFault,
  type RedisScript,
  shardOf,
  shardTag,
  subscribe,
} from '@spillway/redis';
import type { Command } from '../machine/record.ts';
import { Pulses } from './pulse.ts';
import { breakerScript } from './scripts.ts';
import { type BreakerId, breakerKey, type BreakerStore, StoreUnavailableError } from './store.ts';
import { parseAnnouncement, parseReply } from './wire.ts';

/** What {@link redisStore} needs. */
export interface RedisStoreOptions {
  readonly client: HotPathClient;
  /** A command is given up after this many ms. */
  readonly deadlineMs: number;
  readonly shards: number;
  /** Most events that may wait in a shard's outbox. */
  readonly outboxCap: number;
  /** Told when Redis doesn't answer, and when it does. @default nobody is */
  readonly faults?: FaultReporter;
  /** Another script than the shipped one: tests bring their own clock. */
  readonly script?: RedisScript<string>;
}

/** Where all breakers of a database are announced; see `channelOf`. */
export const CHANNEL = 'breakers';

const UNHEARD =
  'What other processes do is known by polling only, up to two seconds later: allow the channels &spillway:*';

const SILENT: FaultReporter = { failed: () => undefined, answered: () => undefined, note: () => undefined };

/** The keys of a breaker, all in its shard. */
export function breakerKeys(
  id: BreakerId,
  shards: number,
): [record: string, instances: string, leases: string, pulse: string] {
  const key = breakerKey(id);
  const shard = shardOf(key, shards);
  const tag = shardTag(shard);
  return [`${tag}:cb:${key}`, `${tag}:cbi:${key}`, `${tag}:cbl:${key}`, pulseKey(shard)];
}

function pulseKey(shard: number): string {
  return `${shardTag(shard)}:cbp`;
}

/** A process that has just started is not without Redis: its connection is given as long as a command. */
async function readyWithin(client: RedisClient, ms: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      client.off('ready', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    client.once('ready', done);
  });
}

/** Runs commands that are given up after a time. */
function boundedBy({
  client,
  connection,
  deadlineMs,
  faults,
}: {
  readonly client: RedisClient;
  readonly connection: Connection;
  readonly deadlineMs: number;
  readonly faults: FaultReporter;
}): <T>(work: () => Promise<T>) => Promise<T> {
  function unavailable(reason: string, wasSent: boolean, fault: RedisFault): StoreUnavailableError {
    faults.failed(fault);
    return new StoreUnavailableError(reason, wasSent, fault);
  }

  // Commands past their deadline that haven't settled: Redis is frozen, and more would only pile up in memory.
  let late = 0;
  return function bounded<T>(work: () => Promise<T>): Promise<T> {
    if (client.status !== 'ready') {
      const { fault } = connection;
      return Promise.reject(unavailable(`connection is ${client.status}: ${fault.message}`, false, fault));
    }
    if (late > 0) return Promise.reject(unavailable('it does not answer', false, faultOf('no_answer')));
    return new Promise((resolve, reject) => {
      let isLate = false;
      // Timers run before sockets are read: after a blocked event loop the reply may be there already, so it gets one
      // turn to be seen before the time counts as up.
      const timer = setTimeout(() => setImmediate(expire), deadlineMs);
      let settled = false;
      const expire = (): void => {
        if (settled) return;
        isLate = true;
        late += 1;
        reject(unavailable(`no answer within ${deadlineMs} ms`, true, faultOf('no_answer')));
      };
      const settle = (tell: () => void): void => {
        settled = true;
        clearTimeout(timer);
        if (isLate) late -= 1;
        tell();
      };
      sent(work).then(
        (reply) =>
          settle(() => {
            faults.answered();
            resolve(reply);
          }),
        (error: unknown) =>
          settle(() => {
            const fault = redisFault(error);
            reject(unavailable(fault.message, true, fault));
          }),
      );
    });
  };
}

/** Work that throws before it is sent rejects as work that fails later does. */
async function sent<T>(work: () => Promise<T>): Promise<T> {
  return work();
}

function textOf(reply: unknown): string {
  return Buffer.isBuffer(reply) ? reply.toString('utf8') : '';
}

/** Breakers in Redis, moved by breaker.lua a command at a time. */
export function redisStore(options: RedisStoreOptions): BreakerStore {
  const { client, deadlineMs, shards, outboxCap, script = breakerScript(), faults = SILENT } = options;
  const connection = connectionOf(client);
  const bounded = boundedBy({ client, connection, deadlineMs, faults });
  const channel = channelOf(client, CHANNEL);
  let connecting: Promise<void> | undefined;
  const pulses = new Pulses(shards, readPulses);

  // In Cluster one command for each, since their slots differ.
  async function readPulses(wanted: readonly number[]): Promise<ReadonlyMap<number, string>> {
    const read = new Map<number, string>();
    const groups = client.isCluster === true ? wanted.map((shard) => [shard]) : [wanted];
    const readGroup = async (group: readonly number[]): Promise<void> => {
      const texts = await bounded(() => call(client, 'MGET', group.map(pulseKey)));
      if (Array.isArray(texts)) for (const [index, shard] of group.entries()) read.set(shard, textOf(texts[index]));
    };
    await Promise.allSettled(groups.map(readGroup));
    return read;
  }

  async function connected(): Promise<void> {
    if (client.status === 'wait') connection.wake();
    if (client.status !== 'connecting' && client.status !== 'connect') return;
    connecting ??= readyWithin(client, deadlineMs).finally(() => (connecting = undefined));
    await connecting;
  }

  return {
    async poll(known) {
      if (known.length > 0) await connected();
      return pulses.poll(known);
    },
    async execute(id: BreakerId, command: Command) {
      await connected();
      const keys = breakerKeys(id, shards);
      const args = [JSON.stringify(command), outboxCap, channel, id.preset, id.name];
      return parseReply(await bounded(() => script.run(client, keys, args)), command.config);
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
    close: async () => {},
  };
}
