/**
 * Why a table was not archived, or not to the end:
 * - `preflight`: source and target don't fit together, or moving would destroy other tables' rows. Nothing was moved.
 * - `not_archivable`: there is no such source, or it has no column of time. Nothing was moved.
 * - `refused_rows`: the target refuses more rows than can be left out one by one. The others stay moved.
 * - `count_mismatch`: a batch would have stored fewer rows than it deleted. It was rolled back; those before it stay moved.
 * - `detached`: a partition has left the live table and can be attached neither to the archive nor back. Its rows are in it.
 */
export type ArchiveErrorReason = 'preflight' | 'not_archivable' | 'refused_rows' | 'count_mismatch' | 'detached';

/** A table can't be archived until a person changes something. */
export class ArchiveError extends Error {
  override readonly name: string = 'ArchiveError';
  readonly code = 'archive_error' as const;
  readonly reason: ArchiveErrorReason;
  /** The source, `schema.name`. */
  readonly table: string;
  /** One sentence for each thing to change. */
  readonly problems: readonly string[];

  constructor(reason: ArchiveErrorReason, table: string, problems: readonly string[]) {
    super(`${table}: ${problems.join('; ')}`);
    this.reason = reason;
    this.table = table;
    this.problems = problems;
  }
}
