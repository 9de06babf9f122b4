import type { RedisClientOrUrl } from '@spillway/redis';
import type { Policy } from '../algorithms/registry.ts';
import { checkNamespace, redisOf } from '../backend.ts';
import { BY_HAND, checkSubject, readActor, readByHand, wholeNumberWithin } from '../checks.ts';
import { checkMembers, LimiterInputError, LiveConflictError, shown } from '../errors.ts';
import { checkNumbers, definePolicy, MAX_BLOCK_MS } from '../policy.ts';
import type { ByHand, LiveChangeOptions } from '../types.ts';
import { redisBus } from './bus.ts';
import {
  checkAppliedFile,
  checkListEntry,
  checkOverride,
  checkPlan,
  checkPolicyName,
  checkPreset,
  fields,
  type LiveEntries,
  type LiveEntryError,
  type Override,
  type Plan,
  readBlockValue,
  readEntries,
  type StoredPreset,
} from './entries.ts';
import type { LiveOptions, LivePolicies } from './live-policies.ts';
import { type EntryWrite, liveKeyIn, type LiveSource, MAX_ENTRIES, redisLiveSource, type Written } from './sources.ts';
import { type LiveView, liveView } from './table.ts';

/** Options of {@link livePolicies} besides the place of the entries. */
export interface LivePoliciesOptions extends LiveOptions {
  /** Namespace of the limiters. @default none */
  readonly namespace?: string;
  /** Author in the trail, 1 to 200 characters. @default the program and its host, `app:server.js@web-3` */
  readonly actor?: string;
  /** Most audit events that may wait in one shard's outbox; more are counted as dropped. @default 100000 */
  readonly outboxCap?: number;
}

/**
 * Opens the live policies of a deployment, for reading and changing them without a limiter.
 * @example
 * ```ts
 * const live = livePolicies({ redis, actor: 'user:ada' });
 * await live.setOverride({ policy: 'generation', subject: 'org-7:*', limit: 200 });
 * ```
 * @throws {LimiterInputError} naming the option and its value.
 */
export function livePolicies({
  redis,
  actor,
  namespace = '',
  outboxCap = 100_000,
  ...options
}: LivePoliciesOptions & { readonly redis: RedisClientOrUrl }): LivePolicies {
  const { deadlineMs = 1_000 } = checkLiveOptions(options);
  wholeNumberWithin('outboxCap', outboxCap, 1, 100_000_000);
  checkNamespace(namespace);
  const by = readActor(actor);
  const { client, release } = redisOf(redis);
  const bus = redisBus({ client, namespace, liveKey: liveKeyIn(namespace) });
  const source = redisLiveSource({ client, bus, namespace, deadlineMs, outboxCap, listens: false });
  const close = async (): Promise<void> => {
    await source.close();
    release();
  };
  return liveFrom({ source: { ...source, close }, actor: by, ...options });
}

/** @throws {LimiterInputError} */
export function checkLiveOptions(options: LiveOptions): LiveOptions {
  checkMembers('live', options, ['deadlineMs', 'onError']);
  const { deadlineMs, onError } = options;
  if (deadlineMs !== undefined) wholeNumberWithin('live.deadlineMs', deadlineMs, 1, 60_000);
  if (onError !== undefined && typeof onError !== 'function') {
    throw new LimiterInputError('live.onError', `must be a function, not ${shown(onError)}`);
  }
  return options;
}

/** What {@link liveFrom} is made of. */
export interface LiveParts {
  readonly source: LiveSource;
  /** Actor of changes that name none. */
  readonly actor: string;
  /** The policies in code, by which overrides are checked. */
  readonly policies?: ReadonlyMap<string, Policy>;
  readonly onError?: (error: LiveEntryError) => void;
}

/** @param pick the entry itself, of entries that hold no other; a change without it takes no `onlyIf` */
type Write = <Entry = never>(
  entry: EntryWrite,
  by: LiveChangeOptions<Entry> | undefined,
  pick?: (entries: LiveEntries) => Entry | undefined,
) => Promise<Written>;

/** How often a change is tried while others write the same entry and `onlyIf` still holds. */
const MOST_ATTEMPTS = 16;

