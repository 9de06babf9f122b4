import {
  call,
  channelOf,
  type DuplicableClient,
  isReady,
  type RedisClient,
  subscribe,
  type Subscription,
} from '@spillway/redis';
import { KEYS_CHANNEL } from '../store/store.ts';
import { VERSION_FIELD } from './entries.ts';

const CHANGES: readonly KeyChange[] = ['block', 'unblock', 'reset'];

/** How often a bus makes sure that it hears, and reads the version of the live entries. */
const PULSE_MS = 1_000;

/** How long after a heard pulse everything counts as heard. */
const TRUST_MS = 1_500;

/** What was done to a window by hand. */
export type KeyChange = 'block' | 'unblock' | 'reset';

/** Who listens to a {@link Bus}. */
export interface BusListener {
  /** A window was blocked, unblocked or reset by hand, here or elsewhere. */
  readonly onKey?: (change: KeyChange, key: string) => void;
  /** Messages may have been missed: nothing that is remembered is sure. */
  readonly onMissed?: () => void;
  /** The version of the live entries, heard or read; it may be an old one. */
  readonly onVersion?: (version: string) => void;
}

/** What a limiter hears of the others. */
export interface Bus {
  /**
   * The time of `performance.now()` until which what was published is known to have come, but for the last second and a
   * half; 0 when nothing is known.
   */
  readonly freshUntil: number;
  listen(listener: BusListener): void;
  /** Opens the connection, the first time that it is called. */
  start(): void;
  close(): void;
}

/** What {@link redisBus} needs. */
export interface BusOptions {
  readonly client: RedisClient;
  /** @default none */
  readonly namespace?: string;
  /** The hash of the live entries, whose version is read with each pulse and published on a channel of its own. */
  readonly liveKey: string;
  /** Hears that the user may not hear the channels. @default none */
  readonly onRefused?: (error: unknown) => void;
}

/**
 * A bus over Redis' publish and subscribe. A subscription can be deaf without knowing (a cut network, a proxy that went
 * away), so the bus publishes a pulse to itself over the connection that decides, and trusts what it heard only as long
 * as it hears its pulses. Two commands a second, whatever the load.
 */
export function redisBus({ client, namespace = '', liveKey, onRefused }: BusOptions): Bus {
  const listeners: BusListener[] = [];
  const pulseChannel = channelOf(client, `pulse:${crypto.randomUUID()}`, namespace);
  const liveChannel = liveChannelOf(client, liveKey, namespace);
  let subscription: Subscription | undefined;
  let timer: NodeJS.Timeout | undefined;
  let freshUntil = 0;
  let beating = false;
  let closed = false;

  function hear(message: string, channel: string): void {
    if (channel === pulseChannel) freshUntil = Math.max(freshUntil, Number(message) + TRUST_MS);
    else if (channel === liveChannel) for (const { onVersion } of listeners) onVersion?.(message);
    else readChange(message, (change, key) => listeners.forEach(({ onKey }) => onKey?.(change, key)));
  }

  function gap(): void {
    freshUntil = 0;
    for (const { onMissed } of listeners) onMissed?.();
    void pulse();
  }

  async function pulse(): Promise<void> {
    // One at a time: a frozen Redis must not gather pulses.
    if (beating || !isReady(client)) return;
    beating = true;
    try {
      const [version] = await Promise.all([
        call(client, 'HGET', [liveKey, VERSION_FIELD], liveKey),
        call(client, 'PUBLISH', [pulseChannel, String(performance.now())]),
      ]);
      const text = Buffer.isBuffer(version) ? version.toString() : '';
      if (!closed) for (const { onVersion } of listeners) onVersion?.(text);
    } catch {
      // Redis is away: the next pulse tries again.
    } finally {
      beating = false;
    }
  }

  function close(): void {
    closed = true;
    freshUntil = 0;
    clearInterval(timer);
    subscription?.close();
  }

  return {
    get freshUntil() {
      return freshUntil;
    },
    listen: (listener) => void listeners.push(listener),
    start() {
      if (timer !== undefined || closed) return;
      timer = setInterval(() => {
        // The subscription must not keep a process alive that ended the client and left the limiter open.
        if (client.status === 'end') close();
        else void pulse();
      }, PULSE_MS).unref();
      if (isDuplicable(client)) {
        const channels = [pulseChannel, channelOf(client, KEYS_CHANNEL, namespace), liveChannel];
        subscription = subscribe({ client, channels, onMessage: hear, onSubscribed: gap, onRefused });
      }
      void pulse();
    },
    close,
  };
}

/** Where a change of the live entries under a key is told. */
export function liveChannelOf(client: RedisClient, liveKey: string, namespace = ''): string {
  return channelOf(client, `live:${liveKey}`, namespace);
}

function readChange(message: string, tell: (change: KeyChange, key: string) => void): void {
  const space = message.indexOf(' ');
  const change = CHANGES.find((one) => one === message.slice(0, space));
  if (change !== undefined) tell(change, message.slice(space + 1));
}

/** A client that can't be duplicated hears nothing, but its pulses read the version all the same. */
function isDuplicable(client: object): client is DuplicableClient {
  return 'duplicate' in client && typeof client.duplicate === 'function';
}
