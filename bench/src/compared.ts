import { markdownTable } from './figures.ts';
import type { Run } from './results.ts';
import type { Table } from './section.ts';

/*
 * The figures of the README and of the pages in docs/: the same results as in bench/README.md, a few rows of each table. What is
 * not measured yet stays out, so that no figure is written by hand.
 */

type Cell = string | number;

/**
 * Texts of pages with the figures of `runs`, by path from the top of the repository.
 *
 * @throws {Error} when the results have no such row, or a page has no place for its figures
 */
export async function withFigures(
  read: (path: string) => Promise<string>,
  runs: ReadonlyMap<string, Run>,
): Promise<ReadonlyMap<string, string>> {
  const blocks = new Map([
    ['docs/compare.md', comparedBlocks(runs)],
    ['docs/operations.md', new Map([['sizing', sizing(runs)]])],
    ['docs/scaling.md', new Map([['year', year(runOf(runs, 'growth'))]])],
  ]);
  const pages = new Map<string, string>();
  for (const [path, ofPage] of blocks) pages.set(path, withBlocks(await read(path), 'bench', ofPage));
  const readme = await read('README.md');
  if (!TIMES.test(readme)) throw new Error('README.md does not say how many times the fastest peer');
  return pages.set('README.md', readme.replace(TIMES, `${timesTheFastestPeer(runs)} $1`));
}

const TIMES = /[\d.]+ (times the fastest peer)/u;

/** The blocks of docs/compare.md, by the name in their marks. @throws {Error} when the results have no such row */
export function comparedBlocks(runs: ReadonlyMap<string, Run>): ReadonlyMap<string, string> {
  const limiter = runOf(runs, 'limiter');
  return new Map([
    ['limiter', `${limiter.date}, ${limiter.machine}\n\n${decisions(limiter)}`],
    ['in-process', inProcess(runOf(runs, 'in-process'))],
    ['guard', guard(runOf(runs, 'http'))],
    ['breaker', breakers(runOf(runs, 'breaker'))],
  ]);
}

/** How many times the decisions of its fastest peer Spillway makes; rounded down, as the README says it. */
function timesTheFastestPeer(runs: ReadonlyMap<string, Run>): string {
  const { rows } = tableOf(runOf(runs, 'limiter'), 'Decisions');
  const peers = rows.filter(([who, algorithm]) => who !== 'Spillway' && algorithm !== 'none');
  const ratio = Math.min(...peers.map((row) => Number(row[5])));
  return (Math.floor(ratio * 10) / 10).toFixed(1);
}

/** What one server of each kind needs. */
function sizing(runs: ReadonlyMap<string, Run>): string {
  const limiter = runOf(runs, 'limiter');
  const [, , perSecond, , redisCpu] = rowOf(tableOf(limiter, 'Decisions').rows, ['Spillway']);
  const { rows } = tableOf(limiter, 'Memory');
  const key = (limit: number): string => whole(rowOf(rows, ['Spillway', limit])[2]);
  const bytes = tableOf(runOf(runs, 'growth'), 'Bytes a row').rows;
  const range = (column: number): string => {
    const values = bytes.map((row) => Number(row[column]));
    return `${whole(Math.min(...values))} to ${whole(Math.max(...values))}`;
  };
  return table(
    ['measured'],
    ['figure'],
    [
      ['CPU of Redis per decision, in batches, µs', digits(redisCpu, 2)],
      ['decisions/s of one client and one Redis on two cores', short(perSecond)],
      ['bytes per window at its limit of 10', key(10)],
      ['of 100', key(100)],
      ['of 1,000', key(1_000)],
      ['of 100,000, which counts in buckets', key(100_000)],
      ['bytes per row in Postgres, live with its indexes', range(1)],
      ['archived', range(3)],
    ],
  );
}

/** What a year of generations takes at the guide's rate, and at a hundred times that. */
function year(run: Run): string {
  const [, live, , archived] = rowOf(tableOf(run, 'Bytes a row').rows, ['generations']);
  const { rows } = tableOf(run, 'A year');
  return table(
    ['rows/hour'],
    [
      'bytes a row, live',
      'archived',
      'million rows a month',
      'live, GiB',
      'archived a month, GiB',
      'both after a year, GiB',
      'minutes per weekly run',
    ],
    rows
      .filter(([name]) => name === 'generations')
      .map(([, perHour, ...figures]) =>
        [whole(perHour)].concat([live, archived, ...figures].map((figure) => measured(figure))),
      ),
  );
}

function decisions(run: Run): string {
  const { rows } = tableOf(run, 'Decisions');
  return table(
    ['limiter', 'algorithm'],
    ['decisions/s', 'client CPU µs', 'Redis CPU µs', 'Spillway is'],
    rows.map(([who = '', algorithm = '', perSecond, client, redis, ratio]) => [
      String(who),
      String(algorithm),
      short(perSecond),
      digits(client, 2),
      digits(redis, 2),
      `${digits(ratio, 1)}×`,
    ]),
  );
}

