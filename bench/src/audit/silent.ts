import type { WorkerLogger } from '@spillway/worker';

const ignore = (): void => {};

/** Logs nothing: what a log costs is no part of what is measured. */
export const silent: WorkerLogger = { debug: ignore, info: ignore, warn: ignore, error: ignore };
