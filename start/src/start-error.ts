import { maskValues } from '@spillway/runtime';

/** A step of the start failed. The message names the step and what went wrong; `cause` is the error itself. */
export class StartError extends Error {
  readonly code = 'start_failed';
  override readonly name = 'StartError';
  readonly step: string;

  constructor(step: string, cause: unknown) {
    super(`${step}: ${reasonOf(cause)}`, { cause });
    this.step = step;
  }
}

/** Runs a step; what it rejects with becomes a {@link StartError}. */
export async function inStep<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new StartError(name, error);
  }
}

/** A refused connection to a name with two addresses is an AggregateError without a message. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return reasonOf(error.errors[0]);
  return maskValues(error instanceof Error ? error.message : String(error));
}