function inProcess(run: Run): string {
  const { rows } = tableOf(run, 'Decided in process');
  const figures = (what: string): string[] => {
    const [, , , perSecond, commands] = rowOf(rows, [what, 1, 1]);
    return [short(perSecond), String(Number(digits(commands, 1)))];
  };
  return table(
    ['decided in process'],
    ['decisions/s', 'Redis commands per 1,000'],
    [
      ['a blocked subject', ...figures('Spillway: blocked')],
      ['a leased policy, one hot subject', ...figures('Spillway: leases of 5,000')],
    ],
  );
}

function guard(run: Run): string {
  const { rows } = tableOf(run, 'What a guard adds to a request');
  const route = 'a generation: reads a JSON body, answers 201 with JSON';
  const figures = (who: string): string[] => {
    const [, , , added, ofThePeers] = rowOf(rows, [route, who]);
    return [digits(added, 1), `${digits(ofThePeers, 2)}×`];
  };
  return table(
    ['a guard in Hono on Node, counts in Redis'],
    ['CPU µs added to a request', "of the peer's"],
    [
      ['`rateLimit()`', ...figures('Spillway `rateLimit()`')],
      ["`rateLimit({ headers: 'draft' })`", ...figures("Spillway `rateLimit({ headers: 'draft' })`")],
      ['hono-rate-limiter', ...figures('hono-rate-limiter, Redis store')],
    ],
  );
}

function breakers(run: Run): string {
  const { rows } = tableOf(run, 'A call in this process');
  const figures = (who: string): string[] => {
    const [, , closed, , , refusals] = rowOf(rows, [who]);
    return [digits(closed, 0), String(refusals)];
  };
  return table(
    ['a call through a breaker'],
    ['closed, ns', 'open, refusals/s'],
    [
      ['Spillway, shared by the fleet, with a timeout', ...figures('Spillway')],
      ['cockatiel SamplingBreaker, in one process, without', ...figures('cockatiel SamplingBreaker')],
      ['opossum, in one process, with a timeout', ...figures('opossum')],
    ],
  );
}

function table(texts: readonly string[], numbers: readonly string[], rows: readonly (readonly string[])[]): string {
  const columns = [...texts.map((text) => [text, 'left'] as const), ...numbers.map((text) => [text, 'right'] as const)];
  return markdownTable(columns, rows);
}

function runOf(runs: ReadonlyMap<string, Run>, name: string): Run {
  const run = runs.get(name);
  if (run === undefined) throw new Error(`bench/results has no ${name}.json`);
  return run;
}

function tableOf({ tables, title: run }: Run, title: string): Table {
  const found = tables.find((each) => each.title === title);
  if (found === undefined) throw new Error(`the results of ${run} have no table "${title}"`);
  return found;
}

/** The row that begins with these cells. */
function rowOf(rows: readonly (readonly Cell[])[], begin: readonly Cell[]): readonly Cell[] {
  const found = rows.find((row) => begin.every((cell, index) => row[index] === cell));
  if (found === undefined) throw new Error(`the results have no row "${begin.join(', ')}"`);
  return found;
}

/** 617,887 is 618k, 6,025,896 is 6.0M. */
function short(cell: Cell | undefined): string {
  const value = Number(cell);
  return value >= 1_000_000 ? `${(value / 1_000_000).toFixed(1)}M` : `${Math.round(value / 1_000)}k`;
}

/** 15,246.8 is 15,247; 21.71 is 21.7. */
function measured(cell: Cell | undefined): string {
  const value = Number(cell);
  return value < 100 ? value.toLocaleString('en', { maximumSignificantDigits: 3 }) : whole(cell);
}

function whole(cell: Cell | undefined): string {
  return Number(cell).toLocaleString('en', { maximumFractionDigits: 0 });
}

function digits(cell: Cell | undefined, count: number): string {
  return Number(cell).toFixed(count);
}

/**
 * A page whose blocks between `<!-- KIND: NAME -->` and `<!-- /KIND -->` are replaced by these.
 * @throws {Error} when the page lacks a block, or has one that isn't given: neither may go out of date unseen
 */
export function withBlocks(page: string, kind: string, blocks: ReadonlyMap<string, string>): string {
  const missing = new Set(blocks.keys());
  const marked = new RegExp(`<!-- ${kind}: (\\S+) -->\\n.*?<!-- /${kind} -->`, 'gsu');
  const text = page.replace(marked, (_, name: string) => {
    const block = blocks.get(name);
    if (block === undefined) throw new Error(`the page has a block "${name}" that nothing writes`);
    missing.delete(name);
    return `<!-- ${kind}: ${name} -->\n\n${block}\n\n<!-- /${kind} -->`;
  });
  if (missing.size > 0) throw new Error(`the page has no block "${[...missing].join(', ')}"`);
  return text;
}