/** {@link LivePolicies} over any source, and their first reading. The source is closed with them. */
export function liveFrom({
  source,
  actor,
  policies,
  onError = () => undefined,
}: LiveParts): LivePolicies & Pick<LiveView, 'firstRead'> {
  const view = liveView(source, onError);

  const write: Write = async (entry, by = {}, pick) => {
    checkMembers('options', by, pick === undefined ? BY_HAND : [...BY_HAND, 'onlyIf']);
    const { onlyIf } = by;
    if (onlyIf !== undefined && typeof onlyIf !== 'function') {
      throw new LimiterInputError('onlyIf', `must be a function, not ${shown(onlyIf)}`);
    }
    const holds = onlyIf && ((stored: LiveEntries) => onlyIf(pick?.(stored)));
    const written = await attempt(entry, readByHand(by, actor), holds);
    if (written === 'full') {
      throw new LimiterInputError('live', `holds ${MAX_ENTRIES} entries and has no room for one more`);
    }
    if (written === 'changed') throw new LiveConflictError(entry.object);
    await view.refresh();
    return written;
  };

  /** Looks, and writes if nothing was written since; else it looks again. */
  async function attempt(
    entry: EntryWrite,
    by: Required<ByHand>,
    holds: ((stored: LiveEntries) => boolean) | undefined,
  ): Promise<Written | 'full' | 'changed'> {
    if (holds === undefined) return source.write(entry, by);
    let written: Written | 'full' | 'changed' = 'changed';
    for (let attempts = 0; attempts < MOST_ATTEMPTS && written === 'changed'; attempts += 1) {
      const { fields: all, ...read } = await source.load();
      const expected = all.get(entry.field) ?? null;
      const alone = new Map(expected === null ? [] : [[entry.field, expected]]);
      if (!holds(readEntries({ ...read, fields: alone }, onError))) return 'changed';
      written = await source.write({ ...entry, expected }, by);
    }
    return written;
  }

  const baseOf = (policy: string): Policy | undefined => view.table.policy(policy) ?? policies?.get(policy);
  return {
    ...policyChanges(write, (name) => policies?.get(name)),
    ...overrideChanges(write, baseOf),
    ...listChanges(write),
    ...blockChanges(write),
    ...planChanges(write),
    list: async () => readEntries(await source.load(), onError),
    refresh: view.refresh,
    resolve: (base, subject) => view.table.resolve(base, subject),
    policy: (name) => view.table.policy(name),
    plan: (name) => view.table.plan(name),
    listed: (subject) => view.table.listed(subject),
    close: () => source.close(),
    firstRead: view.firstRead,
  };
}

type EntryPlace = Pick<EntryWrite, 'field' | 'objectKind' | 'object'>;

const place = (objectKind: EntryWrite['objectKind'], field: string, object: string): EntryPlace => ({
  field,
  objectKind,
  object,
});
const policyEntry = (name: string): EntryPlace => place('policy', fields.policy(name), name);
const overrideEntry = (of: Pick<Override, 'policy' | 'subject'>): EntryPlace =>
  place('override', fields.override(of), `${of.policy}/${of.subject}`);
const blockEntry = (subject: string): EntryPlace => place('block', fields.block(subject), subject);
const planEntry = (name: string): EntryPlace => place('plan', fields.plan(name), name);
const presetEntry = (name: string): EntryPlace => place('preset', fields.preset(name), name);

type Verdict = 'allow' | 'deny';

const onlyPolicy = ({ policies: [policy] }: LiveEntries): Policy | undefined => policy;
const onlyOverride = ({ overrides: [override] }: LiveEntries): Override | undefined => override;
const onlyPlan = ({ plans: [plan] }: LiveEntries): Plan | undefined => plan;
const onlyPreset = ({ presets: [preset] }: LiveEntries): StoredPreset | undefined => preset;
const onlyVerdict = ({ allowed, denied }: LiveEntries): Verdict | undefined => {
  if (allowed.length > 0) return 'allow';
  return denied.length > 0 ? 'deny' : undefined;
};

function policyChanges(
  write: Write,
  inCode: (name: string) => Policy | undefined,
): Pick<LivePolicies, 'setPolicy' | 'removePolicy'> {
  return {
    async setPolicy(options, by) {
      const policy = definePolicy(options);
      const code = inCode(policy.name);
      const instead = code === undefined ? {} : { instead: JSON.stringify(code) };
      const value = JSON.stringify(policy);
      const entry = { ...policyEntry(policy.name), value, action: 'set_policy', ...instead };
      return changeOf(await write(entry, by, onlyPolicy));
    },
    async removePolicy(name, by) {
      checkPolicyName(name);
      return changeOf(await write({ ...policyEntry(name), action: 'remove_policy' }, by, onlyPolicy));
    },
  };
}

