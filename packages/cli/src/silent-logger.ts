import type { WorkerLogger } from '@spillway/worker';

/** What goes wrong is in the command's report. */
export const silentLogger: WorkerLogger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
