import { MAX_LIMIT, MAX_WINDOW_MS, type PolicyMode } from '../algorithms/algorithm.ts';
import type { Policy } from '../algorithms/registry.ts';
import { checkSubject, oneOf, wholeNumberWithin } from '../checks.ts';
import { checkMembers, LimiterInputError, shown } from '../errors.ts';
import { definePolicy, MAX_BLOCK_MS, type PolicyOptions } from '../policy.ts';
import { isGlob, listedNetwork } from './matching.ts';

/** Other options for some subjects of a policy. An option that is left out is the policy's. */
export interface Override {
  readonly policy: string;
  /** A subject, or a pattern in which `*` stands for any run of characters. */
  readonly subject: string;
  readonly limit?: number;
  readonly windowMs?: number;
  readonly blockMs?: number;
  readonly mode?: PolicyMode;
}

/** A plan, and the policies that apply to its users. */
export interface Plan {
  /** Lower-case letters, digits, `_` and `-`, up to 64. */
  readonly name: string;
  /** 1 to 16, all different. */
  readonly policies: readonly string[];
}

/** A breaker preset, as `definePreset` of @spillway/breaker takes it. The limiter stores it and reads only its name. */
export interface StoredPreset {
  readonly name: string;
  readonly [option: string]: unknown;
}

/** The policy file that was applied last. */
export interface AppliedFile {
  readonly name: string;
  /** SHA-256 of its bytes, in hexadecimal. */
  readonly sha256: string;
  /** SHA-256 of its content, independent of layout and comments. */
  readonly content: string;
  /** How many entries were set or removed. */
  readonly changes: number;
}

/** All fields as they are stored, and when that was. */
export interface StoredEntries {
  /** The version is among them. */
  readonly fields: ReadonlyMap<string, string>;
  /** The source's clock when they were read, in ms since 1970. */
  readonly nowMs: number;
  /** `performance.now()` when they were asked for. */
  readonly askedAt: number;
}

/** All live entries. */
export interface LiveEntries {
  readonly policies: readonly Policy[];
  readonly overrides: readonly Override[];
  /** Subjects, patterns and networks that are always admitted. */
  readonly allowed: readonly string[];
  /** Those that are always refused. */
  readonly denied: readonly string[];
  /** Subjects that are blocked everywhere. */
  readonly blocked: readonly BlockedSubject[];
  readonly plans: readonly Plan[];
  readonly presets: readonly StoredPreset[];
  /** The file that was applied last, if one was. */
  readonly file?: AppliedFile;
}

/** A subject that is refused under every policy and action until its block ends. */
export interface BlockedSubject {
  readonly subject: string;
  /** In ms since 1970 by Redis' clock, or `Infinity`. */
  readonly blockedUntilMs: number;
}

/** An entry that is stored but can't be used, since it may have been written manually. It is ignored. */
export class LiveEntryError extends Error {
  readonly code = 'live_entry_malformed';
  override readonly name = 'LiveEntryError';
  /** The field of the stored hash. */
  readonly field: string;

