import type { RedisClient, RedisCommand } from '../client.ts';
import { Command } from '../command.ts';
import { faultOf, isReplyError } from '../fault.ts';
import type { DuplicableClient, SubscriberClient } from '../subscribe.ts';
import {
  type Common,
  type Kind,
  kindOf,
  type Listener,
  type MessageListener,
  type NodeRedisClient,
} from './node-redis-kinds.ts';

/*
 * node-redis (packages redis and @redis/client, versions 5 and 6): its client, its Cluster and its Sentinel client as a
 * client of ours.
 *
 * - Replies: bulk strings come as Buffers by a type mapping, with RESP2 and RESP3 alike.
 * - node-redis writes all commands of a turn of the event loop at once, so nothing has to be pipelined here.
 * - Nothing is given to a client that isn't ready, so that its offline queue stays empty. What a lost connection left
 *   unanswered node-redis rejects; its Sentinel client would send it again, and is kept from that (see `bySentinel`).
 * - A subscription is a duplicate of the client, which subscribes again by itself. The Sentinel client of version 5 makes no
 *   duplicate: it is shared, since it opens a connection of its own for what it subscribes to.
 */

type Hear = (channel: string, message: string) => void;
// eslint-disable-next-line typescript/no-explicit-any -- what an event brings is known by its name only
type AnyListener = (...args: any[]) => void;

/** How often a subscription that could not begin is tried again, in ms. */
const AGAIN_MS = 500;

/** A client of node-redis as one of ours. */
export class NodeRedisAdapter implements RedisClient, DuplicableClient {
  readonly isCluster: boolean;
  readonly options: NonNullable<RedisClient['options']>;
  readonly #client: Common;
  readonly #kind: Kind;
  #opened: boolean;

  constructor(client: NodeRedisClient) {
    [this.#client, this.#kind] = kindOf(client);
    const { isCluster, db } = this.#kind;
    const { _keyPrefix: keyPrefix } = this.#client;
    this.isCluster = isCluster;
    this.options = { db, keyPrefix };
    this.#opened = client.isOpen || (this.#client.socketEpoch ?? 0) > 0;
  }

  get status(): string {
    const { isOpen } = this.#client;
    if (isOpen) this.#opened = true;
    if (isOpen && this.#kind.isReady()) return 'ready';
    if (isOpen) return 'connecting';
    return this.#opened ? 'end' : 'wait';
  }

  sendCommand(command: RedisCommand): void {
    if (!(command instanceof Command)) command.reject(new TypeError('not a command of Spillway'));
    else if (this.status !== 'ready') command.reject(faultOf('not_connected'));
    else this.#kind.send(command);
  }

  disconnect(reconnect = false): void {
    if (reconnect) this.#kind.reconnect();
    else if (this.#client.isOpen) void this.#client.destroy();
  }

  duplicate(): SubscriberClient {
    return new Subscriber(this.#client.duplicate?.() ?? shared(this.#client));
  }

  on(event: string, listener: Listener): void {
    this.#client.on(this.#named(event), listener);
  }

  once(event: string, listener: Listener): void {
    this.#client.once(this.#named(event), listener);
  }

  off(event: string, listener: Listener): void {
    this.#client.off(this.#named(event), listener);
  }

  #named(event: string): string {
    return this.#kind.events[event] ?? event;
  }
}

/**
 * What stands for a duplicate of a client that makes none: the client itself. Its owner connects and ends it; `destroy` takes away
 * only what was added here.
 */
function shared(client: Common): Common {
  const added: [event: string, listener: Listener][] = [];
  const heard = new Map<MessageListener, readonly string[]>();
  const view: Pick<Common, 'connect' | 'destroy' | 'on' | 'subscribe'> = {
    connect: async () => undefined,
    destroy() {
      for (const [event, listener] of added.splice(0)) client.off(event, listener);
      // Rejected if its owner has ended it.
      for (const [listener, channels] of heard) client.unsubscribe(channels, listener).catch(() => undefined);
      heard.clear();
    },
    on(event, listener) {
      added.push([event, listener]);
      client.on(event, listener);
    },
    subscribe(channels, listener) {
      heard.set(listener, channels);
      return client.subscribe(channels, listener);
    },
  };
  return Object.assign(Object.create(client), view);
}

/** A duplicate that subscribes. It is connected from the start, and until it is ended. */
class Subscriber implements SubscriberClient {
  readonly #client: Common;
  readonly #kind: Kind;
  #hear: Hear = () => undefined;
  #timer: NodeJS.Timeout | undefined;
  #ended = false;
  /** A socket is being opened. node-redis doesn't know it yet, and would leave it open if it were destroyed now. */
  #dialing = false;
  // One function for all: node-redis calls each that it was given.
  readonly #listener = (message: string, channel: string): void => this.#hear(channel, message);

  constructor(client: Common) {
    [this.#client, this.#kind] = kindOf(client);
    this.#client.on('reconnecting', () => (this.#dialing = true));
    for (const event of ['connect', 'error']) this.#client.on(event, () => this.#dialed());
    void this.connect();
  }

  get status(): string {
    if (this.#ended) return 'end';
    return this.#client.isOpen && this.#kind.isReady() ? 'ready' : 'connecting';
  }

  /** Never rejects: it tries until it is ended. */
  async connect(): Promise<void> {
    this.#ended = false;
    if (this.#client.isOpen) return;
    this.#dialing = true;
    try {
      await this.#client.connect();
    } catch {
      this.#again(() => void this.connect());
    }
    this.#dialed();
  }

  async subscribe(...channels: string[]): Promise<void> {
    try {
      await this.#client.subscribe(channels, this.#listener);
    } catch (error) {
      // A Cluster is `ready` only once, whatever becomes of the node that it subscribes at.
      if (!isReplyError(error) && this.#kind.isCluster && !this.#ended) {
        await new Promise<void>((resolve) => this.#again(resolve));
        return this.subscribe(...channels);
      }
      throw error;
    }
  }

  disconnect(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    if (!this.#dialing) this.#dialed();
  }

  /** There is a socket, or none. */
  #dialed(): void {
    this.#dialing = false;
    if (this.#ended && this.#client.isOpen) void this.#client.destroy();
  }

  on(event: string, listener: AnyListener): void {
    if (event === 'message') this.#hear = listener;
    else this.#client.on(this.#kind.events[event] ?? event, listener);
  }

  #again(attempt: () => void): void {
    if (!this.#ended) this.#timer = setTimeout(attempt, AGAIN_MS).unref();
  }
}
