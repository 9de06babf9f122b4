/**
 * How long an HTTP answer asks its client to wait, in ms from now; undefined when it doesn't say, or not in a way that
 * can be read. `Retry-After` is seconds or an HTTP date (RFC 9110, 10.2.3); a date is compared with the answer's own `Date`
 * where there is one, since the two clocks may differ. `retry-after-ms` is what some AI providers send for finer steps.
 */
export function retryAfterMs(header: (name: string) => string | undefined): number | undefined {
  const fine = header('retry-after-ms')?.trim();
  if (fine !== undefined && /^\d+(?:\.\d+)?$/.test(fine)) return Number(fine);
  const value = header('retry-after')?.trim();
  if (value === undefined) return undefined;
  if (/^\d+(?:\.\d+)?$/.test(value)) return Number(value) * 1000;
  const until = httpDate(value);
  if (until === undefined) return undefined;
  const now = httpDate(header('date') ?? '') ?? Date.now();
  return Math.max(0, until - now);
}

/** Only the three forms of HTTP: `Date.parse` alone would take nearly anything, `-5` too. */
function httpDate(text: string): number | undefined {
  if (!/^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? .*\d{2}:\d{2}:\d{2}/.test(text)) return undefined;
  // The asctime form names no zone: it is GMT, and Date.parse would take the machine's.
  const time = Date.parse(text.endsWith('GMT') ? text : `${text} GMT`);
  return Number.isNaN(time) ? undefined : time;
}
