import { setTimeout as sleep } from 'node:timers/promises';
import { lockCreators } from '../partitions/attach-partition.ts';
import { label, qualified } from '../partitions/partitioned-table.ts';
import { adoptPartition, clearTarget, UnfitError } from './adopt-partition.ts';
import { type CompleteArchiveTable, ArchiveError } from './archive-table.ts';
import { beginMove, endMove, type PartitionMove, readPlace } from './partition-moves.ts';
import { type RangePartition, readBound, within } from './source-partitions.ts';
import { type Connection, transaction } from '../connection.ts';
import { sqlState } from '../errors.ts';

/** What became of a partition. `unfit`: its rows have to move one by one. `late`: the next run goes on with it. */
export type Moved =
  | { readonly kind: 'moved'; readonly partition: string; readonly rows: number; readonly durationMs: number }
  | { readonly kind: 'unfit' | 'late'; readonly why: string }
  | { readonly kind: 'gone' };

/** What moving partitions of a table takes. */
export interface PartitionMover {
  readonly connection: Connection;
  /** Its `where` is one that Postgres has understood. */
  readonly table: CompleteArchiveTable;
  readonly timestampType: string;
  /** The live table has a DEFAULT partition, beside which Postgres detaches nothing CONCURRENTLY. */
  readonly hasDefault: boolean;
  /** Whether to give up waiting. */
  readonly over: () => boolean;
  readonly record: ((rows: number) => Promise<void>) | undefined;
}

/** Tries of one partition, the longest wait of one for a lock and the pause between them, in milliseconds. */
const ATTEMPTS = 20;
const LOCK_TIMEOUT_MS = 500;
const RETRY_DELAY_MS = 250;
/** A statement that its timeout ended has waited long already. */
const TIMEOUTS = 3;

/** Another process has moved it a moment ago. */
const UNDEFINED_TABLE = '42P01';

const settings = { lockTimeoutMs: LOCK_TIMEOUT_MS, timeZone: 'UTC' };

/**
 * Takes a partition out of the live table and makes it one of the archive's, without touching its rows.
 *
 * What is tried first on a copy without rows would fail later too, and nothing has happened. Then a row of partition_moves says
 * what is under way; DETACH CONCURRENTLY keeps neither readers nor writers of the live table waiting; and one transaction
 * counts the rows, attaches the table to the archive, counts again and deletes that row. Whatever dies: the catalog says where
 * the partition is, and the next run goes on from there. Between the two its rows are in neither table, for as long as counting
 * takes. A partition that turns out not to fit then goes back.
 */
export async function movePartition(mover: PartitionMover, partition: RangePartition): Promise<Moved> {
  const { connection, table } = mover;
  const failed = await rehearse(mover, partition);
  if (failed !== undefined) return failed;
  await beginMove(connection, table, partition);
  return finishMove(mover, partition);
}

/** Goes on with a move from wherever it is. */
export async function finishMove(mover: PartitionMover, move: PartitionMove): Promise<Moved> {
  const { connection, table } = mover;
  for (let attempt = 1, timeouts = 0; ; attempt += 1) {
    const place = await readPlace(connection, move, table.source);
    try {
      switch (place) {
        case 'attached':
        case 'detaching':
          await detach(mover, move, place === 'detaching');
          break;
        case 'loose':
          await dropForeignKeys(connection, move);
          return await attach(mover, move);
        default:
          // Dropped, or moved by another process.
          await endMove(connection, move);
          return { kind: 'gone' };
      }
    } catch (error) {
      if (!isPassing(error) && sqlState(error) !== UNDEFINED_TABLE) return giveBack(mover, move, place, error);
      timeouts += sqlState(error) === '57014' ? 1 : 0;
      if (attempt >= ATTEMPTS || timeouts >= TIMEOUTS || mover.over()) {
        if (place === 'attached') await endMoveIfAttached(mover, move);
        return { kind: 'late', why: `${place ?? ''}, ${messageOf(error)}` };
      }
      await sleep(RETRY_DELAY_MS);
    }
  }
}

/** Tries everything but the rows, in a transaction that is rolled back. Makes room in the archive when it succeeds. */
async function rehearse(mover: PartitionMover, partition: RangePartition): Promise<Moved | undefined> {
  const { connection, table } = mover;
  const rolledBack = new Error('rolled back');
  const inTarget = async (work: () => Promise<void>): Promise<void> =>
    transaction(connection, settings, async () => {
      await connection.query(`SELECT set_config('row_security', 'off', true)`);
      await lockCreators(connection, table.target);
      await clearTarget(connection, table, partition);
      await work();
    });
  const trial = { schema: table.target.schema, name: `spillway_trial_${process.pid}` };
  for (let attempt = 1; ; attempt += 1) {
    try {
      await inTarget(async () => {
        const like = `LIKE ${qualified(connection, partition)} INCLUDING ALL`;
        await connection.query(`CREATE TABLE ${qualified(connection, trial)} (${like})`);
        await adoptPartition(connection, table, trial, partition);
        throw rolledBack;
      }).catch((error: unknown) => {
        if (error !== rolledBack) throw error;
      });
      await inTarget(async () => {});
      return undefined;
    } catch (error) {
      if (isPassing(error)) {
        if (attempt >= ATTEMPTS || mover.over()) return { kind: 'late', why: messageOf(error) };
        await sleep(RETRY_DELAY_MS);
      } else if (sqlState(error) === UNDEFINED_TABLE) return { kind: 'gone' };
      else if (isUnfit(error)) return { kind: 'unfit', why: messageOf(error) };
      else throw error;
    }
  }
}

