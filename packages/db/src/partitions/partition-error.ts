/**
 * Why a partition could not be made:
 * - `not_partitioned`: the table is missing or isn't partitioned by RANGE.
 * - `unsupported_key`: the key isn't one column of type timestamptz, timestamp or date.
 * - `name_too_long`: Postgres would cut the partition's name.
 * - `name_taken`: a table of that name exists and isn't a partition for that month.
 * - `overlap`: an existing partition holds a part of the month.
 * - `default_partition`: the DEFAULT partition has rows of the month, or keeps others from being detached.
 * - `lock_timeout`: the locks weren't free at any attempt; trying later will do.
 */
export type PartitionErrorReason =
  | 'not_partitioned'
  | 'unsupported_key'
  | 'name_too_long'
  | 'name_taken'
  | 'overlap'
  | 'default_partition'
  | 'lock_timeout';

/** A partition could not be made or taken out. What was done before stays. */
export class PartitionError extends Error {
  override readonly name: string = 'PartitionError';
  readonly code = 'partition_error' as const;
  readonly reason: PartitionErrorReason;
  /** The partitioned table, `schema.name`. */
  readonly table: string;

  constructor(reason: PartitionErrorReason, table: string, message: string, options?: ErrorOptions) {
    super(`${table}: ${message}`, options);
    this.reason = reason;
    this.table = table;
  }
}
