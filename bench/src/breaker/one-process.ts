/*
 * Measures calls in a process of its own: run with the URL of a Redis. Prints what `inProcess` found, as JSON.
 */
import { median } from '../section.ts';
import {
  bare,
  cockatielConsecutive,
  cockatielSampling,
  cockatielWithTimeout,
  type Contender,
  opossum,
  opossumWithoutTimeout,
  spillway,
} from './contenders.ts';

/** What a call costs in this process. */
export interface CallCost {
  readonly name: string;
  readonly timeout: Contender['timeout'];
  /** One call after the other, ns each. */
  readonly nanos: number;
  /** A hundred calls under way at once, ns each. */
  readonly nanosInFlight: number;
  /** {@link nanos} against Spillway's: the median of the rounds' own ratios. */
  readonly nanosRatio: number;
  /** Refused calls a second while open; NaN where nothing can open. */
  readonly refusalsPerSecond: number;
  /** Time a refusal against Spillway's, like {@link nanosRatio}. */
  readonly refusalRatio: number;
}

/** Odd, so that a median is one of the rounds. */
const ROUNDS = 21;
const WARM_UP_ROUNDS = 5;
const CALLS = 20_000;
/** A refusal is some twenty times dearer. */
const REFUSALS = 4_000;
const IN_FLIGHT = 100;

/**
 * What calls cost while closed, and how fast they are refused while open. Rounds are short and contenders take turns within
 * each, forwards and backwards, so that a machine that slows down slows neighbours alike; ratios are taken within a round.
 */
async function inProcess(url: string): Promise<readonly CallCost[]> {
  // Running from source maps each stack to it, which makes an error thirty times dearer than it is from dist.
  process.setSourceMapsEnabled(false);
  const makers = [cockatielConsecutive, cockatielSampling, cockatielWithTimeout, opossum, opossumWithoutTimeout, bare];
  const ours = await spillway(url);
  const contenders = [ours, ...makers.map((make) => make())];
  const alone = await rounds(contenders, oneByOne, callsOf);
  const inFlight = await rounds(contenders, manyAtOnce, callsOf);
  const breakers = contenders.slice(0, -1);
  for (const contender of breakers) await contender.open();
  const refused = await rounds(breakers, refusals, refusalsOf);
  for (const contender of contenders) await contender.close();
  return contenders.map((contender) => ({
    name: contender.name,
    timeout: contender.timeout,
    nanos: median(alone.get(contender) ?? []),
    nanosInFlight: median(inFlight.get(contender) ?? []),
    nanosRatio: ratio(alone, contender, ours),
    refusalsPerSecond: 1e9 / median(refused.get(contender) ?? []),
    refusalRatio: ratio(refused, contender, ours),
  }));
}

/** The ns a call of each contender, by round. */
type Samples = ReadonlyMap<Contender, readonly number[]>;

async function rounds(
  contenders: readonly Contender[],
  run: (contender: Contender) => Promise<void>,
  count: (contender: Contender) => number,
): Promise<Samples> {
  const samples = new Map<Contender, number[]>(contenders.map((contender) => [contender, []]));
  for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round += 1) {
    for (const contender of round % 2 === 0 ? contenders : contenders.toReversed()) {
      const startedAt = process.hrtime.bigint();
      await run(contender);
      const each = Number(process.hrtime.bigint() - startedAt) / count(contender);
      if (round >= 0) samples.get(contender)?.push(each);
    }
  }
  return samples;
}

function ratio(samples: Samples, one: Contender, other: Contender): number {
  const others = samples.get(other) ?? [];
  return median((samples.get(one) ?? []).map((nanos, round) => nanos / (others[round] ?? Number.NaN)));
}

function callsOf({ calls = CALLS }: Contender): number {
  return calls;
}

function refusalsOf(contender: Contender): number {
  return Math.min(REFUSALS, callsOf(contender));
}

async function oneByOne(contender: Contender): Promise<void> {
  const calls = callsOf(contender);
  for (let call = 0; call < calls; call += 1) await contender.call();
}

async function manyAtOnce(contender: Contender): Promise<void> {
  const calls: Promise<unknown>[] = [];
  for (let done = 0; done < callsOf(contender); done += IN_FLIGHT) {
    for (let call = 0; call < IN_FLIGHT; call += 1) calls[call] = contender.call();
    await Promise.all(calls);
  }
}

async function refusals(contender: Contender): Promise<void> {
  const wanted = refusalsOf(contender);
  let refused = 0;
  for (let call = 0; call < wanted; call += 1) {
    try {
      await contender.call();
    } catch {
      refused += 1;
    }
  }
  if (refused !== wanted) throw new Error(`${contender.name} let ${wanted - refused} calls through while open`);
}

const [redisUrl = ''] = process.argv.slice(2);
// NaN has no JSON: what can't be measured is null.
process.stdout.write(JSON.stringify(await inProcess(redisUrl)));
