const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `1,234`, `12.3k`, `4.5M`: short enough for a narrow column. */
export function count(value: number): string {
  if (Math.abs(value) < 10_000) return value.toLocaleString('en', { maximumFractionDigits: 0 });
  return value.toLocaleString('en', { notation: 'compact', maximumFractionDigits: 1 });
}

/** A value in its unit: milliseconds as a stretch of time, which may be negative, anything else as a number. */
export function amount(value: number, unit: string | null): string {
  if (unit !== 'ms') return count(value);
  return value < 0 ? `−${duration(-value)}` : duration(value);
}

/** A rate a second: two digits after the point when it is small. */
export function rate(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 2 : 0 });
}

/** A stretch of time in its two largest units: `3 min 20 s`, `2 d 4 h`. */
export function duration(ms: number): string {
  if (ms < SECOND) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < MINUTE)
    return `${(ms / SECOND).toLocaleString('en', { maximumFractionDigits: ms < 10 * SECOND ? 1 : 0 })} s`;
  if (ms < HOUR) return two(ms, MINUTE, 'min', SECOND, 's');
  if (ms < DAY) return two(ms, HOUR, 'h', MINUTE, 'min');
  return two(ms, DAY, 'd', HOUR, 'h');
}

function two(ms: number, large: number, largeName: string, small: number, smallName: string): string {
  const whole = Math.floor(ms / large);
  const rest = Math.floor((ms % large) / small);
  return rest === 0 ? `${whole} ${largeName}` : `${whole} ${largeName} ${rest} ${smallName}`;
}

/** `in 5 min 20 s`, `2 h ago`. */
export function relative(atMs: number, nowMs: number): string {
  const away = atMs - nowMs;
  if (away < 0) return `${roughly(-away)} ago`;
  return `in ${away < HOUR ? duration(Math.max(1, Math.round(away / SECOND)) * SECOND) : roughly(away)}`;
}

/** Where the reader is, as the browser knows it: `2026-11-29 07:30`. */
export function local(atMs: number, timeZone?: string): string {
  return stamp(atMs, timeZone).slice(0, 16);
}

/** The same moment in UTC, to the second: `2026-11-29 02:00:00 UTC`. */
export function utc(atMs: number): string {
  return `${stamp(atMs, 'UTC')} UTC`;
}

/** The time of day where the reader is: `07:30`. */
export function clock(atMs: number, timeZone?: string): string {
  return stamp(atMs, timeZone).slice(11, 16);
}

/** The same to the second: `07:30:00`. */
export function time(atMs: number, timeZone?: string): string {
  return stamp(atMs, timeZone).slice(11);
}

/** What the reader's time is called at a moment: `GMT+5:30`. */
export function zoneName(atMs: number, timeZone?: string): string {
  const parts = formatter(timeZone, { timeZoneName: 'short' }).formatToParts(atMs);
  return parts.find(({ type }) => type === 'timeZoneName')?.value ?? '';
}

const made = new Map<string, Intl.DateTimeFormat>();

/** Making one takes longer than using it a hundred times. */
function formatter(timeZone: string | undefined, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = JSON.stringify([timeZone, options]);
  let format = made.get(key);
  if (format === undefined)
    made.set(
      key,
      (format = new Intl.DateTimeFormat('en', { ...options, ...(timeZone === undefined ? {} : { timeZone }) })),
    );
  return format;
}

/** `2026-11-29 07:30:00`. */
function stamp(atMs: number, timeZone: string | undefined): string {
  const digits = '2-digit';
  const parts = formatter(timeZone, {
    year: 'numeric',
    month: digits,
    day: digits,
    hour: digits,
    minute: digits,
    second: digits,
    hourCycle: 'h23',
  }).formatToParts(atMs);
  const of = (type: string): string => parts.find((part) => part.type === type)?.value ?? '';
  return `${of('year')}-${of('month')}-${of('day')} ${of('hour')}:${of('minute')}:${of('second')}`;
}

/** A stretch of time in its largest unit, for what need not tick: `51 min`, `3 d`. Seconds while it is short. */
export function roughly(ms: number): string {
  if (ms < MINUTE) return `${Math.max(0, Math.floor(ms / SECOND))} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`;
  if (ms < DAY) return `${Math.floor(ms / HOUR)} h`;
  return `${Math.floor(ms / DAY)} d`;
}
