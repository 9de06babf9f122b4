import { setTimeout as delay } from 'node:timers/promises';
import type { LivePolicies } from '@spillway/limiter';
import type { GuardedLogger } from '../guard-logger.ts';
import { applyFile, isApplied } from './apply-file.ts';
import type { PolicyFile } from './policy-file.ts';

/** How long until the next try while Redis is away, in ms. */
const RETRY_MS = 1_000;

/** What {@link takeFile} works with. */
export interface TakeFileOptions {
  readonly file: PolicyFile;
  /** Stays open: it is the caller's. */
  readonly live: LivePolicies;
  /** Who applies it, for the trail: `api:web-3`. */
  readonly actor: string;
  readonly logger: Pick<GuardedLogger, 'info' | 'warn'>;
}

/**
 * Applies a file at a program's start, in the background and until Redis is there: unless it says what the file said that was applied
 * last. So a program that starts again takes nothing back that was changed by hand meanwhile. Removes nothing.
 */
export function takeFile({ file, live, actor, logger }: TakeFileOptions): { close(): Promise<void> } {
  const stop = new AbortController();
  const facts = { file: file.name, sha256: file.sha256 };

  async function take(): Promise<void> {
    if (isApplied(file, await live.list())) {
      logger.info(facts, 'policy file: applied before');
      return;
    }
    const { set, left } = await applyFile(live, file, { by: { actor } });
    logger.info({ ...facts, set: set.length, notInFile: left.length }, 'policy file: applied');
  }

  async function untilTaken(): Promise<void> {
    while (!stop.signal.aborted) {
      try {
        return await take();
      } catch (err) {
        if (stop.signal.aborted) return;
        logger.warn({ err, ...facts }, 'policy file: not applied yet');
        await delay(RETRY_MS, undefined, { signal: stop.signal, ref: false }).catch(() => {});
      }
    }
  }

  const taken = untilTaken();
  return {
    async close() {
      stop.abort();
      await taken;
    },
  };
}
