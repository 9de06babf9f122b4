/**
 * Why a data directory can't be used:
 * - `in_use`: another copy runs on it, or what a crashed one left behind still does.
 * - `not_ours`: it holds something, and not ours. It might be wiped one day, so it must be.
 */
export type DataDirectoryErrorReason = 'in_use' | 'not_ours';

/** The data directory can't be used; nothing in it was touched. */
export class DataDirectoryError extends Error {
  readonly code = 'data_directory';
  override readonly name = 'DataDirectoryError';
  readonly reason: DataDirectoryErrorReason;
  readonly path: string;

  constructor(reason: DataDirectoryErrorReason, path: string, detail: string) {
    const way = reason === 'in_use' ? 'Stop it, or set SPILLWAY_DATA_DIR' : 'Set SPILLWAY_DATA_DIR';
    super(`${path}: ${detail}. ${way} to another directory.`);
    this.reason = reason;
    this.path = path;
  }
}
