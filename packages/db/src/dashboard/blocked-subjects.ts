import { type SQL, sql } from 'drizzle-orm';
import { ago, read } from '../query/typed.ts';
import { apiCallLogs } from '../schema/application.ts';
import { rateLimitsV2 } from '../schema/trail.ts';
import type { Queryable } from '../connection.ts';

type Block = typeof rateLimitsV2.$inferSelect;

/** Which blocks are looked at. */
export interface BlocksFilter {
  /** Name of a policy. @default all */
  readonly tier?: string;
  /** @default all */
  readonly action?: string;
}

/** A subject that was blocked, all its blocks of a tier and an action together. */
export interface BlockedSubject extends Readonly<Pick<Block, 'identifier' | 'tier' | 'action' | 'mode'>> {
  readonly blocks: number;
  /** Requests refused while blocked. */
  readonly deniedCount: number;
  /** End of the last block, epoch ms; `Infinity`: it has no end. */
  readonly blockedUntilMs: number;
  /** Whether it runs. */
  readonly active: boolean;
}

/** A subject and how often it was refused while blocked, under all tiers and actions of the filter. */
export interface RefusedSubject extends Readonly<Pick<Block, 'identifier'>> {
  readonly blocks: number;
  readonly deniedCount: number;
  readonly tiers: readonly string[];
}

/** Blocked and refused subjects of a time range. */
export interface BlocksOverview {
  /** Running blocks first, then by refused requests. */
  readonly blocked: readonly BlockedSubject[];
  /** Most refused requests first; shadow blocks refused nobody, and are left out. */
  readonly refused: readonly RefusedSubject[];
  /** There may be more blocks: only so many of the newest, and so many running ones that end last, were looked at. */
  readonly newestOnly: number | null;
}

const { id, identifier, tier, action, mode, deniedCount, blockedUntilMs, createdAtMs } = rateLimitsV2;

/** Blocks that are looked at, of those that began in the range and of those that run: a flood makes millions. */
const MOST = 5_000;

/** The same when there is a filter, which is applied to them: a flood of one tier must not hide another tier. */
const MOST_FILTERED = 20_000;

const columns = sql`${identifier} AS identifier, ${tier} AS tier, ${action} AS action, ${mode} AS mode,
  ${deniedCount} AS denied, ${blockedUntilMs} AS ends`;

// Only what is asked for: Postgres takes "tier = coalesce(NULL, tier)" for one row, and then joins as for one.
const passes = ({ tier: ofTier, action: ofAction }: BlocksFilter) =>
  sql`${ofTier === undefined ? sql`true` : sql`tier = ${ofTier}`} AND ${ofAction === undefined ? sql`true` : sql`action = ${ofAction}`}`;

const newestFirst = (selected: SQL, rangeMs: number) => sql`
  SELECT ${selected} FROM ${rateLimitsV2} WHERE ${createdAtMs} >= ${ago(rangeMs)} ORDER BY ${createdAtMs} DESC, ${id} DESC`;
const lastEndFirst = (selected: SQL) => sql`
  SELECT ${selected} FROM ${rateLimitsV2} WHERE ${blockedUntilMs} > now() ORDER BY ${blockedUntilMs} DESC`;

/**
 * The blocks that are looked at and pass, as a query. `edge`, a CTE that must stand before it, is the last of the newest where there
 * may be more: a running block that is not among the newest began before it, or before the range.
 */
const looked = (rangeMs: number, most: number, filter: BlocksFilter) => sql`
  SELECT * FROM (${newestFirst(columns, rangeMs)} LIMIT ${most}) AS newest WHERE ${passes(filter)}
  UNION ALL
  SELECT identifier, tier, action, mode, denied, ends
  FROM (${lastEndFirst(sql`${columns}, ${createdAtMs} AS begins, ${id} AS id`)} LIMIT ${most}) AS running
  WHERE ${passes(filter)} AND (begins < ${ago(rangeMs)} OR (begins, id) < (SELECT begins, id FROM edge))`;

