import { isDeepStrictEqual } from 'node:util';
import { DEFAULT_SHARDS } from '@spillway/redis';
import { capacityOf } from '../src/algorithms/algorithm.ts';
import type { Policy } from '../src/algorithms/registry.ts';
import { definePolicy, type PolicyOptions } from '../src/policy.ts';
import {
  DEFAULT_ACTION,
  type LimiterStore,
  type StoreRequest,
  type StoreWindow,
  windowKeys,
} from '../src/store/store.ts';
import type { Decision } from '../src/types.ts';
import { SPARE_MS, type StoreUnderTest } from './hand-clock.ts';
import { type Asked, wrongAbout } from './kept-windows.ts';

/** Where two stores first disagree, or what Redis keeps is wrong. */
export interface Difference {
  readonly round: number;
  readonly asked: string;
  readonly answers: readonly [unknown, unknown];
}

/** What is asked of both stores; whether it only looks; and which windows it is about, if its answer is a decision. */
interface Ask {
  readonly of: (store: LimiterStore) => Promise<unknown>;
  readonly asked: Asked;
}

const ask = (how: 'consume' | 'peek' | 'charge' | 'reward' | 'renew', request: StoreRequest): Ask => ({
  of: (store) => store[how](request),
  asked: { key: request.key, isPeek: how === 'peek', inGroup: false },
});
const byHand = (of: Ask['of']): Ask => ({ of, asked: { key: '', isPeek: false, inGroup: true } });

const START = Date.parse('2026-03-28T12:00:00Z');
const HOUR = 3_600_000;
/** More than half of what a log's offsets hold. All windows are used then: those that aren't would have expired. */
const LONG_AGO = 18 * 365 * 24 * HOUR;
const isJump = (round: number): boolean => round % 300 === 299;
const SUBJECTS = 5;

/** The policies that a history changes between, and the longest wait, in ms, that its clock goes to the end of. */
export interface Played {
  readonly policies: readonly Policy[];
  readonly longestWaitMs: number;
}

const played = (longestWaitMs: number, policies: readonly object[]): Played => ({
  policies: policies.map((options) => definePolicy({ name: 'p', ...options } as PolicyOptions)),
  longestWaitMs,
});

/** What histories are played with, by name. */
export const histories = {
  mixed: played(6_000, [
    { algorithm: 'sliding-log', limit: 5, windowMs: 1_000 },
    { algorithm: 'sliding-log', limit: 4, windowMs: 700, blockMs: 900 },
    { algorithm: 'sliding-log', limit: 2, windowMs: 5_000, blockMs: 3_000, mode: 'shadow' },
    { algorithm: 'sliding-window', limit: 6, windowMs: 1_000, buckets: 4 },
    { algorithm: 'sliding-window', limit: 3, windowMs: 701, buckets: 7, blockMs: 2_000 },
    { algorithm: 'sliding-window', limit: 9, windowMs: 4_000, buckets: 4 },
    { algorithm: 'sliding-window', limit: 2, windowMs: 3_000, buckets: 5, blockMs: 4_000, mode: 'shadow' },
    { algorithm: 'fixed-window', limit: 4, windowMs: 1_000 },
    { algorithm: 'fixed-window', limit: 2, windowMs: 3_000, mode: 'shadow' },
    { algorithm: 'fixed-window', limit: 3, windowMs: 2_000, blockMs: 2_500, mode: 'shadow' },
    { algorithm: 'fixed-window', limit: 10_000, windowMs: 600 },
    { algorithm: 'fixed-window', limit: 3, windowMs: 900, blockMs: 4_000_000_000 },
    { algorithm: 'token-bucket', limit: 5, windowMs: 1_000, burst: 3 },
    { algorithm: 'token-bucket', limit: 3, windowMs: 7_000, burst: 8, blockMs: 400 },
    { algorithm: 'token-bucket', limit: 2, windowMs: 100_000, burst: 2 },
    { algorithm: 'concurrency', limit: 4, windowMs: 1_000 },
    { algorithm: 'concurrency', limit: 3, windowMs: 2_500 },
    { algorithm: 'quota', limit: 12, period: 'day', timeZone: 'Asia/Kathmandu' },
    { algorithm: 'quota', limit: 9, period: 'day', timeZone: 'Asia/Kathmandu' },
  ]),
  /** Short and long windows, so that what was counted in one is over in another. */
  resized: played(70_000, [
    { algorithm: 'sliding-log', limit: 3, windowMs: 300 },
    { algorithm: 'sliding-log', limit: 9, windowMs: 60_000, blockMs: 400 },
    { algorithm: 'sliding-window', limit: 5, windowMs: 1_000, buckets: 4 },
    { algorithm: 'sliding-window', limit: 7, windowMs: 2_000, buckets: 8 },
    { algorithm: 'sliding-window', limit: 5, windowMs: 50_000, buckets: 5, blockMs: 300 },
    { algorithm: 'fixed-window', limit: 3, windowMs: 400 },
    { algorithm: 'fixed-window', limit: 8, windowMs: 40_000, blockMs: 500 },
    { algorithm: 'token-bucket', limit: 2, windowMs: 500, burst: 8 },
    { algorithm: 'token-bucket', limit: 3, windowMs: 30_000, burst: 5, blockMs: 350 },
  ]),
  /** Periods of calendars, and windows as long as they. */
  calendars: played(40 * 24 * HOUR, [
    { algorithm: 'quota', limit: 5, period: 'day', timeZone: 'Asia/Kathmandu' },
    { algorithm: 'quota', limit: 4, period: 'day', timeZone: 'UTC' },
    { algorithm: 'quota', limit: 8, period: 'month', timeZone: 'Europe/Berlin' },
    { algorithm: 'sliding-log', limit: 6, windowMs: 72 * HOUR },
    { algorithm: 'sliding-window', limit: 6, windowMs: 48 * HOUR, buckets: 6 },
    { algorithm: 'fixed-window', limit: 7, windowMs: 36 * HOUR },
    { algorithm: 'token-bucket', limit: 4, windowMs: 90 * HOUR, burst: 6 },
  ]),
} as const;