async function detach(
  { connection, table, hasDefault }: PartitionMover,
  move: PartitionMove,
  begun: boolean,
): Promise<void> {
  const statement = `ALTER TABLE ${qualified(connection, table.source)} DETACH PARTITION ${qualified(connection, move)}`;
  // Without CONCURRENTLY it changes the catalog and nothing else, but statements that arrive meanwhile wait as long as it does.
  if (hasDefault && !begun)
    await transaction(connection, settings, async () => void (await connection.query(statement)));
  else await connection.query(`${statement} ${begun ? 'FINALIZE' : 'CONCURRENTLY'}`);
}

/** An archived row outlives what it refers to. Each in a transaction of its own: the lock is the other table's too. */
async function dropForeignKeys(connection: Connection, move: PartitionMove): Promise<void> {
  const name = qualified(connection, move);
  const { rows } = await connection.query<{ key: string }>(
    `SELECT quote_ident(conname) AS key FROM pg_constraint WHERE conrelid = $1::regclass AND contype = 'f'`,
    [name],
  );
  for (const { key } of rows) {
    await transaction(connection, settings, async () => {
      await connection.query(`ALTER TABLE ${name} DROP CONSTRAINT ${key}`);
    });
  }
}

async function attach(
  { connection, table, timestampType, record }: PartitionMover,
  move: PartitionMove,
): Promise<Moved> {
  const started = performance.now();
  const child = qualified(connection, move);
  return transaction(connection, { ...settings, statementTimeoutMs: 0 }, async (): Promise<Moved> => {
    // Where a policy hides rows, an error and not a smaller number.
    await connection.query(`SELECT set_config('row_security', 'off', true), set_config('datestyle', 'ISO, YMD', true)`);
    await lockCreators(connection, table.target);
    if (!(await endMove(connection, move))) return { kind: 'gone' };
    await connection.query(`LOCK TABLE ${child} IN ACCESS EXCLUSIVE MODE`);
    await connection.query(`ALTER TABLE ${child} NO FORCE ROW LEVEL SECURITY`);
    const rows = await count(connection, `ONLY ${child}`);
    if (table.where !== 'true' && (await count(connection, `ONLY ${child} WHERE (${table.where})`)) !== rows) {
      throw new UnfitError(`it has rows that don't meet the condition "${table.where}"`);
    }
    const bounds = await readBound(connection, move.bound);
    const moved = await adoptPartition(connection, table, move, bounds);
    const column = connection.escapeIdentifier(table.timestampColumn);
    const stored = await count(
      connection,
      `${qualified(connection, table.target)} AS archive
       WHERE tableoid = '${qualified(connection, moved).replaceAll("'", "''")}'::regclass AND ${within(column, timestampType, [bounds])}`,
    );
    if (stored !== rows) {
      throw new ArchiveError('count_mismatch', label(table.source), [
        `partition ${label(move)} had ${rows} rows, but ${stored} in the archive`,
      ]);
    }
    if (rows > 0) await record?.(rows);
    const partition = label(moved);
    return { kind: 'moved', partition, rows, durationMs: performance.now() - started };
  });
}

/** Back into the live table, when it has left it and does not fit the archive. */
async function giveBack(
  mover: PartitionMover,
  move: PartitionMove,
  place: string | undefined,
  error: unknown,
): Promise<Moved> {
  const { connection, table } = mover;
  if (!isUnfit(error) && !(error instanceof ArchiveError)) throw error;
  if (place === 'loose') {
    try {
      await transaction(connection, { ...settings, statementTimeoutMs: 0 }, async () => {
        const parent = qualified(connection, table.source);
        await connection.query(`SELECT set_config('datestyle', 'ISO, YMD', true)`);
        await connection.query(`ALTER TABLE ${parent} ATTACH PARTITION ${qualified(connection, move)} ${move.bound}`);
        await endMove(connection, move);
      });
    } catch (second) {
      throw new ArchiveError('detached', label(table.source), [
        `${label(move)} (${move.bound}) is detached, and neither fits the archive (${messageOf(error)}) nor its table (${messageOf(second)})`,
      ]);
    }
  } else await endMoveIfAttached(mover, move);
  if (error instanceof ArchiveError) throw error;
  return { kind: 'unfit', why: messageOf(error) };
}

async function endMoveIfAttached({ connection, table }: PartitionMover, move: PartitionMove): Promise<void> {
  if ((await readPlace(connection, move, table.source)) === 'attached') await endMove(connection, move);
}

async function count(connection: Connection, from: string): Promise<number> {
  const { rows } = await connection.query<{ n: number }>(`SELECT count(*)::float8 AS n FROM ${from}`);
  return rows[0]?.n ?? Number.NaN;
}

/** Locks, deadlocks, a statement_timeout while others read, or another partition of the table that is half detached. */
function isPassing(error: unknown): boolean {
  return ['55P03', '40P01', '40001', '57014', '55000'].includes(sqlState(error) ?? '');
}

/** Postgres refuses for what the tables are or hold, and not because a server or a connection failed. */
function isUnfit(error: unknown): boolean {
  return error instanceof UnfitError || /^(?:0A|22|23|2B|42|54|P0)/u.test(sqlState(error) ?? '');
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
