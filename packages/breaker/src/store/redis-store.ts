import {
  type DuplicableClient,
  type RedisClient,
  type RedisScript,
  shardOf,
  shardTag,
  subscribe,
} from '@spillway/redis';
import type { Command } from '../machine/record.ts';
import { breakerScript } from './scripts.ts';
import { type BreakerId, breakerKey, type BreakerStore, StoreUnavailableError } from './store.ts';
import { parseAnnouncement, parseReply } from './wire.ts';

/** What {@link redisStore} needs. */
export interface RedisStoreOptions {
  readonly client: RedisClient & DuplicableClient;
  /** A command is given up after this many ms. */
  readonly deadlineMs: number;
  readonly shards: number;
  /** Most events that may wait in a shard's outbox. */
  readonly outboxCap: number;
  /** Another script than the shipped one: tests bring their own clock. */
  readonly script?: RedisScript<string>;
}

/** Where all breakers of a Redis are announced. */
export const CHANNEL = 'spillway:breakers';

/** The keys of a breaker, all in its shard. */
export function breakerKeys(id: BreakerId, shards: number): [record: string, instances: string, leases: string] {
  const key = breakerKey(id);
  const tag = shardTag(shardOf(key, shards));
  return [`${tag}:cb:${key}`, `${tag}:cbi:${key}`, `${tag}:cbl:${key}`];
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

/** Breakers in Redis, moved by breaker.lua a command at a time. */
export function redisStore(options: RedisStoreOptions): BreakerStore {
  const { client, deadlineMs, shards, outboxCap, script = breakerScript() } = options;
  // Commands past their deadline that haven't settled: Redis is frozen, and more would only pile up in memory.
  let late = 0;
  let connecting: Promise<void> | undefined;

  function bounded(work: () => Promise<string>): Promise<string> {
    if (client.status !== 'ready')
      return Promise.reject(new StoreUnavailableError(`connection is ${client.status}`, false));
    if (late > 0) return Promise.reject(new StoreUnavailableError('it does not answer', false));
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
        reject(new StoreUnavailableError(`no answer within ${deadlineMs} ms`, true));
      };
      const settle = (tell: () => void): void => {
        settled = true;
        clearTimeout(timer);
        if (isLate) late -= 1;
        tell();
      };
      work().then(
        (reply) => settle(() => resolve(reply)),
        (error: unknown) => settle(() => reject(new StoreUnavailableError('the command failed', true, error))),
      );
    });
  }

  return {
    async execute(id: BreakerId, command: Command) {
      if (client.status === 'connecting' || client.status === 'connect') {
        connecting ??= readyWithin(client, deadlineMs).finally(() => (connecting = undefined));
        await connecting;
      }
      const keys = breakerKeys(id, shards);
      const args = [JSON.stringify(command), outboxCap, CHANNEL, id.preset, id.name];
      return parseReply(await bounded(() => script.run(client, keys, args)), command.config);
    },
    listen(onAnnouncement, onListening) {
      return subscribe({
        client,
        channels: [CHANNEL],
        onMessage(message) {
          const announcement = parseAnnouncement(message);
          if (announcement !== undefined) onAnnouncement(announcement);
        },
        onSubscribed: onListening,
      });
    },
    close: async () => {},
  };
}
