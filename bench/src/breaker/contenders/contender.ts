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
export class Switch {
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
export const FAILURES_TO_OPEN = 50;
