import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ConnectedClient } from '@spillway/local-servers/testing';
import {
  type LuaScript,
  outboxKeys,
  parseOutboxEntry,
  type RawEntry,
  readRedisOption,
  shardTag,
} from '@spillway/redis';
import { Redis } from 'ioredis';
import { BREAKER_EVENT, type BreakerEvent, parseBreakerEvent } from '../src/events.ts';
import { type BreakerExchange, exchangeOver } from '../src/exchange.ts';
import { httpStore } from '../src/http-store/index.ts';
import type { News, SentCommand, SentView } from '../src/http-store/protocol.ts';
import { breaker } from '../src/scripts.generated.ts';
import { memoryStore } from '../src/store/memory-store.ts';
import { breakerScript, redisStore, type RedisStore } from '../src/store/redis-store.ts';
import type { BreakerStore } from '../src/store/store.ts';

/** What a test reads of an event. */
export type EventSeen = Pick<BreakerEvent, 'eventType' | 'failureCount' | 'errorMessage' | 'metadata'> & {
  readonly epoch: number;
};

/** A store whose time stands still until it is told to move. */
export interface StoreUnderTest {
  readonly store: BreakerStore;
  setNow(ms: number): Promise<void>;
  /** Forgets all breakers, as FLUSHALL would, but not the trail. */
  clear(): Promise<void>;
  events(): Promise<EventSeen[]>;
  dispose(): Promise<void>;
}

/** The in-memory store with a hand-turned clock. */
export async function memoryUnderTest(): Promise<StoreUnderTest> {
  let now = 0;
  const seen: EventSeen[] = [];
  const store = memoryStore({
    now: () => now,
    onEvent: ({ type, epoch, failureCount, message, metadata, preset }) => {
      const errorMessage = message === '' ? null : message;
      seen.push({ eventType: type, epoch, failureCount, errorMessage, metadata: { preset, ...metadata } });
    },
  });
  return {
    store,
    setNow: async (ms) => {
      now = ms;
    },
    clear: async () => store.clear(),
    events: async () => seen,
    dispose: () => store.close(),
  };
}

const read = (file: string): string => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');

/** A script with the hand-turned clock in the place of the server's. */
function handTurned({ name, source }: LuaScript): LuaScript {
  const hand = read('breaker/lua/includes/hand-clock.test.lua');
  const turned = source.replaceAll(read('redis/lua/includes/clock.lua'), () => hand);
  if (turned.includes("'TIME'")) throw new Error(`${name} asks for the time by itself`);
  return { name, source: turned, sha1: createHash('sha1').update(turned).digest('hex') };
}

/**
 * The Redis store with a hand-turned clock and one shard, on an empty server at `url`.
 * @param moves by which breakers are moved. @default a client of ioredis
 */
export async function redisUnderTest(
  url: string,
  moves?: ConnectedClient,
): Promise<StoreUnderTest & { readonly store: RedisStore }> {
  const client = new Redis(url);
  await client.ping();
  const script = breakerScript(handTurned(breaker));
  const option = readRedisOption(moves?.client ?? client);
  if (typeof option === 'string') throw new Error(option);
  const store = redisStore({ client: option.client, deadlineMs: 10_000, shards: 1, outboxCap: 100_000, script });
  return {
    store,
    setNow: async (ms) => {
      await client.set(`${shardTag(0)}:hand-clock`, ms);
    },
    clear: async () => {
      const keys = await client.keys('{sw:00}:cb*');
      if (keys.length > 0) await client.del(...keys);
    },
    events: async () => {
      const entries = await client.xrange(outboxKeys(0).stream, '-', '+');
      const all = entries.map((entry) => parseOutboxEntry(0, entry as RawEntry));
      // What was done by hand is told of a second time, as a change.
      return all.flatMap((raw) => {
        if (raw.type !== BREAKER_EVENT) return [];
        const { eventType, failureCount, errorMessage, metadata } = parseBreakerEvent(raw);
        return [{ eventType, failureCount, errorMessage, metadata, epoch: Number(raw.fields['breaker_epoch']) }];
      });
    },
    dispose: async () => {
      await store.close();
      await moves?.end();
      client.disconnect();
    },
  };
}

/** A store over HTTP, before an API whose Redis is at `url`, with the same clock. Changes by hand are ada's. */
export async function httpUnderTest(url: string): Promise<StoreUnderTest> {
  const behind = await redisUnderTest(url);
  let chance = 0;
  const api = await playApi(
    exchangeOver(
      behind.store,
      () => undefined,
      () => chance,
    ),
  );
  api.actor = 'ada';
  const store = httpStore({ url: api.url, key: 'right', deadlineMs: 10_000 });
  return {
    ...behind,
    store: {
      ...store,
      execute(id, command) {
        chance = command.random;
        return store.execute(id, command);
      },
    },
    async dispose() {
      await api.close();
      await behind.dispose();
    },
  };
}

/** How it answers: by doing what it is asked, never, by a cut, by a status, or by this text. */
export type Mood = 'works' | 'hang' | 'cut' | number | { readonly text: string };

/** The API's routes of breakers over an exchange, by a server that can be told to fail. */
export interface PlayedApi {
  readonly url: string;
  /** Paths that were asked for, with the numbers of commands or breakers. */
  readonly asked: [path: string, count: number][];
  mood: Mood;
  /** Whose key it is; undefined: one that may not move breakers by hand. */
  actor: string | undefined;
  close(): Promise<void>;
}

interface Body {
  readonly instance: string;
  readonly commands?: readonly SentCommand[];
  readonly breakers?: readonly SentView[];
  readonly seen?: News['seen'];
}

export async function playApi(exchange: BreakerExchange, key = 'right'): Promise<PlayedApi> {
  const server = createServer((request, response) => void serve(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const api: PlayedApi = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked: [],
    mood: 'works',
    actor: undefined,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const { instance, commands = [], breakers = [], seen = {} } = JSON.parse(text) as Body;
    const path = request.url ?? '';
    const { mood } = api;
    api.asked.push([path, commands.length + breakers.length]);
    if (mood === 'hang') return;
    if (mood === 'cut') response.destroy();
    else if (request.headers.authorization !== `Bearer ${key}`) response.writeHead(401).end('{}');
    else if (typeof mood === 'number') response.writeHead(mood, { Location: '/elsewhere' }).end('{}');
    else if (typeof mood === 'object') response.end(mood.text);
    else if (path === '/v1/breakers/news') response.end(JSON.stringify(await exchange.news(breakers, seen)));
    else response.end(JSON.stringify({ answers: await exchange.carryOut({ instance, actor: api.actor }, commands) }));
  }

  return api;
}
