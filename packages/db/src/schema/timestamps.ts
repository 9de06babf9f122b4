import { type SQL, sql } from 'drizzle-orm';
import { customType, timestamp } from 'drizzle-orm/pg-core';

/** Every point in time is a timestamptz: a plain `timestamp` changes meaning with the session's time zone. */
export const timestamptz = (name: string) => timestamp(name, { withTimezone: true });

/** When the row's subject came to be; the column that partitions, retention and keyset pagination go by. */
export const createdAt = () => timestamptz('created_at').notNull().defaultNow();

/**
 * A timestamptz as epoch milliseconds, with decimals for the microseconds and `Infinity` for no end. A Date holds neither: it
 * drops the microseconds, and of 'infinity' it makes an invalid date.
 */
export const epochMs = customType<{ data: number; driverData: string }>({
  dataType: () => 'timestamp with time zone',
  toDriver: (ms) => sql`to_timestamp(${ms}::float8 / 1000)`,
  fromDriver: parseTimestamptz,
});

/** By Postgres' clock. */
export const now: SQL = sql`now()`;

/** {@link createdAt} as epoch milliseconds. */
export const createdAtMs = () => epochMs('created_at').notNull().default(now);

const ISO = /^(\d{4,6}-\d\d-\d\d) (\d\d:\d\d:\d\d)(\.\d+)?([+-]\d\d)(?::(\d\d))?(?::(\d\d))?$/u;

/** Reads what Postgres writes with DateStyle ISO, its default. */
function parseTimestamptz(text: string): number {
  if (text === 'infinity') return Number.POSITIVE_INFINITY;
  if (text === '-infinity') return Number.NEGATIVE_INFINITY;
  const [, date = '', time, fraction = '0', hours, minutes = '0', seconds = '0'] = ISO.exec(text) ?? [];
  if (hours === undefined) throw new RangeError(`no timestamptz of DateStyle ISO: ${text}`);
  const offsetS = Number(hours) * 3_600 + (hours.startsWith('-') ? -1 : 1) * (Number(minutes) * 60 + Number(seconds));
  const year = date.length > 10 ? `+${date.padStart(12, '0')}` : date;
  return Date.parse(`${year}T${time}Z`) + Number(fraction) * 1_000 - offsetS * 1_000;
}