// One pass over the blocks makes subjects, from which both lists are made. Of thousands of subjects a few are shown: what costs a
// subject more than a sum is worked out for those alone. A sum of whole numbers is cheap as long as they are int. Of two conditions on
// subjects Postgres expects a row or two to be left, and then joins by going through all of them for each that is shown.
const overview = (rangeMs: number, limit: number, most: number, filter: BlocksFilter) => sql`
  WITH edge AS (${newestFirst(sql`${createdAtMs} AS begins, ${id} AS id`, rangeMs)} OFFSET ${most - 1} LIMIT 1),
  subject AS MATERIALIZED (
    SELECT identifier, tier, action, mode, count(*)::int AS blocks, sum(denied::float8) AS denied, max(ends) AS ends,
           (count(*) FILTER (WHERE mode = 'enforce' AND denied > 0))::int AS refusing
    FROM (${looked(rangeMs, most, filter)}) AS block GROUP BY identifier, tier, action, mode
  ),
  blocked AS (
    SELECT identifier, tier, action, mode, blocks, denied AS "deniedCount",
           (extract(epoch FROM ends) * 1000)::float8 AS "blockedUntilMs", active
    FROM (SELECT *, ends > now() AS active FROM subject ORDER BY active DESC, denied DESC, identifier LIMIT ${limit}) AS shown
    ORDER BY active DESC, denied DESC, identifier
  ),
  enforced AS (SELECT identifier, tier, denied, refusing FROM subject WHERE refusing > 0),
  most AS (
    SELECT identifier, sum(refusing)::int AS blocks, sum(denied) AS denied
    FROM enforced GROUP BY identifier ORDER BY denied DESC, identifier LIMIT ${limit}
  ),
  refused AS (
    SELECT identifier, most.blocks, most.denied AS "deniedCount", array_agg(DISTINCT tier ORDER BY tier) AS tiers
    FROM most JOIN enforced USING (identifier) GROUP BY identifier, most.blocks, most.denied ORDER BY most.denied DESC, identifier
  )
  SELECT (SELECT coalesce(json_agg(blocked), '[]') FROM blocked) AS blocked,
         (SELECT coalesce(json_agg(refused), '[]') FROM refused) AS refused,
         EXISTS (SELECT FROM edge) OR EXISTS (${lastEndFirst(sql``)} OFFSET ${most - 1}) AS cut`;

interface OverviewRow {
  readonly blocked: readonly (Omit<BlockedSubject, 'blockedUntilMs'> & {
    readonly blockedUntilMs: number | 'Infinity';
  })[];
  readonly refused: readonly RefusedSubject[];
  readonly cut: boolean;
}

/**
 * Who was blocked in the last `rangeMs` or still is, and who was refused most; `limit` of each. Adds up the newest 5,000
 * blocks of the range and the 5,000 running ones that end last, and with a filter those that pass it of 20,000; of fewer, all.
 */
export async function blocksOverview(
  db: Queryable,
  rangeMs: number,
  limit: number,
  filter: BlocksFilter = {},
): Promise<BlocksOverview> {
  const most = filter.tier === undefined && filter.action === undefined ? MOST : MOST_FILTERED;
  const [row] = await read<OverviewRow>(db, overview(rangeMs, limit, most, filter));
  return {
    // JSON has no number for a block without end.
    blocked: row?.blocked.map((one) => ({ ...one, blockedUntilMs: Number(one.blockedUntilMs) })) ?? [],
    refused: row?.refused ?? [],
    newestOnly: row?.cut === true ? most : null,
  };
}

