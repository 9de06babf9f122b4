import type { Logger } from 'pino';

/** What the worker needs of a logger; pino's fits, and so does a child of it. */
export type WorkerLogger = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;
