import { timestamp } from 'drizzle-orm/pg-core';

/** Every point in time is a timestamptz: a plain `timestamp` changes meaning with the session's time zone. */
export const timestamptz = (name: string) => timestamp(name, { withTimezone: true });

/** When the row's subject came to be; the column that partitions, retention and keyset pagination go by. */
export const createdAt = () => timestamptz('created_at').notNull().defaultNow();
