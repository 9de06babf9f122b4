import { execFile } from 'node:child_process';
import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { decisionNumber, decisionOf } from '../decisions.ts';
import { markdownTable } from '../figures.ts';
import { type Counts, growth, TOLERANCE } from '../instructions/cases.ts';
import { isQuiet, type Run } from '../results.ts';
import type { Goal } from '../section.ts';

/** What became of one number. */
export interface Change {
  readonly what: string;
  /** Number of the decision in docs/adr that says why it is so. */
  readonly adr: number;
  /** Undefined when only the other side has it. */
  readonly before: number | undefined;
  readonly after: number | undefined;
  /** How much worse it is, as a share; below zero is better. */
  readonly worseBy: number;
  /** How much worse it may be. */
  readonly allowed: number;
  readonly verdict: Verdict;
}

/**
 * `goal lowered` and `goal dropped` say that less is aimed at than before, whatever was measured; `not judged` that there was nothing
 * before, or that the two runs can't be compared.
 */
export type Verdict = 'worse' | 'goal lowered' | 'goal dropped' | 'better' | 'same' | 'not judged';

/** Whether a commit has to say why. */
export function needsReason({ verdict }: Change): boolean {
  return verdict === 'worse' || verdict === 'goal lowered' || verdict === 'goal dropped';
}

/** All that can be compared of one state of the repository. */
export interface State {
  readonly runs: ReadonlyMap<string, Run>;
  readonly counts: Counts;
}

/** How strictly to compare. */
export interface CompareOptions {
  /** Judges only figures whose two runs were made on quiet machines of one kind. @default false */
  readonly onlyQuiet?: boolean;
}

const DEFAULT_NOISE = 0.1;

/** Units of figures that don't depend on how fast the machine is. */
const RATIOS: ReadonlySet<string> = new Set(['×', '%']);

/** Each goal and each instruction count of both states. */
export function compareStates(older: State, newer: State, options: CompareOptions = {}): readonly Change[] {
  return [...goalChanges(older.runs, newer.runs, options), ...countChanges(older.counts, newer.counts)];
}

function goalChanges(older: State['runs'], newer: State['runs'], { onlyQuiet = false }: CompareOptions): Change[] {
  const sections = [...new Set([...older.keys(), ...newer.keys()])].toSorted();
  return sections.flatMap((section) => {
    const [before, after] = [older.get(section), newer.get(section)];
    const sameMachine = before !== undefined && before.machine === after?.machine;
    const quiet = sameMachine && isQuiet(before.conditions) && isQuiet(after?.conditions);
    const names = [...new Set([...(before?.goals ?? []), ...(after?.goals ?? [])].map(({ name }) => name))];
    return names.map((name) => {
      const find = (run: Run | undefined): Goal | undefined => run?.goals.find((goal) => goal.name === name);
      const unit = find(after)?.unit ?? '';
      // A time on another machine, or on one that did something else too, says nothing about the code.
      const judged = onlyQuiet ? quiet : quiet || RATIOS.has(unit);
      const adr = decisionNumber(decisionOf(section, name));
      return goalChange({ what: `${section}: ${name}`, adr }, find(before), find(after), judged);
    });
  });
}

function goalChange(
  about: Pick<Change, 'what' | 'adr'>,
  before: Goal | undefined,
  after: Goal | undefined,
  judged: boolean,
): Change {
  const allowed = 2 * Math.max(before?.noise ?? DEFAULT_NOISE, after?.noise ?? DEFAULT_NOISE);
  const [was, is] = [before?.measured ?? Number.NaN, after?.measured ?? Number.NaN];
  // Two noughts are the same, and their ratio isn't a number.
  const worseBy = was === is ? 0 : (after?.better === 'more' ? was / is : is / was) - 1;
  const verdict = goalVerdict(before, after) ?? (judged ? verdictOf(worseBy, allowed) : 'not judged');
  return { ...about, before: before?.measured, after: after?.measured, worseBy, allowed, verdict };
}