function overrideChanges(
  write: Write,
  baseOf: (policy: string) => Policy | undefined,
): Pick<LivePolicies, 'setOverride' | 'removeOverride'> {
  return {
    async setOverride(override, by) {
      const { policy, subject, ...patch } = checkOverride(override);
      const base = baseOf(policy);
      if (base !== undefined) checkNumbers(base, override);
      const value = JSON.stringify(patch);
      const entry = { ...overrideEntry({ policy, subject }), value, action: 'set_override' };
      return changeOf(await write(entry, by, onlyOverride));
    },
    async removeOverride({ policy, subject }, by) {
      checkPolicyName(policy);
      const of = { policy, subject: checkedText(subject) };
      return changeOf(await write({ ...overrideEntry(of), action: 'remove_override' }, by, onlyOverride));
    },
  };
}

function listChanges(write: Write): Pick<LivePolicies, 'allow' | 'deny' | 'unlist'> {
  const change = async (
    entry: string,
    verdict: Verdict | undefined,
    by?: LiveChangeOptions<Verdict>,
  ): Promise<Written> => {
    const object = checkListEntry(entry);
    const value = verdict === undefined ? {} : { value: verdict };
    const action = verdict ?? 'unlist';
    return write({ field: fields.list(object), ...value, action, objectKind: 'list', object }, by, onlyVerdict);
  };
  return {
    allow: async (entry, by) => changeOf(await change(entry, 'allow', by)),
    deny: async (entry, by) => changeOf(await change(entry, 'deny', by)),
    unlist: async (entry, by) => changeOf(await change(entry, undefined, by)),
  };
}

function blockChanges(write: Write): Pick<LivePolicies, 'blockEverywhere' | 'unblockEverywhere'> {
  return {
    async blockEverywhere(subject, options = {}) {
      checkMembers('options', options, ['durationMs', ...BY_HAND]);
      checkSubject(subject);
      const { durationMs = 'forever', ...by } = options;
      if (durationMs !== 'forever') wholeNumberWithin('durationMs', durationMs, 1, MAX_BLOCK_MS);
      const value = { blockMs: durationMs === 'forever' ? Infinity : durationMs };
      const written = await write({ ...blockEntry(subject), value, action: 'block_everywhere' }, by);
      return { ...changeOf(written), blockedUntilMs: readBlockValue(written.value) };
    },
    async unblockEverywhere(subject, by) {
      checkSubject(subject);
      return changeOf(await write({ ...blockEntry(subject), action: 'unblock_everywhere' }, by));
    },
  };
}

function planChanges(
  write: Write,
): Pick<LivePolicies, 'setPlan' | 'removePlan' | 'setPreset' | 'removePreset' | 'recordFile'> {
  return {
    async setPlan(plan, by) {
      const { name, policies } = checkPlan(plan);
      const entry = { ...planEntry(name), value: JSON.stringify({ policies }), action: 'set_plan' };
      return changeOf(await write(entry, by, onlyPlan));
    },
    async removePlan(name, by) {
      checkPolicyName(name, 'plan');
      return changeOf(await write({ ...planEntry(name), action: 'remove_plan' }, by, onlyPlan));
    },
    async setPreset(preset, by) {
      const { name, ...options } = checkPreset(preset);
      const entry = { ...presetEntry(name), value: JSON.stringify(options), action: 'set_preset' };
      return changeOf(await write(entry, by, onlyPreset));
    },
    async removePreset(name, by) {
      checkPolicyName(name, 'preset');
      return changeOf(await write({ ...presetEntry(name), action: 'remove_preset' }, by, onlyPreset));
    },
    async recordFile(file, by) {
      const applied = checkAppliedFile(file);
      const entry = { ...place('file', fields.file(), applied.name), value: JSON.stringify(applied) };
      return changeOf(await write({ ...entry, action: 'apply_file' }, by));
    },
  };
}

function changeOf({ existed, otherLimiters }: Written): Omit<Written, 'value'> {
  return { existed, otherLimiters };
}

function checkedText(subject: unknown): string {
  if (typeof subject === 'string') return subject;
  throw new LimiterInputError('subject', `must be text, not ${shown(subject)}`);
}
