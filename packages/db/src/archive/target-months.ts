import type { Connection } from '../connection/connection.ts';
import { ensurePartitions } from '../partitions/ensure-partitions.ts';
import { monthsFrom, type Period } from '../partitions/period.ts';
import { PartitionError } from '../partitions/partition-error.ts';
import type { CompleteArchiveTable } from './archive-table.ts';
import { monthsToArchive } from './months-to-archive.ts';
import type { Preflight } from './preflight.ts';

/** The months of the target that rows need. One that can't be made keeps no other from moving. */
export class TargetMonths {
  /** Partitions made. */
  readonly created: string[] = [];
  /** Months whose rows have no place in the target and stay. */
  readonly missing: Period[] = [];
  /** A sentence for each month that is not as it should be. */
  readonly warnings: string[] = [];
  readonly #connection: Connection;
  readonly #table: CompleteArchiveTable;
  readonly #preflight: Preflight;
  readonly #cutoff: string;
  /** Suffixes of months that were tried. */
  readonly #failed = new Set<string>();

  constructor(connection: Connection, table: CompleteArchiveTable, preflight: Preflight, cutoff: string) {
    this.#connection = connection;
    this.#table = table;
    this.#preflight = preflight;
    this.#cutoff = cutoff;
  }

  /** Makes those that are missing. */
  async ensure(): Promise<void> {
    if (!this.#preflight.partitioned) return;
    for (const now of await monthsToArchive(this.#connection, this.#table, this.#preflight, this.#cutoff)) {
      const [month] = monthsFrom(now, 0);
      if (month === undefined || this.#failed.has(month.suffix)) continue;
      try {
        const { created } = await ensurePartitions(this.#connection, {
          table: this.#table.target,
          now,
          monthsAhead: 0,
        });
        this.created.push(...created);
      } catch (error) {
        this.#note(month, error);
      }
    }
  }

  #note(month: Period, error: unknown): void {
    if (!(error instanceof PartitionError)) throw error;
    this.#failed.add(month.suffix);
    if (error.reason === 'default_partition') {
      const { schema, name } = this.#table.target;
      this.warnings.push(
        `rows of ${month.suffix} go into the DEFAULT partition of ${schema}.${name}, which has some of that month`,
      );
      return;
    }
    this.missing.push(month);
    this.warnings.push(`rows of ${month.suffix} stay: ${error.message}`);
  }
}
