import type { LogLevel } from '@spillway/runtime';
import type { Logger } from 'pino';
import { createLogger } from '../src/logger.ts';

/** A logger whose lines can be looked at. */
export interface MemoryLog {
  readonly logger: Logger;
  /** Everything logged so far, as it was written. */
  text(): string;
  lines(): Record<string, unknown>[];
}

/** Makes a logger that keeps its lines in memory. */
export function memoryLog(level: LogLevel = 'debug'): MemoryLog {
  const written: string[] = [];
  return {
    logger: createLogger({ name: 'test', level }, { write: (line) => written.push(line) }),
    text: () => written.join(''),
    lines: () => written.map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}
