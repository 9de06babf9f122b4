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
import { type Contender, FAILURES_TO_OPEN, Switch } from './contender.ts';

const HOUR_MS = 3_600_000;

/** cockatiel's breaker that counts failures in a row. */
export function cockatielConsecutive(): Contender {
  return contender('cockatiel ConsecutiveBreaker', 'no', breaker(new ConsecutiveBreaker(5)));
}

/** cockatiel's breaker that measures a share over half a minute. */
export function cockatielSampling(): Contender {
  return contender('cockatiel SamplingBreaker', 'no', breaker(sampling()));
}

/** The same with cockatiel's timeout inside, which makes an AbortSignal for each call. */
export function cockatielWithTimeout(): Contender {
  const policy = wrap(breaker(sampling()), timeout(60_000, TimeoutStrategy.Aggressive));
  return { ...contender('cockatiel SamplingBreaker + timeout', 'yes', policy), calls: 1_000 };
}

function sampling(): SamplingBreaker {
  return new SamplingBreaker({ threshold: 0.2, duration: 30_000, minimumRps: 1 / 30 });
}

function breaker(how: ConsecutiveBreaker | SamplingBreaker) {
  return circuitBreaker(handleAll, { halfOpenAfter: HOUR_MS, breaker: how });
}

function contender(name: string, hasTimeout: Contender['timeout'], policy: IPolicy): Contender {
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
