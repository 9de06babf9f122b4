import { isDeepStrictEqual } from 'node:util';
import { DEFAULT_SHARDS } from '@spillway/redis';
import { capacityOf, type Policy } from '../src/algorithms/registry.ts';
import { definePolicy, type PolicyOptions } from '../src/policy.ts';
import {
  DEFAULT_ACTION,
  type LimiterStore,
  type StoreRequest,
  type StoreWindow,
  windowKeys,
} from '../src/store/store.ts';
import type { Decision } from '../src/types.ts';
import type { StoreUnderTest } from './hand-clock.ts';

/** Where two stores first disagree. */
export interface Difference {
  readonly round: number;
  readonly asked: string;
  readonly answers: readonly [unknown, unknown];
}

type Ask = (store: LimiterStore) => Promise<unknown>;

const START = Date.parse('2026-03-28T12:00:00Z');
const HOUR = 3_600_000;
/** More than half of what a log's offsets hold. All windows are used then: those that aren't would have expired. */
const LONG_AGO = 18 * 365 * 24 * HOUR;
const isJump = (round: number): boolean => round % 300 === 299;
const SUBJECTS = 5;

const variants: readonly Policy[] = (
  [
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
  ] as const
).map((options) => definePolicy({ name: 'p', ...options } as PolicyOptions));

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
      if (ends < (chance(0.05) ? 4 * HOUR : 6_000)) now += Math.max(back, ends + pick([-1, 0, 1]));
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
    return families.flatMap(({ policy, subjects }) =>
      subjects.map((subject): Ask => {
        const one = request(policy, subject);
        return (store) => store[how](one);
      }),
    );
  }

  /** @returns what is to be asked, in the order in which it is asked */
  function asked(): readonly Ask[] {
    if (chance(0.03)) inUse = Array.from({ length: 2 }, () => pick(families));
    const family = pick(inUse);
    const { policy, subjects } = family;
    const one = request(policy, pick(chance(0.7) ? subjects.slice(0, 2) : subjects));
    const kind = below(21);
    if (kind < 7) return [(store) => store.consume(one)];
    if (kind < 11) {
      const together = Array.from({ length: 2 + below(14) }, (_, place) =>
        request(policy, chance(0.8) ? (subjects[place % SUBJECTS] ?? one.subject) : pick(subjects)),
      );
      return together.map((each) => (chance(0.9) ? (store) => store.consume(each) : (store) => store.peek(each)));
    }
    if (kind < 15) {
      const members = [...new Set(Array.from({ length: 1 + below(4) }, () => pick(inUse)))];
      const template = members.map((member) => request(member.policy, ''));
      return Array.from({ length: 1 + below(5) }, (_, place) => {
        const subject = chance(0.9) ? place : below(SUBJECTS);
        const group = template.map((each, index) => onSubject(each, members[index]?.subjects[subject] ?? ''));
        return (store) => store.consumeAll(group);
      });
    }
    if (kind === 15) return [(store) => store.peek(one)];
    if (kind === 16) return [(store) => store.charge(one)];
    if (kind === 17) return [(store) => store.reward(one)];
    if (kind > 18) {
      family.policy = pick(chance(0.5) ? variants : variants.filter(({ algorithm }) => algorithm === policy.algorithm));
      return [];
    }
    if (chance(0.5) && policy.algorithm === 'concurrency') return [(store) => store.renew(one)];
    const blockMs = pick([300, 2_000, 4_000_000_000, Infinity]);
    return [
      pick<Ask>([(store) => store.block(one, blockMs), (store) => store.unblock(one), (store) => store.reset(one)]),
    ];
  }

  for (let round = 0; round < rounds; round += 1) {
    passTime(round);
    const calls = isJump(round) ? askAll('consume') : isJump(round - 1) ? askAll('charge') : asked();
    const answers: unknown[][] = [];
    for (const { store, setNow } of stores) {
      await setNow(now);
      answers.push(await Promise.all(calls.map((call) => call(store).catch(String))));
    }
    const [one = [], other = []] = answers;
    const differs = one.findIndex((answer, place) => !isDeepStrictEqual(answer, other[place]));
    if (differs !== -1) {
      return { round, asked: String(calls[differs]), answers: [one[differs], other[differs]] };
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
