import { listenTo, type RedisClient } from './client.ts';
import { isReplyError } from './fault.ts';

/** A connection that receives published messages: `Redis` or `Cluster` of ioredis, or a wrapped client of another library. */
export interface SubscriberClient {
  readonly status: string;
  /** Those of ioredis' `Redis`. A Cluster subscribes by a connection of its own, and catches what that says. */
  readonly options?: object;
  subscribe(...channels: string[]): Promise<unknown>;
  on(event: 'message', listener: (channel: string, message: string) => void): unknown;
  on(event: 'ready', listener: () => void): unknown;
  on(event: 'error', listener: (error: unknown) => void): unknown;
  connect(): Promise<unknown>;
  disconnect(): void;
}

/** A connection that can open another like itself. `Redis` and `Cluster` of ioredis both fit. */
export interface DuplicableClient {
  duplicate(): SubscriberClient;
  readonly status: string;
  on(event: 'end' | 'ready', listener: () => void): unknown;
  off(event: 'end' | 'ready', listener: () => void): unknown;
}

/** A client that decides requests, as Spillway uses it: `Redis` or `Cluster` of ioredis 5 or 6, or of iovalkey, fit as they are. */
export type HotPathClient = RedisClient & DuplicableClient;

/** What {@link subscribe} needs. */
export interface SubscriptionOptions {
  /** Duplicated: a connection that subscribes can do nothing else. */
  readonly client: DuplicableClient;
  readonly channels: readonly string[];
  readonly onMessage: (message: string, channel: string) => void;
  /**
   * Called each time the subscription is active, the first time and after every reconnection. What was published in between
   * was missed: read the current state now. (A Cluster client that only changes its subscribing node does not report that.)
   */
  readonly onSubscribed: () => void;
  /** Called when Redis refuses the subscription, usually because the user lacks permission for these channels. @default none */
  readonly onRefused?: ((error: unknown) => void) | undefined;
}

/** A running subscription. */
export interface Subscription {
  /** True while messages arrive: connected and subscribed. */
  readonly isLive: boolean;
  close(): void;
}

/**
 * Listens to channels over a connection of its own, and subscribes again whenever Redis is available. Publish and subscribe
 * deliver at most once: take a message as a hint that comes fast, and read the truth in `onSubscribed` and now and then.
 * Its connection ends with the client's, so that it doesn't keep a finished process alive, and reopens with it.
 */
export function subscribe({ client, channels, onMessage, onSubscribed, onRefused }: SubscriptionOptions): Subscription {
  const connection = client.duplicate();
  // Each `ready` subscribes below. ioredis would do the same in parallel, and the error could not be caught of a connection
  // that is lost in that moment: it would end the process.
  Object.assign(connection.options ?? {}, { autoResubscribe: false });
  let closed = false;
  let subscribed = false;

  async function begin(): Promise<void> {
    subscribed = false;
    try {
      await connection.subscribe(...channels);
    } catch (error) {
      // The connection was lost again, or lacks permission: the next `ready` tries again.
      if (isReplyError(error)) onRefused?.(error);
      return;
    }
    if (closed) return;
    subscribed = true;
    onSubscribed();
  }

  connection.on('message', (channel, message) => {
    if (!closed) onMessage(message, channel);
  });
  // The client reconnects by itself, and an 'error' without a listener would end the process.
  connection.on('error', () => undefined);
  connection.on('ready', () => void begin());
  // A client made with `lazyConnect` waits for its first command, and so does its duplicate.
  if (connection.status === 'ready' || connection.status === 'wait') void begin();
  const end = (): void => connection.disconnect();
  const open = (): void => {
    // What it could not do the next `ready` does.
    if (connection.status === 'end') connection.connect().catch(() => undefined);
  };
  const stops = [listenTo(client, 'end', end), listenTo(client, 'ready', open)];
  if (client.status === 'end') end();
  return {
    get isLive() {
      return !closed && subscribed && connection.status === 'ready';
    },
    close() {
      closed = true;
      for (const stop of stops) stop();
      connection.disconnect();
    },
  };
}
