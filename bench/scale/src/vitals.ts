import { readdirSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What a process holds. */
export interface Vitals {
  /** Bytes of the heap and of buffers that are in use, after a full garbage collection. */
  readonly liveBytes: number;
  readonly rssBytes: number;
  /** Files and sockets that are open; 0 where that can't be read (no /proc). */
  readonly openFiles: number;
}

setFlagsFromString('--expose-gc');
const collectGarbage: unknown = runInNewContext('gc');

/** Of this process. */
export function readVitals(): Vitals {
  if (typeof collectGarbage === 'function') collectGarbage();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { liveBytes: heapUsed + external, rssBytes: rss, openFiles: openFiles() };
}

function openFiles(): number {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return 0;
  }
}
