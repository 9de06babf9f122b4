import type { TestProject } from 'vitest/node';
import { type Broker, openBroker } from './broker.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Socket of the broker that lends servers to test files. */
    readonly spillwayBroker: string;
  }
}

let broker: Broker | undefined;

/** vitest's `globalSetup`: lets all test files of a run share one Postgres and a few Redis. Starts neither. */
export async function setup(project: TestProject): Promise<void> {
  const opened = await openBroker();
  broker = opened;
  project.provide('spillwayBroker', opened.address);
  project.onTestsRerun(() => opened.reset());
}

/** Stops what the run has started. */
export async function teardown(): Promise<void> {
  await broker?.close();
}
