import { archiveRows, type ArchiveTable, builtInArchives, createPool, migrate, withConnection } from '@spillway/db';
import { startPostgres } from '@spillway/local-servers';
import type { Effort, Findings, Section, Table } from '../section.ts';

/** Rows an hour: the guide's scale target, and a hundred times that. */
const RATES: readonly number[] = [50_000, 5_000_000];
const HOURS_A_YEAR = 24 * 365;
const GIB = 2 ** 30;

/** How tables grow in a year, from what a row was measured to take. */
export const growthSection: Section = {
  name: 'growth',
  title: 'Growth',
  async measure(effort): Promise<Findings> {
    const sizes = await rowSizes(effort);
    return { goals: [], tables: [sizeTable(sizes), yearTable(sizes)] };
  },
};

function sizeTable(sizes: readonly RowSize[]): Table {
  return {
    title: 'Bytes a row',
    intro:
      '200,000 rows with texts that do not repeat, then moved by the archival job; heap, TOAST and indexes, after VACUUM.',
    columns: [
      { heading: 'table' },
      { heading: 'live', digits: 0 },
      { heading: 'of it indexes', digits: 0 },
      { heading: 'archive', digits: 0 },
      { heading: 'of it indexes', digits: 0 },
      { heading: 'rows/s into the archive', digits: 0 },
    ],
    rows: sizes.map((size) => [
      size.table,
      size.liveBytes,
      size.liveIndexBytes,
      size.archiveBytes,
      size.archiveIndexBytes,
      size.movedPerSecond,
    ]),
  };
}

function yearTable(sizes: readonly RowSize[]): Table {
  return {
    title: 'A year',
    intro: 'One row of each table for each generation, all day and all year. Computed from the table above.',
    columns: [
      { heading: 'table' },
      { heading: 'rows/hour', digits: 0 },
      { heading: 'million rows a month', digits: 1 },
      { heading: 'live GiB', digits: 0 },
      { heading: 'archive GiB a month', digits: 0 },
      { heading: 'both after a year, GiB', digits: 0 },
      { heading: 'minutes a weekly run', digits: 1 },
    ],
    rows: RATES.flatMap((rate) => sizes.map((size) => yearRow(size, rate))),
    notes:
      'Live is what the table holds once rows leave it as fast as they come. A weekly run moves a week of rows over one\nconnection.',
  };
}

function yearRow(size: RowSize, rowsPerHour: number): readonly (string | number)[] {
  const aYear = rowsPerHour * HOURS_A_YEAR;
  const live = rowsPerHour * 24 * size.liveDays;
  return [
    size.table,
    rowsPerHour,
    aYear / 12 / 1e6,
    (live * size.liveBytes) / GIB,
    ((aYear / 12) * size.archiveBytes) / GIB,
    (live * size.liveBytes + (aYear - live) * size.archiveBytes) / GIB,
    (rowsPerHour * 24 * 7) / size.movedPerSecond / 60,
  ];
}

type Pool = ReturnType<typeof createPool>;

/** What one row of a table takes on disk, everything included: heap, TOAST, indexes and free space. */
export interface RowSize {
  readonly table: string;
  /** Days until a row moves. */
  readonly liveDays: number;
  /** Bytes a row where it is written. */
  readonly liveBytes: number;
  /** The part of them that is indexes. */
  readonly liveIndexBytes: number;
  /** Bytes a row in its monthly partition of the archive. */
  readonly archiveBytes: number;
  readonly archiveIndexBytes: number;
  /** Rows a second into the archive. */
  readonly movedPerSecond: number;
}

const ROWS = 200_000;

/** Rows as an AI service writes them: texts that don't repeat, so that nothing compresses better than in real life. */
const SEEDS: ReadonlyMap<string, string> = new Map([
  [
    'generations',
    `INSERT INTO generations (user_id, provider, model, status, prompt, parameters, result_url, started_at, finished_at, created_at)
     SELECT gen_random_uuid()::text, 'runware', 'flux-1', 'completed',
            (SELECT string_agg(md5(n::text || part), ' ') FROM generate_series(1, 6) AS part),
            jsonb_build_object('width', 1024, 'height', 1024, 'steps', n % 50, 'seed', n, 'negative', md5(n::text)),
            'https://images.example/' || gen_random_uuid() || '.webp', at, at + interval '9 seconds', at
     FROM (SELECT n, now() - interval '181 days' - n * interval '1 second' AS at FROM generate_series(1, $1) AS n) AS rows`,
  ],
  [
    'api_call_logs',
    `INSERT INTO api_call_logs (user_id, request_id, method, endpoint, status_code, duration_ms, ip_address, user_agent, created_at)
     SELECT gen_random_uuid()::text, gen_random_uuid()::text, 'POST', '/functions/v1/generate-content', 200, n % 500,
            '203.0.113.' || n % 255, 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36',
            now() - interval '31 days' - n * interval '1 second'
     FROM generate_series(1, $1) AS n`,
  ],
  [
    'audit_logs',
    `INSERT INTO audit_logs (actor_id, action, resource_type, resource_id, ip_address, metadata, created_at)
     SELECT gen_random_uuid()::text, 'generation.created', 'generation', gen_random_uuid()::text, '203.0.113.' || n % 255,
            jsonb_build_object('plan', 'pro', 'trace', md5(n::text)), now() - interval '91 days' - n * interval '1 second'
     FROM generate_series(1, $1) AS n`,
  ],
]);

/** Fills each of the three live tables, measures, lets the archival job move all of it, and measures again. */
async function rowSizes(effort: Effort): Promise<readonly RowSize[]> {
  const server = await startPostgres({ durable: true });
  const pool = createPool({ connectionString: server.url, onError: () => {}, statementTimeoutMs: 600_000 });
  try {
    await migrate({ connectionString: server.url });
    const sizes: RowSize[] = [];
    for (const archive of builtInArchives) sizes.push(await rowSize(pool, archive, effort.amount(ROWS)));
    return sizes;
  } finally {
    await pool.end();
    await server.stop();
  }
}

async function rowSize(pool: Pool, archive: ArchiveTable, count: number): Promise<RowSize> {
  const table = archive.source.name;
  await pool.query(SEEDS.get(table) ?? '', [count]);
  await pool.query(`VACUUM ANALYZE ${table}`);
  const live = await sizeOf(pool, table);
  const started = performance.now();
  const { moved } = await withConnection(pool, (connection) => archiveRows(connection, archive));
  const seconds = (performance.now() - started) / 1_000;
  if (moved !== count) throw new Error(`moved ${moved} of ${count} rows of ${table}`);
  const archived = await sizeOf(pool, `archive.${table}`);
  return {
    table,
    liveDays: archive.retentionDays,
    liveBytes: live.total / count,
    liveIndexBytes: live.indexes / count,
    archiveBytes: archived.total / count,
    archiveIndexBytes: archived.indexes / count,
    movedPerSecond: count / seconds,
  };
}

/** Of a table, or of all partitions of one; in bytes. */
async function sizeOf(pool: Pool, table: string): Promise<{ readonly total: number; readonly indexes: number }> {
  const { rows } = await pool.query<{ total: number; indexes: number }>(
    `SELECT sum(pg_total_relation_size(relid))::float8 AS total, sum(pg_indexes_size(relid))::float8 AS indexes
     FROM (SELECT relid FROM pg_partition_tree($1) WHERE isleaf UNION SELECT $1::regclass) AS parts`,
    [table],
  );
  return rows[0] ?? { total: Number.NaN, indexes: Number.NaN };
}
