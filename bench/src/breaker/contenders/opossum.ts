import CircuitBreaker from 'opossum';
import { type Contender, work } from './contender.ts';

/** opossum with its defaults, among them a timeout of 10 s. */
export function opossum(): Contender {
  return contender('opossum', 'yes', new CircuitBreaker(work, { resetTimeout: 3_600_000 }));
}

/** opossum without its timeout, which is a timer for each call. */
export function opossumWithoutTimeout(): Contender {
  return contender('opossum, timeout off', 'no', new CircuitBreaker(work, { resetTimeout: 3_600_000, timeout: false }));
}

function contender(name: string, timeout: Contender['timeout'], breaker: CircuitBreaker<[], number>): Contender {
  return {
    name,
    timeout,
    call: () => breaker.fire(),
    open: async () => breaker.open(),
    close: async () => breaker.shutdown(),
  };
}
