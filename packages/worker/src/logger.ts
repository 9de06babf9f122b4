import type { GuardedLogger } from '@spillway/config';

/**
 * What the worker needs of a logger; pino's fits, and so does a child of it. Errors are given to it as facts, without
 * arguments of commands and values of rows, and a fault that repeats is logged a few times in ten seconds.
 */
export type WorkerLogger = GuardedLogger;