/**
 * Plays a random history to two stores and compares all answers: requests one by one, in batches and in groups, under
 * policies of every algorithm that change while they are in use, charges, refunds, renewals, blocks, and a clock that
 * stops, steps back, and lands on the very ms at which something was said to end.
 * @param seed the same seed plays the same history
 */
export async function firstDifference(
  stores: readonly [StoreUnderTest, StoreUnderTest],
  seed: number,
  rounds: number,
  { policies: variants, longestWaitMs }: Played = histories.mixed,
): Promise<Difference | undefined> {
  const { below, chance, pick } = random(seed);
  // Windows that end soon, and windows that are in use while policies change.
  const jumps = seed % 2 === 0 ? 0.12 : 0.3;
  const keyOf = windowKeys(DEFAULT_SHARDS);
  const families = variants.map((policy, place) => ({
    policy,
    subjects: Array.from({ length: SUBJECTS }, (_, subject) => `${seed}-${place}-${subject}`),
  }));
  // Few at a time, so that their windows are full.
  let inUse = families.slice(0, 2);
  let now = START;
  let last: Decision | undefined;

  const windowOf = (policy: Policy, subject: string): StoreWindow => {
    return { policy, subject, action: DEFAULT_ACTION, key: keyOf('p', DEFAULT_ACTION, subject) };
  };

  function request(policy: Policy, subject: string): StoreRequest {
    const most = capacityOf(policy);
    const cost = chance(0.7) ? 1 : chance(0.9) ? 1 + below(Math.min(3, most)) : most;
    const slot = policy.algorithm === 'concurrency' ? { slot: `holder-${below(6)}` } : {};
    return { ...windowOf(policy, subject), cost, ...slot };
  }

  const onSubject = (one: StoreRequest, subject: string): StoreRequest => {
    return { ...one, ...windowOf(one.policy, subject) };
  };

  function passTime(round: number): void {
    // A clock that stepped back gives a slot a little more time in memory, which notes when a slot was taken last.
    const back = inUse.some(({ policy }) => policy.algorithm === 'concurrency') ? 0 : -below(200);
    if (isJump(round)) now += LONG_AGO;
    else if (chance(jumps) && last !== undefined) {
      const ends = pick([last.retryAfterMs, last.resetAfterMs]);
      if (ends < (chance(0.05) ? Math.max(4 * HOUR, longestWaitMs) : longestWaitMs))
        now += Math.max(back, ends + pick([-1, 0, 1]));
    } else
      now += pick([
        0,
        0,
        0,
        0,
        1,
        below(60),
        below(60),
        below(400),
        back,
        chance(0.2) ? below(3_000) : 0,
        chance(0.05) ? below(14 * HOUR) : 0,
      ]);
  }

  function askAll(how: 'consume' | 'charge'): readonly Ask[] {
    return families.flatMap(({ policy, subjects }) => subjects.map((subject) => ask(how, request(policy, subject))));
  }

  /** @returns what is to be asked, in the order in which it is asked */
  function asked(): readonly Ask[] {
    if (chance(0.03)) inUse = Array.from({ length: 2 }, () => pick(families));
    const family = pick(inUse);
    const { policy, subjects } = family;
    const one = request(policy, pick(chance(0.7) ? subjects.slice(0, 2) : subjects));
    const kind = below(21);
    if (kind < 7) return [ask('consume', one)];
    if (kind < 11) {
      const together = Array.from({ length: 2 + below(14) }, (_, place) =>
        request(policy, chance(0.8) ? (subjects[place % SUBJECTS] ?? one.subject) : pick(subjects)),
      );
      return together.map((each) => ask(chance(0.9) ? 'consume' : 'peek', each));
    }
    if (kind < 15) {
      const members = [...new Set(Array.from({ length: 1 + below(4) }, () => pick(inUse)))];
      const template = members.map((member) => request(member.policy, ''));
      return Array.from({ length: 1 + below(5) }, (_, place) => {
        const subject = chance(0.9) ? place : below(SUBJECTS);
        const group = template.map((each, index) => onSubject(each, members[index]?.subjects[subject] ?? ''));
        return byHand((store) => store.consumeAll(group));
      });
    }
    if (kind === 15) return [ask('peek', one)];
    if (kind === 16) return [ask('charge', one)];
    if (kind === 17) return [ask('reward', one)];
    if (kind > 18) {
      family.policy = pick(chance(0.5) ? variants : variants.filter(({ algorithm }) => algorithm === policy.algorithm));
      return [];
    }
    if (chance(0.5) && policy.algorithm === 'concurrency') return [ask('renew', one)];
    const blockMs = pick([300, 2_000, 4_000_000_000, Infinity]);
    return [
      pick<Ask>([
        byHand((store) => store.block(one, blockMs)),
        byHand((store) => store.unblock(one)),
        byHand((store) => store.reset(one)),
      ]),
    ];
  }

  const [redis] = stores;
  for (let round = 0; round < rounds; round += 1) {
    passTime(round);
    const calls = isJump(round) ? askAll('consume') : isJump(round - 1) ? askAll('charge') : asked();
    const answers: unknown[][] = [];
    const before = await redis?.snapshot?.();
    for (const { store, setNow } of stores) {
      await setNow(now);
      answers.push(await Promise.all(calls.map(({ of }) => of(store).catch(String))));
    }
    const [one = [], other = []] = answers;
    const differs = one.findIndex((answer, place) => !isDeepStrictEqual(answer, other[place]));
    if (differs !== -1) {
      return { round, asked: String(calls[differs]?.of), answers: [one[differs], other[differs]] };
    }
    const after = await redis?.snapshot?.();
    if (before !== undefined && after !== undefined) {
      const about = calls.map((call) => call.asked);
      const wrong = wrongAbout({ before, after, nowMs: now, spareMs: SPARE_MS, asked: about, answers: one });
      if (wrong !== undefined) return { round, asked: about.map(({ key }) => key).join(' '), answers: [wrong, one] };
    }
    const [decided] = one;
    if (typeof decided === 'object' && decided !== null && 'retryAfterMs' in decided) last = decided as Decision;
  }
  return undefined;
}

function random(seed: number) {
  let state = seed;
  // mulberry32
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (bound: number): number => Math.floor(next() * bound);
  return {
    below,
    chance: (share: number): boolean => next() < share,
    pick<T>(from: readonly T[]): T {
      const picked = from[below(from.length)];
      if (picked === undefined) throw new Error('nothing to pick from');
      return picked;
    },
  };
}
