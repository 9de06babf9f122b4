import { fork } from 'node:child_process';
import { on } from 'node:events';
import { type Breakers, createBreakers, definePreset } from '@spillway/breaker';
import { createLimiter, definePolicy, type Limiter, type LivePolicies, type Policy } from '@spillway/limiter';
import { hotPathOptions } from '@spillway/redis';
import { built } from '../built.ts';
import { Redis } from 'ioredis';

/** Changes of a breaker, and the state that it comes to. */
export const BREAKER_CHANGES = {
  trip: 'open',
  'force open': 'forced_open',
  'force closed': 'forced_closed',
  reset: 'closed',
} as const;
export type BreakerChange = keyof typeof BREAKER_CHANGES;

/** A change that a process waits for. */
export interface Watch {
  readonly kind: 'override' | 'unblock' | BreakerChange;
  /** The subject, or the breaker. */
  readonly name: string;
  /** The limit that an override gives. */
  readonly limit?: number;
}

/** What a process is told: to wait for a change, to follow breakers, or to say how they stand and since when. */
export type Order = Watch | { readonly kind: 'follow'; readonly names: readonly string[] } | { readonly kind: 'tell' };

/** How the breakers that a process follows stand, as text that can be compared, and when that changed last. */
export interface Standing {
  readonly text: string;
  readonly changedAt: number;
}

const policy = definePolicy({ name: 'fleet', limit: 1_000, windowMs: 60_000 });
const preset = definePreset({
  name: 'fleet',
  trip: { strategy: 'consecutive', failures: 1 },
  openMs: 600_000,
  maxOpenMs: 600_000,
  quorum: 1,
});

/** A limiter with live policies, and breakers. */
export interface Instance {
  readonly limiter: Limiter<'fleet'> & { readonly live: LivePolicies };
  readonly policy: Policy;
  readonly breakers: Breakers<'fleet'>;
  close(): Promise<void>;
}

/** What every process of the fleet runs. */
export function makeInstance(url: string): Instance {
  const redis = new Redis(url, hotPathOptions);
  redis.on('error', () => undefined);
  const limiter = createLimiter({ redis, policies: [policy], live: true, deadlineMs: 5_000 });
  const breakers = createBreakers({ redis, presets: [preset], deadlineMs: 5_000 });
  return {
    limiter,
    breakers,
    policy,
    async close(): Promise<void> {
      await breakers.close();
      await limiter.close();
      redis.disconnect();
    },
  };
}

/** Ms by a clock that all processes of a machine share and that is never set. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Processes that watch; one more makes the changes. */
export const PROCESSES = 8;

/** One of them. */
export interface Member {
  watch(order: Watch): Promise<void>;
  /** When it acted upon what it watches. */
  seen(): Promise<number>;
  /** From now on it looks at these breakers all the time. */
  follow(names: readonly string[]): Promise<void>;
  standing(): Promise<Standing>;
  stop(): void;
}

/** Starts them all. */
export async function startMembers(url: string): Promise<readonly Member[]> {
  return Promise.all(Array.from({ length: PROCESSES }, () => startMember(url)));
}

async function startMember(url: string): Promise<Member> {
  const program = built('fleet/fleet-process.js');
  const child = fork(program, [url]);
  const messages = on(child, 'message');
  const next = async (): Promise<unknown> => {
    const { value } = await messages.next();
    return value[0];
  };
  const obey = async (order: Order): Promise<unknown> => {
    child.send(order);
    return next();
  };
  await next();
  return {
    watch: async (order) => void (await obey(order)),
    seen: async () => Number(await next()),
    follow: async (names) => void (await obey({ kind: 'follow', names })),
    async standing() {
      const told = await obey({ kind: 'tell' });
      if (!isStanding(told)) throw new Error('a process answered something else than it was asked');
      return told;
    },
    stop: () => child.disconnect(),
  };
}

function isStanding(value: unknown): value is Standing {
  return typeof value === 'object' && value !== null && 'text' in value && 'changedAt' in value;
}