/** What became of the goal itself; undefined when it is as high as before, or new. */
function goalVerdict(before: Goal | undefined, after: Goal | undefined): Verdict | undefined {
  if (before === undefined) return undefined;
  if (after === undefined) return 'goal dropped';
  const lowered = after.better === 'more' ? after.bound < before.bound : after.bound > before.bound;
  return lowered ? 'goal lowered' : undefined;
}

function countChanges(older: Counts, newer: Counts): Change[] {
  const names = [...new Set([...Object.keys(older), ...Object.keys(newer)])];
  return names.map((name) => {
    const worseBy = growth(name, older, newer);
    const verdict = verdictOf(worseBy, TOLERANCE);
    const what = `instructions: ${name}`;
    return { what, adr: COUNTS_ADR, before: older[name], after: newer[name], worseBy, allowed: TOLERANCE, verdict };
  });
}

function verdictOf(worseBy: number, allowed: number): Verdict {
  if (Number.isNaN(worseBy)) return 'not judged';
  if (worseBy > allowed) return 'worse';
  // As far in the other direction: a third less is half more, seen from the other side.
  return 1 / (1 + worseBy) - 1 > allowed ? 'better' : 'same';
}

const run = promisify(execFile);
const COUNTS = 'instructions.json';
/** Speed: what a decision costs. */
const COUNTS_ADR = 20;

/**
 * Reads what is to be compared: a folder with `results/` and `instructions.json` (as `bench` is), one of their files, or
 * the folder `bench` as it was at a revision of Git.
 * @throws {Error} when it is none of them
 */
export async function readState(place: string): Promise<State> {
  const found = await stat(place).catch(() => undefined);
  if (found?.isDirectory() === true) return stateOf(await filesOf(place), (file) => readFile(file, 'utf8'));
  if (found !== undefined) return stateOf([place], (file) => readFile(file, 'utf8'));
  const listed = await git('ls-tree', '--name-only', '-r', '--full-tree', place, 'bench/results', `bench/${COUNTS}`);
  return stateOf(listed.split('\n').filter(Boolean), (file) => git('show', `${place}:${file}`));
}

async function filesOf(folder: string): Promise<readonly string[]> {
  const list = async (place: string): Promise<string[]> => readdir(path.join(folder, place)).catch(() => []);
  const results = (await list('results')).map((name) => path.join(folder, 'results', name));
  return (await list('.')).includes(COUNTS) ? [...results, path.join(folder, COUNTS)] : results;
}

async function stateOf(files: readonly string[], read: (file: string) => Promise<string>): Promise<State> {
  const runs = new Map<string, Run>();
  let counts: Counts = {};
  for (const file of files.filter((name) => name.endsWith('.json'))) {
    const content = JSON.parse(await read(file));
    if (path.basename(file) === COUNTS) counts = content;
    else runs.set(path.basename(file, '.json'), content);
  }
  return { runs, counts };
}

async function git(...args: readonly string[]): Promise<string> {
  const { stdout } = await run('git', args, { maxBuffer: 2 ** 26 });
  return stdout;
}

/** The changes as a table; what needs a reason first. */
export function report(changes: readonly Change[]): string {
  const rank = { worse: 0, 'goal lowered': 1, 'goal dropped': 2, better: 3, same: 4, 'not judged': 5 };
  const rows = changes
    .toSorted((one, other) => rank[one.verdict] - rank[other.verdict])
    .map((change) => [
      change.what,
      figure(change.before),
      figure(change.after),
      Number.isNaN(change.worseBy) ? '' : `${change.worseBy > 0 ? '+' : ''}${Math.round(100 * change.worseBy)} %`,
      `${Math.round(100 * change.allowed)} %`,
      needsReason(change) ? `**${change.verdict}**` : change.verdict,
      `ADR ${change.adr}`,
    ]);
  return markdownTable(
    [
      ['figure', 'left'],
      ['before', 'right'],
      ['after', 'right'],
      ['worse by', 'right'],
      ['allowed', 'right'],
      ['verdict', 'left'],
      ['why', 'left'],
    ],
    rows,
  );
}

function figure(value: number | undefined): string {
  if (value === undefined) return '';
  return value.toLocaleString('en', value >= 100 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 });
}