  constructor(field: string, cause: unknown) {
    super(`live entry ${shown(field)} is ignored: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
    this.field = field;
  }
}

/** The field that holds the version. */
export const VERSION_FIELD = 'version';

/**
 * Fields of the hash: `p:NAME`, `o:POLICY:SUBJECT`, `l:ENTRY`, `b:SUBJECT`, `n:PLAN`, `k:PRESET`, `f:applied`. A policy's name has
 * no colon.
 */
export const fields = {
  policy: (name: string): string => `p:${name}`,
  override: ({ policy, subject }: Pick<Override, 'policy' | 'subject'>): string => `o:${policy}:${subject}`,
  list: (entry: string): string => `l:${entry}`,
  block: (subject: string): string => `b:${subject}`,
  plan: (name: string): string => `n:${name}`,
  preset: (name: string): string => `k:${name}`,
  file: (): string => 'f:applied',
} as const;

/** @throws {LimiterInputError} unless it could be the name of a policy, or of what `field` says. */
export function checkPolicyName(name: unknown, field = 'policy'): asserts name is string {
  if (typeof name === 'string' && /^[a-z0-9_-]{1,64}$/.test(name)) return;
  throw new LimiterInputError(field, `must be 1 to 64 of a-z, 0-9, _ and -, not ${shown(name)}`);
}

/** The plan itself, with nothing else in it. @throws {LimiterInputError} naming the option and its value. */
export function checkPlan(plan: { readonly [Key in keyof Plan]?: unknown }): Plan {
  checkMembers('plan', plan, ['name', 'policies']);
  const { name, policies } = plan;
  checkPolicyName(name, 'plan');
  if (!Array.isArray(policies) || policies.length < 1 || policies.length > 16) {
    throw new LimiterInputError('policies', `must be 1 to 16 names of policies, not ${shown(policies)}`);
  }
  const names = policies.map((policy: unknown): string => {
    checkPolicyName(policy, 'policies');
    return policy;
  });
  if (new Set(names).size === names.length) return { name, policies: names };
  throw new LimiterInputError('policies', 'must all be different');
}

/** @throws {LimiterInputError} unless it is an object with a name that JSON can carry. */
export function checkPreset(preset: StoredPreset): StoredPreset {
  if (typeof preset !== 'object' || preset === null) {
    throw new LimiterInputError('preset', `must be an object, not ${shown(preset)}`);
  }
  checkPolicyName(preset.name, 'preset');
  return preset;
}

/** @throws {LimiterInputError} naming the option and its value. */
export function checkAppliedFile(file: { readonly [Key in keyof AppliedFile]?: unknown }): AppliedFile {
  checkMembers('file', file, ['name', 'sha256', 'content', 'changes']);
  const { name, sha256, content, changes } = file;
  checkSubject(name);
  for (const [field, hash] of Object.entries({ sha256, content })) {
    if (typeof hash !== 'string' || !/^[\da-f]{64}$/u.test(hash)) {
      throw new LimiterInputError(field, `must be 64 hexadecimal digits, not ${shown(hash)}`);
    }
  }
  const counted = wholeNumberWithin('changes', changes, 0, Number.MAX_SAFE_INTEGER);
  return { name, sha256: String(sha256), content: String(content), changes: counted };
}

/** Checks an override from any source. @throws {LimiterInputError} naming the option and its value. */
export function checkOverride(override: { readonly [Key in keyof Override]?: unknown }): Override {
  checkMembers('override', override, ['policy', 'subject', 'limit', 'windowMs', 'blockMs', 'mode']);
  const { policy, subject, limit, windowMs, blockMs, mode } = override;
  checkPolicyName(policy);
  checkSubject(subject);
  const checked = {
    policy,
    subject,
    ...(limit !== undefined && { limit: wholeNumberWithin('limit', limit, 1, MAX_LIMIT) }),
    ...(windowMs !== undefined && { windowMs: wholeNumberWithin('windowMs', windowMs, 1, MAX_WINDOW_MS) }),
    ...(blockMs !== undefined && { blockMs: wholeNumberWithin('blockMs', blockMs, 0, MAX_BLOCK_MS) }),
    ...(mode !== undefined && { mode: oneOf('mode', mode, MODES) }),
  };
  if (Object.keys(checked).length > 2) return checked;
  throw new LimiterInputError('override', 'must set at least one of limit, windowMs, blockMs and mode');
}

const MODES = ['enforce', 'shadow'] as const;

/**
 * The stored text of a list entry: networks in their one canonical form, with `ip:` where they are less than a client of
 * `byIp` by default.
 * @throws {LimiterInputError} when no subject could match it.
 */
export function checkListEntry(entry: unknown): string {
  checkSubject(entry);
  return (isGlob(entry) ? undefined : listedNetwork(entry)) ?? entry;
}

/** Reads all fields. What can't be read goes to `onError` and is left out, and so are blocks that are over. */
export function readEntries(
  { fields: raw, nowMs }: StoredEntries,
  onError: (error: LiveEntryError) => void,
): LiveEntries {
  const entries: Building = {
    policies: [],
    overrides: [],
    allowed: [],
    denied: [],
    blocked: [],
    plans: [],
    presets: [],
  };
  for (const [field, value] of raw) {
    if (field === VERSION_FIELD) continue;
    try {
      readEntry(field, value, entries);
    } catch (error) {
      onError(new LiveEntryError(field, error));
    }
  }
  return { ...entries, blocked: entries.blocked.filter(({ blockedUntilMs }) => blockedUntilMs > nowMs) };
}

interface Building {
  readonly policies: Policy[];
  readonly overrides: Override[];
  readonly allowed: string[];
  readonly denied: string[];
  readonly blocked: BlockedSubject[];
  readonly plans: Plan[];
  readonly presets: StoredPreset[];
  file?: AppliedFile;
}

function readEntry(field: string, value: string, into: Building): void {
  const kind = field.slice(0, 2);
  const name = field.slice(2);
  if (kind === 'p:') {
    into.policies.push(readPolicy(name, value));
  } else if (kind === 'o:') {
    const colon = name.indexOf(':');
    const place = { policy: name.slice(0, Math.max(0, colon)), subject: name.slice(colon + 1) };
    into.overrides.push(checkOverride({ ...parseObject(value), ...place }));
  } else if (kind === 'l:') {
    oneOf('list', value, ['allow', 'deny']);
    (value === 'allow' ? into.allowed : into.denied).push(checkListEntry(name));
  } else if (kind === 'b:') {
    checkSubject(name);
    into.blocked.push({ subject: name, blockedUntilMs: readBlockValue(value) });
  } else if (kind === 'n:') {
    into.plans.push(checkPlan({ ...parseObject(value), name }));
  } else if (kind === 'k:') {
    into.presets.push(checkPreset({ ...parseObject(value), name }));
  } else if (field === fields.file()) {
    into.file = checkAppliedFile(parseObject(value));
  } else {
    throw new TypeError('its kind is unknown');
  }
}

/** The stored text of a block: live-entries.lua writes the same. */
export function blockValue(blockedUntilMs: number): string {
  return JSON.stringify({ blockedUntilMs: blockedUntilMs === Infinity ? 'forever' : blockedUntilMs });
}

/** The end of a stored block. */
export function readBlockValue(json: string): number {
  const { blockedUntilMs }: { readonly blockedUntilMs?: unknown } = parseObject(json);
  if (blockedUntilMs === 'forever') return Infinity;
  return wholeNumberWithin('blockedUntilMs', blockedUntilMs, 1, Number.MAX_SAFE_INTEGER);
}

function readPolicy(name: string, json: string): Policy {
  const options = { ...parseObject(json), name };
  if (isPolicyShaped(options)) return definePolicy(options);
  throw new TypeError('it is not a policy');
}

/** Whether it has what a policy can't do without; definePolicy checks the values of all there is. */
function isPolicyShaped(options: { readonly name: string }): options is PolicyOptions {
  return 'limit' in options && 'windowMs' in options;
}

function parseObject(json: string): object {
  const value: unknown = JSON.parse(json);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new TypeError('it is not a JSON object');
}
