import { createBreakers } from '@spillway/breaker';
import { hotPathOptions } from '@spillway/redis';
import {
  circuitBreaker,
  ConsecutiveBreaker,
  handleAll,
  type IPolicy,
  SamplingBreaker,
  timeout,
  TimeoutStrategy,
  wrap,
} from 'cockatiel';
import { Redis } from 'ioredis';
import CircuitBreaker from 'opossum';

/** A breaker around a function, on the same terms for all. */
export interface Contender {
  readonly name: string;
  /** Calls a round, for one that would take minutes otherwise. @default 20_000 */
  readonly calls?: number;
  /** Whether it gives up on a function that hangs. */
  readonly timeout: 'yes' | 'no';
  /** Calls the function through the breaker. */
  call(): Promise<unknown>;
  /** From now on calls are refused. */
  open(): Promise<void>;
  close(): Promise<void>;
}

/** The function that all of them guard: it costs next to nothing, so that the breaker's own cost shows. */
export const work = async (): Promise<number> => 1;

/** What opens a breaker by failing: rejects until it has been told to work again. */
class Switch {
  private fails = false;

  readonly run = async (): Promise<number> => {
    if (this.fails) throw new Error('the dependency is down');
    return 1;
  };

  fail(): void {
    this.fails = true;
  }
}

/** Far more failures than any contender needs to open. */
const FAILURES_TO_OPEN = 50;

/** Spillway with its defaults: a built-in preset, a timeout of 2 minutes, the state shared through Redis. */
export async function spillway(url: string): Promise<Contender> {
  const redis = new Redis(url, hotPathOptions);
  redis.on('error', () => undefined);
  const breakers = createBreakers({ redis });
  const dependency = new Switch();
  // Of this process alone: what one before it left open is open in the fleet.
  const name = `bench-${process.pid}`;
  const call = (): Promise<number> => breakers.run(name, 'ai_provider', dependency.run);
  return {
    name: 'Spillway',
    timeout: 'yes',
    call,
    open: async () => {
      dependency.fail();
      for (let made = 0; made < FAILURES_TO_OPEN; made += 1) await call().catch(() => undefined);
    },
    close: async () => {
      await breakers.close();
      redis.disconnect();
    },
  };
}

const HOUR_MS = 3_600_000;

/** cockatiel's breaker that counts failures in a row. */
export function cockatielConsecutive(): Contender {
  return cockatielContender('cockatiel ConsecutiveBreaker', 'no', cockatielBreaker(new ConsecutiveBreaker(5)));
}

/** cockatiel's breaker that measures a share over half a minute. */
export function cockatielSampling(): Contender {
  return cockatielContender('cockatiel SamplingBreaker', 'no', cockatielBreaker(sampling()));
}

/** The same with cockatiel's timeout inside, which makes an AbortSignal for each call. */
export function cockatielWithTimeout(): Contender {
  const policy = wrap(cockatielBreaker(sampling()), timeout(60_000, TimeoutStrategy.Aggressive));
  return { ...cockatielContender('cockatiel SamplingBreaker + timeout', 'yes', policy), calls: 1_000 };
}

function sampling(): SamplingBreaker {
  return new SamplingBreaker({ threshold: 0.2, duration: 30_000, minimumRps: 1 / 30 });
}

function cockatielBreaker(how: ConsecutiveBreaker | SamplingBreaker) {
  return circuitBreaker(handleAll, { halfOpenAfter: HOUR_MS, breaker: how });
}

function cockatielContender(name: string, hasTimeout: Contender['timeout'], policy: IPolicy): Contender {
  const dependency = new Switch();
  return {
    name,
    timeout: hasTimeout,
    call: () => policy.execute(dependency.run),
    open: async () => {
      dependency.fail();
      for (let call = 0; call < FAILURES_TO_OPEN; call += 1)
        await policy.execute(dependency.run).catch(() => undefined);
    },
    close: async () => undefined,
  };
}

/** opossum with its defaults, among them a timeout of 10 s. */
export function opossum(): Contender {
  return opossumContender('opossum', 'yes', new CircuitBreaker(work, { resetTimeout: 3_600_000 }));
}

/** opossum without its timeout, which is a timer for each call. */
export function opossumWithoutTimeout(): Contender {
  return opossumContender(
    'opossum, timeout off',
    'no',
    new CircuitBreaker(work, { resetTimeout: 3_600_000, timeout: false }),
  );
}

function opossumContender(
  name: string,
  hasTimeout: Contender['timeout'],
  breaker: CircuitBreaker<[], number>,
): Contender {
  return {
    name,
    timeout: hasTimeout,
    call: () => breaker.fire(),
    open: async () => breaker.open(),
    close: async () => breaker.shutdown(),
  };
}

/** No breaker at all: what awaiting the function costs. */
export function bare(): Contender {
  return {
    name: 'bare async call',
    timeout: 'no',
    call: work,
    open: async () => Promise.reject(new Error('there is nothing to open')),
    close: async () => undefined,
  };
}