/** Tiers and actions that were blocked, to choose from; those of the blocks that {@link blocksOverview} looks at, 200 at most. */
export async function blockedActions(
  db: Queryable,
  rangeMs: number,
): Promise<readonly Readonly<Pick<Block, 'tier' | 'action'>>[]> {
  const pair = sql`${tier} AS tier, ${action} AS action`;
  const found = sql`
    SELECT tier, action FROM (
      (${newestFirst(pair, rangeMs)} LIMIT ${MOST}) UNION ALL (${lastEndFirst(pair)} LIMIT ${MOST})
    ) AS block GROUP BY tier, action ORDER BY count(*) DESC, tier, action LIMIT 200`;
  return read<Pick<Block, 'tier' | 'action'>>(db, found);
}

/** How many subjects are refused now. */
export interface BlocksRunning {
  /** Those with a running block of a policy that enforces. */
  readonly subjects: number;
  /** There may be more: only so many running blocks, those that end last, were looked at. Null: all were. */
  readonly lastOnly: number | null;
}

/** How many subjects are refused now, by the 20,000 running blocks that end last. */
export async function countBlocksRunning(db: Queryable): Promise<BlocksRunning> {
  const of = sql`${identifier} AS identifier, ${tier} AS tier, ${action} AS action, ${mode} AS mode`;
  const counted = sql`
    SELECT (count(*) FILTER (WHERE mode = 'enforce'))::int AS subjects, coalesce(sum(blocks), 0)::int AS looked
    FROM (
      SELECT mode, count(*) AS blocks FROM (${lastEndFirst(of)} LIMIT ${MOST_FILTERED}) AS running
      GROUP BY identifier, tier, action, mode) AS subject`;
  const [row] = await read<{ readonly subjects: number; readonly looked: number }>(db, counted);
  const { subjects = 0, looked: found = 0 } = row ?? {};
  return { subjects, lastOnly: found >= MOST_FILTERED ? MOST_FILTERED : null };
}

/** A user and what they called, by the application's own log of calls. */
export interface TopUser {
  readonly user: string;
  readonly calls: number;
  /** Answered with 429. */
  readonly refused: number;
  /** Epoch ms. */
  readonly lastCallAtMs: number;
}

/** Who called most. */
export interface TopUsers {
  readonly users: readonly TopUser[];
  /** All calls that were looked at, those without a user included. */
  readonly calls: number;
  /** There may be more calls: only so many of the newest were looked at. */
  readonly newestOnly: number | null;
}

/** Calls that are looked at: an application may log each. */
const MOST_CALLS = 20_000;

const { userId, statusCode, createdAt } = apiCallLogs;

// The calls are added up as they are read, those without a user too: they are never kept all at once.
const topQuery = (rangeMs: number, limit: number) => sql`
  WITH caller AS MATERIALIZED (
    SELECT caller, count(*) AS calls, count(*) FILTER (WHERE status = 429) AS refused, max(at) AS last
    FROM (
      SELECT ${userId} AS caller, ${statusCode} AS status, ${createdAt} AS at FROM ${apiCallLogs}
      WHERE ${createdAt} >= ${ago(rangeMs)} ORDER BY ${createdAt} DESC LIMIT ${MOST_CALLS}
    ) AS call GROUP BY caller
  ), top AS (
    SELECT caller AS "user", calls::float8, refused::float8, (extract(epoch FROM last) * 1000)::float8 AS "lastCallAtMs"
    FROM (SELECT * FROM caller WHERE caller IS NOT NULL ORDER BY calls DESC, caller LIMIT ${limit}) AS shown
    ORDER BY calls DESC, caller
  )
  SELECT (SELECT coalesce(json_agg(top), '[]') FROM top) AS users,
         (SELECT coalesce(sum(calls), 0) FROM caller)::float8 AS calls`;

/** Who called most in the last `rangeMs` by `api_call_logs`. An application's own table of other columns rejects with pg's error. */
export async function topUsers(db: Queryable, rangeMs: number, limit: number): Promise<TopUsers> {
  const [row] = await read<Omit<TopUsers, 'newestOnly'>>(db, topQuery(rangeMs, limit));
  const { users = [], calls = 0 } = row ?? {};
  return { users, calls, newestOnly: calls >= MOST_CALLS ? MOST_CALLS : null };
}
