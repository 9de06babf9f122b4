import type { Queryable } from '@spillway/db';

/** A block or what happened to a breaker. */
export interface TrailEvent {
  readonly id: string;
  readonly at: Date;
  readonly kind: 'block' | 'breaker';
  /** Who was blocked, or which breaker. */
  readonly subject: string;
  /** Tier and action, or the type of the event. */
  readonly what: string;
  readonly detail: string;
}

interface Row extends TrailEvent {
  /** By Postgres' clock, in ms. */
  readonly age: number;
}

/** Events are stored a moment after they happened, so each look goes back this far, in ms. */
const USUAL_MS = 15_000;

/** After an outage of Postgres they are stored later: this far back goes a look now and then, in ms. */
const LATE_MS = 300_000;

/** How often it does, in ms. A flood of blocks makes it a look at many rows. */
const LATE_LOOK_EVERY_MS = 5_000;

const QUERY = `
  SELECT events.*, (extract(epoch FROM now() - at) * 1000)::float8 AS age
  FROM (
    SELECT id, created_at AS at, 'block' AS kind, identifier AS subject, tier || '/' || action AS what,
           mode || ' until ' || to_char(blocked_until AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS detail
    FROM public.rate_limits_v2 WHERE created_at > now() - $1::float8 * interval '1 millisecond'
    UNION ALL
    SELECT id, created_at, 'breaker', breaker_name, event_type, concat_ws(' ', preset, error_message)
    FROM public.circuit_breaker_events WHERE created_at > now() - $1::float8 * interval '1 millisecond'
  ) AS events
  ORDER BY at, id`;

/** Gives each event of the trail once, as it arrives; also those that arrive up to five minutes late. */
export class TrailTail {
  readonly #db: Queryable;
  readonly #sinceMs: number;
  /** Ids of events that were given, or were too old at the start. */
  readonly #seen = new Set<string>();
  #lastLateLook: number | undefined;

  /** @param sinceMs how old events may be that are there at the start, in ms. */
  constructor(db: Queryable, sinceMs: number) {
    this.#db = db;
    this.#sinceMs = sinceMs;
  }

  /** What arrived since the last call. */
  async next(): Promise<TrailEvent[]> {
    const started = performance.now();
    const first = this.#lastLateLook === undefined;
    const late = this.#lastLateLook === undefined || started - this.#lastLateLook >= LATE_LOOK_EVERY_MS;
    const windowMs = first ? Math.max(LATE_MS, this.#sinceMs) : late ? LATE_MS : USUAL_MS;
    const { rows } = await this.#db.query<{ [Key in keyof Row]: Row[Key] }>(QUERY, [windowMs]);
    const fresh = rows.filter(({ id, age }) => !this.#seen.has(id) && !(first && age > this.#sinceMs));
    if (late) {
      this.#lastLateLook = started;
      // What this look does not find is too old for any other to find.
      this.#seen.clear();
    }
    for (const { id } of rows) this.#seen.add(id);
    return fresh.map(({ id, at, kind, subject, what, detail }) => ({ id, at, kind, subject, what, detail }));
  }
}
