import { median } from '../quantile.ts';
import { bare } from './contenders/bare.ts';
import { cockatielConsecutive, cockatielSampling, cockatielWithTimeout } from './contenders/cockatiel.ts';
import type { Contender } from './contenders/contender.ts';
import { opossum, opossumWithoutTimeout } from './contenders/opossum.ts';
import { spillway } from './contenders/spillway.ts';

/** What a call costs in this process. */
export interface CallCost {
  readonly name: string;
  readonly timeout: Contender['timeout'];
  /** One call after the other, ns each. */
  readonly nanos: number;
  /** A hundred calls under way at once, ns each. */
  readonly nanosInFlight: number;
  /** Refused calls a second while open; NaN where nothing can open. */
  readonly refusalsPerSecond: number;
}

const ROUNDS = 5;
const CALLS = 200_000;
const IN_FLIGHT = 100;

/**
 * What calls cost while closed, and how fast they are refused while open. The contenders take turns, so that a machine
 * that slows down slows them all, and each figure is the median of its rounds.
 */
export async function inProcess(url: string): Promise<readonly CallCost[]> {
  // Running from source maps each stack to it, which makes an error thirty times dearer than it is from dist.
  process.setSourceMapsEnabled(false);
  const makers = [cockatielConsecutive, cockatielSampling, cockatielWithTimeout, opossum, opossumWithoutTimeout, bare];
  const contenders = [await spillway(url), ...makers.map((make) => make())];
  const nanos = await rounds(contenders, oneByOne);
  const nanosInFlight = await rounds(contenders, manyAtOnce);
  const breakers = contenders.slice(0, -1);
  for (const contender of breakers) await contender.open();
  const refused = await rounds(breakers, refusals);
  for (const contender of contenders) await contender.close();
  return contenders.map((contender) => ({
    name: contender.name,
    timeout: contender.timeout,
    nanos: nanos.get(contender) ?? Number.NaN,
    nanosInFlight: nanosInFlight.get(contender) ?? Number.NaN,
    refusalsPerSecond: 1e9 / (refused.get(contender) ?? Number.NaN),
  }));
}

/** The median ns of each contender; the first round warms up and isn't counted. */
async function rounds(
  contenders: readonly Contender[],
  run: (contender: Contender) => Promise<void>,
): Promise<ReadonlyMap<Contender, number>> {
  const samples = new Map<Contender, number[]>(contenders.map((contender) => [contender, []]));
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const contender of contenders) {
      const startedAt = process.hrtime.bigint();
      await run(contender);
      const each = Number(process.hrtime.bigint() - startedAt) / callsOf(contender);
      if (round > 0) samples.get(contender)?.push(each);
    }
  }
  return new Map([...samples].map(([contender, each]) => [contender, median(each)]));
}

function callsOf({ calls = CALLS }: Contender): number {
  return calls;
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
  const wanted = callsOf(contender);
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
