import { isReady, type RedisClient } from './client.ts';
import { defineScript } from './script.ts';
import { gap as gapLua } from './scripts.generated.ts';
import { shardTag } from './shard-of.ts';
import { settleWithin } from './instances.ts';
import { checkKeyName, checkWhole } from './option-checks.ts';

/** What {@link outageReporter} needs. */
export interface OutageReporterOptions {
  readonly client: RedisClient;
  /** Kind of the gap in the trail, such as `limiter_outage`: lower-case letters, digits, `_` and `-`, up to 64. */
  readonly kind: string;
  /** Who reports; unique among all instances. */
  readonly instance: string;
  /** Most events that may wait in a shard's outbox; 0: there is no trail, and nothing is counted. */
  readonly outboxCap: number;
  /** How often it tries to report while there is something to report, 1 to 3,600,000 ms. @default 1_000 */
  readonly intervalMs?: number;
  /** @default none */
  readonly namespace?: string;
}

/** Counts decisions without Redis, and records them in the trail when Redis is available again. */
export interface OutageReporter {
  /** Decisions were made without Redis. `answer` is what they said, such as `open`. @param howMany @default 1 */
  count(answer: string, howMany?: number): void;
  /** Reports what is left, if Redis takes it within half a second. */
  close(): Promise<void>;
}

const GOODBYE_MS = 500;

const gap = defineScript(gapLua, (reply) => reply === 1);

/** A stretch of decisions without Redis; times are those of `performance.now()`. */
interface Stretch {
  readonly number: number;
  readonly since: number;
  until: number;
  readonly counts: Map<string, number>;
}

/**
 * Makes an {@link OutageReporter}. All instances that report one outage make one gap (gap.lua). A report without a reply is
 * sent again under the same number, so that it counts once. It keeps one counter per answer, for an outage of any length.
 * @throws {RedisOptionError}
 */
export function outageReporter(options: OutageReporterOptions): OutageReporter {
  const { client, kind, instance, outboxCap, intervalMs = 1_000, namespace } = options;
  checkKeyName('kind', kind);
  checkWhole('intervalMs', intervalMs, 1, 3_600_000);
  const key = `${shardTag(0, namespace)}:outage:${kind}`;
  let number = 0;
  let current: Stretch | undefined;
  let unanswered: Stretch | undefined;
  let reporting: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  function arm(): void {
    if (closed) return;
    timer ??= setTimeout(() => {
      timer = undefined;
      report();
    }, intervalMs).unref();
  }

  function report(): void {
    if (isReady(client)) reporting ??= send().finally(() => (reporting = undefined));
    if (unanswered !== undefined || current !== undefined) arm();
  }

  async function send(): Promise<void> {
    unanswered ??= current;
    if (unanswered === undefined) return;
    if (unanswered === current) current = undefined;
    const { number: reportNumber, since, until, counts } = unanswered;
    const now = performance.now();
    const ago = [since, until].map((at) => Math.round(now - at));
    try {
      const done = await gap.run(
        client,
        [key],
        [outboxCap, kind, instance, reportNumber, ...ago, ...[...counts].flat()],
      );
      if (done) unanswered = undefined;
    } catch {
      // Away again, or out of memory: kept, and sent again.
    }
  }

  return {
    count(answer, howMany = 1) {
      if (outboxCap === 0) return;
      const now = performance.now();
      current ??= { number: (number += 1), since: now, until: now, counts: new Map() };
      current.until = now;
      current.counts.set(answer, (current.counts.get(answer) ?? 0) + howMany);
      arm();
    },
    async close() {
      closed = true;
      clearTimeout(timer);
      if (unanswered === undefined && current === undefined) return;
      report();
      if (reporting !== undefined) await settleWithin(GOODBYE_MS, reporting);
    },
  };
}
