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
