import { setTimeout as delay } from 'node:timers/promises';
import { Command, InvalidArgumentError } from '@commander-js/extra-typings';
import { type Queryable, type RecentEvent, recentEvents } from '@spillway/db';
import { type CliContext, printable } from '../../cli-context.ts';
import { withPool } from '../../connections.ts';
import { gapsCommand, resolveCommand, reconcileCommand } from './gaps.ts';
import { replayCommand } from './replay.ts';

/** `spillway audit tail`. */
export function tailCommand(context: CliContext): Command<[], { since: number; interval: number }> {
  const { output, signal } = context;
  return new Command('tail')
    .description('show blocks and breaker events as they arrive, until Ctrl-C')
    .option('--since <seconds>', 'start with the events of the last seconds', whole, 0)
    .option('--interval <ms>', 'time between two queries', whole, 500)
    .addHelpText('after', '\nNeeds DATABASE_URL. With --json each event is a line.')
    .action(async ({ since, interval }) =>
      withPool(context, async (pool) => {
        const tail = new TrailTail(pool, since * 1_000);
        while (!signal.aborted) {
          for (const event of await tail.next()) output.result(event, line(event));
          await delay(interval, null, { signal }).catch(() => null);
        }
      }),
    );
}

function line({ at, kind, subject, what, detail }: TrailEvent): string {
  return [at.toISOString(), kind, subject, what, detail].map(printable).join('  ');
}

function whole(value: string): number {
  if (!/^\d{1,9}$/u.test(value)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(value);
}

/** A block or what happened to a breaker. */
export interface TrailEvent extends Omit<RecentEvent, 'atMs' | 'ageMs'> {
  readonly at: Date;
}

/** Events are stored a moment after they happened, so each look goes back this far, in ms. */
const USUAL_MS = 15_000;

/** After an outage of Postgres they are stored later: this far back goes a look now and then, in ms. */
const LATE_MS = 300_000;

/** How often it does, in ms. A flood of blocks makes it a look at many rows. */
const LATE_LOOK_EVERY_MS = 5_000;

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
    const rows = await recentEvents(this.#db, windowMs);
    const fresh = rows.filter(({ id, ageMs }) => !this.#seen.has(id) && !(first && ageMs > this.#sinceMs));
    if (late) {
      this.#lastLateLook = started;
      // What this look does not find is too old for any other to find.
      this.#seen.clear();
    }
    for (const { id } of rows) this.#seen.add(id);
    return fresh.map(({ id, atMs, kind, subject, what, detail }) => ({
      id,
      at: new Date(atMs),
      kind,
      subject,
      what,
      detail,
    }));
  }
}

/** `spillway audit`. */
export function auditCommand(context: CliContext): Command {
  return new Command('audit')
    .description('inspect and repair the audit trail')
    .addCommand(tailCommand(context))
    .addCommand(replayCommand(context))
    .addCommand(reconcileCommand(context))
    .addCommand(gapsCommand(context))
    .addCommand(resolveCommand(context));
}
