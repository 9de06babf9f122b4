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

/** The same of bytes in hand. @throws {PolicyFileError} with line and column of each problem. */
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

function presetOf(name: string, rest: object): Preset {
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
