import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { BreakerInputError, definePreset, type Preset, type PresetOptions } from '@spillway/breaker';
import {
  checkListEntry,
  checkOverride,
  checkPlan,
  definePolicy,
  type LiveEntries,
  LimiterInputError,
  type Override,
  type Plan,
  type Policy,
  type PolicyOptions,
} from '@spillway/limiter';
import { type FileProblem, parseYaml, type Place, type PlacedText, PolicyFileError } from './placed-yaml.ts';
import { type FileShape, fileSchema } from './schema.ts';
import { stringify } from 'yaml';

/** What a `spillway.yaml` says, checked. */
export interface PolicyFile {
  /** Its name without folders. */
  readonly name: string;
  /** SHA-256 of its bytes, in hexadecimal. */
  readonly sha256: string;
  readonly policies: readonly Policy[];
  readonly overrides: readonly Override[];
  /** In the form in which entries are stored: networks are written in one way. */
  readonly allowed: readonly string[];
  readonly denied: readonly string[];
  readonly plans: readonly Plan[];
  readonly presets: readonly Preset[];
}

/** Longest file that is read, in bytes. */
const MAX_BYTES = 4_194_304;

/**
 * Reads a `spillway.yaml`, for its policies and presets in a program of yours, or to apply it.
 * @example
 * ```ts
 * const file = await readPolicyFile('spillway.yaml');
 * const limiter = createLimiter({ redis, policies: file.policies, live: true });
 * const breakers = createBreakers({ redis, presets: file.presets });
 * ```
 * @throws {PolicyFileError} with line and column of each problem.
 */
export async function readPolicyFile(path: string): Promise<PolicyFile> {
  const bytes = await readFile(path).catch((error: unknown) => {
    const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
    throw new PolicyFileError(path, [problemOfFile(`cannot be read (${String(code ?? error)})`)]);
  });
  return parsePolicyFile(bytes, path);
}

/** Reads the bytes of a `spillway.yaml`. @throws {PolicyFileError} with line and column of each problem. */
export function parsePolicyFile(bytes: Uint8Array | string, path: string): PolicyFile {
  const buffer = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
  if (buffer.byteLength > MAX_BYTES) {
    throw new PolicyFileError(path, [problemOfFile(`must be at most ${MAX_BYTES} bytes, not ${buffer.byteLength}`)]);
  }
  const placed = parseYaml(decoded(buffer, path), path);
  const shape = fileSchema.safeParse(placed.value);
  if (!shape.success)
    throw new PolicyFileError(
      path,
      shape.error.issues.flatMap((issue) => placed.ofIssue(issue)),
    );
  const problems: FileProblem[] = [];
  const content = contentOf(shape.data, collector(placed, problems));
  if (problems.length > 0) throw new PolicyFileError(path, problems);
  return { name: basename(path), sha256: createHash('sha256').update(buffer).digest('hex'), ...content };
}

function problemOfFile(problem: string): FileProblem {
  return { line: 1, column: 1, field: '', problem };
}

function decoded(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new PolicyFileError(path, [problemOfFile('must be UTF-8')]);
  }
}

/** Makes a value; what is wrong with it becomes a problem at its place, and it is left out. */
type Collect = <Value>(at: Place, make: () => Value) => Value[];

function collector(placed: PlacedText, problems: FileProblem[]): Collect {
  return (at, make) => {
    try {
      return [make()];
    } catch (error) {
      if (!(error instanceof LimiterInputError || error instanceof BreakerInputError)) throw error;
      problems.push(placed.ofInput(at, error));
      return [];
    }
  };
}

type Content = Omit<PolicyFile, 'name' | 'sha256'>;

function contentOf(shape: FileShape, collect: Collect): Content {
  const { policies = {}, overrides = [], lists = {}, plans = {}, breakers = {} } = shape;
  const unique = uniqueness();
  const entries = (kind: 'allow' | 'deny'): string[] =>
    (lists[kind] ?? []).flatMap((entry, index) =>
      collect(['lists', kind, index], () => unique('lists', 'entry', notEverybody('entry', checkListEntry(entry)))),
    );
  return {
    policies: Object.entries(policies).flatMap(([name, options]) =>
      collect(['policies', name], () => policyOf(name, options)),
    ),
    overrides: overrides.flatMap((override, index) =>
      collect(['overrides', index], () => {
        notEverybody('subject', override.subject);
        unique('overrides', 'subject', `${override.policy}:${override.subject}`, override.subject);
        return checkOverride(override);
      }),
    ),
    allowed: entries('allow'),
    denied: entries('deny'),
    plans: Object.entries(plans).flatMap(([name, of]) =>
      collect(['plans', name], () => checkPlan({ name, policies: typeof of === 'string' ? [of] : of })),
    ),
    presets: Object.entries(breakers).flatMap(([name, options]) =>
      collect(['breakers', name], () => presetOf(name, options)),
    ),
  };
}

