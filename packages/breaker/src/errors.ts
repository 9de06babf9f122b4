/** An option or argument that can't be used. Thrown at construction, or before the function is called. */
export class BreakerInputError extends Error {
  readonly code = 'invalid_input';
  override readonly name = 'BreakerInputError';
  /** The option or argument, as the caller knows it. */
  readonly field: string;
  /** What is wrong with its value, without the field's name. */
  readonly problem: string;

  constructor(field: string, problem: string) {
    super(`${field} ${problem}`);
    this.field = field;
    this.problem = problem;
  }
}

/** The states in which calls may be refused. */
export type RefusingState = 'open' | 'half_open' | 'forced_open';

/** What {@link CircuitOpenError} tells. */
export interface Refusal {
  /** The breaker's name. */
  readonly breaker: string;
  readonly preset: string;
  readonly state: RefusingState;
  /** After how many ms it is worth asking again; `Infinity` when forced open without an end. */
  readonly retryAfterMs: number;
}

/** The function wasn't called: its breaker is open, or half-open with every probe taken. */
export class CircuitOpenError extends Error {
  readonly code = 'circuit_open';
  override readonly name = 'CircuitOpenError';
  readonly breaker: string;
  readonly preset: string;
  readonly state: RefusingState;
  /** After how many ms it is worth asking again; `Infinity` when forced open without an end. */
  readonly retryAfterMs: number;

  constructor({ breaker, preset, state, retryAfterMs }: Refusal) {
    super(`circuit ${preset}/${breaker} is ${state.replace('_', ' ')}`);
    this.breaker = breaker;
    this.preset = preset;
    this.state = state;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The function, or the body of its response, took longer than its preset allows. */
export class CallTimeoutError extends Error {
  readonly code = 'call_timeout';
  override readonly name = 'CallTimeoutError';
  readonly timeoutMs: number;

  constructor(timeoutMs: number) {
    super(`the call took longer than ${timeoutMs} ms`);
    this.timeoutMs = timeoutMs;
  }
}

/** How a bad value reads in a message: short, and never the whole of a long one. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === 'number' || typeof value === 'boolean' || value == null) return String(value);
  return `a value of type ${typeof value}`;
}
