import { type Contender, work } from './contender.ts';

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
