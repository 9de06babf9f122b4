import { faultOf } from '../fault.ts';
import type { Command } from '../command.ts';

/** A client of node-redis 5 or 6: what `createClient`, `createCluster` and `createSentinel` give. */
export interface NodeRedisClient {
  readonly isOpen: boolean;
  sendCommand(...args: never[]): Promise<unknown>;
  withTypeMapping(mapping: never): unknown;
}

export type Listener = (...args: never[]) => void;

/** What hears a channel's messages. */
export type MessageListener = (message: string, channel: string) => void;

/** What all three kinds have. */
export interface Common extends NodeRedisClient {
  readonly isReady?: boolean;
  readonly _keyPrefix?: string;
  /** How often a client of one server has connected. */
  readonly socketEpoch?: number;
  connect(): Promise<unknown>;
  destroy(): unknown;
  subscribe(channels: readonly string[], listener: MessageListener): Promise<unknown>;
  unsubscribe(channels: readonly string[], listener: MessageListener): Promise<unknown>;
  on(event: string, listener: Listener): unknown;
  once(event: string, listener: Listener): unknown;
  off(event: string, listener: Listener): unknown;
  /** Missing in the Sentinel client of version 5. */
  duplicate?(): Common;
}

interface Server extends Common {
  readonly options?: { readonly database?: number };
  sendCommand(parts: readonly (string | Buffer)[], options: object): Promise<unknown>;
}

interface Cluster extends Common {
  readonly masters: readonly unknown[];
  sendCommand(
    key: string | undefined,
    isReadonly: boolean,
    parts: readonly (string | Buffer)[],
    options: object,
  ): Promise<unknown>;
}

interface Sentinel extends Common {
  readonly identity?: unknown;
  _execute(isReadonly: boolean, send: (client: Server) => Promise<unknown>): Promise<unknown>;
}

/** What of the three kinds a client is, and how a command goes to it. */
export interface Kind {
  readonly isCluster: boolean;
  readonly db: number;
  /** The events of this client that mean `ready` and `end`. */
  readonly events: Readonly<Record<string, string>>;
  isReady(): boolean;
  send(command: Command): void;
  /** Leaves the connection and makes another. */
  reconnect(): void;
}

const BULK_STRING = 36;
const SIMPLE_STRING = 43;
const VERBATIM_STRING = 61;

/** No timeout of node-redis' own: Spillway keeps the deadline, and a signal for each command costs time. */
const HOW = {
  typeMapping: { [BULK_STRING]: Buffer, [SIMPLE_STRING]: Buffer, [VERBATIM_STRING]: Buffer },
  timeout: undefined,
};

/** True for a client of node-redis, of whatever version. */
export function isOfNodeRedis(value: object): value is NodeRedisClient {
  return 'isOpen' in value && 'sendCommand' in value;
}

/** Why a client of node-redis can't be used, as text that follows the option's name. */
export function nodeRedisProblem(value: object): string | undefined {
  if (!('withTypeMapping' in value))
    return 'is a client of node-redis 4 or older: use version 5 or 6 of the package redis';
  if ('clientsInUse' in value)
    return 'is a pool of node-redis: give one client, which sends all commands over one connection';
  return undefined;
}

function isServer(client: NodeRedisClient): client is Server {
  return !isClusterClient(client) && !isSentinelClient(client);
}

function isClusterClient(client: NodeRedisClient): client is Cluster {
  return 'masters' in client;
}

function isSentinelClient(client: NodeRedisClient): client is Sentinel {
  return '_execute' in client && !isClusterClient(client);
}

/** @throws for another object */
export function kindOf(client: NodeRedisClient): [Common, Kind] {
  if (isClusterClient(client)) return [client, ofCluster(client)];
  if (isSentinelClient(client)) return [client, ofSentinel(client)];
  if (isServer(client)) return [client, ofServer(client)];
  throw new TypeError('not a client of node-redis');
}

function ofServer(client: Server): Kind {
  return {
    isCluster: false,
    db: client.options?.database ?? 0,
    events: {},
    isReady: () => client.isReady === true,
    send: (command) => settle(command, client.sendCommand(partsOf(command), HOW)),
    reconnect() {
      if (!client.isOpen) return;
      client.destroy();
      client.connect().catch(() => undefined);
    },
  };
}

/** It finds new masters by itself; a node that went away is one shard's outage, as with ioredis. */
function ofCluster(client: Cluster): Kind {
  return {
    isCluster: true,
    db: 0,
    events: { ready: 'connect', end: 'disconnect' },
    isReady: () => client.isReady ?? client.masters.length > 0,
    send: (command) => settle(command, client.sendCommand(command.key, false, partsOf(command), HOW)),
    reconnect: () => undefined,
  };
}

/** How long a command may wait in a Sentinel client before it is written, in ms: while it looks for masters, which it does now and then. */
const WRITTEN_WITHIN_MS = 50;

/**
 * A Sentinel client keeps commands until it has found the new master, and would carry out decisions whose callers have given up: one
 * that was not written at once is refused. It also sends a command again that met a lost connection, and may have run. So it is given one that can be sent
 * once: the second time it has nothing to send, and what the first time met has been told. It finds the new master by
 * itself. Version 5 has no event for `ready`: a new master is announced a moment before.
 *
 * Commands that are given at the same time are handed over as one: the client lends its connection to the first, and would keep the
 * others until that one is answered.
 */
function ofSentinel(client: Sentinel): Kind {
  const isNew = 'identity' in client;
  const { _execute: execute } = client;
  let waiting: Given[] | undefined;
  return {
    isCluster: false,
    db: 0,
    events: isNew ? {} : { ready: 'topology-change' },
    isReady: () => client.isReady === true,
    send(command) {
      const given: Given = { command, atMs: performance.now() };
      if (waiting !== undefined) {
        waiting.push(given);
        return;
      }
      const together = (waiting = [given]);
      const take = (): Given[] => {
        if (waiting === together) waiting = undefined;
        return together.splice(0);
      };
      const once = async (master: Server): Promise<void> => {
        await Promise.all(take().map((each) => sendInTime(master, each)));
      };
      execute.call(client, false, once).catch((error: Error) => {
        for (const each of take()) each.command.reject(error);
      });
    },
    reconnect: () => undefined,
  };
}

/** A command, and when it was given to a Sentinel client. */
interface Given {
  readonly command: Command;
  readonly atMs: number;
}

/** Rejects with what the connection met, which is for the Sentinel client. */
async function sendInTime(master: Server, { command, atMs }: Given): Promise<void> {
  if (performance.now() - atMs > WRITTEN_WITHIN_MS) {
    command.reject(faultOf('not_connected'));
    return;
  }
  const sent = master.sendCommand(partsOf(command), HOW);
  settle(command, sent);
  await sent;
}

function settle(command: Command, sent: Promise<unknown>): void {
  sent.then(command.resolve, command.reject);
}

function partsOf(command: Command): (string | Buffer)[] {
  return [command.name, ...command.parts.map((part) => (typeof part === 'number' ? String(part) : part))];
}
