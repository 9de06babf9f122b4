import type { Breakers } from '@spillway/breaker';

/** What the API asks of the breakers. A change holds for the whole fleet. */
export type BreakerControl = Pick<Breakers, 'get'>;
