import { setTimeout as delay } from 'node:timers/promises';

/** What `work` comes to, or an error when it takes longer than `timeoutMs`; the work goes on by itself. */
export async function withTimeout<T>(timeoutMs: number, work: Promise<T>): Promise<T> {
  const timer = new AbortController();
  const late = delay(timeoutMs, null, { signal: timer.signal, ref: false }).then(() => {
    throw new Error(`no answer within ${timeoutMs} ms`);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    timer.abort();
    late.catch(() => {});
  }
}
