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

/** What was started, and how to undo it. */
export interface Teardown {
  /** Adds a step. Steps run in the reverse order of this. */
  add(name: string, undo: () => Promise<void>): void;
  /** Runs all steps, once, however often it is called. A step that fails doesn't keep the others from running. */
  run(): Promise<void>;
}

/** Makes an empty one. @param onFailure told about each step that rejected */
export function createTeardown(onFailure: (name: string, error: unknown) => void): Teardown {
  const steps: { readonly name: string; readonly undo: () => Promise<void> }[] = [];
  const undoAll = async (): Promise<void> => {
    for (let step = steps.pop(); step !== undefined; step = steps.pop()) {
      try {
        await step.undo();
      } catch (error) {
        onFailure(step.name, error);
      }
    }
  };
  // A step that is added while the others run, by a start that was overtaken by a signal, is run too.
  let running: Promise<void> = Promise.resolve();
  return {
    add: (name, undo) => void steps.push({ name, undo }),
    run: () => (running = running.then(undoAll)),
  };
}