/** Refuses the second of two that are one and the same. */
function uniqueness(): (kind: string, field: string, key: string, shown?: string) => string {
  const seen = new Set<string>();
  return (kind, field, key, shown = key) => {
    if (seen.has(`${kind} ${key}`)) throw new LimiterInputError(field, `appears twice: ${JSON.stringify(shown)}`);
    seen.add(`${kind} ${key}`);
    return key;
  };
}

/** A rule for every subject belongs in the policy. */
function notEverybody(field: string, pattern: string): string {
  if (!/^\*+$/u.test(pattern)) return pattern;
  throw new LimiterInputError(field, 'must not match every subject: change the policy instead');
}

// Which options belong to which algorithm, and which numbers go together, is what definePolicy and definePreset check.
function isPolicy(options: { readonly name: string }): options is PolicyOptions {
  return 'limit' in options;
}

function isPreset(options: { readonly name: string }): options is PresetOptions {
  return 'trip' in options;
}

function policyOf(name: string, rest: object): Policy {
  const options = { ...rest, name };
  if (isPolicy(options)) return definePolicy(options);
  throw new LimiterInputError('limit', 'must be given');
}

/** Checks a preset that came as JSON. @throws {BreakerInputError} naming the option and its value. */
export function presetOf(name: string, rest: object): Preset {
  const options = { ...rest, name };
  if (isPreset(options)) return definePreset(options);
  throw new BreakerInputError('trip', 'must be given');
}

/** What entries that are stored say, in the same form. Presets that can't be read are left out. */
export function storedContent(entries: LiveEntries): Content {
  const { policies, overrides, allowed, denied, plans } = entries;
  const presets = entries.presets.flatMap(({ name, ...options }) => {
    try {
      return [presetOf(name, options)];
    } catch (error) {
      if (error instanceof BreakerInputError) return [];
      throw error;
    }
  });
  return { policies, overrides, allowed, denied, plans, presets };
}

/** A preset as JSON can carry it: without its classifier, and without a time limit as `false`. */
export function plainPreset({ classifier: _classifier, timeoutMs, ...preset }: Preset): PresetOptions {
  return { ...preset, timeoutMs: timeoutMs === Infinity ? false : timeoutMs };
}

/** The first line of an exported file: where editors find the schema. */
const SCHEMA_LINE = '# yaml-language-server: $schema=./node_modules/@spillway/cli/spillway.schema.json';

/**
 * All entries as a `spillway.yaml`: applying it changes nothing. Blocks are no part of it. In the order of names, so that
 * two exports can be compared line by line.
 */
export function exportFile(entries: LiveEntries): string {
  const { policies, overrides, allowed, denied, plans, presets } = storedContent(entries);
  const byName = <Of extends { readonly name: string }>(list: readonly Of[]): Of[] =>
    list.toSorted((one, other) => order(one.name, other.name));
  const document = {
    ...(policies.length > 0 && { policies: Object.fromEntries(byName(policies).map((of) => [of.name, written(of)])) }),
    ...(overrides.length > 0 && {
      overrides: overrides.toSorted(
        (one, other) => order(one.policy, other.policy) || order(one.subject, other.subject),
      ),
    }),
    ...(allowed.length + denied.length > 0 && {
      lists: {
        ...(allowed.length > 0 && { allow: allowed.toSorted(order) }),
        ...(denied.length > 0 && { deny: denied.toSorted(order) }),
      },
    }),
    ...(plans.length > 0 && { plans: Object.fromEntries(byName(plans).map((plan) => [plan.name, plan.policies])) }),
    ...(presets.length > 0 && {
      breakers: Object.fromEntries(
        byName(presets).map((preset) => {
          const { name, ...options } = plainPreset(preset);
          return [name, options];
        }),
      ),
    }),
  };
  // Aliases and folded lines would make the file harder to read and to compare.
  return `${SCHEMA_LINE}\n${stringify(document, { aliasDuplicateObjects: false, lineWidth: 0 })}`;
}

/** Without what every policy has unless it says otherwise. */
function written({ name: _name, ...policy }: Policy): object {
  const { windowMs, blockMs, onUnavailable, mode, algorithm, limit, ...own } = policy;
  return {
    algorithm,
    limit,
    ...(algorithm !== 'quota' && { windowMs }),
    ...(blockMs > 0 && { blockMs }),
    ...(onUnavailable !== 'open' && { onUnavailable }),
    ...(mode !== 'enforce' && { mode }),
    ...own,
  };
}

/** By code units: the same on every machine, whatever its language. */
function order(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}
